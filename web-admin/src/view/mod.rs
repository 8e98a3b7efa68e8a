//! How things look: views made from the daemon's answers, in words of the reader's language.
//!
//! Templates print what stands in a view and decide nothing beyond "is it there".

// Amounts of data.
pub mod bytes;
// Dates, times and spans.
pub mod date;
// The frame around every page.
pub mod frame;
// Small drawings.
pub mod icon;
// Somebody of this hospital beside who came along.
pub mod matching;
// Who the images are of: the one component that may say so.
pub mod patient;
// What went wrong.
pub mod problem;
// Who can be addressed, and who sent.
pub mod recipient;
// A request for images.
pub mod request;
// Where a transfer is, what it waits for, who can act.
pub mod state;
// What a study is.
pub mod study;
// Text from outside, made harmless to the eye.
pub mod text;
// A transfer as a row.
pub mod transfer;
