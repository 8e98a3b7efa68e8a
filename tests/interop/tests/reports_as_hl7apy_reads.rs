//! Reports in HL7 v2, read by `hl7apy`, and MLLP spoken with `hl7`: two packages of Python without code of ours.
//!
//! Goal: what we write is valid by the tables of its version and says to others what it says to us; what we read, others read
//! alike where they can; a peer of MLLP that is not ours is understood in both directions. Method: messages and what we
//! say about them go into a folder; the programs compare, and speak over a socket of this machine.

#![expect(clippy::unwrap_used, reason = "what stands beside the tests is part of them")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use beeldbox_hl7::mllp::{MessageIntake, MllpClient, Patience, serve};
use beeldbox_hl7::{AckCode, CharacterSet, Content, Fault, Message, MessageLimits, ResultMessage, Stamp};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

/// The messages of `firmware/hl7/tests/corpus`.
fn corpus() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware/hl7/tests/corpus");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "hl7"));
    files.sort();
    files
}

fn read(path: &Path) -> Option<(Message, ResultMessage)> {
    let message = Message::parse(&std::fs::read(path).unwrap(), &MessageLimits::default()).ok()?;
    let result = ResultMessage::read(&message).ok()?;
    Some((message, result))
}

/// Numbers, family names and texts, in the order of the message.
fn said(message: &ResultMessage) -> Value {
    let patients = || message.results.iter().map(|result| &result.patient);
    let numbers: Vec<&str> = patients().flat_map(|one| &one.identifiers).map(|one| one.id.reveal()).collect();
    let families: Vec<&str> =
        patients().flat_map(|one| &one.names).map(|name| name.family.reveal()).collect();
    let observations =
        message.results.iter().flat_map(|one| &one.orders).flat_map(|order| &order.observations);
    let texts: Vec<&str> = observations
        .filter_map(|one| match &one.content {
            Content::Text(text) => Some(text.reveal()),
            Content::Coded(_)
            | Content::Value(..)
            | Content::Document(_)
            | Content::Reference(_)
            | Content::Empty => None,
        })
        .collect();
    json!({"numbers": numbers, "families": families, "texts": texts})
}

/// Messages whose oddity hl7apy reads as somebody must not: what it makes of them is no measure.
const READ_OTHERWISE: [&str; 16] = [
    // It decodes as declared, in whatever was declared.
    "18-latin-1-undeclared",
    "19-utf-8-declared-as-latin-1",
    "24-switched-by-escape",
    // It leaves escape sequences in the text, or escapes them.
    "07-other-delimiters",
    "25-escapes",
    "26-hexadecimal-escapes",
    "27-formatted-text",
    "28-broken-escapes",
    // The program asks for texts by their type, which these lack.
    "33-no-value-type",
    "34-unknown-value-type",
    // It has no lines inside of fields.
    "05-line-feed-in-text",
    // It has no empty repetitions.
    "30-text-by-repetition",
    // It knows no ADD.
    "10-segment-split-by-add",
    // A ratio is text for us; a document in text lines is a document.
    "35-values-and-codes",
    "40-pdf-as-text-lines",
    // Numbers in PID-2 and PID-4.
    "49-old-patient-number-places",
];

/// What is not valid whoever writes it: suffixes of OBX-3 are subcomponents of a text by §7.2.4, and the tables that hl7apy
/// validates by know none there; a patient without a number; a second patient, whom hl7apy puts into the group of the first.
const NOT_VALID: [&str; 3] = ["29-text-by-line", "48-no-patient-number", "56-two-patients-two-orders"];

#[test]
fn what_we_write_and_read_is_what_hl7apy_reads() {
    let folder = tempfile::tempdir().unwrap();
    let (mut written, mut taken) = (Vec::new(), Vec::new());
    for path in corpus() {
        let Some((_, mut result)) = read(&path) else { continue };
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if !READ_OTHERWISE.contains(&name.as_str()) {
            taken.push(json!({"file": path, "said": said(&result)}));
        }
        if NOT_VALID.contains(&name.as_str()) {
            continue;
        }
        result.header.version = "2.5.1".to_owned();
        result.header.at.get_or_insert("20261128061500".parse().unwrap());
        for set in [CharacterSet::UTF_8, CharacterSet::LATIN_1] {
            let Ok(bytes) = result.write(set) else { continue };
            let file = format!("{name}.{}.hl7", written.len());
            std::fs::write(folder.path().join(&file), bytes).unwrap();
            written.push(json!({"file": file, "set": set.name(), "said": said(&result)}));
        }
    }
    assert!(written.len() > 80, "{}", written.len());
    std::fs::write(folder.path().join("written.json"), Value::from(written).to_string()).unwrap();
    std::fs::write(folder.path().join("corpus.json"), Value::from(taken).to_string()).unwrap();
    let output = beeldbox_interop::python_with("hl7apy", "read_reports.py", folder.path());
    let printed = beeldbox_interop::said(&output);
    assert!(output.status.success(), "{printed}");
    println!("{printed}");
}

