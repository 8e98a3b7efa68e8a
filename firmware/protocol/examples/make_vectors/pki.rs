//! A small authority for the vectors: organisations that may be believed, and many that may not.

use aws_lc_rs::signature::KeyPair as _;
use data_encoding::{BASE64, HEXLOWER};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType,
    SerialNumber, date_time_ymd,
};
use serde_json::{Value, json};

use super::hand;

/// The sending organisation.
pub const SENDER: &str = "90000381";
/// The organisation addressed.
pub const ADDRESSEE: &str = "90000382";
/// A third one.
pub const STRANGER: &str = "90000383";
/// When the vectors are read, unless a case says otherwise.
pub const AT: &str = "2026-11-23T10:00:00Z";
/// Seed of the addressee's recipient key.
pub const SEED: [u8; 32] = *b"the addressee's X-Wing seed, 32.";
/// Seed of a recipient key that is not ours.
pub const OTHER_SEED: [u8; 32] = *b"somebody else's X-Wing seed, 32.";

/// A chain, end entity first, and the private key of the end entity.
pub struct Signer {
    pub chain: Vec<Vec<u8>>,
    pub pkcs8: Vec<u8>,
}

/// Years in which a certificate is valid: from the first of January to the first of January.
type Years = (i32, i32);
const LONG: Years = (2025, 2126);

/// The authority, and whom it has certified.
pub struct Authority {
    root: CertifiedIssuer<'static, KeyPair>,
    crl: Vec<u8>,
    pub sender: Signer,
    pub sender_by_intermediate: Signer,
    pub sender_by_urn: Signer,
    pub addressee: Signer,
    pub stranger: Signer,
    pub expired: Signer,
    pub not_yet_valid: Signer,
    pub revoked: Signer,
    pub self_signed: Signer,
    pub unknown_issuer: Signer,
    pub without_ura: Signer,
    pub with_two_uras: Signer,
    pub for_code_signing: Signer,
    pub authority_itself: Signer,
    pub p384: Signer,
}

fn other_name(ura: &str) -> SanType {
    let text = format!("2.16.528.1.1007.99.2110-1-9{ura}-S-{ura}-00.000-00000000");
    SanType::OtherName((vec![2, 5, 5, 5], text.into()))
}

fn params(name: &str, names: Vec<SanType>, serial: u64, years: Years) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CountryName, "NL");
    params.distinguished_name.push(DnType::OrganizationName, name);
    params.subject_alt_names = names;
    params.serial_number = Some(SerialNumber::from(serial));
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    params
}

fn key() -> KeyPair {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a P-256 key")
}

fn root(name: &str, serial: u64) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = params(name, vec![], serial, LONG);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.extended_key_usages = vec![];
    CertifiedIssuer::self_signed(params, key()).expect("a root")
}

fn issue(issuer: &CertifiedIssuer<'static, KeyPair>, params: &CertificateParams) -> Signer {
    let key = key();
    let certificate = params.signed_by(&key, issuer).expect("a certificate");
    Signer { chain: vec![certificate.der().to_vec()], pkcs8: key.serialize_der() }
}

impl Authority {
    /// Makes the authority and everybody it knows, with fresh keys.
    pub fn found() -> Self {
        let anchor = root("Proefautoriteit", 1);
        let stranger_root = root("Onbekende autoriteit", 2);
        let north = "Proefziekenhuis Noord";
        let ours = |serial: u64, names: Vec<SanType>, years: Years| {
            issue(&anchor, &params(north, names, serial, years))
        };
        let sender_name = || vec![other_name(SENDER)];
        let crl = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2126, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from(19_u64),
                revocation_time: date_time_ymd(2026, 1, 1),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let crl = crl.signed_by(&anchor).expect("a revocation list").der().to_vec();

        let mut below = params("Tussenautoriteit", vec![], 3, LONG);
        below.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        below.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        below.extended_key_usages = vec![];
        let below = CertifiedIssuer::signed_by(below, key(), &anchor).expect("an intermediate");
        let mut by_intermediate = issue(&below, &params(north, sender_name(), 11, LONG));
        by_intermediate.chain.push(below.der().to_vec());

        let own_key = key();
        let own = params(north, sender_name(), 20, LONG).self_signed(&own_key).expect("a certificate");
        let mut code_signing = params(north, sender_name(), 24, LONG);
        code_signing.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        let mut an_authority = params(north, sender_name(), 25, LONG);
        an_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let large_key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("a P-384 key");
        let large = params(north, sender_name(), 26, LONG).signed_by(&large_key, &anchor);
        let urn: SanType =
            SanType::URI(format!("urn:oid:2.16.528.1.1007.3.3.{SENDER}").try_into().expect("ASCII"));
        let south = |serial, ura| {
            issue(&anchor, &params("Proefziekenhuis Zuid", vec![other_name(ura)], serial, LONG))
        };
        Authority {
            sender: ours(10, sender_name(), LONG),
            sender_by_intermediate: by_intermediate,
            sender_by_urn: ours(12, vec![urn], LONG),
            addressee: south(13, ADDRESSEE),
            stranger: south(14, STRANGER),
            expired: ours(17, sender_name(), (2025, 2026)),
            not_yet_valid: ours(18, sender_name(), (2100, 2126)),
            revoked: ours(19, sender_name(), LONG),
            self_signed: Signer { chain: vec![own.der().to_vec()], pkcs8: own_key.serialize_der() },
            unknown_issuer: issue(&stranger_root, &params(north, sender_name(), 21, LONG)),
            without_ura: ours(22, vec![], LONG),
            with_two_uras: ours(23, vec![other_name(SENDER), other_name(STRANGER)], LONG),
            for_code_signing: issue(&anchor, &code_signing),
            authority_itself: issue(&anchor, &an_authority),
            // Its signatures are made with another key: it must be refused before anybody looks at them.
            p384: Signer {
                chain: vec![large.expect("a certificate").der().to_vec()],
                pkcs8: key().serialize_der(),
            },
            root: anchor,
            crl,
        }
    }

    /// What a reader needs beside the vectors.
    pub fn describe(&self) -> Value {
        let signer = |signer: &Signer| {
            let chain: Vec<String> = signer.chain.iter().map(|der| BASE64.encode(der)).collect();
            json!({ "chain": chain, "pkcs8": BASE64.encode(&signer.pkcs8) })
        };
        let public = aws_lc_rs::signature::EcdsaKeyPair::from_pkcs8(
            &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
            &self.sender.pkcs8,
        )
        .expect("a P-256 key");
        json!({
            "about": "Whom the readers of the vectors believe. The private keys are here so that tests can sign; \
                      they protect nothing.",
            "at": AT,
            "anchor": BASE64.encode(self.root.der()),
            "revocation_list": BASE64.encode(&self.crl),
            "sender": signer(&self.sender),
            "sender_public_key": HEXLOWER.encode(public.public_key().as_ref()),
            "sender_ura": SENDER,
            "addressee": signer(&self.addressee),
            "addressee_ura": ADDRESSEE,
            "recipient_seed": HEXLOWER.encode(&SEED),
            "recipient_public_key": BASE64.encode(&hand::public_key(&SEED)),
        })
    }
}
