//! Storage commitment.

use super::ward::*;
use crate::{CommitmentFailure, CommitmentItem};

fn item(image: &Image) -> CommitmentItem {
    let description = &image.description;
    CommitmentItem {
        sop_class: description.sop_class.clone(),
        sop_instance: description.sop_instance.clone(),
    }
}

#[tokio::test]
async fn we_answer_for_what_we_have_and_say_why_not_for_the_rest() {
    let (dir, custody) = empty_ward();
    let (kept, absent, other) = (image(1, 1, 3000), image(1, 2, 3000), image(1, 3, 3000));
    let mut association = session(&custody);
    send(&mut association, &kept);
    send(&mut association, &other);
    association.close();
    let other = CommitmentItem { sop_class: "1.2.840.10008.5.1.4.1.1.7".parse().unwrap(), ..item(&other) };
    let items = vec![item(&kept), item(&absent), other.clone()];
    let (requestor, transaction) = ("CT1".parse().unwrap(), "1.2.3.4".parse().unwrap());
    let report = custody.request_commitment(requestor, transaction, items, at(1), at(1)).await.unwrap();
    let failed = [
        (item(&absent), CommitmentFailure::NoSuchObjectInstance),
        (other, CommitmentFailure::ClassInstanceConflict),
    ];
    assert_eq!((report.committed.as_slice(), report.failed.as_slice()), (&[item(&kept)][..], &failed[..]));
    // The peer was not told before the power went: it will be.
    custody.close().await;
    let (custody, _) = open(dir.path());
    assert_eq!(custody.due_commitments(at(2), 10).await.unwrap(), std::slice::from_ref(&report));
    custody.postpone_commitment(report.id, at(50)).await.unwrap();
    assert!(custody.due_commitments(at(49), 10).await.unwrap().is_empty());
    assert_eq!(custody.next_commitment_due().await.unwrap(), Some(at(50)));
    assert_eq!(custody.due_commitments(at(50), 10).await.unwrap()[0].attempts, 1);
    custody.commitment_told(report.id).await.unwrap();
    assert_eq!(custody.next_commitment_due().await.unwrap(), None);
}

#[tokio::test]
async fn a_request_that_names_all_of_an_open_study_completes_it() {
    let (_dir, custody) = empty_ward();
    let images = [image(1, 1, 100), image(1, 2, 100), image(2, 1, 100)];
    let mut association = session(&custody);
    for image in &images {
        send(&mut association, image);
    }
    association.close();
    let ask = |which: &[&Image], name: &str| {
        let items = which.iter().map(|image| item(image)).collect();
        custody.request_commitment("CT1".parse().unwrap(), name.parse().unwrap(), items, at(2), at(2))
    };
    let some = ask(&[&images[0], &images[2]], "1.1").await.unwrap();
    let all = ask(&[&images[0], &images[1]], "1.2").await.unwrap();
    let studies = custody.studies(None, 10).await.unwrap();
    let of = |number: u32| {
        let found = studies.iter().find(|study| study.summary.study == image(number, 1, 1).description.study);
        found.unwrap().transfer
    };
    assert_eq!(custody.studies_completed_by(some.id).await.unwrap(), [of(2)]);
    assert_eq!(custody.studies_completed_by(all.id).await.unwrap(), [of(1)]);
}
