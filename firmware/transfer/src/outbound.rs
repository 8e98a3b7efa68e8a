//! The outbound machine: what each event does to a transfer that leaves.
//!
//! ```text
//!   Collecting ──closed──► Queued ──addressed──► Addressed ──letter frozen──► Sending ⟲ part sent
//!                             ▲─────undone──────────┘ (until the undo window has passed)
//!                                                                                │ portal accepted
//!   Erased ◄──erased── Delivered ◄──receipt 2── Fetched ◄──receipt 1── Accepted ◄┘
//!
//!   Accepted, Fetched ──erased there, because we asked it back──► Recalled
//!   Addressed, Sending, Accepted ──recalled at the portal──► Recalled ──erased──► Erased
//!   Addressed, Sending, Accepted, Fetched ──► Declined | Expired | Failed ──erased──► Erased
//!   Collecting … Fetched ──must hold──► Held ──resumed──► where it was
//!   Collecting ──closed in doubt──► Held, back to Queued
//! ```
//!
//! [`step`] is pure: state, event and time in; state and effects out. It never waits, asks or draws. An event that
//! brings nothing new (a receipt told twice, a part counted again) leaves the state as it is; an event that cannot
//! happen here is an error by name. Receipt 2 may overtake receipt 1: the portal tells the newest truth.

use beeldbox_custody::{DeclineReason, FailReason, HoldReason, OutboundState as S};
use beeldbox_protocol::ident::AddresseeId;
use jiff::Timestamp;

use crate::effect::{Effect, NotNow, Verdict};

/// What can happen to an outbound transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutboundEvent {
    /// The study is closed: its quiet time passed, or a person said so.
    Closed,
    /// The study is closed, and a person must look at it before it can be addressed.
    ClosedInDoubt(HoldReason),
    /// A person or a rule chose a verified recipient.
    Addressed {
        /// Not before this it leaves the box.
        leaves_at: Timestamp,
        /// Why the study was held until this choice, and since when.
        doubt: Option<(HoldReason, Timestamp)>,
    },
    /// A person undoes the choice before anything has left the box.
    Undone,
    /// Parts are cut and the letter is sealed: from here on its bytes are frozen.
    LetterFrozen {
        /// Parts to send.
        parts_total: u32,
    },
    /// The portal has so many parts.
    PartsSent {
        /// Parts it has.
        parts_done: u32,
    },
    /// The portal has taken the commit: every byte is there, digests compared.
    PortalAccepted,
    /// A verified receipt 1.
    ReceiptInCustody,
    /// A verified receipt 2.
    ReceiptInPacs {
        /// Instances stored.
        stored: u32,
        /// Of how many.
        of: u32,
    },
    /// The addressee refuses.
    Declined {
        /// Why.
        reason: DeclineReason,
        /// Where it belongs in its opinion.
        belongs_at: Option<AddresseeId>,
    },
    /// The portal says that nobody collected it in time.
    Expired,
    /// A person took it back, and the portal no longer gives it out.
    Recalled,
    /// The other hospital proves that it erased what it had collected, because we asked for it back.
    ErasedThere,
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
pub fn step(state: &S, event: OutboundEvent, now: Timestamp) -> Result<Verdict<S>, NotNow> {
    match event {
        OutboundEvent::Closed => closed(state, now),
        OutboundEvent::ClosedInDoubt(reason) => closed_in_doubt(state, reason, now),
        OutboundEvent::Addressed { leaves_at, doubt } => addressed(state, leaves_at, doubt, now),
        OutboundEvent::Undone => undone(state),
        OutboundEvent::LetterFrozen { parts_total } => letter_frozen(state, parts_total, now),
        OutboundEvent::PartsSent { parts_done } => parts_sent(state, parts_done, now),
        OutboundEvent::PortalAccepted => portal_accepted(state, now),
        OutboundEvent::ReceiptInCustody => receipt_in_custody(state, now),
        OutboundEvent::ReceiptInPacs { stored, of } => receipt_in_pacs(state, stored, of, now),
        OutboundEvent::Declined { reason, belongs_at } => {
            ended(state, S::Declined { reason, belongs_at, at: now })
        }
        OutboundEvent::Expired => ended(state, S::Expired { at: now }),
        OutboundEvent::Recalled => recalled(state, now),
        OutboundEvent::ErasedThere => erased_there(state, now),
        OutboundEvent::Failed(reason) => ended(state, S::Failed { reason, at: now }),
        OutboundEvent::MustHold(reason) => held(state, reason, now),
        OutboundEvent::Resumed => resumed(state, now),
        OutboundEvent::Erased => erased(state, now),
    }
}

