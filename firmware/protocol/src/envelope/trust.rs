//! Whose key is it? Certificates of organisations, and what a chain to a trust anchor proves.
//!
//! An organisation is named by its URA in a certificate that chains to an anchor the portal does not run. Two forms
//! of that name are read, and nothing else (fail closed): the UZI server certificate's subject alternative name of
//! type otherName 2.5.5.5, `‹OID›-‹version›-‹UZI number›-‹S›-‹URA›-‹role›-‹AGB›`, and the newer URN
//! `urn:oid:2.16.528.1.1007.3.3.‹URA›`.

use std::fmt;

use jiff::Timestamp;
use rustls_pki_types::{
    CertificateDer, CertificateRevocationListDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime,
};
use webpki::{
    CertRevocationList, EndEntityCert, KeyUsage, OwnedCertRevocationList, RevocationCheckDepth,
    RevocationOptionsBuilder, UnknownStatusPolicy,
};
use x509_parser::der_parser::asn1_rs::{Any, FromDer, Tag};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::X509Certificate;

use crate::ident::{Digest, Ura};

/// Certificates a chain may hold. More is refused before any is read.
const MAX_CHAIN: usize = 6;

/// Signature algorithms accepted in certificates: those of PKIoverheid and of today's private authorities.
static ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    webpki::aws_lc_rs::ECDSA_P256_SHA256,
    webpki::aws_lc_rs::ECDSA_P256_SHA384,
    webpki::aws_lc_rs::ECDSA_P384_SHA256,
    webpki::aws_lc_rs::ECDSA_P384_SHA384,
    webpki::aws_lc_rs::RSA_PKCS1_2048_8192_SHA256,
    webpki::aws_lc_rs::RSA_PKCS1_2048_8192_SHA384,
    webpki::aws_lc_rs::RSA_PKCS1_2048_8192_SHA512,
    webpki::aws_lc_rs::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
];

/// Why a certificate or a signature is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// No certificate, too many, or bytes that are none.
    #[error("certificate chain is missing or malformed")]
    MalformedChain,
    /// No path to a trust anchor.
    #[error("certificate does not chain to a trust anchor")]
    UnknownIssuer,
    /// Its time is over.
    #[error("certificate has expired")]
    Expired,
    /// Its time has not come, or the clock of this box is wrong.
    #[error("certificate is not valid yet")]
    NotYetValid,
    /// Its issuer took it back.
    #[error("certificate has been revoked")]
    Revoked,
    /// The certificate may not be used for this, or is broken in another way.
    #[error("certificate is not acceptable: {0}")]
    Unacceptable(String),
    /// It names no care provider, or more than one.
    #[error("certificate does not name exactly one URA")]
    NoUra,
    /// It names another care provider than the one it is shown for.
    #[error("certificate is of URA {found}, not of URA {expected}")]
    UraDiffers {
        /// Whose certificate was expected.
        expected: Ura,
        /// Whose it is.
        found: Ura,
    },
    /// The signature does not fit the text or the key.
    #[error("signature does not verify")]
    BadSignature,
    /// Not a signed text of the kind expected.
    #[error("not a signed text of the expected kind: {0}")]
    NotSigned(&'static str),
    /// Signed and genuine, but the statement inside contradicts what it is shown for.
    #[error("signed statement does not fit: {0}")]
    DoesNotFit(&'static str),
}

/// An organisation, as a verified certificate names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedOrganisation {
    ura: Ura,
    name: String,
    thumbprint: Digest,
    not_after: Timestamp,
}

impl VerifiedOrganisation {
    /// Its URA.
    pub fn ura(&self) -> &Ura {
        &self.ura
    }

    /// Its name: organizationName of the subject.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of the certificate.
    pub fn thumbprint(&self) -> Digest {
        self.thumbprint
    }

    /// Last moment at which the certificate is valid.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }
}

/// What a certificate says about itself, before anybody believed it.
#[derive(Debug, Clone)]
pub struct CertificateFacts {
    /// The URA in its subject alternative name.
    pub ura: Ura,
    /// organizationName of the subject; empty if there is none.
    pub name: String,
    /// First moment of validity.
    pub not_before: Timestamp,
    /// Last moment of validity.
    pub not_after: Timestamp,
    /// The public key, uncompressed point of P-256, if it is one.
    pub(crate) p256_key: Option<Vec<u8>>,
}

