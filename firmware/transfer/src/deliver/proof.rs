//! Proof that the PACS has what it was given, the best that it offers:
//!
//! ```text
//!   storage commitment ─ offered ─► asked once for all ─► answer on the same association, or on one that it opens
//!        │ not offered, not answered in time
//!        ▼
//!   C-FIND by name ─► all there │ some missing: asked again for a while, then not confirmed
//!        │ not offered, or without names
//!        ▼
//!   C-FIND count   ─► enough    │ what C-STORE answered
//! ```
//!
//! A question is kept in memory only. After a restart it is asked anew, under a new name, and nothing is sent again: what was
//! settled stands in the ledger. PS3.4 annexes C and J.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use beeldbox_custody::{InboundKind, InstanceRow, Kind};
use beeldbox_dicom::{
    AssociateError, AssociationInfo, AssociationLimits, CommitmentError, CommitmentRequest, CommitmentResult,
    DimseStatus, QueryError, ReferencedInstance, Refusal, count_instances, request_commitment,
};
use beeldbox_protocol::ident::{SopInstanceUid, TransactionUid, TransferId};
use jiff::Timestamp;
use tracing::{debug, info, warn};

use super::already_there::{held, studies};
use super::settled::NOT_CONFIRMED;
use super::{DeliverError, Delivery};
use crate::road::{Road, after};

/// How long the association that asks is kept open for the answer.
const SAME_ASSOCIATION: Duration = Duration::from_secs(2);
/// How long an answer on another association is waited for. Archives that move to tape first answer within minutes.
const COMMITMENT: Duration = Duration::from_secs(600);
/// Longest pause until somebody looks whether the answer is here. After a restart it is asked anew this late.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// How long a list may grow: archives index in the background.
const LISTING: Duration = Duration::from_secs(60);
/// Pauses between two looks at it: doubling from here.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Questions that are older belong to transfers that ended otherwise.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 3600);

/// How it is known what the PACS has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// It committed to keeping each instance.
    Commitment,
    /// It names each instance among those that it has.
    Names,
    /// It has at least as many instances of the study.
    Count,
    /// It answered so to each C-STORE, and offers nothing better.
    Answers,
}

impl Proof {
    /// For the audit trail.
    pub fn as_str(self) -> &'static str {
        match self {
            Proof::Commitment => "storage commitment",
            Proof::Names => "C-FIND by name",
            Proof::Count => "C-FIND count",
            Proof::Answers => "C-STORE answers",
        }
    }
}

/// What the PACS says.
pub(super) enum Said {
    /// This is known, and these instances it does not confirm.
    Proven(Proof, Vec<(i64, u16)>),
    /// Nothing yet: look again after this pause, or when it reports.
    NotYet(Duration),
}

/// The questions that are open, by transfer.
#[derive(Debug, Default)]
pub struct Questions(Mutex<HashMap<TransferId, Question>>);

#[derive(Debug, Clone)]
struct Question {
    transaction: TransactionUid,
    stage: Stage,
    until: Timestamp,
}

#[derive(Debug, Clone)]
enum Stage {
    /// Storage commitment was asked for.
    Asked,
    /// It answered.
    Answered(CommitmentResult),
    /// It does not answer: its list is looked at, so many times now.
    Listing(u32),
}

impl Questions {
    fn all(&self) -> MutexGuard<'_, HashMap<TransferId, Question>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, transfer: TransferId) -> Option<Question> {
        self.all().get(&transfer).cloned()
    }

    fn set(&self, transfer: TransferId, question: Question, now: Timestamp) {
        let mut all = self.all();
        all.retain(|_, old| now < after(old.until, FORGOTTEN_AFTER));
        all.insert(transfer, question);
    }

    /// Nobody waits for it any more.
    pub fn forget(&self, transfer: TransferId) {
        self.all().remove(&transfer);
    }

    /// Whether its answer is here and nobody has looked at it.
    pub fn is_answered(&self, transfer: TransferId) -> bool {
        self.all().get(&transfer).is_some_and(|question| matches!(question.stage, Stage::Answered(_)))
    }

    /// Notes an answer. Gives the transfer, if one asked under this name.
    fn answer(&self, result: CommitmentResult) -> Option<TransferId> {
        let mut all = self.all();
        let asked = all.iter_mut().find(|(_, question)| question.transaction == result.transaction);
        let (transfer, question) = asked?;
        question.stage = Stage::Answered(result);
        Some(*transfer)
    }
}

