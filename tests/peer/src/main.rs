//! `beeldbox-peer`: a modality and a PACS at the command line.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use beeldbox_dicom::PeerNode;
use beeldbox_peer::send::{Sent, send_files};
use beeldbox_peer::study::{StudySpec, make_study};
use beeldbox_peer::{pacs, part10};
use beeldbox_protocol::ident::AeTitle;
use clap::{Parser, Subcommand};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

/// A scripted modality and PACS.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Receives instances from anybody and keeps them as files, until SIGTERM.
    Pacs {
        /// Our AE title.
        #[arg(long, default_value = "PACS")]
        ae: AeTitle,
        /// Where to listen; port 0 takes any free one.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: String,
        /// Folder for the files and the list.
        #[arg(long)]
        store: PathBuf,
        /// File to write the port to when ready.
        #[arg(long)]
        port_file: Option<PathBuf>,
    },
    /// Makes a CT study with a report.
    MakeStudy {
        /// Folder for the files.
        #[arg(long)]
        out: PathBuf,
        /// Number of slices.
        #[arg(long, default_value_t = 300)]
        slices: u32,
        /// Rows and columns.
        #[arg(long, default_value_t = 512)]
        size: u16,
        /// Same seed, same bytes.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Patient's Name, `family^given^middle^prefix`.
        #[arg(long)]
        patient: Option<String>,
    },
    /// Sends Part 10 files by C-STORE.
    Send {
        /// `host:port` of the receiver.
        #[arg(long)]
        to: String,
        /// Its AE title.
        #[arg(long)]
        called: AeTitle,
        /// Our AE title.
        #[arg(long, default_value = "PEER")]
        calling: AeTitle,
        /// Say it in JSON, one line per instance.
        #[arg(long)]
        json: bool,
        /// Files and folders.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Prints SOP Instance UID, SHA-256 of the data set and its size, per Part 10 file.
    Digests {
        /// Folder to search.
        folder: PathBuf,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    // What peers do is told on standard error, so that standard output can be read by programs.
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .init();
    match Arguments::parse().command {
        Command::Pacs { ae, listen, store, port_file } => {
            run_pacs(ae, &listen, &store, port_file.as_deref()).await
        }
        Command::MakeStudy { out, slices, size, seed, patient } => {
            let spec = StudySpec { slices, size, seed, ..StudySpec::default() };
            let spec = StudySpec { patient: patient.unwrap_or_else(|| spec.patient.clone()), ..spec };
            let made = make_study(&out, &spec)?;
            println!("{} {} files", made.study, made.files.len());
            Ok(())
        }
        Command::Send { to, called, calling, json, files } => {
            send(PeerNode::plain(called, to), &calling, &files, json).await
        }
        Command::Digests { folder } => {
            for file in part10::find(&[folder])? {
                println!("{} {} {}", file.sop_instance, file.digest()?, file.data_set_length);
            }
            Ok(())
        }
    }
}

async fn run_pacs(ae: AeTitle, listen: &str, store: &Path, port_file: Option<&Path>) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let pacs = pacs::start_pacs(ae.clone(), listen, store).await?;
    let address = pacs.address();
    if let Some(path) = port_file {
        // Written beside and renamed: whoever waits for the file finds it complete.
        let part = path.with_extension("part");
        std::fs::write(&part, address.port().to_string())
            .with_context(|| format!("write {}", part.display()))?;
        std::fs::rename(&part, path)?;
    }
    println!("listening {address} ae {ae}");
    std::io::stdout().flush()?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    pacs.stop().await
}

async fn send(to: PeerNode, calling: &AeTitle, paths: &[PathBuf], as_json: bool) -> Result<()> {
    let files = part10::find(paths)?;
    anyhow::ensure!(!files.is_empty(), "no Part 10 file found");
    let watched = std::io::stderr().is_terminal();
    let mut done = 0;
    let tell = |sent: &Sent| {
        done += 1;
        println!("{}", if as_json { line_of_json(sent) } else { line(sent) });
        if watched {
            eprint!("\r{done}/{}", files.len());
        }
    };
    let sent = send_files(&to, calling, &files, tell).await?;
    if watched {
        eprintln!();
    }
    let stored = sent.iter().filter(|sent| sent.is_stored()).count();
    let bytes: u64 = sent.iter().map(|sent| sent.size).sum();
    if as_json {
        println!(
            "{}",
            json!({ "sent": sent.len(), "stored": stored, "failed": sent.len() - stored, "bytes": bytes })
        );
    } else {
        println!("{stored} of {} stored, {bytes} bytes", sent.len());
    }
    anyhow::ensure!(stored == sent.len(), "{} instances were not stored", sent.len() - stored);
    Ok(())
}

fn line(sent: &Sent) -> String {
    let status = sent.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    let remark = sent.remark.as_deref().unwrap_or_default();
    format!("{} {status} {remark}", sent.sop_instance).trim_end().to_owned()
}

fn line_of_json(sent: &Sent) -> String {
    json!({
        "sop_instance": sent.sop_instance,
        "status": sent.status.map(|status| format!("{:04X}", status.0)),
        "stored": sent.is_stored(),
        "remark": sent.remark,
    })
    .to_string()
}
