//! `cargo suite`: makes sure of what the tests need, then runs everything, and says at the end what passed.
//!
//! On a machine where it may (root, with apt-get), missing Debian packages are installed; Python packages go into a
//! virtual environment and npm packages into a folder, both under `target`. Otherwise one line says what to install.
//! Every step runs even if an earlier one failed, so that one run shows everything.

mod needs;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};

/// One step: its name, and the command.
struct Step {
    name: &'static str,
    arguments: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
}

/// In the order in which a mistake is found soonest.
const STEPS: [Step; 6] = [
    Step { name: "format", arguments: &["fmt", "--all", "--check"], environment: &[] },
    Step { name: "build", arguments: &["build", "--workspace", "--bins"], environment: &[] },
    Step { name: "tests", arguments: &["test", "--workspace", "--no-fail-fast"], environment: &[] },
    Step {
        name: "lint",
        arguments: &["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"],
        environment: &[],
    },
    // A minute for each reader; an hour is `cargo run -p beeldbox-fuzz -- --seconds 3600`.
    Step {
        name: "fuzz",
        arguments: &["run", "--package", "beeldbox-fuzz", "--", "--seconds", "60"],
        environment: &[],
    },
    Step {
        name: "documents",
        arguments: &["doc", "--workspace", "--no-deps", "--document-private-items"],
        environment: &[("RUSTDOCFLAGS", "--deny warnings --allow rustdoc::private_intra_doc_links")],
    },
];

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("suite: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("the workspace")?.to_owned();
    let target = std::env::current_exe()?.ancestors().nth(2).context("the build folder")?.to_owned();
    let path = needs::provide(&target)?;
    let mut results = Vec::new();
    for step in &STEPS {
        results.push(run_cargo(step, &root, &path)?);
    }
    results.push(run_deny(&root)?);
    println!();
    for (name, outcome, seconds) in &results {
        println!("{name:<10} {outcome:<8} {seconds:>6.0} s");
    }
    let failed = results.iter().filter(|(_, outcome, _)| *outcome == "FAILED").count();
    let left_out = results.iter().filter(|(_, outcome, _)| *outcome == "left out").count();
    println!("suite: {} passed, {failed} failed, {left_out} skipped", results.len() - failed - left_out);
    Ok(failed == 0)
}

type Outcome = (&'static str, &'static str, f64);

fn run_cargo(step: &Step, root: &PathBuf, path: &std::ffi::OsStr) -> Result<Outcome> {
    println!("\n== {}: cargo {}", step.name, step.arguments.join(" "));
    let began = Instant::now();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(step.arguments)
        .envs(step.environment.iter().copied())
        .env("PATH", path)
        .current_dir(root)
        .stdin(Stdio::null())
        .status()
        .with_context(|| step.name)?;
    let outcome = if status.success() { "passed" } else { "FAILED" };
    Ok((step.name, outcome, began.elapsed().as_secs_f64()))
}

/// The dependency policy. cargo-deny takes long to build, so it is used where it is installed.
fn run_deny(root: &Path) -> Result<Outcome> {
    println!("\n== policy: cargo deny check");
    let began = Instant::now();
    let is_here =
        Command::new("cargo-deny").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if is_here.is_err() {
        println!(
            "cargo-deny is not installed: `cargo install cargo-deny --locked` to check the dependency policy too"
        );
        return Ok(("policy", "left out", 0.0));
    }
    // Advisories need a database from the network; licences, bans and sources do not.
    let status = Command::new("cargo-deny")
        .args(["--config", ".deny.toml", "check", "licenses", "bans", "sources"])
        .current_dir(root)
        .stdin(Stdio::null())
        .status()
        .context("cargo-deny")?;
    let outcome = if status.success() { "passed" } else { "FAILED" };
    Ok(("policy", outcome, began.elapsed().as_secs_f64()))
}
