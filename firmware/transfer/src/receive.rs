//! Receive: from an association to instances in custody.
//!
//! ```text
//!   association (async): digest ──bounded channel──► writer thread (blocking): seal, append, flush, judge ──► DurablyStored
//! ```
//!
//! Each association gets a thread of its own, because sealing and flushing block. The channel holds at most
//! [`QUEUED_PIECES`] pieces, so a slow disk slows the peer instead of filling memory. Success travels back as
//! [`DurablyStored`], which only custody makes: without it the DICOM node cannot answer C-STORE with success.

use std::collections::HashMap;
use std::sync::Arc;

use beeldbox_custody::{DurablyStored, IntakeError, IntakeSession, IntakeSource};
use beeldbox_dicom::{
    AssociationInfo, CommitmentRequest, CommitmentResult, DimseStatus, InstanceHeader, Intake,
    IntakeAssociation, Refusal,
};
use beeldbox_protocol::clinical::InstanceAttributes;
use beeldbox_protocol::envelope::data_set_digest::{DataSetDigest, DataSetDigester};
use beeldbox_protocol::envelope::pack::InstanceDescription;
use beeldbox_protocol::ident::{AeTitle, TransactionUid};
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};

use crate::Clock;
use crate::commitment;
use crate::deliver::proof;
use crate::road::Road;

/// Pieces under way between association and writer: 4 × 128 KiB bounds an association to about half a MiB.
const QUEUED_PIECES: usize = 4;

/// Takes instances into custody. One for the whole box.
pub struct CustodyIntake {
    road: Road,
}

impl CustodyIntake {
    /// Takes into the custody of this road.
    pub fn new(road: Road) -> Self {
        CustodyIntake { road }
    }

    /// Who sends, to which alias, and how much may be here.
    fn source(&self, info: &AssociationInfo) -> IntakeSource {
        let settings = &self.road.settings;
        IntakeSource {
            calling_ae: info.calling_ae.clone(),
            called_alias: (info.called_ae != settings.ae_title).then(|| info.called_ae.clone()),
            quota_bytes: settings.peer(&info.calling_ae).and_then(|peer| peer.quota_bytes),
        }
    }
}

impl Intake for CustodyIntake {
    type Association = CustodyAssociation;

    async fn open(&self, info: &AssociationInfo) -> Result<CustodyAssociation, Refusal> {
        let source_ae = info.calling_ae.clone();
        let session = self.road.custody.intake(self.source(info));
        let (orders, inbox) = mpsc::channel(QUEUED_PIECES);
        let clock = Arc::clone(&self.road.clock);
        let thread = std::thread::Builder::new().name(format!("intake {}", info.id));
        match thread.spawn(move || write_instances(session, inbox, clock)) {
            Ok(_) => {
                let (road, digester) = (self.road.clone(), DataSetDigester::default());
                Ok(CustodyAssociation { road, orders, digester, source_ae, asked: HashMap::new() })
            }
            Err(error) => {
                error!(%error, "no thread for an association");
                Err(Refusal { status: DimseStatus::OUT_OF_RESOURCES, comment: "out of threads" })
            }
        }
    }

    async fn commitment_result(
        &self,
        info: &AssociationInfo,
        result: CommitmentResult,
    ) -> Result<(), Refusal> {
        proof::take_report(&self.road, info, result).await
    }
}

/// One association's way into custody.
pub struct CustodyAssociation {
    road: Road,
    orders: mpsc::Sender<Order>,
    /// Taken here, while the writer seals: on two cores both together take as long as the slower.
    digester: DataSetDigester,
    source_ae: AeTitle,
    /// Requests for commitment that came by this association, and their records.
    asked: HashMap<TransactionUid, i64>,
}

enum Order {
    Begin(Box<(InstanceDescription, InstanceAttributes)>),
    Write(Bytes),
    Finish(DataSetDigest, oneshot::Sender<Result<DurablyStored, IntakeError>>),
    Abandon,
}

impl IntakeAssociation for CustodyAssociation {
    type Proof = DurablyStored;

    async fn begin(&mut self, header: InstanceHeader) -> Result<(), Refusal> {
        let description = InstanceDescription {
            sop_class: header.sop_class,
            sop_instance: header.sop_instance,
            transfer_syntax: header.transfer_syntax,
            study: header.study,
            series: header.series,
            source_ae: self.source_ae.clone(),
        };
        self.digester = DataSetDigester::default();
        // Not waited for: the answer goes out after the data set in any case, and waiting here would cost two wake-ups
        // of a thread for every instance.
        self.order(Order::Begin(Box::new((description, header.attributes)))).await
    }

