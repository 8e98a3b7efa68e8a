//! Transfers in the ledger: finding, writing and listing them.
//!
//! Whether a client may know of a transfer is decided here, in [`StoredTask::seen_by`] and in the listing's query:
//! the requester always, the owner once it was committed. For everybody else it does not exist.

use beeldbox_protocol::ident::{Digest, TransferId, Ura};
use beeldbox_protocol::portal::fhir::{CodeableConcept, Meta, Task};
use beeldbox_protocol::portal::task::{
    Mover, TRANSFER_SYSTEM, TaskKind, TaskStatus, TransferNotice, may_move_as,
};
use jiff::{SignedDuration, Timestamp};

use crate::ledger::{LedgerError, Writing, timestamp};
use crate::life_cycle::Checked;
use crate::refusal::Refusal;
use crate::rows::{Cell, Row, Rows, cells};

/// Whether letter and parts are still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// They are.
    Kept,
    /// Nobody may read them any more; they are being erased.
    Closed,
    /// They are gone.
    Erased,
}

/// A transfer as it is stored.
#[derive(Debug, Clone)]
pub struct StoredTask {
    /// The Task, with its version and time of change.
    pub task: Task,
    /// Version, from one.
    pub version: i64,
    /// Who sends.
    pub requester: String,
    /// Who receives.
    pub owner: String,
    /// Where it is.
    pub status: TaskStatus,
    /// Whether it was ever shown to the addressee.
    pub is_committed: bool,
    /// Whether letter and parts are still there.
    pub content: Content,
}

impl StoredTask {
    /// Whether this client may know of it.
    pub fn seen_by(&self, client: &Ura) -> bool {
        self.requester == client.as_str() || (self.is_committed && self.owner == client.as_str())
    }

    /// Whether this client is its sender.
    pub fn is_sent_by(&self, client: &Ura) -> bool {
        self.requester == client.as_str()
    }
}

const COLUMNS: &str = "version, updated, requester, owner, status, committed, content, body";

fn read_row(row: &Row) -> Result<StoredTask, LedgerError> {
    let (version, updated) = (row.integer(0)?, row.integer(1)?);
    let mut task: Task = serde_json::from_str(&row.text(7)?).map_err(|_| LedgerError::Damaged("a Task"))?;
    task.meta = Meta { version_id: Some(version.to_string()), last_updated: Some(timestamp(updated)?) };
    Ok(StoredTask {
        task,
        version,
        requester: row.text(2)?,
        owner: row.text(3)?,
        status: TaskStatus::from_code(&row.text(4)?).ok_or(LedgerError::Damaged("a status"))?,
        is_committed: row.integer(5)? != 0,
        content: match row.text(6)?.as_str() {
            "kept" => Content::Kept,
            "closed" => Content::Closed,
            _ => Content::Erased,
        },
    })
}

/// The transfer with this id.
pub fn find(rows: &Rows<'_>, transfer: &TransferId) -> Result<Option<StoredTask>, LedgerError> {
    let sql = format!("SELECT {COLUMNS} FROM task WHERE id = ?1");
    rows.query_first(&sql, cells![transfer.to_string()])?.as_ref().map(read_row).transpose()
}

/// The transfer with this id, if the client may know of it.
pub fn find_for(rows: &Rows<'_>, transfer: &TransferId, client: &Ura) -> Result<StoredTask, Refusal> {
    let found = find(rows, transfer)?;
    found.filter(|task| task.seen_by(client)).ok_or(Refusal::NotFound)
}

