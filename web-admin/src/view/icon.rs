//! Small drawings, put into the page itself: they need no request and take the colour of the text.

use std::fmt;

use askama::filters::HtmlSafe;

/// One drawing of 16 by 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Icon {
    /// It is well.
    Check,
    /// It is on its way.
    Arrow,
    /// It comes in.
    Incoming,
    /// It waits.
    Clock,
    /// Look here.
    Warning,
    /// It stands still or was refused.
    Stop,
    /// It is over.
    Done,
    /// Verified.
    Shield,
    /// Nothing here.
    Empty,
    /// A favourite.
    Star,
}

impl Icon {
    fn path(self) -> &'static str {
        match self {
            Icon::Check => "M3 8.5l3.2 3.2L13 4.8",
            Icon::Arrow => "M2.5 8h10M9 4.5L12.5 8 9 11.5",
            Icon::Incoming => "M8 2.5v8M4.5 7.5L8 11l3.5-3.5M3 13.5h10",
            Icon::Clock => "M8 2.2a5.8 5.8 0 1 0 0 11.6A5.8 5.8 0 0 0 8 2.2zM8 5v3.2l2.2 1.6",
            Icon::Warning => "M8 2.3L14.4 13.5H1.6zM8 6.4v3.4M8 11.4v.4",
            Icon::Stop => "M5.3 2h5.4L14 5.3v5.4L10.7 14H5.3L2 10.7V5.3zM5.5 8h5",
            Icon::Done => "M2 8.5l2.8 2.9L11 5M7.5 11.4l.4.4L14 5.4",
            Icon::Shield => {
                "M8 1.8l5.2 2v4c0 3.2-2.2 5.4-5.2 6.4-3-1-5.2-3.2-5.2-6.4v-4zM5.6 8l1.8 1.8 3.2-3.4"
            }
            Icon::Star => "M8 1.9l1.9 4 4.3.5-3.2 3 .9 4.3L8 11.6l-3.9 2.1.9-4.3-3.2-3 4.3-.5z",
            Icon::Empty => "M2.5 9.5l2-6h7l2 6v4h-11zM2.5 9.5h3.4l.8 1.6h2.6l.8-1.6h3.4",
        }
    }
}

impl fmt::Display for Icon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            r#"<svg class="icon" viewBox="0 0 16 16" aria-hidden="true"><path d="{}"/></svg>"#,
            self.path()
        )
    }
}

/// Made of constants only.
impl HtmlSafe for Icon {}
