//! A storage SCP that keeps files: every instance as a Part 10 file, and a list of what came.
//!
//! A file is written beside its place and renamed, so a file that is there is complete. Its name is the SHA-256 of the
//! SOP Instance UID. The same instance again replaces its file. It accepts every caller and every storage class.

use std::collections::VecDeque;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use beeldbox_dicom::{
    AssociationInfo, CommitmentRequest, CommitmentResult, DimseStatus, IdentityMismatch, InstanceHeader,
    Intake, IntakeAssociation, NodePolicy, PeerRules, Refusal, listen,
};
use beeldbox_protocol::ident::{
    AeTitle, Digest, RunningDigest, SopInstanceUid, TransactionUid, TransferSyntaxUid,
};
use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::part10;

/// The list of what came, one line per instance.
pub const RECEIVED_LIST: &str = "received.tsv";

/// One stored instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Its name.
    pub sop_instance: SopInstanceUid,
    /// SHA-256 of its data set.
    pub digest: Digest,
    /// Length of its data set.
    pub size: u64,
    /// How it is encoded.
    pub transfer_syntax: TransferSyntaxUid,
    /// Its file.
    pub path: PathBuf,
    /// Who sent it.
    pub calling_ae: AeTitle,
}

/// A running PACS. Dropping it stops it without waiting.
pub struct Pacs {
    address: SocketAddr,
    shelf: Arc<Shelf>,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<Result<()>>,
}

/// Starts a PACS that listens on `listen_on` and keeps files in `store`.
///
/// # Errors
/// The folder cannot be made, or the address cannot be had.
pub async fn start_pacs(ae_title: AeTitle, listen_on: &str, store: &Path) -> Result<Pacs> {
    std::fs::create_dir_all(store).with_context(|| format!("make {}", store.display()))?;
    let listener = TcpListener::bind(listen_on).await.with_context(|| format!("listen on {listen_on}"))?;
    let address = listener.local_addr()?;
    // As tolerant as PACS are in the field.
    let stranger_rules =
        PeerRules { identity_mismatch: IdentityMismatch::AcceptByCommand, ..PeerRules::default() };
    let policy = NodePolicy { accept_any_peer: true, stranger_rules, ..NodePolicy::new(ae_title) };
    let shelf = Arc::new(Shelf {
        folder: store.to_owned(),
        received: Mutex::new(Vec::new()),
        refusals: Mutex::new(VecDeque::new()),
    });
    let (stop, stopped) = oneshot::channel();
    let intake = Arc::clone(&shelf);
    let running = tokio::spawn(async move {
        let until = async {
            // A dropped handle stops the PACS too.
            let _ = stopped.await;
        };
        Ok(listen(listener, Arc::new(policy), Arc::new(ShelfIntake(intake)), until).await?)
    });
    Ok(Pacs { address, shelf, stop: Some(stop), running })
}

impl Pacs {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything stored so far, in order.
    pub fn received(&self) -> Vec<Received> {
        self.shelf.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Refuses the next instance with this status; may be called several times.
    pub fn refuse_next(&self, status: DimseStatus) {
        self.shelf.refusals.lock().unwrap_or_else(PoisonError::into_inner).push_back(status);
    }

    /// Lets running associations finish and stops.
    ///
    /// # Errors
    /// Associations did not end in time.
    pub async fn stop(mut self) -> Result<()> {
        if let Some(stop) = self.stop.take() {
            // Already stopped is fine.
            let _ = stop.send(());
        }
        (&mut self.running).await?
    }
}

struct Shelf {
    folder: PathBuf,
    received: Mutex<Vec<Received>>,
    refusals: Mutex<VecDeque<DimseStatus>>,
}

struct ShelfIntake(Arc<Shelf>);

impl Intake for ShelfIntake {
    type Association = ShelfAssociation;

    async fn open(&self, info: &AssociationInfo) -> Result<ShelfAssociation, Refusal> {
        Ok(ShelfAssociation { shelf: Arc::clone(&self.0), info: info.clone(), writing: None })
    }

