//! Retrieve SCU: has an archive send a study or a series to a node that it knows, usually to us.
//!
//! ```text
//! C-MOVE-RQ ─▶ pending (remaining, completed, failed, warning) … ─▶ final
//!              meanwhile, on associations of the archive: C-STORE-RQ with our AE title and message id as originator
//! ```
//!
//! PS3.4 annex C.4.2, PS3.7 §9.1.4.

use std::sync::atomic::{AtomicU16, Ordering};

use beeldbox_protocol::ident::{AeTitle, SeriesInstanceUid, SopInstanceUid, StudyInstanceUid};
use dicom_dictionary_std::uids;

use crate::ask_commitment::{pairs, readable};
use crate::associate::{AssociationLimits, PeerNode, Requested, connect, request};
use crate::conversation::{ConversationError, Message, is_response};
use crate::dimse;
use crate::found::{LONGEST_IDENTIFIER, failed_instances};
use crate::pdu::WireError;
use crate::peer_stream::PeerStream;
use crate::query::{QueryError, move_identifier};
use crate::status::{DimseStatus, StatusFamily};
use crate::walk::Encoding;

/// Responses to one move; there is hardly more than one for each of the 65 535 sub-operations that can be counted.
const MOST_RESPONSES: usize = 1_000_000;
/// Refused: move destination unknown (PS3.4 Table C.4-2).
const UNKNOWN_DESTINATION: DimseStatus = DimseStatus(0xA801);
/// Out of resources: unable to perform sub-operations (PS3.4 Table C.4-2). Some may have been performed.
const SUB_OPERATIONS_FAILED: DimseStatus = DimseStatus(0xA702);
/// Message id of the next move in this process: sub-operations name it, so it should differ between moves.
static NEXT_MESSAGE: AtomicU16 = AtomicU16::new(1);

/// How far a move is. Numbers that the archive leaves out stay as they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MoveProgress {
    /// Message ID of the request, as [`crate::InstanceHeader::move_originator`] repeats it.
    pub message_id: u16,
    /// Sub-operations still to come; `None` until the archive says.
    pub remaining: Option<u16>,
    /// Done.
    pub completed: u16,
    /// Failed.
    pub failed: u16,
    /// Done with a remark.
    pub warning: u16,
}

/// How a move ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveOutcome {
    /// The final status: success, warning (B000: some failed), cancelled, or A702.
    pub status: DimseStatus,
    /// The final numbers. What has arrived is better counted where it arrives.
    pub progress: MoveProgress,
    /// Failed SOP Instance UID List (0008,0058), if the archive gives it.
    pub failed_instances: Vec<SopInstanceUid>,
    /// Its comment: for people, not for logs.
    pub comment: Option<String>,
}

/// Has the archive send a study, or one series of it, to `destination`. `progress` is called once when the request has
/// been sent, then for every pending response.
///
/// # Errors
/// The archive refused before any sub-operation, or the conversation failed: what has arrived is not known here.
///
/// # Cancellation
/// Dropping the future closes the connection; most archives then stop sending.
pub async fn move_study(
    node: &PeerNode,
    calling: &AeTitle,
    destination: &AeTitle,
    study: &StudyInstanceUid,
    series: Option<&SeriesInstanceUid>,
    progress: impl FnMut(MoveProgress) + Send,
    limits: AssociationLimits,
) -> Result<MoveOutcome, QueryError> {
    let class = uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_MOVE;
    let pairs = pairs(class);
    let stream = connect(node, &limits).await?;
    // Some archives find a retrieval without the query beside it odd.
    let query = crate::ask_commitment::pairs(uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND);
    let proposed = [pairs.clone(), query].concat();
    let mut open = request(stream, &node.ae_title, calling, &proposed, limits).await?;
    let Some((context, encoding)) = readable(&open, &pairs) else {
        open.wire.abort().await;
        return Err(QueryError::NotOffered { service: "study root retrieval (C-MOVE)" });
    };
    let message_id = NEXT_MESSAGE.fetch_add(1, Ordering::Relaxed);
    let command = dimse::move_request(message_id, class, destination);
    let identifier = move_identifier(study, series, encoding);
    let moved = async {
        open.say(context, &command, Some(identifier)).await?;
        responses(&mut open, context, message_id, progress).await
    };
    let moved = moved.await;
    match &moved {
        Ok(_) => open.end_after_last().await,
        Err(error) => open.end(Some(error)).await,
    }
    let (message, progress) = moved?;
    outcome(&message, progress, encoding)
}

/// Reads pending responses, up to the final one.
async fn responses(
    open: &mut Requested<PeerStream>,
    context: u8,
    message_id: u16,
    mut told: impl FnMut(MoveProgress) + Send,
) -> Result<(Message, MoveProgress), ConversationError> {
    let mut progress = MoveProgress { message_id, ..MoveProgress::default() };
    told(progress);
    for _ in 0..MOST_RESPONSES {
        let message = open.hear(context, LONGEST_IDENTIFIER).await?;
        is_response(&message.command, dimse::C_MOVE_RSP, message_id)?;
        let [remaining, completed, failed, warning] = message.command.sub_operations();
        progress.remaining = remaining.or(progress.remaining);
        progress.completed = completed.unwrap_or(progress.completed);
        progress.failed = failed.unwrap_or(progress.failed);
        progress.warning = warning.unwrap_or(progress.warning);
        let status = message.command.status().ok_or(WireError::Malformed("a response without a status"))?;
        if status.family() != StatusFamily::Pending {
            return Ok((message, progress));
        }
        told(progress);
    }
    Err(ConversationError::Flood { count: MOST_RESPONSES })
}

fn outcome(message: &Message, progress: MoveProgress, encoding: Encoding) -> Result<MoveOutcome, QueryError> {
    let status = message.command.status().unwrap_or(DimseStatus::PROCESSING_FAILURE);
    let comment = message.command.error_comment();
    match status.family() {
        StatusFamily::Failure if status == UNKNOWN_DESTINATION => Err(QueryError::UnknownDestination),
        StatusFamily::Failure if status != SUB_OPERATIONS_FAILED => {
            Err(QueryError::Refused { status, comment })
        }
        StatusFamily::Failure
        | StatusFamily::Success
        | StatusFamily::Warning
        | StatusFamily::Cancel
        | StatusFamily::Pending => Ok(MoveOutcome {
            status,
            progress,
            failed_instances: failed_instances(&message.data_set, encoding),
            comment,
        }),
    }
}

#[cfg(test)]
#[path = "retrieve_tests.rs"]
mod tests;
