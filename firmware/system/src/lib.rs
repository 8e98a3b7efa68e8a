//! The appliance around the programs: where log lines go, what systemd is told, how much room is left on the disk.
//!
//! Knows nothing of transfers or patients. Each module is one area; clock, network, updates and health get theirs when
//! the appliance is built.

// Where log lines go.
pub mod journal;
// What systemd is told.
pub mod service;
