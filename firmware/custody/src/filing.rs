//! Under whom a transfer is filed at this hospital, and how a decision changes what is stored sealed of it.
//!
//! A decision names only what it decides; it is put into the words as they stand at its commit. So two decisions at the
//! same time, one about the department and one about the patient, do not undo each other.

use beeldbox_protocol::clinical::{Confidential, Patient};
use beeldbox_protocol::ident::TransferId;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use crate::error::CustodyError;
use crate::transfer_records::{Desk, TransferConfidential};
use crate::vault::{Place, Vault};

/// Under whom the images go to the PACS, as a person or a rule decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filing {
    /// As they came: not one byte of them is changed.
    AsSent,
    /// Under a patient of this hospital.
    Local(Box<LocalRecord>),
}

/// A patient of this hospital, and the order under which images are filed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LocalRecord {
    /// Who it is. What is absent stays in the images as the sender wrote it.
    pub patient: Patient,
    /// Accession number of the order; absent: that of the sender stays.
    pub accession_number: Option<Confidential>,
    /// Who issued it.
    pub accession_issuer: Option<String>,
    /// When it was decided: the images say so, and say the same however often they are sent.
    pub decided_at: Timestamp,
}

/// What one person wants and a second must agree to, because something contradicts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// Under whom.
    pub record: LocalRecord,
    /// Who wants it.
    pub by: String,
    /// Why.
    pub reason: Confidential,
    /// What contradicts, as codes.
    pub contradictions: Vec<String>,
    /// When.
    pub at: Timestamp,
}

/// What one decision changes of what is stored sealed. Everything else stays as it is at the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WordsEdit {
    /// For whom at this hospital it is.
    Desk(Desk),
    /// Under whom it is filed. A proposal is settled by it.
    Filing(Filing),
    /// What a second person must agree to; nothing takes a proposal back.
    Proposal(Option<Box<Proposal>>),
}

impl WordsEdit {
    fn apply(&self, words: &mut TransferConfidential) {
        match self {
            WordsEdit::Desk(desk) => words.desk = Some(desk.clone()),
            WordsEdit::Filing(filing) => {
                words.filing = Some(filing.clone());
                words.proposal = None;
            }
            WordsEdit::Proposal(proposal) => words.proposal.clone_from(proposal),
        }
    }
}

/// Changes what is stored sealed of a transfer.
///
/// # Errors
/// [`CustodyError::Stale`] if nothing is stored of it.
pub(crate) fn edit(
    connection: &Connection,
    vault: &Vault,
    transfer: TransferId,
    edit: &WordsEdit,
) -> Result<(), CustodyError> {
    let id = transfer.to_string();
    let sealed: Option<Option<Vec<u8>>> = connection
        .prepare_cached("SELECT sealed_words FROM transfer WHERE id = ?1")?
        .query_row([&id], |row| row.get(0))
        .optional()?;
    let sealed = sealed.flatten().ok_or(CustodyError::Stale)?;
    let mut words: TransferConfidential =
        vault.open_json(Place::Transfer(&id), &sealed, "transfer's words")?;
    edit.apply(&mut words);
    connection
        .prepare_cached("UPDATE transfer SET sealed_words = ?2 WHERE id = ?1")?
        .execute(params![id, vault.seal_json(Place::Transfer(&id), &words)?])?;
    Ok(())
}
