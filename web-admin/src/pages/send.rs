//! "Te versturen": received studies that wait for an addressee, newest first, those of one patient together.

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::{IntoResponse, Redirect, Response};
use beeldbox_protocol::admin::{Question, Reply, StateCode, StudyLine, StudyNumber};
use beeldbox_protocol::clinical::Patient;
use serde::Deserialize;

use crate::lang::Words;
use crate::view::frame::{Frame, Place};
use crate::view::icon::Icon;
use crate::view::patient::{PatientView, mark_namesakes};
use crate::view::problem::Problem;
use crate::view::state::hold_line;
use crate::view::study::StudyView;
use crate::view::{date, text};
use crate::visit::{self, Visit};

/// Rows of one page: what a person looks through without searching.
pub const PAGE_ROWS: u32 = 50;

/// Where the page begins.
#[derive(Deserialize)]
pub struct ListQuery {
    before: Option<i64>,
}

#[derive(Template)]
#[template(path = "page/send.html", blocks = ["menu", "live"])]
struct SendPage {
    frame: Frame,
    as_of: String,
    groups: Vec<Group>,
    older: Option<i64>,
    is_first: bool,
    ae_title: String,
    dicom_address: String,
}
visit::live_page!(SendPage);

/// The studies of one patient.
struct Group {
    id: String,
    source: Patient,
    patient: PatientView,
    rows: Vec<StudyRow>,
}

/// One study of the list.
struct StudyRow {
    number: i64,
    study: StudyView,
    is_arriving: bool,
    is_first_ready: bool,
    word: String,
    detail: String,
    source_ae: String,
    warnings: Vec<String>,
}

/// `GET /send`.
pub async fn list(visit: Visit, Query(query): Query<ListQuery>) -> Result<Response, Problem> {
    let question = Question::Studies { before: query.before.map(StudyNumber), limit: PAGE_ROWS };
    let Reply::Studies(lines) = visit.ask(question).await? else { return Err(Problem::odd()) };
    let is_full_page = u32::try_from(lines.len()).is_ok_and(|rows| rows >= PAGE_ROWS);
    let older = lines.last().map(|line| line.study.0).filter(|_| is_full_page);
    let status = visit.status().await?;
    let frame = Frame { is_live: true, ..visit.frame_with("send.title", Place::Send, Some(&status)) };
    let template = SendPage {
        frame,
        as_of: date::clock(visit.now),
        groups: group(&visit, &lines),
        older,
        is_first: query.before.is_none(),
        ae_title: status.ae_title,
        dicom_address: status.dicom_address,
    };
    Ok(visit::live_page_for(&visit, &template))
}

/// `POST /send/{study}/close`.
pub async fn close(visit: Visit, Path(study): Path<i64>) -> Result<Response, Problem> {
    visit.act(Question::CloseStudy { study: StudyNumber(study) }).await?;
    visit.leave_notice(visit.words.t("send.closed"));
    Ok(Redirect::to("/send").into_response())
}

fn group(visit: &Visit, lines: &[StudyLine]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut has_first_ready = false;
    for line in lines {
        let is_ready = line.situation.state != StateCode::Collecting;
        let row = row(visit, line, is_ready && !has_first_ready);
        has_first_ready |= is_ready;
        // Only what says who it is can be put together; studies without a name stay apart.
        let known =
            groups.iter_mut().find(|group| group.source == line.patient && line.patient.name.is_some());
        match known {
            Some(group) => group.rows.push(row),
            None => groups.push(Group {
                id: match line.patient.name {
                    Some(_) => visit.row_id(&line.patient),
                    None => format!("study-{}", line.study.0),
                },
                source: line.patient.clone(),
                patient: PatientView::new(&line.patient, visit.now, visit.words),
                rows: vec![row],
            }),
        }
    }
    let mut patients: Vec<&mut PatientView> = groups.iter_mut().map(|group| &mut group.patient).collect();
    mark_namesakes(&mut patients);
    groups
}

/// Who sent it, and whom the sender meant.
fn origin(line: &StudyLine, words: Words) -> String {
    let from = words.fill("study.from", &[("ae", &text::clean(&line.source_ae))]);
    match &line.called_alias {
        Some(alias) => format!("{from}, {}", words.fill("send.meant-for", &[("alias", &text::clean(alias))])),
        None => from,
    }
}

fn row(visit: &Visit, line: &StudyLine, is_first_ready: bool) -> StudyRow {
    let words = visit.words;
    let is_arriving = line.situation.state == StateCode::Collecting;
    let (word, detail) = if is_arriving {
        let ago = date::ago(line.last_instance_at, visit.now, words);
        (words.t("send.arriving"), words.fill("send.arriving-detail", &[("ago", &ago)]))
    } else {
        let when = date::when(line.situation.since, visit.now, words);
        (words.t("send.ready"), words.fill("send.ready-detail", &[("when", &when)]))
    };
    let mut warnings = Vec::new();
    if let Some(hold) = &line.situation.hold {
        warnings.push(words.t(hold_line(hold)));
    } else if line.has_conflict {
        warnings.push(words.t("send.conflict"));
    }
    if line.damaged > 0 {
        warnings.push(words.n("send.damaged", line.damaged.into()));
    }
    StudyRow {
        number: line.study.0,
        study: StudyView::new(&line.summary, words),
        is_arriving,
        is_first_ready,
        word,
        detail,
        source_ae: origin(line, words),
        warnings,
    }
}
