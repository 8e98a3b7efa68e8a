//! What a person can do with the pages, in both languages, against a fake daemon on a real socket.
#![allow(clippy::unwrap_used, reason = "a test")]

mod desk;
mod fake_box;

use axum::http::StatusCode;
use beeldbox_protocol::admin::{CheckFlag, DeclineCode, Question, RefusalCode, StateCode};
use beeldbox_protocol::ident::Digest;
use desk::Desk;

#[tokio::test]
async fn every_page_shows_in_both_languages_without_a_missing_text() {
    for language in ["nl", "en"] {
        let desk = Desk::signed_in(language).await;
        for path in desk.all_paths() {
            let page = desk.get(&path).await;
            assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text);
            assert!(!page.text.contains('⟦'), "{path} lacks a text: {}", page.text);
            assert!(!page.text.contains("{n}") && !page.text.contains("{when}"), "{path} has an empty place");
            assert!(page.text.contains(&format!("<html lang=\"{language}\">")), "{path}");
        }
    }
}

#[tokio::test]
async fn every_state_has_words_for_both_directions() {
    let states = [
        "collecting",
        "queued",
        "addressed",
        "sending",
        "accepted",
        "fetched",
        "delivered",
        "erased",
        "announced",
        "fetching",
        "opened",
        "reconciled",
        "delivering",
        "reported",
        "held",
        "recalled",
        "declined",
        "expired",
        "failed",
    ];
    let desk = Desk::signed_in("nl").await;
    for state in states {
        let state: StateCode = serde_json::from_str(&format!("\"{state}\"")).unwrap();
        desk.fake.change(|world| {
            for detail in world.sent.iter_mut().chain(&mut world.inbox) {
                detail.line.situation.state = state;
                detail.line.situation.declined = Some(DeclineCode::Incomplete);
            }
        });
        for path in ["/sent", "/inbox"] {
            let page = desk.get(path).await;
            assert_eq!(page.status, StatusCode::OK);
            assert!(!page.text.contains('⟦'), "{state:?}");
        }
    }
}

#[tokio::test]
async fn a_study_is_sent_with_note_and_ticks() {
    let desk = Desk::signed_in("nl").await;
    desk.fake.change(|world| world.flags = vec![CheckFlag::FirstTime]);
    let (_, page) = desk.check_page(17, "zuid-card", "Graag oordeel").await;
    for words in
        ["DE VRIES-JANSEN", "9999 90 019", "Zuiderpoort UMC", "Cardiologie", "7F3A 91C2", "Graag oordeel"]
    {
        assert!(page.text.contains(words), "{words}");
    }
    assert!(!page.text.contains("id=\"confirm\" autofocus"), "a flag takes the focus from the button");
    let (draft, fingerprint) = (page.field("draft"), page.field("fingerprint"));
    let fields = [("draft", draft.as_str()), ("fingerprint", &fingerprint)];
    let refused = desk.post("/send/17/confirm", &fields).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text.contains("id=\"errors\"") && desk.fake.acts().is_empty());
    let fields = [("draft", draft.as_str()), ("fingerprint", &fingerprint), ("tick", "first-time")];
    let sent = desk.post("/send/17/confirm", &fields).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text);
    let detail = desk.get(sent.location()).await;
    assert!(detail.text.contains("Het onderzoek gaat naar Zuiderpoort UMC – Cardiologie"));
    let acts = desk.fake.acts();
    assert_eq!((acts.len(), acts[0].actor.name.as_str()), (1, desk::ACCOUNT));
    let Question::Send { note, acknowledged, .. } = &acts[0].question else { panic!("not a send") };
    assert_eq!(note.as_ref().unwrap().reveal(), "Graag oordeel");
    assert_eq!(acknowledged, &[CheckFlag::FirstTime]);
    let again = desk.post("/send/17/confirm", &fields).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "a second click must not send again");
    assert_eq!(desk.fake.acts().len(), 1);
}

#[tokio::test]
async fn without_flags_the_button_names_the_addressee_and_has_the_focus() {
    let desk = Desk::signed_in("en").await;
    let (_, page) = desk.check_page(17, "zuid-rad", "").await;
    assert!(page.text.contains("id=\"confirm\" autofocus"));
    assert!(page.text.contains("Send to Zuiderpoort UMC – Radiologie"));
}

