//! Coercion, compared element by element by pydicom, and judged by `dciodvfy`.
//!
//! Goal: the new values are there, the old ones are recorded, everything else is what it was, and nobody's rules are broken
//! that were kept before. Method: every file that pydicom brings and some fifty nasty ones, three plans each, coerced in
//! pieces of random sizes; then a program in Python without code of ours, and the verifier of another vendor.

#![expect(clippy::unwrap_used, reason = "what stands beside the tests is part of them")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use beeldbox_dicom::{
    Coercer, CoercionError, CoercionOutcome, CoercionRecord, Coercions, Issuer, LocalOrder, LocalPatient,
    UniversalEntity, UniversalEntityKind,
};
use beeldbox_protocol::clinical::Confidential;
use serde_json::{Value, json};

/// Files of pydicom that end too early or are broken, and what is said about them.
const REFUSED: [(&str, &str); 13] = [
    // Media directories, and private elements where the standard allows none, have text before (0008,0005). It is refused
    // where it would have to be converted.
    ("DICOMDIR", EARLY),
    ("DICOMDIR-bigEnd", EARLY),
    ("DICOMDIR-empty.dcm", EARLY),
    ("DICOMDIR-implicit", EARLY),
    ("DICOMDIR-nooffset", EARLY),
    ("DICOMDIR-nopatient", EARLY),
    ("DICOMDIR-reordered", EARLY),
    ("MR_truncated.dcm", "the data set ends too early"),
    // Explicit VR in the file meta information, none in the data set.
    ("SC_rgb_jpeg.dcm", "the element (0008,0008) is not written in the transfer syntax of the instance"),
    ("meta_missing_tsyntax.dcm", EARLY),
    ("nested_priv_SQ.dcm", EARLY),
    // It begins with a byte too many.
    ("no_meta.dcm", "the data set ends too early"),
    ("rtplan_truncated.dcm", "the data set ends too early"),
];
const EARLY: &str = "the element (0008,0005) comes twice or in the wrong order";

struct Plan {
    name: &'static str,
    coercions: Coercions,
    /// What the program in Python shall find.
    expected: Value,
}

fn record() -> CoercionRecord {
    CoercionRecord {
        system: "BEELDBOX ZUID".to_owned(),
        source: "Ziekenhuis Noord".to_owned(),
        at: "2026-11-28T01:02:03Z".parse().unwrap(),
    }
}

fn plans() -> [Plan; 3] {
    let patient = |name: &str, issuer| LocalPatient {
        id: Confidential::new("Z-1700"),
        issuer,
        name: Some(Confidential::new(name)),
        birth_date: Some(Confidential::new("19700102")),
        sex: Some(Confidential::new("F")),
    };
    let order = |issuer| LocalOrder { accession_number: Confidential::new("Z2026.9"), issuer };
    let universal = UniversalEntity { id: "2.16.840.1.113883.9".to_owned(), kind: UniversalEntityKind::Iso };
    let issuer = Issuer { local_namespace: Some("ZUID".to_owned()), universal: Some(universal) };
    let world = json!({"00400032": "2.16.840.1.113883.9", "00400033": "ISO"});
    let mut both = world.clone();
    both["00400031"] = "ZUID".into();
    let values =
        |name: &str| json!({"00100010": name, "00100020": "Z-1700", "00100030": "19700102", "00100040": "F"});
    let with = |mut values: Value, more: &[(&str, &str)]| {
        for (tag, value) in more {
            values[*tag] = (*value).into();
        }
        values
    };
    let accession = ("00080050", "Z2026.9");
    [
        Plan {
            name: "plain",
            coercions: Coercions::new(Some(patient("Jansen^Petra", None)), None, record()).unwrap(),
            expected: json!({"values": values("Jansen^Petra"), "removed": ["00100021", "00100024"], "issuers": {}}),
        },
        Plan {
            name: "latin",
            coercions: Coercions::new(
                Some(patient("Jansën^Zoë", Some(issuer.clone()))),
                Some(order(Some(issuer))),
                record(),
            )
            .unwrap(),
            expected: json!({
                "values": with(values("Jansën^Zoë"), &[accession, ("00100021", "ZUID")]),
                "removed": [], "issuers": {"00100024": world, "00080051": both},
            }),
        },
        Plan {
            name: "beyond",
            coercions: Coercions::new(Some(patient("Şeyma^王", None)), Some(order(None)), record()).unwrap(),
            expected: json!({
                "values": with(values("Şeyma^王"), &[accession]),
                "removed": ["00100021", "00100024", "00080051"], "issuers": {},
            }),
        },
    ]
}

/// A file, and where its data set is.
struct Input {
    path: PathBuf,
    at: usize,
    syntax: String,
}

fn inputs(folder: &Path) -> Vec<Input> {
    let output = beeldbox_interop::python_with("pydicom", "coercion_inputs.py", folder);
    assert!(output.status.success(), "{}", beeldbox_interop::said(&output));
    let listed: Vec<Value> =
        serde_json::from_slice(&std::fs::read(folder.join("inputs.json")).unwrap()).unwrap();
    let input = |one: &Value| Input {
        path: one["path"].as_str().unwrap().into(),
        at: usize::try_from(one["at"].as_u64().unwrap()).unwrap(),
        syntax: one["syntax"].as_str().unwrap().to_owned(),
    };
    listed.iter().map(input).collect()
}

