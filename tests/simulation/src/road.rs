//! What every worker of a box holds here, and the one way to take a step: ask the real machine, then commit the move with
//! all its effects. The twin of `transfer::road`.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use beeldbox_custody::{HoldReason, InboundState, OutboundState, State};
use beeldbox_protocol::ident::{TransferId, Ura};
use beeldbox_protocol::portal::fhir::Task;
use beeldbox_transfer::effect::{Effect, NotNow, Verdict};
use beeldbox_transfer::inbound::{self, InboundEvent};
use beeldbox_transfer::outbound::{self, OutboundEvent};
use beeldbox_transfer::portal_client::{Disposition, PortalError};
use beeldbox_transfer::road::after;
use beeldbox_transfer::worker::backoff;
use jiff::Timestamp;

use crate::checks;
use crate::ledger::{Changes, Ledger, LedgerError, Message, Row};
use crate::line::{self, LineError};
use crate::mutant::Mutant;
use crate::portal::{Answer, Request};
use crate::tally::Sometimes;
use crate::world::{BoxIndex, Event, Sim, Wait, World};

/// As in `transfer::road`.
const STEP_FAILED_PAUSE: Duration = Duration::from_secs(30);

/// As in `transfer::worker`.
const OTHERS_WORK: Duration = Duration::from_secs(1);

/// In `transfer::worker` it is thirty seconds; here a sleeper is woken when a clock is set, so it may sleep longer.
const LONGEST_SLEEP: Duration = Duration::from_secs(120);

/// A step was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepError {
    /// The machine does not allow it now.
    NotNow,
    /// The ledger did not take it.
    Ledger(LedgerError),
}

impl From<NotNow> for StepError {
    fn from(_: NotNow) -> Self {
        StepError::NotNow
    }
}

impl From<LedgerError> for StepError {
    fn from(error: LedgerError) -> Self {
        StepError::Ledger(error)
    }
}

/// What a worker holds.
#[derive(Clone)]
pub struct Road {
    /// The world.
    pub sim: Sim,
    /// Which box.
    pub at: BoxIndex,
}

impl Road {
    /// The time by the clock of this box.
    pub fn now(&self) -> Timestamp {
        self.sim.with(|world| world.time_at(self.at))
    }

    /// Who this box is.
    pub fn ura(&self) -> Ura {
        self.sim.with(|world| world.hospitals[self.at].ura.clone())
    }

    /// Whether a rule is broken on purpose.
    pub fn breaks(&self, mutant: Mutant) -> bool {
        self.sim.with(|world| world.mutant == Some(mutant))
    }

