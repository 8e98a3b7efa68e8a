//! A trust anchor and two hospitals below it, with keys made for one test.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use beeldbox_protocol::envelope::jws::OrganisationSigner;
use beeldbox_protocol::envelope::recipient::{RecipientIdentity, RecipientVerified};
use beeldbox_protocol::envelope::trust::TrustAnchors;
use beeldbox_protocol::ident::Ura;
use data_encoding::{BASE64, HEXLOWER};
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};

/// URA of the sending hospital.
pub const SENDER: &str = "90000381";
/// URA of the hospital addressed.
pub const ADDRESSEE: &str = "90000382";
/// When everything is written and read: time comes in as an argument, for both.
pub const AT: &str = "2026-11-23T10:00:00Z";

fn key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a P-256 key")
}

fn params(name: &str, names: Vec<SanType>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, name);
    params.subject_alt_names = names;
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2126, 1, 1);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn authority(name: &str) -> CertificateParams {
    let mut params = params(name, vec![]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.extended_key_usages = vec![];
    params
}

/// Whom both hospitals believe: a root, and an authority below it that certifies them.
pub struct Trust {
    root: CertifiedIssuer<'static, KeyPair>,
    below: CertifiedIssuer<'static, KeyPair>,
}

impl Trust {
    /// With fresh keys.
    ///
    /// # Panics
    /// If no certificate can be made.
    pub fn found() -> Self {
        let root = CertifiedIssuer::self_signed(authority("Proefautoriteit"), key()).expect("a root");
        let below = CertifiedIssuer::signed_by(authority("Tussenautoriteit"), key(), &root);
        Trust { root, below: below.expect("an authority below the root") }
    }

    /// The root, in base64.
    pub fn anchor(&self) -> String {
        BASE64.encode(self.root.der())
    }

    /// The root, for our reader.
    ///
    /// # Panics
    /// If it cannot be read.
    pub fn anchors(&self) -> TrustAnchors {
        TrustAnchors::new(&[CertificateDer::from(self.root.der().to_vec())], &[]).expect("an anchor")
    }

    /// A hospital whose certificate names it in the UZI form, or as a URN.
    ///
    /// # Panics
    /// If no certificate can be made.
    pub fn certify(&self, name: &str, ura: &str, in_uzi_form: bool) -> Hospital {
        let uzi = format!("2.16.528.1.1007.99.2110-1-9{ura}-S-{ura}-00.000-00000000");
        let urn = format!("urn:oid:2.16.528.1.1007.3.3.{ura}");
        let san = match in_uzi_form {
            true => SanType::OtherName((vec![2, 5, 5, 5], uzi.into())),
            false => SanType::URI(urn.try_into().expect("ASCII")),
        };
        let key = key();
        let certificate = params(name, vec![san]).signed_by(&key, &self.below).expect("a certificate");
        let mut seed = [0; 32];
        SystemRandom::new().fill(&mut seed).expect("randomness");
        Hospital {
            ura: ura.parse().expect("a URA"),
            chain: vec![certificate.der().to_vec(), self.below.der().to_vec()],
            pkcs8: key.serialize_der(),
            seed,
        }
    }
}

/// One hospital: what it signs with, and the key that letters are sealed to.
pub struct Hospital {
    ura: Ura,
    chain: Vec<Vec<u8>>,
    pkcs8: Vec<u8>,
    seed: [u8; 32],
}

impl Hospital {
    /// Who it is.
    pub fn ura(&self) -> &Ura {
        &self.ura
    }

    /// What it signs with.
    ///
    /// # Panics
    /// If its key and its certificate do not fit.
    pub fn signer(&self) -> OrganisationSigner {
        let chain = self.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
        OrganisationSigner::new(&self.pkcs8, chain).expect("a signer")
    }

    /// What it opens letters with.
    ///
    /// # Panics
    /// Never: a seed has 32 bytes.
    pub fn identity(&self) -> RecipientIdentity {
        RecipientIdentity::from_seed(&self.seed).expect("a seed")
    }

    /// The statement of its key, as the directory shows it.
    pub fn statement(&self) -> String {
        let until = "2126-01-01T00:00:00Z".parse().expect("a time");
        let at: Timestamp = AT.parse().expect("a time");
        self.identity().statement(&self.signer(), at, until, &SystemRandom::new())
    }

    /// Its key, as a sender has verified it.
    ///
    /// # Panics
    /// If its own statement is not believed.
    pub fn verified_key(&self, trust: &Trust) -> RecipientVerified {
        let at = AT.parse().expect("a time");
        RecipientVerified::verify(&self.statement(), &self.ura, &trust.anchors(), at).expect("its own key")
    }

    /// Everything secret and public of it, for a Python program.
    pub fn described(&self, trust: &Trust) -> Value {
        let chain: Vec<String> = self.chain.iter().map(|der| BASE64.encode(der)).collect();
        json!({
            "ura": self.ura.as_str(),
            "seed": HEXLOWER.encode(&self.seed),
            "pkcs8": BASE64.encode(&self.pkcs8),
            "chain": chain,
            "anchor": trust.anchor(),
            "at": AT,
        })
    }
}
