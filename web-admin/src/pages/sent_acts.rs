//! Taking a sent transfer back, and trying a waiting one again.

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use beeldbox_protocol::admin::{Question, Reply, TransferDetail};
use beeldbox_protocol::clinical::Confidential;

use crate::pages::fields::Fields;
use crate::pages::sent::{fingerprint, transfer_detail};
use crate::view::frame::{Frame, Place};
use crate::view::icon::Icon;
use crate::view::problem::Problem;
use crate::view::state::{self, Direction};
use crate::view::transfer::TransferView;
use crate::visit::{self, Visit};

#[derive(Template)]
#[template(path = "page/recall.html")]
struct RecallPage {
    frame: Frame,
    row: TransferView,
    fingerprint: String,
    what_it_does: String,
    is_question: bool,
    error: Option<String>,
}

/// `GET /sent/{id}/recall`: says what it can still do (CS-18).
pub async fn recall_page(visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    let detail = transfer_detail(&visit, &id).await?;
    Ok(visit::page(&recall_template(&visit, &detail).await))
}

/// `POST /sent/{id}/recall`: takes it back at the portal; what the other hospital has collected is asked back.
pub async fn recall(visit: Visit, Path(id): Path<String>, fields: Fields) -> Result<Response, Problem> {
    let detail = transfer_detail(&visit, &id).await?;
    if fields.text("fingerprint") != fingerprint(&visit, &detail) {
        return Err(Problem::mismatch("inbox.changed"));
    }
    let transfer = detail.line.transfer;
    let notice = if has_arrived(&detail) {
        let reason = fields.text("reason").trim();
        if reason.is_empty() {
            let mut template = recall_template(&visit, &detail).await;
            template.error = Some(visit.words.t("sent.ask-need-reason"));
            return Ok(visit::page_with(StatusCode::UNPROCESSABLE_ENTITY, &template));
        }
        visit.act(Question::AskBack { transfer, reason: Confidential::new(reason) }).await?;
        "sent.asked-back"
    } else {
        visit.act(Question::Recall { transfer }).await?;
        "sent.recalled"
    };
    tracing::info!(%transfer, account = %visit.account, "a transfer was taken or asked back");
    visit.leave_notice(visit.words.t(notice));
    Ok(Redirect::to(&format!("/sent/{transfer}")).into_response())
}

/// A receipt proves arrival, whatever the state says since.
fn has_arrived(detail: &TransferDetail) -> bool {
    !detail.receipts.is_empty()
}

async fn recall_template(visit: &Visit, detail: &TransferDetail) -> RecallPage {
    let is_question = has_arrived(detail);
    RecallPage {
        frame: visit.frame("sent.recall-title", Place::Sent).await,
        row: TransferView::new(&detail.line, Direction::Out, visit.now, visit.words),
        fingerprint: fingerprint(visit, detail),
        what_it_does: visit.words.t(state::recall_line(&detail.line.situation, is_question)),
        is_question,
        error: None,
    }
}

/// `POST /sent/{id}/undo`: the study waits for an addressee again, and the person chooses anew.
pub async fn undo(visit: Visit, Path(id): Path<String>, fields: Fields) -> Result<Response, Problem> {
    let detail = transfer_detail(&visit, &id).await?;
    if fields.text("fingerprint") != fingerprint(&visit, &detail) {
        return Err(Problem::mismatch("inbox.changed"));
    }
    visit.act(Question::Undo { transfer: detail.line.transfer }).await?;
    tracing::info!(transfer = %detail.line.transfer, account = %visit.account, "a send was undone");
    visit.leave_notice(visit.words.t("sent.undone"));
    Ok(Redirect::to("/send").into_response())
}

/// `POST /sent/{id}/again`: the person chooses an addressee for the same study once more.
pub async fn again(visit: Visit, Path(id): Path<String>, fields: Fields) -> Result<Response, Problem> {
    let detail = transfer_detail(&visit, &id).await?;
    if fields.text("fingerprint") != fingerprint(&visit, &detail) {
        return Err(Problem::mismatch("inbox.changed"));
    }
    let question = Question::OfferAgain { transfer: detail.line.transfer };
    let Reply::Study(line) = visit.ask(question).await? else { return Err(Problem::odd()) };
    Ok(Redirect::to(&format!("/send/{}", line.study.0)).into_response())
}

/// `POST /sent/{id}/retry`.
pub async fn retry(visit: Visit, Path(id): Path<String>, fields: Fields) -> Result<Response, Problem> {
    resume(&visit, &id, &fields, "/sent").await
}

/// Lets a waiting or held transfer go on, and comes back to its page.
///
/// # Errors
/// If the form does not fit the transfer, or the daemon refuses.
pub async fn resume(visit: &Visit, id: &str, fields: &Fields, list: &str) -> Result<Response, Problem> {
    let detail = transfer_detail(visit, id).await?;
    if fields.text("fingerprint") != fingerprint(visit, &detail) {
        return Err(Problem::mismatch("inbox.changed"));
    }
    visit.act(Question::Resume { transfer: detail.line.transfer }).await?;
    visit.leave_notice(visit.words.t("sent.retried"));
    Ok(Redirect::to(&format!("{list}/{}", detail.line.transfer)).into_response())
}
