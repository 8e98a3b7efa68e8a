//! The technician notices right after "send" that the choice was wrong.
//!
//! Until the undo window has passed nothing has left the box, whatever happens to it meanwhile; undoing puts the study
//! back into the list as if nothing had happened.

use beeldbox_demo::hospital::DemoOptions;
use beeldbox_protocol::admin::{Question, RefusalCode, StateCode, WhoCode};
use beeldbox_scenarios::ending::Repeats;
use beeldbox_scenarios::two_hospitals::{At, PortalRuns, TwoHospitals, ZUID};
use beeldbox_transfer::portal_client::PortalError;

async fn with_window(seconds: u64) -> TwoHospitals {
    let options = DemoOptions { undo_seconds: seconds, ..DemoOptions::default() };
    TwoHospitals::start_with(PortalRuns::Here, &options).await
}

#[tokio::test]
async fn within_the_window_nothing_leaves_the_box_and_the_study_goes_back_into_the_list() {
    let story = with_window(3600).await;
    let study = story.a_study(1, 10);
    story.receive(&study).await;
    let before = story.closed(&study).await;
    let transfer = story.address(&study).await;
    let sent = story.until_state(At::Noord, transfer, StateCode::Addressed).await;
    let until = sent.line.situation.undo_until;
    assert!(until.is_some(), "nobody is told until when it can be undone");
    story.check("who can act", sent.line.situation.who, WhoCode::Technician);
    let said = story.beeldboxctl(At::Noord, &["show", &transfer.to_string()]).await;
    assert!(said.contains("can be undone until then"), "{said}");

    // The window is kept in the ledger, not in the head of the box.
    story.kill(At::Noord).await;
    let sent = story.until_state(At::Noord, transfer, StateCode::Addressed).await;
    story.check("until when", sent.line.situation.undo_until, until);
    let task = story.portal_as(At::Noord).task(&transfer).await;
    assert!(matches!(task, Err(PortalError::NotFound)), "the portal knows of it: {task:?}");
    story.check("objects at the portal", story.portal().stored_objects().await.expect("its store"), vec![]);

    story.beeldboxctl(At::Noord, &["undo", &transfer.to_string()]).await;
    let after = story.closed(&study).await;
    story.check("the study in the list", (after.study, after.transfer), (before.study, before.transfer));
    story.check("its state", after.situation.state, StateCode::Queued);
    story.check("since when", after.situation.since, before.situation.since);
    let again = story.try_ask(At::Noord, Question::Undo { transfer }).await.expect_err("it is undone");
    story.check("why not twice", again.code, RefusalCode::NotNow);
    story.ends("noord: queued 1 | zuid: -", &[], Repeats::Never).await;
}

#[tokio::test]
async fn after_the_window_it_goes_out_by_itself_and_is_not_undone_any_more() {
    let story = with_window(2).await;
    let study = story.a_study(1, 10);
    story.receive(&study).await;
    let line = story.closed(&study).await;
    // Undone once, then sent again: the second choice is the one that counts.
    let first = story.address_number(line.study, ZUID).await;
    story.ask(At::Noord, Question::Undo { transfer: first }).await;
    let transfer = story.address_number(line.study, ZUID).await;
    story.kill(At::Noord).await;
    story.import(transfer).await;
    story.until_delivered(transfer).await;
    let late = story.try_ask(At::Noord, Question::Undo { transfer }).await.expect_err("it is gone");
    story.check("why not", late.code, RefusalCode::NotNow);
    story.ends("noord: delivered 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}