/// Reads what a certificate says, without believing it.
///
/// # Errors
/// If it is not a certificate, or names not exactly one URA.
pub fn certificate_facts(certificate: &CertificateDer<'_>) -> Result<CertificateFacts, TrustError> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| TrustError::MalformedChain)?;
    let name = parsed.subject().iter_organization().next().and_then(|o| o.as_str().ok()).unwrap_or_default();
    let moment = |seconds| Timestamp::from_second(seconds).map_err(|_| TrustError::MalformedChain);
    let not_before = moment(parsed.validity().not_before.timestamp())?;
    let not_after = moment(parsed.validity().not_after.timestamp())?;
    let key = parsed.public_key().subject_public_key.data.as_ref();
    let is_p256 = parsed
        .public_key()
        .algorithm
        .parameters
        .as_ref()
        .and_then(|p| p.as_oid().ok())
        .is_some_and(|curve| curve.to_id_string() == "1.2.840.10045.3.1.7");
    Ok(CertificateFacts {
        ura: ura_of(&parsed)?,
        name: name.to_owned(),
        not_before,
        not_after,
        p256_key: is_p256.then(|| key.to_vec()),
    })
}

fn ura_of(certificate: &X509Certificate<'_>) -> Result<Ura, TrustError> {
    let names =
        certificate.subject_alternative_name().map_err(|_| TrustError::NoUra)?.ok_or(TrustError::NoUra)?;
    let mut found: Option<Ura> = None;
    for name in &names.value.general_names {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "a foreign enum: every other kind of name says nothing"
        )]
        let ura = match name {
            GeneralName::OtherName(oid, value) if oid.to_id_string() == "2.5.5.5" => ura_of_other_name(value),
            GeneralName::URI(uri) => {
                uri.strip_prefix("urn:oid:2.16.528.1.1007.3.3.").and_then(|ura| ura.parse().ok())
            }
            _ => None,
        };
        match (ura, &found) {
            (Some(ura), Some(before)) if ura != *before => return Err(TrustError::NoUra),
            (Some(ura), _) => found = Some(ura),
            (None, _) => {}
        }
    }
    found.ok_or(TrustError::NoUra)
}

/// The value of an otherName is `[0] EXPLICIT` around an IA5String (as issued) or a UTF8String.
fn ura_of_other_name(value: &[u8]) -> Option<Ura> {
    let (_, outer) = Any::from_der(value).ok()?;
    let inner = if outer.header.is_contextspecific() { Any::from_der(outer.data).ok()?.1 } else { outer };
    if ![Tag::Ia5String, Tag::Utf8String].contains(&inner.tag()) {
        return None;
    }
    let text = std::str::from_utf8(inner.data).ok()?;
    let fields: Vec<&str> = text.split('-').collect();
    if fields.len() != 7 || fields[3] != "S" {
        return None;
    }
    fields[4].parse().ok()
}

/// Whom this box believes: trust anchors and what they have revoked. The portal runs none of them.
#[derive(Clone)]
pub struct TrustAnchors {
    anchors: Vec<TrustAnchor<'static>>,
    revocation_lists: std::sync::Arc<Vec<CertRevocationList<'static>>>,
}

