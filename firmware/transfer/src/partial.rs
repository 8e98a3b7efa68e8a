//! Parts of which some bytes have come when the line broke. They stay in memory for a while, so that the next attempt
//! asks for the rest only. Never believed: the digest of the whole is compared at the end.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use beeldbox_protocol::ident::{Digest, TransferId};
use bytes::BytesMut;
use tokio::time::Instant;

use crate::parallel::MOST;

/// After so long the attempt is given up: a line that is down for longer costs a part more, not memory for ever.
const KEPT_FOR: Duration = Duration::from_secs(15 * 60);

/// Broken parts by transfer and digest. Bounded: as many as can be under way.
#[derive(Default)]
pub(crate) struct Partials(Mutex<HashMap<(TransferId, Digest), Partial>>);

struct Partial {
    bytes: BytesMut,
    since: Instant,
}

impl Partials {
    fn lock(&self) -> MutexGuard<'_, HashMap<(TransferId, Digest), Partial>> {
        self.0.lock().expect("nobody panics while holding this lock")
    }

    /// What has come of a part. It is no longer kept here then.
    pub(crate) fn take(&self, transfer: TransferId, digest: Digest) -> Option<BytesMut> {
        self.lock().remove(&(transfer, digest)).map(|partial| partial.bytes)
    }

    /// How much has come of a part.
    pub(crate) fn begun(&self, transfer: TransferId, digest: Digest) -> usize {
        self.lock().get(&(transfer, digest)).map_or(0, |partial| partial.bytes.len())
    }

    /// Keeps what has come of a part.
    pub(crate) fn keep(&self, transfer: TransferId, digest: Digest, bytes: BytesMut, now: Instant) {
        let mut kept = self.lock();
        if kept.len() >= MOST as usize
            && let Some(oldest) = kept.iter().min_by_key(|(_, partial)| partial.since).map(|(key, _)| *key)
        {
            kept.remove(&oldest);
        }
        kept.insert((transfer, digest), Partial { bytes, since: now });
    }

    /// Gives up what has been kept for too long.
    pub(crate) fn forget_old(&self, now: Instant) {
        self.lock().retain(|_, partial| now.duration_since(partial.since) < KEPT_FOR);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_kept_and_not_for_ever() {
        let partials = Partials::default();
        let (transfer, start) = (TransferId::from_random([1; 16]), Instant::now());
        let at = |seconds: u32| start + Duration::from_secs(seconds.into());
        for number in 0..=MOST {
            let (digest, bytes) = (Digest::of(&number.to_be_bytes()), BytesMut::from(&b"some"[..]));
            partials.keep(transfer, digest, bytes, at(number));
        }
        assert!(partials.take(transfer, Digest::of(&0_u32.to_be_bytes())).is_none(), "the oldest went");
        assert!(partials.take(transfer, Digest::of(&1_u32.to_be_bytes())).is_some());
        partials.forget_old(at(2) + KEPT_FOR);
        assert_eq!(partials.lock().len(), MOST as usize - 2, "the second is too old now");
        partials.forget_old(at(MOST) + KEPT_FOR);
        assert!(partials.lock().is_empty());
    }
}
