//! Keys, certificates and anchors of the test vectors: with them an input gets past authentication, as that of a
//! partner gone bad would. The private keys protect nothing.

use std::sync::LazyLock;

use beeldbox_protocol::envelope::jws::OrganisationSigner;
use beeldbox_protocol::envelope::recipient::RecipientIdentity;
use beeldbox_protocol::envelope::trust::TrustAnchors;
use data_encoding::{BASE64, HEXLOWER};
use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use serde_json::Value;

/// The authority that every target believes, and two organisations with their keys.
pub struct Authority {
    /// Whom to believe, with the revocation list.
    pub anchors: TrustAnchors,
    /// The organisation that sends.
    pub sender: OrganisationSigner,
    /// The organisation that receives.
    pub addressee: OrganisationSigner,
    /// The recipient key of the addressee.
    pub identity: RecipientIdentity,
    /// The addressee's certificate, DER.
    pub certificate: Vec<u8>,
    /// When all of it is valid.
    pub at: Timestamp,
}

/// The one authority, read once.
pub static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| {
    let text = include_str!("../../vectors/envelope/authority.json");
    let described: Value = serde_json::from_str(text).expect("the vectors are JSON");
    let list = bytes(&described, "revocation_list");
    let lists = [CertificateRevocationListDer::from(list.as_slice())];
    let seed = HEXLOWER.decode(member(&described, "recipient_seed").as_bytes()).expect("hexadecimal");
    let anchor = CertificateDer::from(bytes(&described, "anchor"));
    Authority {
        anchors: TrustAnchors::new(&[anchor], &lists).expect("an anchor"),
        sender: signer(&described["sender"]),
        addressee: signer(&described["addressee"]),
        identity: RecipientIdentity::from_seed(&seed).expect("a seed"),
        certificate: chain(&described["addressee"]).swap_remove(0),
        at: member(&described, "at").parse().expect("a time"),
    }
});

fn member<'a>(of: &'a Value, name: &str) -> &'a str {
    of[name].as_str().unwrap_or_else(|| panic!("{name} is missing"))
}

fn bytes(of: &Value, name: &str) -> Vec<u8> {
    BASE64.decode(member(of, name).as_bytes()).expect("base64")
}

fn chain(of: &Value) -> Vec<Vec<u8>> {
    let chain = of["chain"].as_array().expect("a chain");
    let one = |text: &Value| BASE64.decode(text.as_str().expect("base64").as_bytes()).expect("base64");
    chain.iter().map(one).collect()
}

fn signer(of: &Value) -> OrganisationSigner {
    let chain = chain(of).into_iter().map(CertificateDer::from).collect();
    OrganisationSigner::new(&bytes(of, "pkcs8"), chain).expect("a signer")
}

/// The good letter of the vectors, sealed to the addressee.
///
/// # Panics
/// If the vectors are not there.
pub(crate) fn good_letter() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/envelope/letters.json");
    let text = std::fs::read_to_string(path).expect("the vectors are there");
    let vectors: Value = serde_json::from_str(&text).expect("the vectors are JSON");
    let cases = vectors["cases"].as_array().expect("cases");
    let good = cases.iter().find(|case| case["name"] == "good").expect("a good letter");
    bytes(good, "letter")
}
