//! One measurement: one subject, one study, so many associations, from an empty folder.

use std::time::Duration;

use anyhow::Result;

use crate::ceiling::{self, Growth};
use crate::contender::{Contender, Places, Running};
use crate::process::{self, Beside, MemoryWatch};
use crate::sender;
use crate::workload::Instance;

/// What is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A program, started with these arguments of its own.
    Program(Contender, Vec<&'static str>),
    /// The disk alone.
    Disk(Growth),
}

impl Subject {
    /// Under which it stands in a table: the manners of a program share a row.
    pub fn name(&self) -> &'static str {
        match self {
            Subject::Program(contender, _) => contender.name(),
            Subject::Disk(Growth::Growing) => "disk: write + fdatasync",
            Subject::Disk(Growth::Preallocated) => "disk: the same, preallocated",
            Subject::Disk(Growth::Overwriting) => "disk: the same, over zeros",
        }
    }

    /// The arguments that make its manner.
    pub fn manner(&self) -> String {
        match self {
            Subject::Program(_, manner) => manner.join(" "),
            Subject::Disk(_) => String::new(),
        }
    }
}

/// What one measurement gave.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// Bytes of data sets.
    pub bytes: u64,
    /// From before the first connection to after the last release.
    pub wall: Duration,
    /// 99th percentile from the last byte of a request written to the response read; for the disk, of a flush.
    pub p99: Duration,
    /// CPU time of the receiver; for the disk, of the writer.
    pub cpu: Duration,
    /// CPU time of the sender.
    pub sender_cpu: Duration,
    /// Most resident bytes of the receiver; 0 for the disk.
    pub memory: u64,
}

impl Outcome {
    /// Bytes per second.
    pub fn rate(&self) -> f64 {
        as_float(self.bytes) / self.wall.as_secs_f64()
    }

    /// CPU seconds per GB (10⁹ bytes) received.
    pub fn cpu_per_gb(&self) -> f64 {
        self.cpu.as_secs_f64() / (as_float(self.bytes) / 1e9)
    }

    /// CPU seconds of the sender per GB.
    pub fn sender_cpu_per_gb(&self) -> f64 {
        self.sender_cpu.as_secs_f64() / (as_float(self.bytes) / 1e9)
    }
}

/// A number of bytes or things as a float; exact up to 2⁵³.
pub fn as_float(count: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "sizes here are far below 2⁵³")]
    let float = count as f64;
    float
}

/// Measures.
///
/// # Errors
/// If the subject fails, or does not hold afterwards what it was sent.
pub fn measure(
    places: &Places,
    subject: &Subject,
    instances: &[Instance],
    associations: usize,
) -> Result<Outcome> {
    // What earlier runs left to be written must not be written during this one.
    nix::unistd::sync();
    match subject {
        Subject::Program(contender, manner) => {
            receive(places, *contender, manner, instances, associations, |_| Ok(None))
        }
        Subject::Disk(growth) => write(places, *growth, instances),
    }
}

/// Measures a program. `watched` is called with its process id before the clock starts, and what it gives is ended
/// after the clock has stopped.
///
/// # Errors
/// See [`measure`].
pub fn receive(
    places: &Places,
    contender: Contender,
    manner: &[&str],
    instances: &[Instance],
    associations: usize,
    watched: impl FnOnce(u32) -> Result<Option<Beside>>,
) -> Result<Outcome> {
    let running = Running::start(places, contender, manner)?;
    let sop_class = instances.first().map_or("", |instance| &instance.sop_class);
    let limit = sender::until_accepting(&running.target, sop_class)?;
    let prepared = sender::prepare(instances, associations, limit)?;
    let id = running.process.id();
    let beside = watched(id)?;
    let (before, sender_before) = (process::cpu(id)?, process::own_cpu()?);
    let memory = MemoryWatch::start(id);
    let sent = sender::send(&running.target, &prepared)?;
    let memory = memory.finish();
    let outcome = Outcome {
        bytes: sent.bytes,
        wall: sent.wall,
        p99: sent.p99(),
        cpu: process::cpu(id)?.saturating_sub(before),
        sender_cpu: process::own_cpu()?.saturating_sub(sender_before),
        memory,
    };
    beside.map_or(Ok(()), Beside::stop)?;
    running.check(places, instances)?;
    running.stop()?;
    Ok(outcome)
}

fn write(places: &Places, growth: Growth, instances: &[Instance]) -> Result<Outcome> {
    let sizes: Vec<usize> = instances.iter().map(Instance::size).collect();
    let written = ceiling::measure(&places.work, growth, &sizes)?;
    Ok(Outcome {
        bytes: u64::try_from(sizes.iter().sum::<usize>())?,
        wall: written.wall,
        p99: sender::p99(&written.flushes),
        cpu: written.cpu,
        sender_cpu: Duration::ZERO,
        memory: 0,
    })
}
