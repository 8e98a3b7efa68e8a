//! What systemd is told: ready, how we are, that we still live, that we stop. Without systemd all of it is silent.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;

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

/// How often systemd wants to hear [`alive`]: half of what the unit allows. `None` if it does not ask.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|allowed| allowed / 2)
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "systemd was not told");
    }
}
