//! A directory of somebody else: a small HTTPS server that gives out what the portal's directory holds, in the manner of
//! other FHIR servers (no mark, every page whole), and can be told to misbehave.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use beeldbox_protocol::portal::directory::Kind;
use beeldbox_protocol::portal::directory::page::Now;
use beeldbox_transfer::directory::source::{Ask, DirectorySource};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::dicom_cards::CardOffice;
use crate::two_hospitals::now;

/// Its FHIR base below the origin.
const BASE: &str = "/book/R4";

/// Longest head of a request.
const LONGEST_HEAD: u64 = 16 * 1024;

/// How it behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manner {
    /// It tells what the portal tells.
    Good,
    /// It tells so, and that these resources were removed.
    Removes(&'static str, &'static str),
    /// A page for people, with status 200.
    SaysHtml,
    /// It has forgotten its history, and has nothing.
    Empty,
    /// Every page leads to itself.
    GoesRound,
    /// Every page leads to another, and none holds anything.
    Endless,
    /// The next page is at another host.
    LeadsElsewhere,
    /// Longer than anybody reads.
    Huge,
    /// It wants to be left alone for ten years.
    BusyForTenYears,
}

/// The server. It ends with the story.
#[derive(Clone)]
pub struct OddDirectory {
    address: SocketAddr,
    authority: PathBuf,
    manner: Arc<Mutex<Manner>>,
}

impl OddDirectory {
    /// Starts it; what it knows, it asks the portal for, with the certificate of the hospital in this folder.
    pub fn start(hospital: &Path, portal_url: &str) -> OddDirectory {
        let office = CardOffice::open(&hospital.join("directory"));
        let card = office.issue("directory");
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        listener.set_nonblocking(true).expect("a listener");
        let directory = OddDirectory {
            address: listener.local_addr().expect("an address"),
            authority: office.authority(),
            manner: Arc::new(Mutex::new(Manner::Good)),
        };
        let listener = TcpListener::from_std(listener).expect("a listener");
        let server = Server { directory: directory.clone(), portal: portal_as(hospital, portal_url) };
        tokio::spawn(server.serve(listener, card.tls_acceptor()));
        directory
    }

    /// The settings of a box that reads it.
    pub fn settings(&self) -> String {
        format!(
            "[directory]\nurl = \"https://localhost:{}{BASE}\"\nauthority = \"{}\"\ninterval_secs = 1\n",
            self.address.port(),
            self.authority.display()
        )
    }

    /// From now on it behaves so.
    pub fn be(&self, manner: Manner) {
        *self.manner.lock().unwrap_or_else(PoisonError::into_inner) = manner;
    }

    fn manner(&self) -> Manner {
        self.manner.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Server {
    directory: OddDirectory,
    portal: DirectorySource,
}

/// Status, further header lines, body.
type Reply = (u16, String, Vec<u8>);

impl Server {
    async fn serve(self, listener: TcpListener, tls: TlsAcceptor) {
        let server = Arc::new(self);
        while let Ok((stream, _)) = listener.accept().await {
            let (server, tls) = (Arc::clone(&server), tls.clone());
            tokio::spawn(async move {
                // A client that breaks off is none of our business.
                let Ok(stream) = tls.accept(stream).await else { return };
                let mut stream = BufReader::new(stream);
                while let Some(target) = next_request(&mut stream).await {
                    let (status, headers, body) = server.answer(&target).await;
                    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&now()).expect("a date");
                    let head = format!(
                        "HTTP/1.1 {status} x\r\nDate: {date}\r\nContent-Length: {}\r\n{headers}\r\n",
                        body.len()
                    );
                    if stream.write_all(&[head.as_bytes(), &body].concat()).await.is_err()
                        || stream.flush().await.is_err()
                    {
                        return;
                    }
                }
            });
        }
    }

    async fn answer(&self, target: &str) -> Reply {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = path.strip_prefix(BASE).unwrap_or_default().trim_matches('/');
        let (name, is_history) = match path.strip_suffix("/_history") {
            Some(name) => (name, true),
            None => (path, false),
        };
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.as_str() == name) else {
            return (404, String::new(), Vec::new());
        };
        let linked = |link: &str| bundle(Vec::new(), Some(link));
        match self.directory.manner() {
            Manner::Good => self.what_the_portal_says(kind, is_history, query, None).await,
            Manner::Removes(of, id) => {
                let removed = (of == kind.as_str()).then_some(id);
                self.what_the_portal_says(kind, is_history, query, removed).await
            }
            Manner::SaysHtml => (200, String::new(), b"<html>Please sign in</html>".to_vec()),
            Manner::Empty if is_history => (410, String::new(), Vec::new()),
            Manner::Empty => bundle(Vec::new(), None),
            Manner::GoesRound => linked(target),
            Manner::Endless => linked(&format!("{target}&more")),
            Manner::LeadsElsewhere => linked("https://elsewhere.example/book/R4/Organization?page=2"),
            Manner::Huge => (200, String::new(), vec![b' '; 9 * 1024 * 1024]),
            Manner::BusyForTenYears => (429, "Retry-After: 315360000\r\n".to_owned(), Vec::new()),
        }
    }

