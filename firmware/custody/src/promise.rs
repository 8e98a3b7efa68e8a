//! What an opened letter promises: instances, packs and parts, checked for contradictions before any of it is stored.

use std::collections::HashSet;

use beeldbox_protocol::clinical::{Patient, StudySummary};
use beeldbox_protocol::envelope::keys::SecretKey;
use beeldbox_protocol::envelope::pack::{PACK_HEADER_LEN, PackId};
use beeldbox_protocol::ident::{
    Digest, SeriesInstanceUid, SopClassUid, SopInstanceUid, StudyInstanceUid, TransferSyntaxUid,
};

use crate::error::CustodyError;

/// What a letter promises. It has been verified before it comes here.
#[derive(Debug, Clone)]
pub struct InboundCollection {
    /// Of whom it is.
    pub patient: Patient,
    /// What it is; the first one describes the collection.
    pub summaries: Vec<StudySummary>,
    /// Its instances.
    pub instances: Vec<InboundInstance>,
    /// Its packs.
    pub packs: Vec<InboundPack>,
}

/// One instance of a letter's list.
#[derive(Debug, Clone)]
pub struct InboundInstance {
    /// The pack that holds its frame.
    pub pack: PackId,
    /// Which frame, from zero.
    pub frame_index: u32,
    /// Where the frame begins.
    pub frame_offset: u64,
    /// Bytes of the frame.
    pub frame_len: u64,
    /// SOP Class UID.
    pub sop_class: SopClassUid,
    /// SOP Instance UID.
    pub sop_instance: SopInstanceUid,
    /// How the data set is encoded.
    pub transfer_syntax: TransferSyntaxUid,
    /// Study Instance UID.
    pub study: Option<StudyInstanceUid>,
    /// Series Instance UID.
    pub series: Option<SeriesInstanceUid>,
    /// Length of the data set.
    pub size_bytes: u64,
    /// SHA-256 of the data set.
    pub digest: Digest,
}

/// One pack of a letter's list.
#[derive(Debug, Clone)]
pub struct InboundPack {
    /// Its name.
    pub id: PackId,
    /// Its key.
    pub key: SecretKey,
    /// Bytes of it.
    pub len_bytes: u64,
    /// Its parts in order: digest and length.
    pub parts: Vec<(Digest, u64)>,
}

/// Lengths add up, frames lie inside their packs, and no name occurs twice.
pub(crate) fn check_consistent(promised: &InboundCollection) -> Result<(), CustodyError> {
    let inconsistent = |what| Err(CustodyError::NotConsistent { what });
    let mut ids = HashSet::new();
    for pack in &promised.packs {
        if !ids.insert(pack.id) {
            return inconsistent("a pack is listed twice");
        }
        let sum =
            pack.parts.iter().try_fold(0_u64, |sum, (_, len)| sum.checked_add(*len).filter(|_| *len > 0));
        if sum != Some(pack.len_bytes) || pack.len_bytes < PACK_HEADER_LEN as u64 {
            return inconsistent("the parts of a pack do not add up to its length");
        }
        if i64::try_from(pack.len_bytes).is_err() {
            return inconsistent("a pack is too long");
        }
    }
    let mut frames = HashSet::new();
    for instance in &promised.instances {
        let pack = promised.packs.iter().find(|pack| pack.id == instance.pack);
        let end = instance.frame_offset.checked_add(instance.frame_len);
        let inside = pack.zip(end).is_some_and(|(pack, end)| end <= pack.len_bytes);
        if !inside || instance.frame_offset < PACK_HEADER_LEN as u64 || instance.frame_len == 0 {
            return inconsistent("an instance lies outside its pack");
        }
        if i64::try_from(instance.size_bytes).is_err() {
            return inconsistent("an instance is too long");
        }
        if !frames.insert((instance.pack, instance.frame_index)) {
            return inconsistent("two instances share a frame");
        }
    }
    if promised.instances.is_empty() { inconsistent("there are no instances") } else { Ok(()) }
}
