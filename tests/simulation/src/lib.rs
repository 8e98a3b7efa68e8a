//! Seeded simulation: the real machines of `beeldbox-transfer`, three boxes, a model portal, model PACS, and hard times.
//!
//! One thread, virtual time, one source of randomness: a seed is one story, and a story that ends badly can be told again,
//! word for word. `FAULTS.md` says what may go wrong, what must hold all the same, and what of this is model, not product.

mod ask_back;
// What must hold.
pub mod checks;
mod deliver;
mod ending;
// What goes wrong.
pub mod faults;
mod fetch;
mod ledger;
mod letter;
mod line;
// Rules broken on purpose.
pub mod mutant;
mod news;
mod pacs;
mod people;
mod portal;
mod random;
mod report;
mod road;
mod send;
// Counters of what happened.
pub mod tally;
// Time, events, programs.
mod world;

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::faults::Faults;
use crate::ledger::Ledger;
use crate::mutant::Mutant;
use crate::pacs::Pacs;
use crate::random::Random;
use crate::tally::{Sometimes, Tally};
use crate::world::{Hospital, Runner, Sim, World};

/// Boxes in a world.
const BOXES: usize = 3;

/// So long after faults are over everything must have ended: the longest backoff several times, and expiry.
const SETTLED_AFTER: Duration = Duration::from_secs(3 * 3600);

/// Time for erasing after everything has ended.
const ERASING: Duration = Duration::from_secs(20 * 60);

/// How a story is told.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Whether to keep what happened, in words.
    pub trace: bool,
    /// The rule that is broken on purpose.
    pub mutant: Option<Mutant>,
}

/// How a story ended.
#[derive(Debug)]
pub struct Outcome {
    /// What must not be, in the order in which it was found.
    pub violations: Vec<String>,
    /// One number for everything that happened.
    pub digest: u64,
    /// What happened sometimes.
    pub tally: Tally,
    /// What happened, in words, if it was asked for.
    pub trace: Vec<String>,
    /// Virtual time that passed.
    pub lasted: Duration,
}

/// Tells the story of one seed.
pub fn run(seed: u64, options: Options) -> Outcome {
    let sim = Sim(Rc::new(RefCell::new(begin(seed, options))));
    let mut runner = Runner::new(sim.clone());
    let healed = micros(faults::HEALED_AFTER);
    while runner.step(healed) {}
    let last = healed + micros(SETTLED_AFTER);
    let mut at = healed;
    while at < last && !sim.with(|world| ending::is_over(world)) {
        at += 10_000_000;
        while runner.step(at) {}
        if sim.with(|world| !world.checks.violations.is_empty()) {
            break;
        }
    }
    at += micros(ERASING);
    while runner.step(at) {}
    sim.with(|world| {
        checks::at_the_end(world);
        let stale: u64 = world.hospitals.iter().map(|hospital| hospital.ledger.stale).sum();
        for _ in 0..stale {
            world.tally.count(Sometimes::Stale);
        }
        Outcome {
            violations: std::mem::take(&mut world.checks.violations),
            digest: world.digest(),
            tally: std::mem::take(&mut world.tally),
            trace: world.trace.take().unwrap_or_default(),
            lasted: Duration::from_micros(world.now),
        }
    })
}

/// Tells many stories, as many at once as the machine has processors, and gives them in the order of their seeds. Each
/// has a world of its own.
///
/// # Panics
/// If a story does.
pub fn run_many(seeds: Range<u64>, options: Options) -> Vec<(u64, Outcome)> {
    let threads = std::thread::available_parallelism().map_or(1, |number| number.get());
    let next = AtomicU64::new(seeds.start);
    let tell = || {
        let mut told = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return told;
            }
            told.push((seed, run(seed, options)));
        }
    };
    let mut told: Vec<(u64, Outcome)> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(tell)).collect();
        running.into_iter().flat_map(|thread| thread.join().expect("no story panics")).collect()
    });
    told.sort_by_key(|(seed, _)| *seed);
    told
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

fn begin(seed: u64, options: Options) -> World {
    let mut random = Random::new(seed);
    let hospitals = (0..BOXES).map(|at| hospital(at, options.mutant, &mut random)).collect();
    let drawn = Faults::draw(&mut random);
    let mut world = World::new(random, hospitals, drawn, options.mutant);
    world.trace = options.trace.then(Vec::new);
    faults::plan(&mut world);
    world
}

fn hospital(at: usize, mutant: Option<Mutant>, random: &mut Random) -> Hospital {
    let mut pacs = Pacs::new();
    if random.in_thousand(300) {
        let study = u32::try_from(random.between(1, 7)).unwrap_or(1);
        pacs.dislikes.insert(letter::Instance { study, number: 0 });
    }
    let takes_stale_moves = mutant == Some(Mutant::LedgerTakesStaleMoves);
    let mixes_choices = mutant == Some(Mutant::ChoicesMixedUp);
    let ledger = Ledger { takes_stale_moves, mixes_choices, ..Ledger::default() };
    Hospital {
        ura: format!("9000038{at}").parse().expect("a URA"),
        ledger,
        pacs,
        is_up: false,
        life: 0,
        clock_off: jiff::SignedDuration::ZERO,
        is_cut_off: false,
        ledger_free_at: 0,
        waiters: Vec::new(),
    }
}
