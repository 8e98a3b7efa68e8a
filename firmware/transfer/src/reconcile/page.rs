//! The candidates as a person sees them, and a name for exactly what was seen.
//!
//! A decision repeats that name. If a system of the hospital says something else by then, the decision is refused: nobody
//! confirms what they did not see.

use beeldbox_custody::Proposal;
use beeldbox_protocol::admin::{
    CandidateLine, CandidatePage, FieldCode, FieldLine, MarkCode, OrderLine, PatientSystem, ProposalLine,
    ReasonLine, SystemAnswer, SystemOutcome, VerdictCode,
};
use beeldbox_protocol::clinical::Patient;
use beeldbox_protocol::ident::Digest;

use super::candidates::Candidates;
use super::comparison::{Field, FieldComparison, Mark};
use super::gather::Outcome;
use super::identity::CandidateSource;
use super::reasons::{CheckReason, StopReason};
use super::verdict::{Judgement, Verdict};

impl Candidates {
    /// As a person sees them.
    pub fn page(&self, proposal: Option<&Proposal>) -> CandidatePage {
        let systems = self.gathered.outcomes().iter().map(|(system, outcome)| SystemAnswer {
            system: system_code(*system),
            outcome: outcome_code(*outcome),
        });
        CandidatePage {
            incoming: self.incoming_patient.clone(),
            systems: systems.collect(),
            candidates: (0..self.judgements.len()).filter_map(|at| self.line(at)).collect(),
            proposal: proposal.map(proposal_line),
        }
    }

    /// One candidate as a person sees him or her.
    pub fn line(&self, at: usize) -> Option<CandidateLine> {
        let (candidate, judgement) = (self.gathered.candidates().get(at)?, self.judgements.get(at)?);
        let orders = self.scheduled_for(at).filter_map(|import| {
            Some(OrderLine {
                accession_number: import.accession_number.clone()?,
                description: import.description.clone(),
                scheduled_on: import.scheduled_on.clone(),
            })
        });
        let sources = candidate.sources.iter().map(|source| system_code(*source)).collect();
        Some(line(self.record_of(at).unwrap_or_default(), sources, judgement, orders.collect()))
    }
}

/// A candidate and its verdict as a person sees them.
pub(super) fn line(
    patient: Patient,
    known_to: Vec<PatientSystem>,
    judgement: &Judgement,
    orders: Vec<OrderLine>,
) -> CandidateLine {
    let mut line = CandidateLine {
        seen: Digest::of(&[]),
        patient,
        known_to,
        verdict: verdict_code(&judgement.verdict),
        reasons: reasons(&judgement.verdict),
        fields: judgement.fields.iter().map(field_line).collect(),
        orders,
    };
    line.seen = named(&line);
    line
}

/// A name for exactly these words.
fn named(shown: &impl serde::Serialize) -> Digest {
    Digest::of(&serde_json::to_vec(shown).expect("lines are always JSON"))
}

/// A proposal as a person sees it.
pub fn proposal_line(proposal: &Proposal) -> ProposalLine {
    let text = |code: &String| {
        let known = StopReason::ALL.iter().find(|reason| reason.code() == code);
        ReasonLine { code: code.clone(), text: known.map_or("", |reason| reason.english()).to_owned() }
    };
    let mut line = ProposalLine {
        seen: Digest::of(&[]),
        patient: proposal.record.patient.clone(),
        accession_number: proposal.record.accession_number.clone(),
        by: proposal.by.clone(),
        reason: proposal.reason.clone(),
        contradictions: proposal.contradictions.iter().map(text).collect(),
        at: proposal.at,
    };
    line.seen = named(&line);
    line
}

fn reasons(verdict: &Verdict) -> Vec<ReasonLine> {
    let check = |reason: &CheckReason| (reason.code(), reason.english());
    let stop = |reason: &StopReason| (reason.code(), reason.english());
    let words: Vec<(&str, &str)> = match verdict {
        Verdict::Ready => Vec::new(),
        Verdict::Check(reasons) => reasons.iter().map(check).collect(),
        Verdict::Stop(reasons) => reasons.iter().map(stop).collect(),
    };
    words
        .into_iter()
        .map(|(code, text)| ReasonLine { code: code.to_owned(), text: text.to_owned() })
        .collect()
}

fn field_line(compared: &FieldComparison) -> FieldLine {
    FieldLine {
        field: match compared.field {
            Field::FamilyName => FieldCode::FamilyName,
            Field::GivenNames => FieldCode::GivenNames,
            Field::BirthDate => FieldCode::BirthDate,
            Field::Sex => FieldCode::Sex,
            Field::Bsn => FieldCode::Bsn,
            Field::PatientNumber => FieldCode::PatientNumber,
        },
        incoming: compared.incoming.clone(),
        local: compared.local.clone(),
        mark: match compared.agreement.mark() {
            Mark::Equal => MarkCode::Equal,
            Mark::Similar => MarkCode::Similar,
            Mark::Missing => MarkCode::Missing,
            Mark::Differs => MarkCode::Differs,
            Mark::NotComparable => MarkCode::NotComparable,
        },
    }
}

/// The code of a verdict.
pub fn verdict_code(verdict: &Verdict) -> VerdictCode {
    match verdict {
        Verdict::Ready => VerdictCode::Ready,
        Verdict::Check(_) => VerdictCode::Check,
        Verdict::Stop(_) => VerdictCode::Stop,
    }
}

fn system_code(source: CandidateSource) -> PatientSystem {
    match source {
        CandidateSource::Worklist => PatientSystem::Worklist,
        CandidateSource::Pacs => PatientSystem::Pacs,
        CandidateSource::Pdq => PatientSystem::PatientIndex,
    }
}

fn outcome_code(outcome: Outcome) -> SystemOutcome {
    let count = |found: usize| u32::try_from(found).unwrap_or(u32::MAX);
    match outcome {
        Outcome::NotAsked => SystemOutcome::NotAsked,
        Outcome::DidNotAnswer => SystemOutcome::DidNotAnswer,
        Outcome::AnsweredNone => SystemOutcome::KnowsNobody,
        Outcome::AnsweredInPart { found } => SystemOutcome::Named { found: count(found), is_more: true },
        Outcome::Answered { found, left_out } => {
            SystemOutcome::Named { found: count(found), is_more: left_out > 0 }
        }
    }
}
