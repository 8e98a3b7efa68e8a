//! Who may ask: certificates of the right authority, and enrolment for those that have none yet.

use beeldbox_portal::ca::{Ca, Validity};
use reqwest::StatusCode;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::hospital::{Hospital, NOORD, a_portal, a_portal_with, client, code_of, now, tls};

#[tokio::test]
async fn a_certificate_of_a_foreign_authority_is_refused() {
    let running = a_portal().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let foreign = Ca::open(elsewhere.path(), "Foreign CA", now()).unwrap();
    let issued = foreign.issue(&NOORD.parse().unwrap(), "Noord", Validity::usual(now())).unwrap();
    let stranger = client(tls(running.portal.ca_pem(), Some(&issued)));
    let answer = stranger.get(format!("{}/metadata", running.portal.url())).send().await;
    assert!(answer.is_err());
}

#[tokio::test]
async fn a_further_authority_can_be_accepted() {
    let elsewhere = tempfile::tempdir().unwrap();
    let further = Ca::open(elsewhere.path(), "Further CA", now()).unwrap();
    let anchor = further.certificate().clone();
    let running = a_portal_with(|mut options| {
        options.further_anchors.push(anchor);
        options
    })
    .await;
    let issued = further.issue(&NOORD.parse().unwrap(), "Noord", Validity::usual(now())).unwrap();
    let http = client(tls(running.portal.ca_pem(), Some(&issued)));
    let answer = http.get(format!("{}/metadata", running.portal.url())).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn without_a_certificate_nothing_but_enrolment_is_reachable() {
    let running = a_portal().await;
    let http = client(tls(running.portal.ca_pem(), None));
    for path in ["/metadata", "/fhir/Organization", "/fhir/Task", "/nothing"] {
        let answer = http.get(format!("{}{path}", running.portal.url())).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path}");
    }
    let answer = http.get(format!("{}/.well-known/est/cacerts", running.portal.url())).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn the_server_certificate_stays_the_same_until_it_is_near_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Ca::open(folder.path(), "CA", now()).unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let days = |days: i64| now().checked_add(jiff::SignedDuration::from_hours(24 * days)).unwrap();
    let (first, _) = ca.server_identity(&names, now()).unwrap();
    let (same, _) = ca.server_identity(&names, days(300)).unwrap();
    let (renewed, _) = ca.server_identity(&names, days(350)).unwrap();
    assert_eq!(first, same);
    assert_ne!(first, renewed);
}

#[tokio::test]
async fn an_unknown_path_is_told_in_the_language_of_its_place() {
    let running = a_portal().await;
    let noord = Hospital::of(&running.portal, NOORD);
    let fhir = noord.get("/fhir/Patient/1").await;
    assert_eq!(fhir.status(), StatusCode::NOT_FOUND);
    assert_eq!(fhir.headers()["content-type"], "application/fhir+json");
    assert_eq!(code_of(fhir).await, "not-found");
    let other = noord.get("/parts").await;
    assert_eq!(other.headers()["content-type"], "application/problem+json");
    assert_eq!(code_of(other).await, "not-found");
}

#[tokio::test]
async fn metadata_names_the_protocol_version() {
    let running = a_portal().await;
    let noord = Hospital::of(&running.portal, NOORD);
    let metadata: serde_json::Value = noord.get("/metadata").await.json().await.unwrap();
    assert_eq!(metadata["protocolVersions"], serde_json::json!([1]));
    let statement: serde_json::Value = noord.get("/fhir/metadata").await.json().await.unwrap();
    assert_eq!(statement["resourceType"], "CapabilityStatement");
}

/// Runs openssl with this input and gives its output.
fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the package openssl is installed");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    output.stdout
}

#[tokio::test]
async fn a_code_is_worth_one_certificate_that_is_accepted_and_can_be_renewed() {
    let running = a_portal().await;
    let code = running.portal.enrolment_code(NOORD.parse().unwrap(), "Ziekenhuis Noord").await.unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    // What the request says of itself does not count: the code says who it is.
    let request = rcgen::CertificateParams::new(vec!["somebody.else".to_owned()]).unwrap();
    let request = data_encoding::BASE64.encode(request.serialize_request(&key).unwrap().der());
    let http = client(tls(running.portal.ca_pem(), None));
    let enrol = |code: String| {
        http.post(format!("{}/.well-known/est/simpleenroll", running.portal.url()))
            .header("content-type", "application/pkcs10")
            .basic_auth("box", Some(code))
            .body(request.clone())
            .send()
    };
    let refused = enrol("WRONG".to_owned()).await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert!(refused.headers().contains_key("www-authenticate"));
    let answer = enrol(code.clone()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let pkcs7 = data_encoding::BASE64.decode(&answer.bytes().await.unwrap()).unwrap();
    let pem = openssl(&["pkcs7", "-inform", "DER", "-print_certs"], &pkcs7);
    assert_eq!(enrol(code).await.unwrap().status(), StatusCode::UNAUTHORIZED, "the code is used up");

    let certificate = CertificateDer::from_pem_slice(&pem).unwrap();
    let facts = beeldbox_protocol::envelope::trust::certificate_facts(&certificate).unwrap();
    assert_eq!((facts.ura.as_str(), facts.name.as_str()), (NOORD, "Ziekenhuis Noord"));
    let issued = beeldbox_portal::ca::Issued {
        certificate: String::from_utf8(pem).unwrap(),
        key: key.serialize_pem(),
    };
    let http = client(tls(running.portal.ca_pem(), Some(&issued)));
    let answer = http
        .post(format!("{}/.well-known/est/simplereenroll", running.portal.url()))
        .body(request.clone())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}
