//! Report: receipts and refusals to the portal.
//!
//! What has to be told was written into the outbox in the commit of the move that made it true, so a crash cannot
//! separate the two. Telling is repeated until the portal has it, and telling twice is harmless: the Task shows whether
//! it was told already.

use std::time::Duration;

use beeldbox_custody::{Changes, CustodyError, OutboxRow};
use beeldbox_protocol::admin::ReceiptStage;
use beeldbox_protocol::envelope::receipt::Receipt;
use beeldbox_protocol::ident::TransferId;
use beeldbox_protocol::portal::fhir::Task;
use beeldbox_protocol::portal::task::{self, Mover, TaskStatus, TransferNotice, may_move};
use tokio::sync::watch;
use tracing::{error, warn};

use crate::ask_back;
use crate::effect::Telling;
use crate::inbound::InboundEvent;
use crate::portal_client::PortalError;
use crate::question::TakeInError;
use crate::redirect::Declining;
use crate::request_telling::{self, RequestTelling};
use crate::road::{Road, StepError, after};
use crate::send::chain;
use crate::worker::{Worked, Worker, backoff};

/// Longest sleep between two looks at the outbox.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Tells the portal what stands in the outbox.
pub struct Reporter {
    road: Road,
    changes: watch::Receiver<u64>,
}

