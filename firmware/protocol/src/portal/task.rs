//! A transfer as the portal tells it: between the FHIR `Task` and what the two journeys act on.
//!
//! ```text
//!   sender      draft ──commit──► requested ──► cancelled (recalled)
//!   addressee                     requested ──► in-progress (receipt 1) ──► completed | failed (receipt 2)
//!                                 requested, in-progress ──► rejected (with a code)
//!   portal                        draft, requested ──► cancelled (expired)
//! ```
//!
//! [`may_move`] is that drawing as a function, and [`may_move_as`] adds the shorter lives of a question for a transfer
//! back and of a request for images ([`super::request`]); the portal enforces them, with `If-Match` on every update.

use std::fmt;

use jiff::Timestamp;

use super::fhir::{CodeableConcept, Identifier, Parameter, Period, Reference, Restriction, Task, URA_SYSTEM};
use super::request::{self, REQUEST_IMAGING};
use crate::admin::{DeclineCode, ReceiptStage};
use crate::ident::{AddresseeId, Digest, TransferId, Ura};
use crate::imaging_request::RequestRefusal;

/// System of `Task.code`, `Task.businessStatus` and `Task.statusReason`.
pub const TRANSFER_SYSTEM: &str = "urn:beeldbox:fhir:transfer";

/// System of the entry of the directory that a refusal may name, the second code of its `Task.statusReason`.
pub const ADDRESSEE_SYSTEM: &str = "urn:beeldbox:fhir:addressee";

/// `Task.code` of a transfer.
pub const DELIVER_IMAGING: &str = "deliver-imaging";

/// `Task.code` of a question for a transfer back.
pub const ASK_BACK: &str = "abort";

/// What a Task is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskKind {
    /// Images go to somebody.
    Deliver,
    /// The sender of an earlier transfer asks for it back. Which one, stands in the letter.
    AskBack,
    /// Somebody asks for images. Of whom, stands in the letter.
    RequestImaging,
}

impl TaskKind {
    /// All of them.
    pub const ALL: [TaskKind; 3] = [TaskKind::Deliver, TaskKind::AskBack, TaskKind::RequestImaging];

    /// The code.
    pub fn code(self) -> &'static str {
        match self {
            TaskKind::Deliver => DELIVER_IMAGING,
            TaskKind::AskBack => ASK_BACK,
            TaskKind::RequestImaging => REQUEST_IMAGING,
        }
    }

    /// What a Task is about, if this version knows its code.
    pub fn of(task: &Task) -> Option<Self> {
        let code = task.code.as_ref().and_then(CodeableConcept::code);
        Self::ALL.into_iter().find(|kind| Some(kind.code()) == code)
    }

    /// Whether it is a letter alone: a question, which has no parts.
    pub fn is_question(self) -> bool {
        match self {
            TaskKind::Deliver => false,
            TaskKind::AskBack | TaskKind::RequestImaging => true,
        }
    }
}

/// The states of `Task.status` that a transfer can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskStatus {
    /// The sender uploads; the addressee does not see it.
    Draft,
    /// Everything is there; the addressee may collect it.
    Requested,
    /// The addressee holds it: receipt 1.
    InProgress,
    /// Every instance is in the addressee's PACS: receipt 2.
    Completed,
    /// Not every instance is in the addressee's PACS: receipt 2 says which.
    Failed,
    /// The addressee refuses it.
    Rejected,
    /// Recalled by the sender, or expired.
    Cancelled,
}

impl TaskStatus {
    /// All of them.
    pub const ALL: [TaskStatus; 7] = [
        TaskStatus::Draft,
        TaskStatus::Requested,
        TaskStatus::InProgress,
        TaskStatus::Completed,
        TaskStatus::Failed,
        TaskStatus::Rejected,
        TaskStatus::Cancelled,
    ];

    /// The FHIR code.
    pub fn code(self) -> &'static str {
        match self {
            TaskStatus::Draft => "draft",
            TaskStatus::Requested => "requested",
            TaskStatus::InProgress => "in-progress",
            TaskStatus::Completed => "completed",
            TaskStatus::Failed => "failed",
            TaskStatus::Rejected => "rejected",
            TaskStatus::Cancelled => "cancelled",
        }
    }

    /// Reads the FHIR code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.code() == code)
    }
}

impl fmt::Display for TaskStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Who moves a Task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mover {
    /// The requester.
    Sender,
    /// The owner.
    Addressee,
    /// The portal itself.
    Portal,
}

