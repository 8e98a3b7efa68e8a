//! The PACS of the addressee has manners of its own: it takes another transfer syntax, refuses one instance, is full, dies,
//! warns, breaks off, or bears one association only. What can be delivered is, and what cannot is named.

use std::path::PathBuf;
use std::process::Command;

use beeldbox_peer::part10;
use beeldbox_protocol::admin::{StateCode, TransferDetail, WaitCode};
use beeldbox_protocol::ident::TransferId;
use beeldbox_scenarios::foreign::{python, said};
use beeldbox_scenarios::foreign_pacs::names_of;
use beeldbox_scenarios::two_hospitals::{At, Study, TwoHospitals};
use serde_json::json;

const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const IMPLICIT: &str = "1.2.840.10008.1.2";
const EXPLICIT: &str = "1.2.840.10008.1.2.1";

/// Adds a slice of a study, compressed without loss by pydicom (RLE), to the study.
const COMPRESS: &str = r"
import sys, pydicom
whole = pydicom.dcmread(sys.argv[1])
whole.SOPInstanceUID = whole.file_meta.MediaStorageSOPInstanceUID = whole.SOPInstanceUID + '.1'
whole.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
whole.save_as(sys.argv[2])
";

/// Makes a slice whose pixel data is shorter than it says.
const CUT: &str = r"
import sys, pydicom
whole = pydicom.dcmread(sys.argv[1])
whole.SOPInstanceUID = whole.file_meta.MediaStorageSOPInstanceUID = whole.SOPInstanceUID + '.2'
whole.save_as(sys.argv[2])
cut = open(sys.argv[2], 'rb').read()[:-1000]
open(sys.argv[2], 'wb').write(cut)
";

async fn waits_for(story: &TwoHospitals, transfer: TransferId, reason: WaitCode) -> TransferDetail {
    story
        .until_transfer(At::Zuid, transfer, &format!("the transfer waits: {reason:?}"), |detail| {
            detail.line.situation.waits_for == Some(reason)
        })
        .await
}

/// Both boxes say how many arrived, and which did not.
async fn arrived(story: &TwoHospitals, transfer: TransferId, stored: u32, of: u32, statuses: &[u16]) {
    let at_noord = story.until_state(At::Noord, transfer, StateCode::Delivered).await;
    let at_zuid = story.until_state(At::Zuid, transfer, StateCode::Reported).await;
    for detail in [at_noord, at_zuid] {
        let receipt = detail.receipts.iter().map(|line| (line.stored, line.of)).next_back();
        story.check("receipt 2", receipt, Some((stored, of)));
        let refused: Vec<u16> = detail.refused.iter().map(|refused| refused.status).collect();
        story.check("statuses of what did not arrive", refused.as_slice(), statuses);
    }
}

/// A study, and one more slice that the program makes of one of its slices.
fn with_another_slice(story: &TwoHospitals, study: &Study, program: &str) -> Study {
    let slice = study.files.iter().find(|file| file.sop_class.as_str() == CT);
    let slice = slice.expect("a CT slice").path.to_string_lossy().into_owned();
    let folder: PathBuf = story.place.folder("another-slice").expect("a folder");
    let file = folder.join("slice.dcm");
    let output = python(&["-c", program, &slice, &file.to_string_lossy()]);
    assert!(output.status.success(), "{}", said(&output));
    let mut files = part10::find(&[folder]).expect("its files");
    files.extend(study.files.clone());
    Study { uid: study.uid.clone(), files }
}

#[tokio::test]
async fn a_pacs_that_speaks_only_implicit_vr_is_given_that() {
    let story = TwoHospitals::start().await;
    let pacs = story.zuid_has_a_python_pacs(json!({"syntaxes": [IMPLICIT]})).await;
    let plain = story.a_study(1, 12);
    let study = with_another_slice(&story, &plain, COMPRESS);
    let transfer = story.send(&study).await;
    story.import(transfer).await;
    // What is compressed is not decoded for it: it is named.
    arrived(&story, transfer, 13, 14, &[0xFFFF]).await;
    story.check("what arrived", pacs.names(), names_of(&plain));
    assert!(pacs.given().iter().all(|(_, syntax, _)| syntax == IMPLICIT), "{:?}", pacs.given());
    let audit = story.delivery_in_the_audit_trail(transfer).await;
    assert!(audit.contains("FFFFH: the PACS takes neither"), "{audit}");

    // The bytes of the slices are those that DCMTK makes of them. The report has an empty sequence, which DCMTK gives a
    // delimiter and we do not; what is in it pydicom compares in `tests/interop`.
    let expected = converted_by_dcmtk(&story, &plain);
    let mut given: Vec<(String, String)> =
        pacs.given().into_iter().map(|(name, _, digest)| (name, digest)).collect();
    given.retain(|(name, _)| expected.iter().any(|(slice, _)| slice == name));
    given.sort();
    story.same("digests", &given, &expected);
    story.stop().await;
}

