//! What every worker holds: custody, the portal, the keys of this box, clock and randomness, and the settings of the
//! two journeys. And the one way to take a step: ask the machine, then commit the move with all its effects.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use beeldbox_custody::{
    Changes, Custody, CustodyError, HoldReason, InboundState, OutboundState, OutboxMessage, State,
    TransferRow, WaitReason,
};
use beeldbox_dicom::PeerNode;
use beeldbox_protocol::envelope::jws::OrganisationSigner;
use beeldbox_protocol::envelope::recipient::RecipientIdentity;
use beeldbox_protocol::envelope::trust::TrustAnchors;
use beeldbox_protocol::ident::AeTitle;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::alias::Alias;
use crate::commitment::Claims;
use crate::deliver::acquaintance::Acquaintance;
use crate::directory::DirectoryCopy;
use crate::effect::{Effect, Verdict};
use crate::inbound::{self, InboundEvent};
use crate::on_the_way::OnTheWay;
use crate::outbound::{self, OutboundEvent};
use crate::portal_client::{Disposition, PortalClient, PortalError};
use crate::reconcile::matcher::Matches;
use crate::reconcile::rule::AcceptanceRule;
use crate::{Clock, Random, requested, worker};

/// Pause after a step that the machine or the ledger refused.
const STEP_FAILED_PAUSE: Duration = Duration::from_secs(30);

/// Settings of the two journeys. All have been validated.
#[derive(Debug, Clone)]
pub struct RoadSettings {
    /// Our AE title, as we call the PACS.
    pub ae_title: AeTitle,
    /// The local PACS.
    pub pacs: PeerNode,
    /// A study is closed after so long without a new instance.
    pub quiet_time: Duration,
    /// How long a sent or delivered study is kept before it is erased.
    pub keep_for: Duration,
    /// How long the choice of an addressee can be undone before anything leaves the box.
    pub undo_time: Duration,
    /// After how long people are reminded of what nobody collected or imported.
    pub remind_after: Duration,
    /// How long an addressee may collect a transfer.
    pub valid_for: Duration,
    /// Pause between two looks at the directory.
    pub directory_interval: Duration,
    /// AE titles of ours that stand for an addressee.
    pub aliases: Vec<Alias>,
    /// What is special about peers.
    pub peers: Vec<PeerSettings>,
    /// Name of this box, which coerced images carry.
    pub name: String,
    /// Who is asked for the hospital's patients (C-FIND): usually the PACS.
    pub query: Option<PeerNode>,
    /// Who knows which imports are scheduled (C-FIND, modality worklist).
    pub worklist: Option<PeerNode>,
    /// Who issues the patient numbers of this hospital, as its systems call it.
    pub patient_id_issuer: Option<String>,
    /// Rules under which a patient is accepted without a person.
    pub acceptance: Vec<AcceptanceRule>,
}

/// What we know of a peer beside what the DICOM node checks.
#[derive(Debug, Clone)]
pub struct PeerSettings {
    /// Its AE title.
    pub ae_title: AeTitle,
    /// Where it listens itself, for reports of storage commitment and for queries.
    pub node: Option<PeerNode>,
    /// Whether it counts its studies for us (C-FIND, study root).
    pub answers_queries: bool,
    /// Its own quiet time, if it has one.
    pub quiet_time: Option<Duration>,
    /// Most that it may have here, in bytes of data sets.
    pub quota_bytes: Option<u64>,
}

impl RoadSettings {
    /// What we know of a peer.
    pub fn peer(&self, ae_title: &AeTitle) -> Option<&PeerSettings> {
        self.peers.iter().find(|peer| peer.ae_title == *ae_title)
    }

    /// After how long without a new instance its studies are closed.
    pub fn quiet_time_of(&self, peer: Option<&PeerSettings>) -> Duration {
        peer.and_then(|peer| peer.quiet_time).unwrap_or(self.quiet_time)
    }
}

/// What is known of the portal or the PACS: when it last answered, and what was wrong at the last attempt.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// Last answer.
    pub last_answer_at: Option<Timestamp>,
    /// Last trouble, in words, if the last attempt failed.
    pub trouble: Option<String>,
}

/// What every worker holds. Cheap to clone.
#[derive(Clone)]
pub struct Road(Arc<RoadParts>);

/// The parts of a [`Road`].
pub struct RoadParts {
    /// Packs and ledger.
    pub custody: Custody,
    /// The portal.
    pub portal: PortalClient,
    /// The key of our organisation that signs letters, receipts and our recipient key.
    pub signer: OrganisationSigner,
    /// The key that opens letters to us.
    pub identity: RecipientIdentity,
    /// Keys that it took the place of; letters may still be on their way to them.
    pub previous_identities: Vec<RecipientIdentity>,
    /// Whom we believe.
    pub anchors: TrustAnchors,
    /// The time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
    /// Settings.
    pub settings: RoadSettings,
    /// The copy of the national directory.
    pub directory: DirectoryCopy,
    /// How the portal is.
    pub portal_health: RwLock<Health>,
    /// How the PACS is.
    pub pacs_health: RwLock<Health>,
    /// What is known of the PACS.
    pub acquaintance: Acquaintance,
    /// What goes to the PACS at this moment.
    pub on_the_way: OnTheWay,
    /// Studies that their senders believe complete.
    pub claims: Claims,
    /// Who may be meant by what is open.
    pub matches: Matches,
    /// Asked to stop.
    pub stop: CancellationToken,
}

