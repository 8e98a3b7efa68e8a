//! What a person does with a received study: give it back, keep it, try again.

use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use beeldbox_protocol::admin::{Question, TransferDetail};

use crate::pages::fields::Fields;
use crate::pages::sent::{fingerprint, transfer_detail};
use crate::pages::sent_acts;
use crate::view::problem::Problem;
use crate::visit::Visit;

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
