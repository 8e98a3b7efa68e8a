//! Why a message is not taken, in the words of an acknowledgement: who must act, which code, where.
//!
//! AR says that this message will never be taken (wrong kind, not HL7), AE that its content must be put right, or that we
//! cannot keep it now. Table 0008 and table 0357; §2.9.3.1.

use crate::document::DocumentError;
use crate::message::ParseError;
use crate::remark::Place;

/// Error codes of table 0357 that we answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultCode {
    /// 100.
    SegmentSequence,
    /// 101.
    RequiredFieldMissing,
    /// 102.
    DataType,
    /// 103.
    TableValue,
    /// 200.
    UnsupportedMessageType,
    /// 202.
    UnsupportedProcessingId,
    /// 207.
    ApplicationInternal,
}

impl FaultCode {
    /// Number and words of the table.
    pub fn code_and_text(self) -> (&'static str, &'static str) {
        match self {
            FaultCode::SegmentSequence => ("100", "Segment sequence error"),
            FaultCode::RequiredFieldMissing => ("101", "Required field missing"),
            FaultCode::DataType => ("102", "Data type error"),
            FaultCode::TableValue => ("103", "Table value not found"),
            FaultCode::UnsupportedMessageType => ("200", "Unsupported message type"),
            FaultCode::UnsupportedProcessingId => ("202", "Unsupported processing id"),
            FaultCode::ApplicationInternal => ("207", "Application internal error"),
        }
    }
}

/// Why the content of a message that could be read is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// Another kind of message.
    #[error("this kind of message is not taken here")]
    WrongKind,
    /// MSH-11 says training or debugging, and this box takes patients.
    #[error("only messages of production are taken here")]
    NotProduction,
    /// MSH-10 is missing: it could not be acknowledged.
    #[error("the message has no control id")]
    NoControlId,
    /// A segment without which nothing can be said.
    #[error("the segment {segment} is missing")]
    SegmentMissing {
        /// Its name.
        segment: &'static str,
    },
    /// A segment that belongs behind another one.
    #[error("{place} stands before what it belongs to")]
    OutOfOrder {
        /// Where.
        place: Place,
    },
    /// Neither text nor document nor value: nothing is reported.
    #[error("the message reports nothing")]
    NothingReported,
    /// A document that cannot be had.
    #[error("{place}: the document cannot be read")]
    Document {
        /// Where.
        place: Place,
        /// Why.
        #[source]
        source: DocumentError,
    },
    /// The rest is in another message, which must be joined first.
    #[error("the message is continued in another one")]
    Continued,
}

/// Why a message is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It could not be read.
    #[error("the message cannot be read")]
    Parse(#[from] ParseError),
    /// It could be read.
    #[error("the content of the message cannot be taken")]
    Content(#[from] ContentError),
    /// It could not be kept. The sender may try again.
    #[error("the message cannot be kept now")]
    NotKept,
}

impl Fault {
    /// Whether this message will never be taken, whatever its content: AR, else AE.
    pub fn is_rejection(&self) -> bool {
        match self {
            Fault::Parse(_) => true,
            Fault::Content(content) => {
                matches!(content, ContentError::WrongKind | ContentError::NotProduction)
            }
            Fault::NotKept => false,
        }
    }

    /// Its code.
    pub fn code(&self) -> FaultCode {
        match self {
            Fault::Parse(error) => match error {
                ParseError::Empty | ParseError::NoHeader | ParseError::Batch | ParseError::SecondHeader => {
                    FaultCode::SegmentSequence
                }
                ParseError::NothingToContinue => FaultCode::SegmentSequence,
                ParseError::WideCharacters | ParseError::Delimiters(_) => FaultCode::DataType,
                ParseError::TooLong { .. }
                | ParseError::TooManySegments { .. }
                | ParseError::TooManyFields { .. } => FaultCode::ApplicationInternal,
            },
            Fault::Content(error) => match error {
                ContentError::WrongKind => FaultCode::UnsupportedMessageType,
                ContentError::NotProduction => FaultCode::UnsupportedProcessingId,
                ContentError::NoControlId | ContentError::NothingReported => FaultCode::RequiredFieldMissing,
                ContentError::SegmentMissing { .. }
                | ContentError::OutOfOrder { .. }
                | ContentError::Continued => FaultCode::SegmentSequence,
                ContentError::Document { .. } => FaultCode::DataType,
            },
            Fault::NotKept => FaultCode::ApplicationInternal,
        }
    }

    /// Where, if it is somewhere.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Fault::Content(ContentError::OutOfOrder { place } | ContentError::Document { place, .. }) => {
                Some(place)
            }
            Fault::Content(
                ContentError::WrongKind
                | ContentError::NotProduction
                | ContentError::NoControlId
                | ContentError::SegmentMissing { .. }
                | ContentError::NothingReported
                | ContentError::Continued,
            )
            | Fault::Parse(_)
            | Fault::NotKept => None,
        }
    }

    /// One sentence with its causes, for whoever runs the sending system. It says nothing about a patient.
    pub fn sentence(&self) -> String {
        let mut sentence = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            sentence = format!("{sentence}: {cause}");
            source = cause.source();
        }
        sentence
    }
}
