//! The one seam between the portal and its two databases: statements in, rows out.
//!
//! Both databases understand the SQL of this crate as it stands, written in what they have in common; only how a
//! parameter is marked differs (`?1` here, `$1` there). So the rules of the portal are written once, as closures that
//! get [`Rows`], and what differs (threads, locks, durability, news of other processes) is in `sqlite` and `postgresql`.

use std::cell::RefCell;

use crate::ledger::LedgerError;
use crate::postgresql::Session;

/// What stands in a column, or is put there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// A number, a time in microseconds, or a truth (0, 1).
    Integer(i64),
    /// Text.
    Text(String),
    /// Nothing.
    Null,
}

impl From<i64> for Cell {
    fn from(value: i64) -> Self {
        Cell::Integer(value)
    }
}

impl From<bool> for Cell {
    fn from(value: bool) -> Self {
        Cell::Integer(i64::from(value))
    }
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Cell::Text(value.to_owned())
    }
}

impl From<String> for Cell {
    fn from(value: String) -> Self {
        Cell::Text(value)
    }
}

/// The values of a statement, `?1` first.
macro_rules! cells {
    ($($value:expr),* $(,)?) => { &[$($crate::rows::Cell::from($value)),*] };
}
pub(crate) use cells;

/// A row of an answer.
#[derive(Debug)]
pub struct Row(pub Vec<Cell>);

impl Row {
    /// The number in this column.
    pub fn integer(&self, column: usize) -> Result<i64, LedgerError> {
        match self.0.get(column) {
            Some(Cell::Integer(value)) => Ok(*value),
            Some(Cell::Text(_) | Cell::Null) | None => Err(LedgerError::Damaged("a number")),
        }
    }

    /// The text in this column.
    pub fn text(&self, column: usize) -> Result<String, LedgerError> {
        match self.0.get(column) {
            Some(Cell::Text(value)) => Ok(value.clone()),
            Some(Cell::Integer(_) | Cell::Null) | None => Err(LedgerError::Damaged("a text")),
        }
    }
}

/// A transaction of either database.
pub enum Rows<'a> {
    /// The embedded one.
    Sqlite(&'a rusqlite::Connection),
    /// The one that several processes share.
    Postgres(RefCell<&'a mut Session>),
}

impl Rows<'_> {
    /// Executes a statement and says how many rows it changed.
    pub fn execute(&self, sql: &str, values: &[Cell]) -> Result<u64, LedgerError> {
        match self {
            Rows::Sqlite(connection) => crate::sqlite::execute(connection, sql, values),
            Rows::Postgres(session) => session.borrow_mut().execute(sql, values),
        }
    }

    /// Executes a statement and gives all of its rows.
    pub fn query(&self, sql: &str, values: &[Cell]) -> Result<Vec<Row>, LedgerError> {
        match self {
            Rows::Sqlite(connection) => crate::sqlite::query(connection, sql, values),
            Rows::Postgres(session) => session.borrow_mut().query(sql, values),
        }
    }

    /// Executes a statement and gives its first row.
    pub fn query_first(&self, sql: &str, values: &[Cell]) -> Result<Option<Row>, LedgerError> {
        Ok(self.query(sql, values)?.into_iter().next())
    }
}
