//! The wire keeps to the table: every PDU in every state that a running association can be in, over raw bytes; deadlines
//! against silence and drips; release from both sides at once.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test that sees anything else has failed")]

use std::sync::Arc;

use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::pdu::ABORT_BY_USER;
use crate::upper_layer::action;

pub(crate) const TIMERS: Timers = Timers {
    artim: Duration::from_secs(20),
    idle: Duration::from_secs(20),
    progress: Duration::from_secs(20),
    response: Duration::from_secs(20),
    least_rate: 0,
};

/// Each PDU that a peer can send, and the event that it is.
fn pdus() -> Vec<(Event, Vec<u8>)> {
    let mut associate = vec![1, 0, 0, 0, 0, 68, 0, 1, 0, 0];
    associate.resize(74, b' ');
    let mut accept = associate.clone();
    accept[0] = 2;
    vec![
        (Event::Evt3, accept),
        (Event::Evt4, vec![3, 0, 0, 0, 0, 4, 0, 1, 1, 1]),
        (Event::Evt6, associate),
        (Event::Evt10, vec![4, 0, 0, 0, 0, 6, 0, 0, 0, 2, 1, 3]),
        (Event::Evt12, RELEASE_REQUEST.to_vec()),
        (Event::Evt13, RELEASE_REPLY.to_vec()),
        (Event::Evt16, ABORT_BY_USER.to_vec()),
        (Event::Evt19, vec![5, 0, 0, 0, 0, 9, 0, 0, 0, 0]),
    ]
}

/// What a peer sees of us until the connection ends or nothing more comes for a while.
async fn heard(peer: &mut DuplexStream) -> Vec<u8> {
    let mut heard = Vec::new();
    let reading = async { while peer.read_buf(&mut heard).await.is_ok_and(|count| count > 0) {} };
    let _ = tokio::time::timeout(Duration::from_millis(900), reading).await;
    heard
}

/// Lets one PDU in, in a state where our side waits for the next one, and ends as the association would.
async fn let_in(state: State, pdu: &[u8]) -> (bool, Vec<u8>) {
    let (mut peer, ours) = duplex(1 << 16);
    let mut wire = Wire::at(ours, TIMERS, Role::Acceptor, state);
    peer.write_all(pdu).await.unwrap();
    let came = wire.next(Wait::Idle).await;
    let taken = came.is_ok();
    let ending = tokio::spawn(async move {
        match came {
            Ok(_) => wire.shut().await,
            Err(error) => wire.fail(&error).await,
        }
    });
    let heard = heard(&mut peer).await;
    drop(peer);
    ending.await.unwrap();
    (taken, heard)
}

