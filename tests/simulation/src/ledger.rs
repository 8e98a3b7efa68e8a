//! The model ledger of a box: what is committed, and nothing else. What is not committed does not exist here.
//!
//! A commit is one change of this, made in one go by the world when its time has come; a crash before that time drops it.
//! A move is refused unless it stands on the real list of `custody::allowed`, leads a held transfer back to where it was,
//! and starts from the state that the transfer is in, compared by kind as the real ledger does.

use std::collections::{BTreeMap, BTreeSet};

use beeldbox_custody::{
    AskState, InboundState, Kind, OutboundKind, OutboundState, State, WaitReason, allowed,
};
use beeldbox_protocol::ident::{Digest, TransferId, Ura};
use beeldbox_transfer::effect::Telling;
use jiff::Timestamp;

use crate::letter::{Instance, SealedLetter};

/// Why the ledger did not do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerError {
    /// Another move came first.
    Stale,
    /// There is no such move. Nobody should ever ask for one.
    MoveNotAllowed(Kind, Kind),
    /// Another transfer needs the images.
    StillNeeded,
    /// There is no such thing.
    Unknown,
}

/// What the box remembers of a study that it has, or is promised.
#[derive(Debug, Clone, Default)]
pub struct Collection {
    /// Its instances.
    pub instances: Vec<Instance>,
    /// Its parts, and which of them are on the disk.
    pub parts: BTreeMap<Digest, bool>,
    /// Keys are gone; the bytes go next.
    pub is_erasing: bool,
    /// Keys and bytes are gone.
    pub is_erased: bool,
}

/// Which study a transfer carries: unique in the world, so that both ends and the checkers mean the same.
pub type CollectionId = u32;

/// One transfer.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its name.
    pub id: TransferId,
    /// Order of making.
    pub seq: u64,
    /// Where it stands.
    pub state: State,
    /// What it carries.
    pub collection: Option<CollectionId>,
    /// When to work on it next.
    pub due_at: Option<Timestamp>,
    /// Tries in this state that did not move it.
    pub attempts: u32,
    /// What it waits for.
    pub waiting: Option<WaitReason>,
    /// Who gets it.
    pub addressee: Option<Ura>,
    /// Who sent it, as the letter says.
    pub sender: Option<Ura>,
    /// The letter, frozen.
    pub letter: Option<SealedLetter>,
    /// When it was made or first seen.
    pub created_at: Timestamp,
    /// What the PACS answered.
    pub delivery: BTreeMap<Instance, u16>,
    /// Receipts of which there is proof: 1 and 2.
    pub receipts: BTreeSet<u8>,
}

/// A question for a transfer back, ours or theirs.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Its Task; the transfer's own name if the transfer was cancelled while it was being delivered.
    pub id: TransferId,
    /// About which transfer.
    pub about: TransferId,
    /// Where it stands.
    pub state: AskState,
    /// The letter that carries it.
    pub letter: Option<SealedLetter>,
    /// When it was made or came.
    pub created_at: Timestamp,
}

/// A change of a question, part of a commit.
#[derive(Debug, Clone)]
pub enum AskChange {
    /// It is new. One that is known changes nothing.
    New(Ask),
    /// It moves: which, from where, to where.
    Move(TransferId, AskState, AskState),
}

/// What the portal has to be told.
#[derive(Debug, Clone)]
pub struct Message {
    /// What.
    pub telling: Telling,
    /// Of which transfer.
    pub transfer: TransferId,
    /// The words.
    pub payload: Vec<u8>,
    /// When.
    pub due_at: Timestamp,
    /// Tries.
    pub attempts: u32,
}

/// What a move changes beside the state, in the same commit.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// When to work on it next; nothing: not scheduled.
    pub due_at: Option<Timestamp>,
    /// The sealed letter.
    pub letter: Option<SealedLetter>,
    /// Who gets it.
    pub addressee: Option<Ura>,
    /// Who sent it.
    pub sender: Option<Ura>,
    /// Forget the addressee: the choice was undone.
    pub unaddress: bool,
    /// A receipt of this stage that is proven, or signed here.
    pub receipt: Option<u8>,
    /// A question about the transfer that this move makes or answers.
    pub ask: Option<AskChange>,
    /// What the portal has to be told because of it.
    pub outbox: Vec<Message>,
}

/// Everything that is committed at one box.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Transfers.
    pub rows: BTreeMap<TransferId, Row>,
    /// What has to be told.
    pub outbox: BTreeMap<u64, Message>,
    /// Studies.
    pub collections: BTreeMap<CollectionId, Collection>,
    /// Questions for transfers back.
    pub asks: BTreeMap<TransferId, Ask>,
    /// Up to where the news was written down.
    pub mark: Option<Timestamp>,
    /// How often a move came too late.
    pub stale: u64,
    /// The mutant: moves are taken from any state.
    pub takes_stale_moves: bool,
    /// The mutant: one choice of an addressee is taken for another.
    pub mixes_choices: bool,
    /// The last number given.
    pub next: u64,
}

