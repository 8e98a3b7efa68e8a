//! Whose images are these: asked of a real Orthanc and a real worklist, decided by a person, by two, or by a rule; and the images
//! reach the PACS under that patient, otherwise as they were sent.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use beeldbox_demo::child::until_listening;
use beeldbox_demo::hospital::DemoOptions;
use beeldbox_demo::place::Place;
use beeldbox_dicom::PeerNode;
use beeldbox_peer::part10;
use beeldbox_peer::send::send_files;
use beeldbox_peer::study::StudySpec;
use beeldbox_protocol::admin::{
    CandidatePage, LocalChoice, MatchCode, PatientSearch, PatientSystem, Question, RefusalCode, Reply,
    StateCode, SystemOutcome, VerdictCode,
};
use beeldbox_protocol::clinical::{Confidential, Patient};
use beeldbox_protocol::ident::TransferId;
use beeldbox_scenarios::foreign::{dcmtk, need_orthanc, need_pynetdicom, python, said};
use beeldbox_scenarios::two_hospitals::{At, PortalRuns, Study, TwoHospitals};

/// The number of the patient at Zuid, of whom there is an old study in its PACS.
const LOCAL: &str = "7700123";

/// What Zuid's PACS knows before anything arrives: the patient under another number, in capitals, as systems do.
fn an_old_study(seed: u64) -> StudySpec {
    StudySpec {
        seed,
        slices: 2,
        size: 64,
        patient: "DE VRIES^ANNEMARIE".to_owned(),
        number: LOCAL.to_owned(),
        date: "20210405".to_owned(),
        ..StudySpec::default()
    }
}

async fn two_orthancs(import: impl Fn(&Place) -> String + Send + Sync + 'static) -> TwoHospitals {
    need_orthanc();
    let prepare = move |place: &Place, word: &str, _folder: &Path| {
        Ok(if word == "zuid" { import(place) } else { String::new() })
    };
    let options = DemoOptions {
        is_orthanc: true,
        prepare: Some(std::sync::Arc::new(prepare)),
        ..DemoOptions::default()
    };
    TwoHospitals::start_with(PortalRuns::AsProgram, &options).await
}

/// Puts a study into the PACS of Zuid, as if it had been made there.
async fn in_pacs_of_zuid(story: &TwoHospitals, spec: &StudySpec) -> Study {
    let study = story.a_study_of(spec);
    let pacs = &story.hospital(At::Zuid).pacs;
    let to = PeerNode::plain(pacs.ae.parse().expect("an AE title"), &*pacs.dicom);
    let sent = send_files(&to, &"CT_ZUID".parse().expect("an AE title"), &study.files, |_| ()).await;
    assert!(sent.expect("told per file").iter().all(beeldbox_peer::send::Sent::is_stored));
    study
}

async fn arrives(story: &TwoHospitals, spec: &StudySpec) -> (Study, TransferId) {
    let study = story.a_study_of(spec);
    let transfer = story.send(&study).await;
    story.until_state(At::Zuid, transfer, StateCode::Opened).await;
    (study, transfer)
}

fn arriving(seed: u64) -> StudySpec {
    StudySpec { seed, slices: 3, size: 64, ..StudySpec::default() }
}

async fn candidates(story: &TwoHospitals, transfer: TransferId, search: PatientSearch) -> CandidatePage {
    let Reply::Candidates(page) = story.ask(At::Zuid, Question::Candidates { transfer, search }).await else {
        story.panic("another answer")
    };
    *page
}

fn under(number: &str) -> LocalChoice {
    LocalChoice { patient_id: Confidential::new(number), ..LocalChoice::default() }
}

fn import(transfer: TransferId, choice: LocalChoice) -> Question {
    Question::Import { transfer, patient: Some(Box::new(choice)) }
}

async fn refused(story: &TwoHospitals, question: Question) -> RefusalCode {
    match story.try_ask(At::Zuid, question).await {
        Err(refusal) => refusal.code,
        Ok(reply) => story.panic(&format!("this should have been refused: {reply:?}")),
    }
}

