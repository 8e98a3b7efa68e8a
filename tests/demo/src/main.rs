//! `cargo demo`: two hospitals on this machine, with the real programs.
//!
//! ```text
//!   PACS_NOORD ─► Beeldbox Noord ─► portal ─► Beeldbox Zuid ─► PACS_ZUID
//!                 (web page)                  (web page)
//! ```
//!
//! Everything runs as it would in two hospitals: two daemons and two web pages as processes of their own, a portal that
//! sees only ciphertext, and two PACS. A program that dies is started again. With `--once` a made study goes through
//! and every data set that arrives is compared with what was sent; otherwise the visitor may go on by hand.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use beeldbox_demo::child::Children;
use beeldbox_demo::hospital::{Demo, DemoOptions};
use beeldbox_demo::journey;
use beeldbox_demo::place::Place;
use beeldbox_demo::programs::Programs;

/// Two hospitals on this machine: portal, two boxes with their web pages, two PACS.
#[derive(Parser)]
#[command(name = "cargo demo")]
struct Arguments {
    /// Send one study through, compare what arrived, and end.
    #[arg(long)]
    once: bool,
    /// Print one JSON object with all addresses when everything listens.
    #[arg(long)]
    json: bool,
    /// Keep everything under this folder, and go on from what is there. Without it a temporary folder is used and removed.
    #[arg(long)]
    state: Option<PathBuf>,
    /// Which PACS stand at both ends.
    #[arg(long, value_enum, default_value_t = Pacs::Peer)]
    pacs: Pacs,
    /// Start everything, send nothing.
    #[arg(long, conflicts_with = "once")]
    idle: bool,
    /// Slices of the made CT study.
    #[arg(long, default_value_t = 300)]
    slices: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Pacs {
    /// The storage SCP of tests/peer: needs nothing else.
    Peer,
    /// A real Orthanc, if it is installed.
    Orthanc,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<()> {
    let programs = Programs::build().await?;
    let place = Place::open(arguments.state.clone())?;
    let children = Arc::new(Children::default());
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let result = tokio::select! {
        result = show(&arguments, &programs, &place, &children) => result,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    children.stop().await;
    place.close(result.is_ok());
    result
}

async fn show(
    arguments: &Arguments,
    programs: &Programs,
    place: &Place,
    children: &Arc<Children>,
) -> Result<()> {
    place.end_left_overs().await;
    let options = DemoOptions { is_orthanc: arguments.pacs == Pacs::Orthanc, ..DemoOptions::default() };
    let demo = Demo::start(programs, place, children, &options).await?;
    if arguments.json {
        println!("{}", serde_json::to_string(&demo.addresses()).context("addresses")?);
    } else {
        demo.print_addresses();
    }
    if arguments.idle {
        return std::future::pending().await;
    }
    let summary = journey::once(programs, place, &demo, arguments.slices).await?;
    summary.print();
    if arguments.once {
        anyhow::ensure!(summary.is_complete(), "not every data set arrived as it was sent");
        return Ok(());
    }
    demo.print_invitation();
    std::future::pending().await
}
