//! The only wiring: built in this order, stopped in the reverse.
//!
//! ```text
//!   keys ─► custody (recovers before anyone may use it) ─► directory ─► portal ─► workers ─► DICOM ─► admin socket ─► ready
//! ```
//!
//! One stop token for all. A stop is asked for by SIGTERM or SIGINT, or because storage is in doubt; after
//! [`STOP_DEADLINE`] we exit and trust the ledger.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use beeldbox_custody::{Custody, CustodyError, OpenOptions, RecoveryReport};
use beeldbox_dicom::{Listeners, NodePolicy};
use beeldbox_transfer::close::Closer;
use beeldbox_transfer::commitment::{Claims, CommitmentReporter};
use beeldbox_transfer::connection::{Proxy, ProxyAccount};
use beeldbox_transfer::deliver::Deliverer;
use beeldbox_transfer::deliver::acquaintance::Acquaintance;
use beeldbox_transfer::directory::source::DirectorySource;
use beeldbox_transfer::directory::{DirectoryCopy, DirectorySync};
use beeldbox_transfer::erase::Eraser;
use beeldbox_transfer::fetch::Fetcher;
use beeldbox_transfer::news::News;
use beeldbox_transfer::on_the_way::OnTheWay;
use beeldbox_transfer::portal_client::{PortalClient, Way};
use beeldbox_transfer::receive::CustodyIntake;
use beeldbox_transfer::reconcile::matcher::{Matcher, Matches};
use beeldbox_transfer::report::Reporter;
use beeldbox_transfer::road::{Health, PeerSettings, Road, RoadParts, RoadSettings};
use beeldbox_transfer::send::Sender;
use beeldbox_transfer::send_ahead::SendAhead;
use beeldbox_transfer::{Clock, Random, worker};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::admin::{self, Desk};
use crate::certificates::{Certificates, Outside};
use crate::dicom_tls;
use crate::keys::{self, Keys};
use crate::renew::Renewer;
use crate::settings::{self, Settings};
use crate::{setup, setup_record};

/// Longest orderly stop: an instance on its way in may finish; what is not done by then stands in the ledger.
const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// Runs the box until it is asked to stop.
///
/// # Errors
/// If something cannot start, or storage is in doubt.
pub async fn run(settings: Settings) -> Result<()> {
    let clock = system_clock();
    let random: Random = Arc::new(aws_lc_rs::rand::SystemRandom::new());
    let started_at = clock();
    if setup::is_needed(&settings)? {
        return setup::run(&settings, clock).await;
    }
    let keys = Keys::load(&settings, started_at)?;
    let stop = CancellationToken::new();

    let (custody, recovery) = open_custody(&settings, keys.storage.clone(), started_at).await?;
    info!(recovery, "custody is open");
    setup_record::take_over(&keys.sealed, &custody).await?;
    let directory = DirectoryCopy::new(settings.directory.refuse_after);
    directory.load(&custody, started_at).await.context("the stored directory")?;
    let user_agent = concat!("Beeldbox/", env!("CARGO_PKG_VERSION"));
    let tls = keys::portal_tls(&keys.portal_roots, keys.portal.as_ref())?;
    let way = way_to_portal(&settings, &clock)?;
    let directory_tls = keys::portal_tls(&keys.directory_roots, keys.portal.as_ref())?;
    let source = DirectorySource::by(&settings.directory.url, directory_tls, user_agent, way.proxy.clone())
        .context("client of the directory")?;
    let portal = PortalClient::by(&settings.portal_url, tls, user_agent, way).context("portal client")?;
    if keys.portal.is_none() {
        warn!("this box has no certificate for the portal yet: enrol it with `beeldboxctl enrol`");
    }
    let certificates = Arc::new(Certificates::new(
        keys.sealed,
        Outside {
            portal: portal.clone(),
            portal_roots: keys.portal_roots,
            directory: source.clone(),
            directory_roots: keys.directory_roots,
        },
        Arc::clone(&clock),
        &keys.signing,
        keys.portal.as_ref(),
    ));
    let road = Road::new(RoadParts {
        custody: custody.clone(),
        portal,
        signer: keys.signer,
        identity: keys.identity,
        previous_identities: keys.previous_identities,
        anchors: keys.anchors,
        clock: Arc::clone(&clock),
        random,
        settings: road_settings(&settings)?,
        directory,
        portal_health: RwLock::new(Health::default()),
        pacs_health: RwLock::new(Health::default()),
        acquaintance: Acquaintance::default(),
        on_the_way: OnTheWay::default(),
        claims: Claims::default(),
        matches: Matches::default(),
        stop: stop.clone(),
    });

    let mut workers = start_workers(&road, source, &stop);
    workers.push(worker::spawn(Renewer::new(Arc::clone(&certificates)), stop.clone()));
    let (listeners, dicom_address) = open_dicom_ports(&settings).await?;
    let intake = Arc::new(CustodyIntake::new(road.clone()));
    let dicom_stop = stop.clone().cancelled_owned();
    let node =
        tokio::spawn(beeldbox_dicom::listen(listeners, Arc::new(node_policy(&settings)), intake, dicom_stop));
    let desk = Desk::new(road, &settings, dicom_address, recovery, started_at, certificates);
    let socket = admin::bind(&settings.admin_socket)
        .with_context(|| format!("cannot listen on {}", settings.admin_socket.display()))?;
    workers.push(tokio::spawn(admin::serve(socket, Arc::new(desk), stop.clone())));

    beeldbox_system::service::ready(&format!("{} listens on {dicom_address}", settings.dicom.ae_title));
    info!(%dicom_address, ae_title = %settings.dicom.ae_title, "ready");
    let survey = tokio::task::spawn_blocking({
        let custody = custody.clone();
        move || custody.survey()
    });
    let doubt = until_stop(&custody, survey).await;
    beeldbox_system::service::stopping();
    stop.cancel();
    let all = async {
        if let Err(error) = node.await {
            error!(%error, "the DICOM node ended badly");
        }
        for worker in workers {
            if let Err(error) = worker.await {
                error!(%error, "a worker ended badly");
            }
        }
        custody.close().await;
    };
    if tokio::time::timeout(STOP_DEADLINE, all).await.is_err() {
        warn!("not everything stopped in time; the ledger knows where to go on");
    }
    remove_socket(&settings.admin_socket);
    match doubt {
        Some(why) => bail!("storage is in doubt ({why}); start again to recover"),
        None => Ok(()),
    }
}

