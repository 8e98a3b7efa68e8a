//! Commands about images that hospitals ask each other for.

use anyhow::{Context, Result};
use beeldbox_protocol::admin::{
    CheckFlag, NewRequest, Question, RequestCode, RequestLine, RequestPage, UnbelievedRequest, WhoCode,
};
use beeldbox_protocol::clinical::{Confidential, Patient};
use beeldbox_protocol::ident::{AddresseeId, TransferId};
use beeldbox_protocol::imaging_request::{RequestRefusal, WantedImages};
use clap::{Args, ValueEnum};

use crate::print::{text, who_can_act};

/// A request to another hospital.
#[derive(Args)]
pub struct Ask {
    /// Whom to ask: its id in the directory.
    addressee: AddresseeId,
    /// Which addressee of this organisation shall get the images: its id in the directory.
    #[arg(long)]
    answer_to: AddresseeId,
    /// Why; sealed to the other hospital.
    #[arg(long)]
    reason: String,
    /// Name of the patient, as DICOM writes it: `family^given^middle^prefix^suffix`.
    #[arg(long)]
    name: Option<String>,
    /// Day of birth, `YYYYMMDD`.
    #[arg(long)]
    birth_date: Option<String>,
    /// Citizen service number.
    #[arg(long)]
    bsn: Option<String>,
    /// Patient ID, if the other hospital knows it.
    #[arg(long)]
    patient_id: Option<String>,
    /// Modality, such as CT; may be said several times.
    #[arg(long = "modality")]
    modalities: Vec<String>,
    /// Part of the body.
    #[arg(long)]
    region: Option<String>,
    /// Made on this day or later, `YYYYMMDD`.
    #[arg(long)]
    from: Option<String>,
    /// Made on this day or earlier, `YYYYMMDD`.
    #[arg(long)]
    until: Option<String>,
    /// Whom the other hospital may call back.
    #[arg(long)]
    reply_contact: Option<String>,
    /// Ask the other hospital to hurry.
    #[arg(long)]
    urgent: bool,
}

impl Ask {
    /// As a question. Whoever names the hospital on the command line is not asked again about first contact.
    pub fn question(&self) -> Result<Question> {
        let confidential = |text: &Option<String>| text.clone().map(Confidential::new);
        let bsn = self.bsn.as_ref().map(|bsn| bsn.parse()).transpose();
        let request = NewRequest {
            addressee: self.addressee.clone(),
            patient: Patient {
                name: confidential(&self.name),
                id: confidential(&self.patient_id),
                birth_date: confidential(&self.birth_date),
                bsn: bsn.context("the citizen service number is none")?,
                ..Patient::default()
            },
            wanted: WantedImages {
                modalities: self.modalities.clone(),
                body_region: confidential(&self.region),
                from: confidential(&self.from),
                until: confidential(&self.until),
                answer_to: self.answer_to.clone(),
            },
            reason: Confidential::new(self.reason.clone()),
            reply_contact: confidential(&self.reply_contact),
            urgent: self.urgent,
        };
        let acknowledged = vec![CheckFlag::FirstTime, CheckFlag::PortalDelivery];
        Ok(Question::RequestImages { request: Box::new(request), acknowledged })
    }
}

/// A refusal of another hospital's request.
#[derive(Args)]
pub struct Refuse {
    /// Which.
    request: TransferId,
    /// Why; the other hospital is told.
    #[arg(long, value_enum)]
    reason: Why,
}

#[derive(Clone, Copy, ValueEnum)]
enum Why {
    NoSuchPatient,
    NoImages,
    NoConsent,
    Other,
}

impl Refuse {
    /// As a question.
    pub fn question(&self) -> Question {
        let reason = match self.reason {
            Why::NoSuchPatient => RequestRefusal::NoSuchPatient,
            Why::NoImages => RequestRefusal::NoImages,
            Why::NoConsent => RequestRefusal::NoConsent,
            Why::Other => RequestRefusal::Other,
        };
        Question::RefuseRequest { request: self.request, reason }
    }
}

