//! The results as tables for people, as JSON for programs, and into the README between two markers.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::contender::Contender;
use crate::machine::Machine;
use crate::plan::{Cell, Results, Row};
use crate::run::{Outcome, as_float};
use crate::workload::Study;

const BEGIN: &str = "<!-- results of `intake --write` -->";
const END: &str = "<!-- end of results -->";
const MIB: f64 = 1_048_576.0;

/// The tables, in Markdown.
pub fn tables(results: &Results, machine: &Machine) -> String {
    let mut text = format!("{machine} Runs of each: {}.\n\n{}", results.repeats, targets(results));
    for cell in &results.cells {
        text.push_str(&cell_table(cell));
    }
    text.push_str(&flush_table(results));
    text.push_str(&foreign_table(results));
    text
}

/// One of the figures that the design demands: what, against what, reached, to reach.
struct Target {
    what: &'static str,
    against: &'static str,
    reached: Option<f64>,
    to_reach: &'static str,
}

fn targets(results: &Results) -> String {
    let cell = |study, associations| {
        results.cells.iter().find(|cell| cell.study == study && cell.associations == associations)
    };
    let rates = |associations, name| ratio(cell(Study::Ct, associations), name, Outcome::rate);
    let dearer =
        |associations| ratio(cell(Study::Ct, associations), Contender::Dcmtk.name(), Outcome::cpu_per_gb);
    let slower = |associations| {
        let others = [Contender::Dcmtk, Contender::DicomRs].map(|other| rates(associations, other.name()));
        others.into_iter().flatten().min_by(f64::total_cmp)
    };
    // Nobody who seals can spend less than one who does not, and digest and cipher on top.
    let sealing = 1e9 / results.sealing.bound();
    let beside_sealing = |associations| {
        let cell = cell(Study::Ct, associations)?;
        let [ours, plain] = [Contender::Beeldbox, Contender::Dcmtk].map(|who| cell.median(who.name()));
        Some(ours?.cpu_per_gb() / (plain?.cpu_per_gb() + sealing))
    };
    let rows = [
        Target {
            what: "throughput, CT, 4 associations",
            against: "the faster of DCMTK and dicom-rs, unsynced and in the clear",
            reached: slower(4),
            to_reach: "≥ 1.0",
        },
        Target {
            what: "throughput, CT, 1 association",
            against: "write + fdatasync of the same sizes",
            reached: rates(1, "disk: write + fdatasync"),
            to_reach: "≥ 0.8",
        },
        Target {
            what: "CPU seconds per GB, CT, 1 association",
            against: "DCMTK storescp",
            reached: dearer(1),
            to_reach: "≤ 1.0",
        },
        Target {
            what: "CPU seconds per GB, CT, 4 associations",
            against: "DCMTK storescp",
            reached: dearer(4),
            to_reach: "≤ 1.0",
        },
        Target {
            what: "the same, 1 association",
            against: "DCMTK storescp, with SHA-256 and AES-256-GCM of the library on top",
            reached: beside_sealing(1),
            to_reach: "≤ 1.5",
        },
        Target {
            what: "the same, 4 associations",
            against: "DCMTK storescp, with SHA-256 and AES-256-GCM of the library on top",
            reached: beside_sealing(4),
            to_reach: "≤ 1.5",
        },
    ];
    let mut text = "| Figure of the box | Against | Ratio | To reach |\n|---|---|---|---|\n".to_owned();
    for Target { what, against, reached, to_reach } in rows {
        let reached = reached.map_or_else(|| "—".to_owned(), |ratio| format!("{ratio:.2}"));
        let _infallible = writeln!(text, "| {what} | {against} | {reached} | {to_reach} |");
    }
    text
}

/// The box's figure divided by another's.
fn ratio(cell: Option<&Cell>, name: &str, figure: fn(&Outcome) -> f64) -> Option<f64> {
    let ours = figure(cell?.median(Contender::Beeldbox.name())?);
    let theirs = figure(cell?.median(name)?);
    (theirs > 0.0).then_some(ours / theirs)
}

fn cell_table(cell: &Cell) -> String {
    let each = as_float(cell.bytes) / as_float(u64::try_from(cell.instances).unwrap_or(1).max(1)) / 1024.0;
    let mut text = format!(
        "\n**{} × {each:.0} KiB ({}), {} association{}**\n\n\
         | Receiver | MB/s | box ÷ it | CPU s/GB | box ÷ it | memory, MiB | p99, ms | run as |\n\
         |---|--:|--:|--:|--:|--:|--:|---|\n",
        cell.instances,
        cell.study.word(),
        cell.associations,
        if cell.associations == 1 { "" } else { "s" },
    );
    for row in &cell.rows {
        text.push_str(&line(cell, row));
    }
    text
}

