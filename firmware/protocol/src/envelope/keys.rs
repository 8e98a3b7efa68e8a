//! Keys that wipe themselves and do not print, and the one key derivation they share.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Length of every symmetric key of suite 1, in bytes.
pub const KEY_LEN: usize = 32;

/// Length of an AES-GCM authentication tag, in bytes.
pub const AUTH_TAG_LEN: usize = 16;

/// 256 bits of secret. What it protects is said by the type around it.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SecretKey([u8; KEY_LEN]);

impl SecretKey {
    /// Takes over key bytes. The caller wipes its own copy.
    pub fn from_bytes(bytes: [u8; KEY_LEN]) -> Self {
        SecretKey(bytes)
    }

    /// The key bytes, for wrapping them under another key.
    pub fn expose(&self) -> &[u8; KEY_LEN] {
        &self.0
    }

    /// Derives another key: HKDF-SHA-256 (RFC 5869) with this key as input keying material.
    pub fn derive(&self, salt: &[u8], info: &[&[u8]]) -> SecretKey {
        let mut out = [0; KEY_LEN];
        hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
            .extract(&self.0)
            .expand(info, hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut out))
            .expect("HKDF-SHA-256 always yields 32 bytes");
        let key = SecretKey(out);
        out.zeroize();
        key
    }

    /// The AES-256-GCM key with these bytes.
    pub(crate) fn aead(&self) -> LessSafeKey {
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &self.0).expect("a 32-byte key fits AES-256-GCM"))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(withheld)")
    }
}

/// Something sealed under a key of the box was changed, belongs elsewhere, or was sealed under another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sealed value does not authenticate: changed, misplaced, or under another key")]
pub struct DoesNotAuthenticate;

/// The key that everything at rest on the box hangs from. Comes in as a systemd credential.
///
/// It wraps pack keys and seals the ledger's confidential columns. Each purpose has its own derived key, and the
/// place a value belongs to is authenticated with it, so that a wrapped value cannot be moved to another row.
#[derive(Clone, Debug)]
pub struct StorageKey(SecretKey);

/// What a value sealed under the storage key is for. Part of the key derivation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The key of a pack.
    PackKey,
    /// Text about a patient, or written by a person.
    Confidential,
    /// Lookup keys: values that must be found again without being readable.
    Lookup,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Purpose::PackKey => b"beeldbox/1 storage pack-key",
            Purpose::Confidential => b"beeldbox/1 storage confidential",
            Purpose::Lookup => b"beeldbox/1 storage lookup",
        }
    }
}

impl StorageKey {
    /// Takes over the key bytes.
    pub fn from_bytes(bytes: [u8; KEY_LEN]) -> Self {
        StorageKey(SecretKey::from_bytes(bytes))
    }

    /// Seals a small value: `nonce (12) | ciphertext | tag (16)`. `place` names the row the value belongs to and
    /// `nonce` must be fresh random bytes: one storage key seals far fewer than 2³² values, the limit for random
    /// nonces of AES-GCM (NIST SP 800-38D §8.3).
    pub fn seal(&self, purpose: Purpose, place: &[u8], nonce: [u8; 12], value: &[u8]) -> Vec<u8> {
        let key = self.0.derive(&[], &[purpose.label()]).aead();
        let mut sealed = Vec::with_capacity(12 + value.len() + AUTH_TAG_LEN);
        sealed.extend_from_slice(value);
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place), &mut sealed)
            .expect("AES-256-GCM seals any value that fits in memory");
        sealed.splice(0..0, nonce);
        sealed
    }

    /// Opens what [`StorageKey::seal`] made for the same purpose and place.
    ///
    /// # Errors
    /// If the value was changed, belongs to another place or purpose, or was sealed under another key.
    pub fn open(
        &self,
        purpose: Purpose,
        place: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, DoesNotAuthenticate> {
        let (nonce, body) = sealed.split_first_chunk::<12>().ok_or(DoesNotAuthenticate)?;
        let key = self.0.derive(&[], &[purpose.label()]).aead();
        let mut body = body.to_vec();
        let length = key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(place), &mut body)
            .map_err(|_| DoesNotAuthenticate)?
            .len();
        body.truncate(length);
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_at_its_own_place() {
        let key = StorageKey::from_bytes([3; 32]);
        let sealed = key.seal(Purpose::PackKey, b"pack 1", [9; 12], b"value");
        assert_eq!(key.open(Purpose::PackKey, b"pack 1", &sealed).unwrap(), b"value");
        assert!(key.open(Purpose::PackKey, b"pack 2", &sealed).is_err());
        assert!(key.open(Purpose::Confidential, b"pack 1", &sealed).is_err());
        assert!(StorageKey::from_bytes([4; 32]).open(Purpose::PackKey, b"pack 1", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open(Purpose::PackKey, b"pack 1", &changed).is_err(), "byte {at}");
        }
        assert!(key.open(Purpose::PackKey, b"pack 1", &sealed[..11]).is_err());
    }

    #[test]
    fn keys_do_not_print() {
        assert_eq!(format!("{:?}", StorageKey::from_bytes([3; 32])), "StorageKey(SecretKey(withheld))");
    }
}
