//! The verdict about one candidate, and about several beside each other. The whole rule, in plain words: `MATCHING.md`.
//!
//! Pure, and made to err to one side: images under the wrong patient are worse than any number of questions. *Ready* needs
//! BSN, birth date and family name; whatever else speaks against it asks for a person; whatever contradicts stops.

use super::birth_date::BirthDateAgreement as D;
use super::bsn::{BsnAnswer, BsnReading};
use super::comparison::{BsnAgreement, Compared, FieldComparison, SexAgreement};
use super::identity::{Candidate, NumberAgreement, PatientIdentity};
use super::name_comparison::{FamilyAgreement as F, GivenAgreement as G};
use super::reasons::{CheckReason, StopReason};

/// What is to be done with a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// BSN, birth date and family name agree and nothing speaks against it. A person confirms, or a strict rule.
    Ready,
    /// A person must look at these.
    Check(Vec<CheckReason>),
    /// They contradict.
    Stop(Vec<StopReason>),
}

/// The verdict about one candidate, with the fields side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What is to be done.
    pub verdict: Verdict,
    /// Every field of both.
    pub fields: Vec<FieldComparison>,
}

/// Judges one candidate by itself. Use [`judge_all`] for what a person is shown: it also looks at the others.
pub fn judge(incoming: &PatientIdentity, candidate: &Candidate) -> Judgement {
    let compared = Compared::of(incoming, &candidate.identity);
    let stops = stops(&compared);
    let verdict = if stops.is_empty() {
        let checks = checks(&compared, incoming, candidate);
        if checks.is_empty() { Verdict::Ready } else { Verdict::Check(checks) }
    } else {
        Verdict::Stop(stops)
    };
    Judgement { verdict, fields: compared.side_by_side(incoming, &candidate.identity) }
}

/// Judges all candidates beside each other, in their order. Of several that are ready none is; nor is one whose BSN another
/// patient of ours has too.
pub fn judge_all(incoming: &PatientIdentity, candidates: &[Candidate]) -> Vec<Judgement> {
    let mut judgements: Vec<Judgement> =
        candidates.iter().map(|candidate| judge(incoming, candidate)).collect();
    let is_ready = |judgement: &Judgement| judgement.verdict == Verdict::Ready;
    let ready = judgements.iter().filter(|judgement| is_ready(judgement)).count();
    for (at, judgement) in judgements.iter_mut().enumerate() {
        if judgement.verdict != Verdict::Ready {
            continue;
        }
        let Some(own) = candidates.get(at) else { continue };
        let others = candidates.iter().enumerate().filter(|(other, _)| *other != at);
        let bsn_is_elsewhere =
            others.into_iter().any(|(_, other)| shares_bsn(&own.identity.bsn, &other.identity.bsn));
        let mut checks = Vec::new();
        if ready > 1 {
            checks.push(CheckReason::AnotherCandidateFits);
        }
        if bsn_is_elsewhere {
            checks.push(CheckReason::BsnOnTwoLocalPatients);
        }
        if !checks.is_empty() {
            judgement.verdict = Verdict::Check(checks);
        }
    }
    judgements
}

/// Whether the second reading holds the number of the first, whatever else it holds.
fn shares_bsn(own: &BsnReading, other: &BsnReading) -> bool {
    match own.answer() {
        BsnAnswer::One { bsn, .. } => other.found().iter().any(|found| found.bsn == *bsn),
        BsnAnswer::None | BsnAnswer::Contradictory => false,
    }
}

/// What contradicts. With a BSN that agrees, some contradictions have a usual explanation and are left to a person.
fn stops(compared: &Compared) -> Vec<StopReason> {
    let is_bsn_equal = compared.bsn == BsnAgreement::Equal;
    let mut stops = Vec::new();
    match compared.bsn {
        BsnAgreement::Differs => stops.push(StopReason::BsnDiffers),
        BsnAgreement::UnlabelledDiffers => stops.push(StopReason::UnlabelledBsnDiffers),
        BsnAgreement::Contradictory => stops.push(StopReason::BsnContradictory),
        BsnAgreement::Equal | BsnAgreement::EqualUnlabelled | BsnAgreement::Missing => {}
    }
    match compared.birth_date {
        D::Differs => stops.push(StopReason::BirthDateDiffers),
        D::FirstOfJanuary | D::DayMonthSwapped | D::OneDigit | D::Unreadable if !is_bsn_equal => {
            stops.push(StopReason::BirthDateDoubtfulWithoutBsn);
        }
        D::FirstOfJanuary | D::DayMonthSwapped | D::OneDigit | D::Unreadable => {}
        D::Equal | D::PartlyKnown | D::Missing => {}
    }
    if compared.family == F::Differs && !is_perhaps_married(compared) {
        stops.push(StopReason::FamilyNameDiffers);
    }
    match compared.given {
        G::Differs if !is_bsn_equal => stops.push(StopReason::PerhapsTwin),
        G::Missing if !is_bsn_equal => stops.push(StopReason::TwinNotExcluded),
        G::Differs | G::Missing => {}
        G::Equal | G::MoreOnOneSide | G::InitialsOnly => {}
        G::SomeInCommon | G::OneLetter | G::SwappedWithFamily => {}
    }
    if compared.sex == SexAgreement::Differs && !is_bsn_equal {
        stops.push(StopReason::SexDiffersWithoutBsn);
    }
    let is_same_number = match compared.number {
        NumberAgreement::Equal | NumberAgreement::EqualIssuerUnsaid => true,
        NumberAgreement::DiffersAtSameIssuer | NumberAgreement::NotComparable => false,
    };
    if is_same_number && is_another_person(compared) {
        stops.push(StopReason::SameNumberOtherPerson);
    }
    if agreeing(compared) < 2 {
        stops.push(StopReason::TooLittleAgrees);
    }
    stops
}

