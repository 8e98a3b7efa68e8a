//! A further transfer in the place of one that came to nothing.

use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::TransferId;

use super::ward::*;
use crate::{
    AddresseeSnapshot, AuditRecord, Changes, Custody, CustodyError, DeclineReason, Further, OutboundState,
    State, StudyRow,
};

fn queued() -> OutboundState {
    OutboundState::Queued { closed_at: at(5) }
}

fn declined() -> OutboundState {
    OutboundState::Declined { reason: DeclineReason::NotOurs, belongs_at: None, at: at(7) }
}

fn addressed() -> OutboundState {
    OutboundState::Addressed { at: at(10), leaves_at: at(20), undo_to: Some(Box::new(queued())) }
}

/// To this addressee, under a name made of this number.
fn further(study: &StudyRow, to: &str, number: u8) -> Further {
    let transfer = TransferId::from_random([number; 16]);
    let addressee = AddresseeSnapshot {
        id: to.parse().unwrap(),
        ura: "90000381".parse().unwrap(),
        name: "Ziekenhuis West".to_owned(),
        department: None,
        key_id: "k1".to_owned(),
        recipient_json: String::new(),
    };
    let audit = AuditRecord {
        at: at(10),
        actor: "jan".to_owned(),
        action: "redirect".to_owned(),
        transfer: Some(transfer),
        detail: Confidential::default(),
    };
    let changes = Changes {
        due_at: Some(at(20)),
        addressee: Some(addressee),
        audit: vec![audit],
        ..Changes::default()
    };
    Further {
        collection: study.collection,
        instead_of: study.transfer,
        transfer,
        queued: queued(),
        addressed: addressed(),
        changes,
    }
}

async fn records(custody: &Custody) -> usize {
    custody.audit(None, 100).await.unwrap().len()
}

/// A study whose only transfer was declined.
async fn a_declined_study(custody: &Custody) -> StudyRow {
    receive(custody, 1, 1);
    let study = only_study(custody).await;
    close_study(custody, &study).await;
    let first = OutboundState::Addressed { at: at(6), leaves_at: at(6), undo_to: None };
    move_on(custody, &study, queued(), first.clone()).await.unwrap();
    move_on(custody, &study, first, declined()).await.unwrap();
    study
}

#[tokio::test]
async fn it_is_made_once_for_an_addressee_until_it_comes_to_nothing_too() {
    let (dir, custody) = empty_ward();
    let study = a_declined_study(&custody).await;
    let first = custody.make_further(further(&study, "west", 1), at(10)).await.unwrap();
    assert_eq!(first, TransferId::from_random([1; 16]));
    assert_eq!(custody.make_further(further(&study, "west", 2), at(11)).await.unwrap(), first);
    assert_eq!(records(&custody).await, 1, "what changes nothing is no record");
    let other = custody.make_further(further(&study, "oost", 3), at(12)).await.unwrap();
    assert_ne!(other, first);

    // All of it survives a power cut.
    let cut = power_cut(dir.path());
    let (custody, _) = open(cut.path());
    assert_eq!(records(&custody).await, 2);
    let row = custody.transfer(first).await.unwrap().unwrap();
    assert_eq!((row.state.clone(), row.due_at), (State::Outbound(addressed()), Some(at(20))));
    assert_eq!(row.collection, Some(study.collection));
    custody.advance(first, row.state, declined(), Changes::default(), at(13)).await.unwrap();
    let again = custody.make_further(further(&study, "west", 4), at(14)).await.unwrap();
    assert_eq!(again, TransferId::from_random([4; 16]));
}

#[tokio::test]
async fn one_that_waits_for_an_addressee_is_taken_unless_it_has_moved() {
    let (_dir, custody) = empty_ward();
    let study = a_declined_study(&custody).await;
    let waiting = TransferId::from_random([1; 16]);
    offer_again(&custody, &study, waiting, 8).await.unwrap();
    assert_eq!(custody.make_further(further(&study, "west", 1), at(10)).await.unwrap(), waiting);
    assert_eq!(custody.transfers_of(study.collection).await.unwrap().len(), 2);
    let late = custody.make_further(further(&study, "oost", 1), at(11)).await;
    assert!(matches!(late, Err(CustodyError::Stale)), "somebody else addressed it: {late:?}");
    assert_eq!(records(&custody).await, 2, "the offer, and the redirection");
}

#[tokio::test]
async fn nothing_is_made_of_what_is_erased_or_still_arrives() {
    let (_dir, custody) = empty_ward();
    receive(&custody, 1, 1);
    let open_study = only_study(&custody).await;
    let made = custody.make_further(further(&open_study, "west", 1), at(10)).await;
    assert!(matches!(made, Err(CustodyError::StillCollecting)));
    let first = OutboundState::Addressed { at: at(6), leaves_at: at(6), undo_to: None };
    close_study(&custody, &open_study).await;
    move_on(&custody, &open_study, queued(), first.clone()).await.unwrap();
    move_on(&custody, &open_study, first, declined()).await.unwrap();
    custody.erase(open_study.collection, at(20)).await.unwrap();
    let made = custody.make_further(further(&open_study, "west", 1), at(21)).await;
    assert!(matches!(made, Err(CustodyError::Erased)));
    assert_eq!(custody.transfers_of(open_study.collection).await.unwrap().len(), 1);
}
