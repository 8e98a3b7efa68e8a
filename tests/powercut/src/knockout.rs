//! The flushes of custody, one site after the other, and whether anybody notices when one is missing.
//!
//! A site is a place in the program: the functions that lead to the flush, and the kind of file that is flushed. To
//! knock a site out is to cut power in a world in which its flushes never happened: the trace stays, their effect goes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::Result;
use beeldbox_custody::RecoveryReport;

use crate::chance::Chance;
use crate::model::{Cut, Luck, Model};
use crate::oracle::{Broken, Expected, judge};
use crate::trace::{Call, Event, kind};

/// A place in the program that flushes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    /// The kind of file.
    pub of: &'static str,
    /// The function that asks for it.
    pub from: String,
    /// What the same thread did just before.
    pub after: String,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "flush of {} in {} behind \"{}\"", self.of, self.from, self.after)
    }
}

/// The sites of a run, each with its flushes by their place among the events.
pub fn sites(model: &Model) -> BTreeMap<Site, BTreeSet<usize>> {
    let mut found: BTreeMap<Site, BTreeSet<usize>> = BTreeMap::new();
    for (at, event) in model.events().iter().enumerate() {
        if let Some(site) = site(event) {
            found.entry(site).or_default().insert(at);
        }
    }
    found
}

fn site(event: &Event) -> Option<Site> {
    let Call::Flush { path } = &event.call else { return None };
    let from = event.stack.iter().find_map(|frame| short(frame)).unwrap_or_else(|| event.stack.join(" < "));
    Some(Site { of: kind(path), from, after: event.previous.clone() })
}

/// What is told of a function: those of custody by their path, those of SQLite that say what it is doing.
fn short(frame: &str) -> Option<String> {
    let plain = frame.replace(['<', '>'], "");
    if let Some(name) = plain.strip_prefix("beeldbox_custody::") {
        let name = name.split("::{{closure").next().unwrap_or(name);
        return Some(name.replace("impl beeldbox_custody::Custody::", ""));
    }
    let sqlite = [
        ("pagerWalFrames", "SQLite, commit to the log"),
        ("sqlite3WalCheckpoint", "SQLite, checkpoint"),
        ("sqlite3PagerCommitPhaseOne", "SQLite, commit with a journal"),
    ];
    sqlite.into_iter().find(|(name, _)| frame.starts_with(name)).map(|(_, said)| said.to_owned())
}

/// What trying cuts came to.
#[derive(Debug, Default)]
pub struct Tried {
    /// States made and judged.
    pub states: usize,
    /// The first broken promise, and the cut that showed it.
    pub broken: Option<(Cut, Broken)>,
    /// Starts that ended something which the cut had interrupted, by what they did.
    pub seen: BTreeMap<&'static str, usize>,
}

impl Tried {
    fn note(&mut self, report: &RecoveryReport) {
        let counts = [
            ("tails cut", report.tails_cut),
            ("packs closed", report.packs_closed),
            ("empty removed", report.empty_removed),
            ("orphans removed", report.orphans_removed),
            ("parts to fetch again", report.parts_to_refetch),
            ("erasures ended", report.erasures_resumed),
        ];
        for (name, count) in counts {
            *self.seen.entry(name).or_default() += usize::from(count > 0);
        }
    }
}

/// Makes and judges states until a promise is found broken.
///
/// # Errors
/// If a state cannot be made.
pub async fn try_cuts(
    model: &Model,
    before: &Expected,
    knocked_out: &BTreeSet<usize>,
    cuts: impl IntoIterator<Item = Cut>,
    scratch: &Path,
) -> Result<Tried> {
    let mut tried = Tried::default();
    let folder = scratch.join("state");
    for cut in cuts {
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        model.write(&cut, knocked_out, &folder)?;
        let mut expected = before.clone();
        for told in model.told(cut.after) {
            expected.add(told);
        }
        tried.states += 1;
        match judge(&folder, &expected).await {
            Ok(report) => tried.note(&report),
            Err(broken) => {
                tried.broken = Some((cut, broken));
                break;
            }
        }
    }
    Ok(tried)
}

/// Cuts everywhere: `count` of them, spread evenly over the events, with every kind of luck in turn.
pub fn everywhere(model: &Model, count: usize, seed: u64) -> Vec<Cut> {
    let mut chance = Chance::from_seed(seed);
    let events = model.events().len();
    (0..count)
        .map(|at| {
            let luck = match at % 5 {
                0 => Luck::Nothing,
                1 => Luck::Everything,
                2 => Luck::Chance { seed: chance.draw(), keep: 3 },
                3 => Luck::Chance { seed: chance.draw(), keep: 8 },
                _ => Luck::Chance { seed: chance.draw(), keep: 13 },
            };
            let even = at * events / count.max(1);
            Cut { after: (even + chance.below(events / count.max(1) + 1)).min(events - 1), luck }
        })
        .collect()
}

/// Cuts that lie where the changes depend on knocked-out flushes: behind everything told there and at the end, with the
/// changes lost, with nothing else left, and by chance.
pub fn where_it_hurts(model: &Model, knocked_out: &BTreeSet<usize>, seed: u64) -> Vec<Cut> {
    let mut chance = Chance::from_seed(seed);
    let mut cuts = Vec::new();
    for flush in knocked_out {
        let Some(reign) = model.reign(*flush, knocked_out) else { continue };
        let last = reign.end - 1;
        let told = reign.clone().filter(|at| matches!(model.events()[*at].call, Call::Told(_)));
        let mut places: Vec<usize> = told.take(3).collect();
        places.push(last);
        places.extend((0..3).map(|_| reign.start + chance.below(reign.len())));
        cuts.extend((1..16).map(|lost| Cut { after: last, luck: Luck::Later(2 * lost) }));
        for after in places {
            cuts.push(Cut { after, luck: Luck::AllBut(*flush) });
            cuts.push(Cut { after, luck: Luck::Nothing });
            for keep in [4, 12] {
                cuts.push(Cut { after, luck: Luck::Chance { seed: chance.draw(), keep } });
            }
        }
    }
    // Not one flush after the other: every place in the story has its turn early.
    for at in (1..cuts.len()).rev() {
        cuts.swap(at, chance.below(at + 1));
    }
    cuts
}
