//! The listening end of one connection: a message, whoever keeps it, its answer; one after another.
//!
//! ```text
//!   frame ─▶ Message ─▶ MessageIntake::keep ─▶ Ok(proof) ─▶ AA
//!                │                          └─▶ Err(fault) ─▶ AE or AR, with ERR
//!                └─▶ no message ─▶ AR, with ERR
//! ```
//!
//! If the connection breaks between keeping and answering, the sender sends again: who keeps messages must know one that it
//! has already, by sender and control id, and answer with the same proof.

use std::future::Future;

use tokio::io::{AsyncRead, AsyncWrite};

use super::frame::{FrameError, FrameReader, Patience, write_frame};
use crate::ack::{self, Stamp};
use crate::fault::Fault;
use crate::message::{Message, MessageLimits, ParseError};

/// Whoever keeps messages.
pub trait MessageIntake: Send {
    /// Shows that a message is kept.
    type Proof: Send;

    /// Keeps a message, which has been read, and its bytes as they came.
    ///
    /// # Errors
    /// The fault becomes the answer.
    ///
    /// # Durability
    /// Returns a proof only when the message is on stable storage: the sender forgets it on our answer.
    fn keep(
        &mut self,
        message: &Message,
        bytes: Vec<u8>,
    ) -> impl Future<Output = Result<Self::Proof, Fault>> + Send;

    /// Time and control id of the next answer.
    fn stamp(&mut self) -> Stamp;
}

/// What became of a connection that ended in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Served {
    /// Messages that were kept, and answered AA.
    pub kept: u64,
    /// Messages that were answered AE or AR.
    pub refused: u64,
}

/// Serves one connection until the peer closes it or `stop` is ready between two messages.
///
/// # Errors
/// See [`FrameError`]. A message that is too long is answered before the connection ends.
///
/// # Cancellation
/// Dropping it ends the connection; a message that is being kept may be kept and not answered.
pub async fn serve<S, I>(
    mut stream: S,
    intake: &mut I,
    patience: Patience,
    limits: MessageLimits,
    stop: impl Future<Output = ()> + Send,
) -> Result<Served, FrameError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    I: MessageIntake,
{
    let mut reader = FrameReader::new(patience);
    let mut served = Served::default();
    let mut stop = std::pin::pin!(stop);
    loop {
        let begins = tokio::select! {
            begins = reader.begins(&mut stream) => begins?,
            () = &mut stop => false,
        };
        if !begins {
            return Ok(served);
        }
        let bytes = match reader.message(&mut stream).await {
            Ok(bytes) => bytes,
            Err(FrameError::TooLong { limit }) => {
                let fault = Fault::Parse(ParseError::TooLong { length: limit.saturating_add(1), limit });
                let answer = ack::refuse(None, &fault, &intake.stamp());
                write_frame(&mut stream, &answer, patience.write).await?;
                return Err(FrameError::TooLong { limit });
            }
            Err(error) => return Err(error),
        };
        let answer = match Message::parse(&bytes, &limits) {
            Err(error) => {
                served.refused += 1;
                ack::refuse(None, &Fault::Parse(error), &intake.stamp())
            }
            Ok(message) => match intake.keep(&message, bytes).await {
                Ok(proof) => {
                    served.kept += 1;
                    ack::accept(&message, proof, &intake.stamp())
                }
                Err(fault) => {
                    served.refused += 1;
                    ack::refuse(Some(&message), &fault, &intake.stamp())
                }
            },
        };
        write_frame(&mut stream, &answer, patience.write).await?;
    }
}
