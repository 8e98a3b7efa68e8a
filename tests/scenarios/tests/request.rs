//! Zuid asks Noord for the images of a patient.
//!
//! Noord answers with a study, or refuses; Zuid may take the request back. Boxes are killed and the portal is away in
//! between. What is forged, replayed or turned to another address makes no request, and a person is told.

use beeldbox_protocol::admin::{
    CheckFlag, NewRequest, Question, RefusalCode, Reply, RequestCode, RequestLine, RequestPage, StateCode,
    StudyNumber, StudyRef,
};
use beeldbox_protocol::clinical::{Confidential, Patient};
use beeldbox_protocol::envelope::jws::OrganisationSigner;
use beeldbox_protocol::envelope::letter::{self, About, Letter, Party};
use beeldbox_protocol::envelope::recipient::{RecipientIdentity, RecipientVerified};
use beeldbox_protocol::envelope::trust::TrustAnchors;
use beeldbox_protocol::ident::TransferId;
use beeldbox_protocol::imaging_request::{RequestRefusal, WantedImages};
use beeldbox_protocol::portal::fhir::Task;
use beeldbox_protocol::portal::request::as_request;
use beeldbox_protocol::portal::task::{self, NewTransfer};
use beeldbox_scenarios::ending::Repeats;
use beeldbox_scenarios::forged::{a_recipient_key, random, self_signed, statement, tomorrow};
use beeldbox_scenarios::two_hospitals::{At, TwoHospitals, ZUID, now};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// The department that is asked.
const NOORD: &str = "noord-radiologie";

const REASON: &str = "Vergelijking met de CT van vandaag, verdenking recidief.";

/// A technician at Zuid asks Noord, on the command line.
async fn ask(story: &TwoHospitals, reason: &str) -> TransferId {
    let words = [
        "request",
        NOORD,
        "--answer-to",
        ZUID,
        "--reason",
        reason,
        "--name",
        "Jansen^Piet",
        "--birth-date",
        "19580312",
        "--modality",
        "CT",
        "--region",
        "thorax",
        "--from",
        "20240101",
        "--reply-contact",
        "toestel 2210",
    ];
    let said = story.beeldboxctl(At::Zuid, &words).await;
    said.trim().parse().unwrap_or_else(|_| panic!("no request: {said}"))
}

async fn page(story: &TwoHospitals, at: At) -> RequestPage {
    let Reply::Requests(page) = story.ask(at, Question::Requests { before: None, limit: 50 }).await else {
        panic!("another answer")
    };
    page
}

async fn until(story: &TwoHospitals, at: At, request: TransferId, state: RequestCode) -> RequestLine {
    let mut last = None;
    story
        .until(&format!("the request is {state:?} at {at:?}"), async || {
            last = page(story, at).await.requests.into_iter().find(|line| line.request == request);
            last.as_ref().is_some_and(|line| line.state == state)
        })
        .await;
    last.expect("it was found")
}

/// A technician at Noord sends a study in answer, to whom the request names.
async fn answer(story: &TwoHospitals, study: StudyNumber, request: TransferId) -> TransferId {
    let (study, request) = (study.0.to_string(), request.to_string());
    let said = story.beeldboxctl(At::Noord, &["send", &study, "--answers", &request]).await;
    said.trim().parse().unwrap_or_else(|_| panic!("not sent: {said}"))
}

