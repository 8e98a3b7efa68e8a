//! The PACS sends the same study again, or other content under a name that is there already.
//!
//! The same bytes are acknowledged and not kept twice. Other bytes are kept beside the first, and the technician must
//! look before the study goes.

use std::io::Write;

use beeldbox_peer::part10::{self, Part10File};
use beeldbox_protocol::admin::{CheckFlag, Question, RefusalCode, StateCode, StudyRef};
use beeldbox_scenarios::ending::{Repeats, print_of};
use beeldbox_scenarios::two_hospitals::{At, Study, TwoHospitals, ZUID};

#[tokio::test]
async fn the_same_study_again_is_acknowledged_and_kept_once() {
    let story = TwoHospitals::start().await;
    let study = story.a_study(1, 10);
    story.receive(&study).await;
    story.receive(&study).await;
    story.check("instances", story.verified(At::Noord).await.len(), study.files.len());
    let line = story.closed(&study).await;
    assert!(!line.has_conflict);
    let transfer = story.address(&study).await;
    story.import(transfer).await;
    story.until_delivered(transfer).await;
    story.ends("noord: delivered 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}

#[tokio::test]
async fn a_study_sent_again_after_it_was_delivered_is_kept_once_and_offered_again() {
    let story = TwoHospitals::start().await;
    let study = story.a_study(1, 10);
    story.goes_through(&study).await;
    // The box still has it and keeps no second copy. Whoever sends it again means somebody else: it is in the list.
    story.receive(&study).await;
    story.check("instances", story.verified(At::Noord).await.len(), study.files.len());
    let line = story.closed(&study).await;
    assert_eq!(line.summary.instances as usize, study.files.len());
    story.ends("noord: delivered 1, queued 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}

#[tokio::test]
async fn a_study_sent_again_after_it_was_taken_back_can_be_sent() {
    let story = TwoHospitals::start().await;
    let study = story.a_study(1, 10);
    story.demo.zuid.daemon.take_down().await.expect("it can be ended");
    let first = story.send(&study).await;
    story.until_state(At::Noord, first, StateCode::Accepted).await;
    story.ask(At::Noord, Question::Recall { transfer: first }).await;
    story.until_state(At::Noord, first, StateCode::Recalled).await;
    story.bring_up(At::Zuid).await;
    let second = story.goes_through(&study).await;
    assert_ne!(first, second);
    story.ends("noord: delivered 1, recalled 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}

#[tokio::test]
async fn a_declined_study_is_sent_again_to_the_same_hospital_without_a_push_from_the_pacs() {
    let story = TwoHospitals::start().await;
    let study = story.a_study(1, 10);
    let first = story.send(&study).await;
    story.until_state(At::Zuid, first, StateCode::Opened).await;
    story.beeldboxctl(At::Zuid, &["decline", &first.to_string(), "--reason", "wrong-department"]).await;
    story.until_state(At::Noord, first, StateCode::Declined).await;
    story.beeldboxctl(At::Noord, &["again", &first.to_string()]).await;
    story.beeldboxctl(At::Noord, &["again", &first.to_string()]).await;
    // The same packs are still at Zuid: the second transfer shares them instead of waiting until they are erased.
    let second = story.address(&study).await;
    assert_ne!(first, second);
    story.import(second).await;
    story.until_delivered(second).await;
    story
        .ends("noord: declined 1, delivered 1 | zuid: declined 1, reported 1", &[&study], Repeats::Never)
        .await;
}

#[tokio::test]
async fn other_content_under_a_known_name_is_kept_and_a_person_must_look() {
    let story = TwoHospitals::start().await;
    let study = story.a_study(1, 5);
    let changed = with_another_last_byte(&story, &study.files[0]);
    story.receive(&study).await;
    story.receive(&Study { files: vec![changed.clone()], ..study.clone() }).await;
    let line = story.closed(&study).await;
    assert!(line.has_conflict, "nobody was told of the conflict");
    let said = story.beeldboxctl(At::Noord, &["studies"]).await;
    assert!(said.contains("CONFLICT"), "not in the list:\n{said}");
    let send = Question::Send {
        study: StudyRef::Number(line.study),
        addressee: ZUID.parse().expect("an addressee"),
        note: None,
        reply_contact: None,
        urgent: false,
        acknowledged: vec![CheckFlag::FirstTime, CheckFlag::NoBsn],
    };
    let refused = story.try_ask(At::Noord, send).await.expect_err("it must be looked at first");
    story.check("why it is not sent", refused.code, RefusalCode::NotAcknowledged);

    // Having looked, the technician sends it: both are delivered, neither is lost.
    let transfer = story.address(&study).await;
    story.import(transfer).await;
    story.until_delivered(transfer).await;
    let mut expected: Vec<_> = study.files.iter().map(print_of).collect();
    expected.push(print_of(&changed));
    story.pacs_holds_exactly(At::Zuid, &expected, Repeats::Never);
    story.stop().await;
}

fn with_another_last_byte(story: &TwoHospitals, file: &Part10File) -> Part10File {
    let mut bytes = std::fs::read(&file.path).expect("a file of the study");
    *bytes.last_mut().expect("it is not empty") ^= 1;
    let path = story.place.folder("changed").expect("a folder").join("changed.dcm");
    std::fs::File::create(&path).and_then(|mut file| file.write_all(&bytes)).expect("a file");
    part10::Part10File::open(&path).expect("a Part 10 file")
}
