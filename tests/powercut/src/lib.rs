//! Does custody keep its word when power goes, when a flush is missing, when the disk is full?
pub mod archive;
pub mod chance;
pub mod guest;
pub mod haul;
pub mod image;
pub mod inbound;
pub mod knockout;
pub mod markers;
pub mod model;
pub mod mount;
pub mod oracle;
pub mod replay;
pub mod script;
pub mod told;
pub mod trace;
pub mod vm;
pub mod writelog;
