//! Acceptance without a person looking: only under a rule that a hospital wrote for one sender, for which somebody answers,
//! and which ends by itself.
//!
//! [`AcceptanceRule::accept`] is the only maker of an [`Accepted`], and only that lets a rule confirm a patient. A rule never
//! widens what is ready: it asks for more than [`Verdict::Ready`], never for less.

use std::collections::BTreeSet;

use beeldbox_protocol::clinical::{Confidential, PatientIdentifier};
use beeldbox_protocol::ident::{TransferId, Ura};
use jiff::{SignedDuration, Timestamp};

use super::bsn::{BsnAnswer, BsnReading, BsnWeight};
use super::comparison::{Field, Mark};
use super::gather::Gathered;
use super::identity::PatientIdentity;
use super::verdict::{Judgement, Verdict, judge_all};

/// Longest time for which a rule may be given: somebody looks at it again every year.
pub const LONGEST_VALIDITY: SignedDuration = SignedDuration::from_hours(366 * 24);

/// What every rule demands, whatever else it names.
pub const ALWAYS: [Field; 3] = [Field::Bsn, Field::BirthDate, Field::FamilyName];

/// Longest name of a rule or of a user, in characters.
const LONGEST_NAME: usize = 64;

/// Why a rule is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// It has no name.
    #[error("the rule has no name of 1 to 64 printable characters")]
    NoName,
    /// Nobody answers for it.
    #[error("the rule names no accountable user of 1 to 64 printable characters")]
    NoAccountableUser,
    /// It leaves out what every rule demands.
    #[error("the rule does not demand {0:?}; BSN, birth date and family name must always agree")]
    TooWeak(Field),
    /// It demands that numbers of two hospitals agree.
    #[error("patient numbers of two hospitals never agree")]
    PatientNumber,
    /// It ends before it begins.
    #[error("the rule ends before it begins")]
    NeverValid,
    /// It is given for too long.
    #[error("the rule is given for longer than a year")]
    TooLong,
}

/// A rule as a hospital writes it. It becomes one by [`AcceptanceRule::new`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleInput {
    /// Its name, for the audit trail.
    pub name: String,
    /// The only sender for which it counts.
    pub sender: Ura,
    /// The user who answers for it.
    pub accountable: String,
    /// The fields that must agree.
    pub must_agree: BTreeSet<Field>,
    /// From when it counts.
    pub valid_from: Timestamp,
    /// Until when it counts.
    pub valid_until: Timestamp,
}

/// A rule that is strict enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptanceRule(RuleInput);

/// Why a rule does not accept. Then a person confirms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAccepted {
    /// The rule is for another sender.
    #[error("the rule is for another sender")]
    OtherSender,
    /// The rule does not count yet.
    #[error("the rule does not count yet")]
    NotYetValid,
    /// The rule has ended.
    #[error("the rule has ended")]
    Ended,
    /// Not every system that was asked answered, or none was asked.
    #[error("not every system was heard to the end")]
    NotAllAnswered,
    /// There is no candidate.
    #[error("there is no candidate")]
    NoCandidate,
    /// Nobody is ready.
    #[error("no candidate is ready")]
    NotReady,
    /// Beside the ready one there is another who must be looked at.
    #[error("another candidate must be looked at")]
    NotAlone,
    /// A field that the rule demands does not agree in full.
    #[error("{0:?} does not agree in full")]
    FieldDoesNotAgree(Field),
    /// A number of which nobody says that it is a BSN.
    #[error("it is not said on both sides that the number is a BSN")]
    BsnNotSaid,
    /// The patient has no number to file under.
    #[error("the patient has no local number")]
    NoLocalNumber,
}

/// A transfer whose sender was verified, and whom its images are of.
#[derive(Debug, Clone, Copy)]
pub struct Arrived<'a> {
    /// Which transfer.
    pub transfer: TransferId,
    /// Whose signature was verified.
    pub sender: &'a Ura,
    /// The patient that came along.
    pub patient: &'a PatientIdentity,
}

/// A rule has accepted one of our patients for one transfer. Only [`AcceptanceRule::accept`] makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    transfer: TransferId,
    rule: String,
    accountable: String,
    patient: PatientIdentifier,
    fields: BTreeSet<Field>,
}

