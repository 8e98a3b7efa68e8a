//! Programs that run beside the demo. One that dies is started again, as the service manager would; one that is taken
//! down stays down until it is brought up.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Longest orderly stop of a program.
const STOP: Duration = Duration::from_secs(12);

/// Pause before a dead program is started again.
const RESTART: Duration = Duration::from_millis(300);

/// All of them.
#[derive(Default)]
pub struct Children {
    stopping: Arc<AtomicBool>,
    watchers: Mutex<Vec<(Running, JoinHandle<()>)>>,
}

/// One of them.
#[derive(Clone)]
pub struct Running {
    id: Arc<AtomicU32>,
    is_wanted: Arc<watch::Sender<bool>>,
}

impl Running {
    /// Its process id at this moment; 0 while it does not run.
    pub fn id(&self) -> u32 {
        self.id.load(Ordering::Relaxed)
    }

    /// Ends it with SIGKILL. It is started again.
    pub async fn kill(&self) -> Result<()> {
        let id = self.id();
        if id != 0 {
            Command::new("kill").args(["-KILL", &id.to_string()]).stderr(Stdio::null()).status().await?;
        }
        Ok(())
    }

    /// Ends it with SIGKILL and leaves it so, until [`Running::bring_up`]. Returns when it has ended.
    pub async fn take_down(&self) -> Result<()> {
        self.is_wanted.send_replace(false);
        for _ in 0..200 {
            if self.id() == 0 {
                return Ok(());
            }
            self.kill().await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::bail!("process {} does not end", self.id())
    }

    /// Starts it again after [`Running::take_down`].
    pub fn bring_up(&self) {
        self.is_wanted.send_replace(true);
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
        let running = Running { id, is_wanted: Arc::new(watch::Sender::new(true)) };
        let (stopping, noted) = (Arc::clone(&self.stopping), running.clone());
        let watcher = tokio::spawn(async move {
            let mut wanted = noted.is_wanted.subscribe();
            loop {
                let ended = child.wait().await;
                noted.id.store(0, Ordering::Relaxed);
                if stopping.load(Ordering::Relaxed) {
                    return;
                }
                let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
                eprintln!("\ndemo: {} ended ({how})", program.name);
                tokio::time::sleep(RESTART).await;
                // The sender lives in `noted`.
                let _ = wanted.wait_for(|wanted| *wanted).await;
                if stopping.load(Ordering::Relaxed) {
                    return;
                }
                match program.start() {
                    Ok(again) => child = again,
                    Err(error) => return eprintln!("demo: {error:#}"),
                }
                eprintln!("demo: {} is started again", program.name);
                noted.id.store(child.id().unwrap_or_default(), Ordering::Relaxed);
            }
        });
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner).push((running.clone(), watcher));
        Ok(running)
    }

    /// Stops all of them, the last started first.
    pub async fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        let watchers = std::mem::take(&mut *self.watchers.lock().unwrap_or_else(PoisonError::into_inner));
        for (running, watcher) in watchers.into_iter().rev() {
            running.bring_up();
            let id = running.id().to_string();
            if id != "0" {
                // If it cannot be asked, it is ended below.
                let _asked = Command::new("kill").args(["-TERM", &id]).stderr(Stdio::null()).status().await;
            }
            if tokio::time::timeout(STOP, watcher).await.is_err() {
                eprintln!("demo: process {id} did not stop in time and is ended");
                if let Err(error) = running.kill().await {
                    eprintln!("demo: {error:#}");
                }
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
