//! Asking another hospital for images, and what becomes of it.
//!
//! ```text
//!   we ask ─► letter sealed ─► ledger: asking ─► portal: Task `request-imaging` ─► asked ─► seen ─► promised
//!                                                                                      └──► refused | expired
//!   their transfer ─► letter opened: names the request ─► answered
//! ```
//!
//! What the portal says of a request (seen, promised, refused, expired) is its word. That it is answered, the letter of a
//! transfer says, signed by the hospital that we asked; so a lying portal can make people wait or call, and nothing more.

use beeldbox_custody::{
    AuditRecord, CustodyError, Direction, KnownKey, NewRequest, RequestChange, RequestPartner, RequestRow,
    RequestState, RequestWords,
};
use beeldbox_protocol::admin::{self, CheckFlag, Reception};
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::envelope::letter::{About, Letter, Party, SenderVerified};
use beeldbox_protocol::ident::TransferId;
use beeldbox_protocol::imaging_request::{RequestRefusal, UnusableRequest, check_request};
use beeldbox_protocol::portal::task::{TaskStatus, TransferNotice};
use jiff::Timestamp;
use tracing::{info, warn};

use crate::address::{self, AddressError};
use crate::effect::NotNow;
use crate::question::{self, QuestionError, audit};
use crate::request_telling::{RequestTelling, message};
use crate::road::{Road, StepError};

