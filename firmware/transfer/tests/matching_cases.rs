//! The table of made-up patients (`tests/vectors/matching`), row by row.
//!
//! Goal: what clinicians read is what the box does. Method: the table is read as it stands; every verdict and every reason is
//! compared. A row that cannot be read fails, and so does a table that has become short.

use beeldbox_protocol::clinical::{Confidential, Patient, PatientIdentifier, PatientIdentifiers};
use beeldbox_transfer::reconcile::identity::{Candidate, CandidateSource, PatientIdentity};
use beeldbox_transfer::reconcile::verdict::{Judgement, Verdict, judge_all};

const TABLE: &str = include_str!("../../../tests/vectors/matching/README.md");
/// No fewer: the table was asked for.
const FEWEST_CASES: usize = 100;
const COLUMNS: usize = 14;
const SENT_NUMBER: &str = "88123 NOORD";
const OUR_NUMBER: &str = "3004100 ZUID";

struct Row {
    number: String,
    sent: PatientIdentity,
    ours: PatientIdentity,
    expected: String,
}

/// `–` is not there; nothing written is not allowed, except where there is a usual value.
fn there(cell: &str) -> Option<&str> {
    assert!(!cell.is_empty(), "an empty cell: write –");
    Some(cell).filter(|cell| *cell != "–")
}

fn number(cell: &str, usual: &str) -> Option<PatientIdentifier> {
    let text = there(if cell.is_empty() { usual } else { cell })?;
    let (id, issuer) = text.split_once(' ').map_or((text, None), |(id, issuer)| (id, Some(issuer)));
    let (id, issuer) = (Confidential::new(id), issuer.map(Confidential::new));
    Some(PatientIdentifier { id, issuer, ..PatientIdentifier::default() })
}

fn bsns(cell: &str) -> Vec<PatientIdentifier> {
    let Some(text) = there(cell) else { return Vec::new() };
    let read = |text: &str| {
        let (digits, issuer) = match text.strip_suffix('?') {
            Some(digits) => (digits, None),
            None => (text, Some(Confidential::new("NLMINBIZA"))),
        };
        let is_digits = digits.chars().all(|c| c.is_ascii_digit() || c == ' ');
        assert!(is_digits && !digits.is_empty(), "no number: {text}");
        PatientIdentifier { id: Confidential::new(digits), issuer, ..PatientIdentifier::default() }
    };
    text.split(" + ").map(read).collect()
}

fn person(cells: &[&str], usual: &str) -> PatientIdentity {
    let [name, born, sex, id, bsn] = cells else { panic!("five cells describe a person") };
    let confidential = |cell: &str| there(cell).map(Confidential::new);
    let patient = Patient {
        name: confidential(name),
        birth_date: confidential(born),
        sex: confidential(sex),
        ..Patient::default()
    };
    let identifiers = PatientIdentifiers {
        patient_id: number(id, usual),
        other: bsns(bsn),
        ..PatientIdentifiers::default()
    };
    PatientIdentity::of_data_set(&patient, &identifiers)
}

fn row(line: &str) -> Row {
    let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
    assert_eq!(cells.len(), COLUMNS, "{COLUMNS} columns: {line}");
    assert!(!cells[13].is_empty(), "say why: {line}");
    let expected = match (cells[11], cells[12]) {
        ("ready", "") => "ready".to_owned(),
        (verdict @ ("check" | "stop"), reasons) if !reasons.is_empty() => format!("{verdict}: {reasons}"),
        (_, _) => panic!("ready, or check or stop with reasons: {line}"),
    };
    Row {
        number: cells[0].to_owned(),
        sent: person(&cells[1..6], SENT_NUMBER),
        ours: person(&cells[6..11], OUR_NUMBER),
        expected,
    }
}

fn rows() -> Vec<Row> {
    let lines = TABLE.lines().filter(|line| line.starts_with('|'));
    lines.filter(|line| !line.starts_with("| No. |") && !line.starts_with("|---")).map(row).collect()
}

fn written(judgement: &Judgement) -> String {
    match &judgement.verdict {
        Verdict::Ready => "ready".to_owned(),
        Verdict::Check(reasons) => {
            let codes: Vec<&str> = reasons.iter().map(|reason| reason.code()).collect();
            format!("check: {}", codes.join(", "))
        }
        Verdict::Stop(reasons) => {
            let codes: Vec<&str> = reasons.iter().map(|reason| reason.code()).collect();
            format!("stop: {}", codes.join(", "))
        }
    }
}

fn candidate(identity: &PatientIdentity) -> Candidate {
    Candidate { identity: identity.clone(), sources: vec![CandidateSource::Pacs], records_differ: false }
}

/// Rows of one case have one number, followed by letters where there are several.
fn case_of(number: &str) -> usize {
    let digits = number.trim_end_matches(|c: char| c.is_ascii_lowercase());
    digits.parse().unwrap_or_else(|_| panic!("no number of a case: {number}"))
}

#[test]
fn every_case_of_the_table_is_judged_as_it_says() {
    let rows = rows();
    let mut cases = 0;
    let mut wrong = Vec::new();
    for case in rows.chunk_by(|one, other| case_of(&one.number) == case_of(&other.number)) {
        cases += 1;
        assert_eq!(case_of(&case[0].number), cases, "cases are numbered in a row");
        assert!(case.iter().all(|row| row.sent == case[0].sent), "one case, one patient sent: {cases}");
        let candidates: Vec<Candidate> = case.iter().map(|row| candidate(&row.ours)).collect();
        for (row, judgement) in case.iter().zip(judge_all(&case[0].sent, &candidates)) {
            assert_eq!(judgement.fields.len(), 6, "every field stands side by side");
            let found = written(&judgement);
            if found != row.expected {
                wrong.push(format!("{}: expected {}, found {found}", row.number, row.expected));
            }
        }
    }
    assert!(cases >= FEWEST_CASES, "only {cases} cases");
    assert!(wrong.is_empty(), "{} of {cases} cases:\n{}", wrong.len(), wrong.join("\n"));
    println!("{cases} cases, {} rows", rows.len());
}

/// Every reason is shown by some row, so that a reader sees what it means.
#[test]
fn every_reason_stands_in_the_table() {
    // This one needs several sources that know the same patient (gather.rs).
    let elsewhere = ["local-records-differ"];
    let texts = include_str!("../src/reconcile/reasons.rs").split('"').skip(1).step_by(2);
    let codes: Vec<&str> = texts.filter(|text| text.contains('-') && !text.contains([' ', '.'])).collect();
    assert!(codes.len() > 35, "the codes were not found in their source");
    let rows = rows();
    for code in codes.into_iter().filter(|code| !elsewhere.contains(code)) {
        assert!(rows.iter().any(|row| row.expected.split([' ', ',']).any(|word| word == code)), "{code}");
    }
}
