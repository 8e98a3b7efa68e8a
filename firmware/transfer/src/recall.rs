//! Recall: a transfer is taken back, at the portal first.
//!
//! A wrong send must be stopped by whoever sees it first. But *recalled* is said only when it is true: the portal no
//! longer gives the transfer out. Once the other box has it in custody it can only be asked back ([`crate::ask_back`]),
//! and this says so. While the portal cannot be reached nothing is given out either, and the recall has to be asked for
//! again.

use beeldbox_custody::{AuditRecord, Changes, CustodyError, OutboundState, State, TransferRow};
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::portal::fhir::Task;
use beeldbox_protocol::portal::task::{self, Mover, NewTransfer, TaskStatus, may_move};

use crate::effect::NotNow;
use crate::outbound::{self, OutboundEvent};
use crate::portal_client::PortalError;
use crate::road::{Road, StepError, after};

/// How often a Task that changes under our hands is looked at again.
const LOOKS: u32 = 4;

/// Why a transfer is not recalled.
#[derive(Debug, thiserror::Error)]
pub enum RecallError {
    /// The other box has it already.
    #[error("the other hospital has it in custody already")]
    TooLate,
    /// The portal could not be asked.
    #[error("the portal could not be asked")]
    Portal(#[source] PortalError),
    /// Not in this state, or storage failed.
    #[error(transparent)]
    Step(#[from] StepError),
}

/// Takes a transfer back.
///
/// # Durability
/// When this returns, the portal gives the transfer out no more and the ledger says so.
///
/// # Errors
/// Why it was not taken back; nothing has changed then.
pub async fn recall(road: &Road, row: &TransferRow, by: &str) -> Result<(), RecallError> {
    let mut looks = 1;
    let mut newest = row.clone();
    // A worker may move the transfer meanwhile, and the news of our own cancelling may be written down before we do it.
    while let Err(failure) = recall_as(road, &newest, by).await {
        let RecallError::Step(StepError::Custody(CustodyError::Stale)) = failure else { return Err(failure) };
        if looks == LOOKS {
            return Err(failure);
        }
        looks += 1;
        let found = road.custody.transfer(row.id).await.map_err(StepError::from)?;
        newest = found.ok_or(StepError::NotNow(NotNow))?;
    }
    Ok(())
}

/// Takes a transfer back that is as this row says.
async fn recall_as(road: &Road, row: &TransferRow, by: &str) -> Result<(), RecallError> {
    let State::Outbound(state) = &row.state else { return Err(StepError::NotNow(NotNow).into()) };
    let audit = AuditRecord {
        at: road.now(),
        actor: by.to_owned(),
        action: "recall".to_owned(),
        transfer: Some(row.id),
        detail: Confidential::default(),
    };
    if matches!(state, OutboundState::Fetched { .. } | OutboundState::Delivered { .. }) {
        return Err(RecallError::TooLate);
    }
    // What was asked for is so; who asked for it is written down all the same.
    if matches!(state, OutboundState::Recalled { .. }) {
        return Ok(road.custody.append_audit(audit).await.map_err(StepError::from)?);
    }
    // Nothing is cancelled at the portal that cannot be recalled here: a draft of parts that went ahead stays.
    outbound::step(state, OutboundEvent::Recalled, road.now()).map_err(StepError::from)?;
    // If it is not cancelled there, nothing has left, and nothing will if this move is committed before the worker's.
    // If it is, the portal's refusal stands, and the newest state is what counts.
    let newest = if cancel_at_portal(road, row).await? {
        road.custody.transfer(row.id).await.map_err(StepError::from)?.ok_or(StepError::NotNow(NotNow))?
    } else {
        row.clone()
    };
    let changes = Changes { audit: vec![audit], ..Changes::default() };
    match road.step_outbound(&newest, OutboundEvent::Recalled, changes).await? {
        Some(_) => Ok(()),
        None => Err(StepError::Custody(CustodyError::Stale).into()),
    }
}

/// The draft that a worker may be making at this moment. It has to be there to be cancelled: a portal that does not know
/// a transfer yet can learn of it right after saying so. Nothing if no worker can.
fn draft_to_cancel(road: &Road, row: &TransferRow) -> Option<Task> {
    let addressee = row.addressee.clone()?;
    if matches!(row.state, State::Outbound(OutboundState::Addressed { .. })) {
        return None;
    }
    let now = road.now();
    let new = NewTransfer {
        transfer: row.id,
        sender: road.signer.ura().clone(),
        addressee_ura: addressee.ura,
        addressee: addressee.id,
        urgent: row.urgent,
        at: now,
        valid_until: after(now, road.settings.valid_for),
    };
    Some(new.draft())
}

/// Whether it is cancelled there. If not, the portal never had it and no worker is about to tell it.
async fn cancel_at_portal(road: &Road, row: &TransferRow) -> Result<bool, RecallError> {
    for _ in 0..LOOKS {
        let found = road.portal.task(&row.id).await;
        let task = match found {
            Ok(task) => task,
            Err(PortalError::NotFound) => match draft_to_cancel(road, row) {
                None => return Ok(false),
                Some(draft) => {
                    road.portal.create_task(&row.id, &draft).await.map_err(RecallError::Portal)?;
                    continue;
                }
            },
            Err(error) => return Err(RecallError::Portal(error)),
        };
        let status = TaskStatus::from_code(&task.status)
            .ok_or(RecallError::Portal(PortalError::NotUnderstood("unknown status")))?;
        if status == TaskStatus::Cancelled {
            return Ok(true);
        }
        if !may_move(Mover::Sender, status, TaskStatus::Cancelled) {
            return Err(RecallError::TooLate);
        }
        match road.portal.update_task(&row.id, &task::recalled(task)).await {
            Ok(()) => return Ok(true),
            Err(PortalError::Conflict) => {}
            Err(error) => return Err(RecallError::Portal(error)),
        }
    }
    Err(RecallError::Portal(PortalError::Conflict))
}
