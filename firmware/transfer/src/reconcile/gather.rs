//! The candidates, from what the hospital's systems answered: worklist, then PACS, then patient index.
//!
//! Pure: whoever asks brings the answers. A patient that several systems know is one candidate, described by the first
//! of them and completed by the next. What a system did not answer is told: nobody must take "not asked" for "not there".

use super::birth_date::BirthDateAgreement;
use super::comparison::{BsnAgreement, Compared, SexAgreement};
use super::identity::{Candidate, CandidateSource, NumberAgreement, PatientIdentity, Sex};
use super::name_comparison::{FamilyAgreement, GivenAgreement};

/// Most candidates that a person is shown. A query that finds more was too wide.
pub const MOST_CANDIDATES: usize = 50;

/// What one system answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is not set up, or was not asked.
    NotAsked,
    /// It was asked and did not answer, or not to the end.
    DidNotAnswer,
    /// The first of what it found; there is more.
    AnsweredInPart(Vec<PatientIdentity>),
    /// Everything that it found, perhaps nothing.
    Answered(Vec<PatientIdentity>),
}

/// What all systems answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    /// Scheduled imports (C-FIND, Modality Worklist; PS3.4 annex K).
    pub worklist: Answer,
    /// Patients of the PACS (C-FIND, Patient Root or Study Root; PS3.4 annex C).
    pub pacs: Answer,
    /// The patient index (HL7 PDQ; ITI-21).
    pub pdq: Answer,
}

/// What is told about one system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was not asked.
    NotAsked,
    /// It was asked and did not answer.
    DidNotAnswer,
    /// It answered that it knows nobody.
    AnsweredNone,
    /// It knows more than it was heard to name.
    AnsweredInPart {
        /// How many it was heard to name and may be meant.
        found: usize,
    },
    /// It knows some.
    Answered {
        /// How many it named.
        found: usize,
        /// How many of them are not among the candidates, because there were too many.
        left_out: usize,
    },
}

/// All candidates, and what each system said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gathered {
    candidates: Vec<Candidate>,
    outcomes: [(CandidateSource, Outcome); 3],
}

impl Gathered {
    /// In the order in which they were found.
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// What each system said, in the order in which they are asked.
    pub fn outcomes(&self) -> &[(CandidateSource, Outcome); 3] {
        &self.outcomes
    }

    /// Whether at least one system was asked, and every one that was asked answered and was heard to the end.
    pub fn is_complete(&self) -> bool {
        let mut answered = 0;
        for (_, outcome) in &self.outcomes {
            match outcome {
                Outcome::NotAsked => {}
                Outcome::AnsweredNone | Outcome::Answered { left_out: 0, .. } => answered += 1,
                Outcome::DidNotAnswer | Outcome::AnsweredInPart { .. } | Outcome::Answered { .. } => {
                    return false;
                }
            }
        }
        answered > 0
    }
}

/// Puts the answers together.
pub fn gather(answers: Answers) -> Gathered {
    let mut candidates = Vec::new();
    let outcomes = [
        (CandidateSource::Worklist, answers.worklist),
        (CandidateSource::Pacs, answers.pacs),
        (CandidateSource::Pdq, answers.pdq),
    ]
    .map(|(source, answer)| (source, take(&mut candidates, source, answer)));
    Gathered { candidates, outcomes }
}

fn take(candidates: &mut Vec<Candidate>, source: CandidateSource, answer: Answer) -> Outcome {
    let (identities, is_all) = match answer {
        Answer::NotAsked => return Outcome::NotAsked,
        Answer::DidNotAnswer => return Outcome::DidNotAnswer,
        Answer::Answered(identities) if identities.is_empty() => return Outcome::AnsweredNone,
        Answer::Answered(identities) => (identities, true),
        Answer::AnsweredInPart(identities) => (identities, false),
    };
    let found = identities.len();
    let mut left_out = 0;
    for identity in identities {
        let is_full = candidates.len() >= MOST_CANDIDATES;
        let known = candidates.iter_mut().find(|known| is_same_patient(&known.identity, &identity));
        match known {
            Some(known) => complete(known, identity, source),
            None if is_full => left_out += 1,
            None => candidates.push(Candidate { identity, sources: vec![source], records_differ: false }),
        }
    }
    if is_all { Outcome::Answered { found, left_out } } else { Outcome::AnsweredInPart { found } }
}