/// Takes a report that the PACS makes on an association of its own.
///
/// # Errors
/// If it is not the PACS, or nobody asked under this name.
pub async fn take_report(
    road: &Road,
    info: &AssociationInfo,
    result: CommitmentResult,
) -> Result<(), Refusal> {
    if info.calling_ae != road.settings.pacs.ae_title {
        warn!(peer = %info.calling_ae, "storage commitment was reported by somebody who was not asked");
        return Err(Refusal { status: DimseStatus::NOT_AUTHORIZED, comment: "nobody asked this AE title" });
    }
    let Some(transfer) = road.acquaintance.questions.answer(result) else {
        warn!(peer = %info.calling_ae, "storage commitment was reported that nobody asked for");
        return Err(Refusal { status: DimseStatus::NO_SUCH_INSTANCE, comment: "no such transaction" });
    };
    info!(%transfer, "the PACS reported on storage commitment");
    look_now(road, transfer).await;
    Ok(())
}

/// Lets the answer that is here be looked at. If that fails, it is looked at when the wait ends.
pub(super) async fn look_now(road: &Road, transfer: TransferId) {
    let delivering = Kind::Inbound(InboundKind::Delivering);
    if let Err(error) = road.custody.set_due(transfer, delivering, Some(road.now())).await {
        debug!(%transfer, %error, "the transfer is looked at later");
    }
}

/// What the PACS proves to have of what is settled as stored.
pub(super) async fn prove(
    road: &Road,
    transfer: TransferId,
    delivery: &Delivery,
) -> Result<Said, DeliverError> {
    let stored: Vec<&InstanceRow> = delivery.stored().collect();
    if stored.is_empty() {
        return Ok(Said::Proven(Proof::Answers, Vec::new()));
    }
    let questions = &road.acquaintance.questions;
    if questions.of(transfer).is_none() {
        ask(road, transfer, &stored).await?;
    }
    let now = road.now();
    let looks = match questions.of(transfer).map(|question| (question.stage, question.until)) {
        Some((Stage::Answered(result), _)) => {
            return Ok(Said::Proven(Proof::Commitment, not_committed(&stored, &result)));
        }
        Some((Stage::Asked, until)) if now < until => {
            let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
            return Ok(Said::NotYet(left.min(LONGEST_PAUSE)));
        }
        Some((Stage::Listing(looks), until)) if now < until => Some(looks),
        Some((Stage::Listing(_), _)) => None,
        Some((Stage::Asked, _)) | None => {
            info!(%transfer, "the PACS did not report on storage commitment in time");
            begin_listing(road, transfer);
            Some(0)
        }
    };
    by_list(road, transfer, &stored, looks).await
}

/// Asks for storage commitment; what becomes of it stands in the questions afterwards.
async fn ask(road: &Road, transfer: TransferId, stored: &[&InstanceRow]) -> Result<(), DeliverError> {
    let items = stored.iter().map(|row| ReferencedInstance {
        sop_class: row.sop_class.clone(),
        sop_instance: row.sop_instance.clone(),
    });
    let Some(transaction) = fresh_transaction(road) else { return Err(DeliverError::Incomplete) };
    let request = CommitmentRequest { transaction: transaction.clone(), items: items.collect() };
    // Noted before it is asked: the answer may come on another association before this one says anything.
    let now = road.now();
    let question = Question { transaction, stage: Stage::Asked, until: after(now, COMMITMENT) };
    let questions = &road.acquaintance.questions;
    questions.set(transfer, question, now);
    let (pacs, own) = (&road.settings.pacs, &road.settings.ae_title);
    let asked = request_commitment(pacs, own, &request, SAME_ASSOCIATION, AssociationLimits::default()).await;
    match asked {
        Ok(Some(result)) => {
            questions.answer(result);
        }
        Ok(None) => info!(%transfer, "the PACS was asked for storage commitment, and answers later"),
        // Gone, or out of places: what is true is asked for when it is back.
        Err(CommitmentError::Associate(error)) if !is_for_good(&error) => {
            questions.forget(transfer);
            return Err(error.into());
        }
        Err(error) => {
            debug!(%transfer, %error, "no storage commitment");
            begin_listing(road, transfer);
        }
    }
    Ok(())
}

