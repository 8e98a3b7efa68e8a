//! Start-up: what is on disk is made to agree with what the ledger says.
//!
//! The ledger decides, with one exception: whole frames behind the end of a pack that was being filled may have been
//! acknowledged a moment before their rows were committed, and are taken in ([`crate::adoption`]). Other bytes that the
//! ledger does not know of are removed; nobody was told that they are safe. Bytes that it knows of and that are not there
//! are named loudly, never dropped in silence, so that the PACS can send again. Erasing that was begun is ended. Running all this twice is running it once; `QUEUE.md` has the table.
//!
//! In two parts, so that a box with a million instances is back as soon as an empty one. Before anyone can use custody:
//! whatever was in the making when power went, which is as much as there were associations. Right after
//! ([`Custody::survey`]): what lay still, pack by pack.

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use beeldbox_protocol::envelope::pack::PackId;
use beeldbox_protocol::ident::AeTitle;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use crate::adoption::AttributesReader;
use crate::disk::Disk;
use crate::error::CustodyError;
use crate::records::CollectionId;
use crate::survey::{self, PackFound};
use crate::vault::Vault;
use crate::{Custody, admission, adoption, erasing};

/// A ledger of at most so many bytes is checked before anyone can use it; the check of a larger one would keep the ports
/// closed for long, and is the first thing that the survey does.
const CHECKED_AT_ONCE: u64 = 16 * 1024 * 1024;

/// Packs looked at in one go of the survey: a few milliseconds.
const SURVEY_PAGE: u32 = 200;

/// What start-up found and did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecoveryReport {
    /// Instances whose frames were whole and had no row yet; they have one now.
    pub instances_adopted: u32,
    /// Packs whose end did not count and was cut off.
    pub tails_cut: u32,
    /// Bytes cut off.
    pub tail_bytes: u64,
    /// Packs that were being filled and are closed now.
    pub packs_closed: u32,
    /// Packs and collections that never held anything and are gone.
    pub empty_removed: u32,
    /// Files in the pack folder that the ledger does not know; removed.
    pub orphans_removed: u32,
    /// Parts that were noted as fetched but are not there; they are fetched again.
    pub parts_to_refetch: u32,
    /// Erasings that were begun and are ended now.
    pub erasures_resumed: u32,
    /// What was in custody and cannot be read any more, as found at this start. Someone has to be told.
    pub damaged: Vec<DamagedStudy>,
}

/// Instances of one collection that cannot be read any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedStudy {
    /// Which collection.
    pub collection: CollectionId,
    /// Who sent it, so that it can send again; nobody of ours if it is inbound.
    pub source_ae: Option<AeTitle>,
    /// How many instances.
    pub instances: u32,
}

impl fmt::Display for RecoveryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} instances adopted, {} tails cut ({} bytes), {} packs closed, {} empty removed, {} orphans removed, {} parts to fetch again, \
             {} erasures resumed",
            self.instances_adopted,
            self.tails_cut,
            self.tail_bytes,
            self.packs_closed,
            self.empty_removed,
            self.orphans_removed,
            self.parts_to_refetch,
            self.erasures_resumed
        )?;
        if !self.damaged.is_empty() {
            write!(f, "; DAMAGED: {} studies", self.damaged.len())?;
            for study in &self.damaged {
                let source = study.source_ae.as_ref().map_or("another hospital", AeTitle::as_str);
                write!(f, ", {} instances from {source}", study.instances)?;
            }
        }
        Ok(())
    }
}

impl RecoveryReport {
    /// Takes over what another part of start-up found.
    pub fn add(&mut self, other: RecoveryReport) {
        self.instances_adopted += other.instances_adopted;
        self.tails_cut += other.tails_cut;
        self.tail_bytes += other.tail_bytes;
        self.packs_closed += other.packs_closed;
        self.empty_removed += other.empty_removed;
        self.orphans_removed += other.orphans_removed;
        self.parts_to_refetch += other.parts_to_refetch;
        self.erasures_resumed += other.erasures_resumed;
        self.damaged.extend(other.damaged);
    }
}

/// What the survey has to know: whether the ledger still has to be checked, and which packs were made since custody was
/// opened, whose rows may still be to come.
pub(crate) struct Unsurveyed {
    is_ledger_unchecked: bool,
    made_since: HashSet<PackId>,
}

impl Unsurveyed {
    /// Notes a pack before its file is made.
    pub(crate) fn note(&mut self, pack: PackId) {
        self.made_since.insert(pack);
    }
}

