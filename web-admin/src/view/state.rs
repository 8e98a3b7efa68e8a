//! Where a transfer is: a word, a drawing and a colour; one sentence on what it waits for, since when, and who can act.

use beeldbox_protocol::admin::{DeclineCode, HoldCode, Situation, StateCode, WaitCode, WhoCode};
use jiff::Timestamp;

use crate::lang::Words;
use crate::view::date;
use crate::view::icon::Icon;

/// Which way a transfer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From this box.
    Out,
    /// To this box.
    In,
}

/// A situation in words.
#[derive(Debug, Clone)]
pub struct StateView {
    /// Class of the style sheet: `go`, `wait`, `good`, `ready`, `bad`, `quiet`.
    pub tone: &'static str,
    /// The drawing.
    pub icon: Icon,
    /// One or two words.
    pub word: String,
    /// The plain sentence: what it waits for.
    pub sentence: String,
    /// Since when, and when it is tried again.
    pub since: String,
    /// Who can act.
    pub who: String,
    /// How far it is.
    pub progress: Option<Progress>,
    /// How long it can still be undone.
    pub undo: Option<UndoView>,
}

/// How long something can still be undone.
#[derive(Debug, Clone)]
pub struct UndoView {
    /// Seconds from now; a script counts them down.
    pub seconds: i64,
    /// The moment, for those without scripts.
    pub until: String,
}

/// How far something is.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Settled.
    pub done: u32,
    /// Of how many.
    pub of: u32,
    /// In words.
    pub text: String,
    /// What the bar is called, for those who do not see it.
    pub label: String,
}

impl StateView {
    /// From what the daemon says.
    pub fn new(situation: &Situation, direction: Direction, now: Timestamp, words: Words) -> StateView {
        let look = look(situation.state, direction);
        let (mut tone, mut icon) = (look.tone, look.icon);
        let mut word = words.t(look.word);
        let mut sentence = vec![words.t(look.line)];
        let mut since_key = "state.since";
        let mut since_at = situation.since;
        if let Some(wait) = situation.waits_for {
            if let Some((short, line)) = wait_words(wait) {
                (tone, icon, word) = ("wait", Icon::Clock, words.t(short));
                sentence = vec![words.t(line)];
            }
            since_key = "state.wait-since";
            since_at = situation.waits_since.unwrap_or(situation.since);
        }
        if let Some(hold) = &situation.hold {
            sentence = vec![words.t(hold_line(hold))];
        }
        if let Some(whole) = proven(situation) {
            let numbers = [words.number(situation.done.into()), words.number(situation.of.into())];
            let counts = words.fill("sent.n-of-m", &[("done", &numbers[0]), ("of", &numbers[1])]);
            sentence.push(format!("{counts}."));
            if !whole {
                (tone, icon) = ("bad", Icon::Warning);
            }
        }
        if let Some(reason) = situation.declined {
            let reason = words.t(decline_word(reason));
            sentence.push(words.fill("state.declined-because", &[("reason", &reason)]));
        }
        if situation.is_partly_in_pacs {
            sentence.push(words.t("state.partly-in-pacs"));
        }
        if situation.is_overdue {
            sentence.push(words.t(match direction {
                Direction::Out => "state.overdue-out",
                Direction::In => "state.overdue-in",
            }));
        }
        let mut since = vec![words.fill(since_key, &[("when", &date::when_and_ago(since_at, now, words))])];
        if situation.attempts > 0 && situation.waits_for.is_some() {
            since.push(words.n("state.attempts", situation.attempts.into()));
        }
        if let Some(next) = situation.next_try_at {
            since.push(words.fill("state.next-try", &[("when", &date::when(next, now, words))]));
        }
        StateView {
            tone,
            icon,
            word,
            sentence: sentence.join(" "),
            since: since.join(" "),
            who: words.t(who_line(situation.who)),
            progress: progress(situation, words),
            undo: situation.undo_until.map(|until| UndoView {
                seconds: (until.as_second() - now.as_second()).max(0),
                until: words.fill("sent.undo-until", &[("time", &date::clock(until))]),
            }),
        }
    }
}

/// Whether every image is proven to have arrived; `None` where the state proves nothing about images.
fn proven(situation: &Situation) -> Option<bool> {
    let says_so = matches!(situation.state, StateCode::Fetched | StateCode::Delivered | StateCode::Reported);
    (says_so && situation.of > 0).then_some(situation.done >= situation.of)
}

