//! Questions and answers between `beeldboxd` and its front ends: the web pages and `beeldboxctl`.
//!
//! Carried over a Unix socket: one JSON object per line in each direction, one [`Answer`] for each [`Call`], in order.
//! The socket's file permissions decide who may ask at all; the [`Actor`] says on whose behalf, for the audit trail.
//! A page never decides: it shows an answer and posts a question.
//!
//! Nothing that is asked or answered is written to a log: the lines carry patient data.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clinical::{Confidential, Patient, StudySummary};
use crate::ident::{AddresseeId, AeTitle, Digest, SopInstanceUid, TransferId, Ura};

/// Longest line either side accepts, in bytes. A page of a list is far below it.
pub const MAX_LINE_LEN: usize = 4 * 1024 * 1024;

/// Most rows one answer carries.
pub const MAX_PAGE: u32 = 200;

/// On whose behalf a question is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Actor {
    /// Account name of the web pages, or of the system user of `beeldboxctl`.
    pub name: String,
    /// Where the question was asked.
    pub through: FrontEnd,
}

/// The front ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FrontEnd {
    /// The local web pages.
    Web,
    /// `beeldboxctl`.
    CommandLine,
}

/// One line from a front end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Call {
    /// Who asks.
    pub actor: Actor,
    /// What is asked.
    pub question: Question,
}

/// Names a received study on this box: the instances that were closed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StudyNumber(pub i64);

/// What can be asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Question {
    /// How the box is: one page for a person at the desk. Answered by [`Reply::Status`].
    Status,
    /// Received studies that wait for an addressee, newest first. Answered by [`Reply::Studies`].
    Studies {
        /// Only those before this one.
        before: Option<StudyNumber>,
        /// At most so many, up to [`MAX_PAGE`].
        limit: u32,
    },
    /// One received study. Answered by [`Reply::Study`].
    Study {
        /// Which.
        study: StudyNumber,
    },
    /// Close a study now instead of waiting for its quiet time. Answered by [`Reply::Done`].
    CloseStudy {
        /// Which.
        study: StudyNumber,
    },
    /// Search the national directory. Answered by [`Reply::Addressees`].
    Addressees {
        /// Words of organisation, department or place, in any order, each from its beginning.
        query: String,
        /// At most so many.
        limit: u32,
    },
    /// What the check page must show before a send. Answered by [`Reply::Check`].
    Check {
        /// Which study.
        study: StudyNumber,
        /// To whom.
        addressee: AddresseeId,
    },
    /// Send a study. Closes it if it is still open. Answered by [`Reply::Sent`].
    Send {
        /// Which study: its number, or its Study Instance UID.
        study: StudyRef,
        /// To whom.
        addressee: AddresseeId,
        /// Words for the addressee; sealed with the study.
        note: Option<Confidential>,
        /// Whom the addressee may call back; sealed with the study.
        reply_contact: Option<Confidential>,
        /// Whether the addressee should be told to hurry.
        urgent: bool,
        /// The flags of the check page that the person ticked.
        acknowledged: Vec<CheckFlag>,
    },
    /// Outbound transfers that have an addressee, newest first. Answered by [`Reply::Transfers`].
    Transfers {
        /// Only those before this one, which ended the last page.
        before: Option<TransferId>,
        /// At most so many.
        limit: u32,
    },
    /// One transfer, in or out. Answered by [`Reply::Transfer`].
    Transfer {
        /// Which.
        transfer: TransferId,
    },
    /// Take a transfer back. Answered by [`Reply::Done`].
    Recall {
        /// Which.
        transfer: TransferId,
    },
    /// Try a waiting transfer now, or let a held one go on after a person looked. Answered by [`Reply::Done`].
    Resume {
        /// Which.
        transfer: TransferId,
    },
    /// Inbound transfers, newest first. Answered by [`Reply::Transfers`].
    Inbox {
        /// Only those created before.
        before: Option<TransferId>,
        /// At most so many.
        limit: u32,
    },
    /// Import an opened transfer into the local PACS. Answered by [`Reply::Done`].
    Import {
        /// Which.
        transfer: TransferId,
        /// The local Patient ID to put in place of the sender's.
        patient_id: Option<Confidential>,
    },
    /// Refuse an opened transfer. Answered by [`Reply::Done`].
    Decline {
        /// Which.
        transfer: TransferId,
        /// Why; the sender is told.
        reason: DeclineCode,
    },
    /// Re-read and authenticate sealed instances, a page at a time. Answered by [`Reply::Verified`].
    Verify {
        /// Go on after this one.
        after: Option<i64>,
    },
    /// Call a DICOM node of ours and ask for an echo, step by step. Answered by [`Reply::NodeTest`].
    TestNode {
        /// Which of the peers in the settings; none is the PACS that incoming studies go to.
        ae_title: Option<AeTitle>,
    },
    /// The audit trail, newest first. Answered by [`Reply::Audit`].
    Audit {
        /// Only records before this one.
        before: Option<i64>,
        /// At most so many.
        limit: u32,
    },
    /// Answered by [`Reply::Changed`] as soon as something differs from `since`, or after 25 seconds.
    WaitForChange {
        /// The change number last seen; 0 to begin.
        since: u64,
    },
}

