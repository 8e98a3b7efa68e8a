//! What becomes of the attributes of the plan: they are replaced, added or taken out, and the record is written.

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::{Capture, Done, Due, Rewriter, State};
use crate::character_set::CharacterSets;
use crate::coerce::CoercionError;
use crate::coerce::element::{self, Header, Parsed, UNDEFINED};
use crate::coerce::original::date_time;
use crate::coerce::plan::{Change, Issuer};
use crate::coerce::text::{TextWriter, UTF_8, term};
use crate::data_set::DataSetWriter;
use crate::walk::Encoding;

impl Rewriter {
    /// Adds what is due before this tag; `None`: everything.
    pub(super) fn add_due(&mut self, before: Option<Tag>, out: &mut Vec<u8>) -> Done {
        while let Some((tag, due)) =
            self.due.pop_front_if(|(tag, _)| before.is_none_or(|before| *tag < before))
        {
            match due {
                Due::CharacterSet => self.declare(None, out)?,
                Due::CoercionTime => self.write_time(out)?,
                Due::Change(change) => {
                    match &change {
                        Change::Text { vr, .. } => self.originals.was_absent(tag, *vr, self.encoding),
                        Change::Issuer(_) => self.originals.was_absent(tag, *b"SQ", self.encoding),
                        Change::Remove => {}
                    }
                    self.write_change(tag, &change, out)?;
                }
                Due::OriginalAttributes => {
                    let sequence = self.originals.sequence(&self.record, self.encoding, &self.text)?;
                    out.extend(sequence);
                }
            }
        }
        Ok(())
    }

    /// An element that is replaced is complete.
    pub(super) fn settle(&mut self, capture: Capture, out: &mut Vec<u8>) -> Done {
        match capture.due {
            Due::CharacterSet => self.declare(Some(capture.bytes), out),
            Due::CoercionTime => {
                self.originals.was(capture.bytes);
                self.write_time(out)
            }
            Due::Change(change) => {
                self.originals.was(capture.bytes);
                self.write_change(capture.tag, &change, out)
            }
            // It is not captured.
            Due::OriginalAttributes => Ok(()),
        }
    }

    /// Decides, by the declaration of the data set, whether its text is converted.
    fn declare(&mut self, element: Option<Vec<u8>>, out: &mut Vec<u8>) -> Done {
        let header = element.as_ref().map(|bytes| element::parse(bytes, self.encoding));
        let value = match (&element, header) {
            (Some(bytes), Some(Parsed::Header(header))) if header.length != UNDEFINED => {
                &bytes[bytes.len() - usize::try_from(header.length).unwrap_or(0).min(bytes.len())..]
            }
            (Some(_), _) => return Err(CoercionError::Broken("a character set that is no value")),
            (None, _) => &[],
        };
        let declared = term(value);
        self.sets = CharacterSets::of(&declared);
        self.is_declared = !declared.is_empty();
        let texts = self.due.iter().flat_map(|(_, due)| match due {
            Due::Change(change) => change.texts(),
            Due::CharacterSet | Due::CoercionTime | Due::OriginalAttributes => Vec::new(),
        });
        let texts = texts.chain([self.record.system.as_str(), self.record.source.as_str()]);
        if texts.map(|text| self.sets.encode(text)).all(|written| written.is_some()) {
            self.text = TextWriter::Declared(self.sets.clone());
            out.extend(element.unwrap_or_default());
            return Ok(());
        }
        if self.has_early_text {
            // A media directory: nothing that is sent over a network.
            return Err(CoercionError::OutOfOrder { tag: tags::SPECIFIC_CHARACTER_SET });
        }
        self.converting = true;
        self.outcome.converted_to_utf8 = true;
        if self.is_declared {
            self.originals.was(element.unwrap_or_default());
        }
        self.write_value(tags::SPECIFIC_CHARACTER_SET, *b"CS", UTF_8.as_bytes(), out)
    }

    fn write_time(&self, out: &mut Vec<u8>) -> Done {
        self.write_value(tags::INSTANCE_COERCION_DATE_TIME, *b"DT", date_time(&self.record).as_bytes(), out)
    }

    fn write_change(&self, tag: Tag, change: &Change, out: &mut Vec<u8>) -> Done {
        match change {
            Change::Text { vr, value } => {
                let value = self.text.write(value.reveal()).ok_or(CoercionError::DoesNotFit)?;
                self.write_value(tag, *vr, &value, out)
            }
            Change::Issuer(issuer) => self.write_issuer(tag, issuer, out),
            Change::Remove => Ok(()),
        }
    }

    /// A sequence with one item (PS3.3 Table 10-17).
    fn write_issuer(&self, tag: Tag, issuer: &Issuer, out: &mut Vec<u8>) -> Done {
        let words = |value: &str| self.text.write(value).ok_or(CoercionError::DoesNotFit);
        let namespace = issuer.local_namespace.as_deref().map(words).transpose()?;
        let universal = issuer.universal.as_ref();
        let universal = universal.map(|entity| Ok((words(&entity.id)?, entity.kind.term()))).transpose()?;
        let mut writer = DataSetWriter::new(self.encoding);
        writer.sequence(tag, &[()], |item, ()| {
            if let Some(namespace) = &namespace {
                item.text(tags::LOCAL_NAMESPACE_ENTITY_ID, *b"UT", namespace);
            }
            if let Some((id, kind)) = &universal {
                item.text(tags::UNIVERSAL_ENTITY_ID, *b"UT", id);
                item.text(tags::UNIVERSAL_ENTITY_ID_TYPE, *b"CS", kind.as_bytes());
            }
        });
        out.extend(writer.finish());
        Ok(())
    }

    fn write_value(&self, tag: Tag, vr: [u8; 2], value: &[u8], out: &mut Vec<u8>) -> Done {
        let mut writer = DataSetWriter::new(self.encoding);
        writer.text(tag, vr, value);
        out.extend(writer.finish());
        Ok(())
    }

    /// The sequence of originals is there already: it gets one item more.
    pub(super) fn append_to(&mut self, header: Header, out: &mut Vec<u8>) -> Done {
        let inside = match header.vr {
            None | Some([b'S', b'Q']) => self.encoding,
            Some([b'U', b'N']) => Encoding::ImplicitLittle,
            Some(_) => return Err(CoercionError::UnknownOriginalAttributes),
        };
        let item = self.originals.item(&self.record, self.encoding, inside, &self.text)?;
        let is_entered =
            header.length == UNDEFINED || (self.converts() && header.length > 0 && header.vr != Some(*b"UN"));
        let added = u32::try_from(item.len()).unwrap_or(UNDEFINED);
        self.appended = Some(item);
        if is_entered {
            return self.element(header, self.encoding, out);
        }
        let length = header.length.checked_add(added).filter(|length| *length != UNDEFINED);
        let length = length.ok_or(CoercionError::TooLong { tag: header.tag })?;
        self.nesting.reaches(self.at.saturating_add(u64::from(header.length)))?;
        let is_left_alone = self.converts() && header.vr == Some(*b"UN") && header.length > 0;
        self.outcome.unknown_left_alone += u64::from(is_left_alone);
        self.state = State::Passing { left: u64::from(header.length) };
        self.emit_header(Header { length, ..header }, self.encoding, out)
    }
}
