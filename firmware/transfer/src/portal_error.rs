//! What went wrong at the portal, sorted by who must act, and what that means for the queue.

use std::time::Duration;

use beeldbox_custody::{HoldReason, WaitReason};
use beeldbox_protocol::ident::Digest;

/// What went wrong at the portal, sorted by who must act.
#[derive(Debug, thiserror::Error)]
pub enum PortalError {
    /// No answer: the network, the portal, or the line between.
    #[error("the portal does not answer")]
    Unreachable(#[source] LineError),
    /// The portal asks for patience.
    #[error("the portal asks to come back later")]
    Busy {
        /// After this long, if it said so.
        retry_after: Option<Duration>,
    },
    /// The portal's certificate is not believed here, or ours is not believed there.
    #[error("the TLS certificates of this box and the portal do not fit together: {0}")]
    Certificate(String),
    /// The portal does not let us do this.
    #[error("the portal refuses this box (HTTP {0})")]
    RefusedUs(u16),
    /// It is not there, or not for us.
    #[error("the portal does not know it")]
    NotFound,
    /// What we would make is there already (a precondition failed).
    #[error("it is at the portal already")]
    AlreadyThere,
    /// Somebody moved first, or it is too late for this.
    #[error("the transfer changed at the portal meanwhile")]
    Conflict,
    /// The commit came too early: these parts are missing, or (with none) the letter.
    #[error("the portal misses {} parts or the letter", .0.len())]
    MissingParts(Vec<Digest>),
    /// Bytes that came are not those that were named.
    #[error("the portal gave other bytes than were asked for")]
    DigestMismatch,
    /// The answer makes no sense to this version.
    #[error("the portal's answer cannot be understood: {0}")]
    NotUnderstood(&'static str),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// No connection, or it broke.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// The connection stands and nothing moves on it.
    #[error("the connection stands still")]
    StandsStill,
}

/// What the queue should do about a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// Wait: it may get better by itself.
    Retry(WaitReason, Option<Duration>),
    /// A person must look.
    Hold(HoldReason),
}

impl PortalError {
    /// Whether the line or the portal is overburdened or broken, so that fewer parts should be under way.
    pub(crate) fn is_trouble(&self) -> bool {
        matches!(self, PortalError::Unreachable(_) | PortalError::Busy { .. })
    }

    /// What the queue should do about it.
    pub fn disposition(&self) -> Disposition {
        match self {
            PortalError::Unreachable(_) => Disposition::Retry(WaitReason::PortalUnreachable, None),
            PortalError::Busy { retry_after } => Disposition::Retry(WaitReason::PortalBusy, *retry_after),
            PortalError::Conflict | PortalError::AlreadyThere | PortalError::MissingParts(_) => {
                Disposition::Retry(WaitReason::PortalBusy, None)
            }
            PortalError::NotUnderstood(_) | PortalError::NotFound => {
                Disposition::Retry(WaitReason::PortalBusy, None)
            }
            PortalError::Certificate(_) => Disposition::Hold(HoldReason::CertificateExpired),
            PortalError::RefusedUs(_) => Disposition::Hold(HoldReason::PortalRefusedUs),
            PortalError::DigestMismatch => Disposition::Hold(HoldReason::DigestMismatch),
        }
    }
}

/// Tells a certificate that is not believed from a line that is down: the first needs a person.
pub(crate) fn transport(error: reqwest::Error) -> PortalError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(inner) = cause {
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign, non-exhaustive enum")]
            match tls {
                rustls::Error::InvalidCertificate(why) => {
                    return PortalError::Certificate(format!("portal: {why:?}"));
                }
                rustls::Error::AlertReceived(alert) => {
                    return PortalError::Certificate(format!("ours: {alert:?}"));
                }
                _ => {}
            }
        }
        cause = match inner.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => inner.source(),
        };
    }
    unreachable(error)
}

/// No answer.
pub(crate) fn unreachable(error: reqwest::Error) -> PortalError {
    PortalError::Unreachable(LineError::Http(error))
}
