//! Intake: the instances of one association, sealed as they arrive, acknowledged only when they are durable.
//!
//! ```text
//!   begin ──► write … ──► finish:  append ─► fdatasync(pack) ─► judged ─► DurablyStored ──► the caller may say success
//!     │                     │                                      └─ the row's COMMIT follows ([`crate::ledger`])
//!     │                     └──► any failure: no proof, and the pack is never appended to again
//!     └──► abandon: the torn frame is cut off
//! ```
//!
//! One open pack per study, rotated by size. Everything here blocks and is called on the association's own thread.
//! Memory is bounded by one chunk and one buffer per association, whatever the size of the object ([`crate::frame`]).

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;

use beeldbox_protocol::clinical::InstanceAttributes;
use beeldbox_protocol::envelope::data_set_digest::{DataSetDigest, DataSetDigester};
use beeldbox_protocol::envelope::pack::{FrameSummary, InstanceDescription, PackId};
use beeldbox_protocol::ident::{AeTitle, Digest, StudyInstanceUid, TransferId};
use jiff::Timestamp;

use crate::Custody;
use crate::admission::{self, Admission, Arrival, Opening};
use crate::error::{CustodyError, IntakeError};
use crate::frame::Frame;
use crate::ledger::Answer;
use crate::pack_file::{NewPack, OpenPack};
use crate::reading::FrameReader;
use crate::records::CollectionId;

/// Packs one association keeps open. Senders finish a study before they begin the next; more are closed and reopened.
const OPEN_PACKS_MAX: usize = 8;

/// Where the instances of an association come from, and what was meant with them.
#[derive(Debug, Clone)]
pub struct IntakeSource {
    /// Calling AE title.
    pub calling_ae: AeTitle,
    /// The alias AE title that was called; nothing if it was the box's own. Studies sent to different aliases are
    /// different decisions: each gets a collection of its own.
    pub called_alias: Option<AeTitle>,
    /// Most that this peer may have on the box and not erased, in bytes of its packs.
    pub quota_bytes: Option<u64>,
}

/// The instances of one association. Dropping it gives up what is unfinished and closes its packs; the collections go
/// on collecting.
pub struct IntakeSession {
    custody: Custody,
    source: IntakeSource,
    packs: HashMap<Option<StudyInstanceUid>, OpenPack>,
    /// The collection of this association's instances that name no study.
    nameless: Option<CollectionId>,
    frame: Option<Frame>,
    /// Taken from the last frame for the next one.
    buffer: Vec<u8>,
}

/// Proof that an instance is in custody: sealed, flushed, and judged by the ledger. Only custody makes it; whoever answers success
/// must have one.
#[derive(Debug)]
pub struct DurablyStored {
    digest: Digest,
    size_bytes: u64,
    was_duplicate: bool,
}

impl DurablyStored {
    /// SHA-256 of the data set.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Length of the data set, in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Whether the same bytes under the same name were in custody before; then there is no second copy.
    pub fn was_duplicate(&self) -> bool {
        self.was_duplicate
    }
}

impl Custody {
    /// Begins the intake of one association.
    pub fn intake(&self, source: IntakeSource) -> IntakeSession {
        IntakeSession {
            custody: self.clone(),
            source,
            packs: HashMap::new(),
            nameless: None,
            frame: None,
            buffer: Vec::new(),
        }
    }
}

impl IntakeSession {
    /// Begins an instance. One that was begun and not finished is given up first.
    ///
    /// # Errors
    /// [`IntakeError::OutOfSpace`] before any data is accepted if free space is under the reserve,
    /// [`IntakeError::OverQuota`] if a pack has to be made and the peer has as much here as it may.
    ///
    /// # Durability
    /// When this returns, the pack that will hold the instance has a name and a key that survive a power cut.
    pub fn begin(
        &mut self,
        now: Timestamp,
        description: &InstanceDescription,
        attributes: &InstanceAttributes,
    ) -> Result<(), IntakeError> {
        self.abandon();
        self.custody.disk().check_room(0)?;
        self.rotate(&description.study);
        if !self.packs.contains_key(&description.study) {
            let pack = self.open_pack(now, &description.study, attributes)?;
            self.packs.insert(description.study.clone(), pack);
        }
        let pack = self.packs.get(&description.study).ok_or(IntakeError::NotBegun)?;
        let buffer = std::mem::take(&mut self.buffer);
        self.frame = Some(Frame::begin(&self.custody, pack, description, attributes, buffer)?);
        Ok(())
    }

    /// Takes the next piece of the data set. Its digest is the caller's business, so that it can be taken on another
    /// thread.
    ///
    /// # Errors
    /// If it cannot be written; the instance is then given up and its pack not used again.
    pub fn write(&mut self, piece: &[u8]) -> Result<(), IntakeError> {
        let frame = self.frame.as_mut().ok_or(IntakeError::NotBegun)?;
        let study = frame.description.study.clone();
        let pack = self.packs.get(&study).ok_or(IntakeError::NotBegun)?;
        let written = frame.write(pack, piece);
        if written.is_err() {
            self.frame = None;
            self.drop_tail(&study);
            self.give_up(&study);
        }
        written
    }

