//! The ledger: closures that write, each in a transaction, and closures that read from one snapshot.
//!
//! ```text
//!   handler ── closure ──► writer thread: BEGIN, every waiting closure in its own savepoint, COMMIT ──► answers
//!   handler ── closure ──► reader threads: one snapshot per closure                                 ──► answers
//! ```
//!
//! An answer is given only after the commit, and a commit is on stable storage. Closures that wait at the same moment
//! share one commit. Two databases can stand behind it: SQLite in the state folder (`sqlite`), and PostgreSQL for
//! several processes on one (`postgresql`). In both there is one writer at a time, over all processes: that is what
//! makes marks strictly increasing in the order of the commits, and `If-Match` a compare-and-set.

use std::cell::Cell;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::ErrorCode;
use tokio::sync::{mpsc, oneshot, watch};

use crate::clock::Clock;
use crate::postgresql::{self, DatabaseUrl};
use crate::rows::{Rows, cells};
use crate::sqlite;

/// Closures that may wait for a thread. More than the connections that are served at a time.
const QUEUE: usize = 1024;

/// Closures that share one commit at most, so that the first does not wait for ever.
const BATCH: usize = 64;

/// Why the ledger gave no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LedgerError {
    /// SQLite refused.
    #[error("the ledger refuses")]
    Sqlite(#[source] Arc<rusqlite::Error>),
    /// PostgreSQL refused, or cannot be reached.
    #[error("the database refuses")]
    Postgres(#[source] Arc<postgres::Error>),
    /// What is written in it cannot be read.
    #[error("the ledger holds what cannot be read: {0}")]
    Damaged(&'static str),
    /// The database is set up so that what it says is stored may be lost.
    #[error("the database may lose what it says is stored: {0}")]
    NotDurable(&'static str),
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
            LedgerError::Postgres(error) => error.code() == Some(&postgres::error::SqlState::DISK_FULL),
            LedgerError::Damaged(_)
            | LedgerError::NotDurable(_)
            | LedgerError::TakenBack
            | LedgerError::Closed => false,
        }
    }
}

impl From<rusqlite::Error> for LedgerError {
    fn from(error: rusqlite::Error) -> Self {
        LedgerError::Sqlite(Arc::new(error))
    }
}

impl From<postgres::Error> for LedgerError {
    fn from(error: postgres::Error) -> Self {
        LedgerError::Postgres(Arc::new(error))
    }
}

/// A transaction that is being written.
pub struct Writing<'a> {
    /// Where to write.
    pub rows: Rows<'a>,
    /// Now.
    pub now: Timestamp,
    /// Whether a mark was given out: there is news then.
    pub has_news: Cell<bool>,
}

impl<'a> Writing<'a> {
    /// At this time.
    pub fn new(rows: Rows<'a>, now: Timestamp) -> Self {
        Writing { rows, now, has_news: Cell::new(false) }
    }

    /// The next time of change: now, or a moment after the last one given out.
    ///
    /// The row of the mark stays locked until the commit, so no other transaction, of any process, gets a later mark
    /// before this one is seen by all: a reader's mark never overtakes a change.
    pub fn next_mark(&self) -> Result<i64, LedgerError> {
        self.has_news.set(true);
        let row = self.rows.query_first(
            "UPDATE mark SET micros = CASE WHEN micros + 1 > ?1 THEN micros + 1 ELSE ?1 END
             WHERE one = 1 RETURNING micros",
            cells![self.now.as_microsecond()],
        )?;
        row.ok_or(LedgerError::Damaged("the mark"))?.integer(0)
    }
}

impl<'a> Deref for Writing<'a> {
    type Target = Rows<'a>;

    fn deref(&self) -> &Rows<'a> {
        &self.rows
    }
}

/// The last time of change that was given out.
pub fn last_mark(rows: &Rows<'_>) -> Result<i64, LedgerError> {
    let row = rows.query_first("SELECT micros FROM mark WHERE one = 1", &[])?;
    row.ok_or(LedgerError::Damaged("the mark"))?.integer(0)
}

