//! `/fhir/Task`: making, moving, reading and waiting for transfers.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use beeldbox_protocol::ident::{TransferId, Ura};
use beeldbox_protocol::portal::fhir::{Task, URA_SYSTEM};
use beeldbox_protocol::portal::task::TaskStatus;
use jiff::Timestamp;

use crate::identity::Client;
use crate::ledger::{Writing, last_mark, timestamp};
use crate::life_cycle::{Checked, check_change, check_draft, read_task};
use crate::page::{Page, Query};
use crate::refusal::Refusal;
use crate::rows::cells;
use crate::site::{Site, fhir, header_text};
use crate::sweep;
use crate::tasks::{self, Listing, StoredTask};

/// Longest that a poll waits for news, whatever it asks.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// Reads the transfer's id from a path. What is none cannot exist.
pub fn transfer_in(path: &str) -> Result<TransferId, Refusal> {
    path.parse().map_err(|_| Refusal::NotFound)
}

/// `GET /fhir/Task/{transfer}`.
pub async fn read(
    State(site): State<Arc<Site>>,
    Extension(client): Extension<Client>,
    Path(transfer): Path<String>,
) -> Result<Response, Refusal> {
    let transfer = transfer_in(&transfer)?;
    let ura = client.ura.clone();
    let stored = site.ledger.read(move |rows| tasks::find_for(rows, &transfer, &ura)).await?;
    Ok(answer(&site, StatusCode::OK, &client.ura, stored))
}

/// `PUT /fhir/Task/{transfer}`: a new draft with `If-None-Match: *`, a move with `If-Match`.
pub async fn write(
    State(site): State<Arc<Site>>,
    Extension(client): Extension<Client>,
    Path(transfer): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let transfer = transfer_in(&transfer)?;
    let precondition = read_precondition(&headers)?;
    let wanted = read_task(&body)?;
    match precondition {
        Precondition::New => create(&site, client, transfer, wanted).await,
        Precondition::Version(version) => change(&site, client, transfer, wanted, version).await,
        Precondition::Any => {
            // Whoever may not know of it learns nothing here either.
            let ura = client.ura.clone();
            site.ledger.read(move |rows| tasks::find_for(rows, &transfer, &ura)).await?;
            Err(Refusal::PreconditionNeeded)
        }
    }
}

/// What a writer expects to find.
#[derive(Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing: `If-None-Match: *`.
    New,
    /// This version: `If-Match: W/"3"`.
    Version(String),
    /// It did not say.
    Any,
}

/// Reads what a writer expects to find.
pub fn read_precondition(headers: &HeaderMap) -> Result<Precondition, Refusal> {
    if let Some(value) = header_text(headers, header::IF_NONE_MATCH) {
        return match value {
            "*" => Ok(Precondition::New),
            _ => Err(Refusal::Malformed("If-None-Match is * here.".to_owned())),
        };
    }
    let Some(value) = header_text(headers, header::IF_MATCH) else { return Ok(Precondition::Any) };
    let quoted = value.strip_prefix("W/").unwrap_or(value);
    let version = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match version {
        Some(version) => Ok(Precondition::Version(version.to_owned())),
        None => Err(Refusal::Malformed("If-Match looks like W/\"3\".".to_owned())),
    }
}

