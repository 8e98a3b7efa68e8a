//! Verification SCU for somebody who sets up a peer: which step fails, how long each took, and what to do next.
//!
//! ```text
//! resolve ─▶ connect ─▶ [TLS] ─▶ associate ─▶ context ─▶ echo ─▶ release
//! ```
//!
//! "Echo failed" sends a technician to the wrong place half of the time: a cable, a port, a certificate and an AE title
//! have different owners. The first step that fails ends the walk.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use beeldbox_protocol::ident::AeTitle;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use crate::ask_commitment::{pairs, readable};
use crate::associate::{AssociateError, AssociationLimits, PeerNode, Requested, request};
use crate::conversation::{ConversationError, is_response};
use crate::dimse;
use crate::pdu::WireError;
use crate::peer_stream::PeerStream;
use crate::services::VERIFICATION;
use crate::status::DimseStatus;

/// The one message of an echo.
const MESSAGE_ID: u16 = 1;

/// A step on the way to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiagnosisStep {
    /// The name of the peer becomes addresses.
    Resolve,
    /// A TCP connection.
    Connect,
    /// The TLS handshake; only for peers with TLS.
    Tls,
    /// A-ASSOCIATE.
    Associate,
    /// The presentation context for verification.
    Context,
    /// C-ECHO.
    Echo,
    /// A-RELEASE.
    Release,
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiagnosisFailure {
    /// No address belongs to the name, or it is no `host:port`.
    #[error("the name cannot be resolved")]
    NameUnknown,
    /// Something answers there, but nothing listens on the port.
    #[error("the connection was refused")]
    ConnectionRefused,
    /// No way leads there.
    #[error("the host or its network cannot be reached")]
    Unreachable,
    /// Another trouble of the network.
    #[error("the connection failed ({0})")]
    ConnectionFailed(ErrorKind),
    /// A step took too long.
    #[error("nothing came back in time")]
    TimedOut,
    /// The peer does not speak TLS there, or does not believe us, or we do not believe it.
    #[error("the TLS handshake failed: {0}")]
    Tls(String),
    /// A-ASSOCIATE-RJ.
    #[error("the association was rejected{}: {reason}", if *.transient { " for now" } else { "" })]
    Rejected {
        /// Whether it may be different later.
        transient: bool,
        /// Source and Reason/Diag. (PS3.8 Table 9-21).
        code: (u8, u8),
        /// In the standard's words.
        reason: String,
    },
    /// A-ABORT, or the connection closed.
    #[error("the peer ended the association")]
    Aborted,
    /// What came back is not DICOM, or not as the standard says.
    #[error("the answer is not as DICOM says: {0}")]
    Disorder(String),
    /// Verification was not accepted.
    #[error("the peer does not offer verification")]
    NotOffered,
    /// The echo was answered with something else than success.
    #[error("the echo was answered with status {0}")]
    Status(DimseStatus),
}

/// A step that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiagnosedStep {
    /// Which.
    pub step: DiagnosisStep,
    /// How long it took.
    pub took: Duration,
    /// How it went.
    pub result: Result<(), DiagnosisFailure>,
}

/// The way to a peer, as far as it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// Steps in order; only the last one may have failed.
    pub steps: Vec<DiagnosedStep>,
}

impl Diagnosis {
    /// The step that failed, if one did.
    pub fn failure(&self) -> Option<(DiagnosisStep, &DiagnosisFailure)> {
        let last = self.steps.last()?;
        last.result.as_ref().err().map(|failure| (last.step, failure))
    }

    /// Whether the peer answered the echo; a release in disorder does not count against it.
    pub fn is_answered(&self) -> bool {
        self.steps.iter().any(|taken| taken.step == DiagnosisStep::Echo && taken.result.is_ok())
    }

    /// What to do next, in a sentence.
    pub fn advice(&self) -> &'static str {
        match self.failure() {
            None => "Nothing: the peer answers.",
            Some((step, failure)) => failure.advice(step),
        }
    }
}

