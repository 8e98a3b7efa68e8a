//! The picture at the end: after faults are over and people have acted, everything has ended or waits for a person, and
//! both ends and the PACS agree.

use beeldbox_custody::{AskState, InboundState as In, OutboundKind, OutboundState as Out, State};
use beeldbox_protocol::ident::TransferId;
use beeldbox_protocol::portal::task::TaskStatus;

use crate::checks::short;
use crate::deliver::COMMIT_EVERY;
use crate::ledger::Ask;
use crate::world::{BoxIndex, World};

/// Whether nothing is left to do but erasing.
pub fn is_over(world: &World) -> bool {
    world.hospitals.iter().enumerate().all(|(at, hospital)| {
        hospital.is_up
            && hospital.ledger.outbox.is_empty()
            && hospital.ledger.rows.values().all(|row| rest(world, at, row.id).is_none())
            && hospital.ledger.asks.values().all(is_answered)
    })
}

/// Whether nobody waits for an answer any more. People answer, and the portal lets a question expire.
fn is_answered(ask: &Ask) -> bool {
    match ask.state {
        AskState::Granted | AskState::Refused => true,
        AskState::Asking | AskState::Asked | AskState::Open => false,
    }
}

/// Why a transfer may not stay as it is.
fn rest(world: &World, at: BoxIndex, id: TransferId) -> Option<String> {
    let row = world.hospitals[at].ledger.rows.get(&id)?;
    if row.state.kind().is_final() {
        return None;
    }
    let other = world.checks.decided.get(&id).and_then(|(_, to)| world.hospitals[*to].ledger.rows.get(&id));
    // Known gap 3 in FAULTS.md: a letter that is too old there is not told here; the portal's expiry tells it.
    let is_waiting_for_them =
        other.is_some_and(|row| matches!(row.state, State::Inbound(In::Held { .. } | In::Expired { .. })));
    let may_stay = match &row.state {
        State::Outbound(state) => match state {
            Out::Held { .. } => true,
            Out::Accepted { .. } | Out::Fetched { .. } => is_waiting_for_them,
            Out::Collecting | Out::Queued { .. } | Out::Addressed { .. } | Out::Sending { .. } => false,
            Out::Delivered { .. }
            | Out::Erased { .. }
            | Out::Recalled { .. }
            | Out::Declined { .. }
            | Out::Expired { .. }
            | Out::Failed { .. } => true,
        },
        State::Inbound(state) => match state {
            In::Held { .. } => true,
            In::Announced
            | In::Fetching { .. }
            | In::Opened { .. }
            | In::Reconciled { .. }
            | In::Delivering { .. }
            | In::Delivered { .. } => false,
            In::Reported { .. }
            | In::Erased { .. }
            | In::Recalled { .. }
            | In::Declined { .. }
            | In::Expired { .. }
            | In::Failed { .. } => true,
        },
    };
    (!may_stay).then(|| {
        let at_portal = world.portal.entries().get(&id).map(crate::portal::Entry::status);
        format!(
            "box {at}: {} is stuck in {:?} (due {:?}, {} tries), at the portal {at_portal:?}, there {:?}",
            short(id),
            row.state,
            row.due_at,
            row.attempts,
            other.map(|row| &row.state)
        )
    })
}

/// Everything that must be so.
pub fn check(world: &mut World) {
    let mut wrong = Vec::new();
    for (at, hospital) in world.hospitals.iter().enumerate() {
        if !hospital.is_up {
            wrong.push(format!("box {at} is down"));
        }
        for message in hospital.ledger.outbox.values() {
            wrong.push(format!(
                "box {at}: {:?} of {} was never told",
                message.telling,
                short(message.transfer)
            ));
        }
        for ask in hospital.ledger.asks.values().filter(|ask| !is_answered(ask)) {
            let (question, about) = (short(ask.id), short(ask.about));
            wrong.push(format!("box {at}: question {question} about {about} is still {:?}", ask.state));
        }
        wrong.extend(hospital.ledger.rows.keys().filter_map(|id| rest(world, at, *id)));
        let crashes = u64::from(hospital.life);
        let most = crashes * u64::try_from(COMMIT_EVERY).unwrap_or_default() + world.pacs_answers_lost[at];
        let again = crate::checks::got_again(world, at);
        if again > most {
            wrong.push(format!("pacs {at} got {again} instances again, {most} can be explained"));
        }
    }
    for (id, (from, to)) in &world.checks.decided {
        wrong.extend(disagreement(world, *id, *from, *to));
    }
    for what in wrong {
        world.note(format_args!("VIOLATION at the end: {what}"));
        world.checks.violations.push(what);
    }
}

/// What the two ends of a transfer say that cannot both be true.
fn disagreement(world: &World, id: TransferId, from: BoxIndex, to: BoxIndex) -> Option<String> {
    let theirs = world.hospitals[to].ledger.rows.get(&id).map(|row| row.state.clone());
    let was_reported = world
        .portal
        .entries()
        .get(&id)
        .is_some_and(|entry| matches!(entry.status(), TaskStatus::Completed | TaskStatus::Failed));
    let ended = world.checks.ended.get(&id)?;
    let agree = match ended {
        OutboundKind::Delivered => was_reported,
        OutboundKind::Recalled | OutboundKind::Declined | OutboundKind::Expired | OutboundKind::Failed => {
            !was_reported
        }
        OutboundKind::Collecting
        | OutboundKind::Queued
        | OutboundKind::Addressed
        | OutboundKind::Sending
        | OutboundKind::Accepted
        | OutboundKind::Fetched
        | OutboundKind::Erased
        | OutboundKind::Held => true,
    };
    (!agree).then(|| format!("{}: box {from} says {ended:?}, box {to} says {theirs:?}", short(id)))
}
