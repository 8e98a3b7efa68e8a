//! Sealing and opening with the code that boxes run: what goes in comes out, whole or not at all.

mod reading;

use aws_lc_rs::rand::SystemRandom;
use beeldbox_protocol::admin::{ReceiptStage, RefusedInstance};
use beeldbox_protocol::clinical::{Confidential, Patient};
use beeldbox_protocol::envelope::keys::SecretKey;
use beeldbox_protocol::envelope::letter::{
    self, About, Letter, LetterError, ListedInstance, ListedPack, ListedPart, Party,
};
use beeldbox_protocol::envelope::pack::{
    CHUNK_LEN, ChunkHead, FRAME_HEADER_LEN, FrameOpener, FrameSealer, InstanceDescription, PACK_HEADER_LEN,
    PackError, PackId, pack_header,
};
use beeldbox_protocol::envelope::receipt::{Expected, Receipt};
use beeldbox_protocol::envelope::recipient::{RecipientIdentity, RecipientVerified};
use beeldbox_protocol::envelope::trust::TrustError;
use beeldbox_protocol::ident::{Digest, TransferId};
use beeldbox_protocol::imaging_request::WantedImages;
use jiff::Timestamp;

use reading::{Authority, kind_of_letter_error, open_pack, text};

const KEY: [u8; 32] = [7; 32];

fn a_pack() -> PackId {
    PackId::from_random([8; 16])
}

fn a_description(number: usize) -> InstanceDescription {
    InstanceDescription {
        sop_class: "1.2.840.10008.5.1.4.1.1.2".parse().expect("a UID"),
        sop_instance: format!("1.2.3.{number}").parse().expect("a UID"),
        transfer_syntax: "1.2.840.10008.1.2.1".parse().expect("a UID"),
        study: Some("1.2.3".parse().expect("a UID")),
        series: None,
        source_ae: "CT1".parse().expect("an AE title"),
    }
}

/// Bytes of a description in the first chunk: version, six lengths, the texts.
fn description_len(description: &InstanceDescription) -> usize {
    let texts = [
        description.sop_class.as_str(),
        description.sop_instance.as_str(),
        description.transfer_syntax.as_str(),
        description.study.as_ref().map_or("", |uid| uid.as_str()),
        description.series.as_ref().map_or("", |uid| uid.as_str()),
        description.source_ae.as_str(),
    ];
    1 + texts.iter().map(|text| 1 + text.len()).sum::<usize>()
}

fn a_data_set(length: usize) -> Vec<u8> {
    (0..=250_u8).cycle().take(length).collect()
}

/// A pack with one instance of each length.
fn seal_pack(lengths: &[usize]) -> Vec<u8> {
    let key = SecretKey::from_bytes(KEY);
    let mut pack = pack_header(&a_pack(), &key).to_vec();
    for (number, length) in lengths.iter().enumerate() {
        let index = u32::try_from(number).expect("few frames");
        let salt = [u8::try_from(number).expect("few frames"); 16];
        let mut sealer = FrameSealer::new(&key, &a_pack(), index, salt, &a_description(number), &mut pack);
        for piece in a_data_set(*length).chunks(10_000) {
            sealer.write(piece, &mut pack).expect("not too long");
        }
        let summary = sealer.finish(&mut pack).expect("not too long");
        assert_eq!(summary.data_set_len, *length as u64);
        assert_eq!(summary.data_set_digest, Digest::of(&a_data_set(*length)));
    }
    pack
}

