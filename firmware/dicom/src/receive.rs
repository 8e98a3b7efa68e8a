//! Storage SCP and verification SCP: one established association, from the first message to the last.
//!
//! ```text
//! C-STORE-RQ ─▶ data pieces ─▶ [prefix ≤ 1 MiB ─▶ sniff] ─▶ begin ─▶ write … ─▶ finish ─▶ proof ─▶ success
//!                    │                                         └──────── refusal ────────┐
//!                    └─ the rest is read and dropped ◀────────────────────────────────────┘─▶ refusal status
//! ```
//!
//! The proof that the taker returns is needed to build the success response; nothing else can. An association that ends
//! inside an instance gives the instance up. PS3.4 annex B (storage), PS3.7 §9.1.1 (C-STORE).

use std::collections::HashMap;

use beeldbox_protocol::ident::{AeTitle, SopClassUid, SopInstanceUid};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::commit::Report;
use crate::dimse::{self, Command};
use crate::instance::InstanceHeader;
use crate::intake::{AssociationInfo, Intake, IntakeAssociation, Refusal};
use crate::negotiate::AgreedContext;
use crate::pdu::{Incoming, WireError};
use crate::policy::{IdentityMismatch, PeerRules};
use crate::services::Service;
use crate::sniff::{self, Sniffed};
use crate::status::DimseStatus;
use crate::wire::Wire;

/// How an association went.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) stored: u64,
    pub(crate) refused: u64,
    pub(crate) bytes: u64,
}

/// How an association ended without a breach of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// A-RELEASE, answered.
    Released,
    /// A-ABORT by the peer.
    Aborted,
}

/// What was agreed with a peer, and with whom.
#[derive(Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub(crate) contexts: &'a HashMap<u8, AgreedContext>,
    pub(crate) rules: &'a PeerRules,
    pub(crate) info: &'a AssociationInfo,
    /// Largest P-DATA PDU that the peer takes; 0 is no limit.
    pub(crate) peer_limit: u32,
}

/// Serves an association until it ends.
pub(crate) async fn serve<S, I>(
    wire: &mut Wire<S>,
    terms: Terms<'_>,
    node: &I,
    intake: &mut I::Association,
    tally: &mut Tally,
) -> Result<Ending, WireError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    I: Intake,
{
    let mut association = Association { wire, terms, node, intake, tally, report: Report::default() };
    loop {
        match association.message().await {
            Ok(()) => {}
            Err(Interrupted::Wire(error)) => return Err(error),
            Err(Interrupted::Aborted) => return Ok(Ending::Aborted),
            Err(Interrupted::Released) => {
                association.wire.answer_release().await?;
                return Ok(Ending::Released);
            }
        }
    }
}

/// Why no further message comes.
pub(crate) enum Interrupted {
    Wire(WireError),
    Released,
    Aborted,
}

impl From<WireError> for Interrupted {
    fn from(error: WireError) -> Self {
        Interrupted::Wire(error)
    }
}

/// What the taker of a node shows for an instance that is safe.
type Proof<I> = <<I as Intake>::Association as IntakeAssociation>::Proof;

/// What becomes of the instance whose bytes are coming in.
enum Fate<P> {
    Refused(Refusal),
    Stored(P),
}

/// An association at work. What is common to all messages is in `messages`, commitment in `commit`.
pub(crate) struct Association<'a, S, I: Intake> {
    pub(crate) wire: &'a mut Wire<S>,
    pub(crate) terms: Terms<'a>,
    pub(crate) node: &'a I,
    pub(crate) intake: &'a mut I::Association,
    tally: &'a mut Tally,
    /// The result of a commitment that this peer is to be told.
    pub(crate) report: Report,
}

