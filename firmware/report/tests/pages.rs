//! Pages as others see them: poppler finds the text, and renders every page.
//!
//! Goal: what the report says is on the pages, in its order, with who it is about on each of them. Method: reports of several
//! kinds are set, written to a folder of the build, and read with `pdftotext`, `pdfinfo`, `pdffonts` and `pdftoppm`.

#![expect(clippy::unwrap_used, reason = "what stands beside the tests is part of them")]

use std::path::{Path, PathBuf};
use std::process::Command;

use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::structured_report::{
    Block, ReferencedImage, ReferencedImages, StructuredReport, Table,
};
use beeldbox_report::{
    DocumentPatient, DocumentSource, DocumentStatus, DocumentStudy, PatientNumber, ReportDocument, pdf,
};

fn hidden(text: &str) -> Confidential {
    Confidential::new(text)
}

fn document(status: DocumentStatus, source: DocumentSource, report: StructuredReport) -> ReportDocument {
    let number =
        |issuer: &str, number: &str| PatientNumber { issuer: issuer.to_owned(), number: hidden(number) };
    ReportDocument {
        hospital: "Ziekenhuis Noord".to_owned(),
        department: "Afdeling Radiologie en Nucleaire Geneeskunde".to_owned(),
        patient: DocumentPatient {
            name: hidden("mw. P.A. van den Berg-de Vriës"),
            birth_date: Some(hidden("19700102")),
            sex: Some(hidden("F")),
            numbers: vec![number("BSN", "999990019"), number("Noord", "3004100")],
        },
        study: DocumentStudy {
            description: Some(hidden("CT thorax en bovenbuik met intraveneus contrast")),
            at: Some("20261126093000".to_owned()),
            accession_number: Some(hidden("N2026.004711")),
        },
        author: Some(hidden("drs. M. Visser, radioloog")),
        requested_by: Some(hidden("A. Bakker, longarts")),
        reported_at: Some("20261127101400".to_owned()),
        status,
        source,
        report,
        made_at: "2026-11-28T06:15:00".parse().unwrap(),
    }
}

fn text(text: &str) -> Block {
    Block::Text { label: None, text: hidden(text) }
}

fn section(heading: &str, blocks: Vec<Block>) -> Block {
    Block::Section { heading: hidden(heading), blocks }
}

const FINDINGS: &str = "VERSLAG CT THORAX EN BOVENBUIK\n\n\
    Klinische gegevens:\n\
    Patiënte bekend met COPD. Verdenking maligniteit rechter bovenkwab; coïncidentele bevinding op de X-thorax van \
    12-11-2026 (zie aldaar). Graag beoordeling.\n\n\
    Techniek: spiraal-CT na 80 ml Ultravist® 300 i.v., reconstructies 1,0 mm, DLP ≤ 420 mGy·cm.\n\n\
    Bevindingen:\n\
    Gespiculeerde nodus in de rechter bovenkwab (segment 3) van 14 × 11 mm, ± 2 mm groter dan tevoren. Geen \
    pleuravocht; ĳle verdichtingen dorsobasaal beiderzijds, passend bij atelectase.\n\
    Station     Korte as     Vorige\n\
    4R          9 mm         7 mm\n\
    7           12 mm        11 mm\n\
    10L         6 mm         -\n\n\
    Bovenbuik: lever, milt en bijnieren zonder afwijkingen. Cyste linkernier van 3,2 cm³ → geen vervolg.\n\n\
    CONCLUSIE:\n\
    1. Verdachte nodus rechter bovenkwab, toename ten opzichte van 12-11-2026.\n\
    2. Licht vergroot klierstation 7; PET-CT te overwegen.";

fn text_report() -> StructuredReport {
    StructuredReport { blocks: vec![text(FINDINGS)], ..StructuredReport::default() }
}

