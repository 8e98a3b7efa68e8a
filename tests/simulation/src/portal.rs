//! The model portal: the life of a transfer as PORTAL.md tells it, one atomic change at a time.
//!
//! Who may move a Task where is asked of the real function. A change is on disk when it is made; the mutants make it
//! otherwise. Nothing here is late, lost or twice: that is the line's business.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use beeldbox_protocol::ident::{Digest, TransferId, Ura};
use beeldbox_protocol::portal::fhir::{CodeableConcept, Meta, Task};
use beeldbox_protocol::portal::task::{Mover, TRANSFER_SYSTEM, TaskStatus, TransferNotice, may_move_as};
use beeldbox_transfer::portal_client::PortalError;
use jiff::Timestamp;

use crate::letter::SealedLetter;
use crate::mutant::Mutant;

/// What a box asks.
#[derive(Debug, Clone)]
pub enum Request {
    /// Make a draft, if there is none.
    Create(Box<Task>),
    /// The Task as it is.
    Read(TransferId),
    /// Move the Task, if it is still the version in hand.
    Update(TransferId, Box<Task>),
    /// Which of these are missing?
    Missing(TransferId, Vec<Digest>),
    /// Keep a part.
    PutPart(TransferId, Digest),
    /// Keep the letter.
    PutLetter(TransferId, SealedLetter),
    /// Give a part.
    GetPart(TransferId, Digest),
    /// Give the letter.
    GetLetter(TransferId),
    /// What changed since?
    News(Option<Timestamp>),
}

impl Request {
    /// In a word, for the trace.
    pub fn name(&self) -> &'static str {
        match self {
            Request::Create(_) => "create",
            Request::Read(_) => "read",
            Request::Update(..) => "update",
            Request::Missing(..) => "missing",
            Request::PutPart(..) => "put-part",
            Request::PutLetter(..) => "put-letter",
            Request::GetPart(..) => "get-part",
            Request::GetLetter(_) => "get-letter",
            Request::News(_) => "news",
        }
    }
}

/// What the portal answers.
#[derive(Debug)]
pub enum Answer {
    /// Done, or it was done already.
    Done,
    /// A Task.
    Task(Box<Task>),
    /// Digests.
    Missing(Vec<Digest>),
    /// A letter.
    Letter(SealedLetter),
    /// Tasks, and the mark up to which everything has been told.
    News(Vec<Task>, Timestamp),
}

/// One transfer at the portal.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The Task.
    pub task: Task,
    /// Who sends.
    pub sender: Ura,
    /// Who may collect.
    pub addressee: Ura,
    /// Until when.
    pub valid_until: Timestamp,
    version: u64,
    letter: Option<SealedLetter>,
    parts: BTreeSet<Digest>,
    /// Whether it was ever committed: every byte was there.
    pub was_committed: bool,
    is_gone: bool,
}

impl Entry {
    /// Where it is.
    pub fn status(&self) -> TaskStatus {
        TaskStatus::from_code(&self.task.status).expect("only known statuses are kept")
    }

    /// As it is told.
    pub fn notice(&self) -> TransferNotice {
        TransferNotice::read(&self.task).expect("only transfers are kept")
    }

    /// Whether every part of its letter is here.
    pub fn is_whole(&self) -> bool {
        self.letter.as_ref().is_some_and(|letter| letter.parts.iter().all(|part| self.parts.contains(part)))
    }
}

/// The portal.
#[derive(Debug)]
pub struct Portal {
    entries: BTreeMap<TransferId, Entry>,
    /// What its disk holds, where that is not the same.
    on_disk: BTreeMap<TransferId, Entry>,
    stamp: Timestamp,
    mutant: Option<Mutant>,
}

impl Portal {
    /// An empty one.
    pub fn new(now: Timestamp, mutant: Option<Mutant>) -> Self {
        Portal { entries: BTreeMap::new(), on_disk: BTreeMap::new(), stamp: now, mutant }
    }

    /// Every transfer.
    pub fn entries(&self) -> &BTreeMap<TransferId, Entry> {
        &self.entries
    }

    /// What its disk holds, which is what it promises by.
    pub fn on_disk(&self) -> &BTreeMap<TransferId, Entry> {
        if self.mutant == Some(Mutant::PortalAnswersBeforeCommit) { &self.on_disk } else { &self.entries }
    }

    /// Everything that was changed is on disk now.
    pub fn flush(&mut self) {
        self.on_disk = self.entries.clone();
    }

    /// Power goes: what is not on disk is lost.
    pub fn crash(&mut self) {
        if self.mutant == Some(Mutant::PortalAnswersBeforeCommit) {
            self.entries = self.on_disk.clone();
        }
    }

