//! The directory: organisations, places, departments, and how each receives. FHIR R4, in the manner of IHE mCSD.
//!
//! The portal keeps all of it but one thing: an organisation publishes its own Endpoints, because they carry the signed
//! recipient key. An Endpoint's id begins with `box-‹URA›`, so that nobody can take another's place before it came.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use beeldbox_protocol::ident::{AddresseeId, Ura};
use beeldbox_protocol::portal::fhir::{Endpoint, Organization, URA_SYSTEM};
use serde_json::{Value, json};

use crate::identity::Client;
use crate::ledger::{LedgerError, Writing, last_mark, timestamp};
use crate::page::{Page, Query};
use crate::refusal::Refusal;
use crate::rows::{Row, Rows, cells};
use crate::site::{Site, fhir};
use crate::task_api::{Precondition, read_precondition};

/// The kinds of resource that a directory consists of.
pub const KINDS: [&str; 5] =
    ["Organization", "Location", "HealthcareService", "Endpoint", "OrganizationAffiliation"];

/// Largest Endpoint: a signed key with a chain of certificates, several times over.
const MAX_ENDPOINT_LEN: usize = 64 * 1024;

/// A version of a resource.
#[derive(Debug, Clone)]
struct Found {
    version: i64,
    updated: i64,
    body: Value,
}

impl Found {
    fn with_meta(mut self) -> Result<Value, LedgerError> {
        let meta = json!({ "versionId": self.version.to_string(), "lastUpdated": timestamp(self.updated)? });
        self.body["meta"] = meta;
        Ok(self.body)
    }
}

fn read_row(row: &Row) -> Result<Found, LedgerError> {
    let body = serde_json::from_str(&row.text(2)?).map_err(|_| LedgerError::Damaged("a resource"))?;
    Ok(Found { version: row.integer(0)?, updated: row.integer(1)?, body })
}

fn find(rows: &Rows<'_>, kind: &str, id: &str) -> Result<Option<Found>, LedgerError> {
    let sql = "SELECT version, updated, body FROM resource WHERE kind = ?1 AND id = ?2";
    rows.query_first(sql, cells![kind, id])?.as_ref().map(read_row).transpose()
}

/// Writes a resource; says its version, which stays if nothing is different.
fn put(writing: &Writing<'_>, kind: &str, id: &str, mut body: Value) -> Result<i64, Refusal> {
    if let Some(fields) = body.as_object_mut() {
        fields.remove("meta");
    }
    let before = find(writing, kind, id)?;
    let version = before.as_ref().map_or(1, |found| found.version + 1);
    if let Some(found) = before
        && found.body == body
    {
        return Ok(found.version);
    }
    writing.execute(
        "INSERT INTO resource (kind, id, version, updated, body)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (kind, id) DO UPDATE SET
             version = excluded.version, updated = excluded.updated, body = excluded.body",
        cells![kind, id, version, writing.next_mark()?, body.to_string()],
    )?;
    Ok(version)
}

/// Writes resources into the directory, whoever they belong to. What is there already in the same words stays.
pub fn seed(writing: &Writing<'_>, resources: &[Value]) -> Result<usize, Refusal> {
    for resource in resources {
        let text = |name: &str| resource.get(name).and_then(Value::as_str).unwrap_or_default();
        let Some(kind) = KINDS.into_iter().find(|kind| *kind == text("resourceType")) else {
            return Err(Refusal::Nonsense(format!("{} is not part of a directory.", text("resourceType"))));
        };
        let id: AddresseeId =
            text("id").parse().map_err(|error| Refusal::Nonsense(format!("The id of a {kind} {error}.")))?;
        put(writing, kind, id.as_str(), resource.clone())?;
    }
    Ok(resources.len())
}

/// Changes the entry of a box, whoever it belongs to.
pub fn change_endpoint(
    writing: &Writing<'_>,
    id: &str,
    change: impl FnOnce(&mut Value),
) -> Result<(), Refusal> {
    let mut body = find(writing, "Endpoint", id)?.ok_or(Refusal::NotFound)?.body;
    change(&mut body);
    put(writing, "Endpoint", id, body)?;
    Ok(())
}

