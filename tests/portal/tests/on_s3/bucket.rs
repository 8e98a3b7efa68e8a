//! A bucket that is away, refuses, or holds something already.

use beeldbox_portal::{Portal, PortalError, PortalOptions, s3};
use beeldbox_protocol::ident::{Digest, TransferId};
use beeldbox_protocol::portal::part_path;
use beeldbox_protocol::portal::task::recalled;
use reqwest::StatusCode;

use crate::hospital::{Hospital, NOORD, ZUID, a_portal, a_portal_with};
use crate::place;
use crate::server::{self, BUCKET, SECRET, Server};

async fn a_draft(noord: &Hospital) -> TransferId {
    let draft = noord.draft(ZUID);
    assert_eq!(noord.create(&draft).await.status(), StatusCode::CREATED);
    draft.id.parse().unwrap()
}

fn over(server: &Server, secret: &str, options: PortalOptions) -> PortalOptions {
    let keys = place::credentials(secret);
    let bucket = s3::bucket(BUCKET, None, Some(&server.url()), Some(&keys)).unwrap();
    std::fs::remove_file(keys).unwrap();
    PortalOptions { objects: Some(bucket), ..options }
}

#[tokio::test]
async fn an_answered_part_is_an_object_of_the_bucket_and_a_recalled_one_is_none() {
    let running = a_portal().await;
    let noord = Hospital::of(&running.portal, NOORD);
    let transfer = noord.send(ZUID, &[b"part"]).await;
    let name = format!("parts/{transfer}/{}", Digest::of(b"part"));
    let names = running.portal.stored_objects().await.unwrap();
    assert!(names.contains(&name), "{names:?}");
    let found = find(&server::shared().bucket(), &Digest::of(b"part").to_string(), &transfer.to_string());
    assert_eq!(std::fs::read(found.unwrap()).unwrap(), b"part");
    noord.update(&recalled(noord.task(&transfer).await)).await;
    assert_eq!(running.portal.stored_objects().await.unwrap(), Vec::<String>::new());
    assert_eq!(
        find(&server::shared().bucket(), &Digest::of(b"part").to_string(), &transfer.to_string()),
        None
    );
}

/// The file of this name in a folder of that name, anywhere below.
fn find(folder: &std::path::Path, name: &str, parent: &str) -> Option<std::path::PathBuf> {
    std::fs::read_dir(folder).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return find(&path, name, parent);
        }
        (path.ends_with(name) && path.to_string_lossy().contains(parent)).then_some(path)
    })
}

#[tokio::test]
async fn while_the_store_is_away_nothing_is_answered_with_success_and_nothing_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path());
    let running = a_portal_with(|options| over(&server, SECRET, options)).await;
    let noord = Hospital::of(&running.portal, NOORD);
    let transfer = a_draft(&noord).await;
    assert_eq!(noord.put_part(&transfer, b"before").await.status(), StatusCode::CREATED);
    server.take_down();
    let failed = noord.put_part(&transfer, b"meanwhile").await;
    assert_eq!(failed.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(failed.headers().contains_key("retry-after"));
    let missing = noord.get(&part_path(&transfer, &Digest::of(b"meanwhile"))).await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    server.bring_up();
    assert_eq!(noord.put_part(&transfer, b"meanwhile").await.status(), StatusCode::CREATED);
    for part in ["before", "meanwhile"] {
        let given = noord.get(&part_path(&transfer, &Digest::of(part.as_bytes()))).await;
        assert_eq!(given.bytes().await.unwrap(), part);
    }
}

/// A portal that was killed between the object and its row finds the object when the part is sent again.
#[tokio::test]
async fn an_object_without_a_row_is_no_obstacle() {
    let running = a_portal().await;
    let noord = Hospital::of(&running.portal, NOORD);
    let transfer = a_draft(&noord).await;
    assert_eq!(noord.put_part(&transfer, b"part").await.status(), StatusCode::CREATED);
    let before = running.portal.stored_objects().await.unwrap();
    running.portal.forget_part(transfer, Digest::of(b"part")).await.unwrap();
    // The row and the object are gone; the object comes back, as if the row had never been written.
    let objects = running.options.objects.clone().unwrap();
    let at = object_store::path::Path::from(before[0].as_str());
    object_store::ObjectStoreExt::put(&objects, &at, "part".into()).await.unwrap();
    assert_eq!(noord.put_part(&transfer, b"part").await.status(), StatusCode::CREATED);
    assert_eq!(running.portal.stored_objects().await.unwrap(), before);
}

#[tokio::test]
async fn a_portal_with_the_wrong_keys_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let state = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let options = over(&server, "another secret", PortalOptions::new(state.path()));
    let refused = Portal::start(options).await;
    assert!(matches!(refused, Err(PortalError::Refused(_))));
}
