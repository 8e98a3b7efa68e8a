//! The stored vectors of `tests/vectors/envelope`, read with the code that boxes run.
//!
//! Goal: the sealed formats stay what they are, and what must be refused is refused for the reason written beside it.
//! Method: each file holds cases with an expectation; small good ones are also changed byte by byte.

mod reading;

use std::path::Path;

use beeldbox_protocol::envelope::keys::{Purpose, SecretKey, StorageKey};
use beeldbox_protocol::envelope::letter;
use beeldbox_protocol::envelope::pack::{FrameSealer, PackId};
use beeldbox_protocol::envelope::receipt::{Expected, Receipt};
use beeldbox_protocol::envelope::recipient::{RecipientIdentity, RecipientVerified};
use beeldbox_protocol::envelope::trust::TrustAnchors;
use beeldbox_protocol::ident::{Digest, TransferId, Ura};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use reading::{
    Authority, array, bytes, hex, kind_of_letter_error, kind_of_pack_error, kind_of_trust_error, open_pack,
    text,
};

/// The cases of one file.
fn cases(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/envelope").join(file);
    let content = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let parsed: Value = serde_json::from_slice(&content).expect("a vector file is JSON");
    parsed["cases"].as_array().expect("a vector file has cases").clone()
}

fn case<'a>(cases: &'a [Value], name: &str) -> &'a Value {
    cases.iter().find(|case| case["name"] == name).unwrap_or_else(|| panic!("no vector is called {name}"))
}

/// Reads every case and compares all of them, so that one run shows every difference.
fn compare(file: &str, read: impl Fn(&Value) -> String) {
    let cases = cases(file);
    let differences: Vec<String> = cases
        .iter()
        .filter(|case| case["expect"] != "writes")
        .filter_map(|case| {
            let (expected, found) = (text(case, "expect"), read(case));
            (expected != found)
                .then(|| format!("{}: expected {expected:?}, found {found:?}", text(case, "name")))
        })
        .collect();
    assert!(differences.is_empty(), "{file}:\n{}", differences.join("\n"));
    let refusals = cases.iter().filter(|case| text(case, "expect").starts_with("refused")).count();
    assert!(refusals * 2 > cases.len(), "{file}: most vectors must be refusals");
    let names: std::collections::HashSet<&str> = cases.iter().map(|case| text(case, "name")).collect();
    assert_eq!(names.len(), cases.len(), "{file}: two vectors have one name");
}

fn read_pack(case: &Value) -> String {
    let frames = u32::try_from(case["frames"].as_u64().expect("a number")).expect("few frames");
    match open_pack(&bytes(case, "pack"), &SecretKey::from_bytes(array(case, "key")), frames) {
        Ok(_) => "opens".to_owned(),
        Err(error) => format!("refused: {}", kind_of_pack_error(&error)),
    }
}

fn open_letter(
    case: &Value,
    sealed: &[u8],
    authority: &Authority,
) -> Result<letter::Letter, letter::LetterError> {
    let transfer: TransferId = text(case, "transfer").parse().expect("a transfer id");
    let ura: Ura = text(case, "ura").parse().expect("a URA");
    let at = text(case, "at").parse().expect("a time");
    letter::open(sealed, &transfer, &authority.identity, &ura, &authority.anchors, at)
        .map(|(letter, _)| letter)
}

fn read_letter(case: &Value, authority: &Authority) -> String {
    match open_letter(case, &bytes(case, "letter"), authority) {
        Ok(_) => "opens".to_owned(),
        Err(error) => format!("refused: {}", kind_of_letter_error(&error)),
    }
}

fn read_statement(case: &Value, statement: &str, anchors: &TrustAnchors) -> String {
    let ura: Ura = text(case, "ura").parse().expect("a URA");
    let at = text(case, "at").parse().expect("a time");
    match RecipientVerified::verify(statement, &ura, anchors, at) {
        Ok(_) => "verifies".to_owned(),
        Err(error) => format!("refused: {}", kind_of_trust_error(&error)),
    }
}

fn read_receipt(case: &Value, receipt: &str, anchors: &TrustAnchors) -> String {
    let expected = &case["expected"];
    let (transfer, addressee, sender): (TransferId, Ura, Ura) = (
        text(expected, "transfer").parse().expect("a transfer id"),
        text(expected, "addressee").parse().expect("a URA"),
        text(expected, "sender").parse().expect("a URA"),
    );
    let expected = Expected {
        transfer: &transfer,
        letter: text(expected, "letter").parse().expect("a digest"),
        addressee: &addressee,
        sender: &sender,
        instances: u32::try_from(expected["instances"].as_u64().expect("a number")).expect("few instances"),
    };
    let at = text(case, "at").parse().expect("a time");
    match Receipt::verify(receipt, &expected, anchors, at) {
        Ok(_) => "verifies".to_owned(),
        Err(error) => format!("refused: {}", kind_of_trust_error(&error)),
    }
}