/// Prints a page.
pub fn page(page: &RequestPage) {
    if page.requests.is_empty() && page.not_believed.is_empty() {
        say!("Nobody asks for images.");
    }
    page.not_believed.iter().for_each(unbelieved);
    page.requests.iter().for_each(line);
}

/// Prints a request.
pub fn line(line: &RequestLine) {
    let partner = &line.partner;
    let way = if line.is_ours { "asked of" } else { "asked by" };
    say!(
        "{}  {way} {} (URA {})  {}{}",
        line.request,
        partner.organisation,
        partner.ura,
        if line.urgent { "URGENT  " } else { "" },
        sentence(line)
    );
    if let Some(asked) = &line.asked {
        let patient = &asked.patient;
        let bsn = patient.bsn.as_ref().map_or("?", |bsn| bsn.reveal());
        say!(
            "  patient: {} (ID {}), born {}, BSN {bsn}",
            text(patient.name.as_ref()),
            text(patient.id.as_ref()),
            text(patient.birth_date.as_ref())
        );
        say!("  images:  {}; for {}", images(&asked.wanted), asked.wanted.answer_to);
        say!("  reason:  {}", asked.reason.reveal());
        if let Some(contact) = &asked.reply_contact {
            say!("  call:    {}", contact.reveal());
        }
    }
    for transfer in &line.answers {
        say!("  answered by transfer {transfer}");
    }
}

fn unbelieved(request: &UnbelievedRequest) {
    let since = request.since.strftime("%Y-%m-%d %H:%M:%S UTC");
    say!(
        "{}  NOT BELIEVED: came as a request of URA {}: {}, since {since}; call them, then put it aside (request-refuse)",
        request.request,
        request.claimed_sender,
        request.why
    );
}

fn images(wanted: &WantedImages) -> String {
    let modalities =
        if wanted.modalities.is_empty() { "any".to_owned() } else { wanted.modalities.join(", ") };
    let region = wanted.body_region.as_ref().map(|region| format!(" of {}", region.reveal()));
    let from = wanted.from.as_ref().map(|from| format!(", from {}", from.reveal()));
    let until = wanted.until.as_ref().map(|until| format!(", until {}", until.reveal()));
    [Some(modalities), region, from, until].into_iter().flatten().collect()
}

/// What is true, since when, and who can do something about it: one plain sentence.
fn sentence(line: &RequestLine) -> String {
    let state = match (line.state, line.is_ours) {
        (RequestCode::Asking, _) => "on its way to the portal",
        (RequestCode::Asked, _) => "at the portal, not seen by the other hospital yet",
        (RequestCode::Seen, _) => "seen by the other hospital, waits for a person there",
        (RequestCode::Promised, _) => "the portal says that images are on their way; none came yet",
        (RequestCode::Withdrawing, _) => "taken back; the portal does not know yet, so images may still come",
        (RequestCode::Open, _) => {
            "WAITS FOR AN ANSWER: send a study (send --answers), or refuse (request-refuse)"
        }
        (RequestCode::Answered, true) => "answered: images came",
        (RequestCode::Answered, false) => "answered: the images are at the portal",
        (RequestCode::Refused, _) => "refused",
        (RequestCode::Withdrawn, true) => "taken back",
        (RequestCode::Withdrawn, false) => "taken back by the other hospital",
        (RequestCode::Expired, _) => "expired: nobody answered in time",
    };
    let why = line.refused.map(|reason| format!(" ({})", reason.code())).unwrap_or_default();
    let since = line.since.strftime("%Y-%m-%d %H:%M:%S UTC");
    let who = match line.who == WhoCode::Nobody {
        true => String::new(),
        false => format!("; {} can act", who_can_act(line.who)),
    };
    format!("{state}{why}, since {since}{who}")
}
