//! Thousands of stories end well; each can be told again; everything that may happen does; and the checkers can fail.

use beeldbox_simulation::mutant::Mutant;
use beeldbox_simulation::tally::Tally;
use beeldbox_simulation::{Options, Outcome, run, run_many};

/// Stories in a test run. More: `cargo run -p beeldbox-simulation -- --seeds 50000`.
const SEEDS: u64 = 1_000;

/// Stories in which a broken rule must show.
const SEEDS_FOR_A_MUTANT: u64 = 400;

fn told(seed: u64, outcome: &Outcome) -> String {
    let again = format!("cargo run -p beeldbox-simulation -- --seeds 1 --first {seed} --trace");
    format!("seed {seed}: {}\n{again}", outcome.violations.join("\n    "))
}

#[test]
fn every_story_ends_well_and_everything_happens_sometimes() {
    let mut tally = Tally::default();
    let mut failures = Vec::new();
    for (seed, outcome) in run_many(0..SEEDS, Options::default()) {
        tally.add(&outcome.tally);
        if !outcome.violations.is_empty() {
            failures.push(told(seed, &outcome));
        }
    }
    assert!(
        failures.is_empty(),
        "{} seeds failed:\n{}",
        failures.len(),
        failures[..failures.len().min(5)].join("\n")
    );
    assert_eq!(tally.never(), Vec::<String>::new(), "these never happened in {SEEDS} seeds");
}

#[test]
fn a_seed_is_one_story_word_for_word() {
    for seed in 0..40 {
        let first = run(seed, Options { trace: true, mutant: None });
        let again = run(seed, Options { trace: true, mutant: None });
        assert_eq!(first.digest, again.digest, "seed {seed}");
        assert_eq!(first.trace, again.trace, "seed {seed}");
        // Looking on changes nothing.
        assert_eq!(first.digest, run(seed, Options::default()).digest, "seed {seed}");
    }
    assert_ne!(run(1, Options::default()).digest, run(2, Options::default()).digest);
}

#[test]
fn every_broken_rule_is_noticed() {
    let mut unnoticed = Vec::new();
    for mutant in Mutant::ALL {
        let options = Options { trace: false, mutant: Some(mutant) };
        // In small lots: most show at once.
        let noticed = (0..SEEDS_FOR_A_MUTANT / 10).find_map(|lot| {
            let told = run_many(lot * 10..lot * 10 + 10, options);
            told.into_iter()
                .find_map(|(seed, outcome)| outcome.violations.first().map(|what| (seed, what.clone())))
        });
        match noticed {
            Some((seed, violation)) => println!("{mutant:?}: seed {seed}: {violation}"),
            None => unnoticed.push(mutant),
        }
    }
    assert_eq!(unnoticed, [], "the checkers do not see these");
}
