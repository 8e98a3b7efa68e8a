//! Counters of what happened sometimes. A fault that never fires and a state that nobody reaches test nothing.

use std::collections::BTreeMap;

use beeldbox_custody::{InboundKind, Kind, OutboundKind};

/// Everything that must happen at least once in a run over many seeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sometimes {
    /// A box lost its power with nothing under way.
    Crash,
    /// A box lost its power with a commit under way, which was lost.
    CrashBeforeCommit,
    /// A box lost its power between a commit and whoever waited for it.
    CrashAfterCommit,
    /// A box lost its power while the portal did what it had asked.
    CrashAfterEffect,
    /// The portal was restarted.
    PortalRestart,
    /// A request did not arrive.
    RequestLost,
    /// A request took effect and its answer was lost.
    AnswerLostAfterEffect,
    /// A request arrived twice.
    Duplicated,
    /// An answer overtook an earlier one.
    Reordered,
    /// A box was cut off from the portal.
    Partition,
    /// A request met a portal that was down.
    PortalDown,
    /// The portal asked to come back later.
    PortalBusy,
    /// The portal refused a box.
    PortalRefused,
    /// The PACS did not answer.
    PacsDown,
    /// The PACS was out of resources.
    PacsBusy,
    /// The PACS refused an instance for good.
    PacsRefusedInstance,
    /// The PACS refused the box.
    PacsRefusedBox,
    /// The PACS stored an instance, and its answer was lost.
    PacsAnswerLost,
    /// The clock of a box was set.
    ClockSet,
    /// A person took a transfer back in time.
    Recalled,
    /// A person came too late to take a transfer back.
    RecallTooLate,
    /// A person could not take a transfer back because the portal did not answer.
    RecallFailed,
    /// A recall met a fetch under way.
    RecallDuringFetch,
    /// A person refused a transfer.
    Declined,
    /// The portal let a transfer expire.
    ExpiredAtPortal,
    /// A letter was too old when it was opened.
    LetterExpired,
    /// A person let a held transfer go on.
    Resumed,
    /// A person sent a study to a second addressee.
    SecondAddressee,
    /// Another move of the same transfer came first.
    Stale,
    /// A message came too late to be told.
    ToldTooLate,
    /// A study was kept because another transfer needed it.
    StillNeeded,
    /// Start-up ended an erasing that was begun.
    ErasingResumed,
    /// A receipt overtook the answer to the commit.
    ReceiptBeforeAnswer,
    /// A person undid the choice of an addressee.
    Undone,
    /// A person came too late to undo the choice.
    UndoTooLate,
    /// A person asked for a transfer back.
    AskedBack,
    /// A question for a transfer back ran out of time before the portal had it.
    AskNotTold,
    /// What was asked back was not in the PACS, and went by itself.
    GivenBackAtOnce,
    /// What was asked back was in the PACS, and waits for a person.
    AskWaits,
    /// The sender has proof that what it asked back is erased.
    AskGranted,
    /// The sender knows that what it asked back is kept.
    AskRefused,
    /// A transfer was taken back at the portal while the other side delivered it.
    CancelledTooLate,
}

impl Sometimes {
    /// All of them.
    pub const ALL: [Sometimes; 42] = {
        use Sometimes as S;
        [
            S::Crash,
            S::CrashBeforeCommit,
            S::CrashAfterCommit,
            S::CrashAfterEffect,
            S::PortalRestart,
            S::RequestLost,
            S::AnswerLostAfterEffect,
            S::Duplicated,
            S::Reordered,
            S::Partition,
            S::PortalDown,
            S::PortalBusy,
            S::PortalRefused,
            S::PacsDown,
            S::PacsBusy,
            S::PacsRefusedInstance,
            S::PacsRefusedBox,
            S::PacsAnswerLost,
            S::ClockSet,
            S::Recalled,
            S::RecallTooLate,
            S::RecallFailed,
            S::RecallDuringFetch,
            S::Declined,
            S::ExpiredAtPortal,
            S::LetterExpired,
            S::Resumed,
            S::SecondAddressee,
            S::Stale,
            S::ToldTooLate,
            S::StillNeeded,
            S::ErasingResumed,
            S::ReceiptBeforeAnswer,
            S::Undone,
            S::UndoTooLate,
            S::AskedBack,
            S::AskNotTold,
            S::GivenBackAtOnce,
            S::AskWaits,
            S::AskGranted,
            S::AskRefused,
            S::CancelledTooLate,
        ]
    };
}

/// How often what happened, and how often which state was reached.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    happened: BTreeMap<Sometimes, u64>,
    reached: BTreeMap<Kind, u64>,
}

impl Tally {
    /// It happened.
    pub fn count(&mut self, what: Sometimes) {
        *self.happened.entry(what).or_default() += 1;
    }

    /// A transfer came into a state.
    pub fn reach(&mut self, kind: Kind) {
        *self.reached.entry(kind).or_default() += 1;
    }

    /// Takes another run's counts in.
    pub fn add(&mut self, other: &Tally) {
        for (what, times) in &other.happened {
            *self.happened.entry(*what).or_default() += times;
        }
        for (kind, times) in &other.reached {
            *self.reached.entry(*kind).or_default() += times;
        }
    }

    /// What never happened, and which states nobody reached. *Failed* is left out: no worker of this version says it.
    pub fn never(&self) -> Vec<String> {
        let happened = Sometimes::ALL.iter().filter(|what| !self.happened.contains_key(what));
        let outbound = OutboundKind::ALL.iter().filter(|kind| **kind != OutboundKind::Failed);
        let inbound = InboundKind::ALL.iter().filter(|kind| **kind != InboundKind::Failed);
        let kinds = outbound.map(|kind| Kind::Outbound(*kind)).chain(inbound.map(|k| Kind::Inbound(*k)));
        let reached = kinds.filter(|kind| !self.reached.contains_key(kind));
        happened.map(|what| format!("{what:?}")).chain(reached.map(|kind| format!("{kind:?}"))).collect()
    }

    /// One line per counter.
    pub fn lines(&self) -> Vec<String> {
        let happened = Sometimes::ALL.iter().map(|what| (format!("{what:?}"), self.happened.get(what)));
        let reached = self.reached.iter().map(|(kind, times)| (format!("{kind:?}"), Some(times)));
        happened
            .chain(reached)
            .map(|(name, times)| format!("{:>9}  {name}", times.copied().unwrap_or_default()))
            .collect()
    }
}