#[tokio::test(start_paused = true)]
async fn while_we_wait_every_pdu_has_the_effect_of_its_cell() {
    for state in [State::Sta2, State::Sta3, State::Sta5, State::Sta6, State::Sta7, State::Sta10, State::Sta11]
    {
        for (event, pdu) in pdus() {
            let expected = action(state, event).unwrap();
            let (taken, heard) = let_in(state, &pdu).await;
            let by_provider = heard.starts_with(&[7, 0, 0, 0, 0, 4, 0, 0, 2]);
            match expected {
                Action::Aa1 => assert!(!taken && heard == ABORT_BY_USER, "{state:?} {event:?} {heard:?}"),
                Action::Aa8 => assert!(!taken && by_provider, "{state:?} {event:?} {heard:?}"),
                _ => assert!(taken && heard.is_empty(), "{state:?} {event:?} {heard:?}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_the_last_word_only_a_breach_is_answered_and_once() {
    for (event, pdu) in pdus() {
        let expected = action(State::Sta13, event).unwrap();
        let (mut peer, ours) = duplex(1 << 16);
        let wire = Wire::at(ours, TIMERS, Role::Acceptor, State::Sta3);
        peer.write_all(&[&pdu[..], &pdu].concat()).await.unwrap();
        let ending = tokio::spawn(wire.reject_for_test());
        let heard = heard(&mut peer).await;
        let (rejection, rest) = heard.split_at(10);
        assert_eq!(rejection[0], 3);
        match expected {
            Action::Aa7 => assert_eq!(rest, ABORT_BY_USER, "{event:?}"),
            _ => assert_eq!(rest, b"", "{event:?}"),
        }
        drop(peer);
        ending.await.unwrap();
    }
}

impl Wire<DuplexStream> {
    async fn reject_for_test(self) {
        self.reject(&[3, 0, 0, 0, 0, 4, 0, 1, 1, 1]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_closes_is_left_after_artim() {
    for end in ["reply", "reject", "abort"] {
        let (_peer, ours) = duplex(1 << 16);
        let began = Instant::now();
        match end {
            "reply" => {
                let mut wire = Wire::at(ours, TIMERS, Role::Acceptor, State::Sta8);
                wire.answer_release().await.unwrap();
                wire.close().await;
            }
            "reject" => Wire::at(ours, TIMERS, Role::Acceptor, State::Sta3).reject_for_test().await,
            _ => Wire::at(ours, TIMERS, Role::Acceptor, State::Sta6).abort().await,
        }
        assert_eq!(began.elapsed().as_secs(), 20, "{end}");
    }
}

#[tokio::test]
async fn both_sides_release_at_once_and_both_are_released() {
    let (one, other) = duplex(1 << 16);
    let mut requestor = Wire::at(one, TIMERS, Role::Requestor, State::Sta6);
    let mut acceptor = Wire::at(other, TIMERS, Role::Acceptor, State::Sta6);
    let (first, second) = tokio::join!(
        async {
            let released = requestor.release().await;
            requestor.close().await;
            released
        },
        async {
            let released = acceptor.release().await;
            acceptor.close().await;
            released
        }
    );
    first.unwrap();
    second.unwrap();
}

#[tokio::test]
async fn a_step_out_of_turn_is_refused_before_it_is_sent() {
    let (mut peer, ours) = duplex(1 << 16);
    let mut wire = Wire::acceptor(ours, TIMERS, None);
    assert!(matches!(wire.send(b"data").await, Err(WireError::OutOfTurn(_))));
    assert!(matches!(wire.answer_release().await, Err(WireError::OutOfTurn(_))));
    drop(wire);
    assert_eq!(heard(&mut peer).await, b"");
}

/// Sends bytes one by one with a pause between, until nobody listens.
fn drip(mut peer: DuplexStream, bytes: Vec<u8>, pause: Duration) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        for byte in bytes {
            if peer.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(pause).await;
        }
        std::future::pending::<()>().await;
    })
}

#[tokio::test(start_paused = true)]
async fn a_first_pdu_must_be_complete_within_artim_however_it_drips() {
    let (peer, ours) = duplex(1 << 16);
    let began = Instant::now();
    let mut wire = Wire::acceptor(ours, TIMERS, None);
    let dripping = drip(peer, pdus()[2].1.clone(), Duration::from_secs(3));
    assert!(matches!(wire.next(Wait::Idle).await, Err(WireError::TooSlow)));
    assert_eq!(began.elapsed().as_secs(), 20);
    dripping.abort();
}

#[tokio::test(start_paused = true)]
async fn a_message_must_bring_a_least_rate_and_our_own_slowness_does_not_count() {
    let timers = Timers { least_rate: 1024, ..TIMERS };
    let mut pdu = vec![4, 0, 0, 1, 0, 6, 0, 1, 0, 2, 1, 0];
    pdu.resize(pdu.len() + 65_536, 9);
    // One byte a second is never silent, and far too slow.
    let (peer, ours) = duplex(1 << 16);
    let mut wire = Wire::at(ours, timers, Role::Acceptor, State::Sta6);
    let began = Instant::now();
    let dripping = drip(peer, pdu.clone(), Duration::from_secs(1));
    assert!(matches!(wire.next(Wait::Idle).await, Err(WireError::TooSlow)));
    assert!((19..=22).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    dripping.abort();
    // 2 KiB a second pass, for as long as they last.
    let (mut peer, ours) = duplex(1 << 16);
    let mut wire = Wire::at(ours, timers, Role::Acceptor, State::Sta6);
    let sending = tokio::spawn(async move {
        for part in pdu.chunks(2048) {
            peer.write_all(part).await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        // The message ends with an empty last fragment, after a long pause of ours.
        peer.write_all(&[4, 0, 0, 0, 0, 6, 0, 0, 0, 2, 1, 2]).await.unwrap();
        peer
    });
    tokio::time::sleep(Duration::from_secs(100)).await;
    let piece = wire.next(Wait::Progress).await.unwrap();
    assert!(matches!(piece, Incoming::Piece(piece) if piece.chunk.len() == 65_536 && piece.last));
    drop(sending.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn silence_and_stopping_end_the_wait() {
    let (mut peer, ours) = duplex(1 << 16);
    let mut wire = Wire::at(ours, TIMERS, Role::Acceptor, State::Sta6);
    peer.write_all(&[4, 0, 0]).await.unwrap();
    assert!(matches!(wire.next(Wait::Idle).await, Err(WireError::Silent)));

    let (sender, receiver) = watch::channel(Phase::Running);
    let (_peer, ours) = duplex(16);
    let mut wire = Wire::acceptor(ours, TIMERS, Some(receiver));
    let sender = Arc::new(sender);
    sender.send_replace(Phase::Stopping);
    assert!(matches!(wire.next(Wait::Idle).await, Err(WireError::Stopping)));
    sender.send_replace(Phase::Cut);
    assert!(matches!(wire.next(Wait::Progress).await, Err(WireError::Stopping)));
}

#[tokio::test]
async fn another_protocol_is_named_and_closed_within_a_second() {
    for (greeting, name) in [
        (&b"GET / HTTP/1.1\r\nHost: box\r\n\r\n"[..], "HTTP"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS on the plain port"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", "SSH"),
        (b"\0\0\0\x85\xffSMB", "SMB"),
        (b"?", "no protocol known here"),
    ] {
        let (mut peer, ours) = duplex(1 << 16);
        let began = std::time::Instant::now();
        let mut wire = Wire::acceptor(ours, TIMERS, None);
        peer.write_all(greeting).await.unwrap();
        let error = wire.next(Wait::Idle).await.unwrap_err();
        assert_eq!(error.to_string(), format!("the peer speaks {name}"));
        wire.fail(&error).await;
        assert!(began.elapsed() < Duration::from_secs(1), "{name}");
    }
}
