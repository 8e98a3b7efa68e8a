//! Lines, one below the other, over as many pages as it takes.
//!
//! Places are in points from the top left of an A4 page. What is set is a list of marks, so that a test can look at it.

use crate::face::{Faces, Style};

/// A4, in points.
pub(crate) const WIDTH: f32 = 595.28;
pub(crate) const HEIGHT: f32 = 841.89;
/// Twenty millimetres at each side.
pub(crate) const LEFT: f32 = 56.7;
pub(crate) const RIGHT: f32 = WIDTH - LEFT;
const TOP: f32 = 51.0;
/// Below it stands the foot of the page.
const BOTTOM: f32 = HEIGHT - 68.0;

/// How dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    /// Text.
    Black,
    /// Labels, the foot.
    Grey,
    /// Behind the head of a table.
    Pale,
    /// Between the rows of a table.
    Light,
    /// What must be seen: a report that is not final.
    Warning,
}

/// Something on a page.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Mark {
    /// A line of settable text; `y` is its base line.
    Text { x: f32, y: f32, text: String, style: Style, ink: Ink },
    /// A filled rectangle; a rule is a thin one.
    Fill { x: f32, y: f32, width: f32, height: f32, ink: Ink },
}

/// One page.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Page {
    pub(crate) marks: Vec<Mark>,
}

/// What stands at the top of every page but the first.
pub(crate) struct Running {
    /// Who the patient is.
    pub(crate) patient: String,
    /// What must be seen, if anything.
    pub(crate) warning: Option<String>,
}

/// Pages being filled.
pub(crate) struct Flow<'a> {
    pub(crate) faces: &'a Faces,
    running: Running,
    pages: Vec<Page>,
    /// Where the next line begins, from the top of the page.
    y: f32,
}

impl<'a> Flow<'a> {
    pub(crate) fn new(faces: &'a Faces, running: Running) -> Self {
        Flow { faces, running, pages: vec![Page::default()], y: TOP }
    }

    pub(crate) fn finish(self) -> Vec<Page> {
        self.pages
    }

    pub(crate) fn mark(&mut self, mark: Mark) {
        if let Some(page) = self.pages.last_mut() {
            page.marks.push(mark);
        }
    }

    /// Makes sure that so much fits on this page; gives whether a new one was begun. What is higher than a page gets a
    /// new page if anything stands on this one.
    pub(crate) fn room(&mut self, height: f32) -> bool {
        let is_full = self.y + height > BOTTOM;
        let is_fresh = self.y <= TOP + 40.0;
        if is_full && !is_fresh {
            self.begin_page();
        }
        is_full && !is_fresh
    }

    fn begin_page(&mut self) {
        self.pages.push(Page::default());
        self.y = TOP;
        let (style, bold) = (Style::regular(8.5), Style::bold(8.5));
        let patient = self.running.patient.clone();
        let mut width = RIGHT - LEFT;
        if let Some(text) = self.running.warning.clone() {
            let (x, y) = (RIGHT - self.faces.width(&text, bold), self.y + bold.size);
            self.mark(Mark::Text { x, y, text, style: bold, ink: Ink::Warning });
            width = x - 12.0 - LEFT;
        }
        for line in self.faces.lines(&patient, width, style) {
            self.line(&[(LEFT, &line)], style, Ink::Grey);
        }
        self.rule();
        self.skip(10.0);
    }

    /// Leaves room, unless the page has just begun.
    pub(crate) fn skip(&mut self, height: f32) {
        self.y = (self.y + height).min(BOTTOM);
    }

    /// A thin line over the width of the page.
    pub(crate) fn rule(&mut self) {
        let y = self.y + 2.0;
        self.mark(Mark::Fill { x: LEFT, y, width: RIGHT - LEFT, height: 0.6, ink: Ink::Grey });
        self.y = y + 2.0;
    }

    /// Sets text in a column, wrapped, over pages if it must be.
    pub(crate) fn text(&mut self, x: f32, width: f32, text: &str, style: Style, ink: Ink) {
        let settable = self.faces.settable(text);
        for line in self.faces.lines(&settable, width, style) {
            self.room(style.leading());
            self.line(&[(x, &line)], style, ink);
        }
    }

    /// Sets pieces of settable text beside each other on one line, which fits.
    pub(crate) fn line(&mut self, pieces: &[(f32, &str)], style: Style, ink: Ink) {
        let y = self.y + style.size;
        for (x, text) in pieces.iter().filter(|(_, text)| !text.is_empty()) {
            self.mark(Mark::Text { x: *x, y, text: (*text).to_owned(), style, ink });
        }
        self.y += style.leading();
    }

    /// Where the next line begins.
    pub(crate) fn place(&self) -> f32 {
        self.y
    }

    /// Goes back up on the same page, to set a column beside another one.
    pub(crate) fn go_to(&mut self, y: f32) {
        self.y = y;
    }

    /// How many pages there are.
    pub(crate) fn page_count(&self) -> usize {
        self.pages.len()
    }
}
