//! Vectors of packs. Keys and salts are fixed, so these are the same each time.

use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Value, json};

use super::{case, hand};

/// Id of the pack that the vectors start from.
pub const PACK_ID: [u8; 16] = *b"a pack's own id.";
/// Its key.
pub const PACK_KEY: [u8; 32] = *b"thirty-two bytes of no real use!";
const SALTS: [[u8; 16]; 2] = [[0x21; 16], [0x22; 16]];
/// Data sets of its two instances: not DICOM, because nothing here looks inside.
pub const DATA_SETS: [&[u8]; 2] = [b"first data set, in three chunks", b"second"];
/// What the instances say about themselves.
pub const DESCRIPTIONS: [[&str; 6]; 2] = [
    [
        "1.2.840.10008.5.1.4.1.1.2",
        "1.2.826.0.1.3680043.10.9.1",
        "1.2.840.10008.1.2.1",
        "1.2.826.0.1.3680043.10.9",
        "1.2.826.0.1.3680043.10.9.0",
        "CT1",
    ],
    [
        "1.2.840.10008.5.1.4.1.1.7",
        "1.2.826.0.1.3680043.10.9.2",
        "1.2.840.10008.1.2",
        "",
        "",
        "A LONG AE TITLE1",
    ],
];

/// One frame, in pieces that a vector may rearrange.
struct Frame {
    header: Vec<u8>,
    chunks: Vec<Vec<u8>>,
}

impl Frame {
    fn bytes(&self) -> Vec<u8> {
        [self.header.clone(), self.chunks.concat()].concat()
    }
}

/// Seals plaintext chunks, the last one marked as such.
fn frame(id: &[u8; 16], index: u32, salt: &[u8; 16], plaintext: &[&[u8]]) -> Frame {
    let key = hand::frame_key(&PACK_KEY, id, index, 0, salt);
    let chunks = plaintext.iter().enumerate().map(|(at, piece)| {
        let counter = u32::try_from(at).expect("few chunks");
        hand::chunk(&key, counter, at + 1 == plaintext.len(), piece)
    });
    Frame { header: hand::frame_header(salt), chunks: chunks.collect() }
}

/// The first frame in three short chunks: a reader accepts every length that the format allows.
fn first(id: &[u8; 16], index: u32) -> Frame {
    let data = DATA_SETS[0];
    let start = [hand::description(DESCRIPTIONS[0]).as_slice(), &data[..5]].concat();
    let end = [&data[20..], &hand::trailer(data)].concat();
    frame(id, index, &SALTS[0], &[&start, &data[5..20], &end])
}

/// The second frame in one chunk.
fn second(id: &[u8; 16], index: u32) -> Frame {
    let plaintext =
        [hand::description(DESCRIPTIONS[1]), DATA_SETS[1].to_vec(), hand::trailer(DATA_SETS[1])].concat();
    frame(id, index, &SALTS[1], &[&plaintext])
}

/// The good pack: header and two frames, with the place of each frame.
pub fn good() -> (Vec<u8>, [(usize, usize); 2]) {
    let header = hand::pack_header(&PACK_ID, &PACK_KEY);
    let frames = [first(&PACK_ID, 0).bytes(), second(&PACK_ID, 1).bytes()];
    let places = [(header.len(), frames[0].len()), (header.len() + frames[0].len(), frames[1].len())];
    ([header, frames.concat()].concat(), places)
}

fn fields(pack: &[u8], frames: usize) -> Value {
    json!({ "pack": BASE64.encode(pack), "key": HEXLOWER.encode(&PACK_KEY), "frames": frames })
}

fn instances() -> Value {
    let instances = DESCRIPTIONS.iter().zip(DATA_SETS).map(|(fields, data)| {
        json!({
            "sop_class": fields[0],
            "sop_instance": fields[1],
            "transfer_syntax": fields[2],
            "study": fields[3],
            "series": fields[4],
            "source_ae": fields[5],
            "data_set": HEXLOWER.encode(data),
        })
    });
    instances.collect()
}

/// Every pack vector.
pub fn all() -> Value {
    let mut cases = vec![opens(), full_chunks()];
    cases.extend(cut_short());
    cases.extend(headers());
    cases.extend(chunks_out_of_place());
    cases.extend(frames_out_of_place());
    cases.extend(authentic_but_wrong_inside());
    json!({
        "about": "Packs under one fixed key. `frames` is how many the letter lists; a reader opens that many, from \
                  index 0, and nothing may follow them.",
        "cases": cases,
    })
}

