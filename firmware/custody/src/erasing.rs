//! Erasing: the keys first, then the bytes.
//!
//! ```text
//!   COMMIT keys and words gone ──► log emptied ──► files unlinked ──► directory flushed ──► COMMIT "erased"
//! ```
//!
//! After the first commit nobody can read the images any more, this box included; everything behind it is cleaning up,
//! and start-up takes it up again from wherever it stopped.

use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::envelope::pack::PackId;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::audit::AuditRecord;
use crate::columns::{micros, pack_at, text_at, time_at};
use crate::disk::Disk;
use crate::error::CustodyError;
use crate::kind::{InboundKind, Kind, OutboundKind};
use crate::moves::allowed;
use crate::moving::state_json;
use crate::records::CollectionId;
use crate::state::{Direction, InboundState, OutboundState, State};
use crate::transfers::read_state;
use crate::vault::Vault;
use crate::{Custody, audit};

impl Custody {
    /// Erases a collection: keys, then bytes. All its transfers become *erased*, each with a row in the audit trail.
    /// Erasing again is erasing once.
    ///
    /// # Errors
    /// [`CustodyError::StillNeeded`] if any of its transfers is not over. A single queued transfer that nobody was
    /// sent anything of counts as over: a person removes the study. [`CustodyError::Unknown`] if there is no such
    /// collection.
    ///
    /// # Durability
    /// Once the keys' removal is committed the rest happens, now or after the next start. When this returns, keys and
    /// bytes are gone.
    ///
    /// # Cancellation
    /// Dropping the future between two steps leaves the rest to the next call or the next start.
    pub async fn erase(&self, collection: CollectionId, now: Timestamp) -> Result<(), CustodyError> {
        let packs = self.ledger().ask(move |connection| remove_keys(connection, collection, now)).await?;
        let Some(packs) = packs else { return Ok(()) };
        self.ledger().empty_log().await?;
        let disk = self.disk();
        let removing = tokio::task::spawn_blocking(move || remove_files(&disk, &packs));
        removing.await.map_err(|_| CustodyError::Closed)??;
        let vault = self.vault();
        self.ledger().ask(move |connection| finish(connection, &vault, collection, now)).await
    }
}

/// The first commit: afterwards nothing can be read. Gives the packs whose files have to go; nothing if it is all over
/// already.
pub(crate) fn remove_keys(
    connection: &Connection,
    collection: CollectionId,
    now: Timestamp,
) -> Result<Option<Vec<PackId>>, CustodyError> {
    let found: Option<(Option<i64>, Option<i64>)> = connection
        .prepare_cached("SELECT erasing_at, erased_at FROM collection WHERE id = ?1")?
        .query_row([collection.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match found {
        None => return Err(CustodyError::Unknown { what: "study" }),
        Some((_, Some(_))) => return Ok(None),
        Some((Some(_), None)) => {}
        Some((None, None)) => {
            check_over(connection, collection)?;
            for statement in [
                "UPDATE pack SET state = 'erasing', wrapped_key = NULL WHERE collection = ?1",
                "UPDATE transfer SET sealed_words = NULL, letter = NULL, due_at = NULL WHERE collection = ?1",
                "UPDATE collection SET sealed_study = NULL WHERE id = ?1",
            ] {
                connection.prepare_cached(statement)?.execute([collection.0])?;
            }
            connection
                .prepare_cached("UPDATE collection SET erasing_at = ?2 WHERE id = ?1")?
                .execute(params![collection.0, micros(now)])?;
        }
    }
    let mut statement = connection.prepare_cached("SELECT id FROM pack WHERE collection = ?1")?;
    let mut rows = statement.query([collection.0])?;
    let mut packs = Vec::new();
    while let Some(row) = rows.next()? {
        packs.push(pack_at(row, "id")?);
    }
    Ok(Some(packs))
}

/// Every transfer is over, or the only one is queued.
fn check_over(connection: &Connection, collection: CollectionId) -> Result<(), CustodyError> {
    let kinds: Vec<Kind> = live_transfers(connection, collection)?.iter().map(|live| live.kind).collect();
    let queued = Kind::Outbound(OutboundKind::Queued);
    let over = kinds.iter().all(|kind| {
        let erased = match kind {
            Kind::Outbound(_) => Kind::Outbound(OutboundKind::Erased),
            Kind::Inbound(_) => Kind::Inbound(InboundKind::Erased),
        };
        allowed(*kind, erased) && (*kind != queued || kinds.len() == 1)
    });
    if over { Ok(()) } else { Err(CustodyError::StillNeeded) }
}

/// A transfer that is not erased.
struct Live {
    seq: i64,
    id: String,
    /// As the ledger's own word says: a state of a later version may not be readable here.
    kind: Kind,
    state: State,
}

fn live_transfers(connection: &Connection, collection: CollectionId) -> Result<Vec<Live>, CustodyError> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, id, direction, state, state_data, changed_at
         FROM transfer
         WHERE collection = ?1 AND state <> 'erased'",
    )?;
    let mut rows = statement.query([collection.0])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let word: String = row.get("direction")?;
        let direction = Direction::from_word(&word).ok_or(CustodyError::unreadable("direction"))?;
        let word: String = row.get("state")?;
        let kind = match direction {
            Direction::Outbound => OutboundKind::from_word(&word).map(Kind::Outbound),
            Direction::Inbound => InboundKind::from_word(&word).map(Kind::Inbound),
        };
        let kind = kind.ok_or(CustodyError::unreadable("state"))?;
        let state = read_state(row, direction, time_at(row, "changed_at")?)?;
        found.push(Live { seq: row.get("seq")?, id: text_at(row, "id")?, kind, state });
    }
    Ok(found)
}

