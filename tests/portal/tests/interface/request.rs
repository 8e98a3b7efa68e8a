//! Requests for images: a letter and no parts, no receipts, and a life that ends once.

use beeldbox_protocol::admin::ReceiptStage;
use beeldbox_protocol::ident::TransferId;
use beeldbox_protocol::imaging_request::RequestRefusal;
use beeldbox_protocol::portal::fhir::Task;
use beeldbox_protocol::portal::request::{answered, as_request, refused, seen};
use beeldbox_protocol::portal::task::{TaskKind, TaskStatus, TransferNotice, commit, recalled, with_receipt};
use jiff::SignedDuration;
use reqwest::StatusCode;

use crate::hospital::a_portal_whose_clock_can_be_moved;
use crate::hospital::{Hospital, NOORD, OTHER, ZUID, a_portal, code_of, entries};

async fn ask(zuid: &Hospital, valid: SignedDuration) -> TransferId {
    let draft = as_request(zuid.new_transfer(NOORD, valid).draft());
    let request = draft.id.parse().unwrap();
    assert_eq!(zuid.create(&draft).await.status(), StatusCode::CREATED);
    assert_eq!(zuid.put_letter(&request, b"a letter").await.status(), StatusCode::CREATED);
    let task = commit(zuid.task(&request).await, &[]);
    assert_eq!(zuid.update(&task).await.status(), StatusCode::OK);
    request
}

fn day() -> SignedDuration {
    SignedDuration::from_hours(24)
}

async fn notice(hospital: &Hospital, request: &TransferId) -> TransferNotice {
    TransferNotice::read(&hospital.task(request).await).unwrap()
}

async fn refuses(hospital: &Hospital, task: &Task, code: &str) {
    assert_eq!(code_of(hospital.update(task).await).await, code);
}

#[tokio::test]
async fn a_request_is_seen_and_answered_or_refused_with_a_reason_and_then_final() {
    let running = a_portal().await;
    let (noord, zuid) = (Hospital::of(&running.portal, NOORD), Hospital::of(&running.portal, ZUID));
    let request = ask(&zuid, day()).await;
    assert_eq!(notice(&noord, &request).await.kind, TaskKind::RequestImaging);
    assert_eq!(
        Hospital::of(&running.portal, OTHER).get(&format!("/fhir/Task/{request}")).await.status(),
        404
    );
    refuses(&zuid, &seen(zuid.task(&request).await), "may-not-move").await;
    assert_eq!(noord.update(&seen(noord.task(&request).await)).await.status(), StatusCode::OK);
    refuses(&zuid, &answered(zuid.task(&request).await), "may-not-move").await;
    assert_eq!(noord.update(&answered(noord.task(&request).await)).await.status(), StatusCode::OK);
    assert_eq!(notice(&zuid, &request).await.status, TaskStatus::Completed);
    refuses(&zuid, &recalled(zuid.task(&request).await), "may-not-move").await;

    let request = ask(&zuid, day()).await;
    let no = refused(noord.task(&request).await, RequestRefusal::NoConsent);
    assert_eq!(noord.update(&no).await.status(), StatusCode::OK);
    assert_eq!(notice(&zuid, &request).await.request_refused, Some(RequestRefusal::NoConsent));
}

#[tokio::test]
async fn a_request_has_neither_parts_nor_receipts() {
    let running = a_portal().await;
    let (noord, zuid) = (Hospital::of(&running.portal, NOORD), Hospital::of(&running.portal, ZUID));
    let draft = as_request(zuid.draft(NOORD));
    let request: TransferId = draft.id.parse().unwrap();
    assert_eq!(zuid.create(&draft).await.status(), StatusCode::CREATED);
    let with_parts = commit(zuid.task(&request).await, &entries(&[b"a part"]));
    assert_eq!(zuid.update(&with_parts).await.status(), StatusCode::UNPROCESSABLE_ENTITY);

    let request = ask(&zuid, day()).await;
    for (stage, is_complete) in [(ReceiptStage::InCustody, true), (ReceiptStage::Erased, true)] {
        let receipt = with_receipt(noord.task(&request).await, stage, is_complete, "a.b.c");
        assert_eq!(noord.update(&receipt).await.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert_eq!(notice(&zuid, &request).await.status, TaskStatus::Requested);
}

#[tokio::test]
async fn a_request_is_taken_back_also_after_it_was_seen_and_its_letter_is_gone_then() {
    let running = a_portal().await;
    let (noord, zuid) = (Hospital::of(&running.portal, NOORD), Hospital::of(&running.portal, ZUID));
    let request = ask(&zuid, day()).await;
    assert_eq!(noord.update(&seen(noord.task(&request).await)).await.status(), StatusCode::OK);
    refuses(&noord, &recalled(noord.task(&request).await), "may-not-move").await;
    assert_eq!(zuid.update(&recalled(zuid.task(&request).await)).await.status(), StatusCode::OK);
    let letter = noord.get(&format!("/fhir/Binary/{request}")).await;
    assert_eq!(letter.status(), StatusCode::GONE);
    let withdrawn = notice(&noord, &request).await;
    assert_eq!((withdrawn.status, withdrawn.has_expired), (TaskStatus::Cancelled, false));
}

#[tokio::test]
async fn a_request_that_nobody_answers_expires_also_after_it_was_seen_and_a_transfer_does_not() {
    let (running, moved) = a_portal_whose_clock_can_be_moved().await;
    let (noord, zuid) = (Hospital::of(&running.portal, NOORD), Hospital::of(&running.portal, ZUID));
    let (asked, shown) = (ask(&zuid, day()).await, ask(&zuid, day()).await);
    assert_eq!(noord.update(&seen(noord.task(&shown).await)).await.status(), StatusCode::OK);
    let collected = noord.send(ZUID, &[b"part"]).await;
    zuid.give_receipt(&collected, ReceiptStage::InCustody).await;
    moved.store(25, std::sync::atomic::Ordering::SeqCst);
    running.portal.sweep().await.unwrap();
    for request in [asked, shown] {
        let ended = notice(&noord, &request).await;
        assert_eq!((ended.status, ended.has_expired), (TaskStatus::Cancelled, true));
    }
    assert_eq!(notice(&noord, &collected).await.status, TaskStatus::InProgress);
}