/// By number and issuer. All these systems are the hospital's own, so an issuer that is not said is the hospital. Records
/// without a number are one only if they say the same in everything.
fn is_same_patient(one: &PatientIdentity, other: &PatientIdentity) -> bool {
    match NumberAgreement::of(one.number.as_ref(), other.number.as_ref()) {
        NumberAgreement::Equal | NumberAgreement::EqualIssuerUnsaid => true,
        NumberAgreement::DiffersAtSameIssuer => false,
        // Also numbers that are BSNs: they are compared as text here.
        NumberAgreement::NotComparable => {
            one.number == other.number && (one.number.is_some() || one == other)
        }
    }
}

fn complete(known: &mut Candidate, identity: PatientIdentity, source: CandidateSource) {
    known.records_differ |= contradict(&known.identity, &identity);
    if !known.sources.contains(&source) {
        known.sources.push(source);
    }
    let own = &mut known.identity;
    own.name = own.name.take().or(identity.name);
    own.birth_date = own.birth_date.take().or(identity.birth_date);
    if own.sex == Sex::Unknown {
        own.sex = identity.sex;
    }
    if own.bsn.found().is_empty() && own.bsn.refused().is_empty() {
        own.bsn = identity.bsn;
    }
    if own.number.as_ref().is_some_and(|number| number.issuer.is_none() && number.universal_id.is_none()) {
        own.number = identity.number;
    }
}

