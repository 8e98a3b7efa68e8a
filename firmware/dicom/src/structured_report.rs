//! What a structured report says: from the content tree of a data set to blocks that a person reads.
//!
//! ```text
//!   data set ─▶ tree (items by relationship, value and concept name) ─▶ blocks (sections, text, tables, images)
//! ```
//!
//! Reads Basic Text, Enhanced, Comprehensive, TID 1500 and X-ray dose reports alike: what they share is the tree. Bounded in
//! bytes, items and depth. PS3.3 A.35 and C.17.3; PS3.16 TID 1500, TID 10001, TID 10011.

// The content tree.
mod tree;
// From the tree to what is read.
mod blocks;

use std::io::Read;

use beeldbox_protocol::ident::TransferSyntaxUid;
use beeldbox_protocol::structured_report::StructuredReport;

use crate::sniff::{Form, form_of};
use crate::walk::Encoding;

/// Longest data set that is read. Dose reports of long interventions have a few MiB.
pub const LONGEST_REPORT: usize = 32 * 1024 * 1024;

/// Why a data set is not read as a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StructuredReportError {
    /// Longer than [`LONGEST_REPORT`].
    #[error("the structured report is too long to be read")]
    TooLong,
    /// More items than are read.
    #[error("the structured report has too many items to be read")]
    TooManyItems,
    /// It ends inside of an element, or is nested deeper than any report.
    #[error("the structured report is broken")]
    Broken,
    /// Written in a transfer syntax that nobody knows.
    #[error("the structured report is in a private transfer syntax")]
    PrivateSyntax,
    /// Its root is no container.
    #[error("the data set is no structured report")]
    NoReport,
}

/// Reads a whole data set, without its file meta information.
///
/// # Errors
/// See [`StructuredReportError`].
pub fn read_structured_report(
    data_set: &[u8],
    transfer_syntax: &TransferSyntaxUid,
) -> Result<StructuredReport, StructuredReportError> {
    if data_set.len() > LONGEST_REPORT {
        return Err(StructuredReportError::TooLong);
    }
    let root = match form_of(transfer_syntax.as_str()) {
        Form::Plain(encoding) => tree::read(data_set, encoding)?,
        Form::Deflated => tree::read(&inflated(data_set)?, Encoding::ExplicitLittle)?,
        Form::Private => return Err(StructuredReportError::PrivateSyntax),
    };
    Ok(blocks::report(&root))
}

fn inflated(data_set: &[u8]) -> Result<Vec<u8>, StructuredReportError> {
    let mut whole = Vec::new();
    let limit = u64::try_from(LONGEST_REPORT).unwrap_or(u64::MAX);
    let read = flate2::read::DeflateDecoder::new(data_set).take(limit + 1).read_to_end(&mut whole);
    if whole.len() > LONGEST_REPORT {
        return Err(StructuredReportError::TooLong);
    }
    read.map_err(|_| StructuredReportError::Broken)?;
    Ok(whole)
}

#[cfg(test)]
#[path = "structured_report_tests.rs"]
mod tests;
