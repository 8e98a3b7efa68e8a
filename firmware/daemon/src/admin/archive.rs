//! What lies on this box: listed for a patient's timeline and for DICOMweb, and handed out.
//!
//! Whoever asks has been signed in by the front end; each look at a study, and each handing out, stands in the audit trail with
//! their name before the first byte leaves.

use std::io::Read;

use beeldbox_custody::{AuditRecord, CollectionId, CustodyError, Filing, InstanceRow, StoredStudy};
use beeldbox_protocol::admin::{
    Answer, Call, Content, MAX_PAGE, Question, Refusal, RefusalCode, Reply, StoredInstance, StoredLine,
    StoredPage, StoredSearch, StudyNumber,
};
use beeldbox_protocol::clinical::{Confidential, Patient, StudySummary};
use beeldbox_protocol::folding::folded;
use beeldbox_transfer::folder;
use beeldbox_transfer::hand_out::{self, HandOutError, OutgoingFile};
use tokio::sync::mpsc;

use super::answer::{Desk, refusal, storage};
use super::lines;
use crate::preview;

/// Bytes that follow an answer. An error says that the rest cannot be had.
pub type Pieces = mpsc::Receiver<std::io::Result<Vec<u8>>>;

/// Bytes of one piece.
const PIECE: usize = 256 * 1024;
/// Pieces between the reader and the socket.
const QUEUED: usize = 4;
/// Studies looked through for one page of answers; a search that matches little goes on from there.
const LOOKED_THROUGH: usize = 2_000;
/// Studies read together while looking through.
const AT_ONCE: u32 = 200;

