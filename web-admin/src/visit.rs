//! What a handler is given: who asks, in which language, and the way to the daemon. And what it gives back: a page
//! with its frame, or a block of it for a page that is already open.

use std::sync::Arc;
use std::time::Instant;

use askama::Template;
use aws_lc_rs::hmac;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Redirect, Response};
use beeldbox_protocol::admin::{Question, Reply, Status, WrittenAct};
use beeldbox_protocol::clinical::Patient;
use beeldbox_protocol::ident::TransferId;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use jiff::Timestamp;

use crate::accounts::Person;
use crate::assets::ASSETS;
use crate::lang::Words;
use crate::roles::Roles;
use crate::session::{SessionKey, SignedIn, Stage};
use crate::settings::Tls;
use crate::site::Site;
use crate::view::frame::{self, Counts, Frame, Place};
use crate::view::icon::Icon;
use crate::view::problem::Problem;

/// One request of somebody who is signed in.
#[derive(Clone)]
pub struct Visit {
    /// What all pages share.
    pub site: Arc<Site>,
    /// Whose session.
    pub key: SessionKey,
    /// Whose account.
    pub account: String,
    /// What the account may do.
    pub roles: Roles,
    /// Whether the password was asked again a short time ago.
    pub is_raised: bool,
    /// Words of the session's language.
    pub words: Words,
    /// What time it is.
    pub now: Timestamp,
    /// Whether an open page asks for its block only.
    pub is_fragment: bool,
    /// Where to come back to after a change of language.
    path: String,
}

/// A page of which open pages fetch a block.
pub trait LivePage: Template {
    /// The menu and the block.
    ///
    /// # Errors
    /// As rendering does.
    fn fragment(&self) -> askama::Result<String>;
}

/// Says that a template has the blocks `menu` and `live`.
macro_rules! live_page {
    ($name:ty) => {
        impl crate::visit::LivePage for $name {
            fn fragment(&self) -> askama::Result<String> {
                Ok(format!("{}{}", self.as_menu().render()?, self.as_live().render()?))
            }
        }
    };
}
pub(crate) use live_page;

impl Visit {
    /// Asks the daemon on behalf of this account.
    ///
    /// # Errors
    /// If there is no answer, or a refusal.
    pub async fn ask(&self, question: Question) -> Result<Reply, Problem> {
        Ok(self.site.client.ask(&self.account, question).await?)
    }

    /// Asks how the box is.
    ///
    /// # Errors
    /// If there is no answer, or a refusal.
    pub async fn status(&self) -> Result<Status, Problem> {
        let Reply::Status(status) = self.ask(Question::Status).await? else { return Err(Problem::odd()) };
        Ok(*status)
    }

    /// Asks for something to be done.
    ///
    /// # Errors
    /// If there is no answer, or a refusal.
    pub async fn act(&self, question: Question) -> Result<(), Problem> {
        let Reply::Done = self.ask(question).await? else { return Err(Problem::odd()) };
        Ok(())
    }

    /// Has an act at these pages written into the audit trail.
    pub async fn write_down(&self, act: WrittenAct, transfer: Option<TransferId>, about: Option<&str>) {
        self.site.write_down(&self.account, act, transfer, about).await;
    }

    /// Has it written down that a patient's transfer was looked at; an open page that follows the box looks once.
    pub async fn seen(&self, transfer: TransferId) {
        if !self.is_fragment {
            self.write_down(WrittenAct::Seen, Some(transfer), None).await;
        }
    }

    /// The frame of a page whose title is the text of this key.
    pub async fn frame(&self, title: &str, place: Place) -> Frame {
        let status = self.status().await.ok();
        self.frame_with(title, place, status.as_ref())
    }

