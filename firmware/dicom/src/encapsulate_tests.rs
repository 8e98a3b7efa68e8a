//! Wrapped documents, read back by this crate. Another vendor's verifier looks at them in `tests/interop`.

use beeldbox_protocol::clinical::Patient;

use super::*;
use crate::sniff;

pub(crate) fn study() -> StudyIdentity {
    let some = |text: &str| Some(Confidential::new(text));
    StudyIdentity {
        study: "1.2.840.99.1".parse().unwrap(),
        attributes: InstanceAttributes {
            patient: Patient {
                name: some("Jansën^Piet"),
                id: some("3004100"),
                id_issuer: some("NOORD"),
                birth_date: some("19700102"),
                sex: some("M"),
                bsn: None,
            },
            study_description: some("CT thorax"),
            study_date: Some("20261126".to_owned()),
            study_time: Some("093000".to_owned()),
            modality: Some("CT".to_owned()),
            accession_number: some("ACC300"),
            institution: some("Ziekenhuis Noord"),
        },
    }
}

fn new_instance() -> NewInstance {
    NewInstance {
        sop_instance: "2.25.1".parse().unwrap(),
        series: "2.25.2".parse().unwrap(),
        series_number: 9000,
        instance_number: 1,
        made_at: "2026-11-28T06:15:00".parse().unwrap(),
        title: Confidential::new("Verslag\\CT thorax"),
        made_from: vec![("1.2.840.10008.5.1.4.1.1.88.22".parse().unwrap(), "1.2.3".parse().unwrap())],
    }
}

const PDF: &[u8] = b"%PDF-1.7\n%%EOF\n";

#[test]
fn a_pdf_is_in_the_study_of_its_images() {
    let wrapped = encapsulate_pdf(&study(), &new_instance(), PDF, 15).unwrap();
    let data_set = [wrapped.head.as_slice(), PDF, &wrapped.tail].concat();
    assert_eq!(u64::try_from(data_set.len()).unwrap(), wrapped.length);
    assert_eq!(data_set.len() % 2, 0);
    let (sniffed, _) = sniff::sniff(&data_set, wrapped.transfer_syntax.as_str());
    let mut expected = study().attributes;
    expected.modality = Some("DOC".to_owned());
    assert_eq!(sniffed.attributes, expected);
    assert_eq!(sniffed.study, Some(study().study));
    assert_eq!(sniffed.sop_class, Some(wrapped.sop_class));
    assert_eq!(sniffed.sop_instance, Some(wrapped.sop_instance));
    assert!(data_set.windows(10).any(|window| window == b"ISO_IR 192"));
}

#[test]
fn ascii_needs_no_character_set() {
    let mut study = study();
    study.attributes.patient.name = Some(Confidential::new("Jansen^Piet"));
    let wrapped = encapsulate_pdf(&study, &new_instance(), PDF, 15).unwrap();
    assert!(!wrapped.head.windows(6).any(|window| window == b"ISO_IR"));
}

#[test]
fn what_cannot_be_wrapped_is_named() {
    let pdf = |beginning: &[u8], length| encapsulate_pdf(&study(), &new_instance(), beginning, length);
    assert_eq!(pdf(b"", 0), Err(EncapsulateError::Empty));
    assert_eq!(pdf(b"PK\x03\x04", 100), Err(EncapsulateError::NoPdf));
    let long = 0xffff_fffd;
    assert_eq!(pdf(PDF, long), Err(EncapsulateError::TooLong { length: long }));
    assert_eq!(pdf(PDF, u64::MAX), Err(EncapsulateError::TooLong { length: u64::MAX }));
    assert!(pdf(PDF, 0xffff_fffc).is_ok());
    let jpeg = encapsulate_jpeg(&study(), &new_instance(), PDF, 15);
    assert_eq!(jpeg, Err(EncapsulateError::Jpeg(JpegError::NoJpeg)));
}

#[test]
fn texts_fit_their_values() {
    assert_eq!(fitting(&Confidential::new(" a\\b\u{1b}\nc "), 64), "a/bc");
    let long = fitting(&Confidential::new("é".repeat(100)), 64);
    assert_eq!((long.chars().count(), long.ends_with('…')), (64, true));
}
