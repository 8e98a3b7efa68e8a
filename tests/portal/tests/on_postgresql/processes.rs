//! Several portal processes on one database and one store: any of them can be asked, any may die.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use beeldbox_portal::ca::Issued;
use beeldbox_protocol::admin::ReceiptStage;
use beeldbox_protocol::ident::{Digest, TransferId};
use beeldbox_protocol::portal::fhir::{Bundle, Task};
use beeldbox_protocol::portal::part_path;
use beeldbox_protocol::portal::task::{commit, recalled};
use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use tempfile::TempDir;

use crate::hospital::{Hospital, NOORD, OTHER, ZUID, client, entries, tls};
use crate::place;
use crate::program::{Program, enrol, start};
use crate::take_over;

/// Longest that a test waits for what must happen; shorter than a poll.
const DEADLINE: Duration = Duration::from_secs(20);

/// Two processes that share everything.
struct Two {
    programs: Vec<Program>,
    urls: [String; 2],
    folder: TempDir,
}

fn two() -> Two {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let place = place::new();
    let (programs, urls): (Vec<_>, Vec<_>) =
        [(); 2].map(|()| start(&place, &state, "127.0.0.1:0")).into_iter().unzip();
    Two { programs, urls: urls.try_into().unwrap(), folder }
}

fn at(url: &str, ura: &str, identity: &(Issued, String)) -> Hospital {
    Hospital::with(client(tls(&identity.1, Some(&identity.0))), url, ura)
}

impl Two {
    fn state(&self) -> std::path::PathBuf {
        Path::new(self.folder.path()).join("state")
    }

    /// A hospital at either process.
    fn hospital(&self, ura: &str) -> [Hospital; 2] {
        let identity = enrol(&self.state(), ura);
        [at(&self.urls[0], ura, &identity), at(&self.urls[1], ura, &identity)]
    }
}

