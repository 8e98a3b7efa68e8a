//! What went wrong: what happened, what it means, what to do, and a code to quote.
//!
//! A handler returns a [`Problem`]; `session` sees it on the way out and makes the page, in the reader's language and
//! with the frame.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use beeldbox_protocol::admin::{Refusal, RefusalCode};

use crate::box_client::BoxError;

/// Something that kept a page from being shown or an act from being done.
#[derive(Debug, Clone)]
pub struct Problem {
    /// Status of the answer.
    pub status: StatusCode,
    /// To quote to the administrator or supplier.
    pub code: &'static str,
    /// Key of the title.
    pub title: &'static str,
    /// Key of what it means and what to do.
    pub advice: &'static str,
    /// The daemon's own sentence, in English.
    pub technical: Option<String>,
}

impl Problem {
    /// One with nothing technical to add.
    pub fn new(status: StatusCode, code: &'static str, title: &'static str, advice: &'static str) -> Problem {
        Problem { status, code, title, advice, technical: None }
    }

    /// There is no such page, study or transfer.
    pub fn not_found() -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "WEB-404", "problem.not-found", "problem.not-found-do")
    }

    /// The account has none of the roles that the page asks for.
    pub fn forbidden() -> Problem {
        Problem::new(StatusCode::FORBIDDEN, "WEB-403", "problem.forbidden", "problem.forbidden-do")
    }

    /// A form came in without what its page puts into it.
    pub fn form() -> Problem {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "WEB-422", "problem.form", "problem.form-do")
    }

    /// The answer was of another kind than the question asks for.
    pub fn odd() -> Problem {
        Problem::new(StatusCode::BAD_GATEWAY, "BOX-003", "problem.odd", "problem.odd-do")
    }

    /// The patient on the page is not the one behind it (CS-23).
    pub fn mismatch(advice: &'static str) -> Problem {
        Problem::new(StatusCode::CONFLICT, "WEB-409", "problem.mismatch", advice)
    }

    /// The draft was sent already, or is too old.
    pub fn draft_gone() -> Problem {
        Problem::new(StatusCode::CONFLICT, "WEB-410", "problem.draft-gone", "send.draft-gone")
    }

    /// Our own mistake.
    pub fn bug() -> Problem {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "WEB-500", "problem.bug", "problem.bug-do")
    }
}

impl From<BoxError> for Problem {
    fn from(error: BoxError) -> Problem {
        let new = Problem::new;
        match error {
            BoxError::Absent(_) => {
                new(StatusCode::SERVICE_UNAVAILABLE, "BOX-001", "problem.absent", "problem.absent-do")
            }
            BoxError::Slow | BoxError::Broken(_) => {
                new(StatusCode::GATEWAY_TIMEOUT, "BOX-002", "problem.slow", "problem.slow-do")
            }
            BoxError::Odd => Problem::odd(),
            BoxError::Busy => {
                new(StatusCode::SERVICE_UNAVAILABLE, "BOX-004", "problem.busy", "problem.busy-do")
            }
            BoxError::Refused(refusal) => refused(&refusal),
        }
    }
}

/// A refusal of the daemon.
pub fn refused(refusal: &Refusal) -> Problem {
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    let (status, code, title, advice) = match refusal.code {
        RefusalCode::NotAQuestion => {
            (StatusCode::BAD_GATEWAY, "BOX-101", "problem.not-a-question", "problem.not-a-question-do")
        }
        RefusalCode::NotFound => {
            (StatusCode::NOT_FOUND, "BOX-102", "problem.not-found", "problem.not-found-do")
        }
        RefusalCode::Ambiguous => {
            (StatusCode::CONFLICT, "BOX-103", "problem.ambiguous", "problem.ambiguous-do")
        }
        RefusalCode::NotNow | RefusalCode::NotSetUp => {
            (StatusCode::CONFLICT, "BOX-104", "problem.not-now", "problem.not-now-do")
        }
        RefusalCode::AddresseeCannotReceive => {
            (unprocessable, "SND-201", "problem.cannot-receive", "problem.cannot-receive-do")
        }
        RefusalCode::AddresseeNotVerified => {
            (unprocessable, "SND-202", "problem.not-verified", "problem.not-verified-do")
        }
        RefusalCode::NotAcknowledged => {
            (unprocessable, "SND-203", "problem.not-acknowledged", "problem.not-acknowledged-do")
        }
        RefusalCode::DirectoryTooOld => {
            (unprocessable, "SND-205", "problem.directory-too-old", "problem.directory-too-old-do")
        }
        RefusalCode::NothingToSend => {
            (unprocessable, "SND-204", "problem.nothing-to-send", "problem.nothing-to-send-do")
        }
        RefusalCode::BadValue | RefusalCode::WrongFingerprint | RefusalCode::CodeRefused => {
            (unprocessable, "BOX-105", "problem.bad-value", "problem.bad-value-do")
        }
        RefusalCode::PortalUnreachable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "SND-101",
            "problem.portal-unreachable",
            "problem.portal-unreachable-do",
        ),
        RefusalCode::Storage => {
            (StatusCode::INSUFFICIENT_STORAGE, "BOX-106", "problem.storage", "problem.storage-do")
        }
        RefusalCode::PatientUnknown => {
            (unprocessable, "IMP-301", "problem.patient-unknown", "problem.patient-unknown-do")
        }
        RefusalCode::PatientContradicts => {
            (StatusCode::CONFLICT, "IMP-302", "problem.patient-contradicts", "problem.patient-contradicts-do")
        }
        RefusalCode::SystemNotHeard => (
            StatusCode::SERVICE_UNAVAILABLE,
            "IMP-303",
            "problem.system-not-heard",
            "problem.system-not-heard-do",
        ),
        RefusalCode::SecondPersonNeeded => {
            (StatusCode::FORBIDDEN, "IMP-304", "problem.second-person", "problem.second-person-do")
        }
        RefusalCode::NotSupported => {
            (StatusCode::NOT_IMPLEMENTED, "BOX-107", "problem.not-supported", "problem.not-supported-do")
        }
    };
    Problem { technical: Some(refusal.message.clone()), ..Problem::new(status, code, title, advice) }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
