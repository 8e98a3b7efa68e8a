//! Broken, cut, huge and random input: named refusals, the same at every split, in little memory.

use super::writing::{ENCODINGS, Lengths, Written, coerced, in_pieces, patient, plan, syntax};
use std::slice::from_ref;

use super::*;

/// Numbers without a library: SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }
}

/// A data set with something of everything.
fn something_of_everything(encoding: Encoding, lengths: Lengths) -> Written {
    let private = Written::new(encoding).element((0x0009, 0x1001), b"LT", b"priv\xe9");
    let item = Written::new(encoding)
        .element((0x0008, 0x0005), b"CS", "ISO_IR 101")
        .element((0x0008, 0x0104), b"LO", b"\xe9")
        .sequence((0x0040, 0xa730), lengths, &[private.clone(), private]);
    let data_set = Written::new(encoding)
        .element((0x0008, 0x0000), b"UL", [0; 4])
        .element((0x0008, 0x0005), b"CS", "ISO_IR 100")
        .element((0x0008, 0x0050), b"SH", "A1")
        .sequence((0x0008, 0x1140), lengths, &[item.clone(), item.clone()])
        .element((0x0010, 0x0010), b"PN", b"Jans\xe9n")
        .element((0x0010, 0x0020), b"LO", "N-1")
        .sequence((0x0010, 0x0024), lengths, from_ref(&item))
        .sequence((0x0400, 0x0561), lengths, &[item]);
    let inside = Written::new(Encoding::ImplicitLittle).element((0x0010, 0x0010), b"PN", b"\xe9");
    data_set.sequence_as((0x4001, 0x1001), b"UN", Lengths::Undefined, &[inside]).element(
        (0x7fe0, 0x0010),
        b"OW",
        [0xaa; 33],
    )
}

#[test]
fn a_data_set_that_ends_inside_something_is_refused() {
    for encoding in ENCODINGS {
        for lengths in [Lengths::Defined, Lengths::Undefined] {
            for name in ["Jansen", "山"] {
                let whole = something_of_everything(encoding, lengths).bytes;
                let plan = plan(patient(name));
                // A cut between two elements cannot be told: there are nine.
                let taken = (1..whole.len()).filter(|at| {
                    match in_pieces(&plan, &syntax(encoding), [&whole[..*at]]) {
                        Ok(_) => true,
                        Err(CoercionError::CutOff) => false,
                        Err(other) => panic!("{other}"),
                    }
                });
                assert_eq!(taken.count(), 9);
            }
        }
    }
}

#[test]
fn what_is_broken_is_named() {
    let explicit = Encoding::ExplicitLittle;
    let start = || Written::new(explicit);
    let name = (0x0010, 0x0010);
    let longer = Written { encoding: explicit, bytes: Vec::new() }.header((0xfffe, 0xe000), None, 100);
    let wrong = [
        ("twice", start().element(name, b"PN", "A").element(name, b"PN", "B")),
        ("late", start().element((0x0020, 0x0010), b"SH", "1").element(name, b"PN", "A")),
        ("delimiter", start().header((0xfffe, 0xe0dd), None, 0)),
        ("item", start().header((0xfffe, 0xe000), None, 0)),
        ("undefined", start().header((0x0008, 0x0100), Some(b"UT"), u32::MAX)),
        (
            "undefined group length",
            Written::new(Encoding::ImplicitLittle).header((0x0008, 0), None, u32::MAX),
        ),
        ("long item", {
            let mut bad = start().header((0x0008, 0x1140), Some(b"SQ"), 8);
            bad.bytes.extend_from_slice(&longer.bytes);
            bad.element((0x0008, 0x1150), b"UI", "1.2")
        }),
        ("fragment", {
            start().header((0x7fe0, 0x0010), Some(b"OB"), u32::MAX).header((0xfffe, 0xe000), None, u32::MAX)
        }),
        ("no item", start().header((0x0008, 0x1140), Some(b"SQ"), u32::MAX).element(name, b"PN", "A")),
        ("long original", start().element((0x0010, 0x0020), b"UN", vec![b'1'; 70_000])),
        ("implicit", Written { encoding: explicit, ..Written::new(explicit) }),
    ];
    for (what, mut data_set) in wrong {
        if what == "implicit" {
            data_set.bytes = Written::new(Encoding::ImplicitLittle).element(name, b"PN", "Piet").bytes;
        }
        // Converting, so that lengths inside are looked at too.
        let found = if what == "long original" {
            in_pieces(&plan(patient("山")), &syntax(explicit), [&data_set.bytes[..]])
        } else {
            coerced(&plan(patient("山")), &data_set)
        };
        let tag = Tag(name.0, name.1);
        match (what, found.unwrap_err()) {
            ("twice" | "late", CoercionError::OutOfOrder { tag: at }) => assert_eq!(at, tag),
            ("long original", CoercionError::TooLong { tag: at }) => assert_eq!(at, Tag(0x0010, 0x0020)),
            ("implicit", CoercionError::NotInTransferSyntax { tag: at }) => assert_eq!(at, tag),
            (_, CoercionError::Broken(_)) => {}
            (what, other) => panic!("{what}: {other:?}"),
        }
    }
    let private: TransferSyntaxUid = "2.25.1".parse().unwrap();
    assert!(matches!(Coercer::new(&plan(patient("A")), &private), Err(CoercionError::UnknownTransferSyntax)));
}

