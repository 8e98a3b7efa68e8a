//! From resources to entries: what refers to what, who can be addressed, and under which words.
//!
//! Resources come one by one in any order and are kept as numbers until all are there; references that lead nowhere are
//! normal while a directory is being loaded (IHE mCSD, ITI-90) and only make an entry poorer. Whoever has neither a URA
//! nor belongs to somebody who has one cannot be addressed and is left out.

use std::collections::{HashMap, HashSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};
use serde::de::DeserializeOwned;

use super::index::{Run, WordIndex};
use super::texts::{Collecting, Text};
use super::words::indexed_words;
use super::{BOX_CONNECTION, Directory, Kind, NO_ROUTE, Organisation, PORTAL_CONNECTION, Route, Row};
use crate::admin::Reception;
use crate::folding::folded;
use crate::ident::{AddresseeId, Ura};
use crate::portal::fhir::{
    self, Endpoint, HealthcareService, Identifier, Location, OrganizationAffiliation, Practitioner,
    PractitionerRole, RECIPIENT_KEY_EXTENSION, Reference, URA_SYSTEM,
};

/// The URA's system as an OID, as some registers write it.
const URA_OID: &str = "urn:oid:2.16.528.1.1007.3.3";

/// Longest text that is kept, in characters.
const LONGEST_TEXT: usize = 200;

/// Most references, names and places of one resource that count.
const MOST_OF_ONE: usize = 16;

/// Most steps from a part of an organisation up to the one that has a URA.
const MOST_STEPS_UP: usize = 8;

/// A resource that is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a resource of the directory cannot be read")]
pub struct OddResource;

/// Collects resources, then makes the directory.
#[derive(Debug)]
pub struct DirectoryBuilder {
    now: Timestamp,
    changes_at: Option<Timestamp>,
    texts: Collecting,
    organisations: Named<Provider>,
    locations: Named<Site>,
    endpoints: Named<Option<Route>>,
    services: Named<Service>,
    affiliations: Named<Affiliation>,
    people: Named<Text>,
    roles: Named<Role>,
}

/// Resources of one type by their id; one that comes again takes the place of the earlier.
#[derive(Debug)]
struct Named<T> {
    by_id: HashMap<Text, usize>,
    all: Vec<(Text, T)>,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Named { by_id: HashMap::new(), all: Vec::new() }
    }
}

impl<T> Named<T> {
    fn put(&mut self, id: Text, one: T) {
        match self.by_id.get(&id).and_then(|at| self.all.get_mut(*at)) {
            Some(place) => *place = (id, one),
            None => {
                self.by_id.insert(id, self.all.len());
                self.all.push((id, one));
            }
        }
    }

    fn get(&self, id: Text) -> Option<&T> {
        self.all.get(*self.by_id.get(&id)?).map(|(_, one)| one)
    }
}

#[derive(Debug)]
struct Provider {
    ura: Text,
    name: Text,
    aliases: Box<[Text]>,
    city: Text,
    part_of: Text,
    endpoints: Box<[Text]>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Site {
    name: Text,
    city: Text,
}

#[derive(Debug)]
struct Service {
    provider: Text,
    name: Text,
    locations: Box<[Text]>,
    endpoints: Box<[Text]>,
}

#[derive(Debug)]
struct Affiliation {
    of: Text,
    endpoints: Box<[Text]>,
}

#[derive(Debug)]
struct Role {
    practitioner: Text,
    provider: Text,
    service: Text,
    specialties: Box<[Text]>,
    locations: Box<[Text]>,
    endpoints: Box<[Text]>,
}

/// An entry before it has its place.
struct Sketch {
    id: Text,
    kind: Kind,
    /// Position in the list of care providers.
    of: u32,
    department: Text,
    location: Text,
    place: Text,
    person: Text,
    /// What it is also found under.
    also: Box<[Text]>,
    /// Position among the endpoints.
    endpoint: Option<usize>,
}

impl DirectoryBuilder {
    /// Nothing yet. Endpoints count if their period covers this moment.
    pub fn new(now: Timestamp) -> Self {
        DirectoryBuilder {
            now,
            changes_at: None,
            texts: Collecting::default(),
            organisations: Named::default(),
            locations: Named::default(),
            endpoints: Named::default(),
            services: Named::default(),
            affiliations: Named::default(),
            people: Named::default(),
            roles: Named::default(),
        }
    }

