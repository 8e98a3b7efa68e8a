//! "Koppelen": whose images these are (S8), and the last look before they go to the PACS (S9).
//!
//! What came along stands beside each patient of this hospital who may be meant. A person chooses one, looks at the reasons
//! one by one, and imports under that patient; if something contradicts, a second person must agree.

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use beeldbox_protocol::admin::{CandidatePage, LocalChoice, PatientSearch, Question, Reply, TransferDetail};
use beeldbox_protocol::clinical::Confidential;

use crate::pages::fields::Fields;
use crate::pages::inbox_acts::{back, checked};
use crate::pages::sent::{fingerprint, transfer_detail};
use crate::view::date;
use crate::view::frame::{Frame, Place};
use crate::view::icon::Icon;
use crate::view::matching::{self, CandidateView, ProposalView, SystemView};
use crate::view::problem::Problem;
use crate::view::state::Direction;
use crate::view::transfer::TransferView;
use crate::visit::{self, Visit};

/// What was typed into the search.
#[derive(Default)]
struct Typed {
    number: Confidential,
    name: Confidential,
    birth: Confidential,
}

#[derive(Template)]
#[template(path = "page/import.html")]
struct ImportPage {
    frame: Frame,
    row: TransferView,
    fingerprint: String,
    systems: Vec<SystemView>,
    candidates: Vec<CandidateView>,
    proposal: Option<ProposalView>,
    typed: Typed,
    error: Option<String>,
    error_at: &'static str,
}

#[derive(Template)]
#[template(path = "page/import_check.html")]
struct CheckPage {
    frame: Frame,
    row: TransferView,
    fingerprint: String,
    candidate: CandidateView,
    button: String,
    error: Option<String>,
}

/// `GET /inbox/{id}/import`.
pub async fn page(visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    let detail = transfer_detail(&visit, &id).await?;
    let template = import_page(&visit, &detail, PatientSearch::default(), Typed::default()).await?;
    Ok(visit::page(&template))
}

/// `POST /inbox/{id}/import/search`: nothing about a patient stands in an address.
pub async fn search(visit: Visit, Path(id): Path<String>, fields: Fields) -> Result<Response, Problem> {
    let detail = checked(&visit, &id, &fields).await?;
    let typed = Typed {
        number: fields.confidential("number"),
        name: fields.confidential("name"),
        birth: fields.confidential("birth"),
    };
    let given = |text: &Confidential| (!text.is_empty()).then(|| text.clone());
    let birth_date = match given(&typed.birth).map(|text| date::parse_typed(text.reveal())) {
        None => None,
        Some(Some(day)) => Some(Confidential::new(date::dicom_day(day))),
        Some(None) => {
            let mut template = import_page(&visit, &detail, PatientSearch::default(), typed).await?;
            template.error = Some(visit.words.t("matching.search-bad"));
            template.error_at = "birth";
            return Ok(visit::page_with(StatusCode::UNPROCESSABLE_ENTITY, &template));
        }
    };
    let search = PatientSearch { patient_id: given(&typed.number), name: given(&typed.name), birth_date };
    Ok(visit::page(&import_page(&visit, &detail, search, typed).await?))
}

/// `POST /inbox/{id}/import/check`: the last look.
pub async fn check(visit: Visit, Path(id): Path<String>, fields: Fields) -> Result<Response, Problem> {
    let detail = checked(&visit, &id, &fields).await?;
    Ok(visit::page(&check_page(&visit, &detail, &fields).await?))
}

/// `POST /inbox/{id}/import`: under the chosen patient, or as it came.
pub async fn import(visit: Visit, Path(id): Path<String>, fields: Fields) -> Result<Response, Problem> {
    let detail = checked(&visit, &id, &fields).await?;
    let transfer = detail.line.transfer;
    let why = fields.confidential("why");
    // A reason is only asked for where something contradicts; without one the page is shown again.
    if fields.all("why").next().is_some() && why.is_empty() {
        let mut template = check_page(&visit, &detail, &fields).await?;
        template.error = Some(visit.words.t("matching.need-reason"));
        return Ok(visit::page_with(StatusCode::UNPROCESSABLE_ENTITY, &template));
    }
    let number = fields.raw("patient_id");
    // Somebody without a number was chosen: that must never become "as it came".
    if number.is_empty() && !fields.text("seen").is_empty() {
        return Err(Problem::form());
    }
    let patient = (!number.is_empty()).then(|| {
        let accession = fields.text("accession");
        Box::new(LocalChoice {
            patient_id: Confidential::new(number),
            seen: fields.text("seen").parse().ok(),
            typed: None,
            accession_number: (!accession.is_empty()).then(|| Confidential::new(accession)),
            acknowledged: fields.all("tick").map(str::to_owned).collect(),
            reason: (!why.is_empty()).then_some(why),
        })
    });
    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever else is answered is no answer to this")]
    let notice = match visit.ask(Question::Import { transfer, patient }).await? {
        Reply::Proposed => "matching.proposed",
        Reply::Done => "inbox.imported",
        _ => return Err(Problem::odd()),
    };
    tracing::info!(%transfer, account = %visit.account, "an import was ordered");
    visit.leave_notice(visit.words.t(notice));
    Ok(back(&detail))
}

