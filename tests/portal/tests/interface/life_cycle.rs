//! Making and moving transfers: who may, in which order, and what is gone afterwards.

use std::sync::atomic::Ordering;

use beeldbox_protocol::admin::{DeclineCode, ReceiptStage};
use beeldbox_protocol::ident::{AddresseeId, Digest, TransferId};
use beeldbox_protocol::portal::fhir::{CodeableConcept, Task};
use beeldbox_protocol::portal::task::{TransferNotice, belonging_at, commit, recalled, rejected};
use beeldbox_protocol::portal::{letter_path, part_path, task_path};
use jiff::SignedDuration;
use reqwest::{Method, StatusCode};

use crate::hospital::{
    Hospital, NOORD, OTHER, ZUID, a_portal, a_portal_whose_clock_can_be_moved, code_of, entries,
};

#[tokio::test]
async fn a_transfer_goes_from_draft_to_completed() {
    let running = a_portal().await;
    let (noord, zuid) = (Hospital::of(&running.portal, NOORD), Hospital::of(&running.portal, ZUID));
    let transfer = noord.send(ZUID, &[b"first", b"second"]).await;

    let notice = TransferNotice::read(&zuid.task(&transfer).await).unwrap();
    assert_eq!(notice.parts, entries(&[b"first", b"second"]));
    assert_eq!(zuid.get(&letter_path(&transfer)).await.bytes().await.unwrap(), "a letter");
    let part = zuid.get(&part_path(&transfer, &Digest::of(b"second"))).await;
    assert_eq!(part.bytes().await.unwrap(), "second");
    assert_eq!(zuid.give_receipt(&transfer, ReceiptStage::InCustody).await.status(), StatusCode::OK);
    assert_eq!(zuid.give_receipt(&transfer, ReceiptStage::InPacs).await.status(), StatusCode::OK);

    let task = noord.task(&transfer).await;
    assert_eq!((task.status.as_str(), task.meta.version_id.as_deref()), ("completed", Some("4")));
    assert_eq!(TransferNotice::read(&task).unwrap().receipts.len(), 2);
}

#[tokio::test]
async fn a_draft_is_invisible_to_the_addressee() {
    let running = a_portal().await;
    let (noord, zuid) = (Hospital::of(&running.portal, NOORD), Hospital::of(&running.portal, ZUID));
    let draft = noord.draft(ZUID);
    let transfer: TransferId = draft.id.parse().unwrap();
    noord.create(&draft).await;
    noord.put_letter(&transfer, b"a letter").await;
    let all_hidden = async || {
        for path in [task_path(&transfer), letter_path(&transfer)] {
            assert_eq!(zuid.get(&path).await.status(), StatusCode::NOT_FOUND, "{path}");
        }
        let list: serde_json::Value = zuid.get("/fhir/Task").await.json().await.unwrap();
        assert_eq!(list["entry"].as_array().unwrap().len(), 0);
    };
    all_hidden().await;
    let mut task = noord.task(&transfer).await;
    task.status = "cancelled".to_owned();
    assert_eq!(noord.update(&task).await.status(), StatusCode::OK);
    all_hidden().await;
}

