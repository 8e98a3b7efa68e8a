//! An authority for DICOM TLS, and certificates that it issues: one kind for servers and clients, as hospitals do.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use beeldbox_dicom::CertificateThumbprint;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// An authority. Its files lie in one folder.
pub struct CardOffice {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key.
#[derive(Debug, Clone)]
pub struct Card {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// What settings call it.
    pub thumbprint: CertificateThumbprint,
}

impl CardOffice {
    /// A new authority with its files in this folder.
    pub fn open(folder: &Path) -> CardOffice {
        std::fs::create_dir_all(folder).expect("a folder");
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, format!("Authority in {}", folder.display()));
        let certificate = params.self_signed(&key).expect("a certificate");
        write(&folder.join("authority.pem"), &certificate.pem());
        CardOffice { folder: folder.to_owned(), issuer: Issuer::new(params, key) }
    }

    /// Its own certificate.
    pub fn authority(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    /// Issues a certificate for this machine to somebody.
    pub fn issue(&self, name: &str) -> Card {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).expect("two names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let issued = params.signed_by(&key, &self.issuer).expect("a certificate");
        let card = Card {
            certificate: self.folder.join(format!("{name}.pem")),
            key: self.folder.join(format!("{name}-key.pem")),
            thumbprint: CertificateThumbprint::of(issued.der()),
        };
        write(&card.certificate, &issued.pem());
        write(&card.key, &key.serialize_pem());
        card
    }
}

impl Card {
    /// A TLS server that shows it, and asks its clients for none.
    pub fn tls_acceptor(&self) -> TlsAcceptor {
        let certificate = CertificateDer::from_pem_file(&self.certificate).expect("its certificate");
        let key = PrivateKeyDer::from_pem_file(&self.key).expect("its key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("key and certificate");
        TlsAcceptor::from(Arc::new(tls))
    }

    /// Gives it to a box, as its certificate for DICOM TLS. The folder is the hospital's.
    pub fn give_to_box(&self, hospital: &Path) {
        let credentials = hospital.join("credentials");
        std::fs::copy(&self.certificate, credentials.join("dicom-certificate.pem")).expect("a copy");
        std::fs::copy(&self.key, credentials.join("dicom-key.pem")).expect("a copy");
    }
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a file of the story");
}
