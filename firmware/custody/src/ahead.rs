//! Room written ahead: the part of a pack that the next instances will fill is written with zeros and flushed before
//! they come.
//!
//! A flush of bytes that extend a file has to make the file's new size and extents durable too, which costs a journal
//! commit of the file system; a flush of bytes that overwrite durable ones does not. So a pack that receives instance
//! after instance is extended by a thread of its own, a little further than the instances have come. Nothing depends on
//! it: where no room is ready the pack simply grows, and whatever stands behind the bytes that the ledger knows of is
//! cut off when the pack is closed, or at the next start.
//!
//! ```text
//!   | committed frames | frame arriving | zeros, flushed | (zeros being written) |
//!                                       ▲ claimed        ▲ ready
//! ```
//!
//! Zeros are written below a lock and only behind what an association has claimed, so they never meet a frame.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::disk::Disk;
use crate::error::CustodyError;

/// Written per hold of the lock, so that an association waits a fraction of a millisecond at most.
const STEP: usize = 256 * 1024;

/// Most that is written ahead of one pack.
const ROOM_MAX: u64 = 16 * 1024 * 1024;

/// Before a pack holds this much it is not worth the trouble: many associations bring one instance.
const WORTHWHILE: u64 = 1024 * 1024;

/// Packs that may wait for room. Whoever finds the queue full grows as it is.
const QUEUE_LEN: usize = 64;

/// A pack's file and the room in it.
pub(crate) struct Room {
    file: File,
    state: Mutex<RoomState>,
}

#[derive(Clone, Copy)]
struct RoomState {
    /// Bytes below belong to frames.
    claimed: u64,
    /// Bytes below are flushed, as frames or as zeros.
    ready: u64,
    /// Counts the times that the file was cut: an extension that began before does not count.
    cuts: u64,
    /// Whether an extension is asked for or under way.
    extending: bool,
}

impl Room {
    /// The room of a file of this length, all of it flushed.
    pub(crate) fn new(file: File, len: u64) -> Arc<Self> {
        let state = RoomState { claimed: len, ready: len, cuts: 0, extending: false };
        Arc::new(Room { file, state: Mutex::new(state) })
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Writes the bytes of a frame; from now on no zeros are written there.
    pub(crate) fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        {
            let mut state = self.lock();
            state.claimed = state.claimed.max(offset.saturating_add(bytes.len() as u64));
        }
        self.file.write_all_at(bytes, offset)
    }

    /// Cuts the file, and the room with it. Needs no flush: start-up would cut it too.
    pub(crate) fn cut(&self, len: u64) -> io::Result<()> {
        let mut state = self.lock();
        state.cuts = state.cuts.wrapping_add(1);
        state.claimed = len;
        state.ready = len;
        self.file.set_len(len)
    }

    /// Writes zeros behind what is claimed, and flushes them.
    fn extend(&self, room: u64) -> io::Result<()> {
        const ZEROS: &[u8] = &[0; STEP];
        let begun = *self.lock();
        let end = begun.claimed.saturating_add(room);
        let mut at = begun.ready;
        while at < end {
            let state = self.lock();
            if state.cuts != begun.cuts {
                return Ok(());
            }
            at = at.max(state.claimed);
            let now = usize::try_from(end.saturating_sub(at)).unwrap_or(STEP).min(STEP);
            self.file.write_all_at(&ZEROS[..now], at)?;
            at = at.saturating_add(now as u64);
        }
        self.file.sync_data()?;
        let mut state = self.lock();
        if state.cuts == begun.cuts {
            state.ready = state.ready.max(end);
        }
        Ok(())
    }

    /// How far to extend now, if at all: as much as the pack holds, so that little is wasted on short ones.
    fn wants(&self, committed: u64, last_frame: u64) -> Option<u64> {
        let mut state = self.lock();
        let room = committed.min(ROOM_MAX);
        let left = state.ready.saturating_sub(state.claimed);
        // For objects of this size the flush is what counts least.
        let too_large = last_frame.saturating_mul(4) > room;
        if state.extending || committed < WORTHWHILE || too_large || left > room / 2 {
            return None;
        }
        state.extending = true;
        Some(room)
    }

    fn extended(&self) {
        self.lock().extending = false;
    }

