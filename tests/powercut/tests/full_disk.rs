//! A full disk: nothing is acknowledged that is not kept, erasing goes on with no byte left, and intake comes back.
//!
//! The disk is memory of a fixed size, mounted in a mount namespace of its own: each test starts itself again in one.

#![expect(clippy::unwrap_used, reason = "what stands beside the tests is part of them")]

use std::path::Path;
use std::process::Command;

use beeldbox_custody::{Changes, Custody, CustodyError, IntakeError, OutboundState};
use beeldbox_powercut::image::Name;
use beeldbox_powercut::mount::{Mounted, in_own_namespace};
use beeldbox_powercut::oracle::{Expected, judge};
use beeldbox_powercut::script::{association, at, options};
use beeldbox_powercut::told::Told;
use beeldbox_protocol::envelope::data_set_digest::DataSetDigest;

/// Says to a test that it is the one in the namespace.
const INSIDE: &str = "BEELDBOX_POWERCUT_INSIDE";

/// Bytes of the disk.
const DISK_LEN: u64 = 24 << 20;

/// Bytes of the ballast.
const BALLAST_LEN: u64 = 4 << 20;

/// Starts the calling test again where it may mount. Says whether this is that.
fn is_inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let tried = Command::new("unshare").args(["--mount", "true"]).output();
    if !tried.is_ok_and(|output| output.status.success()) {
        eprintln!("NOT TESTED: {test} has to mount, and this account may not");
        return false;
    }
    let program = std::env::current_exe().unwrap();
    let status = in_own_namespace(&program).args(["--exact", test, "--nocapture"]).env(INSIDE, "1").status();
    assert!(status.unwrap().success(), "the same test failed in its own mount namespace");
    false
}

fn open(dir: &Path, reserve_bytes: u64) -> Custody {
    let mut options = options(dir);
    options.ballast_bytes = BALLAST_LEN;
    options.reserve_bytes = reserve_bytes;
    Custody::open(options).unwrap().0
}

/// Sends until custody refuses; gives what was acknowledged and the refusal.
fn fill(custody: &Custody, study: u32, told: &mut Vec<Told>) -> IntakeError {
    let mut association = association(custody).unwrap();
    for number in 1..9000 {
        let name = Name::new(study, number);
        let image = name.image();
        let sent = association
            .begin(at(1), &image.description, &image.attributes)
            .and_then(|()| association.write(&image.data))
            .and_then(|()| association.finish(DataSetDigest::of(&image.data), at(2)));
        match sent {
            Ok(_) => told.push(Told::Stored(name)),
            Err(refused) => {
                association.close();
                return refused;
            }
        }
    }
    panic!("the disk never got full");
}

/// Erases a study. On a full disk the first commit may be refused; it releases the ballast, and the second must do.
async fn erase(custody: &Custody, study: u32, told: &mut Vec<Told>) {
    let uid = beeldbox_powercut::image::study_uid(study).parse().unwrap();
    let row = custody.study_by_uid(&uid).await.unwrap().pop().unwrap();
    told.push(Told::Erasing { study, packs: Vec::new() });
    let mut refusals = 0;
    loop {
        let queued = OutboundState::Queued { closed_at: at(5) };
        let moved =
            custody.advance(row.transfer, OutboundState::Collecting, queued, Changes::default(), at(5));
        // Stale: the earlier try moved it and only the erasing was refused.
        let erased = match moved.await {
            Ok(()) | Err(CustodyError::Stale) => custody.erase(row.collection, at(6)).await,
            Err(refused) => Err(refused),
        };
        match erased {
            Ok(()) => break,
            Err(CustodyError::OutOfSpace) if refusals == 0 => refusals += 1,
            Err(refused) => panic!("erasing on a full disk, after {refusals} refusals: {refused}"),
        }
    }
    told.push(Told::Erased { study, packs: Vec::new() });
}