#[test]
fn instances_of_every_awkward_length_come_back() {
    let first = description_len(&a_description(0));
    let mut lengths = vec![0, 1, CHUNK_LEN - 1, CHUNK_LEN, CHUNK_LEN + 1, 3 * CHUNK_LEN];
    // Around the places where description, data set and trailer just fill one chunk or two.
    for chunks in [CHUNK_LEN, 2 * CHUNK_LEN] {
        for end in [chunks - first - 40, chunks - first, chunks - first + 40] {
            lengths.extend([end - 1, end, end + 1]);
        }
    }
    let key = SecretKey::from_bytes(KEY);
    for length in &lengths {
        let opened = open_pack(&seal_pack(&[*length]), &key, 1).unwrap();
        assert_eq!(opened[0], (a_description(0), a_data_set(*length)), "length {length}");
    }
    let opened = open_pack(&seal_pack(&lengths), &key, u32::try_from(lengths.len()).unwrap()).unwrap();
    for (number, (length, opened)) in lengths.iter().zip(opened).enumerate() {
        assert_eq!(opened, (a_description(number), a_data_set(*length)), "instance {number}");
    }
}

/// The chunks of the only frame of a pack.
fn chunks_of(pack: &[u8]) -> Vec<(ChunkHead, Vec<u8>)> {
    let mut rest = &pack[PACK_HEADER_LEN + FRAME_HEADER_LEN..];
    let mut chunks = Vec::new();
    while let Some((head, after)) = rest.split_first_chunk::<4>() {
        let head = ChunkHead::parse(*head).expect("a good chunk");
        let (sealed, after) = after.split_at(head.sealed_len);
        chunks.push((head, sealed.to_vec()));
        rest = after;
    }
    chunks
}

fn an_opener(pack: &[u8]) -> FrameOpener {
    let header = pack[PACK_HEADER_LEN..][..FRAME_HEADER_LEN].try_into().expect("a frame header");
    FrameOpener::new(&SecretKey::from_bytes(KEY), &a_pack(), 0, header).expect("a frame")
}

#[test]
fn nothing_is_released_before_it_authenticates() {
    let pack = seal_pack(&[3 * CHUNK_LEN]);
    let data_set = a_data_set(3 * CHUNK_LEN);
    let mut opener = an_opener(&pack);
    for (index, (head, sealed)) in chunks_of(&pack).into_iter().enumerate() {
        let mut forged = sealed.clone();
        *forged.last_mut().unwrap() ^= 1;
        let index = u32::try_from(index).unwrap();
        let refused = opener.open_chunk(head, &mut forged).map(<[u8]>::len);
        assert_eq!(refused, Err(PackError::ChunkDoesNotAuthenticate { index }));
        // Neither is it left in the buffer for somebody who does not look at the answer.
        assert!(
            !forged.windows(32).any(|window| data_set.windows(32).take(251).any(|plain| plain == window))
        );
        // The genuine chunk still opens: a forged one has moved nothing.
        let mut genuine = sealed;
        assert!(opener.open_chunk(head, &mut genuine).is_ok());
    }
    assert!(opener.finish().is_ok());
}

#[test]
fn a_frame_is_not_finished_before_its_last_chunk() {
    let pack = seal_pack(&[2 * CHUNK_LEN]);
    let chunks = chunks_of(&pack);
    for count in 0..chunks.len() {
        let mut opener = an_opener(&pack);
        for (head, mut sealed) in chunks.iter().take(count).cloned() {
            opener.open_chunk(head, &mut sealed).unwrap();
        }
        assert!(!opener.is_complete());
        assert_eq!(opener.finish().map(drop), Err(PackError::Truncated), "after {count} chunks");
    }
}

#[test]
fn nothing_opens_after_the_last_chunk() {
    let pack = seal_pack(&[10]);
    let mut opener = an_opener(&pack);
    let (head, sealed) = chunks_of(&pack).remove(0);
    opener.open_chunk(head, &mut sealed.clone()).unwrap();
    assert_eq!(opener.open_chunk(head, &mut sealed.clone()).map(drop), Err(PackError::AfterLast));
}

/// Everything for a letter from the sender to the addressee of the vectors.
struct Post {
    authority: Authority,
    at: Timestamp,
    random: SystemRandom,
}

impl Post {
    fn open() -> Self {
        let authority = Authority::read();
        let at = text(&authority.described, "at").parse().expect("a time");
        Post { authority, at, random: SystemRandom::new() }
    }

