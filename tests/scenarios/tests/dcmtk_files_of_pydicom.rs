//! Odd files from everywhere, sent by DCMTK: JPEG, JPEG-LS, JPEG 2000, RLE, deflated, big endian, reports, radiotherapy,
//! waveforms, segmentations, files without a study, several contents under one SOP Instance UID.
//!
//! Whatever the sender puts on the wire arrives in the PACS of Zuid, byte for byte, in its own transfer syntax. DCMTK
//! writes data sets anew when it sends them, so what it puts on the wire is taken from its own receiver, `storescp` in
//! bit-preserving mode. The peer of this repository sends the files' own bytes, so there the files are the measure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use beeldbox_demo::hospital::DemoOptions;
use beeldbox_peer::part10::{self, Part10File};
use beeldbox_scenarios::ending::{Print, Repeats, print_of};
use beeldbox_scenarios::foreign::{dcmtk, pydicom_files, said};
use beeldbox_scenarios::two_hospitals::{At, PortalRuns, TwoHospitals};

/// Directory records are not sent over a network (PS3.4 table B.5-1 does not have them).
const DICOMDIR: &str = "1.2.840.10008.1.3.10";

/// What `storescu` cannot send, and why.
const NOT_BY_STORESCU: [(&str, &str); 8] = [
    ("MR_truncated.dcm", "the pixel data ends too early for DCMTK's reader"),
    ("SC_rgb_jpeg.dcm", "explicit VR in the file meta information, none in the data set"),
    ("UN_sequence.dcm", "no SOP class in the data set"),
    ("no_meta_group_length.dcm", "no SOP class in the data set"),
    ("priv_SQ.dcm", "no SOP class in the data set"),
    ("rtdose_rle.dcm", "its UIDs have the VR UN: DCMTK takes the number of their first byte for a UID"),
    (
        "rtdose_rle_1frame.dcm",
        "its UIDs have the VR UN: DCMTK takes the number of their first byte for a UID",
    ),
    ("rtplan_truncated.dcm", "the data set ends too early for DCMTK's reader"),
];

/// The option by which `storescu` proposes a transfer syntax.
const PROPOSE: [(&str, &str); 12] = [
    ("1.2.840.10008.1.2", "-xi"),
    ("1.2.840.10008.1.2.1", "-xe"),
    ("1.2.840.10008.1.2.1.99", "-xd"),
    ("1.2.840.10008.1.2.2", "-xb"),
    ("1.2.840.10008.1.2.4.50", "-xy"),
    ("1.2.840.10008.1.2.4.51", "-xx"),
    ("1.2.840.10008.1.2.4.70", "-xs"),
    ("1.2.840.10008.1.2.4.80", "-xt"),
    ("1.2.840.10008.1.2.4.81", "-xu"),
    ("1.2.840.10008.1.2.4.90", "-xv"),
    ("1.2.840.10008.1.2.4.91", "-xw"),
    ("1.2.840.10008.1.2.5", "-xr"),
];

/// The files that carry a SOP class, grouped by transfer syntax.
fn files() -> BTreeMap<String, Vec<Part10File>> {
    let mut groups: BTreeMap<String, Vec<Part10File>> = BTreeMap::new();
    let all = part10::find(&[pydicom_files()]).expect("pydicom's files");
    for file in all.into_iter().filter(|file| file.sop_class.as_str() != DICOMDIR) {
        groups.entry(file.transfer_syntax.to_string()).or_default().push(file);
    }
    assert!(groups.values().map(Vec::len).sum::<usize>() > 140, "pydicom has fewer files than expected");
    assert_eq!(groups.keys().map(String::as_str).collect::<Vec<_>>(), PROPOSE.map(|(syntax, _)| syntax));
    groups
}

/// Two of the files carry another SOP Instance UID in the data set than in the file meta information, which DCMTK sends
/// in the command: the peers are allowed to.
async fn start() -> TwoHospitals {
    let options = DemoOptions { each_peer: "accept_other_names = true", ..DemoOptions::default() };
    TwoHospitals::start_with(PortalRuns::AsProgram, &options).await
}

#[tokio::test]
async fn what_storescu_puts_on_the_wire_arrives_byte_for_byte() {
    let (storescu, storescp) = (dcmtk("storescu"), dcmtk("storescp"));
    let story = start().await;
    let reference = Reference::start(&story, &storescp).await;
    let mut not_sent = Vec::new();
    for (syntax, files) in files() {
        let propose = PROPOSE.iter().find(|(known, _)| *known == syntax).expect("checked above").1;
        let send = |called: &str, address: &str| {
            let words = ["-v", "-R", "-nh", propose, "-aet", "STORESCU", "-aec", called];
            send(&storescu, &words, address, &files)
        };
        let output = send(story.demo.noord.ae, &story.demo.noord.dicom);
        let told = send("REFERENCE", &reference.address);
        assert!(output.status.success() && told.status.success(), "{}\n{}", said(&output), said(&told));
        assert!(!said(&output).contains("Failed"), "{}", said(&output));
        not_sent.extend(ignored(&said(&output)));
    }
    not_sent.sort();
    assert_eq!(not_sent, NOT_BY_STORESCU.map(|(name, _)| name));

    story.everything_goes_through().await;
    let on_the_wire = reference.stop();
    assert!(on_the_wire.len() > 140 - NOT_BY_STORESCU.len());
    let mut syntaxes: Vec<&str> = on_the_wire.iter().map(|(.., syntax)| syntax.as_str()).collect();
    syntaxes.sort_unstable();
    syntaxes.dedup();
    assert_eq!(syntaxes, PROPOSE.map(|(syntax, _)| syntax), "every file in its own transfer syntax");
    story.pacs_holds_exactly(At::Zuid, &on_the_wire, Repeats::Never);
    arrived_as_verified(&story).await;
    story.stop().await;
}

