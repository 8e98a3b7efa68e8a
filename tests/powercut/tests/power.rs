//! Power is cut under a whole machine, and what was told before must be found after.

use std::path::Path;
use std::process::Command;

use beeldbox_powercut::haul::{self, Work};
use beeldbox_powercut::mount::FileSystem;
use beeldbox_powercut::replay::Source;

/// This crate's program.
const PROGRAM: &str = env!("CARGO_BIN_EXE_beeldbox-powercut");

/// What the machine does here: the script once, and two associations beside it until the script ends.
const WORK: Work = Work { file_system: FileSystem::Ext4, seconds: 1, associations: 2 };

/// States to judge here; the long haul judges as many as it is told.
const STATES: usize = 100;

/// Whether a machine can be run and its disk be mounted; says so if not.
fn can_run(test: &str) -> bool {
    let works = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
    };
    let missing = [
        ("a mount namespace (root)", works("unshare", &["--mount", "true"])),
        ("qemu-system-x86", works("qemu-system-x86_64", &["--version"])),
        ("busybox-static", Path::new("/bin/busybox").is_file()),
        ("the kernel that cargo suite unpacks", haul::has_kernel(Path::new(PROGRAM))),
    ];
    let missing: Vec<&str> = missing.iter().filter(|(_, there)| !there).map(|(name, _)| *name).collect();
    if !missing.is_empty() {
        eprintln!("NOT TESTED: {test} needs {}", missing.join(", "));
    }
    missing.is_empty()
}

#[test]
fn every_state_that_a_cut_may_leave_keeps_what_was_told() {
    if !can_run("every_state_that_a_cut_may_leave_keeps_what_was_told") {
        return;
    }
    let folder = haul::scratch().unwrap();
    let source = haul::record(Path::new(PROGRAM), folder.path(), WORK).unwrap();
    let judged = haul::judge(Path::new(PROGRAM), &source, STATES, 2, 1).unwrap();
    println!("{judged}");
    assert!(judged.broken.is_empty(), "{judged}");
    assert!(judged.acknowledged > 20, "the machine did next to nothing: {judged}");
    assert!(judged.recovered > STATES / 4, "hardly any start had something to do: {judged}");
    // The same run on a disk that answers flushes and ignores them: if that goes unnoticed, nobody was looking.
    let forgetful = Source { is_forgetful: true, ..source };
    let judged = haul::judge(Path::new(PROGRAM), &forgetful, 20, 2, 1).unwrap();
    assert!(judged.broken.len() > 5, "a disk that forgets was not noticed: {judged}");
}

#[test]
fn a_machine_that_is_killed_again_and_again_loses_nothing() {
    if !can_run("a_machine_that_is_killed_again_and_again_loses_nothing") {
        return;
    }
    let folder = haul::scratch().unwrap();
    let work = Work { seconds: 6, ..WORK };
    let found = haul::kill(Path::new(PROGRAM), folder.path(), work, 2, 1).unwrap();
    assert!(found.last().is_some_and(|stored| *stored > 0), "nothing was ever acknowledged: {found:?}");
}
