//! Start-up after a power cut.

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};

use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::envelope::pack::PackId;

use super::ward::*;
use crate::{CollectionId, Custody, DamagedStudy, OutboundState, ReadError, RecoveryReport};

#[tokio::test]
async fn a_clean_start_finds_nothing_to_do() {
    let (dir, custody) = empty_ward();
    receive(&custody, 1, 3);
    custody.close().await;
    let (_custody, report) = open(dir.path());
    assert_eq!(report, RecoveryReport::default());
}

#[tokio::test]
async fn a_torn_frame_is_cut_off() {
    let (dir, custody) = empty_ward();
    let mut association = session(&custody);
    send(&mut association, &image(1, 1, 3000));
    let torn = image(1, 2, 600_000);
    association.begin(at(3), &torn.description, &torn.attributes).unwrap();
    association.write(&torn.data).unwrap();
    let cut = power_cut(dir.path());
    let (recovered, report) = open(cut.path());
    assert_eq!((report.tails_cut, report.packs_closed), (1, 1));
    assert!(report.tail_bytes > 0);
    let study = only_study(&recovered).await;
    let rows = instances(&recovered, &study).await;
    assert_eq!(rows.len(), 1);
    recovered.verify_instance(&rows[0]).await.unwrap();
    let pack = &recovered.packs(study.collection).await.unwrap()[0];
    assert_eq!(fs::metadata(&packs_on_disk(cut.path())[0]).unwrap().len(), pack.len_bytes);
}

#[tokio::test]
async fn a_flushed_frame_without_its_row_is_taken_in() {
    let (dir, custody) = empty_ward();
    let mut association = session(&custody);
    send(&mut association, &image(1, 1, 3000));
    let late = image(1, 2, 600_000);
    association.begin(at(3), &late.description, &late.attributes).unwrap();
    association.write(&late.data).unwrap();
    association.flush_without_commit(late.digest());
    let cut = power_cut(dir.path());
    let (recovered, report) = open(cut.path());
    assert!(report.instances_adopted >= 1, "{report}");
    assert_eq!(report.tails_cut, 0);
    let study = only_study(&recovered).await;
    let rows = instances(&recovered, &study).await;
    assert_eq!(rows.len(), 2);
    for row in &rows {
        recovered.verify_instance(row).await.unwrap();
    }
    assert!(!study.two_patients && !study.conflict);
    // The sender was told nothing and sends again.
    assert!(send(&mut session(&recovered), &late).was_duplicate());
    recovered.close().await;
    let (_, report) = open(cut.path());
    assert_eq!(report.instances_adopted, 0);
}

#[tokio::test]
async fn whole_frames_are_taken_in_and_a_torn_one_behind_them_is_cut() {
    let (dir, custody) = empty_ward();
    let mut association = session(&custody);
    for number in 1..=3 {
        send(&mut association, &image(1, number, 3000));
    }
    let torn = image(1, 4, 900_000);
    association.begin(at(3), &torn.description, &torn.attributes).unwrap();
    association.write(&torn.data).unwrap();
    let cut = power_cut(dir.path());
    forget_instances(cut.path());
    let (recovered, report) = open(cut.path());
    assert_eq!((report.instances_adopted, report.tails_cut), (3, 1));
    let study = only_study(&recovered).await;
    assert_eq!(study.summary.instances, 3);
    for row in instances(&recovered, &study).await {
        recovered.verify_instance(&row).await.unwrap();
    }
}

