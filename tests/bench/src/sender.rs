//! The sender: one thread per association, writing prepared bytes and waiting for each answer.

use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;

use crate::wire;
use crate::workload::Instance;

/// AE title that all contenders are called by.
pub const CALLING: &str = "BENCH";

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where to send.
#[derive(Debug, Clone)]
pub struct Target {
    /// `host:port`.
    pub address: String,
    /// Its AE title.
    pub ae_title: String,
}

/// How a sending went.
pub struct Sent {
    /// From before the first connection to after the last release.
    pub wall: Duration,
    /// From the last byte of a C-STORE request written to its response read, sorted.
    pub latencies: Vec<Duration>,
    /// Bytes of data sets.
    pub bytes: u64,
}

impl Sent {
    /// The 99th percentile of the latencies.
    pub fn p99(&self) -> Duration {
        p99(&self.latencies)
    }
}

/// The 99th percentile of sorted times.
pub fn p99(sorted: &[Duration]) -> Duration {
    let index = (sorted.len() * 99).div_ceil(100).saturating_sub(1);
    sorted.get(index).copied().unwrap_or_default()
}

/// Messages for one peer: what is sent on each association.
pub struct Prepared {
    sop_class: String,
    lanes: Vec<Vec<Vec<Bytes>>>,
    bytes: u64,
}

/// Waits until the target accepts an association, and gives its PDU limit.
///
/// # Errors
/// If it does not within 30 seconds.
pub fn until_accepting(target: &Target, sop_class: &str) -> Result<usize> {
    let mut last = None;
    for _ in 0..600 {
        match probe(target, sop_class) {
            Ok(limit) => return Ok(limit),
            Err(error) => last = Some(error),
        }
        thread::sleep(Duration::from_millis(50));
    }
    Err(last.context("never tried")?.context("no association after 30 seconds"))
}

fn probe(target: &Target, sop_class: &str) -> Result<usize> {
    let mut stream = connect(target)?;
    let limit = wire::associate(&mut stream, CALLING, &target.ae_title, sop_class)?;
    wire::release(&mut stream)?;
    Ok(limit)
}

fn connect(target: &Target) -> Result<TcpStream> {
    let stream = TcpStream::connect(&target.address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Cuts the instances into one share per association, as bytes for this peer. Shares are stretches, as a PACS that
/// opens several associations sends one series on each.
///
/// # Errors
/// If there is nothing to send.
pub fn prepare(instances: &[Instance], associations: usize, limit: usize) -> Result<Prepared> {
    let first = instances.first().context("nothing to send")?;
    let share = instances.len().div_ceil(associations);
    let lanes = instances
        .chunks(share)
        .map(|share| (1..).zip(share).map(|(id, instance)| instance.message(limit, id)).collect())
        .collect();
    let bytes = instances.iter().map(Instance::size).sum::<usize>();
    Ok(Prepared { sop_class: first.sop_class.clone(), lanes, bytes: u64::try_from(bytes)? })
}

/// Sends everything.
///
/// # Errors
/// If an association breaks or an instance is answered with anything but success.
pub fn send(target: &Target, prepared: &Prepared) -> Result<Sent> {
    let begun = Instant::now();
    let lanes = thread::scope(|scope| {
        let running: Vec<_> = prepared
            .lanes
            .iter()
            .map(|lane| scope.spawn(|| send_lane(target, &prepared.sop_class, lane)))
            .collect();
        running
            .into_iter()
            .map(|lane| lane.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a sender panicked"))))
            .collect::<Result<Vec<_>>>()
    })?;
    let wall = begun.elapsed();
    let mut latencies = lanes.concat();
    latencies.sort_unstable();
    Ok(Sent { wall, latencies, bytes: prepared.bytes })
}

fn send_lane(target: &Target, sop_class: &str, lane: &[Vec<Bytes>]) -> Result<Vec<Duration>> {
    let mut stream = connect(target)?;
    wire::associate(&mut stream, CALLING, &target.ae_title, sop_class)?;
    let mut latencies = Vec::with_capacity(lane.len());
    for message in lane {
        for piece in message {
            std::io::Write::write_all(&mut stream, piece)?;
        }
        let written = Instant::now();
        let status = wire::response(&mut stream)?;
        latencies.push(written.elapsed());
        ensure!(status == 0, "an instance was answered with status {status:04X}");
    }
    wire::release(&mut stream)?;
    Ok(latencies)
}
