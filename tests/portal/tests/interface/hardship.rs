//! Restarts and kills lose nothing that was answered.

use std::process::Command;

use beeldbox_portal::{Portal, PortalOptions};
use beeldbox_protocol::admin::ReceiptStage;
use beeldbox_protocol::ident::Digest;
use beeldbox_protocol::portal::part_path;
use reqwest::StatusCode;

use crate::hospital::{Hospital, NOORD, ZUID, a_portal, client, tls};
use crate::place;
use crate::program::{enrol, start};

#[tokio::test]
async fn a_restart_keeps_everything_and_the_port() {
    let running = a_portal().await;
    let (noord, zuid) = (Hospital::of(&running.portal, NOORD), Hospital::of(&running.portal, ZUID));
    let transfer = noord.send(ZUID, &[b"part"]).await;
    zuid.give_receipt(&transfer, ReceiptStage::InCustody).await;
    let before = zuid.task(&transfer).await;
    let address = running.portal.address();
    running.portal.stop().await;
    let options = PortalOptions { listen: address, ..running.options.clone() };
    let portal = Portal::start(options).await.unwrap();
    let again = Hospital::of(&portal, ZUID);
    assert_eq!(again.task(&transfer).await, before);
    assert_eq!(zuid.task(&transfer).await, before, "the certificate of before is still good");
    let part = again.get(&part_path(&transfer, &Digest::of(b"part"))).await;
    assert_eq!(part.bytes().await.unwrap(), "part");
}

/// Goal: what was answered with success is there after a kill. Method: the program is killed while parts are being
/// sent to it, over and over; after each restart every part that was answered with 201 must be there, whole.
#[tokio::test]
async fn what_was_answered_with_success_survives_kill_9_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let (issued, ca) = enrol(&state, NOORD);
    let place = place::new();
    let (program, url) = start(&place, &state, "127.0.0.1:0");
    let listen = url.replace("https://localhost", "127.0.0.1");
    let noord = Hospital::with(client(tls(&ca, Some(&issued))), &url, NOORD);
    let draft = noord.draft(ZUID);
    let transfer = draft.id.parse().unwrap();
    assert_eq!(noord.create(&draft).await.status(), StatusCode::CREATED);

    let mut program = Some(program);
    let mut answered: Vec<Vec<u8>> = Vec::new();
    for round in 0..4_u8 {
        let noord = Hospital::with(client(tls(&ca, Some(&issued))), &url, NOORD);
        let (count, mut counted) = tokio::sync::watch::channel(0);
        let sending = async {
            for number in 0..=u8::MAX {
                let part = [vec![round, number], vec![7; 40_000]].concat();
                match noord.try_put_part(&transfer, &part).await {
                    Ok(response) if response.status() == StatusCode::CREATED => answered.push(part),
                    Ok(_) | Err(_) => return,
                }
                count.send_modify(|count| *count += 1);
            }
        };
        let killing = async {
            // The next part is under way then.
            counted.wait_for(|count| *count == 3 + 2 * round).await.unwrap();
            drop(program.take());
        };
        tokio::join!(sending, killing);
        let (started, again) = start(&place, &state, &listen);
        assert_eq!(again, url, "the port stays");
        program = Some(started);
        let noord = Hospital::with(client(tls(&ca, Some(&issued))), &url, NOORD);
        for part in &answered {
            let response = noord.get(&part_path(&transfer, &Digest::of(part))).await;
            assert_eq!(response.status(), StatusCode::OK);
            assert!(response.bytes().await.unwrap() == part[..]);
        }
    }
    assert!(!answered.is_empty());
}

#[tokio::test]
async fn sigterm_ends_the_program_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (mut program, url) = start(&place::new(), &folder.path().join("state"), "127.0.0.1:0");
    let port = std::fs::read_to_string(folder.path().join("port")).unwrap();
    assert!(url.ends_with(&format!(":{port}")), "{url}");
    let pid = program.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(program.0.wait().unwrap().success());
}
