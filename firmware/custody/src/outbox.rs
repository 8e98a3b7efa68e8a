//! What the world has to be told, receipts, and what the PACS answered: written in the commit that makes it true.

use beeldbox_protocol::ident::TransferId;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::Custody;
use crate::columns::{micros, text_maybe, time_at};
use crate::error::CustodyError;
use crate::transfer_records::{DeliveryRow, OutboxMessage, OutboxRow, ReceiptRow};
use crate::vault::{Place, Vault};

impl Custody {
    /// Puts something into the outbox that no move carries.
    ///
    /// # Errors
    /// If it was not committed.
    pub async fn put_outbox(&self, message: OutboxMessage) -> Result<(), CustodyError> {
        let vault = self.vault();
        self.ledger().ask(move |connection| insert(connection, &vault, &message)).await
    }

    /// What is due to be told, in the order of writing.
    ///
    /// # Errors
    /// If the ledger cannot be read or a payload does not open.
    pub async fn due_outbox(&self, now: Timestamp, limit: u32) -> Result<Vec<OutboxRow>, CustodyError> {
        let vault = self.vault();
        self.ledger()
            .ask(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT o.id, o.kind, t.id AS transfer, o.sealed_payload, o.due_at, o.attempts
                     FROM outbox o LEFT JOIN transfer t ON t.seq = o.transfer
                     WHERE o.due_at <= ?1
                     ORDER BY o.id
                     LIMIT ?2",
                )?;
                let mut rows = statement.query(params![micros(now), limit])?;
                let mut found = Vec::new();
                while let Some(row) = rows.next()? {
                    let id = row.get("id")?;
                    let message = OutboxMessage {
                        kind: row.get("kind")?,
                        transfer: text_maybe(row, "transfer")?,
                        payload: vault.open(Place::Outbox(id), &row.get::<_, Vec<u8>>("sealed_payload")?)?,
                        due_at: time_at(row, "due_at")?,
                    };
                    found.push(OutboxRow { id, message, attempts: row.get("attempts")? });
                }
                Ok(found)
            })
            .await
    }

    /// When the next message of the outbox is due.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn next_outbox_due(&self) -> Result<Option<Timestamp>, CustodyError> {
        self.ledger()
            .ask(|connection| {
                let next: Option<i64> = connection
                    .prepare_cached("SELECT min(due_at) FROM outbox")?
                    .query_row([], |row| row.get(0))?;
                next.map(crate::columns::time).transpose()
            })
            .await
    }

    /// Notes that telling failed and when to try again.
    ///
    /// # Errors
    /// If it was not committed.
    pub async fn postpone_outbox(&self, id: i64, due_at: Timestamp) -> Result<(), CustodyError> {
        self.ledger()
            .ask(move |connection| {
                connection
                    .prepare_cached("UPDATE outbox SET due_at = ?2, attempts = attempts + 1 WHERE id = ?1")?
                    .execute(params![id, micros(due_at)])?;
                Ok(())
            })
            .await
    }

    /// Removes what was told. Removing it twice is removing it once.
    ///
    /// # Errors
    /// If it was not committed.
    pub async fn drop_outbox(&self, id: i64) -> Result<(), CustodyError> {
        self.ledger()
            .ask(move |connection| {
                connection.prepare_cached("DELETE FROM outbox WHERE id = ?1")?.execute([id])?;
                Ok(())
            })
            .await
    }

    /// The receipts of a transfer, by stage.
    ///
    /// # Errors
    /// If the ledger cannot be read or a receipt does not open.
    pub async fn receipts(&self, transfer: TransferId) -> Result<Vec<ReceiptRow>, CustodyError> {
        let vault = self.vault();
        self.ledger()
            .ask(move |connection| {
                let id = transfer.to_string();
                let mut statement = connection.prepare_cached(
                    "SELECT r.stage, r.sealed_receipt, r.at
                     FROM receipt r JOIN transfer t ON t.seq = r.transfer
                     WHERE t.id = ?1
                     ORDER BY r.stage",
                )?;
                let mut rows = statement.query([&id])?;
                let mut found = Vec::new();
                while let Some(row) = rows.next()? {
                    let stage = row.get("stage")?;
                    let sealed: Vec<u8> = row.get("sealed_receipt")?;
                    let jws = vault.open(Place::Receipt(&id, stage), &sealed)?;
                    found.push(ReceiptRow { stage, jws, at: time_at(row, "at")? });
                }
                Ok(found)
            })
            .await
    }

    /// Notes what the PACS answered for instances. A later answer for the same instance replaces the earlier one.
    ///
    /// # Errors
    /// [`CustodyError::Unknown`] if there is no such transfer; then nothing is noted.
    pub async fn set_delivery(
        &self,
        transfer: TransferId,
        statuses: Vec<(i64, u16)>,
        now: Timestamp,
    ) -> Result<(), CustodyError> {
        self.ledger()
            .ask(move |connection| {
                let seq = transfer_seq(connection, transfer)?;
                let mut statement = connection.prepare_cached(
                    "INSERT INTO delivery (transfer, instance, status, at)
                     VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (transfer, instance) DO UPDATE SET status = excluded.status, at = excluded.at",
                )?;
                for (instance, status) in statuses {
                    statement.execute(params![seq, instance, status, micros(now)])?;
                }
                Ok(())
            })
            .await
    }

    /// What the PACS answered so far, by instance.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn deliveries(&self, transfer: TransferId) -> Result<Vec<DeliveryRow>, CustodyError> {
        self.ledger()
            .ask(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT d.instance, d.status, d.at
                     FROM delivery d JOIN transfer t ON t.seq = d.transfer
                     WHERE t.id = ?1
                     ORDER BY d.instance",
                )?;
                let mut rows = statement.query([transfer.to_string()])?;
                let mut found = Vec::new();
                while let Some(row) = rows.next()? {
                    found.push(DeliveryRow {
                        instance: row.get("instance")?,
                        status: row.get("status")?,
                        at: time_at(row, "at")?,
                    });
                }
                Ok(found)
            })
            .await
    }
}

