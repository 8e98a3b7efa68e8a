//! The ledger in SQLite, the embedded default: one thread that writes and one that reads.
//!
//! A commit is on stable storage (WAL, `synchronous=FULL`). If one fails for another reason than a full disk, nobody
//! knows what is durable: the writer stops for good, and the program ends and starts anew.

use std::path::Path;
use std::time::Duration;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OpenFlags, params_from_iter};
use tokio::sync::{mpsc, watch};

use crate::clock::Clock;
use crate::ledger::{Batch, LedgerError, Order, ReadJob, WriteJob, Writing};
use crate::rows::{Cell, Row, Rows};

/// How long another process (`beeldbox-portal seed`) may hold the write lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens the database, making it if there is none, and starts the two threads. Says how many of them read.
pub fn start(
    path: &Path,
    clock: Clock,
    mut to_write: mpsc::Receiver<Order<WriteJob>>,
    to_read: mpsc::Receiver<Order<ReadJob>>,
    tell_failed: watch::Sender<bool>,
) -> Result<usize, LedgerError> {
    let writing = open_to_write(path)?;
    let reading = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    reading.busy_timeout(BUSY_TIMEOUT)?;
    std::thread::spawn(move || {
        if write_until_closed(&writing, &clock, &mut to_write).is_err() {
            tell_failed.send_replace(true);
        }
    });
    std::thread::spawn(move || read_until_closed(&reading, to_read));
    Ok(1)
}

fn open_to_write(path: &Path) -> Result<Connection, LedgerError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version > 1 {
        return Err(LedgerError::Damaged("it was written by a later version of this program"));
    }
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE; {} PRAGMA user_version = 1; COMMIT;",
        include_str!("schema.sql")
    ))?;
    Ok(connection)
}

fn write_until_closed(
    connection: &Connection,
    clock: &Clock,
    orders: &mut mpsc::Receiver<Order<WriteJob>>,
) -> Result<(), LedgerError> {
    while let Some(batch) = Batch::wait(orders) {
        if !batch.jobs.is_empty() {
            write_batch(connection, clock, batch.jobs).inspect_err(|error| {
                tracing::error!(%error, "commit failed: what is durable is in doubt, the ledger stops");
            })?;
        }
        if let Some(tell) = batch.close {
            // A log that stays is replayed at the next start.
            let _ = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
            let _ = tell.send(());
            return Ok(());
        }
    }
    Ok(())
}

/// Writes what waits in one transaction. An error means that the state of the disk is in doubt.
fn write_batch(connection: &Connection, clock: &Clock, jobs: Vec<WriteJob>) -> Result<(), LedgerError> {
    if let Err(error) = connection.execute_batch("BEGIN IMMEDIATE") {
        // Dropping the jobs tells everybody; nothing was written.
        tracing::error!(%error, "the ledger cannot be written to now");
        return Ok(());
    }
    let writing = Writing::new(Rows::Sqlite(connection), clock.now());
    let mut answers = Vec::with_capacity(jobs.len());
    let mut written = Ok(());
    for job in jobs {
        written = written.and_then(|()| connection.execute_batch("SAVEPOINT job"));
        if written.is_err() {
            break;
        }
        let (keep, answer) = job(&writing);
        if connection.is_autocommit() {
            // SQLite itself rolled everything back (disk full, I/O error before the commit): nothing is in doubt.
            answers.push(answer);
            answers.into_iter().for_each(|answer| answer(Err(LedgerError::TakenBack)));
            return Ok(());
        }
        let end = if keep { "RELEASE job" } else { "ROLLBACK TO job; RELEASE job" };
        written = connection.execute_batch(end);
        answers.push(answer);
    }
    let committed = written.and_then(|()| connection.execute_batch("COMMIT")).map_err(LedgerError::from);
    if committed.is_err() && !connection.is_autocommit() {
        let _ = connection.execute_batch("ROLLBACK");
    }
    for answer in answers {
        answer(committed.clone());
    }
    match committed {
        Err(error) if !error.is_full() => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn read_until_closed(connection: &Connection, mut orders: mpsc::Receiver<Order<ReadJob>>) {
    while let Some(order) = orders.blocking_recv() {
        match order {
            Order::Do(job) => in_snapshot(connection, job),
            Order::Close(tell) => {
                let _ = tell.send(());
                return;
            }
        }
    }
}

fn in_snapshot(connection: &Connection, job: ReadJob) {
    if let Err(error) = connection.execute_batch("BEGIN") {
        return job(Err(error.into()));
    }
    job(Ok(&Rows::Sqlite(connection)));
    // Nothing was written; if this fails, the next BEGIN says so.
    let _ = connection.execute_batch("COMMIT");
}

fn values(cells: &[Cell]) -> impl Iterator<Item = Value> {
    cells.iter().map(|cell| match cell {
        Cell::Integer(value) => Value::Integer(*value),
        Cell::Text(value) => Value::Text(value.clone()),
        Cell::Null => Value::Null,
    })
}

/// Executes a statement and says how many rows it changed.
pub fn execute(connection: &Connection, sql: &str, cells: &[Cell]) -> Result<u64, LedgerError> {
    let changed = connection.execute(sql, params_from_iter(values(cells)))?;
    Ok(u64::try_from(changed).unwrap_or(u64::MAX))
}

/// Executes a statement and gives all of its rows.
pub fn query(connection: &Connection, sql: &str, cells: &[Cell]) -> Result<Vec<Row>, LedgerError> {
    let mut statement = connection.prepare(sql)?;
    let columns = statement.column_count();
    let mut rows = statement.query(params_from_iter(values(cells)))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let read = |column| match row.get_ref(column)? {
            ValueRef::Null => Ok(Cell::Null),
            ValueRef::Integer(value) => Ok(Cell::Integer(value)),
            ValueRef::Text(text) => match std::str::from_utf8(text) {
                Ok(text) => Ok(Cell::from(text)),
                Err(_) => Err(LedgerError::Damaged("a text")),
            },
            ValueRef::Real(_) | ValueRef::Blob(_) => Err(LedgerError::Damaged("a column of another kind")),
        };
        found.push(Row((0..columns).map(read).collect::<Result<_, _>>()?));
    }
    Ok(found)
}
