//! The address book is read from a FHIR R4 server that is not ours: Helios (`cargo install helios-hfs`).
//!
//! Its manners differ from the portal's: the newest stands first, pages are cursors, a Bundle carries no mark, and a
//! history tells removals as entries of their own. It takes long to build, so this story is not part of every run:
//!
//! ```text
//! cargo install helios-hfs --version 0.2.7 --debug --locked --no-default-features --features R4,sqlite
//! cargo test -p beeldbox-scenarios --test foreign_directory -- --ignored
//! ```

use beeldbox_protocol::admin::{AddresseePage, Question, Reception, Reply};
use beeldbox_scenarios::ending::Repeats;
use beeldbox_scenarios::foreign_directory::ForeignDirectory;
use beeldbox_scenarios::two_hospitals::{At, TwoHospitals, ZUID};
use serde_json::json;

async fn found(story: &TwoHospitals, query: &str) -> AddresseePage {
    let question = Question::Addressees { query: query.to_owned(), limit: 10 };
    let Reply::Addressees(page) = story.ask(At::Noord, question).await else { panic!("another answer") };
    page
}

async fn names(story: &TwoHospitals, query: &str) -> Vec<String> {
    found(story, query).await.addressees.into_iter().map(|addressee| addressee.id.to_string()).collect()
}

#[tokio::test]
#[ignore = "needs a server that takes long to build; the command stands above"]
async fn the_address_book_is_read_from_a_foreign_fhir_server() {
    let story = TwoHospitals::start().await;
    let folder = story.folder_of(At::Noord);
    let directory = ForeignDirectory::start(&story, &folder).await;
    let loaded = directory.load(&folder, &story.demo.portal_url).await;
    assert!(loaded > 100, "only {loaded} resources were loaded");

    story
        .change_settings(At::Noord, "\n[keeping]\n", &format!("{}\n[keeping]\n", directory.settings()))
        .await;
    story
        .until("the address book is read from the foreign server", async || {
            let portal = story.status(At::Noord).await.portal;
            portal.directory_trouble.is_none()
                && found(&story, "zuid radiologie")
                    .await
                    .addressees
                    .iter()
                    .any(|addressee| addressee.id.as_str() == ZUID && addressee.reception == Reception::Box)
        })
        .await;

    // What is sent to an addressee of that book arrives: its key and the signature over it came through unharmed.
    let study = story.a_study(1, 5);
    story.goes_through(&study).await;

    // A name that changes there is found here, and what is removed there is not offered any more.
    let path = format!("/HealthcareService/{ZUID}");
    let mut entry = directory.get(&path).await;
    entry["name"] = json!("Beeldvormende kwikstaart");
    directory.put(&entry).await;
    story
        .until("the new name is found", async || names(&story, "kwikstaart").await == [ZUID.to_owned()])
        .await;
    directory.delete(&path).await;
    story.until("the removed one is gone", async || names(&story, "kwikstaart").await.is_empty()).await;
    directory.put(&entry).await;
    story.until("it is there again", async || names(&story, "kwikstaart").await == [ZUID.to_owned()]).await;
    story.check("the trouble", story.status(At::Noord).await.portal.directory_trouble, None);

    // The server away for a while: the book stays, and people are told.
    drop(directory);
    story
        .until("the status says that the directory does not answer", async || {
            story.status(At::Noord).await.portal.directory_trouble.is_some()
        })
        .await;
    story.check("the book", names(&story, "kwikstaart").await, vec![ZUID.to_owned()]);
    story.ends("noord: delivered 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}
