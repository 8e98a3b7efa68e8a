//! Opening the database: pragmas, application id, schema version.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::error::CustodyError;

/// "BeLd", so that `file` and we know the database for what it is.
const APPLICATION_ID: i64 = 0x4265_4c64;

/// Version of `schema.sql`. Migrations only go forward.
const SCHEMA_VERSION: i64 = 1;

/// Statements kept prepared: more than there are.
const STATEMENTS_KEPT: usize = 128;

const SCHEMA: &str = include_str!("schema.sql");

/// Opens or makes the ledger.
///
/// Exclusive locking comes before WAL, so that no shared-memory file is made. FULL, because an acknowledged C-STORE must
/// survive a power cut. Checkpoints are made by the ledger thread alone. `secure_delete`, because what is erased must be
/// gone from free pages too.
pub(crate) fn open(path: &Path) -> Result<Connection, CustodyError> {
    let mut connection = Connection::open(path)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    connection.execute_batch(
        "PRAGMA locking_mode = EXCLUSIVE;
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA busy_timeout = 5000;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA journal_size_limit = 67108864;
         PRAGMA trusted_schema = OFF;
         PRAGMA temp_store = MEMORY;
         PRAGMA mmap_size = 0;
         PRAGMA secure_delete = ON;
         PRAGMA cell_size_check = ON;",
    )?;
    let pragma = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (application, version) {
        (0, 0) if tables == 0 => make(&mut connection)?,
        (APPLICATION_ID, SCHEMA_VERSION) => {}
        (APPLICATION_ID, found) if found > SCHEMA_VERSION => {
            return Err(CustodyError::NewerSchema { found, known: SCHEMA_VERSION });
        }
        (APPLICATION_ID, _) => {
            return Err(CustodyError::LedgerCorrupt {
                finding: "schema version before the first".to_owned(),
            });
        }
        (found, _) => return Err(CustodyError::NotALedger { found }),
    }
    Ok(connection)
}

fn make(connection: &mut Connection) -> Result<(), CustodyError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    transaction.execute_batch(SCHEMA)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()?;
    Ok(())
}
