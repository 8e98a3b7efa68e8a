//! P-DATA in every shape a peer may choose, at constant memory; control PDUs within their cap.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test that sees anything else has failed")]

use std::sync::Arc;

use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

use super::*;

pub(crate) const TIMERS: Timers = Timers {
    idle: Duration::from_secs(20),
    progress: Duration::from_secs(20),
    response: Duration::from_secs(20),
};

async fn wire_with(bytes: &[u8]) -> (Wire<DuplexStream>, DuplexStream) {
    let (mut theirs, ours) = duplex(1 << 20);
    theirs.write_all(bytes).await.unwrap();
    (Wire::new(ours, TIMERS, None), theirs)
}

fn pdv(context: u8, control: u8, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len() + 2).unwrap();
    [&length.to_be_bytes()[..], &[context, control], data].concat()
}

fn p_data(pdvs: &[Vec<u8>]) -> Vec<u8> {
    let body = pdvs.concat();
    [&[4, 0][..], &u32::try_from(body.len()).unwrap().to_be_bytes(), &body].concat()
}

async fn piece(wire: &mut Wire<DuplexStream>) -> Piece {
    match wire.next(Wait::Idle).await.unwrap() {
        Incoming::Piece(piece) => piece,
        _ => panic!("something else than a message"),
    }
}

#[tokio::test]
async fn several_values_in_one_pdu_come_apart() {
    let bytes = p_data(&[pdv(1, 3, b"command"), pdv(1, 0, b"data"), pdv(3, 2, b"")]);
    let (mut wire, _theirs) = wire_with(&bytes).await;
    let got = [piece(&mut wire).await, piece(&mut wire).await, piece(&mut wire).await];
    let summary = got.map(|p| (p.context, p.kind, p.chunk.to_vec(), p.last));
    assert_eq!(summary[0], (1, PdvKind::Command, b"command".to_vec(), true));
    assert_eq!(summary[1], (1, PdvKind::Data, b"data".to_vec(), false));
    assert_eq!(summary[2], (3, PdvKind::Data, Vec::new(), true));
}

#[tokio::test]
async fn bytes_one_by_one_read_the_same() {
    let (mut theirs, ours) = duplex(1);
    let bytes = p_data(&[pdv(1, 2, b"abc")]);
    let writer = tokio::spawn(async move { theirs.write_all(&bytes).await.map(|()| theirs) });
    let mut wire = Wire::new(ours, TIMERS, None);
    let mut got = Vec::new();
    loop {
        let piece = piece(&mut wire).await;
        got.extend_from_slice(&piece.chunk);
        assert_eq!(piece.last, got.len() == 3);
        if piece.last {
            break;
        }
    }
    assert_eq!(got, b"abc");
    writer.await.unwrap().unwrap();
}

#[tokio::test]
async fn nonsense_is_refused_by_name() {
    for (bytes, expected) in [
        (vec![9, 0, 0, 0, 0, 4, 0, 0, 0, 0], "unknown type 0x09"),
        (vec![4, 0, 0, 0, 0, 5, 0, 0, 0, 1, 1], "without a complete PDV"),
        (vec![4, 0, 0, 0, 0, 6, 0, 0, 0, 1, 1, 3], "does not fit"),
        (vec![4, 0, 0, 0, 0, 6, 0, 0, 0, 9, 1, 3], "does not fit"),
        (vec![4, 0, 0, 0, 0, 8, 0, 0, 0, 2, 1, 3, 0, 0], "behind the last PDV"),
        (vec![5, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0], "wrong length"),
        (vec![1, 0, 0x7f, 0xff, 0xff, 0xff], "control PDU of 2147483647 bytes"),
    ] {
        let (mut wire, _theirs) = wire_with(&bytes).await;
        let error = wire.next(Wait::Idle).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

// A PDU that declares 4 GiB streams through one buffer: the reader never asks for more room than it has been given.
#[tokio::test]
async fn a_pdu_of_four_gibibytes_streams_through_constant_memory() {
    const SENT: usize = 64 << 20;
    let (mut theirs, ours) = duplex(1 << 20);
    let writer = tokio::spawn(async move {
        theirs.write_all(&[4, 0, 0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xfa, 1, 0]).await?;
        let block = vec![7; 1 << 20];
        for _ in 0..SENT >> 20 {
            theirs.write_all(&block).await?;
        }
        Ok::<_, io::Error>(())
    });
    let mut wire = Wire::new(ours, TIMERS, None);
    let mut got = 0;
    while got < SENT {
        let piece = piece(&mut wire).await;
        assert!(!piece.last && piece.chunk.len() <= BUFFER);
        assert!(wire.buffer.capacity() <= 2 * BUFFER);
        got += piece.chunk.len();
    }
    writer.await.unwrap().unwrap();
    assert!(matches!(wire.next(Wait::Idle).await, Err(WireError::Closed)));
}

#[tokio::test(start_paused = true)]
async fn silence_and_stopping_end_the_wait() {
    let (mut wire, _theirs) = wire_with(&[4, 0, 0]).await;
    assert!(matches!(wire.next(Wait::Idle).await, Err(WireError::Silent)));

    let (sender, receiver) = watch::channel(Phase::Running);
    let (_peer, ours) = duplex(16);
    let mut wire = Wire::new(ours, TIMERS, Some(receiver));
    let sender = Arc::new(sender);
    sender.send_replace(Phase::Stopping);
    assert!(matches!(wire.next(Wait::Idle).await, Err(WireError::Stopping)));
    sender.send_replace(Phase::Cut);
    assert!(matches!(wire.next(Wait::Progress).await, Err(WireError::Stopping)));
}

#[test]
fn refused_contexts_without_a_transfer_syntax_are_understood() {
    let mut pdu = vec![2, 0, 0, 0, 0, 0, 0, 1, 0, 0];
    pdu.extend([b' '; 32]);
    pdu.extend([0; 32]);
    pdu.extend(b"\x10\0\0\x151.2.840.10008.3.1.1.1");
    pdu.extend(b"\x21\0\0\x04\x01\0\x03\0");
    pdu.extend(b"\x21\0\0\x19\x03\0\0\0\x40\0\0\x111.2.840.10008.1.2");
    pdu.extend(b"\x50\0\0\x08\x51\0\0\x04\0\0\x40\0");
    let length = u32::try_from(pdu.len() - 6).unwrap().to_be_bytes();
    pdu[2..6].copy_from_slice(&length);
    let accept = decode_accept(&Bytes::from(pdu)).unwrap();
    assert_eq!(accept.presentation_contexts.len(), 2);
    assert_eq!(accept.presentation_contexts[1].transfer_syntax, "1.2.840.10008.1.2");
}
