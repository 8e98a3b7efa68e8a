//! Running `journey.mjs`: finds Node, its packages and Chromium, and hands back the one line that says what is wrong.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::process::Command;

/// Longest time that the person at the desk may take.
const PATIENCE: Duration = Duration::from_secs(480);

/// npm packages that the script uses.
const PACKAGES: [&str; 2] = ["playwright-core", "@axe-core/playwright"];

/// What is needed beside this crate.
pub struct Browser {
    /// Chromium.
    pub chromium: PathBuf,
    node: PathBuf,
    packages: PathBuf,
}

impl Browser {
    /// Looks for all of it.
    ///
    /// # Errors
    /// Something is missing; the error says how to get it.
    pub fn find() -> Result<Browser> {
        let advice =
            |what: &str| format!("{what} is missing: `cargo suite` installs what the browser tests need");
        let node = program("node").with_context(|| advice("node"))?;
        let chromium = program("chromium").with_context(|| advice("chromium"))?;
        let own = std::env::current_exe().context("where this program is")?;
        let mut folders: Vec<PathBuf> = std::env::var_os("NODE_PATH")
            .map(|path| std::env::split_paths(&path).collect())
            .unwrap_or_default();
        // `cargo suite` puts them under the build folder.
        folders.extend(own.ancestors().map(|folder| folder.join("suite/node/node_modules")));
        let has_all = |folder: &&PathBuf| PACKAGES.iter().all(|package| folder.join(package).is_dir());
        let packages = folders.iter().find(has_all).with_context(|| advice(&PACKAGES.join(" or ")))?.clone();
        Ok(Browser { chromium, node, packages })
    }

    /// Plays the journey on this stage. What it tells goes to standard output; what went wrong becomes the error.
    ///
    /// # Errors
    /// Something is not as it must be.
    pub async fn play(&self, stage: &Value, scratch: &Path, options: &[&str]) -> Result<()> {
        let file = scratch.join("stage.json");
        std::fs::write(&file, serde_json::to_vec_pretty(stage)?).context("stage.json")?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("journey.mjs");
        let mut node = Command::new(&self.node);
        node.arg(script).arg(&file).args(options).env("NODE_PATH", &self.packages);
        let child = node
            .stdin(Stdio::null())
            .stdout(Stdio::inherit())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("node")?;
        let Ok(output) = tokio::time::timeout(PATIENCE, child.wait_with_output()).await else {
            bail!("the journey is not at its end after {} s", PATIENCE.as_secs());
        };
        let output = output.context("node")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}", said.trim());
        Ok(())
    }
}

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}
