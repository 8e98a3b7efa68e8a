//! Reconcile: is this our patient?
//!
//! A person confirms one of the hospital's patients, or a strict rule does; where something contradicts, two persons. Only that
//! makes a [`PatientConfirmed`], and only with it does anything go to the PACS. The rules in plain words: `MATCHING.md`.

use beeldbox_custody::{
    AuditRecord, Changes, HoldReason, InboundState, Proposal, State, TransferRow, WordsEdit,
};
use beeldbox_protocol::admin::DeclineCode;
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::portal::task::TaskStatus;
use tracing::{debug, error};

use crate::codes::decline_reason;
use crate::effect::NotNow;
use crate::inbound::InboundEvent;
use crate::redirect::Declining;
use crate::road::{Road, StepError};

pub use self::confirm::{Chosen, Deciding, NotConfirmed, PatientConfirmed};

// Asking the hospital's systems.
pub mod candidates;
// What was decided, as a proof.
pub mod confirm;
// Who may be meant by what has arrived, looked up before anybody asks; rules.
pub mod matcher;
// The candidates as a person sees them.
pub mod page;
// Two birth dates compared.
pub mod birth_date;
// The citizen service number, and where it was found.
pub mod bsn;
// Two patients side by side.
pub mod comparison;
// The candidates, from what the hospital's systems answered.
pub mod gather;
// Who somebody is, as one system wrote it.
pub mod identity;
// Names of persons, taken apart.
pub mod name;
// Two names compared.
pub mod name_comparison;
// Why a candidate must be looked at, or must not be taken.
pub mod reasons;
// Acceptance without a person looking.
pub mod rule;
// Ready, check or stop.
pub mod verdict;

/// Lets an opened transfer go to the PACS.
///
/// # Durability
/// When this returns, the decision survives a power cut and delivery goes on by itself.
///
/// # Errors
/// If the transfer is not open for it, or storage failed.
pub async fn import(road: &Road, row: &TransferRow, confirmed: PatientConfirmed) -> Result<(), StepError> {
    if confirmed.transfer != row.id {
        return Err(NotNow.into());
    }
    let audit = AuditRecord {
        at: road.now(),
        actor: confirmed.by,
        action: "import".to_owned(),
        transfer: Some(row.id),
        detail: confirmed.detail,
    };
    let edit = Some(WordsEdit::Filing(confirmed.filing));
    let changes = Changes { audit: vec![audit], edit, ..Changes::default() };
    road.step_inbound(row, InboundEvent::PatientConfirmed, changes, Vec::new()).await.map(drop)
}

/// Keeps what one person wants until a second agrees.
///
/// # Durability
/// When this returns, the proposal and its record survive a power cut.
///
/// # Errors
/// If the transfer is not open for it any more, or storage failed.
pub async fn propose(road: &Road, row: &TransferRow, proposal: Proposal) -> Result<(), StepError> {
    let said = proposal.contradictions.join(", ");
    let detail = format!("something contradicts: {said}; reason: {}", proposal.reason.reveal());
    let edit = WordsEdit::Proposal(Some(Box::new(proposal.clone())));
    decide(road, row, edit, &proposal.by, "propose-import", detail).await
}

/// Takes back what somebody proposed.
///
/// # Errors
/// If there is nothing to take back, or storage failed.
pub async fn drop_proposal(road: &Road, row: &TransferRow, by: &str) -> Result<(), StepError> {
    let proposed = row.confidential.as_ref().and_then(|words| words.proposal.as_ref());
    let Some(proposed) = proposed else { return Err(NotNow.into()) };
    let detail = format!("proposed by {}", proposed.by);
    decide(road, row, WordsEdit::Proposal(None), by, "drop-proposal", detail).await
}

async fn decide(
    road: &Road,
    row: &TransferRow,
    edit: WordsEdit,
    by: &str,
    action: &str,
    detail: String,
) -> Result<(), StepError> {
    let State::Inbound(InboundState::Opened { .. }) = &row.state else { return Err(NotNow.into()) };
    let record = AuditRecord {
        at: road.now(),
        actor: by.to_owned(),
        action: action.to_owned(),
        transfer: Some(row.id),
        detail: Confidential::new(detail),
    };
    Ok(road.custody.edit_words(row.id, row.state.kind(), edit, record).await?)
}

/// Sets an arrived transfer aside until a person puts it back: nothing of it goes to the PACS.
///
/// # Errors
/// If it is too late for it, or storage failed.
pub async fn set_aside(
    road: &Road,
    row: &TransferRow,
    reason: &Confidential,
    by: &str,
) -> Result<(), StepError> {
    let State::Inbound(InboundState::Opened { .. } | InboundState::Reconciled { .. }) = &row.state else {
        return Err(NotNow.into());
    };
    let audit = AuditRecord {
        at: road.now(),
        actor: by.to_owned(),
        action: "set-aside".to_owned(),
        transfer: Some(row.id),
        detail: reason.clone(),
    };
    let changes = Changes { audit: vec![audit], ..Changes::default() };
    let event = InboundEvent::MustHold(HoldReason::SetAside);
    road.step_inbound(row, event, changes, Vec::new()).await.map(drop)
}

/// Refuses a transfer; the sender is told why, and where it belongs if a person said so.
///
/// # Errors
/// If it is too late for it, or storage failed.
pub async fn decline(
    road: &Road,
    row: &TransferRow,
    declining: &Declining,
    by: &str,
) -> Result<(), StepError> {
    let reason = declining.reason;
    let named = declining.belongs_at.as_ref().map(|named| format!(", belongs at {named}"));
    let audit = AuditRecord {
        at: road.now(),
        actor: by.to_owned(),
        action: "decline".to_owned(),
        transfer: Some(row.id),
        detail: Confidential::new(format!("{reason:?}{}", named.unwrap_or_default())),
    };
    let changes = Changes { audit: vec![audit], ..Changes::default() };
    let tell = serde_json::to_vec(declining).expect("codes are always JSON");
    road.step_inbound(row, InboundEvent::Declined(decline_reason(reason)), changes, tell).await.map(drop)
}

/// Looks before what the portal does not find is taken for lost.
const LOOKS_BEFORE_LOST: u32 = 3;

/// Whether the portal has lost bytes of a transfer that it still offers. Then the sender is told that it cannot be read,
/// so that it sends it again, instead of both sides waiting until it expires.
pub(crate) async fn lost_at_portal(road: &Road, row: &TransferRow) -> bool {
    if row.attempts < LOOKS_BEFORE_LOST {
        return false;
    }
    let is_offered = match road.portal.task(&row.id).await {
        Ok(task) => TaskStatus::from_code(&task.status) == Some(TaskStatus::Requested),
        Err(error) => {
            debug!(transfer = %row.id, %error, "the portal does not say whether it still offers a transfer");
            false
        }
    };
    if !is_offered {
        return false;
    }
    error!(transfer = %row.id, "the portal offers a transfer and has lost bytes of it; the sender is told");
    match decline(road, row, &DeclineCode::Unreadable.into(), "beeldboxd").await {
        Ok(()) => true,
        Err(error) => {
            road.step_failed(row, &error).await;
            true
        }
    }
}