/// Keeps what comes in memory.
struct Kept(Vec<Vec<u8>>);

impl MessageIntake for Kept {
    type Proof = ();

    async fn keep(&mut self, message: &Message, bytes: Vec<u8>) -> Result<(), Fault> {
        ResultMessage::read(message)?;
        self.0.push(bytes);
        Ok(())
    }

    fn stamp(&mut self) -> Stamp {
        Stamp { at: "20261128061500".parse().unwrap(), control_id: format!("A{}", self.0.len()) }
    }
}

/// Messages that both can read, and what must be answered.
const SENT: [(&str, &str); 3] =
    [("01-plain.hl7", "AA"), ("16-utf-8-declared.hl7", "AA"), ("67-observation-before-order.hl7", "AE")];

#[tokio::test]
async fn their_client_is_answered_by_us() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    std::fs::write(folder.path().join("port"), listener.local_addr().unwrap().port().to_string()).unwrap();
    for path in corpus() {
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let names = SENT.map(|(name, _)| name);
    std::fs::write(folder.path().join("send.json"), json!(names).to_string()).unwrap();
    let place = folder.path().to_owned();
    let peer =
        tokio::task::spawn_blocking(move || beeldbox_interop::python_with("hl7", "mllp_peer.py", &place));
    let (stream, _) = listener.accept().await.unwrap();
    let mut kept = Kept(Vec::new());
    let served =
        serve(stream, &mut kept, Patience::default(), MessageLimits::default(), std::future::pending());
    let served = served.await.unwrap();
    let output = peer.await.unwrap();
    assert!(output.status.success(), "{}", beeldbox_interop::said(&output));
    assert_eq!((served.kept, served.refused), (2, 1));
    let answers = std::fs::read_to_string(folder.path().join("answers.json")).unwrap();
    let answers: Vec<(String, String)> = serde_json::from_str(&answers).unwrap();
    let codes: Vec<&str> = answers.iter().map(|(code, _)| code.as_str()).collect();
    assert_eq!(codes, SENT.map(|(_, code)| code));
    assert_eq!(answers[1].1, "00016");
    // Their parser drops the last separators of a segment; what is said is the same.
    let sent = std::fs::read(folder.path().join("16-utf-8-declared.hl7")).unwrap();
    let read = |bytes: &[u8]| {
        let message = Message::parse(bytes, &MessageLimits::default()).unwrap();
        ResultMessage::read(&message).unwrap().results
    };
    assert!(read(&kept.0[1]) == read(&sent));
}

#[tokio::test]
async fn their_server_answers_us() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_owned();
    let peer =
        tokio::task::spawn_blocking(move || beeldbox_interop::python_with("hl7", "mllp_peer.py", &place));
    let port = listening(folder.path()).await;
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut client = MllpClient::new(stream, Patience::default(), MessageLimits::default());
    let mut sent = Vec::new();
    for path in corpus().iter().filter(|path| read(path).is_some()).take(5) {
        let (_, result) = read(path).unwrap();
        let bytes = result.write(CharacterSet::UTF_8).unwrap();
        let answer = client.send(&bytes, &result.header.control_id, Duration::from_secs(30)).await;
        assert_eq!(answer.unwrap().0.code, AckCode::Accept);
        sent.extend(bytes);
    }
    drop(client);
    std::fs::write(folder.path().join("stop"), "").unwrap();
    let output = peer.await.unwrap();
    assert!(output.status.success(), "{}", beeldbox_interop::said(&output));
    let received = std::fs::read(folder.path().join("received")).unwrap();
    assert_eq!(String::from_utf8_lossy(&received), String::from_utf8_lossy(&sent));
}

/// Waits until the program says on which port it listens.
async fn listening(folder: &Path) -> u16 {
    for _ in 0..600 {
        if let Ok(port) = std::fs::read_to_string(folder.join("listening")) {
            return port.parse().unwrap();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the program in Python does not listen");
}
