//! A file system that keeps what POSIX demands and nothing more, and what a power cut may leave of it.
//!
//! A write, a length, a name is safe only after a flush of the very file, or of the very folder, that began after it and
//! ended before the cut. Everything else may be there or not, each by itself, and a write may be torn. Real file systems
//! are kinder: ext4 keeps most names without a flush of the folder. What holds here does not depend on that kindness.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::chance::Chance;
use crate::told::Told;
use crate::trace::{Call, Event};

/// Bytes that are written whole or not at all.
const SECTOR: usize = 512;

/// What an operation changes: a file, by its number in the order of making, or the names in a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    File(usize),
    Folder(String),
}

/// One change.
#[derive(Debug, Clone)]
enum Change {
    Write { offset: usize, data: Vec<u8> },
    SetLen(usize),
    Reserve(usize),
    Name { path: String, file: usize },
    Folder { path: String },
    Unname { path: String },
}

/// A change with its times.
#[derive(Debug, Clone)]
struct Operation {
    target: Target,
    change: Change,
    /// Where it stands among the events.
    event: usize,
    end: u64,
    /// The flushes that make it safe: where they stand among the events, in order.
    flushes: Vec<usize>,
}

/// Everything that happened, ready to be cut anywhere.
pub struct Model {
    events: Vec<Event>,
    operations: Vec<Operation>,
    /// Files and folders that were there, and safe, at the beginning.
    before: BTreeMap<String, Option<Vec<u8>>>,
    /// Which of those files has which number.
    numbers_before: BTreeMap<String, usize>,
}

/// Which unsafe changes survive.
#[derive(Debug, Clone)]
pub enum Luck {
    /// None.
    Nothing,
    /// All.
    Everything,
    /// All but those that the flush at this place among the events would have made safe.
    AllBut(usize),
    /// All but the first so many: later ones overtook earlier ones.
    Later(usize),
    /// Each in `keep` of 16 cases, some torn.
    Chance {
        /// The seed.
        seed: u64,
        /// Cases of 16.
        keep: usize,
    },
}

/// A cut: behind which event, and what survives.
#[derive(Debug, Clone)]
pub struct Cut {
    /// Where among the events; this one has still happened.
    pub after: usize,
    /// What survives.
    pub luck: Luck,
}

impl Model {
    /// Follows the events, from a folder as it was before.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn new(events: Vec<Event>, before: BTreeMap<String, Option<Vec<u8>>>) -> Self {
        let mut model = Model { operations: Vec::new(), numbers_before: BTreeMap::new(), before, events };
        let mut live: BTreeMap<String, usize> = BTreeMap::new();
        for (path, content) in &model.before {
            if content.is_some() {
                live.insert(path.clone(), model.numbers_before.len());
                model.numbers_before.insert(path.clone(), model.numbers_before.len());
            }
        }
        let mut files = model.numbers_before.len();
        for (at, event) in model.events.iter().enumerate() {
            let changes = changes(&event.call, &mut live, &mut files);
            let operation = |(target, change)| Operation {
                target,
                change,
                event: at,
                end: event.end,
                flushes: Vec::new(),
            };
            model.operations.extend(changes.into_iter().map(operation));
            if let Call::Flush { path } = &event.call {
                let target = live.get(path).map_or(Target::Folder(path.clone()), |file| Target::File(*file));
                let covered = model
                    .operations
                    .iter_mut()
                    .filter(|operation| operation.target == target && operation.end <= event.start);
                for operation in covered {
                    operation.flushes.push(at);
                }
            }
        }
        model
    }

    /// The events.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// What was told before a cut.
    pub fn told(&self, after: usize) -> impl Iterator<Item = &Told> {
        self.events.iter().take(after + 1).filter_map(|event| match &event.call {
            Call::Told(told) => Some(told),
            Call::Write { .. }
            | Call::SetLen { .. }
            | Call::Reserve { .. }
            | Call::Create { .. }
            | Call::MakeFolder { .. }
            | Call::Unlink { .. }
            | Call::Flush { .. } => None,
        })
    }

    /// Places among the events between which changes depend on a flush: from the flush to the next one, not knocked
    /// out, that makes the same changes safe. Nothing if the flush makes nothing safe.
    pub fn reign(&self, flush: usize, knocked_out: &BTreeSet<usize>) -> Option<std::ops::Range<usize>> {
        let covered = self.operations.iter().filter(|operation| operation.flushes.contains(&flush));
        let ends = covered
            .filter(|operation| {
                // Safe by an earlier flush already?
                !operation.flushes.iter().any(|other| *other < flush && !knocked_out.contains(other))
            })
            .map(|operation| {
                let next =
                    operation.flushes.iter().find(|other| **other > flush && !knocked_out.contains(other));
                next.copied().unwrap_or(self.events.len())
            });
        ends.max().map(|end| flush..end)
    }

    /// Writes what a cut leaves into an empty folder.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, cut: &Cut, knocked_out: &BTreeSet<usize>, folder: &Path) -> Result<()> {
        let mut chance = Chance::from_seed(match cut.luck {
            Luck::Chance { seed, .. } => seed,
            Luck::Nothing | Luck::Everything | Luck::AllBut(_) | Luck::Later(_) => 0,
        });
        let mut names: BTreeMap<String, Option<usize>> = BTreeMap::new();
        let mut contents: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
        for (path, content) in &self.before {
            names.insert(path.clone(), self.numbers_before.get(path).copied());
            if let (Some(content), Some(number)) = (content, self.numbers_before.get(path)) {
                contents.insert(*number, content.clone());
            }
        }
        let mut unsafe_before = 0;
        for operation in self.operations.iter().take_while(|operation| operation.event <= cut.after) {
            let is_safe = operation.flushes.iter().any(|at| *at <= cut.after && !knocked_out.contains(at));
            if is_safe || survives(operation, &cut.luck, &mut chance, &mut unsafe_before) {
                let torn = !is_safe && matches!(cut.luck, Luck::Chance { .. }) && chance.is(1, 4);
                apply(
                    &operation.change,
                    &operation.target,
                    &mut names,
                    &mut contents,
                    torn.then_some(&mut chance),
                );
            }
        }
        put(&names, &contents, folder)
    }
}