impl Ledger {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// A study has come in whole, and waits to be closed.
    pub fn take_in(&mut self, collection: CollectionId, study: Collection, id: TransferId, now: Timestamp) {
        self.collections.insert(collection, study);
        self.insert(id, State::Outbound(OutboundState::Collecting), Some(collection), None, now);
    }

    fn insert(
        &mut self,
        id: TransferId,
        state: State,
        collection: Option<CollectionId>,
        due_at: Option<Timestamp>,
        now: Timestamp,
    ) {
        let seq = self.number();
        let row = Row {
            id,
            seq,
            state,
            collection,
            due_at,
            attempts: 0,
            waiting: None,
            addressee: None,
            sender: None,
            letter: None,
            created_at: now,
            delivery: BTreeMap::new(),
            receipts: BTreeSet::new(),
        };
        self.rows.entry(id).or_insert(row);
    }

    /// A further transfer of a closed study.
    pub fn new_transfer_on(
        &mut self,
        collection: CollectionId,
        id: TransferId,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let study = self.collections.get(&collection).ok_or(LedgerError::Unknown)?;
        if study.is_erasing || study.is_erased {
            return Err(LedgerError::Unknown);
        }
        let queued = State::Outbound(OutboundState::Queued { closed_at: now });
        self.insert(id, queued, Some(collection), None, now);
        Ok(())
    }

    /// The portal announced a transfer.
    pub fn announce(&mut self, id: TransferId, now: Timestamp) {
        self.insert(id, State::Inbound(InboundState::Announced), None, Some(now), now);
    }

    /// Writes down what a letter lists.
    pub fn adopt(&mut self, id: TransferId, letter: &SealedLetter) -> Result<(), LedgerError> {
        let row = self.rows.get_mut(&id).ok_or(LedgerError::Unknown)?;
        let study = letter.instances.first().ok_or(LedgerError::Unknown)?.study;
        // The same images may come twice, for two transfers; each has its own copy here.
        let own = study | (u32::try_from(row.seq).unwrap_or_default() << 16);
        if row.collection.is_none() {
            row.collection = Some(own);
            let parts = letter.parts.iter().map(|part| (*part, false)).collect();
            let instances = letter.instances.clone();
            self.collections.insert(own, Collection { instances, parts, ..Collection::default() });
        }
        Ok(())
    }

    /// A part is on disk, flushed.
    pub fn part_is_here(&mut self, collection: CollectionId, part: Digest) -> Result<(), LedgerError> {
        let study = self.collections.get_mut(&collection).ok_or(LedgerError::Unknown)?;
        *study.parts.get_mut(&part).ok_or(LedgerError::Unknown)? = true;
        Ok(())
    }

    /// Moves a transfer, with everything that is said about the move.
    pub fn advance(
        &mut self,
        id: TransferId,
        from: &State,
        to: &State,
        changes: Changes,
    ) -> Result<(), LedgerError> {
        let goes_back = from.held_from().is_none_or(|back| back == to.kind() || to.kind().is_final());
        if !allowed(from.kind(), to.kind()) || !goes_back {
            return Err(LedgerError::MoveNotAllowed(from.kind(), to.kind()));
        }
        let takes_stale_moves = self.takes_stale_moves;
        let row = self.rows.get_mut(&id).ok_or(LedgerError::Stale)?;
        if row.state.kind() != from.kind() && !takes_stale_moves {
            self.stale += 1;
            return Err(LedgerError::Stale);
        }
        // A choice that was undone and made again is another one.
        let is_choice = from.kind() == Kind::Outbound(OutboundKind::Addressed) && !self.mixes_choices;
        // Older progress, or a hold of it, takes nothing back.
        let takes_back = from.kind() == to.kind() || to.held_from().is_some();
        if (is_choice || takes_back) && row.state != *from && !takes_stale_moves {
            self.stale += 1;
            return Err(LedgerError::Stale);
        }
        if let Some(change) = changes.ask {
            self.change_ask(change)?;
        }
        let row = self.rows.get_mut(&id).ok_or(LedgerError::Stale)?;
        row.state = to.clone();
        row.due_at = changes.due_at;
        row.attempts = 0;
        row.waiting = None;
        row.letter = changes.letter.or(row.letter.take());
        row.addressee = changes.addressee.or(row.addressee.take()).filter(|_| !changes.unaddress);
        row.receipts.extend(changes.receipt);
        row.sender = changes.sender.or(row.sender.take());
        for message in changes.outbox {
            self.tell(message);
        }
        Ok(())
    }

