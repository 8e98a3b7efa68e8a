//! Images asked for at another hospital, answered and refused here; and what came to the wrong addressee.
#![allow(clippy::unwrap_used, reason = "a test")]

mod desk;
mod fake_box;

use axum::http::StatusCode;
use beeldbox_protocol::admin::{CheckFlag, DeclineCode, Question};
use beeldbox_protocol::imaging_request::RequestRefusal;
use desk::{Desk, Page};

fn form(page: &Page) -> (String, String) {
    (page.field("draft"), page.field("fingerprint"))
}

#[tokio::test]
async fn images_are_asked_for_after_a_look_at_the_check_page() {
    let desk = Desk::signed_in("nl").await;
    desk.fake.change(|world| world.flags = vec![CheckFlag::FirstTime]);
    let page = desk.ask_check_page(&[]).await;
    for words in [
        "DE VRIES-JANSEN",
        "14-mrt-1945",
        "9999 90 019",
        "Noorderbreedte Ziekenhuis",
        "7F3A 91C2",
        "thorax",
        "vanaf 01-jan-2025",
        "Ziekenhuis Broekerland – Radiologie",
        "Vergelijking met eerder onderzoek",
    ] {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    let (draft, fingerprint) = form(&page);
    let fields = [("draft", draft.as_str()), ("fingerprint", fingerprint.as_str())];
    let refused = desk.post("/requests/confirm", &fields).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(desk.fake.acts().is_empty(), "nothing is asked without the tick");
    let fields = [fields[0], fields[1], ("tick", "first-time")];
    let made = desk.post("/requests/confirm", &fields).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text);
    assert!(desk.get(made.location()).await.text.contains("Het verzoek gaat naar Noorderbreedte"));
    let Question::RequestImages { request, acknowledged } = desk.fake.acts().remove(0).question else {
        panic!("not a request")
    };
    assert_eq!(acknowledged, [CheckFlag::FirstTime]);
    assert_eq!(request.patient.name.unwrap().reveal(), "Vries-Jansen^Anna Maria^^de");
    assert_eq!(request.wanted.answer_to.as_str(), "broek-rad");
    let again = desk.post("/requests/confirm", &fields).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "a second click must not ask again");
}

#[tokio::test]
async fn what_is_missing_is_said_at_its_field_and_what_was_typed_stays() {
    let desk = Desk::signed_in("nl").await;
    let page = desk.ask_check_page(&[("born", "gisteren"), ("bsn", "123"), ("reason", "")]).await;
    for field in ["href=\"#born\"", "href=\"#bsn\"", "href=\"#reason\"", "value=\"gisteren\"", "Vries-Jansen"]
    {
        assert!(page.text.contains(field), "{field}");
    }
    assert_eq!(page.text.matches("aria-invalid=\"true\"").count(), 3);
    let page = desk.ask_check_page(&[("act", "search"), ("q", "zuider card"), ("addressee", "")]).await;
    assert!(page.text.contains("value=\"zuid-card\"") && page.text.contains("Vries-Jansen"));
    assert!(!page.text.contains("id=\"errors\""), "a search is no mistake");
}

#[tokio::test]
async fn a_request_with_another_patient_than_on_the_page_is_refused() {
    let desk = Desk::signed_in("nl").await;
    let first = form(&desk.ask_check_page(&[]).await);
    let second = form(&desk.ask_check_page(&[("family", "Bakker")]).await);
    let fields = [("draft", first.0.as_str()), ("fingerprint", second.1.as_str())];
    assert_eq!(desk.post("/requests/confirm", &fields).await.status, StatusCode::CONFLICT);
    desk.fake.change(|world| world.thumbprint = "0000".to_owned());
    let fields = [("draft", first.0.as_str()), ("fingerprint", first.1.as_str())];
    assert_eq!(desk.post("/requests/confirm", &fields).await.status, StatusCode::CONFLICT);
    assert!(desk.fake.acts().is_empty());
}

