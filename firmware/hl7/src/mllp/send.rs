//! The sending end: a message out, the answer that names it in. What is not answered is sent again by whoever asked.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

use super::frame::{FrameError, FrameReader, Patience, write_frame};
use crate::ack::{AckError, Acknowledgement};
use crate::message::{Message, MessageLimits, ParseError};

/// Most answers to other messages that are passed over: those to what was sent before and given up.
const MOST_OTHERS: usize = 16;

/// Why a message has no answer. It may have been taken all the same: sending again must be harmless.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// An earlier message on this connection ended it.
    #[error("the connection has ended")]
    Ended,
    /// The connection failed.
    #[error("the connection failed")]
    Frame(#[from] FrameError),
    /// The peer closed it without an answer.
    #[error("the peer closed the connection without an answer")]
    Closed,
    /// No answer within the time.
    #[error("the peer did not answer in time")]
    NoAnswer,
    /// The answer is no message.
    #[error("the answer cannot be read")]
    Unreadable(#[source] ParseError),
    /// The answer is no acknowledgement.
    #[error("the answer is no acknowledgement")]
    NoAcknowledgement(#[source] AckError),
    /// Answers, but none to this message.
    #[error("the peer answers other messages only")]
    OtherMessages,
}

/// A connection for sending.
#[derive(Debug)]
pub struct MllpClient<S> {
    /// `None` once it has ended.
    stream: Option<S>,
    reader: FrameReader,
    patience: Patience,
    limits: MessageLimits,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> MllpClient<S> {
    /// Over a stream that is open.
    pub fn new(stream: S, patience: Patience, limits: MessageLimits) -> Self {
        MllpClient { stream: Some(stream), reader: FrameReader::new(patience), patience, limits }
    }

    /// Sends a message and waits at most so long for the answer that names `control_id`, MSH-10 of the message. Gives the
    /// acknowledgement and the whole answer, which of a query holds more.
    ///
    /// # Errors
    /// See [`SendError`]. After any of them the connection has ended.
    ///
    /// # Cancellation
    /// Dropping it ends the connection; the peer may have taken the message.
    pub async fn send(
        &mut self,
        message: &[u8],
        control_id: &str,
        within: Duration,
    ) -> Result<(Acknowledgement, Message), SendError> {
        let mut stream = self.stream.take().ok_or(SendError::Ended)?;
        write_frame(&mut stream, message, self.patience.write).await?;
        let deadline = Instant::now() + within;
        for _ in 0..MOST_OTHERS {
            let answer = timeout_at(deadline, self.answer(&mut stream)).await;
            let (acknowledgement, answer) = answer.map_err(|_| SendError::NoAnswer)??;
            if acknowledgement.control_id == control_id {
                self.stream = Some(stream);
                return Ok((acknowledgement, answer));
            }
        }
        Err(SendError::OtherMessages)
    }

    async fn answer(&mut self, stream: &mut S) -> Result<(Acknowledgement, Message), SendError> {
        if !self.reader.begins(stream).await? {
            return Err(SendError::Closed);
        }
        let bytes = self.reader.message(stream).await?;
        let message = Message::parse(&bytes, &self.limits).map_err(SendError::Unreadable)?;
        let acknowledgement = Acknowledgement::read(&message).map_err(SendError::NoAcknowledgement)?;
        Ok((acknowledgement, message))
    }
}

#[cfg(test)]
#[path = "send_tests.rs"]
mod tests;
