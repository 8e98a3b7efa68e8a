//! Peers speak DICOM TLS, and some speak something else, to the wrong port, or with the certificate of another.
//!
//! What DCMTK and pynetdicom send by TLS is in custody with the digests of what was sent. A peer that must show its
//! certificate is not believed by its AE title alone. Who speaks the wrong protocol is closed at once, and the log says
//! what it was.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use beeldbox_demo::place::Place;
use beeldbox_peer::part10;
use beeldbox_protocol::admin::Question;
use beeldbox_scenarios::dicom_cards::CardOffice;
use beeldbox_scenarios::ending::{Repeats, print_of};
use beeldbox_scenarios::foreign::{dcmtk, need_orthanc, need_pynetdicom, python, said};
use beeldbox_scenarios::two_hospitals::{At, Study, TwoHospitals};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A peer that must show its certificate.
const MODALITY: &str = "MODALITY";

/// The TLS port beside the plain one. The certificates lie in the folder `cards`: those of the box, of the modality, of
/// somebody else by the same authority; in `strange-cards` those of another authority.
fn settings(place: &Place, word: &str, folder: &Path) -> String {
    if word != "noord" {
        return String::new();
    }
    let office = CardOffice::open(&place.folder("cards").expect("a folder"));
    office.issue("box").give_to_box(folder);
    let modality = office.issue("modality");
    office.issue("somebody");
    CardOffice::open(&place.folder("strange-cards").expect("a folder")).issue("modality");
    let port = place.port("noord-tls").expect("a port");
    let authority = office.authority();
    format!(
        "[[dicom.peers]]\nae_title = \"{MODALITY}\"\ntransport = \"mutual-tls\"\ncertificates = [\"{}\"]\n\
         [dicom.tls]\nlisten = \"127.0.0.1:{port}\"\nclient_authorities = \"{}\"\n",
        modality.thumbprint,
        authority.display(),
    )
}

/// How a DCMTK tool connects.
enum By<'a> {
    Plain,
    /// TLS without a certificate.
    Anonymous,
    /// TLS with this certificate: folder, name.
    Card(&'a str, &'a str),
}

/// Runs `echoscu` or `storescu` against the box of Noord.
fn runs(story: &TwoHospitals, tool: &str, calling: &str, by: &By<'_>, files: &[PathBuf]) -> Output {
    let port = story.place.port(if matches!(by, By::Plain) { "noord-dicom" } else { "noord-tls" });
    let cards = |folder: &str| story.place.folder(folder).expect("a folder");
    let mut command = Command::new(dcmtk(tool));
    command.args(["-v", "-aet", calling, "-aec", story.demo.noord.ae]);
    if tool == "storescu" {
        command.args(["-R", "-xe"]);
    }
    match by {
        By::Plain => {}
        By::Anonymous => {
            command.arg("+tla");
        }
        By::Card(folder, name) => {
            let folder = cards(folder);
            let (key, certificate) = (format!("{name}-key.pem"), format!("{name}.pem"));
            command.arg("+tls").args([folder.join(key), folder.join(certificate)]);
        }
    }
    if !matches!(by, By::Plain) {
        command.arg("+cf").arg(cards("cards").join("authority.pem"));
    }
    command.args(["localhost", &port.expect("a port").to_string()]).args(files);
    command.output().expect("it was found")
}

fn paths(study: &Study) -> Vec<PathBuf> {
    study.files.iter().map(|file| file.path.clone()).collect()
}

/// Sends files by TLS; believes the authority and shows a certificate if one is named.
const SEND_BY_TLS: &str = r#"
import ssl, sys, pydicom
from pynetdicom import AE
port, called, calling, authority, card, *files = sys.argv[1:]
context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=authority)
if card:
    context.load_cert_chain(card + ".pem", card + "-key.pem")
ae = AE(ae_title=calling)
for file in files:
    ae.add_requested_context(pydicom.dcmread(file, stop_before_pixels=True).SOPClassUID, "1.2.840.10008.1.2.1")
association = ae.associate("localhost", int(port), ae_title=called, tls_args=(context, "localhost"))
assert association.is_established, "no association"
for file in files:
    print("stored %04X" % association.send_c_store(file).Status)
association.release()
"#;

