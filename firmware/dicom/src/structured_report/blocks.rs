//! From the content tree to blocks: containers become sections, measurements beside each other a table, irradiation events
//! of a dose report one table with a row each.
//!
//! Labels are those of the report. What is not set: UIDs, coordinates, and the language of the content.

use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::structured_report::{
    Block, ReferencedImage, ReferencedImages, StructuredReport, Table,
};

use super::tree::{Code, Node, Root};

/// Columns of measurements.
const COLUMNS: [&str; 4] = ["Meting", "Waarde", "Eenheid", "Toelichting"];
/// Language and country of the content (TID 1204): said by the content itself.
const LANGUAGE: [&str; 2] = ["121049", "121046"];
/// Who observes (TID 1002): names of persons and devices, which stand at the top.
const OBSERVERS: [&str; 2] = ["121008", "121013"];
/// What kind of observer it is: said by the name.
const OBSERVER_TYPE: &str = "121005";

/// Containers of irradiation events, and what of them is set: CT (TID 10013) and projection X-ray (TID 10003). Eight
/// columns and a number fit on a page.
const EVENTS: [(&str, [&str; 8]); 2] = [
    // Protocol, region, type, mean CTDIvol, DLP, scanning length, kVp, tube current.
    ("113819", ["125203", "123014", "113820", "113830", "113838", "113825", "113733", "113734"]),
    // Start, protocol, type, dose area product, dose at the reference point, kVp, tube current, exposure time.
    ("113706", ["111526", "125203", "113721", "122130", "113738", "113733", "113734", "113824"]),
];

pub(super) fn report(root: &Root) -> StructuredReport {
    let (mut observers, mut children) = (Vec::new(), Vec::new());
    for child in &root.node.children {
        match observer(child) {
            Some(name) => observers.push(Confidential::new(name)),
            None => children.push(child),
        }
    }
    let time = root.time.split('.').next().unwrap_or_default();
    let made_at = format!("{}{time}", root.date);
    StructuredReport {
        title: Confidential::new(root.node.name.label()),
        completion: root.completion,
        verification: root.verification,
        observers,
        verified_by: root.verifying.iter().map(|name| Confidential::new(person(name))).collect(),
        made_at: (root.date.len() == 8).then_some(made_at),
        blocks: blocks(&children),
    }
}

/// The name of an observer, if this item is one.
fn observer(node: &Node) -> Option<String> {
    let is_context = node.relationship == "HAS OBS CONTEXT";
    (is_context && OBSERVERS.iter().any(|code| node.name.is_dcm(code))).then(|| value(node))
}

fn blocks(children: &[&Node]) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut rest = children;
    while let [first, behind @ ..] = rest {
        let run = 1 + behind.iter().take_while(|node| goes_with(first, node)).count();
        let (together, others) = rest.split_at(run);
        match first.kind.as_str() {
            "NUM" => measurements(together, &mut blocks),
            "CONTAINER" if event_columns(first).is_some() => events(together, &mut blocks),
            "CONTAINER" => blocks.push(section(first)),
            "IMAGE" | "COMPOSITE" | "WAVEFORM" => blocks.push(images(together)),
            _ => leaf(first, &mut blocks),
        }
        rest = others;
    }
    blocks
}

/// Whether two items that follow each other are set together.
fn goes_with(first: &Node, next: &Node) -> bool {
    let same_name = first.name.value == next.name.value;
    match first.kind.as_str() {
        "NUM" => next.kind == "NUM",
        "CONTAINER" => next.kind == "CONTAINER" && event_columns(first).is_some() && same_name,
        "IMAGE" | "COMPOSITE" | "WAVEFORM" => next.kind == first.kind && same_name,
        _ => false,
    }
}

fn section(node: &Node) -> Block {
    let children: Vec<&Node> = node.children.iter().collect();
    Block::Section { heading: Confidential::new(node.name.label()), blocks: blocks(&children) }
}