    /// Takes a resource that counts.
    ///
    /// # Errors
    /// If it is none of this type. Nothing of it is taken; the others are as good as before.
    pub fn add(&mut self, kind: Kind, json: &str) -> Result<(), OddResource> {
        match kind {
            Kind::Organization => self.add_organisation(read(json)?),
            Kind::Location => self.add_location(read(json)?),
            Kind::Endpoint => self.add_endpoint(read(json)?),
            Kind::HealthcareService => self.add_service(read(json)?),
            Kind::OrganizationAffiliation => self.add_affiliation(read(json)?),
            Kind::Practitioner => self.add_person(read(json)?),
            Kind::PractitionerRole => self.add_role(read(json)?),
        }
        Ok(())
    }

    fn add_organisation(&mut self, organisation: fhir::Organization) {
        if organisation.active == Some(false) {
            return;
        }
        let id = self.texts.of(&organisation.id);
        let ura = organisation.identifier.iter().find_map(ura_of);
        let city = organisation.address.iter().find_map(|address| address.city.as_deref());
        let provider = Provider {
            ura: self.texts.maybe(ura.as_ref().map(Ura::as_str)),
            name: self.short(organisation.name.as_deref()),
            aliases: organisation
                .alias
                .iter()
                .take(MOST_OF_ONE)
                .map(|alias| self.short(Some(alias)))
                .collect(),
            city: self.short(city),
            part_of: self.texts.maybe(organisation.part_of.as_ref().and_then(|of| of.id_of("Organization"))),
            endpoints: self.ids(&organisation.endpoint, "Endpoint"),
        };
        self.organisations.put(id, provider);
    }

    fn add_location(&mut self, location: Location) {
        let id = self.texts.of(&location.id);
        let city = location.address.as_ref().and_then(|address| address.city.as_deref());
        let site = Site { name: self.short(location.name.as_deref()), city: self.short(city) };
        self.locations.put(id, site);
    }

    fn add_endpoint(&mut self, endpoint: Endpoint) {
        let id = self.texts.of(&endpoint.id);
        let route = self.route(endpoint);
        self.endpoints.put(id, route);
    }

    fn route(&mut self, endpoint: Endpoint) -> Option<Route> {
        let reception = match endpoint.connection_type.as_ref()?.code.as_deref()? {
            BOX_CONNECTION => Reception::Box,
            PORTAL_CONNECTION => Reception::PortalDelivery,
            _ => return None,
        };
        if endpoint.status.as_deref() != Some("active") {
            return None;
        }
        let period = endpoint.period.unwrap_or_default();
        let begins = period.start.as_deref().and_then(begin_of);
        let ends = period.end.as_deref().and_then(end_of);
        // Built again when the next of these moments has passed.
        for moment in [begins, ends].into_iter().flatten().filter(|moment| *moment > self.now) {
            self.changes_at = Some(self.changes_at.map_or(moment, |earliest| earliest.min(moment)));
        }
        if begins.is_some_and(|begins| begins > self.now) || ends.is_some_and(|ends| ends <= self.now) {
            return None;
        }
        let mut extensions = endpoint.extension.into_iter();
        let statement = extensions.find(|extension| extension.url == RECIPIENT_KEY_EXTENSION)?.value_string?;
        Some(Route { reception, statement: statement.into() })
    }

    fn add_service(&mut self, service: HealthcareService) {
        if service.active == Some(false) {
            return;
        }
        let id = self.texts.of(&service.id);
        let provider = service.provided_by.as_ref().and_then(|by| by.id_of("Organization"));
        let service = Service {
            provider: self.texts.maybe(provider),
            name: self.short(service.name.as_deref()),
            locations: self.ids(&service.location, "Location"),
            endpoints: self.ids(&service.endpoint, "Endpoint"),
        };
        self.services.put(id, service);
    }

