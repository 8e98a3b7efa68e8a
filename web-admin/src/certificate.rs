//! The certificate of the pages: made by the box itself on its first start, or put in place by the administrator.
//!
//! `certificate.pem` and `key.pem` in the state directory. A hospital that has its own authority replaces both files.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

use crate::state_dir;

/// Why the pages cannot be encrypted.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A certificate could not be made.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// A file cannot be written.
    #[error("{path}: cannot be written", path = path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not PEM of the right kind.
    #[error("{path}: cannot be read as PEM", path = path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// Nobody can be believed by these authorities.
    #[error("{path}: holds no authority that can be used", path = path.display())]
    Authorities {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: VerifierBuilderError,
    },
    /// Certificate and key do not work together.
    #[error("certificate and key cannot be used")]
    Use(#[source] rustls::Error),
}

/// The TLS settings of the pages: TLS 1.2 and 1.3, HTTP/2 before HTTP/1.1. Makes a certificate if there is none.
///
/// # Errors
/// If the files cannot be made, read or used.
pub fn tls_config(
    state_dir: &Path,
    ip: IpAddr,
    names: &[String],
    year: i32,
) -> Result<Arc<ServerConfig>, CertificateError> {
    let certificate_path = state_dir.join("certificate.pem");
    let key_path = state_dir.join("key.pem");
    if !certificate_path.exists() || !key_path.exists() {
        make(&certificate_path, &key_path, ip, names, year)?;
    }
    let (chain, key) = (read_chain(&certificate_path)?, read_key(&key_path)?);
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(CertificateError::Use)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(CertificateError::Use)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The same certificate for systems, each of which must show one that `authorities` (PEM) issued.
///
/// # Errors
/// If a file cannot be read or used.
pub fn mutual_tls_config(
    state_dir: &Path,
    authorities: &Path,
) -> Result<Arc<ServerConfig>, CertificateError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_chain(authorities)? {
        roots.add(certificate).map_err(CertificateError::Use)?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| CertificateError::Authorities { path: authorities.to_owned(), source: error })?;
    let chain = read_chain(&state_dir.join("certificate.pem"))?;
    let key = read_key(&state_dir.join("key.pem"))?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(CertificateError::Use)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(CertificateError::Use)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|source| CertificateError::Read { path: path.to_owned(), source })
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, CertificateError> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|source| CertificateError::Read { path: path.to_owned(), source })
}

fn make(
    certificate: &Path,
    key: &Path,
    ip: IpAddr,
    names: &[String],
    year: i32,
) -> Result<(), CertificateError> {
    let mut subjects = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    if !ip.is_unspecified() && !ip.is_loopback() {
        subjects.push(ip.to_string());
    }
    subjects.extend(names.iter().cloned());
    let mut params = rcgen::CertificateParams::new(subjects)?;
    params.distinguished_name.push(rcgen::DnType::CommonName, "Beeldbox");
    params.not_before = rcgen::date_time_ymd(year - 1, 1, 1);
    // Nobody renews a self-signed certificate by hand; it serves until the hospital puts its own in place.
    params.not_after = rcgen::date_time_ymd(year + 10, 12, 31);
    let pair = rcgen::KeyPair::generate()?;
    let made = params.self_signed(&pair)?;
    let write = |path: &Path, text: String| {
        state_dir::replace_file(path, text.as_bytes())
            .map_err(|source| CertificateError::Write { path: path.to_owned(), source })
    };
    write(key, pair.serialize_pem())?;
    write(certificate, made.pem())
}
