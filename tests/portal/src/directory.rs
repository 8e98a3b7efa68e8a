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
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};

use crate::identity::Client;
use crate::ledger::{LedgerError, Writing, last_mark, timestamp};
use crate::page::{Page, Query};
use crate::refusal::Refusal;
use crate::site::{Site, fhir};
use crate::task_api::{Precondition, read_precondition};

/// The kinds of resource that a directory consists of.
pub const KINDS: [&str; 5] =
    ["Organization", "Location", "HealthcareService", "Endpoint", "OrganizationAffiliation"];

/// Largest Endpoint: a signed key with a chain of certificates, several times over.
const MAX_ENDPOINT_LEN: usize = 64 * 1024;

/// A version of a resource.
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

fn find(connection: &Connection, kind: &str, id: &str) -> Result<Option<Found>, LedgerError> {
    let row: Option<(i64, i64, String)> = connection
        .query_row(
            "SELECT version, updated, body FROM resource WHERE kind = ?1 AND id = ?2",
            [kind, id],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional()?;
    let Some((version, updated, body)) = row else { return Ok(None) };
    let body = serde_json::from_str(&body).map_err(|_| LedgerError::Damaged("a resource"))?;
    Ok(Some(Found { version, updated, body }))
}

/// Writes a resource; says its version, which stays if nothing is different.
fn put(writing: &Writing<'_>, kind: &str, id: &str, mut body: Value) -> Result<i64, Refusal> {
    if let Some(fields) = body.as_object_mut() {
        fields.remove("meta");
    }
    let before = find(writing.connection, kind, id)?;
    let version = before.as_ref().map_or(1, |found| found.version + 1);
    if let Some(found) = before
        && found.body == body
    {
        return Ok(found.version);
    }
    writing.connection.execute(
        "INSERT INTO resource (kind, id, version, updated, body)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (kind, id) DO UPDATE SET
             version = excluded.version, updated = excluded.updated, body = excluded.body",
        params![kind, id, version, writing.next_mark()?, body.to_string()],
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
    list(&site, "searchset", &kind, uri.path(), query).await
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
    list(&site, "history", &kind, uri.path(), query).await
}

async fn list(
    site: &Site,
    page: &'static str,
    kind: &str,
    path: &str,
    query: Query,
) -> Result<Response, Refusal> {
    let kind = known(kind)?;
    let (since, count) = (query.since()?, query.count()?);
    let (mut found, last) = site
        .ledger
        .read(move |connection| {
            Ok::<_, Refusal>((changed(connection, kind, since, count + 1)?, last_mark(connection)?))
        })
        .await?;
    let mut mark = timestamp(last.saturating_add(1).max(since))?;
    let mut next = None;
    if found.len() > count {
        found.truncate(count);
        mark = timestamp(found.last().map_or(since, |last| last.updated + 1))?;
        next = Some(query.next(path, mark));
    }
    let resources = found.into_iter().map(Found::with_meta).collect::<Result<_, _>>()?;
    Ok(fhir(StatusCode::OK, &Page { kind: page, mark, next, resources }.bundle()))
}

fn changed(connection: &Connection, kind: &str, since: i64, count: usize) -> Result<Vec<Found>, LedgerError> {
    let mut statement = connection.prepare(
        "SELECT version, updated, body FROM resource WHERE kind = ?1 AND updated >= ?2 ORDER BY updated LIMIT ?3",
    )?;
    let mut rows = statement.query(params![kind, since, i64::try_from(count).unwrap_or(i64::MAX)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let body: String = row.get(2)?;
        let body = serde_json::from_str(&body).map_err(|_| LedgerError::Damaged("a resource"))?;
        found.push(Found { version: row.get(0)?, updated: row.get(1)?, body });
    }
    Ok(found)
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
    let found =
        site.ledger.read(move |connection| find(connection, kind, &id)).await?.ok_or(Refusal::NotFound)?;
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
        check_endpoint(writing.connection, &endpoint, checked_id.as_str(), &client.ura)?;
        let before = find(writing.connection, "Endpoint", checked_id.as_str())?.map(|found| found.version);
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
        let found = find(writing.connection, "Endpoint", checked_id.as_str())?.ok_or(Refusal::NotFound)?;
        Ok((before.is_none(), version, found.with_meta()?))
    });
    let (is_new, version, stored) = written.await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(with_tag(fhir(status, &stored), version))
}

fn check_endpoint(
    connection: &Connection,
    endpoint: &Endpoint,
    id: &str,
    client: &Ura,
) -> Result<(), Refusal> {
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
        let found = find(connection, "Organization", id)?;
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