/// Whether somebody may move a Task so.
pub fn may_move(mover: Mover, from: TaskStatus, to: TaskStatus) -> bool {
    use TaskStatus::{Cancelled, Completed, Draft, Failed, InProgress, Rejected, Requested};
    match (mover, from) {
        (Mover::Sender, Draft) => matches!(to, Draft | Requested | Cancelled),
        (Mover::Sender, Requested) => to == Cancelled,
        (Mover::Addressee, Requested) => matches!(to, InProgress | Rejected),
        (Mover::Addressee, InProgress) => matches!(to, InProgress | Completed | Failed | Rejected),
        (Mover::Portal, Draft | Requested) => to == Cancelled,
        // What the addressee holds in custody is not taken from it by a message.
        (Mover::Sender, InProgress | Completed | Failed | Rejected | Cancelled)
        | (Mover::Addressee, Draft | Completed | Failed | Rejected | Cancelled)
        | (Mover::Portal, InProgress | Completed | Failed | Rejected | Cancelled) => false,
    }
}

/// The same for every kind of Task. A question for a transfer back is answered in one step, and never collected.
pub fn may_move_as(kind: TaskKind, mover: Mover, from: TaskStatus, to: TaskStatus) -> bool {
    match (kind, mover) {
        (TaskKind::Deliver, _) | (TaskKind::AskBack, Mover::Sender | Mover::Portal) => {
            may_move(mover, from, to)
        }
        (TaskKind::AskBack, Mover::Addressee) => {
            from == TaskStatus::Requested && matches!(to, TaskStatus::Completed | TaskStatus::Rejected)
        }
        (TaskKind::RequestImaging, _) => request::may_move(mover, from, to),
    }
}

/// One part, as a Task lists it: digest of the ciphertext and length in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartEntry {
    /// Its name.
    pub digest: Digest,
    /// Its length.
    pub len: u64,
}

/// What a sender says when it makes a Task.
#[derive(Debug, Clone)]
pub struct NewTransfer {
    /// The transfer.
    pub transfer: TransferId,
    /// Who sends.
    pub sender: Ura,
    /// Organisation to which it goes.
    pub addressee_ura: Ura,
    /// Entry of the directory to which it goes.
    pub addressee: AddresseeId,
    /// Whether to hurry.
    pub urgent: bool,
    /// When it was made.
    pub at: Timestamp,
    /// Until when it may be collected.
    pub valid_until: Timestamp,
}

impl NewTransfer {
    /// The draft.
    pub fn draft(&self) -> Task {
        Task {
            resource_type: "Task".to_owned(),
            id: self.transfer.to_string(),
            status: TaskStatus::Draft.code().to_owned(),
            intent: "order".to_owned(),
            priority: Some(if self.urgent { "urgent" } else { "routine" }.to_owned()),
            code: Some(CodeableConcept::of(TRANSFER_SYSTEM, DELIVER_IMAGING)),
            business_status: Some(CodeableConcept::of(TRANSFER_SYSTEM, "uploading")),
            focus: Some(Reference {
                reference: Some(format!("Binary/{}", self.transfer)),
                ..Reference::default()
            }),
            authored_on: Some(self.at),
            requester: Some(organisation(&self.sender, None)),
            owner: Some(organisation(
                &self.addressee_ura,
                Some(format!("HealthcareService/{}", self.addressee)),
            )),
            restriction: Some(Restriction {
                period: Some(Period { start: Some(self.at), end: Some(self.valid_until) }),
            }),
            ..Task::default()
        }
    }
}

fn organisation(ura: &Ura, reference: Option<String>) -> Reference {
    let identifier = Identifier { system: Some(URA_SYSTEM.to_owned()), value: Some(ura.to_string()) };
    Reference { reference, identifier: Some(identifier), display: None }
}

/// The draft of a question instead of a delivery.
pub fn as_question(mut draft: Task) -> Task {
    draft.code = Some(CodeableConcept::of(TRANSFER_SYSTEM, ASK_BACK));
    draft
}

/// The commit: the draft with its parts, asked to become visible to the addressee.
pub fn commit(mut draft: Task, parts: &[PartEntry]) -> Task {
    draft.status = TaskStatus::Requested.code().to_owned();
    draft.business_status = Some(CodeableConcept::of(TRANSFER_SYSTEM, "available"));
    draft.input =
        parts.iter().map(|part| parameter("part", format!("{}:{}", part.digest, part.len))).collect();
    draft
}

/// The Task with a receipt, in the status that the receipt stands for.
pub fn with_receipt(mut task: Task, stage: ReceiptStage, is_complete: bool, jws: &str) -> Task {
    let (status, business) = match (stage, is_complete) {
        (ReceiptStage::InCustody, _) => (TaskStatus::InProgress, "fetched"),
        (ReceiptStage::InPacs, true) => (TaskStatus::Completed, "delivered"),
        (ReceiptStage::InPacs, false) => (TaskStatus::Failed, "partially-delivered"),
        (ReceiptStage::Erased, _) => (TaskStatus::Completed, "erased"),
    };
    task.status = status.code().to_owned();
    task.business_status = Some(CodeableConcept::of(TRANSFER_SYSTEM, business));
    task.output.push(parameter(receipt_kind(stage), jws.to_owned()));
    task
}

