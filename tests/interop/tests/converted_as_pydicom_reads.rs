//! Conversion to another uncompressed transfer syntax, compared element by element by pydicom.
//!
//! Goal: whoever reads the converted data set reads what was in the one before. Method: every file that pydicom brings and
//! some fifty nasty ones, converted to everything that is possible, in pieces of random sizes; then a program in Python
//! without code of ours.

#![expect(clippy::unwrap_used, reason = "what stands beside the tests is part of them")]

use std::collections::BTreeMap;
use std::path::Path;

use beeldbox_dicom::{ConversionError, Converter, convertible_to};
use beeldbox_protocol::ident::TransferSyntaxUid;
use serde_json::{Value, json};

const IMPLICIT: &str = "1.2.840.10008.1.2";

/// Files that end too early or are not what they claim, and what is said about them.
const REFUSED: [(&str, &str); 4] = [
    // Of a medium, and never sent: a directory record is longer than the sequence that it is in.
    ("DICOMDIR-nooffset", "the data set is broken: something is longer than what it is in"),
    ("MR_truncated.dcm", "the data set ends too early"),
    // It begins with a byte too many.
    ("no_meta.dcm", "the data set ends too early"),
    ("rtplan_truncated.dcm", "the data set ends too early"),
];
const CANNOT: &str = "the instance cannot be converted to another transfer syntax: ";

/// Converts a data set that comes in pieces of sizes that do not repeat.
fn convert(
    from: &TransferSyntaxUid,
    to: &TransferSyntaxUid,
    mut bytes: &[u8],
) -> Result<Vec<u8>, ConversionError> {
    let mut converter = Converter::new(from, to).unwrap();
    let mut out = Vec::new();
    let mut size = 1;
    while !bytes.is_empty() {
        size = size * 31 % 4093 + 1;
        let (piece, rest) = bytes.split_at(size.min(bytes.len()));
        converter.push(piece, &mut out)?;
        bytes = rest;
    }
    converter.finish()?;
    Ok(out)
}

fn inputs(folder: &Path) -> Vec<Value> {
    let output = beeldbox_interop::python_with("pydicom", "coercion_inputs.py", folder);
    assert!(output.status.success(), "{}", beeldbox_interop::said(&output));
    serde_json::from_slice(&std::fs::read(folder.join("inputs.json")).unwrap()).unwrap()
}

#[test]
fn everything_reads_as_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let mut pairs = Vec::new();
    let mut refused = BTreeMap::new();
    for (number, input) in inputs(folder.path()).iter().enumerate() {
        let Ok(from) = input["syntax"].as_str().unwrap().parse::<TransferSyntaxUid>() else { continue };
        let path = Path::new(input["path"].as_str().unwrap());
        let whole = std::fs::read(path).unwrap();
        let data_set = &whole[usize::try_from(input["at"].as_u64().unwrap()).unwrap()..];
        for to in convertible_to(&from) {
            match convert(&from, &to, data_set) {
                Ok(converted) => {
                    let after = folder.path().join(format!("{number}.{to}"));
                    std::fs::write(&after, converted).unwrap();
                    pairs.push(json!({"before": path, "after": after, "implicit": to.as_str() == IMPLICIT}));
                }
                Err(error) => {
                    refused
                        .insert(path.file_name().unwrap().to_string_lossy().into_owned(), error.to_string());
                }
            }
        }
    }
    assert!(pairs.len() > 150, "only {} pairs", pairs.len());
    std::fs::write(folder.path().join("pairs.json"), Value::from(pairs).to_string()).unwrap();
    let output = beeldbox_interop::python_with("pydicom", "compare_converted.py", folder.path());
    let refused: Vec<(String, String)> = refused.into_iter().collect();
    println!("{}", beeldbox_interop::said(&output));
    assert!(output.status.success(), "{}", beeldbox_interop::said(&output));
    assert_eq!(refused, REFUSED.map(|(name, why)| (name.to_owned(), format!("{CANNOT}{why}"))));
}
