//! The ledger thread: the only place that touches the database, and where commits are grouped.
//!
//! ```text
//!   caller ──(closure)──► queue ──► thread: BEGIN; one SAVEPOINT per closure; COMMIT ──► answers
//!                                              └─ found again from the packs: answer now, COMMIT within LAG_MAX
//! ```
//!
//! The thread takes everything that waits and commits it as one transaction (one flush for all); a closure that fails
//! undoes only itself. Answers are given after the commit, with one exception: what start-up would find again from what
//! is flushed already ([`Ledger::wait_ahead`]: an instance whose frame stands in its pack) is answered when it has been
//! judged, and its commit follows. A full disk fails the whole group, releases the ballast and goes on. Any other failure
//! of the storage under the database puts it *in doubt*, and so does any failure while answers are ahead of their commit:
//! nothing is retried, nobody is told of a success any more, and `failed` tells the program to end and to recover.
//!
//! The connection is exclusive, checkpoints are made here after the answers, and nothing else ever opens the file.

use std::cell::Cell;
use std::fs::File;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::{oneshot, watch};

use crate::disk::Disk;
use crate::error::CustodyError;

/// Questions that may wait. Every association asks one at a time and there are at most a few hundred tasks beside them;
/// whoever finds the queue full waits.
const QUEUE_LEN: usize = 1024;

/// Questions committed together at most, so that the first of them does not wait long.
const GROUP_LEN: usize = 256;

/// Longest time by which an answer may be ahead of its commit. Start-up reads again what was received in it.
const LAG_MAX: Duration = Duration::from_millis(100);

/// Answers that may be ahead of their commit.
const AHEAD_MAX: usize = 256;

/// Pages in the write-ahead log that call for a checkpoint (SQLite's own default: about 4 MiB).
const CHECKPOINT_PAGES: i32 = 1000;

/// Bytes of a log that calls for a checkpoint, with the last commit behind it: pages of 4 KiB with their heads.
const LOG_LEN: usize = 1100 * (4096 + 24);

/// Tables in which workers find what to do. An instance that is taken in touches none of them.
const BRINGS_WORK: [&str; 3] = ["transfer", "outbox", "commitment"];

/// The way to the ledger thread. Dropping it ends the thread and waits for it.
pub(crate) struct Ledger {
    questions: Mutex<Option<SyncSender<Question>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    changes: watch::Receiver<u64>,
    work: watch::Receiver<u64>,
    failed: watch::Receiver<Option<String>>,
}

/// What the thread is asked.
enum Question {
    /// Run this inside the next commit.
    Run(Box<dyn Job>),
    /// Move the whole log into the database and empty the file, so that nothing that was removed remains in it.
    Empty(Answer<()>),
}

/// Who waits for an answer, and how.
pub(crate) enum Answer<T> {
    /// A thread.
    Blocking(SyncSender<Result<T, CustodyError>>),
    /// A task.
    Async(oneshot::Sender<Result<T, CustodyError>>),
    /// Nobody: this is done on the ledger thread after the commit.
    Then(Box<dyn FnOnce(Result<T, CustodyError>) + Send>),
}

impl<T> Answer<T> {
    /// Gives the answer. Someone who no longer waits does not need it.
    fn give(self, result: Result<T, CustodyError>) {
        match self {
            Answer::Blocking(sender) => drop(sender.send(result)),
            Answer::Async(sender) => drop(sender.send(result)),
            Answer::Then(then) => then(result),
        }
    }
}

