//! Each way to fail names its own step.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::*;
use crate::fixtures::Nobody;
use crate::policy::NodePolicy;

const LIMITS: AssociationLimits = AssociationLimits {
    connect: Duration::from_secs(5),
    artim: Duration::from_millis(500),
    progress: Duration::from_secs(5),
    response: Duration::from_millis(500),
};

async fn diagnosed(address: &str, called: &str) -> Diagnosis {
    let node = PeerNode::plain(called.parse().unwrap(), address);
    diagnose(&node, &"BEELDBOX".parse().unwrap(), LIMITS).await
}

/// A listener that says this to everybody.
async fn a_speaker(words: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(words).await.unwrap();
            kept.push(stream);
        }
    });
    address
}

#[tokio::test]
async fn a_peer_that_answers_has_every_step() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let policy = NodePolicy { accept_any_peer: true, ..NodePolicy::new("ARCHIVE".parse().unwrap()) };
    tokio::spawn(crate::listen(listener, Arc::new(policy), Arc::new(Nobody), std::future::pending()));
    let diagnosis = diagnosed(&address, "ARCHIVE").await;
    assert!(diagnosis.is_answered() && diagnosis.failure().is_none(), "{diagnosis:?}");
    assert_eq!(diagnosis.steps.len(), 6);
    let other = diagnosed(&address, "OTHER").await;
    assert!(
        matches!(
            other.failure(),
            Some((
                DiagnosisStep::Associate,
                DiagnosisFailure::Rejected { transient: false, code: (1, 7), .. }
            ))
        ),
        "{other:?}"
    );
    assert!(other.advice().contains("AE title of the peer"));
}

#[tokio::test]
async fn each_obstacle_is_found_where_it_is() {
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let abort: &[u8] = &[7, 0, 0, 0, 0, 4, 0, 0, 0, 0];
    for (address, step, expected) in [
        ("no port here".to_owned(), DiagnosisStep::Resolve, DiagnosisFailure::NameUnknown),
        (closed, DiagnosisStep::Connect, DiagnosisFailure::ConnectionRefused),
        (a_speaker(b"").await, DiagnosisStep::Associate, DiagnosisFailure::TimedOut),
        (a_speaker(abort).await, DiagnosisStep::Associate, DiagnosisFailure::Aborted),
    ] {
        let diagnosis = diagnosed(&address, "ARCHIVE").await;
        assert_eq!(diagnosis.failure(), Some((step, &expected)));
        assert!(!diagnosis.is_answered());
    }
    let http = diagnosed(&a_speaker(b"HTTP/1.1 400 Bad Request\r\n\r\n").await, "ARCHIVE").await;
    assert!(
        matches!(http.failure(), Some((DiagnosisStep::Associate, DiagnosisFailure::Disorder(_)))),
        "{http:?}"
    );
}
