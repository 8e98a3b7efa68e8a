//! What comes out, byte for byte, at every split of the input. Expected data sets are written beside what goes in.

use super::writing::{ENCODINGS, Lengths, Written, coerced, in_pieces, patient, plan, record, syntax};
use std::slice::from_ref;

use beeldbox_protocol::clinical::Confidential;

use super::*;

const CHARSET: (u16, u16) = (0x0008, 0x0005);
const COERCED_AT: (u16, u16) = (0x0008, 0x0015);
const ACCESSION: (u16, u16) = (0x0008, 0x0050);
const ACCESSION_ISSUER: (u16, u16) = (0x0008, 0x0051);
const DESCRIPTION: (u16, u16) = (0x0008, 0x1030);
const NAME: (u16, u16) = (0x0010, 0x0010);
const ID: (u16, u16) = (0x0010, 0x0020);
const ISSUER: (u16, u16) = (0x0010, 0x0021);
const QUALIFIERS: (u16, u16) = (0x0010, 0x0024);
const BIRTH: (u16, u16) = (0x0010, 0x0030);
const SEX: (u16, u16) = (0x0010, 0x0040);
const REQUESTS: (u16, u16) = (0x0040, 0x0275);
const ORIGINALS: (u16, u16) = (0x0400, 0x0561);
const PIXELS: (u16, u16) = (0x7fe0, 0x0010);
const NOW: &str = "20261128010203+0000";

/// Adds what every instance here has between accession and patient, and behind the patient, in this text.
fn description(data_set: Written, text: &[u8]) -> Written {
    data_set.element(DESCRIPTION, b"LO", text)
}

fn pixels(data_set: Written) -> Written {
    match data_set.encoding {
        Encoding::ExplicitLittle => {
            let bytes = [0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0, 0xff, 0xd9];
            let fragments = data_set.header(PIXELS, Some(b"OB"), u32::MAX).header((0xfffe, 0xe000), None, 0);
            let mut fragments = fragments.header((0xfffe, 0xe000), None, 10);
            fragments.bytes.extend(bytes);
            fragments.header((0xfffe, 0xe0dd), None, 0)
        }
        Encoding::ImplicitLittle | Encoding::ExplicitBig => data_set.exactly(PIXELS, b"OW", &[0xe9; 9]),
    }
}

fn the_new_patient(data_set: Written, name: &[u8]) -> Written {
    data_set
        .element(NAME, b"PN", name)
        .element(ID, b"LO", "Z-17")
        .element(BIRTH, b"DA", "19700102")
        .element(SEX, b"CS", "F")
}

#[test]
fn only_the_plan_changes_and_the_past_is_recorded() {
    for encoding in ENCODINGS {
        for lengths in [Lengths::Defined, Lengths::Undefined] {
            let item =
                Written::new(encoding).element(ACCESSION, b"SH", "THEIRS").element(NAME, b"PN", b"N\xe9");
            let qualifier = Written::new(encoding).element((0x0040, 0x0032), b"UT", "2.16.840.1");
            let before =
                Written::new(encoding).element(CHARSET, b"CS", "ISO_IR 100").element(ACCESSION, b"SH", "A1");
            let before = description(before, b"Sch\xe4del")
                .element(NAME, b"PN", b"Jans\xe9n^Piet")
                .exactly(ID, b"LO", b"N-1")
                .element(ISSUER, b"LO", "NOORD")
                .sequence(QUALIFIERS, lengths, from_ref(&qualifier))
                .element(BIRTH, b"DA", "19700201")
                .sequence(REQUESTS, lengths, from_ref(&item));
            let before = pixels(before.element((0x0041, 0x1001), b"UN", [0xe9, 0x5c]));
            let originals = Written::new(encoding)
                .element(NAME, b"PN", b"Jans\xe9n^Piet")
                .element(ID, b"LO", "N-1")
                .element(ISSUER, b"LO", "NOORD")
                .sequence(QUALIFIERS, lengths, &[qualifier])
                .element(BIRTH, b"DA", "19700201")
                .element(SEX, b"CS", "");
            let after = Written::new(encoding)
                .element(CHARSET, b"CS", "ISO_IR 100")
                .element(COERCED_AT, b"DT", NOW)
                .element(ACCESSION, b"SH", "A1");
            let after = the_new_patient(description(after, b"Sch\xe4del"), b"Jans\xebn^Petra")
                .sequence(REQUESTS, lengths, &[item])
                .element((0x0041, 0x1001), b"UN", [0xe9, 0x5c])
                .sequence(ORIGINALS, Lengths::Defined, &[Written::new(encoding).record(originals)]);
            let (found, outcome) = coerced(&plan(patient("Jansën^Petra")), &before).unwrap();
            assert!(found == pixels(after).bytes, "{encoding:?} {lengths:?}\n{}", found.escape_ascii());
            assert_eq!(outcome, CoercionOutcome::default());
        }
    }
}

