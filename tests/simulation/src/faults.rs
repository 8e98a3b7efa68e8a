//! What goes wrong, and when: drawn once from the seed. `FAULTS.md` says what each fault means.

use std::time::Duration;

use jiff::SignedDuration;

use crate::line;
use crate::pacs::Mood;
use crate::people;
use crate::random::Random;
use crate::road::Road;
use crate::tally::Sometimes;
use crate::world::{BoxIndex, Event, Sim, World};
use crate::{deliver, fetch, news, report, send};

/// After so long nothing goes wrong any more.
pub const HEALED_AFTER: Duration = Duration::from_secs(40 * 60);

/// Pause between two rounds of the portal's sweep.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// How likely what is, in a thousand. Each seed draws which kinds it has at all: many faults at once hide each other.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// A box loses power at a commit or at an effect.
    pub crash: u64,
    /// How often at most.
    pub crashes_left: u32,
    /// A request does not arrive.
    pub request_lost: u64,
    /// An answer does not arrive.
    pub answer_lost: u64,
    /// A request arrives twice.
    pub twice: u64,
    /// A request or an answer takes seconds.
    pub slow: u64,
    /// The portal asks for patience.
    pub busy: u64,
    /// The portal refuses this box.
    pub refuses: Option<BoxIndex>,
    /// The PACS stores, and its answer is lost.
    pub pacs_answer_lost: u64,
}

impl Faults {
    /// Of one seed.
    pub fn draw(random: &mut Random) -> Self {
        let mut kind = |often: u64, most: u64| {
            if random.in_thousand(often) { random.between(1, most) } else { 0 }
        };
        Faults {
            crash: kind(700, 30),
            crashes_left: 40,
            request_lost: kind(500, 80),
            answer_lost: kind(500, 120),
            twice: kind(500, 100),
            slow: kind(500, 200),
            busy: kind(300, 80),
            refuses: None,
            pacs_answer_lost: kind(500, 60),
        }
    }
}

/// A change of the world that no box makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// Power goes at a box.
    BoxStops(BoxIndex),
    /// A box has power and starts.
    BoxStarts(BoxIndex),
    /// Power goes at the portal.
    PortalStops,
    /// The portal starts.
    PortalStarts,
    /// A box cannot reach the portal, or can again.
    CutOff(BoxIndex, bool),
    /// A PACS is so from now on.
    Pacs(BoxIndex, Mood),
    /// The clock of a box is set, off by so many seconds.
    ClockSet(BoxIndex, i64),
    /// The portal refuses one box, or none any more.
    Refuses(Option<BoxIndex>),
    /// A study comes from the PACS: number, instances, parts.
    StudyComes(BoxIndex, u32, u32, u32),
    /// The portal lets go of what is over.
    Sweep,
    /// Faults are over.
    Heal,
}

/// Draws what happens when.
pub fn plan(world: &mut World) {
    let boxes = world.hospitals.len();
    let mut study = 0;
    for at in 0..boxes {
        world.schedule(Duration::ZERO, Event::Happening(Happening::BoxStarts(at)));
        if world.random.in_thousand(150) {
            // A clock that is days off from the beginning, and stays so.
            let days = if world.random.in_thousand(500) { 2 } else { -2 };
            world.schedule(Duration::ZERO, Event::Happening(Happening::ClockSet(at, days * 86_400)));
        }
        for _ in 0..world.random.between(1, 3) {
            study += 1;
            let large = world.random.in_thousand(250);
            let instances = number(world, 1, if large { 90 } else { 8 });
            let parts = number(world, 1, 5);
            let comes = Happening::StudyComes(at, study, instances, parts);
            later(world, comes, 20 * 60);
        }
        windows(world, at);
    }
    for _ in 0..world.random.between(0, 4) {
        window(world, Happening::PortalStops, Happening::PortalStarts, 400);
    }
    if world.random.in_thousand(300) {
        let at = world.random.index(boxes);
        window(world, Happening::Refuses(Some(at)), Happening::Refuses(None), 600);
    }
    if world.random.in_thousand(350) {
        world.valid_for = world.millis(5 * 60_000, 25 * 60_000);
    }
    world.schedule(SWEEP_EVERY, Event::Happening(Happening::Sweep));
    world.schedule(HEALED_AFTER, Event::Happening(Happening::Heal));
}

fn windows(world: &mut World, at: BoxIndex) {
    for _ in 0..world.random.between(0, 4) {
        later(world, Happening::BoxStops(at), 39 * 60);
    }
    for _ in 0..world.random.between(0, 3) {
        window(world, Happening::CutOff(at, true), Happening::CutOff(at, false), 900);
    }
    for _ in 0..world.random.between(0, 3) {
        let mood = match world.random.between(0, 5) {
            0 | 1 => Mood::Down,
            2 | 3 => Mood::Busy,
            _ => Mood::RefusesBox,
        };
        window(world, Happening::Pacs(at, mood), Happening::Pacs(at, Mood::Well), 900);
    }
    if world.random.in_thousand(300) {
        let seconds = i64::try_from(world.random.between(0, 600)).unwrap_or_default() - 300;
        later(world, Happening::ClockSet(at, seconds), 39 * 60);
    }
}

