//! The PACS of the addressee does not answer: before the delivery, and in the middle of it.
//!
//! The transfer waits with a named reason, is tried again, and is delivered when the PACS is back.

use beeldbox_peer::study::StudySpec;
use beeldbox_protocol::admin::{Question, StateCode, WaitCode, WhoCode};
use beeldbox_scenarios::ending::Repeats;
use beeldbox_scenarios::two_hospitals::{At, TwoHospitals};

#[tokio::test]
async fn a_delivery_waits_for_a_pacs_that_is_down() {
    let story = TwoHospitals::start().await;
    let pacs = story.demo.zuid.pacs.program.clone();
    let study = story.a_study(1, 20);
    pacs.take_down().await.expect("it can be ended");
    let transfer = story.send(&study).await;
    story.import(transfer).await;
    let waiting = story
        .until_transfer(At::Zuid, transfer, "the transfer waits for the PACS", |detail| {
            detail.line.situation.waits_for == Some(WaitCode::PacsUnreachable)
        })
        .await;
    let situation = &waiting.line.situation;
    story.check("who can act", situation.who, WhoCode::Administrator);
    assert!(situation.waits_since.is_some() && situation.next_try_at.is_some());
    assert!(story.status(At::Zuid).await.pacs.trouble.is_some());
    let said = story.beeldboxctl(At::Zuid, &["show", &transfer.to_string()]).await;
    assert!(said.contains("PACS"), "show does not name what it waits for:\n{said}");
    // The sender is told the truth meanwhile: the other box has it, the other PACS has not.
    story.until_state(At::Noord, transfer, StateCode::Fetched).await;

    pacs.bring_up();
    story
        .until("the PACS listens", async || {
            tokio::net::TcpStream::connect(&story.demo.zuid.pacs.dicom).await.is_ok()
        })
        .await;
    // An administrator who knows that it is back need not wait for the next attempt.
    let _told = story.try_ask(At::Zuid, Question::Resume { transfer }).await;
    story.until_delivered(transfer).await;
    story.check("trouble", story.status(At::Zuid).await.pacs.trouble, None);
    story.ends("noord: delivered 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}

#[tokio::test]
async fn a_delivery_that_breaks_goes_on_where_it_was() {
    let story = TwoHospitals::start().await;
    let pacs = story.demo.zuid.pacs.program.clone();
    let study = story.a_study_of(&StudySpec { slices: 100, ..StudySpec::default() });
    let transfer = story.send(&study).await;
    story.import(transfer).await;
    story.until("some instances are in the PACS", async || story.received(At::Zuid).len() >= 40).await;
    pacs.kill().await.expect("kill can be run");
    story
        .until_transfer(At::Zuid, transfer, "the transfer waits for the PACS", |detail| {
            detail.line.situation.waits_for == Some(WaitCode::PacsUnreachable)
        })
        .await;
    story.until_delivered(transfer).await;
    // What was settled before is not sent again; the one that was under way may be.
    let repeated = story.received(At::Zuid).len() - study.files.len();
    assert!(repeated <= 1, "{repeated} instances were given to the PACS twice");
    story.ends("noord: delivered 1 | zuid: reported 1", &[&study], Repeats::SameBytes).await;
}