    /// Asks the ledger something; the answer is as old as the question.
    pub async fn look<T: 'static>(&self, question: impl FnOnce(&Ledger) -> T + 'static) -> T {
        self.queue(move |world, at| Some(question(&world.hospitals[at].ledger))).await
    }

    /// Commits something. A crash before it is on disk loses it; a crash after it loses the answer only.
    pub async fn commit<T: 'static>(&self, change: impl FnOnce(&mut Ledger) -> T + 'static) -> T {
        self.queue(move |world, at| {
            if world.may_crash(at, Sometimes::CrashBeforeCommit) {
                return None;
            }
            let answer = change(&mut world.hospitals[at].ledger);
            checks::ledger_changed(world, at);
            world.wake_waiters(at);
            (!world.may_crash(at, Sometimes::CrashAfterCommit)).then_some(answer)
        })
        .await
    }

    async fn queue<T: 'static>(&self, act: impl FnOnce(&mut World, BoxIndex) -> Option<T> + 'static) -> T {
        let slot = Rc::new(RefCell::new(None));
        let fill = Rc::clone(&slot);
        self.sim.with(|world| {
            let (task, at) = (world.current, self.at);
            let takes = u64::try_from(world.millis(0, 6).as_micros()).unwrap_or_default();
            let hospital = &mut world.hospitals[at];
            let done = hospital.ledger_free_at.max(world.now) + takes;
            hospital.ledger_free_at = done;
            let life = hospital.life;
            let apply = move |world: &mut World, at: BoxIndex| {
                if let Some(answer) = act(world, at) {
                    let fill = move || *fill.borrow_mut() = Some(answer);
                    let back = world.millis(0, 2);
                    world.schedule(back, Event::Fill(task, Box::new(fill)));
                }
            };
            world.schedule_at(done, Event::Commit { at, life, apply: Box::new(apply) });
        });
        Wait(slot).await
    }

    /// One transfer as it is now.
    pub async fn row(&self, id: TransferId) -> Option<Row> {
        self.look(move |ledger| ledger.rows.get(&id).cloned()).await
    }

    /// What is due now.
    pub async fn due(&self) -> Vec<Row> {
        let now = self.now();
        self.look(move |ledger| ledger.due(now)).await
    }

    /// Asks the portal.
    pub async fn ask(&self, request: Request) -> Result<Answer, LineError> {
        line::ask(&self.sim, self.at, request).await
    }

    /// The Task as it is at the portal.
    pub async fn task(&self, id: TransferId) -> Result<Task, LineError> {
        match self.ask(Request::Read(id)).await? {
            Answer::Task(task) => Ok(*task),
            Answer::Done | Answer::Missing(_) | Answer::Letter(_) | Answer::News(..) => {
                Err(LineError::Portal(PortalError::NotUnderstood("not a Task")))
            }
        }
    }

    /// Moves the Task.
    pub async fn update(&self, id: TransferId, task: Task) -> Result<(), LineError> {
        self.ask(Request::Update(id, Box::new(task))).await.map(drop)
    }

    /// As `transfer::road::Road::step_outbound`.
    pub async fn step_outbound(
        &self,
        row: &Row,
        event: OutboundEvent,
        changes: Changes,
    ) -> Result<Option<OutboundState>, StepError> {
        let State::Outbound(from) = &row.state else { return Err(StepError::NotNow) };
        match outbound::step(from, event, self.now())? {
            Verdict::Stay => Ok(None),
            Verdict::Move(to, effects) => {
                self.advance(row, State::Outbound(to.clone()), &effects, changes, Vec::new()).await?;
                Ok(Some(to))
            }
        }
    }

    /// As `transfer::road::Road::step_inbound`.
    pub async fn step_inbound(
        &self,
        row: &Row,
        event: InboundEvent,
        changes: Changes,
        tell: Vec<u8>,
    ) -> Result<Option<InboundState>, StepError> {
        let State::Inbound(from) = &row.state else { return Err(StepError::NotNow) };
        match inbound::step(from, event, self.now())? {
            Verdict::Stay => Ok(None),
            Verdict::Move(to, effects) => {
                self.advance(row, State::Inbound(to.clone()), &effects, changes, tell).await?;
                Ok(Some(to))
            }
        }
    }

    async fn advance(
        &self,
        row: &Row,
        to: State,
        effects: &[Effect],
        mut changes: Changes,
        tell: Vec<u8>,
    ) -> Result<(), StepError> {
        let now = self.now();
        let keep_for = self.sim.with(|world| world.keep_for);
        for effect in effects {
            match effect {
                Effect::WorkAt(at) => changes.due_at = Some(*at),
                Effect::LookAgain => {
                    self.sim.with(|world| world.tally.count(Sometimes::ReceiptBeforeAnswer));
                }
                Effect::EraseNow => changes.due_at = Some(now),
                Effect::EraseAfterKeeping => changes.due_at = Some(after(now, keep_for)),
                Effect::Tell(telling) => changes.outbox.push(Message {
                    telling: *telling,
                    transfer: row.id,
                    payload: tell.clone(),
                    due_at: now,
                    attempts: 0,
                }),
            }
        }
        let apart = match self.breaks(Mutant::OutboxApartFromMove) {
            true => std::mem::take(&mut changes.outbox),
            false => Vec::new(),
        };
        let (id, from) = (row.id, row.state.clone());
        let moved = self.commit(move |ledger| ledger.advance(id, &from, &to, changes)).await;
        if let Err(LedgerError::MoveNotAllowed(from, to)) = moved {
            self.sim.with(|world| checks::move_not_listed(world, self.at, id, from, to));
        }
        moved?;
        if !apart.is_empty() {
            self.commit(move |ledger| apart.into_iter().for_each(|message| ledger.tell(message))).await;
        }
        Ok(())
    }

    /// As `transfer::road::Road::wait_or_hold`.
    pub async fn wait_or_hold(&self, row: &Row, disposition: Disposition) {
        let kind = row.state.kind();
        let newest = self.row(row.id).await.filter(|newest| newest.state.kind() == kind);
        let Some(row) = &newest else { return };
        let result = match disposition {
            Disposition::Retry(reason, pause) => {
                let jitter = self.sim.with(|world| world.random.byte());
                let pause = pause.unwrap_or_else(|| backoff(row.attempts, jitter));
                let (id, due_at) = (row.id, after(self.now(), pause));
                self.commit(move |ledger| ledger.set_waiting(id, kind, reason, due_at)).await;
                Ok(())
            }
            Disposition::Hold(reason) => self.hold(row, reason).await,
        };
        if let Err(error) = result {
            self.step_failed(row, error).await;
        }
    }

    /// As `transfer::road::Road::hold`.
    pub async fn hold(&self, row: &Row, reason: HoldReason) -> Result<(), StepError> {
        match &row.state {
            State::Outbound(_) => {
                self.step_outbound(row, OutboundEvent::MustHold(reason), Changes::default()).await.map(drop)
            }
            State::Inbound(_) => self
                .step_inbound(row, InboundEvent::MustHold(reason), Changes::default(), Vec::new())
                .await
                .map(drop),
        }
    }

    /// As `transfer::road::Road::step_failed`.
    pub async fn step_failed(&self, row: &Row, failure: StepError) {
        if failure == StepError::Ledger(LedgerError::Stale) {
            return;
        }
        let (id, kind, later) = (row.id, row.state.kind(), after(self.now(), STEP_FAILED_PAUSE));
        self.commit(move |ledger| ledger.set_due(id, kind, Some(later))).await;
    }

    /// As `transfer::worker::until_due`.
    pub async fn until_due(&self) {
        let next = self.look(Ledger::next_due).await;
        let sleep = match next.map(|at| Duration::try_from(at.duration_since(self.now()))) {
            Some(Err(_) | Ok(Duration::ZERO)) => OTHERS_WORK,
            Some(Ok(sleep)) => sleep.min(LONGEST_SLEEP),
            None => LONGEST_SLEEP,
        };
        self.until_changed(sleep).await;
    }

    /// Waits so long, or until the ledger changed.
    pub async fn until_changed(&self, sleep: Duration) {
        let slot = Rc::new(RefCell::new(None));
        let fill = Rc::clone(&slot);
        self.sim.with(|world| {
            let task = world.current;
            world.hospitals[self.at].waiters.push((task, Rc::clone(&slot)));
            world.schedule(sleep, Event::Fill(task, Box::new(move || *fill.borrow_mut() = Some(()))));
        });
        Wait(slot).await;
    }
}
