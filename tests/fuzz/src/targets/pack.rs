//! The reader of packs, in three ways: bytes as they come, a pack by a sender who holds the key and means harm, and an
//! honest pack that was changed on the way.
//!
//! What must be true: nothing is accepted that differs from what was sealed, and what is accepted has the length and
//! the digest that it says.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use beeldbox_protocol::envelope::keys::SecretKey;
use beeldbox_protocol::envelope::pack::{
    CHUNK_HEAD_LEN, CHUNK_LEN, ChunkHead, FRAME_HEADER_LEN, FrameOpener, FrameSealer, FrameSummary,
    InstanceDescription, PACK_HEADER_LEN, PackError, PackId, check_pack_header, pack_header,
    read_frame_header, read_pack_header,
};
use beeldbox_protocol::ident::{Digest, RunningDigest};

use super::Script;
use crate::budget::{Allowance, within};

const KEY: [u8; 32] = [0x4b; 32];
const ID: [u8; 16] = [0x49; 16];

/// Most plaintext one input may ask the writer to make, in bytes: the reader is under test, not the writer.
const MOST_MADE: usize = 4 * CHUNK_LEN;

/// Most changes to an honest pack: doubling it again and again would be our own memory, not the reader's.
const MOST_CHANGES: usize = 12;

/// Flags of a chunk in the script of [`by_a_hostile_sender`].
mod flag {
    pub(super) const LAST: u8 = 1;
    pub(super) const DESCRIBED: u8 = 2;
    pub(super) const RIGHT_TRAILER: u8 = 4;
    pub(super) const LONG: u8 = 8;
    pub(super) const WRONG_COUNTER: u8 = 16;
    pub(super) const LIE_ABOUT_LAST: u8 = 32;
    pub(super) const NEXT_FRAME: u8 = 64;
}

/// Runs the reader. The first byte chooses the way.
pub fn run(input: &[u8]) {
    let mut script = Script(input);
    match script.byte() % 3 {
        0 => as_it_comes(script.0),
        1 => {
            by_a_hostile_sender(&mut script);
        }
        _ => changed_on_the_way(&mut script),
    }
}

fn key() -> SecretKey {
    SecretKey::from_bytes(KEY)
}

/// What the reader accepted as one frame.
type Accepted = (InstanceDescription, FrameSummary);

/// Reads a pack to its end as the box does, with one buffer for chunks.
fn read(pack: &[u8]) -> (Vec<Accepted>, Result<(), PackError>) {
    let mut accepted = Vec::new();
    let end = within(Allowance::FourTimes, pack.len(), || read_into(pack, &mut accepted));
    (accepted, end)
}

fn read_into(pack: &[u8], accepted: &mut Vec<Accepted>) -> Result<(), PackError> {
    let (header, mut rest) = pack.split_first_chunk::<PACK_HEADER_LEN>().ok_or(PackError::Truncated)?;
    let id = check_pack_header(header, &key())?;
    assert_eq!(read_pack_header(header).as_ref(), Ok(&id), "with and without the key the same id");
    let mut buffer = Vec::new();
    for index in 0.. {
        if rest.is_empty() {
            break;
        }
        let (header, after) = rest.split_first_chunk::<FRAME_HEADER_LEN>().ok_or(PackError::Truncated)?;
        let mut opener = FrameOpener::new(&key(), &id, index, header)?;
        assert!(read_frame_header(header).is_ok());
        rest = after;
        let (mut digest, mut length) = (RunningDigest::new(), 0_u64);
        while !opener.is_complete() {
            let (head, after) = rest.split_first_chunk::<CHUNK_HEAD_LEN>().ok_or(PackError::Truncated)?;
            let head = ChunkHead::parse(*head)?;
            let (sealed, after) = after.split_at_checked(head.sealed_len).ok_or(PackError::Truncated)?;
            buffer.clear();
            buffer.extend_from_slice(sealed);
            let piece = opener.open_chunk(head, &mut buffer)?;
            digest.update(piece);
            length += piece.len() as u64;
            rest = after;
        }
        let (description, said) = opener.finish()?;
        let found = FrameSummary { data_set_len: length, data_set_digest: digest.finish() };
        assert_eq!(found, said, "what was given out is not what the frame says");
        accepted.push((description, said));
    }
    Ok(())
}

fn as_it_comes(pack: &[u8]) {
    let (accepted, _) = read(pack);
    accepted.iter().for_each(|(description, _)| survives_another_sealing(description));
}

