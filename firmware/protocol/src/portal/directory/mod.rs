//! The national directory, understood: organisations and departments, where they are, who works there, and how they
//! receive.
//!
//! ```text
//!   page (JSON) ─► told: what counts of each resource ─► [the ledger] ─► builder: links them ─► directory: searched
//! ```
//!
//! The directory is a hint; the certificate is the truth. An entry here says only under which name to look and which
//! signed key statement to verify. Whom a person can choose is, in this order: an organisation as a whole, its
//! departments (`HealthcareService`, or an `Organization` that is part of another), and the people in them
//! (`PractitionerRole`) where the source has people.
//!
//! Made for two hundred thousand entries on a small appliance: texts are kept once, entries are rows of numbers, and
//! the index is an inverted one.

use jiff::Timestamp;

use crate::admin::{Addressee, Reception};
use crate::ident::AddresseeId;

use index::{Bits, Found, WordIndex};
use texts::{Text, Texts};

// What a page of a FHIR server says.
pub mod page;
// From resources to entries.
mod builder;
// From words to entries.
mod index;
// Texts kept once.
mod texts;
// Spellings.
mod words;

pub use builder::{DirectoryBuilder, OddResource};

/// `Endpoint.connectionType` of an organisation with a box of its own.
pub const BOX_CONNECTION: &str = "box-e2ee";

/// `Endpoint.connectionType` of an organisation for which the portal hosts one.
pub const PORTAL_CONNECTION: &str = "portal-delivery";

/// The types of resource that a directory consists of, in the order in which they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Care providers, and their parts.
    Organization,
    /// Places.
    Location,
    /// Ways to receive.
    Endpoint,
    /// Departments.
    HealthcareService,
    /// Networks.
    OrganizationAffiliation,
    /// People.
    Practitioner,
    /// What they do, and where.
    PractitionerRole,
}

impl Kind {
    /// All of them, in the order in which they are read.
    pub const ALL: [Kind; 7] = [
        Kind::Organization,
        Kind::Location,
        Kind::Endpoint,
        Kind::HealthcareService,
        Kind::OrganizationAffiliation,
        Kind::Practitioner,
        Kind::PractitionerRole,
    ];

    /// Its name in FHIR.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Organization => "Organization",
            Kind::Location => "Location",
            Kind::Endpoint => "Endpoint",
            Kind::HealthcareService => "HealthcareService",
            Kind::OrganizationAffiliation => "OrganizationAffiliation",
            Kind::Practitioner => "Practitioner",
            Kind::PractitionerRole => "PractitionerRole",
        }
    }
}

/// One addressee with its key statement.
#[derive(Debug, Clone)]
pub struct DirectoryEntry {
    /// Who.
    pub addressee: Addressee,
    /// The signed recipient key, not yet verified.
    pub key_statement: Option<String>,
}

/// A searchable copy of the directory.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    texts: Texts,
    organisations: Vec<Organisation>,
    /// In the order of their names; those of one organisation lie side by side.
    entries: Vec<Row>,
    /// Positions in `entries`, in the order of their ids.
    by_id: Vec<u32>,
    routes: Vec<Route>,
    index: WordIndex,
    changes_at: Option<Timestamp>,
}

#[derive(Debug, Clone)]
struct Organisation {
    name: Text,
    ura: Text,
}

/// An entry.
#[derive(Debug, Clone)]
struct Row {
    id: Text,
    organisation: u32,
    department: Text,
    location: Text,
    place: Text,
    person: Text,
    /// Position in `routes`; [`NO_ROUTE`] if it cannot receive.
    route: u32,
}

const NO_ROUTE: u32 = u32::MAX;

/// A way to receive.
#[derive(Debug, Clone)]
struct Route {
    reception: Reception,
    statement: Box<str>,
}

impl Directory {
    /// The entry with this id.
    pub fn find(&self, id: &AddresseeId) -> Option<DirectoryEntry> {
        let row = self.row(self.position(id)?)?;
        let addressee = self.addressee(row)?;
        let key_statement = self.route(row).map(|route| route.statement.to_string());
        Some(DirectoryEntry { addressee, key_statement })
    }

    /// Entries in which every word of the query begins some word; particles of names may be missing. Those that can
    /// receive come first, then those with more of the words in full, then in the order of their names.
    pub fn search(&self, query: &str, limit: usize) -> Vec<Addressee> {
        self.search_with_usual(query, limit, &[])
    }

