//! The states of a transfer: what is true, what it waits for, and which moves are allowed.
//!
//! ```text
//!   Outbound   Collecting → Queued → Addressed → Sending ⟲ → Accepted → Fetched → Delivered → Erased
//!                                                                 └──────────────────▲
//!   Inbound    Announced → Fetching ⟲ → Opened → Reconciled → Delivering ⟲ → Delivered → Reported → Erased
//!
//!   not final  → Held → back to where it was held from
//!   under way  → Recalled / Declined / Expired / Failed → Erased
//!   Queued     → Erased      (a person removed the study; nobody else has it)
//!   Addressed  → Queued      (undone before anything left; or → Held, if it was in doubt)
//! ```
//!
//! "Under way" is, outbound, everything from Addressed to Fetched, and inbound everything before Reported; a held
//! transfer counts as under way. The same list stands in `schema.sql`, whose trigger refuses every other move; a test
//! compares the two. What the moves mean on disk is in `QUEUE.md`.

use beeldbox_protocol::ident::AddresseeId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::kind::{InboundKind, Kind, OutboundKind};
use crate::reason::{DeclineReason, FailReason, HoldReason};

/// Which way a transfer goes, seen from this box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From our PACS to another hospital.
    Outbound,
    /// From another hospital to our PACS.
    Inbound,
}

/// Where an outbound transfer stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum OutboundState {
    /// Instances of the study are still arriving; we wait until they stop.
    Collecting,
    /// The study is closed and sealed; we wait for an addressee.
    Queued {
        /// When the study was closed.
        closed_at: Timestamp,
    },
    /// A verified recipient was chosen. Until `leaves_at` it can be undone as if nothing had happened; then the letter
    /// is sealed and the first part goes.
    Addressed {
        /// When the choice was made.
        at: Timestamp,
        /// Not before this anything leaves the box. A ledger of an earlier version has none: it left at once.
        #[serde(default = "long_ago")]
        leaves_at: Timestamp,
        /// Where undoing leads: queued, or held in the doubt it was in. Nothing: it cannot be undone.
        #[serde(default)]
        undo_to: Option<Box<OutboundState>>,
    },
    /// Parts are going to the portal.
    Sending {
        /// Parts that the portal has.
        parts_done: u32,
        /// Parts in all.
        parts_total: u32,
    },
    /// The portal holds every byte, digests compared; we wait for the other hospital to fetch it.
    Accepted {
        /// When the portal said so.
        at: Timestamp,
    },
    /// The other box has it in custody (receipt 1); we wait for its PACS.
    Fetched {
        /// When the receipt arrived.
        at: Timestamp,
    },
    /// The receiving PACS has settled every instance (receipt 2).
    Delivered {
        /// Instances its PACS stored.
        stored: u32,
        /// Instances sent.
        of: u32,
        /// When the receipt arrived.
        at: Timestamp,
    },
    /// The keys are gone, and then the bytes.
    Erased {
        /// When the erasing ended.
        at: Timestamp,
    },
    /// Stands still until someone looks; goes back to where it was.
    Held {
        /// The state it was held from.
        back_to: Box<OutboundState>,
        /// Why.
        reason: HoldReason,
        /// Since when.
        since: Timestamp,
    },
    /// Taken back by us: before the other hospital had it, or erased there because we asked for it back.
    Recalled {
        /// When.
        at: Timestamp,
    },
    /// Refused by the other hospital.
    Declined {
        /// The reason it gave.
        reason: DeclineReason,
        /// Where it belongs in its opinion: an entry of the directory. A hint, as the portal told it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        belongs_at: Option<AddresseeId>,
        /// When.
        at: Timestamp,
    },
    /// Not fetched in time.
    Expired {
        /// When.
        at: Timestamp,
    },
    /// Cannot be completed.
    Failed {
        /// Why.
        reason: FailReason,
        /// When.
        at: Timestamp,
    },
}

fn long_ago() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

/// Where an inbound transfer stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum InboundState {
    /// The portal told us of it; nothing has been fetched.
    Announced,
    /// Letter opened for its list; parts are being fetched.
    Fetching {
        /// Parts on our disk, flushed.
        parts_done: u32,
        /// Parts in all.
        parts_total: u32,
    },
    /// Every frame authenticated; receipt 1 is on its way; we wait for the patient to be matched.
    Opened {
        /// When.
        at: Timestamp,
    },
    /// Patient and order are matched to the local ones; we wait for the PACS.
    Reconciled {
        /// When.
        at: Timestamp,
    },
    /// Instances are going to the PACS.
    Delivering {
        /// Instances that the PACS has answered for good.
        settled: u32,
        /// Instances in all.
        of: u32,
    },
    /// The PACS has settled every instance; we wait until the sender has been told.
    Delivered {
        /// Instances it stored.
        stored: u32,
        /// Instances in all.
        of: u32,
        /// When.
        at: Timestamp,
    },
    /// The portal has our receipt 2.
    Reported {
        /// When.
        at: Timestamp,
    },
    /// The keys are gone, and then the bytes.
    Erased {
        /// When the erasing ended.
        at: Timestamp,
        /// Whether the PACS has, or may have, some of it.
        #[serde(default = "unknown_is_yes")]
        in_pacs: bool,
    },
    /// Stands still until someone looks; goes back to where it was.
    Held {
        /// The state it was held from.
        back_to: Box<InboundState>,
        /// Why.
        reason: HoldReason,
        /// Since when.
        since: Timestamp,
    },
    /// Taken back by the sender.
    Recalled {
        /// When.
        at: Timestamp,
        /// Whether the PACS has, or may have, some of it: a person here keeps it.
        #[serde(default = "unknown_is_yes")]
        in_pacs: bool,
    },
    /// Refused by us.
    Declined {
        /// The reason we gave.
        reason: DeclineReason,
        /// When.
        at: Timestamp,
    },
    /// Not fetched or delivered in time.
    Expired {
        /// When.
        at: Timestamp,
        /// Whether the PACS has, or may have, some of it.
        #[serde(default = "unknown_is_yes")]
        in_pacs: bool,
    },
    /// Cannot be completed.
    Failed {
        /// Why.
        reason: FailReason,
        /// When.
        at: Timestamp,
        /// Whether the PACS has, or may have, some of it.
        #[serde(default = "unknown_is_yes")]
        in_pacs: bool,
    },
}

