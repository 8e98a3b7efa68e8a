//! What came to the wrong addressee: sent on by its sender, moved to another department, or declined with a word on
//! where it belongs.

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use beeldbox_protocol::admin::{Addressee, DeclineCode, Question, Reply, TransferDetail};
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::AddresseeId;

use crate::drafts::{Draft, Purpose};
use crate::pages::ask::own_addressees;
use crate::pages::choose::{LONGEST_QUERY, search};
use crate::pages::fields::Fields;
use crate::pages::inbox_acts::{back, checked};
use crate::pages::sent::{fingerprint, transfer_detail};
use crate::view::frame::{Frame, Place};
use crate::view::icon::Icon;
use crate::view::problem::Problem;
use crate::view::recipient::AddresseeView;
use crate::view::state::{self, Direction};
use crate::view::transfer::TransferView;
use crate::visit::{self, Visit};

#[derive(Template)]
#[template(path = "page/forward.html")]
struct ForwardPage {
    frame: Frame,
    row: TransferView,
    fingerprint: String,
    own: Vec<AddresseeView>,
    error: Option<String>,
}

#[derive(Template)]
#[template(path = "page/decline.html")]
struct DeclinePage {
    frame: Frame,
    row: TransferView,
    fingerprint: String,
    reasons: Vec<Reason>,
    query: String,
    chosen: Option<AddresseeView>,
    options: Option<Vec<AddresseeView>>,
    error: Option<String>,
}

/// A reason to choose.
struct Reason {
    name: &'static str,
    text: String,
    is_chosen: bool,
}

/// `POST /sent/{id}/redirect`: the same images to another addressee, with note and check page as for every send.
pub async fn redirect(visit: Visit, Path(id): Path<String>, fields: Fields) -> Result<Response, Problem> {
    let detail = transfer_detail(&visit, &id).await?;
    if fields.text("fingerprint") != fingerprint(&visit, &detail) {
        return Err(Problem::mismatch("inbox.changed"));
    }
    let transfer = detail.line.transfer;
    let Reply::Study(line) = visit.ask(Question::StudyOf { transfer }).await? else {
        return Err(Problem::odd());
    };
    let draft = Draft {
        study: line.study,
        purpose: Purpose::Redirect(transfer),
        query: String::new(),
        addressee: detail.line.belongs_at.as_ref().map(|place| place.addressee.clone()),
        note: detail.note.clone().unwrap_or_default(),
        reply_contact: Confidential::default(),
        urgent: detail.line.urgent,
    };
    let name = visit.site.sessions.keep_draft(visit.key, draft);
    Ok(Redirect::to(&format!("/send/{}?draft={name}", line.study.0)).into_response())
}

/// `GET /inbox/{id}/forward`.
pub async fn forward_page(visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    let detail = transfer_detail(&visit, &id).await?;
    Ok(visit::page(&forward_template(&visit, &detail).await?))
}

/// `POST /inbox/{id}/forward`.
pub async fn forward(visit: Visit, Path(id): Path<String>, fields: Fields) -> Result<Response, Problem> {
    let detail = checked(&visit, &id, &fields).await?;
    let Ok(to) = fields.text("to").parse::<AddresseeId>() else {
        let mut template = forward_template(&visit, &detail).await?;
        template.error = Some(visit.words.t("inbox.need-department"));
        return Ok(visit::page_with(StatusCode::UNPROCESSABLE_ENTITY, &template));
    };
    visit.act(Question::Forward { transfer: detail.line.transfer, to }).await?;
    tracing::info!(transfer = %detail.line.transfer, account = %visit.account, "a received study was moved");
    visit.leave_notice(visit.words.t("inbox.forwarded"));
    Ok(back(&detail))
}

/// `GET /inbox/{id}/decline`.
pub async fn decline_page(visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    let detail = transfer_detail(&visit, &id).await?;
    Ok(visit::page(&decline_template(&visit, &detail, None).await))
}

