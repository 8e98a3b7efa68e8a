//! What lies on the box, asked for by software that is not ours: `dicomweb-client` by DICOMweb, and pydicom, dicom3tools and DCMTK
//! with a DICOM folder. What they get is what the PACS got.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use beeldbox_demo::child::until_listening;
use beeldbox_demo::hospital::DemoOptions;
use beeldbox_demo::programs::Programs;
use beeldbox_peer::part10;
use beeldbox_peer::study::StudySpec;
use beeldbox_protocol::admin::{LocalChoice, Question, Reply, StateCode};
use beeldbox_protocol::clinical::{Confidential, Patient};
use beeldbox_scenarios::dicom_cards::{Card, CardOffice};
use beeldbox_scenarios::foreign::{dcmtk, need_orthanc, need_pynetdicom, pydicom_files, python, said};
use beeldbox_scenarios::two_hospitals::{At, PortalRuns, Study, TwoHospitals};

/// The number of the patient at Zuid.
const LOCAL: &str = "7700123";

/// A study that arrived at Zuid, was filed under its patient, and is in its Orthanc.
async fn delivered() -> (TwoHospitals, Study) {
    need_orthanc();
    need_pynetdicom();
    let options = DemoOptions { is_orthanc: true, ..DemoOptions::default() };
    let story = TwoHospitals::start_with(PortalRuns::AsProgram, &options).await;
    let spec =
        StudySpec { slices: 4, size: 64, description: "CT thorax ëéñ".to_owned(), ..StudySpec::default() };
    let study = story.a_study_of(&spec);
    let transfer = story.send(&study).await;
    story.until_state(At::Zuid, transfer, StateCode::Opened).await;
    let typed = Patient {
        name: Some(Confidential::new("de Vriès^Annemarie")),
        birth_date: Some(Confidential::new(&*spec.born)),
        sex: Some(Confidential::new("F")),
        ..Patient::default()
    };
    let acknowledged = ["typed-by-hand", "bsn-missing"].map(str::to_owned).to_vec();
    let patient_id = Confidential::new(LOCAL);
    let choice = LocalChoice { patient_id, typed: Some(typed), acknowledged, ..LocalChoice::default() };
    story.ask(At::Zuid, Question::Import { transfer, patient: Some(Box::new(choice)) }).await;
    story.until_delivered(transfer).await;
    (story, study)
}

/// The pages of Zuid, with DICOMweb for a system that has a certificate.
struct Pages {
    child: std::process::Child,
    base: String,
    own_certificate: std::path::PathBuf,
}

impl Pages {
    async fn start(story: &TwoHospitals, office: &CardOffice, registered: &Card) -> Self {
        let folder = story.place.folder("zuid-pages").expect("a folder");
        let (pages, systems) = (
            story.place.port("zuid-pages").expect("a port"),
            story.place.port("zuid-dicom-web").expect("a port"),
        );
        let settings = folder.join("pages.toml");
        let socket = story.hospital(At::Zuid).socket.display().to_string();
        let text = format!(
            "listen = \"127.0.0.1:{pages}\"\nsocket = \"{socket}\"\nstate_dir = \"{}\"\n\
             [dicom_web]\nlisten = \"127.0.0.1:{systems}\"\nclient_authorities = \"{}\"\nclients = [\"{}\"]\n",
            folder.display(),
            office.authority().display(),
            registered.thumbprint,
        );
        std::fs::write(&settings, text).expect("settings");
        let log = story.root().join("log").join("zuid-pages.log");
        let out = std::fs::File::create(&log).expect("a file");
        let child = story
            .programs
            .command("beeldbox-admin")
            .as_std_mut()
            .args(["--config", settings.to_str().expect("a path")])
            .stdout(Stdio::from(out.try_clone().expect("a file")))
            .stderr(Stdio::from(out))
            .spawn()
            .expect("the pages run");
        until_listening(&format!("127.0.0.1:{systems}"), &log).await.expect("DICOMweb is served");
        Pages {
            child,
            base: format!("https://localhost:{systems}/dicom-web"),
            own_certificate: folder.join("certificate.pem"),
        }
    }

