//! Both ends of a connection, with each other and with peers that do not keep to it.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::*;
use crate::ack::{AckCode, Stamp};
use crate::fault::Fault;
use crate::mllp::{MessageIntake, Served, serve};

const SENT: &[u8] = b"MSH|^~\\&|RIS|N|||||ORU^R01|17|P|2.5\rPID|1\r";
const SOON: Duration = Duration::from_secs(5);

/// Keeps messages until it is told not to.
struct Kept {
    messages: Vec<Vec<u8>>,
    most: usize,
}

impl MessageIntake for Kept {
    type Proof = usize;

    async fn keep(&mut self, _message: &Message, bytes: Vec<u8>) -> Result<usize, Fault> {
        if self.messages.len() == self.most {
            return Err(Fault::NotKept);
        }
        self.messages.push(bytes);
        Ok(self.messages.len())
    }

    fn stamp(&mut self) -> Stamp {
        Stamp { at: "20261128".parse().unwrap(), control_id: "A".to_owned() }
    }
}

fn client<S: AsyncRead + AsyncWrite + Unpin + Send>(stream: S) -> MllpClient<S> {
    MllpClient::new(stream, Patience::default(), MessageLimits::default())
}

#[tokio::test]
async fn success_is_answered_only_with_a_proof() {
    let (near, far) = duplex(64);
    let listening = tokio::spawn(async move {
        let mut kept = Kept { messages: Vec::new(), most: 1 };
        let ended =
            serve(far, &mut kept, Patience::default(), MessageLimits::default(), std::future::pending());
        (ended.await.unwrap(), kept.messages)
    });
    let mut client = client(near);
    let (first, _) = client.send(SENT, "17", SOON).await.unwrap();
    assert_eq!(first.code, AckCode::Accept);
    let (second, _) = client.send(SENT, "17", SOON).await.unwrap();
    assert_eq!(second.code, AckCode::Error, "a sender may try again");
    assert_eq!(second.text.reveal(), "the message cannot be kept now");
    let (third, _) = client.send(b"no message", "", SOON).await.unwrap();
    assert_eq!(third.code, AckCode::Reject);
    drop(client);
    let (served, messages) = listening.await.unwrap();
    assert_eq!((served, messages), (Served { kept: 1, refused: 2 }, vec![SENT.to_vec()]));
}

#[tokio::test]
async fn what_is_too_long_is_answered_before_the_end() {
    let (near, far) = duplex(1024 * 1024);
    let listening = tokio::spawn(async move {
        let mut kept = Kept { messages: Vec::new(), most: 1 };
        let patience = Patience { longest: 10, ..Patience::default() };
        serve(far, &mut kept, patience, MessageLimits::default(), std::future::pending()).await
    });
    let (answer, _) = client(near).send(SENT, "", SOON).await.unwrap();
    assert_eq!(answer.code, AckCode::Reject);
    assert!(matches!(listening.await.unwrap(), Err(FrameError::TooLong { limit: 10 })));
}

#[tokio::test]
async fn listening_stops_between_messages() {
    let (_near, far) = duplex(64);
    let mut kept = Kept { messages: Vec::new(), most: 1 };
    let served = serve(far, &mut kept, Patience::default(), MessageLimits::default(), async {}).await;
    assert_eq!(served.unwrap(), Served::default());
}

/// A peer that reads what it is sent and answers with these bytes.
async fn answered_with(answer: &'static [u8]) -> Result<Acknowledgement, SendError> {
    let (near, mut far) = duplex(4096);
    tokio::spawn(async move {
        let mut sent = vec![0; SENT.len() + 3];
        far.read_exact(&mut sent).await.unwrap();
        far.write_all(answer).await.unwrap();
        // Stays open, and says no more, unless it said nothing.
        if !answer.is_empty() {
            std::future::pending::<()>().await;
        }
    });
    let mut client = client(near);
    let answer = client.send(SENT, "17", SOON).await.map(|(acknowledgement, _)| acknowledgement);
    if answer.is_err() {
        assert!(matches!(client.send(SENT, "17", SOON).await, Err(SendError::Ended)));
    }
    answer
}

#[tokio::test(start_paused = true)]
async fn only_the_answer_to_this_message_counts() {
    let late = b"\x0bMSH|^~\\&|||||||ACK|1|P|2.5\rMSA|AA|16\r\x1c\r\x0bMSH|^~\\&|||||||ACK|2|P|2.5\rMSA|AE|17\r\x1c\r";
    assert_eq!(answered_with(late).await.unwrap().code, AckCode::Error);
    assert!(matches!(answered_with(b"").await, Err(SendError::Closed)));
    let other = b"\x0bMSH|^~\\&|||||||ACK|1|P|2.5\rMSA|AA|16\r\x1c\r";
    assert!(matches!(answered_with(other).await, Err(SendError::NoAnswer)));
    let none = b"\x0bMSH|^~\\&|||||||ADT^A01|1|P|2.5\rPID|1\r\x1c\r";
    assert!(matches!(
        answered_with(none).await,
        Err(SendError::NoAcknowledgement(AckError::NoAcknowledgement))
    ));
    assert!(matches!(
        answered_with(b"\x0bhello\x1c\r").await,
        Err(SendError::Unreadable(ParseError::NoHeader))
    ));
    assert!(matches!(answered_with(b"hello").await, Err(SendError::Frame(FrameError::NotMllp))));
}
