//! What arrives from the portal: one box sends, another fetches.

use beeldbox_protocol::ident::{Digest, TransferId};
use bytes::Bytes;

use super::ward::*;
use crate::{
    Changes, CollectionId, Custody, CustodyError, InboundCollection, InboundInstance, InboundPack,
    InboundState, NewInbound, PartRow, StudyRow,
};

const PART_LEN: u64 = 30_000;

fn arriving() -> TransferId {
    TransferId::from_random([4; 16])
}

/// What the sender's letter would say.
async fn letter(custody: &Custody, study: &StudyRow) -> (InboundCollection, Vec<PartRow>) {
    let parts = custody.make_parts(study.collection, PART_LEN).await.unwrap();
    let mut packs = Vec::new();
    for pack in custody.packs(study.collection).await.unwrap() {
        let own = parts.iter().filter(|part| part.pack == pack.id);
        packs.push(InboundPack {
            id: pack.id,
            key: custody.pack_key(pack.id).await.unwrap(),
            len_bytes: pack.len_bytes,
            parts: own.map(|part| (part.digest, part.len)).collect(),
        });
    }
    let listed = instances(custody, study).await.into_iter().map(|row| InboundInstance {
        pack: row.pack,
        frame_index: row.frame_index,
        frame_offset: row.frame_offset,
        frame_len: row.frame_len,
        sop_class: row.sop_class,
        sop_instance: row.sop_instance,
        transfer_syntax: row.transfer_syntax,
        study: row.study,
        series: row.series,
        size_bytes: row.size_bytes,
        digest: row.digest,
    });
    let promised = InboundCollection {
        patient: study.patient.clone(),
        summaries: vec![study.summary.clone()],
        instances: listed.collect(),
        packs,
    };
    (promised, parts)
}

pub(super) async fn announce(custody: &Custody) {
    let new = NewInbound {
        id: arriving(),
        task_id: "t".to_owned(),
        task_version: "1".to_owned(),
        letter_ref: "Binary/1".to_owned(),
        sender_hint: None,
        urgent: false,
        now: at(0),
    };
    assert!(custody.announce(new).await.unwrap());
}

async fn a_study_to_send(custody: &Custody) -> (InboundCollection, Vec<(PartRow, Bytes)>) {
    let mut association = session(custody);
    for number in 1..=3 {
        send(&mut association, &image(1, number, 40_000));
    }
    association.close();
    let study = only_study(custody).await;
    close_study(custody, &study).await;
    let (promised, parts) = letter(custody, &study).await;
    let mut bytes = Vec::new();
    for part in parts {
        let content = custody.read_part(&part).await.unwrap();
        bytes.push((part, content));
    }
    (promised, bytes)
}

async fn fetch(custody: &Custody, collection: CollectionId, parts: &[(PartRow, Bytes)]) {
    for missing in custody.missing_parts(collection).await.unwrap() {
        let (_, bytes) = parts.iter().find(|(part, _)| part.digest == missing.digest).unwrap();
        custody.write_part(missing.pack, missing.index, bytes.clone(), at(3)).await.unwrap();
    }
}

#[tokio::test]
async fn a_study_crosses_from_one_box_to_another() {
    let (_here, sender) = empty_ward();
    let (there, receiver) = empty_ward();
    let (promised, parts) = a_study_to_send(&sender).await;
    announce(&receiver).await;
    let collection = receiver.adopt_collection(arriving(), promised.clone(), at(1)).await.unwrap();
    let again = receiver.adopt_collection(arriving(), promised, at(1)).await.unwrap();
    assert_eq!(collection, again);
    assert_eq!(receiver.missing_parts(collection).await.unwrap().len(), parts.len());
    fetch(&receiver, collection, &parts).await;
    assert!(receiver.missing_parts(collection).await.unwrap().is_empty());
    let rows = receiver.instances(collection, None, 10).await.unwrap();
    assert_eq!(rows.len(), 3);
    for (number, row) in (1..).zip(&rows) {
        assert_eq!(receiver.verify_instance(row).await.unwrap(), row.digest);
        assert_eq!(read(&receiver, row).await, image(1, number, 40_000).data);
    }
    assert_nothing_of_the_patient(there.path());
}

