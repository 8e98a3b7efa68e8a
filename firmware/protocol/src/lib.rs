//! What two parties must agree on: identifiers, the sealed formats, the portal's words and the admin interface's.
//!
//! Nothing here does input or output, looks at a clock or draws randomness: bytes, time and random bytes come in as
//! arguments, so every function can be tested as a table and implemented by another team from the documents
//! (`ENVELOPE.md` for the sealed formats, `PORTAL.md` for the portal's interface).

// Questions and answers between `beeldboxd` and its front ends.
pub mod admin;
// What a study says about a person, in types that do not print.
pub mod clinical;
// The sealed formats: packs, letters, receipts, and who may be believed.
pub mod envelope;
// Two spellings of one name, made equal.
pub mod folding;
// Which images a hospital asks another one for.
pub mod imaging_request;
// Names: AE title, UIDs, URA, BSN, transfer id, digest.
pub mod ident;
// What box and portal say to each other.
pub mod portal;
// What a report says, block by block.
pub mod structured_report;
