//! Parts: packs cut into pieces as they travel. Immutable once cut, named by the digest of their ciphertext.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use beeldbox_protocol::envelope::pack::PackId;
use beeldbox_protocol::ident::{Digest, RunningDigest, TransferId};
use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, Params, params};

use crate::Custody;
use crate::columns::{digest_at, micros, pack_at};
use crate::error::{CustodyError, ReadError};
use crate::outbox::transfer_seq;
use crate::records::{CollectionId, PartRow};

/// Bytes read at a time while digesting.
const DIGEST_LEN: usize = 256 * 1024;

/// What the list of parts shows, without the end of the statement.
const PARTS: &str = "SELECT p.id AS pack_id, a.part_index, a.offset, a.len, a.digest
     FROM pack p JOIN part a ON a.pack = p.row ";

impl Custody {
    /// Cuts the packs of an outbound collection and gives all its parts, in order. Closed packs are cut to the end;
    /// of a pack that is still being filled only whole parts are cut, which can go before the study is complete.
    /// Cutting again adds what is new and changes nothing else.
    ///
    /// # Errors
    /// If a pack cannot be read, or nothing was committed.
    pub async fn make_parts(
        &self,
        collection: CollectionId,
        part_len: u64,
    ) -> Result<Vec<PartRow>, ReadError> {
        let disk = self.disk();
        let uncut = self.ledger().ask(move |connection| uncut(connection, collection)).await?;
        if part_len > 0 && !uncut.is_empty() {
            let cutting = tokio::task::spawn_blocking(move || {
                let mut cut = Vec::new();
                for pack in uncut {
                    let path = disk.pack(&pack.id);
                    cut_pack(&pack, path, part_len, &mut cut).map_err(ReadError::Io)?;
                }
                Ok::<_, ReadError>(cut)
            });
            let cut = cutting.await.map_err(|_| ReadError::Ledger(CustodyError::Closed))??;
            self.ledger().ask(move |connection| insert_parts(connection, &cut)).await?;
        }
        Ok(self.parts(collection).await?)
    }

    /// All parts of a collection, in order.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn parts(&self, collection: CollectionId) -> Result<Vec<PartRow>, CustodyError> {
        self.ledger()
            .ask(move |connection| {
                read_parts(connection, "WHERE p.collection = ?1 ORDER BY p.row, a.part_index", [collection.0])
            })
            .await
    }

    /// The parts of an inbound collection that are not on our disk yet.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn missing_parts(&self, collection: CollectionId) -> Result<Vec<PartRow>, CustodyError> {
        self.ledger()
            .ask(move |connection| {
                let end = "WHERE p.collection = ?1 AND a.on_disk = 0 ORDER BY p.row, a.part_index";
                read_parts(connection, end, [collection.0])
            })
            .await
    }

    /// The parts that the portal is not known to have for a transfer. A hint: the portal's own list decides.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn unsent_parts(&self, transfer: TransferId) -> Result<Vec<PartRow>, CustodyError> {
        self.ledger()
            .ask(move |connection| {
                let end = "JOIN transfer t ON t.collection = p.collection
                     WHERE t.id = ?1
                       AND NOT EXISTS (SELECT 1
                                       FROM sent_part s
                                       WHERE s.transfer = t.seq AND s.pack = a.pack AND s.part_index = a.part_index)
                     ORDER BY p.row, a.part_index";
                read_parts(connection, end, [transfer.to_string()])
            })
            .await
    }

    /// Notes that the portal has a part for a transfer.
    ///
    /// # Errors
    /// [`CustodyError::Unknown`] if there is no such transfer or part.
    pub async fn mark_part_sent(
        &self,
        transfer: TransferId,
        pack: PackId,
        index: u32,
        now: Timestamp,
    ) -> Result<(), CustodyError> {
        self.ledger()
            .ask(move |connection| {
                let seq = transfer_seq(connection, transfer)?;
                let row: Option<i64> = connection
                    .prepare_cached(
                        "SELECT max(a.pack)
                         FROM part a JOIN pack p ON p.row = a.pack
                         WHERE p.id = ?1 AND a.part_index = ?2",
                    )?
                    .query_row(params![pack.as_bytes(), index], |row| row.get(0))?;
                let row = row.ok_or(CustodyError::Unknown { what: "part" })?;
                connection
                    .prepare_cached(
                        "INSERT OR IGNORE INTO sent_part (transfer, pack, part_index, sent_at)
                         VALUES (?1, ?2, ?3, ?4)",
                    )?
                    .execute(params![seq, row, index, micros(now)])?;
                Ok(())
            })
            .await
    }

    /// Reads a part from the disk and compares its digest.
    ///
    /// # Errors
    /// [`ReadError::Differs`] if the bytes are no longer those that were cut.
    pub async fn read_part(&self, part: &PartRow) -> Result<Bytes, ReadError> {
        let path = self.disk().pack(&part.pack);
        let part = part.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let len = usize::try_from(part.len).map_err(|_| ReadError::Differs)?;
            let mut bytes = vec![0; len];
            let file = File::open(path).map_err(ReadError::Io)?;
            file.read_exact_at(&mut bytes, part.offset).map_err(ReadError::Io)?;
            if Digest::of(&bytes) == part.digest { Ok(Bytes::from(bytes)) } else { Err(ReadError::Differs) }
        });
        reading.await.map_err(|_| ReadError::Ledger(CustodyError::Closed))?
    }
}

