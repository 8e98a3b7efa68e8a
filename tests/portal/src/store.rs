//! Where letters and parts lie: an object store, behind the one interface that a local folder and S3 have in common.
//!
//! ```text
//!   letters/‹transfer›/‹sha256›        parts/‹transfer›/‹sha256›
//! ```
//!
//! On a local folder an object is written under a temporary name while it is hashed, and appears under its own only after
//! the caller has compared the digest; file and directory are flushed before [`Incoming::keep`] returns. Elsewhere a
//! part is hashed in memory, compared, and put in one request that the store answers when it is durable there, only if
//! no object has the name (`If-None-Match: *`); the request is signed over the SHA-256 of its bytes, so what the store
//! took is what was compared. An object of that name which is there already has the same bytes, by its name.

use std::fmt::Display;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use beeldbox_protocol::envelope::letter::PART_LEN;
use beeldbox_protocol::ident::{Digest, RunningDigest, TransferId};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyMode, CopyOptions, GetOptions, GetRange, GetResultPayload, MultipartUpload, ObjectStore,
    ObjectStoreExt, PutMode, PutPayload,
};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::io::ReaderStream;

use crate::refusal::Refusal;

/// Bytes handed to a local folder at once: large enough that the thread switch does not count.
const LOCAL_PIECE: usize = 1024 * 1024;

/// Bytes handed to a remote store at once: S3 takes no smaller pieces (UploadPart, minimum 5 MiB).
const REMOTE_PIECE: usize = 5 * 1024 * 1024;

/// Parts that are in memory at a time on their way to a remote store: half a gibibyte at most.
const MAX_IN_MEMORY: usize = 64;

/// Unfinished uploads in a folder that several processes share are left alone for so long: they may be another's.
const OTHERS_UNFINISHED: Duration = Duration::from_secs(60 * 60);

/// Bytes read from a local file at once.
const READ_PIECE: usize = 256 * 1024;

/// Longest silence inside a body that is being sent to us.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refuses.
    #[error("the folder cannot be made or read")]
    Folder(#[from] std::io::Error),
    /// The object store refuses.
    #[error("the folder cannot be used as an object store")]
    Objects(#[from] object_store::Error),
}

/// Letters and parts.
#[derive(Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    manner: Manner,
}

/// How bytes get there.
#[derive(Clone)]
enum Manner {
    /// Written to a file below this one as they come.
    Folder { root: PathBuf },
    /// Kept in memory, as many at a time as there is room for, and put at once.
    Remote { room: Arc<Semaphore> },
}

/// Bytes that arrived and have no name yet. Dropping them leaves nothing behind.
pub struct Incoming {
    objects: Arc<dyn ObjectStore>,
    at: Path,
    held: Held,
    /// Digest of what arrived.
    pub digest: Digest,
    /// Bytes that arrived.
    pub len: u64,
}

/// Where the bytes are until they have their name.
enum Held {
    /// On their way, in pieces of this size.
    Upload { upload: Box<dyn MultipartUpload>, piece: usize },
    /// In memory.
    Memory { bytes: Vec<Bytes>, _room: OwnedSemaphorePermit },
}

/// Who uses a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// This process alone: what an interrupted upload left there is removed.
    Alone,
    /// Others too: only what is old is removed.
    Shared,
}

