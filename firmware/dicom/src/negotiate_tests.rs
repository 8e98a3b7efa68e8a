//! Presentation contexts and user information, as a table.

use dicom_ul::pdu::{UserIdentity, UserIdentityType};

use super::*;
use crate::policy::AllowedPeer;
use crate::services::VERIFICATION;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn policy() -> NodePolicy {
    let peer = AllowedPeer { address: Some(HERE.into()), ..AllowedPeer::new("CT1".parse().unwrap()) };
    NodePolicy { allowed_peers: vec![peer], ..NodePolicy::new("BEELDBOX".parse().unwrap()) }
}

fn request(contexts: &[(u8, &str, &[&str])]) -> AssociationRQ {
    AssociationRQ {
        protocol_version: 1,
        calling_ae_title: "CT1".to_owned(),
        called_ae_title: "BEELDBOX".to_owned(),
        application_context_name: APPLICATION_CONTEXT.to_owned(),
        presentation_contexts: contexts
            .iter()
            .map(|(id, class, syntaxes)| PresentationContextProposed {
                id: *id,
                abstract_syntax: (*class).to_owned(),
                transfer_syntaxes: syntaxes.iter().map(|s| (*s).to_owned()).collect(),
            })
            .collect(),
        user_variables: vec![UserVariableItem::MaxLength(16384)],
    }
}

#[test]
fn each_refusal_has_its_reason() {
    let changed = |change: fn(&mut AssociationRQ)| {
        let mut request = request(&[]);
        change(&mut request);
        negotiate(&request, &policy(), HERE, &Transport::Plain).map(|_| ())
    };
    assert_eq!(changed(|_| {}), Ok(()));
    assert_eq!(changed(|r| r.calling_ae_title = "CT2".to_owned()), Err(Reject::CallingAe));
    assert_eq!(changed(|r| r.calling_ae_title = String::new()), Err(Reject::CallingAe));
    assert_eq!(changed(|r| r.called_ae_title = "ANY-SCP".to_owned()), Err(Reject::CalledAe));
    assert_eq!(changed(|r| r.application_context_name = "1.2.3".to_owned()), Err(Reject::ApplicationContext));
    assert_eq!(changed(|r| r.protocol_version = 2), Err(Reject::ProtocolVersion));
    assert_eq!(changed(|r| r.protocol_version = 3), Ok(()));
    assert_eq!(changed(|r| r.user_variables = vec![UserVariableItem::MaxLength(512)]), Err(Reject::TinyPdu));
    assert_eq!(changed(|r| r.user_variables = vec![UserVariableItem::MaxLength(0)]), Ok(()));
    let elsewhere = "192.0.2.1".parse().unwrap();
    assert_eq!(
        negotiate(&request(&[]), &policy(), elsewhere, &Transport::Plain).map(|_| ()),
        Err(Reject::Address)
    );
    let mapped = "::ffff:127.0.0.1".parse().unwrap();
    assert_eq!(negotiate(&request(&[]), &policy(), mapped, &Transport::Plain).map(|_| ()), Ok(()));
}

#[test]
fn reject_pdus_carry_the_numbers_of_the_standard() {
    assert_eq!(Reject::CallingAe.pdu()[7..], [1, 1, 3]);
    assert_eq!(Reject::CalledAe.pdu()[7..], [1, 1, 7]);
    assert_eq!(Reject::ApplicationContext.pdu()[7..], [1, 1, 2]);
    assert_eq!(Reject::Address.pdu()[7..], [1, 1, 3]);
    assert_eq!(Reject::TooManyAssociations.pdu()[7..], [2, 3, 1]);
    assert_eq!(Reject::TooManyOfPeer.pdu()[7..], [2, 3, 2]);
    assert_eq!(Reject::Congested.pdu()[7..], [2, 3, 1]);
}

