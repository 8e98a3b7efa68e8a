//! Hostile input for everything that reads from outside: which readers there are, and what they must keep to.
//!
//! A target is a function over bytes that must return: no panic, no more memory than its allowance, no more than a
//! second of processor time. Where it can, it also says what must be true of what was accepted, because a reader that
//! accepts everything never crashes either.
//!
//! ```text
//!   main.rs (runner) ── builds with counters, starts ──► one.rs ──► targets ──► budget ──► the reader
//! ```

// Memory and time that one input may cost.
pub mod budget;
// Keys, certificates and anchors that let inputs get past authentication.
pub mod authority;
// Inputs to begin with, made from nothing but this source.
pub mod seeds;
// The readers.
pub mod targets;

pub use targets::{TARGETS, Target, target};
