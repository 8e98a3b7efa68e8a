//! Storage SCU: instances out, one after another, each with its own answer.
//!
//! ```text
//! [command PDU + first data PDU] one write ─▶ fragments of min(peer's limit, 256 KiB) ─▶ last fragment ─▶ response
//! ```
//!
//! The framer holds back what it has, because only the end of the source makes a fragment the last one. An error of the
//! source aborts the association: the peer must never take a truncated data set for a complete one. PS3.4 annex B.

use std::future::Future;

use beeldbox_protocol::ident::{AeTitle, SopClassUid, SopInstanceUid, TransferSyntaxUid};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::associate::{AssociateError, AssociationLimits, PeerNode, Requested, connect, request};
use crate::coerce::CoercionError;
use crate::dimse::{self, Command};
use crate::patience::Wait;
use crate::pdu::{Incoming, PdvKind, WireError};
use crate::peer_stream::PeerStream;
use crate::status::DimseStatus;
use crate::wire::Wire;

/// Largest fragment that we send, with its headers.
const BUFFER: usize = 256 * 1024;
/// PDU header and PDV header before the bytes of a fragment.
const HEADERS: usize = 12;

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingInstance {
    /// Its SOP class.
    pub sop_class: SopClassUid,
    /// Its name.
    pub sop_instance: SopInstanceUid,
    /// How its data set is encoded.
    pub transfer_syntax: TransferSyntaxUid,
    /// Length of the data set, if known: for progress only.
    pub size_hint: Option<u64>,
}

/// Gives the bytes of a data set, in the transfer syntax of the instance.
pub trait OutgoingSource: Send {
    /// The next bytes; `None` when the data set is complete. An error aborts the association.
    fn next_chunk(&mut self) -> impl Future<Output = Result<Option<Bytes>, SourceError>> + Send;
}

/// The bytes of an instance could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the instance to send")]
pub struct SourceError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

impl SourceError {
    /// Why the instance could not be coerced, if that is what failed: trying again would not help.
    pub fn coercion(&self) -> Option<&CoercionError> {
        self.0.downcast_ref()
    }
}

/// What the peer answered to one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOutcome {
    /// Its status; [`DimseStatus::is_stored`] tells whether it has the instance.
    pub status: DimseStatus,
    /// Its comment: for people. It may repeat patient data, so it does not belong in a log.
    pub comment: Option<String>,
}