impl DiagnosisFailure {
    /// What to do next, in a sentence.
    pub fn advice(&self, step: DiagnosisStep) -> &'static str {
        match self {
            DiagnosisFailure::NameUnknown => {
                "Check the host name, or use the IP address; ask whether DNS works here."
            }
            DiagnosisFailure::ConnectionRefused => {
                "Check the port, and whether the DICOM service of the peer is running."
            }
            DiagnosisFailure::Unreachable => {
                "Check cable, IP address, gateway and VLAN with the network team."
            }
            DiagnosisFailure::ConnectionFailed(_) => "Check the network between this box and the peer.",
            DiagnosisFailure::TimedOut => match step {
                DiagnosisStep::Resolve => {
                    "The name server does not answer: check DNS, or use the IP address."
                }
                DiagnosisStep::Connect => {
                    "Check the IP address, and ask for the port to be opened in the firewalls between."
                }
                DiagnosisStep::Tls => "Check whether the port expects TLS at all.",
                DiagnosisStep::Associate => {
                    "Something listens but does not answer DICOM: check the port, and whether it expects TLS."
                }
                DiagnosisStep::Context | DiagnosisStep::Echo | DiagnosisStep::Release => {
                    "The peer hangs: ask its administrator to look at its log."
                }
            },
            DiagnosisFailure::Tls(_) => {
                "Check that the port expects TLS, that we trust its certificate, and that it trusts ours."
            }
            DiagnosisFailure::Rejected { transient: true, .. } => {
                "The peer is busy: try again, and ask for more associations if it stays so."
            }
            DiagnosisFailure::Rejected { code: (1, 3), .. } => {
                "Have our AE title and our IP address registered at the peer."
            }
            DiagnosisFailure::Rejected { code: (1, 7), .. } => {
                "Correct the AE title of the peer in our settings."
            }
            DiagnosisFailure::Rejected { .. } => {
                "Ask the administrator of the peer why its log says that it rejected us."
            }
            DiagnosisFailure::Aborted => match step {
                DiagnosisStep::Associate => {
                    "The peer hangs up on us: have our AE title and IP address registered there, and check whether it expects TLS."
                }
                DiagnosisStep::Resolve
                | DiagnosisStep::Connect
                | DiagnosisStep::Tls
                | DiagnosisStep::Context
                | DiagnosisStep::Echo
                | DiagnosisStep::Release => "Ask the administrator of the peer what its log says.",
            },
            DiagnosisFailure::Disorder(_) => {
                "Check that the port is that of a DICOM service, and whether it expects TLS."
            }
            DiagnosisFailure::NotOffered => {
                "The peer knows us but offers no verification: it may still work; test with what it is for."
            }
            DiagnosisFailure::Status(_) => "Ask the administrator of the peer what its log says.",
        }
    }
}

/// Goes the way to a peer step by step, up to the first that fails. Each step has at most its time of `limits`.
pub async fn diagnose(node: &PeerNode, calling: &AeTitle, limits: AssociationLimits) -> Diagnosis {
    let mut walk = Walk { node, calling, limits, steps: Vec::new() };
    // What failed stands in the steps.
    let _ = walk.go().await;
    Diagnosis { steps: walk.steps }
}

struct Walk<'a> {
    node: &'a PeerNode,
    calling: &'a AeTitle,
    limits: AssociationLimits,
    steps: Vec<DiagnosedStep>,
}

impl Walk<'_> {
    async fn go(&mut self) -> Option<()> {
        let (node, calling, limits) = (self.node, self.calling, self.limits);
        let addresses = self.step(DiagnosisStep::Resolve, limits.connect, resolve(&node.address)).await?;
        let stream = self.step(DiagnosisStep::Connect, limits.connect, tcp(&addresses)).await?;
        let stream = match &node.tls {
            None => PeerStream::Plain(stream),
            Some(tls) => {
                let handshake = async {
                    let connector = TlsConnector::from(Arc::clone(&tls.config));
                    let secured = connector.connect(tls.name.clone(), stream).await;
                    secured.map_err(|error| DiagnosisFailure::Tls(error.to_string()))
                };
                PeerStream::Tls(Box::new(self.step(DiagnosisStep::Tls, limits.connect, handshake).await?))
            }
        };
        let pairs = pairs(VERIFICATION);
        let asking =
            async { request(stream, &node.ae_title, calling, &pairs, limits).await.map_err(unassociated) };
        // The wire keeps its own time; it may need a little more to say goodbye.
        let patience = limits.artim.saturating_mul(2);
        let mut open = self.step(DiagnosisStep::Associate, patience, asking).await?;
        let Some((context, _)) = readable(&open, &pairs) else {
            self.note(DiagnosisStep::Context, Duration::ZERO, Err(DiagnosisFailure::NotOffered));
            open.end(None).await;
            return None;
        };
        self.note(DiagnosisStep::Context, Duration::ZERO, Ok(()));
        let echoed = async { echoed(&mut open, context).await.map_err(unanswered) };
        let echoed = self.step(DiagnosisStep::Echo, limits.response.saturating_mul(2), echoed).await;
        if echoed.is_none() {
            open.wire.abort().await;
            return None;
        }
        let releasing = async { open.release().await.map_err(|error| disorder(&error)) };
        self.step(DiagnosisStep::Release, patience, releasing).await
    }

    /// Takes a step and notes how it went.
    async fn step<T>(
        &mut self,
        step: DiagnosisStep,
        limit: Duration,
        work: impl Future<Output = Result<T, DiagnosisFailure>>,
    ) -> Option<T> {
        let began = Instant::now();
        let done = timeout(limit, work).await.unwrap_or(Err(DiagnosisFailure::TimedOut));
        let took = began.elapsed();
        match done {
            Ok(value) => {
                self.note(step, took, Ok(()));
                Some(value)
            }
            Err(failure) => {
                self.note(step, took, Err(failure));
                None
            }
        }
    }

    fn note(&mut self, step: DiagnosisStep, took: Duration, result: Result<(), DiagnosisFailure>) {
        self.steps.push(DiagnosedStep { step, took, result });
    }
}

