//! What comes out, byte for byte, at every split of the input. Expected data sets are written beside what goes in.

use std::slice::from_ref;

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress, Status};

use super::*;
use crate::coerce::writing::{ENCODINGS, Lengths, Written, syntax};
use crate::deliver::OutgoingSource;

const DEFLATED: &str = uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN;
const LITTLE: [Encoding; 2] = [Encoding::ImplicitLittle, Encoding::ExplicitLittle];

fn in_pieces<'a>(
    from: &TransferSyntaxUid,
    to: &TransferSyntaxUid,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<u8>, ConversionError> {
    let mut converter = Converter::new(from, to).expect("one of those that can be converted");
    let mut out = Vec::new();
    for piece in pieces {
        converter.push(piece, &mut out)?;
    }
    converter.finish()?;
    Ok(out)
}

/// Whole, byte by byte, and in two pieces cut at every place: it is always the same.
fn converted(
    from: &TransferSyntaxUid,
    to: &TransferSyntaxUid,
    bytes: &[u8],
) -> Result<Vec<u8>, ConversionError> {
    let whole = in_pieces(from, to, [bytes]);
    assert_eq!(in_pieces(from, to, bytes.chunks(1)), whole, "byte by byte");
    for at in 0..=bytes.len() {
        let (first, second) = bytes.split_at(at);
        assert_eq!(in_pieces(from, to, [first, second]), whole, "cut at {at}");
    }
    whole
}

fn uid(uid: &str) -> TransferSyntaxUid {
    uid.parse().unwrap()
}

fn refused(from: Encoding, bytes: &[u8]) -> CoercionError {
    let to = convertible_to(&syntax(from)).remove(0);
    converted(&syntax(from), &to, bytes).unwrap_err().0
}

/// A number in the byte order of an encoding.
fn number<const N: usize>(encoding: Encoding, little: [u8; N]) -> [u8; N] {
    let mut bytes = little;
    if encoding == Encoding::ExplicitBig {
        bytes.reverse();
    }
    bytes
}

/// The same data set in each encoding and with each kind of lengths.
fn data_set(encoding: Encoding, lengths: Lengths) -> Written {
    let inner = Written::new(encoding)
        .element((0x0008, 0x0100), b"SH", "CODE")
        .exactly((0x0028, 0x0103), b"US", &number(encoding, [1, 0]))
        .exactly((0x0028, 0x0106), b"SS", &number(encoding, [0xfe, 0xff]));
    let inner = inner.sequence(
        (0x0040, 0xa730),
        lengths,
        from_ref(&Written::new(encoding).element((0x0008, 0x0104), b"LO", "inner")),
    );
    let many = [number(encoding, [1, 2, 3, 4]), number(encoding, [5, 6, 7, 8])].concat();
    let words = [number(encoding, [1, 2]), number(encoding, [3, 4]), number(encoding, [5, 6])].concat();
    Written::new(encoding)
        .element((0x0008, 0x0005), b"CS", "ISO_IR 100")
        .element((0x0010, 0x0010), b"PN", b"Jans\xe9n^Piet")
        .exactly((0x0010, 0x0020), b"LO", b"ODD")
        .element((0x0011, 0x0010), b"LO", "MAKER")
        .exactly((0x0020, 0x9165), b"AT", &[number(encoding, [8, 0]), number(encoding, [0x18, 0])].concat())
        .exactly((0x0028, 0x0010), b"US", &number(encoding, [16, 1]))
        .exactly((0x0028, 0x0106), b"US", &number(encoding, [0xfe, 0xff]))
        .sequence((0x0040, 0x0275), lengths, &[inner, Written::new(encoding)])
        .sequence((0x0040, 0xa043), Lengths::Defined, &[])
        .exactly((0x0040, 0xa161), b"FD", &number(encoding, [1, 2, 3, 4, 5, 6, 7, 8]))
        .exactly((0x0066, 0x0016), b"OF", &many)
        .exactly((0x7fe0, 0x0010), b"OW", &words)
}

