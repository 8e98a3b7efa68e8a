//! What arrives from the portal: the lists of an opened letter become rows, and parts become bytes of packs.
//!
//! ```text
//!   letter ──► adopt: empty pack files, flushed ──► COMMIT all rows
//!   part   ──► compare digest ──► write at its offset ──► fdatasync ──► COMMIT "on disk"
//! ```
//!
//! Nothing is written before its digest was compared with the signed list.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use beeldbox_protocol::envelope::pack::PackId;
use beeldbox_protocol::ident::{Digest, SeriesInstanceUid, StudyInstanceUid, TransferId};
use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::Custody;
use crate::columns::micros;
use crate::disk::Disk;
use crate::error::CustodyError;
use crate::promise::{InboundCollection, InboundInstance, InboundPack, check_consistent};
use crate::records::CollectionId;
use crate::studies::SealedStudy;
use crate::vault::{Place, Vault};

impl Custody {
    /// Makes the collection of an inbound transfer with everything the letter lists, in one commit. Adopting again
    /// gives the collection made first.
    ///
    /// # Errors
    /// [`CustodyError::NotConsistent`] if lengths or names in the list contradict each other,
    /// [`CustodyError::OutOfSpace`] if it does not fit above the reserve, [`CustodyError::Unknown`] if there is no such
    /// inbound transfer, [`CustodyError::PackAlreadyHere`] while some of the packs are here for something else. Then
    /// nothing was made. A second transfer of exactly what an earlier one brought shares its collection.
    ///
    /// # Durability
    /// When this returns, rows, keys and (empty) pack files survive a power cut.
    pub async fn adopt_collection(
        &self,
        transfer: TransferId,
        promised: InboundCollection,
        now: Timestamp,
    ) -> Result<CollectionId, CustodyError> {
        check_consistent(&promised)?;
        let known = self.ledger().ask(move |connection| collection_of(connection, transfer)).await?;
        if let Some(collection) = known {
            return Ok(collection);
        }
        let (disk, vault) = (self.disk(), self.vault());
        let promised = Arc::new(promised);
        let (sharing, opener) = (Arc::clone(&promised), self.vault());
        let shared =
            self.ledger().ask(move |connection| share(connection, &opener, transfer, &sharing)).await?;
        if let Some(collection) = shared {
            return Ok(collection);
        }
        for pack in &promised.packs {
            self.note_pack(pack.id);
        }
        let making = Arc::clone(&promised);
        let made = tokio::task::spawn_blocking(move || make_files(&disk, &making));
        made.await.map_err(|_| CustodyError::Closed)??;
        // If this is not committed, the files are orphans; start-up removes them.
        self.ledger().ask(move |connection| adopt(connection, &vault, transfer, &promised, now)).await
    }

    /// Writes a part that was fetched. Writing it again is writing it once.
    ///
    /// # Errors
    /// [`CustodyError::PartDiffers`] if length or digest are not those promised; nothing was written.
    ///
    /// # Durability
    /// When this returns, the part's bytes survive a power cut and the ledger knows it.
    ///
    /// # Cancellation
    /// Dropping the future does not stop the writing; at worst the part is fetched again.
    pub async fn write_part(
        &self,
        pack: PackId,
        part_index: u32,
        bytes: Bytes,
        now: Timestamp,
    ) -> Result<(), CustodyError> {
        self.disk().check_room(0)?;
        let place = self.ledger().ask(move |connection| part_place(connection, pack, part_index)).await?;
        let path = self.disk().pack(&pack);
        let row = place.pack_row;
        let writing = tokio::task::spawn_blocking(move || {
            if bytes.len() as u64 != place.len || Digest::of(&bytes) != place.digest {
                return Err(CustodyError::PartDiffers);
            }
            let file = OpenOptions::new().write(true).open(path).map_err(CustodyError::io("open a pack"))?;
            file.write_all_at(&bytes, place.offset).map_err(CustodyError::io("write a part"))?;
            file.sync_data().map_err(CustodyError::io("flush a part"))
        });
        writing.await.map_err(|_| CustodyError::Closed)??;
        self.ledger().ask(move |connection| part_is_on_disk(connection, row, part_index, now)).await
    }
}

