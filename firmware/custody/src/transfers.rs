//! Looking at transfers: one, a page of them, those that are due.

use beeldbox_protocol::ident::{Digest, TransferId};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Params, Row, params};
use serde::de::DeserializeOwned;

use crate::Custody;
use crate::columns::{json_maybe, micros, text_at, time, time_at, time_maybe};
use crate::error::CustodyError;
use crate::kind::Kind;
use crate::reason::{HoldReason, WaitReason};
use crate::records::{CollectionId, Cursor};
use crate::state::{Direction, InboundState, OutboundState, State};
use crate::transfer_records::TransferRow;
use crate::vault::{Place, Vault};

impl Custody {
    /// One transfer.
    ///
    /// # Errors
    /// If the ledger cannot be read or its sealed words do not open.
    pub async fn transfer(&self, id: TransferId) -> Result<Option<TransferRow>, CustodyError> {
        let vault = self.vault();
        self.ledger()
            .ask(move |connection| {
                let mut found =
                    read_rows(connection, &vault, "SELECT * FROM transfer WHERE id = ?1", [id.to_string()])?;
                Ok(found.pop())
            })
            .await
    }

    /// A page of the transfers of one direction that have a partner, newest first. Studies that wait for an addressee
    /// are not among them: [`Custody::studies`].
    ///
    /// # Errors
    /// As [`Custody::transfer`].
    pub async fn transfers(
        &self,
        direction: Direction,
        before: Option<Cursor>,
        limit: u32,
    ) -> Result<Vec<TransferRow>, CustodyError> {
        let vault = self.vault();
        self.ledger()
            .ask(move |connection| {
                read_rows(
                    connection,
                    &vault,
                    "SELECT *
                     FROM transfer
                     WHERE direction = ?1 AND (direction = 'inbound' OR addressee IS NOT NULL) AND seq < ?2
                     ORDER BY seq DESC
                     LIMIT ?3",
                    params![direction.as_str(), before.map_or(i64::MAX, |cursor| cursor.0), limit],
                )
            })
            .await
    }

    /// The transfers on one collection, oldest first.
    ///
    /// # Errors
    /// As [`Custody::transfer`].
    pub async fn transfers_of(&self, collection: CollectionId) -> Result<Vec<TransferRow>, CustodyError> {
        let vault = self.vault();
        self.ledger()
            .ask(move |connection| {
                read_rows(
                    connection,
                    &vault,
                    "SELECT * FROM transfer WHERE collection = ?1 ORDER BY seq",
                    [collection.0],
                )
            })
            .await
    }

    /// What is due: urgent ones first, then the longest overdue.
    ///
    /// # Errors
    /// As [`Custody::transfer`].
    pub async fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<TransferRow>, CustodyError> {
        let vault = self.vault();
        self.ledger()
            .ask(move |connection| {
                read_rows(
                    connection,
                    &vault,
                    "SELECT *
                     FROM transfer
                     WHERE due_at <= ?1
                     ORDER BY urgent DESC, due_at, seq
                     LIMIT ?2",
                    params![micros(now), limit],
                )
            })
            .await
    }

    /// Transfers in a state, the oldest first, at most so many.
    ///
    /// # Errors
    /// As [`Custody::transfer`].
    pub async fn in_state(&self, kind: Kind, limit: u32) -> Result<Vec<TransferRow>, CustodyError> {
        let vault = self.vault();
        self.ledger()
            .ask(move |connection| {
                read_rows(
                    connection,
                    &vault,
                    "SELECT *
                     FROM transfer
                     WHERE direction = ?1 AND state = ?2
                     ORDER BY seq
                     LIMIT ?3",
                    params![kind.direction().as_str(), kind.as_str(), limit],
                )
            })
            .await
    }

