//! Who is confirmed, and who is not. Method: one hospital with a few patients, one transfer, and one thing changed at a time.

use std::collections::BTreeSet;

use beeldbox_custody::{Cursor, Direction, InboundState, SenderSnapshot, State, TransferConfidential};
use beeldbox_dicom::ScheduledImport;
use beeldbox_protocol::ident::Ura;

use super::*;
use crate::reconcile::comparison::Field;
use crate::reconcile::gather::{Answer, Answers, gather};
use crate::reconcile::rule::{AcceptanceRule, Arrived, RuleInput};

const BSN: &str = "999990019";
const NOW: &str = "2026-11-28T08:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn ura() -> Ura {
    "90000381".parse().unwrap()
}

fn patient(name: &str, number: &str, birth_date: &str, bsn: Option<&str>) -> Patient {
    Patient {
        name: Some(Confidential::new(name)),
        id: Some(Confidential::new(number)),
        id_issuer: None,
        birth_date: Some(Confidential::new(birth_date)),
        sex: Some(Confidential::new("F")),
        bsn: bsn.map(|bsn| bsn.parse().unwrap()),
    }
}

fn came() -> Patient {
    patient("de Vries^Anna", "88123", "19450314", Some(BSN))
}

fn ours() -> Patient {
    patient("DE VRIES^ANNA", "3004100", "19450314", Some(BSN))
}

fn row(transfer: TransferId, patient: Patient, proposal: Option<Proposal>) -> TransferRow {
    let sender = SenderSnapshot { ura: ura(), name: "Ziekenhuis Noord".to_owned(), department: None };
    TransferRow {
        id: transfer,
        direction: Direction::Inbound,
        state: State::Inbound(InboundState::Opened { at: now() }),
        collection: None,
        due_at: None,
        attempts: 0,
        waiting: None,
        waiting_detail: None,
        waiting_since: None,
        addressee: None,
        sender: Some(sender),
        sender_hint: None,
        confidential: Some(TransferConfidential {
            patient,
            proposal: proposal.map(Box::new),
            ..TransferConfidential::default()
        }),
        task: None,
        letter_digest: None,
        letter_ref: None,
        urgent: false,
        created_at: now(),
        changed_at: now(),
        cursor: Cursor(1),
    }
}

fn arrived() -> TransferId {
    TransferId::from_random([7; 16])
}

fn identity(patient: &Patient) -> PatientIdentity {
    PatientIdentity::of_data_set(patient, &PatientIdentifiers::default())
}

/// What the PACS and the worklist name.
fn known(came: &Patient, pacs: &[Patient], scheduled: &[ScheduledImport]) -> Candidates {
    let of = |patient: &Patient| (identity(patient), patient.clone());
    let planned: Vec<_> = scheduled.iter().map(|import| of(&import.patient)).collect();
    let stored: Vec<_> = pacs.iter().map(of).collect();
    let answer = |all: &[(PatientIdentity, Patient)]| {
        Answer::Answered(all.iter().map(|(identity, _)| identity.clone()).collect())
    };
    let worklist = if scheduled.is_empty() { Answer::NotAsked } else { answer(&planned) };
    let gathered = gather(Answers { worklist, pacs: answer(&stored), pdq: Answer::NotAsked });
    let records = planned.into_iter().chain(stored).collect();
    Candidates::judged(identity(came), came.clone(), gathered, scheduled.to_vec(), records)
}

fn deciding<'a>(row: &'a TransferRow, by: &'a str) -> Deciding<'a> {
    Deciding { row, by, system: "Beeldbox Zuid", now: now() }
}

fn choice(number: &str) -> LocalChoice {
    LocalChoice {
        patient_id: Confidential::new(number),
        seen: None,
        typed: None,
        accession_number: None,
        acknowledged: Vec::new(),
        reason: None,
    }
}

fn filed(chosen: Result<Chosen, NotConfirmed>) -> LocalRecord {
    let Chosen::Confirmed(PatientConfirmed { filing: Filing::Local(record), .. }) = chosen.unwrap() else {
        panic!("not confirmed under a local patient")
    };
    *record
}

#[test]
fn who_is_ready_is_confirmed_and_filed_under_the_local_number() {
    let row = row(arrived(), came(), None);
    let found = known(&came(), &[ours()], &[]);
    let record = filed(choose(deciding(&row, "jan"), &found, &choice("3004100")));
    assert_eq!(record.patient, ours());
    assert_eq!(record.decided_at, now());
    assert!(matches!(choose(deciding(&row, "jan"), &found, &choice("999")), Err(NotConfirmed::Unknown)));
}

