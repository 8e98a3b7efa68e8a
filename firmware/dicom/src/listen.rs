//! Accepting connections: limits, the first PDU, the orderly end.
//!
//! One task per connection. A connection becomes an association when its A-ASSOCIATE-RQ arrives in time, the policy
//! agrees, a place is free and the taker opens. Stopping: nothing new is accepted, associations between two messages end
//! soon, those inside a message may go on until the deadline, then they are aborted.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dicom_ul::pdu::Pdu;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tracing::{Instrument, debug, info, info_span, warn};

use crate::intake::{AssociationInfo, Intake, IntakeAssociation};
use crate::negotiate::{Agreement, NodePolicy, Reject, negotiate};
use crate::pdu::{self, Incoming, Phase, Timers, Wait, Wire, WireError, abort_for};
use crate::receive::{Ending, Tally, serve};
use crate::status::DimseStatus;

/// Connections that may wait for a refusal while all places are taken. More are closed without a word.
const WAITING_CONNECTIONS: usize = 32;
/// Pause after a failed accept (usually: no file descriptors left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// How long aborted associations may take to give up their instances.
const ABORT_DEADLINE: Duration = Duration::from_secs(5);

/// Why listening ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Associations did not end in time and were dropped.
    #[error("{count} associations did not end in time and were dropped")]
    Dropped {
        /// How many.
        count: usize,
    },
}

/// Accepts associations until `stop` resolves, then lets the running ones finish within the policy's deadline.
///
/// # Errors
/// Associations that did not end even after they were aborted.
pub async fn listen<I: Intake>(
    listener: TcpListener,
    policy: Arc<NodePolicy>,
    intake: Arc<I>,
    stop: impl Future<Output = ()>,
) -> Result<(), ListenError> {
    let (phase, watch) = watch::channel(Phase::Running);
    let places = Arc::new(Semaphore::new(policy.max_associations));
    let mut tasks = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    let mut next_id = 1;
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                admit_panic(ended);
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        let (stream, peer_address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if tasks.len() >= policy.max_associations + WAITING_CONNECTIONS {
            warn!("connection closed: too many connections");
            continue;
        }
        // Without this every response waits for the peer's delayed acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "connection ended before it began");
            continue;
        }
        let connection = Connection {
            id: next_id,
            peer_address,
            policy: Arc::clone(&policy),
            intake: Arc::clone(&intake),
            places: Arc::clone(&places),
        };
        next_id += 1;
        let span = info_span!("association", id = connection.id);
        tasks.spawn(connection.run(stream, watch.clone()).instrument(span));
    }
    drop(listener);
    finish(tasks, &phase, policy.stop_deadline).await
}

async fn finish(
    mut tasks: JoinSet<()>,
    phase: &watch::Sender<Phase>,
    deadline: Duration,
) -> Result<(), ListenError> {
    for (next, patience) in [(Phase::Stopping, deadline), (Phase::Cut, ABORT_DEADLINE)] {
        phase.send_replace(next);
        let all = async {
            while let Some(ended) = tasks.join_next().await {
                admit_panic(ended);
            }
        };
        if tokio::time::timeout(patience, all).await.is_ok() {
            return Ok(());
        }
    }
    Err(ListenError::Dropped { count: tasks.len() })
}

/// A panic in an association ends that association only; it is our bug, and it is said.
fn admit_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(panicked = error.is_panic(), "association task ended by itself");
    }
}

struct Connection<I> {
    id: u64,
    peer_address: SocketAddr,
    policy: Arc<NodePolicy>,
    intake: Arc<I>,
    places: Arc<Semaphore>,
}

/// The whole acceptor on a stream that is open already.
#[cfg(fuzzing)]
pub(crate) async fn accept_over<S, I>(stream: S, policy: NodePolicy, intake: I)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    I: Intake,
{
    let connection = Connection {
        id: 1,
        peer_address: SocketAddr::from(([127, 0, 0, 1], 1)),
        places: Arc::new(Semaphore::new(policy.max_associations)),
        policy: Arc::new(policy),
        intake: Arc::new(intake),
    };
    let (_running, phase) = watch::channel(Phase::Running);
    connection.run(stream, phase).await;
}

