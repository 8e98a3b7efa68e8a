//! Freeze and send, as `transfer::send` does it. Parts go one after the other here, and none goes ahead of the decision.

use std::rc::Rc;

use beeldbox_custody::{HoldReason, OutboundState, State};
use beeldbox_protocol::ident::{Digest, TransferId};
use beeldbox_protocol::portal::fhir::Task;
use beeldbox_protocol::portal::task::{self, NewTransfer, PartEntry, TaskStatus, TransferNotice};
use beeldbox_transfer::news::end_told;
use beeldbox_transfer::outbound::OutboundEvent;
use beeldbox_transfer::portal_client::{Disposition, PortalError};
use beeldbox_transfer::road::after;

use crate::ledger::{Changes, Collection, Row};
use crate::letter::Letter;
use crate::line::LineError;
use crate::mutant::Mutant;
use crate::portal::{Answer, Request};
use crate::road::{Road, StepError};

/// Why a unit of sending did not succeed.
enum SendError {
    Line(LineError),
    Step(StepError),
    Incomplete,
}

impl From<LineError> for SendError {
    fn from(error: LineError) -> Self {
        SendError::Line(error)
    }
}

impl From<PortalError> for SendError {
    fn from(error: PortalError) -> Self {
        SendError::Line(LineError::Portal(error))
    }
}

impl From<StepError> for SendError {
    fn from(error: StepError) -> Self {
        SendError::Step(error)
    }
}

/// The worker.
pub async fn run(road: Road) {
    loop {
        if !work(&road).await {
            road.until_due().await;
        }
    }
}

async fn work(road: &Road) -> bool {
    for row in &road.due().await {
        let State::Outbound(state) = &row.state else { continue };
        let result = match state {
            OutboundState::Addressed { .. } => freeze(road, row).await,
            OutboundState::Sending { .. } => upload(road, row).await,
            OutboundState::Collecting
            | OutboundState::Queued { .. }
            | OutboundState::Accepted { .. }
            | OutboundState::Fetched { .. }
            | OutboundState::Delivered { .. }
            | OutboundState::Erased { .. }
            | OutboundState::Held { .. }
            | OutboundState::Recalled { .. }
            | OutboundState::Declined { .. }
            | OutboundState::Expired { .. }
            | OutboundState::Failed { .. } => continue,
        };
        match result {
            Ok(()) => {}
            Err(SendError::Line(error)) => road.wait_or_hold(row, error.disposition()).await,
            Err(SendError::Step(step)) => road.step_failed(row, step).await,
            Err(SendError::Incomplete) => {
                road.wait_or_hold(row, Disposition::Hold(HoldReason::RecipientNotVerified)).await;
            }
        }
        return true;
    }
    false
}

async fn study(road: &Road, row: &Row) -> Result<Collection, SendError> {
    let id = row.collection.ok_or(SendError::Incomplete)?;
    road.look(move |ledger| ledger.collections.get(&id).cloned()).await.ok_or(SendError::Incomplete)
}

/// Addressed → Sending.
async fn freeze(road: &Road, row: &Row) -> Result<(), SendError> {
    let study = study(road, row).await?;
    // Cutting parts and sealing takes its time; what was decided meanwhile counts.
    let takes = road.sim.with(|world| world.millis(1, if world.is_healed { 100 } else { 60_000 }));
    road.sim.sleep(takes).await;
    let addressee = row.addressee.clone().ok_or(SendError::Incomplete)?;
    let (valid_for, sealing) = road.sim.with(|world| (world.valid_for, world.random.draw()));
    let letter = Rc::new(Letter {
        transfer: row.id,
        sender: road.ura(),
        addressee,
        asks_back: None,
        valid_until: after(road.now(), valid_for),
        parts: study.parts.keys().copied().collect(),
        instances: study.instances,
        sealing,
    });
    let parts_total = u32::try_from(letter.parts.len()).map_err(|_| SendError::Incomplete)?;
    let changes = Changes { letter: Some(letter), ..Changes::default() };
    let (id, now) = (row.id, road.now());
    road.sim.with(|world| world.checks.frozen_at.insert(id, now));
    road.step_outbound(row, OutboundEvent::LetterFrozen { parts_total }, changes).await?;
    Ok(())
}

