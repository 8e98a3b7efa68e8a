//! The programs that are measured: ours are built in the release profile, dicom-rs's is installed once into the build
//! folder, the others are looked for.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::contender::Places;

/// The version that is measured: that of the libraries the box uses.
const DICOM_RS: &str = "0.10.1";

/// Builds and installs what is missing, and makes the working folder on the disk of the build folder.
///
/// # Errors
/// If our programs cannot be built. A foreign program that is missing is named when it is started.
pub fn provide() -> Result<Places> {
    let own = std::env::current_exe()?;
    let target = own.parent().and_then(Path::parent).context("where this program is")?.to_owned();
    run(cargo()
        .args(["build", "--release", "-p", "beeldbox-daemon"])
        .current_dir(env!("CARGO_MANIFEST_DIR")))?;
    let tools = target.join("bench-tools");
    if !tools.join("bin/dicom-storescp").exists() {
        eprintln!("bench: installing dicom-storescp {DICOM_RS}");
        let mut install = cargo();
        install.args(["install", "--locked", "dicom-storescp", "--version", DICOM_RS, "--root"]).arg(&tools);
        if let Err(error) = run(&mut install) {
            eprintln!("bench: {error:#}");
        }
    }
    let work: PathBuf = target.join("bench");
    std::fs::create_dir_all(&work)?;
    Ok(Places { programs: target.join("release"), tools, work })
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).status().context("cargo")?;
    ensure!(status.success(), "cargo could not do it: {command:?}");
    Ok(())
}