/// Text, code, date, name: its label and value, then what hangs below it.
fn leaf(node: &Node, blocks: &mut Vec<Block>) {
    let is_silent = matches!(node.kind.as_str(), "UIDREF" | "SCOORD" | "SCOORD3D" | "TCOORD" | "")
        || LANGUAGE.iter().any(|code| node.name.is_dcm(code))
        || node.name.is_dcm(OBSERVER_TYPE);
    let value = value(node);
    if !is_silent && !value.is_empty() {
        let label = Some(Confidential::new(node.name.label())).filter(|label| !label.is_empty());
        blocks.push(Block::Text { label, text: Confidential::new(value) });
    }
    let children: Vec<&Node> = node.children.iter().collect();
    blocks.extend(self::blocks(&children));
}

/// The value of a leaf, as a person reads it.
fn value(node: &Node) -> String {
    match node.kind.as_str() {
        "CODE" => node.code.label().to_owned(),
        "NUM" => number(node),
        "PNAME" => person(&node.text),
        "DATE" | "DATETIME" => date(&node.text),
        "TIME" => time(&node.text),
        _ => node.text.clone(),
    }
}

/// A number with its unit; the qualifier stands for one that is missing.
fn number(node: &Node) -> String {
    let number = if node.number.is_empty() { node.code.label() } else { &node.number };
    format!("{number} {}", unit(&node.unit)).trim().to_owned()
}

/// UCUM as it is written, without what says that there is no unit.
fn unit(code: &Code) -> &str {
    match code.value.as_str() {
        "1" | "{no unit}" | "{no units}" => "",
        _ if code.scheme == "UCUM" => &code.value,
        _ => code.label(),
    }
}

/// `family^given^middle^prefix^suffix` as a person reads it; of several spellings the first.
fn person(name: &str) -> String {
    let spelling = name.split('=').find(|spelling| !spelling.trim().is_empty()).unwrap_or_default();
    let parts: Vec<&str> = spelling.split('^').map(str::trim).collect();
    let part = |at: usize| parts.get(at).copied().unwrap_or_default();
    let read = [part(3), part(1), part(2), part(0), part(4)];
    read.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

fn date(text: &str) -> String {
    match (text.get(..4), text.get(4..6), text.get(6..8), text.get(8..)) {
        (Some(year), Some(month), Some(day), rest) => {
            let time = time(rest.unwrap_or_default());
            format!("{day}-{month}-{year} {time}").trim().to_owned()
        }
        _ => text.to_owned(),
    }
}

fn time(text: &str) -> String {
    match (text.get(..2), text.get(2..4)) {
        (Some(hour), Some(minute)) => format!("{hour}:{minute}"),
        _ => text.to_owned(),
    }
}

/// Measurements beside each other: a row for each; what is below one explains it, images stand below the table.
fn measurements(nodes: &[&Node], blocks: &mut Vec<Block>) {
    let mut seen: Vec<ReferencedImage> = Vec::new();
    let rows = nodes.iter().map(|node| {
        let number = if node.number.is_empty() { node.code.label() } else { &node.number };
        let mut remarks = Vec::new();
        for child in &node.children {
            explain(child, &mut remarks, &mut seen);
        }
        let cells = [node.name.label(), number, unit(&node.unit), &remarks.join("; ")];
        cells.map(Confidential::new).to_vec()
    });
    let rows: Vec<Vec<Confidential>> = rows.collect();
    let columns = COLUMNS.map(Confidential::new).to_vec();
    blocks.push(Block::Table(without_empty_columns(Table { caption: None, columns, rows })));
    if !seen.is_empty() {
        blocks.push(Block::Images(ReferencedImages { label: None, images: seen }));
    }
}

/// What is below a measurement, in words, and the images it was made on.
fn explain(node: &Node, remarks: &mut Vec<String>, images: &mut Vec<ReferencedImage>) {
    for image in &node.images {
        if !images.contains(image) {
            images.push(image.clone());
        }
    }
    let is_silent =
        matches!(node.kind.as_str(), "UIDREF" | "IMAGE" | "SCOORD" | "SCOORD3D" | "TCOORD" | "COMPOSITE");
    let value = value(node);
    if !is_silent && !value.is_empty() {
        remarks.push(format!("{}: {value}", node.name.label()));
    }
    for child in &node.children {
        explain(child, remarks, images);
    }
}

fn images(nodes: &[&Node]) -> Block {
    let label = nodes.first().map(|node| node.name.label()).filter(|label| !label.is_empty());
    let images = nodes.iter().flat_map(|node| node.images.clone()).collect();
    Block::Images(ReferencedImages { label: label.map(Confidential::new), images })
}

/// Which columns the events of this kind have.
fn event_columns(node: &Node) -> Option<&'static [&'static str]> {
    EVENTS.iter().find(|(code, _)| node.name.is_dcm(code)).map(|(_, columns)| columns.as_slice())
}

