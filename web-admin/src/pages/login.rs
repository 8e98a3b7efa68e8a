//! Signing in and out, and the language of the session. What comes between password and pages is next door: the code
//! from a telephone (`code`), the first account (`setup`), the lock (`lock`).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use askama::Template;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use beeldbox_protocol::admin::{Question, Reply, WrittenAct};
use serde::Deserialize;

use crate::assets::ASSETS;
use crate::lang::{Lang, Words};
use crate::pages::fields::Fields;
use crate::roles::Roles;
use crate::session::Stage;
use crate::settings::Tls;
use crate::site::Site;
use crate::view::frame::{self, Frame, Place};
use crate::view::icon::Icon;
use crate::view::problem::Problem;
use crate::visit::{self, Visit, own_path};

/// What the address of the page may say. Never a name, never a password.
#[derive(Deserialize)]
pub struct LoginQuery {
    lang: Option<String>,
    next: Option<String>,
    ended: Option<String>,
    out: Option<String>,
}

#[derive(Template)]
#[template(path = "page/login.html")]
struct LoginPage {
    frame: Frame,
    next: String,
    name: String,
    error: Option<String>,
}

/// `GET /login`.
pub async fn page(
    State(site): State<Arc<Site>>,
    Query(query): Query<LoginQuery>,
    headers: HeaderMap,
) -> Response {
    if site.claim.is_open() && site.accounts.everybody().is_ok_and(|all| all.is_empty()) {
        return Redirect::to("/setup").into_response();
    }
    let lang = query.lang.as_deref().and_then(Lang::from_code).unwrap_or_else(|| accepted(&headers));
    let words = lang.words();
    let mut template = login_page(&site, words, own_path(query.next.as_deref())).await;
    template.frame.notice = match (query.ended, query.out) {
        (Some(_), _) => Some(words.t("login.ended")),
        (None, Some(_)) => Some(words.t("login.signed-out")),
        (None, None) => None,
    };
    visit::page(&template)
}

/// `POST /login`.
pub async fn sign_in(
    State(site): State<Arc<Site>>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    fields: Result<Fields, Problem>,
) -> Response {
    let Ok(fields) = fields else { return StatusCode::UNPROCESSABLE_ENTITY.into_response() };
    let lang = Lang::from_code(fields.text("lang")).unwrap_or(Lang::Nl);
    let words = lang.words();
    let name = fields.text("name").to_owned();
    let next = own_path(Some(fields.text("next")));
    let error = match verify(&site, &name, fields.raw("password"), address.ip()).await {
        Verdict::Right => return begin(&site, &name, lang, &next).await,
        Verdict::Wrong => (StatusCode::UNPROCESSABLE_ENTITY, words.t("login.wrong")),
        Verdict::TooSoon(seconds) => (StatusCode::TOO_MANY_REQUESTS, words.n("login.throttled", seconds)),
        Verdict::Broken => {
            return visit::page_with(StatusCode::INTERNAL_SERVER_ERROR, &broken(&site, words).await);
        }
    };
    let mut template = login_page(&site, words, next).await;
    template.name = name;
    template.error = Some(error.1);
    visit::page_with(error.0, &template)
}

/// A session for whoever knew the password: open at once, or waiting for the code.
async fn begin(site: &Site, name: &str, lang: Lang, next: &str) -> Response {
    let Ok(Some(person)) = site.accounts.person(name) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let (stage, target) = if person.has_second_factor {
        (Stage::Code, format!("/login/code?next={}", visit::as_value(next)))
    } else {
        tracing::info!(account = %name, "signed in");
        site.write_down(name, WrittenAct::SignIn, None, None).await;
        (Stage::Open, if next.is_empty() { person.roles.home().to_owned() } else { next.to_owned() })
    };
    let value = site.sessions.begin(name, lang, stage, Instant::now());
    with_cookie(site, &value, &target)
}

/// Goes on somewhere with this name of the session.
pub fn with_cookie(site: &Site, value: &str, target: &str) -> Response {
    ([(header::SET_COOKIE, cookie(site, value))], Redirect::to(target)).into_response()
}

/// How a password, or a code, was found.
pub enum Verdict {
    /// It is the one.
    Right,
    /// It is not.
    Wrong,
    /// Nobody looked: there were too many before. So many seconds are to be waited.
    TooSoon(u64),
    /// It cannot be known.
    Broken,
}