#[test]
fn one_refused_context_leaves_the_others_alone() {
    let request = request(&[
        (1, "1.2.840.10008.5.1.4.1.2.2.1", &["1.2.840.10008.1.2"]),
        (3, "1.2.840.10008.5.1.4.1.1.2", &["1.2.752.24.3.7.6", "1.2.840.10008.1.2"]),
        (5, "not a uid", &["1.2.840.10008.1.2"]),
        (7, "1.2.840.10008.5.1.4.1.1.4", &[]),
        (3, "1.2.840.10008.5.1.4.1.1.4", &["1.2.840.10008.1.2"]),
        (9, VERIFICATION, &["1.2.840.10008.1.2\0"]),
    ]);
    let agreement = negotiate(&request, &policy(), HERE, &Transport::Plain).unwrap();
    let reasons: Vec<_> =
        agreement.accept.presentation_contexts.iter().map(|r| (r.id, r.reason.clone())).collect();
    use PresentationContextResultReason::{
        AbstractSyntaxNotSupported as Class, Acceptance, NoReason, TransferSyntaxesNotSupported as Syntax,
    };
    assert_eq!(
        reasons,
        [(1, Class), (3, Acceptance), (5, Class), (7, Syntax), (3, NoReason), (9, Acceptance)]
    );
    assert_eq!(agreement.contexts[&3].transfer_syntax.as_str(), "1.2.752.24.3.7.6");
    assert_eq!(agreement.contexts[&9].transfer_syntax.as_str(), "1.2.840.10008.1.2");
    assert_eq!(agreement.refused_contexts, 4);
}

#[test]
fn extended_negotiation_is_answered_modestly() {
    let mut request = request(&[]);
    let both = RequestorRoles { scu: true, scp: true };
    let ct = "1.2.840.10008.5.1.4.1.1.2".to_owned();
    request.user_variables.extend([
        UserVariableItem::Unknown(0x53, vec![0, 8, 0, 0]),
        UserVariableItem::ScuScpRoleSelectionSubItem(ct.clone(), both),
        UserVariableItem::UserIdentityItem(UserIdentity::new(
            true,
            UserIdentityType::Username,
            vec![b'u'],
            vec![],
        )),
    ]);
    let answer = negotiate(&request, &policy(), HERE, &Transport::Plain).unwrap().accept.user_variables;
    assert!(answer.contains(&UserVariableItem::Unknown(0x53, vec![0, 1, 0, 1])));
    assert!(answer.contains(&UserVariableItem::Unknown(0x59, vec![0, 0])));
    let scu_only = RequestorRoles { scu: true, scp: false };
    assert!(answer.contains(&UserVariableItem::ScuScpRoleSelectionSubItem(ct, scu_only)));
}

#[test]
fn an_alias_is_answered_and_told_apart() {
    let mut policy = policy();
    policy.aliases = vec!["ZUID_SPOED".parse().unwrap()];
    let mut request = request(&[]);
    request.called_ae_title = "ZUID_SPOED".to_owned();
    let agreement = negotiate(&request, &policy, HERE, &Transport::Plain).unwrap();
    assert_eq!(agreement.called_ae.as_str(), "ZUID_SPOED");
    assert_eq!(agreement.accept.called_ae_title, "ZUID_SPOED");
}

#[test]
fn a_role_that_we_have_no_use_for_ends_its_context_only() {
    let ct = "1.2.840.10008.5.1.4.1.1.2";
    let mut request = request(&[(1, ct, &["1.2.840.10008.1.2"]), (3, VERIFICATION, &["1.2.840.10008.1.2"])]);
    let scp_only = RequestorRoles { scu: false, scp: true };
    request.user_variables.push(UserVariableItem::ScuScpRoleSelectionSubItem(ct.to_owned(), scp_only));
    let agreement = negotiate(&request, &policy(), HERE, &Transport::Plain).unwrap();
    assert_eq!(agreement.contexts.keys().collect::<Vec<_>>(), [&3]);
    let neither = RequestorRoles { scu: false, scp: false };
    let answer = UserVariableItem::ScuScpRoleSelectionSubItem(ct.to_owned(), neither);
    assert!(agreement.accept.user_variables.contains(&answer));
}