/// The resources of a Bundle.
pub fn resources_of(bundle: &Value) -> Vec<Value> {
    let entries = bundle.get("entry").and_then(Value::as_array);
    entries.into_iter().flatten().filter_map(|entry| entry.get("resource").cloned()).collect()
}

/// `GET /fhir/{kind}`.
pub async fn search(
    State(site): State<Arc<Site>>,
    Path(kind): Path<String>,
    uri: Uri,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::read(query.as_deref())?;
    query.only(&["_count", "_lastUpdated"])?;
    list(&site, "searchset", &kind, &uri, query).await
}

/// `GET /fhir/{kind}/_history`: the newest version of everything that changed, oldest change first.
pub async fn history(
    State(site): State<Arc<Site>>,
    Path(kind): Path<String>,
    uri: Uri,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let query = Query::read(query.as_deref())?;
    query.only(&["_count", "_since"])?;
    list(&site, "history", &kind, &uri, query).await
}

async fn list(
    site: &Site,
    page: &'static str,
    kind: &str,
    uri: &Uri,
    query: Query,
) -> Result<Response, Refusal> {
    let kind = known(kind)?;
    let (since, count) = (query.since()?, query.count()?);
    let (mut found, last) = match site.faults.frozen() {
        Some(frozen) => frozen.changed(kind, since, count + 1),
        None => {
            let reading = site.ledger.read(move |rows| {
                Ok::<_, Refusal>((changed(rows, kind, since, count + 1)?, last_mark(rows)?))
            });
            reading.await?
        }
    };
    let mut mark = timestamp(last.saturating_add(1).max(since))?;
    let mut next = None;
    if found.len() > count {
        found.truncate(count);
        mark = timestamp(found.last().map_or(since, |last| last.updated + 1))?;
        next = Some(query.next(uri.path(), mark));
    }
    let resources = found.into_iter().map(Found::with_meta).collect::<Result<_, _>>()?;
    let page = site.faults.handle_page(Page { kind: page, mark, next, resources }, uri);
    Ok(fhir(StatusCode::OK, &page.bundle()))
}

/// The directory as it was at some time: what a portal tells that restored an old copy.
#[derive(Debug)]
pub struct Frozen {
    found: Vec<(&'static str, Found)>,
    last: i64,
}

impl Frozen {
    /// As it is now.
    pub fn copy(rows: &Rows<'_>) -> Result<Self, LedgerError> {
        let mut found = Vec::new();
        for kind in KINDS {
            let all = changed(rows, kind, 0, usize::MAX)?;
            found.extend(all.into_iter().map(|resource| (kind, resource)));
        }
        Ok(Frozen { found, last: last_mark(rows)? })
    }

    fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Found> {
        self.found.iter().filter(move |(its, _)| *its == kind).map(|(_, found)| found)
    }

    fn changed(&self, kind: &str, since: i64, count: usize) -> (Vec<Found>, i64) {
        let later = self.of_kind(kind).filter(|found| found.updated >= since);
        (later.take(count).cloned().collect(), self.last)
    }

    fn find(&self, kind: &str, id: &str) -> Option<Found> {
        self.of_kind(kind).find(|found| found.body["id"] == id).cloned()
    }
}

fn changed(rows: &Rows<'_>, kind: &str, since: i64, count: usize) -> Result<Vec<Found>, LedgerError> {
    let found = rows.query(
        "SELECT version, updated, body FROM resource WHERE kind = ?1 AND updated >= ?2 ORDER BY updated LIMIT ?3",
        cells![kind, since, i64::try_from(count).unwrap_or(i64::MAX)],
    )?;
    found.iter().map(read_row).collect()
}

fn known(kind: &str) -> Result<&'static str, Refusal> {
    KINDS.into_iter().find(|known| *known == kind).ok_or(Refusal::NotFound)
}

