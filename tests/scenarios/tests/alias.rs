//! Nobody touches the box: the PACS calls an AE title that stands for an addressee.
//!
//! A study sent to an alias goes where the alias says, but never to a partner whom no technician has met, and not
//! without a look where the administrator wants one. A large one is under way before it is complete.

use std::path::Path;

use beeldbox_demo::place::Place;
use beeldbox_peer::study::StudySpec;
use beeldbox_protocol::admin::StateCode;
use beeldbox_protocol::ident::TransferId;
use beeldbox_scenarios::ending::Repeats;
use beeldbox_scenarios::two_hospitals::{At, TwoHospitals, ZUID};

/// Goes by itself.
const ALIAS: &str = "NAAR_ZUID";

/// Waits for a technician.
const CONFIRM: &str = "EERST_KIJKEN";

/// A modality that pauses for an hour: what it sends stays open.
const SLOW: &str = "SLOW";

fn settings(_place: &Place, word: &str, _folder: &Path) -> String {
    if word != "noord" {
        return String::new();
    }
    format!(
        "[[dicom.peers]]\nae_title = \"{SLOW}\"\nquiet_time_secs = 3600\n\
         [[dicom.aliases]]\nae_title = \"{ALIAS}\"\naddressee = \"{ZUID}\"\n\
         [[dicom.aliases]]\nae_title = \"{CONFIRM}\"\naddressee = \"{ZUID}\"\nconfirm = true\n"
    )
}

#[tokio::test]
async fn a_study_goes_by_itself_once_a_technician_has_met_the_partner() {
    let story = TwoHospitals::start_with_settings(settings).await;
    let studies: Vec<_> = (1..=2).map(|seed| story.a_study(seed, 5)).collect();

    // Nobody has ever sent to Zuid: the first one waits.
    story.stored_at(ALIAS, "PACS_NOORD", &studies[0].files).await;
    let line = story.closed(&studies[0]).await;
    story.check("whom its sender meant", line.called_alias.as_deref(), Some(ALIAS));
    story.until_log_says("noord-box", "a technician must look first").await;
    story.is_so("noord: queued 1 | zuid: -", &[], Repeats::Never).await;
    let first = story.address_number(line.study, ZUID).await;
    story.import(first).await;
    story.until_delivered(first).await;

    // From now on nobody is needed at this end.
    story.stored_at(ALIAS, "PACS_NOORD", &studies[1].files).await;
    let second = arrived_beside(&story, &[first]).await;
    story.import(second).await;
    story.until_delivered(second).await;
    story
        .ends("noord: delivered 2 | zuid: reported 2", &studies.iter().collect::<Vec<_>>(), Repeats::Never)
        .await;
}

#[tokio::test]
async fn where_the_administrator_wants_a_look_the_study_waits_for_a_technician() {
    let story = TwoHospitals::start_with_settings(settings).await;
    // The partner is known: nothing but the setting stands in the way.
    let known = story.a_study(1, 3);
    story.goes_through(&known).await;

    // The same study to an alias and to the box itself is two studies, each with all its images.
    let study = story.a_study(2, 5);
    story.stored_at(CONFIRM, "PACS_NOORD", &study.files).await;
    story.stored_at(story.demo.noord.ae, "PACS_NOORD", &study.files).await;
    story
        .until("both are closed", async || {
            let lines = story.studies().await;
            lines.len() == 2 && lines.iter().all(|line| line.situation.state == StateCode::Queued)
        })
        .await;
    let lines = story.studies().await;
    let mut called: Vec<_> = lines.iter().map(|line| line.called_alias.as_deref()).collect();
    called.sort_unstable();
    story.check("whom their sender meant", called, vec![None, Some(CONFIRM)]);
    for line in &lines {
        let instances = usize::try_from(line.summary.instances).expect("a small number");
        story.check("images of each", instances, study.files.len());
    }
    story.is_so("noord: delivered 1, queued 2 | zuid: reported 1", &[&known], Repeats::Never).await;

    let meant = lines.iter().find(|line| line.called_alias.is_some()).expect("checked above");
    let transfer = story.address_number(meant.study, ZUID).await;
    story.import(transfer).await;
    story.until_delivered(transfer).await;
    story.ends("noord: delivered 2, queued 1 | zuid: reported 2", &[&known, &study], Repeats::Never).await;
}

#[tokio::test]
async fn a_large_study_is_at_the_portal_before_it_is_complete() {
    let story = TwoHospitals::start_with_settings(settings).await;
    let known = story.a_study(1, 3);
    let first = story.goes_through(&known).await;
    let stored_before = bytes_below(&story.root().join("portal"));

    // Sixty slices of half a MiB: three parts of 8 MiB are whole, and the sender is silent then, as if it paused.
    let study = story.a_study_of(&StudySpec { slices: 60, seed: 2, ..StudySpec::default() });
    let (most, rest) = study.files.split_at(55);
    story.stored_at(ALIAS, SLOW, most).await;
    story
        .until("three parts of an open study are at the portal", async || {
            bytes_below(&story.root().join("portal")) >= stored_before + 3 * 8 * 1024 * 1024
        })
        .await;
    story.until_log_says("noord-box", "parts sent ahead").await;
    let line = story.line_of(&study).await.expect("it is in the list");
    story.check("the study at Noord", line.situation.state, StateCode::Collecting);
    story.check("the inbox of Zuid", story.transfers(At::Zuid).await.len(), 1);

    // A restart in the middle forgets nothing of it; the rest comes, the study is closed, and goes.
    story.kill(At::Noord).await;
    story.stored_at(ALIAS, SLOW, rest).await;
    story.close(&line).await;
    let second = arrived_beside(&story, &[first]).await;
    story.import(second).await;
    story.until_delivered(second).await;
    story.ends("noord: delivered 2 | zuid: reported 2", &[&known, &study], Repeats::Never).await;
}

/// The transfer that arrives at Zuid beside these.
async fn arrived_beside(story: &TwoHospitals, known: &[TransferId]) -> TransferId {
    let mut arrived = None;
    story
        .until("another transfer arrives", async || {
            let lines = story.transfers(At::Zuid).await;
            arrived = lines.iter().map(|line| line.transfer).find(|transfer| !known.contains(transfer));
            arrived.is_some()
        })
        .await;
    arrived.expect("it was found")
}

/// Bytes of the files in a folder and below. Files may come and go meanwhile.
fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => bytes_below(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}