fn table(caption: &str, columns: &[&str], rows: Vec<Vec<String>>) -> Block {
    Block::Table(Table {
        caption: Some(hidden(caption)),
        columns: columns.iter().map(|name| hidden(name)).collect(),
        rows: rows.iter().map(|row| row.iter().map(|cell| hidden(cell)).collect()).collect(),
    })
}

fn structured_report() -> StructuredReport {
    let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<String>>();
    let measurements = vec![
        row(&[
            "Lange as nodus",
            "14,2",
            "mm",
            "rechter bovenkwab, segment 3, gemeten op de axiale reconstructie",
        ]),
        row(&["Volume", "1 240", "mm³", ""]),
        row(&["SUVmax", "8,1", "g/ml", ""]),
    ];
    let image = |number: u32| ReferencedImage {
        sop_class: "1.2.840.10008.5.1.4.1.1.2".parse().unwrap(),
        sop_instance: format!("1.2.840.99.{number}").parse().unwrap(),
        frames: Vec::new(),
    };
    StructuredReport {
        title: hidden("Imaging Measurement Report"),
        observers: vec![hidden("Visser^M"), hidden("Nodule-CAD 4.1")],
        verified_by: vec![hidden("Visser^M")],
        blocks: vec![
            section(
                "Bevindingen",
                vec![
                    Block::Text { label: Some(hidden("Locatie")), text: hidden("Rechter bovenkwab") },
                    table("Metingen", &["Meting", "Waarde", "Eenheid", "Toelichting"], measurements),
                    Block::Images(ReferencedImages {
                        label: Some(hidden("Gemeten op")),
                        images: vec![image(1), image(2)],
                    }),
                    section("Vervolg", vec![text("Controle over drie maanden.")]),
                ],
            ),
            section("Conclusie", vec![text("Verdachte nodus.")]),
        ],
        ..StructuredReport::default()
    }
}

fn dose_report() -> StructuredReport {
    let columns = ["Nr", "Protocol", "Soort", "CTDIvol (mGy)", "DLP (mGy·cm)", "kVp", "Lengte (mm)"];
    let rows = (1..=60).map(|number| {
        let cells = [
            format!("{number}"),
            "Thorax routine 1,0 Br38 met bolus tracking".to_owned(),
            "Spiral".to_owned(),
        ];
        let values = [
            format!("{}.{}", number % 7, number % 10),
            format!("{}", number * 7),
            "120".to_owned(),
            "340".to_owned(),
        ];
        cells.into_iter().chain(values).collect()
    });
    StructuredReport {
        title: hidden("X-Ray Radiation Dose Report"),
        blocks: vec![table("Bestralingen", &columns, rows.collect())],
        ..StructuredReport::default()
    }
}

/// Sets a report and gives the place of the file.
fn set(name: &str, document: &ReportDocument) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.pdf"));
    std::fs::write(&path, pdf(document).unwrap()).unwrap();
    path
}

