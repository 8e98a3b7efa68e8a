//! The wire: PDUs in, PDUs out, over any stream.
//!
//! ```text
//! bytes ─▶ PDU header (6) ─┬─ control PDU ≤ 1 MiB ─▶ whole
//!                          └─ P-DATA-TF ─▶ PDV header (6) ─▶ chunk, chunk, … (≤ 256 KiB each)
//! ```
//!
//! A P-DATA PDU is never held: its header is read, then its PDVs leave as chunks of whatever the socket delivered, so
//! memory does not depend on the lengths a peer declares. The codec of dicom-ul is used on complete control PDUs only.
//! PS3.8 §9.3 (structure of PDUs).

use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use dicom_ul::pdu::{AssociationAC, AssociationRQ, Pdu};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;

/// Largest control PDU we take. 128 contexts with many syntaxes exceed 32 KiB in the field; a MiB is beyond any of them.
pub(crate) const LARGEST_CONTROL_PDU: u32 = 1 << 20;
/// Room for one read. Also the largest chunk, because a chunk is never more than one read filled.
pub(crate) const BUFFER: usize = 256 * 1024;
/// Below this much room a new buffer is taken: reads of a few bytes would cost more than the buffer.
const LEAST_ROOM: usize = 16 * 1024;
/// How long an association may stay silent once the node is stopping.
const SILENCE_WHILE_STOPPING: Duration = Duration::from_secs(2);
/// After the last PDU we read and drop what still comes, so that closing does not reset the connection before the peer
/// has read our last words.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why the wire cannot go on. Sorted by who must act: the peer, the network, nobody.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The peer broke the rules of the upper layer protocol.
    #[error("the peer sent a malformed PDU: {0}")]
    Malformed(&'static str),
    /// The peer sent something that has no place here.
    #[error("the peer sent an unexpected PDU: {0}")]
    Unexpected(&'static str),
    /// A PDU type that the standard does not know.
    #[error("the peer sent a PDU of unknown type {0:#04x}")]
    UnknownType(u8),
    /// A control PDU above our limit.
    #[error("the peer declared a control PDU of {length} bytes")]
    ControlTooLarge {
        /// Declared length.
        length: u32,
    },
    /// Nothing came in time.
    #[error("nothing was received in time")]
    Silent,
    /// The peer did not take our bytes in time.
    #[error("the peer did not read in time")]
    Stalled,
    /// The peer closed the connection without releasing the association.
    #[error("the peer closed the connection")]
    Closed,
    /// The connection broke.
    #[error("the connection broke")]
    Io(#[source] io::Error),
    /// This node is stopping.
    #[error("this node is stopping")]
    Stopping,
}

/// How far a node is with stopping. Associations watch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Normal work.
    Running,
    /// No new associations; running ones may finish.
    Stopping,
    /// The deadline has passed: abort.
    Cut,
}

/// What a PDV carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PdvKind {
    Command,
    Data,
}

/// A piece of a presentation data value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) context: u8,
    pub(crate) kind: PdvKind,
    pub(crate) chunk: Bytes,
    /// Set on the last piece of the last fragment only.
    pub(crate) last: bool,
}

/// What came in.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A-ASSOCIATE-RQ, complete with its header.
    AssociateRequest(Bytes),
    /// A-ASSOCIATE-AC, complete with its header.
    AssociateAccept(Bytes),
    /// A-ASSOCIATE-RJ.
    AssociateReject { result: u8, source: u8, reason: u8 },
    /// Part of a message.
    Piece(Piece),
    /// A-RELEASE-RQ.
    ReleaseRequest,
    /// A-RELEASE-RP.
    ReleaseReply,
    /// A-ABORT.
    Abort { source: u8, reason: u8 },
}

/// Which timer runs while we wait for the first byte of the next PDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Between messages.
    Idle,
    /// Inside a message.
    Progress,
    /// For an answer.
    Response,
}

/// The timers of one association.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timers {
    pub(crate) idle: Duration,
    pub(crate) progress: Duration,
    pub(crate) response: Duration,
}

/// One end of an association.
pub(crate) struct Wire<S> {
    stream: S,
    buffer: BytesMut,
    /// Bytes of the current P-DATA PDU behind the open PDV.
    pdu_left: u32,
    open: Option<OpenPdv>,
    timers: Timers,
    phase: Option<watch::Receiver<Phase>>,
}

struct OpenPdv {
    context: u8,
    kind: PdvKind,
    last_fragment: bool,
    left: u32,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(stream: S, timers: Timers, phase: Option<watch::Receiver<Phase>>) -> Self {
        Wire { stream, buffer: BytesMut::new(), pdu_left: 0, open: None, timers, phase }
    }