impl<S, I> Association<'_, S, I>
where
    S: AsyncRead + AsyncWrite + Unpin,
    I: Intake,
{
    /// One message: command set, data set if there is one, response.
    async fn message(&mut self) -> Result<(), Interrupted> {
        let (context, command) = self.command().await?;
        let contexts = self.terms.contexts;
        let agreed = contexts
            .get(&context)
            .ok_or(WireError::Malformed("message in a context that was not accepted"))?;
        if command.field & 0x8000 != 0 {
            return self.answered(context, &command).await;
        }
        let response = match (command.field, agreed.service) {
            (dimse::C_ECHO_RQ, Service::Verification) => {
                self.drop_data_set(context, &command).await?;
                dimse::response(&command, DimseStatus::SUCCESS, None)
            }
            (dimse::C_STORE_RQ, Service::Storage) => self.store(context, agreed, &command).await?,
            (dimse::N_ACTION_RQ, Service::StorageCommitment) => {
                return self.commitment_asked(context, agreed, &command).await;
            }
            (dimse::N_EVENT_REPORT_RQ, Service::StorageCommitment) => {
                self.commitment_reported(context, agreed, &command).await?
            }
            (
                dimse::C_ECHO_RQ | dimse::C_STORE_RQ | dimse::N_ACTION_RQ | dimse::N_EVENT_REPORT_RQ,
                Service::Verification | Service::Storage | Service::StorageCommitment,
            ) => {
                self.drop_data_set(context, &command).await?;
                let comment = Some("this presentation context is for another service");
                dimse::response(&command, DimseStatus::SOP_CLASS_NOT_SUPPORTED, comment)
            }
            // C-CANCEL has no response, and there is nothing to cancel (PS3.7 §9.3.2.3).
            (dimse::C_CANCEL_RQ, _) => return self.drop_data_set(context, &command).await,
            (_, Service::Verification | Service::Storage | Service::StorageCommitment) => {
                self.drop_data_set(context, &command).await?;
                dimse::response(&command, DimseStatus::UNRECOGNIZED_OPERATION, Some("unrecognized operation"))
            }
        };
        Ok(self.wire.send(&dimse::command_pdu(context, &response)).await?)
    }

    /// C-STORE: returns the response.
    async fn store(
        &mut self,
        context: u8,
        agreed: &AgreedContext,
        command: &Command,
    ) -> Result<Vec<u8>, Interrupted> {
        let fate = match identity(command, agreed) {
            Ok(identity) => self.take(context, agreed, identity, command.move_originator()).await?,
            Err(refusal) => {
                self.drop_data_set(context, command).await?;
                Fate::Refused(refusal)
            }
        };
        Ok(match fate {
            Fate::Stored(proof) => {
                self.tally.stored += 1;
                stored(command, proof)
            }
            Fate::Refused(refusal) => {
                self.tally.refused += 1;
                refused(command, refusal)
            }
        })
    }

    /// Brings the data set to the taker.
    async fn take(
        &mut self,
        context: u8,
        agreed: &AgreedContext,
        (class, instance): (SopClassUid, SopInstanceUid),
        move_originator: Option<(AeTitle, u16)>,
    ) -> Result<Fate<Proof<I>>, Interrupted> {
        let (prefix, sniffed, mut complete) = self.prefix(context, agreed).await?;
        let opened = match self.contradiction(&class, &instance, &sniffed) {
            Some(refusal) => Err(refusal),
            None => {
                let names_differ = sniffed.sop_instance.as_ref().is_some_and(|found| *found != instance);
                self.intake
                    .begin(InstanceHeader {
                        sop_class: class,
                        sop_instance: instance,
                        transfer_syntax: agreed.transfer_syntax.clone(),
                        study: sniffed.study,
                        series: sniffed.series,
                        names_differ,
                        move_originator,
                        attributes: sniffed.attributes,
                    })
                    .await
            }
        };
        if let Err(refusal) = opened {
            while !complete {
                complete = self.data(context).await?.last;
            }
            return Ok(Fate::Refused(refusal));
        }
        for chunk in prefix {
            if let Err(refusal) = self.write(chunk).await {
                return self.drain(context, complete, refusal).await;
            }
        }
        while !complete {
            let piece = match self.data(context).await {
                Ok(piece) => piece,
                Err(interrupted) => {
                    self.intake.abandon().await;
                    return Err(interrupted);
                }
            };
            complete = piece.last;
            if let Err(refusal) = self.write(piece.chunk).await {
                return self.drain(context, complete, refusal).await;
            }
        }
        Ok(match self.intake.finish().await {
            Ok(proof) => Fate::Stored(proof),
            Err(refusal) => Fate::Refused(refusal),
        })
    }

    async fn write(&mut self, chunk: Bytes) -> Result<(), Refusal> {
        if chunk.is_empty() {
            return Ok(());
        }
        self.tally.bytes += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        self.intake.write(chunk).await
    }

    /// Gives the instance up and reads the rest of it, so that the association stays usable.
    async fn drain(
        &mut self,
        context: u8,
        mut complete: bool,
        refusal: Refusal,
    ) -> Result<Fate<Proof<I>>, Interrupted> {
        self.intake.abandon().await;
        while !complete {
            complete = self.data(context).await?.last;
        }
        Ok(Fate::Refused(refusal))
    }

    /// Whether the data set says that it is something else than the request says (PS3.4 annex B.2.3).
    fn contradiction(
        &self,
        class: &SopClassUid,
        instance: &SopInstanceUid,
        sniffed: &Sniffed,
    ) -> Option<Refusal> {
        let status = DimseStatus::DATA_SET_DOES_NOT_MATCH;
        if sniffed.sop_class.as_ref().is_some_and(|found| found != class) {
            let comment = "SOP class of the data set differs from the request";
            return Some(Refusal { status, comment });
        }
        let differs = sniffed.sop_instance.as_ref().is_some_and(|found| found != instance);
        match self.terms.rules.identity_mismatch {
            IdentityMismatch::Refuse if differs => {
                let comment = "SOP instance of the data set differs from the request";
                Some(Refusal { status, comment })
            }
            IdentityMismatch::Refuse | IdentityMismatch::AcceptByCommand => None,
        }
    }

    /// Collects the beginning of the data set until the sniffer has seen what it wants, at most 1 MiB. Returns it with
    /// what was found and whether the data set is complete. Nearly always that is one piece and one look, without a
    /// copy.
    async fn prefix(
        &mut self,
        context: u8,
        agreed: &AgreedContext,
    ) -> Result<(Vec<Bytes>, Sniffed, bool), Interrupted> {
        let mut pieces: Vec<Bytes> = Vec::with_capacity(1);
        let mut length = 0;
        let mut wanted = 1;
        loop {
            let piece = self.data(context).await?;
            length += piece.chunk.len();
            pieces.push(piece.chunk);
            if piece.last || length >= wanted {
                let syntax = agreed.transfer_syntax.as_str();
                let (sniffed, satisfied) = match pieces.as_slice() {
                    [only] => sniff::sniff(only, syntax),
                    several => sniff::sniff(&several.concat(), syntax),
                };
                if satisfied || piece.last || length >= sniff::LAST_LOOK {
                    return Ok((pieces, sniffed, piece.last));
                }
                wanted = length.saturating_mul(2).min(sniff::LAST_LOOK);
            }
        }
    }
}

