//! Markers: what was told, written past the file system to the raw end of the same disk, so that it stands in the record
//! of the disk at the very place where it was told.
//!
//! A marker is written directly and not flushed: a flush would make safe what the promise alone has to make safe.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use nix::fcntl::OFlag;

use crate::told::{Listener, Told};

/// Bytes of a marker, a multiple of what any disk writes at once.
pub const MARKER_LEN: usize = 4096;

/// How a marker begins.
const MAGIC: [u8; 8] = *b"BBX-TOLD";

/// Bytes before the text: the magic and the length of the text.
const HEAD_LEN: usize = 12;

/// Writes markers to the end of a disk.
pub struct Markers {
    place: Mutex<Place>,
}

struct Place {
    disk: File,
    next: u64,
    /// Holds one marker at an address that the disk accepts.
    buffer: Vec<u8>,
    from: usize,
}

impl Markers {
    /// Begins behind the markers that are there, from an offset of the disk on.
    ///
    /// # Errors
    /// If the disk cannot be opened or read.
    pub fn on(disk: &Path, area: u64) -> Result<Self> {
        let found = read(disk, area)?.len() as u64;
        let disk =
            OpenOptions::new().read(true).write(true).custom_flags(OFlag::O_DIRECT.bits()).open(disk)?;
        let buffer = vec![0; 2 * MARKER_LEN];
        let from = buffer.as_ptr().align_offset(MARKER_LEN);
        let next = area + found * MARKER_LEN as u64;
        Ok(Markers { place: Mutex::new(Place { disk, next, buffer, from }) })
    }
}

impl Listener for Markers {
    fn told(&self, told: &Told) -> Result<()> {
        let text = serde_json::to_vec(told)?;
        ensure!(text.len() <= MARKER_LEN - HEAD_LEN, "too much to tell at once");
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        let Place { disk, next, buffer, from } = &mut *place;
        let marker = &mut buffer[*from..*from + MARKER_LEN];
        marker.fill(0);
        marker[..8].copy_from_slice(&MAGIC);
        marker[8..HEAD_LEN].copy_from_slice(&u32::try_from(text.len())?.to_le_bytes());
        marker[HEAD_LEN..HEAD_LEN + text.len()].copy_from_slice(&text);
        disk.write_all_at(marker, *next).context("write a marker")?;
        *next += MARKER_LEN as u64;
        Ok(())
    }
}

/// What a marker says; nothing if these bytes are none.
pub fn parse(bytes: &[u8]) -> Option<Told> {
    let rest = bytes.strip_prefix(&MAGIC)?;
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
    serde_json::from_slice(rest.get(..len)?).ok()
}

/// The markers on a disk, or on the image of one, in order.
///
/// # Errors
/// If it cannot be read.
pub fn read(disk: &Path, area: u64) -> Result<Vec<Told>> {
    let disk = File::open(disk).context("open the disk")?;
    let mut found = Vec::new();
    let mut buffer = vec![0; MARKER_LEN];
    let mut offset = area;
    while disk.read_exact_at(&mut buffer, offset).is_ok() {
        let Some(told) = parse(&buffer) else { break };
        found.push(told);
        offset += MARKER_LEN as u64;
    }
    Ok(found)
}