/// Names and digests of the slices after `dcmconv`.
fn converted_by_dcmtk(story: &TwoHospitals, study: &Study) -> Vec<(String, String)> {
    let folder = story.place.folder("converted").expect("a folder");
    let dcmconv = beeldbox_scenarios::foreign::dcmtk("dcmconv");
    for (number, file) in study.files.iter().filter(|file| file.sop_class.as_str() == CT).enumerate() {
        let after = folder.join(format!("{number}.dcm"));
        // Undefined lengths, no group lengths, as ours; what is written is the same.
        let words = ["+ti", "-e", "-g"];
        let status = Command::new(&dcmconv).args(words).arg(&file.path).arg(&after).status();
        assert!(status.expect("it runs").success());
    }
    let mut converted: Vec<(String, String)> = part10::find(&[folder])
        .expect("its files")
        .iter()
        .map(|file| (file.sop_instance.to_string(), file.digest().expect("a digest").to_string()))
        .collect();
    converted.sort();
    converted
}

#[tokio::test]
async fn one_that_takes_everything_is_given_it_as_it_was_stored_over_two_associations() {
    let story = TwoHospitals::start().await;
    let pacs = story.zuid_has_a_python_pacs(json!({"slow": 0.02})).await;
    let study = with_another_slice(&story, &story.a_study(1, 40), COMPRESS);
    let transfer = story.goes_through(&study).await;
    arrived(&story, transfer, 42, 42, &[]).await;
    let mut given = pacs.given();
    let mut sent: Vec<_> = study
        .files
        .iter()
        .map(|file| {
            let (name, digest, syntax) = beeldbox_scenarios::ending::print_of(file);
            (name, syntax, digest)
        })
        .collect();
    given.sort();
    sent.sort();
    story.same("what the PACS was given", &given, &sent);
    assert!(pacs.log(&story).contains("most 2"), "{}", pacs.log(&story));
    assert!(given.iter().any(|(_, syntax, _)| syntax == EXPLICIT));
    let audit = story.delivery_in_the_audit_trail(transfer).await;
    assert!(audit.starts_with("42 of 42, proof: C-STORE answers; 0 were there already, 0 with"), "{audit}");
    story.stop().await;
}

#[tokio::test]
async fn one_instance_that_is_refused_stops_no_other_and_is_named_with_why() {
    let story = TwoHospitals::start().await;
    let study = story.a_study(1, 12);
    let refused = study.files[5].sop_instance.to_string();
    let pacs = story.zuid_has_a_python_pacs(json!({"refuse": {&refused: 0xA900}})).await;
    let transfer = story.send(&study).await;
    story.import(transfer).await;
    arrived(&story, transfer, 12, 13, &[0xA900]).await;
    let mut expected = names_of(&study);
    expected.remove(&refused);
    story.check("what arrived", pacs.names(), expected);
    let audit = story.delivery_in_the_audit_trail(transfer).await;
    let named = format!("; {refused} A900H: the PACS finds that it does not match its class");
    assert!(audit.contains(&named), "{audit}");
    story.stop().await;
}

#[tokio::test]
async fn a_class_that_the_pacs_does_not_take_is_named_and_the_rest_arrives() {
    let story = TwoHospitals::start().await;
    let pacs = story.zuid_has_a_python_pacs(json!({"only": "CT"})).await;
    let study = story.a_study(1, 12);
    let transfer = story.send(&study).await;
    story.import(transfer).await;
    arrived(&story, transfer, 12, 13, &[0xFFFF]).await;
    story.check("how many arrived", pacs.names().len(), 12);
    story.stop().await;
}

