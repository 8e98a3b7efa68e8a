//! DICOM TLS: who we are, whom we believe, in both directions.
//!
//! The profile is the BCP 195 RFC 8996, 9325 TLS Secure Transport Connection Profile (PS3.15 annex B.12, successor of the
//! Non-Downgrading profile of B.10): TLS 1.3 or 1.2 with forward secrecy and authenticated encryption, nothing older, no
//! fallback to plain on the same port.
//!
//! A certificate is believed when it chains to one of the given roots, or when its thumbprint is pinned: hospitals have
//! modalities with certificates of their own making. As acceptor we ask for a certificate and let the policy of each peer
//! decide whether it had to be shown.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig,
    SignatureScheme,
};

use crate::policy::CertificateThumbprint;

/// Why there is no TLS configuration. All of them are matters of our own settings.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate file is not PEM, or empty.
    #[error("no certificate can be read")]
    Certificate,
    /// The key file holds no private key that we know.
    #[error("no private key can be read")]
    Key,
    /// Neither roots nor pinned certificates: nobody could be believed.
    #[error("neither roots nor pinned certificates are given")]
    NobodyBelieved,
    /// Certificate and key do not belong together, or the library refuses them.
    #[error("certificate, key or roots cannot be used")]
    Refused(#[source] rustls::Error),
    /// A root cannot be used.
    #[error("a root certificate cannot be used")]
    Root(#[source] rustls::server::VerifierBuilderError),
    /// The name of a peer is neither a host name nor an address.
    #[error("not a host name or address")]
    Name,
}

/// Certificate chain (our own first) and key, as PEM.
#[derive(Debug)]
pub struct TlsIdentity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl TlsIdentity {
    /// Reads both from PEM.
    ///
    /// # Errors
    /// If either holds nothing usable.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain = certificates(chain)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::Key)?;
        Ok(TlsIdentity { chain, key })
    }
}

/// Whose certificates are believed.
#[derive(Debug, Clone, Default)]
pub struct TlsTrust {
    roots: Vec<CertificateDer<'static>>,
    pinned: Vec<CertificateThumbprint>,
}

impl TlsTrust {
    /// Whoever chains to these roots.
    ///
    /// # Errors
    /// If the PEM holds no certificate.
    pub fn roots_from_pem(pem: &[u8]) -> Result<Self, TlsError> {
        Ok(TlsTrust { roots: certificates(pem)?, pinned: Vec::new() })
    }

    /// Exactly these certificates, whoever issued them, and whatever name they bear.
    pub fn pinned(thumbprints: Vec<CertificateThumbprint>) -> Self {
        TlsTrust { roots: Vec::new(), pinned: thumbprints }
    }

    /// These certificates too.
    #[must_use]
    pub fn and_pinned(mut self, thumbprints: impl IntoIterator<Item = CertificateThumbprint>) -> Self {
        self.pinned.extend(thumbprints);
        self
    }

    fn store(&self) -> Result<Arc<RootCertStore>, TlsError> {
        let mut store = RootCertStore::empty();
        for root in &self.roots {
            store.add(root.clone()).map_err(TlsError::Refused)?;
        }
        Ok(Arc::new(store))
    }
}

/// The acceptor's side: shows `identity`, asks each caller for a certificate, and takes it if `clients` vouches for it. A
/// caller that shows none is let through to the policy; one that shows a certificate we do not believe is not.
///
/// # Errors
/// See [`TlsError`].
pub fn server_config(identity: TlsIdentity, clients: &TlsTrust) -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Refused)?;
    let builder = if clients.roots.is_empty() && clients.pinned.is_empty() {
        builder.with_no_client_auth()
    } else {
        builder.with_client_cert_verifier(Arc::new(Believed::of_clients(clients)?))
    };
    let config = builder.with_single_cert(identity.chain, identity.key).map_err(TlsError::Refused)?;
    Ok(Arc::new(config))
}