    fn recipient(&self) -> RecipientVerified {
        let signer = self.authority.signer("addressee");
        let until = "2126-01-01T00:00:00Z".parse().expect("a time");
        let statement = self.authority.identity.statement(&signer, self.at, until, &self.random);
        RecipientVerified::verify(&statement, signer.ura(), &self.authority.anchors, self.at)
            .expect("our own key")
    }

    fn letter(&self) -> Letter {
        let party = |name: &str| Party {
            ura: text(&self.authority.described, name).parse().expect("a URA"),
            organisation: "Proefziekenhuis".to_owned(),
            department: None,
            addressee: None,
        };
        let pack = seal_pack(&[5]);
        let description = a_description(0);
        Letter {
            v: 1,
            transfer: TransferId::from_random([1; 16]),
            sender: party("sender_ura"),
            addressee: party("addressee_ura"),
            written_at: self.at,
            valid_until: "2126-01-01T00:00:00Z".parse().expect("a time"),
            urgent: true,
            patient: Patient { name: Some(Confidential::new("Proef^Petra")), ..Patient::default() },
            studies: vec![],
            note: None,
            reply_contact: None,
            instances: vec![ListedInstance {
                class: description.sop_class,
                instance: description.sop_instance,
                study: description.study,
                series: description.series,
                syntax: description.transfer_syntax,
                size: 5,
                sha256: Digest::of(&a_data_set(5)),
                pack: 0,
                frame: 0,
                at: PACK_HEADER_LEN as u64,
                sealed: (pack.len() - PACK_HEADER_LEN) as u64,
            }],
            packs: vec![ListedPack {
                id: a_pack(),
                key: SecretKey::from_bytes(KEY),
                len: pack.len() as u64,
                parts: vec![ListedPart { sha256: Digest::of(&pack), len: pack.len() as u64 }],
            }],
            about: None,
            in_answer_to: None,
        }
    }

    fn seal(&self, letter: &Letter) -> Result<Vec<u8>, LetterError> {
        letter::seal(letter, &self.authority.signer("sender"), &[&self.recipient()], &self.random)
    }
}

#[test]
fn a_letter_comes_back_with_its_sender_verified() {
    let post = Post::open();
    let letter = post.letter();
    let sealed = post.seal(&letter).unwrap();
    let (ours, anchors) = (&post.authority.identity, &post.authority.anchors);
    let (opened, sender) =
        letter::open(&sealed, &letter.transfer, ours, &letter.addressee.ura, anchors, post.at).unwrap();
    assert_eq!(opened, letter);
    assert_eq!(sender.organisation().ura(), &letter.sender.ura);
    assert_eq!((sealed.len() - 28 - 1200 - 16) % 4096, 0, "the length tells little");
    let again = post.seal(&letter).unwrap();
    assert_ne!(sealed[60..], again[60..], "every letter has a key of its own");
    let other = RecipientIdentity::from_seed(&[9; 32]).unwrap();
    let refused = letter::open(&sealed, &letter.transfer, &other, &letter.addressee.ura, anchors, post.at);
    assert_eq!(refused.map(drop), Err(LetterError::NotForOurKey));
}

