//! The copy of the national directory, and whom people here like to send to.

use super::ward::*;
use crate::directory::DirectoryCounts;
use crate::{
    AddresseeSnapshot, Changes, Custody, DirectoryMark, DirectorySource, Extent, MOST_FAVOURITES,
    OutboundState, StagedEntry,
};

const ORGANISATION: &str = "Organization";

fn here(id: &str, json: &str, changed_at: i64) -> StagedEntry {
    let (id, json) = (id.to_owned(), Some(json.to_owned()));
    StagedEntry { id, json, has_ended: false, changed_at: Some(at(changed_at)) }
}

fn removed(id: &str) -> StagedEntry {
    StagedEntry { id: id.to_owned(), json: None, has_ended: true, changed_at: None }
}

fn held(custody: &Custody) -> Vec<(String, String)> {
    custody.directory_page(ORGANISATION, "", 100).unwrap()
}

async fn take_over(custody: &Custody, extent: Extent, mark: &str, entries: Vec<StagedEntry>) -> usize {
    custody.stage_directory(ORGANISATION, entries).await.unwrap();
    custody.take_over_directory(ORGANISATION, extent, Some(mark.to_owned())).await.unwrap()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(id, json)| ((*id).to_owned(), (*json).to_owned())).collect()
}

#[tokio::test]
async fn what_is_staged_does_not_count_until_it_is_taken_over_with_its_mark() {
    let (_dir, custody) = empty_ward();
    custody.stage_directory(ORGANISATION, vec![here("a", "1", 0), here("b", "1", 0)]).await.unwrap();
    assert!(held(&custody).is_empty());
    let counts = DirectoryCounts { here: 0, all: 0, staged: 2 };
    assert_eq!(custody.directory_counts(ORGANISATION).await.unwrap(), counts);
    let mark = Some("m".to_owned());
    assert_eq!(custody.take_over_directory(ORGANISATION, Extent::Whole, mark.clone()).await.unwrap(), 2);
    assert_eq!(held(&custody), pairs(&[("a", "1"), ("b", "1")]));
    assert_eq!(custody.directory_mark(ORGANISATION).await.unwrap(), mark);
    assert_eq!(custody.directory_mark("Location").await.unwrap(), None);
    assert_eq!(custody.directory_page(ORGANISATION, "a", 1).unwrap(), pairs(&[("b", "1")]));
    // What was dropped never counts.
    custody.stage_directory(ORGANISATION, vec![here("c", "1", 0)]).await.unwrap();
    custody.drop_staged_directory().await.unwrap();
    assert_eq!(
        take_over(&custody, Extent::Changes, "n", vec![here("a", "1", 5)]).await,
        0,
        "nothing is different"
    );
    assert_eq!(held(&custody).len(), 2);
}

#[tokio::test]
async fn of_several_versions_the_newest_counts_and_without_times_the_first() {
    let (_dir, custody) = empty_ward();
    let timeless = |json: &str| StagedEntry { changed_at: None, ..here("b", json, 0) };
    let entries =
        vec![here("a", "2", 2), here("a", "3", 3), here("a", "1", 1), timeless("first"), timeless("second")];
    take_over(&custody, Extent::Changes, "m", entries).await;
    assert_eq!(held(&custody), pairs(&[("a", "3"), ("b", "first")]));
}

#[tokio::test]
async fn nothing_is_deleted_and_what_ended_may_come_back() {
    let (_dir, custody) = empty_ward();
    take_over(&custody, Extent::Whole, "m", vec![here("a", "1", 0), here("b", "1", 0), here("c", "1", 0)])
        .await;
    let ended = StagedEntry { has_ended: true, ..here("b", "2", 1) };
    assert_eq!(take_over(&custody, Extent::Changes, "n", vec![removed("a"), ended, removed("z")]).await, 2);
    assert_eq!(held(&custody), pairs(&[("c", "1")]));
    assert_eq!(custody.directory_resource(ORGANISATION, "a").await.unwrap(), None);
    assert_eq!(take_over(&custody, Extent::Changes, "o", vec![here("a", "4", 2)]).await, 1);
    assert_eq!(custody.directory_resource(ORGANISATION, "a").await.unwrap().as_deref(), Some("4"));
    // A whole listing ends what it does not hold.
    assert_eq!(take_over(&custody, Extent::Whole, "p", vec![here("b", "5", 3)]).await, 3);
    assert_eq!(held(&custody), pairs(&[("b", "5")]));
    let rows: i64 = custody
        .ledger()
        .ask(|connection| {
            Ok(connection.query_row("SELECT count(*) FROM directory_entry", [], |row| row.get(0))?)
        })
        .await
        .unwrap();
    assert_eq!(rows, 3);
}

