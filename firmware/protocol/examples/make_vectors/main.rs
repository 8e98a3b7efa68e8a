//! Makes the test vectors of the sealed formats: `cargo run -p beeldbox-protocol --example make_vectors`.
//!
//! They were made once and are kept in `tests/vectors/envelope`; make them anew only when the format changes, because
//! certificates, signatures and encapsulated keys differ each time. Packs and wraps are the same each time.
//!
//! Everything is written here by hand from `ENVELOPE.md` ([`hand`]), not with the code that the vectors test: a fault
//! in that code must not make its own vectors agree with it.

mod hand;
mod letters;
mod packs;
mod pki;
mod signed;
mod wraps;

use std::path::Path;

use serde_json::{Value, json};

/// One vector: its fields, and what a reader must say to it.
fn case(name: &str, about: &str, expect: &str, fields: Value) -> Value {
    let mut case = json!({ "name": name, "about": about, "expect": expect });
    let (Some(case_fields), Value::Object(fields)) = (case.as_object_mut(), fields) else {
        unreachable!("both are written as objects");
    };
    case_fields.extend(fields);
    case
}

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/envelope");
    let authority = pki::Authority::found();
    let write = |name: &str, value: Value| {
        let text = serde_json::to_string_pretty(&value)?;
        std::fs::write(folder.join(name), format!("{text}\n"))
    };
    write("packs.json", packs::all())?;
    write("wraps.json", wraps::all())?;
    write("authority.json", authority.describe())?;
    write("letters.json", letters::all(&authority))?;
    write("statements.json", signed::statements(&authority))?;
    write("receipts.json", signed::receipts(&authority))
}
