//! The people of a hospital: they close and address studies, import or refuse what came, take back what was wrong, and let
//! held transfers go on. They look now and then, act on one thing, and lose what they were doing when the box does.

use std::time::Duration;

use beeldbox_custody::{AskState, HoldReason, InboundState, OutboundState, State};
use beeldbox_protocol::admin::DeclineCode;
use beeldbox_protocol::ident::TransferId;
use beeldbox_protocol::portal::fhir::Task;
use beeldbox_protocol::portal::task::{self, Mover, NewTransfer, TaskStatus, may_move};
use beeldbox_transfer::codes::decline_reason;
use beeldbox_transfer::inbound::InboundEvent;
use beeldbox_transfer::outbound::OutboundEvent;
use beeldbox_transfer::portal_client::PortalError;
use beeldbox_transfer::road::after;
use jiff::Timestamp;

use crate::ask_back;
use crate::ledger::{Changes, LedgerError, Row};
use crate::line::LineError;
use crate::mutant::Mutant;
use crate::news::catch_up;
use crate::portal::Request;
use crate::road::{Road, StepError};
use crate::tally::Sometimes;

/// As in `transfer::recall`.
const LOOKS: u32 = 4;

/// Everything that people do at one hospital.
pub async fn run(road: Road) {
    loop {
        let pause = road.sim.with(|world| world.millis(1_000, if world.is_healed { 20_000 } else { 45_000 }));
        road.sim.sleep(pause).await;
        let rows: Vec<Row> = road.look(|ledger| ledger.rows.values().cloned().collect()).await;
        for row in rows {
            if let Err(StepError::Ledger(_) | StepError::NotNow) = act(&road, &row).await {
                // Somebody or something else came first; they look again.
            }
        }
    }
}

fn chance(road: &Road, in_thousand: u64) -> bool {
    road.sim.with(|world| world.random.in_thousand(in_thousand))
}

/// Whether somebody lets a held transfer go on. In a healed world they learn, and leave alone what is held every time.
fn tries_again(road: &Road, id: TransferId) -> bool {
    const PATIENCE: u32 = 3;
    road.sim.with(|world| {
        let wants_to = world.random.in_thousand(400);
        if !world.is_healed || !wants_to {
            return wants_to;
        }
        let times = world.checks.resumed.entry(id).or_default();
        *times += 1;
        *times <= PATIENCE
    })
}

fn is_healed(road: &Road) -> bool {
    road.sim.with(|world| world.is_healed)
}

async fn act(road: &Road, row: &Row) -> Result<(), StepError> {
    match &row.state {
        State::Outbound(state) => act_on_ours(road, row, state).await,
        State::Inbound(state) => act_on_theirs(road, row, state).await,
    }
}

async fn act_on_ours(road: &Road, row: &Row, state: &OutboundState) -> Result<(), StepError> {
    match state {
        OutboundState::Collecting => {
            let event = match chance(road, 100) {
                true => OutboundEvent::ClosedInDoubt(HoldReason::TwoPatients),
                false => OutboundEvent::Closed,
            };
            road.step_outbound(row, event, Changes::default()).await.map(drop)
        }
        OutboundState::Queued { .. } if chance(road, 600) => address(road, row, None).await,
        OutboundState::Held { back_to, .. } if matches!(**back_to, OutboundState::Queued { .. }) => {
            let OutboundState::Held { reason, since, .. } = state else { return Ok(()) };
            let doubt = (reason.clone(), *since);
            road.step_outbound(row, OutboundEvent::Resumed, Changes::default()).await?;
            let Some(row) = road.row(row.id).await else { return Ok(()) };
            address(road, &row, Some(doubt)).await
        }
        OutboundState::Held { .. } if tries_again(road, row.id) => {
            road.step_outbound(row, OutboundEvent::Resumed, Changes::default()).await?;
            road.sim.with(|world| world.tally.count(Sometimes::Resumed));
            catch_up(road, row.id).await;
            Ok(())
        }
        OutboundState::Addressed { .. } if chance(road, 250) => undo(road, row).await,
        OutboundState::Fetched { .. } | OutboundState::Delivered { .. } | OutboundState::Erased { .. }
            if wants_it_back(road, row) =>
        {
            ask_back::ask(road, row).await
        }
        OutboundState::Addressed { .. }
        | OutboundState::Sending { .. }
        | OutboundState::Accepted { .. }
        | OutboundState::Fetched { .. }
        | OutboundState::Held { .. } => {
            second_addressee(road, row).await;
            recall_if_wrong(road, row).await
        }
        OutboundState::Queued { .. }
        | OutboundState::Delivered { .. }
        | OutboundState::Erased { .. }
        | OutboundState::Recalled { .. }
        | OutboundState::Declined { .. }
        | OutboundState::Expired { .. }
        | OutboundState::Failed { .. } => Ok(()),
    }
}

