//! "Aan wie?": the addressee, found while typing, and the words that go along.

use askama::Template;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use beeldbox_protocol::admin::{Addressee, AddresseePage, Question, Reply, StudyLine, StudyNumber};
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::AddresseeId;
use serde::Deserialize;

use crate::drafts::{Draft, Purpose};
use crate::lang::Words;
use crate::pages::fields::Fields;
use crate::view::date;
use crate::view::frame::{Frame, Place};
use crate::view::icon::Icon;
use crate::view::patient::PatientView;
use crate::view::problem::Problem;
use crate::view::recipient::AddresseeView;
use crate::view::study::StudyView;
use crate::visit::{self, Visit};

/// Entries offered at once: more are not read, another letter is typed instead.
const MOST_OPTIONS: u32 = 12;
/// Favourites and last addressees offered before anything is typed.
const MOST_USUAL: u32 = 12;
/// Longest text that is searched for.
pub const LONGEST_QUERY: usize = 100;
/// Longest note: a page of text. What needs more is a report, and belongs into the study.
pub const LONGEST_NOTE: usize = 4000;
/// After so long the page says how old the directory is.
const DIRECTORY_IS_OLD_S: i64 = 24 * 60 * 60;

/// Opaque name of a draft, and what was missing in it.
#[derive(Deserialize)]
pub struct ChooseQuery {
    draft: Option<String>,
    missing: Option<String>,
}

/// What is searched for in the directory; never about a patient.
#[derive(Deserialize)]
pub struct OptionsQuery {
    #[serde(default)]
    q: String,
}

#[derive(Template)]
#[template(path = "page/choose.html")]
struct ChoosePage {
    frame: Frame,
    number: i64,
    patient: PatientView,
    study: StudyView,
    fingerprint: String,
    /// Name of the draft that this page goes on with, if any.
    draft: String,
    /// What the send is for, if it is not an ordinary one.
    about: String,
    /// Whether callback and urgency stay as they were.
    is_redirect: bool,
    back: String,
    query: String,
    chosen: Option<AddresseeView>,
    /// Favourites and last addressees, while nothing is typed or chosen.
    usual: Vec<AddresseeView>,
    options: Option<Vec<AddresseeView>>,
    directory: DirectoryNote,
    note: Confidential,
    reply_contact: Confidential,
    urgent: bool,
    error: Option<String>,
}

/// How old the directory is, and whether that is something to act on.
struct DirectoryNote {
    text: String,
    is_serious: bool,
}

#[derive(Template)]
#[template(path = "part/options.html")]
struct Options {
    words: Words,
    options: Vec<AddresseeView>,
    found: String,
}

/// `GET /send/{study}`.
pub async fn page(
    visit: Visit,
    Path(study): Path<i64>,
    Query(query): Query<ChooseQuery>,
) -> Result<Response, Problem> {
    let line = study_line(&visit, study).await?;
    visit.seen(line.transfer).await;
    let name = query.draft.unwrap_or_default();
    let known = visit.site.sessions.draft(visit.key, &name).filter(|draft| draft.study.0 == study);
    let name = if known.is_some() { name } else { String::new() };
    let draft = known.unwrap_or_else(|| empty_draft(study));
    let chosen = match &draft.addressee {
        Some(addressee) => chosen(&visit, study, addressee).await?,
        None => None,
    };
    let has_query = chosen.is_none() && !draft.query.is_empty();
    let usual = visit.ask(Question::UsualAddressees { limit: MOST_USUAL }).await?;
    let Reply::Addressees(mut usual) = usual else { return Err(Problem::odd()) };
    let directory = directory_note(&visit, &usual);
    let options = if has_query { Some(search(&visit, &draft.query).await?) } else { None };
    let chosen = chosen.map(|view| AddresseeView {
        is_favourite: usual.favourites.iter().any(|id| id.as_str() == view.id),
        ..view
    });
    if has_query || chosen.is_some() {
        usual.addressees.clear();
    }
    let error = query.missing.map(|missing| match missing.as_str() {
        "note" => visit.words.n("send.too-long", u64::try_from(LONGEST_NOTE).unwrap_or_default()),
        _ => visit.words.t("send.need-recipient"),
    });
    let template = ChoosePage {
        frame: visit.frame("send.choose-title", Place::Send).await,
        number: study,
        patient: PatientView::new(&line.patient, visit.now, visit.words),
        study: StudyView::new(&line.summary, visit.words),
        fingerprint: fingerprint(&visit, &line),
        draft: name,
        about: about(draft.purpose).map(|key| visit.words.t(key)).unwrap_or_default(),
        is_redirect: matches!(draft.purpose, Purpose::Redirect(_)),
        back: back(draft.purpose),
        query: draft.query,
        chosen,
        usual: views(&visit, &usual),
        options,
        directory,
        note: draft.note,
        reply_contact: draft.reply_contact,
        urgent: draft.urgent,
        error,
    };
    Ok(visit::page(&template))
}

