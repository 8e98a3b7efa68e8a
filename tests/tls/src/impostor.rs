//! A peer that shows whatever it is told, at either end, and says what came of it.
//!
//! It believes everybody itself: only what the other side does is of interest. What it tells is what it saw: an alert
//! instead of a connection, or bytes that were meant for somebody with a right certificate.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::rows::{Hand, Shown};
use crate::world::{PATIENCE, pem};

/// What the other side did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It would not talk to us: its alert, or how it ended.
    Refused(String),
    /// It talked to us: what it said first, as far as that is text.
    Talked(String),
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Shows one chain to everybody.
#[derive(Debug)]
struct Shows(Option<Arc<CertifiedKey>>);

impl Shows {
    fn of(shown: &Shown) -> Shows {
        if shown.chain.is_empty() {
            return Shows(None);
        }
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(shown.key.pkcs8.clone()));
        let key = provider().key_provider.load_private_key(key).expect("a key that rustls can use");
        let chain = shown.chain.iter().cloned().map(CertificateDer::from).collect();
        Shows(Some(Arc::new(CertifiedKey::new(chain, key))))
    }
}

impl ResolvesServerCert for Shows {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }
}

impl ResolvesClientCert for Shows {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}

/// Believes every server.
#[derive(Debug)]
struct BelievesAll;

impl ServerCertVerifier for BelievesAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// An impostor that listens for one caller.
pub enum Waiting {
    /// By rustls.
    Rustls(TcpListener, Arc<rustls::ServerConfig>),
    /// By OpenSSL, as a process.
    OpenSsl(Child),
}

impl Waiting {
    /// Listens on the port, to show this. Whoever calls from now on is served.
    pub async fn at(port: u16, shown: &Shown, folder: &Path) -> Waiting {
        match shown.by {
            Hand::Rustls => {
                let mut config = rustls::ServerConfig::builder_with_provider(provider())
                    .with_safe_default_protocol_versions()
                    .expect("TLS 1.2 and 1.3")
                    .with_no_client_auth()
                    .with_cert_resolver(Arc::new(Shows::of(shown)));
                config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
                Waiting::Rustls(listen(port).await, Arc::new(config))
            }
            Hand::OpenSsl(words) => {
                let mut command = openssl("s_server", shown, folder, words);
                command.args(["-quiet", "-naccept", "1", "-alpn", "http/1.1"]);
                command.args(["-accept", &format!("127.0.0.1:{port}")]);
                let child = command.spawn().expect("openssl is missing; on Debian: apt-get install openssl");
                until_listening(port).await;
                Waiting::OpenSsl(child)
            }
        }
    }

    /// Tells what the first caller did.
    pub async fn outcome(self) -> Outcome {
        match self {
            Waiting::Rustls(listener, config) => {
                let Ok(accepted) = timeout(PATIENCE, listener.accept()).await else { nobody() };
                let (stream, _) = accepted.expect("a caller");
                match TlsAcceptor::from(config).accept(stream).await {
                    Err(error) => Outcome::Refused(error.to_string()),
                    Ok(stream) => first_words(stream).await,
                }
            }
            Waiting::OpenSsl(child) => ended(child, Vec::new()).await,
        }
    }
}