impl Ledger {
    /// Starts the thread with a recovered connection and the lock of the directory.
    pub(crate) fn start(connection: Connection, lock: File, disk: Arc<Disk>) -> Result<Self, CustodyError> {
        let (sender, questions) = mpsc::sync_channel(QUEUE_LEN);
        let (changes_sender, changes) = watch::channel(0);
        let (work_sender, work) = watch::channel(0);
        let (failed_sender, failed) = watch::channel(None);
        let mut thread = Thread {
            connection,
            disk,
            changes: changes_sender,
            work: work_sender,
            failed: failed_sender,
            open: None,
        };
        thread.connection.update_hook(Some(|_, _: &str, table: &str, _| {
            if BRINGS_WORK.contains(&table) {
                WORK_CAME.set(true);
            }
        }))?;
        thread.connection.wal_hook(Some(|_, pages| {
            LOG_PAGES.set(pages);
            Ok(())
        }));
        let handle = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || {
                thread.serve(&questions);
                drop(thread);
                drop(lock);
            })
            .map_err(CustodyError::io("start the ledger thread"))?;
        Ok(Ledger {
            questions: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(handle)),
            changes,
            work,
            failed,
        })
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }

    pub(crate) fn work(&self) -> watch::Receiver<u64> {
        self.work.clone()
    }

    pub(crate) fn failed(&self) -> watch::Receiver<Option<String>> {
        self.failed.clone()
    }

    /// Runs work inside a commit and waits for it on this thread.
    pub(crate) fn wait<T, F>(&self, work: F) -> Result<T, CustodyError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, CustodyError> + Send + 'static,
    {
        let (sender, answer) = mpsc::sync_channel(1);
        self.tell(work, Answer::Blocking(sender))?;
        answer.recv().map_err(|_| self.gone())?
    }

    /// Runs work inside a commit and waits for it on this thread; not for the commit itself if `found_again` says that
    /// start-up would find the outcome again without it.
    ///
    /// # Durability
    /// Of the answer itself none. Whoever acts on it must have flushed what start-up finds it by.
    pub(crate) fn wait_ahead<T, F>(&self, work: F, found_again: fn(&T) -> bool) -> Result<T, CustodyError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, CustodyError> + Send + 'static,
    {
        let (sender, answer) = mpsc::sync_channel(1);
        let answer_to = Answer::Blocking(sender);
        let job = TypedJob { work: Some(work), result: None, answer: answer_to, found_again };
        self.send(Question::Run(Box::new(job)))?;
        answer.recv().map_err(|_| self.gone())?
    }

    /// Runs work inside a commit.
    ///
    /// # Cancellation
    /// Dropping the future does not take the work back: it may or may not be committed.
    pub(crate) async fn ask<T, F>(&self, work: F) -> Result<T, CustodyError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, CustodyError> + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        self.tell(work, Answer::Async(sender))?;
        answer.await.map_err(|_| self.gone())?
    }

    /// Queues work; the answer goes where it says.
    pub(crate) fn tell<T, F>(&self, work: F, answer: Answer<T>) -> Result<(), CustodyError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, CustodyError> + Send + 'static,
    {
        self.send(Question::Run(Box::new(TypedJob {
            work: Some(work),
            result: None,
            answer,
            found_again: |_| false,
        })))
    }

    /// Empties the write-ahead log, so that what was removed from the database is gone from the disk's files.
    ///
    /// # Durability
    /// When this returns, the log is in the database, flushed, and the log file is empty.
    pub(crate) async fn empty_log(&self) -> Result<(), CustodyError> {
        let (sender, answer) = oneshot::channel();
        self.send(Question::Empty(Answer::Async(sender)))?;
        answer.await.map_err(|_| self.gone())?
    }

    /// Ends the thread after everything that waits, and waits for it.
    pub(crate) fn close(&self) {
        drop(self.questions.lock().unwrap_or_else(PoisonError::into_inner).take());
        let handle = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(handle) = handle {
            // A panic of the thread has already been told through `failed`.
            drop(handle.join());
        }
    }

    fn send(&self, question: Question) -> Result<(), CustodyError> {
        let sender = self.questions.lock().unwrap_or_else(PoisonError::into_inner).clone();
        sender.ok_or(CustodyError::Closed)?.send(question).map_err(|_| self.gone())
    }

    fn gone(&self) -> CustodyError {
        match self.failed.borrow().clone() {
            Some(why) => CustodyError::InDoubt { why },
            None => CustodyError::Closed,
        }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.close();
    }
}

/// One closure, its result, and who waits for it.
trait Job: Send {
    /// Runs the closure inside its savepoint. The error is kept for the one who waits, unless it concerns all.
    fn run(&mut self, connection: &Connection) -> Ran;
    /// Whether the one who waits need not wait for the commit.
    fn may_be_ahead(&self) -> bool;
    /// Gives the answer, now that the fate of the commit is known.
    fn answer(self: Box<Self>, fate: Result<(), CustodyError>);
}

/// How a closure ended.
enum Ran {
    /// Its changes stay.
    Keep,
    /// Its changes are undone, it alone fails.
    Undo,
    /// The storage failed under it; all fail.
    Storage(Trouble),
}

/// What is wrong with the storage.
#[derive(Clone)]
enum Trouble {
    Full,
    Doubt(String),
}

impl Trouble {
    /// Whether an error of a statement says that the storage under the database failed.
    fn of(error: &rusqlite::Error) -> Option<Trouble> {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Some(Trouble::Full),
            Some(
                ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::OutOfMemory
                | ErrorCode::PermissionDenied
                | ErrorCode::FileLockingProtocolFailed,
            ) => Some(Trouble::Doubt(error.to_string())),
            Some(_) | None => None,
        }
    }

    fn to_error(&self) -> CustodyError {
        match self {
            Trouble::Full => CustodyError::OutOfSpace,
            Trouble::Doubt(why) => CustodyError::InDoubt { why: why.clone() },
        }
    }
}

