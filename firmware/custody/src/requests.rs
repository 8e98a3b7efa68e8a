//! Images that hospitals ask each other for.
//!
//! A request changes in one commit with what must be told about it and, where a transfer makes it true, with the move of
//! that transfer. Where it may go is in `request_state.rs`.

use beeldbox_protocol::clinical::{Confidential, Patient};
use beeldbox_protocol::ident::{AddresseeId, TransferId, Ura};
use beeldbox_protocol::imaging_request::{RequestRefusal, WantedImages};
use jiff::Timestamp;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use crate::audit::AuditRecord;
use crate::columns::{micros, to_json};
use crate::error::CustodyError;
use crate::records::Cursor;
use crate::request_state::RequestState;
use crate::state::Direction;
use crate::transfer_records::OutboxMessage;
use crate::vault::{Place, Vault};
use crate::{Custody, audit, outbox};

/// Most unbelieved requests that are kept; more would be somebody's way to fill the disk.
const MAX_UNBELIEVED: u32 = 1000;

/// The other hospital, as its certificate says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestPartner {
    /// URA of the organisation.
    pub ura: Ura,
    /// Its name.
    pub name: String,
    /// Its department: the one that we ask, or as its letter says.
    #[serde(default)]
    pub department: Option<String>,
    /// Whom we ask: its id in the directory. Nothing where they ask.
    #[serde(default)]
    pub addressee: Option<AddresseeId>,
}

/// What was asked. Stored sealed, and forgotten some time after the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestWords {
    /// Of whom the images are.
    pub patient: Patient,
    /// Which images, and for whom.
    pub wanted: WantedImages,
    /// Why.
    pub reason: Confidential,
    /// Whom to call back.
    pub reply_contact: Option<Confidential>,
    /// Who asks, on the side that asks.
    pub by: Option<String>,
}

/// A request.
#[derive(Debug, Clone)]
pub struct NewRequest {
    /// Its Task at the portal.
    pub id: TransferId,
    /// Outbound: we ask.
    pub direction: Direction,
    /// Where it begins.
    pub state: RequestState,
    /// The other hospital.
    pub partner: RequestPartner,
    /// Whether to hurry.
    pub urgent: bool,
    /// What is asked; nothing once forgotten.
    pub words: Option<RequestWords>,
    /// The sealed letter that carries it, where we ask.
    pub letter: Option<Vec<u8>>,
    /// Until when it can be answered.
    pub valid_until: Timestamp,
}

/// A request as the ledger has it.
#[derive(Debug, Clone)]
pub struct RequestRow {
    /// What it is.
    pub request: NewRequest,
    /// Why it was refused.
    pub refusal: Option<RequestRefusal>,
    /// The transfers that answer it, oldest first.
    pub answers: Vec<TransferId>,
    /// When it was made or came.
    pub created_at: Timestamp,
    /// When it last changed.
    pub changed_at: Timestamp,
    /// Its place in the list.
    pub cursor: Cursor,
}

/// A change of a request, part of a commit.
#[derive(Debug, Clone)]
pub enum RequestChange {
    /// It is new.
    New(Box<NewRequest>),
    /// It moves.
    Move {
        /// Which.
        id: TransferId,
        /// From where.
        from: RequestState,
        /// To where.
        to: RequestState,
        /// Why it was refused, if it was.
        refusal: Option<RequestRefusal>,
    },
    /// A transfer answers it. Telling it twice is telling it once.
    Answer {
        /// Which.
        id: TransferId,
        /// The transfer.
        transfer: TransferId,
    },
}

/// Something that came as a request and is not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnbelievedRequest {
    /// Its Task at the portal.
    pub id: TransferId,
    /// The URA that the portal names as its sender.
    pub claimed_sender: String,
    /// Why not.
    pub why: String,
    /// When it came.
    pub at: Timestamp,
}

impl Custody {
    /// Changes requests without moving a transfer.
    ///
    /// # Errors
    /// [`CustodyError::Stale`] if one is not where it was believed to be, or is not new.
    ///
    /// # Durability
    /// When this returns, the changes, the messages and the audit records survive a power cut, all of them.
    pub async fn change_requests(
        &self,
        changes: Vec<RequestChange>,
        messages: Vec<OutboxMessage>,
        records: Vec<AuditRecord>,
        now: Timestamp,
    ) -> Result<(), CustodyError> {
        let vault = self.vault();
        self.ledger()
            .ask(move |connection| {
                for change in &changes {
                    apply(connection, &vault, change, now)?;
                }
                tell(connection, &vault, &messages, &records)
            })
            .await
    }

