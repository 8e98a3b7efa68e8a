//! The sender falls silent for an hour, sends half of a study, or sends what nobody should pass on unseen.
//!
//! A PACS that answers queries says when a study is complete, and when it is not; here it is DCMTK's `dcmqrscp`, which
//! also sends, by C-MOVE. A study in doubt is closed but held, until a technician has ticked the doubt.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use beeldbox_demo::place::Place;
use beeldbox_peer::part10::{self, Part10File};
use beeldbox_peer::study::{StudySpec, make_study};
use beeldbox_protocol::admin::{CheckFlag, HoldCode, Question, RefusalCode, StateCode, StudyLine, StudyRef};
use beeldbox_scenarios::ending::Repeats;
use beeldbox_scenarios::foreign::{dcmtk, said};
use beeldbox_scenarios::own_settings::Foreign;
use beeldbox_scenarios::two_hospitals::{At, Study, TwoHospitals, ZUID};

/// An archive that answers queries. It pauses for an hour.
const ARCHIVE: &str = "ARCHIVE";

/// The same program under another name, with pauses of four seconds.
const BRISK: &str = "BRISK_ARCHIVE";

/// A peer without queries, with pauses of four seconds.
const MUTE: &str = "MUTE";

/// A peer at whose address nobody listens.
const NOBODY: &str = "NOBODY";

fn settings(place: &Place, word: &str, _folder: &Path) -> String {
    if word != "noord" {
        return String::new();
    }
    let archive = place.port("archive").expect("a port");
    let nobody = place.port("nobody").expect("a port");
    let peer = |ae: &str, more: &str| format!("[[dicom.peers]]\nae_title = \"{ae}\"\n{more}\n");
    let node = format!("answers_queries = true\nnode = {{ address = \"localhost:{archive}\" }}");
    [
        peer(ARCHIVE, &format!("quiet_time_secs = 3600\n{node}")),
        peer(BRISK, &format!("quiet_time_secs = 4\n{node}")),
        peer(MUTE, "quiet_time_secs = 4"),
        peer(NOBODY, &format!("node = {{ address = \"localhost:{nobody}\" }}")),
    ]
    .concat()
}

/// `dcmqrscp` with both names; it may send to the box.
async fn archive(story: &TwoHospitals) -> Foreign {
    let program = dcmtk("dcmqrscp");
    let port = story.place.port("archive").expect("a port");
    let folder = |name: &str| story.place.folder(name).expect("a folder").display().to_string();
    let (first, second) = (folder("archive"), folder("brisk-archive"));
    let (box_, box_port) = (story.demo.noord.ae, story.place.port("noord-dicom").expect("a port"));
    let config = format!(
        "NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n\
         HostTable BEGIN\nbox = ({box_}, localhost, {box_port})\nHostTable END\n\
         VendorTable BEGIN\nVendorTable END\n\
         AETable BEGIN\n{ARCHIVE} {first} RW (200, 1024mb) ANY\n{BRISK} {second} RW (200, 1024mb) ANY\nAETable END\n"
    );
    let file = story.root().join("dcmqrscp.cfg");
    std::fs::write(&file, config).expect("its settings");
    let mut command = Command::new(program);
    command.arg("-v").arg("-c").arg(&file).arg(port.to_string());
    story.start_foreign("dcmqrscp", port, &mut command).await
}

/// The archive is given files.
fn fill(story: &TwoHospitals, called: &str, files: &[Part10File]) {
    let port = story.place.port("archive").expect("a port").to_string();
    let mut command = Command::new(dcmtk("storescu"));
    command.args(["-R", "-xe", "-aec", called, "localhost", &port]);
    let output = command.args(files.iter().map(|file| &file.path)).output().expect("it was found");
    assert!(output.status.success(), "{}", said(&output));
}

async fn is_open(story: &TwoHospitals, study: &Study) -> bool {
    story.line_of(study).await.is_some_and(|line| line.situation.state == StateCode::Collecting)
}

