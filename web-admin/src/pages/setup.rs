//! The first sign-in at a new box: the code on its label makes the first account. After that this page leads nowhere.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use askama::Template;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use beeldbox_protocol::admin::WrittenAct;

use crate::accounts::AccountsError;
use crate::lang::{Lang, Words};
use crate::pages::code::GateQuery;
use crate::pages::fields::Fields;
use crate::pages::login::{accepted, frame_outside, with_cookie};
use crate::pages::profile::{password_error, password_problem};
use crate::session::Stage;
use crate::site::Site;
use crate::view::frame::{Frame, Place};
use crate::view::icon::Icon;
use crate::view::problem::Problem;
use crate::visit;

/// Under which name wrong codes are counted.
const COUNTED_AS: &str = "the claim code";

#[derive(Template)]
#[template(path = "page/setup.html")]
struct SetupPage {
    frame: Frame,
    name: String,
    error: Option<String>,
}

/// `GET /setup`.
pub async fn page(
    State(site): State<Arc<Site>>,
    Query(query): Query<GateQuery>,
    headers: HeaderMap,
) -> Response {
    if !is_new(&site) {
        return Redirect::to("/login").into_response();
    }
    let lang = query.lang.as_deref().and_then(Lang::from_code).unwrap_or_else(|| accepted(&headers));
    let frame = frame_outside(&site, "login.setup-title", "/setup", lang.words()).await;
    visit::page(&SetupPage { frame, name: String::new(), error: None })
}

/// `POST /setup`.
pub async fn submit(
    State(site): State<Arc<Site>>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    fields: Result<Fields, Problem>,
) -> Response {
    if !is_new(&site) {
        return Redirect::to("/login").into_response();
    }
    let Ok(fields) = fields else { return Problem::form().status.into_response() };
    let lang = Lang::from_code(fields.text("lang")).unwrap_or(Lang::Nl);
    let name = fields.text("name").to_owned();
    match claim(&site, &name, &fields, address, lang.words()).await {
        Ok(()) => {
            tracing::info!(account = %name, "the box was claimed");
            site.write_down(&name, WrittenAct::BoxClaimed, None, None).await;
            let value = site.sessions.begin(&name, lang, Stage::Open, Instant::now());
            with_cookie(&site, &value, "/")
        }
        Err((status, error)) => {
            let frame = frame_outside(&site, "login.setup-title", "/setup", lang.words()).await;
            visit::page_with(status, &SetupPage { frame, name, error: Some(error) })
        }
    }
}

fn is_new(site: &Site) -> bool {
    site.claim.is_open() && site.accounts.everybody().is_ok_and(|all| all.is_empty())
}

async fn claim(
    site: &Arc<Site>,
    name: &str,
    fields: &Fields,
    address: SocketAddr,
    words: Words,
) -> Result<(), (StatusCode, String)> {
    let now = Instant::now();
    if let Some(wait) = site.throttle.wait(COUNTED_AS, address.ip(), now) {
        return Err((StatusCode::TOO_MANY_REQUESTS, words.n("login.throttled", wait.as_secs() + 1)));
    }
    let unfit = |text: String| (StatusCode::UNPROCESSABLE_ENTITY, text);
    if let Some(error) = password_problem(fields, words) {
        return Err(unfit(error));
    }
    let broken = || (StatusCode::INTERNAL_SERVER_ERROR, words.t("problem.bug-do"));
    let Ok(_place) = site.hashing.acquire().await else { return Err(broken()) };
    let shared = Arc::clone(site);
    let (code, name) = (fields.text("code").to_owned(), name.to_owned());
    let password = fields.raw("new").to_owned();
    let work = move || -> Result<bool, AccountsError> {
        if !shared.claim.is_right(&code) {
            return Ok(false);
        }
        shared.accounts.add(&name, &password)?;
        if let Err(error) = shared.claim.use_up() {
            tracing::error!(%error, "the claim code cannot be removed; an account exists, so it opens nothing");
        }
        Ok(true)
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => {
            site.throttle.failed(COUNTED_AS, address.ip(), now);
            tracing::warn!("a claim code was wrong");
            Err(unfit(words.t("login.claim-wrong")))
        }
        Ok(Err(error)) => Err(unfit(password_error(&error, words))),
        Err(_) => Err(broken()),
    }
}
