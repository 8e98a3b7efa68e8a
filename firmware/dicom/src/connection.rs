//! One connection, from accept to close.
//!
//! ```text
//!  accept ─▶ [TLS handshake] ─▶ A-ASSOCIATE-RQ ─▶ negotiate ─▶ place ─▶ taker ─▶ messages ─▶ farewell
//!  └─────────────── waiting room, under one ARTIM ──┘          └──── association ────┘      └ waiting room ┘
//! ```

use std::net::SocketAddr;
use std::sync::Arc;

use dicom_ul::pdu::Pdu;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, info, warn};

use crate::admission::{Admission, Place, Seat};
use crate::greeting;
use crate::intake::{AssociationInfo, Intake, IntakeAssociation};
use crate::negotiate::{Agreement, Reject, negotiate};
use crate::patience::{Phase, Timers, Wait};
use crate::pdu::{self, Incoming, WireError};
use crate::policy::{CertificateThumbprint, NodePolicy, Transport};
use crate::receive::{Ending, Tally, Terms, serve};
use crate::status::DimseStatus;
use crate::wire::Wire;

/// What all connections of a node share, and what is known of this one.
pub(crate) struct Connection<I> {
    pub(crate) id: u64,
    pub(crate) peer_address: SocketAddr,
    pub(crate) policy: Arc<NodePolicy>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) intake: Arc<I>,
}

/// Why a connection did not become an association.
#[derive(Debug, thiserror::Error)]
enum NoAssociation {
    #[error("{0}")]
    Rejected(Reject),
    #[error("{0}")]
    Wire(#[from] WireError),
}

/// An association that may begin.
struct Begun<A> {
    agreement: Agreement,
    info: AssociationInfo,
    association: A,
    /// Held until the association has ended.
    place: Place,
}

impl<I: Intake> Connection<I> {
    /// A connection to the TLS port.
    pub(crate) async fn run_tls(
        self,
        stream: TcpStream,
        config: Arc<ServerConfig>,
        phase: watch::Receiver<Phase>,
    ) {
        let mut seat = self.admission.wait(self.peer_address.ip());
        let deadline = Instant::now() + self.policy.artim;
        let handshake = async {
            let mut first = [0; 6];
            let count = stream.peek(&mut first).await.map_err(WireError::Io)?;
            match first[..count].first() {
                None => return Err(WireError::Closed),
                Some(0x16) => {}
                Some(_) => return Err(WireError::Foreign(greeting::recognise(&first[..count]))),
            }
            TlsAcceptor::from(config).accept(stream).await.map_err(WireError::Io)
        };
        let mut stopping = phase.clone();
        let secured = tokio::select! {
            secured = timeout_at(deadline, handshake) => secured.unwrap_or(Err(WireError::Silent)),
            () = seat.told_to_leave() => Err(WireError::Evicted),
            _ = stopping.wait_for(|now| *now > Phase::Running) => Err(WireError::Stopping),
        };
        match secured {
            Ok(stream) => {
                let transport = Transport::Tls { certificate: shown_certificate(&stream) };
                self.run(stream, transport, seat, phase).await;
            }
            Err(WireError::Io(error)) => {
                warn!(peer = %self.peer_address, %error, "TLS handshake failed");
            }
            Err(error) => warn!(peer = %self.peer_address, %error, "connection ended before an association"),
        }
    }

    /// A connection to the plain port.
    pub(crate) async fn run_plain<S>(self, stream: S, phase: watch::Receiver<Phase>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let seat = self.admission.wait(self.peer_address.ip());
        self.run(stream, Transport::Plain, seat, phase).await;
    }

    async fn run<S>(self, stream: S, transport: Transport, mut seat: Seat, phase: watch::Receiver<Phase>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let mut wire = Wire::acceptor(stream, self.timers(), Some(phase));
        let asked = tokio::select! {
            asked = self.request(&mut wire, &transport) => asked,
            () = seat.told_to_leave() => Err(WireError::Evicted.into()),
        };
        drop(seat);
        let begun = match asked {
            Ok(agreement) => self.begin(agreement, transport, &mut wire).await,
            Err(error) => Err(error),
        };
        match begun {
            Ok(begun) => self.associated(wire, begun).await,
            Err(error) => self.turn_away(wire, error).await,
        }
    }

    fn timers(&self) -> Timers {
        let NodePolicy { artim, idle, progress, least_rate, .. } = *self.policy;
        Timers { artim, idle, progress, response: progress, least_rate }
    }

