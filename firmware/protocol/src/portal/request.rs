//! A request for images as the portal tells it: one organisation asks another something. What, and of whom, stands in
//! the letter alone.
//!
//! ```text
//!   asker       draft ──commit──► requested ──► cancelled (withdrawn)          also from draft and in-progress
//!   asked       requested ──► in-progress (a person there can see it) ──► completed | rejected (with a code)
//!                             requested ──► completed | rejected
//!   portal      draft, requested, in-progress ──► cancelled (expired)
//! ```
//!
//! *Completed* says that a transfer in answer was accepted. Which one, its own letter says; nobody takes the portal's word.

use super::fhir::{CodeableConcept, Task};
use super::task::{Mover, TRANSFER_SYSTEM, TaskStatus};
use crate::imaging_request::RequestRefusal;

/// `Task.code` of a request for images.
pub const REQUEST_IMAGING: &str = "request-imaging";

/// Whether somebody may move a request so.
pub fn may_move(mover: Mover, from: TaskStatus, to: TaskStatus) -> bool {
    use TaskStatus::{Cancelled, Completed, Draft, Failed, InProgress, Rejected, Requested};
    match (mover, from) {
        (Mover::Sender, Draft) => matches!(to, Draft | Requested | Cancelled),
        (Mover::Sender, Requested | InProgress) => to == Cancelled,
        (Mover::Addressee, Requested) => matches!(to, InProgress | Completed | Rejected),
        (Mover::Addressee, InProgress) => matches!(to, Completed | Rejected),
        (Mover::Portal, Draft | Requested | InProgress) => to == Cancelled,
        (Mover::Addressee, Draft)
        | (Mover::Sender | Mover::Addressee | Mover::Portal, Completed | Failed | Rejected | Cancelled) => {
            false
        }
    }
}

/// The draft of a request instead of a delivery.
pub fn as_request(mut draft: Task) -> Task {
    draft.code = Some(CodeableConcept::of(TRANSFER_SYSTEM, REQUEST_IMAGING));
    draft
}

/// The Task, seen: the box that is asked verified the letter and shows it to people.
pub fn seen(task: Task) -> Task {
    moved(task, TaskStatus::InProgress, "seen")
}

/// The Task, answered: a transfer in answer is at the portal.
pub fn answered(task: Task) -> Task {
    moved(task, TaskStatus::Completed, "answered")
}

/// The Task, refused.
pub fn refused(task: Task, reason: RequestRefusal) -> Task {
    let mut task = moved(task, TaskStatus::Rejected, "declined");
    task.status_reason = Some(CodeableConcept::of(TRANSFER_SYSTEM, reason.code()));
    task
}

fn moved(mut task: Task, to: TaskStatus, business: &str) -> Task {
    task.status = to.code().to_owned();
    task.business_status = Some(CodeableConcept::of(TRANSFER_SYSTEM, business));
    task
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOVERS: [Mover; 3] = [Mover::Sender, Mover::Addressee, Mover::Portal];

    #[test]
    fn a_request_ends_once_and_is_never_delivered_in_part() {
        for to in TaskStatus::ALL {
            for mover in MOVERS {
                for from in
                    [TaskStatus::Completed, TaskStatus::Failed, TaskStatus::Rejected, TaskStatus::Cancelled]
                {
                    assert!(!may_move(mover, from, to), "{mover:?} {from} {to}");
                }
                assert!(!may_move(mover, to, TaskStatus::Failed));
            }
            assert!(!may_move(Mover::Addressee, TaskStatus::Draft, to));
        }
    }

    #[test]
    fn only_who_asked_withdraws_and_only_who_was_asked_answers() {
        for from in [TaskStatus::Requested, TaskStatus::InProgress] {
            for to in [TaskStatus::Completed, TaskStatus::Rejected] {
                assert!(may_move(Mover::Addressee, from, to));
                assert!(!may_move(Mover::Sender, from, to) && !may_move(Mover::Portal, from, to));
            }
            assert!(may_move(Mover::Sender, from, TaskStatus::Cancelled));
            assert!(!may_move(Mover::Addressee, from, TaskStatus::Cancelled));
        }
    }
}
