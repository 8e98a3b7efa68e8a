//! Deliver: instances to the local PACS, one C-STORE each, as they were received.
//!
//! ```text
//!   Reconciled ─► associate with what is still open ─► C-STORE ─► status noted per instance ⟲ ─► Delivered, receipt 2
//! ```
//!
//! Nothing is decoded or re-encoded: what the sending PACS sent is what this PACS gets. Success and warnings settle an
//! instance; "out of resources" is tried again later; every other refusal settles it as refused, and receipt 2 says
//! n of m. Progress is committed at least every [`COMMIT_EVERY`] instances, so a crash repeats no more than that many,
//! with the same bytes under the same SOP Instance UID.

use std::collections::{HashMap, HashSet};

use beeldbox_custody::{
    AuditRecord, Changes, CollectionId, CustodyError, FrameReader, HoldReason, InboundState, InstanceRow,
    ReadError, State, TransferRow, WaitReason,
};
use beeldbox_dicom::{
    AssociateError, AssociationLimits, CoercedSource, Coercions, DimseStatus, OutgoingInstance,
    OutgoingSource, SourceError, StoreAssociation, StoreError,
};
use beeldbox_protocol::admin::{ReceiptStage, RefusedInstance};
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::{SopClassUid, TransferId, TransferSyntaxUid};
use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tracing::{error, info, warn};

use crate::coerced;
use crate::fetch::sign_receipt;
use crate::inbound::InboundEvent;
use crate::portal_client::Disposition;
use crate::road::{Road, SigningCertificateExpired, StepError, retry};
use crate::send::chain;
use crate::worker::{Worked, Worker, due_now, until_due};

/// Instances between two commits of progress.
const COMMIT_EVERY: usize = 32;

/// Presentation contexts in one association (PS3.8 §9.3.2.2: odd ids from 1 to 255).
const MAX_CONTEXTS: usize = 128;

/// Chunks between the opener and the association: 8 × 64 KiB.
const QUEUED_CHUNKS: usize = 8;

/// Status noted for an instance for which the PACS accepted no presentation context. Not a DIMSE status.
pub const NO_CONTEXT: u16 = 0xFFFF;

/// Status noted for an instance into which the local patient could not be put. Not a DIMSE status.
pub const NOT_COERCED: u16 = 0xFFFE;

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
    instances: Vec<InstanceRow>,
    settled: HashMap<i64, u16>,
    /// What is changed in them.
    coercions: Option<Coercions>,
}

async fn load(road: &Road, row: &TransferRow, collection: CollectionId) -> Result<Delivery, DeliverError> {
    let mut instances = Vec::new();
    loop {
        let after = instances.last().map(|instance: &InstanceRow| instance.id);
        let page = road.custody.instances(collection, after, 1000).await?;
        if page.is_empty() {
            break;
        }
        instances.extend(page);
    }
    let settled = road.custody.deliveries(row.id).await?;
    let coercions = coerced::plan(row, &road.settings.name).map_err(|_| DeliverError::Incomplete)?;
    Ok(Delivery {
        instances,
        settled: settled.into_iter().map(|d| (d.instance, d.status)).collect(),
        coercions,
    })
}

async fn deliver(road: &Road, row: &TransferRow) -> Result<(), DeliverError> {
    let collection = row.collection.ok_or(DeliverError::Incomplete)?;
    let mut delivery = load(road, row, collection).await?;
    let mut row = row.clone();
    settle(road, &mut row, &mut delivery, Vec::new()).await?;
    while let Some(batch) = next_batch(&delivery) {
        deliver_batch(road, &mut row, &mut delivery, &batch).await?;
    }
    finish(road, &row, &delivery).await
}

