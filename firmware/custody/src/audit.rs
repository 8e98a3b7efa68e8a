//! The audit trail: who did what and when, each row chained to the one before.
//!
//! A row's digest covers the previous row's digest and everything in the row as it is stored, so a row that was
//! changed, removed from the middle or put elsewhere breaks the chain for anyone who reads it. Triggers refuse changes
//! and deletions by this program; the chain shows those made behind its back.

use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::{Digest, TransferId};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::columns::{digest_at, micros, text_maybe, time_at};
use crate::error::CustodyError;
use crate::vault::{Place, Vault};
use crate::{Cursor, Custody};

/// Something that goes into the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// When.
    pub at: Timestamp,
    /// Who: an account, or a part of the program.
    pub actor: String,
    /// What, in one word.
    pub action: String,
    /// About which transfer.
    pub transfer: Option<TransferId>,
    /// The rest. Stored sealed, because it may name a patient.
    pub detail: Confidential,
}

/// A row of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its number: 1, 2, 3, … without a gap.
    pub seq: i64,
    /// What was recorded.
    pub record: AuditRecord,
    /// Digest of the row before; zeros for the first.
    pub previous: Digest,
    /// Digest of this row.
    pub digest: Digest,
}

impl Custody {
    /// Adds a row to the audit trail.
    ///
    /// # Errors
    /// If it was not committed.
    ///
    /// # Durability
    /// When this returns, the row survives a power cut.
    pub async fn append_audit(&self, record: AuditRecord) -> Result<(), CustodyError> {
        let vault = self.vault();
        self.ledger().ask(move |connection| append(connection, &vault, &record)).await
    }

    /// A page of the audit trail, newest first, behind the row with the number in the cursor.
    ///
    /// # Errors
    /// If the ledger cannot be read or a row does not open.
    pub async fn audit(&self, before: Option<Cursor>, limit: u32) -> Result<Vec<AuditRow>, CustodyError> {
        let vault = self.vault();
        self.ledger()
            .ask(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT *
                     FROM audit
                     WHERE seq < ?1
                     ORDER BY seq DESC
                     LIMIT ?2",
                )?;
                let before = before.map_or(i64::MAX, |cursor| cursor.0);
                let mut rows = statement.query(params![before, limit])?;
                let mut found = Vec::new();
                while let Some(row) = rows.next()? {
                    found.push(read_row(row, &vault)?);
                }
                Ok(found)
            })
            .await
    }

    /// Follows the whole chain and gives its length.
    ///
    /// # Errors
    /// [`CustodyError::LedgerCorrupt`] with the number of the first row that does not fit.
    pub async fn verify_audit(&self) -> Result<u64, CustodyError> {
        self.ledger().ask(verify_chain).await
    }
}

pub(crate) fn append(
    connection: &Connection,
    vault: &Vault,
    record: &AuditRecord,
) -> Result<(), CustodyError> {
    let last = connection
        .prepare_cached("SELECT seq, digest FROM audit ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 32]>(1)?)))
        .optional()?;
    let (last_seq, previous) = last.unwrap_or((0, [0; 32]));
    let seq = last_seq.checked_add(1).ok_or(CustodyError::unreadable("audit number"))?;
    let sealed = vault.seal(Place::Audit(seq), record.detail.reveal().as_bytes())?;
    let transfer = record.transfer.map(|id| id.to_string());
    let row = Chained {
        previous: &previous,
        seq,
        at: micros(record.at),
        actor: &record.actor,
        action: &record.action,
        transfer: transfer.as_deref(),
        sealed: &sealed,
    };
    connection
        .prepare_cached(
            "INSERT INTO audit (seq, at, actor, action, transfer, sealed_detail, previous, digest)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            seq,
            row.at,
            row.actor,
            row.action,
            row.transfer,
            row.sealed,
            previous,
            row.digest().as_bytes()
        ])?;
    Ok(())
}

fn verify_chain(connection: &Connection) -> Result<u64, CustodyError> {
    let mut statement = connection.prepare("SELECT * FROM audit ORDER BY seq")?;
    let mut rows = statement.query([])?;
    let mut previous = [0; 32];
    let mut length = 0_u64;
    let mut expected = 1_i64;
    while let Some(row) = rows.next()? {
        let (actor, action): (String, String) = (row.get("actor")?, row.get("action")?);
        let transfer: Option<String> = row.get("transfer")?;
        let sealed: Vec<u8> = row.get("sealed_detail")?;
        let seq = row.get("seq")?;
        let chained = Chained {
            previous: &previous,
            seq,
            at: row.get("at")?,
            actor: &actor,
            action: &action,
            transfer: transfer.as_deref(),
            sealed: &sealed,
        };
        let digest = chained.digest();
        let fits = seq == expected && digest_at(row, "digest")? == digest;
        if !fits || row.get::<_, [u8; 32]>("previous")? != previous {
            return Err(CustodyError::LedgerCorrupt { finding: format!("audit row {seq} breaks the chain") });
        }
        previous = *digest.as_bytes();
        expected = expected.saturating_add(1);
        length += 1;
    }
    Ok(length)
}

fn read_row(row: &rusqlite::Row<'_>, vault: &Vault) -> Result<AuditRow, CustodyError> {
    let seq = row.get("seq")?;
    let detail = vault.open(Place::Audit(seq), &row.get::<_, Vec<u8>>("sealed_detail")?)?;
    let detail = String::from_utf8(detail).map_err(|_| CustodyError::unreadable("audit detail"))?;
    let record = AuditRecord {
        at: time_at(row, "at")?,
        actor: row.get("actor")?,
        action: row.get("action")?,
        transfer: text_maybe(row, "transfer")?,
        detail: Confidential::new(detail),
    };
    Ok(AuditRow { seq, record, previous: digest_at(row, "previous")?, digest: digest_at(row, "digest")? })
}

/// What the digest of a row covers.
struct Chained<'a> {
    previous: &'a [u8; 32],
    seq: i64,
    at: i64,
    actor: &'a str,
    action: &'a str,
    transfer: Option<&'a str>,
    sealed: &'a [u8],
}

impl Chained<'_> {
    /// SHA-256 over `previous | seq | at`, then each text and the sealed detail with its length before it.
    fn digest(&self) -> Digest {
        let mut bytes = Vec::with_capacity(256 + self.sealed.len());
        bytes.extend_from_slice(self.previous);
        bytes.extend_from_slice(&self.seq.to_be_bytes());
        bytes.extend_from_slice(&self.at.to_be_bytes());
        let texts = [self.actor, self.action, self.transfer.unwrap_or_default()].map(str::as_bytes);
        for field in texts.into_iter().chain([self.sealed]) {
            bytes.extend_from_slice(&(field.len() as u64).to_be_bytes());
            bytes.extend_from_slice(field);
        }
        Digest::of(&bytes)
    }
}
