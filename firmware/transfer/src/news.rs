//! News: what the portal tells of transfers from us and to us.
//!
//! One long poll, all transfers of either side. The poll is the truth; every piece of news can be told twice without
//! harm, because the machines leave a state alone that has nothing new to learn. The mark up to which news was handled
//! is stored after it was handled, so a crash in between repeats news and never skips any. After a start everything is
//! asked for once more: a portal that told only half of something, or was put back to an earlier day, is then caught up
//! with, and whoever restarts a box that does not learn of something is right to do so.

use std::time::Duration;

use beeldbox_custody::{
    AuditRecord, Changes, CustodyError, DeclineReason, Direction, DirectoryMark, NewInbound, TransferRow,
};
use beeldbox_protocol::admin::ReceiptStage;
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::envelope::receipt::{Expected, Receipt};
use beeldbox_protocol::ident::TransferId;
use beeldbox_protocol::portal::fhir::Task;
use beeldbox_protocol::portal::letter_path;
use beeldbox_protocol::portal::task::{TaskKind, TaskStatus, TransferNotice};
use jiff::Timestamp;
use tracing::{debug, error, info, warn};

use crate::ask_back;
use crate::codes::decline_reason;
use crate::effect::NotNow;
use crate::inbound::InboundEvent;
use crate::outbound::OutboundEvent;
use crate::portal_client::PortalError;
use crate::question::TakeInError;
use crate::road::{Road, StepError};
use crate::send::chain;
use crate::worker::{Worked, Worker, backoff};
use crate::{request, requested};

/// Name of the mark in the ledger.
const MARK: &str = "Task";

/// Pause before news that could not be recorded is asked for again.
const NOT_RECORDED_PAUSE: Duration = Duration::from_secs(2);

/// Longest wait for the portal while a person waits for the answer.
const CATCH_UP_WAIT: Duration = Duration::from_secs(5);

/// How often a transfer that moves under our hands is looked at again.
const LOOKS: u32 = 5;

/// Polls the portal and hands out what it tells.
pub struct News {
    road: Road,
    attempts: u32,
    pause: Option<Duration>,
    asks_for_everything: bool,
}

impl News {
    /// For this road.
    pub fn new(road: Road) -> Self {
        News { road, attempts: 0, pause: None, asks_for_everything: true }
    }

    async fn mark(&self) -> Option<Timestamp> {
        self.road.custody.directory_mark(MARK).await.ok().flatten()?.parse().ok()
    }
}

impl Worker for News {
    fn name(&self) -> &'static str {
        "news"
    }

    async fn work(&mut self) -> Worked {
        if self.pause.is_some() {
            return Worked::Idle;
        }
        let mark = if self.asks_for_everything { None } else { self.mark().await };
        // The wait at the portal may be dropped: nothing is lost, the next poll gives the same news.
        let answer = tokio::select! {
            () = self.road.stop.cancelled() => return Worked::Idle,
            answer = self.road.portal.news(mark) => answer,
        };
        self.road.note_portal(&answer);
        match answer {
            Ok(bundle) => {
                self.attempts = 0;
                let is_old_news = bundle.entry.is_empty();
                let mut new_mark = bundle.meta.last_updated;
                if bundle.next().is_some() {
                    // Not the last page: go on from the newest Task on this one.
                    let newest =
                        bundle.entry.iter().filter_map(|e| e.resource.as_ref()?.meta.last_updated).max();
                    new_mark = newest.or(new_mark);
                }
                let mut is_recorded = true;
                for task in bundle.entry.into_iter().filter_map(|entry| entry.resource) {
                    is_recorded &= handle(&self.road, &task).await;
                }
                // What could not be recorded of everything is asked for again with everything.
                self.asks_for_everything &= !is_recorded;
                if !is_recorded {
                    // The mark stays: what could not be recorded is told again.
                    self.pause = Some(NOT_RECORDED_PAUSE);
                } else if new_mark.is_some() && new_mark != mark {
                    let mark = new_mark
                        .map(|mark| DirectoryMark { resource_type: MARK.to_owned(), mark: mark.to_string() });
                    if let Some(mark) = mark
                        && let Err(error) = self.road.custody.put_mark(mark).await
                    {
                        error!(%error, "the mark of the news cannot be stored");
                    }
                } else if !is_old_news {
                    // Only what we knew already: the mark is inclusive. Do not ask again at once.
                    self.pause = Some(Duration::from_millis(500));
                }
                Worked::More
            }
            Err(failure) => {
                self.attempts += 1;
                let [jitter] = self.road.random_bytes::<1>();
                // While people watch, a portal that comes back should be noticed soon: at most a minute.
                let pause = backoff(self.attempts.saturating_sub(1), jitter).min(Duration::from_secs(60));
                if self.attempts == 1 {
                    warn!(error = %chain(&failure), "the portal cannot be asked for news");
                }
                self.pause = Some(pause);
                Worked::Idle
            }
        }
    }

    async fn wait(&mut self) {
        tokio::time::sleep(self.pause.unwrap_or_default()).await;
        self.pause = None;
    }
}

