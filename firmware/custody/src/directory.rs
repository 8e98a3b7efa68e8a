//! What is known of others: the national directory as last read, whom people here like to send to, and recipient keys we
//! have met.
//!
//! Changes of the directory come page by page and are staged; when all of a type are there, they and the mark that says
//! how far they go are taken over in one commit. Whatever breaks before leaves the copy as it was. Nothing is removed:
//! what has ended is marked, so that a transfer can always say whom it was for.

use beeldbox_protocol::ident::{AddresseeId, Ura};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::Custody;
use crate::columns::{micros, text_at, time_at, time_maybe};
use crate::error::CustodyError;

/// Most favourites of one account. Who has more than a screen of them searches.
pub const MOST_FAVOURITES: u32 = 50;

/// Transfers that are looked through for the last addressees.
const LOOKED_THROUGH: u32 = 200;

/// One change of the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedEntry {
    /// FHIR logical id.
    pub id: String,
    /// What counts of the resource; nothing: it was removed there.
    pub json: Option<String>,
    /// Whether it says of itself that it has ended.
    pub has_ended: bool,
    /// When it was changed there, if that was said. Of two versions the newer counts, and without times the first.
    pub changed_at: Option<Timestamp>,
}

/// How far something was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryMark {
    /// FHIR resource type.
    pub resource_type: String,
    /// What to ask the next changes with.
    pub mark: String,
}

/// What the staged changes of a type are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// What changed since the mark.
    Changes,
    /// Everything there is: what is not among it has ended.
    Whole,
}

/// Where the copy comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectorySource {
    /// Address.
    pub url: String,
    /// When the whole copy was last brought up to date.
    pub synced_at: Option<Timestamp>,
}