/// Why the portal was not told.
#[derive(Debug, thiserror::Error)]
pub enum TellError {
    /// The portal, or the way there: told again later.
    #[error(transparent)]
    Portal(#[from] PortalError),
    /// What follows from it could not be committed.
    #[error(transparent)]
    Step(#[from] StepError),
    /// Nobody could make sense of it: left out, loudly.
    #[error("the message cannot be understood: {0}")]
    Message(&'static str),
    /// It is not true yet, and is told when it is.
    #[error("not yet")]
    NotYet,
}

impl From<TakeInError> for TellError {
    fn from(error: TakeInError) -> Self {
        match error {
            TakeInError::Portal(error) => TellError::Portal(error),
            TakeInError::Step(error) => TellError::Step(error),
        }
    }
}

impl From<CustodyError> for TellError {
    fn from(error: CustodyError) -> Self {
        TellError::Step(StepError::Custody(error))
    }
}

impl Reporter {
    /// For this road.
    pub fn new(road: Road) -> Self {
        let changes = road.custody.work();
        Reporter { road, changes }
    }

    async fn handle(&self, row: &OutboxRow) -> Result<(), CustodyError> {
        match self.tell(row).await {
            Ok(()) => self.road.custody.drop_outbox(row.id).await,
            Err(TellError::Step(StepError::Custody(error))) => Err(error),
            Err(TellError::Step(StepError::NotNow(_))) => self.road.custody.drop_outbox(row.id).await,
            Err(failure @ TellError::Message(_)) => {
                error!(error = %failure, "a message is left out");
                self.road.custody.drop_outbox(row.id).await
            }
            Err(TellError::NotYet) => {
                let [jitter] = self.road.random_bytes::<1>();
                let again = after(self.road.now(), backoff(row.attempts, jitter));
                self.road.custody.postpone_outbox(row.id, again).await
            }
            Err(TellError::Portal(failure)) => {
                let [jitter] = self.road.random_bytes::<1>();
                let pause = match &failure {
                    // Somebody moved in between: look again soon.
                    PortalError::Conflict => Duration::from_millis(200),
                    PortalError::Busy { retry_after: Some(pause) } => *pause,
                    PortalError::Busy { retry_after: None }
                    | PortalError::AlreadyThere
                    | PortalError::Unreachable(_)
                    | PortalError::Certificate(_)
                    | PortalError::RefusedUs(_)
                    | PortalError::NotFound
                    | PortalError::MissingParts(_)
                    | PortalError::DigestMismatch
                    | PortalError::NotUnderstood(_) => backoff(row.attempts, jitter),
                };
                warn!(error = %chain(&failure), pause_secs = pause.as_secs(), "the portal was not told");
                self.road.custody.postpone_outbox(row.id, after(self.road.now(), pause)).await
            }
        }
    }

    async fn tell(&self, row: &OutboxRow) -> Result<(), TellError> {
        if let Some(telling) = RequestTelling::from_word(&row.message.kind) {
            return Ok(request_telling::tell(&self.road, telling, ask_in(row)?).await?);
        }
        let telling = Telling::from_word(&row.message.kind).ok_or(TellError::Message("unknown kind"))?;
        let transfer = row.message.transfer.ok_or(TellError::Message("no transfer"))?;
        match telling {
            Telling::AskBack => return Ok(ask_back::tell_question(&self.road, ask_in(row)?).await?),
            Telling::AnswerAsk => {
                let is_told = ask_back::tell_answer(&self.road, ask_in(row)?).await?;
                return if is_told { Ok(()) } else { Err(TellError::NotYet) };
            }
            Telling::ReceiptInCustody | Telling::ReceiptInPacs | Telling::Decline => {}
        }
        let task = match self.road.portal.task(&transfer).await {
            Ok(task) => task,
            // The portal forgot it, or never had it: there is nobody to tell.
            Err(PortalError::NotFound) => return too_late(telling, transfer),
            Err(error) => return Err(error.into()),
        };
        let notice = TransferNotice::read(&task).map_err(|_| PortalError::NotUnderstood("not a transfer"))?;
        match plan(telling, &row.message.payload, &notice, task)? {
            Plan::Known => {}
            Plan::TooLate => return too_late(telling, transfer),
            Plan::Update(next) => {
                let result = self.road.portal.update_task(&transfer, &next).await;
                self.road.note_portal(&result);
                result?;
            }
        }
        self.told(telling, transfer).await
    }

    /// What follows from the portal knowing it.
    async fn told(&self, telling: Telling, transfer: TransferId) -> Result<(), TellError> {
        match telling {
            Telling::ReceiptInPacs => {
                if let Some(row) = self.road.custody.transfer(transfer).await? {
                    self.road
                        .step_inbound(&row, InboundEvent::Reported, Changes::default(), Vec::new())
                        .await?;
                }
                Ok(())
            }
            Telling::ReceiptInCustody | Telling::Decline | Telling::AskBack | Telling::AnswerAsk => Ok(()),
        }
    }
}

/// The question that a message is about.
fn ask_in(row: &OutboxRow) -> Result<TransferId, TellError> {
    let text = std::str::from_utf8(&row.message.payload).ok();
    text.and_then(|text| text.parse().ok()).ok_or(TellError::Message("no question"))
}

/// What it takes to tell the portal.
#[derive(Debug, PartialEq)]
pub enum Plan {
    /// It knows already.
    Known,
    /// It takes this no more: the transfer ended there in another way.
    TooLate,
    /// The Task as it should become.
    Update(Box<Task>),
}

/// Nothing follows from what could not be told: a delivered transfer stays *delivered* and never says *reported*.
fn too_late(telling: Telling, transfer: TransferId) -> Result<(), TellError> {
    warn!(%transfer, telling = telling.as_str(), "the transfer has ended at the portal: it cannot be told any more");
    Ok(())
}

/// Compares what is to be told with what the Task says. Pure.
///
/// # Errors
/// If the message makes no sense, or must wait for another one ([`PortalError::Conflict`]).
pub fn plan(
    telling: Telling,
    payload: &[u8],
    notice: &TransferNotice,
    task: Task,
) -> Result<Plan, TellError> {
    let (mover, next) = match telling {
        Telling::ReceiptInCustody | Telling::ReceiptInPacs => {
            let jws =
                std::str::from_utf8(payload).map_err(|_| TellError::Message("a receipt that is not text"))?;
            let stage = match telling {
                Telling::ReceiptInCustody => ReceiptStage::InCustody,
                Telling::ReceiptInPacs | Telling::Decline | Telling::AskBack | Telling::AnswerAsk => {
                    ReceiptStage::InPacs
                }
            };
            if notice.receipts.iter().any(|(told, _)| *told == stage) {
                return Ok(Plan::Known);
            }
            if telling == Telling::ReceiptInPacs && notice.status == TaskStatus::Requested {
                // Receipt 1 is still on its way: this one waits for it.
                return Err(PortalError::Conflict.into());
            }
            let receipt =
                Receipt::read_verified(jws).ok_or(TellError::Message("a receipt that cannot be read"))?;
            (Mover::Addressee, task::with_receipt(task, stage, receipt.stored == receipt.of, jws))
        }
        Telling::AskBack | Telling::AnswerAsk => {
            return Err(TellError::Message("a question has a Task of its own"));
        }
        Telling::Decline => {
            let declining: Declining =
                serde_json::from_slice(payload).map_err(|_| TellError::Message("an unknown reason"))?;
            let refused = task::rejected(task, declining.reason);
            (Mover::Addressee, declining.belongs_at.iter().fold(refused, task::belonging_at))
        }
    };
    let to = TaskStatus::from_code(&next.status).ok_or(TellError::Message("unknown status"))?;
    Ok(if may_move(mover, notice.status, to) { Plan::Update(Box::new(next)) } else { Plan::TooLate })
}

impl Worker for Reporter {
    fn name(&self) -> &'static str {
        "report"
    }

    async fn work(&mut self) -> Worked {
        let due = match self.road.custody.due_outbox(self.road.now(), 50).await {
            Ok(due) => due,
            Err(error) => {
                error!(%error, "the outbox cannot be read");
                return Worked::Idle;
            }
        };
        for row in &due {
            if let Err(error) = self.handle(row).await {
                error!(%error, "the outbox cannot be written");
                return Worked::Idle;
            }
            if self.road.stop.is_cancelled() {
                break;
            }
        }
        if due.is_empty() { Worked::Idle } else { Worked::More }
    }

    async fn wait(&mut self) {
        let next = self.road.custody.next_outbox_due().await.ok().flatten();
        let sleep = next.map_or(LOOK_AGAIN, |at| {
            Duration::try_from(at.duration_since(self.road.now())).unwrap_or_default().min(LOOK_AGAIN)
        });
        tokio::select! {
            () = tokio::time::sleep(sleep.max(Duration::from_millis(20))) => {}
            changed = self.changes.changed() => if changed.is_err() { tokio::time::sleep(LOOK_AGAIN).await },
        }
    }
}

#[cfg(test)]
mod tests {
    use beeldbox_protocol::portal::task::NewTransfer;

    use super::*;

    fn requested() -> Task {
        let at = "2026-11-23T09:14:00Z".parse().unwrap();
        let new = NewTransfer {
            transfer: TransferId::from_random([5; 16]),
            sender: "90000381".parse().unwrap(),
            addressee_ura: "90000382".parse().unwrap(),
            addressee: "zuid-radiologie".parse().unwrap(),
            urgent: false,
            at,
            valid_until: at,
        };
        let mut task = task::commit(new.draft(), &[]);
        task.meta.version_id = Some("2".to_owned());
        task.meta.last_updated = Some(at);
        task
    }

    fn plan_for(telling: Telling, payload: &[u8], task: Task) -> Plan {
        plan(telling, payload, &TransferNotice::read(&task).unwrap(), task).unwrap()
    }

    #[test]
    fn a_recalled_transfer_is_never_taken_for_reported() {
        let payload = br#"{"v":1,"transfer":"05050505-0505-4505-8505-050505050505","letter":"0000000000000000000000000000000000000000000000000000000000000000","stage":"in-pacs","by":"90000382","to":"90000381","stored":1,"of":1,"at":"2026-11-23T09:14:00Z"}"#;
        let jws = format!("h.{}.s", data_encoding::BASE64URL_NOPAD.encode(payload));
        assert_eq!(
            plan_for(Telling::ReceiptInPacs, jws.as_bytes(), task::recalled(requested())),
            Plan::TooLate
        );
        let fetched = task::with_receipt(requested(), ReceiptStage::InCustody, true, "a.b.c");
        assert!(matches!(plan_for(Telling::ReceiptInPacs, jws.as_bytes(), fetched.clone()), Plan::Update(_)));
        let told = task::with_receipt(fetched, ReceiptStage::InPacs, true, "a.b.c");
        assert_eq!(plan_for(Telling::ReceiptInPacs, jws.as_bytes(), told), Plan::Known);
    }
}