fn open_wrap(case: &Value, sealed: &[u8]) -> Option<Vec<u8>> {
    let purpose = match text(case, "purpose") {
        "pack-key" => Purpose::PackKey,
        "confidential" => Purpose::Confidential,
        other => panic!("{other} is no purpose"),
    };
    StorageKey::from_bytes(array(case, "storage_key")).open(purpose, &hex(case, "place"), sealed).ok()
}

#[test]
fn every_pack_is_read_as_its_vector_says() {
    compare("packs.json", read_pack);
}

#[test]
fn every_letter_is_read_as_its_vector_says() {
    let authority = Authority::read();
    compare("letters.json", |case| read_letter(case, &authority));
}

#[test]
fn every_recipient_statement_is_read_as_its_vector_says() {
    let authority = Authority::read();
    compare("statements.json", |case| read_statement(case, text(case, "statement"), &authority.anchors));
}

#[test]
fn every_receipt_is_read_as_its_vector_says() {
    let authority = Authority::read();
    compare("receipts.json", |case| read_receipt(case, text(case, "receipt"), &authority.anchors));
}

#[test]
fn every_value_under_the_storage_key_is_read_as_its_vector_says() {
    compare("wraps.json", |case| match open_wrap(case, &hex(case, "sealed")) {
        Some(value) if value == hex(case, "value") => "opens".to_owned(),
        Some(_) => "opens to something else".to_owned(),
        None => "refused: does-not-authenticate".to_owned(),
    });
}

#[test]
fn the_good_pack_gives_back_what_was_sealed() {
    let cases = cases("packs.json");
    let case = case(&cases, "two-frames");
    let opened = open_pack(&bytes(case, "pack"), &SecretKey::from_bytes(array(case, "key")), 2).unwrap();
    let found: Vec<Value> = opened
        .iter()
        .map(|(description, data_set)| {
            json!({
                "sop_class": description.sop_class,
                "sop_instance": description.sop_instance,
                "transfer_syntax": description.transfer_syntax,
                "study": description.study.as_ref().map_or("", |uid| uid.as_str()),
                "series": description.series.as_ref().map_or("", |uid| uid.as_str()),
                "source_ae": description.source_ae.as_str(),
                "data_set": HEXLOWER.encode(data_set),
            })
        })
        .collect();
    assert_eq!(Value::from(found), case["instances"]);
}

#[test]
fn the_good_letter_lists_the_good_pack_and_its_instances() {
    let (packs, letters, authority) = (cases("packs.json"), cases("letters.json"), Authority::read());
    let case_of_letter = case(&letters, "good");
    let sealed = bytes(case_of_letter, "letter");
    assert_eq!(Digest::of(&sealed).to_string(), text(case_of_letter, "letter_sha256"));
    let letter = open_letter(case_of_letter, &sealed, &authority).unwrap();
    let pack = bytes(case(&packs, "two-frames"), "pack");
    assert_eq!(letter.packs[0].len, pack.len() as u64);
    assert_eq!(letter.packs[0].parts[0].sha256, Digest::of(&pack), "the pack is one part");
    let opened = open_pack(&pack, &letter.packs[0].key, 2).unwrap();
    for (listed, (description, data_set)) in letter.instances.iter().zip(&opened) {
        assert_eq!(listed.instance, description.sop_instance);
        assert_eq!(listed.sha256, Digest::of(data_set));
        assert_eq!(listed.size, data_set.len() as u64);
        let at = usize::try_from(listed.at).unwrap();
        assert_eq!(&pack[at..at + 4], b"FRM1", "a frame begins where the letter says");
    }
}

#[test]
fn a_writer_fills_its_chunks_and_keeps_the_trailer_whole() {
    let cases = cases("packs.json");
    let case = case(&cases, "full-chunks");
    let key = SecretKey::from_bytes(array(case, "key"));
    let pack = PackId::from_random(array(case, "pack_id"));
    let description = reading::description(&case["instance"]);
    for frame in case["frames"].as_array().unwrap() {
        let length = usize::try_from(frame["data_set_len"].as_u64().unwrap()).unwrap();
        let data_set: Vec<u8> = (0..=250_u8).cycle().take(length).collect();
        // However the data set arrives, the same bytes come out.
        for piece_len in [length.max(1), 65_536, 1_000] {
            let mut sealed = Vec::new();
            let mut sealer = FrameSealer::new(&key, &pack, 0, array(case, "salt"), &description, &mut sealed);
            for piece in data_set.chunks(piece_len) {
                sealer.write(piece, &mut sealed).unwrap();
            }
            sealer.finish(&mut sealed).unwrap();
            assert_eq!(sealed.len() as u64, frame["frame_len"].as_u64().unwrap(), "length for {length}");
            assert_eq!(Digest::of(&sealed).to_string(), text(frame, "frame_sha256"), "digest for {length}");
        }
    }
}

