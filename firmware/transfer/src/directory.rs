//! The copy of the national directory, and our own entry in it.
//!
//! Loaded whole the first time, then kept up with `_history?_since`. Copy and mark are stored in one commit, so a
//! crash neither skips nor repeats a page in a way that matters. Entries are never removed here, only replaced by what
//! the directory says of them. A portal that cannot be reached leaves the last copy in use, with its age shown.

use std::sync::{Arc, RwLock};

use beeldbox_custody::{Custody, CustodyError, DirectoryEntry as StoredEntry, DirectoryMark};
use beeldbox_protocol::admin::Addressee;
use beeldbox_protocol::envelope::recipient::RecipientVerified;
use beeldbox_protocol::ident::AddresseeId;
use beeldbox_protocol::portal::directory::{BOX_CONNECTION, Directory, DirectoryEntry, Resources};
use beeldbox_protocol::portal::fhir::{
    Coding, Endpoint, Extension, Identifier, RECIPIENT_KEY_EXTENSION, Reference, URA_SYSTEM,
};
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use tracing::{error, info, warn};

use crate::portal_client::PortalError;
use crate::road::{Road, after};
use crate::worker::{Worked, Worker, backoff};

/// Types of resources, in the order in which they refer to each other.
const TYPES: [&str; 4] = ["Organization", "Location", "Endpoint", "HealthcareService"];

/// How long our published key statement is valid, and when it is published anew.
const STATEMENT_VALID: SignedDuration = SignedDuration::from_hours(365 * 24);
const STATEMENT_RENEW: SignedDuration = SignedDuration::from_hours(60 * 24);

/// What a sync can fail at.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// At the portal.
    #[error(transparent)]
    Portal(#[from] PortalError),
    /// In the ledger.
    #[error(transparent)]
    Custody(#[from] CustodyError),
}

/// The searchable copy.
#[derive(Default)]
pub struct DirectoryCopy {
    current: RwLock<(Arc<Directory>, Option<Timestamp>)>,
}

impl DirectoryCopy {
    /// The copy as it is now.
    pub fn get(&self) -> Arc<Directory> {
        Arc::clone(&self.current.read().expect("nobody panics while holding this lock").0)
    }

    /// When it was last brought up to date.
    pub fn as_of(&self) -> Option<Timestamp> {
        self.current.read().expect("nobody panics while holding this lock").1
    }

    /// Entries in which every word of the query begins some word.
    pub fn search(&self, query: &str, limit: usize) -> Vec<Addressee> {
        self.get().search(query, limit)
    }

    /// The entry with this id.
    pub fn find(&self, id: &AddresseeId) -> Option<DirectoryEntry> {
        self.get().find(id).cloned()
    }

    fn put(&self, directory: Directory, as_of: Option<Timestamp>) {
        let mut current = self.current.write().expect("nobody panics while holding this lock");
        let as_of = as_of.or(current.1);
        *current = (Arc::new(directory), as_of);
    }

    /// Reads the stored copy.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn load(&self, custody: &Custody, as_of: Option<Timestamp>) -> Result<(), CustodyError> {
        let stored = custody.directory().await?;
        self.put(Directory::build(&resources(&stored)), as_of);
        Ok(())
    }
}

fn resources(stored: &[StoredEntry]) -> Resources {
    Resources {
        organizations: of_type(stored, "Organization"),
        services: of_type(stored, "HealthcareService"),
        locations: of_type(stored, "Location"),
        endpoints: of_type(stored, "Endpoint"),
    }
}

/// A resource that cannot be read is left out and counted: one odd entry must not hide the others.
fn of_type<R: DeserializeOwned>(stored: &[StoredEntry], resource_type: &str) -> Vec<R> {
    let mut odd = 0_u32;
    let read = stored
        .iter()
        .filter(|entry| entry.resource_type == resource_type)
        .filter_map(|entry| serde_json::from_str(entry.json.as_deref()?).inspect_err(|_| odd += 1).ok())
        .collect();
    if odd > 0 {
        warn!(resource_type, odd, "entries of the directory cannot be read");
    }
    read
}

/// Keeps the copy up to date and our own entry published.
pub struct DirectorySync {
    road: Road,
    attempts: u32,
    next_at: Timestamp,
}

impl DirectorySync {
    /// For this road; the first sync is at once.
    pub fn new(road: Road) -> Self {
        DirectorySync { road, attempts: 0, next_at: Timestamp::MIN }
    }

    async fn sync(&self) -> Result<(), DirectoryError> {
        let mut changed = 0;
        for resource_type in TYPES {
            changed += self.sync_type(resource_type).await?;
        }
        let now = self.road.now();
        self.road.directory.load(&self.road.custody, Some(now)).await?;
        if self.publish_own_key(now).await? {
            self.sync_type("Endpoint").await?;
            self.road.directory.load(&self.road.custody, Some(now)).await?;
        }
        if changed > 0 {
            info!(changed, addressees = self.road.directory.get().len(), "directory brought up to date");
        }
        Ok(())
    }

