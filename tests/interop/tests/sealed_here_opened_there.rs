//! A transfer that our code has sealed, opened by the second implementation.
//!
//! Goal: a pack and a letter of a box can be opened from ENVELOPE.md alone, byte for byte; and what was changed on the way,
//! or is for somebody else, is refused. Method: fresh keys, packs of awkward lengths, then the program in Python.

#![expect(clippy::unwrap_used, reason = "what stands beside the tests is part of them")]

use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use beeldbox_interop::{ADDRESSEE, AT, Hospital, SENDER, Trust, python, said};
use beeldbox_protocol::admin::ReceiptStage;
use beeldbox_protocol::clinical::{Confidential, Patient, StudySummary};
use beeldbox_protocol::envelope::keys::SecretKey;
use beeldbox_protocol::envelope::letter::{
    self, About, Letter, ListedInstance, ListedPack, ListedPart, PART_LEN, Party,
};
use beeldbox_protocol::envelope::pack::{CHUNK_LEN, FrameSealer, InstanceDescription, PackId, pack_header};
use beeldbox_protocol::envelope::receipt::{Expected, Receipt};
use beeldbox_protocol::ident::{Digest, TransferId};
use beeldbox_protocol::imaging_request::WantedImages;
use serde_json::{Value, json};

/// A data set that does not repeat itself from chunk to chunk.
fn data_set(number: usize, length: usize) -> Vec<u8> {
    (0..length).map(|at| (at.wrapping_mul(at + number) >> 3).to_le_bytes()[0]).collect()
}

fn description(number: usize) -> InstanceDescription {
    InstanceDescription {
        sop_class: "1.2.840.10008.5.1.4.1.1.2".parse().unwrap(),
        sop_instance: format!("1.2.826.0.1.3680043.10.9.{number}").parse().unwrap(),
        transfer_syntax: "1.2.840.10008.1.2.1".parse().unwrap(),
        study: Some("1.2.826.0.1.3680043.10.9".parse().unwrap()),
        // Some senders leave it out.
        series: number.is_multiple_of(2).then(|| "1.2.826.0.1.3680043.10.9.0".parse().unwrap()),
        source_ae: "CT1".parse().unwrap(),
    }
}

/// What a box would have on its disk and in its ledger.
struct Sealed {
    letter: Letter,
    packs: Vec<Vec<u8>>,
    data_sets: Vec<Vec<u8>>,
}

/// Seals a pack for each list of lengths.
fn seal_packs(sender: &Hospital, addressee: &Hospital, lengths: &[&[usize]]) -> Sealed {
    let at = AT.parse().unwrap();
    let party = |hospital: &Hospital, name: &str| Party {
        ura: hospital.ura().clone(),
        organisation: name.to_owned(),
        department: None,
        addressee: None,
    };
    let mut sealed = Sealed {
        letter: Letter {
            v: 1,
            transfer: TransferId::from_random([0x5a; 16]),
            sender: party(sender, "Proefziekenhuis Noord"),
            addressee: party(addressee, "Proefziekenhuis Zuid"),
            written_at: at,
            valid_until: "2027-01-01T00:00:00.5Z".parse().unwrap(),
            urgent: true,
            patient: Patient { name: Some(Confidential::new("Proef^Piëta")), ..Patient::default() },
            studies: vec![StudySummary { modalities: vec!["CT".to_owned()], ..StudySummary::default() }],
            note: Some(Confidential::new("graag vandaag")),
            reply_contact: None,
            instances: Vec::new(),
            packs: Vec::new(),
            about: None,
            in_answer_to: None,
        },
        packs: Vec::new(),
        data_sets: Vec::new(),
    };
    for (number, lengths) in lengths.iter().enumerate() {
        seal_pack(&mut sealed, u8::try_from(number).unwrap(), lengths);
    }
    sealed
}

fn seal_pack(sealed: &mut Sealed, number: u8, lengths: &[usize]) {
    let (key, id) = (SecretKey::from_bytes([number + 1; 32]), PackId::from_random([number + 101; 16]));
    let mut pack = pack_header(&id, &key).to_vec();
    for (frame, length) in lengths.iter().enumerate() {
        let position = sealed.data_sets.len();
        let (data_set, description) = (data_set(position, *length), description(position));
        let (begin, frame) = (pack.len() as u64, u32::try_from(frame).unwrap());
        let salt = [u8::try_from(position).unwrap(); 16];
        let mut sealer = FrameSealer::new(&key, &id, frame, salt, &description, &mut pack);
        for piece in data_set.chunks(16_384) {
            sealer.write(piece, &mut pack).unwrap();
        }
        let summary = sealer.finish(&mut pack).unwrap();
        sealed.letter.instances.push(ListedInstance {
            class: description.sop_class,
            instance: description.sop_instance,
            study: description.study,
            series: description.series,
            syntax: description.transfer_syntax,
            size: summary.data_set_len,
            sha256: summary.data_set_digest,
            pack: number.into(),
            frame,
            at: begin,
            sealed: pack.len() as u64 - begin,
        });
        sealed.data_sets.push(data_set);
    }
    let parts = pack.chunks(usize::try_from(PART_LEN).unwrap());
    let parts = parts.map(|part| ListedPart { sha256: Digest::of(part), len: part.len() as u64 }).collect();
    sealed.letter.packs.push(ListedPack { id, key, len: pack.len() as u64, parts });
    sealed.packs.push(pack);
}