#[test]
fn a_name_that_does_not_fit_takes_all_text_to_utf8() {
    for encoding in ENCODINGS {
        for lengths in [Lengths::Defined, Lengths::Undefined] {
            let nested = |name: &[u8], own: &[u8], set: &str, now: Lengths| {
                let deepest = Written::new(encoding).element((0x0040, 0xa160), b"UT", own);
                let inner = Written::new(encoding).element(CHARSET, b"CS", set).sequence(
                    (0x0040, 0xa730),
                    now,
                    &[deepest],
                );
                Written::new(encoding).element(NAME, b"PN", name).sequence((0x0040, 0xa730), now, &[inner])
            };
            let before = Written::new(encoding).element((0x0008, 0x0000), b"UL", [1, 0, 0, 0]).element(
                CHARSET,
                b"CS",
                "ISO_IR 100",
            );
            let before = description(before, b"Sch\xe4del \x80")
                .element(NAME, b"PN", b"Jans\xe9n^Piet")
                .element((0x0010, 0x4000), b"LT", "Überflüssig".as_bytes())
                .sequence(REQUESTS, lengths, &[nested(b"N\xe9", b"\xbb\xee", "ISO_IR 144", lengths)])
                .sequence((0x0040, 0x0555), lengths, &[]);
            let before = before.element((0x0041, 0x0010), b"LO", b"PRIV\xc9");
            let before = pixels(before.element((0x0041, 0x1001), b"UN", b"\xe9\x1b"));
            let originals = Written::new(encoding)
                .element(CHARSET, b"CS", "ISO_IR 100")
                .element(NAME, b"PN", b"Jans\xe9n^Piet")
                .element(ID, b"LO", "")
                .element(BIRTH, b"DA", "")
                .element(SEX, b"CS", "");
            let after =
                Written::new(encoding).element(CHARSET, b"CS", "ISO_IR 192").element(COERCED_AT, b"DT", NOW);
            let after = the_new_patient(description(after, "Schädel €".as_bytes()), "Şeyma^山".as_bytes());
            let after_item = nested("Né".as_bytes(), "Лю".as_bytes(), "ISO_IR 192", Lengths::Undefined);
            let after = after
                .element((0x0010, 0x4000), b"LT", "Überflüssig".as_bytes())
                .sequence(REQUESTS, Lengths::Undefined, &[after_item])
                .sequence((0x0040, 0x0555), lengths, &[])
                .element((0x0041, 0x0010), b"LO", "PRIVÉ".as_bytes())
                .element((0x0041, 0x1001), b"UN", b"\xe9\x1b")
                .sequence(ORIGINALS, Lengths::Defined, &[Written::new(encoding).record(originals)]);
            let (found, outcome) = coerced(&plan(patient("Şeyma^山")), &before).unwrap();
            assert!(found == pixels(after).bytes, "{encoding:?} {lengths:?}\n{}", found.escape_ascii());
            let expected = CoercionOutcome {
                converted_to_utf8: true,
                texts_converted: 5,
                read_as_utf8: 1,
                read_as_windows_1252: 1,
                unknown_left_alone: 1,
                group_lengths_dropped: 1,
            };
            assert_eq!(outcome, expected);
        }
    }
}

