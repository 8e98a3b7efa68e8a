//! "Logboek": who did what and when, found by person, action and period, and taken along as CSV. Reading it is written
//! down as well.

use askama::Template;
use axum::extract::Query;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use beeldbox_protocol::admin::{AuditLine, MAX_PAGE, Question, Reply, WrittenAct};
use serde::Deserialize;

use crate::lang::Words;
use crate::pages::audit_words::action_word;
use crate::view::date;
use crate::view::frame::{Frame, Place};
use crate::view::icon::Icon;
use crate::view::problem::Problem;
use crate::view::text::clean;
use crate::visit::{self, Visit};

/// Lines of one page.
const PAGE_LINES: usize = 100;
/// Most records looked through for one page; the rest is looked through by going on.
const MOST_LOOKED_AT: usize = 5_000;
/// Most lines of a copy.
const MOST_EXPORTED: usize = 50_000;
/// Most records looked through for a copy: the whole trail of years.
const MOST_LOOKED_AT_FOR_EXPORT: usize = 500_000;

/// What is looked for. Accounts, actions and days: nothing about patients.
#[derive(Deserialize, Default)]
pub struct AuditQuery {
    #[serde(default)]
    who: String,
    #[serde(default)]
    what: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    until: String,
    before: Option<i64>,
}

#[derive(Template)]
#[template(path = "page/audit.html")]
struct AuditPage {
    frame: Frame,
    query: AuditQuery,
    lines: Vec<LineView>,
    /// Where looking goes on, if there is more.
    older: Option<String>,
    copy: String,
    found: String,
    errors: Vec<(&'static str, String)>,
}

/// One record in words.
struct LineView {
    number: i64,
    iso: String,
    day: String,
    time: String,
    who: String,
    what: String,
    code: String,
    transfer: String,
    detail: String,
}

/// `GET /admin/audit`.
pub async fn page(visit: Visit, Query(query): Query<AuditQuery>) -> Result<Response, Problem> {
    let filter = Filter::read(&query);
    let found = filter.find(&visit, query.before, PAGE_LINES, MOST_LOOKED_AT).await?;
    visit.write_down(WrittenAct::AuditRead, None, None).await;
    let words = visit.words;
    let mut errors = Vec::new();
    for (id, text, is_read) in [("from", &query.from, filter.from), ("until", &query.until, filter.until)] {
        if !text.trim().is_empty() && is_read.is_none() {
            errors.push((id, words.t("audit.bad-day")));
        }
    }
    let count = u64::try_from(found.lines.len()).unwrap_or_default();
    let template = AuditPage {
        frame: visit.frame("audit.title", Place::Admin).await,
        lines: found.lines.iter().map(|line| line_view(line, words)).collect(),
        older: found.next.map(|before| format!("/admin/audit?{}&before={before}", address(&query))),
        copy: format!("/admin/audit.csv?{}", address(&query)),
        found: words.n("audit.found", count),
        query,
        errors,
    };
    Ok(visit::page(&template))
}

/// `GET /admin/audit.csv`: the same as a table for other programs (RFC 4180), times in UTC.
pub async fn export(visit: Visit, Query(query): Query<AuditQuery>) -> Result<Response, Problem> {
    let filter = Filter::read(&query);
    let found = filter.find(&visit, None, MOST_EXPORTED, MOST_LOOKED_AT_FOR_EXPORT).await?;
    visit.write_down(WrittenAct::AuditExported, None, None).await;
    let mut text = "number,at,actor,action,transfer,detail\r\n".to_owned();
    for line in &found.lines {
        let transfer = line.transfer.map(|id| id.to_string()).unwrap_or_default();
        let detail = line.detail.as_ref().map(|detail| clean(detail.reveal())).unwrap_or_default();
        let cells = [
            line.number.to_string(),
            line.at.to_string(),
            clean(&line.actor),
            clean(&line.action),
            transfer,
            detail,
        ];
        text.push_str(&cells.map(|value| cell(&value)).join(","));
        text.push_str("\r\n");
    }
    if found.next.is_some() {
        text.push_str("\"more records follow: choose a shorter period\",,,,,\r\n");
    }
    let name = format!("attachment; filename=\"beeldbox-audit-{}.csv\"", date::local_date(visit.now));
    let headers =
        [(header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, text).into_response())
}

/// A value of a table. What a spreadsheet would take for a formula is marked as text.
fn cell(value: &str) -> String {
    let is_formula = value.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let value = if is_formula { format!("'{value}") } else { value.to_owned() };
    format!("\"{}\"", value.replace('"', "\"\""))
}

/// The filter as an address.
fn address(query: &AuditQuery) -> String {
    let safe = |text: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        text.bytes()
            .map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
            .collect::<String>()
    };
    let parts = [("who", &query.who), ("what", &query.what), ("from", &query.from), ("until", &query.until)];
    parts.map(|(name, value)| format!("{name}={}", safe(value))).join("&")
}