    fn add_affiliation(&mut self, affiliation: OrganizationAffiliation) {
        let of = affiliation.participating_organization.as_ref().and_then(|of| of.id_of("Organization"));
        let (Some(of), true) = (of, affiliation.active != Some(false)) else { return };
        let (id, of) = (self.texts.of(&affiliation.id), self.texts.of(of));
        let affiliation = Affiliation { of, endpoints: self.ids(&affiliation.endpoint, "Endpoint") };
        self.affiliations.put(id, affiliation);
    }

    fn add_person(&mut self, person: Practitioner) {
        let name = person.name.iter().find_map(fhir::HumanName::as_text);
        let (Some(name), true) = (name, person.active != Some(false)) else { return };
        let (id, name) = (self.texts.of(&person.id), self.short(Some(&name)));
        self.people.put(id, name);
    }

    fn add_role(&mut self, role: PractitionerRole) {
        if role.active == Some(false) {
            return;
        }
        let id = self.texts.of(&role.id);
        let first = |references: &[Reference], of: &str| {
            references.iter().find_map(|r| r.id_of(of).map(str::to_owned))
        };
        let practitioner = role.practitioner.as_ref().and_then(|one| one.id_of("Practitioner"));
        let provider = role.organization.as_ref().and_then(|one| one.id_of("Organization"));
        let specialties = role.specialty.iter().filter_map(fhir::CodeableConcept::name).take(MOST_OF_ONE);
        let role = Role {
            practitioner: self.texts.maybe(practitioner),
            provider: self.texts.maybe(provider),
            service: self.texts.maybe(first(&role.healthcare_service, "HealthcareService").as_deref()),
            specialties: specialties.map(|name| self.short(Some(name))).collect(),
            locations: self.ids(&role.location, "Location"),
            endpoints: self.ids(&role.endpoint, "Endpoint"),
        };
        self.roles.put(id, role);
    }

    /// A text, without what is around it, and not longer than a name.
    fn short(&mut self, text: Option<&str>) -> Text {
        let text = text.unwrap_or_default().trim();
        let cut = text.char_indices().nth(LONGEST_TEXT).and_then(|(at, _)| text.get(..at));
        self.texts.of(cut.unwrap_or(text))
    }

    fn ids(&mut self, references: &[Reference], kind: &str) -> Box<[Text]> {
        let ids = references.iter().filter_map(|reference| reference.id_of(kind)).take(MOST_OF_ONE);
        ids.map(|id| self.texts.of(id)).collect()
    }

    /// Puts everything together.
    pub fn build(mut self) -> Directory {
        let providers = self.providers();
        let mut sketches = self.sketches(&providers);
        self.sort(&mut sketches);
        self.write(&providers, &sketches)
    }

    /// Those with a URA and a name, in the order of their names.
    fn providers(&self) -> Vec<Text> {
        let is_whole = |one: &Provider| !one.ura.is_none() && !one.name.is_none();
        let whole = self.organisations.all.iter().filter(|(_, one)| is_whole(one));
        let mut providers: Vec<Text> = whole.map(|(id, _)| *id).collect();
        providers.sort_by_cached_key(|id| {
            let name = self.organisations.get(*id).map(|one| folded(self.texts.get(one.name)));
            (name, self.texts.get(*id).to_owned())
        });
        providers
    }

