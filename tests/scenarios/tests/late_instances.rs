//! Images that come after the study was closed or sent.
//!
//! What was closed never changes: what comes later is a study of its own in the list, and can be sent after the first.
//! Sent to the same organisation it is an addendum, and people on both sides see to what.

use beeldbox_scenarios::ending::Repeats;
use beeldbox_scenarios::two_hospitals::{At, Study, TwoHospitals, ZUID};

#[tokio::test]
async fn images_that_come_late_are_an_addendum_and_nothing_is_lost() {
    let story = TwoHospitals::start().await;
    let whole = story.a_study(1, 12);
    let part = |files: &[_]| Study { uid: whole.uid.clone(), files: files.to_vec() };
    let (early, late) = (part(&whole.files[..8]), part(&whole.files[8..]));
    let first = story.goes_through(&early).await;
    story.receive(&late).await;
    let line = story.closed(&late).await;
    let earlier = line.earlier.expect("what went before");
    story.check("to whom it went", earlier.addressee.to_string().as_str(), ZUID);
    let check = story.check_page(line.study).await;
    story.check("what it would add to", check.addendum_to.map(|earlier| earlier.transfer), Some(first));
    let said = story.beeldboxctl(At::Noord, &["studies"]).await;
    assert!(said.contains("late images") && said.contains(&first.to_string()), "{said}");
    // The letter was frozen with it: it survives that the box is killed.
    let second = story.address(&late).await;
    story.kill(At::Noord).await;
    story.import(second).await;
    story.until_delivered(second).await;
    assert_ne!(first, second);
    for at in [At::Noord, At::Zuid] {
        let addendum = story.find(at, second).await.expect("it is there").line.addendum;
        let addendum = addendum.expect("it is an addendum");
        story.check("to what", (addendum.to, addendum.at.is_some()), (first, true));
        let said = story.beeldboxctl(at, &["show", &second.to_string()]).await;
        assert!(said.contains("supplement to the transfer of"), "{said}");
        let before = story.find(at, first).await.expect("it is there").line.addendum;
        story.check("the first adds to nothing", before, None);
    }
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

#[tokio::test]
async fn the_same_images_again_are_a_repetition_and_no_addendum() {
    let story = TwoHospitals::start().await;
    let study = story.a_study(1, 5);
    let first = story.goes_through(&study).await;
    story.receive(&study).await;
    let line = story.closed(&study).await;
    story.check("what went before", line.earlier, None);
    let second = story.address(&study).await;
    assert_ne!(first, second);
    story.import(second).await;
    story.until_delivered(second).await;
    let addendum = story.find(At::Zuid, second).await.expect("it is there").line.addendum;
    story.check("an addendum", addendum, None);
    story.ends("noord: delivered 2 | zuid: reported 2", &[&study], Repeats::SameBytes).await;
}
