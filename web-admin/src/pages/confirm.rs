//! "Controleer en verstuur": the last look before a send (CS-11, CS-12, CS-23).
//!
//! The form carries a fingerprint of patient, study, addressee and key. If anything of it differs when the form comes
//! in, nothing is sent.

use askama::Template;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use beeldbox_protocol::admin::{Check, CheckFlag, Question, Reply, StudyNumber, StudyRef};
use beeldbox_protocol::clinical::Confidential;
use serde::Deserialize;

use crate::pages::fields::Fields;
use crate::session::Draft;
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
    button: String,
    error: Option<String>,
}

/// One thing to look at and tick.
struct FlagView {
    name: &'static str,
    what: String,
    tick: String,
    is_ticked: bool,
}

/// Why it cannot be sent now.
struct Obstacle {
    code: &'static str,
    title: String,
    advice: String,
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
    let ticks: Vec<&str> = fields.all("tick").collect();
    let acknowledged: Vec<CheckFlag> =
        check.flags.iter().copied().filter(|flag| ticks.contains(&words_of(*flag).name)).collect();
    if acknowledged.len() < check.flags.len() {
        let mut template = check_page(visit, name.to_owned(), draft, &check, &acknowledged).await;
        template.error = Some(visit.words.t("send.need-ticks"));
        return Ok(Outcome::Shown(visit::page_with(StatusCode::UNPROCESSABLE_ENTITY, &template)));
    }
    let present = |text: &Confidential| Some(text.clone()).filter(|text| !text.is_empty());
    let question = Question::Send {
        study: StudyRef::Number(StudyNumber(study)),
        addressee: check.addressee.id.clone(),
        note: present(&draft.note),
        reply_contact: present(&draft.reply_contact),
        urgent: draft.urgent,
        acknowledged,
    };
    let Reply::Sent(transfer) = visit.ask(question).await? else { return Err(Problem::odd()) };
    tracing::info!(%transfer, account = %visit.account, "a study was sent");
    let to = AddresseeView::new(&check.addressee, visit.words).name;
    visit.leave_notice(visit.words.fill("send.done", &[("name", &to)]));
    Ok(Outcome::Sent(format!("/sent/{transfer}")))
}

async fn ask(visit: &Visit, draft: &Draft) -> Result<Check, Problem> {
    let addressee = draft.addressee.clone().ok_or_else(Problem::form)?;
    let Reply::Check(check) = visit.ask(Question::Check { study: draft.study, addressee }).await? else {
        return Err(Problem::odd());
    };
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
    let flag_view = |flag: &CheckFlag| {
        let FlagWords { name, what, tick } = words_of(*flag);
        FlagView { name, what: words.t(what), tick: words.t(tick), is_ticked: ticked.contains(flag) }
    };
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
        flags: check.flags.iter().map(flag_view).collect(),
        obstacle: check.obstacle.as_ref().map(|refusal| {
            let problem = problem::refused(refusal);
            Obstacle { code: problem.code, title: words.t(problem.title), advice: words.t(problem.advice) }
        }),
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