/// A bar only where something moves, and where counting makes sense.
fn progress(situation: &Situation, words: Words) -> Option<Progress> {
    let moves = match situation.state {
        StateCode::Sending | StateCode::Fetching | StateCode::Delivering => true,
        StateCode::Collecting
        | StateCode::Queued
        | StateCode::Addressed
        | StateCode::Accepted
        | StateCode::Fetched
        | StateCode::Delivered
        | StateCode::Erased
        | StateCode::Announced
        | StateCode::Opened
        | StateCode::Reconciled
        | StateCode::Reported
        | StateCode::Held
        | StateCode::Recalled
        | StateCode::Declined
        | StateCode::Expired
        | StateCode::Failed => false,
    };
    let (done, of) = (situation.done.min(situation.of), situation.of);
    if !moves || of == 0 {
        return None;
    }
    let percent = u64::from(done) * 100 / u64::from(of);
    let numbers = [words.number(done.into()), words.number(of.into()), percent.to_string()];
    let [done_text, of_text, percent_text] = &numbers;
    let values = [("done", done_text.as_str()), ("of", of_text), ("percent", percent_text)];
    Some(Progress {
        done,
        of,
        text: words.fill("state.progress", &values),
        label: words.t("state.progress-label"),
    })
}

struct Look {
    tone: &'static str,
    icon: Icon,
    word: &'static str,
    line: &'static str,
}

fn look(state: StateCode, direction: Direction) -> Look {
    let is_out = direction == Direction::Out;
    let of = |tone, icon, word, line| Look { tone, icon, word, line };
    match state {
        StateCode::Collecting => {
            of("go", Icon::Incoming, "state.out-collecting", "state.out-collecting-line")
        }
        StateCode::Queued => of("good", Icon::Check, "state.out-queued", "state.out-queued-line"),
        StateCode::Addressed => of("wait", Icon::Clock, "state.out-addressed", "state.out-addressed-line"),
        StateCode::Sending => of("go", Icon::Arrow, "state.out-sending", "state.out-sending-line"),
        StateCode::Accepted => of("go", Icon::Check, "state.out-accepted", "state.out-accepted-line"),
        StateCode::Fetched => of("go", Icon::Check, "state.out-fetched", "state.out-fetched-line"),
        StateCode::Delivered if is_out => {
            of("good", Icon::Done, "state.out-delivered", "state.out-delivered-line")
        }
        StateCode::Delivered => of("good", Icon::Done, "state.in-delivered", "state.in-delivered-line"),
        StateCode::Erased if is_out => of("quiet", Icon::Done, "state.out-erased", "state.out-erased-line"),
        StateCode::Erased => of("quiet", Icon::Done, "state.in-erased", "state.in-erased-line"),
        StateCode::Announced => of("wait", Icon::Clock, "state.in-announced", "state.in-announced-line"),
        StateCode::Fetching => of("go", Icon::Incoming, "state.in-fetching", "state.in-fetching-line"),
        StateCode::Opened => of("ready", Icon::Check, "state.in-opened", "state.in-opened-line"),
        StateCode::Reconciled => of("go", Icon::Clock, "state.in-reconciled", "state.in-reconciled-line"),
        StateCode::Delivering => of("go", Icon::Arrow, "state.in-delivering", "state.in-delivering-line"),
        StateCode::Reported => of("good", Icon::Done, "state.in-reported", "state.in-reported-line"),
        StateCode::Held => of("bad", Icon::Stop, "state.held", "state.held-line"),
        StateCode::Recalled => of("quiet", Icon::Stop, "state.recalled", "state.recalled-line"),
        StateCode::Declined => of("bad", Icon::Stop, "state.declined", "state.declined-line"),
        StateCode::Expired if is_out => of("bad", Icon::Clock, "state.expired", "state.expired-line"),
        StateCode::Expired => of("bad", Icon::Clock, "state.expired", "state.in-expired-line"),
        StateCode::Failed => of("bad", Icon::Stop, "state.failed", "state.failed-line"),
    }
}

/// Waiting for a machine is the news: a word and a sentence. Waiting for a person is what the state itself says.
fn wait_words(wait: WaitCode) -> Option<(&'static str, &'static str)> {
    match wait {
        WaitCode::PortalUnreachable => {
            Some(("state.short-portal-unreachable", "state.wait-portal-unreachable"))
        }
        WaitCode::PortalBusy => Some(("state.short-portal-busy", "state.wait-portal-busy")),
        WaitCode::PacsUnreachable => Some(("state.short-pacs-unreachable", "state.wait-pacs-unreachable")),
        WaitCode::PacsBusy => Some(("state.short-pacs-busy", "state.wait-pacs-busy")),
        WaitCode::PacsProof => Some(("state.short-pacs-proof", "state.wait-pacs-proof")),
        WaitCode::DiskFull => Some(("state.short-disk-full", "state.wait-disk-full")),
        WaitCode::OtherHospital | WaitCode::Technician => None,
    }
}

