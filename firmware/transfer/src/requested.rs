//! Images that another hospital asks us for: taken in, shown to a person, answered or refused.
//!
//! ```text
//!   Task `request-imaging` ─► letter opened, believed ─► ledger: open, told *seen*
//!                                      └► not believed: noted for a person, no request
//!   a person sends a study in answer ─► accepted at the portal ─► answered, told
//!   a person refuses ─► refused, told with a code
//! ```
//!
//! Who asks is what the certificate of the letter's signer says. Images in answer go to an addressee of that organisation
//! and to nobody else.

use beeldbox_custody::{
    Changes, CustodyError, Direction, NewRequest, RequestChange, RequestPartner, RequestRow, RequestState,
    RequestWords, TransferRow, UnbelievedRequest,
};
use beeldbox_protocol::admin::{Addressee, CheckFlag};
use beeldbox_protocol::clinical::{Confidential, Patient};
use beeldbox_protocol::envelope::letter::{About, Letter, MAX_LETTER_LEN, SenderVerified};
use beeldbox_protocol::ident::TransferId;
use beeldbox_protocol::imaging_request::{RequestRefusal, WantedImages, may_be_one_person};
use beeldbox_protocol::portal::task::{TaskStatus, TransferNotice};
use tracing::{info, warn};

use crate::effect::NotNow;
use crate::open;
use crate::portal_client::PortalError;
use crate::question::{TakeInError, audit};
use crate::request_telling::{RequestTelling, message};
use crate::road::{Road, StepError};
use crate::send::chain;

/// What the portal says of a request to us. Its letter decides; one that cannot be believed makes no request, and a
/// person is told of it.
pub(crate) async fn about_theirs(road: &Road, notice: &TransferNotice) -> Result<(), TakeInError> {
    match (road.custody.request(notice.transfer).await?, notice.status) {
        (Some(row), TaskStatus::Cancelled) => Ok(ended_there(road, &row, notice.has_expired).await?),
        // One that is seen and not known here was seen by a ledger that is gone.
        (None, TaskStatus::Requested | TaskStatus::InProgress) => take_in(road, notice).await,
        (Some(_) | None, _) => Ok(()),
    }
}

async fn ended_there(road: &Road, row: &RequestRow, has_expired: bool) -> Result<(), StepError> {
    let from = row.request.state;
    let (to, action) = match has_expired {
        true => (RequestState::Expired, "request-expired"),
        false => (RequestState::Withdrawn, "request-withdrawn"),
    };
    if row.request.direction != Direction::Inbound || !from.may_become(to) {
        return Ok(());
    }
    let change = RequestChange::Move { id: row.request.id, from, to, refusal: None };
    let records = vec![audit(road, row.request.id, "portal", action, Confidential::default())];
    Ok(road.custody.change_requests(vec![change], Vec::new(), records, road.now()).await?)
}

async fn take_in(road: &Road, notice: &TransferNotice) -> Result<(), TakeInError> {
    let limit = u64::try_from(MAX_LETTER_LEN).unwrap_or(u64::MAX);
    let sealed = match road.portal.letter(&notice.transfer, limit).await {
        Ok(sealed) => sealed,
        Err(PortalError::NotFound) => return not_believed(road, notice, "the portal has no letter").await,
        Err(PortalError::DigestMismatch) => {
            return not_believed(road, notice, "the letter is not what the portal says it gave").await;
        }
        Err(error) => return Err(error.into()),
    };
    let (letter, sender) = match open::open_letter(road, &notice.transfer, &sealed) {
        Ok(opened) => opened,
        Err(why) => return not_believed(road, notice, &chain(&why)).await,
    };
    let Some(About::RequestImaging { wanted }) = &letter.about else {
        return not_believed(road, notice, "its letter asks for no images").await;
    };
    if notice.sender != *sender.organisation().ura() {
        return not_believed(road, notice, "the portal names another sender than the letter").await;
    }
    let detail =
        Confidential::new(format!("by {} ({})", sender.organisation().name(), sender.organisation().ura()));
    let request = new_request(&letter, &sender, wanted);
    info!(request = %notice.transfer, sender = %notice.sender, "another hospital asks for images");
    let messages = vec![message(road, RequestTelling::Seen, notice.transfer)];
    let records = vec![audit(road, notice.transfer, "portal", "images-requested", detail)];
    let change = RequestChange::New(Box::new(request));
    Ok(road.custody.change_requests(vec![change], messages, records, road.now()).await?)
}