/// `POST /send/{study}`: search again, or go on to the check page. What was typed is kept here, not in the address.
pub async fn submit(visit: Visit, Path(study): Path<i64>, fields: Fields) -> Result<Response, Problem> {
    let line = study_line(&visit, study).await?;
    if fields.text("fingerprint") != fingerprint(&visit, &line) {
        return Err(Problem::mismatch("send.changed"));
    }
    let purpose = purpose_of(&visit, &fields, study)?;
    let is_search = fields.text("act") == "search";
    let addressee = fields.text("addressee").parse::<AddresseeId>().ok().filter(|_| !is_search);
    let draft = Draft {
        study: StudyNumber(study),
        purpose,
        query: fields.text("q").chars().take(LONGEST_QUERY).collect(),
        addressee: addressee.clone(),
        note: fields.confidential("note"),
        reply_contact: fields.confidential("reply_contact"),
        urgent: fields.text("urgent") == "yes",
    };
    let too_long = |text: &Confidential| text.reveal().chars().count() > LONGEST_NOTE;
    if fields.text("act") == "keep" {
        return Ok(kept(&visit.site.sessions.keep_draft_as(visit.key, fields.text("kept"), draft)));
    }
    let is_too_long = too_long(&draft.note) || too_long(&draft.reply_contact);
    let name = visit.site.sessions.keep_draft(visit.key, draft);
    let target = if favour(&visit, &fields).await? {
        format!("/send/{study}?draft={name}")
    } else if is_search {
        format!("/send/{study}?draft={name}#results")
    } else if is_too_long {
        format!("/send/{study}?draft={name}&missing=note")
    } else if addressee.is_none() {
        format!("/send/{study}?draft={name}&missing=recipient")
    } else {
        format!("/send/{study}/check?draft={name}")
    };
    Ok(Redirect::to(&target).into_response())
}

/// What is being typed is kept, so that nothing is lost when the page is locked or left; the page is told the name.
pub fn kept(name: &str) -> Response {
    (StatusCode::NO_CONTENT, [("x-draft", name.to_owned())]).into_response()
}

/// What the draft before this form was for. One that is gone must not become an ordinary send.
fn purpose_of(visit: &Visit, fields: &Fields, study: i64) -> Result<Purpose, Problem> {
    let name = fields.text("from");
    if name.is_empty() {
        return Ok(Purpose::Send);
    }
    let draft = visit.site.sessions.draft(visit.key, name).filter(|draft| draft.study.0 == study);
    draft.map(|draft| draft.purpose).ok_or_else(Problem::draft_gone)
}

/// What is said of a send that is not an ordinary one.
fn about(purpose: Purpose) -> Option<&'static str> {
    match purpose {
        Purpose::Send => None,
        Purpose::Answer(_) => Some("send.about-answer"),
        Purpose::Redirect(_) => Some("send.about-redirect"),
    }
}

/// Where somebody goes who does not send.
pub fn back(purpose: Purpose) -> String {
    match purpose {
        Purpose::Send => "/send".to_owned(),
        Purpose::Answer(request) => format!("/requests/{request}"),
        Purpose::Redirect(transfer) => format!("/sent/{transfer}"),
    }
}