#[tokio::test]
async fn a_part_with_another_digest_is_refused_before_anything_is_written() {
    let (_here, sender) = empty_ward();
    let (there, receiver) = empty_ward();
    let (promised, parts) = a_study_to_send(&sender).await;
    announce(&receiver).await;
    let collection = receiver.adopt_collection(arriving(), promised, at(1)).await.unwrap();
    let (part, bytes) = &parts[0];
    let mut changed = bytes.to_vec();
    changed[100] ^= 1;
    for wrong in [Bytes::from(changed), bytes.slice(1..), Bytes::new()] {
        let refused = receiver.write_part(part.pack, part.index, wrong, at(2)).await;
        assert!(matches!(refused, Err(CustodyError::PartDiffers)));
    }
    assert!(files(&there.path().join("packs")).iter().all(|file| file.metadata().unwrap().len() == 0));
    assert_eq!(receiver.missing_parts(collection).await.unwrap().len(), parts.len());
    let unknown = receiver.write_part(part.pack, 999, bytes.clone(), at(2)).await;
    assert!(matches!(unknown, Err(CustodyError::Unknown { what: "part" })));
}

#[tokio::test]
async fn a_list_that_contradicts_itself_is_refused() {
    let (_here, sender) = empty_ward();
    let (there, receiver) = empty_ward();
    let (promised, _) = a_study_to_send(&sender).await;
    announce(&receiver).await;
    let mut twice = promised.clone();
    twice.packs.push(promised.packs[0].clone());
    let mut short = promised.clone();
    short.packs[0].len_bytes -= 1;
    let mut outside = promised.clone();
    outside.instances[0].frame_offset = u64::MAX;
    let mut shared = promised.clone();
    shared.instances.push(promised.instances[0].clone());
    let mut nothing = promised;
    nothing.instances.clear();
    for wrong in [twice, short, outside, shared, nothing] {
        let refused = receiver.adopt_collection(arriving(), wrong, at(1)).await;
        assert!(matches!(refused, Err(CustodyError::NotConsistent { .. })));
    }
    assert!(packs_on_disk(there.path()).is_empty());
}

#[tokio::test]
async fn packs_that_are_here_already_are_refused_by_name() {
    let (_here, sender) = empty_ward();
    let (promised, _) = a_study_to_send(&sender).await;
    announce(&sender).await;
    let refused = sender.adopt_collection(arriving(), promised, at(1)).await;
    assert!(matches!(refused, Err(CustodyError::PackAlreadyHere)));
    let study = only_study(&sender).await;
    for row in instances(&sender, &study).await {
        sender.verify_instance(&row).await.unwrap();
    }
}

#[tokio::test]
async fn a_second_transfer_of_the_same_images_shares_what_is_here() {
    let (_here, sender) = empty_ward();
    let (_there, receiver) = empty_ward();
    let (promised, parts) = a_study_to_send(&sender).await;
    announce(&receiver).await;
    let first = receiver.adopt_collection(arriving(), promised.clone(), at(1)).await.unwrap();
    fetch(&receiver, first, &parts).await;
    let second = TransferId::from_random([5; 16]);
    let new = NewInbound {
        id: second,
        task_id: "u".to_owned(),
        task_version: "1".to_owned(),
        letter_ref: "Binary/2".to_owned(),
        sender_hint: None,
        urgent: false,
        now: at(2),
    };
    assert!(receiver.announce(new).await.unwrap());
    let mut other_key = promised.clone();
    other_key.packs[0].key = beeldbox_protocol::envelope::keys::SecretKey::from_bytes([1; 32]);
    let mut other_bytes = promised.clone();
    other_bytes.instances[0].digest = Digest::of(b"another image");
    for wrong in [other_key, other_bytes] {
        let refused = receiver.adopt_collection(second, wrong, at(3)).await;
        assert!(matches!(refused, Err(CustodyError::PackAlreadyHere)), "{refused:?}");
        assert_eq!(receiver.transfer(second).await.unwrap().unwrap().collection, None);
    }
    let shared = receiver.adopt_collection(second, promised, at(3)).await.unwrap();
    assert_eq!(shared, first);
    assert!(receiver.missing_parts(shared).await.unwrap().is_empty());
    assert_eq!(receiver.transfers_of(shared).await.unwrap().len(), 2);
    assert!(matches!(receiver.erase(shared, at(4)).await, Err(CustodyError::StillNeeded)));
}

