//! Does custody keep its word when power goes, when a flush is missing, when the disk is full?
//!
//! ```text
//!   script ──► custody ──► what it told ─────────────────────────────┐
//!                 │                                                  ▼
//!                 ├─ in a machine: record of its disk ──► states ──► oracle
//!                 └─ traced: record of its calls ──► model ──► states ──┘
//! ```
//!
//! The script plays everything the box does with a study. The oracle looks at what a cut left and compares it with what
//! was told before the cut. Two rigs make the states: a virtual machine with a recorded disk, which shows what a real
//! file system does, and a model of a file system that keeps only what was flushed, which shows every missing flush.

// The script, its instances, what it is told, and who judges.
pub mod guest;
pub mod image;
pub mod inbound;
pub mod oracle;
pub mod script;
pub mod told;
// Calls, recorded, and a file system that keeps only what was flushed.
pub mod knockout;
pub mod model;
pub mod trace;
// A machine, its disk, recorded, and the states a cut may leave.
pub mod archive;
pub mod haul;
pub mod markers;
pub mod mount;
pub mod replay;
pub mod vm;
pub mod writelog;
// Below: chance from a seed.
pub mod chance;
