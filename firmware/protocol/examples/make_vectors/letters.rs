//! Vectors of letters.

use beeldbox_protocol::ident::Digest;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::{Value, json};

use super::hand::{self, HandLetter};
use super::packs;
use super::pki::{ADDRESSEE, AT, Authority, OTHER_SEED, SEED, SENDER, STRANGER, Signer};
use super::{case, signed};

/// The transfer, as bytes and as text.
pub const TRANSFER: [u8; 16] =
    [0x6f, 0x1c, 0x2d, 0x3e, 0x4f, 0x5a, 0x4b, 0x6c, 0x8d, 0x7e, 0x8f, 0x90, 0xa1, 0xb2, 0xc3, 0xd4];
pub const TRANSFER_TEXT: &str = "6f1c2d3e-4f5a-4b6c-8d7e-8f90a1b2c3d4";
const OTHER_TRANSFER: [u8; 16] = [0x77; 16];
const OTHER_TRANSFER_TEXT: &str = "77777777-7777-7777-7777-777777777777";
const TYP: &str = "beeldbox-letter+jws";

/// The content of the good letter: it describes the good pack.
fn content() -> Value {
    let (pack, places) = packs::good();
    let instances = places.iter().enumerate().map(|(at, (offset, length))| {
        let [class, instance, syntax, study, series, _] = packs::DESCRIPTIONS[at];
        let mut listed = json!({
            "class": class,
            "instance": instance,
            "syntax": syntax,
            "size": packs::DATA_SETS[at].len(),
            "sha256": Digest::of(packs::DATA_SETS[at]).to_string(),
            "pack": 0,
            "frame": at,
            "at": offset,
            "sealed": length,
        });
        if !study.is_empty() {
            listed["study"] = json!(study);
            listed["series"] = json!(series);
        }
        listed
    });
    json!({
        "v": 1,
        "transfer": TRANSFER_TEXT,
        "sender": { "ura": SENDER, "organisation": "Proefziekenhuis Noord" },
        "addressee": { "ura": ADDRESSEE, "organisation": "Proefziekenhuis Zuid", "addressee": "zuid-radiologie" },
        "written_at": "2026-11-23T09:00:00Z",
        "valid_until": "2126-01-01T00:00:00Z",
        "urgent": false,
        "patient": { "name": "Proef^Petra", "id": "P1", "birth_date": "19700101", "sex": "F" },
        "studies": [{ "study": packs::DESCRIPTIONS[0][3], "modalities": ["CT"], "series": 1, "instances": 2,
                      "size_bytes": packs::DATA_SETS[0].len() + packs::DATA_SETS[1].len() }],
        "note": "vector",
        "instances": instances.collect::<Vec<Value>>(),
        "packs": [{
            "id": data_encoding::HEXLOWER.encode(&packs::PACK_ID),
            "key": BASE64URL_NOPAD.encode(&packs::PACK_KEY),
            "len": pack.len(),
            "parts": [{ "sha256": Digest::of(&pack).to_string(), "len": pack.len() }],
        }],
    })
}

fn sign(content: &Value, signer: &Signer) -> String {
    let payload = serde_json::to_vec(content).expect("JSON");
    hand::jws(&hand::jws_header(TYP, &signer.chain), &payload, &signer.pkcs8)
}

/// Seals a body to the addressee as it should be.
fn seal(plaintext: Vec<u8>) -> Vec<u8> {
    let ours = hand::public_key(&SEED);
    HandLetter { transfer: TRANSFER, ura: ADDRESSEE, recipients: vec![&ours], plaintext }.seal()
}

fn fields(letter: &[u8]) -> Value {
    json!({ "letter": BASE64.encode(letter), "transfer": TRANSFER_TEXT, "ura": ADDRESSEE, "at": AT })
}

