//! HL7 v2: reports that come in and go out, patients that are looked up, and the frames they travel in.
//!
//! ```text
//!   stream ─▶ mllp::listen ─▶ Message ─▶ whoever keeps it ─▶ AA, with the proof ─▶ stream
//!                               └─▶ ResultMessage (ORU^R01): patient, orders, observations, documents
//!   ResultMessage ─▶ bytes ─▶ mllp::client ─▶ Acknowledgement
//!   PatientQuery (QBP^Q22) ─▶ bytes ─▶ mllp::client ─▶ PatientAnswer (RSP^K22)
//! ```
//!
//! - A message is read where it stands: memory is a small multiple of its length, whatever it consists of.
//! - Every refusal has a name and becomes an acknowledgement that says who must act ([`Fault`]).
//! - What was odd and taken all the same is remarked ([`Remark`]), never silent.
//! - AA is answered only with the proof of whoever keeps the message.
//! - No clock, no disk, no settings: streams, time and limits come in as arguments. Nothing here writes a log.
//!
//! What peers may rely on is in `HL7.md`.

// Acknowledgements: written, and read.
mod ack;
// From a report to what it says, block by block.
mod blocks;
// From bytes to text, whatever MSH-18 says.
mod character_set;
// Which characters part what.
mod delimiters;
// Documents inside of observations.
mod document;
// Escape sequences.
mod escape;
// Why a message is not taken, as the sender reads it.
mod fault;
// Segments, fields, components.
mod message;
// Frames over a stream: listening and sending.
pub mod mllp;
// Names of persons.
mod person;
// Patients looked up: QBP^Q22 and RSP^K22.
mod pdq;
// From a message to a report.
mod read;
// What was odd.
mod remark;
// What ORU^R01 says, as data.
mod result;
// Statuses of tables 0123 and 0085.
mod status;
// Dates and times.
mod time;
// From a report to a message.
mod write;
// Writing segments.
mod writing;

pub use ack::{AckCode, AckError, Acknowledgement, Stamp};
pub use character_set::CharacterSet;
pub use delimiters::{DelimiterError, Delimiters};
pub use document::{Document, DocumentError, DocumentKind};
pub use fault::{ContentError, Fault, FaultCode};
pub use message::{ContinuationError, Message, MessageLimits, ParseError, Segment, Value};
pub use pdq::{AnswerError, Candidate, PatientAnswer, PatientQuery, QueryOutcome};
pub use person::PersonName;
pub use remark::{Place, Remark};
pub use result::{
    Coded, Content, Header, NumberPlace, Observation, OrderNumber, Party, PatientResult, Reference,
    ReportPatient, ReportedOrder, ResultMessage, SectionRole, ValueKind,
};
pub use status::{ObservationStatus, ReportStatus};
pub use time::PointInTime;
pub use write::WriteError;