    async fn what_the_portal_says(
        &self,
        kind: Kind,
        is_history: bool,
        query: &str,
        removed: Option<&str>,
    ) -> Reply {
        let since = query.split('&').find_map(|pair| pair.strip_prefix("_since="));
        let ask = since.filter(|_| is_history).map_or(Ask::Whole, Ask::History);
        let mut entries = Vec::new();
        let mut next = Some(self.portal.first(kind, ask));
        while let Some(url) = next {
            let Ok(answer) = self.portal.page(kind, url.clone()).await else {
                return (404, String::new(), Vec::new());
            };
            for told in answer.page.told {
                let Now::Here { json, .. } = told.now else { continue };
                let mut resource: Value = serde_json::from_str(&json).expect("what counts is JSON");
                resource["meta"] = json!({ "lastUpdated": told.changed_at });
                entries.push(json!({ "resource": resource, "search": { "mode": "match" } }));
            }
            next = answer.page.next.and_then(|link| self.portal.next(&url, &link).ok());
        }
        if let Some(id) = removed.filter(|_| is_history) {
            let url = format!("{}/{id}/_history/9", kind.as_str());
            let response = json!({ "status": "204", "lastModified": now() });
            entries.push(json!({ "request": { "method": "DELETE", "url": url }, "response": response }));
        }
        bundle(entries, None)
    }
}

fn bundle(entries: Vec<Value>, next: Option<&str>) -> Reply {
    let links: Vec<Value> = next.into_iter().map(|url| json!({ "relation": "next", "url": url })).collect();
    let bundle = json!({ "resourceType": "Bundle", "type": "history", "link": links, "entry": entries });
    (200, "Content-Type: application/fhir+json\r\n".to_owned(), bundle.to_string().into_bytes())
}

/// The target of the next request (RFC 9112 §3); nothing when the connection ends. Requests have no body.
async fn next_request(stream: &mut (impl AsyncBufReadExt + AsyncReadExt + Unpin)) -> Option<String> {
    let mut target = None;
    let mut head = stream.take(LONGEST_HEAD);
    loop {
        let mut line = String::new();
        if head.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if line.trim().is_empty() {
            return target;
        }
        target = target.or_else(|| line.split(' ').nth(1).map(str::to_owned));
    }
}

/// The directory of the portal, as the hospital with this folder reads it.
pub fn portal_as(hospital: &Path, portal_url: &str) -> DirectorySource {
    let pem = |file: &str| CertificateDer::from_pem_file(hospital.join(file)).expect("a certificate");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(pem("portal-authority.pem")).expect("the authority");
    let key = PrivateKeyDer::from_pem_file(hospital.join("credentials/tls-key.pem")).expect("its key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![pem("credentials/tls-certificate.pem")], key)
        .expect("key and certificate");
    DirectorySource::new(&format!("{portal_url}/fhir"), tls, "scenario").expect("a client")
}

/// So many days ago.
pub fn days_ago(days: i64) -> Timestamp {
    now() - jiff::SignedDuration::from_hours(24 * days)
}
