//! The desk: one function per question. Decisions are made in the road's modules; this finds the row, asks, and words
//! the refusal.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use beeldbox_custody::{
    AskState, AuditRecord, Changes, CollectionId, Cursor, CustodyError, Direction, HoldReason, InboundState,
    KnownKey, OutboundState, State, StudyRow, TransferRow,
};
use beeldbox_dicom::{AssociationLimits, diagnose};
use beeldbox_protocol::admin::{
    Answer, AuditLine, Call, Check, MAX_PAGE, Question, Refusal, RefusalCode, Reply, StudyNumber, StudyRef,
    VerifiedLine, VerifiedPage,
};
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::{AddresseeId, AeTitle, TransferId};
use beeldbox_transfer::addendum;
use beeldbox_transfer::address::{self, AddressError, Decision};
use beeldbox_transfer::ask_back::{self, AnswerError};
use beeldbox_transfer::close;
use beeldbox_transfer::effect::NotNow;
use beeldbox_transfer::inbound::InboundEvent;
use beeldbox_transfer::news;
use beeldbox_transfer::outbound::OutboundEvent;
use beeldbox_transfer::question::QuestionError;
use beeldbox_transfer::recall::{self, RecallError};
use beeldbox_transfer::redirect::{Declining, Redirection};
use beeldbox_transfer::road::{Road, StepError};
use jiff::Timestamp;

use super::{addenda, lines};
use crate::certificates::Certificates;
use crate::settings::Settings;

/// How long a wait for changes lasts at most.
const LONGEST_WAIT: Duration = Duration::from_secs(25);

/// Instances verified for one answer: some seconds of reading at most.
const VERIFY_PAGE: u32 = 100;

/// Answers front ends.
pub struct Desk {
    pub(super) road: Road,
    pub(super) name: String,
    pub(super) dicom_address: SocketAddr,
    pub(super) reserve_bytes: u64,
    pub(super) recovery: String,
    pub(super) started_at: Timestamp,
    pub(super) certificates: Arc<Certificates>,
    pub(super) recipient_key: PathBuf,
}

pub(super) fn refusal(code: RefusalCode, message: &str) -> Refusal {
    Refusal { code, message: message.to_owned() }
}

pub(super) fn storage(error: CustodyError) -> Refusal {
    tracing::error!(%error, "a question could not be answered");
    refusal(RefusalCode::Storage, "the box's storage did not answer; look at its log")
}

pub(super) fn erased() -> Refusal {
    refusal(RefusalCode::NothingToSend, "this box has erased the images; send the study from the PACS again")
}

pub(super) fn step_refused(failure: StepError) -> Refusal {
    match failure {
        StepError::NotNow(_) => refusal(RefusalCode::NotNow, "this is not possible in its present state"),
        StepError::Custody(CustodyError::Stale) => {
            refusal(RefusalCode::NotNow, "something else came first; look again and repeat if still wanted")
        }
        StepError::Custody(error) => storage(error),
    }
}

pub(super) fn question_refused(failure: QuestionError) -> Refusal {
    match failure {
        QuestionError::Address(error) => address_refused(error),
        QuestionError::KeyChanged => refusal(
            RefusalCode::AddresseeNotVerified,
            "the other hospital has another key than before; compare it by telephone and ask there",
        ),
        QuestionError::Letter(error) => {
            tracing::error!(%error, "a question cannot be sealed");
            refusal(RefusalCode::AddresseeNotVerified, "it cannot be sealed to the other hospital")
        }
        QuestionError::Signer(error) => {
            tracing::error!(%error, "a question cannot be signed");
            refusal(RefusalCode::NotNow, "the signing certificate of this organisation has expired")
        }
        QuestionError::Step(step) => step_refused(step),
    }
}

pub(super) fn address_refused(failure: AddressError) -> Refusal {
    match failure {
        AddressError::UnknownAddressee => {
            refusal(RefusalCode::NotFound, "the directory has no such addressee")
        }
        AddressError::Ourselves => {
            refusal(RefusalCode::BadValue, "the addressee is this organisation itself")
        }
        AddressError::CannotReceive => refusal(
            RefusalCode::AddresseeCannotReceive,
            "the addressee is not connected: it has published no key to seal to",
        ),
        AddressError::NotVerified(why) => Refusal {
            code: RefusalCode::AddresseeNotVerified,
            message: format!("the addressee's key is not believed: {why}; nothing is sent to it"),
        },
        AddressError::DirectoryTooOld => refusal(
            RefusalCode::DirectoryTooOld,
            "the directory was not brought up to date for so long that its keys are not trusted any more; nothing is \
             sent until it is: see what `status` says of the directory, and have it repaired",
        ),
        AddressError::NotAcknowledged(flags) => Refusal {
            code: RefusalCode::NotAcknowledged,
            message: format!("look at these and confirm them: {flags:?}"),
        },
        AddressError::NothingToSend => refusal(RefusalCode::NothingToSend, "the study holds no instances"),
        AddressError::Step(step) => step_refused(step),
    }
}

