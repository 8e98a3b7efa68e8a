//! Deliver: instances to the local PACS, one C-STORE each, and proof that it has them.
//!
//! ```text
//!   Reconciled ─► what is there already ─► contexts for what is open ─► C-STORE ⟲ ─► proof ─► Delivered, receipt 2
//! ```
//!
//! What the sending PACS sent is what this PACS gets, unless it does not take the transfer syntax and there is another one
//! without loss ([`contexts`]). Each answer settles its instance or lets it wait ([`settled`]); one that is refused does not
//! stop the others, and receipt 2 says n of m. Progress is committed as answers come ([`batch`]), so after a crash no more
//! than what was on its way is sent again, with the same bytes under the same SOP Instance UID. Delivered is what the PACS
//! proves to have ([`proof`]).

// What is known of the PACS from earlier.
pub mod acquaintance;
// What needs no sending.
mod already_there;
// One set of contexts, several associations.
mod batch;
// Which contexts, and which way an instance goes.
mod contexts;
// One association.
mod lane;
// Whether the PACS has it.
pub mod proof;
// What an answer means.
pub mod settled;
// Bytes out of custody.
mod source;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use beeldbox_custody::{
    AuditRecord, Changes, CollectionId, CustodyError, HoldReason, InboundState, InstanceRow, ReadError,
    State, TransferRow, WaitReason,
};
use beeldbox_dicom::{AssociateError, Coercions, DimseStatus, StoreError};
use beeldbox_protocol::admin::{ReceiptStage, RefusedInstance};
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::TransferId;
use tokio::sync::watch;
use tracing::{error, info, warn};

use self::batch::deliver_batch;
use self::proof::{Proof, Said};
use self::settled::ALREADY_THERE;
use crate::coerced;
use crate::fetch::sign_receipt;
use crate::inbound::InboundEvent;
use crate::portal_client::Disposition;
use crate::road::{Road, SigningCertificateExpired, StepError, retry};
use crate::send::chain;
use crate::worker::{Worked, Worker, due_now, until_due};

pub use self::settled::{NO_CONTEXT, NOT_COERCED};

/// Instances between two moves of the state, which shows progress. Their answers are committed more often.
const MOVE_EVERY: usize = 32;

/// Refused instances that are named in the audit trail.
const MOST_NAMED: usize = 100;

/// Delivers what is due.
pub struct Deliverer {
    road: Road,
    changes: watch::Receiver<u64>,
}

