//! Asking back and answering, as `transfer::ask_back` does it. The letter is in the clear and names what it is about.

use std::rc::Rc;

use beeldbox_custody::{AskState, InboundState, State};
use beeldbox_protocol::admin::{DeclineCode, ReceiptStage};
use beeldbox_protocol::envelope::receipt::Receipt;
use beeldbox_protocol::ident::TransferId;
use beeldbox_protocol::portal::fhir::Task;
use beeldbox_protocol::portal::task::{
    self, Mover, NewTransfer, TaskKind, TaskStatus, TransferNotice, may_move_as,
};
use beeldbox_transfer::effect::Telling;
use beeldbox_transfer::inbound::InboundEvent;
use beeldbox_transfer::outbound::OutboundEvent;
use beeldbox_transfer::portal_client::PortalError;
use beeldbox_transfer::road::after;

use crate::ledger::{Ask, AskChange, Changes, LedgerError, Message, Row};
use crate::letter::{Letter, write_receipt};
use crate::line::LineError;
use crate::mutant::Mutant;
use crate::portal::{Answer, Request};
use crate::report::Untold;
use crate::road::{Road, StepError};
use crate::tally::Sometimes;

fn message(road: &Road, telling: Telling, about: TransferId, ask: TransferId) -> Message {
    let payload = ask.to_string().into_bytes();
    Message { telling, transfer: about, payload, due_at: road.now(), attempts: 0 }
}

fn count(road: &Road, what: Sometimes) {
    road.sim.with(|world| world.tally.count(what));
}

/// Changes a question without moving its transfer, with what must be told about it.
async fn change_ask(road: &Road, change: AskChange, messages: Vec<Message>) -> Result<(), StepError> {
    let changed = road.commit(move |ledger| {
        ledger.change_ask(change)?;
        messages.into_iter().for_each(|message| ledger.tell(message));
        Ok::<_, LedgerError>(())
    });
    Ok(changed.await?)
}

/// A person asks the addressee to erase a transfer.
pub async fn ask(road: &Road, row: &Row) -> Result<(), StepError> {
    let (Some(addressee), State::Outbound(_)) = (&row.addressee, &row.state) else {
        return Err(StepError::NotNow);
    };
    let about = row.id;
    let earlier = road.look(move |ledger| ledger.asks_about(about)).await;
    if row.receipts.is_empty() || earlier.iter().any(|ask| ask.state != AskState::Refused) {
        return Err(StepError::NotNow);
    }
    let (sixteen, valid_for, sealing) =
        road.sim.with(|world| (world.random.sixteen(), world.valid_for, world.random.draw()));
    let (id, now) = (TransferId::from_random(sixteen), road.now());
    let letter = Rc::new(Letter {
        transfer: id,
        sender: road.ura(),
        addressee: addressee.clone(),
        asks_back: Some(about),
        valid_until: after(now, valid_for),
        instances: Vec::new(),
        parts: Vec::new(),
        sealing,
    });
    road.sim.with(|world| world.checks.asked.insert(id, about));
    let new = Ask { id, about, state: AskState::Asking, letter: Some(letter), created_at: now };
    change_ask(road, AskChange::New(new), vec![message(road, Telling::AskBack, about, id)]).await?;
    count(road, Sometimes::AskedBack);
    Ok(())
}