/// Learns what the portal says of one transfer now. For a transfer that was held while news came: news that did not
/// apply then applies when it goes on.
///
/// Best effort: a portal that does not answer soon is asked for everything at the next start.
pub async fn catch_up(road: &Road, transfer: &TransferId) {
    match tokio::time::timeout(CATCH_UP_WAIT, road.portal.task(transfer)).await {
        Ok(Ok(task)) => {
            handle(road, &task).await;
        }
        Ok(Err(error)) => debug!(%transfer, %error, "nothing to catch up with"),
        Err(_) => debug!(%transfer, "the portal does not answer soon enough to catch up"),
    }
}

/// Whether the news is used up: recorded, known already, or of no use.
async fn handle(road: &Road, task: &Task) -> bool {
    let notice = match TransferNotice::read(task) {
        Ok(notice) => notice,
        Err(error) => {
            warn!(%error, "a Task is left alone");
            return true;
        }
    };
    for _ in 0..LOOKS {
        let result = match told(road, &notice, task).await {
            Ok(()) => Ok(()),
            Err(TakeInError::Step(error)) => Err(error),
            // A letter that the portal does not have must not keep all other news waiting: the question is looked at again
            // when it changes, and at the next start.
            Err(TakeInError::Portal(error @ (PortalError::NotFound | PortalError::NotUnderstood(_)))) => {
                warn!(transfer = %notice.transfer, %error, "a question is left alone");
                return true;
            }
            Err(TakeInError::Portal(error)) => {
                warn!(transfer = %notice.transfer, %error, "a question could not be fetched");
                return false;
            }
        };
        match result {
            Ok(()) => return true,
            Err(StepError::NotNow(_)) => {
                debug!(transfer = %notice.transfer, "news that does not apply now");
                return true;
            }
            // A worker moved the transfer in between: look at it as it is now.
            Err(StepError::Custody(CustodyError::Stale)) => {}
            Err(error) => {
                error!(transfer = %notice.transfer, %error, "news could not be recorded");
                return false;
            }
        }
    }
    false
}

/// Hands one piece of news to whom it is about.
async fn told(road: &Road, notice: &TransferNotice, task: &Task) -> Result<(), TakeInError> {
    let is_ours = notice.sender == *road.signer.ura();
    if !is_ours && notice.addressee != *road.signer.ura() {
        warn!(transfer = %notice.transfer, "the portal told of a transfer that is none of ours");
        return Ok(());
    }
    match (notice.kind, is_ours) {
        (TaskKind::Deliver, true) => Ok(about_ours(road, notice).await?),
        (TaskKind::Deliver, false) => Ok(about_theirs(road, notice, task).await?),
        (TaskKind::AskBack, true) => Ok(ask_back::about_ours(road, notice).await?),
        (TaskKind::AskBack, false) => ask_back::about_theirs(road, notice).await,
        (TaskKind::RequestImaging, true) => Ok(request::about_ours(road, notice).await?),
        (TaskKind::RequestImaging, false) => requested::about_theirs(road, notice).await,
    }
}