    /// Notes that something came as a request and is not believed. Says whether that is new; what is known, or is a
    /// request by now, changes nothing and is not recorded again.
    ///
    /// # Errors
    /// If it was not committed.
    pub async fn note_unbelieved(
        &self,
        unbelieved: UnbelievedRequest,
        record: AuditRecord,
    ) -> Result<bool, CustodyError> {
        let vault = self.vault();
        self.ledger()
            .ask(move |connection| {
                let UnbelievedRequest { id, claimed_sender, why, at } = &unbelieved;
                let inserted = connection
                    .prepare_cached(
                        "INSERT INTO unbelieved_request (id, claimed_sender, why, at)
                         SELECT ?1, ?2, ?3, ?4
                         WHERE (SELECT count(*) FROM unbelieved_request) < ?5
                           AND NOT EXISTS (SELECT 1 FROM request WHERE id = ?1)
                         ON CONFLICT (id) DO NOTHING",
                    )?
                    .execute(params![id.to_string(), claimed_sender, why, micros(*at), MAX_UNBELIEVED])?;
                if inserted == 1 {
                    audit::append(connection, &vault, &record)?;
                }
                Ok(inserted == 1)
            })
            .await
    }

    /// Puts something aside that is not believed. Says whether there was something.
    ///
    /// # Errors
    /// If it was not committed; nothing is told then.
    pub async fn put_aside_unbelieved(
        &self,
        id: TransferId,
        messages: Vec<OutboxMessage>,
        records: Vec<AuditRecord>,
    ) -> Result<bool, CustodyError> {
        let vault = self.vault();
        self.ledger()
            .ask(move |connection| {
                let is_gone = forget_unbelieved(connection, id)?;
                if is_gone {
                    tell(connection, &vault, &messages, &records)?;
                }
                Ok(is_gone)
            })
            .await
    }

    /// Forgets what was asked in requests that ended before a moment, or could be answered no more since: a promise may be
    /// broken, and a portal may forget. That they were made, and how they ended, stays.
    ///
    /// # Errors
    /// If it was not committed.
    pub async fn forget_requests(&self, ended_before: Timestamp) -> Result<(), CustodyError> {
        self.ledger()
            .ask(move |connection| {
                connection
                    .prepare_cached(
                        "UPDATE request SET sealed_words = NULL, letter = NULL
                         WHERE sealed_words IS NOT NULL
                           AND (valid_until < ?1
                                OR changed_at < ?1 AND state IN ('answered', 'refused', 'withdrawn', 'expired'))",
                    )?
                    .execute([micros(ended_before)])?;
                Ok(())
            })
            .await
    }
}

fn tell(
    connection: &Connection,
    vault: &Vault,
    messages: &[OutboxMessage],
    records: &[AuditRecord],
) -> Result<(), CustodyError> {
    for message in messages {
        outbox::insert(connection, vault, message)?;
    }
    for record in records {
        audit::append(connection, vault, record)?;
    }
    Ok(())
}

fn forget_unbelieved(connection: &Connection, id: TransferId) -> Result<bool, CustodyError> {
    let gone = connection
        .prepare_cached("DELETE FROM unbelieved_request WHERE id = ?1")?
        .execute([id.to_string()])?;
    Ok(gone == 1)
}

/// Makes the change inside a commit.
pub(crate) fn apply(
    connection: &Connection,
    vault: &Vault,
    change: &RequestChange,
    now: Timestamp,
) -> Result<(), CustodyError> {
    match change {
        RequestChange::New(request) => insert(connection, vault, request, now),
        RequestChange::Move { id, from, to, refusal } => {
            if !from.may_become(*to) {
                return Err(CustodyError::Stale);
            }
            let changed = connection
                .prepare_cached(
                    "UPDATE request SET state = ?3, changed_at = ?4, refusal = coalesce(?5, refusal)
                     WHERE id = ?1 AND state = ?2",
                )?
                .execute(params![
                    id.to_string(),
                    from.as_str(),
                    to.as_str(),
                    micros(now),
                    refusal.map(RequestRefusal::code)
                ])?;
            if changed == 1 { Ok(()) } else { Err(CustodyError::Stale) }
        }
        RequestChange::Answer { id, transfer } => {
            connection
                .prepare_cached(
                    "INSERT INTO request_answer (request, transfer, at)
                     SELECT seq, ?2, ?3 FROM request WHERE id = ?1
                     ON CONFLICT (request, transfer) DO NOTHING",
                )?
                .execute(params![id.to_string(), transfer.to_string(), micros(now)])?;
            Ok(())
        }
    }
}

fn insert(
    connection: &Connection,
    vault: &Vault,
    request: &NewRequest,
    now: Timestamp,
) -> Result<(), CustodyError> {
    let id = request.id.to_string();
    let words = request.words.as_ref();
    let words = words.map(|words| vault.seal_json(Place::Request(&id), words)).transpose()?;
    let inserted = connection
        .prepare_cached(
            "INSERT INTO request (id, direction, state, partner, urgent, sealed_words, letter, valid_until,
                                  created_at, changed_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)
             ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![
            id,
            request.direction.as_str(),
            request.state.as_str(),
            to_json(&request.partner, "partner of a request")?,
            request.urgent,
            words,
            request.letter,
            micros(request.valid_until),
            micros(now)
        ])?;
    if inserted != 1 {
        return Err(CustodyError::Stale);
    }
    forget_unbelieved(connection, request.id)?;
    Ok(())
}
