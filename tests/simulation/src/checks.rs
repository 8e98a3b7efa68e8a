//! What must hold, looked at after every commit, every change at the portal and every instance that a PACS stores; and
//! once more at the end. The checkers see everything; the boxes see only their own.

use std::collections::{BTreeMap, BTreeSet};

use beeldbox_custody::{InboundState as In, Kind, OutboundKind, OutboundState as Out, State};
use beeldbox_protocol::admin::ReceiptStage;
use beeldbox_protocol::ident::TransferId;
use beeldbox_protocol::portal::task::{Mover, TaskKind, TaskStatus, may_move_as};

use jiff::Timestamp;

use crate::letter::Instance;
use crate::pacs::STORED;
use crate::world::{BoxIndex, Hospital, World};

/// What the checkers remember.
#[derive(Debug, Default)]
pub struct Checks {
    /// What was found.
    pub violations: Vec<String>,
    /// Who decided to send what: sender and addressee of each transfer.
    pub decided: BTreeMap<TransferId, (BoxIndex, BoxIndex)>,
    /// Which the sender wants back.
    pub regretted: BTreeSet<TransferId>,
    /// Which somebody asked to take back.
    pub recall_asked: BTreeSet<TransferId>,
    /// Which somebody at the other side refused.
    pub refused: BTreeSet<TransferId>,
    /// How often people let a held transfer go on after faults were over.
    pub resumed: BTreeMap<TransferId, u32>,
    /// Of which transfers somebody undid the choice of an addressee, or tried to.
    pub undo_asked: BTreeSet<TransferId>,
    /// Until when the newest choice can be undone, by the clock of its box.
    pub promised_until: BTreeMap<TransferId, Timestamp>,
    /// When a letter was frozen last, by the same clock.
    pub frozen_at: BTreeMap<TransferId, Timestamp>,
    /// Questions for transfers back, and what they are about.
    pub asked: BTreeMap<TransferId, TransferId>,
    /// Which somebody has removed from the addressee's PACS.
    pub removed: BTreeSet<TransferId>,
    /// Which may have gone to a PACS.
    to_pacs: BTreeSet<TransferId>,
    /// Whose patient somebody confirmed.
    pub confirmed: BTreeSet<TransferId>,
    /// Which ever were in custody, whole, at the addressee.
    in_custody: BTreeSet<TransferId>,
    /// Which ever were settled by the addressee's PACS, and how many instances it stored.
    settled: BTreeMap<TransferId, u32>,
    /// How each outbound transfer ended.
    pub ended: BTreeMap<TransferId, OutboundKind>,
    seen: BTreeMap<(BoxIndex, TransferId), State>,
    at_portal: BTreeMap<TransferId, TaskStatus>,
}

fn found(world: &mut World, what: String) {
    world.note(format_args!("VIOLATION {what}"));
    world.checks.violations.push(what);
}

/// A machine asked the ledger for a move that is not on its list.
pub fn move_not_listed(world: &mut World, at: BoxIndex, id: TransferId, from: Kind, to: Kind) {
    found(world, format!("box {at}: {} may not move from {from:?} to {to:?}, yet was to", short(id)));
}

/// After a commit of a box.
pub fn ledger_changed(world: &mut World, at: BoxIndex) {
    let rows: Vec<(TransferId, State)> =
        world.hospitals[at].ledger.rows.iter().map(|(id, row)| (*id, row.state.clone())).collect();
    let known = world.checks.seen.keys().filter(|(of, _)| *of == at).count();
    if rows.len() < known {
        found(world, format!("box {at} has lost a transfer"));
    }
    for (id, state) in rows {
        let before = world.checks.seen.get(&(at, id)).cloned();
        if before.as_ref() == Some(&state) {
            continue;
        }
        world.note(format_args!("box {at}: {} is {state:?}", short(id)));
        world.checks.seen.insert((at, id), state.clone());
        if before.as_ref().map(State::kind) != Some(state.kind()) {
            world.tally.reach(state.kind());
        }
        if let Some(before) = &before {
            check_move(world, at, id, before, &state);
        }
        match &state {
            State::Outbound(state) => check_ours(world, at, id, state, before.as_ref()),
            State::Inbound(state) => check_theirs(world, at, id, state, before.as_ref()),
        }
    }
}

