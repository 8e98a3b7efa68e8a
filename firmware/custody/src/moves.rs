//! Which moves between states are allowed: the one list in Rust. Its twin is the table `allowed_move` in `schema.sql`.
//!
//! A move out of *held* must also lead back to the state the transfer was held from; that is data, not kind, and is
//! checked where the move is made.

use crate::kind::{InboundKind, Kind, OutboundKind};

/// Whether a transfer may go from one state to another.
pub fn allowed(from: Kind, to: Kind) -> bool {
    match (from, to) {
        (Kind::Outbound(from), Kind::Outbound(to)) => outbound(from, to),
        (Kind::Inbound(from), Kind::Inbound(to)) => inbound(from, to),
        (Kind::Outbound(_), Kind::Inbound(_)) | (Kind::Inbound(_), Kind::Outbound(_)) => false,
    }
}

fn outbound(from: OutboundKind, to: OutboundKind) -> bool {
    use OutboundKind as K;
    let ends = matches!(to, K::Recalled | K::Declined | K::Expired | K::Failed);
    match from {
        K::Collecting => matches!(to, K::Queued | K::Held),
        K::Queued => matches!(to, K::Addressed | K::Erased | K::Held),
        // Back to queued: undone before anything left.
        K::Addressed => matches!(to, K::Sending | K::Queued | K::Held) || ends,
        K::Sending => matches!(to, K::Sending | K::Accepted | K::Held) || ends,
        // Receipt 2 may arrive before receipt 1 was seen.
        K::Accepted => matches!(to, K::Fetched | K::Delivered | K::Held) || ends,
        K::Fetched => matches!(to, K::Delivered | K::Held) || ends,
        K::Held => {
            ends || matches!(
                to,
                K::Collecting | K::Queued | K::Addressed | K::Sending | K::Accepted | K::Fetched
            )
        }
        K::Delivered | K::Recalled | K::Declined | K::Expired | K::Failed => matches!(to, K::Erased),
        K::Erased => false,
    }
}

fn inbound(from: InboundKind, to: InboundKind) -> bool {
    use InboundKind as K;
    let ends = matches!(to, K::Recalled | K::Declined | K::Expired | K::Failed);
    match from {
        K::Announced => matches!(to, K::Fetching | K::Held) || ends,
        K::Fetching => matches!(to, K::Fetching | K::Opened | K::Held) || ends,
        K::Opened => matches!(to, K::Reconciled | K::Held) || ends,
        K::Reconciled => matches!(to, K::Delivering | K::Held) || ends,
        K::Delivering => matches!(to, K::Delivering | K::Delivered | K::Held) || ends,
        K::Delivered => matches!(to, K::Reported | K::Held) || ends,
        K::Held => {
            ends || matches!(
                to,
                K::Announced | K::Fetching | K::Opened | K::Reconciled | K::Delivering | K::Delivered
            )
        }
        K::Reported | K::Recalled | K::Declined | K::Expired | K::Failed => matches!(to, K::Erased),
        K::Erased => false,
    }
}