/// The open instances whose (SOP class, transfer syntax) pairs fit into one association.
fn next_batch(delivery: &Delivery) -> Option<Vec<InstanceRow>> {
    let mut contexts: HashSet<(&SopClassUid, &TransferSyntaxUid)> = HashSet::new();
    let mut batch = Vec::new();
    for instance in delivery.instances.iter().filter(|instance| !delivery.settled.contains_key(&instance.id))
    {
        let context = (&instance.sop_class, &instance.transfer_syntax);
        if contexts.len() < MAX_CONTEXTS || contexts.contains(&context) {
            contexts.insert(context);
            batch.push(instance.clone());
        }
    }
    (!batch.is_empty()).then_some(batch)
}

async fn deliver_batch(
    road: &Road,
    row: &mut TransferRow,
    delivery: &mut Delivery,
    batch: &[InstanceRow],
) -> Result<(), DeliverError> {
    let mut contexts: Vec<(SopClassUid, TransferSyntaxUid)> = Vec::new();
    for instance in batch {
        let context = (instance.sop_class.clone(), instance.transfer_syntax.clone());
        if !contexts.contains(&context) {
            contexts.push(context);
        }
    }
    let limits = AssociationLimits::default();
    let associated =
        beeldbox_dicom::associate(&road.settings.pacs, &road.settings.ae_title, &contexts, limits).await;
    road.note_pacs(&associated);
    let mut association = associated?;
    let result = store_all(road, row, delivery, batch, &mut association).await;
    match &result {
        Ok(()) | Err(DeliverError::PacsBusy | DeliverError::Stopping) => association.release().await,
        Err(_) => association.abort().await,
    }
    result
}

async fn store_all(
    road: &Road,
    row: &mut TransferRow,
    delivery: &mut Delivery,
    batch: &[InstanceRow],
    association: &mut StoreAssociation,
) -> Result<(), DeliverError> {
    let mut fresh = Vec::new();
    let mut outcome = Ok(());
    let mut moves = road.custody.work();
    moves.mark_unchanged();
    // The row that led here may be older than what somebody decided since.
    if !goes_on(road, row.id).await? {
        return Err(DeliverError::Stopping);
    }
    for instance in batch {
        // Somebody may have stopped it: nothing more goes to the PACS then.
        if moves.has_changed().unwrap_or(true) {
            moves.mark_unchanged();
            if !goes_on(road, row.id).await? {
                outcome = Err(DeliverError::Stopping);
                break;
            }
        }
        match store_one(road, association, instance, delivery.coercions.as_ref()).await {
            Ok(status) => fresh.push((instance.id, status)),
            Err(DeliverError::Store(StoreError::Source(source))) if source.coercion().is_some() => {
                // The association is gone with it; the next takes up what is left.
                fresh.push((instance.id, NOT_COERCED));
                break;
            }
            Err(error) => {
                outcome = Err(error);
                break;
            }
        }
        if fresh.len() >= COMMIT_EVERY {
            settle(road, row, delivery, std::mem::take(&mut fresh)).await?;
        }
        if road.stop.is_cancelled() {
            outcome = Err(DeliverError::Stopping);
            break;
        }
    }
    // What was settled before a failure stays settled.
    settle(road, row, delivery, fresh).await?;
    outcome
}

/// Whether the transfer is still being delivered.
async fn goes_on(road: &Road, transfer: TransferId) -> Result<bool, DeliverError> {
    let row = road.custody.transfer(transfer).await?;
    Ok(row.is_some_and(|row| matches!(row.state, State::Inbound(InboundState::Delivering { .. }))))
}

async fn store_one(
    road: &Road,
    association: &mut StoreAssociation,
    instance: &InstanceRow,
    coercions: Option<&Coercions>,
) -> Result<u16, DeliverError> {
    if !association.accepts(&instance.sop_class, &instance.transfer_syntax) {
        return Ok(NO_CONTEXT);
    }
    let reader = road.custody.open_instance(instance).await?;
    let outgoing = OutgoingInstance {
        sop_class: instance.sop_class.clone(),
        sop_instance: instance.sop_instance.clone(),
        transfer_syntax: instance.transfer_syntax.clone(),
        size_hint: Some(instance.size_bytes),
    };
    let source = OpenedInstance::start(reader);
    let stored = match coercions {
        None => association.store(&outgoing, &mut { source }).await?,
        Some(coercions) => match CoercedSource::new(source, coercions, &instance.transfer_syntax) {
            Ok(mut coerced) => association.store(&outgoing, &mut coerced).await?,
            Err(_) => return Ok(NOT_COERCED),
        },
    };
    if stored.status.is_worth_retrying() {
        return Err(DeliverError::PacsBusy);
    }
    Ok(stored.status.0)
}

