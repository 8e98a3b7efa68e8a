//! From the ledger's words to the codes that front ends and the portal know, and back. Every match is complete: a
//! new word in the ledger makes the compiler ask for its code.

use beeldbox_custody::{DeclineReason, HoldReason, InboundKind, Kind, OutboundKind, WaitReason, Who};
use beeldbox_protocol::admin::{DeclineCode, HoldCode, StateCode, WaitCode, WhoCode};

/// The code of a state.
pub fn state_code(kind: Kind) -> StateCode {
    match kind {
        Kind::Outbound(kind) => match kind {
            OutboundKind::Collecting => StateCode::Collecting,
            OutboundKind::Queued => StateCode::Queued,
            OutboundKind::Addressed => StateCode::Addressed,
            OutboundKind::Sending => StateCode::Sending,
            OutboundKind::Accepted => StateCode::Accepted,
            OutboundKind::Fetched => StateCode::Fetched,
            OutboundKind::Delivered => StateCode::Delivered,
            OutboundKind::Erased => StateCode::Erased,
            OutboundKind::Held => StateCode::Held,
            OutboundKind::Recalled => StateCode::Recalled,
            OutboundKind::Declined => StateCode::Declined,
            OutboundKind::Expired => StateCode::Expired,
            OutboundKind::Failed => StateCode::Failed,
        },
        Kind::Inbound(kind) => match kind {
            InboundKind::Announced => StateCode::Announced,
            InboundKind::Fetching => StateCode::Fetching,
            InboundKind::Opened => StateCode::Opened,
            InboundKind::Reconciled => StateCode::Reconciled,
            InboundKind::Delivering => StateCode::Delivering,
            InboundKind::Delivered => StateCode::Delivered,
            InboundKind::Reported => StateCode::Reported,
            InboundKind::Erased => StateCode::Erased,
            InboundKind::Held => StateCode::Held,
            InboundKind::Recalled => StateCode::Recalled,
            InboundKind::Declined => StateCode::Declined,
            InboundKind::Expired => StateCode::Expired,
            InboundKind::Failed => StateCode::Failed,
        },
    }
}

/// The code of what a transfer waits for.
pub fn wait_code(reason: WaitReason) -> WaitCode {
    match reason {
        WaitReason::PortalUnreachable => WaitCode::PortalUnreachable,
        WaitReason::PortalBusy => WaitCode::PortalBusy,
        WaitReason::PacsUnreachable => WaitCode::PacsUnreachable,
        WaitReason::PacsBusy => WaitCode::PacsBusy,
        WaitReason::PacsProof => WaitCode::PacsProof,
        WaitReason::DiskFull => WaitCode::DiskFull,
        WaitReason::OtherHospital => WaitCode::OtherHospital,
        WaitReason::Technician => WaitCode::Technician,
    }
}

/// The code of why a transfer is held.
pub fn hold_code(reason: &HoldReason) -> HoldCode {
    match reason {
        HoldReason::RecipientKeyChanged => HoldCode::RecipientKeyChanged,
        HoldReason::RecipientNotVerified => HoldCode::RecipientNotVerified,
        HoldReason::SenderNotVerified => HoldCode::SenderNotVerified,
        HoldReason::AddressedToSomeoneElse => HoldCode::AddressedToSomeoneElse,
        HoldReason::CertificateExpired => HoldCode::CertificateExpired,
        HoldReason::DigestMismatch => HoldCode::DigestMismatch,
        HoldReason::LetterUnreadable => HoldCode::LetterUnreadable,
        HoldReason::PortalRefusedUs => HoldCode::PortalRefusedUs,
        HoldReason::PacsRefusedUs => HoldCode::PacsRefusedUs,
        HoldReason::PacsRefusedInstances => HoldCode::PacsRefusedInstances,
        HoldReason::ConflictingInstances => HoldCode::ConflictingInstances,
        HoldReason::TwoPatients => HoldCode::TwoPatients,
        HoldReason::PatientIdMissing => HoldCode::PatientIdMissing,
        HoldReason::PackDamaged => HoldCode::PackDamaged,
        HoldReason::AskedBack => HoldCode::AskedBack,
        HoldReason::SetAside => HoldCode::SetAside,
        HoldReason::UnknownToThisVersion(_) => HoldCode::UnknownToThisVersion,
    }
}

/// The code of who can act.
pub fn who_code(who: Who) -> WhoCode {
    match who {
        Who::Technician => WhoCode::Technician,
        Who::Administrator => WhoCode::Administrator,
        Who::Vendor => WhoCode::Vendor,
        Who::OtherHospital => WhoCode::OtherHospital,
    }
}

/// The code of why a transfer was declined.
pub fn decline_code(reason: &DeclineReason) -> DeclineCode {
    match reason {
        DeclineReason::WrongDepartment => DeclineCode::WrongDepartment,
        DeclineReason::UnknownPatient => DeclineCode::UnknownPatient,
        DeclineReason::Incomplete => DeclineCode::Incomplete,
        DeclineReason::Unreadable => DeclineCode::Unreadable,
        DeclineReason::NotOurs => DeclineCode::NotOurs,
        DeclineReason::Other | DeclineReason::UnknownToThisVersion(_) => DeclineCode::Other,
    }
}

/// The ledger's word for a decline code.
pub fn decline_reason(code: DeclineCode) -> DeclineReason {
    match code {
        DeclineCode::WrongDepartment => DeclineReason::WrongDepartment,
        DeclineCode::UnknownPatient => DeclineReason::UnknownPatient,
        DeclineCode::Incomplete => DeclineReason::Incomplete,
        DeclineCode::Unreadable => DeclineReason::Unreadable,
        DeclineCode::NotOurs => DeclineReason::NotOurs,
        DeclineCode::Other => DeclineReason::Other,
    }
}
