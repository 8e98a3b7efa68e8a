//! The sealed formats: how a study travels so that only the addressee can read it and nobody can change it.
//!
//! ```text
//!   instance ──► frame ──► pack ──► parts ─────────────► portal ──► the same bytes at the other box
//!                            │                                        ▲
//!                            └─ pack key ──► letter (signed, then sealed to the addressee)
//! ```
//!
//! A study is encrypted exactly once, as it arrives ([`pack`]). Choosing an addressee seals a small [`letter`] that
//! carries the pack keys; bulk data is never touched again. `ENVELOPE.md` writes all of it up byte by byte.

// Length and digest of what is sealed, taken apart from the sealing.
pub mod data_set_digest;
// Signed texts.
pub mod jws;
// Keys: wiped when dropped, never printed.
pub mod keys;
// The letter: says what the images are and carries the keys.
pub mod letter;
// Packs, frames and chunks: bulk data under AES-256-GCM.
pub mod pack;
// Receipts: what the other side has proven.
pub mod receipt;
// Recipient keys and the statements that make others believe them.
pub mod recipient;
// Whose key is it: certificates of organisations.
pub mod trust;
