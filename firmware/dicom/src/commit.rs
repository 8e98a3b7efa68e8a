//! Storage commitment on an association that a peer opened: it asks us, or reports on what we asked.
//!
//! ```text
//! N-ACTION-RQ ─▶ taker judges and keeps it ─▶ N-ACTION-RSP ─▶ 200 ms of silence ─▶ N-EVENT-REPORT-RQ ─▶ RSP ─▶ told
//!                                                            └─ anything else: told later, on an association of ours
//! ```
//!
//! The report waits because many requestors release as soon as they have the answer, and take a report in between for a
//! breach. What the peer has not acknowledged here counts as not told. PS3.4 annex J.3, PS3.7 §10.1.1 and §10.1.4.

use std::time::Duration;

use beeldbox_protocol::ident::TransactionUid;
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::{debug, warn};

use crate::commitment::{
    ALL_KEPT, CommitmentRequest, CommitmentResult, LONGEST_DATA_SET, REQUEST, SOME_FAILED,
    STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE,
};
use crate::data_set::encoding_of;
use crate::deliver::send_message;
use crate::dimse::{self, Command};
use crate::intake::{Intake, IntakeAssociation, Refusal};
use crate::messages::Whole;
use crate::negotiate::AgreedContext;
use crate::patience::Wait;
use crate::pdu::{Incoming, WireError};
use crate::receive::{Association, Interrupted, refused};
use crate::status::DimseStatus;
use crate::walk::Encoding;

/// How long a peer must be silent after the answer before it is told the result.
const SILENCE: Duration = Duration::from_millis(200);

/// The report of a result on this association.
#[derive(Default)]
pub(crate) struct Report {
    /// Waits for the peer to be silent.
    due: Option<(u8, Encoding, CommitmentResult)>,
    /// Sent and not answered: one at a time.
    sent: Option<(u8, u16, TransactionUid)>,
    last_message: u16,
}

impl<S, I> Association<'_, S, I>
where
    S: AsyncRead + AsyncWrite + Unpin,
    I: Intake,
{
    /// Waits for the next message of the peer, and reports if none comes at once.
    pub(crate) async fn next_message(&mut self) -> Result<Incoming, WireError> {
        if let Some((context, encoding, result)) = self.report.due.take() {
            // Waiting for bytes can be given up without losing any.
            match tokio::time::timeout(SILENCE, self.wire.next(Wait::Idle)).await {
                Ok(incoming) => return incoming,
                Err(_) => self.tell(context, encoding, result).await?,
            }
        }
        self.wire.next(Wait::Idle).await
    }

    /// N-ACTION: answers, and remembers to report.
    pub(crate) async fn commitment_asked(
        &mut self,
        context: u8,
        agreed: &AgreedContext,
        command: &Command,
    ) -> Result<(), Interrupted> {
        let whole = self.whole_data_set(context, command, LONGEST_DATA_SET).await?;
        let encoding = encoding_of(agreed.transfer_syntax.as_str()).unwrap_or(Encoding::ImplicitLittle);
        let judged = match asked(command, agreed, whole.as_ref(), encoding) {
            Ok(request) => self.judge(request).await,
            Err(refusal) => Err(refusal),
        };
        let response = match &judged {
            Ok(_) => dimse::response(command, DimseStatus::SUCCESS, None),
            Err(refusal) => refused(command, *refusal),
        };
        self.wire.send(&dimse::command_pdu(context, &response)).await?;
        if let Ok(result) = judged
            && self.report.sent.is_none()
        {
            self.report.due = Some((context, encoding, result));
        }
        Ok(())
    }

    async fn judge(&mut self, request: CommitmentRequest) -> Result<CommitmentResult, Refusal> {
        let (transaction, count) = (request.transaction.clone(), request.items.len());
        let result = self.intake.commit(request).await?;
        debug!(items = count, failed = result.failed.len(), "commitment requested");
        // A result for something else, or short of an instance, would tell the peer what nobody has judged.
        if result.transaction != transaction || result.count() != count {
            warn!("the result of a commitment does not fit its request");
            let comment = "the request could not be judged";
            return Err(Refusal { status: DimseStatus::PROCESSING_FAILURE, comment });
        }
        Ok(result)
    }

    async fn tell(
        &mut self,
        context: u8,
        encoding: Encoding,
        result: CommitmentResult,
    ) -> Result<(), WireError> {
        let message_id = self.report.last_message.wrapping_add(1);
        let command = dimse::event_report_request(
            message_id,
            STORAGE_COMMITMENT,
            STORAGE_COMMITMENT_INSTANCE,
            result.event_type(),
        );
        let data_set = result.write(encoding);
        self.report.last_message = message_id;
        self.report.sent = Some((context, message_id, result.transaction));
        send_message(self.wire, context, self.terms.peer_limit, &command, data_set.into()).await
    }

    /// A response: the only thing we ever ask here is to take a report.
    pub(crate) async fn answered(&mut self, context: u8, command: &Command) -> Result<(), Interrupted> {
        let unasked = WireError::Unexpected("a response that nobody asked for");
        let (asked_in, message_id, transaction) = self.report.sent.take().ok_or(unasked)?;
        let fits = command.field == dimse::N_EVENT_REPORT_RSP
            && command.responded_to() == Some(message_id)
            && context == asked_in;
        if !fits {
            return Err(WireError::Unexpected("a response to something else").into());
        }
        self.drop_data_set(context, command).await?;
        match command.status() {
            Some(status) if status.is_stored() => self.intake.commitment_told(transaction).await,
            Some(status) => warn!(%status, "the peer did not take the result of a commitment"),
            None => warn!("the peer answered the result of a commitment without a status"),
        }
        Ok(())
    }

    /// N-EVENT-REPORT: what became of a request of ours. Returns the response.
    pub(crate) async fn commitment_reported(
        &mut self,
        context: u8,
        agreed: &AgreedContext,
        command: &Command,
    ) -> Result<Vec<u8>, Interrupted> {
        let whole = self.whole_data_set(context, command, LONGEST_DATA_SET).await?;
        let encoding = encoding_of(agreed.transfer_syntax.as_str()).unwrap_or(Encoding::ImplicitLittle);
        let read = match &whole {
            Some(whole) => read_report(command, &whole.bytes, encoding),
            None => Err(NO_MEMORY),
        };
        let taken = match read {
            Ok(result) => self.node.commitment_result(self.terms.info, result).await,
            Err(refusal) => Err(refusal),
        };
        Ok(match taken {
            Ok(()) => dimse::response(command, DimseStatus::SUCCESS, None),
            Err(refusal) => refused(command, refusal),
        })
    }
}

