//! Fetch: the letter, then every part, digests compared and flushed before they count.
//!
//! ```text
//!   Announced ─► letter ─► opened, sender verified ─► what it lists is written down: Fetching
//!   Fetching  ─► missing parts, several at a time ─► every frame authenticated ─► Opened, receipt 1 queued
//! ```
//!
//! The letter comes first because it says which parts there are and under which key they open; nothing the portal says
//! about them is believed. A part that is on disk is never fetched again, and of a part in which the line broke only
//! the rest. Several transfers are under way at once ([`crate::several`]) and share one line ([`crate::line`]).

use beeldbox_custody::{
    AuditRecord, Changes, CollectionId, CustodyError, Desk, HoldReason, InboundState, PartRow, ReadError,
    SenderSnapshot, State, TransferConfidential, TransferRow,
};
use beeldbox_protocol::admin::ReceiptStage;
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::envelope::letter::{Letter, LetterError, MAX_LETTER_LEN, SenderVerified};
use beeldbox_protocol::envelope::receipt::Receipt;
use beeldbox_protocol::ident::Digest;
use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::addendum;
use crate::inbound::InboundEvent;
use crate::line::Traveller;
use crate::open;
use crate::portal_client::{Disposition, PortalError};
use crate::reconcile;
use crate::request;
use crate::road::{Road, SigningCertificateExpired, StepError};
use crate::send::{PART_PAUSES, PARTS_IN_HAND, chain};
use crate::several::Several;
use crate::worker::{Worked, Worker, due_now, until_due};

/// Fetches what is due.
pub struct Fetcher {
    road: Road,
    changes: watch::Receiver<u64>,
    under_way: Several,
}