#[tokio::test]
async fn a_pacs_that_is_full_is_waited_for_and_delivery_goes_on_by_itself() {
    let story = TwoHospitals::start().await;
    let pacs = story.zuid_has_a_python_pacs(json!({"room": 5})).await;
    let study = story.a_study(1, 20);
    let transfer = story.send(&study).await;
    story.import(transfer).await;
    waits_for(&story, transfer, WaitCode::PacsBusy).await;
    story.check("what fits in", pacs.names().len(), 5);
    pacs.mend("room");
    story.until_delivered(transfer).await;
    story.check("what arrived", pacs.names(), names_of(&study));
    story.check("given twice", pacs.repeats(), 0);
    story.stop().await;
}

#[tokio::test]
async fn one_that_dies_in_the_middle_is_given_again_what_was_on_its_way_and_no_more() {
    let story = TwoHospitals::start().await;
    let mut pacs = story.zuid_has_a_python_pacs(json!({"slow": 0.03})).await;
    let study = story.a_study(1, 60);
    let transfer = story.send(&study).await;
    story.import(transfer).await;
    story.until("some are there", async || pacs.names().len() >= 15).await;
    pacs.die();
    waits_for(&story, transfer, WaitCode::PacsUnreachable).await;
    pacs.start(&story).await;
    story.until("more are there", async || pacs.names().len() >= 35).await;
    // Now the box dies.
    story.kill(At::Zuid).await;
    story.until_delivered(transfer).await;
    story.check("what arrived", pacs.names(), names_of(&study));
    // Two associations each time, and what the ledger was about to note when the box died.
    assert!(pacs.repeats() <= 6, "{} were given twice", pacs.repeats());
    story.stop().await;
}

#[tokio::test]
async fn warnings_are_counted_as_stored() {
    let story = TwoHospitals::start().await;
    let pacs = story.zuid_has_a_python_pacs(json!({"warn": 0xB007})).await;
    let study = story.a_study(1, 12);
    let transfer = story.goes_through(&study).await;
    arrived(&story, transfer, 13, 13, &[]).await;
    story.check("what arrived", pacs.names(), names_of(&study));
    let audit = story.delivery_in_the_audit_trail(transfer).await;
    assert!(audit.ends_with("13 with a warning"), "{audit}");
    story.stop().await;
}

#[tokio::test]
async fn one_that_bears_a_single_association_is_never_given_a_second() {
    let story = TwoHospitals::start().await;
    let report_to = (story.place.port("zuid-dicom").expect("a port"), story.demo.zuid.ae);
    let manners = json!({"most": 1, "find": true, "commitment": "new", "report_to": report_to, "slow": 0.02});
    let pacs = story.zuid_has_a_python_pacs(manners).await;
    let study = story.a_study(1, 40);
    let transfer = story.goes_through(&study).await;
    arrived(&story, transfer, 41, 41, &[]).await;
    story.check("what arrived", pacs.names(), names_of(&study));
    story.check("given twice", pacs.repeats(), 0);
    let log = pacs.log(&story);
    assert!(log.contains("most 1") && !log.contains("most 2"), "{log}");
    let audit = story.delivery_in_the_audit_trail(transfer).await;
    assert!(audit.contains("proof: storage commitment"), "{audit}");
    story.stop().await;
}

#[tokio::test]
async fn an_instance_at_which_the_pacs_breaks_off_stops_no_other() {
    let story = TwoHospitals::start().await;
    let study = story.a_study(1, 12);
    let bad = study.files[0].sop_instance.to_string();
    let pacs = story.zuid_has_a_python_pacs(json!({"breaks_at": &bad})).await;
    let transfer = story.send(&study).await;
    story.import(transfer).await;
    arrived(&story, transfer, 12, 13, &[0xFFFB]).await;
    let mut expected = names_of(&study);
    expected.remove(&bad);
    story.check("what arrived", pacs.names(), expected);
    story.check("given twice", pacs.repeats(), 0);
    story.stop().await;
}

#[tokio::test]
async fn an_instance_that_is_not_what_it_says_is_not_converted_and_stops_no_other() {
    let story = TwoHospitals::start().await;
    let pacs = story.zuid_has_a_python_pacs(json!({"syntaxes": [IMPLICIT]})).await;
    let whole = story.a_study(1, 12);
    let study = with_another_slice(&story, &whole, CUT);
    let transfer = story.send(&study).await;
    story.import(transfer).await;
    arrived(&story, transfer, 13, 14, &[0xFFFD]).await;
    // Nothing of it looks as if it were all of it.
    story.check("what arrived", pacs.names(), names_of(&whole));
    story.check("given twice", pacs.repeats(), 0);
    story.stop().await;
}
