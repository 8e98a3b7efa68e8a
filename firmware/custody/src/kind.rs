//! The states of a transfer without their data: what moves are about, and the words the ledger keeps.

use serde::{Deserialize, Serialize};

use crate::state::Direction;

/// A state of either direction, without its data: what moves are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Of a transfer that leaves.
    Outbound(OutboundKind),
    /// Of a transfer that arrives.
    Inbound(InboundKind),
}

impl Kind {
    /// Which way the transfer goes.
    pub fn direction(self) -> Direction {
        match self {
            Kind::Outbound(_) => Direction::Outbound,
            Kind::Inbound(_) => Direction::Inbound,
        }
    }

    /// The word it has in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Outbound(kind) => kind.as_str(),
            Kind::Inbound(kind) => kind.as_str(),
        }
    }

    /// Whether nothing more happens by itself: only erasing is left, or not even that.
    pub fn is_final(self) -> bool {
        use InboundKind as In;
        use OutboundKind as Out;
        match self {
            Kind::Outbound(kind) => match kind {
                Out::Delivered | Out::Erased | Out::Recalled | Out::Declined | Out::Expired | Out::Failed => {
                    true
                }
                Out::Collecting
                | Out::Queued
                | Out::Addressed
                | Out::Sending
                | Out::Accepted
                | Out::Fetched
                | Out::Held => false,
            },
            Kind::Inbound(kind) => match kind {
                In::Reported | In::Erased | In::Recalled | In::Declined | In::Expired | In::Failed => true,
                In::Announced
                | In::Fetching
                | In::Opened
                | In::Reconciled
                | In::Delivering
                | In::Delivered
                | In::Held => false,
            },
        }
    }
}

/// Writes the data-less twin of a state enum: `ALL`, and the word it has in the ledger.
macro_rules! kinds {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// Every state, in the order of the flow.
            pub const ALL: &[$name] = &[$($name::$variant),*];

            /// The word it has in the ledger and in what programs tell each other.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word,)* }
            }

            /// The state with this word.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some($name::$variant),)* _ => None }
            }
        }
    };
}

kinds! {
    /// The states of an outbound transfer, without their data.
    OutboundKind {
        /// [`crate::state::OutboundState::Collecting`]
        Collecting = "collecting",
        /// [`crate::state::OutboundState::Queued`]
        Queued = "queued",
        /// [`crate::state::OutboundState::Addressed`]
        Addressed = "addressed",
        /// [`crate::state::OutboundState::Sending`]
        Sending = "sending",
        /// [`crate::state::OutboundState::Accepted`]
        Accepted = "accepted",
        /// [`crate::state::OutboundState::Fetched`]
        Fetched = "fetched",
        /// [`crate::state::OutboundState::Delivered`]
        Delivered = "delivered",
        /// [`crate::state::OutboundState::Erased`]
        Erased = "erased",
        /// [`crate::state::OutboundState::Held`]
        Held = "held",
        /// [`crate::state::OutboundState::Recalled`]
        Recalled = "recalled",
        /// [`crate::state::OutboundState::Declined`]
        Declined = "declined",
        /// [`crate::state::OutboundState::Expired`]
        Expired = "expired",
        /// [`crate::state::OutboundState::Failed`]
        Failed = "failed",
    }
}

kinds! {
    /// The states of an inbound transfer, without their data.
    InboundKind {
        /// [`crate::state::InboundState::Announced`]
        Announced = "announced",
        /// [`crate::state::InboundState::Fetching`]
        Fetching = "fetching",
        /// [`crate::state::InboundState::Opened`]
        Opened = "opened",
        /// [`crate::state::InboundState::Reconciled`]
        Reconciled = "reconciled",
        /// [`crate::state::InboundState::Delivering`]
        Delivering = "delivering",
        /// [`crate::state::InboundState::Delivered`]
        Delivered = "delivered",
        /// [`crate::state::InboundState::Reported`]
        Reported = "reported",
        /// [`crate::state::InboundState::Erased`]
        Erased = "erased",
        /// [`crate::state::InboundState::Held`]
        Held = "held",
        /// [`crate::state::InboundState::Recalled`]
        Recalled = "recalled",
        /// [`crate::state::InboundState::Declined`]
        Declined = "declined",
        /// [`crate::state::InboundState::Expired`]
        Expired = "expired",
        /// [`crate::state::InboundState::Failed`]
        Failed = "failed",
    }
}
