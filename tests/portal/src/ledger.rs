//! The ledger: SQLite behind two threads, one that writes and one that reads.
//!
//! ```text
//!   handler ── closure ──► writer thread: BEGIN, every waiting closure in its own savepoint, COMMIT ──► answers
//!   handler ── closure ──► reader thread: one snapshot per closure                                  ──► answers
//! ```
//!
//! An answer is given only after the commit, and a commit is on stable storage (WAL, `synchronous=FULL`). Closures that
//! wait at the same moment share one commit. If a commit fails for another reason than a full disk, nobody knows what
//! is durable: the writer stops for good, and the program ends and starts anew.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::{mpsc, oneshot, watch};

use crate::clock::Clock;

/// Closures that may wait for a thread. More than the connections that are served at a time.
const QUEUE: usize = 1024;

/// Closures that share one commit at most, so that the first does not wait for ever.
const BATCH: usize = 64;

/// How long another process (`beeldbox-portal seed`) may hold the write lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the ledger gave no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LedgerError {
    /// SQLite refused.
    #[error("the ledger refuses")]
    Sqlite(#[source] Arc<rusqlite::Error>),
    /// What is written in it cannot be read.
    #[error("the ledger holds what cannot be read: {0}")]
    Damaged(&'static str),
    /// SQLite took the whole transaction back because of another closure in it, usually for want of space.
    #[error("the ledger took the transaction back")]
    TakenBack,
    /// Its thread has ended.
    #[error("the ledger is closed")]
    Closed,
}

impl LedgerError {
    /// Whether the disk is full.
    pub fn is_full(&self) -> bool {
        match self {
            LedgerError::Sqlite(error) => error.sqlite_error_code() == Some(ErrorCode::DiskFull),
            LedgerError::Damaged(_) | LedgerError::TakenBack | LedgerError::Closed => false,
        }
    }
}

impl From<rusqlite::Error> for LedgerError {
    fn from(error: rusqlite::Error) -> Self {
        LedgerError::Sqlite(Arc::new(error))
    }
}

/// A transaction that is being written.
pub struct Writing<'a> {
    /// Where to write.
    pub connection: &'a Connection,
    /// Now.
    pub now: Timestamp,
}

impl Writing<'_> {
    /// The next time of change: now, or a moment after the last one given out.
    pub fn next_mark(&self) -> Result<i64, rusqlite::Error> {
        self.connection.query_row(
            "UPDATE mark SET micros = max(micros + 1, ?1) WHERE one = 1 RETURNING micros",
            [self.now.as_microsecond()],
            |row| row.get(0),
        )
    }
}

/// The last time of change that was given out.
pub fn last_mark(connection: &Connection) -> Result<i64, rusqlite::Error> {
    connection.query_row("SELECT micros FROM mark WHERE one = 1", [], |row| row.get(0))
}

/// Reads a time column.
pub fn timestamp(micros: i64) -> Result<Timestamp, LedgerError> {
    Timestamp::from_microsecond(micros).map_err(|_| LedgerError::Damaged("a time out of range"))
}

