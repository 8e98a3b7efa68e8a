//! Signed texts: JSON Web Signature (RFC 7515) in compact form, ES256 (RFC 7518 §3.4), with the signer's certificate
//! chain in `x5c`. One algorithm, no negotiation: a header that says anything else is refused before its signature
//! is looked at.

use aws_lc_rs::rand::SecureRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, UnparsedPublicKey,
};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

use super::trust::{TrustAnchors, TrustError, VerifiedOrganisation, certificate_facts};
use crate::ident::Ura;

/// What kind of text is signed: stands in the header as `typ`, so that one kind cannot pass for another (RFC 8725 §3.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The letter inside its envelope.
    Letter,
    /// A recipient key, published in the directory.
    RecipientKey,
    /// A receipt.
    Receipt,
}

impl Kind {
    fn typ(self) -> &'static str {
        match self {
            Kind::Letter => "beeldbox-letter+jws",
            Kind::RecipientKey => "beeldbox-key+jws",
            Kind::Receipt => "beeldbox-receipt+jws",
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    x5c: Vec<String>,
}

/// The signing key of an organisation with its certificate chain.
pub struct OrganisationSigner {
    key: EcdsaKeyPair,
    chain: Vec<CertificateDer<'static>>,
    ura: Ura,
    name: String,
    not_after: Timestamp,
}

impl OrganisationSigner {
    /// From a P-256 private key in PKCS#8 and the chain, end entity first.
    ///
    /// # Errors
    /// If the key is not P-256, does not belong to the certificate, or the certificate names no URA.
    pub fn new(pkcs8: &[u8], chain: Vec<CertificateDer<'static>>) -> Result<Self, TrustError> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)
            .map_err(|_| TrustError::DoesNotFit("the signing key is not a P-256 key in PKCS#8"))?;
        let facts = certificate_facts(chain.first().ok_or(TrustError::MalformedChain)?)?;
        let public = aws_lc_rs::signature::KeyPair::public_key(&key).as_ref();
        if facts.p256_key.as_deref() != Some(public) {
            return Err(TrustError::DoesNotFit("the signing key does not belong to the certificate"));
        }
        Ok(OrganisationSigner { key, chain, ura: facts.ura, name: facts.name, not_after: facts.not_after })
    }

    /// URA of the organisation that signs.
    pub fn ura(&self) -> &Ura {
        &self.ura
    }

    /// Its name, as the certificate has it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Last moment at which the certificate is valid.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Signs a text.
    pub fn sign(&self, kind: Kind, payload: &[u8], random: &dyn SecureRandom) -> String {
        let header = Header {
            alg: "ES256".to_owned(),
            typ: kind.typ().to_owned(),
            x5c: self.chain.iter().map(|certificate| BASE64.encode(certificate)).collect(),
        };
        let header = serde_json::to_vec(&header).expect("a header of strings is always JSON");
        let mut jws = format!("{}.{}", BASE64URL_NOPAD.encode(&header), BASE64URL_NOPAD.encode(payload));
        let signature =
            self.key.sign(random, jws.as_bytes()).expect("P-256 signs any text when randomness is at hand");
        jws.push('.');
        jws.push_str(&BASE64URL_NOPAD.encode(signature.as_ref()));
        jws
    }
}

/// Verifies a signed text: kind, chain at the given time, signature. Gives the payload and whose it is.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify(
    kind: Kind,
    jws: &str,
    anchors: &TrustAnchors,
    at: Timestamp,
) -> Result<(Vec<u8>, VerifiedOrganisation), TrustError> {
    let (signed, signature) = jws.rsplit_once('.').ok_or(TrustError::NotSigned("not three parts"))?;
    let (header, payload) = signed.split_once('.').ok_or(TrustError::NotSigned("not three parts"))?;
    let decode = |text: &str| {
        BASE64URL_NOPAD
            .decode(text.as_bytes())
            .map_err(|_| TrustError::NotSigned("not base64url without padding"))
    };
    let header: Header =
        serde_json::from_slice(&decode(header)?).map_err(|_| TrustError::NotSigned("unknown header"))?;
    if header.alg != "ES256" {
        return Err(TrustError::NotSigned("algorithm is not ES256"));
    }
    if header.typ != kind.typ() {
        return Err(TrustError::NotSigned("another kind of text"));
    }
    let chain: Result<Vec<_>, _> =
        header.x5c.iter().map(|text| BASE64.decode(text.as_bytes()).map(CertificateDer::from)).collect();
    let chain = chain.map_err(|_| TrustError::MalformedChain)?;
    let (organisation, facts) = anchors.verify(&chain, at)?;
    let key = facts.p256_key.ok_or(TrustError::NotSigned("the certificate's key is not P-256"))?;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key)
        .verify(signed.as_bytes(), &decode(signature)?)
        .map_err(|_| TrustError::BadSignature)?;
    Ok((decode(payload)?, organisation))
}
