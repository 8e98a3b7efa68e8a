//! Close: when is a study complete?
//!
//! DICOM ties no meaning to the end of an association or the order of arrival (PS3.4 §B.4), so the strongest signal at
//! hand decides:
//!
//! ```text
//!   the technician sends or closes it          ─┐
//!   the sender asks for commitment of all of it ─┼─► closed ─► in doubt? ─► held for a person
//!   nothing came for the quiet time of the peer ─┘                  └─ no ─► queued ─► alias? ─► addressed
//! ```
//!
//! Whatever the signal, an association that is filling the study keeps it open, except for the technician. What arrives
//! later becomes a study of its own in the list (an addendum); a closed set never changes.

use std::time::Duration;

use beeldbox_custody::{Changes, HoldReason, StudyRow, TransferRow};
use beeldbox_protocol::ident::TransferId;
use tracing::{error, info};

use crate::alias;
use crate::outbound::OutboundEvent;
use crate::road::{Road, StepError};
use crate::worker::{Worked, Worker};

/// Closes studies that are complete.
pub struct Closer {
    road: Road,
}

impl Closer {
    /// For this road.
    pub fn new(road: Road) -> Self {
        Closer { road }
    }

    async fn close_complete_studies(&mut self) -> Result<(), StepError> {
        let quiet = self.road.custody.quiet_studies(self.road.before(self.shortest_quiet_time())).await?;
        for study in quiet {
            let settings = &self.road.settings;
            let quiet_time = settings.quiet_time_of(settings.peer(&study.source_ae));
            if study.last_instance_at <= self.road.before(quiet_time) {
                close_transfer(&self.road, study.transfer).await?;
            }
        }
        Ok(())
    }

    fn shortest_quiet_time(&self) -> Duration {
        let settings = &self.road.settings;
        let own = settings.peers.iter().filter_map(|peer| peer.quiet_time).min();
        own.unwrap_or(settings.quiet_time).min(settings.quiet_time)
    }
}

/// Closes a study and does what its closing calls for: a doubtful one is held, one that was sent to an alias is
/// addressed. Closing what is closed is nothing.
///
/// # Errors
/// If the ledger does not take the move.
pub async fn close_transfer(road: &Road, transfer: TransferId) -> Result<(), StepError> {
    let Some(row) = road.custody.transfer(transfer).await? else { return Ok(()) };
    let Some(study) = study_of(road, &row).await? else { return Ok(()) };
    let event = match doubt(&study) {
        Some(reason) => OutboundEvent::ClosedInDoubt(reason),
        None => OutboundEvent::Closed,
    };
    let closed = road.step_outbound(&row, event, Changes::default()).await?.is_some();
    if closed {
        info!(%transfer, instances = study.summary.instances, "study closed");
        alias::address_by_alias(road, &study).await;
    }
    Ok(())
}

async fn study_of(road: &Road, row: &TransferRow) -> Result<Option<StudyRow>, StepError> {
    match row.collection {
        Some(collection) => Ok(road.custody.study(collection).await?),
        None => Ok(None),
    }
}

/// Why a person must look at a study before anybody sends it. The gravest first.
pub fn doubt(study: &StudyRow) -> Option<HoldReason> {
    if study.two_patients {
        Some(HoldReason::TwoPatients)
    } else if study.patient.id.is_none() {
        Some(HoldReason::PatientIdMissing)
    } else if study.conflict {
        Some(HoldReason::ConflictingInstances)
    } else {
        None
    }
}

impl Worker for Closer {
    fn name(&self) -> &'static str {
        "close"
    }

    async fn work(&mut self) -> Worked {
        if let Err(error) = self.close_complete_studies().await {
            error!(%error, "a quiet study could not be closed");
        }
        Worked::Idle
    }

    async fn wait(&mut self) {
        let look = (self.shortest_quiet_time() / 4).clamp(Duration::from_millis(250), Duration::from_secs(5));
        tokio::time::sleep(look).await;
    }
}