/// Every letter vector.
pub fn all(authority: &Authority) -> Value {
    let good = seal(hand::padded(&sign(&content(), &authority.sender)));
    let mut cases = opens(authority, &good);
    cases.extend(malformed(&good));
    cases.extend(readdressed(authority, &good));
    cases.extend(bodies(authority, &good));
    cases.extend(signatures(authority));
    cases.extend(senders(authority));
    cases.extend(contents(authority));
    cases.extend(lists(authority));
    json!({
        "about": "Letters, opened with the recipient seed, anchor and revocation list of authority.json, for the \
                  transfer, URA and time of each case.",
        "cases": cases,
    })
}

fn opens(authority: &Authority, good: &[u8]) -> Vec<Value> {
    let (ours, other) = (hand::public_key(&SEED), hand::public_key(&OTHER_SEED));
    let body = |signer: &Signer| hand::padded(&sign(&content(), signer));
    let two = HandLetter {
        transfer: TRANSFER,
        ura: ADDRESSEE,
        recipients: vec![&other, &ours],
        plaintext: body(&authority.sender),
    };
    let mut later = content();
    later["a_later_member"] = json!("ignored");
    let mut described = fields(good);
    described["content"] = content();
    described["letter_sha256"] = json!(Digest::of(good).to_string());
    let good_case = |name: &str, about: &str, letter: &[u8]| case(name, about, "opens", fields(letter));
    vec![
        case("good", "one recipient, a chain of one; lists the pack two-frames", "opens", described),
        good_case("two-recipients", "our stanza is the second", &two.seal()),
        good_case(
            "intermediate-certificate",
            "x5c holds two",
            &seal(body(&authority.sender_by_intermediate)),
        ),
        good_case("ura-in-a-urn", "urn:oid:2.16.528.1.1007.3.3.…", &seal(body(&authority.sender_by_urn))),
        good_case(
            "unknown-member",
            "a later minor addition is passed over",
            &seal(hand::padded(&sign(&later, &authority.sender))),
        ),
    ]
}

fn malformed(good: &[u8]) -> Vec<Value> {
    let refused = "refused: malformed";
    let with = |at: usize, byte: u8| {
        let mut changed = good.to_vec();
        changed[at] = byte;
        fields(&changed)
    };
    let cut = |name: &str, about: &str, length: usize| case(name, about, refused, fields(&good[..length]));
    vec![
        cut("nothing-at-all", "no bytes", 0),
        cut("cut-in-the-head", "27 of its 28 bytes", 27),
        cut("cut-in-the-stanza", "one byte of the stanza is missing", 28 + 1199),
        cut("cut-before-the-body", "no body", 28 + 1200),
        cut("body-of-a-tag", "16 bytes of body", 28 + 1216),
        case(
            "cut-in-the-body",
            "one byte is missing",
            "refused: does-not-authenticate",
            fields(&good[..good.len() - 1]),
        ),
        case(
            "byte-appended",
            "one zero byte more",
            "refused: does-not-authenticate",
            fields(&[good, &[0]].concat()),
        ),
        case("magic", "another kind of file", refused, with(0, b'b')),
        case("suite-unknown", "suite 2", "refused: unknown-suite", with(9, 2)),
        case("no-stanzas", "their number is 0", refused, with(11, 0)),
        case("seventeen-stanzas", "one more than allowed", refused, with(11, 17)),
        case("more-stanzas-than-bytes", "16 are announced, one is there", refused, with(11, 16)),
    ]
}