#[tokio::test]
async fn what_dcmtk_and_pynetdicom_send_by_tls_is_kept_as_it_was_sent() {
    need_pynetdicom();
    let story = TwoHospitals::start_with_settings(settings).await;
    let studies: Vec<Study> = (1..=3).map(|seed| story.a_study(seed, 6)).collect();

    let echo = runs(&story, "echoscu", "ECHOSCU", &By::Anonymous, &[]);
    assert!(echo.status.success(), "{}", said(&echo));
    for (study, by) in studies.iter().zip([By::Anonymous, By::Card("cards", "somebody")]) {
        let sent = runs(&story, "storescu", "STORESCU", &by, &paths(study));
        let stored = said(&sent).matches("Received Store Response (Success)").count();
        story.check(&format!("stored by storescu\n{}", said(&sent)), stored, study.files.len());
    }
    let cards = story.place.folder("cards").expect("a folder");
    let text = |path: PathBuf| path.to_str().expect("text").to_owned();
    let port = story.place.port("noord-tls").expect("a port").to_string();
    let (authority, card) = (text(cards.join("authority.pem")), text(cards.join("modality")));
    let mut words = vec!["-c", SEND_BY_TLS, &port, story.demo.noord.ae, MODALITY, &authority, &card];
    let files: Vec<String> = paths(&studies[2]).into_iter().map(text).collect();
    words.extend(files.iter().map(String::as_str));
    let output = python(&words);
    let stored = said(&output).matches("stored 0000").count();
    story.check(&format!("stored by pynetdicom\n{}", said(&output)), stored, files.len());

    story.verifies_exactly(&studies.iter().flat_map(|study| &study.files).collect::<Vec<_>>()).await;
    story.everything_goes_through().await;
    let all: Vec<&Study> = studies.iter().collect();
    story.ends("noord: delivered 3 | zuid: reported 3", &all, Repeats::Never).await;
}

/// Gives files to an Orthanc and has it send them on to its modality `box`; says what it answered.
const SEND_BY_ORTHANC: &str = r#"
import json, sys, urllib.request
http, *files = sys.argv[1:]
def post(path, data):
    return json.load(urllib.request.urlopen(urllib.request.Request(http + path, data=data)))
instances = [post("/instances", open(file, "rb").read())["ID"] for file in files]
job = post("/modalities/box/store", json.dumps({"Resources": instances, "Synchronous": True}).encode())
print("sent", job["InstancesCount"], "failed", job["FailedInstancesCount"])
"#;

#[tokio::test]
async fn what_an_orthanc_sends_by_tls_is_kept_as_it_was_sent() {
    need_orthanc();
    let story = TwoHospitals::start_with_settings(settings).await;
    let cards = story.place.folder("cards").expect("a folder");
    let (folder, http) = (story.place.folder("orthanc-sender").expect("a folder"), "orthanc-sender-http");
    let (http, own) =
        (story.place.port(http).expect("a port"), story.place.port("orthanc-own").expect("a port"));
    let box_port = story.place.port("noord-tls").expect("a port");
    let configuration = serde_json::json!({
        "StorageDirectory": folder, "IndexDirectory": folder, "DicomAet": MODALITY, "DicomPort": own, "HttpPort": http,
        "RemoteAccessAllowed": false, "AuthenticationEnabled": false, "Plugins": [],
        "DicomTlsCertificate": cards.join("modality.pem"), "DicomTlsPrivateKey": cards.join("modality-key.pem"),
        "DicomTlsTrustedCertificates": cards.join("authority.pem"),
        "DicomModalities": {"box": {"AET": story.demo.noord.ae, "Host": "localhost", "Port": box_port, "UseDicomTls": true}},
    });
    let file = folder.join("orthanc.json");
    std::fs::write(&file, configuration.to_string()).expect("its settings");
    let program = ["/usr/sbin/Orthanc", "/usr/bin/Orthanc"].into_iter().find(|path| Path::new(path).exists());
    let mut command = Command::new(program.expect("it was found"));
    let _orthanc = story.start_foreign("orthanc-sender", http, command.arg(&file)).await;

    let study = story.a_study(1, 6);
    let files: Vec<String> =
        paths(&study).iter().map(|path| path.to_str().expect("text").to_owned()).collect();
    let http = format!("http://localhost:{http}");
    let mut words = vec!["-c", SEND_BY_ORTHANC, &http];
    words.extend(files.iter().map(String::as_str));
    let output = python(&words);
    let all = format!("sent {} failed 0", files.len());
    story.check(&format!("sent by Orthanc\n{}", said(&output)), said(&output).contains(&all), true);
    story.verifies_exactly(&study.files.iter().collect::<Vec<_>>()).await;
    story.stop().await;
}

#[tokio::test]
async fn a_peer_of_mutual_tls_is_believed_by_its_own_certificate_only() {
    let story = TwoHospitals::start_with_settings(settings).await;
    let study = story.a_study(1, 3);
    for (by, why) in [
        (By::Plain, "plain"),
        (By::Anonymous, "without a certificate"),
        (By::Card("cards", "somebody"), "with the certificate of another, by the same authority"),
        (By::Card("strange-cards", "modality"), "with a certificate of a strange authority"),
    ] {
        let echo = runs(&story, "echoscu", MODALITY, &by, &[]);
        assert!(!echo.status.success(), "{why}: {}", said(&echo));
        let sent = runs(&story, "storescu", MODALITY, &by, &paths(&study));
        assert!(!sent.status.success(), "{why}: {}", said(&sent));
        println!("{why}: {}", said(&echo).lines().last().unwrap_or_default());
    }
    story.check("what came in by a wrong certificate", story.verified(At::Noord).await, vec![]);
    // Others may still come as they like: the rule is the modality's.
    let plain = runs(&story, "echoscu", "ECHOSCU", &By::Plain, &[]);
    assert!(plain.status.success(), "{}", said(&plain));

    let right = runs(&story, "storescu", MODALITY, &By::Card("cards", "modality"), &paths(&study));
    assert!(right.status.success(), "{}", said(&right));
    story.verifies_exactly(&study.files.iter().collect::<Vec<_>>()).await;
    story.stop().await;
}

