//! What a person does with a request for images: answer it with a study, refuse it, take it back, put it aside.

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use beeldbox_protocol::admin::{AskedFor, MAX_PAGE, Question, Reply, RequestLine, StudyLine, StudyNumber};
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::TransferId;
use beeldbox_protocol::imaging_request::{RequestRefusal, may_be_one_person};

use crate::drafts::{Draft, Purpose};
use crate::pages::fields::Fields;
use crate::pages::requests::{fingerprint, request_line};
use crate::view::frame::{Frame, Place};
use crate::view::icon::Icon;
use crate::view::patient::PatientView;
use crate::view::problem::Problem;
use crate::view::request::{RequestView, refusal_word};
use crate::view::study::StudyView;
use crate::visit::{self, Visit};

#[derive(Template)]
#[template(path = "page/request_refuse.html")]
struct RefusePage {
    frame: Frame,
    row: RequestView,
    fingerprint: String,
    reasons: Vec<Reason>,
    error: Option<String>,
}

/// A reason to choose.
struct Reason {
    name: &'static str,
    text: String,
}

#[derive(Template)]
#[template(path = "page/request_answer.html")]
struct AnswerPage {
    frame: Frame,
    row: RequestView,
    fingerprint: String,
    these: Vec<Candidate>,
    others: Vec<Candidate>,
    nothing: String,
}

/// A study that could answer.
struct Candidate {
    number: i64,
    patient: PatientView,
    study: StudyView,
}

/// `GET /requests/{id}/refuse`.
pub async fn refuse_page(visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    let line = request_line(&visit, &id).await?;
    Ok(visit::page(&refuse_template(&visit, &line).await))
}

/// `POST /requests/{id}/refuse`.
pub async fn refuse(visit: Visit, Path(id): Path<String>, fields: Fields) -> Result<Response, Problem> {
    let line = checked(&visit, &id, &fields).await?;
    let chosen = fields.text("reason");
    let Some(reason) = RequestRefusal::ALL.into_iter().find(|reason| reason.code() == chosen) else {
        let mut template = refuse_template(&visit, &line).await;
        template.error = Some(visit.words.t("request.need-reason"));
        return Ok(visit::page_with(StatusCode::UNPROCESSABLE_ENTITY, &template));
    };
    visit.act(Question::RefuseRequest { request: line.request, reason }).await?;
    tracing::info!(request = %line.request, account = %visit.account, "a request was refused");
    visit.leave_notice(visit.words.t("request.refused-now"));
    Ok(back(&line))
}

/// `POST /requests/{id}/withdraw`.
pub async fn withdraw(visit: Visit, Path(id): Path<String>, fields: Fields) -> Result<Response, Problem> {
    let line = checked(&visit, &id, &fields).await?;
    visit.act(Question::WithdrawRequest { request: line.request }).await?;
    tracing::info!(request = %line.request, account = %visit.account, "a request was withdrawn");
    visit.leave_notice(visit.words.t("request.withdrawn-now"));
    Ok(back(&line))
}

/// `POST /requests/{id}/put-aside`: what is not believed stands no longer in the list.
pub async fn put_aside(visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    let request: TransferId = id.parse().map_err(|_| Problem::not_found())?;
    visit.act(Question::RefuseRequest { request, reason: RequestRefusal::Other }).await?;
    visit.leave_notice(visit.words.t("request.put-away"));
    Ok(Redirect::to("/requests").into_response())
}

/// `GET /requests/{id}/answer`: the studies that wait, those of the patient asked for first.
pub async fn answer_page(visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    let line = request_line(&visit, &id).await?;
    let question = Question::Studies { before: None, limit: MAX_PAGE };
    let Reply::Studies(studies) = visit.ask(question).await? else { return Err(Problem::odd()) };
    let status = visit.status().await?;
    let candidate = |study: &StudyLine| Candidate {
        number: study.study.0,
        patient: PatientView::new(&study.patient, visit.now, visit.words),
        study: StudyView::new(&study.summary, visit.words),
    };
    let (these, others): (Vec<&StudyLine>, Vec<&StudyLine>) =
        studies.iter().partition(|study| line.asked.as_ref().is_some_and(|asked| is_asked_for(asked, study)));
    let place = [("ae", status.ae_title.as_str()), ("address", status.dicom_address.as_str())];
    let template = AnswerPage {
        frame: visit.frame_with("request.answer-title", Place::Requests, Some(&status)),
        row: RequestView::new(&line, visit.now, visit.words),
        fingerprint: fingerprint(&visit, &line),
        nothing: visit.words.fill("request.answer-none", &place),
        these: these.into_iter().map(candidate).collect(),
        others: others.into_iter().map(candidate).collect(),
    };
    Ok(visit::page(&template))
}

/// `POST /requests/{id}/answer`: goes on to note and check page, as with every send.
pub async fn answer(visit: Visit, Path(id): Path<String>, fields: Fields) -> Result<Response, Problem> {
    let line = checked(&visit, &id, &fields).await?;
    let study: i64 = fields.text("study").parse().map_err(|_| Problem::form())?;
    let draft = Draft {
        study: StudyNumber(study),
        purpose: Purpose::Answer(line.request),
        query: String::new(),
        addressee: line.asked.as_ref().map(|asked| asked.wanted.answer_to.clone()),
        note: Confidential::default(),
        reply_contact: Confidential::default(),
        urgent: line.urgent,
    };
    let name = visit.site.sessions.keep_draft(visit.key, draft);
    Ok(Redirect::to(&format!("/send/{study}?draft={name}")).into_response())
}

/// Whether a number or a birthday says so. A name alone does not: hospitals write names differently.
fn is_asked_for(asked: &AskedFor, study: &StudyLine) -> bool {
    let (asked, found) = (&asked.patient, &study.patient);
    let says_something = (asked.bsn.is_some() && found.bsn.is_some())
        || (asked.birth_date.is_some() && asked.birth_date == found.birth_date);
    says_something && may_be_one_person(asked, found)
}

async fn checked(visit: &Visit, id: &str, fields: &Fields) -> Result<RequestLine, Problem> {
    let line = request_line(visit, id).await?;
    if fields.text("fingerprint") == fingerprint(visit, &line) {
        Ok(line)
    } else {
        tracing::warn!("an act was refused: the form does not fit the request");
        Err(Problem::mismatch("request.changed"))
    }
}

fn back(line: &RequestLine) -> Response {
    Redirect::to(&format!("/requests/{}", line.request)).into_response()
}

async fn refuse_template(visit: &Visit, line: &RequestLine) -> RefusePage {
    let reason =
        |reason: RequestRefusal| Reason { name: reason.code(), text: visit.words.t(refusal_word(reason)) };
    RefusePage {
        frame: visit.frame("request.refuse-title", Place::Requests).await,
        row: RequestView::new(line, visit.now, visit.words),
        fingerprint: fingerprint(visit, line),
        reasons: RequestRefusal::ALL.into_iter().map(reason).collect(),
        error: None,
    }
}
