//! What goes to the PACS at this moment.
//!
//! A delivery that a person or the sender stops finishes the instance it is at. Until then nobody here can have removed
//! everything from the PACS, whatever they answer. Kept in memory only: after a crash nothing is on its way.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use beeldbox_protocol::ident::TransferId;

/// Transfers of which an instance may be on its way to the PACS.
#[derive(Debug, Default)]
pub struct OnTheWay(Mutex<HashSet<TransferId>>);

impl OnTheWay {
    /// From now on this one, until what this gives is dropped.
    pub fn enter(&self, transfer: TransferId) -> OnTheWayGuard<'_> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(transfer);
        OnTheWayGuard { all: self, transfer }
    }

    /// Whether this one is.
    pub fn has(&self, transfer: TransferId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&transfer)
    }
}

/// While it lives, its transfer is on its way.
#[derive(Debug)]
pub struct OnTheWayGuard<'a> {
    all: &'a OnTheWay,
    transfer: TransferId,
}

impl Drop for OnTheWayGuard<'_> {
    fn drop(&mut self) {
        self.all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.transfer);
    }
}
