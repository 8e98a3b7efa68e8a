//! What the ledger keeps sealed: pack keys and everything that may describe a patient.
//!
//! Each value is sealed for its own row, so a value that was copied to another row does not open there. Nonces are
//! random (NIST SP 800-38D §8.3 allows 2³² of them per key).

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use beeldbox_protocol::envelope::keys::{KEY_LEN, Purpose, SecretKey, StorageKey};
use beeldbox_protocol::envelope::pack::PackId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroize;

use crate::error::CustodyError;

/// The storage key and the source of randomness.
pub(crate) struct Vault {
    key: StorageKey,
    random: SystemRandom,
}

/// The row a sealed value belongs to.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    /// `collection.sealed_study`
    Collection(i64),
    /// `transfer.sealed_words`
    Transfer(&'a str),
    /// `receipt.sealed_receipt`, by transfer and stage
    Receipt(&'a str, u8),
    /// `ask.sealed_words`
    Ask(&'a str),
    /// `request.sealed_words`
    Request(&'a str),
    /// `outbox.sealed_payload`
    Outbox(i64),
    /// `audit.sealed_detail`
    Audit(i64),
}

impl Place<'_> {
    fn name(self) -> Vec<u8> {
        match self {
            Place::Collection(id) => format!("collection/{id}"),
            Place::Transfer(id) => format!("transfer/{id}"),
            Place::Receipt(id, stage) => format!("receipt/{id}/{stage}"),
            Place::Ask(id) => format!("ask/{id}"),
            Place::Request(id) => format!("request/{id}"),
            Place::Outbox(id) => format!("outbox/{id}"),
            Place::Audit(seq) => format!("audit/{seq}"),
        }
        .into_bytes()
    }
}

impl Vault {
    pub(crate) fn new(key: StorageKey) -> Self {
        Vault { key, random: SystemRandom::new() }
    }

    /// Fresh random bytes.
    pub(crate) fn random<const N: usize>(&self) -> Result<[u8; N], CustodyError> {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes).map_err(|_| CustodyError::NoRandomness)?;
        Ok(bytes)
    }

    /// A fresh key for a pack.
    pub(crate) fn pack_key(&self) -> Result<SecretKey, CustodyError> {
        let mut bytes = self.random::<KEY_LEN>()?;
        let key = SecretKey::from_bytes(bytes);
        bytes.zeroize();
        Ok(key)
    }

    pub(crate) fn wrap(&self, pack: &PackId, key: &SecretKey) -> Result<Vec<u8>, CustodyError> {
        Ok(self.key.seal(Purpose::PackKey, pack.as_bytes(), self.random()?, key.expose()))
    }

    pub(crate) fn unwrap(&self, pack: &PackId, wrapped: &[u8]) -> Result<SecretKey, CustodyError> {
        let mut opened = self
            .key
            .open(Purpose::PackKey, pack.as_bytes(), wrapped)
            .map_err(|_| CustodyError::DoesNotAuthenticate)?;
        let key = <[u8; KEY_LEN]>::try_from(opened.as_slice()).map(SecretKey::from_bytes);
        opened.zeroize();
        key.map_err(|_| CustodyError::unreadable("pack key"))
    }

    pub(crate) fn seal(&self, place: Place<'_>, value: &[u8]) -> Result<Vec<u8>, CustodyError> {
        Ok(self.key.seal(Purpose::Confidential, &place.name(), self.random()?, value))
    }

    pub(crate) fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, CustodyError> {
        self.key
            .open(Purpose::Confidential, &place.name(), sealed)
            .map_err(|_| CustodyError::DoesNotAuthenticate)
    }

    pub(crate) fn seal_json<T: Serialize>(
        &self,
        place: Place<'_>,
        value: &T,
    ) -> Result<Vec<u8>, CustodyError> {
        let mut json = serde_json::to_vec(value).map_err(|_| CustodyError::unreadable("value to seal"))?;
        let sealed = self.seal(place, &json);
        json.zeroize();
        sealed
    }

    pub(crate) fn open_json<T: DeserializeOwned>(
        &self,
        place: Place<'_>,
        sealed: &[u8],
        what: &'static str,
    ) -> Result<T, CustodyError> {
        let mut json = self.open(place, sealed)?;
        let value = serde_json::from_slice(&json);
        json.zeroize();
        value.map_err(|_| CustodyError::Unreadable { what })
    }
}
