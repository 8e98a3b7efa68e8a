//! The acceptor over loopback: who is let in, who is turned away with which reason, and how it stops.

use bytes::Bytes;
use tokio::sync::oneshot;

use super::*;
use crate::fixtures::Nobody;
use crate::{
    AllowedPeer, AssociateError, AssociationLimits, EchoError, OutgoingInstance, OutgoingSource, PeerNode,
    SourceError, associate, echo,
};

type Running = tokio::task::JoinHandle<Result<(), ListenError>>;

async fn a_node(max_associations: usize) -> (PeerNode, oneshot::Sender<()>, Running) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let ae_title: beeldbox_protocol::ident::AeTitle = "BEELDBOX".parse().unwrap();
    let policy = NodePolicy {
        allowed_peers: vec![AllowedPeer::new("CT1".parse().unwrap())],
        max_associations,
        ..NodePolicy::new(ae_title.clone())
    };
    let (stop, stopped) = oneshot::channel();
    let running = tokio::spawn(listen(listener, Arc::new(policy), Arc::new(Nobody), async {
        let _ = stopped.await;
    }));
    (PeerNode::plain(ae_title, address), stop, running)
}

struct OneChunk(Option<Bytes>);

impl OutgoingSource for OneChunk {
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, SourceError> {
        Ok(self.0.take())
    }
}

#[tokio::test]
async fn a_known_peer_echoes_and_an_unknown_one_is_told_why_not() {
    let (node, _stop, _running) = a_node(4).await;
    echo(&node, &"CT1".parse().unwrap()).await.unwrap();
    let refused = echo(&node, &"CT2".parse().unwrap()).await;
    let Err(EchoError::Associate(AssociateError::Rejected { transient, reason, .. })) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!((transient, reason.as_str()), (false, "calling AE title not recognized"));
}

#[tokio::test]
async fn one_association_too_many_is_refused_for_now() {
    let (node, _stop, _running) = a_node(1).await;
    let calling = "CT1".parse().unwrap();
    let pair = [("1.2.840.10008.5.1.4.1.1.2".parse().unwrap(), "1.2.840.10008.1.2".parse().unwrap())];
    let first = associate(&node, &calling, &pair, AssociationLimits::default()).await.unwrap();
    let second = associate(&node, &calling, &pair, AssociationLimits::default()).await;
    assert!(matches!(second, Err(AssociateError::Rejected { transient: true, .. })));
    first.release().await;
}

#[tokio::test]
async fn a_stopping_node_lets_an_association_finish_its_work() {
    let (node, stop, running) = a_node(4).await;
    let class: beeldbox_protocol::ident::SopClassUid = "1.2.840.10008.5.1.4.1.1.2".parse().unwrap();
    let syntax: beeldbox_protocol::ident::TransferSyntaxUid = "1.2.840.10008.1.2".parse().unwrap();
    let pair = [(class.clone(), syntax.clone())];
    let mut association =
        associate(&node, &"CT1".parse().unwrap(), &pair, AssociationLimits::default()).await.unwrap();
    stop.send(()).unwrap();
    let instance = OutgoingInstance {
        sop_class: class,
        sop_instance: "1.2.3".parse().unwrap(),
        transfer_syntax: syntax,
        size_hint: None,
    };
    let outcome =
        association.store(&instance, &mut OneChunk(Some(Bytes::from_static(&[0; 4096])))).await.unwrap();
    assert!(outcome.status.is_success());
    association.release().await;
    running.await.unwrap().unwrap();
}

/// Sits there and says nothing, or says that it is somebody, as often as asked.
async fn a_flood(address: &str, how_many: usize, says: &[u8]) -> Vec<tokio::net::TcpStream> {
    let mut flood = Vec::new();
    for _ in 0..how_many {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, says).await.unwrap();
        flood.push(stream);
    }
    flood
}

#[tokio::test]
async fn a_flood_of_silent_connections_keeps_nobody_out() {
    let (node, _stop, _running) = a_node(4).await;
    let _silent = a_flood(&node.address, 300, b"").await;
    let _dripping = a_flood(&node.address, 100, &[1, 0, 0, 0]).await;
    echo(&node, &"CT1".parse().unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_peer_that_takes_all_its_places_leaves_those_of_another() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let ae_title: beeldbox_protocol::ident::AeTitle = "BEELDBOX".parse().unwrap();
    let policy = NodePolicy {
        allowed_peers: ["CT1", "CT2"].map(|name| AllowedPeer::new(name.parse().unwrap())).into(),
        max_associations: 6,
        reserved_per_peer: 1,
        ..NodePolicy::new(ae_title.clone())
    };
    tokio::spawn(listen(listener, Arc::new(policy), Arc::new(Nobody), std::future::pending()));
    let node = PeerNode::plain(ae_title, address);
    let pair = [("1.2.840.10008.5.1.4.1.1.2".parse().unwrap(), "1.2.840.10008.1.2".parse().unwrap())];
    let greedy = "CT1".parse().unwrap();
    let mut held = Vec::new();
    let refused = loop {
        match associate(&node, &greedy, &pair, AssociationLimits::default()).await {
            Ok(association) => held.push(association),
            Err(refused) => break refused,
        }
    };
    assert_eq!(held.len(), 5);
    let AssociateError::Rejected { transient, reason, .. } = refused else { panic!("{refused:?}") };
    assert_eq!((transient, reason.as_str()), (true, "temporary congestion"));
    echo(&node, &"CT2".parse().unwrap()).await.unwrap();
}
