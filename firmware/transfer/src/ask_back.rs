//! Asking back what the other hospital has collected already, and answering such a question.
//!
//! ```text
//!   sender     ask ─► letter sealed ─► ledger: asking ─► portal: Task `abort` ─► asked ──────────► granted | refused
//!   receiver   Task `abort` ─► letter opened ─► not in the PACS: erased, answered by itself ────────► granted
//!                                            └► in the PACS: open, a person answers ─► granted | refused
//! ```
//!
//! Only the hospital that sent a transfer can ask for it back: the question's letter is signed like every letter, and its
//! signer is compared with that of the transfer. *Granted* is a signed receipt and is told only after the keys are gone;
//! *refused* is the portal's word for what a person there said.

use std::time::Duration;

use beeldbox_custody::{
    AskChange, AskRow, AskState, AskWords, Changes, CustodyError, Direction, InboundState, NewAsk,
    OutboxMessage, State, TransferRow,
};
use beeldbox_protocol::admin::ReceiptStage;
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::envelope::letter::{About, MAX_LETTER_LEN, Party};
use beeldbox_protocol::envelope::receipt::{Expected, Receipt};
use beeldbox_protocol::ident::TransferId;
use beeldbox_protocol::portal::task::{
    self, Mover, NewTransfer, TaskKind, TaskStatus, TransferNotice, may_move_as,
};
use tracing::{error, info, warn};

use crate::address;
use crate::effect::{NotNow, Telling};
use crate::inbound::InboundEvent;
use crate::open;
use crate::outbound::OutboundEvent;
use crate::portal_client::PortalError;
use crate::question::{self, QuestionError, TakeInError, audit};
use crate::road::{Road, StepError, after};

/// The eraser's own pause is shorter than this.
const ERASED_SOON: Duration = Duration::from_secs(2 * 3600);

/// Why a question for a transfer back is not answered.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// *Removed* cannot be true yet.
    #[error("an instance is still on its way to the PACS")]
    StillOnItsWay,
    /// Nobody asked, or storage failed.
    #[error(transparent)]
    Step(#[from] StepError),
}

impl From<CustodyError> for AnswerError {
    fn from(error: CustodyError) -> Self {
        AnswerError::Step(StepError::Custody(error))
    }
}

impl From<NotNow> for AnswerError {
    fn from(error: NotNow) -> Self {
        AnswerError::Step(StepError::NotNow(error))
    }
}

fn message(road: &Road, telling: Telling, about: TransferId, ask: TransferId) -> OutboxMessage {
    OutboxMessage {
        kind: telling.as_str().to_owned(),
        transfer: Some(about),
        payload: ask.to_string().into_bytes(),
        due_at: road.now(),
    }
}

/// Asks the addressee of a transfer to erase it.
///
/// # Durability
/// When this returns, the question is sealed and goes out by itself, also after a power cut.
///
/// # Errors
/// Why it is not asked; nothing has changed then.
pub async fn ask(
    road: &Road,
    row: &TransferRow,
    reason: Confidential,
    by: &str,
) -> Result<(), QuestionError> {
    let (Some(addressee), State::Outbound(_)) = (&row.addressee, &row.state) else {
        return Err(NotNow.into());
    };
    if road.custody.receipts(row.id).await?.is_empty() {
        // Nobody has proven to have it: it is taken back at the portal.
        return Err(NotNow.into());
    }
    let earlier = road.custody.asks_about(row.id).await?;
    if earlier.iter().any(|earlier| earlier.ask.state != AskState::Refused) {
        return Err(NotNow.into());
    }
    road.check_signer()?;
    let (entry, recipient) = address::look_up(road, &addressee.id)?;
    let known = road.custody.known_key(&entry.ura, &address::endpoint_of(&entry)).await?;
    if known.is_some_and(|known| known.key_id != recipient.key_id().to_string()) {
        return Err(QuestionError::KeyChanged);
    }
    let id = TransferId::from_random(road.random_bytes());
    let to = Party {
        ura: addressee.ura.clone(),
        organisation: addressee.name.clone(),
        department: addressee.department.clone(),
        addressee: Some(addressee.id.clone()),
    };
    let mut letter = question::letter(road, id, to, About::AskBack { transfer: row.id });
    letter.urgent = true;
    letter.note = Some(reason.clone());
    let sealed = question::seal(road, &letter, &recipient)?;
    let new = NewAsk {
        id,
        about: row.id,
        direction: Direction::Outbound,
        state: AskState::Asking,
        words: AskWords { reason: reason.clone(), by: by.to_owned() },
        letter: Some(sealed),
        letter_digest: None,
    };
    let messages = vec![message(road, Telling::AskBack, row.id, id)];
    let records = vec![audit(road, row.id, by, "ask-back", reason)];
    road.custody.change_ask(AskChange::New(new), messages, records, letter.written_at).await?;
    Ok(())
}

