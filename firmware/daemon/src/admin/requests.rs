//! The desk's part about images that hospitals ask each other for.

use beeldbox_custody::{Direction, RequestRow, RequestState, UnbelievedRequest};
use beeldbox_protocol::admin::{
    Answer, AskedFor, CheckFlag, MAX_PAGE, NewRequest, Partner, Question, Refusal, RefusalCode, Reply,
    RequestCode, RequestLine, RequestPage, StudyNumber, StudyRef, UnbelievedRequest as UnbelievedLine,
    WhoCode,
};
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::{AddresseeId, TransferId};
use beeldbox_transfer::address::{self, AddressError, Decision};
use beeldbox_transfer::request::{self, RequestError};
use beeldbox_transfer::requested::{self, AnswerError};

use super::answer::{Desk, address_refused, question_refused, refusal, step_refused, storage};

impl Desk {
    /// Answers a question about requests.
    pub(super) async fn about_requests(&self, question: Question, actor: String) -> Answer {
        #[expect(clippy::wildcard_enum_match_arm, reason = "the desk hands only these questions on")]
        match question {
            Question::RequestImages { request, acknowledged } => {
                self.request_images(&request, &acknowledged, &actor).await
            }
            Question::Requests { before, limit } => self.requests(before, limit).await,
            Question::Request { request } => {
                Ok(Reply::Request(Box::new(request_line(self.request(request).await?))))
            }
            Question::WithdrawRequest { request } => {
                let row = self.request(request).await?;
                request::withdraw(&self.road, &row, &actor).await.map_err(step_refused)?;
                Ok(Reply::Done)
            }
            Question::RefuseRequest { request, reason } => {
                requested::refuse(&self.road, request, reason, &actor).await.map_err(step_refused)?;
                Ok(Reply::Done)
            }
            Question::CheckAnswer { request, study, addressee } => {
                self.check_answer(request, study, addressee).await
            }
            Question::SendAnswer { request, study, addressee, note, reply_contact, urgent, acknowledged } => {
                let row = self.request(request).await?;
                let decision = Decision {
                    addressee: answer_addressee(&row, addressee)?,
                    note,
                    reply_contact,
                    urgent,
                    by: actor,
                    acknowledged,
                    in_answer_to: Some(request),
                };
                self.send_answer(&row, study, decision).await
            }
            _ => Err(refusal(RefusalCode::NotAQuestion, "this is no question about requests")),
        }
    }

    async fn request(&self, request: TransferId) -> Result<RequestRow, Refusal> {
        let found = self.road.custody.request(request).await.map_err(storage)?;
        found.ok_or_else(|| refusal(RefusalCode::NotFound, "no such request"))
    }

    async fn request_images(&self, new: &NewRequest, acknowledged: &[CheckFlag], actor: &str) -> Answer {
        let asked = request::ask(&self.road, new, acknowledged, actor).await;
        asked.map(Reply::Requested).map_err(request_refused)
    }

    async fn requests(&self, before: Option<TransferId>, limit: u32) -> Answer {
        let not_believed = match before {
            // They stand above the first page alone.
            Some(_) => Vec::new(),
            None => self.road.custody.unbelieved_requests(MAX_PAGE).await.map_err(storage)?,
        };
        let before = match before {
            Some(request) => Some(self.request(request).await?.cursor),
            None => None,
        };
        let rows = self.road.custody.requests(before, limit.min(MAX_PAGE)).await.map_err(storage)?;
        Ok(Reply::Requests(RequestPage {
            requests: rows.into_iter().map(request_line).collect(),
            not_believed: not_believed.into_iter().map(unbelieved_line).collect(),
        }))
    }

    async fn check_answer(
        &self,
        request: TransferId,
        study: StudyNumber,
        addressee: Option<AddresseeId>,
    ) -> Answer {
        let row = self.request(request).await?;
        let Reply::Check(mut check) = self.check(study, &answer_addressee(&row, addressee)?).await? else {
            return Err(refusal(RefusalCode::NotNow, "the study cannot be checked now"));
        };
        check.flags.extend(requested::answer_flags(&row, &check.study.patient));
        if let Err(error) = requested::check_answer(&row, &check.addressee) {
            check.obstacle.get_or_insert(answer_refused(error));
        }
        Ok(Reply::Check(check))
    }

