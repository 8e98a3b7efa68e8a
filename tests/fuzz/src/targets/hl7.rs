//! What a RIS or a register sends, and whoever else reaches the port: messages, reports, answers, frames.

use std::time::Duration;

use beeldbox_hl7::mllp::{FrameReader, Patience};
use beeldbox_hl7::{
    Acknowledgement, CharacterSet, Document, DocumentKind, Message, MessageLimits, PatientAnswer,
    ResultMessage,
};

/// Runs the reader. The first byte chooses what comes: frames, a message in two parts, or one message.
pub fn run(input: &[u8]) {
    let Some((which, body)) = input.split_first() else { return };
    match which % 4 {
        0 => frames(body),
        1 => in_two(body),
        _ => one(body),
    }
}

fn limits() -> MessageLimits {
    MessageLimits { bytes: 16 * 1024, segments: 64, fields: 64 }
}

fn one(body: &[u8]) {
    let Ok(message) = Message::parse(body, &limits()) else { return };
    assert!(message.segments().count() <= 64);
    let _ = Acknowledgement::read(&message);
    let _ = PatientAnswer::read(&message, "T1");
    report(&message);
}

/// What is read as a report is written and read back.
fn report(message: &Message) {
    let Ok(mut report) = ResultMessage::read(message) else { return };
    let Ok(bytes) = report.write(CharacterSet::UTF_8) else { panic!("UTF-8 has every character") };
    assert!(!bytes.contains(&0x1c) && !bytes.contains(&0x0b), "it would end its frame");
    let again =
        Message::parse(&bytes, &MessageLimits::default()).map(|message| ResultMessage::read(&message));
    let Ok(Ok(again)) = again else { panic!("what was written can be read") };
    // Writing puts things where they belong, once; from then on nothing changes.
    report = again;
    let Ok(bytes) = report.write(CharacterSet::UTF_8) else { panic!("UTF-8 has every character") };
    let Ok(message) = Message::parse(&bytes, &MessageLimits::default()) else {
        panic!("it can be read again")
    };
    assert!(message.remarks().is_empty(), "{:?}", message.remarks());
    let Ok(again) = ResultMessage::read(&message) else { panic!("it is still a report") };
    assert!(again.results.len() == report.results.len());
    for document in again.results.iter().flat_map(|result| &result.orders).flat_map(|order| order.documents())
    {
        let Document { kind, bytes } = document;
        assert!(*kind == DocumentKind::of(bytes));
    }
}

/// A message and its continuation, parted by a NUL.
fn in_two(body: &[u8]) {
    let mut parts = body.splitn(2, |byte| *byte == 0);
    let (Some(first), Some(second)) = (parts.next(), parts.next()) else { return };
    let (Ok(mut first), Ok(second)) = (Message::parse(first, &limits()), Message::parse(second, &limits()))
    else {
        return;
    };
    let before = first.clone();
    match first.join(&second, &limits()) {
        Ok(()) => report(&first),
        Err(_) => assert!(first == before, "a refused continuation changes nothing"),
    }
}

/// Frames that come in pieces of the size that the first byte names.
fn frames(body: &[u8]) {
    let Some((size, bytes)) = body.split_first() else { return };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else { return };
    let patience = Patience { longest: 4096, ..patience() };
    let mut reader = FrameReader::new(patience);
    let mut stream = Pieces { bytes, size: usize::from(*size).max(1) };
    runtime.block_on(async {
        while let Ok(true) = reader.begins(&mut stream).await {
            let Ok(message) = reader.message(&mut stream).await else { return };
            assert!(message.len() <= 4096);
            assert!(!message.contains(&0x1c) && !message.contains(&0x0b));
        }
    });
}

/// Without deadlines: nobody is waited for.
fn patience() -> Patience {
    let ever = Duration::from_secs(1_000_000);
    Patience { idle: ever, stall: ever, message: ever, write: ever, longest: 0 }
}

struct Pieces<'a> {
    bytes: &'a [u8],
    size: usize,
}

impl tokio::io::AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
        into: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        let size = self.size.min(self.bytes.len()).min(into.remaining());
        let (piece, rest) = self.bytes.split_at(size);
        into.put_slice(piece);
        self.bytes = rest;
        std::task::Poll::Ready(Ok(()))
    }
}

/// Inputs to begin with.
pub(crate) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let header = "MSH|^~\\&|RIS|N|B|Z|20261128||ORU^R01|17|P|2.5.1||||||8859/1\r";
    let patient = "PID|1||3004100^^^N&2.16&ISO^PI~999990019^^^NLMINBIZA^NNNLD||Berg&van den&Berg^P^A^^^^L||19700102|F\r";
    let order = "ORC|RE|P|F\rOBR|1|P|F|CT^CT||||||||||||2^B^A||ACC||||20261128||CT|F|||||||&V&M\rZDS|1.2.3^N\rIPC|A1||1.2.3\r";
    let text = "OBX|1|FT|19005-8^Conclusie^LN||\\H\\Een\\N\\\\.br\\\\X41\\~twee||||||F\rNTE|1||noot\r";
    let more = "OBX|2|NM|d||5|mm|0-4|H|||F|||2026\rOBX|3|CWE|c||a^b^c\rOBX|4|RP|u||http://x^y^z^w\rOBX|5|SN|s||^1^:^2\r";
    let document = "OBX|6|ED|p||^application^pdf^Base64^JVBERi0xCiUl||||||F\rOBX|7|ED|p||^application^pdf^Base64^RU9G||||||F\r";
    let whole = |kind: char, parts: &[&str]| format!("{kind}{}", parts.concat()).into_bytes();
    let continued = header.replace("2.5.1||||||8859/1", "2.5.1||p");
    let split = [header, patient, order, text, "DSC|p|I\r\0", &continued, "ADD|x|\r", more];
    let answer = "MSH|^~\\&|||||||RSP^K22|9|P|2.5\rMSA|AA|Q\rERR||OBX^1^5|102^x|E||||y\rQAK|T1|OK\r";
    let japanese =
        header.replace("8859/1", "ASCII") + patient + "OBR|1\rOBX|1|TX|c||\\M2442\\;3ED\\C2842\\\\C2D46\\x\r";
    vec![
        ("report", whole('b', &[header, patient, order, text, more, document])),
        ("continued", whole('a', &split)),
        ("answer", whole('b', &[answer, patient, "QRI|95\rDSC|p2|I\r"])),
        ("switches", whole('b', &[&japanese])),
        (
            "other-delimiters",
            whole('b', &["MSH#*@!%#A#B#####ORU*R01#1#P#2.4\nPID#1##1\nOBR#1\nOBX#1#TX#c##x!F!y\n"]),
        ),
        ("frames", [&b"`\x07\x0bMSH|^~\\&|\x1c\r\n\x0bx\x1c\x0by"[..]].concat()),
    ]
}
