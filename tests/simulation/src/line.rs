//! The line between boxes, portal and PACS: late, lost, twice, out of order.
//!
//! A request that has left is on its way whatever becomes of the box that sent it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use beeldbox_custody::{HoldReason, WaitReason};
use beeldbox_protocol::portal::POLL_WAIT_SECS;
use beeldbox_transfer::portal_client::{Disposition, PortalError};

use crate::letter::Instance;
use crate::pacs::Mood;
use crate::portal::{Answer, Request};
use crate::tally::Sometimes;
use crate::world::{BoxIndex, Event, Moment, Sim, TaskId, Wait, World};

/// Why there is no good answer.
#[derive(Debug)]
pub enum LineError {
    /// None came. The real client wraps an error of its HTTP library here, which nobody can make by hand.
    Unreachable,
    /// The portal's own words.
    Portal(PortalError),
}

impl LineError {
    /// What the queue should do about it: the real function, but for the one case that it cannot be asked about.
    pub fn disposition(&self) -> Disposition {
        match self {
            LineError::Unreachable => Disposition::Retry(WaitReason::PortalUnreachable, None),
            LineError::Portal(error) => error.disposition(),
        }
    }
}

type Slot<T> = Rc<RefCell<Option<T>>>;

/// A request on its way.
pub struct Parcel {
    from: BoxIndex,
    life: u32,
    task: TaskId,
    request: Request,
    slot: Slot<Result<Answer, LineError>>,
    answer_by: Moment,
    answer_is_lost: bool,
    is_copy: bool,
    polls_until: Option<Moment>,
}

/// Asks the portal, and waits for an answer or for giving up.
pub async fn ask(sim: &Sim, from: BoxIndex, request: Request) -> Result<Answer, LineError> {
    let slot = Rc::new(RefCell::new(None));
    sim.with(|world| send(world, from, request, Rc::clone(&slot)));
    Wait(slot).await
}

fn send(world: &mut World, from: BoxIndex, request: Request, slot: Slot<Result<Answer, LineError>>) {
    let is_poll = matches!(request, Request::News(_));
    let patience = if is_poll { (POLL_WAIT_SECS + 15) * 1000 } else { 10_000 };
    let answer_by = world.now + patience * 1000;
    let (task, life) = (world.current, world.hospitals[from].life);
    let (lost, answer_lost, twice) = if world.is_healed {
        (false, false, false)
    } else {
        let faults = world.faults.clone();
        (
            world.random.in_thousand(faults.request_lost),
            world.random.in_thousand(faults.answer_lost),
            world.random.in_thousand(faults.twice) && !is_poll,
        )
    };
    let parcel = |request: Request, is_copy: bool| Parcel {
        from,
        life,
        task,
        request,
        slot: Rc::clone(&slot),
        answer_by,
        answer_is_lost: answer_lost,
        is_copy,
        polls_until: None,
    };
    if lost || world.hospitals[from].is_cut_off {
        world.tally.count(if lost { Sometimes::RequestLost } else { Sometimes::Partition });
        return give_up(world, task, slot, answer_by);
    }
    let delay = delay(world);
    if twice {
        world.tally.count(Sometimes::Duplicated);
        let later = delay + self::delay(world);
        let copy = parcel(request.clone(), true);
        world.schedule(later, Event::Arrive(copy));
    }
    world.schedule(delay, Event::Arrive(parcel(request, false)));
}

/// Most requests take some milliseconds; some take seconds.
fn delay(world: &mut World) -> Duration {
    let slow = if world.is_healed { 0 } else { world.faults.slow };
    if world.random.in_thousand(slow) { world.millis(500, 8_000) } else { world.millis(5, 120) }
}

fn give_up(world: &mut World, task: TaskId, slot: Slot<Result<Answer, LineError>>, at: Moment) {
    let fill = move || {
        slot.borrow_mut().get_or_insert(Err(LineError::Unreachable));
    };
    world.schedule_at(at, Event::Fill(task, Box::new(fill)));
}

fn reply(world: &mut World, parcel: Parcel, answer: Result<Answer, LineError>) {
    if parcel.is_copy {
        return;
    }
    let Parcel { from, task, slot, answer_by, answer_is_lost, .. } = parcel;
    if answer_is_lost || world.hospitals[from].is_cut_off {
        return give_up(world, task, slot, answer_by);
    }
    let at = world.now + u64::try_from(delay(world).as_micros()).unwrap_or_default();
    if world.last_answer_at.get(&from).is_some_and(|last| *last > at) {
        world.tally.count(Sometimes::Reordered);
    }
    let last = world.last_answer_at.entry(from).or_default();
    *last = at.max(*last);
    if at > answer_by {
        return give_up(world, task, slot, answer_by);
    }
    let fill = move || {
        slot.borrow_mut().get_or_insert(answer);
    };
    world.schedule_at(at, Event::Fill(task, Box::new(fill)));
}