/// News of a transfer that we sent. Each step is taken from the state as it then is.
pub(crate) async fn about_ours(road: &Road, notice: &TransferNotice) -> Result<(), StepError> {
    for (stage, jws) in &notice.receipts {
        // A receipt that overtook our own commit needs two steps.
        for _ in 0..2 {
            let Some(row) = road.custody.transfer(notice.transfer).await? else { return Ok(()) };
            if !apply_receipt(road, &row, *stage, jws).await? {
                break;
            }
        }
    }
    let Some(row) = road.custody.transfer(notice.transfer).await? else { return Ok(()) };
    let Some(event) = end_told(notice) else { return Ok(()) };
    let action = match (notice.status == TaskStatus::Rejected, notice.has_expired) {
        (true, _) => "declined",
        (false, true) => "expired",
        (false, false) => "recalled",
    };
    let audit = AuditRecord {
        at: road.now(),
        actor: "portal".to_owned(),
        action: action.to_owned(),
        transfer: Some(row.id),
        detail: Confidential::default(),
    };
    let changes = Changes { audit: vec![audit], ..Changes::default() };
    road.step_outbound(&row, event, changes).await.map(drop)
}

/// What the portal says of the end of a transfer that we sent, beside receipts; nothing while it is under way. Pure.
///
/// Only its sender can recall a transfer, so a recall that is told is our own: one whose answer was lost, or that the box
/// did not live to write down.
pub fn end_told(notice: &TransferNotice) -> Option<OutboundEvent> {
    match notice.status {
        TaskStatus::Rejected => {
            let reason = notice.declined.map_or(DeclineReason::Other, decline_reason);
            Some(OutboundEvent::Declined { reason, belongs_at: notice.belongs_at.clone() })
        }
        TaskStatus::Cancelled if notice.has_expired => Some(OutboundEvent::Expired),
        TaskStatus::Cancelled => Some(OutboundEvent::Recalled),
        TaskStatus::Draft
        | TaskStatus::Requested
        | TaskStatus::InProgress
        | TaskStatus::Completed
        | TaskStatus::Failed => None,
    }
}

/// Whether the state moved.
async fn apply_receipt(
    road: &Road,
    row: &TransferRow,
    stage: ReceiptStage,
    jws: &str,
) -> Result<bool, StepError> {
    let (Some(addressee), Some(letter), Some(sent)) = (&row.addressee, row.letter_digest, &row.confidential)
    else {
        return Ok(false);
    };
    let instances = sent.summaries.iter().map(|summary| summary.instances).sum();
    let expected = Expected {
        transfer: &row.id,
        letter,
        addressee: &addressee.ura,
        sender: road.signer.ura(),
        instances,
    };
    let receipt = match Receipt::verify(jws, &expected, &road.anchors, road.now()) {
        Ok((receipt, _)) if receipt.stage == stage => receipt,
        Ok(_) => return Err(distrust(row, "it is of another stage")),
        Err(error) => return Err(distrust(row, &error.to_string())),
    };
    let (event, number) = match stage {
        ReceiptStage::InCustody => (OutboundEvent::ReceiptInCustody, 1),
        ReceiptStage::InPacs => (OutboundEvent::ReceiptInPacs { stored: receipt.stored, of: receipt.of }, 2),
        // Of a question only: a transfer's Task has none.
        ReceiptStage::Erased => return Err(distrust(row, "it is of another stage")),
    };
    let audit = AuditRecord {
        at: road.now(),
        actor: "portal".to_owned(),
        action: if number == 1 { "receipt-in-custody" } else { "receipt-in-pacs" }.to_owned(),
        transfer: Some(row.id),
        detail: Confidential::new(format!("{} of {}", receipt.stored, receipt.of)),
    };
    let changes = Changes {
        receipt: Some((number, jws.as_bytes().to_vec())),
        audit: vec![audit],
        ..Changes::default()
    };
    Ok(road.step_outbound(row, event, changes).await?.is_some())
}

