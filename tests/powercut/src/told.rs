//! What custody told somebody, in the order of telling: each line is a promise that must hold at any later power cut.

use anyhow::Result;
use beeldbox_custody::Kind;
use serde::{Deserialize, Serialize};

use crate::image::Name;

/// Words of the states in an order in which every road of a transfer goes upwards.
const RANKS: [&str; 14] = [
    "collecting",
    "announced",
    "queued",
    "fetching",
    "addressed",
    "opened",
    "sending",
    "reconciled",
    "accepted",
    "delivering",
    "fetched",
    "delivered",
    "reported",
    "erased",
];

/// One thing that custody told, or that it was asked and may have begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    /// There is a [`beeldbox_custody::DurablyStored`] for it, or the last part of it was written.
    Stored(Name),
    /// A transfer of a study reached a state.
    Moved {
        /// Its name.
        transfer: String,
        /// The word of the state.
        to: String,
    },
    /// A part that was fetched is on disk.
    Part {
        /// For which transfer.
        transfer: String,
        /// Which pack.
        pack: String,
        /// Which piece of it.
        index: u32,
    },
    /// Erasing is about to be asked for: from here on the study may be gone.
    Erasing {
        /// Which study.
        study: u32,
        /// Its packs.
        packs: Vec<String>,
    },
    /// Start-up is over, and with it the erasing that was begun before the cut.
    Started,
    /// The study is erased.
    Erased {
        /// Which study.
        study: u32,
        /// Its packs.
        packs: Vec<String>,
    },
    /// The audit trail has at least so many rows.
    Audited {
        /// How many.
        rows: u64,
    },
}

/// Who is told.
pub trait Listener: Send + Sync {
    /// Notes one thing before anything else happens.
    ///
    /// # Errors
    /// If it cannot be noted; the script must then stop.
    fn told(&self, told: &Told) -> Result<()>;
}

/// Place of a state on the road; nothing for a state that the scripts do not use.
pub fn rank(word: &str) -> Option<usize> {
    RANKS.iter().position(|known| *known == word)
}

/// The word of a state.
pub fn word(kind: Kind) -> String {
    kind.as_str().to_owned()
}
