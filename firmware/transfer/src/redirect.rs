//! Redirect: what came to the wrong addressee goes on to the right one, without a new push from the PACS and, where the
//! portal still has the parts, without sending them again.
//!
//! ```text
//!   receiver   declines, and may name where it belongs ──► Task ──► sender: "declined, belongs at ‹addressee›"
//!   sender     a person redirects ──► a further transfer of the same images, addressed like any other
//! ```
//!
//! The receiver only names: it has neither the right nor the key to send somebody else's patient on. Who sees the images
//! is decided by a person at the sender, with every check of a first send (decision 0013).

use beeldbox_custody::{
    AuditRecord, Changes, CollectionId, CustodyError, Further, OutboundState, State, TransferConfidential,
    TransferRow,
};
use beeldbox_protocol::admin::{CheckFlag, DeclineCode};
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::{AddresseeId, TransferId};
use beeldbox_protocol::portal::task::may_name_addressee;
use serde::{Deserialize, Serialize};

use crate::address::{AddressError, check_acknowledged, look_up, snapshot};
use crate::effect::{NotNow, Verdict};
use crate::outbound::{self, OutboundEvent};
use crate::road::{Road, StepError, after};

/// Why a transfer is declined, and where it belongs instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct Declining {
    /// Why.
    pub reason: DeclineCode,
    /// Where it belongs.
    pub belongs_at: Option<AddresseeId>,
}

/// As it stands in the outbox: earlier versions wrote the reason alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Reason(DeclineCode),
    Whole { reason: DeclineCode, belongs_at: Option<AddresseeId> },
}

impl From<Written> for Declining {
    fn from(written: Written) -> Self {
        match written {
            Written::Reason(reason) => Declining { reason, belongs_at: None },
            Written::Whole { reason, belongs_at } => Declining { reason, belongs_at },
        }
    }
}

impl From<DeclineCode> for Declining {
    fn from(reason: DeclineCode) -> Self {
        Declining { reason, belongs_at: None }
    }
}

/// Why another addressee is not named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotNamed {
    /// The reason does not say that the addressee was the wrong one.
    #[error("the reason does not say that it came to the wrong addressee")]
    OtherReason,
    /// The directory has no such entry.
    #[error("the directory has no such addressee")]
    Unknown,
    /// Another department has to be one of this organisation.
    #[error("it is no department of this organisation")]
    NotOurs,
    /// Another organisation has to be another one.
    #[error("it is a department of this organisation")]
    Ours,
}

/// Checks what a person wants to name against our own copy of the directory.
///
/// # Errors
/// Why it is not named.
pub fn check_named(road: &Road, declining: &Declining) -> Result<(), NotNamed> {
    let Some(named) = &declining.belongs_at else { return Ok(()) };
    if !may_name_addressee(declining.reason) {
        return Err(NotNamed::OtherReason);
    }
    let entry = road.directory.find(named).ok_or(NotNamed::Unknown)?;
    let is_here = entry.addressee.ura == *road.signer.ura();
    match (declining.reason == DeclineCode::WrongDepartment, is_here) {
        (true, false) => Err(NotNamed::NotOurs),
        (false, true) => Err(NotNamed::Ours),
        (true, true) | (false, false) => Ok(()),
    }
}

/// What a person decided about a transfer that came to nothing.
#[derive(Debug, Clone)]
pub struct Redirection {
    /// To whom; nothing: to whom the one who declined it named.
    pub to: Option<AddresseeId>,
    /// Other words for the addressee; nothing: those of the first transfer.
    pub note: Option<Confidential>,
    /// Who decided.
    pub by: String,
    /// Flags that were ticked.
    pub acknowledged: Vec<CheckFlag>,
}

