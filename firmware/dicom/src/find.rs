//! Query SCU: studies, series and instances of an archive, and how many instances a study has there.
//!
//! ```text
//! C-FIND-RQ ─▶ pending, pending, … ─▶ [enough: C-CANCEL-RQ ─▶ what is still under way] ─▶ final ─▶ release
//! ```
//!
//! An answer is kept only if it is wanted and new, and each is bounded, so the memory of a query is what the caller asked for. PS3.4
//! annex C.4.1, PS3.7 §9.1.2.

// Names instead of a number.
mod held;

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::time::Duration;

use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::{AeTitle, SeriesInstanceUid, SopInstanceUid, StudyInstanceUid};
use dicom_dictionary_std::uids;

use crate::ask_commitment::{pairs, readable};
use crate::associate::{AssociationLimits, PeerNode, Requested, connect, request};
use crate::conversation::{ConversationError, is_response};
use crate::dimse;
use crate::found::LONGEST_IDENTIFIER;
use crate::pdu::WireError;
use crate::peer_stream::PeerStream;
use crate::query::{Found, Query, QueryError, QueryLevel};
use crate::status::StatusFamily;
use crate::walk::Encoding;

pub use self::held::instances_held;

/// Answers that may still be under way when we have cancelled. An archive that goes on beyond them does not know C-CANCEL.
const STRAGGLERS: usize = 1_000;
/// Most answers to one request. Their names are kept to know them again: some archives repeat a study for each instance.
const MOST_ANSWERS: usize = 250_000;
/// Most series of a study that are counted one by one.
const MOST_SERIES: usize = 10_000;
/// The timers of counting: somebody waits for the number.
const COUNTING: AssociationLimits = AssociationLimits {
    connect: Duration::from_secs(10),
    artim: Duration::from_secs(10),
    progress: Duration::from_secs(10),
    response: Duration::from_secs(10),
};
/// All of counting, over however many requests.
const COUNTING_IN_ALL: Duration = Duration::from_secs(120);

/// Asks an archive, and returns at most [`Query::most`] answers.
///
/// # Errors
/// The step that failed. Answers that came before are dropped: a list cut short is not shown as a list.
pub async fn find(
    node: &PeerNode,
    calling: &AeTitle,
    query: &Query,
    limits: AssociationLimits,
) -> Result<Vec<Found>, QueryError> {
    // What cannot be sent needs no association.
    query.identifier(Encoding::ImplicitLittle)?;
    let models = if query.level == QueryLevel::Patient { PATIENTS } else { STUDIES };
    let mut asking = Asking::open(node, calling, models, limits).await?;
    let mut answers = Vec::new();
    let mut seen = Seen::default();
    // An archive without patient root names its patients beside their studies.
    let by_studies = query.level == QueryLevel::Patient && asking.model == Model::StudyRoot;
    let asked_for =
        if by_studies { Query { level: QueryLevel::Study, ..query.clone() } } else { query.clone() };
    let asked = asking
        .each(&asked_for, |found| {
            if answers.len() < query.most && seen.is_new(query.level, &found) {
                answers.push(found);
            }
            if answers.len() < query.most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
        .await;
    asking.end(asked.as_ref().copied()).await;
    asked?;
    Ok(answers)
}

/// How many instances of this study the archive has: by its own count (0020,1208), else by counting series and instances.
/// `None` if it does not say. A study that it does not know has 0. Waits at most 10 s for each answer, 2 min in all.
///
/// # Errors
/// The step that failed.
pub async fn count_instances(
    node: &PeerNode,
    calling: &AeTitle,
    study: &StudyInstanceUid,
) -> Result<Option<u32>, QueryError> {
    let counting = async {
        let mut asking = Asking::open(node, calling, STUDIES, COUNTING).await?;
        let counted = asking.count(study).await;
        asking.end(counted.as_ref().map(|_| Ended::InOrder)).await;
        counted
    };
    tokio::time::timeout(COUNTING_IN_ALL, counting)
        .await
        .unwrap_or(Err(ConversationError::Wire(WireError::Silent).into()))
}

/// What an archive has answered already.
#[derive(Default)]
struct Seen(HashSet<String>);

impl Seen {
    /// Whether this answer is of something that was not there before. What has no name is always new.
    fn is_new(&mut self, level: QueryLevel, found: &Found) -> bool {
        let name = match level {
            QueryLevel::Patient => return self.is_new_patient(found),
            QueryLevel::Study => found.study.as_ref().map(StudyInstanceUid::as_str),
            QueryLevel::Series => found.series.as_ref().map(SeriesInstanceUid::as_str),
            QueryLevel::Image => found.sop_instance.as_ref().map(SopInstanceUid::as_str),
        };
        name.is_none_or(|name| self.0.insert(name.to_owned()))
    }

    /// By number and issuer; without a number by everything that the archive says of the patient.
    fn is_new_patient(&mut self, found: &Found) -> bool {
        let patient = &found.patient;
        let number = [&patient.id, &patient.id_issuer];
        let rest = [&patient.name, &patient.birth_date, &patient.sex];
        let said = number.into_iter().chain(patient.id.is_none().then_some(rest).into_iter().flatten());
        let name: Vec<&str> = said.map(|text| text.as_ref().map_or("", Confidential::reveal)).collect();
        self.0.insert(name.join("\\"))
    }
}

/// What is asked of whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Model {
    PatientRoot,
    StudyRoot,
    Worklist,
}

/// Models for a question, the best first.
const PATIENTS: &[Model] = &[Model::PatientRoot, Model::StudyRoot];
const STUDIES: &[Model] = &[Model::StudyRoot];

impl Model {
    /// Its SOP class (PS3.4 annexes B.5 and K.6).
    fn class(self) -> &'static str {
        match self {
            Model::PatientRoot => uids::PATIENT_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND,
            Model::StudyRoot => uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND,
            Model::Worklist => uids::MODALITY_WORKLIST_INFORMATION_MODEL_FIND,
        }
    }

    fn service(self) -> &'static str {
        match self {
            Model::PatientRoot => "patient root queries (C-FIND)",
            Model::StudyRoot => "study root queries (C-FIND)",
            Model::Worklist => "modality worklists (C-FIND)",
        }
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With its final response.
    InOrder,
    /// We have enough, and the peer does not stop: only A-ABORT is left.
    Overrun,
}