/// Proxy and bandwidth, as the hospital prescribes them.
fn way_to_portal(settings: &Settings, clock: &Clock) -> Result<Way> {
    let proxy = match &settings.portal_proxy {
        Some(url) => {
            Some(Proxy { url: url.clone(), account: proxy_account(&settings.credentials.proxy_account)? })
        }
        None => None,
    };
    Ok(Way { proxy, schedule: Some((settings.bandwidth.clone(), Arc::clone(clock))) })
}

/// Name and password for the proxy, `name:password` in a file; nothing if there is no such file.
fn proxy_account(file: &Path) -> Result<Option<ProxyAccount>> {
    if !file.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(file).with_context(|| format!("proxy account {}", file.display()))?;
    let (user, password) = text
        .trim_end()
        .split_once(':')
        .with_context(|| format!("{}: must be name:password", file.display()))?;
    Ok(Some(ProxyAccount { user: user.to_owned(), password: password.to_owned() }))
}

async fn open_custody(
    settings: &Settings,
    storage_key: beeldbox_protocol::envelope::keys::StorageKey,
    now: Timestamp,
) -> Result<(Custody, String)> {
    let options = OpenOptions {
        dir: settings.state_dir.clone(),
        storage_key,
        ballast_bytes: settings.keeping.ballast_bytes,
        reserve_bytes: settings.keeping.reserve_bytes,
        attributes_of: beeldbox_dicom::attributes_of,
        now,
    };
    let opened =
        tokio::task::spawn_blocking(move || Custody::open(options)).await.context("opening custody")?;
    let (custody, report) = opened.with_context(|| format!("custody in {}", settings.state_dir.display()))?;
    Ok((custody, report.to_string()))
}

/// Opens the plain port, and the TLS port if there is one. Gives the address of the plain one.
async fn open_dicom_ports(settings: &Settings) -> Result<(Listeners, SocketAddr)> {
    let open = async |address: SocketAddr| {
        let listener = TcpListener::bind(address).await;
        listener.with_context(|| format!("cannot listen for DICOM on {address}"))
    };
    let plain = open(settings.dicom.listen).await?;
    let address = plain.local_addr().context("DICOM address")?;
    let tls = match (&settings.dicom.tls, dicom_tls::acceptor(settings)?) {
        (Some(tls), Some(config)) => {
            let listener = open(tls.listen).await?;
            info!(address = %tls.listen, "listening for DICOM TLS");
            Some((listener, config))
        }
        (Some(_), None) | (None, _) => None,
    };
    Ok((Listeners { plain: Some(plain), tls }, address))
}

