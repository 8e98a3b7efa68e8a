//! A modality asks the box to answer for its images before it deletes them, and waits for the answer, or does not, or
//! cannot be reached, or the box dies in between.
//!
//! The modality is pynetdicom. Whatever happens it is told, what is not in custody is named as missing, and a study that
//! was claimed to be complete is closed at once.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use beeldbox_demo::place::Place;
use beeldbox_peer::part10::Part10File;
use beeldbox_protocol::admin::StateCode;
use beeldbox_scenarios::ending::Repeats;
use beeldbox_scenarios::foreign::{need_pynetdicom, python, said};
use beeldbox_scenarios::own_settings::Foreign;
use beeldbox_scenarios::two_hospitals::{At, TwoHospitals};

/// The modality: it pauses for an hour, and it listens on the port `modality`.
const MODALITY: &str = "MODALITY";

fn settings(place: &Place, word: &str, _folder: &Path) -> String {
    if word != "noord" {
        return String::new();
    }
    let port = place.port("modality").expect("a port");
    format!(
        "[[dicom.peers]]\nae_title = \"{MODALITY}\"\nquiet_time_secs = 3600\n\
         node = {{ address = \"127.0.0.1:{port}\" }}\n"
    )
}

/// Asks for commitment of `class=instance` pairs, and stays for the report or leaves at once, without answering one.
const ASK: &str = r#"
import sys, threading
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel
port, called, calling, stays, transaction, *pairs = sys.argv[1:]
told = threading.Event()
def report(event):
    if stays != "stays":
        # The report was faster than the leave-taking: gone without a word.
        event.assoc.abort()
        return 0x0110, None
    info = event.event_information
    failed = ["%s:%04X" % (item.ReferencedSOPInstanceUID, item.FailureReason) for item in info.get("FailedSOPSequence", [])]
    print("event", event.event_type, info.TransactionUID, len(info.get("ReferencedSOPSequence", [])), *failed, flush=True)
    told.set()
    return 0x0000, None
ae = AE(ae_title=calling)
ae.add_requested_context(StorageCommitmentPushModel)
association = ae.associate("127.0.0.1", int(port), ae_title=called, evt_handlers=[(evt.EVT_N_EVENT_REPORT, report)])
assert association.is_established, "no association"
asked = Dataset()
asked.TransactionUID = transaction
asked.ReferencedSOPSequence = []
for pair in pairs:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = pair.split("=")
    asked.ReferencedSOPSequence.append(item)
status, _ = association.send_n_action(asked, 1, StorageCommitmentPushModel, "1.2.840.10008.1.20.1.1")
print("asked %04X" % status.Status, flush=True)
if stays == "stays":
    assert told.wait(20), "not told"
association.release()
"#;

/// Listens for reports, and writes them down.
const LISTEN: &str = r#"
import sys
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel
port, own = sys.argv[1:]
def report(event):
    info = event.event_information
    failed = ["%s:%04X" % (item.ReferencedSOPInstanceUID, item.FailureReason) for item in info.get("FailedSOPSequence", [])]
    print("event", event.event_type, info.TransactionUID, len(info.get("ReferencedSOPSequence", [])), *failed,
          "from", event.assoc.requestor.ae_title, flush=True)
    return 0x0000, None
ae = AE(ae_title=own)
ae.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)
ae.start_server(("127.0.0.1", int(port)), evt_handlers=[(evt.EVT_N_EVENT_REPORT, report)])
"#;

/// The log of the listening modality.
const HEARD: &str = "modality";

/// What the modality hears while and after it asks, as a text.
fn asks(story: &TwoHospitals, stays: &str, transaction: &str, pairs: &[String]) -> String {
    let port = story.place.port("noord-dicom").expect("a port").to_string();
    let mut words = vec!["-c", ASK, &port, story.demo.noord.ae, MODALITY, stays, transaction];
    words.extend(pairs.iter().map(String::as_str));
    let output = python(&words);
    let said = said(&output);
    assert!(output.status.success() && said.contains("asked 0000"), "{said}");
    said
}

