//! A page of a directory, as any FHIR R4 server may answer it: a search, or a history with deletions.
//!
//! Servers differ. Histories hold one version of a resource or all of them, deletions come without the resource, marks
//! are left out. What counts of each resource is kept ([`super::super::fhir`]), everything else falls away here, and a
//! resource that makes no sense is counted instead of hiding the others.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Kind;
use crate::ident::AddresseeId;
use crate::portal::fhir::{
    Endpoint, HealthcareService, Link, Location, Meta, Organization, OrganizationAffiliation, Practitioner,
    PractitionerRole,
};

/// Longest form in which a resource is kept. A signed key with its chain of certificates is some kilobytes.
const LONGEST_RESOURCE: usize = 64 * 1024;

/// Words in `status` of what has ended. The others mean "not now".
const ENDED: [&str; 3] = ["inactive", "off", "entered-in-error"];

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryPage {
    /// The server's mark: what changed before has been told.
    pub mark: Option<Timestamp>,
    /// Where the next page is, as the server wrote it.
    pub next: Option<String>,
    /// What it tells, in its order.
    pub told: Vec<Told>,
    /// Entries that cannot be read.
    pub odd: u32,
}

/// What is told of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its id.
    pub id: String,
    /// When the server changed it.
    pub changed_at: Option<Timestamp>,
    /// What it is now.
    pub now: Now,
}

/// What a resource is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Now {
    /// What counts of it, as JSON.
    Here {
        /// For [`super::DirectoryBuilder::add`].
        json: String,
        /// Whether it says of itself that it has ended.
        has_ended: bool,
    },
    /// It was removed there.
    Removed,
}

/// Why an answer is no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// It is not JSON, or nested too deeply.
    #[error("it is not JSON that can be read")]
    NotJson,
    /// It is something else.
    #[error("it is not a Bundle")]
    NotABundle,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    resource_type: String,
    #[serde(default)]
    meta: Value,
    #[serde(default)]
    link: Vec<Value>,
    #[serde(default)]
    entry: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    full_url: Option<String>,
    resource: Option<Value>,
    request: Option<Request>,
    response: Option<Response>,
}

#[derive(Deserialize)]
struct Request {
    method: Option<String>,
    url: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    last_modified: Option<String>,
}

impl DirectoryPage {
    /// Reads an answer to a question for this type. What is of another type is passed over.
    ///
    /// # Errors
    /// If it is no Bundle at all.
    pub fn read(kind: Kind, bytes: &[u8]) -> Result<Self, PageError> {
        let bundle: Value = serde_json::from_slice(bytes).map_err(|_| PageError::NotJson)?;
        let bundle: Bundle = serde_json::from_value(bundle).map_err(|_| PageError::NotABundle)?;
        if bundle.resource_type != "Bundle" {
            return Err(PageError::NotABundle);
        }
        let links = bundle.link.into_iter().filter_map(|link| serde_json::from_value::<Link>(link).ok());
        let mut page = DirectoryPage {
            mark: last_updated(&bundle.meta),
            next: links.into_iter().find(|link| link.relation == "next").map(|link| link.url),
            told: Vec::with_capacity(bundle.entry.len()),
            odd: 0,
        };
        for entry in bundle.entry {
            match serde_json::from_value::<Entry>(entry).ok().map(|entry| told(kind, entry)) {
                Some(Reading::Told(told)) => page.told.push(told),
                Some(Reading::OfAnotherType) => {}
                Some(Reading::Odd) | None => page.odd += 1,
            }
        }
        Ok(page)
    }

    /// When the newest of what is told was changed.
    pub fn newest(&self) -> Option<Timestamp> {
        self.told.iter().filter_map(|told| told.changed_at).max()
    }
}

enum Reading {
    Told(Told),
    OfAnotherType,
    Odd,
}

fn told(kind: Kind, entry: Entry) -> Reading {
    let is_removed = entry.request.as_ref().and_then(|request| request.method.as_deref()) == Some("DELETE");
    let modified = entry.response.and_then(|response| response.last_modified?.parse().ok());
    let Some(resource) = entry.resource.filter(|_| !is_removed) else {
        let url = entry.request.and_then(|request| request.url).or(entry.full_url);
        let Some(id) = url.filter(|_| is_removed).and_then(|url| id_in(&url, kind)) else {
            return Reading::Odd;
        };
        return Reading::Told(Told { id, changed_at: modified, now: Now::Removed });
    };
    let text = |name: &str| resource.get(name).and_then(Value::as_str);
    if text("resourceType") != Some(kind.as_str()) {
        return Reading::OfAnotherType;
    }
    let Some(id) = text("id").filter(|id| id.parse::<AddresseeId>().is_ok()).map(str::to_owned) else {
        return Reading::Odd;
    };
    let has_ended = resource.get("active").and_then(Value::as_bool) == Some(false)
        || text("status").is_some_and(|status| ENDED.contains(&status));
    let changed_at = resource.get("meta").and_then(last_updated).or(modified);
    match what_counts(kind, resource) {
        Some(json) => Reading::Told(Told { id, changed_at, now: Now::Here { json, has_ended } }),
        None => Reading::Odd,
    }
}

