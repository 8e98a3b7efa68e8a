//! From bytes to control PDUs and pieces of data, without a socket.
//!
//! ```text
//! bytes ─▶ PDU header (6) ─┬─ control PDU ≤ 1 MiB ─▶ whole
//!                          └─ P-DATA-TF ─▶ PDV header (6) ─┬─ command ─▶ as it comes
//!                                                          └─ data ─▶ a run of values, handed on by 128 KiB
//!
//! buffer: [ run: data of one context, headers taken out ][ not looked at yet ]
//! ```
//!
//! A P-DATA PDU is never held: its headers are read and taken out, and what several PDVs carry leaves as one piece, so
//! that the taker is called rarely whatever size the peer's PDUs have. [`Inflow::room`] asks for no more than the rest of
//! the open value and the header behind it, so that data is read where it stays and nothing is copied. Memory follows the
//! bytes that came, never a length that a peer declares.

use std::mem;

use bytes::{Buf, Bytes, BytesMut};

use crate::greeting::{self, Greeting};
use crate::pdu::{Incoming, LARGEST_CONTROL_PDU, PdvKind, Piece, WireError};

/// Largest piece of data handed on.
pub(crate) const PIECE: usize = 128 * 1024;
/// Room for one read outside of data: a command and its headers fit many times.
const SMALL: usize = 4 * 1024;
/// PDU header and PDV header.
const HEADERS: usize = 12;
/// Buffers that the taker may still hold and that we take back when it is done. One more is being filled. As many as a taker
/// may queue and one in its hands: a buffer that is not taken back is made anew, page by page.
const MOST_LENT: usize = 5;

/// The reading half of an association, as bytes.
#[derive(Debug, Default)]
pub(crate) struct Inflow {
    buffer: BytesMut,
    /// Bytes at the beginning of the buffer that are data and belong together.
    run: usize,
    /// The context of those.
    run_context: u8,
    /// Bytes of the current P-DATA PDU behind the open PDV.
    pdu_left: u32,
    open: Option<OpenPdv>,
    /// Copies of the handles of large buffers given away, to get them back without asking the allocator.
    lent: Vec<Bytes>,
    /// Whether a PDU has been seen: only the first bytes of a connection are a greeting.
    greeted: bool,
}

#[derive(Debug)]
struct OpenPdv {
    context: u8,
    kind: PdvKind,
    last_fragment: bool,
    left: u32,
}

/// What the next PDU header says.
enum Header {
    Data { length: u32 },
    Control { whole: usize },
}

impl Inflow {
    /// The next control PDU or piece of data; `None` asks for more bytes.
    pub(crate) fn next(&mut self) -> Result<Option<Incoming>, WireError> {
        loop {
            if let Some(open) = &self.open {
                let found = match open.kind {
                    PdvKind::Data => self.data(),
                    PdvKind::Command => self.command(),
                };
                match found {
                    Step::Found(piece) => return Ok(Some(Incoming::Piece(piece))),
                    Step::Missing => return Ok(None),
                    Step::Further => continue,
                }
            }
            if self.waiting() < 6 {
                self.refuse_early()?;
                return Ok(None);
            }
            if self.pdu_left > 0 {
                if self.run > 0 && !self.next_pdv_goes_on() {
                    return Ok(Some(Incoming::Piece(self.emit(false))));
                }
                self.open_pdv()?;
                continue;
            }
            match self.header()? {
                Header::Data { length } => {
                    self.take_out(6);
                    self.pdu_left = length;
                }
                Header::Control { .. } if self.run > 0 => {
                    return Ok(Some(Incoming::Piece(self.emit(false))));
                }
                Header::Control { whole } if self.buffer.len() < whole => return Ok(None),
                Header::Control { whole } => return Ok(Some(self.control(whole))),
            }
        }
    }