fn survives(operation: &Operation, luck: &Luck, chance: &mut Chance, unsafe_before: &mut usize) -> bool {
    *unsafe_before += 1;
    match luck {
        Luck::Nothing => false,
        Luck::Everything => true,
        Luck::AllBut(flush) => !operation.flushes.contains(flush),
        Luck::Later(lost) => *unsafe_before > *lost,
        Luck::Chance { keep, .. } => chance.is(*keep, 16),
    }
}

/// What a call changes, and of what. Keeps the names as a running system sees them.
fn changes(call: &Call, live: &mut BTreeMap<String, usize>, files: &mut usize) -> Vec<(Target, Change)> {
    let file = |live: &BTreeMap<String, usize>, path: &String| live.get(path).copied().map(Target::File);
    let one = |target: Option<Target>, change| target.map(|target| (target, change)).into_iter().collect();
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    match call {
        Call::Write { path, offset, data } => {
            one(file(live, path), Change::Write { offset: size(*offset), data: data.clone() })
        }
        Call::SetLen { path, len } => one(file(live, path), Change::SetLen(size(*len))),
        Call::Reserve { path, len } => one(file(live, path), Change::Reserve(size(*len))),
        Call::Create { path } if !live.contains_key(path) => {
            let number = *files;
            *files += 1;
            live.insert(path.clone(), number);
            one(Some(folder_of(path)), Change::Name { path: path.clone(), file: number })
        }
        Call::Create { .. } | Call::Flush { .. } | Call::Told(_) => Vec::new(),
        Call::MakeFolder { path } => one(Some(folder_of(path)), Change::Folder { path: path.clone() }),
        Call::Unlink { path } => {
            live.remove(path);
            one(Some(folder_of(path)), Change::Unname { path: path.clone() })
        }
    }
}

fn folder_of(path: &str) -> Target {
    Target::Folder(path.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned()))
}

fn apply(
    change: &Change,
    target: &Target,
    names: &mut BTreeMap<String, Option<usize>>,
    contents: &mut BTreeMap<usize, Vec<u8>>,
    torn: Option<&mut Chance>,
) {
    match (change, target) {
        (Change::Name { path, file }, _) => {
            names.insert(path.clone(), Some(*file));
        }
        (Change::Folder { path }, _) => {
            names.insert(path.clone(), None);
        }
        (Change::Unname { path }, _) => {
            names.remove(path);
        }
        (Change::Write { offset, data }, Target::File(file)) => {
            overwrite(contents.entry(*file).or_default(), *offset, data, torn);
        }
        (Change::SetLen(len), Target::File(file)) => contents.entry(*file).or_default().resize(*len, 0),
        (Change::Reserve(len), Target::File(file)) => {
            let content = contents.entry(*file).or_default();
            content.resize(content.len().max(*len), 0);
        }
        (Change::Write { .. } | Change::SetLen(_) | Change::Reserve(_), Target::Folder(_)) => {}
    }
}

/// Writes bytes; torn, only some of the sectors.
fn overwrite(content: &mut Vec<u8>, offset: usize, data: &[u8], mut torn: Option<&mut Chance>) {
    let mut at = offset;
    for piece in data.chunks(SECTOR) {
        if torn.as_mut().is_none_or(|chance| chance.is(1, 2)) {
            let end = at + piece.len();
            content.resize(content.len().max(end), 0);
            content[at..end].copy_from_slice(piece);
        }
        at += piece.len();
    }
}

/// Puts files and folders that still have all the folders above them.
fn put(
    names: &BTreeMap<String, Option<usize>>,
    contents: &BTreeMap<usize, Vec<u8>>,
    folder: &Path,
) -> Result<()> {
    for (path, _) in names.iter().filter(|(_, file)| file.is_none()) {
        fs::create_dir(folder.join(path))?;
    }
    for (path, file) in names {
        let above = path.rsplit_once('/').map(|(above, _)| above);
        if let Some(file) = file
            && above.is_none_or(|above| names.contains_key(above))
        {
            fs::write(folder.join(path), contents.get(file).map_or(&[][..], Vec::as_slice))?;
        }
    }
    Ok(())
}

/// A folder as it is, for [`Model::new`].
///
/// # Errors
/// If it cannot be read.
pub fn snapshot(folder: &Path) -> Result<BTreeMap<String, Option<Vec<u8>>>> {
    let mut found = BTreeMap::new();
    let mut left = vec![String::new()];
    while let Some(below) = left.pop() {
        for entry in fs::read_dir(folder.join(&below))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if below.is_empty() { name } else { format!("{below}/{name}") };
            if entry.file_type()?.is_dir() {
                found.insert(path.clone(), None);
                left.push(path);
            } else {
                found.insert(path, Some(fs::read(entry.path())?));
            }
        }
    }
    Ok(found)
}
