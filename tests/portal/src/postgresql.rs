//! The ledger in PostgreSQL: what several portal processes share.
//!
//! ```text
//!   this process                                            the others
//!     writer thread ── BEGIN, lock the mark's row, closures, NOTIFY, COMMIT ──► wait for the lock
//!     reader threads ── REPEATABLE READ, READ ONLY
//!     ear thread ◄── LISTEN ─────────────────────────────── NOTIFY ──┘
//! ```
//!
//! Every writing transaction locks the row of the mark first, so there is one writer at a time over all processes, as
//! SQLite has it by nature: the rules of the portal need no second version for the many-process case. The lock is
//! given back after the commit has become visible, so whoever sees a mark sees every change before it. Closures that
//! wait in a process share one commit, which is what makes one writer at a time enough.
//!
//! A commit whose answer is lost may have succeeded; it is answered as a fault, the connection is made anew, and the
//! client's repetition finds out. Nothing about transfers is kept in memory here, so the process can go on.
//!
//! The connection is not encrypted: a Unix socket, or a network of the portal's own.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use postgres::fallible_iterator::FallibleIterator;
use postgres::types::{ToSql, Type};
use postgres::{Client, Config, NoTls, Statement};
use tokio::sync::{mpsc, watch};

use crate::clock::Clock;
use crate::ledger::{Batch, LedgerError, Order, ReadJob, WriteJob, Writing};
use crate::rows::{Cell, Row, Rows};

/// Connections that read.
const READERS: usize = 3;

/// Statements that a connection remembers; there are about fifty, more with every combination of a list's filters.
const MAX_STATEMENTS: usize = 200;

/// The channel on which a process says that transfers or the directory changed.
const CHANNEL: &str = "beeldbox_news";

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// After so much silence of the server's machine a connection counts as broken.
const SILENCE: Duration = Duration::from_secs(15);

/// Pause before a broken connection for news is made anew. Polls end by themselves, so nothing is lost meanwhile.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// How often the ear looks up whether the portal has stopped.
const LOOK_UP: Duration = Duration::from_millis(500);

/// What is set on each connection. A process whose machine has died must not keep the lock: the server lets go of a
/// transaction that is silent for ten seconds, and of a peer that is.
const SETTINGS: &str = "SET synchronous_commit = on; SET lock_timeout = '20s'; \
     SET idle_in_transaction_session_timeout = '10s'; \
     SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3";

/// Which database. Has no password: one comes from a file or from nowhere.
#[derive(Clone)]
pub struct DatabaseUrl(Config);

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DatabaseUrl({})", self.0.get_dbname().unwrap_or_default())
    }
}

impl DatabaseUrl {
    /// With this password.
    pub fn with_password(mut self, password: &str) -> Self {
        self.0.password(password.trim_end_matches(['\r', '\n']));
        self
    }
}

/// Why a text is not the address of a database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadDatabaseUrl {
    /// It cannot be read.
    #[error("it does not look like postgresql://user@host/database")]
    Unreadable,
    /// A command line is seen by everybody on the machine.
    #[error("a password belongs into a file, not into the address")]
    HasPassword,
}

impl FromStr for DatabaseUrl {
    type Err = BadDatabaseUrl;

    fn from_str(text: &str) -> Result<Self, BadDatabaseUrl> {
        let mut config: Config = text.parse().map_err(|_| BadDatabaseUrl::Unreadable)?;
        if config.get_password().is_some() {
            return Err(BadDatabaseUrl::HasPassword);
        }
        config
            .application_name("beeldbox-portal")
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_user_timeout(SILENCE)
            .keepalives_idle(SILENCE / 3)
            .keepalives_interval(SILENCE / 3);
        Ok(DatabaseUrl(config))
    }
}

/// A connection, with the statements that it has been taught.
pub struct Session {
    client: Client,
    statements: HashMap<String, Statement>,
}

impl Session {
    fn connect(url: &DatabaseUrl) -> Result<Self, LedgerError> {
        let mut client = url.0.connect(NoTls)?;
        client.batch_execute(SETTINGS)?;
        let fsync: String = client.query_one("SHOW fsync", &[])?.try_get(0)?;
        if fsync != "on" {
            return Err(LedgerError::NotDurable("PostgreSQL runs with fsync off"));
        }
        Ok(Session { client, statements: HashMap::new() })
    }

    fn prepared(&mut self, sql: &str) -> Result<Statement, LedgerError> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(&sql.replace('?', "$"))?;
        if self.statements.len() >= MAX_STATEMENTS {
            self.statements.clear();
        }
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// Executes a statement and says how many rows it changed.
    pub fn execute(&mut self, sql: &str, cells: &[Cell]) -> Result<u64, LedgerError> {
        let statement = self.prepared(sql)?;
        Ok(self.client.execute(&statement, &values(cells))?)
    }