impl AcceptanceRule {
    /// Checks a rule.
    ///
    /// # Errors
    /// The first of its faults.
    pub fn new(mut input: RuleInput) -> Result<Self, RuleError> {
        input.name = named(&input.name).ok_or(RuleError::NoName)?;
        input.accountable = named(&input.accountable).ok_or(RuleError::NoAccountableUser)?;
        if let Some(field) = ALWAYS.into_iter().find(|field| !input.must_agree.contains(field)) {
            return Err(RuleError::TooWeak(field));
        }
        if input.must_agree.contains(&Field::PatientNumber) {
            return Err(RuleError::PatientNumber);
        }
        if input.valid_until <= input.valid_from {
            return Err(RuleError::NeverValid);
        }
        if input.valid_until.duration_since(input.valid_from) > LONGEST_VALIDITY {
            return Err(RuleError::TooLong);
        }
        Ok(AcceptanceRule(input))
    }

    /// The only sender for which it counts.
    pub fn sender(&self) -> &Ura {
        &self.0.sender
    }

    /// Judges the candidates and accepts one of them, or says why a person must confirm.
    ///
    /// # Errors
    /// The first thing that is in the way.
    pub fn accept(
        &self,
        arrived: Arrived<'_>,
        gathered: &Gathered,
        now: Timestamp,
    ) -> Result<Accepted, NotAccepted> {
        if *arrived.sender != self.0.sender {
            return Err(NotAccepted::OtherSender);
        }
        if now < self.0.valid_from {
            return Err(NotAccepted::NotYetValid);
        }
        if now >= self.0.valid_until {
            return Err(NotAccepted::Ended);
        }
        if !gathered.is_complete() {
            return Err(NotAccepted::NotAllAnswered);
        }
        let candidates = gathered.candidates();
        let judgements = judge_all(arrived.patient, candidates);
        let at = alone(&judgements)?;
        let (Some(judgement), Some(candidate)) = (judgements.get(at), candidates.get(at)) else {
            return Err(NotAccepted::NoCandidate);
        };
        let lines = judgement.fields.iter().filter(|line| self.0.must_agree.contains(&line.field));
        if let Some(line) = lines.into_iter().find(|line| line.agreement.mark() != Mark::Equal) {
            return Err(NotAccepted::FieldDoesNotAgree(line.field));
        }
        if !(is_said(&arrived.patient.bsn) && is_said(&candidate.identity.bsn)) {
            return Err(NotAccepted::BsnNotSaid);
        }
        let patient = candidate.identity.number.clone().ok_or(NotAccepted::NoLocalNumber)?;
        Ok(Accepted {
            transfer: arrived.transfer,
            rule: self.0.name.clone(),
            accountable: self.0.accountable.clone(),
            patient,
            fields: self.0.must_agree.clone(),
        })
    }
}

/// Names end up in the audit trail, one line each.
fn named(text: &str) -> Option<String> {
    let text = text.trim();
    let is_name =
        !text.is_empty() && text.chars().count() <= LONGEST_NAME && !text.chars().any(char::is_control);
    is_name.then(|| text.to_owned())
}

/// The place of the one that is ready, if all others contradict.
fn alone(judgements: &[Judgement]) -> Result<usize, NotAccepted> {
    if judgements.is_empty() {
        return Err(NotAccepted::NoCandidate);
    }
    let ready = judgements.iter().position(|judgement| judgement.verdict == Verdict::Ready);
    let ready = ready.ok_or(NotAccepted::NotReady)?;
    let others = judgements.iter().enumerate().filter(|(at, _)| *at != ready);
    for (_, other) in others {
        match other.verdict {
            Verdict::Stop(_) => {}
            Verdict::Ready | Verdict::Check(_) => return Err(NotAccepted::NotAlone),
        }
    }
    Ok(ready)
}

fn is_said(reading: &BsnReading) -> bool {
    match reading.answer() {
        BsnAnswer::One { weight: BsnWeight::Issued, .. } => true,
        BsnAnswer::One { weight: BsnWeight::LooksLikeOne, .. } => false,
        BsnAnswer::None | BsnAnswer::Contradictory => false,
    }
}

impl Accepted {
    /// The transfer for which it was accepted.
    pub fn transfer(&self) -> TransferId {
        self.transfer
    }

    /// The number of our patient.
    pub fn patient_id(&self) -> &Confidential {
        &self.patient.id
    }

    /// Who acts, for the audit trail.
    pub fn actor(&self) -> String {
        format!("rule {}", self.rule)
    }

    /// Which rule, who answers for it, and what had to agree. Sealed like every detail of the audit trail.
    pub fn detail(&self) -> Confidential {
        let fields: Vec<String> = self.fields.iter().map(|field| format!("{field:?}")).collect();
        Confidential::new(format!(
            "patient confirmed by rule {}; accountable: {}; agreed: {}",
            self.rule,
            self.accountable,
            fields.join(", ")
        ))
    }
}

#[cfg(test)]
#[path = "rule_tests.rs"]
mod tests;