/// Names a study by its number or by its UID.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum StudyRef {
    /// Its number on this box.
    Number(StudyNumber),
    /// Its Study Instance UID; must name exactly one study that can be sent.
    Uid(crate::ident::StudyInstanceUid),
}

/// One line back.
pub type Answer = Result<Reply, Refusal>;

/// What can be answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "reply", content = "with", rename_all = "kebab-case")]
pub enum Reply {
    /// See [`Question::Status`].
    Status(Box<Status>),
    /// See [`Question::Studies`].
    Studies(Vec<StudyLine>),
    /// See [`Question::Study`].
    Study(Box<StudyLine>),
    /// See [`Question::Addressees`].
    Addressees(AddresseePage),
    /// See [`Question::Check`].
    Check(Box<Check>),
    /// See [`Question::Send`].
    Sent(TransferId),
    /// See [`Question::Transfers`] and [`Question::Inbox`].
    Transfers(Vec<TransferLine>),
    /// See [`Question::Transfer`].
    Transfer(Box<TransferDetail>),
    /// See [`Question::Verify`].
    Verified(VerifiedPage),
    /// See [`Question::TestNode`].
    NodeTest(NodeTest),
    /// See [`Question::Audit`].
    Audit(Vec<AuditLine>),
    /// See [`Question::WaitForChange`].
    Changed(u64),
    /// It is done, and durable.
    Done,
}

/// Why a question is not answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code:?}: {message}")]
pub struct Refusal {
    /// For programs, and for wording in the person's language.
    pub code: RefusalCode,
    /// One English sentence: what happened and what to do next. Never patient data.
    pub message: String,
}

/// Kinds of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalCode {
    /// The line was not a question.
    NotAQuestion,
    /// No such study, transfer or addressee.
    NotFound,
    /// More than one study answers to that name.
    Ambiguous,
    /// Not in this state: something else came first.
    NotNow,
    /// The addressee cannot receive: no key is published.
    AddresseeCannotReceive,
    /// The addressee's key could not be verified.
    AddresseeNotVerified,
    /// A flag of the check page was not ticked.
    NotAcknowledged,
    /// The study has nothing that could be sent.
    NothingToSend,
    /// A value was not acceptable.
    BadValue,
    /// The portal could not be asked.
    PortalUnreachable,
    /// The box's own storage failed.
    Storage,
    /// This version cannot do it.
    NotSupported,
}

/// Where a transfer is on its road.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateCode {
    /// Out: instances are arriving.
    Collecting,
    /// Out: complete; waits for an addressee.
    Queued,
    /// Out: addressed; sending has not begun.
    Addressed,
    /// Out: parts are going up.
    Sending,
    /// Out: the portal holds every byte.
    Accepted,
    /// Out: the other box has it in custody.
    Fetched,
    /// Both: the receiving PACS confirmed.
    Delivered,
    /// Both: the keys are gone, then the bytes.
    Erased,
    /// In: a transfer for us stands at the portal.
    Announced,
    /// In: parts are coming down.
    Fetching,
    /// In: verified and in custody; waits for a person or a rule to import it.
    Opened,
    /// In: the patient is confirmed; delivery has not begun.
    Reconciled,
    /// In: instances go to the PACS.
    Delivering,
    /// In: delivered, and the sender knows.
    Reported,
    /// Both: a person must act.
    Held,
    /// Both: taken back by the sender.
    Recalled,
    /// Both: refused by the addressee.
    Declined,
    /// Both: nobody collected it in time.
    Expired,
    /// Both: ended without success.
    Failed,
}

