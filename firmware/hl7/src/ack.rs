//! Acknowledgements: what we answer, and what is answered to us.
//!
//! AA can only be written with the proof of whoever keeps the message, and only [`crate::mllp::serve`] writes it. HL7
//! v2.5.1 §2.9.2 and §2.15.8; original mode, which is all that MLLP peers use in practice.

use beeldbox_protocol::clinical::Confidential;

use crate::character_set::CharacterSet;
use crate::fault::Fault;
use crate::message::Message;
use crate::result::{Header, Party};
use crate::time::PointInTime;
use crate::write;
use crate::writing::{MessageWriter, components, one};

/// Longest identifier of a peer that is repeated to it.
const LONGEST_ECHO: usize = 200;

/// What makes an answer one of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// When it is answered.
    pub at: PointInTime,
    /// MSH-10 of the answer.
    pub control_id: String,
}

/// MSA-1 (table 0008), with the codes of enhanced mode taken for those that they stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AckCode {
    /// AA, CA: taken. The sender may forget its copy.
    Accept,
    /// AE, CE: an error. What is sent again unchanged may or may not be taken.
    Error,
    /// AR, CR: never.
    Reject,
}

impl AckCode {
    fn code(self) -> &'static str {
        match self {
            AckCode::Accept => "AA",
            AckCode::Error => "AE",
            AckCode::Reject => "AR",
        }
    }

    fn read(code: &str) -> Option<Self> {
        match code {
            "AA" | "CA" => Some(AckCode::Accept),
            "AE" | "CE" => Some(AckCode::Error),
            "AR" | "CR" => Some(AckCode::Reject),
            _ => None,
        }
    }
}

/// The answer to a message that is kept. `_proof` shows that it is.
pub(crate) fn accept<P>(message: &Message, _proof: P, stamp: &Stamp) -> Vec<u8> {
    let mut writer = MessageWriter::new();
    begin(&mut writer, Some(message), stamp, AckCode::Accept, "");
    finish(writer)
}

/// The answer to a message that is not taken; `message` is absent if it could not be read.
pub(crate) fn refuse(message: Option<&Message>, fault: &Fault, stamp: &Stamp) -> Vec<u8> {
    let code = if fault.is_rejection() { AckCode::Reject } else { AckCode::Error };
    let mut writer = MessageWriter::new();
    let sentence = fault.sentence();
    begin(&mut writer, message, stamp, code, &sentence);
    let (number, text) = fault.code().code_and_text();
    let place = fault.place().map(|place| {
        let field = place.field.map(|field| field.to_string()).unwrap_or_default();
        [place.segment.clone(), place.occurrence.to_string(), field]
    });
    let place = place.map(|place| components(&place)).unwrap_or_default();
    let error =
        [(2, place), (3, components(&[number, text, "HL70357"])), (4, "E".to_owned()), (8, one(&sentence))];
    writer.segment("ERR", &error);
    finish(writer)
}

fn begin(writer: &mut MessageWriter, message: Option<&Message>, stamp: &Stamp, code: AckCode, text: &str) {
    let echo = |field: usize| {
        let text = message.map(|message| message.header_field(field).component(1).text()).unwrap_or_default();
        text.chars().take(LONGEST_ECHO).collect::<String>()
    };
    let or = |text: String, other: &str| if text.is_empty() { other.to_owned() } else { text };
    let header = Header {
        sender: Party { application: or(echo(5), "BEELDBOX"), facility: echo(6) },
        receiver: Party { application: echo(3), facility: echo(4) },
        at: Some(stamp.at.clone()),
        control_id: stamp.control_id.clone(),
        processing: or(echo(11), "P"),
        version: or(echo(12), "2.5.1"),
    };
    let event = message.map(|message| message.header_field(9).component(2).text()).unwrap_or_default();
    write::header(writer, &header, &["ACK", &event, "ACK"], CharacterSet::UTF_8);
    let control_id = message.map(|message| message.header_field(10).text()).unwrap_or_default();
    let control_id: String = control_id.chars().take(LONGEST_ECHO).collect();
    writer.segment("MSA", &[(1, code.code().to_owned()), (2, one(&control_id)), (3, one(text))]);
}

fn finish(writer: MessageWriter) -> Vec<u8> {
    // Every text is in UTF-8.
    writer.finish(CharacterSet::UTF_8).unwrap_or_default()
}