/// What was accepted can be sealed again and comes out the same: a description that could be read but not written
/// would stop the box that stored it.
fn survives_another_sealing(description: &InstanceDescription) {
    let id = PackId::from_random(ID);
    let mut pack = pack_header(&id, &key()).to_vec();
    let sealer = FrameSealer::new(&key(), &id, 0, [7; 16], description, &mut pack);
    sealer.finish(&mut pack).expect("an empty data set is not too long");
    let (accepted, end) = read(&pack);
    assert_eq!(end, Ok(()));
    assert_eq!(accepted.len(), 1);
    assert_eq!(&accepted[0].0, description);
}

/// A pack whose every chunk authenticates unless the script says otherwise, and whose inside is the script's. Gives how
/// many frames were accepted.
fn by_a_hostile_sender(script: &mut Script<'_>) -> usize {
    let id = PackId::from_random(ID);
    let mut pack = pack_header(&id, &key()).to_vec();
    let (mut frame, mut made) = (0_u32, 0);
    while !script.is_empty() && made < MOST_MADE {
        let salt = [script.byte(); 16];
        pack.extend_from_slice(b"FRM1\0\0\0\0");
        pack.extend_from_slice(&salt);
        let aead = frame_key(&id, frame, &salt);
        let (mut counter, mut data_set) = (0_u32, Vec::new());
        while !script.is_empty() && made < MOST_MADE {
            let flags = script.byte();
            let plaintext = hostile_plaintext(script, flags, &mut data_set);
            made += plaintext.len();
            seal_chunk(&aead, counter, flags, plaintext, &mut pack);
            counter += 1;
            if flags & flag::NEXT_FRAME != 0 {
                break;
            }
        }
        frame += 1;
    }
    let (accepted, _) = read(&pack);
    accepted.iter().for_each(|(description, _)| survives_another_sealing(description));
    accepted.len()
}

/// The key of a frame, written from `ENVELOPE.md`: a sender does not use our code.
fn frame_key(id: &PackId, index: u32, salt: &[u8; 16]) -> LessSafeKey {
    let info: [&[u8]; 4] = [b"beeldbox/1 frame", id.as_bytes(), &index.to_be_bytes(), &[0]];
    let derived = key().derive(salt, &info);
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, derived.expose()).expect("32 bytes are a key"))
}

fn hostile_plaintext(script: &mut Script<'_>, flags: u8, data_set: &mut Vec<u8>) -> Vec<u8> {
    let mut plaintext = Vec::new();
    if flags & flag::DESCRIBED != 0 {
        plaintext.extend_from_slice(&HONEST_DESCRIPTION);
    }
    let length = script.number() % 1024;
    let mut data = script.take(length).to_vec();
    if flags & flag::LONG != 0 {
        let room = CHUNK_LEN - plaintext.len() - if flags & flag::RIGHT_TRAILER != 0 { 40 } else { 0 };
        data.resize(room, 0xa5);
    }
    data_set.extend_from_slice(&data);
    plaintext.extend_from_slice(&data);
    if flags & flag::RIGHT_TRAILER != 0 {
        plaintext.extend_from_slice(&(data_set.len() as u64).to_be_bytes());
        plaintext.extend_from_slice(Digest::of(data_set).as_bytes());
    }
    plaintext
}

/// As `InstanceDescription` writes it: version, six lengths with their texts.
const HONEST_DESCRIPTION: [u8; 21] = *b"\x01\x031.2\x031.3\x031.4\0\x031.5\x02AE";

fn seal_chunk(aead: &LessSafeKey, counter: u32, flags: u8, mut plaintext: Vec<u8>, pack: &mut Vec<u8>) {
    let is_last = flags & flag::LAST != 0;
    let counter = if flags & flag::WRONG_COUNTER != 0 { counter ^ 1 } else { counter };
    let mut nonce = [0; 12];
    nonce[7..11].copy_from_slice(&counter.to_be_bytes());
    nonce[11] = u8::from(is_last);
    let sealing =
        aead.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut plaintext);
    sealing.expect("a chunk can be sealed");
    let said_last = is_last != (flags & flag::LIE_ABOUT_LAST != 0);
    let length = u32::try_from(plaintext.len()).expect("a chunk is short");
    pack.extend_from_slice(&(length | if said_last { 1 << 31 } else { 0 }).to_be_bytes());
    pack.extend_from_slice(&plaintext);
}

