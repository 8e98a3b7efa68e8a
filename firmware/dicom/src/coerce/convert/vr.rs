//! Which VR an element gets when none is written, and how numbers of a VR are ordered (PS3.5 §6.2, §7.3).

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry, VirtualVr};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags};

use crate::coerce::element::{self, Header};
use crate::walk::Encoding;

/// Length to End, retired; the dictionary calls it deprecated.
const LENGTH_TO_END: Tag = Tag(0x0008, 0x0001);

/// Pixel Representation at each level of the data set: whether "US or SS" is SS.
#[derive(Debug)]
pub(super) struct Signs {
    /// One more than there are levels open.
    levels: Vec<Option<bool>>,
    /// Bytes of Pixel Representation that are still to come.
    awaited: u32,
}

impl Default for Signs {
    fn default() -> Self {
        Signs { levels: vec![None], awaited: 0 }
    }
}

impl Signs {
    /// An item or a sequence begins.
    pub(super) fn open(&mut self) {
        self.levels.push(None);
    }

    /// It ends.
    pub(super) fn close(&mut self) {
        self.levels.pop();
    }

    /// A value begins.
    pub(super) fn expect(&mut self, header: &Header) {
        self.awaited = if header.tag == tags::PIXEL_REPRESENTATION { header.length } else { 0 };
    }

    /// Bytes of it.
    pub(super) fn see(&mut self, part: &[u8]) {
        if self.awaited == 0 {
            return;
        }
        let is_signed = part.contains(&1);
        if let Some(level) = self.levels.last_mut() {
            *level = Some(is_signed || level.unwrap_or(false));
        }
        self.awaited = self.awaited.saturating_sub(u32::try_from(part.len()).unwrap_or(u32::MAX));
    }

    /// The VR of an element: written, or in the dictionary. What no dictionary names is UN.
    pub(super) fn vr_of(&self, header: &Header) -> [u8; 2] {
        if let Some(vr) = header.vr {
            return vr;
        }
        let is_ambiguous =
            StandardDataDictionary.by_tag(header.tag).is_some_and(|entry| entry.vr() == VirtualVr::Xs);
        let is_signed = self.levels.iter().rev().flatten().next().copied().unwrap_or(false);
        if is_ambiguous && is_signed { VR::SS.to_bytes() } else { element::vr_of(header) }
    }
}

/// Retired lengths, which would be wrong behind a conversion.
pub(super) fn is_wrong_afterwards(tag: Tag) -> bool {
    tag.1 == 0 || tag == LENGTH_TO_END
}

/// Whether the length goes into the header of this VR.
pub(super) fn fits(header: &Header, encoding: Encoding) -> bool {
    element::write(header, encoding, &mut Vec::new()).is_some()
}

/// Bytes of a number that are turned around between big and little endian (PS3.5 §7.3). UN is left as it is: nobody knows.
pub(super) fn unit(vr: [u8; 2]) -> usize {
    match &vr {
        b"AT" | b"OW" | b"SS" | b"US" => 2,
        b"FL" | b"OF" | b"OL" | b"SL" | b"UL" => 4,
        b"FD" | b"OD" | b"OV" | b"SV" | b"UV" => 8,
        _ => 1,
    }
}