    /// Everybody who can be chosen.
    fn sketches(&mut self, providers: &[Text]) -> Vec<Sketch> {
        let numbers = providers.iter().zip(0_u32..);
        let numbers: HashMap<Text, u32> = numbers.map(|(id, number)| (*id, number)).collect();
        let mut affiliated: HashMap<Text, Vec<Text>> = HashMap::new();
        for (_, affiliation) in &self.affiliations.all {
            affiliated.entry(affiliation.of).or_default().extend(&affiliation.endpoints);
        }
        let linked = Linked { resources: self, numbers, affiliated };
        let mut sketches =
            Vec::with_capacity(self.organisations.all.len() + self.services.all.len() + self.roles.all.len());
        sketches.extend(self.organisations.all.iter().filter_map(|(id, one)| linked.organisation(*id, one)));
        sketches.extend(self.services.all.iter().filter_map(|(id, one)| linked.department(*id, one)));
        sketches.extend(self.roles.all.iter().filter_map(|(id, one)| linked.person(*id, one)));
        self.give_names(&mut sketches);
        sketches
    }

    /// An id names one entry, also where a server counts each type of resource from one: whoever comes second is named
    /// with its type. What is no FHIR id is left out.
    fn give_names(&mut self, sketches: &mut Vec<Sketch>) {
        let mut taken: HashSet<Text> = HashSet::with_capacity(sketches.len());
        sketches.retain_mut(|sketch| {
            if self.texts.get(sketch.id).parse::<AddresseeId>().is_err() {
                return false;
            }
            if taken.insert(sketch.id) {
                return true;
            }
            let longer = format!("{}.{}", sketch.kind.as_str(), self.texts.get(sketch.id));
            sketch.id = self.texts.of(&longer);
            longer.parse::<AddresseeId>().is_ok() && taken.insert(sketch.id)
        });
    }

    /// Organisation by organisation: the whole, the departments with their people, the people of no department.
    fn sort(&self, sketches: &mut [Sketch]) {
        sketches.sort_by_cached_key(|sketch| {
            let rank = match (sketch.department.is_none(), sketch.person.is_none()) {
                (true, true) => 0_u8,
                (false, _) => 1,
                (true, false) => 2,
            };
            let [department, person] =
                [sketch.department, sketch.person].map(|text| folded(self.texts.get(text)));
            (sketch.of, rank, department, person, sketch.id)
        });
    }

    fn write(self, providers: &[Text], sketches: &[Sketch]) -> Directory {
        let mut writer = Writer::default();
        let mut texts = Collecting::default();
        let mut directory = Directory { changes_at: self.changes_at, ..Directory::default() };
        let mut routes: HashMap<usize, u32> = HashMap::new();
        let mut begin = 0_usize;
        for (of, id) in (0_u32..).zip(providers) {
            let Some(provider) = self.organisations.get(*id) else { continue };
            let name = texts.of(self.texts.get(provider.name));
            directory.organisations.push(Organisation { name, ura: texts.of(self.texts.get(provider.ura)) });
            let own =
                sketches.get(begin..).unwrap_or_default().iter().take_while(|sketch| sketch.of == of).count();
            let run = run(begin, own);
            let called = provider.aliases.iter().chain([&provider.name, &provider.ura]);
            called.for_each(|text| writer.hold(self.texts.get(*text), Some(*text), run));
            for (at, sketch) in sketches.iter().enumerate().skip(begin).take(own) {
                let route = sketch.endpoint.map_or(NO_ROUTE, |endpoint| {
                    *routes.entry(endpoint).or_insert_with(|| {
                        let route = self.endpoints.all.get(endpoint).and_then(|(_, route)| route.clone());
                        directory.routes.extend(route);
                        u32::try_from(directory.routes.len())
                            .map_or(NO_ROUTE, |count| count.saturating_sub(1))
                    })
                });
                let run = self::run(at, 1);
                let repeated = [sketch.department, sketch.location, sketch.place];
                for text in repeated.iter().chain(&sketch.also) {
                    writer.hold(self.texts.get(*text), Some(*text), run);
                }
                writer.hold(self.texts.get(sketch.person), None, run);
                let mut keep = |text: Text| texts.of(self.texts.get(text));
                directory.entries.push(Row {
                    id: keep(sketch.id),
                    organisation: of,
                    department: keep(sketch.department),
                    location: keep(sketch.location),
                    place: keep(sketch.place),
                    person: keep(sketch.person),
                    route,
                });
            }
            begin += own;
        }
        directory.texts = texts.finish();
        let mut by_id: Vec<u32> = (0_u32..).zip(&directory.entries).map(|(at, _)| at).collect();
        by_id.sort_unstable_by_key(|at| {
            let row = usize::try_from(*at).ok().and_then(|at| directory.entries.get(at));
            row.map(|row| directory.texts.get(row.id)).unwrap_or_default()
        });
        directory.by_id = by_id;
        directory.entries.shrink_to_fit();
        directory.index = WordIndex::build(writer.pairs, &writer.words.finish(), directory.entries.len());
        directory
    }
}

fn run(first: usize, count: usize) -> Run {
    Run { first: u32::try_from(first).unwrap_or(u32::MAX), count: u32::try_from(count).unwrap_or_default() }
}

/// The words, while they are being collected.
#[derive(Default)]
struct Writer {
    words: Collecting,
    /// Words of texts that many entries share.
    known: HashMap<Text, Box<[Text]>>,
    pairs: Vec<(Text, Run)>,
}

impl Writer {
    /// These entries hold this text; `name` says by which it may be remembered.
    fn hold(&mut self, text: &str, name: Option<Text>, run: Run) {
        if text.is_empty() || run.count == 0 {
            return;
        }
        if let Some(known) = name.and_then(|name| self.known.get(&name)) {
            return self.pairs.extend(known.iter().map(|word| (*word, run)));
        }
        let words: Box<[Text]> = indexed_words(text).iter().map(|word| self.words.of(word)).collect();
        self.pairs.extend(words.iter().map(|word| (*word, run)));
        if let Some(name) = name {
            self.known.insert(name, words);
        }
    }
}

/// The resources, and what follows from their references.
struct Linked<'a> {
    resources: &'a DirectoryBuilder,
    /// Care providers by their id.
    numbers: HashMap<Text, u32>,
    /// Endpoints in networks, by who takes part.
    affiliated: HashMap<Text, Vec<Text>>,
}

