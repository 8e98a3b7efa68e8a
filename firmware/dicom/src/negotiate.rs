//! Whom we accept and for what, with the reason of each refusal.
//!
//! A pure function from the request, the policy and the peer's address to an answer: it reads no socket. One refused
//! context never disturbs another. The transfer syntax is the first one the requestor names, whatever it is: bytes of
//! instances are kept as they come, so there is nothing to decode; only messages that we read must be in one we can read. PS3.8 §9.3.2 (A-ASSOCIATE-RQ), PS3.7 annex D (user information).

use std::collections::HashMap;
use std::net::IpAddr;

use beeldbox_protocol::ident::{AeTitle, SopClassUid, TransferSyntaxUid};
use dicom_ul::pdu::{
    AssociationAC, AssociationRQ, PresentationContextProposed, PresentationContextResult,
    PresentationContextResultReason, RequestorRoles, UserVariableItem,
};

use crate::policy::{NodePolicy, StoragePolicy, Transport};
use crate::services::{Roles, Service, service_of};
use crate::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION};

/// The one application context of DICOM (PS3.7 annex A.2.1).
pub(crate) const APPLICATION_CONTEXT: &str = "1.2.840.10008.3.1.1.1";
/// P-DATA length that we announce: large enough that headers do not matter, small enough for the peer's buffers.
pub(crate) const ANNOUNCED_PDU_LENGTH: u32 = 131_072;
/// A peer that takes less than this per P-DATA PDU is refused: fragments would be mostly headers.
pub(crate) const LEAST_PDU_LENGTH: u32 = 1_024;

/// Why an association is refused. The numbers are those of PS3.8 §9.3.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Reject {
    /// The application context is not DICOM's.
    #[error("application context name not supported")]
    ApplicationContext,
    /// We do not know the caller.
    #[error("calling AE title not recognized")]
    CallingAe,
    /// The caller is known, but not from there.
    #[error("calling AE title from an address that is not its own")]
    Address,
    /// The caller must use the TLS port.
    #[error("this peer must use TLS")]
    NeedsTls,
    /// The caller must show a certificate.
    #[error("this peer must show a certificate")]
    NeedsCertificate,
    /// The caller showed the certificate of somebody else.
    #[error("the certificate is not that of this peer")]
    OtherCertificate,
    /// The caller wants somebody else.
    #[error("called AE title not recognized")]
    CalledAe,
    /// Bit 0 of the protocol version is not set.
    #[error("protocol version not supported")]
    ProtocolVersion,
    /// The peer's P-DATA limit is too small to work with.
    #[error("the peer accepts only tiny P-DATA PDUs")]
    TinyPdu,
    /// All places are taken, or the rest is kept for others.
    #[error("too many associations")]
    TooManyAssociations,
    /// This peer has as many associations as it may have.
    #[error("too many associations of this peer")]
    TooManyOfPeer,
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
            Reject::NotAuthorized | Reject::TinyPdu | Reject::NeedsTls => (1, 1, 1),
            Reject::ApplicationContext => (1, 1, 2),
            // Who cannot show to be the caller is not recognized as the caller.
            Reject::CallingAe | Reject::Address | Reject::NeedsCertificate | Reject::OtherCertificate => {
                (1, 1, 3)
            }
            Reject::CalledAe => (1, 1, 7),
            Reject::ProtocolVersion => (1, 2, 2),
            Reject::Congested | Reject::TooManyAssociations => (2, 3, 1),
            Reject::TooManyOfPeer => (2, 3, 2),
        };
        [3, 0, 0, 0, 0, 4, 0, result, source, reason]
    }
}

/// A presentation context that both sides agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AgreedContext {
    pub(crate) service: Service,
    pub(crate) abstract_syntax: SopClassUid,
    pub(crate) transfer_syntax: TransferSyntaxUid,
    /// What the requestor may be in it.
    pub(crate) requestor: Roles,
}

/// An association that may begin.
#[derive(Debug)]
pub(crate) struct Agreement {
    pub(crate) calling_ae: AeTitle,
    pub(crate) called_ae: AeTitle,
    /// Its place among the listed peers; `None` for a stranger.
    pub(crate) peer: Option<usize>,
    pub(crate) implementation: Option<String>,
    pub(crate) contexts: HashMap<u8, AgreedContext>,
    /// Largest P-DATA PDU that the peer takes; 0 is no limit.
    pub(crate) peer_limit: u32,
    pub(crate) refused_contexts: usize,
    pub(crate) accept: AssociationAC,
}

/// Decides on a request.
pub(crate) fn negotiate(
    request: &AssociationRQ,
    policy: &NodePolicy,
    from: IpAddr,
    transport: &Transport,
) -> Result<Agreement, Reject> {
    if request.protocol_version & 1 == 0 {
        return Err(Reject::ProtocolVersion);
    }
    if request.application_context_name.trim_end_matches(['\0', ' ']) != APPLICATION_CONTEXT {
        return Err(Reject::ApplicationContext);
    }
    let called_ae = request.called_ae_title.parse().map_err(|_| Reject::CalledAe)?;
    if !policy.is_called(&called_ae) {
        return Err(Reject::CalledAe);
    }
    let calling_ae: AeTitle = request.calling_ae_title.parse().map_err(|_| Reject::CallingAe)?;
    let peer = policy.identify(&calling_ae, from, transport)?;
    let peer_limit = peer_limit(&request.user_variables);
    if (1..LEAST_PDU_LENGTH).contains(&peer_limit) {
        return Err(Reject::TinyPdu);
    }
    let terms = Terms::of(request, &policy.rules(peer).storage);
    let mut contexts = HashMap::new();
    let mut results = Vec::with_capacity(request.presentation_contexts.len());
    for proposed in &request.presentation_contexts {
        let taken = contexts.contains_key(&proposed.id);
        let decision = terms.decide(proposed).and_then(|agreed| {
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
            user_variables: terms.answer(request),
        },
        peer,
        calling_ae,
        called_ae,
        contexts,
        peer_limit,
    })
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

/// What decides on each context of one request.
struct Terms<'a> {
    storage: &'a StoragePolicy,
    /// Proposed roles by abstract syntax.
    roles: HashMap<&'a str, Roles>,
    /// Service classes by abstract syntax, from common extended negotiation.
    service_classes: HashMap<String, String>,
}

