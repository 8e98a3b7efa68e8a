//! Address: from a study to one verified recipient.
//!
//! The directory says under which name to look; the signed key statement says whose key it is. Only a
//! [`RecipientVerified`] can be sent to. The first key seen of a partner is remembered when it is used; another key
//! later holds the transfer until a person compared it with the partner.

use beeldbox_custody::{
    AddresseeSnapshot, AuditRecord, Changes, OutboundState, State, TransferConfidential, TransferRow,
};
use beeldbox_protocol::admin::{Addressee, CheckFlag, Reception};
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::envelope::recipient::RecipientVerified;
use beeldbox_protocol::envelope::trust::TrustError;
use beeldbox_protocol::ident::{AddresseeId, TransferId};

use crate::effect::NotNow;
use crate::outbound::OutboundEvent;
use crate::road::{Road, StepError, after};

/// Why a study is not addressed.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// The directory has no such entry.
    #[error("the directory has no such addressee")]
    UnknownAddressee,
    /// It is our own organisation.
    #[error("this is our own organisation")]
    Ourselves,
    /// No key is published.
    #[error("the addressee cannot receive: no key is published for it")]
    CannotReceive,
    /// The key cannot be believed.
    #[error("the addressee's key is not verified")]
    NotVerified(#[source] TrustError),
    /// Nobody knows any more whether what the directory says is so.
    #[error("the copy of the directory is too old to send to what stands in it")]
    DirectoryTooOld,
    /// A flag was not ticked.
    #[error("the person did not confirm what the check page asks for")]
    NotAcknowledged(Vec<CheckFlag>),
    /// Nothing to send.
    #[error("the study holds no instances")]
    NothingToSend,
    /// Not now, or storage failed.
    #[error(transparent)]
    Step(#[from] StepError),
}

/// What a person decided.
#[derive(Debug, Clone)]
pub struct Decision {
    /// To whom.
    pub addressee: AddresseeId,
    /// Words for the addressee.
    pub note: Option<Confidential>,
    /// Whom to call back.
    pub reply_contact: Option<Confidential>,
    /// Whether to hurry.
    pub urgent: bool,
    /// Who decided.
    pub by: String,
    /// Flags that were ticked.
    pub acknowledged: Vec<CheckFlag>,
    /// The request for images that it answers, after [`crate::requested::check_answer`].
    pub in_answer_to: Option<TransferId>,
}

/// Looks an addressee up and verifies its key.
///
/// # Errors
/// Why it cannot be sent to.
pub fn look_up(road: &Road, id: &AddresseeId) -> Result<(Addressee, RecipientVerified), AddressError> {
    let entry = road.directory.find(id).ok_or(AddressError::UnknownAddressee)?;
    if entry.addressee.ura == *road.signer.ura() {
        return Err(AddressError::Ourselves);
    }
    let statement = entry.key_statement.as_deref().ok_or(AddressError::CannotReceive)?;
    if road.directory.age(road.now()).is_too_old {
        return Err(AddressError::DirectoryTooOld);
    }
    let recipient = RecipientVerified::verify(statement, &entry.addressee.ura, &road.anchors, road.now())
        .map_err(AddressError::NotVerified)?;
    Ok((entry.addressee, recipient))
}

/// What a person must look at before this study goes to this addressee.
///
/// # Errors
/// If the ledger cannot be read.
pub async fn flags(
    road: &Road,
    study: &beeldbox_custody::StudyRow,
    addressee: &Addressee,
) -> Result<Vec<CheckFlag>, StepError> {
    let known = road.custody.known_key(&addressee.ura, &endpoint_of(addressee)).await?;
    let checks = [
        (known.is_none(), CheckFlag::FirstTime),
        (matches!(study.state, OutboundState::Collecting), CheckFlag::StillArriving),
        (study.patient.name.is_none(), CheckFlag::NoPatientName),
        (study.patient.bsn.is_none(), CheckFlag::NoBsn),
        (addressee.reception == Reception::PortalDelivery, CheckFlag::PortalDelivery),
        (study.conflict, CheckFlag::Conflict),
        (study.two_patients, CheckFlag::TwoPatients),
        (study.patient.id.is_none(), CheckFlag::NoPatientId),
    ];
    Ok(checks.into_iter().filter_map(|(applies, flag)| applies.then_some(flag)).collect())
}

/// Whether the person ticked whatever must be looked at.
pub(crate) async fn check_acknowledged(
    road: &Road,
    study: &beeldbox_custody::StudyRow,
    addressee: &Addressee,
    acknowledged: &[CheckFlag],
) -> Result<(), AddressError> {
    let mut missing = flags(road, study, addressee).await?;
    missing.retain(|flag| !acknowledged.contains(flag));
    if missing.is_empty() { Ok(()) } else { Err(AddressError::NotAcknowledged(missing)) }
}

/// An addressee as the ledger keeps it.
pub(crate) fn snapshot(addressee: &Addressee, recipient: &RecipientVerified) -> AddresseeSnapshot {
    AddresseeSnapshot {
        id: addressee.id.clone(),
        ura: addressee.ura.clone(),
        name: recipient.organisation().name().to_owned(),
        department: addressee.desk(),
        key_id: recipient.key_id().to_string(),
        recipient_json: String::new(),
    }
}

/// Under which name a partner's key is remembered: one key per way of receiving.
pub fn endpoint_of(addressee: &Addressee) -> String {
    match addressee.reception {
        Reception::PortalDelivery => format!("portal-{}", addressee.ura),
        Reception::Box | Reception::NotConnected => format!("box-{}", addressee.ura),
    }
}

/// Addresses a study: closes it if needed, and commits the decision.
///
/// # Durability
/// When this returns, the decision survives a power cut and the study goes out without a further act.
///
/// # Errors
/// Why it was not addressed; nothing is changed then, except that the study may be closed.
pub async fn address(road: &Road, transfer: TransferId, decision: Decision) -> Result<(), AddressError> {
    let (addressee, recipient) = look_up(road, &decision.addressee)?;
    let row = current(road, transfer).await?;
    let collection = row.collection.ok_or(AddressError::NothingToSend)?;
    let study =
        road.custody.study(collection).await.map_err(StepError::from)?.ok_or(AddressError::NothingToSend)?;
    if study.summary.instances == 0 {
        return Err(AddressError::NothingToSend);
    }
    check_acknowledged(road, &study, &addressee, &decision.acknowledged).await?;
    // Whatever made the study doubtful is among the flags, and they were ticked.
    let mut doubt = None;
    match &row.state {
        State::Outbound(OutboundState::Collecting) => {
            road.step_outbound(&row, OutboundEvent::Closed, Changes::default()).await?;
        }
        State::Outbound(OutboundState::Held { back_to, reason, since })
            if matches!(**back_to, OutboundState::Queued { .. }) =>
        {
            doubt = Some((reason.clone(), *since));
            road.step_outbound(&row, OutboundEvent::Resumed, Changes::default()).await?;
        }
        State::Outbound(_) | State::Inbound(_) => {}
    }
    let row = current(road, transfer).await?;
    let now = road.now();
    let audit = AuditRecord {
        at: now,
        actor: decision.by.clone(),
        action: "send".to_owned(),
        transfer: Some(transfer),
        detail: Confidential::new(format!("to {} ({})", addressee.organisation, addressee.ura)),
    };
    let changes = Changes {
        urgent: Some(decision.urgent),
        addressee: Some(snapshot(&addressee, &recipient)),
        confidential: Some(TransferConfidential {
            note: decision.note.unwrap_or_default(),
            reply_contact: decision.reply_contact.unwrap_or_default(),
            requested_by: decision.by,
            patient: study.patient,
            summaries: vec![study.summary],
            in_answer_to: decision.in_answer_to,
            ..TransferConfidential::default()
        }),
        audit: vec![audit],
        ..Changes::default()
    };
    let leaves_at = after(now, road.settings.undo_time);
    road.step_outbound(&row, OutboundEvent::Addressed { leaves_at, doubt }, changes).await?;
    Ok(())
}

/// Undoes the choice of an addressee while nothing has left the box: the study waits in the list again, as it did.
/// Parts that an alias sent ahead stay at the portal as a draft, which nobody but us can see.
///
/// # Durability
/// When this returns, the study is queued again and nothing goes out, also after a power cut.
///
/// # Errors
/// If the letter is on its way already, or storage failed.
pub async fn undo(road: &Road, row: &TransferRow, by: &str) -> Result<(), StepError> {
    let audit = AuditRecord {
        at: road.now(),
        actor: by.to_owned(),
        action: "undo".to_owned(),
        transfer: Some(row.id),
        detail: Confidential::default(),
    };
    let changes = Changes { unaddress: true, audit: vec![audit], ..Changes::default() };
    match road.step_outbound(row, OutboundEvent::Undone, changes).await? {
        Some(_) => Ok(()),
        None => Err(NotNow.into()),
    }
}

async fn current(road: &Road, transfer: TransferId) -> Result<TransferRow, StepError> {
    road.custody.transfer(transfer).await?.ok_or(StepError::NotNow(NotNow))
}
