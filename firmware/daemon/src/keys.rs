//! Keys and certificates, from files to types. Bytes that were read are wiped when they have been taken over.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use beeldbox_protocol::envelope::jws::OrganisationSigner;
use beeldbox_protocol::envelope::keys::StorageKey;
use beeldbox_protocol::envelope::recipient::RecipientIdentity;
use beeldbox_protocol::envelope::trust::TrustAnchors;
use jiff::Timestamp;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::settings::Settings;

/// Everything the box knows that others must not, and whom it believes.
pub struct Keys {
    /// Wraps what lies at rest.
    pub storage: StorageKey,
    /// Signs for the organisation.
    pub signer: OrganisationSigner,
    /// Opens letters.
    pub identity: RecipientIdentity,
    /// Whom we believe.
    pub anchors: TrustAnchors,
    /// TLS towards the portal.
    pub tls: rustls::ClientConfig,
    /// TLS towards the source of the directory.
    pub directory_tls: rustls::ClientConfig,
    /// The earliest end of an own certificate.
    pub valid_until: Timestamp,
}

impl Keys {
    /// Loads them all.
    ///
    /// # Errors
    /// The first one that is missing or wrong, by file.
    pub fn load(settings: &Settings) -> Result<Keys> {
        let files = &settings.credentials;
        let storage = StorageKey::from_bytes(secret(&files.storage_key)?);
        let identity = RecipientIdentity::from_seed(&secret(&files.recipient_key)?)
            .with_context(|| format!("recipient key {}", files.recipient_key.display()))?;
        let signing_chain = certificates(&files.signing_certificate)?;
        let signing_key = PrivatePkcs8KeyDer::from_pem_file(&files.signing_key)
            .with_context(|| format!("signing key {}", files.signing_key.display()))?;
        let signer = OrganisationSigner::new(signing_key.secret_pkcs8_der(), signing_chain)
            .with_context(|| format!("signing certificate {}", files.signing_certificate.display()))?;
        let mut lists = Vec::new();
        for file in &settings.revocation_lists {
            lists.push(
                CertificateRevocationListDer::from_pem_file(file)
                    .with_context(|| format!("revocation list {}", file.display()))?,
            );
        }
        let anchors = TrustAnchors::new(&certificates(&settings.trust_anchors)?, &lists)
            .with_context(|| format!("trust anchors {}", settings.trust_anchors.display()))?;
        let tls_chain = certificates(&files.tls_certificate)?;
        let leaf = tls_chain.first().context("no TLS certificate")?;
        let facts = beeldbox_protocol::envelope::trust::certificate_facts(leaf)
            .with_context(|| format!("TLS certificate {}", files.tls_certificate.display()))?;
        if facts.ura != *signer.ura() {
            bail!("TLS certificate and signing certificate name different organisations");
        }
        let valid_until = signer.not_after().min(facts.not_after);
        let tls_key = PrivateKeyDer::from_pem_file(&files.tls_key)
            .with_context(|| format!("TLS key {}", files.tls_key.display()))?;
        let directory_tls =
            portal_tls(&settings.directory.authority, tls_chain.clone(), tls_key.clone_key())?;
        let tls = portal_tls(&settings.portal_authority, tls_chain, tls_key)?;
        Ok(Keys { storage, signer, identity, anchors, tls, directory_tls, valid_until })
    }
}

/// TLS 1.3 with our client certificate; the portal's authority and no other.
fn portal_tls(
    authority: &Path,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    for root in certificates(authority)? {
        roots.add(root).with_context(|| format!("portal authority {}", authority.display()))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .context("TLS 1.3")?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .context("TLS key and certificate do not belong together")
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file)
        .with_context(|| format!("certificates {}", file.display()))?
        .collect();
    let chain = chain.with_context(|| format!("certificates {}", file.display()))?;
    if chain.is_empty() {
        bail!("{}: holds no certificate", file.display());
    }
    Ok(chain)
}

fn secret(file: &Path) -> Result<[u8; 32]> {
    let bytes = std::fs::read(file).with_context(|| format!("key {}", file.display()))?;
    match <[u8; 32]>::try_from(bytes.as_slice()) {
        Ok(secret) => Ok(secret),
        Err(_) => bail!("{}: a key has 32 bytes, this file has {}", file.display(), bytes.len()),
    }
}