    /// The same, where of those that fit equally well the usual ones come first. A query that is an id gives that entry
    /// before all others.
    pub fn search_with_usual(&self, query: &str, limit: usize, usual: &[AddresseeId]) -> Vec<Addressee> {
        let found: Vec<Found> = words::wanted(query).iter().map(|word| self.index.find(word)).collect();
        let mut fitting = Bits::all(self.entries.len());
        for word in found.iter().filter(|word| word.is_needed) {
            fitting.keep(&word.begins);
        }
        let mut is_usual = Bits::none(self.entries.len());
        for position in usual.iter().filter_map(|id| self.position(id)) {
            is_usual.set(position, 1);
        }
        let named = query.trim().parse().ok().and_then(|id| self.position(&id));
        let best = self.best(&fitting, &found, &is_usual, limit);
        let others = best.into_iter().filter(|position| Some(*position) != named);
        let in_order = named.into_iter().chain(others).take(limit);
        in_order.filter_map(|position| self.addressee(self.row(position)?)).collect()
    }

    /// The first `limit` in the order of merit. Entries are met in the order of their names, so one list per merit,
    /// none longer than the limit, is enough.
    fn best(&self, fitting: &Bits, found: &[Found], is_usual: &Bits, limit: usize) -> Vec<usize> {
        let most = found.len() * 2;
        let merits = 2 * (most + 1) * 2;
        let mut lists: Vec<Vec<usize>> = vec![Vec::new(); merits];
        for position in fitting.iter() {
            let Some(row) = self.row(position) else { continue };
            let words: usize = found
                .iter()
                .map(|word| usize::from(word.begins.has(position)) + usize::from(word.whole.has(position)))
                .sum();
            let receives = usize::from(row.route == NO_ROUTE);
            let merit = (receives * (most + 1) + most - words) * 2 + usize::from(!is_usual.has(position));
            if let Some(list) = lists.get_mut(merit).filter(|list| list.len() < limit) {
                list.push(position);
                // Nothing that comes later can be better than the best.
                if merit == 0 && list.len() == limit {
                    break;
                }
            }
        }
        lists.into_iter().flatten().take(limit).collect()
    }

    /// These entries, in this order; those that are not here are left out.
    pub fn these(&self, ids: &[AddresseeId]) -> Vec<Addressee> {
        let rows = ids.iter().filter_map(|id| self.row(self.position(id)?));
        rows.filter_map(|row| self.addressee(row)).collect()
    }

    /// How many can be addressed.
    pub fn len(&self) -> usize {
        self.entries.iter().filter(|row| row.route != NO_ROUTE).count()
    }

    /// Whether nobody can be addressed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many entries there are, with those that cannot receive.
    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    /// When an Endpoint's period begins or ends next: it must be built again then.
    pub fn changes_at(&self) -> Option<Timestamp> {
        self.changes_at
    }

    /// Bytes held, without the key statements; and those of the key statements.
    pub fn memory(&self) -> (usize, usize) {
        let rows = self.entries.capacity() * size_of::<Row>()
            + self.organisations.capacity() * size_of::<Organisation>()
            + self.by_id.capacity() * size_of::<u32>()
            + self.routes.capacity() * size_of::<Route>();
        let statements = self.routes.iter().map(|route| route.statement.len()).sum();
        (rows + self.texts.memory() + self.index.memory(), statements)
    }

    fn position(&self, id: &AddresseeId) -> Option<usize> {
        let id_at = |at: &u32| self.row_at(*at).map(|row| self.texts.get(row.id)).unwrap_or_default();
        let at = self.by_id.binary_search_by(|at| id_at(at).cmp(id.as_str())).ok()?;
        usize::try_from(*self.by_id.get(at)?).ok()
    }

    fn row(&self, position: usize) -> Option<&Row> {
        self.entries.get(position)
    }

    fn row_at(&self, position: u32) -> Option<&Row> {
        self.row(usize::try_from(position).ok()?)
    }

    fn route(&self, row: &Row) -> Option<&Route> {
        self.routes.get(usize::try_from(row.route).ok()?)
    }

    fn addressee(&self, row: &Row) -> Option<Addressee> {
        let organisation = self.organisations.get(usize::try_from(row.organisation).ok()?)?;
        let some = |text: Text| self.texts.some(text).map(str::to_owned);
        Some(Addressee {
            id: self.texts.get(row.id).parse().ok()?,
            ura: self.texts.get(organisation.ura).parse().ok()?,
            organisation: self.texts.get(organisation.name).to_owned(),
            department: some(row.department),
            location: some(row.location),
            person: some(row.person),
            place: some(row.place),
            reception: self.route(row).map_or(Reception::NotConnected, |route| route.reception),
        })
    }
}

#[cfg(test)]
mod tests;
