//! Presentation contexts and user information, as a table.

use dicom_ul::pdu::{UserIdentity, UserIdentityType};

use super::*;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn policy() -> NodePolicy {
    let peer = AllowedPeer { ae_title: "CT1".parse().unwrap(), address: Some(HERE) };
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
        negotiate(&request, &policy(), HERE).map(|_| ())
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
    assert_eq!(negotiate(&request(&[]), &policy(), elsewhere).map(|_| ()), Err(Reject::CallingAe));
    let mapped = "::ffff:127.0.0.1".parse().unwrap();
    assert_eq!(negotiate(&request(&[]), &policy(), mapped).map(|_| ()), Ok(()));
}

#[test]
fn reject_pdus_carry_the_numbers_of_the_standard() {
    assert_eq!(Reject::CallingAe.pdu()[7..], [1, 1, 3]);
    assert_eq!(Reject::CalledAe.pdu()[7..], [1, 1, 7]);
    assert_eq!(Reject::ApplicationContext.pdu()[7..], [1, 1, 2]);
    assert_eq!(Reject::TooManyAssociations.pdu()[7..], [2, 3, 2]);
    assert_eq!(Reject::Congested.pdu()[7..], [2, 3, 1]);
}

#[test]
fn storage_is_accepted_and_other_services_are_not() {
    for storage in [
        "1.2.840.10008.5.1.4.1.1.2",
        "1.2.840.10008.5.1.4.1.1.88.33",
        "1.2.840.10008.5.1.4.1.1.9999.1",
        "1.2.840.10008.5.1.1.29",
        "1.2.840.10008.5.1.4.34.7",
        "1.2.840.10008.5.1.4.34.10",
        "1.2.840.10008.5.1.4.38.1",
        "1.2.840.10008.5.1.4.39.1",
        "1.2.840.10008.5.1.4.43.1",
        "1.2.840.10008.5.1.4.44.1",
        "1.2.840.10008.5.1.4.45.1",
        "1.2.840.113619.4.26",
    ] {
        assert_eq!(service_of(storage), Some(Service::Storage), "{storage}");
    }
    for other in [
        "1.2.840.10008.1.20.1",
        "1.2.840.10008.1.3.10",
        "1.2.840.10008.3.1.2.3.3",
        "1.2.840.10008.5.1.1.9",
        "1.2.840.10008.5.1.4.1.2.2.1",
        "1.2.840.10008.5.1.4.1.1.201.2",
        "1.2.840.10008.5.1.4.31",
        "1.2.840.10008.5.1.4.38.2",
        "1.2.840.10008.5.1.4.34.6.1",
        "1.2.840.10008.9.9.9",
    ] {
        assert_eq!(service_of(other), None, "{other}");
    }
    assert_eq!(service_of(VERIFICATION), Some(Service::Verification));
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
    let agreement = negotiate(&request, &policy(), HERE).unwrap();
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
    let answer = negotiate(&request, &policy(), HERE).unwrap().accept.user_variables;
    assert!(answer.contains(&UserVariableItem::Unknown(0x53, vec![0, 1, 0, 1])));
    assert!(answer.contains(&UserVariableItem::Unknown(0x59, vec![0, 0])));
    let scu_only = RequestorRoles { scu: true, scp: false };
    assert!(answer.contains(&UserVariableItem::ScuScpRoleSelectionSubItem(ct, scu_only)));
}