/// Everything that was not coerced is as it was sent; what was is on record. Compared by pydicom, which shares nothing with us.
fn same_but_for_the_patient(story: &TwoHospitals, study: &Study, number: &str, accession: Option<&str>) {
    let kept = part10::find(&[story.hospital(At::Zuid).pacs.store.clone()]).expect("Orthanc's folder");
    for sent in &study.files {
        let arrived = kept.iter().find(|kept| kept.sop_instance == sent.sop_instance);
        let arrived = arrived.unwrap_or_else(|| story.panic("an instance is not in the PACS"));
        let output = python(&[
            "-c",
            COMPARE,
            sent.path.to_str().expect("a path"),
            arrived.path.to_str().expect("a path"),
            number,
            accession.unwrap_or(""),
        ]);
        assert!(output.status.success(), "{}", said(&output));
    }
}

const COMPARE: &str = r#"
import sys, pydicom
sent, arrived = (pydicom.dcmread(f) for f in sys.argv[1:3])
number, accession = sys.argv[3:5]
assert arrived.PatientID == number, 'the number'
changed = {0x00080005, 0x00080015, 0x00080050, 0x00080051, 0x00100010, 0x00100020, 0x00100021, 0x00100024,
           0x00100030, 0x00100040, 0x04000561}
for element in sent:
    if element.tag not in changed:
        assert arrived[element.tag] == element, f'{element.tag} was changed'
assert {e.tag for e in arrived} - {e.tag for e in sent} <= changed, 'something was added'
record = arrived.OriginalAttributesSequence[-1]
assert record.ReasonForTheAttributeModification == 'COERCE'
assert record.ModifyingSystem == 'Beeldbox Zuid', record.ModifyingSystem
before = record.ModifiedAttributesSequence[0]
assert before.PatientID == sent.PatientID and before.PatientName == sent.PatientName
if accession:
    assert arrived.AccessionNumber == accession
    assert before.AccessionNumber == sent.AccessionNumber
else:
    assert arrived.AccessionNumber == sent.AccessionNumber
"#;

#[tokio::test]
async fn a_person_confirms_the_patient_and_the_images_are_filed_there() {
    let story = two_orthancs(|_| String::new()).await;
    in_pacs_of_zuid(&story, &an_old_study(90)).await;
    let (study, transfer) = arrives(&story, &arriving(1)).await;

    // The inbox says it before anybody asks.
    story
        .until("the inbox says who may be meant", async || {
            story
                .find(At::Zuid, transfer)
                .await
                .is_some_and(|found| matches!(found.line.matching, Some(MatchCode::Ready | MatchCode::Check)))
        })
        .await;
    let page = candidates(&story, transfer, PatientSearch::default()).await;
    let pacs = page.systems.iter().find(|answer| answer.system == PatientSystem::Pacs).expect("it is told");
    story.check("the PACS", pacs.outcome, SystemOutcome::Named { found: 1, is_more: false });
    let [candidate] = &page.candidates[..] else { story.panic("one candidate") };
    story.check("whom it names", candidate.patient.id.as_ref().map(Confidential::reveal), Some(LOCAL));
    assert_ne!(candidate.verdict, VerdictCode::Stop);

    // A number that nobody knows, reasons that nobody looked at, and what was not seen are refused.
    story.check(
        "unknown",
        refused(&story, import(transfer, under("999"))).await,
        RefusalCode::PatientUnknown,
    );
    if candidate.verdict == VerdictCode::Check {
        let unseen = refused(&story, import(transfer, under(LOCAL))).await;
        story.check("not looked at", unseen, RefusalCode::NotAcknowledged);
    }
    let acknowledged: Vec<String> = candidate.reasons.iter().map(|reason| reason.code.clone()).collect();
    let other = candidate.seen.to_string().replace(['0', '1'], "2").parse().expect("a digest");
    let changed = LocalChoice { seen: Some(other), acknowledged: acknowledged.clone(), ..under(LOCAL) };
    story.check("not seen", refused(&story, import(transfer, changed)).await, RefusalCode::NotNow);

    let choice = LocalChoice { seen: Some(candidate.seen), acknowledged, ..under(LOCAL) };
    story.ask(At::Zuid, import(transfer, choice)).await;
    story.until_delivered(transfer).await;
    same_but_for_the_patient(&story, &study, LOCAL, None);
    story.check("both boxes", story.picture().await.as_str(), "noord: delivered 1 | zuid: reported 1");
    story.stop().await;
}

