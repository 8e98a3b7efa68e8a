//! What every handler shares, and which path leads to which handler.
//!
//! ```text
//!   TLS ──► tell (writes refusals) ──► faults ──► require_client ──► handler ──► ledger, store
//!                                          └────► enrolment (no certificate yet)
//! ```

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use beeldbox_protocol::portal::{FHIR_JSON, PROTOCOL_VERSION};
use jiff::SignedDuration;
use serde_json::json;
use tokio::sync::watch;

use crate::ca::Ca;
use crate::clock::Clock;
use crate::faults::{self, Faults};
use crate::identity::require_client;
use crate::ledger::Ledger;
use crate::refusal::{self, Refusal};
use crate::store::Store;
use crate::{directory, est, letters, parts, task_api};

/// Longest body of JSON: a Task that lists every part of a very large study.
const MAX_JSON_LEN: usize = 16 * 1024 * 1024;

/// What an organisation may use.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of parts that the transfers of one sender may hold together.
    pub bytes_per_sender: Option<u64>,
    /// Drafts that one sender may have open.
    pub drafts_per_sender: Option<u32>,
    /// How long letter and parts stay after the transfer has come to an end.
    pub grace: SignedDuration,
}

impl Default for Limits {
    /// No quota, seven days of grace.
    fn default() -> Self {
        Limits { bytes_per_sender: None, drafts_per_sender: None, grace: SignedDuration::from_hours(7 * 24) }
    }
}

/// What every handler shares.
pub struct Site {
    /// Rows.
    pub ledger: Ledger,
    /// Bytes.
    pub store: Store,
    /// The small certificate authority.
    pub ca: Ca,
    /// The time.
    pub clock: Clock,
    /// Quotas and times.
    pub limits: Limits,
    /// Bad manners.
    pub faults: Arc<Faults>,
    /// Counts changes of transfers, so that waiting polls wake up.
    pub news: watch::Sender<u64>,
    /// Parts that were sent to this process and stored.
    pub parts_received: AtomicU64,
    /// Becomes true when the portal stops, so that waiting polls end.
    pub stopping: watch::Receiver<bool>,
}

impl Site {
    /// Wakes the waiting polls.
    pub fn tell_news(&self) {
        self.news.send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// The interface.
pub fn router(site: Arc<Site>) -> Router {
    let with_certificate = Router::new()
        .route("/metadata", get(metadata))
        .route("/fhir/metadata", get(capability_statement))
        .route("/fhir/Task", get(task_api::search))
        .route("/fhir/Task/{transfer}", get(task_api::read).put(task_api::write))
        .route("/fhir/Binary/{transfer}", get(letters::read).put(letters::write))
        .route("/fhir/{kind}", get(directory::search))
        .route("/fhir/{kind}/_history", get(directory::history))
        .route("/fhir/{kind}/{id}", get(directory::read).put(directory::write))
        .route("/parts/{transfer}/missing", post(parts::missing))
        .route("/parts/{transfer}/{digest}", put(parts::write).get(parts::read))
        .route("/.well-known/est/simplereenroll", post(est::simple_reenroll))
        .fallback(async || Refusal::NotFound)
        .layer(from_fn(require_client));
    let open = Router::new()
        .route("/.well-known/est/cacerts", get(est::ca_certificates))
        .route("/.well-known/est/simpleenroll", post(est::simple_enroll));
    with_certificate
        .merge(open)
        .layer(from_fn_with_state((site.faults.clone(), site.clock.clone()), faults::misbehave))
        .layer(DefaultBodyLimit::max(MAX_JSON_LEN))
        .layer(from_fn(refusal::tell))
        .with_state(site)
}

/// The versions that this portal speaks; a box takes the highest that it speaks too.
async fn metadata() -> Response {
    let body = json!({
        "software": "beeldbox-portal",
        "version": env!("CARGO_PKG_VERSION"),
        "protocolVersions": [PROTOCOL_VERSION],
    });
    axum::Json(body).into_response()
}

async fn capability_statement() -> Response {
    let interaction =
        |codes: &[&str]| -> Vec<_> { codes.iter().map(|code| json!({ "code": code })).collect() };
    let mut resources = vec![
        json!({ "type": "Task", "interaction": interaction(&["read", "update", "search-type"]), "versioning": "versioned-update" }),
        json!({ "type": "Binary", "interaction": interaction(&["read", "update"]) }),
    ];
    resources.extend(directory::KINDS.iter().map(
        |kind| json!({ "type": kind, "interaction": interaction(&["read", "search-type", "history-type"]) }),
    ));
    let statement = json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "kind": "instance",
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "software": { "name": "beeldbox-portal", "version": env!("CARGO_PKG_VERSION") },
        "implementation": { "description": format!("Beeldbox portal, protocol version {PROTOCOL_VERSION}") },
        "rest": [{ "mode": "server", "resource": resources }],
    });
    fhir(StatusCode::OK, &statement)
}

/// A FHIR answer.
pub fn fhir(status: StatusCode, body: &impl serde::Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => (status, [(header::CONTENT_TYPE, FHIR_JSON)], body).into_response(),
        Err(error) => Refusal::Fault(error.to_string()).into_response(),
    }
}

/// A header's text, if it is there and is text.
pub fn header_text(headers: &HeaderMap, name: impl header::AsHeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
