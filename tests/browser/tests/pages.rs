//! The technician's whole job in the real pages, against the real programs: `journey.mjs` says what must be so.

use beeldbox_browser::browser::Browser;
use beeldbox_browser::stage::Stage;
use beeldbox_peer::study::StudySpec;

#[tokio::test]
async fn a_technician_sends_a_study_and_another_imports_it() {
    let browser = Browser::find().unwrap_or_else(|error| panic!("{error}"));
    let stage = Stage::open(3).await.unwrap_or_else(|error| panic!("{error:#}"));
    let spec = StudySpec { slices: 20, size: 128, ..StudySpec::default() };
    let played = async {
        let study = stage.make(&spec)?;
        let described = stage.described(&study, &spec, &browser.chromium)?;
        browser.play(&described, &stage.folder("browser")?, &[]).await
    }
    .await;
    stage.close(played.is_ok()).await;
    played.unwrap_or_else(|error| panic!("{error:#}"));
}
