//! Latencies and bytes, counted in constant memory: buckets that grow by a twentieth.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Growth from one bucket to the next.
const GROWTH: f64 = 1.05;

/// Buckets: from a microsecond to some minutes.
const BUCKETS: usize = 400;

/// What is measured, by the words under which it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// EST.
    Enrol,
    /// `PUT /fhir/Endpoint`.
    Publish,
    /// A page of the directory.
    Directory,
    /// `PUT /fhir/Task`, a draft.
    Draft,
    /// `PUT /parts`.
    PutPart,
    /// `PUT /fhir/Binary`.
    PutLetter,
    /// `GET /fhir/Task/{transfer}`.
    ReadTask,
    /// `PUT /fhir/Task`, the commit.
    Commit,
    /// `GET /fhir/Binary`.
    GetLetter,
    /// `GET /parts`.
    GetPart,
    /// `PUT /fhir/Task` with a receipt.
    Receipt,
    /// From the answer to the commit until the addressee's poll told it. No request of its own.
    Notice,
}

impl Kind {
    /// How it is told.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Enrol => "enrol",
            Kind::Publish => "publish key",
            Kind::Directory => "directory page",
            Kind::Draft => "draft",
            Kind::PutPart => "put part",
            Kind::PutLetter => "put letter",
            Kind::ReadTask => "read task",
            Kind::Commit => "commit",
            Kind::GetLetter => "get letter",
            Kind::GetPart => "get part",
            Kind::Receipt => "receipt",
            Kind::Notice => "commit to notice",
        }
    }
}

/// Figures of one kind.
#[derive(Debug, Clone)]
pub struct Figures {
    /// How many.
    pub count: u64,
    /// Bytes of parts and letters.
    pub bytes: u64,
    buckets: Vec<u64>,
}

impl Figures {
    /// The latency below which this share of them stayed, a twentieth too high at most.
    pub fn quantile(&self, share: f64) -> Duration {
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if ratio(seen, self.count) >= share {
                let index = i32::try_from(index).unwrap_or(i32::MAX);
                return Duration::from_secs_f64(GROWTH.powi(index) / 1e6);
            }
        }
        Duration::ZERO
    }
}

/// A share, as a number.
#[expect(clippy::as_conversions, reason = "a share needs no exact count")]
pub fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// Counts.
#[derive(Debug, Default)]
pub struct Tally(Mutex<BTreeMap<Kind, Figures>>);

impl Tally {
    /// Waits for a request and counts it if it succeeds.
    ///
    /// # Errors
    /// Those of the request.
    pub async fn time<T, E>(
        &self,
        kind: Kind,
        bytes: usize,
        request: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let began = Instant::now();
        let answer = request.await?;
        self.count(kind, bytes, began.elapsed());
        Ok(answer)
    }

    /// Counts one.
    pub fn count(&self, kind: Kind, bytes: usize, took: Duration) {
        let micros = took.as_secs_f64() * 1e6;
        let reached =
            std::iter::successors(Some(1.0), |limit| Some(limit * GROWTH)).position(|limit| limit >= micros);
        let mut figures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_kind =
            figures.entry(kind).or_insert_with(|| Figures { count: 0, bytes: 0, buckets: vec![0; BUCKETS] });
        of_kind.count += 1;
        of_kind.bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
        of_kind.buckets[reached.unwrap_or(BUCKETS).min(BUCKETS - 1)] += 1;
    }

    /// Begins anew, but for what happens once per box.
    pub fn start(&self) {
        let mut figures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        figures.retain(|kind, _| matches!(kind, Kind::Enrol | Kind::Publish | Kind::Directory));
    }

    /// What was counted so far.
    pub fn take(&self) -> BTreeMap<Kind, Figures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_at_most_a_twentieth_too_high() {
        let tally = Tally::default();
        for millis in 1..=100 {
            tally.count(Kind::Draft, 2, Duration::from_millis(millis));
        }
        let figures = tally.take().remove(&Kind::Draft).unwrap_or_else(|| panic!("it was counted"));
        assert_eq!((figures.count, figures.bytes), (100, 200));
        for (share, expected) in [(0.5, 50.0), (0.99, 99.0)] {
            let found = figures.quantile(share).as_secs_f64() * 1e3;
            assert!((expected..=expected * 1.06).contains(&found), "{share}: {found}");
        }
    }
}