/// An association for queries.
pub(crate) struct Asking {
    open: Requested<PeerStream>,
    model: Model,
    context: u8,
    encoding: Encoding,
    last_message: u16,
}

impl Asking {
    /// How identifiers are written on this association.
    pub(crate) fn encoding(&self) -> Encoding {
        self.encoding
    }

    pub(crate) async fn open(
        node: &PeerNode,
        calling: &AeTitle,
        models: &'static [Model],
        limits: AssociationLimits,
    ) -> Result<Self, QueryError> {
        let stream = connect(node, &limits).await?;
        let offers: Vec<_> = models.iter().map(|model| (*model, pairs(model.class()))).collect();
        let all: Vec<_> = offers.iter().flat_map(|(_, pairs)| pairs.clone()).collect();
        let open = request(stream, &node.ae_title, calling, &all, limits).await?;
        let granted = offers.iter().find_map(|(model, pairs)| Some((*model, readable(&open, pairs)?)));
        let Some((model, (context, encoding))) = granted else {
            open.wire.abort().await;
            let wanted = models.last().copied().unwrap_or(Model::StudyRoot);
            return Err(QueryError::NotOffered { service: wanted.service() });
        };
        Ok(Asking { open, model, context, encoding, last_message: 0 })
    }

    pub(crate) async fn end(self, asked: Result<Ended, &QueryError>) {
        match asked {
            Ok(Ended::InOrder) | Err(QueryError::Refused { .. }) => self.open.end_after_last().await,
            Err(QueryError::Conversation(error)) => self.open.end(Some(error)).await,
            Ok(Ended::Overrun)
            | Err(
                QueryError::Key { .. }
                | QueryError::Associate(_)
                | QueryError::NotOffered { .. }
                | QueryError::UnknownDestination
                | QueryError::Identifier,
            ) => self.open.wire.abort().await,
        }
    }

    /// One C-FIND: every answer goes to `take`, until it has enough.
    async fn each(
        &mut self,
        query: &Query,
        mut take: impl FnMut(Found) -> ControlFlow<()>,
    ) -> Result<Ended, QueryError> {
        let identifier = query.identifier(self.encoding)?;
        self.each_identifier(identifier, |answer, encoding| {
            Ok(take(Found::read(answer, encoding).map_err(|_| QueryError::Identifier)?))
        })
        .await
    }

