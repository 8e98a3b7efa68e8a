//! Parts that need not be sent again, because the portal holds them from another transfer of the same sender.

use std::time::Duration;

use beeldbox_protocol::admin::{DeclineCode, ReceiptStage};
use beeldbox_protocol::ident::{Digest, TransferId};
use beeldbox_protocol::portal::task::{commit, recalled, rejected};
use beeldbox_protocol::portal::{PartList, missing_parts_path, part_path};
use reqwest::{Method, StatusCode};

use crate::hospital::{
    Hospital, NOORD, OTHER, ZUID, a_portal, a_portal_whose_clock_can_be_moved, a_portal_with, code_of,
    entries,
};

/// Parts of the transfers here.
const PARTS: [&[u8]; 3] = [b"first", b"second", b"third"];

async fn a_draft(of: &Hospital, to: &str) -> TransferId {
    let draft = of.draft(to);
    assert_eq!(of.create(&draft).await.status(), StatusCode::CREATED);
    draft.id.parse().unwrap()
}

/// Which of [`PARTS`] are missing.
async fn missing(of: &Hospital, transfer: &TransferId) -> Vec<Digest> {
    let parts = PARTS.iter().map(|part| Digest::of(part)).collect();
    let request = of.request(Method::POST, &missing_parts_path(transfer)).json(&PartList { parts });
    request.send().await.unwrap().json::<PartList>().await.unwrap().parts
}

/// Sends what is missing, and commits. Says how many had to be sent.
async fn send_missing(of: &Hospital, transfer: &TransferId) -> usize {
    let missing = missing(of, transfer).await;
    for part in PARTS.iter().filter(|part| missing.contains(&Digest::of(part))) {
        assert_eq!(of.put_part(transfer, part).await.status(), StatusCode::CREATED);
    }
    assert_eq!(of.put_letter(transfer, b"another letter").await.status(), StatusCode::CREATED);
    let task = commit(of.task(transfer).await, &entries(&PARTS));
    assert_eq!(of.update(&task).await.status(), StatusCode::OK);
    missing.len()
}

async fn gets_all(at: &Hospital, transfer: &TransferId) {
    for part in PARTS {
        let given = at.get(&part_path(transfer, &Digest::of(part))).await;
        assert_eq!(given.status(), StatusCode::OK);
        assert_eq!(given.bytes().await.unwrap(), part);
    }
}

fn all() -> Vec<Digest> {
    PARTS.iter().map(|part| Digest::of(part)).collect()
}

#[tokio::test]
async fn a_declined_transfer_goes_to_somebody_else_without_its_parts_being_sent_again() {
    let (running, moved) = a_portal_whose_clock_can_be_moved().await;
    let portal = &running.portal;
    let [noord, zuid, other] = [NOORD, ZUID, OTHER].map(|ura| Hospital::of(portal, ura));
    let first = noord.send(ZUID, &PARTS).await;
    let refused = zuid.update(&rejected(zuid.task(&first).await, DeclineCode::NotOurs)).await;
    assert_eq!(refused.status(), StatusCode::OK);
    let second = a_draft(&noord, OTHER).await;
    assert_eq!(send_missing(&noord, &second).await, 0);
    assert_eq!(portal.parts_received(), 3, "only those of the first were sent");
    assert_eq!(missing(&noord, &second).await, [], "asking again changes nothing");
    gets_all(&other, &second).await;

    // The first goes after the time of grace, which begins anew for the second when it was delivered.
    for stage in [ReceiptStage::InCustody, ReceiptStage::InPacs] {
        assert_eq!(other.give_receipt(&second, stage).await.status(), StatusCode::OK);
        moved.fetch_add(4 * 24, std::sync::atomic::Ordering::SeqCst);
    }
    portal.sweep().await.unwrap();
    assert_eq!(zuid.get(&part_path(&first, &Digest::of(PARTS[0]))).await.status(), StatusCode::GONE);
    gets_all(&other, &second).await;
    moved.fetch_add(8 * 24, std::sync::atomic::Ordering::SeqCst);
    portal.sweep().await.unwrap();
    assert_eq!(portal.stored_objects().await.unwrap(), Vec::<String>::new(), "the last took them with it");
}

