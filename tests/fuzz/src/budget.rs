//! What one input may cost: memory that lives at the same time, and processor time.
//!
//! Memory is counted by the allocator of the process. Above the limit an allocation fails, which ends the process with
//! the input kept. Time is that of the processor and not of the clock, so that a busy machine accuses nobody; the
//! clock's limit, against a reader that waits for ever, is the runner's.

use std::alloc::System;
use std::cell::Cell;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use cap::Cap;

/// Bytes that may live at the same time for one input, whatever it says, beside what lived before.
pub const MOST_BYTES: usize = 32 * 1024 * 1024;

/// Processor time for one input.
pub const MOST_TIME: Duration = Duration::from_secs(1);

/// How long a measurement of the processor time is used before it is taken anew.
const MEASURED_EVERY: Duration = Duration::from_millis(100);

/// Kernel ticks in a second, as `/proc` counts them (`USER_HZ`, the same on every architecture we build for).
const TICKS: u64 = 100;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// How much a reader may allocate for what it received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowance {
    /// Four times what was received and 1 MiB: the reader of a stream.
    FourTimes,
    /// [`MOST_BYTES`]: what is read becomes structures, and a short text may name many.
    Fixed,
}

impl Allowance {
    fn bytes(self, received: usize) -> usize {
        match self {
            Allowance::FourTimes => received.saturating_mul(4).saturating_add(1024 * 1024).min(MOST_BYTES),
            Allowance::Fixed => MOST_BYTES,
        }
    }
}

thread_local! {
    /// Whether this thread is inside [`within`] already.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Runs a reader that received so many bytes. Memory beyond the allowance ends the process. There is one limit for the
/// process, so that other threads wait for their turn.
///
/// # Panics
/// If the allowance cannot be set.
pub fn within<T>(allowance: Allowance, received: usize, reader: impl FnOnce() -> T) -> T {
    static TURN: Mutex<()> = Mutex::new(());
    let is_outermost = !INSIDE.replace(true);
    let turn = is_outermost.then(|| TURN.lock().unwrap_or_else(PoisonError::into_inner));
    let before = ALLOCATOR.limit();
    let limit = ALLOCATOR.allocated().saturating_add(allowance.bytes(received)).min(before);
    ALLOCATOR.set_limit(limit).expect("the limit is above what lives");
    let result = reader();
    ALLOCATOR.set_limit(before).expect("the old limit is above what lives");
    if is_outermost {
        INSIDE.set(false);
    }
    drop(turn);
    result
}

/// Runs a target on one input under [`MOST_BYTES`] and [`MOST_TIME`].
///
/// # Panics
/// If the input took longer.
pub fn one_input(run: impl FnOnce()) {
    static MEASURED: Mutex<Option<Measured>> = Mutex::new(None);
    let began = Instant::now();
    let spent_before = {
        let mut measured = MEASURED.lock().expect("nobody panics with the lock");
        match &*measured {
            Some(last) if began.duration_since(last.at) < MEASURED_EVERY => last.spent,
            Some(_) | None => {
                let spent = processor_time();
                *measured = Some(Measured { at: began, spent });
                spent
            }
        }
    };
    within(Allowance::Fixed, 0, run);
    if began.elapsed() > MOST_TIME {
        let spent = processor_time().saturating_sub(spent_before);
        assert!(spent <= MOST_TIME + MEASURED_EVERY, "one input took {spent:?} of processor time");
    }
}

struct Measured {
    at: Instant,
    spent: Duration,
}

/// Processor time of this process, in user and kernel mode (proc(5), `/proc/self/stat`, fields 14 and 15).
fn processor_time() -> Duration {
    let mut text = [0; 1024];
    let length = File::open("/proc/self/stat")
        .and_then(|file| file.read_at(&mut text, 0))
        .expect("the kernel tells the processor time");
    let text = String::from_utf8_lossy(&text[..length]);
    // The name of the program comes second, in brackets, and may hold anything.
    let after_name = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks: u64 = after_name
        .split(' ')
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().expect("a number of ticks"))
        .sum();
    Duration::from_millis(ticks * 1000 / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allowance_follows_what_was_received_and_ends_at_the_limit() {
        assert_eq!(Allowance::FourTimes.bytes(0), 1024 * 1024);
        assert_eq!(Allowance::FourTimes.bytes(1024 * 1024), 5 * 1024 * 1024);
        assert_eq!(Allowance::FourTimes.bytes(usize::MAX), MOST_BYTES);
    }

    #[test]
    fn memory_beyond_the_allowance_is_refused() {
        let fits = within(Allowance::FourTimes, 0, || Vec::<u8>::new().try_reserve_exact(512 * 1024).is_ok());
        assert!(fits);
        let refused =
            within(Allowance::FourTimes, 0, || Vec::<u8>::new().try_reserve_exact(2 * 1024 * 1024).is_err());
        assert!(refused, "2 MiB for nothing received");
        let refused =
            within(Allowance::Fixed, 0, || Vec::<u8>::new().try_reserve_exact(MOST_BYTES + 1).is_err());
        assert!(refused, "more than 32 MiB");
    }

    #[test]
    fn processor_time_grows_with_work_and_not_with_waiting() {
        let before = processor_time();
        std::thread::sleep(Duration::from_millis(50));
        let waited = processor_time() - before;
        let began = Instant::now();
        let mut sum = 0_u64;
        while processor_time() < before + waited + Duration::from_millis(30) {
            sum = std::hint::black_box(sum.wrapping_add(1));
            assert!(began.elapsed() < Duration::from_secs(60), "processor time stands still");
        }
    }
}
