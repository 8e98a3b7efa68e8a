//! Confirming the patient: what a person, a rule, or two persons decided, as a proof without which nothing goes to the PACS.
//!
//! ```text
//!                    ┌─ ready ────────────────────────────────► PatientConfirmed
//!   a person chooses ┼─ check, every reason looked at ─────────► PatientConfirmed
//!                    └─ stop, with a reason ──► Proposal ──a second person agrees──► PatientConfirmed
//!   a rule accepts ────────────────────────────────────────────► PatientConfirmed
//!   as they came, if the number is nobody else's here ─────────► PatientConfirmed
//! ```

use std::collections::BTreeSet;

use beeldbox_custody::{Filing, LocalRecord, Proposal, TransferRow};
use beeldbox_dicom::CoercionPlanError;
use beeldbox_protocol::admin::{CandidateLine, LocalChoice, ReasonLine, VerdictCode};
use beeldbox_protocol::clinical::{Confidential, Patient, PatientIdentifiers};
use beeldbox_protocol::ident::{Digest, TransferId};
use jiff::Timestamp;

use super::candidates::Candidates;
use super::gather::Outcome;
use super::identity::{Candidate, NumberAgreement, PatientIdentity};
use super::page::{line, proposal_line};
use super::rule::Accepted;
use super::verdict::{Verdict, judge};
use crate::coerced;

/// Code of the reason to look at who was typed by hand.
pub const TYPED: &str = "typed-by-hand";

/// Proof that somebody answers for the identity of the patient of one transfer. Only this module makes one.
#[derive(Debug)]
pub struct PatientConfirmed {
    pub(super) transfer: TransferId,
    pub(super) by: String,
    /// For the audit trail: on what ground.
    pub(super) detail: Confidential,
    pub(super) filing: Filing,
}

/// What came of a person's choice.
#[derive(Debug)]
pub enum Chosen {
    /// It is confirmed.
    Confirmed(PatientConfirmed),
    /// Something contradicts: a second person must agree to this.
    Proposed(Box<Proposal>),
}

/// Why a patient is not confirmed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotConfirmed {
    /// No system that was asked knows the number, and nobody typed who it is.
    #[error("no system of this hospital that was asked knows this patient number")]
    Unknown,
    /// Several candidates have this number.
    #[error("several candidates have this patient number")]
    Ambiguous,
    /// What the person saw is not what the systems say now.
    #[error("the candidate has changed since it was shown")]
    Changed,
    /// Reasons that nobody has looked at.
    #[error("reasons to look at: {}", .0.join(", "))]
    NotAcknowledged(Vec<String>),
    /// Something contradicts, and no reason was given.
    #[error("something contradicts: {}", .0.join(", "))]
    Contradicts(Vec<String>),
    /// The number that the images carry belongs to another patient here.
    #[error("the patient number that the images carry is another patient's here")]
    NumberOfAnother,
    /// Nobody knows whether it does: a system that is asked for it did not answer.
    #[error("a system of this hospital did not say whose number it is")]
    NotHeard,
    /// A value cannot stand in the images.
    #[error(transparent)]
    Value(#[from] CoercionPlanError),
    /// There is no proposal, or another than was seen.
    #[error("there is no such proposal")]
    NoProposal,
    /// Who proposed it cannot be the second person.
    #[error("a second person must agree, not who proposed it")]
    SamePerson,
}

/// Whose decision it is, for whom and when.
#[derive(Debug, Clone, Copy)]
pub struct Deciding<'a> {
    /// The transfer.
    pub row: &'a TransferRow,
    /// Who decides.
    pub by: &'a str,
    /// Name of this box, which the images will carry.
    pub system: &'a str,
    /// Now.
    pub now: Timestamp,
}