impl std::ops::Deref for Road {
    type Target = RoadParts;

    fn deref(&self) -> &RoadParts {
        &self.0
    }
}

/// A step was not taken.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The machine does not allow it now.
    #[error(transparent)]
    NotNow(#[from] crate::effect::NotNow),
    /// Another move came first, or storage failed.
    #[error(transparent)]
    Custody(#[from] CustodyError),
}

/// Nobody would believe what we sign.
#[derive(Debug, thiserror::Error)]
#[error("the signing certificate of this organisation has expired")]
pub struct SigningCertificateExpired;

impl Road {
    /// Puts the parts together.
    pub fn new(parts: RoadParts) -> Self {
        Road(Arc::new(parts))
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// A moment so much earlier than now.
    pub fn before(&self, span: Duration) -> Timestamp {
        SignedDuration::try_from(span)
            .ok()
            .and_then(|span| self.now().checked_sub(span).ok())
            .unwrap_or(Timestamp::MIN)
    }

    /// Fresh random bytes.
    pub fn random_bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes).expect("the random source of the box works");
        bytes
    }

    /// Whether others would believe what we sign now. Asked before a letter or a receipt is signed: what was sent under
    /// an expired certificate would be held at the other side, where nobody can renew it.
    ///
    /// # Errors
    /// If our signing certificate has expired.
    pub fn check_signer(&self) -> Result<(), SigningCertificateExpired> {
        if self.now() > self.signer.not_after() { Err(SigningCertificateExpired) } else { Ok(()) }
    }

    /// Takes a step of an outbound transfer. Gives the new state, or nothing if the event brought nothing new.
    ///
    /// # Durability
    /// The move and its effects are committed together when this returns.
    ///
    /// # Errors
    /// If the machine does not allow it, another move came first, or storage failed.
    pub async fn step_outbound(
        &self,
        row: &TransferRow,
        event: OutboundEvent,
        changes: Changes,
    ) -> Result<Option<OutboundState>, StepError> {
        let State::Outbound(from) = &row.state else { return Err(crate::effect::NotNow.into()) };
        let now = self.now();
        match outbound::step(from, event, now)? {
            Verdict::Stay => Ok(None),
            Verdict::Move(to, effects) => {
                let mut changes = self.with_effects(row, &effects, changes, Vec::new(), now);
                if matches!(to, OutboundState::Accepted { .. }) {
                    changes = requested::with_answer(self, row, changes).await?;
                }
                self.custody
                    .advance(row.id, row.state.clone(), State::Outbound(to.clone()), changes, now)
                    .await?;
                tell_move(row, from.kind().as_str(), to.kind().as_str(), "outbound");
                Ok(Some(to))
            }
        }
    }

    /// Takes a step of an inbound transfer; `tell` is what the move tells the portal, if it tells anything. Otherwise as [`Road::step_outbound`].
    ///
    /// # Errors
    /// As [`Road::step_outbound`].
    pub async fn step_inbound(
        &self,
        row: &TransferRow,
        event: InboundEvent,
        changes: Changes,
        tell: Vec<u8>,
    ) -> Result<Option<InboundState>, StepError> {
        let State::Inbound(from) = &row.state else { return Err(crate::effect::NotNow.into()) };
        let now = self.now();
        match inbound::step(from, event, now)? {
            Verdict::Stay => Ok(None),
            Verdict::Move(to, effects) => {
                let changes = self.with_effects(row, &effects, changes, tell, now);
                self.custody
                    .advance(row.id, row.state.clone(), State::Inbound(to.clone()), changes, now)
                    .await?;
                tell_move(row, from.kind().as_str(), to.kind().as_str(), "inbound");
                Ok(Some(to))
            }
        }
    }

    fn with_effects(
        &self,
        row: &TransferRow,
        effects: &[Effect],
        mut changes: Changes,
        tell: Vec<u8>,
        now: Timestamp,
    ) -> Changes {
        for effect in effects {
            match effect {
                Effect::WorkAt(at) => changes.due_at = Some(*at),
                Effect::LookAgain => {}
                Effect::EraseNow => changes.due_at = Some(now),
                Effect::EraseAfterKeeping => changes.due_at = Some(after(now, self.settings.keep_for)),
                Effect::Tell(telling) => changes.outbox.push(OutboxMessage {
                    kind: telling.as_str().to_owned(),
                    transfer: Some(row.id),
                    payload: tell.clone(),
                    due_at: now,
                }),
            }
        }
        changes
    }

    /// Lets a transfer wait for what may get better by itself, or holds it for a person.
    pub async fn wait_or_hold(&self, row: &TransferRow, disposition: Disposition) {
        // Work on it may have made progress, which a hold must not take back and which starts the attempts anew.
        let newest = match self.custody.transfer(row.id).await {
            Ok(newest) => newest,
            Err(error) => return self.step_failed(row, &error.into()).await,
        };
        let kind = row.state.kind();
        let Some(row) = newest.filter(|newest| newest.state.kind() == kind) else {
            return info!(transfer = %row.id, "another move came first");
        };
        let row = &row;
        let result = match disposition {
            Disposition::Retry(reason, pause) => {
                let [jitter] = self.random_bytes::<1>();
                let pause = pause.unwrap_or_else(|| worker::backoff(row.attempts, jitter));
                info!(transfer = %row.id, reason = reason.as_str(), pause_secs = pause.as_secs(), "transfer waits");
                self.custody
                    .set_waiting(row.id, kind, reason, None, after(self.now(), pause), self.now())
                    .await
                    .map_err(StepError::from)
            }
            Disposition::Hold(reason) => self.hold(row, reason).await,
        };
        if let Err(error) = result {
            self.step_failed(row, &error).await;
        }
    }

    /// Holds a transfer until a person looks.
    ///
    /// # Errors
    /// As [`Road::step_outbound`].
    pub async fn hold(&self, row: &TransferRow, reason: HoldReason) -> Result<(), StepError> {
        warn!(transfer = %row.id, reason = reason.as_str(), "transfer held: a person must look");
        match &row.state {
            State::Outbound(_) => {
                self.step_outbound(row, OutboundEvent::MustHold(reason), Changes::default()).await.map(drop)
            }
            State::Inbound(_) => self
                .step_inbound(row, InboundEvent::MustHold(reason), Changes::default(), Vec::new())
                .await
                .map(drop),
        }
    }

    /// A step that did not happen: another move came first (harmless, the ledger is looked at again), or storage failed
    /// (the daemon ends and recovers).
    pub async fn step_failed(&self, row: &TransferRow, failure: &StepError) {
        match failure {
            StepError::Custody(CustodyError::Stale) => {
                return info!(transfer = %row.id, "another move came first");
            }
            StepError::NotNow(_) => info!(transfer = %row.id, "this step is not possible now"),
            StepError::Custody(error) => error!(transfer = %row.id, %error, "the ledger did not take a move"),
        }
        // Otherwise it would be due again at once, for ever.
        let later = after(self.now(), STEP_FAILED_PAUSE);
        if let Err(error) = self.set_due(row, Some(later)).await {
            error!(transfer = %row.id, %error, "the ledger cannot postpone a transfer");
        }
    }

    /// Schedules a transfer. One that has left this state meanwhile is left alone: its move said when it is due.
    ///
    /// # Errors
    /// If it was not committed.
    pub async fn set_due(&self, row: &TransferRow, due_at: Option<Timestamp>) -> Result<(), CustodyError> {
        match self.custody.set_due(row.id, row.state.kind(), due_at).await {
            Ok(()) | Err(CustodyError::Stale) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Notes how the portal answered, for the status page.
    pub fn note_portal<T>(&self, result: &Result<T, PortalError>) {
        note(&self.portal_health, self.now(), result);
    }

    /// Notes how the PACS answered, for the status page.
    pub fn note_pacs<T, E: std::error::Error>(&self, result: &Result<T, E>) {
        note(&self.pacs_health, self.now(), result);
    }
}

fn note<T, E: std::error::Error>(health: &RwLock<Health>, now: Timestamp, result: &Result<T, E>) {
    let mut health = health.write().expect("nobody panics while holding this lock");
    match result {
        Ok(_) => *health = Health { last_answer_at: Some(now), trouble: None },
        Err(error) => health.trouble = Some(error.to_string()),
    }
}

/// Progress within a state is for developers; a move is news.
fn tell_move(row: &TransferRow, from: &str, to: &str, direction: &str) {
    if from == to {
        debug!(transfer = %row.id, direction, state = to, "progress");
    } else {
        info!(transfer = %row.id, direction, from, to, "transfer moved");
    }
}

/// A moment so much later; far beyond any clock it is the end of time.
pub fn after(now: Timestamp, pause: Duration) -> Timestamp {
    SignedDuration::try_from(pause)
        .ok()
        .and_then(|pause| now.checked_add(pause).ok())
        .unwrap_or(Timestamp::MAX)
}

/// What a transfer that stands still for this reason waits for, as a retry without a set pause.
pub fn retry(reason: WaitReason) -> Disposition {
    Disposition::Retry(reason, None)
}
