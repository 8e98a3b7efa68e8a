//! "Gebruikers": who may sign in, as what, and what the administrator can do about it.

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use beeldbox_protocol::admin::WrittenAct;

use crate::accounts::{AccountsError, Person};
use crate::lang::Words;
use crate::pages::fields::Fields;
use crate::pages::profile::password_error;
use crate::random;
use crate::roles::{Role, Roles};
use crate::view::frame::{Frame, Place};
use crate::view::icon::Icon;
use crate::view::problem::Problem;
use crate::visit::{self, Visit};

#[derive(Template)]
#[template(path = "page/users.html")]
struct UsersPage {
    frame: Frame,
    users: Vec<UserView>,
    name: String,
    roles: Vec<RoleChoice>,
    error: Option<String>,
}

#[derive(Template)]
#[template(path = "page/user.html")]
struct UserPage {
    frame: Frame,
    user: UserView,
    roles: Vec<RoleChoice>,
    is_own: bool,
    error: Option<String>,
}

#[derive(Template)]
#[template(path = "page/new_password.html")]
struct NewPasswordPage {
    frame: Frame,
    name: String,
    password: String,
}

/// An account in words.
struct UserView {
    name: String,
    roles: Vec<String>,
    has_second_factor: bool,
    is_locked: bool,
    must_change: bool,
}

/// A role to tick.
struct RoleChoice {
    name: &'static str,
    word: String,
    may: String,
    is_chosen: bool,
}

/// `GET /admin/users`.
pub async fn list(visit: Visit) -> Result<Response, Problem> {
    Ok(visit::page(&users_template(&visit, String::new(), &Roles::default()).await?))
}

/// `POST /admin/users`: makes an account with a password for one sign-in, which is shown once.
pub async fn make(visit: Visit, fields: Fields) -> Result<Response, Problem> {
    let (name, roles) = (fields.text("name").to_owned(), chosen(&fields));
    let password = one_time_password();
    let made = if roles.is_empty() {
        Err(visit.words.t("account.need-role"))
    } else {
        let (accounts, name, password, roles) =
            (visit.site.accounts.clone(), name.clone(), password.clone(), roles.clone());
        hashed(&visit, move || accounts.make(&name, &password, roles)).await
    };
    if let Err(error) = made {
        let mut template = users_template(&visit, name, &roles).await?;
        template.error = Some(error);
        return Ok(visit::page_with(StatusCode::UNPROCESSABLE_ENTITY, &template));
    }
    tracing::info!(account = %visit.account, other = %name, "an account was made");
    visit.write_down(WrittenAct::AccountMade, None, Some(&name)).await;
    Ok(shown_once(&visit, name, password).await)
}

/// `GET /admin/users/{name}`.
pub async fn page(visit: Visit, Path(name): Path<String>) -> Result<Response, Problem> {
    Ok(visit::page(&user_template(&visit, &name, None).await?))
}

/// `POST /admin/users/{name}/roles`.
pub async fn set_roles(visit: Visit, Path(name): Path<String>, fields: Fields) -> Result<Response, Problem> {
    let roles = chosen(&fields);
    if roles.is_empty() {
        let error = Some(visit.words.t("account.need-role"));
        let template = user_template(&visit, &name, error).await?;
        return Ok(visit::page_with(StatusCode::UNPROCESSABLE_ENTITY, &template));
    }
    let done = visit.site.accounts.set_roles(&name, roles);
    settle(&visit, &name, done, "account.roles-set", WrittenAct::RolesChanged).await
}

/// `POST /admin/users/{name}/lock`: its sessions end at once.
pub async fn lock(visit: Visit, Path(name): Path<String>) -> Result<Response, Problem> {
    let done = visit.site.accounts.set_locked(&name, true);
    if done.is_ok() {
        visit.site.sessions.end_account(&name, None);
    }
    settle(&visit, &name, done, "account.locked-now", WrittenAct::AccountLocked).await
}

/// `POST /admin/users/{name}/unlock`.
pub async fn unlock(visit: Visit, Path(name): Path<String>) -> Result<Response, Problem> {
    let done = visit.site.accounts.set_locked(&name, false);
    settle(&visit, &name, done, "account.unlocked-now", WrittenAct::AccountUnlocked).await
}

/// `POST /admin/users/{name}/password`: another password for one sign-in; the sessions of the account end.
pub async fn new_password(visit: Visit, Path(name): Path<String>) -> Result<Response, Problem> {
    let password = one_time_password();
    let (accounts, account, new) = (visit.site.accounts.clone(), name.clone(), password.clone());
    if let Err(error) = hashed(&visit, move || accounts.set_password(&account, &new, true)).await {
        let template = user_template(&visit, &name, Some(error)).await?;
        return Ok(visit::page_with(StatusCode::UNPROCESSABLE_ENTITY, &template));
    }
    visit.site.sessions.end_account(&name, Some(visit.key));
    tracing::info!(account = %visit.account, other = %name, "an account was given another password");
    visit.write_down(WrittenAct::PasswordGiven, None, Some(&name)).await;
    Ok(shown_once(&visit, name, password).await)
}

