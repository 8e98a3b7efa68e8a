//! A small hospital to test with: a directory, a study, instances with a patient whose name must never be found.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::RwLock;

use beeldbox_protocol::clinical::{Confidential, InstanceAttributes, Patient};
use beeldbox_protocol::envelope::data_set_digest::DataSetDigest;
use beeldbox_protocol::envelope::keys::StorageKey;
use beeldbox_protocol::envelope::pack::InstanceDescription;
use beeldbox_protocol::ident::{TransferId, TransferSyntaxUid};
use jiff::Timestamp;
use tempfile::TempDir;

use crate::{
    AuditRecord, Changes, Custody, CustodyError, DurablyStored, InstanceRow, IntakeSession, IntakeSource,
    OpenOptions, OutboundState, RecoveryReport, StudyRow,
};

/// Words of the patient, none of which may be found on the disk.
pub(super) const PATIENT_WORDS: [&str; 6] =
    ["Jansen^Pietertje", "PID-4711-X", "999990019", "19470311", "Verdenking longembolie", "ACC-88-1234"];

/// Packs in tests are rotated after this many bytes.
pub(super) const SMALL_PACK: u64 = 64 * 1024;

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

pub(super) fn options(dir: &Path) -> OpenOptions {
    OpenOptions {
        dir: dir.to_owned(),
        storage_key: StorageKey::from_bytes([7; 32]),
        ballast_bytes: 64 * 1024,
        reserve_bytes: 0,
        attributes_of,
        now: at(0),
    }
}

/// What stands at the beginning of the data of an [`image`].
fn attributes_of(beginning: &[u8], _syntax: &TransferSyntaxUid) -> InstanceAttributes {
    let text = String::from_utf8_lossy(beginning);
    let words: Vec<&str> = text.splitn(PATIENT_WORDS.len(), '|').collect();
    let mut found = image(1, 1, 0).attributes;
    found.patient.id = words.get(1).map(|id| Confidential::new(*id));
    found
}

pub(super) fn open(dir: &Path) -> (Custody, RecoveryReport) {
    try_open(options(dir)).unwrap()
}

/// Held while a child is started. Between fork and exec a child has every open file of this process, the lock of a
/// custody that is just being closed among them; opening waits for that to pass.
static STARTING: RwLock<()> = RwLock::new(());

pub(super) fn try_open(options: OpenOptions) -> Result<(Custody, RecoveryReport), CustodyError> {
    let _no_child_is_starting = STARTING.read().unwrap();
    let (custody, mut report) = Custody::open_with(options, SMALL_PACK)?;
    report.add(custody.survey()?);
    Ok((custody, report))
}

/// Starts a child.
pub(super) fn start(command: &mut Command) -> Child {
    let _nobody_opens = STARTING.write().unwrap();
    command.spawn().unwrap()
}

pub(super) fn empty_ward() -> (TempDir, Custody) {
    let dir = tempfile::tempdir().unwrap();
    let (custody, _) = open(dir.path());
    (dir, custody)
}

/// One instance of a study, with its data set.
#[derive(Clone)]
pub(super) struct Image {
    pub(super) description: InstanceDescription,
    pub(super) attributes: InstanceAttributes,
    pub(super) data: Vec<u8>,
}

impl Image {
    /// Of its data set.
    pub(super) fn digest(&self) -> DataSetDigest {
        DataSetDigest::of(&self.data)
    }
}

/// Instance `number` of study `study`, with `len` bytes of data that name the patient.
pub(super) fn image(study: u32, number: u32, len: usize) -> Image {
    let mut data: Vec<u8> = PATIENT_WORDS.join("|").into_bytes();
    data.extend((0..len).map(|at| u8::try_from((at * 31 + number as usize) % 251).unwrap()));
    let [name, id, bsn, born, description, accession] = PATIENT_WORDS;
    Image {
        description: InstanceDescription {
            sop_class: "1.2.840.10008.5.1.4.1.1.2".parse().unwrap(),
            sop_instance: format!("1.2.3.{study}.1.{number}").parse().unwrap(),
            transfer_syntax: "1.2.840.10008.1.2.1".parse().unwrap(),
            study: Some(format!("1.2.3.{study}").parse().unwrap()),
            series: Some(format!("1.2.3.{study}.1").parse().unwrap()),
            source_ae: "CT1".parse().unwrap(),
        },
        attributes: InstanceAttributes {
            patient: Patient {
                name: Some(Confidential::new(name)),
                id: Some(Confidential::new(id)),
                id_issuer: None,
                birth_date: Some(Confidential::new(born)),
                sex: None,
                bsn: Some(bsn.parse().unwrap()),
            },
            study_description: Some(Confidential::new(description)),
            study_date: Some("20261101".to_owned()),
            study_time: None,
            modality: Some("CT".to_owned()),
            accession_number: Some(Confidential::new(accession)),
            institution: None,
        },
        data,
    }
}

