//! Opening an association: what every requestor shares.
//!
//! Connect → A-ASSOCIATE-RQ → accepted contexts. The caller names (abstract syntax, transfer syntax) pairs and each
//! becomes a context of its own, so that it is the caller who decides, never the acceptor's order of preference.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use beeldbox_protocol::ident::{AeTitle, SopClassUid, TransferSyntaxUid};
use dicom_ul::pdu::{
    AssociationRQ, Pdu, PresentationContextProposed, PresentationContextResultReason, UserVariableItem,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::negotiate::{APPLICATION_CONTEXT, LEAST_PDU_LENGTH, own_user_variables, peer_limit};
use crate::patience::{Timers, Wait};
use crate::pdu::{self, Incoming, WireError};
use crate::peer_stream::PeerStream;
use crate::services::Roles;
use crate::tls::ClientTls;
use crate::wire::Wire;

/// Context numbers are odd and fit a byte (PS3.8 §9.3.2.2).
const MOST_CONTEXTS: usize = 128;

/// A node that we open associations with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerNode {
    /// Its AE title.
    pub ae_title: AeTitle,
    /// Where it listens: `host:port`.
    pub address: String,
    /// How to connect by TLS; `None` connects without.
    pub tls: Option<ClientTls>,
}

impl PeerNode {
    /// A node without TLS.
    pub fn plain(ae_title: AeTitle, address: impl Into<String>) -> Self {
        PeerNode { ae_title, address: address.into(), tls: None }
    }
}

/// The timers of a requestor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssociationLimits {
    /// Longest wait for the connection, TLS handshake included.
    pub connect: Duration,
    /// Longest wait for the answer to A-ASSOCIATE-RQ and A-RELEASE-RQ (ARTIM, PS3.8 §9.1.5).
    pub artim: Duration,
    /// Longest wait for the peer to take our bytes.
    pub progress: Duration,
    /// Longest wait for the response to a message: an archive may store before it answers.
    pub response: Duration,
}

impl Default for AssociationLimits {
    fn default() -> Self {
        AssociationLimits {
            connect: Duration::from_secs(10),
            artim: Duration::from_secs(30),
            progress: Duration::from_secs(60),
            response: Duration::from_secs(300),
        }
    }
}

