//! The portal's interface once more, over PostgreSQL, and what only several processes on one database can show.

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect ends there")]

/// PostgreSQL.
mod server;

/// A database for each test.
mod place;

/// Hospitals that talk to a portal.
#[path = "../interface/hospital.rs"]
mod hospital;

/// The portal as a program.
#[path = "../interface/program.rs"]
mod program;

/// Who may ask, and enrolment.
#[path = "../interface/identity.rs"]
mod identity;

/// Making and moving transfers.
#[path = "../interface/life_cycle.rs"]
mod life_cycle;

/// Letters and parts.
#[path = "../interface/content.rs"]
mod content;

/// Lists, pages and waiting.
#[path = "../interface/news.rs"]
mod news;

/// The address book.
#[path = "../interface/directory.rs"]
mod directory;

/// Parts that need not be sent again.
#[path = "../interface/take_over.rs"]
mod take_over;

/// Restarts and kills.
#[path = "../interface/hardship.rs"]
mod hardship;

/// Bad manners.
#[path = "../interface/bad_manners.rs"]
mod bad_manners;

/// Several processes.
mod processes;