    /// Executes a statement and gives all of its rows.
    pub fn query(&mut self, sql: &str, cells: &[Cell]) -> Result<Vec<Row>, LedgerError> {
        let statement = self.prepared(sql)?;
        let rows = self.client.query(&statement, &values(cells))?;
        rows.iter().map(read_row).collect()
    }

    fn run(&mut self, sql: &str) -> Result<(), LedgerError> {
        Ok(self.client.batch_execute(sql)?)
    }
}

fn values(cells: &[Cell]) -> Vec<&(dyn ToSql + Sync)> {
    cells
        .iter()
        .map(|cell| -> &(dyn ToSql + Sync) {
            match cell {
                Cell::Integer(value) => value,
                Cell::Text(value) => value,
                Cell::Null => &None::<String>,
            }
        })
        .collect()
}

fn read_row(row: &postgres::Row) -> Result<Row, LedgerError> {
    let read = |column: usize, kind: &Type| match *kind {
        Type::INT8 => Ok(row.try_get::<_, Option<i64>>(column)?.map_or(Cell::Null, Cell::Integer)),
        Type::TEXT => Ok(row.try_get::<_, Option<String>>(column)?.map_or(Cell::Null, Cell::Text)),
        _ => Err(LedgerError::Damaged("a column of another kind")),
    };
    let cells = row.columns().iter().enumerate().map(|(index, column)| read(index, column.type_()));
    Ok(Row(cells.collect::<Result<_, _>>()?))
}

/// Makes the tables if there are none, and starts the threads. Says how many of them read.
pub fn start(
    url: &DatabaseUrl,
    clock: Clock,
    to_write: mpsc::Receiver<Order<WriteJob>>,
    to_read: mpsc::Receiver<Order<ReadJob>>,
    tell_failed: watch::Sender<bool>,
) -> Result<usize, LedgerError> {
    // The client has a small runtime of its own, which does not start inside another.
    let opening = url.clone();
    let opened = std::thread::spawn(move || -> Result<Session, LedgerError> {
        let mut session = Session::connect(&opening)?;
        // Processes that start at the same moment would make the same table twice.
        session.run(&format!(
            "BEGIN; SELECT pg_advisory_xact_lock(4920617); {} COMMIT;",
            include_str!("schema.postgresql.sql")
        ))?;
        let version = session.query("SELECT number FROM schema_version WHERE one = 1", &[])?;
        match version.first().map(|row| row.integer(0)).transpose()? {
            Some(1) => Ok(session),
            Some(_) | None => Err(LedgerError::Damaged("it was written by a later version of this program")),
        }
    });
    let session = opened.join().map_err(|_| LedgerError::Closed)??;
    let writer = Writer { url: url.clone(), clock, session: Some(session), _failed: tell_failed };
    std::thread::spawn(move || writer.write_until_closed(to_write));
    let to_read = Arc::new(Mutex::new(to_read));
    for _ in 0..READERS {
        let (url, orders) = (url.clone(), to_read.clone());
        std::thread::spawn(move || read_until_closed(&url, &orders));
    }
    Ok(READERS)
}

struct Writer {
    url: DatabaseUrl,
    clock: Clock,
    session: Option<Session>,
    // Never told: what is durable is the server's knowledge, and is asked for again.
    _failed: watch::Sender<bool>,
}

impl Writer {
    fn write_until_closed(mut self, mut orders: mpsc::Receiver<Order<WriteJob>>) {
        while let Some(batch) = Batch::wait(&mut orders) {
            if !batch.jobs.is_empty()
                && let Err(error) = self.write_batch(batch.jobs)
            {
                tracing::warn!(error = told(&error), "a commit failed or its answer was lost");
            }
            if let Some(tell) = batch.close {
                let _ = tell.send(());
                return;
            }
        }
    }

    /// Writes what waits in one transaction.
    fn write_batch(&mut self, jobs: Vec<WriteJob>) -> Result<(), LedgerError> {
        // Dropping the jobs tells everybody that nothing was written.
        let mut session = self.begin()?;
        let mut answers = Vec::with_capacity(jobs.len());
        let written = write_jobs(&mut session, &self.clock, jobs, &mut answers);
        let committed = written.and_then(|()| session.run("COMMIT"));
        if committed.is_ok() || session.run("ROLLBACK").is_ok() {
            self.session = Some(session);
        }
        for answer in answers {
            answer(committed.clone());
        }
        committed
    }

    /// Begins a transaction as the only writer; over a new connection if the old one broke while nobody looked.
    fn begin(&mut self) -> Result<Session, LedgerError> {
        const BEGIN: &str = "BEGIN; SELECT micros FROM mark WHERE one = 1 FOR UPDATE";
        if let Some(mut session) = self.session.take() {
            match session.run(BEGIN) {
                Ok(()) => return Ok(session),
                Err(_) if session.client.is_closed() => {}
                Err(error) => {
                    if session.run("ROLLBACK").is_ok() {
                        self.session = Some(session);
                    }
                    return Err(error);
                }
            }
        }
        let mut session = Session::connect(&self.url)?;
        session.run(BEGIN)?;
        Ok(session)
    }
}