/// Sending → Accepted.
async fn upload(road: &Road, row: &Row) -> Result<(), SendError> {
    let letter = row.letter.clone().ok_or(SendError::Incomplete)?;
    let study = study(road, row).await?;
    let parts: Vec<Digest> = study.parts.keys().copied().collect();
    let task = draft_at_portal(road, row).await?;
    if status_of(&task)? == TaskStatus::Draft {
        send_missing_parts(road, row, &parts).await?;
        road.ask(Request::PutLetter(row.id, letter)).await?;
    }
    commit(road, row, &parts).await
}

async fn draft_at_portal(road: &Road, row: &Row) -> Result<Task, SendError> {
    let addressee_ura = row.addressee.clone().ok_or(SendError::Incomplete)?;
    let draft = NewTransfer {
        transfer: row.id,
        sender: road.ura(),
        addressee: "radiologie".parse().expect("an id"),
        addressee_ura,
        urgent: false,
        at: row.created_at,
        valid_until: row.letter.as_ref().ok_or(SendError::Incomplete)?.valid_until,
    };
    let draft = draft.draft();
    let created = road.ask(Request::Create(Box::new(draft.clone()))).await;
    if let Err(LineError::Unreachable) = &created
        && road.breaks(Mutant::NewIdAfterLostAnswer)
    {
        send_under_another_name(road, draft.clone()).await?;
    }
    created?;
    let there = road.task(row.id).await?;
    let is_current = there.owner == draft.owner && there.priority == draft.priority;
    if is_current || status_of(&there)? != TaskStatus::Draft {
        return Ok(there);
    }
    let current = Task { owner: draft.owner, priority: draft.priority, ..there };
    road.update(row.id, current).await?;
    Ok(road.task(row.id).await?)
}

/// The mutant's way out of not knowing whether a draft was made.
async fn send_under_another_name(road: &Road, draft: Task) -> Result<(), SendError> {
    let id = TransferId::from_random(road.sim.with(|world| world.random.sixteen()));
    let again = Task { id: id.to_string(), ..draft };
    road.ask(Request::Create(Box::new(again))).await?;
    Ok(())
}

fn status_of(task: &Task) -> Result<TaskStatus, PortalError> {
    TaskStatus::from_code(&task.status).ok_or(PortalError::NotUnderstood("unknown status"))
}

async fn send_missing_parts(road: &Road, row: &Row, parts: &[Digest]) -> Result<(), SendError> {
    let answer = road.ask(Request::Missing(row.id, parts.to_vec())).await?;
    let Answer::Missing(missing) = answer else {
        return Err(PortalError::NotUnderstood("not a list of parts").into());
    };
    let mut done = parts.len() - missing.len().min(parts.len());
    let mut row = row.clone();
    progress(road, &mut row, done).await?;
    for part in missing {
        road.ask(Request::PutPart(row.id, part)).await?;
        done += 1;
        progress(road, &mut row, done).await?;
    }
    Ok(())
}

async fn progress(road: &Road, row: &mut Row, done: usize) -> Result<(), SendError> {
    let parts_done = u32::try_from(done).map_err(|_| SendError::Incomplete)?;
    let event = OutboundEvent::PartsSent { parts_done };
    if let Some(state) = road.step_outbound(row, event, Changes::default()).await? {
        row.state = State::Outbound(state);
    }
    Ok(())
}

async fn commit(road: &Road, row: &Row, parts: &[Digest]) -> Result<(), SendError> {
    let now_there = road.task(row.id).await?;
    if status_of(&now_there)? == TaskStatus::Draft {
        let entries: Vec<PartEntry> =
            parts.iter().map(|digest| PartEntry { digest: *digest, len: 1 }).collect();
        road.update(row.id, task::commit(now_there, &entries)).await?;
    }
    let task = road.task(row.id).await?;
    let notice = TransferNotice::read(&task).map_err(|_| PortalError::NotUnderstood("not a transfer"))?;
    let row = road.row(row.id).await.ok_or(SendError::Incomplete)?;
    let event = end_told(&notice).unwrap_or(OutboundEvent::PortalAccepted);
    road.step_outbound(&row, event, Changes::default()).await?;
    Ok(())
}