/// Why a connection did not become an association.
#[derive(Debug, thiserror::Error)]
enum NoAssociation {
    #[error("{0}")]
    Rejected(Reject),
    #[error("{0}")]
    Wire(#[from] WireError),
}

impl<I: Intake> Connection<I> {
    /// The whole life of a connection.
    async fn run<S>(self, stream: S, phase: watch::Receiver<Phase>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let NodePolicy { idle, progress, .. } = *self.policy;
        let timers = Timers { idle, progress, response: progress };
        let mut wire = Wire::new(stream, timers, Some(phase));
        let request = self.request(&mut wire).await;
        // Taken only now, so that silent connections fill no places; held until the association has ended.
        let place = self.places.try_acquire();
        let opened = match request {
            Ok(agreement) if place.is_ok() => self.open(agreement).await,
            Ok(_) => Err(NoAssociation::Rejected(Reject::TooManyAssociations)),
            Err(error) => Err(error),
        };
        match opened {
            Ok((agreement, association)) => self.associated(wire, agreement, association).await,
            Err(NoAssociation::Rejected(reason)) => {
                warn!(peer = %self.peer_address, %reason, "association rejected");
                wire.close(&reason.pdu()).await;
            }
            Err(NoAssociation::Wire(WireError::Closed)) => debug!("connection closed without a request"),
            Err(NoAssociation::Wire(error)) => {
                warn!(peer = %self.peer_address, %error, "connection ended before an association");
                wire.close(&abort_for(&error)).await;
            }
        }
    }

    /// Waits for A-ASSOCIATE-RQ and decides on it.
    async fn request<S>(&self, wire: &mut Wire<S>) -> Result<Agreement, NoAssociation>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let first = tokio::time::timeout(self.policy.artim, wire.next(Wait::Idle)).await;
        let Incoming::AssociateRequest(bytes) = first.map_err(|_| WireError::Silent)?? else {
            return Err(WireError::Unexpected("something else than A-ASSOCIATE-RQ").into());
        };
        let request = pdu::decode_request(&bytes)?;
        negotiate(&request, &self.policy, self.peer_address.ip()).map_err(NoAssociation::Rejected)
    }

    /// Asks the taker.
    async fn open(
        &self,
        agreement: Agreement,
    ) -> Result<(Agreement, (AssociationInfo, I::Association)), NoAssociation> {
        let info = AssociationInfo {
            id: self.id,
            calling_ae: agreement.calling_ae.clone(),
            called_ae: agreement.called_ae.clone(),
            peer_address: self.peer_address,
            implementation: agreement.implementation.clone(),
        };
        match self.intake.open(&info).await {
            Ok(association) => Ok((agreement, (info, association))),
            Err(refusal) if refusal.status == DimseStatus::NOT_AUTHORIZED => {
                Err(NoAssociation::Rejected(Reject::NotAuthorized))
            }
            Err(_) => Err(NoAssociation::Rejected(Reject::Congested)),
        }
    }

    /// Accepts and serves.
    async fn associated<S>(
        &self,
        mut wire: Wire<S>,
        agreement: Agreement,
        (info, mut association): (AssociationInfo, I::Association),
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        info!(
            calling_ae = %info.calling_ae,
            called_ae = %info.called_ae,
            implementation = info.implementation.as_deref().unwrap_or("unknown"),
            contexts = agreement.contexts.len(),
            refused_contexts = agreement.refused_contexts,
            "association accepted"
        );
        let mut tally = Tally::default();
        let accept = pdu::encode(&Pdu::AssociationAC(agreement.accept));
        let ending = match accept {
            Ok(accept) => match wire.send(&accept).await {
                Ok(()) => serve(&mut wire, &agreement.contexts, &mut association, &mut tally).await,
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        association.close().await;
        let Tally { stored, refused, bytes } = tally;
        match ending {
            Ok(Ending::Released) => {
                info!(stored, refused, bytes, "association released");
                wire.close(&[]).await;
            }
            Ok(Ending::Aborted) => warn!(stored, refused, bytes, "association aborted by the peer"),
            Err(error) => {
                warn!(stored, refused, bytes, %error, "association aborted");
                wire.close(&abort_for(&error)).await;
            }
        }
    }
}

#[cfg(test)]
#[path = "listen_tests.rs"]
mod tests;