    /// The next control PDU or piece of data.
    ///
    /// # Cancellation
    /// Safe to drop: nothing that was read is lost.
    pub(crate) async fn next(&mut self, wait: Wait) -> Result<Incoming, WireError> {
        loop {
            if let Some(pdv) = &mut self.open {
                if pdv.left > 0 && self.buffer.is_empty() {
                    self.fill(Wait::Progress).await?;
                    continue;
                }
                let length =
                    usize::try_from(pdv.left).map_or(self.buffer.len(), |left| left.min(self.buffer.len()));
                let chunk = self.buffer.split_to(length).freeze();
                pdv.left -= u32::try_from(length).map_err(|_| WireError::Malformed("impossible length"))?;
                let ends = pdv.left == 0;
                let piece =
                    Piece { context: pdv.context, kind: pdv.kind, chunk, last: ends && pdv.last_fragment };
                if ends {
                    self.open = None;
                }
                return Ok(Incoming::Piece(piece));
            }
            if self.buffer.len() < 6 {
                let inside = self.pdu_left > 0 || !self.buffer.is_empty();
                self.fill(if inside { Wait::Progress } else { wait }).await?;
                continue;
            }
            if self.pdu_left > 0 {
                self.open_pdv()?;
            } else if self.buffer[0] == 0x04 {
                self.buffer.advance(2);
                self.pdu_left = self.buffer.get_u32();
                if self.pdu_left < 6 {
                    return Err(WireError::Malformed("P-DATA-TF without a complete PDV"));
                }
            } else {
                return self.control().await;
            }
        }
    }

    /// Writes all of it and flushes: a TLS layer may keep bytes until it is told.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        let write = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        match tokio::time::timeout(self.timers.progress, write).await {
            Ok(written) => written.map_err(WireError::Io),
            Err(_) => Err(WireError::Stalled),
        }
    }

    /// Says goodbye and closes. Best effort: the association has ended either way.
    pub(crate) async fn close(mut self, last_words: &[u8]) {
        let farewell = async {
            self.stream.write_all(last_words).await?;
            self.stream.flush().await?;
            self.stream.shutdown().await?;
            loop {
                self.buffer.clear();
                self.buffer.reserve(LEAST_ROOM);
                if self.stream.read_buf(&mut self.buffer).await? == 0 {
                    return Ok::<(), io::Error>(());
                }
            }
        };
        // Whether the peer still listens changes nothing.
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
    }

    /// Reads the header of the next PDV. The caller has six bytes in the buffer.
    fn open_pdv(&mut self) -> Result<(), WireError> {
        let item_length = self.buffer.get_u32();
        let context = self.buffer.get_u8();
        let control = self.buffer.get_u8();
        let after = self.pdu_left.checked_sub(4).and_then(|left| left.checked_sub(item_length));
        let (Some(after), Some(left)) = (after, item_length.checked_sub(2)) else {
            return Err(WireError::Malformed("PDV length does not fit its PDU"));
        };
        if after > 0 && after < 6 {
            return Err(WireError::Malformed("bytes behind the last PDV of a PDU"));
        }
        self.pdu_left = after;
        let kind = if control & 1 == 1 { PdvKind::Command } else { PdvKind::Data };
        self.open = Some(OpenPdv { context, kind, last_fragment: control & 2 == 2, left });
        Ok(())
    }

    /// Reads a whole control PDU. The caller has its header in the buffer.
    async fn control(&mut self) -> Result<Incoming, WireError> {
        let kind = self.buffer[0];
        let length = u32::from_be_bytes([self.buffer[2], self.buffer[3], self.buffer[4], self.buffer[5]]);
        match kind {
            0x01 | 0x02 if length > LARGEST_CONTROL_PDU => return Err(WireError::ControlTooLarge { length }),
            0x03 | 0x05 | 0x06 | 0x07 if length != 4 => {
                return Err(WireError::Malformed("control PDU of wrong length"));
            }
            0x01..=0x03 | 0x05..=0x07 => {}
            unknown => return Err(WireError::UnknownType(unknown)),
        }
        let whole = usize::try_from(length).map_err(|_| WireError::ControlTooLarge { length })? + 6;
        while self.buffer.len() < whole {
            self.fill(Wait::Progress).await?;
        }
        let pdu = self.buffer.split_to(whole).freeze();
        Ok(match kind {
            0x01 => Incoming::AssociateRequest(pdu),
            0x02 => Incoming::AssociateAccept(pdu),
            0x03 => Incoming::AssociateReject { result: pdu[7], source: pdu[8], reason: pdu[9] },
            0x05 => Incoming::ReleaseRequest,
            0x06 => Incoming::ReleaseReply,
            _ => Incoming::Abort { source: pdu[8], reason: pdu[9] },
        })
    }

    /// Whether the last piece ended its PDV.
    #[cfg(test)]
    pub(crate) fn is_between_values(&self) -> bool {
        self.open.is_none()
    }

    /// One read.
    async fn fill(&mut self, wait: Wait) -> Result<(), WireError> {
        if self.buffer.capacity() - self.buffer.len() < LEAST_ROOM {
            self.buffer.reserve(BUFFER);
        }
        let limit = match wait {
            Wait::Idle => self.timers.idle,
            Wait::Progress => self.timers.progress,
            Wait::Response => self.timers.response,
        };
        let phase = self.phase.clone();
        let read = tokio::select! {
            biased;
            read = self.stream.read_buf(&mut self.buffer) => read.map_err(WireError::Io),
            () = tokio::time::sleep(limit) => Err(WireError::Silent),
            () = told_to_stop(phase, wait) => Err(WireError::Stopping),
        };
        match read? {
            0 => Err(WireError::Closed),
            _ => Ok(()),
        }
    }
}