/// The good pack, with every derived value.
fn opens() -> Value {
    let mut fields = fields(&good().0, 2);
    fields["instances"] = instances();
    fields["derived"] = json!({
        "pack_id": HEXLOWER.encode(&PACK_ID),
        "commitment": HEXLOWER.encode(&hand::derive(&PACK_KEY, &PACK_ID, b"beeldbox/1 pack commitment")),
        "frame_keys": [
            HEXLOWER.encode(&hand::frame_key(&PACK_KEY, &PACK_ID, 0, 0, &SALTS[0])),
            HEXLOWER.encode(&hand::frame_key(&PACK_KEY, &PACK_ID, 1, 0, &SALTS[1])),
        ],
        "nonces_of_frame_0": [
            HEXLOWER.encode(&hand::chunk_nonce(0, false)),
            HEXLOWER.encode(&hand::chunk_nonce(1, false)),
            HEXLOWER.encode(&hand::chunk_nonce(2, true)),
        ],
    });
    case(
        "two-frames",
        "the pack that the others are made from: one frame of three chunks, one of one",
        "opens",
        fields,
    )
}

/// A frame as a writer makes it, too long to store: its digest is.
fn full_chunks() -> Value {
    let lengths = [0_usize, 1, 65_366, 65_367, 65_406, 65_407, 65_536, 65_537, 131_072];
    let frames = lengths.map(|length| {
        let data: Vec<u8> = (0..=250_u8).cycle().take(length).collect();
        let mut plaintext = [hand::description(DESCRIPTIONS[0]), data.clone()].concat();
        // The trailer never straddles two chunks.
        let mut pieces: Vec<Vec<u8>> = Vec::new();
        while plaintext.len() >= 65_536 {
            let rest = plaintext.split_off(65_536);
            pieces.push(plaintext);
            plaintext = rest;
        }
        if plaintext.len() + 40 > 65_536 {
            pieces.push(std::mem::take(&mut plaintext));
        }
        plaintext.extend_from_slice(&hand::trailer(&data));
        pieces.push(plaintext);
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let sealed = frame(&PACK_ID, 0, &SALTS[0], &pieces).bytes();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &sealed);
        json!({ "data_set_len": length, "frame_len": sealed.len(), "frame_sha256": HEXLOWER.encode(digest.as_ref()) })
    });
    let fields = json!({
        "key": HEXLOWER.encode(&PACK_KEY),
        "pack_id": HEXLOWER.encode(&PACK_ID),
        "salt": HEXLOWER.encode(&SALTS[0]),
        "index": 0,
        "instance": instances()[0],
        "frames": frames,
    });
    let about = "what a writer makes of a data set 00 01 … fa 00 01 … of each length, described as the first instance; \
                 too long to store, so their SHA-256 stands here";
    case("full-chunks", about, "writes", fields)
}

fn cut_short() -> Vec<Value> {
    let (pack, places) = good();
    let (first_frame, second_frame) = (places[0].0, places[1].0);
    let chunk_two = first_frame + 24 + first(&PACK_ID, 0).chunks[0].len();
    let cut =
        |name: &str, about: &str, at: usize| case(name, about, "refused: truncated", fields(&pack[..at], 2));
    vec![
        cut("nothing-at-all", "no bytes", 0),
        cut("cut-in-the-pack-header", "63 of its 64 bytes", 63),
        cut("cut-after-the-pack-header", "no frame where two are listed", 64),
        cut("cut-in-a-frame-header", "23 of its 24 bytes", first_frame + 23),
        cut("cut-after-a-frame-header", "no chunk follows", first_frame + 24),
        cut("cut-in-a-chunk-head", "3 of its 4 bytes", first_frame + 27),
        cut("cut-in-a-chunk", "in the middle of the ciphertext", first_frame + 60),
        cut(
            "cut-at-a-chunk-boundary",
            "the first of three chunks is whole, the others are missing",
            chunk_two,
        ),
        cut("cut-before-the-last-byte", "one byte of the last tag is missing", pack.len() - 1),
        cut(
            "cut-at-a-frame-boundary",
            "the first frame is whole; only the list in the letter tells that one is missing",
            second_frame,
        ),
    ]
}

