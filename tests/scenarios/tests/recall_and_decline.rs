//! The sender takes a transfer back, or the addressee refuses it.
//!
//! Both sides say so, nothing goes to the PACS, and the addressee's reason reaches the sender.

use beeldbox_protocol::admin::{DeclineCode, Question, RefusalCode, StateCode};
use beeldbox_scenarios::ending::Repeats;
use beeldbox_scenarios::two_hospitals::{At, TwoHospitals};

#[tokio::test]
async fn a_transfer_that_was_not_fetched_is_recalled() {
    let story = TwoHospitals::start().await;
    let study = story.a_study(1, 10);
    story.demo.zuid.daemon.take_down().await.expect("it can be ended");
    let transfer = story.send(&study).await;
    story.until_state(At::Noord, transfer, StateCode::Accepted).await;
    story.ask(At::Noord, Question::Recall { transfer }).await;
    story.until_state(At::Noord, transfer, StateCode::Recalled).await;
    story.bring_up(At::Zuid).await;

    // A transfer that is sent afterwards arrives; the recalled one is never seen.
    let another = story.a_study(2, 5);
    story.goes_through(&another).await;
    assert!(story.find(At::Zuid, transfer).await.is_none(), "Zuid was told of a recalled transfer");
    story.ends("noord: delivered 1, recalled 1 | zuid: reported 1", &[&another], Repeats::Never).await;
}

#[tokio::test]
async fn a_transfer_that_is_held_at_the_addressee_is_recalled_there_too() {
    let story = TwoHospitals::start_with_own_portal().await;
    let study = story.a_study(1, 10);
    story.demo.zuid.daemon.take_down().await.expect("it can be ended");
    let transfer = story.send(&study).await;
    story.until_state(At::Noord, transfer, StateCode::Accepted).await;
    let names = story.portal().stored_objects().await.expect("its store");
    for part in names.iter().filter_map(|name| name.strip_prefix("parts/")?.split('/').nth(1)) {
        story.portal().faults().wrong_bytes_in_part(part.parse().expect("a digest"));
    }
    story.bring_up(At::Zuid).await;
    story.until_state(At::Zuid, transfer, StateCode::Held).await;
    story.ask(At::Noord, Question::Recall { transfer }).await;
    story.until_state(At::Zuid, transfer, StateCode::Recalled).await;
    story.ends("noord: recalled 1 | zuid: recalled 1", &[], Repeats::Never).await;
}

#[tokio::test]
async fn a_transfer_in_custody_of_the_addressee_is_not_taken_back_any_more() {
    let story = TwoHospitals::start().await;
    let study = story.a_study(1, 10);
    let transfer = story.send(&study).await;
    story.until_state(At::Noord, transfer, StateCode::Fetched).await;
    let recall = Question::Recall { transfer };
    let refused = story.try_ask(At::Noord, recall).await.expect_err("the other hospital has it");
    story.check("why it is not taken back", refused.code, RefusalCode::NotNow);
    story.import(transfer).await;
    story.until_delivered(transfer).await;
    story.ends("noord: delivered 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}

#[tokio::test]
async fn a_declined_transfer_tells_the_sender_why_and_delivers_nothing() {
    let story = TwoHospitals::start().await;
    let study = story.a_study(1, 10);
    let transfer = story.send(&study).await;
    story.until_state(At::Zuid, transfer, StateCode::Opened).await;
    story.beeldboxctl(At::Zuid, &["decline", &transfer.to_string(), "--reason", "wrong-department"]).await;
    let declined = story.until_state(At::Noord, transfer, StateCode::Declined).await;
    story.check("the reason", declined.line.situation.declined, Some(DeclineCode::WrongDepartment));
    let import = Question::Import { transfer, patient: None };
    story.try_ask(At::Zuid, import).await.expect_err("a declined transfer is not imported");
    story.ends("noord: declined 1 | zuid: declined 1", &[], Repeats::Never).await;
}
