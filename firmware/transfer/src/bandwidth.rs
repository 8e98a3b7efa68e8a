//! How much of the hospital's line the box may take: a limit, and other limits for some hours of the week.
//!
//! [`Schedule`] says what is allowed at a moment, in the hospital's local time. [`Bucket`] says when the next bytes may
//! go. Both are pure: time comes in as an argument. What is urgent does not wait unless the rule says so; what it takes
//! is taken from the others, so that the line as a whole keeps to its limit.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;

/// Which way bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the portal.
    Up,
    /// From the portal.
    Down,
}

/// What is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allowance {
    /// Bytes per second to the portal; without, as fast as it goes.
    pub upload: Option<u64>,
    /// Bytes per second from the portal; without, as fast as it goes.
    pub download: Option<u64>,
    /// Whether urgent transfers keep to it too.
    pub limits_urgent: bool,
}

impl Allowance {
    /// Bytes per second in one direction.
    pub fn rate(&self, direction: Direction) -> Option<u64> {
        match direction {
            Direction::Up => self.upload,
            Direction::Down => self.download,
        }
    }
}

/// Another allowance for some hours of some days.
#[derive(Debug, Clone)]
pub struct Rule {
    /// On these days. A rule that passes midnight belongs to the day on which it begins.
    pub days: Vec<Weekday>,
    /// From this time on.
    pub from: Time,
    /// Until just before this time; midnight is the end of the day, and an earlier time than `from` is on the next day.
    pub until: Time,
    /// What is allowed then.
    pub allowance: Allowance,
}

impl Rule {
    fn holds(&self, day: Weekday, time: Time) -> bool {
        let begins = |day: Weekday| self.days.contains(&day);
        if self.from < self.until {
            return begins(day) && self.from <= time && time < self.until;
        }
        (begins(day) && self.from <= time) || (begins(day.previous()) && time < self.until)
    }
}

/// What is allowed in each hour of the week.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Whose clock the rules mean.
    pub zone: TimeZone,
    /// When no rule holds.
    pub otherwise: Allowance,
    /// The first that holds decides.
    pub rules: Vec<Rule>,
}

impl Default for Schedule {
    fn default() -> Self {
        Schedule { zone: TimeZone::UTC, otherwise: Allowance::default(), rules: Vec::new() }
    }
}

impl Schedule {
    /// What is allowed at this moment.
    pub fn at(&self, now: Timestamp) -> Allowance {
        if self.rules.is_empty() {
            return self.otherwise;
        }
        let local = self.zone.to_datetime(now);
        let rule = self.rules.iter().find(|rule| rule.holds(local.weekday(), local.time()));
        rule.map_or(self.otherwise, |rule| rule.allowance)
    }
}

/// Saved up for a moment in which nothing was taken, as a span of the rate.
const BURST: f64 = 0.25;

/// What urgent bytes may take in advance, as a span of the rate. Others wait no longer than this for their sake.
const DEEPEST: f64 = 2.0;

/// A token bucket. Time is a span since any fixed moment.
#[derive(Debug)]
pub struct Bucket {
    /// Bytes that may go now; below nothing, bytes that went too early.
    level: f64,
    at: Duration,
}

impl Bucket {
    /// A bucket with nothing in it.
    pub fn new(now: Duration) -> Self {
        Bucket { level: 0.0, at: now }
    }

    /// Takes so many bytes at this rate if some may go now; otherwise says how long to wait before asking again.
    ///
    /// # Errors
    /// The wait.
    pub fn ask(&mut self, bytes: u32, rate: u64, now: Duration) -> Result<(), Duration> {
        let rate = self.refill(rate, now);
        if self.level < 0.0 {
            return Err(Duration::from_secs_f64(-self.level / rate).max(Duration::from_millis(1)));
        }
        self.level -= f64::from(bytes);
        Ok(())
    }

    /// Takes so many bytes whether they may go or not.
    pub fn take(&mut self, bytes: u32, rate: u64, now: Duration) {
        let rate = self.refill(rate, now);
        self.level = (self.level - f64::from(bytes)).max(-DEEPEST * rate);
    }

    fn refill(&mut self, rate: u64, now: Duration) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a rate far below 2^52 bytes per second")]
        let rate = (rate as f64).max(1.0);
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.level = (self.level + passed * rate).min(BURST * rate);
        self.at = self.at.max(now);
        rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::time;

    const MBIT: u64 = 125_000;

