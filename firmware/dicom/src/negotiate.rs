//! Whom we accept and for what, with the reason of each refusal.
//!
//! A pure function from the request, the policy and the peer's address to an answer: it reads no socket. One refused
//! context never disturbs another. The transfer syntax is the first one the requestor names, whatever it is: bytes are
//! kept as they come, so there is nothing to decode. PS3.8 §9.3.2 (A-ASSOCIATE-RQ), PS3.7 annex D (user information).

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use beeldbox_protocol::ident::{AeTitle, SopClassUid, TransferSyntaxUid};
use dicom_core::dictionary::UidDictionary;
use dicom_dictionary_std::StandardSopClassDictionary;
use dicom_ul::pdu::{
    AssociationAC, AssociationRQ, PresentationContextProposed, PresentationContextResult,
    PresentationContextResultReason, RequestorRoles, UserVariableItem,
};

use crate::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION};

/// The one application context of DICOM (PS3.7 annex A.2.1).
pub(crate) const APPLICATION_CONTEXT: &str = "1.2.840.10008.3.1.1.1";
/// Verification SOP class (PS3.4 annex A).
pub(crate) const VERIFICATION: &str = "1.2.840.10008.1.1";
/// Root of everything DICOM itself has named.
const DICOM_ROOT: &str = "1.2.840.10008.";
/// Root of the composite storage classes (PS3.4 annex B.5).
const STORAGE_ROOT: &str = "1.2.840.10008.5.1.4.1.1.";
/// P-DATA length that we announce: large enough that headers do not matter, small enough for the peer's buffers.
pub(crate) const ANNOUNCED_PDU_LENGTH: u32 = 131_072;
/// A peer that takes less than this per P-DATA PDU is refused: fragments would be mostly headers.
pub(crate) const LEAST_PDU_LENGTH: u32 = 1_024;

/// What this node accepts.
#[derive(Debug, Clone)]
pub struct NodePolicy {
    /// Our AE title; whoever calls another one is refused.
    pub ae_title: AeTitle,
    /// Who may associate with us.
    pub allowed_peers: Vec<AllowedPeer>,
    /// Whether anybody may associate, whatever `allowed_peers` says.
    pub accept_any_peer: bool,
    /// Associations at the same time; one more is refused with a transient reason.
    pub max_associations: usize,
    /// Longest we wait for A-ASSOCIATE-RQ after accept (ARTIM, PS3.8 §9.1.5).
    pub artim: Duration,
    /// Longest silence between two messages of an association. Modalities keep associations open between exposures.
    pub idle: Duration,
    /// Longest silence inside a message, and longest wait for the peer to take our bytes.
    pub progress: Duration,
    /// How long running associations may go on when the node stops.
    pub stop_deadline: Duration,
}

/// A peer that may associate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedPeer {
    /// Its calling AE title.
    pub ae_title: AeTitle,
    /// Its address; `None` accepts this title from anywhere.
    pub address: Option<IpAddr>,
}

impl NodePolicy {
    /// A policy with the default limits that accepts nobody yet: 30 associations, ARTIM 30 s, idle 5 min, progress
    /// 60 s, stop deadline 20 s.
    pub fn new(ae_title: AeTitle) -> Self {
        NodePolicy {
            ae_title,
            allowed_peers: Vec::new(),
            accept_any_peer: false,
            max_associations: 30,
            artim: Duration::from_secs(30),
            idle: Duration::from_secs(300),
            progress: Duration::from_secs(60),
            stop_deadline: Duration::from_secs(20),
        }
    }

    fn admits(&self, calling: &AeTitle, from: IpAddr) -> bool {
        let from = from.to_canonical();
        self.accept_any_peer
            || self.allowed_peers.iter().any(|peer| {
                peer.ae_title == *calling && peer.address.is_none_or(|address| address.to_canonical() == from)
            })
    }
}

/// Why an association is refused. The numbers are those of PS3.8 §9.3.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Reject {
    /// The application context is not DICOM's.
    #[error("application context name not supported")]
    ApplicationContext,
    /// We do not know the caller, or not from this address.
    #[error("calling AE title not recognized")]
    CallingAe,
    /// The caller wants somebody else.
    #[error("called AE title not recognized")]
    CalledAe,
    /// Bit 0 of the protocol version is not set.
    #[error("protocol version not supported")]
    ProtocolVersion,
    /// The peer's P-DATA limit is too small to work with.
    #[error("the peer accepts only tiny P-DATA PDUs")]
    TinyPdu,
    /// All places are taken.
    #[error("too many associations")]
    TooManyAssociations,
    /// Whoever takes instances into custody cannot take any now.
    #[error("no resources for an association")]
    Congested,
    /// Whoever takes instances into custody does not want this peer.
    #[error("not authorized")]
    NotAuthorized,
}

