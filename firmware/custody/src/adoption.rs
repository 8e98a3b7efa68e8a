//! Adoption: whole frames behind the end of a pack that the ledger does not know of.
//!
//! An instance is acknowledged once its frame is flushed and it has been judged; its row is committed a moment later
//! ([`crate::ledger`]). If power goes in between, the frame is all there is, and it is enough: it says what it holds, and
//! whoever has the pack's key can check every byte of it. So each whole frame is judged again, as if it arrived now, and
//! gets its row. What is no whole frame was never acknowledged.
//!
//! A whole frame that was *not* acknowledged is taken in as well: it is complete and genuine, and the sender, who was told
//! nothing, sends it again and is then told that it is there.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;

use beeldbox_protocol::clinical::InstanceAttributes;
use beeldbox_protocol::envelope::keys::SecretKey;
use beeldbox_protocol::envelope::pack::{
    FrameSummary, InstanceDescription, PACK_HEADER_LEN, check_pack_header,
};
use beeldbox_protocol::ident::{AeTitle, TransferId, TransferSyntaxUid};
use jiff::Timestamp;
use rusqlite::{Connection, params};

use crate::admission::{self, Admission, Arrival};
use crate::columns::text_maybe;
use crate::disk::Disk;
use crate::error::{CustodyError, ReadError};
use crate::reading::FrameReader;
use crate::survey::PackFound;
use crate::vault::Vault;

/// Reads what the beginning of a data set says about patient and study, exactly as it was read when the instance came in.
/// Custody knows no DICOM, so whoever opens it brings this.
pub type AttributesReader = fn(&[u8], &TransferSyntaxUid) -> InstanceAttributes;

/// Bytes of a data set handed to an [`AttributesReader`]: as much as the DICOM node ever looks at.
const BEGINNING_LEN: usize = 1024 * 1024;

/// What adoption came to for one pack.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Adopted {
    pub(crate) instances: u32,
    /// Bytes of the pack that count now.
    pub(crate) len_bytes: u64,
    /// Whether the disk could not read on. Something that was acknowledged may stand there.
    pub(crate) is_unreadable: bool,
}

/// A whole frame that has no row.
struct Stray {
    description: InstanceDescription,
    attributes: InstanceAttributes,
    summary: FrameSummary,
    index: u32,
    offset: u64,
    len: u64,
}

/// The whole frames without rows of one pack.
struct Strays {
    called_alias: Option<AeTitle>,
    frames: VecDeque<Stray>,
    adopted: Adopted,
}

/// Gives rows to the whole frames behind the ends of packs that were being filled. The outcomes are in the order of the
/// packs.
///
/// In two rounds. Only the last frame of a pack can be one that was not judged yet, or judged a repetition and about to be
/// cut off; whatever stands before it was judged and answered. So those come first, in all packs: a repetition in
/// one pack must never take the place of what was answered in another.
///
/// # Durability
/// The frames are flushed before their rows are written: after a crash they may be in the page cache only.
///
/// # Errors
/// If a pack cannot be opened or flushed, or the ledger fails. A torn frame is none.
pub(crate) fn adopt(
    connection: &Connection,
    disk: &Disk,
    vault: &Vault,
    packs: &[&PackFound],
    attributes_of: AttributesReader,
    now: Timestamp,
) -> Result<Vec<Adopted>, CustodyError> {
    let mut found = Vec::with_capacity(packs.len());
    for pack in packs {
        found.push(find_in(connection, disk, vault, pack, attributes_of)?);
    }
    for left in [1, 0] {
        for (pack, strays) in packs.iter().zip(&mut found) {
            while strays.frames.len() > left
                && let Some(stray) = strays.frames.pop_front()
            {
                let end = stray.offset.saturating_add(stray.len);
                match judge(connection, vault, pack, strays.called_alias.clone(), stray, now)? {
                    Admission::Admitted => {
                        strays.adopted.instances += 1;
                        strays.adopted.len_bytes = end;
                    }
                    // A copy that was about to be cut off.
                    Admission::Duplicate | Admission::Closed => strays.frames.clear(),
                }
            }
        }
    }
    Ok(found.into_iter().map(|strays| strays.adopted).collect())
}