/// What the portal says of a question of ours.
pub(crate) async fn about_ours(road: &Road, notice: &TransferNotice) -> Result<(), StepError> {
    let Some(row) = road.custody.ask(notice.transfer).await? else { return Ok(()) };
    let ask = &row.ask;
    let to = match notice.status {
        TaskStatus::Completed if is_proven(road, notice, &row).await? => AskState::Granted,
        TaskStatus::Rejected | TaskStatus::Cancelled => AskState::Refused,
        TaskStatus::Completed
        | TaskStatus::Draft
        | TaskStatus::Requested
        | TaskStatus::InProgress
        | TaskStatus::Failed => return Ok(()),
    };
    if !ask.state.may_become(to) {
        return Ok(());
    }
    let action = if to == AskState::Granted { "ask-back-granted" } else { "ask-back-refused" };
    let records = vec![audit(road, ask.about, "portal", action, Confidential::default())];
    let change = AskChange::Move { id: ask.id, from: ask.state, to };
    let transfer = road.custody.transfer(ask.about).await?.ok_or(NotNow)?;
    if to == AskState::Granted {
        let changes = Changes { ask: Some(change.clone()), audit: records.clone(), ..Changes::default() };
        if road.step_outbound(&transfer, OutboundEvent::ErasedThere, changes).await?.is_some() {
            return Ok(());
        }
    }
    Ok(road.custody.change_ask(change, Vec::new(), records, road.now()).await?)
}

/// Whether the addressee signed that it erased what we asked for.
async fn is_proven(road: &Road, notice: &TransferNotice, row: &AskRow) -> Result<bool, StepError> {
    let Some(transfer) = road.custody.transfer(row.ask.about).await? else { return Ok(false) };
    let (Some(addressee), Some(letter)) = (&transfer.addressee, row.ask.letter_digest) else {
        return Ok(false);
    };
    let expected = Expected {
        transfer: &row.ask.id,
        letter,
        addressee: &addressee.ura,
        sender: road.signer.ura(),
        instances: 0,
    };
    let erased = notice.receipts.iter().filter(|(stage, _)| *stage == ReceiptStage::Erased);
    for (_, jws) in erased {
        match Receipt::verify(jws, &expected, &road.anchors, road.now()) {
            Ok((receipt, _)) if receipt.stage == ReceiptStage::Erased => return Ok(true),
            Ok(_) => error!(transfer = %row.ask.about, "a receipt is not believed: it is of another stage"),
            Err(why) => error!(transfer = %row.ask.about, %why, "a receipt is not believed"),
        }
    }
    Ok(false)
}

/// What the portal says of a question to us. Its letter decides; one that cannot be believed changes nothing.
pub(crate) async fn about_theirs(road: &Road, notice: &TransferNotice) -> Result<(), TakeInError> {
    if notice.status != TaskStatus::Requested || road.custody.ask(notice.transfer).await?.is_some() {
        return Ok(());
    }
    let limit = u64::try_from(MAX_LETTER_LEN).unwrap_or(u64::MAX);
    let sealed = road.portal.letter(&notice.transfer, limit).await?;
    let (letter, sender) = match open::open_letter(road, &notice.transfer, &sealed) {
        Ok(opened) => opened,
        Err(why) => {
            warn!(transfer = %notice.transfer, %why, "a question for a transfer back is not believed");
            return Ok(());
        }
    };
    let Some(About::AskBack { transfer }) = letter.about else { return Ok(()) };
    let row = road.custody.transfer(transfer).await?;
    let Some(row) = row.filter(|row| is_from(row, sender.organisation().ura())) else {
        warn!(transfer = %notice.transfer, "somebody asks for a transfer back that is not theirs, or not here");
        return Ok(());
    };
    let ask = NewAsk {
        id: notice.transfer,
        about: row.id,
        direction: Direction::Inbound,
        state: AskState::Open,
        words: AskWords { reason: letter.note.unwrap_or_default(), by: String::new() },
        letter: None,
        letter_digest: Some(beeldbox_protocol::ident::Digest::of(&sealed)),
    };
    info!(%transfer, "the sender asks for it back");
    Ok(take_in(road, &row, ask).await?)
}

/// Whether a transfer to us came from this organisation, as its own letter proves.
fn is_from(row: &TransferRow, ura: &beeldbox_protocol::ident::Ura) -> bool {
    row.direction == Direction::Inbound && row.sender.as_ref().is_some_and(|sender| sender.ura == *ura)
}

