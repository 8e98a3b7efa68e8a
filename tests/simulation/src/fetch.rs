//! Fetch and authenticate, as `transfer::fetch` does it.

use beeldbox_custody::{HoldReason, InboundState, State};
use beeldbox_protocol::admin::{ReceiptStage, RefusedInstance};
use beeldbox_protocol::envelope::receipt::Receipt;
use beeldbox_protocol::ident::Digest;
use beeldbox_transfer::inbound::InboundEvent;
use beeldbox_transfer::portal_client::{Disposition, PortalError};

use crate::ledger::{Changes, LedgerError, Row};
use crate::letter::write_receipt;
use crate::line::LineError;
use crate::mutant::Mutant;
use crate::portal::{Answer, Request};
use crate::road::{Road, StepError};
use crate::tally::Sometimes;

/// Why a unit of fetching did not succeed.
enum FetchError {
    Line(LineError),
    Step(StepError),
    LetterExpired,
    Incomplete,
}

impl From<LineError> for FetchError {
    fn from(error: LineError) -> Self {
        FetchError::Line(error)
    }
}

impl From<StepError> for FetchError {
    fn from(error: StepError) -> Self {
        FetchError::Step(error)
    }
}

impl From<LedgerError> for FetchError {
    fn from(error: LedgerError) -> Self {
        FetchError::Step(StepError::Ledger(error))
    }
}

/// The worker.
pub async fn run(road: Road) {
    loop {
        if !work(&road).await {
            road.until_due().await;
        }
    }
}

async fn work(road: &Road) -> bool {
    for row in &road.due().await {
        let State::Inbound(state) = &row.state else { continue };
        let result = match state {
            InboundState::Announced => fetch_letter(road, row).await,
            InboundState::Fetching { .. } => fetch_parts(road, row).await,
            InboundState::Opened { .. }
            | InboundState::Reconciled { .. }
            | InboundState::Delivering { .. }
            | InboundState::Delivered { .. }
            | InboundState::Reported { .. }
            | InboundState::Erased { .. }
            | InboundState::Held { .. }
            | InboundState::Recalled { .. }
            | InboundState::Declined { .. }
            | InboundState::Expired { .. }
            | InboundState::Failed { .. } => continue,
        };
        match result {
            Ok(()) => {}
            Err(FetchError::Line(error)) => road.wait_or_hold(row, error.disposition()).await,
            Err(FetchError::Step(step)) => road.step_failed(row, step).await,
            Err(FetchError::LetterExpired) => {
                road.sim.with(|world| world.tally.count(Sometimes::LetterExpired));
                let expired = InboundEvent::Expired;
                if let Err(error) = road.step_inbound(row, expired, Changes::default(), Vec::new()).await {
                    road.step_failed(row, error).await;
                }
            }
            Err(FetchError::Incomplete) => {
                road.wait_or_hold(row, Disposition::Hold(HoldReason::LetterUnreadable)).await;
            }
        }
        return true;
    }
    false
}

/// Announced → Fetching.
async fn fetch_letter(road: &Road, row: &Row) -> Result<(), FetchError> {
    let Answer::Letter(letter) = road.ask(Request::GetLetter(row.id)).await? else {
        return Err(LineError::Portal(PortalError::NotUnderstood("not a letter")).into());
    };
    if road.now() > letter.valid_until {
        return Err(FetchError::LetterExpired);
    }
    let parts_total = u32::try_from(letter.parts.len()).map_err(|_| FetchError::Incomplete)?;
    let (id, listed) = (row.id, letter.clone());
    road.commit(move |ledger| ledger.adopt(id, &listed)).await?;
    let row = road.row(row.id).await.ok_or(FetchError::Incomplete)?;
    let sender = Some(letter.sender.clone());
    let changes = Changes { letter: Some(letter), sender, ..Changes::default() };
    road.step_inbound(&row, InboundEvent::LetterOpened { parts_total }, changes, Vec::new()).await?;
    Ok(())
}

/// Fetching → Opened.
async fn fetch_parts(road: &Road, row: &Row) -> Result<(), FetchError> {
    let collection = row.collection.ok_or(FetchError::Incomplete)?;
    let study = road.look(move |ledger| ledger.collections.get(&collection).cloned()).await;
    let study = study.ok_or(FetchError::Incomplete)?;
    let missing: Vec<Digest> =
        study.parts.iter().filter(|(_, is_here)| !**is_here).map(|(part, _)| *part).collect();
    let mut done = study.parts.len() - missing.len();
    let mut row = row.clone();
    if road.breaks(Mutant::ReceiptBeforeParts) {
        return authenticate(road, &row, study.instances.len()).await;
    }
    progress(road, &mut row, done).await?;
    for part in missing {
        road.ask(Request::GetPart(row.id, part)).await?;
        road.commit(move |ledger| ledger.part_is_here(collection, part)).await?;
        done += 1;
        progress(road, &mut row, done).await?;
    }
    authenticate(road, &row, study.instances.len()).await
}

async fn progress(road: &Road, row: &mut Row, done: usize) -> Result<(), FetchError> {
    let parts_done = u32::try_from(done).map_err(|_| FetchError::Incomplete)?;
    let event = InboundEvent::PartsFetched { parts_done };
    if let Some(state) = road.step_inbound(row, event, Changes::default(), Vec::new()).await? {
        row.state = State::Inbound(state);
    }
    Ok(())
}

async fn authenticate(road: &Road, row: &Row, count: usize) -> Result<(), FetchError> {
    let count = u32::try_from(count).map_err(|_| FetchError::Incomplete)?;
    let receipt = receipt(road, row, ReceiptStage::InCustody, count, count, Vec::new())?;
    let changes = Changes { receipt: Some(1), ..Changes::default() };
    road.step_inbound(row, InboundEvent::AllAuthenticated, changes, receipt).await?;
    Ok(())
}

/// A receipt about an inbound transfer.
pub fn receipt(
    road: &Road,
    row: &Row,
    stage: ReceiptStage,
    stored: u32,
    of: u32,
    refused: Vec<RefusedInstance>,
) -> Result<Vec<u8>, StepError> {
    let (Some(letter), Some(sender)) = (&row.letter, &row.sender) else { return Err(StepError::NotNow) };
    let receipt = Receipt {
        v: 1,
        transfer: row.id,
        letter: letter.digest(),
        stage,
        by: road.ura(),
        to: sender.clone(),
        stored,
        of,
        refused,
        at: road.now(),
    };
    Ok(write_receipt(&receipt).into_bytes())
}