    async fn sync_type(&self, resource_type: &str) -> Result<usize, DirectoryError> {
        let mark = self.road.custody.directory_mark(resource_type).await?;
        let mut page = Some(match &mark {
            Some(mark) => format!("/fhir/{resource_type}/_history?_since={mark}&_count=500"),
            None => format!("/fhir/{resource_type}?_count=500"),
        });
        let mut entries = Vec::new();
        let mut new_mark = None;
        while let Some(path) = page {
            let bundle = self.road.portal.directory_page(&path).await?;
            // The mark of the first page is the safe one: what changed while paging is then asked for again.
            new_mark = new_mark.or_else(|| bundle.meta.last_updated.map(|mark| mark.to_string()));
            page = bundle.next().map(str::to_owned);
            for resource in bundle.entry.into_iter().filter_map(|entry| entry.resource) {
                let Some(id) = resource.get("id").and_then(|id| id.as_str()) else { continue };
                entries.push(StoredEntry {
                    resource_type: resource_type.to_owned(),
                    id: id.to_owned(),
                    json: Some(resource.to_string()),
                });
            }
        }
        let count = entries.len();
        if let Some(new_mark) = new_mark {
            self.road
                .custody
                .put_directory(
                    entries,
                    Some(DirectoryMark { resource_type: resource_type.to_owned(), mark: new_mark }),
                )
                .await?;
        }
        Ok(count)
    }

    /// Publishes our recipient key unless the directory already says what it should.
    async fn publish_own_key(&self, now: Timestamp) -> Result<bool, DirectoryError> {
        let ura = self.road.signer.ura();
        let id = format!("box-{ura}");
        let stored = self.road.custody.directory().await?;
        let own: Vec<Endpoint> = of_type(&stored, "Endpoint");
        let published = own.iter().find(|endpoint| endpoint.id == id).and_then(|endpoint| {
            endpoint
                .extension
                .iter()
                .find(|extension| extension.url == RECIPIENT_KEY_EXTENSION)?
                .value_string
                .clone()
        });
        let is_current = published
            .and_then(|statement| RecipientVerified::verify(&statement, ura, &self.road.anchors, now).ok())
            .is_some_and(|key| {
                key.key_id() == self.road.identity.key_id()
                    && key.valid_until().duration_since(now) > STATEMENT_RENEW
            });
        if is_current {
            return Ok(false);
        }
        let until =
            now.checked_add(STATEMENT_VALID).unwrap_or(Timestamp::MAX).min(self.road.signer.not_after());
        let statement = self.road.identity.statement(&self.road.signer, now, until, &*self.road.random);
        let managing = Identifier { system: Some(URA_SYSTEM.to_owned()), value: Some(ura.to_string()) };
        let endpoint = Endpoint {
            resource_type: "Endpoint".to_owned(),
            id,
            extension: vec![Extension {
                url: RECIPIENT_KEY_EXTENSION.to_owned(),
                value_string: Some(statement),
            }],
            status: Some("active".to_owned()),
            connection_type: Some(Coding { code: Some(BOX_CONNECTION.to_owned()), ..Coding::default() }),
            managing_organization: Some(Reference { identifier: Some(managing), ..Reference::default() }),
            ..Endpoint::default()
        };
        self.road.portal.put_endpoint(&endpoint).await?;
        info!("our recipient key is published");
        Ok(true)
    }
}

impl Worker for DirectorySync {
    fn name(&self) -> &'static str {
        "directory"
    }

    async fn work(&mut self) -> Worked {
        if self.road.now() < self.next_at {
            return Worked::Idle;
        }
        let result = self.sync().await;
        let [jitter] = self.road.random_bytes::<1>();
        let pause = match &result {
            Ok(()) => {
                self.attempts = 0;
                let interval = self.road.settings.directory_interval;
                interval + interval.mul_f64(f64::from(jitter) / 255.0 / 4.0)
            }
            Err(DirectoryError::Portal(portal)) => {
                self.attempts += 1;
                warn!(error = %portal, attempts = self.attempts, "the directory cannot be brought up to date");
                backoff(self.attempts, jitter)
            }
            Err(DirectoryError::Custody(custody)) => {
                self.attempts += 1;
                error!(error = %custody, "the directory cannot be stored");
                backoff(self.attempts, jitter)
            }
        };
        self.next_at = after(self.road.now(), pause);
        Worked::Idle
    }

    async fn wait(&mut self) {
        let sleep = std::time::Duration::try_from(self.next_at.duration_since(self.road.now()));
        tokio::time::sleep(sleep.unwrap_or_default()).await;
    }
}
