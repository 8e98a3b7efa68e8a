//! Taking in.

use std::fs;

use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::Digest;

use super::ward::*;
use crate::{Changes, IntakeError, OutboundKind, OutboundState};

#[tokio::test]
async fn what_was_acknowledged_reads_back() {
    let (_dir, custody) = empty_ward();
    let image = image(1, 1, 200_000);
    let mut association = session(&custody);
    let stored = send(&mut association, &image);
    assert_eq!(stored.digest(), Digest::of(&image.data));
    assert_eq!(stored.size_bytes(), image.data.len() as u64);
    assert!(!stored.was_duplicate());
    let study = only_study(&custody).await;
    let rows = instances(&custody, &study).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(read(&custody, &rows[0]).await, image.data);
    assert_eq!(custody.verify_instance(&rows[0]).await.unwrap(), Digest::of(&image.data));
}

#[tokio::test]
async fn a_study_is_listed_with_its_patient_and_counts() {
    let (_dir, custody) = empty_ward();
    receive(&custody, 1, 3);
    receive(&custody, 2, 1);
    let studies = custody.studies(None, 10).await.unwrap();
    assert_eq!(studies.len(), 2);
    let study = &studies[1];
    assert_eq!(study.patient.name, Some(Confidential::new(PATIENT_WORDS[0])));
    assert_eq!(study.summary.instances, 3);
    assert_eq!(study.summary.series, 1);
    assert_eq!(study.summary.modalities, ["CT"]);
    assert_eq!(study.state, OutboundState::Collecting);
    let page = custody.studies(Some(studies[0].cursor), 10).await.unwrap();
    assert_eq!(page.len(), 1);
    assert_eq!(page[0].collection, study.collection);
    assert_eq!(custody.counts().await.unwrap().outbound[&OutboundKind::Collecting], 2);
}

#[tokio::test]
async fn the_same_instance_again_is_a_success_without_a_second_copy() {
    let (dir, custody) = empty_ward();
    let image = image(1, 1, 5000);
    let mut association = session(&custody);
    assert!(!send(&mut association, &image).was_duplicate());
    let length = fs::metadata(&packs_on_disk(dir.path())[0]).unwrap().len();
    assert!(send(&mut association, &image).was_duplicate());
    assert_eq!(fs::metadata(&packs_on_disk(dir.path())[0]).unwrap().len(), length);
    assert!(send(&mut session(&custody), &image).was_duplicate());
    let study = only_study(&custody).await;
    assert_eq!(study.summary.instances, 1);
    assert!(!study.conflict);
}

#[tokio::test]
async fn another_instance_of_the_same_name_is_kept_and_the_study_conflicts() {
    let (_dir, custody) = empty_ward();
    let mut association = session(&custody);
    let (first, mut second) = (image(1, 1, 5000), image(1, 1, 5000));
    second.data[4000] ^= 1;
    send(&mut association, &first);
    assert!(!send(&mut association, &second).was_duplicate());
    let study = only_study(&custody).await;
    assert!(study.conflict);
    assert_eq!(instances(&custody, &study).await.len(), 2);
}

#[tokio::test]
async fn a_study_of_two_patients_is_known_for_it() {
    let (_dir, custody) = empty_ward();
    let mut association = session(&custody);
    let (first, mut second) = (image(1, 1, 100), image(1, 2, 100));
    second.attributes.patient.id = Some(Confidential::new("someone else"));
    send(&mut association, &first);
    send(&mut association, &second);
    let study = only_study(&custody).await;
    assert!(study.two_patients && !study.conflict);
}

#[tokio::test]
async fn abandoning_leaves_nothing() {
    let (dir, custody) = empty_ward();
    let mut association = session(&custody);
    let image = image(1, 1, 300_000);
    association.begin(at(1), &image.description, &image.attributes).unwrap();
    association.write(&image.data).unwrap();
    association.abandon();
    assert!(custody.studies(None, 10).await.unwrap().is_empty());
    association.close();
    assert!(packs_on_disk(dir.path()).is_empty());
    assert!(custody.counts().await.unwrap().outbound.is_empty());
}

#[tokio::test]
async fn after_an_abandoned_instance_the_next_one_reads_back() {
    let (_dir, custody) = empty_ward();
    let mut association = session(&custody);
    let (torn, whole) = (image(1, 1, 300_000), image(1, 2, 9000));
    association.begin(at(1), &torn.description, &torn.attributes).unwrap();
    association.write(&torn.data).unwrap();
    // Beginning the next one gives up the first.
    send(&mut association, &whole);
    drop(association);
    let study = only_study(&custody).await;
    let rows = instances(&custody, &study).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].frame_index, 0);
    assert_eq!(read(&custody, &rows[0]).await, whole.data);
}

