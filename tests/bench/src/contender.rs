//! Who is measured: how each is started, in which manners, and how many instances it holds afterwards.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::appliance;
use crate::process::Process;
use crate::sender::{CALLING, Target};
use crate::workload::Instance;

/// Longest P-DATA PDU that DCMTK, dicom-rs and Orthanc can be told to take.
const LONGEST_PDU: &str = "131072";

/// A program that receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Contender {
    /// Ours.
    Beeldbox,
    /// DCMTK's storescp.
    Dcmtk,
    /// The storescp of dicom-rs.
    DicomRs,
    /// Orthanc, flushing every file: its default.
    Orthanc,
    /// Orthanc, told not to flush.
    OrthancUnsynced,
}

/// Every contender, ours first.
pub const ALL: [Contender; 5] = [
    Contender::Beeldbox,
    Contender::Dcmtk,
    Contender::DicomRs,
    Contender::Orthanc,
    Contender::OrthancUnsynced,
];

impl Contender {
    /// Its name, for tables and the command line.
    pub fn name(self) -> &'static str {
        match self {
            Contender::Beeldbox => "beeldboxd",
            Contender::Dcmtk => "dcmtk",
            Contender::DicomRs => "dicom-rs",
            Contender::Orthanc => "orthanc",
            Contender::OrthancUnsynced => "orthanc-unsynced",
        }
    }

    /// The manners in which it may run with so many associations; the fastest counts. Each is a list of arguments.
    pub fn manners(self, associations: usize) -> Vec<Vec<&'static str>> {
        match self {
            Contender::Beeldbox | Contender::Orthanc | Contender::OrthancUnsynced => vec![vec![]],
            // Without --fork it serves one association after another.
            Contender::Dcmtk if associations > 1 => {
                vec![vec![], vec!["--fork"], vec!["--bit-preserving"], vec!["--bit-preserving", "--fork"]]
            }
            Contender::Dcmtk => vec![vec![], vec!["--bit-preserving"]],
            Contender::DicomRs => vec![vec![], vec!["--non-blocking"]],
        }
    }
}

/// Where programs and folders are.
pub struct Places {
    /// Our programs, built in the release profile.
    pub programs: PathBuf,
    /// Foreign programs that were built for the measurement.
    pub tools: PathBuf,
    /// On the disk that is measured.
    pub work: PathBuf,
}

/// A contender that runs.
pub struct Running {
    /// Who it is.
    pub contender: Contender,
    /// Where it listens.
    pub target: Target,
    /// Its process.
    pub process: Process,
    folder: PathBuf,
    http: u16,
}

impl Running {
    /// Starts a contender in an empty folder.
    ///
    /// # Errors
    /// If its program is missing (the error says how to get it) or cannot be started.
    pub fn start(places: &Places, contender: Contender, manner: &[&str]) -> Result<Self> {
        let folder = places.work.join("contender");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        let store = folder.join("store");
        fs::create_dir_all(&store)?;
        let (port, http) = (free_port()?, free_port()?);
        let (mut command, target) = match contender {
            Contender::Beeldbox => appliance::command(&places.programs, &folder, port)?,
            Contender::Dcmtk => (dcmtk(&store)?, at(port, "STORESCP")),
            Contender::DicomRs => (dicom_rs(&places.tools, &store, port)?, at(port, "STORE-SCP")),
            Contender::Orthanc => (orthanc(&folder, &store, (port, http), true)?, at(port, "ORTHANC")),
            Contender::OrthancUnsynced => {
                (orthanc(&folder, &store, (port, http), false)?, at(port, "ORTHANC"))
            }
        };
        command.args(manner);
        // DCMTK, also inside Orthanc: without it, answers wait for the sender's delayed acknowledgements.
        command.env("TCP_NODELAY", "1");
        if contender == Contender::Dcmtk {
            // The port comes last.
            command.arg(port.to_string());
        }
        let process = Process::start(command, &folder.join("log"))?;
        Ok(Running { contender, target, process, folder, http })
    }