    /// The same for whatever an identifier asks.
    pub(crate) async fn each_identifier(
        &mut self,
        identifier: Vec<u8>,
        mut take: impl FnMut(&[u8], Encoding) -> Result<ControlFlow<()>, QueryError>,
    ) -> Result<Ended, QueryError> {
        let message_id = self.last_message.wrapping_add(1);
        self.last_message = message_id;
        let command = dimse::find_request(message_id, self.model.class());
        self.open.say(self.context, &command, Some(identifier)).await?;
        let mut cancelled = false;
        let mut left = MOST_ANSWERS;
        loop {
            let message = match self.open.hear(self.context, LONGEST_IDENTIFIER).await {
                Err(ConversationError::Wire(WireError::Silent)) if cancelled => return Ok(Ended::Overrun),
                other => other?,
            };
            is_response(&message.command, dimse::C_FIND_RSP, message_id)?;
            let status = message
                .command
                .status()
                .ok_or(ConversationError::Wire(WireError::Malformed("a response without a status")))?;
            match status.family() {
                StatusFamily::Pending => {}
                StatusFamily::Success | StatusFamily::Warning => return Ok(Ended::InOrder),
                StatusFamily::Cancel if cancelled => return Ok(Ended::InOrder),
                StatusFamily::Cancel | StatusFamily::Failure => {
                    return Err(QueryError::Refused { status, comment: message.command.error_comment() });
                }
            }
            if left == 0 {
                return if cancelled {
                    Ok(Ended::Overrun)
                } else {
                    Err(ConversationError::Flood { count: MOST_ANSWERS }.into())
                };
            }
            left -= 1;
            if cancelled {
                continue;
            }
            if take(&message.data_set, self.encoding)?.is_break() {
                self.open.say(self.context, &dimse::cancel_request(message_id), None).await?;
                (cancelled, left) = (true, STRAGGLERS);
            }
        }
    }

    async fn count(&mut self, study: &StudyInstanceUid) -> Result<Option<u32>, QueryError> {
        let mut answers = 0_u32;
        let mut matching: Option<Option<u32>> = None;
        let query = Query { study: Some(study.clone()), ..Query::new(QueryLevel::Study, 1) };
        self.in_order(&query, |found| {
            answers = answers.saturating_add(1);
            // An archive that does not know the key answers with every study it has.
            if found.study.as_ref().is_none_or(|found| found == study) && matching.is_none() {
                matching = Some(found.instance_count);
            }
        })
        .await?;
        match matching {
            None => Ok((answers == 0).then_some(0)),
            Some(Some(count)) => Ok(Some(count)),
            Some(None) => self.count_by_series(study).await,
        }
    }

    async fn count_by_series(&mut self, study: &StudyInstanceUid) -> Result<Option<u32>, QueryError> {
        let mut known = 0_u32;
        let mut unknown: Vec<SeriesInstanceUid> = Vec::new();
        let mut usable = true;
        let mut any = false;
        let query = Query { study: Some(study.clone()), ..Query::new(QueryLevel::Series, MOST_SERIES) };
        self.in_order(&query, |found| {
            if found.study.as_ref().is_some_and(|found| found != study) {
                return;
            }
            any = true;
            match (found.instance_count, found.series) {
                (Some(count), _) => known = known.saturating_add(count),
                (None, Some(series)) if unknown.len() < MOST_SERIES => unknown.push(series),
                (None, _) => usable = false,
            }
        })
        .await?;
        if !any || !usable {
            return Ok(None);
        }
        for series in unknown {
            let query = Query {
                study: Some(study.clone()),
                series: Some(series.clone()),
                ..Query::new(QueryLevel::Image, MOST_ANSWERS)
            };
            self.in_order(&query, |found| {
                if found.series.as_ref().is_none_or(|found| *found == series) {
                    usable &= found.sop_instance.is_some();
                    known = known.saturating_add(1);
                }
            })
            .await?;
        }
        // Instances without names may have been counted twice.
        Ok(usable.then_some(known))
    }

    /// One C-FIND to its end, each answer once.
    async fn in_order(&mut self, query: &Query, mut take: impl FnMut(Found)) -> Result<(), QueryError> {
        let mut seen = Seen::default();
        let asked = self
            .each(query, |found| {
                if seen.is_new(query.level, &found) {
                    take(found);
                }
                ControlFlow::Continue(())
            })
            .await;
        // Nothing is cancelled here, so there is no other end.
        asked.map(|_| ())
    }
}

#[cfg(test)]
#[path = "find_tests.rs"]
pub(crate) mod tests;
