//! How many parts travel at once: one more while that makes the line faster, half as many after trouble.
//!
//! A pure rule, without clock or socket. A fast line with a long way needs several parts under way to be filled; on a
//! line that breaks, every part under way is sent again, so there must be few. Nobody can set the right number
//! beforehand: it is found by trying, the way TCP finds its window.

use std::time::Duration;

/// Most parts under way in one direction. 8 × 8 MiB bounds the memory.
pub const MOST: u32 = 8;

/// Parts under way on a line of which nothing is known: hides the round trip at 100 Mbit/s and 50 ms.
const AT_FIRST: u32 = 4;

/// One more part under way must make the line this much faster to stay.
const WORTHWHILE: f64 = 1.05;

/// Pause before trying one more again, once it did not help or after trouble.
const HOLD: Duration = Duration::from_secs(30);

/// Which limit a part was started under. Parts that broke together are one trouble, not many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round(u32);

/// The controller of one direction. Time is a span since any fixed moment.
#[derive(Debug)]
pub struct Parallelism {
    limit: u32,
    round: u32,
    /// The rate with one part less, in bytes per second, while trying one more.
    rate_with_less: Option<f64>,
    /// No growth before this moment.
    hold_until: Duration,
    measured: Measured,
}

/// What passed since the last decision.
#[derive(Debug)]
struct Measured {
    since: Duration,
    bytes: u64,
    parts: u32,
    is_full: bool,
}

impl Measured {
    fn from(since: Duration) -> Self {
        Measured { since, bytes: 0, parts: 0, is_full: true }
    }
}

impl Parallelism {
    /// For a line of which nothing is known yet.
    pub fn new(now: Duration) -> Self {
        Parallelism {
            limit: AT_FIRST,
            round: 0,
            rate_with_less: None,
            hold_until: Duration::ZERO,
            measured: Measured::from(now),
        }
    }

    /// Parts that may be under way, 1 to [`MOST`].
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Under which limit a part that starts now is started.
    pub fn round(&self) -> Round {
        Round(self.round)
    }

    /// The line was idle and is used again: what passed before says nothing about it.
    pub fn wake(&mut self, now: Duration) {
        self.measured = Measured::from(now);
    }

    /// A part of so many bytes got there while `under_way` parts were under way, itself among them.
    pub fn part_done(&mut self, bytes: u64, under_way: u32, now: Duration) {
        self.measured.bytes += bytes;
        self.measured.parts += 1;
        // What was not tried says nothing about what is possible.
        self.measured.is_full &= under_way >= self.limit;
        if self.measured.parts < 2 * self.limit {
            return;
        }
        let measured = std::mem::replace(&mut self.measured, Measured::from(now));
        let took = now.saturating_sub(measured.since).as_secs_f64();
        if measured.is_full && took > 0.0 {
            #[expect(clippy::cast_precision_loss, reason = "a rate to within a few percent")]
            self.decide(measured.bytes as f64 / took, now);
        }
    }

    fn decide(&mut self, rate: f64, now: Duration) {
        match self.rate_with_less {
            Some(before) if rate < before * WORTHWHILE => {
                self.rate_with_less = None;
                self.limit = (self.limit - 1).max(1);
                self.hold_until = now + HOLD;
            }
            Some(_) | None if now >= self.hold_until && self.limit < MOST => {
                self.rate_with_less = Some(rate);
                self.limit += 1;
            }
            Some(_) | None => self.rate_with_less = None,
        }
    }

    /// A part did not get there: the line broke, or the portal asked for patience. Halves once for all parts that were
    /// started under the same limit.
    pub fn trouble(&mut self, round: Round, now: Duration) {
        if round != self.round() {
            return;
        }
        self.limit = (self.limit / 2).max(1);
        self.round = self.round.wrapping_add(1);
        self.rate_with_less = None;
        self.hold_until = now + HOLD;
        self.measured = Measured::from(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PART: u64 = 8 << 20;

    /// A line that is this fast with so many parts under way, for so long.
    fn drive(controller: &mut Parallelism, now: &mut Duration, span: u64, rate: impl Fn(u32) -> f64) {
        let end = *now + Duration::from_secs(span);
        while *now < end {
            let limit = controller.limit();
            *now += Duration::from_secs_f64(PART as f64 / rate(limit));
            controller.part_done(PART, limit, *now);
        }
    }

    #[test]
    fn a_line_with_a_long_way_gets_all_the_parts_it_needs() {
        let (mut controller, mut now) = (Parallelism::new(Duration::ZERO), Duration::ZERO);
        drive(&mut controller, &mut now, 120, |limit| 2e6 * f64::from(limit));
        assert_eq!(controller.limit(), MOST);
    }

    #[test]
    fn a_full_line_is_not_crowded() {
        let (mut controller, mut now) = (Parallelism::new(Duration::ZERO), Duration::ZERO);
        drive(&mut controller, &mut now, 600, |limit| 2e6 * f64::from(limit.min(5)));
        assert!((4..=6).contains(&controller.limit()), "{}", controller.limit());
    }

    #[test]
    fn trouble_halves_once_for_all_parts_of_a_cut_and_never_below_one() {
        let mut controller = Parallelism::new(Duration::ZERO);
        let round = controller.round();
        for _ in 0..4 {
            controller.trouble(round, Duration::from_secs(1));
        }
        assert_eq!(controller.limit(), 2);
        for second in 2..9 {
            controller.trouble(controller.round(), Duration::from_secs(second));
        }
        assert_eq!(controller.limit(), 1);
    }

    #[test]
    fn after_trouble_it_grows_again_but_not_at_once() {
        let (mut controller, mut now) = (Parallelism::new(Duration::ZERO), Duration::ZERO);
        controller.trouble(controller.round(), now);
        drive(&mut controller, &mut now, 25, |limit| 4e6 * f64::from(limit));
        assert_eq!(controller.limit(), 2, "held");
        drive(&mut controller, &mut now, 120, |limit| 4e6 * f64::from(limit));
        assert_eq!(controller.limit(), MOST);
    }

    #[test]
    fn a_transfer_of_few_parts_says_nothing() {
        let (mut controller, mut now) = (Parallelism::new(Duration::ZERO), Duration::ZERO);
        for _ in 0..100 {
            controller.wake(now);
            now += Duration::from_secs(1);
            controller.part_done(PART, 1, now);
        }
        assert_eq!(controller.limit(), AT_FIRST);
    }
}
