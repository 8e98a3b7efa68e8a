//! Custody: packs on disk and the ledger that knows them. What was accepted is never lost.
//!
//! ```text
//!   association ──► IntakeSession ──► pack: append, fdatasync ──► ledger: judged ──► DurablyStored ──► success
//!                                                                     └─ COMMIT at once or within 100 ms
//!   workers     ──► Custody (async) ──────────────────────────────► ledger thread ──► answer after the commit
//! ```
//!
//! Four promises: an instance for which a [`DurablyStored`] exists is on stable storage, sealed, and found after a
//! power cut. Nothing of a patient ever touches the disk in the clear. A transfer moves only as `moves.rs` allows, one
//! commit per move, with everything that must be told about it in the same commit. What is erased loses its keys first.
//!
//! `QUEUE.md` lists every state on disk and what start-up does with it. Deliberately not here: network, DICOM,
//! letters, the clock. One home for SQLite: no other crate opens the ledger.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use beeldbox_protocol::envelope::keys::StorageKey;
use beeldbox_protocol::envelope::pack::PackId;
use jiff::Timestamp;
use tokio::sync::watch;

pub use crate::adoption::AttributesReader;
pub use crate::asks::{AskChange, AskRow, AskState, AskWords, NewAsk};
pub use crate::audit::{AuditRecord, AuditRow};
pub use crate::commitment::{CommitmentFailure, CommitmentItem, CommitmentReport};
pub use crate::counts::Counts;
pub use crate::directory::{DirectoryMark, DirectorySource, Extent, KnownKey, MOST_FAVOURITES, StagedEntry};
pub use crate::earlier::EarlierSend;
pub use crate::error::{CustodyError, IntakeError, ReadError};
pub use crate::filing::{Filing, LocalRecord, Proposal, WordsEdit};
pub use crate::further::Further;
pub use crate::intake::{DurablyStored, IntakeSession, IntakeSource};
pub use crate::kind::{InboundKind, Kind, OutboundKind};
pub use crate::moves::allowed;
pub use crate::promise::{InboundCollection, InboundInstance, InboundPack};
pub use crate::reading::FrameReader;
pub use crate::reason::{DeclineReason, FailReason, HoldReason, WaitReason, Who};
pub use crate::records::{CollectionId, Cursor, InstanceRow, PackRow, PartRow, QuietStudy, StudyRow};
pub use crate::recovery::{DamagedStudy, RecoveryReport};
pub use crate::request_state::RequestState;
pub use crate::requests::{
    NewRequest, RequestChange, RequestPartner, RequestRow, RequestWords, UnbelievedRequest,
};
pub use crate::state::{Direction, InboundState, OutboundState, State};
pub use crate::stored::StoredStudy;
pub use crate::transfer_records::{
    AddendumTo, AddresseeSnapshot, Changes, DeliveryRow, Desk, NewInbound, OutboxMessage, OutboxRow,
    ReceiptRow, SenderSnapshot, TransferConfidential, TransferRow,
};

use crate::disk::Disk;
use crate::holds::Holds;
use crate::ledger::Ledger;
use crate::recovery::Unsurveyed;
use crate::vault::Vault;

// The words: states, moves between them, reasons.
mod kind;
mod moves;
mod reason;
mod state;
// What is told: rows of the ledger as types, and errors.
mod error;
mod records;
mod transfer_records;
// Taking in: an association's instances, the packs they go to, and their rows.
mod admission;
mod adoption;
mod frame;
mod holds;
mod intake;
mod pack_file;
// Looking and reading.
mod commitment;
mod counts;
mod earlier;
mod reading;
mod stored;
mod studies;
mod transfers;
// Moving, asking back, asking for images, cutting, fetching, telling, erasing.
mod asks;
mod erasing;
mod filing;
mod further;
mod inbound;
mod moving;
mod outbox;
mod parts;
mod promise;
mod request_reading;
mod request_state;
mod requests;
// What is known of others, and what was done.
mod audit;
mod directory;
// Below: the thread with the database, the schema, sealed columns, the directory, start-up.
mod columns;
mod disk;
mod ledger;
mod recovery;
mod schema;
mod survey;
mod vault;

#[cfg(test)]
mod tests;

/// Bytes after which a pack is closed and the next one begun (`ENVELOPE.md` §9). One instance may be larger.
const PACK_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// How to open custody.
pub struct OpenOptions {
    /// The directory that custody owns.
    pub dir: PathBuf,
    /// What everything at rest hangs from.
    pub storage_key: StorageKey,
    /// Room kept so that commits, audit and erasing work on a full disk.
    pub ballast_bytes: u64,
    /// Free space under which intake is refused.
    pub reserve_bytes: u64,
    /// Reads what an instance says of patient and study, for instances that start-up has to take in.
    pub attributes_of: AttributesReader,
    /// Now.
    pub now: Timestamp,
}

