//! What stands for sealed bytes here: a letter with its lists in the clear, and receipts without a signature.
//!
//! Sealing is pure and has vectors of its own; what is simulated is who knows what at which moment.

use std::rc::Rc;

use beeldbox_protocol::envelope::receipt::Receipt;
use beeldbox_protocol::ident::{Digest, TransferId, Ura};
use data_encoding::BASE64URL_NOPAD;
use jiff::Timestamp;

/// One instance: a study of a hospital, and a number in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance {
    /// The study, unique in the world.
    pub study: u32,
    /// Its number in the study.
    pub number: u32,
}

/// A letter. Shared, never changed.
#[derive(Debug, PartialEq, Eq)]
pub struct Letter {
    /// The transfer it was written for.
    pub transfer: TransferId,
    /// Who wrote it.
    pub sender: Ura,
    /// Who may open it.
    pub addressee: Ura,
    /// The earlier transfer that the sender asks back with it.
    pub asks_back: Option<TransferId>,
    /// Until when it may be opened.
    pub valid_until: Timestamp,
    /// What it lists.
    pub instances: Vec<Instance>,
    /// The parts to fetch.
    pub parts: Vec<Digest>,
    /// Drawn when it is sealed: a letter sealed twice is another letter.
    pub sealing: u64,
}

impl Letter {
    /// What receipts refer to.
    pub fn digest(&self) -> Digest {
        Digest::of(format!("{} {} {}", self.transfer, self.valid_until, self.sealing).as_bytes())
    }
}

/// A letter on its way.
pub type SealedLetter = Rc<Letter>;

/// The text of a receipt, in the form of a JWS without a signature.
pub fn write_receipt(receipt: &Receipt) -> String {
    let payload = serde_json::to_vec(receipt).expect("a receipt is always JSON");
    format!("e30.{}.AA", BASE64URL_NOPAD.encode(&payload))
}