    /// Ends the instance and takes it into custody. The digest is that of all pieces written.
    ///
    /// # Errors
    /// A digest of more or fewer bytes than were written, and whatever fails on the way: then nothing may be acknowledged, and the pack is not used again.
    ///
    /// # Durability
    /// When this returns a proof, the instance is on stable storage and the ledger knows it; should the ledger forget
    /// it in a power cut, start-up finds it again by its frame.
    pub fn finish(&mut self, digest: DataSetDigest, now: Timestamp) -> Result<DurablyStored, IntakeError> {
        let mut frame = self.frame.take().ok_or(IntakeError::NotBegun)?;
        let study = frame.description.study.clone();
        let finished = self.finish_frame(&mut frame, &study, digest, now);
        if let Err(error) = &finished {
            // If the ledger is in doubt its row may exist after all: then the bytes stay for recovery to judge.
            if !matches!(error, IntakeError::Ledger(_)) {
                self.drop_tail(&study);
            }
            self.give_up(&study);
        }
        self.buffer = frame.into_buffer();
        finished
    }

    /// Gives up the instance that is arriving: its bytes are cut off, and its place in the pack is used again with a
    /// fresh salt.
    pub fn abandon(&mut self) {
        if let Some(frame) = self.frame.take() {
            self.drop_tail(&frame.description.study);
        }
    }

    /// Ends the intake: closes the packs and waits until the ledger says so. The collections go on collecting.
    pub fn close(mut self) {
        self.abandon();
        let (waiter, done) = std::sync::mpsc::channel::<()>();
        for (_, pack) in std::mem::take(&mut self.packs) {
            let waiter = waiter.clone();
            release(&self.custody, pack, move || drop(waiter));
        }
        drop(waiter);
        // Nothing is ever sent: this ends when the last waiter is gone.
        for () in done {}
    }

    fn finish_frame(
        &mut self,
        frame: &mut Frame,
        study: &Option<StudyInstanceUid>,
        digest: DataSetDigest,
        now: Timestamp,
    ) -> Result<DurablyStored, IntakeError> {
        let pack = self.packs.get_mut(study).ok_or(IntakeError::NotBegun)?;
        let summary = frame.finish(pack, digest)?;
        pack.flush()?;
        match commit(&self.custody, pack, frame, summary, now)? {
            Admission::Admitted => Ok(stored(summary, false)),
            Admission::Duplicate => {
                self.drop_tail(study);
                Ok(stored(summary, true))
            }
            Admission::Closed => self.carry_over(frame, study, summary, now),
        }
    }

    /// The collection was closed while its last instance was arriving. What was closed is not altered: the frame is
    /// read back and sealed again into a pack of a new collection.
    fn carry_over(
        &mut self,
        frame: &Frame,
        study: &Option<StudyInstanceUid>,
        summary: FrameSummary,
        now: Timestamp,
    ) -> Result<DurablyStored, IntakeError> {
        let old = self.packs.remove(study).ok_or(IntakeError::NotBegun)?;
        self.nameless = self.nameless.filter(|_| study.is_some());
        let admission = self.copy_tail(&old, frame, study, summary, now);
        // Its row is closed; what stands behind its end does not count, and start-up cuts it if this fails.
        drop(old.cut_tail());
        release(&self.custody, old, || ());
        match admission? {
            Admission::Admitted => Ok(stored(summary, false)),
            Admission::Duplicate => {
                self.drop_tail(study);
                Ok(stored(summary, true))
            }
            // Closed twice within one instance: let the sender try again.
            Admission::Closed => Err(IntakeError::Ledger(CustodyError::Stale)),
        }
    }

    fn copy_tail(
        &mut self,
        old: &OpenPack,
        frame: &Frame,
        study: &Option<StudyInstanceUid>,
        summary: FrameSummary,
        now: Timestamp,
    ) -> Result<Admission, IntakeError> {
        let pack = self.open_pack(now, study, &frame.attributes)?;
        let pack = self.packs.entry(study.clone()).or_insert(pack);
        let mut copy = Frame::begin(&self.custody, pack, &frame.description, &frame.attributes, Vec::new())?;
        let mut digester = DataSetDigester::default();
        let mut reader = FrameReader::of_tail(old).map_err(IntakeError::ReadBack)?;
        while let Some(piece) = reader.step().map_err(IntakeError::ReadBack)? {
            digester.update(piece);
            copy.write(pack, piece)?;
        }
        copy.finish(pack, digester.finish())?;
        pack.flush()?;
        commit(&self.custody, pack, &copy, summary, now)
    }

