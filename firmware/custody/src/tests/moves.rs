//! Moving transfers.

use std::collections::BTreeSet;

use beeldbox_protocol::ident::TransferId;

use super::ward::*;
use crate::kind::{InboundKind, Kind, OutboundKind};
use crate::{
    Changes, CustodyError, HoldReason, InboundState, NewInbound, OutboundState, State, WaitReason, Who,
    allowed,
};

#[test]
fn the_moves_in_rust_are_those_of_the_schema() {
    let dir = tempfile::tempdir().unwrap();
    let connection = crate::schema::open(&dir.path().join("ledger.sqlite")).unwrap();
    let mut statement =
        connection.prepare("SELECT direction, from_state, to_state FROM allowed_move").unwrap();
    let schema: BTreeSet<(String, String, String)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let outbound = OutboundKind::ALL.iter().map(|kind| ("outbound", Kind::Outbound(*kind)));
    let inbound = InboundKind::ALL.iter().map(|kind| ("inbound", Kind::Inbound(*kind)));
    let kinds: Vec<_> = outbound.chain(inbound).collect();
    let mut rust = BTreeSet::new();
    for (direction, from) in &kinds {
        for (_, to) in &kinds {
            if allowed(*from, *to) {
                rust.insert(((*direction).to_owned(), from.as_str().to_owned(), to.as_str().to_owned()));
            }
        }
    }
    assert_eq!(rust, schema);
}

#[test]
fn every_state_and_reason_reads_back_from_its_json() {
    let held = OutboundState::Held {
        back_to: Box::new(OutboundState::Sending { parts_done: 1, parts_total: 2 }),
        reason: HoldReason::RecipientKeyChanged,
        since: at(0),
    };
    let json = serde_json::to_string(&held).unwrap();
    assert_eq!(serde_json::from_str::<OutboundState>(&json).unwrap(), held);
    let later: HoldReason = serde_json::from_str("\"phase_of_the_moon\"").unwrap();
    assert_eq!(later, HoldReason::UnknownToThisVersion("phase_of_the_moon".to_owned()));
    assert_eq!(later.who_can_act(), Who::Vendor);
    assert_eq!(serde_json::to_string(&later).unwrap(), "\"phase_of_the_moon\"");
    for reason in HoldReason::ALL {
        assert_eq!(&HoldReason::from(reason.as_str().to_owned()), reason);
    }
    for kind in OutboundKind::ALL {
        assert_eq!(OutboundKind::from_word(kind.as_str()), Some(*kind));
    }
}

#[tokio::test]
async fn the_second_of_two_moves_is_stale() {
    let (_dir, custody) = empty_ward();
    receive(&custody, 1, 1);
    let study = only_study(&custody).await;
    close_study(&custody, &study).await;
    let again =
        move_on(&custody, &study, OutboundState::Collecting, OutboundState::Queued { closed_at: at(6) })
            .await;
    assert!(matches!(again, Err(CustodyError::Stale)));
}

#[tokio::test]
async fn a_move_that_is_not_on_the_list_is_refused_twice() {
    let (_dir, custody) = empty_ward();
    receive(&custody, 1, 1);
    let study = only_study(&custody).await;
    let leap =
        move_on(&custody, &study, OutboundState::Collecting, OutboundState::Accepted { at: at(1) }).await;
    assert!(matches!(leap, Err(CustodyError::MoveNotAllowed { .. })));
    let behind_its_back = custody
        .ledger()
        .ask(|connection| {
            connection.execute("UPDATE transfer SET state = 'accepted'", [])?;
            Ok(())
        })
        .await;
    assert!(matches!(behind_its_back, Err(CustodyError::Ledger(_))));
}

#[tokio::test]
async fn a_held_transfer_goes_back_only_to_where_it_was() {
    let (_dir, custody) = empty_ward();
    receive(&custody, 1, 1);
    let study = only_study(&custody).await;
    close_study(&custody, &study).await;
    let queued = OutboundState::Queued { closed_at: at(5) };
    let held = OutboundState::Held {
        back_to: Box::new(queued.clone()),
        reason: HoldReason::ConflictingInstances,
        since: at(6),
    };
    move_on(&custody, &study, queued.clone(), held.clone()).await.unwrap();
    let elsewhere = move_on(&custody, &study, held.clone(), OutboundState::Accepted { at: at(7) }).await;
    assert!(matches!(elsewhere, Err(CustodyError::MoveNotAllowed { .. })));
    move_on(&custody, &study, held, queued).await.unwrap();
}