/// Why a unit of fetching did not succeed.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Portal(#[from] PortalError),
    #[error(transparent)]
    Step(#[from] StepError),
    #[error("the letter is refused")]
    Letter(#[from] LetterError),
    #[error("a frame is refused")]
    Read(#[from] ReadError),
    #[error("what arrived is not what the letter lists")]
    Differs,
    #[error(transparent)]
    Signer(#[from] SigningCertificateExpired),
    #[error("the row lacks what its state needs")]
    Incomplete,
    #[error("asked to stop")]
    Stopping,
}

impl From<CustodyError> for FetchError {
    fn from(error: CustodyError) -> Self {
        FetchError::Step(StepError::Custody(error))
    }
}

impl Fetcher {
    /// For this road.
    pub fn new(road: Road) -> Self {
        let changes = road.custody.work();
        Fetcher { road, changes, under_way: Several::default() }
    }
}

/// Whether this worker has something to do for a transfer in this state.
fn is_ours(state: &State) -> bool {
    match state {
        State::Inbound(InboundState::Announced | InboundState::Fetching { .. }) => true,
        State::Inbound(
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
            | InboundState::Failed { .. },
        )
        | State::Outbound(_) => false,
    }
}

/// One unit: the letter opened, or everything fetched and authenticated. A failure becomes a state.
async fn fetch_on(road: Road, row: TransferRow) {
    let has_letter = matches!(row.state, State::Inbound(InboundState::Fetching { .. }));
    let result = if has_letter { fetch_parts(&road, &row).await } else { fetch_letter(&road, &row).await };
    if let Err(failure) = result {
        give_back(&road, &row, failure).await;
    }
}

async fn give_back(road: &Road, row: &TransferRow, failure: FetchError) {
    let disposition = match &failure {
        FetchError::Stopping => return,
        FetchError::Portal(PortalError::NotFound) if reconcile::lost_at_portal(road, row).await => return,
        FetchError::Portal(portal) => portal.disposition(),
        FetchError::Step(StepError::Custody(CustodyError::OutOfSpace)) => {
            Disposition::Retry(beeldbox_custody::WaitReason::DiskFull, None)
        }
        // The same packs are here for an earlier transfer; this one waits until that one is erased.
        FetchError::Step(StepError::Custody(CustodyError::PackAlreadyHere)) => {
            Disposition::Retry(beeldbox_custody::WaitReason::Technician, None)
        }
        FetchError::Step(StepError::Custody(CustodyError::PartDiffers)) => {
            Disposition::Hold(HoldReason::DigestMismatch)
        }
        FetchError::Step(StepError::Custody(CustodyError::NotConsistent { .. })) => {
            Disposition::Hold(HoldReason::LetterUnreadable)
        }
        FetchError::Step(step) => return road.step_failed(row, step).await,
        FetchError::Letter(LetterError::Expired) => return expire(road, row).await,
        FetchError::Letter(letter) => Disposition::Hold(hold_reason(letter)),
        FetchError::Read(_) | FetchError::Differs => Disposition::Hold(HoldReason::DigestMismatch),
        FetchError::Signer(_) => Disposition::Hold(HoldReason::CertificateExpired),
        FetchError::Incomplete => Disposition::Hold(HoldReason::LetterUnreadable),
    };
    warn!(transfer = %row.id, error = %chain(&failure), "fetching did not succeed");
    road.wait_or_hold(row, disposition).await;
}

async fn expire(road: &Road, row: &TransferRow) {
    let step = road.step_inbound(row, InboundEvent::Expired, Changes::default(), Vec::new()).await;
    if let Err(error) = step {
        road.step_failed(row, &error).await;
    }
}

fn hold_reason(refused: &LetterError) -> HoldReason {
    match refused {
        LetterError::Sender(_) => HoldReason::SenderNotVerified,
        LetterError::AddressedToSomeoneElse { .. } => HoldReason::AddressedToSomeoneElse,
        LetterError::Malformed(_)
        | LetterError::UnknownSuite { .. }
        | LetterError::NotForOurKey
        | LetterError::DoesNotAuthenticate
        | LetterError::OtherTransfer
        | LetterError::Expired
        | LetterError::Inconsistent(_) => HoldReason::LetterUnreadable,
    }
}

impl Worker for Fetcher {
    fn name(&self) -> &'static str {
        "fetch"
    }

    async fn work(&mut self) -> Worked {
        self.road.portal.forget_old_partials();
        for row in due_now(&self.road.custody, &self.road.clock).await {
            if is_ours(&row.state) && self.under_way.can_start(&row) {
                self.under_way.start(row.id, fetch_on(self.road.clone(), row));
            }
        }
        Worked::Idle
    }

    async fn wait(&mut self) {
        tokio::select! {
            () = until_due(&self.road.custody, &self.road.clock, &mut self.changes) => {}
            () = self.under_way.one_ends() => {}
        }
    }

    async fn finish(&mut self) {
        self.under_way.all_end().await;
    }
}

/// Announced → Fetching.
async fn fetch_letter(road: &Road, row: &TransferRow) -> Result<(), FetchError> {
    let limit = u64::try_from(MAX_LETTER_LEN).unwrap_or(u64::MAX);
    let fetched = road.portal.letter(&row.id, limit).await;
    road.note_portal(&fetched);
    let sealed = fetched?;
    let (letter, sender) = open::open_transfer(road, &row.id, &sealed)?;
    let parts_total = letter.packs.iter().map(|pack| pack.parts.len()).sum::<usize>();
    let parts_total = u32::try_from(parts_total).map_err(|_| FetchError::Incomplete)?;
    road.custody.adopt_collection(row.id, open::adopted(&letter), road.now()).await?;
    let row = road.custody.transfer(row.id).await?.ok_or(FetchError::Incomplete)?;
    let (requests, audit) = request::answered_by(road, &letter, &sender).await?;
    let changes = Changes {
        requests,
        audit,
        letter: Some(sealed.to_vec()),
        urgent: Some(letter.urgent),
        sender: Some(snapshot(&letter, &sender)),
        confidential: Some(confidential(&letter)),
        ..Changes::default()
    };
    road.step_inbound(&row, InboundEvent::LetterOpened { parts_total }, changes, Vec::new()).await?;
    Ok(())
}

fn snapshot(letter: &Letter, sender: &SenderVerified) -> SenderSnapshot {
    SenderSnapshot {
        ura: sender.organisation().ura().clone(),
        name: sender.organisation().name().to_owned(),
        department: letter.sender.department.clone(),
    }
}

fn confidential(letter: &Letter) -> TransferConfidential {
    TransferConfidential {
        note: letter.note.clone().unwrap_or_default(),
        reply_contact: letter.reply_contact.clone().unwrap_or_default(),
        requested_by: String::new(),
        patient: letter.patient.clone(),
        summaries: letter.studies.clone(),
        in_answer_to: letter.in_answer_to,
        addendum: addendum::said_by(letter),
        desk: Some(Desk {
            addressee: letter.addressee.addressee.clone(),
            name: letter.addressee.department.clone(),
        }),
        filing: None,
        proposal: None,
    }
}

/// Fetching → Opened.
async fn fetch_parts(road: &Road, row: &TransferRow) -> Result<(), FetchError> {
    let collection = row.collection.ok_or(FetchError::Incomplete)?;
    let all = road.custody.parts(collection).await?.len();
    let missing = road.custody.missing_parts(collection).await?;
    let mut done = all - missing.len().min(all);
    let mut row = row.clone();
    progress(road, &mut row, done).await?;
    let traveller = Traveller { transfer: row.id, urgent: row.urgent };
    let downloads = missing.into_iter().map(|part: PartRow| {
        let road = road.clone();
        async move { fetch_part(&road, traveller, &part).await }
    });
    let mut downloads = stream::iter(downloads).buffer_unordered(PARTS_IN_HAND);
    while let Some(result) = downloads.next().await {
        result?;
        done += 1;
        progress(road, &mut row, done).await?;
        if road.stop.is_cancelled() {
            return Err(FetchError::Stopping);
        }
    }
    drop(downloads);
    authenticate(road, &row, collection).await
}

/// Fetches one part and writes it down. A line that breaks is tried again a few times where it broke; an attempt that
/// brought something does not count.
async fn fetch_part(road: &Road, traveller: Traveller, part: &PartRow) -> Result<(), FetchError> {
    let mut pauses = PART_PAUSES.iter();
    let mut begun = 0;
    loop {
        let slot = road.portal.line_down().slot(traveller).await;
        if road.stop.is_cancelled() {
            return Err(FetchError::Stopping);
        }
        match road.portal.part(traveller, &part.digest, part.len).await {
            Ok(bytes) => {
                road.custody.write_part(part.pack, part.index, bytes, road.now()).await?;
                slot.done(part.len);
                return Ok(());
            }
            Err(error) => {
                if error.is_trouble() {
                    slot.trouble();
                }
                let PortalError::Unreachable(_) = error else { return Err(error.into()) };
                let now_begun = road.portal.begun(traveller.transfer, part.digest);
                if now_begun > begun {
                    (begun, pauses) = (now_begun, PART_PAUSES.iter());
                }
                let Some(pause) = pauses.next() else { return Err(error.into()) };
                info!(transfer = %traveller.transfer, error = %chain(&error), "the line broke: a part is taken up again");
                tokio::time::sleep(*pause).await;
            }
        }
    }
}

async fn progress(road: &Road, row: &mut TransferRow, done: usize) -> Result<(), FetchError> {
    let parts_done = u32::try_from(done).map_err(|_| FetchError::Incomplete)?;
    let event = InboundEvent::PartsFetched { parts_done };
    if let Some(state) = road.step_inbound(row, event, Changes::default(), Vec::new()).await? {
        row.state = State::Inbound(state);
    }
    Ok(())
}

/// Every frame is opened and compared with the letter before anything of the transfer may be used: a transfer is
/// genuine as a whole or not at all.
async fn authenticate(road: &Road, row: &TransferRow, collection: CollectionId) -> Result<(), FetchError> {
    let mut after = None;
    let mut count: u32 = 0;
    loop {
        let page = road.custody.instances(collection, after, 500).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for instance in &page {
            if road.custody.verify_instance(instance).await? != instance.digest {
                return Err(FetchError::Differs);
            }
            count += 1;
            if road.stop.is_cancelled() {
                return Err(FetchError::Stopping);
            }
        }
    }
    road.check_signer()?;
    let receipt = sign_receipt(road, row, ReceiptStage::InCustody, count, count, Vec::new())?;
    let audit = AuditRecord {
        at: road.now(),
        actor: "beeldboxd".to_owned(),
        action: "open".to_owned(),
        transfer: Some(row.id),
        detail: Confidential::new(format!("{count} instances authenticated")),
    };
    let changes = Changes { receipt: Some((1, receipt.clone())), audit: vec![audit], ..Changes::default() };
    road.step_inbound(row, InboundEvent::AllAuthenticated, changes, receipt).await?;
    Ok(())
}

/// A signed receipt about an inbound transfer.
pub(crate) fn sign_receipt(
    road: &Road,
    row: &TransferRow,
    stage: ReceiptStage,
    stored: u32,
    of: u32,
    refused: Vec<beeldbox_protocol::admin::RefusedInstance>,
) -> Result<Vec<u8>, StepError> {
    let (Some(letter), Some(sender)) = (row.letter_digest, &row.sender) else {
        return Err(StepError::NotNow(crate::effect::NotNow));
    };
    let letter: Digest = letter;
    let receipt = Receipt {
        v: 1,
        transfer: row.id,
        letter,
        stage,
        by: road.signer.ura().clone(),
        to: sender.ura.clone(),
        stored,
        of,
        refused,
        at: road.now(),
    };
    Ok(receipt.sign(&road.signer, &*road.random).into_bytes())
}