/// Writes a new draft.
pub fn insert(writing: &Writing<'_>, checked: &Checked, grace: SignedDuration) -> Result<i64, Refusal> {
    let body = serde_json::to_string(&checked.task).map_err(|error| Refusal::Fault(error.to_string()))?;
    let inserted = writing.execute(
        "INSERT INTO task
             (id, version, updated, requester, owner, status, committed, valid_until, erase_due, content, body)
         VALUES (?1, 1, ?2, ?3, ?4, 'draft', 0, ?5, ?6, 'kept', ?7)
         ON CONFLICT DO NOTHING",
        cells![
            checked.task.id.as_str(),
            writing.next_mark()?,
            checked.requester.as_str(),
            checked.owner.as_str(),
            checked.valid_until.as_microsecond(),
            later(checked.valid_until, grace),
            body,
        ],
    )?;
    if inserted == 1 { Ok(1) } else { Err(Refusal::Exists) }
}

/// Writes the next version of a transfer and says which it is.
///
/// A cancelled transfer's content is closed in the same commit: from the answer on nobody can read it, whenever the
/// bytes go. A transfer that has come to an end otherwise keeps its content for the time of grace.
pub fn update(
    writing: &Writing<'_>,
    stored: &StoredTask,
    task: &Task,
    to: TaskStatus,
    valid_until: Timestamp,
    grace: SignedDuration,
) -> Result<i64, Refusal> {
    let body = serde_json::to_string(task).map_err(|error| Refusal::Fault(error.to_string()))?;
    let (erase_due, content) = match to {
        TaskStatus::Draft | TaskStatus::Requested => (later(valid_until, grace), "kept"),
        TaskStatus::InProgress => (later(valid_until.max(writing.now), grace), "kept"),
        TaskStatus::Completed | TaskStatus::Failed | TaskStatus::Rejected => {
            (later(writing.now, grace), "kept")
        }
        TaskStatus::Cancelled => (writing.now.as_microsecond(), "closed"),
    };
    let changed = writing.execute(
        "UPDATE task
         SET version = version + 1, updated = ?1, status = ?2,
             committed = CASE WHEN committed > ?3 THEN committed ELSE ?3 END,
             erase_due = ?4, content = CASE WHEN content = 'kept' THEN ?5 ELSE content END, body = ?6
         WHERE id = ?7 AND version = ?8 AND status = ?9",
        cells![
            writing.next_mark()?,
            to.code(),
            to == TaskStatus::Requested,
            erase_due,
            content,
            body,
            task.id.as_str(),
            stored.version,
            stored.status.code(),
        ],
    )?;
    if changed == 1 { Ok(stored.version + 1) } else { Err(Refusal::VersionDiffers) }
}

fn later(time: Timestamp, wait: SignedDuration) -> i64 {
    time.checked_add(wait).unwrap_or(Timestamp::MAX).as_microsecond()
}

/// Whether everything that the Task names is there.
pub fn check_complete(rows: &Rows<'_>, transfer: &TransferId, task: &Task) -> Result<(), Refusal> {
    let mut probe = task.clone();
    probe.meta = Meta { version_id: Some("0".to_owned()), last_updated: Some(Timestamp::UNIX_EPOCH) };
    let notice = TransferNotice::read(&probe).map_err(|error| Refusal::Nonsense(error.to_string()))?;
    let (mut missing, mut of_other_length) = (Vec::new(), Vec::new());
    for part in notice.parts {
        match part_len(rows, transfer, &part.digest)? {
            None => missing.push(part.digest),
            Some(len) if len != part.len => of_other_length.push(part.digest),
            Some(_) => {}
        }
    }
    let is_letter_missing = letter(rows, transfer)?.is_none();
    if missing.is_empty() && of_other_length.is_empty() && !is_letter_missing {
        return Ok(());
    }
    Err(Refusal::Incomplete { missing, is_letter_missing, of_other_length })
}

/// Length of a stored part.
pub fn part_len(rows: &Rows<'_>, transfer: &TransferId, digest: &Digest) -> Result<Option<u64>, LedgerError> {
    let values = cells![transfer.to_string(), digest.to_string()];
    let found = rows.query_first("SELECT len FROM part WHERE transfer = ?1 AND digest = ?2", values)?;
    found.map(|row| length(&row, 0)).transpose()
}

