//! What may change in a transfer, who may change it, and what must then be there. Pure functions over the stored and
//! the wanted Task; the drawing of the life cycle is in the protocol's `portal::task`.
//!
//! What is kept of a Task is what its struct knows. A field in which a patient could appear is refused by name rather
//! than dropped, so that a client with that bug learns of it before anything was stored.

use beeldbox_protocol::ident::{AddresseeId, TransferId, Ura};
use beeldbox_protocol::portal::fhir::{CodeableConcept, Coding, Meta, Parameter, Task};
use beeldbox_protocol::portal::task::{
    ADDRESSEE_SYSTEM, Mover, TRANSFER_SYSTEM, TaskKind, TaskStatus, TransferNotice, may_move_as,
    may_name_addressee, read_decline,
};
use jiff::Timestamp;

use crate::refusal::Refusal;

/// Fields of a FHIR Task that may say something about a patient.
const PATIENT_FIELDS: [&str; 9] = [
    "for",
    "encounter",
    "description",
    "note",
    "contained",
    "text",
    "reasonReference",
    "insurance",
    "relevantHistory",
];

/// Receipts that one transfer may carry; more would be misuse of the Task as storage.
const MAX_OUTPUTS: usize = 8;

/// A Task that passed every check which does not need the ledger.
#[derive(Debug)]
pub struct Checked {
    /// As it is to be stored.
    pub task: Task,
    /// What it is about.
    pub kind: TaskKind,
    /// Where it moves to.
    pub to: TaskStatus,
    /// Who sends.
    pub requester: Ura,
    /// Who receives.
    pub owner: Ura,
    /// Until when it may be collected.
    pub valid_until: Timestamp,
}

/// Reads a Task from a request's body.
pub fn read_task(body: &[u8]) -> Result<Task, Refusal> {
    let value: serde_json::Value = serde_json::from_slice(body)
        .map_err(|error| Refusal::Malformed(format!("The body is not JSON: {error}.")))?;
    if let Some(field) = PATIENT_FIELDS.into_iter().find(|field| value.get(field).is_some()) {
        return Err(Refusal::PatientData(field));
    }
    let task: Task = serde_json::from_value(value)
        .map_err(|error| Refusal::Malformed(format!("The body is not a Task: {error}.")))?;
    match task.resource_type.as_str() {
        "Task" => Ok(task),
        _ => Err(Refusal::Malformed("The body is not a Task.".to_owned())),
    }
}

/// Checks a new draft.
pub fn check_draft(
    transfer: &TransferId,
    client: &Ura,
    task: Task,
    now: Timestamp,
) -> Result<Checked, Refusal> {
    let checked = check_shape(transfer, task)?;
    if checked.requester != *client {
        return Err(Refusal::Forbidden("A transfer is made by its own requester."));
    }
    if checked.to != TaskStatus::Draft {
        return Err(nonsense("A transfer begins as a draft."));
    }
    if !checked.task.output.is_empty() {
        return Err(nonsense("A draft has no receipts."));
    }
    if checked.valid_until <= now {
        return Err(nonsense("restriction.period.end has passed already."));
    }
    Ok(checked)
}

/// Checks a change of a stored Task. `is_sender` and `is_addressee` say who the client is in it; it may be both.
pub fn check_change(
    transfer: &TransferId,
    stored: &Task,
    wanted: Task,
    is_sender: bool,
    is_addressee: bool,
) -> Result<Checked, Refusal> {
    let checked = check_shape(transfer, wanted)?;
    let from =
        TaskStatus::from_code(&stored.status).ok_or_else(|| Refusal::Fault("a stored status".to_owned()))?;
    let to = checked.to;
    let mover = if is_sender && may_move_as(checked.kind, Mover::Sender, from, to) {
        Mover::Sender
    } else if is_addressee && may_move_as(checked.kind, Mover::Addressee, from, to) {
        Mover::Addressee
    } else {
        return Err(Refusal::MayNotMove { from, to });
    };
    let task = &checked.task;
    let fixed = [
        ("code", task.code == stored.code),
        ("intent", task.intent == stored.intent),
        ("focus", task.focus == stored.focus),
        ("requester", task.requester == stored.requester),
        // A draft may still be turned to another addressee: nobody has seen it.
        ("owner", from == to && from == TaskStatus::Draft || task.owner == stored.owner),
        // Parts may have gone ahead long before the study was addressed.
        ("restriction", from == to && from == TaskStatus::Draft || task.restriction == stored.restriction),
        ("authoredOn", task.authored_on == stored.authored_on),
        ("priority", from == TaskStatus::Draft || task.priority == stored.priority),
        ("input", from == TaskStatus::Draft || task.input == stored.input),
        ("output", task.output.starts_with(&stored.output)),
    ];
    if let Some((field, _)) = fixed.into_iter().find(|(_, is_unchanged)| !is_unchanged) {
        return Err(Refusal::Nonsense(format!("{field} may not change any more.")));
    }
    let added = &task.output[stored.output.len()..];
    check_receipts(checked.kind, mover, to, added, &task.output)?;
    Ok(checked)
}

