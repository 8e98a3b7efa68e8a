//! The instrumented build: stable Rust, with the coverage counters that libFuzzer reads.
//!
//! Overflow and debug assertions are checked (profile `fuzzing`), because what wraps silently in a release is a fault
//! that only a later allocation or slice would show. There is no address sanitizer: it needs an unstable compiler, and
//! our code forbids `unsafe`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::Places;

/// What the compiler is told beside the profile. The counters are those of clang's `-fsanitize=fuzzer-no-link`.
const FLAGS: [&str; 8] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    // The optimiser would otherwise fold comparisons together and hide which byte made the difference.
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "--cfg",
    "fuzzing",
];

/// Builds all targets into one program and gives its path.
pub(crate) fn build(places: &Places) -> Result<PathBuf> {
    let host = host()?;
    let status = Command::new(cargo())
        .args(["build", "--profile", "fuzzing", "--package", "beeldbox-fuzz", "--bin", "fuzz-one"])
        // With a target named, build scripts and macros are built without the counters.
        .args(["--target", &host, "--target-dir"])
        .arg(&places.out)
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"))
        .current_dir(&places.root)
        .status()
        .context("cargo")?;
    ensure!(status.success(), "the instrumented build failed; without a C++ compiler: apt-get install g++");
    Ok(places.out.join(host).join("fuzzing").join("fuzz-one"))
}

fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// The triple of this machine, as the compiler names it.
fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output().context("rustc")?;
    let text = String::from_utf8(output.stdout).context("rustc says what it is")?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc says for which machine it builds")
}
