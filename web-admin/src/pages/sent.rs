//! "Verstuurd": what was sent, where it is, and what has been proven.

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::Response;
use beeldbox_protocol::admin::{Question, ReceiptStage, Reply, TransferDetail};
use beeldbox_protocol::ident::TransferId;

use serde::Deserialize;

use crate::pages::send::PAGE_ROWS;
use crate::view::date;
use crate::view::frame::{Frame, Place};
use crate::view::icon::Icon;
use crate::view::problem::Problem;
use crate::view::state::Direction;
use crate::view::text::{clean, clean_lines};
use crate::view::transfer::{self, Step, TransferView};
use crate::visit::{self, Visit};

/// Where the page begins.
#[derive(Deserialize)]
pub struct ListQuery {
    /// Only those before this one.
    pub before: Option<TransferId>,
}

#[derive(Template)]
#[template(path = "page/sent.html", blocks = ["menu", "live"])]
struct SentPage {
    frame: Frame,
    as_of: String,
    rows: Vec<TransferView>,
    older: Option<TransferId>,
    is_first: bool,
}
visit::live_page!(SentPage);

#[derive(Template)]
#[template(path = "page/sent_detail.html", blocks = ["menu", "live"])]
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

/// `GET /sent`.
pub async fn list(visit: Visit, Query(query): Query<ListQuery>) -> Result<Response, Problem> {
    let question = Question::Transfers { before: query.before, limit: PAGE_ROWS };
    let Reply::Transfers(lines) = visit.ask(question).await? else { return Err(Problem::odd()) };
    let is_full_page = u32::try_from(lines.len()).is_ok_and(|rows| rows >= PAGE_ROWS);
    let template = SentPage {
        frame: Frame { is_live: true, ..visit.frame("sent.title", Place::Sent).await },
        as_of: date::clock(visit.now),
        rows: transfer::list(&lines, Direction::Out, visit.now, visit.words),
        older: lines.last().map(|line| line.transfer).filter(|_| is_full_page),
        is_first: query.before.is_none(),
    };
    Ok(visit::live_page_for(&visit, &template))
}

/// `GET /sent/{id}`.
pub async fn detail(visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    let detail = transfer_detail(&visit, &id).await?;
    visit.seen(detail.line.transfer).await;
    let words = visit.words;
    let by = detail.requested_by.as_deref().map(clean).unwrap_or_default();
    let made = Step {
        word: words.t("sent.made-at"),
        when: date::when(detail.line.created_at, visit.now, words),
        detail: if by.is_empty() { by } else { words.fill("sent.by", &[("name", &by)]) },
        tone: "good",
    };
    let names = [(ReceiptStage::InCustody, "sent.in-custody"), (ReceiptStage::InPacs, "sent.in-pacs")];
    let refused = u64::try_from(detail.refused.len()).unwrap_or_default();
    let template = DetailPage {
        frame: Frame { is_live: true, ..visit.frame("sent.detail-title", Place::Sent).await },
        as_of: date::clock(visit.now),
        row: TransferView::new(&detail.line, Direction::Out, visit.now, words),
        course: transfer::course(made, &detail.receipts, names, visit.now, words),
        note: clean_lines(detail.note.as_ref().map_or("", |note| note.reveal())),
        reply_contact: clean_lines(detail.reply_contact.as_ref().map_or("", |text| text.reveal())),
        refused: if refused == 0 { String::new() } else { words.n("sent.refused", refused) },
        refused_lines: transfer::refused_lines(&detail.refused, words),
        fingerprint: fingerprint(&visit, &detail),
    };
    Ok(visit::live_page_for(&visit, &template))
}

/// A transfer as it is now.
///
/// # Errors
/// If there is no answer, or no such transfer.
pub async fn transfer_detail(visit: &Visit, id: &str) -> Result<TransferDetail, Problem> {
    let transfer: TransferId = id.parse().map_err(|_| Problem::not_found())?;
    let Reply::Transfer(detail) = visit.ask(Question::Transfer { transfer }).await? else {
        return Err(Problem::odd());
    };
    Ok(*detail)
}

/// What every form about a transfer carries.
pub fn fingerprint(visit: &Visit, detail: &TransferDetail) -> String {
    visit.fingerprint(&["transfer", &detail.line.transfer.to_string()], detail.line.patient.as_ref())
}