    /// Where the next bytes belong, and how many at most. Always room for one.
    pub(crate) fn room(&mut self) -> (&mut BytesMut, usize) {
        let wanted = match &self.open {
            Some(open) if open.kind == PdvKind::Data => {
                let left = usize::try_from(open.left).unwrap_or(usize::MAX);
                left.saturating_add(HEADERS).min(PIECE + HEADERS - self.run.min(PIECE))
            }
            Some(_) | None => SMALL,
        };
        let missing = wanted > self.buffer.capacity() - self.buffer.len();
        if missing && wanted > SMALL {
            let mut large = self.large();
            large.extend_from_slice(&self.buffer);
            self.buffer = large;
        } else if missing {
            // Doubling: what has come pays for what may come.
            self.buffer.reserve(SMALL.max(self.buffer.len()));
        }
        (&mut self.buffer, wanted)
    }

    /// Whether something has begun that is not complete: a PDU or a value.
    pub(crate) fn is_inside(&self) -> bool {
        self.open.is_some() || self.pdu_left > 0 || !self.buffer.is_empty()
    }

    /// Whether that is a control PDU.
    pub(crate) fn is_inside_control(&self) -> bool {
        self.open.is_none() && self.pdu_left == 0 && self.waiting() >= 6
    }

    /// Nothing is going on: give the memory back.
    pub(crate) fn shrink(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
        self.lent = Vec::new();
    }

    /// Bytes not looked at yet.
    fn waiting(&self) -> usize {
        self.buffer.len() - self.run
    }

    /// Takes bytes out behind the run.
    fn take_out(&mut self, count: usize) {
        if self.run == 0 {
            self.buffer.advance(count);
        } else {
            // What is behind is nearly always nothing: see `room`.
            self.buffer.copy_within(self.run + count.., self.run);
            self.buffer.truncate(self.buffer.len() - count);
        }
    }

    /// Moves what has come of the open data value into the run.
    fn data(&mut self) -> Step {
        let waiting = self.waiting();
        let Some(open) = &mut self.open else { return Step::Missing };
        let space = PIECE.saturating_sub(self.run);
        let taken = usize::try_from(open.left).unwrap_or(usize::MAX).min(waiting).min(space);
        // At most what is left, which is a u32.
        open.left -= u32::try_from(taken).unwrap_or(open.left);
        let (ends, last) = (open.left == 0, open.last_fragment);
        self.run += taken;
        self.run_context = open.context;
        if ends {
            self.open = None;
        }
        if (ends && last) || self.run >= PIECE {
            return Step::Found(self.emit(ends && last));
        }
        if ends { Step::Further } else { Step::Missing }
    }

    /// What has come of the open command value. Small: copied.
    fn command(&mut self) -> Step {
        let waiting = self.waiting();
        let Some(open) = &mut self.open else { return Step::Missing };
        let taken = usize::try_from(open.left).unwrap_or(usize::MAX).min(waiting);
        open.left -= u32::try_from(taken).unwrap_or(open.left);
        let (context, ends) = (open.context, open.left == 0);
        if taken == 0 && !ends {
            return Step::Missing;
        }
        let last = ends && open.last_fragment;
        if ends {
            self.open = None;
        }
        let chunk = Bytes::copy_from_slice(&self.buffer[..taken]);
        self.buffer.advance(taken);
        Step::Found(Piece { context, kind: PdvKind::Command, chunk, last })
    }

    /// Hands the run on. What stands behind it moves to the next buffer.
    fn emit(&mut self, last: bool) -> Piece {
        let mut whole = mem::take(&mut self.buffer);
        let behind = &whole[self.run..];
        if !behind.is_empty() {
            self.buffer.extend_from_slice(behind);
        }
        whole.truncate(self.run);
        self.run = 0;
        let large = whole.capacity() > PIECE;
        let chunk = whole.freeze();
        if large {
            if self.lent.len() == MOST_LENT {
                self.lent.remove(0);
            }
            self.lent.push(chunk.clone());
        }
        Piece { context: self.run_context, kind: PdvKind::Data, chunk, last }
    }

    /// An empty buffer for data: one that came back, or a new one.
    fn large(&mut self) -> BytesMut {
        let back = self.lent.iter().position(Bytes::is_unique);
        if let Some(Ok(mut buffer)) = back.map(|at| self.lent.swap_remove(at).try_into_mut()) {
            buffer.clear();
            return buffer;
        }
        BytesMut::with_capacity(PIECE + 2 * SMALL)
    }

