//! What two boxes ask each other about a transfer after it was collected: to give it back.
//!
//! ```text
//!   outbound   asking ──portal has it──► asked ──► granted | refused
//!   inbound    open (a person must look) ──► granted | refused          or granted at once: nothing was in the PACS
//! ```
//!
//! A question changes in the commit of what makes it true: with the move of its transfer, or alone with what must be
//! told about it.

use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::{Digest, TransferId};
use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};

use crate::audit::AuditRecord;
use crate::columns::{micros, text_at, time_at};
use crate::error::CustodyError;
use crate::outbox::transfer_seq;
use crate::state::Direction;
use crate::transfer_records::OutboxMessage;
use crate::vault::{Place, Vault};
use crate::{Custody, audit, outbox};

/// Where a question stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AskState {
    /// Ours: on its way to the portal.
    Asking,
    /// Ours: the portal has it; the other hospital has to answer.
    Asked,
    /// Theirs: a person here has to answer.
    Open,
    /// What was asked for is done.
    Granted,
    /// It is not done, and will not be.
    Refused,
}

impl AskState {
    /// All of them.
    pub const ALL: [AskState; 5] =
        [AskState::Asking, AskState::Asked, AskState::Open, AskState::Granted, AskState::Refused];

    /// Its word in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            AskState::Asking => "asking",
            AskState::Asked => "asked",
            AskState::Open => "open",
            AskState::Granted => "granted",
            AskState::Refused => "refused",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        AskState::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether a question may go from here to there.
    pub fn may_become(self, to: AskState) -> bool {
        match self {
            AskState::Asking => matches!(to, AskState::Asked | AskState::Granted | AskState::Refused),
            AskState::Asked | AskState::Open => matches!(to, AskState::Granted | AskState::Refused),
            AskState::Granted | AskState::Refused => false,
        }
    }
}

/// What people wrote. Stored sealed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AskWords {
    /// Why.
    pub reason: Confidential,
    /// Who asks, on the side that asks.
    pub by: String,
}

/// A question.
#[derive(Debug, Clone)]
pub struct NewAsk {
    /// Its Task at the portal; the transfer's own id if the transfer was cancelled there while it was being delivered.
    pub id: TransferId,
    /// About which transfer.
    pub about: TransferId,
    /// Outbound: we ask.
    pub direction: Direction,
    /// Where it begins.
    pub state: AskState,
    /// What people wrote.
    pub words: AskWords,
    /// The sealed letter that carries it, where we ask; the digest of the letter stays.
    pub letter: Option<Vec<u8>>,
    /// Digest of the letter.
    pub letter_digest: Option<Digest>,
}

/// A question as the ledger has it.
#[derive(Debug, Clone)]
pub struct AskRow {
    /// What it is.
    pub ask: NewAsk,
    /// When it was made or came.
    pub created_at: Timestamp,
    /// When it last changed.
    pub changed_at: Timestamp,
}

/// A change of a question, part of a commit.
#[derive(Debug, Clone)]
pub enum AskChange {
    /// It is new. One that is known changes nothing.
    New(NewAsk),
    /// It moves.
    Move {
        /// Which.
        id: TransferId,
        /// From where.
        from: AskState,
        /// To where.
        to: AskState,
    },
}

impl Custody {
    /// Changes a question without moving its transfer.
    ///
    /// # Errors
    /// [`CustodyError::Stale`] if it is not where it was believed to be.
    ///
    /// # Durability
    /// When this returns, the change, the messages and the audit records survive a power cut, all of them.
    pub async fn change_ask(
        &self,
        change: AskChange,
        messages: Vec<OutboxMessage>,
        records: Vec<AuditRecord>,
        now: Timestamp,
    ) -> Result<(), CustodyError> {
        let vault = self.vault();
        self.ledger()
            .ask(move |connection| {
                apply(connection, &vault, &change, now)?;
                for message in &messages {
                    outbox::insert(connection, &vault, message)?;
                }
                for record in &records {
                    audit::append(connection, &vault, record)?;
                }
                Ok(())
            })
            .await
    }

