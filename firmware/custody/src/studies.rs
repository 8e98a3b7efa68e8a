//! Looking at collections: the list of studies, their instances and packs.

use beeldbox_protocol::clinical::{Confidential, Patient, StudySummary};
use beeldbox_protocol::envelope::keys::SecretKey;
use beeldbox_protocol::envelope::pack::PackId;
use beeldbox_protocol::ident::StudyInstanceUid;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Params, Row, params};
use serde::{Deserialize, Serialize};

use crate::Custody;
use crate::columns::{digest_at, micros, pack_at, text_at, text_maybe, time_at};
use crate::error::CustodyError;
use crate::records::{CollectionId, Cursor, InstanceRow, PackRow, QuietStudy, StudyRow};
use crate::transfers::outbound_state;
use crate::vault::{Place, Vault};

/// What a collection keeps sealed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SealedStudy {
    pub(crate) patient: Patient,
    pub(crate) description: Option<Confidential>,
    pub(crate) date: Option<String>,
    pub(crate) time: Option<String>,
    pub(crate) accession_number: Option<Confidential>,
    pub(crate) institution: Option<Confidential>,
}

/// What a list of studies shows, without the end of the statement.
const STUDIES: &str = "SELECT t.seq, t.id AS transfer, t.state, t.state_data, t.changed_at, c.*
     FROM transfer t JOIN collection c ON c.id = t.collection ";

impl Custody {
    /// A page of the studies that wait to be addressed, are held before that, or are still arriving; newest first.
    ///
    /// # Errors
    /// If the ledger cannot be read or a sealed value does not open.
    pub async fn studies(&self, before: Option<Cursor>, limit: u32) -> Result<Vec<StudyRow>, CustodyError> {
        let vault = self.vault();
        self.ledger()
            .ask(move |connection| {
                let end = "WHERE t.direction = 'outbound' AND t.addressee IS NULL
                             AND t.state IN ('collecting', 'queued', 'held')
                             AND t.seq < ?1 AND c.instances > 0
                           ORDER BY t.seq DESC
                           LIMIT ?2";
                let before = before.map_or(i64::MAX, |cursor| cursor.0);
                read_studies(connection, &vault, end, params![before, limit])
            })
            .await
    }

    /// One study, as the transfer of it that waits for an addressee; without one, in whatever state its first transfer is.
    ///
    /// # Errors
    /// As [`Custody::studies`].
    pub async fn study(&self, collection: CollectionId) -> Result<Option<StudyRow>, CustodyError> {
        let vault = self.vault();
        self.ledger()
            .ask(move |connection| {
                let end = "WHERE t.direction = 'outbound' AND c.id = ?1
                           ORDER BY t.addressee IS NULL AND t.state IN ('collecting', 'queued', 'held') DESC, t.seq
                           LIMIT 1";
                Ok(read_studies(connection, &vault, end, [collection.0])?.pop())
            })
            .await
    }

    /// Everything we sent, send or will send of a study: the study as first closed and its addenda, newest first.
    ///
    /// # Errors
    /// As [`Custody::studies`].
    pub async fn study_by_uid(&self, study: &StudyInstanceUid) -> Result<Vec<StudyRow>, CustodyError> {
        let (vault, study) = (self.vault(), study.as_str().to_owned());
        self.ledger()
            .ask(move |connection| {
                let end = "WHERE t.direction = 'outbound' AND c.study_uid = ?1 AND c.instances > 0
                           ORDER BY t.seq DESC";
                read_studies(connection, &vault, end, [study])
            })
            .await
    }

