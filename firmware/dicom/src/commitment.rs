//! Storage commitment as data: who asks what, what the answer is, and how both are written.
//!
//! ```text
//! N-ACTION        Transaction UID, Referenced SOP Sequence                          "do you keep these?"
//! N-EVENT-REPORT  Transaction UID, Referenced SOP Sequence, Failed SOP Sequence     "these yes, these not, and why"
//! ```
//!
//! Reading is strict, because a sender may erase what we confirm: an item that cannot be read refuses the whole request.
//! An instance that a report names as kept and as failed counts as failed. PS3.4 annex J.3.

use std::collections::HashSet;

use beeldbox_protocol::ident::{IdentError, SopClassUid, SopInstanceUid, TransactionUid};
use dicom_core::Tag;
use dicom_dictionary_std::tags;

use crate::data_set::DataSetWriter;
use crate::intake::Refusal;
use crate::status::DimseStatus;
use crate::walk::{Encoding, Onlooker, walk_whole};

/// Storage Commitment Push Model SOP class.
pub(crate) const STORAGE_COMMITMENT: &str = "1.2.840.10008.1.20.1";
/// Its one instance (PS3.4 annex J.3.5).
pub(crate) const STORAGE_COMMITMENT_INSTANCE: &str = "1.2.840.10008.1.20.1.1";
/// Action Type ID of a request (PS3.4 Table J.3-1).
pub(crate) const REQUEST: u16 = 1;
/// Event Type IDs of a report (PS3.4 Table J.3-2): all kept.
pub(crate) const ALL_KEPT: u16 = 1;
/// Some not kept.
pub(crate) const SOME_FAILED: u16 = 2;
/// Most instances in one request or report. Studies have tens of thousands at most.
pub(crate) const MOST_ITEMS: usize = 100_000;
/// Longest data set of a request or report: the most items with the longest UIDs fit.
pub(crate) const LONGEST_DATA_SET: usize = 18 * 1024 * 1024;

/// An instance that a request or a report is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReferencedInstance {
    /// Referenced SOP Class UID (0008,1150).
    pub sop_class: SopClassUid,
    /// Referenced SOP Instance UID (0008,1155).
    pub sop_instance: SopInstanceUid,
}

/// The question: are these kept?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitmentRequest {
    /// Transaction UID (0008,1195): names the request, once and for all.
    pub transaction: TransactionUid,
    /// Referenced SOP Sequence (0008,1199); at most 100 000.
    pub items: Vec<ReferencedInstance>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitmentResult {
    /// Transaction UID (0008,1195) of the request.
    pub transaction: TransactionUid,
    /// What is kept. Whoever asked must compare with what was asked: a report may leave instances out.
    pub committed: Vec<ReferencedInstance>,
    /// What is not, with the Failure Reason (0008,1197; PS3.3 C.14.1.1): 0110H processing failure, 0112H no such
    /// instance, 0119H class and instance conflict, 0122H class not supported, 0131H duplicate transaction, 0213H
    /// resource limitation.
    pub failed: Vec<(ReferencedInstance, u16)>,
}

/// Why a data set is no request and no report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CommitmentFault {
    #[error("the data set is missing or cannot be read")]
    Unreadable,
    #[error("Transaction UID is missing or invalid")]
    Transaction,
    #[error("no instance is referenced")]
    NoItems,
    #[error("a referenced instance lacks a valid class or instance UID")]
    Item,
    #[error("more instances than one request may have")]
    TooMany,
}

impl CommitmentFault {
    /// As the peer will read it (PS3.7 annex C).
    pub(crate) fn refusal(self) -> Refusal {
        let (status, comment) = match self {
            CommitmentFault::Unreadable => (DimseStatus::INVALID_ARGUMENT, "data set missing or unreadable"),
            CommitmentFault::Transaction => {
                (DimseStatus::INVALID_ARGUMENT, "Transaction UID missing or invalid")
            }
            CommitmentFault::NoItems => (DimseStatus::INVALID_ARGUMENT, "no instance is referenced"),
            CommitmentFault::Item => {
                (DimseStatus::INVALID_ARGUMENT, "a referenced instance has no valid UIDs")
            }
            CommitmentFault::TooMany => (DimseStatus::RESOURCE_LIMITATION, "more than 100000 instances"),
        };
        Refusal { status, comment }
    }
}

impl CommitmentRequest {
    /// The data set of an N-ACTION-RQ.
    pub(crate) fn write(&self, encoding: Encoding) -> Vec<u8> {
        let mut writer = DataSetWriter::new(encoding);
        writer.uid(tags::TRANSACTION_UID, self.transaction.as_str());
        writer.sequence(tags::REFERENCED_SOP_SEQUENCE, &self.items, write_reference);
        writer.finish()
    }

    /// Reads one.
    pub(crate) fn read(data: &[u8], encoding: Encoding) -> Result<Self, CommitmentFault> {
        let Reading { transaction, mut referenced, .. } = Reading::of(data, encoding)?;
        let transaction = transaction.ok_or(CommitmentFault::Transaction)?;
        if referenced.is_empty() {
            return Err(CommitmentFault::NoItems);
        }
        // Asked twice is asked once.
        let mut seen = HashSet::with_capacity(referenced.len());
        let first: Vec<bool> = referenced.iter().map(|instance| seen.insert(instance)).collect();
        let mut first = first.into_iter();
        referenced.retain(|_| first.next().unwrap_or(true));
        Ok(CommitmentRequest { transaction, items: referenced })
    }
}