#[derive(Debug, thiserror::Error)]
enum DeliverError {
    #[error("no association with the PACS")]
    Associate(#[from] AssociateError),
    #[error("the association with the PACS broke")]
    Store(#[from] StoreError),
    #[error("the PACS is out of resources")]
    PacsBusy,
    #[error("sealed bytes cannot be read back")]
    Read(#[from] ReadError),
    #[error(transparent)]
    Step(#[from] StepError),
    #[error(transparent)]
    Signer(#[from] SigningCertificateExpired),
    #[error("the row lacks what its state needs")]
    Incomplete,
    #[error("the PACS does not confirm everything yet")]
    NotProven(std::time::Duration),
    #[error("asked to stop")]
    Stopping,
}

impl From<CustodyError> for DeliverError {
    fn from(error: CustodyError) -> Self {
        DeliverError::Step(StepError::Custody(error))
    }
}

impl Deliverer {
    /// For this road.
    pub fn new(road: Road) -> Self {
        let changes = road.custody.work();
        Deliverer { road, changes }
    }

    async fn handle(&self, row: &TransferRow, result: Result<(), DeliverError>) {
        let Err(failure) = result else { return };
        let disposition = match &failure {
            DeliverError::Stopping => return,
            DeliverError::NotProven(pause) => return self.wait_for_proof(row, *pause).await,
            DeliverError::Associate(AssociateError::Rejected { transient: true, .. }) => {
                retry(WaitReason::PacsBusy)
            }
            DeliverError::Associate(
                AssociateError::Rejected { transient: false, .. } | AssociateError::TinyPdu { .. },
            ) => Disposition::Hold(HoldReason::PacsRefusedUs),
            DeliverError::Associate(_) | DeliverError::Store(_) => retry(WaitReason::PacsUnreachable),
            DeliverError::PacsBusy => retry(WaitReason::PacsBusy),
            DeliverError::Read(_) => Disposition::Hold(HoldReason::PackDamaged),
            DeliverError::Step(step) => return self.road.step_failed(row, step).await,
            DeliverError::Signer(_) => Disposition::Hold(HoldReason::CertificateExpired),
            DeliverError::Incomplete => Disposition::Hold(HoldReason::LetterUnreadable),
        };
        self.road.note_pacs::<(), _>(&Err(failure_text(&failure)));
        warn!(transfer = %row.id, error = %chain(&failure), "delivery did not succeed");
        // The row may have moved while instances were settled.
        match self.road.custody.transfer(row.id).await {
            Ok(Some(row)) => self.road.wait_or_hold(&row, disposition).await,
            Ok(None) => {}
            Err(error) => error!(%error, "the ledger cannot be asked"),
        }
    }

    async fn wait_for_proof(&self, row: &TransferRow, pause: std::time::Duration) {
        let waits = Disposition::Retry(WaitReason::PacsProof, Some(pause));
        match self.road.custody.transfer(row.id).await {
            Ok(Some(row)) => self.road.wait_or_hold(&row, waits).await,
            Ok(None) => {}
            Err(error) => error!(%error, "the ledger cannot be asked"),
        }
        // It may have come while this was written down.
        if self.road.acquaintance.questions.is_answered(row.id) {
            proof::look_now(&self.road, row.id).await;
        }
    }
}

fn failure_text(failure: &DeliverError) -> std::io::Error {
    std::io::Error::other(chain(failure))
}

impl Worker for Deliverer {
    fn name(&self) -> &'static str {
        "deliver"
    }

    async fn work(&mut self) -> Worked {
        let due = due_now(&self.road.custody, &self.road.clock).await;
        let ready = due.iter().find(|row| {
            matches!(
                row.state,
                State::Inbound(InboundState::Reconciled { .. } | InboundState::Delivering { .. })
            )
        });
        let Some(row) = ready else { return Worked::Idle };
        let on_the_way = self.road.on_the_way.enter(row.id);
        let result = deliver(&self.road, row).await;
        drop(on_the_way);
        self.handle(row, result).await;
        Worked::More
    }

    async fn wait(&mut self) {
        until_due(&self.road.custody, &self.road.clock, &mut self.changes).await;
    }
}

/// All instances of a transfer with their places, and which of them are settled.
struct Delivery {
    row: TransferRow,
    instances: Vec<InstanceRow>,
    settled: HashMap<i64, u16>,
    /// How many were settled when the state last said so.
    told: usize,
    /// What is changed in them.
    coercions: Option<Arc<Coercions>>,
}

impl Delivery {
    async fn load(road: &Road, row: &TransferRow, collection: CollectionId) -> Result<Self, DeliverError> {
        let mut instances = Vec::new();
        loop {
            let after = instances.last().map(|instance: &InstanceRow| instance.id);
            let page = road.custody.instances(collection, after, 1000).await?;
            if page.is_empty() {
                break;
            }
            instances.extend(page);
        }
        let settled: HashMap<i64, u16> =
            road.custody.deliveries(row.id).await?.into_iter().map(|d| (d.instance, d.status)).collect();
        let coercions = coerced::plan(row, &road.settings.name).map_err(|_| DeliverError::Incomplete)?;
        let told = settled.len();
        Ok(Delivery { row: row.clone(), instances, settled, told, coercions: coercions.map(Arc::new) })
    }

    fn transfer(&self) -> TransferId {
        self.row.id
    }

    /// Instances that are not settled.
    fn open(&self) -> impl Iterator<Item = &InstanceRow> {
        self.instances.iter().filter(|instance| !self.settled.contains_key(&instance.id))
    }

    /// Instances that are settled as stored.
    fn stored(&self) -> impl Iterator<Item = &InstanceRow> {
        self.instances.iter().filter(|instance| {
            self.settled.get(&instance.id).is_some_and(|status| DimseStatus(*status).is_stored())
        })
    }

    fn settled_count(&self) -> usize {
        self.settled.len()
    }

    fn count(&self, is_so: impl Fn(u16) -> bool) -> usize {
        self.settled.values().filter(|status| is_so(**status)).count()
    }

    /// Writes down what was settled, and moves the transfer along now and then.
    ///
    /// # Durability
    /// When this returns, the answers survive a power cut.
    async fn settle(&mut self, road: &Road, fresh: Vec<(i64, u16)>) -> Result<(), DeliverError> {
        if fresh.is_empty() {
            return Ok(());
        }
        road.custody.set_delivery(self.row.id, fresh.clone(), road.now()).await?;
        road.acquaintance.forget(fresh.iter().map(|(instance, _)| *instance));
        self.settled.extend(fresh);
        if self.settled.len() >= self.told + MOVE_EVERY { self.tell(road).await } else { Ok(()) }
    }

    /// Lets the state say how many are settled.
    async fn tell(&mut self, road: &Road) -> Result<(), DeliverError> {
        let count = |n: usize| u32::try_from(n).map_err(|_| DeliverError::Incomplete);
        let (settled, of) = (count(self.settled.len())?, count(self.instances.len())?);
        self.told = self.settled.len();
        let event = InboundEvent::InstancesSettled { settled, of };
        if let Some(state) = road.step_inbound(&self.row, event, Changes::default(), Vec::new()).await? {
            self.row.state = State::Inbound(state);
        }
        Ok(())
    }
}

async fn deliver(road: &Road, row: &TransferRow) -> Result<(), DeliverError> {
    let collection = row.collection.ok_or(DeliverError::Incomplete)?;
    let mut delivery = Delivery::load(road, row, collection).await?;
    delivery.tell(road).await?;
    let there = already_there::already_there(road, &delivery).await;
    delivery.settle(road, there).await?;
    loop {
        let mut open: Vec<&InstanceRow> = delivery.open().collect();
        // What broke an association goes last, so that it stops nothing else.
        open.sort_by_key(|instance| road.acquaintance.breaks_at(instance.id));
        let proposal = contexts::propose(open.into_iter(), |kind| road.acquaintance.took(kind));
        let Some(proposal) = proposal else { break };
        let sent = deliver_batch(road, &mut delivery, proposal).await;
        // What was settled before a failure stays settled.
        let told = delivery.tell(road).await;
        sent?;
        told?;
    }
    match proof::prove(road, row.id, &delivery).await? {
        Said::NotYet(pause) => Err(DeliverError::NotProven(pause)),
        Said::Proven(proof, unconfirmed) => {
            delivery.settle(road, unconfirmed).await?;
            finish(road, &delivery, proof).await
        }
    }
}

async fn finish(road: &Road, delivery: &Delivery, proof: Proof) -> Result<(), DeliverError> {
    let row = &delivery.row;
    let mut refused = Vec::new();
    let mut named = String::new();
    for (position, instance) in delivery.instances.iter().enumerate() {
        let status = delivery.settled.get(&instance.id).copied().ok_or(DeliverError::Incomplete)?;
        if DimseStatus(status).is_stored() {
            continue;
        }
        if refused.len() < MOST_NAMED {
            let (name, why) = (&instance.sop_instance, settled::why(status));
            let _infallible = write!(named, "; {name} {}: {why}", DimseStatus(status));
        }
        let position = u32::try_from(position).map_err(|_| DeliverError::Incomplete)?;
        refused.push(RefusedInstance { position, status });
    }
    let of = u32::try_from(delivery.instances.len()).map_err(|_| DeliverError::Incomplete)?;
    let stored = of - u32::try_from(refused.len()).map_err(|_| DeliverError::Incomplete)?;
    let there = delivery.count(|status| status == ALREADY_THERE);
    let warnings = delivery.count(|status| DimseStatus(status).is_warning() && status != ALREADY_THERE);
    let proof = proof.as_str();
    if stored < of {
        warn!(transfer = %row.id, stored, of, proof, "the PACS does not have every instance");
    } else {
        info!(transfer = %row.id, stored, of, there, warnings, proof, "every instance is in the PACS");
    }
    road.check_signer()?;
    let receipt = sign_receipt(road, row, ReceiptStage::InPacs, stored, of, refused)?;
    let detail = format!(
        "{stored} of {of}, proof: {proof}; {there} were there already, {warnings} with a warning{named}"
    );
    let audit = AuditRecord {
        at: road.now(),
        actor: "beeldboxd".to_owned(),
        action: "deliver".to_owned(),
        transfer: Some(row.id),
        detail: Confidential::new(detail),
    };
    let changes = Changes { receipt: Some((2, receipt.clone())), audit: vec![audit], ..Changes::default() };
    road.step_inbound(row, InboundEvent::AllSettled { stored, of }, changes, receipt).await?;
    road.acquaintance.questions.forget(row.id);
    Ok(())
}