fn readdressed(authority: &Authority, good: &[u8]) -> Vec<Value> {
    let body = hand::padded(&sign(&content(), &authority.sender));
    let (ours, other) = (hand::public_key(&SEED), hand::public_key(&OTHER_SEED));
    let to_other =
        HandLetter { transfer: TRANSFER, ura: ADDRESSEE, recipients: vec![&other], plaintext: body.clone() }
            .seal();
    let mut relabelled = to_other.clone();
    relabelled[28..60].copy_from_slice(Digest::of(&ours).as_bytes());
    let mut foreign_stanza = seal(body.clone());
    foreign_stanza[28..28 + 1200].copy_from_slice(&good[28..28 + 1200]);
    let mut other_head = good.to_vec();
    other_head[12..28].copy_from_slice(&OTHER_TRANSFER);
    let mut shown_for_other = fields(&other_head);
    shown_for_other["transfer"] = json!(OTHER_TRANSFER_TEXT);
    let mut old_letter = fields(good);
    old_letter["transfer"] = json!(OTHER_TRANSFER_TEXT);
    let mut other_reader = fields(good);
    other_reader["ura"] = json!(STRANGER);
    let resealed = |transfer: [u8; 16], content: &Value| {
        let plaintext = hand::padded(&sign(content, &authority.sender));
        HandLetter { transfer, ura: ADDRESSEE, recipients: vec![&ours], plaintext }.seal()
    };
    let mut to_stranger = content();
    to_stranger["addressee"]["ura"] = json!(STRANGER);
    let mut moved = fields(&resealed(OTHER_TRANSFER, &content()));
    moved["transfer"] = json!(OTHER_TRANSFER_TEXT);
    let unsealed = "refused: does-not-authenticate";
    vec![
        case(
            "sealed-to-another-key",
            "its only stanza is for somebody else",
            "refused: not-for-our-key",
            fields(&to_other),
        ),
        case(
            "stanza-relabelled",
            "the key id of another's stanza overwritten with ours",
            unsealed,
            fields(&relabelled),
        ),
        case(
            "stanza-of-another-letter",
            "a stanza of the same transfer, to us, with another letter key",
            unsealed,
            fields(&foreign_stanza),
        ),
        case(
            "transfer-id-swapped",
            "in the head, read for the transfer it was written for",
            "refused: other-transfer",
            fields(&other_head),
        ),
        case(
            "transfer-id-swapped-and-believed",
            "in the head, read for the transfer it now names",
            unsealed,
            shown_for_other,
        ),
        case(
            "old-letter-in-a-new-envelope",
            "the good letter, read for another transfer",
            "refused: other-transfer",
            old_letter,
        ),
        case(
            "read-for-another-ura",
            "the same key in the hands of another care provider",
            unsealed,
            other_reader,
        ),
        case(
            "addressed-to-another-ura",
            "a letter to somebody else, opened by its recipient and sealed again to us",
            "refused: addressed-to-someone-else",
            fields(&resealed(TRANSFER, &to_stranger)),
        ),
        case(
            "content-of-another-transfer",
            "sealed again under a new transfer by a former recipient",
            "refused: other-transfer",
            moved,
        ),
    ]
}

fn bodies(authority: &Authority, good: &[u8]) -> Vec<Value> {
    let jws = sign(&content(), &authority.sender);
    let mut changed = good.to_vec();
    changed[28 + 1200 + 100] ^= 1;
    let mut not_zero = hand::padded(&jws);
    *not_zero.last_mut().expect("a body") = 1;
    let longer = [hand::padded(&jws), vec![0; 4096]].concat();
    let unpadded = hand::padded(&jws)[..4 + jws.len()].to_vec();
    let mut beyond = hand::padded(&jws);
    beyond[..4].copy_from_slice(&u32::MAX.to_be_bytes());
    let refused = "refused: malformed";
    vec![
        case("body-changed", "one bit", "refused: does-not-authenticate", fields(&changed)),
        case("padding-not-zero", "its last byte is 1", refused, fields(&seal(not_zero))),
        case("padding-too-long", "4096 zeros more than needed", refused, fields(&seal(longer))),
        case("padding-missing", "not a multiple of 4096", refused, fields(&seal(unpadded))),
        case("length-beyond-the-body", "a length of 2^32 - 1", refused, fields(&seal(beyond))),
        case("body-of-three-bytes", "shorter than its length field", refused, fields(&seal(vec![0; 3]))),
    ]
}

