//! A desk: a browser without a window, in front of the real pages, in front of a fake daemon.
#![allow(dead_code, reason = "shared by test files, each of which uses a part")]

use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode, header};
use beeldbox_admin::accounts::Accounts;
use beeldbox_admin::roles::Role;
use beeldbox_admin::settings::Tls;
use beeldbox_admin::site::{Site, SiteSettings, router};
use jiff::Timestamp;
use tempfile::TempDir;
use tower::ServiceExt;

use crate::fake_box::FakeBox;

pub const ACCOUNT: &str = "j.smit";
pub const PASSWORD: &str = "correct horse";

/// Three minutes past two in the afternoon, in winter.
pub fn now() -> Timestamp {
    "2026-11-23T13:03:22Z".parse().unwrap()
}

pub struct Desk {
    pub fake: FakeBox,
    pub cookie: Option<String>,
    pub language: &'static str,
    router: Router,
    site: std::sync::Arc<Site>,
    dir: TempDir,
}

pub struct Page {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Page {
    /// Where it leads.
    pub fn location(&self) -> &str {
        self.headers.get(header::LOCATION).map_or("", |value| value.to_str().unwrap())
    }

    /// The value of a hidden field.
    pub fn field(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        let at = self.text.find(&start).unwrap_or_else(|| panic!("no field {name} in {}", self.text));
        self.text[at + start.len()..].split('"').next().unwrap().to_owned()
    }

    pub fn title(&self) -> &str {
        self.text.split("<title>").nth(1).unwrap_or_default().split("</title>").next().unwrap()
    }
}

impl Desk {
    /// With nobody signed in.
    pub async fn new() -> Desk {
        Desk::with(Tls::On, 443).await
    }

    pub async fn with(tls: Tls, port: u16) -> Desk {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("box.sock");
        let fake = FakeBox::new(now());
        fake.listen(socket.clone());
        Accounts::in_dir(dir.path()).add(ACCOUNT, PASSWORD).unwrap();
        let (site, follower) = Site::new(SiteSettings {
            socket: &socket,
            state_dir: dir.path(),
            tls,
            port,
            hospital: None,
            names: vec!["beeldbox.example".to_owned()],
            clock: now,
        });
        tokio::spawn(follower.run());
        Desk { fake, cookie: None, language: "nl", router: router(site.clone()), site, dir }
    }

    /// With somebody signed in who has these roles and typed the password again.
    pub async fn signed_in_as(roles: &[Role]) -> Desk {
        let mut desk = Desk::new().await;
        desk.accounts().add("a.beheer", PASSWORD).unwrap();
        desk.accounts().set_roles(ACCOUNT, roles.iter().copied().collect()).unwrap();
        desk.sign_in().await;
        desk.step_up().await;
        desk
    }