    /// Changes a question, alone or as part of a move.
    pub fn change_ask(&mut self, change: AskChange) -> Result<(), LedgerError> {
        match change {
            AskChange::New(ask) => {
                self.asks.entry(ask.id).or_insert(ask);
            }
            AskChange::Move(id, from, to) => {
                let ask = self.asks.get_mut(&id).filter(|ask| ask.state == from && from.may_become(to));
                let Some(ask) = ask else {
                    self.stale += 1;
                    return Err(LedgerError::Stale);
                };
                ask.state = to;
            }
        }
        Ok(())
    }

    /// The questions about a transfer.
    pub fn asks_about(&self, transfer: TransferId) -> Vec<Ask> {
        self.asks.values().filter(|ask| ask.about == transfer).cloned().collect()
    }

    /// Whether nothing of a transfer is left.
    pub fn is_gone(&self, row: &Row) -> bool {
        let study = row.collection.and_then(|collection| self.collections.get(&collection));
        row.state.kind().is_final() && study.is_none_or(|study| study.is_erased)
    }

    /// Puts a message into the outbox.
    pub fn tell(&mut self, message: Message) {
        let number = self.number();
        self.outbox.insert(number, message);
    }

    /// Notes what a transfer waits for and counts the attempt.
    pub fn set_waiting(&mut self, id: TransferId, state: Kind, reason: WaitReason, due_at: Timestamp) {
        if let Some(row) = self.rows.get_mut(&id).filter(|row| row.state.kind() == state) {
            row.waiting = Some(reason);
            row.due_at = Some(due_at);
            row.attempts += 1;
        }
    }

    /// Schedules a transfer that is still in this kind of state.
    pub fn set_due(&mut self, id: TransferId, state: Kind, due_at: Option<Timestamp>) {
        if let Some(row) = self.rows.get_mut(&id).filter(|row| row.state.kind() == state) {
            row.due_at = due_at;
        }
    }

    /// What is due, the longest overdue first.
    pub fn due(&self, now: Timestamp) -> Vec<Row> {
        let mut due: Vec<&Row> =
            self.rows.values().filter(|row| row.due_at.is_some_and(|at| at <= now)).collect();
        due.sort_by_key(|row| (row.due_at, row.seq));
        due.into_iter().cloned().collect()
    }

    /// When the next transfer is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.rows.values().filter_map(|row| row.due_at).min()
    }

    /// Whether a transfer of the same images is not over.
    pub fn is_needed(&self, collection: CollectionId) -> bool {
        let of = |row: &&Row| row.collection == Some(collection);
        self.rows.values().filter(of).any(|row| !row.state.kind().is_final())
    }

    /// The first commit of erasing: afterwards nobody can read the images.
    pub fn remove_keys(&mut self, collection: CollectionId) -> Result<(), LedgerError> {
        let queued = Kind::Outbound(OutboundKind::Queued);
        let kinds: Vec<Kind> = self.of(collection).map(|id| self.rows[&id].state.kind()).collect();
        if kinds.iter().any(|kind| !kind.is_final() && (*kind != queued || kinds.len() > 1)) {
            return Err(LedgerError::StillNeeded);
        }
        for id in self.of(collection).collect::<Vec<_>>() {
            if let Some(row) = self.rows.get_mut(&id) {
                row.due_at = None;
            }
        }
        self.collections.get_mut(&collection).ok_or(LedgerError::Unknown)?.is_erasing = true;
        Ok(())
    }

    /// The last commit of erasing.
    pub fn finish_erasing(&mut self, collection: CollectionId, now: Timestamp) {
        for id in self.of(collection).collect::<Vec<_>>() {
            if let Some(row) = self.rows.get_mut(&id) {
                row.state = match &row.state {
                    State::Outbound(_) => State::Outbound(OutboundState::Erased { at: now }),
                    State::Inbound(state) => {
                        State::Inbound(InboundState::Erased { at: now, in_pacs: state.in_pacs() })
                    }
                };
            }
        }
        if let Some(study) = self.collections.get_mut(&collection) {
            study.is_erased = true;
        }
    }

    fn of(&self, collection: CollectionId) -> impl Iterator<Item = TransferId> {
        self.rows.values().filter(move |row| row.collection == Some(collection)).map(|row| row.id)
    }

    /// Start-up: ends what erasing was begun. Says of how many studies.
    pub fn recover(&mut self, now: Timestamp) -> u64 {
        let begun: BTreeSet<CollectionId> = self
            .collections
            .iter()
            .filter(|(_, study)| study.is_erasing && !study.is_erased)
            .map(|(id, _)| *id)
            .collect();
        for collection in &begun {
            self.finish_erasing(*collection, now);
        }
        u64::try_from(begun.len()).unwrap_or(u64::MAX)
    }
}
