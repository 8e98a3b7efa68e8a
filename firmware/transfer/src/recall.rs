//! Recall: a transfer is taken back, at the portal first.
//!
//! A wrong send must be stopped by whoever sees it first. But *recalled* is said only when it is true: the portal no
//! longer gives the transfer out. Once the other box has it in custody, only people there can undo it, and this says
//! so. While the portal cannot be reached nothing is given out either, and the recall has to be asked for again.

use beeldbox_custody::{AuditRecord, Changes, OutboundState, State, TransferRow};
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::portal::task::{self, Mover, TaskStatus, may_move};

use crate::effect::NotNow;
use crate::outbound::OutboundEvent;
use crate::portal_client::PortalError;
use crate::road::{Road, StepError};

/// How often a Task that changes under our hands is looked at again.
const LOOKS: u32 = 3;

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
    let State::Outbound(state) = &row.state else { return Err(StepError::NotNow(NotNow).into()) };
    if matches!(state, OutboundState::Fetched { .. } | OutboundState::Delivered { .. }) {
        return Err(RecallError::TooLate);
    }
    cancel_at_portal(road, row).await?;
    let audit = AuditRecord {
        at: road.now(),
        actor: by.to_owned(),
        action: "recall".to_owned(),
        transfer: Some(row.id),
        detail: Confidential::default(),
    };
    let changes = Changes { audit: vec![audit], ..Changes::default() };
    // The worker may have moved it meanwhile; the portal's refusal stands, so the newest state is what counts.
    let row =
        road.custody.transfer(row.id).await.map_err(StepError::from)?.ok_or(StepError::NotNow(NotNow))?;
    road.step_outbound(&row, OutboundEvent::Recalled, changes).await?;
    Ok(())
}

async fn cancel_at_portal(road: &Road, row: &TransferRow) -> Result<(), RecallError> {
    for _ in 0..LOOKS {
        let found = road.portal.task(&row.id).await;
        let task = match found {
            Ok(task) => task,
            // It never got there.
            Err(PortalError::NotFound) => return Ok(()),
            Err(error) => return Err(RecallError::Portal(error)),
        };
        let status = TaskStatus::from_code(&task.status)
            .ok_or(RecallError::Portal(PortalError::NotUnderstood("unknown status")))?;
        if status == TaskStatus::Cancelled {
            return Ok(());
        }
        if !may_move(Mover::Sender, status, TaskStatus::Cancelled) {
            return Err(RecallError::TooLate);
        }
        match road.portal.update_task(&row.id, &task::recalled(task)).await {
            Ok(()) => return Ok(()),
            Err(PortalError::Conflict) => {}
            Err(error) => return Err(RecallError::Portal(error)),
        }
    }
    Err(RecallError::Portal(PortalError::Conflict))
}
