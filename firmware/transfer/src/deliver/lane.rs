//! One association with the PACS, and what goes over it: instance after instance from the queue that it shares with others,
//! each answer told at once.
//!
//! An instance that cannot be read as what it claims to be ends the association, for the PACS must not take half of it for
//! all; the lane then opens another one and goes on with the next.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use beeldbox_custody::{InboundState, InstanceRow, ReadError, State};
use beeldbox_dicom::{
    AssociateError, AssociationLimits, Coercions, ConversionError, ConvertedSource, OutgoingInstance,
    SourceError, StoreAssociation, StoreError,
};
use beeldbox_protocol::ident::{TransferId, TransferSyntaxUid};
use tokio::sync::mpsc;
use tracing::warn;

use super::DeliverError;
use super::acquaintance::Kind;
use super::settled::{BREAKS_OFF, NOT_COERCED, NOT_CONVERTED, Sorted, sort};
use super::source::{OpenedInstance, Source};
use crate::road::Road;

/// Pauses before asking again for an association that is refused for now: one of ours may have ended a moment ago.
const PATIENCE: [Duration; 3] =
    [Duration::from_millis(200), Duration::from_millis(500), Duration::from_millis(1000)];

/// So many instances in a row for which the PACS has no room: it is full, whatever comes.
const FULL: u32 = 3;

/// An instance at which associations broke so often is not tried any more.
const MOST_BREAKS: u32 = 4;

/// An instance, and the transfer syntax in which it goes.
pub(super) type Waiting = (InstanceRow, TransferSyntaxUid);

/// What is to be sent, shared by the lanes.
#[derive(Clone, Default)]
pub(super) struct Queue(Arc<Mutex<VecDeque<Waiting>>>);

impl Queue {
    pub(super) fn of(waiting: Vec<Waiting>) -> Self {
        Queue(Arc::new(Mutex::new(waiting.into())))
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn next(&self) -> Option<Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    fn give_back(&self, waiting: Waiting) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_front(waiting);
    }
}

/// Everything that a lane needs.
#[derive(Clone)]
pub(super) struct Lane {
    pub(super) road: Road,
    pub(super) transfer: TransferId,
    pub(super) contexts: Arc<Vec<Kind>>,
    pub(super) queue: Queue,
    /// What is changed in every instance.
    pub(super) coercions: Option<Arc<Coercions>>,
    /// Where what is settled is told.
    pub(super) settled: mpsc::Sender<(i64, u16)>,
}

/// Asks for an association, and a few times more if it is refused for now.
pub(super) async fn associate(road: &Road, contexts: &[Kind]) -> Result<StoreAssociation, AssociateError> {
    let (pacs, own) = (&road.settings.pacs, &road.settings.ae_title);
    let mut pauses = PATIENCE.iter();
    loop {
        let associated = beeldbox_dicom::associate(pacs, own, contexts, AssociationLimits::default()).await;
        match (&associated, pauses.next()) {
            (Err(AssociateError::Rejected { transient: true, .. }), Some(pause)) => {
                tokio::time::sleep(*pause).await;
            }
            _ => return associated,
        }
    }
}

impl Lane {
    /// Opens an association of its own and sends until the queue is empty. That the PACS does not take another one is no
    /// failure: others are at work.
    pub(super) async fn beside(self) -> Result<(), DeliverError> {
        let (pacs, own) = (&self.road.settings.pacs, &self.road.settings.ae_title);
        let limits = AssociationLimits::default();
        match beeldbox_dicom::associate(pacs, own, &self.contexts, limits).await {
            Ok(association) => self.send(association).await,
            Err(_) => {
                self.road.acquaintance.took_only_one(self.road.now());
                Ok(())
            }
        }
    }

    /// Sends until the queue is empty, somebody stops it, or the PACS does not go on.
    pub(super) async fn send(self, mut association: StoreAssociation) -> Result<(), DeliverError> {
        let outcome = self.send_all(&mut association).await;
        match &outcome {
            Ok(()) | Err(DeliverError::PacsBusy | DeliverError::Stopping) => association.release().await,
            Err(_) => association.abort().await,
        }
        outcome
    }