    /// This PACS never asks anybody.
    async fn commitment_result(
        &self,
        _info: &AssociationInfo,
        _result: CommitmentResult,
    ) -> Result<(), Refusal> {
        Err(Refusal { status: DimseStatus::PROCESSING_FAILURE, comment: "nothing was asked" })
    }
}

struct ShelfAssociation {
    shelf: Arc<Shelf>,
    info: AssociationInfo,
    writing: Option<Writing>,
}

/// A file that is not complete yet.
struct Writing {
    header: InstanceHeader,
    file: tokio::fs::File,
    part: PathBuf,
    digest: RunningDigest,
    size: u64,
}

/// The file is in its place.
struct Shelved;

const NO_ROOM: Refusal = Refusal { status: DimseStatus::OUT_OF_RESOURCES, comment: "cannot write the file" };

impl IntakeAssociation for ShelfAssociation {
    type Proof = Shelved;

    async fn begin(&mut self, header: InstanceHeader) -> Result<(), Refusal> {
        if let Some(status) = self.shelf.refusals.lock().unwrap_or_else(PoisonError::into_inner).pop_front() {
            return Err(Refusal { status, comment: "refused because a test asked for it" });
        }
        let name = Digest::of(header.sop_instance.as_str().as_bytes());
        let part = self.shelf.folder.join(format!("{name}.part-{}", self.info.id));
        let mut file = tokio::fs::File::create(&part).await.map_err(|_| NO_ROOM)?;
        let head = part10::file_head(&header.sop_class, &header.sop_instance, &header.transfer_syntax);
        file.write_all(&head).await.map_err(|_| NO_ROOM)?;
        self.writing = Some(Writing { header, file, part, digest: RunningDigest::new(), size: 0 });
        Ok(())
    }

    async fn write(&mut self, chunk: Bytes) -> Result<(), Refusal> {
        let writing = self.writing.as_mut().ok_or(NO_ROOM)?;
        writing.digest.update(&chunk);
        writing.size += u64::try_from(chunk.len()).unwrap_or(0);
        writing.file.write_all(&chunk).await.map_err(|_| NO_ROOM)
    }

    async fn finish(&mut self) -> Result<Shelved, Refusal> {
        let mut writing = self.writing.take().ok_or(NO_ROOM)?;
        writing.file.flush().await.map_err(|_| NO_ROOM)?;
        writing.file.sync_all().await.map_err(|_| NO_ROOM)?;
        let name = Digest::of(writing.header.sop_instance.as_str().as_bytes());
        let path = self.shelf.folder.join(format!("{name}.dcm"));
        tokio::fs::rename(&writing.part, &path).await.map_err(|_| NO_ROOM)?;
        let received = Received {
            sop_instance: writing.header.sop_instance,
            digest: writing.digest.finish(),
            size: writing.size,
            transfer_syntax: writing.header.transfer_syntax,
            path,
            calling_ae: self.info.calling_ae.clone(),
        };
        self.shelf.note(received).map_err(|_| NO_ROOM)?;
        Ok(Shelved)
    }

    async fn abandon(&mut self) {
        if let Some(writing) = self.writing.take() {
            // A part file that stays behind is never taken for an instance.
            let _ = tokio::fs::remove_file(&writing.part).await;
        }
    }

    /// Keeps what is on the shelf.
    async fn commit(&mut self, request: CommitmentRequest) -> Result<CommitmentResult, Refusal> {
        let received = self.shelf.received.lock().unwrap_or_else(PoisonError::into_inner);
        let (committed, absent): (Vec<_>, Vec<_>) = request
            .items
            .into_iter()
            .partition(|item| received.iter().any(|instance| instance.sop_instance == item.sop_instance));
        let failed = absent.into_iter().map(|item| (item, DimseStatus::NO_SUCH_INSTANCE.0)).collect();
        Ok(CommitmentResult { transaction: request.transaction, committed, failed })
    }

    async fn commitment_told(&mut self, _transaction: TransactionUid) {}

    async fn close(self) {}
}

impl Shelf {
    fn note(&self, received: Received) -> Result<()> {
        // Lines are appended under the lock, so that they are whole.
        let mut list = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file =
            std::fs::OpenOptions::new().create(true).append(true).open(self.folder.join(RECEIVED_LIST))?;
        let Received { sop_instance, digest, size, transfer_syntax, .. } = &received;
        file.write_all(format!("{sop_instance}\t{digest}\t{size}\t{transfer_syntax}\n").as_bytes())?;
        list.push(received);
        Ok(())
    }
}
