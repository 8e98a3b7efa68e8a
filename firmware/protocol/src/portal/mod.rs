//! The portal's interface in types: what box and portal say to each other. `PORTAL.md` writes it up with examples.
//!
//! The portal carries what it cannot read: these types hold organisations, times, sizes and digests of ciphertext,
//! and nothing about a patient. Reading is tolerant (unknown fields are ignored, unknown codes are kept as text);
//! what is read becomes a checked type ([`task::TransferNotice`], [`directory::Directory`]) before anybody acts on it.

// Organisations and departments that can be addressed.
pub mod directory;
// Certificates for boxes.
pub mod est;
// FHIR R4 resources, as tolerant structs.
pub mod fhir;
// Images asked for at another hospital, as the portal tells it.
pub mod request;
// A transfer as the portal tells it.
pub mod task;

use data_encoding::BASE64;

use crate::ident::{Digest, TransferId};

/// Version of this interface.
pub const PROTOCOL_VERSION: u32 = 1;

/// Media type of FHIR resources.
pub const FHIR_JSON: &str = "application/fhir+json";

/// Media type of errors outside `/fhir` (RFC 9457).
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Seconds that a poll asks the portal to wait for news (`Prefer: wait`, RFC 7240 §4.3).
pub const POLL_WAIT_SECS: u64 = 25;

/// Path of the part with this digest.
pub fn part_path(transfer: &TransferId, part: &Digest) -> String {
    format!("/parts/{transfer}/{part}")
}

/// Path at which the portal says which parts it does not have.
pub fn missing_parts_path(transfer: &TransferId) -> String {
    format!("/parts/{transfer}/missing")
}

/// Path of a transfer's Task. Its logical id is the transfer's id.
pub fn task_path(transfer: &TransferId) -> String {
    format!("/fhir/Task/{transfer}")
}

/// Path of a transfer's letter. Its logical id is the transfer's id.
pub fn letter_path(transfer: &TransferId) -> String {
    format!("/fhir/Binary/{transfer}")
}

/// Value of `Content-Digest` (RFC 9530) for a body with this SHA-256.
pub fn content_digest(digest: &Digest) -> String {
    format!("sha-256=:{}:", BASE64.encode(digest.as_bytes()))
}

/// Reads a `Content-Digest` that names SHA-256, alone or among others.
pub fn read_content_digest(value: &str) -> Option<Digest> {
    value.split(',').find_map(|member| {
        let encoded = member.trim().strip_prefix("sha-256=:")?.strip_suffix(':')?;
        let bytes = BASE64.decode(encoded.as_bytes()).ok()?;
        Some(Digest::from(<[u8; 32]>::try_from(bytes).ok()?))
    })
}

/// Question and answer at [`missing_parts_path`], and the answer (422) to a commit that came too early.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PartList {
    /// Digests of parts.
    pub parts: Vec<Digest>,
}

/// An error outside `/fhir` (RFC 9457).
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// One sentence.
    pub title: String,
    /// For programs: `missing-parts`, `digest-mismatch`, `quota`, …
    pub code: String,
    /// Parts that are missing, where that is the problem.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Digest>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_digest_reads_back() {
        let digest = Digest::of(b"part");
        assert_eq!(read_content_digest(&content_digest(&digest)), Some(digest));
        assert_eq!(
            read_content_digest(&format!("sha-512=:AAAA:, {}", content_digest(&digest))),
            Some(digest)
        );
        assert_eq!(read_content_digest("sha-256=:AAAA:"), None);
        assert_eq!(read_content_digest("sha-256=xyz"), None);
    }
}