type Answer = Box<dyn FnOnce(Result<(), LedgerError>) + Send>;
type WriteJob = Box<dyn FnOnce(&Writing<'_>) -> (bool, Answer) + Send>;
type ReadJob = Box<dyn FnOnce(&Connection) + Send>;

enum Order<J> {
    Do(J),
    Close(oneshot::Sender<()>),
}

/// The ledger.
pub struct Ledger {
    writer: mpsc::Sender<Order<WriteJob>>,
    reader: mpsc::Sender<Order<ReadJob>>,
    failed: watch::Receiver<bool>,
}

impl Ledger {
    /// Opens the ledger, making it if there is none, and starts its threads.
    ///
    /// # Errors
    /// If it cannot be opened or is of a later version.
    pub fn open(path: &Path, clock: Clock) -> Result<Self, LedgerError> {
        let writing = open_to_write(path)?;
        let reading = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        reading.busy_timeout(BUSY_TIMEOUT)?;
        let (writer, orders) = mpsc::channel(QUEUE);
        let (tell_failed, failed) = watch::channel(false);
        std::thread::spawn(move || {
            if write_until_closed(&writing, &clock, orders).is_err() {
                tell_failed.send_replace(true);
            }
        });
        let (reader, orders) = mpsc::channel(QUEUE);
        std::thread::spawn(move || read_until_closed(&reading, orders));
        Ok(Ledger { writer, reader, failed })
    }

    /// Writes. What the closure did is kept if it answers `Ok`, and taken back otherwise.
    ///
    /// # Errors
    /// Those of the closure; and if the commit failed.
    ///
    /// # Durability
    /// When this returns `Ok`, what was written survives a power cut.
    ///
    /// # Cancellation
    /// May be dropped; the closure may then still be executed.
    pub async fn write<T, E>(
        &self,
        work: impl FnOnce(&Writing<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<LedgerError> + Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        let job: WriteJob = Box::new(move |writing| {
            let outcome = work(writing);
            let keep = outcome.is_ok();
            let answer: Answer = Box::new(move |committed| {
                let outcome = outcome.and_then(|value| committed.map(|()| value).map_err(E::from));
                // Nobody listens any more if the request was dropped.
                let _ = tell.send(outcome);
            });
            (keep, answer)
        });
        self.writer.send(Order::Do(job)).await.map_err(|_| LedgerError::Closed)?;
        told.await.map_err(|_| LedgerError::Closed)?
    }

    /// Reads from one snapshot.
    ///
    /// # Errors
    /// Those of the closure.
    ///
    /// # Cancellation
    /// May be dropped.
    pub async fn read<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<LedgerError> + Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        let job: ReadJob = Box::new(move |connection| {
            let _ = tell.send(in_snapshot(connection, work));
        });
        self.reader.send(Order::Do(job)).await.map_err(|_| LedgerError::Closed)?;
        told.await.map_err(|_| LedgerError::Closed)?
    }

    /// Returns when the writer had to stop because nobody knows any more what is durable.
    pub async fn failed(&self) {
        let mut failed = self.failed.clone();
        if failed.wait_for(|failed| *failed).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Finishes what waits, moves the log into the database and closes it.
    pub async fn close(&self) {
        let (tell, told) = oneshot::channel();
        if self.reader.send(Order::Close(tell)).await.is_ok() {
            let _ = told.await;
        }
        let (tell, told) = oneshot::channel();
        if self.writer.send(Order::Close(tell)).await.is_ok() {
            let _ = told.await;
        }
    }
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
    mut orders: mpsc::Receiver<Order<WriteJob>>,
) -> Result<(), LedgerError> {
    while let Some(order) = orders.blocking_recv() {
        let mut batch = Vec::new();
        let mut next = Some(order);
        let mut close = None;
        while let Some(order) = next {
            match order {
                Order::Do(job) => batch.push(job),
                Order::Close(tell) => close = Some(tell),
            }
            next = if batch.len() < BATCH && close.is_none() { orders.try_recv().ok() } else { None };
        }
        if !batch.is_empty() {
            write_batch(connection, clock, batch).inspect_err(|error| {
                tracing::error!(%error, "commit failed: what is durable is in doubt, the ledger stops");
            })?;
        }
        if let Some(tell) = close {
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
    let writing = Writing { connection, now: clock.now() };
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
            Order::Do(job) => job(connection),
            Order::Close(tell) => {
                let _ = tell.send(());
                return;
            }
        }
    }
}

fn in_snapshot<T, E: From<LedgerError>>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, E>,
) -> Result<T, E> {
    connection.execute_batch("BEGIN").map_err(LedgerError::from)?;
    let outcome = work(connection);
    connection.execute_batch("COMMIT").map_err(LedgerError::from)?;
    outcome
}
