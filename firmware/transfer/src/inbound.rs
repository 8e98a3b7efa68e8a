//! The inbound machine: what each event does to a transfer that arrives.
//!
//! ```text
//!   Announced ──letter opened──► Fetching ⟲ part fetched ──all authenticated──► Opened (receipt 1)
//!                                                                                  │ patient confirmed
//!   Erased ◄──erased── Reported ◄──receipt 2 told── Delivered ◄──all settled── Delivering ⟲ ◄── Reconciled
//!
//!   Announced … Delivering ──► Recalled | Declined | Expired | Failed ──erased──► Erased
//!   Delivered ──expired at the portal before it was told──► Expired
//!   Announced … Delivered ──must hold──► Held ──resumed──► where it was
//! ```
//!
//! Pure like [`crate::outbound`]. A recall, or the sender's question for a transfer back, undoes by itself what has not
//! gone to the PACS. What the PACS has, or may have, is for a person here: the transfer is held until somebody answers.

use beeldbox_custody::{DeclineReason, FailReason, HoldReason, InboundState as S};
use jiff::Timestamp;

use crate::effect::{Effect, NotNow, Telling, Verdict};

/// What can happen to an inbound transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InboundEvent {
    /// The letter is opened and verified; its list says what to fetch.
    LetterOpened {
        /// Parts to fetch.
        parts_total: u32,
    },
    /// So many parts are on our disk, flushed.
    PartsFetched {
        /// Parts here.
        parts_done: u32,
    },
    /// Every frame authenticates and every digest is the one in the letter.
    AllAuthenticated,
    /// The patient is confirmed, by a rule or by a person.
    PatientConfirmed,
    /// The PACS has settled so many instances.
    InstancesSettled {
        /// Settled for good.
        settled: u32,
        /// Of how many.
        of: u32,
    },
    /// The PACS has settled all of them.
    AllSettled {
        /// Stored.
        stored: u32,
        /// Of how many.
        of: u32,
    },
    /// The portal has our receipt 2.
    Reported,
    /// We refuse it.
    Declined(DeclineReason),
    /// The portal says that its time is over.
    Expired,
    /// The sender took it back at the portal, where nothing can be told of it any more.
    Recalled,
    /// The sender asks for it back after we collected it.
    AskedBack,
    /// A person here has answered: it is to be erased on this box.
    GivenBack {
        /// Whether that person has removed it from the PACS.
        removed: bool,
    },
    /// A person must look.
    MustHold(HoldReason),
    /// A person looked: go on.
    Resumed,
    /// It cannot be completed.
    Failed(FailReason),
    /// Keys and bytes are gone.
    Erased,
}

/// What the event does.
///
/// # Errors
/// [`NotNow`] if the event cannot happen in this state.
pub fn step(state: &S, event: InboundEvent, now: Timestamp) -> Result<Verdict<S>, NotNow> {
    match event {
        InboundEvent::LetterOpened { parts_total } => letter_opened(state, parts_total, now),
        InboundEvent::PartsFetched { parts_done } => parts_fetched(state, parts_done, now),
        InboundEvent::AllAuthenticated => all_authenticated(state, now),
        InboundEvent::PatientConfirmed => patient_confirmed(state, now),
        InboundEvent::InstancesSettled { settled, of } => instances_settled(state, settled, of, now),
        InboundEvent::AllSettled { stored, of } => all_settled(state, stored, of, now),
        InboundEvent::Reported => reported(state, now),
        InboundEvent::Declined(reason) => declined(state, reason, now),
        InboundEvent::Expired => expired(state, now),
        InboundEvent::Recalled => recalled(state, now),
        InboundEvent::AskedBack => asked_back(state, now),
        InboundEvent::GivenBack { removed } => given_back(state, removed, now),
        InboundEvent::Failed(reason) => ended(state, S::Failed { reason, at: now, in_pacs: state.in_pacs() }),
        InboundEvent::MustHold(reason) => held(state, reason, now),
        InboundEvent::Resumed => resumed(state, now),
        InboundEvent::Erased => erased(state, now),
    }
}