/// Makes the pack files, empty, and flushes their names.
fn make_files(disk: &Disk, promised: &InboundCollection) -> Result<(), CustodyError> {
    let wanted = promised.packs.iter().fold(0_u64, |sum, pack| sum.saturating_add(pack.len_bytes));
    disk.check_room(wanted)?;
    for pack in &promised.packs {
        // An earlier attempt may have left the file.
        let made = OpenOptions::new().create(true).truncate(false).write(true).open(disk.pack(&pack.id));
        made.map_err(CustodyError::io("create a pack"))?;
    }
    disk.sync_packs()
}

fn collection_of(
    connection: &Connection,
    transfer: TransferId,
) -> Result<Option<CollectionId>, CustodyError> {
    let found: Option<Option<i64>> = connection
        .prepare_cached("SELECT collection FROM transfer WHERE id = ?1 AND direction = 'inbound'")?
        .query_row([transfer.to_string()], |row| row.get(0))
        .optional()?;
    Ok(found.ok_or(CustodyError::Unknown { what: "transfer" })?.map(CollectionId))
}

fn adopt(
    connection: &Connection,
    vault: &Vault,
    transfer: TransferId,
    promised: &InboundCollection,
    now: Timestamp,
) -> Result<CollectionId, CustodyError> {
    if let Some(collection) = collection_of(connection, transfer)? {
        return Ok(collection);
    }
    if promised
        .packs
        .iter()
        .map(|pack| is_here(connection, &pack.id))
        .collect::<Result<Vec<_>, _>>()?
        .contains(&true)
    {
        return Err(CustodyError::PackAlreadyHere);
    }
    let collection = insert_collection(connection, vault, promised, now)?;
    let mut put_part = connection.prepare_cached(
        "INSERT INTO part (pack, part_index, offset, len, digest, on_disk)
         VALUES (?1, ?2, ?3, ?4, ?5, 0)",
    )?;
    for pack in &promised.packs {
        let row = insert_pack(connection, vault, collection, pack, promised)?;
        let mut offset = 0_u64;
        for (index, (digest, len)) in pack.parts.iter().enumerate() {
            put_part.execute(params![row, index, offset, len, digest.as_bytes()])?;
            offset = offset.saturating_add(*len);
        }
        for instance in promised.instances.iter().filter(|instance| instance.pack == pack.id) {
            insert_instance(connection, collection, row, instance, now)?;
        }
    }
    let modalities = promised.summaries.iter().flat_map(|summary| &summary.modalities);
    for modality in modalities {
        connection
            .prepare_cached(
                "INSERT OR IGNORE INTO series (collection, series_uid, modality) VALUES (?1, '', ?2)",
            )?
            .execute(params![collection.0, modality])?;
    }
    connection
        .prepare_cached("UPDATE transfer SET collection = ?2 WHERE id = ?1")?
        .execute(params![transfer.to_string(), collection.0])?;
    Ok(collection)
}

