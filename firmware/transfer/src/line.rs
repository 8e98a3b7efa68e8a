//! The line to the portal, shared by all transfers: whose part goes next, and how fast.
//!
//! One [`Line`] for each direction. A part needs a slot to travel. Slots go to urgent transfers first, then to the
//! transfer that has the fewest, so that a large one does not keep others waiting; a part under way is never
//! interrupted. How many slots there are is decided by [`Parallelism`], how fast bytes go by [`Bucket`].

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use beeldbox_protocol::ident::TransferId;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::Clock;
use crate::bandwidth::{Bucket, Direction, Schedule};
use crate::parallel::{Parallelism, Round};

/// Slots beyond the limit for urgent transfers alone: they start at once, whatever is under way.
const URGENT_EXTRA: u32 = 2;

/// Longest sleep for bandwidth: the schedule may say something else by then.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Pause of the others while something urgent waits for bandwidth.
const GIVE_WAY: Duration = Duration::from_millis(20);

/// For whom bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traveller {
    /// The transfer.
    pub transfer: TransferId,
    /// Whether it goes before others.
    pub urgent: bool,
}

/// Both directions.
pub struct Lines {
    /// To the portal.
    pub up: Arc<Line>,
    /// From the portal.
    pub down: Arc<Line>,
}

impl Lines {
    /// Lines with this schedule.
    pub fn new(schedule: Schedule, clock: Clock) -> Self {
        let rules = Arc::new((schedule, clock));
        Lines {
            up: Arc::new(Line::new(Direction::Up, Arc::clone(&rules))),
            down: Arc::new(Line::new(Direction::Down, rules)),
        }
    }
}

/// One direction.
pub struct Line {
    direction: Direction,
    rules: Arc<(Schedule, Clock)>,
    started: Instant,
    slots: Mutex<Slots>,
    flow: Mutex<Flow>,
}

struct Slots {
    control: Parallelism,
    under_way: Vec<Traveller>,
    /// In the order in which they came.
    waiting: Vec<Waiting>,
}

struct Waiting {
    traveller: Traveller,
    given: oneshot::Sender<Slot>,
}

struct Flow {
    bucket: Bucket,
    urgent_waiting: u32,
}

/// The right to have one part under way. Given back when dropped.
pub struct Slot {
    line: Arc<Line>,
    traveller: Traveller,
    round: Round,
}

impl Line {
    fn new(direction: Direction, rules: Arc<(Schedule, Clock)>) -> Self {
        let slots =
            Slots { control: Parallelism::new(Duration::ZERO), under_way: Vec::new(), waiting: Vec::new() };
        let flow = Flow { bucket: Bucket::new(Duration::ZERO), urgent_waiting: 0 };
        let started = Instant::now();
        Line { direction, rules, started, slots: Mutex::new(slots), flow: Mutex::new(flow) }
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().expect("nobody panics while holding this lock")
    }

    fn flow(&self) -> MutexGuard<'_, Flow> {
        self.flow.lock().expect("nobody panics while holding this lock")
    }

    /// Waits for a slot.
    ///
    /// # Cancellation
    /// May be dropped at any moment: a slot that was given meanwhile goes to the next.
    pub async fn slot(self: &Arc<Self>, traveller: Traveller) -> Slot {
        loop {
            let (given, slot) = oneshot::channel();
            self.slots().waiting.push(Waiting { traveller, given });
            self.give_out();
            // Nobody drops a waiting sender without giving a slot; if it happened, we would stand in line again.
            if let Ok(slot) = slot.await {
                return slot;
            }
        }
    }

    /// Gives slots to those whose turn it is.
    fn give_out(self: &Arc<Self>) {
        loop {
            let (given, slot) = {
                let mut slots = self.slots();
                slots.waiting.retain(|waiting| !waiting.given.is_closed());
                let Some(next) = slots.next() else { return };
                let Waiting { traveller, given } = slots.waiting.remove(next);
                if slots.under_way.is_empty() {
                    let now = self.elapsed();
                    slots.control.wake(now);
                }
                slots.under_way.push(traveller);
                let round = slots.control.round();
                (given, Slot { line: Arc::clone(self), traveller, round })
            };
            // Whoever waited may be gone by now: dropping the slot, outside the lock, gives it back.
            drop(given.send(slot));
        }
    }

    /// Waits until so many bytes may travel.
    ///
    /// # Cancellation
    /// May be dropped at any moment: nothing was taken then.
    pub async fn pass(&self, bytes: u32, urgent: bool) {
        let mut place = None;
        loop {
            let (schedule, clock) = &*self.rules;
            let allowance = schedule.at(clock());
            let Some(rate) = allowance.rate(self.direction) else { return };
            let wait = {
                let mut flow = self.flow();
                let now = self.elapsed();
                if urgent && !allowance.limits_urgent {
                    return flow.bucket.take(bytes, rate, now);
                }
                let others = if urgent { 0 } else { flow.urgent_waiting };
                if others > 0 {
                    GIVE_WAY
                } else {
                    match flow.bucket.ask(bytes, rate, now) {
                        Ok(()) => return,
                        Err(wait) => wait,
                    }
                }
            };
            if urgent && place.is_none() {
                place = Some(UrgentPlace::take(self));
            }
            tokio::time::sleep(wait.min(LONGEST_WAIT)).await;
        }
    }

    /// Parts that may be under way now, for people and for tests.
    pub fn limit(&self) -> u32 {
        self.slots().control.limit()
    }
}

/// While this lives, what is not urgent gives way.
struct UrgentPlace<'a>(&'a Line);

impl<'a> UrgentPlace<'a> {
    fn take(line: &'a Line) -> Self {
        line.flow().urgent_waiting += 1;
        UrgentPlace(line)
    }
}

impl Drop for UrgentPlace<'_> {
    fn drop(&mut self) {
        self.0.flow().urgent_waiting -= 1;
    }
}

impl Slots {
    /// Whose turn it is, by place in the queue.
    fn next(&self) -> Option<usize> {
        let held_by = |traveller: &Traveller| {
            self.under_way.iter().filter(|other| other.transfer == traveller.transfer).count()
        };
        let (next, first) = self
            .waiting
            .iter()
            .enumerate()
            .min_by_key(|(at, waiting)| (!waiting.traveller.urgent, held_by(&waiting.traveller), *at))?;
        let limit = self.control.limit() + if first.traveller.urgent { URGENT_EXTRA } else { 0 };
        (self.under_way() < limit).then_some(next)
    }

    fn under_way(&self) -> u32 {
        u32::try_from(self.under_way.len()).unwrap_or(u32::MAX)
    }
}

impl Slot {
    /// For whom it is.
    pub fn traveller(&self) -> Traveller {
        self.traveller
    }

    /// The part got there.
    pub fn done(self, bytes: u64) {
        let now = self.line.elapsed();
        let mut slots = self.line.slots();
        let under_way = slots.under_way();
        slots.control.part_done(bytes, under_way, now);
    }

    /// The part did not get there, and the line or the portal is to blame.
    pub fn trouble(self) {
        let now = self.line.elapsed();
        self.line.slots().control.trouble(self.round, now);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        {
            let mut slots = self.line.slots();
            let held = slots.under_way.iter().position(|other| *other == self.traveller);
            if let Some(held) = held {
                slots.under_way.swap_remove(held);
            }
        }
        self.line.give_out();
    }
}

#[cfg(test)]
mod tests;
