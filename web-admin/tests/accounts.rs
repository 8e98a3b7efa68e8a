//! Accounts in the pages: the first one, new ones, passwords, codes, locks.
#![allow(clippy::unwrap_used, reason = "a test")]

mod desk;
mod fake_box;

use axum::http::StatusCode;
use beeldbox_admin::claim::Claim;
use beeldbox_admin::roles::Role;
use desk::{Desk, PASSWORD, Page};
use totp_rs::{Builder, Secret};

/// What the telephone shows at the time of the desk, some steps later.
fn code_of(secret: &str, steps: u64) -> String {
    let totp = Builder::new().with_secret(Secret::try_from_base32(secret).unwrap()).build().unwrap();
    let now = u64::try_from(desk::now().as_second()).unwrap();
    totp.generate(now + steps * 30).to_string()
}

/// The password that a page shows once.
fn shown_password(page: &Page) -> String {
    let after = page.text.split("id=\"one-time\">").nth(1).unwrap_or_else(|| panic!("{}", page.text));
    after.split('<').next().unwrap().to_owned()
}

#[tokio::test]
async fn an_account_is_made_and_its_owner_chooses_a_password_before_anything_else() {
    let mut desk = Desk::signed_in_as(&[Role::Administrator]).await;
    let none = desk.post("/admin/users", &[("name", "p.bakker")]).await;
    assert_eq!(none.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(none.text.contains("Kies minstens één rol"));
    let made = desk.post("/admin/users", &[("name", "p.bakker"), ("role", "importer")]).await;
    let password = shown_password(&made);
    let taken = desk.post("/admin/users", &[("name", "p.bakker"), ("role", "importer")]).await;
    assert!(taken.text.contains("al een account"));
    let page = desk.try_sign_in("p.bakker", &password).await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "/inbox"));
    desk.take_cookie(&page);
    for path in ["/inbox", "/profile", "/status"] {
        assert_eq!(desk.get(path).await.location(), "/profile/password", "{path}");
    }
    assert_eq!(desk.fragment("/inbox").await.status, StatusCode::UNAUTHORIZED);
    let change = async |old: &str, new: &str, again: &str| {
        desk.post("/profile/password", &[("old", old), ("new", new), ("again", again)]).await
    };
    for (old, new, again, words) in [
        ("wrong", "a new sentence", "a new sentence", "huidige wachtwoord klopt niet"),
        (password.as_str(), "short", "short", "minstens 10"),
        (&password, "a new sentence", "another sentence", "niet gelijk"),
        (&password, &password, &password, "ander wachtwoord dan het huidige"),
    ] {
        let page = change(old, new, again).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    assert_eq!(change(&password, "a new sentence", "a new sentence").await.status, StatusCode::SEE_OTHER);
    assert_eq!(desk.get("/inbox").await.status, StatusCode::OK);
    assert_eq!(desk.get("/send").await.status, StatusCode::FORBIDDEN);
    assert_eq!(desk.try_sign_in("p.bakker", &password).await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_second_factor_is_set_up_and_asked_for_and_a_code_counts_once() {
    let mut desk = Desk::signed_in_as(&[Role::Technician]).await;
    let page = desk.get("/profile/second-factor").await;
    let secret = page.field("secret");
    assert!(page.text.contains("<svg class=\"qr\"") && page.text.contains(&secret[..4]));
    let wrong = desk.post("/profile/second-factor", &[("secret", &secret), ("code", "000000")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(wrong.field("secret"), secret, "the telephone has it by now");
    let set =
        desk.post("/profile/second-factor", &[("secret", &secret), ("code", &code_of(&secret, 0))]).await;
    assert_eq!(set.status, StatusCode::SEE_OTHER);
    let page = desk.try_sign_in(desk::ACCOUNT, PASSWORD).await;
    assert!(page.location().starts_with("/login/code"), "{}", page.location());
    desk.take_cookie(&page);
    assert_eq!(desk.get("/send").await.location(), "/login/code", "the password alone opens nothing");
    assert_eq!(desk.get("/login/code").await.status, StatusCode::OK);
    let wrong = desk.post("/login/code", &[("code", "000000")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let half_open = desk.cookie.clone();
    let code = code_of(&secret, 0);
    let right = desk.post("/login/code", &[("code", &code)]).await;
    assert_eq!(right.status, StatusCode::SEE_OTHER, "{}", right.text);
    desk.take_cookie(&right);
    assert_ne!(desk.cookie, half_open, "the session has another name");
    assert_eq!(desk.get("/send").await.status, StatusCode::OK);
    let page = desk.try_sign_in(desk::ACCOUNT, PASSWORD).await;
    desk.take_cookie(&page);
    let again = desk.post("/login/code", &[("code", &code)]).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY, "a code counts once");
    let next = desk.post("/login/code", &[("code", &code_of(&secret, 1))]).await;
    assert_eq!(next.status, StatusCode::SEE_OTHER);
    desk.take_cookie(&next);
    let stepup = desk.get("/stepup?next=/profile").await;
    assert!(stepup.text.contains("name=\"code\""), "asking again asks for both");
    let only = desk.post("/stepup", &[("password", PASSWORD), ("code", "000000")]).await;
    assert_eq!(only.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn what_the_administrator_does_to_an_account_counts_at_once() {
    let desk = Desk::signed_in_as(&[Role::Administrator]).await;
    desk.accounts().make("p.bakker", PASSWORD, [Role::Importer].into_iter().collect()).unwrap();
    desk.accounts().set_password("p.bakker", PASSWORD, false).unwrap();
    let page = desk.try_sign_in("p.bakker", PASSWORD).await;
    let cookie = page.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let as_bakker = async |path: &str| {
        let request = axum::http::Request::get(path).header("cookie", &cookie);
        desk.ask(request.body(axum::body::Body::empty()).unwrap()).await
    };
    assert_eq!(as_bakker("/inbox").await.status, StatusCode::OK);
    let roles = desk.post("/admin/users/p.bakker/roles", &[("role", "technician")]).await;
    assert_eq!(roles.status, StatusCode::SEE_OTHER);
    assert_eq!(as_bakker("/inbox").await.status, StatusCode::FORBIDDEN);
    assert_eq!(as_bakker("/send").await.status, StatusCode::OK);
    desk.post("/admin/users/p.bakker/lock", &[]).await;
    assert!(as_bakker("/send").await.location().starts_with("/login"));
    assert_eq!(desk.try_sign_in("p.bakker", PASSWORD).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(desk.get("/admin/users").await.text.contains("geblokkeerd"));
    desk.post("/admin/users/p.bakker/unlock", &[]).await;
    let password = shown_password(&desk.post("/admin/users/p.bakker/password", &[]).await);
    assert_eq!(desk.try_sign_in("p.bakker", &password).await.status, StatusCode::SEE_OTHER);
    assert_eq!(desk.post("/admin/users/p.bakker/remove", &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(desk.get("/admin/users/p.bakker").await.status, StatusCode::NOT_FOUND);
    desk.accounts().remove("a.beheer").unwrap();
    let last = desk.post(&format!("/admin/users/{}/remove", desk::ACCOUNT), &[]).await;
    assert!(last.text.contains("er moet één beheerder overblijven"), "{}", last.text);
}

#[tokio::test]
async fn the_code_on_the_label_makes_the_first_account_and_no_other() {
    let mut desk = Desk::new().await;
    assert_eq!(desk.get("/setup").await.location(), "/login", "a box with accounts is not new");
    std::fs::remove_file(desk.state_dir().join("accounts.json")).unwrap();
    Claim::in_dir(desk.state_dir()).set("K7QM-2XWD-9PRT").unwrap();
    assert_eq!(desk.get("/login").await.location(), "/setup");
    assert_eq!(desk.get("/setup").await.status, StatusCode::OK);
    let claim = async |code: &str, new: &str| {
        let fields = [("lang", "nl"), ("code", code), ("name", "a.beheer"), ("new", new), ("again", new)];
        desk.post("/setup", &fields).await
    };
    let wrong = claim("AAAA-BBBB-CCCC", "correct horse").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text.contains("staat niet op het label"));
    assert_eq!(claim("K7QM-2XWD-9PRT", "short").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let right = claim("k7qm 2xwd 9prt", "correct horse").await;
    assert_eq!(right.status, StatusCode::SEE_OTHER, "{}", right.text);
    assert_eq!(claim("K7QM-2XWD-9PRT", "correct horse").await.location(), "/login", "it is used up");
    desk.take_cookie(&right);
    assert_eq!(desk.get("/send").await.status, StatusCode::OK);
}

#[tokio::test]
async fn guessing_the_code_on_the_label_is_slowed_down() {
    let desk = Desk::new().await;
    std::fs::remove_file(desk.state_dir().join("accounts.json")).unwrap();
    Claim::in_dir(desk.state_dir()).set("K7QM-2XWD-9PRT").unwrap();
    let fields =
        [("code", "AAAABBBBCC"), ("name", "x"), ("new", "correct horse"), ("again", "correct horse")];
    for _ in 0..5 {
        assert_eq!(desk.post("/setup", &fields).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert_eq!(desk.post("/setup", &fields).await.status, StatusCode::TOO_MANY_REQUESTS);
}
