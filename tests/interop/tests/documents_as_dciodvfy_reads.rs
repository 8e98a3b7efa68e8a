//! Documents wrapped as instances, judged by `dciodvfy` and unwrapped by DCMTK.
//!
//! Goal: what we make of a report is valid by another vendor's verifier, and what others take out of it is what we put in.
//! Method: a report is set as PDF, a page of it rendered as JPEG by poppler; both are wrapped and written as files. `dciodvfy`
//! finds no error, `dcm2pdf` gives the same PDF, `dcmdjpeg` decodes the picture, `dcmdump` finds patient and study.

#![expect(clippy::unwrap_used, reason = "what stands beside the tests is part of them")]

use std::path::{Path, PathBuf};
use std::process::Command;

use beeldbox_dicom::{NewInstance, StudyIdentity, WrappedDocument, encapsulate_jpeg, encapsulate_pdf};
use beeldbox_protocol::clinical::{Confidential, InstanceAttributes, Patient};
use beeldbox_protocol::structured_report::StructuredReport;
use beeldbox_report::{DocumentPatient, DocumentSource, DocumentStatus, DocumentStudy, ReportDocument, pdf};

fn some(text: &str) -> Option<Confidential> {
    Some(Confidential::new(text))
}

fn study(name: &str) -> StudyIdentity {
    StudyIdentity {
        study: "1.2.840.99.1".parse().unwrap(),
        attributes: InstanceAttributes {
            patient: Patient {
                name: some(name),
                id: some("3004100"),
                id_issuer: some("NOORD"),
                birth_date: some("19700102"),
                sex: some("F"),
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

fn bare_study() -> StudyIdentity {
    let study = "1.2.840.99.1".parse().unwrap();
    StudyIdentity { study, attributes: InstanceAttributes::default() }
}

fn new_instance(number: u32) -> NewInstance {
    NewInstance {
        sop_instance: format!("2.25.{number}").parse().unwrap(),
        series: "2.25.99".parse().unwrap(),
        series_number: 9000,
        instance_number: 1,
        made_at: "2026-11-28T06:15:00".parse().unwrap(),
        title: Confidential::new("Verslag CT thorax – definitief"),
        made_from: vec![("1.2.840.10008.5.1.4.1.1.88.22".parse().unwrap(), "1.2.840.99.7".parse().unwrap())],
    }
}

fn report() -> Vec<u8> {
    let document = ReportDocument {
        hospital: "Ziekenhuis Noord".to_owned(),
        department: "Radiologie".to_owned(),
        patient: DocumentPatient { name: Confidential::new("Zoë Jansën"), ..DocumentPatient::default() },
        study: DocumentStudy::default(),
        author: None,
        requested_by: None,
        reported_at: None,
        status: DocumentStatus::Final,
        source: DocumentSource::Text,
        report: StructuredReport::of_text(Confidential::new("Geen afwijkingen.")),
        made_at: "2026-11-28T06:15:00".parse().unwrap(),
    };
    pdf(&document).unwrap()
}

/// Writes an instance as a file (PS3.10 §7.1) around its document.
fn file(folder: &Path, name: &str, wrapped: &WrappedDocument, document: &[u8]) -> PathBuf {
    let uid = |element: u16, value: &str| {
        let value = format!("{value}{}", if value.len() % 2 == 1 { "\0" } else { "" });
        let length = u16::try_from(value.len()).unwrap();
        [&2u16.to_le_bytes(), &element.to_le_bytes(), &b"UI"[..], &length.to_le_bytes(), value.as_bytes()]
            .concat()
    };
    let mut meta = vec![2, 0, 1, 0, b'O', b'B', 0, 0, 2, 0, 0, 0, 0, 1];
    meta.extend(uid(2, wrapped.sop_class.as_str()));
    meta.extend(uid(3, wrapped.sop_instance.as_str()));
    meta.extend(uid(0x10, wrapped.transfer_syntax.as_str()));
    meta.extend(uid(0x12, beeldbox_dicom::IMPLEMENTATION_CLASS_UID));
    let length = u32::try_from(meta.len()).unwrap();
    let group = [&[2, 0, 0, 0, b'U', b'L', 4, 0][..], &length.to_le_bytes()].concat();
    let data_set = [wrapped.head.as_slice(), document, &wrapped.tail].concat();
    assert_eq!(u64::try_from(data_set.len()).unwrap(), wrapped.length);
    let path = folder.join(name);
    std::fs::write(&path, [&[0; 128][..], b"DICM", &group, &meta, &data_set].concat()).unwrap();
    path
}

/// What a program says, on both outputs.
fn said(program: &str, words: &[&Path]) -> String {
    let output = Command::new(program).args(words).output();
    let output = output.unwrap_or_else(|_| panic!("{program} is missing; see tests/suite/src/needs.rs"));
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn is_valid(path: &Path, kind: &str) {
    let said = said("dciodvfy", &[path]);
    assert!(said.contains(kind), "{said}");
    let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("Error")).collect();
    assert!(errors.is_empty(), "{said}");
}

#[test]
fn a_wrapped_pdf_is_valid_and_comes_out_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let even = report();
    let odd = [even.as_slice(), b"\n"].concat();
    let cases = [
        ("latin", study("Jansen^Zoe"), &even),
        ("utf8", study("Jansën^Zoë"), &odd),
        ("beyond", study("Şahin^Gül=王^小明"), &even),
        ("bare", bare_study(), &odd),
    ];
    for (number, (name, study, document)) in (1..).zip(cases) {
        let length = u64::try_from(document.len()).unwrap();
        let wrapped = encapsulate_pdf(&study, &new_instance(number), document, length).unwrap();
        let path = file(folder.path(), name, &wrapped, document);
        is_valid(&path, "EncapsulatedPDF");
        let out = folder.path().join(format!("{name}.pdf"));
        let told = said("dcm2pdf", &[&path, &out]);
        assert!(std::fs::read(&out).unwrap() == **document, "{told}");
        let dumped = said("dcmdump", &[Path::new("+U8"), &path]);
        let patient = study.attributes.patient.name.as_ref().map_or("", |name| name.reveal()).to_owned();
        assert!(dumped.contains(&patient) && dumped.contains("1.2.840.99.1"), "{dumped}");
    }
}

#[test]
fn a_wrapped_picture_is_valid_and_can_be_decoded() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("report.pdf");
    std::fs::write(&source, report()).unwrap();
    for (number, colour) in [(11, "-jpeg"), (12, "-gray")] {
        let prefix = folder.path().join(format!("page{colour}"));
        let words =
            [Path::new("-jpeg"), Path::new(colour), Path::new("-r"), Path::new("50"), &source, &prefix];
        let told = said("pdftoppm", &words);
        let picture = folder.path().join(format!("page{colour}-1.jpg"));
        let picture = std::fs::read(picture).unwrap_or_else(|_| panic!("{told}"));
        let length = u64::try_from(picture.len()).unwrap();
        let study = study("Jansën^Zoë");
        let beginning = &picture[..picture.len().min(4096)];
        let wrapped = encapsulate_jpeg(&study, &new_instance(number), beginning, length).unwrap();
        let path = file(folder.path(), colour, &wrapped, &picture);
        is_valid(&path, "SCImage");
        let out = folder.path().join(format!("{number}.dcm"));
        let told = said("dcmdjpeg", &[&path, &out]);
        let decoded = std::fs::metadata(&out).unwrap_or_else(|_| panic!("{told}")).len();
        // 50 dots to the inch of A4, one byte or three for each.
        assert!(decoded > if number == 11 { 700_000 } else { 230_000 }, "{decoded}");
    }
}
