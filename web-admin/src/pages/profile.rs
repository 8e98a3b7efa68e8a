//! "Uw account": password and second factor of whoever is signed in.

use std::net::SocketAddr;
use std::sync::Arc;

use askama::Template;
use axum::extract::ConnectInfo;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use beeldbox_protocol::admin::WrittenAct;

use crate::accounts::{AccountsError, LONGEST_PASSWORD, Person, SHORTEST_PASSWORD};
use crate::lang::Words;
use crate::pages::fields::Fields;
use crate::pages::login::verify;
use crate::second_factor::SharedSecret;
use crate::view::frame::{Frame, Place};
use crate::view::icon::Icon;
use crate::view::problem::Problem;
use crate::visit::{self, Visit};

#[derive(Template)]
#[template(path = "page/profile.html")]
struct ProfilePage {
    frame: Frame,
    name: String,
    roles: Vec<String>,
    has_second_factor: bool,
}

#[derive(Template)]
#[template(path = "page/password.html")]
struct PasswordPage {
    frame: Frame,
    must_change: bool,
    error: Option<String>,
}

#[derive(Template)]
#[template(path = "page/second_factor.html")]
struct SecondFactorPage {
    frame: Frame,
    secret: String,
    groups: String,
    path: String,
    width: usize,
    error: Option<String>,
}

/// `GET /profile`.
pub async fn page(visit: Visit) -> Result<Response, Problem> {
    let person = person(&visit)?;
    Ok(visit::page(&ProfilePage {
        frame: visit.frame("account.profile", Place::Elsewhere).await,
        roles: person.roles.iter().map(|role| visit.words.t(role.key())).collect(),
        has_second_factor: person.has_second_factor,
        name: person.name,
    }))
}

/// `GET /profile/password`.
pub async fn password_page(visit: Visit) -> Result<Response, Problem> {
    Ok(visit::page(&password_template(&visit).await?))
}

/// `POST /profile/password`: all other sessions of the account end.
pub async fn set_password(
    visit: Visit,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    fields: Fields,
) -> Result<Response, Problem> {
    let verdict = verify(&visit.site, &visit.account, fields.raw("old"), address.ip()).await;
    let mut refused = verdict.words("account.old-wrong", visit.words);
    if refused.is_none() {
        refused = password_problem(&fields, visit.words).map(|text| (StatusCode::UNPROCESSABLE_ENTITY, text));
    }
    if refused.is_none() && fields.raw("old") == fields.raw("new") {
        refused = Some((StatusCode::UNPROCESSABLE_ENTITY, visit.words.t("account.same-password")));
    }
    if let Some((status, error)) = refused {
        let mut template = password_template(&visit).await?;
        template.error = Some(error);
        return Ok(visit::page_with(status, &template));
    }
    let (accounts, account) = (visit.site.accounts.clone(), visit.account.clone());
    let password = fields.raw("new").to_owned();
    on_a_place(&visit, move || accounts.set_password(&account, &password, false)).await?;
    visit.site.sessions.end_account(&visit.account, Some(visit.key));
    tracing::info!(account = %visit.account, "a password was changed by its owner");
    visit.write_down(WrittenAct::PasswordChanged, None, None).await;
    visit.leave_notice(visit.words.t("account.password-changed"));
    Ok(Redirect::to("/profile").into_response())
}

/// `GET /profile/second-factor`: a new secret every time; it counts once a code of it was typed.
pub async fn second_factor_page(visit: Visit) -> Result<Response, Problem> {
    Ok(visit::page(&second_factor_template(&visit, &SharedSecret::new(), None).await?))
}

