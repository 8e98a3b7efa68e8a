//! An invented directory: care providers that do not exist, in towns that do, so that searching and paging have
//! something to work on. The URAs 9000038x and 900004xx are of no register.
//!
//! Every organisation refers to `Endpoint/box-‹URA›`, which comes into being when its box publishes it.

use beeldbox_protocol::portal::fhir::URA_SYSTEM;
use serde_json::{Value, json};

/// Departments, with the suffix of their ids.
const DEPARTMENTS: [(&str, &str); 10] = [
    ("radiologie", "Radiologie"),
    ("cardiologie", "Cardiologie"),
    ("neurologie", "Neurologie"),
    ("seh", "Spoedeisende hulp"),
    ("chirurgie", "Chirurgie"),
    ("orthopedie", "Orthopedie"),
    ("longziekten", "Longziekten"),
    ("nucleair", "Nucleaire geneeskunde"),
    ("radiotherapie", "Radiotherapie"),
    ("mammapoli", "Mammapolikliniek"),
];

/// Id, name, town, number of departments (the first ones of [`DEPARTMENTS`]). The first two have the URAs 90000381
/// and 90000382; those after them count from 90000401.
const ORGANISATIONS: [(&str, &str, &str, usize); 45] = [
    ("noord", "Ziekenhuis Noord", "Groningen", 6),
    ("zuid", "Ziekenhuis Zuid", "Eindhoven", 6),
    ("waddenkust", "Streekziekenhuis Waddenkust", "Delfzijl", 2),
    ("friesemeren", "Ziekenhuis De Friese Meren", "Sneek", 3),
    ("oostergo", "Medisch Centrum Oostergo", "Leeuwarden", 4),
    ("drentseaa", "Ziekenhuis Drentse Aa", "Assen", 3),
    ("veenhorst", "Ziekenhuis Veenhorst", "Emmen", 2),
    ("vechtdal", "Ziekenhuis Vechtoever", "Hardenberg", 2),
    ("ijsselpoort", "IJsselpoort Ziekenhuis", "Zwolle", 5),
    ("hanzeborgh", "Hanzeborgh Kliniek", "Deventer", 2),
    ("sallandhof", "Sallandhof Ziekenhuis", "Almelo", 2),
    ("twentegaard", "Medisch Centrum Twentegaard", "Enschede", 5),
    ("berkelweide", "Streekziekenhuis Berkelweide", "Winterswijk", 2),
    ("veluwerand", "Ziekenhuis Veluwerand", "Apeldoorn", 3),
    ("rijnbrug", "Ziekenhuis Rijnbrug", "Arnhem", 4),
    ("waalsprong", "Medisch Centrum Waalbocht", "Nijmegen", 6),
    ("betuwehof", "Ziekenhuis Betuwehof", "Tiel", 2),
    ("valleizicht", "Ziekenhuis Valleizicht", "Ede", 2),
    ("eemland", "Eemstroom Ziekenhuis", "Amersfoort", 3),
    ("domstad", "Academisch Centrum Domstad", "Utrecht", 8),
    ("lekdijk", "Ziekenhuis Lekdijk", "Nieuwegein", 2),
    ("gooizoom", "Ziekenhuis Gooizoom", "Hilversum", 2),
    ("polderland", "Polderland Ziekenhuis", "Lelystad", 2),
    ("almeerhaven", "Ziekenhuis Almeerhaven", "Almere", 2),
    ("amstelboog", "Academisch Centrum Amstelboog", "Amsterdam", 8),
    ("zaanoever", "Ziekenhuis Zaanoever", "Zaandam", 2),
    ("waterlandhof", "Ziekenhuis Waterlandhof", "Purmerend", 1),
    ("westfrieslandhof", "Ziekenhuis De Westfriese Poort", "Hoorn", 2),
    ("alkmaarderhout", "Ziekenhuis Alkmaarder Singel", "Alkmaar", 3),
    ("spaarnestroom", "Ziekenhuis Spaarnestroom", "Haarlem", 2),
    ("rijnmondzuid", "Ziekenhuis Maashaven", "Rotterdam", 4),
    ("sleutelstad", "Academisch Centrum Sleutelstad", "Leiden", 8),
    ("hofvijver", "Ziekenhuis Hofvijver", "Den Haag", 3),
    ("delflandhof", "Ziekenhuis Delflandhof", "Delft", 2),
    ("goudseijssel", "Ziekenhuis Goudse IJssel", "Gouda", 1),
    ("drechtoever", "Ziekenhuis Drechtoever", "Dordrecht", 2),
    ("scheldekust", "Ziekenhuis Scheldekust", "Goes", 1),
    ("walcherengaard", "Kliniek Walcherengaard", "Middelburg", 1),
    ("markdal", "Ziekenhuis Markdal", "Breda", 3),
    ("leijezoom", "Ziekenhuis Leijezoom", "Tilburg", 3),
    ("dommelstroom", "Ziekenhuis Dommelstroom", "'s-Hertogenbosch", 3),
    ("peelrand", "Ziekenhuis Peelrand", "Helmond", 1),
    ("maasduin", "Ziekenhuis Maasduin", "Venlo", 2),
    ("mijnstreek", "Ziekenhuis De Mijnstreek", "Heerlen", 2),
    ("vrijthof", "Academisch Centrum Vrijthof", "Maastricht", 8),
];

