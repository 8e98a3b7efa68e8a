//! Reconcile: is this our patient?
//!
//! A person confirms (or, where the hospital decided so in the settings, a rule). Only that makes a
//! [`PatientConfirmed`], and only with it does anything go to the PACS.

use beeldbox_custody::{AuditRecord, Changes, Direction, InboundState, State, TransferRow};
use beeldbox_protocol::admin::DeclineCode;
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::TransferId;
use beeldbox_protocol::portal::task::TaskStatus;
use tokio::sync::watch;
use tracing::{debug, error};

use crate::codes::decline_reason;
use crate::effect::NotNow;
use crate::inbound::InboundEvent;
use crate::reconcile::rule::Accepted;
use crate::redirect::Declining;
use crate::road::{Road, StepError};
use crate::worker::{Worked, Worker, until_due};

// Two birth dates compared.
pub mod birth_date;
// The citizen service number, and where it was found.
pub mod bsn;
// Two patients side by side.
pub mod comparison;
// The candidates, from what the hospital's systems answered.
pub mod gather;
// Who somebody is, as one system wrote it.
pub mod identity;
// Names of persons, taken apart.
pub mod name;
// Two names compared.
pub mod name_comparison;
// Why a candidate must be looked at, or must not be taken.
pub mod reasons;
// Acceptance without a person looking.
pub mod rule;
// Ready, check or stop.
pub mod verdict;

/// Why a transfer is not imported.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Another Patient ID was asked for than the images carry.
    #[error("the images carry another Patient ID; putting a local one in its place is not supported yet")]
    CoercionNotSupported,
    /// Not now, or storage failed.
    #[error(transparent)]
    Step(#[from] StepError),
}

/// Proof that somebody answered for the identity of the patient of one transfer.
#[derive(Debug)]
pub struct PatientConfirmed {
    transfer: TransferId,
    by: String,
    /// For the audit trail: on what ground.
    detail: Confidential,
}

impl PatientConfirmed {
    /// A person says that the patient of this transfer is the one that the PACS will file it under.
    ///
    /// # Errors
    /// If another Patient ID is asked for than the images carry.
    pub fn by_person(
        row: &TransferRow,
        patient_id: Option<&Confidential>,
        person: &str,
    ) -> Result<Self, ReconcileError> {
        let carried = row.confidential.as_ref().and_then(|confidential| confidential.patient.id.as_ref());
        if patient_id.is_some_and(|wanted| !wanted.is_empty() && carried != Some(wanted)) {
            return Err(ReconcileError::CoercionNotSupported);
        }
        let detail = Confidential::new("patient confirmed");
        Ok(PatientConfirmed { transfer: row.id, by: person.to_owned(), detail })
    }

    /// A rule of the hospital accepted one of its patients for this transfer; the rule's user answers for it.
    ///
    /// # Errors
    /// If the rule accepted for another transfer, or the images would need another Patient ID.
    pub fn by_rule(row: &TransferRow, accepted: &Accepted) -> Result<Self, ReconcileError> {
        if accepted.transfer() != row.id {
            return Err(StepError::from(NotNow).into());
        }
        let confirmed = Self::by_person(row, Some(accepted.patient_id()), &accepted.actor())?;
        Ok(PatientConfirmed { detail: accepted.detail(), ..confirmed })
    }

    /// The hospital's setting says that transfers are imported as they are.
    fn by_setting(row: &TransferRow) -> Self {
        let detail = Confidential::new("patient confirmed");
        PatientConfirmed { transfer: row.id, by: "setting import.unattended".to_owned(), detail }
    }
}

/// Lets an opened transfer go to the PACS.
///
/// # Durability
/// When this returns, the decision survives a power cut and delivery goes on by itself.
///
/// # Errors
/// If the transfer is not open for it, or storage failed.
pub async fn import(road: &Road, row: &TransferRow, confirmed: PatientConfirmed) -> Result<(), StepError> {
    if confirmed.transfer != row.id {
        return Err(NotNow.into());
    }
    let audit = AuditRecord {
        at: road.now(),
        actor: confirmed.by,
        action: "import".to_owned(),
        transfer: Some(row.id),
        detail: confirmed.detail,
    };
    let changes = Changes { audit: vec![audit], ..Changes::default() };
    road.step_inbound(row, InboundEvent::PatientConfirmed, changes, Vec::new()).await.map(drop)
}

/// Refuses a transfer; the sender is told why, and where it belongs if a person said so.
///
/// # Errors
/// If it is too late for it, or storage failed.
pub async fn decline(
    road: &Road,
    row: &TransferRow,
    declining: &Declining,
    by: &str,
) -> Result<(), StepError> {
    let reason = declining.reason;
    let named = declining.belongs_at.as_ref().map(|named| format!(", belongs at {named}"));
    let audit = AuditRecord {
        at: road.now(),
        actor: by.to_owned(),
        action: "decline".to_owned(),
        transfer: Some(row.id),
        detail: Confidential::new(format!("{reason:?}{}", named.unwrap_or_default())),
    };
    let changes = Changes { audit: vec![audit], ..Changes::default() };
    let tell = serde_json::to_vec(declining).expect("codes are always JSON");
    road.step_inbound(row, InboundEvent::Declined(decline_reason(reason)), changes, tell).await.map(drop)
}

/// Looks before what the portal does not find is taken for lost.
const LOOKS_BEFORE_LOST: u32 = 3;

/// Whether the portal has lost bytes of a transfer that it still offers. Then the sender is told that it cannot be read,
/// so that it sends it again, instead of both sides waiting until it expires.
pub(crate) async fn lost_at_portal(road: &Road, row: &TransferRow) -> bool {
    if row.attempts < LOOKS_BEFORE_LOST {
        return false;
    }
    let is_offered = match road.portal.task(&row.id).await {
        Ok(task) => TaskStatus::from_code(&task.status) == Some(TaskStatus::Requested),
        Err(error) => {
            debug!(transfer = %row.id, %error, "the portal does not say whether it still offers a transfer");
            false
        }
    };
    if !is_offered {
        return false;
    }
    error!(transfer = %row.id, "the portal offers a transfer and has lost bytes of it; the sender is told");
    match decline(road, row, &DeclineCode::Unreadable.into(), "beeldboxd").await {
        Ok(()) => true,
        Err(error) => {
            road.step_failed(row, &error).await;
            true
        }
    }
}

/// Imports without a person, where the setting says so.
pub struct Unattended {
    road: Road,
    changes: watch::Receiver<u64>,
}

impl Unattended {
    /// For this road.
    pub fn new(road: Road) -> Self {
        let changes = road.custody.work();
        Unattended { road, changes }
    }

    async fn import_opened(&self) -> Result<(), StepError> {
        let mut cursor = None;
        loop {
            let page = self.road.custody.transfers(Direction::Inbound, cursor, 200).await?;
            let Some(last) = page.last() else { return Ok(()) };
            cursor = Some(last.cursor);
            for row in
                page.iter().filter(|row| matches!(row.state, State::Inbound(InboundState::Opened { .. })))
            {
                import(&self.road, row, PatientConfirmed::by_setting(row)).await?;
            }
        }
    }
}

impl Worker for Unattended {
    fn name(&self) -> &'static str {
        "import"
    }

    async fn work(&mut self) -> Worked {
        if self.road.settings.import_unattended
            && let Err(error) = self.import_opened().await
        {
            error!(%error, "an opened transfer could not be imported");
        }
        Worked::Idle
    }

    async fn wait(&mut self) {
        until_due(&self.road.custody, &self.road.clock, &mut self.changes).await;
    }
}
