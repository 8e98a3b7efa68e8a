//! The world: virtual time, a queue of events, and the programs that wait in it. One thread, one order.
//!
//! Boxes run as async functions that look like the real workers. Whatever they wait for is an event in the queue; a crash
//! drops the functions of the box and leaves its ledger. Nothing here reads a clock or iterates over a hash map, so a
//! seed is one story, for ever.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use beeldbox_protocol::ident::Ura;
use jiff::{SignedDuration, Timestamp};

use crate::checks::Checks;
use crate::faults::{Faults, Happening};
use crate::ledger::Ledger;
use crate::line::Parcel;
use crate::mutant::Mutant;
use crate::pacs::Pacs;
use crate::portal::Portal;
use crate::random::Random;
use crate::tally::{Sometimes, Tally};

/// Microseconds since the world began.
pub type Moment = u64;

/// Which box.
pub type BoxIndex = usize;

/// A running program.
pub type TaskId = u64;

type Program = Pin<Box<dyn Future<Output = ()>>>;

/// A change of a ledger, whole or not at all.
pub type Commit = Box<dyn FnOnce(&mut World, BoxIndex)>;

/// Something that will happen.
pub enum Event {
    /// A program goes on: what it waited for is there.
    Fill(TaskId, Box<dyn FnOnce()>),
    /// A request reaches the portal.
    Arrive(Parcel),
    /// An instance reaches a PACS, or another thing outside happens at its own time.
    Outside(Box<dyn FnOnce(&mut World)>),
    /// A commit of a box is on its disk.
    Commit {
        /// Whose.
        at: BoxIndex,
        /// Of which life of it.
        life: u32,
        /// What it changes.
        apply: Commit,
    },
    /// A fault, or the end of one.
    Happening(Happening),
}

/// One hospital: its box and its PACS.
pub struct Hospital {
    /// Who it is.
    pub ura: Ura,
    /// What is committed.
    pub ledger: Ledger,
    /// Its PACS.
    pub pacs: Pacs,
    /// Whether the box has power.
    pub is_up: bool,
    /// Counts its starts: what belongs to an earlier life is dropped.
    pub life: u32,
    /// How far its clock is off.
    pub clock_off: SignedDuration,
    /// Whether it is cut off from the portal.
    pub is_cut_off: bool,
    /// When the ledger's one thread is free again.
    pub ledger_free_at: Moment,
    /// Who wants to know of changes: task, and what to fill.
    pub waiters: Vec<(TaskId, Rc<RefCell<Option<()>>>)>,
}

/// Everything there is.
pub struct World {
    /// Virtual time.
    pub now: Moment,
    /// Where every choice comes from.
    pub random: Random,
    /// The hospitals.
    pub hospitals: Vec<Hospital>,
    /// The portal.
    pub portal: Portal,
    /// Whether the portal has power.
    pub portal_is_up: bool,
    /// What may go wrong.
    pub faults: Faults,
    /// What happened sometimes.
    pub tally: Tally,
    /// What must hold.
    pub checks: Checks,
    /// The rule that is broken on purpose.
    pub mutant: Option<Mutant>,
    /// Whether faults are over.
    pub is_healed: bool,
    /// How long an addressee may collect a transfer.
    pub valid_for: Duration,
    /// How long ended transfers are kept.
    pub keep_for: Duration,
    /// Requests for news that wait at the portal.
    pub polls: Vec<Parcel>,
    /// When the last answer of the portal was to arrive at each box.
    pub last_answer_at: BTreeMap<BoxIndex, Moment>,
    /// Answers of each PACS that were lost after it had stored.
    pub pacs_answers_lost: Vec<u64>,
    /// The task that runs.
    pub current: TaskId,
    /// Programs to be started.
    pub spawned: Vec<(BoxIndex, Program)>,
    /// Boxes whose power goes now.
    pub doomed: Vec<BoxIndex>,
    /// What happened, in words, if somebody wants to read it.
    pub trace: Option<Vec<String>>,
    digest: u64,
    queue: BTreeMap<(Moment, u64), Event>,
    seq: u64,
}