impl Custody {
    /// The second part of start-up: checks a large ledger, compares every closed pack with its file, and removes files that
    /// nobody knows. Blocks; called once, on a thread of its own, right after custody was opened. Others use custody
    /// meanwhile; calling it again finds nothing to do.
    ///
    /// # Errors
    /// [`CustodyError::LedgerCorrupt`] if the database fails its check: the process must end, nothing can be promised any
    /// more. Otherwise whatever the disk says; damage to packs is in the report.
    pub fn survey(&self) -> Result<RecoveryReport, CustodyError> {
        let mut report = RecoveryReport::default();
        // In this order: whatever is listed was there at the start, or was noted before it was made.
        let files = pack_files(&self.disk())?;
        let Some(Unsurveyed { is_ledger_unchecked, made_since }) = self.take_unsurveyed() else {
            return Ok(report);
        };
        let is_old = |file: &PathBuf| name_of(file).is_none_or(|pack| !made_since.contains(&pack));
        let files: Vec<PathBuf> = files.into_iter().filter(is_old).collect();
        if is_ledger_unchecked {
            self.ledger().wait(quick_check)?;
        }
        let mut after = 0;
        loop {
            let (disk, vault) = (self.disk(), self.vault());
            let (found, last) = self.ledger().wait(move |connection| {
                let mut report = RecoveryReport::default();
                let page = survey::closed(connection, after, SURVEY_PAGE)?;
                for pack in &page {
                    survey_pack(connection, &disk, &vault, pack, &mut report)?;
                }
                Ok((report, page.last().map(|pack| pack.row)))
            })?;
            report.add(found);
            let Some(last) = last else { break };
            after = last;
        }
        let page = usize::try_from(SURVEY_PAGE).unwrap_or(usize::MAX);
        for page in files.chunks(page) {
            let (disk, page) = (self.disk(), page.to_vec());
            report.orphans_removed +=
                self.ledger().wait(move |connection| remove_orphans(connection, &disk, &page))?;
        }
        Ok(report)
    }
}

/// Recovers the directory as far as it must be before anyone can use it. A full disk does not stop it: the ballast is
/// given up for it. Gives what is left for the survey.
pub(crate) fn recover(
    connection: &mut Connection,
    disk: &Disk,
    vault: &Vault,
    attributes_of: AttributesReader,
    now: Timestamp,
) -> Result<(RecoveryReport, Unsurveyed), CustodyError> {
    let is_ledger_unchecked = disk.ledger_len()? > CHECKED_AT_ONCE;
    if !is_ledger_unchecked {
        quick_check(connection)?;
    }
    let report = recover_first(connection, disk, vault, attributes_of, now)?;
    Ok((report, Unsurveyed { is_ledger_unchecked, made_since: HashSet::new() }))
}

fn recover_first(
    connection: &mut Connection,
    disk: &Disk,
    vault: &Vault,
    attributes_of: AttributesReader,
    now: Timestamp,
) -> Result<RecoveryReport, CustodyError> {
    match recover_once(connection, disk, vault, attributes_of, now) {
        Err(error) if is_full(&error) => {
            disk.release_ballast();
            recover_once(connection, disk, vault, attributes_of, now)
        }
        done => done,
    }
}

fn recover_once(
    connection: &mut Connection,
    disk: &Disk,
    vault: &Vault,
    attributes_of: AttributesReader,
    now: Timestamp,
) -> Result<RecoveryReport, CustodyError> {
    let mut report = RecoveryReport::default();
    let transaction = connection.transaction()?;
    let mut unsettled = survey::unsettled(&transaction)?;
    adopt(&transaction, disk, vault, attributes_of, now, &mut unsettled, &mut report)?;
    for pack in unsettled {
        survey_pack(&transaction, disk, vault, &pack, &mut report)?;
    }
    for collection in
        ids(&transaction, "SELECT id FROM collection WHERE instances = 0 AND erasing_at IS NULL")?
    {
        report.empty_removed += u32::from(admission::remove_if_empty(&transaction, collection)?);
    }
    transaction.commit()?;
    report.erasures_resumed = resume_erasing(connection, disk, vault, now)?;
    empty_log(connection)?;
    Ok(report)
}

/// Takes in whole frames without rows, and notes how far the packs count now.
fn adopt(
    connection: &Connection,
    disk: &Disk,
    vault: &Vault,
    attributes_of: AttributesReader,
    now: Timestamp,
    unsettled: &mut [PackFound],
    report: &mut RecoveryReport,
) -> Result<(), CustodyError> {
    let open: Vec<&PackFound> = unsettled.iter().filter(|pack| pack.state == "open").collect();
    let adopted = adoption::adopt(connection, disk, vault, &open, attributes_of, now)?;
    let open = unsettled.iter_mut().filter(|pack| pack.state == "open");
    for (pack, adopted) in open.zip(adopted) {
        report.instances_adopted += adopted.instances;
        pack.frames = pack.frames.saturating_add(adopted.instances);
        pack.len_bytes = adopted.len_bytes;
        if adopted.is_unreadable {
            note_damage(report, pack, 1);
        }
    }
    Ok(())
}

