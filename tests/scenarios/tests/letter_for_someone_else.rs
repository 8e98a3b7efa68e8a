//! Letters that arrive at the wrong box, or that somebody else wrote in the sender's name.
//!
//! The story plays a sender that does not use the product: with the TLS certificate of Noord it lays letters at the
//! portal, in transfers that are addressed to Zuid. The box of Zuid holds each by name, and nothing goes to its PACS.

use beeldbox_protocol::admin::{HoldCode, StateCode};
use beeldbox_protocol::clinical::{Confidential, Patient};
use beeldbox_protocol::envelope::jws::OrganisationSigner;
use beeldbox_protocol::envelope::keys::SecretKey;
use beeldbox_protocol::envelope::letter::{self, Letter, ListedInstance, ListedPack, ListedPart, Party};
use beeldbox_protocol::envelope::pack::{PACK_HEADER_LEN, PackId};
use beeldbox_protocol::envelope::recipient::{RecipientIdentity, RecipientVerified};
use beeldbox_protocol::envelope::trust::TrustAnchors;
use beeldbox_protocol::ident::{Digest, TransferId};
use beeldbox_protocol::portal::task::{self, NewTransfer, PartEntry};
use beeldbox_scenarios::ending::Repeats;
use beeldbox_scenarios::forged::{a_recipient_key, random, self_signed, statement, tomorrow};
use beeldbox_scenarios::two_hospitals::{At, TwoHospitals, ZUID, now};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// An organisation of the directory that has no box here.
const OTHER: &str = "90000401";

#[tokio::test]
async fn letters_for_someone_else_or_by_someone_else_are_held_by_name() {
    let story = TwoHospitals::start().await;
    let (noord, zuid) = (story.signer_of(At::Noord), story.signer_of(At::Zuid));
    let other = story.signer_of_bystander(OTHER);
    let key_of_zuid = story.identity_of(At::Zuid);
    let stranger = self_signed(story.demo.noord.ura, "Ziekenhuis Noord");

    let letters = [
        (
            "for a key that this box does not have",
            &noord,
            &zuid,
            &a_recipient_key(),
            HoldCode::LetterUnreadable,
        ),
        // Another organisation claims the key of Zuid as its own, so that its letters can be opened nowhere else.
        (
            "for another organisation, to the key of Zuid",
            &noord,
            &other,
            &key_of_zuid,
            HoldCode::LetterUnreadable,
        ),
        ("in the name of Noord, by nobody", &stranger, &zuid, &key_of_zuid, HoldCode::SenderNotVerified),
    ];
    for (what, signer, addressee, key, why) in letters {
        let transfer = lay(&story, signer, addressee, key).await;
        let held = story.until_state(At::Zuid, transfer, StateCode::Held).await;
        story.check(what, held.line.situation.hold, Some(why));
        let partner = held.line.partner.expect("the portal names a sender");
        story.check("the sender is believed", partner.verified, false);
        story.check("a patient is shown", held.line.patient.map(|patient| patient.name), None);
    }
    story.check("held transfers in status", story.status(At::Zuid).await.held, 3);
    // Real work goes on beside them.
    let study = story.a_study(1, 5);
    story.goes_through(&study).await;
    story.ends("noord: delivered 1 | zuid: held 3, reported 1", &[&study], Repeats::Never).await;
}

/// Lays a letter with a pack of noise at the portal, in a transfer from Noord to Zuid.
async fn lay(
    story: &TwoHospitals,
    signer: &OrganisationSigner,
    addressee: &OrganisationSigner,
    key: &RecipientIdentity,
) -> TransferId {
    let anchor =
        CertificateDer::from_pem_file(story.root().join("national/authority.pem")).expect("the authority");
    let anchors = TrustAnchors::new(&[anchor], &[]).expect("anchors");
    let statement = statement(addressee, key);
    let recipient =
        RecipientVerified::verify(&statement, addressee.ura(), &anchors, now()).expect("its own statement");
    let mut id = [0; 16];
    id.copy_from_slice(&random()[..16]);
    let (transfer, pack) = (TransferId::from_random(id), PackId::from_random(id));
    let noise = random().repeat(32);
    let part = PartEntry { digest: Digest::of(&noise), len: noise.len() as u64 };
    let letter = Letter {
        v: 1,
        transfer,
        sender: party(signer),
        addressee: party(addressee),
        written_at: now(),
        valid_until: tomorrow(),
        urgent: false,
        patient: Patient { name: Some(Confidential::new("Niemand^Nergens")), ..Patient::default() },
        studies: Vec::new(),
        note: None,
        reply_contact: None,
        instances: vec![ListedInstance {
            class: "1.2.840.10008.5.1.4.1.1.2".parse().expect("a UID"),
            instance: "1.2.3.4".parse().expect("a UID"),
            study: None,
            series: None,
            syntax: "1.2.840.10008.1.2.1".parse().expect("a UID"),
            size: 100,
            sha256: part.digest,
            pack: 0,
            frame: 0,
            at: PACK_HEADER_LEN as u64,
            sealed: 500,
        }],
        packs: vec![ListedPack {
            id: pack,
            key: SecretKey::from_bytes(random()),
            len: part.len,
            parts: vec![ListedPart { sha256: part.digest, len: part.len }],
        }],
        about: None,
        in_answer_to: None,
    };
    let sealed = letter::seal(&letter, signer, &[&recipient], &aws_lc_rs::rand::SystemRandom::new());
    let sealed = sealed.expect("a letter").into();

    let portal = story.portal_as(At::Noord);
    let draft = NewTransfer {
        transfer,
        sender: story.demo.noord.ura.parse().expect("a URA"),
        addressee_ura: story.demo.zuid.ura.parse().expect("a URA"),
        addressee: ZUID.parse().expect("an addressee"),
        urgent: false,
        at: now(),
        valid_until: tomorrow(),
    };
    portal.create_task(&transfer, &draft.draft()).await.expect("a draft");
    portal.put_part(&transfer, &part.digest, noise.into(), false).await.expect("a part");
    portal.put_letter(&transfer, sealed, false).await.expect("a letter");
    let there = portal.task(&transfer).await.expect("the draft");
    portal.update_task(&transfer, &task::commit(there, &[part])).await.expect("a commit");
    transfer
}

fn party(signer: &OrganisationSigner) -> Party {
    Party {
        ura: signer.ura().clone(),
        organisation: signer.name().to_owned(),
        department: None,
        addressee: None,
    }
}
