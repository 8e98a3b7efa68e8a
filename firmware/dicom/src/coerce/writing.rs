//! Data sets for tests, written element by element: what goes in, and what must come out, byte for byte.

use beeldbox_protocol::clinical::Confidential;
use dicom_core::Tag;

use super::element::{self, Header, ITEM, ITEM_DELIMITER, SEQUENCE_DELIMITER, UNDEFINED};
use super::*;

/// Whether sequences and items have lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lengths {
    Defined,
    Undefined,
}

/// A data set, or an item, being written.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub(super) encoding: Encoding,
    pub(super) bytes: Vec<u8>,
}

impl Written {
    pub(super) fn new(encoding: Encoding) -> Self {
        Written { encoding, bytes: Vec::new() }
    }

    pub(super) fn header(mut self, tag: (u16, u16), vr: Option<&[u8; 2]>, length: u32) -> Self {
        let header = Header { tag: Tag(tag.0, tag.1), vr: vr.copied(), length };
        element::write(&header, self.encoding, &mut self.bytes).unwrap();
        self
    }

    /// An element, padded with a space.
    pub(super) fn element(self, tag: (u16, u16), vr: &[u8; 2], value: impl AsRef<[u8]>) -> Self {
        let mut value = value.as_ref().to_vec();
        if value.len() % 2 == 1 {
            value.push(b' ');
        }
        self.exactly(tag, vr, &value)
    }

    /// An element, not padded.
    pub(super) fn exactly(mut self, tag: (u16, u16), vr: &[u8; 2], value: &[u8]) -> Self {
        self = self.header(tag, Some(vr), u32::try_from(value.len()).unwrap());
        self.bytes.extend_from_slice(value);
        self
    }

    pub(super) fn sequence(self, tag: (u16, u16), lengths: Lengths, items: &[Written]) -> Self {
        self.sequence_as(tag, b"SQ", lengths, items)
    }

    pub(super) fn sequence_as(
        mut self,
        tag: (u16, u16),
        vr: &[u8; 2],
        lengths: Lengths,
        items: &[Written],
    ) -> Self {
        let inside = items.first().map_or(self.encoding, |item| item.encoding);
        let mut content = Written::new(inside);
        for item in items {
            let length = match lengths {
                Lengths::Defined => u32::try_from(item.bytes.len()).unwrap(),
                Lengths::Undefined => UNDEFINED,
            };
            content = content.header((ITEM.0, ITEM.1), None, length);
            content.bytes.extend_from_slice(&item.bytes);
            if lengths == Lengths::Undefined {
                content = content.header((ITEM_DELIMITER.0, ITEM_DELIMITER.1), None, 0);
            }
        }
        let length = match lengths {
            Lengths::Defined => u32::try_from(content.bytes.len()).unwrap(),
            Lengths::Undefined => UNDEFINED,
        };
        if lengths == Lengths::Undefined {
            content = content.header((SEQUENCE_DELIMITER.0, SEQUENCE_DELIMITER.1), None, 0);
        }
        self = self.header(tag, Some(vr), length);
        self.bytes.extend_from_slice(&content.bytes);
        self
    }

    /// Our item of the Original Attributes Sequence.
    pub(super) fn record(self, originals: Written) -> Written {
        self.sequence((0x0400, 0x0550), Lengths::Defined, &[originals])
            .element((0x0400, 0x0562), b"DT", "20261128010203+0000")
            .element((0x0400, 0x0563), b"LO", "BOX ZUID")
            .element((0x0400, 0x0564), b"LO", "Noord")
            .element((0x0400, 0x0565), b"CS", "COERCE")
    }
}

pub(super) fn record() -> CoercionRecord {
    CoercionRecord {
        system: "BOX ZUID".to_owned(),
        source: "Noord".to_owned(),
        at: "2026-11-28T01:02:03.4Z".parse().unwrap(),
    }
}

/// A local patient with this name and without an issuer.
pub(super) fn patient(name: &str) -> LocalPatient {
    LocalPatient {
        id: Confidential::new("Z-17"),
        issuer: None,
        name: Some(Confidential::new(name)),
        birth_date: Some(Confidential::new("19700102")),
        sex: Some(Confidential::new("F")),
    }
}

pub(super) fn plan(patient: LocalPatient) -> Coercions {
    Coercions::new(Some(patient), None, record()).unwrap()
}

pub(super) fn syntax(encoding: Encoding) -> TransferSyntaxUid {
    let uid = match encoding {
        Encoding::ImplicitLittle => "1.2.840.10008.1.2",
        Encoding::ExplicitLittle => "1.2.840.10008.1.2.1",
        Encoding::ExplicitBig => "1.2.840.10008.1.2.2",
    };
    uid.parse().unwrap()
}

/// Coerces bytes that come in these pieces.
pub(super) fn in_pieces<'a>(
    coercions: &Coercions,
    transfer_syntax: &TransferSyntaxUid,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(Vec<u8>, CoercionOutcome), CoercionError> {
    let mut coercer = Coercer::new(coercions, transfer_syntax)?;
    let mut out = Vec::new();
    for piece in pieces {
        coercer.push(piece, &mut out)?;
    }
    let outcome = coercer.finish(&mut out)?;
    Ok((out, outcome))
}

/// Coerces a data set whole, byte by byte, and in two pieces cut at every place: it is always the same.
pub(super) fn coerced(
    coercions: &Coercions,
    data_set: &Written,
) -> Result<(Vec<u8>, CoercionOutcome), CoercionError> {
    let syntax = syntax(data_set.encoding);
    let bytes = &data_set.bytes;
    let whole = in_pieces(coercions, &syntax, [bytes.as_slice()]);
    assert!(in_pieces(coercions, &syntax, bytes.chunks(1)) == whole, "byte by byte");
    for at in 0..=bytes.len() {
        let (first, second) = bytes.split_at(at);
        assert!(in_pieces(coercions, &syntax, [first, second]) == whole, "cut at {at}");
    }
    whole
}

pub(super) const ENCODINGS: [Encoding; 3] =
    [Encoding::ImplicitLittle, Encoding::ExplicitLittle, Encoding::ExplicitBig];
