//! Messages as they come, and what is refused.

use super::*;

fn parse(text: &str) -> Message {
    Message::parse(text.as_bytes(), &MessageLimits::default()).unwrap()
}

fn refused(bytes: &[u8]) -> ParseError {
    Message::parse(bytes, &MessageLimits::default()).unwrap_err()
}

const HEADER: &str = r"MSH|^~\&|RIS|NOORD|||||ORU^R01|17|P|2.5.1";

#[test]
fn every_part_is_found_by_its_number() {
    let message = parse(&format!("{HEADER}\rPID|1||3004100^^^NOORD^PI~999990019^^^&2.16&ISO||Jansen^Piet\r"));
    assert_eq!(message.kind(), ("ORU", "R01"));
    assert_eq!(message.control_id(), "17");
    assert_eq!(message.header_field(1).raw(), "|");
    assert_eq!(message.header_field(2).raw(), r"^~\&");
    assert_eq!(message.header_field(12).text(), "2.5.1");
    let patient = message.segment("PID").unwrap();
    let numbers: Vec<String> = patient.field(3).repetitions().map(|one| one.component(1).text()).collect();
    assert_eq!(numbers, ["3004100", "999990019"]);
    let second = patient.field(3).repetitions().nth(1).unwrap();
    assert_eq!(second.component(4).subcomponent(2).text(), "2.16");
    assert_eq!((patient.field_count(), patient.field(99).is_empty()), (5, true));
    assert_eq!(message.remarks(), []);
}

#[test]
fn any_line_end_ends_a_segment() {
    for end in ["\r", "\n", "\r\n", "\n\n", "\r\r\n"] {
        let message = parse(&[HEADER, "PID|1", "OBR|1", ""].join(end));
        let names: Vec<&str> = message.segments().map(|segment| segment.name()).collect();
        assert_eq!((names, message.remarks()), (vec!["MSH", "PID", "OBR"], &[][..]), "{end:?}");
    }
}

#[test]
fn a_line_that_is_no_segment_is_the_rest_of_a_field() {
    let message = parse(&format!("{HEADER}\rOBX|1|TX|||Geen afwijkingen.\nMRI\nHart: normaal||||||F\r"));
    let text = message.segment("OBX").unwrap();
    assert_eq!(text.field(5).text(), "Geen afwijkingen.\nMRI\nHart: normaal");
    assert_eq!(text.field(11).raw(), "F");
    assert_eq!(message.remarks(), [Remark::LineBreakInField { lines: 2 }]);
}

#[test]
fn continued_segments_are_joined() {
    let message =
        parse(&format!("{HEADER}\rOBX|1|TX|||Eerste\rADD| deel, tweede deel|||\rADD||||F\rNTE|1\r"));
    let text = message.segment("OBX").unwrap();
    assert_eq!((text.field(5).raw(), text.field(11).raw()), ("Eerste deel, tweede deel", "F"));
    assert_eq!(message.segments().count(), 3);
    assert_eq!(refused(format!("{HEADER}\rADD|x\r").as_bytes()), ParseError::NothingToContinue);
}

#[test]
fn continued_messages_are_joined() {
    let mut first = parse(&format!("{HEADER}\rOBX|1|TX|||Eerste\rDSC|p1|F\r"));
    let header = r"MSH|^~\&|RIS|NOORD|||||ORU^R01|18|P|2.5.1||p1";
    let second = parse(&format!("{header}\rADD| en tweede||||||F\rOBX|2|TX|||Derde||||||F\r"));
    assert_eq!(first.continues_at(), Some("p1"));
    assert_eq!(second.continuation_of(), Some("p1"));
    let other = parse(&format!("{}\rOBX|2\r", header.replace("p1", "p2")));
    assert_eq!(first.join(&other, &MessageLimits::default()), Err(ContinuationError::OtherPointer));
    first.join(&second, &MessageLimits::default()).unwrap();
    let texts: Vec<String> = first.segments().skip(1).map(|segment| segment.field(5).text()).collect();
    assert_eq!(texts, ["Eerste en tweede", "Derde"]);
    assert_eq!(first.join(&second, &MessageLimits::default()), Err(ContinuationError::Complete));
}

#[test]
fn a_null_is_no_value() {
    let message = parse(&format!("{HEADER}\rPID|1||\"\"|\r"));
    let field = message.segment("PID").unwrap().field(3);
    assert!(field.is_empty());
    assert_eq!(field.text(), "");
}

#[test]
fn what_is_no_message_is_refused_by_name() {
    assert_eq!(refused(b""), ParseError::Empty);
    assert_eq!(refused(b" \r\n"), ParseError::Empty);
    assert_eq!(refused(b"GET / HTTP/1.1\r\n\r\n"), ParseError::NoHeader);
    assert_eq!(refused(br"FHS|^~\&|"), ParseError::Batch);
    assert_eq!(refused(b"M\0S\0H\0|\0^\0"), ParseError::WideCharacters);
    assert_eq!(refused(b"\xff\xfeM\0S\0H\0|\0^\0"), ParseError::WideCharacters);
    assert_eq!(refused(b"MSH"), ParseError::Delimiters(DelimiterError::Missing));
    assert_eq!(refused(format!("{HEADER}\r{HEADER}\r").as_bytes()), ParseError::SecondHeader);
}

#[test]
fn what_is_too_much_is_refused_by_name() {
    let limits = MessageLimits { bytes: 100, segments: 2, fields: 12 };
    let read = |rest: &str| Message::parse(format!("{HEADER}\r{rest}").as_bytes(), &limits).unwrap_err();
    assert_eq!(read(&"x".repeat(100)), ParseError::TooLong { length: HEADER.len() + 101, limit: 100 });
    assert_eq!(read("PID|1\rOBR|1\r"), ParseError::TooManySegments { limit: 2 });
    assert_eq!(read("PID||||||||||||\r"), ParseError::TooManyFields { limit: 12 });
}

#[test]
fn a_message_does_not_print() {
    let message = parse(&format!("{HEADER}\rPID|1||||Jansen^Piet\r"));
    assert!(!format!("{message:?}").contains("Jansen"));
}