/// Coerces a data set that comes in pieces of sizes that do not repeat.
fn coerce(
    coercions: &Coercions,
    syntax: &str,
    mut bytes: &[u8],
) -> Result<(Vec<u8>, CoercionOutcome), CoercionError> {
    let mut coercer = Coercer::new(coercions, &syntax.parse().unwrap())?;
    let mut out = Vec::new();
    let mut size = 1;
    while !bytes.is_empty() {
        size = size * 31 % 4093 + 1;
        let (piece, rest) = bytes.split_at(size.min(bytes.len()));
        coercer.push(piece, &mut out)?;
        bytes = rest;
    }
    let outcome = coercer.finish(&mut out)?;
    Ok((out, outcome))
}

/// A file before and after.
struct Pair {
    before: PathBuf,
    after: PathBuf,
    plan: Value,
}

/// Coerces everything by every plan; gives the pairs, and who was refused and why.
fn coerce_all(folder: &Path) -> (Vec<Pair>, BTreeMap<String, CoercionError>) {
    let mut pairs = Vec::new();
    let mut refused = BTreeMap::new();
    let inputs = inputs(folder);
    assert!(inputs.len() > 200, "only {} inputs", inputs.len());
    for (number, input) in inputs.iter().enumerate() {
        let whole = std::fs::read(&input.path).unwrap();
        let (head, data_set) = whole.split_at(input.at);
        for plan in plans() {
            let (coerced, outcome) = match coerce(&plan.coercions, &input.syntax, data_set) {
                Ok(coerced) => coerced,
                Err(error) => {
                    let name = input.path.file_name().unwrap().to_string_lossy();
                    refused.insert(name.into_owned(), error);
                    continue;
                }
            };
            let after = folder.join(format!("{number}.{}.dcm", plan.name));
            std::fs::write(&after, [head, &coerced].concat()).unwrap();
            let mut expected = plan.expected.clone();
            expected["name"] = plan.name.into();
            expected["converts"] = outcome.converted_to_utf8.into();
            expected["system"] = record().system.into();
            expected["source"] = record().source.into();
            pairs.push(Pair { before: input.path.clone(), after, plan: expected });
        }
    }
    (pairs, refused)
}

#[test]
fn everything_is_as_it_was_but_the_plan() {
    let folder = tempfile::tempdir().unwrap();
    let (pairs, refused) = coerce_all(folder.path());
    let refused: Vec<(String, String)> =
        refused.into_iter().map(|(name, error)| (name, error.to_string())).collect();
    let expected = REFUSED.map(|(name, error)| (name.to_owned(), error.to_owned()));
    assert_eq!(refused, expected);
    let listed: Vec<Value> = pairs
        .iter()
        .map(|pair| json!({"before": pair.before, "after": pair.after, "plan": pair.plan}))
        .collect();
    std::fs::write(folder.path().join("pairs.json"), Value::from(listed).to_string()).unwrap();
    let output = beeldbox_interop::python_with("pydicom", "compare_coerced.py", folder.path());
    assert!(output.status.success(), "{}", beeldbox_interop::said(&output));
    println!("{}", beeldbox_interop::said(&output));
}

/// The record, where it is the only item.
const RECORD: &str = "OriginalAttributesSequence(0400,0561)[1]/ModifiedAttributesSequence(0400,0550)[1]/";
/// What the verifier cannot judge: it does not know deflated data sets, and directories are not sent to an archive.
const NOT_JUDGED: [&str; 3] = ["DICOMDIR", "image_dfl", "_deflated"];

/// What the verifier calls an error. Where it stands in the record of previous values, the record repeats what was wrong
/// already, so the place is left out.
fn errors(file: &Path) -> Vec<String> {
    let output = Command::new("dciodvfy").arg("-new").arg(file).output();
    let output = output.expect("dciodvfy is missing; on Debian: apt-get install dicom3tools");
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    let errors = said.lines().filter(|line| line.starts_with("Error"));
    errors.map(|line| line.replace(RECORD, "")).collect()
}

#[test]
fn no_rule_is_broken_that_was_kept_before() {
    let folder = tempfile::tempdir().unwrap();
    let (pairs, _) = coerce_all(folder.path());
    let mut before: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    let mut worse = Vec::new();
    let is_judged = |pair: &&Pair| {
        let name = pair.before.file_name().unwrap().to_string_lossy();
        !NOT_JUDGED.iter().any(|part| name.contains(part))
    };
    for pair in pairs.iter().filter(is_judged) {
        let known = before.entry(pair.before.clone()).or_insert_with(|| errors(&pair.before));
        let new: Vec<String> =
            errors(&pair.after).into_iter().filter(|error| !known.contains(error)).collect();
        if !new.is_empty() {
            worse.push(format!("{} {}: {new:#?}", pair.before.display(), pair.plan["name"]));
        }
    }
    println!("{} files, {} coerced ones", before.len(), pairs.len());
    assert!(worse.is_empty(), "{}", worse.join("\n"));
}
