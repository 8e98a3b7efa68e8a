//! The body of an upload: in small pieces, each when the bandwidth allows, and watched for progress.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::time::Instant;

use crate::line::Line;

/// One piece. Small enough that a low rate is even, large enough that a high one costs nothing.
const PIECE_LEN: usize = 64 * 1024;

/// Longest standstill: no piece taken, or no answer after the last. The kernel holds some megabytes on its own, which
/// a slow line needs this long for.
const STANDSTILL: Duration = Duration::from_secs(90);

/// When an upload last moved; nothing while it waits for bandwidth, which is no standstill.
#[derive(Clone)]
pub(crate) struct Progress(Arc<Mutex<Option<Instant>>>);

impl Progress {
    fn new() -> Self {
        Progress(Arc::new(Mutex::new(Some(Instant::now()))))
    }

    fn set(&self, moved: Option<Instant>) {
        *self.0.lock().expect("nobody panics while holding this lock") = moved;
    }

    fn moved(&self) -> Option<Instant> {
        *self.0.lock().expect("nobody panics while holding this lock")
    }

    /// Ends when the upload stood still for too long.
    ///
    /// # Cancellation
    /// May be dropped at any moment.
    pub(crate) async fn stands_still(&self) {
        loop {
            let since = self.moved();
            let until = since.unwrap_or_else(Instant::now) + STANDSTILL;
            tokio::time::sleep_until(until).await;
            if since.is_some() && self.moved() == since {
                return;
            }
        }
    }
}

/// The bytes as a body that keeps to the bandwidth of the line, and its progress.
pub(crate) fn body(
    bytes: Bytes,
    line: Arc<Line>,
    urgent: bool,
) -> (impl Stream<Item = Result<Bytes, std::convert::Infallible>> + Send + 'static, Progress) {
    let progress = Progress::new();
    let watched = progress.clone();
    let pieces = stream::unfold((bytes, line, watched), move |(mut left, line, watched)| async move {
        if left.is_empty() {
            return None;
        }
        let piece = left.split_to(left.len().min(PIECE_LEN));
        watched.set(None);
        line.pass(u32::try_from(piece.len()).unwrap_or(u32::MAX), urgent).await;
        watched.set(Some(Instant::now()));
        Some((Ok(piece), (left, line, watched)))
    });
    (pieces, progress)
}