#[tokio::test]
async fn an_addressee_is_found_without_script() {
    let desk = Desk::signed_in("nl").await;
    let page = desk.get("/send/17").await;
    let fingerprint = page.field("fingerprint");
    let fields =
        [("fingerprint", fingerprint.as_str()), ("act", "search"), ("q", "winter rad"), ("note", "bewaard")];
    let sent = desk.post("/send/17", &fields).await;
    let found = desk.get(sent.location().trim_end_matches("#results")).await;
    assert!(found.text.contains("value=\"noord-rad\"") && found.text.contains("bewaard"));
    assert!(!found.text.contains("value=\"zuid-rad\""));
    let fields = [("fingerprint", fingerprint.as_str()), ("act", "check"), ("q", "winter rad")];
    let nobody = desk.post("/send/17", &fields).await;
    let asked = desk.get(nobody.location()).await;
    assert!(asked.text.contains("Kies eerst een ontvanger"));
}

#[tokio::test]
async fn options_say_who_cannot_receive() {
    let desk = Desk::signed_in("nl").await;
    let options = desk.get("/addressees?q=k").await;
    assert!(options.text.contains("ontvangt via het portaal"));
    let options = desk.get("/addressees?q=heuvel").await;
    assert!(options.text.contains("niet aangesloten"));
    let (_, page) = desk.check_page(17, "heuvel-1", "").await;
    assert!(page.text.contains("id=\"obstacle\"") && !page.text.contains("id=\"confirm\""));
}

