//! Every page that asks for a sign-in, and who may see it.
//!
//! Administrators see no patients and technicians no accounts; who does both has both roles. Recalling a transfer asks
//! for no second look: a wrong send must be stopped at once (CS-17).

use axum::http::StatusCode;
use axum::response::Redirect;

use crate::access::{Entry, Need, Routes};
use crate::live;
use crate::pages::{
    admin, ask, audit, certificates, choose, confirm, connections, help, inbox, inbox_acts, login, matching,
    profile, redirect, request_acts, requests, send, sent, sent_acts, status, stepup, users,
};
use crate::roles::Role;
use crate::visit::Visit;

const SENDS: Need = Need::One(&[Role::Technician]);
const IMPORTS: Need = Need::One(&[Role::Importer]);
const BOTH: Need = Need::One(&[Role::Technician, Role::Importer]);
const ADMINISTERS: Need = Need::One(&[Role::Administrator]);
const AUDITS: Need = Need::One(&[Role::Administrator, Role::Auditor]);
const CHANGES_KEYS: Need = Need::Again(&[Role::Administrator]);
const CHANGES_ACCOUNTS: Need = Need::Again(&[Role::Administrator]);

/// All of them.
pub fn routes() -> Routes {
    let routes = Routes::default()
        .get("/", Need::Anyone, async |visit: Visit| Redirect::to(visit.roles.home()))
        .post("/logout", Need::Anyone, login::sign_out)
        .post("/language", Need::Anyone, login::set_language)
        .get("/status", Need::Anyone, status::page)
        .get("/live", Need::Anyone, live::stream)
        .get("/session", Need::Anyone, async || StatusCode::NO_CONTENT)
        .get("/help", Need::Anyone, help::page)
        .get("/stepup", Need::Anyone, stepup::page)
        .post("/stepup", Need::Anyone, stepup::submit)
        .get("/profile", Need::Anyone, profile::page)
        .get("/profile/password", Need::Anyone, profile::password_page)
        .post("/profile/password", Need::Anyone, profile::set_password)
        .get("/profile/second-factor", Need::Again(&Role::ALL), profile::second_factor_page)
        .post("/profile/second-factor", Need::Again(&Role::ALL), profile::set_second_factor)
        .post("/profile/second-factor/off", Need::Again(&Role::ALL), profile::unset_second_factor);
    administration(received(asked_for(sent_out(routes))))
}

/// Only the table, for the documentation and the tests.
pub fn table() -> Vec<Entry> {
    routes().into_parts().1
}

fn sent_out(routes: Routes) -> Routes {
    routes
        .get("/send", SENDS, send::list)
        .get("/send/{study}", SENDS, choose::page)
        .post("/send/{study}", SENDS, choose::submit)
        .post("/send/{study}/close", SENDS, send::close)
        .get("/send/{study}/check", SENDS, confirm::page)
        .post("/send/{study}/confirm", SENDS, confirm::submit)
        .get("/sent", SENDS, sent::list)
        .get("/sent/{id}", SENDS, sent::detail)
        .get("/sent/{id}/recall", SENDS, sent_acts::recall_page)
        .post("/sent/{id}/recall", SENDS, sent_acts::recall)
        .post("/sent/{id}/again", SENDS, sent_acts::again)
        .post("/sent/{id}/redirect", SENDS, redirect::redirect)
        .post("/sent/{id}/undo", SENDS, sent_acts::undo)
        .post("/sent/{id}/retry", SENDS, sent_acts::retry)
}

fn asked_for(routes: Routes) -> Routes {
    routes
        .get("/addressees", BOTH, choose::options)
        .get("/requests", BOTH, requests::list)
        .get("/requests/new", BOTH, ask::page)
        .post("/requests/new", BOTH, ask::submit)
        .get("/requests/check", BOTH, ask::check_page)
        .post("/requests/confirm", BOTH, ask::confirm)
        .get("/requests/{id}", BOTH, requests::detail)
        .get("/requests/{id}/answer", SENDS, request_acts::answer_page)
        .post("/requests/{id}/answer", SENDS, request_acts::answer)
        .get("/requests/{id}/refuse", SENDS, request_acts::refuse_page)
        .post("/requests/{id}/refuse", SENDS, request_acts::refuse)
        .post("/requests/{id}/withdraw", BOTH, request_acts::withdraw)
        .post("/requests/{id}/put-aside", SENDS, request_acts::put_aside)
}

fn received(routes: Routes) -> Routes {
    routes
        .get("/inbox", IMPORTS, inbox::list)
        .get("/inbox/{id}", IMPORTS, inbox::detail)
        .get("/inbox/{id}/import", IMPORTS, matching::page)
        .post("/inbox/{id}/import", IMPORTS, matching::import)
        .post("/inbox/{id}/import/search", IMPORTS, matching::search)
        .post("/inbox/{id}/import/check", IMPORTS, matching::check)
        .post("/inbox/{id}/import/agree", IMPORTS, matching::agree)
        .post("/inbox/{id}/import/drop", IMPORTS, matching::drop_proposal)
        .post("/inbox/{id}/set-aside", IMPORTS, matching::set_aside)
        .get("/inbox/{id}/decline", IMPORTS, redirect::decline_page)
        .post("/inbox/{id}/decline", IMPORTS, redirect::decline)
        .get("/inbox/{id}/forward", IMPORTS, redirect::forward_page)
        .post("/inbox/{id}/forward", IMPORTS, redirect::forward)
        .post("/inbox/{id}/give-back", IMPORTS, inbox_acts::give_back)
        .post("/inbox/{id}/keep", IMPORTS, inbox_acts::keep)
        .post("/inbox/{id}/retry", IMPORTS, inbox_acts::retry)
}

fn administration(routes: Routes) -> Routes {
    routes
        .get("/admin", ADMINISTERS, admin::page)
        .get("/admin/audit", AUDITS, audit::page)
        .get("/admin/audit.csv", AUDITS, audit::export)
        .get("/admin/connections", ADMINISTERS, connections::page)
        .post("/admin/connections/test", ADMINISTERS, connections::test)
        .get("/admin/certificates", CHANGES_KEYS, certificates::page)
        .post("/admin/certificates/renew", CHANGES_KEYS, certificates::renew)
        .post("/admin/certificates/enrol", CHANGES_KEYS, certificates::enrol)
        .post("/admin/certificates/request", CHANGES_KEYS, certificates::request)
        .post("/admin/certificates/import", CHANGES_KEYS, certificates::import)
        .post("/admin/certificates/rotate", CHANGES_KEYS, certificates::rotate)
        .get("/admin/users", CHANGES_ACCOUNTS, users::list)
        .post("/admin/users", CHANGES_ACCOUNTS, users::make)
        .get("/admin/users/{name}", CHANGES_ACCOUNTS, users::page)
        .post("/admin/users/{name}/roles", CHANGES_ACCOUNTS, users::set_roles)
        .post("/admin/users/{name}/lock", CHANGES_ACCOUNTS, users::lock)
        .post("/admin/users/{name}/unlock", CHANGES_ACCOUNTS, users::unlock)
        .post("/admin/users/{name}/password", CHANGES_ACCOUNTS, users::new_password)
        .post("/admin/users/{name}/second-factor/off", CHANGES_ACCOUNTS, users::unset_second_factor)
        .post("/admin/users/{name}/remove", CHANGES_ACCOUNTS, users::remove)
}
