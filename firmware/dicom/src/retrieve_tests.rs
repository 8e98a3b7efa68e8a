//! Moves: progress is told, the end is understood, a flood or a stranger's answer is not.

use std::time::Duration;

use dicom_dictionary_std::tags;

use super::*;
use crate::data_set::DataSetWriter;
use crate::dimse::Command;
use crate::find::tests::an_archive;
use crate::receive::tests::pdvs;

const LIMITS: AssociationLimits = AssociationLimits {
    connect: Duration::from_secs(5),
    artim: Duration::from_secs(5),
    progress: Duration::from_secs(5),
    response: Duration::from_millis(500),
};

/// A response with numbers, and an identifier if there is one.
fn response(message_id: u16, status: u16, numbers: [u16; 4], identifier: Option<&[u8]>) -> Vec<u8> {
    let destination: AeTitle = "BEELDBOX".parse().unwrap();
    let request = Command::parse(dimse::move_request(message_id, "1.2.3", &destination).into()).unwrap();
    let mut command = dimse::response(&request, DimseStatus(status), None);
    for (element, number) in (0x1020_u16..).zip(numbers) {
        command.extend([&[0, 0][..], &element.to_le_bytes(), &[2, 0, 0, 0], &number.to_le_bytes()].concat());
    }
    let Some(identifier) = identifier else { return pdvs(1, 1, &command, 4096) };
    let at = command.windows(4).position(|tag| tag == [0, 0, 0, 8]).unwrap();
    command[at + 8..at + 10].copy_from_slice(&[1, 0]);
    [pdvs(1, 1, &command, 4096), pdvs(1, 0, identifier, 16384)].concat()
}

async fn moved(node: &PeerNode) -> (Result<MoveOutcome, QueryError>, Vec<MoveProgress>) {
    let mut steps = Vec::new();
    let (calling, study) = ("BEELDBOX".parse().unwrap(), "1.2.3".parse().unwrap());
    let outcome = move_study(node, &calling, &calling, &study, None, |step| steps.push(step), LIMITS).await;
    (outcome, steps)
}

#[tokio::test]
async fn progress_is_told_and_failed_instances_are_named() {
    let mut writer = DataSetWriter::new(Encoding::ExplicitLittle);
    writer.uid(tags::FAILED_SOP_INSTANCE_UID_LIST, "1.2.3.4\\1.2.3.5");
    let list = writer.finish();
    let (node, mut ended) = an_archive(move |_, id, _| {
        [
            response(id, 0xff00, [2, 1, 0, 0], None),
            response(id, 0xff00, [1, 1, 1, 0], None),
            response(id, 0xb000, [0, 1, 2, 0], Some(&list)),
        ]
        .concat()
    })
    .await;
    let (outcome, steps) = moved(&node).await;
    let outcome = outcome.unwrap();
    assert_eq!((outcome.status, outcome.progress.failed), (DimseStatus(0xb000), 2));
    assert_eq!(outcome.failed_instances, ["1.2.3.4".parse().unwrap(), "1.2.3.5".parse().unwrap()]);
    let numbers: Vec<_> = steps.iter().map(|step| (step.remaining, step.completed, step.failed)).collect();
    assert_eq!(numbers, [(None, 0, 0), (Some(2), 1, 0), (Some(1), 1, 1)]);
    assert!(steps.iter().all(|step| step.message_id == outcome.progress.message_id));
    assert_eq!(ended.recv().await, Some(5));
}

#[tokio::test]
async fn an_unknown_destination_is_told_apart_from_other_refusals() {
    for (status, unknown) in [(0xa801, true), (0xa900, false)] {
        let (node, _ended) = an_archive(move |_, id, _| response(id, status, [0; 4], None)).await;
        let refused = moved(&node).await.0.unwrap_err();
        assert_eq!(matches!(refused, QueryError::UnknownDestination), unknown, "{refused:?}");
        assert_eq!(matches!(refused, QueryError::Refused { .. }), !unknown, "{refused:?}");
    }
}

#[tokio::test]
async fn an_answer_to_something_else_is_aborted() {
    let (node, mut ended) =
        an_archive(|_, id, _| response(id.wrapping_add(1), 0xff00, [1, 0, 0, 0], None)).await;
    let refused = moved(&node).await.0.unwrap_err();
    assert!(matches!(refused, QueryError::Conversation(ConversationError::Wire(WireError::Unexpected(_)))));
    assert_eq!(ended.recv().await, Some(7));
}
