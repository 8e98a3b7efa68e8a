//! The storage SCU against a scripted peer: statuses, refused contexts, and never a last fragment on error.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test that sees anything else has failed")]

use std::collections::VecDeque;

use beeldbox_protocol::clinical::Confidential;
use dicom_ul::pdu::{
    AssociationAC, Pdu, PresentationContextResult, PresentationContextResultReason, UserVariableItem,
};
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::*;
use crate::coerce::{CoercedSource, CoercionOutcome, CoercionRecord, Coercions, LocalPatient};
use crate::pdu;
use crate::wire::Wire;
use crate::wire::tests::TIMERS;

struct Pieces(VecDeque<Result<Bytes, SourceError>>);

impl OutgoingSource for Pieces {
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, SourceError> {
        self.0.pop_front().transpose()
    }
}

fn pieces(bytes: &[u8], size: usize) -> Pieces {
    Pieces(bytes.chunks(size).map(|part| Ok(Bytes::copy_from_slice(part))).collect())
}

fn an_instance() -> OutgoingInstance {
    OutgoingInstance {
        sop_class: "1.2.840.10008.5.1.4.1.1.2".parse().unwrap(),
        sop_instance: "1.2.3".parse().unwrap(),
        transfer_syntax: "1.2.840.10008.1.2.1".parse().unwrap(),
        size_hint: None,
    }
}

/// What the acceptor saw of one instance.
#[derive(Debug, PartialEq)]
enum Seen {
    Complete { bytes: Vec<u8> },
    Aborted { bytes: usize },
}

/// An acceptor that takes one instance in PDUs of at most `limit` and answers success.
async fn an_acceptor(limit: u32) -> (DuplexStream, JoinHandle<Seen>) {
    let (ours, theirs) = duplex(1 << 16);
    let accepting = tokio::spawn(async move {
        let mut wire = Wire::acceptor(theirs, TIMERS, None);
        let Ok(Incoming::AssociateRequest(request)) = wire.next(Wait::Idle).await else {
            panic!("no request")
        };
        let request = pdu::decode_request(&request).unwrap();
        let accept = Pdu::AssociationAC(AssociationAC {
            protocol_version: 1,
            calling_ae_title: request.calling_ae_title,
            called_ae_title: request.called_ae_title,
            application_context_name: request.application_context_name,
            presentation_contexts: vec![PresentationContextResult {
                id: 1,
                reason: PresentationContextResultReason::Acceptance,
                transfer_syntax: "1.2.840.10008.1.2.1".to_owned(),
            }],
            user_variables: vec![UserVariableItem::MaxLength(limit)],
        });
        wire.accept(&pdu::encode(&accept).unwrap()).await.unwrap();
        let mut bytes = Vec::new();
        loop {
            match wire.next(Wait::Idle).await.unwrap() {
                Incoming::Piece(piece) if piece.kind == PdvKind::Command => {}
                Incoming::Piece(piece) => {
                    bytes.extend_from_slice(&piece.chunk);
                    if piece.last {
                        let request = dimse::store_request(1, "1.2.840.10008.5.1.4.1.1.2", "1.2.3");
                        let request = Command::parse(request.into()).unwrap();
                        let response = dimse::response(&request, DimseStatus(0xB007), Some("coerced"));
                        wire.send(&dimse::command_pdu(1, &response)).await.unwrap();
                        return Seen::Complete { bytes };
                    }
                }
                Incoming::Abort { .. } => return Seen::Aborted { bytes: bytes.len() },
                _ => panic!("something else than a message"),
            }
        }
    });
    (ours, accepting)
}

async fn associated(stream: DuplexStream) -> Result<StoreAssociation<DuplexStream>, AssociateError> {
    let instance = an_instance();
    let contexts = [
        (instance.sop_class.clone(), instance.transfer_syntax.clone()),
        (instance.sop_class, "1.2.840.10008.1.2.4.50".parse().unwrap()),
    ];
    let (called, calling) = ("PACS".parse().unwrap(), "BEELDBOX".parse().unwrap());
    associate_over(stream, &called, &calling, &contexts, AssociationLimits::default()).await
}

#[tokio::test]
async fn fragments_respect_the_peer_and_zero_is_no_limit() {
    let data: Vec<u8> = (0..1_000_000_u32).flat_map(|n| n.to_le_bytes()).collect();
    for (limit, room) in
        [(0, BUFFER - 12), (1024, 1018), (16384, 16378), (16385, 16378), (u32::MAX, BUFFER - 12)]
    {
        for length in [0, 1, room, 2 * room, 2 * room + 1] {
            let (stream, accepting) = an_acceptor(limit).await;
            let mut association = associated(stream).await.unwrap();
            let outcome =
                association.store(&an_instance(), &mut pieces(&data[..length], 60_000)).await.unwrap();
            assert_eq!(
                outcome,
                StoreOutcome { status: DimseStatus(0xB007), comment: Some("coerced".to_owned()) }
            );
            let Seen::Complete { bytes } = accepting.await.unwrap() else { panic!("aborted") };
            assert!(bytes == data[..length], "{limit} {length}");
        }
    }
}

