//! What stands where: the letterhead, who and what the report is about, what it says, the foot of each page.

use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::structured_report::{Block, ReferencedImages};

use crate::document::ReportDocument;
use crate::face::{Faces, Style};
use crate::flow::{Flow, HEIGHT, Ink, LEFT, Mark, Page, RIGHT, Running};
use crate::table;
use crate::words;

/// Text of the report.
const BODY: Style = Style::regular(10.0);
const FOOT: Style = Style::regular(8.0);
/// Deepest level of headings that is told apart, and of blocks that is followed.
const DEEPEST: usize = 16;
/// Width of a character of a text that is set in columns, on the whole.
const COLUMN_LETTER: f32 = 5.2;

/// All pages.
pub(crate) fn pages(document: &ReportDocument, faces: &Faces) -> Vec<Page> {
    let warning = words::warning(document.status).map(|warning| faces.settable(warning));
    let running = Running { patient: faces.settable(&identity(document)), warning };
    let mut flow = Flow::new(faces, running);
    letterhead(&mut flow, document);
    particulars(&mut flow, document);
    title(&mut flow, document);
    blocks(&mut flow, &document.report.blocks, 0);
    let mut pages = flow.finish();
    feet(&mut pages, document, faces);
    pages
}

/// Who the patient is, in one line: what nobody may mix up.
fn identity(document: &ReportDocument) -> String {
    let patient = &document.patient;
    let mut parts = vec![name_of(&patient.name)];
    parts.extend(patient.birth_date.as_ref().map(|date| words::date(date.reveal())));
    parts.extend(patient.numbers.first().map(|number| number.number.reveal().to_owned()));
    parts.join("  ·  ")
}

fn name_of(text: &Confidential) -> String {
    if text.is_empty() { format!("{} {}", words::PATIENT, words::UNKNOWN) } else { text.reveal().to_owned() }
}

fn letterhead(flow: &mut Flow<'_>, document: &ReportDocument) {
    let half = (RIGHT - LEFT) * 0.62;
    flow.text(LEFT, half, &document.hospital, Style::bold(14.0), Ink::Black);
    if !document.department.is_empty() {
        flow.text(LEFT, half, &document.department, Style::regular(10.0), Ink::Grey);
    }
    flow.skip(3.0);
    flow.rule();
    if let Some(warning) = words::warning(document.status) {
        flow.skip(4.0);
        flow.text(LEFT, RIGHT - LEFT, warning, Style::bold(10.5), Ink::Warning);
    }
    flow.skip(6.0);
}

/// Name of the patient, and a block of labels and values: the patient at the left, the study and the report at the right.
fn particulars(flow: &mut Flow<'_>, document: &ReportDocument) {
    let (patient, study) = (&document.patient, &document.study);
    let name = name_of(&patient.name);
    flow.text(LEFT, RIGHT - LEFT, &name, Style::bold(11.0), Ink::Black);
    flow.skip(2.0);
    let mut left = Vec::new();
    let date = |date: Option<&str>| date.map_or_else(|| words::UNKNOWN.to_owned(), words::date);
    left.push((words::BORN.to_owned(), date(patient.birth_date.as_ref().map(|date| date.reveal()))));
    left.extend(patient.sex.as_ref().map(|sex| (words::SEX.to_owned(), words::sex(sex.reveal()).to_owned())));
    for number in &patient.numbers {
        let label = match number.issuer.as_str() {
            "" => words::NUMBER.to_owned(),
            "BSN" => "BSN".to_owned(),
            issuer => format!("{} {issuer}", words::NUMBER),
        };
        left.push((label, number.number.reveal().to_owned()));
    }
    let some = |label: &str, text: &Option<Confidential>| {
        text.as_ref().filter(|text| !text.is_empty()).map(|text| (label.to_owned(), text.reveal().to_owned()))
    };
    let mut right: Vec<(String, String)> = Vec::new();
    right.extend(some(words::STUDY, &study.description));
    right.extend(study.at.as_deref().map(|at| (words::STUDIED.to_owned(), words::date(at))));
    right.extend(some(words::ACCESSION, &study.accession_number));
    right.extend(some(words::REQUESTED_BY, &document.requested_by));
    right.extend(some(words::AUTHOR, &document.author));
    right.extend(document.reported_at.as_deref().map(|at| (words::REPORTED.to_owned(), words::date(at))));
    right.push((words::STATUS.to_owned(), words::status(document.status).to_owned()));

    let top = flow.place();
    let middle = LEFT + (RIGHT - LEFT) / 2.0 + 6.0;
    let bottom_left = pairs(flow, LEFT, middle - 16.0, &left);
    // What has run over the page stays above; the second column then begins below it.
    if flow.page_count() == 1 {
        flow.go_to(top);
    }
    let bottom_right = pairs(flow, middle, RIGHT, &right);
    flow.go_to(if flow.page_count() == 1 { bottom_left.max(bottom_right) } else { bottom_right });
    flow.skip(4.0);
    flow.rule();
}

