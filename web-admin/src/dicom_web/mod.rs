//! DICOMweb, read-only (PS3.18 chapters 8 to 10): QIDO-RS, WADO-RS with metadata, rendered pictures and thumbnails, below
//! `/dicom-web`, for signed-in users and for systems with a registered client certificate.
//!
//! ```text
//!   studies?…                                    search          application/dicom+json
//!   studies/{s}/series  …/instances              search          application/dicom+json
//!   studies/{s}[/series/{e}[/instances/{i}]]     retrieve        multipart/related; type="application/dicom"
//!   …/metadata                                   retrieve        application/dicom+json
//!   …/instances/{i}[/frames/{f}]/rendered        retrieve        image/png, not for diagnosis
//!   …/instances/{i}/thumbnail                    retrieve        image/png
//! ```
//!
//! Images are given as they would go to the PACS of this hospital, in the transfer syntax in which they lie here. Whoever asks
//! stands in the audit trail of the box with every look at a study. What the box has erased is not found any more.

// Who may ask.
pub(crate) mod admit;
// Attributes as JSON.
mod json;
// Searching.
mod search;
// Retrieving.
mod retrieve;

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use beeldbox_protocol::admin::{
    MAX_PAGE, Question, Refusal, RefusalCode, Reply, StoredInstance, StoredLine, StoredSearch,
};
use beeldbox_protocol::ident::StudyInstanceUid;

use crate::box_client::BoxError;
use crate::site::Site;

/// On whose behalf is asked: set by whoever let the request in.
#[derive(Debug, Clone)]
pub struct Caller(pub String);

/// Why a request is not answered.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    why: &'static str,
}

impl Failure {
    fn new(status: StatusCode, why: &'static str) -> Self {
        Failure { status, why }
    }

    fn bad(why: &'static str) -> Self {
        Failure::new(StatusCode::BAD_REQUEST, why)
    }

    fn not_found() -> Self {
        Failure::new(StatusCode::NOT_FOUND, "nothing of that name lies on this box")
    }

    fn not_acceptable() -> Self {
        Failure::new(StatusCode::NOT_ACCEPTABLE, "it cannot be given in a form that is accepted")
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], self.why).into_response()
    }
}

impl From<BoxError> for Failure {
    fn from(error: BoxError) -> Self {
        match error {
            BoxError::Refused(Refusal { code: RefusalCode::NotFound, .. }) => Failure::not_found(),
            BoxError::Refused(Refusal { code: RefusalCode::NotSupported, .. }) => {
                Failure::new(StatusCode::NOT_ACCEPTABLE, "this instance cannot be shown so")
            }
            BoxError::Refused(_) | BoxError::Odd => {
                Failure::new(StatusCode::BAD_GATEWAY, "the box refused to answer")
            }
            BoxError::Absent(_) | BoxError::Slow | BoxError::Broken(_) | BoxError::Busy => {
                Failure::new(StatusCode::SERVICE_UNAVAILABLE, "the box does not answer now; try again later")
            }
        }
    }
}

/// Everything below `/dicom-web`. Each request must carry a [`Caller`].
pub fn routes() -> Router<Arc<Site>> {
    const SERIES: &str = "/studies/{study}/series/{series}";
    const INSTANCE: &str = "/studies/{study}/series/{series}/instances/{instance}";
    let below = |start: &str, end: &str| format!("{start}{end}");
    Router::new()
        .route("/studies", get(search::studies))
        .route("/studies/{study}", get(retrieve::study))
        .route("/studies/{study}/metadata", get(retrieve::study_metadata))
        .route("/studies/{study}/series", get(search::series))
        .route("/studies/{study}/instances", get(search::instances))
        .route(SERIES, get(retrieve::series))
        .route(&below(SERIES, "/metadata"), get(retrieve::series_metadata))
        .route(&below(SERIES, "/instances"), get(search::instances_of_series))
        .route(INSTANCE, get(retrieve::instance))
        .route(&below(INSTANCE, "/metadata"), get(retrieve::instance_metadata))
        .route(&below(INSTANCE, "/rendered"), get(retrieve::rendered))
        .route(&below(INSTANCE, "/thumbnail"), get(retrieve::thumbnail))
        .route(&below(INSTANCE, "/frames/{frame}/rendered"), get(retrieve::rendered_frame))
        .fallback(async || Failure::not_found())
}

/// The studies of this name that lie here, newest first: it may have come in several transfers.
async fn lines_of(site: &Site, caller: &Caller, study: &str) -> Result<Vec<StoredLine>, Failure> {
    let study: StudyInstanceUid = study.parse().map_err(|_| Failure::bad("the study is named by no UID"))?;
    let search = StoredSearch { study: Some(study), ..StoredSearch::default() };
    let (lines, _) = stored(site, caller, search, usize::MAX).await?;
    if lines.is_empty() { Err(Failure::not_found()) } else { Ok(lines) }
}

/// What is found, at most so many; and whether there may be more.
async fn stored(
    site: &Site,
    caller: &Caller,
    search: StoredSearch,
    most: usize,
) -> Result<(Vec<StoredLine>, bool), Failure> {
    let mut lines = Vec::new();
    let mut before = None;
    loop {
        let question = Question::Stored { search: Box::new(search.clone()), before, limit: MAX_PAGE };
        let Reply::Stored(page) = site.client.ask(&caller.0, question).await? else {
            return Err(BoxError::Odd.into());
        };
        lines.extend(page.studies);
        before = page.next;
        if before.is_none() || lines.len() >= most {
            let is_more = before.is_some() || lines.len() > most;
            lines.truncate(most);
            return Ok((lines, is_more));
        }
    }
}

/// The instances of a study, each once: of what came twice, what came last.
async fn instances_of(
    site: &Site,
    caller: &Caller,
    lines: &[StoredLine],
) -> Result<Vec<StoredInstance>, Failure> {
    let mut seen = std::collections::HashSet::new();
    let mut all: Vec<StoredInstance> = Vec::new();
    for line in lines {
        let mut after = None;
        loop {
            let question = Question::StoredInstances { study: line.study, after, limit: MAX_PAGE };
            let Reply::StoredInstances(page) = site.client.ask(&caller.0, question).await? else {
                return Err(BoxError::Odd.into());
            };
            let Some(last) = page.last() else { break };
            after = Some(last.instance);
            all.extend(page.into_iter().filter(|instance| seen.insert(instance.sop_instance.clone())));
        }
    }
    Ok(all)
}
