//! Programs that run beside the demo. One that dies is started again, as the service manager would.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// Longest orderly stop of a program.
const STOP: Duration = Duration::from_secs(12);

/// Pause before a dead program is started again.
const RESTART: Duration = Duration::from_millis(300);

/// All of them.
#[derive(Default)]
pub struct Children {
    stopping: Arc<AtomicBool>,
    watchers: Mutex<Vec<(Arc<AtomicU32>, JoinHandle<()>)>>,
}

/// One of them.
#[derive(Clone)]
pub struct Running {
    id: Arc<AtomicU32>,
}

impl Running {
    /// Its process id at this moment.
    pub fn id(&self) -> u32 {
        self.id.load(Ordering::Relaxed)
    }
}

/// How a program is started, time and again.
pub struct Program {
    /// Its name, for people.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Where its output goes.
    pub log: PathBuf,
}

impl Program {
    fn start(&self) -> Result<Child> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log).context("log file")?;
        Command::new(&self.path)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("log file")?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", self.path.display()))
    }
}

impl Children {
    /// Starts a program and keeps it running.
    pub fn keep(&self, program: Program) -> Result<Running> {
        let mut child = program.start()?;
        let id = Arc::new(AtomicU32::new(child.id().unwrap_or_default()));
        let (stopping, noted) = (Arc::clone(&self.stopping), Arc::clone(&id));
        let watcher = tokio::spawn(async move {
            loop {
                let ended = child.wait().await;
                if stopping.load(Ordering::Relaxed) {
                    return;
                }
                let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
                eprintln!("\ndemo: {} ended ({how}) and is started again", program.name);
                tokio::time::sleep(RESTART).await;
                match program.start() {
                    Ok(again) => child = again,
                    Err(error) => return eprintln!("demo: {error:#}"),
                }
                noted.store(child.id().unwrap_or_default(), Ordering::Relaxed);
            }
        });
        let running = Running { id: Arc::clone(&id) };
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner).push((id, watcher));
        Ok(running)
    }

    /// Stops all of them, the last started first.
    pub async fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        let watchers = std::mem::take(&mut *self.watchers.lock().unwrap_or_else(PoisonError::into_inner));
        for (id, watcher) in watchers.into_iter().rev() {
            let id = id.load(Ordering::Relaxed).to_string();
            let asked = Command::new("kill").args(["-TERM", &id]).stderr(Stdio::null()).status().await;
            let ended = tokio::time::timeout(STOP, watcher).await;
            if asked.is_err() || ended.is_err() {
                eprintln!("demo: process {id} did not stop in time and is ended");
                let _killed = Command::new("kill").args(["-KILL", &id]).status().await;
            }
        }
    }
}

/// Waits until something listens at the address.
pub async fn until_listening(address: &str, log: &Path) -> Result<()> {
    for _ in 0..600 {
        if tokio::net::TcpStream::connect(address).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let said = std::fs::read_to_string(log).unwrap_or_default();
    let last: Vec<&str> = said.lines().rev().take(5).collect();
    anyhow::bail!("nothing listens at {address} after 30 s; the last lines of its log:\n{}", last.join("\n"))
}
