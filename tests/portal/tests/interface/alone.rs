//! What holds for a portal that has its state folder to itself.

use beeldbox_portal::{Portal, PortalError};
use beeldbox_protocol::ident::Digest;
use beeldbox_protocol::portal::task::recalled;

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
