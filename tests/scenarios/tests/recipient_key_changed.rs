//! A known partner suddenly has another key: it got a new box, or somebody is in between.
//!
//! The transfer is held until a person compared the keys and lets it go on; from then on the new key is the known one.

use beeldbox_protocol::admin::{HoldCode, StateCode, WhoCode};
use beeldbox_scenarios::ending::Repeats;
use beeldbox_scenarios::forged;
use beeldbox_scenarios::two_hospitals::{At, TwoHospitals};

#[tokio::test]
async fn a_transfer_to_a_known_partner_with_a_new_key_is_held_until_a_person_says_so() {
    let story = TwoHospitals::start().await;
    let (first, second, third) = (story.a_study(1, 5), story.a_study(2, 5), story.a_study(3, 5));
    story.goes_through(&first).await;

    story.demo.zuid.daemon.take_down().await.expect("it can be ended");
    std::fs::write(story.folder_of(At::Zuid).join("credentials/recipient.key"), forged::random())
        .expect("a key");
    story.receive(&second).await;
    let line = story.closed(&second).await;
    let before = story.check_page(line.study).await.key_thumbprint;
    story.bring_up(At::Zuid).await;
    story
        .until("Noord has seen the new key", async || {
            story.check_page(line.study).await.key_thumbprint != before
        })
        .await;

    let transfer = story.address(&second).await;
    let held = story.until_state(At::Noord, transfer, StateCode::Held).await;
    story.check("why it is held", held.line.situation.hold, Some(HoldCode::RecipientKeyChanged));
    story.check("who can act", held.line.situation.who, WhoCode::Technician);
    story.check("held transfers in status", story.status(At::Noord).await.held, 1);
    story.is_so("noord: delivered 1, held 1 | zuid: reported 1", &[&first], Repeats::Never).await;

    story.resume(At::Noord, transfer).await;
    story.import(transfer).await;
    story.until_delivered(transfer).await;
    // The person is not asked twice.
    story.goes_through(&third).await;
    story.ends("noord: delivered 3 | zuid: reported 3", &[&first, &second, &third], Repeats::Never).await;
}
