//! Certificates: what stands in the header of every signed text, and what a partner, or the portal in its name, may
//! have made up.
//!
//! What must be true: only a chain that ends at the anchor is believed, and for exactly the URA it names.

use beeldbox_protocol::envelope::trust::certificate_facts;
use rustls_pki_types::CertificateDer;

use super::Script;
use crate::authority::AUTHORITY;
use crate::budget::{Allowance, within};

/// Runs the reader. The first byte says how many certificates the chain has; each begins with its length.
pub fn run(input: &[u8]) {
    let mut script = Script(input);
    let mut chain = Vec::new();
    for _ in 0..script.byte() % 8 {
        let length = script.number();
        chain.push(CertificateDer::from(script.take(length)));
    }
    let facts: Vec<_> =
        within(Allowance::FourTimes, input.len(), || chain.iter().map(certificate_facts).collect());
    let verified =
        within(Allowance::FourTimes, input.len(), || AUTHORITY.anchors.verify(&chain, AUTHORITY.at));
    let Ok((organisation, found)) = verified else { return };
    // Whoever is believed was signed by the anchor, so these bytes are the addressee's or somebody broke P-256.
    assert_eq!(
        chain[0].as_ref(),
        AUTHORITY.certificate.as_slice(),
        "a certificate nobody issued is believed"
    );
    assert_eq!(organisation.ura(), &found.ura);
    assert!(facts[0].as_ref().is_ok_and(|facts| facts.ura == found.ura));
}

/// Inputs to begin with.
pub(crate) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let one = |certificate: &[u8]| {
        let length = u16::try_from(certificate.len()).expect("a certificate is short");
        [&length.to_be_bytes(), certificate].concat()
    };
    let leaf = one(&AUTHORITY.certificate);
    vec![
        ("one", [&[1], leaf.as_slice()].concat()),
        ("two", [&[2], leaf.as_slice(), leaf.as_slice()].concat()),
    ]
}