/// `POST /inbox/{id}/import/agree`: as a second person.
pub async fn agree(visit: Visit, Path(id): Path<String>, fields: Fields) -> Result<Response, Problem> {
    let detail = checked(&visit, &id, &fields).await?;
    let seen = fields.text("seen").parse().map_err(|_| Problem::form())?;
    visit.act(Question::AgreeToImport { transfer: detail.line.transfer, seen }).await?;
    visit.leave_notice(visit.words.t("inbox.imported"));
    Ok(back(&detail))
}

/// `POST /inbox/{id}/import/drop`.
pub async fn drop_proposal(
    visit: Visit,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, Problem> {
    let detail = checked(&visit, &id, &fields).await?;
    visit.act(Question::DropProposal { transfer: detail.line.transfer }).await?;
    visit.leave_notice(visit.words.t("matching.dropped"));
    Ok(back(&detail))
}

/// `POST /inbox/{id}/set-aside`.
pub async fn set_aside(visit: Visit, Path(id): Path<String>, fields: Fields) -> Result<Response, Problem> {
    let detail = checked(&visit, &id, &fields).await?;
    let reason = fields.confidential("reason");
    if reason.is_empty() {
        let mut template = import_page(&visit, &detail, PatientSearch::default(), Typed::default()).await?;
        template.error = Some(visit.words.t("matching.need-reason"));
        template.error_at = "aside";
        return Ok(visit::page_with(StatusCode::UNPROCESSABLE_ENTITY, &template));
    }
    visit.act(Question::SetAside { transfer: detail.line.transfer, reason }).await?;
    visit.leave_notice(visit.words.t("matching.aside-done"));
    Ok(back(&detail))
}

async fn candidates(
    visit: &Visit,
    detail: &TransferDetail,
    search: PatientSearch,
) -> Result<CandidatePage, Problem> {
    let question = Question::Candidates { transfer: detail.line.transfer, search };
    let Reply::Candidates(page) = visit.ask(question).await? else { return Err(Problem::odd()) };
    Ok(*page)
}

async fn import_page(
    visit: &Visit,
    detail: &TransferDetail,
    search: PatientSearch,
    typed: Typed,
) -> Result<ImportPage, Problem> {
    let found = candidates(visit, detail, search).await?;
    let (now, words) = (visit.now, visit.words);
    Ok(ImportPage {
        frame: visit.frame("inbox.import-title", Place::Inbox).await,
        row: TransferView::new(&detail.line, Direction::In, now, words),
        fingerprint: fingerprint(visit, detail),
        systems: found.systems.iter().map(|answer| matching::system(answer, words)).collect(),
        candidates: found.candidates.iter().map(|line| CandidateView::new(line, now, words)).collect(),
        proposal: found.proposal.as_ref().map(|proposal| ProposalView::new(proposal, now, words)),
        typed,
        error: None,
        error_at: "number",
    })
}

async fn check_page(visit: &Visit, detail: &TransferDetail, fields: &Fields) -> Result<CheckPage, Problem> {
    let number = fields.raw("patient_id");
    let search = PatientSearch { patient_id: Some(Confidential::new(number)), ..PatientSearch::default() };
    let found = candidates(visit, detail, search).await?;
    let seen = fields.text("seen");
    let chosen = found.candidates.iter().find(|line| line.seen.to_string() == seen);
    // What your systems say has changed since: the choice is made anew.
    let chosen = chosen.ok_or_else(|| Problem::mismatch("inbox.changed"))?;
    let candidate = CandidateView::new(chosen, visit.now, visit.words);
    let button = if candidate.is_stop { "matching.propose-now" } else { "matching.import-now" };
    Ok(CheckPage {
        frame: visit.frame("matching.check-title", Place::Inbox).await,
        row: TransferView::new(&detail.line, Direction::In, visit.now, visit.words),
        fingerprint: fingerprint(visit, detail),
        button: visit.words.t(button),
        candidate,
        error: None,
    })
}