/// An empty item stays as it is; a data set of ours has one, so its expected form is written by hand.
fn expected(encoding: Encoding) -> Vec<u8> {
    // With an item of no length in a sequence with a delimiter.
    let whole = data_set(encoding, Lengths::Undefined).bytes;
    let mut empty = Vec::new();
    for (tag, length) in [(ITEM, UNDEFINED), (ITEM_DELIMITER, 0)] {
        element::write(&Header { tag, vr: None, length }, encoding, &mut empty).unwrap();
    }
    let at = whole.windows(16).position(|window| window == empty).unwrap();
    let mut expected = whole[..at].to_vec();
    element::write(&Header { tag: ITEM, vr: None, length: 0 }, encoding, &mut expected).unwrap();
    expected.extend_from_slice(&whole[at + 16..]);
    expected
}

#[test]
fn every_uncompressed_encoding_becomes_every_other_at_every_split() {
    for from in ENCODINGS {
        for to in LITTLE.into_iter().filter(|to| *to != from) {
            let out = converted(&syntax(from), &syntax(to), &data_set(from, Lengths::Defined).bytes);
            assert_eq!(out.unwrap(), expected(to), "{from:?} to {to:?}");
            // Delimiters stay where they are, those of an empty item too.
            let out = converted(&syntax(from), &syntax(to), &data_set(from, Lengths::Undefined).bytes);
            assert_eq!(out.unwrap(), data_set(to, Lengths::Undefined).bytes, "{from:?} to {to:?}");
        }
    }
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 64 * 1024);
    let mut compress = Compress::new(Compression::best(), false);
    let status = compress.compress_vec(bytes, &mut out, FlushCompress::Finish).unwrap();
    assert_eq!(status, Status::StreamEnd);
    out
}

#[test]
fn a_deflated_one_is_inflated_and_a_damaged_one_is_no_data_set() {
    let plain = data_set(Encoding::ExplicitLittle, Lengths::Undefined).bytes;
    let mut stream = deflated(&plain);
    stream.push(0);
    for (to, expected) in [
        (Encoding::ExplicitLittle, &plain),
        (Encoding::ImplicitLittle, &data_set(Encoding::ImplicitLittle, Lengths::Undefined).bytes),
    ] {
        assert_eq!(&converted(&uid(DEFLATED), &syntax(to), &stream).unwrap(), expected);
        let cut = &stream[..stream.len() - 3];
        assert_eq!(in_pieces(&uid(DEFLATED), &syntax(to), [cut]).unwrap_err().0, CoercionError::CutOff);
    }
    stream[0] = 0xff;
    let error =
        in_pieces(&uid(DEFLATED), &syntax(Encoding::ExplicitLittle), [stream.as_slice()]).unwrap_err();
    assert_eq!(error.0, CoercionError::Deflate);
}

#[test]
fn what_no_dictionary_names_is_unknown_and_what_is_too_long_for_its_vr_too() {
    let (implicit, explicit) = (Encoding::ImplicitLittle, Encoding::ExplicitLittle);
    let long = vec![b'1'; 70_000];
    let before = Written::new(implicit)
        .element((0x0011, 0x0010), b"LO", "MAKER")
        .exactly((0x0011, 0x1001), b"DS", b"12")
        .exactly((0x0018, 0x6031), b"CS", &long)
        .sequence(
            (0x0011, 0x1002),
            Lengths::Undefined,
            &[Written::new(implicit).exactly((0x0011, 0x0010), b"LO", b"AB")],
        );
    let after = Written::new(explicit)
        .element((0x0011, 0x0010), b"LO", "MAKER")
        .exactly((0x0011, 0x1001), b"UN", b"12")
        .exactly((0x0018, 0x6031), b"UN", &long)
        .sequence(
            (0x0011, 0x1002),
            Lengths::Undefined,
            &[Written::new(explicit).exactly((0x0011, 0x0010), b"LO", b"AB")],
        );
    let out = in_pieces(&syntax(implicit), &syntax(explicit), before.bytes.chunks(1009)).unwrap();
    assert!(out == after.bytes);
    // There and back again it is what it was.
    let back = in_pieces(&syntax(explicit), &syntax(implicit), after.bytes.chunks(733)).unwrap();
    assert!(back == before.bytes);
}

#[test]
fn the_inside_of_an_unknown_sequence_is_implicit_already() {
    let (explicit, implicit) = (Encoding::ExplicitLittle, Encoding::ImplicitLittle);
    let inside = Written::new(implicit).element((0x0010, 0x0020), b"LO", "1234");
    let written = |encoding, vr| {
        Written::new(encoding).sequence_as((0x0040, 0x0275), vr, Lengths::Undefined, from_ref(&inside)).bytes
    };
    let out = converted(&syntax(explicit), &syntax(implicit), &written(explicit, b"UN"));
    assert_eq!(out.unwrap(), written(implicit, b"SQ"));
}

