//! What is read from the beginning of a data set, in every encoding, and from broken ones.

use std::io::Write;

use dicom_dictionary_std::uids;

use super::*;

/// How a test data set is written.
#[derive(Clone, Copy)]
enum Form {
    Implicit,
    Explicit,
    Big,
}

fn element(form: Form, tag: (u16, u16), vr: &str, value: &[u8]) -> Vec<u8> {
    let long = matches!(vr, "SQ" | "OB" | "OW" | "UN" | "UT");
    let mut value = value.to_vec();
    if value.len() % 2 == 1 {
        value.push(if vr == "UI" { 0 } else { b' ' });
    }
    let length = u32::try_from(value.len()).unwrap();
    let short = u16::try_from(length.min(0xffff)).unwrap();
    let mut out = Vec::new();
    for part in [tag.0, tag.1] {
        out.extend(if matches!(form, Form::Big) { part.to_be_bytes() } else { part.to_le_bytes() });
    }
    match (form, long) {
        (Form::Implicit, _) => out.extend(length.to_le_bytes()),
        (Form::Explicit, false) => out.extend([vr.as_bytes(), &short.to_le_bytes()].concat()),
        (Form::Explicit, true) => out.extend([vr.as_bytes(), &[0, 0], &length.to_le_bytes()].concat()),
        (Form::Big, false) => out.extend([vr.as_bytes(), &short.to_be_bytes()].concat()),
        (Form::Big, true) => out.extend([vr.as_bytes(), &[0, 0], &length.to_be_bytes()].concat()),
    }
    out.extend(value);
    out
}

fn item(form: Form, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap();
    match form {
        Form::Big => [&[0xff, 0xfe, 0xe0, 0x00][..], &length.to_be_bytes(), content].concat(),
        Form::Implicit | Form::Explicit => {
            [&[0xfe, 0xff, 0x00, 0xe0][..], &length.to_le_bytes(), content].concat()
        }
    }
}

/// Header in ISO 8859-1, with `id` and `issuer` as patient identifier and `other` as content of Other Patient IDs.
fn header(form: Form, id: &str, issuer: &str, other: &[u8]) -> Vec<u8> {
    [
        element(form, (0x0008, 0x0005), "CS", b"ISO_IR 100"),
        element(form, (0x0008, 0x0016), "UI", b"1.2.840.10008.5.1.4.1.1.2"),
        element(form, (0x0008, 0x0018), "UI", b"1.2.3.4"),
        element(form, (0x0008, 0x0020), "DA", b"20261102"),
        element(form, (0x0008, 0x0060), "CS", b"CT"),
        element(form, (0x0010, 0x0010), "PN", b"M\xfcller^J\xf6rg"),
        element(form, (0x0010, 0x0020), "LO", id.as_bytes()),
        element(form, (0x0010, 0x0021), "LO", issuer.as_bytes()),
        element(form, (0x0010, 0x1002), "SQ", other),
        element(form, (0x0020, 0x000D), "UI", b"1.2.3"),
        element(form, (0x0020, 0x000E), "UI", b"1.2.3.5"),
    ]
    .concat()
}

fn pixels(form: Form) -> Vec<u8> {
    [element(form, (0x0028, 0x0010), "US", &[2, 0]), element(form, (0x7FE0, 0x0010), "OW", &[7; 500])]
        .concat()
}

fn check(found: &Sniffed) {
    assert_eq!(found.sop_class.as_ref().unwrap().as_str(), "1.2.840.10008.5.1.4.1.1.2");
    assert_eq!(found.study.as_ref().unwrap().as_str(), "1.2.3");
    assert_eq!(found.series.as_ref().unwrap().as_str(), "1.2.3.5");
    assert_eq!(found.attributes.modality.as_deref(), Some("CT"));
    assert_eq!(found.attributes.study_date.as_deref(), Some("20261102"));
    assert_eq!(found.attributes.patient.name.as_ref().unwrap().reveal(), "Müller^Jörg");
}

