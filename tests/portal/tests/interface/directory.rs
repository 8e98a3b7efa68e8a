//! The address book: read in pages, kept up to date, and each publishes only its own key.

use beeldbox_portal::fictitious;
use beeldbox_protocol::portal::fhir::{Bundle, RECIPIENT_KEY_EXTENSION, URA_SYSTEM};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::hospital::{Hospital, NOORD, ZUID, a_portal};

async fn all(hospital: &Hospital, first: &str) -> (Vec<Value>, String) {
    let mut path = first.to_owned();
    let mut found = Vec::new();
    loop {
        let page: Bundle<Value> = hospital.get(&path).await.json().await.unwrap();
        let mark = page.meta.last_updated.unwrap().to_string();
        let next = page.next().map(str::to_owned);
        found.extend(page.entry.into_iter().filter_map(|entry| entry.resource));
        match next {
            Some(next) => path = next,
            None => return (found, mark),
        }
    }
}

fn endpoint(ura: &str, id: &str, key: &str) -> Value {
    json!({
        "resourceType": "Endpoint",
        "id": id,
        "status": "active",
        "connectionType": { "code": "box-e2ee" },
        "managingOrganization": { "identifier": { "system": URA_SYSTEM, "value": ura } },
        "extension": [{ "url": RECIPIENT_KEY_EXTENSION, "valueString": key }],
    })
}

async fn publish(hospital: &Hospital, endpoint: &Value, precondition: Option<(&str, &str)>) -> Response {
    let path = format!("/fhir/Endpoint/{}", endpoint["id"].as_str().unwrap());
    let mut request = hospital.request(Method::PUT, &path).json(endpoint);
    if let Some((name, value)) = precondition {
        request = request.header(name, value);
    }
    request.send().await.unwrap()
}

#[tokio::test]
async fn the_whole_directory_is_read_in_pages_and_kept_up_to_date_by_its_history() {
    let running = a_portal().await;
    running.portal.seed(fictitious::directory()).await.unwrap();
    let noord = Hospital::of(&running.portal, NOORD);
    let (organisations, mark) = all(&noord, "/fhir/Organization?_count=10").await;
    assert_eq!(organisations.len(), 45);
    let (services, _) = all(&noord, "/fhir/HealthcareService?_count=1000").await;
    assert!(services.len() > 100);
    let (nothing, mark) = all(&noord, &format!("/fhir/Organization/_history?_since={mark}&_count=7")).await;
    assert!(nothing.is_empty());

    running.portal.seed(fictitious::directory()).await.unwrap();
    let mut renamed = fictitious::directory().remove(0);
    renamed["name"] = "Ziekenhuis Noorderlicht".into();
    running.portal.seed(vec![renamed]).await.unwrap();
    let (changed, _) = all(&noord, &format!("/fhir/Organization/_history?_since={mark}&_count=7")).await;
    assert_eq!(changed.len(), 1, "seeding the same again changes nothing");
    assert_eq!(changed[0]["name"], "Ziekenhuis Noorderlicht");
    assert_eq!(changed[0]["meta"]["versionId"], "2");
}

#[tokio::test]
async fn an_organisation_publishes_its_own_endpoint_and_no_other() {
    let running = a_portal().await;
    running.portal.seed(fictitious::directory()).await.unwrap();
    let zuid = Hospital::of(&running.portal, ZUID);
    let own = endpoint(ZUID, "box-90000382", "a.b.c");
    assert_eq!(publish(&zuid, &own, None).await.status(), StatusCode::CREATED);
    assert_eq!(publish(&zuid, &own, None).await.status(), StatusCode::OK);
    let stored: Value = zuid.get("/fhir/Endpoint/box-90000382").await.json().await.unwrap();
    assert_eq!(stored["meta"]["versionId"], "1", "the same words are the same version");

    let of_another = [
        endpoint(NOORD, "box-90000381", "x"),
        endpoint(ZUID, "box-90000381", "x"),
        endpoint(NOORD, "box-90000382", "x"),
    ];
    for endpoint in of_another {
        assert_eq!(publish(&zuid, &endpoint, None).await.status(), StatusCode::FORBIDDEN, "{endpoint}");
    }
    let mut by_reference = endpoint(ZUID, "box-90000382-b", "x");
    by_reference["managingOrganization"] = json!({ "reference": "Organization/noord" });
    assert_eq!(publish(&zuid, &by_reference, None).await.status(), StatusCode::FORBIDDEN);
    by_reference["managingOrganization"] = json!({ "reference": "Organization/zuid" });
    assert_eq!(publish(&zuid, &by_reference, None).await.status(), StatusCode::CREATED);
    let organisation = json!({ "resourceType": "Organization", "id": "zuid" });
    let put = zuid.request(Method::PUT, "/fhir/Organization/zuid").json(&organisation).send().await.unwrap();
    assert_eq!(put.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_endpoint_is_versioned() {
    let running = a_portal().await;
    let zuid = Hospital::of(&running.portal, ZUID);
    let version = |key: &str| endpoint(ZUID, "box-90000382", key);
    let made = publish(&zuid, &version("one"), Some(("if-none-match", "*"))).await;
    assert_eq!(made.headers()["etag"], "W/\"1\"");
    let again = publish(&zuid, &version("two"), Some(("if-none-match", "*"))).await;
    assert_eq!(again.status(), StatusCode::PRECONDITION_FAILED);
    let changed = publish(&zuid, &version("two"), Some(("if-match", "W/\"1\""))).await;
    assert_eq!(changed.headers()["etag"], "W/\"2\"");
    let late = publish(&zuid, &version("three"), Some(("if-match", "W/\"1\""))).await;
    assert_eq!(late.status(), StatusCode::PRECONDITION_FAILED);
}
