//! A request for images in words: where it stands, what was asked, who can act.

use beeldbox_protocol::admin::{RequestCode, RequestLine};
use beeldbox_protocol::imaging_request::{RequestRefusal, WantedImages};
use jiff::Timestamp;

use crate::lang::Words;
use crate::view::date;
use crate::view::icon::Icon;
use crate::view::patient::PatientView;
use crate::view::recipient::PartnerView;
use crate::view::state::who_line;
use crate::view::text::{clean, clean_lines};

/// One request.
pub struct RequestView {
    /// Its id; says nothing about the patient.
    pub id: String,
    /// Whether this hospital asks.
    pub is_ours: bool,
    /// The other organisation.
    pub partner: PartnerView,
    /// Of whom, while that is known.
    pub patient: Option<PatientView>,
    /// What stands in the patient's place otherwise.
    pub no_patient: String,
    /// Kinds of images, as chips.
    pub modalities: Vec<String>,
    /// Which images, in a line.
    pub wanted: String,
    /// Why, as it was written.
    pub reason: String,
    /// Whom to call back.
    pub reply_contact: String,
    /// Who asked on this box.
    pub by: String,
    /// Whether to hurry.
    pub urgent: bool,
    /// When it was made or came.
    pub created: String,
    /// Until when it can be answered.
    pub valid_until: String,
    /// Class of the style sheet.
    pub tone: &'static str,
    /// The drawing.
    pub icon: Icon,
    /// One or two words.
    pub word: String,
    /// Where it stands, in a sentence.
    pub sentence: String,
    /// Since when, and who can act.
    pub since: String,
    /// The transfers that answer it.
    pub answers: Vec<String>,
    /// Whether images can be sent in answer; more than one study may answer.
    pub can_answer: bool,
    /// Whether a person here can refuse it.
    pub can_refuse: bool,
    /// Whether it can be taken back here.
    pub can_withdraw: bool,
}

impl RequestView {
    /// From what the daemon says.
    pub fn new(line: &RequestLine, now: Timestamp, words: Words) -> RequestView {
        let look = look(line.state);
        let asked = line.asked.as_ref();
        let mut sentence = words.t(if line.is_ours { look.ours } else { look.theirs });
        if let Some(refused) = line.refused {
            let reason = words.t(refusal_word(refused));
            sentence = format!("{sentence} {}", words.fill("request.because", &[("reason", &reason)]));
        }
        let since = words.fill("state.since", &[("when", &date::when_and_ago(line.since, now, words))]);
        RequestView {
            id: line.request.to_string(),
            is_ours: line.is_ours,
            partner: PartnerView::new(&line.partner, words),
            patient: asked.map(|asked| PatientView::new(&asked.patient, now, words)),
            no_patient: words.t("request.forgotten"),
            modalities: asked.map(|asked| modalities(&asked.wanted)).unwrap_or_default(),
            wanted: asked.map(|asked| wanted(&asked.wanted, words)).unwrap_or_default(),
            reason: asked.map(|asked| clean_lines(asked.reason.reveal())).unwrap_or_default(),
            reply_contact: asked
                .and_then(|asked| asked.reply_contact.as_ref())
                .map(|text| clean_lines(text.reveal()))
                .unwrap_or_default(),
            by: asked.and_then(|asked| asked.by.as_deref()).map(clean).unwrap_or_default(),
            urgent: line.urgent,
            created: date::when(line.created_at, now, words),
            valid_until: date::when(line.valid_until, now, words),
            tone: look.tone,
            icon: look.icon,
            word: words.t(look.word),
            sentence,
            since: format!("{since} {}", words.t(who_line(line.who))),
            answers: line.answers.iter().map(ToString::to_string).collect(),
            can_answer: !line.is_ours && matches!(line.state, RequestCode::Open | RequestCode::Answered),
            can_refuse: !line.is_ours && line.state == RequestCode::Open,
            can_withdraw: line.is_ours && can_be_withdrawn(line.state),
        }
    }
}

/// The codes of the images, as chips.
pub fn modalities(wanted: &WantedImages) -> Vec<String> {
    wanted.modalities.iter().map(|code| clean(code)).filter(|code| !code.is_empty()).collect()
}

/// Region and period in a line.
pub fn wanted(wanted: &WantedImages, words: Words) -> String {
    let region = wanted.body_region.as_ref().map(|text| clean(text.reveal())).unwrap_or_default();
    let day = |text: &Option<beeldbox_protocol::clinical::Confidential>| {
        let date = text.as_ref().and_then(|text| date::parse_day(text.reveal()));
        date.map(|date| date::day(date, words))
    };
    let period = match (day(&wanted.from), day(&wanted.until)) {
        (Some(from), Some(until)) => words.fill("request.period", &[("from", &from), ("until", &until)]),
        (Some(from), None) => words.fill("request.period-from", &[("from", &from)]),
        (None, Some(until)) => words.fill("request.period-until", &[("until", &until)]),
        (None, None) => words.t("request.period-any"),
    };
    let any = wanted.modalities.is_empty().then(|| words.t("request.any-modality"));
    [any.unwrap_or_default(), region, period]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" · ")
}

struct Look {
    tone: &'static str,
    icon: Icon,
    word: &'static str,
    ours: &'static str,
    theirs: &'static str,
}

fn look(state: RequestCode) -> Look {
    let of = |tone, icon, word, ours, theirs| Look { tone, icon, word, ours, theirs };
    // What only one side can be in has one sentence.
    let one = |tone, icon, word, line| of(tone, icon, word, line, line);
    match state {
        RequestCode::Asking => one("go", Icon::Arrow, "request.asking", "request.asking-line"),
        RequestCode::Asked => one("wait", Icon::Clock, "request.asked", "request.asked-line"),
        RequestCode::Seen => one("wait", Icon::Clock, "request.seen", "request.seen-line"),
        RequestCode::Promised => one("go", Icon::Incoming, "request.promised", "request.promised-line"),
        RequestCode::Withdrawing => {
            one("wait", Icon::Clock, "request.withdrawing", "request.withdrawing-line")
        }
        RequestCode::Open => one("ready", Icon::Incoming, "request.open", "request.open-line"),
        RequestCode::Answered => {
            of("good", Icon::Done, "request.answered", "request.answered-ours", "request.answered-theirs")
        }
        RequestCode::Refused => {
            of("bad", Icon::Stop, "request.refused", "request.refused-ours", "request.refused-theirs")
        }
        RequestCode::Withdrawn => {
            of("quiet", Icon::Stop, "request.withdrawn", "request.withdrawn-ours", "request.withdrawn-theirs")
        }
        RequestCode::Expired => {
            of("quiet", Icon::Clock, "request.expired", "request.expired-ours", "request.expired-theirs")
        }
    }
}

fn can_be_withdrawn(state: RequestCode) -> bool {
    match state {
        RequestCode::Asking | RequestCode::Asked | RequestCode::Seen | RequestCode::Promised => true,
        RequestCode::Withdrawing
        | RequestCode::Open
        | RequestCode::Answered
        | RequestCode::Refused
        | RequestCode::Withdrawn
        | RequestCode::Expired => false,
    }
}

/// Why images are not sent, in a few words.
pub fn refusal_word(reason: RequestRefusal) -> &'static str {
    match reason {
        RequestRefusal::NoSuchPatient => "request.no-such-patient",
        RequestRefusal::NoImages => "request.no-images",
        RequestRefusal::NoConsent => "request.no-consent",
        RequestRefusal::Other => "request.other-reason",
    }
}
