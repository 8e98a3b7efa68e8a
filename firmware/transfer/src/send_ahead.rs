//! Send ahead: parts go up while the PACS is still sending.
//!
//! A study that was sent to an alias has its addressee before it is complete, and parts are immutable, so whole parts
//! of packs that are still growing can go to the portal at once. The addressee is told nothing: the transfer stays a
//! draft until its letter is committed ([`crate::send`]), which finds most parts there already. Nothing here decides
//! anything: whatever fails is sent later, and a draft that comes to nothing expires at the portal.

use std::time::Duration;

use beeldbox_custody::{OutboundState, StudyRow};
use beeldbox_protocol::envelope::letter::PART_LEN;
use futures_util::StreamExt;
use tokio::sync::watch;
use tracing::{debug, info};

use crate::address;
use crate::alias::{self, Alias};
use crate::line::Traveller;
use crate::road::Road;
use crate::send::{SendError, chain, draft_at_portal, draft_of, missing_at_portal, send_parts};
use crate::worker::{Worked, Worker};

/// Studies looked at together: more do not arrive at once.
const STUDIES: u32 = 100;

/// Pause between two looks while studies arrive.
const PAUSE: Duration = Duration::from_secs(1);

/// Pause after something did not work: the study goes by the ordinary way whatever happens here.
const PAUSE_AFTER_TROUBLE: Duration = Duration::from_secs(30);

/// Sends parts of studies that are still arriving.
pub struct SendAhead {
    road: Road,
    changes: watch::Receiver<u64>,
    pause: Duration,
}

impl SendAhead {
    /// For this road.
    pub fn new(road: Road) -> Self {
        let changes = road.custody.changes();
        SendAhead { road, changes, pause: PAUSE }
    }

    async fn look(&self) -> Result<(), SendError> {
        let studies = self.road.custody.studies(None, STUDIES).await?;
        for study in studies.iter().filter(|study| matches!(study.state, OutboundState::Collecting)) {
            // What a technician still has to confirm may go to somebody else.
            if let Some(alias) = alias::of_study(&self.road, study).filter(|alias| !alias.confirm) {
                self.send_whole_parts(study, alias).await?;
            }
            if self.road.stop.is_cancelled() {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn send_whole_parts(&self, study: &StudyRow, alias: &Alias) -> Result<(), SendError> {
        let road = &self.road;
        // Nothing of a study that a person must look at first, and nothing to a partner that nobody has met.
        let Ok((addressee, recipient)) = address::look_up(road, &alias.addressee) else { return Ok(()) };
        let known = road.custody.known_key(&addressee.ura, &address::endpoint_of(&addressee)).await?;
        let is_known = known.is_some_and(|key| key.key_id == recipient.key_id().to_string());
        if !is_known || crate::close::doubt(study).is_some() {
            return Ok(());
        }
        road.custody.make_parts(study.collection, PART_LEN).await?;
        let parts = road.custody.unsent_parts(study.transfer).await?;
        let Some(row) = road.custody.transfer(study.transfer).await? else { return Ok(()) };
        if parts.is_empty() {
            return Ok(());
        }
        let draft = draft_of(road, &row, &addressee.ura, &alias.addressee, alias.urgent);
        draft_at_portal(road, row.id, draft, false).await?;
        let missing = missing_at_portal(road, row.id, &parts).await?;
        let (to_send, there): (Vec<_>, Vec<_>) =
            parts.into_iter().partition(|part| missing.contains(&part.digest));
        for part in there {
            road.custody.mark_part_sent(row.id, part.pack, part.index, road.now()).await?;
        }
        let count = to_send.len();
        let traveller = Traveller { transfer: row.id, urgent: alias.urgent };
        let mut sending = std::pin::pin!(send_parts(road, traveller, to_send));
        while let Some(part) = sending.next().await {
            let part = part?;
            road.custody.mark_part_sent(row.id, part.pack, part.index, road.now()).await?;
        }
        info!(transfer = %row.id, parts = count, "parts sent ahead");
        Ok(())
    }
}

impl Worker for SendAhead {
    fn name(&self) -> &'static str {
        "send ahead"
    }

    async fn work(&mut self) -> Worked {
        self.pause = PAUSE;
        if !self.road.settings.aliases.is_empty()
            && let Err(error) = self.look().await
        {
            debug!(error = %chain(&error), "nothing sent ahead");
            self.pause = PAUSE_AFTER_TROUBLE;
        }
        Worked::Idle
    }

    async fn wait(&mut self) {
        tokio::time::sleep(self.pause).await;
        // An error says that custody is closing; the stop token follows.
        if self.changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