impl<'a> Terms<'a> {
    fn of(request: &'a AssociationRQ, storage: &'a StoragePolicy) -> Self {
        let mut terms = Terms { storage, roles: HashMap::new(), service_classes: HashMap::new() };
        for item in &request.user_variables {
            match item {
                UserVariableItem::ScuScpRoleSelectionSubItem(uid, roles) => {
                    terms.roles.insert(uid.as_str(), Roles { scu: roles.scu, scp: roles.scp });
                }
                UserVariableItem::Unknown(0x57, bytes) => {
                    terms.service_classes.extend(common_extended(bytes));
                }
                UserVariableItem::Unknown(..)
                | UserVariableItem::MaxLength(_)
                | UserVariableItem::ImplementationClassUID(_)
                | UserVariableItem::ImplementationVersionName(_)
                | UserVariableItem::SopClassExtendedNegotiationSubItem(..)
                | UserVariableItem::UserIdentityItem(_) => {}
            }
        }
        terms
    }

    fn service(&self, abstract_syntax: &str) -> Option<Service> {
        service_of(abstract_syntax, self.storage, &self.service_classes)
    }

    /// The roles that the requestor gets in a service.
    fn granted(&self, abstract_syntax: &str, service: Service) -> Roles {
        self.roles.get(abstract_syntax).copied().unwrap_or(Roles::DEFAULT).and(service.roles())
    }

    fn decide(
        &self,
        proposed: &PresentationContextProposed,
    ) -> Result<AgreedContext, PresentationContextResultReason> {
        let unsupported = PresentationContextResultReason::AbstractSyntaxNotSupported;
        let abstract_syntax: SopClassUid =
            proposed.abstract_syntax.parse().map_err(|_| unsupported.clone())?;
        let service = self.service(abstract_syntax.as_str()).ok_or(unsupported)?;
        let requestor = self.granted(abstract_syntax.as_str(), service);
        if !requestor.scu && !requestor.scp {
            // It wants to be what we have no use for; nothing could happen in this context.
            return Err(PresentationContextResultReason::UserRejection);
        }
        let named = proposed.transfer_syntaxes.iter().filter_map(|uid| uid.parse().ok());
        let transfer_syntax = named.into_iter().find(|uid| service.takes(uid));
        match transfer_syntax {
            Some(transfer_syntax) => {
                Ok(AgreedContext { service, abstract_syntax, transfer_syntax, requestor })
            }
            None => Err(PresentationContextResultReason::TransferSyntaxesNotSupported),
        }
    }

    fn answer(&self, request: &AssociationRQ) -> Vec<UserVariableItem> {
        let mut answer = own_user_variables();
        for item in &request.user_variables {
            match item {
                // Asynchronous operations window: one operation at a time in both directions (PS3.7 annex D.3.3.3).
                UserVariableItem::Unknown(0x53, _) => {
                    answer.push(UserVariableItem::Unknown(0x53, vec![0, 1, 0, 1]));
                }
                // Role selection: never more than proposed (PS3.7 annex D.3.3.4).
                UserVariableItem::ScuScpRoleSelectionSubItem(uid, _) => {
                    if let Some(service) = self.service(uid) {
                        let Roles { scu, scp } = self.granted(uid, service);
                        let granted = RequestorRoles { scu, scp };
                        answer.push(UserVariableItem::ScuScpRoleSelectionSubItem(uid.clone(), granted));
                    }
                }
                // User identity: acknowledged when asked; we decide on AE title, address and certificate (PS3.7 annex
                // D.3.3.7).
                UserVariableItem::UserIdentityItem(identity) if identity.positive_response_requested() => {
                    answer.push(UserVariableItem::Unknown(0x59, vec![0, 0]));
                }
                // Common extended negotiation has no answer (PS3.7 annex D.3.3.6); extended negotiation of storage is
                // left unanswered, which is the default behaviour (PS3.4 annex B.3.1).
                UserVariableItem::Unknown(..)
                | UserVariableItem::MaxLength(_)
                | UserVariableItem::ImplementationClassUID(_)
                | UserVariableItem::ImplementationVersionName(_)
                | UserVariableItem::SopClassExtendedNegotiationSubItem(..)
                | UserVariableItem::UserIdentityItem(_) => {}
            }
        }
        answer
    }
}

/// SOP class and service class of a common extended negotiation item (PS3.7 annex D.3.3.6.1): two UIDs, each behind a
/// length of two bytes. What follows is not used.
fn common_extended(bytes: &[u8]) -> Option<(String, String)> {
    let (class, rest) = counted(bytes)?;
    let (service_class, _) = counted(rest)?;
    Some((class, service_class))
}

fn counted(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (text, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let text = std::str::from_utf8(text).ok()?;
    Some((text.trim_end_matches(['\0', ' ']).to_owned(), rest))
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
