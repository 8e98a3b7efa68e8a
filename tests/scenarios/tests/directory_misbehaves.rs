//! The directory misbehaves: it says nonsense, forgets everything, leads round, on and on, or elsewhere, asks for ten
//! years of peace, or is not read for a week.
//!
//! The book stays as it was, people are told what is wrong, and past the limit nothing is sent to what stands in it.
//! The directory here is not the portal's but a server of its own, in the manner of other FHIR servers.

use std::sync::{Arc, OnceLock};

use beeldbox_custody::{Custody, OpenOptions};
use beeldbox_protocol::admin::{AddresseePage, Question, Reception, RefusalCode, Reply};
use beeldbox_protocol::envelope::keys::StorageKey;
use beeldbox_scenarios::ending::Repeats;
use beeldbox_scenarios::odd_directory::{Manner, OddDirectory, days_ago};
use beeldbox_scenarios::two_hospitals::{At, TwoHospitals, ZUID, now};

/// Two hospitals, of which Noord reads its address book from an odd server.
async fn start() -> (TwoHospitals, OddDirectory) {
    let started = Arc::new(OnceLock::new());
    let place = Arc::clone(&started);
    let story = TwoHospitals::start_with_settings(move |demo, word, folder| match word {
        "noord" => {
            let portal = format!("https://localhost:{}", demo.port("portal").expect("a port"));
            place.get_or_init(|| OddDirectory::start(folder, &portal)).settings()
        }
        _ => String::new(),
    })
    .await;
    let directory = started.get().expect("it was started for Noord").clone();
    (story, directory)
}

async fn found(story: &TwoHospitals, query: &str) -> AddresseePage {
    let question = Question::Addressees { query: query.to_owned(), limit: 10 };
    let Reply::Addressees(page) = story.ask(At::Noord, question).await else { panic!("another answer") };
    page
}

async fn book_is_intact(story: &TwoHospitals) {
    let page = found(story, "zuid radiologie").await;
    let zuid = page.addressees.iter().find(|addressee| addressee.id.as_str() == ZUID);
    story.check("how Zuid receives", zuid.map(|zuid| zuid.reception), Some(Reception::Box));
}

async fn until_trouble(story: &TwoHospitals, words: &str) {
    story
        .until(&format!("the status says that the directory is in trouble: {words}"), async || {
            let trouble = story.status(At::Noord).await.portal.directory_trouble;
            trouble.is_some_and(|trouble| trouble.contains(words))
        })
        .await;
}

async fn until_well(story: &TwoHospitals) {
    story
        .until("the directory is well again", async || {
            // A box that has just started knows of no trouble because it has not tried yet.
            let portal = story.status(At::Noord).await.portal;
            portal.directory_trouble.is_none() && !portal.directory_is_too_old
        })
        .await;
}

#[tokio::test]
async fn no_answer_of_the_directory_empties_the_book_and_people_are_told() {
    let (story, directory) = start().await;
    book_is_intact(&story).await;
    for (manner, words) in [
        (Manner::SaysHtml, "cannot be understood: it is not JSON"),
        (Manner::Empty, "whole list of Organization is empty"),
        (Manner::GoesRound, "lead back to a page that was read already"),
        (Manner::Endless, "more than a directory can hold"),
        (Manner::LeadsElsewhere, "not at the directory's own address"),
        (Manner::Huge, "longer than it may be"),
    ] {
        directory.be(manner);
        until_trouble(&story, words).await;
        book_is_intact(&story).await;
        let said = story.beeldboxctl(At::Noord, &["status"]).await;
        assert!(said.contains(words), "status does not say what is wrong:\n{said}");
        directory.be(Manner::Good);
        until_well(&story).await;
    }
    // Asked for ten years of peace: the book stays, people are told, and a restart asks anew.
    directory.be(Manner::BusyForTenYears);
    until_trouble(&story, "asks to come back later").await;
    book_is_intact(&story).await;
    directory.be(Manner::Good);
    story.kill(At::Noord).await;
    until_well(&story).await;

    let study = story.a_study(1, 5);
    story.goes_through(&study).await;
    story.ends("noord: delivered 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}

#[tokio::test]
async fn what_was_removed_there_is_not_offered_until_it_comes_back() {
    let (story, directory) = start().await;
    book_is_intact(&story).await;
    directory.be(Manner::Removes("HealthcareService", ZUID));
    story
        .until("the department is not offered any more", async || {
            let page = found(&story, "zuid radiologie").await;
            page.addressees.iter().all(|addressee| addressee.id.as_str() != ZUID)
        })
        .await;
    let zuid = found(&story, "ziekenhuis zuid").await;
    assert!(
        zuid.addressees.iter().any(|addressee| addressee.id.as_str() == "zuid"),
        "the others are still there"
    );
    directory.be(Manner::Good);
    story
        .until("the department is offered again", async || {
            let page = found(&story, "zuid radiologie").await;
            page.addressees.iter().any(|addressee| addressee.id.as_str() == ZUID)
        })
        .await;
    story.stop().await;
}

#[tokio::test]
async fn nothing_is_sent_to_an_entry_that_nobody_confirmed_for_a_week() {
    let (story, directory) = start().await;
    let study = story.a_study(1, 5);
    story.receive(&study).await;
    let line = story.closed(&study).await;
    directory.be(Manner::SaysHtml);
    until_trouble(&story, "cannot be understood").await;
    story.demo.noord.daemon.take_down().await.expect("it can be ended");
    let folder = story.folder_of(At::Noord);
    let key = std::fs::read(folder.join("credentials/storage.key")).expect("its key");
    let options = OpenOptions {
        dir: folder.join("state"),
        storage_key: StorageKey::from_bytes(key.try_into().expect("32 bytes")),
        ballast_bytes: 0,
        reserve_bytes: 0,
        attributes_of: beeldbox_dicom::attributes_of,
        now: now(),
    };
    let (custody, _) = Custody::open(options).expect("its custody");
    custody.directory_is_up_to_date(days_ago(8)).await.expect("a week passes");
    custody.close().await;
    drop(custody);
    story.bring_up(At::Noord).await;

    let refused = story.try_to_address(line.study, ZUID).await.expect_err("the book is too old");
    story.check("why it is refused", refused.code, RefusalCode::DirectoryTooOld);
    let check = story.check_page(line.study).await;
    let obstacle = check.obstacle.map(|refusal| refusal.code);
    story.check("the check page", obstacle, Some(RefusalCode::DirectoryTooOld));
    assert!(story.status(At::Noord).await.portal.directory_is_too_old);
    let said = story.beeldboxctl(At::Noord, &["addressees", "zuid"]).await;
    assert!(said.contains("8 days ago") && said.contains("TOO OLD"), "the age is not told:\n{said}");
    book_is_intact(&story).await;

    directory.be(Manner::Good);
    until_well(&story).await;
    let transfer = story.address(&study).await;
    story.import(transfer).await;
    story.until_delivered(transfer).await;
    story.ends("noord: delivered 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}
