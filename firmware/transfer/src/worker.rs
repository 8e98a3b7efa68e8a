//! The shape that all workers share: one unit of work, then wait for more.
//!
//! *work* does one unit and is allowed to finish; *wait* may be dropped at any moment and changes nothing. A worker is
//! asked to stop between units, and long units look at the same token between their pieces. Whatever it leaves undone
//! stands in the ledger and is taken up after the next start.

use std::future::Future;
use std::time::Duration;

use beeldbox_custody::{Custody, TransferRow};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, error, info_span};

use crate::Clock;

/// Longest sleep of a worker whose work comes by time: clocks are set, and a woken machine must not wait for long.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// Pause while another worker is busy with what is due.
const OTHERS_WORK: Duration = Duration::from_secs(1);

/// Pause after a change of the ledger, so that a burst of commits is looked at once.
const GATHER: Duration = Duration::from_millis(25);

/// Transfers looked at together; each worker takes the first that is its own.
const DUE_AT_ONCE: u32 = 200;

/// What a unit of work came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worked {
    /// There may be more at once.
    More,
    /// There is nothing to do now.
    Idle,
}

/// A background activity.
pub trait Worker: Send + 'static {
    /// Its name in the log.
    fn name(&self) -> &'static str;

    /// Does one unit. Errors are handled inside: they become states, never silence.
    fn work(&mut self) -> impl Future<Output = Worked> + Send;

    /// Waits until there may be work.
    ///
    /// # Cancellation
    /// May be dropped at any moment.
    fn wait(&mut self) -> impl Future<Output = ()> + Send;

    /// Lets what was started come to its end, after the stop was asked for.
    fn finish(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// Runs a worker until it is asked to stop.
pub fn spawn<W: Worker>(mut worker: W, stop: CancellationToken) -> JoinHandle<()> {
    let span = info_span!("worker", name = worker.name());
    tokio::spawn(
        async move {
            while !stop.is_cancelled() {
                if worker.work().await == Worked::Idle {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = worker.wait() => {}
                    }
                }
            }
            worker.finish().await;
            debug!("stopped");
        }
        .instrument(span),
    )
}

/// What is due now, most urgent first. A ledger that cannot be asked has nothing due: it says so, and the daemon ends
/// if its storage is in doubt.
pub async fn due_now(custody: &Custody, clock: &Clock) -> Vec<TransferRow> {
    match custody.due(clock(), DUE_AT_ONCE).await {
        Ok(due) => due,
        Err(error) => {
            error!(%error, "the ledger cannot be asked what is due");
            Vec::new()
        }
    }
}

/// Waits until the ledger changed, or the next due time came.
///
/// # Cancellation
/// May be dropped at any moment.
pub async fn until_due(custody: &Custody, clock: &Clock, changes: &mut tokio::sync::watch::Receiver<u64>) {
    let next = custody.next_due().await.ok().flatten();
    let sleep = match next.map(|at| Duration::try_from(at.duration_since(clock()))) {
        // What is due now and was left by this worker is another's: it must not spin on it.
        Some(Err(_) | Ok(Duration::ZERO)) => OTHERS_WORK,
        Some(Ok(sleep)) => sleep.min(LONGEST_SLEEP),
        None => LONGEST_SLEEP,
    };
    tokio::select! {
        () = tokio::time::sleep(sleep) => {}
        changed = changes.changed() => match changed {
            // Intake commits hundreds of times a second: one look serves many of them.
            Ok(()) => tokio::time::sleep(GATHER).await,
            // Custody is closing; the stop token follows.
            Err(_) => tokio::time::sleep(LONGEST_SLEEP).await,
        },
    }
}

/// The pause before the next attempt: doubling from two seconds to ten minutes, with up to a quarter of jitter so that
/// the boxes of a country do not return all at once after an outage. `random` is a fresh random byte.
pub fn backoff(attempts: u32, random: u8) -> Duration {
    let base = Duration::from_secs(2).saturating_mul(1 << attempts.min(9)).min(Duration::from_secs(600));
    base + base.mul_f64(f64::from(random) / 255.0 / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_grows_and_is_bounded() {
        assert_eq!(backoff(0, 0), Duration::from_secs(2));
        assert_eq!(backoff(3, 0), Duration::from_secs(16));
        assert_eq!(backoff(40, 0), Duration::from_secs(600));
        assert_eq!(backoff(40, 255), Duration::from_secs(750));
        assert!((0..40).all(|n| backoff(n, 0) <= backoff(n + 1, 0)));
    }
}