impl CommitmentResult {
    /// Event Type ID of the report.
    pub(crate) fn event_type(&self) -> u16 {
        if self.failed.is_empty() { ALL_KEPT } else { SOME_FAILED }
    }

    /// How many instances it names.
    pub(crate) fn count(&self) -> usize {
        self.committed.len() + self.failed.len()
    }

    /// The data set of an N-EVENT-REPORT-RQ. Sequences without items are left out: they may not be empty (PS3.4 Table
    /// J.3-2).
    pub(crate) fn write(&self, encoding: Encoding) -> Vec<u8> {
        let mut writer = DataSetWriter::new(encoding);
        writer.uid(tags::TRANSACTION_UID, self.transaction.as_str());
        if !self.failed.is_empty() {
            writer.sequence(tags::FAILED_SOP_SEQUENCE, &self.failed, |writer, (instance, reason)| {
                write_reference(writer, instance);
                writer.number(tags::FAILURE_REASON, *reason);
            });
        }
        if !self.committed.is_empty() {
            writer.sequence(tags::REFERENCED_SOP_SEQUENCE, &self.committed, write_reference);
        }
        writer.finish()
    }

    /// Reads one.
    pub(crate) fn read(data: &[u8], encoding: Encoding) -> Result<Self, CommitmentFault> {
        let Reading { transaction, mut referenced, failed, .. } = Reading::of(data, encoding)?;
        let transaction = transaction.ok_or(CommitmentFault::Transaction)?;
        if referenced.is_empty() && failed.is_empty() {
            return Err(CommitmentFault::NoItems);
        }
        let not_kept: HashSet<&SopInstanceUid> =
            failed.iter().map(|(instance, _)| &instance.sop_instance).collect();
        referenced.retain(|instance| !not_kept.contains(&instance.sop_instance));
        Ok(CommitmentResult { transaction, committed: referenced, failed })
    }
}

fn write_reference(writer: &mut DataSetWriter, instance: &ReferencedInstance) {
    writer.uid(tags::REFERENCED_SOP_CLASS_UID, instance.sop_class.as_str());
    writer.uid(tags::REFERENCED_SOP_INSTANCE_UID, instance.sop_instance.as_str());
}

/// What has been read so far.
struct Reading {
    encoding: Encoding,
    transaction: Option<TransactionUid>,
    referenced: Vec<ReferencedInstance>,
    failed: Vec<(ReferencedInstance, u16)>,
    /// The item in progress.
    class: Option<SopClassUid>,
    instance: Option<SopInstanceUid>,
    reason: Option<u16>,
    fault: Option<CommitmentFault>,
}

impl Reading {
    fn of(data: &[u8], encoding: Encoding) -> Result<Self, CommitmentFault> {
        let mut reading = Reading {
            encoding,
            transaction: None,
            referenced: Vec::new(),
            failed: Vec::new(),
            class: None,
            instance: None,
            reason: None,
            fault: None,
        };
        walk_whole(data, encoding, &mut reading).map_err(|_| CommitmentFault::Unreadable)?;
        match reading.fault {
            Some(fault) => Err(fault),
            None => Ok(reading),
        }
    }

    fn take_item(&mut self, is_failed: bool) {
        let (class, instance, reason) = (self.class.take(), self.instance.take(), self.reason.take());
        if self.referenced.len() + self.failed.len() >= MOST_ITEMS {
            self.fault = Some(CommitmentFault::TooMany);
            return;
        }
        let (Some(sop_class), Some(sop_instance)) = (class, instance) else {
            self.fault = Some(CommitmentFault::Item);
            return;
        };
        let referenced = ReferencedInstance { sop_class, sop_instance };
        if is_failed {
            // A failure without its reason is a failure all the same.
            let reason = reason.unwrap_or(DimseStatus::PROCESSING_FAILURE.0);
            self.failed.push((referenced, reason));
        } else {
            self.referenced.push(referenced);
        }
    }
}

impl Onlooker for Reading {
    fn is_end(&self, _tag: Tag) -> bool {
        false
    }

    fn enters(&self, path: &[Tag], tag: Tag) -> bool {
        path.is_empty() && (tag == tags::REFERENCED_SOP_SEQUENCE || tag == tags::FAILED_SOP_SEQUENCE)
    }

    fn value(&mut self, path: &[Tag], tag: Tag, value: &[u8]) {
        match path {
            [] if tag == tags::TRANSACTION_UID => self.transaction = uid(value),
            [sequence] if self.enters(&[], *sequence) => match tag {
                tags::REFERENCED_SOP_CLASS_UID => self.class = uid(value),
                tags::REFERENCED_SOP_INSTANCE_UID => self.instance = uid(value),
                tags::FAILURE_REASON => {
                    self.reason = value.first_chunk::<2>().map(|bytes| match self.encoding {
                        Encoding::ExplicitBig => u16::from_be_bytes(*bytes),
                        Encoding::ImplicitLittle | Encoding::ExplicitLittle => u16::from_le_bytes(*bytes),
                    });
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn item_begins(&mut self, path: &[Tag]) {
        if path.len() == 1 {
            (self.class, self.instance, self.reason) = (None, None, None);
        }
    }

    fn item_ends(&mut self, path: &[Tag]) {
        if let [sequence] = path
            && self.enters(&[], *sequence)
        {
            self.take_item(*sequence == tags::FAILED_SOP_SEQUENCE);
        }
    }
}

/// A UID, if the value is one.
fn uid<T: std::str::FromStr<Err = IdentError>>(value: &[u8]) -> Option<T> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
#[path = "commitment_tests.rs"]
mod tests;
