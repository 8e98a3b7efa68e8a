//! Moving a transfer: one commit that names the old and the new state and carries everything said about the move.

use beeldbox_protocol::ident::{Digest, TransferId};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::audit::AuditRecord;
use crate::columns::{micros, to_json};
use crate::error::CustodyError;
use crate::filing::WordsEdit;
use crate::kind::{Kind, OutboundKind};
use crate::moves::allowed;
use crate::reason::WaitReason;
use crate::records::CollectionId;
use crate::state::{InboundState, OutboundState, State};
use crate::transfer_records::{Changes, NewInbound};
use crate::vault::{Place, Vault};
use crate::{Custody, asks, audit, directory, filing, outbox, requests};

impl Custody {
    /// Moves a transfer. Leaving *collecting* closes the collection and its packs in the same commit.
    ///
    /// # Errors
    /// [`CustodyError::Stale`] if it is not in the old state any more: someone else moved first, look again.
    /// [`CustodyError::MoveNotAllowed`] if there is no such move. [`CustodyError::NotErasedYet`] for a move to *erased*
    /// while this transfer alone has the bytes: [`Custody::erase`] makes it.
    ///
    /// # Durability
    /// When this returns, the move and everything in `changes` survive a power cut; on error, nothing happened.
    ///
    /// # Cancellation
    /// Dropping the future does not take the move back: it may or may not be committed.
    pub async fn advance(
        &self,
        transfer: TransferId,
        from: impl Into<State>,
        to: impl Into<State>,
        changes: Changes,
        now: Timestamp,
    ) -> Result<(), CustodyError> {
        let (from, to): (State, State) = (from.into(), to.into());
        let goes_back = from.held_from().is_none_or(|back| back == to.kind() || to.kind().is_final());
        if !allowed(from.kind(), to.kind()) || !goes_back {
            return Err(CustodyError::MoveNotAllowed { from: from.kind(), to: to.kind() });
        }
        let vault = self.vault();
        self.ledger()
            .ask(move |connection| advance(connection, &vault, transfer, &from, &to, &changes, now))
            .await
    }

    /// Notes what a transfer waits for and when to try again; counts the attempt. `detail` is a sentence of the
    /// program, never text from elsewhere. `waiting_since` stays while the reason stays.
    ///
    /// # Errors
    /// [`CustodyError::Stale`] if it is not in this kind of state any more: what was tried is over.
    pub async fn set_waiting(
        &self,
        transfer: TransferId,
        state: Kind,
        reason: WaitReason,
        detail: Option<&'static str>,
        due_at: impl Into<Option<Timestamp>>,
        now: Timestamp,
    ) -> Result<(), CustodyError> {
        let due_at = due_at.into();
        self.ledger()
            .ask(move |connection| {
                let changed = connection
                    .prepare_cached(
                        "UPDATE transfer
                         SET waiting_since = CASE WHEN waiting IS ?2 THEN waiting_since ELSE ?3 END,
                             waiting = ?2,
                             waiting_text = ?4,
                             due_at = ?5,
                             attempts = attempts + 1
                         WHERE id = ?1 AND direction = ?6 AND state = ?7",
                    )?
                    .execute(params![
                        transfer.to_string(),
                        reason.as_str(),
                        micros(now),
                        detail,
                        due_at.map(micros),
                        state.direction().as_str(),
                        state.as_str()
                    ])?;
                if changed == 1 { Ok(()) } else { Err(CustodyError::Stale) }
            })
            .await
    }

    /// Puts a decision into what is stored sealed of a transfer that stays in its state, together with the record of it.
    ///
    /// # Errors
    /// [`CustodyError::Stale`] if it is not in this kind of state any more, or nothing is stored of it.
    ///
    /// # Durability
    /// When this returns, both survive a power cut; on error, nothing happened.
    pub async fn edit_words(
        &self,
        transfer: TransferId,
        state: Kind,
        edit: WordsEdit,
        record: AuditRecord,
    ) -> Result<(), CustodyError> {
        let vault = self.vault();
        self.ledger()
            .ask(move |connection| {
                let is_there = connection
                    .prepare_cached("SELECT 1 FROM transfer WHERE id = ?1 AND direction = ?2 AND state = ?3")?
                    .exists(params![transfer.to_string(), state.direction().as_str(), state.as_str()])?;
                if !is_there {
                    return Err(CustodyError::Stale);
                }
                filing::edit(connection, &vault, transfer, &edit)?;
                audit::append(connection, &vault, &record)
            })
            .await
    }