#[tokio::test]
async fn images_that_are_asked_for_come_and_both_sides_know_what_answers_what() {
    let story = TwoHospitals::start_with_own_portal().await;
    // The request survives that the asked box is away, and that the asking one is killed.
    story.demo.noord.daemon.take_down().await.expect("it can be ended");
    let request = ask(&story, REASON).await;
    assert_eq!(ask(&story, REASON).await, request, "the same question is the same request");
    story.kill(At::Zuid).await;
    until(&story, At::Zuid, request, RequestCode::Asked).await;
    story.bring_up(At::Noord).await;

    let open = until(&story, At::Noord, request, RequestCode::Open).await;
    let asked = open.asked.expect("what is asked");
    story.check("the reason", asked.reason.reveal(), REASON);
    story.check("for whom", asked.wanted.answer_to.to_string().as_str(), ZUID);
    story.check("who asks", (open.partner.ura.as_str(), open.partner.verified), ("90000382", true));
    story.check("open requests in status", story.status(At::Noord).await.requests_open, 1);
    until(&story, At::Zuid, request, RequestCode::Seen).await;

    // Two studies answer it; the box is killed while the first is on its way.
    let (first, second) = (story.a_study(1, 10), story.a_study(2, 5));
    story.receive(&first).await;
    story.receive(&second).await;
    let number = story.closed(&first).await.study;
    let sent = answer(&story, number, request).await;
    story.kill(At::Noord).await;
    story.until_state(At::Zuid, sent, StateCode::Opened).await;
    until(&story, At::Noord, request, RequestCode::Answered).await;
    until(&story, At::Zuid, request, RequestCode::Answered).await;
    let again = answer(&story, story.closed(&second).await.study, request).await;
    for transfer in [sent, again] {
        story.import(transfer).await;
        story.until_delivered(transfer).await;
        for at in [At::Noord, At::Zuid] {
            let detail = story.find(at, transfer).await.expect("it is there");
            story.check("what it answers", detail.line.answers, Some(request));
        }
    }
    for at in [At::Noord, At::Zuid] {
        let line = until(&story, at, request, RequestCode::Answered).await;
        story.check("what answers it", line.answers, vec![sent, again]);
        let trail = story.beeldboxctl(at, &["audit"]).await;
        assert!(trail.contains("request-answered"), "{trail}");
    }
    story.check("open requests in status", story.status(At::Noord).await.requests_open, 0);
    let said = story.beeldboxctl(At::Zuid, &["requests"]).await;
    assert!(said.contains("answered: images came") && said.contains(&sent.to_string()), "{said}");
    story.ends("noord: delivered 2 | zuid: reported 2", &[&first, &second], Repeats::Never).await;
}

#[tokio::test]
async fn a_refusal_comes_with_its_reason_also_after_an_outage() {
    let story = TwoHospitals::start().await;
    let request = ask(&story, REASON).await;
    until(&story, At::Noord, request, RequestCode::Open).await;
    until(&story, At::Zuid, request, RequestCode::Seen).await;
    let portal = story.demo.portal.as_ref().expect("a portal of its own");
    portal.take_down().await.expect("it can be ended");
    let id = request.to_string();
    story.beeldboxctl(At::Noord, &["request-refuse", &id, "--reason", "no-consent"]).await;
    let later = ask(&story, "Een tweede verzoek, tijdens de storing.").await;
    story.kill(At::Noord).await;
    story.kill(At::Zuid).await;
    story.check("where it stands", until(&story, At::Zuid, later, RequestCode::Asking).await.refused, None);
    portal.bring_up();
    let told = until(&story, At::Zuid, request, RequestCode::Refused).await;
    story.check("why", told.refused, Some(RequestRefusal::NoConsent));
    let said = story.beeldboxctl(At::Zuid, &["request-show", &id]).await;
    assert!(said.contains("refused (no-consent)"), "{said}");
    let again = Question::RefuseRequest { request, reason: RequestRefusal::Other };
    let refused = story.try_ask(At::Noord, again).await.expect_err("it is answered");
    story.check("why not twice", refused.code, RefusalCode::NotNow);
    until(&story, At::Noord, later, RequestCode::Open).await;
    story.ends("noord: - | zuid: -", &[], Repeats::Never).await;
}

