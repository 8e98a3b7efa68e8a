//! The Original Attributes Sequence (0400,0561): what stood there before (PS3.3 C.12.1.1.9).
//!
//! Elements are kept as they were, byte for byte. If the data set goes to another character set, their own is declared
//! inside the item, where it holds for them alone (PS3.3 C.12.1.1.2); so a wrongly declared value stays exactly what it was.

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::CoercionError;
use super::element::{self, Header, Parsed, UNDEFINED, vr_of};
use super::plan::CoercionRecord;
use super::text::TextWriter;
use crate::data_set::DataSetWriter;
use crate::walk::Encoding;

/// The previous values, as elements in the encoding of the data set, in order of tags.
#[derive(Debug, Default)]
pub(super) struct Originals {
    elements: Vec<Vec<u8>>,
}

impl Originals {
    /// An element that was there.
    pub(super) fn was(&mut self, element: Vec<u8>) {
        self.elements.push(element);
    }

    /// An element that was not there and has been added: recorded without a value.
    pub(super) fn was_absent(&mut self, tag: Tag, vr: [u8; 2], encoding: Encoding) {
        let mut bytes = Vec::new();
        // A length of zero goes into every header.
        if element::write(&Header { tag, vr: Some(vr), length: 0 }, encoding, &mut bytes).is_some() {
            self.elements.push(bytes);
        }
    }

    /// The whole sequence with one item, for a data set in `encoding`.
    pub(super) fn sequence(
        &self,
        record: &CoercionRecord,
        encoding: Encoding,
        text: &TextWriter,
    ) -> Result<Vec<u8>, CoercionError> {
        let all = self.written(encoding, encoding)?;
        sequence(&all, record, encoding, text)
    }

    /// One item, for a sequence whose inside is in `inner`, in a data set in `outer`.
    pub(super) fn item(
        &self,
        record: &CoercionRecord,
        outer: Encoding,
        inner: Encoding,
        text: &TextWriter,
    ) -> Result<Vec<u8>, CoercionError> {
        let all = self.written(outer, inner)?;
        let mut whole = sequence(&all, record, inner, text)?;
        let head = if inner == Encoding::ImplicitLittle { 8 } else { 12 };
        Ok(whole.split_off(head))
    }

    /// The elements, of even length and in another encoding if need be.
    fn written(&self, outer: Encoding, inner: Encoding) -> Result<Vec<u8>, CoercionError> {
        let mut all = Vec::new();
        for bytes in &self.elements {
            let Parsed::Header(header) = element::parse(bytes, outer) else {
                return Err(CoercionError::CutOff);
            };
            let is_flat = header.length != UNDEFINED && !matches!(&vr_of(&header), b"SQ" | b"UN");
            if !is_flat || (inner == outer && bytes.len() % 2 == 0) {
                if inner != outer {
                    // Only where another writer has made the old sequence an unknown one.
                    return Err(CoercionError::UnknownOriginalAttributes);
                }
                all.extend_from_slice(bytes);
                continue;
            }
            let value = &bytes[bytes.len() - usize::try_from(header.length).unwrap_or(0).min(bytes.len())..];
            let length = header.length.saturating_add(header.length % 2);
            let even = Header { length, ..header };
            element::write(&even, inner, &mut all).ok_or(CoercionError::TooLong { tag: header.tag })?;
            all.extend_from_slice(value);
            if value.len() % 2 == 1 {
                all.push(b' ');
            }
        }
        Ok(all)
    }
}

fn sequence(
    originals: &[u8],
    record: &CoercionRecord,
    encoding: Encoding,
    text: &TextWriter,
) -> Result<Vec<u8>, CoercionError> {
    let words = |value: &str| text.write(value).ok_or(CoercionError::DoesNotFit);
    let (system, source) = (words(&record.system)?, words(&record.source)?);
    let at = date_time(record);
    let mut writer = DataSetWriter::new(encoding);
    writer.sequence(tags::ORIGINAL_ATTRIBUTES_SEQUENCE, &[()], |item, ()| {
        item.sequence(tags::MODIFIED_ATTRIBUTES_SEQUENCE, &[()], |inner, ()| inner.elements(originals));
        item.text(tags::ATTRIBUTE_MODIFICATION_DATE_TIME, *b"DT", at.as_bytes());
        item.text(tags::MODIFYING_SYSTEM, *b"LO", &system);
        item.text(tags::SOURCE_OF_PREVIOUS_VALUES, *b"LO", &source);
        item.text(tags::REASON_FOR_THE_ATTRIBUTE_MODIFICATION, *b"CS", b"COERCE");
    });
    Ok(writer.finish())
}

/// The time as DT, with its offset from UTC (PS3.5 Table 6.2-1).
pub(super) fn date_time(record: &CoercionRecord) -> String {
    record.at.strftime("%Y%m%d%H%M%S+0000").to_string()
}
