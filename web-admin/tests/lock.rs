//! The lock, and what is typed before it: nothing is lost, and nothing is shown.
#![allow(clippy::unwrap_used, reason = "a test")]

mod desk;
mod fake_box;

use axum::http::StatusCode;
use beeldbox_protocol::admin::Question;
use desk::{Desk, PASSWORD};

#[tokio::test]
async fn what_is_being_typed_is_kept_under_one_name_and_comes_back() {
    let desk = Desk::signed_in("nl").await;
    let page = desk.get("/send/17").await;
    let fingerprint = page.field("fingerprint");
    let keep = async |kept: &str, note: &str| {
        let fields = [("fingerprint", fingerprint.as_str()), ("act", "keep"), ("kept", kept), ("note", note)];
        let page = desk.post("/send/17", &fields).await;
        assert_eq!(page.status, StatusCode::NO_CONTENT, "{}", page.text);
        page.headers["x-draft"].to_str().unwrap().to_owned()
    };
    let name = keep("", "Graag oor").await;
    assert_eq!(keep(&name, "Graag oordeel van vandaag").await, name);
    let back = desk.get(&format!("/send/17?draft={name}")).await;
    assert!(back.text.contains("Graag oordeel van vandaag"));
    let ask = desk.post("/requests/new", &[("act", "keep"), ("family", "Vries"), ("born", "14-03")]).await;
    let name = ask.headers["x-draft"].to_str().unwrap();
    let back = desk.get(&format!("/requests/new?draft={name}")).await;
    assert!(back.text.contains("value=\"14-03\"") && !back.text.contains("id=\"errors\""));
    let asked = desk.fake.acts();
    assert!(!asked.iter().any(|call| matches!(call.question, Question::Send { .. })));
}

#[tokio::test]
async fn a_locked_session_shows_nothing_and_the_password_leads_back() {
    let mut desk = Desk::signed_in("nl").await;
    assert_eq!(desk.get("/session").await.status, StatusCode::NO_CONTENT);
    desk.lock();
    for path in ["/send", "/send/17", "/profile"] {
        let page = desk.get(path).await;
        assert_eq!(page.location(), format!("/lock?next={path}"), "{path}");
        assert!(page.text.is_empty());
    }
    assert_eq!(desk.fragment("/send").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(desk.get("/session").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(desk.post("/send/17/close", &[]).await.location(), "/lock?next=");
    let two = desk.get("/requests/new?draft=x&incomplete=1").await;
    assert_eq!(two.location(), "/lock?next=/requests/new?draft=x%26incomplete=1");
    assert_eq!(desk.get(two.location()).await.field("next"), "/requests/new?draft=x&#38;incomplete=1");
    let lock = desk.get("/lock?next=/send/17").await;
    assert!(lock.text.contains(desk::ACCOUNT) && !lock.text.contains("VRIES"));
    let wrong = desk.post("/lock", &[("password", "wrong"), ("next", "/send/17")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let right = desk.post("/lock", &[("password", PASSWORD), ("next", "/send/17")]).await;
    assert_eq!((right.status, right.location()), (StatusCode::SEE_OTHER, "/send/17"));
    desk.take_cookie(&right);
    assert_eq!(desk.get("/send/17").await.status, StatusCode::OK);
    assert!(
        desk.get("/admin/users").await.location().starts_with("/stepup"),
        "being raised ends with the lock"
    );
}
