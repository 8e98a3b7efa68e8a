//! A flood takes what is free and nothing that is kept.

use super::*;
use crate::policy::AllowedPeer;

fn address(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

fn a_node(peers: usize, max_associations: usize) -> Arc<Admission> {
    let listed = (0..peers).map(|n| AllowedPeer::new(format!("PEER{n}").parse().unwrap()));
    let policy = NodePolicy {
        allowed_peers: listed.collect(),
        accept_any_peer: true,
        max_associations,
        max_associations_per_peer: Some(6),
        reserved_per_peer: 2,
        max_waiting: 8,
        max_waiting_per_address: 3,
        ..NodePolicy::new("BEELDBOX".parse().unwrap())
    };
    Admission::new(Arc::new(policy))
}

#[test]
fn neither_one_peer_nor_a_crowd_of_strangers_keeps_another_out() {
    for flood in [Some(0), None] {
        let node = a_node(2, 10);
        let mut taken = Vec::new();
        let mut refused = Vec::new();
        for n in 0..40 {
            match node.take(flood, address(n)) {
                Ok(place) => taken.push(place),
                Err(reason) => refused.push(reason),
            }
        }
        assert!(!refused.is_empty());
        assert_eq!(taken.len(), 6, "{flood:?}");
        // The other listed peer still has its two, whatever the flood does.
        let mine = [node.take(Some(1), address(1)), node.take(Some(1), address(1))];
        assert!(mine.iter().all(Result::is_ok));
        let again = node.take(flood, address(99)).map(|_| ());
        assert!(matches!(again, Err(Reject::TooManyOfPeer | Reject::TooManyAssociations)));
    }
}

#[test]
fn places_come_back() {
    let node = a_node(1, 2);
    let first = node.take(None, address(1)).unwrap();
    assert!(matches!(node.take(None, address(2)), Err(Reject::TooManyAssociations)));
    drop(first);
    drop(node.take(None, address(2)).unwrap());
    assert!(node.rooms().associations.is_empty());
}

#[tokio::test]
async fn the_waiting_room_closes_the_oldest_of_the_same_address_first() {
    let node = a_node(0, 10);
    let mut honest = node.wait(address(1));
    let mut flood: Vec<Seat> = (0..4).map(|_| node.wait(address(2))).collect();
    flood[0].told_to_leave().await;
    assert!(honest.told.try_recv().is_err());
    assert!(flood[1].told.try_recv().is_err());
    // From many addresses: the oldest of all goes, and nobody is turned away at the door.
    let _crowd: Vec<Seat> = (10..18).map(|n| node.wait(address(n))).collect();
    honest.told_to_leave().await;
    drop(flood);
    assert!(node.rooms().waiting.len() <= 8);
}

#[test]
fn one_ipv6_network_is_one_neighbour() {
    let one: IpAddr = "2001:db8:0:1::1".parse().unwrap();
    let same: IpAddr = "2001:db8:0:1:ffff::9".parse().unwrap();
    let other: IpAddr = "2001:db8:0:2::1".parse().unwrap();
    assert_eq!(neighbour(one), neighbour(same));
    assert_ne!(neighbour(one), neighbour(other));
}