#[test]
fn reasons_to_look_at_must_be_looked_at_each() {
    let came = patient("Vries^Anna", "88123", "19450314", None);
    let row = row(arrived(), came.clone(), None);
    let found = known(&came, &[ours()], &[]);
    let Err(NotConfirmed::NotAcknowledged(codes)) = choose(deciding(&row, "jan"), &found, &choice("3004100"))
    else {
        panic!("something must be looked at")
    };
    assert_eq!(codes, ["bsn-missing", "prefix-missing"]);
    for left_out in &codes {
        let rest = codes.iter().filter(|code| *code != left_out).cloned().collect();
        let some = LocalChoice { acknowledged: rest, ..choice("3004100") };
        assert_eq!(
            choose(deciding(&row, "jan"), &found, &some).unwrap_err(),
            NotConfirmed::NotAcknowledged(vec![left_out.clone()])
        );
    }
    let all = LocalChoice { acknowledged: codes, ..choice("3004100") };
    filed(choose(deciding(&row, "jan"), &found, &all));
}

#[test]
fn what_contradicts_needs_a_reason_and_a_second_person() {
    let other = patient("Bakker^Willem", "3004101", "19610101", Some("999990020"));
    let row_before = row(arrived(), came(), None);
    let found = known(&came(), &[ours(), other], &[]);
    let wanted = choice("3004101");
    let Err(NotConfirmed::Contradicts(codes)) = choose(deciding(&row_before, "jan"), &found, &wanted) else {
        panic!("it contradicts")
    };
    // Ticking does not help.
    let ticked = LocalChoice { acknowledged: codes, ..wanted.clone() };
    assert!(matches!(
        choose(deciding(&row_before, "jan"), &found, &ticked),
        Err(NotConfirmed::Contradicts(_))
    ));
    let blank = LocalChoice { reason: Some(Confidential::new("  ")), ..wanted.clone() };
    assert!(matches!(
        choose(deciding(&row_before, "jan"), &found, &blank),
        Err(NotConfirmed::Contradicts(_))
    ));
    let with_reason = LocalChoice { reason: Some(Confidential::new("telephoned")), ..wanted };
    let Chosen::Proposed(proposal) = choose(deciding(&row_before, "jan"), &found, &with_reason).unwrap()
    else {
        panic!("only proposed")
    };
    let seen = proposal_line(&proposal).seen;
    let row_after = row(arrived(), came(), Some(*proposal));
    let agree = |by, seen| PatientConfirmed::by_second_person(deciding(&row_after, by), seen);
    assert_eq!(agree("jan", seen).unwrap_err(), NotConfirmed::SamePerson);
    assert_eq!(agree("piet", Digest::of(b"other")).unwrap_err(), NotConfirmed::NoProposal);
    let confirmed = agree("piet", seen).unwrap();
    assert!(confirmed.detail.reveal().contains("proposed by jan"));
    let nothing = PatientConfirmed::by_second_person(deciding(&row_before, "piet"), seen);
    assert_eq!(nothing.unwrap_err(), NotConfirmed::NoProposal);
}

#[test]
fn what_was_not_seen_is_not_confirmed() {
    let row = row(arrived(), came(), None);
    let before = known(&came(), &[ours()], &[]);
    let seen = before.line(0).map(|line| line.seen);
    assert!(seen.is_some());
    let with_seen = LocalChoice { seen, ..choice("3004100") };
    filed(choose(deciding(&row, "jan"), &before, &with_seen));
    let married = patient("DE VRIES-JANSEN^ANNA", "3004100", "19450314", Some(BSN));
    let since = known(&came(), &[married], &[]);
    assert_eq!(choose(deciding(&row, "jan"), &since, &with_seen).unwrap_err(), NotConfirmed::Changed);
}

#[test]
fn two_patients_with_one_number_are_told_apart_by_what_was_seen() {
    let one = Patient { id_issuer: Some(Confidential::new("ZUID")), ..ours() };
    let two = Patient { id_issuer: Some(Confidential::new("OOST")), ..ours() };
    let row = row(arrived(), came(), None);
    let found = known(&came(), &[one, two.clone()], &[]);
    assert_eq!(
        choose(deciding(&row, "jan"), &found, &choice("3004100")).unwrap_err(),
        NotConfirmed::Ambiguous
    );
    let second = found.line(1).unwrap();
    let acknowledged = second.reasons.iter().map(|reason| reason.code.clone()).collect();
    let with_seen = LocalChoice { seen: Some(second.seen), acknowledged, ..choice("3004100") };
    let record = filed(choose(deciding(&row, "jan"), &found, &with_seen));
    assert_eq!(record.patient, two);
}

