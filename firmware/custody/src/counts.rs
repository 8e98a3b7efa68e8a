//! How much there is: for the status page and for health.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::Custody;
use crate::columns::time;
use crate::error::CustodyError;
use crate::kind::{InboundKind, Kind, OutboundKind};

/// What the ledger holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// Outbound transfers by state; states without any are left out, and so are studies without an instance.
    pub outbound: BTreeMap<OutboundKind, u64>,
    /// Inbound transfers by state.
    pub inbound: BTreeMap<InboundKind, u64>,
    /// Instances in collections that are not erased.
    pub instances: u64,
    /// Of these, instances that cannot be read any more.
    pub damaged: u64,
    /// Bytes of data sets in collections that are not erased.
    pub size_bytes: u64,
    /// When the oldest transfer that is not over was made.
    pub oldest: Option<Timestamp>,
}

impl Custody {
    /// Counts what there is.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn counts(&self) -> Result<Counts, CustodyError> {
        self.ledger()
            .ask(|connection| {
                let mut counts = Counts::default();
                let mut statement = connection.prepare_cached(
                    "SELECT t.direction, t.state, count(*), min(t.created_at)
                     FROM transfer t LEFT JOIN collection c ON c.id = t.collection
                     WHERE t.state <> 'collecting' OR c.instances > 0
                     GROUP BY t.direction, t.state",
                )?;
                let mut rows = statement.query([])?;
                let mut oldest: Option<i64> = None;
                while let Some(row) = rows.next()? {
                    let (direction, word): (String, String) = (row.get(0)?, row.get(1)?);
                    let kind = if direction == "outbound" {
                        OutboundKind::from_word(&word).map(Kind::Outbound)
                    } else {
                        InboundKind::from_word(&word).map(Kind::Inbound)
                    };
                    let kind = kind.ok_or(CustodyError::unreadable("state"))?;
                    match kind {
                        Kind::Outbound(kind) => counts.outbound.insert(kind, row.get(2)?),
                        Kind::Inbound(kind) => counts.inbound.insert(kind, row.get(2)?),
                    };
                    if !kind.is_final() {
                        let made: i64 = row.get(3)?;
                        oldest = Some(oldest.map_or(made, |oldest| oldest.min(made)));
                    }
                }
                counts.oldest = oldest.map(time).transpose()?;
                let held = connection
                    .prepare_cached(
                        "SELECT coalesce(sum(instances), 0), coalesce(sum(damaged), 0), coalesce(sum(size_bytes), 0)
                         FROM collection
                         WHERE erasing_at IS NULL",
                    )?
                    .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
                (counts.instances, counts.damaged, counts.size_bytes) = held;
                Ok(counts)
            })
            .await
    }
}