/// What a transfer waits for by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitCode {
    /// The portal does not answer.
    PortalUnreachable,
    /// The portal asks for patience.
    PortalBusy,
    /// The local PACS does not answer.
    PacsUnreachable,
    /// The local PACS asks for patience.
    PacsBusy,
    /// The disk of the box is full.
    DiskFull,
    /// The other hospital.
    OtherHospital,
    /// A technician.
    Technician,
}

/// Why a transfer is held.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldCode {
    /// A known partner suddenly has another key.
    RecipientKeyChanged,
    /// The recipient's key or certificate cannot be believed.
    RecipientNotVerified,
    /// The sender's signature or certificate cannot be believed.
    SenderNotVerified,
    /// The letter is for someone else.
    AddressedToSomeoneElse,
    /// A certificate has expired.
    CertificateExpired,
    /// What arrived is not what was sent.
    DigestMismatch,
    /// The letter cannot be opened or read.
    LetterUnreadable,
    /// The portal refuses this box.
    PortalRefusedUs,
    /// The PACS refuses this box.
    PacsRefusedUs,
    /// The PACS refused some instances.
    PacsRefusedInstances,
    /// The same SOP Instance UID arrived with different content.
    ConflictingInstances,
    /// The images of the study name different patients.
    TwoPatients,
    /// No image of the study has a Patient ID.
    PatientIdMissing,
    /// Sealed bytes on the box's own disk are damaged.
    PackDamaged,
    /// Written by another version.
    UnknownToThisVersion,
}

/// Who can do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhoCode {
    /// The technician at the desk.
    Technician,
    /// The administrator of the box or the PACS.
    Administrator,
    /// The other hospital.
    OtherHospital,
    /// The supplier of the box.
    Vendor,
    /// Nobody needs to: it goes on by itself.
    Nobody,
}

/// Why an addressee refuses a transfer. The sender sees the code, never free text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeclineCode {
    /// Meant for another department.
    WrongDepartment,
    /// The patient is not known here.
    UnknownPatient,
    /// Something is missing.
    Incomplete,
    /// Cannot be read.
    Unreadable,
    /// Not for this organisation.
    NotOurs,
    /// Another reason.
    Other,
}

/// Everything a person needs to know about a transfer's state, in codes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Situation {
    /// Where it is.
    pub state: StateCode,
    /// Since when.
    pub since: Timestamp,
    /// Parts or instances settled in this state.
    pub done: u32,
    /// Of how many; 0 where counting makes no sense.
    pub of: u32,
    /// What it waits for by itself.
    pub waits_for: Option<WaitCode>,
    /// Since when it waits.
    pub waits_since: Option<Timestamp>,
    /// When it is tried again.
    pub next_try_at: Option<Timestamp>,
    /// Attempts that did not succeed.
    pub attempts: u32,
    /// Why it is held.
    pub hold: Option<HoldCode>,
    /// Why it was declined.
    pub declined: Option<DeclineCode>,
    /// Who can act.
    pub who: WhoCode,
}

/// A study in the list of those to send.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StudyLine {
    /// Its number on this box.
    pub study: StudyNumber,
    /// The transfer that it would begin.
    pub transfer: TransferId,
    /// Whom it is of.
    pub patient: Patient,
    /// What it is.
    pub summary: StudySummary,
    /// AE title of the sending node.
    pub source_ae: String,
    /// The alias it was sent to, if any: whom its sender meant.
    pub called_alias: Option<String>,
    /// When its last instance arrived.
    pub last_instance_at: Timestamp,
    /// Collecting or queued.
    pub situation: Situation,
    /// The same SOP Instance UID arrived with different content.
    pub has_conflict: bool,
    /// Instances whose sealed bytes are damaged.
    pub damaged: u32,
}

/// A page of the directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AddresseePage {
    /// Best match first.
    pub addressees: Vec<Addressee>,
    /// When the directory was last fetched in full or in part; `None` if never.
    pub directory_as_of: Option<Timestamp>,
}

