//! Scanners of others look at every TLS port: the portal's, the box's for DICOM, and that of the box's pages.
//!
//! Nothing that they find may be worse than low. sslyze looks at protocols, cipher suites and known attacks within seconds;
//! testssl.sh, which grades what it finds, takes minutes and is run by hand.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use beeldbox_demo::child::Children;
use beeldbox_demo::hospital::{Demo, DemoOptions};
use beeldbox_demo::place::Place;
use beeldbox_demo::programs::Programs;
use beeldbox_scenarios::dicom_cards::CardOffice;
use serde_json::Value;

/// What sslyze is asked for. Certificates are left out: those of a test are of its own making.
const COMMANDS: [&str; 13] = [
    "--sslv2",
    "--sslv3",
    "--tlsv1",
    "--tlsv1_1",
    "--tlsv1_2",
    "--tlsv1_3",
    "--compression",
    "--early_data",
    "--fallback",
    "--heartbleed",
    "--openssl_ccs",
    "--reneg",
    "--robot",
];

/// Cipher suites that may be offered in TLS 1.2: forward secrecy and authenticated encryption (RFC 9325 §4.2).
const GOOD_SUITES: [&str; 6] = [
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
];

/// A TLS port of ours.
struct Port {
    name: &'static str,
    address: String,
    /// Whether TLS 1.2 is spoken there beside 1.3.
    speaks_1_2: bool,
}

/// Portal, boxes and pages, in a folder that goes with them.
struct Standing {
    root: PathBuf,
    children: Arc<Children>,
    ports: Vec<Port>,
}

async fn everything_stands() -> Standing {
    let programs = Programs::build().await.expect("the programs can be built");
    let root = std::env::temp_dir().join(format!("beeldbox-scan-{}", std::process::id()));
    let place = Place::open(Some(root.clone())).expect("a place");
    let children = Arc::new(Children::default());
    let prepare = |place: &Place, word: &str, folder: &Path| {
        let office = CardOffice::open(&place.folder("cards")?);
        office.issue(word).give_to_box(folder);
        let (port, authority) = (place.port(&format!("{word}-tls"))?, office.authority());
        Ok(format!(
            "[dicom.tls]\nlisten = \"127.0.0.1:{port}\"\nclient_authorities = \"{}\"\n",
            authority.display()
        ))
    };
    let options = DemoOptions { prepare: Some(Arc::new(prepare)), ..DemoOptions::default() };
    let demo = Demo::start(&programs, &place, &children, &options).await.expect("everything starts");
    let port = |name: &str| format!("127.0.0.1:{}", place.port(name).expect("a port"));
    let ports = vec![
        Port { name: "portal", address: port("portal"), speaks_1_2: false },
        Port { name: "DICOM of the box", address: port("noord-tls"), speaks_1_2: true },
        Port {
            name: "pages of the box",
            address: demo.noord.admin.trim_start_matches("https://").to_owned(),
            speaks_1_2: true,
        },
    ];
    Standing { root, children, ports }
}

impl Standing {
    async fn falls(self) {
        self.children.stop().await;
        std::fs::remove_dir_all(self.root).expect("its folder");
    }
}

#[tokio::test]
async fn sslyze_finds_nothing_at_any_tls_port() {
    let standing = everything_stands().await;
    let mut found = Vec::new();
    for port in &standing.ports {
        let file = standing.root.join("sslyze.json");
        let output = Command::new("python3")
            .args(["-m", "sslyze", "--quiet", "--mozilla_config", "disable"])
            .args(COMMANDS)
            .arg(format!("--json_out={}", file.display()))
            .arg(&port.address)
            .output()
            .expect("python3 is missing; on Debian: apt-get install python3");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(file.exists(), "sslyze is missing (pip install sslyze), or does not scan: {said}");
        let report: Value = serde_json::from_slice(&std::fs::read(&file).expect("its report")).expect("JSON");
        std::fs::remove_file(&file).expect("its report");
        found.extend(weaknesses(port, &report["server_scan_results"][0]));
    }
    assert!(found.is_empty(), "sslyze found:\n{}", found.join("\n"));
    standing.falls().await;
}

