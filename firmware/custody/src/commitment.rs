//! Storage commitment: what a peer asked us to answer for, judged when it asks and kept until it was told.
//!
//! We answer for an instance exactly when it is in custody: sealed, flushed, in the ledger, its keys not erased. The
//! request and the judgement are one commit, so whatever happens afterwards the peer is told. PS3.4 annex J.

use beeldbox_protocol::ident::{AeTitle, SopClassUid, SopInstanceUid, TransactionUid, TransferId};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::Custody;
use crate::columns::{micros, text_at, time};
use crate::error::CustodyError;

/// An instance, as a request names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitmentItem {
    /// Referenced SOP Class UID.
    pub sop_class: SopClassUid,
    /// Referenced SOP Instance UID.
    pub sop_instance: SopInstanceUid,
}

/// Why we do not answer for an instance. The numbers are those of the standard (PS3.3 C.14.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitmentFailure {
    /// We have it, but it is damaged.
    ProcessingFailure,
    /// We do not have it.
    NoSuchObjectInstance,
    /// We have it as an instance of another class.
    ClassInstanceConflict,
}

impl CommitmentFailure {
    const ALL: [CommitmentFailure; 3] = [
        CommitmentFailure::ProcessingFailure,
        CommitmentFailure::NoSuchObjectInstance,
        CommitmentFailure::ClassInstanceConflict,
    ];

    /// Failure Reason (0008,1197).
    pub fn code(self) -> u16 {
        match self {
            CommitmentFailure::ProcessingFailure => 0x0110,
            CommitmentFailure::NoSuchObjectInstance => 0x0112,
            CommitmentFailure::ClassInstanceConflict => 0x0119,
        }
    }
}

/// What a peer has to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitmentReport {
    /// Its name inside the ledger.
    pub id: i64,
    /// The name that the peer gave its request.
    pub transaction: TransactionUid,
    /// Who asked.
    pub requestor_ae: AeTitle,
    /// What we answer for.
    pub committed: Vec<CommitmentItem>,
    /// What we do not answer for, and why.
    pub failed: Vec<(CommitmentItem, CommitmentFailure)>,
    /// Times that telling failed.
    pub attempts: u32,
}

impl Custody {
    /// Takes a request and judges it; it is due to be told at `due_at`. The same request again is judged again.
    ///
    /// # Errors
    /// If it was not committed.
    ///
    /// # Durability
    /// When this returns, request and judgement survive a power cut until [`Custody::commitment_told`].
    pub async fn request_commitment(
        &self,
        requestor_ae: AeTitle,
        transaction: TransactionUid,
        items: Vec<CommitmentItem>,
        now: Timestamp,
        due_at: Timestamp,
    ) -> Result<CommitmentReport, CustodyError> {
        self.ledger()
            .ask(move |connection| {
                let id = insert_request(connection, &requestor_ae, &transaction, now, due_at)?;
                for (place, item) in (0_i64..).zip(&items) {
                    insert_item(connection, id, place, item, judge(connection, item)?)?;
                }
                read(connection, id)
            })
            .await
    }

    /// What is due to be told, oldest first.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn due_commitments(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<CommitmentReport>, CustodyError> {
        self.ledger()
            .ask(move |connection| {
                let ids: Vec<i64> = connection
                    .prepare_cached(
                        "SELECT id FROM commitment WHERE due_at <= ?1 ORDER BY due_at, id LIMIT ?2",
                    )?
                    .query_map(params![micros(now), limit], |row| row.get(0))?
                    .collect::<Result<_, _>>()?;
                ids.into_iter().map(|id| read(connection, id)).collect()
            })
            .await
    }

    /// When the next report is due.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn next_commitment_due(&self) -> Result<Option<Timestamp>, CustodyError> {
        self.ledger()
            .ask(|connection| {
                let next: Option<i64> = connection
                    .prepare_cached("SELECT min(due_at) FROM commitment")?
                    .query_row([], |row| row.get(0))?;
                next.map(time).transpose()
            })
            .await
    }

    /// The peer was told: the request is over.
    ///
    /// # Errors
    /// If it was not committed; it is then told again, which the peer must bear.
    pub async fn commitment_told(&self, id: i64) -> Result<(), CustodyError> {
        self.ledger()
            .ask(move |connection| {
                for statement in [
                    "DELETE FROM commitment_item WHERE commitment = ?1",
                    "DELETE FROM commitment WHERE id = ?1",
                ] {
                    connection.prepare_cached(statement)?.execute([id])?;
                }
                Ok(())
            })
            .await
    }

    /// Telling failed: again at this time.
    ///
    /// # Errors
    /// If it was not committed.
    pub async fn postpone_commitment(&self, id: i64, due_at: Timestamp) -> Result<(), CustodyError> {
        self.ledger()
            .ask(move |connection| {
                connection
                    .prepare_cached(
                        "UPDATE commitment SET due_at = ?2, attempts = attempts + 1 WHERE id = ?1",
                    )?
                    .execute(params![id, micros(due_at)])?;
                Ok(())
            })
            .await
    }

    /// Studies that are still open and of which a request names every instance that came: its sender believes that they
    /// are complete.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn studies_completed_by(&self, commitment: i64) -> Result<Vec<TransferId>, CustodyError> {
        self.ledger()
            .ask(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT t.id AS transfer
                     FROM (SELECT i.collection, count(DISTINCT i.id) AS named
                           FROM commitment_item m JOIN instance i ON i.sop_instance = m.sop_instance
                           WHERE m.commitment = ?1
                           GROUP BY i.collection) n
                     JOIN collection c ON c.id = n.collection
                     JOIN transfer t ON t.collection = c.id
                     WHERE t.direction = 'outbound' AND t.state = 'collecting' AND n.named = c.instances
                     ORDER BY t.seq",
                )?;
                let mut rows = statement.query([commitment])?;
                let mut found = Vec::new();
                while let Some(row) = rows.next()? {
                    found.push(text_at(row, "transfer")?);
                }
                Ok(found)
            })
            .await
    }
}

