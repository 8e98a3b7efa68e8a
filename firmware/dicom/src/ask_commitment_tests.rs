//! Both ends of commitment against each other: our own node answers what we ask and takes what we report.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::commitment::ReferencedInstance;
use crate::policy::NodePolicy;
use crate::receive::tests::Diary;

fn instance(number: usize) -> ReferencedInstance {
    ReferencedInstance {
        sop_class: "1.2.840.10008.5.1.4.1.1.2".parse().unwrap(),
        sop_instance: format!("1.2.3.{number}").parse().unwrap(),
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