/// What an N-ACTION asks.
fn asked(
    command: &Command,
    agreed: &AgreedContext,
    whole: Option<&Whole>,
    encoding: Encoding,
) -> Result<CommitmentRequest, Refusal> {
    if !agreed.requestor.scu {
        let comment = "the requestor agreed to report only";
        return Err(Refusal { status: DimseStatus::UNRECOGNIZED_OPERATION, comment });
    }
    let (class, instance) = (command.requested_sop_class(), command.requested_sop_instance());
    well_known(class, instance)?;
    if command.action_type() != Some(REQUEST) {
        return Err(Refusal { status: DimseStatus::NO_SUCH_ACTION, comment: "only action type 1 is known" });
    }
    CommitmentRequest::read(&whole.ok_or(NO_MEMORY)?.bytes, encoding).map_err(|fault| fault.refusal())
}

/// What an N-EVENT-REPORT says. It is taken whatever roles were agreed: many archives report without asking for theirs,
/// and the taker knows what it has asked.
pub(crate) fn read_report(
    command: &Command,
    bytes: &[u8],
    encoding: Encoding,
) -> Result<CommitmentResult, Refusal> {
    let (class, instance) = (command.affected_sop_class(), command.affected_sop_instance());
    well_known(class, instance)?;
    if !matches!(command.event_type(), Some(ALL_KEPT | SOME_FAILED)) {
        return Err(Refusal { status: DimseStatus::NO_SUCH_EVENT, comment: "event types 1 and 2 are known" });
    }
    CommitmentResult::read(bytes, encoding).map_err(|fault| fault.refusal())
}

const NO_MEMORY: Refusal =
    Refusal { status: DimseStatus::RESOURCE_LIMITATION, comment: "too long, or too many at once" };

/// There is one instance of one class.
fn well_known(class: Option<String>, instance: Option<String>) -> Result<(), Refusal> {
    if class.as_deref() != Some(STORAGE_COMMITMENT) {
        let comment = "not the class of this context";
        return Err(Refusal { status: DimseStatus::CLASS_INSTANCE_CONFLICT, comment });
    }
    if instance.as_deref() != Some(STORAGE_COMMITMENT_INSTANCE) {
        let comment = "not the well-known instance";
        return Err(Refusal { status: DimseStatus::NO_SUCH_INSTANCE, comment });
    }
    Ok(())
}

#[cfg(test)]
#[path = "commit_tests.rs"]
mod tests;
