//! The reference portal: carries what it cannot read.
//!
//! ```text
//!   box ──mutual TLS──► serve ► identity ► task_api, letters, parts, directory, est
//!                                              │             │
//!                                           ledger         store
//!                                       (SQLite, or    (a folder, or
//!                                       PostgreSQL)     S3)
//! ```
//!
//! One process over SQLite and a folder is the default. Several processes may serve the same transfers: they share one
//! PostgreSQL, one store and one authority, and nothing else; each may end at any moment.
//!
//! A real server, and the embedded default of the demo and the tests. It knows organisations, times, sizes and digests
//! of ciphertext; it never holds a key that opens anything and stores nothing about a patient. What it answered with
//! success survives the loss of power. The interface is written up in `firmware/protocol/PORTAL.md`.
//!
//! It is also the hostile portal of the tests: [`faults`] holds its bad manners.

use std::fs::{File, OpenOptions, TryLockError};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use beeldbox_protocol::ident::Ura;
use object_store::ObjectStore;
use rustls_pki_types::CertificateDer;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::ca::{Ca, CaError, Issued, Validity};
use crate::clock::Clock;
use crate::faults::Faults;
use crate::ledger::{Ledger, LedgerError};
use crate::refusal::Refusal;
use crate::serve::Service;
use crate::site::{Limits, Site};
use crate::store::{Sharing, Store, StoreError};

// What time it is.
pub mod clock;

// The small certificate authority.
pub mod ca;
// An invented directory of care providers.
pub mod fictitious;

// Bad manners.
pub mod faults;
// Bad manners that are written into the books.
mod forgery;
// What every handler shares, and the paths.
pub mod site;

// Connections and TLS.
mod serve;

// Who asks.
mod identity;
// Saying no.
mod refusal;

// What may change in a transfer.
mod life_cycle;
// Expiry and erasing.
mod sweep;
// `/fhir/Task`.
mod task_api;
// Transfers in the ledger.
mod tasks;

// Giving out bytes.
mod content;
// `/fhir/Binary`.
mod letters;
// `/parts`.
mod parts;
// Parts that need not be sent again.
mod take_over;

// `/fhir/Organization` and the others.
mod directory;
// Enrolment.
mod est;
// Bundles.
mod page;

// What is remembered, in one of two databases.
mod ledger;
// PostgreSQL.
pub mod postgresql;
// The seam between the two.
mod rows;
// SQLite.
mod sqlite;

// The setting for S3.
pub mod s3;
// The object store.
mod store;

pub use crate::ledger::Database;

/// Name of the portal's own authority.
pub const CA_NAME: &str = "Beeldbox portal CA";