fn road_settings(settings: &Settings) -> Result<RoadSettings> {
    let peer = |peer: &settings::Peer| -> Result<PeerSettings> {
        let node = peer.node.as_ref().map(|node| dicom_tls::node(node, &settings.credentials));
        Ok(PeerSettings {
            ae_title: peer.allowed.ae_title.clone(),
            node: node.transpose()?,
            answers_queries: peer.answers_queries,
            quiet_time: peer.quiet_time,
            quota_bytes: peer.quota_bytes,
        })
    };
    let called = |node: Option<&settings::NodeAddress>| {
        node.map(|node| dicom_tls::node(node, &settings.credentials)).transpose()
    };
    Ok(RoadSettings {
        ae_title: settings.dicom.ae_title.clone(),
        pacs: dicom_tls::node(&settings.pacs, &settings.credentials)?,
        quiet_time: settings.dicom.quiet_time,
        aliases: settings.dicom.aliases.clone(),
        peers: settings.dicom.peers.iter().map(peer).collect::<Result<_>>()?,
        keep_for: settings.keeping.keep_for,
        valid_for: settings.keeping.valid_for,
        undo_time: settings.keeping.undo_time,
        remind_after: settings.keeping.remind_after,
        directory_interval: settings.keeping.directory_interval,
        name: settings.name.clone(),
        query: called(settings.import.query.as_ref())?,
        worklist: called(settings.import.worklist.as_ref())?,
        patient_id_issuer: settings.import.patient_id_issuer.clone(),
        acceptance: settings.import.rules.clone(),
    })
}

fn node_policy(settings: &Settings) -> NodePolicy {
    let mut policy = NodePolicy::new(settings.dicom.ae_title.clone());
    policy.aliases = settings.dicom.aliases.iter().map(|alias| alias.ae_title.clone()).collect();
    policy.allowed_peers = settings.dicom.peers.iter().map(|peer| peer.allowed.clone()).collect();
    policy.max_associations = settings.dicom.max_associations;
    policy.max_associations_per_peer = Some(settings.dicom.max_associations_per_peer);
    policy
}

fn start_workers(road: &Road, source: DirectorySource, stop: &CancellationToken) -> Vec<JoinHandle<()>> {
    vec![
        worker::spawn(DirectorySync::new(road.clone(), source), stop.clone()),
        worker::spawn(Closer::new(road.clone()), stop.clone()),
        worker::spawn(CommitmentReporter::new(road.clone()), stop.clone()),
        worker::spawn(SendAhead::new(road.clone()), stop.clone()),
        worker::spawn(Sender::new(road.clone()), stop.clone()),
        worker::spawn(News::new(road.clone()), stop.clone()),
        worker::spawn(Fetcher::new(road.clone()), stop.clone()),
        worker::spawn(Matcher::new(road.clone()), stop.clone()),
        worker::spawn(Deliverer::new(road.clone()), stop.clone()),
        worker::spawn(Reporter::new(road.clone()), stop.clone()),
        worker::spawn(Eraser::new(road.clone()), stop.clone()),
    ]
}

/// Waits for a signal, or for storage to be in doubt; gives the reason in the second case. Meanwhile it says what the
/// survey of what lay still has found.
async fn until_stop(
    custody: &Custody,
    survey: JoinHandle<Result<RecoveryReport, CustodyError>>,
) -> Option<String> {
    let mut survey = Some(survey);
    let mut failed = custody.failed();
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return Some("signals cannot be handled".to_owned());
    };
    let interval = beeldbox_system::service::watchdog_interval();
    let mut alive = tokio::time::interval(interval.unwrap_or(Duration::from_secs(3600)));
    loop {
        tokio::select! {
            _ = terminate.recv() => return None,
            _ = interrupt.recv() => return None,
            surveyed = async { survey.as_mut().expect("asked only while it is there").await }, if survey.is_some() => {
                survey = None;
                if let Some(why) = tell_survey(surveyed) {
                    return Some(why);
                }
            }
            _ = alive.tick() => beeldbox_system::service::alive(),
            changed = failed.changed() => {
                let why = failed.borrow().clone();
                if why.is_some() || changed.is_err() {
                    return Some(why.unwrap_or_else(|| "the ledger ended".to_owned()));
                }
            }
        }
    }
}

/// Says what the survey found. Gives the reason to stop if nothing can be promised any more.
fn tell_survey(surveyed: Result<Result<RecoveryReport, CustodyError>, JoinError>) -> Option<String> {
    match surveyed {
        Ok(Ok(report)) if report == RecoveryReport::default() => info!("what lay still is in order"),
        Ok(Ok(report)) if report.damaged.is_empty() => info!(%report, "what lay still was put in order"),
        Ok(Ok(report)) => {
            error!(%report, "stored images are damaged or gone: their PACS must send them again")
        }
        Ok(Err(error @ CustodyError::LedgerCorrupt { .. })) => return Some(error.to_string()),
        Ok(Err(error)) => error!(%error, "what lay still could not be surveyed"),
        Err(error) => error!(%error, "the survey ended by itself"),
    }
    None
}

fn remove_socket(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        warn!(%error, "the admin socket could not be removed; the next start does");
    }
}

#[expect(clippy::disallowed_methods, reason = "the daemon is where time comes from")]
fn system_clock() -> Clock {
    Arc::new(Timestamp::now)
}