fn letter_opened(state: &S, parts_total: u32, now: Timestamp) -> Result<Verdict<S>, NotNow> {
    match state {
        S::Announced => {
            Ok(Verdict::Move(S::Fetching { parts_done: 0, parts_total }, vec![Effect::WorkAt(now)]))
        }
        S::Fetching { .. } => Ok(Verdict::Stay),
        S::Opened { .. } | S::Reconciled { .. } | S::Delivering { .. } | S::Delivered { .. } => Err(NotNow),
        S::Reported { .. } | S::Erased { .. } | S::Held { .. } | S::Recalled { .. } => Err(NotNow),
        S::Declined { .. } | S::Expired { .. } | S::Failed { .. } => Err(NotNow),
    }
}

fn parts_fetched(state: &S, done: u32, now: Timestamp) -> Result<Verdict<S>, NotNow> {
    match state {
        S::Fetching { parts_done, parts_total } if done > *parts_done => {
            let next = S::Fetching { parts_done: done.min(*parts_total), parts_total: *parts_total };
            Ok(Verdict::Move(next, vec![Effect::WorkAt(now)]))
        }
        S::Fetching { .. } => Ok(Verdict::Stay),
        S::Announced | S::Opened { .. } | S::Reconciled { .. } | S::Delivering { .. } => Err(NotNow),
        S::Delivered { .. } | S::Reported { .. } | S::Erased { .. } | S::Held { .. } => Err(NotNow),
        S::Recalled { .. } | S::Declined { .. } | S::Expired { .. } | S::Failed { .. } => Err(NotNow),
    }
}

fn all_authenticated(state: &S, now: Timestamp) -> Result<Verdict<S>, NotNow> {
    match state {
        S::Fetching { .. } => {
            Ok(Verdict::Move(S::Opened { at: now }, vec![Effect::Tell(Telling::ReceiptInCustody)]))
        }
        S::Opened { .. } => Ok(Verdict::Stay),
        S::Announced | S::Reconciled { .. } | S::Delivering { .. } | S::Delivered { .. } => Err(NotNow),
        S::Reported { .. } | S::Erased { .. } | S::Held { .. } | S::Recalled { .. } => Err(NotNow),
        S::Declined { .. } | S::Expired { .. } | S::Failed { .. } => Err(NotNow),
    }
}

fn patient_confirmed(state: &S, now: Timestamp) -> Result<Verdict<S>, NotNow> {
    match state {
        S::Opened { .. } => Ok(Verdict::Move(S::Reconciled { at: now }, vec![Effect::WorkAt(now)])),
        S::Announced | S::Fetching { .. } | S::Reconciled { .. } | S::Delivering { .. } => Err(NotNow),
        S::Delivered { .. } | S::Reported { .. } | S::Erased { .. } | S::Held { .. } => Err(NotNow),
        S::Recalled { .. } | S::Declined { .. } | S::Expired { .. } | S::Failed { .. } => Err(NotNow),
    }
}

fn instances_settled(state: &S, settled: u32, of: u32, now: Timestamp) -> Result<Verdict<S>, NotNow> {
    match state {
        S::Reconciled { .. } => Ok(Verdict::Move(S::Delivering { settled, of }, vec![Effect::WorkAt(now)])),
        S::Delivering { settled: before, .. } if settled > *before => {
            Ok(Verdict::Move(S::Delivering { settled, of }, vec![Effect::WorkAt(now)]))
        }
        S::Delivering { .. } => Ok(Verdict::Stay),
        S::Announced | S::Fetching { .. } | S::Opened { .. } | S::Delivered { .. } | S::Reported { .. } => {
            Err(NotNow)
        }
        S::Erased { .. } | S::Held { .. } | S::Recalled { .. } => Err(NotNow),
        S::Declined { .. } | S::Expired { .. } | S::Failed { .. } => Err(NotNow),
    }
}

fn all_settled(state: &S, stored: u32, of: u32, now: Timestamp) -> Result<Verdict<S>, NotNow> {
    match state {
        S::Delivering { .. } => Ok(Verdict::Move(
            S::Delivered { stored, of, at: now },
            vec![Effect::Tell(Telling::ReceiptInPacs)],
        )),
        S::Delivered { .. } | S::Reported { .. } => Ok(Verdict::Stay),
        S::Announced | S::Fetching { .. } | S::Opened { .. } | S::Reconciled { .. } => Err(NotNow),
        S::Erased { .. } | S::Held { .. } | S::Recalled { .. } => Err(NotNow),
        S::Declined { .. } | S::Expired { .. } | S::Failed { .. } => Err(NotNow),
    }
}

