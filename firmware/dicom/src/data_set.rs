//! Writing small data sets: of commitment and query, in the transfer syntax of their context, and what coercion adds.
//!
//! Lengths are always explicit. Values are ours and short; what comes from a person has been checked before. PS3.5 §7.

use dicom_core::Tag;
use dicom_dictionary_std::uids;

use crate::walk::{Encoding, is_long};

/// Explicit VR Big Endian, retired; the dictionary no longer names it.
pub(crate) const EXPLICIT_VR_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
const ITEM: Tag = Tag(0xfffe, 0xe000);

/// How a data set that we must understand is written; `None` for every transfer syntax that we do not read whole.
pub(crate) fn encoding_of(transfer_syntax: &str) -> Option<Encoding> {
    match transfer_syntax {
        uids::IMPLICIT_VR_LITTLE_ENDIAN => Some(Encoding::ImplicitLittle),
        uids::EXPLICIT_VR_LITTLE_ENDIAN => Some(Encoding::ExplicitLittle),
        EXPLICIT_VR_BIG_ENDIAN => Some(Encoding::ExplicitBig),
        _ => None,
    }
}

/// A data set being written; the caller keeps the order of tags.
pub(crate) struct DataSetWriter {
    encoding: Encoding,
    bytes: Vec<u8>,
}

impl DataSetWriter {
    pub(crate) fn new(encoding: Encoding) -> Self {
        DataSetWriter { encoding, bytes: Vec::new() }
    }

    /// A UID, padded with NUL.
    pub(crate) fn uid(&mut self, tag: Tag, value: &str) {
        self.value(tag, *b"UI", value.as_bytes(), 0);
    }

    /// Other text, padded with a space. At most 64 KiB; what is longer is a mistake of ours and left out.
    pub(crate) fn text(&mut self, tag: Tag, vr: [u8; 2], value: &[u8]) {
        self.value(tag, vr, value, b' ');
    }

    /// Elements as they are, in the encoding of this data set.
    pub(crate) fn elements(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// US.
    pub(crate) fn number(&mut self, tag: Tag, value: u16) {
        let bytes = if self.is_big() { value.to_be_bytes() } else { value.to_le_bytes() };
        self.value(tag, *b"US", &bytes, 0);
    }

    /// UL.
    pub(crate) fn long_number(&mut self, tag: Tag, value: u32) {
        let bytes = self.long(value);
        self.value(tag, *b"UL", &bytes, 0);
    }

    /// SQ: one item for each.
    pub(crate) fn sequence<T>(&mut self, tag: Tag, items: &[T], write: impl Fn(&mut Self, &T)) {
        self.tag(tag);
        if self.encoding != Encoding::ImplicitLittle {
            self.bytes.extend_from_slice(b"SQ\0\0");
        }
        let sequence = self.open();
        for item in items {
            self.tag(ITEM);
            let place = self.open();
            write(self, item);
            self.close(place);
        }
        self.close(sequence);
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    fn is_big(&self) -> bool {
        self.encoding == Encoding::ExplicitBig
    }

    fn short(&mut self, value: u16) {
        self.bytes.extend(if self.is_big() { value.to_be_bytes() } else { value.to_le_bytes() });
    }

    fn long(&self, value: u32) -> [u8; 4] {
        if self.is_big() { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn tag(&mut self, tag: Tag) {
        self.short(tag.0);
        self.short(tag.1);
    }

    /// Leaves room for a length of four bytes.
    fn open(&mut self) -> usize {
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.len()
    }

    /// Fills it in.
    fn close(&mut self, from: usize) {
        // Data sets of ours stay far below 4 GiB.
        let length = u32::try_from(self.bytes.len() - from).unwrap_or(u32::MAX);
        let length = self.long(length);
        self.bytes[from - 4..from].copy_from_slice(&length);
    }

    fn value(&mut self, tag: Tag, vr: [u8; 2], value: &[u8], padding: u8) {
        let padded = value.len() + value.len() % 2;
        let Ok(length) = u16::try_from(padded) else { return };
        self.tag(tag);
        if self.encoding == Encoding::ImplicitLittle {
            let length = self.long(u32::from(length));
            self.bytes.extend_from_slice(&length);
        } else if is_long(vr) {
            self.bytes.extend_from_slice(&vr);
            let length = self.long(u32::from(length));
            self.bytes.extend_from_slice(&[0; 2]);
            self.bytes.extend_from_slice(&length);
        } else {
            self.bytes.extend_from_slice(&vr);
            self.short(length);
        }
        self.bytes.extend_from_slice(value);
        if padded > value.len() {
            self.bytes.push(padding);
        }
    }
}
