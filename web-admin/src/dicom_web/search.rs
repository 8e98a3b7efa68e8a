//! QIDO-RS (PS3.18 §10.6): studies, and the series and instances of one.
//!
//! Matches as a whole, and names by their beginning (`VRIES*`). A key that is not supported is left out of the matching, and
//! the answer says so (Warning 299), as the standard asks.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use beeldbox_protocol::admin::{StoredInstance, StoredLine, StoredSearch};
use beeldbox_protocol::clinical::Confidential;
use serde_json::Value;

use super::json::Attributes;
use super::{Caller, Failure, instances_of, lines_of, stored};
use crate::site::Site;

/// Most answers at once.
const MOST_ANSWERS: usize = 1_000;

/// Where things are, relative to the base of the service.
const BASE: &str = "/dicom-web";

type Parameters = Query<Vec<(String, String)>>;

/// What a search asks, and how much of the answer.
#[derive(Default)]
struct Asked {
    search: StoredSearch,
    limit: Option<usize>,
    offset: usize,
    is_partly_ignored: bool,
}

/// `GET /studies`.
pub(super) async fn studies(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    Query(parameters): Parameters,
) -> Result<Response, Failure> {
    let asked = Asked::read(parameters)?;
    let limit = asked.limit.unwrap_or(MOST_ANSWERS).min(MOST_ANSWERS);
    let most = asked.offset.saturating_add(limit);
    let (lines, is_more) = stored(&site, &caller, asked.search, most).await?;
    let mut studies: BTreeMap<usize, Vec<&StoredLine>> = BTreeMap::new();
    let mut known: Vec<&str> = Vec::new();
    for line in &lines {
        let Some(study) = &line.summary.study else { continue };
        let at = known.iter().position(|known| *known == study.as_str()).unwrap_or_else(|| {
            known.push(study.as_str());
            known.len() - 1
        });
        studies.entry(at).or_default().push(line);
    }
    let values = studies.values().skip(asked.offset).take(limit).map(|lines| {
        let mut attributes = Attributes::new();
        let uid = lines.first().and_then(|line| line.summary.study.as_ref());
        let retrieve = format!("{BASE}/studies/{}", uid.map_or("", |uid| uid.as_str()));
        attributes.study(lines, &retrieve);
        attributes.into_value()
    });
    Ok(answer(values.collect(), is_more, asked.is_partly_ignored))
}

/// `GET /studies/{study}/series`.
pub(super) async fn series(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    Path(study): Path<String>,
    Query(parameters): Parameters,
) -> Result<Response, Failure> {
    let page = Page::read(parameters)?;
    let instances = instances_of(&site, &caller, &lines_of(&site, &caller, &study).await?).await?;
    let mut series: BTreeMap<String, Vec<&StoredInstance>> = BTreeMap::new();
    for instance in &instances {
        let Some(uid) = &instance.series else { continue };
        series.entry(uid.to_string()).or_default().push(instance);
    }
    let wanted = series.iter().filter(|(uid, instances)| {
        let is_modality =
            |modality: &String| instances.iter().any(|one| one.modality.as_ref() == Some(modality));
        page.series.as_ref().is_none_or(|wanted| wanted == *uid)
            && page.modality.as_ref().is_none_or(is_modality)
    });
    let values = wanted.map(|(uid, instances)| {
        let mut attributes = Attributes::new();
        attributes.series(&study, instances, &format!("{BASE}/studies/{study}/series/{uid}"));
        attributes.into_value()
    });
    Ok(page.answer(values.collect()))
}

/// `GET /studies/{study}/instances`.
pub(super) async fn instances(
    state: State<Arc<Site>>,
    caller: Extension<Caller>,
    Path(study): Path<String>,
    parameters: Parameters,
) -> Result<Response, Failure> {
    found(state, caller, study, None, parameters).await
}

/// `GET /studies/{study}/series/{series}/instances`.
pub(super) async fn instances_of_series(
    state: State<Arc<Site>>,
    caller: Extension<Caller>,
    Path((study, series)): Path<(String, String)>,
    parameters: Parameters,
) -> Result<Response, Failure> {
    found(state, caller, study, Some(series), parameters).await
}

async fn found(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    study: String,
    series: Option<String>,
    Query(parameters): Parameters,
) -> Result<Response, Failure> {
    let page = Page::read(parameters)?;
    let instances = instances_of(&site, &caller, &lines_of(&site, &caller, &study).await?).await?;
    let wanted = instances.iter().filter(|instance| {
        let own = instance.series.as_ref().map(|series| series.as_str()).unwrap_or_default();
        series.as_ref().is_none_or(|series| own == series)
            && page.series.as_ref().is_none_or(|series| own == series)
            && page.instance.as_ref().is_none_or(|wanted| instance.sop_instance.as_str() == wanted)
            && page.class.as_ref().is_none_or(|wanted| instance.sop_class.as_str() == wanted)
    });
    let values = wanted.map(|instance| {
        let own = instance.series.as_ref().map(|series| series.as_str()).unwrap_or_default();
        let name = instance.sop_instance.as_str();
        let mut attributes = Attributes::new();
        let retrieve = format!("{BASE}/studies/{study}/series/{own}/instances/{name}");
        attributes.instance(&study, instance, &retrieve);
        attributes.into_value()
    });
    let values: Vec<Value> = values.collect();
    if series.is_some() && values.is_empty() && page.is_whole() {
        return Err(Failure::not_found());
    }
    Ok(page.answer(values))
}

