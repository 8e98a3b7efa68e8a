//! The portal does not answer: before the box sends, while it sends, and when the receipts are due.
//!
//! Nothing is lost and nobody has to do anything: the transfer waits with a named reason, is tried again, and is
//! delivered when the portal is back.

use beeldbox_protocol::admin::{StateCode, WaitCode, WhoCode};
use beeldbox_scenarios::ending::Repeats;
use beeldbox_scenarios::two_hospitals::{At, TwoHospitals};

#[tokio::test]
async fn a_study_waits_for_a_portal_that_is_down_and_goes_when_it_is_back() {
    let story = TwoHospitals::start().await;
    let portal = story.demo.portal.clone().expect("it runs as a program");
    let study = story.a_study(1, 20);
    portal.take_down().await.expect("it can be ended");

    // The PACS notices nothing, and the technician can address from the copy of the directory.
    let transfer = story.send(&study).await;
    let waiting = story
        .until_transfer(At::Noord, transfer, "the transfer waits for the portal", |detail| {
            detail.line.situation.waits_for == Some(WaitCode::PortalUnreachable)
        })
        .await;
    let situation = &waiting.line.situation;
    story.check("state", situation.state, StateCode::Sending);
    story.check("who can act", situation.who, WhoCode::Administrator);
    assert!(situation.waits_since.is_some() && situation.next_try_at.is_some());
    let said = story.beeldboxctl(At::Noord, &["show", &transfer.to_string()]).await;
    assert!(said.contains("portal"), "show does not name what it waits for:\n{said}");
    assert!(story.status(At::Noord).await.portal.trouble.is_some());
    story
        .until_transfer(At::Noord, transfer, "it is tried again by itself", |detail| {
            detail.line.situation.attempts >= 2
        })
        .await;

    portal.bring_up();
    story.import(transfer).await;
    story.until_delivered(transfer).await;
    story.check("trouble", story.status(At::Noord).await.portal.trouble, None);
    story.ends("noord: delivered 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}

#[tokio::test]
async fn a_delivery_that_cannot_be_reported_is_reported_later() {
    let story = TwoHospitals::start().await;
    let portal = story.demo.portal.clone().expect("it runs as a program");
    let study = story.a_study(1, 20);
    let transfer = story.send(&study).await;
    story.until_state(At::Zuid, transfer, StateCode::Opened).await;
    story.until_state(At::Noord, transfer, StateCode::Fetched).await;
    portal.take_down().await.expect("it can be ended");

    story.import(transfer).await;
    story.until_state(At::Zuid, transfer, StateCode::Delivered).await;
    story.is_so("noord: fetched 1 | zuid: delivered 1", &[&study], Repeats::Never).await;

    portal.bring_up();
    story.until_delivered(transfer).await;
    story.ends("noord: delivered 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}
