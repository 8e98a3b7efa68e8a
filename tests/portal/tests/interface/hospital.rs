//! A hospital as the portal sees it: a certificate and HTTP. And a transfer, in a few verbs.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use beeldbox_portal::ca::Issued;
use beeldbox_portal::clock::Clock;
use beeldbox_portal::{Portal, PortalHandle, PortalOptions};
use beeldbox_protocol::admin::ReceiptStage;
use beeldbox_protocol::ident::{Digest, TransferId, Ura};
use beeldbox_protocol::portal::fhir::Task;
use beeldbox_protocol::portal::task::{NewTransfer, PartEntry, commit, with_receipt};
use beeldbox_protocol::portal::{content_digest, letter_path, part_path, task_path};
use jiff::{SignedDuration, Timestamp};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

use crate::place;

/// URA of the sender.
pub const NOORD: &str = "90000381";
/// URA of the addressee.
pub const ZUID: &str = "90000382";
/// URA of somebody else.
pub const OTHER: &str = "90000401";

/// A portal in a folder of its own.
pub struct Running {
    pub portal: PortalHandle,
    /// With which it can be started again.
    pub options: PortalOptions,
    _folder: TempDir,
}

/// Starts a portal.
pub async fn a_portal() -> Running {
    a_portal_with(|options| options).await
}

/// Starts a portal with other options.
pub async fn a_portal_with(change: impl FnOnce(PortalOptions) -> PortalOptions) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let options = change(place::new().set(PortalOptions::new(folder.path())));
    let portal = Portal::start(options.clone()).await.unwrap();
    Running { portal, options, _folder: folder }
}

/// Starts a portal whose clock is so many hours ahead as the number says.
pub async fn a_portal_whose_clock_can_be_moved() -> (Running, Arc<AtomicI64>) {
    let hours = Arc::new(AtomicI64::new(0));
    let moved = hours.clone();
    let running = a_portal_with(|mut options| {
        options.clock = Clock::new(move || {
            let ahead = SignedDuration::from_hours(moved.load(Ordering::SeqCst));
            now().checked_add(ahead).unwrap()
        });
        options
    });
    (running.await, hours)
}