#[test]
fn group_lengths_are_left_out() {
    let before = Written::new(Encoding::ExplicitLittle)
        .exactly((0x0008, 0x0000), b"UL", &[9, 0, 0, 0])
        .exactly((0x0008, 0x0001), b"UL", &[9, 0, 0, 0])
        .element((0x0010, 0x0020), b"LO", "1234");
    let after = Written::new(Encoding::ImplicitLittle).element((0x0010, 0x0020), b"LO", "1234");
    let out = converted(&syntax(before.encoding), &syntax(after.encoding), &before.bytes).unwrap();
    assert_eq!(out, after.bytes);
}

#[test]
fn what_is_not_what_its_transfer_syntax_says_is_refused_by_name() {
    let explicit = Written::new(Encoding::ExplicitLittle);
    let whole = explicit.clone().element((0x0010, 0x0020), b"LO", "1234").bytes;
    assert_eq!(refused(Encoding::ExplicitLittle, &whole[..whole.len() - 1]), CoercionError::CutOff);
    let implicit = Written::new(Encoding::ImplicitLittle).element((0x0010, 0x0020), b"LO", "1234");
    let tag = dicom_core::Tag(0x0010, 0x0020);
    assert_eq!(
        refused(Encoding::ExplicitLittle, &implicit.bytes),
        CoercionError::NotInTransferSyntax { tag }
    );
    let fragments = explicit.clone().header((0x7fe0, 0x0010), Some(b"OB"), UNDEFINED);
    assert!(matches!(refused(Encoding::ExplicitLittle, &fragments.bytes), CoercionError::Broken(_)));
    let too_long =
        explicit.clone().header((0x0040, 0x0275), Some(b"SQ"), 8).header((0xfffe, 0xe000), None, 100);
    assert!(matches!(refused(Encoding::ExplicitLittle, &too_long.bytes), CoercionError::Broken(_)));
    let mut deep = explicit;
    for _ in 0..300 {
        deep =
            deep.header((0x0040, 0x0275), Some(b"SQ"), UNDEFINED).header((0xfffe, 0xe000), None, UNDEFINED);
    }
    assert_eq!(
        in_pieces(
            &syntax(Encoding::ExplicitLittle),
            &syntax(Encoding::ImplicitLittle),
            [deep.bytes.as_slice()],
        )
        .unwrap_err()
        .0,
        CoercionError::TooDeep
    );
}

#[test]
fn compressed_images_are_never_converted() {
    for compressed in
        [uids::JPEG_BASELINE8_BIT, uids::JPEG_LOSSLESS_SV1, uids::RLE_LOSSLESS, "1.2.840.113619.5.2"]
    {
        assert_eq!(convertible_to(&uid(compressed)), []);
        assert!(Converter::new(&uid(compressed), &syntax(Encoding::ExplicitLittle)).is_none());
    }
}

struct Pieces(Vec<Bytes>);

impl OutgoingSource for Pieces {
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, SourceError> {
        Ok(self.0.pop())
    }
}

#[tokio::test]
async fn a_source_gives_small_pieces_however_much_a_stream_inflates_to() {
    let pixels = vec![0; 8 << 20];
    let plain = Written::new(Encoding::ExplicitLittle).exactly((0x7fe0, 0x0010), b"OW", &pixels);
    let stream = deflated(&plain.bytes);
    let mut source =
        ConvertedSource::new(Pieces(vec![stream.into()]), &uid(DEFLATED), &syntax(Encoding::ExplicitLittle))
            .unwrap();
    let (mut largest, mut out) = (0, Vec::new());
    while let Some(piece) = source.next_chunk().await.unwrap() {
        largest = largest.max(piece.len());
        out.extend_from_slice(&piece);
    }
    assert!(out == plain.bytes);
    assert!(largest <= 1 << 20, "{largest} bytes in one piece");

    let mut cut = ConvertedSource::new(
        Pieces(vec![Bytes::from_static(&[0x10, 0, 0x20])]),
        &syntax(Encoding::ImplicitLittle),
        &syntax(Encoding::ExplicitLittle),
    )
    .unwrap();
    for _ in 0..2 {
        assert!(ConversionError::of(&cut.next_chunk().await.unwrap_err()).is_some());
    }
}
