//! A box has no certificate for the portal, or an old one: it enrols with a one-time code, renews by itself, and takes
//! over what an authority issued by hand.
//!
//! A code that is wrong or used, and a portal whose authority is another, are refused by name. Nothing stops meanwhile.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use beeldbox_portal::ca::Validity;
use beeldbox_protocol::admin::{
    CertificateLevel, CertificateLine, CertificateUse, Question, RefusalCode, StateCode,
};
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::Digest;
use beeldbox_scenarios::ending::Repeats;
use beeldbox_scenarios::forged;
use beeldbox_scenarios::two_hospitals::{At, TwoHospitals, now};
use jiff::SignedDuration;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// The line of one certificate of Noord.
async fn certificate(story: &TwoHospitals, what: CertificateUse) -> CertificateLine {
    let lines = story.status(At::Noord).await.certificates;
    lines.into_iter().find(|line| line.what == what).expect("a line for each use")
}

async fn is_refused(story: &TwoHospitals, question: Question, code: RefusalCode) {
    match story.try_ask(At::Noord, question).await {
        Ok(answer) => story.panic(&format!("it was not refused: {answer:?}")),
        Err(refusal) => story.check("why it is refused", refusal.code, code),
    }
}

fn authority(story: &TwoHospitals) -> Digest {
    let file = story.folder_of(At::Noord).join("portal-authority.pem");
    Digest::of(&CertificateDer::from_pem_file(file).expect("the authority"))
}

fn enrol(code: &str, fingerprint: Digest) -> Question {
    Question::Enrol { code: Confidential::new(code), fingerprint }
}

#[tokio::test]
async fn a_box_without_a_certificate_enrols_with_a_code_and_sends() {
    let story = TwoHospitals::start_with_own_portal().await;
    story.demo.noord.daemon.take_down().await.expect("it can be ended");
    for file in ["tls-certificate.pem", "tls-key.pem"] {
        std::fs::remove_file(story.folder_of(At::Noord).join("credentials").join(file))
            .expect("its certificate");
    }
    story.bring_up(At::Noord).await;
    story.check("level", certificate(&story, CertificateUse::Portal).await.level, CertificateLevel::Missing);
    // The PACS need not wait for it.
    let study = story.a_study(1, 5);
    story.receive(&study).await;

    let ura = story.demo.noord.ura.parse().expect("a URA");
    let code = story.portal().enrolment_code(ura, story.demo.noord.name).await.expect("a code");
    is_refused(&story, enrol(&code, Digest::of(b"another")), RefusalCode::WrongFingerprint).await;
    is_refused(&story, enrol("NOSUCHCODE", authority(&story)), RefusalCode::CodeRefused).await;
    let other =
        story.portal().enrolment_code("90000404".parse().expect("a URA"), "Another").await.expect("a code");
    is_refused(&story, enrol(&other, authority(&story)), RefusalCode::BadValue).await;
    let fingerprint = authority(&story).to_string();
    let code_file = story.root().join("code.txt");
    std::fs::write(&code_file, format!("{code}\n")).expect("a file");
    let code_file = code_file.display().to_string();
    let said = story
        .beeldboxctl(At::Noord, &["enrol", "--code-file", &code_file, "--fingerprint", &fingerprint])
        .await;
    assert!(said.contains("for the portal") && said.contains("days left"), "{said}");
    is_refused(&story, enrol(&code, authority(&story)), RefusalCode::CodeRefused).await;

    let first = certificate(&story, CertificateUse::Portal).await;
    story.check("level", first.level, CertificateLevel::Fine);
    sealed_and_private(&story.folder_of(At::Noord).join("state/identity/portal.sealed"));
    let transfer = story.address(&study).await;
    story.import(transfer).await;
    story.until_delivered(transfer).await;

    story.beeldboxctl(At::Noord, &["certificate", "renew"]).await;
    let second = certificate(&story, CertificateUse::Portal).await;
    assert_ne!(first.thumbprint, second.thumbprint, "another certificate");
    let another = story.a_study(2, 5);
    story.goes_through(&another).await;
    story.kill(At::Noord).await;
    let kept = certificate(&story, CertificateUse::Portal).await;
    story.check("the certificate after a restart", kept.thumbprint, second.thumbprint);
    let third = story.a_study(3, 5);
    story.goes_through(&third).await;
    assert!(!story.log("noord-box").contains(&code), "the code is in a log");
    story.ends("noord: delivered 3 | zuid: reported 3", &[&study, &another, &third], Repeats::Never).await;
}

