//! The rewriter: a data set in one VR encoding goes through, in pieces of any size.
//!
//! ```text
//! Header ──▶ Passing / Dropping / Holding ──▶ (item or sequence over?) ──▶ Header …
//!    │
//!    └─ outermost level: what is due before this tag is added; what is replaced is captured whole and settled
//! ```
//!
//! Positions count input bytes; a frame with a length ends at a position, one without at its delimiter.

// Attributes of the plan.
mod changes;
// Values that do not go through.
mod values;

use std::collections::VecDeque;

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::element::{
    self, Header, ITEM, ITEM_DELIMITER, LONGEST_HEADER, Parsed, SEQUENCE_DELIMITER, UNDEFINED, has_fragments,
    is_text, may_hold_text, vr_of,
};
use super::nesting::{Kind, Nesting};
use super::original::Originals;
use super::plan::{Change, CoercionRecord, Coercions};
use super::text::TextWriter;
use super::{CoercionError, CoercionOutcome};
use crate::character_set::{CharacterSets, ValueKind};
use crate::walk::Encoding;

/// Longest element that is replaced and kept as an original.
const LONGEST_ORIGINAL: usize = 64 * 1024;

/// Length to End, retired; the dictionary calls it deprecated.
const LENGTH_TO_END: Tag = Tag(0x0008, 0x0001);

/// What is due at a tag of the outermost level.
#[derive(Debug)]
enum Due {
    CharacterSet,
    CoercionTime,
    Change(Change),
    OriginalAttributes,
}

/// What the next byte of input is.
#[derive(Debug)]
enum State {
    /// Of a header.
    Header,
    /// Of a value that goes through.
    Passing { left: u64 },
    /// Of a value that is left out.
    Dropping { left: u64 },
    /// Of a value that is held until it is complete.
    Holding { header: Header, held: Held, left: usize },
}

#[derive(Debug, Clone, Copy)]
enum Held {
    Text(ValueKind),
    /// Specific Character Set of an item.
    CharacterSet,
}

/// An element that is being replaced.
#[derive(Debug)]
struct Capture {
    tag: Tag,
    due: Due,
    bytes: Vec<u8>,
    /// Whether its text is converted: only if its own character set cannot be declared beside it.
    converts: bool,
}

pub(super) struct Rewriter {
    encoding: Encoding,
    record: CoercionRecord,
    /// In order of tags.
    due: VecDeque<(Tag, Due)>,
    /// Every tag that was due.
    planned: Vec<Tag>,
    originals: Originals,
    /// How new values are written; right once (0008,0005) has been passed.
    text: TextWriter,
    /// The character set of the data set.
    sets: CharacterSets,
    is_declared: bool,
    converting: bool,
    /// Whether text may have gone through before its character set was known.
    has_early_text: bool,
    at: u64,
    state: State,
    head: Vec<u8>,
    value: Vec<u8>,
    nesting: Nesting,
    capture: Option<Capture>,
    /// The item that the sequence of originals, open now, gets at its end.
    appended: Option<Vec<u8>>,
    outcome: CoercionOutcome,
}

type Done = Result<(), CoercionError>;

impl Rewriter {
    pub(super) fn new(coercions: &Coercions, encoding: Encoding) -> Self {
        let mut due = VecDeque::new();
        due.push_back((tags::SPECIFIC_CHARACTER_SET, Due::CharacterSet));
        due.push_back((tags::INSTANCE_COERCION_DATE_TIME, Due::CoercionTime));
        due.extend(coercions.changes().into_iter().map(|(tag, change)| (tag, Due::Change(change))));
        due.push_back((tags::ORIGINAL_ATTRIBUTES_SEQUENCE, Due::OriginalAttributes));
        Rewriter {
            encoding,
            record: coercions.record().clone(),
            planned: due.iter().map(|(tag, _)| *tag).collect(),
            due,
            originals: Originals::default(),
            text: TextWriter::Utf8,
            sets: CharacterSets::default(),
            is_declared: false,
            converting: false,
            has_early_text: false,
            at: 0,
            state: State::Header,
            head: Vec::with_capacity(LONGEST_HEADER),
            value: Vec::new(),
            nesting: Nesting::default(),
            capture: None,
            appended: None,
            outcome: CoercionOutcome::default(),
        }
    }

