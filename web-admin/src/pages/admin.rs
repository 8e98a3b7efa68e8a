//! "Beheer": what asks for the administrator's attention, with the way to what puts it right. Nothing about patients.

use askama::Template;
use axum::response::Response;
use beeldbox_protocol::admin::{CertificateLevel, CertificateUse, Status};
use jiff::Timestamp;

use crate::accounts::Person;
use crate::lang::Words;
use crate::roles::Role;
use crate::view::frame::{Frame, Place};
use crate::view::icon::Icon;
use crate::view::problem::Problem;
use crate::view::{bytes, date};
use crate::visit::{self, Visit};

#[derive(Template)]
#[template(path = "page/admin.html", blocks = ["menu", "live"])]
struct AdminPage {
    frame: Frame,
    as_of: String,
    points: Vec<Point>,
    figures: Vec<Figure>,
}
visit::live_page!(AdminPage);

/// Something that asks for attention.
struct Point {
    id: &'static str,
    tone: &'static str,
    what: String,
    advice: String,
    link: &'static str,
    link_text: String,
}

/// One number with its word.
struct Figure {
    word: String,
    value: String,
}

/// `GET /admin`.
pub async fn page(visit: Visit) -> Result<Response, Problem> {
    let status = visit.status().await?;
    let everybody = visit.site.accounts.everybody().map_err(|_| Problem::bug())?;
    let words = visit.words;
    let mut points = connections(&status, visit.now, words);
    points.extend(certificates(&status, words));
    points.extend(storage(&status, words));
    points.extend(work(&status, words));
    points.extend(accounts(&everybody, words));
    let template = AdminPage {
        frame: Frame { is_live: true, ..visit.frame_with("admin.title", Place::Admin, Some(&status)) },
        as_of: date::clock(visit.now),
        points,
        figures: figures(&status, everybody.len(), words),
    };
    Ok(visit::live_page_for(&visit, &template))
}

fn point(
    id: &'static str,
    tone: &'static str,
    what: String,
    advice: &str,
    way: (&'static str, &str),
    words: Words,
) -> Point {
    let (link, to) = way;
    Point { id, tone, what, advice: words.t(advice), link, link_text: words.t(to) }
}

const CONNECTIONS: (&str, &str) = ("/admin/connections", "admin.connections");
const CERTIFICATES: (&str, &str) = ("/admin/certificates", "admin.certificates");
const STATUS: (&str, &str) = ("/status", "frame.status");
const USERS: (&str, &str) = ("/admin/users", "account.users");

fn connections(status: &Status, now: Timestamp, words: Words) -> Vec<Point> {
    let mut points = Vec::new();
    let when = |at: Option<Timestamp>| {
        at.map_or_else(|| words.t("status.never"), |at| date::when_and_ago(at, now, words))
    };
    if status.portal.trouble.is_some() {
        let since = when(status.portal.last_answer_at);
        let what = words.fill("admin.portal", &[("when", &since)]);
        points.push(point("portal", "bad", what, "admin.portal-do", CONNECTIONS, words));
    }
    if status.portal.directory_is_too_old || status.portal.directory_trouble.is_some() {
        let tone = if status.portal.directory_is_too_old { "bad" } else { "wait" };
        let as_of = when(status.portal.directory_as_of);
        let what = words.fill("admin.directory", &[("when", &as_of)]);
        points.push(point("directory", tone, what, "admin.directory-do", CONNECTIONS, words));
    }
    if status.pacs.trouble.is_some() {
        points.push(point("pacs", "bad", words.t("admin.pacs"), "admin.pacs-do", CONNECTIONS, words));
    }
    points
}

fn certificates(status: &Status, words: Words) -> Vec<Point> {
    let mut points = Vec::new();
    for line in &status.certificates {
        let name = words.t(use_word(line.what));
        let days = u64::try_from(line.days_left.unwrap_or_default()).unwrap_or_default();
        let (tone, what) = match line.level {
            CertificateLevel::Fine => continue,
            CertificateLevel::EndsSoon => ("wait", words.n_fill("admin.ends-in", days, &[("name", &name)])),
            CertificateLevel::EndsVerySoon => {
                ("bad", words.n_fill("admin.ends-in", days, &[("name", &name)]))
            }
            CertificateLevel::Ended => ("bad", words.fill("admin.has-ended", &[("name", &name)])),
            CertificateLevel::Missing => ("bad", words.fill("admin.is-missing", &[("name", &name)])),
        };
        points.push(point("certificate", tone, what, "admin.certificate-do", CERTIFICATES, words));
    }
    points
}

/// What a certificate is for, in words.
pub fn use_word(what: CertificateUse) -> &'static str {
    match what {
        CertificateUse::Portal => "admin.for-portal",
        CertificateUse::Signing => "admin.for-signing",
    }
}

fn storage(status: &Status, words: Words) -> Vec<Point> {
    let mut points = Vec::new();
    if status.is_full {
        points.push(point("full", "bad", words.t("admin.full"), "admin.full-do", STATUS, words));
    }
    if status.damaged > 0 {
        let what = words.n("status.disk-damaged", status.damaged.into());
        points.push(point("damaged", "bad", what, "admin.damaged-do", STATUS, words));
    }
    points
}

fn work(status: &Status, words: Words) -> Vec<Point> {
    let counts = [
        ("held", "wait", status.held, "admin.held", "admin.held-do"),
        ("uncollected", "wait", status.uncollected, "admin.uncollected", "admin.uncollected-do"),
        ("overdue", "wait", status.inbox_overdue, "admin.overdue", "admin.overdue-do"),
        ("asked-back", "bad", status.asked_back, "admin.asked-back", "admin.asked-back-do"),
        ("not-believed", "wait", status.requests_not_believed, "admin.not-believed", "admin.not-believed-do"),
    ];
    let some = counts.into_iter().filter(|(_, _, count, _, _)| *count > 0);
    some.map(|(id, tone, count, what, advice)| {
        point(id, tone, words.n(what, count.into()), advice, STATUS, words)
    })
    .collect()
}

fn accounts(everybody: &[Person], words: Words) -> Vec<Point> {
    let open = |person: &&Person| {
        person.roles.has(Role::Administrator) && !person.has_second_factor && !person.is_locked
    };
    let count = u64::try_from(everybody.iter().filter(open).count()).unwrap_or_default();
    if count == 0 {
        return Vec::new();
    }
    vec![point("no-factor", "wait", words.n("admin.no-factor", count), "admin.no-factor-do", USERS, words)]
}

fn figures(status: &Status, accounts: usize, words: Words) -> Vec<Figure> {
    let number = |count: u32| words.number(count.into());
    let all = [
        ("admin.figure-send", number(status.studies_waiting)),
        ("admin.figure-sent", number(status.outbound_open)),
        ("admin.figure-inbox", number(status.inbox_waiting)),
        ("admin.figure-requests", number(status.requests_open)),
        ("admin.figure-free", bytes::amount(status.free_bytes, words)),
        ("admin.figure-addressees", number(status.portal.addressees)),
        ("admin.figure-accounts", words.number(u64::try_from(accounts).unwrap_or_default())),
    ];
    all.into_iter().map(|(key, value)| Figure { word: words.t(key), value }).collect()
}