fn run(program: &str, words: &[&str], path: &Path) -> String {
    let output = Command::new(program).args(words).arg(path).arg("-").output();
    let output = output.unwrap_or_else(|_| panic!("{program} is missing; apt-get install poppler-utils"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The text of each page, as it reads.
fn pages(path: &Path) -> Vec<String> {
    let text = run("pdftotext", &["-layout"], path);
    text.trim_end_matches('\u{c}').split('\u{c}').map(str::to_owned).collect()
}

/// With single spaces.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_text_is_on_the_page_with_who_it_is_about() {
    let path = set("text", &document(DocumentStatus::Final, DocumentSource::Hl7, text_report()));
    let pages = pages(&path);
    assert_eq!(pages.len(), 1);
    let page = plain(&pages[0]);
    for words in [
        "Ziekenhuis Noord",
        "mw. P.A. van den Berg-de Vriës",
        "Geboortedatum 02-01-1970",
        "Geslacht vrouw",
        "BSN 999990019",
        "Onderzoeksnummer N2026.004711",
        "Status Definitief",
        "4R 9 mm 7 mm",
        "14 × 11 mm, ± 2 mm",
        "≤ 420 mGy·cm",
        "ĳle verdichtingen",
        "3,2 cm³ -> geen vervolg",
        "pagina 1 van 1",
        "uit HL7-bericht",
    ] {
        assert!(page.contains(words), "{words} in\n{}", pages[0]);
    }
    assert!(!page.contains("VOORLOPIG"));
    let order: Vec<usize> = ["Klinische gegevens", "Techniek", "Bevindingen", "CONCLUSIE"]
        .map(|heading| page.find(heading).unwrap())
        .to_vec();
    assert!(order.is_sorted());
}

#[test]
fn every_page_names_the_patient_and_the_status() {
    let long = (0..9).map(|_| text(FINDINGS)).collect();
    let report = StructuredReport { blocks: long, ..StructuredReport::default() };
    let path = set("long", &document(DocumentStatus::Preliminary, DocumentSource::Text, report));
    let pages = pages(&path);
    assert!(pages.len() > 3);
    for (at, page) in pages.iter().enumerate() {
        let page = plain(page);
        assert!(page.contains("mw. P.A. van den Berg-de Vriës"), "page {at}");
        assert!(page.contains("02-01-1970") && page.contains("999990019"), "page {at}");
        assert!(page.contains("VOORLOPIG VERSLAG – NIET GEAUTORISEERD"), "page {at}");
        assert!(page.contains(&format!("pagina {} van {}", at + 1, pages.len())), "page {at}");
    }
    let whole = plain(&pages.join(" "));
    assert_eq!(whole.matches("PET-CT te overwegen.").count(), 9, "nothing is lost between pages");
}

#[test]
fn a_structured_report_is_set_in_its_order() {
    let report = structured_report();
    let path =
        set("structured", &document(DocumentStatus::Amended, DocumentSource::StructuredReport, report));
    let page = plain(&pages(&path).join(" "));
    for words in [
        "GEWIJZIGD VERSLAG",
        "Imaging Measurement Report",
        "Waarnemer: Visser^M; Nodule-CAD 4.1",
        "Locatie: Rechter bovenkwab",
        "Meting Waarde Eenheid Toelichting",
        "Volume 1 240 mm³",
        "Gemeten op: 2 beelden",
        "Controle over drie maanden.",
    ] {
        assert!(page.contains(words), "{words} in\n{page}");
    }
}

#[test]
fn the_head_of_a_table_comes_again_on_every_page() {
    let path = set("dose", &document(DocumentStatus::Final, DocumentSource::StructuredReport, dose_report()));
    let pages = pages(&path);
    assert!(pages.len() > 1);
    for page in &pages {
        assert!(plain(page).contains("CTDIvol"), "{page}");
    }
    let numbers: Vec<usize> = pages
        .iter()
        .flat_map(|page| page.lines())
        .filter_map(|line| {
            let first = line.split_whitespace().next()?.parse().ok()?;
            line.contains("Thorax routine").then_some(first)
        })
        .collect();
    assert_eq!(numbers, (1..=60).collect::<Vec<usize>>());
}

#[test]
fn nothing_known_is_set_too() {
    let mut empty = document(DocumentStatus::Unknown, DocumentSource::Text, StructuredReport::default());
    (empty.hospital, empty.department) = (String::new(), String::new());
    (empty.patient, empty.study) = (DocumentPatient::default(), DocumentStudy::default());
    (empty.author, empty.requested_by, empty.reported_at) = (None, None, None);
    let page = plain(&pages(&set("empty", &empty)).join(" "));
    assert!(page.contains("Patiënt onbekend") && page.contains("STATUS VAN HET VERSLAG ONBEKEND"), "{page}");
}

#[test]
fn what_is_hostile_is_set_too() {
    let deep = (0..200).fold(text("binnen"), |inside, _| section("kop", vec![inside]));
    let wide = table(
        &"t".repeat(300),
        &["kolom"; 40],
        vec![vec!["waarde".to_owned(); 40], vec![], vec!["w".repeat(2000); 3]],
    );
    let narrow = table("", &["", "x"], vec![vec!["w".repeat(9000), "y".repeat(500)]]);
    let odd = text("山 \u{0}\u{1b}\u{feff} \u{10ffff} \u{202e}omgekeerd e\u{301}\r\nx\u{a0}y\t\tz");
    let long = text(&"w".repeat(20_000));
    let mut report = document(
        DocumentStatus::Final,
        DocumentSource::Text,
        StructuredReport {
            title: hidden(&"Titel ".repeat(200)),
            blocks: vec![deep, wide, narrow, odd, long],
            ..StructuredReport::default()
        },
    );
    report.hospital = "Z".repeat(500);
    report.patient.name = hidden(&"Naam ".repeat(300));
    report.patient.numbers = (0..200)
        .map(|at| PatientNumber { issuer: "X".repeat(50), number: hidden(&format!("{at}")) })
        .collect();
    let pages = pages(&set("hostile", &report));
    let whole = plain(&pages.join(" "));
    assert!(whole.contains("[U+5C71]") && whole.contains("[U+10FFFF]") && whole.contains("binnen"));
    let letters = pages.iter().flat_map(|page| page.chars()).filter(|letter| *letter == 'w').count();
    assert!(letters >= 20_000 + 9000 + 6000, "{letters}");
}

#[test]
fn the_same_report_is_the_same_file() {
    let document = document(DocumentStatus::Final, DocumentSource::Hl7, structured_report());
    let (first, second) = (pdf(&document).unwrap(), pdf(&document).unwrap());
    assert!(first == second);
    assert!(first.len() < 60_000, "{} bytes", first.len());
}

#[test]
fn the_file_says_nothing_about_the_patient_and_embeds_its_fonts() {
    let path = set("metadata", &document(DocumentStatus::Final, DocumentSource::Hl7, text_report()));
    let info = Command::new("pdfinfo").arg("-meta").arg(&path).output().unwrap();
    let info = String::from_utf8_lossy(&info.stdout).into_owned();
    assert!(
        info.contains("<pdfaid:part>2</pdfaid:part>") && info.contains("<pdfaid:conformance>U<"),
        "{info}"
    );
    let plain = Command::new("pdfinfo").arg(&path).output().unwrap();
    let both = format!("{info}{}", String::from_utf8_lossy(&plain.stdout));
    assert!(!both.contains("Berg") && !both.contains("999990019"));
    let fonts = Command::new("pdffonts").arg(&path).output().unwrap();
    let fonts = String::from_utf8_lossy(&fonts.stdout).into_owned();
    let embedded: Vec<&str> = fonts.lines().skip(2).collect();
    assert_eq!(embedded.len(), 2, "{fonts}");
    assert!(embedded.iter().all(|line| line.contains("OpenSans") && line.contains("yes yes yes")), "{fonts}");
}

#[test]
fn every_page_can_be_rendered() {
    let path = set("rendered", &document(DocumentStatus::Preliminary, DocumentSource::Hl7, dose_report()));
    let folder = tempfile::tempdir().unwrap();
    let prefix = folder.path().join("page");
    let output =
        Command::new("pdftoppm").args(["-gray", "-r", "40"]).arg(&path).arg(&prefix).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    let mut count = 0;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let picture = std::fs::read(entry.unwrap().path()).unwrap();
        let dark = picture.iter().filter(|value| **value < 128).count();
        // Letters cover some of a page, and not much of it.
        assert!(dark > picture.len() / 300 && dark < picture.len() / 4, "{dark} of {}", picture.len());
        count += 1;
    }
    assert_eq!(count, pages(&path).len());
}
