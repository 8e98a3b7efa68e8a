//! Queries against archives that are honest, lazy, chatty and hostile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dicom_dictionary_std::tags;
use dicom_ul::pdu::{
    AssociationAC, Pdu, PresentationContextResult, PresentationContextResultReason, UserVariableItem,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::data_set::DataSetWriter;
use crate::dimse::Command;
use crate::negotiate::APPLICATION_CONTEXT;
use crate::pdu::{RELEASE_REPLY, encode};
use crate::receive::tests::pdvs;

const LIMITS: AssociationLimits = AssociationLimits {
    connect: Duration::from_secs(5),
    artim: Duration::from_secs(5),
    progress: Duration::from_secs(5),
    response: Duration::from_millis(500),
};

/// One response: command and identifier.
fn pending(message_id: u16, status: u16, identifier: Option<&[u8]>) -> Vec<u8> {
    let request = Command::parse(dimse::find_request(message_id, "1.2.3").into()).unwrap();
    let mut command = dimse::response(&request, crate::DimseStatus(status), None);
    let Some(identifier) = identifier else { return pdvs(1, 1, &command, 4096) };
    let at = command.windows(4).position(|tag| tag == [0, 0, 0, 8]).unwrap();
    command[at + 8..at + 10].copy_from_slice(&[1, 0]);
    [pdvs(1, 1, &command, 4096), pdvs(1, 0, identifier, 16384)].concat()
}

async fn pdu(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut header = [0; 6];
    stream.read_exact(&mut header).await.ok()?;
    let length = u32::from_be_bytes([header[2], header[3], header[4], header[5]]);
    let mut body = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut body).await.ok()?;
    Some((header[0], body))
}

/// An archive that answers each C-FIND by what the script makes of (how many came before, the identifier asked).
/// Returns the node and the kinds of PDU that ended its associations.
pub(crate) async fn an_archive<F>(script: F) -> (PeerNode, tokio::sync::mpsc::UnboundedReceiver<u8>)
where
    F: Fn(usize, u16, Vec<u8>) -> Vec<u8> + Send + Sync + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (ends, ended) = tokio::sync::mpsc::unbounded_channel();
    let script = Arc::new(script);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&script), ends.clone()));
        }
    });
    (PeerNode::plain("ARCHIVE".parse().unwrap(), address), ended)
}

async fn serve<F>(mut stream: TcpStream, script: Arc<F>, ends: tokio::sync::mpsc::UnboundedSender<u8>)
where
    F: Fn(usize, u16, Vec<u8>) -> Vec<u8>,
{
    pdu(&mut stream).await.unwrap();
    let accept = Pdu::AssociationAC(AssociationAC {
        protocol_version: 1,
        calling_ae_title: "BEELDBOX".to_owned(),
        called_ae_title: "ARCHIVE".to_owned(),
        application_context_name: APPLICATION_CONTEXT.to_owned(),
        presentation_contexts: vec![PresentationContextResult {
            id: 1,
            reason: PresentationContextResultReason::Acceptance,
            transfer_syntax: "1.2.840.10008.1.2.1".to_owned(),
        }],
        user_variables: vec![UserVariableItem::MaxLength(16384)],
    });
    stream.write_all(&encode(&accept).unwrap()).await.unwrap();
    let mut count = 0;
    let mut asked = 0;
    while let Some((kind, body)) = pdu(&mut stream).await {
        match kind {
            4 if body[5] & 1 == 1 => {
                let command = Command::parse(body[6..].to_vec().into()).unwrap();
                asked = command.message_id().unwrap_or(0);
            }
            4 => {
                let answers = script(count, asked, body[6..].to_vec());
                count += 1;
                // A requestor that aborts does not read the rest.
                if stream.write_all(&answers).await.is_err() {
                    let _ = ends.send(0);
                    return;
                }
            }
            5 => {
                let _ = ends.send(5);
                stream.write_all(&RELEASE_REPLY).await.unwrap();
                return;
            }
            other => {
                let _ = ends.send(other);
                return;
            }
        }
    }
}