impl Store {
    /// In a folder of this machine.
    ///
    /// # Errors
    /// If the folder cannot be made or read.
    pub fn in_folder(folder: &FilePath, sharing: Sharing) -> Result<Self, StoreError> {
        std::fs::create_dir_all(folder)?;
        let age = if sharing == Sharing::Shared { OTHERS_UNFINISHED } else { Duration::ZERO };
        remove_staged(folder, age)?;
        let objects = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true).with_automatic_cleanup(true);
        Ok(Store { objects: Arc::new(objects), manner: Manner::Folder { root: folder.to_owned() } })
    }

    /// In any other object store.
    pub fn over(objects: Arc<dyn ObjectStore>) -> Self {
        Store { objects, manner: Manner::Remote { room: Arc::new(Semaphore::new(MAX_IN_MEMORY)) } }
    }

    /// Takes a body of this length while hashing it, in constant memory.
    ///
    /// # Errors
    /// If the body breaks off, falls silent or is longer than it should be; or if the store cannot take it.
    pub async fn receive(&self, at: &Path, body: Body, len: u64) -> Result<Incoming, Refusal> {
        let held = match &self.manner {
            Manner::Remote { room } if len <= PART_LEN => {
                // The semaphore is never closed.
                let room = room.clone().acquire_owned().await.map_err(fault)?;
                Held::Memory { bytes: Vec::new(), _room: room }
            }
            Manner::Folder { .. } | Manner::Remote { .. } => {
                let upload = self.objects.put_multipart(at).await.map_err(fault)?;
                let is_local = matches!(self.manner, Manner::Folder { .. });
                Held::Upload { upload, piece: if is_local { LOCAL_PIECE } else { REMOTE_PIECE } }
            }
        };
        let objects = self.objects.clone();
        let mut incoming = Incoming { objects, at: at.clone(), held, digest: Digest::of(b""), len: 0 };
        match fill(&mut incoming, body, len).await {
            Ok(()) => Ok(incoming),
            Err(refusal) => {
                incoming.discard().await;
                Err(refusal)
            }
        }
    }

    /// Bytes `from..until` of an object, as a body.
    ///
    /// # Errors
    /// If it is not there or cannot be read.
    pub async fn body(&self, at: &Path, from: u64, until: u64) -> Result<Body, Refusal> {
        if from == until {
            return Ok(Body::empty());
        }
        let options = GetOptions { range: Some(GetRange::Bounded(from..until)), ..GetOptions::default() };
        let found = self.objects.get_opts(at, options).await.map_err(fault)?;
        match found.payload {
            GetResultPayload::File(file, _) => {
                let mut file = tokio::fs::File::from_std(file);
                file.seek(std::io::SeekFrom::Start(from)).await.map_err(fault)?;
                let bytes = ReaderStream::with_capacity(file.take(until - from), READ_PIECE);
                Ok(Body::from_stream(bytes))
            }
            GetResultPayload::Stream(stream) => Ok(Body::from_stream(stream)),
        }
    }

    /// Removes one object. One that is not there is success.
    ///
    /// # Errors
    /// If the store refuses.
    pub async fn remove(&self, at: &Path) -> Result<(), Refusal> {
        match self.objects.delete(at).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(fault(error)),
        }
    }

    /// Copies one object.
    ///
    /// # Errors
    /// If it is not there, or the store refuses.
    pub async fn copy(&self, from: &Path, to: &Path) -> Result<(), Refusal> {
        self.objects.copy(from, to).await.map_err(fault)
    }

    /// Gives an object a second name, which lives on when the first is removed: a hard link in a folder, a copy that the
    /// store makes itself elsewhere. Says whether the object was there. A name that is taken has the same bytes already.
    ///
    /// # Errors
    /// If the store refuses.
    ///
    /// # Durability
    /// When this returns `Ok(true)`, the second name survives a power cut.
    pub async fn link(&self, from: &Path, to: &Path) -> Result<bool, Refusal> {
        let mode = match self.manner {
            // Putting a link in place of another to the same file does nothing and leaves the staged one behind.
            Manner::Folder { .. } => CopyMode::Create,
            // Not every store can refuse to overwrite, and the bytes are the same.
            Manner::Remote { .. } => CopyMode::Overwrite,
        };
        match self.objects.copy_opts(from, to, CopyOptions::default().with_mode(mode)).await {
            Ok(()) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => self.settle_name(to).await.map(|()| true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(fault(error)),
        }
    }

    /// Makes a name durable that somebody else made, who may not have come so far.
    async fn settle_name(&self, at: &Path) -> Result<(), Refusal> {
        let Manner::Folder { root } = &self.manner else { return Ok(()) };
        let Some(folder) = root.join(at.as_ref()).parent().map(FilePath::to_owned) else { return Ok(()) };
        let opened = tokio::fs::File::open(folder).await.map_err(fault)?;
        opened.sync_all().await.map_err(fault)
    }

    /// Removes everything in a place, known or not.
    ///
    /// # Errors
    /// If the store refuses.
    pub async fn remove_all(&self, place: &Path) -> Result<(), Refusal> {
        // The whole list first: what a listing tells while its folder is being emptied is not promised.
        let objects: Vec<_> = self.objects.list(Some(place)).try_collect().await.map_err(fault)?;
        for object in objects {
            self.remove(&object.location).await?;
        }
        Ok(())
    }

    /// Every name that is here.
    ///
    /// # Errors
    /// If the store refuses.
    pub async fn names(&self) -> Result<Vec<String>, Refusal> {
        let objects: Vec<_> = self.objects.list(None).try_collect().await.map_err(fault)?;
        let mut names: Vec<String> = objects.iter().map(|object| object.location.to_string()).collect();
        names.sort();
        Ok(names)
    }

    /// The transfers that have anything here.
    ///
    /// # Errors
    /// If the store refuses.
    pub async fn transfers(&self) -> Result<Vec<String>, Refusal> {
        let mut found = Vec::new();
        for place in ["letters", "parts"] {
            let list = self.objects.list_with_delimiter(Some(&Path::from(place))).await.map_err(fault)?;
            found.extend(list.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned)));
        }
        Ok(found)
    }
}

