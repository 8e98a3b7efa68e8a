//! What the ledger tells about transfers, and what a move changes beside the state.

use beeldbox_protocol::clinical::{Confidential, Patient, StudySummary};
use beeldbox_protocol::ident::{AddresseeId, Digest, TransferId, Ura};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::asks::AskChange;
use crate::audit::AuditRecord;
use crate::directory::KnownKey;
use crate::filing::{Filing, Proposal, WordsEdit};
use crate::reason::WaitReason;
use crate::records::{CollectionId, Cursor};
use crate::requests::RequestChange;
use crate::state::{Direction, State};

/// One transfer.
#[derive(Debug, Clone)]
pub struct TransferRow {
    /// Its name at both hospitals and the portal.
    pub id: TransferId,
    /// Which way it goes.
    pub direction: Direction,
    /// Where it stands.
    pub state: State,
    /// What it carries; nothing before an inbound letter was opened.
    pub collection: Option<CollectionId>,
    /// When to work on it next; nothing if it is not scheduled.
    pub due_at: Option<Timestamp>,
    /// Tries in this state that did not move it.
    pub attempts: u32,
    /// What it waits for.
    pub waiting: Option<WaitReason>,
    /// The same in a fixed sentence of the program.
    pub waiting_detail: Option<String>,
    /// Since when.
    pub waiting_since: Option<Timestamp>,
    /// Who gets it.
    pub addressee: Option<AddresseeSnapshot>,
    /// Who sent it, as verified.
    pub sender: Option<SenderSnapshot>,
    /// Who sent it, as the portal says; to be shown as a claim only.
    pub sender_hint: Option<String>,
    /// What people wrote and what the study says about the patient; nothing once erased.
    pub confidential: Option<TransferConfidential>,
    /// The portal's name for it, and the version of it that we saw last.
    pub task: Option<(String, String)>,
    /// SHA-256 of the letter.
    pub letter_digest: Option<Digest>,
    /// Where the portal keeps the letter.
    pub letter_ref: Option<String>,
    /// Whether it goes before others.
    pub urgent: bool,
    /// When we made or first saw it.
    pub created_at: Timestamp,
    /// When it last moved.
    pub changed_at: Timestamp,
    /// Its place in the list.
    pub cursor: Cursor,
}

/// Who gets a transfer, as it stood in the directory when it was chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddresseeSnapshot {
    /// Its id in the directory.
    pub id: AddresseeId,
    /// The organisation, as its certificate says.
    pub ura: Ura,
    /// Its name, as its certificate says.
    pub name: String,
    /// The department chosen.
    #[serde(default)]
    pub department: Option<String>,
    /// Which of its keys the letter is sealed to.
    pub key_id: String,
    /// What the transfer crate needs to seal and to address again; custody does not read it.
    #[serde(default)]
    pub recipient_json: String,
}

/// Who sent a transfer, as verified from the letter's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SenderSnapshot {
    /// The organisation, as its certificate says.
    pub ura: Ura,
    /// Its name, as its certificate says.
    pub name: String,
    /// The department, as the letter says.
    #[serde(default)]
    pub department: Option<String>,
}

/// What of a transfer is nobody else's business. Stored sealed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TransferConfidential {
    /// What the sender wrote for the reader.
    pub note: Confidential,
    /// Whom to call.
    pub reply_contact: Confidential,
    /// Who decided to send it.
    pub requested_by: String,
    /// Of whom it is.
    pub patient: Patient,
    /// What it is.
    pub summaries: Vec<StudySummary>,
    /// The request for images that it answers.
    pub in_answer_to: Option<TransferId>,
    /// What it is an addendum to, as its letter says.
    pub addendum: Option<AddendumTo>,
    /// For whom at this hospital it is; nothing if it leaves.
    pub desk: Option<Desk>,
    /// Under whom it goes to the PACS, once that is decided.
    pub filing: Option<Filing>,
    /// What a second person must agree to.
    pub proposal: Option<Box<Proposal>>,
}

/// The earlier transfers that an addendum follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddendumTo {
    /// The first of them all.
    pub group: TransferId,
    /// The one before it.
    pub to: TransferId,
}

/// For whom at this hospital a transfer is: as its sender chose, or as a person here decided since.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Desk {
    /// Its entry of the directory.
    pub addressee: Option<AddresseeId>,
    /// The department, and the person if one was chosen; nothing for the organisation as a whole.
    pub name: Option<String>,
}

/// What a move changes beside the state, in the same commit. Whatever is absent stays as it was, except `due_at`: a
/// transfer that moved is due when this says, or not scheduled. Waiting and attempts always start anew.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// When to work on it next; nothing: not scheduled.
    pub due_at: Option<Timestamp>,
    /// Whether it goes before others.
    pub urgent: Option<bool>,
    /// The sealed letter; its bytes are frozen from here on.
    pub letter: Option<Vec<u8>>,
    /// Who gets it.
    pub addressee: Option<AddresseeSnapshot>,
    /// Forget addressee, words and urgency: the choice was undone.
    pub unaddress: bool,
    /// Who sent it, as verified.
    pub sender: Option<SenderSnapshot>,
    /// What is stored sealed.
    pub confidential: Option<TransferConfidential>,
    /// What a decision changes of it, put in after that.
    pub edit: Option<WordsEdit>,
    /// The portal's name for it and its version.
    pub task: Option<(String, String)>,
    /// A signed receipt: stage (1 in custody, 2 in PACS) and JWS. The first of each stage stays.
    pub receipt: Option<(u8, Vec<u8>)>,
    /// A question about the transfer that this move makes or answers.
    pub ask: Option<AskChange>,
    /// A key of the addressee that a person has compared: from now on it is the known one.
    pub known_key: Option<KnownKey>,
    /// Requests for images that this move answers.
    pub requests: Vec<RequestChange>,
    /// What the world has to be told.
    pub outbox: Vec<OutboxMessage>,
    /// What goes into the audit trail.
    pub audit: Vec<AuditRecord>,
}

/// News of a transfer to us.
#[derive(Debug, Clone)]
pub struct NewInbound {
    /// Its name.
    pub id: TransferId,
    /// The portal's name for it.
    pub task_id: String,
    /// The version of it that we saw.
    pub task_version: String,
    /// Where the portal keeps the letter.
    pub letter_ref: String,
    /// Who sent it, as the portal says.
    pub sender_hint: Option<String>,
    /// Whether it goes before others.
    pub urgent: bool,
    /// Now; it is due at once.
    pub now: Timestamp,
}

/// Something to tell the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxMessage {
    /// What to do with it; custody does not read it.
    pub kind: String,
    /// About which transfer, if any.
    pub transfer: Option<TransferId>,
    /// What to tell. Stored sealed.
    pub payload: Vec<u8>,
    /// When to tell it first.
    pub due_at: Timestamp,
}

/// Something that is still to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its name inside the ledger, and the order of writing.
    pub id: i64,
    /// What it is.
    pub message: OutboxMessage,
    /// Tries that failed.
    pub attempts: u32,
}

/// A signed receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptRow {
    /// 1 in custody, 2 in PACS.
    pub stage: u8,
    /// The JWS.
    pub jws: Vec<u8>,
    /// When it was recorded.
    pub at: Timestamp,
}

/// What the PACS answered for one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryRow {
    /// The instance, by its name inside the ledger.
    pub instance: i64,
    /// Status of the C-STORE response (PS3.7 annex C).
    pub status: u16,
    /// When it was recorded.
    pub at: Timestamp,
}