/// How many resources of a type there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectoryCounts {
    /// Those that have not ended.
    pub here: u64,
    /// With those that have.
    pub all: u64,
    /// Those that are staged, without removals.
    pub staged: u64,
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
    /// Stages changes of one type. They do not count yet.
    ///
    /// # Errors
    /// If they were not committed.
    pub async fn stage_directory(
        &self,
        resource_type: &str,
        entries: Vec<StagedEntry>,
    ) -> Result<(), CustodyError> {
        let resource_type = resource_type.to_owned();
        self.ledger().ask(move |connection| stage(connection, &resource_type, &entries)).await
    }

    /// Forgets what is staged.
    ///
    /// # Errors
    /// If it was not committed.
    pub async fn drop_staged_directory(&self) -> Result<(), CustodyError> {
        self.ledger()
            .ask(|connection| {
                connection.prepare_cached("DELETE FROM directory_staged")?.execute([])?;
                Ok(())
            })
            .await
    }

    /// Takes over what is staged of one type, together with how far it goes, in one commit. Gives how many entries are
    /// different now. Without a mark the old one stays, and the same is asked for again.
    ///
    /// # Durability
    /// When this returns, changes and mark are on stable storage, or neither.
    ///
    /// # Errors
    /// If it was not committed; then nothing of it was taken over.
    pub async fn take_over_directory(
        &self,
        resource_type: &str,
        extent: Extent,
        mark: Option<String>,
    ) -> Result<usize, CustodyError> {
        let resource_type = resource_type.to_owned();
        self.ledger()
            .ask(move |connection| take_over(connection, &resource_type, extent, mark.as_deref()))
            .await
    }

    /// A page of what has not ended, in the order of ids.
    ///
    /// Waits on this thread: not for a task of the runtime.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn directory_page(
        &self,
        resource_type: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<(String, String)>, CustodyError> {
        let (resource_type, after) = (resource_type.to_owned(), after.to_owned());
        self.ledger().wait(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, json
                 FROM directory_entry
                 WHERE resource_type = ?1 AND id > ?2 AND ended = 0
                 ORDER BY id
                 LIMIT ?3",
            )?;
            let rows = statement
                .query_map(params![resource_type, after, limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// One resource that has not ended.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn directory_resource(
        &self,
        resource_type: &str,
        id: &str,
    ) -> Result<Option<String>, CustodyError> {
        let (resource_type, id) = (resource_type.to_owned(), id.to_owned());
        self.ledger()
            .ask(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT json FROM directory_entry WHERE resource_type = ?1 AND id = ?2 AND ended = 0",
                )?;
                Ok(statement.query_row([resource_type, id], |row| row.get(0)).optional()?)
            })
            .await
    }

    /// How many resources of a type there are.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn directory_counts(&self, resource_type: &str) -> Result<DirectoryCounts, CustodyError> {
        let resource_type = resource_type.to_owned();
        self.ledger()
            .ask(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT (SELECT count(*) FROM directory_entry WHERE resource_type = ?1 AND ended = 0) AS here,
                            (SELECT count(*) FROM directory_entry WHERE resource_type = ?1) AS \"all\",
                            (SELECT count(*) FROM directory_staged WHERE resource_type = ?1 AND json IS NOT NULL)
                                AS staged",
                )?;
                Ok(statement.query_row([resource_type], |row| {
                    Ok(DirectoryCounts { here: row.get("here")?, all: row.get("all")?, staged: row.get("staged")? })
                })?)
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

    /// Remembers how far something was read.
    ///
    /// # Errors
    /// If it was not committed.
    pub async fn put_mark(&self, mark: DirectoryMark) -> Result<(), CustodyError> {
        self.ledger().ask(move |connection| put_mark(connection, &mark.resource_type, &mark.mark)).await
    }

    /// Where the copy of the directory comes from; nothing if it was never asked for.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn directory_source(&self) -> Result<Option<DirectorySource>, CustodyError> {
        self.ledger()
            .ask(|connection| {
                let mut statement = connection.prepare_cached("SELECT * FROM directory_source")?;
                let mut rows = statement.query([])?;
                let Some(row) = rows.next()? else { return Ok(None) };
                Ok(Some(DirectorySource { url: row.get("url")?, synced_at: time_maybe(row, "synced_at")? }))
            })
            .await
    }

    /// From now on the copy comes from another source: the marks of these types are forgotten, so that all of it is read,
    /// and the copy stays, as old as it is, until it was.
    ///
    /// # Errors
    /// If it was not committed.
    pub async fn change_directory_source(
        &self,
        url: &str,
        resource_types: &'static [&'static str],
    ) -> Result<(), CustodyError> {
        let url = url.to_owned();
        self.ledger()
            .ask(move |connection| {
                let mut forget =
                    connection.prepare_cached("DELETE FROM directory_mark WHERE resource_type = ?1")?;
                for resource_type in resource_types {
                    forget.execute([resource_type])?;
                }
                connection
                    .prepare_cached(
                        "INSERT INTO directory_source (only, url) VALUES (1, ?1)
                         ON CONFLICT (only) DO UPDATE SET url = excluded.url",
                    )?
                    .execute([url])?;
                Ok(())
            })
            .await
    }

    /// Remembers that the whole copy was brought up to date.
    ///
    /// # Errors
    /// If it was not committed.
    pub async fn directory_is_up_to_date(&self, now: Timestamp) -> Result<(), CustodyError> {
        self.ledger()
            .ask(move |connection| {
                connection
                    .prepare_cached("UPDATE directory_source SET synced_at = ?1")?
                    .execute([micros(now)])?;
                Ok(())
            })
            .await
    }

    /// The favourites of an account, those chosen first in front.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn favourites(&self, account: &str) -> Result<Vec<AddresseeId>, CustodyError> {
        let account = account.to_owned();
        self.ledger()
            .ask(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT addressee FROM favourite WHERE account = ?1 ORDER BY since, addressee",
                )?;
                addressees(&mut statement.query([account])?)
            })
            .await
    }

    /// Sets or unsets a favourite. False if there are too many already.
    ///
    /// # Errors
    /// If it was not committed.
    pub async fn set_favourite(
        &self,
        account: &str,
        addressee: &AddresseeId,
        is_favourite: bool,
        now: Timestamp,
    ) -> Result<bool, CustodyError> {
        let (account, addressee) = (account.to_owned(), addressee.clone());
        self.ledger()
            .ask(move |connection| {
                if !is_favourite {
                    connection
                        .prepare_cached("DELETE FROM favourite WHERE account = ?1 AND addressee = ?2")?
                        .execute([account.as_str(), addressee.as_str()])?;
                    return Ok(true);
                }
                let others: u32 = connection
                    .prepare_cached("SELECT count(*) FROM favourite WHERE account = ?1 AND addressee <> ?2")?
                    .query_row([account.as_str(), addressee.as_str()], |row| row.get(0))?;
                if others >= MOST_FAVOURITES {
                    return Ok(false);
                }
                connection
                    .prepare_cached(
                        "INSERT OR IGNORE INTO favourite (account, addressee, since) VALUES (?1, ?2, ?3)",
                    )?
                    .execute(params![account, addressee.as_str(), micros(now)])?;
                Ok(true)
            })
            .await
    }

    /// To whom this box sent last, newest first, each once.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn recent_addressees(&self, limit: u32) -> Result<Vec<AddresseeId>, CustodyError> {
        self.ledger()
            .ask(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT addressee FROM (
                         SELECT seq, json_extract(addressee, '$.id') AS addressee
                         FROM transfer
                         WHERE direction = 'outbound' AND addressee IS NOT NULL
                         ORDER BY seq DESC
                         LIMIT ?1)
                     GROUP BY addressee
                     ORDER BY max(seq) DESC
                     LIMIT ?2",
                )?;
                addressees(&mut statement.query([LOOKED_THROUGH, limit])?)
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
        self.ledger().ask(move |connection| remember_key(connection, &key)).await
    }
}