#[test]
fn after_an_error_nothing_more_is_taken() {
    let mut coercer = Coercer::new(&plan(patient("A")), &syntax(Encoding::ExplicitLittle)).unwrap();
    let mut out = Vec::new();
    assert!(coercer.push(&[0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0], &mut out).is_err());
    assert_eq!(coercer.push(b"", &mut out), Err(CoercionError::GivenUp));
    assert_eq!(coercer.finish(&mut out), Err(CoercionError::GivenUp));
}

#[test]
fn nesting_is_followed_as_far_as_it_is_allowed() {
    for lengths in [Lengths::Defined, Lengths::Undefined] {
        let mut inner = Written::new(Encoding::ExplicitLittle).element((0x0040, 0xa160), b"UT", b"\xe9");
        for _ in 0..256 {
            inner = Written::new(Encoding::ExplicitLittle).sequence((0x0040, 0xa730), lengths, &[inner]);
        }
        let plan = plan(patient("山"));
        let syntax = syntax(Encoding::ExplicitLittle);
        let (found, outcome) = in_pieces(&plan, &syntax, inner.bytes.chunks(5)).unwrap();
        assert_eq!(outcome.texts_converted, 1);
        assert!(found.windows(2).any(|pair| pair == "é".as_bytes()));
        let deeper = Written::new(Encoding::ExplicitLittle).sequence((0x0040, 0xa730), lengths, &[inner]);
        assert_eq!(in_pieces(&plan, &syntax, [&deeper.bytes[..]]), Err(CoercionError::TooDeep));
    }
}

/// Damaged data sets: whatever comes of them comes at every split, without a panic.
#[test]
fn damage_is_judged_the_same_however_it_arrives() {
    let mut random = Random(20_261_128);
    let plans = [plan(patient("Jansen")), plan(patient("山"))];
    let mut refused = 0;
    for round in 0..3000 {
        let encoding = ENCODINGS[random.below(3)];
        let lengths = [Lengths::Defined, Lengths::Undefined][random.below(2)];
        let mut bytes = something_of_everything(encoding, lengths).bytes;
        for _ in 0..random.below(4) {
            let at = random.below(bytes.len());
            bytes[at] = [0, 1, 0xff, 0xfe, b'U', b'N', 0x1b, 0x5c][random.below(8)];
        }
        let plan = &plans[random.below(2)];
        let whole = in_pieces(plan, &syntax(encoding), [&bytes[..]]);
        refused += usize::from(whole.is_err());
        let mut pieces = Vec::new();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((1 + random.below(40)).min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        assert!(in_pieces(plan, &syntax(encoding), pieces) == whole, "round {round}");
    }
    assert!((500..2500).contains(&refused), "{refused} of 3000 were refused");
}

/// Eight gigabytes of pixel data in two fragments, and nothing of it is kept.
#[test]
fn memory_does_not_depend_on_the_size_of_the_instance() {
    let start = something_of_everything(Encoding::ExplicitLittle, Lengths::Undefined);
    let start = Written { bytes: start.bytes[..start.bytes.len() - 46].to_vec(), ..start };
    let start = start.header((0x7fe0, 0x0010), Some(b"OB"), u32::MAX).bytes;
    let mut coercer = Coercer::new(&plan(patient("山")), &syntax(Encoding::ExplicitLittle)).unwrap();
    let mut out = Vec::new();
    coercer.push(&start, &mut out).unwrap();
    let piece = vec![0xfe; 1 << 20];
    for _ in 0..2 {
        coercer.push(&[0xfe, 0xff, 0x00, 0xe0, 0, 0, 0, 0xff], &mut out).unwrap();
        for _ in 0..255 * 16 {
            out.clear();
            coercer.push(&piece, &mut out).unwrap();
            assert_eq!(out.len(), piece.len());
        }
    }
    assert!(out.capacity() <= 2 << 20);
    coercer.push(&[0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0], &mut out).unwrap();
    coercer.finish(&mut out).unwrap();
}

#[test]
fn a_stream_that_inflates_a_thousandfold_is_taken_whole_however_it_is_cut() {
    let encoding = Encoding::ExplicitLittle;
    let pixels = vec![0; 8 << 20];
    let plain = Written::new(encoding).element((0x0010, 0x0020), b"LO", "N-1").exactly(
        (0x7fe0, 0x0010),
        b"OW",
        &pixels,
    );
    let mut stream = Vec::with_capacity(64 * 1024);
    let mut compress = flate2::Compress::new(flate2::Compression::best(), false);
    compress.compress_vec(&plain.bytes, &mut stream, flate2::FlushCompress::Finish).unwrap();
    for cut in [512, 1000, stream.len()] {
        let coerced = in_pieces(
            &plan(patient("Jansen")),
            &"1.2.840.10008.1.2.1.99".parse().unwrap(),
            stream.chunks(cut),
        );
        assert!(coerced.is_ok(), "in pieces of {cut}: {:?}", coerced.map(|_| ()));
    }
}
