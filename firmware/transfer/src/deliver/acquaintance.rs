//! What is known of the PACS from earlier deliveries, in memory only: it saves time, and never decides without asking again.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use beeldbox_protocol::ident::{SopClassUid, TransferSyntaxUid};
use jiff::Timestamp;

use super::proof::Questions;
use crate::road::after;

/// How long a PACS that took only one association is not asked for more.
const ONE_AT_A_TIME: Duration = Duration::from_secs(600);

/// A kind of object in a transfer syntax.
pub type Kind = (SopClassUid, TransferSyntaxUid);

/// What is known of the PACS.
#[derive(Debug, Default)]
pub struct Acquaintance {
    known: Mutex<Known>,
    /// Of which transfers it has been asked whether it keeps them.
    pub questions: Questions,
}

#[derive(Debug, Default)]
struct Known {
    /// What it took as it is stored.
    granted: HashSet<Kind>,
    one_at_a_time_until: Option<Timestamp>,
    /// By instance: how often an association broke while it was on its way.
    breaks: HashMap<i64, u32>,
}

impl Acquaintance {
    /// Whether it took this kind of object as it is stored, when it was asked last.
    pub fn took(&self, kind: &Kind) -> bool {
        self.known().granted.contains(kind)
    }

    /// What it says to a kind of object as it is stored.
    pub fn learn(&self, kind: &Kind, is_granted: bool) {
        let mut known = self.known();
        if is_granted {
            known.granted.insert(kind.clone());
        } else {
            known.granted.remove(kind);
        }
    }

    /// Whether it may take more than one association.
    pub fn takes_several(&self, now: Timestamp) -> bool {
        self.known().one_at_a_time_until.is_none_or(|until| now >= until)
    }

    /// It did not take another one.
    pub fn took_only_one(&self, now: Timestamp) {
        self.known().one_at_a_time_until = Some(after(now, ONE_AT_A_TIME));
    }

    /// An association broke while this instance was on its way. Gives how often that happened.
    pub fn broke_at(&self, instance: i64) -> u32 {
        let mut known = self.known();
        let times = known.breaks.entry(instance).or_default();
        *times = times.saturating_add(1);
        *times
    }

    /// How often associations broke while this instance was on its way.
    pub fn breaks_at(&self, instance: i64) -> u32 {
        self.known().breaks.get(&instance).copied().unwrap_or(0)
    }

    /// These are settled.
    pub fn forget(&self, instances: impl Iterator<Item = i64>) {
        let mut known = self.known();
        for instance in instances {
            known.breaks.remove(&instance);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
