//! What the portal answers: tasks, the directory, errors, digests in headers. The portal is not trusted, so every
//! answer may be anything.

use beeldbox_protocol::ident::AddresseeId;
use beeldbox_protocol::portal::directory::page::{DirectoryPage, Now};
use beeldbox_protocol::portal::directory::{DirectoryBuilder, Kind};
use beeldbox_protocol::portal::fhir::{Bundle, OperationOutcome, Task};
use beeldbox_protocol::portal::task::TransferNotice;
use beeldbox_protocol::portal::{PartList, Problem, content_digest, read_content_digest};
use jiff::Timestamp;

use super::admin::both_ways;

/// Runs the reader. The first byte chooses what is answered.
pub fn run(input: &[u8]) {
    let Some((which, body)) = input.split_first() else { return };
    match which % 5 {
        0 => tasks(body),
        1 => directory(body),
        2 => {
            both_ways::<OperationOutcome>(body);
            both_ways::<Problem>(body);
            both_ways::<PartList>(body);
        }
        3 => both_ways::<Bundle<Task>>(body),
        _ => header(body),
    }
}

fn tasks(body: &[u8]) {
    let Ok(bundle) = serde_json::from_slice::<Bundle<Task>>(body) else { return };
    let _ = bundle.next();
    for task in bundle.entry.into_iter().filter_map(|entry| entry.resource) {
        let Ok(notice) = TransferNotice::read(&task) else { continue };
        assert_eq!(notice.transfer.to_string().parse().as_ref(), Ok(&notice.transfer));
        assert_eq!(notice.status.code(), task.status);
        assert!(notice.parts.len() <= task.input.len() && notice.receipts.len() <= task.output.len());
    }
}

/// A page of the directory with resources of every type, put together and searched.
fn directory(body: &[u8]) {
    let mut builder = DirectoryBuilder::new(Timestamp::UNIX_EPOCH);
    for kind in Kind::ALL {
        let Ok(page) = DirectoryPage::read(kind, body) else { return };
        for told in page.told {
            assert!(told.id.parse::<AddresseeId>().is_ok());
            if let Now::Here { json, .. } = told.now {
                assert_eq!(builder.add(kind, &json), Ok(()), "what is kept can be read again");
            }
        }
    }
    let directory = builder.build();
    let all = directory.search("", usize::MAX);
    assert!(directory.len() <= all.len() && all.len() == directory.entries());
    for addressee in &all {
        assert!(directory.find(&addressee.id).is_some());
        let by_ura = directory.search(addressee.ura.as_str(), usize::MAX);
        assert!(by_ura.iter().any(|found| found.id == addressee.id), "found by its URA");
    }
}

fn header(body: &[u8]) {
    let Ok(text) = std::str::from_utf8(body) else { return };
    if let Some(digest) = read_content_digest(text) {
        assert_eq!(read_content_digest(&content_digest(&digest)), Some(digest));
    }
}

/// Inputs to begin with.
pub(crate) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let task = r#"{"resourceType":"Task","id":"6f1c2d3e-4f5a-4b6c-8d7e-8f90a1b2c3d4","meta":{"versionId":"2","lastUpdated":"2026-11-23T09:15:00Z"},"status":"requested","intent":"order","priority":"urgent","code":{"coding":[{"system":"urn:beeldbox:fhir:transfer","code":"deliver-imaging"}]},"businessStatus":{"coding":[{"code":"available"}]},"statusReason":{"coding":[{"code":"not-ours"}]},"focus":{"reference":"Binary/6f1c2d3e-4f5a-4b6c-8d7e-8f90a1b2c3d4"},"requester":{"identifier":{"system":"http://fhir.nl/fhir/NamingSystem/ura","value":"90000381"}},"owner":{"reference":"HealthcareService/zuid","identifier":{"system":"http://fhir.nl/fhir/NamingSystem/ura","value":"90000382"}},"restriction":{"period":{"start":"2026-11-23T09:14:00Z","end":"2026-12-23T09:14:00Z"}},"input":[{"type":{"text":"part"},"valueString":"cbc222ee9b44febe84f2a4539eee43cea9ee1c29b1cb717dc7ff8dcb3c879c04:530"}],"output":[{"type":{"text":"receipt-in-custody"},"valueString":"a.b.c"}]}"#;
    let organization = r#"{"resourceType":"Organization","id":"zuid","identifier":[{"system":"http://fhir.nl/fhir/NamingSystem/ura","value":"90000382"}],"active":true,"name":"Ziekenhuis Zuid","alias":["ZZ"],"address":[{"city":"Maastricht"}],"endpoint":[{"reference":"Endpoint/box"}]}"#;
    let service = r#"{"resourceType":"HealthcareService","id":"zuid-radiologie","providedBy":{"reference":"Organization/zuid"},"name":"Radiologie","location":[{"reference":"Location/a"}]}"#;
    let place = r#"{"resourceType":"Location","id":"a","address":{"city":"Heerlen"}}"#;
    let endpoint = r#"{"resourceType":"Endpoint","id":"box","status":"active","connectionType":{"code":"box-e2ee"},"extension":[{"url":"urn:beeldbox:fhir:recipient-key","valueString":"a.b.c"}]}"#;
    let bundle = |which: char, resources: &[&str]| {
        let entries: Vec<String> = resources.iter().map(|one| format!(r#"{{"resource":{one}}}"#)).collect();
        let entries = entries.join(",");
        format!(
            r#"{which}{{"resourceType":"Bundle","type":"searchset","meta":{{"lastUpdated":"2026-11-23T09:15:00Z"}},"link":[{{"relation":"next","url":"x"}}],"entry":[{entries}]}}"#
        )
        .into_bytes()
    };
    vec![
        ("tasks", bundle('\0', &[task])),
        ("tasks-both-ways", bundle('\u{3}', &[task])),
        ("directory", bundle('\u{1}', &[organization, service, place, endpoint])),
        ("two-organizations", bundle('\u{1}', &[organization, &organization.replace("zuid", "noord")])),
        (
            "outcome",
            b"\x02{\"resourceType\":\"OperationOutcome\",\"issue\":[{\"severity\":\"error\",\"code\":\"conflict\",\"diagnostics\":\"d\"}]}"
                .to_vec(),
        ),
        ("problem", b"\x02{\"status\":422,\"title\":\"t\",\"code\":\"missing-parts\",\"missing\":[]}".to_vec()),
        (
            "parts",
            b"\x02{\"parts\":[\"cbc222ee9b44febe84f2a4539eee43cea9ee1c29b1cb717dc7ff8dcb3c879c04\"]}".to_vec(),
        ),
        ("digest", b"\x04sha-512=:AAAA:, sha-256=:y8Ii7ptE/r6E8qRTnu5Dzqnu4cKbHLcX3H/43LPIecA=:".to_vec()),
    ]
}
