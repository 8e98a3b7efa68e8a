//! Both ends of commitment against each other: our own node answers what we ask and takes what we report.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::commitment::ReferencedInstance;
use crate::find::tests::an_archive;
use crate::policy::NodePolicy;
use crate::receive::tests::{Diary, pdvs};

fn instance(number: usize) -> ReferencedInstance {
    ReferencedInstance {
        sop_class: "1.2.840.10008.5.1.4.1.1.2".parse().unwrap(),
        sop_instance: format!("1.2.3.{number}").parse().unwrap(),
    }
}

/// N-ACTION-RSP to our request.
fn answer(message_id: u16, status: DimseStatus) -> Vec<u8> {
    let request = dimse::action_request(message_id, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE, REQUEST);
    let request = dimse::Command::parse(request.into()).unwrap();
    pdvs(1, 1, &dimse::response(&request, status, None), 4096)
}

/// N-EVENT-REPORT-RQ of an archive.
fn report(transaction: &str) -> Vec<u8> {
    let command = dimse::event_report_request(9, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE, 1);
    let transaction = transaction.parse().unwrap();
    let result = CommitmentResult { transaction, committed: vec![instance(1)], failed: vec![] };
    [pdvs(1, 1, &command, 4096), pdvs(1, 0, &result.write(Encoding::ExplicitLittle), 4096)].concat()
}

/// Asks an archive that says this, for 200 ms.
async fn asked_of(words: Vec<u8>) -> Result<Option<CommitmentResult>, CommitmentError> {
    let (node, _ended) = an_archive(move |_, _, _| words.clone()).await;
    let request = CommitmentRequest { transaction: "2.25.7".parse().unwrap(), items: vec![instance(1)] };
    let limits = AssociationLimits { response: Duration::from_secs(2), ..AssociationLimits::default() };
    request_commitment(&node, &calling(), &request, Duration::from_millis(200), limits).await
}

#[tokio::test]
async fn reports_may_come_early_and_only_ours_counts() {
    let ok = answer(1, DimseStatus::SUCCESS);
    let early = asked_of([report("2.25.7"), ok.clone()].concat()).await.unwrap();
    assert_eq!(early.unwrap().committed, [instance(1)]);
    assert_eq!(asked_of([ok.clone(), report("2.25.99")].concat()).await.unwrap(), None);
    let both = asked_of([ok.clone(), report("2.25.99"), report("2.25.7")].concat()).await.unwrap();
    assert_eq!(both.unwrap().transaction.as_str(), "2.25.7");
    // The request was accepted, so an abort afterwards leaves the report to another association.
    let abort = [7, 0, 0, 0, 0, 4, 0, 0, 0, 0];
    assert_eq!(asked_of([&ok[..], &abort].concat()).await.unwrap(), None);
}

#[tokio::test]
async fn a_request_that_was_not_accepted_is_an_error_whatever_else_came() {
    let refused = asked_of([report("2.25.7"), answer(1, DimseStatus::RESOURCE_LIMITATION)].concat()).await;
    let status = DimseStatus::RESOURCE_LIMITATION;
    assert!(
        matches!(&refused, Err(CommitmentError::Refused { status: found, .. }) if *found == status),
        "{refused:?}"
    );
    for bad in
        [answer(2, DimseStatus::SUCCESS), report("2.25.99").repeat(MOST_MESSAGES), vec![4, 0, 0, 0, 0, 1, 0]]
    {
        let refused = asked_of(bad).await;
        assert!(matches!(refused, Err(CommitmentError::Conversation(_))), "{refused:?}");
    }
}

/// A node that writes a diary.
async fn a_node(diary: Diary) -> PeerNode {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let policy = NodePolicy { accept_any_peer: true, ..NodePolicy::new("BEELDBOX".parse().unwrap()) };
    tokio::spawn(crate::listen(listener, Arc::new(policy), Arc::new(diary), std::future::pending()));
    PeerNode::plain("BEELDBOX".parse().unwrap(), address)
}

fn calling() -> AeTitle {
    "PACS".parse().unwrap()
}

#[tokio::test]
async fn what_is_asked_is_reported_on_the_same_association_or_later() {
    let diary = Diary::default();
    let node = a_node(diary.clone()).await;
    let request =
        CommitmentRequest { transaction: "2.25.7".parse().unwrap(), items: (0..30).map(instance).collect() };
    let limits = AssociationLimits::default();
    let wait = Duration::from_secs(20);
    let result = request_commitment(&node, &calling(), &request, wait, limits).await.unwrap().unwrap();
    assert_eq!((result.committed.len(), result.failed.len()), (27, 3));
    assert!(result.failed.iter().all(|(_, reason)| *reason == 0x0112));
    let none = request_commitment(&node, &calling(), &request, Duration::ZERO, limits).await.unwrap();
    assert_eq!(none, None);
    let entries = diary.entries();
    assert_eq!(entries.iter().filter(|entry| *entry == "commit 2.25.7 30").count(), 2);
    assert_eq!(entries.iter().filter(|entry| *entry == "told 2.25.7").count(), 1);
}

#[tokio::test]
async fn a_report_reaches_the_other_side_in_the_role_that_reports() {
    let diary = Diary::default();
    let node = a_node(diary.clone()).await;
    let result = CommitmentResult {
        transaction: "2.25.8".parse().unwrap(),
        committed: (0..MOST_ITEMS - 1).map(instance).collect(),
        failed: vec![(instance(MOST_ITEMS), 0x0110)],
    };
    report_commitment(&node, &calling(), &result, AssociationLimits::default()).await.unwrap();
    assert_eq!(diary.entries(), [format!("PACS reports 2.25.8 {} 1", MOST_ITEMS - 1)]);
    let more = CommitmentResult { committed: (0..MOST_ITEMS).map(instance).collect(), ..result };
    let refused = report_commitment(&node, &calling(), &more, AssociationLimits::default()).await;
    assert!(matches!(refused, Err(CommitmentError::TooMany { .. })), "{refused:?}");
}