/// Whether an association for commitment alone is not to be had, while those for storing are.
fn is_for_good(error: &AssociateError) -> bool {
    match error {
        AssociateError::Rejected { transient, .. } => !transient,
        AssociateError::Aborted | AssociateError::Wire(_) | AssociateError::TinyPdu { .. } => true,
        AssociateError::TooManyContexts { .. }
        | AssociateError::Connect(_)
        | AssociateError::ConnectTimeout
        | AssociateError::Tls(_) => false,
    }
}

fn begin_listing(road: &Road, transfer: TransferId) {
    let now = road.now();
    let questions = &road.acquaintance.questions;
    let Some(question) = questions.of(transfer) else { return };
    let listing = Question { stage: Stage::Listing(0), until: after(now, LISTING), ..question };
    questions.set(transfer, listing, now);
}

/// A name for a question (PS3.5 annex B.2).
fn fresh_transaction(road: &Road) -> Option<TransactionUid> {
    format!("2.25.{}", u128::from_be_bytes(road.random_bytes())).parse().ok()
}

/// Instances that the PACS does not commit to, with the reason that it gives.
fn not_committed(stored: &[&InstanceRow], result: &CommitmentResult) -> Vec<(i64, u16)> {
    let committed: HashSet<&SopInstanceUid> =
        result.committed.iter().map(|instance| &instance.sop_instance).collect();
    let failed: HashMap<&SopInstanceUid, u16> =
        result.failed.iter().map(|(instance, reason)| (&instance.sop_instance, *reason)).collect();
    let missing = stored.iter().filter(|row| !committed.contains(&row.sop_instance));
    // A reason that counts as stored is none.
    let reason = |name| failed.get(name).copied().filter(|reason| !DimseStatus(*reason).is_stored());
    missing.map(|row| (row.id, reason(&row.sop_instance).unwrap_or(NOT_CONFIRMED))).collect()
}

/// Looks for each instance in what the PACS has. `looks` counts those before; without it this is the last one.
async fn by_list(
    road: &Road,
    transfer: TransferId,
    stored: &[&InstanceRow],
    looks: Option<u32>,
) -> Result<Said, DeliverError> {
    let mut missing = Vec::new();
    let mut proof = Proof::Names;
    if stored.iter().any(|row| row.study.is_none()) {
        return Ok(Said::Proven(Proof::Answers, Vec::new()));
    }
    for study in studies(stored.iter().copied()) {
        let of_study: Vec<&&InstanceRow> =
            stored.iter().filter(|row| row.study.as_ref() == Some(&study)).collect();
        match held(road, &study).await {
            Ok(Some(held)) => {
                let unlisted = of_study.iter().filter(|row| !held.contains(&row.sop_instance));
                missing.extend(unlisted.map(|row| (row.id, NOT_CONFIRMED)));
            }
            Ok(None) => {
                let (pacs, own) = (&road.settings.pacs, &road.settings.ae_title);
                let count = count_instances(pacs, own, &study).await.ok().flatten();
                let is_enough =
                    count.is_some_and(|count| usize::try_from(count).is_ok_and(|n| n >= of_study.len()));
                proof = if is_enough && proof != Proof::Answers { Proof::Count } else { Proof::Answers };
            }
            // Gone, or out of places: what is true is asked for when it is back.
            Err(QueryError::Associate(error)) if !is_for_good(&error) => return Err(error.into()),
            Err(error) => {
                debug!(%transfer, %error, "the PACS cannot be asked what it has");
                return Ok(Said::Proven(Proof::Answers, Vec::new()));
            }
        }
    }
    match looks {
        Some(looks) if !missing.is_empty() => {
            info!(%transfer, missing = missing.len(), of = stored.len(), "not yet in the list of the PACS");
            let questions = &road.acquaintance.questions;
            if let Some(question) = questions.of(transfer) {
                let stage = Stage::Listing(looks.saturating_add(1));
                questions.set(transfer, Question { stage, ..question }, road.now());
            }
            Ok(Said::NotYet(LOOK_AGAIN.saturating_mul(1 << looks.min(4))))
        }
        Some(_) | None => Ok(Said::Proven(proof, missing)),
    }
}

#[cfg(test)]
#[path = "proof_tests.rs"]
mod tests;