    /// The same, when the daemon was already asked.
    pub fn frame_with(&self, title: &str, place: Place, status: Option<&Status>) -> Frame {
        Frame {
            words: self.words,
            title: self.words.t(title),
            place,
            hospital: hospital(&self.site, status),
            account: Some(self.account.clone()),
            roles: self.roles.clone(),
            path: self.path.clone(),
            counts: status.map(|status| Counts {
                send: status.studies_waiting,
                sent: status.outbound_open,
                inbox: status.inbox_waiting,
                requests: status.requests_open,
            }),
            health: frame::health(status, self.words),
            bars: frame::bars(status, self.words),
            notice: if self.is_fragment { None } else { self.site.sessions.take_notice(self.key) },
            version: status.map(|status| status.version.clone()).unwrap_or_default(),
            assets: &ASSETS,
            is_live: false,
        }
    }

    /// Leaves a sentence for the next page.
    pub fn leave_notice(&self, text: String) {
        self.site.sessions.leave_notice(self.key, text);
    }

    /// What a form carries so that it is only accepted for the patient it was shown with (CS-23).
    pub fn fingerprint(&self, about: &[&str], patient: Option<&Patient>) -> String {
        let mut context = hmac::Context::with_key(&self.site.form_key);
        let patient = serde_json::to_vec(&patient).unwrap_or_default();
        for part in about.iter().map(|part| part.as_bytes()).chain([patient.as_slice()]) {
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(part);
        }
        BASE64URL_NOPAD.encode(context.sign().as_ref())
    }

    /// An id for the page that says nothing about the patient.
    pub fn row_id(&self, patient: &Patient) -> String {
        let tag = hmac::sign(&self.site.form_key, &serde_json::to_vec(patient).unwrap_or_default());
        HEXLOWER.encode(tag.as_ref().get(..8).unwrap_or_default())
    }
}

/// A whole page.
pub fn page(template: &impl Template) -> Response {
    page_with(StatusCode::OK, template)
}

/// A whole page with a status of its own.
pub fn page_with(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => (status, Html(text)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            Problem::bug().into_response()
        }
    }
}

/// A whole page, or its block for a page that is open already.
pub fn live_page_for(visit: &Visit, template: &impl LivePage) -> Response {
    if !visit.is_fragment {
        return page(template);
    }
    match template.fragment() {
        Ok(text) => Html(text).into_response(),
        Err(error) => {
            tracing::error!(%error, "a block could not be rendered");
            Problem::bug().into_response()
        }
    }
}

/// The name in the header.
pub fn hospital(site: &Site, status: Option<&Status>) -> String {
    site.hospital.clone().or_else(|| status.map(|status| status.organisation.clone())).unwrap_or_default()
}

