//! What a report makes of what was asked.

use beeldbox_protocol::envelope::pack::PackId;
use beeldbox_protocol::ident::Digest;

use super::*;

fn row(id: i64) -> InstanceRow {
    InstanceRow {
        id,
        pack: PackId::from_random([1; 16]),
        frame_index: 0,
        frame_offset: 0,
        frame_len: 0,
        sop_class: "1.2.3".parse().unwrap(),
        sop_instance: format!("1.2.3.{id}").parse().unwrap(),
        transfer_syntax: "1.2.840.10008.1.2.1".parse().unwrap(),
        study: Some("1.2".parse().unwrap()),
        series: None,
        size_bytes: 0,
        digest: Digest::of(b""),
        received_at: Timestamp::UNIX_EPOCH,
        damaged: false,
    }
}

fn reference(id: i64) -> ReferencedInstance {
    ReferencedInstance { sop_class: "1.2.3".parse().unwrap(), sop_instance: row(id).sop_instance }
}

fn report(committed: &[i64], failed: &[(i64, u16)]) -> CommitmentResult {
    CommitmentResult {
        transaction: "2.25.7".parse().unwrap(),
        committed: committed.iter().map(|id| reference(*id)).collect(),
        failed: failed.iter().map(|(id, reason)| (reference(*id), *reason)).collect(),
    }
}

#[test]
fn only_what_is_named_as_committed_is_confirmed() {
    let rows = [row(1), row(2), row(3), row(4)];
    let stored: Vec<&InstanceRow> = rows.iter().collect();
    assert_eq!(not_committed(&stored, &report(&[1, 2, 3, 4, 9], &[])), []);
    // One that failed, one that failed without a reason, one that nobody speaks of.
    let unconfirmed = not_committed(&stored, &report(&[1], &[(2, 0x0112), (3, 0)]));
    assert_eq!(unconfirmed, [(2, 0x0112), (3, NOT_CONFIRMED), (4, NOT_CONFIRMED)]);
}

#[test]
fn a_report_belongs_to_the_question_of_its_name_and_to_no_other() {
    let questions = Questions::default();
    let (mine, other) = (TransferId::from_random([1; 16]), TransferId::from_random([2; 16]));
    let now = Timestamp::UNIX_EPOCH;
    let asked = |name: &str| Question {
        transaction: name.parse().unwrap(),
        stage: Stage::Asked,
        until: after(now, COMMITMENT),
    };
    questions.set(mine, asked("2.25.7"), now);
    questions.set(other, asked("2.25.8"), now);
    assert_eq!(questions.answer(report(&[1], &[])), Some(mine));
    assert!(questions.is_answered(mine) && !questions.is_answered(other));
    questions.forget(mine);
    assert_eq!(questions.answer(report(&[1], &[])), None);
    // What nobody came back for does not stay for ever.
    questions.set(mine, asked("2.25.7"), after(now, COMMITMENT + FORGOTTEN_AFTER));
    assert_eq!(questions.all().len(), 1);
}