/// The first characters of a transfer's name, for people.
pub fn short(id: TransferId) -> String {
    id.to_string().chars().take(8).collect()
}

/// How far along the road a state is, and how far within it.
fn place(state: &State) -> (u32, u32) {
    match state {
        State::Outbound(state) => match state {
            Out::Collecting => (0, 0),
            Out::Queued { .. } => (1, 0),
            Out::Addressed { .. } => (2, 0),
            Out::Sending { parts_done, .. } => (3, *parts_done),
            Out::Accepted { .. } => (4, 0),
            Out::Fetched { .. } => (5, 0),
            Out::Delivered { .. } => (6, 0),
            Out::Held { back_to, .. } => place(&State::Outbound((**back_to).clone())),
            Out::Recalled { .. } | Out::Declined { .. } | Out::Expired { .. } | Out::Failed { .. } => (7, 0),
            Out::Erased { .. } => (8, 0),
        },
        State::Inbound(state) => match state {
            In::Announced => (0, 0),
            In::Fetching { parts_done, .. } => (1, *parts_done),
            In::Opened { .. } => (2, 0),
            In::Reconciled { .. } => (3, 0),
            In::Delivering { settled, .. } => (4, *settled),
            In::Delivered { .. } => (5, 0),
            In::Held { back_to, .. } => place(&State::Inbound((**back_to).clone())),
            In::Reported { .. } => (6, 0),
            In::Recalled { .. } | In::Declined { .. } | In::Expired { .. } | In::Failed { .. } => (7, 0),
            In::Erased { .. } => (8, 0),
        },
    }
}

fn check_move(world: &mut World, at: BoxIndex, id: TransferId, before: &State, after: &State) {
    if before.kind() == Kind::Outbound(OutboundKind::Addressed) && place(after) == (1, 0) {
        check_undone(world, at, id);
    } else if place(after) < place(before) {
        found(world, format!("box {at}: {} went backwards, from {before:?} to {after:?}", short(id)));
    }
    if before.kind().is_final() && after.kind().as_str() != "erased" {
        found(world, format!("box {at}: {} went on after its end, to {after:?}", short(id)));
    }
}

/// Undone: somebody wanted it, nothing has left, and nobody is its addressee any more.
fn check_undone(world: &mut World, at: BoxIndex, id: TransferId) {
    let addressee = world.hospitals[at].ledger.rows.get(&id).and_then(|row| row.addressee.clone());
    let wrong = if !world.checks.undo_asked.contains(&id) {
        "was undone, but nobody asked for it"
    } else if world.portal.entries().contains_key(&id) {
        "was undone, but the portal knows of it"
    } else if addressee.is_some() {
        "was undone, but still has an addressee"
    } else {
        return;
    };
    found(world, format!("box {at}: {} {wrong}", short(id)));
}

/// What is frozen goes to whom somebody chose, and not before it may.
fn frozen_wrongly(world: &World, at: BoxIndex, id: TransferId) -> Option<&'static str> {
    let row = world.hospitals[at].ledger.rows.get(&id)?;
    let chosen = world.checks.decided.get(&id).map(|(_, to)| &world.hospitals[*to].ura);
    let letter = row.letter.as_ref()?;
    if Some(&letter.addressee) != chosen || row.addressee.as_ref() != chosen {
        return Some("is sealed for somebody who was not chosen");
    }
    let (promised, frozen) = (world.checks.promised_until.get(&id), world.checks.frozen_at.get(&id));
    (frozen < promised).then_some("left while it could still be undone")
}

/// Whether the addressee has proven that it erased what was asked back.
pub fn is_given_back(world: &World, id: TransferId) -> bool {
    world.checks.asked.iter().any(|(ask, about)| {
        let entry = world.portal.on_disk().get(ask);
        *about == id && entry.is_some_and(|entry| entry.status() == TaskStatus::Completed)
    })
}

/// Whether nothing of a transfer is left at its addressee.
fn is_erased_there(world: &World, id: TransferId) -> bool {
    let Some((_, to)) = world.checks.decided.get(&id) else { return false };
    let ledger = &world.hospitals[*to].ledger;
    let is_gone = ledger.rows.get(&id).is_some_and(|row| ledger.is_gone(row));
    is_gone && (!world.checks.to_pacs.contains(&id) || world.checks.removed.contains(&id))
}

