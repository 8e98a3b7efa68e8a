//! Deliver, as `transfer::deliver` does it: one instance after the other, progress committed every so many.

use beeldbox_custody::{HoldReason, InboundState, State, WaitReason};
use beeldbox_protocol::admin::{ReceiptStage, RefusedInstance};
use beeldbox_transfer::inbound::InboundEvent;
use beeldbox_transfer::portal_client::Disposition;

use crate::fetch::receipt;
use crate::ledger::{Changes, LedgerError, Row};
use crate::letter::Instance;
use crate::line::{PacsAnswer, ask_pacs};
use crate::mutant::Mutant;
use crate::pacs::{OUT_OF_RESOURCES, STORED};
use crate::road::{Road, StepError};

/// As in `transfer::deliver`.
pub const COMMIT_EVERY: usize = 32;

/// Why a unit of delivering did not succeed.
enum DeliverError {
    Pacs(PacsAnswer),
    PacsBusy,
    Step(StepError),
    Incomplete,
}

impl From<StepError> for DeliverError {
    fn from(error: StepError) -> Self {
        DeliverError::Step(error)
    }
}

impl From<LedgerError> for DeliverError {
    fn from(error: LedgerError) -> Self {
        DeliverError::Step(StepError::Ledger(error))
    }
}

/// The worker.
pub async fn run(road: Road) {
    loop {
        let due = road.due().await;
        let ready = due.iter().find(|row| {
            matches!(
                row.state,
                State::Inbound(InboundState::Reconciled { .. } | InboundState::Delivering { .. })
            )
        });
        let Some(row) = ready else {
            road.until_due().await;
            continue;
        };
        let result = deliver(&road, row).await;
        handle(&road, row, result).await;
    }
}

async fn handle(road: &Road, row: &Row, result: Result<(), DeliverError>) {
    let disposition = match result {
        Ok(()) => return,
        Err(DeliverError::Pacs(answer)) => match answer.hold() {
            Some(reason) => Disposition::Hold(reason),
            None => Disposition::Retry(WaitReason::PacsUnreachable, None),
        },
        Err(DeliverError::PacsBusy) => Disposition::Retry(WaitReason::PacsBusy, None),
        Err(DeliverError::Step(step)) => return road.step_failed(row, step).await,
        Err(DeliverError::Incomplete) => Disposition::Hold(HoldReason::LetterUnreadable),
    };
    // The row may have moved while instances were settled.
    if let Some(row) = road.row(row.id).await {
        road.wait_or_hold(&row, disposition).await;
    }
}

async fn deliver(road: &Road, row: &Row) -> Result<(), DeliverError> {
    let collection = row.collection.ok_or(DeliverError::Incomplete)?;
    let study = road.look(move |ledger| ledger.collections.get(&collection).cloned()).await;
    let instances = study.ok_or(DeliverError::Incomplete)?.instances;
    let mut row = road.row(row.id).await.ok_or(DeliverError::Incomplete)?;
    settle(road, &mut row, &instances, Vec::new()).await?;
    if instances.iter().any(|instance| !row.delivery.contains_key(instance)) {
        match ask_pacs(&road.sim, road.at, None).await {
            PacsAnswer::Status(_) => {}
            answer @ (PacsAnswer::Unreachable | PacsAnswer::RefusesUs) => {
                return Err(DeliverError::Pacs(answer));
            }
        }
    }
    store_all(road, &mut row, &instances).await?;
    finish(road, &row, &instances).await
}

async fn store_all(road: &Road, row: &mut Row, instances: &[Instance]) -> Result<(), DeliverError> {
    let mut fresh = Vec::new();
    let mut outcome = Ok(());
    let open: Vec<Instance> =
        instances.iter().filter(|instance| !row.delivery.contains_key(instance)).copied().collect();
    for instance in open {
        match ask_pacs(&road.sim, road.at, Some(instance)).await {
            PacsAnswer::Status(OUT_OF_RESOURCES) => outcome = Err(DeliverError::PacsBusy),
            PacsAnswer::Status(status) => fresh.push((instance, status)),
            answer @ (PacsAnswer::Unreachable | PacsAnswer::RefusesUs) => {
                outcome = Err(DeliverError::Pacs(answer));
            }
        }
        if outcome.is_err() {
            break;
        }
        if fresh.len() >= COMMIT_EVERY {
            settle(road, row, instances, std::mem::take(&mut fresh)).await?;
        }
    }
    // What was settled before a failure stays settled.
    settle(road, row, instances, fresh).await?;
    outcome
}

async fn settle(
    road: &Road,
    row: &mut Row,
    instances: &[Instance],
    fresh: Vec<(Instance, u16)>,
) -> Result<(), DeliverError> {
    if !fresh.is_empty() {
        row.delivery.extend(fresh.iter().copied());
        if !road.breaks(Mutant::DeliveryNotNoted) {
            let id = row.id;
            let noted = move |ledger: &mut crate::ledger::Ledger| {
                let row = ledger.rows.get_mut(&id).ok_or(LedgerError::Unknown)?;
                row.delivery.extend(fresh);
                Ok::<_, LedgerError>(())
            };
            road.commit(noted).await?;
        }
    }
    let count = |number: usize| u32::try_from(number).map_err(|_| DeliverError::Incomplete);
    let (settled, of) = (count(row.delivery.len())?, count(instances.len())?);
    let event = InboundEvent::InstancesSettled { settled, of };
    if let Some(state) = road.step_inbound(row, event, Changes::default(), Vec::new()).await? {
        row.state = State::Inbound(state);
    }
    Ok(())
}

async fn finish(road: &Road, row: &Row, instances: &[Instance]) -> Result<(), DeliverError> {
    let mut refused = Vec::new();
    for (position, instance) in instances.iter().enumerate() {
        let status = row.delivery.get(instance).copied().ok_or(DeliverError::Incomplete)?;
        if status != STORED {
            let position = u32::try_from(position).map_err(|_| DeliverError::Incomplete)?;
            refused.push(RefusedInstance { position, status });
        }
    }
    let of = u32::try_from(instances.len()).map_err(|_| DeliverError::Incomplete)?;
    let stored = of - u32::try_from(refused.len()).map_err(|_| DeliverError::Incomplete)?;
    let receipt = receipt(road, row, ReceiptStage::InPacs, stored, of, refused)?;
    let changes = Changes { receipt: Some(2), ..Changes::default() };
    road.step_inbound(row, InboundEvent::AllSettled { stored, of }, changes, receipt).await?;
    Ok(())
}
