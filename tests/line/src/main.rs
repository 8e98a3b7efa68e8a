//! `beeldbox-line`: what a slow, long, lossy line that is cut again and again does to a study on its way from hospital to
//! hospital, and how long the way takes beside its slowest stage.

// A study through the boxes.
mod boxes;
// The line at its best.
mod bare;
// Connections on a line.
mod flows;
// PACS to PACS against its slowest stage.
mod journey;
// Lines good and bad.
mod lines;
// A network of our own.
mod namespace;
// What is usual.
mod orthanc;
// Packets.
mod packet;
// Tables.
mod report;
// Two hospitals behind lines.
mod stage;
// A line in user space.
mod wire;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::lines::Extent;
use crate::namespace::Congestion;
use crate::wire::Conditions;

#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The boxes beside Orthanc on lines good and bad.
    Lines {
        #[command(flatten)]
        line: Line,
        /// A small study and fewer lines, with what must be so checked: under a minute.
        #[arg(long)]
        slice: bool,
        /// Slices of the CT study, each of 512 KiB.
        #[arg(long)]
        slices: Option<u32>,
        /// Lost packets in a million.
        #[arg(long, default_value_t = 5000)]
        lost_in_a_million: u64,
        /// Seconds between two cuts.
        #[arg(long, default_value_t = 20)]
        cut_every_secs: u64,
        /// Only lines whose name has this in it.
        #[arg(long)]
        only: Option<String>,
        /// Put the table into the README of this crate.
        #[arg(long)]
        write: bool,
    },
    /// From PACS to PACS, the addressee known beforehand, against the slowest stage alone and against Orthanc.
    Journey {
        #[command(flatten)]
        line: Line,
        /// Slices of the CT study, each of 512 KiB.
        #[arg(long, default_value_t = 300)]
        slices: u32,
        /// Runs of each; the median counts.
        #[arg(long, default_value_t = 3)]
        repeats: u32,
        /// Put the table into the README of this crate.
        #[arg(long)]
        write: bool,
    },
}

#[derive(Args, Clone, Copy)]
struct Line {
    /// Rate each way, in millions of bits per second.
    #[arg(long, default_value_t = 100)]
    mbit: u64,
    /// From one end to the other and back, in milliseconds.
    #[arg(long, default_value_t = 50)]
    round_trip_ms: u64,
    /// How TCP shares the line.
    #[arg(long, value_enum, default_value_t = Congestion::Bbr)]
    congestion: Congestion,
    /// Longest way of one study, in seconds.
    #[arg(long, default_value_t = 900)]
    limit_secs: u64,
}

impl Line {
    fn conditions(self) -> Conditions {
        Conditions {
            bits_per_second: self.mbit * 1_000_000,
            round_trip: Duration::from_millis(self.round_trip_ms),
            lost_in_a_million: 0,
            cut_every: None,
        }
    }

    fn limit(self) -> Duration {
        Duration::from_secs(self.limit_secs)
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("line: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments = Arguments::parse();
    if !namespace::is_inside() {
        return namespace::enter();
    }
    let line = match &arguments.command {
        Command::Lines { line, .. } | Command::Journey { line, .. } => *line,
    };
    namespace::furnish(line.congestion)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        // The first process of a namespace is ended by no signal that it does not wait for.
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            done = execute(arguments.command) => done,
            _ = terminate.recv() => bail!("told to end"),
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        }
    })
}

async fn execute(command: Command) -> Result<()> {
    match command {
        Command::Lines { line, slice, slices, lost_in_a_million, cut_every_secs, only, write } => {
            // One part: that all parts in flight are lost with a cut is for the whole measurement to show.
            let usual = if slice { 14 } else { 300 };
            let extent = Extent {
                good: line.conditions(),
                lost_in_a_million,
                cut_every: Duration::from_secs(cut_every_secs),
                congestion: line.congestion,
                limit: line.limit(),
                slices: slices.unwrap_or(usual),
                is_slice: slice,
                only,
            };
            let rows = lines::measure(&extent).await?;
            let tables = report::of_lines(&rows, &extent);
            println!("{tables}");
            if write {
                report::write_into(&readme(), report::LINES, &tables)?;
            }
            if slice { lines::check(&rows) } else { Ok(()) }
        }
        Command::Journey { line, slices, repeats, write } => {
            let found = journey::measure(line.conditions(), line.limit(), slices, repeats).await?;
            let tables = report::of_journeys(&found, line.conditions(), line.congestion);
            println!("{tables}");
            if write {
                report::write_into(&readme(), report::JOURNEY, &tables)?;
            }
            Ok(())
        }
    }
}

fn readme() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")
}