async fn create(
    site: &Arc<Site>,
    client: Client,
    transfer: TransferId,
    wanted: Task,
) -> Result<Response, Refusal> {
    let limits = site.limits.clone();
    let ura = client.ura.clone();
    let stored = site
        .ledger
        .write(move |writing| {
            if tasks::find(writing, &transfer)?.is_some() {
                return Err(Refusal::Exists);
            }
            let checked = check_draft(&transfer, &ura, wanted, writing.now)?;
            if let Some(limit) = limits.drafts_per_sender {
                check_drafts(writing, &ura, limit)?;
            }
            tasks::insert(writing, &checked, limits.grace)?;
            tasks::find_for(writing, &transfer, &ura)
        })
        .await?;
    site.tell_news();
    let mut response = answer(site, StatusCode::CREATED, &client.ura, stored);
    if let Ok(location) = HeaderValue::try_from(format!("/fhir/Task/{transfer}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

fn check_drafts(writing: &Writing<'_>, ura: &Ura, limit: u32) -> Result<(), Refusal> {
    let sql = "SELECT count(*) FROM task WHERE requester = ?1 AND status = 'draft'";
    let drafts = writing.query_first(sql, cells![ura.as_str()])?.map_or(Ok(0), |row| row.integer(0))?;
    if drafts < i64::from(limit) { Ok(()) } else { Err(Refusal::Busy { retry_after: 60 }) }
}

async fn change(
    site: &Arc<Site>,
    client: Client,
    transfer: TransferId,
    wanted: Task,
    version: String,
) -> Result<Response, Refusal> {
    let grace = site.limits.grace;
    let ura = client.ura.clone();
    let stored = site
        .ledger
        .write(move |writing| {
            let stored = tasks::find_for(writing, &transfer, &ura)?;
            if stored.version.to_string() != version {
                return Err(Refusal::VersionDiffers);
            }
            let is_addressee = stored.is_committed && stored.owner == ura.as_str();
            let checked =
                check_change(&transfer, &stored.task, wanted, stored.is_sent_by(&ura), is_addressee)?;
            if checked.to == TaskStatus::Requested {
                tasks::check_complete(writing, &transfer, &checked.task)?;
            }
            let Checked { task, to, owner, valid_until, .. } = checked;
            if stored.status == TaskStatus::Draft {
                tasks::turn_draft(writing, &transfer, &owner, valid_until)?;
            }
            tasks::update(writing, &stored, &task, to, valid_until, grace)?;
            tasks::find_for(writing, &transfer, &ura)
        })
        .await?;
    tracing::info!(%transfer, ura = %client.ura, status = %stored.status, "transfer moved");
    site.tell_news();
    if stored.status == TaskStatus::Cancelled {
        // The commit has closed the content already. If erasing fails now, the sweep does it later.
        if let Err(why) = sweep::erase(site, &transfer.to_string()).await {
            tracing::warn!(%transfer, ?why, "content of a recalled transfer is not erased yet");
        }
    }
    Ok(answer(site, StatusCode::OK, &client.ura, stored))
}

fn answer(site: &Site, status: StatusCode, client: &Ura, stored: StoredTask) -> Response {
    let version = stored.version;
    let updated = stored.task.meta.last_updated;
    let mut response = fhir(status, &site.faults.shown_to(client, stored));
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::try_from(format!("W/\"{version}\"")) {
        headers.insert(header::ETAG, tag);
    }
    if let Some(updated) = updated
        && let Ok(date) = HeaderValue::try_from(updated.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
    {
        headers.insert(header::LAST_MODIFIED, date);
    }
    response
}

/// `GET /fhir/Task?_lastUpdated=ge…`: what changed, in the order in which it changed; with `Prefer: wait=25` it waits
/// for something if there is nothing.
///
/// # Cancellation
/// May be dropped at any moment: nothing is changed by asking.
pub async fn search(
    State(site): State<Arc<Site>>,
    Extension(client): Extension<Client>,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let query = Query::read(query.as_deref())?;
    query.only(&[
        "_count",
        "_lastUpdated",
        "owner",
        "owner:identifier",
        "requester",
        "requester:identifier",
        "status",
    ])?;
    let listing = Listing {
        client: client.ura.clone(),
        since: query.since()?,
        owner: ura_asked(&query, "owner")?,
        requester: ura_asked(&query, "requester")?,
        status: status_asked(&query)?,
        count: query.count()?,
    };
    let wait = read_wait(&headers).min(MAX_WAIT);
    let deadline = tokio::time::Instant::now() + wait;
    let mut news = site.news.subscribe();
    let mut stopping = site.stopping.clone();
    loop {
        news.borrow_and_update();
        let (found, mark) = list(&site, listing.clone()).await?;
        let has_news = tokio::select! {
            _ = std::future::ready(()), if !found.is_empty() || *stopping.borrow() => false,
            changed = news.changed() => changed.is_ok(),
            _ = stopping.wait_for(|stopping| *stopping) => false,
            () = tokio::time::sleep_until(deadline) => false,
        };
        if !has_news {
            let page = page_of(&site, &client.ura, &query, uri.path(), &listing, found, mark);
            let page = site.faults.handle_page(page, &uri);
            let mut response = fhir(StatusCode::OK, &page.bundle());
            if !wait.is_zero() {
                let applied = HeaderValue::try_from(format!("wait={}", wait.as_secs()));
                response.headers_mut().extend(applied.ok().map(|value| (PREFERENCE_APPLIED, value)));
            }
            return Ok(response);
        }
    }
}

const PREFERENCE_APPLIED: header::HeaderName = header::HeaderName::from_static("preference-applied");

/// The transfers, and the mark if these are all of them.
async fn list(site: &Site, listing: Listing) -> Result<(Vec<StoredTask>, Timestamp), Refusal> {
    site.ledger
        .read(move |rows| {
            let mark = timestamp(last_mark(rows)?.saturating_add(1).max(listing.since))?;
            Ok((tasks::list(rows, &listing)?, mark))
        })
        .await
}

fn page_of(
    site: &Site,
    client: &Ura,
    query: &Query,
    path: &str,
    listing: &Listing,
    mut found: Vec<StoredTask>,
    mut mark: Timestamp,
) -> Page {
    let mut next = None;
    if found.len() > listing.count {
        found.truncate(listing.count);
        let last = found.last().and_then(|stored| stored.task.meta.last_updated);
        mark =
            last.and_then(|last| Timestamp::from_microsecond(last.as_microsecond() + 1).ok()).unwrap_or(mark);
        next = Some(query.next(path, mark));
    }
    let resources = found.into_iter().map(|stored| serde_json::json!(site.faults.shown_to(client, stored)));
    Page { kind: "searchset", mark, next, resources: resources.collect() }
}

/// `owner=‹URA›`, `owner=‹system›|‹URA›`, or the same as `owner:identifier`.
fn ura_asked(query: &Query, name: &str) -> Result<Option<String>, Refusal> {
    let Some(value) = query.value(name).or_else(|| query.value(&format!("{name}:identifier"))) else {
        return Ok(None);
    };
    let ura = value.strip_prefix(URA_SYSTEM).and_then(|rest| rest.strip_prefix('|')).unwrap_or(value);
    let ura: Ura = ura.parse().map_err(|error| Refusal::Malformed(format!("The URA of {name} {error}.")))?;
    Ok(Some(ura.to_string()))
}

fn status_asked(query: &Query) -> Result<Vec<TaskStatus>, Refusal> {
    let codes = query.value("status").into_iter().flat_map(|codes| codes.split(','));
    codes
        .map(|code| {
            TaskStatus::from_code(code)
                .ok_or_else(|| Refusal::Malformed("A status that transfers do not have.".to_owned()))
        })
        .collect()
}

/// Seconds of `Prefer: wait` (RFC 7240 §4.3).
fn read_wait(headers: &HeaderMap) -> Duration {
    let preferences = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let wait = preferences
        .flat_map(|value| value.split([',', ';']))
        .find_map(|preference| preference.trim().strip_prefix("wait=")?.trim_matches('"').parse().ok());
    Duration::from_secs(wait.unwrap_or(0))
}