/// The ledger and the packs. Clones are the same custody.
#[derive(Clone)]
pub struct Custody {
    parts: Arc<Parts>,
}

/// What custody consists of.
struct Parts {
    ledger: Ledger,
    vault: Arc<Vault>,
    disk: Arc<Disk>,
    holds: Arc<Holds>,
    /// What the survey after start-up has to look at; gone once it has.
    unsurveyed: Mutex<Option<Unsurveyed>>,
    pack_bytes_max: u64,
}

impl Custody {
    /// Takes the directory, recovers what was in the making when it was last used, and starts the ledger thread. Blocks;
    /// nobody can use custody before that is over. [`Custody::survey`] then looks at what lay still.
    ///
    /// # Errors
    /// [`CustodyError::InUse`] if another process has the directory, [`CustodyError::NewerSchema`] if a later version
    /// wrote it, [`CustodyError::LedgerCorrupt`] if the database fails its check, and whatever the disk says. Damage
    /// to packs is not an error: it is in the report.
    pub fn open(options: OpenOptions) -> Result<(Custody, RecoveryReport), CustodyError> {
        Custody::open_with(options, PACK_BYTES_MAX)
    }

    fn open_with(
        options: OpenOptions,
        pack_bytes_max: u64,
    ) -> Result<(Custody, RecoveryReport), CustodyError> {
        let OpenOptions { dir, storage_key, ballast_bytes, reserve_bytes, attributes_of, now } = options;
        let disk = Disk::open(dir, ballast_bytes, reserve_bytes)?;
        let lock = disk.lock()?;
        let mut connection = schema::open(&disk.ledger())?;
        disk.sync_top()?;
        let vault = Arc::new(Vault::new(storage_key));
        let (report, unsurveyed) = recovery::recover(&mut connection, &disk, &vault, attributes_of, now)?;
        disk.remake_ballast(disk.free_bytes()?);
        let disk = Arc::new(disk);
        let ledger = Ledger::start(connection, lock, Arc::clone(&disk))?;
        let holds = Arc::new(Holds::default());
        let unsurveyed = Mutex::new(Some(unsurveyed));
        Ok((
            Custody { parts: Arc::new(Parts { ledger, vault, disk, holds, unsurveyed, pack_bytes_max }) },
            report,
        ))
    }

    /// Counts commits that changed something: wakes whoever shows or drives the ledger.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.ledger().changes()
    }

    /// Counts commits that may have brought work: transfers, messages to tell, requests for commitment. Unlike
    /// [`Custody::changes`] it is silent while instances come in, which nobody has to be woken for.
    pub fn work(&self) -> watch::Receiver<u64> {
        self.ledger().work()
    }

    /// Says when the storage under the ledger is in doubt, and why: the process must then exit into recovery.
    pub fn failed(&self) -> watch::Receiver<Option<String>> {
        self.ledger().failed()
    }

    /// Answers everything that waits, empties the log and gives the directory back. Later questions are refused with
    /// [`CustodyError::Closed`].
    pub async fn close(&self) {
        let parts = Arc::clone(&self.parts);
        // The thread that waits can only fail by panicking, and that was told through `failed`.
        drop(tokio::task::spawn_blocking(move || parts.ledger.close()).await);
    }

    /// Bytes that can still be written.
    ///
    /// # Errors
    /// If the file system does not say.
    pub fn free_space(&self) -> Result<u64, CustodyError> {
        self.parts.disk.free_bytes()
    }

    fn take_unsurveyed(&self) -> Option<Unsurveyed> {
        self.parts.unsurveyed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Notes a pack before its file is made, so that the survey does not take it for an orphan.
    pub(crate) fn note_pack(&self, pack: PackId) {
        let mut unsurveyed = self.parts.unsurveyed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(unsurveyed) = unsurveyed.as_mut() {
            unsurveyed.note(pack);
        }
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.parts.ledger
    }

    pub(crate) fn vault(&self) -> Arc<Vault> {
        Arc::clone(&self.parts.vault)
    }

    pub(crate) fn disk(&self) -> Arc<Disk> {
        Arc::clone(&self.parts.disk)
    }

    pub(crate) fn holds(&self) -> Arc<Holds> {
        Arc::clone(&self.parts.holds)
    }

    pub(crate) fn pack_bytes_max(&self) -> u64 {
        self.parts.pack_bytes_max
    }
}