/// Whether two of our own systems say different things about one patient; what one leaves out is no contradiction.
fn contradict(one: &PatientIdentity, other: &PatientIdentity) -> bool {
    let compared = Compared::of(one, other);
    let family = match compared.family {
        FamilyAgreement::Equal | FamilyAgreement::EqualButSpelling | FamilyAgreement::OtherOrder => false,
        FamilyAgreement::Missing => false,
        FamilyAgreement::OneOfTwo | FamilyAgreement::PrefixMissing | FamilyAgreement::PrefixDiffers => true,
        FamilyAgreement::OneLetter | FamilyAgreement::SwappedWithGiven | FamilyAgreement::Differs => true,
    };
    let given = match compared.given {
        GivenAgreement::Equal | GivenAgreement::MoreOnOneSide | GivenAgreement::InitialsOnly => false,
        GivenAgreement::Missing => false,
        GivenAgreement::SomeInCommon | GivenAgreement::OneLetter => true,
        GivenAgreement::SwappedWithFamily | GivenAgreement::Differs => true,
    };
    let birth_date = !matches!(compared.birth_date, BirthDateAgreement::Equal | BirthDateAgreement::Missing);
    let sex = !matches!(compared.sex, SexAgreement::Equal | SexAgreement::Missing);
    let bsn = match compared.bsn {
        BsnAgreement::Equal | BsnAgreement::EqualUnlabelled | BsnAgreement::Missing => false,
        BsnAgreement::Differs | BsnAgreement::UnlabelledDiffers | BsnAgreement::Contradictory => true,
    };
    family || given || birth_date || sex || bsn
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::reasons::CheckReason;
    use crate::reconcile::verdict::{Verdict, judge};
    use beeldbox_protocol::clinical::{Confidential, Patient, PatientIdentifiers};

    fn patient(name: &str, number: &str, issuer: Option<&str>, bsn: Option<&str>) -> PatientIdentity {
        let patient = Patient {
            name: Some(Confidential::new(name)),
            id: Some(Confidential::new(number)).filter(|number| !number.is_empty()),
            id_issuer: issuer.map(Confidential::new),
            birth_date: Some(Confidential::new("19450314")),
            sex: None,
            bsn: bsn.map(|bsn| bsn.parse().unwrap()),
        };
        PatientIdentity::of_data_set(&patient, &PatientIdentifiers::default())
    }

    fn answers(worklist: Answer, pacs: Answer, pdq: Answer) -> Gathered {
        gather(Answers { worklist, pacs, pdq })
    }

    #[test]
    fn one_patient_in_three_systems_is_one_candidate() {
        let gathered = answers(
            Answer::Answered(vec![patient("de Vries^Anna", "3004100", None, None)]),
            Answer::Answered(vec![
                patient("Bakker^Wim", "3004101", Some("ZUID"), None),
                patient("DE VRIES^A", "3004100", Some("ZUID"), None),
            ]),
            Answer::Answered(vec![patient("de Vries^Anna", "3004100", Some("ZUID"), Some("999990019"))]),
        );
        let [vries, bakker] = gathered.candidates() else { panic!("two patients") };
        let all = [CandidateSource::Worklist, CandidateSource::Pacs, CandidateSource::Pdq];
        assert_eq!(vries.sources, all);
        assert_eq!(vries.identity.bsn.found().len(), 1, "the index knows what the others leave out");
        assert!(vries.identity.number.as_ref().unwrap().issuer.is_some());
        assert!(!vries.records_differ, "initials are no contradiction");
        assert_eq!(bakker.sources, [CandidateSource::Pacs]);
        assert!(gathered.is_complete());
    }

    #[test]
    fn systems_that_disagree_make_nobody_ready() {
        let pdq = patient("Jansen^Anna", "3004100", Some("ZUID"), Some("999990019"));
        let gathered = answers(
            Answer::NotAsked,
            Answer::Answered(vec![patient("de Vries^Anna", "3004100", Some("ZUID"), None)]),
            Answer::Answered(vec![pdq]),
        );
        let [candidate] = gathered.candidates() else { panic!("one patient") };
        let incoming = patient("de Vries^Anna", "88123", Some("NOORD"), Some("999990019"));
        let judgement = judge(&incoming, candidate);
        assert_eq!(judgement.verdict, Verdict::Check(vec![CheckReason::LocalRecordsDiffer]));
    }

    #[test]
    fn numbers_of_two_issuers_are_two_patients() {
        let one = |issuer| patient("de Vries^Anna", "3004100", Some(issuer), None);
        let gathered =
            answers(Answer::NotAsked, Answer::Answered(vec![one("ZUID"), one("OOST")]), Answer::NotAsked);
        assert_eq!(gathered.candidates().len(), 2);
    }

    #[test]
    fn what_was_not_answered_is_told() {
        let gathered = answers(Answer::NotAsked, Answer::Answered(Vec::new()), Answer::DidNotAnswer);
        let outcomes = gathered.outcomes().map(|(_, outcome)| outcome);
        assert_eq!(outcomes, [Outcome::NotAsked, Outcome::AnsweredNone, Outcome::DidNotAnswer]);
        assert!(!gathered.is_complete());
        assert!(!answers(Answer::NotAsked, Answer::NotAsked, Answer::NotAsked).is_complete());
    }

    #[test]
    fn too_many_are_counted_and_not_complete() {
        let many = (0..60).map(|at| patient("de Vries^A", &format!("{at}"), Some("ZUID"), None)).collect();
        let gathered = answers(Answer::NotAsked, Answer::Answered(many), Answer::NotAsked);
        assert_eq!(gathered.candidates().len(), MOST_CANDIDATES);
        assert_eq!(gathered.outcomes()[1].1, Outcome::Answered { found: 60, left_out: 10 });
        assert!(!gathered.is_complete());
    }
}
