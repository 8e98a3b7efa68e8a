//! Somebody calls whom the box does not know, or asks for what it does not offer.
//!
//! A stranger is refused with the reason that DICOM has for it, so that its administrator sees what to change; whoever
//! asks for several things gets those that the box offers.

use std::process::Command;

use beeldbox_scenarios::ending::Repeats;
use beeldbox_scenarios::foreign::{dcmtk, need_pynetdicom, python, said};
use beeldbox_scenarios::two_hospitals::{At, TwoHospitals};

#[tokio::test]
async fn a_stranger_is_told_that_its_ae_title_is_not_recognized() {
    let echoscu = dcmtk("echoscu");
    let story = TwoHospitals::start().await;
    let (host, port) = story.demo.noord.dicom.split_once(':').expect("host:port");
    let echo = |calling: &str, called: &str| {
        let mut command = Command::new(&echoscu);
        command.args(["-v", "-aet", calling, "-aec", called, host, port]).output().expect("it was found")
    };

    let known = echo("ECHOSCU", story.demo.noord.ae);
    assert!(known.status.success(), "{}", said(&known));
    let stranger = echo("STRANGER", story.demo.noord.ae);
    assert!(!stranger.status.success());
    assert!(said(&stranger).contains("Rejected Permanent"), "{}", said(&stranger));
    assert!(said(&stranger).contains("Calling AE Title Not Recognized"), "{}", said(&stranger));
    let misled = echo("ECHOSCU", "SOMEBODY_ELSE");
    assert!(!misled.status.success());
    assert!(said(&misled).contains("Called AE Title Not Recognized"), "{}", said(&misled));

    // It cannot leave anything behind either.
    let study = story.a_study(1, 3);
    let sent = story.send_as("STRANGER", &study.files).await;
    assert!(sent.iter().all(|sent| !sent.is_stored()));
    story.ends("noord: - | zuid: -", &[], Repeats::Never).await;
}

/// Asks for storage, query, move, print and commitment at once, and stores what is given.
const ASK_FOR_EVERYTHING: &str = r#"
import sys, pydicom
from pynetdicom import AE
from pynetdicom import sop_class as sop
host, port, called, *files = sys.argv[1:]
ae = AE(ae_title="PYNETDICOM")
for wanted in [sop.StudyRootQueryRetrieveInformationModelFind, sop.CTImageStorage,
               sop.StudyRootQueryRetrieveInformationModelMove, sop.BasicGrayscalePrintManagementMeta,
               sop.ComprehensiveSRStorage, sop.ModalityWorklistInformationFind, sop.Verification]:
    ae.add_requested_context(wanted, "1.2.840.10008.1.2.1")
association = ae.associate(host, int(port), ae_title=called)
assert association.is_established
for context in association.accepted_contexts:
    print("accepted", context.abstract_syntax.name)
for context in association.rejected_contexts:
    print("refused", context.result, context.abstract_syntax.name)
print("echo %04X" % association.send_c_echo().Status)
for file in files:
    print("stored %04X" % association.send_c_store(pydicom.dcmread(file)).Status)
association.release()
"#;

#[tokio::test]
async fn what_the_box_does_not_offer_is_refused_and_the_rest_goes_on() {
    need_pynetdicom();
    let story = TwoHospitals::start().await;
    let study = story.a_study(1, 5);
    let (host, port) = story.demo.noord.dicom.split_once(':').expect("host:port");
    let mut words = vec!["-c", ASK_FOR_EVERYTHING, host, port, story.demo.noord.ae];
    words.extend(study.files.iter().map(|file| file.path.to_str().expect("a path that is text")));
    let output = python(&words);
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    let mut lines: Vec<&str> = said.lines().collect();
    lines.sort_unstable();
    lines.dedup();
    let expected = [
        "accepted CT Image Storage",
        "accepted Comprehensive SR Storage",
        "accepted Verification SOP Class",
        "echo 0000",
        // 3: abstract syntax not supported (PS3.8 table 9-18).
        "refused 3 Basic Grayscale Print Management Meta SOP Class",
        "refused 3 Modality Worklist Information Model - FIND",
        "refused 3 Study Root Query/Retrieve Information Model - FIND",
        "refused 3 Study Root Query/Retrieve Information Model - MOVE",
        "stored 0000",
    ];
    assert_eq!(lines, expected, "{said}");
    assert_eq!(said.matches("stored 0000").count(), study.files.len());

    story.everything_goes_through().await;
    let mut arrived: Vec<_> =
        story.received(At::Zuid).into_iter().map(|(name, digest, _)| (name, digest)).collect();
    let mut verified = story.verified(At::Noord).await;
    arrived.sort();
    verified.sort();
    story.same("PACS of Zuid against `verify` at Noord", &arrived, &verified);
    story.check("instances", arrived.len(), study.files.len());
    story.stop().await;
}