impl Reject {
    /// The A-ASSOCIATE-RJ that says so.
    pub(crate) fn pdu(self) -> [u8; 10] {
        let (result, source, reason) = match self {
            Reject::NotAuthorized | Reject::TinyPdu => (1, 1, 1),
            Reject::ApplicationContext => (1, 1, 2),
            Reject::CallingAe => (1, 1, 3),
            Reject::CalledAe => (1, 1, 7),
            Reject::ProtocolVersion => (1, 2, 2),
            Reject::Congested => (2, 3, 1),
            Reject::TooManyAssociations => (2, 3, 2),
        };
        [3, 0, 0, 0, 0, 4, 0, result, source, reason]
    }
}

/// What a presentation context is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Verification,
    Storage,
}

/// A presentation context that both sides agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AgreedContext {
    pub(crate) service: Service,
    pub(crate) transfer_syntax: TransferSyntaxUid,
}

/// An association that may begin.
#[derive(Debug)]
pub(crate) struct Agreement {
    pub(crate) calling_ae: AeTitle,
    pub(crate) called_ae: AeTitle,
    pub(crate) implementation: Option<String>,
    pub(crate) contexts: HashMap<u8, AgreedContext>,
    pub(crate) refused_contexts: usize,
    pub(crate) accept: AssociationAC,
}

/// Decides on a request.
pub(crate) fn negotiate(
    request: &AssociationRQ,
    policy: &NodePolicy,
    from: IpAddr,
) -> Result<Agreement, Reject> {
    if request.protocol_version & 1 == 0 {
        return Err(Reject::ProtocolVersion);
    }
    if request.application_context_name.trim_end_matches(['\0', ' ']) != APPLICATION_CONTEXT {
        return Err(Reject::ApplicationContext);
    }
    let called_ae = request.called_ae_title.parse().map_err(|_| Reject::CalledAe)?;
    if called_ae != policy.ae_title {
        return Err(Reject::CalledAe);
    }
    let calling_ae: AeTitle = request.calling_ae_title.parse().map_err(|_| Reject::CallingAe)?;
    if !policy.admits(&calling_ae, from) {
        return Err(Reject::CallingAe);
    }
    if (1..LEAST_PDU_LENGTH).contains(&peer_limit(&request.user_variables)) {
        return Err(Reject::TinyPdu);
    }
    let mut contexts = HashMap::new();
    let mut results = Vec::with_capacity(request.presentation_contexts.len());
    for proposed in &request.presentation_contexts {
        let taken = contexts.contains_key(&proposed.id);
        let decision = decide(proposed).and_then(|agreed| {
            // The same number twice cannot be told apart later.
            if taken { Err(PresentationContextResultReason::NoReason) } else { Ok(agreed) }
        });
        results.push(result_item(proposed, &decision));
        if let Ok(agreed) = decision {
            contexts.insert(proposed.id, agreed);
        }
    }
    Ok(Agreement {
        implementation: implementation(&request.user_variables),
        refused_contexts: results.len() - contexts.len(),
        accept: AssociationAC {
            protocol_version: 1,
            calling_ae_title: request.calling_ae_title.clone(),
            called_ae_title: request.called_ae_title.clone(),
            application_context_name: APPLICATION_CONTEXT.to_owned(),
            presentation_contexts: results,
            user_variables: answer_user_variables(request),
        },
        calling_ae,
        called_ae,
        contexts,
    })
}

/// What a context with this abstract syntax is for; `None` if we do not offer that service.
pub(crate) fn service_of(abstract_syntax: &str) -> Option<Service> {
    if abstract_syntax == VERIFICATION {
        return Some(Service::Verification);
    }
    if !abstract_syntax.starts_with(DICOM_ROOT) {
        // A private class can only be stored as it is; if it means something else, its sender learns at the message.
        return Some(Service::Storage);
    }
    let storage = match StandardSopClassDictionary.by_uid(abstract_syntax) {
        // Every storage class is called "… Storage", with "- Trial" or "(Retired)" behind it, or "SOP Class".
        Some(known) => {
            known.name.contains("Storage")
                && !known.name.contains("Commitment")
                && !known.name.contains("Media Storage Directory")
        }
        // Newer than our dictionary.
        None => abstract_syntax.starts_with(STORAGE_ROOT),
    };
    storage.then_some(Service::Storage)
}