/// A request is at the portal.
pub fn arrive(world: &mut World, mut parcel: Parcel) {
    if !world.portal_is_up || world.hospitals[parcel.from].is_cut_off {
        world.tally.count(if world.portal_is_up { Sometimes::Partition } else { Sometimes::PortalDown });
        return reply(world, parcel, Err(LineError::Unreachable));
    }
    if let Some(error) = mood(world, parcel.from) {
        return reply(world, parcel, Err(LineError::Portal(error)));
    }
    let ura = world.hospitals[parcel.from].ura.clone();
    if let Request::News(since) = &parcel.request
        && !world.portal.has_news(&ura, *since)
    {
        let until = *parcel.polls_until.get_or_insert(world.now + POLL_WAIT_SECS * 1_000_000);
        if world.now < until {
            world.polls.push(parcel);
            return world.schedule_at(until, Event::Outside(Box::new(move |world| end_polls(world, until))));
        }
    }
    let name = parcel.request.name();
    let now = world.time();
    let (answer, has_changed) = world.portal.answer(&ura, parcel.request.clone(), now);
    let outcome = match &answer {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.to_string(),
    };
    world.note(format_args!("portal: {name} of box {}: {outcome}", parcel.from));
    if has_changed {
        portal_changed(world);
        crate::checks::portal_changed(world);
        if parcel.answer_is_lost {
            world.tally.count(Sometimes::AnswerLostAfterEffect);
        }
    }
    let (from, life) = (parcel.from, parcel.life);
    reply(world, parcel, answer.map_err(LineError::Portal));
    if has_changed && world.hospitals[from].life == life {
        world.may_crash(from, Sometimes::CrashAfterEffect);
    }
}

/// Busy or refusing, as the portal is now and then.
fn mood(world: &mut World, from: BoxIndex) -> Option<PortalError> {
    if world.is_healed {
        return None;
    }
    if world.faults.refuses == Some(from) {
        world.tally.count(Sometimes::PortalRefused);
        return Some(PortalError::RefusedUs(403));
    }
    if world.random.in_thousand(world.faults.busy) {
        world.tally.count(Sometimes::PortalBusy);
        let retry_after = world.random.in_thousand(500).then(|| Duration::from_secs(20));
        return Some(PortalError::Busy { retry_after });
    }
    None
}

/// Something changed at the portal: it is written, and whoever polls is told.
pub fn portal_changed(world: &mut World) {
    if world.mutant == Some(crate::mutant::Mutant::PortalAnswersBeforeCommit) {
        let later = world.millis(50, 4_000);
        world.schedule(later, Event::Outside(Box::new(|world| world.portal.flush())));
    }
    for poll in std::mem::take(&mut world.polls) {
        world.schedule(Duration::from_millis(1), Event::Arrive(poll));
    }
}

fn end_polls(world: &mut World, until: Moment) {
    let (over, waiting) =
        std::mem::take(&mut world.polls).into_iter().partition(|poll| poll.polls_until == Some(until));
    world.polls = waiting;
    for poll in over {
        arrive(world, poll);
    }
}

/// The portal loses power: whoever polled gets no answer.
pub fn break_polls(world: &mut World) {
    for poll in std::mem::take(&mut world.polls) {
        reply(world, poll, Err(LineError::Unreachable));
    }
}

/// What became of a talk with the PACS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacsAnswer {
    /// A DIMSE status.
    Status(u16),
    /// No association, or it broke.
    Unreachable,
    /// It refuses our association for good.
    RefusesUs,
}

impl PacsAnswer {
    /// Whether it means that a person must look.
    pub fn hold(self) -> Option<HoldReason> {
        match self {
            PacsAnswer::RefusesUs => Some(HoldReason::PacsRefusedUs),
            PacsAnswer::Status(_) | PacsAnswer::Unreachable => None,
        }
    }
}

/// Asks the PACS for an association (without an instance) or to store one.
pub async fn ask_pacs(sim: &Sim, at: BoxIndex, instance: Option<Instance>) -> PacsAnswer {
    let slot = Rc::new(RefCell::new(None));
    sim.with(|world| {
        let (task, fill) = (world.current, Rc::clone(&slot));
        let (there, back) = (world.millis(1, 30), world.millis(1, 30));
        let act = move |world: &mut World| {
            let answer = pacs_answers(world, at, instance);
            let fill = move || {
                fill.borrow_mut().get_or_insert(answer);
            };
            world.schedule(back, Event::Fill(task, Box::new(fill)));
        };
        world.schedule(there, Event::Outside(Box::new(act)));
    });
    Wait(slot).await
}

fn pacs_answers(world: &mut World, at: BoxIndex, instance: Option<Instance>) -> PacsAnswer {
    match (world.hospitals[at].pacs.mood, instance) {
        (Mood::Down, _) => {
            world.tally.count(Sometimes::PacsDown);
            PacsAnswer::Unreachable
        }
        (Mood::RefusesBox, None) => {
            world.tally.count(Sometimes::PacsRefusedBox);
            PacsAnswer::RefusesUs
        }
        (Mood::Well | Mood::Busy, None) => PacsAnswer::Status(0),
        (Mood::Well | Mood::Busy | Mood::RefusesBox, Some(instance)) => {
            let status = world.hospitals[at].pacs.store(instance);
            world.note(format_args!("pacs {at}: {instance:?} {status:04x}"));
            crate::checks::pacs_stored(world, at, instance, status);
            match status {
                crate::pacs::OUT_OF_RESOURCES => world.tally.count(Sometimes::PacsBusy),
                crate::pacs::REFUSED => world.tally.count(Sometimes::PacsRefusedInstance),
                _ => {
                    if !world.is_healed && world.random.in_thousand(world.faults.pacs_answer_lost) {
                        world.tally.count(Sometimes::PacsAnswerLost);
                        world.pacs_answers_lost[at] += 1;
                        return PacsAnswer::Unreachable;
                    }
                }
            }
            PacsAnswer::Status(status)
        }
    }
}