fn survey_pack(
    connection: &Connection,
    disk: &Disk,
    vault: &Vault,
    pack: &PackFound,
    report: &mut RecoveryReport,
) -> Result<(), CustodyError> {
    match pack.state.as_str() {
        // What is being erased is taken up below.
        "erasing" => return Ok(()),
        "fetching" => {
            report.parts_to_refetch += survey::forget_missing_parts(connection, disk, pack)?;
            return Ok(());
        }
        _ => {}
    }
    let on_disk = survey::len_on_disk(disk, &pack.id)?;
    if let Some(surplus) =
        on_disk.and_then(|len| len.checked_sub(pack.len_bytes)).filter(|surplus| *surplus > 0)
    {
        cut(disk, &pack.id, pack.len_bytes)?;
        report.tails_cut += 1;
        report.tail_bytes += surplus;
    }
    let lost = if on_disk.is_none_or(|len| len < pack.len_bytes) {
        if pack.frames > 0 && survey::can_be_fetched_again(connection, pack)? {
            report.parts_to_refetch += survey::forget_missing_parts(connection, disk, pack)?;
            return Ok(());
        }
        survey::mark_lost(connection, pack, on_disk.unwrap_or(0))?
    } else if pack.state == "open" && !survey::last_frame_authenticates(connection, disk, vault, pack)? {
        survey::mark_last_lost(connection, pack)?
    } else {
        0
    };
    if lost > 0 {
        note_damage(report, pack, lost);
    }
    if pack.state == "open" {
        if admission::close_pack(connection, pack.row)? {
            report.empty_removed += 1;
        } else {
            report.packs_closed += 1;
        }
    }
    Ok(())
}

fn note_damage(report: &mut RecoveryReport, pack: &PackFound, lost: u32) {
    match report.damaged.iter_mut().find(|study| study.collection == pack.collection) {
        Some(study) => study.instances += lost,
        None => report.damaged.push(DamagedStudy {
            collection: pack.collection,
            source_ae: pack.source_ae.clone(),
            instances: lost,
        }),
    }
}

fn cut(disk: &Disk, pack: &PackId, len: u64) -> Result<(), CustodyError> {
    let cut = OpenOptions::new().write(true).open(disk.pack(pack)).and_then(|file| {
        file.set_len(len)?;
        file.sync_all()
    });
    cut.map_err(CustodyError::io("cut the tail of a pack"))
}

/// Every file in the pack folder.
fn pack_files(disk: &Disk) -> Result<Vec<PathBuf>, CustodyError> {
    let list = fs::read_dir(disk.packs()).map_err(CustodyError::io("list the packs"))?;
    list.map(|entry| entry.map(|entry| entry.path()).map_err(CustodyError::io("list the packs"))).collect()
}

/// The pack that a file is named after.
fn name_of(file: &Path) -> Option<PackId> {
    file.file_stem()?.to_str()?.parse().ok()
}

/// Removes those files that have no row: they were made and nobody was told of them. What was made after custody was
/// opened is not among them.
fn remove_orphans(connection: &Connection, disk: &Disk, files: &[PathBuf]) -> Result<u32, CustodyError> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM pack WHERE id = ?1")?;
    let mut removed = 0;
    for path in files {
        let is_known = match name_of(path).filter(|id| disk.pack(id) == *path) {
            Some(id) => statement.query_row([id.as_bytes()], |_| Ok(())).optional()?.is_some(),
            None => false,
        };
        if !is_known && path.exists() {
            fs::remove_file(path).map_err(CustodyError::io("remove an orphan"))?;
            removed += 1;
        }
    }
    if removed > 0 {
        disk.sync_packs()?;
    }
    Ok(removed)
}

fn resume_erasing(
    connection: &mut Connection,
    disk: &Disk,
    vault: &Vault,
    now: Timestamp,
) -> Result<u32, CustodyError> {
    let begun = ids(
        connection,
        "SELECT id FROM collection WHERE erasing_at IS NOT NULL AND erased_at IS NULL ORDER BY id",
    )?;
    if begun.is_empty() {
        return Ok(0);
    }
    empty_log(connection)?;
    let mut resumed = 0;
    for collection in begun {
        let packs = survey::packs_of(connection, CollectionId(collection))?;
        erasing::remove_files(disk, &packs)?;
        let transaction = connection.transaction()?;
        erasing::finish(&transaction, vault, CollectionId(collection), now)?;
        transaction.commit()?;
        resumed += 1;
    }
    Ok(resumed)
}

fn quick_check(connection: &Connection) -> Result<(), CustodyError> {
    let finding: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if finding == "ok" { Ok(()) } else { Err(CustodyError::LedgerCorrupt { finding }) }
}

fn empty_log(connection: &Connection) -> Result<(), CustodyError> {
    let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy == 0 {
        Ok(())
    } else {
        Err(CustodyError::InDoubt { why: "checkpoint found the database busy".to_owned() })
    }
}

fn ids(connection: &Connection, statement: &str) -> Result<Vec<i64>, CustodyError> {
    let mut statement = connection.prepare(statement)?;
    let found = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(found)
}

fn is_full(error: &CustodyError) -> bool {
    if let CustodyError::Ledger(error) = error {
        return error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull);
    }
    matches!(error, CustodyError::OutOfSpace)
}
