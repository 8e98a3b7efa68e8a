//! Portals as processes of their own, so that what they use can be told apart from what the boxes use.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use beeldbox_portal::ca::Ca;
use beeldbox_portal::clock::Clock;
use beeldbox_portal::{CA_NAME, Database, Portal, PortalOptions};
use rustls_pki_types::CertificateDer;

use crate::{DatabaseKind, server};

/// Ticks of processor time per second, on every Linux that Rust knows.
const TICKS: u32 = 100;

/// Where the ledger is.
#[derive(Debug, Clone)]
pub enum Ledger {
    /// In the state folder.
    Sqlite,
    /// In a PostgreSQL with this address.
    Postgres(String),
}

/// A new ledger of this kind.
pub fn database_of(kind: DatabaseKind) -> Ledger {
    match kind {
        DatabaseKind::Sqlite => Ledger::Sqlite,
        DatabaseKind::Postgres => Ledger::Postgres(server::a_database()),
    }
}

impl Ledger {
    /// As the portal is told.
    ///
    /// # Errors
    /// If the address is none.
    pub fn setting(&self) -> Result<Database> {
        Ok(match self {
            Ledger::Sqlite => Database::Sqlite,
            Ledger::Postgres(url) => Database::Postgres(Box::new(url.parse()?)),
        })
    }

    /// Its bytes on disk.
    ///
    /// # Errors
    /// If they cannot be told.
    pub fn len(&self, state: &Path) -> Result<u64> {
        match self {
            Ledger::Sqlite => {
                let files = ["portal.sqlite", "portal.sqlite-wal"].map(|name| state.join(name));
                Ok(files.iter().filter_map(|path| path.metadata().ok()).map(|found| found.len()).sum())
            }
            Ledger::Postgres(url) => {
                let url = url.clone();
                let asking = std::thread::spawn(move || -> Result<i64, postgres::Error> {
                    let mut client = postgres::Client::connect(&url, postgres::NoTls)?;
                    client.query_one("SELECT pg_database_size(current_database())", &[])?.try_get(0)
                });
                let len = asking.join().map_err(|_| anyhow::anyhow!("the question broke off"))??;
                Ok(u64::try_from(len)?)
            }
        }
    }
}

/// Serves until it is killed; prints the URL first.
///
/// # Errors
/// If it cannot.
pub async fn serve(state: PathBuf, database: Option<&str>) -> Result<()> {
    let mut options = PortalOptions::new(state);
    if let Some(url) = database {
        options.database = Database::Postgres(Box::new(url.parse()?));
    }
    let portal = Portal::start(options).await?;
    {
        use std::io::Write;
        let mut out = std::io::stdout();
        writeln!(out, "{}", portal.url())?;
        out.flush()?;
    }
    portal.failed().await;
    anyhow::bail!("nobody knows what is durable")
}

/// Portals that run.
pub struct Portals {
    processes: Vec<Child>,
    urls: Vec<String>,
    authority: CertificateDer<'static>,
}

impl Portals {
    /// Starts so many over one state and one ledger.
    ///
    /// # Errors
    /// If they do not start.
    pub fn start(program: &Path, state: &Path, ledger: &Ledger, count: usize) -> Result<Self> {
        let authority = Ca::open(state, CA_NAME, Clock::of_the_system().now())?.certificate().clone();
        let mut portals = Portals { processes: Vec::new(), urls: Vec::new(), authority };
        for _ in 0..count {
            let mut command = Command::new(program);
            command.arg("serve").arg("--state").arg(state);
            if let Ledger::Postgres(url) = ledger {
                command.args(["--database", url]);
            }
            let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
            let out = child.stdout.take().context("its output")?;
            portals.processes.push(child);
            let mut line = String::new();
            BufReader::new(out).read_line(&mut line)?;
            anyhow::ensure!(line.starts_with("https://"), "a portal did not start");
            portals.urls.push(line.trim().to_owned());
        }
        Ok(portals)
    }

    /// The portal of this box.
    pub fn url(&self, index: usize) -> &str {
        &self.urls[index % self.urls.len()]
    }

    /// Whom the boxes believe.
    pub fn authority(&self) -> &CertificateDer<'static> {
        &self.authority
    }

    /// Processor time of all of them so far.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn processor_time(&self) -> Result<Duration> {
        let mut ticks = 0;
        for process in &self.processes {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id()))?;
            // After the name in parentheses: fields 14 and 15 of proc(5), here the 12th and 13th.
            let rest = stat.rsplit_once(')').context("proc(5)")?.1;
            let fields: Vec<&str> = rest.split_whitespace().collect();
            for field in [11, 12] {
                ticks += fields.get(field).context("proc(5)")?.parse::<u32>()?;
            }
        }
        Ok(Duration::from_secs(1) * ticks / TICKS)
    }

    /// Largest resident memory of each so far, in bytes.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn peak_memory(&self) -> Result<Vec<u64>> {
        let of = |process: &Child| {
            let status = std::fs::read_to_string(format!("/proc/{}/status", process.id()))?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("proc(5)")?;
            Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
        };
        self.processes.iter().map(of).collect()
    }
}

impl Drop for Portals {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