/// The Task, refused by its addressee.
pub fn rejected(mut task: Task, reason: DeclineCode) -> Task {
    task.status = TaskStatus::Rejected.code().to_owned();
    task.business_status = Some(CodeableConcept::of(TRANSFER_SYSTEM, "declined"));
    task.status_reason = Some(CodeableConcept::of(TRANSFER_SYSTEM, decline_code(reason)));
    task
}

/// The refused Task, with the entry of the directory at which it belongs in the refuser's opinion.
pub fn belonging_at(mut rejected: Task, addressee: &AddresseeId) -> Task {
    let reason = rejected.status_reason.get_or_insert_default();
    reason.coding.extend(CodeableConcept::of(ADDRESSEE_SYSTEM, addressee.as_str()).coding);
    rejected
}

/// Whether a refusal for this reason may name another addressee: only if the addressee was the wrong one.
pub fn may_name_addressee(reason: DeclineCode) -> bool {
    match reason {
        DeclineCode::WrongDepartment | DeclineCode::NotOurs => true,
        DeclineCode::UnknownPatient
        | DeclineCode::Incomplete
        | DeclineCode::Unreadable
        | DeclineCode::Other => false,
    }
}

/// The Task, taken back by its sender.
pub fn recalled(mut task: Task) -> Task {
    task.status = TaskStatus::Cancelled.code().to_owned();
    task.business_status = Some(CodeableConcept::of(TRANSFER_SYSTEM, "recalled"));
    task
}

fn parameter(kind: &str, value: String) -> Parameter {
    Parameter {
        kind: CodeableConcept { coding: vec![], text: Some(kind.to_owned()) },
        value_string: Some(value),
    }
}

fn receipt_kind(stage: ReceiptStage) -> &'static str {
    match stage {
        ReceiptStage::InCustody => "receipt-in-custody",
        ReceiptStage::InPacs => "receipt-in-pacs",
        ReceiptStage::Erased => "receipt-erased",
    }
}

fn decline_code(reason: DeclineCode) -> &'static str {
    match reason {
        DeclineCode::WrongDepartment => "wrong-department",
        DeclineCode::UnknownPatient => "unknown-patient",
        DeclineCode::Incomplete => "incomplete",
        DeclineCode::Unreadable => "unreadable",
        DeclineCode::NotOurs => "not-ours",
        DeclineCode::Other => "other",
    }
}

/// Why a Task cannot be understood. It is shown and left alone, never dropped in silence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the portal's Task is not a transfer: {what}")]
pub struct NotATransfer {
    /// What is wrong with it.
    pub what: &'static str,
}

/// A transfer as the portal tells it, understood.
#[derive(Debug, Clone)]
pub struct TransferNotice {
    /// What it is about.
    pub kind: TaskKind,
    /// The transfer.
    pub transfer: TransferId,
    /// Version, for `If-Match`.
    pub version: String,
    /// When the portal last changed it.
    pub last_updated: Timestamp,
    /// Where it is.
    pub status: TaskStatus,
    /// Whether it was cancelled because nobody collected it in time.
    pub has_expired: bool,
    /// Who is said to send. A hint: the letter's signature is the truth.
    pub sender: Ura,
    /// Who may collect it.
    pub addressee: Ura,
    /// Whether to hurry.
    pub urgent: bool,
    /// Why it was refused.
    pub declined: Option<DeclineCode>,
    /// Why images that were asked for are not sent.
    pub request_refused: Option<RequestRefusal>,
    /// Where it belongs in the opinion of who refused it. A hint of the portal's: a person decides.
    pub belongs_at: Option<AddresseeId>,
    /// The parts.
    pub parts: Vec<PartEntry>,
    /// Receipts, in order of arrival.
    pub receipts: Vec<(ReceiptStage, String)>,
}

