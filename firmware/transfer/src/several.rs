//! Several transfers at once, each in a task of its own: one that is slow, broken or addressed to somebody who is not
//! there does not keep the others waiting.
//!
//! Their number is bounded. What is urgent has places of its own, so that it starts at once however many others are
//! under way. Which part travels next is decided by the line ([`crate::line`]), not here.

use std::collections::HashMap;
use std::future::Future;

use beeldbox_custody::TransferRow;
use beeldbox_protocol::ident::TransferId;
use tokio::task::{Id, JoinSet};
use tracing::{Instrument, error};

/// Transfers under way at once.
const PLACES: usize = 8;

/// More of them for what is urgent.
const URGENT_PLACES: usize = 4;

/// The transfers that a worker has under way.
#[derive(Default)]
pub(crate) struct Several {
    tasks: JoinSet<()>,
    under_way: HashMap<Id, TransferId>,
}

impl Several {
    /// Whether this transfer can be started now: it is not under way already, and there is a place.
    pub(crate) fn can_start(&self, row: &TransferRow) -> bool {
        let places = if row.urgent { PLACES + URGENT_PLACES } else { PLACES };
        self.under_way.len() < places && !self.under_way.values().any(|id| *id == row.id)
    }

    /// Starts work on a transfer.
    pub(crate) fn start(&mut self, transfer: TransferId, work: impl Future<Output = ()> + Send + 'static) {
        let task = self.tasks.spawn(work.in_current_span());
        self.under_way.insert(task.id(), transfer);
    }

    /// Waits until one ends; for ever if there is none.
    ///
    /// # Cancellation
    /// May be dropped at any moment.
    pub(crate) async fn one_ends(&mut self) {
        match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => drop(self.under_way.remove(&id)),
            Some(Err(failure)) => {
                let transfer = self.under_way.remove(&failure.id());
                error!(transfer = ?transfer, %failure, "work on a transfer ended badly");
            }
            None => std::future::pending().await,
        }
    }

    /// Waits until all have ended.
    pub(crate) async fn all_end(&mut self) {
        while !self.tasks.is_empty() {
            self.one_ends().await;
        }
    }
}
