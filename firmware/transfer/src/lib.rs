//! The two journeys: a study that leaves this hospital, and one that arrives.
//!
//! ```text
//!   PACS ─► receive ─► (custody) ─► close ─► address ─► send ─► portal ─► fetch ─► open ─► reconcile ─► deliver ─► PACS
//!                                                         ▲                                              │
//!                                                       news ◄──────────────── portal ◄──────── report ◄─┘
//! ```
//!
//! What may happen in which state is decided by two pure functions, [`outbound::step`] and [`inbound::step`]. Workers
//! carry the steps out: each takes what is due from the ledger, does one unit, and commits the move. A crash at any
//! moment leaves a state from which the same worker goes on. Nothing here knows SQL, systemd or HTML.

// What was collected is asked back, and the answer.
pub mod ask_back;
// Late images of what went out already.
pub mod addendum;
// From a study to one verified recipient.
pub mod address;
// AE titles that stand for an addressee.
pub mod alias;
// How much of the hospital's line may be taken, and when.
pub mod bandwidth;
// When a study is complete.
pub mod close;
// What peers ask us to answer for.
pub mod commitment;
// From the ledger's words to the codes that others know.
pub mod codes;
// From a decision about the patient to what is changed in the images.
pub mod coerced;
// Mutual TLS, proxy, a certificate that changes.
pub mod connection;
// Instances to the PACS.
pub mod deliver;
// The copy of the national directory.
pub mod directory;
// What the machines ask for besides a new state.
pub mod effect;
// Keys, then bytes.
pub mod erase;
// A certificate for a one-time code, and the next one in time.
pub mod est;
// Letter and parts, digests compared.
pub mod fetch;
// A study as a DICOM folder.
pub mod folder;
// What came to another department of ours.
pub mod forward;
// What lies here, handed out.
pub mod hand_out;
// The inbound machine.
pub mod inbound;
// Whose part goes next.
pub mod line;
// What the portal tells: receipts, refusals, and transfers for us.
pub mod news;
// What goes to the PACS at this moment.
pub mod on_the_way;
// The letter opened, every frame authenticated.
pub mod open;
// The outbound machine.
pub mod outbound;
// How many parts travel at once.
pub mod parallel;
// Parts of which some bytes have come.
mod partial;
// What is asked of the portal.
pub mod portal_client;
// What went wrong at the portal, and who must act.
mod portal_error;
// A letter without images, and its Task.
pub mod question;
// A transfer taken back.
pub mod recall;
// What came to the wrong addressee goes on to the right one.
pub mod redirect;
// From an association to instances in custody.
pub mod receive;
// The patient confirmed.
pub mod reconcile;
// Receipts and refusals to the portal.
pub mod report;
// What every worker holds.
pub mod road;
// Parts, letter, commit.
pub mod send;
// Parts that go up while the study still comes in.
pub mod send_ahead;
// Several transfers at once.
mod several;
// The body of an upload.
mod upload;
// Images asked for at another hospital.
pub mod request;
// What the portal is told of requests.
mod request_telling;
// Images that another hospital asks for.
pub mod requested;
// The shape that all workers share.
pub mod worker;

use std::sync::Arc;

use jiff::Timestamp;

/// Where the time comes from. The daemon hands in the system's clock, a test its own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Where randomness comes from.
pub type Random = Arc<dyn aws_lc_rs::rand::SecureRandom + Send + Sync>;

#[cfg(test)]
mod machine_tests;