fn closed(state: &S, now: Timestamp) -> Result<Verdict<S>, NotNow> {
    match state {
        S::Collecting => Ok(Verdict::Move(S::Queued { closed_at: now }, vec![])),
        S::Queued { .. } => Ok(Verdict::Stay),
        S::Addressed { .. } | S::Sending { .. } | S::Accepted { .. } | S::Fetched { .. } => Ok(Verdict::Stay),
        S::Delivered { .. } | S::Erased { .. } | S::Held { .. } | S::Recalled { .. } => Err(NotNow),
        S::Declined { .. } | S::Expired { .. } | S::Failed { .. } => Err(NotNow),
    }
}

fn closed_in_doubt(state: &S, reason: HoldReason, now: Timestamp) -> Result<Verdict<S>, NotNow> {
    match state {
        S::Collecting => {
            let back_to = Box::new(S::Queued { closed_at: now });
            Ok(Verdict::Move(S::Held { back_to, reason, since: now }, vec![]))
        }
        S::Queued { .. } | S::Held { .. } => Ok(Verdict::Stay),
        S::Addressed { .. } | S::Sending { .. } | S::Accepted { .. } | S::Fetched { .. } => Ok(Verdict::Stay),
        S::Delivered { .. } | S::Erased { .. } | S::Recalled { .. } => Err(NotNow),
        S::Declined { .. } | S::Expired { .. } | S::Failed { .. } => Err(NotNow),
    }
}

fn addressed(
    state: &S,
    leaves_at: Timestamp,
    doubt: Option<(HoldReason, Timestamp)>,
    now: Timestamp,
) -> Result<Verdict<S>, NotNow> {
    match state {
        S::Queued { .. } => {
            let undo_to = match doubt {
                Some((reason, since)) => S::Held { back_to: Box::new(state.clone()), reason, since },
                None => state.clone(),
            };
            let addressed = S::Addressed { at: now, leaves_at, undo_to: Some(Box::new(undo_to)) };
            Ok(Verdict::Move(addressed, vec![Effect::WorkAt(leaves_at)]))
        }
        S::Collecting | S::Addressed { .. } | S::Sending { .. } | S::Accepted { .. } | S::Fetched { .. } => {
            Err(NotNow)
        }
        S::Delivered { .. } | S::Erased { .. } | S::Held { .. } | S::Recalled { .. } => Err(NotNow),
        S::Declined { .. } | S::Expired { .. } | S::Failed { .. } => Err(NotNow),
    }
}

/// The letter's freezing is the end of it: whichever of the two is committed first decides.
fn undone(state: &S) -> Result<Verdict<S>, NotNow> {
    match state {
        S::Addressed { undo_to: Some(undo_to), .. } => Ok(Verdict::Move((**undo_to).clone(), vec![])),
        S::Queued { .. } => Ok(Verdict::Stay),
        S::Addressed { undo_to: None, .. } | S::Collecting | S::Sending { .. } | S::Accepted { .. } => {
            Err(NotNow)
        }
        S::Fetched { .. } | S::Delivered { .. } | S::Erased { .. } | S::Held { .. } | S::Recalled { .. } => {
            Err(NotNow)
        }
        S::Declined { .. } | S::Expired { .. } | S::Failed { .. } => Err(NotNow),
    }
}

fn letter_frozen(state: &S, parts_total: u32, now: Timestamp) -> Result<Verdict<S>, NotNow> {
    match state {
        S::Addressed { leaves_at, .. } if now < *leaves_at => Err(NotNow),
        S::Addressed { .. } => {
            Ok(Verdict::Move(S::Sending { parts_done: 0, parts_total }, vec![Effect::WorkAt(now)]))
        }
        S::Collecting | S::Queued { .. } | S::Sending { .. } | S::Accepted { .. } | S::Fetched { .. } => {
            Err(NotNow)
        }
        S::Delivered { .. } | S::Erased { .. } | S::Held { .. } | S::Recalled { .. } => Err(NotNow),
        S::Declined { .. } | S::Expired { .. } | S::Failed { .. } => Err(NotNow),
    }
}

