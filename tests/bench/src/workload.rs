//! The studies that every contender is sent, as bytes that are ready for the wire.
//!
//! Everything is prepared before the clock starts: a message is a list of pieces that the sender writes one after
//! another, and a large object is one piece repeated, so that the sender's cost is the kernel's copy and nothing else.

use std::path::Path;

use anyhow::{Context, Result};
use beeldbox_peer::part10;
use beeldbox_peer::study::{Modality, StudySpec, make_study};
use beeldbox_protocol::ident::{Digest, RunningDigest};
use bytes::Bytes;

use crate::wire;

/// Repeated in the data set of a large object.
const BODY_LEN: usize = 8 << 20;

/// CT Image Storage, also for the large object: no contender looks closer.
const CT_IMAGE_STORAGE: &str = "1.2.840.10008.5.1.4.1.1.2";

/// A study to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Study {
    /// Slices of 512 KiB.
    Ct,
    /// Slices of 130 KiB.
    Mr,
    /// One object of 2 GiB (256 MiB in the quick mode).
    Large,
}

impl Study {
    /// Its name in tables and files.
    pub fn word(self) -> &'static str {
        match self {
            Study::Ct => "ct",
            Study::Mr => "mr",
            Study::Large => "large",
        }
    }
}

/// One instance in memory: its data set is `head`, then `body` so many times.
pub struct Instance {
    /// SOP Class UID.
    pub sop_class: String,
    /// SOP Instance UID.
    pub sop_instance: String,
    head: Bytes,
    body: Bytes,
    repeats: usize,
}

impl Instance {
    /// Length of its data set, in bytes.
    pub fn size(&self) -> usize {
        self.head.len() + self.body.len() * self.repeats
    }

    /// SHA-256 of its data set.
    pub fn digest(&self) -> Digest {
        let mut running = RunningDigest::new();
        running.update(&self.head);
        for _ in 0..self.repeats {
            running.update(&self.body);
        }
        running.finish()
    }

    /// The pieces of its C-STORE request, for a peer that takes P-DATA PDUs up to `limit` bytes.
    pub fn message(&self, limit: usize, message_id: u16) -> Vec<Bytes> {
        let mut first = wire::store_request(&self.sop_class, &self.sop_instance, message_id);
        wire::data_pdus(&mut first, &self.head, limit, self.repeats == 0);
        let mut pieces = vec![Bytes::from(first)];
        if let Some(before_last) = self.repeats.checked_sub(1) {
            let mut pdus = Vec::with_capacity(self.body.len() + 4096);
            wire::data_pdus(&mut pdus, &self.body, limit, false);
            pieces.extend(std::iter::repeat_n(Bytes::from(pdus), before_last));
            let mut last = Vec::with_capacity(self.body.len() + 4096);
            wire::data_pdus(&mut last, &self.body, limit, true);
            pieces.push(Bytes::from(last));
        }
        pieces
    }
}

/// Makes slices as files in `folder` (unless they are there), and reads their data sets into memory.
///
/// # Errors
/// If the folder cannot be written or read.
pub fn slices(folder: &Path, study: Study, count: u32) -> Result<Vec<Instance>> {
    let (size, modality, seed) = match study {
        Study::Ct | Study::Large => (512, Modality::Ct, 31),
        Study::Mr => (256, Modality::Mr, 32),
    };
    let whole = folder.join("complete");
    if !whole.exists() {
        let spec = StudySpec { slices: count, size, modality, seed, ..StudySpec::default() };
        let made = make_study(folder, &spec)?;
        // The report is no slice.
        std::fs::remove_file(made.files.last().context("a study has files")?)?;
        std::fs::write(&whole, "")?;
    }
    part10::find(&[folder.to_owned()])?
        .iter()
        .map(|file| {
            let mut data_set = Vec::new();
            std::io::Read::read_to_end(&mut file.data_set()?, &mut data_set)?;
            Ok(Instance {
                sop_class: file.sop_class.to_string(),
                sop_instance: file.sop_instance.to_string(),
                head: data_set.into(),
                body: Bytes::new(),
                repeats: 0,
            })
        })
        .collect()
}

/// One multi-frame object of about `bytes`.
pub fn large(bytes: usize) -> Vec<Instance> {
    let repeats = (bytes / BODY_LEN).max(1);
    let mut head = Vec::new();
    let sop_instance = "2.25.310000000000000000000000000000000001";
    for (group, element, vr, value) in [
        (0x0008, 0x0016, b"UI", CT_IMAGE_STORAGE),
        (0x0008, 0x0018, b"UI", sop_instance),
        (0x0008, 0x0020, b"DA", "20261102"),
        (0x0008, 0x0060, b"CS", "CT"),
        (0x0010, 0x0010, b"PN", "Bench^Large"),
        (0x0010, 0x0020, b"LO", "4310031"),
        (0x0020, 0x000D, b"UI", "2.25.310000000000000000000000000000000002"),
        (0x0020, 0x000E, b"UI", "2.25.310000000000000000000000000000000003"),
        (0x0028, 0x0008, b"IS", &(repeats * (BODY_LEN / (512 * 512 * 2))).to_string()),
    ] {
        wire::element(&mut head, (group, element), *vr, value.as_bytes());
    }
    for (element, value) in [(0x0002, 1_u16), (0x0010, 512), (0x0011, 512), (0x0100, 16), (0x0101, 12)] {
        wire::element(&mut head, (0x0028, element), *b"US", &value.to_le_bytes());
    }
    head.extend_from_slice(&[0xE0, 0x7F, 0x10, 0, b'O', b'W', 0, 0]);
    // 2 GiB at most by the command line's own bounds.
    head.extend_from_slice(&u32::try_from(repeats * BODY_LEN).unwrap_or(u32::MAX - 1).to_le_bytes());
    let instance = Instance {
        sop_class: CT_IMAGE_STORAGE.to_owned(),
        sop_instance: sop_instance.to_owned(),
        head: head.into(),
        body: noise(BODY_LEN).into(),
        repeats,
    };
    vec![instance]
}

/// Bytes without a pattern that a file system could profit from (xorshift).
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_of_a_large_object_carry_its_data_set() {
        let instance = &large(3 * BODY_LEN)[0];
        assert_eq!(instance.repeats, 3);
        let bytes: Vec<u8> = instance.message(16_384, 1).concat();
        let mut running = RunningDigest::new();
        let (mut at, mut ends) = (0, 0);
        while at < bytes.len() {
            let number = |at: usize| {
                usize::try_from(u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())).unwrap()
            };
            let length = number(at + 2);
            assert!(length <= 16_384);
            if bytes[at + 11] & 1 == 0 {
                running.update(&bytes[at + 12..at + 6 + length]);
                ends += usize::from(bytes[at + 11] == 2);
            }
            at += 6 + length;
        }
        assert_eq!(ends, 1);
        assert_eq!(running.finish(), instance.digest());
    }
}
