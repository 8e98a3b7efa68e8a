//! PDUs as types, their errors, and the codec of the association PDUs.
//!
//! P-DATA-TF is never held as a whole and never goes through a codec: see [`crate::inflow`]. The codec of dicom-ul is
//! used on complete control PDUs only. PS3.8 §9.3 (structure of PDUs).

use std::io;

use bytes::Bytes;
use dicom_ul::pdu::{AssociationAC, AssociationRQ, Pdu};

use crate::greeting::Greeting;
use crate::upper_layer::Impossible;

/// Largest control PDU we take. 128 contexts with many syntaxes exceed 32 KiB in the field; a MiB is beyond any of them.
pub(crate) const LARGEST_CONTROL_PDU: u32 = 1 << 20;
/// Why the wire cannot go on. Sorted by who must act: the peer, the network, nobody.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The peer broke the rules of the upper layer protocol.
    #[error("the peer sent a malformed PDU: {0}")]
    Malformed(&'static str),
    /// The peer sent something that has no place here.
    #[error("the peer sent an unexpected PDU: {0}")]
    Unexpected(&'static str),
    /// A PDU type that the standard does not know.
    #[error("the peer sent a PDU of unknown type {0:#04x}")]
    UnknownType(u8),
    /// The first bytes of a connection are not those of this port's protocol.
    #[error("the peer speaks {0}")]
    Foreign(Greeting),
    /// A control PDU above our limit.
    #[error("the peer declared a control PDU of {length} bytes")]
    ControlTooLarge {
        /// Declared length.
        length: u32,
    },
    /// Nothing came in time.
    #[error("nothing was received in time")]
    Silent,
    /// Bytes came, but too few: a PDU was not complete by its deadline, or a message fell below the least rate.
    #[error("the peer sends too slowly")]
    TooSlow,
    /// The peer did not take our bytes in time.
    #[error("the peer did not read in time")]
    Stalled,
    /// The peer closed the connection without releasing the association.
    #[error("the peer closed the connection")]
    Closed,
    /// The connection broke.
    #[error("the connection broke")]
    Io(#[source] io::Error),
    /// This node is stopping.
    #[error("this node is stopping")]
    Stopping,
    /// Room was needed for others, and nothing had been asked here yet.
    #[error("the connection made room for a newer one")]
    Evicted,
    /// We tried a step out of turn: our own mistake.
    #[error("a step out of turn: {0}")]
    OutOfTurn(String),
}

impl From<Impossible> for WireError {
    fn from(step: Impossible) -> Self {
        WireError::OutOfTurn(step.to_string())
    }
}

/// What a PDV carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PdvKind {
    Command,
    Data,
}

/// A piece of a presentation data value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) context: u8,
    pub(crate) kind: PdvKind,
    pub(crate) chunk: Bytes,
    /// Set on the last piece of the last fragment only.
    pub(crate) last: bool,
}

/// What came in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// A-ASSOCIATE-RQ, complete with its header.
    AssociateRequest(Bytes),
    /// A-ASSOCIATE-AC, complete with its header.
    AssociateAccept(Bytes),
    /// A-ASSOCIATE-RJ.
    AssociateReject { result: u8, source: u8, reason: u8 },
    /// Part of a message.
    Piece(Piece),
    /// A-RELEASE-RQ.
    ReleaseRequest,
    /// A-RELEASE-RP.
    ReleaseReply,
    /// A-ABORT.
    Abort { source: u8, reason: u8 },
}

/// A-RELEASE-RQ (PS3.8 §9.3.6).
pub(crate) const RELEASE_REQUEST: [u8; 10] = [5, 0, 0, 0, 0, 4, 0, 0, 0, 0];
/// A-RELEASE-RP (PS3.8 §9.3.7).
pub(crate) const RELEASE_REPLY: [u8; 10] = [6, 0, 0, 0, 0, 4, 0, 0, 0, 0];
/// A-ABORT by the service user, that is by a decision of ours (PS3.8 §9.3.8).
pub(crate) const ABORT_BY_USER: [u8; 10] = [7, 0, 0, 0, 0, 4, 0, 0, 0, 0];

/// A-ABORT by the service provider, with the reason (PS3.8 §9.3.8, source 2).
pub(crate) fn abort_by_provider(error: &WireError) -> [u8; 10] {
    let reason = match error {
        WireError::UnknownType(_) | WireError::Foreign(_) => 1,
        WireError::Unexpected(_) => 2,
        WireError::Malformed(_) | WireError::ControlTooLarge { .. } => 6,
        WireError::Silent
        | WireError::TooSlow
        | WireError::Stalled
        | WireError::Closed
        | WireError::Io(_)
        | WireError::Stopping
        | WireError::Evicted
        | WireError::OutOfTurn(_) => 0,
    };
    [7, 0, 0, 0, 0, 4, 0, 0, 2, reason]
}

/// Decodes a complete A-ASSOCIATE-RQ.
pub(crate) fn decode_request(pdu: &Bytes) -> Result<AssociationRQ, WireError> {
    match dicom_ul::pdu::read_pdu(pdu.clone(), LARGEST_CONTROL_PDU, true) {
        Ok(Some(Pdu::AssociationRQ(request))) => Ok(request),
        Ok(_) | Err(_) => Err(WireError::Malformed("A-ASSOCIATE-RQ cannot be decoded")),
    }
}

/// Decodes a complete A-ASSOCIATE-AC.
pub(crate) fn decode_accept(pdu: &Bytes) -> Result<AssociationAC, WireError> {
    let repaired = with_transfer_syntax_in_refused_contexts(pdu);
    match dicom_ul::pdu::read_pdu(repaired.as_slice(), 2 * LARGEST_CONTROL_PDU, true) {
        Ok(Some(Pdu::AssociationAC(accept))) => Ok(accept),
        Ok(_) | Err(_) => Err(WireError::Malformed("A-ASSOCIATE-AC cannot be decoded")),
    }
}

/// Encodes an association PDU.
pub(crate) fn encode(pdu: &Pdu) -> Result<Vec<u8>, WireError> {
    let mut bytes = Vec::with_capacity(4096);
    dicom_ul::pdu::write_pdu(&mut bytes, pdu)
        .map_err(|_| WireError::Malformed("our own PDU cannot be encoded"))?;
    Ok(bytes)
}

/// A refused context may come without a transfer syntax (PS3.8 §9.3.3.2: not significant), which the codec does not
/// take. Gives each of those one; everything else is copied as it is.
fn with_transfer_syntax_in_refused_contexts(pdu: &[u8]) -> Vec<u8> {
    const FILLER: &[u8] = b"\x40\x00\x00\x011";
    let fixed = pdu.len().min(74);
    let mut repaired = pdu[..fixed].to_vec();
    let mut rest = &pdu[fixed..];
    while let [kind, _, high, low, ..] = *rest {
        let whole = 4 + usize::from(u16::from_be_bytes([high, low]));
        let Some(item) = rest.get(..whole) else { break };
        repaired.extend_from_slice(item);
        if kind == 0x21 && whole == 8 && item[6] != 0 {
            let from = repaired.len() - 8;
            repaired[from + 2..from + 4].copy_from_slice(&[0, 9]);
            repaired.extend_from_slice(FILLER);
        }
        rest = &rest[whole..];
    }
    repaired.extend_from_slice(rest);
    if let (Ok(length), true) = (u32::try_from(repaired.len().saturating_sub(6)), repaired.len() >= 6) {
        repaired[2..6].copy_from_slice(&length.to_be_bytes());
    }
    repaired
}

#[cfg(test)]
#[path = "pdu_tests.rs"]
mod tests;