impl Desk {
    /// Answers with bytes behind the line; nothing for all other questions.
    pub(super) async fn content(&self, call: &Call) -> Option<Result<(Content, Pieces), Refusal>> {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "every other question is answered by its line alone"
        )]
        match &call.question {
            Question::Instance { instance } => Some(self.instance(*instance).await),
            Question::Picture { instance, frame, edge, window } => {
                let wanted = preview::Picture { frame: *frame, edge: *edge, window: *window };
                Some(self.picture(*instance, wanted).await)
            }
            Question::Folder { study } => Some(self.folder(*study, &call.actor.name).await),
            _ => None,
        }
    }

    /// What lies here.
    pub(super) async fn stored(
        &self,
        search: &StoredSearch,
        before: Option<StudyNumber>,
        limit: u32,
    ) -> Answer {
        let limit = usize::try_from(limit.clamp(1, MAX_PAGE)).unwrap_or(1);
        let mut before = before.map(|study| CollectionId(study.0));
        let mut found: Vec<StoredLine> = Vec::new();
        let mut looked = 0;
        loop {
            let page = self.road.custody.stored(before, AT_ONCE).await.map_err(storage)?;
            let is_last = page.len() < usize::try_from(AT_ONCE).unwrap_or(usize::MAX);
            for study in page {
                before = Some(study.collection);
                looked += 1;
                let line = stored_line(study);
                if matches(&line, search) {
                    found.push(line);
                }
                if found.len() == limit || looked == LOOKED_THROUGH {
                    let next = before.map(|id| StudyNumber(id.0));
                    return Ok(Reply::Stored(StoredPage { studies: found, next }));
                }
            }
            if is_last {
                return Ok(Reply::Stored(StoredPage { studies: found, next: None }));
            }
        }
    }

    /// The instances of a study.
    pub(super) async fn stored_instances(
        &self,
        study: StudyNumber,
        after: Option<i64>,
        limit: u32,
        actor: &str,
    ) -> Answer {
        let collection = CollectionId(study.0);
        let known = self.road.custody.stored_study(collection).await.map_err(storage)?;
        let known = known.ok_or_else(unknown)?;
        if after.is_none() {
            self.record(actor, "look", &known).await.map_err(storage)?;
        }
        let series = self.road.custody.series_of(collection).await.map_err(storage)?;
        let rows =
            self.road.custody.instances(collection, after, limit.min(MAX_PAGE)).await.map_err(storage)?;
        let only = match &known.summary.modalities[..] {
            [only] => Some(only.clone()),
            _ => None,
        };
        let line = |row: InstanceRow| {
            let uid = row.series.as_ref().map(ToString::to_string).unwrap_or_default();
            let modality = series.iter().find(|(series, modality)| *series == uid && !modality.is_empty());
            StoredInstance {
                instance: row.id,
                sop_class: row.sop_class,
                sop_instance: row.sop_instance,
                series: row.series,
                modality: modality.map(|(_, modality)| modality.clone()).or_else(|| only.clone()),
                transfer_syntax: row.transfer_syntax,
                size_bytes: row.size_bytes,
            }
        };
        Ok(Reply::StoredInstances(rows.into_iter().map(line).collect()))
    }

    /// What an instance says of itself.
    pub(super) async fn header(&self, instance: i64) -> Answer {
        let file = hand_out::instance(&self.road, instance).await.map_err(not_handed_out)?;
        match preview::header(file).await {
            Ok(json) => Ok(Reply::Header(Confidential::new(json))),
            Err(error) => {
                tracing::warn!(%error, "an instance does not say what it is");
                Err(refusal(RefusalCode::NotSupported, "what this instance says of itself cannot be read"))
            }
        }
    }

    async fn instance(&self, number: i64) -> Result<(Content, Pieces), Refusal> {
        let file = hand_out::instance(&self.road, number).await.map_err(not_handed_out)?;
        let content = Content::File {
            sop_instance: file.instance.sop_instance.clone(),
            transfer_syntax: file.instance.transfer_syntax.clone(),
        };
        Ok((content, pieces_of(file)))
    }

    async fn picture(&self, number: i64, wanted: preview::Picture) -> Result<(Content, Pieces), Refusal> {
        let file = hand_out::instance(&self.road, number).await.map_err(not_handed_out)?;
        let png = preview::picture(file, wanted).await.map_err(|error| {
            tracing::info!(%error, "an instance has no picture");
            refusal(RefusalCode::NotSupported, "this instance has no picture that can be shown")
        })?;
        let (sender, pieces) = mpsc::channel(1);
        // The receiver is here.
        let _ = sender.try_send(Ok(png));
        Ok((Content::Picture, pieces))
    }

    /// A study as a DICOM folder. The record of it is committed before the first byte leaves.
    async fn folder(&self, study: StudyNumber, actor: &str) -> Result<(Content, Pieces), Refusal> {
        let known = self.road.custody.stored_study(CollectionId(study.0)).await.map_err(storage)?;
        let known = known.ok_or_else(unknown)?;
        let random = self.road.random_bytes::<16>();
        let name = format!("2.25.{}", u128::from_be_bytes(random));
        let name = name.parse().map_err(|_| refusal(RefusalCode::Storage, "no name for the folder"))?;
        self.record(actor, "hand-out", &known).await.map_err(storage)?;
        let (sender, pieces) = mpsc::channel(QUEUED);
        let (road, handle) = (self.road.clone(), tokio::runtime::Handle::current());
        tokio::task::spawn_blocking(move || {
            let out = std::io::BufWriter::with_capacity(PIECE, Outlet(sender.clone()));
            if let Err(error) = folder::write(&road, &handle, &known, &name, out) {
                tracing::warn!(%error, "a folder broke while it was handed out");
                // Nobody may want it any more.
                let _ = sender.blocking_send(Err(error));
            }
        });
        Ok((Content::Folder, pieces))
    }

    pub(super) async fn record(
        &self,
        actor: &str,
        action: &str,
        study: &StoredStudy,
    ) -> Result<(), CustodyError> {
        let record = AuditRecord {
            at: self.road.now(),
            actor: actor.to_owned(),
            action: action.to_owned(),
            transfer: study.transfers.last().map(|row| row.id),
            detail: Confidential::new(format!("study {}", study.collection.0)),
        };
        self.road.custody.append_audit(record).await
    }
}

pub(super) fn unknown() -> Refusal {
    refusal(RefusalCode::NotFound, "no such study lies on this box any more")
}

