//! Storage commitment on associations that we open: we report on what we were asked, and ask what we want to know.
//!
//! ```text
//! report_commitment   role SCU = no, SCP = yes ─▶ N-EVENT-REPORT-RQ ─▶ response ─▶ release
//! request_commitment  N-ACTION-RQ ─▶ response ─▶ wait ─▶ [N-EVENT-REPORT-RQ ─▶ our response] ─▶ release
//! ```
//!
//! PS3.4 annex J.3, PS3.7 annex D.3.3.4 (role selection).

use std::time::Duration;

use beeldbox_protocol::ident::{AeTitle, SopClassUid, TransferSyntaxUid};
use dicom_dictionary_std::uids;
use dicom_ul::pdu::{RequestorRoles, UserVariableItem};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

use crate::associate::{AssociateError, AssociationLimits, PeerNode, Requested, connect, request_with};
use crate::commit::read_report;
use crate::commitment::{
    CommitmentRequest, CommitmentResult, LONGEST_DATA_SET, MOST_ITEMS, REQUEST, STORAGE_COMMITMENT,
    STORAGE_COMMITMENT_INSTANCE,
};
use crate::conversation::{ConversationError, Message, is_response};
use crate::data_set::encoding_of;
use crate::dimse;
use crate::pdu::WireError;
use crate::services::Roles;
use crate::status::DimseStatus;
use crate::walk::Encoding;

/// The one message that we ever send on such an association.
const MESSAGE_ID: u16 = 1;
/// Responses to our one request, with reports in between.
const MOST_MESSAGES: usize = 16;

