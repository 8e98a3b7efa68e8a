//! MLLP: frames of messages over a stream, `VT message FS CR` (HL7 v2 Implementation Guide, appendix C; MLLP release 1).
//!
//! A stream is anything that reads and writes: TCP, TLS over it, a test. Who may connect, and with which certificate, is
//! decided by whoever opens it.

// Frames in and out, with deadlines and a bound.
mod frame;
// Listening: a message, its keeping, its answer.
mod listen;
// Sending, and waiting for the answer that belongs to it.
mod send;

pub use frame::{FrameError, FrameReader, Patience, write_frame};
pub use listen::{MessageIntake, Served, serve};
pub use send::{MllpClient, SendError};
