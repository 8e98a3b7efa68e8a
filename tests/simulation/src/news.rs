//! News, as `transfer::news` does it: polled, each piece applied to the state as it then is, the mark stored last.

use std::time::Duration;

use beeldbox_custody::State;
use beeldbox_protocol::admin::ReceiptStage;
use beeldbox_protocol::envelope::receipt::Receipt;
use beeldbox_protocol::ident::TransferId;
use beeldbox_protocol::portal::fhir::Task;
use beeldbox_protocol::portal::task::{TaskKind, TaskStatus, TransferNotice};
use beeldbox_transfer::inbound::InboundEvent;
use beeldbox_transfer::news::end_told;
use beeldbox_transfer::outbound::OutboundEvent;
use beeldbox_transfer::worker::backoff;

use crate::ask_back;
use crate::ledger::{Changes, LedgerError, Row};
use crate::mutant::Mutant;
use crate::portal::{Answer, Request};
use crate::report::Untold;
use crate::road::{Road, StepError};

/// As in `transfer::news`.
const NOT_RECORDED_PAUSE: Duration = Duration::from_secs(2);
const CATCH_UP_WAIT: Duration = Duration::from_secs(5);
const LOOKS: u32 = 5;

/// The worker.
pub async fn run(road: Road) {
    let marks_first = road.breaks(Mutant::MarkBeforeNews);
    let (mut attempts, mut asks_for_everything) = (0_u32, !marks_first);
    loop {
        let mark = match asks_for_everything {
            true => None,
            false => road.look(|ledger| ledger.mark).await,
        };
        let Ok(Answer::News(tasks, new_mark)) = road.ask(Request::News(mark)).await else {
            attempts += 1;
            let jitter = road.sim.with(|world| world.random.byte());
            road.sim.sleep(backoff(attempts - 1, jitter).min(Duration::from_secs(60))).await;
            continue;
        };
        (attempts, asks_for_everything) = (0, false);
        let is_old_news = tasks.is_empty();
        if marks_first {
            road.commit(move |ledger| ledger.mark = Some(new_mark)).await;
        }
        let mut is_recorded = true;
        for task in tasks {
            is_recorded &= handle(&road, &task).await;
        }
        if !is_recorded {
            road.sim.sleep(NOT_RECORDED_PAUSE).await;
        } else if Some(new_mark) != mark {
            road.commit(move |ledger| ledger.mark = Some(new_mark)).await;
        } else if !is_old_news {
            road.sim.sleep(Duration::from_millis(500)).await;
        }
    }
}

/// Learns what the portal says of one transfer now, if it answers soon.
pub async fn catch_up(road: &Road, id: TransferId) {
    let asked_at = road.sim.with(|world| world.now);
    let Ok(task) = road.task(id).await else { return };
    let took = Duration::from_micros(road.sim.with(|world| world.now - asked_at));
    if took <= CATCH_UP_WAIT {
        handle(road, &task).await;
    }
}

/// Whether the news is used up: recorded, known already, or of no use.
async fn handle(road: &Road, task: &Task) -> bool {
    let Ok(notice) = TransferNotice::read(task) else { return true };
    let our_ura = road.ura();
    for _ in 0..LOOKS {
        let is_question = notice.kind == TaskKind::AskBack;
        let result = if notice.sender == our_ura && is_question {
            ask_back::about_ours(road, &notice).await
        } else if notice.sender == our_ura {
            about_ours(road, &notice).await
        } else if notice.addressee == our_ura && is_question {
            match ask_back::about_theirs(road, &notice).await {
                Ok(()) => Ok(()),
                Err(Untold::Step(error)) => Err(error),
                Err(Untold::Line(_) | Untold::Message) => return false,
            }
        } else if notice.addressee == our_ura {
            about_theirs(road, &notice).await
        } else {
            return true;
        };
        match result {
            Ok(()) | Err(StepError::NotNow) => return true,
            Err(StepError::Ledger(LedgerError::Stale)) => {}
            Err(StepError::Ledger(
                LedgerError::MoveNotAllowed(..) | LedgerError::StillNeeded | LedgerError::Unknown,
            )) => return false,
        }
    }
    false
}

async fn about_ours(road: &Road, notice: &TransferNotice) -> Result<(), StepError> {
    for (stage, jws) in &notice.receipts {
        // A receipt that overtook our own commit needs two steps.
        for _ in 0..2 {
            let Some(row) = road.row(notice.transfer).await else { return Ok(()) };
            if !apply_receipt(road, &row, *stage, jws).await? {
                break;
            }
        }
    }
    let Some(row) = road.row(notice.transfer).await else { return Ok(()) };
    let Some(event) = end_told(notice) else { return Ok(()) };
    road.step_outbound(&row, event, Changes::default()).await.map(drop)
}

/// Whether the state moved. The signature is not there; everything else is compared as `Receipt::verify` does.
async fn apply_receipt(road: &Road, row: &Row, stage: ReceiptStage, jws: &str) -> Result<bool, StepError> {
    let (Some(addressee), Some(letter)) = (&row.addressee, &row.letter) else { return Ok(false) };
    let receipt = Receipt::read_verified(jws).ok_or(StepError::NotNow)?;
    let instances = u32::try_from(letter.instances.len()).map_err(|_| StepError::NotNow)?;
    let fits = receipt.stage == stage
        && receipt.transfer == row.id
        && receipt.letter == letter.digest()
        && receipt.by == *addressee
        && receipt.to == road.ura()
        && receipt.of == instances;
    if !fits {
        return Err(StepError::NotNow);
    }
    let event = match stage {
        ReceiptStage::InCustody if road.breaks(Mutant::ErasesAfterReceiptOne) => {
            OutboundEvent::ReceiptInPacs { stored: receipt.stored, of: receipt.of }
        }
        ReceiptStage::InCustody => OutboundEvent::ReceiptInCustody,
        ReceiptStage::InPacs => OutboundEvent::ReceiptInPacs { stored: receipt.stored, of: receipt.of },
        // Of a question only: a transfer's Task has none.
        ReceiptStage::Erased => return Err(StepError::NotNow),
    };
    let number = if stage == ReceiptStage::InCustody { 1 } else { 2 };
    let changes = Changes { receipt: Some(number), ..Changes::default() };
    Ok(road.step_outbound(row, event, changes).await?.is_some())
}

async fn about_theirs(road: &Road, notice: &TransferNotice) -> Result<(), StepError> {
    let Some(row) = road.row(notice.transfer).await else {
        if notice.status == TaskStatus::Requested {
            let (id, now) = (notice.transfer, road.now());
            road.commit(move |ledger| ledger.announce(id, now)).await;
        }
        return Ok(());
    };
    if !matches!(row.state, State::Inbound(_)) || notice.status != TaskStatus::Cancelled {
        return Ok(());
    }
    if notice.has_expired {
        let expired = InboundEvent::Expired;
        return road.step_inbound(&row, expired, Changes::default(), Vec::new()).await.map(drop);
    }
    ask_back::cancelled_too_late(road, &row).await
}
