//! Everything on this box that can be read: what was received here and what arrived and is authenticated, whatever became of it
//! otherwise. What the patient's timeline and DICOMweb show.

use beeldbox_protocol::clinical::{Patient, StudySummary};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::Custody;
use crate::columns::time_at;
use crate::error::CustodyError;
use crate::records::{CollectionId, InstanceRow};
use crate::state::Direction;
use crate::studies::{read_content, read_instance};
use crate::transfer_records::TransferRow;
use crate::transfers::read_rows;
use crate::vault::Vault;

/// A collection whose images can be read.
#[derive(Debug, Clone)]
pub struct StoredStudy {
    /// Its images.
    pub collection: CollectionId,
    /// Whether it was received here or arrived.
    pub direction: Direction,
    /// Of whom it is, as the images say.
    pub patient: Patient,
    /// What it is.
    pub summary: StudySummary,
    /// When its first instance came, or its letter was opened.
    pub opened_at: Timestamp,
    /// The transfers on it, oldest first.
    pub transfers: Vec<TransferRow>,
}

/// Collections with images that are all here and have not been erased. What arrives counts from when it is authenticated.
const READABLE: &str = "c.instances > 0 AND c.erasing_at IS NULL
    AND NOT EXISTS (SELECT 1 FROM pack p WHERE p.collection = c.id AND p.wrapped_key IS NULL)
    AND (c.direction = 'outbound' OR EXISTS (
            SELECT 1 FROM transfer t JOIN receipt r ON r.transfer = t.seq
            WHERE t.collection = c.id AND r.stage = 1))";

impl Custody {
    /// A page of what can be read, newest first, before the one named.
    ///
    /// # Errors
    /// If the ledger cannot be read or a sealed value does not open.
    pub async fn stored(
        &self,
        before: Option<CollectionId>,
        limit: u32,
    ) -> Result<Vec<StoredStudy>, CustodyError> {
        let vault = self.vault();
        self.ledger()
            .ask(move |connection| {
                let mut statement = connection.prepare_cached(&format!(
                    "SELECT c.* FROM collection c WHERE c.id < ?1 AND {READABLE} ORDER BY c.id DESC LIMIT ?2"
                ))?;
                let mut rows = statement.query(params![before.map_or(i64::MAX, |id| id.0), limit])?;
                let mut found = Vec::new();
                while let Some(row) = rows.next()? {
                    found.push(read_stored(connection, &vault, row)?);
                }
                Ok(found)
            })
            .await
    }

    /// One of them.
    ///
    /// # Errors
    /// As [`Custody::stored`].
    pub async fn stored_study(&self, collection: CollectionId) -> Result<Option<StoredStudy>, CustodyError> {
        let vault = self.vault();
        self.ledger()
            .ask(move |connection| {
                let mut statement = connection.prepare_cached(&format!(
                    "SELECT c.* FROM collection c WHERE c.id = ?1 AND {READABLE}"
                ))?;
                let mut rows = statement.query([collection.0])?;
                match rows.next()? {
                    Some(row) => read_stored(connection, &vault, row).map(Some),
                    None => Ok(None),
                }
            })
            .await
    }

    /// One instance of what can be read, with the collection it is in.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn stored_instance(
        &self,
        instance: i64,
    ) -> Result<Option<(CollectionId, InstanceRow)>, CustodyError> {
        self.ledger()
            .ask(move |connection| {
                connection
                    .prepare_cached(&format!(
                        "SELECT i.*, p.id AS pack_id, coalesce(i.study_uid, c.study_uid) AS study
                         FROM instance i JOIN pack p ON p.row = i.pack JOIN collection c ON c.id = i.collection
                         WHERE i.id = ?1 AND {READABLE}"
                    ))?
                    .query_row([instance], |row| Ok((row.get("collection")?, read_instance(row))))
                    .optional()?
                    .map(|(collection, row)| Ok((CollectionId(collection), row?)))
                    .transpose()
            })
            .await
    }

    /// The modality of each series of a collection, where it is known.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn series_of(&self, collection: CollectionId) -> Result<Vec<(String, String)>, CustodyError> {
        self.ledger()
            .ask(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT series_uid, max(modality) FROM series
                     WHERE collection = ?1 AND series_uid <> ''
                     GROUP BY series_uid
                     ORDER BY series_uid",
                )?;
                let series = statement.query_map([collection.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
                Ok(series.collect::<Result<_, _>>()?)
            })
            .await
    }
}

fn read_stored(connection: &Connection, vault: &Vault, row: &Row<'_>) -> Result<StoredStudy, CustodyError> {
    let collection = CollectionId(row.get("id")?);
    let (patient, summary) = read_content(connection, vault, collection, row)?;
    let direction: String = row.get("direction")?;
    let transfers = read_rows(
        connection,
        vault,
        "SELECT * FROM transfer WHERE collection = ?1 ORDER BY seq",
        [collection.0],
    )?;
    Ok(StoredStudy {
        collection,
        direction: Direction::from_word(&direction).ok_or(CustodyError::unreadable("direction"))?,
        patient,
        summary,
        opened_at: time_at(row, "opened_at")?,
        transfers,
    })
}
