//! PKCS#12 files, in which many authorities hand out a certificate with its key.

use anyhow::{Context, Result, bail};
use data_encoding::BASE64;
use p12_keystore::{KeyStore, Pkcs12ImportPolicy};
use rustls_pki_types::CertificateDer;
use zeroize::Zeroizing;

use crate::identity;

/// Most bytes of a file. A chain with its key is a few kilobytes.
const MAX_LEN: usize = 256 * 1024;

/// Reads chain and key (PEM) from a file in base64.
///
/// # Errors
/// If the password is wrong, or there is not exactly one key with its certificate.
pub fn read(base64: &str, password: &str) -> Result<(Vec<CertificateDer<'static>>, Zeroizing<String>)> {
    let bytes = BASE64.decode(base64.trim().as_bytes()).context("the file is neither PEM nor PKCS#12")?;
    if bytes.len() > MAX_LEN {
        bail!("the file is longer than a PKCS#12 file may be");
    }
    // The library's error may quote what it read: a key is nobody's business.
    let Ok(store) = KeyStore::from_pkcs12(&bytes, password, Pkcs12ImportPolicy::Strict) else {
        bail!("the file is not PKCS#12, or the password is wrong");
    };
    let Some((_, entry)) = store.private_key_chain() else {
        bail!("the file holds no key with its certificate");
    };
    let chain: Vec<CertificateDer<'static>> =
        entry.certs().iter().map(|certificate| CertificateDer::from(certificate.as_der().to_vec())).collect();
    Ok((chain, Zeroizing::new(identity::pem("PRIVATE KEY", entry.key().as_der()))))
}