fn judge(
    connection: &Connection,
    vault: &Vault,
    pack: &PackFound,
    called_alias: Option<AeTitle>,
    stray: Stray,
    now: Timestamp,
) -> Result<Admission, CustodyError> {
    let arrival = Arrival {
        pack_row: pack.row,
        collection: pack.collection,
        called_alias,
        frame_index: stray.index,
        frame_offset: stray.offset,
        frame_len: stray.len,
        description: stray.description,
        modality: stray.attributes.modality.clone().unwrap_or_default(),
        news: Some(stray.attributes),
        size_bytes: stray.summary.data_set_len,
        digest: stray.summary.data_set_digest,
        again: TransferId::from_random(vault.random()?),
        now,
    };
    admission::admit(connection, vault, &arrival)
}

/// Finds the frames of one pack, and flushes them.
fn find_in(
    connection: &Connection,
    disk: &Disk,
    vault: &Vault,
    pack: &PackFound,
    attributes_of: AttributesReader,
) -> Result<Strays, CustodyError> {
    let adopted = Adopted { instances: 0, len_bytes: pack.len_bytes, is_unreadable: false };
    let mut strays = Strays { called_alias: alias_of(connection, pack)?, frames: VecDeque::new(), adopted };
    let opened = OpenOptions::new().read(true).write(true).open(disk.pack(&pack.id));
    let file = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(strays),
        opened => opened.map_err(CustodyError::io("open a pack"))?,
    };
    let key = pack.key(vault)?;
    // The first flush of a pack brings its header along. Without one nothing in it was ever flushed, whatever stands there.
    match has_header(&file, &key) {
        Ok(true) => {}
        Ok(false) => return Ok(strays),
        Err(error) => {
            tracing::error!(pack = %pack.id, %error, "the beginning of a pack cannot be read");
            strays.adopted.is_unreadable = true;
            return Ok(strays);
        }
    }
    find_strays(&file, &key, pack, attributes_of, &mut strays)?;
    if !strays.frames.is_empty() {
        file.sync_data().map_err(CustodyError::io("flush a pack"))?;
    }
    Ok(strays)
}

/// Whether the pack begins as it must. A short file does not.
fn has_header(file: &File, key: &SecretKey) -> io::Result<bool> {
    let mut header = [0; PACK_HEADER_LEN];
    match file.read_exact_at(&mut header, 0) {
        Ok(()) => Ok(check_pack_header(&header, key).is_ok()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn find_strays(
    file: &File,
    key: &SecretKey,
    pack: &PackFound,
    attributes_of: AttributesReader,
    strays: &mut Strays,
) -> Result<(), CustodyError> {
    let mut offset = pack.len_bytes;
    for index in pack.frames.. {
        let file = file.try_clone().map_err(CustodyError::io("open a pack"))?;
        let read = FrameReader::behind(file, key, pack.id, index, offset);
        match read.and_then(|reader| read_stray(reader, index, offset, attributes_of)) {
            Ok(stray) => {
                offset = offset.saturating_add(stray.len);
                strays.frames.push_back(stray);
            }
            Err(ReadError::Ledger(error)) => return Err(error),
            Err(ReadError::Io(error)) => {
                tracing::error!(pack = %pack.id, %error, "the end of a pack cannot be read");
                strays.adopted.is_unreadable = true;
                break;
            }
            // The end, a torn frame, or what an earlier, longer one left.
            Err(ReadError::Pack(_) | ReadError::Differs) => break,
        }
    }
    Ok(())
}

/// Reads one frame to its end.
fn read_stray(
    mut reader: FrameReader,
    index: u32,
    offset: u64,
    attributes_of: AttributesReader,
) -> Result<Stray, ReadError> {
    let mut beginning = Vec::new();
    while let Some(piece) = reader.step()? {
        let wanted = BEGINNING_LEN.saturating_sub(beginning.len());
        beginning.extend_from_slice(&piece[..piece.len().min(wanted)]);
    }
    let (len, description, summary) = reader.into_found().ok_or(ReadError::Differs)?;
    let attributes = attributes_of(&beginning, &description.transfer_syntax);
    Ok(Stray { description, attributes, summary, index, offset, len })
}

/// The alias that the collection was sent to.
fn alias_of(connection: &Connection, pack: &PackFound) -> Result<Option<AeTitle>, CustodyError> {
    let mut statement = connection.prepare_cached("SELECT called_ae FROM collection WHERE id = ?1")?;
    let mut rows = statement.query(params![pack.collection.0])?;
    match rows.next()? {
        Some(row) => text_maybe(row, "called_ae"),
        None => Ok(None),
    }
}
