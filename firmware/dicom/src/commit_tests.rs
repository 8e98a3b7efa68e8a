//! Commitment as a peer sees it: the answer, the report after a silence, and what is refused with which status.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;
use crate::receive::Ending;
use crate::receive::tests::{Diary, a_peer, pdvs, release, response, status};

const LITTLE: Encoding = Encoding::ExplicitLittle;

fn request(instances: &[&str]) -> Vec<u8> {
    let items = instances
        .iter()
        .map(|uid| crate::ReferencedInstance {
            sop_class: "1.2.840.10008.5.1.4.1.1.2".parse().unwrap(),
            sop_instance: uid.parse().unwrap(),
        })
        .collect();
    CommitmentRequest { transaction: "2.25.7".parse().unwrap(), items }.write(LITTLE)
}

fn action(message_id: u16, instance: &str, action: u16, data_set: &[u8]) -> Vec<u8> {
    let command = dimse::action_request(message_id, STORAGE_COMMITMENT, instance, action);
    [pdvs(5, 1, &command, 4096), pdvs(5, 0, data_set, 1000)].concat()
}

fn good(message_id: u16, instances: &[&str]) -> Vec<u8> {
    action(message_id, STORAGE_COMMITMENT_INSTANCE, 1, &request(instances))
}

/// A report with its data set, from PDUs of at most 1024 bytes.
async fn report(peer: &mut DuplexStream) -> (Command, CommitmentResult) {
    let command = response(peer).await;
    let mut data_set = Vec::new();
    loop {
        let mut header = [0; 12];
        peer.read_exact(&mut header).await.unwrap();
        let length = u32::from_be_bytes([header[6], header[7], header[8], header[9]]) - 2;
        assert!(length <= 1024 - 6, "{length}");
        let mut part = vec![0; usize::try_from(length).unwrap()];
        peer.read_exact(&mut part).await.unwrap();
        data_set.extend(part);
        if header[11] == 2 {
            break;
        }
    }
    let result = read_report(&command, &data_set, LITTLE).unwrap();
    (command, result)
}

