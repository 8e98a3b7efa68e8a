//! The authorities of the demo: a national one that signs for organisations and that the portal does not run, and for
//! each hospital its signing key, recipient key and storage key. The portal has an authority of its own for TLS.

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use beeldbox_protocol::envelope::jws::OrganisationSigner;
use beeldbox_protocol::envelope::recipient::RecipientIdentity;
use beeldbox_protocol::portal::directory::{BOX_CONNECTION, PORTAL_CONNECTION};
use beeldbox_protocol::portal::fhir::{
    Coding, Endpoint, Extension, Identifier, RECIPIENT_KEY_EXTENSION, Reference, URA_SYSTEM,
};
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// The national authority of the demo.
pub struct National {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl National {
    /// Opens the authority, making it the first time.
    pub fn open(folder: &Path) -> Result<National> {
        let (key_file, certificate_file) = (folder.join("authority-key.pem"), folder.join("authority.pem"));
        if !certificate_file.exists() {
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            params.distinguished_name.push(DnType::OrganizationName, "Demo");
            params.distinguished_name.push(DnType::CommonName, "Demo national authority for care providers");
            write_secret(&key_file, key.serialize_pem().as_bytes())?;
            std::fs::write(&certificate_file, params.self_signed(&key)?.pem())?;
        }
        let key = KeyPair::from_pem(&std::fs::read_to_string(&key_file)?).context("authority key")?;
        let certificate =
            CertificateDer::from_pem_file(&certificate_file).context("authority certificate")?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key).context("authority")?;
        Ok(National { folder: folder.to_owned(), issuer })
    }

    /// The trust anchor that both boxes are given.
    pub fn anchor(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    /// Makes signing key and certificate, recipient key and storage key of a care provider, unless they are there.
    pub fn equip(&self, folder: &Path, ura: &str, name: &str) -> Result<()> {
        let certificate_file = folder.join("signing-certificate.pem");
        if !certificate_file.exists() {
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::OrganizationName, name);
            params.distinguished_name.push(DnType::CommonName, format!("{name} Beeldbox"));
            // The form of a UZI server certificate: OID-version-UZI number-type-URA-role-AGB.
            let text = format!("2.16.528.1.1007.99.2110-1-900000001-S-{ura}-00.000-00000000");
            params.subject_alt_names = vec![SanType::OtherName((vec![2, 5, 5, 5], text.as_str().into()))];
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            let certificate = params.signed_by(&key, &self.issuer)?;
            write_secret(&folder.join("signing-key.pem"), key.serialize_pem().as_bytes())?;
            write_secret(&folder.join("recipient.key"), &random()?)?;
            write_secret(&folder.join("storage.key"), &random()?)?;
            std::fs::write(&certificate_file, certificate.pem())?;
        }
        Ok(())
    }

    /// The published key of a care provider that is in the directory but does not take part in the demo.
    pub fn bystander(&self, ura: &str, name: &str, hosted: bool, now: Timestamp) -> Result<Endpoint> {
        let folder = self.folder.join(ura);
        std::fs::create_dir_all(&folder)?;
        self.equip(&folder, ura, name)?;
        let key = rustls_pki_types::PrivatePkcs8KeyDer::from_pem_file(folder.join("signing-key.pem"))?;
        let chain = vec![CertificateDer::from_pem_file(folder.join("signing-certificate.pem"))?];
        let signer = OrganisationSigner::new(key.secret_pkcs8_der(), chain)?;
        let identity = RecipientIdentity::from_seed(&std::fs::read(folder.join("recipient.key"))?)?;
        let until = now + SignedDuration::from_hours(24 * 365);
        let statement =
            identity.statement(&signer, now - SignedDuration::from_hours(1), until, &SystemRandom::new());
        let code = if hosted { PORTAL_CONNECTION } else { BOX_CONNECTION };
        let managing = Identifier { system: Some(URA_SYSTEM.to_owned()), value: Some(ura.to_owned()) };
        Ok(Endpoint {
            resource_type: "Endpoint".to_owned(),
            id: format!("box-{ura}"),
            extension: vec![Extension {
                url: RECIPIENT_KEY_EXTENSION.to_owned(),
                value_string: Some(statement),
            }],
            status: Some("active".to_owned()),
            connection_type: Some(Coding { code: Some(code.to_owned()), ..Coding::default() }),
            managing_organization: Some(Reference { identifier: Some(managing), ..Reference::default() }),
            ..Endpoint::default()
        })
    }
}

fn random() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).context("randomness")?;
    Ok(bytes)
}

fn write_secret(file: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.create(true).write(true).truncate(true).mode(0o600).open(file)?;
    file.write_all(bytes)?;
    Ok(file.sync_all()?)
}