/// Why the portal cannot start or do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum PortalError {
    /// The state folder cannot be used.
    #[error("{} cannot be used", path.display())]
    State {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another portal serves the same state.
    #[error("another portal serves {} already", path.display())]
    InUse {
        /// Which.
        path: PathBuf,
    },
    /// The ledger cannot be opened.
    #[error("the ledger cannot be opened")]
    Ledger(#[from] LedgerError),
    /// The store cannot be opened.
    #[error("the store cannot be opened")]
    Store(#[from] StoreError),
    /// The authority cannot do its work.
    #[error("the certificate authority cannot do its work")]
    Ca(#[from] CaError),
    /// The TLS settings cannot be used.
    #[error("the TLS settings cannot be used")]
    Tls(#[from] rustls::Error),
    /// The address cannot be listened on.
    #[error("{address} cannot be listened on")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// What was asked is refused, in the words of the interface.
    #[error("refused: {0:?}")]
    Refused(Refusal),
}

impl From<Refusal> for PortalError {
    fn from(refusal: Refusal) -> Self {
        PortalError::Refused(refusal)
    }
}

/// How to run a portal.
#[derive(Clone)]
pub struct PortalOptions {
    /// Folder with everything that must survive: certificates, and unless they are elsewhere ledger and store.
    pub state: PathBuf,
    /// Where the ledger is.
    pub database: Database,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Names in the server's certificate; the first is the one in the URL.
    pub names: Vec<String>,
    /// The time, for transfers and for certificates that are made. TLS looks at the machine's own clock.
    pub clock: Clock,
    /// Quotas and times.
    pub limits: Limits,
    /// Authorities whose client certificates are accepted beside those of the portal's own.
    pub further_anchors: Vec<CertificateDer<'static>>,
    /// Folder with letters and parts, if not in the state folder.
    pub parts_folder: Option<PathBuf>,
    /// Store with letters and parts, if not in a folder.
    pub objects: Option<Arc<dyn ObjectStore>>,
}

impl PortalOptions {
    /// On a free port of this machine, with the machine's clock and no quota.
    pub fn new(state: impl Into<PathBuf>) -> Self {
        PortalOptions {
            state: state.into(),
            database: Database::default(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            names: ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec(),
            clock: Clock::of_the_system(),
            limits: Limits::default(),
            further_anchors: Vec::new(),
            parts_folder: None,
            objects: None,
        }
    }
}

impl PortalOptions {
    /// Whether other processes serve the same.
    fn sharing(&self) -> Sharing {
        match &self.database {
            Database::Sqlite => Sharing::Alone,
            Database::Postgres(_) => Sharing::Shared,
        }
    }
}

/// A portal.
pub struct Portal;

impl Portal {
    /// Starts a portal. It serves when this returns.
    ///
    /// # Errors
    /// If the state cannot be used or the address cannot be listened on.
    pub async fn start(options: PortalOptions) -> Result<PortalHandle, PortalError> {
        let lock = lock_state(&options)?;
        let faults = Arc::new(Faults::default());
        let options = PortalOptions { clock: faults.clock_over(options.clock.clone()), ..options };
        let now = options.clock.now();
        let ca = Ca::open(&options.state, CA_NAME, now)?;
        let store = match &options.objects {
            Some(objects) => Store::over(objects.clone()),
            None => {
                let folder = options.parts_folder.clone().unwrap_or_else(|| options.state.join("objects"));
                Store::in_folder(&folder, options.sharing())?
            }
        };
        let ledger = open_ledger(&options)?;
        let (chain, key) = ca.server_identity(&options.names, now)?;
        let mut anchors = options.further_anchors.clone();
        anchors.push(ca.certificate().clone());
        let tls = serve::tls_config(chain, key, &anchors, faults.clone())?;
        let (stop, stopping) = watch::channel(false);
        let site = Arc::new(Site {
            ledger,
            store,
            ca,
            clock: options.clock,
            limits: options.limits,
            faults: faults.clone(),
            news: watch::Sender::new(0),
            parts_received: AtomicU64::new(0),
            stopping: stopping.clone(),
        });
        if let Database::Postgres(url) = &options.database {
            postgresql::listen((**url).clone(), site.news.clone(), stopping.clone());
        }
        sweep::remove_orphans(&site).await?;
        let (listener, address) = listen(options.listen).await?;
        let service = Service {
            tls: TlsAcceptor::from(Arc::new(tls)),
            router: site::router(site.clone()),
            faults,
            stopping,
        };
        let serving = tokio::spawn(serve::accept_until_stopped(listener, service));
        let sweeping = tokio::spawn(sweep::sweep_for_ever(site.clone()));
        let name = options.names.first().map_or("localhost", String::as_str);
        let url = format!("https://{name}:{}", address.port());
        Ok(PortalHandle { url, address, site, stop, serving, sweeping, _lock: lock })
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), PortalError> {
    let failed = |source| PortalError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

fn lock_state(options: &PortalOptions) -> Result<File, PortalError> {
    let path = &options.state;
    let failed = |source| PortalError::State { path: path.clone(), source };
    std::fs::create_dir_all(path).map_err(failed)?;
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path.join("serving.lock"));
    let file = file.map_err(failed)?;
    let locked = match options.sharing() {
        Sharing::Alone => file.try_lock(),
        Sharing::Shared => file.try_lock_shared(),
    };
    match locked {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(PortalError::InUse { path: path.clone() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn open_ledger(options: &PortalOptions) -> Result<Ledger, PortalError> {
    let path = &options.state;
    std::fs::create_dir_all(path).map_err(|source| PortalError::State { path: path.clone(), source })?;
    Ok(Ledger::open(&options.database, path, options.clock.clone())?)
}

/// Writes resources into the directory of a portal that may be running or not, and says how many there were.
///
/// # Errors
/// If the state cannot be used, or a resource is not part of a directory; nothing is written then.
pub async fn seed(options: &PortalOptions, resources: Vec<Value>) -> Result<usize, PortalError> {
    let ledger = open_ledger(options)?;
    let seeded = ledger.write(move |writing| directory::seed(writing, &resources)).await;
    ledger.close().await;
    Ok(seeded?)
}

/// Makes a one-time code for enrolment at a portal that may be running or not.
///
/// # Errors
/// If the state cannot be used.
pub async fn enrolment_code(options: &PortalOptions, ura: Ura, name: String) -> Result<String, PortalError> {
    let ledger = open_ledger(options)?;
    let code = est::new_code(&ledger, ura, name).await;
    ledger.close().await;
    Ok(code?)
}

/// The resources of a FHIR Bundle.
pub fn resources_of_bundle(bundle: &Value) -> Vec<Value> {
    directory::resources_of(bundle)
}

/// A portal that runs. Dropping it cuts it off like [`PortalHandle::kill`].
pub struct PortalHandle {
    url: String,
    address: SocketAddr,
    site: Arc<Site>,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
    sweeping: JoinHandle<()>,
    _lock: File,
}

impl PortalHandle {
    /// `https://‹name›:‹port›`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate of its authority, as PEM: what clients trust.
    pub fn ca_pem(&self) -> &str {
        self.site.ca.pem()
    }

    /// Key and certificate for a box.
    ///
    /// # Errors
    /// If they cannot be made.
    pub fn issue(&self, ura: &Ura, name: &str) -> Result<Issued, PortalError> {
        Ok(self.site.ca.issue(ura, name, Validity::usual(self.site.clock.now()))?)
    }

    /// A one-time code for enrolment.
    ///
    /// # Errors
    /// If the ledger refuses.
    pub async fn enrolment_code(&self, ura: Ura, name: &str) -> Result<String, PortalError> {
        Ok(est::new_code(&self.site.ledger, ura, name.to_owned()).await?)
    }

    /// Writes resources into the directory, whoever they belong to: a hostile portal can do that.
    ///
    /// # Errors
    /// If one is not part of a directory; nothing is written then.
    pub async fn seed(&self, resources: Vec<Value>) -> Result<usize, PortalError> {
        Ok(self.site.ledger.write(move |writing| directory::seed(writing, &resources)).await?)
    }

    /// Its bad manners.
    pub fn faults(&self) -> &Faults {
        &self.site.faults
    }

    /// Expires and erases what is due by the portal's clock, now instead of within the minute.
    ///
    /// # Errors
    /// If it cannot.
    pub async fn sweep(&self) -> Result<(), PortalError> {
        Ok(sweep::sweep(&self.site).await?)
    }

    /// Names of everything in the store: `letters/‹transfer›/‹sha256›`, `parts/‹transfer›/‹sha256›`.
    ///
    /// # Errors
    /// If the store refuses.
    pub async fn stored_objects(&self) -> Result<Vec<String>, PortalError> {
        Ok(self.site.store.names().await?)
    }

    /// Parts that were sent here and stored since this portal started; what was taken over is not among them.
    pub fn parts_received(&self) -> u64 {
        self.site.parts_received.load(Ordering::Relaxed)
    }

    /// Whether a poll waits for news at this moment.
    pub fn has_waiting_polls(&self) -> bool {
        self.site.news.receiver_count() > 0
    }

    /// Returns when the portal cannot go on because nobody knows what is durable: end the process then.
    pub async fn failed(&self) {
        self.site.ledger.failed().await;
    }

    /// Stops: no new connections, waiting polls are answered, requests under way may finish for a few seconds.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        self.sweeping.abort();
        // An error means that it panicked; there is nothing left to stop then.
        let _ = (&mut self.serving).await;
        self.site.ledger.close().await;
    }

    /// Cuts everything off, as a power cut would.
    pub async fn kill(mut self) {
        self.serving.abort();
        self.sweeping.abort();
        let _ = (&mut self.serving).await;
    }
}

impl Drop for PortalHandle {
    fn drop(&mut self) {
        self.serving.abort();
        self.sweeping.abort();
    }
}
