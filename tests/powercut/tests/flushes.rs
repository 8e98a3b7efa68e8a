//! Every flush of custody is needed, or it is said why it is not; and the oracle notices when a needed one is missing.
//!
//! Custody plays the script under a recorder of system calls. The recorded story is cut in a world that keeps nothing
//! but what was flushed. As it is, no cut may break a promise. Then one flush after the other is taken out of the story,
//! and a cut must be found that breaks one.

#![expect(clippy::unwrap_used, reason = "what stands beside the tests is part of them")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use beeldbox_powercut::haul;
use beeldbox_powercut::image::Name;
use beeldbox_powercut::inbound::ARRIVING;
use beeldbox_powercut::knockout::{Site, Tried, everywhere, sites, try_cuts, where_it_hurts};
use beeldbox_powercut::model::{Cut, Luck, Model, snapshot};
use beeldbox_powercut::oracle::Expected;
use beeldbox_powercut::told::Told;
use beeldbox_powercut::trace::{self, Stacks};
use tempfile::TempDir;

/// States of the untouched story to judge.
const STATES: usize = 120;

/// States to judge at most before a flush counts as not missed.
const STATES_PER_FLUSH: usize = 40;

/// What seeds chance.
const SEED: u64 = 1;

/// Flushes whose absence no cut can show: kind of file, function, what the thread did before (empty: anything), and why.
const NOT_MISSED: [(&str, &str, &str, &str); 7] = [
    (
        "database",
        "SQLite, commit with a journal",
        "",
        "it makes the empty ledger, and nobody was told anything yet",
    ),
    (
        "journal",
        "SQLite, commit with a journal",
        "",
        "it makes the empty ledger, and nobody was told anything yet",
    ),
    ("log", "SQLite, checkpoint", "", "every commit has flushed the log already"),
    (
        "log",
        "disk::Disk::write_log_ahead",
        "",
        "it holds zeros, and the commit that fills them flushes the file",
    ),
    ("pack", "recovery::cut", "", "the next start cuts again, and a closed pack is never appended to"),
    (
        "top",
        "disk::sync_directory",
        "",
        "these cover each other, and without any of them names are lost, see below",
    ),
    ("top", "SQLite", "", "these cover each other, and without any of them names are lost, see below"),
];

/// Flushes that are missed only if an older log lies behind the head of the new one, which depends on how many commits a story
/// happened to group: SQLite makes them, and neither outcome says anything about us.
const MISSED_AT_TIMES: [(&str, &str, &str); 1] = [("log", "SQLite, commit to the log", "begin log")];

/// A recorded story.
struct Story {
    model: Model,
    scratch: TempDir,
    folder: PathBuf,
}

/// Whether there is a recorder; says so if not.
fn can_record(test: &str) -> bool {
    let works = std::process::Command::new("strace").arg("-V").output().is_ok();
    if !works {
        eprintln!("NOT TESTED: {test} needs strace");
    }
    works
}

fn record(scratch: TempDir, arguments: &[&str], stacks: Stacks) -> Story {
    let (folder, elsewhere) = (scratch.path().join("box"), scratch.path().join("elsewhere"));
    for made in [&folder, &elsewhere] {
        std::fs::create_dir_all(made).unwrap();
    }
    let before = snapshot(&folder).unwrap();
    let (box_text, elsewhere) = (folder.to_str().unwrap(), elsewhere.to_str().unwrap());
    let mut command = vec![env!("CARGO_BIN_EXE_beeldbox-powercut"), arguments[0], box_text, elsewhere];
    command.extend(&arguments[1..]);
    let events = trace::record(&command, &folder, stacks).unwrap();
    Story { model: Model::new(events, before), scratch, folder }
}

async fn must_hold(story: &Story, before: &Expected, states: usize) -> Tried {
    let cuts = everywhere(&story.model, states, SEED);
    let tried = try_cuts(&story.model, before, &BTreeSet::new(), cuts, story.scratch.path()).await.unwrap();
    println!(
        "{} events, {} states, start-ups that did something: {:?}",
        story.model.events().len(),
        tried.states,
        tried.seen
    );
    assert!(tried.broken.is_none(), "{:?}", tried.broken);
    tried
}

async fn knock_out(story: &Story, before: &Expected, flushes: &BTreeSet<usize>) -> Tried {
    let cuts = where_it_hurts(&story.model, flushes, SEED).into_iter().take(STATES_PER_FLUSH);
    try_cuts(&story.model, before, flushes, cuts, story.scratch.path()).await.unwrap()
}

/// Knocks out site after site and notes which were missed: a site has to be missed in one story at least.
async fn miss_flushes(story: &Story, before: &Expected, missed: &mut BTreeMap<Site, bool>) {
    for (site, flushes) in sites(&story.model) {
        let tried = knock_out(story, before, &flushes).await;
        let said = tried.broken.as_ref().map_or("not missed", |(_, broken)| broken.0.as_str());
        println!("{:4} x {site}: {said}, after {} states", flushes.len(), tried.states);
        *missed.entry(site).or_default() |= tried.broken.is_some();
    }
}

