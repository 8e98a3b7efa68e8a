//! Who may see which page: every route of the table, asked for by every role; and the table is what is documented.
#![allow(clippy::unwrap_used, reason = "a test")]

mod desk;
mod fake_box;

use std::path::Path;

use axum::http::{Method, StatusCode};
use beeldbox_admin::access::{Entry, Need};
use beeldbox_admin::roles::Role;
use beeldbox_admin::routes::table;
use desk::Desk;

/// A path that leads somewhere.
fn filled(desk: &Desk, path: &str) -> String {
    let world = desk.fake.world.lock().unwrap();
    let id = if path.starts_with("/inbox") {
        world.inbox[1].line.transfer
    } else if path.starts_with("/requests") {
        world.requests[0].request
    } else {
        world.sent[0].line.transfer
    };
    path.replace("{study}", "17").replace("{id}", &id.to_string()).replace("{name}", "a.beheer")
}

async fn ask(desk: &Desk, entry: &Entry) -> StatusCode {
    let path = filled(desk, entry.path);
    match entry.method {
        Method::GET => desk.get(&path).await.status,
        _ => desk.post(&path, &[]).await.status,
    }
}

#[tokio::test]
async fn every_route_is_refused_to_every_role_that_it_is_not_for() {
    for role in Role::ALL {
        let desk = Desk::signed_in_as(&[role]).await;
        for entry in table() {
            // The live stream has no end, and signing out ends the session.
            if matches!(entry.path, "/live" | "/logout") {
                continue;
            }
            let is_refused = ask(&desk, &entry).await == StatusCode::FORBIDDEN;
            assert_eq!(is_refused, !entry.need.allows(role), "{} {} by {role:?}", entry.method, entry.path);
        }
    }
}

#[tokio::test]
async fn without_the_password_again_nothing_is_changed_that_asks_for_it() {
    let mut desk = Desk::new().await;
    desk.accounts().add("a.beheer", desk::PASSWORD).unwrap();
    desk.sign_in().await;
    let before = std::fs::read(desk.state_dir().join("accounts.json")).unwrap();
    let mut asked = 0;
    for entry in table().iter().filter(|entry| matches!(entry.need, Need::Again(_))) {
        let path = filled(&desk, entry.path);
        let page = match entry.method {
            Method::GET => desk.get(&path).await,
            _ => desk.post(&path, &[("role", "auditor"), ("name", "x.nieuw")]).await,
        };
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{path}");
        assert!(page.location().starts_with("/stepup?next="), "{path}: {}", page.location());
        asked += 1;
    }
    assert!(asked > 8);
    assert_eq!(std::fs::read(desk.state_dir().join("accounts.json")).unwrap(), before);
}

#[tokio::test]
async fn what_a_role_cannot_do_is_not_in_its_menu() {
    for (role, has, lacks) in [
        (Role::Technician, vec!["/send", "/sent", "/requests"], vec!["/inbox", "/admin"]),
        (Role::Importer, vec!["/inbox", "/requests"], vec!["/send", "/sent", "/admin"]),
        (Role::Administrator, vec!["/admin"], vec!["/send", "/sent", "/inbox", "/requests"]),
        (Role::Auditor, vec!["/admin/audit"], vec!["/send", "/sent", "/inbox", "/requests"]),
    ] {
        let desk = Desk::signed_in_as(&[role]).await;
        let page = desk.get("/status").await;
        let menu = page.text.split("<nav id=\"menu\"").nth(1).unwrap().split("</nav>").next().unwrap();
        for path in has {
            assert!(menu.contains(&format!("href=\"{path}\"")), "{role:?} lacks {path}");
        }
        for path in lacks {
            assert!(!menu.contains(&format!("href=\"{path}\"")), "{role:?} has {path}");
        }
        let home = desk.get("/").await;
        assert_eq!(desk.get(home.location()).await.status, StatusCode::OK, "{role:?}: {}", home.location());
    }
}

/// The table as the documentation has it. `BEELDBOX_WRITE=1` writes it anew.
#[test]
fn the_documented_table_is_the_one_of_the_router() {
    let mut text = "# Who may see which page\n\nMade from the router by `tests/access.rs`; `BEELDBOX_WRITE=1 cargo test -p \
                    beeldbox-admin --test access` writes it anew. *Again* means that the password is asked once more.\n\n"
        .to_owned();
    let roles: Vec<&str> = Role::ALL.iter().map(|role| role.name()).collect();
    text.push_str(&format!(
        "| page | {} | again |\n|---|{}---|\n",
        roles.join(" | "),
        "---|".repeat(roles.len())
    ));
    for entry in table() {
        let marks = Role::ALL.map(|role| if entry.need.allows(role) { "yes" } else { "" });
        let again = if matches!(entry.need, Need::Again(_)) { "yes" } else { "" };
        text.push_str(&format!("| `{} {}` | {} | {again} |\n", entry.method, entry.path, marks.join(" | ")));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/access.md");
    if std::env::var_os("BEELDBOX_WRITE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), text, "docs/access.md is out of date");
}