#[tokio::test]
async fn whoever_speaks_another_protocol_is_closed_at_once_and_named_in_the_log() {
    let story = TwoHospitals::start_with_settings(settings).await;
    // The beginning of an A-ASSOCIATE-RQ, of a ClientHello, of a request by a browser.
    let associate: &[u8] = &[1, 0, 0, 0, 0, 205, 0, 1, 0, 0];
    let hello: &[u8] = &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    let get: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for (port, spoken, named) in [
        ("noord-tls", associate, "plain DICOM on the TLS port"),
        ("noord-dicom", hello, "TLS on the plain port"),
        ("noord-dicom", get, "HTTP"),
        ("noord-tls", get, "HTTP"),
    ] {
        let before = story.log("noord-box").matches(named).count();
        let took = until_closed(&story, port, spoken).await;
        println!("{named} at {port}: closed after {took:?}");
        assert!(took < Duration::from_secs(1), "{named} at {port}: closed after {took:?}");
        story
            .until(&format!("the log names {named} at {port}"), async || {
                story.log("noord-box").matches(named).count() > before
            })
            .await;
    }
    let echo = runs(&story, "echoscu", "ECHOSCU", &By::Anonymous, &[]);
    assert!(echo.status.success(), "{}", said(&echo));
    story.ends("noord: - | zuid: -", &[], Repeats::Never).await;
}

/// Says something to a port, and waits until the box closes. Whatever it answers is passed over.
async fn until_closed(story: &TwoHospitals, port: &str, spoken: &[u8]) -> Duration {
    let port = story.place.port(port).expect("a port");
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    let began = Instant::now();
    stream.write_all(spoken).await.expect("it takes a few bytes");
    let mut answer = Vec::new();
    // A reset is an end too.
    let ended = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    ended.map_or(Duration::MAX, |_| began.elapsed())
}

#[tokio::test]
async fn a_pacs_that_receives_by_tls_is_delivered_to() {
    let storescp = dcmtk("storescp");
    let story = TwoHospitals::start().await;
    let office = CardOffice::open(&story.place.folder("cards").expect("a folder"));
    let card = office.issue("pacs");
    let port = story.place.port("tls-pacs").expect("a port");
    let store = story.place.folder("tls-pacs").expect("a folder");
    let mut command = Command::new(storescp);
    // The box shows no certificate here: it has none for DICOM.
    command.args(["-ic", "+B", "+xa", "-aet", "PACS_ZUID", "-od"]).arg(&store);
    command.arg("+tls").args([&card.key, &card.certificate]).arg("+cf").arg(office.authority());
    command.arg(port.to_string());
    let _pacs = story.start_foreign("tls-pacs", port, &mut command).await;
    let by_tls = |authority: &Path| {
        let settings = story.folder_of(At::Zuid).join("beeldbox.toml");
        let text = std::fs::read_to_string(&settings).expect("its settings");
        let (before, after) = text.split_once("[pacs]").expect("a PACS");
        let (_, after) = after.split_once("[portal]").expect("a portal");
        let pacs = format!(
            "[pacs]\nae_title = \"PACS_ZUID\"\naddress = \"localhost:{port}\"\ntls = true\nauthority = \"{}\"\n",
            authority.display()
        );
        std::fs::write(&settings, format!("{before}{pacs}\n[portal]{after}")).expect("its settings");
    };

    // First the box believes another authority: nothing may be said to this PACS.
    let strange = CardOffice::open(&story.place.folder("strange-cards").expect("a folder"));
    let zuid = &story.demo.zuid.daemon;
    zuid.take_down().await.expect("it can be ended");
    by_tls(&strange.authority());
    story.bring_up(At::Zuid).await;
    let study = story.a_study(1, 5);
    let transfer = story.send(&study).await;
    story.import(transfer).await;
    story
        .until("the status names the trouble with the PACS", async || {
            story.status(At::Zuid).await.pacs.trouble.is_some()
        })
        .await;
    println!("status: {:?}", story.status(At::Zuid).await.pacs.trouble);
    story.check("files in the PACS", std::fs::read_dir(&store).expect("its folder").count(), 0);

    zuid.take_down().await.expect("it can be ended");
    by_tls(&office.authority());
    story.bring_up(At::Zuid).await;
    // It may have gone on by itself already.
    let _ = story.try_ask(At::Zuid, Question::Resume { transfer }).await;
    story.until_delivered(transfer).await;
    let mut kept: Vec<_> = part10::find(&[store]).expect("its files").iter().map(print_of).collect();
    let mut sent: Vec<_> = study.files.iter().map(print_of).collect();
    kept.sort();
    sent.sort();
    story.same("what the PACS was given by TLS", &kept, &sent);
    story.stop().await;
}