/// Takes the last free bytes of a disk.
fn take_the_rest(folder: &Path) {
    let mut size = 1 << 20;
    for number in 0.. {
        let file = folder.join(format!("rest{number}"));
        if std::fs::write(&file, vec![1; size]).is_err() {
            if size == 4096 {
                return;
            }
            size = 4096;
        }
    }
}

#[tokio::test]
async fn with_a_reserve_intake_is_refused_before_any_data_and_everything_else_goes_on() {
    if !is_inside("with_a_reserve_intake_is_refused_before_any_data_and_everything_else_goes_on") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let disk = Mounted::memory(DISK_LEN, &place.path().join("disk")).unwrap();
    let dir = disk.path().join("custody");
    let custody = open(&dir, 4 << 20);
    let mut told = Vec::new();
    assert!(matches!(fill(&custody, 1, &mut told), IntakeError::OutOfSpace), "the refusal has its name");
    assert!(matches!(fill(&custody, 2, &mut told), IntakeError::OutOfSpace), "and stays");
    let stored = told.len();
    erase(&custody, 1, &mut told).await;
    assert!(matches!(fill(&custody, 3, &mut told), IntakeError::OutOfSpace), "the disk got full again");
    let again = told.len() - stored - 2;
    assert!(again > stored / 2, "{again} came after erasing {stored}");
    custody.close().await;
    drop(custody);
    judge(&dir, &Expected::of(&told)).await.unwrap();
    println!("with a reserve: {stored} instances, erased, {again} more");
}

#[tokio::test]
async fn with_no_byte_free_nothing_is_lost_and_erasing_makes_room() {
    if !is_inside("with_no_byte_free_nothing_is_lost_and_erasing_makes_room") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let disk = Mounted::memory(DISK_LEN, &place.path().join("disk")).unwrap();
    let dir = disk.path().join("custody");
    let custody = open(&dir, 0);
    let mut told = Vec::new();
    assert!(matches!(fill(&custody, 1, &mut told), IntakeError::OutOfSpace), "the refusal has its name");
    let stored = told.len();
    take_the_rest(disk.path());
    assert_eq!(custody.free_space().unwrap(), 0, "the disk is full to the last byte");
    let mut refused = Vec::new();
    for study in 2..5 {
        refused.push(fill(&custody, study, &mut told));
    }
    assert!(refused.iter().all(|refused| matches!(refused, IntakeError::OutOfSpace)), "{refused:?}");
    assert_eq!(told.len(), stored, "nothing was acknowledged on a full disk");
    erase(&custody, 1, &mut told).await;
    assert!(matches!(fill(&custody, 6, &mut told), IntakeError::OutOfSpace), "the disk got full again");
    let again = told.len() - stored - 2;
    assert!(again > 0, "intake came back after erasing");
    custody.close().await;
    drop(custody);
    judge(&dir, &Expected::of(&told)).await.unwrap();
    println!("no byte free: {stored} instances, erased, {again} more");
}

#[tokio::test]
async fn a_start_with_no_byte_free_recovers_what_was_acknowledged() {
    if !is_inside("a_start_with_no_byte_free_recovers_what_was_acknowledged") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let disk = Mounted::memory(DISK_LEN, &place.path().join("disk")).unwrap();
    let dir = disk.path().join("custody");
    let custody = open(&dir, 0);
    let mut told = Vec::new();
    fill(&custody, 1, &mut told);
    take_the_rest(disk.path());
    assert_eq!(custody.free_space().unwrap(), 0, "the disk is full to the last byte");
    custody.close().await;
    drop(custody);
    judge(&dir, &Expected::of(&told)).await.unwrap();
    let custody = open(&dir, 0);
    erase(&custody, 1, &mut told).await;
    fill(&custody, 2, &mut told);
    assert!(told.len() > 3, "intake came back");
    custody.close().await;
    drop(custody);
    judge(&dir, &Expected::of(&told)).await.unwrap();
}
