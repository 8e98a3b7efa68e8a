//! What a person does with a received study: import it, give it back, try again.

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use beeldbox_protocol::admin::{LocalChoice, Question, TransferDetail};
use beeldbox_protocol::clinical::Confidential;

use crate::pages::fields::Fields;
use crate::pages::sent::{fingerprint, transfer_detail};
use crate::pages::sent_acts;
use crate::view::frame::{Frame, Place};
use crate::view::icon::Icon;
use crate::view::problem::Problem;
use crate::view::state::Direction;
use crate::view::transfer::TransferView;
use crate::visit::{self, Visit};

/// Longest Patient ID (PS3.5 §6.2, VR LO).
const LONGEST_PATIENT_ID: usize = 64;

#[derive(Template)]
#[template(path = "page/import.html")]
struct ImportPage {
    frame: Frame,
    row: TransferView,
    fingerprint: String,
    local_id: Confidential,
    error: Option<String>,
}

/// `GET /inbox/{id}/import`.
pub async fn import_page(visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    let detail = transfer_detail(&visit, &id).await?;
    Ok(visit::page(&import_template(&visit, &detail, Confidential::default()).await))
}

/// `POST /inbox/{id}/import`.
pub async fn import(visit: Visit, Path(id): Path<String>, fields: Fields) -> Result<Response, Problem> {
    let detail = checked(&visit, &id, &fields).await?;
    let local_id = fields.text("patient_id");
    // Not cleaned but refused: an identifier must be the one that was typed.
    let is_bad = local_id.chars().count() > LONGEST_PATIENT_ID
        || local_id.chars().any(|c| c == '\\' || c.is_control());
    if is_bad {
        let mut template = import_template(&visit, &detail, Confidential::new(local_id)).await;
        template.error = Some(visit.words.t("inbox.local-id-bad"));
        return Ok(visit::page_with(StatusCode::UNPROCESSABLE_ENTITY, &template));
    }
    let patient = Some(local_id)
        .filter(|id| !id.is_empty())
        .map(|id| Box::new(LocalChoice { patient_id: Confidential::new(id), ..LocalChoice::default() }));
    visit.act(Question::Import { transfer: detail.line.transfer, patient }).await?;
    tracing::info!(transfer = %detail.line.transfer, account = %visit.account, "an import was ordered");
    visit.leave_notice(visit.words.t("inbox.imported"));
    Ok(back(&detail))
}

/// `POST /inbox/{id}/give-back`: it is removed from the PACS, and erased here.
pub async fn give_back(visit: Visit, Path(id): Path<String>, fields: Fields) -> Result<Response, Problem> {
    answer_ask(&visit, &id, &fields, true, "inbox.given-back").await
}

/// `POST /inbox/{id}/keep`: the sender is told that it is kept.
pub async fn keep(visit: Visit, Path(id): Path<String>, fields: Fields) -> Result<Response, Problem> {
    answer_ask(&visit, &id, &fields, false, "inbox.kept").await
}

async fn answer_ask(
    visit: &Visit,
    id: &str,
    fields: &Fields,
    removed: bool,
    notice: &str,
) -> Result<Response, Problem> {
    let detail = checked(visit, id, fields).await?;
    visit.act(Question::AnswerAsk { transfer: detail.line.transfer, removed }).await?;
    tracing::info!(transfer = %detail.line.transfer, account = %visit.account, removed, "a question was answered");
    visit.leave_notice(visit.words.t(notice));
    Ok(back(&detail))
}

/// `POST /inbox/{id}/retry`.
pub async fn retry(visit: Visit, Path(id): Path<String>, fields: Fields) -> Result<Response, Problem> {
    sent_acts::resume(&visit, &id, &fields, "/inbox").await
}

/// The transfer, if the form was shown with the patient that it has now (CS-23).
///
/// # Errors
/// If it was not, or there is no such transfer.
pub async fn checked(visit: &Visit, id: &str, fields: &Fields) -> Result<TransferDetail, Problem> {
    let detail = transfer_detail(visit, id).await?;
    if fields.text("fingerprint") == fingerprint(visit, &detail) {
        Ok(detail)
    } else {
        tracing::warn!("an act was refused: the form does not fit the transfer");
        Err(Problem::mismatch("inbox.changed"))
    }
}

/// To the page of the transfer.
pub fn back(detail: &TransferDetail) -> Response {
    Redirect::to(&format!("/inbox/{}", detail.line.transfer)).into_response()
}

async fn import_template(visit: &Visit, detail: &TransferDetail, local_id: Confidential) -> ImportPage {
    ImportPage {
        frame: visit.frame("inbox.import-title", Place::Inbox).await,
        row: TransferView::new(&detail.line, Direction::In, visit.now, visit.words),
        fingerprint: fingerprint(visit, detail),
        local_id,
        error: None,
    }
}
