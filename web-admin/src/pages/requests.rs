//! "Opvragen": images asked for at other hospitals, and what they ask for here.

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::Response;
use beeldbox_protocol::admin::{Question, Reply, RequestLine, UnbelievedRequest};
use beeldbox_protocol::ident::TransferId;

use crate::pages::send::PAGE_ROWS;
use crate::pages::sent::ListQuery;
use crate::view::date;
use crate::view::frame::{Frame, Place};
use crate::view::icon::Icon;
use crate::view::patient::{PatientView, mark_namesakes};
use crate::view::problem::Problem;
use crate::view::request::RequestView;
use crate::view::text::clean;
use crate::visit::{self, Visit};

#[derive(Template)]
#[template(path = "page/requests.html", blocks = ["menu", "live"])]
struct RequestsPage {
    frame: Frame,
    as_of: String,
    rows: Vec<RequestView>,
    not_believed: Vec<Unbelieved>,
    not_believed_title: String,
    older: Option<TransferId>,
    is_first: bool,
}
visit::live_page!(RequestsPage);

/// What calls itself a request and is not believed.
struct Unbelieved {
    id: String,
    how: String,
    since: String,
    why: String,
}

#[derive(Template)]
#[template(path = "page/request_detail.html", blocks = ["menu", "live"])]
struct DetailPage {
    frame: Frame,
    as_of: String,
    row: RequestView,
    fingerprint: String,
}
visit::live_page!(DetailPage);

/// `GET /requests`.
pub async fn list(visit: Visit, Query(query): Query<ListQuery>) -> Result<Response, Problem> {
    let question = Question::Requests { before: query.before, limit: PAGE_ROWS };
    let Reply::Requests(page) = visit.ask(question).await? else { return Err(Problem::odd()) };
    let lines = page.requests;
    let is_full_page = u32::try_from(lines.len()).is_ok_and(|rows| rows >= PAGE_ROWS);
    let mut rows: Vec<RequestView> =
        lines.iter().map(|line| RequestView::new(line, visit.now, visit.words)).collect();
    let mut patients: Vec<&mut PatientView> =
        rows.iter_mut().filter_map(|row| row.patient.as_mut()).collect();
    mark_namesakes(&mut patients);
    let count = u64::try_from(page.not_believed.len()).unwrap_or_default();
    let template = RequestsPage {
        frame: Frame { is_live: true, ..visit.frame("request.title", Place::Requests).await },
        as_of: date::clock(visit.now),
        rows,
        not_believed: page.not_believed.iter().map(|one| unbelieved(&visit, one)).collect(),
        not_believed_title: visit.words.n("request.not-believed", count),
        older: lines.last().map(|line| line.request).filter(|_| is_full_page),
        is_first: query.before.is_none(),
    };
    Ok(visit::live_page_for(&visit, &template))
}

/// `GET /requests/{id}`.
pub async fn detail(visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    let line = request_line(&visit, &id).await?;
    visit.seen(line.request).await;
    let template = DetailPage {
        frame: Frame { is_live: true, ..visit.frame("request.detail-title", Place::Requests).await },
        as_of: date::clock(visit.now),
        row: RequestView::new(&line, visit.now, visit.words),
        fingerprint: fingerprint(&visit, &line),
    };
    Ok(visit::live_page_for(&visit, &template))
}

/// A request as it is now.
///
/// # Errors
/// If there is no answer, or no such request.
pub async fn request_line(visit: &Visit, id: &str) -> Result<RequestLine, Problem> {
    let request: TransferId = id.parse().map_err(|_| Problem::not_found())?;
    let Reply::Request(line) = visit.ask(Question::Request { request }).await? else {
        return Err(Problem::odd());
    };
    Ok(*line)
}

/// What every form about a request carries.
pub fn fingerprint(visit: &Visit, line: &RequestLine) -> String {
    let patient = line.asked.as_ref().map(|asked| &asked.patient);
    visit.fingerprint(&["request", &line.request.to_string()], patient)
}

fn unbelieved(visit: &Visit, one: &UnbelievedRequest) -> Unbelieved {
    let when = date::when_and_ago(one.since, visit.now, visit.words);
    let claimed = clean(&one.claimed_sender);
    Unbelieved {
        id: one.request.to_string(),
        how: visit.words.fill("request.not-believed-how", &[("claimed", &claimed)]),
        since: visit.words.fill("state.since", &[("when", &when)]),
        why: clean(&one.why),
    }
}