#[test]
fn without_a_declared_character_set_the_past_is_converted_too() {
    let encoding = Encoding::ExplicitLittle;
    let before = description(Written::new(encoding), b"Sch\xe4del").element(NAME, b"PN", b"Jans\xe9n");
    let originals = Written::new(encoding)
        .element(NAME, b"PN", "Jansén".as_bytes())
        .element(ID, b"LO", "")
        .element(BIRTH, b"DA", "")
        .element(SEX, b"CS", "");
    let after = Written::new(encoding).element(CHARSET, b"CS", "ISO_IR 192").element(COERCED_AT, b"DT", NOW);
    let after = the_new_patient(description(after, "Schädel".as_bytes()), "Jansën".as_bytes()).sequence(
        ORIGINALS,
        Lengths::Defined,
        &[Written::new(encoding).record(originals)],
    );
    let (found, outcome) = coerced(&plan(patient("Jansën")), &before).unwrap();
    assert!(found == after.bytes, "{}", found.escape_ascii());
    assert_eq!(outcome.read_as_windows_1252, 2);
}

#[test]
fn earlier_originals_stay_and_one_item_follows_them() {
    let short = LocalPatient { birth_date: None, sex: None, ..patient("Jansen") };
    for encoding in ENCODINGS {
        let missing = Written::new(encoding).element(NAME, b"PN", "").element(ID, b"LO", "");
        let before = |old: Written| the_rest(Written::new(old.encoding), None, old);
        let after = |old: Written| the_rest(Written::new(old.encoding), Some(NOW), old);
        for lengths in [Lengths::Defined, Lengths::Undefined] {
            let first = Written::new(encoding).element((0x0400, 0x0563), b"LO", "OTHER");
            let second = Written::new(encoding).record(missing.clone());
            let (found, _) = coerced(
                &plan(short.clone()),
                &before(Written::new(encoding).sequence(ORIGINALS, lengths, from_ref(&first))),
            )
            .unwrap();
            let mut expected =
                Written::new(encoding).sequence(ORIGINALS, lengths, &[first.clone(), second.clone()]);
            if lengths == Lengths::Undefined {
                // Our item has a length all the same.
                expected = Written::new(encoding).sequence(ORIGINALS, lengths, &[first]);
                expected.bytes.truncate(expected.bytes.len() - 8);
                let length = u32::try_from(second.bytes.len()).unwrap();
                expected = expected.header((0xfffe, 0xe000), None, length);
                expected.bytes.extend_from_slice(&second.bytes);
                expected = expected.header((0xfffe, 0xe0dd), None, 0);
            }
            assert!(found == after(expected).bytes, "{encoding:?} {lengths:?} {}", found.escape_ascii());
        }
        let (found, _) = coerced(
            &plan(short.clone()),
            &before(Written::new(encoding).sequence(ORIGINALS, Lengths::Defined, &[])),
        )
        .unwrap();
        let only = Written::new(encoding).record(missing);
        assert!(found == after(Written::new(encoding).sequence(ORIGINALS, Lengths::Defined, &[only])).bytes);
    }
}

/// Patient around a sequence of originals.
fn the_rest(start: Written, coerced_at: Option<&str>, originals: Written) -> Written {
    let mut data_set = start;
    if let Some(at) = coerced_at {
        data_set =
            data_set.element(COERCED_AT, b"DT", at).element(NAME, b"PN", "Jansen").element(ID, b"LO", "Z-17");
    }
    data_set.bytes.extend_from_slice(&originals.bytes);
    pixels(data_set)
}

#[test]
fn originals_of_a_writer_without_a_dictionary_are_implicit() {
    let encoding = Encoding::ExplicitBig;
    let inside = Encoding::ImplicitLittle;
    for lengths in [Lengths::Defined, Lengths::Undefined] {
        let first = Written::new(inside).element((0x0400, 0x0563), b"LO", "OTHER");
        let before = Written::new(encoding).element(NAME, b"PN", "Piet").sequence_as(
            ORIGINALS,
            b"UN",
            lengths,
            &[first],
        );
        let (found, _) =
            coerced(&plan(LocalPatient { birth_date: None, sex: None, ..patient("P") }), &before).unwrap();
        let originals = Written::new(inside).element(NAME, b"PN", "Piet").element(ID, b"LO", "");
        let ours = Written::new(inside).record(originals).bytes;
        assert!(found.windows(ours.len()).any(|window| window == ours), "{}", found.escape_ascii());
    }
    let qualifier = Written::new(encoding).element((0x0040, 0x0032), b"UT", "1.2");
    let first = Written::new(inside).element((0x0400, 0x0563), b"LO", "OTHER");
    let before = Written::new(encoding).sequence(QUALIFIERS, Lengths::Defined, &[qualifier]).sequence_as(
        ORIGINALS,
        b"UN",
        Lengths::Defined,
        &[first],
    );
    assert_eq!(coerced(&plan(patient("P")), &before), Err(CoercionError::UnknownOriginalAttributes));
}