impl Verdict {
    /// What to say, and with which status; nothing if it was right.
    pub fn words(&self, wrong: &str, words: Words) -> Option<(StatusCode, String)> {
        match self {
            Verdict::Right => None,
            Verdict::Wrong => Some((StatusCode::UNPROCESSABLE_ENTITY, words.t(wrong))),
            Verdict::TooSoon(seconds) => {
                Some((StatusCode::TOO_MANY_REQUESTS, words.n("login.throttled", *seconds)))
            }
            Verdict::Broken => Some((StatusCode::INTERNAL_SERVER_ERROR, words.t("problem.bug-do"))),
        }
    }
}

/// Counts before it looks, and looks at names that do not exist just as long.
pub async fn verify(site: &Arc<Site>, name: &str, password: &str, address: IpAddr) -> Verdict {
    let now = Instant::now();
    if let Some(wait) = site.throttle.wait(name, address, now) {
        return Verdict::TooSoon(wait.as_secs() + 1);
    }
    let Ok(_place) = site.hashing.acquire().await else { return Verdict::Broken };
    let (accounts, account, password) = (site.accounts.clone(), name.to_owned(), password.to_owned());
    match tokio::task::spawn_blocking(move || accounts.verify(&account, &password)).await {
        Ok(Ok(true)) => {
            site.throttle.succeeded(name);
            Verdict::Right
        }
        Ok(Ok(false)) => {
            site.throttle.failed(name, address, now);
            tracing::warn!("a sign-in failed");
            Verdict::Wrong
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "the accounts cannot be read");
            Verdict::Broken
        }
        Err(_) => Verdict::Broken,
    }
}

/// `POST /logout`.
pub async fn sign_out(visit: Visit) -> Response {
    visit.site.sessions.end(visit.key);
    tracing::info!(account = %visit.account, "signed out");
    let name = &visit.site.cookie;
    let secure = if visit.site.tls == Tls::On { " Secure;" } else { "" };
    let forget = format!("{name}=; Path=/; Max-Age=0; HttpOnly;{secure} SameSite=Strict");
    let headers =
        [(header::SET_COOKIE.as_str(), forget), ("clear-site-data", "\"cache\", \"storage\"".to_owned())];
    (headers, Redirect::to(&format!("/login?out=1&lang={}", visit.words.lang().code()))).into_response()
}

/// `POST /language`: changes it for the session and comes back.
pub async fn set_language(visit: Visit, fields: Fields) -> Result<Response, Problem> {
    let lang = Lang::from_code(fields.text("to")).ok_or_else(Problem::form)?;
    visit.site.sessions.set_lang(visit.key, lang);
    let back = own_path(Some(fields.text("back")));
    Ok(Redirect::to(if back.is_empty() { "/" } else { &back }).into_response())
}

/// The frame of a page for somebody who is not signed in, or not quite.
pub async fn frame_outside(site: &Site, title: &str, path: &str, words: Words) -> Frame {
    let reply = site.client.ask("beeldbox-admin", Question::Status).await;
    let status = match &reply {
        Ok(Reply::Status(status)) => Some(status.as_ref()),
        Ok(_) | Err(_) => None,
    };
    Frame {
        words,
        title: words.t(title),
        place: Place::Elsewhere,
        hospital: visit::hospital(site, status),
        account: None,
        roles: Roles::default(),
        path: format!("{path}?lang={}", words.lang().other().code()),
        counts: None,
        health: frame::health(status, words),
        bars: Vec::new(),
        notice: None,
        version: status.map(|status| status.version.clone()).unwrap_or_default(),
        assets: &ASSETS,
        is_live: false,
    }
}

async fn login_page(site: &Site, words: Words, next: String) -> LoginPage {
    let frame = frame_outside(site, "login.title", "/login", words).await;
    LoginPage { frame, next, name: String::new(), error: None }
}

async fn broken(site: &Site, words: Words) -> LoginPage {
    let mut template = login_page(site, words, String::new()).await;
    template.error = Some(words.t("problem.bug-do"));
    template
}

/// What the browser prefers.
pub fn accepted(headers: &HeaderMap) -> Lang {
    let header = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    Lang::from_accept(header.unwrap_or_default())
}

fn cookie(site: &Site, value: &str) -> String {
    let name = &site.cookie;
    let secure = if site.tls == Tls::On { " Secure;" } else { "" };
    format!("{name}={value}; Path=/; HttpOnly;{secure} SameSite=Strict")
}