/// The identity that the request names. Without it nothing can be stored.
fn identity(command: &Command, agreed: &AgreedContext) -> Result<(SopClassUid, SopInstanceUid), Refusal> {
    let refusal = |comment| Refusal { status: DimseStatus::CANNOT_UNDERSTAND, comment };
    if !command.has_data_set {
        return Err(refusal("C-STORE without a data set"));
    }
    let class: Option<SopClassUid> = command.affected_sop_class().and_then(|uid| uid.parse().ok());
    let instance = command.affected_sop_instance().and_then(|uid| uid.parse().ok());
    let class = class.ok_or(refusal("Affected SOP Class UID is missing or invalid"))?;
    let instance = instance.ok_or(refusal("Affected SOP Instance UID is missing or invalid"))?;
    if class != agreed.abstract_syntax {
        let comment = "SOP class of the request differs from its context";
        return Err(Refusal { status: DimseStatus::DATA_SET_DOES_NOT_MATCH, comment });
    }
    Ok((class, instance))
}

/// The success response. Takes the proof, so that no path without one can build it.
fn stored<P>(command: &Command, _proof: P) -> Vec<u8> {
    dimse::response(command, DimseStatus::SUCCESS, None)
}

pub(crate) fn refused(command: &Command, refusal: Refusal) -> Vec<u8> {
    // A refusal must not read as success, whatever the taker wrote.
    let status = if refusal.status.is_stored() { DimseStatus::CANNOT_UNDERSTAND } else { refusal.status };
    dimse::response(command, status, Some(refusal.comment))
}

pub(crate) fn out_of_place(incoming: &Incoming) -> WireError {
    WireError::Unexpected(match incoming {
        Incoming::AssociateRequest(_) => "A-ASSOCIATE-RQ on an association",
        Incoming::AssociateAccept(_) => "A-ASSOCIATE-AC on an association",
        Incoming::AssociateReject { .. } => "A-ASSOCIATE-RJ on an association",
        Incoming::Piece(_) => "a PDV of another kind or context inside a message",
        Incoming::ReleaseRequest => "A-RELEASE-RQ inside a message",
        Incoming::ReleaseReply => "A-RELEASE-RP that nobody asked for",
        Incoming::Abort { .. } => "A-ABORT",
    })
}

#[cfg(test)]
#[path = "receive_tests.rs"]
pub(crate) mod tests;
