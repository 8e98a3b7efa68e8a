//! Erasing.

use std::fs;

use beeldbox_protocol::ident::TransferId;

use super::ward::*;
use crate::{CustodyError, OutboundState, ReadError, State};

#[tokio::test]
async fn erasing_takes_keys_bytes_and_words() {
    let (dir, custody) = empty_ward();
    receive(&custody, 1, 2);
    let study = only_study(&custody).await;
    let row = instances(&custody, &study).await.remove(0);
    deliver(&custody, &study).await;
    custody.erase(study.collection, at(20)).await.unwrap();
    assert!(packs_on_disk(dir.path()).is_empty());
    assert!(matches!(custody.pack_key(row.pack).await, Err(CustodyError::Unknown { .. })));
    assert!(matches!(custody.verify_instance(&row).await, Err(ReadError::Ledger(_))));
    let transfer = custody.transfer(study.transfer).await.unwrap().unwrap();
    assert_eq!(transfer.state, State::Outbound(OutboundState::Erased { at: at(20) }));
    assert_eq!(custody.audit(None, 1).await.unwrap()[0].record.action, "erased");
    assert_eq!(fs::metadata(dir.path().join("ledger.sqlite")).unwrap().len() % 4096, 0);
    custody.erase(study.collection, at(21)).await.unwrap();
    assert_eq!(custody.audit(None, 10).await.unwrap().len(), 1);
    assert_eq!(custody.counts().await.unwrap().instances, 0);
}

#[tokio::test]
async fn what_is_not_over_is_not_erased() {
    let (_dir, custody) = empty_ward();
    receive(&custody, 1, 1);
    let study = only_study(&custody).await;
    assert!(matches!(custody.erase(study.collection, at(20)).await, Err(CustodyError::StillNeeded)));
    deliver(&custody, &study).await;
    let second = TransferId::from_random([9; 16]);
    offer_again(&custody, &study, second, 10).await.unwrap();
    assert!(matches!(custody.erase(study.collection, at(20)).await, Err(CustodyError::StillNeeded)));
    let queued = OutboundState::Queued { closed_at: at(5) };
    let erased = OutboundState::Erased { at: at(21) };
    custody.advance(second, queued, erased, crate::Changes::default(), at(21)).await.unwrap();
    custody.erase(study.collection, at(22)).await.unwrap();
}

#[tokio::test]
async fn a_person_removes_a_queued_study() {
    let (dir, custody) = empty_ward();
    receive(&custody, 1, 1);
    let study = only_study(&custody).await;
    close_study(&custody, &study).await;
    let queued = OutboundState::Queued { closed_at: at(5) };
    let claim = move_on(&custody, &study, queued, OutboundState::Erased { at: at(6) }).await;
    assert!(matches!(claim, Err(CustodyError::NotErasedYet)));
    custody.erase(study.collection, at(20)).await.unwrap();
    assert!(packs_on_disk(dir.path()).is_empty());
}

#[tokio::test]
async fn erasing_that_power_interrupted_is_ended_at_the_next_start() {
    let (dir, custody) = empty_ward();
    receive(&custody, 1, 2);
    let study = only_study(&custody).await;
    deliver(&custody, &study).await;
    let pack = custody.packs(study.collection).await.unwrap()[0].id;
    let wrapped = || {
        let custody = custody.clone();
        async move {
            custody
                .ledger()
                .ask(move |connection| {
                    let wrap: Option<Vec<u8>> = connection.query_row(
                        "SELECT wrapped_key FROM pack WHERE id = ?1",
                        [pack.as_bytes()],
                        |row| row.get(0),
                    )?;
                    Ok(wrap)
                })
                .await
                .unwrap()
        }
    };
    let wrap = wrapped().await.unwrap();
    let collection = study.collection;
    // The first commit of erasing, and then the power goes.
    custody
        .ledger()
        .ask(move |connection| crate::erasing::remove_keys(connection, collection, at(20)).map(|_| ()))
        .await
        .unwrap();
    assert_eq!(wrapped().await, None);
    assert_eq!(packs_on_disk(dir.path()).len(), 1);
    let cut = power_cut(dir.path());
    let (recovered, report) = open(cut.path());
    assert_eq!(report.erasures_resumed, 1);
    assert!(packs_on_disk(cut.path()).is_empty());
    let transfer = recovered.transfer(study.transfer).await.unwrap().unwrap();
    assert_eq!(transfer.state, State::Outbound(OutboundState::Erased { at: at(0) }));
    for file in files(cut.path()) {
        let content = fs::read(&file).unwrap();
        assert!(
            !content.windows(wrap.len()).any(|window| window == wrap),
            "the wrap is in {}",
            file.display()
        );
    }
}