/// Two hospitals, and what one has sealed for the other, in a folder for the reader.
struct Post {
    trust: Trust,
    sender: Hospital,
    addressee: Hospital,
    sealed: Sealed,
    folder: tempfile::TempDir,
    letter: Vec<u8>,
}

impl Post {
    fn send(lengths: &[&[usize]]) -> Self {
        Post::send_about(lengths, None)
    }

    fn send_about(lengths: &[&[usize]], about: Option<About>) -> Self {
        Post::send_with(lengths, |letter| letter.about = about)
    }

    fn send_with(lengths: &[&[usize]], change: impl FnOnce(&mut Letter)) -> Self {
        let trust = Trust::found();
        let sender = trust.certify("Proefziekenhuis Noord", SENDER, true);
        let addressee = trust.certify("Proefziekenhuis Zuid", ADDRESSEE, false);
        let mut sealed = seal_packs(&sender, &addressee, lengths);
        change(&mut sealed.letter);
        let recipient = addressee.verified_key(&trust);
        let letter =
            letter::seal(&sealed.letter, &sender.signer(), &[&recipient], &SystemRandom::new()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let post = Post { trust, sender, addressee, sealed, folder, letter };
        post.lay_out();
        post
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn lay_out(&self) {
        let mut reader = self.addressee.described(&self.trust);
        reader["transfer"] = self.sealed.letter.transfer.to_string().into();
        reader["statement"] = self.addressee.statement().into();
        self.write("reader.json", reader.to_string().as_bytes());
        self.write("letter", &self.letter);
        std::fs::create_dir(self.path().join("parts")).unwrap();
        for part in self.sealed.packs.iter().flat_map(|pack| pack.chunks(usize::try_from(PART_LEN).unwrap()))
        {
            self.write(&format!("parts/{}", Digest::of(part)), part);
        }
    }

    fn write(&self, name: &str, content: &[u8]) {
        std::fs::write(self.path().join(name), content).unwrap();
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut content = std::fs::read(self.path().join(name)).unwrap();
        change(&mut content);
        self.write(name, &content);
    }

    /// The reason for which the reader refuses.
    fn refusal(&self) -> String {
        let output = python("open_transfer.py", self.path());
        assert_eq!(output.status.code(), Some(3), "must be refused: {}", said(&output));
        assert!(!self.path().join("instances").exists(), "nothing is given out");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

#[test]
fn a_transfer_of_ours_opens_byte_for_byte_in_another_language() {
    // Around the ends of a chunk, and one instance that makes a pack of two parts.
    let awkward = [0, 1, CHUNK_LEN - 200, CHUNK_LEN, 2 * CHUNK_LEN - 112, 3 * CHUNK_LEN + 1];
    let post = Post::send(&[&awkward, &[9_000_000, 77]]);
    assert_eq!(post.sealed.letter.packs[1].parts.len(), 2);
    let output = python("open_transfer.py", post.path());
    assert!(output.status.success(), "{}", said(&output));
    for (number, data_set) in post.sealed.data_sets.iter().enumerate() {
        let opened = std::fs::read(post.path().join(format!("instances/{number}"))).unwrap();
        assert!(opened == *data_set, "instance {number} differs");
    }
    let opened: Value =
        serde_json::from_slice(&std::fs::read(post.path().join("opened.json")).unwrap()).unwrap();
    assert_eq!(opened["patient"], "Proef^Piëta");
    assert_eq!(opened["note"], "graag vandaag");
    assert_eq!(opened["organisation"], "Proefziekenhuis Noord");
    let listed = &post.sealed.letter.instances;
    let named: Vec<&str> = listed.iter().map(|instance| instance.instance.as_str()).collect();
    assert_eq!(opened["instances"], Value::from(named));

    // And the receipt that it signs is one that we believe.
    let expected = Expected {
        transfer: &post.sealed.letter.transfer,
        letter: Digest::of(&post.letter),
        addressee: post.addressee.ura(),
        sender: post.sender.ura(),
        instances: u32::try_from(listed.len()).unwrap(),
    };
    let receipt = opened["receipt"].as_str().unwrap();
    Receipt::verify(receipt, &expected, &post.trust.anchors(), AT.parse().unwrap()).unwrap();
}

#[test]
fn what_a_letter_is_about_is_read_in_another_language_and_a_question_is_answered() {
    let earlier = TransferId::from_random([0x33; 16]);
    let post = Post::send_about(&[], Some(About::AskBack { transfer: earlier }));
    let output = python("open_transfer.py", post.path());
    assert!(output.status.success(), "{}", said(&output));
    let opened: Value =
        serde_json::from_slice(&std::fs::read(post.path().join("opened.json")).unwrap()).unwrap();
    let about = json!({"kind": "ask-back", "transfer": earlier.to_string()});
    assert_eq!(opened["about"], about);
    assert_eq!(opened["instances"], json!([]));
    let expected = Expected {
        transfer: &post.sealed.letter.transfer,
        letter: Digest::of(&post.letter),
        addressee: post.addressee.ura(),
        sender: post.sender.ura(),
        instances: 0,
    };
    let receipt = opened["receipt"].as_str().unwrap();
    let (receipt, _) =
        Receipt::verify(receipt, &expected, &post.trust.anchors(), AT.parse().unwrap()).unwrap();
    assert_eq!(receipt.stage, ReceiptStage::Erased);

    let post = Post::send_about(&[&[5]], Some(About::Addendum { group: earlier, to: earlier }));
    let output = python("open_transfer.py", post.path());
    assert!(output.status.success(), "{}", said(&output));
    let opened: Value =
        serde_json::from_slice(&std::fs::read(post.path().join("opened.json")).unwrap()).unwrap();
    let about = json!({"kind": "addendum", "group": earlier.to_string(), "to": earlier.to_string()});
    assert_eq!(opened["about"], about);
}

#[test]
fn a_request_for_images_and_its_answer_are_read_in_another_language() {
    let day = |text: &str| Some(Confidential::new(text));
    let wanted = WantedImages {
        modalities: vec!["CT".to_owned(), "MR".to_owned()],
        body_region: day("thorax"),
        from: day("20240229"),
        until: None,
        answer_to: "noord-radiologie".parse().unwrap(),
    };
    let post = Post::send_about(&[], Some(About::RequestImaging { wanted }));
    let output = python("open_transfer.py", post.path());
    assert!(output.status.success(), "{}", said(&output));
    let opened: Value =
        serde_json::from_slice(&std::fs::read(post.path().join("opened.json")).unwrap()).unwrap();
    let wanted = json!({"modalities": ["CT", "MR"], "body_region": "thorax", "from": "20240229", "until": null,
                        "answer_to": "noord-radiologie"});
    assert_eq!(opened["about"], json!({"kind": "request-imaging", "wanted": wanted}));

    let request = TransferId::from_random([0x44; 16]);
    let post = Post::send_with(&[&[5]], |letter| letter.in_answer_to = Some(request));
    let output = python("open_transfer.py", post.path());
    assert!(output.status.success(), "{}", said(&output));
    let opened: Value =
        serde_json::from_slice(&std::fs::read(post.path().join("opened.json")).unwrap()).unwrap();
    assert_eq!(opened["in_answer_to"], json!(request.to_string()));
}

#[test]
fn what_was_changed_or_is_for_somebody_else_does_not_open_in_another_language() {
    let post = Post::send(&[&[70_000, 5]]);
    let part = format!("parts/{}", post.sealed.letter.packs[0].parts[0].sha256);
    post.change(&part, |bytes| bytes[70_000] ^= 1);
    assert_eq!(post.refusal(), "part-differs");
    post.change(&part, |bytes| bytes[70_000] ^= 1);

    let last = post.letter.len() - 1;
    post.change("letter", |bytes| bytes[last] ^= 1);
    assert_eq!(post.refusal(), "does-not-authenticate");
    post.change("letter", |bytes| bytes[last] ^= 1);

    let other = Trust::found();
    let mut reader = post.addressee.described(&post.trust);
    reader["transfer"] = post.sealed.letter.transfer.to_string().into();
    reader["statement"] = post.addressee.statement().into();
    for (member, value, reason) in [
        ("transfer", "11111111-2222-4333-8444-555555555555".to_owned(), "other-transfer"),
        ("anchor", other.anchor(), "unknown-issuer"),
        ("ura", SENDER.to_owned(), "ura-differs"),
        ("at", "2027-01-01T00:00:01Z".to_owned(), "expired"),
        ("at", "2027-01-01T00:00:00Z".to_owned(), ""),
    ] {
        let mut changed = reader.clone();
        changed[member] = value.into();
        post.write("reader.json", changed.to_string().as_bytes());
        if reason.is_empty() {
            let output = python("open_transfer.py", post.path());
            assert!(output.status.success(), "nothing else was wrong: {}", said(&output));
        } else {
            assert_eq!(post.refusal(), reason, "{member}");
        }
    }
}
