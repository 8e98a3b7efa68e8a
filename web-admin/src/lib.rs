//! The local web pages of the box: sign-in, send, sent, inbox, status.
//!
//! A program of its own under a user of its own. It knows no DICOM, no keys and no ledger: it asks `beeldboxd` over
//! its Unix socket and shows the answers. A page never decides.
//!
//! ```text
//! browser ── headers ── origin ── session ── pages ── box_client ── beeldboxd
//!                                    │          └──── view + templates + i18n
//!                                    └── live: one long question for everyone, "changed" to every open page
//! ```

// Who may ask for which page.
pub mod access;
// Who may sign in.
pub mod accounts;
// A request for images, read from a form.
mod ask_reading;
// Style sheet and scripts.
mod assets;
// The way to the daemon.
pub mod box_client;
// Bytes behind an answer of the daemon.
mod box_content;
// The certificate of the pages.
pub mod certificate;
// DICOMweb, read-only.
pub mod dicom_web;
// The code on the label of the box.
pub mod claim;
// What a person is about to do.
mod drafts;
// Headers of every answer.
mod headers;
// Every text, in both languages.
pub mod lang;
// Pages follow the box.
mod live;
// Requests that other sites forged are refused.
mod origin;
// The pages themselves.
mod pages;
// Bytes that cannot be guessed.
mod random;
// Every page, and who may see it.
pub mod routes;
// Serves the pages until told to stop.
pub mod serve;
// What somebody may do.
pub mod roles;
// The code from a telephone.
mod second_factor;
// Who is signed in.
mod session;
// What is settled before the start.
pub mod settings;
// The pages as one service.
pub mod site;
// Files that only this program may read.
mod state_dir;
// Guessing passwords gets slow.
mod throttle;
// How things look.
mod view;
// What a handler is given: who asks, in which language, and the way to the daemon.
mod visit;