fn signatures(authority: &Authority) -> Vec<Value> {
    let signer = &authority.sender;
    let payload = serde_json::to_vec(&content()).expect("JSON");
    let header = |member: &str, value: Value| {
        let mut header = hand::jws_header(TYP, &signer.chain);
        header[member] = value;
        fields(&seal(hand::padded(&hand::jws(&header, &payload, &signer.pkcs8))))
    };
    signed::headers("sender-", TYP, &header)
        .into_iter()
        .chain(signed::broken("sender-", &sign(&content(), signer), &|jws| fields(&seal(hand::padded(jws)))))
        .chain([case(
            "signed-by-another-key",
            "the sender's certificate, the stranger's key",
            "refused: sender-bad-signature",
            fields(&seal(hand::padded(&hand::jws(
                &hand::jws_header(TYP, &signer.chain),
                &payload,
                &authority.stranger.pkcs8,
            )))),
        )])
        .collect()
}

fn senders(authority: &Authority) -> Vec<Value> {
    let by = |signer: &Signer| fields(&seal(hand::padded(&sign(&content(), signer))));
    let mut no_chain = hand::jws_header(TYP, &[]);
    let payload = serde_json::to_vec(&content()).expect("JSON");
    let empty = hand::jws(&no_chain, &payload, &authority.sender.pkcs8);
    no_chain = hand::jws_header(TYP, &vec![authority.sender.chain[0].clone(); 7]);
    let seven = hand::jws(&no_chain, &payload, &authority.sender.pkcs8);
    vec![
        case(
            "certificate-self-signed",
            "by nobody else",
            "refused: sender-unknown-issuer",
            by(&authority.self_signed),
        ),
        case(
            "certificate-of-unknown-issuer",
            "another root",
            "refused: sender-unknown-issuer",
            by(&authority.unknown_issuer),
        ),
        case("certificate-expired", "in 2026", "refused: sender-expired", by(&authority.expired)),
        case(
            "certificate-not-yet-valid",
            "before 2100",
            "refused: sender-not-yet-valid",
            by(&authority.not_yet_valid),
        ),
        case(
            "certificate-revoked",
            "its serial is on the list",
            "refused: sender-revoked",
            by(&authority.revoked),
        ),
        case(
            "certificate-without-ura",
            "no subject alternative name",
            "refused: sender-no-ura",
            by(&authority.without_ura),
        ),
        case(
            "certificate-with-two-uras",
            "which one would it be?",
            "refused: sender-no-ura",
            by(&authority.with_two_uras),
        ),
        case(
            "certificate-of-another-ura",
            "genuine, but the content names another sender",
            "refused: sender-ura-differs",
            by(&authority.stranger),
        ),
        case(
            "certificate-for-code-signing",
            "extended key usage without client authentication",
            "refused: sender-unacceptable",
            by(&authority.for_code_signing),
        ),
        case(
            "certificate-of-an-authority",
            "a CA certificate as end entity",
            "refused: sender-unacceptable",
            by(&authority.authority_itself),
        ),
        case(
            "certificate-with-p384-key",
            "ES256 asks for P-256",
            "refused: sender-not-signed",
            by(&authority.p384),
        ),
        case(
            "chain-empty",
            "x5c is []",
            "refused: sender-malformed-chain",
            fields(&seal(hand::padded(&empty))),
        ),
        case(
            "chain-of-seven",
            "one more than allowed",
            "refused: sender-malformed-chain",
            fields(&seal(hand::padded(&seven))),
        ),
    ]
}

