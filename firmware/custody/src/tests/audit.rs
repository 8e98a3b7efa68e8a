//! The audit trail, the directory, keys we know.

use beeldbox_protocol::clinical::Confidential;

use super::ward::*;
use crate::{AuditRecord, CustodyError, KnownKey};

fn record(action: &str) -> AuditRecord {
    AuditRecord {
        at: at(0),
        actor: "piet".to_owned(),
        action: action.to_owned(),
        transfer: None,
        detail: Confidential::new("looked at it"),
    }
}

#[tokio::test]
async fn the_audit_trail_is_a_chain() {
    let (_dir, custody) = empty_ward();
    for action in ["one", "two", "three"] {
        custody.append_audit(record(action)).await.unwrap();
    }
    let rows = custody.audit(None, 2).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.seq).collect::<Vec<_>>(), [3, 2]);
    assert_eq!(rows[0].previous, rows[1].digest);
    assert_eq!(rows[0].record, record("three"));
    assert_eq!(custody.audit(Some(crate::Cursor(2)), 10).await.unwrap().len(), 1);
    assert_eq!(custody.verify_audit().await.unwrap(), 3);
}

#[tokio::test]
async fn a_changed_or_removed_audit_row_is_refused_or_found() {
    let (_dir, custody) = empty_ward();
    for action in ["one", "two", "three"] {
        custody.append_audit(record(action)).await.unwrap();
    }
    for tampering in ["UPDATE audit SET actor = 'jan'", "DELETE FROM audit"] {
        let refused = custody.ledger().ask(move |connection| Ok(connection.execute(tampering, [])?)).await;
        assert!(matches!(refused, Err(CustodyError::Ledger(_))));
    }
    custody
        .ledger()
        .ask(|connection| {
            connection.execute_batch("DROP TRIGGER audit_is_not_deleted; DELETE FROM audit WHERE seq = 2")?;
            Ok(())
        })
        .await
        .unwrap();
    assert!(matches!(custody.verify_audit().await, Err(CustodyError::LedgerCorrupt { .. })));
}

#[tokio::test]
async fn a_known_key_is_remembered_per_partner_and_endpoint() {
    let (_dir, custody) = empty_ward();
    let key = KnownKey {
        ura: "90000381".parse().unwrap(),
        endpoint: "ep-1".to_owned(),
        key_id: "k1".to_owned(),
        first_seen_at: at(0),
        confirmed_by: None,
    };
    assert_eq!(custody.known_key(&key.ura, "ep-1").await.unwrap(), None);
    custody.remember_key(key.clone()).await.unwrap();
    assert_eq!(custody.known_key(&key.ura, "ep-1").await.unwrap(), Some(key.clone()));
    assert_eq!(custody.known_key(&key.ura, "ep-2").await.unwrap(), None);
}