/// From now on this is the known key of the partner.
pub(crate) fn remember_key(connection: &Connection, key: &KnownKey) -> Result<(), CustodyError> {
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
}

/// An id that does not parse any more names nobody.
fn addressees(rows: &mut rusqlite::Rows<'_>) -> Result<Vec<AddresseeId>, CustodyError> {
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.extend(row.get::<_, String>(0)?.parse::<AddresseeId>());
    }
    Ok(found)
}

fn stage(connection: &Connection, resource_type: &str, entries: &[StagedEntry]) -> Result<(), CustodyError> {
    let mut put = connection.prepare_cached(
        "INSERT INTO directory_staged (resource_type, id, json, ended, changed_at)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (resource_type, id) DO UPDATE SET
             json = excluded.json, ended = excluded.ended, changed_at = excluded.changed_at
         WHERE excluded.changed_at > directory_staged.changed_at",
    )?;
    for entry in entries {
        let changed_at = entry.changed_at.map_or(0, micros);
        put.execute(params![resource_type, entry.id, entry.json, entry.has_ended, changed_at])?;
    }
    Ok(())
}

fn take_over(
    connection: &Connection,
    resource_type: &str,
    extent: Extent,
    mark: Option<&str>,
) -> Result<usize, CustodyError> {
    let mut changed = connection
        .prepare_cached(
            "INSERT INTO directory_entry (resource_type, id, json, ended)
             SELECT resource_type, id, json, ended
             FROM directory_staged
             WHERE resource_type = ?1 AND json IS NOT NULL
             ON CONFLICT (resource_type, id) DO UPDATE SET json = excluded.json, ended = excluded.ended
             WHERE json <> excluded.json OR ended <> excluded.ended",
        )?
        .execute([resource_type])?;
    let ended = match extent {
        Extent::Changes => {
            "UPDATE directory_entry
             SET ended = 1
             WHERE resource_type = ?1 AND ended = 0
               AND id IN (SELECT id FROM directory_staged WHERE resource_type = ?1 AND json IS NULL)"
        }
        Extent::Whole => {
            "UPDATE directory_entry
             SET ended = 1
             WHERE resource_type = ?1 AND ended = 0
               AND id NOT IN (SELECT id FROM directory_staged WHERE resource_type = ?1 AND json IS NOT NULL)"
        }
    };
    changed += connection.prepare_cached(ended)?.execute([resource_type])?;
    connection
        .prepare_cached("DELETE FROM directory_staged WHERE resource_type = ?1")?
        .execute([resource_type])?;
    if let Some(mark) = mark {
        put_mark(connection, resource_type, mark)?;
    }
    Ok(changed)
}

fn put_mark(connection: &Connection, resource_type: &str, mark: &str) -> Result<(), CustodyError> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO directory_mark (resource_type, mark) VALUES (?1, ?2)")?
        .execute([resource_type, mark])?;
    Ok(())
}
