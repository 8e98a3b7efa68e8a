//! Every write and flush fails once or falls short, and the process dies at every one of them.
//!
//! Goal: never a false success, and recovery from anywhere. Method: a child runs one script (receive, repeat, abandon,
//! close, erase) under `strace`, which fails the N-th of the calls or kills the child there; afterwards everything the
//! child acknowledged must be found and verify, and recovering again must find nothing to do. N grows until the script
//! ends undisturbed. Without `strace` on the machine there is nothing to run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::ward::*;
use crate::RecoveryReport;

const DIRECTORY: &str = "BEELDBOX_CUSTODY_TEST_SCRIPT";

/// Set it to try every call instead of some: minutes instead of seconds.
const EVERY_CALL: &str = "BEELDBOX_CUSTODY_EVERY_CALL";

/// Calls from one tried point to the next. Prime, so that it does not keep step with the calls of a commit.
const STEP: usize = 7;

/// More calls than the script makes.
const CALLS_MAX: u32 = 400;

#[tokio::test]
async fn script_under_faults() {
    let Some(dir) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let (custody, _) = open(&dir);
    let mut association = session(&custody);
    for number in [1, 2, 1, 3] {
        let image = image(1, number, 40_000);
        let begun = association.begin(at(1), &image.description, &image.attributes);
        let stored = begun
            .and_then(|()| association.write(&image.data))
            .and_then(|()| association.finish(image.digest(), at(2)));
        if let Ok(stored) = stored {
            eprintln!("acked {} {}", image.description.sop_instance, stored.digest());
        }
    }
    let torn = image(1, 4, 300_000);
    if association.begin(at(3), &torn.description, &torn.attributes).is_ok() {
        drop(association.write(&torn.data));
        association.abandon();
    }
    association.close();
    let mut other = session(&custody);
    let image = image(2, 1, 3000);
    if other.begin(at(1), &image.description, &image.attributes).is_ok() && other.write(&image.data).is_ok() {
        drop(other.finish(image.digest(), at(2)));
    }
    other.close();
    if let Some(study) = custody.studies(None, 1).await.ok().and_then(|mut found| found.pop())
        && study.summary.study == image.description.study
    {
        let queued = crate::OutboundState::Queued { closed_at: at(5) };
        drop(move_on(&custody, &study, crate::OutboundState::Collecting, queued).await);
        if custody.erase(study.collection, at(6)).await.is_ok() {
            eprintln!("erased");
        }
    }
    custody.close().await;
    eprintln!("script ended");
}

#[tokio::test]
async fn an_error_at_any_write_or_flush_is_never_a_false_success() {
    for error in ["EIO", "ENOSPC"] {
        sweep("pwrite64,fsync,fdatasync,ftruncate,unlink,statfs", &format!("error={error}")).await;
    }
}

#[tokio::test]
async fn death_at_any_write_or_flush_loses_nothing_that_was_acknowledged() {
    sweep("pwrite64,fsync,fdatasync,ftruncate,unlink", "signal=SIGKILL").await;
}

/// Lengths at which the disk ends for every file, in bytes: within packs, within the ledger and its log.
const ENDS: std::ops::Range<u64> = 8 * 1024..400 * 1024;

#[tokio::test]
async fn a_short_write_anywhere_is_never_a_false_success() {
    let step: usize = if std::env::var_os(EVERY_CALL).is_some() { 1531 } else { 24_533 };
    let mut short = 0;
    for end in ENDS.step_by(step) {
        let (dir, custody) = empty_ward();
        custody.close().await;
        // Up to the limit a write is done, and the program is told how far it got; the next one fails. The limit takes
        // the place of strace's faults because it writes what it says it wrote.
        let mut command = Command::new("sh");
        command
            .args(["-c", "trap '' XFSZ; exec prlimit --fsize=\"$0\" \"$@\"", &end.to_string()])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "tests::faults::script_under_faults", "--nocapture"])
            .env(DIRECTORY, dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let output = start(&mut command).wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        let acked: BTreeSet<&str> = text.lines().filter_map(|line| line.strip_prefix("acked ")).collect();
        short += u32::from(acked.len() < 3);
        check(dir.path(), &acked, text.contains("erased"), &format!("files end at {end}: {text}")).await;
    }
    assert!(short > 0, "no limit was in the way");
}

async fn sweep(calls: &str, fault: &str) {
    let searched = std::env::var_os("PATH").unwrap_or_default();
    if !std::env::split_paths(&searched).any(|dir| dir.join("strace").exists()) {
        eprintln!("strace is not installed: nothing was tried");
        return;
    }
    let step = if std::env::var_os(EVERY_CALL).is_some() { 1 } else { STEP };
    for when in (1..CALLS_MAX).step_by(step) {
        // The ledger exists already: making it is many calls that nobody was promised anything about.
        let (dir, custody) = empty_ward();
        custody.close().await;
        let trace = tempfile::NamedTempFile::new().unwrap();
        let mut command = Command::new("strace");
        command
            .args(["-f", "-qq", "-e", &format!("trace={calls}"), "-o"])
            .arg(trace.path())
            .args(["-e", &format!("inject={calls}:{fault}:when={when}")])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "tests::faults::script_under_faults", "--nocapture"])
            .env(DIRECTORY, dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let output = start(&mut command).wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        let acked: BTreeSet<&str> = text.lines().filter_map(|line| line.strip_prefix("acked ")).collect();
        check(dir.path(), &acked, text.contains("erased"), &format!("{fault} at call {when}: {text}")).await;
        let disturbed = std::fs::read_to_string(trace.path()).unwrap().contains("INJECTED");
        if text.contains("script ended") && !disturbed {
            assert!(acked.len() == 3 && text.contains("erased"), "undisturbed, and yet: {text}");
            eprintln!("{fault}: {} points tried", when / u32::try_from(step).unwrap());
            return;
        }
    }
    panic!("the script makes more than {CALLS_MAX} calls");
}

async fn check(dir: &Path, acked: &BTreeSet<&str>, erased: bool, context: &str) {
    let opened = try_open(options(dir));
    let (custody, report) = opened.unwrap_or_else(|error| panic!("{error} after {context}"));
    assert!(report.damaged.is_empty(), "{report} after {context}");
    let mut found = BTreeSet::new();
    for study in custody.studies(None, 100).await.unwrap() {
        for row in custody.instances(study.collection, None, 1000).await.unwrap() {
            let digest = custody.verify_instance(&row).await.unwrap();
            found.insert(format!("{} {digest}", row.sop_instance));
        }
    }
    let lost: Vec<_> = acked.iter().filter(|told| !found.contains(**told)).collect();
    assert!(lost.is_empty(), "{lost:?} lost after {context}");
    assert!(
        !erased || !found.iter().any(|found| found.starts_with("1.2.3.2.")),
        "not erased after {context}"
    );
    assert_nothing_of_the_patient(dir);
    custody.close().await;
    let (custody, again) = try_open(options(dir)).unwrap();
    assert_eq!(again, RecoveryReport::default(), "after {context}");
    custody.close().await;
}
