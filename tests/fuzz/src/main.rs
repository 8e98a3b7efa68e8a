//! `cargo run -p beeldbox-fuzz -- [--seconds N] [TARGET…]`: builds the targets with coverage counters and runs each for
//! so long, two at a time; fails if one of them crashed, hung or took too much memory.
//!
//! `… -- seeds` writes the inputs to begin with into `corpus`. `… -- keep` takes the most telling small inputs that
//! were found into `corpus`, as far as there is room.

mod build;
mod keep;
mod report;
mod running;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use beeldbox_fuzz::targets::NAMES;
use clap::{Parser, Subcommand};

/// Hostile input for everything that reads from outside.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    task: Option<Task>,
    /// Seconds for each target.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Targets that run at the same time.
    #[arg(long, default_value_t = 2)]
    at_once: usize,
    /// Which; all, if none is named.
    targets: Vec<String>,
}

#[derive(Subcommand)]
enum Task {
    /// Writes the inputs to begin with into `corpus`.
    Seeds,
    /// Takes what was found into `corpus`: the smallest inputs that together reach the same, up to a size.
    Keep,
}

/// Where things are.
struct Places {
    /// This crate's own folder, with `corpus` and `regressions`.
    here: PathBuf,
    /// What is built and found: `target/fuzz`.
    out: PathBuf,
    /// The top of the repository.
    root: PathBuf,
}

impl Places {
    fn find() -> Result<Self> {
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let root = here.ancestors().nth(2).context("the workspace")?.to_owned();
        let out = std::env::current_exe()?.ancestors().nth(2).context("the build folder")?.join("fuzz");
        Ok(Places { here, out, root })
    }
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("fuzz: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<bool> {
    let places = Places::find()?;
    let all = NAMES.map(|(name, _)| name);
    let unknown = arguments.targets.iter().find(|name| !all.contains(&name.as_str()));
    ensure!(unknown.is_none(), "there is no such target; there are {}", all.join(", "));
    let is_wanted =
        |name: &&str| arguments.targets.is_empty() || arguments.targets.iter().any(|named| named == name);
    let wanted: Vec<&'static str> = all.into_iter().filter(is_wanted).collect();
    match arguments.task {
        Some(Task::Seeds) => {
            let bytes = beeldbox_fuzz::seeds::write(&places.here.join("corpus"))?;
            println!("fuzz: {bytes} bytes of seeds");
            Ok(true)
        }
        Some(Task::Keep) => {
            let program = build::build(&places)?;
            keep::keep(&places, &program, &wanted)?;
            Ok(true)
        }
        None => {
            let program = build::build(&places)?;
            let reports = running::run_all(&places, &program, &wanted, arguments.seconds, arguments.at_once)?;
            report::print(&reports);
            Ok(reports.iter().all(report::Report::is_clean))
        }
    }
}
