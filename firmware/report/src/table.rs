//! Tables: columns as wide as they need to be, heads that come again on every page, rows that stay together.

use beeldbox_protocol::structured_report::Table;

use crate::face::Style;
use crate::flow::{Flow, Ink, LEFT, Mark, RIGHT};

/// More columns than this do not fit beside each other; a row is then set as a list.
const MOST_COLUMNS: usize = 9;
/// Between columns.
const GAP: f32 = 9.0;
/// Above and below the text of a row.
const PADDING: f32 = 2.2;
const CELL: Style = Style::regular(9.0);
const HEAD: Style = Style::bold(9.0);

/// Sets a table.
pub(crate) fn set(flow: &mut Flow<'_>, table: &Table) {
    if let Some(caption) = table.caption.as_ref().filter(|caption| !caption.is_empty()) {
        flow.room(CELL.leading() * 4.0);
        flow.text(LEFT, RIGHT - LEFT, caption.reveal(), Style::bold(9.5), Ink::Black);
        flow.skip(2.0);
    }
    if table.columns.len() > MOST_COLUMNS {
        return list(flow, table);
    }
    let columns = columns(flow, table);
    let head: Vec<&str> = table.columns.iter().map(|name| name.reveal()).collect();
    let has_head = head.iter().any(|name| !name.is_empty());
    if has_head {
        flow.room((HEAD.leading() + 2.0 * PADDING) * 3.0);
        row(flow, &columns, &head, HEAD);
    }
    for cells in &table.rows {
        let cells: Vec<&str> = cells.iter().map(|cell| cell.reveal()).collect();
        let height = height(flow, &columns, &cells);
        // A row that is higher than a third of the page may be parted.
        if flow.room(height.min(250.0)) && has_head {
            row(flow, &columns, &head, HEAD);
        }
        row(flow, &columns, &cells, CELL);
    }
    flow.skip(8.0);
}

/// Each row as `name: value` in lines.
fn list(flow: &mut Flow<'_>, table: &Table) {
    for cells in &table.rows {
        let pairs = table.columns.iter().zip(cells).filter(|(_, cell)| !cell.is_empty());
        let pairs: Vec<String> =
            pairs.map(|(name, cell)| format!("{}: {}", name.reveal(), cell.reveal())).collect();
        flow.text(LEFT, RIGHT - LEFT, &pairs.join("; "), CELL, Ink::Black);
        flow.skip(3.0);
    }
    flow.skip(5.0);
}

/// Place and width of each column: as wide as its widest cell, and if that is too much, those that are wider than their
/// share give way.
fn columns(flow: &Flow<'_>, table: &Table) -> Vec<(f32, f32)> {
    let count = table.columns.len();
    let mut widest: Vec<f32> = table.columns.iter().map(|name| natural(flow, name.reveal(), HEAD)).collect();
    for cells in &table.rows {
        for (width, cell) in widest.iter_mut().zip(cells) {
            *width = width.max(natural(flow, cell.reveal(), CELL));
        }
    }
    let gaps = GAP * f32::from(u16::try_from(count).unwrap_or(u16::MAX));
    let (mut room, mut open) = (RIGHT - LEFT - gaps, count);
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|one, other| widest[*one].total_cmp(&widest[*other]));
    for at in order {
        let share = room / f32::from(u16::try_from(open).unwrap_or(u16::MAX).max(1));
        widest[at] = widest[at].min(share);
        room -= widest[at];
        open -= 1;
    }
    let mut x = LEFT + GAP / 2.0;
    let mut place = |width: f32| {
        let at = x;
        x += width + GAP;
        (at, width)
    };
    widest.into_iter().map(&mut place).collect()
}

fn natural(flow: &Flow<'_>, text: &str, style: Style) -> f32 {
    let widths = text.lines().map(|line| flow.faces.width(&flow.faces.settable(line), style));
    // A little more than measured, so that rounding does not break a line.
    widths.fold(0.0, f32::max) + 0.5
}

fn lines(flow: &Flow<'_>, columns: &[(f32, f32)], cells: &[&str], style: Style) -> Vec<Vec<String>> {
    let cell = |((_, width), text): (&(f32, f32), &&str)| {
        let lines = text.lines().map(|line| flow.faces.settable(line));
        lines.flat_map(|line| flow.faces.lines(&line, *width, style)).collect()
    };
    columns.iter().zip(cells).map(cell).collect()
}

fn height(flow: &Flow<'_>, columns: &[(f32, f32)], cells: &[&str]) -> f32 {
    let most = lines(flow, columns, cells, CELL).iter().map(Vec::len).max().unwrap_or(1);
    CELL.leading() * f32::from(u16::try_from(most).unwrap_or(u16::MAX)) + 2.0 * PADDING
}

/// Sets one row, line by line.
fn row(flow: &mut Flow<'_>, columns: &[(f32, f32)], cells: &[&str], style: Style) {
    let cells = lines(flow, columns, cells, style);
    let most = cells.iter().map(Vec::len).max().unwrap_or(0);
    if style == HEAD {
        let height = HEAD.leading() * f32::from(u16::try_from(most).unwrap_or(u16::MAX)) + PADDING;
        let (y, width) = (flow.place(), RIGHT - LEFT);
        flow.mark(Mark::Fill { x: LEFT, y, width, height: height + PADDING, ink: Ink::Pale });
    }
    flow.skip(PADDING);
    for at in 0..most {
        flow.room(style.leading());
        let pieces = columns.iter().zip(&cells);
        let pieces: Vec<(f32, &str)> =
            pieces.filter_map(|((x, _), lines)| lines.get(at).map(|line| (*x, line.as_str()))).collect();
        flow.line(&pieces, style, Ink::Black);
    }
    flow.skip(PADDING);
    let (y, width) = (flow.place(), RIGHT - LEFT);
    flow.mark(Mark::Fill { x: LEFT, y, width, height: 0.4, ink: Ink::Light });
}
