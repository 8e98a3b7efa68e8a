//! Makes the states that a recorded disk could be in after a power cut, mounts each, and has the oracle judge it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::chance::Chance;
use crate::markers;
use crate::mount::{FileSystem, Mounted};
use crate::oracle::{Expected, judge};
use crate::vm::MARKER_AREA;
use crate::writelog::{Cut, Luck, Record};

/// What to make states of.
#[derive(Debug, Clone)]
pub struct Source {
    /// The disk before anything was written.
    pub base: PathBuf,
    /// The record of what was written.
    pub log: PathBuf,
    /// What is on it.
    pub file_system: FileSystem,
    /// Whether the disk answers flushes and ignores them.
    pub is_forgetful: bool,
}

/// What judging came to.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Judged {
    /// States judged.
    pub states: usize,
    /// How long that took, in seconds.
    pub seconds: f64,
    /// Entries of the record, and flushes among them.
    pub entries: (usize, usize),
    /// Instances acknowledged in the whole run.
    pub acknowledged: usize,
    /// States in which start-up had something to do.
    pub recovered: usize,
    /// Broken promises, each with its cut.
    pub broken: Vec<String>,
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (entries, flushes) = self.entries;
        write!(
            f,
            "{} states of a disk that was told {entries} things, {flushes} of them flushes; {} instances acknowledged; \
             start-up had something to do in {}; {:.0} s; {} promises broken",
            self.states,
            self.acknowledged,
            self.recovered,
            self.seconds,
            self.broken.len()
        )?;
        self.broken.iter().take(20).try_for_each(|broken| write!(f, "\n  {broken}"))
    }
}

/// Judges states at random cuts, half of them right behind something that was told.
///
/// # Errors
/// If a state cannot be made; that its file system does not come back is a broken promise, not an error.
pub async fn replay(source: &Source, states: usize, seed: u64, scratch: &Path) -> Result<Judged> {
    let file_system = source.file_system;
    let mut record = Record::read(&source.base, &source.log, file_system.size())?;
    let entries = (record.len(), record.flushes());
    if source.is_forgetful {
        record.forget_flushes();
    }
    let told: Vec<usize> = (0..record.len()).filter(|at| record.told_at(*at).is_some()).collect();
    let mut chance = Chance::from_seed(seed);
    let mut judged = Judged {
        entries,
        acknowledged: Expected::of(record.told(record.len())).stored(),
        ..Judged::default()
    };
    let start = Instant::now();
    for number in 0..states {
        let after = match told.get(chance.below(told.len())) {
            Some(at) if number % 2 == 0 => *at,
            Some(_) | None => chance.below(record.len()),
        };
        let luck = match number % 5 {
            0 => Luck::Nothing,
            1 => Luck::Everything,
            2 => Luck::Chance { seed: chance.draw(), keep: 3 },
            3 => Luck::Chance { seed: chance.draw(), keep: 8 },
            _ => Luck::Chance { seed: chance.draw(), keep: 13 },
        };
        let cut = Cut { after, luck };
        let image = scratch.join("state");
        record.content(cut).save(&image, file_system.size() + MARKER_AREA)?;
        let expected = Expected::of(record.told(after));
        match judge_image(&image, file_system, &expected, scratch).await {
            Ok(recovered) => judged.recovered += usize::from(recovered),
            Err(broken) => judged.broken.push(format!("{cut:?}: {broken}")),
        }
        judged.states += 1;
    }
    judged.seconds = start.elapsed().as_secs_f64();
    Ok(judged)
}

/// Judges the image of a disk by the markers on it.
///
/// # Errors
/// The promise that is broken.
pub async fn judge_disk(image: &Path, file_system: FileSystem, scratch: &Path) -> Result<usize, String> {
    let told = markers::read(image, file_system.size()).map_err(|error| error.to_string())?;
    let expected = Expected::of(&told);
    judge_image(image, file_system, &expected, scratch).await?;
    Ok(expected.stored())
}

/// Says whether start-up had something to do.
async fn judge_image(
    image: &Path,
    file_system: FileSystem,
    expected: &Expected,
    scratch: &Path,
) -> Result<bool, String> {
    let mounted =
        Mounted::image(image, file_system, &scratch.join("disk")).map_err(|error| format!("{error:#}"))?;
    let custody = mounted.path().join("custody");
    std::fs::create_dir_all(&custody).map_err(|error| error.to_string())?;
    match judge(&custody, expected).await {
        Ok(report) => Ok(report != beeldbox_custody::RecoveryReport::default()),
        Err(broken) => Err(broken.0),
    }
}
