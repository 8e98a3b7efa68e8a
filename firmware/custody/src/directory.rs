//! What is known of others: the national directory as last read, and recipient keys we have met.

use beeldbox_protocol::ident::Ura;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::Custody;
use crate::columns::{micros, text_at, time_at};
use crate::error::CustodyError;

/// One resource of the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// FHIR resource type.
    pub resource_type: String,
    /// FHIR logical id.
    pub id: String,
    /// The resource; nothing: it was deleted there, so it goes here too.
    pub json: Option<String>,
}

/// How far the directory was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryMark {
    /// FHIR resource type.
    pub resource_type: String,
    /// What to ask the next changes with.
    pub mark: String,
}

/// A recipient key that we have met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownKey {
    /// The organisation.
    pub ura: Ura,
    /// Its endpoint.
    pub endpoint: String,
    /// The key's identifier.
    pub key_id: String,
    /// When we met this key.
    pub first_seen_at: Timestamp,
    /// Who compared it; nobody on first use.
    pub confirmed_by: Option<String>,
}

impl Custody {
    /// Takes over changes of the directory together with how far they go, in one commit.
    ///
    /// # Errors
    /// If it was not committed; then nothing of it was taken over.
    pub async fn put_directory(
        &self,
        entries: Vec<DirectoryEntry>,
        mark: Option<DirectoryMark>,
    ) -> Result<(), CustodyError> {
        self.ledger().ask(move |connection| put_directory(connection, &entries, mark.as_ref())).await
    }

    /// The whole directory. A small sector: some thousands of entries.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn directory(&self) -> Result<Vec<DirectoryEntry>, CustodyError> {
        self.ledger()
            .ask(|connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT resource_type, id, json FROM directory_entry ORDER BY resource_type, id",
                )?;
                let rows = statement.query_map([], |row| {
                    Ok(DirectoryEntry { resource_type: row.get(0)?, id: row.get(1)?, json: row.get(2)? })
                })?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await
    }

    /// How far a resource type was read.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn directory_mark(&self, resource_type: &str) -> Result<Option<String>, CustodyError> {
        let resource_type = resource_type.to_owned();
        self.ledger()
            .ask(move |connection| {
                Ok(connection
                    .prepare_cached("SELECT mark FROM directory_mark WHERE resource_type = ?1")?
                    .query_row([resource_type], |row| row.get(0))
                    .optional()?)
            })
            .await
    }

    /// The key we know for a partner's endpoint.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn known_key(&self, ura: &Ura, endpoint: &str) -> Result<Option<KnownKey>, CustodyError> {
        let (ura, endpoint) = (ura.as_str().to_owned(), endpoint.to_owned());
        self.ledger()
            .ask(move |connection| {
                let mut statement =
                    connection.prepare_cached("SELECT * FROM known_key WHERE ura = ?1 AND endpoint = ?2")?;
                let mut rows = statement.query(params![ura, endpoint])?;
                let Some(row) = rows.next()? else { return Ok(None) };
                Ok(Some(KnownKey {
                    ura: text_at(row, "ura")?,
                    endpoint,
                    key_id: row.get("key_id")?,
                    first_seen_at: time_at(row, "first_seen_at")?,
                    confirmed_by: row.get("confirmed_by")?,
                }))
            })
            .await
    }

    /// Remembers a key, in place of any other for this endpoint. The caller has decided that this is right.
    ///
    /// # Errors
    /// If it was not committed.
    pub async fn remember_key(&self, key: KnownKey) -> Result<(), CustodyError> {
        self.ledger()
            .ask(move |connection| {
                connection
                    .prepare_cached(
                        "INSERT OR REPLACE INTO known_key (ura, endpoint, key_id, first_seen_at, confirmed_by)
                         VALUES (?1, ?2, ?3, ?4, ?5)",
                    )?
                    .execute(params![
                        key.ura.as_str(),
                        key.endpoint,
                        key.key_id,
                        micros(key.first_seen_at),
                        key.confirmed_by
                    ])?;
                Ok(())
            })
            .await
    }
}

fn put_directory(
    connection: &Connection,
    entries: &[DirectoryEntry],
    mark: Option<&DirectoryMark>,
) -> Result<(), CustodyError> {
    let mut put = connection.prepare_cached(
        "INSERT OR REPLACE INTO directory_entry (resource_type, id, json) VALUES (?1, ?2, ?3)",
    )?;
    let mut remove =
        connection.prepare_cached("DELETE FROM directory_entry WHERE resource_type = ?1 AND id = ?2")?;
    for entry in entries {
        match &entry.json {
            Some(json) => put.execute(params![entry.resource_type, entry.id, json])?,
            None => remove.execute(params![entry.resource_type, entry.id])?,
        };
    }
    if let Some(mark) = mark {
        connection
            .prepare_cached("INSERT OR REPLACE INTO directory_mark (resource_type, mark) VALUES (?1, ?2)")?
            .execute(params![mark.resource_type, mark.mark])?;
    }
    Ok(())
}
