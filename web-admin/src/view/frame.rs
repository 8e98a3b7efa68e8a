//! The frame around every page: name of the box, the ways to go, how the box is, language, who is signed in.

use beeldbox_protocol::admin::Status;

use crate::assets::Assets;
use crate::lang::{Lang, Words};
use crate::roles::{Role, Roles};
use crate::view::icon::Icon;

/// The pages in the menu.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// To send.
    Send,
    /// Sent.
    Sent,
    /// Received.
    Inbox,
    /// Images asked for.
    Requests,
    /// Looking after the box.
    Admin,
    /// How the box is.
    Status,
    /// Not in the menu.
    Elsewhere,
}

/// What the layout prints.
pub struct Frame {
    /// Words of the reader's language.
    pub words: Words,
    /// Title of the page; never patient data.
    pub title: String,
    /// Which entry of the menu is this one.
    pub place: Place,
    /// The hospital.
    pub hospital: String,
    /// Who is signed in; nobody on the first page.
    pub account: Option<String>,
    /// What he or she may do.
    pub roles: Roles,
    /// Path of this page, for the switch of language.
    pub path: String,
    /// Counts in the menu, when the daemon told them.
    pub counts: Option<Counts>,
    /// How the box is.
    pub health: Health,
    /// Bars that are only there when needed.
    pub bars: Vec<String>,
    /// A sentence left by the page before.
    pub notice: Option<String>,
    /// Version of the firmware.
    pub version: String,
    /// Names of style sheet and scripts.
    pub assets: &'static Assets,
    /// Whether the page follows the box live.
    pub is_live: bool,
}

/// Numbers beside the entries of the menu.
#[derive(Debug, Clone, Copy)]
pub struct Counts {
    /// Studies that wait for an addressee.
    pub send: u32,
    /// Transfers under way.
    pub sent: u32,
    /// Received studies that wait.
    pub inbox: u32,
    /// Requests of other hospitals that wait.
    pub requests: u32,
}

/// How the box is, in a word.
#[derive(Debug, Clone)]
pub struct Health {
    /// Class of the style sheet.
    pub tone: &'static str,
    /// The drawing.
    pub icon: Icon,
    /// The word.
    pub word: String,
}

impl Frame {
    /// Whether this entry of the menu is the page itself.
    pub fn is_at(&self, place: Place) -> bool {
        self.place == place
    }

    /// Where the help on this page begins.
    pub fn help(&self) -> &'static str {
        match self.place {
            Place::Send => "send",
            Place::Sent => "sent",
            Place::Inbox => "inbox",
            Place::Requests => "requests",
            Place::Admin => "admin",
            Place::Status => "status",
            Place::Elsewhere => "account",
        }
    }

    /// Whether the reader sends studies.
    pub fn may_send(&self) -> bool {
        self.roles.has(Role::Technician)
    }

    /// Whether the reader imports what was received.
    pub fn may_import(&self) -> bool {
        self.roles.has(Role::Importer)
    }

    /// Whether the reader asks for images.
    pub fn may_ask(&self) -> bool {
        self.may_send() || self.may_import()
    }

    /// Whether the reader looks after the box.
    pub fn may_administer(&self) -> bool {
        self.roles.has(Role::Administrator)
    }

    /// Whether the reader reads the audit log.
    pub fn may_audit(&self) -> bool {
        self.may_administer() || self.roles.has(Role::Auditor)
    }

    /// The language that the switch offers.
    pub fn other(&self) -> Lang {
        self.words.lang().other()
    }
}

/// How the box is; `None` when the daemon does not answer.
pub fn health(status: Option<&Status>, words: Words) -> Health {
    match status {
        None => Health { tone: "bad", icon: Icon::Stop, word: words.t("frame.out-of-order") },
        Some(status) if troubles(status) > 0 => {
            Health { tone: "wait", icon: Icon::Warning, word: words.t("frame.needs-attention") }
        }
        Some(_) => Health { tone: "good", icon: Icon::Check, word: words.t("frame.all-well") },
    }
}

/// How many things ask for attention.
pub fn troubles(status: &Status) -> u64 {
    [
        status.portal.trouble.is_some(),
        status.pacs.trouble.is_some(),
        status.is_full || status.damaged > 0,
        status.held > 0,
        status.certificates_valid_until.is_none(),
    ]
    .into_iter()
    .map(u64::from)
    .sum()
}

/// The bars above the content.
pub fn bars(status: Option<&Status>, words: Words) -> Vec<String> {
    let Some(status) = status else { return Vec::new() };
    let mut bars = Vec::new();
    if status.is_full {
        bars.push(words.t("frame.disk-full"));
    }
    if status.portal.trouble.is_some() {
        bars.push(words.t("frame.portal-trouble"));
    }
    bars
}
