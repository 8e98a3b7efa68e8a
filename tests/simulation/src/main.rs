//! `cargo run -p beeldbox-simulation -- --seeds 1000 [--first N] [--trace]`: many stories, and the first that ends badly.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use beeldbox_simulation::tally::Tally;
use beeldbox_simulation::{Options, run, run_many};
use clap::Parser;

/// Seeded simulation of boxes and portal.
#[derive(Parser)]
struct Arguments {
    /// How many seeds.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Tell everything that happens in the first seed that fails, or in the only one.
    #[arg(long)]
    trace: bool,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let began = Instant::now();
    let (mut tally, mut failed, mut hours) = (Tally::default(), 0_u64, 0.0);
    let seeds = arguments.first..arguments.first.saturating_add(arguments.seeds);
    for (seed, outcome) in run_many(seeds, Options::default()) {
        tally.add(&outcome.tally);
        hours += outcome.lasted.as_secs_f64() / 3600.0;
        let is_bad = !outcome.violations.is_empty();
        if arguments.trace && (is_bad && failed == 0 || arguments.seeds == 1) {
            for line in run(seed, Options { trace: true, mutant: None }).trace {
                println!("{line}");
            }
        }
        if is_bad {
            failed += 1;
            println!("seed {seed} (digest {:016x}):", outcome.digest);
            outcome.violations.iter().for_each(|violation| println!("    {violation}"));
        }
    }
    tally.lines().iter().for_each(|line| println!("{line}"));
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{} seeds, {failed} failed, {hours:.0} virtual hours in {seconds:.1} s; one again: \
         cargo run -p beeldbox-simulation -- --seeds 1 --first SEED --trace",
        arguments.seeds
    );
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