    /// Schedules a transfer without moving it, for instance at once because a person asked.
    ///
    /// # Errors
    /// [`CustodyError::Stale`] if it is not in this kind of state any more: its last move said when it is due.
    pub async fn set_due(
        &self,
        transfer: TransferId,
        state: Kind,
        due_at: Option<Timestamp>,
    ) -> Result<(), CustodyError> {
        self.ledger()
            .ask(move |connection| {
                let changed = connection
                    .prepare_cached(
                        "UPDATE transfer
                         SET due_at = ?2
                         WHERE id = ?1 AND direction = ?3 AND state = ?4",
                    )?
                    .execute(params![
                        transfer.to_string(),
                        due_at.map(micros),
                        state.direction().as_str(),
                        state.as_str()
                    ])?;
                if changed == 1 { Ok(()) } else { Err(CustodyError::Stale) }
            })
            .await
    }

    /// Notes that the portal announced a transfer to us. Says whether it is new; a known one changes nothing.
    ///
    /// # Errors
    /// If it was not committed.
    ///
    /// # Durability
    /// When this returns, the announcement survives a power cut.
    pub async fn announce(&self, new: NewInbound) -> Result<bool, CustodyError> {
        self.ledger()
            .ask(move |connection| {
                let state = crate::InboundState::Announced;
                let now = micros(new.now);
                let inserted = connection
                    .prepare_cached(
                        "INSERT INTO transfer (id, direction, state, state_data, due_at, urgent, sender_hint,
                                               task_id, task_version, letter_ref, created_at, changed_at)
                         VALUES (?1, 'inbound', ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?4, ?4)
                         ON CONFLICT (id) DO NOTHING",
                    )?
                    .execute(params![
                        new.id.to_string(),
                        state.kind().as_str(),
                        to_json(&state, "state")?,
                        now,
                        new.urgent,
                        new.sender_hint,
                        new.task_id,
                        new.task_version,
                        new.letter_ref
                    ])?;
                Ok(inserted == 1)
            })
            .await
    }
}

/// Makes an outbound transfer row.
pub(crate) fn insert_outbound(
    connection: &Connection,
    transfer: TransferId,
    collection: CollectionId,
    state: &OutboundState,
    now: Timestamp,
) -> Result<(), CustodyError> {
    connection
        .prepare_cached(
            "INSERT INTO transfer (id, direction, collection, state, state_data, created_at, changed_at)
             VALUES (?1, 'outbound', ?2, ?3, ?4, ?5, ?5)
             ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![
            transfer.to_string(),
            collection.0,
            state.kind().as_str(),
            to_json(state, "state")?,
            micros(now)
        ])?;
    Ok(())
}

/// The state as the ledger keeps it.
pub(crate) fn state_json(state: &State) -> Result<String, CustodyError> {
    match state {
        State::Outbound(state) => to_json(state, "state"),
        State::Inbound(state) => to_json(state, "state"),
    }
}

/// Where the name of a state is not enough to tell that nothing came between. A choice of an addressee that was undone
/// and made again is another one: what was sealed for the first addressee must not go out for the second. Progress
/// made meanwhile would be taken back by older progress, and by a hold, which names the state to go back to.
fn check_same_state(before: &State, to: &State, found: &str) -> Result<(), CustodyError> {
    let is_choice = matches!(before, State::Outbound(OutboundState::Addressed { .. }));
    let is_progress = before.kind() == to.kind();
    if !is_choice && !is_progress && to.held_from().is_none() {
        return Ok(());
    }
    let unreadable = |_| CustodyError::unreadable("state");
    let is_same = match before {
        State::Outbound(before) => {
            serde_json::from_str::<OutboundState>(found).map_err(unreadable)? == *before
        }
        State::Inbound(before) => serde_json::from_str::<InboundState>(found).map_err(unreadable)? == *before,
    };
    if is_same { Ok(()) } else { Err(CustodyError::Stale) }
}