/// How we connect to one peer by TLS.
#[derive(Debug, Clone)]
pub struct ClientTls {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) name: ServerName<'static>,
}

impl PartialEq for ClientTls {
    /// Two are the same if they are copies of one: a configuration cannot be compared by content.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config) && self.name == other.name
    }
}

impl Eq for ClientTls {}

impl ClientTls {
    /// Believes `peer` under `name` (host name or address of its certificate; of no account for a pinned one), and shows
    /// `identity` if it asks.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn new(peer: &TlsTrust, name: &str, identity: Option<TlsIdentity>) -> Result<Self, TlsError> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Refused)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Believed::of_server(peer)?));
        let config = match identity {
            Some(TlsIdentity { chain, key }) => {
                builder.with_client_auth_cert(chain, key).map_err(TlsError::Refused)?
            }
            None => builder.with_no_client_auth(),
        };
        let name = ServerName::try_from(name.to_owned()).map_err(|_| TlsError::Name)?;
        Ok(ClientTls { config: Arc::new(config), name })
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    read.ok().filter(|certificates| !certificates.is_empty()).ok_or(TlsError::Certificate)
}

/// Believes pinned certificates first, then what chains to the roots. The signature of the handshake is always checked: a
/// certificate alone proves nothing.
#[derive(Debug)]
struct Believed<V: ?Sized> {
    pinned: Vec<CertificateThumbprint>,
    by_roots: Option<Arc<V>>,
    provider: Arc<CryptoProvider>,
}

impl Believed<dyn ClientCertVerifier> {
    fn of_clients(trust: &TlsTrust) -> Result<Self, TlsError> {
        let by_roots = if trust.roots.is_empty() {
            None
        } else {
            let verifier = WebPkiClientVerifier::builder_with_provider(trust.store()?, provider())
                .allow_unauthenticated()
                .build()
                .map_err(TlsError::Root)?;
            Some(verifier)
        };
        Ok(Believed { pinned: trust.pinned.clone(), by_roots, provider: provider() })
    }
}

impl Believed<dyn ServerCertVerifier> {
    fn of_server(trust: &TlsTrust) -> Result<Self, TlsError> {
        if trust.roots.is_empty() && trust.pinned.is_empty() {
            return Err(TlsError::NobodyBelieved);
        }
        let by_roots: Option<Arc<dyn ServerCertVerifier>> = if trust.roots.is_empty() {
            None
        } else {
            let verifier = WebPkiServerVerifier::builder_with_provider(trust.store()?, provider())
                .build()
                .map_err(TlsError::Root)?;
            Some(verifier)
        };
        Ok(Believed { pinned: trust.pinned.clone(), by_roots, provider: provider() })
    }
}

impl<V: ?Sized> Believed<V> {
    fn is_pinned(&self, certificate: &CertificateDer<'_>) -> bool {
        self.pinned.contains(&CertificateThumbprint::of(certificate))
    }

    fn tls12(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn tls13(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Neither pinned nor vouched for by a root.
fn unknown() -> rustls::Error {
    rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)
}

impl ClientCertVerifier for Believed<dyn ClientCertVerifier> {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // With pinned certificates the names of the roots would keep their owners from showing them.
        match &self.by_roots {
            Some(verifier) if self.pinned.is_empty() => verifier.root_hint_subjects(),
            Some(_) | None => &[],
        }
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        if self.is_pinned(end_entity) {
            return Ok(ClientCertVerified::assertion());
        }
        let verifier = self.by_roots.as_ref().ok_or_else(unknown)?;
        verifier.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.tls12(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.tls13(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl ServerCertVerifier for Believed<dyn ServerCertVerifier> {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.is_pinned(end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        let verifier = self.by_roots.as_ref().ok_or_else(unknown)?;
        verifier.verify_server_cert(end_entity, intermediates, name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.tls12(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.tls13(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
