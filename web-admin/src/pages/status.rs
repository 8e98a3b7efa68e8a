//! "Toestand": how the box is, in plain sentences.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use beeldbox_protocol::admin::{Question, Status};
use jiff::Timestamp;

use crate::lang::Words;
use crate::site::Site;
use crate::view::frame::{Frame, Place};
use crate::view::icon::Icon;
use crate::view::problem::Problem;
use crate::view::text::clean;
use crate::view::{bytes, date};
use crate::visit::{self, Visit};

/// Time before the end of a certificate from which the page warns: enough to ask for a new one.
const CERTIFICATE_WARNING_S: i64 = 30 * 24 * 60 * 60;

#[derive(Template)]
#[template(path = "page/status.html", blocks = ["menu", "live"])]
struct StatusPage {
    frame: Frame,
    as_of: String,
    summary: String,
    is_well: bool,
    tiles: Vec<Tile>,
}
visit::live_page!(StatusPage);

/// One part of the box.
struct Tile {
    id: &'static str,
    title: String,
    is_well: bool,
    lines: Vec<String>,
    technical: Option<String>,
}

/// `GET /status`.
pub async fn page(visit: Visit) -> Result<Response, Problem> {
    let status = visit.status().await?;
    let words = visit.words;
    let tiles = vec![
        portal(&status, visit.now, words),
        pacs(&status, words),
        disk(&status, words),
        certificates(&status, visit.now, words),
        work(&status, words),
        this_box(&status, visit.now, words),
    ];
    let troubles = tiles.iter().filter(|tile| !tile.is_well).count();
    let template = StatusPage {
        frame: Frame { is_live: true, ..visit.frame_with("status.title", Place::Status, Some(&status)) },
        as_of: date::clock(visit.now),
        summary: if troubles == 0 {
            words.t("status.all-well")
        } else {
            words.n("status.some-trouble", u64::try_from(troubles).unwrap_or(u64::MAX))
        },
        is_well: troubles == 0,
        tiles,
    };
    Ok(visit::live_page_for(&visit, &template))
}

/// `GET /healthz`: for the supervisor, without signing in. Says nothing but whether the pages and the daemon are there.
pub async fn healthz(State(site): State<Arc<Site>>) -> Response {
    match site.client.ask("beeldbox-admin", Question::Status).await {
        Ok(_) => (StatusCode::OK, "ok\n").into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "beeldboxd does not answer\n").into_response(),
    }
}

fn portal(status: &Status, now: Timestamp, words: Words) -> Tile {
    let portal = &status.portal;
    let answered = portal.last_answer_at.map(|at| date::when_and_ago(at, now, words));
    let first = match (&portal.trouble, answered) {
        (None, Some(when)) => words.fill("status.portal-good", &[("when", &when)]),
        (None, None) => words.t("status.portal-never"),
        (Some(_), when) => {
            let when = when.unwrap_or_else(|| words.t("status.never"));
            words.fill("status.portal-bad", &[("when", &when)])
        }
    };
    let directory = match portal.directory_as_of {
        Some(at) => {
            let when = date::when_and_ago(at, now, words);
            words.n_fill("status.directory", portal.addressees.into(), &[("when", &when)])
        }
        None => words.t("status.directory-never"),
    };
    let mut lines = vec![first, directory];
    if portal.directory_is_too_old {
        lines.push(words.t("status.directory-too-old"));
    } else if portal.directory_trouble.is_some() {
        lines.push(words.t("status.directory-trouble"));
    }
    let trouble = portal.trouble.as_deref().or(portal.directory_trouble.as_deref());
    Tile {
        id: "portal",
        title: words.t("status.portal"),
        is_well: trouble.is_none() && !portal.directory_is_too_old,
        lines,
        technical: Some(join(&portal.url, trouble)),
    }
}

fn pacs(status: &Status, words: Words) -> Tile {
    let pacs = &status.pacs;
    let key = if pacs.trouble.is_none() { "status.pacs-good" } else { "status.pacs-bad" };
    Tile {
        id: "pacs",
        title: words.t("status.pacs"),
        is_well: pacs.trouble.is_none(),
        lines: vec![words.fill(key, &[("ae", &clean(&pacs.ae_title)), ("address", &clean(&pacs.address))])],
        technical: pacs.trouble.as_deref().map(clean),
    }
}

fn disk(status: &Status, words: Words) -> Tile {
    let free = bytes::amount(status.free_bytes, words);
    let key = if status.is_full { "status.disk-full" } else { "status.disk-good" };
    let mut lines = vec![words.fill(key, &[("bytes", &free)])];
    if status.damaged > 0 {
        lines.push(words.n("status.disk-damaged", status.damaged.into()));
    }
    let is_well = !status.is_full && status.damaged == 0;
    Tile { id: "disk", title: words.t("status.disk"), is_well, lines, technical: None }
}

fn certificates(status: &Status, now: Timestamp, words: Words) -> Tile {
    let (is_well, line) = match status.certificates_valid_until {
        None => (false, words.t("status.certificates-none")),
        Some(until) => {
            let left = until.as_second() - now.as_second();
            let day = date::day_of(until, words);
            let span = date::span(u64::try_from(left).unwrap_or(0), words);
            let values = [("day", day.as_str()), ("span", span.as_str())];
            match left {
                ..=0 => (false, words.fill("status.certificates-expired", &values)),
                1..CERTIFICATE_WARNING_S => (false, words.fill("status.certificates-soon", &values)),
                CERTIFICATE_WARNING_S.. => (true, words.fill("status.certificates-good", &values)),
            }
        }
    };
    Tile {
        id: "certificates",
        title: words.t("status.certificates"),
        is_well,
        lines: vec![line],
        technical: None,
    }
}

fn work(status: &Status, words: Words) -> Tile {
    let mut lines = vec![
        words.n("frame.waiting-studies", status.studies_waiting.into()),
        words.n("frame.open-sent", status.outbound_open.into()),
        words.n("frame.waiting-inbox", status.inbox_waiting.into()),
    ];
    if status.held > 0 {
        lines.push(words.n("status.held", status.held.into()));
    }
    Tile { id: "work", title: words.t("status.work"), is_well: status.held == 0, lines, technical: None }
}

fn this_box(status: &Status, now: Timestamp, words: Words) -> Tile {
    let since = date::when(status.started_at, now, words);
    let about = [
        ("name", clean(&status.name)),
        ("organisation", clean(&status.organisation)),
        ("ura", status.ura.to_string()),
        ("since", since),
        ("version", clean(&status.version)),
    ];
    let about: Vec<(&str, &str)> = about.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let receives = [("ae", clean(&status.ae_title)), ("address", clean(&status.dicom_address))];
    let receives: Vec<(&str, &str)> = receives.iter().map(|(name, value)| (*name, value.as_str())).collect();
    // The daemon's own words, in English: shown only if a start had something to put right.
    let did_something = status.recovery.bytes().any(|b| matches!(b, b'1'..=b'9'));
    let recovery = did_something.then(|| join(&words.t("status.recovery"), Some(&status.recovery)));
    Tile {
        id: "box",
        title: words.t("status.box"),
        is_well: true,
        lines: vec![words.fill("status.box-line", &about), words.fill("status.box-receives", &receives)],
        technical: recovery,
    }
}

fn join(first: &str, second: Option<&str>) -> String {
    match second {
        Some(second) => format!("{}: {}", clean(first), clean(second)),
        None => clean(first),
    }
}
