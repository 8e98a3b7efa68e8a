//! A study came to the wrong addressee, or to nobody, and goes on to another one.
//!
//! The sender's person redirects with one command; nothing is pushed from the PACS again, and what the portal still has
//! is not sent again. What it has erased is.

use std::time::Duration;

use beeldbox_demo::hospital::DemoOptions;
use beeldbox_peer::study::StudySpec;
use beeldbox_protocol::admin::{
    BelongsAt, CheckFlag, DeclineCode, Question, RefusalCode, Reply, StateCode, WhoCode,
};
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::{AddresseeId, TransferId};
use beeldbox_scenarios::ending::Repeats;
use beeldbox_scenarios::two_hospitals::{At, PortalRuns, Study, TwoHospitals, ZUID};
use jiff::SignedDuration;

/// A department of a hospital that has published a key and has no box here.
const ELSEWHERE: &str = "waddenkust-radiologie";

/// Another department of Zuid.
const SIBLING: &str = "zuid-cardiologie";

/// A study of several parts, which Noord has received.
async fn several_parts(story: &TwoHospitals) -> Study {
    let study = story.a_study_of(&StudySpec { slices: 40, size: 512, seed: 1, ..StudySpec::default() });
    story.receive(&study).await;
    study
}

/// Sends it elsewhere and waits until the portal has it. Tells the transfer and how many parts were sent.
async fn sent_elsewhere(story: &TwoHospitals, study: &Study) -> (TransferId, u64) {
    let line = story.closed(study).await;
    let transfer = story.address_number(line.study, ELSEWHERE).await;
    story.until_state(At::Noord, transfer, StateCode::Accepted).await;
    let parts = story.portal().parts_received();
    assert!(parts >= 3, "{parts} parts are not several");
    (transfer, parts)
}

/// What a technician types. Tells the further transfer.
async fn redirect(story: &TwoHospitals, transfer: TransferId, more: &[&str]) -> TransferId {
    let transfer = transfer.to_string();
    let words = [&["redirect", &transfer], more].concat();
    story.beeldboxctl(At::Noord, &words).await.trim().parse().expect("the further transfer")
}

fn id(text: &str) -> AddresseeId {
    text.parse().expect("an addressee")
}

#[tokio::test]
async fn a_declined_study_goes_to_the_department_that_was_named_without_a_part_being_sent_again() {
    let story = TwoHospitals::start_with_own_portal().await;
    let study = several_parts(&story).await;
    let first = story.address(&study).await;
    story.until_state(At::Zuid, first, StateCode::Opened).await;
    let parts = story.portal().parts_received();
    let words = ["decline", &first.to_string(), "--reason", "wrong-department", "--belongs-at", SIBLING];
    story.beeldboxctl(At::Zuid, &words).await;
    let declined = story.until_state(At::Noord, first, StateCode::Declined).await;
    let named = BelongsAt {
        addressee: id(SIBLING),
        organisation: Some("Ziekenhuis Zuid".to_owned()),
        department: Some("Cardiologie".to_owned()),
    };
    story.check("where it belongs", declined.line.belongs_at, Some(named));
    story.check("who can act", declined.line.situation.who, WhoCode::Technician);
    let said = story.beeldboxctl(At::Noord, &["transfers"]).await;
    assert!(said.contains("belongs at Ziekenhuis Zuid - Cardiologie"), "{said}");

    let second = redirect(&story, first, &[]).await;
    story.check("asked twice", redirect(&story, first, &[]).await, second);
    story.check("asked twice, by name", redirect(&story, first, &["--to", SIBLING]).await, second);
    let partner = story.find(At::Noord, second).await.and_then(|detail| detail.line.partner);
    story.check("to whom", partner.and_then(|partner| partner.department), Some("Cardiologie".to_owned()));
    story.import(second).await;
    story.until_delivered(second).await;
    story.check("asked once more when it is there", redirect(&story, first, &[]).await, second);
    story.check("parts sent", story.portal().parts_received(), parts);
    let audit = story.beeldboxctl(At::Noord, &["audit"]).await;
    for record in [format!("as {second}"), format!("redirected from {first}")] {
        story.check(&record, audit.matches(&record).count(), 1);
    }
    let picture = "noord: declined 1, delivered 1 | zuid: declined 1, reported 1";
    story.ends(picture, &[&study], Repeats::Never).await;
}

