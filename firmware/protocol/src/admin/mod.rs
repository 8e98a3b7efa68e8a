//! Questions and answers between `beeldboxd` and its front ends: the web pages and `beeldboxctl`.
//!
//! Carried over a Unix socket: one JSON object per line in each direction, one [`Answer`] for each [`Call`], in order.
//! The socket's file permissions decide who may ask at all; the [`Actor`] says on whose behalf, for the audit trail.
//! A page never decides: it shows an answer and posts a question.
//!
//! Nothing that is asked or answered is written to a log: the lines carry patient data.

// Whom one can send to.
mod addressee;
// What lies here and can be read.
mod archive;
// What a person must see before a study leaves.
mod check;
// How the box and its neighbours are.
mod status;
// Where a transfer is, why, and who can act.
mod situation;
// Whose images are these?
mod matching;
// DICOM nodes and names in the settings.
mod nodes;
// Images asked for at other hospitals, and by them.
mod request;
// Transfers, receipts, audit, in lines and in full.
mod transfer;
// What a person must see of whom images are asked of.
mod whom;
// What front ends have written into the audit trail.
mod written;

use serde::{Deserialize, Serialize};

use crate::clinical::Confidential;
use crate::ident::{AddresseeId, AeTitle, Digest, TransferId};
use crate::imaging_request::RequestRefusal;

