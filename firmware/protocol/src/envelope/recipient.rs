//! Recipient keys: the HPKE key pair of a box, and the signed statement that makes others believe it.
//!
//! The statement is published in the directory. The sending box verifies it against trust anchors that the portal
//! does not run: the addressee is who the certificate says, not who the portal says. Only that check makes a
//! [`RecipientVerified`], and only a `RecipientVerified` can be sealed to.

use std::fmt;

use aws_lc_rs::rand::SecureRandom;
use data_encoding::BASE64URL_NOPAD;
use hpke::kem::XWing;
use hpke::{Deserializable, Kem, Serializable};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::jws::{self, Kind, OrganisationSigner};
use super::trust::{TrustAnchors, TrustError, VerifiedOrganisation};
use crate::ident::{Digest, Ura};

/// Bytes of an X-Wing public key.
pub const PUBLIC_KEY_LEN: usize = 1216;

/// The private side: what a box opens letters with. Wiped when dropped, never printed.
pub struct RecipientIdentity {
    private: <XWing as Kem>::PrivateKey,
    public: Vec<u8>,
}

impl RecipientIdentity {
    /// From 32 secret bytes (the X-Wing decapsulation key is a seed).
    ///
    /// # Errors
    /// If there are not exactly 32.
    pub fn from_seed(seed: &[u8]) -> Result<Self, TrustError> {
        let private = <XWing as Kem>::PrivateKey::from_bytes(seed)
            .map_err(|_| TrustError::DoesNotFit("a recipient key is 32 bytes"))?;
        let public = XWing::sk_to_pk(&private).to_bytes().to_vec();
        Ok(RecipientIdentity { private, public })
    }

    /// The public key.
    pub fn public_key(&self) -> &[u8] {
        &self.public
    }

    /// The key's id.
    pub fn key_id(&self) -> Digest {
        Digest::of(&self.public)
    }

    pub(crate) fn private(&self) -> &<XWing as Kem>::PrivateKey {
        &self.private
    }

    /// Makes the statement to publish: this key is ours, from then till then.
    pub fn statement(
        &self,
        signer: &OrganisationSigner,
        valid_from: Timestamp,
        valid_until: Timestamp,
        random: &dyn SecureRandom,
    ) -> String {
        let statement = KeyStatement {
            v: 1,
            ura: signer.ura().clone(),
            kem: "X-Wing".to_owned(),
            key: BASE64URL_NOPAD.encode(&self.public),
            id: self.key_id(),
            valid_from,
            valid_until,
        };
        let payload = serde_json::to_vec(&statement).expect("a statement is always JSON");
        signer.sign(Kind::RecipientKey, &payload, random)
    }
}

impl fmt::Debug for RecipientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecipientIdentity({})", self.key_id())
    }
}

#[derive(Serialize, Deserialize)]
struct KeyStatement {
    v: u8,
    ura: Ura,
    kem: String,
    key: String,
    id: Digest,
    valid_from: Timestamp,
    valid_until: Timestamp,
}

/// Proof that a recipient key belongs to a care provider: the statement's signature, the chain to a trust anchor,
/// its validity and revocation, and the URA of the directory entry were all checked.
#[derive(Clone)]
pub struct RecipientVerified {
    organisation: VerifiedOrganisation,
    key: <XWing as Kem>::PublicKey,
    key_id: Digest,
    valid_until: Timestamp,
}

impl RecipientVerified {
    /// Checks a published statement for the care provider of the directory entry.
    ///
    /// # Errors
    /// Whatever cannot be believed, by name.
    pub fn verify(
        statement: &str,
        expected: &Ura,
        anchors: &TrustAnchors,
        at: Timestamp,
    ) -> Result<Self, TrustError> {
        let (payload, organisation) = jws::verify(Kind::RecipientKey, statement, anchors, at)?;
        let statement: KeyStatement = serde_json::from_slice(&payload)
            .map_err(|_| TrustError::DoesNotFit("the statement cannot be read"))?;
        if statement.v != 1 || statement.kem != "X-Wing" {
            return Err(TrustError::DoesNotFit("version or kind of key is unknown"));
        }
        for ura in [organisation.ura(), &statement.ura] {
            if ura != expected {
                return Err(TrustError::UraDiffers { expected: expected.clone(), found: ura.clone() });
            }
        }
        if at < statement.valid_from {
            return Err(TrustError::NotYetValid);
        }
        if at > statement.valid_until {
            return Err(TrustError::Expired);
        }
        let bytes = BASE64URL_NOPAD
            .decode(statement.key.as_bytes())
            .map_err(|_| TrustError::DoesNotFit("the key is not base64url"))?;
        if Digest::of(&bytes) != statement.id {
            return Err(TrustError::DoesNotFit("the key is not the one its id names"));
        }
        let key = <XWing as Kem>::PublicKey::from_bytes(&bytes)
            .map_err(|_| TrustError::DoesNotFit("the key is not an X-Wing key"))?;
        Ok(RecipientVerified { organisation, key, key_id: statement.id, valid_until: statement.valid_until })
    }

    /// Whose key it is.
    pub fn organisation(&self) -> &VerifiedOrganisation {
        &self.organisation
    }

    /// The key's id.
    pub fn key_id(&self) -> Digest {
        self.key_id
    }

    /// Last moment at which its owner wants it used.
    pub fn valid_until(&self) -> Timestamp {
        self.valid_until
    }

    pub(crate) fn key(&self) -> &<XWing as Kem>::PublicKey {
        &self.key
    }
}

impl fmt::Debug for RecipientVerified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecipientVerified({}, key {})", self.organisation.ura(), self.key_id)
    }
}
