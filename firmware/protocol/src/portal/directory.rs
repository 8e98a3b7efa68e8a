//! The national directory, understood: organisations and departments, where they are and how they receive.
//!
//! The directory is a hint; the certificate is the truth. An entry here says only under which name to look and which
//! signed key statement to verify.

use std::collections::HashMap;

use super::fhir::{Endpoint, HealthcareService, Location, Organization, RECIPIENT_KEY_EXTENSION, URA_SYSTEM};
use crate::admin::{Addressee, Reception};

/// `Endpoint.connectionType` of an organisation with a box of its own.
pub const BOX_CONNECTION: &str = "box-e2ee";

/// `Endpoint.connectionType` of an organisation for which the portal hosts one.
pub const PORTAL_CONNECTION: &str = "portal-delivery";

/// One addressee with its key statement.
#[derive(Debug, Clone)]
pub struct DirectoryEntry {
    /// Who.
    pub addressee: Addressee,
    /// The signed recipient key, not yet verified.
    pub key_statement: Option<String>,
    /// Every searchable word, in lower case without diacritics.
    words: Vec<String>,
}

/// The resources that a directory consists of.
#[derive(Debug, Clone, Default)]
pub struct Resources {
    /// Care providers.
    pub organizations: Vec<Organization>,
    /// Departments.
    pub services: Vec<HealthcareService>,
    /// Places.
    pub locations: Vec<Location>,
    /// Ways to receive.
    pub endpoints: Vec<Endpoint>,
}

/// A searchable copy of the directory.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    entries: Vec<DirectoryEntry>,
}

impl Directory {
    /// Puts the resources together. An entry without a name or a URA cannot be addressed and is left out, as are
    /// those no longer active.
    pub fn build(resources: &Resources) -> Self {
        let endpoints: HashMap<&str, &Endpoint> =
            resources.endpoints.iter().map(|endpoint| (endpoint.id.as_str(), endpoint)).collect();
        let locations: HashMap<&str, &Location> =
            resources.locations.iter().map(|location| (location.id.as_str(), location)).collect();
        let mut entries = Vec::new();
        for organization in resources.organizations.iter().filter(|o| o.active != Some(false)) {
            let ura = organization.identifier.iter().find(|i| i.system.as_deref() == Some(URA_SYSTEM));
            let Some(ura) = ura.and_then(|i| i.value.as_deref()?.parse().ok()) else { continue };
            let (Some(name), Ok(id)) = (organization.name.clone(), organization.id.parse()) else { continue };
            let city = organization.address.iter().find_map(|address| address.city.clone());
            let whole = Addressee {
                id,
                ura,
                organisation: name,
                department: None,
                place: city,
                reception: Reception::NotConnected,
            };
            for service in resources.services.iter().filter(|service| service.active != Some(false)) {
                let provider = service.provided_by.as_ref().and_then(|by| by.id_of("Organization"));
                let (true, Ok(id)) = (provider == Some(organization.id.as_str()), service.id.parse()) else {
                    continue;
                };
                let place = service
                    .location
                    .iter()
                    .filter_map(|reference| locations.get(reference.id_of("Location")?))
                    .find_map(|location| location.address.as_ref()?.city.clone());
                let department = Addressee {
                    id,
                    department: service.name.clone(),
                    place: place.or_else(|| whole.place.clone()),
                    ..whole.clone()
                };
                let own = service.endpoint.iter().chain(&organization.endpoint);
                entries.push(entry(
                    department,
                    &organization.alias,
                    own.filter_map(|r| endpoints.get(r.id_of("Endpoint")?).copied()),
                ));
            }
            let own =
                organization.endpoint.iter().filter_map(|r| endpoints.get(r.id_of("Endpoint")?).copied());
            entries.push(entry(whole, &organization.alias, own));
        }
        entries.sort_by_key(|entry| sort_key(&entry.addressee));
        Directory { entries }
    }

    /// The entry with this id.
    pub fn find(&self, id: &crate::ident::AddresseeId) -> Option<&DirectoryEntry> {
        self.entries.iter().find(|entry| entry.addressee.id == *id)
    }

    /// Entries in which every word of the query begins some word. Those that can receive come first.
    pub fn search(&self, query: &str, limit: usize) -> Vec<Addressee> {
        let wanted = words_of(query);
        let mut found: Vec<&DirectoryEntry> = self
            .entries
            .iter()
            .filter(|entry| {
                wanted.iter().all(|want| entry.words.iter().any(|word| word.starts_with(want.as_str())))
            })
            .collect();
        found.sort_by_key(|entry| entry.addressee.reception == Reception::NotConnected);
        found.into_iter().take(limit).map(|entry| entry.addressee.clone()).collect()
    }

    /// How many can be addressed.
    pub fn len(&self) -> usize {
        self.entries.iter().filter(|entry| entry.addressee.reception != Reception::NotConnected).count()
    }