/// Maximum P-DATA length that the peer takes; 0 is no limit, also when it says nothing (PS3.8 annex D.1).
pub(crate) fn peer_limit(user_variables: &[UserVariableItem]) -> u32 {
    user_variables
        .iter()
        .find_map(|item| if let UserVariableItem::MaxLength(length) = item { Some(*length) } else { None })
        .unwrap_or(0)
}

/// The items every association PDU of ours carries.
pub(crate) fn own_user_variables() -> Vec<UserVariableItem> {
    vec![
        UserVariableItem::MaxLength(ANNOUNCED_PDU_LENGTH),
        UserVariableItem::ImplementationClassUID(IMPLEMENTATION_CLASS_UID.to_owned()),
        UserVariableItem::ImplementationVersionName(IMPLEMENTATION_VERSION.to_owned()),
    ]
}

fn decide(proposed: &PresentationContextProposed) -> Result<AgreedContext, PresentationContextResultReason> {
    let unsupported = PresentationContextResultReason::AbstractSyntaxNotSupported;
    let abstract_syntax: SopClassUid = proposed.abstract_syntax.parse().map_err(|_| unsupported.clone())?;
    let service = service_of(abstract_syntax.as_str()).ok_or(unsupported)?;
    let transfer_syntax = proposed.transfer_syntaxes.iter().find_map(|uid| uid.parse().ok());
    match transfer_syntax {
        Some(transfer_syntax) => Ok(AgreedContext { service, transfer_syntax }),
        None => Err(PresentationContextResultReason::TransferSyntaxesNotSupported),
    }
}

fn result_item(
    proposed: &PresentationContextProposed,
    decision: &Result<AgreedContext, PresentationContextResultReason>,
) -> PresentationContextResult {
    match decision {
        Ok(agreed) => PresentationContextResult {
            id: proposed.id,
            reason: PresentationContextResultReason::Acceptance,
            transfer_syntax: agreed.transfer_syntax.to_string(),
        },
        Err(reason) => PresentationContextResult {
            id: proposed.id,
            reason: reason.clone(),
            // Not significant, but some requestors want to see one of theirs.
            transfer_syntax: proposed.transfer_syntaxes.first().cloned().unwrap_or_default(),
        },
    }
}

fn answer_user_variables(request: &AssociationRQ) -> Vec<UserVariableItem> {
    let mut answer = own_user_variables();
    for item in &request.user_variables {
        match item {
            // Asynchronous operations window: one operation at a time in both directions (PS3.7 annex D.3.3.3).
            UserVariableItem::Unknown(0x53, _) => {
                answer.push(UserVariableItem::Unknown(0x53, vec![0, 1, 0, 1]))
            }
            // Role selection: we are the SCP of everything, so the requestor may be SCU only (PS3.7 annex D.3.3.4).
            UserVariableItem::ScuScpRoleSelectionSubItem(uid, roles) if service_of(uid).is_some() => {
                let granted = RequestorRoles { scu: roles.scu, scp: false };
                answer.push(UserVariableItem::ScuScpRoleSelectionSubItem(uid.clone(), granted));
            }
            // User identity: acknowledged when asked; we decide on AE title and address (PS3.7 annex D.3.3.7).
            UserVariableItem::UserIdentityItem(identity) if identity.positive_response_requested() => {
                answer.push(UserVariableItem::Unknown(0x59, vec![0, 0]));
            }
            UserVariableItem::Unknown(..)
            | UserVariableItem::MaxLength(_)
            | UserVariableItem::ImplementationClassUID(_)
            | UserVariableItem::ImplementationVersionName(_)
            | UserVariableItem::SopClassExtendedNegotiationSubItem(..)
            | UserVariableItem::ScuScpRoleSelectionSubItem(..)
            | UserVariableItem::UserIdentityItem(_) => {}
        }
    }
    answer
}

/// Implementation version name, or else the class UID, cut to what fits a log line.
fn implementation(user_variables: &[UserVariableItem]) -> Option<String> {
    let version = user_variables.iter().find_map(|item| {
        if let UserVariableItem::ImplementationVersionName(name) = item { Some(name) } else { None }
    });
    let class = user_variables.iter().find_map(|item| {
        if let UserVariableItem::ImplementationClassUID(uid) = item { Some(uid) } else { None }
    });
    let text: String =
        version.or(class)?.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(64).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
#[path = "negotiate_tests.rs"]
mod tests;
