//! A fake daemon with made-up patients: answers on a real Unix socket, so that pages can be made and tested alone.
#![allow(dead_code, missing_docs, reason = "shared by test files and an example, each of which uses a part")]
#![allow(clippy::unwrap_used, reason = "for tests; what is made up here is valid")]

mod admin;
mod data;
mod matching;
mod requests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use beeldbox_protocol::admin::{
    Addressee, AddresseePage, Answer, AskCode, AskLine, AuditLine, Call, Check, CheckFlag, DeclineCode,
    Question, Reception, Refusal, RefusalCode, Reply, RequestCode, RequestLine, StateCode, Status, StudyLine,
    StudyNumber, StudyRef, TransferDetail, UnbelievedRequest, WhoCode,
};
use beeldbox_protocol::clinical::{Confidential, Patient};
use beeldbox_protocol::ident::{AddresseeId, TransferId};
use jiff::Timestamp;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

/// What the fake daemon knows. Tests change it while pages are open.
pub struct World {
    pub status: Status,
    pub studies: Vec<StudyLine>,
    pub sent: Vec<TransferDetail>,
    pub inbox: Vec<TransferDetail>,
    pub directory: Vec<Addressee>,
    pub flags: Vec<CheckFlag>,
    pub thumbprint: String,
    pub obstacle: Option<Refusal>,
    pub favourites: Vec<AddresseeId>,
    pub recent: Vec<AddresseeId>,
    pub requests: Vec<RequestLine>,
    pub not_believed: Vec<UnbelievedRequest>,
    pub audit: Vec<AuditLine>,
    pub asked: Vec<Call>,
    pub now: Timestamp,
}

/// The daemon; a clone is the same one.
#[derive(Clone)]
pub struct FakeBox {
    pub world: Arc<Mutex<World>>,
    change: Arc<watch::Sender<u64>>,
    stopped: Arc<watch::Sender<bool>>,
}

impl FakeBox {
    pub fn new(now: Timestamp) -> FakeBox {
        FakeBox {
            world: Arc::new(Mutex::new(data::world(now))),
            change: Arc::new(watch::Sender::new(1)),
            stopped: Arc::new(watch::Sender::new(false)),
        }
    }

    /// Answers at a socket until it is stopped.
    pub fn listen(&self, socket: PathBuf) {
        let _ = std::fs::remove_file(&socket);
        self.stopped.send_replace(false);
        let listener = UnixListener::bind(socket).expect("the socket can be made");
        let fake = self.clone();
        tokio::spawn(async move {
            let mut stopped = fake.stopped.subscribe();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let Ok((stream, _)) = accepted else { return };
                        tokio::spawn(fake.clone().talk_until_stopped(stream));
                    }
                    _ = stopped.wait_for(|stopped| *stopped) => return,
                }
            }
        });
    }

    /// Ends every connection, as a crash would.
    pub fn stop(&self) {
        self.stopped.send_replace(true);
    }

    async fn talk_until_stopped(self, stream: UnixStream) {
        let mut stopped = self.stopped.subscribe();
        tokio::select! {
            () = self.talk(stream) => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
    }

    /// Changes the world and says so.
    pub fn change(&self, how: impl FnOnce(&mut World)) {
        how(&mut self.world.lock().unwrap());
        self.change.send_modify(|change| *change += 1);
    }

    /// What was asked, but for looking.
    pub fn acts(&self) -> Vec<Call> {
        let world = self.world.lock().unwrap();
        let is_act = |call: &&Call| {
            matches!(
                call.question,
                Question::Send { .. }
                    | Question::Undo { .. }
                    | Question::Recall { .. }
                    | Question::AskBack { .. }
                    | Question::AnswerAsk { .. }
                    | Question::Resume { .. }
                    | Question::Import { .. }
                    | Question::AgreeToImport { .. }
                    | Question::DropProposal { .. }
                    | Question::SetAside { .. }
                    | Question::Decline { .. }
                    | Question::CloseStudy { .. }
                    | Question::SetFavourite { .. }
                    | Question::RequestImages { .. }
                    | Question::WithdrawRequest { .. }
                    | Question::RefuseRequest { .. }
                    | Question::SendAnswer { .. }
                    | Question::Redirect { .. }
                    | Question::Forward { .. }
                    | Question::Enrol { .. }
                    | Question::RenewCertificate
                    | Question::RequestCertificate { .. }
                    | Question::ImportCertificate { .. }
                    | Question::RotateRecipientKey
            )
        };
        world.asked.iter().filter(is_act).cloned().collect()
    }

    async fn talk(self, stream: UnixStream) {
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let answer = match serde_json::from_str::<Call>(&line) {
                Ok(Call { question: Question::WaitForChange { since }, .. }) => self.wait(since).await,
                Ok(call) => self.answer(call),
                Err(_) => refuse(RefusalCode::NotAQuestion, "that is not a question"),
            };
            let mut text = serde_json::to_vec(&answer).unwrap();
            text.push(b'\n');
            if write.write_all(&text).await.is_err() {
                return;
            }
        }
    }

    async fn wait(&self, since: u64) -> Answer {
        let mut change = self.change.subscribe();
        let _ =
            tokio::time::timeout(std::time::Duration::from_secs(25), change.wait_for(|now| *now != since))
                .await;
        Ok(Reply::Changed(*change.borrow()))
    }

    fn answer(&self, call: Call) -> Answer {
        let mut world = self.world.lock().unwrap();
        world.asked.push(call.clone());
        let answer = world.answer(call);
        let is_change = matches!(answer, Ok(Reply::Sent(_) | Reply::Done));
        drop(world);
        if is_change {
            self.change.send_modify(|change| *change += 1);
        }
        answer
    }
}