pub(crate) fn hold_line(hold: &HoldCode) -> &'static str {
    match hold {
        HoldCode::RecipientKeyChanged => "state.hold-recipient-key-changed",
        HoldCode::RecipientNotVerified => "state.hold-recipient-not-verified",
        HoldCode::SenderNotVerified => "state.hold-sender-not-verified",
        HoldCode::AddressedToSomeoneElse => "state.hold-addressed-to-someone-else",
        HoldCode::CertificateExpired => "state.hold-certificate-expired",
        HoldCode::DigestMismatch => "state.hold-digest-mismatch",
        HoldCode::LetterUnreadable => "state.hold-letter-unreadable",
        HoldCode::PortalRefusedUs => "state.hold-portal-refused-us",
        HoldCode::PacsRefusedUs => "state.hold-pacs-refused-us",
        HoldCode::PacsRefusedInstances => "state.hold-pacs-refused-instances",
        HoldCode::ConflictingInstances => "state.hold-conflicting-instances",
        HoldCode::TwoPatients => "state.hold-two-patients",
        HoldCode::PatientIdMissing => "state.hold-patient-id-missing",
        HoldCode::PackDamaged => "state.hold-pack-damaged",
        HoldCode::AskedBack => "state.hold-asked-back",
        HoldCode::SetAside => "state.hold-set-aside",
        HoldCode::UnknownToThisVersion => "state.hold-unknown-to-this-version",
    }
}

pub(crate) fn who_line(who: WhoCode) -> &'static str {
    match who {
        WhoCode::Technician => "state.who-technician",
        WhoCode::Administrator => "state.who-administrator",
        WhoCode::OtherHospital => "state.who-other-hospital",
        WhoCode::Vendor => "state.who-vendor",
        WhoCode::Nobody => "state.who-nobody",
    }
}

/// Why an addressee refuses, in a few words.
pub fn decline_word(reason: DeclineCode) -> &'static str {
    match reason {
        DeclineCode::WrongDepartment => "state.declined-wrong-department",
        DeclineCode::UnknownPatient => "state.declined-unknown-patient",
        DeclineCode::Incomplete => "state.declined-incomplete",
        DeclineCode::Unreadable => "state.declined-unreadable",
        DeclineCode::NotOurs => "state.declined-not-ours",
        DeclineCode::Other => "state.declined-other",
    }
}

/// What a person can do about a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acts {
    /// Undo it as if nothing had happened.
    pub undo: bool,
    /// Try again at once, or go on after a look.
    pub resume: bool,
    /// Send the same study once more, to the same or to another addressee.
    pub again: bool,
    /// Send the images on to another addressee: they came to nothing where they went.
    pub redirect: bool,
    /// Take it back.
    pub recall: bool,
    /// Put it into the PACS.
    pub import: bool,
    /// Refuse it.
    pub decline: bool,
    /// Move it to another department.
    pub forward: bool,
}

/// Which acts make sense; the daemon has the last word.
pub fn acts(situation: &Situation, direction: Direction) -> Acts {
    let resume = situation.hold.is_some() || situation.next_try_at.is_some();
    let is_over = match situation.state {
        StateCode::Erased
        | StateCode::Recalled
        | StateCode::Declined
        | StateCode::Expired
        | StateCode::Failed
        | StateCode::Reported => true,
        StateCode::Collecting
        | StateCode::Queued
        | StateCode::Addressed
        | StateCode::Sending
        | StateCode::Accepted
        | StateCode::Fetched
        | StateCode::Delivered
        | StateCode::Announced
        | StateCode::Fetching
        | StateCode::Opened
        | StateCode::Reconciled
        | StateCode::Delivering
        | StateCode::Held => false,
    };
    // What the other hospital collected can be asked back as long as we know whom to ask.
    let can_be_asked_back = matches!(situation.state, StateCode::Delivered | StateCode::Erased);
    let is_opened = situation.state == StateCode::Opened;
    let is_held = situation.state == StateCode::Held;
    let is_out = direction == Direction::Out;
    let can_be_undone = situation.undo_until.is_some();
    Acts {
        undo: is_out && can_be_undone,
        resume: resume && !is_over,
        again: is_out && situation.state == StateCode::Failed,
        redirect: is_out
            && matches!(situation.state, StateCode::Declined | StateCode::Expired | StateCode::Recalled),
        recall: is_out && (!is_over || can_be_asked_back) && !can_be_undone,
        import: !is_out && is_opened,
        decline: !is_out && (is_opened || is_held),
        forward: !is_out && is_opened,
    }
}

/// What taking a transfer back can still do (CS-18). A receipt proves arrival, whatever the state says since.
pub fn recall_line(situation: &Situation, has_receipt: bool) -> &'static str {
    if has_receipt {
        return "sent.recall-arrived";
    }
    match situation.state {
        StateCode::Collecting
        | StateCode::Queued
        | StateCode::Addressed
        | StateCode::Sending
        | StateCode::Held
        | StateCode::Recalled
        | StateCode::Failed => "sent.recall-before",
        StateCode::Accepted | StateCode::Announced | StateCode::Declined | StateCode::Expired => {
            "sent.recall-portal"
        }
        StateCode::Fetched
        | StateCode::Delivered
        | StateCode::Erased
        | StateCode::Fetching
        | StateCode::Opened
        | StateCode::Reconciled
        | StateCode::Delivering
        | StateCode::Reported => "sent.recall-arrived",
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
