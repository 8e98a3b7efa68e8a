//! Two hospitals with fresh keys, what they send each other, and the programs in Python that read and write it.
//!
//! The Python programs share no code with us: they were written from `firmware/protocol/ENVELOPE.md`. Here is what both
//! sides are given, and how the programs are run; the tests say who seals and who opens.

mod hospitals;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub use hospitals::{ADDRESSEE, AT, Hospital, SENDER, Trust};

/// What the programs import, and the version they were seen with.
const NEEDED: &str = "cryptography==50.0.2";

/// The folder of the Python programs.
fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python")
}

/// Runs one of the Python programs that read and write sealed formats.
///
/// # Panics
/// If Python, or the one package it needs, is missing; the panic says what to install.
pub fn python(program: &str, folder: &Path) -> Output {
    let has_package =
        run(&["-c", "from cryptography.hazmat.primitives.hpke import KEM; KEM.MLKEM768_X25519"]);
    assert!(
        has_package.status.success(),
        "cryptography with ML-KEM-768 is missing; pip install {NEEDED}\n{}",
        String::from_utf8_lossy(&has_package.stderr)
    );
    run_program(program, folder)
}

/// Runs one of the Python programs that import this package.
///
/// # Panics
/// If Python or the package is missing.
pub fn python_with(package: &str, program: &str, folder: &Path) -> Output {
    let has_package = run(&["-c", &format!("import {package}")]).status.success();
    assert!(has_package, "{package} is missing; pip install {package}");
    run_program(program, folder)
}

fn run_program(program: &str, folder: &Path) -> Output {
    let program = programs().join(program);
    run(&["-B", "-W", "ignore", &program.to_string_lossy(), &folder.to_string_lossy()])
}

fn run(words: &[&str]) -> Output {
    let output = Command::new("python3").args(words).output();
    output.expect("python3 is missing; on Debian: apt-get install python3 python3-venv")
}

/// What a program has printed, for a test that fails.
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
