//! Headers of elements and items, read and written in any VR encoding (PS3.5 §7.1), and the VR an element has.

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::StandardDataDictionary;

use crate::character_set::ValueKind;
use crate::walk::Encoding;

/// The length that says: until the delimiter.
pub(super) const UNDEFINED: u32 = u32::MAX;
pub(super) const ITEM: Tag = Tag(0xfffe, 0xe000);
pub(super) const ITEM_DELIMITER: Tag = Tag(0xfffe, 0xe00d);
pub(super) const SEQUENCE_DELIMITER: Tag = Tag(0xfffe, 0xe0dd);
/// Longest header.
pub(super) const LONGEST_HEADER: usize = 12;

/// VRs whose length has two bytes. One that nobody knows yet has four (PS3.5 §6.2, last paragraph).
const SHORT: [[u8; 2]; 21] = [
    *b"AE", *b"AS", *b"AT", *b"CS", *b"DA", *b"DS", *b"DT", *b"FD", *b"FL", *b"IS", *b"LO", *b"LT", *b"PN",
    *b"SH", *b"SL", *b"SS", *b"ST", *b"TM", *b"UI", *b"UL", *b"US",
];

/// What stands before a value, or before an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) tag: Tag,
    /// `None` in Implicit VR, and for items and delimiters.
    pub(super) vr: Option<[u8; 2]>,
    pub(super) length: u32,
}

/// What the bytes at hand are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parsed {
    /// A header needs this many bytes at least.
    Needs(usize),
    /// A header, complete.
    Header(Header),
    /// No header: the VR is none.
    NoVr(Tag),
}

/// Reads a header that begins here.
pub(super) fn parse(bytes: &[u8], encoding: Encoding) -> Parsed {
    let Some(first) = bytes.first_chunk::<8>() else { return Parsed::Needs(8) };
    let [a, b, c, d, e, f, g, h] = *first;
    let big = encoding == Encoding::ExplicitBig;
    let short = |pair: [u8; 2]| if big { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) };
    let long = |four: [u8; 4]| if big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) };
    let tag = Tag(short([a, b]), short([c, d]));
    if encoding == Encoding::ImplicitLittle || tag.0 == 0xfffe {
        return Parsed::Header(Header { tag, vr: None, length: long([e, f, g, h]) });
    }
    let vr = [e, f];
    if !e.is_ascii_uppercase() || !f.is_ascii_uppercase() {
        return Parsed::NoVr(tag);
    }
    if is_short(vr) {
        return Parsed::Header(Header { tag, vr: Some(vr), length: u32::from(short([g, h])) });
    }
    match bytes.get(8..12).and_then(<[u8]>::first_chunk::<4>) {
        Some(length) => Parsed::Header(Header { tag, vr: Some(vr), length: long(*length) }),
        None => Parsed::Needs(LONGEST_HEADER),
    }
}

/// Writes a header. `None` if the length does not go into it.
pub(super) fn write(header: &Header, encoding: Encoding, out: &mut Vec<u8>) -> Option<()> {
    let big = encoding == Encoding::ExplicitBig;
    let short = |value: u16| if big { value.to_be_bytes() } else { value.to_le_bytes() };
    let long = if big { header.length.to_be_bytes() } else { header.length.to_le_bytes() };
    let two = u16::try_from(header.length);
    let vr = header.vr.filter(|_| encoding != Encoding::ImplicitLittle);
    // 65,535 would be odd, and is taken for undefined by some.
    if vr.is_some_and(is_short) && two.is_ok_and(|length| length == u16::MAX) | two.is_err() {
        return None;
    }
    out.extend(short(header.tag.0));
    out.extend(short(header.tag.1));
    match (vr, two) {
        (None, _) => out.extend(long),
        (Some(vr), Ok(length)) if is_short(vr) => {
            out.extend(vr);
            out.extend(short(length));
        }
        (Some(vr), _) => {
            out.extend(vr);
            out.extend([0, 0]);
            out.extend(long);
        }
    }
    Some(())
}

/// The VR of an element: written, or in the dictionary. Private ones that are not written are UN.
pub(super) fn vr_of(header: &Header) -> [u8; 2] {
    // A UN of the standard's own attributes comes from a writer with an older dictionary (PS3.5 §6.2.2).
    match header.vr {
        Some(vr) if vr != *b"UN" => vr,
        None => in_dictionary(header.tag).map_or(*b"UN", VR::to_bytes),
        Some(_) => match in_dictionary(header.tag).map(VR::to_bytes) {
            Some(vr) if is_text(vr).is_some() => vr,
            _ => *b"UN",
        },
    }
}

/// Whether the VR is text in the character set of the data set (PS3.5 §6.1.2.2), and of which kind.
pub(super) fn is_text(vr: [u8; 2]) -> Option<ValueKind> {
    match &vr {
        b"PN" => Some(ValueKind::Name),
        b"LO" | b"SH" | b"UC" => Some(ValueKind::Values),
        b"LT" | b"ST" | b"UT" => Some(ValueKind::Text),
        _ => None,
    }
}

/// Whether there may be text in it.
pub(super) fn may_hold_text(header: &Header) -> bool {
    let vr = vr_of(header);
    header.length == UNDEFINED || vr == *b"SQ" || is_text(vr).is_some()
}

/// Whether an element of undefined length is fragments of pixel data instead of a sequence (PS3.5 annex A.4).
pub(super) fn has_fragments(header: &Header) -> bool {
    match header.vr {
        Some(vr) => vr == *b"OB" || vr == *b"OW",
        None => header.tag == Tag(0x7fe0, 0x0010),
    }
}

fn is_short(vr: [u8; 2]) -> bool {
    SHORT.contains(&vr)
}

fn in_dictionary(tag: Tag) -> Option<VR> {
    // A private creator is LO (PS3.5 §7.8.1).
    if tag.0 % 2 == 1 {
        return (0x10..=0xff).contains(&tag.1).then_some(VR::LO);
    }
    StandardDataDictionary.by_tag(tag).map(|entry| entry.vr().relaxed())
}