    /// Waits for A-ASSOCIATE-RQ and decides on it.
    async fn request<S>(&self, wire: &mut Wire<S>, transport: &Transport) -> Result<Agreement, NoAssociation>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Incoming::AssociateRequest(bytes) = wire.next(Wait::Idle).await? else {
            // A-ABORT is the only other PDU that may come first.
            return Err(WireError::Closed.into());
        };
        let request = pdu::decode_request(&bytes)?;
        negotiate(&request, &self.policy, self.peer_address.ip(), transport).map_err(NoAssociation::Rejected)
    }

    /// Takes a place and asks the taker. The wire is watched meanwhile: nothing may come before our answer.
    async fn begin<S>(
        &self,
        agreement: Agreement,
        transport: Transport,
        wire: &mut Wire<S>,
    ) -> Result<Begun<I::Association>, NoAssociation>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let place =
            self.admission.take(agreement.peer, self.peer_address.ip()).map_err(NoAssociation::Rejected)?;
        let info = AssociationInfo {
            id: self.id,
            calling_ae: agreement.calling_ae.clone(),
            called_ae: agreement.called_ae.clone(),
            peer_address: self.peer_address,
            transport,
            implementation: agreement.implementation.clone(),
        };
        let opened = tokio::select! {
            biased;
            opened = self.intake.open(&info) => opened,
            early = wire.next(Wait::Response) => {
                return Err(early.map_or_else(NoAssociation::Wire, |_| WireError::Closed.into()));
            }
        };
        match opened {
            Ok(association) => Ok(Begun { agreement, info, association, place }),
            Err(refusal) if refusal.status == DimseStatus::NOT_AUTHORIZED => {
                Err(NoAssociation::Rejected(Reject::NotAuthorized))
            }
            Err(_) => Err(NoAssociation::Rejected(Reject::Congested)),
        }
    }

    async fn turn_away<S>(&self, wire: Wire<S>, error: NoAssociation)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match &error {
            NoAssociation::Wire(WireError::Closed) => debug!("connection closed without a request"),
            NoAssociation::Wire(error) => {
                warn!(peer = %self.peer_address, %error, "connection ended before an association");
            }
            NoAssociation::Rejected(reason) => {
                warn!(peer = %self.peer_address, %reason, "association rejected");
            }
        }
        let farewell = async {
            match error {
                NoAssociation::Rejected(reason) => wire.reject(&reason.pdu()).await,
                NoAssociation::Wire(error) => wire.fail(&error).await,
            }
        };
        self.see_off(farewell).await;
    }

    /// Accepts and serves.
    async fn associated<S>(&self, mut wire: Wire<S>, begun: Begun<I::Association>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let Begun { agreement, info, mut association, place } = begun;
        info!(
            calling_ae = %info.calling_ae,
            called_ae = %info.called_ae,
            implementation = info.implementation.as_deref().unwrap_or("unknown"),
            tls = info.transport != Transport::Plain,
            contexts = agreement.contexts.len(),
            refused_contexts = agreement.refused_contexts,
            "association accepted"
        );
        let terms = Terms {
            contexts: &agreement.contexts,
            rules: self.policy.rules(agreement.peer),
            info: &info,
            peer_limit: agreement.peer_limit,
        };
        let mut tally = Tally::default();
        let ending = match pdu::encode(&Pdu::AssociationAC(agreement.accept)) {
            Ok(accept) => match wire.accept(&accept).await {
                Ok(()) => serve(&mut wire, terms, &*self.intake, &mut association, &mut tally).await,
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        association.close().await;
        drop(place);
        let Tally { stored, refused, bytes } = tally;
        match ending {
            Ok(Ending::Released) => {
                info!(stored, refused, bytes, "association released");
                self.see_off(wire.close()).await;
            }
            Ok(Ending::Aborted) => {
                warn!(stored, refused, bytes, "association aborted by the peer");
                wire.close().await;
            }
            Err(error) => {
                warn!(stored, refused, bytes, %error, "association aborted");
                self.see_off(wire.fail(&error)).await;
            }
        }
    }

    /// The last words, and the wait for the peer to close, in the waiting room: they take no place from anybody.
    async fn see_off(&self, farewell: impl Future<Output = ()>) {
        let mut seat = self.admission.wait(self.peer_address.ip());
        tokio::select! {
            () = farewell => {}
            () = seat.told_to_leave() => debug!("closed without waiting for the peer"),
        }
    }
}

/// What the peer showed in the handshake.
fn shown_certificate(stream: &TlsStream<TcpStream>) -> Option<CertificateThumbprint> {
    let chain = stream.get_ref().1.peer_certificates()?;
    chain.first().map(|certificate| CertificateThumbprint::of(certificate))
}
