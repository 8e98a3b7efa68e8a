//! SIGKILL in the middle of intake.
//!
//! Goal: whatever the sender was told is stored, is stored. Method: this test starts itself as a child that receives
//! as fast as it can over several associations and prints one line per proof; it is killed after some hundred lines;
//! every printed instance must be found, and must verify. A killed process loses no page cache, so this shows the
//! order of steps, not the flushes; those are for the power-cut rig.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::ward::*;

const DIRECTORY: &str = "BEELDBOX_CUSTODY_TEST_DIRECTORY";

#[test]
fn receive_until_killed() {
    let Some(dir) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let (custody, _) = open(&dir);
    let associations: Vec<_> = (1..=4)
        .map(|study| {
            let custody = custody.clone();
            std::thread::spawn(move || {
                let mut association = session(&custody);
                for number in 1..=100_000 {
                    let image = image(study, number, 20_000);
                    let stored = send(&mut association, &image);
                    let line = format!("acked {} {}\n", image.description.sop_instance, stored.digest());
                    std::io::stderr().write_all(line.as_bytes()).unwrap();
                }
            })
        })
        .collect();
    for association in associations {
        association.join().unwrap();
    }
}

#[tokio::test]
async fn every_acknowledged_instance_is_found_after_sigkill() {
    let dir = tempfile::tempdir().unwrap();
    let mut acked = BTreeSet::new();
    for round in 1..=3 {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "tests::power::receive_until_killed", "--nocapture"])
            .env(DIRECTORY, dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = start(&mut command);
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let enough = acked.len() + 150;
        while acked.len() < enough {
            let line = lines.next().unwrap();
            if let Some(told) = line.strip_prefix("acked ") {
                acked.insert(told.to_owned());
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What was told before the kill but not read yet counts as well; a torn last line was not told.
        acked.extend(
            lines
                .filter(|line| line.len() > 64)
                .filter_map(|line| Some(line.strip_prefix("acked ")?.to_owned())),
        );
        let (custody, report) = open(dir.path());
        assert!(report.damaged.is_empty(), "round {round}: {report}");
        let mut found = BTreeSet::new();
        for study in custody.studies(None, 100).await.unwrap() {
            for row in custody.instances(study.collection, None, 100_000).await.unwrap() {
                let digest = custody.verify_instance(&row).await.unwrap();
                found.insert(format!("{} {digest}", row.sop_instance));
            }
        }
        let lost: Vec<_> = acked.iter().filter(|told| !found.contains(*told)).collect();
        assert!(lost.is_empty(), "round {round}: {lost:?}");
        custody.close().await;
    }
    assert_nothing_of_the_patient(dir.path());
}
