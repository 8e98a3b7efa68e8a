//! Restarts and kills lose nothing that was answered; bad manners happen only on request.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use beeldbox_portal::ca::Issued;
use beeldbox_portal::{Portal, PortalError, PortalOptions};
use beeldbox_protocol::admin::ReceiptStage;
use beeldbox_protocol::ident::Digest;
use beeldbox_protocol::portal::part_path;
use beeldbox_protocol::portal::task::{TransferNotice, recalled};
use reqwest::StatusCode;

use crate::hospital::{Hospital, NOORD, ZUID, a_portal, a_transfer_id, client, code_of, tls};

#[tokio::test]
async fn a_restart_keeps_everything_and_the_port() {
    let running = a_portal().await;
    let (noord, zuid) = (Hospital::of(&running.portal, NOORD), Hospital::of(&running.portal, ZUID));
    let transfer = noord.send(ZUID, &[b"part"]).await;
    zuid.give_receipt(&transfer, ReceiptStage::InCustody).await;
    let before = zuid.task(&transfer).await;
    let address = running.portal.address();
    running.portal.stop().await;
    let options = PortalOptions { listen: address, ..PortalOptions::new(running.folder.path()) };
    let portal = Portal::start(options).await.unwrap();
    let again = Hospital::of(&portal, ZUID);
    assert_eq!(again.task(&transfer).await, before);
    assert_eq!(zuid.task(&transfer).await, before, "the certificate of before is still good");
    let part = again.get(&part_path(&transfer, &Digest::of(b"part"))).await;
    assert_eq!(part.bytes().await.unwrap(), "part");
}

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
    let parts = running.folder.path().join("objects/parts");
    let unfinished = parts.join(kept.to_string()).join(format!("{}#1", Digest::of(b"unfinished")));
    std::fs::write(&unfinished, b"unfin").unwrap();
    for transfer in [recalled_one, a_transfer_id()] {
        let folder = parts.join(transfer.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(Digest::of(b"part").to_string()), b"part").unwrap();
    }
    let portal = Portal::start(PortalOptions::new(running.folder.path())).await.unwrap();
    assert_eq!(portal.stored_objects().await.unwrap(), expected);
    assert!(expected.iter().all(|name| name.contains(&kept.to_string())), "{expected:?}");
    assert!(!unfinished.exists());
}

#[tokio::test]
async fn one_state_is_served_once() {
    let running = a_portal().await;
    let second = Portal::start(PortalOptions::new(running.folder.path())).await;
    assert!(matches!(second, Err(PortalError::InUse { .. })));
}

struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the program and gives the URL that it prints.
fn start(state: &std::path::Path, listen: &str) -> (Program, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_beeldbox-portal"))
        .args(["serve", "--listen", listen, "--port-file", "port", "--state"])
        .arg(state)
        .current_dir(state.parent().unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("listening ").expect("it says where it listens").to_owned();
    (Program(child), url)
}

/// Goal: what was answered with success is there after a kill. Method: the program is killed while parts are being
/// sent to it, over and over; after each restart every part that was answered with 201 must be there, whole.
#[tokio::test]
async fn what_was_answered_with_success_survives_kill_9_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let out = folder.path().join("box");
    let enrolled = Command::new(env!("CARGO_BIN_EXE_beeldbox-portal"))
        .args(["enrol", "--ura", NOORD, "--name", "Ziekenhuis Noord", "--state"])
        .arg(&state)
        .arg("--out-dir")
        .arg(&out)
        .status()
        .unwrap();
    assert!(enrolled.success());
    let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    let issued = Issued { certificate: read("tls.pem"), key: read("tls.key.pem") };
    let ca = read("portal-ca.pem");
    let (program, url) = start(&state, "127.0.0.1:0");
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
        let (started, again) = start(&state, &listen);
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
    let (mut program, url) = start(&folder.path().join("state"), "127.0.0.1:0");
    let port = std::fs::read_to_string(folder.path().join("port")).unwrap();
    assert!(url.ends_with(&format!(":{port}")), "{url}");
    let pid = program.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(program.0.wait().unwrap().success());
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
