//! The directory as a whole: what is found, who receives, and that the index finds what a scan would.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::words::{indexed_words, wanted};
use super::*;
use crate::portal::fhir::{RECIPIENT_KEY_EXTENSION, URA_SYSTEM};

fn now() -> Timestamp {
    "2026-11-23T09:14:07Z".parse().unwrap()
}

fn built(resources: &[Value]) -> Directory {
    let mut builder = DirectoryBuilder::new(now());
    for resource in resources {
        let kind = Kind::ALL.into_iter().find(|kind| resource["resourceType"] == kind.as_str()).unwrap();
        builder.add(kind, &resource.to_string()).unwrap();
    }
    builder.build()
}

fn organization(id: &str, ura: &str, name: &str, city: &str) -> Value {
    json!({
        "resourceType": "Organization", "id": id, "name": name,
        "identifier": [{ "system": URA_SYSTEM, "value": ura }],
        "address": [{ "city": city }],
        "endpoint": [{ "reference": format!("Endpoint/box-{ura}") }],
    })
}

fn endpoint(ura: &str, connection: &str) -> Value {
    json!({
        "resourceType": "Endpoint", "id": format!("box-{ura}"), "status": "active",
        "connectionType": { "code": connection },
        "extension": [{ "url": RECIPIENT_KEY_EXTENSION, "valueString": format!("a.{ura}.c") }],
    })
}

fn a_directory() -> Directory {
    built(&[
        organization("noord", "90000381", "Ziekenhuis Noord", "Groningen"),
        organization("zuid", "90000382", "Ziekenhuis Zuid", "Één"),
        organization("nameless", "9", "Kapot", "Nergens"),
        json!({ "resourceType": "Organization", "id": "zuid-kind", "name": "Kinderziekenhuis",
                "partOf": { "reference": "https://lrza.example/fhir/Organization/zuid/_history/2" } }),
        json!({ "resourceType": "Location", "id": "oost", "name": "Locatie Oost", "address": { "city": "Assen" } }),
        json!({ "resourceType": "Location", "id": "west", "name": "Locatie West", "address": { "city": "Emmen" } }),
        endpoint("90000382", BOX_CONNECTION),
        json!({ "resourceType": "HealthcareService", "id": "zuid-rad", "name": "Radiologie",
                "providedBy": { "reference": "Organization/zuid" },
                "location": [{ "reference": "Location/oost" }, { "reference": "Location/west" }] }),
        json!({ "resourceType": "HealthcareService", "id": "kind-rad", "name": "Röntgen",
                "providedBy": { "reference": "Organization/zuid-kind" } }),
        json!({ "resourceType": "Practitioner", "id": "p1",
                "name": [{ "prefix": ["dr."], "given": ["J.C."], "family": "van den Berg" }] }),
        json!({ "resourceType": "PractitionerRole", "id": "r1", "practitioner": { "reference": "Practitioner/p1" },
                "healthcareService": [{ "reference": "HealthcareService/zuid-rad" }],
                "specialty": [{ "coding": [{ "display": "Neuroradiologie" }] }] }),
    ])
}

fn ids(directory: &Directory, query: &str) -> Vec<String> {
    directory.search(query, 10).into_iter().map(|addressee| addressee.id.to_string()).collect()
}

#[test]
fn words_match_in_any_order_from_their_beginning() {
    let directory = a_directory();
    assert_eq!(ids(&directory, "rad zui"), ["zuid-rad", "r1"]);
    assert_eq!(ids(&directory, "een"), ["zuid", "zuid-kind", "kind-rad"]);
    assert_eq!(ids(&directory, "ziekenhuis noo"), ["noord"]);
    assert_eq!(ids(&directory, "ziekenhuis").last().unwrap(), "noord", "those that can receive come first");
    assert!(ids(&directory, "uid").is_empty());
    assert_eq!(ids(&directory, "90000381"), ["noord"]);
}

