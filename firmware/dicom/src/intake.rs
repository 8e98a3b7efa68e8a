//! Who takes received instances into custody, and what is promised when.
//!
//! This crate knows no disk: it hands the bytes over and answers the peer by what it gets back. Success carries a proof
//! of the taker's choosing.

use std::future::Future;
use std::net::SocketAddr;

use beeldbox_protocol::ident::{AeTitle, TransactionUid};
use bytes::Bytes;

use crate::commitment::{CommitmentRequest, CommitmentResult};
use crate::instance::InstanceHeader;
use crate::policy::Transport;
use crate::status::DimseStatus;

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssociationInfo {
    /// Number of the association since the node began to listen.
    pub id: u64,
    /// Who calls.
    pub calling_ae: AeTitle,
    /// Who is called.
    pub called_ae: AeTitle,
    /// From where.
    pub peer_address: SocketAddr,
    /// How it is connected, and with which certificate.
    pub transport: Transport,
    /// Implementation version name of the peer, or its class UID: for support.
    pub implementation: Option<String>,
}

/// Somebody who takes instances into custody.
pub trait Intake: Send + Sync + 'static {
    /// What it keeps per association.
    type Association: IntakeAssociation;

    /// An association was agreed on. A refusal becomes A-ASSOCIATE-RJ: transient, unless it is
    /// [`DimseStatus::NOT_AUTHORIZED`].
    ///
    /// # Cancellation
    /// The future is dropped when the peer goes away before it is ready.
    fn open(&self, info: &AssociationInfo)
    -> impl Future<Output = Result<Self::Association, Refusal>> + Send;

    /// A peer reports on a request for commitment of ours (PS3.4 annex J.3.3), on an association that it opened.
    /// A refusal is answered as a failure: the peer may report again. Whoever asked compares the result with what was
    /// asked; who may report on what is for the taker to decide.
    fn commitment_result(
        &self,
        info: &AssociationInfo,
        result: CommitmentResult,
    ) -> impl Future<Output = Result<(), Refusal>> + Send;
}

/// The taker's side of one association. Calls come one after another.
///
/// After a `begin` that succeeded comes exactly one `finish` or `abandon`; after a refused `begin` neither, after a
/// refused `write` an `abandon`, after a refused `finish` nothing more: the taker has given the instance up itself.
pub trait IntakeAssociation: Send + 'static {
    /// Shows that an instance is safe.
    type Proof: Send;

    /// An instance begins. The header is complete; its first bytes follow by `write`.
    fn begin(&mut self, header: InstanceHeader) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// The next bytes of the data set, at most 128 KiB: as many as have come, across PDUs, before the piece was full or
    /// the data set complete.
    fn write(&mut self, chunk: Bytes) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// All bytes have come.
    ///
    /// # Durability
    /// Returns a proof only when the instance is on stable storage: the peer may erase its copy on our answer.
    fn finish(&mut self) -> impl Future<Output = Result<Self::Proof, Refusal>> + Send;

    /// The instance in progress is given up.
    fn abandon(&mut self) -> impl Future<Output = ()> + Send;

    /// The peer asks for commitment (PS3.4 annex J.3.2). The answer goes out when this returns; the result, if the peer
    /// stays idle, on the same association.
    ///
    /// # Durability
    /// When this returns `Ok` the request and its judgement survive a power cut.
    fn commit(
        &mut self,
        request: CommitmentRequest,
    ) -> impl Future<Output = Result<CommitmentResult, Refusal>> + Send;

    /// The peer has acknowledged the result of this transaction, reported on this association. Without this call it has
    /// not been told and must be, by [`crate::report_commitment`].
    fn commitment_told(&mut self, transaction: TransactionUid) -> impl Future<Output = ()> + Send;

    /// The association has ended, in whatever way.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// Why an instance is not taken, as the peer will read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("refused with status {status}: {comment}")]
pub struct Refusal {
    /// Status of the response; a success status here is answered as [`DimseStatus::CANNOT_UNDERSTAND`].
    pub status: DimseStatus,
    /// Error Comment (0000,0902): at most 64 ASCII characters, nothing about a patient.
    pub comment: &'static str,
}
