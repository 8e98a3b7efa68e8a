//! A letter without images: what a question for a transfer back ([`crate::ask_back`]) and a request for images
//! ([`crate::request`]) have in common. Each is a Task of its own with a sealed letter and no parts.

use beeldbox_custody::{AuditRecord, CustodyError};
use beeldbox_protocol::clinical::{Confidential, Patient};
use beeldbox_protocol::envelope::letter::{self, About, Letter, LetterError, Party};
use beeldbox_protocol::envelope::recipient::RecipientVerified;
use beeldbox_protocol::ident::TransferId;
use beeldbox_protocol::portal::fhir::Task;
use beeldbox_protocol::portal::task::{self, TaskStatus};
use bytes::Bytes;

use crate::address::AddressError;
use crate::effect::NotNow;
use crate::portal_client::PortalError;
use crate::road::{Road, SigningCertificateExpired, StepError, after};

/// Why a question is not put.
#[derive(Debug, thiserror::Error)]
pub enum QuestionError {
    /// The other side cannot be written to.
    #[error("the other hospital cannot be written to")]
    Address(#[from] AddressError),
    /// Its key is another one than before.
    #[error("the other hospital has another key than before")]
    KeyChanged,
    /// The letter cannot be sealed.
    #[error("the question cannot be sealed")]
    Letter(#[source] LetterError),
    /// Nobody would believe what we sign.
    #[error(transparent)]
    Signer(#[from] SigningCertificateExpired),
    /// Not in this state, or storage failed.
    #[error(transparent)]
    Step(#[from] StepError),
}

impl From<CustodyError> for QuestionError {
    fn from(error: CustodyError) -> Self {
        QuestionError::Step(StepError::Custody(error))
    }
}

impl From<NotNow> for QuestionError {
    fn from(error: NotNow) -> Self {
        QuestionError::Step(StepError::NotNow(error))
    }
}

/// Why a question of theirs could not be taken in now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TakeInError {
    /// The portal did not give the letter: it is asked again.
    #[error(transparent)]
    Portal(#[from] PortalError),
    /// Another move came first, or storage failed.
    #[error(transparent)]
    Step(#[from] StepError),
}

impl From<CustodyError> for TakeInError {
    fn from(error: CustodyError) -> Self {
        TakeInError::Step(StepError::Custody(error))
    }
}

/// A record of what happened to a question or to what it is about.
pub(crate) fn audit(
    road: &Road,
    about: TransferId,
    actor: &str,
    action: &str,
    detail: Confidential,
) -> AuditRecord {
    AuditRecord {
        at: road.now(),
        actor: actor.to_owned(),
        action: action.to_owned(),
        transfer: Some(about),
        detail,
    }
}

/// A letter of ours that carries nothing but what it is about.
pub(crate) fn letter(road: &Road, id: TransferId, to: Party, about: About) -> Letter {
    let now = road.now();
    Letter {
        v: 1,
        transfer: id,
        sender: Party {
            ura: road.signer.ura().clone(),
            organisation: road.signer.name().to_owned(),
            department: None,
            addressee: None,
        },
        addressee: to,
        written_at: now,
        valid_until: after(now, road.settings.valid_for),
        urgent: false,
        patient: Patient::default(),
        studies: Vec::new(),
        note: None,
        reply_contact: None,
        instances: Vec::new(),
        packs: Vec::new(),
        about: Some(about),
        in_answer_to: None,
    }
}

/// Signs and seals it.
pub(crate) fn seal(
    road: &Road,
    letter: &Letter,
    recipient: &RecipientVerified,
) -> Result<Vec<u8>, QuestionError> {
    letter::seal(letter, &road.signer, &[recipient], &*road.random).map_err(QuestionError::Letter)
}

/// Makes the Task, puts the letter there and commits it. Again is the same: what is there already stays.
///
/// # Errors
/// If the portal did not take one of them.
pub(crate) async fn put_at_portal(
    road: &Road,
    id: TransferId,
    draft: &Task,
    letter: Vec<u8>,
    urgent: bool,
) -> Result<(), PortalError> {
    let created = road.portal.create_task(&id, draft).await;
    road.note_portal(&created);
    created?;
    let there = road.portal.task(&id).await?;
    if TaskStatus::from_code(&there.status) == Some(TaskStatus::Draft) {
        road.portal.put_letter(&id, Bytes::from(letter), urgent).await?;
        road.portal.update_task(&id, &task::commit(there, &[])).await?;
    }
    Ok(())
}
