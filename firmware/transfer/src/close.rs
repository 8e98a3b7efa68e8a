//! Close: when is a study complete?
//!
//! DICOM ties no meaning to the end of an association or the order of arrival (PS3.4 §B.4), so a study is closed when
//! nothing came for its quiet time, or earlier by the technician who sends it. What arrives later becomes a study of
//! its own in the list; a closed set never changes.

use std::time::Duration;

use beeldbox_custody::Changes;
use tracing::error;

use crate::outbound::OutboundEvent;
use crate::road::{Road, StepError};
use crate::worker::{Worked, Worker};

/// Closes studies whose quiet time has passed.
pub struct Closer {
    road: Road,
}

impl Closer {
    /// For this road.
    pub fn new(road: Road) -> Self {
        Closer { road }
    }

    async fn close_quiet_studies(&self) -> Result<(), StepError> {
        let quiet = self.road.settings.quiet_time;
        let before = self.road.now().checked_sub(quiet).unwrap_or(jiff::Timestamp::MIN);
        for (_, transfer) in self.road.custody.quiet_collections(before).await? {
            if let Some(row) = self.road.custody.transfer(transfer).await? {
                self.road.step_outbound(&row, OutboundEvent::Closed, Changes::default()).await?;
            }
        }
        Ok(())
    }
}

impl Worker for Closer {
    fn name(&self) -> &'static str {
        "close"
    }

    async fn work(&mut self) -> Worked {
        if let Err(error) = self.close_quiet_studies().await {
            error!(%error, "a quiet study could not be closed");
        }
        Worked::Idle
    }

    async fn wait(&mut self) {
        let look =
            (self.road.settings.quiet_time / 4).clamp(Duration::from_millis(250), Duration::from_secs(5));
        tokio::time::sleep(look).await;
    }
}