fn refuse(code: RefusalCode, message: &str) -> Answer {
    Err(Refusal { code, message: message.to_owned() })
}

impl World {
    fn answer(&mut self, call: Call) -> Answer {
        let nothing = || refuse(RefusalCode::NotFound, "there is nothing of that name");
        match call.question {
            Question::Status => Ok(Reply::Status(Box::new(self.status_now()))),
            Question::Studies { before, limit } => {
                let limit = usize::try_from(limit).unwrap();
                let older =
                    self.studies.iter().filter(|line| before.is_none_or(|before| line.study < before));
                Ok(Reply::Studies(older.take(limit).cloned().collect()))
            }
            Question::Study { study } => match self.studies.iter().find(|line| line.study == study) {
                Some(line) => Ok(Reply::Study(Box::new(line.clone()))),
                None => nothing(),
            },
            Question::CloseStudy { study } => self.close(study),
            Question::Addressees { query, limit } => Ok(Reply::Addressees(self.search(&query, limit))),
            Question::UsualAddressees { limit } => Ok(Reply::Addressees(self.usual(limit))),
            Question::SetFavourite { addressee, is_favourite } => {
                self.favourites.retain(|id| *id != addressee);
                self.favourites.extend(is_favourite.then_some(addressee));
                Ok(Reply::Done)
            }
            Question::Check { study, addressee } => {
                let line = self.studies.iter().find(|line| line.study == study).cloned();
                let addressee = self.directory.iter().find(|entry| entry.id == addressee).cloned();
                let (Some(line), Some(addressee)) = (line, addressee) else { return nothing() };
                Ok(Reply::Check(Box::new(self.check(line, addressee))))
            }
            Question::Send { .. } => self.send(call),
            Question::Transfers { before, limit } => Ok(page(&self.sent, before, limit)),
            Question::Inbox { before, limit } => Ok(page(&self.inbox, before, limit)),
            Question::Transfer { transfer } => match self.find(transfer) {
                Some(detail) => Ok(Reply::Transfer(Box::new(detail.clone()))),
                None => nothing(),
            },
            Question::Undo { transfer } => {
                let at = self.sent.iter().position(|detail| detail.line.transfer == transfer);
                at.map_or_else(nothing, |at| {
                    self.sent.remove(at);
                    Ok(Reply::Done)
                })
            }
            Question::AskBack { transfer, reason } => self.settle_ask(transfer, AskCode::Asked, Some(reason)),
            Question::AnswerAsk { transfer, removed } => {
                let state = if removed { AskCode::Granted } else { AskCode::Refused };
                self.settle_ask(transfer, state, None)
            }
            Question::Recall { transfer } => self.settle(transfer, StateCode::Recalled, None),
            Question::Resume { transfer } => self.settle(transfer, StateCode::Sending, None),
            Question::Import { .. }
            | Question::AgreeToImport { .. }
            | Question::DropProposal { .. }
            | Question::SetAside { .. }
            | Question::Candidates { .. } => self.about_matching(call.question),
            Question::Decline { transfer, reason, .. } => {
                self.settle(transfer, StateCode::Declined, Some(reason))
            }
            Question::StudyOf { transfer } => self.study_of(transfer),
            Question::Redirect { transfer, to, note, .. } => {
                self.redirect(transfer, to, note, call.actor.name)
            }
            Question::Forward { transfer, to } => self.forward(transfer, &to),
            Question::CheckAnswer { study, addressee, .. } => self.check_answer(study, addressee),
            Question::SendAnswer { request, study, addressee, note, reply_contact, urgent, acknowledged } => {
                let Some(addressee) = addressee else { return nothing() };
                let send = Question::Send { study, addressee, note, reply_contact, urgent, acknowledged };
                self.send_answer(request, Call { actor: call.actor, question: send })
            }
            Question::Requests { .. }
            | Question::Request { .. }
            | Question::CheckRequest { .. }
            | Question::RequestImages { .. }
            | Question::WithdrawRequest { .. }
            | Question::RefuseRequest { .. } => self.about_requests(call.question, &call.actor.name),
            Question::Nodes
            | Question::Stored { .. }
            | Question::StoredInstances { .. }
            | Question::Instance { .. }
            | Question::Picture { .. }
            | Question::Header { .. }
            | Question::Folder { .. }
            | Question::TestNode { .. }
            | Question::WriteDown { .. }
            | Question::Audit { .. }
            | Question::Certificates
            | Question::Enrol { .. }
            | Question::RenewCertificate
            | Question::RequestCertificate { .. }
            | Question::ImportCertificate { .. }
            | Question::RotateRecipientKey => self.about_the_box(call.question, &call.actor.name),
            Question::OfferAgain { .. } | Question::Verify { .. } | Question::WaitForChange { .. } => {
                refuse(RefusalCode::NotSupported, "the fake box cannot do that")
            }
        }
    }