/// Receipts come from the addressee, and the status that claims one carries it.
fn check_receipts(
    kind: TaskKind,
    mover: Mover,
    to: TaskStatus,
    added: &[Parameter],
    all: &[Parameter],
) -> Result<(), Refusal> {
    if mover == Mover::Sender && !added.is_empty() {
        return Err(nonsense("Receipts come from the addressee."));
    }
    if all.len() > MAX_OUTPUTS {
        return Err(nonsense("That are too many receipts."));
    }
    let is = |parameter: &Parameter, kind: &str| {
        parameter.kind.text.as_deref() == Some(kind) && parameter.value_string.is_some()
    };
    let known: &[&str] = match kind {
        TaskKind::Deliver => &["receipt-in-custody", "receipt-in-pacs"],
        TaskKind::AskBack => &["receipt-erased"],
        TaskKind::RequestImaging => &[],
    };
    if !added.iter().all(|output| known.iter().any(|kind| is(output, kind))) {
        return Err(nonsense("output may hold nothing but receipts."));
    }
    if kind == TaskKind::RequestImaging {
        return Ok(());
    }
    let needed = match to {
        TaskStatus::Completed if kind == TaskKind::AskBack => "receipt-erased",
        TaskStatus::InProgress => "receipt-in-custody",
        TaskStatus::Completed | TaskStatus::Failed => "receipt-in-pacs",
        TaskStatus::Draft | TaskStatus::Requested | TaskStatus::Rejected | TaskStatus::Cancelled => {
            return Ok(());
        }
    };
    match all.iter().any(|output| is(output, needed)) {
        true => Ok(()),
        false => Err(Refusal::Nonsense(format!("{to} needs the receipt {needed}."))),
    }
}

/// What holds for every Task, whatever its status. The server's own fields are made empty.
fn check_shape(transfer: &TransferId, mut task: Task) -> Result<Checked, Refusal> {
    if task.id != transfer.to_string() {
        return Err(nonsense("Its id is not that of the path."));
    }
    // The protocol's own reading, with a version and a time of change that the server will give.
    task.meta = Meta { version_id: Some("0".to_owned()), last_updated: Some(Timestamp::UNIX_EPOCH) };
    let notice =
        TransferNotice::read(&task).map_err(|error| Refusal::Nonsense(format!("{}.", error.what)))?;
    task.meta = Meta::default();
    let letter = task.focus.as_ref().and_then(|focus| focus.id_of("Binary"));
    if letter != Some(task.id.as_str()) {
        return Err(nonsense("Its focus is not its letter, Binary/‹id›."));
    }
    if let Some(reason) = &task.status_reason {
        check_reason(reason, notice.status)?;
    }
    let period = task.restriction.as_ref().and_then(|restriction| restriction.period.as_ref());
    let Some(valid_until) = period.and_then(|period| period.end) else {
        return Err(nonsense("restriction.period.end is needed."));
    };
    if notice.kind.is_question() && !notice.parts.is_empty() {
        return Err(nonsense("A question has no parts."));
    }
    Ok(Checked {
        kind: notice.kind,
        to: notice.status,
        requester: notice.sender,
        owner: notice.addressee,
        valid_until,
        task,
    })
}

/// A reason is codes, in which no patient can appear: one of the transfer's own, and beside it, in a refusal of what came
/// to the wrong addressee, at most one entry of the directory.
fn check_reason(reason: &CodeableConcept, status: TaskStatus) -> Result<(), Refusal> {
    if reason.text.is_some() || reason.coding.iter().any(|coding| coding.display.is_some()) {
        return Err(Refusal::PatientData("statusReason.text"));
    }
    let is_code = |code: &str| {
        (1..=64).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
    };
    let code_of =
        |coding: &Coding, system| coding.code.clone().filter(|_| coding.system.as_deref() == Some(system));
    let (first, others) =
        reason.coding.split_first().ok_or_else(|| nonsense("statusReason holds no code."))?;
    if !code_of(first, TRANSFER_SYSTEM).is_some_and(|code| is_code(&code)) {
        return Err(nonsense("statusReason begins with a code of transfers."));
    }
    match others {
        [] => Ok(()),
        [named] if status == TaskStatus::Rejected => {
            let addressee = code_of(named, ADDRESSEE_SYSTEM).map(|id| id.parse::<AddresseeId>());
            let why = read_decline(first.code.as_deref().unwrap_or_default());
            match addressee {
                Some(Ok(_)) if may_name_addressee(why) => Ok(()),
                Some(_) | None => Err(nonsense("statusReason may name an addressee instead of a wrong one.")),
            }
        }
        [_, ..] => Err(nonsense("statusReason holds too many codes.")),
    }
}

fn nonsense(why: &str) -> Refusal {
    Refusal::Nonsense(why.to_owned())
}