/// Moves a transfer, with everything said about the move.
pub(crate) fn advance(
    connection: &Connection,
    vault: &Vault,
    transfer: TransferId,
    from: &State,
    to: &State,
    changes: &Changes,
    now: Timestamp,
) -> Result<(), CustodyError> {
    let id = transfer.to_string();
    let (before, from) = (from, from.kind());
    let moved = connection
        .prepare_cached(
            "SELECT seq, collection, state_data
             FROM transfer
             WHERE id = ?1 AND direction = ?2 AND state = ?3",
        )?
        .query_row(params![id, to.direction().as_str(), from.as_str()], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?, row.get::<_, String>(2)?))
        })
        .optional()?;
    let (seq, collection, state) = moved.ok_or(CustodyError::Stale)?;
    check_same_state(before, to, &state)?;
    if to.kind().as_str() == "erased" {
        check_bytes_are_not_ours(connection, seq, collection)?;
    }
    let confidential = changes.confidential.as_ref();
    let words = confidential.map(|words| vault.seal_json(Place::Transfer(&id), words)).transpose()?;
    let addressee = changes.addressee.as_ref().map(|who| to_json(who, "addressee")).transpose()?;
    let sender = changes.sender.as_ref().map(|who| to_json(who, "sender")).transpose()?;
    let letter_digest = changes.letter.as_ref().map(|letter| *Digest::of(letter).as_bytes());
    let changed = connection
        .prepare_cached(
            "UPDATE transfer
             SET state = ?3,
                 state_data = ?4,
                 changed_at = ?5,
                 due_at = ?6,
                 attempts = 0,
                 waiting = NULL,
                 waiting_text = NULL,
                 waiting_since = NULL,
                 urgent = iif(?15, 0, coalesce(?7, urgent)),
                 letter = coalesce(?8, letter),
                 letter_digest = coalesce(?9, letter_digest),
                 addressee = iif(?15, NULL, coalesce(?10, addressee)),
                 sender = coalesce(?11, sender),
                 sealed_words = iif(?15, NULL, coalesce(?12, sealed_words)),
                 task_id = coalesce(?13, task_id),
                 task_version = coalesce(?14, task_version)
             WHERE seq = ?1 AND state = ?2",
        )?
        .execute(params![
            seq,
            from.as_str(),
            to.kind().as_str(),
            state_json(to)?,
            micros(now),
            changes.due_at.map(micros),
            changes.urgent,
            changes.letter,
            letter_digest,
            addressee,
            sender,
            words,
            changes.task.as_ref().map(|task| &task.0),
            changes.task.as_ref().map(|task| &task.1),
            changes.unaddress,
        ])?;
    if changed != 1 {
        return Err(CustodyError::Stale);
    }
    if let Some(edit) = &changes.edit {
        filing::edit(connection, vault, transfer, edit)?;
    }
    if let Some(collection) = collection {
        open_or_close(connection, collection, from, to.kind(), now)?;
    }
    if let Some((stage, jws)) = &changes.receipt {
        outbox::record_receipt(connection, vault, seq, &id, *stage, jws, now)?;
    }
    if let Some(key) = &changes.known_key {
        directory::remember_key(connection, key)?;
    }
    if let Some(change) = &changes.ask {
        asks::apply(connection, vault, change, now)?;
    }
    for change in &changes.requests {
        requests::apply(connection, vault, change, now)?;
    }
    for message in &changes.outbox {
        outbox::insert(connection, vault, message)?;
    }
    for record in &changes.audit {
        audit::append(connection, vault, record)?;
    }
    Ok(())
}

/// Only erasing may say *erased*, unless there are no bytes or another transfer has them.
fn check_bytes_are_not_ours(
    connection: &Connection,
    seq: i64,
    collection: Option<i64>,
) -> Result<(), CustodyError> {
    let Some(collection) = collection else { return Ok(()) };
    let others: i64 = connection
        .prepare_cached(
            "SELECT count(*)
             FROM transfer
             WHERE collection = ?1 AND seq <> ?2 AND state <> 'erased'",
        )?
        .query_row(params![collection, seq], |row| row.get(0))?;
    if others == 0 { Err(CustodyError::NotErasedYet) } else { Ok(()) }
}

/// A collection is open for further instances exactly while its transfer collects.
fn open_or_close(
    connection: &Connection,
    collection: i64,
    from: Kind,
    to: Kind,
    now: Timestamp,
) -> Result<(), CustodyError> {
    let collecting = Kind::Outbound(OutboundKind::Collecting);
    if from == collecting && to != collecting {
        connection
            .prepare_cached("UPDATE collection SET closed_at = ?2 WHERE id = ?1")?
            .execute(params![collection, micros(now)])?;
        connection
            .prepare_cached("UPDATE pack SET state = 'closed' WHERE collection = ?1 AND state = 'open'")?
            .execute([collection])?;
    } else if to == collecting {
        connection
            .prepare_cached("UPDATE collection SET closed_at = NULL WHERE id = ?1")?
            .execute([collection])?;
    }
    Ok(())
}
