//! A received study, and what a person must see of it before it leaves.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Addressee, Partner, Refusal, Situation, StudyNumber};
use crate::clinical::{Patient, StudySummary};
use crate::ident::{AddresseeId, TransferId};

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
    /// These images came late: to whom the others of the study went last.
    #[serde(default)]
    pub earlier: Option<EarlierLine>,
}

/// An earlier transfer of the same study.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierLine {
    /// The transfer.
    pub transfer: TransferId,
    /// To whom: its id in the directory, to be offered again.
    pub addressee: AddresseeId,
    /// To which organisation.
    pub partner: Partner,
    /// When it was made.
    pub at: Timestamp,
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
    /// Sent to this addressee it is an addendum to this transfer.
    #[serde(default)]
    pub addendum_to: Option<EarlierLine>,
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
    /// The request that it answers names another citizen service number or birthday.
    OtherPatient,
}