async fn resolve(address: &str) -> Result<Vec<SocketAddr>, DiagnosisFailure> {
    let addresses: Vec<SocketAddr> =
        lookup_host(address).await.map_err(|_| DiagnosisFailure::NameUnknown)?.collect();
    if addresses.is_empty() { Err(DiagnosisFailure::NameUnknown) } else { Ok(addresses) }
}

async fn tcp(addresses: &[SocketAddr]) -> Result<TcpStream, DiagnosisFailure> {
    let connected = async {
        let stream = TcpStream::connect(addresses).await?;
        stream.set_nodelay(true)?;
        Ok::<_, std::io::Error>(stream)
    };
    connected.await.map_err(|error| {
        let kind = error.kind();
        if kind == ErrorKind::ConnectionRefused {
            DiagnosisFailure::ConnectionRefused
        } else if matches!(kind, ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable) {
            DiagnosisFailure::Unreachable
        } else if kind == ErrorKind::TimedOut {
            DiagnosisFailure::TimedOut
        } else {
            DiagnosisFailure::ConnectionFailed(kind)
        }
    })
}

async fn echoed(open: &mut Requested<PeerStream>, context: u8) -> Result<DimseStatus, ConversationError> {
    open.say(context, &dimse::echo_request(MESSAGE_ID), None).await?;
    let answer = open.hear(context, dimse::LONGEST_COMMAND_SET).await?;
    is_response(&answer.command, dimse::C_ECHO_RSP, MESSAGE_ID)?;
    answer.command.status().ok_or(WireError::Malformed("a response without a status").into())
}

fn unanswered(error: ConversationError) -> DiagnosisFailure {
    match error {
        ConversationError::Aborted { .. } | ConversationError::Released => DiagnosisFailure::Aborted,
        ConversationError::Wire(error) => disorder(&error),
        other @ (ConversationError::TooLong { .. } | ConversationError::Flood { .. }) => {
            DiagnosisFailure::Disorder(other.to_string())
        }
    }
}

fn unassociated(error: AssociateError) -> DiagnosisFailure {
    match error {
        AssociateError::Rejected { transient, code, reason } => {
            DiagnosisFailure::Rejected { transient, code, reason }
        }
        AssociateError::Aborted => DiagnosisFailure::Aborted,
        AssociateError::ConnectTimeout => DiagnosisFailure::TimedOut,
        AssociateError::Connect(error) => DiagnosisFailure::ConnectionFailed(error.kind()),
        AssociateError::Tls(error) => DiagnosisFailure::Tls(error.to_string()),
        AssociateError::Wire(error) => disorder(&error),
        other @ (AssociateError::TooManyContexts { .. } | AssociateError::TinyPdu { .. }) => {
            DiagnosisFailure::Disorder(other.to_string())
        }
    }
}

fn disorder(error: &WireError) -> DiagnosisFailure {
    match error {
        WireError::Silent | WireError::TooSlow | WireError::Stalled => DiagnosisFailure::TimedOut,
        WireError::Closed | WireError::Io(_) => DiagnosisFailure::Aborted,
        WireError::Malformed(_)
        | WireError::Unexpected(_)
        | WireError::UnknownType(_)
        | WireError::Foreign(_)
        | WireError::ControlTooLarge { .. }
        | WireError::Stopping
        | WireError::Evicted
        | WireError::OutOfTurn(_) => DiagnosisFailure::Disorder(error.to_string()),
    }
}

#[cfg(test)]
#[path = "diagnose_tests.rs"]
mod tests;
