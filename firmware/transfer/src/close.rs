//! Close: when is a study complete?
//!
//! DICOM ties no meaning to the end of an association or the order of arrival (PS3.4 §B.4), so the strongest signal at
//! hand decides:
//!
//! ```text
//!   the technician sends or closes it          ─┐
//!   the sender asks for commitment of all of it ─┤
//!   the PACS counts as many instances as we have ─┼─► closed ─► in doubt? ─► held for a person
//!   nothing came for the quiet time of the peer ─┘                  └─ no ─► queued ─► alias? ─► addressed
//! ```
//!
//! Whatever the signal, an association that is filling the study keeps it open, except for the technician; and some
//! modalities ask for commitment image by image, so a claim counts only when nothing came for a moment. What arrives
//! later becomes a study of its own in the list (an addendum); a closed set never changes.

use std::collections::HashMap;
use std::time::Duration;

use beeldbox_custody::{Changes, CollectionId, HoldReason, QuietStudy, StudyRow, TransferRow};
use beeldbox_dicom::{QueryError, count_instances};
use beeldbox_protocol::ident::TransferId;
use jiff::Timestamp;
use tracing::{debug, error, info};

use crate::alias;
use crate::outbound::OutboundEvent;
use crate::road::{PeerSettings, Road, StepError};
use crate::worker::{Worked, Worker};

/// A study is not counted at the PACS before it was quiet for so long: one question is then enough.
const SETTLED: Duration = Duration::from_secs(2);

/// Pause between two counts of one study.
const COUNT_AGAIN: Duration = Duration::from_secs(10);

/// A study of which the PACS counts more than came is waited for at most so many quiet times.
const PATIENCE: u32 = 10;

/// Closes studies that are complete.
pub struct Closer {
    road: Road,
    /// When each open study was last counted, and whether the PACS has more than came.
    counted: HashMap<CollectionId, Count>,
}

#[derive(Clone, Copy)]
struct Count {
    at: Timestamp,
    more_to_come: bool,
}

/// What a count says.
enum Said {
    Complete,
    MoreToCome,
    Nothing,
}

impl Closer {
    /// For this road.
    pub fn new(road: Road) -> Self {
        Closer { road, counted: HashMap::new() }
    }

    async fn close_complete_studies(&mut self) -> Result<(), StepError> {
        let settled = self.road.before(SETTLED.min(self.shortest_quiet_time()));
        let quiet = self.road.custody.quiet_studies(settled).await?;
        self.counted.retain(|collection, _| quiet.iter().any(|study| study.collection == *collection));
        for study in quiet {
            if self.is_complete(&study).await {
                self.road.claims.forget(study.transfer);
                close_transfer(&self.road, study.transfer).await?;
            }
        }
        Ok(())
    }

    async fn is_complete(&mut self, study: &QuietStudy) -> bool {
        if self.road.claims.covers(study.transfer, study.last_instance_at) {
            return true;
        }
        let peer = self.road.settings.peer(&study.source_ae).cloned();
        let quiet_time = self.road.settings.quiet_time_of(peer.as_ref());
        let passed = |times: u32| study.last_instance_at <= self.road.before(quiet_time * times);
        if peer.as_ref().is_some_and(|peer| peer.answers_queries) && !passed(PATIENCE) {
            match self.count(study, peer.as_ref()).await {
                Said::Complete => return true,
                Said::MoreToCome => return false,
                Said::Nothing => {}
            }
        }
        study.last_instance_at <= self.road.before(quiet_time)
    }

    /// Asks the PACS how many instances the study has, not too often.
    async fn count(&mut self, study: &QuietStudy, peer: Option<&PeerSettings>) -> Said {
        let (Some(uid), Some(node)) = (&study.study, peer.and_then(|peer| peer.node.as_ref())) else {
            return Said::Nothing;
        };
        let now = self.road.now();
        if let Some(count) = self.counted.get(&study.collection).copied()
            && crate::road::after(count.at, COUNT_AGAIN) > now
        {
            return if count.more_to_come { Said::MoreToCome } else { Said::Nothing };
        }
        let answer = count_instances(node, &self.road.settings.ae_title, uid).await;
        let said = match answer {
            Ok(Some(count)) if count == study.instances => Said::Complete,
            Ok(Some(count)) if count > study.instances => Said::MoreToCome,
            // Fewer, or no number: it may hold back what it is not asked for. Time decides.
            Ok(_) => Said::Nothing,
            Err(error) => self.no_count(study, &error),
        };
        let more_to_come = matches!(said, Said::MoreToCome);
        self.counted.insert(study.collection, Count { at: now, more_to_come });
        said
    }

    fn no_count(&self, study: &QuietStudy, error: &QueryError) -> Said {
        debug!(transfer = %study.transfer, %error, "the PACS does not count the study; its quiet time decides");
        Said::Nothing
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