    /// Studies that have been quiet since before the given time and that no association is filling: ready to close, as
    /// far as time tells.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn quiet_studies(
        &self,
        last_instance_before: Timestamp,
    ) -> Result<Vec<QuietStudy>, CustodyError> {
        let holds = self.holds();
        self.ledger()
            .ask(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT c.id AS collection, t.id AS transfer, c.study_uid, c.source_ae, c.last_instance_at, c.instances
                     FROM transfer t JOIN collection c ON c.id = t.collection
                     WHERE t.direction = 'outbound' AND t.state = 'collecting'
                       AND c.last_instance_at < ?1 AND c.instances > 0
                     ORDER BY c.id",
                )?;
                let mut rows = statement.query([micros(last_instance_before)])?;
                let mut quiet = Vec::new();
                while let Some(row) = rows.next()? {
                    let collection = CollectionId(row.get("collection")?);
                    if !holds.holds(collection) {
                        quiet.push(QuietStudy {
                            collection,
                            transfer: text_at(row, "transfer")?,
                            study: text_maybe(row, "study_uid")?,
                            source_ae: text_at(row, "source_ae")?,
                            last_instance_at: time_at(row, "last_instance_at")?,
                            instances: row.get("instances")?,
                        });
                    }
                }
                Ok(quiet)
            })
            .await
    }

    /// A page of the instances of a collection, in the order of their arrival, behind the row named by `after`.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn instances(
        &self,
        collection: CollectionId,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Vec<InstanceRow>, CustodyError> {
        self.ledger()
            .ask(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT i.*, p.id AS pack_id, coalesce(i.study_uid, c.study_uid) AS study
                     FROM instance i JOIN pack p ON p.row = i.pack JOIN collection c ON c.id = i.collection
                     WHERE i.collection = ?1 AND i.id > ?2
                     ORDER BY i.id
                     LIMIT ?3",
                )?;
                let mut rows = statement.query(params![collection.0, after.unwrap_or(0), limit])?;
                let mut found = Vec::new();
                while let Some(row) = rows.next()? {
                    found.push(read_instance(row)?);
                }
                Ok(found)
            })
            .await
    }

    /// A page of every instance on this box that should be readable, in the order of arrival, behind the row named by
    /// `after`: what `verify` walks. Left out are those whose keys were erased and those still being fetched.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn all_instances(
        &self,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Vec<InstanceRow>, CustodyError> {
        self.ledger()
            .ask(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT i.*, p.id AS pack_id, coalesce(i.study_uid, c.study_uid) AS study
                     FROM instance i JOIN pack p ON p.row = i.pack JOIN collection c ON c.id = i.collection
                     WHERE i.id > ?1 AND p.wrapped_key IS NOT NULL
                       AND NOT EXISTS (SELECT 1 FROM part t WHERE t.pack = p.row AND t.on_disk = 0)
                     ORDER BY i.id
                     LIMIT ?2",
                )?;
                let mut rows = statement.query(params![after.unwrap_or(0), limit])?;
                let mut found = Vec::new();
                while let Some(row) = rows.next()? {
                    found.push(read_instance(row)?);
                }
                Ok(found)
            })
            .await
    }

    /// The packs of a collection, in the order they were begun. Empty ones are left out.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn packs(&self, collection: CollectionId) -> Result<Vec<PackRow>, CustodyError> {
        self.ledger()
            .ask(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT id, len_bytes, frames, damaged
                     FROM pack
                     WHERE collection = ?1 AND frames > 0
                     ORDER BY row",
                )?;
                let mut rows = statement.query([collection.0])?;
                let mut found = Vec::new();
                while let Some(row) = rows.next()? {
                    found.push(PackRow {
                        id: pack_at(row, "id")?,
                        len_bytes: row.get("len_bytes")?,
                        frames: row.get("frames")?,
                        damaged: row.get("damaged")?,
                    });
                }
                Ok(found)
            })
            .await
    }

    /// The key of a pack.
    ///
    /// # Errors
    /// [`CustodyError::Unknown`] if there is no such pack, [`CustodyError::Erased`] once its key was removed.
    pub async fn pack_key(&self, pack: PackId) -> Result<SecretKey, CustodyError> {
        let vault = self.vault();
        let wrapped = self
            .ledger()
            .ask(move |connection| {
                let wrapped = connection
                    .prepare_cached("SELECT wrapped_key FROM pack WHERE id = ?1")?
                    .query_row([pack.as_bytes()], |row| row.get::<_, Option<Vec<u8>>>(0))
                    .optional()?;
                wrapped.ok_or(CustodyError::Unknown { what: "pack" })?.ok_or(CustodyError::Erased)
            })
            .await?;
        vault.unwrap(&pack, &wrapped)
    }
}

