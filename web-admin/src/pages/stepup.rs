//! Asking again: before what changes who may do what, or who the box is, the password is asked once more, and the code
//! with it if there is one. It counts for ten minutes.

use std::net::SocketAddr;
use std::time::Instant;

use askama::Template;
use axum::extract::{ConnectInfo, Query};
use axum::response::Response;

use crate::pages::code::{GateQuery, verify_code};
use crate::pages::fields::Fields;
use crate::pages::login::{Verdict, verify, with_cookie};
use crate::session::SessionKey;
use crate::view::frame::{Frame, Place};
use crate::view::icon::Icon;
use crate::view::problem::Problem;
use crate::visit::{self, Visit, own_path};

#[derive(Template)]
#[template(path = "page/stepup.html")]
struct StepUpPage {
    frame: Frame,
    next: String,
    account: String,
    asks_code: bool,
    error: Option<String>,
}

/// `GET /stepup?next=`.
pub async fn page(visit: Visit, Query(query): Query<GateQuery>) -> Response {
    let template = template(&visit, own_path(query.next.as_deref())).await;
    visit::page(&template)
}

/// `POST /stepup`.
pub async fn submit(
    visit: Visit,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    fields: Fields,
) -> Result<Response, Problem> {
    let next = own_path(Some(fields.text("next")));
    let mut template = template(&visit, next.clone()).await;
    let mut verdict = verify(&visit.site, &visit.account, fields.raw("password"), address.ip()).await;
    if template.asks_code && matches!(verdict, Verdict::Right) {
        verdict = verify_code(&visit.site, &visit.account, fields.text("code"), address);
    }
    let wrong = if template.asks_code { "login.stepup-wrong" } else { "login.password-wrong" };
    if let Some((status, error)) = verdict.words(wrong, visit.words) {
        template.error = Some(error);
        return Ok(visit::page_with(status, &template));
    }
    let now = Instant::now();
    let value = visit.site.sessions.open(visit.key, now).ok_or_else(Problem::form)?;
    visit.site.sessions.raise(SessionKey::of_cookie(&value), now);
    Ok(with_cookie(&visit.site, &value, if next.is_empty() { "/" } else { &next }))
}

async fn template(visit: &Visit, next: String) -> StepUpPage {
    let person = visit.site.accounts.person(&visit.account).ok().flatten();
    StepUpPage {
        frame: visit.frame("login.stepup-title", Place::Elsewhere).await,
        next,
        account: visit.account.clone(),
        asks_code: person.is_some_and(|person| person.has_second_factor),
        error: None,
    }
}
