//! A line in user space: so many bits per second, so far away, some packets lost, and cut now and then.
//!
//! ```text
//!   caller at 10.99.n.1 ─► device ─► rate, queue, delay, loss ─► both addresses change places ─► device ─► server at 10.99.n.1
//!         connects to 10.99.n.2 ◄──────────────────── the way back, likewise ◄─────────────────────
//! ```
//!
//! Both ends are the kernel's own TCP; only the packets between them pass through here. Turning them round makes one
//! address the far end of the line for both, so that no program has to know of it. Each way has a queue, as a router has,
//! and what does not fit is lost. A cut takes the line away for a while, and whoever goes on talking on a connection from
//! before it is told that it is gone, as a gateway that has been started again does.

use std::process::Command;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tun_rs::{DeviceBuilder, SyncDevice};

use crate::flows::{Flows, Ports, Standing, Way};
use crate::packet::{Segment, turn_round};

/// Longest packet, as on an Ethernet.
const LONGEST: u16 = 1500;

/// What a queue holds before packets are dropped: what a line of 100 Mbit/s and 50 ms holds itself.
const QUEUE_BYTES: u64 = 625_000;

/// Packets between the two threads of a way: a full queue and a full line of the shortest ones, rounded up.
const IN_HAND: usize = 1 << 16;

/// How long a cut lasts.
const CUT: Duration = Duration::from_secs(1);

/// The first cut comes so soon that it meets a small study too.
const FIRST_CUT: Duration = Duration::from_millis(500);

/// How a line is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conditions {
    /// Bits per second, each way, with the headers of IP and TCP.
    pub bits_per_second: u64,
    /// From one end to the other and back.
    pub round_trip: Duration,
    /// Lost packets in a million, each way.
    pub lost_in_a_million: u64,
    /// Time between two cuts; the first comes within a second.
    pub cut_every: Option<Duration>,
}

/// What went over a line one way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Bytes of streams, each counted once.
    pub fresh: u64,
    /// Bytes of streams that TCP repeated.
    pub repeated: u64,
    /// Bytes of packets.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// Packets lost by chance.
    pub lost: u64,
    /// Packets for which the queue had no room.
    pub overflowed: u64,
}

/// What went over a line since its conditions were set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tallies {
    /// From callers.
    pub up: Tally,
    /// From servers.
    pub down: Tally,
    /// How often it was cut.
    pub cuts: u64,
}

/// A line.
pub struct Wire {
    number: u8,
    state: Arc<Mutex<State>>,
}

struct State {
    conditions: Conditions,
    flows: Flows,
    tallies: Tallies,
    /// When the queue of each way, up and down, will be empty.
    free_at: [Instant; 2],
    next_cut: Option<Instant>,
    dark_until: Instant,
    chance: u64,
}

/// A packet on its way.
struct Travelling {
    due: Instant,
    ports: Ports,
    packet: Vec<u8>,
}

impl Wire {
    /// Opens the line of this number. The same seed loses the same packets, counted from the first.
    ///
    /// # Errors
    /// If the device cannot be made: that takes the rights of an administrator in this network namespace.
    pub fn open(number: u8, seed: u64, conditions: Conditions) -> Result<Wire> {
        let name = format!("line{number}");
        let device = DeviceBuilder::new().name(&name).mtu(LONGEST).build_sync();
        let device = Arc::new(device.context("no network device in user space can be made")?);
        let (near, far) = (near(number), far(number));
        ip(&["address", "add", &near, "peer", &far, "dev", &name])?;
        // The only queue that may be full is ours.
        ip(&["link", "set", &name, "txqueuelen", "10000", "up"])?;
        let now = Instant::now();
        let state = Arc::new(Mutex::new(State {
            conditions,
            flows: Flows::default(),
            tallies: Tallies::default(),
            free_at: [now; 2],
            next_cut: first_cut(conditions),
            dark_until: now,
            chance: seed | 1,
        }));
        let ways = [way(&device, &state), way(&device, &state)];
        let reading = Arc::clone(&state);
        // The threads end with the program.
        thread::spawn(move || read_for_ever(&device, &reading, &ways));
        Ok(Wire { number, state })
    }

    /// Address under which a server of this machine is reached over the line.
    pub fn far(&self) -> String {
        far(self.number)
    }

    /// Changes the line, and counts anew from now on.
    pub fn set(&self, conditions: Conditions) {
        let mut state = locked(&self.state);
        state.conditions = conditions;
        state.tallies = Tallies::default();
        state.next_cut = first_cut(conditions);
    }

    /// What went over it since then.
    pub fn tallies(&self) -> Tallies {
        locked(&self.state).tallies
    }
}

fn first_cut(conditions: Conditions) -> Option<Instant> {
    conditions.cut_every.map(|every| Instant::now() + FIRST_CUT.min(every))
}