#[tokio::test]
async fn a_source_that_fails_never_completes_the_instance() {
    for good in [0, 10, 300_000] {
        let (stream, accepting) = an_acceptor(0).await;
        let mut association = associated(stream).await.unwrap();
        let mut source = pieces(&vec![1; good], 100_000);
        source.0.push_back(Err(SourceError("disk".into())));
        let failed = association.store(&an_instance(), &mut source).await;
        assert!(matches!(failed, Err(StoreError::Source(_))));
        assert!(!association.is_open());
        assert!(matches!(accepting.await.unwrap(), Seen::Aborted { bytes } if bytes <= good));
        let again = association.store(&an_instance(), &mut pieces(b"x", 1)).await;
        assert!(matches!(again, Err(StoreError::Ended)));
    }
}

#[tokio::test]
async fn a_source_may_coerce_what_it_gives() {
    let instance = an_instance();
    let name = |name: &[u8; 4]| [b"\x10\0\x10\0PN\x04\0", &name[..]].concat();
    let record = CoercionRecord {
        system: "BOX".to_owned(),
        source: String::new(),
        at: "2026-11-28T00:00:00Z".parse().unwrap(),
    };
    let local = LocalPatient {
        id: Confidential::new("Z1"),
        issuer: None,
        name: Some(Confidential::new("Zuid")),
        birth_date: None,
        sex: None,
    };
    let plan = Coercions::new(Some(local), None, record).unwrap();
    let coerced =
        |bytes: &[u8]| CoercedSource::new(pieces(bytes, 3), &plan, &instance.transfer_syntax).unwrap();

    let (stream, accepting) = an_acceptor(0).await;
    let mut source = coerced(&name(b"Noor"));
    assert_eq!(source.outcome(), None);
    associated(stream).await.unwrap().store(&instance, &mut source).await.unwrap();
    assert_eq!(source.outcome(), Some(CoercionOutcome::default()));
    let Seen::Complete { bytes } = accepting.await.unwrap() else { panic!("aborted") };
    let behind_time = bytes.split_at(28).1;
    assert!(behind_time.starts_with(&name(b"Zuid")), "{}", bytes.escape_ascii());
    assert!(bytes.windows(12).any(|window| window == name(b"Noor")));

    // Cut off: never a last fragment.
    let (stream, accepting) = an_acceptor(0).await;
    let mut association = associated(stream).await.unwrap();
    let mut source = coerced(&name(b"Noor")[..11]);
    let Err(StoreError::Source(error)) = association.store(&instance, &mut source).await else {
        panic!("half a data set was sent")
    };
    assert_eq!(error.coercion(), Some(&CoercionError::CutOff));
    assert_eq!(source.outcome(), None, "it was never complete");
    let again = source.next_chunk().await.expect_err("what was cut off does not end well");
    assert_eq!(again.coercion(), Some(&CoercionError::GivenUp));
    assert!(matches!(accepting.await.unwrap(), Seen::Aborted { .. }));
}

#[tokio::test]
async fn a_pair_that_was_not_accepted_leaves_the_association_usable() {
    let (stream, accepting) = an_acceptor(0).await;
    let mut association = associated(stream).await.unwrap();
    let jpeg =
        OutgoingInstance { transfer_syntax: "1.2.840.10008.1.2.4.50".parse().unwrap(), ..an_instance() };
    assert!(!association.accepts(&jpeg.sop_class, &jpeg.transfer_syntax));
    let refused = association.store(&jpeg, &mut pieces(b"x", 1)).await;
    assert!(matches!(refused, Err(StoreError::NotAccepted)));
    association.store(&an_instance(), &mut pieces(b"x", 1)).await.unwrap();
    accepting.await.unwrap();
}

#[tokio::test]
async fn a_tiny_limit_and_a_rejection_are_named() {
    let (stream, _accepting) = an_acceptor(1000).await;
    assert!(matches!(associated(stream).await, Err(AssociateError::TinyPdu { limit: 1000 })));
    let (ours, mut theirs) = duplex(4096);
    theirs.write_all(&[3, 0, 0, 0, 0, 4, 0, 1, 1, 3]).await.unwrap();
    let Err(AssociateError::Rejected { transient, reason, .. }) = associated(ours).await else {
        panic!("not rejected")
    };
    assert_eq!((transient, reason.as_str()), (false, "calling AE title not recognized"));
}

#[test]
fn no_fragment_is_larger_than_the_peer_takes() {
    for (limit, room) in
        [(0, BUFFER - 12), (1024, 1018), (16384, 16378), (16385, 16378), (u32::MAX, BUFFER - 12)]
    {
        let mut framer = Framer::new(1, limit, b"command");
        let mut bytes = Bytes::from(vec![1; 2 * BUFFER]);
        framer.take(&mut bytes);
        assert!(framer.is_full());
        assert_eq!(framer.length(), room);
    }
}
