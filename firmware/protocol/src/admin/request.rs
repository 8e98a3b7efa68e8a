//! Requests for images: what this hospital asks others for, and what others ask it for.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Partner, WhoCode};
use crate::clinical::{Confidential, Patient};
use crate::ident::{AddresseeId, TransferId};
use crate::imaging_request::{RequestRefusal, WantedImages};

/// What a person asks another hospital for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewRequest {
    /// Whom to ask: an entry of the directory.
    pub addressee: AddresseeId,
    /// Of whom the images are.
    pub patient: Patient,
    /// Which images, and which of our own addressees shall get them.
    pub wanted: WantedImages,
    /// Why; sealed to the other hospital.
    pub reason: Confidential,
    /// Whom the other hospital may call back; sealed to it.
    pub reply_contact: Option<Confidential>,
    /// Whether the other hospital should hurry.
    pub urgent: bool,
}

/// A request, ours or another hospital's.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RequestLine {
    /// Its id.
    pub request: TransferId,
    /// Whether this hospital asks; otherwise it is asked.
    pub is_ours: bool,
    /// The other organisation, as its certificate names it.
    pub partner: Partner,
    /// Whether to hurry.
    pub urgent: bool,
    /// What was asked; `None` once it was forgotten, some time after its end.
    pub asked: Option<AskedFor>,
    /// When it was made or came.
    pub created_at: Timestamp,
    /// Until when it can be answered.
    pub valid_until: Timestamp,
    /// Where it stands.
    pub state: RequestCode,
    /// Since when.
    pub since: Timestamp,
    /// Why it was refused.
    pub refused: Option<RequestRefusal>,
    /// The transfers that answer it, oldest first.
    pub answers: Vec<TransferId>,
    /// Who can act.
    pub who: WhoCode,
}

/// What was asked, in the words of whoever asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedFor {
    /// Of whom the images are.
    pub patient: Patient,
    /// Which images, and for whom.
    pub wanted: WantedImages,
    /// Why.
    pub reason: Confidential,
    /// Whom to call back.
    pub reply_contact: Option<Confidential>,
    /// Who asked on this box; of another hospital's request nothing is known.
    pub by: Option<String>,
}

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestCode {
    /// Ours: on its way to the portal.
    Asking,
    /// Ours: the portal has it; the other box has not seen it.
    Asked,
    /// Ours: the other hospital can see it; a person there has to answer.
    Seen,
    /// Ours: the portal says that images in answer are on their way; none came yet.
    Promised,
    /// Ours: taken back here; the portal does not know yet.
    Withdrawing,
    /// Theirs: a person here has to answer.
    Open,
    /// Both: images in answer came, or are at the portal.
    Answered,
    /// Both: no images will come.
    Refused,
    /// Both: taken back by whoever asked.
    Withdrawn,
    /// Both: nobody answered in time.
    Expired,
}

/// A page of requests.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RequestPage {
    /// Newest first.
    pub requests: Vec<RequestLine>,
    /// What came as a request and is not believed: a person should know.
    pub not_believed: Vec<UnbelievedRequest>,
}

/// Something that came as a request for images and is not believed. Nothing of it is shown, and nobody can answer it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnbelievedRequest {
    /// Its id at the portal.
    pub request: TransferId,
    /// The URA that the portal names as its sender; nobody proved it.
    pub claimed_sender: String,
    /// Why it is not believed: one English sentence.
    pub why: String,
    /// Since when.
    pub since: Timestamp,
}
