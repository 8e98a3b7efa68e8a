//! Slows down guessing of passwords, per account name and per address.
//!
//! Names that do not exist are counted like those that do, so the answer says nothing about them. An account is never
//! locked for good: at most a minute, so that nobody can keep a colleague out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures that cost nothing but the time of the hash.
const FREE_FOR_ACCOUNT: u32 = 5;
/// The same for an address, behind which a whole department may sit.
const FREE_FOR_ADDRESS: u32 = 25;
/// Longest wait for an account.
const LONGEST_FOR_ACCOUNT: Duration = Duration::from_secs(60);
/// Longest wait for an address.
const LONGEST_FOR_ADDRESS: Duration = Duration::from_secs(5 * 60);
/// After so long without a failure all is forgotten.
const MEMORY: Duration = Duration::from_secs(30 * 60);
/// Most names and addresses remembered; the one that failed longest ago makes room.
const MOST_ENTRIES: usize = 4096;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    Account(String),
    Address(IpAddr),
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
    until: Instant,
}

/// Counts failed sign-ins.
#[derive(Default)]
pub struct Throttle {
    table: Mutex<HashMap<Who, Failures>>,
}

impl Throttle {
    /// How long to wait before the next attempt; `None` if it may be made now.
    pub fn wait(&self, account: &str, address: IpAddr, now: Instant) -> Option<Duration> {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let both = [Who::Account(fold(account)), Who::Address(address)];
        let until = both.iter().filter_map(|who| table.get(who)).map(|failures| failures.until).max()?;
        until.checked_duration_since(now).filter(|wait| !wait.is_zero())
    }

    /// An attempt failed.
    pub fn failed(&self, account: &str, address: IpAddr, now: Instant) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.retain(|_, failures| now.duration_since(failures.last) < MEMORY);
        for (who, free, longest) in [
            (Who::Account(fold(account)), FREE_FOR_ACCOUNT, LONGEST_FOR_ACCOUNT),
            (Who::Address(address), FREE_FOR_ADDRESS, LONGEST_FOR_ADDRESS),
        ] {
            if table.len() >= MOST_ENTRIES
                && !table.contains_key(&who)
                && let Some(oldest) = table.iter().min_by_key(|(_, f)| f.last).map(|(who, _)| who.clone())
            {
                table.remove(&oldest);
            }
            let failures = table.entry(who).or_insert(Failures { count: 0, last: now, until: now });
            failures.count = failures.count.saturating_add(1);
            failures.last = now;
            failures.until = now + delay(failures.count, free, longest);
        }
    }

    /// An attempt succeeded: the account's failures are forgotten, the address's are not.
    pub fn succeeded(&self, account: &str) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.remove(&Who::Account(fold(account)));
    }
}

/// Nothing at first, then two seconds, doubling.
fn delay(count: u32, free: u32, longest: Duration) -> Duration {
    match count.checked_sub(free) {
        None => Duration::ZERO,
        Some(over) => Duration::from_secs(2_u64.saturating_pow(over.min(20) + 1)).min(longest),
    }
}

/// A bounded spelling: what is typed as a name may be anything.
fn fold(account: &str) -> String {
    account.chars().take(64).collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessing_gets_slow_and_success_forgives() {
        let throttle = Throttle::default();
        let now = Instant::now();
        let address = IpAddr::from([10, 0, 0, 1]);
        for _ in 0..4 {
            throttle.failed("j.smit", address, now);
        }
        assert_eq!(throttle.wait("j.smit", address, now), None);
        throttle.failed("J.Smit", address, now);
        assert_eq!(throttle.wait("j.smit", address, now), Some(Duration::from_secs(2)));
        for _ in 0..10 {
            throttle.failed("j.smit", address, now);
        }
        assert_eq!(throttle.wait("j.smit", address, now), Some(LONGEST_FOR_ACCOUNT));
        assert_eq!(throttle.wait("p.bakker", IpAddr::from([10, 0, 0, 2]), now), None);
        throttle.succeeded("j.smit");
        assert_eq!(throttle.wait("j.smit", address, now), None);
    }

    #[test]
    fn an_address_that_tries_many_names_is_slowed_down() {
        let throttle = Throttle::default();
        let now = Instant::now();
        let address = IpAddr::from([10, 0, 0, 1]);
        for n in 0..FREE_FOR_ADDRESS {
            throttle.failed(&format!("name{n}"), address, now);
        }
        assert!(throttle.wait("another", address, now).is_some());
    }
}
