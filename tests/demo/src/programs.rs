//! The programs that the demo runs, built with the same cargo, in the same profile, as the demo itself.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

/// Where the programs are.
pub struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// Builds what is not built yet.
    pub async fn build() -> Result<Programs> {
        let own = std::env::current_exe().context("where the demo is")?;
        let mut folder = own.parent().context("where the demo is")?.to_owned();
        if folder.ends_with("deps") {
            // A test runs from a folder beside the programs.
            folder.pop();
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.arg("build").current_dir(env!("CARGO_MANIFEST_DIR"));
        for package in
            ["beeldbox-daemon", "beeldbox-preview", "beeldbox-admin", "beeldbox-portal", "beeldbox-peer"]
        {
            build.args(["-p", package]);
        }
        if folder.file_name().is_some_and(|profile| profile == "release") {
            build.arg("--release");
        }
        eprintln!("demo: building the programs (the first time takes some minutes)");
        let status = build.stdin(Stdio::null()).status().await.context("cargo build")?;
        ensure!(status.success(), "the programs could not be built");
        Ok(Programs { folder })
    }

    /// A command that runs one of them.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.folder.join(name));
        command.stdin(Stdio::null());
        command
    }

    /// Runs one of them to its end and gives what it printed.
    pub async fn output(&self, name: &str, arguments: &[&str]) -> Result<String> {
        let output = self.command(name).args(arguments).output().await.with_context(|| name.to_owned())?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{name} {}: {said}", arguments.first().unwrap_or(&""));
        String::from_utf8(output.stdout).context("its output is not text")
    }
}
