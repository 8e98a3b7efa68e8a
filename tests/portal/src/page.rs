//! Pages: how a list is asked for, and the Bundle in which it is answered.
//!
//! Every list, search or history, Task or directory, is in the order of change and goes on from a mark: a time before
//! which everything has been told. Because no two changes share a time and a change always takes a later one, a reader
//! that goes on from the mark sees every change, however it interleaves with the pages.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::refusal::Refusal;

/// Entries in a page if nothing is asked, and at most.
const DEFAULT_COUNT: usize = 100;
const MAX_COUNT: usize = 1000;

/// What was asked for: the query's names and values, decoded, in order.
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what stands after the question mark.
    pub fn read(text: Option<&str>) -> Result<Self, Refusal> {
        let pairs = serde_urlencoded_pairs(text.unwrap_or_default());
        pairs.map(Query).ok_or_else(|| Refusal::Malformed("The query cannot be read.".to_owned()))
    }

    /// The value of a name.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Refuses names that are not known: a restriction that is overlooked would tell more than was asked for.
    pub fn only(&self, known: &[&str]) -> Result<(), Refusal> {
        match self.0.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) => Err(Refusal::Malformed(format!("{name} cannot be asked for here."))),
            None => Ok(()),
        }
    }

    /// Entries in a page: `_count`.
    pub fn count(&self) -> Result<usize, Refusal> {
        match self.value("_count").map(str::parse::<usize>) {
            None => Ok(DEFAULT_COUNT),
            Some(Ok(count)) if count > 0 => Ok(count.min(MAX_COUNT)),
            Some(_) => Err(Refusal::Malformed("_count is a number above zero.".to_owned())),
        }
    }

    /// `_lastUpdated=geTIME` (or `gt`), or `_since=TIME`, as the first microsecond that counts; zero if not asked.
    pub fn since(&self) -> Result<i64, Refusal> {
        let (text, later) = match (self.value("_lastUpdated"), self.value("_since")) {
            (None, None) => return Ok(0),
            (None, Some(since)) => (since, 0),
            (Some(updated), _) => match (updated.strip_prefix("ge"), updated.strip_prefix("gt")) {
                (Some(time), _) => (time, 0),
                (None, Some(time)) => (time, 1),
                (None, None) => {
                    return Err(Refusal::Malformed("_lastUpdated is asked for with ge or gt.".to_owned()));
                }
            },
        };
        // A plus sign in front of the offset is often sent as it is, and decodes to a space.
        let time: Timestamp = text
            .replace(' ', "+")
            .parse()
            .map_err(|_| Refusal::Malformed("A time looks like 2026-11-23T09:14:00Z.".to_owned()))?;
        Ok(time.as_microsecond().saturating_add(later))
    }

    /// The same question, going on from another mark. Relative to the origin (RFC 3986 §4.2), so that it also works
    /// through a proxy with another name.
    pub fn next(&self, path: &str, mark: Timestamp) -> String {
        let since = if self.value("_since").is_some() || path.ends_with("/_history") {
            "_since="
        } else {
            "_lastUpdated=ge"
        };
        let mut next = format!("{path}?{since}{mark}");
        for (name, value) in self.0.iter().filter(|(name, _)| name != "_since" && name != "_lastUpdated") {
            next.push_str(&format!("&{}={}", encode(name), encode(value)));
        }
        next
    }
}

fn serde_urlencoded_pairs(text: &str) -> Option<Vec<(String, String)>> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name)?, decode(value)?))
        })
        .collect()
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let pair = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'/' => {
                encoded.push(char::from(byte));
            }
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

/// A page.
pub struct Page {
    /// `searchset` or `history`.
    pub kind: &'static str,
    /// Everything changed before this has been told.
    pub mark: Timestamp,
    /// Where the next page is, if there is more.
    pub next: Option<String>,
    /// Resources with their meta.
    pub resources: Vec<Value>,
}

impl Page {
    /// The Bundle.
    pub fn bundle(self) -> Value {
        let entries: Vec<Value> =
            self.resources.into_iter().map(|resource| entry(self.kind, resource)).collect();
        let mut bundle = json!({
            "resourceType": "Bundle",
            "type": self.kind,
            "meta": { "lastUpdated": self.mark },
            "entry": entries,
        });
        if let Some(next) = self.next {
            bundle["link"] = json!([{ "relation": "next", "url": next }]);
        }
        bundle
    }
}

fn entry(kind: &str, resource: Value) -> Value {
    if kind != "history" {
        return json!({ "search": { "mode": "match" }, "resource": resource });
    }
    // A history says of each version how it came about (FHIR R4 §3.1.0.9).
    let text =
        |pointer: &str| resource.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (url, version) = (format!("{}/{}", text("/resourceType"), text("/id")), text("/meta/versionId"));
    let status = if version == "1" { "201" } else { "200" };
    json!({
        "request": { "method": "PUT", "url": url },
        "response": { "status": status, "etag": format!("W/\"{version}\""), "lastModified": text("/meta/lastUpdated") },
        "resource": resource,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_with_an_offset_is_read_whether_or_not_its_plus_was_encoded() {
        for query in ["_since=2026-11-23T10:14:00%2B01:00", "_since=2026-11-23T10:14:00+01:00"] {
            let expected = "2026-11-23T09:14:00Z".parse::<Timestamp>().unwrap().as_microsecond();
            assert_eq!(Query::read(Some(query)).unwrap().since().unwrap(), expected);
        }
    }

    #[test]
    fn the_next_page_asks_the_same_question() {
        let query = Query::read(Some("owner=a%7C1&_lastUpdated=ge1970-01-01T00:00:00Z&_count=2")).unwrap();
        let next = query.next("/fhir/Task", Timestamp::UNIX_EPOCH);
        assert_eq!(next, "/fhir/Task?_lastUpdated=ge1970-01-01T00:00:00Z&owner=a%7C1&_count=2");
    }

    #[test]
    fn broken_queries_are_refused() {
        assert!(Query::read(Some("_count=%G1")).is_err());
        assert!(Query::read(Some("_count=0")).unwrap().count().is_err());
        assert!(Query::read(Some("_lastUpdated=2026-11-23T09:14:00Z")).unwrap().since().is_err());
    }
}
