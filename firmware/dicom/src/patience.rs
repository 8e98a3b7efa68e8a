//! How long we wait for a peer: timers, absolute deadlines, and the least rate inside a message.
//!
//! Silence alone is a poor measure: a peer that sends one byte a minute is never silent. So a control PDU must be complete
//! within ARTIM however it drips, and a message in progress must bring a least number of bytes in every window of the
//! progress timer. Only time spent waiting counts: what our own disk takes is not the peer's fault. PS3.8 §9.1.5.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::pdu::WireError;

/// How long an association may stay silent once the node is stopping.
const SILENCE_WHILE_STOPPING: Duration = Duration::from_secs(2);

/// How far a node is with stopping. Associations watch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Normal work.
    Running,
    /// No new associations; running ones may finish.
    Stopping,
    /// The deadline has passed: abort.
    Cut,
}

/// Which timer runs while we wait for the first byte of the next PDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Between messages.
    Idle,
    /// Inside a message.
    Progress,
    /// For an answer.
    Response,
}

/// The timers of one association.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timers {
    pub(crate) artim: Duration,
    pub(crate) idle: Duration,
    pub(crate) progress: Duration,
    pub(crate) response: Duration,
    /// Bytes per second that a message must bring, over one `progress`. 0: any.
    pub(crate) least_rate: u32,
}

impl Timers {
    /// Bytes that every window of the progress timer must bring.
    fn least_bytes(&self) -> u64 {
        let window = u64::try_from(self.progress.as_millis()).unwrap_or(u64::MAX);
        u64::from(self.least_rate).saturating_mul(window) / 1000
    }
}

/// What the peer has used up of our patience.
#[derive(Debug)]
pub(crate) struct Patience {
    timers: Timers,
    phase: Option<watch::Receiver<Phase>>,
    /// When whatever is in progress must be over, however fast it drips.
    deadline: Option<Instant>,
    /// Time spent waiting, and bytes that came, in the current window of the progress timer.
    waited: Duration,
    bytes: u64,
}

impl Patience {
    pub(crate) fn new(timers: Timers, phase: Option<watch::Receiver<Phase>>) -> Self {
        Patience { timers, phase, deadline: None, waited: Duration::ZERO, bytes: 0 }
    }

    pub(crate) fn timers(&self) -> &Timers {
        &self.timers
    }

    /// Starts ARTIM.
    pub(crate) fn start_artim(&mut self) {
        self.deadline = Some(Instant::now() + self.timers.artim);
    }

    /// Starts ARTIM if nothing runs already: bytes that drip do not start it again.
    pub(crate) fn keep_artim(&mut self) {
        if self.deadline.is_none() {
            self.start_artim();
        }
    }

    /// Stops it.
    pub(crate) fn stop_artim(&mut self) {
        self.deadline = None;
    }

    /// A new message may begin: old debts are forgotten.
    pub(crate) fn begin_message(&mut self) {
        self.waited = Duration::ZERO;
        self.bytes = 0;
    }

    /// Bytes came after so long a wait.
    pub(crate) fn received(&mut self, count: usize, waited: Duration) {
        self.bytes = self.bytes.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        self.waited = self.waited.saturating_add(waited);
        if self.waited >= self.timers.progress && self.bytes >= self.timers.least_bytes() {
            self.begin_message();
        }
    }

    /// Returns when patience is at its end, with the reason.
    pub(crate) async fn run_out(&mut self, wait: Wait) -> WireError {
        let deadline = self.deadline;
        let timers = self.timers;
        let (waited, bytes) = (self.waited, self.bytes);
        let timer = async {
            match wait {
                Wait::Idle => sleep(timers.idle).await,
                Wait::Response => sleep(timers.response).await,
                Wait::Progress => return in_progress(&timers, waited, bytes).await,
            }
            WireError::Silent
        };
        let at_latest = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            reason = timer => reason,
            () = at_latest => WireError::TooSlow,
            () = told_to_stop(self.phase.as_mut(), wait) => WireError::Stopping,
        }
    }

    /// Whether the node is stopping.
    pub(crate) fn is_stopping(&self) -> bool {
        self.phase.as_ref().is_some_and(|phase| *phase.borrow() > Phase::Running)
    }
}

/// Waits until the silence is too long or the window of the least rate ends with too little.
async fn in_progress(timers: &Timers, waited: Duration, bytes: u64) -> WireError {
    let began = Instant::now();
    let silence = began + timers.progress;
    let window = began + timers.progress.saturating_sub(waited);
    if bytes < timers.least_bytes() {
        sleep_until(window).await;
        return if bytes == 0 { WireError::Silent } else { WireError::TooSlow };
    }
    sleep_until(silence).await;
    WireError::Silent
}

/// Returns when this association must stop waiting because the node stops.
async fn told_to_stop(phase: Option<&mut watch::Receiver<Phase>>, wait: Wait) {
    let Some(phase) = phase else { return std::future::pending().await };
    let awaited = match wait {
        Wait::Idle => Phase::Stopping,
        Wait::Progress | Wait::Response => Phase::Cut,
    };
    // A sender that is gone has nothing more to say; the timers still run.
    if phase.wait_for(|now| *now >= awaited).await.is_err() {
        return std::future::pending().await;
    }
    if awaited == Phase::Stopping {
        sleep(SILENCE_WHILE_STOPPING).await;
    }
}
