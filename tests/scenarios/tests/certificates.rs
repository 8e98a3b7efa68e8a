//! A certificate is wrong or has expired: the portal's authority, the box's TLS certificate, the organisation's signing
//! certificate.
//!
//! The transfer is held with a reason that names it, the status says so, the PACS can go on sending, and once the
//! certificate is right the transfer goes on.

use beeldbox_portal::ca::Validity;
use beeldbox_protocol::admin::{HoldCode, StateCode, WhoCode};
use beeldbox_scenarios::ending::Repeats;
use beeldbox_scenarios::forged::until_yesterday;
use beeldbox_scenarios::two_hospitals::{At, TwoHospitals, now};

#[tokio::test]
async fn a_portal_of_another_authority_is_not_sent_to() {
    let story = TwoHospitals::start().await;
    let noord = &story.demo.noord.daemon;
    let authority = story.folder_of(At::Noord).join("portal-authority.pem");
    let right = std::fs::read(&authority).expect("the authority");
    noord.take_down().await.expect("it can be ended");
    // The national authority did not sign for the portal.
    std::fs::copy(story.root().join("national/authority.pem"), &authority).expect("another authority");
    story.bring_up(At::Noord).await;
    held_until_put_right(&story, || std::fs::write(&authority, right).expect("the authority")).await;
}

#[tokio::test]
async fn an_expired_client_certificate_holds_the_transfer_and_not_the_intake() {
    let story = TwoHospitals::start().await;
    let noord = &story.demo.noord.daemon;
    noord.take_down().await.expect("it can be ended");
    story.new_tls_certificate(At::Noord, until_yesterday());
    story.bring_up(At::Noord).await;
    held_until_put_right(&story, || story.new_tls_certificate(At::Noord, Validity::usual(now()))).await;
}

#[tokio::test]
async fn an_expired_signing_certificate_holds_the_transfer_and_not_the_intake() {
    let story = TwoHospitals::start().await;
    let noord = &story.demo.noord.daemon;
    noord.take_down().await.expect("it can be ended");
    story.new_signing_certificate(At::Noord, 2020, 2024);
    story.bring_up(At::Noord).await;
    held_until_put_right(&story, || story.new_signing_certificate(At::Noord, 2020, 2040)).await;
}

#[tokio::test]
async fn receipts_are_not_signed_with_an_expired_certificate() {
    let story = TwoHospitals::start().await;
    let zuid = &story.demo.zuid.daemon;
    zuid.take_down().await.expect("it can be ended");
    story.new_signing_certificate(At::Zuid, 2020, 2024);
    story.bring_up(At::Zuid).await;
    let study = story.a_study(1, 10);
    let transfer = story.send(&study).await;
    let held = story.until_state(At::Zuid, transfer, StateCode::Held).await;
    story.check("why it is held", held.line.situation.hold, Some(HoldCode::CertificateExpired));
    story.check("who can act", held.line.situation.who, WhoCode::Administrator);
    story.is_so("noord: accepted 1 | zuid: held 1", &[], Repeats::Never).await;

    zuid.take_down().await.expect("it can be ended");
    story.new_signing_certificate(At::Zuid, 2020, 2040);
    story.bring_up(At::Zuid).await;
    story.resume(At::Zuid, transfer).await;
    story.import(transfer).await;
    story.until_delivered(transfer).await;
    story.ends("noord: delivered 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}

/// A study is received, addressed and held; after the repair it goes on.
async fn held_until_put_right(story: &TwoHospitals, repair: impl FnOnce()) {
    let study = story.a_study(1, 10);
    let transfer = story.send(&study).await;
    let held = story.until_state(At::Noord, transfer, StateCode::Held).await;
    story.check("why it is held", held.line.situation.hold, Some(HoldCode::CertificateExpired));
    story.check("who can act", held.line.situation.who, WhoCode::Administrator);
    let status = story.status(At::Noord).await;
    story.check("held transfers in status", status.held, 1);
    println!(
        "status: portal {:?}, certificates until {:?}",
        status.portal.trouble, status.certificates_valid_until
    );
    // The PACS can go on sending.
    let another = story.a_study(2, 3);
    story.receive(&another).await;
    story.closed(&another).await;
    story.is_so("noord: held 1, queued 1 | zuid: -", &[], Repeats::Never).await;

    story.demo.noord.daemon.take_down().await.expect("it can be ended");
    repair();
    story.bring_up(At::Noord).await;
    story.resume(At::Noord, transfer).await;
    story.import(transfer).await;
    story.until_delivered(transfer).await;
    let other = story.address(&another).await;
    story.import(other).await;
    story.until_delivered(other).await;
    story.is_so("noord: delivered 2 | zuid: reported 2", &[&study, &another], Repeats::Never).await;
}
