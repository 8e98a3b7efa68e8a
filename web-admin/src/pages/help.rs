//! "Hulp": what each screen is for, on one page that needs no network but the box.

use askama::Template;
use axum::response::Response;

use crate::view::frame::{Frame, Place};
use crate::view::icon::Icon;
use crate::visit::{self, Visit};

#[derive(Template)]
#[template(path = "page/help.html")]
struct HelpPage {
    frame: Frame,
    topics: Vec<Topic>,
}

/// One screen.
struct Topic {
    id: &'static str,
    title: String,
    text: String,
}

/// In the order of the menu; the first part is the anchor that a screen links to.
const TOPICS: [(&str, &str, &str); 9] = [
    ("send", "frame.send", "help.send"),
    ("sent", "frame.sent", "help.sent"),
    ("inbox", "frame.inbox", "help.inbox"),
    ("requests", "request.title", "help.requests"),
    ("status", "frame.status", "help.status"),
    ("account", "account.profile", "help.account"),
    ("admin", "frame.admin", "help.admin"),
    ("audit", "frame.audit", "help.audit"),
    ("keys", "help.keys-title", "help.keys"),
];

/// `GET /help`.
pub async fn page(visit: Visit) -> Response {
    let words = visit.words;
    let topics = TOPICS.map(|(id, title, text)| Topic { id, title: words.t(title), text: words.t(text) });
    let frame = visit.frame("help.title", Place::Elsewhere).await;
    visit::page(&HelpPage { frame, topics: topics.into() })
}