/// What is wrong with a port, in words. Answers that were not given count as wrong: a scan that failed shows nothing.
fn weaknesses(port: &Port, scanned: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut wrong = |what: String| found.push(format!("{}: {what}", port.name));
    let result = &scanned["scan_result"];
    let suites = |version: &str| -> Option<Vec<String>> {
        let accepted = &result[format!("{version}_cipher_suites")]["result"]["accepted_cipher_suites"];
        let names = accepted.as_array()?.iter().map(|suite| suite["cipher_suite"]["name"].as_str());
        names.map(|name| name.map(str::to_owned)).collect()
    };
    for (version, is_spoken) in [
        ("ssl_2_0", false),
        ("ssl_3_0", false),
        ("tls_1_0", false),
        ("tls_1_1", false),
        ("tls_1_2", port.speaks_1_2),
        ("tls_1_3", true),
    ] {
        match suites(version) {
            None => wrong(format!("{version} was not scanned")),
            Some(suites) if suites.is_empty() == is_spoken => wrong(format!("{version}: {suites:?}")),
            Some(suites) if version == "tls_1_2" => {
                let bad = suites.into_iter().filter(|suite| !GOOD_SUITES.contains(&suite.as_str()));
                bad.for_each(|suite| wrong(format!("{version}: {suite}")));
            }
            Some(suites) => println!("{}: {version}: {suites:?}", port.name),
        }
    }
    for (command, question) in [
        ("heartbleed", "is_vulnerable_to_heartbleed"),
        ("openssl_ccs_injection", "is_vulnerable_to_ccs_injection"),
        ("tls_compression", "supports_compression"),
        ("tls_1_3_early_data", "supports_early_data"),
        ("session_renegotiation", "is_vulnerable_to_client_renegotiation_dos"),
    ] {
        let answer = &result[command]["result"][question];
        println!("{}: {question}: {answer}", port.name);
        if answer.as_bool() != Some(false) {
            wrong(format!("{question}: {answer} {}", result[command]["error_reason"]));
        }
    }
    let robot = result["robot"]["result"]["robot_result"].as_str().unwrap_or("not scanned");
    println!("{}: ROBOT: {robot}", port.name);
    if !robot.starts_with("NOT_VULNERABLE") {
        wrong(format!("ROBOT: {robot}"));
    }
    found
}

#[tokio::test]
#[ignore = "takes minutes: cargo test -p beeldbox-tls --test scan -- --ignored --nocapture"]
async fn testssl_finds_nothing_above_low_at_any_tls_port() {
    let standing = everything_stands().await;
    let mut found = Vec::new();
    for port in &standing.ports {
        let file = standing.root.join("testssl.json");
        let output = Command::new("testssl")
            .args(["--quiet", "--color", "0", "--warnings", "off", "--jsonfile"])
            .arg(&file)
            .arg(&port.address)
            .output()
            .expect("testssl.sh is missing; on Debian: apt-get install testssl.sh");
        let text = std::fs::read(&file).unwrap_or_default();
        let findings: Value = serde_json::from_slice(&text).unwrap_or_default();
        let findings = findings.as_array().unwrap_or_else(|| panic!("testssl.sh does not scan: {output:?}"));
        let graded: Vec<&Value> = findings.iter().filter(|finding| !is_of_test(finding)).collect();
        println!("{}: {} findings", port.name, graded.len());
        assert!(graded.len() > 50, "{}: it looked at little: {output:?}", port.name);
        for finding in graded {
            let [severity, id, what] =
                ["severity", "id", "finding"].map(|key| finding[key].as_str().unwrap_or(""));
            if ["MEDIUM", "HIGH", "CRITICAL", "FATAL"].contains(&severity) {
                found.push(format!("{}: {severity}: {id}: {what}", port.name));
            } else if severity != "OK" && severity != "INFO" {
                println!("{}: {severity}: {id}: {what}", port.name);
            }
        }
        std::fs::remove_file(&file).expect("its report");
    }
    assert!(found.is_empty(), "testssl.sh found:\n{}", found.join("\n"));
    standing.falls().await;
}

/// Whether a finding is about who issued the certificate: in a test nobody whom a browser knows. And about HTTP at the
/// addresses of DICOM and of the portal, where no browser comes.
fn is_of_test(finding: &Value) -> bool {
    let id = finding["id"].as_str().unwrap_or_default();
    ["cert_", "overall_grade", "final_score", "scanTime", "DNS_CAA", "OCSP", "grade_cap", "HSTS", "HTTP_"]
        .iter()
        .any(|beginning| id.starts_with(beginning))
}