#[tokio::test]
async fn a_full_pack_is_closed_and_the_next_one_begun() {
    let (dir, custody) = empty_ward();
    let mut association = session(&custody);
    for number in 1..=5 {
        send(&mut association, &image(1, number, 40_000));
    }
    association.close();
    let study = only_study(&custody).await;
    let packs = custody.packs(study.collection).await.unwrap();
    assert_eq!(packs.iter().map(|pack| pack.frames).collect::<Vec<_>>(), [2, 2, 1]);
    assert_eq!(packs_on_disk(dir.path()).len(), 3);
    for row in instances(&custody, &study).await {
        custody.verify_instance(&row).await.unwrap();
    }
}

#[tokio::test]
async fn instances_without_a_study_stay_together_per_association() {
    let (_dir, custody) = empty_ward();
    let nameless = |number| {
        let mut image = image(1, number, 40_000);
        image.description.study = None;
        image
    };
    let (mut one, mut other) = (session(&custody), session(&custody));
    for number in 1..=3 {
        send(&mut one, &nameless(number));
    }
    send(&mut other, &nameless(4));
    drop((one, other));
    let studies = custody.studies(None, 10).await.unwrap();
    let counts: Vec<u32> = studies.iter().map(|study| study.summary.instances).collect();
    assert_eq!(counts, [1, 3]);
    assert!(studies.iter().all(|study| study.summary.study.is_none()));
}

