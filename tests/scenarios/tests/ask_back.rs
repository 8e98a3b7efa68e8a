//! A wrong send is noticed after the other hospital has collected it.
//!
//! What is not in the PACS there is erased by itself, and the sender gets a signed answer; what is in the PACS waits for
//! a person there, whose answer the sender gets in words. Nobody but the sender of a transfer can ask for it back.

use beeldbox_protocol::admin::{AskCode, Question, RefusalCode, StateCode};
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::TransferId;
use beeldbox_scenarios::ending::Repeats;
use beeldbox_scenarios::two_hospitals::{At, TwoHospitals};

const REASON: &str = "Verkeerde patient gekozen, melding bij de FG volgt.";

async fn ask_back(story: &TwoHospitals, transfer: TransferId) {
    story.beeldboxctl(At::Noord, &["ask-back", &transfer.to_string(), "--reason", REASON]).await;
}

async fn until_answered(story: &TwoHospitals, transfer: TransferId, answer: AskCode) {
    story
        .until_transfer(At::Noord, transfer, &format!("the answer is {answer:?}"), |detail| {
            detail.line.ask.as_ref().is_some_and(|ask| ask.state == answer)
        })
        .await;
}

#[tokio::test]
async fn what_is_not_in_the_pacs_is_erased_by_itself_and_the_sender_gets_a_signed_answer() {
    let story = TwoHospitals::start_with_own_portal().await;
    let study = story.a_study(1, 10);
    let transfer = story.send(&study).await;
    story.until_state(At::Noord, transfer, StateCode::Fetched).await;
    // The question survives that the other box is away, and that ours is killed.
    story.demo.zuid.daemon.take_down().await.expect("it can be ended");
    ask_back(&story, transfer).await;
    let twice = Question::AskBack { transfer, reason: Confidential::new(REASON) };
    let refused = story.try_ask(At::Noord, twice).await.expect_err("it is asked already");
    story.check("why not twice", refused.code, RefusalCode::NotNow);
    story.kill(At::Noord).await;
    story.bring_up(At::Zuid).await;

    until_answered(&story, transfer, AskCode::Granted).await;
    story.until_state(At::Noord, transfer, StateCode::Recalled).await;
    story.until_state(At::Zuid, transfer, StateCode::Erased).await;
    story.check("instances left at Zuid", story.verified(At::Zuid).await, vec![]);
    let said = story.beeldboxctl(At::Noord, &["show", &transfer.to_string()]).await;
    assert!(said.contains("erased by the receiving hospital"), "{said}");
    let trail = story.beeldboxctl(At::Zuid, &["audit"]).await;
    assert!(trail.contains("asked-back") && trail.contains("erased"), "{trail}");
    let import = Question::Import { transfer, patient: None };
    story.try_ask(At::Zuid, import).await.expect_err("it is gone");
    story.ends("noord: recalled 1 | zuid: erased 1", &[], Repeats::Never).await;
}

#[tokio::test]
async fn what_is_in_the_pacs_waits_for_a_person_who_removes_it() {
    let story = TwoHospitals::start_with_own_portal().await;
    let study = story.a_study(1, 10);
    let transfer = story.goes_through(&study).await;
    ask_back(&story, transfer).await;
    until_answered(&story, transfer, AskCode::Asked).await;
    let open = story
        .until_transfer(At::Zuid, transfer, "a person at Zuid is asked", |detail| {
            detail.line.ask.as_ref().is_some_and(|ask| ask.state == AskCode::Open)
        })
        .await;
    let reason = open.line.ask.and_then(|ask| ask.reason).expect("the reason");
    story.check("the reason", reason.reveal(), REASON);
    story.beeldboxctl(At::Zuid, &["give-back", &transfer.to_string()]).await;
    until_answered(&story, transfer, AskCode::Granted).await;
    story.until_state(At::Zuid, transfer, StateCode::Erased).await;
    // That it was delivered stays true; that it is gone again stands beside it.
    story.ends("noord: delivered 1 | zuid: erased 1", &[&study], Repeats::Never).await;
}

#[tokio::test]
async fn a_person_there_may_keep_it_and_the_sender_is_told() {
    let story = TwoHospitals::start_with_own_portal().await;
    let study = story.a_study(1, 10);
    let transfer = story.goes_through(&study).await;
    ask_back(&story, transfer).await;
    story
        .until_transfer(At::Zuid, transfer, "a person at Zuid is asked", |detail| detail.line.ask.is_some())
        .await;
    story.beeldboxctl(At::Zuid, &["keep", &transfer.to_string()]).await;
    until_answered(&story, transfer, AskCode::Refused).await;
    story.ends("noord: delivered 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}

#[tokio::test]
async fn what_was_not_collected_is_not_asked_back_but_taken_back() {
    let story = TwoHospitals::start_with_own_portal().await;
    let study = story.a_study(1, 10);
    story.demo.zuid.daemon.take_down().await.expect("it can be ended");
    let transfer = story.send(&study).await;
    story.until_state(At::Noord, transfer, StateCode::Accepted).await;
    let ask = Question::AskBack { transfer, reason: Confidential::new(REASON) };
    let refused = story.try_ask(At::Noord, ask).await.expect_err("nobody has it");
    story.check("why", refused.code, RefusalCode::NotNow);
    story.ends("noord: accepted 1 | zuid: down", &[], Repeats::Never).await;
}
