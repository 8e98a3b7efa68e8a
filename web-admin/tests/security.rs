//! What must never happen: other sites' forms, other people's eyes, foreign script, the wrong patient.
#![allow(clippy::unwrap_used, reason = "a test")]

mod desk;
mod fake_box;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use beeldbox_admin::settings::Tls;
use beeldbox_protocol::clinical::Confidential;
use desk::{Desk, Page};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Values as they may stand in a data set of an unfriendly sender.
const HOSTILE: [&str; 7] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "</title><script>alert(1)</script>",
    "{{7*7}}{% raw %}",
    "<svg/onload=alert(1)>",
    "javascript:alert(1)//\u{202e}<b>",
];

fn assert_headers(page: &Page, path: &str) {
    assert_eq!(page.headers["content-security-policy"], POLICY, "{path}");
    assert_eq!(page.headers["x-content-type-options"], "nosniff", "{path}");
    assert_eq!(page.headers["referrer-policy"], "same-origin", "{path}");
    assert_eq!(page.headers["cross-origin-opener-policy"], "same-origin", "{path}");
    assert_eq!(page.headers["cross-origin-resource-policy"], "same-origin", "{path}");
    assert!(page.headers.contains_key("strict-transport-security"), "{path}");
    assert!(page.headers.contains_key("permissions-policy"), "{path}");
}

#[tokio::test]
async fn every_answer_carries_the_headers_and_html_is_not_kept() {
    let desk = Desk::signed_in("nl").await;
    let mut paths = desk.all_paths();
    paths.extend(["/login", "/healthz", "/nowhere", "/a/nothing.css", "/"].map(str::to_owned));
    for path in paths {
        let page = desk.get(&path).await;
        assert_headers(&page, &path);
        assert_eq!(page.headers[header::CACHE_CONTROL], "no-store", "{path}");
        assert!(!page.text.contains(" style=") && !page.text.contains(" onclick="), "{path}");
        assert_eq!(
            page.text.matches("<script").count(),
            page.text.matches("<script type=\"module\" src=").count()
        );
    }
    let refused = desk.ask(Request::post("/logout").body(Body::empty()).unwrap()).await;
    assert_headers(&refused, "a refused form");
}

