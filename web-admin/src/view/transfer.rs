//! A transfer as a row of a list, in or out.

use beeldbox_protocol::admin::{
    AskCode, AskLine, BelongsAt, ReceiptLine, ReceiptStage, RefusedInstance, TransferLine,
};
use jiff::Timestamp;

use crate::lang::Words;
use crate::view::date;
use crate::view::patient::{PatientView, mark_namesakes};
use crate::view::recipient::PartnerView;
use crate::view::state::{self, Acts, Direction, StateView};
use crate::view::study::StudyView;
use crate::view::text::{clean, clean_lines};

/// One transfer.
pub struct TransferView {
    /// Its id; says nothing about the patient.
    pub id: String,
    /// Whom it is of, if that is known here and now.
    pub patient: Option<PatientView>,
    /// What stands in the patient's place otherwise.
    pub no_patient: String,
    /// What it is.
    pub study: Option<StudyView>,
    /// The other organisation.
    pub partner: Option<PartnerView>,
    /// Whether to hurry.
    pub urgent: bool,
    /// Where it is.
    pub state: StateView,
    /// What can be done.
    pub acts: Acts,
    /// The question for it back.
    pub ask: Option<AskView>,
    /// For whom here an inbound one is, if not for the organisation as a whole.
    pub desk: String,
    /// Where a declined one belongs, in the opinion of who declined it.
    pub belongs_at: String,
    /// The request that it answers.
    pub answers: Option<String>,
}

/// A question for a transfer back, in words.
pub struct AskView {
    /// Class of the style sheet.
    pub tone: &'static str,
    /// Where it stands, and who has to act.
    pub sentence: String,
    /// Since when.
    pub since: String,
    /// Why, as the sender wrote it.
    pub reason: String,
    /// Whether a person here has to answer.
    pub is_open: bool,
}

impl AskView {
    fn new(ask: &AskLine, direction: Direction, now: Timestamp, words: Words) -> AskView {
        let is_out = direction == Direction::Out;
        let (tone, key) = match ask.state {
            AskCode::Asking => ("wait", "state.ask-asking"),
            AskCode::Asked => ("wait", "state.ask-asked"),
            AskCode::Open => ("bad", "state.ask-open"),
            AskCode::Granted if is_out => ("good", "state.ask-granted-out"),
            AskCode::Granted => ("quiet", "state.ask-granted-in"),
            AskCode::Refused if is_out => ("bad", "state.ask-refused-out"),
            AskCode::Refused => ("quiet", "state.ask-refused-in"),
        };
        AskView {
            tone,
            sentence: words.t(key),
            since: words.fill("state.since", &[("when", &date::when_and_ago(ask.since, now, words))]),
            reason: ask.reason.as_ref().map(|reason| clean_lines(reason.reveal())).unwrap_or_default(),
            is_open: ask.state == AskCode::Open,
        }
    }
}

impl TransferView {
    /// From what the daemon says.
    pub fn new(line: &TransferLine, direction: Direction, now: Timestamp, words: Words) -> TransferView {
        let is_erased = line.situation.state == beeldbox_protocol::admin::StateCode::Erased;
        TransferView {
            id: line.transfer.to_string(),
            patient: line.patient.as_ref().map(|patient| PatientView::new(patient, now, words)),
            no_patient: words.t(if is_erased { "patient.erased" } else { "patient.none" }),
            study: line.summary.as_ref().map(|summary| StudyView::new(summary, words)),
            partner: line.partner.as_ref().map(|partner| PartnerView::new(partner, words)),
            urgent: line.urgent,
            state: StateView::new(&line.situation, direction, now, words),
            acts: state::acts(&line.situation, direction),
            ask: line.ask.as_ref().map(|ask| AskView::new(ask, direction, now, words)),
            desk: line.desk.as_deref().map(clean).unwrap_or_default(),
            belongs_at: line.belongs_at.as_ref().map(|place| belongs_at(place, words)).unwrap_or_default(),
            answers: line.answers.as_ref().map(ToString::to_string),
        }
    }
}

/// Where it belongs, as our own copy of the directory has it: the word of who declined it, and no more.
fn belongs_at(place: &BelongsAt, words: Words) -> String {
    let organisation = place.organisation.as_deref().map(clean);
    let department = place.department.as_deref().map(clean);
    let name = match (organisation, department) {
        (Some(organisation), Some(department)) => format!("{organisation} – {department}"),
        (Some(organisation), None) => organisation,
        (None, _) => return words.t("sent.belongs-unknown"),
    };
    words.fill("sent.belongs-at", &[("name", &name)])
}

/// A list of them, with those marked who could be taken for each other.
pub fn list(lines: &[TransferLine], direction: Direction, now: Timestamp, words: Words) -> Vec<TransferView> {
    let mut views: Vec<TransferView> =
        lines.iter().map(|line| TransferView::new(line, direction, now, words)).collect();
    let mut patients: Vec<&mut PatientView> =
        views.iter_mut().filter_map(|view| view.patient.as_mut()).collect();
    mark_namesakes(&mut patients);
    views
}

/// One step of the course of a transfer.
pub struct Step {
    /// What was reached.
    pub word: String,
    /// When, or that it is still to come.
    pub when: String,
    /// n of m, and what its proof is worth.
    pub detail: String,
    /// Class of the style sheet: `good`, `bad`, `todo`.
    pub tone: &'static str,
}

/// The course: made, then both receipts, whether they are there yet or not.
pub fn course(
    made: Step,
    receipts: &[ReceiptLine],
    names: [(ReceiptStage, &str); 2],
    now: Timestamp,
    words: Words,
) -> Vec<Step> {
    let step = |(stage, key): (ReceiptStage, &str)| {
        let receipt = receipts.iter().find(|receipt| receipt.stage == stage);
        match receipt {
            None => Step {
                word: words.t(key),
                when: words.t("sent.no-receipt"),
                detail: String::new(),
                tone: "todo",
            },
            Some(receipt) => {
                let numbers = [words.number(receipt.stored.into()), words.number(receipt.of.into())];
                let counts = words.fill("sent.n-of-m", &[("done", &numbers[0]), ("of", &numbers[1])]);
                let proof = if receipt.verified { "sent.signature-good" } else { "sent.signature-bad" };
                let is_whole = receipt.verified && receipt.stored >= receipt.of;
                Step {
                    word: words.t(key),
                    when: date::when(receipt.at, now, words),
                    detail: format!("{counts} · {}", words.t(proof)),
                    tone: if is_whole { "good" } else { "bad" },
                }
            }
        }
    };
    std::iter::once(made).chain(names.into_iter().map(step)).collect()
}

/// What the PACS did not take, as lines; positions are counted from one, as people do.
pub fn refused_lines(refused: &[RefusedInstance], words: Words) -> Vec<String> {
    let line = |instance: &RefusedInstance| {
        let position = words.number(u64::from(instance.position) + 1);
        let status = format!("{:04X}H", instance.status);
        words.fill("sent.refused-line", &[("position", &position), ("status", &status)])
    };
    refused.iter().take(20).map(line).collect()
}