impl Linked<'_> {
    /// The care provider that this is, or is a part of.
    fn provider(&self, mut id: Text) -> Option<(u32, Text)> {
        for _ in 0..MOST_STEPS_UP {
            if let Some(number) = self.numbers.get(&id) {
                return Some((*number, id));
            }
            id = self.resources.organisations.get(id)?.part_of;
        }
        None
    }

    fn organisation(&self, id: Text, one: &Provider) -> Option<Sketch> {
        let (of, whole) = self.provider(id)?;
        let provider = self.resources.organisations.get(whole)?;
        let department = if whole == id { Text::NONE } else { one.name };
        if whole != id && department.is_none() {
            return None;
        }
        Some(Sketch {
            id,
            kind: Kind::Organization,
            of,
            department,
            location: Text::NONE,
            place: first(&[one.city, provider.city]),
            person: Text::NONE,
            also: if whole == id { Box::default() } else { one.aliases.clone() },
            endpoint: self.endpoint(&[&one.endpoints], &[id, whole]),
        })
    }

    fn department(&self, id: Text, one: &Service) -> Option<Sketch> {
        let (of, whole) = self.provider(one.provider)?;
        let provider = self.resources.organisations.get(whole)?;
        let sites = self.sites(&one.locations);
        let part = self.resources.organisations.get(one.provider).filter(|_| whole != one.provider);
        let department = first(&[one.name, part.map(|part| part.name).unwrap_or_default()]);
        Some(Sketch {
            id,
            kind: Kind::HealthcareService,
            of,
            department,
            location: sites.first().map(|site| site.name).unwrap_or_default(),
            place: first(&[city(&sites), part.map(|part| part.city).unwrap_or_default(), provider.city]),
            person: Text::NONE,
            also: names(&sites).chain(part.map(|part| part.name)).collect(),
            endpoint: self.endpoint(&[&one.endpoints], &[one.provider, whole]),
        })
    }

    fn person(&self, id: Text, one: &Role) -> Option<Sketch> {
        let person = *self.resources.people.get(one.practitioner)?;
        let service = self.resources.services.get(one.service);
        let of_service = service.map(|service| service.provider).unwrap_or_default();
        let provider_id = first(&[one.provider, of_service]);
        let (of, whole) = self.provider(provider_id)?;
        let provider = self.resources.organisations.get(whole)?;
        let part = self.resources.organisations.get(provider_id).filter(|_| whole != provider_id);
        let mut sites = self.sites(&one.locations);
        sites.extend(service.map(|service| self.sites(&service.locations)).unwrap_or_default());
        let of_part = part.map(|part| part.name).unwrap_or_default();
        Some(Sketch {
            id,
            kind: Kind::PractitionerRole,
            of,
            department: first(&[service.map(|service| service.name).unwrap_or_default(), of_part]),
            location: sites.first().map(|site| site.name).unwrap_or_default(),
            place: first(&[city(&sites), provider.city]),
            person,
            also: names(&sites).chain(one.specialties.iter().copied()).chain([of_part]).collect(),
            endpoint: self.endpoint(
                &[&one.endpoints, service.map(|service| &*service.endpoints).unwrap_or_default()],
                &[provider_id, whole],
            ),
        })
    }

    /// The first way to receive: of its own, of the organisations it belongs to, of their networks.
    fn endpoint(&self, own: &[&[Text]], organisations: &[Text]) -> Option<usize> {
        let of =
            |id: &Text| self.resources.organisations.get(*id).map(|one| &*one.endpoints).unwrap_or_default();
        let networks = organisations.iter().filter_map(|id| self.affiliated.get(id)).flatten();
        let all = own.iter().copied().flatten().chain(organisations.iter().flat_map(of)).chain(networks);
        all.filter_map(|id| self.resources.endpoints.by_id.get(id).copied())
            .find(|at| self.resources.endpoints.all.get(*at).is_some_and(|(_, route)| route.is_some()))
    }

    fn sites(&self, ids: &[Text]) -> Vec<Site> {
        ids.iter().filter_map(|id| self.resources.locations.get(*id).copied()).collect()
    }
}