    fn lock(&self) -> MutexGuard<'_, RoomState> {
        // Every value a panic could leave behind is one that only grows the file in another order.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that extends packs. Dropping it ends the thread and waits for it.
pub(crate) struct Ahead {
    orders: Option<SyncSender<Order>>,
    thread: Option<JoinHandle<()>>,
}

struct Order {
    room: Arc<Room>,
    bytes: u64,
}

impl Ahead {
    pub(crate) fn start(disk: Arc<Disk>) -> Result<Self, CustodyError> {
        let (orders, inbox) = mpsc::sync_channel(QUEUE_LEN);
        let thread = std::thread::Builder::new()
            .name("ahead".to_owned())
            .spawn(move || serve(&inbox, &disk))
            .map_err(CustodyError::io("start the thread that writes ahead"))?;
        Ok(Ahead { orders: Some(orders), thread: Some(thread) })
    }

    /// Asks for room behind a pack that has just grown, if it is worth it. Never waits.
    pub(crate) fn look(&self, room: &Arc<Room>, committed: u64, last_frame: u64) {
        let Some(bytes) = room.wants(committed, last_frame) else { return };
        let order = Order { room: Arc::clone(room), bytes };
        match self.orders.as_ref().map(|orders| orders.try_send(order)) {
            Some(Ok(())) => {}
            Some(Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) | None => room.extended(),
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            // A panic there costs speed and nothing else.
            drop(thread.join());
        }
    }
}

fn serve(inbox: &Receiver<Order>, disk: &Disk) {
    while let Ok(Order { room, bytes }) = inbox.recv() {
        // A pack that nobody fills any more needs no room.
        if Arc::strong_count(&room) > 1
            && disk.has_room_beyond_reserve(bytes)
            && let Err(error) = room.extend(bytes)
        {
            // What it left behind is cut off with the rest; the pack grows by its own writes, which report for themselves.
            tracing::debug!(%error, "no room written ahead");
        }
        room.extended();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEN: u64 = 4 * 1024 * 1024;

    fn room() -> (tempfile::TempDir, Arc<Room>) {
        let dir = tempfile::tempdir().unwrap();
        let file =
            File::options().read(true).write(true).create_new(true).open(dir.path().join("pack")).unwrap();
        file.write_all_at(&vec![1; usize::try_from(LEN).unwrap()], 0).unwrap();
        (dir, Room::new(file, LEN))
    }

    #[test]
    fn zeros_never_overwrite_what_was_claimed() {
        let (_dir, room) = room();
        let frames = Arc::clone(&room);
        let writer = std::thread::spawn(move || {
            for number in 0..200 {
                frames.write(&[2; 10_000], LEN + number * 10_000).unwrap();
            }
        });
        room.extend(LEN).unwrap();
        writer.join().unwrap();
        let mut bytes = vec![0; 2_000_000];
        room.file().read_exact_at(&mut bytes, LEN).unwrap();
        assert!(bytes.iter().all(|byte| *byte == 2));
        assert_eq!(room.file().metadata().unwrap().len(), room.lock().ready);
    }

    #[test]
    fn a_cut_ends_an_extension_and_takes_the_room_with_it() {
        let (_dir, room) = room();
        room.extend(LEN).unwrap();
        assert_eq!(room.lock().ready, 2 * LEN);
        room.cut(100).unwrap();
        assert_eq!((room.lock().ready, room.file().metadata().unwrap().len()), (100, 100));
    }

    #[test]
    fn room_is_asked_for_once_and_only_where_it_helps() {
        let (_dir, room) = room();
        assert_eq!(room.wants(100_000, 100), None, "too little yet");
        assert_eq!(room.wants(LEN, LEN / 2), None, "too few flushes");
        assert_eq!(room.wants(LEN, 1000), Some(LEN));
        assert_eq!(room.wants(LEN, 1000), None, "on its way");
        room.extend(LEN).unwrap();
        room.extended();
        assert_eq!(room.wants(LEN, 1000), None, "enough there");
        room.write(&[2; 3_000_000], LEN).unwrap();
        assert_eq!(room.wants(LEN + 3_000_000, 1000), Some(LEN + 3_000_000));
    }
}