/// The filter as it is used.
struct Filter {
    who: String,
    what: String,
    from: Option<jiff::civil::Date>,
    until: Option<jiff::civil::Date>,
}

/// What was found, and where looking goes on.
struct Found {
    lines: Vec<AuditLine>,
    next: Option<i64>,
}

impl Filter {
    fn read(query: &AuditQuery) -> Filter {
        Filter {
            who: query.who.trim().to_lowercase(),
            what: query.what.trim().to_lowercase(),
            from: date::parse_typed(&query.from),
            until: date::parse_typed(&query.until),
        }
    }

    fn fits(&self, line: &AuditLine) -> bool {
        let day = date::local_date(line.at);
        (self.who.is_empty() || line.actor.to_lowercase().contains(&self.who))
            && (self.what.is_empty() || line.action.to_lowercase().contains(&self.what))
            && self.from.is_none_or(|from| day >= from)
            && self.until.is_none_or(|until| day <= until)
    }

    /// Newest first; records are in order of time, so those before the period need not be read.
    async fn find(
        &self,
        visit: &Visit,
        before: Option<i64>,
        most: usize,
        most_looked_at: usize,
    ) -> Result<Found, Problem> {
        let (mut lines, mut looked_at, mut before) = (Vec::new(), 0, before);
        while looked_at < most_looked_at {
            let Reply::Audit(page) = visit.ask(Question::Audit { before, limit: MAX_PAGE }).await? else {
                return Err(Problem::odd());
            };
            let is_last = u32::try_from(page.len()).is_ok_and(|count| count < MAX_PAGE);
            for line in page {
                before = Some(line.number);
                looked_at += 1;
                if self.from.is_some_and(|from| date::local_date(line.at) < from) {
                    return Ok(Found { lines, next: None });
                }
                if self.fits(&line) {
                    lines.push(line);
                }
                if lines.len() >= most {
                    return Ok(Found { lines, next: before });
                }
            }
            if is_last {
                return Ok(Found { lines, next: None });
            }
        }
        Ok(Found { lines, next: before })
    }
}

fn line_view(line: &AuditLine, words: Words) -> LineView {
    LineView {
        number: line.number,
        iso: line.at.to_string(),
        day: date::day_of(line.at, words),
        time: date::clock(line.at),
        who: clean(&line.actor),
        what: action_word(&line.action).map(|key| words.t(key)).unwrap_or_default(),
        code: clean(&line.action),
        transfer: line.transfer.map(|id| id.to_string()).unwrap_or_default(),
        detail: line.detail.as_ref().map(|detail| clean(detail.reveal())).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_the_table_is_never_a_formula_and_never_ends_its_cell() {
        assert_eq!(cell("=1+1"), "\"'=1+1\"");
        assert_eq!(cell("a \"b\", c"), "\"a \"\"b\"\", c\"");
    }
}