#[test]
fn a_department_or_a_person_receives_where_its_organisation_does() {
    let directory = a_directory();
    for id in ["zuid", "zuid-rad", "zuid-kind", "kind-rad", "r1"] {
        let entry = directory.find(&id.parse().unwrap()).unwrap();
        assert_eq!(entry.addressee.reception, Reception::Box, "{id}");
        assert_eq!(entry.addressee.ura.as_str(), "90000382", "{id}");
        assert_eq!(entry.key_statement.as_deref(), Some("a.90000382.c"));
    }
    let entry = directory.find(&"noord".parse().unwrap()).unwrap();
    assert_eq!((entry.addressee.reception, entry.key_statement), (Reception::NotConnected, None));
    assert!(directory.find(&"nobody".parse().unwrap()).is_none());
    assert_eq!((directory.len(), directory.entries()), (5, 6));
}

#[test]
fn a_person_is_found_with_and_without_particles_by_specialty_and_by_place() {
    let directory = a_directory();
    for query in ["van den berg", "berg", "v.d. Berg", "berg neuro", "dr berg emmen", "zkh zuid berg"] {
        assert_eq!(ids(&directory, query).first().map(String::as_str), Some("r1"), "{query}");
    }
    let found = directory.find(&"r1".parse().unwrap()).unwrap().addressee;
    assert_eq!(found.person.as_deref(), Some("dr. J.C. van den Berg"));
    assert_eq!((found.department.as_deref(), found.place.as_deref()), (Some("Radiologie"), Some("Assen")));
    assert_eq!(found.location.as_deref(), Some("Locatie Oost"));
}

#[test]
fn whole_words_come_before_beginnings_and_the_usual_before_others() {
    let mut resources = Vec::new();
    for (number, name) in ["Radboud", "Rad", "Radar", "Raders"].iter().enumerate() {
        let ura = format!("9000010{number}");
        resources.push(organization(&format!("o{number}"), &ura, name, "Ede"));
        resources.push(endpoint(&ura, if number == 3 { PORTAL_CONNECTION } else { BOX_CONNECTION }));
    }
    let directory = built(&resources);
    assert_eq!(ids(&directory, "rad"), ["o1", "o2", "o0", "o3"]);
    let usual: [AddresseeId; 2] = ["o3".parse().unwrap(), "gone".parse().unwrap()];
    let found = directory.search_with_usual("rad ede", 3, &usual);
    let found: Vec<&str> = found.iter().map(|addressee| addressee.id.as_str()).collect();
    assert_eq!(found, ["o1", "o3", "o2"]);
    assert_eq!(directory.these(&usual).len(), 1);
    assert_eq!(directory.these(&usual)[0].reception, Reception::PortalDelivery);
    assert_eq!(ids(&directory, "o2"), ["o2"], "an id names its entry");
}

#[test]
fn one_id_in_two_types_names_two_entries() {
    let directory = built(&[
        organization("1", "90000381", "Ziekenhuis Noord", "Groningen"),
        json!({ "resourceType": "HealthcareService", "id": "1", "name": "Radiologie",
                "providedBy": { "reference": "Organization/1" } }),
    ]);
    assert_eq!(ids(&directory, "noord"), ["1", "HealthcareService.1"]);
    let second = directory.find(&"HealthcareService.1".parse().unwrap()).unwrap();
    assert_eq!(second.addressee.department.as_deref(), Some("Radiologie"));
}

#[test]
fn an_endpoint_counts_within_its_period() {
    let with = |status: &str, start: &str, end: &str| {
        let mut endpoint = endpoint("90000381", BOX_CONNECTION);
        endpoint["status"] = json!(status);
        endpoint["period"] = json!({ "start": start, "end": end });
        let directory = built(&[organization("noord", "90000381", "Noord", "Ede"), endpoint]);
        (directory.len(), directory.changes_at().map(|at| at.to_string()))
    };
    let next = |at: &str| Some(at.to_owned());
    assert_eq!(with("active", "2026", "2026-11"), (1, next("2026-12-01T00:00:00Z")));
    assert_eq!(with("active", "2026-11-23", "2026-11-23"), (1, next("2026-11-24T00:00:00Z")));
    assert_eq!(with("active", "2026-11-24", "2027"), (0, next("2026-11-24T00:00:00Z")));
    assert_eq!(with("active", "2020", "2026-11-22"), (0, None));
    assert_eq!(with("active", "nonsense", "2026-11-23T09:14:07Z"), (0, None));
    assert_eq!(with("suspended", "2020", "2030"), (0, None));
}

