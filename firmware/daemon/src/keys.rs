//! Keys and certificates, from files to types. Bytes that were read are wiped when they have been taken over.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use beeldbox_protocol::admin::CertificateUse;
use beeldbox_protocol::envelope::jws::OrganisationSigner;
use beeldbox_protocol::envelope::keys::StorageKey;
use beeldbox_protocol::envelope::recipient::RecipientIdentity;
use beeldbox_protocol::envelope::trust::TrustAnchors;
use jiff::Timestamp;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use zeroize::Zeroizing;

use crate::identity::{self, Pair, Sealed};
use crate::recipient_keys;
use crate::settings::Settings;

/// Everything the box knows that others must not, and whom it believes.
pub struct Keys {
    /// Wraps what lies at rest.
    pub storage: StorageKey,
    /// Signs for the organisation.
    pub signer: OrganisationSigner,
    /// The certificate that it signs with.
    pub signing: Pair,
    /// Opens letters.
    pub identity: RecipientIdentity,
    /// Open letters to keys that were replaced.
    pub previous_identities: Vec<RecipientIdentity>,
    /// Whom we believe.
    pub anchors: TrustAnchors,
    /// Shown to the portal; nothing before the box is enrolled.
    pub portal: Option<Pair>,
    /// Who may vouch for the portal.
    pub portal_roots: Arc<rustls::RootCertStore>,
    /// Who may vouch for the source of the directory.
    pub directory_roots: Arc<rustls::RootCertStore>,
    /// What changes while the box runs.
    pub sealed: Sealed,
}

impl Keys {
    /// Loads them all.
    ///
    /// # Errors
    /// The first one that is missing or wrong, by file.
    pub fn load(settings: &Settings, now: Timestamp) -> Result<Keys> {
        let files = &settings.credentials;
        let storage = StorageKey::from_bytes(*secret(&files.storage_key)?);
        let sealed = Sealed::new(&settings.state_dir, storage.clone());
        let recipient = secret(&files.recipient_key)?;
        let (identity, previous_identities) = recipient_keys::load(&sealed, &recipient, now)
            .with_context(|| format!("recipient key {}", files.recipient_key.display()))?;
        let signing = identity::choose(
            &sealed,
            CertificateUse::Signing,
            &files.signing_certificate,
            &files.signing_key,
            now,
        )?
        .with_context(|| format!("no signing certificate at {}", files.signing_certificate.display()))?;
        let signer = OrganisationSigner::new(signing.key.secret_der(), signing.chain.clone())
            .with_context(|| format!("signing certificate {}", files.signing_certificate.display()))?;
        let anchors = anchors(settings)?;
        let portal =
            identity::choose(&sealed, CertificateUse::Portal, &files.tls_certificate, &files.tls_key, now)?;
        if portal.as_ref().is_some_and(|pair| pair.facts.ura != *signer.ura()) {
            bail!("TLS certificate and signing certificate name different organisations");
        }
        let portal_roots = Arc::new(roots(&settings.portal_authority)?);
        let directory_roots = Arc::new(roots(&settings.directory.authority)?);
        Ok(Keys {
            storage,
            signer,
            signing,
            identity,
            previous_identities,
            anchors,
            portal,
            portal_roots,
            directory_roots,
            sealed,
        })
    }
}

/// Whom we believe about organisations.
///
/// # Errors
/// If a file is missing or wrong.
pub fn anchors(settings: &Settings) -> Result<TrustAnchors> {
    let mut lists = Vec::new();
    for file in &settings.revocation_lists {
        lists.push(
            CertificateRevocationListDer::from_pem_file(file)
                .with_context(|| format!("revocation list {}", file.display()))?,
        );
    }
    TrustAnchors::new(&certificates(&settings.trust_anchors)?, &lists)
        .with_context(|| format!("trust anchors {}", settings.trust_anchors.display()))
}

/// TLS 1.3 with our client certificate if there is one; the portal's authority and no other.
///
/// # Errors
/// If key and certificate do not belong together.
pub fn portal_tls(roots: &Arc<rustls::RootCertStore>, pair: Option<&Pair>) -> Result<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .context("TLS 1.3")?
        .with_root_certificates(Arc::clone(roots));
    match pair {
        Some(pair) => builder
            .with_client_auth_cert(pair.chain.clone(), pair.key.clone_key())
            .context("TLS key and certificate do not belong together"),
        None => Ok(builder.with_no_client_auth()),
    }
}

fn roots(authority: &Path) -> Result<rustls::RootCertStore> {
    let mut roots = rustls::RootCertStore::empty();
    for root in certificates(authority)? {
        roots.add(root).with_context(|| format!("portal authority {}", authority.display()))?;
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = || identity::certificates(&std::fs::read(file)?);
    read().with_context(|| format!("certificates {}", file.display()))
}

/// A key of 32 bytes.
///
/// # Errors
/// If the file cannot be read or is no such key.
pub fn secret(file: &Path) -> Result<Zeroizing<[u8; 32]>> {
    let bytes = Zeroizing::new(std::fs::read(file).with_context(|| format!("key {}", file.display()))?);
    match <[u8; 32]>::try_from(bytes.as_slice()) {
        Ok(secret) => Ok(Zeroizing::new(secret)),
        Err(_) => bail!("{}: a key has 32 bytes, this file has {}", file.display(), bytes.len()),
    }
}
