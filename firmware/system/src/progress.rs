//! Whether everybody who works still makes progress. Only then is systemd's watchdog fed: a daemon whose deliverer hangs
//! looks alive from outside, and a hospital would wait for images in vain.
//!
//! Each worker gets a [`Pulse`] and beats it whenever a unit of work begins or ends, and while it waits. Who has not beaten
//! for longer than its own patience is late. The patience is the worker's, because an upload over a narrow line is slow
//! and not stuck.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Everybody whose progress counts.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    beats: Arc<Mutex<Vec<Beat>>>,
}

#[derive(Debug)]
struct Beat {
    name: &'static str,
    patience: Duration,
    last: Instant,
    is_gone: bool,
}

/// One worker's sign of life. When it is dropped the worker has ended, and is not missed.
#[derive(Debug)]
pub struct Pulse {
    beats: Arc<Mutex<Vec<Beat>>>,
    place: usize,
}

impl Progress {
    /// A sign of life for one more worker. `patience` is how long it may be silent; it begins now.
    pub fn pulse(&self, name: &'static str, patience: Duration, now: Instant) -> Pulse {
        let mut beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        beats.push(Beat { name, patience, last: now, is_gone: false });
        Pulse { beats: Arc::clone(&self.beats), place: beats.len() - 1 }
    }

    /// Who has been silent for longer than its patience.
    pub fn late(&self, now: Instant) -> Vec<&'static str> {
        let beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        let is_late =
            |beat: &&Beat| !beat.is_gone && now.saturating_duration_since(beat.last) > beat.patience;
        beats.iter().filter(is_late).map(|beat| beat.name).collect()
    }
}

impl Pulse {
    /// It still makes progress.
    pub fn beat(&self, now: Instant) {
        self.change(|beat| beat.last = now);
    }

    fn change(&self, how: impl FnOnce(&mut Beat)) {
        let mut beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(beat) = beats.get_mut(self.place) {
            how(beat);
        }
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.change(|beat| beat.is_gone = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn who_beats_is_never_late() {
        let (progress, start) = (Progress::default(), Instant::now());
        let pulse = progress.pulse("sender", MINUTE, start);
        for minutes in 1..10 {
            assert_eq!(progress.late(start + MINUTE * minutes), Vec::<&str>::new());
            pulse.beat(start + MINUTE * minutes);
        }
    }

    #[test]
    fn only_the_silent_one_is_named() {
        let (progress, start) = (Progress::default(), Instant::now());
        let sender = progress.pulse("sender", MINUTE, start);
        let _stuck = progress.pulse("deliverer", MINUTE, start);
        let _patient = progress.pulse("eraser", MINUTE * 10, start);
        let later = start + MINUTE * 2;
        sender.beat(later);
        assert_eq!(progress.late(later), ["deliverer"]);
    }

    #[test]
    fn who_has_ended_is_not_missed() {
        let (progress, start) = (Progress::default(), Instant::now());
        drop(progress.pulse("sender", MINUTE, start));
        assert_eq!(progress.late(start + MINUTE * 2), Vec::<&str>::new());
    }

    #[test]
    fn a_beat_from_before_changes_nothing_for_the_others() {
        let (progress, start) = (Progress::default(), Instant::now());
        let first = progress.pulse("a", MINUTE, start);
        let second = progress.pulse("b", MINUTE, start);
        drop(first);
        second.beat(start + MINUTE);
        assert_eq!(progress.late(start + MINUTE * 2), Vec::<&str>::new());
        assert_eq!(progress.late(start + MINUTE * 2 + Duration::from_secs(1)), ["b"]);
    }
}
