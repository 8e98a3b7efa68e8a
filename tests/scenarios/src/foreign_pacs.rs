//! A PACS of somebody else in the place of that of Zuid: pynetdicom with manners that a story chooses, Orthanc, or
//! `dcmqrscp`. Each calls itself `PACS_ZUID` and listens where the one before it did.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use beeldbox_protocol::admin::{AuditLine, MAX_PAGE, Question, Reply};
use beeldbox_protocol::ident::TransferId;
use serde_json::{Value, json};

use crate::foreign::{dcmtk, need_orthanc, need_pynetdicom};
use crate::own_settings::Foreign;
use crate::two_hospitals::{At, Study, TwoHospitals};

/// The PACS in Python, whose manners are its third argument.
const PROGRAM: &str = include_str!("foreign_pacs.py");

/// Its log.
const LOG: &str = "foreign-pacs";

/// A PACS at Zuid.
pub struct ForeignPacs {
    /// Where it keeps things.
    pub folder: PathBuf,
    port: u16,
    manners: Value,
    running: Option<Foreign>,
}

impl TwoHospitals {
    /// A PACS in Python with these manners takes the place of that of Zuid. What manners there are stands in
    /// `foreign_pacs.py`.
    pub async fn zuid_has_a_python_pacs(&self, manners: Value) -> ForeignPacs {
        need_pynetdicom();
        let mut pacs = self.instead_of_the_pacs(manners).await;
        pacs.start(self).await;
        pacs
    }

    async fn instead_of_the_pacs(&self, manners: Value) -> ForeignPacs {
        self.demo.zuid.pacs.program.take_down().await.expect("it can be ended");
        let folder = self.place.folder("foreign-pacs").expect("a folder");
        let port = self.place.port("zuid-pacs").expect("a port");
        ForeignPacs { folder, port, manners, running: None }
    }

    /// An Orthanc that knows the box takes the place of the PACS of Zuid: it may be asked what it has, and commits.
    pub async fn zuid_has_an_orthanc(&self) -> ForeignPacs {
        need_orthanc();
        let mut pacs = self.instead_of_the_pacs(Value::Null).await;
        let box_port = self.place.port("zuid-dicom").expect("a port");
        let configuration = json!({
            "Name": "PACS", "StorageDirectory": pacs.folder, "IndexDirectory": pacs.folder,
            "StorageCompression": false, "DicomAet": "PACS_ZUID", "DicomPort": pacs.port,
            "DicomAlwaysAllowStore": true, "DicomAlwaysAllowEcho": true, "OverwriteInstances": true,
            "DicomModalities": { "box": [self.demo.zuid.ae, "127.0.0.1", box_port] },
            "HttpServerEnabled": false, "Plugins": [],
        });
        let file = pacs.folder.join("orthanc.json");
        std::fs::write(&file, configuration.to_string()).expect("a file");
        let mut command = Command::new("Orthanc");
        if Path::new("/usr/sbin/Orthanc").exists() {
            command = Command::new("/usr/sbin/Orthanc");
        }
        pacs.running = Some(self.start_foreign(LOG, pacs.port, command.arg(file)).await);
        pacs
    }

    /// `dcmqrscp` takes the place of the PACS of Zuid: it may be asked what it has, and knows no storage commitment.
    pub async fn zuid_has_a_dcmqrscp(&self) -> ForeignPacs {
        let mut pacs = self.instead_of_the_pacs(Value::Null).await;
        let store = pacs.folder.join("store");
        std::fs::create_dir_all(&store).expect("a folder");
        let configuration = format!(
            "MaxPDUSize = 16384\nMaxAssociations = 16\n\
             HostTable BEGIN\nHostTable END\nVendorTable BEGIN\nVendorTable END\n\
             AETable BEGIN\nPACS_ZUID {} RW (200, 1024mb) ANY\nAETable END\n",
            store.display()
        );
        let file = pacs.folder.join("dcmqrscp.cfg");
        std::fs::write(&file, configuration).expect("a file");
        let mut command = Command::new(dcmtk("dcmqrscp"));
        command.arg("-c").arg(file).arg(pacs.port.to_string());
        pacs.running = Some(self.start_foreign(LOG, pacs.port, &mut command).await);
        pacs
    }

    /// What the box of Zuid wrote about a delivery in its audit trail.
    pub async fn delivery_in_the_audit_trail(&self, transfer: TransferId) -> String {
        let question = Question::Audit { before: None, limit: MAX_PAGE };
        let Reply::Audit(lines) = self.ask(At::Zuid, question).await else {
            self.panic("another answer to a question for the audit trail")
        };
        let of = |line: &&AuditLine| line.action == "deliver" && line.transfer == Some(transfer);
        let line = lines.iter().find(of);
        let detail = line.and_then(|line| line.detail.as_ref()).map(|detail| detail.reveal().to_owned());
        detail.unwrap_or_else(|| self.panic("nothing about the delivery in the audit trail"))
    }
}

impl ForeignPacs {
    /// Starts it, with what it kept.
    pub async fn start(&mut self, story: &TwoHospitals) {
        let mut command = Command::new("python3");
        let port = self.port.to_string();
        let manners = self.manners.to_string();
        command.args(["-c", PROGRAM, &port, &self.folder.to_string_lossy(), &manners]);
        self.running = Some(story.start_foreign(LOG, self.port, &mut command).await);
    }

    /// Ends it at once, as a crash would.
    pub fn die(&mut self) {
        self.running = None;
    }

    /// It may behave better from now on.
    pub fn mend(&self, file: &str) {
        std::fs::write(self.folder.join(file), "").expect("a file");
    }

    /// What it was given, in order: names, transfer syntaxes, digests.
    pub fn given(&self) -> Vec<(String, String, String)> {
        let list = std::fs::read_to_string(self.folder.join("given.txt")).unwrap_or_default();
        let print = |line: &str| {
            let mut words = line.split(' ').map(str::to_owned);
            Some((words.next()?, words.next()?, words.next()?))
        };
        list.lines().filter_map(print).collect()
    }

    /// Names of what it was given.
    pub fn names(&self) -> BTreeSet<String> {
        self.given().into_iter().map(|(name, ..)| name).collect()
    }

    /// How often it was given each instance beyond once.
    pub fn repeats(&self) -> usize {
        let mut times: BTreeMap<String, usize> = BTreeMap::new();
        for (name, ..) in self.given() {
            *times.entry(name).or_default() += 1;
        }
        times.values().map(|times| times - 1).sum()
    }

    /// What it was asked and how it was called, line by line.
    pub fn log(&self, story: &TwoHospitals) -> String {
        story.log(LOG)
    }
}

/// The names of a study's instances.
pub fn names_of(study: &Study) -> BTreeSet<String> {
    study.files.iter().map(|file| file.sop_instance.to_string()).collect()
}
