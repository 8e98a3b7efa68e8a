//! A small certificate authority, so that boxes of a demo or a test have certificates.
//!
//! It certifies the TLS keys of boxes, nothing else: whose *recipient key* is whose is a matter of an authority that
//! the portal does not run. A demo may open a second one of these, in another folder, to play that authority.
//!
//! ```text
//!   ‹folder›/ca.key.pem (0600)   ca.pem   server.key.pem (0600)   server.pem
//! ```

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use beeldbox_protocol::ident::Ura;
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// How long the authority's own certificate is valid.
const CA_VALIDITY: SignedDuration = SignedDuration::from_hours(20 * 365 * 24);

/// How long a certificate of a box or of the server is valid.
const VALIDITY: SignedDuration = SignedDuration::from_hours(397 * 24);

/// The server's certificate is renewed at a start within this time of its end.
const RENEW_BEFORE: SignedDuration = SignedDuration::from_hours(60 * 24);

/// Certificates begin this long ago, because clocks differ.
const BACKDATED: SignedDuration = SignedDuration::from_hours(24);

/// Why the authority cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A file cannot be read or written.
    #[error("{} cannot be read or written", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A certificate cannot be made.
    #[error("a certificate cannot be made")]
    Certificate(#[from] rcgen::Error),
    /// A file holds something else than a certificate or a key.
    #[error("a file holds no certificate or key")]
    Pem(#[from] rustls_pki_types::pem::Error),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub struct Issued {
    /// The certificate, followed by nothing: its issuer is the authority itself.
    pub certificate: String,
    /// The key, PKCS#8.
    pub key: String,
}

/// From when until when a certificate is valid.
#[derive(Debug, Clone, Copy)]
pub struct Validity {
    /// First moment.
    pub from: Timestamp,
    /// Last moment.
    pub until: Timestamp,
}

impl Validity {
    /// As usual: from yesterday, for a little more than a year.
    pub fn usual(now: Timestamp) -> Self {
        Validity { from: shifted(now, -BACKDATED), until: shifted(now, VALIDITY) }
    }
}

/// The certificate authority.
pub struct Ca {
    folder: PathBuf,
    certificate: CertificateDer<'static>,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    /// Opens the authority in this folder, or founds it.
    ///
    /// # Errors
    /// If files cannot be read or written.
    ///
    /// # Durability
    /// A founded authority survives a power cut; its key is written before its certificate.
    pub fn open(folder: &Path, name: &str, now: Timestamp) -> Result<Self, CaError> {
        std::fs::create_dir_all(folder)
            .map_err(|source| CaError::File { path: folder.to_owned(), source })?;
        let _lock = lock(&folder.join("ca.lock"))?;
        let (key_path, path) = (folder.join("ca.key.pem"), folder.join("ca.pem"));
        if !path.exists() {
            let key = KeyPair::generate()?;
            let mut params =
                params_for(Validity { from: shifted(now, -BACKDATED), until: shifted(now, CA_VALIDITY) })?;
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            write_durably(&key_path, key.serialize_pem().as_bytes(), 0o600)?;
            write_durably(&path, params.self_signed(&key)?.pem().as_bytes(), 0o644)?;
        }
        let key = KeyPair::from_pem(&read(&key_path)?)?;
        let pem = read(&path)?;
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes())?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        Ok(Ca { folder: folder.to_owned(), certificate, pem, issuer })
    }

    /// Its certificate, as PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Its certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Makes a key and a certificate for an organisation.
    ///
    /// # Errors
    /// If that fails.
    pub fn issue(&self, ura: &Ura, name: &str, validity: Validity) -> Result<Issued, CaError> {
        let key = KeyPair::generate()?;
        let certificate = organisation(ura, name, validity)?.signed_by(&key, &self.issuer)?;
        Ok(Issued { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// Certifies the key of a request (PKCS#10) for an organisation. Nothing else in the request counts.
    ///
    /// # Errors
    /// If it is no request, or its signature is not by its own key.
    pub fn certify(
        &self,
        request: &[u8],
        ura: &Ura,
        name: &str,
        validity: Validity,
    ) -> Result<CertificateDer<'static>, CaError> {
        let mut request =
            CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(request))?;
        request.params = organisation(ura, name, validity)?;
        Ok(request.signed_by(&self.issuer)?.der().clone())
    }

    /// The server's chain and key; made anew if there are none, if they end soon or if they are for other names.
    ///
    /// # Errors
    /// If files cannot be read or written.
    pub fn server_identity(
        &self,
        names: &[String],
        now: Timestamp,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), CaError> {
        let (key_path, path) = (self.folder.join("server.key.pem"), self.folder.join("server.pem"));
        if !(key_path.exists() && path.exists() && self.is_usable(&read(&path)?, names, now)) {
            let key = KeyPair::generate()?;
            let mut params = params_for(Validity::usual(now))?;
            params.distinguished_name.push(DnType::CommonName, "Beeldbox portal");
            for name in names {
                params.subject_alt_names.push(match name.parse::<IpAddr>() {
                    Ok(address) => SanType::IpAddress(address),
                    Err(_) => SanType::DnsName(name.as_str().try_into()?),
                });
            }
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            let certificate = params.signed_by(&key, &self.issuer)?;
            // The certificate last: it is what says that the pair is complete.
            if path.exists() {
                std::fs::remove_file(&path).map_err(|source| CaError::File { path: path.clone(), source })?;
            }
            write_durably(&key_path, key.serialize_pem().as_bytes(), 0o600)?;
            write_durably(&path, certificate.pem().as_bytes(), 0o644)?;
        }
        let certificate = CertificateDer::from_pem_slice(read(&path)?.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(read(&key_path)?.as_bytes())?;
        Ok((vec![certificate, self.certificate.clone()], key))
    }

    fn is_usable(&self, pem: &str, names: &[String], now: Timestamp) -> bool {
        let Ok(der) = CertificateDer::from_pem_slice(pem.as_bytes()) else { return false };
        let Ok((_, parsed)) = X509Certificate::from_der(&der) else { return false };
        let found: Vec<&str> = parsed
            .subject_alternative_name()
            .ok()
            .flatten()
            .into_iter()
            .flat_map(|names| &names.value.general_names)
            .filter_map(|name| if let GeneralName::DNSName(name) = name { Some(*name) } else { None })
            .collect();
        let wanted = names.iter().filter(|name| name.parse::<IpAddr>().is_err());
        let ends_late = parsed.validity().not_after.timestamp() > shifted(now, RENEW_BEFORE).as_second();
        ends_late && wanted.eq(found.iter())
    }
}

/// A certificate of an organisation: client authentication, with the URA where UZI server certificates have it.
fn organisation(ura: &Ura, name: &str, validity: Validity) -> Result<CertificateParams, CaError> {
    let mut params = params_for(validity)?;
    params.distinguished_name.push(DnType::CountryName, "NL");
    params.distinguished_name.push(DnType::OrganizationName, name);
    params.distinguished_name.push(DnType::CommonName, name);
    // ‹OID of the issuer›-‹version›-‹UZI number›-‹S: server›-‹URA›-‹role›-‹AGB›; OID and numbers are of no register.
    let subject = format!("2.16.528.1.1007.99.2110-1-9{ura}-S-{ura}-00.000-00000000");
    params.subject_alt_names.push(SanType::OtherName((vec![2, 5, 5, 5], subject.into())));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

fn params_for(validity: Validity) -> Result<CertificateParams, CaError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let since_1970 = |time: Timestamp| Duration::from_secs(u64::try_from(time.as_second()).unwrap_or(0));
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + since_1970(validity.from);
    params.not_after = epoch + since_1970(validity.until);
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial).map_err(|_| CaError::Random)?;
    serial[0] &= 0x7f;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn shifted(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(time)
}

fn read(path: &Path) -> Result<String, CaError> {
    std::fs::read_to_string(path).map_err(|source| CaError::File { path: path.to_owned(), source })
}

/// Two programs may open the authority at the same moment; one of them founds it.
fn lock(path: &Path) -> Result<File, CaError> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let locked = file.and_then(|file| file.lock().map(|()| file));
    locked.map_err(|source| CaError::File { path: path.to_owned(), source })
}

/// Writes a file so that it is there whole, or not at all, also after a power cut.
pub fn write_durably(path: &Path, content: &[u8], mode: u32) -> Result<(), CaError> {
    let write = || {
        let temporary = path.with_extension("new");
        let _ = std::fs::remove_file(&temporary);
        let mut file = OpenOptions::new().create_new(true).write(true).mode(mode).open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        // A bare file name has an empty parent: it lies in the folder where the program runs.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    };
    write().map_err(|source| CaError::File { path: path.to_owned(), source })
}