    /// Whether nobody can be addressed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn entry<'a>(
    mut addressee: Addressee,
    aliases: &[String],
    mut endpoints: impl Iterator<Item = &'a Endpoint>,
) -> DirectoryEntry {
    let usable = endpoints.find_map(|endpoint| {
        let reception = match endpoint.connection_type.as_ref()?.code.as_deref()? {
            BOX_CONNECTION => Reception::Box,
            PORTAL_CONNECTION => Reception::PortalDelivery,
            _ => return None,
        };
        let statement =
            endpoint.extension.iter().find(|extension| extension.url == RECIPIENT_KEY_EXTENSION)?;
        let is_active = endpoint.status.as_deref() == Some("active");
        is_active.then_some((reception, statement.value_string.clone()?))
    });
    if let Some((reception, _)) = &usable {
        addressee.reception = *reception;
    }
    let texts = [Some(&addressee.organisation), addressee.department.as_ref(), addressee.place.as_ref()];
    let mut words: Vec<String> =
        texts.into_iter().flatten().chain(aliases).flat_map(|text| words_of(text)).collect();
    words.push(addressee.ura.to_string());
    words.push(addressee.id.to_string().to_lowercase());
    DirectoryEntry { addressee, key_statement: usable.map(|(_, statement)| statement), words }
}

fn sort_key(addressee: &Addressee) -> (String, String) {
    (folded(&addressee.organisation), addressee.department.as_deref().map(folded).unwrap_or_default())
}

fn words_of(text: &str) -> Vec<String> {
    folded(text)
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Lower case, and the letters of Western European names without their marks.
fn folded(text: &str) -> String {
    text.to_lowercase()
        .chars()
        .map(|letter| match letter {
            'à'..='å' => 'a',
            'ç' => 'c',
            'è'..='ë' => 'e',
            'ì'..='ï' => 'i',
            'ñ' => 'n',
            'ò'..='ö' | 'ø' => 'o',
            'ù'..='ü' => 'u',
            'ý' | 'ÿ' => 'y',
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::fhir::{Address, Coding, Extension, Identifier, Reference};
    use super::*;

    fn a_directory() -> Directory {
        let reference = |text: &str| Reference { reference: Some(text.to_owned()), ..Reference::default() };
        let organization = |id: &str, ura: &str, name: &str, city: &str, endpoint: bool| Organization {
            id: id.to_owned(),
            identifier: vec![Identifier { system: Some(URA_SYSTEM.into()), value: Some(ura.into()) }],
            name: Some(name.to_owned()),
            address: vec![Address { city: Some(city.to_owned()) }],
            endpoint: if endpoint { vec![reference("Endpoint/box")] } else { vec![] },
            ..Organization::default()
        };
        let endpoint = Endpoint {
            id: "box".into(),
            status: Some("active".into()),
            connection_type: Some(Coding { code: Some(BOX_CONNECTION.into()), ..Coding::default() }),
            extension: vec![Extension {
                url: RECIPIENT_KEY_EXTENSION.into(),
                value_string: Some("a.b.c".into()),
            }],
            ..Endpoint::default()
        };
        let service = HealthcareService {
            id: "zuid-rad".into(),
            provided_by: Some(reference("Organization/zuid")),
            name: Some("Radiologie".into()),
            ..HealthcareService::default()
        };
        Directory::build(&Resources {
            organizations: vec![
                organization("noord", "90000381", "Ziekenhuis Noord", "Groningen", false),
                organization("zuid", "90000382", "Ziekenhuis Zuid", "Één", true),
                organization("nameless", "9", "Kapot", "Nergens", true),
            ],
            services: vec![service],
            locations: vec![],
            endpoints: vec![endpoint],
        })
    }

    #[test]
    fn words_match_in_any_order_from_their_beginning() {
        let directory = a_directory();
        let ids = |query: &str| -> Vec<String> {
            directory.search(query, 10).into_iter().map(|addressee| addressee.id.to_string()).collect()
        };
        assert_eq!(ids("rad zui"), ["zuid-rad"]);
        assert_eq!(ids("een"), ["zuid", "zuid-rad"]);
        assert_eq!(ids("ziek"), ["zuid", "zuid-rad", "noord"], "those that can receive come first");
        assert!(ids("uid").is_empty());
        assert_eq!(ids("90000381"), ["noord"]);
    }

    #[test]
    fn a_department_receives_where_its_organisation_does() {
        let directory = a_directory();
        let entry = directory.find(&"zuid-rad".parse().unwrap()).unwrap();
        assert_eq!(entry.addressee.reception, Reception::Box);
        assert_eq!(entry.key_statement.as_deref(), Some("a.b.c"));
        let entry = directory.find(&"noord".parse().unwrap()).unwrap();
        assert_eq!(entry.addressee.reception, Reception::NotConnected);
    }
}
