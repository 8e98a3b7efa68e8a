//! The ledger thread.

use super::ward::*;
use crate::CustodyError;

#[tokio::test]
async fn everyone_in_a_group_is_answered_and_a_failure_undoes_only_itself() {
    let (_dir, custody) = empty_ward();
    // The first question holds the thread until all others wait, so that they become one group.
    let (release, hold) = std::sync::mpsc::channel::<()>();
    let first = tokio::spawn({
        let custody = custody.clone();
        async move {
            custody
                .ledger()
                .ask(move |_| {
                    for () in hold {}
                    Ok(())
                })
                .await
        }
    });
    let changes = custody.changes();
    let before = *changes.borrow();
    let others: Vec<_> = (0..50_i64)
        .map(|number| {
            let (sender, answer) = tokio::sync::oneshot::channel();
            let work = move |connection: &rusqlite::Connection| {
                connection.execute("INSERT INTO directory_mark VALUES (?1, 'x')", [number.to_string()])?;
                if number % 10 == 3 { Err(CustodyError::Stale) } else { Ok(number) }
            };
            custody.ledger().tell(work, crate::ledger::Answer::Async(sender)).unwrap();
            answer
        })
        .collect();
    drop(release);
    first.await.unwrap().unwrap();
    for (number, answer) in (0_i64..).zip(others) {
        match answer.await.unwrap() {
            Ok(answered) => assert_eq!(answered, number),
            Err(error) => assert!(number % 10 == 3 && matches!(error, CustodyError::Stale)),
        }
    }
    let marks: i64 = custody
        .ledger()
        .ask(|connection| {
            Ok(connection.query_row("SELECT count(*) FROM directory_mark", [], |row| row.get(0))?)
        })
        .await
        .unwrap();
    assert_eq!(marks, 45);
    assert!(*changes.borrow() - before <= 2, "fifty questions are one or two commits");
}

#[tokio::test]
async fn changes_are_counted_and_looking_is_not_a_change() {
    let (_dir, custody) = empty_ward();
    let mut changes = custody.changes();
    changes.mark_unchanged();
    custody.studies(None, 10).await.unwrap();
    assert!(!changes.has_changed().unwrap());
    receive(&custody, 1, 1);
    assert!(changes.has_changed().unwrap());
}

#[tokio::test]
async fn a_second_opening_is_refused_until_the_first_is_closed() {
    let (dir, custody) = empty_ward();
    assert!(matches!(try_open(options(dir.path())), Err(CustodyError::InUse)));
    custody.close().await;
    assert!(matches!(custody.studies(None, 1).await, Err(CustodyError::Closed)));
    try_open(options(dir.path())).unwrap();
}

#[tokio::test]
async fn a_ledger_of_a_later_version_is_refused_by_name() {
    let (dir, custody) = empty_ward();
    custody.close().await;
    let connection = rusqlite::Connection::open(dir.path().join("ledger.sqlite")).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let refused = try_open(options(dir.path()));
    assert!(matches!(refused, Err(CustodyError::NewerSchema { found: 99, known: 5 })));
}

#[tokio::test]
async fn a_foreign_database_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let connection = rusqlite::Connection::open(dir.path().join("ledger.sqlite")).unwrap();
    connection.execute_batch("CREATE TABLE cake (slice)").unwrap();
    drop(connection);
    assert!(matches!(try_open(options(dir.path())), Err(CustodyError::NotALedger { found: 0 })));
}

#[tokio::test]
async fn another_storage_key_opens_nothing() {
    let (dir, custody) = empty_ward();
    receive(&custody, 1, 1);
    custody.close().await;
    let mut options = options(dir.path());
    options.storage_key = beeldbox_protocol::envelope::keys::StorageKey::from_bytes([8; 32]);
    let (custody, _) = try_open(options).unwrap();
    assert!(matches!(custody.studies(None, 1).await, Err(CustodyError::DoesNotAuthenticate)));
}

#[tokio::test]
async fn a_panic_on_the_ledger_thread_puts_storage_in_doubt() {
    let (_dir, custody) = empty_ward();
    let mut failed = custody.failed();
    let asked: Result<(), _> = custody.ledger().ask(|_| panic!("as the test wants")).await;
    assert!(asked.is_err());
    failed.wait_for(Option::is_some).await.unwrap();
    let image = image(1, 1, 10);
    assert!(session(&custody).begin(at(1), &image.description, &image.attributes).is_err());
}

#[tokio::test]
async fn a_full_database_refuses_the_group_releases_the_ballast_and_goes_on() {
    let (dir, custody) = empty_ward();
    receive(&custody, 1, 1);
    assert!(dir.path().join("ballast").exists());
    let limit = |pages: i64| {
        let custody = custody.clone();
        async move {
            let limit = format!("PRAGMA max_page_count = {pages}");
            custody
                .ledger()
                .ask(move |c| Ok(c.query_row(&limit, [], |row| row.get::<_, i64>(0))?))
                .await
                .unwrap()
        }
    };
    limit(1).await;
    let big = custody
        .put_outbox(crate::OutboxMessage {
            kind: "big".to_owned(),
            transfer: None,
            payload: vec![1; 1_000_000],
            due_at: at(0),
        })
        .await;
    assert!(matches!(big, Err(CustodyError::OutOfSpace)));
    assert!(!dir.path().join("ballast").exists());
    limit(1_000_000).await;
    assert!(custody.failed().borrow().is_none());
    receive(&custody, 2, 1);
    assert!(dir.path().join("ballast").exists(), "the ballast is made again when there is room");
    assert_eq!(custody.studies(None, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn an_answer_may_be_ahead_of_its_commit_which_follows_by_itself() {
    let (_dir, custody) = empty_ward();
    let mut changes = custody.changes();
    changes.mark_unchanged();
    let note = |custody: &crate::Custody, name: &'static str| {
        let work = move |connection: &rusqlite::Connection| {
            connection.execute("INSERT INTO directory_mark VALUES (?1, 'x')", [name])?;
            Ok(())
        };
        custody.ledger().wait_ahead(work, |()| true)
    };
    note(&custody, "a").unwrap();
    assert!(!changes.has_changed().unwrap(), "the commit is still to come");
    changes.changed().await.unwrap();
    note(&custody, "b").unwrap();
    custody.ledger().ask(|_| Ok(())).await.unwrap();
    assert!(changes.has_changed().unwrap(), "whoever waits for a commit takes the others along");
}

#[tokio::test]
async fn a_commit_that_fails_behind_its_answers_puts_storage_in_doubt() {
    let (_dir, custody) = empty_ward();
    let full = || rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL), None);
    let note = custody.ledger().wait_ahead(|_| Ok(()), |()| true);
    note.unwrap();
    let failing: Result<(), _> = custody.ledger().ask(move |_| Err(CustodyError::Ledger(full()))).await;
    assert!(matches!(failing, Err(CustodyError::InDoubt { .. })));
    assert!(custody.failed().borrow().is_some());
}