fn last_updated(meta: &Value) -> Option<Timestamp> {
    meta.get("lastUpdated")?.as_str()?.parse().ok()
}

/// The id in `Type/id`, `address/Type/id` or `Type/id/_history/version`.
fn id_in(url: &str, kind: Kind) -> Option<String> {
    let reference = crate::portal::fhir::Reference { reference: Some(url.to_owned()), ..Default::default() };
    reference.id_of(kind.as_str()).filter(|id| id.parse::<AddresseeId>().is_ok()).map(str::to_owned)
}

fn what_counts(kind: Kind, mut resource: Value) -> Option<String> {
    if let Some(fields) = resource.as_object_mut() {
        fields.insert("meta".to_owned(), serde_json::to_value(Meta::default()).ok()?);
    }
    let json = match kind {
        Kind::Organization => of::<Organization>(resource),
        Kind::Location => of::<Location>(resource),
        Kind::Endpoint => of::<Endpoint>(resource),
        Kind::HealthcareService => of::<HealthcareService>(resource),
        Kind::OrganizationAffiliation => of::<OrganizationAffiliation>(resource),
        Kind::Practitioner => of::<Practitioner>(resource),
        Kind::PractitionerRole => of::<PractitionerRole>(resource),
    };
    json.filter(|json| json.len() <= LONGEST_RESOURCE)
}

fn of<R: DeserializeOwned + Serialize>(resource: Value) -> Option<String> {
    let resource: R = serde_json::from_value(resource).ok()?;
    serde_json::to_string(&resource).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<DirectoryPage, PageError> {
        DirectoryPage::read(Kind::Organization, text.as_bytes())
    }

    #[test]
    fn a_history_of_another_server_is_understood() {
        let page = read(
            r#"{"resourceType":"Bundle","type":"history","total":4,"id":"x","link":[{"relation":"self","url":"a"},
            {"relation":"next","url":"b"},{"odd":1}],"entry":[
            {"fullUrl":"https://x/fhir/Organization/1","request":{"method":"DELETE","url":"Organization/1/_history/3"},
             "response":{"status":"204","lastModified":"2026-11-23T09:14:07Z"}},
            {"resource":{"resourceType":"Organization","id":"2","meta":{"lastUpdated":"2026-11-23T10:14:07+01:00",
             "versionId":"7","profile":["p"]},"name":"Zuid","active":true,"contained":[{"a":1}],"telecom":[{}]},
             "request":{"method":"PUT","url":"Organization/2"}},
            {"resource":{"resourceType":"Organization","id":"3","active":false}},
            {"resource":{"resourceType":"OperationOutcome"},"search":{"mode":"outcome"}},
            {"resource":{"resourceType":"Organization","id":"not an id"}},
            {"resource":{"resourceType":"Organization","id":"4","name":{"not":"text"}}},
            {"request":{"method":"DELETE","url":"Location/5"}}, 17]}"#,
        )
        .unwrap();
        let at = "2026-11-23T09:14:07Z".parse().ok();
        assert_eq!((page.mark, page.next.as_deref(), page.odd), (None, Some("b"), 4));
        assert_eq!(page.newest(), at);
        let ids: Vec<&str> = page.told.iter().map(|told| told.id.as_str()).collect();
        assert_eq!(ids, ["1", "2", "3"]);
        assert_eq!(page.told[0], Told { id: "1".to_owned(), changed_at: at, now: Now::Removed });
        let Now::Here { json, has_ended: false } = &page.told[1].now else { panic!("{:?}", page.told[1]) };
        assert_eq!(
            json,
            r#"{"resourceType":"Organization","id":"2","meta":{},"identifier":[],"active":true,"name":"Zuid"}"#
        );
        assert!(matches!(page.told[2].now, Now::Here { has_ended: true, .. }));
    }

    #[test]
    fn what_is_no_bundle_is_refused() {
        assert_eq!(read("<html>"), Err(PageError::NotJson));
        assert_eq!(read(r#"{"resourceType":"OperationOutcome"}"#), Err(PageError::NotABundle));
        assert_eq!(read("[]"), Err(PageError::NotABundle));
        assert_eq!(read("{}"), Err(PageError::NotABundle));
        let deep = format!(r#"{{"resourceType":"Bundle","x":{}{}}}"#, "[".repeat(1000), "]".repeat(1000));
        assert_eq!(read(&deep), Err(PageError::NotJson));
    }

    #[test]
    fn a_resource_without_end_is_odd() {
        let aliases = vec!["a".repeat(1000); 100];
        let text = serde_json::json!({"resourceType":"Bundle","entry":[{"resource":
            {"resourceType":"Organization","id":"1","alias":aliases}}]});
        let page = read(&text.to_string()).unwrap();
        assert_eq!((page.odd, page.told.len()), (1, 0));
    }
}
