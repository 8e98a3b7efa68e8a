//! Whose turn it is, and how fast bytes go.

use std::sync::Arc;
use std::time::Duration;

use beeldbox_protocol::ident::TransferId;
use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::time::Instant;

use super::*;
use crate::bandwidth::Allowance;

const MBIT: u64 = 125_000;

fn line(allowance: Allowance) -> Arc<Line> {
    let schedule = Schedule { otherwise: allowance, ..Schedule::default() };
    Lines::new(schedule, Arc::new(|| Timestamp::UNIX_EPOCH)).up
}

fn traveller(number: u8, urgent: bool) -> Traveller {
    Traveller { transfer: TransferId::from_random([number; 16]), urgent }
}

#[tokio::test]
async fn bulk_waits_for_a_slot_and_urgent_does_not() {
    let line = line(Allowance::default());
    let mut bulk = Vec::new();
    for _ in 0..line.limit() {
        bulk.push(line.slot(traveller(1, false)).await);
    }
    let mut more = Box::pin(line.slot(traveller(1, false)));
    assert!((&mut more).now_or_never().is_none(), "the limit is reached");
    let urgent = line.slot(traveller(2, true)).now_or_never();
    assert!(urgent.is_some(), "urgent starts at once");
    let _second = line.slot(traveller(2, true)).now_or_never().unwrap();
    let mut third = Box::pin(line.slot(traveller(2, true)));
    assert!((&mut third).now_or_never().is_none(), "urgent is bounded too");
    // A part boundary: what is free goes to the urgent one, though the other came earlier.
    drop(bulk.pop());
    assert!((&mut third).now_or_never().is_some());
    assert!((&mut more).now_or_never().is_none());
}

#[tokio::test]
async fn slots_are_shared_between_transfers() {
    let line = line(Allowance::default());
    let mut first = Vec::new();
    for _ in 0..line.limit() {
        first.push(line.slot(traveller(1, false)).await);
    }
    let mut large = Box::pin(line.slot(traveller(1, false)));
    assert!((&mut large).now_or_never().is_none());
    let mut small = Box::pin(line.slot(traveller(2, false)));
    assert!((&mut small).now_or_never().is_none());
    drop(first.pop());
    assert!((&mut large).now_or_never().is_none(), "it has three already");
    assert!((&mut small).now_or_never().is_some());
}

#[tokio::test]
async fn a_slot_that_nobody_waits_for_any_more_goes_to_the_next() {
    let line = line(Allowance::default());
    let mut held = Vec::new();
    for _ in 0..line.limit() {
        held.push(line.slot(traveller(1, false)).await);
    }
    let mut gone = Box::pin(line.slot(traveller(2, false)));
    assert!((&mut gone).now_or_never().is_none());
    let mut next = Box::pin(line.slot(traveller(3, false)));
    assert!((&mut next).now_or_never().is_none());
    drop(held.pop());
    // The slot was given to the one that goes now, before it could look.
    drop(gone);
    assert!((&mut next).now_or_never().is_some());
}

#[tokio::test]
async fn trouble_makes_fewer_slots() {
    let line = line(Allowance::default());
    let (first, second) = (line.slot(traveller(1, false)).await, line.slot(traveller(1, false)).await);
    let before = line.limit();
    first.trouble();
    second.trouble();
    assert_eq!(line.limit(), before / 2);
}

/// Two transfers want to send all the time: what each of them sent in a second.
async fn a_second(allowance: Allowance) -> (u64, u64) {
    let line = line(allowance);
    let end = Instant::now() + Duration::from_secs(1);
    let flow = async |urgent: bool| {
        let mut bytes = 0;
        while Instant::now() < end && bytes < 1 << 30 {
            line.pass(4096, urgent).await;
            bytes += 4096;
        }
        bytes
    };
    tokio::join!(flow(false), flow(true))
}

#[tokio::test]
async fn a_limit_holds_for_all_together_and_not_for_what_is_urgent() {
    let limited = Allowance { upload: Some(8 * MBIT), download: None, limits_urgent: true };
    let (bulk, urgent) = a_second(limited).await;
    let sum = (bulk + urgent) as f64 / 1e6;
    // Below by as much as a busy machine oversleeps; above by what was saved up.
    assert!((0.5..1.3).contains(&sum), "{bulk} and {urgent}");
    assert!(urgent > 3 * bulk, "urgent goes first: {bulk} and {urgent}");
    let (bulk, urgent) = a_second(Allowance { limits_urgent: false, ..limited }).await;
    assert_eq!(urgent, 1 << 30, "{bulk} and {urgent}");
}