/// Why a transfer is not redirected.
#[derive(Debug, thiserror::Error)]
pub enum RedirectError {
    /// It was not declined, has not expired and was not recalled.
    #[error("it has not come to nothing")]
    NotOver,
    /// Nobody said to whom.
    #[error("nobody said to whom")]
    NobodyNamed,
    /// The images are gone from this box.
    #[error("this box has erased the images")]
    Erased,
    /// It cannot be sent there.
    #[error(transparent)]
    Address(#[from] AddressError),
}

impl From<CustodyError> for RedirectError {
    fn from(error: CustodyError) -> Self {
        if matches!(error, CustodyError::Erased) {
            return RedirectError::Erased;
        }
        RedirectError::Address(StepError::from(error).into())
    }
}

/// Sends the images of a transfer that came to nothing to another addressee. Tells the further transfer; asked again,
/// the same one, as long as it has not come to nothing too.
///
/// # Durability
/// When this returns, the decision and its record survive a power cut, in one commit, and it goes out without a further act
/// when the time in which it can be undone has passed.
///
/// # Errors
/// Why not; nothing is changed then.
pub async fn redirect(
    road: &Road,
    row: &TransferRow,
    redirection: Redirection,
) -> Result<TransferId, RedirectError> {
    let named = named_by_who_ended_it(&row.state)?;
    let to = redirection.to.clone().or(named).ok_or(RedirectError::NobodyNamed)?;
    let (Some(collection), Some(first)) = (row.collection, &row.confidential) else {
        return Err(RedirectError::Erased);
    };
    let queued = OutboundState::Queued { closed_at: road.custody.closed_at(collection).await? };
    let (addressee, recipient) = look_up(road, &to)?;
    let study = road.custody.study(collection).await?.ok_or(AddressError::NothingToSend)?;
    check_acknowledged(road, &study, &addressee, &redirection.acknowledged).await?;
    let transfer = waiting_or_new(road, collection).await?;
    let now = road.now();
    let leaves_at = after(now, road.settings.undo_time);
    let addressing = OutboundEvent::Addressed { leaves_at, doubt: None };
    let Verdict::Move(addressed, _) =
        outbound::step(&queued, addressing, now).map_err(StepError::from).map_err(AddressError::from)?
    else {
        return Err(RedirectError::NotOver);
    };
    let record = |action: &str, transfer, detail| AuditRecord {
        at: now,
        actor: redirection.by.clone(),
        action: action.to_owned(),
        transfer: Some(transfer),
        detail: Confidential::new(detail),
    };
    let whom = format!("{} ({})", addressee.organisation, addressee.ura);
    // Nobody but who asked for images is answered with them.
    let is_same_organisation = row.addressee.as_ref().is_some_and(|first| first.ura == addressee.ura);
    let changes = Changes {
        due_at: Some(leaves_at),
        urgent: Some(row.urgent),
        addressee: Some(snapshot(&addressee, &recipient)),
        confidential: Some(TransferConfidential {
            note: redirection.note.clone().unwrap_or_else(|| first.note.clone()),
            reply_contact: first.reply_contact.clone(),
            requested_by: redirection.by.clone(),
            patient: study.patient,
            summaries: vec![study.summary],
            in_answer_to: first.in_answer_to.filter(|_| is_same_organisation),
            ..TransferConfidential::default()
        }),
        // Whoever looks at either transfer finds the other.
        audit: vec![
            record("redirect", row.id, format!("to {whom}, as {transfer}")),
            record("send", transfer, format!("to {whom}, redirected from {}", row.id)),
        ],
        ..Changes::default()
    };
    let further = Further { collection, instead_of: row.id, transfer, queued, addressed, changes };
    Ok(road.custody.make_further(further, now).await?)
}

/// Whom the one who declined it named; an error while the transfer has not come to nothing.
fn named_by_who_ended_it(state: &State) -> Result<Option<AddresseeId>, RedirectError> {
    let State::Outbound(state) = state else { return Err(AddressError::Step(NotNow.into()).into()) };
    match state {
        OutboundState::Declined { belongs_at, .. } => Ok(belongs_at.clone()),
        OutboundState::Expired { .. } | OutboundState::Recalled { .. } => Ok(None),
        OutboundState::Erased { .. } => Err(RedirectError::Erased),
        OutboundState::Collecting
        | OutboundState::Queued { .. }
        | OutboundState::Addressed { .. }
        | OutboundState::Sending { .. }
        | OutboundState::Accepted { .. }
        | OutboundState::Fetched { .. }
        | OutboundState::Delivered { .. }
        | OutboundState::Held { .. }
        | OutboundState::Failed { .. } => Err(RedirectError::NotOver),
    }
}

/// A transfer of these images that waits for an addressee already is the one meant: it would be left over otherwise.
async fn waiting_or_new(road: &Road, collection: CollectionId) -> Result<TransferId, CustodyError> {
    let others = road.custody.transfers_of(collection).await?;
    let waiting =
        others.iter().find(|row| matches!(row.state, State::Outbound(OutboundState::Queued { .. })));
    Ok(waiting.map_or_else(|| TransferId::from_random(road.random_bytes()), |row| row.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_earlier_version_left_to_be_told_is_still_told() {
        let read = |text: &str| serde_json::from_str::<Declining>(text).unwrap();
        assert_eq!(read("\"not-ours\""), DeclineCode::NotOurs.into());
        let declining = Declining {
            reason: DeclineCode::WrongDepartment,
            belongs_at: Some("zuid-cardiologie".parse().unwrap()),
        };
        assert_eq!(read(&serde_json::to_string(&declining).unwrap()), declining);
    }
}