/// Labels and values between two places; gives where they end.
fn pairs(flow: &mut Flow<'_>, from: f32, to: f32, pairs: &[(String, String)]) -> f32 {
    let (label_style, value_style) = (Style::regular(8.5), Style::regular(9.5));
    let widths = pairs.iter().map(|(label, _)| flow.faces.width(&flow.faces.settable(label), label_style));
    let label_width = widths.fold(0.0, f32::max).min((to - from) * 0.45);
    for (label, value) in pairs {
        flow.room(value_style.leading());
        let (y, page) = (flow.place(), flow.page_count());
        // On the base line of the value.
        flow.skip(value_style.size - label_style.size);
        flow.text(from, label_width + 1.0, label, label_style, Ink::Grey);
        let below_label = flow.place();
        if flow.page_count() == page {
            flow.go_to(y);
        }
        let x = from + label_width + 9.0;
        flow.text(x, to - x, value, value_style, Ink::Black);
        if flow.page_count() == page {
            flow.go_to(flow.place().max(below_label) + 1.0);
        }
    }
    flow.place()
}

fn title(flow: &mut Flow<'_>, document: &ReportDocument) {
    let report = &document.report;
    flow.skip(10.0);
    let title = if report.title.is_empty() { words::REPORT } else { report.title.reveal() };
    flow.text(LEFT, RIGHT - LEFT, title, Style::bold(13.0), Ink::Black);
    let people = [(words::OBSERVER, &report.observers), (words::VERIFIED_BY, &report.verified_by)];
    for (label, names) in people.into_iter().filter(|(_, names)| !names.is_empty()) {
        let names: Vec<&str> = names.iter().map(|name| name.reveal()).collect();
        flow.text(
            LEFT,
            RIGHT - LEFT,
            &format!("{label}: {}", names.join("; ")),
            Style::regular(9.0),
            Ink::Grey,
        );
    }
    flow.skip(5.0);
}

/// What the report says. What is nested deeper than anything real is set at the deepest level.
fn blocks(flow: &mut Flow<'_>, all: &[Block], depth: usize) {
    for block in all {
        match block {
            Block::Section { heading: name, blocks: inside } => {
                heading(flow, name.reveal(), depth);
                blocks(flow, inside, (depth + 1).min(DEEPEST));
            }
            Block::Text { label, text } => labelled(flow, label.as_ref(), text.reveal()),
            Block::Table(table) => table::set(flow, table),
            Block::Images(images) => referenced(flow, images),
        }
    }
}

fn heading(flow: &mut Flow<'_>, text: &str, depth: usize) {
    let style = match depth {
        0 => Style::bold(11.5),
        1 => Style::bold(10.5),
        _ => Style::bold(10.0),
    };
    flow.skip(6.0);
    // A heading does not stand alone at the end of a page.
    flow.room(style.leading() + 3.0 * BODY.leading());
    flow.text(LEFT, RIGHT - LEFT, text, style, Ink::Black);
    flow.skip(1.5);
}

fn labelled(flow: &mut Flow<'_>, label: Option<&Confidential>, text: &str) {
    let is_short = !text.contains('\n');
    match label.filter(|label| !label.is_empty()) {
        Some(label) if is_short => {
            let joined = format!("{}: {text}", label.reveal());
            flow.text(LEFT, RIGHT - LEFT, &joined, BODY, Ink::Black);
        }
        Some(label) => {
            flow.room(3.0 * BODY.leading());
            flow.text(LEFT, RIGHT - LEFT, label.reveal(), Style::bold(10.0), Ink::Black);
            paragraphs(flow, text);
        }
        None => paragraphs(flow, text),
    }
    flow.skip(4.0);
}

/// Lines as their author parted them. A line that is a heading is bold; what stands in columns stays in columns.
fn paragraphs(flow: &mut Flow<'_>, text: &str) {
    let mut empty = 0;
    for line in text.lines() {
        if line.trim().is_empty() {
            empty += 1;
            // Two are enough: the rest is how printers moved to the next form.
            if empty <= 2 {
                flow.skip(BODY.leading() * 0.6);
            }
            continue;
        }
        empty = 0;
        if is_heading(line) {
            flow.room(3.0 * BODY.leading());
            flow.text(LEFT, RIGHT - LEFT, line.trim(), Style::bold(10.0), Ink::Black);
        } else if !in_columns(flow, line) {
            let indent = line.len() - line.trim_start_matches(' ').len();
            let x = LEFT + (f32::from(u8::try_from(indent).unwrap_or(u8::MAX)) * 4.0).min(80.0);
            flow.text(x, RIGHT - x, line.trim_start_matches(' '), BODY, Ink::Black);
        }
    }
}

