//! "Ontvangen": what other hospitals sent, and whether it can be imported.

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::Response;
use beeldbox_protocol::admin::{Question, ReceiptStage, Reply};
use beeldbox_protocol::ident::TransferId;

use crate::pages::send::PAGE_ROWS;
use crate::pages::sent::{ListQuery, fingerprint, transfer_detail};
use crate::view::date;
use crate::view::frame::{Frame, Place};
use crate::view::icon::Icon;
use crate::view::problem::Problem;
use crate::view::state::Direction;
use crate::view::text::clean_lines;
use crate::view::transfer::{self, Step, TransferView};
use crate::visit::{self, Visit};

#[derive(Template)]
#[template(path = "page/inbox.html", blocks = ["menu", "live"])]
struct InboxPage {
    frame: Frame,
    as_of: String,
    rows: Vec<TransferView>,
    older: Option<TransferId>,
    is_first: bool,
    last_contact: String,
}
visit::live_page!(InboxPage);

#[derive(Template)]
#[template(path = "page/inbox_detail.html", blocks = ["menu", "live"])]
struct DetailPage {
    frame: Frame,
    as_of: String,
    row: TransferView,
    course: Vec<Step>,
    note: String,
    reply_contact: String,
    refused: String,
    refused_lines: Vec<String>,
    fingerprint: String,
}
visit::live_page!(DetailPage);

/// `GET /inbox`.
pub async fn list(visit: Visit, Query(query): Query<ListQuery>) -> Result<Response, Problem> {
    let question = Question::Inbox { before: query.before, limit: PAGE_ROWS };
    let Reply::Transfers(lines) = visit.ask(question).await? else { return Err(Problem::odd()) };
    let is_full_page = u32::try_from(lines.len()).is_ok_and(|rows| rows >= PAGE_ROWS);
    let status = visit.status().await?;
    let contact = status.portal.last_answer_at.map(|at| date::when(at, visit.now, visit.words));
    let contact = contact.unwrap_or_else(|| visit.words.t("status.never"));
    let template = InboxPage {
        frame: Frame { is_live: true, ..visit.frame_with("inbox.title", Place::Inbox, Some(&status)) },
        as_of: date::clock(visit.now),
        rows: transfer::list(&lines, Direction::In, visit.now, visit.words),
        older: lines.last().map(|line| line.transfer).filter(|_| is_full_page),
        is_first: query.before.is_none(),
        last_contact: visit.words.fill("inbox.last-contact", &[("when", &contact)]),
    };
    Ok(visit::live_page_for(&visit, &template))
}

/// `GET /inbox/{id}`.
pub async fn detail(visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    let detail = transfer_detail(&visit, &id).await?;
    visit.seen(detail.line.transfer).await;
    let words = visit.words;
    let announced = Step {
        word: words.t("inbox.announced-at"),
        when: date::when(detail.line.created_at, visit.now, words),
        detail: String::new(),
        tone: "good",
    };
    let names = [
        (ReceiptStage::InCustody, "inbox.receipt-in-custody"),
        (ReceiptStage::InPacs, "inbox.receipt-in-pacs"),
    ];
    let refused = u64::try_from(detail.refused.len()).unwrap_or_default();
    let template = DetailPage {
        frame: Frame { is_live: true, ..visit.frame("inbox.detail-title", Place::Inbox).await },
        as_of: date::clock(visit.now),
        row: TransferView::new(&detail.line, Direction::In, visit.now, words),
        course: transfer::course(announced, &detail.receipts, names, visit.now, words),
        note: clean_lines(detail.note.as_ref().map_or("", |note| note.reveal())),
        reply_contact: clean_lines(detail.reply_contact.as_ref().map_or("", |text| text.reveal())),
        refused: if refused == 0 { String::new() } else { words.n("sent.refused-here", refused) },
        refused_lines: transfer::refused_lines(&detail.refused, words),
        fingerprint: fingerprint(&visit, &detail),
    };
    Ok(visit::live_page_for(&visit, &template))
}