fn parts_sent(state: &S, done: u32, now: Timestamp) -> Result<Verdict<S>, NotNow> {
    match state {
        S::Sending { parts_done, parts_total } if done > *parts_done => {
            let next = S::Sending { parts_done: done.min(*parts_total), parts_total: *parts_total };
            Ok(Verdict::Move(next, vec![Effect::WorkAt(now)]))
        }
        S::Sending { .. } | S::Accepted { .. } | S::Fetched { .. } | S::Delivered { .. } => Ok(Verdict::Stay),
        S::Collecting | S::Queued { .. } | S::Addressed { .. } | S::Erased { .. } | S::Held { .. } => {
            Err(NotNow)
        }
        S::Recalled { .. } | S::Declined { .. } | S::Expired { .. } | S::Failed { .. } => Err(NotNow),
    }
}

fn portal_accepted(state: &S, now: Timestamp) -> Result<Verdict<S>, NotNow> {
    match state {
        S::Sending { .. } => Ok(Verdict::Move(S::Accepted { at: now }, vec![])),
        S::Accepted { .. } | S::Fetched { .. } | S::Delivered { .. } => Ok(Verdict::Stay),
        S::Collecting | S::Queued { .. } | S::Addressed { .. } | S::Erased { .. } | S::Held { .. } => {
            Err(NotNow)
        }
        S::Recalled { .. } | S::Declined { .. } | S::Expired { .. } | S::Failed { .. } => Err(NotNow),
    }
}

fn receipt_in_custody(state: &S, now: Timestamp) -> Result<Verdict<S>, NotNow> {
    match state {
        S::Accepted { .. } => Ok(Verdict::Move(S::Fetched { at: now }, vec![])),
        // The portal's answer to our commit was lost, and the news of the receipt came first.
        S::Sending { .. } => Ok(Verdict::Move(S::Accepted { at: now }, vec![Effect::LookAgain])),
        S::Fetched { .. } | S::Delivered { .. } | S::Erased { .. } => Ok(Verdict::Stay),
        S::Collecting | S::Queued { .. } | S::Addressed { .. } | S::Held { .. } => Err(NotNow),
        S::Recalled { .. } | S::Declined { .. } | S::Expired { .. } | S::Failed { .. } => Err(NotNow),
    }
}

fn receipt_in_pacs(state: &S, stored: u32, of: u32, now: Timestamp) -> Result<Verdict<S>, NotNow> {
    match state {
        S::Accepted { .. } | S::Fetched { .. } => {
            Ok(Verdict::Move(S::Delivered { stored, of, at: now }, vec![Effect::EraseAfterKeeping]))
        }
        S::Sending { .. } => Ok(Verdict::Move(S::Accepted { at: now }, vec![Effect::LookAgain])),
        S::Delivered { .. } | S::Erased { .. } => Ok(Verdict::Stay),
        S::Collecting | S::Queued { .. } | S::Addressed { .. } | S::Held { .. } => Err(NotNow),
        S::Recalled { .. } | S::Declined { .. } | S::Expired { .. } | S::Failed { .. } => Err(NotNow),
    }
}

/// Allowed until the other box has it in custody: after that, it can only be asked back.
fn recalled(state: &S, now: Timestamp) -> Result<Verdict<S>, NotNow> {
    if waits_for_an_addressee(state) {
        return Err(NotNow);
    }
    match state {
        S::Addressed { .. } | S::Sending { .. } | S::Accepted { .. } | S::Held { .. } => {
            Ok(Verdict::Move(S::Recalled { at: now }, vec![Effect::EraseAfterKeeping]))
        }
        S::Recalled { .. } => Ok(Verdict::Stay),
        S::Collecting | S::Queued { .. } | S::Fetched { .. } | S::Delivered { .. } | S::Erased { .. } => {
            Err(NotNow)
        }
        S::Declined { .. } | S::Expired { .. } | S::Failed { .. } => Err(NotNow),
    }
}

/// What was in its PACS stays *delivered*, for that was true; that it is gone again stands in the question's answer.
fn erased_there(state: &S, now: Timestamp) -> Result<Verdict<S>, NotNow> {
    match state {
        S::Accepted { .. } | S::Fetched { .. } | S::Held { .. } => {
            Ok(Verdict::Move(S::Recalled { at: now }, vec![Effect::EraseAfterKeeping]))
        }
        S::Delivered { .. } | S::Erased { .. } | S::Recalled { .. } => Ok(Verdict::Stay),
        S::Declined { .. } | S::Expired { .. } | S::Failed { .. } => Ok(Verdict::Stay),
        S::Collecting | S::Queued { .. } | S::Addressed { .. } | S::Sending { .. } => Err(NotNow),
    }
}

