//! The addressee does not collect, for longer than it should, and then for too long.
//!
//! People at both ends are told in time. When its time is over the portal lets it go, both boxes say so, and the study can
//! be offered again without a new push from the PACS.

use beeldbox_protocol::admin::{Question, Reply, StateCode, StudyNumber, WhoCode};
use beeldbox_protocol::ident::TransferId;
use beeldbox_scenarios::ending::Repeats;
use beeldbox_scenarios::two_hospitals::{At, TwoHospitals, ZUID};
use jiff::SignedDuration;

/// Longer than a transfer is offered (`keeping.valid_days`).
const TOO_LONG: SignedDuration = SignedDuration::from_hours(24 * 40);

async fn offer_again(story: &TwoHospitals, transfer: TransferId) -> StudyNumber {
    let Reply::Study(line) = story.ask(At::Noord, Question::OfferAgain { transfer }).await else {
        panic!("another answer")
    };
    line.study
}

#[tokio::test]
async fn what_nobody_collects_is_called_overdue_then_expires_and_can_be_offered_again() {
    let story = TwoHospitals::start_with_own_portal().await;
    story.change_settings(At::Noord, "[sending]\n", "[sending]\nremind_days = 0\n").await;
    let study = story.a_study(1, 10);
    story.receive(&study).await;
    story.hospital(At::Zuid).daemon.take_down().await.expect("it can be ended");
    let transfer = story.address(&study).await;
    story.until_state(At::Noord, transfer, StateCode::Accepted).await;

    // Reminded: with zero days, at once.
    let overdue =
        story.until_transfer(At::Noord, transfer, "it is overdue", |it| it.line.situation.is_overdue);
    overdue.await;
    story.check("uncollected, as counted", story.status(At::Noord).await.uncollected, 1);
    let said = story.beeldboxctl(At::Noord, &["show", &transfer.to_string()]).await;
    assert!(said.contains("LONGER THAN IT SHOULD"), "{said}");

    // Its time is over.
    story.portal().faults().clock_off_by(TOO_LONG);
    story.portal().sweep().await.expect("it expires");
    story.portal().faults().behave();
    let expired = story.until_state(At::Noord, transfer, StateCode::Expired).await;
    story.check("who can act", expired.line.situation.who, WhoCode::Nobody);
    let said = story.beeldboxctl(At::Noord, &["show", &transfer.to_string()]).await;
    assert!(said.contains("expired"), "{said}");

    // Zuid comes back: what expired is not delivered. Offered again, it is, and the PACS need not send it again.
    story.bring_up(At::Zuid).await;
    let number = offer_again(&story, transfer).await;
    story.check("offered twice is offered once", offer_again(&story, transfer).await, number);
    let second = story.address_number(number, ZUID).await;
    story.import(second).await;
    story.until_delivered(second).await;
    story.ends("noord: delivered 1, expired 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}

#[tokio::test]
async fn what_waits_for_import_is_called_overdue_and_does_not_expire() {
    let story = TwoHospitals::start_with_own_portal().await;
    story.change_settings(At::Zuid, "[sending]\n", "[sending]\nremind_days = 0\n").await;
    let study = story.a_study(1, 10);
    story.receive(&study).await;
    let transfer = story.address(&study).await;
    story.until_state(At::Noord, transfer, StateCode::Fetched).await;
    story
        .until_transfer(At::Zuid, transfer, "it waits too long for import", |it| it.line.situation.is_overdue)
        .await;
    story.check("overdue in the inbox", story.status(At::Zuid).await.inbox_overdue, 1);

    // What is in custody of the addressee does not expire: it can still be imported, and the sender learns of it.
    story.portal().faults().clock_off_by(TOO_LONG);
    story.portal().sweep().await.expect("it sweeps");
    story.portal().faults().behave();
    story.until_state(At::Noord, transfer, StateCode::Fetched).await;
    story.import(transfer).await;
    story.until_delivered(transfer).await;
    story.ends("noord: delivered 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}