fn insert_request(
    connection: &Connection,
    requestor_ae: &AeTitle,
    transaction: &TransactionUid,
    now: Timestamp,
    due_at: Timestamp,
) -> Result<i64, CustodyError> {
    let id = connection
        .prepare_cached(
            "INSERT INTO commitment (requestor_ae, transaction_uid, requested_at, due_at)
             VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (requestor_ae, transaction_uid) DO UPDATE SET due_at = excluded.due_at
             RETURNING id",
        )?
        .query_row(
            params![requestor_ae.as_str(), transaction.as_str(), micros(now), micros(due_at)],
            |row| row.get(0),
        )?;
    connection.prepare_cached("DELETE FROM commitment_item WHERE commitment = ?1")?.execute([id])?;
    Ok(id)
}

fn insert_item(
    connection: &Connection,
    commitment: i64,
    place: i64,
    item: &CommitmentItem,
    failure: Option<CommitmentFailure>,
) -> Result<(), CustodyError> {
    connection
        .prepare_cached(
            "INSERT INTO commitment_item (commitment, item, sop_class, sop_instance, failure)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            commitment,
            place,
            item.sop_class.as_str(),
            item.sop_instance.as_str(),
            failure.map(CommitmentFailure::code)
        ])?;
    Ok(())
}

/// Whether we answer for an instance. Of several of one name, one that is whole is enough.
fn judge(connection: &Connection, item: &CommitmentItem) -> Result<Option<CommitmentFailure>, CustodyError> {
    let best: Option<(bool, bool)> = connection
        .prepare_cached(
            "SELECT i.sop_class = ?2 AS same_class, i.damaged
             FROM instance i JOIN pack p ON p.row = i.pack JOIN collection c ON c.id = i.collection
             WHERE i.sop_instance = ?1 AND c.direction = 'outbound' AND p.wrapped_key IS NOT NULL
             ORDER BY same_class DESC, i.damaged
             LIMIT 1",
        )?
        .query_row(params![item.sop_instance.as_str(), item.sop_class.as_str()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    Ok(match best {
        None => Some(CommitmentFailure::NoSuchObjectInstance),
        Some((false, _)) => Some(CommitmentFailure::ClassInstanceConflict),
        Some((true, true)) => Some(CommitmentFailure::ProcessingFailure),
        Some((true, false)) => None,
    })
}

fn read(connection: &Connection, id: i64) -> Result<CommitmentReport, CustodyError> {
    let mut report = connection
        .prepare_cached("SELECT requestor_ae, transaction_uid, attempts FROM commitment WHERE id = ?1")?
        .query_row([id], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, u32>(2)?))
        })
        .optional()?
        .ok_or(CustodyError::Unknown { what: "storage commitment request" })
        .and_then(|(requestor, transaction, attempts)| {
            let unreadable = |_| CustodyError::unreadable("storage commitment request");
            Ok(CommitmentReport {
                id,
                transaction: transaction.parse().map_err(unreadable)?,
                requestor_ae: requestor.parse().map_err(unreadable)?,
                committed: Vec::new(),
                failed: Vec::new(),
                attempts,
            })
        })?;
    let mut statement = connection.prepare_cached(
        "SELECT sop_class, sop_instance, failure FROM commitment_item WHERE commitment = ?1 ORDER BY item",
    )?;
    let mut rows = statement.query([id])?;
    while let Some(row) = rows.next()? {
        let item = CommitmentItem {
            sop_class: text_at(row, "sop_class")?,
            sop_instance: text_at(row, "sop_instance")?,
        };
        let failure: Option<u16> = row.get("failure")?;
        let known =
            failure.and_then(|code| CommitmentFailure::ALL.into_iter().find(|known| known.code() == code));
        match (failure, known) {
            (None, _) => report.committed.push(item),
            (Some(_), known) => {
                report.failed.push((item, known.unwrap_or(CommitmentFailure::ProcessingFailure)))
            }
        }
    }
    Ok(report)
}