/// A second transfer of the same sealed images: what is here already is not fetched again. Everything the letter says
/// must be what the earlier one said, keys included, so nobody gets at bytes whose keys he does not have.
fn share(
    connection: &Connection,
    vault: &Vault,
    transfer: TransferId,
    promised: &InboundCollection,
) -> Result<Option<CollectionId>, CustodyError> {
    let Some(first) = promised.packs.first() else { return Ok(None) };
    let found: Option<i64> = connection
        .prepare_cached(
            "SELECT c.id
             FROM pack p JOIN collection c ON c.id = p.collection
             WHERE p.id = ?1 AND c.direction = 'inbound' AND c.erasing_at IS NULL",
        )?
        .query_row([first.id.as_bytes()], |row| row.get(0))
        .optional()?;
    let Some(collection) = found else { return Ok(None) };
    let count = |table: &str| -> Result<usize, CustodyError> {
        let statement = format!("SELECT count(*) FROM {table} WHERE collection = ?1");
        Ok(connection.prepare_cached(&statement)?.query_row([collection], |row| row.get(0))?)
    };
    if count("pack")? != promised.packs.len() || count("instance")? != promised.instances.len() {
        return Err(CustodyError::PackAlreadyHere);
    }
    for pack in &promised.packs {
        if !is_same_pack(connection, vault, collection, pack)? {
            return Err(CustodyError::PackAlreadyHere);
        }
    }
    let mut same_instance = connection.prepare_cached(
        "SELECT 1
         FROM instance i JOIN pack p ON p.row = i.pack
         WHERE i.collection = ?1 AND p.id = ?2 AND i.frame_index = ?3 AND i.frame_offset = ?4 AND i.frame_len = ?5
           AND i.sop_class = ?6 AND i.sop_instance = ?7 AND i.transfer_syntax = ?8 AND i.size_bytes = ?9
           AND i.digest = ?10",
    )?;
    for instance in &promised.instances {
        let is_same = same_instance.exists(params![
            collection,
            instance.pack.as_bytes(),
            instance.frame_index,
            instance.frame_offset,
            instance.frame_len,
            instance.sop_class.as_str(),
            instance.sop_instance.as_str(),
            instance.transfer_syntax.as_str(),
            instance.size_bytes,
            instance.digest.as_bytes()
        ])?;
        if !is_same {
            return Err(CustodyError::PackAlreadyHere);
        }
    }
    connection
        .prepare_cached("UPDATE transfer SET collection = ?2 WHERE id = ?1 AND collection IS NULL")?
        .execute(params![transfer.to_string(), collection])?;
    Ok(Some(CollectionId(collection)))
}

fn is_same_pack(
    connection: &Connection,
    vault: &Vault,
    collection: i64,
    pack: &InboundPack,
) -> Result<bool, CustodyError> {
    let found: Option<(i64, u64, Option<Vec<u8>>)> = connection
        .prepare_cached("SELECT row, len_bytes, wrapped_key FROM pack WHERE id = ?1 AND collection = ?2")?
        .query_row(params![pack.id.as_bytes(), collection], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((row, len_bytes, Some(wrapped))) = found else { return Ok(false) };
    let is_key = vault.unwrap(&pack.id, &wrapped)?.expose() == pack.key.expose();
    let mut statement =
        connection.prepare_cached("SELECT digest, len FROM part WHERE pack = ?1 ORDER BY part_index")?;
    let parts = statement
        .query_map([row], |part| Ok((Digest::from(part.get::<_, [u8; 32]>(0)?), part.get::<_, u64>(1)?)))?
        .collect::<Result<Vec<_>, _>>()?;
    Ok(is_key && len_bytes == pack.len_bytes && parts == pack.parts)
}

fn is_here(connection: &Connection, pack: &PackId) -> Result<bool, CustodyError> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM pack WHERE id = ?1")?;
    Ok(statement.exists([pack.as_bytes()])?)
}

fn insert_collection(
    connection: &Connection,
    vault: &Vault,
    promised: &InboundCollection,
    now: Timestamp,
) -> Result<CollectionId, CustodyError> {
    let size = promised.instances.iter().fold(0_u64, |sum, instance| sum.saturating_add(instance.size_bytes));
    let summary = promised.summaries.first().cloned().unwrap_or_default();
    connection
        .prepare_cached(
            "INSERT INTO collection (direction, study_uid, opened_at, last_instance_at, closed_at, instances,
                                     size_bytes)
             VALUES ('inbound', ?1, ?2, ?2, ?2, ?3, ?4)",
        )?
        .execute(params![
            summary.study.as_ref().map(StudyInstanceUid::as_str),
            micros(now),
            promised.instances.len(),
            size
        ])?;
    let collection = CollectionId(connection.last_insert_rowid());
    let study = SealedStudy {
        patient: promised.patient.clone(),
        description: summary.description,
        date: summary.date,
        time: summary.time,
        accession_number: summary.accession_number,
        institution: summary.institution,
    };
    connection
        .prepare_cached("UPDATE collection SET sealed_study = ?2 WHERE id = ?1")?
        .execute(params![collection.0, vault.seal_json(Place::Collection(collection.0), &study)?])?;
    Ok(collection)
}