    fn send(&mut self, call: Call) -> Answer {
        let nothing = || refuse(RefusalCode::NotFound, "there is nothing of that name");
        let Question::Send { study, addressee, note, reply_contact, urgent, .. } = call.question else {
            return nothing();
        };
        let StudyRef::Number(number) = study else { return nothing() };
        let Some(at) = self.studies.iter().position(|line| line.study == number) else { return nothing() };
        let Some(to) = self.directory.iter().find(|entry| entry.id == addressee).cloned() else {
            return nothing();
        };
        let line = self.studies.remove(at);
        let mut detail = data::sent(&line, &to, StateCode::Addressed, self.now);
        detail.note = note;
        detail.reply_contact = reply_contact;
        detail.line.urgent = urgent;
        detail.line.situation.undo_until = self.now.checked_add(jiff::SignedDuration::from_secs(8)).ok();
        detail.requested_by = Some(call.actor.name);
        let transfer = detail.line.transfer;
        self.sent.insert(0, detail);
        Ok(Reply::Sent(transfer))
    }

    fn check_answer(&self, study: StudyNumber, addressee: Option<AddresseeId>) -> Answer {
        let addressee = addressee.and_then(|id| self.directory.iter().find(|entry| entry.id == id).cloned());
        let line = self.studies.iter().find(|line| line.study == study).cloned();
        let (Some(line), Some(addressee)) = (line, addressee) else {
            return refuse(RefusalCode::NotFound, "there is nothing of that name");
        };
        Ok(Reply::Check(Box::new(self.check(line, addressee))))
    }

