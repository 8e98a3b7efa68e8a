//! Accepting connections on the plain and the TLS port, and the orderly end.
//!
//! One task per connection; see [`crate::connection`]. Stopping: nothing new is accepted, associations between two
//! messages end soon, those inside a message may go on until the deadline, then they are aborted.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{Instrument, debug, info_span, warn};

use crate::admission::Admission;
use crate::connection::Connection;
use crate::intake::Intake;
use crate::patience::Phase;
use crate::policy::NodePolicy;

/// Tasks beside associations and waiting connections: those that are just being told to leave.
const LEAVING_CONNECTIONS: usize = 32;
/// Pause after a failed accept (usually: no file descriptors left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// How long aborted associations may take to give up their instances.
const ABORT_DEADLINE: Duration = Duration::from_secs(5);

/// Where a node listens. A `TcpListener` alone is the plain port alone.
#[derive(Debug, Default)]
pub struct Listeners {
    /// DICOM as it is.
    pub plain: Option<TcpListener>,
    /// DICOM TLS, with the configuration of [`crate::server_config`].
    pub tls: Option<(TcpListener, Arc<ServerConfig>)>,
}

impl From<TcpListener> for Listeners {
    fn from(plain: TcpListener) -> Self {
        Listeners { plain: Some(plain), tls: None }
    }
}

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
    listeners: impl Into<Listeners>,
    policy: Arc<NodePolicy>,
    intake: Arc<I>,
    stop: impl Future<Output = ()>,
) -> Result<(), ListenError> {
    let listeners = listeners.into();
    let (phase, watch) = watch::channel(Phase::Running);
    let mut node = Node {
        admission: Admission::new(Arc::clone(&policy)),
        most: policy.max_associations + policy.max_waiting + LEAVING_CONNECTIONS,
        policy: Arc::clone(&policy),
        intake,
        tasks: JoinSet::new(),
        next_id: 1,
        watch,
    };
    let mut stop = std::pin::pin!(stop);
    loop {
        let (accepted, tls) = tokio::select! {
            biased;
            () = &mut stop => break,
            Some(ended) = node.tasks.join_next(), if !node.tasks.is_empty() => {
                admit_panic(ended);
                continue;
            }
            accepted = accept(listeners.plain.as_ref()) => (accepted, None),
            accepted = accept(listeners.tls.as_ref().map(|(listener, _)| listener)) => {
                (accepted, listeners.tls.as_ref().map(|(_, config)| config))
            }
        };
        match accepted {
            Ok((stream, peer_address)) => node.begin(stream, peer_address, tls),
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listeners);
    finish(node.tasks, &phase, policy.stop_deadline).await
}

/// The next connection; never, if there is no such port.
async fn accept(listener: Option<&TcpListener>) -> std::io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

struct Node<I> {
    policy: Arc<NodePolicy>,
    admission: Arc<Admission>,
    intake: Arc<I>,
    tasks: JoinSet<()>,
    /// Most tasks at once.
    most: usize,
    next_id: u64,
    watch: watch::Receiver<Phase>,
}

impl<I: Intake> Node<I> {
    /// Starts a task for a connection.
    fn begin(&mut self, stream: TcpStream, peer_address: SocketAddr, tls: Option<&Arc<ServerConfig>>) {
        if self.tasks.len() >= self.most {
            warn!("connection closed: too many connections");
            return;
        }
        // Without this every response waits for the peer's delayed acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "connection ended before it began");
            return;
        }
        let connection = Connection {
            id: self.next_id,
            peer_address,
            policy: Arc::clone(&self.policy),
            admission: Arc::clone(&self.admission),
            intake: Arc::clone(&self.intake),
        };
        self.next_id += 1;
        let span = info_span!("association", id = connection.id);
        let phase = self.watch.clone();
        match tls {
            Some(config) => {
                let config = Arc::clone(config);
                self.tasks.spawn(connection.run_tls(stream, config, phase).instrument(span))
            }
            None => self.tasks.spawn(connection.run_plain(stream, phase).instrument(span)),
        };
    }
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

/// The whole acceptor on a stream that is open already.
#[cfg(fuzzing)]
pub(crate) async fn accept_over<S, I>(stream: S, policy: NodePolicy, intake: I)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send,
    I: Intake,
{
    let policy = Arc::new(policy);
    let connection = Connection {
        id: 1,
        peer_address: SocketAddr::from(([127, 0, 0, 1], 1)),
        admission: Admission::new(Arc::clone(&policy)),
        policy,
        intake: Arc::new(intake),
    };
    let (_running, phase) = watch::channel(Phase::Running);
    connection.run_plain(stream, phase).await;
}

#[cfg(test)]
#[path = "listen_tests.rs"]
mod tests;