/// Another family name is explained by marriage only if everything else says that it is the same person.
fn is_perhaps_married(compared: &Compared) -> bool {
    let given_agrees = match compared.given {
        G::Equal | G::MoreOnOneSide | G::InitialsOnly => true,
        G::SomeInCommon | G::OneLetter | G::SwappedWithFamily | G::Missing | G::Differs => false,
    };
    compared.bsn == BsnAgreement::Equal
        && compared.birth_date == D::Equal
        && given_agrees
        && compared.sex != SexAgreement::Differs
}

fn is_another_person(compared: &Compared) -> bool {
    let is_bsn_equal = compared.bsn == BsnAgreement::Equal;
    let bsn_differs = matches!(compared.bsn, BsnAgreement::Differs | BsnAgreement::UnlabelledDiffers);
    let names_differ = compared.family == F::Differs || compared.given == G::Differs;
    bsn_differs || compared.birth_date == D::Differs || (names_differ && !is_bsn_equal)
}

/// How many of BSN, birth date and family name agree; a family name also where there is a usual reason for the difference.
fn agreeing(compared: &Compared) -> usize {
    let family = match compared.family {
        F::Missing | F::Differs => false,
        F::Equal | F::EqualButSpelling | F::OtherOrder | F::OneOfTwo => true,
        F::PrefixMissing | F::PrefixDiffers | F::OneLetter | F::SwappedWithGiven => true,
    };
    let fields = [compared.bsn == BsnAgreement::Equal, compared.birth_date == D::Equal, family];
    fields.into_iter().filter(|agrees| *agrees).count()
}

/// What a person must look at.
fn checks(compared: &Compared, incoming: &PatientIdentity, candidate: &Candidate) -> Vec<CheckReason> {
    let local = &candidate.identity;
    let bsn = match compared.bsn {
        BsnAgreement::Missing => Some(CheckReason::BsnMissing),
        BsnAgreement::EqualUnlabelled => Some(CheckReason::BsnUnlabelled),
        BsnAgreement::Equal => None,
        // They stop.
        BsnAgreement::Differs | BsnAgreement::UnlabelledDiffers | BsnAgreement::Contradictory => None,
    };
    let birth_date = match compared.birth_date {
        D::Equal | D::Differs => None,
        D::PartlyKnown => Some(CheckReason::BirthDatePartlyKnown),
        D::FirstOfJanuary => Some(CheckReason::BirthDateFirstOfJanuary),
        D::DayMonthSwapped => Some(CheckReason::BirthDateSwapped),
        D::OneDigit => Some(CheckReason::BirthDateOneDigit),
        D::Unreadable => Some(CheckReason::BirthDateUnreadable),
        D::Missing => Some(CheckReason::BirthDateMissing),
    };
    let family = match compared.family {
        F::Equal | F::EqualButSpelling | F::OtherOrder => None,
        F::OneOfTwo => Some(CheckReason::FamilyNameOneOfTwo),
        F::PrefixMissing => Some(CheckReason::FamilyNamePrefixMissing),
        F::PrefixDiffers => Some(CheckReason::FamilyNamePrefixDiffers),
        F::OneLetter => Some(CheckReason::FamilyNameOneLetter),
        F::SwappedWithGiven => Some(CheckReason::NamesSwapped),
        F::Missing => Some(CheckReason::FamilyNameMissing),
        F::Differs => Some(CheckReason::FamilyNameDiffers),
    };
    let given = match compared.given {
        G::Equal | G::MoreOnOneSide | G::InitialsOnly | G::SwappedWithFamily => None,
        G::SomeInCommon => Some(CheckReason::GivenNamesSomeInCommon),
        G::OneLetter => Some(CheckReason::GivenNamesOneLetter),
        G::Missing => Some(CheckReason::GivenNamesMissing),
        G::Differs => Some(CheckReason::GivenNamesDiffer),
    };
    let sex = match compared.sex {
        SexAgreement::Equal | SexAgreement::Missing => None,
        SexAgreement::OneOther => Some(CheckReason::SexOneOther),
        SexAgreement::Differs => Some(CheckReason::SexDiffers),
    };
    let of_readings = |holds: fn(&BsnReading) -> bool| holds(&incoming.bsn) || holds(&local.bsn);
    let others = [
        (of_readings(|reading| !reading.refused().is_empty()), CheckReason::BsnMalformed),
        (of_readings(BsnReading::has_another), CheckReason::AnotherNumberLooksLikeBsn),
        (compared.number == NumberAgreement::DiffersAtSameIssuer, CheckReason::TwoNumbersOfOneIssuer),
        (local.number.is_none(), CheckReason::NoLocalNumber),
        (candidate.records_differ, CheckReason::LocalRecordsDiffer),
    ];
    let others = others.into_iter().filter(|(is_so, _)| *is_so).map(|(_, reason)| reason);
    [bsn, birth_date, family, given, sex].into_iter().flatten().chain(others).collect()
}
