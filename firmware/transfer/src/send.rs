//! Send: parts as they are, then the letter, then one commit at the portal.
//!
//! ```text
//!   Addressed ─► cut packs into parts ─► verify the recipient again ─► sign and seal the letter ─► commit: Sending
//!   Sending   ─► draft Task ─► ask what is missing ─► send it ─► letter ─► commit the Task ─► Accepted
//! ```
//!
//! Several transfers are under way at once ([`crate::several`]) and share one line ([`crate::line`]).
//!
//! From `Sending` on the letter's bytes are frozen: every retry sends the same. The portal's own list of what is
//! missing is the truth, our counter is for people; so resuming after anything is "send what is missing".

use std::collections::HashSet;
use std::time::Duration;

use beeldbox_custody::{
    AddresseeSnapshot, Changes, CollectionId, CustodyError, HoldReason, InstanceRow, KnownKey, OutboundState,
    PartRow, ReadError, State, TransferConfidential, TransferRow, WaitReason,
};
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::envelope::letter::{
    self, Letter, LetterError, ListedInstance, ListedPack, ListedPart, PART_LEN, Party,
};
use beeldbox_protocol::envelope::trust::TrustError;
use beeldbox_protocol::ident::{AddresseeId, Digest, TransferId, Ura};
use beeldbox_protocol::portal::fhir::Task;
use beeldbox_protocol::portal::task::{self, NewTransfer, PartEntry, TaskStatus, TransferNotice};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use jiff::Timestamp;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::addendum;
use crate::address::{AddressError, endpoint_of, look_up};
use crate::line::Traveller;
use crate::news;
use crate::outbound::OutboundEvent;
use crate::parallel::MOST;
use crate::portal_client::{Disposition, PortalError};
use crate::road::{Road, SigningCertificateExpired, StepError, after, retry};
use crate::several::Several;
use crate::worker::{Worked, Worker, due_now, until_due};

/// Parts of one transfer that wait for a slot of the line or have one. The line decides how many travel.
pub(crate) const PARTS_IN_HAND: usize = MOST as usize;

/// Pauses before a part is tried again on a line that broke. After the last the queue takes over.
pub(crate) const PART_PAUSES: [Duration; 3] =
    [Duration::from_millis(300), Duration::from_secs(1), Duration::from_secs(3)];

/// Instances read from the ledger at once.
const INSTANCE_PAGE: u32 = 1000;

/// Digests asked about in one question.
const MISSING_PAGE: usize = 1000;

/// Sends what is due.
pub struct Sender {
    road: Road,
    changes: watch::Receiver<u64>,
    under_way: Several,
}