fn insert_pack(
    connection: &Connection,
    vault: &Vault,
    collection: CollectionId,
    pack: &InboundPack,
    promised: &InboundCollection,
) -> Result<i64, CustodyError> {
    let frames = promised.instances.iter().filter(|instance| instance.pack == pack.id).count();
    connection
        .prepare_cached(
            "INSERT INTO pack (id, collection, state, len_bytes, frames, wrapped_key)
             VALUES (?1, ?2, 'fetching', ?3, ?4, ?5)",
        )?
        .execute(params![
            pack.id.as_bytes(),
            collection.0,
            pack.len_bytes,
            frames,
            vault.wrap(&pack.id, &pack.key)?
        ])?;
    Ok(connection.last_insert_rowid())
}

fn insert_instance(
    connection: &Connection,
    collection: CollectionId,
    pack_row: i64,
    instance: &InboundInstance,
    now: Timestamp,
) -> Result<(), CustodyError> {
    let series = instance.series.as_ref().map(SeriesInstanceUid::as_str);
    connection
        .prepare_cached(
            "INSERT INTO instance (collection, pack, frame_index, frame_offset, frame_len, sop_class, sop_instance,
                                   transfer_syntax, series_uid, size_bytes, digest, received_at, study_uid)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,
                     (SELECT nullif(?13, study_uid) FROM collection WHERE id = ?1))",
        )?
        .execute(params![
            collection.0,
            pack_row,
            instance.frame_index,
            instance.frame_offset,
            instance.frame_len,
            instance.sop_class.as_str(),
            instance.sop_instance.as_str(),
            instance.transfer_syntax.as_str(),
            series,
            instance.size_bytes,
            instance.digest.as_bytes(),
            micros(now),
            instance.study.as_ref().map(StudyInstanceUid::as_str)
        ])?;
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO series (collection, series_uid, modality) VALUES (?1, ?2, '')",
        )?
        .execute(params![collection.0, series.unwrap_or_default()])?;
    Ok(())
}

/// Where a part belongs.
struct PartPlace {
    pack_row: i64,
    offset: u64,
    len: u64,
    digest: Digest,
}

fn part_place(connection: &Connection, pack: PackId, index: u32) -> Result<PartPlace, CustodyError> {
    let found = connection
        .prepare_cached(
            "SELECT a.pack, a.offset, a.len, a.digest
             FROM part a JOIN pack p ON p.row = a.pack
             WHERE p.id = ?1 AND a.part_index = ?2 AND p.state IN ('fetching', 'closed')",
        )?
        .query_row(params![pack.as_bytes(), index], |row| {
            let digest = Digest::from(row.get::<_, [u8; 32]>(3)?);
            Ok(PartPlace { pack_row: row.get(0)?, offset: row.get(1)?, len: row.get(2)?, digest })
        })
        .optional()?;
    found.ok_or(CustodyError::Unknown { what: "part" })
}

/// Notes a flushed part; the last one closes its pack.
fn part_is_on_disk(
    connection: &Connection,
    row: i64,
    index: u32,
    now: Timestamp,
) -> Result<(), CustodyError> {
    connection
        .prepare_cached("UPDATE part SET on_disk = 1 WHERE pack = ?1 AND part_index = ?2")?
        .execute(params![row, index])?;
    connection
        .prepare_cached(
            "UPDATE pack
             SET state = 'closed'
             WHERE row = ?1
               AND state = 'fetching'
               AND NOT EXISTS (SELECT 1 FROM part WHERE pack = ?1 AND on_disk = 0)",
        )?
        .execute([row])?;
    connection
        .prepare_cached(
            "UPDATE collection
             SET last_instance_at = max(last_instance_at, ?2)
             WHERE id = (SELECT collection FROM pack WHERE row = ?1)",
        )?
        .execute(params![row, micros(now)])?;
    Ok(())
}