    fn weekdays_by_day() -> Schedule {
        use Weekday::{Friday, Monday, Thursday, Tuesday, Wednesday};
        let allowance = |mbit: u64| Allowance { upload: Some(mbit * MBIT), ..Allowance::default() };
        Schedule {
            zone: TimeZone::get("Europe/Amsterdam").unwrap(),
            otherwise: Allowance::default(),
            rules: vec![
                Rule {
                    days: vec![Monday, Tuesday, Wednesday, Thursday, Friday],
                    from: time(7, 0, 0, 0),
                    until: time(19, 0, 0, 0),
                    allowance: allowance(50),
                },
                Rule {
                    days: vec![Friday],
                    from: time(22, 0, 0, 0),
                    until: time(4, 0, 0, 0),
                    allowance: allowance(10),
                },
            ],
        }
    }

    #[test]
    fn hours_are_those_of_the_hospital_in_summer_and_in_winter() {
        let schedule = weekdays_by_day();
        let at = |text: &str| schedule.at(text.parse().unwrap()).upload.map(|rate| rate / MBIT);
        // Winter: Amsterdam is an hour ahead.
        assert_eq!(at("2026-11-23T05:59:59Z"), None);
        assert_eq!(at("2026-11-23T06:00:00Z"), Some(50));
        assert_eq!(at("2026-11-23T17:59:59Z"), Some(50));
        assert_eq!(at("2026-11-23T18:00:00Z"), None);
        // Summer: two hours.
        assert_eq!(at("2026-07-01T04:59:59Z"), None);
        assert_eq!(at("2026-07-01T05:00:00Z"), Some(50));
        // A Saturday; and the night that began on Friday.
        assert_eq!(at("2026-11-28T12:00:00Z"), None);
        assert_eq!(at("2026-11-27T20:59:59Z"), None);
        assert_eq!(at("2026-11-27T21:00:00Z"), Some(10));
        assert_eq!(at("2026-11-28T02:59:59Z"), Some(10));
        assert_eq!(at("2026-11-28T03:00:00Z"), None);
        assert_eq!(at("2026-11-27T02:59:59Z"), None, "the night before began on Thursday");
    }

    #[test]
    fn a_rule_until_midnight_ends_with_the_day() {
        let rule = Rule {
            days: vec![Weekday::Sunday],
            from: time(0, 0, 0, 0),
            until: time(0, 0, 0, 0),
            allowance: Allowance::default(),
        };
        assert!(rule.holds(Weekday::Sunday, time(0, 0, 0, 0)));
        assert!(rule.holds(Weekday::Sunday, time(23, 59, 59, 0)));
        assert!(!rule.holds(Weekday::Monday, time(0, 0, 0, 0)));
    }

    /// Bytes that go in so many seconds if somebody always wants to send.
    fn passes(bucket: &mut Bucket, rate: u64, seconds: u64) -> u64 {
        let (mut now, mut bytes) = (Duration::ZERO, 0);
        while now < Duration::from_secs(seconds) {
            match bucket.ask(65_536, rate, now) {
                Ok(()) => bytes += 65_536,
                Err(wait) => now += wait,
            }
        }
        bytes
    }

    #[test]
    fn the_rate_is_kept_slow_and_fast() {
        for mbit in [1, 50, 10_000] {
            let rate = mbit * MBIT;
            let passed = passes(&mut Bucket::new(Duration::ZERO), rate, 100) as f64;
            let allowed = rate as f64 * 100.0;
            assert!((0.98..1.02).contains(&(passed / allowed)), "{mbit} Mbit/s: {passed} of {allowed}");
        }
    }

    #[test]
    fn silence_is_not_saved_up() {
        let mut bucket = Bucket::new(Duration::ZERO);
        let hour = Duration::from_secs(3600);
        let mut bytes = 0;
        while bucket.ask(65_536, 10 * MBIT, hour).is_ok() {
            bytes += 65_536;
        }
        assert!(bytes <= 10 * MBIT / 4 + 65_536, "{bytes}");
    }

    #[test]
    fn urgent_bytes_are_taken_from_the_others() {
        let mut bucket = Bucket::new(Duration::ZERO);
        bucket.take(1_000_000, 8 * MBIT, Duration::ZERO);
        assert_eq!(bucket.ask(65_536, 8 * MBIT, Duration::ZERO), Err(Duration::from_secs(1)));
        for _ in 0..1000 {
            bucket.take(1_000_000, 8 * MBIT, Duration::ZERO);
        }
        assert_eq!(bucket.ask(1, 8 * MBIT, Duration::ZERO), Err(Duration::from_secs(2)), "not for ever");
    }
}
