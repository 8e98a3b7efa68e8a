//! Conversion on the fly: the same data set in another uncompressed transfer syntax, for an archive that does not take the
//! one in which it came. PS3.5 §7, annex A.
//!
//! ```text
//! Deflated ─ inflate ─┐
//! Explicit VR Big ────┼─▶ header by header ─▶ Explicit or Implicit VR Little Endian
//! Explicit / Implicit ┘
//! ```
//!
//! - No value changes but for its byte order, and no pixel is decoded: what is compressed, lossy or not, is never converted.
//! - Sequences and items get delimiters, because their new length is known only at their end. An empty one stays empty.
//! - Implicit VR has no room for VRs: on the way there those of private elements are lost. On the way back an element that no
//!   dictionary names is UN, which every reader takes as it is (PS3.5 §6.2.2), and so is a value too long for its VR.
//! - Group lengths (retired) are left out; they would be wrong.
//! - Memory does not depend on the size of the instance.

use beeldbox_protocol::ident::TransferSyntaxUid;
use dicom_dictionary_std::uids;

use self::inflating::Inflating;
use self::vr::Signs;

use super::CoercionError;
use super::element::{
    self, Header, ITEM, ITEM_DELIMITER, LONGEST_HEADER, Parsed, SEQUENCE_DELIMITER, UNDEFINED, has_fragments,
};
use super::nesting::{Kind, Nesting};
use crate::data_set::EXPLICIT_VR_BIG_ENDIAN;
use crate::deliver::SourceError;
use crate::walk::Encoding;

// Out of a deflated stream.
mod inflating;
// As part of a delivery.
mod source;
// The VR that an element gets, and how its values are ordered.
mod vr;

pub use self::source::ConvertedSource;

/// An instance that cannot be converted. Its data set is not what its transfer syntax says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the instance cannot be converted to another transfer syntax: {0}")]
pub struct ConversionError(#[from] CoercionError);

impl ConversionError {
    /// What stopped an instance, if it was this.
    pub fn of(error: &SourceError) -> Option<ConversionError> {
        error.0.downcast_ref().copied()
    }
}

/// The transfer syntaxes to which an instance can be converted without loss and without decoding pixels, the best first.
pub fn convertible_to(stored: &TransferSyntaxUid) -> Vec<TransferSyntaxUid> {
    const EXPLICIT: &str = uids::EXPLICIT_VR_LITTLE_ENDIAN;
    const IMPLICIT: &str = uids::IMPLICIT_VR_LITTLE_ENDIAN;
    let others: &[&str] = match stored.as_str() {
        EXPLICIT => &[IMPLICIT],
        IMPLICIT => &[EXPLICIT],
        uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN | EXPLICIT_VR_BIG_ENDIAN => &[EXPLICIT, IMPLICIT],
        _ => &[],
    };
    others.iter().filter_map(|uid| uid.parse().ok()).collect()
}

/// Converts one data set. Pure: no clock, no input or output.
pub struct Converter {
    inflating: Option<Inflating>,
    way: Way,
    has_failed: bool,
}

enum Way {
    /// Inflated, it is what is wanted.
    AsItIs,
    Walking(Box<Walker>),
}

impl Converter {
    /// From one transfer syntax to another; `None` if that is not one of [`convertible_to`].
    pub fn new(from: &TransferSyntaxUid, to: &TransferSyntaxUid) -> Option<Self> {
        if !convertible_to(from).contains(to) {
            return None;
        }
        let to = if to.as_str() == uids::IMPLICIT_VR_LITTLE_ENDIAN {
            Encoding::ImplicitLittle
        } else {
            Encoding::ExplicitLittle
        };
        let is_deflated = from.as_str() == uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN;
        let from = match from.as_str() {
            uids::IMPLICIT_VR_LITTLE_ENDIAN => Encoding::ImplicitLittle,
            EXPLICIT_VR_BIG_ENDIAN => Encoding::ExplicitBig,
            _ => Encoding::ExplicitLittle,
        };
        let way = if from == to { Way::AsItIs } else { Way::Walking(Box::new(Walker::new(from, to))) };
        let inflating = is_deflated.then(Inflating::new);
        Some(Converter { inflating, way, has_failed: false })
    }

    /// Takes the next bytes, cut anywhere, and gives what is ready to `out`, piece by piece.
    ///
    /// # Errors
    /// See [`ConversionError`]. What came out before must not be used; every later call fails too.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ConversionError> {
        if self.has_failed {
            return Err(CoercionError::GivenUp.into());
        }
        let pushed = match &mut self.inflating {
            None => self.way.take(bytes, out),
            Some(inflating) => inflating.push(bytes, &mut self.way, out),
        };
        self.has_failed = pushed.is_err();
        Ok(pushed?)
    }

    /// Says that the data set is complete. Only after this it is one.
    ///
    /// # Errors
    /// If it ended too early, or there was an error before.
    pub fn finish(self) -> Result<(), ConversionError> {
        if self.has_failed {
            return Err(CoercionError::GivenUp.into());
        }
        let is_inflated = self.inflating.is_none_or(|inflating| inflating.has_ended);
        let is_whole = match &self.way {
            Way::AsItIs => true,
            Way::Walking(walker) => walker.is_between(),
        };
        if is_inflated && is_whole { Ok(()) } else { Err(CoercionError::CutOff.into()) }
    }
}

