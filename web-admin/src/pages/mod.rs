//! The pages: each asks the daemon, makes views of the answers, and fills a template.

// Images asked for at another hospital.
pub mod ask;
// To whom, with which words.
pub mod choose;
// The last look before a send.
pub mod confirm;
// Forms as they come in.
mod fields;
// What was received.
pub mod inbox;
// Importing, giving back, trying again.
pub mod inbox_acts;
// Signing in and out, language.
pub mod login;
// What came to the wrong addressee.
pub mod redirect;
// Answering, refusing and taking back requests.
pub mod request_acts;
// Requests for images.
pub mod requests;
// Received studies that wait for an addressee.
pub mod send;
// What was sent.
pub mod sent;
// Taking back, trying again.
pub mod sent_acts;
// How the box is.
pub mod status;
