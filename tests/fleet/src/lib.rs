//! A fleet of simulated boxes at one portal, of one process or several: what it bears, and what would break first.
//!
//! ```text
//!   box: enrol (EST) ► publish key ► directory ┬► poll for news ► fetch letter, parts ► receipts
//!                                              └► draft ► parts ► letter, sealed ► commit
//! ```
//!
//! A box here is the real client of the portal with a certificate, a signing key and a recipient key of its own; its
//! letters are sealed and opened, its digests are compared, its receipts are signed and verified. It has no disk, no
//! PACS and no queue. The portals are processes, so that their memory and processor time can be told apart.

// Enrolment, as a client.
mod est;
// One box.
mod hospital;
// What is measured.
pub mod tally;

// Portals as processes.
pub mod portals;
// PostgreSQL for the time of a run.
#[path = "../../portal/tests/on_postgresql/server.rs"]
mod server;

// What is told in the end.
pub mod report;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use beeldbox_portal::ca::{Ca, Validity};
use beeldbox_portal::clock::Clock;
use beeldbox_portal::{PortalOptions, enrolment_code, fictitious, seed};
use beeldbox_protocol::envelope::trust::TrustAnchors;
use beeldbox_protocol::ident::Ura;
use futures_util::future::try_join_all;
use tokio::sync::watch;

use crate::hospital::{Fleet, Hospital};
use crate::portals::{Portals, database_of};
use crate::report::Report;
use crate::tally::Tally;

/// Which database the portals keep their ledger in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DatabaseKind {
    /// The embedded one; one portal.
    Sqlite,
    /// A PostgreSQL that is started for the run.
    Postgres,
}

/// What to run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Boxes.
    pub boxes: usize,
    /// For how long they send.
    pub time: Duration,
    /// Portal processes.
    pub portals: usize,
    /// Their database.
    pub database: DatabaseKind,
    /// Parts of a transfer.
    pub parts: usize,
    /// Bytes of a part.
    pub part_len: usize,
    /// Pause of a box between two transfers; a random one of up to twice this.
    pub pause: Duration,
}

/// Runs the plan. `program` is the one that serves when its first argument is `serve`.
///
/// # Errors
/// If anything but the portal's figures goes wrong: a box that is refused, a digest or a signature that does not fit, a
/// transfer that does not arrive.
pub async fn run(plan: &Plan, program: &Path) -> Result<Report> {
    ensure!(plan.boxes >= 2, "one box has nobody to send to");
    ensure!(plan.portals == 1 || plan.database == DatabaseKind::Postgres, "SQLite serves one portal");
    let folder = tempfile::tempdir()?;
    let state = folder.path().join("state");
    let database = database_of(plan.database);
    let options = PortalOptions { database: database.setting()?, ..PortalOptions::new(&state) };
    seed(&options, fictitious::directory()).await?;
    let clock = Clock::of_the_system();
    // The national authority, which the portal does not run.
    let national = Ca::open(&folder.path().join("national"), "National CA", clock.now())?;
    let anchors = TrustAnchors::new(&[national.certificate().clone()], &[])?;
    let portals = Portals::start(program, &state, &database, plan.portals)?;
    let fleet = Arc::new(Fleet::new(plan.clone(), clock.clone(), anchors, Tally::default()));
    let mut boxes = Vec::new();
    for index in 0..plan.boxes {
        let ura: Ura = format!("9001{index:04}").parse()?;
        let name = format!("Ziekenhuis {index}");
        let code = enrolment_code(&options, ura.clone(), name.clone()).await?;
        let signing = national.issue(&ura, &name, Validity::usual(clock.now()))?;
        boxes.push((ura, code, signing));
    }
    let joining = boxes.iter().enumerate().map(|(index, (ura, code, signing))| {
        Hospital::join(&fleet, portals.url(index), portals.authority(), ura, code, signing)
    });
    let hospitals: Vec<Hospital> = try_join_all(joining).await.context("a box cannot join")?;
    let uras = Arc::new(boxes.into_iter().map(|(ura, _, _)| ura).collect::<Vec<_>>());
    try_join_all(hospitals.iter().map(|hospital| hospital.read_directory(&fleet))).await?;
    let report = exchange(plan, &fleet, hospitals, &uras, &portals).await?;
    Ok(Report { database_len: database.len(&state)?, ..report })
}

/// Lets them all send and receive for the time, then until everything has arrived.
async fn exchange(
    plan: &Plan,
    fleet: &Arc<Fleet>,
    hospitals: Vec<Hospital>,
    uras: &Arc<Vec<Ura>>,
    portals: &Portals,
) -> Result<Report> {
    let (stop, stopping) = watch::channel(false);
    let before = portals.processor_time()?;
    let began = Instant::now();
    fleet.tally.start();
    let mut working = Vec::new();
    for hospital in hospitals {
        let hospital = Arc::new(hospital);
        let (receiver, listener) = (fleet.clone(), hospital.clone());
        let receiving = tokio::spawn({
            let stopping = stopping.clone();
            async move { listener.receive(&receiver, stopping).await }
        });
        let (sender, uras) = (fleet.clone(), uras.clone());
        let until = began + plan.time;
        let sending = tokio::spawn(async move { hospital.send_until(&sender, &uras, until).await });
        working.push((sending, receiving));
    }
    let mut receiving = Vec::new();
    let mut sent = 0;
    for (sending, receiver) in working {
        sent += sending.await?.context("a box cannot send")?;
        receiving.push(receiver);
    }
    let took = began.elapsed();
    let used = portals.processor_time()? - before;
    let memory = portals.peak_memory()?;
    let figures = fleet.tally.take();
    fleet.until_all_arrived(sent).await?;
    stop.send_replace(true);
    for receiver in receiving {
        receiver.await?.context("a box cannot receive")?;
    }
    Ok(Report { plan: plan.clone(), took, sent, processor: used, memory, figures, database_len: 0 })
}
