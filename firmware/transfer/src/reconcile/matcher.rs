//! Looks up who may be meant as soon as a transfer is open, so that the inbox says it before anybody asks, and lets the
//! hospital's rules accept what they may accept.
//!
//! What was found is kept in memory only, as one word: it is looked up again after a restart, and a decision always looks
//! anew. A system that does not answer is asked again after a while; so is everybody else, because patients get registered.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use beeldbox_custody::{InboundKind, Kind, TransferRow};
use beeldbox_protocol::admin::{MatchCode, PatientSearch, VerdictCode};
use beeldbox_protocol::ident::TransferId;
use jiff::Timestamp;
use tokio::sync::watch;
use tracing::{debug, error, info, warn};

use super::candidates::{Candidates, candidates};
use super::confirm::{Deciding, PatientConfirmed};
use super::gather::Outcome;
use super::page::verdict_code;
use super::rule::Arrived;
use crate::road::{Road, after};
use crate::worker::{Worked, Worker};

/// After so long somebody who was not found, or not ready, is looked up again.
const LOOK_AGAIN: Duration = Duration::from_secs(30 * 60);
/// After so long a system that did not answer is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(120);
/// Open transfers that are looked at in one round: the inbox of the largest hospital is far smaller.
const MOST_OPEN: u32 = 2_000;
/// Pause after a change of the ledger, so that many are looked at together.
const GATHER: Duration = Duration::from_millis(500);
/// Pause between two rounds when nothing changes.
const ROUND: Duration = Duration::from_secs(60);

/// Who may be meant by what is open, as one word for each transfer.
#[derive(Debug, Default)]
pub struct Matches(Mutex<HashMap<TransferId, Match>>);

#[derive(Debug, Clone, Copy)]
struct Match {
    code: MatchCode,
    look_again_at: Timestamp,
}

impl Matches {
    /// What was found for this transfer; nothing if it was not looked at yet.
    pub fn of(&self, transfer: &TransferId) -> Option<MatchCode> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(transfer).map(|found| found.code)
    }

    /// Looks again soon: somebody says that something has changed.
    pub fn forget(&self, transfer: &TransferId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(transfer);
    }

    fn note(&self, transfer: TransferId, code: MatchCode, look_again_at: Timestamp) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(transfer, Match { code, look_again_at });
    }

    /// Drops what is not open any more, and says which of the open ones are to be looked at.
    fn due<'a>(&self, open: &'a [TransferRow], now: Timestamp) -> Option<&'a TransferRow> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|transfer, _| open.iter().any(|row| row.id == *transfer));
        open.iter().find(|row| all.get(&row.id).is_none_or(|found| found.look_again_at <= now))
    }
}

/// Looks up who may be meant.
pub struct Matcher {
    road: Road,
    changes: watch::Receiver<u64>,
}

impl Matcher {
    /// For this road.
    pub fn new(road: Road) -> Self {
        let changes = road.custody.work();
        Matcher { road, changes }
    }

    async fn look(&self, row: &TransferRow) {
        let found = match candidates(&self.road, row, &PatientSearch::default()).await {
            Ok(found) => found,
            Err(error) => {
                error!(transfer = %row.id, %error, "whose images these are cannot be looked up");
                let again = after(self.road.now(), LOOK_AGAIN);
                return self.road.matches.note(row.id, MatchCode::NotHeard, again);
            }
        };
        let code = code_of(&found);
        let pause = if code == MatchCode::NotHeard { ASK_AGAIN } else { LOOK_AGAIN };
        self.road.matches.note(row.id, code, after(self.road.now(), pause));
        info!(transfer = %row.id, candidates = found.judgements.len(), "looked up who may be meant");
        self.apply_rules(row, &found).await;
    }

    async fn apply_rules(&self, row: &TransferRow, found: &Candidates) {
        let Some(sender) = &row.sender else { return };
        let now = self.road.now();
        for rule in self.road.settings.acceptance.iter().filter(|rule| *rule.sender() == sender.ura) {
            let arrived = Arrived { transfer: row.id, sender: &sender.ura, patient: &found.incoming };
            let accepted = match rule.accept(arrived, &found.gathered, now) {
                Ok(accepted) => accepted,
                Err(why) => {
                    debug!(transfer = %row.id, %why, "a rule does not accept");
                    continue;
                }
            };
            let deciding = Deciding { row, by: "", system: &self.road.settings.name, now };
            let confirmed = match PatientConfirmed::by_rule(deciding, &accepted, found) {
                Ok(confirmed) => confirmed,
                Err(error) => {
                    warn!(transfer = %row.id, %error, "a rule accepted a patient who cannot be put into the images");
                    continue;
                }
            };
            match super::import(&self.road, row, confirmed).await {
                Ok(()) => info!(transfer = %row.id, "a rule confirmed the patient"),
                Err(error) => self.road.step_failed(row, &error).await,
            }
            return;
        }
    }
}

/// The best of the verdicts, or why there is none.
fn code_of(found: &Candidates) -> MatchCode {
    let best = found.judgements.iter().map(|judgement| verdict_code(&judgement.verdict)).min();
    let outcomes = found.gathered.outcomes();
    let is_unheard = outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::DidNotAnswer));
    let is_asked = outcomes.iter().any(|(_, outcome)| !matches!(outcome, Outcome::NotAsked));
    match best {
        Some(VerdictCode::Ready) if is_unheard => MatchCode::Check,
        Some(VerdictCode::Ready) => MatchCode::Ready,
        Some(VerdictCode::Check) => MatchCode::Check,
        Some(VerdictCode::Stop) => MatchCode::Stop,
        None if is_unheard => MatchCode::NotHeard,
        None if is_asked => MatchCode::NotFound,
        None => MatchCode::NotAsked,
    }
}

impl Worker for Matcher {
    fn name(&self) -> &'static str {
        "match"
    }

    async fn work(&mut self) -> Worked {
        let kind = Kind::Inbound(InboundKind::Opened);
        let open = match self.road.custody.in_state(kind, MOST_OPEN).await {
            Ok(open) => open,
            Err(error) => {
                error!(%error, "the ledger cannot say what is open");
                return Worked::Idle;
            }
        };
        let Some(row) = self.road.matches.due(&open, self.road.now()) else { return Worked::Idle };
        self.look(row).await;
        Worked::More
    }

    async fn wait(&mut self) {
        tokio::select! {
            // Intake commits hundreds of times a second, and nobody looks at the inbox so often.
            _ = self.changes.changed() => tokio::time::sleep(GATHER).await,
            () = tokio::time::sleep(ROUND) => {}
        }
    }
}