/// When the world begins, by a clock that is right.
const BEGINNING: Timestamp = Timestamp::constant(1_795_000_000, 0);

impl World {
    /// A world with nothing in it yet.
    pub fn new(random: Random, hospitals: Vec<Hospital>, faults: Faults, mutant: Option<Mutant>) -> Self {
        let pacs_answers_lost = vec![0; hospitals.len()];
        World {
            now: 0,
            random,
            hospitals,
            portal: Portal::new(BEGINNING, mutant),
            portal_is_up: true,
            faults,
            tally: Tally::default(),
            checks: Checks::default(),
            mutant,
            is_healed: false,
            valid_for: Duration::from_secs(30 * 86_400),
            keep_for: Duration::from_secs(600),
            polls: Vec::new(),
            last_answer_at: BTreeMap::new(),
            pacs_answers_lost,
            current: 0,
            spawned: Vec::new(),
            doomed: Vec::new(),
            trace: None,
            digest: 0xcbf2_9ce4_8422_2325,
            queue: BTreeMap::new(),
            seq: 0,
        }
    }

    /// The time by a clock that is right.
    pub fn time(&self) -> Timestamp {
        BEGINNING + SignedDuration::from_micros(i64::try_from(self.now).unwrap_or(i64::MAX))
    }

    /// The time by the clock of a box.
    pub fn time_at(&self, at: BoxIndex) -> Timestamp {
        self.time() + self.hospitals[at].clock_off
    }

    /// Lets something happen later.
    pub fn schedule(&mut self, after: Duration, event: Event) {
        let at = self.now + u64::try_from(after.as_micros()).unwrap_or(u64::MAX / 4);
        self.schedule_at(at, event);
    }

    /// Lets something happen at a moment.
    pub fn schedule_at(&mut self, at: Moment, event: Event) {
        self.seq += 1;
        self.queue.insert((at.max(self.now), self.seq), event);
    }

    /// A pause between the two, in milliseconds.
    pub fn millis(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_micros(self.random.between(low * 1000, high * 1000 + 1))
    }

    /// Notes what happened: into the digest always, into the trace if somebody reads it.
    pub fn note(&mut self, line: fmt::Arguments<'_>) {
        struct Fnv<'a>(&'a mut u64);
        impl fmt::Write for Fnv<'_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                for byte in text.bytes() {
                    *self.0 = (*self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
                }
                Ok(())
            }
        }
        let now = self.now;
        let written = fmt::write(&mut Fnv(&mut self.digest), format_args!("{now} {line}\n"));
        debug_assert!(written.is_ok());
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>12.6} {line}", Duration::from_micros(now).as_secs_f64()));
        }
    }

    /// One number for everything that happened.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Wakes whoever waits for the ledger of a box.
    pub fn wake_waiters(&mut self, at: BoxIndex) {
        // A burst of commits is looked at once.
        const GATHER: Duration = Duration::from_millis(25);
        for (task, slot) in std::mem::take(&mut self.hospitals[at].waiters) {
            self.schedule(GATHER, Event::Fill(task, Box::new(move || *slot.borrow_mut() = Some(()))));
        }
    }

    /// Power goes at a box.
    pub fn crash(&mut self, at: BoxIndex) {
        let down = self.millis(200, 90_000);
        self.note(format_args!("box {at} loses power"));
        let forgets_outbox = self.mutant == Some(Mutant::OutboxForgottenInCrash);
        let forgets_due = self.mutant == Some(Mutant::DueForgottenInCrash);
        let hospital = &mut self.hospitals[at];
        hospital.is_up = false;
        hospital.life += 1;
        hospital.waiters.clear();
        if forgets_outbox {
            hospital.ledger.outbox.clear();
        }
        if forgets_due {
            hospital.ledger.rows.values_mut().for_each(|row| row.due_at = None);
        }
        self.doomed.push(at);
        self.schedule(down, Event::Happening(Happening::BoxStarts(at)));
    }

    /// A box that may lose power now, and does.
    pub fn may_crash(&mut self, at: BoxIndex, what: Sometimes) -> bool {
        if self.is_healed || !self.hospitals[at].is_up || self.faults.crashes_left == 0 {
            return false;
        }
        if !self.random.in_thousand(self.faults.crash) {
            return false;
        }
        self.faults.crashes_left -= 1;
        self.tally.count(what);
        self.crash(at);
        true
    }
}

