//! Storage commitment: what peers ask us to answer for, and that they are told.
//!
//! ```text
//!   N-ACTION ─► judged and recorded in one commit ─► told on the same association, if the peer waits
//!                       │                              └─ it did not ─► told on a new one, until it answers
//!                       └─► names all of an open study: its sender believes it is complete
//! ```
//!
//! We answer for what is in custody, which is the promise that C-STORE success made already; so the judgement is ready
//! at once. What was recorded and not told survives a restart. PS3.4 annex J.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use beeldbox_custody::{CommitmentItem, CommitmentReport, CustodyError};
use beeldbox_dicom::{
    AssociationLimits, CommitmentRequest, CommitmentResult, ReferencedInstance, report_commitment,
};
use beeldbox_protocol::ident::{AeTitle, TransferId};
use jiff::Timestamp;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::road::{Road, after};
use crate::worker::{Worked, Worker, backoff};

/// How long the association that asked may take to be told before a new one is opened.
const SAME_ASSOCIATION: Duration = Duration::from_secs(10);

/// Reports looked at together.
const REPORTS: u32 = 20;

/// After so many failed attempts (some days) a peer is not told any more: it asks again if it still wants to know.
const ATTEMPTS_MAX: u32 = 500;

/// Pause before looking again when nothing is due.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Studies of which a peer asked us to answer for everything that had come: it believes that they are complete. Kept in
/// memory only; without it a study is closed by its quiet time.
#[derive(Default)]
pub struct Claims(Mutex<HashMap<TransferId, Timestamp>>);

impl Claims {
    fn note(&self, transfer: TransferId, at: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(transfer, at);
    }

    /// Whether the study was claimed to be complete after its last instance came.
    pub fn covers(&self, transfer: TransferId, last_instance_at: Timestamp) -> bool {
        let claims = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        claims.get(&transfer).is_some_and(|claimed_at| *claimed_at >= last_instance_at)
    }

    /// The study is closed.
    pub fn forget(&self, transfer: TransferId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&transfer);
    }
}

/// Takes a peer's request and judges it. Gives the name of the record, and what to tell.
///
/// # Errors
/// If it was not recorded: nothing may be promised then.
///
/// # Durability
/// When this returns, request and judgement survive a power cut.
pub async fn take_request(
    road: &Road,
    requestor: &AeTitle,
    request: CommitmentRequest,
) -> Result<(i64, CommitmentResult), CustodyError> {
    let items = request
        .items
        .into_iter()
        .map(|item| CommitmentItem { sop_class: item.sop_class, sop_instance: item.sop_instance });
    let now = road.now();
    let due = after(now, SAME_ASSOCIATION);
    let custody = &road.custody;
    let report =
        custody.request_commitment(requestor.clone(), request.transaction, items.collect(), now, due).await?;
    for transfer in custody.studies_completed_by(report.id).await? {
        road.claims.note(transfer, now);
    }
    info!(
        peer = %requestor,
        committed = report.committed.len(),
        failed = report.failed.len(),
        "storage commitment was asked for"
    );
    Ok((report.id, to_tell(&report)))
}

/// A report in the words of the DICOM node.
fn to_tell(report: &CommitmentReport) -> CommitmentResult {
    let instance = |item: &CommitmentItem| ReferencedInstance {
        sop_class: item.sop_class.clone(),
        sop_instance: item.sop_instance.clone(),
    };
    CommitmentResult {
        transaction: report.transaction.clone(),
        committed: report.committed.iter().map(instance).collect(),
        failed: report.failed.iter().map(|(item, why)| (instance(item), why.code())).collect(),
    }
}

/// Tells peers what they could not be told on the association that asked.
pub struct CommitmentReporter {
    road: Road,
    work: watch::Receiver<u64>,
}

impl CommitmentReporter {
    /// For this road.
    pub fn new(road: Road) -> Self {
        let work = road.custody.work();
        CommitmentReporter { road, work }
    }

    async fn tell(&self, report: &CommitmentReport) -> Result<(), CustodyError> {
        let peer = self.road.settings.peer(&report.requestor_ae).and_then(|peer| peer.node.as_ref());
        let told = match peer {
            Some(node) => {
                let (own, result) = (&self.road.settings.ae_title, to_tell(report));
                let told = report_commitment(node, own, &result, AssociationLimits::default()).await;
                told.map_err(|error| error.to_string())
            }
            None => Err("the settings do not say where it listens (dicom.peers, node)".to_owned()),
        };
        let Err(why) = told else {
            info!(peer = %report.requestor_ae, "storage commitment was reported");
            return self.road.custody.commitment_told(report.id).await;
        };
        if report.attempts >= ATTEMPTS_MAX {
            warn!(peer = %report.requestor_ae, why, "storage commitment is not reported any more");
            return self.road.custody.commitment_told(report.id).await;
        }
        if report.attempts == 0 {
            warn!(peer = %report.requestor_ae, why, "storage commitment could not be reported; it is tried again");
        }
        let [jitter] = self.road.random_bytes::<1>();
        let again = after(self.road.now(), backoff(report.attempts, jitter));
        self.road.custody.postpone_commitment(report.id, again).await
    }
}

impl Worker for CommitmentReporter {
    fn name(&self) -> &'static str {
        "commitment"
    }

    async fn work(&mut self) -> Worked {
        let due = match self.road.custody.due_commitments(self.road.now(), REPORTS).await {
            Ok(due) => due,
            Err(error) => {
                warn!(%error, "the ledger cannot be asked for storage commitment");
                return Worked::Idle;
            }
        };
        for report in &due {
            if self.road.stop.is_cancelled() {
                return Worked::Idle;
            }
            if let Err(error) = self.tell(report).await {
                warn!(%error, "the ledger did not take what became of a report");
                return Worked::Idle;
            }
        }
        if due.is_empty() { Worked::Idle } else { Worked::More }
    }

    async fn wait(&mut self) {
        let next = self.road.custody.next_commitment_due().await.ok().flatten();
        let sleep = next.map_or(LOOK_AGAIN, |at| {
            Duration::try_from(at.duration_since(self.road.now())).unwrap_or_default().min(LOOK_AGAIN)
        });
        tokio::select! {
            () = tokio::time::sleep(sleep.max(Duration::from_millis(100))) => {}
            changed = self.work.changed() => if changed.is_err() { tokio::time::sleep(LOOK_AGAIN).await },
        }
    }
}