#[tokio::test]
async fn a_number_that_is_somebody_elses_here_stops_and_two_persons_decide() {
    let story = two_orthancs(|_| String::new()).await;
    // Somebody else at Zuid has the number that the patient has at Noord.
    let other = StudySpec {
        patient: "BAKKER^WILLEM".to_owned(),
        born: "19700101".to_owned(),
        sex: "M".to_owned(),
        bsn: "999990020".to_owned(),
        number: StudySpec::default().number,
        ..an_old_study(91)
    };
    let number = other.number.clone();
    in_pacs_of_zuid(&story, &other).await;
    let (study, transfer) = arrives(&story, &arriving(2)).await;

    let as_sent = Question::Import { transfer, patient: None };
    story.check("as sent", refused(&story, as_sent).await, RefusalCode::PatientContradicts);
    story.check(
        "chosen",
        refused(&story, import(transfer, under(&number))).await,
        RefusalCode::PatientContradicts,
    );

    // With a reason it is a proposal, and whoever made it cannot agree to it.
    let reason = Some(Confidential::new("telefonisch bevestigd"));
    let reply = story.ask(At::Zuid, import(transfer, LocalChoice { reason, ..under(&number) })).await;
    assert!(matches!(reply, Reply::Proposed), "{reply:?}");
    let page = candidates(&story, transfer, PatientSearch::default()).await;
    let proposal = page.proposal.expect("it is shown");
    story.check("who proposed it", proposal.by.as_str(), "demo");
    let agree = Question::AgreeToImport { transfer, seen: proposal.seen };
    story.check("alone", refused(&story, agree.clone()).await, RefusalCode::SecondPersonNeeded);
    story.check(
        "still open",
        story.find(At::Zuid, transfer).await.map(|found| found.line.is_proposed),
        Some(true),
    );

    // A kill loses nothing of it.
    story.kill(At::Zuid).await;
    story.desk(At::Zuid).by("collega").ask(agree).await.expect("a second person may");
    story.until_delivered(transfer).await;
    same_but_for_the_patient(&story, &study, &number, None);
    story.stop().await;
}

#[tokio::test]
async fn set_aside_typed_by_hand_and_a_pacs_that_does_not_answer() {
    let story = two_orthancs(|_| String::new()).await;
    let (study, transfer) = arrives(&story, &arriving(3)).await;

    // Set aside, nothing goes; put back, it can be decided.
    let reason = Confidential::new("wie is dit");
    story.ask(At::Zuid, Question::SetAside { transfer, reason }).await;
    story.until_state(At::Zuid, transfer, StateCode::Held).await;
    story.check(
        "held",
        refused(&story, Question::Import { transfer, patient: None }).await,
        RefusalCode::NotNow,
    );
    story.ask(At::Zuid, Question::Resume { transfer }).await;
    story.until_state(At::Zuid, transfer, StateCode::Opened).await;

    // The PACS is away: nobody knows whose the number is.
    let pacs = &story.hospital(At::Zuid).pacs.program;
    pacs.take_down().await.expect("Orthanc ends");
    let as_sent = Question::Import { transfer, patient: None };
    story.check("not heard", refused(&story, as_sent).await, RefusalCode::SystemNotHeard);
    pacs.bring_up();
    until_listening(&story.hospital(At::Zuid).pacs.dicom, &story.root().join("log"))
        .await
        .expect("Orthanc is up");

    // A patient who was registered just now is in no PACS: typed by hand, compared all the same.
    let stranger = Patient { name: Some(Confidential::new("Bakker^Wim")), ..Patient::default() };
    let wrong = LocalChoice { typed: Some(stranger), ..under("7700999") };
    story.check("wrong", refused(&story, import(transfer, wrong)).await, RefusalCode::PatientContradicts);
    let typed = Patient {
        name: Some(Confidential::new("de Vries^Annemarie")),
        birth_date: Some(Confidential::new("19580317")),
        sex: Some(Confidential::new("F")),
        ..Patient::default()
    };
    let typed = LocalChoice { typed: Some(typed), ..under("7700999") };
    let refusal =
        story.try_ask(At::Zuid, import(transfer, typed.clone())).await.expect_err("to be looked at");
    story.check("looked at", refusal.code, RefusalCode::NotAcknowledged);
    let acknowledged = ["typed-by-hand", "bsn-missing"].map(str::to_owned).to_vec();
    story.ask(At::Zuid, import(transfer, LocalChoice { acknowledged, ..typed })).await;
    story.until_delivered(transfer).await;
    same_but_for_the_patient(&story, &study, "7700999", None);
    story.stop().await;
}

