//! A contender as a process: its start and end, and what it and its children use, read from `/proc`.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Pause between two looks at the memory.
const LOOK: Duration = Duration::from_millis(20);

/// A tick is a hundredth of a second to user programs on Linux, whatever the kernel counts in.
const TICK_MS: u64 = 10;

/// A running program; ended when dropped.
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts it with its output in a file.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(mut command: Command, log: &Path) -> Result<Self> {
        let log = File::create(log)?;
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Process { child })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, and ends it if it does not within ten seconds.
    ///
    /// # Errors
    /// If it cannot be asked.
    pub fn stop(mut self) -> Result<()> {
        self.signal(Signal::SIGTERM)?;
        for _ in 0..500 {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.id())?), signal)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended; nothing more can be done here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A tool that watches a process, such as strace: it ends when it is interrupted.
pub struct Beside(Child);

impl Beside {
    /// Takes it over.
    pub fn new(child: Child) -> Self {
        Beside(child)
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.0.try_wait()?.is_none())
    }

    /// Interrupts it and waits until it has written what it saw.
    ///
    /// # Errors
    /// If it has ended by itself.
    pub fn stop(mut self) -> Result<()> {
        kill(Pid::from_raw(i32::try_from(self.0.id())?), Signal::SIGINT)?;
        self.0.wait()?;
        Ok(())
    }
}

/// CPU time of a process, of its living children and of those that it has waited for.
///
/// # Errors
/// If the process has ended.
pub fn cpu(id: u32) -> Result<Duration> {
    let mut ticks = 0;
    for process in family(id) {
        match ticks_of(process, 4) {
            Ok(used) => ticks += used,
            // A child may end between the listing and the look; its parent then has its time.
            Err(_) if process != id => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Duration::from_millis(ticks * TICK_MS))
}

/// CPU time of this process alone.
///
/// # Errors
/// If `/proc` cannot be read.
pub fn own_cpu() -> Result<Duration> {
    Ok(Duration::from_millis(ticks_of(std::process::id(), 2)? * TICK_MS))
}

/// The first `count` of utime, stime, cutime and cstime: fields 14 to 17 of `stat` (proc(5)).
fn ticks_of(id: u32, count: usize) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name in parentheses may hold anything; the fields are counted behind it.
    let (_, fields) = stat.rsplit_once(')').context("stat has no name")?;
    fields
        .split_whitespace()
        .skip(11)
        .take(count)
        .map(|field| field.parse::<u64>().map_err(anyhow::Error::from))
        .sum()
}

fn family(id: u32) -> Vec<u32> {
    let mut members = vec![id];
    let mut next = 0;
    while let Some(member) = members.get(next).copied() {
        next += 1;
        let Ok(threads) = fs::read_dir(format!("/proc/{member}/task")) else { continue };
        for thread in threads.flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            members.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    members
}

/// A line of `/proc/ID/status` in bytes; 0 if the process has ended.
fn memory(id: u32, line: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let value = status.lines().find_map(|found| found.strip_prefix(line));
    value.and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Watches the memory of a process and its children.
pub struct MemoryWatch {
    id: u32,
    done: Arc<AtomicBool>,
    watcher: JoinHandle<u64>,
}

impl MemoryWatch {
    /// Begins to watch.
    pub fn start(id: u32) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&done);
        let watcher = thread::spawn(move || {
            let mut most = 0;
            while !seen.load(Ordering::Relaxed) {
                most = most.max(family(id).into_iter().map(|member| memory(member, "VmRSS:")).sum());
                thread::sleep(LOOK);
            }
            most
        });
        MemoryWatch { id, done, watcher }
    }

    /// The most resident bytes of all together, or the most that the kernel saw of the first alone.
    pub fn finish(self) -> u64 {
        self.done.store(true, Ordering::Relaxed);
        self.watcher.join().unwrap_or(0).max(memory(self.id, "VmHWM:"))
    }
}
