//! "Controleer en verstuur": the last look before a send (CS-11, CS-12, CS-23).
//!
//! The form carries a fingerprint of patient, study, addressee and key. If anything of it differs when the form comes
//! in, nothing is sent.

use askama::Template;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use beeldbox_protocol::admin::{Check, CheckFlag, Question, Refusal, Reply, StudyRef};
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::AddresseeId;
use serde::Deserialize;

use crate::drafts::{Draft, Purpose};
use crate::lang::Words;
use crate::pages::choose;
use crate::pages::fields::Fields;
use crate::view::date;
use crate::view::frame::{Frame, Place};
use crate::view::icon::Icon;
use crate::view::patient::PatientView;
use crate::view::problem::{self, Problem};
use crate::view::recipient::AddresseeView;
use crate::view::study::StudyView;
use crate::view::text::clean;
use crate::visit::{self, Visit};

/// Opaque name of the draft.
#[derive(Deserialize)]
pub struct CheckQuery {
    draft: String,
}

#[derive(Template)]
#[template(path = "page/check.html")]
struct CheckPage {
    frame: Frame,
    number: i64,
    draft: String,
    fingerprint: String,
    patient: PatientView,
    study: StudyView,
    to: AddresseeView,
    certified: Option<String>,
    thumbprint: Option<String>,
    addendum: Option<String>,
    note: Confidential,
    reply_contact: Confidential,
    urgent: bool,
    flags: Vec<FlagView>,
    obstacle: Option<Obstacle>,
    back: String,
    /// Whether callback and urgency stay as they were.
    is_redirect: bool,
    button: String,
    error: Option<String>,
}

/// One thing to look at and tick.
pub struct FlagView {
    /// Its name in the form.
    pub name: &'static str,
    /// What to look at.
    pub what: String,
    /// What a tick says.
    pub tick: String,
    /// Whether it was ticked already.
    pub is_ticked: bool,
}

impl FlagView {
    /// A flag in words.
    pub fn new(flag: CheckFlag, ticked: &[CheckFlag], words: Words) -> FlagView {
        let FlagWords { name, what, tick } = words_of(flag);
        FlagView { name, what: words.t(what), tick: words.t(tick), is_ticked: ticked.contains(&flag) }
    }
}

/// Why it cannot be sent now.
pub struct Obstacle {
    /// To quote.
    pub code: &'static str,
    /// What stands in the way.
    pub title: String,
    /// What to do.
    pub advice: String,
}

impl Obstacle {
    /// A refusal in words.
    pub fn new(refusal: &Refusal, words: Words) -> Obstacle {
        let problem = problem::refused(refusal);
        Obstacle { code: problem.code, title: words.t(problem.title), advice: words.t(problem.advice) }
    }
}

/// Those of the flags that were ticked in a form.
pub fn ticked(flags: &[CheckFlag], fields: &Fields) -> Vec<CheckFlag> {
    let ticks: Vec<&str> = fields.all("tick").collect();
    flags.iter().copied().filter(|flag| ticks.contains(&words_of(*flag).name)).collect()
}

/// `GET /send/{study}/check?draft=`.
pub async fn page(
    visit: Visit,
    Path(study): Path<i64>,
    Query(query): Query<CheckQuery>,
) -> Result<Response, Problem> {
    let draft = visit.site.sessions.draft(visit.key, &query.draft).ok_or_else(Problem::draft_gone)?;
    if draft.study.0 != study {
        return Err(Problem::mismatch("send.changed"));
    }
    let check = ask(&visit, &draft).await?;
    Ok(visit::page(&check_page(&visit, query.draft, &draft, &check, &[]).await))
}

/// `POST /send/{study}/confirm`.
pub async fn submit(visit: Visit, Path(study): Path<i64>, fields: Fields) -> Result<Response, Problem> {
    let name = fields.text("draft").to_owned();
    // Taken out first: two clicks, or two tabs, must not send twice.
    let draft = visit.site.sessions.take_draft(visit.key, &name).ok_or_else(Problem::draft_gone)?;
    let outcome = send(&visit, study, &name, &draft, &fields).await;
    if !matches!(outcome, Ok(Outcome::Sent(_))) {
        visit.site.sessions.return_draft(visit.key, &name, draft);
    }
    Ok(match outcome? {
        Outcome::Sent(target) => Redirect::to(&target).into_response(),
        Outcome::Shown(response) => response,
    })
}

enum Outcome {
    /// It is sent: where to look.
    Sent(String),
    /// It is not: the page again.
    Shown(Response),
}

async fn send(
    visit: &Visit,
    study: i64,
    name: &str,
    draft: &Draft,
    fields: &Fields,
) -> Result<Outcome, Problem> {
    let check = ask(visit, draft).await?;
    if draft.study.0 != study || fields.text("fingerprint") != fingerprint(visit, name, draft, &check) {
        tracing::warn!("a send was refused: the form does not fit the study");
        return Err(Problem::mismatch("send.changed"));
    }
    let acknowledged = ticked(&check.flags, fields);
    if acknowledged.len() < check.flags.len() {
        let mut template = check_page(visit, name.to_owned(), draft, &check, &acknowledged).await;
        template.error = Some(visit.words.t("send.need-ticks"));
        return Ok(Outcome::Shown(visit::page_with(StatusCode::UNPROCESSABLE_ENTITY, &template)));
    }
    let question = act(draft, check.addressee.id.clone(), acknowledged);
    let Reply::Sent(transfer) = visit.ask(question).await? else { return Err(Problem::odd()) };
    tracing::info!(%transfer, account = %visit.account, "a study was sent");
    let to = AddresseeView::new(&check.addressee, visit.words).name;
    visit.leave_notice(visit.words.fill("send.done", &[("name", &to)]));
    Ok(Outcome::Sent(format!("/sent/{transfer}")))
}