#[tokio::test]
async fn fetched_parts_that_a_power_cut_took_are_fetched_again() {
    let (_here, sender) = empty_ward();
    let (there, receiver) = empty_ward();
    let (promised, parts) = a_study_to_send(&sender).await;
    announce(&receiver).await;
    let collection = receiver.adopt_collection(arriving(), promised, at(1)).await.unwrap();
    fetch(&receiver, collection, &parts).await;
    let cut = power_cut(there.path());
    let pack = &packs_on_disk(cut.path())[0];
    std::fs::OpenOptions::new().write(true).open(pack).unwrap().set_len(10).unwrap();
    std::fs::remove_file(&packs_on_disk(cut.path())[1]).unwrap();
    let (recovered, report) = open(cut.path());
    assert_eq!(usize::try_from(report.parts_to_refetch).unwrap(), parts.len());
    assert!(report.damaged.is_empty());
    fetch(&recovered, collection, &parts).await;
    for row in recovered.instances(collection, None, 10).await.unwrap() {
        recovered.verify_instance(&row).await.unwrap();
    }
}

#[tokio::test]
async fn cutting_again_gives_the_same_parts() {
    let (_dir, custody) = empty_ward();
    let mut association = session(&custody);
    send(&mut association, &image(1, 1, 40_000));
    let study = only_study(&custody).await;
    let whole = custody.make_parts(study.collection, PART_LEN).await.unwrap();
    assert_eq!(whole.len(), 1, "of an open pack only whole parts are cut");
    send(&mut association, &image(1, 2, 3000));
    association.close();
    close_study(&custody, &study).await;
    let all = custody.make_parts(study.collection, PART_LEN).await.unwrap();
    assert_eq!(all[0], whole[0]);
    assert_eq!(all, custody.make_parts(study.collection, PART_LEN).await.unwrap());
    let pack = &custody.packs(study.collection).await.unwrap()[0];
    assert_eq!(all.iter().map(|part| part.len).sum::<u64>(), pack.len_bytes);
    for part in &all {
        let bytes = custody.read_part(part).await.unwrap();
        assert_eq!(Digest::of(&bytes), part.digest);
    }
    custody.mark_part_sent(study.transfer, all[0].pack, all[0].index, at(6)).await.unwrap();
    assert_eq!(custody.unsent_parts(study.transfer).await.unwrap(), all[1..]);
}

#[tokio::test]
async fn what_the_pacs_answered_is_kept_per_instance() {
    let (_here, sender) = empty_ward();
    let (_there, receiver) = empty_ward();
    let (promised, _) = a_study_to_send(&sender).await;
    announce(&receiver).await;
    receiver.adopt_collection(arriving(), promised, at(1)).await.unwrap();
    receiver.set_delivery(arriving(), vec![(1, 0), (2, 0xA700)], at(2)).await.unwrap();
    receiver.set_delivery(arriving(), vec![(2, 0)], at(3)).await.unwrap();
    let statuses: Vec<_> =
        receiver.deliveries(arriving()).await.unwrap().iter().map(|row| (row.instance, row.status)).collect();
    assert_eq!(statuses, [(1, 0), (2, 0)]);
    let fetching = InboundState::Fetching { parts_done: 0, parts_total: 1 };
    receiver.advance(arriving(), InboundState::Announced, fetching, Changes::default(), at(4)).await.unwrap();
}