#[test]
fn a_request_for_images_carries_none_and_an_answer_names_it() {
    let post = Post::open();
    let opens = |letter: &Letter| {
        let sealed = post.seal(letter).map_err(|error| kind_of_letter_error(&error))?;
        let (ours, anchors) = (&post.authority.identity, &post.authority.anchors);
        let opened = letter::open(&sealed, &letter.transfer, ours, &letter.addressee.ura, anchors, post.at);
        opened.map(|(opened, _)| opened).map_err(|error| kind_of_letter_error(&error))
    };
    let answer = Letter { in_answer_to: Some(TransferId::from_random([2; 16])), ..post.letter() };
    assert_eq!(opens(&answer).as_ref(), Ok(&answer));
    let wanted = WantedImages {
        modalities: vec!["CT".to_owned()],
        body_region: Some(Confidential::new("thorax")),
        from: Some(Confidential::new("20250101")),
        until: None,
        answer_to: "noord-radiologie".parse().unwrap(),
    };
    let about = |wanted: &WantedImages| Some(About::RequestImaging { wanted: wanted.clone() });
    let request = Letter { about: about(&wanted), instances: vec![], packs: vec![], ..post.letter() };
    assert_eq!(opens(&request).as_ref(), Ok(&request));
    let wrong = WantedImages { until: Some(Confidential::new("20241231")), ..wanted.clone() };
    for refused in [
        Letter { about: about(&wanted), ..post.letter() },
        Letter { in_answer_to: answer.in_answer_to, ..request.clone() },
        Letter { patient: Patient::default(), ..request.clone() },
        Letter { about: about(&wrong), ..request.clone() },
        Letter { note: Some(Confidential::new("x".repeat(4001))), ..request.clone() },
    ] {
        assert_eq!(opens(&refused), Err("inconsistent".to_owned()));
    }
}

#[test]
fn what_the_other_side_would_refuse_is_not_sent() {
    let post = Post::open();
    let refused = |change: &dyn Fn(&mut Letter)| {
        let mut letter = post.letter();
        change(&mut letter);
        kind_of_letter_error(&post.seal(&letter).unwrap_err())
    };
    let stranger = || "90000383".parse().unwrap();
    assert_eq!(refused(&|letter| letter.v = 2), "malformed");
    assert_eq!(refused(&|letter| letter.sender.ura = stranger()), "inconsistent");
    assert_eq!(refused(&|letter| letter.addressee.ura = stranger()), "inconsistent");
    assert_eq!(refused(&|letter| letter.instances.clear()), "inconsistent");
    assert_eq!(refused(&|letter| letter.instances[0].at = 0), "inconsistent");
    assert_eq!(refused(&|letter| letter.packs[0].parts.clear()), "inconsistent");
    let (letter, signer, recipient) = (post.letter(), post.authority.signer("sender"), post.recipient());
    for count in [0, 17] {
        let recipients = vec![&recipient; count];
        let refused = letter::seal(&letter, &signer, &recipients, &post.random).unwrap_err();
        assert_eq!(kind_of_letter_error(&refused), "malformed", "{count} recipients");
    }
}

#[test]
fn a_receipt_is_believed_once_its_numbers_add_up() {
    let post = Post::open();
    let letter = post.letter();
    let digest = Digest::of(b"the sealed letter");
    let expected = Expected {
        transfer: &letter.transfer,
        letter: digest,
        addressee: &letter.addressee.ura,
        sender: &letter.sender.ura,
        instances: 3,
    };
    let verify = |stored: u32, refused: &[u32]| {
        let receipt = Receipt {
            v: 1,
            transfer: letter.transfer,
            letter: digest,
            stage: ReceiptStage::InPacs,
            by: letter.addressee.ura.clone(),
            to: letter.sender.ura.clone(),
            stored,
            of: 3,
            refused: refused.iter().map(|at| RefusedInstance { position: *at, status: 0xa700 }).collect(),
            at: post.at,
        };
        let jws = receipt.sign(&post.authority.signer("addressee"), &post.random);
        assert_eq!(Receipt::read_verified(&jws).map(|receipt| receipt.stored), Some(stored));
        Receipt::verify(&jws, &expected, &post.authority.anchors, post.at).map(|(receipt, _)| receipt.stored)
    };
    assert_eq!(verify(3, &[]), Ok(3));
    assert_eq!(verify(1, &[2, 0]), Ok(1));
    assert_eq!(verify(0, &[0, 1, 2]), Ok(0));
    let refused = Err(TrustError::DoesNotFit("the numbers of the receipt do not add up"));
    assert_eq!(verify(3, &[0]), refused);
    assert_eq!(verify(2, &[]), refused);
    assert_eq!(verify(2, &[3]), refused);
    assert_eq!(verify(1, &[1, 1]), refused);
    assert_eq!(verify(u32::MAX, &[1]), refused);
}
