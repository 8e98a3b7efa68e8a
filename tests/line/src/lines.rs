//! The same study over lines good and bad: by the boxes, by Orthanc, and, where nothing is cut, by bare TCP.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::bare;
use crate::boxes::Journey;
use crate::flows::Way;
use crate::namespace::Congestion;
use crate::orthanc::{Pair, Peered, Routing};
use crate::stage::Stage;
use crate::wire::Conditions;

/// A part of a pack, which is what is sent again if it does not get there whole.
const PART: u64 = 8 * 1024 * 1024;

/// Bytes sent again, in hundredths of the study, that are no matter.
const RESENT_PERCENT: u64 = 5;

/// How much is measured.
pub struct Extent {
    /// The line at its best.
    pub good: Conditions,
    /// What the bad lines lose.
    pub lost_in_a_million: u64,
    /// How often the bad lines are cut.
    pub cut_every: Duration,
    /// How TCP shares them.
    pub congestion: Congestion,
    /// Longest way of a study.
    pub limit: Duration,
    /// Slices of the study.
    pub slices: u32,
    /// Fewer lines.
    pub is_slice: bool,
    /// Only lines with this in their names.
    pub only: Option<String>,
}

/// What one line did.
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// How it was.
    pub line: Conditions,
    /// The machine's load when the boxes began.
    pub load: String,
    /// The boxes; or why not.
    pub boxes: Result<Journey, String>,
    /// Bare TCP up and down, for as many bytes.
    pub bare: Option<Result<(Duration, Duration), String>>,
    /// Orthanc.
    pub orthanc: Option<Result<Peered, String>>,
}

impl Extent {
    fn lines(&self) -> Vec<(&'static str, Conditions)> {
        let Extent { good, lost_in_a_million, cut_every, .. } = *self;
        let lossy = Conditions { lost_in_a_million, ..good };
        let cut = Conditions { cut_every: Some(cut_every), ..good };
        let bad = Conditions { cut_every: Some(cut_every), ..lossy };
        let mut lines = vec![("good", good), ("lossy", lossy), ("cut", cut), ("lossy and cut", bad)];
        if self.is_slice {
            lines.retain(|(name, _)| ["good", "lossy and cut"].contains(name));
        }
        if let Some(only) = &self.only {
            lines.retain(|(name, _)| name.contains(only.as_str()));
        }
        lines
    }
}

/// Measures every line, one after the other.
///
/// # Errors
/// If something cannot be started. What a line does to somebody is in its row.
pub async fn measure(extent: &Extent) -> Result<Vec<Row>> {
    let stage = Stage::start(extent.good, [1, 2]).await?;
    // The first transfer to a partner is special; the others are not.
    stage.carry(&stage.study(1, 2)?, extent.good, extent.limit).await?;
    let mut rows = Vec::new();
    for (seed, (name, line)) in (2..).zip(extent.lines()) {
        let study = stage.study(seed, extent.slices)?;
        eprintln!("line: {name}: boxes");
        let load = load();
        let boxes = stage.carry(&study, line, extent.limit).await.map_err(|error| format!("{error:#}"));
        // What did not arrive would go on beside the next.
        let has_arrived = boxes.is_ok();
        let mut row = Row { name, line, load, boxes, bare: None, orthanc: None };
        if line.cut_every.is_none() {
            eprintln!("line: {name}: bare TCP");
            row.bare = Some(bare_both_ways(&stage, line, study.bytes).map_err(|error| format!("{error:#}")));
        }
        if !extent.is_slice {
            eprintln!("line: {name}: Orthanc");
            let pair = Pair::start(&stage, &format!("line-{seed}"), Routing::ByHand).await?;
            pair.give(&study).await?;
            let peered = pair.peer(&stage, line, extent.limit).await;
            row.orthanc = Some(peered.map_err(|error| format!("{error:#}")));
            pair.stop().await?;
        }
        rows.push(row);
        if !has_arrived {
            eprintln!("line: {name}: the boxes are not through; the other lines are left out");
            break;
        }
    }
    stage.stop().await;
    Ok(rows)
}

fn bare_both_ways(stage: &Stage, line: Conditions, bytes: u64) -> Result<(Duration, Duration)> {
    stage.set(line);
    let port = stage.place.port("bare")?;
    let up = bare::carry(&stage.noord, port, bytes, Way::Up)?;
    Ok((up, bare::carry(&stage.zuid, port, bytes, Way::Down)?))
}

/// The load of the machine over the last minute.
pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}

/// Bytes that were sent again, beyond the study and what goes with it when nothing goes wrong, and how many may be.
pub fn resent(crossed: u64, study: u64, usual: f64, cuts: u64) -> (u64, u64) {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bytes of a study, which are far below where an f64 is exact"
    )]
    let expected = (study as f64 * usual) as u64;
    (crossed.saturating_sub(expected), study * RESENT_PERCENT / 100 + cuts * PART)
}

/// What goes over a line for each byte of a study when nothing goes wrong, up and down, as the good line showed.
pub fn usual(rows: &[Row]) -> (f64, f64) {
    let good = rows.iter().find_map(|row| match (&row.boxes, row.line.cut_every) {
        (Ok(journey), None) => Some(journey),
        _ => None,
    });
    good.map_or((1.0, 1.0), |journey| {
        (share(journey.up.up.fresh, journey), share(journey.down.down.fresh, journey))
    })
}

#[expect(clippy::cast_precision_loss, reason = "bytes of a study")]
fn share(crossed: u64, journey: &Journey) -> f64 {
    crossed as f64 / journey.bytes as f64
}

/// What must be so on every line that was measured.
///
/// # Errors
/// What is not so.
pub fn check(rows: &[Row]) -> Result<()> {
    let usual = usual(rows);
    for row in rows {
        let journey = row.boxes.as_ref().map_err(|error| anyhow::anyhow!("{}: {error}", row.name))?;
        for (way, crossed, usual, cuts) in [
            ("up", journey.up.up.fresh, usual.0, journey.up.cuts),
            ("down", journey.down.down.fresh, usual.1, journey.down.cuts),
        ] {
            let (resent, most) = resent(crossed, journey.bytes, usual, cuts);
            ensure!(resent <= most, "{}, {way}: {resent} bytes sent again, at most {most} may be", row.name);
        }
    }
    Ok(())
}