fn is_in_pacs(row: &TransferRow) -> bool {
    matches!(&row.state, State::Inbound(state) if state.in_pacs())
}

async fn take_in(road: &Road, row: &TransferRow, ask: NewAsk) -> Result<(), StepError> {
    let in_pacs = is_in_pacs(row);
    let state = if in_pacs { AskState::Open } else { AskState::Granted };
    let (id, reason) = (ask.id, ask.words.reason.clone());
    let ask = NewAsk { state, ..ask };
    let outbox = match in_pacs {
        true => Vec::new(),
        false => vec![message(road, Telling::AnswerAsk, row.id, id)],
    };
    let records = vec![audit(road, row.id, "portal", "asked-back", reason)];
    let changes = Changes {
        ask: Some(AskChange::New(ask.clone())),
        outbox: outbox.clone(),
        audit: records.clone(),
        ..Changes::default()
    };
    if road.step_inbound(row, InboundEvent::AskedBack, changes, Vec::new()).await?.is_none() {
        road.custody.change_ask(AskChange::New(ask), outbox, records, road.now()).await?;
    }
    Ok(())
}

/// A transfer that the sender cancelled at the portal while this box was delivering it, or had delivered it and not told
/// yet: a person here must look, and nothing can be told of it through the portal any more.
pub(crate) async fn cancelled_too_late(road: &Road, row: &TransferRow) -> Result<(), StepError> {
    let in_pacs = is_in_pacs(row);
    let ask = NewAsk {
        id: row.id,
        about: row.id,
        direction: Direction::Inbound,
        state: AskState::Open,
        words: AskWords::default(),
        letter: None,
        letter_digest: None,
    };
    let records = vec![audit(road, row.id, "portal", "recalled", Confidential::default())];
    let change = in_pacs.then_some(AskChange::New(ask));
    let changes = Changes { ask: change.clone(), audit: records.clone(), ..Changes::default() };
    let moved = road.step_inbound(row, InboundEvent::Recalled, changes, Vec::new()).await?.is_some();
    match change {
        Some(change) if !moved => {
            let is_known = road.custody.ask(row.id).await?.is_some();
            if is_known {
                Ok(())
            } else {
                Ok(road.custody.change_ask(change, vec![], records, road.now()).await?)
            }
        }
        Some(_) | None => Ok(()),
    }
}

/// A person answers the question for a transfer back.
///
/// # Durability
/// When this returns, the answer stands and is told by itself, also after a power cut.
///
/// # Errors
/// If nobody asked, an instance is still on its way to the PACS, or storage failed.
pub async fn answer(road: &Road, row: &TransferRow, removed: bool, by: &str) -> Result<(), AnswerError> {
    // A delivery that was stopped finishes the instance it is at: nobody can have removed that one yet.
    if removed && road.on_the_way.has(row.id) {
        return Err(AnswerError::StillOnItsWay);
    }
    let asks = road.custody.asks_about(row.id).await?;
    let open = asks.into_iter().find(|row| row.ask.state == AskState::Open).ok_or(NotNow)?;
    let to = if removed { AskState::Granted } else { AskState::Refused };
    // What was cancelled at the portal has no Task that could be answered.
    let was_cancelled = open.ask.id == row.id;
    let outbox = match was_cancelled {
        true => Vec::new(),
        false => vec![message(road, Telling::AnswerAsk, row.id, open.ask.id)],
    };
    let action = if removed { "give-back" } else { "keep" };
    let records = vec![audit(road, row.id, by, action, Confidential::default())];
    let change = AskChange::Move { id: open.ask.id, from: AskState::Open, to };
    let changes = Changes {
        ask: Some(change.clone()),
        outbox: outbox.clone(),
        audit: records.clone(),
        ..Changes::default()
    };
    let is_held = matches!(row.state, State::Inbound(InboundState::Held { .. }));
    let moved = if removed || was_cancelled {
        road.step_inbound(row, InboundEvent::GivenBack { removed }, changes, Vec::new()).await?.is_some()
    } else if is_held {
        road.step_inbound(row, InboundEvent::Resumed, changes, Vec::new()).await?.is_some()
    } else {
        false
    };
    if !moved {
        road.custody.change_ask(change, outbox, records, road.now()).await?;
        if removed && matches!(row.state, State::Inbound(InboundState::Reported { .. })) {
            road.set_due(row, Some(road.now())).await?;
        }
    }
    Ok(())
}