#[tokio::test]
async fn a_received_study_is_filed_under_a_patient_of_this_hospital() {
    let desk = Desk::signed_in("nl").await;
    let id = desk.fake.world.lock().unwrap().inbox[1].line.transfer;
    let path = format!("/inbox/{id}/import");
    let page = desk.get(&path).await;
    for words in [
        "Het BSN is niet aan beide kanten bekend.",
        "De geboortedatum verschilt.",
        "antwoordt niet",
        "7700123",
    ] {
        assert!(page.text.contains(words), "{words}");
    }
    let fingerprint = page.field("fingerprint");
    let seen = Digest::of(b"7700123").to_string();
    let chosen = [("fingerprint", &*fingerprint), ("patient_id", "7700123"), ("seen", &*seen)];
    let check = desk.post(&format!("{path}/check"), &chosen).await;
    assert_eq!(check.status, StatusCode::OK, "{}", check.text);
    assert!(check.text.contains("id=\"tick-bsn-missing\"") && !check.text.contains("id=\"why\""));
    // What was not shown cannot be chosen, and nobody without a number becomes "as it came".
    let unseen = Digest::of(b"other").to_string();
    let other = [("fingerprint", &*fingerprint), ("patient_id", "7700123"), ("seen", &*unseen)];
    assert_eq!(desk.post(&format!("{path}/check"), &other).await.status, StatusCode::CONFLICT);
    let nobody = [("fingerprint", &*fingerprint), ("patient_id", ""), ("seen", &*seen)];
    assert_eq!(desk.post(&path, &nobody).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(desk.fake.acts().is_empty());

    let mut import = chosen.to_vec();
    import.extend([("tick", "bsn-missing"), ("accession", "ZUID-77")]);
    let done = desk.post(&path, &import).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    let acts = desk.fake.acts();
    let Question::Import { patient: Some(choice), .. } = &acts[0].question else { panic!("not an import") };
    assert_eq!(choice.patient_id.reveal(), "7700123");
    assert_eq!(choice.acknowledged, ["bsn-missing"]);
    assert_eq!(choice.accession_number.as_ref().unwrap().reveal(), "ZUID-77");
    assert_eq!(choice.seen, Some(Digest::of(b"7700123")));
}

#[tokio::test]
async fn what_contradicts_goes_to_a_second_person() {
    let desk = Desk::signed_in("nl").await;
    let id = desk.fake.world.lock().unwrap().inbox[1].line.transfer;
    let path = format!("/inbox/{id}/import");
    let fingerprint = desk.get(&path).await.field("fingerprint");
    let seen = Digest::of(b"7700124").to_string();
    let chosen = [("fingerprint", &*fingerprint), ("patient_id", "7700124"), ("seen", &*seen)];
    let check = desk.post(&format!("{path}/check"), &chosen).await;
    assert!(check.text.contains("id=\"why\"") && check.text.contains("tweede persoon"));
    let without = [&chosen[..], &[("why", " ")]].concat();
    assert_eq!(desk.post(&path, &without).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(desk.fake.acts().is_empty());
    let with = [&chosen[..], &[("why", "telefonisch bevestigd")]].concat();
    assert_eq!(desk.post(&path, &with).await.status, StatusCode::SEE_OTHER);

    desk.fake.change(|world| world.inbox[1].line.is_proposed = true);
    let page = desk.get(&path).await;
    assert!(page.text.contains("id=\"agree-now\"") && page.text.contains("collega"));
    let proposal = Digest::of(b"proposal").to_string();
    let agree = [("fingerprint", &*page.field("fingerprint")), ("seen", &*proposal)];
    assert_eq!(desk.post(&format!("{path}/agree"), &agree).await.status, StatusCode::SEE_OTHER);
    let acts = desk.fake.acts();
    assert!(matches!(acts.last().unwrap().question, Question::AgreeToImport { .. }));
}

#[tokio::test]
async fn a_patient_is_searched_for_and_a_study_is_set_aside() {
    let desk = Desk::signed_in("en").await;
    let id = desk.fake.world.lock().unwrap().inbox[1].line.transfer;
    let path = format!("/inbox/{id}/import");
    let fingerprint = desk.get(&path).await.field("fingerprint");
    let search = |birth| [("fingerprint", fingerprint.clone()), ("name", "vries".into()), ("birth", birth)];
    let post = async |form: &[(&str, String)], to: String| {
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        desk.post(&to, &form).await
    };
    let found = post(&search("14-03-1945".to_owned()), format!("{path}/search")).await;
    assert_eq!(found.status, StatusCode::OK, "{}", found.text);
    let asked = desk.fake.world.lock().unwrap().asked.clone();
    let searched = asked.iter().rev().find_map(|call| {
        let Question::Candidates { search, .. } = &call.question else { return None };
        Some(search.clone())
    });
    assert_eq!(searched.unwrap().birth_date.unwrap().reveal(), "19450314");
    let bad = post(&search("yesterday".to_owned()), format!("{path}/search")).await;
    assert_eq!(bad.status, StatusCode::UNPROCESSABLE_ENTITY);

    let aside = format!("/inbox/{id}/set-aside");
    let without = post(&[("fingerprint", fingerprint.clone())], aside.clone()).await;
    assert_eq!(without.status, StatusCode::UNPROCESSABLE_ENTITY);
    let with = post(&[("fingerprint", fingerprint.clone()), ("reason", "wie is dit".into())], aside).await;
    assert_eq!(with.status, StatusCode::SEE_OTHER);
    assert!(matches!(desk.fake.acts().last().unwrap().question, Question::SetAside { .. }));
}

#[tokio::test]
async fn transfers_are_recalled_resumed_and_declined() {
    let desk = Desk::signed_in("nl").await;
    let (held, received) = {
        let world = desk.fake.world.lock().unwrap();
        (world.sent[2].line.transfer, world.inbox[1].line.transfer)
    };
    let page = desk.get(&format!("/sent/{held}")).await;
    assert!(page.text.contains("opeens een andere sleutel") && page.text.contains("id=\"retry\""));
    let fingerprint = page.field("fingerprint");
    let resumed = desk.post(&format!("/sent/{held}/retry"), &[("fingerprint", &fingerprint)]).await;
    assert_eq!(resumed.status, StatusCode::SEE_OTHER);
    let recalled = desk.post(&format!("/sent/{held}/recall"), &[("fingerprint", &fingerprint)]).await;
    assert_eq!(recalled.status, StatusCode::SEE_OTHER);
    let page = desk.get(&format!("/inbox/{received}/decline")).await;
    let fingerprint = page.field("fingerprint");
    let path = format!("/inbox/{received}/decline");
    let none = desk.post(&path, &[("fingerprint", &fingerprint)]).await;
    assert_eq!(none.status, StatusCode::UNPROCESSABLE_ENTITY);
    let declined = desk.post(&path, &[("fingerprint", &fingerprint), ("reason", "unknown-patient")]).await;
    assert_eq!(declined.status, StatusCode::SEE_OTHER);
    assert_eq!(desk.fake.acts().len(), 3);
}

#[tokio::test]
async fn a_send_is_undone_from_its_page_without_a_script() {
    let desk = Desk::signed_in("nl").await;
    let (_, page) = desk.check_page(18, "zuid-card", "").await;
    let (draft, fingerprint) = (page.field("draft"), page.field("fingerprint"));
    let fields = [
        ("draft", draft.as_str()),
        ("fingerprint", &fingerprint),
        ("tick", "first-time"),
        ("tick", "no-bsn"),
        ("tick", "still-arriving"),
    ];
    let sent = desk.post("/send/18/confirm", &fields).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text);
    let path = sent.location().to_owned();
    let page = desk.get(&path).await;
    assert!(page.text.contains("Ongedaan maken (<span data-left>8</span> s)"), "{}", page.text);
    assert!(!page.text.contains("id=\"recall\""), "two ways back at once");
    let wrong = desk.post(&format!("{path}/undo"), &[("fingerprint", "x")]).await;
    assert_eq!(wrong.status, StatusCode::CONFLICT);
    let undone = desk.post(&format!("{path}/undo"), &[("fingerprint", &page.field("fingerprint"))]).await;
    assert_eq!((undone.status, undone.location()), (StatusCode::SEE_OTHER, "/send"));
    assert!(matches!(desk.fake.acts().last().unwrap().question, Question::Undo { .. }));
}

#[tokio::test]
async fn what_is_delivered_is_told_as_n_of_m() {
    let desk = Desk::signed_in("nl").await;
    let page = desk.get("/sent").await;
    assert!(page.text.contains("37 van 38 beelden.") && page.text.contains("210 van 210 beelden."));
    let id = desk.fake.world.lock().unwrap().sent[4].line.transfer;
    let page = desk.get(&format!("/sent/{id}")).await;
    assert!(page.text.contains("1 beeld is door het PACS van de ontvanger niet aangenomen"));
    assert!(page.text.contains("beeld 18: status A900H"));
}

#[tokio::test]
async fn an_open_page_fetches_only_its_block() {
    let desk = Desk::signed_in("nl").await;
    let block = desk.fragment("/sent").await;
    assert!(block.text.contains("id=\"live\"") && block.text.contains("id=\"menu\""));
    assert!(!block.text.contains("<html") && block.text.contains("<progress"));
}

#[tokio::test]
async fn favourites_and_the_last_addressees_come_first_and_are_set_here() {
    let desk = Desk::signed_in("nl").await;
    let page = desk.get("/send/17").await;
    let (favourite, last) = (page.text.find("value=\"noord-rad\""), page.text.find("value=\"zuid-card\""));
    assert!(favourite.is_some() && favourite < last, "{}", page.text);
    assert!(page.text.contains("Maak favoriet: Zuiderpoort UMC – Cardiologie"));
    assert!(page.text.contains("Adresboek bijgewerkt"));
    let fields = [
        ("fingerprint", page.field("fingerprint")),
        ("favour", "zuid-card".to_owned()),
        ("note", "bewaard".to_owned()),
    ];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let back = desk.post("/send/17", &fields).await;
    assert_eq!(back.status, StatusCode::SEE_OTHER, "{}", back.text);
    let page = desk.get(back.location()).await;
    assert!(page.text.contains("Geen favoriet meer: Zuiderpoort UMC – Cardiologie"));
    assert!(page.text.contains("bewaard"), "what was typed is still there");
    let unset = [("fingerprint", page.field("fingerprint")), ("unfavour", "noord-rad".to_owned())];
    let unset: Vec<(&str, &str)> = unset.iter().map(|(name, value)| (*name, value.as_str())).collect();
    desk.post("/send/17", &unset).await;
    let Question::SetFavourite { addressee, is_favourite: false } = &desk.fake.acts()[1].question else {
        panic!("{:?}", desk.fake.acts())
    };
    assert_eq!(addressee.as_str(), "noord-rad");
    assert_eq!(desk.fake.acts()[1].actor.name, desk::ACCOUNT);
}

#[tokio::test]
async fn an_addressee_to_a_person_shows_all_three_lines_and_portal_delivery_is_labelled() {
    let desk = Desk::signed_in("nl").await;
    desk.fake.change(|world| {
        let entry = world.directory.iter_mut().find(|entry| entry.id.as_str() == "kust-1").unwrap();
        entry.person = Some("dr. J. de Wit".to_owned());
        entry.location = Some("Kustziekenhuis, locatie Haven".to_owned());
        world.favourites = vec![entry.id.clone()];
    });
    for path in ["/addressees?q=kust", "/send/17"] {
        let page = desk.get(path).await;
        for words in
            ["Kustziekenhuis", "Radiologie", "locatie Haven", "dr. J. de Wit", "ontvangt via het portaal"]
        {
            assert!(page.text.contains(words), "{path} lacks {words}: {}", page.text);
        }
    }
    let (_, page) = desk.check_page(17, "kust-1", "").await;
    for words in ["dr. J. de Wit", "ontvangt via het portaal", "box bij het portaal, die ze kan lezen"] {
        assert!(page.text.contains(words), "the check page lacks {words}");
    }
}

#[tokio::test]
async fn a_directory_that_is_too_old_is_said_before_and_at_the_check() {
    let desk = Desk::signed_in("nl").await;
    desk.fake.change(|world| world.status.portal.directory_trouble = Some("it goes round".to_owned()));
    assert!(desk.get("/send/17").await.text.contains("het bijwerken lukt nu niet"));
    let status = desk.get("/status").await;
    assert!(status.text.contains("kan nu niet worden bijgewerkt") && status.text.contains("it goes round"));
    desk.fake.change(|world| {
        world.status.portal.directory_is_too_old = true;
        let message = "too old".to_owned();
        world.obstacle =
            Some(beeldbox_protocol::admin::Refusal { code: RefusalCode::DirectoryTooOld, message });
    });
    assert!(desk.get("/send/17").await.text.contains("te oud om op te vertrouwen"));
    assert!(desk.get("/status").await.text.contains("Het adresboek is te oud"));
    let (_, page) = desk.check_page(17, "zuid-rad", "").await;
    assert!(page.text.contains("SND-205") && !page.text.contains("id=\"confirm\""));
}

#[tokio::test]
async fn late_images_are_an_addendum_for_whom_got_the_others() {
    let desk = Desk::signed_in("nl").await;
    desk.fake.change(|world| {
        let to = world.directory.iter().find(|entry| entry.id.as_str() == "zuid-rad").cloned().unwrap();
        let study = world.studies.iter_mut().find(|line| line.study.0 == 17).unwrap();
        study.earlier = Some(beeldbox_protocol::admin::EarlierLine {
            transfer: study.transfer,
            addressee: to.id,
            partner: beeldbox_protocol::admin::Partner {
                ura: to.ura,
                organisation: to.organisation,
                department: None,
                verified: true,
            },
            at: world.now,
        });
    });
    let (_, page) = desk.check_page(17, "zuid-rad", "").await;
    assert!(page.text.contains("id=\"addendum\"") && page.text.contains("horen bij de verzending van"));
    let (_, page) = desk.check_page(17, "noord-rad", "").await;
    assert!(!page.text.contains("id=\"addendum\""));
}

#[tokio::test]
async fn an_empty_list_says_where_to_send() {
    let desk = Desk::signed_in("nl").await;
    desk.fake.change(|world| world.studies.clear());
    let page = desk.get("/send").await;
    assert!(page.text.contains("BEELDBOX") && page.text.contains("10.1.2.3:11112"));
}

#[tokio::test]
async fn an_absent_daemon_gives_a_clear_page_and_comes_back() {
    let desk = Desk::signed_in("nl").await;
    assert_eq!(desk.get("/healthz").await.status, StatusCode::OK);
    desk.stop_daemon().await;
    for path in ["/send", "/send/17", "/sent", "/inbox", "/status"] {
        let page = desk.get(path).await;
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{path}: {}", page.text);
        assert!(page.text.contains("De box antwoordt niet") && page.text.contains("BOX-001"), "{path}");
        assert!(page.text.contains("Storing"), "the frame says so too");
    }
    assert_eq!(desk.get("/healthz").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(desk.get("/login").await.status, StatusCode::OK);
    desk.start_daemon();
    assert_eq!(desk.get("/send").await.status, StatusCode::OK);
}

#[tokio::test]
async fn namesakes_are_marked_in_the_list() {
    let desk = Desk::signed_in("nl").await;
    let page = desk.get("/send").await;
    assert_eq!(page.text.matches("let op: naamgenoot").count(), 2);
}

#[tokio::test]
async fn the_language_is_changed_for_the_session() {
    let desk = Desk::signed_in("nl").await;
    let changed =
        desk.post("/language", &[("to", "en"), ("back", "/sent?before=2026-11-23T00:00:00Z")]).await;
    assert_eq!(changed.location(), "/sent?before=2026-11-23T00:00:00Z");
    assert!(desk.get("/sent").await.text.contains("<h1>Sent</h1>"));
}