#[tokio::test]
async fn a_silent_peer_is_told_and_its_answer_counts() {
    let diary = Diary::default();
    let (mut peer, serving) = a_peer(diary.clone());
    let many: Vec<String> = (0..100).map(|number| format!("1.2.3.{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    peer.write_all(&good(1, &many)).await.unwrap();
    let answer = response(&mut peer).await;
    assert_eq!((answer.field, answer.status()), (dimse::N_ACTION_RSP, Some(DimseStatus::SUCCESS)));
    assert_eq!(answer.action_type(), Some(1));
    assert_eq!(answer.affected_sop_instance().as_deref(), Some(STORAGE_COMMITMENT_INSTANCE));
    let (command, result) = report(&mut peer).await;
    assert_eq!(command.event_type(), Some(SOME_FAILED));
    assert_eq!((result.committed.len(), result.failed.len()), (90, 10));
    assert_eq!(diary.entries(), ["commit 2.25.7 100"], "told before the peer has answered");
    let taken = dimse::response(&command, DimseStatus::SUCCESS, None);
    peer.write_all(&pdvs(5, 1, &taken, 4096)).await.unwrap();
    release(peer).await;
    assert_eq!(serving.await.unwrap().unwrap(), Ending::Released);
    assert_eq!(diary.entries(), ["commit 2.25.7 100", "told 2.25.7"]);
}

#[tokio::test]
async fn a_peer_that_releases_or_goes_on_is_not_disturbed() {
    for goes_on in [false, true] {
        let diary = Diary::default();
        let (mut peer, serving) = a_peer(diary.clone());
        peer.write_all(&good(1, &["1.2.3"])).await.unwrap();
        assert_eq!(status(&mut peer).await, DimseStatus::SUCCESS);
        if goes_on {
            peer.write_all(&dimse::command_pdu(1, &dimse::echo_request(2))).await.unwrap();
            assert_eq!(response(&mut peer).await.field, dimse::C_ECHO_RSP);
            tokio::time::sleep(SILENCE * 2).await;
        }
        release(peer).await;
        assert_eq!(serving.await.unwrap().unwrap(), Ending::Released);
        assert_eq!(diary.entries(), ["commit 2.25.7 1"]);
    }
}

#[tokio::test]
async fn a_report_that_is_refused_or_left_unanswered_was_not_told() {
    for refuses in [false, true] {
        let diary = Diary::default();
        let (mut peer, serving) = a_peer(diary.clone());
        peer.write_all(&good(1, &["1.2.3"])).await.unwrap();
        assert_eq!(status(&mut peer).await, DimseStatus::SUCCESS);
        let (command, result) = report(&mut peer).await;
        assert_eq!((command.event_type(), result.committed.len()), (Some(ALL_KEPT), 1));
        if refuses {
            let refusal = dimse::response(&command, DimseStatus::PROCESSING_FAILURE, None);
            peer.write_all(&pdvs(5, 1, &refusal, 4096)).await.unwrap();
        }
        release(peer).await;
        assert_eq!(serving.await.unwrap().unwrap(), Ending::Released);
        assert_eq!(diary.entries(), ["commit 2.25.7 1"]);
    }
}

#[tokio::test]
async fn what_is_wrong_has_its_own_status() {
    let diary = Diary::default();
    let (mut peer, serving) = a_peer(diary.clone());
    let whole = request(&["1.2.3"]);
    let other_class = dimse::action_request(9, "1.2.840.10008.1.20.2", STORAGE_COMMITMENT_INSTANCE, 1);
    let no_data = {
        let mut command = dimse::action_request(9, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE, 1);
        let at = command.windows(4).position(|tag| tag == [0, 0, 0, 8]).unwrap();
        command[at + 8..at + 10].copy_from_slice(&[1, 1]);
        command
    };
    for (bytes, expected) in [
        (action(1, "1.2.3", 1, &whole), DimseStatus::NO_SUCH_INSTANCE),
        (action(2, STORAGE_COMMITMENT_INSTANCE, 2, &whole), DimseStatus::NO_SUCH_ACTION),
        (action(3, STORAGE_COMMITMENT_INSTANCE, 1, &whole[..whole.len() - 3]), DimseStatus::INVALID_ARGUMENT),
        (action(4, STORAGE_COMMITMENT_INSTANCE, 1, &request(&[])), DimseStatus::INVALID_ARGUMENT),
        (
            [pdvs(5, 1, &other_class, 4096), pdvs(5, 0, &whole, 4096)].concat(),
            DimseStatus::CLASS_INSTANCE_CONFLICT,
        ),
        (pdvs(5, 1, &no_data, 4096), DimseStatus::INVALID_ARGUMENT),
        (pdvs(5, 1, &dimse::echo_request(6), 4096), DimseStatus::SOP_CLASS_NOT_SUPPORTED),
    ] {
        peer.write_all(&bytes).await.unwrap();
        assert_eq!(status(&mut peer).await, expected);
    }
    release(peer).await;
    serving.await.unwrap().unwrap();
    assert!(diary.entries().is_empty());
}

#[test]
fn a_requestor_that_agreed_to_report_only_may_not_ask() {
    let bytes = dimse::action_request(1, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE, REQUEST);
    let command = Command::parse(bytes.into()).unwrap();
    let agreed = AgreedContext {
        service: crate::services::Service::StorageCommitment,
        abstract_syntax: STORAGE_COMMITMENT.parse().unwrap(),
        transfer_syntax: "1.2.840.10008.1.2.1".parse().unwrap(),
        requestor: crate::services::Roles { scu: false, scp: true },
    };
    let refused = asked(&command, &agreed, None, LITTLE).unwrap_err();
    assert_eq!(refused.status, DimseStatus::UNRECOGNIZED_OPERATION);
}

#[tokio::test]
async fn a_data_set_beyond_the_limit_is_refused_and_the_association_goes_on() {
    let (peer, serving) = a_peer(Diary::default());
    let (mut reader, mut writer) = tokio::io::split(peer);
    let sending = tokio::spawn(async move {
        let command = dimse::action_request(1, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE, 1);
        let data = pdvs(5, 0, &vec![0; LONGEST_DATA_SET + 2], 65536);
        writer.write_all(&[pdvs(5, 1, &command, 4096), data].concat()).await.unwrap();
        writer
    });
    let mut header = [0; 12];
    reader.read_exact(&mut header).await.unwrap();
    let mut answer = vec![0; usize::from(header[9]) - 2];
    reader.read_exact(&mut answer).await.unwrap();
    assert_eq!(Command::parse(answer.into()).unwrap().status(), Some(DimseStatus::RESOURCE_LIMITATION));
    release(reader.unsplit(sending.await.unwrap())).await;
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_report_of_a_peer_reaches_the_taker() {
    let diary = Diary::default();
    let (mut peer, serving) = a_peer(diary.clone());
    let told = CommitmentResult {
        transaction: "2.25.8".parse().unwrap(),
        committed: vec![],
        failed: vec![(
            crate::ReferencedInstance {
                sop_class: "1.2.840.10008.5.1.4.1.1.2".parse().unwrap(),
                sop_instance: "1.2.3".parse().unwrap(),
            },
            0x0112,
        )],
    };
    for (event, expected) in [(3, DimseStatus::NO_SUCH_EVENT), (2, DimseStatus::SUCCESS)] {
        let command = dimse::event_report_request(1, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE, event);
        let data = told.write(LITTLE);
        peer.write_all(&[pdvs(5, 1, &command, 4096), pdvs(5, 0, &data, 4096)].concat()).await.unwrap();
        assert_eq!(status(&mut peer).await, expected);
    }
    release(peer).await;
    serving.await.unwrap().unwrap();
    assert_eq!(diary.entries(), ["PACS reports 2.25.8 0 1"]);
}

#[tokio::test]
async fn a_response_that_nobody_asked_for_ends_the_association() {
    let (mut peer, serving) = a_peer(Diary::default());
    let request = dimse::event_report_request(1, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE, 1);
    let request = Command::parse(request.into()).unwrap();
    let response = dimse::response(&request, DimseStatus::SUCCESS, None);
    peer.write_all(&pdvs(5, 1, &response, 4096)).await.unwrap();
    assert!(serving.await.unwrap().is_err());
}
