//! A real Orthanc as PACS at both ends.
//!
//! Orthanc keeps files in its own way, so what it holds is asked of it: every instance of the study, with the bytes
//! that were sent.

use beeldbox_demo::hospital::DemoOptions;
use beeldbox_peer::part10;
use beeldbox_scenarios::ending::print_of;
use beeldbox_scenarios::foreign::need_orthanc;
use beeldbox_scenarios::two_hospitals::{At, PortalRuns, TwoHospitals};

#[tokio::test]
async fn a_study_goes_into_an_orthanc() {
    need_orthanc();
    let options = DemoOptions { is_orthanc: true, ..DemoOptions::default() };
    let story = TwoHospitals::start_with(PortalRuns::AsProgram, &options).await;
    let study = story.a_study(1, 20);
    story.goes_through(&study).await;
    story.check("both boxes", story.picture().await.as_str(), "noord: delivered 1 | zuid: reported 1");

    let mut kept: Vec<_> = part10::find(&[story.hospital(At::Zuid).pacs.store.clone()])
        .expect("Orthanc's folder")
        .iter()
        .map(print_of)
        .collect();
    let mut sent: Vec<_> = study.files.iter().map(print_of).collect();
    kept.sort();
    sent.sort();
    story.same("what Orthanc keeps", &kept, &sent);
    story.stop().await;
}