/// Irradiation events: a row for each, in their order.
fn events(nodes: &[&Node], blocks: &mut Vec<Block>) {
    let Some(codes) = nodes.first().and_then(|node| event_columns(node)) else { return };
    let cells: Vec<Vec<Option<&Node>>> =
        nodes.iter().map(|node| codes.iter().map(|code| below(node, code)).collect()).collect();
    let column = |at: usize| cells.iter().find_map(|row| row.get(at).copied().flatten());
    let mut columns = vec![Confidential::new("Nr")];
    columns.extend((0..codes.len()).map(|at| {
        Confidential::new(column(at).map_or_else(String::new, |node| match unit(&node.unit) {
            "" => node.name.label().to_owned(),
            unit => format!("{} ({unit})", node.name.label()),
        }))
    }));
    let rows = cells.iter().enumerate().map(|(number, row)| {
        let mut cells = vec![Confidential::new((number + 1).to_string())];
        cells.extend(row.iter().enumerate().map(|(at, node)| {
            let same_unit = column(at).zip(*node).is_some_and(|(first, node)| first.unit == node.unit);
            Confidential::new(match node {
                Some(node) if node.kind == "NUM" && same_unit && !node.number.is_empty() => {
                    node.number.clone()
                }
                Some(node) => value(node),
                None => String::new(),
            })
        }));
        cells
    });
    let table = Table {
        caption: nodes.first().map(|node| Confidential::new(node.name.label())),
        columns,
        rows: rows.collect(),
    };
    blocks.push(Block::Table(without_empty_columns(table)));
    let shown: usize = cells.iter().flatten().filter(|cell| cell.is_some()).count();
    let all: usize = nodes.iter().map(|node| leaves(node)).sum();
    let left = all.saturating_sub(shown);
    if left > 0 {
        let text =
            format!("Van deze bestralingen staan nog {left} gegevens in het oorspronkelijke DICOM-rapport.");
        blocks.push(Block::Text { label: None, text: Confidential::new(text) });
    }
}

/// The first item below this one with this name.
fn below<'a>(node: &'a Node, code: &str) -> Option<&'a Node> {
    node.children
        .iter()
        .find_map(|child| if child.name.is_dcm(code) { Some(child) } else { below(child, code) })
}

/// How many values hang below.
fn leaves(node: &Node) -> usize {
    let below: usize = node.children.iter().map(leaves).sum();
    below + usize::from(node.kind != "CONTAINER" && !value(node).is_empty())
}

fn without_empty_columns(table: Table) -> Table {
    let is_used = |at: usize| table.rows.iter().any(|row| row.get(at).is_some_and(|cell| !cell.is_empty()));
    let used: Vec<usize> = (0..table.columns.len()).filter(|at| is_used(*at)).collect();
    let kept = |cells: &[Confidential]| used.iter().filter_map(|at| cells.get(*at).cloned()).collect();
    Table {
        caption: table.caption.clone(),
        columns: kept(&table.columns),
        rows: table.rows.iter().map(|row| kept(row)).collect(),
    }
}