    /// Whether something would be told now.
    pub fn has_news(&self, client: &Ura, since: Option<Timestamp>) -> bool {
        since.is_none()
            || self.entries.values().any(|entry| {
                entry.is_seen_by(client) && entry.task.meta.last_updated.is_some_and(|at| Some(at) >= since)
            })
    }

    /// Answers one request. The second value says whether anything was changed.
    pub fn answer(
        &mut self,
        client: &Ura,
        request: Request,
        now: Timestamp,
    ) -> (Result<Answer, PortalError>, bool) {
        match request {
            Request::Create(task) => self.create(client, *task, now),
            Request::Update(id, task) => self.update(client, id, *task, now),
            Request::PutPart(id, digest) => self.put_part(client, id, digest),
            Request::PutLetter(id, letter) => self.put_letter(client, id, letter),
            Request::Read(id) => (self.read(client, id), false),
            Request::Missing(id, digests) => (self.missing(client, id, digests), false),
            Request::GetPart(id, digest) => (self.get_part(client, id, digest), false),
            Request::GetLetter(id) => (self.get_letter(client, id), false),
            Request::News(since) => (Ok(self.news(client, since)), false),
        }
    }

    fn seen(&self, client: &Ura, id: TransferId) -> Result<&Entry, PortalError> {
        self.entries.get(&id).filter(|entry| entry.is_seen_by(client)).ok_or(PortalError::NotFound)
    }

    fn read(&self, client: &Ura, id: TransferId) -> Result<Answer, PortalError> {
        Ok(Answer::Task(Box::new(self.seen(client, id)?.task.clone())))
    }

    fn missing(&self, client: &Ura, id: TransferId, digests: Vec<Digest>) -> Result<Answer, PortalError> {
        let entry = self.seen(client, id)?;
        Ok(Answer::Missing(digests.into_iter().filter(|digest| !entry.parts.contains(digest)).collect()))
    }

    fn get_part(&self, client: &Ura, id: TransferId, digest: Digest) -> Result<Answer, PortalError> {
        let entry = self.seen(client, id)?;
        let is_there = !entry.is_gone && entry.parts.contains(&digest);
        if is_there { Ok(Answer::Done) } else { Err(PortalError::NotFound) }
    }

    fn get_letter(&self, client: &Ura, id: TransferId) -> Result<Answer, PortalError> {
        let entry = self.seen(client, id)?;
        let letter = entry.letter.as_ref().filter(|_| !entry.is_gone).ok_or(PortalError::NotFound)?;
        Ok(Answer::Letter(Rc::clone(letter)))
    }

    fn news(&self, client: &Ura, since: Option<Timestamp>) -> Answer {
        let mut told: Vec<Task> = self
            .entries
            .values()
            .filter(|entry| entry.is_seen_by(client))
            .map(|entry| &entry.task)
            .filter(|task| since.is_none() || task.meta.last_updated >= since)
            .cloned()
            .collect();
        told.sort_by_key(|task| task.meta.last_updated);
        let mark = self.stamp.checked_add(jiff::SignedDuration::from_micros(1)).unwrap_or(self.stamp);
        Answer::News(told, mark)
    }

    fn next_stamp(&mut self, now: Timestamp) -> Timestamp {
        let later = self.stamp.checked_add(jiff::SignedDuration::from_micros(1)).unwrap_or(now);
        self.stamp = later.max(now);
        self.stamp
    }

    fn create(
        &mut self,
        client: &Ura,
        mut task: Task,
        now: Timestamp,
    ) -> (Result<Answer, PortalError>, bool) {
        let Ok(id) = task.id.parse::<TransferId>() else { return (Err(PortalError::RefusedUs(422)), false) };
        if let Some(entry) = self.entries.get(&id) {
            let is_theirs = entry.is_seen_by(client);
            return (if is_theirs { Ok(Answer::Done) } else { Err(PortalError::NotFound) }, false);
        }
        let end = task.restriction.as_ref().and_then(|r| r.period.as_ref()).and_then(|period| period.end);
        let Some(valid_until) = end.filter(|end| *end > now) else {
            return (Err(PortalError::RefusedUs(422)), false);
        };
        task.meta = Meta { version_id: Some("1".to_owned()), last_updated: Some(self.next_stamp(now)) };
        let Ok(notice) = TransferNotice::read(&task) else {
            return (Err(PortalError::RefusedUs(422)), false);
        };
        let entry = Entry {
            sender: notice.sender,
            addressee: notice.addressee,
            valid_until,
            version: 1,
            letter: None,
            parts: BTreeSet::new(),
            was_committed: false,
            is_gone: false,
            task,
        };
        self.entries.insert(id, entry);
        (Ok(Answer::Done), true)
    }

