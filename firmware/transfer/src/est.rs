//! Enrolment at the portal (EST, RFC 7030): a first certificate for a one-time code, and the next one in time.
//!
//! The key is made on the box and never travels; here comes a request (PKCS#10) and goes a chain. Before a code is sent
//! the portal's authority must be the one whose fingerprint came with the code: a code that went to somebody else would
//! be worth a certificate there.

use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::envelope::trust::{TrustAnchors, TrustError};
use beeldbox_protocol::ident::{Digest, Ura};
use beeldbox_protocol::portal::est::{
    CA_CERTIFICATES, MAX_ANSWER_LEN, REQUEST_TYPE, SIMPLE_ENROLL, SIMPLE_REENROLL, certificates_only,
};
use data_encoding::BASE64;
use futures_util::StreamExt;
use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Client, RequestBuilder, StatusCode};
use rustls_pki_types::CertificateDer;

use crate::portal_client::{PortalClient, PortalError};
use crate::portal_error::{transport, unreachable};

/// The user name beside the code; by the protocol it does not count.
const USER: &str = "beeldbox";

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The authority is another than the one that the code came with.
    #[error(
        "the portal's authority does not have the fingerprint that came with the code; the code was not sent"
    )]
    WrongFingerprint,
    /// The portal does not take the code.
    #[error("the portal does not accept the code: it is unknown, used or too old; ask for a new one")]
    CodeRefused,
    /// What came is not a certificate for this box.
    #[error("the certificate that came cannot be used: {0}")]
    Certificate(#[from] TrustError),
    /// It is for somebody else.
    #[error("the certificate that came is for URA {found}; this box is of URA {expected}")]
    OtherOrganisation {
        /// Whose box this is.
        expected: Ura,
        /// Whose certificate came.
        found: Ura,
    },
    /// The portal cannot be asked, or its answer makes no sense.
    #[error(transparent)]
    Portal(#[from] PortalError),
}

/// For whom and when.
pub struct Applicant<'a> {
    /// The organisation of this box.
    pub ura: &'a Ura,
    /// The request: PKCS#10, DER.
    pub request: &'a [u8],
    /// The time.
    pub now: Timestamp,
}

/// Gets a first certificate. `tls` shows no certificate of ours. Gives the chain, verified up to the authority with the
/// fingerprint.
///
/// # Errors
/// As [`EnrolError`] says.
pub async fn enrol(
    portal: &PortalClient,
    tls: &rustls::ClientConfig,
    applicant: &Applicant<'_>,
    code: &Confidential,
    fingerprint: &Digest,
) -> Result<Vec<CertificateDer<'static>>, EnrolError> {
    let client = portal.another(tls).map_err(unreachable)?;
    let authorities = authorities(&client, portal.base()).await?;
    let authority = authorities.iter().find(|authority| Digest::of(authority) == *fingerprint);
    let authority = authority.ok_or(EnrolError::WrongFingerprint)?;
    let request = client
        .post(format!("{}{SIMPLE_ENROLL}", portal.base()))
        .basic_auth(USER, Some(code.reveal().trim()))
        .header(CONTENT_TYPE, HeaderValue::from_static(REQUEST_TYPE))
        .body(BASE64.encode(applicant.request));
    let chain = answer(request).await?;
    verified(chain, std::slice::from_ref(authority), applicant)
}

/// Gets the next certificate, showing the present one. The authority is believed because it answers over a connection
/// that the present one and the portal's own authority vouch for (RFC 7030 §4.1.3).
///
/// # Errors
/// As [`EnrolError`] says.
pub async fn renew(
    portal: &PortalClient,
    applicant: &Applicant<'_>,
) -> Result<Vec<CertificateDer<'static>>, EnrolError> {
    let client = portal.questions();
    let authorities = authorities(&client, portal.base()).await?;
    let request = client
        .post(format!("{}{SIMPLE_REENROLL}", portal.base()))
        .header(CONTENT_TYPE, HeaderValue::from_static(REQUEST_TYPE))
        .body(BASE64.encode(applicant.request));
    let chain = answer(request).await?;
    verified(chain, &authorities, applicant)
}

async fn authorities(client: &Client, base: &str) -> Result<Vec<CertificateDer<'static>>, EnrolError> {
    answer(client.get(format!("{base}{CA_CERTIFICATES}"))).await
}

/// The certificates of an answer.
async fn answer(request: RequestBuilder) -> Result<Vec<CertificateDer<'static>>, EnrolError> {
    let response = request.send().await.map_err(transport)?;
    let status = response.status();
    match status {
        StatusCode::UNAUTHORIZED => return Err(EnrolError::CodeRefused),
        StatusCode::NOT_FOUND => return Err(PortalError::NotFound.into()),
        _ if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            return Err(PortalError::Busy { retry_after: None }.into());
        }
        _ if !status.is_success() => return Err(PortalError::RefusedUs(status.as_u16()).into()),
        _ => {}
    }
    let mut body = Vec::new();
    let mut pieces = response.bytes_stream();
    while let Some(piece) = pieces.next().await {
        body.extend_from_slice(&piece.map_err(transport)?);
        if body.len() as u64 > MAX_ANSWER_LEN {
            return Err(PortalError::NotUnderstood("it is longer than it may be").into());
        }
    }
    let found = certificates_only(&body);
    Ok(found.ok_or(PortalError::NotUnderstood("it is not a list of certificates"))?)
}

/// The chain, end entity first, if an authority vouches for it and it names us.
fn verified(
    chain: Vec<CertificateDer<'static>>,
    authorities: &[CertificateDer<'static>],
    applicant: &Applicant<'_>,
) -> Result<Vec<CertificateDer<'static>>, EnrolError> {
    let anchors = TrustAnchors::new(authorities, &[])?;
    let (organisation, _) = anchors.verify(&chain, applicant.now)?;
    if organisation.ura() != applicant.ura {
        let (expected, found) = (applicant.ura.clone(), organisation.ura().clone());
        return Err(EnrolError::OtherOrganisation { expected, found });
    }
    Ok(chain)
}