/// Why there is no association. Sorted by who must act: our configuration, the network, the peer's configuration, the
/// peer's makers.
#[derive(Debug, thiserror::Error)]
pub enum AssociateError {
    /// More (class, syntax) pairs than one association can hold: split them.
    #[error("{count} presentation contexts do not fit one association (at most 128)")]
    TooManyContexts {
        /// Pairs asked for.
        count: usize,
    },
    /// No connection.
    #[error("cannot connect to the peer")]
    Connect(#[source] std::io::Error),
    /// No connection in time.
    #[error("the peer did not accept a connection in time")]
    ConnectTimeout,
    /// The peer does not speak TLS, or not so that we believe it: its certificate, or what it thinks of ours.
    #[error("no TLS connection to the peer")]
    Tls(#[source] std::io::Error),
    /// The peer does not want us, now or at all.
    #[error("the peer rejected the association{}: {reason}", if *.transient { " for now" } else { "" })]
    Rejected {
        /// Whether it may be different later.
        transient: bool,
        /// Source and Reason/Diag. (PS3.8 Table 9-21).
        code: (u8, u8),
        /// What the peer says, in the standard's words.
        reason: String,
    },
    /// The peer aborted instead of answering.
    #[error("the peer aborted the association request")]
    Aborted,
    /// The peer takes only P-DATA PDUs too small to work with.
    #[error("the peer accepts P-DATA PDUs of at most {limit} bytes, which is too little")]
    TinyPdu {
        /// Its limit.
        limit: u32,
    },
    /// The conversation failed.
    #[error("no answer to the association request")]
    Wire(#[from] WireError),
}

/// An association that was accepted.
pub(crate) struct Requested<S> {
    pub(crate) wire: Wire<S>,
    pub(crate) contexts: HashMap<(SopClassUid, TransferSyntaxUid), u8>,
    /// What the peer says of our roles.
    pub(crate) granted: HashMap<String, Roles>,
    /// Largest P-DATA PDU the peer takes; 0 is no limit.
    pub(crate) peer_limit: u32,
    pub(crate) limits: AssociationLimits,
}

/// Opens the connection.
pub(crate) async fn connect(
    node: &PeerNode,
    limits: &AssociationLimits,
) -> Result<PeerStream, AssociateError> {
    let connecting = async {
        let stream = TcpStream::connect(node.address.as_str()).await.map_err(AssociateError::Connect)?;
        // Without this every small message waits for the peer's delayed acknowledgement.
        stream.set_nodelay(true).map_err(AssociateError::Connect)?;
        let Some(tls) = &node.tls else { return Ok(PeerStream::Plain(stream)) };
        let connector = TlsConnector::from(Arc::clone(&tls.config));
        let secured = connector.connect(tls.name.clone(), stream).await.map_err(AssociateError::Tls)?;
        Ok(PeerStream::Tls(Box::new(secured)))
    };
    tokio::time::timeout(limits.connect, connecting).await.map_err(|_| AssociateError::ConnectTimeout)?
}

/// Asks for an association over an open stream.
pub(crate) async fn request<S>(
    stream: S,
    called: &AeTitle,
    calling: &AeTitle,
    contexts: &[(SopClassUid, TransferSyntaxUid)],
    limits: AssociationLimits,
) -> Result<Requested<S>, AssociateError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    request_with(stream, called, calling, contexts, Vec::new(), limits).await
}

/// The same with more user information: role selection.
pub(crate) async fn request_with<S>(
    stream: S,
    called: &AeTitle,
    calling: &AeTitle,
    contexts: &[(SopClassUid, TransferSyntaxUid)],
    user_items: Vec<UserVariableItem>,
    limits: AssociationLimits,
) -> Result<Requested<S>, AssociateError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if contexts.len() > MOST_CONTEXTS {
        return Err(AssociateError::TooManyContexts { count: contexts.len() });
    }
    let numbered: Vec<(u8, &(SopClassUid, TransferSyntaxUid))> =
        (1..=u8::MAX).step_by(2).zip(contexts).collect();
    let request = Pdu::AssociationRQ(AssociationRQ {
        protocol_version: 1,
        calling_ae_title: calling.to_string(),
        called_ae_title: called.to_string(),
        application_context_name: APPLICATION_CONTEXT.to_owned(),
        presentation_contexts: numbered
            .iter()
            .map(|(id, (class, syntax))| PresentationContextProposed {
                id: *id,
                abstract_syntax: class.to_string(),
                transfer_syntaxes: vec![syntax.to_string()],
            })
            .collect(),
        user_variables: [own_user_variables(), user_items].concat(),
    });
    let AssociationLimits { artim, progress, response, .. } = limits;
    let timers = Timers { artim, idle: artim, progress, response, least_rate: 0 };
    let mut wire = Wire::requestor(stream, timers);
    wire.request(&pdu::encode(&request)?).await?;
    let accept = match wire.next(Wait::Idle).await {
        Ok(Incoming::AssociateAccept(bytes)) => pdu::decode_accept(&bytes),
        Ok(Incoming::AssociateReject { result, source, reason }) => {
            wire.close().await;
            return Err(AssociateError::Rejected {
                transient: result == 2,
                code: (source, reason),
                reason: reject_reason(source, reason),
            });
        }
        Ok(Incoming::Abort { .. }) => {
            wire.close().await;
            return Err(AssociateError::Aborted);
        }
        Ok(_) => Err(WireError::Unexpected("something else than an answer to A-ASSOCIATE-RQ")),
        Err(error) => Err(error),
    };
    let accept = match accept {
        Ok(accept) => accept,
        Err(error) => {
            wire.fail(&error).await;
            return Err(error.into());
        }
    };
    let limit = peer_limit(&accept.user_variables);
    if (1..LEAST_PDU_LENGTH).contains(&limit) {
        wire.abort().await;
        return Err(AssociateError::TinyPdu { limit });
    }
    let accepted = |id: u8| {
        accept
            .presentation_contexts
            .iter()
            .any(|result| result.id == id && result.reason == PresentationContextResultReason::Acceptance)
    };
    let contexts =
        numbered.iter().filter(|(id, _)| accepted(*id)).map(|(id, pair)| ((*pair).clone(), *id)).collect();
    Ok(Requested { wire, contexts, granted: granted(&accept.user_variables), peer_limit: limit, limits })
}

impl<S: AsyncRead + AsyncWrite + Unpin> Requested<S> {
    /// Ends the association in good order: request, reply, close.
    pub(crate) async fn release(mut self) -> Result<(), WireError> {
        let ended = self.wire.release().await;
        match &ended {
            Ok(()) => self.wire.close().await,
            Err(error) => self.wire.fail(error).await,
        }
        ended
    }
}

/// Roles that the peer lets us have, by abstract syntax (PS3.7 annex D.3.3.4).
fn granted(user_variables: &[UserVariableItem]) -> HashMap<String, Roles> {
    user_variables
        .iter()
        .filter_map(|item| match item {
            UserVariableItem::ScuScpRoleSelectionSubItem(uid, roles) => {
                Some((uid.clone(), Roles { scu: roles.scu, scp: roles.scp }))
            }
            UserVariableItem::Unknown(..)
            | UserVariableItem::MaxLength(_)
            | UserVariableItem::ImplementationClassUID(_)
            | UserVariableItem::ImplementationVersionName(_)
            | UserVariableItem::SopClassExtendedNegotiationSubItem(..)
            | UserVariableItem::UserIdentityItem(_) => None,
        })
        .collect()
}

/// PS3.8 §9.3.4, in words.
fn reject_reason(source: u8, reason: u8) -> String {
    let text = match (source, reason) {
        (1 | 2, 1) => "no reason given",
        (1, 2) => "application context name not supported",
        (1, 3) => "calling AE title not recognized",
        (1, 7) => "called AE title not recognized",
        (2, 2) => "protocol version not supported",
        (3, 1) => "temporary congestion",
        (3, 2) => "local limit exceeded",
        _ => return format!("source {source}, reason {reason}"),
    };
    text.to_owned()
}
