//! Custody as its users see it, and as a power cut leaves it.
//!
//! A power cut is simulated by copying the directory at a chosen point and opening the copy; a killed process by a
//! child of the test that acknowledges on its standard output until it is killed.

mod audit;
mod commitment;
mod directory;
mod erasing;
mod faults;
mod figures;
mod further;
mod inbound;
mod intake;
mod ledger;
mod moves;
mod power;
mod recovery;
mod requests;
mod sources;
mod ward;