pub(super) fn not_handed_out(failure: HandOutError) -> Refusal {
    match failure {
        HandOutError::Unknown => refusal(RefusalCode::NotFound, "no such instance lies on this box any more"),
        HandOutError::Coercion(error) => Refusal {
            code: RefusalCode::NotSupported,
            message: format!("the local patient cannot be put into it: {error}"),
        },
        HandOutError::Read(error) => {
            tracing::error!(%error, "an instance cannot be read back");
            refusal(RefusalCode::Storage, "this instance cannot be read back")
        }
    }
}

/// Reads on a thread of its own. What cannot be read to its end breaks.
fn pieces_of(mut file: OutgoingFile) -> Pieces {
    let (sender, pieces) = mpsc::channel(QUEUED);
    tokio::task::spawn_blocking(move || {
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            let limit = u64::try_from(PIECE).unwrap_or(u64::MAX);
            let read = (&mut file).take(limit).read_to_end(&mut piece);
            let ended = match read {
                Ok(0) => return,
                Ok(_) => sender.blocking_send(Ok(piece)).is_err(),
                Err(error) => {
                    tracing::error!(%error, "an instance broke while it was handed out");
                    // Nobody may want it any more.
                    let _ = sender.blocking_send(Err(error));
                    return;
                }
            };
            if ended {
                return;
            }
        }
    });
    pieces
}

/// Pieces go out through here.
struct Outlet(mpsc::Sender<std::io::Result<Vec<u8>>>);

impl std::io::Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let gone = |_| std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        self.0.blocking_send(Ok(bytes.to_vec())).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn stored_line(study: StoredStudy) -> StoredLine {
    let newest = study.transfers.last();
    let filed = study.transfers.iter().rev().find_map(|row| match &row.confidential.as_ref()?.filing {
        Some(Filing::Local(record)) => Some(record),
        Some(Filing::AsSent) | None => None,
    });
    let patient =
        filed.map_or_else(|| study.patient.clone(), |record| with_local(&study.patient, &record.patient));
    let accession = filed.and_then(|record| record.accession_number.clone());
    let summary = StudySummary {
        accession_number: accession.or_else(|| study.summary.accession_number.clone()),
        ..study.summary.clone()
    };
    StoredLine {
        study: StudyNumber(study.collection.0),
        is_incoming: study.direction == beeldbox_custody::Direction::Inbound,
        patient,
        summary,
        at: study.opened_at,
        transfer: newest.map(|row| row.id),
        partner: newest.and_then(lines::partner),
        situation: newest.map(lines::situation),
    }
}

/// As the images say it once the local patient is in them.
fn with_local(sent: &Patient, local: &Patient) -> Patient {
    Patient {
        name: local.name.clone().or_else(|| sent.name.clone()),
        id: local.id.clone(),
        id_issuer: local.id_issuer.clone(),
        birth_date: local.birth_date.clone().or_else(|| sent.birth_date.clone()),
        sex: local.sex.clone().or_else(|| sent.sex.clone()),
        bsn: sent.bsn.clone(),
    }
}

fn matches(line: &StoredLine, search: &StoredSearch) -> bool {
    let same = |wanted: &Option<Confidential>, own: &Option<Confidential>| {
        wanted.as_ref().is_none_or(|wanted| {
            own.as_ref().is_some_and(|own| own.reveal().trim() == wanted.reveal().trim())
        })
    };
    let name = search.patient_name.as_ref().map(|name| folded(name.reveal()));
    let own_name = line.patient.name.as_ref().map(|name| folded(name.reveal()));
    let date = line.summary.date.as_deref();
    same(&search.patient_id, &line.patient.id)
        && same(&search.birth_date, &line.patient.birth_date)
        && same(&search.accession_number, &line.summary.accession_number)
        && name.is_none_or(|name| own_name.is_some_and(|own| own.starts_with(&name)))
        && search.study.as_ref().is_none_or(|study| line.summary.study.as_ref() == Some(study))
        && search.from.as_deref().is_none_or(|from| date.is_some_and(|date| date >= from))
        && search.until.as_deref().is_none_or(|until| date.is_some_and(|date| date <= until))
        && search.modality.as_ref().is_none_or(|modality| line.summary.modalities.contains(modality))
}
