//! The copy of the national directory: searched here, kept up to date by [`DirectorySync`].
//!
//! ```text
//!   source ──pages──► staged in the ledger ──one commit with the mark──► the copy ──► built anew ──► swapped in
//! ```
//!
//! A directory that cannot be reached, or says nonsense, leaves the last copy in use with its age shown. Past a limit
//! nothing is sent to what stands in it: a key that was withdrawn meanwhile would still look good here.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use beeldbox_custody::{Custody, CustodyError};
use beeldbox_protocol::admin::Addressee;
use beeldbox_protocol::ident::AddresseeId;
use beeldbox_protocol::portal::directory::{Directory, DirectoryBuilder, DirectoryEntry, Kind};
use jiff::{SignedDuration, Timestamp};
use tracing::{error, warn};

// Our own entry in it.
mod own_key;
// Where it is read.
pub mod source;
// Reading it.
mod sync;

pub use sync::{DirectoryError, DirectorySync};

/// Resources read from the ledger at once: others wait for its thread meanwhile.
const AT_ONCE: u32 = 500;

/// The searchable copy.
pub struct DirectoryCopy {
    refuse_after: Duration,
    current: RwLock<Current>,
}

#[derive(Default)]
struct Current {
    directory: Arc<Directory>,
    as_of: Option<Timestamp>,
    trouble: Option<String>,
}

/// How old the copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Age {
    /// When it was last brought up to date; nothing if never.
    pub as_of: Option<Timestamp>,
    /// How long ago that was.
    pub age: Option<Duration>,
    /// Whether that is too long to send to what stands in it.
    pub is_too_old: bool,
}

impl DirectoryCopy {
    /// Empty. So long after it was last brought up to date nothing is sent to what stands in it.
    pub fn new(refuse_after: Duration) -> Self {
        DirectoryCopy { refuse_after, current: RwLock::default() }
    }

    /// The copy as it is now.
    pub fn get(&self) -> Arc<Directory> {
        self.read(|current| Arc::clone(&current.directory))
    }

    /// How old it is. A copy from the future was made with a wrong clock and is as old as it is far away.
    pub fn age(&self, now: Timestamp) -> Age {
        let as_of = self.read(|current| current.as_of);
        let age = as_of.map(|as_of| now.duration_since(as_of).unsigned_abs());
        Age { as_of, age, is_too_old: age.is_none_or(|age| age > self.refuse_after) }
    }

    /// What kept it from being brought up to date at the last attempt, in words.
    pub fn trouble(&self) -> Option<String> {
        self.read(|current| current.trouble.clone())
    }

    /// Entries in which every word of the query begins some word, the usual ones first among equals.
    pub fn search(&self, query: &str, limit: usize, usual: &[AddresseeId]) -> Vec<Addressee> {
        self.get().search_with_usual(query, limit, usual)
    }

    /// The entry with this id.
    pub fn find(&self, id: &AddresseeId) -> Option<DirectoryEntry> {
        self.get().find(id)
    }

    /// Puts the stored copy together, off the threads of the runtime, and swaps it in as a whole.
    ///
    /// # Errors
    /// If the ledger cannot be read; then the copy stays.
    pub async fn load(&self, custody: &Custody, now: Timestamp) -> Result<(), CustodyError> {
        let as_of = custody.directory_source().await?.and_then(|source| source.synced_at);
        let custody = custody.clone();
        let Ok(directory) = tokio::task::spawn_blocking(move || build(&custody, now)).await else {
            // Only a bug ends it without a result; what was there is still good.
            error!("the directory could not be put together");
            return Ok(());
        };
        let directory = Arc::new(directory?);
        self.write(|current| (current.directory, current.as_of) = (directory, as_of));
        Ok(())
    }

    fn note_up_to_date(&self, now: Timestamp) {
        self.write(|current| (current.as_of, current.trouble) = (Some(now), None));
    }

    fn note_trouble(&self, trouble: String) {
        self.write(|current| current.trouble = Some(trouble));
    }

    fn read<T>(&self, what: impl FnOnce(&Current) -> T) -> T {
        what(&self.current.read().expect("nobody panics while holding this lock"))
    }

    fn write(&self, how: impl FnOnce(&mut Current)) {
        how(&mut self.current.write().expect("nobody panics while holding this lock"));
    }
}

/// A resource that cannot be read is left out and counted: one odd entry must not hide the others.
fn build(custody: &Custody, now: Timestamp) -> Result<Directory, CustodyError> {
    let mut builder = DirectoryBuilder::new(now);
    for kind in Kind::ALL {
        let (mut after, mut odd) = (String::new(), 0_u32);
        loop {
            let page = custody.directory_page(kind.as_str(), &after, AT_ONCE)?;
            let Some((last, _)) = page.last() else { break };
            after.clone_from(last);
            for (_, json) in &page {
                odd += u32::from(builder.add(kind, json).is_err());
            }
        }
        if odd > 0 {
            warn!(resource_type = kind.as_str(), odd, "entries of the directory cannot be read");
        }
    }
    Ok(builder.build())
}

/// So long from now, as a span of time.
fn span(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_too_old_past_the_limit_in_either_direction_and_before_it_was_ever_read() {
        let copy = DirectoryCopy::new(Duration::from_secs(7 * 86_400));
        let now: Timestamp = "2026-11-23T09:14:07Z".parse().unwrap();
        assert!(copy.age(now).is_too_old);
        for (days, is_too_old) in [(0, false), (7, false), (8, true), (-6, false), (-8, true)] {
            copy.note_up_to_date(now - SignedDuration::from_hours(24 * days));
            assert_eq!(copy.age(now).is_too_old, is_too_old, "{days} days");
        }
        copy.note_trouble("the directory does not answer".to_owned());
        assert!(copy.trouble().is_some());
        copy.note_up_to_date(now);
        assert_eq!((copy.trouble(), copy.age(now).age), (None, Some(Duration::ZERO)));
    }
}