/// What the portal says of a question of ours.
pub async fn about_ours(road: &Road, notice: &TransferNotice) -> Result<(), StepError> {
    let id = notice.transfer;
    let Some(ask) = road.look(move |ledger| ledger.asks.get(&id).cloned()).await else { return Ok(()) };
    let to = match notice.status {
        TaskStatus::Completed if is_proven(road, notice, &ask).await => AskState::Granted,
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
    let change = AskChange::Move(ask.id, ask.state, to);
    let transfer = road.row(ask.about).await.ok_or(StepError::NotNow)?;
    count(road, if to == AskState::Granted { Sometimes::AskGranted } else { Sometimes::AskRefused });
    if to == AskState::Granted {
        let changes = Changes { ask: Some(change.clone()), ..Changes::default() };
        if road.step_outbound(&transfer, OutboundEvent::ErasedThere, changes).await?.is_some() {
            return Ok(());
        }
    }
    change_ask(road, change, Vec::new()).await
}

async fn is_proven(road: &Road, notice: &TransferNotice, ask: &Ask) -> bool {
    let Some(row) = road.row(ask.about).await else { return false };
    let (Some(addressee), Some(letter)) = (&row.addressee, &ask.letter) else { return false };
    let our_ura = road.ura();
    notice.receipts.iter().any(|(stage, jws)| {
        Receipt::read_verified(jws).is_some_and(|receipt| {
            *stage == ReceiptStage::Erased
                && receipt.stage == *stage
                && receipt.transfer == ask.id
                && receipt.letter == letter.digest()
                && receipt.by == *addressee
                && receipt.to == our_ura
                && receipt.of == 0
        })
    })
}

/// What the portal says of a question to us.
pub async fn about_theirs(road: &Road, notice: &TransferNotice) -> Result<(), Untold> {
    let id = notice.transfer;
    let is_known = road.look(move |ledger| ledger.asks.contains_key(&id)).await;
    if notice.status != TaskStatus::Requested || is_known {
        return Ok(());
    }
    let Answer::Letter(letter) = road.ask(Request::GetLetter(id)).await? else {
        return Err(LineError::Portal(PortalError::NotUnderstood("not a letter")).into());
    };
    let now = road.now();
    let (true, Some(about)) = (now <= letter.valid_until, letter.asks_back) else { return Ok(()) };
    let Some(row) = road.row(about).await.filter(|row| row.sender.as_ref() == Some(&letter.sender)) else {
        return Ok(());
    };
    let ask = Ask { id, about, state: AskState::Open, letter: Some(letter), created_at: now };
    Ok(take_in(road, &row, ask).await?)
}

async fn take_in(road: &Road, row: &Row, ask: Ask) -> Result<(), StepError> {
    let in_pacs = is_in_pacs(row) && !road.breaks(Mutant::AskedBackFromPacs);
    let state = if in_pacs { AskState::Open } else { AskState::Granted };
    let outbox = match in_pacs {
        true => Vec::new(),
        false => vec![message(road, Telling::AnswerAsk, row.id, ask.id)],
    };
    let change = AskChange::New(Ask { state, ..ask });
    let changes = Changes { ask: Some(change.clone()), outbox: outbox.clone(), ..Changes::default() };
    if road.step_inbound(row, InboundEvent::AskedBack, changes, Vec::new()).await?.is_none() {
        change_ask(road, change, outbox).await?;
    }
    count(road, if in_pacs { Sometimes::AskWaits } else { Sometimes::GivenBackAtOnce });
    Ok(())
}

fn is_in_pacs(row: &Row) -> bool {
    matches!(&row.state, State::Inbound(state) if state.in_pacs())
}

/// A transfer that the sender cancelled at the portal while this box was delivering it, or had delivered it.
pub async fn cancelled_too_late(road: &Road, row: &Row) -> Result<(), StepError> {
    let in_pacs = is_in_pacs(row);
    let (id, created_at) = (row.id, road.now());
    let ask = Ask { id, about: id, state: AskState::Open, letter: None, created_at };
    let change = in_pacs.then_some(AskChange::New(ask));
    let changes = Changes { ask: change.clone(), ..Changes::default() };
    let moved = road.step_inbound(row, InboundEvent::Recalled, changes, Vec::new()).await?.is_some();
    let Some(change) = change else { return Ok(()) };
    count(road, Sometimes::CancelledTooLate);
    if !moved && !road.look(move |ledger| ledger.asks.contains_key(&id)).await {
        change_ask(road, change, Vec::new()).await?;
    }
    Ok(())
}

/// A person answers the question for a transfer back.
pub async fn answer(road: &Road, row: &Row, removed: bool) -> Result<(), StepError> {
    let about = row.id;
    let asks = road.look(move |ledger| ledger.asks_about(about)).await;
    let open = asks.into_iter().find(|ask| ask.state == AskState::Open).ok_or(StepError::NotNow)?;
    if removed {
        road.sim.with(|world| world.checks.removed.insert(about));
    }
    let to = if removed { AskState::Granted } else { AskState::Refused };
    let was_cancelled = open.id == about;
    let outbox = match was_cancelled {
        true => Vec::new(),
        false => vec![message(road, Telling::AnswerAsk, about, open.id)],
    };
    let change = AskChange::Move(open.id, AskState::Open, to);
    let changes = Changes { ask: Some(change.clone()), outbox: outbox.clone(), ..Changes::default() };
    let is_held = matches!(row.state, State::Inbound(InboundState::Held { .. }));
    let event = match (removed || was_cancelled, is_held) {
        (true, _) => Some(InboundEvent::GivenBack { removed }),
        (false, true) => Some(InboundEvent::Resumed),
        (false, false) => None,
    };
    let moved = match event {
        Some(event) => road.step_inbound(row, event, changes, Vec::new()).await?.is_some(),
        None => false,
    };
    if !moved {
        change_ask(road, change, outbox).await?;
        if removed && matches!(row.state, State::Inbound(InboundState::Reported { .. })) {
            let now = road.now();
            let kind = row.state.kind();
            road.commit(move |ledger| ledger.set_due(about, kind, Some(now))).await;
        }
    }
    Ok(())
}

/// Tells the portal a question of ours.
pub async fn tell_question(road: &Road, id: TransferId) -> Result<(), Untold> {
    let Some(ask) = road.look(move |ledger| ledger.asks.get(&id).cloned()).await else { return Ok(()) };
    let (Some(letter), AskState::Asking) = (ask.letter, ask.state) else { return Ok(()) };
    let transfer = road.row(ask.about).await.ok_or(StepError::NotNow)?;
    let addressee_ura = transfer.addressee.ok_or(StepError::NotNow)?;
    let valid_until = after(ask.created_at, road.sim.with(|world| world.valid_for));
    if road.now() > valid_until
        && matches!(road.task(id).await, Err(LineError::Portal(PortalError::NotFound)))
    {
        count(road, Sometimes::AskNotTold);
        let change = AskChange::Move(id, AskState::Asking, AskState::Refused);
        return Ok(change_ask(road, change, Vec::new()).await?);
    }
    let new = NewTransfer {
        transfer: id,
        sender: road.ura(),
        addressee: "radiologie".parse().expect("an id"),
        addressee_ura,
        urgent: true,
        at: ask.created_at,
        valid_until,
    };
    road.ask(Request::Create(Box::new(task::as_question(new.draft())))).await?;
    let there = road.task(id).await?;
    if TaskStatus::from_code(&there.status) == Some(TaskStatus::Draft) {
        road.ask(Request::PutLetter(id, letter)).await?;
        road.update(id, task::commit(there, &[])).await?;
    }
    Ok(change_ask(road, AskChange::Move(id, AskState::Asking, AskState::Asked), Vec::new()).await?)
}

/// Tells the portal our answer. That it is erased is told only when it is.
pub async fn tell_answer(road: &Road, id: TransferId) -> Result<(), Untold> {
    let Some(ask) = road.look(move |ledger| ledger.asks.get(&id).cloned()).await else { return Ok(()) };
    let transfer = road.row(ask.about).await.ok_or(StepError::NotNow)?;
    let is_granted = ask.state == AskState::Granted;
    if is_granted && !road.breaks(Mutant::ErasedToldTooSoon) && !is_gone(road, &transfer).await {
        return Err(LineError::Portal(PortalError::Conflict).into());
    }
    let there = road.task(id).await?;
    let next = if is_granted {
        let receipt = Receipt {
            v: 1,
            transfer: id,
            letter: ask.letter.as_ref().ok_or(StepError::NotNow)?.digest(),
            stage: ReceiptStage::Erased,
            by: road.ura(),
            to: transfer.sender.ok_or(StepError::NotNow)?,
            stored: 0,
            of: 0,
            refused: Vec::new(),
            at: road.now(),
        };
        task::with_receipt(there.clone(), ReceiptStage::Erased, true, &write_receipt(&receipt))
    } else {
        task::rejected(there.clone(), DeclineCode::Other)
    };
    let status = |task: &Task| TaskStatus::from_code(&task.status);
    let (Some(from), Some(to)) = (status(&there), status(&next)) else {
        return Err(LineError::Portal(PortalError::NotUnderstood("unknown status")).into());
    };
    if may_move_as(TaskKind::AskBack, Mover::Addressee, from, to) {
        road.update(id, next).await?;
    }
    Ok(())
}

/// Whether nothing of a transfer is left on this box. What is over and still kept is erased first.
async fn is_gone(road: &Road, transfer: &Row) -> bool {
    let row = transfer.clone();
    let is_gone = road.look(move |ledger| ledger.is_gone(&row)).await;
    if !is_gone && transfer.state.kind().is_final() && transfer.due_at.is_none_or(|due| due > road.now()) {
        let (id, kind, now) = (transfer.id, transfer.state.kind(), road.now());
        road.commit(move |ledger| ledger.set_due(id, kind, Some(now))).await;
    }
    is_gone
}
