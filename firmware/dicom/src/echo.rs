//! Verification SCU: is there a DICOM node, and does it talk to us?
//!
//! The error names the step that failed, because the remedy differs: cable, address, AE title, or the peer's settings.

use beeldbox_protocol::ident::{AeTitle, SopClassUid, TransferSyntaxUid};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::associate::{AssociateError, AssociationLimits, PeerNode, connect, request};
use crate::deliver::{StoreError, answer};
use crate::dimse;
use crate::services::VERIFICATION;
use crate::status::DimseStatus;

/// Implicit VR Little Endian: what every node must know (PS3.5 §10.1).
const IMPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2";

/// The step that failed.
#[derive(Debug, thiserror::Error)]
pub enum EchoError {
    /// Connecting or associating.
    #[error("no association")]
    Associate(#[from] AssociateError),
    /// The peer associates with us but does not offer verification.
    #[error("the peer does not offer verification")]
    NotOffered,
    /// The peer answered with something else than success.
    #[error("the peer answered the echo with status {0}")]
    Status(DimseStatus),
    /// No usable answer.
    #[error("the peer did not answer the echo")]
    Conversation(#[source] StoreError),
}

/// Connects, associates, echoes, releases, with the default timers.
///
/// # Errors
/// The step that failed.
pub async fn echo(node: &PeerNode, calling: &AeTitle) -> Result<(), EchoError> {
    let limits = AssociationLimits::default();
    let stream = connect(node, &limits).await?;
    echo_over(stream, &node.ae_title, calling, limits).await
}

/// The same over a stream that is open already.
///
/// # Errors
/// The step that failed.
pub async fn echo_over<S>(
    stream: S,
    called: &AeTitle,
    calling: &AeTitle,
    limits: AssociationLimits,
) -> Result<(), EchoError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (Ok(class), Ok(syntax)) =
        (VERIFICATION.parse::<SopClassUid>(), IMPLICIT_VR_LITTLE_ENDIAN.parse::<TransferSyntaxUid>())
    else {
        return Err(EchoError::NotOffered);
    };
    let pair = (class, syntax);
    let mut open = request(stream, called, calling, std::slice::from_ref(&pair), limits).await?;
    let Some(context) = open.contexts.get(&pair).copied() else {
        open.wire.abort().await;
        return Err(EchoError::NotOffered);
    };
    let sent = open.wire.send(&dimse::command_pdu(context, &dimse::echo_request(1))).await;
    let answered = match sent {
        Ok(()) => answer(&mut open, 1, dimse::C_ECHO_RSP).await,
        Err(error) => Err(StoreError::Wire(error)),
    };
    match answered {
        Ok(command) => {
            // The answer is what counts; how the peer says goodbye does not.
            let _ = open.release().await;
            match command.status() {
                Some(status) if status.is_success() => Ok(()),
                Some(status) => Err(EchoError::Status(status)),
                None => Err(EchoError::Status(DimseStatus::CANNOT_UNDERSTAND)),
            }
        }
        Err(error) => {
            open.wire.abort().await;
            Err(EchoError::Conversation(error))
        }
    }
}