/// Another transfer of this sender that has the part too and may still be read, and the part's length; of several the
/// one that stays longest. Of nobody else's transfers: whether another organisation has these bytes is its own business.
pub fn same_part(
    rows: &Rows<'_>,
    sender: &Ura,
    transfer: &TransferId,
    digest: &Digest,
) -> Result<Option<(TransferId, u64)>, LedgerError> {
    let found = rows.query_first(
        "SELECT part.transfer, part.len
         FROM part JOIN task ON task.id = part.transfer
         WHERE part.digest = ?1 AND task.requester = ?2 AND task.content = 'kept' AND part.transfer <> ?3
         ORDER BY task.erase_due DESC
         LIMIT 1",
        cells![digest.to_string(), sender.as_str(), transfer.to_string()],
    )?;
    let read = |row: Row| {
        let holder = row.text(0)?.parse().map_err(|_| LedgerError::Damaged("a transfer's id"))?;
        Ok((holder, length(&row, 1)?))
    };
    found.map(read).transpose()
}

/// Digests and lengths of all stored parts.
pub fn parts(rows: &Rows<'_>, transfer: &TransferId) -> Result<Vec<(Digest, u64)>, LedgerError> {
    let sql = "SELECT digest, len FROM part WHERE transfer = ?1 ORDER BY digest";
    let found = rows.query(sql, cells![transfer.to_string()])?;
    found.iter().map(|row| Ok((digest_in(row, 0)?, length(row, 1)?))).collect()
}

/// Says that a part is on stable storage.
pub fn record_part(
    writing: &Writing<'_>,
    transfer: &TransferId,
    digest: &Digest,
    len: u64,
) -> Result<(), LedgerError> {
    writing.execute(
        "INSERT INTO part (transfer, digest, len) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        cells![transfer.to_string(), digest.to_string(), i64::try_from(len).unwrap_or(i64::MAX)],
    )?;
    Ok(())
}

/// Says that a part is not there any more.
pub fn forget_part(writing: &Writing<'_>, transfer: &TransferId, digest: &Digest) -> Result<(), LedgerError> {
    let values = cells![transfer.to_string(), digest.to_string()];
    writing.execute("DELETE FROM part WHERE transfer = ?1 AND digest = ?2", values)?;
    Ok(())
}

/// Digest and length of a stored letter.
pub fn letter(rows: &Rows<'_>, transfer: &TransferId) -> Result<Option<(Digest, u64)>, LedgerError> {
    let sql = "SELECT digest, len FROM letter WHERE transfer = ?1";
    let found = rows.query_first(sql, cells![transfer.to_string()])?;
    found.map(|row| Ok((digest_in(&row, 0)?, length(&row, 1)?))).transpose()
}

/// Says that a letter is on stable storage. There is none yet.
pub fn record_letter(
    writing: &Writing<'_>,
    transfer: &TransferId,
    digest: &Digest,
    len: u64,
) -> Result<(), LedgerError> {
    writing.execute(
        "INSERT INTO letter (transfer, digest, len) VALUES (?1, ?2, ?3)",
        cells![transfer.to_string(), digest.to_string(), i64::try_from(len).unwrap_or(i64::MAX)],
    )?;
    Ok(())
}

/// Turns a transfer to another organisation, which no client can. The Task's own words are the caller's business.
pub fn set_owner(writing: &Writing<'_>, transfer: &TransferId, owner: &Ura) -> Result<(), LedgerError> {
    let values = cells![owner.as_str(), transfer.to_string()];
    writing.execute("UPDATE task SET owner = ?1 WHERE id = ?2", values)?;
    Ok(())
}

/// Turns a draft to whom, and until when, its Task says now: lists and expiry go by these columns. Nobody but its sender
/// has seen it.
pub fn turn_draft(
    writing: &Writing<'_>,
    transfer: &TransferId,
    owner: &Ura,
    valid_until: Timestamp,
) -> Result<(), LedgerError> {
    let values = cells![owner.as_str(), valid_until.as_microsecond(), transfer.to_string()];
    writing
        .execute("UPDATE task SET owner = ?1, valid_until = ?2 WHERE id = ?3 AND status = 'draft'", values)?;
    Ok(())
}

