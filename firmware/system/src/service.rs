//! What systemd is told: ready, how we are, that we still live, that we stop. Without systemd all of it is silent.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use tracing::{error, warn};

use crate::progress::Progress;

/// Everything listens: dependent units may start.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// We were asked to stop and are doing so.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// We still live.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// We still live, if everybody still makes progress. Otherwise nothing is told, so that systemd, which waits for it, ends
/// and starts us; the log says who was late.
pub fn alive_if_moving(progress: &Progress, now: Instant) {
    match progress.late(now).as_slice() {
        [] => alive(),
        late => error!(?late, "no progress; the watchdog is not fed"),
    }
}

/// How often systemd wants to hear [`alive`]: half of what the unit allows. `None` if it does not ask.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|allowed| allowed / 2)
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "systemd was not told");
    }
}
