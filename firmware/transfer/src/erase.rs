//! Erase: the keys are gone, then the bytes.
//!
//! A transfer that ended is kept for a set time, so that a second addressee or a question from the other side needs
//! no new push from the PACS. Custody erases only what no other transfer still needs, and finishes an interrupted
//! erasing at start-up.

use std::time::Duration;

use beeldbox_custody::{CollectionId, CustodyError, Kind, TransferRow};
use jiff::Timestamp;
use tokio::sync::watch;
use tracing::{error, info};

use crate::road::{Road, after};
use crate::worker::{Worked, Worker, due_now, until_due};

/// Pause before erasing is tried again.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);

/// Erases what has been kept long enough.
pub struct Eraser {
    road: Road,
    changes: watch::Receiver<u64>,
    forgets_at: Timestamp,
}

impl Eraser {
    /// For this road.
    pub fn new(road: Road) -> Self {
        let changes = road.custody.work();
        Eraser { road, changes, forgets_at: Timestamp::MIN }
    }

    /// Whether a transfer of the same images is not over; one that waits for an addressee counts.
    async fn is_needed(&self, collection: CollectionId) -> bool {
        match self.road.custody.transfers_of(collection).await {
            Ok(transfers) => transfers.iter().any(|transfer| !transfer.state.kind().is_final()),
            Err(error) => {
                error!(%error, "the ledger cannot be asked who needs a study");
                true
            }
        }
    }

    /// What was asked in requests for images is kept as long as images are.
    async fn forget_requests(&mut self) {
        let now = self.road.now();
        if now < self.forgets_at {
            return;
        }
        self.forgets_at = after(now, LOOK_AGAIN);
        let ended_before = self.road.before(self.road.settings.keep_for);
        if let Err(error) = self.road.custody.forget_requests(ended_before).await {
            error!(%error, "the ledger cannot forget requests");
        }
    }

    /// It ended before anything came.
    async fn nothing_to_erase(&self, row: &TransferRow) {
        if let Err(error) = self.road.set_due(row, None).await {
            error!(transfer = %row.id, %error, "the ledger cannot put a transfer to rest");
        }
    }

    async fn erase(&self, row: &TransferRow) {
        let now = self.road.now();
        let erased = match row.collection {
            Some(collection) if self.is_needed(collection).await => Err(CustodyError::StillNeeded),
            Some(collection) => self.road.custody.erase(collection, now).await,
            None => return self.nothing_to_erase(row).await,
        };
        let later = match erased {
            Ok(()) => return info!(transfer = %row.id, "erased: keys, then bytes"),
            // Another transfer of the same study is still under way.
            Err(CustodyError::StillNeeded) => after(now, LOOK_AGAIN),
            Err(error) => {
                error!(transfer = %row.id, %error, "could not be erased; tried again later");
                after(now, LOOK_AGAIN)
            }
        };
        if let Err(error) = self.road.set_due(row, Some(later)).await {
            error!(transfer = %row.id, %error, "the ledger cannot postpone erasing");
        }
    }
}

impl Worker for Eraser {
    fn name(&self) -> &'static str {
        "erase"
    }

    async fn work(&mut self) -> Worked {
        self.forget_requests().await;
        let due = due_now(&self.road.custody, &self.road.clock).await;
        let ended = due.iter().find(|row| is_ended(row.state.kind()));
        match ended {
            Some(row) => {
                self.erase(row).await;
                Worked::More
            }
            None => Worked::Idle,
        }
    }

    async fn wait(&mut self) {
        until_due(&self.road.custody, &self.road.clock, &mut self.changes).await;
    }
}

fn is_ended(kind: Kind) -> bool {
    kind.is_final()
}
