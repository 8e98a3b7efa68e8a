//! Reports made here, read back. Reports that others make are in `tests/interop`.

use beeldbox_protocol::structured_report::{Block, Completion, Verification};
use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};

use super::*;
use crate::data_set::{DataSetWriter, EXPLICIT_VR_BIG_ENDIAN};

/// An item: relationship, type, name, value, and what is below it.
struct Item(&'static str, &'static str, (&'static str, &'static str), &'static str, Vec<Item>);

fn code(writer: &mut DataSetWriter, tag: Tag, value: &str, scheme: &str, meaning: &str) {
    writer.sequence(tag, &[()], |item, ()| {
        item.text(tags::CODE_VALUE, *b"SH", value.as_bytes());
        item.text(tags::CODING_SCHEME_DESIGNATOR, *b"SH", scheme.as_bytes());
        item.text(tags::CODE_MEANING, *b"LO", meaning.as_bytes());
    });
}

/// Writes an item, its attributes in the order of their tags.
fn item(writer: &mut DataSetWriter, Item(relationship, kind, name, value, children): &Item) {
    if *kind == "IMAGE" {
        writer.sequence(tags::REFERENCED_SOP_SEQUENCE, &[()], |item, ()| {
            item.uid(tags::REFERENCED_SOP_CLASS_UID, uids::CT_IMAGE_STORAGE);
            item.uid(tags::REFERENCED_SOP_INSTANCE_UID, value);
            item.text(tags::REFERENCED_FRAME_NUMBER, *b"IS", b"1\\3");
        });
    }
    writer.text(tags::RELATIONSHIP_TYPE, *b"CS", relationship.as_bytes());
    writer.text(tags::VALUE_TYPE, *b"CS", kind.as_bytes());
    code(writer, tags::CONCEPT_NAME_CODE_SEQUENCE, name.0, "DCM", name.1);
    match *kind {
        "TEXT" => writer.text(tags::TEXT_VALUE, *b"UT", value.as_bytes()),
        "PNAME" => writer.text(tags::PERSON_NAME, *b"PN", value.as_bytes()),
        "DATETIME" => writer.text(tags::DATE_TIME, *b"DT", value.as_bytes()),
        "CODE" => code(writer, tags::CONCEPT_CODE_SEQUENCE, "x", "99X", value),
        "NUM" => {
            let (number, unit) = value.split_once(' ').unwrap();
            writer.sequence(tags::MEASURED_VALUE_SEQUENCE, &[()], |item, ()| {
                code(item, tags::MEASUREMENT_UNITS_CODE_SEQUENCE, unit, "UCUM", unit);
                item.text(tags::NUMERIC_VALUE, *b"DS", number.as_bytes());
            });
        }
        _ => {}
    }
    if !children.is_empty() {
        writer.sequence(tags::CONTENT_SEQUENCE, children, item);
    }
}

fn data_set(encoding: Encoding, children: Vec<Item>) -> Vec<u8> {
    let mut writer = DataSetWriter::new(encoding);
    writer.text(tags::SPECIFIC_CHARACTER_SET, *b"CS", b"ISO_IR 192");
    writer.uid(tags::SOP_CLASS_UID, uids::ENHANCED_SR_STORAGE);
    writer.text(tags::CONTENT_DATE, *b"DA", b"20261128");
    writer.text(tags::CONTENT_TIME, *b"TM", b"061500.1");
    writer.text(tags::VALUE_TYPE, *b"CS", b"CONTAINER");
    code(&mut writer, tags::CONCEPT_NAME_CODE_SEQUENCE, "126000", "DCM", "Verslag");
    writer.sequence(tags::VERIFYING_OBSERVER_SEQUENCE, &[()], |item, ()| {
        item.text(tags::VERIFYING_OBSERVER_NAME, *b"PN", "Visser^Zoë^^drs.".as_bytes());
    });
    writer.text(tags::COMPLETION_FLAG, *b"CS", b"COMPLETE");
    writer.text(tags::VERIFICATION_FLAG, *b"CS", b"VERIFIED");
    writer.sequence(tags::CONTENT_SEQUENCE, &children, item);
    writer.finish()
}

fn children() -> Vec<Item> {
    let leaf = |kind, name, value| Item("CONTAINS", kind, name, value, vec![]);
    vec![
        Item("HAS OBS CONTEXT", "PNAME", ("121008", "Person Observer Name"), "Visser^M", vec![]),
        Item("HAS CONCEPT MOD", "CODE", ("121049", "Language"), "Dutch", vec![]),
        Item(
            "CONTAINS",
            "CONTAINER",
            ("121070", "Bevindingen"),
            "",
            vec![
                leaf("TEXT", ("121071", "Bevinding"), "Één nodus.\r\nGeen pleuravocht."),
                Item(
                    "CONTAINS",
                    "NUM",
                    ("121211", "Lengte"),
                    "14.2 mm",
                    vec![
                        Item("HAS PROPERTIES", "CODE", ("1", "Plaats"), "Bovenkwab", vec![]),
                        Item("INFERRED FROM", "IMAGE", ("1", ""), "1.2.3", vec![]),
                    ],
                ),
                leaf("NUM", ("121207", "Hoogte"), "3 {no unit}"),
                leaf("DATETIME", ("1", "Moment"), "20261128061530"),
                leaf("IMAGE", ("121180", "Sleutelbeelden"), "1.2.4"),
            ],
        ),
    ]
}

/// Blocks as lines, to be compared.
fn shown(blocks: &[Block]) -> Vec<String> {
    let cells = |row: &[beeldbox_protocol::clinical::Confidential]| {
        row.iter().map(|cell| cell.reveal()).collect::<Vec<_>>().join("|")
    };
    let one = |block: &Block| match block {
        Block::Section { heading, blocks } => {
            format!("# {} [{}]", heading.reveal(), shown(blocks).join(" ; "))
        }
        Block::Text { label, text } => {
            let label = label.as_ref().map_or("", |label| label.reveal());
            format!("{label}: {}", text.reveal().replace('\n', "/"))
        }
        Block::Table(table) => {
            let rows: Vec<String> = table.rows.iter().map(|row| cells(row)).collect();
            format!("{} = {}", cells(&table.columns), rows.join(" + "))
        }
        Block::Images(images) => {
            let label = images.label.as_ref().map_or("", |label| label.reveal());
            format!("{label} {:?}", images.images.iter().map(|image| &image.frames).collect::<Vec<_>>())
        }
    };
    blocks.iter().map(one).collect()
}

fn read(data_set: &[u8], syntax: &str) -> Result<StructuredReport, StructuredReportError> {
    read_structured_report(data_set, &syntax.parse().unwrap())
}

#[test]
fn a_report_is_read_in_every_encoding() {
    for (encoding, syntax) in [
        (Encoding::ImplicitLittle, uids::IMPLICIT_VR_LITTLE_ENDIAN),
        (Encoding::ExplicitLittle, uids::EXPLICIT_VR_LITTLE_ENDIAN),
        (Encoding::ExplicitBig, EXPLICIT_VR_BIG_ENDIAN),
    ] {
        let report = read(&data_set(encoding, children()), syntax).unwrap();
        assert_eq!(report.title.reveal(), "Verslag");
        assert_eq!(report.completion, Some(Completion::Complete));
        assert_eq!(report.verification, Some(Verification::Verified));
        assert_eq!(report.made_at.as_deref(), Some("20261128061500"));
        assert_eq!(report.observers[0].reveal(), "M Visser");
        assert_eq!(report.verified_by[0].reveal(), "drs. Zoë Visser");
        let expected = "# Bevindingen [Bevinding: Één nodus./Geen pleuravocht. ; \
            Meting|Waarde|Eenheid|Toelichting = Lengte|14.2|mm|Plaats: Bovenkwab + Hoogte|3|| ;  [[1, 3]] ; \
            Moment: 28-11-2026 06:15 ; Sleutelbeelden [[1, 3]]]";
        assert_eq!(shown(&report.blocks), [expected]);
    }
}

#[test]
fn irradiation_events_are_rows_of_one_table() {
    let event = |protocol, dose| {
        let source = Item(
            "CONTAINS",
            "CONTAINER",
            ("113831", "Source"),
            "",
            vec![
                Item("CONTAINS", "NUM", ("113733", "KVP"), "120 kV", vec![]),
                Item("CONTAINS", "NUM", ("113734", "Current"), "80 mA", vec![]),
                Item("CONTAINS", "NUM", ("113735", "Maximum"), "90 mA", vec![]),
            ],
        );
        Item(
            "CONTAINS",
            "CONTAINER",
            ("113819", "CT Acquisition"),
            "",
            vec![
                Item("CONTAINS", "TEXT", ("125203", "Protocol"), protocol, vec![]),
                Item("CONTAINS", "NUM", ("113838", "DLP"), dose, vec![]),
                source,
            ],
        )
    };
    let children = vec![
        Item(
            "CONTAINS",
            "CONTAINER",
            ("113811", "Totaal"),
            "",
            vec![Item("CONTAINS", "NUM", ("113813", "CT DLP Total"), "300 mGy.cm", vec![])],
        ),
        event("Thorax", "200 mGy.cm"),
        event("Abdomen", "0.1 Gy.cm"),
    ];
    let bytes = data_set(Encoding::ExplicitLittle, children);
    let report = read(&bytes, uids::EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
    assert_eq!(
        shown(&report.blocks),
        [
            "# Totaal [Meting|Waarde|Eenheid = CT DLP Total|300|mGy.cm]",
            "Nr|Protocol|DLP (mGy.cm)|KVP (kV)|Current (mA) = 1|Thorax|200|120|80 + 2|Abdomen|0.1 Gy.cm|120|80",
            ": Van deze bestralingen staan nog 2 gegevens in het oorspronkelijke DICOM-rapport.",
        ]
    );
}

#[test]
fn what_is_no_report_is_named() {
    let explicit = uids::EXPLICIT_VR_LITTLE_ENDIAN;
    assert_eq!(read(b"", explicit), Err(StructuredReportError::NoReport));
    let whole = data_set(Encoding::ExplicitLittle, children());
    // Every truncation is broken, or ends before the content begins.
    for cut in 0..whole.len() {
        match read(&whole[..cut], explicit) {
            Err(StructuredReportError::Broken | StructuredReportError::NoReport) => {}
            Ok(report) => assert!(report.blocks.is_empty(), "{cut}"),
            Err(error) => panic!("{error} at {cut}"),
        }
    }
    assert_eq!(read(&whole, "1.2.3.4"), Err(StructuredReportError::PrivateSyntax));
    let nested =
        (0..40).fold(Vec::new(), |inside, _| vec![Item("CONTAINS", "CONTAINER", ("1", "x"), "", inside)]);
    assert_eq!(
        read(&data_set(Encoding::ExplicitLittle, nested), explicit),
        Err(StructuredReportError::Broken)
    );
    let many = (0..100_001).map(|_| Item("CONTAINS", "TEXT", ("1", "x"), "y", vec![])).collect();
    let bytes = data_set(Encoding::ExplicitLittle, many);
    assert_eq!(read(&bytes, explicit), Err(StructuredReportError::TooManyItems));
    assert_eq!(read(&vec![0; LONGEST_REPORT + 1], explicit), Err(StructuredReportError::TooLong));
}
