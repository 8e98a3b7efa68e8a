//! What the ledger tells about collections: studies, instances, packs and parts.

use beeldbox_protocol::clinical::{Patient, StudySummary};
use beeldbox_protocol::envelope::pack::PackId;
use beeldbox_protocol::ident::{
    AeTitle, Digest, SeriesInstanceUid, SopClassUid, SopInstanceUid, StudyInstanceUid, TransferId,
    TransferSyntaxUid,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::state::OutboundState;

/// Names a collection on this box. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CollectionId(pub i64);

/// Where a page of a list ended; the next page begins behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub i64);

/// One study of ours that waits to be addressed, or is still arriving.
#[derive(Debug, Clone)]
pub struct StudyRow {
    /// Its images.
    pub collection: CollectionId,
    /// The decision to send it that is still open.
    pub transfer: TransferId,
    /// Where that stands.
    pub state: OutboundState,
    /// Which PACS or modality sent it.
    pub source_ae: AeTitle,
    /// The alias AE title it was sent to; nothing if it was the box's own.
    pub called_alias: Option<AeTitle>,
    /// Of whom it is.
    pub patient: Patient,
    /// What it is.
    pub summary: StudySummary,
    /// When its first instance came.
    pub opened_at: Timestamp,
    /// When its last instance came.
    pub last_instance_at: Timestamp,
    /// Whether it holds two different instances of one name.
    pub conflict: bool,
    /// Whether its instances name different patients.
    pub two_patients: bool,
    /// Instances of it that cannot be read any more.
    pub damaged: u32,
    /// Its place in the list.
    pub cursor: Cursor,
}

/// A study that is still open and that nothing comes for at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuietStudy {
    /// Its images.
    pub collection: CollectionId,
    /// The decision to send it.
    pub transfer: TransferId,
    /// Its name, unless the sender left it out.
    pub study: Option<StudyInstanceUid>,
    /// Who sends it.
    pub source_ae: AeTitle,
    /// When the last instance came.
    pub last_instance_at: Timestamp,
    /// How many came.
    pub instances: u32,
}

/// One stored instance and where its frame is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceRow {
    /// Its name inside the ledger; pages of a list continue behind it.
    pub id: i64,
    /// The pack that holds its frame.
    pub pack: PackId,
    /// Which frame of the pack, from zero.
    pub frame_index: u32,
    /// Where the frame begins in the pack.
    pub frame_offset: u64,
    /// Bytes of the frame.
    pub frame_len: u64,
    /// SOP Class UID.
    pub sop_class: SopClassUid,
    /// SOP Instance UID.
    pub sop_instance: SopInstanceUid,
    /// How the data set is encoded.
    pub transfer_syntax: TransferSyntaxUid,
    /// Study Instance UID, unless the sender left it out.
    pub study: Option<StudyInstanceUid>,
    /// Series Instance UID, unless the sender left it out.
    pub series: Option<SeriesInstanceUid>,
    /// Length of the data set, in bytes.
    pub size_bytes: u64,
    /// SHA-256 of the data set.
    pub digest: Digest,
    /// When it was committed.
    pub received_at: Timestamp,
    /// Whether it cannot be read any more.
    pub damaged: bool,
}

/// One pack of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackRow {
    /// Its name.
    pub id: PackId,
    /// Bytes that count.
    pub len_bytes: u64,
    /// Frames in them.
    pub frames: u32,
    /// Whether bytes that count are missing or changed.
    pub damaged: bool,
}

/// One piece of a pack as it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartRow {
    /// The pack it is a piece of.
    pub pack: PackId,
    /// Which piece, from zero.
    pub index: u32,
    /// Where it begins in the pack.
    pub offset: u64,
    /// Bytes of it.
    pub len: u64,
    /// SHA-256 of it: its name at the portal.
    pub digest: Digest,
}