struct TypedJob<T, F> {
    work: Option<F>,
    result: Option<Result<T, CustodyError>>,
    answer: Answer<T>,
    found_again: fn(&T) -> bool,
}

impl<T, F> Job for TypedJob<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, CustodyError> + Send,
{
    fn run(&mut self, connection: &Connection) -> Ran {
        let Some(work) = self.work.take() else { return Ran::Undo };
        let result = work(connection);
        let ran = match &result {
            Ok(_) => Ran::Keep,
            Err(CustodyError::Ledger(error)) => Trouble::of(error).map_or(Ran::Undo, Ran::Storage),
            Err(_) => Ran::Undo,
        };
        self.result = Some(result);
        ran
    }

    fn may_be_ahead(&self) -> bool {
        matches!(&self.result, Some(Ok(outcome)) if (self.found_again)(outcome))
    }

    fn answer(self: Box<Self>, fate: Result<(), CustodyError>) {
        let job = *self;
        let result = fate.and(job.result.unwrap_or(Err(CustodyError::Closed)));
        job.answer.give(result);
    }
}

thread_local! {
    /// Pages in the log after the last commit of this thread's connection.
    static LOG_PAGES: Cell<i32> = const { Cell::new(0) };
    /// Whether the commit in hand touched what workers work on.
    static WORK_CAME: Cell<bool> = const { Cell::new(false) };
}

/// What the thread owns.
struct Thread {
    connection: Connection,
    disk: Arc<Disk>,
    changes: watch::Sender<u64>,
    work: watch::Sender<u64>,
    failed: watch::Sender<Option<String>>,
    open: Option<OpenTransaction>,
}

/// A transaction that has begun and is not committed.
struct OpenTransaction {
    /// Rows changed by this connection when it began.
    changes_before: u64,
    /// Answers given ahead of its commit, and until when they may be.
    ahead: usize,
    commit_by: Instant,
}

impl Thread {
    fn serve(&mut self, questions: &Receiver<Question>) {
        self.write_log_ahead();
        let mut next = None;
        while let Some(question) = next.take().or_else(|| self.next(questions)) {
            match question {
                Question::Run(job) => {
                    let mut group = vec![job];
                    while group.len() < GROUP_LEN && next.is_none() {
                        match questions.try_recv() {
                            Ok(Question::Run(job)) => group.push(job),
                            Ok(other @ Question::Empty(_)) => next = Some(other),
                            Err(_) => break,
                        }
                    }
                    self.run(group);
                }
                Question::Empty(answer) => {
                    self.settle();
                    let emptied = self.checkpoint("PRAGMA wal_checkpoint(TRUNCATE)");
                    answer.give(emptied.map_err(|trouble| trouble.to_error()));
                    self.write_log_ahead();
                }
            }
        }
        self.settle();
        // A failure here changes nothing: the log stays and is read at the next start.
        drop(self.checkpoint("PRAGMA wal_checkpoint(TRUNCATE)"));
    }