    /// Makes a pack for a study: file and name flushed, then its row with the wrapped key committed.
    fn open_pack(
        &self,
        now: Timestamp,
        study: &Option<StudyInstanceUid>,
        attributes: &InstanceAttributes,
    ) -> Result<OpenPack, IntakeError> {
        let (disk, vault) = (self.custody.disk(), self.custody.vault());
        let id = PackId::from_random(vault.random()?);
        self.custody.note_pack(id);
        let new = NewPack::create(id, &disk, &vault)?;
        let opening = Opening {
            pack: new.id,
            wrapped_key: vault.wrap(&new.id, &new.key)?,
            study: study.clone(),
            nameless: self.nameless,
            source: self.source.clone(),
            transfer: TransferId::from_random(vault.random()?),
            attributes: attributes.clone(),
            now,
        };
        let opened =
            self.custody.ledger().wait(move |connection| admission::open_pack(connection, &vault, &opening));
        match opened {
            Ok((row, collection)) => {
                self.custody.holds().take(collection);
                let alias = self.source.called_alias.clone();
                Ok(new.with_row(row, collection, alias, attributes.clone()))
            }
            Err(error) => {
                // A pack without a row is an orphan; start-up removes it if this fails.
                drop(fs::remove_file(disk.pack(&new.id)));
                Err(error.into())
            }
        }
    }

    /// Closes the study's pack if it is full, and others if too many are open.
    fn rotate(&mut self, study: &Option<StudyInstanceUid>) {
        let full = self.custody.pack_bytes_max();
        let crowded = self.packs.len() >= OPEN_PACKS_MAX && !self.packs.contains_key(study);
        let closing: Vec<_> = self
            .packs
            .iter()
            .filter(|(key, pack)| crowded || (*key == study && pack.committed_len >= full))
            .map(|(key, _)| key.clone())
            .collect();
        for key in closing {
            self.give_up(&key);
        }
    }

    /// Stops using a pack. What is committed in it stays.
    fn give_up(&mut self, study: &Option<StudyInstanceUid>) {
        if let Some(pack) = self.packs.remove(study) {
            if study.is_none() {
                self.nameless = Some(pack.collection);
            }
            release(&self.custody, pack, || ());
        }
    }

    fn drop_tail(&mut self, study: &Option<StudyInstanceUid>) {
        if self.packs.get(study).is_some_and(|pack| pack.cut_tail().is_err()) {
            self.give_up(study);
        }
    }
}

#[cfg(test)]
impl IntakeSession {
    /// Where power is lost between the flush and the commit.
    pub(crate) fn flush_without_commit(&mut self, digest: DataSetDigest) {
        let mut frame = self.frame.take().unwrap();
        let pack = self.packs.get(&frame.description.study).unwrap();
        frame.finish(pack, digest).unwrap();
        pack.flush().unwrap();
    }
}

impl Drop for IntakeSession {
    fn drop(&mut self) {
        self.abandon();
        for (_, pack) in std::mem::take(&mut self.packs) {
            release(&self.custody, pack, || ());
        }
    }
}

fn commit(
    custody: &Custody,
    pack: &mut OpenPack,
    frame: &Frame,
    summary: FrameSummary,
    now: Timestamp,
) -> Result<Admission, IntakeError> {
    let news = (pack.frames == 0 || pack.described != frame.attributes).then(|| frame.attributes.clone());
    let arrival = Arrival {
        pack_row: pack.row,
        collection: pack.collection,
        called_alias: pack.called_alias.clone(),
        frame_index: pack.frames,
        frame_offset: pack.committed_len,
        frame_len: frame.written,
        description: frame.description.clone(),
        modality: frame.attributes.modality.clone().unwrap_or_default(),
        news,
        size_bytes: summary.data_set_len,
        digest: summary.data_set_digest,
        again: TransferId::from_random(custody.vault().random()?),
        now,
    };
    let vault = custody.vault();
    // Its frame is flushed, and start-up takes in whole frames without rows: only what else was decided has to be
    // committed before anyone is told.
    let admission = custody.ledger().wait_ahead(
        move |connection| admission::admit(connection, &vault, &arrival),
        |admission| *admission == Admission::Admitted,
    )?;
    if admission == Admission::Admitted {
        pack.committed_len = pack.committed_len.saturating_add(frame.written);
        pack.frames = pack.frames.saturating_add(1);
        pack.described = frame.attributes.clone();
    }
    Ok(admission)
}

fn stored(summary: FrameSummary, was_duplicate: bool) -> DurablyStored {
    DurablyStored { digest: summary.data_set_digest, size_bytes: summary.data_set_len, was_duplicate }
}

/// Closes a pack's row without waiting, and removes the file of an empty one. If the ledger does not answer, start-up
/// does the same.
fn release(custody: &Custody, pack: OpenPack, then: impl FnOnce() + Send + 'static) {
    let (disk, holds) = (custody.disk(), Arc::clone(&custody.holds()));
    let OpenPack { id, row, collection, .. } = pack;
    let answer = Answer::Then(Box::new(move |closed| {
        holds.give_back(collection);
        if matches!(closed, Ok(true)) {
            drop(fs::remove_file(disk.pack(&id)));
        }
        then();
    }));
    // If the question cannot be asked, the ledger is gone, and with it everyone who asks for holds.
    drop(custody.ledger().tell(move |connection| admission::close_pack(connection, row), answer));
}
