//! The program beside the tests: plays the script where power is cut or calls are traced, and runs the long haul.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Result, ensure};
use beeldbox_powercut::guest::{self, Effort};
use beeldbox_powercut::haul::{self, Work};
use beeldbox_powercut::mount::FileSystem;
use beeldbox_powercut::replay::{Source, judge_disk, replay};
use beeldbox_powercut::script::{self, Plan};
use beeldbox_powercut::told::{Listener, Told};
use beeldbox_powercut::{inbound, trace};
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Power cuts, lost flushes and full disks against custody")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Play the script in a folder, and write to a file in it what custody told.
    Script {
        /// The folder.
        folder: PathBuf,
        /// Where the other hospital is.
        elsewhere: PathBuf,
        /// Small instances at the end.
        #[arg(long, default_value_t = 0)]
        flood: u32,
    },
    /// Start again in a folder that a power cut left, and go on.
    Resume {
        /// The folder.
        folder: PathBuf,
        /// Where the other hospital is.
        elsewhere: PathBuf,
    },
    /// Work inside the virtual machine.
    Guest {
        /// The folder of custody.
        folder: PathBuf,
        /// Where the other hospital is.
        elsewhere: PathBuf,
        /// The disk, for markers.
        disk: PathBuf,
        /// Where the markers begin.
        area: u64,
        /// How long to work.
        #[arg(long)]
        seconds: u64,
        /// Associations beside the script.
        #[arg(long)]
        associations: u32,
        /// Which start of the machine this is.
        #[arg(long, default_value_t = 0)]
        round: u32,
    },
    /// Make and judge states of a recorded disk; in a mount namespace of its own.
    Replay {
        /// The disk before anything was written.
        base: PathBuf,
        /// The record.
        log: PathBuf,
        /// What is on it.
        file_system: FileSystem,
        /// How many states.
        #[arg(long)]
        states: usize,
        /// What decides chance.
        #[arg(long)]
        seed: u64,
        /// The disk answers flushes and ignores them.
        #[arg(long)]
        forgetful: bool,
    },
    /// Judge a disk by the markers on it; in a mount namespace of its own.
    Judge {
        /// The image.
        image: PathBuf,
        /// What is on it.
        file_system: FileSystem,
    },
    /// The long haul: run the machine, judge many states, kill it many times.
    Haul {
        /// States to judge.
        #[arg(long, default_value_t = 2000)]
        states: usize,
        /// Times to kill the machine.
        #[arg(long, default_value_t = 0)]
        kills: u32,
        /// What the disk is formatted with.
        #[arg(long, default_value = "ext4")]
        file_system: FileSystem,
        /// Seconds that the machine works while it is recorded, and at most before a kill.
        #[arg(long, default_value_t = 30)]
        seconds: u64,
        /// Associations beside the script.
        #[arg(long, default_value_t = 3)]
        associations: u32,
        /// Workers that judge at the same time.
        #[arg(long, default_value_t = 2)]
        workers: usize,
        /// What decides chance.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

/// Writes what was told to a file, each thing in one write.
struct Scribe(Mutex<File>);

impl Scribe {
    fn in_folder(folder: &Path) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(folder.join(trace::TOLD))?;
        Ok(Scribe(Mutex::new(file)))
    }
}

impl Listener for Scribe {
    fn told(&self, told: &Told) -> Result<()> {
        let line = serde_json::to_vec(told)?;
        let mut file = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(file.write_all(&line)?)
    }
}

fn main() -> Result<()> {
    let what = Arguments::parse().what;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(what))
}

async fn run(what: What) -> Result<()> {
    match what {
        What::Script { folder, elsewhere, flood } => {
            let scribe = Scribe::in_folder(&folder)?;
            script::play_and_start_again(&folder, &elsewhere, Plan { base: 0, flood }, &scribe).await
        }
        What::Resume { folder, elsewhere } => {
            let scribe = Scribe::in_folder(&folder)?;
            let (custody, _) = script::open(&folder)?;
            scribe.told(&Told::Started)?;
            inbound::resume(&custody, &elsewhere, 0, &scribe).await?;
            custody.close().await;
            Ok(())
        }
        What::Guest { folder, elsewhere, disk, area, seconds, associations, round } => {
            let effort = Effort { round, time: Duration::from_secs(seconds), associations };
            guest::work(&folder, &elsewhere, &disk, area, effort).await
        }
        What::Replay { base, log, file_system, states, seed, forgetful } => {
            let scratch = haul::scratch()?;
            let judged = replay(
                &Source { base, log, file_system, is_forgetful: forgetful },
                states,
                seed,
                scratch.path(),
            )
            .await?;
            println!("{}", serde_json::to_string(&judged)?);
            Ok(())
        }
        What::Judge { image, file_system } => {
            let scratch = haul::scratch()?;
            let said = match judge_disk(&image, file_system, scratch.path()).await {
                Ok(stored) => stored.to_string(),
                Err(broken) => broken,
            };
            println!("{said}");
            Ok(())
        }
        What::Haul { states, kills, file_system, seconds, associations, workers, seed } => {
            let program = std::env::current_exe()?;
            let folder = haul::scratch()?;
            let work = Work { file_system, seconds, associations };
            let source = haul::record(&program, folder.path(), work)?;
            let judged = haul::judge(&program, &source, states, workers, seed)?;
            println!("{judged}");
            ensure!(judged.broken.is_empty(), "custody broke {} promises", judged.broken.len());
            if kills > 0 {
                let found = haul::kill(&program, folder.path(), work, kills, seed)?;
                println!("{kills} kills; instances that had to be there, and were: {found:?}");
            }
            Ok(())
        }
    }
}
