//! Where a transfer is on its road, what it waits for, why it is held, and who can act: in codes that front ends word.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
    /// The local PACS has not confirmed what it stored yet.
    PacsProof,
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
    /// The sender asks for it back, and some of it is in the PACS.
    AskedBack,
    /// A person here has set it aside.
    SetAside,
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
    /// Whether it waits for people for longer than they should let it.
    #[serde(default)]
    pub is_overdue: bool,
    /// Until when sending can be undone as if nothing had happened.
    #[serde(default)]
    pub undo_until: Option<Timestamp>,
    /// In: whether the PACS has, or may have, some of it, although it ended without success.
    #[serde(default)]
    pub is_partly_in_pacs: bool,
}