#[tokio::test]
async fn what_dcmsend_sends_arrives_as_it_was_received() {
    let dcmsend = dcmtk("dcmsend");
    let story = start().await;
    let files: Vec<Part10File> = files().into_values().flatten().collect();
    let words = ["-v", "-nh", "-nuc", "-dn", "+ma", "-aet", "DCMSEND", "-aec", story.demo.noord.ae];
    let output = send(&dcmsend, &words, &story.demo.noord.dicom, &files);
    let told = said(&output);
    // The same files fail as with storescu. The two with UIDs of VR UN dcmsend sends all the same, as SOP class "31";
    // the box sees that this is not what the data set says.
    for line in [
        "sent to the peer       : 146",
        "NOT sent to the peer   : 6",
        "status SUCCESS  : 144",
        "status ERROR    : 2",
    ] {
        assert!(told.contains(line), "no line \"{line}\"\n{told}");
    }
    assert_eq!(told.matches("(Error: DataSetDoesNotMatchSOPClass)").count(), 2, "{told}");

    story.everything_goes_through().await;
    let mut arrived = story.received(At::Zuid);
    arrived_as_verified(&story).await;
    // dcmsend proposes all uncompressed transfer syntaxes together and may change between them, but not the others.
    let is_kept = |print: &Print| print.2.starts_with("1.2.840.10008.1.2.4.") || print.2.ends_with("1.2.5");
    let sendable = files.iter().filter(|file| !not_by_dcmtk(file)).map(print_of);
    let mut expected: Vec<Print> = sendable.filter(is_kept).collect();
    arrived.retain(is_kept);
    for prints in [&mut expected, &mut arrived] {
        prints.iter_mut().for_each(|print| print.1.clear());
        prints.sort();
        prints.dedup();
    }
    story.same("names and transfer syntaxes of what is compressed", &arrived, &expected);
    story.stop().await;
}

fn not_by_dcmtk(file: &Part10File) -> bool {
    NOT_BY_STORESCU.iter().any(|(name, _)| file.path.ends_with(name))
}

#[tokio::test]
async fn the_files_own_bytes_arrive_byte_for_byte() {
    let story = start().await;
    let files: Vec<Part10File> = files().into_values().flatten().collect();
    let sent = story.pacs_sends(&files).await;
    let refused: Vec<_> = sent.iter().filter(|sent| !sent.is_stored()).collect();
    story.same("instances that the box did not store", &refused, &[]);
    story.everything_goes_through().await;
    let own: Vec<Print> = files.iter().map(print_of).collect();
    story.pacs_holds_exactly(At::Zuid, &own, Repeats::Never);
    arrived_as_verified(&story).await;
    story.stop().await;
}

/// What the PACS of Zuid was given is what lies sealed in the box of Noord.
async fn arrived_as_verified(story: &TwoHospitals) {
    let mut verified = story.verified(At::Noord).await;
    let mut arrived: Vec<_> =
        story.received(At::Zuid).into_iter().map(|(name, digest, _)| (name, digest)).collect();
    verified.sort();
    arrived.sort();
    story.same("PACS of Zuid against `verify` at Noord", &arrived, &verified);
}

fn send(program: &Path, words: &[&str], address: &str, files: &[Part10File]) -> Output {
    let (host, port) = address.split_once(':').expect("host:port");
    let mut command = Command::new(program);
    command.args(words).args([host, port]).args(files.iter().map(|file| &file.path));
    command.output().expect("it was found")
}

/// Names of files that `storescu` says it passes over.
fn ignored(said: &str) -> Vec<String> {
    let name = |line: &str| {
        let path = line
            .split_once("missing SOP class (or instance) in file: ")?
            .1
            .strip_suffix(", ignoring file")?;
        Some(Path::new(path).file_name()?.to_str()?.to_owned())
    };
    said.lines().filter_map(name).collect()
}

/// DCMTK's own receiver, which writes down what comes as it comes.
struct Reference {
    address: String,
    folder: PathBuf,
    program: std::process::Child,
}

impl Reference {
    async fn start(story: &TwoHospitals, storescp: &Path) -> Reference {
        let folder = story.place.folder("reference").expect("a folder");
        let port = story.place.port("reference").expect("a port").to_string();
        let mut command = Command::new(storescp);
        command.args(["+B", "+xa", "+uf", "-aet", "REFERENCE", "-od"]).arg(&folder).arg(&port);
        let program = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it was found");
        let address = format!("127.0.0.1:{port}");
        beeldbox_demo::child::until_listening(&address, &folder).await.expect("storescp listens");
        Reference { address, folder, program }
    }

    /// What came, once each.
    fn stop(mut self) -> Vec<Print> {
        self.program.kill().expect("it runs");
        self.program.wait().expect("it was killed");
        let mut prints: Vec<Print> = part10::find(std::slice::from_ref(&self.folder))
            .expect("its files")
            .iter()
            .map(print_of)
            .collect();
        prints.sort();
        prints.dedup();
        prints
    }
}