    /// Takes the next bytes and appends what is ready to `out`.
    pub(super) fn push(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> Done {
        loop {
            match &mut self.state {
                State::Header => match self.gather(&mut input)? {
                    Some(header) => self.begin(header, out)?,
                    None => return Ok(()),
                },
                State::Passing { left: 0 } => self.value_over(out)?,
                State::Dropping { left: 0 } => self.value_over(out)?,
                State::Holding { header, held, left: 0 } => {
                    let (header, held) = (*header, *held);
                    self.held(header, held, out)?;
                    self.value_over(out)?;
                }
                _ if input.is_empty() => return Ok(()),
                State::Passing { left } | State::Dropping { left } => {
                    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                    let (part, rest) = input.split_at(length);
                    *left -= len(part);
                    self.at += len(part);
                    input = rest;
                    if matches!(self.state, State::Passing { .. }) {
                        self.emit(part, out)?;
                    }
                }
                State::Holding { left, .. } => {
                    let (part, rest) = input.split_at((*left).min(input.len()));
                    *left -= part.len();
                    self.at += len(part);
                    input = rest;
                    self.value.extend_from_slice(part);
                }
            }
        }
    }

    /// Says that the data set is complete.
    pub(super) fn finish(mut self, out: &mut Vec<u8>) -> Result<CoercionOutcome, CoercionError> {
        let is_between =
            matches!(self.state, State::Header) && self.head.is_empty() && self.nesting.is_empty();
        if !is_between {
            return Err(CoercionError::CutOff);
        }
        self.add_due(None, out)?;
        Ok(self.outcome)
    }

    /// A header, once all of it is there.
    fn gather(&mut self, input: &mut &[u8]) -> Result<Option<Header>, CoercionError> {
        let encoding = self.nesting.last().map_or(self.encoding, |frame| frame.encoding);
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

    fn begin(&mut self, header: Header, out: &mut Vec<u8>) -> Done {
        let place = self.nesting.last().map(|frame| (frame.kind, frame.end, frame.tag, frame.encoding));
        match place {
            Some((kind @ (Kind::Sequence | Kind::Fragments), end, tag, encoding)) => match header.tag {
                SEQUENCE_DELIMITER if end.is_none() => self.delimited(out),
                ITEM if kind == Kind::Fragments => self.pass(header, out),
                ITEM => self.item(header, tag, encoding, out),
                _ => Err(CoercionError::Broken("something else than an item in a sequence")),
            },
            Some((Kind::Item, None, _, _)) if header.tag == ITEM_DELIMITER => self.delimited(out),
            _ if header.tag.0 == 0xfffe => {
                Err(CoercionError::Broken("an item or delimiter where none belongs"))
            }
            Some((Kind::Item, _, _, encoding)) => self.element(header, encoding, out),
            None => self.outermost(header, out),
        }
    }

    /// An element of the outermost level.
    fn outermost(&mut self, header: Header, out: &mut Vec<u8>) -> Done {
        let tag = header.tag;
        self.add_due(Some(tag), out)?;
        if self.is_length_of_changed(tag) {
            return self.drop_value(header);
        }
        match self.due.pop_front_if(|(due_at, _)| *due_at == tag) {
            Some((_, Due::OriginalAttributes)) => return self.append_to(header, out),
            Some((_, due)) => {
                let converts = self.converting && !self.is_declared;
                self.capture = Some(Capture { tag, due, bytes: Vec::new(), converts });
            }
            None if self.planned.contains(&tag) => return Err(CoercionError::OutOfOrder { tag }),
            None => {}
        }
        let is_early = tag < tags::SPECIFIC_CHARACTER_SET;
        self.has_early_text |= is_early && may_hold_text(&header);
        self.element(header, self.encoding, out)
    }

    /// Group lengths (retired) and Length to End (retired) that would be wrong behind the changes.
    fn is_length_of_changed(&self, tag: Tag) -> bool {
        let is_length = tag.1 == 0 || tag == LENGTH_TO_END;
        is_length && (self.converting || self.planned.iter().any(|planned| planned.0 == tag.0))
    }

    /// An element: it passes, is entered, or is held.
    fn element(&mut self, header: Header, encoding: Encoding, out: &mut Vec<u8>) -> Done {
        if header.length == UNDEFINED {
            return self.undefined(header, encoding, out);
        }
        if !self.converts() {
            return self.pass(header, out);
        }
        let vr = vr_of(&header);
        if header.tag == tags::SPECIFIC_CHARACTER_SET {
            return self.hold(header, Held::CharacterSet);
        }
        if header.tag.1 == 0 {
            return self.drop_value(header);
        }
        if let Some(kind) = is_text(vr) {
            return self.hold(header, Held::Text(kind));
        }
        if vr == *b"SQ" && header.length > 0 {
            let frame =
                self.nesting.open(Kind::Sequence, header.tag, encoding, self.at, Some(header.length))?;
            frame.is_rewritten = true;
            return self.emit_header(Header { length: UNDEFINED, ..header }, encoding, out);
        }
        self.outcome.unknown_left_alone += u64::from(vr == *b"UN" && header.length > 0);
        self.pass(header, out)
    }

    /// An element until its delimiter: a sequence, or fragments of pixel data.
    fn undefined(&mut self, header: Header, encoding: Encoding, out: &mut Vec<u8>) -> Done {
        let (kind, inside) = match header.vr {
            _ if has_fragments(&header) => (Kind::Fragments, encoding),
            // PS3.5 §6.2.2, note: the inside of such a UN is implicit.
            Some([b'U', b'N']) => (Kind::Sequence, Encoding::ImplicitLittle),
            None | Some([b'S', b'Q']) => (Kind::Sequence, encoding),
            Some(_) => return Err(CoercionError::Broken("a value of undefined length")),
        };
        self.nesting.open(kind, header.tag, inside, self.at, None)?;
        self.emit_head(out)
    }

    fn item(&mut self, header: Header, tag: Tag, encoding: Encoding, out: &mut Vec<u8>) -> Done {
        let converts = self.converts();
        let length = Some(header.length).filter(|length| *length != UNDEFINED);
        let frame = self.nesting.open(Kind::Item, tag, encoding, self.at, length)?;
        frame.is_rewritten = converts && length.is_some_and(|length| length > 0);
        if frame.is_rewritten {
            self.emit_header(Header { length: UNDEFINED, ..header }, encoding, out)?;
        } else {
            self.emit_head(out)?;
        }
        self.over(out)
    }

    /// The delimiter of what is open.
    fn delimited(&mut self, out: &mut Vec<u8>) -> Done {
        self.nesting.close();
        if self.nesting.is_empty() {
            self.emit_appended(out)?;
        }
        self.emit_head(out)?;
        self.over(out)
    }

    fn pass(&mut self, header: Header, out: &mut Vec<u8>) -> Done {
        if header.length == UNDEFINED {
            return Err(CoercionError::Broken("a fragment of undefined length"));
        }
        self.nesting.reaches(self.at.saturating_add(u64::from(header.length)))?;
        self.state = State::Passing { left: u64::from(header.length) };
        self.emit_head(out)
    }

    fn value_over(&mut self, out: &mut Vec<u8>) -> Done {
        self.state = State::Header;
        self.over(out)
    }

    /// An element, item or sequence is over; perhaps those around it are too.
    fn over(&mut self, out: &mut Vec<u8>) -> Done {
        while let Some(frame) = self.nesting.last() {
            if frame.end != Some(self.at) {
                return Ok(());
            }
            let (kind, encoding, is_rewritten) = (frame.kind, frame.encoding, frame.is_rewritten);
            self.nesting.close();
            if !is_rewritten {
                continue;
            }
            if self.nesting.is_empty() {
                self.emit_appended(out)?;
            }
            let tag = if kind == Kind::Item { ITEM_DELIMITER } else { SEQUENCE_DELIMITER };
            self.emit_header(Header { tag, vr: None, length: 0 }, encoding, out)?;
        }
        self.emit_appended(out)?;
        match self.capture.take() {
            Some(capture) => self.settle(capture, out),
            None => Ok(()),
        }
    }

    /// Whether text is converted at this place.
    fn converts(&self) -> bool {
        self.converting
            && self.capture.as_ref().is_none_or(|capture| capture.converts)
            && !self.nesting.last().is_some_and(|frame| frame.keeps_text)
    }

    fn emit_appended(&mut self, out: &mut Vec<u8>) -> Done {
        let item = self.appended.take();
        item.map_or(Ok(()), |item| self.emit(&item, out))
    }

    /// The header as it came.
    fn emit_head(&mut self, out: &mut Vec<u8>) -> Done {
        let head = std::mem::take(&mut self.head);
        let emitted = self.emit(&head, out);
        self.head = head;
        self.head.clear();
        emitted
    }

    /// Another header in its place.
    fn emit_header(&mut self, header: Header, encoding: Encoding, out: &mut Vec<u8>) -> Done {
        let mut bytes = Vec::with_capacity(LONGEST_HEADER);
        element::write(&header, encoding, &mut bytes).ok_or(CoercionError::TooLong { tag: header.tag })?;
        self.head.clear();
        self.emit(&bytes, out)
    }

    fn emit(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Done {
        let Some(capture) = &mut self.capture else {
            out.extend_from_slice(bytes);
            return Ok(());
        };
        if capture.bytes.len() + bytes.len() > LONGEST_ORIGINAL {
            return Err(CoercionError::TooLong { tag: capture.tag });
        }
        capture.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

fn len(part: &[u8]) -> u64 {
    u64::try_from(part.len()).unwrap_or(u64::MAX)
}
