//! Adoption: whole frames behind the end of a pack that the ledger does not know of.
//!
//! An instance is acknowledged once its frame is flushed and it has been judged; its row is committed a moment later
//! ([`crate::ledger`]). If power goes in between, the frame is all there is, and it is enough: it says what it holds, and
//! whoever has the pack's key can check every byte of it. So each whole frame is judged again, as if it arrived now, and
//! gets its row. What is no whole frame was never acknowledged.
//!
//! A whole frame that was *not* acknowledged is taken in as well: it is complete and genuine, and the sender, who was told
//! nothing, sends it again and is then told that it is there.

use std::fs::{File, OpenOptions};
use std::io;

use beeldbox_protocol::clinical::InstanceAttributes;
use beeldbox_protocol::envelope::keys::SecretKey;
use beeldbox_protocol::envelope::pack::{FrameSummary, InstanceDescription};
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

/// What adoption came to.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Adopted {
    pub(crate) instances: u32,
    /// Bytes of the pack that count now.
    pub(crate) len_bytes: u64,
}

/// A whole frame that has no row.
struct Stray {
    description: InstanceDescription,
    attributes: InstanceAttributes,
    summary: FrameSummary,
    offset: u64,
    len: u64,
}

/// Gives rows to the whole frames behind the end of a pack that was being filled.
///
/// # Durability
/// The frames are flushed before their rows are written: after a crash they may be in the page cache only.
///
/// # Errors
/// If the pack cannot be opened or flushed, or the ledger fails. A frame that cannot be read is none.
pub(crate) fn adopt(
    connection: &Connection,
    disk: &Disk,
    vault: &Vault,
    pack: &PackFound,
    attributes_of: AttributesReader,
    now: Timestamp,
) -> Result<Adopted, CustodyError> {
    let mut adopted = Adopted { instances: 0, len_bytes: pack.len_bytes };
    let opened = OpenOptions::new().read(true).write(true).open(disk.pack(&pack.id));
    let file = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(adopted),
        opened => opened.map_err(CustodyError::io("open a pack"))?,
    };
    let strays = find_strays(&file, &pack.key(vault)?, pack, attributes_of)?;
    if strays.is_empty() {
        return Ok(adopted);
    }
    file.sync_data().map_err(CustodyError::io("flush a pack"))?;
    let called_alias = alias_of(connection, pack)?;
    for (stray, frame_index) in strays.into_iter().zip(pack.frames..) {
        let arrival = Arrival {
            pack_row: pack.row,
            collection: pack.collection,
            called_alias: called_alias.clone(),
            frame_index,
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
        match admission::admit(connection, vault, &arrival)? {
            Admission::Admitted => {
                adopted.instances += 1;
                adopted.len_bytes = stray.offset.saturating_add(stray.len);
            }
            // A copy that was about to be cut off, and the last thing that was written here.
            Admission::Duplicate | Admission::Closed => break,
        }
    }
    Ok(adopted)
}

fn find_strays(
    file: &File,
    key: &SecretKey,
    pack: &PackFound,
    attributes_of: AttributesReader,
) -> Result<Vec<Stray>, CustodyError> {
    let mut strays = Vec::new();
    let mut offset = pack.len_bytes;
    for index in pack.frames.. {
        let file = file.try_clone().map_err(CustodyError::io("open a pack"))?;
        let read = FrameReader::behind(file, key, pack.id, index, offset);
        match read.and_then(|reader| read_stray(reader, offset, attributes_of)) {
            Ok(stray) => {
                offset = offset.saturating_add(stray.len);
                strays.push(stray);
            }
            Err(ReadError::Ledger(error)) => return Err(error),
            // The end, a torn frame, or what an earlier, longer one left.
            Err(ReadError::Pack(_) | ReadError::Differs | ReadError::Io(_)) => break,
        }
    }
    Ok(strays)
}

/// Reads one frame to its end.
fn read_stray(
    mut reader: FrameReader,
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
    Ok(Stray { description, attributes, summary, offset, len })
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
