//! Bad manners happen as they are described, when they are asked for, and only then.

use std::time::{Duration, Instant};

use beeldbox_portal::faults::TEN_YEARS_SECS;
use beeldbox_protocol::admin::ReceiptStage;
use beeldbox_protocol::ident::Digest;
use beeldbox_protocol::portal::fhir::{Bundle, RECIPIENT_KEY_EXTENSION, Task, URA_SYSTEM};
use beeldbox_protocol::portal::task::TransferNotice;
use beeldbox_protocol::portal::{content_digest, letter_path, part_path, task_path};
use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::hospital::{
    Hospital, NOORD, OTHER, Running, ZUID, a_portal, a_transfer_id, client, code_of, now, tls,
};

async fn two_hospitals() -> (Running, Hospital, Hospital) {
    let running = a_portal().await;
    let (noord, zuid) = (Hospital::of(&running.portal, NOORD), Hospital::of(&running.portal, ZUID));
    (running, noord, zuid)
}

async fn page(hospital: &Hospital, path: &str) -> Bundle<Value> {
    hospital.get(path).await.json().await.unwrap()
}

fn ids(page: &Bundle<Value>) -> Vec<String> {
    let resources = page.entry.iter().filter_map(|entry| entry.resource.as_ref());
    resources.map(|resource| resource["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn bad_manners_happen_when_they_are_asked_for() {
    let running = a_portal().await;
    let (noord, zuid) = (Hospital::of(&running.portal, NOORD), Hospital::of(&running.portal, ZUID));
    let faults = running.portal.faults();
    let (first, second) = (noord.send(ZUID, &[b"part"]).await, noord.send(ZUID, &[b"part"]).await);
    let digest = Digest::of(b"part");

    faults.answer_busy(1, 7);
    let busy = zuid.get("/fhir/Task").await;
    assert_eq!(busy.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(busy.headers()["retry-after"], "7");
    assert_eq!(zuid.get("/fhir/Task").await.status(), StatusCode::OK);

    faults.wrong_bytes_in_part(digest);
    let wrong = zuid.get(&part_path(&first, &digest)).await.bytes().await.unwrap();
    assert_eq!(wrong, "qart");

    zuid.give_receipt(&first, ReceiptStage::InCustody).await;
    faults.withhold_receipts();
    let notice = |task| TransferNotice::read(&task).unwrap();
    assert!(notice(noord.task(&first).await).receipts.is_empty());
    faults.behave();
    assert_eq!(notice(noord.task(&first).await).receipts.len(), 1);

    running.portal.forget_part(second, digest).await.unwrap();
    assert_eq!(zuid.get(&part_path(&second, &digest)).await.status(), StatusCode::NOT_FOUND);

    faults.stall();
    let stalled = tokio::time::timeout(Duration::from_millis(200), zuid.get("/fhir/Task")).await;
    assert!(stalled.is_err());
    faults.behave();
    assert_eq!(zuid.get("/fhir/Task").await.status(), StatusCode::OK);

    faults.refuse_all_certificates();
    assert_eq!(code_of(zuid.get("/fhir/Task").await).await, "forbidden");
    let issued = running.portal.issue(&ZUID.parse().unwrap(), "Zuid").unwrap();
    let newcomer = client(tls(running.portal.ca_pem(), Some(&issued)));
    assert!(newcomer.get(format!("{}/fhir/Task", running.portal.url())).send().await.is_err());
}

#[tokio::test]
async fn a_swapped_letter_is_given_out_when_it_is_asked_for() {
    let running = a_portal().await;
    let noord = Hospital::of(&running.portal, NOORD);
    let (first, second) = (noord.draft(ZUID), noord.draft(ZUID));
    for (draft, letter) in [(&first, "one"), (&second, "two")] {
        noord.create(draft).await;
        noord.put_letter(&draft.id.parse().unwrap(), letter.as_bytes()).await;
    }
    running.portal.faults().wrong_letter(first.id.parse().unwrap(), second.id.parse().unwrap());
    let given = noord.get(&format!("/fhir/Binary/{}", first.id)).await;
    assert_eq!(given.bytes().await.unwrap(), "two");
}

#[tokio::test]
async fn a_late_answer_comes_after_its_effect() {
    let (running, noord, _) = two_hospitals().await;
    running.portal.faults().answer_late(Duration::from_secs(1));
    let began = Instant::now();
    assert_eq!(noord.get("/metadata").await.status(), StatusCode::OK);
    assert!(began.elapsed() >= Duration::from_secs(1));

    running.portal.faults().answer_late(Duration::from_secs(60));
    let draft = noord.draft(ZUID);
    let unanswered = tokio::time::timeout(Duration::from_secs(2), noord.create(&draft)).await;
    assert!(unanswered.is_err(), "no answer within two seconds");
    running.portal.faults().behave();
    assert_eq!(noord.task(&draft.id.parse().unwrap()).await.status, "draft");
}

#[tokio::test]
async fn a_write_that_is_answered_with_500_has_happened_all_the_same() {
    let (running, noord, _) = two_hospitals().await;
    let draft = noord.draft(ZUID);
    let transfer = draft.id.parse().unwrap();
    running.portal.faults().fail_after_effect(2);
    // A read is no write.
    assert_eq!(noord.get("/metadata").await.status(), StatusCode::OK);
    let failed = noord.create(&draft).await;
    assert_eq!(failed.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(failed.headers().contains_key("retry-after"));
    assert_eq!(noord.task(&transfer).await.status, "draft");
    assert_eq!(noord.put_part(&transfer, b"part").await.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(code_of(noord.put_part(&transfer, b"part").await).await, "exists");
    assert_eq!(noord.put_part(&transfer, b"next").await.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn lists_tell_everything_twice() {
    let (running, noord, zuid) = two_hospitals().await;
    let transfer = noord.send(ZUID, &[b"part"]).await.to_string();
    running.portal.faults().tell_twice();
    assert_eq!(ids(&page(&zuid, "/fhir/Task").await), [transfer.clone(), transfer.clone()]);
    running.portal.faults().behave();
    assert_eq!(ids(&page(&zuid, "/fhir/Task").await), [transfer]);
}

#[tokio::test]
async fn the_next_page_is_this_one_or_elsewhere() {
    let (running, noord, zuid) = two_hospitals().await;
    noord.send(ZUID, &[]).await;
    let faults = running.portal.faults();
    for path in ["/fhir/Task?_count=5", "/fhir/Organization/_history?_count=7"] {
        faults.next_link_to_itself();
        assert_eq!(page(&zuid, path).await.next(), Some(path));
        faults.next_link_to("https://elsewhere.example/fhir/Task");
        assert_eq!(page(&zuid, path).await.next(), Some("https://elsewhere.example/fhir/Task"));
        faults.behave();
        assert_eq!(page(&zuid, path).await.next(), None);
    }
}

#[tokio::test]
async fn a_busy_portal_may_ask_for_ten_years() {
    let (running, noord, _) = two_hospitals().await;
    running.portal.faults().answer_busy(1, TEN_YEARS_SECS);
    let busy = noord.get("/metadata").await;
    assert_eq!(busy.headers()["retry-after"], "315360000");
    assert_eq!(noord.get("/metadata").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn digests_are_wrong_in_headers_and_denied_in_uploads() {
    let (running, noord, zuid) = two_hospitals().await;
    let transfer = noord.send(ZUID, &[b"part"]).await;
    let (digest, told) = (Digest::of(b"part"), Digest::of(b"other"));
    running.portal.faults().wrong_digest_of_part(digest, told);
    let given = zuid.get(&part_path(&transfer, &digest)).await;
    assert_eq!(given.headers()["content-digest"], content_digest(&told));
    assert_eq!(given.headers()["repr-digest"], content_digest(&told));
    assert_eq!(given.headers()["etag"], format!("\"{told}\""));
    assert_eq!(given.bytes().await.unwrap(), "part");

    running.portal.faults().deny_digests(2);
    let draft = noord.draft(ZUID);
    noord.create(&draft).await;
    let transfer = draft.id.parse().unwrap();
    let before = running.portal.stored_objects().await.unwrap();
    assert_eq!(code_of(noord.put_part(&transfer, b"right").await).await, "digest-mismatch");
    assert_eq!(code_of(noord.put_letter(&transfer, b"right").await).await, "digest-mismatch");
    assert_eq!(running.portal.stored_objects().await.unwrap(), before);
    assert_eq!(noord.put_part(&transfer, b"right").await.status(), StatusCode::CREATED);
    assert_eq!(noord.put_letter(&transfer, b"right").await.status(), StatusCode::CREATED);
}

fn endpoint(ura: &str, key: &str) -> Value {
    json!({
        "resourceType": "Endpoint",
        "id": format!("box-{ura}"),
        "status": "active",
        "connectionType": { "code": "box-e2ee" },
        "managingOrganization": { "identifier": { "system": URA_SYSTEM, "value": ura } },
        "extension": [{ "url": RECIPIENT_KEY_EXTENSION, "valueString": key }],
    })
}

async fn publish(hospital: &Hospital, ura: &str, key: &str) {
    let request = hospital.request(Method::PUT, &format!("/fhir/Endpoint/box-{ura}"));
    assert!(request.json(&endpoint(ura, key)).send().await.unwrap().status().is_success());
}

async fn key_of(hospital: &Hospital, ura: &str) -> Value {
    let found: Value = hospital.get(&format!("/fhir/Endpoint/box-{ura}")).await.json().await.unwrap();
    found["extension"][0]["valueString"].clone()
}

#[tokio::test]
async fn a_stale_directory_is_told_whatever_is_published() {
    let (running, noord, zuid) = two_hospitals().await;
    publish(&zuid, ZUID, "old").await;
    let before = page(&noord, "/fhir/Endpoint/_history").await;
    let mark = before.meta.last_updated.unwrap();
    running.portal.freeze_directory().await.unwrap();
    publish(&zuid, ZUID, "new").await;
    publish(&noord, NOORD, "newcomer").await;
    assert_eq!(key_of(&noord, ZUID).await, "old");
    assert_eq!(ids(&page(&noord, "/fhir/Endpoint").await), [format!("box-{ZUID}")]);
    let news = page(&noord, &format!("/fhir/Endpoint/_history?_since={mark}")).await;
    assert_eq!((news.entry.len(), news.meta.last_updated), (0, Some(mark)));
    running.portal.faults().behave();
    assert_eq!(key_of(&noord, ZUID).await, "new");
    let news = page(&noord, &format!("/fhir/Endpoint/_history?_since={mark}")).await;
    assert_eq!(ids(&news), [format!("box-{ZUID}"), format!("box-{NOORD}")]);
}

#[tokio::test]
async fn a_swapped_recipient_key_is_news_like_any_other() {
    let (running, noord, zuid) = two_hospitals().await;
    publish(&zuid, ZUID, "its own").await;
    let mark = page(&noord, "/fhir/Endpoint/_history").await.meta.last_updated.unwrap();
    running.portal.swap_recipient_key(&ZUID.parse().unwrap(), "the portal's").await.unwrap();
    let news = page(&noord, &format!("/fhir/Endpoint/_history?_since={mark}")).await;
    assert_eq!(ids(&news), [format!("box-{ZUID}")]);
    assert_eq!(key_of(&noord, ZUID).await, "the portal's");
    let nobody = running.portal.swap_recipient_key(&OTHER.parse().unwrap(), "any").await;
    assert!(nobody.is_err(), "there is no entry to swap");
}

#[tokio::test]
async fn a_transfer_is_brought_again_under_another_id() {
    let (running, noord, zuid) = two_hospitals().await;
    let (transfer, again) = (noord.send(ZUID, &[b"part"]).await, a_transfer_id());
    zuid.give_receipt(&transfer, ReceiptStage::InCustody).await;
    running.portal.replay(transfer, again).await.unwrap();
    let told = TransferNotice::read(&zuid.task(&again).await).unwrap();
    assert_eq!((told.status.code(), told.sender.as_str(), told.receipts.len()), ("requested", NOORD, 0));
    assert_eq!(told.parts.len(), 1);
    assert_eq!(zuid.get(&letter_path(&again)).await.bytes().await.unwrap(), "a letter");
    let part = zuid.get(&part_path(&again, &Digest::of(b"part"))).await;
    assert_eq!(part.bytes().await.unwrap(), "part");
    assert_eq!(zuid.give_receipt(&again, ReceiptStage::InCustody).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_transfer_is_turned_to_somebody_else() {
    let (running, noord, zuid) = two_hospitals().await;
    let other = Hospital::of(&running.portal, OTHER);
    let transfer = noord.send(ZUID, &[b"part"]).await;
    running.portal.readdress(transfer, &OTHER.parse().unwrap()).await.unwrap();
    assert_eq!(zuid.get(&task_path(&transfer)).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(ids(&page(&other, "/fhir/Task").await), [transfer.to_string()]);
    let told = TransferNotice::read(&other.task(&transfer).await).unwrap();
    assert_eq!(told.addressee.as_str(), OTHER);
    assert_eq!(other.get(&letter_path(&transfer)).await.bytes().await.unwrap(), "a letter");
}

#[tokio::test]
async fn receipts_are_made_up() {
    let (running, noord, zuid) = two_hospitals().await;
    let transfer = noord.send(ZUID, &[b"part"]).await;
    for (stage, status) in [(ReceiptStage::InCustody, "in-progress"), (ReceiptStage::InPacs, "completed")] {
        running.portal.forge_receipt(transfer, stage, true, "x.y.z").await.unwrap();
        for hospital in [&noord, &zuid] {
            let told = TransferNotice::read(&hospital.task(&transfer).await).unwrap();
            assert_eq!(told.status.code(), status);
            assert_eq!(told.receipts.last(), Some(&(stage, "x.y.z".to_owned())));
        }
    }
}

/// When the answer says that it was made.
fn date_of(response: &reqwest::Response) -> Timestamp {
    let text = response.headers()["date"].to_str().unwrap();
    jiff::fmt::rfc2822::parse(text).unwrap().timestamp()
}

#[tokio::test]
async fn the_clock_is_two_days_off_in_either_direction() {
    let (running, noord, zuid) = two_hospitals().await;
    let two_days = SignedDuration::from_hours(48);
    let minute = SignedDuration::from_secs(60);
    for by in [-two_days, two_days] {
        running.portal.faults().clock_off_by(by);
        let expected = now().checked_add(by).unwrap();
        assert!(date_of(&zuid.get("/metadata").await).duration_since(expected).abs() < minute);
    }
    // A draft for one day has expired by the clock of the portal before it was made.
    let short = noord.create(&noord.draft(ZUID)).await;
    assert_eq!(short.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let long = noord.new_transfer(ZUID, SignedDuration::from_hours(24 * 10)).draft();
    assert_eq!(noord.create(&long).await.status(), StatusCode::CREATED);
    let ahead = noord.task(&long.id.parse().unwrap()).await.meta.last_updated.unwrap();
    assert!(ahead.duration_since(now()) > two_days - minute);

    // Marks never go back, also when the clock does.
    running.portal.faults().behave();
    let response = noord.create(&noord.draft(ZUID)).await;
    assert!(date_of(&response).duration_since(now()).abs() < minute);
    let task: Task = response.json().await.unwrap();
    assert!(task.meta.last_updated.unwrap() > ahead);
}