async fn act_on_theirs(road: &Road, row: &Row, state: &InboundState) -> Result<(), StepError> {
    if is_asked_back(road, row).await {
        // Nothing else is offered until somebody has answered.
        return match chance(road, 500) {
            true => ask_back::answer(road, row, chance(road, 500)).await,
            false => Ok(()),
        };
    }
    match state {
        InboundState::Opened { .. } if chance(road, 850) => {
            road.sim.with(|world| world.checks.confirmed.insert(row.id));
            let event = InboundEvent::PatientConfirmed;
            road.step_inbound(row, event, Changes::default(), Vec::new()).await.map(drop)
        }
        InboundState::Opened { .. } => decline(road, row).await,
        InboundState::Announced | InboundState::Fetching { .. } | InboundState::Reconciled { .. }
            if chance(road, 20) =>
        {
            decline(road, row).await
        }
        InboundState::Held { .. } if tries_again(road, row.id) => {
            road.step_inbound(row, InboundEvent::Resumed, Changes::default(), Vec::new()).await?;
            road.sim.with(|world| world.tally.count(Sometimes::Resumed));
            catch_up(road, row.id).await;
            Ok(())
        }
        InboundState::Announced
        | InboundState::Fetching { .. }
        | InboundState::Reconciled { .. }
        | InboundState::Delivering { .. }
        | InboundState::Delivered { .. }
        | InboundState::Reported { .. }
        | InboundState::Erased { .. }
        | InboundState::Held { .. }
        | InboundState::Recalled { .. }
        | InboundState::Declined { .. }
        | InboundState::Expired { .. }
        | InboundState::Failed { .. } => Ok(()),
    }
}

async fn is_asked_back(road: &Road, row: &Row) -> bool {
    let id = row.id;
    road.look(move |ledger| ledger.asks_about(id).iter().any(|ask| ask.state == AskState::Open)).await
}

/// How long a choice can be undone, in seconds at most; some sites do without.
const UNDO_SECS: u64 = 120;

/// Whether somebody finds out too late that a transfer was wrong.
fn wants_it_back(road: &Road, row: &Row) -> bool {
    let is_regretted = road.sim.with(|world| world.checks.regretted.contains(&row.id));
    !is_healed(road) && chance(road, if is_regretted { 300 } else { 5 })
}

/// As `transfer::address::undo`.
async fn undo(road: &Road, row: &Row) -> Result<(), StepError> {
    // They look, think, and click; meanwhile it may have gone.
    let thinks = road.sim.with(|world| world.millis(100, 20_000));
    road.sim.sleep(thinks).await;
    let row = &road.row(row.id).await.ok_or(StepError::NotNow)?;
    road.sim.with(|world| world.checks.undo_asked.insert(row.id));
    let changes = Changes { unaddress: true, ..Changes::default() };
    let undone = road.step_outbound(row, OutboundEvent::Undone, changes).await;
    road.sim.with(|world| match &undone {
        Ok(Some(_)) => world.tally.count(Sometimes::Undone),
        Ok(None) | Err(_) => world.tally.count(Sometimes::UndoTooLate),
    });
    undone.map(drop)
}

async fn address(road: &Road, row: &Row, doubt: Option<(HoldReason, Timestamp)>) -> Result<(), StepError> {
    let now = road.now();
    let mut leaves_at = road.sim.with(|world| {
        let window = if world.random.in_thousand(300) { 0 } else { world.random.between(1, UNDO_SECS) };
        after(now, Duration::from_secs(window))
    });
    road.sim.with(|world| world.checks.promised_until.insert(row.id, leaves_at));
    if road.breaks(Mutant::LeavesWithinUndoWindow) {
        leaves_at = now;
    }
    let addressee = road.sim.with(|world| {
        let others = world.hospitals.len() - 1;
        let other = (road.at + 1 + world.random.index(others)) % world.hospitals.len();
        if world.random.in_thousand(300) {
            world.checks.regretted.insert(row.id);
        }
        world.checks.decided.insert(row.id, (road.at, other));
        world.hospitals[other].ura.clone()
    });
    let changes = Changes { addressee: Some(addressee), ..Changes::default() };
    let event = OutboundEvent::Addressed { leaves_at, doubt };
    road.step_outbound(row, event, changes).await.map(drop)
}

/// Now and then the same images go to somebody else too.
async fn second_addressee(road: &Road, row: &Row) {
    let Some(collection) = row.collection else { return };
    if is_healed(road) || !chance(road, 15) {
        return;
    }
    let (id, now) = (TransferId::from_random(road.sim.with(|world| world.random.sixteen())), road.now());
    if road.commit(move |ledger| ledger.new_transfer_on(collection, id, now)).await.is_ok() {
        road.sim.with(|world| world.tally.count(Sometimes::SecondAddressee));
    }
}

async fn decline(road: &Road, row: &Row) -> Result<(), StepError> {
    let reason = DeclineCode::WrongDepartment;
    let tell = serde_json::to_vec(&reason).expect("a code is always JSON");
    road.sim.with(|world| world.checks.refused.insert(row.id));
    let event = InboundEvent::Declined(decline_reason(reason));
    road.step_inbound(row, event, Changes::default(), tell).await?;
    road.sim.with(|world| world.tally.count(Sometimes::Declined));
    Ok(())
}