/// `CONCLUSIE`, `Bevindingen:`.
fn is_heading(line: &str) -> bool {
    let line = line.trim();
    let letters = || line.chars().filter(|letter| letter.is_alphabetic());
    let is_short = line.chars().count() <= 45;
    let is_capital = letters().count() >= 4 && letters().all(char::is_uppercase);
    let is_label = line.ends_with(':') && !line.contains(". ") && letters().count() >= 4;
    is_short && (is_capital || is_label)
}

/// Sets a line whose pieces are parted by several spaces or tabs, each piece at its place; `false` if it is no such line,
/// or does not fit.
fn in_columns(flow: &mut Flow<'_>, line: &str) -> bool {
    let line = line.replace('\t', "        ");
    let mut pieces: Vec<(f32, String)> = Vec::new();
    let mut end = LEFT;
    for (at, piece) in parted(&line) {
        let text = flow.faces.settable(piece);
        let column = f32::from(u8::try_from(at).unwrap_or(u8::MAX));
        let x = (LEFT + column * COLUMN_LETTER).max(if pieces.is_empty() { LEFT } else { end + 6.0 });
        end = x + flow.faces.width(&text, BODY);
        pieces.push((x, text));
    }
    if pieces.len() < 2 || end > RIGHT {
        return false;
    }
    flow.room(BODY.leading());
    let pieces: Vec<(f32, &str)> = pieces.iter().map(|(x, text)| (*x, text.as_str())).collect();
    flow.line(&pieces, BODY, Ink::Black);
    true
}

/// Pieces of a line between runs of at least two spaces, each with the number of characters before it.
fn parted(line: &str) -> Vec<(usize, &str)> {
    let mut pieces = Vec::new();
    let mut rest = line;
    let mut before = 0;
    while !rest.trim_start().is_empty() {
        let spaces = rest.len() - rest.trim_start().len();
        before += rest[..spaces].chars().count();
        rest = &rest[spaces..];
        let end = rest.find("  ").unwrap_or(rest.len());
        pieces.push((before, &rest[..end]));
        before += rest[..end].chars().count();
        rest = &rest[end..];
    }
    pieces
}

fn referenced(flow: &mut Flow<'_>, images: &ReferencedImages) {
    let frames = |count: usize| if count == 0 { String::new() } else { format!(" (frames: {count})") };
    let count = words::images(images.images.len());
    let total: usize = images.images.iter().map(|image| image.frames.len()).sum();
    let label = images.label.as_ref().map_or("", |label| label.reveal());
    let text = match label {
        "" => format!("{count}{}", frames(total)),
        label => format!("{label}: {count}{}", frames(total)),
    };
    flow.text(LEFT, RIGHT - LEFT, &text, BODY, Ink::Grey);
    flow.skip(4.0);
}

/// Where the report is from, and which page of how many.
fn feet(pages: &mut [Page], document: &ReportDocument, faces: &Faces) {
    let count = pages.len();
    let made = document.made_at.strftime("%d-%m-%Y %H:%M").to_string();
    let from = format!("Opgemaakt op {made} uit {}", words::source(document.source));
    let from = faces.settable(&from);
    for (at, page) in pages.iter_mut().enumerate() {
        let number = format!("pagina {} van {count}", at + 1);
        let x = RIGHT - faces.width(&number, FOOT);
        let y = HEIGHT - 42.0;
        let (rule, width) = (y - 12.0, RIGHT - LEFT);
        page.marks.push(Mark::Fill { x: LEFT, y: rule, width, height: 0.4, ink: Ink::Grey });
        page.marks.push(Mark::Text { x: LEFT, y, text: from.clone(), style: FOOT, ink: Ink::Grey });
        page.marks.push(Mark::Text { x, y, text: number, style: FOOT, ink: Ink::Grey });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_found_in_plain_text() {
        for line in ["CONCLUSIE", "Bevindingen:", "  VERSLAG CT THORAX:"] {
            assert!(is_heading(line), "{line}");
        }
        for line in ["Geen afwijkingen.", "CT", "a:", "Hart: normaal", "Zie boven. En ook dit:", "12-34:"] {
            assert!(!is_heading(line), "{line}");
        }
    }

    #[test]
    fn columns_are_parted_at_several_spaces() {
        assert_eq!(parted("Na      140   mmol/l"), [(0, "Na"), (8, "140"), (14, "mmol/l")]);
        assert_eq!(parted("  een twee"), [(2, "een twee")]);
        assert_eq!(parted("   "), []);
    }
}
