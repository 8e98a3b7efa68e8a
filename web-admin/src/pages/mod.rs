//! The pages: each asks the daemon, makes views of the answers, and fills a template.

// What asks for the administrator.
pub mod admin;
// Images asked for at another hospital.
pub mod ask;
// Who did what.
pub mod audit;
// The same in words.
mod audit_words;
// Until when certificates hold.
pub mod certificates;
// To whom, with which words.
pub mod choose;
// The code from a telephone.
pub mod code;
// The last look before a send.
pub mod confirm;
// Portal, PACS, peers and names.
pub mod connections;
// Forms as they come in.
mod fields;
// What each screen is for.
pub mod help;
// What was received.
pub mod inbox;
// Importing, giving back, trying again.
pub mod inbox_acts;
// Whose images these are.
pub mod matching;
// The password asked again after a while.
pub mod lock;
// Signing in and out, language.
pub mod login;
// Own password and second factor.
pub mod profile;
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
// The first account.
pub mod setup;
// How the box is.
pub mod status;
// The password asked again before what weighs more.
pub mod stepup;
// Who may sign in.
pub mod users;
