//! Why a transfer stands still, waits, or ended: closed lists of words, so that pages can translate them.
//!
//! No free text: what people write may name a patient and is kept sealed elsewhere. A word that a later version wrote
//! is kept as it is (`UnknownToThisVersion`) and shown as such; it never stops the program.

use serde::{Deserialize, Serialize};

/// Who can do something about a transfer that stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// The person who sends and receives studies here.
    Technician,
    /// The person who looks after this box, its network and its PACS.
    Administrator,
    /// Whoever makes the box.
    Vendor,
    /// People at the other side.
    OtherHospital,
}

/// Writes a list of reasons that survives words it does not know.
macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            /// A word that another version of this program wrote.
            UnknownToThisVersion(String),
        }

        impl $name {
            /// Every reason this version knows.
            pub const ALL: &[$name] = &[$($name::$variant),*];

            /// The word it has in the ledger and in what programs tell each other.
            pub fn as_str(&self) -> &str {
                match self {
                    $($name::$variant => $word,)*
                    $name::UnknownToThisVersion(word) => word,
                }
            }
        }

        impl From<String> for $name {
            fn from(word: String) -> Self {
                match word.as_str() {
                    $($word => $name::$variant,)*
                    _ => $name::UnknownToThisVersion(word),
                }
            }
        }

        impl From<$name> for String {
            fn from(reason: $name) -> String {
                reason.as_str().to_owned()
            }
        }
    };
}

reasons! {
    /// Why a transfer stands still until someone looks.
    HoldReason {
        /// A partner whose key we knew now has another one.
        RecipientKeyChanged = "recipient_key_changed",
        /// The addressee's key is not signed by a certificate we trust, or names another organisation.
        RecipientNotVerified = "recipient_not_verified",
        /// The letter's signature does not prove who sent it.
        SenderNotVerified = "sender_not_verified",
        /// The letter is genuine but not meant for us.
        AddressedToSomeoneElse = "addressed_to_someone_else",
        /// A certificate that this transfer needs is no longer valid.
        CertificateExpired = "certificate_expired",
        /// Bytes that arrived are not those that were promised.
        DigestMismatch = "digest_mismatch",
        /// The letter cannot be opened or read.
        LetterUnreadable = "letter_unreadable",
        /// The portal refuses us for good.
        PortalRefusedUs = "portal_refused_us",
        /// The PACS refuses our association.
        PacsRefusedUs = "pacs_refused_us",
        /// The PACS refused some instances for good.
        PacsRefusedInstances = "pacs_refused_instances",
        /// The study holds two different instances of one name.
        ConflictingInstances = "conflicting_instances",
        /// The instances of the study name different patients.
        TwoPatients = "two_patients",
        /// The study does not say whose it is: no instance has a Patient ID.
        PatientIdMissing = "patient_id_missing",
        /// Bytes that we had are damaged or gone.
        PackDamaged = "pack_damaged",
        /// The sender asks for it back, and some of it is in our PACS.
        AskedBack = "asked_back",
        /// A person here has set it aside.
        SetAside = "set_aside",
    }
}

impl HoldReason {
    /// Who can do something about it.
    pub fn who_can_act(&self) -> Who {
        match self {
            HoldReason::RecipientKeyChanged
            | HoldReason::AskedBack
            | HoldReason::SetAside
            | HoldReason::ConflictingInstances
            | HoldReason::TwoPatients
            | HoldReason::PatientIdMissing
            | HoldReason::PacsRefusedInstances
            | HoldReason::PackDamaged => Who::Technician,
            HoldReason::RecipientNotVerified
            | HoldReason::SenderNotVerified
            | HoldReason::AddressedToSomeoneElse
            | HoldReason::DigestMismatch
            | HoldReason::LetterUnreadable => Who::OtherHospital,
            HoldReason::CertificateExpired | HoldReason::PortalRefusedUs | HoldReason::PacsRefusedUs => {
                Who::Administrator
            }
            HoldReason::UnknownToThisVersion(_) => Who::Vendor,
        }
    }
}

reasons! {
    /// Why a hospital refuses a study.
    DeclineReason {
        /// It belongs to another department of this hospital.
        WrongDepartment = "wrong_department",
        /// The patient is not known here.
        UnknownPatient = "unknown_patient",
        /// Something is missing from it.
        Incomplete = "incomplete",
        /// It cannot be read.
        Unreadable = "unreadable",
        /// It is not meant for this hospital.
        NotOurs = "not_ours",
        /// Another reason, told in confidence.
        Other = "other",
    }
}

reasons! {
    /// Why a transfer cannot be completed.
    FailReason {
        /// The portal no longer knows the transfer.
        GoneAtPortal = "gone_at_portal",
        /// The portal refuses the transfer for good.
        RefusedByPortal = "refused_by_portal",
        /// Bytes that we had are damaged and cannot be had again.
        BytesLost = "bytes_lost",
        /// The letter or the packs are not what the sender sealed.
        NotGenuine = "not_genuine",
        /// The PACS stored none of it.
        RefusedByPacs = "refused_by_pacs",
        /// The other side reports that it failed there.
        FailedThere = "failed_there",
        /// A person gave it up.
        GivenUp = "given_up",
    }
}

/// What a transfer waits for that may come by itself. A word that this version does not know is shown as nothing: it
/// is a hint, and the next attempt writes a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitReason {
    /// The portal does not answer.
    PortalUnreachable,
    /// The portal asks us to come back later.
    PortalBusy,
    /// The PACS does not answer.
    PacsUnreachable,
    /// The PACS asks us to come back later.
    PacsBusy,
    /// The PACS has everything and has not confirmed it yet.
    PacsProof,
    /// The disk of this box is full.
    DiskFull,
    /// The other hospital has to do something.
    OtherHospital,
    /// A technician here has to do something.
    Technician,
}

impl WaitReason {
    /// Every reason.
    pub const ALL: &[WaitReason] = &[
        WaitReason::PortalUnreachable,
        WaitReason::PortalBusy,
        WaitReason::PacsUnreachable,
        WaitReason::PacsBusy,
        WaitReason::PacsProof,
        WaitReason::DiskFull,
        WaitReason::OtherHospital,
        WaitReason::Technician,
    ];

    /// The word it has in the ledger and in what programs tell each other.
    pub fn as_str(self) -> &'static str {
        match self {
            WaitReason::PortalUnreachable => "portal_unreachable",
            WaitReason::PortalBusy => "portal_busy",
            WaitReason::PacsUnreachable => "pacs_unreachable",
            WaitReason::PacsBusy => "pacs_busy",
            WaitReason::PacsProof => "pacs_proof",
            WaitReason::DiskFull => "disk_full",
            WaitReason::OtherHospital => "other_hospital",
            WaitReason::Technician => "technician",
        }
    }

    /// The reason with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        WaitReason::ALL.iter().copied().find(|reason| reason.as_str() == word)
    }

    /// Who can do something about it.
    pub fn who_can_act(self) -> Who {
        match self {
            WaitReason::PortalUnreachable
            | WaitReason::PortalBusy
            | WaitReason::PacsUnreachable
            | WaitReason::PacsBusy
            | WaitReason::PacsProof
            | WaitReason::DiskFull => Who::Administrator,
            WaitReason::OtherHospital => Who::OtherHospital,
            WaitReason::Technician => Who::Technician,
        }
    }
}