#[test]
fn items_without_a_length_in_a_sequence_that_has_one() {
    for encoding in ENCODINGS {
        let deepest = Written::new(encoding).element((0x0008, 0x0104), b"LO", b"\xe9");
        let inner = Written::new(encoding).sequence((0x0040, 0xa730), Lengths::Defined, from_ref(&deepest));
        // An item until its delimiter, an empty one, and one with a length.
        let mut items = Written::new(encoding).header((0xfffe, 0xe000), None, u32::MAX);
        items.bytes.extend_from_slice(&inner.bytes);
        items = items.header((0xfffe, 0xe00d), None, 0).header((0xfffe, 0xe000), None, 0);
        items = items.header((0xfffe, 0xe000), None, u32::try_from(deepest.bytes.len()).unwrap());
        items.bytes.extend_from_slice(&deepest.bytes);
        let length = u32::try_from(items.bytes.len()).unwrap();
        let mut before = Written::new(encoding).element(CHARSET, b"CS", "ISO_IR 100").header(
            REQUESTS,
            Some(b"SQ"),
            length,
        );
        before.bytes.extend_from_slice(&items.bytes);

        let deepest = Written::new(encoding).element((0x0008, 0x0104), b"LO", "é".as_bytes());
        let inner = Written::new(encoding).sequence((0x0040, 0xa730), Lengths::Undefined, from_ref(&deepest));
        let mut after = Written::new(encoding).header(REQUESTS, Some(b"SQ"), u32::MAX);
        for (item, has_delimiter) in [(&inner.bytes[..], true), (&[], false), (&deepest.bytes[..], true)] {
            let length = if has_delimiter { u32::MAX } else { 0 };
            after = after.header((0xfffe, 0xe000), None, length);
            after.bytes.extend_from_slice(item);
            if has_delimiter {
                after = after.header((0xfffe, 0xe00d), None, 0);
            }
        }
        let after = after.header((0xfffe, 0xe0dd), None, 0).bytes;
        let (found, _) = coerced(&plan(patient("山")), &before).unwrap();
        assert!(found.windows(after.len()).any(|window| window == after), "{}", found.escape_ascii());
    }
}

#[test]
fn a_record_of_the_past_keeps_its_own_character_set() {
    let encoding = Encoding::ExplicitLittle;
    let past = Written::new(encoding).element(CHARSET, b"CS", "ISO_IR 144").element(NAME, b"PN", b"\xbb\xee");
    let first = Written::new(encoding).sequence((0x0400, 0x0550), Lengths::Defined, from_ref(&past));
    let before = Written::new(encoding).element(CHARSET, b"CS", "ISO_IR 100").sequence(
        ORIGINALS,
        Lengths::Defined,
        &[first],
    );
    let (found, outcome) = coerced(&plan(patient("山")), &before).unwrap();
    assert!(found.windows(past.bytes.len()).any(|window| window == past.bytes));
    assert_eq!(outcome.texts_converted, 0);
}