/// Why an instance was not answered. Sorted by who must act: the caller, our disk, the peer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The peer did not accept this SOP class in this transfer syntax. The association stays usable.
    #[error("the peer did not accept this SOP class in this transfer syntax")]
    NotAccepted,
    /// The association ended at an earlier instance.
    #[error("the association has ended")]
    Ended,
    /// Our side could not read; the association was aborted.
    #[error("the association was aborted because the instance could not be read")]
    Source(#[source] SourceError),
    /// The peer aborted.
    #[error("the peer aborted the association (source {source_code}, reason {reason})")]
    Aborted {
        /// 0 service user, 2 service provider.
        source_code: u8,
        /// PS3.8 §9.3.8.
        reason: u8,
    },
    /// The conversation failed; the association was aborted.
    #[error("the association failed")]
    Wire(#[source] WireError),
}

/// An association for storing.
pub struct StoreAssociation<S = PeerStream> {
    /// `None` once the association has ended.
    open: Option<Requested<S>>,
    next_message: u16,
}

/// Opens an association for these (class, transfer syntax) pairs, at most 128.
///
/// # Errors
/// See [`AssociateError`]. That the peer refuses single pairs is not an error: ask [`StoreAssociation::accepts`].
pub async fn associate(
    node: &PeerNode,
    calling: &AeTitle,
    contexts: &[(SopClassUid, TransferSyntaxUid)],
    limits: AssociationLimits,
) -> Result<StoreAssociation, AssociateError> {
    let stream = connect(node, &limits).await?;
    associate_over(stream, &node.ae_title, calling, contexts, limits).await
}

/// The same over a stream that is open already: DICOM TLS, or a test.
///
/// # Errors
/// See [`associate`].
pub async fn associate_over<S>(
    stream: S,
    called: &AeTitle,
    calling: &AeTitle,
    contexts: &[(SopClassUid, TransferSyntaxUid)],
    limits: AssociationLimits,
) -> Result<StoreAssociation<S>, AssociateError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let open = request(stream, called, calling, contexts, limits).await?;
    Ok(StoreAssociation { open: Some(open), next_message: 1 })
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> StoreAssociation<S> {
    /// Whether the peer takes this class in this transfer syntax.
    pub fn accepts(&self, class: &SopClassUid, transfer_syntax: &TransferSyntaxUid) -> bool {
        self.context(class, transfer_syntax).is_some()
    }

    /// Whether the association can still be used.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Sends one instance and waits for the answer.
    ///
    /// # Errors
    /// After any error but [`StoreError::NotAccepted`] the association has ended.
    ///
    /// # Cancellation
    /// Dropping the future leaves the message unfinished: the association must be dropped with it. The peer then sees
    /// the connection end without a last fragment.
    pub async fn store(
        &mut self,
        instance: &OutgoingInstance,
        source: &mut impl OutgoingSource,
    ) -> Result<StoreOutcome, StoreError> {
        // Taken out, and put back only after a complete exchange: a future dropped half-way leaves no association.
        let context = self.context(&instance.sop_class, &instance.transfer_syntax);
        let mut open = self.open.take().ok_or(StoreError::Ended)?;
        let Some(context) = context else {
            self.open = Some(open);
            return Err(StoreError::NotAccepted);
        };
        let message_id = self.next_message;
        self.next_message = self.next_message.checked_add(1).unwrap_or(1);
        let exchanged = match transmit(&mut open, context, message_id, instance, source).await {
            Ok(()) => response(&mut open, message_id).await,
            Err(error) => Err(error),
        };
        match &exchanged {
            Ok(_) => self.open = Some(open),
            Err(StoreError::Wire(error)) => open.wire.fail(error).await,
            Err(StoreError::Aborted { .. }) => open.wire.close().await,
            Err(StoreError::NotAccepted | StoreError::Ended | StoreError::Source(_)) => {
                open.wire.abort().await;
            }
        }
        exchanged
    }

    /// Ends the association in good order. Whatever was answered is answered, so failing here loses nothing.
    pub async fn release(mut self) {
        if let Some(open) = self.open.take()
            && let Err(error) = open.release().await
        {
            tracing::debug!(%error, "association not released in good order");
        }
    }

    /// Ends the association at once.
    pub async fn abort(mut self) {
        if let Some(open) = self.open.take() {
            open.wire.abort().await;
        }
    }

    fn context(&self, class: &SopClassUid, transfer_syntax: &TransferSyntaxUid) -> Option<u8> {
        self.open.as_ref()?.contexts.get(&(class.clone(), transfer_syntax.clone())).copied()
    }
}

async fn transmit<S: AsyncRead + AsyncWrite + Unpin>(
    open: &mut Requested<S>,
    context: u8,
    message_id: u16,
    instance: &OutgoingInstance,
    source: &mut impl OutgoingSource,
) -> Result<(), StoreError> {
    let command =
        dimse::store_request(message_id, instance.sop_class.as_str(), instance.sop_instance.as_str());
    let mut framer = Framer::new(context, open.peer_limit, &command);
    while let Some(mut chunk) = source.next_chunk().await.map_err(StoreError::Source)? {
        while !chunk.is_empty() {
            if framer.is_full() {
                open.wire.send(framer.fragment(false)).await.map_err(StoreError::Wire)?;
                framer.begin();
            }
            framer.take(&mut chunk);
        }
    }
    open.wire.send(framer.fragment(true)).await.map_err(StoreError::Wire)
}

/// Sends a message whose data set is in memory.
pub(crate) async fn send_message<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    context: u8,
    peer_limit: u32,
    command: &[u8],
    mut data_set: Bytes,
) -> Result<(), WireError> {
    let mut framer = Framer::new(context, peer_limit, command);
    loop {
        framer.take(&mut data_set);
        wire.send(framer.fragment(data_set.is_empty())).await?;
        if data_set.is_empty() {
            return Ok(());
        }
        framer.begin();
    }
}

