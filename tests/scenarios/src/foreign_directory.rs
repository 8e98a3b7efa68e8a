//! A directory that is not ours: Helios, a FHIR R4 server of somebody else, behind a TLS front as a hospital would put it.
//!
//! Helios speaks HTTP only, as most FHIR servers do; the front ends TLS and passes the bytes on.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use beeldbox_protocol::portal::directory::Kind;
use beeldbox_protocol::portal::directory::page::Now;
use beeldbox_transfer::directory::source::Ask;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::dicom_cards::CardOffice;
use crate::odd_directory::portal_as;
use crate::own_settings::Foreign;
use crate::two_hospitals::TwoHospitals;

/// The server and its front. Both end with the story.
pub struct ForeignDirectory {
    server: SocketAddr,
    front: SocketAddr,
    authority: PathBuf,
    _program: Foreign,
}

impl ForeignDirectory {
    /// Starts the server, empty, and the front.
    ///
    /// # Panics
    /// If it is not installed.
    pub async fn start(story: &TwoHospitals, folder: &Path) -> ForeignDirectory {
        let office = CardOffice::open(&folder.join("directory"));
        let card = office.issue("directory");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let front = listener.local_addr().expect("an address");
        let free = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let server = free.local_addr().expect("an address");
        drop(free);
        let mut command = Command::new("hfs");
        command
            .args(["--port", &server.port().to_string(), "--log-level", "warn"])
            .args(["--base-url", &format!("https://localhost:{}", front.port())])
            .arg("--database-url")
            .arg(folder.join("directory/helios.db"))
            .current_dir(folder);
        let program = story.start_foreign("helios", server.port(), &mut command).await;
        tokio::spawn(pass_on(listener, card.tls_acceptor(), server));
        ForeignDirectory { server, front, authority: office.authority(), _program: program }
    }

    /// The settings of a box that reads it.
    pub fn settings(&self) -> String {
        format!(
            "\n[directory]\nurl = \"https://localhost:{}\"\nauthority = \"{}\"\ninterval_secs = 1\n",
            self.front.port(),
            self.authority.display()
        )
    }

    /// Loads it with what stands in the portal's directory, as a hospital with this folder reads it. Gives how many.
    pub async fn load(&self, hospital: &Path, portal_url: &str) -> usize {
        let portal = portal_as(hospital, portal_url);
        let mut loaded = 0;
        for kind in Kind::ALL {
            let mut next = Some(portal.first(kind, Ask::Whole));
            while let Some(url) = next {
                // The portal does not have every type.
                let Ok(answer) = portal.page(kind, url.clone()).await else { break };
                for told in answer.page.told {
                    let Now::Here { json, .. } = told.now else { continue };
                    let resource: Value = serde_json::from_str(&json).expect("what counts is JSON");
                    self.put(&resource).await;
                    loaded += 1;
                }
                next = answer.page.next.and_then(|link| portal.next(&url, &link).ok());
            }
        }
        loaded
    }

    /// Writes a resource (FHIR `update`).
    pub async fn put(&self, resource: &Value) {
        let path = format!(
            "/{}/{}",
            resource["resourceType"].as_str().expect("a type"),
            resource["id"].as_str().expect("an id")
        );
        let status = self.ask("PUT", &path, &resource.to_string()).await.0;
        assert!(matches!(status, 200 | 201), "{path} was answered {status}");
    }

    /// Reads a resource.
    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, "").await;
        assert_eq!(status, 200, "{path}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// Removes a resource.
    pub async fn delete(&self, path: &str) {
        let status = self.ask("DELETE", path, "").await.0;
        assert!(matches!(status, 200 | 204), "{path} was answered {status}");
    }

    /// One request on a connection of its own; status and body.
    async fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.server).await.expect("it listens");
        let request = format!(
            "{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/fhir+json\r\n\
             Accept: application/fhir+json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
    }
}

/// Ends TLS and passes the bytes on.
async fn pass_on(listener: TcpListener, tls: TlsAcceptor, server: SocketAddr) {
    while let Ok((stream, _)) = listener.accept().await {
        let tls = tls.clone();
        tokio::spawn(async move {
            // Whoever breaks off is none of our business.
            let Ok(mut client) = tls.accept(stream).await else { return };
            let Ok(mut server) = TcpStream::connect(server).await else { return };
            let _ended = copy_bidirectional(&mut client, &mut server).await;
        });
    }
}