fn calling() -> AeTitle {
    "BEELDBOX".parse().unwrap()
}

fn study(uid: &str, count: Option<&str>) -> Vec<u8> {
    let mut writer = DataSetWriter::new(Encoding::ExplicitLittle);
    writer.text(tags::SPECIFIC_CHARACTER_SET, *b"CS", b"ISO_IR 100");
    writer.text(tags::MODALITIES_IN_STUDY, *b"CS", b"CT\\PR");
    writer.text(tags::PATIENT_NAME, *b"PN", b"Andr\xe9^Zo\xeb");
    writer.uid(tags::STUDY_INSTANCE_UID, uid);
    if let Some(count) = count {
        writer.text(tags::NUMBER_OF_STUDY_RELATED_INSTANCES, *b"IS", count.as_bytes());
    }
    writer.finish()
}

#[tokio::test]
async fn answers_are_read_in_their_character_set() {
    let (node, mut ended) = an_archive(|_, id, _| {
        let answer = pending(id, 0xff00, Some(&study("1.2.3", Some("17"))));
        [answer.repeat(3), pending(id, 0, None)].concat()
    })
    .await;
    let found = find(&node, &calling(), &Query::new(QueryLevel::Study, 10), LIMITS).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].patient.name.as_ref().unwrap().reveal(), "André^Zoë");
    assert_eq!(found[0].modalities, ["CT", "PR"]);
    assert_eq!(found[0].instance_count, Some(17));
    assert_eq!(ended.recv().await, Some(5));
}

#[tokio::test]
async fn enough_is_cancelled_and_an_archive_that_does_not_stop_is_left() {
    for (stragglers, ending) in [(10, 5), (STRAGGLERS + 5, 7)] {
        let (node, mut ended) = an_archive(move |_, id, _| {
            let studies = (0..3 + stragglers).map(|number| study(&format!("1.2.3.{number}"), None));
            let one_each = studies.flat_map(|study| pending(id, 0xff00, Some(&study)));
            one_each.chain(pending(id, 0xfe00, None)).collect()
        })
        .await;
        let found = find(&node, &calling(), &Query::new(QueryLevel::Study, 3), LIMITS).await.unwrap();
        assert_eq!(found.len(), 3);
        // A peer whose writing was cut short has seen the abort as well.
        let end = ended.recv().await.unwrap();
        assert!(end == ending || (ending == 7 && end == 0), "{end}");
    }
}

#[tokio::test]
async fn hostile_archives_are_named_and_aborted() {
    let long = vec![0; LONGEST_IDENTIFIER + 2];
    let lying = [study("1.2.3", None), vec![0x20, 0, 0x06, 0x12, b'I', b'S', 0xff, 0x7f]].concat();
    let scripts: [(&str, Vec<u8>); 6] = [
        ("long", pending(1, 0xff00, Some(&long))),
        ("lying", pending(1, 0xff00, Some(&lying))),
        ("other message", pending(2, 0xff00, Some(&study("1.2.3", None)))),
        ("other context", pdvs(3, 1, &dimse::cancel_request(1), 4096)),
        ("data first", pdvs(1, 0, b"data", 4096)),
        ("silence", Vec::new()),
    ];
    for (name, bytes) in scripts {
        let (node, mut ended) = an_archive(move |_, _, _| bytes.clone()).await;
        let refused = find(&node, &calling(), &Query::new(QueryLevel::Study, 10), LIMITS).await.unwrap_err();
        let as_expected = match name {
            "long" => {
                matches!(refused, QueryError::Conversation(ConversationError::TooLong { limit: 65536 }))
            }
            "lying" => matches!(refused, QueryError::Identifier),
            "silence" => {
                matches!(refused, QueryError::Conversation(ConversationError::Wire(WireError::Silent)))
            }
            _ => {
                matches!(refused, QueryError::Conversation(ConversationError::Wire(WireError::Unexpected(_))))
            }
        };
        assert!(as_expected, "{name}: {refused:?}");
        assert_eq!(ended.recv().await, Some(7), "{name}");
    }
}