    async fn send_all(&self, association: &mut StoreAssociation) -> Result<(), DeliverError> {
        let mut moves = self.road.custody.work();
        moves.mark_unchanged();
        // The row that led here may be older than what somebody decided since.
        if !self.goes_on().await? {
            return Err(DeliverError::Stopping);
        }
        let mut without_room = 0;
        while let Some(waiting) = self.queue.next() {
            if self.road.stop.is_cancelled() {
                return Err(DeliverError::Stopping);
            }
            // Somebody may have stopped it: nothing more goes to the PACS then.
            if moves.has_changed().unwrap_or(true) {
                moves.mark_unchanged();
                if !self.goes_on().await? {
                    return Err(DeliverError::Stopping);
                }
            }
            if !association.is_open() {
                *association = associate(&self.road, &self.contexts).await?;
            }
            if !association.accepts(&waiting.0.sop_class, &waiting.1) {
                // This one is less generous than the first: others may take it.
                self.queue.give_back(waiting);
                return Ok(());
            }
            match self.store(association, &waiting).await? {
                Sorted::Settled(status) => {
                    without_room = 0;
                    if self.settled.send((waiting.0.id, status)).await.is_err() {
                        return Err(DeliverError::Stopping);
                    }
                }
                Sorted::Later => {
                    without_room += 1;
                    if without_room >= FULL {
                        return Err(DeliverError::PacsBusy);
                    }
                }
            }
        }
        if without_room > 0 { Err(DeliverError::PacsBusy) } else { Ok(()) }
    }

    /// Whether the transfer is still being delivered.
    async fn goes_on(&self) -> Result<bool, DeliverError> {
        let row = self.road.custody.transfer(self.transfer).await?;
        Ok(row.is_some_and(|row| matches!(row.state, State::Inbound(InboundState::Delivering { .. }))))
    }

    async fn store(
        &self,
        association: &mut StoreAssociation,
        (instance, syntax): &Waiting,
    ) -> Result<Sorted, DeliverError> {
        let reader = self.road.custody.open_instance(instance).await?;
        // The source: out of custody, then under the local patient, then in the transfer syntax in which it goes.
        let opened = OpenedInstance::start(reader);
        let stored = &instance.transfer_syntax;
        let Ok(coerced) = Source::new(opened, self.coercions.as_deref(), stored) else {
            return Ok(Sorted::Settled(NOT_COERCED));
        };
        let Some(mut source) = ConvertedSource::new(coerced, stored, syntax) else {
            return Ok(Sorted::Settled(NOT_CONVERTED));
        };
        let outgoing = OutgoingInstance {
            sop_class: instance.sop_class.clone(),
            sop_instance: instance.sop_instance.clone(),
            transfer_syntax: syntax.clone(),
            size_hint: Some(instance.size_bytes),
        };
        match association.store(&outgoing, &mut source).await {
            Ok(stored) => Ok(sort(stored.status)),
            Err(StoreError::Source(error)) => self.unreadable(error).map(Sorted::Settled),
            Err(error) => self.broken(instance, error).map(Sorted::Settled),
        }
    }

    /// What did not get through because of itself is settled; what we cannot read is not.
    fn unreadable(&self, error: SourceError) -> Result<u16, DeliverError> {
        if error.coercion().is_some() {
            warn!(transfer = %self.transfer, "an instance cannot take the local patient");
            return Ok(NOT_COERCED);
        }
        if ConversionError::of(&error).is_some() {
            warn!(transfer = %self.transfer, "an instance is not what its transfer syntax says");
            return Ok(NOT_CONVERTED);
        }
        match error.0.downcast::<ReadError>() {
            Ok(error) => Err(DeliverError::Read(*error)),
            Err(other) => Err(StoreError::Source(SourceError(other)).into()),
        }
    }

    /// The association broke. An instance at which that happens again and again is settled, and does not stop the others.
    fn broken(&self, instance: &InstanceRow, error: StoreError) -> Result<u16, DeliverError> {
        if self.road.acquaintance.broke_at(instance.id) >= MOST_BREAKS {
            warn!(transfer = %self.transfer, %error, "the PACS breaks off at the same instance every time");
            return Ok(BREAKS_OFF);
        }
        Err(error.into())
    }
}
