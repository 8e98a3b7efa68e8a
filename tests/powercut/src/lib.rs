//! Does custody keep its word when power goes, when a flush is missing, when the disk is full?
pub mod chance;
pub mod image;
pub mod inbound;
pub mod oracle;
pub mod script;
pub mod told;
pub mod trace;
pub mod knockout;
pub mod model;