#[tokio::test]
async fn answers_after_the_last_one_are_not_waited_for() {
    let (node, mut ended) = an_archive(|_, id, _| {
        let answer = pending(id, 0xff00, Some(&study("1.2.3", None)));
        [answer.clone(), pending(id, 0, None), answer].concat()
    })
    .await;
    let found = find(&node, &calling(), &Query::new(QueryLevel::Study, 10), LIMITS).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(ended.recv().await, Some(7));
}

#[tokio::test]
async fn a_refusal_has_its_status() {
    let (node, mut ended) = an_archive(|_, id, _| pending(id, 0xa700, None)).await;
    let refused = find(&node, &calling(), &Query::new(QueryLevel::Study, 10), LIMITS).await;
    assert!(matches!(refused, Err(QueryError::Refused { status: crate::DimseStatus(0xa700), .. })));
    assert_eq!(ended.recv().await, Some(5));
}

fn twice<const N: usize>(answers: [Vec<u8>; N]) -> Vec<Vec<u8>> {
    [answers.to_vec(), answers.to_vec()].concat()
}

#[tokio::test]
async fn instances_are_counted_by_whatever_the_archive_can_say() {
    let uid: StudyInstanceUid = "1.2.3".parse().unwrap();
    let series = |uid: &str, count: Option<&str>| {
        let mut writer = DataSetWriter::new(Encoding::ExplicitLittle);
        writer.uid(tags::STUDY_INSTANCE_UID, "1.2.3");
        writer.uid(tags::SERIES_INSTANCE_UID, uid);
        if let Some(count) = count {
            writer.text(tags::NUMBER_OF_SERIES_RELATED_INSTANCES, *b"IS", count.as_bytes());
        }
        writer.finish()
    };
    let image = |number: u32| {
        let mut writer = DataSetWriter::new(Encoding::ExplicitLittle);
        writer.uid(tags::SOP_INSTANCE_UID, &format!("1.2.3.2.{number}"));
        writer.uid(tags::SERIES_INSTANCE_UID, "1.2.3.2");
        writer.finish()
    };
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let (node, _ended) = an_archive(move |count, id, _| {
        counter.fetch_add(1, Ordering::SeqCst);
        let answers: Vec<Vec<u8>> = match count {
            // A study that was not asked for, and the one that was, without a count.
            0 => vec![study("9.9", Some("99")), study("1.2.3", Some(""))],
            // Each twice: some archives answer once for each instance below.
            1 => twice([series("1.2.3.1", Some("5")), series("1.2.3.2", None)]),
            _ => twice([image(1), image(2), image(3), image(4)]),
        };
        let pending: Vec<u8> = answers.iter().flat_map(|answer| pending(id, 0xff00, Some(answer))).collect();
        [pending, super::tests::pending(id, 0, None)].concat()
    })
    .await;
    assert_eq!(count_instances(&node, &calling(), &uid).await.unwrap(), Some(9));
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    let (node, _ended) = an_archive(|_, id, _| pending(id, 0, None)).await;
    assert_eq!(count_instances(&node, &calling(), &uid).await.unwrap(), Some(0));
    let (node, _ended) = an_archive(|_, id, _| {
        [pending(id, 0xff00, Some(&study("1.2.3", Some("12 ")))), pending(id, 0, None)].concat()
    })
    .await;
    assert_eq!(count_instances(&node, &calling(), &uid).await.unwrap(), Some(12));
}