#[tokio::test]
async fn a_request_is_answered_with_a_study_of_that_patient() {
    let desk = Desk::signed_in("nl").await;
    let id = desk.fake.world.lock().unwrap().requests[0].request;
    let page = desk.get(&format!("/requests/{id}/answer")).await;
    let (these, others) = page.text.split_once("id=\"others\"").unwrap();
    assert!(these.contains("id=\"take-17\"") && these.contains("id=\"take-15\""), "hers");
    assert!(!these.contains("id=\"take-14\"") && others.contains("id=\"take-14\""), "of another");
    let fields = [("fingerprint", page.field("fingerprint")), ("study", "17".to_owned())];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    let chosen = desk.post(&format!("/requests/{id}/answer"), &fields).await;
    let choose = desk.get(chosen.location()).await;
    assert!(
        choose.text.contains("U antwoordt op een verzoek")
            && choose.text.contains("value=\"noord-rad\" checked")
    );
    let fields = [
        ("fingerprint", choose.field("fingerprint")),
        ("from", choose.field("from")),
        ("addressee", "noord-rad".to_owned()),
        ("note", "Zoals gevraagd".to_owned()),
        ("act", "check".to_owned()),
    ];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    let check = desk.post("/send/17", &fields).await;
    let check = desk.get(check.location()).await;
    let (draft, fingerprint) = form(&check);
    let fields = [("draft", draft.as_str()), ("fingerprint", fingerprint.as_str())];
    let sent = desk.post("/send/17/confirm", &fields).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text);
    let Question::SendAnswer { request, addressee, .. } = desk.fake.acts().remove(0).question else {
        panic!("not an answer")
    };
    assert_eq!((request, addressee.unwrap().as_str()), (id, "noord-rad"));
    assert!(desk.get(&format!("/requests/{id}")).await.text.contains("Beantwoord"));
}

#[tokio::test]
async fn an_answer_whose_draft_is_gone_does_not_become_an_ordinary_send() {
    let desk = Desk::signed_in("nl").await;
    let page = desk.get("/send/17").await;
    let fields = [
        ("fingerprint", page.field("fingerprint")),
        ("from", "gone".to_owned()),
        ("addressee", "noord-rad".to_owned()),
        ("act", "check".to_owned()),
    ];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(desk.post("/send/17", &fields).await.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_request_is_refused_withdrawn_and_put_aside() {
    let desk = Desk::signed_in("nl").await;
    let (theirs, ours, odd) = {
        let world = desk.fake.world.lock().unwrap();
        (world.requests[0].request, world.requests[1].request, world.not_believed[0].request)
    };
    let page = desk.get(&format!("/requests/{theirs}/refuse")).await;
    let path = format!("/requests/{theirs}/refuse");
    let fingerprint = page.field("fingerprint");
    let none = desk.post(&path, &[("fingerprint", &fingerprint)]).await;
    assert_eq!(none.status, StatusCode::UNPROCESSABLE_ENTITY);
    let wrong = desk.post(&path, &[("fingerprint", "x"), ("reason", "no-images")]).await;
    assert_eq!(wrong.status, StatusCode::CONFLICT);
    let done = desk.post(&path, &[("fingerprint", &fingerprint), ("reason", "no-images")]).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER);
    let page = desk.get(&format!("/requests/{ours}")).await;
    let fields = [("fingerprint", page.field("fingerprint"))];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(desk.post(&format!("/requests/{ours}/withdraw"), &fields).await.status, StatusCode::SEE_OTHER);
    let list = desk.get("/requests").await;
    assert!(list.text.contains("id=\"not-believed\"") && list.text.contains("90000712"));
    desk.post(&format!("/requests/{odd}/put-aside"), &[]).await;
    assert!(!desk.get("/requests").await.text.contains("id=\"not-believed\""));
    let acts = desk.fake.acts();
    assert!(matches!(acts[0].question, Question::RefuseRequest { reason: RequestRefusal::NoImages, .. }));
    assert!(matches!(acts[1].question, Question::WithdrawRequest { .. }));
    assert_eq!(acts.len(), 3);
}

#[tokio::test]
async fn a_declined_transfer_goes_on_to_whom_the_other_hospital_named() {
    let desk = Desk::signed_in("nl").await;
    let id = desk.fake.world.lock().unwrap().sent[6].line.transfer;
    let page = desk.get(&format!("/sent/{id}")).await;
    assert!(page.text.contains("horen deze beelden bij Noorderbreedte Ziekenhuis – Radiologie"));
    assert!(page.text.contains("id=\"redirect\"") && !page.text.contains("id=\"again\""));
    let fields = [("fingerprint", page.field("fingerprint"))];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    let chosen = desk.post(&format!("/sent/{id}/redirect"), &fields).await;
    assert_eq!(chosen.status, StatusCode::SEE_OTHER, "{}", chosen.text);
    let choose = desk.get(chosen.location()).await;
    assert!(choose.text.contains("Stadiëring") && choose.text.contains("value=\"noord-rad\" checked"));
    assert!(!choose.text.contains("name=\"urgent\""), "urgency stays as it was");
    let fields = [
        ("fingerprint", choose.field("fingerprint")),
        ("from", choose.field("from")),
        ("addressee", "noord-ort".to_owned()),
        ("note", String::new()),
        ("act", "check".to_owned()),
    ];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    let check = desk.post("/send/11", &fields).await;
    let check = desk.get(check.location()).await;
    let (draft, fingerprint) = form(&check);
    let fields = [("draft", draft.as_str()), ("fingerprint", fingerprint.as_str())];
    let sent = desk.post("/send/11/confirm", &fields).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text);
    let Question::Redirect { transfer, to, note, .. } = desk.fake.acts().remove(0).question else {
        panic!("not a redirect")
    };
    assert_eq!((transfer, to.unwrap().as_str()), (id, "noord-ort"));
    assert!(note.unwrap().is_empty(), "words that were taken away are not sent");
}