/// `POST /inbox/{id}/decline`.
pub async fn decline(visit: Visit, Path(id): Path<String>, fields: Fields) -> Result<Response, Problem> {
    let detail = checked(&visit, &id, &fields).await?;
    let chosen = fields.text("reason");
    let reason = REASONS.into_iter().find(|reason| reason_name(*reason) == chosen);
    if fields.text("act") == "search" {
        let mut template = decline_template(&visit, &detail, reason).await;
        template.query = fields.text("q").chars().take(LONGEST_QUERY).collect();
        template.options = Some(search(&visit, &template.query).await?);
        return Ok(visit::page(&template));
    }
    let belongs_at = fields.text("addressee").parse::<AddresseeId>().ok();
    let error = match (reason, &belongs_at) {
        (None, _) => Some("inbox.need-reason"),
        (Some(reason), Some(_)) if !may_say_where(reason) => Some("inbox.belongs-with-reason"),
        (Some(_), _) => None,
    };
    let (Some(reason), None) = (reason, error) else {
        let mut template = decline_template(&visit, &detail, reason).await;
        template.error = error.map(|key| visit.words.t(key));
        template.chosen = match &belongs_at {
            Some(id) => entry(&visit, id).await?,
            None => None,
        };
        return Ok(visit::page_with(StatusCode::UNPROCESSABLE_ENTITY, &template));
    };
    visit.act(Question::Decline { transfer: detail.line.transfer, reason, belongs_at }).await?;
    tracing::info!(transfer = %detail.line.transfer, account = %visit.account, "a received study was declined");
    visit.leave_notice(visit.words.t("inbox.declined"));
    Ok(back(&detail))
}

/// Only these two say that the addressee was the wrong one.
fn may_say_where(reason: DeclineCode) -> bool {
    match reason {
        DeclineCode::WrongDepartment | DeclineCode::NotOurs => true,
        DeclineCode::UnknownPatient
        | DeclineCode::Incomplete
        | DeclineCode::Unreadable
        | DeclineCode::Other => false,
    }
}

/// The entry of the directory with this id, as it would be asked for images: the one question that finds it.
async fn entry(visit: &Visit, id: &AddresseeId) -> Result<Option<AddresseeView>, Problem> {
    match visit.ask(Question::CheckRequest { addressee: id.clone() }).await {
        Ok(Reply::WhomCheck(check)) => Ok(Some(AddresseeView::new(&check.addressee, visit.words))),
        Ok(_) => Err(Problem::odd()),
        Err(_) => Ok(None),
    }
}

async fn forward_template(visit: &Visit, detail: &TransferDetail) -> Result<ForwardPage, Problem> {
    let own = own_addressees(visit).await?;
    let is_there = |entry: &&Addressee| entry.desk() == detail.line.desk;
    Ok(ForwardPage {
        frame: visit.frame("inbox.forward-title", Place::Inbox).await,
        row: TransferView::new(&detail.line, Direction::In, visit.now, visit.words),
        fingerprint: fingerprint(visit, detail),
        own: own
            .iter()
            .filter(|entry| !is_there(entry))
            .map(|entry| AddresseeView::new(entry, visit.words))
            .collect(),
        error: None,
    })
}

async fn decline_template(
    visit: &Visit,
    detail: &TransferDetail,
    chosen: Option<DeclineCode>,
) -> DeclinePage {
    let reason = |code| Reason {
        name: reason_name(code),
        text: visit.words.t(state::decline_word(code)),
        is_chosen: chosen == Some(code),
    };
    DeclinePage {
        frame: visit.frame("inbox.decline-title", Place::Inbox).await,
        row: TransferView::new(&detail.line, Direction::In, visit.now, visit.words),
        fingerprint: fingerprint(visit, detail),
        reasons: REASONS.into_iter().map(reason).collect(),
        query: String::new(),
        chosen: None,
        options: None,
        error: None,
    }
}

/// In the order in which they are offered.
const REASONS: [DeclineCode; 6] = [
    DeclineCode::WrongDepartment,
    DeclineCode::UnknownPatient,
    DeclineCode::Incomplete,
    DeclineCode::Unreadable,
    DeclineCode::NotOurs,
    DeclineCode::Other,
];

fn reason_name(reason: DeclineCode) -> &'static str {
    match reason {
        DeclineCode::WrongDepartment => "wrong-department",
        DeclineCode::UnknownPatient => "unknown-patient",
        DeclineCode::Incomplete => "incomplete",
        DeclineCode::Unreadable => "unreadable",
        DeclineCode::NotOurs => "not-ours",
        DeclineCode::Other => "other",
    }
}
