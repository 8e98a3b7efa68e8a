//! Somebody of this hospital beside who came along: field by field, in words and icons, never by colour alone (CS-14).

use beeldbox_protocol::admin::{
    CandidateLine, FieldCode, FieldLine, MarkCode, ProposalLine, ReasonLine, SystemAnswer, SystemOutcome,
    VerdictCode,
};
use beeldbox_protocol::clinical::Confidential;
use jiff::Timestamp;

use crate::lang::Words;
use crate::view::date;
use crate::view::icon::Icon;
use crate::view::patient::PatientView;
use crate::view::text::{clean, clean_lines};

/// Every reason of `MATCHING.md`, as the key of its text.
const REASONS: [&str; 40] = [
    "matching.bsn-missing",
    "matching.bsn-unlabelled",
    "matching.bsn-malformed",
    "matching.another-bsn",
    "matching.birth-date-missing",
    "matching.birth-date-partly-known",
    "matching.birth-date-first-of-january",
    "matching.birth-date-swapped",
    "matching.birth-date-one-digit",
    "matching.birth-date-unreadable",
    "matching.family-name-missing",
    "matching.family-name-one-of-two",
    "matching.prefix-missing",
    "matching.prefix-differs",
    "matching.family-name-one-letter",
    "matching.names-swapped",
    "matching.family-name-differs",
    "matching.given-names-missing",
    "matching.given-names-some-in-common",
    "matching.given-names-one-letter",
    "matching.given-names-differ",
    "matching.sex-differs",
    "matching.sex-one-other",
    "matching.two-numbers",
    "matching.no-local-number",
    "matching.local-records-differ",
    "matching.another-candidate-fits",
    "matching.bsn-on-two-patients",
    "matching.typed-by-hand",
    "matching.stop-bsn-differs",
    "matching.stop-unlabelled-bsn-differs",
    "matching.stop-bsn-contradictory",
    "matching.stop-birth-date-differs",
    "matching.stop-birth-date-doubtful",
    "matching.stop-family-name-differs",
    "matching.stop-perhaps-twin",
    "matching.stop-twin-not-excluded",
    "matching.stop-sex-differs",
    "matching.stop-same-number-other-person",
    "matching.stop-too-little-agrees",
];

/// A mark in words, with its icon.
pub struct MarkView {
    /// Class of the style sheet.
    pub tone: &'static str,
    /// The icon.
    pub icon: Icon,
    /// The words.
    pub text: String,
}

/// One candidate.
pub struct CandidateView {
    /// Names exactly what is shown.
    pub seen: String,
    /// The patient number of this hospital.
    pub number: Confidential,
    /// Who it is.
    pub patient: PatientView,
    /// Ready, check or stop.
    pub verdict: MarkView,
    /// Whether something contradicts.
    pub is_stop: bool,
    /// Every field side by side.
    pub fields: Vec<FieldView>,
    /// Why it is not ready.
    pub reasons: Vec<ReasonView>,
    /// Imports scheduled for this patient.
    pub orders: Vec<OrderView>,
}

/// One field of both.
pub struct FieldView {
    /// Its name.
    pub name: String,
    /// As it came along, and as this hospital has it.
    pub values: [String; 2],
    /// How they agree.
    pub mark: MarkView,
}

/// A reason to look at.
pub struct ReasonView {
    /// Its code.
    pub code: String,
    /// The reason in words.
    pub text: String,
}

/// A scheduled import.
pub struct OrderView {
    /// Its accession number.
    pub number: Confidential,
    /// What it is, and for when.
    pub text: String,
}

/// What one system said.
pub struct SystemView {
    /// Its name.
    pub name: String,
    /// How it went.
    pub mark: MarkView,
}

/// What somebody proposed.
pub struct ProposalView {
    /// Names exactly this proposal.
    pub seen: String,
    /// Under whom.
    pub patient: PatientView,
    /// Who, and when.
    pub by: String,
    /// Why.
    pub reason: String,
    /// What contradicts.
    pub reasons: Vec<ReasonView>,
}

impl CandidateView {
    /// From what the daemon says.
    pub fn new(line: &CandidateLine, now: Timestamp, words: Words) -> CandidateView {
        let (tone, icon, key) = match line.verdict {
            VerdictCode::Ready => ("good", Icon::Check, "matching.ready"),
            VerdictCode::Check => ("warn", Icon::Warning, "matching.check"),
            VerdictCode::Stop => ("bad", Icon::Stop, "matching.stop"),
        };
        CandidateView {
            seen: line.seen.to_string(),
            number: line.patient.id.clone().unwrap_or_default(),
            patient: PatientView::new(&line.patient, now, words),
            verdict: MarkView { tone, icon, text: words.t(key) },
            is_stop: line.verdict == VerdictCode::Stop,
            fields: line.fields.iter().map(|field| field_view(field, words)).collect(),
            reasons: line.reasons.iter().map(|reason| reason_view(reason, words)).collect(),
            orders: line
                .orders
                .iter()
                .map(|order| OrderView {
                    number: order.accession_number.clone(),
                    text: order.description.as_ref().map(|text| clean(text.reveal())).unwrap_or_default(),
                })
                .collect(),
        }
    }
}

