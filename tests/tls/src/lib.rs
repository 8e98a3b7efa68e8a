//! Certificates that nobody should believe, and peers that show them: for tests that knock at every TLS port.
//!
//! The certificates are written byte by byte ([`der`]), because no library makes most of them.

// Bytes of ASN.1.
pub mod der;
// Keys, and certificates signed with them.
pub mod mint;
// A peer that shows whatever it is told.
pub mod impostor;
// The table of bad certificates.
pub mod rows;
// The authorities behind them.
pub mod world;
