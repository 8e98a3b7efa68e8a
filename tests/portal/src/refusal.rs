//! Refusals: every way of saying no, with its status, its code for programs and its sentence for people.
//!
//! A handler answers with a [`Refusal`]; [`tell`] writes it in the language of the place (an `OperationOutcome` under
//! `/fhir`, `application/problem+json` elsewhere) and logs one line. Bodies of requests never reach the log.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use beeldbox_protocol::ident::Digest;
use beeldbox_protocol::portal::fhir::OperationOutcome;
use beeldbox_protocol::portal::task::TaskStatus;
use beeldbox_protocol::portal::{FHIR_JSON, PROBLEM_JSON, Problem};

use crate::identity::Peer;
use crate::ledger::LedgerError;

/// Seconds after which to come back when storage is full: a person has to act first.
const RETRY_WHEN_FULL_SECS: u64 = 300;

/// Seconds after which to come back when this portal had a fault of its own.
const RETRY_AFTER_FAULT_SECS: u64 = 10;

/// Why a request is refused.
#[derive(Debug, Clone)]
pub enum Refusal {
    /// Not there, or not for this client.
    NotFound,
    /// Was there, and was erased.
    Gone,
    /// This client may not.
    Forbidden(&'static str),
    /// The one-time code is missing or not good.
    NotAuthorised,
    /// Cannot be understood.
    Malformed(String),
    /// No `Content-Digest`.
    DigestNeeded,
    /// The bytes are not those that were named.
    DigestMismatch,
    /// No `Content-Length`.
    LengthNeeded,
    /// More bytes than allowed.
    TooLarge {
        /// Bytes allowed.
        limit: u64,
    },
    /// `If-None-Match: *`, and it is there.
    Exists,
    /// `If-Match` names another version.
    VersionDiffers,
    /// Neither `If-Match` nor `If-None-Match`.
    PreconditionNeeded,
    /// The transfer is past the point where its content may be added to.
    NotADraft,
    /// Another letter is there already.
    OtherLetter,
    /// The life cycle does not allow this move to this client.
    MayNotMove {
        /// From where.
        from: TaskStatus,
        /// To where.
        to: TaskStatus,
    },
    /// Makes no sense as a transfer or as an entry of the directory.
    Nonsense(String),
    /// Says something about a patient, in a field that this portal must not know.
    PatientData(&'static str),
    /// A commit before everything is there.
    Incomplete {
        /// Parts that are not there.
        missing: Vec<Digest>,
        /// Whether the letter is not there.
        is_letter_missing: bool,
        /// Parts that are there with another length than the Task says.
        of_other_length: Vec<Digest>,
    },
    /// No byte of the range exists.
    RangeOutside {
        /// Bytes that exist.
        len: u64,
    },
    /// The organisation has used its space.
    QuotaFull,
    /// The disk is full.
    DiskFull,
    /// Too many at a time.
    Busy {
        /// Seconds after which to come back.
        retry_after: u64,
    },
    /// A fault of this portal.
    Fault(String),
}

impl From<LedgerError> for Refusal {
    fn from(error: LedgerError) -> Self {
        if error.is_full() { Refusal::DiskFull } else { Refusal::Fault(error.to_string()) }
    }
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Refusal::NotFound => StatusCode::NOT_FOUND,
            Refusal::Gone => StatusCode::GONE,
            Refusal::Forbidden(_) => StatusCode::FORBIDDEN,
            Refusal::NotAuthorised => StatusCode::UNAUTHORIZED,
            Refusal::Malformed(_) | Refusal::DigestNeeded | Refusal::DigestMismatch => {
                StatusCode::BAD_REQUEST
            }
            Refusal::LengthNeeded => StatusCode::LENGTH_REQUIRED,
            Refusal::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::Exists | Refusal::VersionDiffers => StatusCode::PRECONDITION_FAILED,
            Refusal::PreconditionNeeded => StatusCode::PRECONDITION_REQUIRED,
            Refusal::NotADraft | Refusal::OtherLetter | Refusal::MayNotMove { .. } => StatusCode::CONFLICT,
            Refusal::Nonsense(_) | Refusal::PatientData(_) | Refusal::Incomplete { .. } => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Refusal::RangeOutside { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Refusal::QuotaFull | Refusal::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
            Refusal::Busy { .. } => StatusCode::TOO_MANY_REQUESTS,
            Refusal::Fault(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The code for programs, and the FHIR issue type nearest to it.
    fn codes(&self) -> (&'static str, &'static str) {
        match self {
            Refusal::NotFound => ("not-found", "not-found"),
            Refusal::Gone => ("gone", "deleted"),
            Refusal::Forbidden(_) => ("forbidden", "forbidden"),
            Refusal::NotAuthorised => ("not-authorised", "login"),
            Refusal::Malformed(_) => ("malformed", "structure"),
            Refusal::DigestNeeded => ("digest-needed", "required"),
            Refusal::DigestMismatch => ("digest-mismatch", "value"),
            Refusal::LengthNeeded => ("length-needed", "required"),
            Refusal::TooLarge { .. } => ("too-large", "too-long"),
            Refusal::Exists => ("exists", "duplicate"),
            Refusal::VersionDiffers => ("version-differs", "conflict"),
            Refusal::PreconditionNeeded => ("precondition-needed", "required"),
            Refusal::NotADraft => ("not-a-draft", "business-rule"),
            Refusal::OtherLetter => ("other-letter", "conflict"),
            Refusal::MayNotMove { .. } => ("may-not-move", "business-rule"),
            Refusal::Nonsense(_) => ("nonsense", "invalid"),
            Refusal::PatientData(_) => ("patient-data", "business-rule"),
            Refusal::Incomplete { missing, is_letter_missing, .. } => {
                match (missing.is_empty(), is_letter_missing) {
                    (false, _) => ("missing-parts", "incomplete"),
                    (true, true) => ("missing-letter", "incomplete"),
                    (true, false) => ("part-length", "value"),
                }
            }
            Refusal::RangeOutside { .. } => ("range-outside", "value"),
            Refusal::QuotaFull => ("quota", "too-costly"),
            Refusal::DiskFull => ("disk-full", "no-store"),
            Refusal::Busy { .. } => ("busy", "throttled"),
            Refusal::Fault(_) => ("fault", "exception"),
        }
    }

    fn sentence(&self) -> String {
        match self {
            Refusal::NotFound => "There is no such thing here for you.".to_owned(),
            Refusal::Gone => "It was here and has been erased.".to_owned(),
            Refusal::Forbidden(why) => (*why).to_owned(),
            Refusal::NotAuthorised => "The one-time code is missing, used up or too old.".to_owned(),
            Refusal::Malformed(why) | Refusal::Nonsense(why) => why.clone(),
            Refusal::DigestNeeded => "Content-Digest with sha-256 is needed.".to_owned(),
            Refusal::DigestMismatch => {
                "The bytes are not those that the digest names; nothing was stored.".to_owned()
            }
            Refusal::LengthNeeded => "Content-Length is needed.".to_owned(),
            Refusal::TooLarge { limit } => format!("At most {limit} bytes are taken here."),
            Refusal::Exists => "It is there already.".to_owned(),
            Refusal::VersionDiffers => "It has changed meanwhile; read it again.".to_owned(),
            Refusal::PreconditionNeeded => "If-Match, or If-None-Match: *, is needed.".to_owned(),
            Refusal::NotADraft => {
                "The transfer is not a draft any more; nothing can be added to it.".to_owned()
            }
            Refusal::OtherLetter => "Another letter is there already; make a new transfer.".to_owned(),
            Refusal::MayNotMove { from, to } => {
                format!("You may not move this transfer from {from} to {to}.")
            }
            Refusal::PatientData(field) => {
                format!("{field} may say something about a patient; it belongs in the letter.")
            }
            Refusal::Incomplete { missing, is_letter_missing, of_other_length } => format!(
                "Not everything is there: {} parts missing, {} of another length, letter {}.",
                missing.len(),
                of_other_length.len(),
                if *is_letter_missing { "missing" } else { "present" },
            ),
            Refusal::RangeOutside { len } => format!("There are {len} bytes."),
            Refusal::QuotaFull => "Your organisation has used its space on this portal.".to_owned(),
            Refusal::DiskFull => "The portal has no space left.".to_owned(),
            Refusal::Busy { .. } => "Too many requests; come back later.".to_owned(),
            Refusal::Fault(_) => "The portal had a fault of its own.".to_owned(),
        }
    }

    fn retry_after(&self) -> Option<u64> {
        match self {
            Refusal::QuotaFull | Refusal::DiskFull => Some(RETRY_WHEN_FULL_SECS),
            Refusal::Busy { retry_after } => Some(*retry_after),
            Refusal::Fault(_) => Some(RETRY_AFTER_FAULT_SECS),
            Refusal::NotFound
            | Refusal::Gone
            | Refusal::Forbidden(_)
            | Refusal::NotAuthorised
            | Refusal::Malformed(_)
            | Refusal::DigestNeeded
            | Refusal::DigestMismatch
            | Refusal::LengthNeeded
            | Refusal::TooLarge { .. }
            | Refusal::Exists
            | Refusal::VersionDiffers
            | Refusal::PreconditionNeeded
            | Refusal::NotADraft
            | Refusal::OtherLetter
            | Refusal::MayNotMove { .. }
            | Refusal::Nonsense(_)
            | Refusal::PatientData(_)
            | Refusal::Incomplete { .. }
            | Refusal::RangeOutside { .. } => None,
        }
    }

    fn missing(&self) -> Option<&[Digest]> {
        if let Refusal::Incomplete { missing, .. } = self { Some(missing) } else { None }
    }

    /// The body in the language of the place.
    fn body(&self, is_fhir: bool) -> Vec<u8> {
        let (code, issue) = self.codes();
        let missing = self.missing().unwrap_or_default();
        let value = if is_fhir {
            let mut value = serde_json::json!(OperationOutcome::error(issue, &self.sentence()));
            value["issue"][0]["details"] = serde_json::json!({ "text": code });
            if self.missing().is_some() {
                value["missing"] = serde_json::json!(missing);
            }
            value
        } else {
            let problem = Problem {
                status: self.status().as_u16(),
                title: self.sentence(),
                code: code.to_owned(),
                missing: missing.to_vec(),
            };
            serde_json::json!(problem)
        };
        value.to_string().into_bytes()
    }
}

impl IntoResponse for Refusal {
    /// Not the whole answer yet: [`tell`] writes the body.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Refusal::RangeOutside { len } = &self
            && let Ok(value) = HeaderValue::try_from(format!("bytes */{len}"))
        {
            headers.insert(header::CONTENT_RANGE, value);
        }
        if let Refusal::NotAuthorised = &self {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"enrolment\""));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes refusals in the language of the place, and logs each in one line.
pub async fn tell(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let ura =
        request.extensions().get::<Peer>().and_then(Peer::ura).map(ToString::to_string).unwrap_or_default();
    let response = next.run(request).await;
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let refusal = response.extensions().get::<Refusal>().cloned().unwrap_or_else(|| built_in(status));
    let (code, _) = refusal.codes();
    if let Refusal::Fault(why) = &refusal {
        tracing::error!(%method, path, ura, why, "request failed");
    } else {
        tracing::info!(%method, path, ura, status = status.as_u16(), code, "request refused");
    }
    let is_fhir = path.starts_with("/fhir");
    let (mut parts, _) = response.into_parts();
    let media_type = if is_fhir { FHIR_JSON } else { PROBLEM_JSON };
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(refusal.body(is_fhir)))
}

/// What the router itself says no to.
fn built_in(status: StatusCode) -> Refusal {
    if status == StatusCode::NOT_FOUND {
        return Refusal::NotFound;
    }
    Refusal::Malformed(status.canonical_reason().unwrap_or("The request cannot be answered").to_owned())
}