    fn put_part(
        &mut self,
        client: &Ura,
        id: TransferId,
        digest: Digest,
    ) -> (Result<Answer, PortalError>, bool) {
        let forgets_one = self.mutant == Some(Mutant::PortalForgetsAPart);
        match self.draft_of(client, id) {
            Ok(entry) => {
                let forgets = forgets_one && entry.parts.is_empty();
                let is_new = !forgets && entry.parts.insert(digest);
                (Ok(Answer::Done), is_new)
            }
            Err(error) => (Err(error), false),
        }
    }

    fn put_letter(
        &mut self,
        client: &Ura,
        id: TransferId,
        letter: SealedLetter,
    ) -> (Result<Answer, PortalError>, bool) {
        match self.draft_of(client, id) {
            Ok(entry) => match &entry.letter {
                Some(there) if *there == letter => (Ok(Answer::Done), false),
                Some(_) => (Err(PortalError::Conflict), false),
                None => {
                    entry.letter = Some(letter);
                    (Ok(Answer::Done), true)
                }
            },
            Err(error) => (Err(error), false),
        }
    }

    fn draft_of(&mut self, client: &Ura, id: TransferId) -> Result<&mut Entry, PortalError> {
        let entry = self.entries.get_mut(&id).filter(|entry| entry.sender == *client);
        let entry = entry.ok_or(PortalError::NotFound)?;
        if entry.status() == TaskStatus::Draft { Ok(entry) } else { Err(PortalError::Conflict) }
    }

    fn update(
        &mut self,
        client: &Ura,
        id: TransferId,
        task: Task,
        now: Timestamp,
    ) -> (Result<Answer, PortalError>, bool) {
        let mutant = self.mutant;
        let stamp = self.next_stamp(now);
        let Some(entry) = self.entries.get_mut(&id).filter(|entry| entry.is_seen_by(client)) else {
            return (Err(PortalError::NotFound), false);
        };
        let from = entry.status();
        let Some(to) = TaskStatus::from_code(&task.status) else {
            return (Err(PortalError::RefusedUs(422)), false);
        };
        let kind = entry.notice().kind;
        let may_move = |mover| may_move_as(kind, mover, from, to);
        let is_sender = entry.sender == *client && may_move(Mover::Sender);
        let is_addressee = entry.addressee == *client && may_move(Mover::Addressee);
        let breaks = mutant == Some(Mutant::PortalLetsAnybodyMove);
        if !breaks
            && (task.meta.version_id != Some(entry.version.to_string()) || !(is_sender || is_addressee))
        {
            return (Err(PortalError::Conflict), false);
        }
        if from == TaskStatus::Draft && to == TaskStatus::Requested {
            let takes_all = mutant == Some(Mutant::PortalForgetsAPart);
            if !entry.is_whole() && !takes_all {
                return (Err(PortalError::MissingParts(Vec::new())), false);
            }
            entry.was_committed = true;
        }
        entry.version += 1;
        entry.task = task;
        entry.task.meta = Meta { version_id: Some(entry.version.to_string()), last_updated: Some(stamp) };
        entry.is_gone |= to == TaskStatus::Cancelled;
        (Ok(Answer::Done), true)
    }

    /// Lets go of what nobody collected in time. Says of how many.
    pub fn sweep(&mut self, now: Timestamp) -> usize {
        let late = |entry: &Entry| {
            let kind = entry.notice().kind;
            let may_expire = may_move_as(kind, Mover::Portal, entry.status(), TaskStatus::Cancelled);
            may_expire && entry.valid_until <= now
        };
        let ids: Vec<TransferId> =
            self.entries.iter().filter(|(_, entry)| late(entry)).map(|(id, _)| *id).collect();
        for id in &ids {
            let stamp = self.next_stamp(now);
            let entry = self.entries.get_mut(id).expect("it was just found");
            entry.version += 1;
            entry.is_gone = true;
            entry.task.status = TaskStatus::Cancelled.code().to_owned();
            entry.task.business_status = Some(CodeableConcept::of(TRANSFER_SYSTEM, "expired"));
            entry.task.meta = Meta { version_id: Some(entry.version.to_string()), last_updated: Some(stamp) };
        }
        ids.len()
    }
}

impl Entry {
    /// A draft, and what was cancelled before it was ever committed, is its sender's alone.
    fn is_seen_by(&self, client: &Ura) -> bool {
        self.sender == *client || self.addressee == *client && self.was_committed
    }
}
