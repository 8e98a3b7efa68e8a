//! What lies on this box and can be read: for a patient's timeline, DICOMweb and handing out.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Partner, Situation, StudyNumber};
use crate::clinical::{Confidential, Patient, StudySummary};
use crate::ident::{
    SeriesInstanceUid, SopClassUid, SopInstanceUid, StudyInstanceUid, TransferId, TransferSyntaxUid,
};

/// What is looked for. Everything absent matches everything; texts match as a whole, in either of two names where the images
/// were filed under a patient of this hospital.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StoredSearch {
    /// A patient number.
    pub patient_id: Option<Confidential>,
    /// The beginning of a patient's name, without case.
    pub patient_name: Option<Confidential>,
    /// A birth date, `YYYYMMDD`.
    pub birth_date: Option<Confidential>,
    /// An accession number.
    pub accession_number: Option<Confidential>,
    /// A study.
    pub study: Option<StudyInstanceUid>,
    /// Made on this day or later, `YYYYMMDD`.
    pub from: Option<String>,
    /// Made on this day or earlier, `YYYYMMDD`.
    pub until: Option<String>,
    /// A modality.
    pub modality: Option<String>,
}

/// A page of what was found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoredPage {
    /// Newest first.
    pub studies: Vec<StoredLine>,
    /// Ask on before this one; `None` at the end.
    pub next: Option<StudyNumber>,
}

/// One study that can be read: the instances that came together.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoredLine {
    /// Its number on this box.
    pub study: StudyNumber,
    /// Whether it came from another hospital.
    pub is_incoming: bool,
    /// Of whom it is: as this hospital knows the patient, once that is decided; before, as the images say.
    pub patient: Patient,
    /// What it is.
    pub summary: StudySummary,
    /// When it came.
    pub at: Timestamp,
    /// Its newest transfer.
    pub transfer: Option<TransferId>,
    /// The other organisation of that.
    pub partner: Option<Partner>,
    /// Where that stands.
    pub situation: Option<Situation>,
}

/// One instance that can be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredInstance {
    /// Its number on this box.
    pub instance: i64,
    /// Its class.
    pub sop_class: SopClassUid,
    /// Its name.
    pub sop_instance: SopInstanceUid,
    /// Its series, unless the sender left it out.
    pub series: Option<SeriesInstanceUid>,
    /// Modality of its series, if known.
    pub modality: Option<String>,
    /// How it is encoded.
    pub transfer_syntax: TransferSyntaxUid,
    /// Length of its data set, in bytes, as it was received.
    pub size_bytes: u64,
}

/// What the bytes are that follow the line of this answer: pieces, each with its length before it in four bytes, big endian.
/// Length 0 ends it well; `FFFFFFFF` says that the rest cannot be had, and that what came is worth nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "content", rename_all = "kebab-case")]
pub enum Content {
    /// A data set, as it would go to the PACS of this hospital.
    DataSet {
        /// Its class.
        sop_class: SopClassUid,
        /// Its name.
        sop_instance: SopInstanceUid,
        /// How it is encoded.
        transfer_syntax: TransferSyntaxUid,
    },
    /// A file of DICOM (PS3.10).
    File {
        /// Its name.
        sop_instance: SopInstanceUid,
        /// How it is encoded.
        transfer_syntax: TransferSyntaxUid,
    },
    /// A picture, as PNG.
    Picture,
    /// A DICOM folder with DICOMDIR, as a ZIP archive.
    Folder,
}

/// Ends content well.
pub const CONTENT_ENDS: u32 = 0;

/// Ends content badly.
pub const CONTENT_BREAKS: u32 = u32::MAX;

/// Longest piece of content, in bytes.
pub const LONGEST_PIECE: u32 = 1024 * 1024;
