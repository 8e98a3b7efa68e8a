//! Where the demo keeps everything, and which ports it uses: the same after a restart.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// A folder with everything.
pub struct Place {
    root: PathBuf,
    is_temporary: bool,
    ports: RefCell<BTreeMap<String, u16>>,
}

/// A folder that was not there before: a run that was killed leaves its own behind, and in a namespace of their own all
/// runs have the same process id.
fn new_folder() -> Result<PathBuf> {
    for attempt in 0..1000 {
        let root = std::env::temp_dir().join(format!("beeldbox-demo-{}-{attempt}", std::process::id()));
        match std::fs::create_dir(&root) {
            Ok(()) => return Ok(root),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| root.display().to_string()),
        }
    }
    bail!("the folder for temporary files is full of demos that were killed; remove beeldbox-demo-* there")
}

impl Place {
    /// Opens the folder asked for, or makes a temporary one.
    pub fn open(asked: Option<PathBuf>) -> Result<Place> {
        let is_temporary = asked.is_none();
        let root = match asked {
            Some(root) => root,
            None => new_folder()?,
        };
        std::fs::create_dir_all(&root).with_context(|| root.display().to_string())?;
        let root = root.canonicalize().with_context(|| root.display().to_string())?;
        let ports = match std::fs::read(root.join("ports.json")) {
            Ok(bytes) => serde_json::from_slice(&bytes).context("ports.json")?,
            Err(_) => BTreeMap::new(),
        };
        Ok(Place { root, is_temporary, ports: RefCell::new(ports) })
    }

    /// A folder in it, made if needed.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.root.join(name);
        std::fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        Ok(path)
    }

    /// The port of this name: the one used before, or a free one.
    pub fn port(&self, name: &str) -> Result<u16> {
        if let Some(port) = self.ports.borrow().get(name) {
            return Ok(*port);
        }
        let port = free_port()?;
        self.ports.borrow_mut().insert(name.to_owned(), port);
        std::fs::write(self.root.join("ports.json"), serde_json::to_vec_pretty(&*self.ports.borrow())?)?;
        Ok(port)
    }

    /// Ends programs that an earlier demo, killed before it could, left running on this folder.
    pub async fn end_left_overs(&self) {
        let own = std::process::id();
        let found = || -> Vec<u32> {
            let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
            let ids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
            ids.filter(|id| *id != own && self.is_ours(*id)).collect()
        };
        for id in found() {
            eprintln!("demo: ending process {id} of an earlier demo");
            let kill = tokio::process::Command::new("kill").args(["-9", &id.to_string()]).status().await;
            if let Err(error) = kill {
                eprintln!("demo: process {id} could not be ended: {error}");
            }
        }
        for _ in 0..100 {
            if found().is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Whether a process runs one of our programs with this folder in its arguments.
    fn is_ours(&self, id: u32) -> bool {
        let Ok(line) = std::fs::read(format!("/proc/{id}/cmdline")) else { return false };
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let program = line.split(' ').next().unwrap_or_default();
        let is_program = ["beeldboxd", "beeldbox-admin", "beeldbox-portal", "beeldbox-peer", "Orthanc"]
            .iter()
            .any(|name| program.ends_with(name));
        is_program && line.contains(&format!("{}/", self.root.display()))
    }

    /// Removes a temporary folder; one of a demo that failed is left for a look.
    pub fn close(&self, is_well: bool) {
        if self.is_temporary && is_well {
            if let Err(error) = std::fs::remove_dir_all(&self.root) {
                eprintln!("demo: {} could not be removed: {error}", self.root.display());
            }
        } else {
            eprintln!("demo: everything is under {}", self.root.display());
        }
    }
}

/// A free port below those that the system gives to outgoing connections (32768 on Linux), so that none of them takes
/// it while its program is down.
fn free_port() -> Result<u16> {
    let random = RandomState::new();
    for attempt in 0..1000_u32 {
        let port = 12_000 + u16::try_from(random.hash_one(attempt) % 20_000)?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("no free port")
}