impl TrustAnchors {
    /// From root certificates and the newest revocation list of each issuer that has one.
    ///
    /// # Errors
    /// If there is no root, or one of them cannot be read.
    pub fn new(
        roots: &[CertificateDer<'_>],
        revocation_lists: &[CertificateRevocationListDer<'_>],
    ) -> Result<Self, TrustError> {
        let anchors: Result<Vec<_>, _> = roots
            .iter()
            .map(|root| webpki::anchor_from_trusted_cert(root).map(|anchor| anchor.to_owned()))
            .collect();
        let anchors = anchors.map_err(|_| TrustError::MalformedChain)?;
        if anchors.is_empty() {
            return Err(TrustError::MalformedChain);
        }
        let lists: Result<Vec<_>, _> = revocation_lists
            .iter()
            .map(|list| OwnedCertRevocationList::from_der(list).map(CertRevocationList::from))
            .collect();
        let revocation_lists = std::sync::Arc::new(lists.map_err(|_| TrustError::MalformedChain)?);
        Ok(TrustAnchors { anchors, revocation_lists })
    }

    /// Verifies a chain, end entity first, and says which organisation it names.
    ///
    /// # Errors
    /// Whatever is wrong with it, by name.
    pub fn verify(
        &self,
        chain: &[CertificateDer<'_>],
        at: Timestamp,
    ) -> Result<(VerifiedOrganisation, CertificateFacts), TrustError> {
        let (leaf, intermediates) = chain.split_first().ok_or(TrustError::MalformedChain)?;
        if chain.len() > MAX_CHAIN {
            return Err(TrustError::MalformedChain);
        }
        let end_entity = EndEntityCert::try_from(leaf).map_err(|_| TrustError::MalformedChain)?;
        let seconds = u64::try_from(at.as_second()).map_err(|_| TrustError::NotYetValid)?;
        let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let lists: Vec<&CertRevocationList<'_>> = self.revocation_lists.iter().collect();
        let revocation = match lists.is_empty() {
            true => None,
            false => Some(
                RevocationOptionsBuilder::new(&lists)
                    .map_err(|_| TrustError::MalformedChain)?
                    .with_depth(RevocationCheckDepth::Chain)
                    .with_status_policy(UnknownStatusPolicy::Allow)
                    .build(),
            ),
        };
        end_entity
            .verify_for_usage(
                ALGORITHMS,
                &self.anchors,
                intermediates,
                time,
                KeyUsage::client_auth(),
                revocation,
                None,
            )
            .map_err(why_not)?;
        let facts = certificate_facts(leaf)?;
        let organisation = VerifiedOrganisation {
            ura: facts.ura.clone(),
            name: facts.name.clone(),
            thumbprint: Digest::of(leaf),
            not_after: facts.not_after,
        };
        Ok((organisation, facts))
    }
}

impl fmt::Debug for TrustAnchors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustAnchors({} anchors, {} lists)", self.anchors.len(), self.revocation_lists.len())
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a foreign, non-exhaustive enum: the rest is told in its own words"
)]
fn why_not(error: webpki::Error) -> TrustError {
    match error {
        webpki::Error::CertExpired { .. } => TrustError::Expired,
        webpki::Error::CertNotValidYet { .. } => TrustError::NotYetValid,
        webpki::Error::CertRevoked => TrustError::Revoked,
        webpki::Error::UnknownIssuer => TrustError::UnknownIssuer,
        webpki::Error::InvalidSignatureForPublicKey => TrustError::UnknownIssuer,
        other => TrustError::Unacceptable(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `[0] EXPLICIT` around a string of the given tag.
    fn other_name(tag: u8, text: &str) -> Vec<u8> {
        let length = u8::try_from(text.len()).unwrap();
        [&[0xa0, length + 2, tag, length], text.as_bytes()].concat()
    }

    fn read(tag: u8, text: &str) -> Option<String> {
        ura_of_other_name(&other_name(tag, text)).map(String::from)
    }

    #[test]
    fn a_uzi_name_is_read_in_both_kinds_of_string_and_no_other() {
        const NAME: &str = "2.16.528.1.1003.1.3.5.5.2-1-990000381-S-90000381-00.000-00000000";
        let (ia5, utf8, printable) = (0x16, 0x0c, 0x13);
        assert_eq!(read(ia5, NAME).as_deref(), Some("90000381"));
        assert_eq!(read(utf8, NAME).as_deref(), Some("90000381"));
        assert_eq!(read(printable, NAME), None);
    }

    #[test]
    fn a_uzi_name_has_seven_fields_and_is_of_a_server() {
        let ia5 = 0x16;
        assert_eq!(read(ia5, "1.2-1-990000381-Z-90000381-00.000-00000000"), None, "a person's pass");
        assert_eq!(read(ia5, "1.2-1-990000381-S-90000381-00.000"), None, "six fields");
        assert_eq!(read(ia5, "1.2-1-990000381-S-90000381-00.000-00000000-1"), None, "eight fields");
        assert_eq!(read(ia5, "1.2-1-990000381-S-9000038A-00.000-00000000"), None, "no number");
        assert_eq!(read(ia5, ""), None);
        for cut in 0..4 {
            assert_eq!(ura_of_other_name(&other_name(ia5, "")[..cut]), None, "{cut} bytes");
        }
    }

    #[test]
    fn without_an_anchor_nobody_is_believed() {
        assert_eq!(TrustAnchors::new(&[], &[]).map(drop), Err(TrustError::MalformedChain));
        let junk = CertificateDer::from_slice(b"not a certificate");
        assert_eq!(TrustAnchors::new(&[junk], &[]).map(drop), Err(TrustError::MalformedChain));
    }
}
