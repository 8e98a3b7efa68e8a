//! The model PACS: it stores, is away, is full, refuses one instance for good, or refuses the box.

use std::collections::{BTreeMap, BTreeSet};

use crate::letter::Instance;

/// Success.
pub const STORED: u16 = 0x0000;
/// Out of resources: worth trying again.
pub const OUT_OF_RESOURCES: u16 = 0xA700;
/// Refused for good.
pub const REFUSED: u16 = 0xA900;

/// How a PACS is at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It stores.
    Well,
    /// It does not answer.
    Down,
    /// It is out of resources.
    Busy,
    /// It refuses associations of the box for good, until somebody looks.
    RefusesBox,
}

/// A PACS.
#[derive(Debug)]
pub struct Pacs {
    /// How it is.
    pub mood: Mood,
    /// Instances it will never take.
    pub dislikes: BTreeSet<Instance>,
    stored: BTreeMap<Instance, u32>,
}

impl Pacs {
    /// An empty one that is well.
    pub fn new() -> Self {
        Pacs { mood: Mood::Well, dislikes: BTreeSet::new(), stored: BTreeMap::new() }
    }

    /// Takes an instance, or not.
    pub fn store(&mut self, instance: Instance) -> u16 {
        match self.mood {
            Mood::Busy => OUT_OF_RESOURCES,
            Mood::Well | Mood::Down | Mood::RefusesBox if self.dislikes.contains(&instance) => REFUSED,
            Mood::Well | Mood::Down | Mood::RefusesBox => {
                *self.stored.entry(instance).or_default() += 1;
                STORED
            }
        }
    }

    /// Everything that was stored, and how often.
    pub fn stored(&self) -> &BTreeMap<Instance, u32> {
        &self.stored
    }
}

impl Default for Pacs {
    fn default() -> Self {
        Pacs::new()
    }
}
