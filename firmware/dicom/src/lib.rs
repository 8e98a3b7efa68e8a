//! The DICOM node: what it accepts, what it refuses, what it sends.
//!
//! ```text
//!  peer ──▶ listen ──▶ connection ──▶ negotiate ──▶ receive ──▶ (Intake: whoever takes custody)
//!                          │ TLS, places                │ sniff: who and what, from a bounded prefix
//!  peer ◀── associate ◀── deliver ◀── coerce ◀── (OutgoingSource: whoever has the bytes)
//!                     ◀── echo, diagnose
//!                     ◀── find, retrieve ──▶ (answers, bounded)
//!                     ◀── ask_commitment
//! ```
//!
//! - The memory of an association does not depend on the size of an instance, a PDU, or a declared length.
//! - Data sets pass through bit by bit, in the transfer syntax they came in. Pixel data is never parsed. Only coercion
//!   changes anything, on the way out, and records it.
//! - Success is answered only with the proof that the taker gave (see [`IntakeAssociation::finish`]).
//! - The last-fragment flag is sent only when the source said that it is complete; every error ends in A-ABORT.
//! - No patient value and no UID is logged: association number, AE titles, counts.
//!
//! What peers may rely on is in `CONFORMANCE.md`.

// Places and waiting room: who is kept out when there are too many.
mod admission;
// Storage commitment on associations of ours: reporting, asking.
mod ask_commitment;
// Opening associations: what requestors share.
mod associate;
// Text by its character set, ISO 2022 included.
mod character_set;
// Local identity in place of the sender's, while an instance streams out.
mod coerce;
// Storage commitment on associations of peers: asked, and told.
mod commit;
// Storage commitment as data.
mod commitment;
// One connection, from accept to close.
mod connection;
// Messages on associations of ours.
mod conversation;
// Writing small data sets.
mod data_set;
// Storage SCU.
mod deliver;
// Verification SCU, step by step.
mod diagnose;
// The directory of a DICOM folder.
mod dicom_dir;
// Command sets.
mod dimse;
// Verification SCU.
mod echo;
// Query SCU: C-FIND, and counting.
mod find;
// Documents as instances.
mod encapsulate;
// A taker that takes everything, for tests.
#[cfg(any(test, fuzzing))]
mod fixtures;
// Doors for the fuzz targets; not in any other build.
#[cfg(fuzzing)]
pub mod fuzzing;
// Reading the answers of an archive.
mod found;
// What else speaks to a DICOM port.
mod greeting;
// From bytes to PDUs and pieces of data.
mod inflow;
// What an instance says about itself.
mod instance;
// Who takes instances into custody.
mod intake;
// What a JPEG says before its picture data.
mod jpeg;
// Accepting connections on both ports, stopping.
mod listen;
// Messages of an association: command sets, data sets.
mod messages;
// Presentation contexts and user information, with the reason of each refusal.
mod negotiate;
// The beginning of a DICOM file.
mod part10;
// Timers, deadlines, least rate.
mod patience;
// PDUs as types, and the codec of association PDUs.
mod pdu;
// A connection to a peer, with or without TLS.
mod peer_stream;
// What is accepted, and from whom.
mod policy;
// Questions to an archive.
mod query;
// Storage SCP and verification SCP.
mod receive;
// Retrieve SCU: C-MOVE.
mod retrieve;
// Services by abstract syntax.
mod services;
// Reading a few attributes from the beginning of a data set.
mod sniff;
// DIMSE status codes.
mod status;
// What a structured report says.
mod structured_report;
// TLS: who we are and whom we believe.
mod tls;
// The state machine of PS3.8.
mod upper_layer;
// A walk over the elements of a data set.
mod walk;
// One end of an association.
mod wire;
// Scheduled imports: modality worklist SCU.
mod worklist;

pub use ask_commitment::{CommitmentError, report_commitment, request_commitment};
pub use associate::{AssociateError, AssociationLimits, PeerNode};
pub use coerce::{
    CoercedSource, Coercer, CoercionError, CoercionOutcome, CoercionPlanError, CoercionRecord, Coercions,
    ConversionError, ConvertedSource, Converter, Issuer, LocalOrder, LocalPatient, UniversalEntity,
    UniversalEntityKind, convertible_to,
};
pub use commitment::{CommitmentRequest, CommitmentResult, ReferencedInstance};
pub use conversation::ConversationError;
pub use deliver::{
    OutgoingInstance, OutgoingSource, SourceError, StoreAssociation, StoreError, StoreOutcome, associate,
    associate_over,
};
pub use diagnose::{DiagnosedStep, Diagnosis, DiagnosisFailure, DiagnosisStep, diagnose};
pub use dicom_dir::{FolderFile, RecordAttributes, directory};
pub use echo::{EchoError, echo, echo_over};
pub use encapsulate::{
    EncapsulateError, NewInstance, StudyIdentity, WrappedDocument, encapsulate_jpeg, encapsulate_pdf,
};
pub use find::{count_instances, find, instances_held};
pub use greeting::Greeting;
pub use instance::InstanceHeader;
pub use intake::{AssociationInfo, Intake, IntakeAssociation, Refusal};
pub use jpeg::JpegError;
pub use listen::{ListenError, Listeners, listen};
pub use part10::file_head;
pub use pdu::WireError;
pub use peer_stream::PeerStream;
pub use policy::{
    AllowedPeer, CertificateThumbprint, IdentityMismatch, Network, NetworkError, NodePolicy, PeerRules,
    StoragePolicy, ThumbprintError, Transport, TransportPolicy,
};
pub use query::{DateRange, Found, Query, QueryError, QueryLevel};
pub use retrieve::{MoveOutcome, MoveProgress, move_study};
pub use sniff::{attributes_of, identifiers_of};
pub use status::{DimseStatus, StatusFamily};
pub use structured_report::{LONGEST_REPORT, StructuredReportError, read_structured_report};
pub use tls::{ClientTls, TlsError, TlsIdentity, TlsTrust, server_config};
pub use worklist::{ScheduledImport, WorklistQuery, find_scheduled};

/// Names this implementation (PS3.7 annex D.3.3.2). Derived from a UUID (PS3.5 annex B.2), so nobody had to register it.
pub const IMPLEMENTATION_CLASS_UID: &str = "2.25.165356100022821620729156509321786175141";
/// Names its version, at most 16 characters.
pub const IMPLEMENTATION_VERSION: &str = "BEELDBOX_010";