impl PatientConfirmed {
    /// A person says that the images are filed as they came: under the number that they carry.
    ///
    /// # Errors
    /// If that number is somebody else's at this hospital, or that could not be asked.
    pub fn as_sent(deciding: Deciding<'_>, found: &Candidates) -> Result<Self, NotConfirmed> {
        let candidates = found.gathered.candidates().iter().zip(&found.judgements);
        for (candidate, judgement) in candidates {
            let number =
                NumberAgreement::of(found.incoming.number.as_ref(), candidate.identity.number.as_ref());
            let is_same = match number {
                NumberAgreement::Equal | NumberAgreement::EqualIssuerUnsaid => true,
                NumberAgreement::DiffersAtSameIssuer | NumberAgreement::NotComparable => false,
            };
            if is_same && matches!(judgement.verdict, Verdict::Stop(_)) {
                return Err(NotConfirmed::NumberOfAnother);
            }
        }
        if found.gathered.outcomes().iter().any(|(_, outcome)| matches!(outcome, Outcome::DidNotAnswer)) {
            return Err(NotConfirmed::NotHeard);
        }
        Ok(deciding.confirmed(Filing::AsSent, "patient confirmed, as sent".to_owned()))
    }

    /// A rule of the hospital accepted one of its patients for this transfer; the rule's user answers for it.
    ///
    /// # Errors
    /// If the rule accepted for another transfer, or the patient is not among those found.
    pub fn by_rule(
        deciding: Deciding<'_>,
        accepted: &Accepted,
        found: &Candidates,
    ) -> Result<Self, NotConfirmed> {
        if accepted.transfer() != deciding.row.id {
            return Err(NotConfirmed::Unknown);
        }
        let at = found.at_number(accepted.patient_id(), None)?;
        let record = deciding.record(found.record_of(at).ok_or(NotConfirmed::Unknown)?, None, found, at)?;
        let actor = accepted.actor();
        let confirmed =
            Deciding { by: &actor, ..deciding }.confirmed(Filing::Local(Box::new(record)), String::new());
        Ok(PatientConfirmed { detail: accepted.detail(), ..confirmed })
    }

    /// A second person agrees to what somebody proposed.
    ///
    /// # Errors
    /// If there is no such proposal, or it is their own.
    pub fn by_second_person(deciding: Deciding<'_>, seen: Digest) -> Result<Self, NotConfirmed> {
        let words = deciding.row.confidential.as_ref();
        let proposal = words.and_then(|words| words.proposal.as_ref()).ok_or(NotConfirmed::NoProposal)?;
        if proposal_line(proposal).seen != seen {
            return Err(NotConfirmed::NoProposal);
        }
        if proposal.by == deciding.by {
            return Err(NotConfirmed::SamePerson);
        }
        let detail = format!(
            "patient confirmed by a second person; proposed by {}; contradictions: {}",
            proposal.by,
            proposal.contradictions.join(", ")
        );
        Ok(deciding.confirmed(Filing::Local(Box::new(proposal.record.clone())), detail))
    }
}

/// A person chooses one of this hospital's patients.
///
/// # Errors
/// Why that is not enough, or cannot be.
pub fn choose(
    deciding: Deciding<'_>,
    found: &Candidates,
    choice: &LocalChoice,
) -> Result<Chosen, NotConfirmed> {
    let (line, record) = match found.at_number(&choice.patient_id, choice.seen) {
        Ok(at) => {
            let patient = found.record_of(at).ok_or(NotConfirmed::Unknown)?;
            let line = found.line(at).ok_or(NotConfirmed::Unknown)?;
            (line, deciding.record(patient, choice.accession_number.clone(), found, at)?)
        }
        Err(NotConfirmed::Unknown) => typed(deciding, found, choice)?,
        Err(other) => return Err(other),
    };
    let required: BTreeSet<String> = line.reasons.iter().map(|reason| reason.code.clone()).collect();
    match line.verdict {
        VerdictCode::Ready | VerdictCode::Check => {
            let missing: Vec<String> =
                required.iter().filter(|code| !choice.acknowledged.contains(code)).cloned().collect();
            if !missing.is_empty() {
                return Err(NotConfirmed::NotAcknowledged(missing));
            }
            let looked: Vec<String> = required.into_iter().collect();
            let detail = format!("patient confirmed; looked at: {}", said(&looked));
            Ok(Chosen::Confirmed(deciding.confirmed(Filing::Local(Box::new(record)), detail)))
        }
        VerdictCode::Stop => {
            let contradictions: Vec<String> = required.into_iter().collect();
            let reason = choice.reason.clone().filter(|reason| !reason.reveal().trim().is_empty());
            let Some(reason) = reason else { return Err(NotConfirmed::Contradicts(contradictions)) };
            Ok(Chosen::Proposed(Box::new(Proposal {
                record,
                by: deciding.by.to_owned(),
                reason,
                contradictions,
                at: deciding.now,
            })))
        }
    }
}

