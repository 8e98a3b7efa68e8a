//! The image from its first start to a power cut. Needs an image (`image-build/build`, as root) and takes many minutes by
//! software emulation, so it is not in the suite: `cargo test -p beeldbox-image -- --ignored`.

use std::process::Command;
use std::time::Duration;

use beeldbox_image::{Appliance, is_on_disk, run, set_up_stick};
use beeldbox_peer::study::{StudySpec, make_study};

/// Software emulation on a machine with other work to do.
const PATIENCE: Duration = Duration::from_secs(900);

/// Stands in the patient's name, and must not be found on the disk.
const MARKER: &str = "Zwartewaterland";

#[test]
#[ignore = "needs image-build/build as root, and many minutes of software emulation"]
fn a_box_is_set_up_takes_a_study_and_outlives_a_power_cut() {
    let folder = tempfile::tempdir().unwrap();
    let stick = set_up_stick(folder.path()).unwrap();
    let mut node = Appliance::switch_on(&folder.path().join("box"), Some(&stick), 28_443).unwrap();
    let said = node.until_it_says("beeldbox-self-test: passed", PATIENCE).unwrap();
    assert!(said.contains("UEFI Secure Boot is enabled"), "{said}");
    node.until_it_says("in service: BEELDBOX listens on", PATIENCE).unwrap();
    assert!(node.said().unwrap().contains("Recovery key of the disk, shown only now"));

    // The pages answer, encrypted.
    let pages = run(Command::new("openssl").args(["s_client", "-brief", "-connect", &node.pages()])).unwrap();
    assert!(pages.contains("TLSv1.3"), "{pages}");

    let port = node.dicom_port().to_string();
    let titles = ["-aet", "PACS", "-aec", "BEELDBOX", "127.0.0.1", &port];
    run(Command::new("echoscu").args(titles)).unwrap();
    let spec = StudySpec { slices: 5, size: 64, patient: format!("{MARKER}^Jan"), ..StudySpec::default() };
    let study = make_study(&folder.path().join("study"), &spec).unwrap();
    run(Command::new("storescu").args(titles).args(&study.files)).unwrap();
    let stranger = ["-aet", "STRANGER", "-aec", "BEELDBOX", "127.0.0.1", &port];
    run(Command::new("echoscu").args(stranger)).unwrap_err();

    let disk = node.disk();
    node.cut_power().unwrap();
    assert!(is_on_disk(&disk, b"systemd").unwrap(), "the search finds what is on the disk");
    assert!(!is_on_disk(&disk, MARKER.as_bytes()).unwrap(), "the patient's name is readable on the disk");

    // Without the stick: what it said is known now.
    let mut node = Appliance::switch_on(&folder.path().join("box"), None, 28_443).unwrap();
    node.until_it_says("in service: BEELDBOX listens on", PATIENCE).unwrap();
    assert!(!node.said().unwrap().contains("Recovery key"), "it is shown once");
    run(Command::new("storescu").args(titles).args(&study.files)).unwrap();
}
