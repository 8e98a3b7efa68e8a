//! Name, address and certificate together make a peer.

use super::*;

fn thumbprint(of: &str) -> CertificateThumbprint {
    CertificateThumbprint::of(of.as_bytes())
}

fn peer(name: &str, network: Option<&str>, transport: TransportPolicy) -> AllowedPeer {
    let address = network.map(|network| network.parse().unwrap());
    AllowedPeer { address, transport, ..AllowedPeer::new(name.parse().unwrap()) }
}

#[test]
fn networks_contain_what_begins_like_them() {
    for (network, inside, outside) in [
        ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
        ("10.1.0.0/16", "10.1.255.9", "10.2.0.0"),
        ("10.1.2.3/16", "::ffff:10.1.0.1", "::10.1.0.1"),
        ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
        ("2001:db8::/32", "2001:db8:9::1", "2001:db9::1"),
        ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.2"),
    ] {
        let network: Network = network.parse().unwrap();
        assert!(network.contains(inside.parse().unwrap()), "{network} {inside}");
        assert!(!network.contains(outside.parse().unwrap()), "{network} {outside}");
    }
    for wrong in ["", "10.1", "10.1.0.0/33", "10.1.0.0/-1", "10.1.0.0/", "ct.example"] {
        assert_eq!(wrong.parse::<Network>(), Err(NetworkError), "{wrong}");
    }
}

#[test]
fn thumbprints_read_as_openssl_writes_them() {
    let plain = thumbprint("x").to_string();
    let pairs: Vec<String> =
        plain.as_bytes().chunks(2).map(|p| String::from_utf8_lossy(p).to_uppercase()).collect();
    assert_eq!(pairs.join(":").parse(), Ok(thumbprint("x")));
    assert_eq!(plain[1..].parse::<CertificateThumbprint>(), Err(ThumbprintError));
}

#[test]
fn each_binding_refuses_for_its_own_reason() {
    let mutual = |of: &[&str]| TransportPolicy::MutualTls {
        thumbprints: of.iter().map(|of| thumbprint(of)).collect(),
    };
    let mut policy = NodePolicy::new("BEELDBOX".parse().unwrap());
    policy.allowed_peers = vec![
        peer("PLAIN", None, TransportPolicy::Any),
        peer("PLACED", Some("10.1.0.0/16"), TransportPolicy::Any),
        peer("TLS", None, TransportPolicy::Tls),
        peer("ROOTS", None, mutual(&[])),
        peer("PINNED", None, mutual(&["old", "new"])),
        peer("TWICE", Some("10.1.0.1"), TransportPolicy::Any),
        peer("TWICE", Some("10.2.0.1"), TransportPolicy::Tls),
    ];
    let bare = Transport::Tls { certificate: None };
    let showing = |of: &str| Transport::Tls { certificate: Some(thumbprint(of)) };
    for (name, from, transport, expected) in [
        ("PLAIN", "10.9.9.9", Transport::Plain, Ok(Some(0))),
        ("PLAIN", "10.9.9.9", bare, Ok(Some(0))),
        ("PLACED", "10.1.9.9", Transport::Plain, Ok(Some(1))),
        ("PLACED", "10.9.9.9", Transport::Plain, Err(Reject::Address)),
        ("TLS", "10.9.9.9", Transport::Plain, Err(Reject::NeedsTls)),
        ("TLS", "10.9.9.9", bare, Ok(Some(2))),
        ("ROOTS", "10.9.9.9", Transport::Plain, Err(Reject::NeedsTls)),
        ("ROOTS", "10.9.9.9", bare, Err(Reject::NeedsCertificate)),
        ("ROOTS", "10.9.9.9", showing("any"), Ok(Some(3))),
        ("PINNED", "10.9.9.9", showing("any"), Err(Reject::OtherCertificate)),
        ("PINNED", "10.9.9.9", showing("new"), Ok(Some(4))),
        ("TWICE", "10.1.0.1", Transport::Plain, Ok(Some(5))),
        ("TWICE", "10.2.0.1", Transport::Plain, Err(Reject::NeedsTls)),
        ("TWICE", "10.2.0.1", bare, Ok(Some(6))),
        ("NOBODY", "10.1.0.1", Transport::Plain, Err(Reject::CallingAe)),
    ] {
        let found = policy.identify(&name.parse().unwrap(), from.parse().unwrap(), &transport);
        assert_eq!(found, expected, "{name} from {from}");
    }
    policy.accept_any_peer = true;
    let stranger = policy.identify(&"NOBODY".parse().unwrap(), "10.1.0.1".parse().unwrap(), &bare);
    assert_eq!(stranger, Ok(None));
}