/// Somebody who can be addressed: a department, or an organisation as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addressee {
    /// Its id in the directory.
    pub id: AddresseeId,
    /// URA of the organisation.
    pub ura: Ura,
    /// Name of the organisation.
    pub organisation: String,
    /// Name of the department, if it is one.
    pub department: Option<String>,
    /// Town.
    pub place: Option<String>,
    /// How it receives.
    pub reception: Reception,
}

/// How an addressee receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reception {
    /// It has a box: only it can read what is sent.
    Box,
    /// It has no box: a Beeldbox hosted for it by the portal receives, and can read.
    PortalDelivery,
    /// It is not connected.
    NotConnected,
}

/// What the check page shows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Check {
    /// The study.
    pub study: StudyLine,
    /// The addressee, as in the directory.
    pub addressee: Addressee,
    /// Name of the organisation, as its certificate says it. `None` if the certificate cannot be believed.
    pub certified_name: Option<String>,
    /// Short form of the recipient key, to compare by telephone.
    pub key_thumbprint: Option<String>,
    /// What the person must look at and tick.
    pub flags: Vec<CheckFlag>,
    /// Why it cannot be sent now, if so.
    pub obstacle: Option<Refusal>,
}

/// What the person must look at before sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckFlag {
    /// Never sent to this organisation before.
    FirstTime,
    /// Images are still arriving.
    StillArriving,
    /// No citizen service number was sent along.
    NoBsn,
    /// Arrives at a box that the portal hosts.
    PortalDelivery,
    /// Two different objects came under one name.
    Conflict,
    /// The images name different patients.
    TwoPatients,
    /// No image has a Patient ID.
    NoPatientId,
    /// No patient name was sent along.
    NoPatientName,
}

/// How calling a DICOM node went, as far as it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeTest {
    /// The AE title that was called.
    pub ae_title: AeTitle,
    /// Where, `host:port`.
    pub address: String,
    /// The steps in order; only the last may have failed.
    pub steps: Vec<NodeTestStep>,
    /// What to do next: one English sentence.
    pub advice: String,
}

/// One step of calling a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeTestStep {
    /// Which.
    pub step: NodeTestStage,
    /// How long it took, in microseconds.
    pub took_micros: u64,
    /// What failed; `None` if nothing did.
    pub failure: Option<String>,
}

/// The stages of calling a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeTestStage {
    /// The name becomes addresses.
    Resolve,
    /// A TCP connection.
    Connect,
    /// The TLS handshake.
    Tls,
    /// The association.
    Associate,
    /// The presentation context for verification.
    Context,
    /// C-ECHO.
    Echo,
    /// The end of the association.
    Release,
}

/// A transfer in a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TransferLine {
    /// Its id.
    pub transfer: TransferId,
    /// Whom it is of; `None` before an inbound transfer is opened, or after erasing.
    pub patient: Option<Patient>,
    /// What it is.
    pub summary: Option<StudySummary>,
    /// The other organisation: the addressee of an outbound, the sender of an inbound transfer.
    pub partner: Option<Partner>,
    /// Whether the addressee should hurry.
    pub urgent: bool,
    /// When it was made or announced.
    pub created_at: Timestamp,
    /// Where it is.
    pub situation: Situation,
}

/// The other organisation of a transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partner {
    /// Its URA.
    pub ura: Ura,
    /// Its name.
    pub organisation: String,
    /// Its department.
    pub department: Option<String>,
    /// Whether URA and name stand in a certificate that was verified.
    pub verified: bool,
}

/// A transfer on its own page.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TransferDetail {
    /// As in the list.
    pub line: TransferLine,
    /// The sender's words.
    pub note: Option<Confidential>,
    /// Whom to call back.
    pub reply_contact: Option<Confidential>,
    /// Who asked for it on this box.
    pub requested_by: Option<String>,
    /// What both sides have proven.
    pub receipts: Vec<ReceiptLine>,
    /// Instances in it.
    pub instances: u32,
    /// Bytes of data sets in it.
    pub size_bytes: u64,
    /// Instances that the PACS did not take, by status.
    pub refused: Vec<RefusedInstance>,
}