#[test]
fn every_encoding_shows_the_same_header() {
    for (form, syntax) in [
        (Form::Implicit, uids::IMPLICIT_VR_LITTLE_ENDIAN),
        (Form::Explicit, uids::EXPLICIT_VR_LITTLE_ENDIAN),
        (Form::Big, "1.2.840.10008.1.2.2"),
        (Form::Explicit, uids::JPEG_BASELINE8_BIT),
        (Form::Explicit, "1.2.752.24.3.7.6"),
        (Form::Implicit, "1.2.840.113619.5.2"),
    ] {
        let data = [header(form, "4310001", "", &[]), pixels(form)].concat();
        let (found, satisfied) = sniff(&data, syntax);
        assert!(satisfied, "{syntax}");
        check(&found);
    }
}

#[test]
fn a_deflated_header_is_read_through_inflation() {
    let data = [header(Form::Explicit, "1", "", &[]), pixels(Form::Explicit)].concat();
    let mut deflater = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    deflater.write_all(&data).unwrap();
    let deflated = deflater.finish().unwrap();
    let (found, satisfied) = sniff(&deflated, uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN);
    assert!(satisfied);
    check(&found);
}

#[test]
fn encapsulated_pixel_data_ends_the_look() {
    let mut data = header(Form::Explicit, "1", "", &[]);
    data.extend(b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\x00\x00\x00\x00");
    let (found, satisfied) = sniff(&data, uids::JPEG_BASELINE8_BIT);
    assert!(satisfied);
    check(&found);
}

/// What stands before the wanted tags in the field: private blocks, sequences of undefined and defined length, UN of
/// undefined length (its inside is Implicit VR, PS3.5 §6.2.2), long VRs.
fn obstacles(form: Form) -> Vec<u8> {
    let header = |tag: (u16, u16), vr: &str, length: u32| {
        let mut whole = element(form, tag, vr, &[]);
        let at = whole.len() - 4;
        let bytes = if matches!(form, Form::Big) { length.to_be_bytes() } else { length.to_le_bytes() };
        whole[at..].copy_from_slice(&bytes);
        whole
    };
    let delimiter = |element: u16| {
        let mut whole = Vec::new();
        for part in [0xfffe, element, 0, 0] {
            whole.extend(if matches!(form, Form::Big) {
                u16::to_be_bytes(part)
            } else {
                u16::to_le_bytes(part)
            });
        }
        whole
    };
    let open_item = |content: &[u8]| {
        let mut whole = item(form, content);
        let unknown = [0xff; 4];
        whole[4..8].copy_from_slice(&unknown);
        [whole, delimiter(0xe00d)].concat()
    };
    let uid = element(form, (0x0008, 0x1150), "UI", b"9.9.9.9");
    let inner = [header((0x0008, 0x1199), "SQ", u32::MAX), open_item(&uid), delimiter(0xe0dd)].concat();
    let implicit = element(Form::Implicit, (0x0010, 0x0020), "LO", b"WRONG");
    let mut implicit_item = vec![0xfe, 0xff, 0x00, 0xe0, 0xff, 0xff, 0xff, 0xff];
    implicit_item.extend([&implicit[..], &[0xfe, 0xff, 0x0d, 0xe0, 0, 0, 0, 0]].concat());
    let unknown =
        [header((0x0009, 0x1011), "UN", u32::MAX), implicit_item, vec![0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0]];
    let mut all = [
        header((0x0008, 0x1115), "SQ", u32::MAX),
        open_item(&inner),
        item(form, &uid),
        delimiter(0xe0dd),
        element(form, (0x0008, 0x1140), "SQ", &item(form, &inner)),
        element(form, (0x0009, 0x0010), "LO", b"MAKER"),
        element(form, (0x0009, 0x1010), "OB", &[0xab; 70_000]),
    ]
    .concat();
    if matches!(form, Form::Explicit) {
        all.extend(unknown.concat());
        all.extend(element(form, (0x0009, 0x1012), "UT", &[b'x'; 100]));
    }
    all
}

#[test]
fn what_stands_before_the_wanted_tags_does_not_hide_them() {
    for (form, syntax) in [
        (Form::Implicit, uids::IMPLICIT_VR_LITTLE_ENDIAN),
        (Form::Explicit, uids::EXPLICIT_VR_LITTLE_ENDIAN),
        (Form::Big, "1.2.840.10008.1.2.2"),
    ] {
        let whole = header(form, "4310001", "", &[]);
        // Behind (0008,0060), before the patient.
        let at = whole.windows(2).position(|pair| pair == b"CT").unwrap() + 2;
        let data = [&whole[..at], &obstacles(form), &whole[at..], &pixels(form)].concat();
        let (found, satisfied) = sniff(&data, syntax);
        assert!(satisfied, "{syntax}");
        check(&found);
        assert_eq!(found.sop_instance.unwrap().as_str(), "1.2.3.4");
        assert_eq!(found.attributes.patient.id.unwrap().reveal(), "4310001");
    }
}

#[test]
fn a_cut_header_asks_for_more_and_keeps_what_it_saw() {
    let data = [header(Form::Explicit, "1", "", &[]), pixels(Form::Explicit)].concat();
    let whole = header(Form::Explicit, "1", "", &[]).len();
    for cut in 0..=whole {
        let (found, satisfied) = sniff(&data[..cut], uids::EXPLICIT_VR_LITTLE_ENDIAN);
        assert!(!satisfied, "cut at {cut}");
        if cut > 60 {
            assert!(found.sop_class.is_some());
        }
    }
}

#[test]
fn a_huge_declared_length_costs_nothing_and_is_not_an_end() {
    let mut data = element(Form::Explicit, (0x0008, 0x0016), "UI", b"1.2.3");
    data.extend(b"\x09\x00\x10\x10OB\0\0\x00\x00\x00\x70junk");
    let (found, satisfied) = sniff(&data, uids::EXPLICIT_VR_LITTLE_ENDIAN);
    assert!(!satisfied);
    assert_eq!(found.sop_class.unwrap().as_str(), "1.2.3");
}

#[test]
fn a_number_of_another_issuer_is_no_bsn() {
    let bsn = |id: &str, issuer: &str, other: &[u8]| {
        let data = header(Form::Explicit, id, issuer, other);
        sniff(&data, uids::EXPLICIT_VR_LITTLE_ENDIAN).0.attributes.patient.bsn
    };
    let expected = "999990019".parse().ok();
    let other = |issuer: &str| {
        let id = element(Form::Explicit, (0x0010, 0x0020), "LO", b"999990019");
        let issuer = element(Form::Explicit, (0x0010, 0x0021), "LO", issuer.as_bytes());
        item(Form::Explicit, &[id, issuer].concat())
    };
    let qualified = {
        let id = element(Form::Explicit, (0x0010, 0x0020), "LO", b"999990019");
        let entity = element(Form::Explicit, (0x0040, 0x0032), "UT", b"2.16.840.1.113883.2.4.6.3");
        let qualifiers = element(Form::Explicit, (0x0010, 0x0024), "SQ", &item(Form::Explicit, &entity));
        item(Form::Explicit, &[id, qualifiers].concat())
    };
    assert_eq!(bsn("999990019", "NLMINBIZA", &[]), expected);
    assert_eq!(bsn("999990019", "BSN", &[]), expected);
    assert_eq!(bsn("1", "", &other("NLMINBIZA")), expected);
    assert_eq!(bsn("1", "", &qualified), expected);
    assert_eq!(bsn("999990019", "", &[]), None);
    assert_eq!(bsn("999990018", "NLMINBIZA", &[]), None);
    assert_eq!(bsn("1", "NLMINBIZA", &other("ZIEKENHUIS NOORD")), None);
}

#[test]
fn arbitrary_bytes_neither_panic_nor_satisfy_falsely() {
    let mut noise: u64 = 7;
    for length in 0..400 {
        let bytes: Vec<u8> = (0..length)
            .map(|_| {
                noise ^= noise << 13;
                noise ^= noise >> 7;
                noise ^= noise << 17;
                noise.to_le_bytes()[0]
            })
            .collect();
        for syntax in [uids::IMPLICIT_VR_LITTLE_ENDIAN, uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, "1.2.3"] {
            sniff(&bytes, syntax);
        }
    }
}