fn contents(authority: &Authority) -> Vec<Value> {
    let with = |pointer: &str, value: Value| {
        let mut content = content();
        *content.pointer_mut(pointer).expect("the content has it") = value;
        fields(&seal(hand::padded(&sign(&content, &authority.sender))))
    };
    let text = |text: &str| {
        let header = hand::jws_header(TYP, &authority.sender.chain);
        fields(&seal(hand::padded(&hand::jws(&header, text.as_bytes(), &authority.sender.pkcs8))))
    };
    let twice = content().to_string().replacen(
        "\"transfer\":",
        "\"transfer\":\"77777777-7777-7777-7777-777777777777\",\"transfer\":",
        1,
    );
    let refused = "refused: malformed";
    vec![
        case(
            "expired",
            "valid until an hour before it is opened",
            "refused: expired",
            with("/valid_until", json!("2026-11-23T09:00:00Z")),
        ),
        case("version-unknown", "v is 2", refused, with("/v", json!(2))),
        case("member-twice", "the transfer is named twice", refused, text(&twice)),
        case("not-json", "signed, but no content", refused, text("{")),
        case(
            "pack-key-too-short",
            "31 bytes",
            refused,
            with("/packs/0/key", json!(BASE64URL_NOPAD.encode(&[1; 31]))),
        ),
        case(
            "pack-key-padded",
            "base64url with padding",
            refused,
            with("/packs/0/key", json!(format!("{}=", BASE64URL_NOPAD.encode(&packs::PACK_KEY)))),
        ),
        case(
            "instance-with-a-path",
            "a SOP Instance UID that is no UID",
            refused,
            with("/instances/0/instance", json!("../../etc/passwd")),
        ),
        case(
            "digest-in-upper-case",
            "one spelling only",
            refused,
            with("/instances/0/sha256", json!(Digest::of(b"").to_string().to_uppercase())),
        ),
        case("size-negative", "lengths are unsigned", refused, with("/instances/0/size", json!(-1))),
    ]
}

fn lists(authority: &Authority) -> Vec<Value> {
    let pack_len = packs::good().0.len();
    let edited = |edit: &dyn Fn(&mut Value)| {
        let mut content = content();
        edit(&mut content);
        fields(&seal(hand::padded(&sign(&content, &authority.sender))))
    };
    let with = |pointer: &str, value: Value| {
        edited(&|content| *content.pointer_mut(pointer).expect("the content has it") = value.clone())
    };
    let refuse = |name: &str, about: &str, fields: Value| case(name, about, "refused: inconsistent", fields);
    vec![
        refuse(
            "part-too-short",
            "the parts end before the pack",
            with("/packs/0/parts/0/len", json!(pack_len - 1)),
        ),
        refuse(
            "part-too-long",
            "the parts end after the pack",
            with("/packs/0/parts/0/len", json!(pack_len + 1)),
        ),
        refuse(
            "part-of-zero",
            "a part of no bytes at the end",
            edited(&|content| {
                let empty = json!({ "sha256": Digest::of(b"").to_string(), "len": 0 });
                content["packs"][0]["parts"].as_array_mut().expect("a list").push(empty);
            }),
        ),
        refuse(
            "parts-cut-elsewhere",
            "two parts where one of 8 MiB holds everything",
            edited(&|content| {
                let half = |len: usize| json!({ "sha256": Digest::of(b"").to_string(), "len": len });
                content["packs"][0]["parts"] = json!([half(100), half(pack_len - 100)]);
            }),
        ),
        refuse("no-parts", "a pack of some length without parts", with("/packs/0/parts", json!([]))),
        refuse(
            "pack-twice",
            "the same id again",
            edited(&|content| {
                let pack = content["packs"][0].clone();
                content["packs"].as_array_mut().expect("a list").push(pack);
            }),
        ),
        refuse("pack-not-listed", "an instance in pack 1 of 1", with("/instances/1/pack", json!(1))),
        refuse(
            "instance-past-the-end",
            "it ends one byte behind its pack",
            edited(&|content| {
                let at = content["instances"][1]["at"].as_u64().expect("a number");
                content["instances"][1]["at"] = json!(at + 1);
            }),
        ),
        refuse(
            "instance-wraps-around",
            "place and length add up to more than 2^64",
            with("/instances/1/at", json!(u64::MAX)),
        ),
        refuse("instance-in-the-pack-header", "it begins at byte 63", with("/instances/0/at", json!(63))),
        refuse(
            "instance-longer-than-its-frame",
            "more plaintext than ciphertext",
            with("/instances/1/size", json!(1_000_000)),
        ),
        refuse("two-instances-in-one-frame", "both name frame 0", with("/instances/1/frame", json!(0))),
        refuse("no-instances", "nothing to deliver", with("/instances", json!([]))),
    ]
}