/// Tells the portal a question of ours.
pub(crate) async fn tell_question(road: &Road, id: TransferId) -> Result<(), TakeInError> {
    let Some(row) = road.custody.ask(id).await? else { return Ok(()) };
    let (Some(letter), AskState::Asking) = (row.ask.letter, row.ask.state) else { return Ok(()) };
    let transfer = road.custody.transfer(row.ask.about).await?.ok_or(StepError::NotNow(NotNow))?;
    let addressee = transfer.addressee.ok_or(StepError::NotNow(NotNow))?;
    let valid_until = after(row.created_at, road.settings.valid_for);
    if road.now() > valid_until && matches!(road.portal.task(&id).await, Err(PortalError::NotFound)) {
        // The portal would refuse it for ever, and nobody could open its letter. It can be asked again.
        let change = AskChange::Move { id, from: AskState::Asking, to: AskState::Refused };
        let records =
            vec![audit(road, row.ask.about, "beeldboxd", "ask-back-out-of-time", Confidential::default())];
        return Ok(road.custody.change_ask(change, Vec::new(), records, road.now()).await?);
    }
    let new = NewTransfer {
        transfer: id,
        sender: road.signer.ura().clone(),
        addressee_ura: addressee.ura,
        addressee: addressee.id,
        urgent: true,
        at: row.created_at,
        valid_until,
    };
    question::put_at_portal(road, id, &task::as_question(new.draft()), letter, true).await?;
    let change = AskChange::Move { id, from: AskState::Asking, to: AskState::Asked };
    Ok(road.custody.change_ask(change, Vec::new(), Vec::new(), road.now()).await?)
}

/// Tells the portal our answer. That it is erased is told only when it is: says whether it could be.
pub(crate) async fn tell_answer(road: &Road, id: TransferId) -> Result<bool, TakeInError> {
    let Some(row) = road.custody.ask(id).await? else { return Ok(true) };
    let transfer = road.custody.transfer(row.ask.about).await?.ok_or(StepError::NotNow(NotNow))?;
    let is_granted = row.ask.state == AskState::Granted;
    if is_granted && !is_gone(road, &transfer).await? {
        return Ok(false);
    }
    let there = match road.portal.task(&id).await {
        Ok(there) => there,
        // The portal forgot the question: there is nobody to tell.
        Err(PortalError::NotFound) => return Ok(true),
        Err(error) => return Err(error.into()),
    };
    let next = if is_granted {
        let sender = transfer.sender.as_ref().ok_or(StepError::NotNow(NotNow))?;
        let receipt = Receipt {
            v: 1,
            transfer: id,
            letter: row.ask.letter_digest.ok_or(StepError::NotNow(NotNow))?,
            stage: ReceiptStage::Erased,
            by: road.signer.ura().clone(),
            to: sender.ura.clone(),
            stored: 0,
            of: 0,
            refused: Vec::new(),
            at: road.now(),
        };
        let jws = receipt.sign(&road.signer, &*road.random);
        task::with_receipt(there.clone(), ReceiptStage::Erased, true, &jws)
    } else {
        task::rejected(there.clone(), beeldbox_protocol::admin::DeclineCode::Other)
    };
    let status = |task: &beeldbox_protocol::portal::fhir::Task| TaskStatus::from_code(&task.status);
    let (Some(from), Some(to)) = (status(&there), status(&next)) else {
        return Err(PortalError::NotUnderstood("unknown status").into());
    };
    if may_move_as(TaskKind::AskBack, Mover::Addressee, from, to) {
        road.portal.update_task(&id, &next).await?;
    }
    Ok(true)
}

/// Whether nothing of a transfer is left on this box. What is over and still kept is erased first.
async fn is_gone(road: &Road, transfer: &TransferRow) -> Result<bool, CustodyError> {
    let State::Inbound(state) = &transfer.state else { return Ok(true) };
    match state {
        InboundState::Erased { .. } => Ok(true),
        InboundState::Recalled { .. }
        | InboundState::Reported { .. }
        | InboundState::Declined { .. }
        | InboundState::Expired { .. }
        | InboundState::Failed { .. } => {
            if transfer.collection.is_some() && is_kept_for_long(road, transfer) {
                road.set_due(transfer, Some(road.now())).await?;
            }
            Ok(transfer.collection.is_none())
        }
        // Receipt 2 is told first; then it is over, and erased.
        InboundState::Delivered { .. } => Ok(false),
        InboundState::Announced
        | InboundState::Fetching { .. }
        | InboundState::Opened { .. }
        | InboundState::Reconciled { .. }
        | InboundState::Delivering { .. }
        | InboundState::Held { .. } => Ok(false),
    }
}

/// Not due for erasing soon. One that the eraser tried and postponed is: it is left to it.
fn is_kept_for_long(road: &Road, transfer: &TransferRow) -> bool {
    transfer.due_at.is_none_or(|due| due > after(road.now(), ERASED_SOON))
}