#[tokio::test]
async fn a_move_carries_letter_addressee_task_and_schedule() {
    let (_dir, custody) = empty_ward();
    receive(&custody, 1, 1);
    let study = only_study(&custody).await;
    close_study(&custody, &study).await;
    let addressee = crate::AddresseeSnapshot {
        id: "loc-1".parse().unwrap(),
        ura: "90000381".parse().unwrap(),
        name: "Ziekenhuis West".to_owned(),
        department: None,
        key_id: "k1".to_owned(),
        recipient_json: "{}".to_owned(),
    };
    let changes = Changes {
        due_at: Some(at(10)),
        urgent: Some(true),
        letter: Some(b"sealed".to_vec()),
        addressee: Some(addressee.clone()),
        task: Some(("task-1".to_owned(), "1".to_owned())),
        ..Changes::default()
    };
    let (from, to) = (
        OutboundState::Queued { closed_at: at(5) },
        OutboundState::Addressed { at: at(6), leaves_at: at(6), undo_to: None },
    );
    custody.advance(study.transfer, from, to.clone(), changes, at(6)).await.unwrap();
    let row = custody.transfer(study.transfer).await.unwrap().unwrap();
    assert_eq!(row.state, State::Outbound(to));
    assert_eq!(row.addressee, Some(addressee));
    assert_eq!(row.task, Some(("task-1".to_owned(), "1".to_owned())));
    assert!(row.urgent);
    assert_eq!(custody.letter(study.transfer).await.unwrap().unwrap(), b"sealed");
    assert_eq!(custody.next_due().await.unwrap(), Some(at(10)));
    assert!(custody.due(at(9), 10).await.unwrap().is_empty());
    assert_eq!(custody.due(at(10), 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn undoing_forgets_whom_and_what_for_and_the_study_waits_again() {
    let (_dir, custody) = empty_ward();
    receive(&custody, 1, 1);
    let study = only_study(&custody).await;
    close_study(&custody, &study).await;
    let addressee = crate::AddresseeSnapshot {
        id: "loc-1".parse().unwrap(),
        ura: "90000381".parse().unwrap(),
        name: "Ziekenhuis West".to_owned(),
        department: None,
        key_id: "k1".to_owned(),
        recipient_json: String::new(),
    };
    let queued = OutboundState::Queued { closed_at: at(5) };
    let undo_to = Some(Box::new(queued.clone()));
    let addressed = OutboundState::Addressed { at: at(6), leaves_at: at(16), undo_to };
    let changes = Changes {
        due_at: Some(at(16)),
        urgent: Some(true),
        addressee: Some(addressee),
        confidential: Some(crate::TransferConfidential { requested_by: "jan".into(), ..Default::default() }),
        ..Changes::default()
    };
    custody.advance(study.transfer, queued.clone(), addressed.clone(), changes, at(6)).await.unwrap();
    assert_eq!(custody.studies(None, 10).await.unwrap().len(), 0);
    let undo = Changes { unaddress: true, ..Changes::default() };
    custody.advance(study.transfer, addressed, queued.clone(), undo, at(7)).await.unwrap();
    let row = custody.transfer(study.transfer).await.unwrap().unwrap();
    assert_eq!(row.state, State::Outbound(queued));
    assert_eq!((row.addressee, row.confidential, row.urgent, row.due_at), (None, None, false, None));
    assert_eq!(custody.studies(None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_was_sealed_for_an_undone_choice_does_not_go_out_for_the_next() {
    let (_dir, custody) = empty_ward();
    receive(&custody, 1, 1);
    let study = only_study(&custody).await;
    close_study(&custody, &study).await;
    let queued = OutboundState::Queued { closed_at: at(5) };
    let addressed = |seconds| OutboundState::Addressed {
        at: at(seconds),
        leaves_at: at(seconds),
        undo_to: Some(Box::new(queued.clone())),
    };
    let advance = |from: OutboundState, to: OutboundState, letter: Option<&[u8]>| {
        let changes = Changes { letter: letter.map(<[u8]>::to_vec), ..Changes::default() };
        custody.advance(study.transfer, from, to, changes, at(20))
    };
    advance(queued.clone(), addressed(6), None).await.unwrap();
    advance(addressed(6), queued.clone(), None).await.unwrap();
    advance(queued.clone(), addressed(8), None).await.unwrap();
    let sending = OutboundState::Sending { parts_done: 0, parts_total: 1 };
    let late = advance(addressed(6), sending.clone(), Some(b"for the first")).await;
    assert!(matches!(late, Err(CustodyError::Stale)), "{late:?}");
    advance(addressed(8), sending, Some(b"for the second")).await.unwrap();
    assert_eq!(custody.letter(study.transfer).await.unwrap().unwrap(), b"for the second");
}

#[tokio::test]
async fn waiting_counts_attempts_and_remembers_since_when() {
    let (_dir, custody) = empty_ward();
    receive(&custody, 1, 1);
    let study = only_study(&custody).await;
    let portal = WaitReason::PortalUnreachable;
    let kind = Kind::Outbound(OutboundKind::Collecting);
    custody.set_waiting(study.transfer, kind, portal, Some("no route"), at(20), at(10)).await.unwrap();
    custody.set_waiting(study.transfer, kind, portal, None, at(40), at(30)).await.unwrap();
    let row = custody.transfer(study.transfer).await.unwrap().unwrap();
    assert_eq!((row.attempts, row.waiting, row.waiting_since), (2, Some(portal), Some(at(10))));
    custody.set_waiting(study.transfer, kind, WaitReason::PortalBusy, None, at(40), at(30)).await.unwrap();
    let row = custody.transfer(study.transfer).await.unwrap().unwrap();
    assert_eq!((row.attempts, row.waiting_since, row.due_at), (3, Some(at(30)), Some(at(40))));
    close_study(&custody, &study).await;
    let row = custody.transfer(study.transfer).await.unwrap().unwrap();
    assert_eq!((row.attempts, row.waiting, row.waiting_since, row.due_at), (0, None, None, None));
    // Whoever tried in the old state is told, and changes nothing.
    let late = custody.set_waiting(study.transfer, kind, portal, None, at(60), at(50)).await;
    assert!(matches!(late, Err(CustodyError::Stale)), "{late:?}");
    let late = custody.set_due(study.transfer, kind, Some(at(60))).await;
    assert!(matches!(late, Err(CustodyError::Stale)), "{late:?}");
    let row = custody.transfer(study.transfer).await.unwrap().unwrap();
    assert_eq!((row.attempts, row.waiting, row.due_at), (0, None, None));
}

#[tokio::test]
async fn older_progress_takes_nothing_back() {
    let (_dir, custody) = empty_ward();
    receive(&custody, 1, 1);
    let study = only_study(&custody).await;
    close_study(&custody, &study).await;
    let advance = |from: OutboundState, to: OutboundState| {
        custody.advance(study.transfer, State::Outbound(from), State::Outbound(to), Changes::default(), at(9))
    };
    let sending = |parts_done| OutboundState::Sending { parts_done, parts_total: 9 };
    let Some(State::Outbound(queued)) = custody.transfer(study.transfer).await.unwrap().map(|row| row.state)
    else {
        panic!("it leaves");
    };
    let addressed = OutboundState::Addressed { at: at(6), leaves_at: at(6), undo_to: None };
    advance(queued, addressed.clone()).await.unwrap();
    advance(addressed, sending(0)).await.unwrap();
    advance(sending(0), sending(4)).await.unwrap();
    let late = advance(sending(0), sending(2)).await;
    assert!(matches!(late, Err(CustodyError::Stale)), "{late:?}");
    let hold = |back_to: OutboundState| OutboundState::Held {
        back_to: Box::new(back_to),
        reason: HoldReason::LetterUnreadable,
        since: at(9),
    };
    let late = advance(sending(0), hold(sending(0))).await;
    assert!(matches!(late, Err(CustodyError::Stale)), "{late:?}");
    advance(sending(4), hold(sending(4))).await.unwrap();
}

#[tokio::test]
async fn a_second_addressee_is_a_further_transfer_on_the_same_collection() {
    let (_dir, custody) = empty_ward();
    receive(&custody, 1, 1);
    let study = only_study(&custody).await;
    let second = TransferId::from_random([9; 16]);
    let offer = |seconds| offer_again(&custody, &study, second, seconds);
    let early = offer(1).await;
    assert!(matches!(early, Err(CustodyError::StillCollecting)));
    close_study(&custody, &study).await;
    offer(7).await.unwrap();
    assert_eq!(custody.transfers_of(study.collection).await.unwrap().len(), 1, "the first still waits");
    let addressed = OutboundState::Addressed { at: at(8), leaves_at: at(8), undo_to: None };
    let queued = OutboundState::Queued { closed_at: at(5) };
    custody.advance(study.transfer, queued, addressed, Changes::default(), at(8)).await.unwrap();
    offer(9).await.unwrap();
    offer(10).await.unwrap();
    assert_eq!(custody.transfers_of(study.collection).await.unwrap().len(), 2);
    assert_eq!(custody.audit(None, 10).await.unwrap().len(), 1, "what changes nothing is no record");
    let row = custody.transfer(second).await.unwrap().unwrap();
    assert_eq!(row.state, State::Outbound(OutboundState::Queued { closed_at: at(5) }));
}

#[tokio::test]
async fn an_announcement_is_new_once() {
    let (_dir, custody) = empty_ward();
    let new = NewInbound {
        id: TransferId::from_random([1; 16]),
        task_id: "t".to_owned(),
        task_version: "1".to_owned(),
        letter_ref: "Binary/1".to_owned(),
        sender_hint: Some("90000381".to_owned()),
        urgent: false,
        now: at(0),
    };
    assert!(custody.announce(new.clone()).await.unwrap());
    assert!(!custody.announce(new.clone()).await.unwrap());
    let row = custody.transfer(new.id).await.unwrap().unwrap();
    assert_eq!(row.state, State::Inbound(InboundState::Announced));
    assert_eq!(row.letter_ref.as_deref(), Some("Binary/1"));
    assert_eq!(custody.due(at(0), 10).await.unwrap().len(), 1);
}