#[tokio::test]
async fn an_adopted_instance_of_another_patient_is_noticed() {
    let (dir, custody) = empty_ward();
    let mut association = session(&custody);
    send(&mut association, &image(1, 1, 3000));
    let mut other = image(1, 2, 3000);
    let data = String::from_utf8_lossy(&other.data[..PATIENT_WORDS.join("|").len()])
        .replace("PID-4711-X", "PID-0000-Y");
    other.data = data.into_bytes();
    other.attributes.patient.id = Some(Confidential::new("PID-0000-Y"));
    association.begin(at(3), &other.description, &other.attributes).unwrap();
    association.write(&other.data).unwrap();
    association.flush_without_commit(other.digest());
    let cut = power_cut(dir.path());
    let (recovered, _) = open(cut.path());
    let study = only_study(&recovered).await;
    assert_eq!((study.summary.instances, study.two_patients), (2, true));
}

#[tokio::test]
async fn a_repetition_behind_the_end_is_not_taken_in_twice() {
    let (dir, custody) = empty_ward();
    let mut association = session(&custody);
    send(&mut association, &image(1, 1, 3000));
    let again = image(1, 1, 3000);
    association.begin(at(3), &again.description, &again.attributes).unwrap();
    association.write(&again.data).unwrap();
    association.flush_without_commit(again.digest());
    let cut = power_cut(dir.path());
    forget_instances(cut.path());
    let (recovered, report) = open(cut.path());
    assert_eq!((report.instances_adopted, report.tails_cut), (1, 1));
    let study = only_study(&recovered).await;
    assert_eq!((study.summary.instances, study.conflict), (1, false));
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_power_is_lost_at_once() {
    let (dir, custody) = empty_ward();
    let mut association = session(&custody);
    for number in 1..=5 {
        send(&mut association, &image(1, number, 40_000));
        let cut = power_cut(dir.path());
        let (recovered, report) = open(cut.path());
        assert!(report.damaged.is_empty());
        let study = only_study(&recovered).await;
        let rows = instances(&recovered, &study).await;
        assert_eq!(rows.len(), usize::try_from(number).unwrap());
        for row in rows {
            recovered.verify_instance(&row).await.unwrap();
        }
    }
}

#[tokio::test]
async fn files_without_a_row_are_removed() {
    let (dir, custody) = empty_ward();
    receive(&custody, 1, 1);
    custody.close().await;
    fs::write(dir.path().join("packs").join("00112233445566778899aabbccddeeff.pack"), b"made, never told")
        .unwrap();
    fs::write(dir.path().join("packs").join("note.txt"), b"left by someone").unwrap();
    let (custody, report) = open(dir.path());
    assert_eq!(report.orphans_removed, 2);
    assert_eq!(packs_on_disk(dir.path()).len(), 1);
    assert_eq!(only_study(&custody).await.summary.instances, 1);
}

#[tokio::test]
async fn a_copy_that_nobody_judged_does_not_take_the_place_of_what_was_answered() {
    let (dir, custody) = empty_ward();
    let (mut slow, mut quick) = (session(&custody), session(&custody));
    let copy = image(1, 1, 3000);
    // The slow one's pack has the lower row, and is looked at first.
    slow.begin(at(1), &copy.description, &copy.attributes).unwrap();
    slow.write(&copy.data).unwrap();
    for number in 1..=2 {
        send(&mut quick, &image(1, number, 3000));
    }
    slow.flush_without_commit(copy.digest());
    let cut = power_cut(dir.path());
    forget_instances(cut.path());
    let (recovered, report) = open(cut.path());
    assert_eq!((report.instances_adopted, report.tails_cut), (2, 1));
    let study = only_study(&recovered).await;
    let rows = instances(&recovered, &study).await;
    assert_eq!(rows.len(), 2);
    for row in &rows {
        recovered.verify_instance(row).await.unwrap();
    }
}

#[tokio::test]
async fn a_frame_in_a_pack_whose_header_was_never_flushed_is_not_taken_in() {
    let (dir, custody) = empty_ward();
    let mut association = session(&custody);
    let image = image(1, 1, 3000);
    association.begin(at(1), &image.description, &image.attributes).unwrap();
    association.write(&image.data).unwrap();
    association.flush_without_commit(image.digest());
    let cut = power_cut(dir.path());
    // The disk kept the frame by luck and lost the sector before it.
    let mut pack = OpenOptions::new().write(true).open(&packs_on_disk(cut.path())[0]).unwrap();
    pack.write_all(&[0; 64]).unwrap();
    let (recovered, report) = open(cut.path());
    assert_eq!((report.instances_adopted, report.damaged.len()), (0, 0), "{report}");
    assert!(recovered.studies(None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_pack_that_was_made_after_the_start_is_no_orphan() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("packs")).unwrap();
    fs::write(dir.path().join("packs").join("00112233445566778899aabbccddeeff.pack"), b"old").unwrap();
    let (custody, _) = Custody::open(options(dir.path())).unwrap();
    // Made, and its row is still to come.
    let young = PackId::from_random([7; 16]);
    custody.note_pack(young);
    fs::write(dir.path().join("packs").join(format!("{young}.pack")), b"young").unwrap();
    assert_eq!(custody.survey().unwrap().orphans_removed, 1);
    let left = packs_on_disk(dir.path());
    assert_eq!(left.len(), 1);
    assert!(left[0].ends_with(format!("{young}.pack")));
}

#[tokio::test]
async fn an_empty_pack_and_its_study_are_gone_after_a_crash() {
    let (dir, custody) = empty_ward();
    let mut association = session(&custody);
    let image = image(1, 1, 10);
    association.begin(at(1), &image.description, &image.attributes).unwrap();
    let cut = power_cut(dir.path());
    let (recovered, report) = open(cut.path());
    assert_eq!((report.empty_removed, report.orphans_removed), (1, 1));
    assert!(recovered.counts().await.unwrap().outbound.is_empty());
    assert!(packs_on_disk(cut.path()).is_empty());
}

#[tokio::test]
async fn rows_without_bytes_are_marked_damaged_loudly_and_without_the_patient() {
    let (dir, custody) = empty_ward();
    receive(&custody, 1, 3);
    let study = only_study(&custody).await;
    let rows = instances(&custody, &study).await;
    custody.close().await;
    let pack = &packs_on_disk(dir.path())[0];
    let file = OpenOptions::new().write(true).open(pack).unwrap();
    file.set_len(rows[1].frame_offset + rows[1].frame_len).unwrap();
    let (custody, report) = open(dir.path());
    let damage =
        DamagedStudy { collection: CollectionId(1), source_ae: Some("CT1".parse().unwrap()), instances: 1 };
    assert_eq!(report.damaged, [damage]);
    let text = report.to_string();
    assert!(text.contains("DAMAGED") && text.contains("CT1") && !text.contains('\n'));
    assert!(PATIENT_WORDS.iter().all(|word| !text.contains(word)));
    let study = only_study(&custody).await;
    assert_eq!((study.damaged, study.summary.instances), (1, 3));
    assert!(custody.packs(study.collection).await.unwrap()[0].damaged);
    let rows = instances(&custody, &study).await;
    assert_eq!(rows.iter().map(|row| row.damaged).collect::<Vec<_>>(), [false, false, true]);
    assert!(matches!(custody.verify_instance(&rows[2]).await, Err(ReadError::Pack(_))));
    // The PACS sends again what is damaged: the copy takes its place.
    assert!(send(&mut session(&custody), &image(1, 1, 3000)).was_duplicate());
    assert!(!send(&mut session(&custody), &image(1, 3, 3000)).was_duplicate());
    let study = only_study(&custody).await;
    assert_eq!((study.damaged, study.summary.instances, study.conflict), (0, 3, false));
}

#[tokio::test]
async fn a_lost_pack_is_damage_and_not_an_empty_study() {
    let (dir, custody) = empty_ward();
    receive(&custody, 1, 3);
    custody.close().await;
    fs::remove_file(&packs_on_disk(dir.path())[0]).unwrap();
    let (custody, report) = open(dir.path());
    assert_eq!(report.damaged[0].instances, 3);
    assert_eq!(only_study(&custody).await.damaged, 3);
}

#[tokio::test]
async fn a_last_frame_that_does_not_authenticate_is_damage() {
    let (dir, custody) = empty_ward();
    let mut association = session(&custody);
    for number in 1..=2 {
        send(&mut association, &image(1, number, 3000));
    }
    // Whoever asks waits for the commit, and the rows are in the log.
    let study = only_study(&custody).await;
    let cut = power_cut(dir.path());
    let last = instances(&custody, &study).await.remove(1);
    let mut file = OpenOptions::new().write(true).open(&packs_on_disk(cut.path())[0]).unwrap();
    file.seek(SeekFrom::Start(last.frame_offset + 500)).unwrap();
    file.write_all(&[0; 16]).unwrap();
    let (recovered, report) = open(cut.path());
    assert_eq!(report.damaged[0].instances, 1);
    assert_eq!(only_study(&recovered).await.damaged, 1);
}

#[tokio::test]
async fn a_flipped_bit_anywhere_in_a_frame_is_found() {
    let (dir, custody) = empty_ward();
    let mut association = session(&custody);
    send(&mut association, &image(1, 1, 100));
    let study = only_study(&custody).await;
    let row = instances(&custody, &study).await.remove(0);
    let pack = &packs_on_disk(dir.path())[0];
    let whole = fs::read(pack).unwrap();
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        fs::write(pack, &flipped).unwrap();
        assert!(custody.verify_instance(&row).await.is_err(), "byte {at}");
    }
    fs::write(pack, &whole).unwrap();
    custody.verify_instance(&row).await.unwrap();
}

#[tokio::test]
async fn recovering_twice_is_recovering_once() {
    let (dir, custody) = empty_ward();
    let mut association = session(&custody);
    for number in 1..=3 {
        send(&mut association, &image(1, number, 3000));
    }
    let torn = image(2, 1, 600_000);
    association.begin(at(3), &torn.description, &torn.attributes).unwrap();
    association.write(&torn.data).unwrap();
    receive(&custody, 3, 2);
    let cut = power_cut(dir.path());
    let (first, report) = open(cut.path());
    assert_ne!(report, RecoveryReport::default());
    let studies = first.studies(None, 10).await.unwrap().len();
    first.close().await;
    let before: Vec<_> = packs_on_disk(cut.path()).iter().map(|pack| fs::read(pack).unwrap()).collect();
    let (second, report) = open(cut.path());
    assert_eq!(report, RecoveryReport::default());
    assert_eq!(second.studies(None, 10).await.unwrap().len(), studies);
    let after: Vec<_> = packs_on_disk(cut.path()).iter().map(|pack| fs::read(pack).unwrap()).collect();
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_study_goes_on_after_a_crash_in_another_pack() {
    let (dir, custody) = empty_ward();
    let mut association = session(&custody);
    send(&mut association, &image(1, 1, 3000));
    let cut = power_cut(dir.path());
    let (recovered, _) = open(cut.path());
    assert!(send(&mut session(&recovered), &image(1, 1, 3000)).was_duplicate());
    send(&mut session(&recovered), &image(1, 2, 3000));
    let study = only_study(&recovered).await;
    assert_eq!(study.state, OutboundState::Collecting);
    assert_eq!(study.summary.instances, 2);
    assert_eq!(recovered.packs(study.collection).await.unwrap().len(), 2);
}

/// Takes the rows of all instances out of a ledger, as if their commits had not reached the disk.
fn forget_instances(dir: &std::path::Path) {
    let ledger = rusqlite::Connection::open(dir.join("ledger.sqlite")).unwrap();
    ledger.execute("DELETE FROM instance", []).unwrap();
    ledger.execute("UPDATE collection SET instances = 0, size_bytes = 0", []).unwrap();
    ledger.execute("UPDATE pack SET frames = 0, len_bytes = 64", []).unwrap();
}