/// Every site was missed or has a reason, and not both.
fn judge_sites(missed: &BTreeMap<Site, bool>) {
    let mut wrong = Vec::new();
    for (site, missed) in missed {
        let listed = NOT_MISSED.iter().find(|(of, from, after, _)| {
            *of == site.of && site.from.starts_with(from) && (after.is_empty() || *after == site.after)
        });
        let at_times = MISSED_AT_TIMES
            .iter()
            .any(|(of, from, after)| *of == site.of && site.from.starts_with(from) && *after == site.after);
        match (missed, listed) {
            (true | false, None) if at_times => {}
            (true, None) | (false, Some(_)) => {}
            (false, None) => wrong.push(format!("{site} is not missed: say why it is there, or remove it")),
            (true, Some((.., reason))) => wrong.push(format!("{site} is missed, although {reason}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn every_flush_of_the_script_is_needed() {
    if !can_record("every_flush_of_the_script_is_needed") {
        return;
    }
    let story = record(haul::scratch().unwrap(), &["script"], Stacks::Shown);
    let none = Expected::default();
    let tried = must_hold(&story, &none, STATES).await;
    for what in ["tails cut", "orphans removed", "erasures ended"] {
        assert!(tried.seen[what] > 0, "no cut led to this: {what}");
    }
    let mut missed = BTreeMap::new();
    miss_flushes(&story, &none, &mut missed).await;
    // Several flushes of the top folder cover each other; without any of them its names are lost.
    let top: BTreeSet<usize> =
        sites(&story.model).into_iter().filter(|(site, _)| site.of == "top").flat_map(|(_, at)| at).collect();
    let tried = knock_out(&story, &none, &top).await;
    assert!(tried.broken.is_some(), "nobody misses the flushes of the top folder");
    start_up(&story, &mut missed).await;
    judge_sites(&missed);
}

/// The same for start-up: a folder in which everything that start-up mends is broken.
async fn start_up(story: &Story, missed: &mut BTreeMap<Site, bool>) {
    let erased = (0..story.model.events().len())
        .rev()
        .find(|at| matches!(&story.model.events()[*at].call, trace::Call::Told(Told::Erased { .. })))
        .unwrap();
    let mut tried = BTreeMap::new();
    for after in (erased.saturating_sub(40)..erased).rev() {
        let cut = Cut { after, luck: Luck::Everything };
        let one =
            try_cuts(&story.model, &Expected::default(), &BTreeSet::new(), [cut], story.scratch.path()).await;
        tried.insert(after, one.unwrap().seen["erasures ended"]);
    }
    let after = *tried.iter().find(|(_, ended)| **ended > 0).expect("erasing was cut nowhere").0;
    let ended = ["tails cut", "orphans removed", "erasures ended"];
    start_from(story, after, leave_rubbish, &ended, missed).await;
    start_from(story, story.model.events().len() - 1, lose_a_pack, &["parts to fetch again"], missed).await;
}

/// Start-up in what a cut left, after more was broken; each of `mends` has to be seen.
async fn start_from(
    story: &Story,
    after: usize,
    more: fn(&Path, &mut Vec<Told>),
    mends: &[&str],
    missed: &mut BTreeMap<Site, bool>,
) {
    let scratch = haul::scratch().unwrap();
    let folder = scratch.path().join("box");
    std::fs::create_dir(&folder).unwrap();
    story.model.write(&Cut { after, luck: Luck::Everything }, &BTreeSet::new(), &folder).unwrap();
    let mut told: Vec<Told> = story.model.told(after).cloned().collect();
    more(&folder, &mut told);
    copy_folder(&story.folder.with_file_name("elsewhere"), &scratch.path().join("elsewhere"));
    let before = Expected::of(&told);
    let story = record(scratch, &["resume"], Stacks::Shown);
    let tried = must_hold(&story, &before, STATES / 3).await;
    for what in mends {
        assert!(tried.seen[what] > 0, "no cut led to this: {what}");
    }
    miss_flushes(&story, &before, missed).await;
}

/// A pack nobody was told of, and a tail behind a closed pack.
fn leave_rubbish(folder: &Path, _told: &mut Vec<Told>) {
    let packs = folder.join("packs");
    std::fs::write(packs.join(format!("{}.pack", "ab".repeat(16))), [0; 64]).unwrap();
    let all = std::fs::read_dir(&packs).unwrap().map(|entry| entry.unwrap().path());
    let biggest = all.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let mut content = std::fs::read(&biggest).unwrap();
    content.extend([5; 3000]);
    std::fs::write(biggest, content).unwrap();
}

/// A half fetched pack whose file is gone.
fn lose_a_pack(folder: &Path, told: &mut Vec<Told>) {
    let part = told.iter().rev().find_map(|told| match told {
        Told::Part { pack, .. } => Some(pack.clone()),
        Told::Stored(_)
        | Told::Moved { .. }
        | Told::Erasing { .. }
        | Told::Started
        | Told::Erased { .. }
        | Told::Audited { .. } => None,
    });
    let fetching = part.expect("something was being fetched");
    std::fs::remove_file(folder.join("packs").join(format!("{fetching}.pack"))).unwrap();
    told.retain(|told| !matches!(told, Told::Part { pack, .. } if *pack == fetching));
    assert!(!told.contains(&Told::Stored(Name::new(ARRIVING[2], 1))), "it was fetched to the end");
}

fn copy_folder(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap();
    assert!(copied.success(), "the other hospital could not be copied");
}
