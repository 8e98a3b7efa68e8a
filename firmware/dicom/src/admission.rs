//! Who has a place: connections that have not said who they are, and associations.
//!
//! Two rooms. In the *waiting room* are connections before A-ASSOCIATE-RQ and after the last PDU; it never turns a new
//! one away, it closes the oldest, because an honest peer asks at once and a flood just sits there. *Places* are counted
//! per peer; some are kept for each listed peer, so that neither one busy peer nor a crowd of strangers takes them all.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::negotiate::Reject;
use crate::policy::NodePolicy;

/// Bits of an IPv6 address that count as one neighbour: whoever has one address has the /64.
const SAME_NEIGHBOUR: u128 = !0 << 64;

/// Both rooms of a node.
#[derive(Debug)]
pub(crate) struct Admission {
    policy: Arc<NodePolicy>,
    rooms: Mutex<Rooms>,
}

#[derive(Debug, Default)]
struct Rooms {
    waiting: VecDeque<Waiting>,
    next_number: u64,
    associations: HashMap<Who, usize>,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    from: IpAddr,
    leave: oneshot::Sender<()>,
}

/// Whom a place is counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Who {
    /// A listed peer, by its place in the list.
    Listed(usize),
    /// Somebody else, by address.
    Stranger(IpAddr),
}

/// A seat in the waiting room; dropping it leaves.
#[derive(Debug)]
pub(crate) struct Seat {
    admission: Arc<Admission>,
    number: u64,
    told: oneshot::Receiver<()>,
}

/// A place for an association; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Place {
    admission: Arc<Admission>,
    who: Who,
}

impl Admission {
    pub(crate) fn new(policy: Arc<NodePolicy>) -> Arc<Self> {
        Arc::new(Admission { policy, rooms: Mutex::default() })
    }

    /// Takes a seat. If there are too many, the oldest of the same address, or of all, is told to leave.
    pub(crate) fn wait(self: &Arc<Self>, from: IpAddr) -> Seat {
        let from = neighbour(from);
        let mut rooms = self.rooms();
        let of_address = rooms.waiting.iter().filter(|waiting| waiting.from == from).count();
        let oldest = if of_address >= self.policy.max_waiting_per_address {
            rooms.waiting.iter().position(|waiting| waiting.from == from)
        } else if rooms.waiting.len() >= self.policy.max_waiting {
            Some(0)
        } else {
            None
        };
        if let Some(oldest) = oldest.and_then(|at| rooms.waiting.remove(at)) {
            // If it has just left by itself, so much the better.
            let _ = oldest.leave.send(());
        }
        let (leave, told) = oneshot::channel();
        let number = rooms.next_number;
        rooms.next_number += 1;
        rooms.waiting.push_back(Waiting { number, from, leave });
        Seat { admission: Arc::clone(self), number, told }
    }

    /// Takes a place for a peer.
    pub(crate) fn take(self: &Arc<Self>, peer: Option<usize>, from: IpAddr) -> Result<Place, Reject> {
        let who = peer.map_or_else(|| Who::Stranger(neighbour(from)), Who::Listed);
        let policy = &self.policy;
        let mut rooms = self.rooms();
        let of_peer = rooms.associations.get(&who).copied().unwrap_or(0);
        let most = policy.rules(peer).max_associations.or(policy.max_associations_per_peer);
        if most.is_some_and(|most| of_peer >= most) {
            return Err(Reject::TooManyOfPeer);
        }
        let taken: usize = rooms.associations.values().sum();
        let reserve = self.reserve();
        let kept_for_others: usize = (0..policy.allowed_peers.len())
            .map(Who::Listed)
            .filter(|other| *other != who)
            .map(|other| reserve.saturating_sub(rooms.associations.get(&other).copied().unwrap_or(0)))
            .sum();
        let has_own_reserve = peer.is_some() && of_peer < reserve;
        let kept = if has_own_reserve { 0 } else { kept_for_others };
        if taken + kept >= policy.max_associations {
            return Err(Reject::TooManyAssociations);
        }
        *rooms.associations.entry(who).or_default() += 1;
        Ok(Place { admission: Arc::clone(self), who })
    }

    /// Places kept for each listed peer: as many as the policy wants, if there are enough and half remain for all.
    fn reserve(&self) -> usize {
        let peers = self.policy.allowed_peers.len().max(1);
        self.policy.reserved_per_peer.min(self.policy.max_associations.div_ceil(2) / peers)
    }

    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        // Nothing in here can be left half done.
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Returns when the seat is wanted for somebody else.
    pub(crate) async fn told_to_leave(&mut self) {
        // Without an answer the seat is ours until it is dropped.
        if (&mut self.told).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.admission.rooms().waiting.retain(|waiting| waiting.number != self.number);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut rooms = self.admission.rooms();
        if let Some(count) = rooms.associations.get_mut(&self.who) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                rooms.associations.remove(&self.who);
            }
        }
    }
}

/// The address as far as it tells neighbours apart.
fn neighbour(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) & SAME_NEIGHBOUR)),
    }
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