pub use addressee::{Addressee, AddresseePage, Reception};
pub use archive::{
    CONTENT_BREAKS, CONTENT_ENDS, Content, LONGEST_PIECE, StoredInstance, StoredLine, StoredPage,
    StoredSearch,
};
pub use check::{Check, CheckFlag, EarlierLine, StudyLine};
pub use matching::{
    CandidateLine, CandidatePage, FieldCode, FieldLine, LocalChoice, MarkCode, MatchCode, OrderLine,
    PatientSearch, PatientSystem, ProposalLine, ReasonLine, SystemAnswer, SystemOutcome, VerdictCode,
};
pub use nodes::{AliasLine, Nodes, PeerLine};
pub use request::{AskedFor, NewRequest, RequestCode, RequestLine, RequestPage, UnbelievedRequest};
pub use situation::{DeclineCode, HoldCode, Situation, StateCode, WaitCode, WhoCode};
pub use status::{
    CertificateLevel, CertificateLine, CertificateUse, NodeTest, NodeTestStage, NodeTestStep, PacsStatus,
    PortalStatus, Status,
};
pub use transfer::{
    AddendumLine, AskCode, AskLine, AuditLine, BelongsAt, Partner, ReceiptLine, ReceiptStage,
    RefusedInstance, TransferDetail, TransferLine, VerifiedLine, VerifiedPage,
};
pub use whom::WhomCheck;
pub use written::WrittenAct;

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
    /// Whom to offer before anything is typed: the favourites of whoever asks, then those to whom this box sent last.
    /// Answered by [`Reply::Addressees`].
    UsualAddressees {
        /// At most so many.
        limit: u32,
    },
    /// Set or unset a favourite of whoever asks. Answered by [`Reply::Done`].
    SetFavourite {
        /// Which entry of the directory.
        addressee: AddresseeId,
        /// Whether it is one from now on.
        is_favourite: bool,
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
    /// Undo a send while nothing has left the box. Answered by [`Reply::Done`].
    Undo {
        /// Which.
        transfer: TransferId,
    },
    /// Take a transfer back. Answered by [`Reply::Done`].
    Recall {
        /// Which.
        transfer: TransferId,
    },
    /// Offer the study of a transfer for sending once more, to the same or to another addressee, from what this box still
    /// has. Answered by [`Reply::Study`]: as it now waits for an addressee.
    OfferAgain {
        /// Which.
        transfer: TransferId,
    },
    /// Send the images of a transfer that was declined, expired or recalled to another addressee, from what this box still
    /// has. Answered by [`Reply::Sent`] with the further transfer; asked twice, with the same.
    Redirect {
        /// Which.
        transfer: TransferId,
        /// To whom; without it, to whom the one who declined it named.
        #[serde(default)]
        to: Option<AddresseeId>,
        /// Other words for the addressee; without them those of the first transfer.
        #[serde(default)]
        note: Option<Confidential>,
        /// The flags of the check page that the person ticked.
        acknowledged: Vec<CheckFlag>,
    },
    /// Ask the other hospital to erase what it has collected already. Answered by [`Reply::Done`] when the question is
    /// on its way; the answer shows in [`TransferLine::ask`].
    AskBack {
        /// Which.
        transfer: TransferId,
        /// Why; sealed to the other hospital.
        reason: Confidential,
    },
    /// Answer the sender's question for a transfer back. Answered by [`Reply::Done`].
    AnswerAsk {
        /// Which transfer.
        transfer: TransferId,
        /// Whether the images were removed from the PACS; otherwise they are kept, and the sender is told.
        removed: bool,
    },
    /// The study of an outbound transfer, to choose another addressee for it. Answered by [`Reply::Study`].
    StudyOf {
        /// Which transfer.
        transfer: TransferId,
    },
    /// What the check page must show before another hospital is asked for images. Answered by [`Reply::WhomCheck`].
    CheckRequest {
        /// Whom to ask.
        addressee: AddresseeId,
    },
    /// Ask another hospital for images. Answered by [`Reply::Requested`] when the request is on its way; asking the same
    /// again while it is under way gives the same request.
    RequestImages {
        /// What is asked.
        request: Box<NewRequest>,
        /// The flags that the person ticked, as for a send.
        acknowledged: Vec<CheckFlag>,
    },
    /// Requests for images, ours and those of others, newest first. Answered by [`Reply::Requests`].
    Requests {
        /// Only those before this one, which ended the last page.
        before: Option<TransferId>,
        /// At most so many.
        limit: u32,
    },
    /// One request. Answered by [`Reply::Request`].
    Request {
        /// Which.
        request: TransferId,
    },
    /// Take a request of ours back. Answered by [`Reply::Done`] when that is on its way.
    WithdrawRequest {
        /// Which.
        request: TransferId,
    },
    /// Refuse another hospital's request, or put one aside that is not believed. Answered by [`Reply::Done`].
    RefuseRequest {
        /// Which.
        request: TransferId,
        /// Why; the other hospital is told.
        reason: RequestRefusal,
    },
    /// What the check page must show before a study is sent in answer to a request. Answered by [`Reply::Check`].
    CheckAnswer {
        /// Which request.
        request: TransferId,
        /// Which study.
        study: StudyNumber,
        /// To whom; none is the addressee that the request names.
        addressee: Option<AddresseeId>,
    },
    /// Send a study in answer to another hospital's request. As [`Question::Send`]; answered by [`Reply::Sent`].
    SendAnswer {
        /// Which request.
        request: TransferId,
        /// Which study.
        study: StudyRef,
        /// To whom; none is the addressee that the request names. Always one of the hospital that asked.
        addressee: Option<AddresseeId>,
        /// Words for the addressee; sealed with the study.
        note: Option<Confidential>,
        /// Whom the addressee may call back; sealed with the study.
        reply_contact: Option<Confidential>,
        /// Whether the addressee should be told to hurry.
        urgent: bool,
        /// The flags of the check page that the person ticked.
        acknowledged: Vec<CheckFlag>,
    },
    /// Try a waiting transfer now, or let a held one go on after a person looked. Answered by [`Reply::Done`].
    Resume {
        /// Which.
        transfer: TransferId,
    },
    /// Inbound transfers, newest first. Answered by [`Reply::Transfers`].
    Inbox {
        /// Only those before this one, which ended the last page.
        before: Option<TransferId>,
        /// At most so many.
        limit: u32,
    },
    /// The patients of this hospital who may be meant by an opened transfer. Asks the hospital's systems, which may take
    /// some seconds. Answered by [`Reply::Candidates`].
    Candidates {
        /// Which.
        transfer: TransferId,
        /// Whom to look for beside the patient that came along.
        #[serde(default)]
        search: PatientSearch,
    },
    /// Import an opened transfer into the local PACS. Answered by [`Reply::Done`], or by [`Reply::Proposed`] if a second
    /// person must agree.
    Import {
        /// Which.
        transfer: TransferId,
        /// Under which patient of this hospital. None, or the number that the images carry already and nobody else here
        /// has: they go as they came.
        #[serde(default)]
        patient: Option<Box<LocalChoice>>,
    },
    /// Agree, as a second person, to what somebody has proposed. Answered by [`Reply::Done`].
    AgreeToImport {
        /// Which.
        transfer: TransferId,
        /// [`ProposalLine::seen`] of what the person saw.
        seen: Digest,
    },
    /// Take back what somebody has proposed. Answered by [`Reply::Done`].
    DropProposal {
        /// Which.
        transfer: TransferId,
    },
    /// Set an arrived transfer aside until somebody puts it back ([`Question::Resume`]). Answered by [`Reply::Done`].
    SetAside {
        /// Which.
        transfer: TransferId,
        /// Why; stands in the audit trail.
        reason: Confidential,
    },
    /// Set for which department of this organisation an inbound transfer is. Answered by [`Reply::Done`].
    Forward {
        /// Which.
        transfer: TransferId,
        /// To whom: an entry of the directory that belongs to this organisation.
        to: AddresseeId,
    },
    /// Refuse an opened transfer. Answered by [`Reply::Done`].
    Decline {
        /// Which.
        transfer: TransferId,
        /// Why; the sender is told.
        reason: DeclineCode,
        /// Where it belongs, if it came to the wrong addressee; the sender is told, and decides.
        #[serde(default)]
        belongs_at: Option<AddresseeId>,
    },
    /// What lies on this box and can be read, newest first. Answered by [`Reply::Stored`].
    Stored {
        /// What is looked for.
        #[serde(default)]
        search: Box<StoredSearch>,
        /// Only what is older than this.
        before: Option<StudyNumber>,
        /// At most so many.
        limit: u32,
    },
    /// The instances of a study that can be read. The first page stands in the audit trail as a look at the study. Answered
    /// by [`Reply::StoredInstances`].
    StoredInstances {
        /// Which study.
        study: StudyNumber,
        /// Go on after this one.
        after: Option<i64>,
        /// At most so many.
        limit: u32,
    },
    /// An instance as a file. Answered by [`Reply::Content`].
    Instance {
        /// Which: its number.
        instance: i64,
    },
    /// A picture of one frame, never for diagnosis. Answered by [`Reply::Content`].
    Picture {
        /// Which instance: its number.
        instance: i64,
        /// Which frame, from zero.
        frame: u32,
        /// Most pixels on an edge, up to 1024.
        edge: u32,
        /// Centre and width of the window; without them as the image says.
        window: Option<(f64, f64)>,
    },
    /// What an instance says of itself beside its bulk data, in the DICOM JSON model (PS3.18 annex F). Answered by
    /// [`Reply::Header`].
    Header {
        /// Which: its number.
        instance: i64,
    },
    /// A study as a DICOM folder. Stands in the audit trail. Answered by [`Reply::Content`].
    Folder {
        /// Which study.
        study: StudyNumber,
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
    /// The peers and aliases in the settings. Answered by [`Reply::Nodes`].
    Nodes,
    /// Write into the audit trail what happened at a front end. Answered by [`Reply::Done`].
    WriteDown {
        /// What.
        act: WrittenAct,
        /// Which transfer it is about.
        transfer: Option<TransferId>,
        /// What else it is about, such as an account: at most 100 characters.
        about: Option<Confidential>,
    },
    /// The certificates of this box. Answered by [`Reply::Certificates`].
    Certificates,
    /// Enrol at the portal: a certificate for a one-time code. Answered by [`Reply::Certificates`].
    Enrol {
        /// The code.
        code: Confidential,
        /// SHA-256 of the portal's authority, which came with the code.
        fingerprint: Digest,
    },
    /// Renew the certificate for the portal now. Answered by [`Reply::Certificates`].
    RenewCertificate,
    /// Make a key and a request for a certificate (PKCS#10), for an authority that works by hand. Answered by
    /// [`Reply::CertificateRequest`].
    RequestCertificate {
        /// What for.
        what: CertificateUse,
    },
    /// Take over a certificate that somebody else issued. Answered by [`Reply::Certificates`].
    ImportCertificate {
        /// What for.
        what: CertificateUse,
        /// The file: PEM, or PKCS#12 in base64.
        content: Confidential,
        /// The password of a PKCS#12 file.
        password: Option<Confidential>,
    },
    /// Make a new recipient key; letters to the old one are still opened until the last can have expired. Answered by
    /// [`Reply::Done`]; in use from the next start on.
    RotateRecipientKey,
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
    /// See [`Question::Addressees`] and [`Question::UsualAddressees`].
    Addressees(AddresseePage),
    /// See [`Question::Check`].
    Check(Box<Check>),
    /// See [`Question::CheckRequest`].
    WhomCheck(Box<WhomCheck>),
    /// See [`Question::Send`].
    Sent(TransferId),
    /// See [`Question::Transfers`] and [`Question::Inbox`].
    Transfers(Vec<TransferLine>),
    /// See [`Question::Transfer`].
    Transfer(Box<TransferDetail>),
    /// See [`Question::RequestImages`].
    Requested(TransferId),
    /// See [`Question::Requests`].
    Requests(RequestPage),
    /// See [`Question::Request`].
    Request(Box<RequestLine>),
    /// See [`Question::Candidates`].
    Candidates(Box<CandidatePage>),
    /// See [`Question::Import`]: something contradicts, and a second person must agree.
    Proposed,
    /// See [`Question::Stored`].
    Stored(StoredPage),
    /// See [`Question::StoredInstances`].
    StoredInstances(Vec<StoredInstance>),
    /// See [`Question::Header`].
    Header(Confidential),
    /// Bytes follow this line: see [`Content`].
    Content(Content),
    /// See [`Question::Verify`].
    Verified(VerifiedPage),
    /// See [`Question::TestNode`].
    NodeTest(NodeTest),
    /// See [`Question::Nodes`].
    Nodes(Nodes),
    /// See [`Question::Certificates`].
    Certificates(Vec<CertificateLine>),
    /// See [`Question::RequestCertificate`]: PEM.
    CertificateRequest(String),
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
    /// The copy of the directory is too old: nobody knows whether the addressee's key still is.
    DirectoryTooOld,
    /// A flag of the check page was not ticked.
    NotAcknowledged,
    /// The study has nothing that could be sent.
    NothingToSend,
    /// A value was not acceptable.
    BadValue,
    /// The portal could not be asked.
    PortalUnreachable,
    /// The box has no signing certificate yet; only questions about that are answered.
    NotSetUp,
    /// The portal's authority is not the one that came with the code; the code was not sent.
    WrongFingerprint,
    /// The portal does not accept the code: unknown, used or too old.
    CodeRefused,
    /// The box's own storage failed.
    Storage,
    /// This version cannot do it.
    NotSupported,
    /// No system of this hospital that was asked knows that patient number.
    PatientUnknown,
    /// The patient number is somebody else's here, or something contradicts.
    PatientContradicts,
    /// A system of this hospital that must be asked did not answer.
    SystemNotHeard,
    /// A second person must do it.
    SecondPersonNeeded,
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