fn reported(state: &S, now: Timestamp) -> Result<Verdict<S>, NotNow> {
    match state {
        S::Delivered { .. } => Ok(Verdict::Move(S::Reported { at: now }, vec![Effect::EraseAfterKeeping])),
        S::Reported { .. } | S::Erased { .. } => Ok(Verdict::Stay),
        S::Announced
        | S::Fetching { .. }
        | S::Opened { .. }
        | S::Reconciled { .. }
        | S::Delivering { .. } => Err(NotNow),
        S::Held { .. } | S::Recalled { .. } | S::Declined { .. } | S::Expired { .. } | S::Failed { .. } => {
            Err(NotNow)
        }
    }
}

fn declined(state: &S, reason: DeclineReason, now: Timestamp) -> Result<Verdict<S>, NotNow> {
    match state {
        // Some of it is in the PACS: whoever refuses it now would say what is not true.
        S::Held { back_to, .. } if back_to.in_pacs() => Err(NotNow),
        S::Announced | S::Fetching { .. } | S::Opened { .. } | S::Reconciled { .. } | S::Held { .. } => {
            let effects = vec![Effect::Tell(Telling::Decline), Effect::EraseAfterKeeping];
            Ok(Verdict::Move(S::Declined { reason, at: now }, effects))
        }
        S::Declined { .. } => Ok(Verdict::Stay),
        S::Delivering { .. } | S::Delivered { .. } | S::Reported { .. } | S::Erased { .. } => Err(NotNow),
        S::Recalled { .. } | S::Expired { .. } | S::Failed { .. } => Err(NotNow),
    }
}

/// Cancelled at the portal. What the PACS has, or may have, needs a person; everything else is let go.
fn recalled(state: &S, now: Timestamp) -> Result<Verdict<S>, NotNow> {
    match state {
        S::Announced | S::Fetching { .. } | S::Opened { .. } | S::Reconciled { .. } => {
            Ok(Verdict::Move(S::Recalled { at: now, in_pacs: false }, vec![Effect::EraseAfterKeeping]))
        }
        S::Delivering { .. } | S::Delivered { .. } => Ok(Verdict::Move(for_a_person(state, now), vec![])),
        // Held already, for whatever reason: the question waits beside it.
        S::Held { back_to, .. } if back_to.in_pacs() => Ok(Verdict::Stay),
        S::Held { .. } => {
            Ok(Verdict::Move(S::Recalled { at: now, in_pacs: false }, vec![Effect::EraseAfterKeeping]))
        }
        S::Recalled { .. } | S::Declined { .. } | S::Expired { .. } | S::Failed { .. } => Ok(Verdict::Stay),
        S::Reported { .. } | S::Erased { .. } => Err(NotNow),
    }
}

/// Asked back by the sender. What is not in the PACS goes at once; what is waits for a person, and a delivery that is
/// under way stops. A transfer that is settled goes on telling what is true.
fn asked_back(state: &S, now: Timestamp) -> Result<Verdict<S>, NotNow> {
    match state {
        S::Announced | S::Fetching { .. } | S::Opened { .. } | S::Reconciled { .. } => {
            Ok(Verdict::Move(S::Recalled { at: now, in_pacs: false }, vec![Effect::EraseNow]))
        }
        S::Delivering { .. } => Ok(Verdict::Move(for_a_person(state, now), vec![])),
        // Held already, for whatever reason: the question waits beside it.
        S::Held { back_to, .. } if back_to.in_pacs() => Ok(Verdict::Stay),
        S::Held { .. } => Ok(Verdict::Move(S::Recalled { at: now, in_pacs: false }, vec![Effect::EraseNow])),
        S::Delivered { .. } | S::Reported { .. } | S::Erased { .. } | S::Recalled { .. } => Ok(Verdict::Stay),
        S::Declined { .. } | S::Expired { .. } | S::Failed { .. } => Ok(Verdict::Stay),
    }
}

