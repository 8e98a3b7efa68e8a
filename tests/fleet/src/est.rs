//! Enrolment over Secure Transport as a client: a one-time code and a key made here become a certificate.

use anyhow::{Context, Result, ensure};
use beeldbox_portal::ca::Issued;
use data_encoding::BASE64;
use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::CertificateDer;

use crate::hospital::tls;

/// Enrols, and gives key and certificate.
pub async fn enrol(url: &str, authority: &CertificateDer<'static>, code: &str) -> Result<Identity> {
    let key = KeyPair::generate()?;
    let request = CertificateParams::new(Vec::<String>::new())?.serialize_request(&key)?;
    let http =
        reqwest::Client::builder().tls_backend_preconfigured(tls(authority, None)?).no_proxy().build()?;
    let asking = http
        .post(format!("{url}/.well-known/est/simpleenroll"))
        .header("content-type", "application/pkcs10")
        .basic_auth("box", Some(code))
        .body(BASE64.encode(request.der()));
    let answer = asking.send().await?;
    ensure!(answer.status().is_success(), "enrolment is refused: {}", answer.status());
    let pkcs7 = BASE64.decode(&answer.bytes().await?)?;
    let certificate = certificate_in(&pkcs7).context("the answer holds no certificate")?;
    Ok(Identity { certificate: CertificateDer::from(certificate.to_vec()), key: key.serialize_der() })
}

/// A certificate and its key.
pub struct Identity {
    /// DER.
    pub certificate: CertificateDer<'static>,
    /// PKCS#8.
    pub key: Vec<u8>,
}

impl Identity {
    /// From PEM.
    pub fn of(issued: &Issued) -> Result<Self> {
        use rustls_pki_types::pem::PemObject;
        let key = rustls_pki_types::PrivatePkcs8KeyDer::from_pem_slice(issued.key.as_bytes())?;
        Ok(Identity {
            certificate: CertificateDer::from_pem_slice(issued.certificate.as_bytes())?,
            key: key.secret_pkcs8_der().to_vec(),
        })
    }
}

/// The certificate of a certs-only SignedData (RFC 5652 §5.1): `ContentInfo { OID, [0] { SEQUENCE { INTEGER, SET,
/// SEQUENCE, [0] { certificate … } … } } }`.
fn certificate_in(pkcs7: &[u8]) -> Option<&[u8]> {
    let (content_info, _) = value(pkcs7, 0x30)?;
    let (_, rest) = value(content_info, 0x06)?;
    let (explicit, _) = value(rest, 0xa0)?;
    let (signed_data, _) = value(explicit, 0x30)?;
    let (_, rest) = value(signed_data, 0x02)?;
    let (_, rest) = value(rest, 0x31)?;
    let (_, rest) = value(rest, 0x30)?;
    let (certificates, _) = value(rest, 0xa0)?;
    let (first, _) = value(certificates, 0x30)?;
    let head = certificates.len() - value(certificates, 0x30)?.1.len() - first.len();
    certificates.get(..head + first.len())
}

/// The value of a DER element with this tag, and what follows it.
fn value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&short, rest) = rest.split_first()?;
    let (len, rest) = match short {
        0..0x80 => (usize::from(short), rest),
        long => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            (
                digits
                    .iter()
                    .try_fold(0usize, |len, digit| len.checked_mul(256)?.checked_add((*digit).into()))?,
                rest,
            )
        }
    };
    if found == tag { rest.split_at_checked(len) } else { None }
}
