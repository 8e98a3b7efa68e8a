//! The results as tables for people, and into the README between two markers.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::boxes::megabytes;
use crate::journey::Found;
use crate::lines::{Extent, Row, resent, usual};
use crate::namespace::Congestion;
use crate::wire::{Conditions, Tally};

/// Names of the two tables in the README.
pub const LINES: &str = "lines";
/// See [`LINES`].
pub const JOURNEY: &str = "journey";

/// The table of lines good and bad, in Markdown.
pub fn of_lines(rows: &[Row], extent: &Extent) -> String {
    let mut text = format!(
        "{}, {} slices of 512 KiB. Bad lines lose {:.2} % of the packets and are cut every {} s.\n\n",
        described(extent.good, extent.congestion),
        extent.slices,
        percent(extent.lost_in_a_million, 1_000_000),
        extent.cut_every.as_secs(),
    );
    text.push_str(
        "| Line | load | Way | boxes, s | MB/s | ÷ bare TCP | ÷ the line | sent again, MB | may be | cuts | Orthanc, s | boxes ÷ it | sent again, MB |\n\
         |---|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    let usual = usual(rows);
    for row in rows {
        text.push_str(&lines_of(row, usual));
    }
    text
}

fn lines_of(row: &Row, usual: (f64, f64)) -> String {
    let journey = match &row.boxes {
        Ok(journey) => journey,
        Err(error) => {
            return format!("| {} | {} | failed: {error} | {}\n", row.name, row.load, "| ".repeat(10));
        }
    };
    let mut text = String::new();
    let orthanc = match &row.orthanc {
        None => Ok(None),
        Some(Ok(peered)) => Ok(Some(peered)),
        Some(Err(error)) => Err(error),
    };
    let ways = [
        ("up", journey.send, journey.up.up, journey.up.cuts, usual.0),
        ("down", journey.fetch, journey.down.down, journey.down.cuts, usual.1),
    ];
    for (index, (way, took, tally, cuts, usual)) in ways.into_iter().enumerate() {
        let bare = match &row.bare {
            Some(Ok(both)) => ratio([both.0, both.1][index], took),
            Some(Err(error)) => format!("failed: {error}"),
            None => "—".to_owned(),
        };
        let (resent, most) = resent(tally.fresh, journey.bytes, usual, cuts);
        let _infallible = write!(
            text,
            "| {} | {} | {way} | {:.1} | {:.2} | {bare} | {} | {:.1} | {:.1} | {cuts} ",
            row.name,
            row.load,
            took.as_secs_f64(),
            megabytes(journey.bytes) / took.as_secs_f64(),
            of_line(tally, took, row.line),
            megabytes(resent),
            megabytes(most),
        );
        // The peer is one line away, so it goes up only.
        match (way, &orthanc) {
            ("up", Ok(Some(peered))) => {
                let again = megabytes(peered.tallies.up.fresh.saturating_sub(journey.bytes)).max(0.0);
                let _infallible = writeln!(
                    text,
                    "| {:.1} ({} times) | {} | {again:.1} |",
                    peered.took.as_secs_f64(),
                    peered.again + 1,
                    ratio(peered.took, took),
                );
            }
            ("up", Err(error)) => {
                let _infallible = writeln!(text, "| failed: {error} | — | — |");
            }
            _ => text.push_str("| — | — | — |\n"),
        }
    }
    text
}

/// Share of what the line could have carried in that time, with the headers of IP and TCP.
fn of_line(tally: Tally, took: Duration, line: Conditions) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let could = line.bits_per_second as f64 / 8e6 * took.as_secs_f64();
    format!("{:.2}", megabytes(tally.bytes) / could)
}

/// One time divided by another: how much faster the second is.
fn ratio(theirs: Duration, ours: Duration) -> String {
    format!("{:.2}", theirs.as_secs_f64() / ours.as_secs_f64())
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn percent(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole as f64
}

fn described(line: Conditions, congestion: Congestion) -> String {
    format!(
        "{}; {} Mbit/s each way, {} ms round trip, TCP with {}; release build: {}",
        machine(),
        line.bits_per_second / 1_000_000,
        line.round_trip.as_millis(),
        congestion.name(),
        if cfg!(debug_assertions) { "no" } else { "yes" },
    )
}

/// What it is measured on.
fn machine() -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "a program of its own, which takes the day from the system"
    )]
    let day = jiff::Zoned::now().date();
    let system = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    format!("Measured on {day}, {processors} processors, Linux {}", system.trim())
}

/// The table of journeys from PACS to PACS, in Markdown.
pub fn of_journeys(found: &[Found], line: Conditions, congestion: Congestion) -> String {
    let mut text = format!("{}.\n", described(line, congestion));
    for found in found {
        let [receive, send, fetch, deliver] = found.stages.each.map(|stage| stage.as_secs_f64());
        let slowest = found.stages.slowest();
        let _infallible = write!(
            text,
            "\n**{}: {:.0} MB, load {} before**\n\n| Stage alone | s |\n|---|--:|\n\
             | receive | {receive:.2} |\n| send | {send:.2} |\n| fetch and authenticate | {fetch:.2} |\n\
             | deliver | {deliver:.2} |\n\n\
             | PACS A → PACS B | s | ÷ slowest stage | to reach | boxes ÷ it |\n|---|--:|--:|---|--:|\n\
             | boxes, addressee known (quiet time of 1 s is in it) | {:.2} | {} | ≤ 1.3 | 1.00 |\n",
            found.place,
            megabytes(found.bytes),
            found.load,
            found.by_alias.as_secs_f64(),
            ratio(found.by_alias, slowest),
        );
        for (name, result) in [
            ("Orthanc, peer, by hand", &found.orthanc_by_hand),
            ("Orthanc, peer, by scripts", &found.orthanc_by_script),
        ] {
            let _infallible = match result {
                Ok(took) => writeln!(
                    text,
                    "| {name} | {:.2} | {} | | {} |",
                    took.as_secs_f64(),
                    ratio(*took, slowest),
                    ratio(*took, found.by_alias)
                ),
                Err(error) => writeln!(text, "| {name} | failed: {error} | | | |"),
            };
        }
    }
    text
}

/// Puts a table into a document, between its markers.
///
/// # Errors
/// If the document has no such markers, or cannot be written.
pub fn write_into(document: &Path, name: &str, table: &str) -> Result<()> {
    let text = std::fs::read_to_string(document)?;
    std::fs::write(document, replaced(&text, name, table)?)?;
    Ok(())
}

fn replaced(text: &str, name: &str, table: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- results of `{name} --write` -->"), format!("<!-- end of {name} -->"));
    let (before, rest) = text.split_once(&begin).context("the document has no marker before its results")?;
    let (_, after) = rest.split_once(&end).context("the document has no marker after its results")?;
    Ok(format!("{before}{begin}\n\n{}\n\n{end}{after}", table.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_its_markers_is_replaced() {
        let text = "a\n<!-- results of `lines --write` -->\nold\n<!-- end of lines -->\nb\n";
        let once = replaced(text, LINES, "new").unwrap();
        assert_eq!(once, "a\n<!-- results of `lines --write` -->\n\nnew\n\n<!-- end of lines -->\nb\n");
        assert_eq!(replaced(&once, LINES, "new").unwrap(), once);
        assert!(replaced(&once, JOURNEY, "new").is_err());
    }
}
