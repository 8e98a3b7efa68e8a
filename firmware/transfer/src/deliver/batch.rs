//! What fits into one set of presentation contexts, over one or several associations at a time.
//!
//! The first association decides what is possible. Others are opened beside it if there is enough to send; a PACS that takes
//! no second one is left with the first. Answers are committed as they come, together if several wait: after a crash at most
//! what was on its way, or waited for that commit, is sent again.

use std::sync::Arc;

use beeldbox_custody::CustodyError;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{Instrument, info};

use super::contexts::{Proposal, Way, kind_of};
use super::lane::{Lane, Queue, Waiting, associate};
use super::settled::NO_CONTEXT;
use super::{DeliverError, Delivery};
use crate::road::{Road, StepError};

/// Associations with the PACS at a time.
const ASSOCIATIONS: usize = 2;

/// Another association is opened for so many instances each.
const WORTH_ANOTHER: usize = 10;

/// Answers that wait to be committed.
const QUEUED_ANSWERS: usize = 64;

/// Delivers what the proposal is for.
pub(super) async fn deliver_batch(
    road: &Road,
    delivery: &mut Delivery,
    proposal: Proposal,
) -> Result<(), DeliverError> {
    let associated = associate(road, &proposal.contexts).await;
    road.note_pacs(&associated);
    let association = associated?;
    for kind in proposal.kinds() {
        road.acquaintance.learn(kind, association.accepts(&kind.0, &kind.1));
    }
    let sorted = sorted(&proposal, |kind| association.accepts(&kind.0, &kind.1));
    if let Err(error) = delivery.settle(road, sorted.impossible).await {
        association.abort().await;
        return Err(error);
    }
    let before = delivery.settled_count();
    let (settled, answers) = mpsc::channel(QUEUED_ANSWERS);
    let lane = Lane {
        road: road.clone(),
        transfer: delivery.transfer(),
        contexts: Arc::new(proposal.contexts),
        queue: Queue::of(sorted.waiting),
        coercions: delivery.coercions.clone(),
        settled,
    };
    let wanted = if road.acquaintance.takes_several(road.now()) { ASSOCIATIONS } else { 1 };
    let beside = (lane.queue.len() / WORTH_ANOTHER).min(wanted.saturating_sub(1));
    let mut others = JoinSet::new();
    for _ in 0..beside {
        others.spawn(lane.clone().beside().in_current_span());
    }
    let first = lane.send(association).in_current_span();
    let (first, committed) = tokio::join!(first, commit(road, delivery, answers));
    let mut outcome = first;
    while let Some(other) = others.join_next().await {
        let other = other.unwrap_or(Err(DeliverError::Stopping));
        // A second association that breaks is no news while the first goes on.
        let is_worth_telling = match &other {
            Ok(()) => false,
            Err(DeliverError::Store(_) | DeliverError::Associate(_)) => false,
            Err(_) => true,
        };
        if outcome.is_ok() && (is_worth_telling || delivery.settled_count() == before) {
            outcome = other;
        }
    }
    committed?;
    outcome
}

/// Commits what is settled, until all lanes have ended.
async fn commit(
    road: &Road,
    delivery: &mut Delivery,
    mut answers: mpsc::Receiver<(i64, u16)>,
) -> Result<(), DeliverError> {
    let mut fresh = Vec::new();
    let mut outcome = Ok(());
    // Gives what waits, without waiting for more.
    while answers.recv_many(&mut fresh, QUEUED_ANSWERS).await > 0 {
        match delivery.settle(road, std::mem::take(&mut fresh)).await {
            Ok(()) => {}
            // Somebody moved the transfer: the lanes see that too and end. What the PACS has by then stays known.
            Err(
                moved @ DeliverError::Step(StepError::NotNow(_) | StepError::Custody(CustodyError::Stale)),
            ) => {
                outcome = Err(moved);
            }
            Err(error) => return Err(error),
        }
    }
    outcome
}

struct SortedInstances {
    waiting: Vec<Waiting>,
    impossible: Vec<(i64, u16)>,
}

/// Those that can go, those that cannot; those whose contexts must be asked for again are in neither.
fn sorted(proposal: &Proposal, accepts: impl Fn(&super::acquaintance::Kind) -> bool) -> SortedInstances {
    let mut sorted = SortedInstances { waiting: Vec::new(), impossible: Vec::new() };
    let mut converted = 0_usize;
    for instance in &proposal.instances {
        match proposal.way(instance, &accepts) {
            Way::In(syntax) => {
                converted += usize::from(syntax != kind_of(instance).1);
                sorted.waiting.push((instance.clone(), syntax));
            }
            Way::None => sorted.impossible.push((instance.id, NO_CONTEXT)),
            Way::AskAgain => {}
        }
    }
    if converted > 0 {
        info!(instances = converted, "the PACS does not take them as they are stored: they are converted");
    }
    sorted
}
