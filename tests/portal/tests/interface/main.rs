//! The portal's interface, over real TLS, from the outside.

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect ends there")]

/// Where a portal keeps its things.
mod place;

/// Hospitals that talk to a portal.
mod hospital;

/// Who may ask, and enrolment.
mod identity;

/// Making and moving transfers.
mod life_cycle;

/// Requests for images.
mod request;

/// Letters and parts.
mod content;

/// Parts that need not be sent again.
mod take_over;

/// Lists, pages and waiting.
mod news;

/// The address book.
mod directory;

/// The portal as a program.
mod program;

/// Restarts and kills.
mod hardship;

/// One process, one folder.
mod alone;

/// Bad manners.
mod bad_manners;
