//! `/fhir/Binary/{transfer}`: the letter of a transfer.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use beeldbox_protocol::envelope::letter::MAX_LETTER_LEN;
use beeldbox_protocol::ident::{Digest, TransferId, Ura};

use crate::content::{Stored, claimed_digest, claimed_len, give, read_away};
use crate::identity::Client;
use crate::refusal::Refusal;
use crate::rows::Rows;
use crate::site::Site;
use crate::store::letter_at;
use crate::task_api::transfer_in;
use crate::tasks::{self, Content};

/// What a letter meets that wants to be stored.
enum Place {
    /// Nothing.
    Free,
    /// The same letter.
    Same,
}

/// `PUT /fhir/Binary/{transfer}`, by the sender, while the transfer is a draft.
pub async fn write(
    State(site): State<Arc<Site>>,
    Extension(client): Extension<Client>,
    Path(transfer): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let transfer = transfer_in(&transfer)?;
    let digest = claimed_digest(&headers)?;
    let limit = u64::try_from(MAX_LETTER_LEN).unwrap_or(u64::MAX);
    let len = claimed_len(&headers, limit)?;
    let ura = client.ura.clone();
    match site.ledger.read(move |rows| place(rows, &transfer, &digest, &ura)).await {
        Ok(Place::Free) => {}
        Ok(Place::Same) => {
            read_away(body).await;
            return Ok(stored(StatusCode::OK, &digest));
        }
        Err(refusal) => {
            read_away(body).await;
            return Err(refusal);
        }
    }
    let incoming = site.store.receive(&letter_at(&transfer, &digest), body, len).await?;
    if incoming.digest != digest || incoming.len != len || site.faults.denies_digest() {
        incoming.discard().await;
        return Err(Refusal::DigestMismatch);
    }
    incoming.keep().await?;
    let ura = client.ura;
    let recorded = site
        .ledger
        .write(move |writing| {
            if let Place::Free = place(writing, &transfer, &digest, &ura)? {
                tasks::record_letter(writing, &transfer, &digest, len)?;
            }
            Ok::<_, Refusal>(())
        })
        .await;
    if let Err(refusal) = recorded {
        // Another letter came first, or the transfer is no draft any more: these bytes belong to nobody. After any
        // other refusal they may be the same that another request has just answered for.
        let belongs_to_nobody = matches!(refusal, Refusal::OtherLetter | Refusal::NotADraft);
        if belongs_to_nobody && let Err(why) = site.store.remove(&letter_at(&transfer, &digest)).await {
            tracing::warn!(?why, "a letter without a row is left for the next start to remove");
        }
        return Err(refusal);
    }
    Ok(stored(StatusCode::CREATED, &digest))
}

fn place(rows: &Rows<'_>, transfer: &TransferId, digest: &Digest, ura: &Ura) -> Result<Place, Refusal> {
    let task = tasks::find_for(rows, transfer, ura)?;
    if !task.is_sent_by(ura) {
        return Err(Refusal::Forbidden("The letter comes from the sender."));
    }
    match tasks::letter(rows, transfer)? {
        Some((found, _)) if found == *digest => Ok(Place::Same),
        Some(_) => Err(Refusal::OtherLetter),
        None if task.status.code() == "draft" => Ok(Place::Free),
        None => Err(Refusal::NotADraft),
    }
}

fn stored(status: StatusCode, digest: &Digest) -> Response {
    let mut response = status.into_response();
    if let Ok(tag) = HeaderValue::try_from(format!("\"{digest}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// `GET /fhir/Binary/{transfer}`, by the sender, and by the addressee once it was committed.
pub async fn read(
    State(site): State<Arc<Site>>,
    Extension(client): Extension<Client>,
    Path(transfer): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let transfer = transfer_in(&transfer)?;
    let served = site.faults.letter_served_for(transfer);
    let ura = client.ura.clone();
    let found = site
        .ledger
        .read(move |rows| {
            let task = tasks::find_for(rows, &transfer, &client.ura)?;
            if task.content != Content::Kept {
                return Err(Refusal::Gone);
            }
            let (digest, len) = tasks::letter(rows, &served)?.ok_or(Refusal::NotFound)?;
            Ok(Stored { at: letter_at(&served, &digest), digest, len })
        })
        .await?;
    tracing::info!(%transfer, %ura, "letter given out");
    give(&site.store, &headers, &found).await
}
