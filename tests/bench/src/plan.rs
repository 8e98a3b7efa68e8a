//! What is run, in which order, and what becomes of the repeats.
//!
//! A cell is one study at one number of associations. Within a cell every subject runs once per repeat, and every
//! second repeat runs in the opposite order, so that nobody always comes after the same neighbour.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::ceiling::Growth;
use crate::contender::{ALL, Contender, Places};
use crate::run::{self, Outcome, Subject};
use crate::seal::{self, Rates};
use crate::workload::{self, Instance, Study};
use crate::{flushes, foreign};

/// How much is measured.
#[derive(Debug, Clone)]
pub struct Extent {
    /// CT slices.
    pub ct: u32,
    /// MR slices.
    pub mr: u32,
    /// Bytes of the large object.
    pub large: usize,
    /// Studies and associations.
    pub cells: Vec<(Study, usize)>,
    /// Runs per subject and cell.
    pub repeats: usize,
    /// CT slices of the runs under strace.
    pub traced: usize,
    /// Who is measured.
    pub contenders: Vec<Contender>,
}

impl Extent {
    /// Everything.
    pub fn full() -> Self {
        let several = |study| [1, 4, 16].map(|associations| (study, associations));
        let cells = several(Study::Ct).into_iter().chain(several(Study::Mr)).chain([(Study::Large, 1)]);
        Extent {
            ct: 500,
            mr: 2000,
            large: 2 << 30,
            cells: cells.collect(),
            repeats: 3,
            traced: 100,
            contenders: ALL.to_vec(),
        }
    }

    /// Less than two minutes.
    pub fn quick() -> Self {
        Extent {
            ct: 125,
            mr: 500,
            large: 256 << 20,
            cells: vec![(Study::Ct, 1), (Study::Ct, 4), (Study::Mr, 4), (Study::Large, 1)],
            repeats: 1,
            traced: 50,
            contenders: ALL.to_vec(),
        }
    }
}

/// Everything that was measured.
pub struct Results {
    /// Runs behind each median.
    pub repeats: usize,
    /// Per study and number of associations.
    pub cells: Vec<Cell>,
    /// Flushes per instance: contender, associations, figure or failure.
    pub flushes: Vec<(Contender, usize, Result<f64, String>)>,
    /// The same study sent by other senders: sender, receiver, bytes per second of a whole run.
    pub foreign: Vec<(&'static str, Contender, Result<f64, String>)>,
    /// What sealing costs by itself, in the same run.
    pub sealing: Rates,
}

/// One study at one number of associations.
pub struct Cell {
    /// The study.
    pub study: Study,
    /// Associations at once.
    pub associations: usize,
    /// Bytes of its data sets.
    pub bytes: u64,
    /// Its instances.
    pub instances: usize,
    /// One row per contender and per kind of ceiling.
    pub rows: Vec<Row>,
}

impl Cell {
    /// The row of this name, if it could be measured.
    pub fn median(&self, name: &str) -> Option<&Outcome> {
        self.rows.iter().find(|row| row.name == name)?.median.as_ref().ok()
    }
}

/// One contender or ceiling: the fastest of its manners.
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// The arguments that made it fastest.
    pub manner: String,
    /// Medians over the repeats, or why there are none.
    pub median: Result<Outcome, String>,
}

/// Runs the whole plan, telling on standard error how far it is.
///
/// # Errors
/// If the studies cannot be made. A contender that fails is a row that says so.
pub fn execute(places: &Places, extent: &Extent) -> Result<Results> {
    let [ct, mr, large] = [Study::Ct, Study::Mr, Study::Large].map(|study| instances(places, extent, study));
    let (ct, mr, large) = (ct?, mr?, large?);
    let ct_folder = folder(places, Study::Ct, extent.ct);
    let mut cells = Vec::new();
    for (study, associations) in &extent.cells {
        let instances = match study {
            Study::Ct => &ct,
            Study::Mr => &mr,
            Study::Large => &large,
        };
        cells.push(cell(places, extent, *study, instances, *associations)?);
    }
    let mut flushes = Vec::new();
    let mut foreign = Vec::new();
    for contender in &extent.contenders {
        for associations in [1, 4] {
            eprintln!("bench: flushes of {} at {associations}", contender.name());
            let traced = ct.get(..extent.traced).unwrap_or(&ct);
            let counted = flushes::per_instance(places, *contender, traced, associations);
            flushes.push((*contender, associations, counted.map_err(|error| format!("{error:#}"))));
        }
        for sender in foreign::SENDERS {
            eprintln!("bench: {sender} to {}", contender.name());
            let rate = foreign::measure(places, sender, *contender, &ct_folder, &ct);
            foreign.push((sender, *contender, rate.map_err(|error| format!("{error:#}"))));
        }
    }
    let sealing = seal::measure()?;
    Ok(Results { repeats: extent.repeats, cells, flushes, foreign, sealing })
}