impl Incoming {
    /// Gives the bytes their name.
    ///
    /// # Errors
    /// If the store cannot; nothing is stored then.
    ///
    /// # Durability
    /// When this returns `Ok`, the object survives a power cut.
    pub async fn keep(self) -> Result<(), Refusal> {
        match self.held {
            Held::Upload { mut upload, .. } => upload.complete().await.map(drop).map_err(fault),
            Held::Memory { bytes, .. } => {
                let bytes: PutPayload = bytes.into_iter().collect();
                match self.objects.put_opts(&self.at, bytes, PutMode::Create.into()).await {
                    Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
                    Err(error) => Err(fault(error)),
                }
            }
        }
    }

    /// Throws the bytes away.
    pub async fn discard(self) {
        if let Held::Upload { mut upload, .. } = self.held
            && let Err(error) = upload.abort().await
        {
            tracing::debug!(%error, "an unfinished upload is left for the next start to remove");
        }
    }

    async fn take(&mut self, pieces: Vec<Bytes>) -> Result<(), Refusal> {
        match &mut self.held {
            Held::Upload { upload, .. } => {
                upload.put_part(PutPayload::from_iter(pieces)).await.map_err(fault)
            }
            Held::Memory { bytes, .. } => {
                bytes.extend(pieces);
                Ok(())
            }
        }
    }
}

async fn fill(incoming: &mut Incoming, body: Body, limit: u64) -> Result<(), Refusal> {
    let piece = match &incoming.held {
        Held::Upload { piece, .. } => *piece,
        Held::Memory { .. } => LOCAL_PIECE,
    };
    let mut body = body.into_data_stream();
    let mut digest = RunningDigest::new();
    let mut waiting: Vec<Bytes> = Vec::new();
    let mut waiting_len = 0;
    loop {
        let next = tokio::time::timeout(BODY_TIMEOUT, body.next()).await;
        let next = next.map_err(|_| Refusal::Malformed("The body fell silent.".to_owned()))?;
        let Some(bytes) =
            next.transpose().map_err(|_| Refusal::Malformed("The body broke off.".to_owned()))?
        else {
            break;
        };
        incoming.len += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if incoming.len > limit {
            return Err(Refusal::TooLarge { limit });
        }
        digest.update(&bytes);
        waiting_len += bytes.len();
        waiting.push(bytes);
        if waiting_len >= piece {
            waiting_len = 0;
            incoming.take(std::mem::take(&mut waiting)).await?;
        }
    }
    incoming.take(waiting).await?;
    incoming.digest = digest.finish();
    Ok(())
}

/// Where a transfer's letter lies.
pub fn letter_at(transfer: &TransferId, digest: &Digest) -> Path {
    Path::from(format!("letters/{transfer}/{digest}"))
}

/// Where all letters of a transfer lie.
pub fn letters_of(transfer: impl Display) -> Path {
    Path::from(format!("letters/{transfer}"))
}

/// Where a part lies.
pub fn part_at(transfer: &TransferId, digest: &Digest) -> Path {
    Path::from(format!("parts/{transfer}/{digest}"))
}

/// Where all parts of a transfer lie.
pub fn parts_of(transfer: impl Display) -> Path {
    Path::from(format!("parts/{transfer}"))
}

/// A full disk is told apart, because the client should come back later.
fn fault(error: impl std::error::Error + 'static) -> Refusal {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    let mut told = Vec::new();
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<std::io::Error>()
            && io.kind() == std::io::ErrorKind::StorageFull
        {
            return Refusal::DiskFull;
        }
        told.push(inner.to_string());
        cause = inner.source();
    }
    Refusal::Fault(told.join(": "))
}

/// A local folder's unfinished uploads end in `#‹number›`; a crash leaves them behind. Those not touched for this long
/// are removed.
fn remove_staged(folder: &FilePath, age: Duration) -> std::io::Result<()> {
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if entry.file_name().to_string_lossy().contains('#') && is_older(&entry, age) {
                std::fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}

fn is_older(entry: &std::fs::DirEntry, age: Duration) -> bool {
    let changed = entry.metadata().and_then(|metadata| metadata.modified());
    age.is_zero() || changed.is_ok_and(|at| at.elapsed().is_ok_and(|elapsed| elapsed > age))
}