#[test]
fn no_byte_of_a_pack_can_be_changed() {
    let cases = cases("packs.json");
    let case = case(&cases, "two-frames");
    let (good, key) = (bytes(case, "pack"), SecretKey::from_bytes(array(case, "key")));
    for at in 0..good.len() {
        for bit in [0x01, 0x80] {
            let mut changed = good.clone();
            changed[at] ^= bit;
            assert!(open_pack(&changed, &key, 2).is_err(), "byte {at}, bit {bit:#x}");
        }
        assert!(open_pack(&good[..at], &key, 2).is_err(), "cut at {at}");
    }
}

#[test]
fn no_byte_of_a_letter_can_be_changed() {
    let (cases, authority) = (cases("letters.json"), Authority::read());
    // Every byte of the small one. Of a letter to two, the other's stanza is bound to the body as well: a sample.
    for (name, step) in [("good", 1), ("two-recipients", 61)] {
        let case = case(&cases, name);
        let good = bytes(case, "letter");
        let refuses = |at: usize| {
            let mut changed = good.clone();
            changed[at] ^= 1;
            assert!(open_letter(case, &changed, &authority).is_err(), "{name}: byte {at}");
        };
        // An opening takes milliseconds in a development build, so they are shared out.
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for worker in 0..workers {
                let refuses = &refuses;
                let share = (0..good.len()).step_by(step).skip(worker).step_by(workers);
                scope.spawn(move || share.for_each(refuses));
            }
        });
        for at in (0..good.len()).step_by(97) {
            assert!(open_letter(case, &good[..at], &authority).is_err(), "{name}: cut at {at}");
        }
    }
}

#[test]
fn no_character_of_a_signed_text_can_be_changed() {
    let authority = Authority::read();
    let changed_texts = |good: &str| -> Vec<String> {
        let change = |at: usize| {
            let mut changed = good.as_bytes().to_vec();
            changed[at] ^= 1;
            String::from_utf8(changed).expect("ASCII stays ASCII")
        };
        (0..good.len()).map(change).collect()
    };
    let statements = cases("statements.json");
    let good = case(&statements, "good");
    for (at, changed) in changed_texts(text(good, "statement")).iter().enumerate() {
        assert_ne!(read_statement(good, changed, &authority.anchors), "verifies", "character {at}");
    }
    let receipts = cases("receipts.json");
    let good = case(&receipts, "in-custody");
    for (at, changed) in changed_texts(text(good, "receipt")).iter().enumerate() {
        assert_ne!(read_receipt(good, changed, &authority.anchors), "verifies", "character {at}");
    }
}

#[test]
fn no_byte_under_the_storage_key_can_be_changed() {
    let cases = cases("wraps.json");
    let case = case(&cases, "pack-key-opens");
    let good = hex(case, "sealed");
    let key = StorageKey::from_bytes(array(case, "storage_key"));
    let nonce = good[..12].try_into().unwrap();
    assert_eq!(key.seal(Purpose::PackKey, &hex(case, "place"), nonce, &hex(case, "value")), good);
    for at in 0..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 1;
        assert_eq!(open_wrap(case, &changed), None, "byte {at}");
    }
}

#[test]
fn without_a_revocation_list_a_revoked_certificate_is_not_known_to_be_one() {
    let (cases, authority) = (cases("letters.json"), Authority::read());
    let case = case(&cases, "certificate-revoked");
    let unaware = Authority { anchors: authority.anchors_without_lists(), ..authority };
    assert_eq!(read_letter(case, &unaware), "opens", "whoever provides no list gets no revocation");
}

#[test]
fn a_recipient_seed_gives_the_public_key_of_its_vector() {
    let authority = Authority::read();
    let identity = RecipientIdentity::from_seed(&hex(&authority.described, "recipient_seed")).unwrap();
    assert_eq!(identity.public_key(), bytes(&authority.described, "recipient_public_key"));
    assert!(RecipientIdentity::from_seed(&[0; 31]).is_err());
}