/// Noord is a sender for whom Zuid has a rule; the worklist says the BSN, with who issues it.
#[tokio::test]
async fn a_scheduled_import_is_accepted_by_a_rule() {
    need_pynetdicom();
    let story = two_orthancs(|place| {
        format!(
            "{}\
             [[import.rules]]\nname = \"noord\"\nsender = \"90000381\"\naccountable = \"k.bakker\"\n\
             must_agree = [\"bsn\", \"birth-date\", \"family-name\"]\n\
             valid_from = \"2026-01-01\"\nvalid_until = \"2026-12-31\"\n",
            asks_a_worklist(place)
        )
    })
    .await;
    let worklist = Worklist::of_pynetdicom(&story).await;
    let (study, transfer) = arrives(&story, &arriving(4)).await;
    story.until_delivered(transfer).await;
    same_but_for_the_patient(&story, &study, LOCAL, None);
    let Reply::Audit(lines) = story.ask(At::Zuid, Question::Audit { before: None, limit: 200 }).await else {
        story.panic("another answer")
    };
    let imported = lines.iter().find(|line| line.action == "import").expect("it is on record");
    story.check("who acted", imported.actor.as_str(), "rule noord");

    // Her sister, born on the same day, is for a person.
    let sister = StudySpec {
        patient: "Vries^Anneloes^^de".to_owned(),
        bsn: "999990020".to_owned(),
        number: "4310002".to_owned(),
        ..arriving(5)
    };
    let (_, transfer) = arrives(&story, &sister).await;
    story
        .until("it was looked up", async || {
            story.find(At::Zuid, transfer).await.is_some_and(|found| found.line.matching.is_some())
        })
        .await;
    story
        .until("only the first went by itself", async || {
            story.picture().await == "noord: delivered 1, fetched 1 | zuid: opened 1, reported 1"
        })
        .await;
    drop(worklist);
    story.stop().await;
}

#[tokio::test]
async fn the_order_of_a_scheduled_import_gives_its_number_to_the_images() {
    let story = two_orthancs(asks_a_worklist).await;
    let worklist = Worklist::of_dcmtk(&story).await;
    let (study, transfer) = arrives(&story, &arriving(6)).await;
    let page = candidates(&story, transfer, PatientSearch::default()).await;
    let planned = page.candidates.iter().find(|line| !line.orders.is_empty()).expect("the order is shown");
    let choice = LocalChoice {
        accession_number: Some(planned.orders[0].accession_number.clone()),
        acknowledged: planned.reasons.iter().map(|reason| reason.code.clone()).collect(),
        seen: Some(planned.seen),
        ..under(LOCAL)
    };
    story.ask(At::Zuid, import(transfer, choice)).await;
    story.until_delivered(transfer).await;
    same_but_for_the_patient(&story, &study, LOCAL, Some("ZUID-77"));
    drop(worklist);
    story.stop().await;
}

fn asks_a_worklist(place: &Place) -> String {
    let port = place.port("zuid-worklist").expect("a port");
    format!(
        "[import]\nworklist = {{ ae_title = \"RIS\", address = \"127.0.0.1:{port}\" }}\n\
         patient_id_issuer = \"ZUID\"\n"
    )
}

