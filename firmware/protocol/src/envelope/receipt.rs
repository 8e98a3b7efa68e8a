//! Receipts: what the other side has proven, signed by its organisation.
//!
//! Receipt 1 (*in custody*) says that every frame was fetched and authenticated; receipt 2 (*in PACS*) says which
//! instances the receiving PACS has confirmed. A third kind (*erased*) answers a question for a transfer back. A receipt
//! travels in `Task.output`, in the clear towards the portal: so it names instances by their place in the letter and
//! never by UID. It binds the letter's digest, so a receipt for one transfer cannot be shown for another.

use std::collections::HashSet;

use aws_lc_rs::rand::SecureRandom;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::jws::{self, Kind, OrganisationSigner};
use super::trust::{TrustAnchors, TrustError, VerifiedOrganisation};
use crate::admin::{ReceiptStage, RefusedInstance};
use crate::ident::{Digest, TransferId, Ura};

/// The signed content of a receipt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Receipt {
    /// Version of this content: 1.
    pub v: u8,
    /// The transfer.
    pub transfer: TransferId,
    /// SHA-256 of the sealed letter.
    pub letter: Digest,
    /// Which of them.
    pub stage: ReceiptStage,
    /// Who signs: the addressee of the transfer.
    pub by: Ura,
    /// To whom: its sender.
    pub to: Ura,
    /// Instances stored.
    pub stored: u32,
    /// Of how many.
    pub of: u32,
    /// Those that were not, by place and status.
    #[serde(default)]
    pub refused: Vec<RefusedInstance>,
    /// When, by the signer's clock.
    pub at: Timestamp,
}

/// What a receipt must be about to be believed.
#[derive(Debug, Clone)]
pub struct Expected<'a> {
    /// Our transfer.
    pub transfer: &'a TransferId,
    /// Digest of the letter we sealed.
    pub letter: Digest,
    /// Whom we addressed.
    pub addressee: &'a Ura,
    /// Ourselves.
    pub sender: &'a Ura,
    /// Instances in the letter.
    pub instances: u32,
}

impl Receipt {
    /// Signs the receipt.
    pub fn sign(&self, signer: &OrganisationSigner, random: &dyn SecureRandom) -> String {
        let payload = serde_json::to_vec(self).expect("a receipt is always JSON");
        signer.sign(Kind::Receipt, &payload, random)
    }

    /// Reads a receipt that was verified before, such as one from the box's own ledger. Proves nothing.
    pub fn read_verified(jws: &str) -> Option<Receipt> {
        let payload = data_encoding::BASE64URL_NOPAD.decode(jws.split('.').nth(1)?.as_bytes()).ok()?;
        serde_json::from_slice(&payload).ok()
    }

    /// Verifies a receipt: signature, chain, and that it is about the transfer expected.
    ///
    /// # Errors
    /// Whatever cannot be believed, by name. A receipt that fails here changes no state.
    pub fn verify(
        jws: &str,
        expected: &Expected<'_>,
        anchors: &TrustAnchors,
        at: Timestamp,
    ) -> Result<(Receipt, VerifiedOrganisation), TrustError> {
        let (payload, organisation) = jws::verify(Kind::Receipt, jws, anchors, at)?;
        let receipt: Receipt = serde_json::from_slice(&payload)
            .map_err(|_| TrustError::DoesNotFit("the receipt cannot be read"))?;
        for ura in [organisation.ura(), &receipt.by] {
            if ura != expected.addressee {
                return Err(TrustError::UraDiffers {
                    expected: expected.addressee.clone(),
                    found: ura.clone(),
                });
            }
        }
        let fits = receipt.v == 1
            && receipt.transfer == *expected.transfer
            && receipt.letter == expected.letter
            && receipt.to == *expected.sender
            && receipt.of == expected.instances;
        if !fits {
            return Err(TrustError::DoesNotFit("the receipt is about something else"));
        }
        if !receipt.adds_up() {
            return Err(TrustError::DoesNotFit("the numbers of the receipt do not add up"));
        }
        Ok((receipt, organisation))
    }

    /// Every instance is either stored or named as refused, once: so nobody is told *n of n* beside a list of
    /// refusals.
    fn adds_up(&self) -> bool {
        let positions: HashSet<u32> = self.refused.iter().map(|refused| refused.position).collect();
        let refused = u32::try_from(positions.len()).ok();
        positions.len() == self.refused.len()
            && positions.iter().all(|position| *position < self.of)
            && refused.and_then(|refused| refused.checked_add(self.stored)) == Some(self.of)
    }
}
