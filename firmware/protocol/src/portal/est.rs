//! Enrolment (EST, RFC 7030): paths, and the answer as the portal words it.

use data_encoding::BASE64;
use rustls_pki_types::CertificateDer;
use x509_parser::der_parser::asn1_rs::{Any, Class, FromDer, Tag};

/// The authority's certificates (RFC 7030 §4.1).
pub const CA_CERTIFICATES: &str = "/.well-known/est/cacerts";

/// A first certificate, for a one-time code (RFC 7030 §4.2.1).
pub const SIMPLE_ENROLL: &str = "/.well-known/est/simpleenroll";

/// The next certificate, for one that is still good (RFC 7030 §4.2.2).
pub const SIMPLE_REENROLL: &str = "/.well-known/est/simplereenroll";

/// Media type of a request (RFC 7030 §4.2.1).
pub const REQUEST_TYPE: &str = "application/pkcs10";

/// Longest answer that is read.
pub const MAX_ANSWER_LEN: u64 = 256 * 1024;

/// Most certificates in one answer.
const MAX_CERTIFICATES: usize = 16;

/// The certificates of an answer: certs-only PKCS#7 (RFC 5652 §5.1) in base64, with or without line ends. Nothing of
/// it is believed by this. Nothing if it is something else.
pub fn certificates_only(answer: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let text: Vec<u8> = answer.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let der = BASE64.decode(&text).ok()?;
    let content_info = inside(&der, Class::Universal, Tag::Sequence)?;
    let (rest, _type) = Any::from_der(content_info).ok()?;
    let explicit = inside(rest, Class::ContextSpecific, Tag(0))?;
    let mut rest = inside(explicit, Class::Universal, Tag::Sequence)?;
    while !rest.is_empty() {
        let (after, field) = Any::from_der(rest).ok()?;
        rest = after;
        if field.class() == Class::ContextSpecific && field.tag() == Tag(0) {
            return certificates(field.data);
        }
    }
    None
}

/// The content of the first value, if it is of this kind.
fn inside(der: &[u8], class: Class, tag: Tag) -> Option<&[u8]> {
    let (_, value) = Any::from_der(der).ok()?;
    (value.class() == class && value.tag() == tag).then_some(value.data)
}

fn certificates(mut rest: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (after, certificate) = Any::from_der(rest).ok()?;
        if certificate.tag() != Tag::Sequence || found.len() >= MAX_CERTIFICATES {
            return None;
        }
        found.push(CertificateDer::from(rest[..rest.len() - after.len()].to_vec()));
        rest = after;
    }
    (!found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `openssl crl2pkcs7 -nocrl` from one self-signed certificate of a P-256 key.
    const ANSWER: &str = include_str!("est_answer.b64");

    #[test]
    fn an_answer_of_openssl_is_read() {
        let found = certificates_only(ANSWER.as_bytes()).unwrap();
        assert_eq!(found.len(), 1);
        let (_, parsed) = x509_parser::parse_x509_certificate(&found[0]).unwrap();
        assert_eq!(parsed.subject().to_string(), "CN=est answer");
    }

    #[test]
    fn what_is_cut_or_changed_gives_nothing_and_no_panic() {
        let der = BASE64.decode(ANSWER.replace('\n', "").as_bytes()).unwrap();
        for end in 0..der.len() {
            let cut = BASE64.encode(&der[..end]);
            assert!(certificates_only(cut.as_bytes()).is_none(), "{end}");
        }
        for at in 0..40 {
            let mut changed = der.clone();
            changed[at] ^= 0x55;
            drop(certificates_only(BASE64.encode(&changed).as_bytes()));
        }
        assert!(certificates_only(b"not base64 !").is_none());
        assert!(certificates_only(b"").is_none());
    }
}