/// A forged or foreign receipt changes no state.
fn distrust(row: &TransferRow, why: &str) -> StepError {
    error!(transfer = %row.id, why, "a receipt is not believed; the state stays as it was");
    StepError::NotNow(NotNow)
}

/// News of a transfer to us.
async fn about_theirs(road: &Road, notice: &TransferNotice, task: &Task) -> Result<(), StepError> {
    let known = road.custody.transfer(notice.transfer).await?;
    let Some(row) = known else {
        if notice.status != TaskStatus::Requested {
            return Ok(());
        }
        let announced = NewInbound {
            id: notice.transfer,
            task_id: task.id.clone(),
            task_version: notice.version.clone(),
            letter_ref: letter_path(&notice.transfer),
            sender_hint: Some(notice.sender.to_string()),
            urgent: notice.urgent,
            now: road.now(),
        };
        if road.custody.announce(announced).await? {
            info!(transfer = %notice.transfer, sender = %notice.sender, "a transfer for us");
        }
        return Ok(());
    };
    if row.direction != Direction::Inbound || notice.status != TaskStatus::Cancelled {
        return Ok(());
    }
    if notice.has_expired {
        let changes = Changes::default();
        return road.step_inbound(&row, InboundEvent::Expired, changes, Vec::new()).await.map(drop);
    }
    ask_back::cancelled_too_late(road, &row).await
}

#[cfg(test)]
mod tests {
    use beeldbox_protocol::admin::DeclineCode;
    use beeldbox_protocol::ident::AddresseeId;
    use beeldbox_protocol::portal::fhir::CodeableConcept;
    use beeldbox_protocol::portal::task::{self, NewTransfer, TRANSFER_SYSTEM};

    use super::*;

    fn told(task: Task) -> Option<OutboundEvent> {
        let mut task = task;
        task.meta.version_id = Some("2".to_owned());
        task.meta.last_updated = Some(Timestamp::UNIX_EPOCH);
        end_told(&TransferNotice::read(&task).unwrap())
    }

    #[test]
    fn a_recall_that_the_box_did_not_live_to_write_down_is_learnt_from_the_portal() {
        let new = NewTransfer {
            transfer: TransferId::from_random([5; 16]),
            sender: "90000381".parse().unwrap(),
            addressee_ura: "90000382".parse().unwrap(),
            addressee: "zuid-radiologie".parse().unwrap(),
            urgent: false,
            at: Timestamp::UNIX_EPOCH,
            valid_until: Timestamp::UNIX_EPOCH,
        };
        let requested = task::commit(new.draft(), &[]);
        assert_eq!(told(new.draft()), None);
        assert_eq!(told(requested.clone()), None);
        assert_eq!(told(task::recalled(requested.clone())), Some(OutboundEvent::Recalled));
        let mut expired = task::recalled(requested.clone());
        expired.business_status = Some(CodeableConcept::of(TRANSFER_SYSTEM, "expired"));
        assert_eq!(told(expired), Some(OutboundEvent::Expired));
        let addressee: AddresseeId = "zuid-cardiologie".parse().unwrap();
        for belongs_at in [None, Some(addressee)] {
            let refused = task::rejected(requested.clone(), DeclineCode::NotOurs);
            let refused = belongs_at.iter().fold(refused, task::belonging_at);
            let reason = DeclineReason::NotOurs;
            assert_eq!(told(refused), Some(OutboundEvent::Declined { reason, belongs_at }));
        }
        let fetched = task::with_receipt(requested, ReceiptStage::InCustody, true, "a.b.c");
        assert_eq!(told(fetched), None);
    }
}
