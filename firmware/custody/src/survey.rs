//! What start-up asks about each pack: is it there, is it long enough, does its last frame authenticate.

use std::fs::{self, File, OpenOptions};
use std::io;

use beeldbox_protocol::envelope::keys::SecretKey;
use beeldbox_protocol::envelope::pack::PackId;
use beeldbox_protocol::ident::AeTitle;
use rusqlite::{Connection, OptionalExtension, Params, params};

use crate::columns::{pack_at, text_maybe};
use crate::disk::Disk;
use crate::error::{CustodyError, ReadError};
use crate::reading::FrameReader;
use crate::records::CollectionId;
use crate::studies::read_instance;
use crate::vault::Vault;

/// A pack as the ledger has it.
pub(crate) struct PackFound {
    pub(crate) row: i64,
    pub(crate) id: PackId,
    pub(crate) collection: CollectionId,
    pub(crate) source_ae: Option<AeTitle>,
    pub(crate) state: String,
    pub(crate) len_bytes: u64,
    pub(crate) frames: u32,
    wrapped_key: Option<Vec<u8>>,
}

impl PackFound {
    /// The pack's key.
    pub(crate) fn key(&self, vault: &Vault) -> Result<SecretKey, CustodyError> {
        let wrapped = self.wrapped_key.as_deref().ok_or(CustodyError::unreadable("pack key"))?;
        vault.unwrap(&self.id, wrapped)
    }
}

/// What is asked about a pack, without the end of the statement.
const PACKS: &str =
    "SELECT p.row, p.id, p.collection, c.source_ae, p.state, p.len_bytes, p.frames, p.wrapped_key
     FROM pack p JOIN collection c ON c.id = p.collection ";

/// Packs that were being filled, fetched or erased.
pub(crate) fn unsettled(connection: &Connection) -> Result<Vec<PackFound>, CustodyError> {
    read_packs(connection, "WHERE p.state <> 'closed' ORDER BY p.row", [])
}

/// A page of the packs that are closed, behind the row named by `after`.
pub(crate) fn closed(
    connection: &Connection,
    after: i64,
    limit: u32,
) -> Result<Vec<PackFound>, CustodyError> {
    read_packs(
        connection,
        "WHERE p.state = 'closed' AND p.row > ?1 ORDER BY p.row LIMIT ?2",
        params![after, limit],
    )
}

fn read_packs(
    connection: &Connection,
    end: &str,
    values: impl Params,
) -> Result<Vec<PackFound>, CustodyError> {
    let mut statement = connection.prepare_cached(&format!("{PACKS}{end}"))?;
    let mut rows = statement.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(PackFound {
            row: row.get("row")?,
            id: pack_at(row, "id")?,
            collection: CollectionId(row.get("collection")?),
            source_ae: text_maybe(row, "source_ae")?,
            state: row.get("state")?,
            len_bytes: row.get("len_bytes")?,
            frames: row.get("frames")?,
            wrapped_key: row.get("wrapped_key")?,
        });
    }
    Ok(found)
}

/// The names of a collection's packs.
pub(crate) fn packs_of(
    connection: &Connection,
    collection: CollectionId,
) -> Result<Vec<PackId>, CustodyError> {
    let mut statement = connection.prepare("SELECT id FROM pack WHERE collection = ?1")?;
    let mut rows = statement.query([collection.0])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(pack_at(row, "id")?);
    }
    Ok(found)
}