#[test]
fn keys_are_checked_and_written_in_the_set_that_most_know() {
    let name = |text: &str| Query {
        patient_name: Some(beeldbox_protocol::clinical::Confidential::new(text)),
        ..Query::new(QueryLevel::Study, 1)
    };
    let bytes = |query: &Query| query.identifier(Encoding::ExplicitLittle).unwrap();
    let holds = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    assert!(!holds(&bytes(&name("Jansen*")), b"ISO_IR"));
    assert!(holds(&bytes(&name("André")), b"ISO_IR 100") && holds(&bytes(&name("André")), b"Andr\xe9"));
    assert!(holds(&bytes(&name("山田")), b"ISO_IR 192") && holds(&bytes(&name("山田")), "山田".as_bytes()));
    assert!(Found::read(&bytes(&name("山田")), Encoding::ExplicitLittle).is_ok());
    let series = Query::new(QueryLevel::Series, 1);
    for refused in [
        name("a\\b"),
        name("a\nb"),
        name(&"x".repeat(65)),
        series.clone(),
        Query { study: Some("1.2".parse().unwrap()), ..Query::new(QueryLevel::Image, 1) },
        Query { study: Some("1.2".parse().unwrap()), ..name("x") }.at(QueryLevel::Series),
        Query { modality: Some("ct".to_owned()), ..Query::new(QueryLevel::Study, 1) },
    ] {
        let read = refused.identifier(Encoding::ImplicitLittle);
        assert!(matches!(read, Err(QueryError::Key { .. })), "{read:?}");
    }
}

impl Query {
    fn at(self, level: QueryLevel) -> Self {
        Query { level, ..self }
    }
}

/// Names of what an archive has: a study, a series, an instance.
fn named(series: Option<&str>, instance: Option<&str>) -> Vec<u8> {
    let mut writer = DataSetWriter::new(Encoding::ExplicitLittle);
    if let Some(instance) = instance {
        writer.uid(tags::SOP_INSTANCE_UID, instance);
    }
    writer.uid(tags::STUDY_INSTANCE_UID, "1.2.3");
    if let Some(series) = series {
        writer.uid(tags::SERIES_INSTANCE_UID, series);
    }
    writer.finish()
}

#[tokio::test]
async fn what_an_archive_has_is_named_and_half_a_list_is_none() {
    let uid: StudyInstanceUid = "1.2.3".parse().unwrap();
    let (node, mut ended) = an_archive(|count, id, _| {
        let answers = match count {
            0 => {
                vec![named(Some("1.2.3.1"), None), named(Some("1.2.3.2"), None), named(Some("1.2.3.1"), None)]
            }
            // It tells an instance twice, and one of another series.
            1 => vec![named(Some("1.2.3.1"), Some("1.2.9")), named(Some("1.2.3.1"), Some("1.2.9"))],
            _ => vec![named(Some("1.2.3.2"), Some("1.2.10")), named(Some("1.2.3.7"), Some("1.2.11"))],
        };
        let answers = answers.iter().flat_map(|answer| pending(id, 0xff00, Some(answer)));
        answers.chain(pending(id, 0, None)).collect()
    })
    .await;
    let held = instances_held(&node, &calling(), &uid).await.unwrap().unwrap();
    let mut names: Vec<&str> = held.iter().map(SopInstanceUid::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["1.2.10", "1.2.9"]);
    assert_eq!(ended.recv().await, Some(5));

    // It does not know the study.
    let (node, _ended) = an_archive(|_, id, _| pending(id, 0, None)).await;
    assert_eq!(instances_held(&node, &calling(), &uid).await.unwrap(), Some(HashSet::new()));
    // It has something, and does not name it.
    let (node, _ended) = an_archive(|_, id, _| {
        let answer = named(Some("1.2.3.1"), None);
        [pending(id, 0xff00, Some(&answer)), pending(id, 0, None)].concat()
    })
    .await;
    assert_eq!(instances_held(&node, &calling(), &uid).await.unwrap(), None);
}