async fn recall_if_wrong(road: &Road, row: &Row) -> Result<(), StepError> {
    let is_regretted = road.sim.with(|world| world.checks.regretted.contains(&row.id));
    if !is_regretted || is_healed(road) || !chance(road, 300) {
        return Ok(());
    }
    road.sim.with(|world| world.checks.recall_asked.insert(row.id));
    let (outcome, is_over) = match recall(road, row).await {
        Ok(()) => (Sometimes::Recalled, true),
        Err(NotRecalled::TooLate) => (Sometimes::RecallTooLate, true),
        // Whoever gets no answer tries again, or thinks that somebody else will.
        Err(NotRecalled::Line) => (Sometimes::RecallFailed, chance(road, 300)),
        Err(NotRecalled::Step(error)) => return Err(error),
    };
    road.sim.with(|world| {
        world.tally.count(outcome);
        if is_over {
            world.checks.regretted.remove(&row.id);
        }
    });
    Ok(())
}

enum NotRecalled {
    TooLate,
    Line,
    Step(StepError),
}

/// As `transfer::recall::recall`.
async fn recall(road: &Road, row: &Row) -> Result<(), NotRecalled> {
    let State::Outbound(state) = &row.state else { return Err(NotRecalled::Step(StepError::NotNow)) };
    if matches!(state, OutboundState::Fetched { .. } | OutboundState::Delivered { .. }) {
        return Err(NotRecalled::TooLate);
    }
    let is_cancelled_there = road.breaks(Mutant::RecalledBeforePortal) || cancel_at_portal(road, row).await?;
    if !is_cancelled_there {
        return match road.step_outbound(row, OutboundEvent::Recalled, Changes::default()).await {
            Ok(_) => Ok(()),
            Err(StepError::Ledger(LedgerError::Stale)) => Err(NotRecalled::Line),
            Err(error) => Err(NotRecalled::Step(error)),
        };
    }
    let row = road.row(row.id).await.ok_or(NotRecalled::Step(StepError::NotNow))?;
    let step = road.step_outbound(&row, OutboundEvent::Recalled, Changes::default()).await;
    step.map(drop).map_err(NotRecalled::Step)
}

/// As there: the draft that a worker may be making at this moment.
fn draft_to_cancel(road: &Road, row: &Row) -> Option<Task> {
    let addressee_ura = row.addressee.clone()?;
    if matches!(row.state, State::Outbound(OutboundState::Addressed { .. })) {
        return None;
    }
    let now = road.now();
    let new = NewTransfer {
        transfer: row.id,
        sender: road.ura(),
        addressee_ura,
        addressee: "radiologie".parse().expect("an id"),
        urgent: false,
        at: now,
        valid_until: after(now, road.sim.with(|world| world.valid_for)),
    };
    Some(new.draft())
}

async fn cancel_at_portal(road: &Road, row: &Row) -> Result<bool, NotRecalled> {
    for _ in 0..LOOKS {
        let task = match road.task(row.id).await {
            Ok(task) => task,
            Err(LineError::Portal(PortalError::NotFound)) => {
                let Some(draft) = draft_to_cancel(road, row) else { return Ok(false) };
                let created = road.ask(Request::Create(Box::new(draft))).await;
                created.map_err(|_| NotRecalled::Line)?;
                continue;
            }
            Err(_) => return Err(NotRecalled::Line),
        };
        let status = TaskStatus::from_code(&task.status).ok_or(NotRecalled::Line)?;
        if status == TaskStatus::Cancelled {
            return Ok(true);
        }
        if !may_move(Mover::Sender, status, TaskStatus::Cancelled) {
            return Err(NotRecalled::TooLate);
        }
        road.sim.with(|world| note_fetch_under_way(world, row.id));
        match road.update(row.id, task::recalled(task)).await {
            Ok(()) => return Ok(true),
            Err(LineError::Portal(PortalError::Conflict)) => {}
            Err(_) => return Err(NotRecalled::Line),
        }
    }
    Err(NotRecalled::Line)
}

fn note_fetch_under_way(world: &mut crate::world::World, id: TransferId) {
    let is_fetching = world.hospitals.iter().any(|hospital| {
        let row = hospital.ledger.rows.get(&id);
        row.is_some_and(|row| matches!(row.state, State::Inbound(InboundState::Fetching { .. })))
    });
    if is_fetching {
        world.tally.count(Sometimes::RecallDuringFetch);
    }
}

/// What comes in from the hospital's PACS: a study, whole.
pub async fn take_in(road: Road, study: u32, instances: u32, parts: u32) {
    let id = TransferId::from_random(road.sim.with(|world| world.random.sixteen()));
    let numbers = 0..instances;
    let collection = crate::ledger::Collection {
        instances: numbers.map(|number| crate::letter::Instance { study, number }).collect(),
        parts: (0..parts)
            .map(|part| {
                let name = format!("study {study} part {part}");
                (beeldbox_protocol::ident::Digest::of(name.as_bytes()), true)
            })
            .collect(),
        ..crate::ledger::Collection::default()
    };
    let now = road.now();
    road.commit(move |ledger| ledger.take_in(study, collection, id, now)).await;
    road.sim.sleep(Duration::from_millis(1)).await;
}
