//! Messages on an association that we opened: what we ask, and everything that the peer may say in the meantime.
//!
//! A message is read whole, under one deadline and up to a length that the caller sets, so a peer that floods, drips or
//! lies about lengths costs bounded memory and ends in A-ABORT.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::associate::Requested;
use crate::deliver::send_message;
use crate::dimse::{self, Command};
use crate::patience::Wait;
use crate::pdu::{Incoming, PdvKind, Piece, WireError};

/// Why a conversation with a peer ended without its answer. The association is over.
#[derive(Debug, thiserror::Error)]
pub enum ConversationError {
    /// The peer aborted.
    #[error("the peer aborted the association (source {source_code}, reason {reason})")]
    Aborted {
        /// 0 service user, 2 service provider.
        source_code: u8,
        /// PS3.8 §9.3.8.
        reason: u8,
    },
    /// The peer wants to release instead of answering.
    #[error("the peer released the association without an answer")]
    Released,
    /// The peer sends more than a message of this kind may hold.
    #[error("the peer sent a data set of more than {limit} bytes")]
    TooLong {
        /// Bytes allowed.
        limit: usize,
    },
    /// The peer sends responses without end.
    #[error("the peer sent more than {count} responses to one request")]
    Flood {
        /// Responses that were taken.
        count: usize,
    },
    /// The connection failed, or the peer broke the protocol.
    #[error("the association failed")]
    Wire(#[from] WireError),
}

/// A message of the peer.
pub(crate) struct Message {
    pub(crate) command: Command,
    /// Empty if there is none.
    pub(crate) data_set: Bytes,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Requested<S> {
    /// Sends a message.
    pub(crate) async fn say(
        &mut self,
        context: u8,
        command: &[u8],
        data_set: Option<Vec<u8>>,
    ) -> Result<(), ConversationError> {
        match data_set {
            Some(data_set) => {
                send_message(&mut self.wire, context, self.peer_limit, command, data_set.into()).await?;
            }
            None => self.wire.send(&dimse::command_pdu(context, command)).await?,
        }
        Ok(())
    }

    /// The next message in this context, its data set at most so long. The whole of it must come within the time for a
    /// response.
    pub(crate) async fn hear(&mut self, context: u8, longest: usize) -> Result<Message, ConversationError> {
        let limit = self.limits.response;
        tokio::time::timeout(limit, self.message(context, longest))
            .await
            .unwrap_or(Err(ConversationError::Wire(WireError::Silent)))
    }

    async fn message(&mut self, context: u8, longest: usize) -> Result<Message, ConversationError> {
        let bytes = self.value(context, PdvKind::Command, dimse::LONGEST_COMMAND_SET).await?;
        let command = Command::parse(bytes)?;
        let data_set = if command.has_data_set {
            self.value(context, PdvKind::Data, longest).await?
        } else {
            Bytes::new()
        };
        Ok(Message { command, data_set })
    }

    /// A command set or a data set, from however many PDVs.
    async fn value(&mut self, context: u8, kind: PdvKind, limit: usize) -> Result<Bytes, ConversationError> {
        let mut bytes = BytesMut::new();
        loop {
            let piece = self.piece(context, kind).await?;
            if bytes.len() + piece.chunk.len() > limit {
                return Err(ConversationError::TooLong { limit });
            }
            bytes.extend_from_slice(&piece.chunk);
            if piece.last {
                return Ok(bytes.freeze());
            }
        }
    }

    async fn piece(&mut self, context: u8, kind: PdvKind) -> Result<Piece, ConversationError> {
        match self.wire.next(Wait::Response).await? {
            Incoming::Piece(piece) if piece.kind == kind && piece.context == context => Ok(piece),
            Incoming::Piece(_) => {
                Err(WireError::Unexpected("a PDV of another kind or context than was asked for").into())
            }
            Incoming::Abort { source, reason } => {
                Err(ConversationError::Aborted { source_code: source, reason })
            }
            Incoming::ReleaseRequest => Err(ConversationError::Released),
            Incoming::AssociateRequest(_)
            | Incoming::AssociateAccept(_)
            | Incoming::AssociateReject { .. }
            | Incoming::ReleaseReply => {
                Err(WireError::Unexpected("a control PDU inside a conversation").into())
            }
        }
    }

    /// Ends an association after the last answer to our last question. A peer that has sent more by then is aborted: what
    /// came before its last answer counts all the same.
    pub(crate) async fn end_after_last(mut self) {
        // Nothing is waited for: only what is there already.
        match tokio::time::timeout(Duration::ZERO, self.wire.next(Wait::Response)).await {
            Ok(Ok(Incoming::Piece(_))) => {
                tracing::warn!("the peer sent more after its last answer");
                self.wire.abort().await;
            }
            Ok(Ok(
                Incoming::ReleaseRequest
                | Incoming::Abort { .. }
                | Incoming::AssociateRequest(_)
                | Incoming::AssociateAccept(_)
                | Incoming::AssociateReject { .. }
                | Incoming::ReleaseReply,
            )) => self.end(Some(&ConversationError::Released)).await,
            Ok(Err(error)) => self.wire.fail(&error).await,
            Err(_) => self.end(None).await,
        }
    }

    /// Ends an association: in good order after an answer, else as the error asks.
    pub(crate) async fn end(mut self, error: Option<&ConversationError>) {
        match error {
            None => {
                // The answer is what counts; how the peer says goodbye does not.
                if let Err(error) = self.release().await {
                    tracing::debug!(%error, "association not released in good order");
                }
            }
            Some(ConversationError::Wire(error)) => self.wire.fail(error).await,
            Some(ConversationError::Aborted { .. }) => self.wire.close().await,
            Some(ConversationError::Released) => {
                // Nobody waits for more.
                let _ = self.wire.answer_release().await;
                self.wire.close().await;
            }
            Some(ConversationError::TooLong { .. } | ConversationError::Flood { .. }) => {
                self.wire.abort().await
            }
        }
    }
}

/// A response of this kind to this message.
pub(crate) fn is_response(command: &Command, field: u16, message_id: u16) -> Result<(), ConversationError> {
    if command.field == field && command.responded_to() == Some(message_id) {
        Ok(())
    } else {
        Err(WireError::Unexpected("a response to something else").into())
    }
}