async fn listens(story: &TwoHospitals) -> Foreign {
    let port = story.place.port("modality").expect("a port");
    let mut command = Command::new("python3");
    command.args(["-c", LISTEN, &port.to_string(), MODALITY]);
    story.start_foreign(HEARD, port, &mut command).await
}

fn pairs(files: &[Part10File]) -> Vec<String> {
    files.iter().map(|file| format!("{}={}", file.sop_class, file.sop_instance)).collect()
}

#[tokio::test]
async fn who_waits_is_told_on_the_same_association_and_the_claimed_study_is_closed() {
    need_pynetdicom();
    let story = TwoHospitals::start_with_settings(settings).await;
    let study = story.a_study(1, 4);
    let (most, last) = study.files.split_at(4);
    story.stored_at(story.demo.noord.ae, MODALITY, most).await;

    // One of the images has not come: it is named as missing, and the study is not believed to be complete.
    let told = asks(&story, "stays", "2.25.1001", &pairs(&study.files));
    let missing = format!("event 2 2.25.1001 4 {}:0112", last[0].sop_instance);
    assert!(told.contains(&missing), "no line \"{missing}\"\n{told}");
    story.stored_at(story.demo.noord.ae, MODALITY, last).await;
    // It believes in claims of part of a study neither.
    asks(&story, "stays", "2.25.1002", &pairs(&study.files[..2]));
    tokio::time::sleep(Duration::from_secs(4)).await;
    let line = story.line_of(&study).await.expect("it is in the list");
    story.check("the study after two claims of less", line.situation.state, StateCode::Collecting);

    let told = asks(&story, "stays", "2.25.1003", &pairs(&study.files));
    assert!(told.lines().any(|line| line == "event 1 2.25.1003 5"), "{told}");
    // An hour of quiet time is not waited for.
    story.closed(&study).await;
    story.everything_goes_through().await;
    story.ends("noord: delivered 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}

#[tokio::test]
async fn who_leaves_at_once_is_called_and_told() {
    need_pynetdicom();
    let story = TwoHospitals::start_with_settings(settings).await;
    let _modality = listens(&story).await;
    let study = story.a_study(1, 4);
    story.stored_at(story.demo.noord.ae, MODALITY, &study.files).await;
    let mut claimed = pairs(&study.files);
    claimed.push("1.2.840.10008.5.1.4.1.1.2=2.25.4711".to_owned());
    asks(&story, "leaves", "2.25.2001", &claimed);
    let called = format!("event 2 2.25.2001 5 2.25.4711:0112 from {}", story.demo.noord.ae);
    story.until_log_says(HEARD, &called).await;
    // Long enough for a second attempt, if there were one.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let times = story.log(HEARD).matches("event ").count();
    story.check("times told", times, 1);
    story.stop().await;
}

#[tokio::test]
async fn who_cannot_be_reached_is_told_after_the_box_was_killed_too() {
    need_pynetdicom();
    let story = TwoHospitals::start_with_settings(settings).await;
    let study = story.a_study(1, 4);
    story.stored_at(story.demo.noord.ae, MODALITY, &study.files).await;
    asks(&story, "leaves", "2.25.3001", &pairs(&study.files));
    // Nobody listens there yet. It is tried all the same, and the box dies with the report untold.
    story.until_log_says("noord-box", "storage commitment could not be reported").await;
    story.kill(At::Noord).await;
    let _modality = listens(&story).await;
    story.until_log_says(HEARD, &format!("event 1 2.25.3001 5 from {}", story.demo.noord.ae)).await;

    // Told once, it is not told again.
    story.until_log_says("noord-box", "storage commitment was reported").await;
    story.kill(At::Noord).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    story.check("times told", story.log(HEARD).matches("event ").count(), 1);
    story.verifies_exactly(&study.files.iter().collect::<Vec<_>>()).await;
    story.stop().await;
}