fn number(world: &mut World, low: u64, high: u64) -> u32 {
    u32::try_from(world.random.between(low, high)).unwrap_or(1)
}

fn later(world: &mut World, what: Happening, within_secs: u64) {
    let at = world.millis(0, within_secs * 1000);
    world.schedule(at, Event::Happening(what));
}

fn window(world: &mut World, begins: Happening, ends: Happening, most_secs: u64) {
    let at = world.millis(0, 35 * 60_000);
    let lasts = world.millis(1_000, most_secs * 1000);
    world.schedule(at, Event::Happening(begins));
    world.schedule((at + lasts).min(HEALED_AFTER), Event::Happening(ends));
}

/// Lets it happen.
pub fn happen(sim: &Sim, happening: Happening) {
    sim.with(|world| world.note(format_args!("{happening:?}")));
    match happening {
        Happening::BoxStarts(at) => start_box(sim, at),
        Happening::StudyComes(at, study, instances, parts) => {
            let road = Road { sim: sim.clone(), at };
            let is_up = sim.with(|world| world.hospitals[at].is_up);
            if is_up {
                sim.spawn(at, people::take_in(road, study, instances, parts));
            } else {
                // The PACS sends again later.
                let again = Event::Happening(happening);
                sim.with(|world| world.schedule(Duration::from_secs(30), again));
            }
        }
        Happening::BoxStops(_)
        | Happening::PortalStops
        | Happening::PortalStarts
        | Happening::CutOff(..)
        | Happening::Pacs(..)
        | Happening::ClockSet(..)
        | Happening::Refuses(_)
        | Happening::Sweep
        | Happening::Heal => sim.with(|world| change(world, happening)),
    }
}

fn start_box(sim: &Sim, at: BoxIndex) {
    sim.with(|world| {
        let now = world.time_at(at);
        let hospital = &mut world.hospitals[at];
        hospital.is_up = true;
        hospital.ledger_free_at = world.now;
        let resumed = hospital.ledger.recover(now);
        for _ in 0..resumed {
            world.tally.count(Sometimes::ErasingResumed);
        }
        crate::checks::ledger_changed(world, at);
    });
    let road = Road { sim: sim.clone(), at };
    sim.spawn(at, news::run(road.clone()));
    sim.spawn(at, send::run(road.clone()));
    sim.spawn(at, fetch::run(road.clone()));
    sim.spawn(at, deliver::run(road.clone()));
    sim.spawn(at, report::run(road.clone()));
    sim.spawn(at, report::run_eraser(road.clone()));
    sim.spawn(at, people::run(road));
}

fn change(world: &mut World, happening: Happening) {
    match happening {
        Happening::BoxStops(at) => {
            if world.hospitals[at].is_up && !world.is_healed {
                world.tally.count(Sometimes::Crash);
                world.crash(at);
            }
        }
        Happening::PortalStops => {
            world.tally.count(Sometimes::PortalRestart);
            world.portal_is_up = false;
            world.portal.crash();
            line::break_polls(world);
            crate::checks::portal_changed(world);
        }
        Happening::PortalStarts => world.portal_is_up = true,
        Happening::CutOff(at, is_cut_off) => world.hospitals[at].is_cut_off = is_cut_off,
        Happening::Pacs(at, mood) => world.hospitals[at].pacs.mood = mood,
        Happening::ClockSet(at, seconds) => {
            world.tally.count(Sometimes::ClockSet);
            // Days that it is off already stay: known gap 2.
            let days = world.hospitals[at].clock_off.as_secs() / 86_400;
            world.hospitals[at].clock_off = SignedDuration::from_secs(days * 86_400 + seconds);
            world.wake_waiters(at);
        }
        Happening::Refuses(whom) => world.faults.refuses = whom,
        Happening::Sweep => {
            let now = world.time();
            if world.portal_is_up {
                for _ in 0..world.portal.sweep(now) {
                    world.tally.count(Sometimes::ExpiredAtPortal);
                }
                line::portal_changed(world);
                crate::checks::portal_changed(world);
            }
            world.schedule(SWEEP_EVERY, Event::Happening(Happening::Sweep));
        }
        Happening::Heal => heal(world),
        Happening::BoxStarts(_) | Happening::StudyComes(..) => {}
    }
}

fn heal(world: &mut World) {
    world.is_healed = true;
    world.portal_is_up = true;
    world.faults.refuses = None;
    for hospital in &mut world.hospitals {
        hospital.is_cut_off = false;
        hospital.pacs.mood = Mood::Well;
    }
}
