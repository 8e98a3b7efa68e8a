//! The appliance around the programs: where log lines go, what systemd is told, updates, the clock, the hardware.
//!
//! Knows nothing of transfers or patients. Each module is one area.

// How far the clock can be trusted.
pub mod clock;
// Room, wear, temperatures.
pub mod health;
// Where log lines go.
pub mod journal;
// Whether everybody who works still makes progress.
pub mod progress;
// What systemd is told.
pub mod service;
// New versions of the appliance, over RAUC.
pub mod updates;
