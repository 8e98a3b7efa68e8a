//! Awkward messages, each with what must become of it.
//!
//! Goal: every oddity that systems are known for is read, remarked or refused as a person decided, not as it happens.
//! Method: `corpus/EXPECTED.md` has a row for each file of `corpus`; what we make of the file must be that row, word for
//! word. Messages of many megabytes are made here.

#![expect(clippy::unwrap_used, reason = "what stands beside the tests is part of them")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use beeldbox_hl7::{
    Content, Fault, Message, MessageLimits, Observation, ParseError, PatientResult, ReportedOrder,
    ResultMessage,
};
use data_encoding::BASE64;

/// Longest text that a row shows, in characters.
const SHOWN: usize = 70;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

/// Messages that are too long to be kept in the repository.
fn generated() -> [(&'static str, Vec<u8>); 2] {
    let message = |length: usize| {
        let mut text =
            String::from("MSH|^~\\&|RIS|NOORD|||20261127||ORU^R01|1|P|2.4\rPID|1||3004100^^^NOORD^PI\r");
        text.push_str("OBR|1||F200||||||||||||||||||||||F\rOBX|1|ED|PDF^Verslag||^application^pdf^Base64^");
        // In the middle nothing but `xxx`, whose base64 needs no computing.
        BASE64.encode_append(b"%PDF-1.7\n", &mut text);
        text.push_str(&"eHh4".repeat((length - 15) / 3));
        BASE64.encode_append(b"\n%%EOF", &mut text);
        text.push_str("||||||F\r");
        text.into_bytes()
    };
    [("46-pdf-of-20-mb", message(20_000_001)), ("47-longer-than-the-limit", message(26_000_001))]
}

/// What became of a message, as the columns of the table.
fn outcome(bytes: &[u8]) -> String {
    let read = read(bytes);
    match read {
        Err(fault) => {
            let ack = if fault.is_rejection() { "AR" } else { "AE" };
            format!("{ack} {} | | {}", fault.code().code_and_text().0, fault.sentence())
        }
        Ok(message) => {
            let results: Vec<String> = message.results.iter().map(patient).collect();
            let remarks: Vec<String> = message.remarks.iter().map(ToString::to_string).collect();
            format!("AA | {} | {}", results.join("<br>"), remarks.join("; "))
        }
    }
}

fn read(bytes: &[u8]) -> Result<ResultMessage, Fault> {
    let message = Message::parse(bytes, &MessageLimits::default())?;
    let result = ResultMessage::read(&message)?;
    result.header.require_production()?;
    Ok(result)
}

fn patient(result: &PatientResult) -> String {
    let patient = &result.patient;
    let numbers: Vec<String> = patient
        .identifiers
        .iter()
        .map(|one| {
            let issuer = one.issuer.as_ref().map_or("", |issuer| issuer.reveal());
            format!("{}@{issuer}", one.id.reveal()).trim_end_matches('@').to_owned()
        })
        .collect();
    let name = patient.names.first().map(|name| name.dicom().reveal().to_owned()).unwrap_or_default();
    let birth = patient.birth_date.as_ref().map(|date| date.text()).unwrap_or_default();
    let orders: Vec<String> = result.orders.iter().map(order).collect();
    format!("[{}] {name} {birth} {}: {}", numbers.join(" "), patient.sex.reveal(), orders.join(" + "))
}

fn order(order: &ReportedOrder) -> String {
    let accession = order.accession_number().map_or("-", |number| number.number.reveal());
    let study = order.study.as_ref().map(|study| format!(" study {study}")).unwrap_or_default();
    let notes: Vec<String> =
        order.notes.iter().map(|note| format!("note {}", shown(note.reveal()))).collect();
    let observations: Vec<String> = order.observations.iter().map(observation).chain(notes).collect();
    format!("{accession}{study} {:?} {}", order.status(), observations.join(", "))
}

fn observation(observation: &Observation) -> String {
    let content = match &observation.content {
        Content::Text(text) => shown(text.reveal()),
        Content::Coded(code) => format!("code {}={}", code.code.reveal(), code.text.reveal()),
        Content::Value(kind, value) => {
            format!(
                "{kind:?} {} {} ({})",
                value.reveal(),
                observation.unit.reveal(),
                observation.range.reveal()
            )
        }
        Content::Document(document) => format!("{:?} of {} bytes", document.kind, document.bytes.len()),
        Content::Reference(reference) => format!("at {}", reference.pointer.reveal()),
        Content::Empty => "nothing".to_owned(),
    };
    let notes: Vec<String> =
        observation.notes.iter().map(|note| format!(" with note {}", shown(note.reveal()))).collect();
    format!("{content}{}", notes.concat())
}

/// A text in a cell of a table.
fn shown(text: &str) -> String {
    let text: String = text.chars().take(SHOWN).collect();
    format!("“{}”", text.replace('\n', "⏎").replace('|', "¦"))
}

/// The rows of the table: file and outcome, without the column for people.
fn expected() -> BTreeMap<String, String> {
    let table = std::fs::read_to_string(folder().join("EXPECTED.md")).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| File"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        (cells[0].to_owned(), plain(&cells[2..].join(" | ")))
    })
    .collect()
}

/// Without the white space that tables have around empty cells.
fn plain(row: &str) -> String {
    row.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches([' ', '|']).to_owned()
}

fn messages() -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|ending| ending == "hl7"));
    let kept = files.map(|path| {
        (path.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap())
    });
    kept.collect()
}

#[test]
fn every_awkward_message_becomes_what_the_table_says() {
    let (expected, mut messages) = (expected(), messages());
    messages.extend(generated().map(|(name, bytes)| (name.to_owned(), bytes)));
    assert!(messages.len() >= 50);
    let mut wrong = Vec::new();
    for (name, bytes) in &messages {
        let outcome = outcome(bytes);
        if expected.get(name) != Some(&plain(&outcome)) {
            wrong.push(format!("| {name} |  | {outcome} |"));
        }
    }
    let missing: Vec<&String> = expected.keys().filter(|name| !messages.contains_key(*name)).collect();
    assert!(missing.is_empty(), "rows without a message: {missing:?}");
    assert!(wrong.is_empty(), "these became something else:\n{}\n", wrong.join("\n"));
}

#[test]
fn every_truncation_of_an_awkward_message_is_survived() {
    for (name, bytes) in messages().into_iter().filter(|(_, bytes)| bytes.len() < 4096) {
        for cut in 0..bytes.len() {
            let Ok(message) = Message::parse(&bytes[..cut], &MessageLimits::default()) else { continue };
            assert!(
                !format!("{:?}", ResultMessage::read(&message)).contains("Jansen"),
                "{name} prints a name"
            );
        }
    }
}

#[test]
fn a_message_that_was_split_is_whole_again() {
    let messages = messages();
    let parse = |name: &str| Message::parse(&messages[name], &MessageLimits::default()).unwrap();
    let mut first = parse("11-message-split-by-dsc");
    first.join(&parse("12-continuation-alone"), &MessageLimits::default()).unwrap();
    let read = ResultMessage::read(&first).unwrap();
    let sections = read.results[0].orders[0].sections();
    assert_eq!(sections[0].1, "Eerste bericht.");
}

#[test]
fn the_limit_is_that_of_the_frame() {
    let (_, long) = &generated()[1];
    let refused = Message::parse(long, &MessageLimits::default());
    assert!(matches!(refused, Err(ParseError::TooLong { limit: 33_554_432, .. })));
}
