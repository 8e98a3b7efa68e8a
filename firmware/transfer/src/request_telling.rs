//! What the portal is told of requests for images: ours, and our answers to those of others.
//!
//! Every message stands in the outbox since the commit that made it true, and carries the request's id alone. Telling
//! twice is harmless: the Task shows what was told.

use beeldbox_custody::{CustodyError, Direction, OutboxMessage, RequestChange, RequestRow, RequestState};
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::TransferId;
use beeldbox_protocol::imaging_request::RequestRefusal;
use beeldbox_protocol::portal::fhir::Task;
use beeldbox_protocol::portal::request as task_of;
use beeldbox_protocol::portal::task::{self, Mover, NewTransfer, TaskKind, TaskStatus, may_move_as};
use tracing::warn;

use crate::effect::NotNow;
use crate::portal_client::PortalError;
use crate::question::{self, TakeInError, audit};
use crate::request::is_out_of_time;
use crate::road::{Road, StepError};

/// What is told. Stands in the outbox by its word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestTelling {
    /// We ask.
    Ask,
    /// We take it back.
    Withdraw,
    /// People here can see it.
    Seen,
    /// Images in answer are at the portal.
    Answered,
    /// We refuse.
    Refuse,
}

impl RequestTelling {
    /// All of them.
    pub const ALL: [RequestTelling; 5] = [
        RequestTelling::Ask,
        RequestTelling::Withdraw,
        RequestTelling::Seen,
        RequestTelling::Answered,
        RequestTelling::Refuse,
    ];

    /// Its word in the outbox.
    pub fn as_str(self) -> &'static str {
        match self {
            RequestTelling::Ask => "request-images",
            RequestTelling::Withdraw => "request-withdraw",
            RequestTelling::Seen => "request-seen",
            RequestTelling::Answered => "request-answered",
            RequestTelling::Refuse => "request-refuse",
        }
    }

    /// The one with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        RequestTelling::ALL.into_iter().find(|telling| telling.as_str() == word)
    }
}

/// The message for the outbox.
pub(crate) fn message(road: &Road, telling: RequestTelling, request: TransferId) -> OutboxMessage {
    OutboxMessage {
        kind: telling.as_str().to_owned(),
        transfer: None,
        payload: request.to_string().into_bytes(),
        due_at: road.now(),
    }
}

/// Tells the portal.
///
/// # Errors
/// If the portal was not told, or what follows could not be committed.
pub(crate) async fn tell(road: &Road, telling: RequestTelling, id: TransferId) -> Result<(), TakeInError> {
    let told = match telling {
        RequestTelling::Ask => ask(road, id).await,
        RequestTelling::Withdraw => withdraw(road, id).await,
        RequestTelling::Seen => answer(road, id, task_of::seen).await,
        RequestTelling::Answered => answer(road, id, task_of::answered).await,
        RequestTelling::Refuse => {
            let row = road.custody.request(id).await?;
            // It was put aside because it was not believed, and came again in a letter that is: a person looks anew.
            if row.as_ref().is_some_and(|row| row.request.state != RequestState::Refused) {
                return Ok(());
            }
            let reason = row.and_then(|row| row.refusal).unwrap_or(RequestRefusal::Other);
            answer(road, id, |task| task_of::refused(task, reason)).await
        }
    };
    match told {
        // It moved in between, by the portal's news or a person: what must be told of that is a message of its own.
        Err(TakeInError::Step(StepError::Custody(CustodyError::Stale))) => Ok(()),
        told => told,
    }
}

async fn ask(road: &Road, id: TransferId) -> Result<(), TakeInError> {
    let Some(row) = road.custody.request(id).await? else { return Ok(()) };
    let (Some(letter), RequestState::Asking) = (&row.request.letter, row.request.state) else {
        return Ok(());
    };
    if is_out_of_time(&row, road.now()) && matches!(road.portal.task(&id).await, Err(PortalError::NotFound)) {
        // The portal would refuse it for ever, and nobody could open its letter.
        return moves(road, &row, RequestState::Expired, "request-expired").await;
    }
    let addressee = row.request.partner.addressee.clone().ok_or(StepError::NotNow(NotNow))?;
    let new = NewTransfer {
        transfer: id,
        sender: road.signer.ura().clone(),
        addressee_ura: row.request.partner.ura.clone(),
        addressee,
        urgent: row.request.urgent,
        at: row.created_at,
        valid_until: row.request.valid_until,
    };
    let draft = task_of::as_request(new.draft());
    question::put_at_portal(road, id, &draft, letter.clone(), row.request.urgent).await?;
    let change =
        RequestChange::Move { id, from: RequestState::Asking, to: RequestState::Asked, refusal: None };
    Ok(road.custody.change_requests(vec![change], Vec::new(), Vec::new(), road.now()).await?)
}

async fn withdraw(road: &Road, id: TransferId) -> Result<(), TakeInError> {
    let Some(row) = road.custody.request(id).await? else { return Ok(()) };
    if row.request.state != RequestState::Withdrawing || row.request.direction != Direction::Outbound {
        return Ok(());
    }
    let there = match road.portal.task(&id).await {
        Ok(there) => there,
        // It never came there.
        Err(PortalError::NotFound) => {
            return moves(road, &row, RequestState::Withdrawn, "request-withdrawn").await;
        }
        Err(error) => return Err(error.into()),
    };
    let from = status(&there)?;
    if may_move_as(TaskKind::RequestImaging, Mover::Sender, from, TaskStatus::Cancelled) {
        road.portal.update_task(&id, &task::recalled(there)).await?;
        return moves(road, &row, RequestState::Withdrawn, "request-withdrawn").await;
    }
    // Answered, refused or over already: the news tells which.
    warn!(request = %id, status = %from, "too late to withdraw a request");
    let notice =
        task::TransferNotice::read(&there).map_err(|_| PortalError::NotUnderstood("not a request"))?;
    Ok(crate::request::about_ours(road, &notice).await?)
}

/// Moves the Task as who is asked. A portal that forgot it, or where it is over, is not told.
async fn answer(road: &Road, id: TransferId, change: impl FnOnce(Task) -> Task) -> Result<(), TakeInError> {
    let there = match road.portal.task(&id).await {
        Ok(there) => there,
        Err(PortalError::NotFound) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let from = status(&there)?;
    let next = change(there);
    if may_move_as(TaskKind::RequestImaging, Mover::Addressee, from, status(&next)?) {
        let updated = road.portal.update_task(&id, &next).await;
        road.note_portal(&updated);
        updated?;
    }
    Ok(())
}

async fn moves(road: &Road, row: &RequestRow, to: RequestState, action: &str) -> Result<(), TakeInError> {
    let (id, from) = (row.request.id, row.request.state);
    let change = RequestChange::Move { id, from, to, refusal: None };
    let records = vec![audit(road, id, "beeldboxd", action, Confidential::default())];
    Ok(road.custody.change_requests(vec![change], Vec::new(), records, road.now()).await?)
}

fn status(task: &Task) -> Result<TaskStatus, PortalError> {
    TaskStatus::from_code(&task.status).ok_or(PortalError::NotUnderstood("unknown status"))
}