fn headers() -> Vec<Value> {
    let (pack, places) = good();
    let with = |at: usize, byte: u8| {
        let mut changed = pack.clone();
        changed[at] = byte;
        fields(&changed, 2)
    };
    let mut wrong_key = fields(&pack, 2);
    wrong_key["key"] = json!(HEXLOWER.encode(&[0x44; 32]));
    let frame_at = places[0].0;
    vec![
        case("magic-of-the-pack", "another kind of file", "refused: not-a-pack", with(0, b'b')),
        case("suite-unknown", "suite 2", "refused: unknown-suite", with(9, 2)),
        case("suite-zero", "suite 0", "refused: unknown-suite", with(9, 0)),
        case("pack-reserved-bytes", "the first reserved byte is 1", "refused: reserved-in-use", with(10, 1)),
        case(
            "pack-reserved-bytes-last",
            "the last reserved byte is 1",
            "refused: reserved-in-use",
            with(15, 1),
        ),
        case("wrong-key", "the key of another pack: told apart from damage", "refused: wrong-key", wrong_key),
        case("pack-id-changed", "the commitment binds the id", "refused: wrong-key", with(16, b'A')),
        case("commitment-changed", "one byte of it", "refused: wrong-key", with(63, pack[63] ^ 1)),
        case(
            "magic-of-the-frame",
            "no frame where one must be",
            "refused: not-a-frame",
            with(frame_at, b'f'),
        ),
        case("codec-unknown", "codec 1", "refused: unknown-codec", with(frame_at + 4, 1)),
        case(
            "frame-reserved-bytes",
            "byte 7 of the frame header is 1",
            "refused: reserved-in-use",
            with(frame_at + 7, 1),
        ),
        case(
            "salt-changed",
            "another frame key",
            "refused: chunk-does-not-authenticate",
            with(frame_at + 8, 0),
        ),
    ]
}

fn chunks_out_of_place() -> Vec<Value> {
    let header = hand::pack_header(&PACK_ID, &PACK_KEY);
    let whole = first(&PACK_ID, 0);
    let with = |chunks: &[&[u8]]| {
        let pack =
            [header.clone(), whole.header.clone(), chunks.concat(), second(&PACK_ID, 1).bytes()].concat();
        fields(&pack, 2)
    };
    let flagged = |chunk: &[u8]| {
        let mut chunk = chunk.to_vec();
        chunk[0] ^= 0x80;
        chunk
    };
    let sized = |length: u32| {
        let mut chunk = length.to_be_bytes().to_vec();
        chunk.resize(4 + 70_000, 0);
        chunk
    };
    let [one, two, three] = [&whole.chunks[0], &whole.chunks[1], &whole.chunks[2]].map(Vec::as_slice);
    let unsealed = "refused: chunk-does-not-authenticate";
    let bounds = "refused: chunk-length";
    vec![
        case("chunks-swapped", "second and third", unsealed, with(&[one, three, two])),
        case("chunk-repeated", "the second twice", unsealed, with(&[one, two, two, three])),
        case("chunk-left-out", "the second is missing", unsealed, with(&[one, three])),
        case("first-chunk-left-out", "the frame begins with its second chunk", unsealed, with(&[two, three])),
        case(
            "last-flag-set-early",
            "the second chunk claims to be the last",
            unsealed,
            with(&[one, &flagged(two)]),
        ),
        case(
            "last-flag-cleared",
            "the last chunk claims that more follow",
            unsealed,
            with(&[one, two, &flagged(three)]),
        ),
        case(
            "chunk-after-the-last",
            "a chunk where a frame must begin",
            "refused: not-a-frame",
            with(&[one, two, three, three]),
        ),
        case("chunk-of-sixteen", "a tag and no ciphertext", bounds, with(&[&sized(16)[..20]])),
        case("chunk-of-zero", "not even a tag", bounds, with(&[&sized(0)[..4]])),
        case("chunk-too-long", "65,553 bytes", bounds, with(&[&sized(65_553)[..100]])),
        case(
            "chunk-length-with-high-bits",
            "a length with bit 30 set",
            bounds,
            with(&[&sized(1 << 30 | 33)[..100]]),
        ),
        case(
            "bytes-after-the-last-frame",
            "one zero byte",
            "refused: not-a-frame",
            fields(&[good().0, vec![0]].concat(), 2),
        ),
    ]
}