/// A worklist with one scheduled import.
struct Worklist(std::process::Child);

impl Worklist {
    /// DCMTK's, which says what its file says, but for the other numbers of the patient.
    async fn of_dcmtk(story: &TwoHospitals) -> Self {
        let (folder, file) = Self::scheduled(story);
        let of_ris = folder.join("RIS");
        std::fs::create_dir_all(&of_ris).expect("a folder");
        std::fs::write(of_ris.join("lockfile"), "").expect("a file");
        std::fs::rename(file, of_ris.join("import.wl")).expect("a file");
        let mut program = Command::new(dcmtk("wlmscpfs"));
        program.args(["--data-files-path", folder.to_str().expect("a path")]);
        Self::start(story, program).await
    }

    /// pynetdicom's, which answers with the whole file.
    async fn of_pynetdicom(story: &TwoHospitals) -> Self {
        let (_, file) = Self::scheduled(story);
        let mut program = Command::new("python3");
        program.args(["-c", WORKLIST, file.to_str().expect("a path")]);
        Self::start(story, program).await
    }

    fn scheduled(story: &TwoHospitals) -> (PathBuf, PathBuf) {
        let folder = story.place.folder("worklist").expect("a folder");
        let (dump, file) = (folder.join("import.dump"), folder.join("import.wl"));
        std::fs::write(&dump, SCHEDULED).expect("a file");
        let made = Command::new(dcmtk("dump2dcm")).arg("-g").arg(&dump).arg(&file).output();
        let made = made.expect("dump2dcm runs");
        assert!(made.status.success(), "{}", said(&made));
        (folder, file)
    }

    /// The port is the last word.
    async fn start(story: &TwoHospitals, mut program: Command) -> Self {
        let port = story.place.port("zuid-worklist").expect("a port");
        let log = story.root().join("worklist.log");
        let out = std::fs::File::create(&log).expect("a file");
        let child = program
            .arg(port.to_string())
            .stdout(Stdio::from(out.try_clone().expect("a file")))
            .stderr(Stdio::from(out))
            .spawn()
            .expect("the worklist runs");
        until_listening(&format!("127.0.0.1:{port}"), &log).await.expect("the worklist is up");
        Worklist(child)
    }
}

impl Drop for Worklist {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const WORKLIST: &str = r#"
import sys, pydicom
from pynetdicom import AE, evt
from pynetdicom.sop_class import ModalityWorklistInformationFind
planned = pydicom.dcmread(sys.argv[1], force=True)
del planned.file_meta
def find(event):
    yield 0xFF00, planned
ae = AE('RIS')
ae.add_supported_context(ModalityWorklistInformationFind)
ae.start_server(('127.0.0.1', int(sys.argv[2])), evt_handlers=[(evt.EVT_C_FIND, find)])
"#;

const SCHEDULED: &str = "
(0008,0005) CS [ISO_IR 100]
(0008,0050) SH [ZUID-77]
(0010,0010) PN [de Vries^Annemarie]
(0010,0020) LO [7700123]
(0010,0021) LO [ZUID]
(0010,0030) DA [19580317]
(0010,0040) CS [F]
(0010,1002) SQ
(fffe,e000) na
(0010,0020) LO [999990019]
(0010,0021) LO [NLMINBIZA]
(fffe,e00d) na
(fffe,e0dd) na
(0020,000d) UI [1.2.276.0.7230010.3.2.101]
(0032,1032) PN [Jansen]
(0032,1060) LO [import CT thorax]
(0040,0100) SQ
(fffe,e000) na
(0008,0060) CS [CT]
(0040,0001) AE [BEELDBOX]
(0040,0002) DA [20261128]
(0040,0003) TM [090000]
(0040,0007) LO [import van elders]
(0040,0009) SH [SPD1]
(fffe,e00d) na
(fffe,e0dd) na
(0040,1001) SH [RP1]
(0040,1003) SH [LOW]
";
