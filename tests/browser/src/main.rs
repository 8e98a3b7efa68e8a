//! `cargo run -p beeldbox-browser -- screenshots`: makes the pictures of the README anew.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use beeldbox_browser::browser::Browser;
use beeldbox_browser::pictures;
use beeldbox_browser::stage::Stage;
use clap::{Parser, Subcommand};
use serde_json::json;

/// The pages of two hospitals in a real browser.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes the pictures of the README.
    Screenshots {
        /// Folder for them; `web-admin/screenshots` without it.
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

/// Whose name stands on the pictures.
const TECHNICIAN: &str = "m.postma";

/// Longer than the pictures take: one study is to be seen while it comes in.
const QUIET_TIME_SECS: u64 = 600;

#[tokio::main]
async fn main() -> ExitCode {
    let Command::Screenshots { out } = Arguments::parse().command;
    match screenshots(out).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("browser: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn screenshots(out: Option<PathBuf>) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("the workspace")?;
    let out = out.unwrap_or_else(|| root.join("web-admin/screenshots"));
    std::fs::create_dir_all(&out).with_context(|| out.display().to_string())?;
    let browser = Browser::find()?;
    let stage = Stage::open(QUIET_TIME_SECS).await?;
    let taken = take(&browser, &stage, &out).await;
    stage.close(taken.is_ok()).await;
    taken
}

async fn take(browser: &Browser, stage: &Stage, out: &Path) -> Result<()> {
    let study = pictures::prepare(stage).await?;
    stage.add_user(TECHNICIAN).await?;
    let mut addresses = stage.demo.addresses();
    for hospital in 0..2 {
        addresses["boxes"][hospital]["user"] = json!(TECHNICIAN);
    }
    let described = json!({
        "noord": addresses["boxes"][0],
        "zuid": addresses["boxes"][1],
        "chromium": browser.chromium,
        "study": study,
        "secrets": [],
    });
    let out = out.to_str().context("the folder for the pictures has a name that is not text")?;
    browser.play(&described, &stage.folder("browser")?, &["--screenshots", out]).await
}
