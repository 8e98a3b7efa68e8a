//! Forward: what came to another department of our own organisation is moved to the right one, without the sender. The
//! images lie here in any case; only for whom they are changes, and who said so is on record.

use beeldbox_custody::{AuditRecord, Desk, InboundState, State, TransferRow, WordsEdit};
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::AddresseeId;

use crate::effect::NotNow;
use crate::road::{Road, StepError};

/// Why a transfer is not forwarded.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// The directory has no such entry.
    #[error("the directory has no such addressee")]
    Unknown,
    /// It is of another organisation: decline, and name it.
    #[error("it is no department of this organisation")]
    NotOurs,
    /// Not in this state, or storage failed.
    #[error(transparent)]
    Step(#[from] StepError),
}

/// Sets for whom at this hospital an inbound transfer is.
///
/// # Durability
/// When this returns, the decision and its record survive a power cut.
///
/// # Errors
/// Why not; nothing is changed then.
pub async fn forward(road: &Road, row: &TransferRow, to: &AddresseeId, by: &str) -> Result<(), ForwardError> {
    let found = road.directory.find(to).ok_or(ForwardError::Unknown)?.addressee;
    if found.ura != *road.signer.ura() {
        return Err(ForwardError::NotOurs);
    }
    let (true, Some(words)) = (is_open(&row.state), row.confidential.as_ref()) else {
        return Err(StepError::from(NotNow).into());
    };
    let desk = Desk { addressee: Some(to.clone()), name: found.desk() };
    if words.desk.as_ref() == Some(&desk) {
        return Ok(());
    }
    let before = words.desk.as_ref().and_then(|desk| desk.addressee.as_ref());
    let before = before.map_or("nobody named", AddresseeId::as_str);
    let record = AuditRecord {
        at: road.now(),
        actor: by.to_owned(),
        action: "forward".to_owned(),
        transfer: Some(row.id),
        detail: Confidential::new(format!("from {before} to {to}")),
    };
    let editing = road.custody.edit_words(row.id, row.state.kind(), WordsEdit::Desk(desk), record);
    Ok(editing.await.map_err(StepError::from)?)
}

/// Whether a transfer has come to us and has not come to nothing.
fn is_open(state: &State) -> bool {
    match state {
        State::Inbound(
            InboundState::Fetching { .. }
            | InboundState::Opened { .. }
            | InboundState::Reconciled { .. }
            | InboundState::Delivering { .. }
            | InboundState::Delivered { .. }
            | InboundState::Reported { .. }
            | InboundState::Held { .. },
        ) => true,
        State::Inbound(
            InboundState::Announced
            | InboundState::Recalled { .. }
            | InboundState::Declined { .. }
            | InboundState::Expired { .. }
            | InboundState::Failed { .. }
            | InboundState::Erased { .. },
        )
        | State::Outbound(_) => false,
    }
}