impl Way {
    fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Done {
        match self {
            Way::AsItIs => {
                out.extend_from_slice(bytes);
                Ok(())
            }
            Way::Walking(walker) => walker.push(bytes, out),
        }
    }
}

type Done = Result<(), CoercionError>;

/// What the next byte of input is.
#[derive(Debug)]
enum State {
    /// Of a header.
    Header,
    /// Of a value whose numbers have this many bytes, to be turned around if more than one.
    Value { left: u64, unit: usize },
    /// Of a value that is left out.
    Dropping { left: u64 },
}

/// Goes from header to header, writes each anew, and lets values pass.
struct Walker {
    from: Encoding,
    to: Encoding,
    at: u64,
    state: State,
    head: Vec<u8>,
    /// The beginning of a number that is cut in two.
    number: Vec<u8>,
    nesting: Nesting,
    signs: Signs,
}

impl Walker {
    fn new(from: Encoding, to: Encoding) -> Self {
        Walker {
            from,
            to,
            at: 0,
            state: State::Header,
            head: Vec::with_capacity(LONGEST_HEADER),
            number: Vec::with_capacity(8),
            nesting: Nesting::default(),
            signs: Signs::default(),
        }
    }

    /// Whether the data set could end here.
    fn is_between(&self) -> bool {
        matches!(self.state, State::Header) && self.head.is_empty() && self.nesting.is_empty()
    }

