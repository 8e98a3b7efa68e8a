//! The record of everything a disk was told to do, as QEMU's `blklogwrites` writes it (the format of the kernel's
//! `dm-log-writes`), and what a disk with a cache may hold after a power cut.
//!
//! A disk keeps what it was given before the last flush that it answered. Of what came later it keeps anything: some
//! writes and not others, in any order, and single sectors of a write.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::chance::Chance;
use crate::markers;
use crate::told::Told;

/// How a record begins.
const MAGIC: u64 = 0x006a_7366_7773_6872;

/// Bytes that a disk writes whole or not at all, and the unit of all places in the record.
const SECTOR: usize = 512;

/// Bytes kept together in memory.
const BLOCK: usize = 4096;

/// Flag of an entry: everything before it is safe.
const FLUSH: u64 = 1;

/// Flag of an entry: this write itself is safe.
const FUA: u64 = 2;

/// Flag of an entry: the range is given up; it has no data.
const DISCARD: u64 = 4;

/// One entry.
struct Entry {
    offset: u64,
    flags: u64,
    data: Vec<u8>,
    told: Option<Told>,
}

/// What a disk was told to do, from its first content on.
pub struct Record {
    entries: Vec<Entry>,
    base: Content,
}

/// The content of a disk; what is not listed is zero.
#[derive(Clone, Default)]
pub struct Content(BTreeMap<u64, Box<[u8]>>);

/// What survives of the writes behind the last flush.
#[derive(Debug, Clone, Copy)]
pub enum Luck {
    /// None of them.
    Nothing,
    /// All of them.
    Everything,
    /// Each in `keep` of 16 cases, some torn.
    Chance {
        /// The seed.
        seed: u64,
        /// Cases of 16.
        keep: usize,
    },
}

/// A cut behind an entry.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    /// The last entry that still happened.
    pub after: usize,
    /// What survives.
    pub luck: Luck,
}

impl Record {
    /// Reads the disk's first content and the record. Markers are recognised behind `area`.
    ///
    /// # Errors
    /// If the record is not one.
    pub fn read(base: &Path, log: &Path, area: u64) -> Result<Self> {
        let log = fs::read(log).context("read the record")?;
        let number = |at: usize| -> Result<u64> {
            let bytes = log.get(at..at + 8).context("the record is cut")?;
            Ok(u64::from_le_bytes(bytes.try_into()?))
        };
        ensure!(number(0)? == MAGIC, "this is no record of writes");
        let count = number(16)?;
        let mut entries = Vec::new();
        let mut at = SECTOR;
        for _ in 0..count {
            let (sector, sectors, flags) = (number(at)?, number(at + 8)?, number(at + 16)?);
            at += SECTOR;
            let len = if flags & DISCARD == 0 { usize::try_from(sectors)? * SECTOR } else { 0 };
            let data = log.get(at..at + len).context("the record is cut")?.to_vec();
            at += len;
            let offset = sector * SECTOR as u64;
            let told = (offset >= area).then(|| markers::parse(&data)).flatten();
            entries.push(Entry { offset, flags, data, told });
        }
        Ok(Record { entries, base: Content::read(base)? })
    }

    /// The same with every flush ignored, as a disk would have it that lies: nothing is safe.
    pub fn forget_flushes(&mut self) {
        for entry in &mut self.entries {
            entry.flags &= !(FLUSH | FUA);
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many of the entries are flushes.
    pub fn flushes(&self) -> usize {
        self.entries.iter().filter(|entry| entry.flags & FLUSH != 0).count()
    }

    /// What was told up to an entry.
    pub fn told(&self, after: usize) -> impl Iterator<Item = &Told> {
        self.entries.iter().take(after + 1).filter_map(|entry| entry.told.as_ref())
    }

    /// What was told at an entry.
    pub fn told_at(&self, at: usize) -> Option<&Told> {
        self.entries.get(at)?.told.as_ref()
    }

    /// What the disk holds after a cut.
    pub fn content(&self, cut: Cut) -> Content {
        let happened = &self.entries[..=cut.after.min(self.entries.len() - 1)];
        let flushed = happened.iter().rposition(|entry| entry.flags & FLUSH != 0).unwrap_or(0);
        let mut chance = Chance::from_seed(match cut.luck {
            Luck::Chance { seed, .. } => seed,
            Luck::Nothing | Luck::Everything => 0,
        });
        let mut content = self.base.clone();
        for (at, entry) in happened.iter().enumerate() {
            if at < flushed || entry.flags & FUA != 0 {
                content.write(entry.offset, &entry.data);
                continue;
            }
            match cut.luck {
                Luck::Nothing => {}
                Luck::Everything => content.write(entry.offset, &entry.data),
                Luck::Chance { keep, .. } => {
                    if chance.is(keep, 16) {
                        let torn = chance.is(1, 4);
                        content.write_torn(entry, torn, &mut chance);
                    }
                }
            }
        }
        content
    }
}

impl Content {
    /// The content of an image.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(image: &Path) -> Result<Self> {
        let bytes = fs::read(image).context("read an image")?;
        let mut content = Content::default();
        for (number, block) in (0..).zip(bytes.chunks(BLOCK)) {
            if block.iter().any(|byte| *byte != 0) {
                content.0.insert(number, block.into());
            }
        }
        Ok(content)
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        let (mut at, mut rest) = (offset, data);
        while !rest.is_empty() {
            let inside = usize::try_from(at % BLOCK as u64).unwrap_or(0);
            let (piece, left) = rest.split_at(rest.len().min(BLOCK - inside));
            let block = self.0.entry(at / BLOCK as u64).or_insert_with(|| vec![0; BLOCK].into());
            block[inside..inside + piece.len()].copy_from_slice(piece);
            at += piece.len() as u64;
            rest = left;
        }
    }

    fn write_torn(&mut self, entry: &Entry, torn: bool, chance: &mut Chance) {
        let mut at = entry.offset;
        for sector in entry.data.chunks(SECTOR) {
            if !torn || chance.is(1, 2) {
                self.write(at, sector);
            }
            at += SECTOR as u64;
        }
    }

    /// Makes an image of this content.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, image: &Path, len: u64) -> Result<()> {
        let file = File::create(image)?;
        file.set_len(len)?;
        let mut run: Vec<u8> = Vec::new();
        let mut start = 0;
        for (number, block) in &self.0 {
            if start + run.len() as u64 != number * BLOCK as u64 {
                file.write_all_at(&run, start)?;
                run.clear();
                start = number * BLOCK as u64;
            }
            run.extend_from_slice(block);
        }
        Ok(file.write_all_at(&run, start)?)
    }
}
