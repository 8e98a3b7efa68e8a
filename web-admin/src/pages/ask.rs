//! "Beelden opvragen": a request to another hospital, filled in, checked, and made.
//!
//! What was typed is kept in the session as it was typed; [`AskDraft::read`] makes a request of it or says what is
//! wrong, on the form and again before it is made.

use askama::Template;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use beeldbox_protocol::admin::{Addressee, CheckFlag, MAX_PAGE, NewRequest, Question, Reply, WhomCheck};
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::AddresseeId;
use serde::Deserialize;

use crate::ask_reading::{AskField, MODALITIES};
use crate::drafts::AskDraft;
use crate::lang::Words;
use crate::pages::choose::{LONGEST_QUERY, kept, search};
use crate::pages::confirm::{FlagView, Obstacle, ticked};
use crate::pages::fields::Fields;
use crate::view::frame::{Frame, Place};
use crate::view::icon::Icon;
use crate::view::patient::PatientView;
use crate::view::problem::Problem;
use crate::view::recipient::AddresseeView;
use crate::view::request;
use crate::view::text::clean;
use crate::visit::{self, Visit};

/// Opaque name of a draft, and whether it was meant to be complete.
#[derive(Deserialize)]
pub struct AskQuery {
    #[serde(default)]
    draft: String,
    incomplete: Option<String>,
}

#[derive(Template)]
#[template(path = "page/ask.html")]
struct AskPage {
    frame: Frame,
    draft: AskDraft,
    modalities: Vec<Choice>,
    sexes: Vec<Choice>,
    own: Vec<Choice>,
    chosen: Option<AddresseeView>,
    options: Option<Vec<AddresseeView>>,
    errors: Vec<FieldError>,
}

/// One of several values.
struct Choice {
    value: String,
    text: String,
    is_chosen: bool,
}

/// Something to put right.
struct FieldError {
    field: AskField,
    text: String,
}

impl AskPage {
    /// Whether this field has to be put right.
    fn is_wrong(&self, id: &str) -> bool {
        self.errors.iter().any(|error| error.field.id() == id)
    }
}

#[derive(Template)]
#[template(path = "page/ask_check.html")]
struct CheckPage {
    frame: Frame,
    draft: String,
    fingerprint: String,
    patient: PatientView,
    modalities: Vec<String>,
    wanted: String,
    to: AddresseeView,
    certified: Option<String>,
    thumbprint: Option<String>,
    answer_to: String,
    reason: Confidential,
    reply_contact: Confidential,
    urgent: bool,
    flags: Vec<FlagView>,
    obstacle: Option<Obstacle>,
    button: String,
    error: Option<String>,
}

/// `GET /requests/new`.
pub async fn page(visit: Visit, Query(query): Query<AskQuery>) -> Result<Response, Problem> {
    let draft = visit.site.sessions.ask(visit.key, &query.draft).unwrap_or_default();
    let chosen = match &draft.addressee {
        Some(addressee) => whom(&visit, addressee).await.ok(),
        None => None,
    };
    let chosen = chosen.map(|check| AddresseeView::new(&check.addressee, visit.words));
    let has_query = chosen.is_none() && !draft.query.is_empty();
    let options = if has_query { Some(search(&visit, &draft.query).await?) } else { None };
    let wrong = match (query.incomplete, draft.read()) {
        (Some(_), Err(wrong)) => wrong,
        (Some(_) | None, _) => Vec::new(),
    };
    let words = visit.words;
    let own = own_addressees(&visit).await?;
    let template = AskPage {
        frame: visit.frame("request.new", Place::Requests).await,
        modalities: MODALITIES
            .iter()
            .map(|code| choice(code, code, draft.modalities.iter().any(|m| m == code)))
            .collect(),
        sexes: sexes(&draft, words),
        own: own.iter().map(|entry| own_choice(entry, &draft, words)).collect(),
        chosen,
        options,
        errors: wrong.into_iter().map(|field| FieldError { text: field.words(words), field }).collect(),
        draft,
    };
    Ok(visit::page(&template))
}