impl ProposalView {
    /// From what the daemon says.
    pub fn new(line: &ProposalLine, now: Timestamp, words: Words) -> ProposalView {
        let when = date::when(line.at, now, words);
        ProposalView {
            seen: line.seen.to_string(),
            patient: PatientView::new(&line.patient, now, words),
            by: words.fill("matching.proposed-by", &[("who", &clean(&line.by)), ("when", &when)]),
            reason: clean_lines(line.reason.reveal()),
            reasons: line.contradictions.iter().map(|reason| reason_view(reason, words)).collect(),
        }
    }
}

fn field_view(field: &FieldLine, words: Words) -> FieldView {
    let name = match field.field {
        FieldCode::FamilyName => "matching.family-name",
        FieldCode::GivenNames => "matching.given-names",
        FieldCode::BirthDate => "patient.born",
        FieldCode::Sex => "patient.sex",
        FieldCode::Bsn => "patient.bsn",
        FieldCode::PatientNumber => "patient.number",
    };
    let (tone, icon, key) = match field.mark {
        MarkCode::Equal => ("good", Icon::Check, "matching.equal"),
        MarkCode::Similar => ("warn", Icon::Warning, "matching.similar"),
        MarkCode::Missing => ("warn", Icon::Warning, "matching.missing"),
        MarkCode::Differs => ("bad", Icon::Stop, "matching.differs"),
        MarkCode::NotComparable => ("quiet", Icon::Done, "matching.not-comparable"),
    };
    let value = |value: &Option<Confidential>| match value {
        Some(value) => shown(field.field, value, words),
        None => words.t("patient.not-sent"),
    };
    let values = [value(&field.incoming), value(&field.local)];
    FieldView { name: words.t(name), values, mark: MarkView { tone, icon, text: words.t(key) } }
}

fn shown(field: FieldCode, value: &Confidential, words: Words) -> String {
    let text = value.reveal().trim();
    match (field, text) {
        (FieldCode::BirthDate, text) => {
            date::parse_day(text).map_or_else(|| clean(text), |day| date::day(day, words))
        }
        (FieldCode::Sex, "M") => words.t("patient.male"),
        (FieldCode::Sex, "F") => words.t("patient.female"),
        (FieldCode::Sex, "O") => words.t("patient.other-sex"),
        (
            FieldCode::FamilyName
            | FieldCode::GivenNames
            | FieldCode::Sex
            | FieldCode::Bsn
            | FieldCode::PatientNumber,
            text,
        ) => clean(text),
    }
}

/// In our words; one that these pages do not know yet in the daemon's.
fn reason_view(reason: &ReasonLine, words: Words) -> ReasonView {
    let known = REASONS.iter().find(|key| key.strip_prefix("matching.") == Some(&reason.code));
    let text = known.map_or_else(|| clean(&reason.text), |key| words.t(key));
    ReasonView { code: reason.code.clone(), text }
}

/// What a system said.
pub fn system(answer: &SystemAnswer, words: Words) -> SystemView {
    use beeldbox_protocol::admin::PatientSystem;
    let name = match answer.system {
        PatientSystem::Worklist => "matching.worklist",
        PatientSystem::Pacs => "matching.pacs",
        PatientSystem::PatientIndex => "matching.patient-index",
    };
    let plain = |tone, icon, key: &str| MarkView { tone, icon, text: words.t(key) };
    let mark = match answer.outcome {
        SystemOutcome::NotAsked => plain("quiet", Icon::Done, "matching.not-asked"),
        SystemOutcome::DidNotAnswer => plain("bad", Icon::Stop, "matching.did-not-answer"),
        SystemOutcome::KnowsNobody => plain("quiet", Icon::Check, "matching.knows-nobody"),
        SystemOutcome::Named { found, is_more } => {
            let text = words.n("matching.named", u64::from(found));
            let more = if is_more { words.t("matching.and-more") } else { String::new() };
            let (tone, icon) = if is_more { ("warn", Icon::Warning) } else { ("good", Icon::Check) };
            MarkView { tone, icon, text: format!("{text}{more}") }
        }
    };
    SystemView { name: words.t(name), mark }
}
