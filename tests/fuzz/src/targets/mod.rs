//! The readers, each as a function over bytes.

// Lines of the admin socket.
pub mod admin;
// Certificates of organisations.
pub mod certificate;
// What a DICOM peer sends.
pub mod dicom;
// HL7 v2: messages, reports, answers, frames.
pub mod hl7;
// Letters: envelope and content.
pub mod letter;
// Packs, frames and chunks.
pub mod pack;
// What the portal answers.
pub mod portal;
// Receipts and key statements.
pub mod receipt;

/// One reader.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, which is also that of its folders.
    pub name: &'static str,
    /// Runs it. Returns, whatever the input.
    pub run: fn(&[u8]),
}

/// Every reader. Those of DICOM are there in the instrumented build only: their entry points are compiled for it.
pub const TARGETS: &[Target] = &[
    #[cfg(fuzzing)]
    Target { name: "control_pdu", run: dicom::control_pdu },
    #[cfg(fuzzing)]
    Target { name: "association", run: dicom::association },
    #[cfg(fuzzing)]
    Target { name: "command_set", run: dicom::command_set },
    #[cfg(fuzzing)]
    Target { name: "data_set_header", run: dicom::data_set_header },
    #[cfg(fuzzing)]
    Target { name: "query_response", run: dicom::query_response },
    #[cfg(fuzzing)]
    Target { name: "commitment_request", run: dicom::commitment_request },
    #[cfg(fuzzing)]
    Target { name: "coerce", run: dicom::coerce },
    Target { name: "pack", run: pack::run },
    Target { name: "letter", run: letter::run },
    Target { name: "receipt", run: receipt::run },
    Target { name: "certificate", run: certificate::run },
    Target { name: "portal", run: portal::run },
    Target { name: "admin", run: admin::run },
];

/// Names of all readers, also of those that this build leaves out, in the order in which they are run, each with its
/// longest input in bytes.
pub const NAMES: [(&str, usize); 13] = [
    ("pack", 16 * 1024),
    ("control_pdu", 16 * 1024),
    ("association", 32 * 1024),
    ("command_set", 4 * 1024),
    ("data_set_header", 16 * 1024),
    ("query_response", 16 * 1024),
    ("commitment_request", 16 * 1024),
    ("coerce", 16 * 1024),
    ("letter", 16 * 1024),
    ("receipt", 8 * 1024),
    ("certificate", 4 * 1024),
    ("portal", 16 * 1024),
    ("admin", 8 * 1024),
];

/// The reader of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Takes the input apart: a target's own small language. What is missing at the end is zero.
pub(crate) struct Script<'a>(pub(crate) &'a [u8]);

impl<'a> Script<'a> {
    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub(crate) fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *byte
    }

    /// The next two bytes as a number.
    pub(crate) fn number(&mut self) -> usize {
        usize::from(u16::from_be_bytes([self.byte(), self.byte()]))
    }

    /// At most so many of the next bytes.
    pub(crate) fn take(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