/// Why a commitment was not reported or not asked for. Sorted by who must act: we, the peer's configuration, the peer.
#[derive(Debug, thiserror::Error)]
pub enum CommitmentError {
    /// More instances than one message may name: split them.
    #[error("{count} instances in one commitment (at most 100000)")]
    TooMany {
        /// Instances given.
        count: usize,
    },
    /// No association.
    #[error("no association")]
    Associate(#[from] AssociateError),
    /// The peer associates with us but does not take storage commitment.
    #[error("the peer does not offer storage commitment")]
    NotOffered,
    /// The peer does not let us report on an association that we open.
    #[error("the peer does not accept us in the role that reports")]
    RoleRefused,
    /// The peer answered with a failure.
    #[error("the peer refused with status {status}")]
    Refused {
        /// Its status.
        status: DimseStatus,
        /// Its comment: for people, not for logs.
        comment: Option<String>,
    },
    /// No usable answer.
    #[error("the peer did not answer")]
    Conversation(#[from] ConversationError),
}

/// Tells the peer what became of its request, on a new association.
///
/// # Errors
/// The peer has not been told, or its answer was lost: tell it again later.
pub async fn report_commitment(
    node: &PeerNode,
    calling: &AeTitle,
    result: &CommitmentResult,
    limits: AssociationLimits,
) -> Result<(), CommitmentError> {
    at_most(result.count())?;
    let reports = Roles { scu: false, scp: true };
    let (mut open, context, encoding) = opened(node, calling, reports, limits).await?;
    let command = dimse::event_report_request(
        MESSAGE_ID,
        STORAGE_COMMITMENT,
        STORAGE_COMMITMENT_INSTANCE,
        result.event_type(),
    );
    let exchanged = async {
        open.say(context, &command, Some(result.write(encoding))).await?;
        // A data set with the answer (an event reply) is allowed, and means nothing here.
        let answer = open.hear(context, dimse::LONGEST_COMMAND_SET).await?;
        is_response(&answer.command, dimse::N_EVENT_REPORT_RSP, MESSAGE_ID)?;
        Ok(answer)
    };
    let exchanged = exchanged.await;
    open.end(exchanged.as_ref().err()).await;
    verdict(&exchanged?)
}

/// Asks whether the peer keeps these instances, and waits that long for its report on the same association. `None`: the
/// request was accepted, and the report comes later, on an association that the peer opens
/// ([`crate::Intake::commitment_result`]).
///
/// # Errors
/// The request was not accepted, or nobody knows: ask again with a new transaction.
///
/// # Cancellation
/// Dropping the future leaves open whether the peer has the request.
pub async fn request_commitment(
    node: &PeerNode,
    calling: &AeTitle,
    request: &CommitmentRequest,
    wait: Duration,
    limits: AssociationLimits,
) -> Result<Option<CommitmentResult>, CommitmentError> {
    at_most(request.items.len())?;
    let (mut open, context, encoding) = opened(node, calling, Roles::DEFAULT, limits).await?;
    let mut asking = Asking { open: &mut open, context, encoding, request, report: None };
    let asked = asking.ask(wait).await;
    let report = asking.report.take();
    match asked {
        Ok(()) => {
            open.end(None).await;
            Ok(report)
        }
        Err(CommitmentError::Conversation(error)) => {
            open.end(Some(&error)).await;
            Err(error.into())
        }
        Err(other) => {
            open.end(None).await;
            Err(other)
        }
    }
}

/// A request under way.
struct Asking<'a, S> {
    open: &'a mut Requested<S>,
    context: u8,
    encoding: Encoding,
    request: &'a CommitmentRequest,
    report: Option<CommitmentResult>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Asking<'_, S> {
    async fn ask(&mut self, wait: Duration) -> Result<(), CommitmentError> {
        let command =
            dimse::action_request(MESSAGE_ID, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE, REQUEST);
        self.open.say(self.context, &command, Some(self.request.write(self.encoding))).await?;
        for _ in 0..MOST_MESSAGES {
            let message = self.open.hear(self.context, LONGEST_DATA_SET).await?;
            // Some archives report before they answer.
            if message.command.field == dimse::N_EVENT_REPORT_RQ {
                self.take_report(message).await?;
                continue;
            }
            is_response(&message.command, dimse::N_ACTION_RSP, MESSAGE_ID)?;
            verdict(&message)?;
            return self.wait_for_report(Instant::now() + wait).await;
        }
        Err(ConversationError::Flood { count: MOST_MESSAGES }.into())
    }

    async fn wait_for_report(&mut self, until: Instant) -> Result<(), CommitmentError> {
        for _ in 0..MOST_MESSAGES {
            if self.report.is_some() {
                return Ok(());
            }
            let message = match timeout_at(until, self.open.hear(self.context, LONGEST_DATA_SET)).await {
                Ok(Ok(message)) => message,
                // The peer has accepted the request: whatever ends this association, the report comes on another.
                Err(_)
                | Ok(Err(
                    ConversationError::Aborted { .. }
                    | ConversationError::Wire(WireError::Silent | WireError::Closed | WireError::Io(_)),
                )) => return Ok(()),
                Ok(Err(ConversationError::Released)) => {
                    let _ = self.open.wire.answer_release().await;
                    return Ok(());
                }
                Ok(Err(error)) => return Err(error.into()),
            };
            if message.command.field != dimse::N_EVENT_REPORT_RQ {
                return Err(ConversationError::from(WireError::Unexpected("a second answer")).into());
            }
            self.take_report(message).await?;
        }
        Err(ConversationError::Flood { count: MOST_MESSAGES }.into())
    }

    /// Answers a report, and keeps it if it is on our request. Others belong to associations of the peer: refused here,
    /// they come again there.
    async fn take_report(&mut self, message: Message) -> Result<(), ConversationError> {
        let response = match read_report(&message.command, &message.data_set, self.encoding) {
            Ok(result) if result.transaction == self.request.transaction => {
                self.report = Some(result);
                dimse::response(&message.command, DimseStatus::SUCCESS, None)
            }
            Ok(_) => {
                let comment = Some("a transaction of another association");
                dimse::response(&message.command, DimseStatus::PROCESSING_FAILURE, comment)
            }
            Err(refusal) => dimse::response(&message.command, refusal.status, Some(refusal.comment)),
        };
        self.open.say(self.context, &response, None).await
    }
}

/// An association for commitment, with its context and how data sets are written in it.
async fn opened(
    node: &PeerNode,
    calling: &AeTitle,
    roles: Roles,
    limits: AssociationLimits,
) -> Result<(Requested<crate::PeerStream>, u8, Encoding), CommitmentError> {
    let stream = connect(node, &limits).await?;
    let pairs = pairs(STORAGE_COMMITMENT);
    let items = if roles == Roles::DEFAULT {
        Vec::new()
    } else {
        let proposed = RequestorRoles { scu: roles.scu, scp: roles.scp };
        vec![UserVariableItem::ScuScpRoleSelectionSubItem(STORAGE_COMMITMENT.to_owned(), proposed)]
    };
    let open = request_with(stream, &node.ae_title, calling, &pairs, items, limits).await?;
    let Some((context, encoding)) = readable(&open, &pairs) else {
        open.wire.abort().await;
        return Err(CommitmentError::NotOffered);
    };
    // A peer that says nothing of roles may still take the report, and many do; one that says no means it.
    if roles.scp && open.granted.get(STORAGE_COMMITMENT).is_some_and(|granted| !granted.scp) {
        open.end(None).await;
        return Err(CommitmentError::RoleRefused);
    }
    Ok((open, context, encoding))
}

/// A class in the two transfer syntaxes that we write, the one with VRs first.
pub(crate) fn pairs(class: &str) -> Vec<(SopClassUid, TransferSyntaxUid)> {
    let Ok(class) = class.parse::<SopClassUid>() else { return Vec::new() };
    [uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN]
        .into_iter()
        .filter_map(|syntax| Some((class.clone(), syntax.parse().ok()?)))
        .collect()
}

/// The first of these that the peer accepted.
pub(crate) fn readable<S>(
    open: &Requested<S>,
    pairs: &[(SopClassUid, TransferSyntaxUid)],
) -> Option<(u8, Encoding)> {
    pairs.iter().find_map(|pair| Some((*open.contexts.get(pair)?, encoding_of(pair.1.as_str())?)))
}

fn at_most(count: usize) -> Result<(), CommitmentError> {
    if count > MOST_ITEMS { Err(CommitmentError::TooMany { count }) } else { Ok(()) }
}

fn verdict(message: &Message) -> Result<(), CommitmentError> {
    let status = message
        .command
        .status()
        .ok_or(ConversationError::Wire(WireError::Malformed("a response without a status")))?;
    if status.is_stored() {
        Ok(())
    } else {
        Err(CommitmentError::Refused { status, comment: message.command.error_comment() })
    }
}

#[cfg(test)]
#[path = "ask_commitment_tests.rs"]
mod tests;
