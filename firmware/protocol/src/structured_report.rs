//! What a report says, without how it was written down: blocks that a person reads from top to bottom.
//!
//! A structured report of DICOM, a text of HL7 v2 and a typed letter all become this, and all pages are set from it. Who the
//! patient is stands beside it, not in it.

use serde::{Deserialize, Serialize};

use crate::clinical::Confidential;
use crate::ident::{SopClassUid, SopInstanceUid};

/// A report.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StructuredReport {
    /// What kind of report it is, in its own words; empty if it does not say.
    pub title: Confidential,
    /// Whether the report is complete; `None` if it does not say (Completion Flag, PS3.3 C.17.2).
    pub completion: Option<Completion>,
    /// Whether somebody has verified it; `None` if it does not say (Verification Flag).
    pub verification: Option<Verification>,
    /// Who observed: people and devices, in their order.
    pub observers: Vec<Confidential>,
    /// Who verified it.
    pub verified_by: Vec<Confidential>,
    /// When its content was made, `YYYYMMDD` or `YYYYMMDDHHMM` with seconds.
    pub made_at: Option<String>,
    /// What it says.
    pub blocks: Vec<Block>,
}

impl StructuredReport {
    /// A report that is nothing but text.
    pub fn of_text(text: Confidential) -> Self {
        StructuredReport { blocks: vec![Block::Text { label: None, text }], ..StructuredReport::default() }
    }
}

/// Whether a report is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Completion {
    /// COMPLETE.
    Complete,
    /// PARTIAL.
    Partial,
}

/// Whether a report is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verification {
    /// VERIFIED.
    Verified,
    /// UNVERIFIED.
    Unverified,
}

/// A piece of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Block {
    /// A heading, and what stands below it.
    Section {
        /// The heading.
        heading: Confidential,
        /// What stands below.
        blocks: Vec<Block>,
    },
    /// Text, in lines parted by `\n`.
    Text {
        /// What it is about, set before it.
        label: Option<Confidential>,
        /// The text.
        text: Confidential,
    },
    /// Values in rows.
    Table(Table),
    /// Images that the report speaks of.
    Images(ReferencedImages),
}

/// Values in rows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Table {
    /// Set above it.
    pub caption: Option<Confidential>,
    /// Names of the columns.
    pub columns: Vec<Confidential>,
    /// Rows, of as many cells as there are columns.
    pub rows: Vec<Vec<Confidential>>,
}

/// Images that the report speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ReferencedImages {
    /// Why it speaks of them.
    pub label: Option<Confidential>,
    /// Which ones.
    pub images: Vec<ReferencedImage>,
}

/// One image, or some frames of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferencedImage {
    /// Its SOP class.
    pub sop_class: SopClassUid,
    /// Its name.
    pub sop_instance: SopInstanceUid,
    /// Frame numbers from one; empty for the whole.
    pub frames: Vec<u32>,
}