#[tokio::test]
async fn another_organisation_learns_nothing_and_gets_nothing() {
    let running = a_portal().await;
    let [noord, zuid, other] = [NOORD, ZUID, OTHER].map(|ura| Hospital::of(&running.portal, ura));
    let first = noord.send(ZUID, &PARTS).await;
    // Neither somebody else nor the addressee, who knows the digests, is spared sending them.
    for stranger in [&other, &zuid] {
        let draft = a_draft(stranger, NOORD).await;
        let unknown = Digest::of(b"nobody has this");
        let parts = [all(), vec![unknown]].concat();
        let request = stranger.request(Method::POST, &missing_parts_path(&draft));
        let told: PartList =
            request.json(&PartList { parts: parts.clone() }).send().await.unwrap().json().await.unwrap();
        assert_eq!(told.parts, parts);
        let given = stranger.get(&part_path(&draft, &Digest::of(PARTS[0]))).await;
        assert_eq!(code_of(given).await, "not-found");
        assert_eq!(stranger.put_part(&draft, PARTS[0]).await.status(), StatusCode::CREATED);
    }
    assert_eq!(missing(&zuid, &first).await, [], "the addressee of a transfer may ask about it");
}

#[tokio::test]
async fn what_was_erased_is_sent_again() {
    let (running, moved) = a_portal_whose_clock_can_be_moved().await;
    let [noord, other] = [NOORD, OTHER].map(|ura| Hospital::of(&running.portal, ura));
    let taken_back = noord.send(ZUID, &PARTS).await;
    noord.update(&recalled(noord.task(&taken_back).await)).await;
    let second = a_draft(&noord, OTHER).await;
    assert_eq!(send_missing(&noord, &second).await, 3);
    gets_all(&other, &second).await;

    moved.store(25, std::sync::atomic::Ordering::SeqCst);
    running.portal.sweep().await.unwrap();
    assert_eq!(noord.task(&second).await.status, "cancelled", "it expired");
    moved.store(0, std::sync::atomic::Ordering::SeqCst);
    let third = a_draft(&noord, OTHER).await;
    assert_eq!(send_missing(&noord, &third).await, 3);
    gets_all(&other, &third).await;
}

#[tokio::test]
async fn nothing_is_taken_over_by_what_is_no_draft_any_more_or_above_the_quota() {
    let quota = 2 * PARTS.concat().len() as u64 - 1;
    let running = a_portal_with(|mut options| {
        options.limits.bytes_per_sender = Some(quota);
        options
    })
    .await;
    let noord = Hospital::of(&running.portal, NOORD);
    let over = noord.send(ZUID, &[]).await;
    noord.send(ZUID, &PARTS).await;
    assert_eq!(missing(&noord, &over).await, all(), "it is committed");
    let second = a_draft(&noord, OTHER).await;
    let left = missing(&noord, &second).await;
    assert_eq!(left, [Digest::of(PARTS[2])], "as many as there is room for");
    assert_eq!(code_of(noord.put_part(&second, PARTS[2]).await).await, "quota");
}

#[tokio::test]
async fn erasing_the_first_while_the_second_takes_over_leaves_the_second_whole() {
    let running = a_portal().await;
    let [noord, other] = [NOORD, OTHER].map(|ura| Hospital::of(&running.portal, ura));
    race(&noord, &noord, &other).await;
    let left = running.portal.stored_objects().await.unwrap();
    assert_eq!(left, Vec::<String>::new(), "what nobody names is gone");
}

/// Goal: whatever an erasing and a taking over do to each other, a part is there or is told missing. Method: the first
/// transfer is recalled while the second asks, many times, now the one a little earlier and now the other; the second
/// sends what it is told, its addressee reads all of it, and in the end all is recalled. It must have gone either way.
pub async fn race(erases: &Hospital, takes_over: &Hospital, addressee: &Hospital) {
    let mut sent = Vec::new();
    for round in 0..40 {
        let first = erases.send(ZUID, &PARTS).await;
        let second = a_draft(takes_over, OTHER).await;
        let recall = recalled(erases.task(&first).await);
        let erasing = async {
            tokio::time::sleep(Duration::from_millis(if round % 2 == 0 { round % 8 } else { 0 })).await;
            assert_eq!(erases.update(&recall).await.status(), StatusCode::OK);
        };
        let taking_over = async {
            tokio::time::sleep(Duration::from_millis(if round % 2 == 0 { 0 } else { 4 * round })).await;
            send_missing(takes_over, &second).await
        };
        let (count, ()) = tokio::join!(taking_over, erasing);
        sent.push(count);
        gets_all(addressee, &second).await;
        let recall = recalled(takes_over.task(&second).await);
        assert_eq!(takes_over.update(&recall).await.status(), StatusCode::OK);
        let gone = addressee.get(&part_path(&second, &Digest::of(PARTS[0]))).await;
        assert_eq!(gone.status(), StatusCode::GONE);
    }
    eprintln!("parts sent again: {sent:?}");
    assert!(sent.contains(&0) && sent.iter().any(|count| *count > 0), "always the same way: {sent:?}");
}
