//! Running targets: so many at a time, each with its own folders, its output in a file.
//!
//! ```text
//!   target/fuzz/found/‹target›      inputs that reached something new; grows from run to run
//!   target/fuzz/broken/‹target›     inputs that crashed, hung or took too much memory
//!   target/fuzz/logs/‹target›.log   what libFuzzer said in the last run
//! ```

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, Result};
use beeldbox_fuzz::targets::NAMES;

use crate::Places;
use crate::report::{self, Report};

/// Seconds by the clock after which an input hangs. The limit on processor time is the target's own and much lower;
/// this one must not accuse an input because the machine was busy elsewhere.
const HANGS_AFTER: u32 = 60;

/// Resident memory of a whole target, in MiB: the fuzzer's own corpus and the target's allowance.
const MOST_RESIDENT: u32 = 768;

/// Longest input of this target, in bytes.
fn max_len(target: &str) -> usize {
    NAMES.iter().find(|(name, _)| *name == target).map_or(0, |(_, length)| *length)
}

/// Folders of one target.
pub(crate) struct Folders {
    /// What was found.
    pub(crate) found: PathBuf,
    /// What broke it.
    pub(crate) broken: PathBuf,
    /// What is in the repository: to begin with, and never again.
    pub(crate) kept: [PathBuf; 2],
    /// What it said.
    pub(crate) log: PathBuf,
}

impl Folders {
    /// Finds them, and makes those that a run writes to.
    pub(crate) fn of(places: &Places, target: &str) -> Result<Self> {
        let logs = places.out.join("logs");
        let folders = Folders {
            found: places.out.join("found").join(target),
            broken: places.out.join("broken").join(target),
            kept: ["corpus", "regressions"].map(|kind| places.here.join(kind).join(target)),
            log: logs.join(format!("{target}.log")),
        };
        for folder in [&folders.found, &folders.broken, &logs] {
            std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        Ok(folders)
    }

    /// Those of the repository that exist.
    pub(crate) fn kept_here(&self) -> impl Iterator<Item = &Path> {
        self.kept.iter().map(PathBuf::as_path).filter(|folder| folder.is_dir())
    }
}

/// Runs the targets, so many at a time, and gives what came of each, in their order.
pub(crate) fn run_all(
    places: &Places,
    program: &Path,
    wanted: &[&'static str],
    seconds: u32,
    at_once: usize,
) -> Result<Vec<Report>> {
    let waiting = Mutex::new(wanted.iter().copied());
    let reports = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once.max(1))
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    loop {
                        let next = waiting.lock().expect("no worker panics").next();
                        let Some(target) = next else { return Ok(()) };
                        println!("fuzz: {target} for {seconds} s");
                        let report = run_one(places, program, target, seconds)?;
                        reports.lock().expect("no worker panics").push(report);
                    }
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("no worker panics"))
    })?;
    let mut reports = reports.into_inner().expect("no worker panics");
    reports.sort_by_key(|report| NAMES.iter().position(|(name, _)| *name == report.target));
    Ok(reports)
}

fn run_one(places: &Places, program: &Path, target: &'static str, seconds: u32) -> Result<Report> {
    let folders = Folders::of(places, target)?;
    let began = Instant::now();
    let status = start(program, target, &folders, seconds)?.wait().context(target)?;
    let text = std::fs::read_to_string(&folders.log).context("the log of a run")?;
    Ok(report::read(target, status.success(), began.elapsed(), &text, &folders.log))
}

fn start(program: &Path, target: &str, folders: &Folders, seconds: u32) -> Result<Child> {
    let log = File::create(&folders.log).with_context(|| folders.log.display().to_string())?;
    Command::new(program)
        .env("BEELDBOX_FUZZ_TARGET", target)
        .env("RUST_BACKTRACE", "1")
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-timeout={HANGS_AFTER}"))
        .arg(format!("-rss_limit_mb={MOST_RESIDENT}"))
        .arg(format!("-max_len={}", max_len(target)))
        .arg("-print_final_stats=1")
        .arg(format!("-artifact_prefix={}/", folders.broken.display()))
        .arg(&folders.found)
        .args(folders.kept_here())
        .stdin(Stdio::null())
        .stdout(log.try_clone().context("the log")?)
        .stderr(log)
        .spawn()
        .with_context(|| program.display().to_string())
}