    fn send_answer(&mut self, request: TransferId, send: Call) -> Answer {
        let sent = self.send(send);
        if let Ok(Reply::Sent(transfer)) = &sent {
            let line = self.requests.iter_mut().find(|line| line.request == request).unwrap();
            line.state = RequestCode::Answered;
            line.answers.push(*transfer);
        }
        sent
    }

    fn study_of(&self, transfer: TransferId) -> Answer {
        let Some(detail) = self.find(transfer) else {
            return refuse(RefusalCode::NotFound, "there is nothing of that name");
        };
        let line = self.studies.iter().find(|line| Some(&line.patient) == detail.line.patient.as_ref());
        line.map_or_else(
            || refuse(RefusalCode::NothingToSend, "this box has erased the images"),
            |line| Ok(Reply::Study(Box::new(line.clone()))),
        )
    }

    fn redirect(
        &mut self,
        transfer: TransferId,
        to: Option<AddresseeId>,
        note: Option<Confidential>,
        by: String,
    ) -> Answer {
        let to = self.directory.iter().find(|entry| Some(&entry.id) == to.as_ref()).cloned().unwrap();
        let mut further = self.find(transfer).unwrap().clone();
        further.line.transfer = data::transfer_id(45);
        further.line.situation = data::situation(StateCode::Addressed, self.now, WhoCode::Nobody);
        further.line.partner.as_mut().unwrap().organisation = to.organisation;
        further.line.partner.as_mut().unwrap().department = to.department;
        further.line.belongs_at = None;
        further.note = note;
        further.requested_by = Some(by);
        let id = further.line.transfer;
        self.sent.insert(0, further);
        Ok(Reply::Sent(id))
    }

    fn forward(&mut self, transfer: TransferId, to: &AddresseeId) -> Answer {
        let desk = self.directory.iter().find(|entry| entry.id == *to).and_then(Addressee::desk);
        let Some(detail) = self.inbox.iter_mut().find(|detail| detail.line.transfer == transfer) else {
            return refuse(RefusalCode::NotFound, "there is nothing of that name");
        };
        detail.line.desk = desk;
        Ok(Reply::Done)
    }

    fn close(&mut self, study: StudyNumber) -> Answer {
        let Some(line) = self.studies.iter_mut().find(|line| line.study == study) else {
            return refuse(RefusalCode::NotFound, "there is nothing of that name");
        };
        line.situation.state = StateCode::Queued;
        Ok(Reply::Done)
    }

    /// Counts follow the lists, as the real ones do.
    fn status_now(&self) -> Status {
        let count = |n: usize| u32::try_from(n).unwrap();
        let is_open = |detail: &&TransferDetail| {
            matches!(
                detail.line.situation.state,
                StateCode::Addressed | StateCode::Sending | StateCode::Accepted
            )
        };
        Status {
            studies_waiting: count(self.studies.len()),
            outbound_open: count(self.sent.iter().filter(is_open).count()),
            inbox_waiting: count(
                self.inbox.iter().filter(|d| d.line.situation.state == StateCode::Opened).count(),
            ),
            ..self.status.clone()
        }
    }

    fn search(&self, query: &str, limit: u32) -> AddresseePage {
        let words: Vec<String> = query.to_lowercase().split_whitespace().map(str::to_owned).collect();
        let fits = |entry: &&Addressee| {
            if entry.ura.as_str() == query {
                return true;
            }
            let department = entry.department.as_deref().unwrap_or_default();
            let place = entry.place.as_deref().unwrap_or_default();
            let text = format!("{} {department} {place}", entry.organisation).to_lowercase();
            words.iter().all(|word| text.split([' ', '-']).any(|part| part.starts_with(word)))
        };
        let found = self.directory.iter().filter(fits).take(usize::try_from(limit).unwrap());
        self.page(found.cloned().collect())
    }