/// Why a unit of sending did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error(transparent)]
    Portal(#[from] PortalError),
    #[error(transparent)]
    Step(#[from] StepError),
    #[error("the addressee cannot be sent to")]
    Address(#[source] AddressError),
    #[error("the letter cannot be sealed")]
    Letter(#[source] LetterError),
    #[error("the partner has another key than before")]
    KeyChanged,
    #[error(transparent)]
    Signer(#[from] SigningCertificateExpired),
    #[error("sealed bytes cannot be read back")]
    Read(#[from] ReadError),
    #[error("the row lacks what its state needs")]
    Incomplete,
    #[error("asked to stop")]
    Stopping,
}

impl From<CustodyError> for SendError {
    fn from(error: CustodyError) -> Self {
        SendError::Step(StepError::Custody(error))
    }
}

impl Sender {
    /// For this road.
    pub fn new(road: Road) -> Self {
        let changes = road.custody.work();
        Sender { road, changes, under_way: Several::default() }
    }
}

/// Whether this worker has something to do for a transfer in this state.
fn is_ours(state: &State) -> bool {
    match state {
        State::Outbound(OutboundState::Addressed { .. } | OutboundState::Sending { .. }) => true,
        State::Outbound(
            OutboundState::Collecting
            | OutboundState::Queued { .. }
            | OutboundState::Accepted { .. }
            | OutboundState::Fetched { .. }
            | OutboundState::Delivered { .. }
            | OutboundState::Erased { .. }
            | OutboundState::Held { .. }
            | OutboundState::Recalled { .. }
            | OutboundState::Declined { .. }
            | OutboundState::Expired { .. }
            | OutboundState::Failed { .. },
        )
        | State::Inbound(_) => false,
    }
}

/// One unit: the letter frozen, or everything uploaded. A failure becomes a state.
async fn send_on(road: Road, row: TransferRow) {
    let is_frozen = matches!(row.state, State::Outbound(OutboundState::Sending { .. }));
    let result = if is_frozen { upload(&road, &row).await } else { freeze(&road, &row).await };
    if let Err(failure) = result {
        give_back(&road, &row, failure).await;
    }
}

async fn give_back(road: &Road, row: &TransferRow, failure: SendError) {
    let disposition = match &failure {
        SendError::Stopping => return,
        SendError::Portal(portal) => portal.disposition(),
        SendError::Step(step) => return road.step_failed(row, step).await,
        SendError::KeyChanged => Disposition::Hold(HoldReason::RecipientKeyChanged),
        SendError::Signer(_) => Disposition::Hold(HoldReason::CertificateExpired),
        SendError::Address(address) => match address {
            AddressError::NotVerified(TrustError::Expired) => {
                Disposition::Hold(HoldReason::CertificateExpired)
            }
            AddressError::NotVerified(_) | AddressError::Ourselves => {
                Disposition::Hold(HoldReason::RecipientNotVerified)
            }
            // The directory may be behind; it is asked again before a person is.
            AddressError::UnknownAddressee | AddressError::CannotReceive => retry(WaitReason::OtherHospital),
            // The directory comes from where the parts go to.
            AddressError::DirectoryTooOld => retry(WaitReason::PortalUnreachable),
            AddressError::NotAcknowledged(_) | AddressError::NothingToSend => retry(WaitReason::Technician),
            AddressError::Step(step) => return road.step_failed(row, step).await,
        },
        SendError::Letter(_) | SendError::Incomplete => Disposition::Hold(HoldReason::RecipientNotVerified),
        SendError::Read(_) => Disposition::Hold(HoldReason::PackDamaged),
    };
    warn!(transfer = %row.id, error = %chain(&failure), "sending did not succeed");
    road.wait_or_hold(row, disposition).await;
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

impl Worker for Sender {
    fn name(&self) -> &'static str {
        "send"
    }

    async fn work(&mut self) -> Worked {
        for row in due_now(&self.road.custody, &self.road.clock).await {
            if is_ours(&row.state) && self.under_way.can_start(&row) {
                self.under_way.start(row.id, send_on(self.road.clone(), row));
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

/// Addressed → Sending: parts cut, recipient verified, letter signed and sealed.
async fn freeze(road: &Road, row: &TransferRow) -> Result<(), SendError> {
    let (Some(collection), Some(snapshot)) = (row.collection, &row.addressee) else {
        return Err(SendError::Incomplete);
    };
    road.check_signer()?;
    let (addressee, recipient) = look_up(road, &snapshot.id).map_err(SendError::Address)?;
    let endpoint = endpoint_of(&addressee);
    let key_id = recipient.key_id().to_string();
    match road.custody.known_key(&addressee.ura, &endpoint).await? {
        Some(known) if known.key_id != key_id => return Err(SendError::KeyChanged),
        Some(_) => {}
        None => {
            let (ura, key_id) = (addressee.ura.clone(), key_id.clone());
            let key = KnownKey { ura, endpoint, key_id, first_seen_at: road.now(), confirmed_by: None };
            road.custody.remember_key(key).await?;
        }
    }
    let parts = road.custody.make_parts(collection, PART_LEN).await?;
    let mut words = row.confidential.clone().ok_or(SendError::Incomplete)?;
    words.addendum = addendum::addendum_to(road, collection, &snapshot.ura).await?;
    let row = &TransferRow { confidential: Some(words.clone()), ..row.clone() };
    let letter = write_letter(road, row, collection, snapshot, &parts).await?;
    let sealed =
        letter::seal(&letter, &road.signer, &[&recipient], &*road.random).map_err(SendError::Letter)?;
    let parts_total = u32::try_from(parts.len()).map_err(|_| SendError::Incomplete)?;
    let addressee = Some(AddresseeSnapshot { key_id, ..snapshot.clone() });
    let changes =
        Changes { letter: Some(sealed), addressee, confidential: Some(words), ..Changes::default() };
    road.step_outbound(row, OutboundEvent::LetterFrozen { parts_total }, changes).await?;
    Ok(())
}

async fn write_letter(
    road: &Road,
    row: &TransferRow,
    collection: CollectionId,
    addressee: &AddresseeSnapshot,
    parts: &[PartRow],
) -> Result<Letter, SendError> {
    let TransferConfidential { note, reply_contact, patient, summaries, in_answer_to, addendum, .. } =
        row.confidential.clone().ok_or(SendError::Incomplete)?;
    let mut packs = Vec::new();
    for pack in road.custody.packs(collection).await? {
        let own = parts.iter().filter(|part| part.pack == pack.id);
        packs.push(ListedPack {
            id: pack.id,
            key: road.custody.pack_key(pack.id).await?,
            len: pack.len_bytes,
            parts: own.map(|part| ListedPart { sha256: part.digest, len: part.len }).collect(),
        });
    }
    let mut instances: Vec<ListedInstance> = Vec::new();
    let mut after_row = None;
    loop {
        let page = road.custody.instances(collection, after_row, INSTANCE_PAGE).await?;
        let Some(last) = page.last() else { break };
        after_row = Some(last.id);
        for instance in &page {
            let pack = packs.iter().position(|pack| pack.id == instance.pack).ok_or(SendError::Incomplete)?;
            instances.push(listed(instance, u32::try_from(pack).map_err(|_| SendError::Incomplete)?));
        }
    }
    let now = road.now();
    let sender = Party {
        ura: road.signer.ura().clone(),
        organisation: road.signer.name().to_owned(),
        department: None,
        addressee: None,
    };
    Ok(Letter {
        v: 1,
        transfer: row.id,
        sender,
        addressee: Party {
            ura: addressee.ura.clone(),
            organisation: addressee.name.clone(),
            department: addressee.department.clone(),
            addressee: Some(addressee.id.clone()),
        },
        written_at: now,
        valid_until: after(now, road.settings.valid_for),
        urgent: row.urgent,
        patient,
        studies: summaries,
        note: filled(note),
        reply_contact: filled(reply_contact),
        instances,
        packs,
        about: addendum.as_ref().map(addendum::as_about),
        in_answer_to,
    })
}

fn filled(text: Confidential) -> Option<Confidential> {
    (!text.is_empty()).then_some(text)
}

fn listed(instance: &InstanceRow, pack: u32) -> ListedInstance {
    ListedInstance {
        class: instance.sop_class.clone(),
        instance: instance.sop_instance.clone(),
        study: instance.study.clone(),
        series: instance.series.clone(),
        syntax: instance.transfer_syntax.clone(),
        size: instance.size_bytes,
        sha256: instance.digest,
        pack,
        frame: instance.frame_index,
        at: instance.frame_offset,
        sealed: instance.frame_len,
    }
}

/// Sending → Accepted: whatever the portal misses, the letter, the commit.
async fn upload(road: &Road, row: &TransferRow) -> Result<(), SendError> {
    let (Some(collection), Some(addressee)) = (row.collection, &row.addressee) else {
        return Err(SendError::Incomplete);
    };
    let letter = road.custody.letter(row.id).await?.ok_or(SendError::Incomplete)?;
    let parts = road.custody.parts(collection).await?;
    let draft = draft_of(road, row, &addressee.ura, &addressee.id, row.urgent);
    // Later, the row has changed by progress, while the letter's end is frozen.
    let is_first = matches!(row.state, State::Outbound(OutboundState::Sending { parts_done: 0, .. }));
    let task = draft_at_portal(road, row.id, draft, is_first).await?;
    // A commit whose answer was lost is not repeated: the Task says that it was taken.
    if status_of(&task)? == TaskStatus::Draft {
        send_missing_parts(road, row, &parts).await?;
        road.portal.put_letter(&row.id, Bytes::from(letter), row.urgent).await?;
    }
    commit(road, row, &parts).await
}

/// The draft of a transfer as it is now. Its end counts from when the row last changed, which is when the letter was frozen
/// if nothing was sent since: the study may have waited long for an addressee.
pub(crate) fn draft_of(
    road: &Road,
    row: &TransferRow,
    ura: &Ura,
    addressee: &AddresseeId,
    urgent: bool,
) -> Task {
    let new = NewTransfer {
        transfer: row.id,
        sender: road.signer.ura().clone(),
        addressee_ura: ura.clone(),
        addressee: addressee.clone(),
        urgent,
        at: row.created_at,
        valid_until: after(row.changed_at, road.settings.valid_for),
    };
    new.draft()
}

/// Makes the transfer's draft at the portal, or brings the one that is there up to date: parts may have gone ahead for
/// another addressee, and long before the letter was frozen; its end is renewed where that is asked for. Gives the Task as
/// it is then.
pub(crate) async fn draft_at_portal(
    road: &Road,
    transfer: TransferId,
    draft: Task,
    renews_end: bool,
) -> Result<Task, SendError> {
    let created = road.portal.create_task(&transfer, &draft).await;
    road.note_portal(&created);
    created?;
    let there = road.portal.task(&transfer).await?;
    let ends_too_early = end_of(&there) < end_of(&draft);
    let restriction =
        if renews_end && ends_too_early { draft.restriction } else { there.restriction.clone() };
    let is_current =
        there.owner == draft.owner && there.priority == draft.priority && there.restriction == restriction;
    if is_current || status_of(&there)? != TaskStatus::Draft {
        return Ok(there);
    }
    let current = Task { owner: draft.owner, priority: draft.priority, restriction, ..there };
    road.portal.update_task(&transfer, &current).await?;
    Ok(road.portal.task(&transfer).await?)
}

/// Until when the portal offers a transfer.
fn end_of(task: &Task) -> Option<Timestamp> {
    task.restriction.as_ref()?.period.as_ref()?.end
}

/// Sends parts, several at a time, in whatever order they get there. Gives each as it is there.
pub(crate) fn send_parts(
    road: &Road,
    traveller: Traveller,
    parts: Vec<PartRow>,
) -> impl Stream<Item = Result<PartRow, SendError>> + use<> {
    let road = road.clone();
    let uploads = parts.into_iter().map(move |part| {
        let road = road.clone();
        async move { send_part(&road, traveller, &part).await.map(|()| part) }
    });
    stream::iter(uploads).buffer_unordered(PARTS_IN_HAND)
}

/// Sends one part. A line that breaks is tried again a few times, because the queue's pauses are made for outages.
async fn send_part(road: &Road, traveller: Traveller, part: &PartRow) -> Result<(), SendError> {
    let mut pauses = PART_PAUSES.iter();
    loop {
        let slot = road.portal.line_up().slot(traveller).await;
        if road.stop.is_cancelled() {
            return Err(SendError::Stopping);
        }
        let bytes = road.custody.read_part(part).await?;
        match road.portal.put_part(&traveller.transfer, &part.digest, bytes, traveller.urgent).await {
            Ok(()) => {
                slot.done(part.len);
                return Ok(());
            }
            Err(error) => {
                if error.is_trouble() {
                    slot.trouble();
                }
                let PortalError::Unreachable(_) = error else { return Err(error.into()) };
                let Some(pause) = pauses.next() else { return Err(error.into()) };
                info!(transfer = %traveller.transfer, error = %chain(&error), "the line broke: a part is sent again");
                tokio::time::sleep(*pause).await;
            }
        }
        // Perhaps it was only the answer that was lost.
        let missing = road.portal.missing_parts(&traveller.transfer, vec![part.digest]).await;
        if missing.is_ok_and(|missing| missing.is_empty()) {
            return Ok(());
        }
    }
}

fn status_of(task: &Task) -> Result<TaskStatus, PortalError> {
    TaskStatus::from_code(&task.status).ok_or(PortalError::NotUnderstood("unknown status"))
}

/// Which of these parts the portal does not have for a transfer. Asked before the first is sent: a portal may take over
/// what it has from an earlier transfer of ours.
pub(crate) async fn missing_at_portal(
    road: &Road,
    transfer: TransferId,
    parts: &[PartRow],
) -> Result<HashSet<Digest>, SendError> {
    let mut missing = HashSet::new();
    let digests: Vec<Digest> = parts.iter().map(|part| part.digest).collect();
    for page in digests.chunks(MISSING_PAGE) {
        missing.extend(road.portal.missing_parts(&transfer, page.to_vec()).await?);
    }
    Ok(missing)
}

async fn send_missing_parts(road: &Road, row: &TransferRow, parts: &[PartRow]) -> Result<(), SendError> {
    let missing = missing_at_portal(road, row.id, parts).await?;
    let mut done = parts.iter().filter(|part| !missing.contains(&part.digest)).count();
    let mut row = row.clone();
    progress(road, &mut row, done).await?;
    let traveller = Traveller { transfer: row.id, urgent: row.urgent };
    let to_send: Vec<PartRow> = parts.iter().filter(|part| missing.contains(&part.digest)).cloned().collect();
    let mut uploads = std::pin::pin!(send_parts(road, traveller, to_send));
    while let Some(result) = uploads.next().await {
        result?;
        done += 1;
        progress(road, &mut row, done).await?;
        if road.stop.is_cancelled() {
            return Err(SendError::Stopping);
        }
    }
    Ok(())
}

/// Notes progress for people. The row in hand follows, so that the next move names the state it is in.
async fn progress(road: &Road, row: &mut TransferRow, done: usize) -> Result<(), SendError> {
    let parts_done = u32::try_from(done).map_err(|_| SendError::Incomplete)?;
    if let Some(state) =
        road.step_outbound(row, OutboundEvent::PartsSent { parts_done }, Changes::default()).await?
    {
        row.state = State::Outbound(state);
    }
    Ok(())
}

async fn commit(road: &Road, row: &TransferRow, parts: &[PartRow]) -> Result<(), SendError> {
    let now_there = road.portal.task(&row.id).await?;
    if status_of(&now_there)? == TaskStatus::Draft {
        let entries: Vec<PartEntry> =
            parts.iter().map(|part| PartEntry { digest: part.digest, len: part.len }).collect();
        road.portal.update_task(&row.id, &task::commit(now_there, &entries)).await?;
    }
    let task = road.portal.task(&row.id).await?;
    let notice = TransferNotice::read(&task).map_err(|_| PortalError::NotUnderstood("not a transfer"))?;
    let row = road.custody.transfer(row.id).await?.ok_or(SendError::Incomplete)?;
    // A draft that was recalled or expired was never accepted.
    let event = news::end_told(&notice).unwrap_or(OutboundEvent::PortalAccepted);
    let changes = Changes { task: Some((row.id.to_string(), notice.version)), ..Changes::default() };
    road.step_outbound(&row, event, changes).await?;
    Ok(())
}
