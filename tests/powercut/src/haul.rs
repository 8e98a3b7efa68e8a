//! A whole haul: one run of the machine recorded, its states judged by workers; or the machine killed again and again.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use tempfile::TempDir;

use crate::chance::Chance;
use crate::mount::{FileSystem, in_own_namespace};
use crate::replay::{Judged, Source};
pub use crate::vm::has_kernel;
use crate::vm::{Boot, Disk, MARKER_AREA};

/// How long the machine may take to boot and to end, beside the time it works.
const PATIENCE: Duration = Duration::from_secs(120);

/// How a machine works.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    /// What its disk is formatted with.
    pub file_system: FileSystem,
    /// Seconds of work after booting.
    pub seconds: u64,
    /// Associations beside the script.
    pub associations: u32,
}

/// A folder in memory, if there is such a place.
///
/// # Errors
/// If it cannot be made.
pub fn scratch() -> Result<TempDir> {
    let memory = Path::new("/dev/shm");
    Ok(if memory.is_dir() { tempfile::tempdir_in(memory)? } else { tempfile::tempdir()? })
}

/// Runs the machine once with a recorded disk. `program` is this crate's.
///
/// # Errors
/// If something is missing or the machine's program fails.
pub fn record(program: &Path, folder: &Path, work: Work) -> Result<Source> {
    let boot = Boot::prepare(folder, program, work.file_system)?;
    let (base, disk, log) = (folder.join("base"), folder.join("disk"), folder.join("log"));
    make_disk(&base, work.file_system)?;
    fs::copy(&base, &disk)?;
    fs::File::create(&log)?.set_len(8 << 30)?;
    let arguments = format!("--seconds {} --associations {}", work.seconds, work.associations);
    let machine = boot.start(&Disk::Recorded(&disk, &log), &arguments, &folder.join("console"))?;
    machine.wait(PATIENCE + Duration::from_secs(work.seconds))?;
    Ok(Source { base, log, file_system: work.file_system, is_forgetful: false })
}

fn make_disk(disk: &Path, file_system: FileSystem) -> Result<()> {
    fs::File::create(disk)?.set_len(file_system.size() + MARKER_AREA)?;
    file_system.make(disk)
}

/// Has workers judge states of a recorded run, each worker in a mount namespace of its own.
///
/// # Errors
/// If a worker fails; broken promises are in the result.
pub fn judge(program: &Path, source: &Source, states: usize, workers: usize, seed: u64) -> Result<Judged> {
    let mut chance = Chance::from_seed(seed);
    let mut running = Vec::new();
    for _ in 0..workers {
        let mut command = in_own_namespace(program);
        command.arg("replay").arg(&source.base).arg(&source.log).arg(source.file_system.name());
        command.args([
            "--states",
            &states.div_ceil(workers).to_string(),
            "--seed",
            &chance.draw().to_string(),
        ]);
        if source.is_forgetful {
            command.arg("--forgetful");
        }
        running.push(
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("unshare does not start")?,
        );
    }
    let mut sum = Judged::default();
    for worker in running {
        let output = worker.wait_with_output()?;
        ensure!(output.status.success(), "a worker failed: {}", output.status);
        let judged: Judged = serde_json::from_slice(&output.stdout)?;
        sum.states += judged.states;
        sum.seconds = sum.seconds.max(judged.seconds);
        sum.recovered += judged.recovered;
        sum.entries = judged.entries;
        sum.acknowledged = judged.acknowledged;
        sum.broken.extend(judged.broken);
    }
    Ok(sum)
}

/// Kills the machine so many times at random moments of its work, judges the disk after each, and starts it again on
/// the same disk. Gives the number of instances that had to be there after each kill.
///
/// # Errors
/// The first broken promise, or what is missing.
pub fn kill(program: &Path, folder: &Path, work: Work, kills: u32, seed: u64) -> Result<Vec<usize>> {
    let boot = Boot::prepare(folder, program, work.file_system)?;
    let (disk, copy) = (folder.join("killed"), folder.join("copy"));
    make_disk(&disk, work.file_system)?;
    let mut chance = Chance::from_seed(seed);
    let mut found = Vec::new();
    for round in 0..kills {
        let console = folder.join(format!("console{round}"));
        let arguments = format!("--seconds 3600 --associations {} --round {round}", work.associations);
        let mut machine = boot.start(&Disk::Plain(&disk), &arguments, &console)?;
        machine.wait_for("working", PATIENCE)?;
        let millis = chance.below(usize::try_from(work.seconds)? * 1000);
        std::thread::sleep(Duration::from_millis(millis as u64));
        let text = machine.console_text();
        machine.cut();
        ensure!(!text.contains("program ended"), "the program in the machine failed; its console:\n{text}");
        ensure!(
            Command::new("cp").arg("--sparse=always").arg(&disk).arg(&copy).status()?.success(),
            "cp failed"
        );
        let mut judge = in_own_namespace(program);
        let output = judge.arg("judge").arg(&copy).arg(work.file_system.name()).output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let stored = said.trim().parse();
        found.push(stored.with_context(|| {
            format!("after kill {round} at {millis} ms: {said}{}", String::from_utf8_lossy(&output.stderr))
        })?);
    }
    Ok(found)
}