    /// Whether the PDV whose header stands behind the run carries on with it. The caller has six bytes there.
    fn next_pdv_goes_on(&self) -> bool {
        let header = &self.buffer[self.run..];
        header[4] == self.run_context && header[5] & 1 == 0
    }

    /// Reads the header of the next PDV. The caller has six bytes behind the run.
    fn open_pdv(&mut self) -> Result<(), WireError> {
        let mut header = &self.buffer[self.run..self.run + 6];
        let item_length = header.get_u32();
        let (context, control) = (header.get_u8(), header.get_u8());
        let after = self.pdu_left.checked_sub(4).and_then(|left| left.checked_sub(item_length));
        let (Some(after), Some(left)) = (after, item_length.checked_sub(2)) else {
            return Err(WireError::Malformed("PDV length does not fit its PDU"));
        };
        if after > 0 && after < 6 {
            return Err(WireError::Malformed("bytes behind the last PDV of a PDU"));
        }
        self.take_out(6);
        self.pdu_left = after;
        let kind = if control & 1 == 1 { PdvKind::Command } else { PdvKind::Data };
        self.open = Some(OpenPdv { context, kind, last_fragment: control & 2 == 2, left });
        Ok(())
    }

    /// Reads the header of the next PDU. The caller has six bytes behind the run.
    fn header(&mut self) -> Result<Header, WireError> {
        let header = &self.buffer[self.run..self.run + 6];
        let kind = header[0];
        let length = u32::from_be_bytes([header[2], header[3], header[4], header[5]]);
        match kind {
            0x01 | 0x02 if length > LARGEST_CONTROL_PDU => return Err(WireError::ControlTooLarge { length }),
            0x03 | 0x05 | 0x06 | 0x07 if length != 4 => {
                return Err(WireError::Malformed("control PDU of wrong length"));
            }
            0x04 if length < 6 => return Err(WireError::Malformed("P-DATA-TF without a complete PDV")),
            0x01..=0x07 => self.greeted = true,
            _ if !self.greeted => return Err(WireError::Foreign(greeting::recognise(header))),
            unknown => return Err(WireError::UnknownType(unknown)),
        }
        if kind == 0x04 {
            return Ok(Header::Data { length });
        }
        let length = usize::try_from(length).map_err(|_| WireError::ControlTooLarge { length })?;
        Ok(Header::Control { whole: length + 6 })
    }

    /// A first byte that no PDU begins with needs no second. At the beginning of a connection a few more are awaited, to
    /// name what speaks there: see [`Inflow::stranger`].
    fn refuse_early(&self) -> Result<(), WireError> {
        match self.buffer[self.run..].first() {
            Some(unknown) if self.pdu_left == 0 && self.greeted && !(1..=7).contains(unknown) => {
                Err(WireError::UnknownType(*unknown))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// If the first bytes are not DICOM: what they look like so far.
    pub(crate) fn stranger(&self) -> Option<Greeting> {
        let foreign = !self.greeted && self.buffer.first().is_some_and(|first| !(1..=7).contains(first));
        foreign.then(|| greeting::recognise(&self.buffer))
    }

    /// Takes a whole control PDU, which the caller has in the buffer.
    fn control(&mut self, whole: usize) -> Incoming {
        let pdu = Bytes::copy_from_slice(&self.buffer[..whole]);
        self.buffer.advance(whole);
        match pdu[0] {
            0x01 => Incoming::AssociateRequest(pdu),
            0x02 => Incoming::AssociateAccept(pdu),
            0x03 => Incoming::AssociateReject { result: pdu[7], source: pdu[8], reason: pdu[9] },
            0x05 => Incoming::ReleaseRequest,
            0x06 => Incoming::ReleaseReply,
            // `header` lets nothing else through.
            _ => Incoming::Abort { source: pdu[8], reason: pdu[9] },
        }
    }
}

/// What an open value yields.
enum Step {
    Found(Piece),
    Missing,
    Further,
}

#[cfg(test)]
#[path = "inflow_tests.rs"]
mod tests;