/// A handle to the world. Never borrowed across an await.
#[derive(Clone)]
pub struct Sim(pub Rc<RefCell<World>>);

/// Waits until somebody fills it.
pub struct Wait<T>(pub Rc<RefCell<Option<T>>>);

impl<T> Future for Wait<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<T> {
        match self.0.borrow_mut().take() {
            Some(value) => Poll::Ready(value),
            None => Poll::Pending,
        }
    }
}

impl Sim {
    /// Uses the world for a moment.
    pub fn with<T>(&self, use_it: impl FnOnce(&mut World) -> T) -> T {
        use_it(&mut self.0.borrow_mut())
    }

    /// Waits so long.
    pub async fn sleep(&self, pause: Duration) {
        let slot = Rc::new(RefCell::new(None));
        let fill = Rc::clone(&slot);
        self.with(|world| {
            let task = world.current;
            world.schedule(pause, Event::Fill(task, Box::new(move || *fill.borrow_mut() = Some(()))));
        });
        Wait(slot).await;
    }

    /// Starts a program of a box.
    pub fn spawn(&self, at: BoxIndex, program: impl Future<Output = ()> + 'static) {
        self.with(|world| world.spawned.push((at, Box::pin(program))));
    }
}

/// Runs programs and events in their order.
pub struct Runner {
    sim: Sim,
    programs: BTreeMap<TaskId, (BoxIndex, Program)>,
    next_task: TaskId,
}

impl Runner {
    /// For a world.
    pub fn new(sim: Sim) -> Self {
        Runner { sim, programs: BTreeMap::new(), next_task: 1 }
    }

    /// Does the next thing, unless it lies behind the moment given. Says whether there was one.
    pub fn step(&mut self, until: Moment) -> bool {
        self.start_spawned();
        let next = self.sim.with(|world| {
            let first = world.queue.first_entry().filter(|entry| entry.key().0 <= until)?;
            let ((at, _), event) = first.remove_entry();
            world.now = at;
            Some(event)
        });
        let Some(event) = next else { return false };
        match event {
            Event::Fill(task, fill) => {
                fill();
                self.poll(task);
            }
            Event::Arrive(parcel) => self.sim.with(|world| crate::line::arrive(world, parcel)),
            Event::Outside(act) => self.sim.with(act),
            Event::Commit { at, life, apply } => self.sim.with(|world| {
                if world.hospitals[at].life == life {
                    apply(world, at);
                }
            }),
            Event::Happening(happening) => crate::faults::happen(&self.sim, happening),
        }
        self.drop_doomed();
        true
    }

    fn start_spawned(&mut self) {
        loop {
            let spawned = self.sim.with(|world| std::mem::take(&mut world.spawned));
            if spawned.is_empty() {
                return;
            }
            for (at, program) in spawned {
                let task = self.next_task;
                self.next_task += 1;
                self.programs.insert(task, (at, program));
                self.poll(task);
            }
            self.drop_doomed();
        }
    }

    fn poll(&mut self, task: TaskId) {
        let Some((_, program)) = self.programs.get_mut(&task) else { return };
        self.sim.with(|world| world.current = task);
        let mut context = Context::from_waker(Waker::noop());
        if program.as_mut().poll(&mut context).is_ready() {
            self.programs.remove(&task);
        }
    }

    fn drop_doomed(&mut self) {
        let doomed = self.sim.with(|world| std::mem::take(&mut world.doomed));
        for at in doomed {
            self.programs.retain(|_, (owner, _)| *owner != at);
        }
    }
}