/// `POST /requests/new`: search again, or go on to the check page.
pub async fn submit(visit: Visit, fields: Fields) -> Result<Response, Problem> {
    let is_search = fields.text("act") == "search";
    let draft = AskDraft {
        prefix: fields.confidential("prefix"),
        family: fields.confidential("family"),
        given: fields.confidential("given"),
        born: fields.confidential("born"),
        sex: fields.confidential("sex"),
        bsn: fields.confidential("bsn"),
        query: fields.text("q").chars().take(LONGEST_QUERY).collect(),
        addressee: fields.text("addressee").parse().ok().filter(|_| !is_search),
        modalities: fields.all("modality").map(str::to_owned).collect(),
        region: fields.confidential("region"),
        from: fields.confidential("from"),
        until: fields.confidential("until"),
        answer_to: fields.text("answer_to").parse().ok(),
        reason: fields.confidential("reason"),
        reply_contact: fields.confidential("reply_contact"),
        urgent: fields.text("urgent") == "yes",
    };
    if fields.text("act") == "keep" {
        return Ok(kept(&visit.site.sessions.keep_ask_as(visit.key, fields.text("kept"), draft)));
    }
    let is_complete = draft.read().is_ok();
    let name = visit.site.sessions.keep_ask(visit.key, draft);
    let target = match (is_search, is_complete) {
        (true, _) => format!("/requests/new?draft={name}#results"),
        (false, true) => format!("/requests/check?draft={name}"),
        (false, false) => format!("/requests/new?draft={name}&incomplete=1"),
    };
    Ok(Redirect::to(&target).into_response())
}

/// `GET /requests/check?draft=`.
pub async fn check_page(visit: Visit, Query(query): Query<AskQuery>) -> Result<Response, Problem> {
    let draft = visit.site.sessions.ask(visit.key, &query.draft).ok_or_else(Problem::draft_gone)?;
    let Ok(new) = draft.read() else {
        return Ok(Redirect::to(&format!("/requests/new?draft={}&incomplete=1", query.draft)).into_response());
    };
    let check = whom(&visit, &new.addressee).await?;
    Ok(visit::page(&check_template(&visit, query.draft, &new, &check, &[]).await?))
}

/// `POST /requests/confirm`.
pub async fn confirm(visit: Visit, fields: Fields) -> Result<Response, Problem> {
    let name = fields.text("draft").to_owned();
    // Taken out first: two clicks must not ask twice.
    let draft = visit.site.sessions.take_ask(visit.key, &name).ok_or_else(Problem::draft_gone)?;
    let outcome = make(&visit, &name, &draft, &fields).await;
    if !matches!(outcome, Ok(Outcome::Made(_))) {
        visit.site.sessions.return_ask(visit.key, &name, draft);
    }
    Ok(match outcome? {
        Outcome::Made(target) => Redirect::to(&target).into_response(),
        Outcome::Shown(response) => response,
    })
}

enum Outcome {
    /// It is made: where to look.
    Made(String),
    /// It is not: the page again.
    Shown(Response),
}

async fn make(visit: &Visit, name: &str, draft: &AskDraft, fields: &Fields) -> Result<Outcome, Problem> {
    let new = draft.read().map_err(|_| Problem::form())?;
    let check = whom(visit, &new.addressee).await?;
    if fields.text("fingerprint") != fingerprint(visit, name, &new, &check) {
        tracing::warn!("a request was not made: the form does not fit it");
        return Err(Problem::mismatch("request.changed"));
    }
    let acknowledged = ticked(&check.flags, fields);
    if acknowledged.len() < check.flags.len() {
        let mut template = check_template(visit, name.to_owned(), &new, &check, &acknowledged).await?;
        template.error = Some(visit.words.t("send.need-ticks"));
        return Ok(Outcome::Shown(visit::page_with(StatusCode::UNPROCESSABLE_ENTITY, &template)));
    }
    let question = Question::RequestImages { request: Box::new(new), acknowledged };
    let Reply::Requested(request) = visit.ask(question).await? else { return Err(Problem::odd()) };
    tracing::info!(%request, account = %visit.account, "images were asked for");
    let to = AddresseeView::new(&check.addressee, visit.words).name;
    visit.leave_notice(visit.words.fill("request.done", &[("name", &to)]));
    Ok(Outcome::Made(format!("/requests/{request}")))
}