    async fn send_answer(&self, row: &RequestRow, study: StudyRef, decision: Decision) -> Answer {
        let study = self.study_named(study).await?;
        let entry = self.road.directory.find(&decision.addressee);
        let entry = entry.ok_or_else(|| address_refused(AddressError::UnknownAddressee))?;
        requested::check_answer(row, &entry.addressee).map_err(answer_refused)?;
        let mut missing = requested::answer_flags(row, &study.patient);
        missing.retain(|flag| !decision.acknowledged.contains(flag));
        if !missing.is_empty() {
            return Err(address_refused(AddressError::NotAcknowledged(missing)));
        }
        address::address(&self.road, study.transfer, decision).await.map_err(address_refused)?;
        Ok(Reply::Sent(study.transfer))
    }
}

/// The addressee that a person chose, or the one that the request names.
fn answer_addressee(row: &RequestRow, chosen: Option<AddresseeId>) -> Result<AddresseeId, Refusal> {
    let named = || row.request.words.as_ref().map(|words| words.wanted.answer_to.clone());
    chosen.or_else(named).ok_or_else(|| {
        refusal(
            RefusalCode::BadValue,
            "say to whom: what was asked is forgotten by now, some time after its end",
        )
    })
}

fn request_refused(failure: RequestError) -> Refusal {
    match failure {
        RequestError::Question(error) => question_refused(error),
        RequestError::Unusable(why) => Refusal {
            code: RefusalCode::BadValue,
            message: format!("nobody could answer this request: {why}"),
        },
        RequestError::AnswerToOthers => refusal(
            RefusalCode::BadValue,
            "the images shall go to an addressee of this organisation; the one named is none in the directory",
        ),
    }
}

fn answer_refused(failure: AnswerError) -> Refusal {
    match failure {
        AnswerError::NotOpen => refusal(
            RefusalCode::NotNow,
            "nobody waits for an answer to this request any more; send the study as any other if it is still wanted",
        ),
        AnswerError::AnotherOrganisation => {
            refusal(RefusalCode::BadValue, "the addressee is of another organisation than the one that asked")
        }
    }
}

fn unbelieved_line(row: UnbelievedRequest) -> UnbelievedLine {
    UnbelievedLine { request: row.id, claimed_sender: row.claimed_sender, why: row.why, since: row.at }
}

fn request_line(row: RequestRow) -> RequestLine {
    let request = row.request;
    let filled = |text: Option<Confidential>| text.filter(|text| !text.is_empty());
    RequestLine {
        request: request.id,
        is_ours: request.direction == Direction::Outbound,
        partner: Partner {
            ura: request.partner.ura,
            organisation: request.partner.name,
            department: request.partner.department,
            verified: true,
        },
        urgent: request.urgent,
        asked: request.words.map(|words| AskedFor {
            patient: words.patient,
            wanted: words.wanted,
            reason: words.reason,
            reply_contact: filled(words.reply_contact),
            by: words.by,
        }),
        created_at: row.created_at,
        valid_until: request.valid_until,
        state: request_code(request.state),
        since: row.changed_at,
        refused: row.refusal.filter(|_| request.state == RequestState::Refused),
        answers: row.answers,
        who: who_acts(request.state),
    }
}

fn request_code(state: RequestState) -> RequestCode {
    match state {
        RequestState::Asking => RequestCode::Asking,
        RequestState::Asked => RequestCode::Asked,
        RequestState::Seen => RequestCode::Seen,
        RequestState::Promised => RequestCode::Promised,
        RequestState::Withdrawing => RequestCode::Withdrawing,
        RequestState::Open => RequestCode::Open,
        RequestState::Answered => RequestCode::Answered,
        RequestState::Refused => RequestCode::Refused,
        RequestState::Withdrawn => RequestCode::Withdrawn,
        RequestState::Expired => RequestCode::Expired,
    }
}

fn who_acts(state: RequestState) -> WhoCode {
    match state {
        RequestState::Asked | RequestState::Seen | RequestState::Promised => WhoCode::OtherHospital,
        RequestState::Open => WhoCode::Technician,
        // On their way by themselves, or over.
        RequestState::Asking
        | RequestState::Withdrawing
        | RequestState::Answered
        | RequestState::Refused
        | RequestState::Withdrawn
        | RequestState::Expired => WhoCode::Nobody,
    }
}