#[tokio::test]
async fn a_third_party_sees_nothing_and_moves_nothing() {
    let running = a_portal().await;
    let (noord, other) = (Hospital::of(&running.portal, NOORD), Hospital::of(&running.portal, OTHER));
    let transfer = noord.send(ZUID, &[b"part"]).await;
    let part = part_path(&transfer, &Digest::of(b"part"));
    for path in [task_path(&transfer), letter_path(&transfer), part] {
        assert_eq!(other.get(&path).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let task = recalled(noord.task(&transfer).await);
    assert_eq!(other.update(&task).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(other.put_part(&transfer, b"more").await.status(), StatusCode::NOT_FOUND);
    let unconditional = other.request(Method::PUT, &task_path(&transfer)).json(&task).send().await.unwrap();
    assert_eq!(unconditional.status(), StatusCode::NOT_FOUND);
    let list: serde_json::Value = other.get("/fhir/Task").await.json().await.unwrap();
    assert_eq!(list["entry"].as_array().unwrap().len(), 0);
    let asked = other.get(&format!("/fhir/Task?owner={ZUID}")).await;
    let list: serde_json::Value = asked.json().await.unwrap();
    assert_eq!(list["entry"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn a_commit_is_refused_with_the_list_of_what_is_missing() {
    let running = a_portal().await;
    let noord = Hospital::of(&running.portal, NOORD);
    let draft = noord.draft(ZUID);
    let transfer: TransferId = draft.id.parse().unwrap();
    noord.create(&draft).await;
    noord.put_part(&transfer, b"there").await;
    let task = commit(noord.task(&transfer).await, &entries(&[b"there", b"missing"]));

    let refused = noord.update(&task).await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let body: serde_json::Value = refused.json().await.unwrap();
    assert_eq!(body["resourceType"], "OperationOutcome");
    assert_eq!(body["missing"], serde_json::json!([Digest::of(b"missing")]));

    noord.put_part(&transfer, b"missing").await;
    assert_eq!(code_of(noord.update(&task).await).await, "missing-letter");

    noord.put_letter(&transfer, b"a letter").await;
    let mut wrong = entries(&[b"there", b"missing"]);
    wrong[0].len += 1;
    let lies = commit(noord.task(&transfer).await, &wrong);
    assert_eq!(code_of(noord.update(&lies).await).await, "part-length");
    assert_eq!(noord.update(&task).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_draft_is_made_once_by_its_own_requester() {
    let running = a_portal().await;
    let (noord, other) = (Hospital::of(&running.portal, NOORD), Hospital::of(&running.portal, OTHER));
    let draft = noord.draft(ZUID);
    assert_eq!(other.create(&draft).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(noord.create(&draft).await.status(), StatusCode::CREATED);
    assert_eq!(noord.create(&draft).await.status(), StatusCode::PRECONDITION_FAILED);
}

#[tokio::test]
async fn an_update_names_the_version_it_builds_on() {
    let running = a_portal().await;
    let noord = Hospital::of(&running.portal, NOORD);
    let draft = noord.draft(ZUID);
    let transfer: TransferId = draft.id.parse().unwrap();
    noord.create(&draft).await;
    let path = task_path(&transfer);
    let unconditional = noord.request(Method::PUT, &path).json(&draft).send().await.unwrap();
    assert_eq!(unconditional.status(), StatusCode::PRECONDITION_REQUIRED);
    let mut task = noord.task(&transfer).await;
    task.priority = Some("urgent".to_owned());
    assert_eq!(noord.update(&task).await.status(), StatusCode::OK);
    assert_eq!(noord.update(&task).await.status(), StatusCode::PRECONDITION_FAILED);
    assert_eq!(noord.task(&transfer).await.meta.version_id.as_deref(), Some("2"));
}

#[tokio::test]
async fn each_side_moves_only_what_is_its_own() {
    let running = a_portal().await;
    let (noord, zuid) = (Hospital::of(&running.portal, NOORD), Hospital::of(&running.portal, ZUID));
    let transfer = noord.send(ZUID, &[]).await;
    let not_zuids = zuid.update(&recalled(zuid.task(&transfer).await)).await;
    assert_eq!(not_zuids.status(), StatusCode::CONFLICT);
    let not_noords = noord.give_receipt(&transfer, ReceiptStage::InCustody).await;
    assert_eq!(code_of(not_noords).await, "may-not-move");
    let too_early = zuid.give_receipt(&transfer, ReceiptStage::InPacs).await;
    assert_eq!(too_early.status(), StatusCode::CONFLICT);
    let task = rejected(zuid.task(&transfer).await, DeclineCode::NotOurs);
    assert_eq!(zuid.update(&task).await.status(), StatusCode::OK);
    let after_the_end = zuid.give_receipt(&transfer, ReceiptStage::InCustody).await;
    assert_eq!(after_the_end.status(), StatusCode::CONFLICT);
}

#[tokio::test]
async fn what_was_agreed_on_does_not_change() {
    let running = a_portal().await;
    let (noord, zuid) = (Hospital::of(&running.portal, NOORD), Hospital::of(&running.portal, ZUID));
    let transfer = noord.send(ZUID, &[b"part"]).await;
    zuid.give_receipt(&transfer, ReceiptStage::InCustody).await;
    let task = zuid.task(&transfer).await;
    type Change = fn(&mut Task);
    let changes: [(&str, Change); 8] = [
        ("code", |task| task.code.as_mut().unwrap().text = Some("other".to_owned())),
        ("focus", |task| task.focus.as_mut().unwrap().display = Some("other".to_owned())),
        ("requester", |task| task.requester.as_mut().unwrap().display = Some("other".to_owned())),
        ("owner", |task| task.owner.as_mut().unwrap().reference = None),
        ("authoredOn", |task| task.authored_on = None),
        ("restriction", |task| {
            let period = task.restriction.as_mut().unwrap().period.as_mut().unwrap();
            period.end = Some(period.end.unwrap().checked_add(SignedDuration::from_hours(1)).unwrap());
        }),
        ("input", |task| task.input.clear()),
        ("output", |task| task.output[0].value_string = Some("x.y.z".to_owned())),
    ];
    for (field, change) in changes {
        let mut changed = task.clone();
        change(&mut changed);
        let refused = zuid.update(&changed).await;
        assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY, "{field}");
        let body: serde_json::Value = refused.json().await.unwrap();
        assert!(body["issue"][0]["diagnostics"].as_str().unwrap().starts_with(field), "{body}");
    }
    let mut without_receipt = zuid.task(&transfer).await;
    without_receipt.status = "completed".to_owned();
    assert_eq!(zuid.update(&without_receipt).await.status(), StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn fields_that_may_speak_of_a_patient_are_refused_and_not_stored() {
    let running = a_portal().await;
    let noord = Hospital::of(&running.portal, NOORD);
    let draft = noord.draft(ZUID);
    let path = format!("/fhir/Task/{}", draft.id);
    for field in ["for", "description", "note", "contained"] {
        let mut body = serde_json::to_value(&draft).unwrap();
        body[field] = "Janssen".into();
        let refused = noord.request(Method::PUT, &path).header("if-none-match", "*").json(&body);
        assert_eq!(code_of(refused.send().await.unwrap()).await, "patient-data", "{field}");
    }
    let mut body = serde_json::to_value(&draft).unwrap();
    body["unknown"] = "Janssen".into();
    let made =
        noord.request(Method::PUT, &path).header("if-none-match", "*").json(&body).send().await.unwrap();
    assert_eq!(made.status(), StatusCode::CREATED);
    let stored: serde_json::Value = noord.get(&path).await.json().await.unwrap();
    assert!(!stored.to_string().contains("Janssen"));
}

#[tokio::test]
async fn a_refusal_names_a_reason_and_where_it_belongs_and_says_no_more() {
    let running = a_portal().await;
    let (noord, zuid) = (Hospital::of(&running.portal, NOORD), Hospital::of(&running.portal, ZUID));
    let transfer = noord.send(ZUID, &[]).await;
    let addressee: AddresseeId = "zuid-cardiologie".parse().unwrap();
    let refused = |reason, change: fn(&mut CodeableConcept)| {
        let zuid = &zuid;
        let addressee = &addressee;
        async move {
            let mut task = belonging_at(rejected(zuid.task(&transfer).await, reason), addressee);
            change(task.status_reason.as_mut().unwrap());
            zuid.update(&task).await
        }
    };
    type Change = fn(&mut CodeableConcept);
    let text: Change = |reason| reason.text = Some("Janssen".to_owned());
    let display: Change = |reason| reason.coding[1].display = Some("Janssen".to_owned());
    for change in [text, display] {
        assert_eq!(code_of(refused(DeclineCode::NotOurs, change).await).await, "patient-data");
    }
    let odd_code: Change = |reason| reason.coding[0].code = Some("Janssen, wonende te Assen".to_owned());
    let odd_entry: Change = |reason| reason.coding[1].code = Some("Janssen, wonende te Assen".to_owned());
    let odd_system: Change = |reason| reason.coding[1].system = Some("urn:other".to_owned());
    let twice: Change = |reason| reason.coding.push(reason.coding[1].clone());
    let alone: Change = |reason| drop(reason.coding.remove(0));
    for change in [odd_code, odd_entry, odd_system, twice, alone] {
        assert_eq!(code_of(refused(DeclineCode::NotOurs, change).await).await, "nonsense");
    }
    let other_reason = refused(DeclineCode::Incomplete, |_| ()).await;
    assert_eq!(code_of(other_reason).await, "nonsense", "only who was the wrong one names another");
    assert_eq!(refused(DeclineCode::WrongDepartment, |_| ()).await.status(), StatusCode::OK);
    let told = noord.task(&transfer).await;
    assert!(!serde_json::to_string(&told).unwrap().contains("Janssen"));
    let notice = TransferNotice::read(&told).unwrap();
    assert_eq!((notice.declined, notice.belongs_at), (Some(DeclineCode::WrongDepartment), Some(addressee)));
}

#[tokio::test]
async fn a_recall_erases_letter_and_parts_before_it_is_answered() {
    let running = a_portal().await;
    let (noord, zuid) = (Hospital::of(&running.portal, NOORD), Hospital::of(&running.portal, ZUID));
    let kept = noord.send(ZUID, &[b"part"]).await;
    let transfer = noord.send(ZUID, &[b"part"]).await;
    assert_eq!(running.portal.stored_objects().await.unwrap().len(), 4);
    assert_eq!(noord.update(&recalled(noord.task(&transfer).await)).await.status(), StatusCode::OK);
    let left = running.portal.stored_objects().await.unwrap();
    assert!(left.len() == 2 && left.iter().all(|name| name.contains(&kept.to_string())), "{left:?}");
    for path in [letter_path(&transfer), part_path(&transfer, &Digest::of(b"part"))] {
        assert_eq!(zuid.get(&path).await.status(), StatusCode::GONE, "{path}");
    }
    assert_eq!(zuid.task(&transfer).await.status, "cancelled");
}

#[tokio::test]
async fn what_nobody_collects_expires_and_what_is_delivered_goes_after_the_grace() {
    let (running, moved) = a_portal_whose_clock_can_be_moved().await;
    let (noord, zuid) = (Hospital::of(&running.portal, NOORD), Hospital::of(&running.portal, ZUID));
    let forgotten = noord.send(ZUID, &[b"part"]).await;
    let delivered = noord.send(ZUID, &[b"part"]).await;
    zuid.give_receipt(&delivered, ReceiptStage::InCustody).await;
    zuid.give_receipt(&delivered, ReceiptStage::InPacs).await;

    running.portal.sweep().await.unwrap();
    assert_eq!(running.portal.stored_objects().await.unwrap().len(), 4, "nothing is due yet");
    moved.store(25, std::sync::atomic::Ordering::SeqCst);
    running.portal.sweep().await.unwrap();
    let notice = TransferNotice::read(&noord.task(&forgotten).await).unwrap();
    assert!(notice.has_expired);
    assert_eq!(zuid.get(&letter_path(&forgotten)).await.status(), StatusCode::GONE);
    let left = running.portal.stored_objects().await.unwrap();
    assert!(left.iter().all(|name| name.contains(&delivered.to_string())), "{left:?}");
    assert_eq!(zuid.get(&letter_path(&delivered)).await.status(), StatusCode::OK, "within the grace");
    moved.store(8 * 24, std::sync::atomic::Ordering::SeqCst);
    running.portal.sweep().await.unwrap();
    assert_eq!(running.portal.stored_objects().await.unwrap(), Vec::<String>::new());
    assert_eq!(noord.task(&delivered).await.status, "completed");
}

#[tokio::test]
async fn a_draft_that_was_turned_to_another_addressee_is_only_theirs() {
    let running = a_portal().await;
    let [noord, zuid, other] = [NOORD, ZUID, OTHER].map(|ura| Hospital::of(&running.portal, ura));
    let draft = noord.draft(ZUID);
    let transfer: TransferId = draft.id.parse().unwrap();
    assert_eq!(noord.create(&draft).await.status(), StatusCode::CREATED);
    let there = noord.task(&transfer).await;
    let turned = Task { owner: noord.draft(OTHER).owner, ..there };
    assert_eq!(noord.update(&turned).await.status(), StatusCode::OK);
    assert_eq!(noord.put_letter(&transfer, b"for the other").await.status(), StatusCode::CREATED);
    assert_eq!(noord.update(&commit(noord.task(&transfer).await, &[])).await.status(), StatusCode::OK);
    let path = task_path(&transfer);
    assert_eq!(zuid.get(&path).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(zuid.get(&letter_path(&transfer)).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(other.get(&path).await.status(), StatusCode::OK);
    assert_eq!(other.get(&letter_path(&transfer)).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_draft_whose_time_was_set_anew_expires_then_and_not_before() {
    let (running, hours) = a_portal_whose_clock_can_be_moved().await;
    let noord = Hospital::of(&running.portal, NOORD);
    let draft = noord.new_transfer(ZUID, SignedDuration::from_hours(24)).draft();
    let transfer: TransferId = draft.id.parse().unwrap();
    assert_eq!(noord.create(&draft).await.status(), StatusCode::CREATED);
    let later = noord.new_transfer(ZUID, SignedDuration::from_hours(24 * 10)).draft();
    let there = noord.task(&transfer).await;
    let longer = Task { restriction: later.restriction, ..there };
    assert_eq!(noord.update(&longer).await.status(), StatusCode::OK);
    assert_eq!(noord.put_letter(&transfer, b"a letter").await.status(), StatusCode::CREATED);
    assert_eq!(noord.update(&commit(noord.task(&transfer).await, &[])).await.status(), StatusCode::OK);
    for (after, status) in [(48, "requested"), (24 * 11, "cancelled")] {
        hours.store(after, Ordering::SeqCst);
        running.portal.sweep().await.unwrap();
        assert_eq!(noord.task(&transfer).await.status, status, "after {after} hours");
    }
}
