//! What a rule must not accept. Method: one situation that it accepts, and then one thing in it changed at a time.

use beeldbox_protocol::clinical::{Patient, PatientIdentifiers};

use super::*;
use crate::reconcile::gather::{Answer, Answers, gather};

const BSN: &str = "999990019";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn ura(text: &str) -> Ura {
    text.parse().unwrap()
}

fn input() -> RuleInput {
    RuleInput {
        name: "noord".to_owned(),
        sender: ura("90000381"),
        accountable: "k.bakker".to_owned(),
        must_agree: BTreeSet::from([Field::Bsn, Field::BirthDate, Field::FamilyName, Field::Sex]),
        valid_from: at("2026-01-01T00:00:00Z"),
        valid_until: at("2026-12-31T00:00:00Z"),
    }
}

fn patient(name: &str, number: &str, bsn: Option<&str>) -> Patient {
    let given = |text: &str| Some(Confidential::new(text)).filter(|text| !text.is_empty());
    Patient {
        name: given(name),
        id: given(number),
        id_issuer: given("ZUID"),
        birth_date: given("19450314"),
        sex: given("F"),
        bsn: bsn.map(|bsn| bsn.parse().unwrap()),
    }
}

fn identity(patient: &Patient) -> PatientIdentity {
    PatientIdentity::of_data_set(patient, &PatientIdentifiers::default())
}

fn incoming() -> Patient {
    Patient { id_issuer: Some(Confidential::new("NOORD")), ..patient("de Vries^Anna", "88123", Some(BSN)) }
}

fn known(patients: &[Patient]) -> Answers {
    let pacs = Answer::Answered(patients.iter().map(identity).collect());
    Answers { worklist: Answer::NotAsked, pacs, pdq: Answer::NotAsked }
}

fn ours() -> Patient {
    patient("de Vries^Anna", "3004100", Some(BSN))
}

fn decide(
    rule: RuleInput,
    sender: &str,
    came: &Patient,
    answers: Answers,
    now: &str,
) -> Result<Accepted, NotAccepted> {
    let rule = AcceptanceRule::new(rule).unwrap();
    let arrived = Arrived {
        transfer: TransferId::from_random([7; 16]),
        sender: &ura(sender),
        patient: &identity(came),
    };
    rule.accept(arrived, &gather(answers), at(now))
}

const NOW: &str = "2026-06-01T12:00:00Z";
const NOORD: &str = "90000381";

fn came(came: &Patient, answers: Answers) -> Result<Accepted, NotAccepted> {
    decide(input(), NOORD, came, answers, NOW)
}

#[test]
fn what_is_ready_and_alone_is_accepted_and_says_who_answers() {
    let accepted = came(&incoming(), known(&[ours()])).unwrap();
    assert_eq!(accepted.patient_id().reveal(), "3004100");
    assert_eq!(accepted.actor(), "rule noord");
    let detail = accepted.detail();
    assert!(detail.reveal().contains("rule noord; accountable: k.bakker"), "{}", detail.reveal());
    assert!(!detail.reveal().contains(BSN) && !detail.reveal().contains("Vries"));
}

#[test]
fn another_sender_or_another_time_is_refused() {
    let of = |sender, now| decide(input(), sender, &incoming(), known(&[ours()]), now);
    assert_eq!(of("90000999", NOW), Err(NotAccepted::OtherSender));
    assert_eq!(of(NOORD, "2025-12-31T23:59:59Z"), Err(NotAccepted::NotYetValid));
    assert_eq!(of(NOORD, "2026-12-31T00:00:00Z"), Err(NotAccepted::Ended));
}

