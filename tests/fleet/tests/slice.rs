//! A short slice of the fleet: every kind of request happens, and every transfer arrives.

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect ends there")]

use std::path::Path;
use std::time::Duration;

use beeldbox_fleet::{DatabaseKind, Plan, run};

async fn slice(portals: usize, database: DatabaseKind) {
    let plan = Plan {
        boxes: 5,
        time: Duration::from_secs(6),
        portals,
        database,
        parts: 2,
        part_len: 100_000,
        pause: Duration::from_millis(300),
    };
    let report = run(&plan, Path::new(env!("CARGO_BIN_EXE_beeldbox-fleet"))).await.unwrap();
    assert!(report.sent > 0, "nothing was sent");
    assert_eq!(report.figures.len(), 12, "every kind was measured: {:?}", report.figures.keys());
    assert!(report.bytes() > 200_000 && report.database_len > 0);
    assert_eq!(report.memory.len(), portals);
    let told = report.to_string();
    assert!(told.contains("75000 a day") && told.contains("first to break"), "{told}");
}

#[tokio::test]
async fn a_few_boxes_exchange_over_one_portal_on_sqlite() {
    slice(1, DatabaseKind::Sqlite).await;
}

#[tokio::test]
async fn a_few_boxes_exchange_over_two_portals_on_one_postgresql() {
    slice(2, DatabaseKind::Postgres).await;
}
