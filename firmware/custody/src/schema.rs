//! Opening the database: pragmas, application id, schema version.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::error::CustodyError;

/// "BeLd", so that `file` and we know the database for what it is.
const APPLICATION_ID: i64 = 0x4265_4c64;

/// Version of `schema.sql`. Migrations only go forward.
const SCHEMA_VERSION: i64 = 5;

/// Each takes a ledger from the version before it to its own. A landed one is never changed.
const MIGRATIONS: [(i64, &str); 4] = [
    (2, include_str!("migrations/2.sql")),
    (3, include_str!("migrations/3.sql")),
    (4, include_str!("migrations/4.sql")),
    (5, include_str!("migrations/5.sql")),
];

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
        (APPLICATION_ID, found) if found < 1 => {
            return Err(CustodyError::LedgerCorrupt {
                finding: "schema version before the first".to_owned(),
            });
        }
        (APPLICATION_ID, found) => migrate(&mut connection, found)?,
        (found, _) => return Err(CustodyError::NotALedger { found }),
    }
    Ok(connection)
}

/// All steps in one commit: a power cut leaves the old schema or the new one.
fn migrate(connection: &mut Connection, from: i64) -> Result<(), CustodyError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    for (_, step) in MIGRATIONS.iter().filter(|(to, _)| *to > from) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()?;
    tracing::info!(from, to = SCHEMA_VERSION, "the ledger was migrated");
    Ok(())
}

fn make(connection: &mut Connection) -> Result<(), CustodyError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    transaction.execute_batch(SCHEMA)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every column of every table, and every index and trigger by name.
    fn shape(connection: &Connection) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut statement = connection
            .prepare(
                "SELECT s.type || ' ' || s.name || coalesce('.' || c.name || ' ' || c.type || ' ' || c.\"notnull\", '')
                 FROM sqlite_schema s LEFT JOIN pragma_table_info(s.name) c ON s.type = 'table'",
            )
            .unwrap();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            found.insert(row.get(0).unwrap());
        }
        found
    }

    #[test]
    fn an_older_ledger_is_migrated_to_what_a_new_one_is() {
        let dir = tempfile::tempdir().unwrap();
        let old = dir.path().join("old.sqlite");
        let connection = Connection::open(&old).unwrap();
        connection.execute_batch(include_str!("tests/schema_1.sql")).unwrap();
        connection
            .execute_batch(
                "INSERT INTO collection (direction, source_ae, opened_at, last_instance_at, size_bytes)
                 VALUES ('outbound', 'CT1', 0, 0, 30), ('outbound', 'CT1', 0, 0, 12);
                 INSERT INTO pack (id, collection, state, len_bytes, frames, wrapped_key)
                 VALUES (zeroblob(16), 1, 'closed', 1042, 1, x'00'), (randomblob(16), 2, 'open', 64, 0, x'00');",
            )
            .unwrap();
        connection.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        drop(connection);
        let migrated = open(&old).unwrap();
        assert_eq!(shape(&migrated), shape(&open(&dir.path().join("new.sqlite")).unwrap()));
        let moves = |connection: &Connection| -> BTreeSet<String> {
            let mut statement = connection
                .prepare("SELECT direction || ' ' || from_state || ' ' || to_state FROM allowed_move")
                .unwrap();
            let rows = statement.query_map([], |row| row.get(0)).unwrap();
            rows.map(Result::unwrap).collect()
        };
        assert_eq!(moves(&migrated), moves(&open(&dir.path().join("other.sqlite")).unwrap()));
        let kept: i64 = migrated
            .query_row("SELECT kept_bytes FROM source WHERE ae = 'CT1'", [], |row| row.get(0))
            .unwrap();
        assert_eq!(kept, 1042);
    }
}
