//! The portal over an S3 server that is not ours: the same answers, and "success means stored" holds there too.

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect ends there")]

/// The S3 server.
mod server;

/// A prefix in its bucket for each test.
mod place;

/// Hospitals that talk to a portal.
#[path = "../interface/hospital.rs"]
mod hospital;

/// The portal as a program.
#[path = "../interface/program.rs"]
mod program;

/// Letters and parts.
#[path = "../interface/content.rs"]
mod content;

/// Making and moving transfers.
#[path = "../interface/life_cycle.rs"]
mod life_cycle;

/// Parts that need not be sent again.
#[path = "../interface/take_over.rs"]
mod take_over;

/// Restarts and kills.
#[path = "../interface/hardship.rs"]
mod hardship;

/// What only an S3 server can show.
mod bucket;