#[tokio::test]
async fn a_request_is_taken_back_before_and_after_the_portal_has_it() {
    let story = TwoHospitals::start().await;
    let request = ask(&story, REASON).await;
    until(&story, At::Noord, request, RequestCode::Open).await;
    story.beeldboxctl(At::Zuid, &["request-withdraw", &request.to_string()]).await;
    until(&story, At::Zuid, request, RequestCode::Withdrawn).await;
    until(&story, At::Noord, request, RequestCode::Withdrawn).await;
    let refuse = Question::RefuseRequest { request, reason: RequestRefusal::Other };
    let refused = story.try_ask(At::Noord, refuse).await.expect_err("nobody waits");
    story.check("why not", refused.code, RefusalCode::NotNow);

    let portal = story.demo.portal.as_ref().expect("a portal of its own");
    portal.take_down().await.expect("it can be ended");
    let unborn = ask(&story, "Vergissing.").await;
    story.beeldboxctl(At::Zuid, &["request-withdraw", &unborn.to_string()]).await;
    until(&story, At::Zuid, unborn, RequestCode::Withdrawing).await;
    portal.bring_up();
    until(&story, At::Zuid, unborn, RequestCode::Withdrawn).await;
    let known = page(&story, At::Noord).await.requests;
    assert!(known.iter().all(|line| line.request != unborn), "Noord never heard of it");
    story.ends("noord: - | zuid: -", &[], Repeats::Never).await;
}