/// Why images are not asked for.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Nobody could look for such images.
    #[error(transparent)]
    Unusable(#[from] UnusableRequest),
    /// The images would go to somebody else.
    #[error("the answer shall go to an addressee that is none of this organisation")]
    AnswerToOthers,
    /// As for every question.
    #[error(transparent)]
    Question(#[from] QuestionError),
}

/// Asks another hospital for images. The same question again, while nobody has answered it, is the same request.
///
/// # Durability
/// When this returns, the request is sealed and goes out by itself, also after a power cut.
///
/// # Errors
/// Why it is not asked; nothing has changed then.
pub async fn ask(
    road: &Road,
    new: &admin::NewRequest,
    acknowledged: &[CheckFlag],
    by: &str,
) -> Result<TransferId, RequestError> {
    let texts = [Some(&new.reason), new.reply_contact.as_ref()];
    check_request(&new.patient, &new.wanted, &texts)?;
    if new.reason.is_empty() {
        return Err(UnusableRequest("it does not say why").into());
    }
    let own = road.directory.find(&new.wanted.answer_to);
    if own.is_none_or(|entry| entry.addressee.ura != *road.signer.ura()) {
        return Err(RequestError::AnswerToOthers);
    }
    Ok(ask_believed(road, new, acknowledged, by).await?)
}

/// Looks at whom we write to, and asks.
async fn ask_believed(
    road: &Road,
    new: &admin::NewRequest,
    acknowledged: &[CheckFlag],
    by: &str,
) -> Result<TransferId, QuestionError> {
    road.check_signer()?;
    let (entry, recipient) = address::look_up(road, &new.addressee)?;
    let key = KnownKey {
        ura: entry.ura.clone(),
        endpoint: address::endpoint_of(&entry),
        key_id: recipient.key_id().to_string(),
        first_seen_at: road.now(),
        confirmed_by: None,
    };
    let known = road.custody.known_key(&key.ura, &key.endpoint).await?;
    let flags = [
        (known.is_none(), CheckFlag::FirstTime),
        (entry.reception == Reception::PortalDelivery, CheckFlag::PortalDelivery),
    ];
    let missing = flags.into_iter().filter(|(applies, flag)| *applies && !acknowledged.contains(flag));
    let missing: Vec<CheckFlag> = missing.map(|(_, flag)| flag).collect();
    if !missing.is_empty() {
        return Err(AddressError::NotAcknowledged(missing).into());
    }
    match known {
        Some(known) if known.key_id != key.key_id => return Err(QuestionError::KeyChanged),
        Some(_) => {}
        None => road.custody.remember_key(key).await?,
    }
    let partner = RequestPartner {
        ura: entry.ura.clone(),
        name: recipient.organisation().name().to_owned(),
        department: entry.desk(),
        addressee: Some(entry.id.clone()),
    };
    let words = RequestWords {
        patient: new.patient.clone(),
        wanted: new.wanted.clone(),
        reason: new.reason.clone(),
        reply_contact: new.reply_contact.clone(),
        by: Some(by.to_owned()),
    };
    if let Some(same) = same_request(road, &partner, &words, new.urgent).await? {
        return Ok(same);
    }
    let id = TransferId::from_random(road.random_bytes());
    let letter = write_letter(road, id, &partner, &words, new.urgent);
    let sealed = question::seal(road, &letter, &recipient)?;
    let detail = Confidential::new(format!("of {} ({})", partner.name, partner.ura));
    let request = NewRequest {
        id,
        direction: Direction::Outbound,
        state: RequestState::Asking,
        partner,
        urgent: new.urgent,
        words: Some(words),
        letter: Some(sealed),
        valid_until: letter.valid_until,
    };
    let messages = vec![message(road, RequestTelling::Ask, id)];
    let records = vec![audit(road, id, by, "request-images", detail)];
    let change = RequestChange::New(Box::new(request));
    road.custody.change_requests(vec![change], messages, records, letter.written_at).await?;
    Ok(id)
}

/// The request under way that asks the same of the same hospital, if there is one.
async fn same_request(
    road: &Road,
    partner: &RequestPartner,
    words: &RequestWords,
    urgent: bool,
) -> Result<Option<TransferId>, CustodyError> {
    let found = road.custody.requests_of_ours_under_way().await?.into_iter().find(|row| {
        let asked =
            row.request.words.as_ref().map(|asked| RequestWords { by: words.by.clone(), ..asked.clone() });
        row.request.partner.addressee == partner.addressee
            && row.request.urgent == urgent
            && asked.as_ref() == Some(words)
            && row.request.valid_until > road.now()
    });
    Ok(found.map(|row| row.request.id))
}

fn write_letter(
    road: &Road,
    id: TransferId,
    partner: &RequestPartner,
    words: &RequestWords,
    urgent: bool,
) -> Letter {
    let to = Party {
        ura: partner.ura.clone(),
        organisation: partner.name.clone(),
        department: partner.department.clone(),
        addressee: partner.addressee.clone(),
    };
    Letter {
        urgent,
        patient: words.patient.clone(),
        note: Some(words.reason.clone()),
        reply_contact: words.reply_contact.clone(),
        ..question::letter(road, id, to, About::RequestImaging { wanted: words.wanted.clone() })
    }
}

/// Takes a request of ours back. Until the portal has that, an answer may still come.
///
/// # Durability
/// When this returns, it is taken back by itself, also after a power cut.
///
/// # Errors
/// If it is not ours, over, or storage failed.
pub async fn withdraw(road: &Road, row: &RequestRow, by: &str) -> Result<(), StepError> {
    let to = RequestState::Withdrawing;
    if row.request.direction != Direction::Outbound || !row.request.state.may_become(to) {
        return Err(NotNow.into());
    }
    let id = row.request.id;
    let change = RequestChange::Move { id, from: row.request.state, to, refusal: None };
    let messages = vec![message(road, RequestTelling::Withdraw, id)];
    let records = vec![audit(road, id, by, "request-withdraw", Confidential::default())];
    Ok(road.custody.change_requests(vec![change], messages, records, road.now()).await?)
}

/// What the portal says of a request of ours.
pub(crate) async fn about_ours(road: &Road, notice: &TransferNotice) -> Result<(), StepError> {
    let Some(row) = road.custody.request(notice.transfer).await? else { return Ok(()) };
    let Some(to) = told(notice.status, notice.has_expired) else { return Ok(()) };
    let from = row.request.state;
    if row.request.direction != Direction::Outbound || !from.may_become(to) {
        return Ok(());
    }
    let refusal =
        (to == RequestState::Refused).then(|| notice.request_refused.unwrap_or(RequestRefusal::Other));
    let action = match to {
        RequestState::Seen => "request-seen",
        RequestState::Promised => "request-promised",
        RequestState::Refused => "request-refused",
        RequestState::Withdrawn => "request-withdrawn",
        RequestState::Expired
        | RequestState::Asking
        | RequestState::Asked
        | RequestState::Withdrawing
        | RequestState::Open
        | RequestState::Answered => "request-expired",
    };
    let detail = Confidential::new(refusal.map(RequestRefusal::code).unwrap_or_default());
    let records = vec![audit(road, notice.transfer, "portal", action, detail)];
    let change = RequestChange::Move { id: notice.transfer, from, to, refusal };
    Ok(road.custody.change_requests(vec![change], Vec::new(), records, road.now()).await?)
}

/// What follows from a status of the Task for who asked. Pure.
fn told(status: TaskStatus, has_expired: bool) -> Option<RequestState> {
    match status {
        TaskStatus::InProgress => Some(RequestState::Seen),
        TaskStatus::Completed => Some(RequestState::Promised),
        TaskStatus::Rejected => Some(RequestState::Refused),
        TaskStatus::Cancelled if has_expired => Some(RequestState::Expired),
        TaskStatus::Cancelled => Some(RequestState::Withdrawn),
        TaskStatus::Draft | TaskStatus::Requested | TaskStatus::Failed => None,
    }
}

/// What the letter of a transfer to us changes of the request that it answers: nothing if that is none of ours, or was
/// put to another hospital.
///
/// # Errors
/// If the ledger cannot be read.
pub(crate) async fn answered_by(
    road: &Road,
    letter: &Letter,
    sender: &SenderVerified,
) -> Result<(Vec<RequestChange>, Vec<AuditRecord>), CustodyError> {
    let nothing = (Vec::new(), Vec::new());
    let Some(id) = letter.in_answer_to else { return Ok(nothing) };
    let row = road.custody.request(id).await?.filter(|row| {
        row.request.direction == Direction::Outbound
            && row.request.partner.ura == *sender.organisation().ura()
    });
    let Some(row) = row else {
        warn!(transfer = %letter.transfer, "it says that it answers a request that was not put to its sender");
        return Ok(nothing);
    };
    let mut changes = vec![RequestChange::Answer { id, transfer: letter.transfer }];
    let (from, to) = (row.request.state, RequestState::Answered);
    if from.may_become(to) {
        changes.push(RequestChange::Move { id, from, to, refusal: None });
    }
    info!(request = %id, transfer = %letter.transfer, "images in answer to a request");
    let detail = Confidential::new(letter.transfer.to_string());
    Ok((changes, vec![audit(road, id, "beeldboxd", "request-answered", detail)]))
}

/// Until when a request that is not told yet can still be.
pub(crate) fn is_out_of_time(row: &RequestRow, now: Timestamp) -> bool {
    now > row.request.valid_until
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_portal_alone_never_makes_a_request_answered() {
        for status in TaskStatus::ALL {
            for has_expired in [true, false] {
                assert_ne!(told(status, has_expired), Some(RequestState::Answered));
            }
        }
        assert_eq!(told(TaskStatus::Completed, false), Some(RequestState::Promised));
        assert_eq!(told(TaskStatus::Cancelled, true), Some(RequestState::Expired));
    }
}
