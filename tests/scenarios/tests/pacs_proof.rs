//! Delivered is what the PACS proves to have: by storage commitment, by its own list, or, if it offers neither, by its
//! answers. And what it has already is not sent again.

use beeldbox_dicom::PeerNode;
use beeldbox_peer::part10::Part10File;
use beeldbox_peer::send::send_files;
use beeldbox_protocol::admin::{StateCode, WaitCode, WhoCode};
use beeldbox_protocol::ident::TransferId;
use beeldbox_scenarios::foreign_pacs::names_of;
use beeldbox_scenarios::two_hospitals::{At, TwoHospitals};
use serde_json::{Value, json};

/// Where a PACS reports to.
fn report_to(story: &TwoHospitals) -> Value {
    json!([story.place.port("zuid-dicom").expect("a port"), story.demo.zuid.ae])
}

async fn is_proven(story: &TwoHospitals, transfer: TransferId, beginning: &str) {
    let audit = story.delivery_in_the_audit_trail(transfer).await;
    if !audit.starts_with(beginning) {
        story.panic(&format!("the audit trail says \"{audit}\", not \"{beginning}\""));
    }
}

/// Somebody else puts files into the PACS of Zuid.
async fn the_pacs_gets(story: &TwoHospitals, files: &[Part10File]) {
    let to = PeerNode::plain("PACS_ZUID".parse().expect("an AE title"), &*story.demo.zuid.pacs.dicom);
    let sent = send_files(&to, &"MODALITY".parse().expect("an AE title"), files, |_| ()).await;
    assert!(sent.expect("told per file").iter().all(beeldbox_peer::send::Sent::is_stored));
}

#[tokio::test]
async fn a_pacs_that_commits_on_a_new_association_is_believed() {
    let story = TwoHospitals::start().await;
    let manners = json!({"commitment": "new", "report_to": report_to(&story)});
    let pacs = story.zuid_has_a_python_pacs(manners).await;
    let study = story.a_study(1, 12);
    let transfer = story.goes_through(&study).await;
    story.check("what arrived", pacs.names(), names_of(&study));
    is_proven(&story, transfer, "13 of 13, proof: storage commitment").await;
    story.until_log_says("foreign-pacs", "reported 0000 13").await;
    story.stop().await;
}

#[tokio::test]
async fn what_the_pacs_does_not_commit_to_is_not_called_delivered() {
    let story = TwoHospitals::start().await;
    let study = story.a_study(1, 12);
    let lost = study.files[3].sop_instance.to_string();
    let manners = json!({"commitment": "new", "report_to": report_to(&story), "lost": [&lost]});
    let _pacs = story.zuid_has_a_python_pacs(manners).await;
    let transfer = story.send(&study).await;
    story.import(transfer).await;
    let detail = story.until_state(At::Noord, transfer, StateCode::Delivered).await;
    let receipt = detail.receipts.iter().map(|line| (line.stored, line.of)).next_back();
    story.check("receipt 2", receipt, Some((12, 13)));
    is_proven(&story, transfer, "12 of 13, proof: storage commitment").await;
    let audit = story.delivery_in_the_audit_trail(transfer).await;
    assert!(audit.contains(&format!("; {lost} 0112H: the PACS does not have it any more")), "{audit}");
    story.stop().await;
}

#[tokio::test]
async fn a_report_that_is_late_is_waited_for_over_the_death_of_the_box_and_nothing_is_sent_again() {
    let story = TwoHospitals::start().await;
    let manners = json!({"commitment": "never", "report_to": report_to(&story)});
    let pacs = story.zuid_has_a_python_pacs(manners).await;
    let study = story.a_study(1, 12);
    let transfer = story.send(&study).await;
    story.import(transfer).await;
    let waits = |detail: &beeldbox_protocol::admin::TransferDetail| {
        detail.line.situation.waits_for == Some(WaitCode::PacsProof)
    };
    let waiting = story.until_transfer(At::Zuid, transfer, "it waits for proof", waits).await;
    story.check("who can act", waiting.line.situation.who, WhoCode::Administrator);
    // Stored, and not called delivered.
    story.check("what arrived", pacs.names(), names_of(&study));
    story.check(
        "the sender",
        story.find(At::Noord, transfer).await.map(|d| d.line.situation.state),
        Some(StateCode::Fetched),
    );
    story.kill(At::Zuid).await;
    story.until("it is asked again", async || pacs.log(&story).matches("asked to commit").count() == 2).await;
    pacs.mend("report");
    story.until_delivered(transfer).await;
    is_proven(&story, transfer, "13 of 13, proof: storage commitment").await;
    story.check("given twice", pacs.repeats(), 0);
    // The question from before its death nobody remembers: it is answered as unknown.
    story.until_log_says("foreign-pacs", "reported 0112 13").await;
    story.stop().await;
}

#[tokio::test]
async fn without_commitment_its_list_proves_it_when_it_is_complete() {
    let story = TwoHospitals::start().await;
    let pacs = story.zuid_has_a_python_pacs(json!({"find": true, "late": 3})).await;
    let study = story.a_study(1, 12);
    let transfer = story.send(&study).await;
    story.import(transfer).await;
    let waits = |detail: &beeldbox_protocol::admin::TransferDetail| {
        detail.line.situation.waits_for == Some(WaitCode::PacsProof)
    };
    story.until_transfer(At::Zuid, transfer, "it waits for proof", waits).await;
    story.until_delivered(transfer).await;
    is_proven(&story, transfer, "13 of 13, proof: C-FIND by name; 0 were there already").await;
    story.check("given twice", pacs.repeats(), 0);
    story.stop().await;
}

#[tokio::test]
async fn an_orthanc_that_knows_the_box_commits() {
    let story = TwoHospitals::start().await;
    let _pacs = story.zuid_has_an_orthanc().await;
    let study = story.a_study(1, 12);
    let transfer = story.goes_through(&study).await;
    is_proven(&story, transfer, "13 of 13, proof: storage commitment; 0 were there already").await;
    story.stop().await;
}

#[tokio::test]
async fn what_a_dcmqrscp_has_is_not_sent_and_what_it_lists_is_proven() {
    let story = TwoHospitals::start().await;
    let _pacs = story.zuid_has_a_dcmqrscp().await;
    let study = story.a_study(1, 12);
    the_pacs_gets(&story, &study.files[..7]).await;
    let transfer = story.goes_through(&study).await;
    is_proven(&story, transfer, "13 of 13, proof: C-FIND by name; 7 were there already").await;
    story.stop().await;
}

#[tokio::test]
async fn what_the_pacs_has_is_not_sent_again() {
    let story = TwoHospitals::start().await;
    let manners = json!({"find": true, "commitment": "new", "report_to": report_to(&story)});
    let pacs = story.zuid_has_a_python_pacs(manners).await;
    let study = story.a_study(1, 12);
    the_pacs_gets(&story, &study.files[..7]).await;
    let transfer = story.goes_through(&study).await;
    story.check("what arrived", pacs.names(), names_of(&study));
    story.check("given twice", pacs.repeats(), 0);
    is_proven(&story, transfer, "13 of 13, proof: storage commitment; 7 were there already").await;
    story.stop().await;
}