/// `GET /fhir/{kind}/{id}`.
pub async fn read(
    State(site): State<Arc<Site>>,
    Path((kind, id)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let kind = known(&kind)?;
    let found = match site.faults.frozen() {
        Some(frozen) => frozen.find(kind, &id),
        None => site.ledger.read(move |rows| find(rows, kind, &id)).await?,
    };
    let found = found.ok_or(Refusal::NotFound)?;
    let version = found.version;
    Ok(with_tag(fhir(StatusCode::OK, &found.with_meta()?), version))
}

/// `PUT /fhir/Endpoint/{id}`: an organisation says how it receives.
pub async fn write(
    State(site): State<Arc<Site>>,
    Extension(client): Extension<Client>,
    Path((kind, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    if known(&kind)? != "Endpoint" {
        return Err(Refusal::Forbidden("This part of the directory is kept by the portal."));
    }
    if body.len() > MAX_ENDPOINT_LEN {
        return Err(Refusal::TooLarge { limit: u64::try_from(MAX_ENDPOINT_LEN).unwrap_or(u64::MAX) });
    }
    let precondition = read_precondition(&headers)?;
    let malformed =
        |error: serde_json::Error| Refusal::Malformed(format!("The body is not an Endpoint: {error}."));
    let value: Value = serde_json::from_slice(&body).map_err(malformed)?;
    let endpoint: Endpoint = serde_json::from_value(value.clone()).map_err(malformed)?;
    let checked_id: AddresseeId = id.parse().map_err(|_| Refusal::NotFound)?;
    let written = site.ledger.write(move |writing| {
        check_endpoint(writing, &endpoint, checked_id.as_str(), &client.ura)?;
        let before = find(writing, "Endpoint", checked_id.as_str())?.map(|found| found.version);
        match (&precondition, before) {
            (Precondition::New, Some(_)) => return Err(Refusal::Exists),
            (Precondition::Version(expected), before)
                if before.map(|b| b.to_string()).as_ref() != Some(expected) =>
            {
                return Err(Refusal::VersionDiffers);
            }
            (Precondition::New | Precondition::Any | Precondition::Version(_), _) => {}
        }
        let version = put(writing, "Endpoint", checked_id.as_str(), value)?;
        let found = find(writing, "Endpoint", checked_id.as_str())?.ok_or(Refusal::NotFound)?;
        Ok((before.is_none(), version, found.with_meta()?))
    });
    let (is_new, version, stored) = written.await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(with_tag(fhir(status, &stored), version))
}

fn check_endpoint(rows: &Rows<'_>, endpoint: &Endpoint, id: &str, client: &Ura) -> Result<(), Refusal> {
    if endpoint.resource_type != "Endpoint" || endpoint.id != id {
        return Err(Refusal::Nonsense("The body is not the Endpoint that the path names.".to_owned()));
    }
    let own = format!("box-{client}");
    if !id.strip_prefix(own.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('-')) {
        return Err(Refusal::Forbidden(
            "An Endpoint's id is box-‹your URA›, or begins with box-‹your URA›-.",
        ));
    }
    let Some(manager) = &endpoint.managing_organization else {
        return Err(Refusal::Nonsense("managingOrganization is needed.".to_owned()));
    };
    let mut is_named = false;
    if let Some(ura) = manager.ura() {
        is_named = true;
        check_own(ura, client)?;
    }
    if let Some(id) = manager.id_of("Organization") {
        is_named = true;
        let found = find(rows, "Organization", id)?;
        let organization = found.and_then(|found| serde_json::from_value::<Organization>(found.body).ok());
        let ura =
            organization.iter().flat_map(|o| &o.identifier).find(|i| i.system.as_deref() == Some(URA_SYSTEM));
        check_own(ura.and_then(|identifier| identifier.value.as_deref()).unwrap_or_default(), client)?;
    }
    if is_named { Ok(()) } else { Err(Refusal::Nonsense("managingOrganization names no URA.".to_owned())) }
}

fn check_own(ura: &str, client: &Ura) -> Result<(), Refusal> {
    if ura == client.as_str() {
        return Ok(());
    }
    Err(Refusal::Forbidden("An Endpoint is published by the organisation that manages it."))
}

fn with_tag(mut response: Response, version: i64) -> Response {
    if let Ok(tag) = HeaderValue::try_from(format!("W/\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}