#[tokio::test]
async fn images_go_to_nobody_but_who_asked_and_another_patient_is_looked_at() {
    let story = TwoHospitals::start().await;
    let request = ask(&story, REASON).await;
    until(&story, At::Noord, request, RequestCode::Open).await;
    let study = story.a_study(1, 5);
    story.receive(&study).await;
    let number = story.closed(&study).await.study;
    let send = |to: Option<&str>, acknowledged: Vec<CheckFlag>| Question::SendAnswer {
        request,
        study: StudyRef::Number(number),
        addressee: to.map(|to| to.parse().expect("an addressee")),
        note: None,
        reply_contact: None,
        urgent: false,
        acknowledged,
    };
    let others = story.beeldboxctl(At::Noord, &["addressees", "Waddenkust"]).await;
    let other = others.split_whitespace().next().expect("a third hospital");
    let refused = story.try_ask(At::Noord, send(Some(other), vec![])).await.expect_err("somebody else");
    story.check("why", refused.code, RefusalCode::BadValue);
    let Reply::Check(check) =
        story.ask(At::Noord, Question::CheckAnswer { request, study: number, addressee: None }).await
    else {
        panic!("another answer")
    };
    story.check("to whom", check.addressee.id.to_string().as_str(), ZUID);
    assert!(check.flags.contains(&CheckFlag::OtherPatient), "{:?}", check.flags);
    let others: Vec<CheckFlag> =
        check.flags.iter().copied().filter(|flag| *flag != CheckFlag::OtherPatient).collect();
    let refused = story.try_ask(At::Noord, send(None, others)).await.expect_err("another patient");
    story.check("why", refused.code, RefusalCode::NotAcknowledged);
    let Reply::Sent(sent) = story.ask(At::Noord, send(None, check.flags)).await else {
        panic!("another answer")
    };
    story.import(sent).await;
    story.until_delivered(sent).await;
    until(&story, At::Zuid, request, RequestCode::Answered).await;
    story.ends("noord: delivered 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}

#[tokio::test]
async fn a_request_in_the_wrong_envelope_makes_none_and_a_person_is_told() {
    let story = TwoHospitals::start_with_own_portal().await;
    story.demo.noord.daemon.take_down().await.expect("it can be ended");
    let first = ask(&story, REASON).await;
    let second = ask(&story, "Een ander verzoek.").await;
    until(&story, At::Zuid, first, RequestCode::Asked).await;
    until(&story, At::Zuid, second, RequestCode::Asked).await;
    // The portal gives the letter of another request, and brings one a second time under a name of its own.
    story.portal().faults().wrong_letter(first, second);
    let replayed = TransferId::from_random([9; 16]);
    story.portal().replay(second, replayed).await.expect("it can replay");
    story.bring_up(At::Noord).await;
    until(&story, At::Noord, second, RequestCode::Open).await;
    story.until("both are told", async || page(&story, At::Noord).await.not_believed.len() == 2).await;
    let told = page(&story, At::Noord).await;
    assert!(told.requests.iter().all(|line| line.request == second), "{:?}", told.requests);
    for line in &told.not_believed {
        story.check("why", line.why.as_str(), "letter belongs to another transfer");
    }
    story.check("in status", story.status(At::Noord).await.requests_not_believed, 2);
    let said = story.beeldboxctl(At::Noord, &["requests"]).await;
    assert!(said.contains("NOT BELIEVED"), "{said}");

    // Once the portal behaves, the right letter is a request; what is a replay stays until a person puts it aside.
    story.portal().faults().behave();
    story.kill(At::Noord).await;
    until(&story, At::Noord, first, RequestCode::Open).await;
    let id = replayed.to_string();
    story.beeldboxctl(At::Noord, &["request-refuse", &id, "--reason", "other"]).await;
    let told = page(&story, At::Noord).await;
    story.check("what is left", (told.requests.len(), told.not_believed.len()), (2, 0));
    story.ends("noord: - | zuid: -", &[], Repeats::Never).await;
}

/// Lays a letter at the portal, in a request of Zuid to Noord: as somebody would who has no box.
async fn lay(
    story: &TwoHospitals,
    signer: &OrganisationSigner,
    key: &RecipientIdentity,
    about: About,
    code: fn(Task) -> Task,
) -> TransferId {
    let anchor =
        CertificateDer::from_pem_file(story.root().join("national/authority.pem")).expect("the authority");
    let anchors = TrustAnchors::new(&[anchor], &[]).expect("anchors");
    let noord = story.signer_of(At::Noord);
    let statement = statement(&noord, key);
    let recipient =
        RecipientVerified::verify(&statement, noord.ura(), &anchors, now()).expect("its own statement");
    let mut id = [0; 16];
    id.copy_from_slice(&random()[..16]);
    let request = TransferId::from_random(id);
    let party = |signer: &OrganisationSigner| Party {
        ura: signer.ura().clone(),
        organisation: signer.name().to_owned(),
        department: None,
        addressee: None,
    };
    let letter = Letter {
        v: 1,
        transfer: request,
        sender: party(signer),
        addressee: party(&noord),
        written_at: now(),
        valid_until: tomorrow(),
        urgent: false,
        patient: Patient { name: Some(Confidential::new("Niemand^Nergens")), ..Patient::default() },
        studies: Vec::new(),
        note: Some(Confidential::new(REASON)),
        reply_contact: None,
        instances: Vec::new(),
        packs: Vec::new(),
        about: Some(about),
        in_answer_to: None,
    };
    let sealed = letter::seal(&letter, signer, &[&recipient], &aws_lc_rs::rand::SystemRandom::new());
    let sealed = sealed.expect("a letter").into();
    let portal = story.portal_as(At::Zuid);
    let draft = NewTransfer {
        transfer: request,
        sender: story.demo.zuid.ura.parse().expect("a URA"),
        addressee_ura: story.demo.noord.ura.parse().expect("a URA"),
        addressee: NOORD.parse().expect("an addressee"),
        urgent: false,
        at: now(),
        valid_until: tomorrow(),
    };
    portal.create_task(&request, &code(draft.draft())).await.expect("a draft");
    portal.put_letter(&request, sealed, false).await.expect("a letter");
    let there = portal.task(&request).await.expect("the draft");
    portal.update_task(&request, &task::commit(there, &[])).await.expect("a commit");
    request
}

#[tokio::test]
async fn a_request_by_nobody_by_another_or_of_another_kind_is_refused_by_name() {
    let story = TwoHospitals::start().await;
    let (zuid, other) = (story.signer_of(At::Zuid), story.signer_of_bystander("90000401"));
    let stranger = self_signed(story.demo.zuid.ura, "Ziekenhuis Zuid");
    let key = story.identity_of(At::Noord);
    let wanted = WantedImages {
        modalities: Vec::new(),
        body_region: None,
        from: None,
        until: None,
        answer_to: ZUID.parse().expect("an addressee"),
    };
    let images = About::RequestImaging { wanted };
    let back = About::AskBack { transfer: TransferId::from_random([3; 16]) };
    let letters = [
        (&stranger, &key, &images, "the sender is not verified"),
        (&other, &key, &images, "the portal names another sender than the letter"),
        (&zuid, &a_recipient_key(), &images, "letter is not sealed to the key of this box"),
        (&zuid, &key, &back, "its letter asks for no images"),
    ];
    for (signer, key, about, why) in letters {
        let request = lay(&story, signer, key, about.clone(), as_request).await;
        let mut found = None;
        story
            .until("a person is told", async || {
                let told = page(&story, At::Noord).await.not_believed;
                found = told.into_iter().find(|line| line.request == request);
                found.is_some()
            })
            .await;
        let found = found.expect("it was found");
        assert!(found.why.starts_with(why), "{why}: {}", found.why);
    }
    // A letter that asks for images, in a question for a transfer back, asks nothing.
    lay(&story, &zuid, &key, images.clone(), task::as_question).await;
    let good = lay(&story, &zuid, &key, images, as_request).await;
    until(&story, At::Noord, good, RequestCode::Open).await;
    let told = page(&story, At::Noord).await;
    story.check("requests and what is not believed", (told.requests.len(), told.not_believed.len()), (1, 4));
    let trail = story.beeldboxctl(At::Noord, &["audit"]).await;
    story.check("audited once each", trail.matches("request-not-believed").count(), 4);
    story.ends("noord: - | zuid: -", &[], Repeats::Never).await;
}

#[tokio::test]
async fn a_portal_that_says_answered_without_images_is_not_believed() {
    let story = TwoHospitals::start_with_own_portal().await;
    let request = ask(&story, REASON).await;
    until(&story, At::Noord, request, RequestCode::Open).await;
    story
        .portal()
        .forge_receipt(request, beeldbox_protocol::admin::ReceiptStage::InPacs, true, "a.b.c")
        .await
        .expect("it can forge");
    let line = until(&story, At::Zuid, request, RequestCode::Promised).await;
    story.check("answers", line.answers, vec![]);
    // The real answer counts whatever the portal said.
    let study = story.a_study(1, 5);
    story.receive(&study).await;
    let sent = answer(&story, story.closed(&study).await.study, request).await;
    story.import(sent).await;
    story.until_delivered(sent).await;
    let line = until(&story, At::Zuid, request, RequestCode::Answered).await;
    story.check("answers", line.answers, vec![sent]);
    story.ends("noord: delivered 1 | zuid: reported 1", &[&study], Repeats::Never).await;
}

#[tokio::test]
async fn nothing_is_asked_of_a_hospital_whose_key_is_not_believed_or_is_another_than_before() {
    let story = TwoHospitals::start_with_own_portal().await;
    ask(&story, REASON).await;
    // Down, so that it does not publish its own key again.
    story.demo.noord.daemon.take_down().await.expect("it can be ended");
    let (noord, stranger) =
        (story.signer_of(At::Noord), self_signed(story.demo.noord.ura, "Ziekenhuis Noord"));
    let words = |line: &RequestLine| line.asked.clone().expect("what is asked");
    let asked = words(&page(&story, At::Zuid).await.requests[0]);
    let question = |reason: &str| Question::RequestImages {
        request: Box::new(NewRequest {
            addressee: NOORD.parse().expect("an addressee"),
            patient: asked.patient.clone(),
            wanted: asked.wanted.clone(),
            reason: Confidential::new(reason),
            reply_contact: None,
            urgent: false,
        }),
        acknowledged: vec![],
    };
    for (signer, said) in [(&stranger, "is not believed"), (&noord, "has another key than before")] {
        let statement = statement(signer, &a_recipient_key());
        story.portal().swap_recipient_key(noord.ura(), &statement).await.expect("it can swap");
        let mut last = None;
        story
            .until(&format!("the refusal says that the key {said}"), async || {
                last = story.try_ask(At::Zuid, question("Nog een verzoek.")).await.err();
                last.as_ref().is_some_and(|refusal| refusal.message.contains(said))
            })
            .await;
        story.check("why", last.map(|refusal| refusal.code), Some(RefusalCode::AddresseeNotVerified));
    }
    let nothing = Question::RequestImages {
        request: Box::new(NewRequest {
            addressee: NOORD.parse().expect("an addressee"),
            patient: Patient::default(),
            wanted: asked.wanted.clone(),
            reason: Confidential::new(REASON),
            reply_contact: None,
            urgent: false,
        }),
        acknowledged: vec![],
    };
    let refused = story.try_ask(At::Zuid, nothing).await.expect_err("it names nobody");
    story.check("why", refused.code, RefusalCode::BadValue);
}