#[test]
fn organisations_that_are_part_of_each_other_end_nothing() {
    let part = |id: &str, of: &str| {
        json!({ "resourceType": "Organization", "id": id, "name": id,
                "partOf": { "reference": format!("Organization/{of}") } })
    };
    assert_eq!(built(&[part("a", "b"), part("b", "a"), part("c", "c")]).entries(), 0);
}

#[test]
fn a_network_lends_its_endpoint() {
    let directory = built(&[
        organization("noord", "90000381", "Noord", "Ede"),
        endpoint("77", BOX_CONNECTION),
        json!({ "resourceType": "OrganizationAffiliation", "id": "a",
                "participatingOrganization": { "reference": "Organization/noord" },
                "endpoint": [{ "reference": "Endpoint/box-77" }] }),
    ]);
    assert_eq!(directory.len(), 1);
}

/// A small generator, so that a failure can be run again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.roll(all.len())]
    }
}

/// What the search promises, looked up entry by entry.
fn scanned(
    directory: &Directory,
    held: &BTreeMap<AddresseeId, Vec<String>>,
    query: &str,
) -> Vec<AddresseeId> {
    let wanted = wanted(query);
    let mut found = Vec::new();
    for (position, row) in directory.entries.iter().enumerate() {
        let id: AddresseeId = directory.texts.get(row.id).parse().unwrap();
        let words = &held[&id];
        let begins = |want: &str| words.iter().any(|word| word.starts_with(want));
        if !wanted.iter().all(|want| !want.is_needed || begins(&want.word)) {
            continue;
        }
        let score: usize = wanted
            .iter()
            .map(|want| usize::from(begins(&want.word)) + usize::from(words.contains(&want.word)))
            .sum();
        found.push((row.route == NO_ROUTE, std::cmp::Reverse(score), position, id));
    }
    found.sort();
    found.into_iter().map(|(_, _, _, id)| id).collect()
}

#[test]
fn the_index_finds_what_a_scan_finds() {
    const NAMES: [&str; 12] = [
        "Sint Anna",
        "St. Anna",
        "Ziekenhuis",
        "Zkh",
        "UMC",
        "Medisch Centrum",
        "de IJssel",
        "Yvonne",
        "Één",
        "'t Hof",
        "van Straße",
        "Zuid",
    ];
    for seed in 0..6 {
        let mut dice = Dice(seed);
        let (mut resources, mut texts) = (Vec::new(), Vec::new());
        for number in 0..40 {
            let (id, ura) = (format!("o{number}"), format!("900{number:05}"));
            let name = format!("{} {} {}", dice.one_of(&NAMES), dice.one_of(&NAMES), dice.roll(9));
            let city = dice.one_of(&NAMES);
            resources.push(organization(&id, &ura, &name, city));
            let of_all = vec![name, ura.clone()];
            texts.push((id.parse().unwrap(), [of_all.clone(), vec![city.to_owned()]].concat()));
            if dice.roll(2) == 0 {
                resources.push(endpoint(&ura, BOX_CONNECTION));
            }
            for service in 0..dice.roll(4) {
                let (own, name) = (format!("{id}-{service}"), dice.one_of(&NAMES));
                resources.push(json!({ "resourceType": "HealthcareService", "id": own, "name": name,
                    "providedBy": { "reference": format!("Organization/{id}") } }));
                let held = [of_all.clone(), vec![city.to_owned(), name.to_owned()]].concat();
                texts.push((own.parse().unwrap(), held));
            }
        }
        let directory = built(&resources);
        let words = |texts: Vec<String>| texts.iter().flat_map(|text| indexed_words(text)).collect();
        let held = texts.into_iter().map(|(id, texts)| (id, words(texts))).collect();
        for _ in 0..100 {
            let mut query = String::new();
            for _ in 0..=dice.roll(3) {
                let word = dice.one_of(&NAMES);
                let cut = word.char_indices().nth(dice.roll(6)).map_or(word, |(at, _)| &word[..at]);
                query = format!("{query} {cut}");
            }
            let found = directory.search(&query, usize::MAX);
            let found: Vec<AddresseeId> = found.into_iter().map(|addressee| addressee.id).collect();
            assert_eq!(found, scanned(&directory, &held, &query), "seed {seed}, query {query:?}");
            let few = directory.search(&query, 3);
            assert!(
                few.iter().map(|addressee| &addressee.id).eq(found.iter().take(3)),
                "seed {seed}, {query:?}"
            );
        }
    }
}
