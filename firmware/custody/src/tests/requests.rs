//! Requests for images: one commit with what is told, no move that is not in the drawing, nothing readable.

use beeldbox_protocol::clinical::{Confidential, Patient};
use beeldbox_protocol::ident::TransferId;
use beeldbox_protocol::imaging_request::{RequestRefusal, WantedImages};

use super::ward::*;
use crate::{
    AuditRecord, CustodyError, Direction, NewRequest, OutboxMessage, RequestChange, RequestPartner,
    RequestState, RequestWords, UnbelievedRequest,
};

fn request_id() -> TransferId {
    TransferId::from_random([7; 16])
}

fn open() -> NewRequest {
    NewRequest {
        id: request_id(),
        direction: Direction::Inbound,
        state: RequestState::Open,
        partner: RequestPartner {
            ura: "90000382".parse().unwrap(),
            name: "Ziekenhuis Zuid".to_owned(),
            department: None,
            addressee: None,
        },
        urgent: true,
        words: Some(RequestWords {
            patient: Patient { name: Some(Confidential::new(PATIENT_WORDS[0])), ..Patient::default() },
            wanted: WantedImages {
                modalities: vec!["CT".to_owned()],
                body_region: None,
                from: None,
                until: None,
                answer_to: "zuid-radiologie".parse().unwrap(),
            },
            reason: Confidential::new(PATIENT_WORDS[1]),
            reply_contact: None,
            by: None,
        }),
        letter: None,
        valid_until: at(1000),
    }
}

fn record(action: &str) -> AuditRecord {
    AuditRecord {
        at: at(0),
        actor: "piet".to_owned(),
        action: action.to_owned(),
        transfer: Some(request_id()),
        detail: Confidential::default(),
    }
}

fn message(kind: &str) -> OutboxMessage {
    OutboxMessage {
        kind: kind.to_owned(),
        transfer: None,
        payload: request_id().to_string().into(),
        due_at: at(0),
    }
}

fn refuse(from: RequestState) -> RequestChange {
    let refusal = Some(RequestRefusal::NoConsent);
    RequestChange::Move { id: request_id(), from, to: RequestState::Refused, refusal }
}

#[tokio::test]
async fn a_request_is_told_with_what_it_becomes_or_not_at_all() {
    let (_dir, custody) = empty_ward();
    let new = RequestChange::New(Box::new(open()));
    custody
        .change_requests(vec![new.clone()], vec![message("seen")], vec![record("a")], at(1))
        .await
        .unwrap();
    let again = custody.change_requests(vec![new], vec![message("seen")], vec![record("a")], at(2)).await;
    assert!(matches!(again, Err(CustodyError::Stale)));
    assert_eq!(custody.due_outbox(at(9), 9).await.unwrap().len(), 1);
    assert_eq!(custody.open_requests().await.unwrap(), (1, 0));

    let wrong = custody
        .change_requests(vec![refuse(RequestState::Asked)], vec![message("no")], vec![record("b")], at(3))
        .await;
    assert!(matches!(wrong, Err(CustodyError::Stale)));
    assert_eq!(custody.audit(None, 9).await.unwrap().len(), 1);
    custody.change_requests(vec![refuse(RequestState::Open)], vec![], vec![], at(4)).await.unwrap();
    let row = custody.request(request_id()).await.unwrap().unwrap();
    assert_eq!((row.request.state, row.refusal), (RequestState::Refused, Some(RequestRefusal::NoConsent)));
    assert_eq!((row.created_at, row.changed_at), (at(1), at(4)));
    assert_eq!(row.request.words, open().words);
    assert_eq!(custody.open_requests().await.unwrap(), (0, 0));
}

#[tokio::test]
async fn answers_are_kept_once_each_and_words_are_forgotten_after_the_end() {
    let (_dir, custody) = empty_ward();
    let first = TransferId::from_random([1; 16]);
    let second = TransferId::from_random([2; 16]);
    let answer = |transfer| RequestChange::Answer { id: request_id(), transfer };
    let changes = vec![RequestChange::New(Box::new(open())), answer(first), answer(first)];
    custody.change_requests(changes, vec![], vec![], at(1)).await.unwrap();
    custody.forget_requests(at(100)).await.unwrap();
    assert!(custody.request(request_id()).await.unwrap().unwrap().request.words.is_some(), "it is under way");
    let to = RequestState::Answered;
    let moved = RequestChange::Move { id: request_id(), from: RequestState::Open, to, refusal: None };
    custody.change_requests(vec![moved, answer(second)], vec![], vec![], at(5)).await.unwrap();
    custody.forget_requests(at(5)).await.unwrap();
    assert!(custody.request(request_id()).await.unwrap().unwrap().request.words.is_some(), "it just ended");
    custody.forget_requests(at(6)).await.unwrap();
    let row = custody.requests(None, 10).await.unwrap().remove(0);
    assert_eq!((row.request.words, row.answers), (None, vec![first, second]));
}

#[tokio::test]
async fn what_nobody_can_answer_any_more_is_forgotten_in_whatever_state_it_is() {
    let (_dir, custody) = empty_ward();
    custody.change_requests(vec![RequestChange::New(Box::new(open()))], vec![], vec![], at(1)).await.unwrap();
    for (before, is_known) in [(1000, true), (1001, false)] {
        custody.forget_requests(at(before)).await.unwrap();
        let row = custody.request(request_id()).await.unwrap().unwrap();
        assert_eq!((row.request.state, row.request.words.is_some()), (RequestState::Open, is_known));
    }
}

#[tokio::test]
async fn what_is_not_believed_is_told_once_and_goes_when_it_is_put_aside_or_believed() {
    let (_dir, custody) = empty_ward();
    let unbelieved = UnbelievedRequest {
        id: request_id(),
        claimed_sender: "90000382".to_owned(),
        why: "letter does not authenticate".to_owned(),
        at: at(1),
    };
    for is_new in [true, false] {
        let noted = custody.note_unbelieved(unbelieved.clone(), record("not-believed")).await.unwrap();
        assert_eq!(noted, is_new);
    }
    assert_eq!(custody.audit(None, 9).await.unwrap().len(), 1);
    assert_eq!(custody.unbelieved_requests(9).await.unwrap(), vec![unbelieved.clone()]);
    for is_there in [true, false] {
        let messages = vec![message("no")];
        assert_eq!(custody.put_aside_unbelieved(request_id(), messages, vec![]).await.unwrap(), is_there);
    }
    assert_eq!(custody.due_outbox(at(9), 9).await.unwrap().len(), 1);
    custody.note_unbelieved(unbelieved.clone(), record("not-believed")).await.unwrap();
    let new = RequestChange::New(Box::new(open()));
    custody.change_requests(vec![new], vec![], vec![], at(1)).await.unwrap();
    assert_eq!(custody.open_requests().await.unwrap(), (1, 0));
    assert!(!custody.note_unbelieved(unbelieved, record("not-believed")).await.unwrap());
}

#[test]
fn nothing_follows_an_answer_and_an_end_is_followed_by_nothing_but_images() {
    for state in RequestState::ALL {
        assert_eq!(RequestState::from_word(state.as_str()), Some(state));
        assert!(!RequestState::Answered.may_become(state));
        for end in [RequestState::Refused, RequestState::Withdrawn, RequestState::Expired] {
            assert_eq!(end.may_become(state), state == RequestState::Answered);
        }
        assert!(!state.may_become(RequestState::Open) && !state.may_become(RequestState::Asking));
        assert!(!state.may_become(state));
    }
}