fn frames_out_of_place() -> Vec<Value> {
    let header = hand::pack_header(&PACK_ID, &PACK_KEY);
    let with = |frames: &[&Frame]| {
        let frames: Vec<u8> = frames.iter().flat_map(|frame| frame.bytes()).collect();
        fields(&[header.clone(), frames].concat(), 2)
    };
    let other_id = *b"another pack's i";
    let unsealed = "refused: chunk-does-not-authenticate";
    let (first_frame, second_frame) = (first(&PACK_ID, 0), second(&PACK_ID, 1));
    let other_key = hand::frame_key(&[0x44; 32], &PACK_ID, 1, 0, &SALTS[1]);
    let foreign = Frame {
        header: hand::frame_header(&SALTS[1]),
        chunks: vec![hand::chunk(&other_key, 0, true, &hand::description(DESCRIPTIONS[1]))],
    };
    vec![
        case("frames-swapped", "each at the other's index", unsealed, with(&[&second_frame, &first_frame])),
        case(
            "frame-repeated",
            "the first frame again at index 1",
            unsealed,
            with(&[&first_frame, &first_frame]),
        ),
        case("frame-left-out", "the second frame at index 0", unsealed, with(&[&second_frame])),
        case(
            "frame-of-another-pack",
            "same key, index and salt, but the other pack's id",
            unsealed,
            with(&[&first_frame, &second(&other_id, 1)]),
        ),
        case(
            "frame-under-another-key",
            "a frame of another pack key",
            unsealed,
            with(&[&first_frame, &foreign]),
        ),
    ]
}

/// What only the holder of the key can make: a faulty or hostile sender.
fn authentic_but_wrong_inside() -> Vec<Value> {
    let header = hand::pack_header(&PACK_ID, &PACK_KEY);
    let with = |plaintext: &[&[u8]]| {
        fields(&[header.clone(), frame(&PACK_ID, 0, &SALTS[0], plaintext).bytes()].concat(), 1)
    };
    let said = hand::description(DESCRIPTIONS[0]);
    let data = DATA_SETS[1];
    let end = hand::trailer(data);
    let one = |description: &[u8], data: &[u8], end: &[u8]| with(&[&[description, data, end].concat()]);
    let (mut other_version, mut too_long) = (said.clone(), said.clone());
    other_version[0] = 2;
    too_long[1] = 0xff;
    let named = |at: usize, text: &'static str| {
        let mut fields = DESCRIPTIONS[0];
        fields[at] = text;
        hand::description(fields)
    };
    let (mut longer, mut other_digest) = (end.clone(), end.clone());
    longer[7] += 1;
    other_digest[39] ^= 1;
    let (text, differs) = ("refused: description", "refused: data-set-differs");
    vec![
        case("description-of-another-version", "version 2", text, one(&other_version, data, &end)),
        case("description-cut-short", "a field longer than the chunk", text, one(&too_long, &[], &[])),
        case(
            "description-across-two-chunks",
            "it must stand in the first chunk as a whole",
            text,
            with(&[&said[..10], &[&said[10..], data, &end].concat()]),
        ),
        case("description-without-sop-class", "an empty SOP class", text, one(&named(0, ""), data, &end)),
        case(
            "description-with-a-path",
            "a SOP instance that is no UID",
            text,
            one(&named(1, "../../etc/passwd"), data, &end),
        ),
        case(
            "description-with-a-long-ae-title",
            "17 characters",
            text,
            one(&named(5, "SEVENTEEN LETTERS"), data, &end),
        ),
        case("length-differs", "one more than there is", differs, one(&said, data, &longer)),
        case("digest-differs", "of another data set", differs, one(&said, data, &other_digest)),
        case(
            "trailer-missing",
            "the last chunk is shorter than a trailer",
            differs,
            one(&said, &[], &end[..39]),
        ),
        case(
            "trailer-across-two-chunks",
            "it must stand in the last chunk as a whole",
            differs,
            with(&[&[said.as_slice(), data, &end[..8]].concat(), &end[8..]]),
        ),
    ]
}
