//! How the tests of the sealed formats read: vectors, packs as a whole, and the names of refusals.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::path::Path;

use beeldbox_protocol::envelope::jws::OrganisationSigner;
use beeldbox_protocol::envelope::keys::SecretKey;
use beeldbox_protocol::envelope::letter::LetterError;
use beeldbox_protocol::envelope::pack::{
    CHUNK_HEAD_LEN, ChunkHead, FRAME_HEADER_LEN, FrameOpener, InstanceDescription, PACK_HEADER_LEN,
    PackError, check_pack_header,
};
use beeldbox_protocol::envelope::recipient::RecipientIdentity;
use beeldbox_protocol::envelope::trust::{TrustAnchors, TrustError};
use data_encoding::{BASE64, HEXLOWER};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use serde_json::Value;

/// A text member.
pub fn text<'a>(of: &'a Value, member: &str) -> &'a str {
    of[member].as_str().unwrap_or_else(|| panic!("{member} is missing"))
}

/// A member in base64.
pub fn bytes(of: &Value, member: &str) -> Vec<u8> {
    BASE64.decode(text(of, member).as_bytes()).expect("base64")
}

/// A member in hexadecimal.
pub fn hex(of: &Value, member: &str) -> Vec<u8> {
    HEXLOWER.decode(text(of, member).as_bytes()).expect("hexadecimal")
}

/// A member in hexadecimal, of a known length.
pub fn array<const N: usize>(of: &Value, member: &str) -> [u8; N] {
    hex(of, member).try_into().unwrap_or_else(|_| panic!("{member} has another length"))
}

/// A description.
pub fn description(of: &Value) -> InstanceDescription {
    InstanceDescription {
        sop_class: text(of, "sop_class").parse().expect("a UID"),
        sop_instance: text(of, "sop_instance").parse().expect("a UID"),
        transfer_syntax: text(of, "transfer_syntax").parse().expect("a UID"),
        study: Some(text(of, "study").parse().expect("a UID")),
        series: Some(text(of, "series").parse().expect("a UID")),
        source_ae: text(of, "source_ae").parse().expect("an AE title"),
    }
}

/// The authority of the vectors.
pub struct Authority {
    /// Whom to believe, with the revocation list.
    pub anchors: TrustAnchors,
    /// The addressee's recipient key.
    pub identity: RecipientIdentity,
    /// The file.
    pub described: Value,
}

impl Authority {
    /// From `authority.json`.
    pub fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/envelope/authority.json");
        let content = std::fs::read(path).expect("authority.json is there");
        let described: Value = serde_json::from_slice(&content).expect("JSON");
        let (anchor, list) = (bytes(&described, "anchor"), bytes(&described, "revocation_list"));
        let lists = [CertificateRevocationListDer::from(list.as_slice())];
        Authority {
            anchors: TrustAnchors::new(&[CertificateDer::from(anchor)], &lists).expect("an anchor"),
            identity: RecipientIdentity::from_seed(&hex(&described, "recipient_seed")).expect("a seed"),
            described,
        }
    }

    /// The same root, without its revocation list.
    pub fn anchors_without_lists(&self) -> TrustAnchors {
        TrustAnchors::new(&[CertificateDer::from(bytes(&self.described, "anchor"))], &[]).expect("an anchor")
    }

    /// The signing key of the `sender` or the `addressee`.
    pub fn signer(&self, of: &str) -> OrganisationSigner {
        let described = &self.described[of];
        let chain = described["chain"].as_array().expect("a chain").iter().map(|certificate| {
            let certificate = certificate.as_str().expect("base64");
            CertificateDer::from(BASE64.decode(certificate.as_bytes()).expect("base64"))
        });
        OrganisationSigner::new(&bytes(described, "pkcs8"), chain.collect()).expect("a signer")
    }
}

/// Description and data set of one instance.
pub type Opened = (InstanceDescription, Vec<u8>);

/// Opens as many frames as a letter lists, and nothing else: what is given out is complete and authentic.
///
/// # Errors
/// The first thing that is wrong.
pub fn open_pack(pack: &[u8], key: &SecretKey, frames: u32) -> Result<Vec<Opened>, PackError> {
    let (header, mut rest) = pack.split_first_chunk::<PACK_HEADER_LEN>().ok_or(PackError::Truncated)?;
    let id = check_pack_header(header, key)?;
    let mut opened = Vec::new();
    for index in 0..frames {
        let (header, after) = rest.split_first_chunk::<FRAME_HEADER_LEN>().ok_or(PackError::Truncated)?;
        let mut opener = FrameOpener::new(key, &id, index, header)?;
        let mut data_set = Vec::new();
        rest = after;
        while !opener.is_complete() {
            let (head, after) = rest.split_first_chunk::<CHUNK_HEAD_LEN>().ok_or(PackError::Truncated)?;
            let head = ChunkHead::parse(*head)?;
            let (sealed, after) = after.split_at_checked(head.sealed_len).ok_or(PackError::Truncated)?;
            data_set.extend_from_slice(opener.open_chunk(head, &mut sealed.to_vec())?);
            rest = after;
        }
        let (description, _) = opener.finish()?;
        opened.push((description, data_set));
    }
    if rest.is_empty() { Ok(opened) } else { Err(PackError::NotAFrame) }
}

/// The name of a refusal in the vectors.
pub fn kind_of_pack_error(error: &PackError) -> &'static str {
    match error {
        PackError::NotAPack => "not-a-pack",
        PackError::UnknownSuite { .. } => "unknown-suite",
        PackError::ReservedInUse => "reserved-in-use",
        PackError::WrongKey => "wrong-key",
        PackError::NotAFrame => "not-a-frame",
        PackError::UnknownCodec { .. } => "unknown-codec",
        PackError::ChunkLength { .. } => "chunk-length",
        PackError::Truncated => "truncated",
        PackError::ChunkDoesNotAuthenticate { .. } => "chunk-does-not-authenticate",
        PackError::AfterLast => "after-last",
        PackError::Description { .. } => "description",
        PackError::DataSetDiffers => "data-set-differs",
        PackError::TooLong => "too-long",
        PackError::DigestedElsewhere => "digested-elsewhere",
    }
}

/// The name of a refusal in the vectors.
pub fn kind_of_letter_error(error: &LetterError) -> String {
    let kind = match error {
        LetterError::Malformed(_) => "malformed",
        LetterError::UnknownSuite { .. } => "unknown-suite",
        LetterError::NotForOurKey => "not-for-our-key",
        LetterError::DoesNotAuthenticate => "does-not-authenticate",
        LetterError::Sender(error) => return format!("sender-{}", kind_of_trust_error(error)),
        LetterError::AddressedToSomeoneElse { .. } => "addressed-to-someone-else",
        LetterError::OtherTransfer => "other-transfer",
        LetterError::Expired => "expired",
        LetterError::Inconsistent(_) => "inconsistent",
    };
    kind.to_owned()
}

/// The name of a refusal in the vectors.
pub fn kind_of_trust_error(error: &TrustError) -> &'static str {
    match error {
        TrustError::MalformedChain => "malformed-chain",
        TrustError::UnknownIssuer => "unknown-issuer",
        TrustError::Expired => "expired",
        TrustError::NotYetValid => "not-yet-valid",
        TrustError::Revoked => "revoked",
        TrustError::Unacceptable(_) => "unacceptable",
        TrustError::NoUra => "no-ura",
        TrustError::UraDiffers { .. } => "ura-differs",
        TrustError::BadSignature => "bad-signature",
        TrustError::NotSigned(_) => "not-signed",
        TrustError::DoesNotFit(_) => "does-not-fit",
    }
}
