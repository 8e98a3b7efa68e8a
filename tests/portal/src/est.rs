//! Enrolment over Secure Transport (RFC 7030), as much as a box needs: the authority's certificate, a first
//! certificate for a one-time code, and a next one for a certificate that is still good.
//!
//! A code is worth one certificate for one organisation. It is used up in the same commit that answers for it; only
//! its SHA-256 is kept.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use beeldbox_protocol::ident::{Digest, Ura};
use data_encoding::{BASE32_NOPAD, BASE64};
use jiff::SignedDuration;
use rustls_pki_types::CertificateDer;

use crate::ca::{CaError, Validity};
use crate::identity::Client;
use crate::ledger::{Ledger, LedgerError};
use crate::refusal::Refusal;
use crate::rows::cells;
use crate::site::{Site, header_text};

/// How long a code can be used.
const CODE_VALIDITY: SignedDuration = SignedDuration::from_hours(72);

/// `GET /.well-known/est/cacerts` (RFC 7030 §4.1).
pub async fn ca_certificates(State(site): State<Arc<Site>>) -> Response {
    certificates_only(site.ca.certificate(), "application/pkcs7-mime")
}

/// `POST /.well-known/est/simpleenroll` (RFC 7030 §4.2.1): a certificate for a one-time code.
pub async fn simple_enroll(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let code = code_in(&headers).ok_or(Refusal::NotAuthorised)?;
    let request = read_request(&body)?;
    let certifying = site.clone();
    let certificate = site
        .ledger
        .write(move |writing| {
            let now = writing.now;
            let used = writing.query_first(
                "UPDATE enrolment_code SET used_at = ?2
                 WHERE digest = ?1 AND used_at IS NULL AND valid_until > ?2
                 RETURNING ura, name",
                cells![Digest::of(code.as_bytes()).to_string(), now.as_microsecond()],
            )?;
            let used = used.ok_or(Refusal::NotAuthorised)?;
            let (ura, name) = (used.text(0)?, used.text(1)?);
            let ura: Ura = ura.parse().map_err(|_| LedgerError::Damaged("a URA"))?;
            certifying.ca.certify(&request, &ura, &name, Validity::usual(now)).map_err(bad_request)
        })
        .await?;
    Ok(certificates_only(&certificate, "application/pkcs7-mime; smime-type=certs-only"))
}

/// `POST /.well-known/est/simplereenroll` (RFC 7030 §4.2.2): a next certificate for the same organisation.
pub async fn simple_reenroll(
    State(site): State<Arc<Site>>,
    Extension(client): Extension<Client>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let request = read_request(&body)?;
    let validity = Validity::usual(site.clock.now());
    let certificate = site.ca.certify(&request, &client.ura, &client.name, validity).map_err(bad_request)?;
    Ok(certificates_only(&certificate, "application/pkcs7-mime; smime-type=certs-only"))
}

/// Makes a one-time code for an organisation.
pub async fn new_code(ledger: &Ledger, ura: Ura, name: String) -> Result<String, Refusal> {
    let mut random = [0; 15];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| Refusal::Fault("no random numbers".to_owned()))?;
    let code = BASE32_NOPAD.encode(&random);
    let digest = Digest::of(code.as_bytes()).to_string();
    ledger
        .write(move |writing| {
            let until = writing.now.checked_add(CODE_VALIDITY).unwrap_or(writing.now);
            writing.execute(
                "INSERT INTO enrolment_code (digest, ura, name, valid_until) VALUES (?1, ?2, ?3, ?4)",
                cells![digest, ura.as_str(), name, until.as_microsecond()],
            )?;
            Ok::<_, Refusal>(())
        })
        .await?;
    Ok(code)
}

/// The code is the password; who asks is said by the code, so the user name does not count.
fn code_in(headers: &HeaderMap) -> Option<String> {
    let encoded = header_text(headers, header::AUTHORIZATION)?.strip_prefix("Basic ")?;
    let text = String::from_utf8(BASE64.decode(encoded.trim().as_bytes()).ok()?).ok()?;
    Some(text.split_once(':')?.1.trim().to_owned())
}

/// PKCS#10 in base64, with or without line ends (RFC 8951 §3).
fn read_request(body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let text: Vec<u8> = body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    BASE64.decode(&text).map_err(|_| Refusal::Malformed("The body is not base64.".to_owned()))
}

fn bad_request(error: CaError) -> Refusal {
    match error {
        CaError::Certificate(why) => Refusal::Malformed(format!("The request cannot be certified: {why}.")),
        CaError::File { .. } | CaError::Pem(_) | CaError::Random => Refusal::Fault(error.to_string()),
    }
}

fn certificates_only(certificate: &CertificateDer<'_>, media_type: &'static str) -> Response {
    let body = BASE64.encode(&signed_data(certificate));
    let transfer_encoding = header::HeaderName::from_static("content-transfer-encoding");
    ([(header::CONTENT_TYPE, media_type), (transfer_encoding, "base64")], body).into_response()
}

/// SignedData that signs nothing and carries a certificate (RFC 5652 §5.1, "degenerate").
fn signed_data(certificate: &[u8]) -> Vec<u8> {
    /// 1.2.840.113549.1.7.2
    const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
    /// 1.2.840.113549.1.7.1
    const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
    let content = tlv(0x30, &tlv(0x06, DATA));
    let inner = [tlv(0x02, &[1]), tlv(0x31, &[]), content, tlv(0xa0, certificate), tlv(0x31, &[])].concat();
    tlv(0x30, &[tlv(0x06, SIGNED_DATA), tlv(0xa0, &tlv(0x30, &inner))].concat())
}

/// Tag, length, value (DER).
fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let len = value.len().to_be_bytes();
    let significant: Vec<u8> = len.iter().copied().skip_while(|byte| *byte == 0).collect();
    let mut out = vec![tag];
    match (u8::try_from(value.len()), u8::try_from(significant.len())) {
        (Ok(short), _) if short < 0x80 => out.push(short),
        (_, Ok(count)) => {
            out.push(0x80 | count);
            out.extend(significant);
        }
        (_, Err(_)) => {}
    }
    out.extend(value);
    out
}
