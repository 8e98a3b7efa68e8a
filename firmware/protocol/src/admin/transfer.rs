//! A transfer in a list and in full, with receipts, verified instances and the audit trail.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{MatchCode, Situation};
use crate::clinical::{Confidential, Patient, StudySummary};
use crate::ident::{AddresseeId, Digest, SopInstanceUid, TransferId, Ura};

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
    /// The newest question for it back, if there is one.
    #[serde(default)]
    pub ask: Option<AskLine>,
    /// The request for images that it answers.
    #[serde(default)]
    pub answers: Option<TransferId>,
    /// What it is an addendum to.
    #[serde(default)]
    pub addendum: Option<AddendumLine>,
    /// For whom here an inbound one is: department and person. `None` for the organisation as a whole, or before it is
    /// opened.
    #[serde(default)]
    pub desk: Option<String>,
    /// Where a declined one belongs, in the opinion of who declined it.
    #[serde(default)]
    pub belongs_at: Option<BelongsAt>,
    /// Who may be meant by an opened one; `None` before anybody was asked, and for all others.
    #[serde(default)]
    pub matching: Option<MatchCode>,
    /// Whether a second person must agree to what somebody proposed.
    #[serde(default)]
    pub is_proposed: bool,
}

/// What a transfer is an addendum to: images of the same study that came late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddendumLine {
    /// The transfer before it.
    pub to: TransferId,
    /// When that was made or announced; `None` if this box knows none of that name between the same two.
    pub at: Option<Timestamp>,
}

/// Where a declined transfer belongs, in the opinion of who declined it. A hint: whoever sent it decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BelongsAt {
    /// Entry of the directory.
    pub addressee: AddresseeId,
    /// Its organisation, as this box's copy of the directory has it; `None` if it has no such entry.
    pub organisation: Option<String>,
    /// Its department, likewise.
    pub department: Option<String>,
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

/// The receipts: two of a transfer, one of a question for a transfer back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReceiptStage {
    /// Receipt 1: the other box holds it, every frame authenticated.
    InCustody,
    /// Receipt 2: the other PACS has it.
    InPacs,
    /// What was asked back is erased at the other side, and removed from its PACS if it was there.
    Erased,
}

impl ReceiptStage {
    /// All of them.
    pub const ALL: [ReceiptStage; 3] = [ReceiptStage::InCustody, ReceiptStage::InPacs, ReceiptStage::Erased];
}

/// A question for a transfer back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AskLine {
    /// Where it stands.
    pub state: AskCode,
    /// Since when.
    pub since: Timestamp,
    /// Why, as the sender wrote it.
    pub reason: Option<Confidential>,
}

/// Where a question for a transfer back stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AskCode {
    /// Out: on its way.
    Asking,
    /// Out: the other hospital has to answer.
    Asked,
    /// In: a person here has to answer.
    Open,
    /// Both: the images are erased at the receiving side.
    Granted,
    /// Both: the receiving side keeps them.
    Refused,
}

/// An instance that the PACS did not take.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RefusedInstance {
    /// Its place in the letter's list, from zero.
    pub position: u32,
    /// DIMSE status; from 0xFFFB on one of the box's own: 0xFFFF if no presentation context was accepted, 0xFFFE if the local
    /// patient could not be put into it. All stand in `firmware/transfer/DELIVERY.md`.
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