/// A state of either direction, with its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Of a transfer that leaves.
    Outbound(OutboundState),
    /// Of a transfer that arrives.
    Inbound(InboundState),
}

impl Direction {
    /// The word it has in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::Outbound => "outbound",
            Direction::Inbound => "inbound",
        }
    }

    /// The direction with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "outbound" => Some(Direction::Outbound),
            "inbound" => Some(Direction::Inbound),
            _ => None,
        }
    }
}

impl OutboundState {
    /// The state without its data.
    pub fn kind(&self) -> OutboundKind {
        match self {
            OutboundState::Collecting => OutboundKind::Collecting,
            OutboundState::Queued { .. } => OutboundKind::Queued,
            OutboundState::Addressed { .. } => OutboundKind::Addressed,
            OutboundState::Sending { .. } => OutboundKind::Sending,
            OutboundState::Accepted { .. } => OutboundKind::Accepted,
            OutboundState::Fetched { .. } => OutboundKind::Fetched,
            OutboundState::Delivered { .. } => OutboundKind::Delivered,
            OutboundState::Erased { .. } => OutboundKind::Erased,
            OutboundState::Held { .. } => OutboundKind::Held,
            OutboundState::Recalled { .. } => OutboundKind::Recalled,
            OutboundState::Declined { .. } => OutboundKind::Declined,
            OutboundState::Expired { .. } => OutboundKind::Expired,
            OutboundState::Failed { .. } => OutboundKind::Failed,
        }
    }
}

/// Of a row from before this was noted: whoever asks for it back is then answered by a person.
fn unknown_is_yes() -> bool {
    true
}

impl InboundState {
    /// Whether the PACS here has, or may have, some of it. It stays known when the images are erased: nobody may be told
    /// that nothing is left while the PACS has them. What a person gave back is out of the PACS, as that person said.
    pub fn in_pacs(&self) -> bool {
        match self {
            InboundState::Delivering { .. }
            | InboundState::Delivered { .. }
            | InboundState::Reported { .. } => true,
            InboundState::Erased { in_pacs, .. }
            | InboundState::Recalled { in_pacs, .. }
            | InboundState::Expired { in_pacs, .. }
            | InboundState::Failed { in_pacs, .. } => *in_pacs,
            InboundState::Held { back_to, .. } => back_to.in_pacs(),
            InboundState::Announced
            | InboundState::Fetching { .. }
            | InboundState::Opened { .. }
            | InboundState::Reconciled { .. }
            | InboundState::Declined { .. } => false,
        }
    }

    /// The state without its data.
    pub fn kind(&self) -> InboundKind {
        match self {
            InboundState::Announced => InboundKind::Announced,
            InboundState::Fetching { .. } => InboundKind::Fetching,
            InboundState::Opened { .. } => InboundKind::Opened,
            InboundState::Reconciled { .. } => InboundKind::Reconciled,
            InboundState::Delivering { .. } => InboundKind::Delivering,
            InboundState::Delivered { .. } => InboundKind::Delivered,
            InboundState::Reported { .. } => InboundKind::Reported,
            InboundState::Erased { .. } => InboundKind::Erased,
            InboundState::Held { .. } => InboundKind::Held,
            InboundState::Recalled { .. } => InboundKind::Recalled,
            InboundState::Declined { .. } => InboundKind::Declined,
            InboundState::Expired { .. } => InboundKind::Expired,
            InboundState::Failed { .. } => InboundKind::Failed,
        }
    }
}

impl State {
    /// Which way the transfer goes.
    pub fn direction(&self) -> Direction {
        match self {
            State::Outbound(_) => Direction::Outbound,
            State::Inbound(_) => Direction::Inbound,
        }
    }

    /// The state without its data.
    pub fn kind(&self) -> Kind {
        match self {
            State::Outbound(state) => Kind::Outbound(state.kind()),
            State::Inbound(state) => Kind::Inbound(state.kind()),
        }
    }

    /// Where a held transfer goes back to; nothing for one that is not held.
    pub fn held_from(&self) -> Option<Kind> {
        match self {
            State::Outbound(OutboundState::Held { back_to, .. }) => Some(Kind::Outbound(back_to.kind())),
            State::Inbound(InboundState::Held { back_to, .. }) => Some(Kind::Inbound(back_to.kind())),
            State::Outbound(_) | State::Inbound(_) => None,
        }
    }
}

impl From<OutboundState> for State {
    fn from(state: OutboundState) -> State {
        State::Outbound(state)
    }
}

impl From<InboundState> for State {
    fn from(state: InboundState) -> State {
        State::Inbound(state)
    }
}
