//! What can go wrong in custody, by what the caller has to do about it.
//!
//! [`CustodyError::OutOfSpace`]: wait, nothing was accepted. [`CustodyError::InDoubt`]: end the process, recovery
//! sorts it out. [`CustodyError::Stale`]: someone else moved first, look again. The rest names our own or the disk's
//! fault and is shown to the administrator.

use std::io;

use beeldbox_protocol::envelope::pack::PackError;

use crate::kind::Kind;

/// Why custody could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CustodyError {
    /// Another process has this directory.
    #[error("the custody directory is in use by another process")]
    InUse,
    /// The ledger was written by a later version of this program.
    #[error(
        "the ledger has schema version {found}, this program knows version {known}: install the newer program"
    )]
    NewerSchema {
        /// Version found.
        found: i64,
        /// Version known.
        known: i64,
    },
    /// There is a database, but it is not a ledger of ours.
    #[error("the file is not a ledger: application id {found:#x}")]
    NotALedger {
        /// Application id found.
        found: i64,
    },
    /// The database fails its own check.
    #[error("the ledger is corrupt: {finding}")]
    LedgerCorrupt {
        /// What the check found.
        finding: String,
    },
    /// The disk is full; nothing was accepted or changed.
    #[error("the disk is full")]
    OutOfSpace,
    /// The sender has as much here as it may; nothing was accepted.
    #[error("the sender has as much on this box as it may")]
    OverQuota,
    /// A write, flush or commit failed, and what is durable is not known: the process must restart into recovery.
    #[error("storage is in doubt: {why}")]
    InDoubt {
        /// The first failure.
        why: String,
    },
    /// The ledger was closed before the question was answered.
    #[error("the ledger is closed")]
    Closed,
    /// A file operation failed.
    #[error("could not {doing}")]
    Io {
        /// What we were doing.
        doing: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// A statement failed.
    #[error("the ledger refused a statement")]
    Ledger(#[from] rusqlite::Error),
    /// The transfer is not in the state it was believed to be in.
    #[error("the transfer has moved on: look again")]
    Stale,
    /// No such move exists.
    #[error("a transfer does not go from {} to {}", .from.as_str(), .to.as_str())]
    MoveNotAllowed {
        /// The old state.
        from: Kind,
        /// The new state.
        to: Kind,
    },
    /// Only erasing leads to *erased*.
    #[error("the bytes are still there: erase the collection")]
    NotErasedYet,
    /// A transfer that is not over needs the collection.
    #[error("a transfer still needs these images")]
    StillNeeded,
    /// The study is still arriving.
    #[error("the study is still being received")]
    StillCollecting,
    /// It does not exist, or no longer.
    #[error("there is no such {what}")]
    Unknown {
        /// What was asked for.
        what: &'static str,
    },
    /// The keys were erased.
    #[error("the keys of this collection were erased")]
    Erased,
    /// A sealed value was changed or is under another storage key.
    #[error("a sealed value of the ledger does not open: changed, misplaced, or under another storage key")]
    DoesNotAuthenticate,
    /// A stored value cannot be read.
    #[error("the ledger holds a {what} that cannot be read")]
    Unreadable {
        /// What was read.
        what: &'static str,
    },
    /// Bytes that arrived are not those that the letter promised. Nothing was written.
    #[error("the part is not the one that was promised")]
    PartDiffers,
    /// The letter contradicts itself.
    #[error("the list of what arrives is not consistent: {what}")]
    NotConsistent {
        /// What contradicts.
        what: &'static str,
    },
    /// Another transfer that is not erased yet brought the same packs to this box: possible again once that is over.
    #[error("the same packs are here already, for another transfer")]
    PackAlreadyHere,
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    NoRandomness,
}

/// Why an instance was not taken into custody. Nothing of it remains.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The disk is full: answer "out of resources" (A700H), the sender may try again.
    #[error("the disk is full")]
    OutOfSpace,
    /// Its sender has as much here as it may: "out of resources" too, until something of it was delivered and erased.
    #[error("the sender has as much on this box as it may")]
    OverQuota,
    /// Writing or flushing its pack failed; the pack is not used again.
    #[error("could not {doing} the pack")]
    Pack {
        /// What we were doing.
        doing: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// Sealing refused it.
    #[error("the instance cannot be sealed")]
    Seal(#[source] PackError),
    /// Its study was closed while it arrived, and it could not be read back to be moved to the next collection.
    #[error("could not read the instance back")]
    ReadBack(#[source] ReadError),
    /// The ledger did not take it.
    #[error("the ledger did not take the instance")]
    Ledger(#[source] CustodyError),
    /// [`crate::IntakeSession::write`] or `finish` without `begin`, or after a failure.
    #[error("no instance is being received")]
    NotBegun,
}

/// Why stored bytes could not be read back.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file could not be read.
    #[error("could not read the pack")]
    Io(#[source] io::Error),
    /// The bytes are not genuine.
    #[error("the pack is damaged")]
    Pack(#[source] PackError),
    /// The frame holds another instance than the ledger says.
    #[error("the frame is not the instance that the ledger names")]
    Differs,
    /// The ledger could not say where to look, or the keys are gone.
    #[error("the ledger cannot help")]
    Ledger(#[from] CustodyError),
}

impl CustodyError {
    /// For `map_err` on file operations; a full disk has its own name.
    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> CustodyError {
        move |source| {
            if is_full(&source) { CustodyError::OutOfSpace } else { CustodyError::Io { doing, source } }
        }
    }

    /// For stored values that do not parse.
    pub(crate) fn unreadable(what: &'static str) -> CustodyError {
        CustodyError::Unreadable { what }
    }
}

impl IntakeError {
    pub(crate) fn pack(doing: &'static str) -> impl FnOnce(io::Error) -> IntakeError {
        move |source| {
            if is_full(&source) { IntakeError::OutOfSpace } else { IntakeError::Pack { doing, source } }
        }
    }
}

impl From<CustodyError> for IntakeError {
    fn from(error: CustodyError) -> Self {
        if matches!(error, CustodyError::OutOfSpace) {
            IntakeError::OutOfSpace
        } else if matches!(error, CustodyError::OverQuota) {
            IntakeError::OverQuota
        } else {
            IntakeError::Ledger(error)
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
