//! `beeldbox-fleet`: a hundred boxes at one portal.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use beeldbox_fleet::{DatabaseKind, Plan, portals, run};
use clap::{Args, Parser, Subcommand};

/// A hundred boxes at one portal: what it bears, and what would break first.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    asked: Asked,
}

#[derive(Args)]
struct Asked {
    /// Boxes.
    #[arg(long, default_value_t = 100)]
    boxes: usize,
    /// Minutes of sending; fractions are fine.
    #[arg(long, default_value_t = 3.0)]
    minutes: f64,
    /// Portal processes; more than one only with --database postgres.
    #[arg(long, default_value_t = 1)]
    portals: usize,
    /// Where the ledger is.
    #[arg(long, value_enum, default_value = "sqlite")]
    database: DatabaseKind,
    /// Parts of a transfer.
    #[arg(long, default_value_t = 4)]
    parts: usize,
    /// KiB of a part, at most 8192.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u16).range(1..=8192))]
    part_kib: u16,
    /// Seconds of pause of a box between two transfers, on the average.
    #[arg(long, default_value_t = 5.0)]
    pause: f64,
}

#[derive(Subcommand)]
enum Command {
    /// One of the portals of a run.
    #[command(hide = true)]
    Serve {
        /// Its state.
        #[arg(long)]
        state: PathBuf,
        /// Its database, if that is PostgreSQL.
        #[arg(long)]
        database: Option<String>,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    if let Some(Command::Serve { state, database }) = cli.command {
        let quiet = tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(LEVEL);
        quiet.init();
        return portals::serve(state, database.as_deref()).await;
    }
    let asked = cli.asked;
    let plan = Plan {
        boxes: asked.boxes,
        time: Duration::try_from_secs_f64(asked.minutes * 60.0)?,
        portals: asked.portals,
        database: asked.database,
        parts: asked.parts,
        part_len: usize::from(asked.part_kib) * 1024,
        pause: Duration::try_from_secs_f64(asked.pause)?,
    };
    let report = run(&plan, &std::env::current_exe()?).await?;
    write!(std::io::stdout(), "{report}")?;
    Ok(())
}

/// A hundred boxes would fill the screen with what goes well.
const LEVEL: tracing_subscriber::filter::LevelFilter = tracing_subscriber::filter::LevelFilter::WARN;