/// The short name of a transfer inside the ledger.
pub(crate) fn transfer_seq(connection: &Connection, transfer: TransferId) -> Result<i64, CustodyError> {
    let seq = connection
        .prepare_cached("SELECT seq FROM transfer WHERE id = ?1")?
        .query_row([transfer.to_string()], |row| row.get(0))
        .optional()?;
    seq.ok_or(CustodyError::Unknown { what: "transfer" })
}

pub(crate) fn insert(
    connection: &Connection,
    vault: &Vault,
    message: &OutboxMessage,
) -> Result<(), CustodyError> {
    let transfer = message.transfer.map(|id| transfer_seq(connection, id)).transpose()?;
    // The seal names its row, so the row is made first; both are one commit.
    connection
        .prepare_cached(
            "INSERT INTO outbox (kind, transfer, sealed_payload, due_at) VALUES (?1, ?2, x'', ?3)",
        )?
        .execute(params![message.kind, transfer, micros(message.due_at)])?;
    let id = connection.last_insert_rowid();
    let sealed = vault.seal(Place::Outbox(id), &message.payload)?;
    connection
        .prepare_cached("UPDATE outbox SET sealed_payload = ?2 WHERE id = ?1")?
        .execute(params![id, sealed])?;
    Ok(())
}

/// Keeps a receipt; the first of each stage stays, because it is the proof that was acted upon.
pub(crate) fn record_receipt(
    connection: &Connection,
    vault: &Vault,
    seq: i64,
    id: &str,
    stage: u8,
    jws: &[u8],
    now: Timestamp,
) -> Result<(), CustodyError> {
    connection
        .prepare_cached(
            "INSERT INTO receipt (transfer, stage, sealed_receipt, at)
             VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (transfer, stage) DO NOTHING",
        )?
        .execute(params![seq, stage, vault.seal(Place::Receipt(id, stage), jws)?, micros(now)])?;
    Ok(())
}
