//! Values that do not simply go through: left out, or, where text is converted, held until complete and written in UTF-8.

use dicom_dictionary_std::tags;

use super::{Done, Held, Rewriter, State};
use crate::character_set::{CharacterSets, ValueKind};
use crate::coerce::CoercionError;
use crate::coerce::element::{Header, UNDEFINED};
use crate::coerce::text::{UTF_8, WrittenIn, converted, term};

/// Longest text that is converted: its new length must be known before its first byte is written.
const LONGEST_TEXT: u32 = 1024 * 1024;

impl Rewriter {
    /// Leaves a value out.
    pub(super) fn drop_value(&mut self, header: Header) -> Done {
        if header.length == UNDEFINED {
            return Err(CoercionError::Broken("a value of undefined length"));
        }
        self.nesting.reaches(self.at.saturating_add(u64::from(header.length)))?;
        self.outcome.group_lengths_dropped += 1;
        self.state = State::Dropping { left: u64::from(header.length) };
        self.head.clear();
        Ok(())
    }

    /// Holds a value; its header stays in `head`.
    pub(super) fn hold(&mut self, header: Header, held: Held) -> Done {
        self.nesting.reaches(self.at.saturating_add(u64::from(header.length)))?;
        if header.length > LONGEST_TEXT {
            return Err(CoercionError::TooLong { tag: header.tag });
        }
        let left = usize::try_from(header.length).unwrap_or(usize::MAX);
        self.state = State::Holding { header, held, left };
        Ok(())
    }

    /// A value that was held is complete.
    pub(super) fn held(&mut self, header: Header, held: Held, out: &mut Vec<u8>) -> Done {
        let value = std::mem::take(&mut self.value);
        let encoding = self.nesting.last().map_or(self.encoding, |frame| frame.encoding);
        let written = match held {
            Held::Text(kind) => self.convert(&value, kind),
            Held::CharacterSet => self.redeclare(&value),
        };
        let Some(written) = written else {
            self.emit_head(out)?;
            return self.emit(&value, out);
        };
        let length = u32::try_from(written.len()).unwrap_or(UNDEFINED);
        self.emit_header(Header { length, ..header }, encoding, out)?;
        self.emit(&written, out)
    }

    /// A text in UTF-8; `None` if it is that already.
    fn convert(&mut self, value: &[u8], kind: ValueKind) -> Option<Vec<u8>> {
        let sets = self.nesting.sets().unwrap_or(&self.sets);
        if sets.is_plain(value) {
            return None;
        }
        let (written, written_in) = converted(sets, value, kind);
        self.outcome.texts_converted += 1;
        match written_in {
            WrittenIn::AsDeclared => {}
            WrittenIn::Utf8 => self.outcome.read_as_utf8 += 1,
            WrittenIn::Windows1252 => self.outcome.read_as_windows_1252 += 1,
        }
        Some(written)
    }

    /// An item declares its own character set. `None`: it keeps it, because it records the past.
    fn redeclare(&mut self, value: &[u8]) -> Option<Vec<u8>> {
        let declared = term(value);
        let frame = self.nesting.last_mut()?;
        frame.keeps_text = frame.tag == tags::MODIFIED_ATTRIBUTES_SEQUENCE && !declared.is_empty();
        frame.sets = Some(CharacterSets::of(&declared));
        (!frame.keeps_text).then(|| UTF_8.as_bytes().to_vec())
    }
}