/// Lets only those pass who are signed in; makes pages of problems on the way back.
pub async fn require_sign_in(State(site): State<Arc<Site>>, mut request: Request, next: Next) -> Response {
    let is_fragment = request.headers().contains_key("x-fragment");
    // What a page does by itself keeps nobody signed in.
    let is_by_itself = is_fragment || matches!(request.uri().path(), "/live" | "/session");
    let key = session_key(&site, request.headers());
    let signed_in = key.and_then(|key| {
        let now = Instant::now();
        let found = if is_by_itself { site.sessions.look(key, now) } else { site.sessions.touch(key, now) };
        found.map(|who| (key, who))
    });
    let Some((key, who)) = signed_in else {
        return if is_by_itself { StatusCode::UNAUTHORIZED.into_response() } else { to_login(&request, key) };
    };
    // An account that was locked or taken away is signed out at once, wherever it is.
    let person = match site.accounts.person(&who.account) {
        Ok(person) => person.filter(|person| !person.is_locked),
        Err(error) => {
            tracing::error!(%error, "the accounts cannot be read");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let Some(person) = person else {
        site.sessions.end(key);
        return to_login(&request, Some(key));
    };
    if let Some(gate) = gate(&who, &person, &request) {
        return if is_by_itself { StatusCode::UNAUTHORIZED.into_response() } else { gate };
    }
    let is_get = request.method() == Method::GET;
    let path = request.uri().path_and_query().filter(|_| is_get).map_or("/", |path| path.as_str());
    let visit = Visit {
        now: (site.clock)(),
        key,
        account: who.account,
        roles: person.roles,
        is_raised: who.is_raised,
        words: who.lang.words(),
        is_fragment,
        path: path.to_owned(),
        site,
    };
    request.extensions_mut().insert(visit.clone());
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem_page(&visit, problem).await,
        None => response,
    }
}

/// What has to be done before any other page: the code, the password, a new password.
fn gate(who: &SignedIn, person: &Person, request: &Request) -> Option<Response> {
    let path = request.uri().path();
    let is_free = matches!(path, "/logout" | "/language");
    let target = match who.stage {
        Stage::Code => "/login/code".to_owned(),
        Stage::Locked => {
            let next = request.uri().path_and_query().filter(|_| request.method() == Method::GET);
            format!("/lock?next={}", as_value(&own_path(next.map(|path| path.as_str()))))
        }
        Stage::Open if person.must_change && path != "/profile/password" => "/profile/password".to_owned(),
        Stage::Open => return None,
    };
    (!is_free).then(|| Redirect::to(&target).into_response())
}

/// Comes back to the page that was asked for, if it is one that can be asked for again.
fn to_login(request: &Request, key: Option<SessionKey>) -> Response {
    let mut target = "/login".to_owned();
    let mut separator = '?';
    if key.is_some() {
        target.push_str("?ended=1");
        separator = '&';
    }
    if request.method() == Method::GET && request.uri().path() != "/" {
        target.push(separator);
        target.push_str("next=");
        target.push_str(request.uri().path());
    }
    Redirect::to(&target).into_response()
}

#[derive(Template)]
#[template(path = "page/problem.html")]
struct ProblemPage {
    frame: Frame,
    problem: Problem,
    title: String,
    advice: String,
}

async fn problem_page(visit: &Visit, problem: Problem) -> Response {
    let title = visit.words.t(problem.title);
    let advice = visit.words.t(problem.advice);
    let frame = visit.frame(problem.title, Place::Elsewhere).await;
    let template = ProblemPage { frame, title, advice, problem };
    let status = template.problem.status;
    match template.render() {
        Ok(text) => (status, Html(text)).into_response(),
        Err(error) => {
            tracing::error!(%error, "the page of a problem could not be rendered");
            status.into_response()
        }
    }
}

/// Name of the cookie. The prefix makes browsers insist on `Secure`, `Path=/` and no `Domain` (RFC 6265bis §4.1.3).
/// Browsers send a cookie to every port of a host (RFC 6265 §8.5): two boxes behind one host name, as in the demo,
/// would sign each other out if the name were the same.
pub fn cookie_name(tls: Tls, port: u16) -> String {
    match (tls, port) {
        (Tls::On, 443) => "__Host-beeldbox".to_owned(),
        (Tls::On, _) => format!("__Host-beeldbox-{port}"),
        (Tls::Off, _) => format!("beeldbox-{port}"),
    }
}

/// A path of this site, or nothing: never a way to another one.
pub fn own_path(text: Option<&str>) -> String {
    let is_own = |path: &&str| {
        path.starts_with('/')
            && !path.starts_with("//")
            && path.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'\\' | b'"' | b'#'))
    };
    text.filter(is_own).unwrap_or_default().to_owned()
}

/// Such a path as a value in another address.
pub fn as_value(path: &str) -> String {
    path.replace('%', "%25").replace('&', "%26").replace('+', "%2B")
}

/// The session that a browser names.
pub fn session_key(site: &Site, headers: &HeaderMap) -> Option<SessionKey> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        cookies.flat_map(|cookie| cookie.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == site.cookie).map(|(_, value)| SessionKey::of_cookie(value))
}

impl<S: Send + Sync> FromRequestParts<S> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Visit, Response> {
        parts.extensions.get::<Visit>().cloned().ok_or_else(|| StatusCode::UNAUTHORIZED.into_response())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_comes_back_only_to_this_site() {
        assert_eq!(own_path(Some("/send/12?draft=x")), "/send/12?draft=x");
        for bad in ["//evil.example", "https://evil.example", "/\\evil.example", "", "/a\r\nSet-Cookie: x"] {
            assert_eq!(own_path(Some(bad)), "", "{bad}");
        }
    }
}