    /// Checks that everything sent is there: digests for ours, numbers for the others.
    ///
    /// # Errors
    /// If something is missing.
    pub fn check(&self, places: &Places, sent: &[Instance]) -> Result<()> {
        let held = match self.contender {
            Contender::Beeldbox => return appliance::verify(&places.programs, &self.folder, sent),
            Contender::Dcmtk | Contender::DicomRs => count_files(&self.folder.join("store"))?,
            Contender::Orthanc | Contender::OrthancUnsynced => self.count_in_orthanc()?,
        };
        ensure!(held == sent.len(), "{} of {} instances are there", held, sent.len());
        Ok(())
    }

    fn count_in_orthanc(&self) -> Result<usize> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http))?;
        stream.write_all(b"GET /statistics HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").context("no answer from Orthanc")?;
        let statistics: Value = serde_json::from_str(body)?;
        Ok(usize::try_from(statistics["CountInstances"].as_u64().context("no count from Orthanc")?)?)
    }

    /// Ends it and removes its folder.
    ///
    /// # Errors
    /// If it cannot be ended.
    pub fn stop(self) -> Result<()> {
        self.process.stop()?;
        fs::remove_dir_all(&self.folder)?;
        Ok(())
    }
}

fn at(port: u16, ae_title: &str) -> Target {
    Target { address: format!("127.0.0.1:{port}"), ae_title: ae_title.to_owned() }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn dcmtk(store: &Path) -> Result<Command> {
    // The search path may hold another storescp under the same name.
    let path = Path::new("/usr/bin/storescp");
    ensure!(path.exists(), "DCMTK is not installed; on Debian: apt-get install dcmtk");
    let mut command = Command::new(path);
    command.args(["--quiet", "--disable-host-lookup", "--max-pdu", LONGEST_PDU, "--output-directory"]);
    command.arg(store);
    Ok(command)
}

fn dicom_rs(tools: &Path, store: &Path, port: u16) -> Result<Command> {
    let path = tools.join("bin/dicom-storescp");
    if !path.exists() {
        bail!("dicom-rs storescp is missing: cargo install --root TOOLS dicom-storescp --version 0.10.1");
    }
    let mut command = Command::new(path);
    command.args(["--promiscuous", "--max-pdu-length", LONGEST_PDU, "-p", &port.to_string(), "-o"]);
    command.arg(store);
    Ok(command)
}

fn orthanc(folder: &Path, store: &Path, (port, http): (u16, u16), syncs: bool) -> Result<Command> {
    let places = ["/usr/sbin/Orthanc", "/usr/bin/Orthanc"];
    let path = places.iter().find(|path| Path::new(path).exists());
    let path = path.context("Orthanc is not installed; on Debian: apt-get install orthanc")?;
    let configuration = json!({
        "Name": "Bench",
        "StorageDirectory": store,
        "IndexDirectory": store,
        "StorageCompression": false,
        "SyncStorageArea": syncs,
        "DicomAet": "ORTHANC",
        "DicomPort": port,
        "DicomAlwaysAllowStore": true,
        "DicomAlwaysAllowEcho": true,
        "DicomModalities": { "bench": [CALLING, "127.0.0.1", 1] },
        "MaximumPduLength": 131_072,
        "HttpPort": http,
        "RemoteAccessAllowed": false,
        "AuthenticationEnabled": false,
        "Plugins": [],
    });
    let file = folder.join("orthanc.json");
    fs::write(&file, serde_json::to_vec_pretty(&configuration)?)?;
    let mut command = Command::new(path);
    command.arg(file);
    Ok(command)
}

fn count_files(folder: &Path) -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        count += if entry.file_type()?.is_dir() { count_files(&entry.path())? } else { 1 };
    }
    Ok(count)
}