fn near(number: u8) -> String {
    format!("10.99.{number}.1")
}

fn far(number: u8) -> String {
    format!("10.99.{number}.2")
}

/// Runs `ip` of iproute2.
///
/// # Errors
/// If it is missing or refuses.
pub fn ip(words: &[&str]) -> Result<()> {
    let status = Command::new("ip").args(words).status();
    let status = status.context("`ip` is missing; on Debian: apt-get install iproute2")?;
    ensure!(status.success(), "ip {} did not succeed", words.join(" "));
    Ok(())
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One way of the line: what is put into it comes out when it is due.
fn way(device: &Arc<SyncDevice>, state: &Arc<Mutex<State>>) -> SyncSender<Travelling> {
    let (sender, receiver) = sync_channel(IN_HAND);
    let (device, state) = (Arc::clone(device), Arc::clone(state));
    thread::spawn(move || write_for_ever(&device, &state, &receiver));
    sender
}

fn write_for_ever(device: &SyncDevice, state: &Mutex<State>, packets: &Receiver<Travelling>) {
    while let Ok(Travelling { due, ports, packet }) = packets.recv() {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        // A cut takes what is on the line with it. The kernel may be full; then the packet is lost as on any line.
        if !locked(state).flows.is_gone(ports) {
            let _ = device.send(&packet);
        }
    }
}

fn read_for_ever(device: &SyncDevice, state: &Mutex<State>, ways: &[SyncSender<Travelling>; 2]) {
    let mut buffer = vec![0; usize::from(LONGEST) + 1];
    while let Ok(length) = device.recv(&mut buffer) {
        let packet = &mut buffer[..length];
        // Nothing else than TCP is said here.
        let Some(segment) = Segment::read(packet) else { continue };
        let verdict = locked(state).judge(&segment, length, Instant::now());
        match verdict {
            Verdict::Lost => {}
            Verdict::Gone => {
                if let Some(refusal) = segment.refusal(packet) {
                    let _ = device.send(&refusal);
                }
            }
            Verdict::Arrives(due) => {
                turn_round(packet);
                let (ports, way) = (Flows::ports(&segment), Way::of(&segment));
                let travelling = Travelling { due, ports, packet: packet.to_vec() };
                // Full means that the machine cannot keep up: lost, as in a queue that is too short.
                if ways[usize::from(way == Way::Down)].try_send(travelling).is_err() {
                    locked(state).tally(way).overflowed += 1;
                }
            }
        }
    }
}

/// What becomes of a packet.
enum Verdict {
    Lost,
    Gone,
    Arrives(Instant),
}

impl State {
    fn tally(&mut self, way: Way) -> &mut Tally {
        match way {
            Way::Up => &mut self.tallies.up,
            Way::Down => &mut self.tallies.down,
        }
    }

    fn judge(&mut self, segment: &Segment, length: usize, now: Instant) -> Verdict {
        if let (Some(every), Some(at)) = (self.conditions.cut_every, self.next_cut)
            && now >= at
        {
            self.flows.cut();
            self.tallies.cuts += 1;
            self.dark_until = now + CUT;
            self.next_cut = Some(now + every);
        }
        if now < self.dark_until {
            return Verdict::Lost;
        }
        let Standing::Alive { fresh } = self.flows.note(segment) else { return Verdict::Gone };
        let (way, length) = (Way::of(segment), u64::try_from(length).unwrap_or(u64::MAX));
        let rate = self.conditions.bits_per_second;
        let is_lost = self.draw() % 1_000_000 < self.conditions.lost_in_a_million;
        let side = usize::from(way == Way::Down);
        let begins = self.free_at[side].max(now);
        let waiting = nanoseconds(begins.duration_since(now)) * rate / 8 / 1_000_000_000;
        let tally = self.tally(way);
        tally.fresh += u64::from(fresh);
        tally.repeated += u64::from(segment.payload.saturating_sub(fresh));
        tally.bytes += length;
        tally.packets += 1;
        if waiting + length > QUEUE_BYTES {
            tally.overflowed += 1;
            return Verdict::Lost;
        }
        let ends = begins + Duration::from_nanos(length * 8 * 1_000_000_000 / rate);
        self.free_at[side] = ends;
        // Lost behind the queue, as on the air: it took its time on the line all the same.
        if is_lost {
            self.tally(way).lost += 1;
            return Verdict::Lost;
        }
        Verdict::Arrives(ends + self.conditions.round_trip / 2)
    }

    /// The next of a row of numbers that look random (xorshift64*).
    fn draw(&mut self) -> u64 {
        self.chance ^= self.chance >> 12;
        self.chance ^= self.chance << 25;
        self.chance ^= self.chance >> 27;
        self.chance.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