/// An honest pack and a list of changes: what is accepted is the beginning of what was sealed. Half of the frames are
/// sealed by our writer; the others have many short chunks, so that there is much to put in another order.
fn changed_on_the_way(script: &mut Script<'_>) {
    let id = PackId::from_random(ID);
    let mut units = vec![pack_header(&id, &key()).to_vec()];
    let mut honest = Vec::new();
    for index in 0..u32::from(script.byte() % 3) + 1 {
        let (filling, length, how) = (script.byte(), script.number(), script.byte());
        // Mostly short, because long ones cost time; now and then more than one chunk.
        let length = match how % 16 {
            1 => length,
            2 => length * 2,
            _ => length % 300,
        };
        let (data_set, salt) = (vec![filling; length], [script.byte(); 16]);
        let (description, mut frame) = (honest_description(), Vec::new());
        let mut sealer = FrameSealer::new(&key(), &id, index, salt, &description, &mut frame);
        sealer.write(&data_set, &mut frame).expect("short enough");
        let summary = sealer.finish(&mut frame).expect("short enough");
        units.extend(if how & 16 == 0 {
            in_units(&frame)
        } else {
            in_short_chunks(&id, index, salt, &data_set)
        });
        let description = if how & 16 == 0 { description } else { short_description() };
        honest.push((description, summary));
    }
    let original = units.concat();
    for _ in 0..MOST_CHANGES {
        if !script.is_empty() {
            change(script, &mut units);
        }
    }
    let pack = units.concat();
    let (accepted, end) = read(&pack);
    only_the_beginning(&honest, &accepted);
    if end.is_ok() {
        assert!(original.starts_with(&pack), "a changed pack was accepted to its end");
    }
    if original == pack {
        assert_eq!((accepted.len(), end), (honest.len(), Ok(())), "an honest pack was refused");
    }
}

/// A frame as its header and its chunks.
fn in_units(frame: &[u8]) -> Vec<Vec<u8>> {
    let (header, mut rest) = frame.split_at(FRAME_HEADER_LEN);
    let mut units = vec![header.to_vec()];
    while let Some((head, _)) = rest.split_first_chunk::<CHUNK_HEAD_LEN>() {
        let length = CHUNK_HEAD_LEN + ChunkHead::parse(*head).expect("our own chunk").sealed_len;
        let (chunk, after) = rest.split_at(length);
        units.push(chunk.to_vec());
        rest = after;
    }
    units
}

/// An honest frame of another writer, in some 64 chunks at most, or of 8 bytes each.
fn in_short_chunks(id: &PackId, index: u32, salt: [u8; 16], data_set: &[u8]) -> Vec<Vec<u8>> {
    let aead = frame_key(id, index, &salt);
    let mut units = vec![[b"FRM1\0\0\0\0".as_slice(), &salt].concat()];
    let trailer =
        [(data_set.len() as u64).to_be_bytes().as_slice(), Digest::of(data_set).as_bytes()].concat();
    let size = (data_set.len() / 64).max(8);
    let mut pieces: Vec<Vec<u8>> = data_set.chunks(size).map(<[u8]>::to_vec).collect();
    pieces.insert(0, HONEST_DESCRIPTION.to_vec());
    pieces.push(trailer);
    let last = pieces.len() - 1;
    for (at, piece) in pieces.into_iter().enumerate() {
        let mut sealed = Vec::new();
        let flags = if at == last { flag::LAST } else { 0 };
        seal_chunk(&aead, u32::try_from(at).expect("few chunks"), flags, piece, &mut sealed);
        units.push(sealed);
    }
    units
}

/// What [`HONEST_DESCRIPTION`] says.
fn short_description() -> InstanceDescription {
    InstanceDescription {
        sop_class: "1.2".parse().expect("a UID"),
        sop_instance: "1.3".parse().expect("a UID"),
        transfer_syntax: "1.4".parse().expect("a UID"),
        study: None,
        series: Some("1.5".parse().expect("a UID")),
        source_ae: "AE".parse().expect("an AE title"),
    }
}

fn only_the_beginning(honest: &[Accepted], accepted: &[Accepted]) {
    assert!(honest.starts_with(accepted), "a changed frame was accepted");
}

/// One change: to the bytes of a unit (a header, a chunk), or to the order of the units.
fn change(script: &mut Script<'_>, units: &mut Vec<Vec<u8>>) {
    let (what, first, second) = (script.byte(), script.byte(), script.byte());
    let (first, second) = (usize::from(first) % units.len(), usize::from(second) % units.len());
    match what % 7 {
        0 => {
            let (at, change) = (script.number(), script.byte());
            let unit = &mut units[first];
            let length = unit.len().max(1);
            if let Some(byte) = unit.get_mut(at % length) {
                *byte ^= change;
            }
        }
        1 => {
            let length = script.number();
            units[first].truncate(length);
        }
        2 => units[first].extend_from_slice(script.take(second % 64)),
        3 => units.swap(first, second),
        4 => units.insert(first, units[second].clone()),
        5 => units.truncate(first.max(1)),
        _ => {
            if units.len() > 1 {
                units.remove(first);
            }
        }
    }
}