/// Length of the pack's file; nothing if there is no file.
pub(crate) fn len_on_disk(disk: &Disk, pack: &PackId) -> Result<Option<u64>, CustodyError> {
    match fs::metadata(disk.pack(pack)) {
        Ok(found) => Ok(Some(found.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CustodyError::Io { doing: "look at a pack", source }),
    }
}

/// Marks parts that are noted as on disk but lie behind the end of the file as not fetched, and makes a file that is
/// gone anew. Says how many.
pub(crate) fn forget_missing_parts(
    connection: &Connection,
    disk: &Disk,
    pack: &PackFound,
) -> Result<u32, CustodyError> {
    let len = match len_on_disk(disk, &pack.id)? {
        Some(len) => len,
        None => {
            let made = OpenOptions::new().create_new(true).write(true).open(disk.pack(&pack.id));
            made.map_err(CustodyError::io("create a pack"))?;
            disk.sync_packs()?;
            0
        }
    };
    let forgotten = connection
        .prepare_cached("UPDATE part SET on_disk = 0 WHERE pack = ?1 AND on_disk = 1 AND offset + len > ?2")?
        .execute(params![pack.row, len])?;
    connection
        .prepare_cached(
            "UPDATE pack
             SET state = 'fetching'
             WHERE row = ?1
               AND state = 'closed'
               AND EXISTS (SELECT 1 FROM part WHERE pack = ?1 AND on_disk = 0)",
        )?
        .execute([pack.row])?;
    u32::try_from(forgotten).map_err(|_| CustodyError::unreadable("number of parts"))
}

/// Whether the portal still has the pack: an inbound one for which we have not signed receipt 1 yet.
pub(crate) fn can_be_fetched_again(connection: &Connection, pack: &PackFound) -> Result<bool, CustodyError> {
    let mut statement = connection.prepare_cached(
        "SELECT 1
         FROM transfer
         WHERE collection = ?1 AND direction = 'inbound' AND state IN ('announced', 'fetching')",
    )?;
    Ok(statement.exists([pack.collection.0])?)
}

/// Marks the instances whose frames lie behind the end of the file. Says how many are newly lost.
pub(crate) fn mark_lost(connection: &Connection, pack: &PackFound, len: u64) -> Result<u32, CustodyError> {
    mark(connection, pack, "frame_offset + frame_len > ?2", len)
}

/// Marks the last instance of a pack.
pub(crate) fn mark_last_lost(connection: &Connection, pack: &PackFound) -> Result<u32, CustodyError> {
    mark(connection, pack, "frame_index >= ?2", u64::from(pack.frames.saturating_sub(1)))
}

fn mark(connection: &Connection, pack: &PackFound, which: &str, bound: u64) -> Result<u32, CustodyError> {
    let statement = format!("UPDATE instance SET damaged = 1 WHERE pack = ?1 AND damaged = 0 AND {which}");
    let lost = connection.prepare_cached(&statement)?.execute(params![pack.row, bound])?;
    connection
        .prepare_cached("UPDATE pack SET damaged = 1 WHERE row = ?1 AND frames > 0")?
        .execute([pack.row])?;
    connection
        .prepare_cached("UPDATE collection SET damaged = damaged + ?2 WHERE id = ?1")?
        .execute(params![pack.collection.0, lost])?;
    u32::try_from(lost).map_err(|_| CustodyError::unreadable("number of instances"))
}

/// Whether the last committed frame of a pack reads back. A pack without frames has nothing to prove.
///
/// # Errors
/// Only if the file cannot be read at all or the ledger is wrong; damage is an answer.
pub(crate) fn last_frame_authenticates(
    connection: &Connection,
    disk: &Disk,
    vault: &Vault,
    pack: &PackFound,
) -> Result<bool, CustodyError> {
    let last = connection
        .prepare_cached(
            "SELECT i.*, p.id AS pack_id, coalesce(i.study_uid, c.study_uid) AS study
             FROM instance i JOIN pack p ON p.row = i.pack JOIN collection c ON c.id = i.collection
             WHERE i.pack = ?1
             ORDER BY i.frame_index DESC
             LIMIT 1",
        )?
        .query_row([pack.row], |row| Ok(read_instance(row)))
        .optional()?;
    let Some(last) = last.transpose()? else { return Ok(true) };
    let key = pack.key(vault)?;
    let file = File::open(disk.pack(&pack.id)).map_err(CustodyError::io("open a pack"))?;
    let read = FrameReader::open(file, &key, &last).and_then(|mut reader| {
        while reader.step()?.is_some() {}
        Ok(())
    });
    match read {
        Ok(()) => Ok(true),
        Err(ReadError::Pack(_) | ReadError::Differs) => Ok(false),
        // A sector that cannot be read is damage too.
        Err(ReadError::Io(_)) => Ok(false),
        Err(ReadError::Ledger(error)) => Err(error),
    }
}
