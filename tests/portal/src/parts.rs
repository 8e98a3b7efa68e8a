//! `/parts/{transfer}`: the sealed bytes, in pieces named by their own digest.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use beeldbox_protocol::envelope::letter::PART_LEN;
use beeldbox_protocol::ident::{Digest, TransferId, Ura};
use beeldbox_protocol::portal::PartList;
use beeldbox_protocol::portal::task::TaskStatus;

use crate::content::{Stored, claimed_digest, claimed_len, give, read_away};
use crate::identity::Client;
use crate::refusal::Refusal;
use crate::rows::{Rows, cells};
use crate::site::{Site, header_text};
use crate::store::part_at;
use crate::take_over;
use crate::task_api::transfer_in;
use crate::tasks::{self, Content};

/// `PUT /parts/{transfer}/{digest}`, by the sender, while the transfer is a draft.
pub async fn write(
    State(site): State<Arc<Site>>,
    Extension(client): Extension<Client>,
    Path((transfer, digest)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let transfer = transfer_in(&transfer)?;
    let digest = digest_in(&digest)?;
    let len = claimed_len(&headers, PART_LEN)?;
    if let Err(refusal) = may_store(&site, &client, transfer, digest, len, &headers).await {
        read_away(body).await;
        return Err(refusal);
    }
    let incoming = site.store.receive(&part_at(&transfer, &digest), body, len).await?;
    if incoming.digest != digest || incoming.len != len || site.faults.denies_digest() {
        incoming.discard().await;
        return Err(Refusal::DigestMismatch);
    }
    incoming.keep().await?;
    let (ura, quota) = (client.ura, site.limits.bytes_per_sender);
    let recorded = site
        .ledger
        .write(move |writing| {
            check_sender(writing, &transfer, &ura)?;
            check_quota(writing, &ura, quota, len)?;
            Ok::<_, Refusal>(tasks::record_part(writing, &transfer, &digest, len)?)
        })
        .await;
    if let Err(refusal) = recorded {
        remove_unwanted(&site, &transfer, &digest, &refusal).await;
        return Err(refusal);
    }
    site.parts_received.fetch_add(1, Ordering::Relaxed);
    let mut response = StatusCode::CREATED.into_response();
    if let Ok(tag) = HeaderValue::try_from(format!("\"{digest}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

/// Bytes without a row belong to nobody, for instance when the transfer was recalled while they came. They are removed
/// only if no row can come any more: another request, of any process, may be about to answer for the same bytes, and a
/// commit whose answer was lost may have answered for them. What stays goes with its transfer.
pub async fn remove_unwanted(site: &Site, transfer: &TransferId, digest: &Digest, refusal: &Refusal) {
    if !matches!(refusal, Refusal::NotADraft) {
        return;
    }
    let (asked, part) = (*transfer, *digest);
    let recorded = site.ledger.read(move |rows| tasks::part_len(rows, &asked, &part)).await;
    if let Ok(None) = recorded
        && let Err(why) = site.store.remove(&part_at(transfer, digest)).await
    {
        tracing::warn!(?why, "bytes without a row are left for the next start to remove");
    }
}

/// Everything that can be said before the first byte of the body is read.
async fn may_store(
    site: &Site,
    client: &Client,
    transfer: TransferId,
    digest: Digest,
    len: u64,
    headers: &HeaderMap,
) -> Result<(), Refusal> {
    if claimed_digest(headers)? != digest {
        return Err(Refusal::DigestMismatch);
    }
    if header_text(headers, header::IF_NONE_MATCH).is_some_and(|value| value != "*") {
        return Err(Refusal::Malformed("If-None-Match is * here.".to_owned()));
    }
    let (ura, quota) = (client.ura.clone(), site.limits.bytes_per_sender);
    site.ledger
        .read(move |rows| {
            let checked = check_sender(rows, &transfer, &ura);
            if !matches!(checked, Err(Refusal::NotFound))
                && tasks::part_len(rows, &transfer, &digest)?.is_some()
            {
                return Err(Refusal::Exists);
            }
            checked?;
            check_quota(rows, &ura, quota, len)
        })
        .await
}

/// Whether parts of this transfer may be stored for this client.
pub fn check_sender(rows: &Rows<'_>, transfer: &TransferId, ura: &Ura) -> Result<(), Refusal> {
    let task = tasks::find_for(rows, transfer, ura)?;
    if !task.is_sent_by(ura) {
        return Err(Refusal::Forbidden("Parts come from the sender."));
    }
    if task.status == TaskStatus::Draft { Ok(()) } else { Err(Refusal::NotADraft) }
}

fn check_quota(rows: &Rows<'_>, ura: &Ura, quota: Option<u64>, len: u64) -> Result<(), Refusal> {
    if len <= room(rows, ura, quota)? { Ok(()) } else { Err(Refusal::QuotaFull) }
}

/// Bytes that a sender may still have here.
pub fn room(rows: &Rows<'_>, ura: &Ura, quota: Option<u64>) -> Result<u64, Refusal> {
    let Some(quota) = quota else { return Ok(u64::MAX) };
    let row = rows.query_first(
        "SELECT CAST(coalesce(sum(part.len), 0) AS BIGINT)
         FROM part JOIN task ON task.id = part.transfer WHERE task.requester = ?1",
        cells![ura.as_str()],
    )?;
    let used = row.map_or(Ok(0), |row| row.integer(0))?;
    Ok(quota.saturating_sub(u64::try_from(used).unwrap_or(u64::MAX)))
}

/// `POST /parts/{transfer}/missing`: which of these are not there. What the sender's draft can have without sending it
/// is taken over first.
pub async fn missing(
    State(site): State<Arc<Site>>,
    Extension(client): Extension<Client>,
    Path(transfer): Path<String>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let transfer = transfer_in(&transfer)?;
    let asked: PartList = serde_json::from_slice(&body)
        .map_err(|error| Refusal::Malformed(format!("The body is no list of parts: {error}.")))?;
    let parts = take_over::missing(&site, &client.ura, transfer, asked.parts).await?;
    Ok(axum::Json(PartList { parts }).into_response())
}

/// `GET /parts/{transfer}/{digest}`, by the sender, and by the addressee once it was committed.
pub async fn read(
    State(site): State<Arc<Site>>,
    Extension(client): Extension<Client>,
    Path((transfer, digest)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let transfer = transfer_in(&transfer)?;
    let digest = digest_in(&digest)?;
    let found = site
        .ledger
        .read(move |rows| {
            let task = tasks::find_for(rows, &transfer, &client.ura)?;
            if task.content != Content::Kept {
                return Err(Refusal::Gone);
            }
            let len = tasks::part_len(rows, &transfer, &digest)?.ok_or(Refusal::NotFound)?;
            Ok(Stored { at: part_at(&transfer, &digest), digest, len })
        })
        .await?;
    let response = give(&site.store, &headers, &found).await?;
    Ok(site.faults.handle_part(&digest, response))
}

fn digest_in(path: &str) -> Result<Digest, Refusal> {
    path.parse().map_err(|_| {
        Refusal::Malformed("A part is named by its SHA-256, in lower-case hexadecimal.".to_owned())
    })
}
