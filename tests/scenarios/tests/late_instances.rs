//! Images that come after the study was closed or sent.
//!
//! What was closed never changes: what comes later is a study of its own in the list, and can be sent after the first.

use beeldbox_scenarios::ending::Repeats;
use beeldbox_scenarios::two_hospitals::{Study, TwoHospitals};

#[tokio::test]
async fn images_that_come_late_are_an_addendum_and_nothing_is_lost() {
    let story = TwoHospitals::start().await;
    let whole = story.a_study(1, 12);
    let part = |files: &[_]| Study { uid: whole.uid.clone(), files: files.to_vec() };
    let (early, late) = (part(&whole.files[..8]), part(&whole.files[8..]));
    let first = story.goes_through(&early).await;
    let second = story.goes_through(&late).await;
    assert_ne!(first, second);
    story.ends("noord: delivered 2 | zuid: reported 2", &[&whole], Repeats::Never).await;
}

#[tokio::test]
async fn images_that_come_between_closing_and_sending_stay_in_the_list() {
    let story = TwoHospitals::start().await;
    let whole = story.a_study(1, 12);
    let part = |files: &[_]| Study { uid: whole.uid.clone(), files: files.to_vec() };
    let (early, late) = (part(&whole.files[..8]), part(&whole.files[8..]));
    story.receive(&early).await;
    let closed = story.closed(&early).await;
    story.receive(&late).await;
    story.until("both are closed", async || story.picture().await.starts_with("noord: queued 2")).await;
    let lines = story.studies().await;
    let counts: Vec<u32> = lines.iter().map(|line| line.summary.instances).collect();
    assert_eq!(counts.iter().sum::<u32>(), 13);
    assert!(lines.iter().any(|line| line.study == closed.study && line.summary.instances == 8));
    story.everything_goes_through().await;
    story.ends("noord: delivered 2 | zuid: reported 2", &[&whole], Repeats::Never).await;
}