#[tokio::test]
async fn assets_are_named_after_their_content_and_kept() {
    let desk = Desk::signed_in("nl").await;
    let page = desk.get("/send/17").await;
    let mut found = 0;
    for path in page.text.split('"').filter(|part| part.starts_with("/a/")) {
        let asset = desk.get(path).await;
        assert_eq!(asset.status, StatusCode::OK, "{path}");
        assert!(asset.headers[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
        found += 1;
    }
    assert!(found >= 4);
}

#[tokio::test]
async fn forms_of_other_sites_are_refused() {
    let desk = Desk::signed_in("nl").await;
    let form = |name: &'static str, value: &'static str| {
        Request::post("/language")
            .header(name, value)
            .header("content-type", "application/x-www-form-urlencoded")
    };
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("accept", "*/*"),
    ] {
        let page = desk.ask(form(name, value).body(Body::from("to=en")).unwrap()).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{name}: {value}");
    }
    let own = form("origin", "https://127.0.0.1:8443").body(Body::from("to=en")).unwrap();
    assert_eq!(desk.ask(own).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn foreign_host_names_are_refused() {
    let desk = Desk::signed_in("nl").await;
    let with = |host: &'static str| Request::get("/send").header("host", host).body(Body::empty()).unwrap();
    assert_eq!(desk.ask(with("rebound.example")).await.status, StatusCode::MISDIRECTED_REQUEST);
    assert_eq!(desk.ask(with("beeldbox.example")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn without_a_session_every_page_leads_to_the_login() {
    let desk = Desk::new().await;
    for path in desk.all_paths() {
        let page = desk.get(&path).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{path}");
        assert_eq!(page.location(), format!("/login?next={path}"));
        assert_eq!(desk.fragment(&path).await.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(desk.get("/live").await.status, StatusCode::UNAUTHORIZED);
    let sent = desk.post("/send/17/confirm", &[]).await;
    assert!(sent.location().starts_with("/login"));
    assert!(desk.fake.acts().is_empty());
}

#[tokio::test]
async fn the_cookie_is_strict_and_logging_out_forgets() {
    let mut desk = Desk::new().await;
    let page = desk.try_sign_in(desk::ACCOUNT, desk::PASSWORD).await;
    let cookie = page.headers[header::SET_COOKIE].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("__Host-beeldbox="));
    assert!(cookie.ends_with("; Path=/; HttpOnly; Secure; SameSite=Strict"), "{cookie}");
    desk.cookie = Some(cookie.split(';').next().unwrap().to_owned());
    assert_eq!(desk.get("/send").await.status, StatusCode::OK);
    let out = desk.post("/logout", &[]).await;
    assert!(out.headers.contains_key("clear-site-data"));
    assert_eq!(desk.get("/send").await.status, StatusCode::SEE_OTHER);
    let plain = Desk::with(Tls::Off, 8080).await.try_sign_in(desk::ACCOUNT, desk::PASSWORD).await;
    let cookie = plain.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.starts_with("beeldbox-8080=") && !cookie.contains("Secure"));
    // Browsers do not tell the ports of a host apart: the name must.
    let other = Desk::with(Tls::On, 8443).await.try_sign_in(desk::ACCOUNT, desk::PASSWORD).await;
    assert!(other.headers[header::SET_COOKIE].to_str().unwrap().starts_with("__Host-beeldbox-8443="));
}

#[tokio::test]
async fn guessing_is_slowed_down_and_says_nothing_about_names() {
    let desk = Desk::new().await;
    let mut answers = Vec::new();
    for name in [desk::ACCOUNT, "nobody.here"] {
        let mut last = Vec::new();
        for _ in 0..6 {
            let page = desk.try_sign_in(name, "wrong password").await;
            let text =
                page.text.split("id=\"errors\"").nth(1).unwrap().split("</p>").next().unwrap().to_owned();
            last.push((page.status, text));
        }
        assert_eq!(last[5].0, StatusCode::TOO_MANY_REQUESTS);
        answers.push(last);
    }
    assert_eq!(answers[0], answers[1], "a name that exists is answered like one that does not");
    let right = desk.try_sign_in(desk::ACCOUNT, desk::PASSWORD).await;
    assert_eq!(right.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn no_title_and_no_address_says_who_the_patient_is() {
    let desk = Desk::signed_in("nl").await;
    let secrets = ["Vries", "VRIES", "Bakker", "BAKKER", "999990019", "3004100", "Anna", "MDO", "Aneurysma"];
    for path in desk.all_paths() {
        let page = desk.get(&path).await;
        assert!(!page.title().is_empty(), "{path}");
        let addresses =
            ["href=\"", "action=\"", "src=\""].into_iter().flat_map(|mark| page.text.split(mark).skip(1));
        let addresses: Vec<&str> = addresses.filter_map(|rest| rest.split('"').next()).collect();
        for secret in secrets {
            assert!(!page.title().contains(secret), "{path}: {}", page.title());
            assert!(addresses.iter().all(|address| !address.contains(secret)), "{path}: {secret}");
            assert!(!path.contains(secret));
        }
    }
    let (address, _) = desk.check_page(17, "zuid-card", "Aneurysma").await;
    assert!(!address.contains("Aneurysma") && !address.contains("zuid"), "{address}");
}

#[tokio::test]
async fn hostile_values_are_only_text() {
    for hostile in HOSTILE {
        let desk = Desk::signed_in("nl").await;
        desk.fake.change(|world| {
            for line in &mut world.studies {
                line.patient.name = Some(Confidential::new(hostile));
                line.patient.id = Some(Confidential::new(hostile));
                line.summary.description = Some(Confidential::new(hostile));
                line.summary.modalities = vec![hostile.to_owned()];
                line.source_ae = hostile.to_owned();
            }
            for detail in world.sent.iter_mut().chain(&mut world.inbox) {
                detail.note = Some(Confidential::new(hostile));
                detail.reply_contact = Some(Confidential::new(hostile));
                detail.line.partner.as_mut().unwrap().organisation = hostile.to_owned();
                if let Some(patient) = &mut detail.line.patient {
                    patient.name = Some(Confidential::new(hostile));
                }
            }
            for line in &mut world.requests {
                line.partner.organisation = hostile.to_owned();
                if let Some(asked) = &mut line.asked {
                    asked.patient.name = Some(Confidential::new(hostile));
                    asked.reason = Confidential::new(hostile);
                    asked.wanted.body_region = Some(Confidential::new(hostile));
                    asked.wanted.modalities = vec![hostile.to_owned()];
                }
            }
            for one in &mut world.not_believed {
                (one.claimed_sender, one.why) = (hostile.to_owned(), hostile.to_owned());
            }
            for addressee in &mut world.directory {
                addressee.organisation = hostile.to_owned();
            }
        });
        let mut paths = desk.all_paths();
        paths.push("/addressees?q=r".to_owned());
        for path in paths {
            let page = desk.get(&path).await;
            assert_inert(&page, &path);
        }
        let (_, page) = desk.check_page(17, "zuid-card", hostile).await;
        assert_inert(&page, "the check page");
        let page =
            desk.ask_check_page(&[("family", hostile), ("reason", hostile), ("region", hostile)]).await;
        assert_inert(&page, "the check page of a request");
    }
}

fn assert_inert(page: &Page, path: &str) {
    let text = page.text.to_lowercase();
    for dangerous in
        ["<script>", "<img src=x", "<svg/", "' onmouseover='", "\u{202e}", "href=\"javascript:", "<b>\""]
    {
        assert!(!text.contains(dangerous), "{path}: {dangerous}");
    }
    assert!(!text.contains(">49<"), "{path}: a template ran");
}

#[tokio::test]
async fn a_form_of_another_patient_is_refused() {
    let desk = Desk::signed_in("nl").await;
    let (_, first) = desk.check_page(17, "zuid-card", "").await;
    let (_, second) = desk.check_page(15, "zuid-card", "").await;
    // The tabs are mixed up: the draft of one with the fingerprint of the other.
    let fields = [("draft", first.field("draft")), ("fingerprint", second.field("fingerprint"))];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    let page = desk.post("/send/17/confirm", &fields).await;
    assert_eq!(page.status, StatusCode::CONFLICT);
    assert!(page.text.contains("Andere patiënt"));
    // The right form, but sent to the address of another study.
    let fields = [("draft", first.field("draft")), ("fingerprint", first.field("fingerprint"))];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(desk.post("/send/15/confirm", &fields).await.status, StatusCode::CONFLICT);
    // The patient behind the study is another one than the page showed.
    desk.fake.change(|world| {
        let other = world.studies[0].patient.clone();
        world.swap_patient(17, other);
    });
    assert_eq!(desk.post("/send/17/confirm", &fields).await.status, StatusCode::CONFLICT);
    assert!(desk.fake.acts().is_empty(), "nothing was sent");
}

#[tokio::test]
async fn a_key_that_changed_after_the_look_is_not_sent_to() {
    let desk = Desk::signed_in("nl").await;
    let (_, page) = desk.check_page(17, "zuid-card", "").await;
    desk.fake.change(|world| world.thumbprint = "0000 0000 0000 0000".to_owned());
    let fields = [("draft", page.field("draft")), ("fingerprint", page.field("fingerprint"))];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(desk.post("/send/17/confirm", &fields).await.status, StatusCode::CONFLICT);
    assert!(desk.fake.acts().is_empty());
}