#[tokio::test]
async fn a_study_for_another_hospital_is_fetched_there_from_the_parts_that_the_portal_has() {
    let story = TwoHospitals::start_with_own_portal().await;
    let study = several_parts(&story).await;
    let (first, parts) = sent_elsewhere(&story, &study).await;
    // There is no box there: the portal says what its desk would.
    let refusing = story.portal().forge_refusal(first, DeclineCode::NotOurs, Some(id(ZUID)));
    refusing.await.expect("it can be refused");
    story.until_state(At::Noord, first, StateCode::Declined).await;
    let second = redirect(&story, first, &[]).await;
    story.import(second).await;
    story.until_delivered(second).await;
    story.check("parts sent", story.portal().parts_received(), parts);
    story.ends("noord: declined 1, delivered 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}

#[tokio::test]
async fn what_has_expired_and_is_erased_at_the_portal_is_sent_again_by_itself() {
    let story = TwoHospitals::start_with_own_portal().await;
    let study = several_parts(&story).await;
    let (first, parts) = sent_elsewhere(&story, &study).await;
    story.portal().faults().clock_off_by(SignedDuration::from_hours(31 * 24));
    story.portal().sweep().await.expect("it sweeps");
    story.check("left at the portal", story.portal().stored_objects().await.expect("its store"), vec![]);
    story.portal().faults().behave();
    story.until_state(At::Noord, first, StateCode::Expired).await;
    let nobody = Question::Redirect { transfer: first, to: None, note: None, acknowledged: vec![] };
    let refused = story.try_ask(At::Noord, nobody).await.expect_err("nobody said to whom");
    story.check("why", refused.code, RefusalCode::BadValue);
    let second = redirect(&story, first, &["--to", ZUID]).await;
    story.import(second).await;
    story.until_delivered(second).await;
    story.check("parts sent", story.portal().parts_received(), 2 * parts);
    story.ends("noord: delivered 1, expired 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}

/// The window has to be long enough for a slow machine, and the first transfer has to wait for it.
const WINDOW_SECS: u64 = 8;

#[tokio::test]
async fn a_redirection_is_undone_before_it_left_and_made_again() {
    let options = DemoOptions { undo_seconds: WINDOW_SECS, ..DemoOptions::default() };
    let story = TwoHospitals::start_with(PortalRuns::Here, &options).await;
    let study = several_parts(&story).await;
    let (first, parts) = sent_elsewhere(&story, &study).await;
    story.ask(At::Noord, Question::Recall { transfer: first }).await;
    let second = redirect(&story, first, &["--to", ZUID]).await;
    let addressed = story.until_state(At::Noord, second, StateCode::Addressed).await;
    assert!(addressed.line.situation.undo_until.is_some(), "nobody is told until when it can be undone");
    story.beeldboxctl(At::Noord, &["undo", &second.to_string()]).await;
    let waiting = story.closed(&study).await;
    story.check("what waits for an addressee", waiting.transfer, second);
    // What waits is what is sent then; nothing is left over in the list.
    story.check(
        "made again",
        redirect(&story, first, &["--to", ZUID, "--note", "Graag spoed"]).await,
        second,
    );
    story.check("studies that wait", story.studies().await.len(), 0);
    let sent = story.find(At::Noord, second).await.and_then(|detail| detail.note);
    story.check("the words", sent, Some(Confidential::new("Graag spoed")));
    story.import(second).await;
    story.until_delivered(second).await;
    story.check("parts sent: what was taken back is erased", story.portal().parts_received(), 2 * parts);
    story.ends("noord: delivered 1, recalled 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}

/// Goal: the second does not hang on the first. Method: the portal answers late, and the first is taken back there while
/// the second is being sent, so that what it was told may be old already.
#[tokio::test]
async fn what_is_taken_back_while_the_next_is_under_way_harms_it_in_no_way() {
    let story = TwoHospitals::start_with_own_portal().await;
    let study = several_parts(&story).await;
    let (first, parts) = sent_elsewhere(&story, &study).await;
    story.beeldboxctl(At::Noord, &["again", &first.to_string()]).await;
    story.portal().faults().answer_late(Duration::from_millis(100));
    let line = story.closed(&study).await;
    let second = story.address_number(line.study, ZUID).await;
    story.until_state(At::Noord, second, StateCode::Sending).await;
    story.ask(At::Noord, Question::Recall { transfer: first }).await;
    story.portal().faults().behave();
    story.import(second).await;
    story.until_delivered(second).await;
    assert!(story.portal().parts_received() <= 2 * parts);
    story.ends("noord: delivered 1, recalled 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}

#[tokio::test]
async fn a_department_passes_it_on_to_another_one_of_the_same_hospital() {
    let story = TwoHospitals::start().await;
    let study = story.a_study(1, 5);
    let transfer = story.send(&study).await;
    let opened = story.until_state(At::Zuid, transfer, StateCode::Opened).await;
    story.check("for whom", opened.line.desk, Some("Radiologie".to_owned()));
    let forward = |to: &str| Question::Forward { transfer, to: id(to) };
    for (to, code) in [(ELSEWHERE, RefusalCode::BadValue), ("nobody", RefusalCode::NotFound)] {
        let refused = story.try_ask(At::Zuid, forward(to)).await.expect_err(to);
        story.check(to, refused.code, code);
    }
    story.try_ask(At::Noord, forward("noord-radiologie")).await.expect_err("it is not at Noord");
    for _ in 0..2 {
        story.beeldboxctl(At::Zuid, &["forward", &transfer.to_string(), "--to", SIBLING]).await;
    }
    story.kill(At::Zuid).await;
    let said = story.beeldboxctl(At::Zuid, &["inbox"]).await;
    assert!(said.contains("for Cardiologie"), "{said}");
    let audit = story.beeldboxctl(At::Zuid, &["audit"]).await;
    let record = format!("from {ZUID} to {SIBLING}");
    story.check("records", audit.matches(&record).count(), 1);
    story.import(transfer).await;
    story.until_delivered(transfer).await;
    story.ends("noord: delivered 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}

#[tokio::test]
async fn only_what_came_to_nothing_is_redirected_with_every_check_of_a_first_send() {
    let story = TwoHospitals::start_with_own_portal().await;
    let study = story.a_study(1, 5);
    story.receive(&study).await;
    let line = story.closed(&study).await;
    let first = story.address_number(line.study, ELSEWHERE).await;
    story.until_state(At::Noord, first, StateCode::Accepted).await;
    let to_zuid = |acknowledged: &[CheckFlag]| Question::Redirect {
        transfer: first,
        to: Some(id(ZUID)),
        note: None,
        acknowledged: acknowledged.to_vec(),
    };
    let every = [CheckFlag::FirstTime, CheckFlag::NoBsn];
    let refused = story.try_ask(At::Noord, to_zuid(&every)).await.expect_err("it is under way");
    story.check("under way", refused.code, RefusalCode::NotNow);
    story.ask(At::Noord, Question::Recall { transfer: first }).await;
    let refused = story.try_ask(At::Noord, to_zuid(&[])).await.expect_err("never sent there before");
    story.check("nothing ticked", refused.code, RefusalCode::NotAcknowledged);
    for (to, code) in [
        ("vrijthof-radiologie", RefusalCode::AddresseeCannotReceive),
        ("noord-radiologie", RefusalCode::BadValue),
        ("nobody", RefusalCode::NotFound),
    ] {
        let question = Question::Redirect {
            transfer: first,
            to: Some(id(to)),
            note: None,
            acknowledged: every.to_vec(),
        };
        let refused = story.try_ask(At::Noord, question).await.expect_err(to);
        story.check(to, refused.code, code);
    }
    story.check("transfers", story.transfers(At::Noord).await.len(), 1);
    let Reply::Sent(second) = story.ask(At::Noord, to_zuid(&every)).await else { panic!("another answer") };
    story.until_state(At::Zuid, second, StateCode::Opened).await;

    // Only somebody who was the wrong addressee names another one, which there is.
    let decline =
        |reason, named: &str| Question::Decline { transfer: second, reason, belongs_at: Some(id(named)) };
    for (reason, named, code) in [
        (DeclineCode::Incomplete, SIBLING, RefusalCode::BadValue),
        (DeclineCode::WrongDepartment, ELSEWHERE, RefusalCode::BadValue),
        (DeclineCode::NotOurs, SIBLING, RefusalCode::BadValue),
        (DeclineCode::NotOurs, "nobody", RefusalCode::NotFound),
    ] {
        let refused = story.try_ask(At::Zuid, decline(reason, named)).await.expect_err(named);
        story.check(named, refused.code, code);
    }
    story.import(second).await;
    story.until_delivered(second).await;
    story.ends("noord: delivered 1, recalled 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}
