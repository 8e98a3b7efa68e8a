//! The portal misbehaves: it changes bytes, swaps letters, loses parts, is busy, breaks connections, makes receipts up,
//! and puts other keys into the directory.
//!
//! It can delay. It cannot make a box deliver something else, believe that something was delivered, or seal to a key
//! of its own.

use beeldbox_peer::study::StudySpec;
use beeldbox_protocol::admin::{DeclineCode, HoldCode, ReceiptStage, RefusalCode, StateCode, WaitCode};
use beeldbox_protocol::envelope::receipt::Receipt;
use beeldbox_protocol::ident::{Digest, TransferId};
use beeldbox_protocol::portal::task;
use beeldbox_scenarios::ending::Repeats;
use beeldbox_scenarios::forged;
use beeldbox_scenarios::two_hospitals::{At, Study, TwoHospitals, ZUID, now};

/// A study is at the portal, and the box of Zuid does not know it yet.
async fn at_the_portal(story: &TwoHospitals, study: &Study) -> TransferId {
    story.demo.zuid.daemon.take_down().await.expect("it can be ended");
    let transfer = story.send(study).await;
    story.until_state(At::Noord, transfer, StateCode::Accepted).await;
    transfer
}

/// Digests of the parts that the portal holds of a transfer.
async fn parts_of(story: &TwoHospitals, transfer: TransferId) -> Vec<Digest> {
    let names = story.portal().stored_objects().await.expect("its store");
    let prefix = format!("parts/{transfer}/");
    names.iter().filter_map(|name| name.strip_prefix(&prefix)?.parse().ok()).collect()
}

async fn until_held(story: &TwoHospitals, at: At, transfer: TransferId, why: HoldCode) {
    let held = story.until_state(at, transfer, StateCode::Held).await;
    story.check("why it is held", held.line.situation.hold, Some(why));
    story.check("held transfers in status", story.status(at).await.held, 1);
    let said = story.beeldboxctl(at, &["show", &transfer.to_string()]).await;
    assert!(said.contains("HELD"), "show does not say that it is held:\n{said}");
}