impl Asked {
    fn read(parameters: Vec<(String, String)>) -> Result<Self, Failure> {
        let mut asked = Asked::default();
        for (key, value) in parameters {
            asked.take(&key, value)?;
        }
        Ok(asked)
    }

    fn take(&mut self, key: &str, value: String) -> Result<(), Failure> {
        let search = &mut self.search;
        let text = |value: String| Some(Confidential::new(value));
        match key {
            "limit" => self.limit = Some(number(&value)?),
            "offset" => self.offset = number(&value)?,
            "includefield" | "fuzzymatching" => {}
            _ if value.is_empty() || value == "*" => {}
            "PatientID" | "00100020" => search.patient_id = text(value),
            "PatientName" | "00100010" => search.patient_name = text(value.trim_end_matches('*').to_owned()),
            "PatientBirthDate" | "00100030" => search.birth_date = text(value),
            "AccessionNumber" | "00080050" => search.accession_number = text(value),
            "ModalitiesInStudy" | "00080061" => search.modality = Some(value),
            "StudyInstanceUID" | "0020000D" => {
                search.study = Some(value.parse().map_err(|_| Failure::bad("the study is named by no UID"))?);
            }
            "StudyDate" | "00080020" => (search.from, search.until) = days(&value)?,
            _ => self.is_partly_ignored = true,
        }
        Ok(())
    }
}

/// What limits an answer below the level of studies.
#[derive(Default)]
struct Page {
    series: Option<String>,
    instance: Option<String>,
    class: Option<String>,
    modality: Option<String>,
    limit: Option<usize>,
    offset: usize,
    is_partly_ignored: bool,
}

impl Page {
    fn read(parameters: Vec<(String, String)>) -> Result<Self, Failure> {
        let mut page = Page::default();
        for (key, value) in parameters {
            match key.as_str() {
                "limit" => page.limit = Some(number(&value)?),
                "offset" => page.offset = number(&value)?,
                "includefield" | "fuzzymatching" => {}
                "SeriesInstanceUID" | "0020000E" => page.series = Some(value),
                "SOPInstanceUID" | "00080018" => page.instance = Some(value),
                "SOPClassUID" | "00080016" => page.class = Some(value),
                "Modality" | "00080060" => page.modality = Some(value),
                _ => page.is_partly_ignored = true,
            }
        }
        Ok(page)
    }

    fn is_whole(&self) -> bool {
        self.instance.is_none() && self.class.is_none() && self.offset == 0
    }

    fn answer(&self, values: Vec<Value>) -> Response {
        let limit = self.limit.unwrap_or(usize::MAX);
        let is_more = values.len() > self.offset.saturating_add(limit);
        let values = values.into_iter().skip(self.offset).take(limit).collect();
        answer(values, is_more, self.is_partly_ignored)
    }
}

/// 204 if nothing was found, as PS3.18 §10.6.3 allows and clients expect.
fn answer(values: Vec<Value>, is_more: bool, is_partly_ignored: bool) -> Response {
    let mut response = if values.is_empty() {
        StatusCode::NO_CONTENT.into_response()
    } else {
        (
            [(header::CONTENT_TYPE, "application/dicom+json")],
            Json(Value::Array(values)).into_response().into_body(),
        )
            .into_response()
    };
    let warnings = [
        (is_more, "299 beeldbox: \"The number of results exceeded what was asked for; ask on with offset.\""),
        (is_partly_ignored, "299 beeldbox: \"Some of the keys are not supported and were left out.\""),
    ];
    for (is_so, warning) in warnings {
        if is_so {
            response.headers_mut().append(header::WARNING, HeaderValue::from_static(warning));
        }
    }
    response
}

fn number(text: &str) -> Result<usize, Failure> {
    text.parse().map_err(|_| Failure::bad("limit and offset are numbers"))
}

/// `20260101`, `20260101-`, `-20261231`, `20260101-20261231`.
fn days(text: &str) -> Result<(Option<String>, Option<String>), Failure> {
    let day = |text: &str| match text.len() {
        0 => Ok(None),
        8 if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(Some(text.to_owned())),
        _ => Err(Failure::bad("a date is YYYYMMDD, or a range of those")),
    };
    match text.split_once('-') {
        Some((from, until)) => Ok((day(from)?, day(until)?)),
        None => {
            let day = day(text)?;
            Ok((day.clone(), day))
        }
    }
}
