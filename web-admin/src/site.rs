//! The pages as one service: what they share, and which address leads where.

use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::hmac;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::get;
use beeldbox_protocol::admin::{Question, WrittenAct};
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::TransferId;
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;

use crate::accounts::Accounts;
use crate::assets;
use crate::box_client::BoxClient;
use crate::claim::Claim;
use crate::dicom_web::{self, admit};
use crate::headers;
use crate::live::{self, Follower, Live};
use crate::origin;
use crate::pages::{code, lock, login, setup, status};
use crate::random;
use crate::routes;
use crate::session::Sessions;
use crate::settings::Tls;
use crate::throttle::Throttle;
use crate::view::problem::Problem;
use crate::visit;

/// Largest form that is read. A note of the allowed length is far below it.
const LARGEST_FORM: usize = 64 * 1024;
/// Passwords hashed at once: each takes 19 MiB.
const HASHES_AT_ONCE: usize = 2;

/// What all pages share.
pub struct Site {
    pub(crate) client: Arc<BoxClient>,
    pub(crate) sessions: Sessions,
    pub(crate) throttle: Throttle,
    pub(crate) accounts: Accounts,
    pub(crate) claim: Claim,
    pub(crate) hashing: Semaphore,
    pub(crate) live: Live,
    pub(crate) tls: Tls,
    pub(crate) cookie: String,
    pub(crate) hospital: Option<String>,
    pub(crate) names: Vec<String>,
    pub(crate) form_key: hmac::Key,
    pub(crate) clock: fn() -> Timestamp,
}

/// What differs from place to place.
pub struct SiteSettings<'a> {
    /// The daemon's admin socket.
    pub socket: &'a Path,
    /// Where the accounts are.
    pub state_dir: &'a Path,
    /// Whether connections are encrypted.
    pub tls: Tls,
    /// Where the pages listen.
    pub port: u16,
    /// Name of the hospital.
    pub hospital: Option<String>,
    /// Host names under which browsers may ask.
    pub names: Vec<String>,
    /// What time it is.
    pub clock: fn() -> Timestamp,
}

impl Site {
    /// Puts the pages together. The second part must be run for the pages to follow the box.
    pub fn new(settings: SiteSettings<'_>) -> (Arc<Site>, Follower) {
        let client = Arc::new(BoxClient::new(settings.socket));
        let (live, follower) = live::new(client.clone());
        let site = Site {
            client,
            sessions: Sessions::default(),
            throttle: Throttle::default(),
            accounts: Accounts::in_dir(settings.state_dir),
            claim: Claim::in_dir(settings.state_dir),
            hashing: Semaphore::new(HASHES_AT_ONCE),
            live,
            tls: settings.tls,
            cookie: visit::cookie_name(settings.tls, settings.port),
            hospital: settings.hospital,
            names: settings.names,
            form_key: hmac::Key::new(hmac::HMAC_SHA256, &random::bytes::<32>()),
            clock: settings.clock,
        };
        (Arc::new(site), follower)
    }

    /// Has an act at these pages written into the audit trail. Work goes on if that fails: a patient waits, and the log
    /// says loudly that something is missing.
    pub(crate) async fn write_down(
        &self,
        account: &str,
        act: WrittenAct,
        transfer: Option<TransferId>,
        about: Option<&str>,
    ) {
        let about = about.map(Confidential::new);
        if let Err(error) = self.client.ask(account, Question::WriteDown { act, transfer, about }).await {
            tracing::error!(%error, act = act.code(), account, "an act could not be written into the audit trail");
        }
    }
}

/// DICOMweb alone, for systems with a certificate: no pages, and nobody signs in there.
pub(crate) fn dicom_web_router(site: Arc<Site>) -> Router {
    Router::new()
        .nest("/dicom-web", dicom_web::routes())
        .layer(middleware::from_fn_with_state(site.clone(), headers::add))
        .with_state(site)
}

impl Site {
    /// Locks every session now, as ten minutes without anybody do; for tests, which do not wait that long.
    pub fn lock_all(&self) {
        self.sessions.lock_all();
    }
}

/// Every address of the pages.
pub fn router(site: Arc<Site>) -> Router {
    let (signed_in, _) = routes::routes().into_parts();
    let signed_in = signed_in
        .fallback(async || Problem::not_found().into_response())
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| Problem::bug().into_response()))
        .layer(middleware::from_fn_with_state(site.clone(), visit::require_sign_in));
    let dicom_web = dicom_web::routes().layer(middleware::from_fn_with_state(site.clone(), admit::signed_in));
    Router::new()
        .nest("/dicom-web", dicom_web)
        .route("/login", get(login::page).post(login::sign_in))
        .route("/login/code", get(code::page).post(code::submit))
        .route("/lock", get(lock::page).post(lock::submit))
        .route("/setup", get(setup::page).post(setup::submit))
        .route("/healthz", get(status::healthz))
        .route("/a/{name}", get(assets::serve))
        .merge(signed_in)
        .layer(DefaultBodyLimit::max(LARGEST_FORM))
        .layer(middleware::from_fn_with_state(site.clone(), origin::check))
        .layer(middleware::from_fn_with_state(site.clone(), headers::add))
        .with_state(site)
}