    async fn write(&mut self, chunk: Bytes) -> Result<(), Refusal> {
        self.order(Order::Write(chunk.clone())).await?;
        self.digester.update(&chunk);
        Ok(())
    }

    async fn finish(&mut self) -> Result<DurablyStored, Refusal> {
        let (answer, asked) = oneshot::channel();
        let digest = std::mem::take(&mut self.digester).finish();
        self.order(Order::Finish(digest, answer)).await?;
        asked.await.map_err(|_| gone())?.map_err(refusal)
    }

    async fn abandon(&mut self) {
        if self.order(Order::Abandon).await.is_err() {
            warn!("the writer of an association ended before it");
        }
    }

    async fn commit(&mut self, request: CommitmentRequest) -> Result<CommitmentResult, Refusal> {
        let transaction = request.transaction.clone();
        let taken = commitment::take_request(&self.road, &self.source_ae, request).await;
        let (record, result) = taken.map_err(|failure| {
            error!(error = %failure, "a request for storage commitment was not recorded");
            Refusal { status: DimseStatus::RESOURCE_LIMITATION, comment: "storage failed" }
        })?;
        self.asked.insert(transaction, record);
        Ok(result)
    }

    async fn commitment_told(&mut self, transaction: TransactionUid) {
        if let Some(record) = self.asked.remove(&transaction)
            && let Err(failure) = self.road.custody.commitment_told(record).await
        {
            // It is told once more, on a new association, which the peer must bear.
            error!(error = %failure, "the ledger did not take that storage commitment was reported");
        }
    }

    /// Dropping the sender ends the thread, which closes the packs.
    async fn close(self) {}
}

impl CustodyAssociation {
    async fn order(&self, order: Order) -> Result<(), Refusal> {
        self.orders.send(order).await.map_err(|_| gone())
    }
}

fn gone() -> Refusal {
    Refusal { status: DimseStatus::OUT_OF_RESOURCES, comment: "storage stopped" }
}

/// The writer thread. A failure is remembered until the instance is finished, which then fails: the association need not
/// wait for every piece. Nothing is written of an instance that was refused at its beginning.
fn write_instances(mut session: IntakeSession, mut inbox: mpsc::Receiver<Order>, clock: Clock) {
    let mut failed: Option<IntakeError> = None;
    while let Some(order) = inbox.blocking_recv() {
        match order {
            Order::Begin(instance) => {
                failed = session.begin(clock(), &instance.0, &instance.1).err();
            }
            Order::Write(piece) => {
                if failed.is_none()
                    && let Err(error) = session.write(&piece)
                {
                    session.abandon();
                    failed = Some(error);
                }
            }
            Order::Finish(digest, answer) => {
                let result = match failed.take() {
                    Some(error) => Err(error),
                    None => session.finish(digest, clock()),
                };
                // If nobody waits any more the instance stays: it is stored, only nobody was told. The PACS sends it
                // again and is then told that it is there.
                if answer.send(result).is_err() {
                    warn!("an association ended while its instance was being stored");
                }
            }
            Order::Abandon => {
                failed = None;
                session.abandon();
            }
        }
    }
    session.close();
}

/// What a peer is told. Full disk and failing disk are both "out of resources": the PACS keeps the image and tries
/// again (PS3.4 Table B.2-1).
fn refusal(failure: IntakeError) -> Refusal {
    match failure {
        IntakeError::OutOfSpace => Refusal { status: DimseStatus::OUT_OF_RESOURCES, comment: "disk full" },
        IntakeError::OverQuota => {
            warn!("a peer has as much on this box as it may");
            Refusal { status: DimseStatus::OUT_OF_RESOURCES, comment: "quota of this peer is used up" }
        }
        other @ (IntakeError::Pack { .. }
        | IntakeError::Seal(_)
        | IntakeError::ReadBack(_)
        | IntakeError::Ledger(_)
        | IntakeError::NotBegun) => {
            error!(error = %other, "an instance could not be stored");
            Refusal { status: DimseStatus::OUT_OF_RESOURCES, comment: "storage failed" }
        }
    }
}
