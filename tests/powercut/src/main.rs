//! The program beside the tests: plays the script where power is cut or calls are traced, and runs the long haul.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::Result;
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match Arguments::parse().what {
            What::Script { folder, elsewhere, flood } => {
                let scribe = Scribe::in_folder(&folder)?;
                let (custody, _) = script::open(&folder)?;
                script::play(&custody, &elsewhere, Plan { base: 0, flood }, &scribe).await?;
                custody.close().await;
                let (custody, _) = script::open(&folder)?;
                let mut association = script::association(&custody)?;
                let name = beeldbox_powercut::image::Name::new(70, 1);
                script::send(&mut association, name, &scribe)?;
                association.close();
                custody.close().await;
                Ok(())
            }
            What::Resume { folder, elsewhere } => {
                let scribe = Scribe::in_folder(&folder)?;
                let (custody, _) = script::open(&folder)?;
                inbound::resume(&custody, &elsewhere, 0, &scribe).await?;
                custody.close().await;
                Ok(())
            }
        }
    })
}