fn read_studies(
    connection: &Connection,
    vault: &Vault,
    end: &str,
    values: impl Params,
) -> Result<Vec<StudyRow>, CustodyError> {
    let mut statement = connection.prepare_cached(&format!("{STUDIES}{end}"))?;
    let mut rows = statement.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let collection = CollectionId(row.get("id")?);
        let (patient, summary) = read_content(connection, vault, collection, row)?;
        found.push(StudyRow {
            collection,
            transfer: text_at(row, "transfer")?,
            state: outbound_state(row, time_at(row, "changed_at")?)?,
            source_ae: text_at(row, "source_ae")?,
            called_alias: text_maybe(row, "called_ae")?,
            patient,
            summary,
            opened_at: time_at(row, "opened_at")?,
            last_instance_at: time_at(row, "last_instance_at")?,
            conflict: row.get("conflict")?,
            two_patients: row.get("two_patients")?,
            damaged: row.get("damaged")?,
            cursor: Cursor(row.get("seq")?),
        });
    }
    Ok(found)
}

/// Of whom a collection is, and what it is.
pub(crate) fn read_content(
    connection: &Connection,
    vault: &Vault,
    collection: CollectionId,
    row: &Row<'_>,
) -> Result<(Patient, StudySummary), CustodyError> {
    let sealed: Option<Vec<u8>> = row.get("sealed_study")?;
    let study = sealed.map(|sealed| open_study(vault, collection, &sealed)).transpose()?.unwrap_or_default();
    let (series, modalities) = read_series(connection, collection)?;
    let summary = StudySummary {
        study: text_maybe(row, "study_uid")?,
        description: study.description,
        date: study.date,
        time: study.time,
        modalities,
        accession_number: study.accession_number,
        institution: study.institution,
        series,
        instances: row.get("instances")?,
        size_bytes: row.get("size_bytes")?,
    };
    Ok((study.patient, summary))
}

pub(crate) fn open_study(
    vault: &Vault,
    collection: CollectionId,
    sealed: &[u8],
) -> Result<SealedStudy, CustodyError> {
    vault.open_json(Place::Collection(collection.0), sealed, "study")
}

/// Number of series, and each modality once, sorted.
fn read_series(
    connection: &Connection,
    collection: CollectionId,
) -> Result<(u32, Vec<String>), CustodyError> {
    let series = connection
        .prepare_cached("SELECT count(DISTINCT series_uid) FROM series WHERE collection = ?1")?
        .query_row([collection.0], |row| row.get(0))?;
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT modality
         FROM series
         WHERE collection = ?1 AND modality <> ''
         ORDER BY modality",
    )?;
    let modalities = statement.query_map([collection.0], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok((series, modalities))
}

pub(crate) fn read_instance(row: &Row<'_>) -> Result<InstanceRow, CustodyError> {
    Ok(InstanceRow {
        id: row.get("id")?,
        pack: pack_at(row, "pack_id")?,
        frame_index: row.get("frame_index")?,
        frame_offset: row.get("frame_offset")?,
        frame_len: row.get("frame_len")?,
        sop_class: text_at(row, "sop_class")?,
        sop_instance: text_at(row, "sop_instance")?,
        transfer_syntax: text_at(row, "transfer_syntax")?,
        study: text_maybe(row, "study")?,
        series: text_maybe(row, "series_uid")?,
        size_bytes: row.get("size_bytes")?,
        digest: digest_at(row, "digest")?,
        received_at: time_at(row, "received_at")?,
        damaged: row.get("damaged")?,
    })
}