    /// How many transfers have been in a state since before a moment: of whom people are reminded.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn waiting_since_before(&self, kind: Kind, before: Timestamp) -> Result<u32, CustodyError> {
        let direction = match kind {
            Kind::Outbound(_) => Direction::Outbound,
            Kind::Inbound(_) => Direction::Inbound,
        };
        self.ledger()
            .ask(move |connection| {
                let count = connection
                    .prepare_cached(
                        "SELECT count(*) FROM transfer WHERE direction = ?1 AND state = ?2 AND changed_at < ?3",
                    )?
                    .query_row(params![direction.as_str(), kind.as_str(), micros(before)], |row| row.get(0))?;
                Ok(count)
            })
            .await
    }

    /// When the next transfer is due.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, CustodyError> {
        self.ledger()
            .ask(|connection| {
                let next: Option<i64> = connection
                    .prepare_cached("SELECT min(due_at) FROM transfer WHERE due_at IS NOT NULL")?
                    .query_row([], |row| row.get(0))?;
                next.map(time).transpose()
            })
            .await
    }

    /// The sealed letter of a transfer, as it was frozen or fetched.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn letter(&self, id: TransferId) -> Result<Option<Vec<u8>>, CustodyError> {
        self.ledger()
            .ask(move |connection| {
                let letter = connection
                    .prepare_cached("SELECT letter FROM transfer WHERE id = ?1")?
                    .query_row([id.to_string()], |row| row.get::<_, Option<Vec<u8>>>(0))
                    .optional()?;
                Ok(letter.flatten())
            })
            .await
    }
}

pub(crate) fn read_rows(
    connection: &Connection,
    vault: &Vault,
    statement: &str,
    values: impl Params,
) -> Result<Vec<TransferRow>, CustodyError> {
    let mut statement = connection.prepare_cached(statement)?;
    let mut rows = statement.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read_row(row, vault)?);
    }
    Ok(found)
}

fn read_row(row: &Row<'_>, vault: &Vault) -> Result<TransferRow, CustodyError> {
    let id: String = row.get("id")?;
    let words: Option<Vec<u8>> = row.get("sealed_words")?;
    let confidential =
        words.map(|sealed| vault.open_json(Place::Transfer(&id), &sealed, "transfer's words")).transpose()?;
    let direction: String = row.get("direction")?;
    let direction = Direction::from_word(&direction).ok_or(CustodyError::unreadable("direction"))?;
    let changed_at = time_at(row, "changed_at")?;
    let task: (Option<String>, Option<String>) = (row.get("task_id")?, row.get("task_version")?);
    let waiting: Option<String> = row.get("waiting")?;
    Ok(TransferRow {
        id: text_at(row, "id")?,
        direction,
        state: read_state(row, direction, changed_at)?,
        collection: row.get::<_, Option<i64>>("collection")?.map(CollectionId),
        due_at: time_maybe(row, "due_at")?,
        attempts: row.get("attempts")?,
        waiting: waiting.and_then(|word| WaitReason::from_word(&word)),
        waiting_detail: row.get("waiting_text")?,
        waiting_since: time_maybe(row, "waiting_since")?,
        addressee: json_maybe(row, "addressee")?,
        sender: json_maybe(row, "sender")?,
        sender_hint: row.get("sender_hint")?,
        confidential,
        task: task.0.zip(task.1),
        letter_digest: row.get::<_, Option<[u8; 32]>>("letter_digest")?.map(Digest::from),
        letter_ref: row.get("letter_ref")?,
        urgent: row.get("urgent")?,
        created_at: time_at(row, "created_at")?,
        changed_at,
        cursor: Cursor(row.get("seq")?),
    })
}

/// A state that a later version wrote in a way this one cannot read is shown as held for the vendor; the row itself is
/// left alone.
pub(crate) fn read_state(
    row: &Row<'_>,
    direction: Direction,
    since: Timestamp,
) -> Result<State, CustodyError> {
    let json: String = row.get("state_data")?;
    let word: String = row.get("state")?;
    let reason = HoldReason::UnknownToThisVersion(word);
    Ok(match direction {
        Direction::Outbound => State::Outbound(parse(&json).unwrap_or_else(|| OutboundState::Held {
            back_to: Box::new(OutboundState::Queued { closed_at: since }),
            reason,
            since,
        })),
        Direction::Inbound => State::Inbound(parse(&json).unwrap_or_else(|| InboundState::Held {
            back_to: Box::new(InboundState::Announced),
            reason,
            since,
        })),
    })
}

fn parse<T: DeserializeOwned>(json: &str) -> Option<T> {
    serde_json::from_str(json).ok()
}

/// The state of an outbound row, for the list of studies.
pub(crate) fn outbound_state(row: &Row<'_>, since: Timestamp) -> Result<OutboundState, CustodyError> {
    match read_state(row, Direction::Outbound, since)? {
        State::Outbound(state) => Ok(state),
        State::Inbound(_) => Err(CustodyError::unreadable("state")),
    }
}