#[tokio::test]
async fn a_study_is_closed_when_the_archive_counts_as_many_images() {
    let story = TwoHospitals::start_with_settings(settings).await;
    let _archive = archive(&story).await;
    let study = story.a_study(1, 8);
    fill(&story, ARCHIVE, &study.files);
    let began = Instant::now();
    story.stored_at(story.demo.noord.ae, ARCHIVE, &study.files).await;
    story.closed(&study).await;
    println!("closed {:?} after the first image, with a quiet time of an hour", began.elapsed());
    story.everything_goes_through().await;
    story.ends("noord: delivered 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}

#[tokio::test]
async fn a_study_of_which_the_archive_counts_more_stays_open_beyond_its_quiet_time() {
    let story = TwoHospitals::start_with_settings(settings).await;
    let _archive = archive(&story).await;
    let (study, other) = (story.a_study(1, 8), story.a_study(2, 3));
    fill(&story, BRISK, &study.files);
    let (half, rest) = study.files.split_at(4);
    story.stored_at(story.demo.noord.ae, BRISK, half).await;
    // What comes at the same moment from a peer that cannot be asked shows when the quiet time is over.
    story.stored_at(story.demo.noord.ae, MUTE, &other.files).await;
    story.closed(&other).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    story.check("half of a study is open", is_open(&story, &study).await, true);

    story.stored_at(story.demo.noord.ae, BRISK, rest).await;
    let line = story.closed(&study).await;
    let instances = usize::try_from(line.summary.instances).expect("a small number");
    story.check("images of the closed study", instances, study.files.len());
    story.everything_goes_through().await;
    story.ends("noord: delivered 2 | zuid: reported 2", &[&study, &other], Repeats::Never).await;
}

#[tokio::test]
async fn what_an_archive_sends_by_move_arrives_as_one_study() {
    let story = TwoHospitals::start_with_settings(settings).await;
    let _archive = archive(&story).await;
    let studies = [story.a_study(1, 8), story.a_study(2, 8)];
    for study in &studies {
        fill(&story, ARCHIVE, &study.files);
    }
    for study in &studies {
        let port = story.place.port("archive").expect("a port").to_string();
        let mut command = Command::new(dcmtk("movescu"));
        command.args(["-v", "-S", "-aet", "MOVER", "-aec", ARCHIVE, "-aem", story.demo.noord.ae, "+P"]);
        command.arg(story.place.port("mover").expect("a port").to_string());
        command.args(["-k", "QueryRetrieveLevel=STUDY"]);
        command.args(["-k", &format!("StudyInstanceUID={}", study.uid), "localhost", &port]);
        let output = command.output().expect("it was found");
        assert!(output.status.success(), "{}", said(&output));
        // Complete at once: the archive that sent it counts the same.
        let line = story.closed(study).await;
        let instances = usize::try_from(line.summary.instances).expect("a small number");
        story.check(&format!("images moved\n{}", said(&output)), instances, study.files.len());
        story.check("its sender", line.source_ae.as_str(), ARCHIVE);
    }
    story.verifies_exactly(&studies.iter().flat_map(|study| &study.files).collect::<Vec<_>>()).await;
    story.everything_goes_through().await;
    story.ends("noord: delivered 2 | zuid: reported 2", &[&studies[0], &studies[1]], Repeats::Never).await;
}

#[tokio::test]
async fn two_patients_in_one_study_are_held_until_a_technician_has_looked() {
    let story = TwoHospitals::start().await;
    let usual = StudySpec { slices: 3, size: 128, seed: 1, ..StudySpec::default() };
    let other = StudySpec { slices: 6, number: "4310002".to_owned(), ..usual.clone() };
    let mut study = made(&story, "one", &usual);
    // Slices of the same study under the number of somebody else.
    study.files.extend(made(&story, "other", &other).files.into_iter().filter(|file| {
        let name = file.path.file_name().and_then(|name| name.to_str());
        matches!(name, Some("CT00004.dcm" | "CT00005.dcm"))
    }));
    story.receive(&study).await;
    held_and_sent_with(&story, &study, HoldCode::TwoPatients, CheckFlag::TwoPatients).await;
    story.ends("noord: delivered 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}

#[tokio::test]
async fn a_study_without_a_patient_id_is_held_until_a_technician_has_looked() {
    let story = TwoHospitals::start().await;
    let spec = StudySpec { slices: 3, size: 128, number: String::new(), ..StudySpec::default() };
    let study = made(&story, "nameless", &spec);
    story.receive(&study).await;
    held_and_sent_with(&story, &study, HoldCode::PatientIdMissing, CheckFlag::NoPatientId).await;
    story.ends("noord: delivered 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}

fn made(story: &TwoHospitals, name: &str, spec: &StudySpec) -> Study {
    let folder: PathBuf = story.place.folder(name).expect("a folder");
    let made = make_study(&folder, spec).expect("a study");
    Study { uid: made.study, files: part10::find(&[folder]).expect("its files") }
}

/// The study is held for this reason, is not sent while the flag is not ticked, and then goes its way.
async fn held_and_sent_with(story: &TwoHospitals, study: &Study, hold: HoldCode, flag: CheckFlag) {
    let mut found: Option<StudyLine> = None;
    story
        .until("the study is held", async || {
            found = story.line_of(study).await;
            found.as_ref().is_some_and(|line| line.situation.state == StateCode::Held)
        })
        .await;
    let line = found.expect("it was found");
    story.check("why it is held", line.situation.hold, Some(hold));
    let check = story.check_page(line.study).await;
    story.check(&format!("{flag:?} among the flags {:?}", check.flags), check.flags.contains(&flag), true);

    let refused = story
        .try_ask(
            At::Noord,
            Question::Send {
                study: StudyRef::Number(line.study),
                addressee: ZUID.parse().expect("an addressee"),
                note: None,
                reply_contact: None,
                urgent: false,
                acknowledged: check.flags.iter().copied().filter(|shown| *shown != flag).collect(),
            },
        )
        .await
        .err();
    let code = refused.map(|refusal| refusal.code);
    story.check("sent without a tick", code, Some(RefusalCode::NotAcknowledged));
    let transfer = story.address_number(line.study, ZUID).await;
    story.import(transfer).await;
    story.until_delivered(transfer).await;
}

#[tokio::test]
async fn the_test_of_a_node_names_the_step_that_fails() {
    let story = TwoHospitals::start_with_settings(settings).await;
    let _archive = archive(&story).await;
    let well = node_test(&story, ARCHIVE).await;
    assert!(well.status.success(), "{}", said(&well));
    for step in ["name", "connection", "association", "verification", "echo", "release"] {
        let is_well =
            said(&well).lines().any(|line| line.starts_with(step) && line.trim_end().ends_with("ok"));
        assert!(is_well, "{step} is not ok\n{}", said(&well));
    }

    let closed = node_test(&story, NOBODY).await;
    assert!(!closed.status.success(), "{}", said(&closed));
    let told = said(&closed);
    let line = |step: &str| told.lines().find(|line| line.starts_with(step)).unwrap_or_default();
    assert!(line("name").trim_end().ends_with("ok"), "{told}");
    assert!(!line("connection").is_empty() && !line("connection").trim_end().ends_with("ok"), "{told}");
    assert!(line("association").is_empty(), "{told}");
    println!("{told}");
    story.stop().await;
}

async fn node_test(story: &TwoHospitals, ae_title: &str) -> Output {
    let mut command = story.programs.command("beeldboxctl");
    command.arg("--socket").arg(&story.demo.noord.socket).args(["test", ae_title]);
    command.output().await.expect("it was built")
}