impl Desk {
    /// A desk for this road.
    pub fn new(
        road: Road,
        settings: &Settings,
        dicom_address: SocketAddr,
        recovery: String,
        started_at: Timestamp,
        certificates: Arc<Certificates>,
    ) -> Self {
        Desk {
            road,
            name: settings.name.clone(),
            dicom_address,
            reserve_bytes: settings.keeping.reserve_bytes,
            recovery,
            started_at,
            certificates,
            recipient_key: settings.credentials.recipient_key.clone(),
        }
    }

    /// Answers one question.
    pub async fn answer(&self, call: Call) -> Answer {
        let actor = call.actor.name;
        match call.question {
            Question::Status => self.status().await.map(|status| Reply::Status(Box::new(status))),
            Question::Studies { before, limit } => self.studies(before, limit).await,
            Question::Study { study } => {
                Ok(Reply::Study(Box::new(self.study_line(&self.study(study).await?).await?)))
            }
            Question::CloseStudy { study } => self.close(study).await,
            Question::Addressees { query, limit } => self.addressees(&query, limit, &actor).await,
            Question::UsualAddressees { limit } => self.usual_addressees(limit, &actor).await,
            Question::SetFavourite { addressee, is_favourite } => {
                self.set_favourite(&addressee, is_favourite, &actor).await
            }
            Question::Check { study, addressee } => self.check(study, &addressee).await,
            Question::StudyOf { transfer } => self.study_of(transfer).await,
            Question::CheckRequest { addressee } => self.check_request(&addressee).await,
            Question::Send { study, addressee, note, reply_contact, urgent, acknowledged } => {
                let in_answer_to = None;
                let decision = Decision {
                    addressee,
                    note,
                    reply_contact,
                    urgent,
                    by: actor,
                    acknowledged,
                    in_answer_to,
                };
                self.send(study, decision).await
            }
            Question::Transfers { before, limit } => self.transfers(Direction::Outbound, before, limit).await,
            Question::Inbox { before, limit } => self.transfers(Direction::Inbound, before, limit).await,
            Question::Transfer { transfer } => self.transfer_detail(transfer).await,
            Question::Undo { transfer } => self.undo(transfer, &actor).await,
            Question::Recall { transfer } => self.recall(transfer, &actor).await,
            Question::OfferAgain { transfer } => self.offer_again(transfer, &actor).await,
            Question::Redirect { transfer, to, note, acknowledged } => {
                self.redirect(transfer, Redirection { to, note, by: actor, acknowledged }).await
            }
            Question::AskBack { transfer, reason } => self.ask_back(transfer, reason, &actor).await,
            Question::AnswerAsk { transfer, removed } => {
                let row = self.row(transfer).await?;
                ask_back::answer(&self.road, &row, removed, &actor).await.map_err(|failure| match failure {
                    AnswerError::StillOnItsWay => refusal(
                        RefusalCode::NotNow,
                        "the last image is still on its way to the PACS; remove it there too, then answer again",
                    ),
                    AnswerError::Step(step) => step_refused(step),
                })?;
                Ok(Reply::Done)
            }
            Question::RequestImages { .. }
            | Question::Requests { .. }
            | Question::Request { .. }
            | Question::WithdrawRequest { .. }
            | Question::RefuseRequest { .. }
            | Question::CheckAnswer { .. }
            | Question::SendAnswer { .. } => self.about_requests(call.question, actor).await,
            Question::Resume { transfer } => self.resume(transfer, &actor).await,
            Question::Candidates { transfer, search } => self.candidates(transfer, &search, &actor).await,
            Question::Import { transfer, patient } => self.import(transfer, patient.as_deref(), &actor).await,
            Question::AgreeToImport { transfer, seen } => self.agree_to_import(transfer, seen, &actor).await,
            Question::DropProposal { transfer } => self.drop_proposal(transfer, &actor).await,
            Question::SetAside { transfer, reason } => self.set_aside(transfer, &reason, &actor).await,
            Question::Forward { transfer, to } => self.forward(transfer, &to, &actor).await,
            Question::Decline { transfer, reason, belongs_at } => {
                self.decline(transfer, Declining { reason, belongs_at }, &actor).await
            }
            Question::Stored { search, before, limit } => self.stored(&search, before, limit).await,
            Question::StoredInstances { study, after, limit } => {
                self.stored_instances(study, after, limit, &actor).await
            }
            Question::Header { instance } => self.header(instance).await,
            // Answered with bytes before it comes here.
            Question::Instance { .. } | Question::Picture { .. } | Question::Folder { .. } => {
                Err(step_refused(NotNow.into()))
            }
            Question::Verify { after } => self.verify(after).await,
            Question::Nodes => Ok(self.nodes()),
            Question::WriteDown { act, transfer, about } => {
                self.write_down_act(act, transfer, about, actor).await
            }
            Question::TestNode { ae_title } => self.test_node(ae_title).await,
            Question::Certificates
            | Question::Enrol { .. }
            | Question::RenewCertificate
            | Question::RequestCertificate { .. }
            | Question::ImportCertificate { .. }
            | Question::RotateRecipientKey => self.about_certificates(call.question, &actor).await,
            Question::Audit { before, limit } => self.audit(before, limit).await,
            Question::WaitForChange { since } => Ok(self.wait_for_change(since).await),
        }
    }

