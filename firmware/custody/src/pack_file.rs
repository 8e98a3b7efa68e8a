//! A pack that an association is filling: the file, its key, and how much of it counts.
//!
//! Bytes behind `committed_len` do not count: they are a frame on its way, or the rest of one that was given up. The
//! file is written at explicit offsets only. After a failed write or flush the file is never written again.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;

use beeldbox_protocol::clinical::InstanceAttributes;
use beeldbox_protocol::envelope::keys::SecretKey;
use beeldbox_protocol::envelope::pack::{PACK_HEADER_LEN, PackId, pack_header};
use beeldbox_protocol::ident::AeTitle;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use crate::disk::Disk;
use crate::error::{CustodyError, IntakeError};
use crate::records::CollectionId;
use crate::vault::Vault;

/// A pack file that was made and flushed but has no row yet. Without a row it is an orphan, which start-up removes.
pub(crate) struct NewPack {
    pub(crate) id: PackId,
    pub(crate) key: SecretKey,
    pub(crate) file: File,
}

/// A pack with a row, open for further frames.
pub(crate) struct OpenPack {
    pub(crate) id: PackId,
    /// Its row in the ledger.
    pub(crate) row: i64,
    pub(crate) collection: CollectionId,
    /// The alias that the collection was sent to.
    pub(crate) called_alias: Option<AeTitle>,
    pub(crate) key: SecretKey,
    pub(crate) file: File,
    /// Bytes that the ledger knows of.
    pub(crate) committed_len: u64,
    /// Frames that the ledger knows of; the next frame has this index.
    pub(crate) frames: u32,
    /// What the collection was last told of patient and study, so that it is told again only when it changes.
    pub(crate) described: InstanceAttributes,
}

impl NewPack {
    /// Makes a pack file with this random name and its header.
    ///
    /// # Durability
    /// When this returns, the name survives a power cut. The header is flushed with the first frame; until then a power cut
    /// may leave an empty file, which start-up removes like one with a header only.
    pub(crate) fn create(id: PackId, disk: &Disk, vault: &Vault) -> Result<Self, CustodyError> {
        let key = vault.pack_key()?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(disk.pack(&id))
            .map_err(CustodyError::io("create a pack"))?;
        let written = file.write_all_at(&pack_header(&id, &key), 0);
        written.map_err(CustodyError::io("write a pack's header"))?;
        disk.sync_packs()?;
        Ok(NewPack { id, key, file })
    }

    pub(crate) fn with_row(
        self,
        row: i64,
        collection: CollectionId,
        called_alias: Option<AeTitle>,
        described: InstanceAttributes,
    ) -> OpenPack {
        let NewPack { id, key, file } = self;
        OpenPack {
            id,
            row,
            collection,
            called_alias,
            key,
            file,
            committed_len: PACK_HEADER_LEN as u64,
            frames: 0,
            described,
        }
    }
}

impl OpenPack {
    /// Writes sealed bytes at an offset. They do not count yet. The kernel is asked to bring them to the disk already, so
    /// that the flush behind the last of them has little left to do.
    pub(crate) fn write(&self, bytes: &[u8], offset: u64) -> Result<(), IntakeError> {
        self.file.write_all_at(bytes, offset).map_err(IntakeError::pack("write to"))?;
        begin_writing_out(&self.file, offset, bytes.len());
        Ok(())
    }

    /// Flushes everything written.
    ///
    /// # Durability
    /// When this returns, the bytes survive a power cut. If they end a frame, start-up finds the instance in them.
    pub(crate) fn flush(&self) -> Result<(), IntakeError> {
        self.file.sync_data().map_err(IntakeError::pack("flush"))
    }

    /// Cuts off what does not count. Needs no flush: start-up would cut it too.
    pub(crate) fn cut_tail(&self) -> io::Result<()> {
        self.file.set_len(self.committed_len)
    }
}

/// Asks the kernel to begin writing a range out. On Linux "not needed soon" does that to dirty pages, and returns at once;
/// clean ones leave the page cache. Advice only: whatever it comes to, the flush decides.
fn begin_writing_out(file: &File, offset: u64, len: usize) {
    let range = (i64::try_from(offset), i64::try_from(len));
    if let (Ok(offset), Ok(len)) = range {
        let _ = posix_fadvise(file, offset, len, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    }
}