/// What the daemon is asked to do: what the draft is for decides.
fn act(draft: &Draft, addressee: AddresseeId, acknowledged: Vec<CheckFlag>) -> Question {
    let present = |text: &Confidential| Some(text.clone()).filter(|text| !text.is_empty());
    let study = StudyRef::Number(draft.study);
    let (note, reply_contact) = (present(&draft.note), present(&draft.reply_contact));
    let urgent = draft.urgent;
    match draft.purpose {
        Purpose::Send => Question::Send { study, addressee, note, reply_contact, urgent, acknowledged },
        Purpose::Answer(request) => {
            let addressee = Some(addressee);
            Question::SendAnswer { request, study, addressee, note, reply_contact, urgent, acknowledged }
        }
        Purpose::Redirect(transfer) => {
            // Empty words are words as well: whoever took the first ones away does not want them sent.
            let note = Some(draft.note.clone());
            Question::Redirect { transfer, to: Some(addressee), note, acknowledged }
        }
    }
}

async fn ask(visit: &Visit, draft: &Draft) -> Result<Check, Problem> {
    let addressee = draft.addressee.clone().ok_or_else(Problem::form)?;
    let study = draft.study;
    let question = match draft.purpose {
        Purpose::Send | Purpose::Redirect(_) => Question::Check { study, addressee },
        Purpose::Answer(request) => Question::CheckAnswer { request, study, addressee: Some(addressee) },
    };
    let Reply::Check(check) = visit.ask(question).await? else { return Err(Problem::odd()) };
    Ok(*check)
}

/// Over everything that the person believes while confirming, but not over counts that grow while images arrive.
fn fingerprint(visit: &Visit, name: &str, draft: &Draft, check: &Check) -> String {
    let study = draft.study.0.to_string();
    let thumbprint = check.key_thumbprint.as_deref().unwrap_or_default();
    let about = ["check", name, &study, check.addressee.id.as_str(), thumbprint];
    visit.fingerprint(&about, Some(&check.study.patient))
}

async fn check_page(
    visit: &Visit,
    name: String,
    draft: &Draft,
    check: &Check,
    ticked: &[CheckFlag],
) -> CheckPage {
    let words = visit.words;
    let to = AddresseeView::new(&check.addressee, words);
    CheckPage {
        frame: visit.frame("send.check-title", Place::Send).await,
        number: draft.study.0,
        fingerprint: fingerprint(visit, &name, draft, check),
        draft: name,
        patient: PatientView::new(&check.study.patient, visit.now, words),
        study: StudyView::new(&check.study.summary, words),
        button: words.fill("send.confirm", &[("name", &to.name)]),
        to,
        certified: check.certified_name.as_deref().map(clean),
        thumbprint: check.key_thumbprint.as_deref().map(clean),
        addendum: check.addendum_to.as_ref().map(|earlier| {
            words.fill("send.addendum-to", &[("when", &date::when(earlier.at, visit.now, words))])
        }),
        note: draft.note.clone(),
        reply_contact: draft.reply_contact.clone(),
        urgent: draft.urgent,
        flags: check.flags.iter().map(|flag| FlagView::new(*flag, ticked, words)).collect(),
        obstacle: check.obstacle.as_ref().map(|refusal| Obstacle::new(refusal, words)),
        back: choose::back(draft.purpose),
        is_redirect: matches!(draft.purpose, Purpose::Redirect(_)),
        error: None,
    }
}

/// A flag in a form and in words.
struct FlagWords {
    name: &'static str,
    what: &'static str,
    tick: &'static str,
}

fn words_of(flag: CheckFlag) -> FlagWords {
    let of = |name, what, tick| FlagWords { name, what, tick };
    match flag {
        CheckFlag::FirstTime => of("first-time", "send.flag-first-time", "send.tick-first-time"),
        CheckFlag::StillArriving => {
            of("still-arriving", "send.flag-still-arriving", "send.tick-still-arriving")
        }
        CheckFlag::NoBsn => of("no-bsn", "send.flag-no-bsn", "send.tick-no-bsn"),
        CheckFlag::PortalDelivery => {
            of("portal-delivery", "send.flag-portal-delivery", "send.tick-portal-delivery")
        }
        CheckFlag::Conflict => of("conflict", "send.flag-conflict", "send.tick-conflict"),
        CheckFlag::TwoPatients => of("two-patients", "send.flag-two-patients", "send.tick-two-patients"),
        CheckFlag::NoPatientId => of("no-patient-id", "send.flag-no-patient-id", "send.tick-no-patient-id"),
        CheckFlag::NoPatientName => {
            of("no-patient-name", "send.flag-no-patient-name", "send.tick-no-patient-name")
        }
        CheckFlag::OtherPatient => of("other-patient", "send.flag-other-patient", "send.tick-other-patient"),
    }
}