/// Declined, expired or failed: allowed while it is under way.
/// Whether a study has not been sent to anybody yet. Whatever a portal says of a draft, it is not over, and nothing of it
/// may be erased.
fn waits_for_an_addressee(state: &S) -> bool {
    match state {
        S::Collecting | S::Queued { .. } => true,
        S::Held { back_to, .. } => waits_for_an_addressee(back_to),
        S::Addressed { .. } | S::Sending { .. } | S::Accepted { .. } | S::Fetched { .. } => false,
        S::Delivered { .. } | S::Erased { .. } | S::Recalled { .. } => false,
        S::Declined { .. } | S::Expired { .. } | S::Failed { .. } => false,
    }
}

fn ended(state: &S, end: S) -> Result<Verdict<S>, NotNow> {
    if waits_for_an_addressee(state) {
        return Err(NotNow);
    }
    match state {
        S::Addressed { .. } | S::Sending { .. } | S::Accepted { .. } | S::Fetched { .. } | S::Held { .. } => {
            Ok(Verdict::Move(end, vec![Effect::EraseAfterKeeping]))
        }
        S::Delivered { .. } | S::Erased { .. } => Err(NotNow),
        S::Recalled { .. } | S::Declined { .. } | S::Expired { .. } | S::Failed { .. } => Ok(Verdict::Stay),
        S::Collecting | S::Queued { .. } => Err(NotNow),
    }
}

fn held(state: &S, reason: HoldReason, now: Timestamp) -> Result<Verdict<S>, NotNow> {
    match state {
        S::Collecting
        | S::Queued { .. }
        | S::Addressed { .. }
        | S::Sending { .. }
        | S::Accepted { .. }
        | S::Fetched { .. } => {
            Ok(Verdict::Move(S::Held { back_to: Box::new(state.clone()), reason, since: now }, vec![]))
        }
        S::Held { .. } => Ok(Verdict::Stay),
        S::Delivered { .. } | S::Erased { .. } | S::Recalled { .. } => Err(NotNow),
        S::Declined { .. } | S::Expired { .. } | S::Failed { .. } => Err(NotNow),
    }
}

fn resumed(state: &S, now: Timestamp) -> Result<Verdict<S>, NotNow> {
    match state {
        S::Held { back_to, .. } => {
            let effects = match &**back_to {
                // A study waits for a person, not for a worker.
                S::Collecting | S::Queued { .. } => vec![],
                S::Addressed { leaves_at, .. } => vec![Effect::WorkAt(now.max(*leaves_at))],
                S::Sending { .. }
                | S::Accepted { .. }
                | S::Fetched { .. }
                | S::Delivered { .. }
                | S::Erased { .. }
                | S::Held { .. }
                | S::Recalled { .. }
                | S::Declined { .. }
                | S::Expired { .. }
                | S::Failed { .. } => vec![Effect::WorkAt(now)],
            };
            Ok(Verdict::Move((**back_to).clone(), effects))
        }
        S::Addressed { .. } | S::Sending { .. } => Ok(Verdict::Stay),
        S::Collecting | S::Queued { .. } | S::Accepted { .. } | S::Fetched { .. } | S::Delivered { .. } => {
            Err(NotNow)
        }
        S::Erased { .. } | S::Recalled { .. } | S::Declined { .. } | S::Expired { .. } | S::Failed { .. } => {
            Err(NotNow)
        }
    }
}

fn erased(state: &S, now: Timestamp) -> Result<Verdict<S>, NotNow> {
    match state {
        S::Queued { .. }
        | S::Delivered { .. }
        | S::Recalled { .. }
        | S::Declined { .. }
        | S::Expired { .. }
        | S::Failed { .. } => Ok(Verdict::Move(S::Erased { at: now }, vec![])),
        S::Erased { .. } => Ok(Verdict::Stay),
        S::Collecting | S::Addressed { .. } | S::Sending { .. } | S::Accepted { .. } | S::Fetched { .. } => {
            Err(NotNow)
        }
        S::Held { .. } => Err(NotNow),
    }
}