/// Sets or unsets a favourite, if one of those buttons was pressed. What was typed stays in the draft.
async fn favour(visit: &Visit, fields: &Fields) -> Result<bool, Problem> {
    for (button, is_favourite) in [("favour", true), ("unfavour", false)] {
        if let Ok(addressee) = fields.text(button).parse::<AddresseeId>() {
            visit.act(Question::SetFavourite { addressee, is_favourite }).await?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// `GET /addressees?q=`: the options for the list under the search field.
pub async fn options(visit: Visit, Query(query): Query<OptionsQuery>) -> Result<Response, Problem> {
    let text: String = query.q.trim().chars().take(LONGEST_QUERY).collect();
    let options = if text.is_empty() { Vec::new() } else { search(&visit, &text).await? };
    let count = u64::try_from(options.len()).unwrap_or_default();
    let found = visit.words.n("send.recipient-found", count);
    Ok(visit::page(&Options { words: visit.words, options, found }))
}

/// The study as it is now.
///
/// # Errors
/// If there is no answer, or no such study.
pub async fn study_line(visit: &Visit, study: i64) -> Result<StudyLine, Problem> {
    let Reply::Study(line) = visit.ask(Question::Study { study: StudyNumber(study) }).await? else {
        return Err(Problem::odd());
    };
    Ok(*line)
}

fn fingerprint(visit: &Visit, line: &StudyLine) -> String {
    visit.fingerprint(&["choose", &line.study.0.to_string()], Some(&line.patient))
}

/// The entry behind an id. One that is gone is chosen no more.
async fn chosen(
    visit: &Visit,
    study: i64,
    addressee: &AddresseeId,
) -> Result<Option<AddresseeView>, Problem> {
    let question = Question::Check { study: StudyNumber(study), addressee: addressee.clone() };
    match visit.ask(question).await {
        Ok(Reply::Check(check)) => Ok(Some(AddresseeView::new(&check.addressee, visit.words))),
        Ok(_) => Err(Problem::odd()),
        Err(_) => Ok(None),
    }
}

/// Entries of the directory for these words.
///
/// # Errors
/// If there is no answer.
pub async fn search(visit: &Visit, query: &str) -> Result<Vec<AddresseeView>, Problem> {
    let question = Question::Addressees { query: query.to_owned(), limit: MOST_OPTIONS };
    let Reply::Addressees(page) = visit.ask(question).await? else { return Err(Problem::odd()) };
    Ok(views(visit, &page))
}

fn views(visit: &Visit, page: &AddresseePage) -> Vec<AddresseeView> {
    let view = |addressee: &Addressee| AddresseeView {
        is_favourite: page.favourites.contains(&addressee.id),
        ..AddresseeView::new(addressee, visit.words)
    };
    page.addressees.iter().map(view).collect()
}

fn directory_note(visit: &Visit, page: &AddresseePage) -> DirectoryNote {
    let Some(as_of) = page.directory_as_of else {
        return DirectoryNote { text: visit.words.t("send.directory-never"), is_serious: true };
    };
    let is_old = visit.now.as_second() - as_of.as_second() > DIRECTORY_IS_OLD_S;
    let key = match (page.is_too_old, page.directory_trouble.is_some(), is_old) {
        (true, _, _) => "send.directory-too-old",
        (false, true, _) => "send.directory-trouble",
        (false, false, true) => "send.directory-old",
        (false, false, false) => "send.directory-age",
    };
    let when = date::when(as_of, visit.now, visit.words);
    DirectoryNote { text: visit.words.fill(key, &[("when", &when)]), is_serious: page.is_too_old }
}

fn empty_draft(study: i64) -> Draft {
    Draft {
        study: StudyNumber(study),
        purpose: Purpose::Send,
        query: String::new(),
        addressee: None,
        note: Confidential::default(),
        reply_contact: Confidential::default(),
        urgent: false,
    }
}