fn length(row: &Row, column: usize) -> Result<u64, LedgerError> {
    u64::try_from(row.integer(column)?).map_err(|_| LedgerError::Damaged("a length"))
}

fn digest_in(row: &Row, column: usize) -> Result<Digest, LedgerError> {
    row.text(column)?.parse().map_err(|_| LedgerError::Damaged("a digest"))
}

/// Which transfers to list.
#[derive(Debug, Clone)]
pub struct Listing {
    /// For whom.
    pub client: Ura,
    /// Only those changed at this time or later, in microseconds.
    pub since: i64,
    /// Only those of this owner.
    pub owner: Option<String>,
    /// Only those of this requester.
    pub requester: Option<String>,
    /// Only those in one of these states; all if empty.
    pub status: Vec<TaskStatus>,
    /// At most so many.
    pub count: usize,
}

/// Transfers that the client may know of, in the order in which they changed; one more than asked for, if there is.
pub fn list(rows: &Rows<'_>, listing: &Listing) -> Result<Vec<StoredTask>, LedgerError> {
    let mut values: Vec<Cell> = vec![
        Cell::from(listing.client.to_string()),
        Cell::from(listing.since),
        Cell::from(i64::try_from(listing.count).unwrap_or(i64::MAX).saturating_add(1)),
    ];
    let mut only = String::new();
    for (column, wanted) in [("owner", &listing.owner), ("requester", &listing.requester)] {
        if let Some(ura) = wanted {
            values.push(Cell::from(ura.clone()));
            only.push_str(&format!(" AND {column} = ?{}", values.len()));
        }
    }
    if !listing.status.is_empty() {
        // Codes of our own enum: nothing from outside reaches the text of the statement.
        let codes: Vec<String> = listing.status.iter().map(|status| format!("'{status}'")).collect();
        only.push_str(&format!(" AND status IN ({})", codes.join(", ")));
    }
    let half = |name: &str, whose: &str| {
        format!(
            "SELECT * FROM (SELECT {COLUMNS} FROM task WHERE {whose} AND updated >= ?2{only}
                            ORDER BY updated LIMIT ?3) AS {name}"
        )
    };
    let sql = format!(
        "{} UNION ALL {} ORDER BY updated LIMIT ?3",
        half("sent", "requester = ?1"),
        half("received", "owner = ?1 AND committed = 1 AND requester <> ?1")
    );
    rows.query(&sql, &values)?.iter().map(read_row).collect()
}

/// Cancels every transfer that nobody collected in time, and says which.
pub fn expire(writing: &Writing<'_>, grace: SignedDuration) -> Result<Vec<String>, Refusal> {
    let sql = format!(
        "SELECT {COLUMNS} FROM task
         WHERE status IN ('draft', 'requested', 'in-progress') AND content = 'kept' AND valid_until <= ?1"
    );
    let found = writing.query(&sql, cells![writing.now.as_microsecond()])?;
    let expired = found.iter().map(read_row).collect::<Result<Vec<_>, _>>()?;
    let mut ids = Vec::new();
    for stored in expired {
        let may_expire = |kind| may_move_as(kind, Mover::Portal, stored.status, TaskStatus::Cancelled);
        if !TaskKind::of(&stored.task).is_some_and(may_expire) {
            continue;
        }
        let mut task = Task { meta: Meta::default(), ..stored.task.clone() };
        task.status = TaskStatus::Cancelled.code().to_owned();
        task.business_status = Some(CodeableConcept::of(TRANSFER_SYSTEM, "expired"));
        update(writing, &stored, &task, TaskStatus::Cancelled, writing.now, grace)?;
        ids.push(task.id);
    }
    Ok(ids)
}