#[test]
fn somebody_typed_by_hand_is_compared_and_always_looked_at() {
    let row = row(arrived(), came(), None);
    let found = known(&came(), &[], &[]);
    let typed = LocalChoice { typed: Some(ours()), ..choice("3004100") };
    assert_eq!(
        choose(deciding(&row, "jan"), &found, &typed).unwrap_err(),
        NotConfirmed::NotAcknowledged(vec![TYPED.to_owned()])
    );
    let looked = LocalChoice { acknowledged: vec![TYPED.to_owned()], ..typed.clone() };
    filed(choose(deciding(&row, "jan"), &found, &looked));
    let stranger = patient("Bakker^Willem", "", "19610101", None);
    let stranger = LocalChoice { typed: Some(stranger), acknowledged: vec![TYPED.to_owned()], ..typed };
    assert!(matches!(choose(deciding(&row, "jan"), &found, &stranger), Err(NotConfirmed::Contradicts(_))));
    let unwritable = LocalChoice { patient_id: Confidential::new("30\\04"), ..looked };
    assert!(matches!(choose(deciding(&row, "jan"), &found, &unwritable), Err(NotConfirmed::Value(_))));
}

#[test]
fn the_order_comes_with_its_issuer() {
    let import = ScheduledImport {
        patient: ours(),
        accession_number: Some(Confidential::new("ZUID-77")),
        accession_issuer: Some("RIS".to_owned()),
        ..ScheduledImport::default()
    };
    let row = row(arrived(), came(), None);
    let found = known(&came(), &[], &[import]);
    assert_eq!(found.line(0).unwrap().orders.len(), 1);
    let wanted =
        |number: &str| LocalChoice { accession_number: Some(Confidential::new(number)), ..choice("3004100") };
    let record = filed(choose(deciding(&row, "jan"), &found, &wanted("ZUID-77")));
    assert_eq!(record.accession_issuer.as_deref(), Some("RIS"));
    let typed = filed(choose(deciding(&row, "jan"), &found, &wanted("ZUID-78")));
    assert_eq!(typed.accession_issuer, None);
    let long = choose(deciding(&row, "jan"), &found, &wanted("longer than sixteen"));
    assert!(matches!(long, Err(NotConfirmed::Value(_))));
}

#[test]
fn as_they_came_only_if_the_number_is_nobody_elses_here() {
    let row = row(arrived(), came(), None);
    let as_sent = |found: &Candidates| PatientConfirmed::as_sent(deciding(&row, "jan"), found).map(|_| ());
    assert_eq!(as_sent(&known(&came(), &[], &[])), Ok(()));
    assert_eq!(as_sent(&known(&came(), &[ours()], &[])), Ok(()));
    let namesake_in_number = patient("Bakker^Willem", "88123", "19610101", Some("999990020"));
    assert_eq!(as_sent(&known(&came(), &[namesake_in_number], &[])), Err(NotConfirmed::NumberOfAnother));
    let mut unheard = known(&came(), &[], &[]);
    unheard.gathered =
        gather(Answers { worklist: Answer::NotAsked, pacs: Answer::DidNotAnswer, pdq: Answer::NotAsked });
    assert_eq!(as_sent(&unheard), Err(NotConfirmed::NotHeard));
}

#[test]
fn a_rule_confirms_the_transfer_that_it_accepted_and_no_other() {
    let rule = AcceptanceRule::new(RuleInput {
        name: "noord".to_owned(),
        sender: ura(),
        accountable: "k.bakker".to_owned(),
        must_agree: BTreeSet::from([Field::Bsn, Field::BirthDate, Field::FamilyName]),
        valid_from: "2026-01-01T00:00:00Z".parse().unwrap(),
        valid_until: "2026-12-31T00:00:00Z".parse().unwrap(),
    })
    .unwrap();
    let found = known(&came(), &[ours()], &[]);
    let sender = ura();
    let arrived = Arrived { transfer: arrived(), sender: &sender, patient: &found.incoming };
    let accepted = rule.accept(arrived, &found.gathered, now()).unwrap();
    let own = row(arrived.transfer, came(), None);
    let confirmed = PatientConfirmed::by_rule(deciding(&own, ""), &accepted, &found).unwrap();
    assert_eq!(confirmed.by, "rule noord");
    assert!(matches!(&confirmed.filing, Filing::Local(record) if record.patient == ours()));
    let another = row(TransferId::from_random([8; 16]), came(), None);
    assert!(PatientConfirmed::by_rule(deciding(&another, ""), &accepted, &found).is_err());
}