/// `POST /profile/second-factor`.
pub async fn set_second_factor(visit: Visit, fields: Fields) -> Result<Response, Problem> {
    let secret = SharedSecret::from_text(fields.text("secret")).ok_or_else(Problem::form)?;
    let seconds = u64::try_from(visit.now.as_second()).unwrap_or_default();
    if secret.step_of(fields.text("code"), seconds).is_none() {
        let error = Some(visit.words.t("login.code-wrong"));
        let template = second_factor_template(&visit, &secret, error).await?;
        return Ok(visit::page_with(StatusCode::UNPROCESSABLE_ENTITY, &template));
    }
    visit.site.accounts.set_second_factor(&visit.account, Some(secret)).map_err(|error| broken(&error))?;
    tracing::info!(account = %visit.account, "a second factor was set");
    visit.write_down(WrittenAct::SecondFactorSet, None, None).await;
    visit.leave_notice(visit.words.t("account.factor-set"));
    Ok(Redirect::to("/profile").into_response())
}

/// `POST /profile/second-factor/off`.
pub async fn unset_second_factor(visit: Visit) -> Result<Response, Problem> {
    visit.site.accounts.set_second_factor(&visit.account, None).map_err(|error| broken(&error))?;
    tracing::info!(account = %visit.account, "a second factor was taken away by its owner");
    visit.write_down(WrittenAct::SecondFactorRemoved, None, None).await;
    visit.leave_notice(visit.words.t("account.factor-unset"));
    Ok(Redirect::to("/profile").into_response())
}

/// What is wrong with a new password that was typed twice.
pub fn password_problem(fields: &Fields, words: Words) -> Option<String> {
    let (new, again) = (fields.raw("new"), fields.raw("again"));
    if new.chars().count() < SHORTEST_PASSWORD || new.len() > LONGEST_PASSWORD {
        return Some(words.n("account.bad-password", u64::try_from(SHORTEST_PASSWORD).unwrap_or_default()));
    }
    (new != again).then(|| words.t("account.not-the-same"))
}

/// Why an account is not as it was asked for.
pub fn password_error(error: &AccountsError, words: Words) -> String {
    match error {
        AccountsError::BadName => words.t("account.bad-name"),
        AccountsError::BadPassword => {
            words.n("account.bad-password", u64::try_from(SHORTEST_PASSWORD).unwrap_or_default())
        }
        AccountsError::Taken => words.t("account.taken"),
        AccountsError::LastAdministrator => words.t("account.last-administrator"),
        AccountsError::Unknown => words.t("account.unknown"),
        AccountsError::File { .. } | AccountsError::Damaged { .. } | AccountsError::Hash(_) => {
            tracing::error!(%error, "the accounts cannot be changed");
            words.t("problem.bug-do")
        }
    }
}

/// Does what hashes a password: off the runtime's threads, and not often at once.
///
/// # Errors
/// If it cannot be done; what an account must not be is told apart before.
pub async fn on_a_place(
    visit: &Visit,
    work: impl FnOnce() -> Result<(), AccountsError> + Send + 'static,
) -> Result<(), Problem> {
    let site = Arc::clone(&visit.site);
    let Ok(_place) = site.hashing.acquire().await else { return Err(Problem::bug()) };
    let done = tokio::task::spawn_blocking(work).await.map_err(|_| Problem::bug())?;
    done.map_err(|error| broken(&error))
}

fn broken(error: &AccountsError) -> Problem {
    tracing::error!(%error, "the accounts cannot be changed");
    Problem::bug()
}

fn person(visit: &Visit) -> Result<Person, Problem> {
    let person = visit.site.accounts.person(&visit.account).map_err(|error| broken(&error))?;
    person.ok_or_else(Problem::not_found)
}

async fn password_template(visit: &Visit) -> Result<PasswordPage, Problem> {
    Ok(PasswordPage {
        must_change: person(visit)?.must_change,
        frame: visit.frame("account.password", Place::Elsewhere).await,
        error: None,
    })
}

async fn second_factor_template(
    visit: &Visit,
    secret: &SharedSecret,
    error: Option<String>,
) -> Result<SecondFactorPage, Problem> {
    let frame = visit.frame("account.factor", Place::Elsewhere).await;
    let issuer = format!("Beeldbox {}", frame.hospital);
    let (path, width) = secret.drawing(&visit.account, &issuer).ok_or_else(Problem::bug)?;
    Ok(SecondFactorPage {
        frame,
        secret: secret.reveal().to_owned(),
        groups: secret.in_groups(),
        path,
        width,
        error,
    })
}