    fn usual(&self, limit: u32) -> AddresseePage {
        let recent = self.recent.iter().filter(|id| !self.favourites.contains(id));
        let ids = self.favourites.iter().chain(recent).take(usize::try_from(limit).unwrap());
        self.page(ids.filter_map(|id| self.directory.iter().find(|entry| entry.id == *id)).cloned().collect())
    }

    fn page(&self, addressees: Vec<Addressee>) -> AddresseePage {
        let portal = &self.status.portal;
        let age = portal.directory_as_of.map(|as_of| self.now.as_second() - as_of.as_second());
        AddresseePage {
            favourites: self.favourites.clone(),
            addressees,
            directory_as_of: portal.directory_as_of,
            directory_age_secs: age.and_then(|age| age.try_into().ok()),
            is_too_old: portal.directory_is_too_old,
            directory_trouble: portal.directory_trouble.clone(),
        }
    }

    fn check(&self, study: StudyLine, addressee: Addressee) -> Check {
        let mut flags = self.flags.clone();
        if study.patient.bsn.is_none() {
            flags.push(CheckFlag::NoBsn);
        }
        if study.situation.state == StateCode::Collecting {
            flags.push(CheckFlag::StillArriving);
        }
        if addressee.reception == Reception::PortalDelivery {
            flags.push(CheckFlag::PortalDelivery);
        }
        let obstacle = if addressee.reception == Reception::NotConnected {
            let message = "no key is published; choose another addressee".to_owned();
            Some(Refusal { code: RefusalCode::AddresseeCannotReceive, message })
        } else {
            self.obstacle.clone()
        };
        let addendum_to = study.earlier.clone().filter(|earlier| earlier.partner.ura == addressee.ura);
        Check {
            addendum_to,
            certified_name: Some(addressee.organisation.clone()).filter(|_| obstacle.is_none()),
            key_thumbprint: Some(self.thumbprint.clone()).filter(|_| obstacle.is_none()),
            study,
            addressee,
            flags,
            obstacle,
        }
    }

    fn find(&self, transfer: TransferId) -> Option<&TransferDetail> {
        self.sent.iter().chain(&self.inbox).find(|detail| detail.line.transfer == transfer)
    }

    fn settle(&mut self, transfer: TransferId, state: StateCode, declined: Option<DeclineCode>) -> Answer {
        let mut all = self.sent.iter_mut().chain(&mut self.inbox);
        let Some(detail) = all.find(|detail| detail.line.transfer == transfer) else {
            return refuse(RefusalCode::NotFound, "there is nothing of that name");
        };
        detail.line.situation.state = state;
        detail.line.situation.since = self.now;
        detail.line.situation.hold = None;
        detail.line.situation.waits_for = None;
        detail.line.situation.next_try_at = None;
        detail.line.situation.declined = declined;
        detail.line.situation.who = WhoCode::Nobody;
        Ok(Reply::Done)
    }

    fn settle_ask(&mut self, transfer: TransferId, state: AskCode, reason: Option<Confidential>) -> Answer {
        let since = self.now;
        let mut all = self.sent.iter_mut().chain(&mut self.inbox);
        let Some(detail) = all.find(|detail| detail.line.transfer == transfer) else {
            return refuse(RefusalCode::NotFound, "there is nothing of that name");
        };
        detail.line.ask = Some(AskLine { state, since, reason });
        Ok(Reply::Done)
    }

    /// Puts another patient behind a study, as a mistake in the real world would.
    pub fn swap_patient(&mut self, study: i64, patient: Patient) {
        let line = self.studies.iter_mut().find(|line| line.study.0 == study).unwrap();
        line.patient = patient;
    }
}

fn page(all: &[TransferDetail], before: Option<TransferId>, limit: u32) -> Reply {
    let last = before.map(|before| all.iter().position(|detail| detail.line.transfer == before).unwrap());
    let older = all.iter().skip(last.map_or(0, |last| last + 1));
    Reply::Transfers(older.take(usize::try_from(limit).unwrap()).map(|detail| detail.line.clone()).collect())
}