#[test]
fn who_is_not_ready_or_not_alone_is_refused() {
    assert_eq!(came(&incoming(), known(&[])), Err(NotAccepted::NoCandidate));
    let without_bsn = patient("de Vries^Anna", "3004100", None);
    assert_eq!(came(&incoming(), known(std::slice::from_ref(&without_bsn))), Err(NotAccepted::NotReady));
    let twice = patient("de Vries^Anna", "3004101", Some(BSN));
    assert_eq!(came(&incoming(), known(&[ours(), twice])), Err(NotAccepted::NotReady));
    let namesake = patient("de Vries^Anna", "3004102", None);
    assert_eq!(came(&incoming(), known(&[ours(), namesake])), Err(NotAccepted::NotAlone));
    let somebody_else = patient("Bakker^Willem", "3004103", Some("999990020"));
    assert!(came(&incoming(), known(&[ours(), somebody_else])).is_ok(), "who contradicts does not disturb");
}

#[test]
fn a_system_that_did_not_answer_may_know_another() {
    let answers = Answers { pdq: Answer::DidNotAnswer, ..known(&[ours()]) };
    assert_eq!(came(&incoming(), answers), Err(NotAccepted::NotAllAnswered));
}

#[test]
fn what_the_rule_demands_must_agree_in_full() {
    let no_sex = Patient { sex: None, ..incoming() };
    assert_eq!(came(&no_sex, known(&[ours()])), Err(NotAccepted::FieldDoesNotAgree(Field::Sex)));
    let other_order = patient("Jansen-de Vries^Anna", "3004100", Some(BSN));
    let married = Patient { name: Some(Confidential::new("de Vries-Jansen^Anna")), ..incoming() };
    let refused = Err(NotAccepted::FieldDoesNotAgree(Field::FamilyName));
    assert_eq!(came(&married, known(&[other_order])), refused);
    let initials = Patient { name: Some(Confidential::new("de Vries^A.")), ..incoming() };
    assert!(came(&initials, known(&[ours()])).is_ok(), "this rule does not ask for given names");
    let mut stricter = input();
    stricter.must_agree.insert(Field::GivenNames);
    let refused = decide(stricter, NOORD, &initials, known(&[ours()]), NOW);
    assert_eq!(refused, Err(NotAccepted::FieldDoesNotAgree(Field::GivenNames)));
}

#[test]
fn a_number_that_only_looks_like_a_bsn_needs_a_person() {
    let unsaid = Patient { id: Some(Confidential::new(BSN)), id_issuer: None, bsn: None, ..incoming() };
    assert_eq!(came(&unsaid, known(&[ours()])), Err(NotAccepted::BsnNotSaid));
}

#[test]
fn a_patient_without_a_number_is_not_ready() {
    let unnumbered = patient("de Vries^Anna", "", Some(BSN));
    assert_eq!(came(&incoming(), known(&[unnumbered])), Err(NotAccepted::NotReady));
}

#[test]
fn rules_that_are_too_weak_are_none() {
    let with = |change: &dyn Fn(&mut RuleInput)| {
        let mut input = input();
        change(&mut input);
        AcceptanceRule::new(input).err()
    };
    assert_eq!(with(&|_| {}), None);
    for field in ALWAYS {
        let without = |rule: &mut RuleInput| assert!(rule.must_agree.remove(&field));
        assert_eq!(with(&without), Some(RuleError::TooWeak(field)));
    }
    assert_eq!(with(&|rule| rule.accountable = " ".to_owned()), Some(RuleError::NoAccountableUser));
    assert_eq!(with(&|rule| rule.accountable = "a\nb".to_owned()), Some(RuleError::NoAccountableUser));
    assert_eq!(with(&|rule| rule.name = String::new()), Some(RuleError::NoName));
    assert_eq!(with(&|rule| rule.valid_until = rule.valid_from), Some(RuleError::NeverValid));
    assert_eq!(with(&|rule| rule.valid_until = at("2027-02-01T00:00:00Z")), Some(RuleError::TooLong));
    let number = |rule: &mut RuleInput| assert!(rule.must_agree.insert(Field::PatientNumber));
    assert_eq!(with(&number), Some(RuleError::PatientNumber));
}