#[tokio::test]
async fn a_part_with_other_bytes_is_held_and_delivered_once_the_portal_behaves() {
    let story = TwoHospitals::start_with_own_portal().await;
    let study = story.a_study(1, 20);
    let transfer = at_the_portal(&story, &study).await;
    let part = parts_of(&story, transfer).await.pop().expect("it has parts");
    story.portal().faults().wrong_bytes_in_part(part);
    story.demo.zuid.daemon.bring_up();
    until_held(&story, At::Zuid, transfer, HoldCode::DigestMismatch).await;
    story.is_so("noord: accepted 1 | zuid: held 1", &[], Repeats::Never).await;

    story.portal().faults().behave();
    story.resume(At::Zuid, transfer).await;
    story.import(transfer).await;
    story.until_delivered(transfer).await;
    story.ends("noord: delivered 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}

#[tokio::test]
async fn a_letter_of_another_transfer_is_held_and_nothing_is_delivered() {
    let story = TwoHospitals::start_with_own_portal().await;
    let (first, second) = (story.a_study(1, 10), story.a_study(2, 10));
    let asked = at_the_portal(&story, &first).await;
    let other = story.send(&second).await;
    story.until_state(At::Noord, other, StateCode::Accepted).await;
    story.portal().faults().wrong_letter(asked, other);
    story.demo.zuid.daemon.bring_up();
    until_held(&story, At::Zuid, asked, HoldCode::LetterUnreadable).await;
    story.import(other).await;
    story.until_delivered(other).await;
    story
        .is_so("noord: accepted 1, delivered 1 | zuid: held 1, reported 1", &[&second], Repeats::Never)
        .await;

    story.portal().faults().behave();
    story.resume(At::Zuid, asked).await;
    story.import(asked).await;
    story.until_delivered(asked).await;
    story.ends("noord: delivered 2 | zuid: reported 2", &[&first, &second], Repeats::Never).await;
}

#[tokio::test]
async fn a_part_that_the_portal_forgot_is_sent_again() {
    let story = TwoHospitals::start_with_own_portal().await;
    // Some parts more than go up at once, so that there is time to lose the first.
    let study = story.a_study_of(&StudySpec { slices: 96, ..StudySpec::default() });
    story.receive(&study).await;
    let transfer = story.address(&study).await;
    let sender = story.portal_as(At::Noord);
    let lost = loop {
        let seen = parts_of(&story, transfer).await;
        // Bytes come before their row; what counts is what the portal would say.
        let missing = sender.missing_parts(&transfer, seen.clone()).await.unwrap_or_else(|_| seen.clone());
        if let Some(part) = seen.iter().find(|part| !missing.contains(part)) {
            break *part;
        }
    };
    story.portal().forget_part(transfer, lost).await.expect("it can forget");
    story.until_state(At::Noord, transfer, StateCode::Accepted).await;
    assert!(story.log("noord-box").contains("the portal misses 1 parts"), "{}", story.log("noord-box"));
    assert!(parts_of(&story, transfer).await.contains(&lost), "the part is there again");
    story.import(transfer).await;
    story.until_delivered(transfer).await;
    story.ends("noord: delivered 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}

#[tokio::test]
async fn a_part_that_the_portal_lost_after_the_commit_is_told_to_the_sender() {
    let story = TwoHospitals::start_with_own_portal().await;
    let study = story.a_study(1, 10);
    let transfer = at_the_portal(&story, &study).await;
    let lost = parts_of(&story, transfer).await.pop().expect("it has parts");
    story.portal().forget_part(transfer, lost).await.expect("it can forget");
    story.bring_up(At::Zuid).await;
    let told = story.until_state(At::Noord, transfer, StateCode::Declined).await;
    story.check("why", told.line.situation.declined, Some(DeclineCode::Unreadable));
    story.ends("noord: declined 1 | zuid: declined 1", &[], Repeats::Never).await;
}

#[tokio::test]
async fn a_busy_portal_is_left_alone_for_as_long_as_it_asks() {
    let story = TwoHospitals::start_with_own_portal().await;
    let study = story.a_study(1, 10);
    story.receive(&study).await;
    story.closed(&study).await;
    story.portal().faults().answer_busy(1_000_000, 3600);
    let transfer = story.address(&study).await;
    let waiting = story
        .until_transfer(At::Noord, transfer, "the transfer waits for the busy portal", |detail| {
            detail.line.situation.waits_for == Some(WaitCode::PortalBusy)
        })
        .await;
    let pause = waiting.line.situation.next_try_at.expect("it is tried again").duration_since(now());
    assert!(pause.as_secs() > 3500, "it comes back after {pause}, not after the hour it was asked for");

    story.portal().faults().behave();
    story.resume(At::Noord, transfer).await;
    story.import(transfer).await;
    story.until_delivered(transfer).await;
    story.ends("noord: delivered 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}

#[tokio::test]
async fn a_connection_that_breaks_inside_a_part_is_taken_up_again() {
    let story = TwoHospitals::start_with_own_portal().await;
    // Two parts of 8 and 4 MiB; the directory that comes first is a tenth of that.
    let study = story.a_study_of(&StudySpec { slices: 24, ..StudySpec::default() });
    story.receive(&study).await;
    story.closed(&study).await;
    story.portal().faults().drop_connection_after_bytes(5_000_000);
    let transfer = story.address(&study).await;
    story.demo.zuid.daemon.take_down().await.expect("it can be ended");
    story.until_state(At::Noord, transfer, StateCode::Accepted).await;
    assert!(story.log("noord-box").contains("a part is sent again"), "the connection did not break");

    story.portal().faults().drop_connection_after_bytes(5_000_000);
    story.demo.zuid.daemon.bring_up();
    let opened = story.until_state(At::Zuid, transfer, StateCode::Opened).await;
    // Inside one attempt: the queue does not even notice.
    story.check("attempts", opened.line.situation.attempts, 0);
    story.import(transfer).await;
    story.until_delivered(transfer).await;
    story.ends("noord: delivered 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}

#[tokio::test]
async fn receipts_that_nobody_should_believe_change_nothing() {
    let story = TwoHospitals::start_with_own_portal().await;
    let study = story.a_study(1, 10);
    let transfer = at_the_portal(&story, &study).await;
    let instances = u32::try_from(study.files.len()).expect("few");
    let random = aws_lc_rs::rand::SystemRandom::new();
    let receipt = |letter: Digest, by: &str| Receipt {
        v: 1,
        transfer,
        letter,
        stage: ReceiptStage::InCustody,
        by: by.parse().expect("a URA"),
        to: story.demo.noord.ura.parse().expect("a URA"),
        stored: instances,
        of: instances,
        refused: Vec::new(),
        at: now(),
    };
    let letter = story.portal_as(At::Noord).letter(&transfer, 1 << 26).await.expect("the letter");
    let letter = Digest::of(&letter);
    let (zuid, other) = (story.demo.zuid.ura, "90000401");
    let stranger = story.signer_of_bystander(other);
    let forgeries = [
        ("no signature at all", "not.a.receipt".to_owned()),
        ("another organisation in its own name", receipt(letter, other).sign(&stranger, &random)),
        ("another organisation in the name of Zuid", receipt(letter, zuid).sign(&stranger, &random)),
        ("a certificate without an authority", {
            receipt(letter, zuid).sign(&forged::self_signed(zuid, "Ziekenhuis Zuid"), &random)
        }),
        ("about another letter", {
            receipt(Digest::of(b"another letter"), zuid).sign(&story.signer_of(At::Zuid), &random)
        }),
    ];
    let portal = story.portal_as(At::Zuid);
    for (count, (what, jws)) in forgeries.iter().enumerate() {
        let now_there = portal.task(&transfer).await.expect("the Task");
        let next = task::with_receipt(now_there, ReceiptStage::InCustody, true, jws);
        portal.update_task(&transfer, &next).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        story
            .until(&format!("the box looked at the receipt: {what}"), async || {
                story.log("noord-box").matches("a receipt is not believed").count() > count
            })
            .await;
        story.is_so("noord: accepted 1 | zuid: down", &[], Repeats::Never).await;
    }
    story.stop().await;
}

#[tokio::test]
async fn nothing_is_sealed_to_a_key_that_the_portal_put_into_the_directory() {
    let story = TwoHospitals::start_with_own_portal().await;
    let study = story.a_study(1, 10);
    story.receive(&study).await;
    let line = story.closed(&study).await;
    // The box of Zuid would set its entry right within seconds.
    story.demo.zuid.daemon.take_down().await.expect("it can be ended");
    let ura = story.demo.zuid.ura;
    let key = forged::a_recipient_key();
    let swapped = [
        ("the key of another organisation", forged::statement(&story.signer_of_bystander("90000401"), &key)),
        (
            "a key that nobody vouches for",
            forged::statement(&forged::self_signed(ura, "Ziekenhuis Zuid"), &key),
        ),
        ("no statement", "nonsense".to_owned()),
    ];
    for (what, statement) in swapped {
        story.portal().seed(vec![forged::endpoint(ura, &statement)]).await.expect("it can");
        story
            .until(&format!("it is not sent: {what}"), async || {
                story.check_page(line.study).await.obstacle.is_some()
            })
            .await;
        let refused = story.try_to_address(line.study, ZUID).await.expect_err("it must be refused");
        story.check(what, refused.code, RefusalCode::AddresseeNotVerified);
    }
    story.is_so("noord: queued 1 | zuid: down", &[], Repeats::Never).await;

    // Back at work, the box of Zuid publishes its own key again.
    story.demo.zuid.daemon.bring_up();
    story.until("the right key is back", async || story.try_to_address(line.study, ZUID).await.is_ok()).await;
    story.import(line.transfer).await;
    story.until_delivered(line.transfer).await;
    story.ends("noord: delivered 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}

#[tokio::test]
async fn receipts_that_were_withheld_are_learnt_after_a_restart() {
    let story = TwoHospitals::start_with_own_portal().await;
    let study = story.a_study(1, 5);
    story.portal().faults().withhold_receipts();
    let transfer = story.send(&study).await;
    story.import(transfer).await;
    story.until_state(At::Zuid, transfer, StateCode::Reported).await;
    story.is_so("noord: accepted 1 | zuid: reported 1", &[&study], Repeats::Never).await;

    story.portal().faults().behave();
    story.kill(At::Noord).await;
    story.until_delivered(transfer).await;
    story.ends("noord: delivered 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}
