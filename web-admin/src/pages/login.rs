//! Signing in and out, and the language of the session.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use askama::Template;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use beeldbox_protocol::admin::{Question, Reply};
use serde::Deserialize;

use crate::assets::ASSETS;
use crate::lang::{Lang, Words};
use crate::pages::fields::Fields;
use crate::settings::Tls;
use crate::site::Site;
use crate::view::frame::{self, Frame, Place};
use crate::view::icon::Icon;
use crate::view::problem::Problem;
use crate::visit::{self, Visit};

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
        Verdict::Right => {
            tracing::info!(account = %name, "signed in");
            let value = site.sessions.begin(&name, lang, Instant::now());
            return (
                [(header::SET_COOKIE, cookie(&site, &value))],
                Redirect::to(if next.is_empty() { "/send" } else { &next }),
            )
                .into_response();
        }
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

enum Verdict {
    Right,
    Wrong,
    TooSoon(u64),
    Broken,
}

/// Counts before it looks, and looks at names that do not exist just as long.
async fn verify(site: &Arc<Site>, name: &str, password: &str, address: IpAddr) -> Verdict {
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
    Ok(Redirect::to(if back.is_empty() { "/send" } else { &back }).into_response())
}

async fn login_page(site: &Site, words: Words, next: String) -> LoginPage {
    let reply = site.client.ask("beeldbox-admin", Question::Status).await;
    let status = match &reply {
        Ok(Reply::Status(status)) => Some(status.as_ref()),
        Ok(_) | Err(_) => None,
    };
    let other = words.lang().other().code();
    let frame = Frame {
        words,
        title: words.t("login.title"),
        place: Place::Elsewhere,
        hospital: visit::hospital(site, status),
        account: None,
        path: format!("/login?lang={other}"),
        counts: None,
        health: frame::health(status, words),
        bars: Vec::new(),
        notice: None,
        version: status.map(|status| status.version.clone()).unwrap_or_default(),
        assets: &ASSETS,
        is_live: false,
    };
    LoginPage { frame, next, name: String::new(), error: None }
}

async fn broken(site: &Site, words: Words) -> LoginPage {
    let mut template = login_page(site, words, String::new()).await;
    template.error = Some(words.t("problem.bug-do"));
    template
}

fn accepted(headers: &HeaderMap) -> Lang {
    let header = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    Lang::from_accept(header.unwrap_or_default())
}

fn cookie(site: &Site, value: &str) -> String {
    let name = &site.cookie;
    let secure = if site.tls == Tls::On { " Secure;" } else { "" };
    format!("{name}={value}; Path=/; HttpOnly;{secure} SameSite=Strict")
}

/// A path of this site, or nothing: never a way to another one.
fn own_path(text: Option<&str>) -> String {
    let is_own = |path: &&str| {
        path.starts_with('/')
            && !path.starts_with("//")
            && path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\' && b != b'"')
    };
    text.filter(is_own).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_comes_back_only_to_this_site() {
        assert_eq!(own_path(Some("/send/12")), "/send/12");
        for bad in ["//evil.example", "https://evil.example", "/\\evil.example", "", "/a\r\nSet-Cookie: x"] {
            assert_eq!(own_path(Some(bad)), "", "{bad}");
        }
    }
}