pub(super) fn source(calling: &str, alias: Option<&str>) -> IntakeSource {
    IntakeSource {
        calling_ae: calling.parse().unwrap(),
        called_alias: alias.map(|alias| alias.parse().unwrap()),
        quota_bytes: None,
    }
}

pub(super) fn session(custody: &Custody) -> IntakeSession {
    custody.intake(source("CT1", None))
}

pub(super) fn send(session: &mut IntakeSession, image: &Image) -> DurablyStored {
    session.begin(at(1), &image.description, &image.attributes).unwrap();
    for piece in image.data.chunks(1000) {
        session.write(piece).unwrap();
    }
    session.finish(image.digest(), at(2)).unwrap()
}

/// Receives instances 1 to `count` of a study in one association.
pub(super) fn receive(custody: &Custody, study: u32, count: u32) {
    let mut association = session(custody);
    for number in 1..=count {
        send(&mut association, &image(study, number, 3000));
    }
    association.close();
}

pub(super) async fn only_study(custody: &Custody) -> StudyRow {
    let mut studies = custody.studies(None, 10).await.unwrap();
    assert_eq!(studies.len(), 1, "one study expected");
    studies.remove(0)
}

pub(super) async fn instances(custody: &Custody, study: &StudyRow) -> Vec<InstanceRow> {
    custody.instances(study.collection, None, 1000).await.unwrap()
}

pub(super) async fn move_on(
    custody: &Custody,
    study: &StudyRow,
    from: OutboundState,
    to: OutboundState,
) -> Result<(), CustodyError> {
    custody.advance(study.transfer, from, to, Changes::default(), at(5)).await
}

/// Closes a study.
pub(super) async fn close_study(custody: &Custody, study: &StudyRow) {
    move_on(custody, study, OutboundState::Collecting, OutboundState::Queued { closed_at: at(5) })
        .await
        .unwrap();
}

/// A person offers a study again, under this name, at this second.
pub(super) async fn offer_again(
    custody: &Custody,
    study: &StudyRow,
    transfer: TransferId,
    seconds: i64,
) -> Result<(), CustodyError> {
    let record = AuditRecord {
        at: at(seconds),
        actor: "jan".to_owned(),
        action: "offer-again".to_owned(),
        transfer: Some(transfer),
        detail: Confidential::default(),
    };
    custody.offer_again(study.collection, transfer, record, at(seconds)).await
}

/// Takes a collecting study to delivered.
pub(super) async fn deliver(custody: &Custody, study: &StudyRow) {
    close_study(custody, study).await;
    let road = [
        OutboundState::Queued { closed_at: at(5) },
        OutboundState::Addressed { at: at(6), leaves_at: at(6), undo_to: None },
        OutboundState::Sending { parts_done: 0, parts_total: 1 },
        OutboundState::Accepted { at: at(7) },
        OutboundState::Fetched { at: at(8) },
        OutboundState::Delivered { stored: 1, of: 1, at: at(9) },
    ];
    for step in road.windows(2) {
        move_on(custody, study, step[0].clone(), step[1].clone()).await.unwrap();
    }
}

/// Reads an instance back.
pub(super) async fn read(custody: &Custody, instance: &InstanceRow) -> Vec<u8> {
    let mut reader = custody.open_instance(instance).await.unwrap();
    let mut data = Vec::new();
    while let Some(piece) = reader.next_chunk().unwrap() {
        data.extend(piece);
    }
    data
}

/// The directory as a power cut would leave it now.
pub(super) fn power_cut(dir: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    fs::create_dir(copy.path().join("packs")).unwrap();
    for file in files(dir) {
        fs::copy(&file, copy.path().join(file.strip_prefix(dir).unwrap())).unwrap();
    }
    copy
}

/// Every file under a directory.
pub(super) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// The pack files.
pub(super) fn packs_on_disk(dir: &Path) -> Vec<PathBuf> {
    files(&dir.join("packs"))
}

/// No word of the patient is in any file.
pub(super) fn assert_nothing_of_the_patient(dir: &Path) {
    for file in files(dir) {
        let content = fs::read(&file).unwrap();
        for word in PATIENT_WORDS {
            let found = content.windows(word.len()).any(|window| window == word.as_bytes());
            assert!(!found, "{word} is in {}", file.display());
        }
    }
}
