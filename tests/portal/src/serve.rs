//! Connections: TLS 1.3, who is at the other end, HTTP/1.1 or HTTP/2, and an orderly end.
//!
//! A client certificate is asked for and, if shown, must chain to the portal's authority. It is not demanded here,
//! because a box that enrols has none yet; [`crate::identity::require_client`] demands it everywhere else.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::faults::{Cuttable, Faults};
use crate::identity::Peer;

/// Connections served at a time. The next ones wait in the listener's queue.
const MAX_CONNECTIONS: usize = 512;

/// Longest that a client may take for the TLS handshake, and for the head of a request.
const GREETING_TIMEOUT: Duration = Duration::from_secs(15);

/// Longest that requests under way may take once the portal stops.
const FAREWELL: Duration = Duration::from_secs(5);

/// Bytes of a body that may be under way unread, per stream: a line of 100 Mbit/s at 50 ms holds 625 kB.
const STREAM_WINDOW: u32 = 1024 * 1024;

/// The same per connection.
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// What the server shows and whom it believes.
pub fn tls_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    anchors: &[CertificateDer<'static>],
    faults: Arc<Faults>,
) -> Result<rustls::ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    for anchor in anchors {
        roots.add(anchor.clone())?;
    }
    let genuine = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(Verifier { genuine, faults }))
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // A resumed session would not show its certificate again.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// The usual verification, and the fault that refuses everybody.
#[derive(Debug)]
struct Verifier {
    genuine: Arc<dyn ClientCertVerifier>,
    faults: Arc<Faults>,
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.genuine.root_hint_subjects()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.genuine.client_auth_mandatory()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        if self.faults.refuses_certificates() {
            return Err(rustls::Error::InvalidCertificate(CertificateError::Revoked));
        }
        self.genuine.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.genuine.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.genuine.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.genuine.supported_verify_schemes()
    }
}

/// Everything that a connection needs.
#[derive(Clone)]
pub struct Service {
    /// TLS.
    pub tls: TlsAcceptor,
    /// The interface.
    pub router: Router,
    /// Bad manners.
    pub faults: Arc<Faults>,
    /// Becomes true when the portal stops.
    pub stopping: watch::Receiver<bool>,
}

/// Accepts connections until the portal stops, then lets those under way finish for a while.
///
/// # Cancellation
/// Dropping it cuts every connection, as a power cut would.
pub async fn accept_until_stopped(listener: TcpListener, service: Service) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    let mut stopping = service.stopping.clone();
    loop {
        // The semaphore is never closed.
        let Ok(slot) = slots.clone().acquire_owned().await else { break };
        let accepted = tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => None,
            accepted = listener.accept() => Some(accepted),
        };
        match accepted {
            None => break,
            Some(Ok((stream, _))) => {
                let service = service.clone();
                connections.spawn(async move {
                    serve_one(stream, service).await;
                    drop(slot);
                });
            }
            Some(Err(error)) => {
                // Usually too many open files: wait for connections to end instead of spinning.
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let finished = tokio::time::timeout(FAREWELL, async { while connections.join_next().await.is_some() {} });
    if finished.await.is_err() {
        tracing::info!(connections = connections.len(), "connections cut that did not finish in time");
        connections.shutdown().await;
    }
}

async fn serve_one(stream: TcpStream, mut service: Service) {
    let _ = stream.set_nodelay(true);
    let stream = match tokio::time::timeout(GREETING_TIMEOUT, service.tls.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::info!(%error, "TLS refused");
            return;
        }
        Err(_) => return,
    };
    let peer = Peer::of(stream.get_ref().1.peer_certificates());
    let router = service.router;
    let answer = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer.clone());
        router.clone().oneshot(request)
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(GREETING_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(64);
    let connection = builder.serve_connection(TokioIo::new(Cuttable::new(stream, service.faults)), answer);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        _ = service.stopping.wait_for(|stopping| *stopping) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended badly");
    }
}