fn check_ours(world: &mut World, at: BoxIndex, id: TransferId, state: &Out, before: Option<&State>) {
    let entry = world.portal.on_disk().get(&id);
    let status = entry.map(crate::portal::Entry::status);
    let (is_whole, has_expired) = entry.map_or((false, false), |entry| {
        (entry.was_committed && entry.is_whole(), entry.notice().has_expired)
    });
    let is_in_custody = world.checks.in_custody.contains(&id);
    let is_given_back = is_given_back(world, id);
    let wrong = match state {
        Out::Collecting | Out::Queued { .. } | Out::Addressed { .. } => None,
        Out::Sending { .. } => frozen_wrongly(world, at, id),
        Out::Held { .. } | Out::Failed { .. } => None,
        Out::Accepted { .. } if !is_whole => Some("is said to be accepted, but the portal has not all of it"),
        Out::Accepted { .. } => None,
        Out::Fetched { .. } if !is_in_custody => Some("is said to be fetched, but nobody has it in custody"),
        Out::Fetched { .. } => None,
        Out::Delivered { stored, .. } if world.checks.settled.get(&id) != Some(stored) => {
            Some("is said to be delivered, but the PACS has something else")
        }
        Out::Delivered { .. } => None,
        Out::Recalled { .. } if is_given_back => None,
        Out::Recalled { .. } if !world.checks.recall_asked.contains(&id) => {
            Some("is said to be recalled, but nobody asked for it")
        }
        Out::Recalled { .. } if status.is_some_and(|status| status != TaskStatus::Cancelled) => {
            Some("is said to be recalled, but the portal has it still")
        }
        Out::Recalled { .. } => None,
        Out::Declined { .. } if !world.checks.refused.contains(&id) => {
            Some("is said to be refused, but nobody refused it")
        }
        Out::Declined { .. } => None,
        Out::Expired { .. } if !has_expired => Some("is said to be expired, but its time is not over"),
        Out::Expired { .. } => None,
        Out::Erased { .. } if !before.is_some_and(|before| before.kind().is_final()) => {
            Some("was erased before it was over")
        }
        Out::Erased { .. } => None,
    };
    if state.kind() != OutboundKind::Erased && Kind::Outbound(state.kind()).is_final() {
        world.checks.ended.insert(id, state.kind());
    }
    if let Some(wrong) = wrong {
        found(world, format!("box {at}: {} {wrong}", short(id)));
    }
}

fn check_theirs(world: &mut World, at: BoxIndex, id: TransferId, state: &In, before: Option<&State>) {
    let Some(row) = world.hospitals[at].ledger.rows.get(&id) else { return };
    let study = row.collection.and_then(|collection| world.hospitals[at].ledger.collections.get(&collection));
    let is_here = study.is_some_and(|study| study.parts.values().all(|is_here| *is_here));
    let all_answered =
        study.is_some_and(|study| study.instances.iter().all(|instance| row.delivery.contains_key(instance)));
    let pacs = world.hospitals[at].pacs.stored();
    let in_pacs = study
        .map(|study| study.instances.iter().filter(|instance| pacs.contains_key(instance)).count())
        .and_then(|count| u32::try_from(count).ok());
    let is_told =
        world.portal.on_disk().get(&id).is_some_and(|entry| {
            entry.notice().receipts.iter().any(|(stage, _)| *stage == ReceiptStage::InPacs)
        });
    let wrong = match state {
        In::Announced | In::Fetching { .. } | In::Held { .. } | In::Failed { .. } => None,
        In::Opened { .. } if !is_here => Some("is said to be in custody, but parts are missing"),
        In::Opened { .. } => {
            world.checks.in_custody.insert(id);
            None
        }
        In::Reconciled { .. } | In::Delivering { .. } if !world.checks.confirmed.contains(&id) => {
            Some("goes to the PACS, but nobody confirmed the patient")
        }
        In::Reconciled { .. } => None,
        In::Delivering { .. } => {
            world.checks.to_pacs.insert(id);
            None
        }
        In::Delivered { stored, .. } if !all_answered || in_pacs != Some(*stored) => {
            Some("is said to be delivered, but the PACS has something else")
        }
        In::Delivered { stored, .. } => {
            world.checks.settled.insert(id, *stored);
            None
        }
        In::Reported { .. } if !is_told => Some("is said to be reported, but the portal was not told"),
        In::Reported { .. } | In::Recalled { .. } | In::Declined { .. } | In::Expired { .. } => None,
        In::Erased { .. } if !before.is_some_and(|before| before.kind().is_final()) => {
            Some("was erased before it was over")
        }
        In::Erased { .. } => None,
    };
    if let Some(wrong) = wrong {
        found(world, format!("box {at}: {} {wrong}", short(id)));
    }
}