fn sealed_and_private(file: &Path) {
    let mode = std::fs::metadata(file).expect("the pair").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let bytes = std::fs::read(file).expect("the pair");
    assert!(!bytes.windows(10).any(|window| window == b"-----BEGIN"), "a key lies there in the clear");
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_renewed_without_anybody_and_without_a_gap() {
    let story = TwoHospitals::start().await;
    let hours = |hours| SignedDuration::from_hours(hours);
    story.demo.noord.daemon.take_down().await.expect("it can be ended");
    story.new_tls_certificate(
        At::Noord,
        Validity { from: now() - hours(24 * 80), until: now() + hours(24 * 10) },
    );
    story.bring_up(At::Noord).await;
    let study = story.a_study(1, 5);
    story.goes_through(&study).await;
    story
        .until("the certificate is renewed", async || {
            certificate(&story, CertificateUse::Portal).await.days_left.is_some_and(|days| days > 300)
        })
        .await;
    let another = story.a_study(2, 5);
    story.goes_through(&another).await;
    story.ends("noord: delivered 2 | zuid: reported 2", &[&study, &another], Repeats::Never).await;
}

#[tokio::test]
async fn a_certificate_from_an_authority_that_works_by_hand_is_taken_over() {
    let story = TwoHospitals::start().await;
    let folder = story.root().to_owned();
    // The signing certificate ends soon: that one no portal renews.
    story.demo.noord.daemon.take_down().await.expect("it can be ended");
    story.signing_certificate_ends_in(At::Noord, 30);
    story.bring_up(At::Noord).await;
    let before = certificate(&story, CertificateUse::Signing).await;
    assert_ne!(before.level, CertificateLevel::Fine, "{before:?}");
    let status = story.beeldboxctl(At::Noord, &["status"]).await;
    assert!(status.contains("ENDS"), "{status}");

    let request = story.beeldboxctl(At::Noord, &["csr", "--for", "signing"]).await;
    assert!(certificate(&story, CertificateUse::Signing).await.is_requested);
    let issued = folder.join("issued.pem");
    std::fs::write(&issued, story.national_certifies(At::Noord, &request)).expect("a certificate");
    let issued = issued.display().to_string();
    story.beeldboxctl(At::Noord, &["certificate", "import", &issued, "--for", "signing"]).await;
    story.kill(At::Noord).await;
    let after = certificate(&story, CertificateUse::Signing).await;
    story.check("level", after.level, CertificateLevel::Fine);
    assert!(!after.is_requested);
    let study = story.a_study(1, 5);
    story.goes_through(&study).await;

    // PKCS#12 with its key, made by OpenSSL; the password comes from a file.
    let credentials = story.folder_of(At::Noord).join("credentials");
    story.new_tls_certificate(At::Noord, Validity::usual(now() + SignedDuration::from_hours(24)));
    let (p12, password) = (folder.join("portal.p12"), folder.join("password"));
    std::fs::write(&password, "geheim wachtwoord\n").expect("a password");
    let made = std::process::Command::new("openssl")
        .args(["pkcs12", "-export", "-passout", "pass:geheim wachtwoord"])
        .arg("-in")
        .arg(credentials.join("tls-certificate.pem"))
        .arg("-inkey")
        .arg(credentials.join("tls-key.pem"))
        .arg("-out")
        .arg(&p12)
        .status();
    assert!(made.expect("OpenSSL: apt-get install openssl").success());
    let (p12, password) = (p12.display().to_string(), password.display().to_string());
    let wrong = Question::ImportCertificate {
        what: CertificateUse::Portal,
        content: Confidential::new(data_encoding::BASE64.encode(&std::fs::read(&p12).expect("the file"))),
        password: Some(Confidential::new("wrong")),
    };
    is_refused(&story, wrong, RefusalCode::BadValue).await;
    let shown = certificate(&story, CertificateUse::Portal).await.thumbprint;
    let import = ["certificate", "import", &p12, "--for", "portal", "--password-file", &password];
    story.beeldboxctl(At::Noord, &import).await;
    assert_ne!(certificate(&story, CertificateUse::Portal).await.thumbprint, shown, "in use at once");
    let another = story.a_study(2, 5);
    story.goes_through(&another).await;
    story.ends("noord: delivered 2 | zuid: reported 2", &[&study, &another], Repeats::Never).await;
}

#[tokio::test]
async fn a_new_box_gets_its_signing_certificate_and_then_its_place_at_the_portal() {
    let story = TwoHospitals::start_with_own_portal().await;
    story.demo.noord.daemon.take_down().await.expect("it can be ended");
    for file in ["tls-certificate.pem", "tls-key.pem", "signing-certificate.pem", "signing-key.pem"] {
        std::fs::remove_file(story.folder_of(At::Noord).join("credentials").join(file))
            .expect("its credential");
    }
    story.demo.noord.daemon.bring_up();
    story
        .until("the box asks for its certificate", async || {
            let answer = story.desk(At::Noord).ask_once(Question::Status).await;
            matches!(answer, Ok(Err(refusal)) if refusal.code == RefusalCode::NotSetUp)
        })
        .await;
    let request = story.beeldboxctl(At::Noord, &["csr"]).await;
    let file = story.root().join("issued.pem");
    // Nobody that others believe vouches for the first.
    std::fs::write(&file, forged::certifies_itself(story.demo.noord.ura)).expect("a certificate");
    let import = |content: String| Question::ImportCertificate {
        what: CertificateUse::Signing,
        content: Confidential::new(content),
        password: None,
    };
    let stranger = std::fs::read_to_string(&file).expect("a certificate");
    is_refused(&story, import(stranger), RefusalCode::BadValue).await;
    story.ask(At::Noord, import(story.national_certifies(At::Noord, &request))).await;
    story
        .until("the whole box runs", async || {
            matches!(story.desk(At::Noord).ask_once(Question::Status).await, Ok(Ok(_)))
        })
        .await;
    // Who did it before there was an audit trail stands in it.
    let trail = story.beeldboxctl(At::Noord, &["audit"]).await;
    for action in ["request certificate", "import certificate"] {
        assert!(trail.contains(action), "{action} is not in the audit trail:\n{trail}");
    }
    let ura = story.demo.noord.ura.parse().expect("a URA");
    let code = story.portal().enrolment_code(ura, story.demo.noord.name).await.expect("a code");
    story.ask(At::Noord, enrol(&code, authority(&story))).await;
    let study = story.a_study(1, 5);
    story.goes_through(&study).await;
    story.ends("noord: delivered 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}

#[tokio::test]
async fn a_letter_to_a_key_that_was_replaced_is_still_opened() {
    let story = TwoHospitals::start().await;
    let (first, third) = (story.a_study(1, 5), story.a_study(3, 5));
    story.goes_through(&first).await;
    // In use from the next start on: what is sent until then is sealed to the old key.
    story.beeldboxctl(At::Zuid, &["rotate-recipient-key"]).await;
    story.demo.zuid.daemon.take_down().await.expect("it can be ended");
    let second = story.a_study(2, 5);
    let under_way = story.send(&second).await;
    story.until_state(At::Noord, under_way, StateCode::Accepted).await;
    story.receive(&third).await;
    let line = story.closed(&third).await;
    let before = story.check_page(line.study).await.key_thumbprint;
    story.bring_up(At::Zuid).await;
    story.import(under_way).await;
    story.until_delivered(under_way).await;
    story
        .until("Noord has seen the new key", async || {
            story.check_page(line.study).await.key_thumbprint != before
        })
        .await;
    story.is_so("noord: delivered 2, queued 1 | zuid: reported 2", &[&first, &second], Repeats::Never).await;
}
