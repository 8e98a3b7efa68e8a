//! A scripted modality and PACS, for tests, the demo and people at a keyboard.
//!
//! The PACS half stores what it receives as Part 10 files and keeps a list; the modality half makes studies and sends
//! files. Both use the product's own DICOM layer, and the interop tests run foreign software against them.

// A storage SCP that keeps files.
pub mod pacs;
// Part 10 files: finding the data set, writing the preamble and the file meta information.
pub mod part10;
// Drawing the slices.
mod phantom;
// Sending files.
pub mod send;
// Making a CT study.
pub mod study;