#[tokio::test]
async fn a_received_study_moves_to_another_department_of_this_hospital() {
    let desk = Desk::signed_in("nl").await;
    let id = desk.fake.world.lock().unwrap().inbox[1].line.transfer;
    let path = format!("/inbox/{id}/forward");
    let page = desk.get(&path).await;
    assert!(page.text.contains("value=\"broek-card\"") && !page.text.contains("noord-rad"));
    let fingerprint = page.field("fingerprint");
    let none = desk.post(&path, &[("fingerprint", &fingerprint)]).await;
    assert_eq!(none.status, StatusCode::UNPROCESSABLE_ENTITY);
    let moved = desk.post(&path, &[("fingerprint", &fingerprint), ("to", "broek-card")]).await;
    assert_eq!(moved.status, StatusCode::SEE_OTHER);
    assert!(desk.get(moved.location()).await.text.contains("id=\"desk\">Cardiologie"));
}

#[tokio::test]
async fn declining_may_say_where_it_belongs_with_a_reason_that_is_about_that() {
    let desk = Desk::signed_in("nl").await;
    let id = desk.fake.world.lock().unwrap().inbox[1].line.transfer;
    let path = format!("/inbox/{id}/decline");
    let fingerprint = desk.get(&path).await.field("fingerprint");
    let decline = async |more: &[(&str, &str)]| {
        let mut fields = vec![("fingerprint", fingerprint.as_str())];
        fields.extend(more);
        desk.post(&path, &fields).await
    };
    let found = decline(&[("act", "search"), ("q", "zuider card"), ("reason", "not-ours")]).await;
    assert!(
        found.text.contains("value=\"zuid-card\"") && found.text.contains("id=\"reason-not-ours\" checked")
    );
    let odd = decline(&[("reason", "unknown-patient"), ("addressee", "zuid-card")]).await;
    assert_eq!(odd.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(desk.fake.acts().is_empty());
    let done = decline(&[("reason", "not-ours"), ("addressee", "zuid-card")]).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    let Question::Decline { reason: DeclineCode::NotOurs, belongs_at: Some(to), .. } =
        desk.fake.acts().remove(0).question
    else {
        panic!("not declined")
    };
    assert_eq!(to.as_str(), "zuid-card");
}