fn line(cell: &Cell, row: &Row) -> String {
    let outcome = match &row.median {
        Ok(outcome) => outcome,
        Err(error) => {
            return format!("| {} | failed: {} | | | | | | |\n", row.name, error.replace('\n', " "));
        }
    };
    let of_box = |figure| {
        ratio(Some(cell), row.name, figure).map_or_else(|| "—".to_owned(), |ratio| format!("{ratio:.2}"))
    };
    let memory = match outcome.memory {
        0 => "—".to_owned(),
        bytes => format!("{:.0}", as_float(bytes) / MIB),
    };
    format!(
        "| {} | {:.0} | {} | {:.2} | {} | {memory} | {:.2} | {} |\n",
        row.name,
        outcome.rate() / 1e6,
        of_box(Outcome::rate),
        outcome.cpu_per_gb(),
        of_box(Outcome::cpu_per_gb),
        outcome.p99.as_secs_f64() * 1e3,
        row.manner,
    )
}

fn flush_table(results: &Results) -> String {
    let mut text = "\n**Flushes per instance (CT, under strace)**\n\n\
                    | Receiver | associations | flushes |\n|---|--:|--:|\n"
        .to_owned();
    for (contender, associations, counted) in &results.flushes {
        let counted = match counted {
            Ok(count) => format!("{count:.2}"),
            Err(error) => format!("failed: {error}"),
        };
        let _infallible = writeln!(text, "| {} | {associations} | {counted} |", contender.name());
    }
    text
}

fn foreign_table(results: &Results) -> String {
    let mut text =
        "\n**The CT study sent by DCMTK's senders, 1 association, start to end of the sender**\n\n\
                    | Sender | Receiver | MB/s |\n|---|---|--:|\n"
            .to_owned();
    for (sender, contender, rate) in &results.foreign {
        let rate = match rate {
            Ok(rate) => format!("{:.0}", rate / 1e6),
            Err(error) => format!("failed: {error}"),
        };
        let _infallible = writeln!(text, "| {sender} | {} | {rate} |", contender.name());
    }
    text
}

/// The same as one JSON value.
pub fn json(results: &Results, machine: &Machine) -> Value {
    let cells: Vec<Value> = results
        .cells
        .iter()
        .map(|cell| {
            json!({
                "study": cell.study.word(),
                "associations": cell.associations,
                "instances": cell.instances,
                "bytes": cell.bytes,
                "rows": cell.rows.iter().map(row_json).collect::<Vec<_>>(),
            })
        })
        .collect();
    let flushes: Vec<Value> = results
        .flushes
        .iter()
        .map(|(contender, associations, counted)| {
            json!({
                "receiver": contender.name(),
                "associations": associations,
                "per_instance": counted.as_ref().ok(),
                "failed": counted.as_ref().err(),
            })
        })
        .collect();
    let foreign: Vec<Value> = results
        .foreign
        .iter()
        .map(|(sender, contender, rate)| {
            json!({
                "sender": sender,
                "receiver": contender.name(),
                "bytes_per_second": rate.as_ref().ok(),
                "failed": rate.as_ref().err(),
            })
        })
        .collect();
    json!({ "machine": machine.to_string(), "repeats": results.repeats, "cells": cells, "flushes": flushes, "foreign_senders": foreign,
        "sealing_cpu_seconds_per_gb": 1e9 / results.sealing.bound() })
}

fn row_json(row: &Row) -> Value {
    match &row.median {
        Err(error) => json!({ "receiver": row.name, "failed": error }),
        Ok(outcome) => json!({
            "receiver": row.name,
            "run_as": row.manner,
            "bytes_per_second": outcome.rate(),
            "cpu_seconds_per_gb": outcome.cpu_per_gb(),
            "sender_cpu_seconds_per_gb": outcome.sender_cpu_per_gb(),
            "peak_memory_bytes": outcome.memory,
            "p99_seconds": outcome.p99.as_secs_f64(),
        }),
    }
}

/// Puts the tables into a document, between its markers.
///
/// # Errors
/// If the document has no markers, or cannot be written.
pub fn write_into(document: &Path, tables: &str) -> Result<()> {
    let text = std::fs::read_to_string(document)?;
    std::fs::write(document, replaced(&text, tables)?)?;
    Ok(())
}

fn replaced(text: &str, tables: &str) -> Result<String> {
    let (before, rest) = text.split_once(BEGIN).context("the document has no marker before its results")?;
    let (_, after) = rest.split_once(END).context("the document has no marker after its results")?;
    Ok(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", tables.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_markers_is_replaced() {
        let text = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let once = replaced(&text, "new").unwrap();
        assert_eq!(once, format!("before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"));
        assert_eq!(replaced(&once, "new").unwrap(), once);
        assert!(replaced("no markers", "new").is_err());
    }
}