#[test]
fn commitment_is_agreed_in_either_role_and_only_in_syntaxes_that_are_read() {
    let class = crate::commitment::STORAGE_COMMITMENT;
    let mut request = request(&[
        (1, class, &["1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2"]),
        (3, class, &["1.2.840.10008.1.2.1.99"]),
    ]);
    let proposed = RequestorRoles { scu: false, scp: true };
    request.user_variables.push(UserVariableItem::ScuScpRoleSelectionSubItem(class.to_owned(), proposed));
    let agreement = negotiate(&request, &policy(), HERE, &Transport::Plain).unwrap();
    assert_eq!(agreement.contexts.keys().collect::<Vec<_>>(), [&1]);
    assert_eq!(agreement.contexts[&1].transfer_syntax.as_str(), "1.2.840.10008.1.2");
    assert_eq!(agreement.contexts[&1].requestor, Roles { scu: false, scp: true });
    let answer = UserVariableItem::ScuScpRoleSelectionSubItem(class.to_owned(), proposed);
    assert!(agreement.accept.user_variables.contains(&answer));
    let refused = &agreement.accept.presentation_contexts[1].reason;
    assert_eq!(*refused, PresentationContextResultReason::TransferSyntaxesNotSupported);
}

#[test]
fn common_extended_negotiation_says_what_an_unknown_class_is() {
    let item = |class: &str, service: &str| {
        let counted =
            |uid: &str| [&u16::try_from(uid.len()).unwrap().to_be_bytes()[..], uid.as_bytes()].concat();
        UserVariableItem::Unknown(0x57, [counted(class), counted(service), vec![0, 0]].concat())
    };
    let mut request = request(&[
        (1, "1.2.3.4", &["1.2.840.10008.1.2"]),
        (3, "1.2.3.5", &["1.2.840.10008.1.2"]),
        (5, "1.2.840.10008.5.1.4.77.7", &["1.2.840.10008.1.2"]),
        (7, "1.2.3.6", &["1.2.840.10008.1.2"]),
    ]);
    request.user_variables.extend([
        item("1.2.3.4", "1.2.840.10008.4.2"),
        item("1.2.3.5", "1.2.840.10008.5.1.4.31"),
        item("1.2.840.10008.5.1.4.77.7", "1.2.840.10008.4.2"),
        UserVariableItem::Unknown(0x57, vec![0, 200, b'1']),
    ]);
    let agreement = negotiate(&request, &policy(), HERE, &Transport::Plain).unwrap();
    let mut taken: Vec<u8> = agreement.contexts.into_keys().collect();
    taken.sort_unstable();
    assert_eq!(taken, [1, 5, 7]);
    let answered = |item: &UserVariableItem| matches!(item, UserVariableItem::Unknown(0x57, _));
    assert!(!agreement.accept.user_variables.iter().any(answered));
}

// What dcm4che and others send: 128 contexts with every syntax they know.
#[test]
fn a_request_of_a_hundred_kibibytes_with_128_contexts_is_accepted() {
    let syntaxes: Vec<String> = (0..40).map(|n| format!("1.2.840.10008.1.2.4.{n}")).collect();
    let syntaxes: Vec<&str> = syntaxes.iter().map(String::as_str).collect();
    let contexts: Vec<(u8, &str, &[&str])> =
        (1..=255).step_by(2).map(|id| (id, "1.2.840.10008.5.1.4.1.1.2", syntaxes.as_slice())).collect();
    let pdu = crate::pdu::encode(&dicom_ul::pdu::Pdu::AssociationRQ(request(&contexts))).unwrap();
    assert!(pdu.len() > 100 * 1024, "{}", pdu.len());
    let decoded = crate::pdu::decode_request(&pdu.into()).unwrap();
    let agreement = negotiate(&decoded, &policy(), HERE, &Transport::Plain).unwrap();
    assert_eq!(agreement.contexts.len(), 128);
}
