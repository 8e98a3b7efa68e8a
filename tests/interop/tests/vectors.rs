//! The stored vectors, read by the second implementation.
//!
//! Goal: what ENVELOPE.md says is enough to open what must open and to refuse what must be refused, for the same reason.
//! Method: a program in Python without code of ours reads `tests/vectors/envelope`; good cases are also changed byte
//! by byte.

use std::path::Path;

#[test]
fn every_vector_is_read_as_it_says_in_another_language() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/envelope");
    let output = beeldbox_interop::python("read_vectors.py", &vectors);
    assert!(output.status.success(), "{}", beeldbox_interop::said(&output));
    let printed = beeldbox_interop::said(&output);
    for file in ["packs", "letters", "statements", "receipts", "wraps"] {
        assert!(printed.contains(&format!("{file}.json: ")), "{file} was not read:\n{printed}");
    }
}