/// Who is asked, as the directory and the certificate have it now.
async fn whom(visit: &Visit, addressee: &AddresseeId) -> Result<WhomCheck, Problem> {
    let question = Question::CheckRequest { addressee: addressee.clone() };
    let Reply::WhomCheck(check) = visit.ask(question).await? else { return Err(Problem::odd()) };
    Ok(*check)
}

/// Entries of this organisation: the directory finds them by its number.
///
/// # Errors
/// If there is no answer.
pub async fn own_addressees(visit: &Visit) -> Result<Vec<Addressee>, Problem> {
    let ura = visit.status().await?.ura;
    let question = Question::Addressees { query: ura.to_string(), limit: MAX_PAGE };
    let Reply::Addressees(page) = visit.ask(question).await? else { return Err(Problem::odd()) };
    Ok(page.addressees.into_iter().filter(|entry| entry.ura == ura).collect())
}

fn fingerprint(visit: &Visit, name: &str, new: &NewRequest, check: &WhomCheck) -> String {
    let thumbprint = check.key_thumbprint.as_deref().unwrap_or_default();
    visit.fingerprint(&["ask", name, check.addressee.id.as_str(), thumbprint], Some(&new.patient))
}

async fn check_template(
    visit: &Visit,
    name: String,
    new: &NewRequest,
    check: &WhomCheck,
    ticked: &[CheckFlag],
) -> Result<CheckPage, Problem> {
    let words = visit.words;
    let to = AddresseeView::new(&check.addressee, words);
    let own = own_addressees(visit).await?;
    let answer_to = own.iter().find(|entry| entry.id == new.wanted.answer_to);
    Ok(CheckPage {
        frame: visit.frame("request.check-title", Place::Requests).await,
        fingerprint: fingerprint(visit, &name, new, check),
        draft: name,
        patient: PatientView::new(&new.patient, visit.now, words),
        modalities: request::modalities(&new.wanted),
        wanted: request::wanted(&new.wanted, words),
        button: words.fill("request.confirm", &[("name", &to.name)]),
        to,
        certified: check.certified_name.as_deref().map(clean),
        thumbprint: check.key_thumbprint.as_deref().map(clean),
        answer_to: answer_to.map(|entry| AddresseeView::new(entry, words).name).unwrap_or_default(),
        reason: new.reason.clone(),
        reply_contact: new.reply_contact.clone().unwrap_or_default(),
        urgent: new.urgent,
        flags: check.flags.iter().map(|flag| FlagView::new(*flag, ticked, words)).collect(),
        obstacle: check.obstacle.as_ref().map(|refusal| Obstacle::new(refusal, words)),
        error: None,
    })
}

fn choice(value: &str, text: &str, is_chosen: bool) -> Choice {
    Choice { value: value.to_owned(), text: text.to_owned(), is_chosen }
}

fn own_choice(entry: &Addressee, draft: &AskDraft, words: Words) -> Choice {
    let is_chosen = draft.answer_to.as_ref() == Some(&entry.id);
    choice(entry.id.as_str(), &AddresseeView::new(entry, words).name, is_chosen)
}

fn sexes(draft: &AskDraft, words: Words) -> Vec<Choice> {
    let all = [
        ("", "request.sex-unknown"),
        ("F", "patient.female"),
        ("M", "patient.male"),
        ("O", "patient.other-sex"),
    ];
    all.map(|(code, key)| choice(code, &words.t(key), draft.sex.reveal() == code)).into()
}
