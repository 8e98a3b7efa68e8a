//! Looking after the box: what asks for attention, connections, certificates, the audit log.
#![allow(clippy::unwrap_used, reason = "a test")]

mod desk;
mod fake_box;

use axum::http::StatusCode;
use beeldbox_admin::roles::Role;
use beeldbox_protocol::admin::Question;
use desk::Desk;

#[tokio::test]
async fn the_overview_says_what_to_do_and_where_and_nothing_when_all_is_well() {
    let desk = Desk::signed_in_as(&[Role::Administrator]).await;
    desk.fake.change(|world| {
        world.status.pacs.trouble = Some("refused".to_owned());
        world.status.asked_back = 2;
    });
    let page = desk.get("/admin").await;
    for words in [
        "Het PACS neemt niets aan",
        "2 ontvangsten worden teruggevraagd",
        "voor ondertekenen eindigt over 41 dagen",
        "1 bericht noemt zich een verzoek",
        "2 beheerders loggen in zonder code",
    ] {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    desk.fake.change(|world| {
        world.status.pacs.trouble = None;
        world.status.asked_back = 0;
        world.status.requests_not_believed = 0;
        world.status.certificates.clear();
    });
    desk.accounts().set_roles("a.beheer", [Role::Auditor].into_iter().collect()).unwrap();
    desk.accounts().set_second_factor(desk::ACCOUNT, None).unwrap();
    let page = desk.get("/admin").await;
    assert!(page.text.contains("1 beheerder logt in zonder code") && !page.text.contains("id=\"summary\""));
}

#[tokio::test]
async fn an_administrator_sees_no_patient() {
    let desk = Desk::signed_in_as(&[Role::Administrator]).await;
    for path in
        ["/admin", "/admin/connections", "/admin/certificates", "/admin/users", "/admin/audit", "/status"]
    {
        let page = desk.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        for secret in ["VRIES", "BAKKER", "3004100", "999990019"] {
            assert!(!page.text.contains(secret), "{path} shows {secret}");
        }
    }
}

#[tokio::test]
async fn a_node_is_called_step_by_step() {
    let desk = Desk::signed_in_as(&[Role::Administrator]).await;
    let page = desk.get("/admin/connections").await;
    for words in [
        "CT_KELDER",
        "belt alleen zelf",
        "VNA_ARCHIEF",
        "NAAR_ZUID_CARD",
        "niet in het adresboek",
        "90000127",
    ] {
        assert!(page.text.contains(words), "{words}");
    }
    let test = desk.post("/admin/connections/test", &[("ae", "PACS_ZBC")]).await;
    assert!(
        test.text.contains("DICOM-associatie")
            && test.text.contains("the called AE title is not known there")
    );
    assert_eq!(
        desk.post("/admin/connections/test", &[("ae", "")]).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
}

#[tokio::test]
async fn the_audit_log_is_filtered_goes_on_and_is_taken_along() {
    let desk = Desk::signed_in_as(&[Role::Auditor]).await;
    let page = desk.get("/admin/audit").await;
    assert_eq!(page.text.matches("<tr id=\"audit-").count(), 100);
    let older = page
        .text
        .split("id=\"older\" href=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .replace("&#38;", "&");
    let next = desk.get(&older).await;
    assert_eq!(next.text.matches("<tr id=\"audit-").count(), 100);
    let first =
        |text: &str| text.split("<tr id=\"audit-").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_ne!(first(&page.text), first(&next.text));
    let bakker = desk.get("/admin/audit?who=Bakker&what=import").await;
    assert_eq!(bakker.text.matches("<tr id=\"audit-").count(), 50);
    assert!(!bakker.text.contains("a.beheer"));
    let day = desk.get("/admin/audit?from=23-11-2026&until=23-11-2026&what=send").await;
    let lines = day.text.matches("<tr id=\"audit-").count();
    assert!((1..15).contains(&lines), "{lines}");
    let bad = desk.get("/admin/audit?from=gisteren").await;
    assert!(bad.text.contains("id=\"errors\""));
    let copy = desk.get("/admin/audit.csv?what=odd").await;
    assert!(copy.headers["content-type"].to_str().unwrap().starts_with("text/csv"));
    assert!(copy.headers["content-disposition"].to_str().unwrap().contains("beeldbox-audit-2026-11-23.csv"));
    assert_eq!(copy.text.lines().count(), 51);
    assert!(copy.text.contains("\"'=cmd|calc\"") && !copy.text.contains(",=1+1"));
    let read = desk.fake.world.lock().unwrap().audit[0].clone();
    assert_eq!((read.action.as_str(), read.actor.as_str()), ("audit-exported", desk::ACCOUNT));
}

#[tokio::test]
async fn what_happens_at_the_pages_is_in_the_audit_trail() {
    let desk = Desk::signed_in("nl").await;
    let id = desk.fake.world.lock().unwrap().sent[0].line.transfer;
    desk.get(&format!("/sent/{id}")).await;
    desk.fragment(&format!("/sent/{id}")).await;
    desk.post("/admin/users", &[("name", "p.nieuw"), ("role", "importer")]).await;
    desk.post("/admin/users/p.nieuw/lock", &[]).await;
    let trail: Vec<(String, String)> = {
        let world = desk.fake.world.lock().unwrap();
        let about = |line: &beeldbox_protocol::admin::AuditLine| {
            line.detail.as_ref().map(|detail| detail.reveal().to_owned()).unwrap_or_default()
        };
        world.audit.iter().take(4).map(|line| (line.action.clone(), about(line))).collect()
    };
    let expected =
        [("account-locked", "p.nieuw"), ("account-made", "p.nieuw"), ("seen", ""), ("sign-in", "")];
    let expected = expected.map(|(action, about)| (action.to_owned(), about.to_owned()));
    assert_eq!(trail, expected, "a page that follows the box looks once");
}

#[tokio::test]
async fn certificates_are_renewed_asked_for_imported_and_the_key_changed() {
    let desk = Desk::signed_in_as(&[Role::Administrator]).await;
    let page = desk.get("/admin/certificates").await;
    assert!(page.text.contains("nog 41 dagen") && page.text.contains("eindigt binnenkort"));
    let post = async |end: &str, fields: &[(&str, &str)]| {
        desk.post(&format!("/admin/certificates/{end}"), fields).await
    };
    assert_eq!(post("renew", &[]).await.status, StatusCode::SEE_OTHER);
    let bad = post("enrol", &[("code", "x"), ("fingerprint", "abc")]).await;
    assert_eq!(bad.status, StatusCode::UNPROCESSABLE_ENTITY);
    let fingerprint = "AB:".repeat(31) + "AB";
    assert_eq!(
        post("enrol", &[("code", "x"), ("fingerprint", &fingerprint)]).await.status,
        StatusCode::SEE_OTHER
    );
    assert!(post("request", &[("what", "signing")]).await.text.contains("BEGIN CERTIFICATE REQUEST"));
    assert_eq!(post("request", &[("what", "tea")]).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let pem = [("what", "portal"), ("content", "-----BEGIN"), ("password", "")];
    assert_eq!(post("import", &pem).await.status, StatusCode::SEE_OTHER);
    assert_eq!(post("rotate", &[]).await.status, StatusCode::SEE_OTHER);
    let acts: Vec<Question> = desk.fake.acts().into_iter().map(|call| call.question).collect();
    assert_eq!(acts.len(), 5);
    assert!(matches!(&acts[3], Question::ImportCertificate { password: None, .. }));
    assert!(matches!(acts[4], Question::RotateRecipientKey));
}
