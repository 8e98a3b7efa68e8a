//! The second step of signing in: the code that an app on a telephone shows.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use askama::Template;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use beeldbox_protocol::admin::WrittenAct;
use serde::Deserialize;

use crate::lang::Lang;
use crate::pages::fields::Fields;
use crate::pages::login::{Verdict, frame_outside, with_cookie};
use crate::session::{SessionKey, SignedIn, Stage};
use crate::site::Site;
use crate::view::frame::{Frame, Place};
use crate::view::icon::Icon;
use crate::view::problem::Problem;
use crate::visit::{self, own_path, session_key};

/// Where to go on, and in which language.
#[derive(Deserialize)]
pub struct GateQuery {
    /// Where to go on.
    pub next: Option<String>,
    /// Another language for the page.
    pub lang: Option<String>,
}

#[derive(Template)]
#[template(path = "page/code.html")]
struct CodePage {
    frame: Frame,
    next: String,
    error: Option<String>,
}

/// The session that a browser names, if it waits here.
pub fn waiting(site: &Site, headers: &HeaderMap, stage: Stage) -> Option<(SessionKey, SignedIn)> {
    let key = session_key(site, headers)?;
    let who = site.sessions.look(key, Instant::now()).filter(|who| who.stage == stage)?;
    Some((key, who))
}

/// `GET /login/code`.
pub async fn page(
    State(site): State<Arc<Site>>,
    Query(query): Query<GateQuery>,
    headers: HeaderMap,
) -> Response {
    let Some((_, who)) = waiting(&site, &headers, Stage::Code) else {
        return Redirect::to("/login").into_response();
    };
    let lang = query.lang.as_deref().and_then(Lang::from_code).unwrap_or(who.lang);
    let frame = frame_outside(&site, "login.code-title", "/login/code", lang.words()).await;
    visit::page(&CodePage { frame, next: own_path(query.next.as_deref()), error: None })
}

/// `POST /login/code`.
pub async fn submit(
    State(site): State<Arc<Site>>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    fields: Result<Fields, Problem>,
) -> Response {
    let Some((key, who)) = waiting(&site, &headers, Stage::Code) else {
        return Redirect::to("/login").into_response();
    };
    let Ok(fields) = fields else { return Problem::form().status.into_response() };
    let next = own_path(Some(fields.text("next")));
    let verdict = verify_code(&site, &who.account, fields.text("code"), address);
    if let Some((status, error)) = verdict.words("login.code-wrong", who.lang.words()) {
        let frame = frame_outside(&site, "login.code-title", "/login/code", who.lang.words()).await;
        return visit::page_with(status, &CodePage { frame, next, error: Some(error) });
    }
    tracing::info!(account = %who.account, "signed in with a code");
    site.write_down(&who.account, WrittenAct::SignIn, None, None).await;
    let Some(value) = site.sessions.open(key, Instant::now()) else {
        return Redirect::to("/login").into_response();
    };
    with_cookie(&site, &value, if next.is_empty() { "/" } else { &next })
}

/// Guessing codes gets slow like guessing passwords: a million codes are few.
pub fn verify_code(site: &Site, account: &str, code: &str, address: SocketAddr) -> Verdict {
    let now = Instant::now();
    if let Some(wait) = site.throttle.wait(account, address.ip(), now) {
        return Verdict::TooSoon(wait.as_secs() + 1);
    }
    let seconds = u64::try_from((site.clock)().as_second()).unwrap_or_default();
    match site.accounts.verify_code(account, code, seconds) {
        Ok(true) => {
            site.throttle.succeeded(account);
            Verdict::Right
        }
        Ok(false) => {
            site.throttle.failed(account, address.ip(), now);
            tracing::warn!("a code was wrong");
            Verdict::Wrong
        }
        Err(error) => {
            tracing::error!(%error, "the accounts cannot be read");
            Verdict::Broken
        }
    }
}