fn honest_description() -> InstanceDescription {
    InstanceDescription {
        sop_class: "1.2.840.10008.5.1.4.1.1.2".parse().expect("a UID"),
        sop_instance: "1.2.826.0.1.3680043.10.9.1".parse().expect("a UID"),
        transfer_syntax: "1.2.840.10008.1.2.1".parse().expect("a UID"),
        study: Some("1.2.826.0.1.3680043.10.9".parse().expect("a UID")),
        series: None,
        source_ae: "MODALITY".parse().expect("an AE title"),
    }
}

/// Inputs to begin with.
pub(crate) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let id = PackId::from_random(ID);
    let mut pack = vec![0];
    pack.extend_from_slice(&pack_header(&id, &key()));
    for index in 0..2_u8 {
        let mut sealer =
            FrameSealer::new(&key(), &id, index.into(), [index; 16], &honest_description(), &mut pack);
        sealer.write(b"data set", &mut pack).expect("short enough");
        sealer.finish(&mut pack).expect("short enough");
    }
    let described = flag::LAST | flag::DESCRIBED | flag::RIGHT_TRAILER;
    let own_description = [&[1_u8, 1, flag::LAST, 0, 61][..], &HONEST_DESCRIPTION, &[0; 40]].concat();
    vec![
        ("two-frames", pack),
        ("hostile-one-chunk", vec![1, 1, described, 0, 4, 1, 2, 3, 4]),
        ("hostile-two-frames", vec![1, 1, described | flag::NEXT_FRAME, 0, 1, 9, 2, described, 0, 1, 9]),
        (
            "hostile-long-chunks",
            vec![1, 1, flag::DESCRIBED | flag::LONG, 0, 0, flag::LAST | flag::RIGHT_TRAILER, 0, 1, 7],
        ),
        ("hostile-own-description", own_description),
        ("hostile-liar", vec![1, 1, described | flag::LIE_ABOUT_LAST, 0, 1, 9, flag::WRONG_COUNTER, 0, 1, 9]),
        ("unchanged", vec![2, 2, 7, 0, 9, 0, 1, 8, 255, 255, 2, 2, 9, 0, 40, 16, 3]),
        ("one-bit", vec![2, 0, 7, 0, 9, 16, 1, 0, 2, 0, 0, 6, 1]),
        ("cut", vec![2, 0, 7, 0, 9, 16, 1, 1, 2, 0, 0, 7]),
        ("doubled", vec![2, 0, 7, 0, 40, 16, 1, 4, 3, 4]),
        ("swapped", vec![2, 1, 7, 0, 9, 0, 1, 7, 0, 40, 16, 1, 3, 1, 4]),
        ("without-one", vec![2, 0, 7, 0, 40, 16, 1, 6, 4]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(seed: &str) -> usize {
        let seeds = seeds();
        let (_, input) = seeds.iter().find(|(name, _)| *name == seed).expect("a seed");
        match input[0] {
            0 => read(&input[1..]).0.len(),
            _ => by_a_hostile_sender(&mut Script(&input[1..])),
        }
    }

    #[test]
    fn the_seeds_get_past_authentication() {
        assert_eq!(accepted("two-frames"), 2);
        assert_eq!(accepted("hostile-one-chunk"), 1);
        assert_eq!(accepted("hostile-two-frames"), 2);
        assert_eq!(accepted("hostile-long-chunks"), 1);
        assert_eq!(accepted("hostile-liar"), 0);
    }

    #[test]
    fn an_honest_pack_in_short_chunks_is_accepted() {
        // Two frames of seven chunks, nothing changed; the target itself compares.
        changed_on_the_way(&mut Script(&[1, 7, 0, 40, 16, 1, 7, 0, 40, 16, 1]));
        let id = PackId::from_random(ID);
        let frame = in_short_chunks(&id, 0, [1; 16], &[7; 40]);
        assert_eq!(frame.len(), 8, "a header, a description, five pieces, a trailer");
    }

    #[test]
    #[should_panic(expected = "a changed frame was accepted")]
    fn a_reader_that_accepts_what_was_not_sealed_is_noticed() {
        let honest =
            vec![(honest_description(), FrameSummary { data_set_len: 0, data_set_digest: Digest::of(b"") })];
        let other =
            vec![(honest_description(), FrameSummary { data_set_len: 1, data_set_digest: Digest::of(b"x") })];
        only_the_beginning(&honest, &other);
    }
}