/// A pack, and how far it is cut.
struct Uncut {
    row: i64,
    id: PackId,
    len_bytes: u64,
    is_open: bool,
    next_index: u32,
    next_offset: u64,
}

/// A part that has no row yet.
struct NewPart {
    pack_row: i64,
    index: u32,
    offset: u64,
    len: u64,
    digest: Digest,
}

fn uncut(connection: &Connection, collection: CollectionId) -> Result<Vec<Uncut>, CustodyError> {
    let mut statement = connection.prepare_cached(
        "SELECT p.row, p.id, p.len_bytes, p.state = 'open' AS is_open,
                coalesce((SELECT max(part_index) + 1 FROM part a WHERE a.pack = p.row), 0) AS next_index,
                coalesce((SELECT max(offset + len) FROM part a WHERE a.pack = p.row), 0) AS next_offset
         FROM pack p
         WHERE p.collection = ?1 AND p.state IN ('open', 'closed') AND p.frames > 0
         ORDER BY p.row",
    )?;
    let mut rows = statement.query([collection.0])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let pack = Uncut {
            row: row.get("row")?,
            id: pack_at(row, "id")?,
            len_bytes: row.get("len_bytes")?,
            is_open: row.get("is_open")?,
            next_index: row.get("next_index")?,
            next_offset: row.get("next_offset")?,
        };
        if pack.next_offset < pack.len_bytes {
            found.push(pack);
        }
    }
    Ok(found)
}

fn cut_pack(pack: &Uncut, path: PathBuf, part_len: u64, cut: &mut Vec<NewPart>) -> io::Result<()> {
    let file = File::open(path)?;
    let (mut index, mut offset) = (pack.next_index, pack.next_offset);
    while offset < pack.len_bytes {
        let len = part_len.min(pack.len_bytes - offset);
        if len < part_len && pack.is_open {
            break;
        }
        let digest = digest_of(&file, offset, len)?;
        cut.push(NewPart { pack_row: pack.row, index, offset, len, digest });
        offset += len;
        index += 1;
    }
    Ok(())
}

fn digest_of(file: &File, mut offset: u64, len: u64) -> io::Result<Digest> {
    let mut digest = RunningDigest::new();
    let mut buffer = vec![0; DIGEST_LEN];
    let end = offset + len;
    while offset < end {
        let now = usize::try_from(end - offset).unwrap_or(DIGEST_LEN).min(DIGEST_LEN);
        file.read_exact_at(&mut buffer[..now], offset)?;
        digest.update(&buffer[..now]);
        offset += now as u64;
    }
    Ok(digest.finish())
}

fn insert_parts(connection: &Connection, parts: &[NewPart]) -> Result<(), CustodyError> {
    // Someone else may have cut the same pack meanwhile: the first cut stays.
    let mut statement = connection.prepare_cached(
        "INSERT INTO part (pack, part_index, offset, len, digest, on_disk)
         SELECT ?1, ?2, ?3, ?4, ?5, 1
         WHERE ?3 = coalesce((SELECT max(offset + len) FROM part WHERE pack = ?1), 0)",
    )?;
    for part in parts {
        statement.execute(params![
            part.pack_row,
            part.index,
            part.offset,
            part.len,
            part.digest.as_bytes()
        ])?;
    }
    Ok(())
}

fn read_parts(connection: &Connection, end: &str, values: impl Params) -> Result<Vec<PartRow>, CustodyError> {
    let mut statement = connection.prepare_cached(&format!("{PARTS}{end}"))?;
    let mut rows = statement.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(PartRow {
            pack: pack_at(row, "pack_id")?,
            index: row.get("part_index")?,
            offset: row.get("offset")?,
            len: row.get("len")?,
            digest: digest_at(row, "digest")?,
        });
    }
    Ok(found)
}