fn first(texts: &[Text]) -> Text {
    texts.iter().copied().find(|text| !text.is_none()).unwrap_or_default()
}

fn city(sites: &[Site]) -> Text {
    sites.iter().map(|site| site.city).find(|city| !city.is_none()).unwrap_or_default()
}

/// Names and towns of all places but the first, which has fields of its own.
fn names(sites: &[Site]) -> impl Iterator<Item = Text> + '_ {
    sites.iter().skip(1).take(MOST_OF_ONE).flat_map(|site| [site.name, site.city])
}

fn read<R: DeserializeOwned>(json: &str) -> Result<R, OddResource> {
    serde_json::from_str(json).map_err(|_| OddResource)
}

fn ura_of(identifier: &Identifier) -> Option<Ura> {
    let is_ura = matches!(identifier.system.as_deref(), Some(URA_SYSTEM | URA_OID));
    identifier.value.as_deref().filter(|_| is_ura)?.parse().ok()
}

/// The first moment of a FHIR dateTime, which may be a day, a month or a year (FHIR R4 §2.24.0.1).
fn begin_of(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| at_midnight(day(text)?.0))
}

/// The moment after the last of it.
fn end_of(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| {
        let (first, length) = day(text)?;
        at_midnight(first.checked_add(length).ok()?)
    })
}

/// The first day, and how long it is.
fn day(text: &str) -> Option<(Date, Span)> {
    let (whole, length) = match text.len() {
        4 => (format!("{text}-01-01"), 1.year()),
        7 => (format!("{text}-01"), 1.month()),
        10 => (text.to_owned(), 1.day()),
        _ => return None,
    };
    Some((whole.parse().ok()?, length))
}

fn at_midnight(day: Date) -> Option<Timestamp> {
    day.to_zoned(TimeZone::UTC).ok().map(|midnight| midnight.timestamp())
}