/// `POST /admin/users/{name}/second-factor/off`: for a telephone that was lost.
pub async fn unset_second_factor(visit: Visit, Path(name): Path<String>) -> Result<Response, Problem> {
    let done = visit.site.accounts.set_second_factor(&name, None);
    settle(&visit, &name, done, "account.factor-unset", WrittenAct::SecondFactorRemoved).await
}

/// `POST /admin/users/{name}/remove`.
pub async fn remove(visit: Visit, Path(name): Path<String>) -> Result<Response, Problem> {
    if let Err(error) = visit.site.accounts.remove(&name) {
        let template = user_template(&visit, &name, Some(password_error(&error, visit.words))).await?;
        return Ok(visit::page_with(StatusCode::UNPROCESSABLE_ENTITY, &template));
    }
    visit.site.sessions.end_account(&name, None);
    tracing::info!(account = %visit.account, other = %name, "an account was taken away");
    visit.write_down(WrittenAct::AccountRemoved, None, Some(&name)).await;
    visit.leave_notice(visit.words.fill("account.removed-now", &[("name", &name)]));
    Ok(Redirect::to("/admin/users").into_response())
}

/// Back to the page of the account, with a word on what was done or why not.
async fn settle(
    visit: &Visit,
    name: &str,
    done: Result<(), AccountsError>,
    notice: &str,
    act: WrittenAct,
) -> Result<Response, Problem> {
    if let Err(error) = done {
        let template = user_template(visit, name, Some(password_error(&error, visit.words))).await?;
        return Ok(visit::page_with(StatusCode::UNPROCESSABLE_ENTITY, &template));
    }
    tracing::info!(account = %visit.account, other = %name, act = act.code(), "an account was changed");
    visit.write_down(act, None, Some(name)).await;
    visit.leave_notice(visit.words.t(notice));
    Ok(Redirect::to(&format!("/admin/users/{name}")).into_response())
}

/// Does what hashes a password off the runtime's threads; says in words why not.
async fn hashed(
    visit: &Visit,
    work: impl FnOnce() -> Result<(), AccountsError> + Send + 'static,
) -> Result<(), String> {
    let bug = || visit.words.t("problem.bug-do");
    let Ok(_place) = visit.site.hashing.acquire().await else { return Err(bug()) };
    let done = tokio::task::spawn_blocking(work).await.map_err(|_| bug())?;
    done.map_err(|error| password_error(&error, visit.words))
}

/// 80 random bits in groups, without letters that look like digits: it is read out or written down once.
fn one_time_password() -> String {
    let text = data_encoding::BASE32_NOPAD.encode(&random::bytes::<10>()).to_ascii_lowercase();
    let groups: Vec<String> =
        text.as_bytes().chunks(4).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
    groups.join("-")
}

async fn shown_once(visit: &Visit, name: String, password: String) -> Response {
    let frame = visit.frame("account.new-password", Place::Admin).await;
    visit::page(&NewPasswordPage { frame, name, password })
}

fn chosen(fields: &Fields) -> Roles {
    fields.all("role").filter_map(Role::from_name).collect()
}

fn choices(chosen: &Roles, words: Words) -> Vec<RoleChoice> {
    let choice = |role: Role| RoleChoice {
        name: role.name(),
        word: words.t(role.key()),
        may: words.t(role.line()),
        is_chosen: chosen.has(role),
    };
    Role::ALL.map(choice).into()
}

fn user_view(person: &Person, words: Words) -> UserView {
    UserView {
        name: person.name.clone(),
        roles: person.roles.iter().map(|role| words.t(role.key())).collect(),
        has_second_factor: person.has_second_factor,
        is_locked: person.is_locked,
        must_change: person.must_change,
    }
}

async fn users_template(visit: &Visit, name: String, roles: &Roles) -> Result<UsersPage, Problem> {
    let everybody = visit.site.accounts.everybody().map_err(|_| Problem::bug())?;
    Ok(UsersPage {
        frame: visit.frame("account.users", Place::Admin).await,
        users: everybody.iter().map(|person| user_view(person, visit.words)).collect(),
        name,
        roles: choices(roles, visit.words),
        error: None,
    })
}

async fn user_template(visit: &Visit, name: &str, error: Option<String>) -> Result<UserPage, Problem> {
    let person = visit.site.accounts.person(name).map_err(|_| Problem::bug())?;
    let person = person.ok_or_else(Problem::not_found)?;
    Ok(UserPage {
        frame: visit.frame("account.user", Place::Admin).await,
        user: user_view(&person, visit.words),
        roles: choices(&person.roles, visit.words),
        is_own: person.name == visit.account,
        error,
    })
}