fn given_back(state: &S, removed: bool, now: Timestamp) -> Result<Verdict<S>, NotNow> {
    match state {
        S::Held { .. } => {
            let in_pacs = state.in_pacs() && !removed;
            Ok(Verdict::Move(S::Recalled { at: now, in_pacs }, vec![Effect::EraseNow]))
        }
        S::Delivered { .. } | S::Reported { .. } | S::Erased { .. } | S::Recalled { .. } => Ok(Verdict::Stay),
        S::Declined { .. } | S::Expired { .. } | S::Failed { .. } => Ok(Verdict::Stay),
        S::Announced | S::Fetching { .. } | S::Opened { .. } | S::Reconciled { .. } => Err(NotNow),
        S::Delivering { .. } => Err(NotNow),
    }
}

fn for_a_person(state: &S, now: Timestamp) -> S {
    S::Held { back_to: Box::new(state.clone()), reason: HoldReason::AskedBack, since: now }
}

/// Expired at the portal. What the PACS has stays there, and nobody can be told any more: receipt 2 would be refused.
fn expired(state: &S, now: Timestamp) -> Result<Verdict<S>, NotNow> {
    let end = S::Expired { at: now, in_pacs: state.in_pacs() };
    match state {
        S::Delivered { .. } => Ok(Verdict::Move(end, vec![Effect::EraseAfterKeeping])),
        S::Announced | S::Fetching { .. } | S::Opened { .. } | S::Reconciled { .. } => ended(state, end),
        S::Delivering { .. } | S::Held { .. } | S::Reported { .. } | S::Erased { .. } => ended(state, end),
        S::Recalled { .. } | S::Declined { .. } | S::Expired { .. } | S::Failed { .. } => Ok(Verdict::Stay),
    }
}

/// Expired or failed: allowed until the PACS has everything.
fn ended(state: &S, end: S) -> Result<Verdict<S>, NotNow> {
    match state {
        S::Announced
        | S::Fetching { .. }
        | S::Opened { .. }
        | S::Reconciled { .. }
        | S::Delivering { .. }
        | S::Held { .. } => Ok(Verdict::Move(end, vec![Effect::EraseAfterKeeping])),
        S::Recalled { .. } | S::Declined { .. } | S::Expired { .. } | S::Failed { .. } => Ok(Verdict::Stay),
        S::Delivered { .. } | S::Reported { .. } | S::Erased { .. } => Err(NotNow),
    }
}

fn held(state: &S, reason: HoldReason, now: Timestamp) -> Result<Verdict<S>, NotNow> {
    match state {
        S::Announced
        | S::Fetching { .. }
        | S::Opened { .. }
        | S::Reconciled { .. }
        | S::Delivering { .. }
        | S::Delivered { .. } => {
            Ok(Verdict::Move(S::Held { back_to: Box::new(state.clone()), reason, since: now }, vec![]))
        }
        S::Held { .. } => Ok(Verdict::Stay),
        S::Reported { .. } | S::Erased { .. } | S::Recalled { .. } => Err(NotNow),
        S::Declined { .. } | S::Expired { .. } | S::Failed { .. } => Err(NotNow),
    }
}

fn resumed(state: &S, now: Timestamp) -> Result<Verdict<S>, NotNow> {
    match state {
        S::Held { back_to, .. } => Ok(Verdict::Move((**back_to).clone(), vec![Effect::WorkAt(now)])),
        S::Announced | S::Fetching { .. } | S::Reconciled { .. } | S::Delivering { .. } => Ok(Verdict::Stay),
        S::Opened { .. } | S::Delivered { .. } | S::Reported { .. } | S::Erased { .. } => Err(NotNow),
        S::Recalled { .. } | S::Declined { .. } | S::Expired { .. } | S::Failed { .. } => Err(NotNow),
    }
}

fn erased(state: &S, now: Timestamp) -> Result<Verdict<S>, NotNow> {
    match state {
        S::Reported { .. }
        | S::Recalled { .. }
        | S::Declined { .. }
        | S::Expired { .. }
        | S::Failed { .. } => Ok(Verdict::Move(S::Erased { at: now, in_pacs: state.in_pacs() }, vec![])),
        S::Erased { .. } => Ok(Verdict::Stay),
        S::Announced | S::Fetching { .. } | S::Opened { .. } | S::Reconciled { .. } | S::Held { .. } => {
            Err(NotNow)
        }
        S::Delivering { .. } | S::Delivered { .. } => Err(NotNow),
    }
}
