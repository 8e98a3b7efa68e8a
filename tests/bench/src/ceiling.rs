//! The raw ceiling: what the same disk does when one thread writes the same sizes into one file and flushes after each.
//!
//! No receiver that answers only what is on stable storage, one instance after another, can be faster.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::fcntl::{FallocateFlags, fallocate};

use crate::{process, workload};

/// Bytes per write, as the box writes.
const PIECE: usize = 256 * 1024;

/// How the file comes to its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// By writing behind its end: every flush also records the new length.
    Growing,
    /// Its blocks are reserved, and its length set, before the clock starts: a flush records that they are written.
    Preallocated,
    /// It is full of flushed zeros before the clock starts: a flush has nothing to record.
    Overwriting,
}

/// What was measured.
pub struct Written {
    /// All writes and flushes.
    pub wall: Duration,
    /// Of each flush, sorted.
    pub flushes: Vec<Duration>,
    /// CPU time of the writer.
    pub cpu: Duration,
}

/// Writes and flushes so many bytes for each of `sizes`.
///
/// # Errors
/// If the file cannot be written.
pub fn measure(work: &Path, growth: Growth, sizes: &[usize]) -> Result<Written> {
    let path = work.join("ceiling");
    let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    let total = u64::try_from(sizes.iter().sum::<usize>())?;
    match growth {
        Growth::Growing => {}
        Growth::Preallocated => fallocate(file.as_fd(), FallocateFlags::empty(), 0, i64::try_from(total)?)?,
        Growth::Overwriting => {
            std::io::copy(&mut std::io::repeat(0).take(total), &mut &file)?;
        }
    }
    file.sync_all()?;
    let noise = workload::noise(PIECE);
    let written = write_all(&file, &noise, sizes);
    std::fs::remove_file(&path)?;
    written
}

fn write_all(file: &File, noise: &[u8], sizes: &[usize]) -> Result<Written> {
    let mut flushes = Vec::with_capacity(sizes.len());
    let mut at = 0;
    let cpu = process::own_cpu()?;
    let begun = Instant::now();
    for size in sizes {
        let mut left = *size;
        while left > 0 {
            let piece = &noise[..left.min(noise.len())];
            file.write_all_at(piece, at)?;
            at += u64::try_from(piece.len())?;
            left -= piece.len();
        }
        let flushed = Instant::now();
        file.sync_data()?;
        flushes.push(flushed.elapsed());
    }
    let wall = begun.elapsed();
    flushes.sort_unstable();
    let cpu = process::own_cpu()?.saturating_sub(cpu);
    Ok(Written { wall, flushes, cpu })
}
