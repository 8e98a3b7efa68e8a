//! Letters and parts: stored whole and once, given out from any byte.

use beeldbox_protocol::envelope::letter::PART_LEN;
use beeldbox_protocol::ident::{Digest, TransferId};
use beeldbox_protocol::portal::{PartList, content_digest, letter_path, missing_parts_path, part_path};
use reqwest::{Method, Response, StatusCode};

use crate::hospital::{Hospital, NOORD, Running, ZUID, a_portal, a_portal_with, code_of};

async fn a_draft(noord: &Hospital) -> TransferId {
    let draft = noord.draft(ZUID);
    assert_eq!(noord.create(&draft).await.status(), StatusCode::CREATED);
    draft.id.parse().unwrap()
}

async fn a_portal_and_noord() -> (Running, Hospital) {
    let running = a_portal().await;
    let noord = Hospital::of(&running.portal, NOORD);
    (running, noord)
}

#[tokio::test]
async fn bytes_that_are_not_those_named_store_nothing() {
    let (running, noord) = a_portal_and_noord().await;
    let transfer = a_draft(&noord).await;
    let (named, sent) = (Digest::of(b"named"), Digest::of(b"sent"));
    for (name, claim) in [(&named, &named), (&named, &sent), (&sent, &named)] {
        let refused = noord.put_part_as(&transfer, name, claim, b"sent").await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
        assert_eq!(code_of(refused).await, "digest-mismatch");
    }
    let letter = noord
        .request(Method::PUT, &letter_path(&transfer))
        .header("content-digest", content_digest(&named))
        .body("sent");
    assert_eq!(code_of(letter.send().await.unwrap()).await, "digest-mismatch");
    assert_eq!(running.portal.stored_objects().await.unwrap(), Vec::<String>::new());
    assert_eq!(noord.put_part(&transfer, b"sent").await.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn a_part_of_full_size_passes_unchanged_over_both_versions_of_http() {
    let (running, noord) = a_portal_and_noord().await;
    let transfer = a_draft(&noord).await;
    let len = usize::try_from(PART_LEN).unwrap();
    for (hospital, byte) in [(&noord, 7), (&Hospital::of_http1(&running.portal, NOORD), 8)] {
        let part = vec![byte; len];
        assert_eq!(hospital.put_part(&transfer, &part).await.status(), StatusCode::CREATED);
        let path = part_path(&transfer, &Digest::of(&part));
        assert!(hospital.get(&path).await.bytes().await.unwrap() == part);
        let again = hospital.put_part(&transfer, &part).await;
        assert_eq!(again.status(), StatusCode::PRECONDITION_FAILED);
        assert_eq!(code_of(again).await, "exists");
    }
    let too_long = noord.put_part(&transfer, &vec![9; len + 1]).await;
    assert_eq!(too_long.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn missing_parts_are_told() {
    let (_running, noord) = a_portal_and_noord().await;
    let transfer = a_draft(&noord).await;
    noord.put_part(&transfer, b"there").await;
    let asked = PartList { parts: vec![Digest::of(b"there"), Digest::of(b"missing")] };
    let answer =
        noord.request(Method::POST, &missing_parts_path(&transfer)).json(&asked).send().await.unwrap();
    let told: PartList = answer.json().await.unwrap();
    assert_eq!(told.parts, vec![Digest::of(b"missing")]);
}

async fn range(hospital: &Hospital, path: &str, range: &str, if_range: Option<&str>) -> Response {
    let mut request = hospital.request(Method::GET, path).header("range", range);
    if let Some(tag) = if_range {
        request = request.header("if-range", tag);
    }
    request.send().await.unwrap()
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_broke() {
    let (running, noord) = a_portal_and_noord().await;
    let zuid = Hospital::of(&running.portal, ZUID);
    let transfer = noord.send(ZUID, &[b"0123456789"]).await;
    let digest = Digest::of(b"0123456789");
    let path = part_path(&transfer, &digest);
    let whole = zuid.get(&path).await;
    assert_eq!(whole.headers()["content-digest"], content_digest(&digest));
    let tag = whole.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(tag, format!("\"{digest}\""));

    let rest = range(&zuid, &path, "bytes=6-", Some(&tag)).await;
    assert_eq!(rest.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(rest.headers()["content-range"], "bytes 6-9/10");
    assert_eq!(rest.headers()["repr-digest"], content_digest(&digest));
    assert_eq!(rest.bytes().await.unwrap(), "6789");
    let changed = range(&zuid, &path, "bytes=6-", Some("\"other\"")).await;
    assert_eq!((changed.status(), changed.bytes().await.unwrap().len()), (StatusCode::OK, 10));
    let outside = range(&zuid, &path, "bytes=10-", None).await;
    assert_eq!(outside.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(outside.headers()["content-range"], "bytes */10");
    let letter = range(&zuid, &letter_path(&transfer), "bytes=2-", None).await;
    assert_eq!(letter.bytes().await.unwrap(), "letter");
}

#[tokio::test]
async fn a_letter_is_written_once() {
    let (running, noord) = a_portal_and_noord().await;
    let transfer = a_draft(&noord).await;
    assert_eq!(noord.put_letter(&transfer, b"one").await.status(), StatusCode::CREATED);
    assert_eq!(noord.put_letter(&transfer, b"one").await.status(), StatusCode::OK);
    let other = noord.put_letter(&transfer, b"two").await;
    assert_eq!(other.status(), StatusCode::CONFLICT);
    assert_eq!(code_of(other).await, "other-letter");
    assert_eq!(running.portal.stored_objects().await.unwrap().len(), 1);
}

#[tokio::test]
async fn after_the_commit_nothing_can_be_added() {
    let (running, noord) = a_portal_and_noord().await;
    let zuid = Hospital::of(&running.portal, ZUID);
    let transfer = noord.send(ZUID, &[b"part"]).await;
    assert_eq!(noord.put_part(&transfer, b"more").await.status(), StatusCode::CONFLICT);
    assert_eq!(noord.put_part(&transfer, b"part").await.status(), StatusCode::PRECONDITION_FAILED);
    assert_eq!(zuid.put_part(&transfer, b"more").await.status(), StatusCode::FORBIDDEN);
    assert_eq!(zuid.put_letter(&transfer, b"other").await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_upload_that_breaks_off_stores_nothing() {
    let (running, noord) = a_portal_and_noord().await;
    let transfer = a_draft(&noord).await;
    let part = vec![1; 4 * 1024 * 1024];
    let path = part_path(&transfer, &Digest::of(&part));
    running.portal.faults().drop_connection_after_bytes(2 * 1024 * 1024);
    let request = noord
        .request(Method::PUT, &path)
        .header("content-digest", content_digest(&Digest::of(&part)))
        .body(part.clone());
    assert!(request.send().await.is_err());
    assert_eq!(running.portal.stored_objects().await.unwrap(), Vec::<String>::new());
    assert_eq!(noord.put_part(&transfer, &part).await.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn a_sender_that_has_used_its_space_is_told_to_come_back() {
    let running = a_portal_with(|mut options| {
        options.limits.bytes_per_sender = Some(10);
        options.limits.drafts_per_sender = Some(1);
        options
    })
    .await;
    let noord = Hospital::of(&running.portal, NOORD);
    let transfer = a_draft(&noord).await;
    assert_eq!(noord.put_part(&transfer, b"12345678").await.status(), StatusCode::CREATED);
    let full = noord.put_part(&transfer, b"abcd").await;
    assert_eq!(full.status(), StatusCode::INSUFFICIENT_STORAGE);
    assert!(full.headers().contains_key("retry-after"));
    let second = noord.create(&noord.draft(ZUID)).await;
    assert_eq!(second.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(second.headers().contains_key("retry-after"));
}
