//! Which collections an association is filling at this moment. Kept in memory only: no association outlives the
//! process.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::records::CollectionId;

/// How many associations fill each collection. The lock is never held over anything slow.
#[derive(Default)]
pub(crate) struct Holds(Mutex<HashMap<CollectionId, u32>>);

impl Holds {
    pub(crate) fn take(&self, collection: CollectionId) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(collection).or_default() += 1;
    }

    pub(crate) fn give_back(&self, collection: CollectionId) {
        let mut holds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = holds.get_mut(&collection) {
            *count -= 1;
            if *count == 0 {
                holds.remove(&collection);
            }
        }
    }

    pub(crate) fn holds(&self, collection: CollectionId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&collection)
    }
}
