//! What a run found, and what it says about a national load.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::tally::{Figures, Kind, ratio};
use crate::{DatabaseKind, Plan};

/// The load that is asked about: hospitals, studies of each a day, and how many times that.
const NATION: (u32, u32, u32) = (100, 75, 10);

/// The day's load falls into so many hours, as if the rest of the day were empty.
const BUSY_HOURS: u32 = 8;

/// Bytes of a study: a CT of some hundred slices.
const STUDY_LEN: u64 = 250 * 1024 * 1024;

/// Bytes of a part of a study.
const PART_LEN: u64 = 8 * 1024 * 1024;

/// What a run found.
#[derive(Debug, Clone)]
pub struct Report {
    /// What was run.
    pub plan: Plan,
    /// For how long boxes sent.
    pub took: Duration,
    /// Transfers that arrived, with both receipts verified.
    pub sent: usize,
    /// Processor time of the portals in that time.
    pub processor: Duration,
    /// Largest resident memory of each portal, in bytes.
    pub memory: Vec<u64>,
    /// Figures by kind of request.
    pub figures: BTreeMap<Kind, Figures>,
    /// Bytes of the database at the end.
    pub database_len: u64,
}

impl Report {
    fn in_time(&self) -> impl Iterator<Item = &Figures> {
        let once = |kind: &Kind| matches!(kind, Kind::Enrol | Kind::Publish | Kind::Directory | Kind::Notice);
        self.figures.iter().filter(move |(kind, _)| !once(kind)).map(|(_, figures)| figures)
    }

    /// Requests that were answered in the time of sending, without the polls.
    pub fn requests(&self) -> u64 {
        self.in_time().map(|figures| figures.count).sum()
    }

    /// Bytes of parts and letters that passed in either direction in that time.
    pub fn bytes(&self) -> u64 {
        self.in_time().map(|figures| figures.bytes).sum()
    }

    fn per_second(&self, count: u64) -> f64 {
        ratio(count, 1) / self.took.as_secs_f64()
    }
}

fn mib(bytes: f64) -> f64 {
    bytes / f64::from(1024 * 1024)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = &self.plan;
        let database = match plan.database {
            DatabaseKind::Sqlite => "SQLite",
            DatabaseKind::Postgres => "PostgreSQL",
        };
        writeln!(
            f,
            "{} boxes, {} portal(s) on {database}, {} × {} KiB per transfer, {:.1} s of sending",
            plan.boxes,
            plan.portals,
            plan.parts,
            plan.part_len / 1024,
            self.took.as_secs_f64(),
        )?;
        writeln!(f, "{:<18}{:>9}{:>12}{:>12}", "request", "count", "p50 ms", "p99 ms")?;
        for (kind, figures) in &self.figures {
            let (median, most) = (millis(figures.quantile(0.5)), millis(figures.quantile(0.99)));
            writeln!(f, "{:<18}{:>9}{median:>12.1}{most:>12.1}", kind.name(), figures.count)?;
        }
        let bytes = self.per_second(self.bytes());
        writeln!(
            f,
            "transfers          {} ({:.2}/s), every one with two verified receipts",
            self.sent,
            self.per_second(u64::try_from(self.sent).unwrap_or(u64::MAX))
        )?;
        writeln!(f, "requests           {:.0}/s (without polls)", self.per_second(self.requests()))?;
        writeln!(f, "bytes              {:.1} MiB/s in and out", mib(bytes))?;
        let cores = self.processor.as_secs_f64() / self.took.as_secs_f64();
        writeln!(f, "processor          {:.1} s ({cores:.2} cores)", self.processor.as_secs_f64())?;
        let memory: Vec<String> =
            self.memory.iter().map(|bytes| format!("{:.0}", mib(ratio(*bytes, 1)))).collect();
        writeln!(f, "memory at most     {} MiB", memory.join(", "))?;
        writeln!(f, "database           {:.1} MiB", mib(ratio(self.database_len, 1)))?;
        self.tell_nation(f)
    }
}

impl Report {
    /// Holds the run against the national load, resource by resource: what is used up first breaks first.
    fn tell_nation(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hospitals, studies, times) = NATION;
        let a_day = hospitals * studies * times;
        let a_second = f64::from(a_day) / f64::from(BUSY_HOURS * 3600);
        let bytes = a_second * ratio(STUDY_LEN, 1) * 2.0;
        let parts = ratio(STUDY_LEN.div_ceil(PART_LEN), 1);
        // Commits: the draft, each part, the letter, the commit, two receipts.
        let writes = a_second * (parts + 5.0);
        writeln!(
            f,
            "\n{hospitals} hospitals × {studies} studies × {times} = {a_day} a day; in {BUSY_HOURS} hours {a_second:.1} \
             transfers/s, {writes:.0} writes/s, {:.0} MiB/s in and out, {:.1} TiB a day stored",
            mib(bytes),
            f64::from(a_day) * mib(ratio(STUDY_LEN, 1)) / f64::from(1024 * 1024),
        )?;
        let written = [Kind::Draft, Kind::PutPart, Kind::PutLetter, Kind::Commit, Kind::Receipt];
        let written: u64 =
            written.iter().filter_map(|kind| self.figures.get(kind)).map(|found| found.count).sum();
        let cores = self.processor.as_secs_f64() / self.took.as_secs_f64();
        let found = [
            ("bytes: line, disk and processor that moves them", bytes / self.per_second(self.bytes())),
            ("writes to the ledger, one at a time", writes / self.per_second(written)),
            (
                "transfers, and the polls that each wakes",
                a_second / self.per_second(u64::try_from(self.sent).unwrap_or(1)),
            ),
        ];
        writeln!(f, "how many times this run that is, which used {cores:.2} cores:")?;
        for (what, times) in found {
            writeln!(f, "  {times:>8.1} × {what}")?;
        }
        let first = found.iter().max_by(|one, other| one.1.total_cmp(&other.1));
        if let Some((what, _)) = first {
            writeln!(f, "farthest from it, and so the first to break if this run was at its limit: {what}")?;
        }
        Ok(())
    }
}