/// One receipt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReceiptLine {
    /// Which.
    pub stage: ReceiptStage,
    /// When, by the clock of its signer.
    pub at: Timestamp,
    /// Instances stored.
    pub stored: u32,
    /// Of how many.
    pub of: u32,
    /// Whether the signature was verified here.
    pub verified: bool,
}

/// The two receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReceiptStage {
    /// Receipt 1: the other box holds it, every frame authenticated.
    InCustody,
    /// Receipt 2: the other PACS has it.
    InPacs,
}

/// An instance that the PACS did not take.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RefusedInstance {
    /// Its place in the letter's list, from zero.
    pub position: u32,
    /// DIMSE status, or 0xFFFF if no presentation context was accepted.
    pub status: u16,
}

/// One verified instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VerifiedLine {
    /// Its SOP Instance UID.
    pub sop_instance: SopInstanceUid,
    /// SHA-256 of its data set; `None` if the sealed bytes do not authenticate.
    pub digest: Option<Digest>,
}

/// A page of verified instances.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VerifiedPage {
    /// In order of arrival.
    pub lines: Vec<VerifiedLine>,
    /// Ask on from here; `None` at the end.
    pub next: Option<i64>,
}

/// One record of the audit trail.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AuditLine {
    /// Its number.
    pub number: i64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What, as a short code.
    pub action: String,
    /// Which transfer.
    pub transfer: Option<TransferId>,
    /// More, if there is more.
    pub detail: Option<Confidential>,
}

/// How the box is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// Name of the box.
    pub name: String,
    /// Name of the organisation.
    pub organisation: String,
    /// URA of the organisation.
    pub ura: Ura,
    /// Version of the firmware.
    pub version: String,
    /// AE title to which a PACS sends.
    pub ae_title: String,
    /// Where it listens for DICOM, `host:port`.
    pub dicom_address: String,
    /// The portal.
    pub portal: PortalStatus,
    /// The local PACS.
    pub pacs: PacsStatus,
    /// Studies that wait for an addressee.
    pub studies_waiting: u32,
    /// Outbound transfers not yet delivered, declined or recalled.
    pub outbound_open: u32,
    /// Inbound transfers that wait for an import.
    pub inbox_waiting: u32,
    /// Transfers that a person must look at.
    pub held: u32,
    /// Instances whose sealed bytes are damaged.
    pub damaged: u32,
    /// Free bytes where the packs lie.
    pub free_bytes: u64,
    /// Whether intake is refused for want of space.
    pub is_full: bool,
    /// Last moment at which an own certificate is valid; the earliest of them.
    pub certificates_valid_until: Option<Timestamp>,
    /// What start-up found, in one line.
    pub recovery: String,
    /// When the daemon started.
    pub started_at: Timestamp,
    /// Change number, for [`Question::WaitForChange`].
    pub change: u64,
}

/// How the portal is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PortalStatus {
    /// Its address.
    pub url: String,
    /// When it last answered.
    pub last_answer_at: Option<Timestamp>,
    /// What was wrong at the last attempt, in words.
    pub trouble: Option<String>,
    /// When the directory was last fetched.
    pub directory_as_of: Option<Timestamp>,
    /// Entries that can be addressed.
    pub addressees: u32,
}

/// How the local PACS is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PacsStatus {
    /// Its AE title.
    pub ae_title: String,
    /// Its address, `host:port`.
    pub address: String,
    /// What was wrong at the last attempt, in words.
    pub trouble: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_reads_back() {
        let line = r#"{"actor":{"name":"j.smit","through":"web"},"question":{"ask":"send","study":12,"addressee":"zuid-radiologie","note":"graag oordeel","reply_contact":null,"urgent":true,"acknowledged":["first-time"]}}"#;
        let call: Call = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_string(&call).unwrap(), line);
        assert!(!format!("{call:?}").contains("graag"));
    }

    #[test]
    fn an_answer_reads_back() {
        let answer: Answer = Err(Refusal { code: RefusalCode::NotFound, message: "no such study".into() });
        let line = serde_json::to_string(&answer).unwrap();
        assert!(serde_json::from_str::<Answer>(&line).unwrap().is_err());
        let done = serde_json::to_string(&Answer::Ok(Reply::Done)).unwrap();
        assert!(matches!(serde_json::from_str::<Answer>(&done), Ok(Ok(Reply::Done))));
    }
}