/// Executes each closure in a savepoint. The answers are given by the caller, after the commit.
fn write_jobs(
    session: &mut Session,
    clock: &Clock,
    jobs: Vec<WriteJob>,
    answers: &mut Vec<crate::ledger::Answer>,
) -> Result<(), LedgerError> {
    let mut has_news = false;
    let now = clock.now();
    for job in jobs {
        session.run("SAVEPOINT job")?;
        let keep = {
            let writing = Writing::new(Rows::Postgres(std::cell::RefCell::new(&mut *session)), now);
            let (keep, answer) = job(&writing);
            has_news |= keep && writing.has_news.get();
            answers.push(answer);
            keep
        };
        session.run(if keep { "RELEASE job" } else { "ROLLBACK TO job; RELEASE job" })?;
    }
    if has_news {
        // Told to the listeners at the commit, if there is one.
        session.run(&format!("NOTIFY {CHANNEL}"))?;
    }
    Ok(())
}

fn read_until_closed(url: &DatabaseUrl, orders: &Mutex<mpsc::Receiver<Order<ReadJob>>>) {
    let mut session = None;
    loop {
        // The lock is held while waiting: the others wait for the lock then, which comes to the same.
        let order = orders.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        match order {
            Some(Order::Do(job)) => session = in_snapshot(url, session, job),
            Some(Order::Close(tell)) => {
                let _ = tell.send(());
                return;
            }
            None => return,
        }
    }
}

/// Reads, and gives the connection back if it is still good.
fn in_snapshot(url: &DatabaseUrl, session: Option<Session>, job: ReadJob) -> Option<Session> {
    const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    let begun = session.and_then(|mut session| session.run(BEGIN).is_ok().then_some(session));
    let connecting = || {
        let mut session = Session::connect(url)?;
        session.run(BEGIN)?;
        Ok(session)
    };
    let mut session = match begun.map_or_else(connecting, Ok) {
        Ok(session) => session,
        Err(error) => {
            tracing::warn!(error = told(&error), "the database cannot be read now");
            job(Err(error));
            return None;
        }
    };
    job(Ok(&Rows::Postgres(std::cell::RefCell::new(&mut session))));
    session.run("COMMIT").is_ok().then_some(session)
}

/// Wakes this process's polls when any process has committed news, until the portal stops.
pub fn listen(url: DatabaseUrl, news: watch::Sender<u64>, stopping: watch::Receiver<bool>) {
    let is_over = move || *stopping.borrow() || stopping.has_changed().is_err();
    std::thread::spawn(move || {
        while !is_over() {
            if let Err(error) = listen_once(&url, &news, &is_over) {
                tracing::warn!(error = told(&error), "no news of other processes for now");
                std::thread::sleep(RECONNECT_PAUSE);
            }
        }
    });
}

fn listen_once(
    url: &DatabaseUrl,
    news: &watch::Sender<u64>,
    is_over: &impl Fn() -> bool,
) -> Result<(), LedgerError> {
    let mut client = url.0.connect(NoTls)?;
    client.batch_execute(&format!("LISTEN {CHANNEL}"))?;
    // What was committed while nobody listened.
    wake(news);
    while !is_over() {
        let heard = client.notifications().timeout_iter(LOOK_UP).next()?;
        if heard.is_some() {
            // Several at a time are one piece of news.
            while client.notifications().iter().next()?.is_some() {}
            wake(news);
        } else if client.is_closed() {
            client.batch_execute("SELECT 1")?;
        }
    }
    Ok(())
}

fn wake(news: &watch::Sender<u64>) {
    news.send_modify(|count| *count = count.wrapping_add(1));
}

/// What the server says about an error, without what was written.
fn told(error: &LedgerError) -> String {
    match error {
        LedgerError::Postgres(error) => {
            let server = error.as_db_error().map(|db| format!("{} ({})", db.message(), db.code().code()));
            server.unwrap_or_else(|| error.to_string())
        }
        LedgerError::Sqlite(_)
        | LedgerError::Damaged(_)
        | LedgerError::NotDurable(_)
        | LedgerError::TakenBack
        | LedgerError::Closed => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_no_password() {
        assert!("postgresql://portal@127.0.0.1/portal".parse::<DatabaseUrl>().is_ok());
        assert!("host=/run/postgresql user=portal dbname=portal".parse::<DatabaseUrl>().is_ok());
        let refused = "postgresql://portal:secret@127.0.0.1/portal".parse::<DatabaseUrl>();
        assert_eq!(refused.unwrap_err(), BadDatabaseUrl::HasPassword);
        assert_eq!("mysql://x".parse::<DatabaseUrl>().unwrap_err(), BadDatabaseUrl::Unreadable);
        let url: DatabaseUrl = "postgresql://portal@127.0.0.1/portal".parse().unwrap();
        assert!(!format!("{:?}", url.with_password("secret\n")).contains("secret"));
    }
}