/// Removes the bytes. Files that are gone already are fine.
pub(crate) fn remove_files(disk: &Disk, packs: &[PackId]) -> Result<(), CustodyError> {
    for pack in packs {
        disk.remove_pack(pack)?;
    }
    disk.sync_packs()
}

/// The last commit: nothing is left but the transfers, their receipts and the audit trail.
pub(crate) fn finish(
    connection: &Connection,
    vault: &Vault,
    collection: CollectionId,
    now: Timestamp,
) -> Result<(), CustodyError> {
    for live in live_transfers(connection, collection)? {
        let erased = match &live.state {
            State::Outbound(_) => State::Outbound(OutboundState::Erased { at: now }),
            State::Inbound(state) => {
                // Of a state that cannot be read here nothing is known: then the PACS may have it.
                let in_pacs = state.in_pacs() || state.kind() == InboundKind::Held;
                State::Inbound(InboundState::Erased { at: now, in_pacs })
            }
        };
        let changed = connection
            .prepare_cached(
                "UPDATE transfer
                 SET state = 'erased', state_data = ?3, changed_at = ?4, due_at = NULL, waiting = NULL,
                     waiting_text = NULL, waiting_since = NULL, attempts = 0
                 WHERE seq = ?1 AND state = ?2",
            )?
            .execute(params![live.seq, live.kind.as_str(), state_json(&erased)?, micros(now)])?;
        if changed != 1 {
            return Err(CustodyError::Stale);
        }
        let record = AuditRecord {
            at: now,
            actor: "custody".to_owned(),
            action: "erased".to_owned(),
            transfer: live.id.parse().ok(),
            detail: Confidential::default(),
        };
        audit::append(connection, vault, &record)?;
    }
    for statement in [
        "DELETE FROM delivery WHERE transfer IN (SELECT seq FROM transfer WHERE collection = ?1)",
        "DELETE FROM sent_part WHERE transfer IN (SELECT seq FROM transfer WHERE collection = ?1)",
        "DELETE FROM part WHERE pack IN (SELECT row FROM pack WHERE collection = ?1)",
        "DELETE FROM instance WHERE collection = ?1",
        "DELETE FROM series WHERE collection = ?1",
        "DELETE FROM pack WHERE collection = ?1",
    ] {
        connection.prepare_cached(statement)?.execute([collection.0])?;
    }
    connection
        .prepare_cached("UPDATE collection SET erased_at = ?2 WHERE id = ?1 AND erased_at IS NULL")?
        .execute(params![collection.0, micros(now)])?;
    Ok(())
}