async fn poll(hospital: &Hospital, since: Option<Timestamp>, wait: u64) -> Bundle<Task> {
    let since = since.map(|mark| format!("?_lastUpdated=ge{mark}")).unwrap_or_default();
    let request = hospital.request(Method::GET, &format!("/fhir/Task{since}"));
    request.header("prefer", format!("wait={wait}")).send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn what_is_begun_at_one_is_ended_at_the_other_and_wakes_a_poll_at_the_first() {
    let two = two();
    let [noord, noord_there] = two.hospital(NOORD);
    let [zuid, zuid_there] = two.hospital(ZUID);
    let mark = poll(&zuid, None, 0).await.meta.last_updated;
    let waiting = async {
        let page = tokio::time::timeout(DEADLINE, poll(&zuid, mark, 30)).await;
        page.expect("the poll wakes up before its own end")
    };
    let sending = async {
        let draft = noord.draft(ZUID);
        let transfer: TransferId = draft.id.parse().unwrap();
        assert_eq!(noord.create(&draft).await.status(), StatusCode::CREATED);
        assert_eq!(noord.put_part(&transfer, b"one").await.status(), StatusCode::CREATED);
        assert_eq!(noord_there.put_part(&transfer, b"two").await.status(), StatusCode::CREATED);
        assert_eq!(noord_there.put_part(&transfer, b"one").await.status(), StatusCode::PRECONDITION_FAILED);
        assert_eq!(noord_there.put_letter(&transfer, b"a letter").await.status(), StatusCode::CREATED);
        let task = commit(noord_there.task(&transfer).await, &entries(&[b"one", b"two"]));
        assert_eq!(noord_there.update(&task).await.status(), StatusCode::OK);
        transfer
    };
    let (page, transfer) = tokio::join!(waiting, sending);
    assert_eq!(page.entry[0].resource.as_ref().unwrap().id, transfer.to_string());
    for there in [&zuid, &zuid_there] {
        for part in [b"one", b"two"] {
            let given = there.get(&part_path(&transfer, &Digest::of(part))).await;
            assert_eq!(given.bytes().await.unwrap(), part[..]);
        }
    }
    assert_eq!(zuid_there.give_receipt(&transfer, ReceiptStage::InCustody).await.status(), StatusCode::OK);
    assert_eq!(noord.task(&transfer).await.status, "in-progress");
}

#[tokio::test]
async fn of_updates_that_race_exactly_one_wins() {
    let two = two();
    let senders = two.hospital(NOORD);
    let addressees = two.hospital(ZUID);
    for _ in 0..10 {
        let transfer = senders[0].send(ZUID, &[b"part"]).await;
        // The sender recalls while the addressee takes it into custody, each at both processes, from the same version.
        let task = senders[0].task(&transfer).await;
        let recall = recalled(task.clone());
        let receipt =
            beeldbox_protocol::portal::task::with_receipt(task, ReceiptStage::InCustody, true, "a.b.c");
        let answers = tokio::join!(
            senders[0].update(&recall),
            addressees[1].update(&receipt),
            senders[1].update(&recall),
            addressees[0].update(&receipt),
        );
        let statuses = [answers.0, answers.1, answers.2, answers.3].map(|answer| answer.status());
        let won = statuses.iter().filter(|status| **status == StatusCode::OK).count();
        let lost = statuses.iter().filter(|status| **status == StatusCode::PRECONDITION_FAILED).count();
        assert_eq!((won, lost), (1, 3), "{statuses:?}");
        assert_eq!(senders[1].task(&transfer).await.meta.version_id.as_deref(), Some("3"));
    }
}

#[tokio::test]
async fn one_process_erases_while_the_other_takes_over() {
    let two = two();
    let [erases, takes_over] = two.hospital(NOORD);
    let [_, addressee] = two.hospital(OTHER);
    take_over::race(&erases, &takes_over, &addressee).await;
}

/// Goal: no mark overtakes a change. Method: transfers are made at both processes at the same time while a reader goes
/// on from mark to mark, at the one and the other in turn; in the end it must have been told of each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_goes_from_mark_to_mark_misses_nothing() {
    const EACH: usize = 25;
    let two = two();
    let readers = two.hospital(ZUID);
    let mut senders = Vec::new();
    for url in [&two.urls[0], &two.urls[1], &two.urls[0], &two.urls[1]] {
        let noord = at(url, NOORD, &enrol(&two.state(), NOORD));
        senders.push(tokio::spawn(async move {
            let mut sent = BTreeSet::new();
            for _ in 0..EACH {
                sent.insert(noord.send(ZUID, &[]).await.to_string());
            }
            sent
        }));
    }
    let mut told = BTreeSet::new();
    let mut mark = None;
    let mut rounds = 0;
    while told.len() < 4 * EACH && rounds < 100_000 {
        let is_over = senders.iter().all(|sender| sender.is_finished());
        let page = poll(&readers[rounds % 2], mark, 0).await;
        let next = page.meta.last_updated;
        assert!(next >= mark, "marks go on");
        let found = page.entry.into_iter().filter_map(|entry| entry.resource);
        let before = told.len();
        told.extend(found.map(|task| task.id));
        mark = next;
        rounds += 1;
        if is_over && told.len() == before {
            break;
        }
    }
    let mut sent = BTreeSet::new();
    for sender in senders {
        sent.extend(sender.await.unwrap());
    }
    assert_eq!(told.len(), sent.len(), "a change was overtaken by a mark");
    assert_eq!(told, sent);
}

#[tokio::test]
async fn the_death_of_one_does_not_stop_the_other() {
    let mut two = two();
    let [doomed, noord] = two.hospital(NOORD);
    let draft = doomed.draft(ZUID);
    let transfer: TransferId = draft.id.parse().unwrap();
    assert_eq!(doomed.create(&draft).await.status(), StatusCode::CREATED);
    let mut stored = Vec::new();
    let dying = two.programs.remove(0);
    let (count, mut counted) = tokio::sync::watch::channel(0);
    let sending = async {
        for number in 0..=u8::MAX {
            let part = [vec![number], vec![7; 40_000]].concat();
            match doomed.try_put_part(&transfer, &part).await {
                Ok(answer) if answer.status() == StatusCode::CREATED => stored.push(part),
                Ok(_) | Err(_) => return,
            }
            count.send_modify(|count| *count += 1);
        }
    };
    let killing = async {
        counted.wait_for(|count| *count == 5).await.unwrap();
        drop(dying);
    };
    tokio::join!(sending, killing);
    assert!(stored.len() >= 5);
    let parts: Vec<&[u8]> = stored.iter().map(Vec::as_slice).collect();
    assert_eq!(noord.put_letter(&transfer, b"a letter").await.status(), StatusCode::CREATED);
    let task = commit(noord.task(&transfer).await, &entries(&parts));
    assert_eq!(noord.update(&task).await.status(), StatusCode::OK, "every answered part is there");
}