impl TransferNotice {
    /// Understands a Task.
    ///
    /// # Errors
    /// If it is not a transfer, or something needed is missing.
    pub fn read(task: &Task) -> Result<Self, NotATransfer> {
        let bad = |what| NotATransfer { what };
        let ura = |reference: &Option<Reference>| -> Option<Ura> { reference.as_ref()?.ura()?.parse().ok() };
        let business = task.business_status.as_ref().and_then(CodeableConcept::code);
        let parts: Result<Vec<PartEntry>, NotATransfer> = values(&task.input, "part")
            .map(|text| read_part(text).ok_or(bad("a part is not digest:length")))
            .collect();
        let reason = task.status_reason.as_ref();
        let why = reason.and_then(CodeableConcept::code);
        let declined = why.map(read_decline);
        let belongs_at = reason.and_then(|reason| reason.code_of(ADDRESSEE_SYSTEM)?.parse().ok());
        let receipts = ReceiptStage::ALL.into_iter().flat_map(|stage| {
            values(&task.output, receipt_kind(stage)).map(move |jws| (stage, jws.to_owned()))
        });
        Ok(TransferNotice {
            kind: TaskKind::of(task).ok_or(bad("unknown code"))?,
            transfer: task.id.parse().map_err(|_| bad("its id is not that of a transfer"))?,
            version: task.meta.version_id.clone().ok_or(bad("no version"))?,
            last_updated: task.meta.last_updated.ok_or(bad("no time of change"))?,
            status: TaskStatus::from_code(&task.status).ok_or(bad("unknown status"))?,
            has_expired: business == Some("expired"),
            sender: ura(&task.requester).ok_or(bad("no sender"))?,
            addressee: ura(&task.owner).ok_or(bad("no addressee"))?,
            urgent: matches!(task.priority.as_deref(), Some("urgent" | "asap" | "stat")),
            declined,
            request_refused: why.map(RequestRefusal::from_code),
            belongs_at: belongs_at.filter(|_| declined.is_some_and(may_name_addressee)),
            parts: parts?,
            receipts: receipts.collect(),
        })
    }
}

fn values<'a>(parameters: &'a [Parameter], kind: &'a str) -> impl Iterator<Item = &'a str> {
    parameters
        .iter()
        .filter(move |parameter| parameter.kind.text.as_deref() == Some(kind))
        .filter_map(|parameter| parameter.value_string.as_deref())
}

fn read_part(text: &str) -> Option<PartEntry> {
    let (digest, len) = text.split_once(':')?;
    Some(PartEntry { digest: digest.parse().ok()?, len: len.parse().ok()? })
}

/// Reads the code of a refusal. One that this version does not know is still a refusal.
pub fn read_decline(code: &str) -> DeclineCode {
    let all = [
        DeclineCode::WrongDepartment,
        DeclineCode::UnknownPatient,
        DeclineCode::Incomplete,
        DeclineCode::Unreadable,
        DeclineCode::NotOurs,
    ];
    all.into_iter().find(|reason| decline_code(*reason) == code).unwrap_or(DeclineCode::Other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_transfer() -> NewTransfer {
        NewTransfer {
            transfer: TransferId::from_random([5; 16]),
            sender: "90000381".parse().unwrap(),
            addressee_ura: "90000382".parse().unwrap(),
            addressee: "zuid-radiologie".parse().unwrap(),
            urgent: true,
            at: "2026-11-23T09:14:00Z".parse().unwrap(),
            valid_until: "2026-12-23T09:14:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn a_committed_task_reads_back_as_a_notice() {
        let part = PartEntry { digest: Digest::of(b"part"), len: 4 };
        let mut task = commit(a_transfer().draft(), &[part]);
        assert!(TransferNotice::read(&task).is_err(), "without the server's version it is not a notice");
        task.meta.version_id = Some("2".into());
        task.meta.last_updated = Some("2026-11-23T09:15:00Z".parse().unwrap());
        let notice = TransferNotice::read(&task).unwrap();
        assert_eq!(notice.status, TaskStatus::Requested);
        assert_eq!(notice.parts, vec![part]);
        assert!(notice.urgent);
        let task = with_receipt(task, ReceiptStage::InCustody, true, "a.b.c");
        let notice = TransferNotice::read(&task).unwrap();
        assert_eq!(notice.receipts, vec![(ReceiptStage::InCustody, "a.b.c".to_owned())]);
        let addressee: AddresseeId = "zuid-cardiologie".parse().unwrap();
        for (reason, named) in
            [(DeclineCode::NotOurs, Some(addressee.clone())), (DeclineCode::Incomplete, None)]
        {
            let refused = belonging_at(rejected(task.clone(), reason), &addressee);
            let notice = TransferNotice::read(&refused).unwrap();
            assert_eq!((notice.status, notice.declined), (TaskStatus::Rejected, Some(reason)));
            assert_eq!(notice.belongs_at, named, "an addressee is named only if the first was the wrong one");
        }
    }

    #[test]
    fn nobody_moves_what_is_final_and_the_addressee_sees_no_draft() {
        for to in TaskStatus::ALL {
            for mover in [Mover::Sender, Mover::Addressee, Mover::Portal] {
                for from in
                    [TaskStatus::Completed, TaskStatus::Failed, TaskStatus::Rejected, TaskStatus::Cancelled]
                {
                    assert!(!may_move(mover, from, to));
                }
            }
            assert!(!may_move(Mover::Addressee, TaskStatus::Draft, to));
        }
    }
}
