//! What holds for a portal that has its state folder to itself.

use beeldbox_portal::{Portal, PortalError};
use beeldbox_protocol::ident::{Digest, TransferId};
use beeldbox_protocol::portal::task::recalled;
use beeldbox_protocol::portal::{PartList, missing_parts_path, part_path};
use reqwest::{Method, StatusCode};

use crate::hospital::{Hospital, NOORD, ZUID, a_portal, a_transfer_id};

/// A power cut can bring removed names back, and leaves unfinished uploads behind.
#[tokio::test]
async fn a_start_removes_bytes_that_belong_to_no_transfer() {
    let running = a_portal().await;
    let noord = Hospital::of(&running.portal, NOORD);
    let kept = noord.send(ZUID, &[b"part"]).await;
    let recalled_one = noord.send(ZUID, &[b"part"]).await;
    noord.update(&recalled(noord.task(&recalled_one).await)).await;
    let expected = running.portal.stored_objects().await.unwrap();
    running.portal.kill().await;
    let parts = running.options.state.join("objects/parts");
    let unfinished = parts.join(kept.to_string()).join(format!("{}#1", Digest::of(b"unfinished")));
    std::fs::write(&unfinished, b"unfin").unwrap();
    for transfer in [recalled_one, a_transfer_id()] {
        let folder = parts.join(transfer.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(Digest::of(b"part").to_string()), b"part").unwrap();
    }
    let portal = Portal::start(running.options.clone()).await.unwrap();
    assert_eq!(portal.stored_objects().await.unwrap(), expected);
    assert!(expected.iter().all(|name| name.contains(&kept.to_string())), "{expected:?}");
    assert!(!unfinished.exists());
}

#[tokio::test]
async fn one_state_is_served_once() {
    let running = a_portal().await;
    let second = Portal::start(running.options.clone()).await;
    assert!(matches!(second, Err(PortalError::InUse { .. })));
}

/// A portal that was killed between the second name of a part and its row finds the name when it is asked again.
#[tokio::test]
async fn a_name_without_a_row_is_no_obstacle_to_taking_over() {
    let running = a_portal().await;
    let noord = Hospital::of(&running.portal, NOORD);
    let first = noord.send(ZUID, &[b"part"]).await;
    let draft = noord.draft(ZUID);
    let second: TransferId = draft.id.parse().unwrap();
    assert_eq!(noord.create(&draft).await.status(), StatusCode::CREATED);
    let name = Digest::of(b"part");
    let parts = running.options.state.join("objects/parts");
    std::fs::create_dir_all(parts.join(second.to_string())).unwrap();
    let (from, to) = (parts.join(first.to_string()), parts.join(second.to_string()));
    std::fs::hard_link(from.join(name.to_string()), to.join(name.to_string())).unwrap();
    let question = noord.request(Method::POST, &missing_parts_path(&second));
    let told = question.json(&PartList { parts: vec![name] }).send().await.unwrap();
    assert_eq!(told.json::<PartList>().await.unwrap().parts, []);
    noord.update(&recalled(noord.task(&first).await)).await;
    let given = noord.get(&part_path(&second, &name)).await;
    assert_eq!(given.bytes().await.unwrap(), "part");
    assert_eq!(std::fs::read_dir(&to).unwrap().count(), 1, "nothing unfinished is left");
}