/// What a peer answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Whether it took the message.
    pub code: AckCode,
    /// Which message it means: MSH-10 of ours.
    pub control_id: String,
    /// What it says about it, for a person. It may repeat what we sent, so it does not print.
    pub text: Confidential,
}

/// Why a message is no acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AckError {
    /// MSA is missing.
    #[error("the answer has no MSA segment")]
    NoAcknowledgement,
    /// MSA-1 is not in table 0008.
    #[error("the answer has an unknown acknowledgement code")]
    UnknownCode,
}

impl Acknowledgement {
    /// Reads MSA, and ERR if there is one; of any message that answers, RSP^K22 too.
    ///
    /// # Errors
    /// See [`AckError`].
    pub fn read(message: &Message) -> Result<Self, AckError> {
        let answer = message.segment("MSA").ok_or(AckError::NoAcknowledgement)?;
        let code = AckCode::read(answer.field(1).raw()).ok_or(AckError::UnknownCode)?;
        let error = message.segment("ERR").map(|error| {
            let said = error.field(8).text();
            if said.is_empty() { error.field(3).component(2).text() } else { said }
        });
        let said = answer.field(3).text();
        let text = match error.filter(|text| !text.is_empty()) {
            Some(error) if said.is_empty() => error,
            Some(error) if error != said => format!("{said}; {error}"),
            _ => said,
        };
        Ok(Acknowledgement { code, control_id: answer.field(2).text(), text: Confidential::new(text) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::DocumentError;
    use crate::fault::ContentError;
    use crate::message::{MessageLimits, ParseError};
    use crate::remark::Place;

    fn stamp() -> Stamp {
        Stamp { at: "20261128061500".parse().unwrap(), control_id: "B1".to_owned() }
    }

    fn parse(bytes: &[u8]) -> Message {
        Message::parse(bytes, &MessageLimits::default()).unwrap()
    }

    const SENT: &[u8] = b"MSH|^~\\&|RIS|NOORD|BOX|ZUID|20261128||ORU^R01|a\\T\\7|P|2.4\r";

    #[test]
    fn what_is_kept_is_accepted() {
        let bytes = accept(&parse(SENT), "kept", &stamp());
        let text = String::from_utf8(bytes.clone()).unwrap();
        let expected = "MSH|^~\\&|BOX|ZUID|RIS|NOORD|20261128061500||ACK^R01^ACK|B1|P|2.4||||||UNICODE UTF-8\rMSA|AA|a\\T\\7\r";
        assert_eq!(text, expected);
        let read = Acknowledgement::read(&parse(&bytes)).unwrap();
        assert_eq!(
            (read.code, read.control_id.as_str(), read.text.is_empty()),
            (AckCode::Accept, "a&7", true)
        );
    }

    #[test]
    fn what_is_refused_says_why_and_where() {
        let place = Place::new("OBX", 3, 5);
        let fault = Fault::Content(ContentError::Document { place, source: DocumentError::CutOff });
        let text = String::from_utf8(refuse(Some(&parse(SENT)), &fault, &stamp())).unwrap();
        assert!(text.contains("MSA|AE|a\\T\\7|the content of the message cannot be taken: OBX[3]-5: the document cannot be read: the document has no end\r"), "{text}");
        assert!(text.contains("ERR||OBX^3^5|102^Data type error^HL70357|E||||"), "{text}");
        let unread = refuse(None, &Fault::Parse(ParseError::NoHeader), &stamp());
        let read = Acknowledgement::read(&parse(&unread)).unwrap();
        assert_eq!((read.code, read.control_id.as_str()), (AckCode::Reject, ""));
    }

    #[test]
    fn an_answer_without_msa_is_none() {
        assert_eq!(Acknowledgement::read(&parse(SENT)), Err(AckError::NoAcknowledgement));
        let odd = b"MSH|^~\\&|||||||ACK|1|P|2.4\rMSA|OK|1\r";
        assert_eq!(Acknowledgement::read(&parse(odd)), Err(AckError::UnknownCode));
        let error = b"MSH|^~\\&|||||||ACK|1|P|2.4\rMSA|CE|1|x\rERR|||100^Segment sequence error|E\r";
        let read = Acknowledgement::read(&parse(error)).unwrap();
        assert_eq!((read.code, read.text.reveal()), (AckCode::Error, "x; Segment sequence error"));
    }
}