    /// The question with this Task.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn ask(&self, id: TransferId) -> Result<Option<AskRow>, CustodyError> {
        let vault = self.vault();
        self.ledger()
            .ask(move |connection| Ok(read(connection, &vault, "a.id = ?1", &id.to_string())?.pop()))
            .await
    }

    /// The questions about a transfer, oldest first.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn asks_about(&self, transfer: TransferId) -> Result<Vec<AskRow>, CustodyError> {
        let vault = self.vault();
        self.ledger()
            .ask(move |connection| read(connection, &vault, "t.id = ?1", &transfer.to_string()))
            .await
    }

    /// How many questions wait for a person here.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn open_asks(&self) -> Result<u32, CustodyError> {
        self.ledger()
            .ask(|connection| {
                let count = connection
                    .prepare_cached("SELECT count(*) FROM ask WHERE state = 'open'")?
                    .query_row([], |row| row.get(0))?;
                Ok(count)
            })
            .await
    }
}

/// Makes the change inside a commit.
pub(crate) fn apply(
    connection: &Connection,
    vault: &Vault,
    change: &AskChange,
    now: Timestamp,
) -> Result<(), CustodyError> {
    match change {
        AskChange::New(ask) => {
            let id = ask.id.to_string();
            let about = transfer_seq(connection, ask.about)?;
            let letter_digest = ask.letter.as_ref().map(|letter| Digest::of(letter)).or(ask.letter_digest);
            connection
                .prepare_cached(
                    "INSERT INTO ask (id, about, direction, state, sealed_words, letter, letter_digest, created_at, changed_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)
                     ON CONFLICT (id) DO NOTHING",
                )?
                .execute(params![
                    id,
                    about,
                    ask.direction.as_str(),
                    ask.state.as_str(),
                    vault.seal_json(Place::Ask(&id), &ask.words)?,
                    ask.letter,
                    letter_digest.map(|digest| *digest.as_bytes()),
                    micros(now)
                ])?;
            Ok(())
        }
        AskChange::Move { id, from, to } => {
            if !from.may_become(*to) {
                return Err(CustodyError::Stale);
            }
            let changed = connection
                .prepare_cached("UPDATE ask SET state = ?3, changed_at = ?4 WHERE id = ?1 AND state = ?2")?
                .execute(params![id.to_string(), from.as_str(), to.as_str(), micros(now)])?;
            if changed == 1 { Ok(()) } else { Err(CustodyError::Stale) }
        }
    }
}

fn read(
    connection: &Connection,
    vault: &Vault,
    whose: &'static str,
    id: &str,
) -> Result<Vec<AskRow>, CustodyError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT a.*, t.id AS about_id FROM ask a JOIN transfer t ON t.seq = a.about WHERE {whose} ORDER BY a.created_at"
    ))?;
    let mut rows = statement.query([id])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read_row(row, vault)?);
    }
    Ok(found)
}

fn read_row(row: &Row<'_>, vault: &Vault) -> Result<AskRow, CustodyError> {
    let id: String = row.get("id")?;
    let sealed: Vec<u8> = row.get("sealed_words")?;
    let (direction, state): (String, String) = (row.get("direction")?, row.get("state")?);
    let ask = NewAsk {
        words: vault.open_json(Place::Ask(&id), &sealed, "words of a question")?,
        id: text_at(row, "id")?,
        about: text_at(row, "about_id")?,
        direction: Direction::from_word(&direction).ok_or(CustodyError::unreadable("direction"))?,
        state: AskState::from_word(&state).ok_or(CustodyError::unreadable("state"))?,
        letter: row.get("letter")?,
        letter_digest: row.get::<_, Option<[u8; 32]>>("letter_digest")?.map(Digest::from),
    };
    Ok(AskRow { ask, created_at: time_at(row, "created_at")?, changed_at: time_at(row, "changed_at")? })
}