    fn push(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> Done {
        loop {
            match &mut self.state {
                State::Header => match self.gather(&mut input)? {
                    Some(header) => {
                        self.head.clear();
                        self.begin(header, out)?;
                    }
                    None => return Ok(()),
                },
                State::Value { left: 0, .. } | State::Dropping { left: 0 } => {
                    // A value whose length is no multiple of its number's keeps its last bytes.
                    out.append(&mut self.number);
                    self.state = State::Header;
                    self.over(out)?;
                }
                State::Value { .. } | State::Dropping { .. } if input.is_empty() => return Ok(()),
                State::Value { left, unit } => {
                    let (part, unit) = (split(&mut input, left), *unit);
                    self.at += len(part);
                    self.signs.see(part);
                    turn(part, unit, &mut self.number, out);
                }
                State::Dropping { left } => self.at += len(split(&mut input, left)),
            }
        }
    }

    /// A header, once all of it is there.
    fn gather(&mut self, input: &mut &[u8]) -> Result<Option<Header>, CoercionError> {
        let encoding = self.encoding();
        loop {
            match element::parse(&self.head, encoding) {
                Parsed::Header(header) => {
                    self.nesting.reaches(self.at)?;
                    return Ok(Some(header));
                }
                Parsed::NoVr(tag) => return Err(CoercionError::NotInTransferSyntax { tag }),
                Parsed::Needs(_) if input.is_empty() => return Ok(None),
                Parsed::Needs(length) => {
                    let (part, rest) = input.split_at((length - self.head.len()).min(input.len()));
                    self.head.extend_from_slice(part);
                    self.at += len(part);
                    *input = rest;
                }
            }
        }
    }

    fn encoding(&self) -> Encoding {
        self.nesting.last().map_or(self.from, |frame| frame.encoding)
    }

    fn begin(&mut self, header: Header, out: &mut Vec<u8>) -> Done {
        let place = self.nesting.last().map(|frame| (frame.kind, frame.end));
        match (place, header.tag) {
            (Some((Kind::Sequence, None)), SEQUENCE_DELIMITER)
            | (Some((Kind::Item, None)), ITEM_DELIMITER) => {
                self.close();
                self.emit(Header { length: 0, ..header }, out)?;
                self.over(out)
            }
            (Some((Kind::Sequence, _)), ITEM) => self.item(header, out),
            (Some((Kind::Sequence | Kind::Fragments, _)), _) => {
                Err(CoercionError::Broken("something else than an item in a sequence"))
            }
            (Some((Kind::Item, _)) | None, tag) if tag.0 == 0xfffe => {
                Err(CoercionError::Broken("an item or delimiter where none belongs"))
            }
            (Some((Kind::Item, _)) | None, _) => self.element(header, out),
        }
    }

    fn item(&mut self, header: Header, out: &mut Vec<u8>) -> Done {
        let tag = self.nesting.last().map_or(header.tag, |frame| frame.tag);
        let length = Some(header.length).filter(|length| *length != UNDEFINED);
        self.open(Kind::Item, tag, self.encoding(), length)?;
        self.emit(header, out)?;
        self.over(out)
    }

    fn element(&mut self, header: Header, out: &mut Vec<u8>) -> Done {
        let encoding = self.encoding();
        if vr::is_wrong_afterwards(header.tag) {
            self.state = State::Dropping { left: self.within(header.length)? };
            return Ok(());
        }
        let vr = self.signs.vr_of(&header);
        if header.length == UNDEFINED {
            let inside = match header.vr {
                _ if has_fragments(&header) => {
                    return Err(CoercionError::Broken("fragments in an uncompressed transfer syntax"));
                }
                // PS3.5 §6.2.2, note: the inside of such a UN is implicit.
                Some([b'U', b'N']) => Encoding::ImplicitLittle,
                None | Some([b'S', b'Q']) => encoding,
                Some(_) => return Err(CoercionError::Broken("a value of undefined length")),
            };
            self.open(Kind::Sequence, header.tag, inside, None)?;
            return self.emit(Header { vr: Some(*b"SQ"), ..header }, out);
        }
        if vr == *b"SQ" && header.length > 0 {
            self.open(Kind::Sequence, header.tag, encoding, Some(header.length))?;
            return self.emit(Header { vr: Some(vr), ..header }, out);
        }
        let left = self.within(header.length)?;
        self.signs.expect(&header);
        let unit = if encoding == Encoding::ExplicitBig { vr::unit(vr) } else { 1 };
        self.state = State::Value { left, unit };
        let written = Header { vr: Some(vr), ..header };
        if vr::fits(&written, self.to) {
            self.emit(written, out)
        } else {
            self.emit(Header { vr: Some(*b"UN"), ..header }, out)
        }
    }

    /// A value of this length, if it ends within what it is in.
    fn within(&self, length: u32) -> Result<u64, CoercionError> {
        if length == UNDEFINED {
            return Err(CoercionError::Broken("a value of undefined length"));
        }
        self.nesting.reaches(self.at.saturating_add(u64::from(length)))?;
        Ok(u64::from(length))
    }

    fn open(
        &mut self,
        kind: Kind,
        tag: dicom_core::Tag,
        encoding: Encoding,
        length: Option<u32>,
    ) -> Result<(), CoercionError> {
        let frame = self.nesting.open(kind, tag, encoding, self.at, length)?;
        frame.is_rewritten = length.is_some_and(|length| length > 0);
        self.signs.open();
        Ok(())
    }

    fn close(&mut self) {
        self.nesting.close();
        self.signs.close();
    }

    /// An element, item or sequence is over; perhaps those around it are too.
    fn over(&mut self, out: &mut Vec<u8>) -> Done {
        while let Some(frame) = self.nesting.last() {
            if frame.end != Some(self.at) {
                return Ok(());
            }
            let (kind, is_rewritten) = (frame.kind, frame.is_rewritten);
            self.close();
            if is_rewritten {
                let tag = if kind == Kind::Item { ITEM_DELIMITER } else { SEQUENCE_DELIMITER };
                self.emit(Header { tag, vr: None, length: 0 }, out)?;
            }
        }
        Ok(())
    }

    /// Writes a header. What has a length and is no value is written with a delimiter.
    fn emit(&self, header: Header, out: &mut Vec<u8>) -> Done {
        let is_value = header.vr.is_some_and(|vr| vr != *b"SQ");
        let is_delimiter = matches!(header.tag, ITEM_DELIMITER | SEQUENCE_DELIMITER);
        let keeps = is_value || is_delimiter || header.length == 0;
        let header = if keeps { header } else { Header { length: UNDEFINED, ..header } };
        element::write(&header, self.to, out).ok_or(CoercionError::TooLong { tag: header.tag })
    }
}

/// The part of the input that belongs to what is left.
fn split<'a>(input: &mut &'a [u8], left: &mut u64) -> &'a [u8] {
    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    let (part, rest) = input.split_at(length);
    *left -= len(part);
    *input = rest;
    part
}

/// Turns numbers of `unit` bytes around; one that is cut in two waits in `number`.
fn turn(mut part: &[u8], unit: usize, number: &mut Vec<u8>, out: &mut Vec<u8>) {
    if unit == 1 {
        return out.extend_from_slice(part);
    }
    if !number.is_empty() {
        let (rest, after) = part.split_at((unit - number.len()).min(part.len()));
        number.extend_from_slice(rest);
        part = after;
        if number.len() < unit {
            return;
        }
        out.extend(number.drain(..).rev());
    }
    let numbers = part.chunks_exact(unit);
    number.extend_from_slice(numbers.remainder());
    out.extend(numbers.flat_map(|number| number.iter().rev()));
}

fn len(part: &[u8]) -> u64 {
    u64::try_from(part.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
