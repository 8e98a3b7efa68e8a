//! TLS over loopback: who is believed, who is turned away, and what each side is told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use beeldbox_protocol::ident::AeTitle;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::fixtures::Nobody;
use crate::{
    AllowedPeer, AssociateError, EchoError, Listeners, NodePolicy, PeerNode, TransportPolicy, echo, listen,
};

/// A certificate of somebody's own making.
struct SelfMade {
    pem: String,
    key: String,
    thumbprint: CertificateThumbprint,
}

impl SelfMade {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["box.example".to_owned()]).unwrap();
        SelfMade {
            pem: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
            thumbprint: CertificateThumbprint::of(made.cert.der()),
        }
    }

    fn identity(&self) -> TlsIdentity {
        TlsIdentity::from_pem(self.pem.as_bytes(), self.key.as_bytes()).unwrap()
    }
}

struct Node {
    ae_title: AeTitle,
    plain: String,
    tls: String,
}

async fn a_node(ours: &SelfMade, clients: &TlsTrust, peers: Vec<AllowedPeer>) -> Node {
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tls = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let node = Node {
        ae_title: "BEELDBOX".parse().unwrap(),
        plain: plain.local_addr().unwrap().to_string(),
        tls: tls.local_addr().unwrap().to_string(),
    };
    let policy = NodePolicy { allowed_peers: peers, ..NodePolicy::new(node.ae_title.clone()) };
    let config = server_config(ours.identity(), clients).unwrap();
    let listeners = Listeners { plain: Some(plain), tls: Some((tls, config)) };
    tokio::spawn(listen(listeners, Arc::new(policy), Arc::new(Nobody), std::future::pending()));
    node
}

fn peer(name: &str, transport: TransportPolicy) -> AllowedPeer {
    AllowedPeer { transport, ..AllowedPeer::new(name.parse().unwrap()) }
}

/// Echoes as `name`, by TLS with or without a certificate, or plainly.
async fn call(node: &Node, name: &str, tls: Option<ClientTls>) -> Result<(), EchoError> {
    let address = if tls.is_some() { &node.tls } else { &node.plain };
    let to = PeerNode { ae_title: node.ae_title.clone(), address: address.clone(), tls };
    echo(&to, &name.parse().unwrap()).await
}

fn rejected(result: Result<(), EchoError>) -> String {
    match result {
        Err(EchoError::Associate(AssociateError::Rejected { transient: false, reason, .. })) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_peer_must_come_as_its_policy_says() {
    let (ours, theirs, others) = (SelfMade::new(), SelfMade::new(), SelfMade::new());
    let clients = TlsTrust::pinned(vec![theirs.thumbprint, others.thumbprint]);
    let bound = TransportPolicy::MutualTls { thumbprints: vec![theirs.thumbprint] };
    let peers =
        vec![peer("OPEN", TransportPolicy::Any), peer("TLS", TransportPolicy::Tls), peer("BOUND", bound)];
    let node = a_node(&ours, &clients, peers).await;
    let with = |identity: Option<&SelfMade>| {
        let trust = TlsTrust::pinned(vec![ours.thumbprint]);
        Some(ClientTls::new(&trust, "127.0.0.1", identity.map(SelfMade::identity)).unwrap())
    };
    call(&node, "OPEN", None).await.unwrap();
    call(&node, "OPEN", with(None)).await.unwrap();
    call(&node, "TLS", with(None)).await.unwrap();
    call(&node, "BOUND", with(Some(&theirs))).await.unwrap();
    assert_eq!(rejected(call(&node, "TLS", None).await), "no reason given");
    assert_eq!(rejected(call(&node, "BOUND", None).await), "no reason given");
    assert_eq!(rejected(call(&node, "BOUND", with(None)).await), "calling AE title not recognized");
    assert_eq!(rejected(call(&node, "BOUND", with(Some(&others))).await), "calling AE title not recognized");
    // A certificate that nobody vouches for is worse than none.
    let unknown = call(&node, "OPEN", with(Some(&SelfMade::new()))).await;
    assert!(matches!(unknown, Err(EchoError::Associate(_))), "{unknown:?}");
}

#[tokio::test]
async fn a_peer_with_another_certificate_is_not_sent_anything() {
    let (ours, others) = (SelfMade::new(), SelfMade::new());
    let node = a_node(&ours, &TlsTrust::default(), vec![peer("CT1", TransportPolicy::Any)]).await;
    // Its root, but another name.
    let by_root = TlsTrust::roots_from_pem(ours.pem.as_bytes()).unwrap();
    call(&node, "CT1", Some(ClientTls::new(&by_root, "box.example", None).unwrap())).await.unwrap();
    for (trust, name) in
        [(TlsTrust::pinned(vec![others.thumbprint]), "box.example"), (by_root, "other.example")]
    {
        let refused = call(&node, "CT1", Some(ClientTls::new(&trust, name, None).unwrap())).await;
        assert!(matches!(refused, Err(EchoError::Associate(AssociateError::Tls(_)))), "{refused:?}");
    }
    assert!(matches!(ClientTls::new(&TlsTrust::default(), "x", None), Err(TlsError::NobodyBelieved)));
}

#[tokio::test]
async fn plain_dicom_on_the_tls_port_is_closed_within_a_second() {
    let node = a_node(&SelfMade::new(), &TlsTrust::default(), Vec::new()).await;
    for greeting in [&b"\x01\x00\x00\x00\x00\xd7\x00\x01"[..], b"GET / HTTP/1.1\r\n\r\n"] {
        let mut stream = TcpStream::connect(&node.tls).await.unwrap();
        let began = Instant::now();
        stream.write_all(greeting).await.unwrap();
        let mut heard = Vec::new();
        // Closing with unread bytes resets the connection: that is closed too.
        let _ = stream.read_to_end(&mut heard).await;
        assert!(heard.is_empty() && began.elapsed() < Duration::from_secs(1));
    }
}