    fn asked(&self, script: &str, card: &Card, words: &[&str]) -> std::process::Output {
        let path = |path: &Path| path.to_str().expect("a path").to_owned();
        let (certificate, key, own) = (path(&card.certificate), path(&card.key), path(&self.own_certificate));
        let mut all = vec!["-c", script, &self.base, &certificate, &key, &own];
        all.extend(words);
        python(&all)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a PACS keeps in its folder, by name.
const STORED: &str = r#"
import pathlib, pydicom
def stored(folder):
    kept = {}
    for path in pathlib.Path(folder).rglob('*'):
        if path.is_file():
            try:
                there = pydicom.dcmread(path)
                kept[there.SOPInstanceUID] = there
            except pydicom.errors.InvalidDicomError:
                pass
    return kept
"#;

const CLIENT: &str = r#"
import sys, io, pathlib, pydicom, requests
from dicomweb_client.api import DICOMwebClient
base, certificate, key, own = sys.argv[1:5]
session = requests.Session()
# Otherwise the environment's own authorities would be believed instead of the one named here.
session.trust_env = False
session.cert, session.verify = (certificate, key), own
client = DICOMwebClient(base, session=session)
"#;

const COMPARE: &str = r#"
study, number, store = sys.argv[5:8]
kept = stored(store)
found = client.search_for_studies(search_filters={'PatientID': number})
assert [s['0020000D']['Value'][0] for s in found] == [study], found
assert found[0]['00100010']['Value'][0]['Alphabetic'] == 'de Vriès^Annemarie'
assert client.search_for_studies(search_filters={'PatientID': '4310001'}) == [], 'the number of the other hospital'
assert client.search_for_studies(search_filters={'PatientName': 'de vries*', 'StudyDate': '20261101-'})
assert client.search_for_studies(search_filters={'StudyDate': '-20201231'}) == []
series = client.search_for_series(study)
assert len(series) == 2, series
listed = client.search_for_instances(study)
assert len(listed) == 5 and len(client.search_for_instances(study, limit=2, offset=4)) == 1
instances = client.retrieve_study(study)
assert len(instances) == 5
for instance in instances:
    there = kept[instance.SOPInstanceUID]
    assert instance == there, 'what is retrieved is what the PACS got'
    assert instance.PatientID == number and len(instance.OriginalAttributesSequence) == 1
one = next(i for i in instances if i.Modality == 'CT')
again = client.retrieve_instance(study, one.SeriesInstanceUID, one.SOPInstanceUID)
assert again == one and again.file_meta.TransferSyntaxUID == one.file_meta.TransferSyntaxUID
said = client.retrieve_study_metadata(study)
assert len(said) == 5
for json in said:
    assert '7FE00010' not in json
    data_set = pydicom.Dataset.from_json(json)
    there = kept[data_set.SOPInstanceUID]
    for element in there:
        if element.tag != 0x7FE00010 and element.VR not in ('OB', 'OW', 'UN'):
            assert data_set[element.tag] == element, element.tag
picture = client.retrieve_instance_rendered(study, one.SeriesInstanceUID, one.SOPInstanceUID, media_types=('image/png',))
assert bytes(picture).startswith(b'\x89PNG'), picture[:20]
for path, status in [(f'studies/{study}/series/1.2.3', 404), ('studies/1.2.3', 404), ('studies/x', 400),
                     ('studies?limit=many', 400), ('nothing', 404)]:
    answer = session.get(f'{base}/{path}')
    assert answer.status_code == status, (path, answer.status_code)
answer = session.get(f'{base}/studies/{study}', headers={'Accept': 'text/html'})
assert answer.status_code == 406, answer.status_code
assert session.post(f'{base}/studies', data=b'').status_code == 405
report = next(i for i in instances if i.Modality == 'SR')
answer = session.get(f'{base}/studies/{study}/series/{report.SeriesInstanceUID}/instances/{report.SOPInstanceUID}/rendered')
assert answer.status_code == 406, answer.status_code
"#;

#[tokio::test]
async fn a_delivered_study_is_listed_and_fetched_by_dicomweb() {
    let (story, study) = delivered().await;
    let office = CardOffice::open(&story.place.folder("cards").expect("a folder"));
    let (epd, stranger) = (office.issue("epd"), office.issue("stranger"));
    let pages = Pages::start(&story, &office, &epd).await;

    let store = story.hospital(At::Zuid).pacs.store.display().to_string();
    let compared =
        pages.asked(&format!("{STORED}{CLIENT}{COMPARE}"), &epd, &[study.uid.as_str(), LOCAL, &store]);
    if !compared.status.success() {
        story.panic(&said(&compared));
    }
    // Who is not registered gets nothing, whoever issued the certificate.
    let refused = pages.asked(&format!("{CLIENT}client.search_for_studies()"), &stranger, &[]);
    assert!(!refused.status.success(), "a stranger was answered");

    // Each look stands in the audit trail, under the certificate's name.
    let Reply::Audit(lines) = story.ask(At::Zuid, Question::Audit { before: None, limit: 200 }).await else {
        story.panic("another answer")
    };
    assert!(lines.iter().any(|line| line.action == "look" && line.actor.starts_with("dicom-web:")), "a look");
    drop(pages);
    story.stop().await;
}

const FOLDER: &str = r#"
import sys, zipfile, pathlib, pydicom
from pydicom.fileset import FileSet
archive, out, store, number = sys.argv[1:5]
with zipfile.ZipFile(archive) as zipped:
    assert zipped.testzip() is None
    zipped.extractall(out)
kept = stored(store)
folder = FileSet(pathlib.Path(out) / 'DICOMDIR')
assert len(folder) == 5, len(folder)
assert folder.find_values('PatientID') == [number]
for entry in folder:
    assert entry.load() == kept[entry.SOPInstanceUID]
assert sorted(folder.find_values('Modality')) == ['CT', 'SR']
"#;

#[tokio::test]
async fn a_delivered_study_is_handed_out_as_a_dicom_folder() {
    let (story, _) = delivered().await;
    let folder = story.place.folder("handed-out").expect("a folder");
    let (archive, out) = (folder.join("study.zip"), folder.join("study"));
    let socket = story.hospital(At::Zuid).socket.display().to_string();
    let mut ctl = story.programs.command("beeldboxctl");
    let archive_name = archive.to_str().expect("a path").to_owned();
    let written = ctl.args(["--socket", &socket, "folder", "1", "--out", &archive_name]).output().await;
    let written = written.expect("beeldboxctl runs");
    assert!(written.status.success(), "{}", said(&written));

    let store = story.hospital(At::Zuid).pacs.store.display().to_string();
    let out_name = out.to_str().expect("a path").to_owned();
    let read = python(&["-c", &format!("{STORED}{FOLDER}"), &archive_name, &out_name, &store, LOCAL]);
    assert!(read.status.success(), "{}", said(&read));

    // dicom3tools finds nothing wrong with the directory, and DCMTK makes one with the same records from the same files.
    let checked = Command::new("dciodvfy").arg(out.join("DICOMDIR")).output().expect("dciodvfy runs");
    let found = said(&checked);
    assert!(checked.status.success() && !found.contains("Error"), "{found}");
    let theirs = out.join("THEIRS");
    let made = Command::new(dcmtk("dcmmkdir"))
        .current_dir(&out)
        .args(["--output-file", "THEIRS", "--recurse", "--input-directory", ".", "DICOM"])
        .output()
        .expect("dcmmkdir runs");
    assert!(made.status.success() && theirs.exists(), "{}", said(&made));
    let records = |file: &Path| {
        let dump = Command::new(dcmtk("dcmdump")).arg("+P").arg("0004,1430").arg(file).output();
        let dump = said(&dump.expect("dcmdump runs"));
        let mut kinds: Vec<String> = dump
            .lines()
            .filter_map(|line| Some(line.split_once('[')?.1.split_once(']')?.0.trim().to_owned()))
            .collect();
        kinds.sort();
        kinds
    };
    story.check("records", records(&out.join("DICOMDIR")), records(&theirs));
    assert!(part10::find(&[out.join("DICOM")]).expect("files").len() == 5);

    // Nothing half-made stays behind, and nothing is overwritten.
    let again = story
        .programs
        .command("beeldboxctl")
        .args(["--socket", &socket, "folder", "1", "--out", &archive_name])
        .output()
        .await
        .expect("beeldboxctl runs");
    assert!(!again.status.success(), "an archive was overwritten");
    let missing = folder.join("missing.zip");
    let none = story
        .programs
        .command("beeldboxctl")
        .args(["--socket", &socket, "folder", "99", "--out", missing.to_str().expect("a path")])
        .output()
        .await
        .expect("beeldboxctl runs");
    assert!(!none.status.success() && !missing.exists());
    story.stop().await;
}

/// Every file that pydicom ships, and some that mean harm: an answer or a refusal, and never more than the cage allows.
#[tokio::test]
async fn the_preview_program_answers_or_refuses_and_never_breaks_its_cage() {
    let programs = Programs::build().await.expect("the programs are built");
    let preview = |words: &[&str], file: &[u8]| {
        let mut child = programs
            .command("beeldbox-preview")
            .as_std_mut()
            .args(words)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        let mut input = child.stdin.take().expect("a pipe");
        let file = file.to_vec();
        // It may have seen enough before the end.
        let feeding = std::thread::spawn(move || input.write_all(&file).is_ok());
        let output = child.wait_with_output().expect("it ends");
        feeding.join().expect("fed");
        output
    };
    let (mut headers, mut pictures) = (0, 0);
    for entry in std::fs::read_dir(pydicom_files()).expect("a folder").flatten() {
        if entry.path().extension().is_none_or(|end| end != "dcm") {
            continue;
        }
        let file = std::fs::read(entry.path()).expect("a file");
        for (words, beginning, count) in [
            (&["header"][..], &b"{"[..], &mut headers),
            (&["picture", "0", "256"][..], &b"\x89PNG"[..], &mut pictures),
        ] {
            let output = preview(words, &file);
            let name = entry.file_name();
            assert!(
                output.status.code().is_some(),
                "{name:?} ended {words:?} by a signal: {}",
                output.status
            );
            if output.status.success() {
                assert!(output.stdout.starts_with(beginning), "{name:?} {words:?}");
                *count += 1;
            } else {
                assert!(output.stdout.is_empty() && said(&output).lines().count() == 1, "{name:?}");
            }
        }
    }
    assert!(headers >= 60 && pictures >= 35, "{headers} headers and {pictures} pictures");

    // A value that claims to be 1.8 GB long, and a file that is nothing.
    let mut huge = vec![0; 128];
    huge.extend_from_slice(b"DICM\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\x00");
    huge.extend_from_slice(b"\x10\x00\x10\x00UT\x00\x00\x00\x00\x00\x70");
    for hostile in [&huge[..], b"", &[0xFF; 4096]] {
        for words in [&["header"][..], &["picture", "0", "256"]] {
            let output = preview(words, hostile);
            assert!(!output.status.success() && output.stdout.is_empty(), "{words:?}");
        }
    }
}