fn new_request(letter: &Letter, sender: &SenderVerified, wanted: &WantedImages) -> NewRequest {
    NewRequest {
        id: letter.transfer,
        direction: Direction::Inbound,
        state: RequestState::Open,
        partner: RequestPartner {
            ura: sender.organisation().ura().clone(),
            name: sender.organisation().name().to_owned(),
            department: letter.sender.department.clone(),
            addressee: None,
        },
        urgent: letter.urgent,
        words: Some(RequestWords {
            patient: letter.patient.clone(),
            wanted: wanted.clone(),
            reason: letter.note.clone().unwrap_or_default(),
            reply_contact: letter.reply_contact.clone(),
            by: None,
        }),
        letter: None,
        valid_until: letter.valid_until,
    }
}

/// Notes it for a person, once. It is looked at again when the Task changes and at the next start: a portal that gave
/// another letter by mistake may give the right one then.
async fn not_believed(road: &Road, notice: &TransferNotice, why: &str) -> Result<(), TakeInError> {
    warn!(request = %notice.transfer, why, "a request for images is not believed");
    let unbelieved = UnbelievedRequest {
        id: notice.transfer,
        claimed_sender: notice.sender.to_string(),
        why: why.to_owned(),
        at: road.now(),
    };
    let record = audit(road, notice.transfer, "beeldboxd", "request-not-believed", Confidential::new(why));
    road.custody.note_unbelieved(unbelieved, record).await?;
    Ok(())
}

/// A person refuses a request, or puts one aside that is not believed.
///
/// # Durability
/// When this returns, the refusal stands and is told by itself, also after a power cut.
///
/// # Errors
/// If nobody asks any more, or storage failed.
pub async fn refuse(road: &Road, id: TransferId, reason: RequestRefusal, by: &str) -> Result<(), StepError> {
    let messages = vec![message(road, RequestTelling::Refuse, id)];
    let Some(row) = road.custody.request(id).await? else {
        // Whoever sent it learns no reason: nobody knows who that is.
        let records = vec![audit(road, id, by, "request-put-aside", Confidential::default())];
        let is_put_aside = road.custody.put_aside_unbelieved(id, messages, records).await?;
        return if is_put_aside { Ok(()) } else { Err(NotNow.into()) };
    };
    if row.request.state != RequestState::Open {
        return Err(NotNow.into());
    }
    let records = vec![audit(road, id, by, "request-refuse", Confidential::new(reason.code()))];
    let (from, to) = (RequestState::Open, RequestState::Refused);
    let change = RequestChange::Move { id, from, to, refusal: Some(reason) };
    Ok(road.custody.change_requests(vec![change], messages, records, road.now()).await?)
}

/// Why a study is not sent in answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It is not another hospital's, or nobody waits for an answer.
    #[error("no request of another hospital that waits for images")]
    NotOpen,
    /// The addressee is of another organisation than the one that asked.
    #[error("the addressee is of another organisation than the one that asked")]
    AnotherOrganisation,
}

/// Whether images may go to this addressee in answer to a request.
///
/// # Errors
/// Why not.
pub fn check_answer(row: &RequestRow, addressee: &Addressee) -> Result<(), AnswerError> {
    // More than one study may answer.
    let waits = matches!(row.request.state, RequestState::Open | RequestState::Answered);
    if row.request.direction != Direction::Inbound || !waits {
        return Err(AnswerError::NotOpen);
    }
    if row.request.partner.ura != addressee.ura {
        return Err(AnswerError::AnotherOrganisation);
    }
    Ok(())
}

/// What a person must look at besides what every send asks for.
pub fn answer_flags(row: &RequestRow, patient: &Patient) -> Vec<CheckFlag> {
    let asked = row.request.words.as_ref().map(|words| &words.patient);
    match asked.is_none_or(|asked| may_be_one_person(asked, patient)) {
        true => Vec::new(),
        false => vec![CheckFlag::OtherPatient],
    }
}

/// What the portal's acceptance of a transfer changes of the request that it answers, told in the same commit.
///
/// # Errors
/// If the ledger cannot be read.
pub(crate) async fn with_answer(
    road: &Road,
    row: &TransferRow,
    mut changes: Changes,
) -> Result<Changes, CustodyError> {
    let Some(id) = row.confidential.as_ref().and_then(|words| words.in_answer_to) else { return Ok(changes) };
    let Some(request) = road.custody.request(id).await? else { return Ok(changes) };
    if request.answers.contains(&row.id) {
        // It was accepted before, and was held in between.
        return Ok(changes);
    }
    changes.requests.push(RequestChange::Answer { id, transfer: row.id });
    // Images that leave all the same, after a refusal or an end, answer it too, as the other side will see it.
    let (from, to) = (request.request.state, RequestState::Answered);
    if from.may_become(to) {
        changes.requests.push(RequestChange::Move { id, from, to, refusal: None });
    }
    if from == RequestState::Open {
        changes.outbox.push(message(road, RequestTelling::Answered, id));
    }
    let detail = Confidential::new(row.id.to_string());
    changes.audit.push(audit(road, id, "beeldboxd", "request-answered", detail));
    Ok(changes)
}
