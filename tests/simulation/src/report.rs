//! Report, as `transfer::report` does it, with its own plan of what it takes to tell the portal. And erase, as
//! `transfer::erase` does it.

use std::time::Duration;

use beeldbox_protocol::ident::TransferId;
use beeldbox_protocol::portal::task::TransferNotice;
use beeldbox_transfer::effect::Telling;
use beeldbox_transfer::inbound::InboundEvent;
use beeldbox_transfer::portal_client::PortalError;
use beeldbox_transfer::report::{Plan, TellError, plan};
use beeldbox_transfer::road::after;
use beeldbox_transfer::worker::backoff;

use crate::ask_back;
use crate::ledger::{Changes, LedgerError, Message};
use crate::line::LineError;
use crate::road::{Road, StepError};
use crate::tally::Sometimes;

/// In `transfer::report` it is thirty seconds; here the wait ends when the ledger changes.
const LOOK_AGAIN: Duration = Duration::from_secs(120);

/// As in `transfer::erase`.
const ERASE_AGAIN: Duration = Duration::from_secs(3600);

/// The reporter.
pub async fn run(road: Road) {
    loop {
        let now = road.now();
        let due: Vec<(u64, Message)> = road
            .look(move |ledger| {
                let due = ledger.outbox.iter().filter(|(_, message)| message.due_at <= now);
                due.map(|(number, message)| (*number, message.clone())).collect()
            })
            .await;
        if due.is_empty() {
            let next = road.look(|ledger| ledger.outbox.values().map(|message| message.due_at).min()).await;
            let sleep = next.map_or(LOOK_AGAIN, |at| {
                Duration::try_from(at.duration_since(road.now())).unwrap_or_default().min(LOOK_AGAIN)
            });
            road.until_changed(sleep.max(Duration::from_millis(20))).await;
            continue;
        }
        for (number, message) in due {
            handle(&road, number, message).await;
        }
    }
}

async fn handle(road: &Road, number: u64, message: Message) {
    let pause = match tell(road, &message).await {
        Ok(()) | Err(Untold::Step(StepError::NotNow) | Untold::Message) => {
            road.commit(move |ledger| ledger.outbox.remove(&number)).await;
            return;
        }
        // Another move came first: it is told again soon.
        Err(Untold::Step(StepError::Ledger(_))) => Duration::from_secs(1),
        Err(Untold::Line(LineError::Portal(PortalError::Conflict))) => Duration::from_millis(200),
        Err(Untold::Line(LineError::Portal(PortalError::Busy { retry_after: Some(pause) }))) => pause,
        Err(Untold::Line(_)) => {
            let jitter = road.sim.with(|world| world.random.byte());
            backoff(message.attempts, jitter)
        }
    };
    let due_at = after(road.now(), pause);
    road.commit(move |ledger| {
        if let Some(message) = ledger.outbox.get_mut(&number) {
            message.due_at = due_at;
            message.attempts += 1;
        }
    })
    .await;
}

/// Why the portal was not told.
pub enum Untold {
    /// The portal, or the way there.
    Line(LineError),
    /// What follows could not be committed.
    Step(StepError),
    /// Nobody could make sense of it.
    Message,
}

impl From<StepError> for Untold {
    fn from(error: StepError) -> Self {
        Untold::Step(error)
    }
}

impl From<LedgerError> for Untold {
    fn from(error: LedgerError) -> Self {
        Untold::Step(StepError::Ledger(error))
    }
}

impl From<LineError> for Untold {
    fn from(error: LineError) -> Self {
        Untold::Line(error)
    }
}

async fn tell(road: &Road, message: &Message) -> Result<(), Untold> {
    match message.telling {
        Telling::AskBack => return ask_back::tell_question(road, ask_in(message)?).await,
        Telling::AnswerAsk => return ask_back::tell_answer(road, ask_in(message)?).await,
        Telling::ReceiptInCustody | Telling::ReceiptInPacs | Telling::Decline => {}
    }
    let task = match road.task(message.transfer).await {
        Ok(task) => task,
        Err(LineError::Portal(PortalError::NotFound)) => return too_late(road),
        Err(error) => return Err(error.into()),
    };
    let not_understood = |_| LineError::Portal(PortalError::NotUnderstood("not a transfer"));
    let notice = TransferNotice::read(&task).map_err(not_understood)?;
    match plan(message.telling, &message.payload, &notice, task) {
        Ok(Plan::Known) => {}
        Ok(Plan::TooLate) => return too_late(road),
        Ok(Plan::Update(next)) => road.update(message.transfer, *next).await?,
        Err(TellError::Portal(error)) => return Err(Untold::Line(LineError::Portal(error))),
        Err(TellError::Step(_)) => return Err(Untold::Step(StepError::NotNow)),
        Err(TellError::Message(_) | TellError::NotYet) => return Err(Untold::Message),
    }
    match message.telling {
        Telling::ReceiptInPacs => {
            if let Some(row) = road.row(message.transfer).await {
                let reported = InboundEvent::Reported;
                road.step_inbound(&row, reported, Changes::default(), Vec::new())
                    .await
                    .map_err(Untold::Step)?;
            }
            Ok(())
        }
        Telling::ReceiptInCustody | Telling::Decline | Telling::AskBack | Telling::AnswerAsk => Ok(()),
    }
}

/// The question that a message is about.
fn ask_in(message: &Message) -> Result<TransferId, Untold> {
    let text = std::str::from_utf8(&message.payload).ok();
    text.and_then(|text| text.parse().ok()).ok_or(Untold::Message)
}

fn too_late(road: &Road) -> Result<(), Untold> {
    road.sim.with(|world| world.tally.count(Sometimes::ToldTooLate));
    Ok(())
}

/// The eraser.
pub async fn run_eraser(road: Road) {
    loop {
        let due = road.due().await;
        let Some(row) = due.iter().find(|row| row.state.kind().is_final()) else {
            road.until_due().await;
            continue;
        };
        let (id, kind) = (row.id, row.state.kind());
        let Some(collection) = row.collection else {
            road.commit(move |ledger| ledger.set_due(id, kind, None)).await;
            continue;
        };
        let is_needed = road.look(move |ledger| ledger.is_needed(collection)).await;
        let erased = match is_needed {
            true => Err(LedgerError::StillNeeded),
            false => road.commit(move |ledger| ledger.remove_keys(collection)).await,
        };
        match erased {
            Ok(()) => {
                // The bytes go between the two commits.
                road.sim.sleep(Duration::from_millis(20)).await;
                let now = road.now();
                road.commit(move |ledger| ledger.finish_erasing(collection, now)).await;
            }
            Err(_) => {
                road.sim.with(|world| world.tally.count(Sometimes::StillNeeded));
                let later = after(road.now(), ERASE_AGAIN);
                road.commit(move |ledger| ledger.set_due(id, kind, Some(later))).await;
            }
        }
    }
}