fn said(codes: &[String]) -> String {
    if codes.is_empty() { "nothing to look at".to_owned() } else { codes.join(", ") }
}

/// Somebody whom no system knows, typed by hand from another one: compared like everybody, and always to be looked at.
fn typed(
    deciding: Deciding<'_>,
    found: &Candidates,
    choice: &LocalChoice,
) -> Result<(CandidateLine, LocalRecord), NotConfirmed> {
    let patient = choice.typed.clone().ok_or(NotConfirmed::Unknown)?;
    let patient = Patient { id: Some(choice.patient_id.clone()), ..patient };
    let identity = PatientIdentity::of_data_set(&patient, &PatientIdentifiers::default());
    let candidate = Candidate { identity, sources: Vec::new(), records_differ: false };
    let mut judgement = judge(&found.incoming, &candidate);
    if judgement.verdict == Verdict::Ready {
        judgement.verdict = Verdict::Check(Vec::new());
    }
    let mut line = line(patient.clone(), Vec::new(), &judgement, Vec::new());
    line.reasons.push(ReasonLine {
        code: TYPED.to_owned(),
        text: "None of your systems was found to know this number; who it is was typed by hand.".to_owned(),
    });
    let record = LocalRecord {
        patient,
        accession_number: choice.accession_number.clone().filter(|number| !number.is_empty()),
        accession_issuer: None,
        decided_at: deciding.now,
    };
    deciding.check(&record)?;
    Ok((line, record))
}

impl Candidates {
    /// The candidate with this number; of several, the one that was seen.
    fn at_number(&self, number: &Confidential, seen: Option<Digest>) -> Result<usize, NotConfirmed> {
        let wanted = number.reveal().trim();
        let has_number = |candidate: &Candidate| {
            candidate.identity.number.as_ref().is_some_and(|own| own.id.reveal().trim() == wanted)
        };
        let mut own: Vec<usize> = (0..self.gathered.candidates().len())
            .filter(|at| self.gathered.candidates().get(*at).is_some_and(has_number))
            .collect();
        if own.is_empty() {
            return Err(NotConfirmed::Unknown);
        }
        if let Some(seen) = seen {
            own.retain(|at| self.line(*at).is_some_and(|line| line.seen == seen));
            return own.first().copied().ok_or(NotConfirmed::Changed);
        }
        match own[..] {
            [only] => Ok(only),
            _ => Err(NotConfirmed::Ambiguous),
        }
    }
}

impl Deciding<'_> {
    fn confirmed(&self, filing: Filing, detail: String) -> PatientConfirmed {
        PatientConfirmed {
            transfer: self.row.id,
            by: self.by.to_owned(),
            detail: Confidential::new(detail),
            filing,
        }
    }

    /// The decision as it is kept. The issuer of the accession number is that of the worklist.
    fn record(
        &self,
        patient: Patient,
        accession_number: Option<Confidential>,
        found: &Candidates,
        at: usize,
    ) -> Result<LocalRecord, NotConfirmed> {
        let accession_number = accession_number.filter(|number| !number.is_empty());
        let mut orders = found.scheduled_for(at);
        let order =
            orders.find(|order| accession_number.is_some() && order.accession_number == accession_number);
        let accession_issuer = order.and_then(|order| order.accession_issuer.clone());
        let record = LocalRecord { patient, accession_number, accession_issuer, decided_at: self.now };
        self.check(&record)?;
        Ok(record)
    }

    /// Whether everything in it can stand in the images.
    fn check(&self, record: &LocalRecord) -> Result<(), NotConfirmed> {
        coerced::of_record(record, self.system, self.sender())?;
        Ok(())
    }

    fn sender(&self) -> &str {
        self.row.sender.as_ref().map_or("", |sender| sender.name.as_str())
    }
}

#[cfg(test)]
#[path = "confirm_tests.rs"]
mod tests;