#[tokio::test]
async fn another_source_forgets_the_marks_and_keeps_the_copy() {
    let (_dir, custody) = empty_ward();
    assert_eq!(custody.directory_source().await.unwrap(), None);
    custody.change_directory_source("https://a/fhir", &[ORGANISATION]).await.unwrap();
    take_over(&custody, Extent::Whole, "m", vec![here("a", "1", 0)]).await;
    let news = DirectoryMark { resource_type: "Task".to_owned(), mark: "9".to_owned() };
    custody.put_mark(news).await.unwrap();
    custody.directory_is_up_to_date(at(7)).await.unwrap();
    let source = custody.directory_source().await.unwrap();
    assert_eq!(source, Some(DirectorySource { url: "https://a/fhir".to_owned(), synced_at: Some(at(7)) }));
    custody.change_directory_source("https://b/fhir", &[ORGANISATION]).await.unwrap();
    let source = custody.directory_source().await.unwrap();
    assert_eq!(source, Some(DirectorySource { url: "https://b/fhir".to_owned(), synced_at: Some(at(7)) }));
    assert_eq!(custody.directory_mark(ORGANISATION).await.unwrap(), None);
    assert_eq!(custody.directory_mark("Task").await.unwrap().as_deref(), Some("9"));
    assert_eq!(held(&custody).len(), 1);
}

#[tokio::test]
async fn favourites_belong_to_an_account_and_are_bounded() {
    let (_dir, custody) = empty_ward();
    let set = async |account: &str, id: &str, is_favourite, when| {
        custody.set_favourite(account, &id.parse().unwrap(), is_favourite, at(when)).await.unwrap()
    };
    let of = async |account: &str| -> Vec<String> {
        custody.favourites(account).await.unwrap().iter().map(ToString::to_string).collect()
    };
    assert!(set("anna", "zuid", true, 2).await && set("anna", "oost", true, 1).await);
    assert!(set("anna", "zuid", true, 3).await, "again is as good as once");
    assert_eq!((of("anna").await, of("bert").await), (vec!["oost".to_owned(), "zuid".to_owned()], vec![]));
    assert!(set("anna", "oost", false, 4).await && set("bert", "oost", false, 4).await);
    assert_eq!(of("anna").await, ["zuid"]);
    for number in 1..MOST_FAVOURITES {
        assert!(set("anna", &format!("n{number}"), true, 5).await);
    }
    assert!(!set("anna", "one-too-many", true, 6).await && set("anna", "zuid", true, 6).await);
    assert!(set("bert", "one-too-many", true, 6).await);
}

#[tokio::test]
async fn the_last_addressees_are_those_of_the_transfers_sent() {
    let (_dir, custody) = empty_ward();
    for (study, to) in [(1, "zuid"), (2, "oost"), (3, "zuid"), (4, "west")] {
        receive(&custody, study, 1);
        let study = custody.studies(None, 1).await.unwrap().remove(0);
        close_study(&custody, &study).await;
        let addressee = AddresseeSnapshot {
            id: to.parse().unwrap(),
            ura: "90000381".parse().unwrap(),
            name: "Ziekenhuis".to_owned(),
            department: None,
            key_id: "k1".to_owned(),
            recipient_json: String::new(),
        };
        let changes = Changes { addressee: Some(addressee), ..Changes::default() };
        let (from, to) = (
            OutboundState::Queued { closed_at: at(5) },
            OutboundState::Addressed { at: at(6), leaves_at: at(6), undo_to: None },
        );
        custody.advance(study.transfer, from, to, changes, at(6)).await.unwrap();
    }
    let last: Vec<String> =
        custody.recent_addressees(2).await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(last, ["west", "zuid"]);
}
