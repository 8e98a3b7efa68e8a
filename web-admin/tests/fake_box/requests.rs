//! Requests for images as the fake daemon has them.

use beeldbox_protocol::admin::{
    Answer, AskedFor, NewRequest, Partner, Question, RefusalCode, Reply, RequestCode, RequestLine,
    RequestPage, UnbelievedRequest, WhoCode, WhomCheck,
};
use beeldbox_protocol::clinical::{Confidential, Patient};
use beeldbox_protocol::ident::TransferId;
use beeldbox_protocol::imaging_request::{RequestRefusal, WantedImages};
use jiff::{SignedDuration, Timestamp};

use super::data::transfer_id;
use super::{World, refuse};

fn line(number: i64, patient: Patient, state: RequestCode, at: Timestamp) -> RequestLine {
    RequestLine {
        request: transfer_id(number),
        is_ours: true,
        partner: Partner {
            ura: "90000492".parse().unwrap(),
            organisation: "Noorderbreedte Ziekenhuis".to_owned(),
            department: Some("Radiologie".to_owned()),
            verified: true,
        },
        urgent: false,
        asked: Some(AskedFor {
            patient,
            wanted: WantedImages {
                modalities: vec!["CT".to_owned(), "MR".to_owned()],
                body_region: Some(Confidential::new("thorax")),
                from: Some(Confidential::new("20250101")),
                until: None,
                answer_to: "broek-rad".parse().unwrap(),
            },
            reason: Confidential::new("Vergelijking met eerder onderzoek voor het MDO van donderdag."),
            reply_contact: Some(Confidential::new("J. Smit, tst. 4471")),
            by: Some("j.smit".to_owned()),
        }),
        created_at: at,
        valid_until: at + SignedDuration::from_hours(24 * 14),
        state,
        since: at,
        refused: None,
        answers: Vec::new(),
        who: WhoCode::OtherHospital,
    }
}

/// One of each kind that a person sees.
pub fn requests(now: Timestamp, people: [Patient; 6]) -> Vec<RequestLine> {
    let ago = |minutes: i64| now - SignedDuration::from_mins(minutes);
    let [anna, willem, annet, piet, elif, johannes] = people;
    let mut open = line(80, anna, RequestCode::Open, ago(8));
    open.is_ours = false;
    open.urgent = true;
    open.who = WhoCode::Technician;
    if let Some(asked) = &mut open.asked {
        asked.by = None;
        asked.wanted.answer_to = "noord-rad".parse().unwrap();
    }
    let mut answered = line(78, piet, RequestCode::Answered, ago(60 * 20));
    answered.answers = vec![transfer_id(57)];
    answered.who = WhoCode::Nobody;
    let mut refused = line(77, elif, RequestCode::Refused, ago(60 * 30));
    refused.refused = Some(RequestRefusal::NoConsent);
    refused.who = WhoCode::Nobody;
    let mut forgotten = line(76, johannes, RequestCode::Expired, ago(60 * 24 * 20));
    forgotten.asked = None;
    forgotten.who = WhoCode::Nobody;
    vec![
        open,
        line(79, willem, RequestCode::Seen, ago(55)),
        answered,
        refused,
        line(75, annet, RequestCode::Asking, ago(0)),
        forgotten,
    ]
}

pub fn not_believed(now: Timestamp) -> Vec<UnbelievedRequest> {
    vec![UnbelievedRequest {
        request: transfer_id(90),
        claimed_sender: "90000712".to_owned(),
        why: "its letter is not signed by the organisation that the portal names".to_owned(),
        since: now - SignedDuration::from_hours(3),
    }]
}

impl World {
    pub(super) fn about_requests(&mut self, question: Question, by: &str) -> Answer {
        #[expect(clippy::wildcard_enum_match_arm, reason = "the fake box hands only these questions on")]
        match question {
            Question::Requests { before, .. } => {
                let not_believed = if before.is_none() { self.not_believed.clone() } else { Vec::new() };
                Ok(Reply::Requests(RequestPage { requests: self.requests.clone(), not_believed }))
            }
            Question::Request { request } => {
                match self.requests.iter().find(|line| line.request == request) {
                    Some(line) => Ok(Reply::Request(Box::new(line.clone()))),
                    None => refuse(RefusalCode::NotFound, "no such request"),
                }
            }
            Question::CheckRequest { addressee } => {
                let Some(addressee) = self.directory.iter().find(|entry| entry.id == addressee).cloned()
                else {
                    return refuse(RefusalCode::NotFound, "no such addressee");
                };
                Ok(Reply::WhomCheck(Box::new(WhomCheck {
                    certified_name: Some(addressee.organisation.clone()),
                    key_thumbprint: Some(self.thumbprint.clone()),
                    flags: self.flags.clone(),
                    obstacle: self.obstacle.clone(),
                    addressee,
                })))
            }
            Question::RequestImages { request, .. } => Ok(Reply::Requested(self.make(*request, by))),
            Question::WithdrawRequest { request } => self.move_to(request, RequestCode::Withdrawing, None),
            Question::RefuseRequest { request, reason } => {
                self.not_believed.retain(|one| one.request != request);
                self.move_to(request, RequestCode::Refused, Some(reason))
            }
            other => panic!("no question about requests: {other:?}"),
        }
    }

    fn make(&mut self, new: NewRequest, by: &str) -> TransferId {
        let mut made = line(81, new.patient, RequestCode::Asking, self.now);
        let asked = made.asked.as_mut().unwrap();
        asked.wanted = new.wanted;
        asked.reason = new.reason;
        asked.reply_contact = new.reply_contact;
        asked.by = Some(by.to_owned());
        let id = made.request;
        self.requests.insert(0, made);
        id
    }

    fn move_to(
        &mut self,
        request: TransferId,
        state: RequestCode,
        refused: Option<RequestRefusal>,
    ) -> Answer {
        if let Some(line) = self.requests.iter_mut().find(|line| line.request == request) {
            line.state = state;
            line.refused = refused;
        }
        Ok(Reply::Done)
    }
}
