//! The lock: after ten minutes without anybody, only the password leads back to where one was, with what was typed
//! (CS-19). The page behind it is gone, not blurred.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use askama::Template;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};

use crate::lang::Lang;
use crate::pages::code::{GateQuery, waiting};
use crate::pages::fields::Fields;
use crate::pages::login::{frame_outside, verify, with_cookie};
use crate::session::Stage;
use crate::site::Site;
use crate::view::frame::{Frame, Place};
use crate::view::icon::Icon;
use crate::view::problem::Problem;
use crate::visit::{self, own_path};

#[derive(Template)]
#[template(path = "page/lock.html")]
struct LockPage {
    frame: Frame,
    next: String,
    account: String,
    error: Option<String>,
}

/// `GET /lock?next=`.
pub async fn page(
    State(site): State<Arc<Site>>,
    Query(query): Query<GateQuery>,
    headers: HeaderMap,
) -> Response {
    let next = own_path(query.next.as_deref());
    let Some((_, who)) = waiting(&site, &headers, Stage::Locked) else {
        return Redirect::to(if next.is_empty() { "/" } else { &next }).into_response();
    };
    let lang = query.lang.as_deref().and_then(Lang::from_code).unwrap_or(who.lang);
    let frame = frame_outside(&site, "login.lock-title", "/lock", lang.words()).await;
    visit::page(&LockPage { frame, next, account: who.account, error: None })
}

/// `POST /lock`.
pub async fn submit(
    State(site): State<Arc<Site>>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    fields: Result<Fields, Problem>,
) -> Response {
    let Some((key, who)) = waiting(&site, &headers, Stage::Locked) else {
        return Redirect::to("/").into_response();
    };
    let Ok(fields) = fields else { return Problem::form().status.into_response() };
    let next = own_path(Some(fields.text("next")));
    let verdict = verify(&site, &who.account, fields.raw("password"), address.ip()).await;
    if let Some((status, error)) = verdict.words("login.password-wrong", who.lang.words()) {
        let frame = frame_outside(&site, "login.lock-title", "/lock", who.lang.words()).await;
        return visit::page_with(status, &LockPage { frame, next, account: who.account, error: Some(error) });
    }
    tracing::info!(account = %who.account, "unlocked");
    let Some(value) = site.sessions.open(key, Instant::now()) else {
        return Redirect::to("/login").into_response();
    };
    with_cookie(&site, &value, if next.is_empty() { "/" } else { &next })
}