/// Reads a time column.
pub fn timestamp(micros: i64) -> Result<Timestamp, LedgerError> {
    Timestamp::from_microsecond(micros).map_err(|_| LedgerError::Damaged("a time out of range"))
}

/// Tells whoever waits for a write what became of it.
pub type Answer = Box<dyn FnOnce(Result<(), LedgerError>) + Send>;

/// A closure that writes. Says whether what it did is to be kept.
pub type WriteJob = Box<dyn FnOnce(&Writing<'_>) -> (bool, Answer) + Send>;

/// A closure that reads and tells; or is told why it cannot.
pub type ReadJob = Box<dyn FnOnce(Result<&Rows<'_>, LedgerError>) + Send>;

/// What a thread is asked.
pub enum Order<J> {
    /// A closure.
    Do(J),
    /// To end.
    Close(oneshot::Sender<()>),
}

/// What waits at a moment: closures for one commit, and who wants to know that the thread ends after it.
pub struct Batch {
    /// Closures.
    pub jobs: Vec<WriteJob>,
    /// Who waits for the end.
    pub close: Option<oneshot::Sender<()>>,
}

impl Batch {
    /// Waits for something, and takes what else waits then. Nothing if nobody can ask any more.
    pub fn wait(orders: &mut mpsc::Receiver<Order<WriteJob>>) -> Option<Self> {
        let mut batch = Batch { jobs: Vec::new(), close: None };
        let mut next = orders.blocking_recv();
        next.as_ref()?;
        while let Some(order) = next {
            match order {
                Order::Do(job) => batch.jobs.push(job),
                Order::Close(tell) => batch.close = Some(tell),
            }
            let has_room = batch.jobs.len() < BATCH && batch.close.is_none();
            next = if has_room { orders.try_recv().ok() } else { None };
        }
        Some(batch)
    }
}

/// Where the ledger is.
#[derive(Debug, Clone, Default)]
pub enum Database {
    /// In the state folder. One process.
    #[default]
    Sqlite,
    /// In a PostgreSQL that several processes may share.
    Postgres(Box<DatabaseUrl>),
}

/// The ledger.
pub struct Ledger {
    writer: mpsc::Sender<Order<WriteJob>>,
    reader: mpsc::Sender<Order<ReadJob>>,
    readers: usize,
    failed: watch::Receiver<bool>,
}

impl Ledger {
    /// Opens the ledger, making it if there is none, and starts its threads.
    ///
    /// # Errors
    /// If it cannot be opened or is of a later version.
    pub fn open(database: &Database, state: &Path, clock: Clock) -> Result<Self, LedgerError> {
        let (writer, to_write) = mpsc::channel(QUEUE);
        let (reader, to_read) = mpsc::channel(QUEUE);
        let (tell_failed, failed) = watch::channel(false);
        let readers = match database {
            Database::Sqlite => {
                sqlite::start(&state.join("portal.sqlite"), clock, to_write, to_read, tell_failed)?
            }
            Database::Postgres(url) => postgresql::start(url, clock, to_write, to_read, tell_failed)?,
        };
        Ok(Ledger { writer, reader, readers, failed })
    }

    /// Writes. What the closure did is kept if it answers `Ok`, and taken back otherwise.
    ///
    /// # Errors
    /// Those of the closure; and if the commit failed. Over PostgreSQL a commit whose answer was lost may have
    /// succeeded: whoever asked repeats the request, as after every 500.
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
        work: impl FnOnce(&Rows<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<LedgerError> + Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        let job: ReadJob = Box::new(move |rows| {
            let _ = tell.send(rows.map_err(E::from).and_then(work));
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

    /// Finishes what waits and closes the database.
    pub async fn close(&self) {
        for _ in 0..self.readers {
            let (tell, told) = oneshot::channel();
            if self.reader.send(Order::Close(tell)).await.is_ok() {
                let _ = told.await;
            }
        }
        let (tell, told) = oneshot::channel();
        if self.writer.send(Order::Close(tell)).await.is_ok() {
            let _ = told.await;
        }
    }
}