/// Returns when this association must stop waiting because the node stops.
async fn told_to_stop(phase: Option<watch::Receiver<Phase>>, wait: Wait) {
    let Some(mut phase) = phase else { return std::future::pending().await };
    let awaited = match wait {
        Wait::Idle => Phase::Stopping,
        Wait::Progress | Wait::Response => Phase::Cut,
    };
    // A sender that is gone has nothing more to say; the timers still run.
    if phase.wait_for(|now| *now >= awaited).await.is_err() {
        return std::future::pending().await;
    }
    if awaited == Phase::Stopping {
        tokio::time::sleep(SILENCE_WHILE_STOPPING).await;
    }
}

/// A-RELEASE-RQ (PS3.8 §9.3.6).
pub(crate) const RELEASE_REQUEST: [u8; 10] = [5, 0, 0, 0, 0, 4, 0, 0, 0, 0];
/// A-RELEASE-RP (PS3.8 §9.3.7).
pub(crate) const RELEASE_REPLY: [u8; 10] = [6, 0, 0, 0, 0, 4, 0, 0, 0, 0];
/// A-ABORT by the service user, that is by a decision of ours (PS3.8 §9.3.8).
pub(crate) const ABORT_BY_USER: [u8; 10] = [7, 0, 0, 0, 0, 4, 0, 0, 0, 0];

/// The A-ABORT that tells the peer what went wrong (PS3.8 §9.3.8, source 2 with a reason).
pub(crate) fn abort_for(error: &WireError) -> [u8; 10] {
    let reason = match error {
        WireError::UnknownType(_) => 1,
        WireError::Unexpected(_) => 2,
        WireError::Malformed(_) | WireError::ControlTooLarge { .. } => 6,
        WireError::Stopping => return ABORT_BY_USER,
        WireError::Silent | WireError::Stalled | WireError::Closed | WireError::Io(_) => 0,
    };
    [7, 0, 0, 0, 0, 4, 0, 0, 2, reason]
}

/// Decodes a complete A-ASSOCIATE-RQ.
pub(crate) fn decode_request(pdu: &Bytes) -> Result<AssociationRQ, WireError> {
    match dicom_ul::pdu::read_pdu(pdu.clone(), LARGEST_CONTROL_PDU, true) {
        Ok(Some(Pdu::AssociationRQ(request))) => Ok(request),
        Ok(_) | Err(_) => Err(WireError::Malformed("A-ASSOCIATE-RQ cannot be decoded")),
    }
}

/// Decodes a complete A-ASSOCIATE-AC.
pub(crate) fn decode_accept(pdu: &Bytes) -> Result<AssociationAC, WireError> {
    let repaired = with_transfer_syntax_in_refused_contexts(pdu);
    match dicom_ul::pdu::read_pdu(repaired.as_slice(), 2 * LARGEST_CONTROL_PDU, true) {
        Ok(Some(Pdu::AssociationAC(accept))) => Ok(accept),
        Ok(_) | Err(_) => Err(WireError::Malformed("A-ASSOCIATE-AC cannot be decoded")),
    }
}

/// Encodes an association PDU.
pub(crate) fn encode(pdu: &Pdu) -> Result<Vec<u8>, WireError> {
    let mut bytes = Vec::with_capacity(4096);
    dicom_ul::pdu::write_pdu(&mut bytes, pdu)
        .map_err(|_| WireError::Malformed("our own PDU cannot be encoded"))?;
    Ok(bytes)
}

/// A refused context may come without a transfer syntax (PS3.8 §9.3.3.2: not significant), which the codec does not
/// take. Gives each of those one; everything else is copied as it is.
fn with_transfer_syntax_in_refused_contexts(pdu: &[u8]) -> Vec<u8> {
    const FILLER: &[u8] = b"\x40\x00\x00\x011";
    let fixed = pdu.len().min(74);
    let mut repaired = pdu[..fixed].to_vec();
    let mut rest = &pdu[fixed..];
    while let [kind, _, high, low, ..] = *rest {
        let whole = 4 + usize::from(u16::from_be_bytes([high, low]));
        let Some(item) = rest.get(..whole) else { break };
        repaired.extend_from_slice(item);
        if kind == 0x21 && whole == 8 && item[6] != 0 {
            let from = repaired.len() - 8;
            repaired[from + 2..from + 4].copy_from_slice(&[0, 9]);
            repaired.extend_from_slice(FILLER);
        }
        rest = &rest[whole..];
    }
    repaired.extend_from_slice(rest);
    if let (Ok(length), true) = (u32::try_from(repaired.len().saturating_sub(6)), repaired.len() >= 6) {
        repaired[2..6].copy_from_slice(&length.to_be_bytes());
    }
    repaired
}

#[cfg(test)]
#[path = "pdu_tests.rs"]
pub(crate) mod tests;
