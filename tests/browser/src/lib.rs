//! The web pages in a real browser, against the real programs of two hospitals.
//!
//! Rust starts the hospitals and the modality; `journey.mjs` is the person at the desk. See its first lines.

/// Running `journey.mjs`, and finding what it needs.
pub mod browser;
/// The pages of one box whose daemon is made up.
pub mod one_box;
/// What the README's pictures show.
pub mod pictures;
/// The two hospitals.
pub mod stage;