#[tokio::test]
async fn two_associations_fill_one_study() {
    let (_dir, custody) = empty_ward();
    let (mut one, mut other) = (session(&custody), session(&custody));
    send(&mut one, &image(1, 1, 100));
    send(&mut other, &image(1, 2, 100));
    let study = only_study(&custody).await;
    assert_eq!(study.summary.instances, 2);
    assert_eq!(custody.packs(study.collection).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_study_is_quiet_only_when_no_association_fills_it() {
    let (_dir, custody) = empty_ward();
    let mut association = session(&custody);
    send(&mut association, &image(1, 1, 100));
    assert!(custody.quiet_studies(at(100)).await.unwrap().is_empty());
    association.close();
    assert!(custody.quiet_studies(at(2)).await.unwrap().is_empty());
    let study = only_study(&custody).await;
    let quiet = custody.quiet_studies(at(3)).await.unwrap();
    assert_eq!(quiet.len(), 1);
    assert_eq!(
        (quiet[0].collection, quiet[0].transfer, quiet[0].instances),
        (study.collection, study.transfer, 1)
    );
}

#[tokio::test]
async fn what_arrives_after_closing_becomes_an_addendum_unless_it_is_known() {
    let (_dir, custody) = empty_ward();
    receive(&custody, 1, 2);
    let first = only_study(&custody).await;
    close_study(&custody, &first).await;
    let mut association = session(&custody);
    assert!(send(&mut association, &image(1, 1, 3000)).was_duplicate());
    assert_eq!(custody.studies(None, 10).await.unwrap().len(), 1);
    assert!(!send(&mut association, &image(1, 3, 3000)).was_duplicate());
    association.close();
    let studies = custody.studies(None, 10).await.unwrap();
    assert_eq!(studies.len(), 2);
    assert_eq!(studies[0].summary.instances, 1);
    assert_eq!(studies[1].collection, first.collection);
    assert_eq!(custody.study_by_uid(&"1.2.3.1".parse().unwrap()).await.unwrap().len(), 2);
}

#[tokio::test]
async fn an_instance_whose_study_closes_while_it_arrives_goes_into_the_next_collection() {
    let (_dir, custody) = empty_ward();
    let mut association = session(&custody);
    send(&mut association, &image(1, 1, 3000));
    let first = only_study(&custody).await;
    let late = image(1, 2, 200_000);
    association.begin(at(3), &late.description, &late.attributes).unwrap();
    association.write(&late.data).unwrap();
    close_study(&custody, &first).await;
    assert!(!association.finish(late.digest(), at(4)).unwrap().was_duplicate());
    send(&mut association, &image(1, 3, 3000));
    association.close();
    let studies = custody.studies(None, 10).await.unwrap();
    assert_eq!(studies.len(), 2);
    let rows = instances(&custody, &studies[0]).await;
    assert_eq!(rows.len(), 2);
    assert_eq!(read(&custody, &rows[0]).await, late.data);
    let closed = instances(&custody, &studies[1]).await;
    assert_eq!(closed.len(), 1);
    custody.verify_instance(&closed[0]).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_refuses_before_any_data() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    options.reserve_bytes = u64::MAX / 2;
    let (custody, _) = try_open(options).unwrap();
    let image = image(1, 1, 100);
    let refused = session(&custody).begin(at(1), &image.description, &image.attributes);
    assert!(matches!(refused, Err(IntakeError::OutOfSpace)));
    assert!(packs_on_disk(dir.path()).is_empty());
}

#[tokio::test]
async fn nothing_of_the_patient_is_on_the_disk() {
    let (dir, custody) = empty_ward();
    receive(&custody, 1, 3);
    let study = only_study(&custody).await;
    let confidential = crate::TransferConfidential {
        note: Confidential::new(PATIENT_WORDS[4]),
        patient: study.patient.clone(),
        summaries: vec![study.summary.clone()],
        ..Default::default()
    };
    let changes = Changes {
        confidential: Some(confidential.clone()),
        receipt: Some((1, PATIENT_WORDS[0].into())),
        outbox: vec![crate::OutboxMessage {
            kind: "test".to_owned(),
            transfer: Some(study.transfer),
            payload: PATIENT_WORDS[1].into(),
            due_at: at(0),
        }],
        audit: vec![crate::AuditRecord {
            at: at(0),
            actor: "piet".to_owned(),
            action: "closed".to_owned(),
            transfer: Some(study.transfer),
            detail: Confidential::new(PATIENT_WORDS.join(" ")),
        }],
        ..Default::default()
    };
    let queued = OutboundState::Queued { closed_at: at(5) };
    custody.advance(study.transfer, OutboundState::Collecting, queued, changes, at(5)).await.unwrap();
    assert_nothing_of_the_patient(dir.path());
    let row = custody.transfer(study.transfer).await.unwrap().unwrap();
    assert_eq!(row.confidential, Some(confidential));
    assert_eq!(custody.receipts(study.transfer).await.unwrap()[0].jws, PATIENT_WORDS[0].as_bytes());
    assert_eq!(custody.due_outbox(at(1), 10).await.unwrap()[0].message.payload, PATIENT_WORDS[1].as_bytes());
    custody.close().await;
    assert_nothing_of_the_patient(dir.path());
}

#[tokio::test]
async fn a_study_that_went_out_is_offered_again_when_its_pacs_sends_it_again() {
    let (_dir, custody) = empty_ward();
    receive(&custody, 1, 2);
    let first = only_study(&custody).await;
    close_study(&custody, &first).await;
    let sending = OutboundState::Sending { parts_done: 0, parts_total: 1 };
    let road = [
        OutboundState::Addressed { at: at(5), leaves_at: at(5), undo_to: None },
        sending,
        OutboundState::Accepted { at: at(5) },
    ];
    let mut from = custody.transfer(first.transfer).await.unwrap().unwrap().state;
    for to in road {
        // While it is on its way to the portal a resent image is only a repetition.
        assert!(send(&mut session(&custody), &image(1, 1, 3000)).was_duplicate());
        let known = custody.transfers_of(first.collection).await.unwrap().len();
        assert_eq!(known, 1);
        custody.advance(first.transfer, from, to.clone(), Changes::default(), at(5)).await.unwrap();
        from = to.into();
    }
    assert!(custody.studies(None, 10).await.unwrap().is_empty());
    for number in [1, 2] {
        assert!(send(&mut session(&custody), &image(1, number, 3000)).was_duplicate());
    }
    let again = only_study(&custody).await;
    assert_eq!(again.collection, first.collection);
    assert_ne!(again.transfer, first.transfer);
    assert_eq!(again.summary.instances, 2);
}

#[tokio::test]
async fn an_instance_without_a_study_is_kept_once_over_associations_too() {
    let (_dir, custody) = empty_ward();
    let mut image = image(1, 1, 3000);
    image.description.study = None;
    image.description.series = None;
    let mut first = session(&custody);
    assert!(!send(&mut first, &image).was_duplicate());
    first.close();
    let mut second = session(&custody);
    assert!(send(&mut second, &image).was_duplicate());
    second.close();
    let study = only_study(&custody).await;
    assert_eq!(study.summary.instances, 1);
    close_study(&custody, &study).await;
    let mut third = session(&custody);
    assert!(send(&mut third, &image).was_duplicate());
    third.close();
    assert_eq!(custody.all_instances(None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_digest_of_other_bytes_than_were_sealed_is_refused() {
    let (_dir, custody) = empty_ward();
    let mut association = session(&custody);
    send(&mut association, &image(1, 1, 3000));
    let image = image(1, 2, 3000);
    association.begin(at(3), &image.description, &image.attributes).unwrap();
    association.write(&image.data[..2000]).unwrap();
    let refused = association.finish(image.digest(), at(4));
    assert!(matches!(refused, Err(crate::IntakeError::Seal(_))));
    send(&mut association, &image);
    assert_eq!(only_study(&custody).await.summary.instances, 2);
}
