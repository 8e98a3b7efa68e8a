//! Lists: no change is skipped, and waiting ends when there is something to tell.

use std::collections::BTreeSet;
use std::time::Duration;

use beeldbox_protocol::admin::ReceiptStage;
use beeldbox_protocol::portal::fhir::{Bundle, Task};
use jiff::Timestamp;
use reqwest::Method;

use crate::hospital::{Hospital, NOORD, ZUID, a_portal};

/// Longest that a test waits for what must happen.
const DEADLINE: Duration = Duration::from_secs(20);

async fn news(hospital: &Hospital, query: &str, wait: u64) -> Bundle<Task> {
    let request = hospital.request(Method::GET, &format!("/fhir/Task?{query}"));
    request.header("prefer", format!("wait={wait}")).send().await.unwrap().json().await.unwrap()
}

async fn all(hospital: &Hospital, count: usize) -> (Vec<Task>, Timestamp) {
    let mut path = format!("/fhir/Task?_count={count}");
    let mut found = Vec::new();
    loop {
        let page: Bundle<Task> = hospital.get(&path).await.json().await.unwrap();
        let mark = page.meta.last_updated.unwrap();
        let next = page.next().map(str::to_owned);
        found.extend(page.entry.into_iter().filter_map(|entry| entry.resource));
        match next {
            Some(next) => path = next,
            None => return (found, mark),
        }
    }
}

fn ids(tasks: &[Task]) -> BTreeSet<String> {
    tasks.iter().map(|task| task.id.clone()).collect()
}

#[tokio::test]
async fn pages_never_skip_a_transfer_also_if_some_change_meanwhile() {
    let running = a_portal().await;
    let (noord, zuid) = (Hospital::of(&running.portal, NOORD), Hospital::of(&running.portal, ZUID));
    let mut sent = Vec::new();
    for _ in 0..7 {
        sent.push(noord.send(ZUID, &[]).await);
    }
    let expected: BTreeSet<String> = sent.iter().map(ToString::to_string).collect();
    for hospital in [&noord, &zuid] {
        let (found, _) = all(hospital, 2).await;
        assert_eq!((found.len(), ids(&found)), (7, expected.clone()));
        assert!(found.is_sorted_by_key(|task| task.meta.last_updated));
    }
    let first: Bundle<Task> = zuid.get("/fhir/Task?_count=3").await.json().await.unwrap();
    // One that was told and one that was not move to the end.
    zuid.give_receipt(&sent[0], ReceiptStage::InCustody).await;
    zuid.give_receipt(&sent[6], ReceiptStage::InCustody).await;
    let mut found: Vec<Task> = Vec::new();
    let mut next = first.next().map(str::to_owned);
    found.extend(first.entry.into_iter().filter_map(|entry| entry.resource));
    while let Some(path) = next {
        let page: Bundle<Task> = zuid.get(&path).await.json().await.unwrap();
        next = page.next().map(str::to_owned);
        found.extend(page.entry.into_iter().filter_map(|entry| entry.resource));
    }
    assert_eq!(ids(&found), expected);
    let last_of = |id: &str| found.iter().rfind(|task| task.id == id).unwrap().status.clone();
    assert_eq!(last_of(&sent[0].to_string()), "in-progress");
    assert_eq!(last_of(&sent[6].to_string()), "in-progress");
}

#[tokio::test]
async fn going_on_from_the_mark_tells_only_what_is_new() {
    let running = a_portal().await;
    let (noord, zuid) = (Hospital::of(&running.portal, NOORD), Hospital::of(&running.portal, ZUID));
    noord.send(ZUID, &[]).await;
    let (_, mark) = all(&zuid, 10).await;
    assert!(news(&zuid, &format!("_lastUpdated=ge{mark}"), 0).await.entry.is_empty());
    let second = noord.send(ZUID, &[]).await;
    let page = news(&zuid, &format!("_lastUpdated=ge{mark}"), 0).await;
    let told: Vec<Task> = page.entry.into_iter().filter_map(|entry| entry.resource).collect();
    assert_eq!(ids(&told), BTreeSet::from([second.to_string()]));
}

#[tokio::test]
async fn a_waiting_poll_wakes_up_when_something_is_sent() {
    let running = a_portal().await;
    let (noord, zuid) = (Hospital::of(&running.portal, NOORD), Hospital::of(&running.portal, ZUID));
    let (_, mark) = all(&zuid, 10).await;
    let query = format!("_lastUpdated=ge{mark}");
    let waiting = tokio::time::timeout(DEADLINE, news(&zuid, &query, 30));
    let (page, transfer) = tokio::join!(waiting, noord.send(ZUID, &[]));
    let page = page.expect("the poll wakes up before its own end");
    let told: Vec<Task> = page.entry.into_iter().filter_map(|entry| entry.resource).collect();
    assert_eq!(ids(&told), BTreeSet::from([transfer.to_string()]));
}

#[tokio::test]
async fn a_waiting_poll_ends_empty_and_its_mark_can_be_gone_on_from() {
    let running = a_portal().await;
    let (noord, zuid) = (Hospital::of(&running.portal, NOORD), Hospital::of(&running.portal, ZUID));
    let page = tokio::time::timeout(DEADLINE, news(&zuid, "_count=5", 1)).await.unwrap();
    assert!(page.entry.is_empty());
    let mark = page.meta.last_updated.unwrap();
    let transfer = noord.send(ZUID, &[]).await;
    let page = news(&zuid, &format!("_lastUpdated=ge{mark}"), 0).await;
    assert_eq!(page.entry[0].resource.as_ref().unwrap().id, transfer.to_string());
}

#[tokio::test]
async fn a_waiting_poll_is_answered_when_the_portal_stops() {
    let running = a_portal().await;
    let zuid = Hospital::of(&running.portal, ZUID);
    // The connection stands before the portal stops.
    zuid.get("/metadata").await;
    let waiting = tokio::spawn(async move { news(&zuid, "_count=5", 30).await });
    while !running.portal.has_waiting_polls() {
        tokio::task::yield_now().await;
    }
    tokio::time::timeout(DEADLINE, running.portal.stop()).await.expect("the portal stops");
    assert!(waiting.await.unwrap().entry.is_empty());
}

#[tokio::test]
async fn a_list_can_be_restricted_to_one_side() {
    let running = a_portal().await;
    let (noord, zuid) = (Hospital::of(&running.portal, NOORD), Hospital::of(&running.portal, ZUID));
    let there = noord.send(ZUID, &[]).await;
    let back = zuid.send(NOORD, &[]).await;
    for (query, expected) in [
        (format!("owner={ZUID}"), there),
        (format!("owner:identifier=http://fhir.nl/fhir/NamingSystem/ura%7C{NOORD}"), back),
        (format!("requester={NOORD}&status=requested,draft"), there),
    ] {
        let page = news(&noord, &query, 0).await;
        let found: Vec<String> = page.entry.iter().map(|e| e.resource.as_ref().unwrap().id.clone()).collect();
        assert_eq!(found, [expected.to_string()], "{query}");
    }
    let unknown = noord.get("/fhir/Task?patient=1").await;
    assert_eq!(unknown.status(), reqwest::StatusCode::BAD_REQUEST);
}