    /// The next question. While none comes, what was answered ahead is committed in time.
    fn next(&mut self, questions: &Receiver<Question>) -> Option<Question> {
        if let Some(open) = &self.open {
            match questions.recv_timeout(open.commit_by.saturating_duration_since(Instant::now())) {
                Ok(question) => return Some(question),
                Err(RecvTimeoutError::Timeout) => self.settle(),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        questions.recv().ok()
    }

    /// Runs a group, and commits it unless nobody waits for that and there is still time.
    fn run(&mut self, group: Vec<Box<dyn Job>>) {
        let mut waiting = Vec::with_capacity(group.len());
        let mut fate = match self.doubt() {
            Some(trouble) => Err(trouble),
            None => self.begin(),
        };
        for mut job in group {
            if fate.is_ok() {
                fate = self.run_job(&mut *job);
            }
            match (&fate, &mut self.open) {
                (Ok(()), Some(open)) if job.may_be_ahead() => {
                    open.ahead += 1;
                    job.answer(Ok(()));
                }
                _ => waiting.push(job),
            }
        }
        let may_wait = waiting.is_empty()
            && self
                .open
                .as_ref()
                .is_some_and(|open| open.ahead < AHEAD_MAX && Instant::now() < open.commit_by);
        if fate.is_ok() && may_wait {
            return;
        }
        let fate = self.end(fate);
        for job in waiting {
            job.answer(match &fate {
                Ok(()) => Ok(()),
                Err(trouble) => Err(trouble.to_error()),
            });
        }
        self.checkpoint_if_long();
    }

    /// Commits what was answered ahead of its commit.
    fn settle(&mut self) {
        if self.open.is_some() {
            // Nobody waits; a failure has been told through `failed`.
            drop(self.end(Ok(())));
            self.checkpoint_if_long();
        }
    }

    fn begin(&mut self) -> Result<(), Trouble> {
        if self.open.is_none() {
            execute(&self.connection, "BEGIN")?;
            self.open = Some(OpenTransaction {
                changes_before: self.connection.total_changes(),
                ahead: 0,
                commit_by: Instant::now() + LAG_MAX,
            });
        }
        Ok(())
    }

    /// Runs one job in its own savepoint.
    fn run_job(&self, job: &mut dyn Job) -> Result<(), Trouble> {
        execute(&self.connection, "SAVEPOINT job")?;
        match job.run(&self.connection) {
            Ran::Keep => {}
            Ran::Undo => execute(&self.connection, "ROLLBACK TO job")?,
            Ran::Storage(trouble) => return Err(trouble),
        }
        execute(&self.connection, "RELEASE job")
    }

    /// Ends the open transaction: commits it, or undoes it because of a trouble.
    fn end(&mut self, fate: Result<(), Trouble>) -> Result<(), Trouble> {
        let Some(open) = self.open.take() else {
            return fate.inspect_err(|trouble| self.take_note(trouble));
        };
        match fate.and_then(|()| execute(&self.connection, "COMMIT")) {
            Ok(()) => {
                if self.connection.total_changes() != open.changes_before {
                    self.changes.send_modify(|count| *count = count.wrapping_add(1));
                    if WORK_CAME.take() {
                        self.work.send_modify(|count| *count = count.wrapping_add(1));
                    }
                }
                Ok(())
            }
            Err(trouble) => {
                // SQLite may have rolled back already; then this fails, and that is fine.
                drop(self.connection.execute_batch("ROLLBACK"));
                // What was answered is safe in its pack, but no longer known here: start-up finds it again.
                let trouble = match trouble {
                    Trouble::Full if open.ahead > 0 => Trouble::Doubt(
                        "the disk was full when acknowledged instances were to be recorded".to_owned(),
                    ),
                    trouble @ (Trouble::Full | Trouble::Doubt(_)) => trouble,
                };
                self.take_note(&trouble);
                Err(trouble)
            }
        }
    }

    fn checkpoint_if_long(&self) {
        if LOG_PAGES.get() >= CHECKPOINT_PAGES {
            drop(self.checkpoint("PRAGMA wal_checkpoint(PASSIVE)"));
        }
    }

    fn checkpoint(&self, statement: &str) -> Result<(), Trouble> {
        if let Some(trouble) = self.doubt() {
            return Err(trouble);
        }
        LOG_PAGES.set(0);
        let busy = self.connection.query_row(statement, [], |row| row.get::<_, i64>(0));
        let fate = match busy {
            Ok(0) => Ok(()),
            Ok(_) => Err(Trouble::Doubt("checkpoint found the database busy".to_owned())),
            Err(error) => Err(Trouble::of(&error).unwrap_or_else(|| Trouble::Doubt(error.to_string()))),
        };
        fate.inspect_err(|trouble| self.take_note(trouble))
    }

    /// Only makes the next commits faster; a disk that cannot do it will say so where it matters.
    fn write_log_ahead(&self) {
        if let Err(error) = self.disk.write_log_ahead(LOG_LEN) {
            tracing::debug!(%error, "the log is not written ahead");
        }
    }

    fn take_note(&self, trouble: &Trouble) {
        match trouble {
            Trouble::Full => self.disk.release_ballast(),
            Trouble::Doubt(why) => {
                self.failed.send_if_modified(|failed| {
                    let first = failed.is_none();
                    failed.get_or_insert_with(|| why.clone());
                    first
                });
            }
        }
    }

    fn doubt(&self) -> Option<Trouble> {
        self.failed.borrow().clone().map(Trouble::Doubt)
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.take_note(&Trouble::Doubt("the ledger thread panicked".to_owned()));
        }
    }
}

/// Runs a statement that begins or ends something. Its failure is never harmless.
fn execute(connection: &Connection, statement: &str) -> Result<(), Trouble> {
    let done = connection.prepare_cached(statement).and_then(|mut prepared| prepared.execute([]));
    done.map(|_| ()).map_err(|error| {
        Trouble::of(&error).unwrap_or_else(|| Trouble::Doubt(format!("{statement} failed: {error}")))
    })
}