/// After a change at the portal.
pub fn portal_changed(world: &mut World) {
    let changed: Vec<(TransferId, TaskStatus, Vec<ReceiptStage>)> = world
        .portal
        .entries()
        .iter()
        .filter(|(id, entry)| world.checks.at_portal.get(id) != Some(&entry.status()))
        .map(|(id, entry)| {
            let receipts = entry.notice().receipts.iter().map(|(stage, _)| *stage).collect();
            (*id, entry.status(), receipts)
        })
        .collect();
    for (id, status, receipts) in changed {
        let before = world.checks.at_portal.insert(id, status);
        world.note(format_args!("portal: {} is {status}", short(id)));
        let about = world.checks.asked.get(&id).copied();
        if about.is_none() && !world.checks.decided.contains_key(&id) {
            found(world, format!("the portal has {}, which nobody decided to send", short(id)));
        }
        let movers = [Mover::Sender, Mover::Addressee, Mover::Portal];
        let kind = if about.is_some() { TaskKind::AskBack } else { TaskKind::Deliver };
        let may_move = |before| movers.iter().any(|mover| may_move_as(kind, *mover, before, status));
        if before.is_some_and(|before| !may_move(before)) {
            found(world, format!("the portal moved {} from {before:?} to {status}", short(id)));
        }
        for stage in receipts {
            let is_true = match stage {
                ReceiptStage::InCustody => world.checks.in_custody.contains(&id),
                ReceiptStage::InPacs => world.checks.settled.contains_key(&id),
                ReceiptStage::Erased => about.is_some_and(|about| is_erased_there(world, about)),
            };
            if !is_true {
                found(world, format!("receipt {stage:?} of {} is not true", short(id)));
            }
        }
    }
}

/// After a PACS was asked to store an instance.
pub fn pacs_stored(world: &mut World, at: BoxIndex, instance: Instance, status: u16) {
    if status != STORED {
        return;
    }
    let hospital = &world.hospitals[at];
    let may_go =
        |id: &TransferId| world.checks.confirmed.contains(id) && world.checks.in_custody.contains(id);
    if !carriers(hospital, instance).iter().any(may_go) {
        found(world, format!("pacs {at} got {instance:?}, which nobody may have yet"));
    }
}

/// Transfers to a hospital that carry an instance.
fn carriers(hospital: &Hospital, instance: Instance) -> Vec<TransferId> {
    let carries = |collection: &u32| {
        hospital.ledger.collections.get(collection).is_some_and(|study| study.instances.contains(&instance))
    };
    let rows = hospital.ledger.rows.values();
    rows.filter(|row| matches!(row.state, State::Inbound(_)) && row.collection.as_ref().is_some_and(carries))
        .map(|row| row.id)
        .collect()
}

/// How many instances a PACS has got more often than transfers carried them to it.
pub fn got_again(world: &World, at: BoxIndex) -> u64 {
    let hospital = &world.hospitals[at];
    let stored = hospital.pacs.stored().iter();
    stored
        .map(|(instance, times)| {
            let carriers = carriers(hospital, *instance);
            let confirmed = carriers.iter().filter(|id| world.checks.confirmed.contains(id)).count();
            u64::from(*times).saturating_sub(u64::try_from(confirmed).unwrap_or(u64::MAX))
        })
        .sum()
}

/// At the end, in a healed world: everything is over or waits for a person, and both sides tell the same.
pub fn at_the_end(world: &mut World) {
    crate::ending::check(world);
}