/// The instances of a study; slices are made once and stay in the working folder.
///
/// # Errors
/// If they cannot be made.
pub fn instances(places: &Places, extent: &Extent, study: Study) -> Result<Vec<Instance>> {
    let count = match study {
        Study::Ct => extent.ct,
        Study::Mr => extent.mr,
        Study::Large => return Ok(workload::large(extent.large)),
    };
    workload::slices(&folder(places, study, count), study, count)
}

fn folder(places: &Places, study: Study, count: u32) -> PathBuf {
    places.work.join(format!("{}-{count}", study.word()))
}

fn cell(
    places: &Places,
    extent: &Extent,
    study: Study,
    instances: &[Instance],
    associations: usize,
) -> Result<Cell> {
    let mut subjects: Vec<Subject> =
        [Growth::Growing, Growth::Preallocated, Growth::Overwriting].map(Subject::Disk).to_vec();
    for contender in &extent.contenders {
        let manners = contender.manners(associations).into_iter();
        subjects.extend(manners.map(|manner| Subject::Program(*contender, manner)));
    }
    let mut outcomes: Vec<Vec<Result<Outcome, String>>> = subjects.iter().map(|_| Vec::new()).collect();
    for repeat in 0..extent.repeats {
        let mut order: Vec<usize> = (0..subjects.len()).collect();
        if repeat % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let subject = &subjects[index];
            let outcome = run::measure(places, subject, instances, associations);
            tell(study, associations, repeat, subject, &outcome);
            outcomes[index].push(outcome.map_err(|error| format!("{error:#}")));
        }
    }
    let bytes = instances.iter().map(Instance::size).sum::<usize>();
    let measured = subjects.iter().zip(outcomes).map(|(subject, outcomes)| Row {
        name: subject.name(),
        manner: subject.manner(),
        median: median(outcomes),
    });
    let rows = fastest(measured);
    Ok(Cell { study, associations, bytes: u64::try_from(bytes)?, instances: instances.len(), rows })
}

fn tell(study: Study, associations: usize, repeat: usize, subject: &Subject, outcome: &Result<Outcome>) {
    let figures = match outcome {
        Ok(outcome) => format!("{:.0} MB/s", outcome.rate() / 1e6),
        Err(error) => format!("failed: {error:#}"),
    };
    let (study, name, manner) = (study.word(), subject.name(), subject.manner());
    eprintln!("bench: {study} at {associations}, repeat {}: {name} {manner} {figures}", repeat + 1);
}

/// Of the rows that share a name, the one with the highest rate.
fn fastest(measured: impl Iterator<Item = Row>) -> Vec<Row> {
    let rate = |row: &Row| row.median.as_ref().map_or(0.0, Outcome::rate);
    let mut rows: Vec<Row> = Vec::new();
    for row in measured {
        match rows.iter_mut().find(|known| known.name == row.name) {
            Some(known) if rate(&row) > rate(known) => *known = row,
            Some(_) => {}
            None => rows.push(row),
        }
    }
    rows
}

/// Medians of every figure, the highest memory. One failure fails the row: half of a promise is none.
fn median(outcomes: Vec<Result<Outcome, String>>) -> Result<Outcome, String> {
    let outcomes = outcomes.into_iter().collect::<Result<Vec<_>, _>>()?;
    let first = outcomes.first().ok_or("not measured")?;
    let middle = |of: fn(&Outcome) -> Duration| {
        let mut times: Vec<Duration> = outcomes.iter().map(of).collect();
        times.sort_unstable();
        times[times.len() / 2]
    };
    Ok(Outcome {
        bytes: first.bytes,
        wall: middle(|outcome| outcome.wall),
        p99: middle(|outcome| outcome.p99),
        cpu: middle(|outcome| outcome.cpu),
        sender_cpu: middle(|outcome| outcome.sender_cpu),
        memory: outcomes.iter().map(|outcome| outcome.memory).max().unwrap_or(0),
    })
}
