//! The directory: where files are, who has it, how much room is left, and the ballast.
//!
//! ```text
//!   lock                     held by the one process that uses the directory
//!   ballast                  room kept so that commits, audit and erasing work on a full disk
//!   ledger.sqlite, …-wal     the ledger
//!   packs/<pack id>.pack     the bytes
//! ```
//!
//! No name that came from the network ever becomes part of a path.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use beeldbox_protocol::envelope::pack::PackId;

use crate::error::CustodyError;

/// Where everything is.
pub(crate) struct Disk {
    dir: PathBuf,
    packs: PathBuf,
    reserve_bytes: u64,
    ballast_bytes: u64,
    /// Whether the ballast file is there. The lock is held over a few system calls only.
    ballast: Mutex<bool>,
}

impl Disk {
    /// Makes the directories, flushed.
    pub(crate) fn open(dir: PathBuf, ballast_bytes: u64, reserve_bytes: u64) -> Result<Self, CustodyError> {
        let packs = dir.join("packs");
        fs::create_dir_all(&packs).map_err(CustodyError::io("create the custody directory"))?;
        sync_directory(&dir)?;
        Ok(Disk { dir, packs, reserve_bytes, ballast_bytes, ballast: Mutex::new(false) })
    }

    /// Takes the advisory lock; it lasts as long as the file.
    pub(crate) fn lock(&self) -> Result<File, CustodyError> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.dir.join("lock"))
            .map_err(CustodyError::io("open the lock file"))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(CustodyError::InUse),
            Err(TryLockError::Error(source)) => {
                Err(CustodyError::Io { doing: "lock the custody directory", source })
            }
        }
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.dir.join("ledger.sqlite")
    }

    /// Writes the ledger's empty log out to this length with zeros and flushes it: a commit then overwrites instead of
    /// extending the file, and its flush need not wait for the file system's journal. To SQLite, zeros behind the valid frames
    /// are what old frames are: the rest of an earlier log. Called on the ledger thread only, while the log is empty.
    pub(crate) fn write_log_ahead(&self, len: usize) -> io::Result<()> {
        let log = self.dir.join("ledger.sqlite-wal");
        let mut file = OpenOptions::new().write(true).open(log)?;
        if file.metadata()?.len() == 0 {
            file.write_all(&vec![0; len])?;
            file.sync_data()?;
        }
        Ok(())
    }

    /// Length of the ledger's file.
    pub(crate) fn ledger_len(&self) -> Result<u64, CustodyError> {
        let found = fs::metadata(self.ledger()).map_err(CustodyError::io("look at the ledger"))?;
        Ok(found.len())
    }

    pub(crate) fn packs(&self) -> &Path {
        &self.packs
    }

    pub(crate) fn pack(&self, id: &PackId) -> PathBuf {
        self.packs.join(format!("{id}.pack"))
    }

    /// Removes the file of a pack; one that is gone already is fine.
    pub(crate) fn remove_pack(&self, id: &PackId) -> Result<(), CustodyError> {
        match fs::remove_file(self.pack(id)) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(CustodyError::Io { doing: "remove a pack", source }),
        }
    }

    /// Makes names of new and removed packs durable.
    pub(crate) fn sync_packs(&self) -> Result<(), CustodyError> {
        sync_directory(&self.packs)
    }

    /// Makes the name of the ledger file durable.
    pub(crate) fn sync_top(&self) -> Result<(), CustodyError> {
        sync_directory(&self.dir)
    }

    /// Bytes that can still be written.
    pub(crate) fn free_bytes(&self) -> Result<u64, CustodyError> {
        let found = nix::sys::statvfs::statvfs(&self.dir)
            .map_err(|errno| CustodyError::Io { doing: "ask for free space", source: errno.into() })?;
        Ok(found.blocks_available().saturating_mul(found.fragment_size()))
    }

    /// Refuses when taking `more_bytes` would leave less than the reserve. Remakes the ballast when room is back.
    pub(crate) fn check_room(&self, more_bytes: u64) -> Result<(), CustodyError> {
        let free = self.free_bytes()?;
        if free < self.reserve_bytes.saturating_add(more_bytes) {
            return Err(CustodyError::OutOfSpace);
        }
        self.remake_ballast(free);
        Ok(())
    }

    /// Gives the kept room away, so that what must still be written can be.
    pub(crate) fn release_ballast(&self) {
        let mut present = self.ballast.lock().unwrap_or_else(PoisonError::into_inner);
        if *present && fs::remove_file(self.ballast_path()).is_ok() {
            *present = false;
            tracing::error!("disk is full: ballast released so that erasing and audit still work");
        }
    }

    /// Makes the ballast if it is missing and room is ample. Failing changes nothing: the next check tries again.
    pub(crate) fn remake_ballast(&self, free: u64) {
        let mut present = self.ballast.lock().unwrap_or_else(PoisonError::into_inner);
        if *present || free < self.reserve_bytes.saturating_add(self.ballast_bytes) {
            return;
        }
        match self.allocate_ballast() {
            Ok(()) => *present = true,
            Err(error) => tracing::debug!(%error, "ballast not made"),
        }
    }

    fn allocate_ballast(&self) -> io::Result<()> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(self.ballast_path())?;
        let length = i64::try_from(self.ballast_bytes).unwrap_or(i64::MAX);
        if length > 0 {
            nix::fcntl::posix_fallocate(&file, 0, length)?;
        }
        file.set_len(self.ballast_bytes)
    }

    fn ballast_path(&self) -> PathBuf {
        self.dir.join("ballast")
    }
}

/// Flushes a directory, so that names made or removed in it survive a power cut.
fn sync_directory(path: &Path) -> Result<(), CustodyError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(CustodyError::io("flush a directory"))
}