/// Writes down what was settled, and moves the transfer along.
async fn settle(
    road: &Road,
    row: &mut TransferRow,
    delivery: &mut Delivery,
    fresh: Vec<(i64, u16)>,
) -> Result<(), DeliverError> {
    if !fresh.is_empty() {
        road.custody.set_delivery(row.id, fresh.clone(), road.now()).await?;
        delivery.settled.extend(fresh);
    }
    let count = |n: usize| u32::try_from(n).map_err(|_| DeliverError::Incomplete);
    let (settled, of) = (count(delivery.settled.len())?, count(delivery.instances.len())?);
    let event = InboundEvent::InstancesSettled { settled, of };
    if let Some(state) = road.step_inbound(row, event, Changes::default(), Vec::new()).await? {
        row.state = State::Inbound(state);
    }
    Ok(())
}

async fn finish(road: &Road, row: &TransferRow, delivery: &Delivery) -> Result<(), DeliverError> {
    let mut refused = Vec::new();
    for (position, instance) in delivery.instances.iter().enumerate() {
        let status = delivery.settled.get(&instance.id).copied().ok_or(DeliverError::Incomplete)?;
        if !DimseStatus(status).is_stored() {
            let position = u32::try_from(position).map_err(|_| DeliverError::Incomplete)?;
            refused.push(RefusedInstance { position, status });
        }
    }
    let of = u32::try_from(delivery.instances.len()).map_err(|_| DeliverError::Incomplete)?;
    let stored = of - u32::try_from(refused.len()).map_err(|_| DeliverError::Incomplete)?;
    if stored < of {
        warn!(transfer = %row.id, stored, of, "the PACS did not take every instance");
    } else {
        info!(transfer = %row.id, stored, of, "every instance is in the PACS");
    }
    road.check_signer()?;
    let receipt = sign_receipt(road, row, ReceiptStage::InPacs, stored, of, refused)?;
    let audit = AuditRecord {
        at: road.now(),
        actor: "beeldboxd".to_owned(),
        action: "deliver".to_owned(),
        transfer: Some(row.id),
        detail: Confidential::new(format!("{stored} of {of}")),
    };
    let changes = Changes { receipt: Some((2, receipt.clone())), audit: vec![audit], ..Changes::default() };
    road.step_inbound(row, InboundEvent::AllSettled { stored, of }, changes, receipt).await?;
    Ok(())
}

/// An instance on its way out of its frame: opened on a thread of its own, chunk by authenticated chunk.
struct OpenedInstance {
    chunks: mpsc::Receiver<Result<Bytes, ReadError>>,
}

impl OpenedInstance {
    fn start(mut reader: FrameReader) -> Self {
        let (sender, chunks) = mpsc::channel(QUEUED_CHUNKS);
        tokio::task::spawn_blocking(move || {
            loop {
                let next = match reader.next_chunk() {
                    Ok(Some(chunk)) => Ok(Bytes::from(chunk)),
                    Ok(None) => break,
                    Err(error) => Err(error),
                };
                let is_error = next.is_err();
                // The association ended: nobody wants the rest.
                if sender.blocking_send(next).is_err() || is_error {
                    break;
                }
            }
        });
        OpenedInstance { chunks }
    }
}

impl OutgoingSource for OpenedInstance {
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, SourceError> {
        match self.chunks.recv().await {
            Some(Ok(chunk)) => Ok(Some(chunk)),
            Some(Err(error)) => Err(SourceError(Box::new(error))),
            None => Ok(None),
        }
    }
}