    /// Types the password again.
    pub async fn step_up(&mut self) {
        let page = self.post("/stepup", &[("password", PASSWORD), ("next", "/profile")]).await;
        assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "/profile"), "{}", page.text);
        self.take_cookie(&page);
    }

    /// Goes on with the session that the page gave.
    pub fn take_cookie(&mut self, page: &Page) {
        let cookie = page.headers[header::SET_COOKIE].to_str().unwrap();
        self.cookie = Some(cookie.split(';').next().unwrap().to_owned());
    }

    /// Ten minutes go by.
    pub fn lock(&self) {
        self.site.lock_all();
    }

    pub fn accounts(&self) -> Accounts {
        Accounts::in_dir(self.dir.path())
    }

    pub fn state_dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// With somebody signed in.
    pub async fn signed_in(language: &'static str) -> Desk {
        let mut desk = Desk::new().await;
        desk.language = language;
        desk.sign_in().await;
        desk.step_up().await;
        desk
    }

    pub async fn sign_in(&mut self) {
        let page = self.try_sign_in(ACCOUNT, PASSWORD).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
        self.take_cookie(&page);
    }

    pub async fn try_sign_in(&self, name: &str, password: &str) -> Page {
        self.post("/login", &[("lang", self.language), ("name", name), ("password", password), ("next", "")])
            .await
    }

    pub async fn get(&self, path: &str) -> Page {
        self.ask(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// A block of an open page.
    pub async fn fragment(&self, path: &str) -> Page {
        self.ask(Request::get(path).header("x-fragment", "1").body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let request = Request::post(path).header("sec-fetch-site", "same-origin");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.ask(request.body(Body::from(encode(fields))).unwrap()).await
    }

    /// Adds what a browser adds.
    pub async fn ask(&self, mut request: Request<Body>) -> Page {
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([10, 0, 0, 7], 50000))));
        let headers = request.headers_mut();
        headers.entry("host").or_insert("127.0.0.1:8443".parse().unwrap());
        if let Some(cookie) = &self.cookie {
            headers.entry("cookie").or_insert(cookie.parse().unwrap());
        }
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        Page { status, headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    /// Goes as far as the check page and returns its address and itself.
    pub async fn check_page(&self, study: i64, addressee: &str, note: &str) -> (String, Page) {
        let path = format!("/send/{study}");
        let page = self.get(&path).await;
        let fingerprint = page.field("fingerprint");
        let fields = [
            ("fingerprint", fingerprint.as_str()),
            ("act", "check"),
            ("addressee", addressee),
            ("note", note),
            ("urgent", "no"),
        ];
        let sent = self.post(&path, &fields).await;
        assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text);
        let location = sent.location().to_owned();
        assert!(location.starts_with(&format!("{path}/check?draft=")), "{location}");
        let page = self.get(&location).await;
        (location, page)
    }

    /// The daemon crashes.
    pub async fn stop_daemon(&self) {
        self.fake.stop();
        // Lets the ends of the connections close.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    /// The daemon starts again.
    pub fn start_daemon(&self) {
        self.fake.listen(self.dir.path().join("box.sock"));
    }

    /// Every page that can be asked for, with every transfer in the lists.
    pub fn all_paths(&self) -> Vec<String> {
        let world = self.fake.world.lock().unwrap();
        let mut paths: Vec<String> =
            ["/send", "/sent", "/inbox", "/status", "/requests", "/requests/new"].map(str::to_owned).to_vec();
        paths.extend(world.studies.iter().map(|line| format!("/send/{}", line.study.0)));
        for detail in &world.sent {
            let id = detail.line.transfer;
            paths.extend([format!("/sent/{id}"), format!("/sent/{id}/recall")]);
        }
        for detail in &world.inbox {
            let id = detail.line.transfer;
            paths.extend(["", "/import", "/decline", "/forward"].map(|end| format!("/inbox/{id}{end}")));
        }
        paths.extend(
            [
                "/admin",
                "/admin/connections",
                "/admin/certificates",
                "/admin/users",
                "/admin/users/j.smit",
                "/admin/audit",
                "/profile",
                "/profile/password",
                "/profile/second-factor",
                "/help",
            ]
            .map(str::to_owned),
        );
        for line in &world.requests {
            paths.extend(["", "/refuse", "/answer"].map(|end| format!("/requests/{}{end}", line.request)));
        }
        paths
    }

    /// Fills in a request and goes as far as its check page.
    pub async fn ask_check_page(&self, changes: &[(&str, &str)]) -> Page {
        let mut fields = vec![
            ("prefix", "de"),
            ("family", "Vries-Jansen"),
            ("given", "Anna Maria"),
            ("born", "14-03-1945"),
            ("sex", "F"),
            ("bsn", "9999 90 019"),
            ("addressee", "noord-rad"),
            ("modality", "CT"),
            ("region", "thorax"),
            ("from", "01-01-2025"),
            ("answer_to", "broek-rad"),
            ("reason", "Vergelijking met eerder onderzoek"),
            ("urgent", "no"),
            ("act", "check"),
        ];
        for (name, value) in changes {
            fields.retain(|(known, _)| known != name);
            fields.push((name, value));
        }
        let sent = self.post("/requests/new", &fields).await;
        assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text);
        self.get(sent.location().trim_end_matches("#results")).await
    }
}

fn encode(fields: &[(&str, &str)]) -> String {
    let one = |text: &str| {
        let safe = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        text.bytes()
            .map(|b| if safe(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
            .collect::<String>()
    };
    fields.iter().map(|(name, value)| format!("{}={}", one(name), one(value))).collect::<Vec<_>>().join("&")
}