/// Cuts a data set into fragments, one PDV per PDU (PS3.8 annex E).
struct Framer {
    /// What goes out next: on the first write the command PDU, then the headers of the fragment and its bytes.
    buffer: Vec<u8>,
    /// Where the headers of the fragment stand.
    start: usize,
    /// Bytes of data per fragment; even.
    room: usize,
    context: u8,
}

impl Framer {
    fn new(context: u8, peer_limit: u32, command: &[u8]) -> Self {
        let ours = BUFFER - HEADERS;
        let theirs = usize::try_from(peer_limit).unwrap_or(usize::MAX).saturating_sub(6);
        let room = if peer_limit == 0 { ours } else { ours.min(theirs) } & !1;
        let mut buffer = dimse::command_pdu(context, command);
        let start = buffer.len();
        buffer.extend_from_slice(&[0; HEADERS]);
        Framer { buffer, start, room, context }
    }

    fn is_full(&self) -> bool {
        self.length() == self.room
    }

    fn length(&self) -> usize {
        self.buffer.len() - self.start - HEADERS
    }

    fn take(&mut self, chunk: &mut Bytes) {
        let part = chunk.split_to(chunk.len().min(self.room - self.length()));
        self.buffer.extend_from_slice(&part);
    }

    /// Writes the headers; the buffer is ready to go.
    fn fragment(&mut self, last: bool) -> &[u8] {
        // At most 256 KiB by construction.
        let length = u32::try_from(self.length()).unwrap_or(0);
        let headers = &mut self.buffer[self.start..self.start + HEADERS];
        headers[..2].copy_from_slice(&[4, 0]);
        headers[2..6].copy_from_slice(&(length + 6).to_be_bytes());
        headers[6..10].copy_from_slice(&(length + 2).to_be_bytes());
        headers[10] = self.context;
        headers[11] = if last { 2 } else { 0 };
        &self.buffer
    }

    /// Starts the next fragment.
    fn begin(&mut self) {
        self.buffer.clear();
        self.buffer.extend_from_slice(&[0; HEADERS]);
        self.start = 0;
    }
}

async fn response<S: AsyncRead + AsyncWrite + Unpin>(
    open: &mut Requested<S>,
    message_id: u16,
) -> Result<StoreOutcome, StoreError> {
    let command = answer(open, message_id, dimse::C_STORE_RSP).await?;
    let status =
        command.status().ok_or(StoreError::Wire(WireError::Malformed("a response without a status")))?;
    Ok(StoreOutcome { status, comment: command.error_comment() })
}

/// Waits for the response to a message.
pub(crate) async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    open: &mut Requested<S>,
    message_id: u16,
    field: u16,
) -> Result<Command, StoreError> {
    let wait = async {
        let mut bytes = BytesMut::new();
        loop {
            // A response may take longer than the progress timer allows; the limit around this loop is its own.
            let piece = match open.wire.next(Wait::Response).await.map_err(StoreError::Wire)? {
                Incoming::Piece(piece) if piece.kind == PdvKind::Command => piece,
                Incoming::Abort { source, reason } => {
                    return Err(StoreError::Aborted { source_code: source, reason });
                }
                Incoming::Piece(_)
                | Incoming::AssociateRequest(_)
                | Incoming::AssociateAccept(_)
                | Incoming::AssociateReject { .. }
                | Incoming::ReleaseRequest
                | Incoming::ReleaseReply => {
                    return Err(StoreError::Wire(WireError::Unexpected("something else than a response")));
                }
            };
            if bytes.len() + piece.chunk.len() > dimse::LONGEST_COMMAND_SET {
                return Err(StoreError::Wire(WireError::Malformed("command set above 64 KiB")));
            }
            bytes.extend_from_slice(&piece.chunk);
            if piece.last {
                return Command::parse(bytes.freeze()).map_err(StoreError::Wire);
            }
        }
    };
    let limit = open.limits.response;
    let command =
        tokio::time::timeout(limit, wait).await.unwrap_or(Err(StoreError::Wire(WireError::Silent)))?;
    if command.field != field || command.responded_to() != Some(message_id) {
        return Err(StoreError::Wire(WireError::Unexpected("a response to something else")));
    }
    Ok(command)
}

#[cfg(test)]
#[path = "deliver_tests.rs"]
mod tests;