/// A call would be the one that is served, so the kernel's list is asked (proc(5), `0A` is LISTEN).
async fn until_listening(port: u16) {
    let wanted = format!("0100007F:{port:04X}");
    for _ in 0..1000 {
        let list = std::fs::read_to_string("/proc/net/tcp").expect("a list");
        let mut rows = list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        if rows.any(|row| row.get(1) == Some(&wanted.as_str()) && row.get(3) == Some(&"0A")) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("openssl does not listen on port {port}")
}

/// The last caller's port may still be taken for a moment.
async fn listen(port: u16) -> TcpListener {
    for _ in 0..200 {
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await {
            return listener;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("port {port} is not free")
}

fn nobody() -> ! {
    panic!("nobody called in {PATIENCE:?}")
}

async fn first_words(mut stream: impl AsyncRead + Unpin) -> Outcome {
    let mut buffer = vec![0; 4096];
    match timeout(PATIENCE, stream.read(&mut buffer)).await {
        Ok(Ok(0)) => Outcome::Refused("closed without a word".to_owned()),
        Ok(Ok(length)) => Outcome::Talked(readable(&buffer[..length])),
        Ok(Err(error)) => Outcome::Refused(error.to_string()),
        Err(_) => Outcome::Refused("silent".to_owned()),
    }
}

fn readable(bytes: &[u8]) -> String {
    let first = String::from_utf8_lossy(bytes);
    first.lines().next().unwrap_or_default().chars().filter(|letter| !letter.is_control()).take(60).collect()
}

/// Calls the port, shows the chain, says something, and tells what came back.
pub async fn call(port: u16, shown: &Shown, say: &[u8], folder: &Path) -> Outcome {
    match shown.by {
        Hand::Rustls => call_by_rustls(port, shown, say).await,
        Hand::OpenSsl(words) => call_by_openssl(port, shown, say, folder, words).await,
    }
}

async fn call_by_rustls(port: u16, shown: &Shown, say: &[u8]) -> Outcome {
    let config = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(BelievesAll))
        .with_client_cert_resolver(Arc::new(Shows::of(shown)));
    let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    let name = ServerName::try_from("localhost").expect("a name");
    let mut stream = match TlsConnector::from(Arc::new(config)).connect(name, stream).await {
        Ok(stream) => stream,
        Err(error) => return Outcome::Refused(error.to_string()),
    };
    // If it does not even listen, its alert is there to be read.
    let _ = say_all(&mut stream, say).await;
    first_words(stream).await
}

async fn say_all(stream: &mut (impl AsyncWrite + Unpin), say: &[u8]) -> std::io::Result<()> {
    stream.write_all(say).await?;
    stream.flush().await
}

/// Chain and key in files, as OpenSSL wants them.
fn files(shown: &Shown, folder: &Path) -> (PathBuf, PathBuf) {
    let certificate = folder.join("shown.pem");
    let text: String = shown.chain.iter().map(|certificate| pem(certificate)).collect();
    std::fs::write(&certificate, text).expect("a file");
    (certificate, shown.key.file.clone())
}

fn openssl(kind: &str, shown: &Shown, folder: &Path, words: &[&str]) -> Command {
    let (certificate, key) = files(shown, folder);
    let mut command = Command::new("openssl");
    command.arg(kind).arg("-cert").arg(certificate).arg("-key").arg(key).args(["-keyform", "DER"]);
    // Whatever is too weak for OpenSSL itself is what is wanted.
    command.args(["-cipher", "ALL:@SECLEVEL=0"]).args(words);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn call_by_openssl(port: u16, shown: &Shown, say: &[u8], folder: &Path, words: &[&str]) -> Outcome {
    let mut command = openssl("s_client", shown, folder, words);
    command.args([
        "-quiet",
        "-no_ign_eof",
        "-connect",
        &format!("127.0.0.1:{port}"),
        "-servername",
        "localhost",
    ]);
    let child = command.spawn().expect("openssl is missing; on Debian: apt-get install openssl");
    ended(child, say.to_vec()).await
}

/// What OpenSSL was told by the other side, or which alert it was sent.
async fn ended(mut child: Child, say: Vec<u8>) -> Outcome {
    let mut input = child.stdin.take().expect("it was asked for");
    let mut output = child.stdout.take().expect("it was asked for");
    let mut errors = child.stderr.take().expect("it was asked for");
    // It may have ended by now.
    let _ = say_all(&mut input, &say).await;
    let mut first = vec![0; 4096];
    let length = timeout(PATIENCE, output.read(&mut first)).await.map_or(0, |read| read.unwrap_or(0));
    if length > 0 {
        return Outcome::Talked(readable(&first[..length]));
    }
    let mut said = String::new();
    let _ = timeout(PATIENCE, errors.read_to_string(&mut said)).await;
    drop(input);
    let named = said.lines().rfind(|line| line.contains("error:"));
    match named.and_then(|line| line.split(':').nth(5)) {
        Some(named) => Outcome::Refused(named.to_owned()),
        // Silence proves nothing: nobody may have called.
        None => panic!("openssl was neither talked to nor refused: {said}"),
    }
}