/// The URA of the organisation with this index.
fn ura(index: usize) -> String {
    match index {
        0 => "90000381".to_owned(),
        1 => "90000382".to_owned(),
        later => format!("900004{:02}", later - 1),
    }
}

/// Every resource of the directory.
pub fn directory() -> Vec<Value> {
    let mut resources = Vec::new();
    for (index, (id, name, town, departments)) in ORGANISATIONS.into_iter().enumerate() {
        let ura = ura(index);
        let endpoint = json!([{ "reference": format!("Endpoint/box-{ura}") }]);
        let identifier = json!([{ "system": URA_SYSTEM, "value": ura }]);
        resources.push(json!({
            "resourceType": "Organization",
            "id": id,
            "identifier": identifier,
            "active": true,
            "name": name,
            "address": [{ "city": town, "country": "NL" }],
            "endpoint": endpoint,
        }));
        resources.push(json!({
            "resourceType": "Location",
            "id": format!("{id}-hoofdlocatie"),
            "status": "active",
            "name": format!("{name}, hoofdlocatie"),
            "address": { "city": town, "country": "NL" },
            "managingOrganization": { "reference": format!("Organization/{id}") },
        }));
        for (suffix, department) in DEPARTMENTS.into_iter().take(departments) {
            resources.push(json!({
                "resourceType": "HealthcareService",
                "id": format!("{id}-{suffix}"),
                "active": true,
                "providedBy": { "reference": format!("Organization/{id}") },
                "name": department,
                "location": [{ "reference": format!("Location/{id}-hoofdlocatie") }],
            }));
        }
    }
    resources
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use beeldbox_protocol::portal::directory::{DirectoryBuilder, Kind};

    use super::*;

    #[test]
    fn every_organisation_and_department_can_be_found() {
        let mut builder = DirectoryBuilder::new(jiff::Timestamp::UNIX_EPOCH);
        let resources = directory();
        for resource in &resources {
            let kind = Kind::ALL.into_iter().find(|kind| resource["resourceType"] == kind.as_str()).unwrap();
            builder.add(kind, &resource.to_string()).unwrap();
        }
        let of_kind = |kind: &str| resources.iter().filter(|one| one["resourceType"] == kind).count();
        assert_eq!(of_kind("Organization"), 45);
        assert!((100..200).contains(&of_kind("HealthcareService")), "{}", of_kind("HealthcareService"));
        let uras: HashSet<_> =
            resources.iter().filter_map(|one| one["identifier"][0]["value"].as_str()).collect();
        assert_eq!(uras.len(), 45);
        let directory = builder.build();
        let found = directory.find(&"zuid-radiologie".parse().unwrap()).unwrap();
        assert_eq!(found.addressee.ura.as_str(), "90000382");
        assert_eq!(found.addressee.place.as_deref(), Some("Eindhoven"));
        assert!(directory.find(&"noord-cardiologie".parse().unwrap()).is_some());
        assert!(directory.find(&"zuid-seh".parse().unwrap()).is_some());
    }
}