    async fn studies(&self, before: Option<StudyNumber>, limit: u32) -> Answer {
        let before = match before {
            Some(study) => Some(self.study(study).await?.cursor),
            None => None,
        };
        let rows = self.road.custody.studies(before, limit.min(MAX_PAGE)).await.map_err(storage)?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            found.push(self.study_line(row).await?);
        }
        Ok(Reply::Studies(found))
    }

    pub(super) async fn study(&self, study: StudyNumber) -> Result<StudyRow, Refusal> {
        let found = self.road.custody.study(CollectionId(study.0)).await.map_err(storage)?;
        found.ok_or_else(|| refusal(RefusalCode::NotFound, "no such study waits to be sent"))
    }

    pub(super) async fn row(&self, transfer: TransferId) -> Result<TransferRow, Refusal> {
        let found = self.road.custody.transfer(transfer).await.map_err(storage)?;
        found.ok_or_else(|| refusal(RefusalCode::NotFound, "no such transfer"))
    }

    async fn close(&self, study: StudyNumber) -> Answer {
        let study = self.study(study).await?;
        close::close_transfer(&self.road, study.transfer).await.map_err(step_refused)?;
        Ok(Reply::Done)
    }

    pub(super) async fn check(&self, study: StudyNumber, addressee: &AddresseeId) -> Answer {
        let study = self.study(study).await?;
        let entry = self.road.directory.find(addressee);
        let entry =
            entry.ok_or_else(|| refusal(RefusalCode::NotFound, "the directory has no such addressee"))?;
        let flags = address::flags(&self.road, &study, &entry.addressee).await.map_err(step_refused)?;
        let (certified_name, key_thumbprint, obstacle) = match address::look_up(&self.road, addressee) {
            Ok((_, recipient)) => {
                let name = recipient.organisation().name().to_owned();
                (Some(name), Some(lines::thumbprint(&recipient.key_id())), None)
            }
            Err(error) => (None, None, Some(address_refused(error))),
        };
        let addendum_to = addendum::earlier_to(&self.road, study.collection, &entry.addressee.ura).await;
        let check = Check {
            study: self.study_line(&study).await?,
            addendum_to: addendum_to.map_err(storage)?.map(addenda::earlier_line),
            addressee: entry.addressee,
            certified_name,
            key_thumbprint,
            flags,
            obstacle,
        };
        Ok(Reply::Check(Box::new(check)))
    }

    async fn send(&self, study: StudyRef, decision: Decision) -> Answer {
        let study = self.study_named(study).await?;
        address::address(&self.road, study.transfer, decision).await.map_err(address_refused)?;
        Ok(Reply::Sent(study.transfer))
    }

    /// A study by its number or its UID.
    pub(super) async fn study_named(&self, study: StudyRef) -> Result<StudyRow, Refusal> {
        let uid = match study {
            StudyRef::Number(number) => return self.study(number).await,
            StudyRef::Uid(uid) => uid,
        };
        let mut found = self.road.custody.study_by_uid(&uid).await.map_err(storage)?;
        if found.len() > 1 {
            return Err(refusal(
                RefusalCode::Ambiguous,
                "more than one received study has this UID; use its number",
            ));
        }
        found.pop().ok_or_else(|| refusal(RefusalCode::NotFound, "no such study waits to be sent"))
    }

    async fn transfers(&self, direction: Direction, before: Option<TransferId>, limit: u32) -> Answer {
        let before = match before {
            Some(transfer) => Some(self.row(transfer).await?.cursor),
            None => None,
        };
        let page =
            self.road.custody.transfers(direction, before, limit.min(MAX_PAGE)).await.map_err(storage)?;
        let mut found = Vec::with_capacity(page.len());
        for row in page {
            found.push(lines::transfer_line(&self.road, &row).await.map_err(storage)?);
        }
        Ok(Reply::Transfers(found))
    }

    async fn transfer_detail(&self, transfer: TransferId) -> Answer {
        let row = self.row(transfer).await?;
        let detail = lines::transfer_detail(&self.road, &row).await.map_err(storage)?;
        Ok(Reply::Transfer(Box::new(detail)))
    }

    async fn undo(&self, transfer: TransferId, actor: &str) -> Answer {
        let row = self.row(transfer).await?;
        address::undo(&self.road, &row, actor).await.map_err(|failure| match failure {
            StepError::NotNow(_) | StepError::Custody(CustodyError::Stale) => refusal(
                RefusalCode::NotNow,
                "too late to undo: it is being sent; take it back instead (recall)",
            ),
            StepError::Custody(error) => storage(error),
        })?;
        Ok(Reply::Done)
    }

    async fn recall(&self, transfer: TransferId, actor: &str) -> Answer {
        let row = self.row(transfer).await?;
        recall::recall(&self.road, &row, actor).await.map_err(|failure| match failure {
            RecallError::TooLate => refusal(
                RefusalCode::NotNow,
                "too late to recall: the other hospital has it in custody; ask it back (ask-back), and call them",
            ),
            RecallError::Portal(error) => {
                tracing::warn!(%transfer, %error, "a recall did not reach the portal");
                refusal(
                    RefusalCode::PortalUnreachable,
                    "the portal did not take the recall; try again at once, and call the other hospital if it stays so",
                )
            }
            RecallError::Step(step) => step_refused(step),
        })?;
        Ok(Reply::Done)
    }

    /// No new push from the PACS: a further transfer on the same images. Asking twice offers it once.
    async fn offer_again(&self, transfer: TransferId, actor: &str) -> Answer {
        let row = self.row(transfer).await?;
        let (State::Outbound(_), Some(collection)) = (&row.state, row.collection) else {
            return Err(step_refused(NotNow.into()));
        };
        let id = TransferId::from_random(self.road.random_bytes());
        let record = self.audited(actor, "offer-again", id);
        let made = self.road.custody.offer_again(collection, id, record, self.road.now()).await;
        made.map_err(|error| {
            if matches!(error, CustodyError::Erased) {
                return erased();
            }
            if matches!(error, CustodyError::StillCollecting) {
                return step_refused(NotNow.into());
            }
            storage(error)
        })?;
        let study = self.study(StudyNumber(collection.0)).await?;
        Ok(Reply::Study(Box::new(self.study_line(&study).await?)))
    }

    async fn ask_back(&self, transfer: TransferId, reason: Confidential, actor: &str) -> Answer {
        if reason.is_empty() {
            return Err(refusal(RefusalCode::BadValue, "say why: the other hospital has to decide on it"));
        }
        let row = self.row(transfer).await?;
        ask_back::ask(&self.road, &row, reason, actor).await.map_err(|failure| {
            if matches!(failure, QuestionError::Step(StepError::NotNow(_))) {
                return refusal(
                    RefusalCode::NotNow,
                    "only what the other hospital has collected can be asked back, and only once; otherwise take it back",
                );
            }
            question_refused(failure)
        })?;
        Ok(Reply::Done)
    }

    /// Whether the sender waits for a person's answer to its question for this transfer back.
    async fn check_not_asked_back(&self, transfer: TransferId) -> Result<(), Refusal> {
        let asks = self.road.custody.asks_about(transfer).await.map_err(storage)?;
        match asks.iter().any(|row| row.ask.state == AskState::Open) {
            true => Err(refusal(RefusalCode::NotNow, "the sender asks for it back: answer that first")),
            false => Ok(()),
        }
    }

    /// Lets a held transfer go on, or tries a waiting one at once.
    async fn resume(&self, transfer: TransferId, actor: &str) -> Answer {
        let row = self.row(transfer).await?;
        self.check_not_asked_back(transfer).await?;
        let mut changes =
            Changes { audit: vec![self.audited(actor, "resume", transfer)], ..Changes::default() };
        if let State::Outbound(OutboundState::Held { reason: HoldReason::RecipientKeyChanged, .. }) =
            &row.state
        {
            changes.known_key = self.compared_key(&row, actor)?;
            changes.audit.push(self.audited(actor, "accept-key", transfer));
        }
        let moved = match &row.state {
            State::Outbound(_) => {
                self.road.step_outbound(&row, OutboundEvent::Resumed, changes).await.map(|to| to.is_some())
            }
            State::Inbound(InboundState::Held { .. }) => self
                .road
                .step_inbound(&row, InboundEvent::Resumed, changes, Vec::new())
                .await
                .map(|to| to.is_some()),
            State::Inbound(_) => Ok(false),
        };
        if !moved.map_err(step_refused)? {
            if row.waiting.is_none() {
                return Err(step_refused(NotNow.into()));
            }
            self.road.set_due(&row, Some(self.road.now())).await.map_err(storage)?;
        }
        news::catch_up(&self.road, &transfer).await;
        Ok(Reply::Done)
    }

    /// A person compared the new key of a known partner: from now on it is the known one.
    fn compared_key(&self, row: &TransferRow, actor: &str) -> Result<Option<KnownKey>, Refusal> {
        let Some(snapshot) = &row.addressee else { return Ok(None) };
        let (addressee, recipient) = address::look_up(&self.road, &snapshot.id).map_err(address_refused)?;
        Ok(Some(KnownKey {
            ura: addressee.ura.clone(),
            endpoint: address::endpoint_of(&addressee),
            key_id: recipient.key_id().to_string(),
            first_seen_at: self.road.now(),
            confirmed_by: Some(actor.to_owned()),
        }))
    }

    async fn verify(&self, after: Option<i64>) -> Answer {
        let rows = self.road.custody.all_instances(after, VERIFY_PAGE).await.map_err(storage)?;
        let next = rows.last().map(|row| row.id);
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            let digest =
                self.road.custody.verify_instance(&row).await.ok().filter(|digest| *digest == row.digest);
            found.push(VerifiedLine { sop_instance: row.sop_instance, digest });
        }
        Ok(Reply::Verified(VerifiedPage { lines: found, next }))
    }

    async fn test_node(&self, ae_title: Option<AeTitle>) -> Answer {
        let settings = &self.road.settings;
        let node = match &ae_title {
            None => &settings.pacs,
            Some(title) if *title == settings.pacs.ae_title => &settings.pacs,
            Some(title) => settings.peer(title).and_then(|peer| peer.node.as_ref()).ok_or_else(|| {
                refusal(
                    RefusalCode::NotFound,
                    "the settings do not say where this peer listens (dicom.peers, node)",
                )
            })?,
        };
        let diagnosis = diagnose(node, &settings.ae_title, AssociationLimits::default()).await;
        Ok(Reply::NodeTest(lines::node_test(node, &diagnosis)))
    }

    async fn audit(&self, before: Option<i64>, limit: u32) -> Answer {
        let rows = self.road.custody.audit(before.map(Cursor), limit.min(MAX_PAGE)).await.map_err(storage)?;
        let line = |row: beeldbox_custody::AuditRow| AuditLine {
            number: row.seq,
            at: row.record.at,
            actor: row.record.actor,
            action: row.record.action,
            transfer: row.record.transfer,
            detail: (!row.record.detail.is_empty()).then_some(row.record.detail),
        };
        Ok(Reply::Audit(rows.into_iter().map(line).collect()))
    }

    async fn wait_for_change(&self, since: u64) -> Reply {
        let mut changes = self.road.custody.changes();
        let news = changes.wait_for(|change| change + 1 != since);
        let change = match tokio::time::timeout(LONGEST_WAIT, news).await {
            Ok(Ok(change)) => *change,
            Ok(Err(_)) | Err(_) => *self.road.custody.changes().borrow(),
        };
        // From 1, so that 0 always means "tell me where we are".
        Reply::Changed(change + 1)
    }

    fn audited(&self, actor: &str, action: &str, transfer: TransferId) -> AuditRecord {
        AuditRecord {
            at: self.road.now(),
            actor: actor.to_owned(),
            action: action.to_owned(),
            transfer: Some(transfer),
            detail: Confidential::default(),
        }
    }
}