#[test]
fn issuers_of_ours_are_written_and_those_of_others_taken_out() {
    let universal = UniversalEntity { id: "2.16.840.1.7".to_owned(), kind: UniversalEntityKind::Iso };
    let issuer = Issuer { local_namespace: Some("ZUID".to_owned()), universal: Some(universal) };
    let order = |issuer| LocalOrder { accession_number: Confidential::new("Z9"), issuer };
    let local =
        LocalPatient { name: None, birth_date: None, sex: None, issuer: Some(issuer.clone()), ..patient("") };
    for encoding in ENCODINGS {
        let theirs = Written::new(encoding).element((0x0040, 0x0031), b"UT", "NOORD");
        let before = Written::new(encoding)
            .element(ACCESSION, b"SH", "A1")
            .sequence(ACCESSION_ISSUER, Lengths::Undefined, from_ref(&theirs))
            .element(ID, b"LO", "N-1");
        let world = |item: Written| {
            item.element((0x0040, 0x0032), b"UT", "2.16.840.1.7").element((0x0040, 0x0033), b"CS", "ISO")
        };
        let ours = world(Written::new(encoding).element((0x0040, 0x0031), b"UT", "ZUID"));
        let originals = Written::new(encoding).element(ACCESSION, b"SH", "A1").sequence(
            ACCESSION_ISSUER,
            Lengths::Undefined,
            &[theirs],
        );
        let start = Written::new(encoding).element(COERCED_AT, b"DT", NOW).element(ACCESSION, b"SH", "Z9");
        let both = Coercions::new(Some(local.clone()), Some(order(Some(issuer.clone()))), record()).unwrap();
        let after = start
            .clone()
            .sequence(ACCESSION_ISSUER, Lengths::Defined, &[ours])
            .element(ID, b"LO", "Z-17")
            .element(ISSUER, b"LO", "ZUID")
            .sequence(QUALIFIERS, Lengths::Defined, &[world(Written::new(encoding))]);
        let all = originals.clone().element(ID, b"LO", "N-1").element(ISSUER, b"LO", "").sequence(
            QUALIFIERS,
            Lengths::Defined,
            &[],
        );
        let after = after.sequence(ORIGINALS, Lengths::Defined, &[Written::new(encoding).record(all)]);
        let found = coerced(&both, &before).unwrap().0;
        assert!(found == after.bytes, "{encoding:?} {}", found.escape_ascii());

        let only_order = Coercions::new(None, Some(order(None)), record()).unwrap();
        let after = start.element(ID, b"LO", "N-1").sequence(
            ORIGINALS,
            Lengths::Defined,
            &[Written::new(encoding).record(originals)],
        );
        assert!(coerced(&only_order, &before).unwrap().0 == after.bytes);
    }
}

#[test]
fn an_empty_plan_gives_the_same_bytes_whatever_they_are() {
    let nothing = Coercions::new(None, None, record()).unwrap();
    for uid in ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99", "2.25.1"] {
        let bytes: Vec<u8> = (0..=255).cycle().take(5000).collect();
        let (found, outcome) = in_pieces(&nothing, &uid.parse().unwrap(), bytes.chunks(7)).unwrap();
        assert!(found == bytes);
        assert_eq!(outcome, CoercionOutcome::default());
    }
}

#[test]
fn a_deflated_data_set_is_inflated_and_deflated_again() {
    use std::io::{Read, Write};
    let deflated: TransferSyntaxUid = "1.2.840.10008.1.2.1.99".parse().unwrap();
    let mut plain = description(Written::new(Encoding::ExplicitLittle), b"Sch\xe4del");
    plain = plain.element((0x0010, 0x0010), b"PN", "Piet").exactly(PIXELS, b"OW", &vec![7; 300_000]);
    let plan = plan(patient("山"));
    let expected = in_pieces(&plan, &syntax(Encoding::ExplicitLittle), [&plain.bytes[..]]).unwrap();
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&plain.bytes).unwrap();
    let mut bytes = encoder.finish().unwrap();
    for piece in [1, 2, 100, bytes.len()] {
        for padding in [0, 1] {
            let padded = [&bytes[..], &vec![0; padding]].concat();
            let (found, outcome) = in_pieces(&plan, &deflated, padded.chunks(piece)).unwrap();
            let mut inflated = Vec::new();
            flate2::read::DeflateDecoder::new(&found[..]).read_to_end(&mut inflated).unwrap();
            assert!((inflated, outcome) == expected);
            assert_eq!(found.len() % 2, 0);
        }
    }
    let last = bytes.pop().unwrap();
    assert_eq!(in_pieces(&plan, &deflated, [&bytes[..]]), Err(CoercionError::CutOff));
    bytes.push(last);
    // The trailer of gzip.
    bytes.extend([1; 8]);
    assert!(in_pieces(&plan, &deflated, [&bytes[..]]).is_ok());
    bytes.extend([1; 2]);
    assert_eq!(in_pieces(&plan, &deflated, [&bytes[..]]), Err(CoercionError::Deflate));
}
