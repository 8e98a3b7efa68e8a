//! `beeldbox-bench`: how fast the box takes studies in, beside what others do on the same machine, in the same minutes.

// The address book, searched.
mod addressees;
// The box as a contender.
mod appliance;
// What the disk can do.
mod ceiling;
// Who is measured.
mod contender;
// Flushes, counted.
mod flushes;
// Other people's senders.
mod foreign;
// Operations on a small and on a large ledger.
mod ledger;
// What it is measured on.
mod machine;
// What is run, and in which order.
mod plan;
// A contender as a process.
mod process;
// Programs, built and found.
mod programs;
// Tables.
mod report;
// One measurement.
mod run;
// Sealing beside its parts.
mod seal;
// Associations that send.
mod sender;
// The bytes of the protocol.
mod wire;
// What is sent.
mod workload;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use serde_json::json;

use crate::contender::Contender;
use crate::machine::Machine;
use crate::plan::Extent;
use crate::run::Outcome;
use crate::workload::Study;

#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Receiving: the box, DCMTK, dicom-rs, Orthanc and the bare disk, one after the other.
    Intake {
        /// Less of everything, in under two minutes.
        #[arg(long)]
        quick: bool,
        /// Print JSON instead of tables.
        #[arg(long)]
        json: bool,
        /// Put the tables into the README of this crate.
        #[arg(long)]
        write: bool,
        /// Only these; may be repeated.
        #[arg(long)]
        only: Vec<Contender>,
        /// Runs of each; the median counts.
        #[arg(long)]
        repeats: Option<usize>,
    },
    /// One receiver, one study, figures of every round: for looking closer.
    One {
        /// Who receives.
        #[arg(long, default_value = "beeldboxd")]
        contender: Contender,
        /// What is sent.
        #[arg(long, default_value = "ct")]
        study: Study,
        /// Associations at once.
        #[arg(long, default_value_t = 1)]
        associations: usize,
        /// How often, each time from an empty folder.
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        /// A profiler to run beside it, whose last argument is the process id:
        /// `--beside "perf record -g -o FILE -p"`, `--beside "strace -f -c -p"`. It is ended by SIGINT.
        #[arg(long)]
        beside: Option<String>,
    },
    /// Sealing: a frame of a pack beside AES-256-GCM and SHA-256 of the library alone.
    Seal {
        /// Print JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// The address book: put together and searched with as many entries as a country has.
    Addressees {
        /// Entries.
        #[arg(long, default_value_t = 200_000)]
        entries: usize,
        /// Searches.
        #[arg(long, default_value_t = 5000)]
        queries: usize,
        /// Print JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// The ledger: the same operations with few and with many instances in custody.
    Ledger {
        /// Few.
        #[arg(long, default_value_t = 1000)]
        few: u32,
        /// Many.
        #[arg(long, default_value_t = 1_000_000)]
        many: u32,
        /// Where custody is made; in memory the flushes of the filling cost nothing.
        #[arg(long, default_value = "/dev/shm")]
        folder: std::path::PathBuf,
        /// Print JSON instead of text.
        #[arg(long)]
        json: bool,
    },
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Intake { quick, json, write, only, repeats } => {
            let mut extent = if quick { Extent::quick() } else { Extent::full() };
            if !only.is_empty() {
                extent.contenders.retain(|contender| only.contains(contender));
            }
            extent.repeats = repeats.unwrap_or(extent.repeats);
            intake(&extent, json, write)
        }
        Command::One { contender, study, associations, rounds, beside } => {
            one(contender, study, associations, rounds, beside.as_deref())
        }
        Command::Seal { json } => seal(json),
        Command::Addressees { entries, queries, json } => addressees::measure(entries, queries, json),
        Command::Ledger { few, many, folder, json } => ledger::compare(&folder, few, many, json),
    }
}

fn intake(extent: &Extent, as_json: bool, write: bool) -> Result<()> {
    let places = programs::provide()?;
    let machine = Machine::look(&places.work);
    let results = plan::execute(&places, extent)?;
    let tables = report::tables(&results, &machine);
    if as_json {
        println!("{:#}", report::json(&results, &machine));
    } else {
        println!("{tables}");
    }
    if write {
        report::write_into(&Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"), &tables)?;
    }
    Ok(())
}

fn one(
    contender: Contender,
    study: Study,
    associations: usize,
    rounds: usize,
    beside: Option<&str>,
) -> Result<()> {
    let places = programs::provide()?;
    let instances = plan::instances(&places, &Extent::full(), study)?;
    for manner in contender.manners(associations) {
        for _ in 0..rounds {
            let watched = |id| beside.map(|command| watch(command, id)).transpose();
            let outcome = run::receive(&places, contender, &manner, &instances, associations, watched)?;
            print_one(contender, &manner, &outcome);
        }
    }
    Ok(())
}

fn print_one(contender: Contender, manner: &[&str], outcome: &Outcome) {
    println!(
        "{} {}: {:.0} MB/s, CPU {:.2} s/GB (sender {:.2}), memory {:.0} MiB, p99 {:.2} ms",
        contender.name(),
        manner.join(" "),
        outcome.rate() / 1e6,
        outcome.cpu_per_gb(),
        outcome.sender_cpu_per_gb(),
        run::as_float(outcome.memory) / 1_048_576.0,
        outcome.p99.as_secs_f64() * 1e3,
    );
}

/// Starts a profiler on a process and gives it time to attach.
fn watch(command: &str, id: u32) -> Result<process::Beside> {
    let mut words = command.split_whitespace();
    let mut profiler = std::process::Command::new(words.next().context("an empty command")?);
    let child = profiler.args(words).arg(id.to_string()).stdin(Stdio::null()).spawn()?;
    std::thread::sleep(Duration::from_secs(1));
    let mut beside = process::Beside::new(child);
    ensure!(beside.is_running()?, "the profiler ended at once");
    Ok(beside)
}

fn seal(as_json: bool) -> Result<()> {
    let rates = seal::measure()?;
    let (of_cipher, of_bound) = (rates.frame / rates.cipher, rates.frame / rates.bound());
    if as_json {
        let rates = json!({ "cipher": rates.cipher, "digest": rates.digest, "frame": rates.frame });
        println!("{}", json!({ "bytes_per_second": rates, "of_cipher": of_cipher, "of_bound": of_bound }));
        return Ok(());
    }
    for (what, rate) in [
        ("AES-256-GCM alone", rates.cipher),
        ("SHA-256 alone", rates.digest),
        ("both, one after the other", rates.bound()),
        ("a frame as the box seals it", rates.frame),
    ] {
        println!("{what:<28} {:6.0} MB/s {:6.3} CPU s/GB", rate / 1e6, 1e9 / rate);
    }
    println!("frame ÷ cipher alone {of_cipher:.2}, frame ÷ cipher and digest {of_bound:.2}");
    Ok(())
}

impl ValueEnum for Contender {
    fn value_variants<'a>() -> &'a [Self] {
        &contender::ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.name()))
    }
}