/// TLS settings with a certificate, or without one.
pub fn tls(ca_pem: &str, identity: Option<&Issued>) -> rustls::ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match identity {
        None => config.with_no_client_auth(),
        Some(issued) => {
            let certificate = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
            config.with_client_auth_cert(vec![certificate], key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

/// A client with these TLS settings.
pub fn client(tls: rustls::ClientConfig) -> Client {
    Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap()
}

/// A hospital.
pub struct Hospital {
    http: Client,
    url: String,
    ura: Ura,
}

impl Hospital {
    /// With a certificate of the portal's authority.
    pub fn of(portal: &PortalHandle, ura: &str) -> Self {
        let ura: Ura = ura.parse().unwrap();
        let issued = portal.issue(&ura, "Ziekenhuis").unwrap();
        let http = client(tls(portal.ca_pem(), Some(&issued)));
        Hospital { http, url: portal.url().to_owned(), ura }
    }

    /// With a client that exists already.
    pub fn with(http: Client, url: &str, ura: &str) -> Self {
        Hospital { http, url: url.to_owned(), ura: ura.parse().unwrap() }
    }

    /// The same hospital, speaking HTTP/1.1 only.
    pub fn of_http1(portal: &PortalHandle, ura: &str) -> Self {
        let hospital = Hospital::of(portal, ura);
        let issued = portal.issue(&hospital.ura, "Ziekenhuis").unwrap();
        let mut tls = tls(portal.ca_pem(), Some(&issued));
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Hospital { http: client(tls), ..hospital }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    pub async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    /// A draft from this hospital that nobody stored yet.
    pub fn draft(&self, to: &str) -> Task {
        self.new_transfer(to, SignedDuration::from_hours(24)).draft()
    }

    pub fn new_transfer(&self, to: &str, valid: SignedDuration) -> NewTransfer {
        let now = now();
        NewTransfer {
            transfer: a_transfer_id(),
            sender: self.ura.clone(),
            addressee_ura: to.parse().unwrap(),
            addressee: "zuid-radiologie".parse().unwrap(),
            urgent: false,
            at: now,
            valid_until: now.checked_add(valid).unwrap(),
        }
    }

    pub async fn create(&self, task: &Task) -> Response {
        let path = format!("/fhir/Task/{}", task.id);
        self.request(Method::PUT, &path).header("if-none-match", "*").json(task).send().await.unwrap()
    }

    pub async fn update(&self, task: &Task) -> Response {
        let version = task.meta.version_id.clone().unwrap();
        let path = format!("/fhir/Task/{}", task.id);
        let request = self.request(Method::PUT, &path).header("if-match", format!("W/\"{version}\""));
        request.json(task).send().await.unwrap()
    }

    pub async fn task(&self, transfer: &TransferId) -> Task {
        let response = self.get(&task_path(transfer)).await;
        assert_eq!(response.status(), StatusCode::OK);
        response.json().await.unwrap()
    }

    pub async fn put_part(&self, transfer: &TransferId, bytes: &[u8]) -> Response {
        self.put_part_as(transfer, &Digest::of(bytes), &Digest::of(bytes), bytes).await
    }

    /// Like [`Hospital::put_part`], where the portal may be gone.
    pub async fn try_put_part(&self, transfer: &TransferId, bytes: &[u8]) -> reqwest::Result<Response> {
        let digest = Digest::of(bytes);
        let request = self.request(Method::PUT, &part_path(transfer, &digest));
        request.header("content-digest", content_digest(&digest)).body(bytes.to_vec()).send().await
    }

    pub async fn put_part_as(
        &self,
        transfer: &TransferId,
        name: &Digest,
        claim: &Digest,
        bytes: &[u8],
    ) -> Response {
        self.request(Method::PUT, &part_path(transfer, name))
            .header("content-digest", content_digest(claim))
            .header("if-none-match", "*")
            .body(bytes.to_vec())
            .send()
            .await
            .unwrap()
    }

    pub async fn put_letter(&self, transfer: &TransferId, bytes: &[u8]) -> Response {
        self.request(Method::PUT, &letter_path(transfer))
            .header("content-type", "application/octet-stream")
            .header("content-digest", content_digest(&Digest::of(bytes)))
            .header("if-none-match", "*")
            .body(bytes.to_vec())
            .send()
            .await
            .unwrap()
    }

    /// Makes a transfer, uploads a letter and these parts, and commits.
    pub async fn send(&self, to: &str, parts: &[&[u8]]) -> TransferId {
        let draft = self.draft(to);
        let transfer = draft.id.parse().unwrap();
        assert_eq!(self.create(&draft).await.status(), StatusCode::CREATED);
        assert_eq!(self.put_letter(&transfer, b"a letter").await.status(), StatusCode::CREATED);
        for part in parts {
            assert_eq!(self.put_part(&transfer, part).await.status(), StatusCode::CREATED);
        }
        let task = commit(self.task(&transfer).await, &entries(parts));
        assert_eq!(self.update(&task).await.status(), StatusCode::OK);
        transfer
    }

    /// Moves the transfer on with a receipt.
    pub async fn give_receipt(&self, transfer: &TransferId, stage: ReceiptStage) -> Response {
        let task = with_receipt(self.task(transfer).await, stage, true, "a.b.c");
        self.update(&task).await
    }
}

/// How a Task lists these parts.
pub fn entries(parts: &[&[u8]]) -> Vec<PartEntry> {
    parts.iter().map(|part| PartEntry { digest: Digest::of(part), len: part.len() as u64 }).collect()
}

/// A random transfer id.
pub fn a_transfer_id() -> TransferId {
    let mut random = [0; 16];
    aws_lc_rs::rand::fill(&mut random).unwrap();
    TransferId::from_random(random)
}

/// The machine's clock.
pub fn now() -> Timestamp {
    beeldbox_portal::clock::Clock::of_the_system().now()
}

/// The code of a refusal, wherever it stands.
pub async fn code_of(response: Response) -> String {
    let body: serde_json::Value = response.json().await.unwrap();
    let fhir = body.pointer("/issue/0/details/text");
    fhir.or(body.get("code")).and_then(|code| code.as_str()).unwrap().to_owned()
}
