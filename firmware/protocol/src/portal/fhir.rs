//! The few FHIR R4 resources used, as structs that forgive what they do not know.
//!
//! Real address books hold profile extensions and odd codes; a strict model fails on them. Every field is optional
//! unless nothing can be done without it, and codes are text. Meaning is made in [`super::task`] and
//! [`super::directory`], where a resource that makes no sense is refused by name.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// System of the URA in `Identifier.system`.
pub const URA_SYSTEM: &str = "http://fhir.nl/fhir/NamingSystem/ura";

/// Extension of an Endpoint that carries the signed recipient key.
pub const RECIPIENT_KEY_EXTENSION: &str = "urn:beeldbox:fhir:recipient-key";

/// `Identifier`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identifier {
    /// Namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Value in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// `Reference`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// `Type/id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Business identifier of the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<Identifier>,
    /// Text for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
}

impl Reference {
    /// The id, if this refers to the given type of resource: `Type/id`, also behind the address of a server, also with
    /// `/_history/version` (FHIR R4 §2.3.0.1).
    pub fn id_of(&self, resource_type: &str) -> Option<&str> {
        let reference = self.reference.as_deref()?;
        let unversioned = reference.split_once("/_history/").map_or(reference, |(before, _)| before);
        let (before, id) = unversioned.rsplit_once('/')?;
        let found = before.rsplit_once('/').map_or(before, |(_, last)| last);
        (found == resource_type).then_some(id)
    }

    /// The URA, if the target is named by it.
    pub fn ura(&self) -> Option<&str> {
        let identifier = self.identifier.as_ref()?;
        (identifier.system.as_deref() == Some(URA_SYSTEM)).then_some(identifier.value.as_deref()).flatten()
    }
}

/// `Coding`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coding {
    /// Namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Code in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Text for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
}

/// `CodeableConcept`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeableConcept {
    /// Codes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub coding: Vec<Coding>,
    /// Text for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl CodeableConcept {
    /// One code without a display text.
    pub fn of(system: &str, code: &str) -> Self {
        let coding = Coding { system: Some(system.to_owned()), code: Some(code.to_owned()), display: None };
        CodeableConcept { coding: vec![coding], text: None }
    }

    /// What a person calls it: the text, or the first name of a code.
    pub fn name(&self) -> Option<&str> {
        let displays = self.coding.iter().filter_map(|coding| coding.display.as_deref());
        self.text.as_deref().into_iter().chain(displays).map(str::trim).find(|name| !name.is_empty())
    }

    /// The code of this system.
    pub fn code_of(&self, system: &str) -> Option<&str> {
        self.coding.iter().find(|coding| coding.system.as_deref() == Some(system))?.code.as_deref()
    }

    /// The first code.
    pub fn code(&self) -> Option<&str> {
        self.coding.iter().find_map(|coding| coding.code.as_deref())
    }
}

/// `Extension` with a text value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Extension {
    /// What it means.
    pub url: String,
    /// The text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_string: Option<String>,
}

/// `Meta`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// Version, for `If-Match`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// When the server last changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<Timestamp>,
}

/// `Period`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// From.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Timestamp>,
    /// Until.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Timestamp>,
}

/// `Period` as registers write it: also a day, a month or a year.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenPeriod {
    /// From.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Until, inclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
}

/// `Organization`: a care provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Organization {
    /// `"Organization"`.
    pub resource_type: String,
    /// Logical id.
    pub id: String,
    /// Version and time.
    #[serde(default)]
    pub meta: Meta,
    /// URA and others.
    #[serde(default)]
    pub identifier: Vec<Identifier>,
    /// Whether it still exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Other names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alias: Vec<String>,
    /// Addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub address: Vec<Address>,
    /// Of which organisation it is a part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<Reference>,
    /// Where it receives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoint: Vec<Reference>,
}

/// `Address`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Town.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
}

/// `HealthcareService`: a department that can be addressed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthcareService {
    /// `"HealthcareService"`.
    pub resource_type: String,
    /// Logical id.
    pub id: String,
    /// Version and time.
    #[serde(default)]
    pub meta: Meta,
    /// Whether it still exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// Of which organisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provided_by: Option<Reference>,
    /// Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub location: Vec<Reference>,
    /// Where it receives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoint: Vec<Reference>,
}

/// `Location`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Location {
    /// `"Location"`.
    pub resource_type: String,
    /// Logical id.
    pub id: String,
    /// Version and time.
    #[serde(default)]
    pub meta: Meta,
    /// Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `active`, `suspended`, `inactive`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
}

/// `OrganizationAffiliation`: how an organisation takes part in the network of another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrganizationAffiliation {
    /// `"OrganizationAffiliation"`.
    pub resource_type: String,
    /// Logical id.
    pub id: String,
    /// Whether it still exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// Who takes part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participating_organization: Option<Reference>,
    /// Where it receives in that network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoint: Vec<Reference>,
}

/// `Practitioner`: a person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Practitioner {
    /// `"Practitioner"`.
    pub resource_type: String,
    /// Logical id.
    pub id: String,
    /// Whether the entry still counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// Names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub name: Vec<HumanName>,
}

/// `HumanName`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HumanName {
    /// The whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Family name with its particles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// Given names or initials.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given: Vec<String>,
    /// Titles before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prefix: Vec<String>,
}

impl HumanName {
    /// As a person reads it; nothing if there is nothing.
    pub fn as_text(&self) -> Option<String> {
        if let Some(text) = self.text.as_ref().filter(|text| !text.trim().is_empty()) {
            return Some(text.trim().to_owned());
        }
        let parts = self.prefix.iter().chain(&self.given).chain(&self.family);
        let parts: Vec<&str> = parts.map(|part| part.trim()).filter(|part| !part.is_empty()).collect();
        (!parts.is_empty()).then(|| parts.join(" "))
    }
}

/// `PractitionerRole`: what a person does in an organisation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PractitionerRole {
    /// `"PractitionerRole"`.
    pub resource_type: String,
    /// Logical id.
    pub id: String,
    /// Whether it still exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// Who.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub practitioner: Option<Reference>,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<Reference>,
    /// In which department.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub healthcare_service: Vec<Reference>,
    /// At which site.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub location: Vec<Reference>,
    /// In what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub specialty: Vec<CodeableConcept>,
    /// Where the role receives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoint: Vec<Reference>,
}

/// `Endpoint`: where and how an organisation receives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// `"Endpoint"`.
    pub resource_type: String,
    /// Logical id.
    pub id: String,
    /// Version and time.
    #[serde(default)]
    pub meta: Meta,
    /// The signed recipient key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extension: Vec<Extension>,
    /// `active`, `off`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// When it may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<WrittenPeriod>,
    /// `box-e2ee` or `portal-delivery`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_type: Option<Coding>,
    /// Whose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managing_organization: Option<Reference>,
}

/// `Task`: one transfer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// `"Task"`.
    pub resource_type: String,
    /// Logical id: the transfer's id.
    pub id: String,
    /// Version and time; the server's.
    #[serde(default)]
    pub meta: Meta,
    /// `draft`, `requested`, …
    pub status: String,
    /// `order`.
    #[serde(default)]
    pub intent: String,
    /// `routine` or `urgent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// What is asked: `deliver-imaging`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<CodeableConcept>,
    /// Where it is, finer than `status`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub business_status: Option<CodeableConcept>,
    /// Why it was refused, as a code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<CodeableConcept>,
    /// The letter: `Binary/‹transfer›`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub focus: Option<Reference>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authored_on: Option<Timestamp>,
    /// Who sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<Reference>,
    /// To whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Reference>,
    /// Until when it may be collected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restriction: Option<Restriction>,
    /// Parts: `type.text` = `part`, `valueString` = `‹sha256›:‹length›`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub input: Vec<Parameter>,
    /// Receipts: `type.text` = `receipt-in-custody` or `receipt-in-pacs`, `valueString` = JWS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output: Vec<Parameter>,
}

/// `Task.restriction`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restriction {
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Period>,
}

/// `Task.input` and `Task.output` with a text value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parameter {
    /// What it is.
    #[serde(rename = "type", default)]
    pub kind: CodeableConcept,
    /// The text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_string: Option<String>,
}

/// `Bundle`: a page of a search or of a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bundle<R> {
    /// `"Bundle"`.
    pub resource_type: String,
    /// `searchset` or `history`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Mark: what came later was not looked at. Ask on from here.
    #[serde(default)]
    pub meta: Meta,
    /// `next`, if there is more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub link: Vec<Link>,
    /// The resources.
    #[serde(default = "Vec::new")]
    pub entry: Vec<Entry<R>>,
}

impl<R> Bundle<R> {
    /// Where the next page is.
    pub fn next(&self) -> Option<&str> {
        self.link.iter().find(|link| link.relation == "next").map(|link| link.url.as_str())
    }
}

/// `Bundle.link`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// `self`, `next`.
    pub relation: String,
    /// Where.
    pub url: String,
}

/// `Bundle.entry`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry<R> {
    /// The resource; absent in a history entry of a deletion.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub resource: Option<R>,
}

fn none<R>() -> Option<R> {
    None
}

/// `OperationOutcome`: an error under `/fhir`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationOutcome {
    /// `"OperationOutcome"`.
    pub resource_type: String,
    /// What is wrong.
    #[serde(default)]
    pub issue: Vec<Issue>,
}

impl OperationOutcome {
    /// One error.
    pub fn error(code: &str, diagnostics: &str) -> Self {
        let issue = Issue {
            severity: "error".to_owned(),
            code: code.to_owned(),
            diagnostics: Some(diagnostics.to_owned()),
        };
        OperationOutcome { resource_type: "OperationOutcome".to_owned(), issue: vec![issue] }
    }
}

/// `OperationOutcome.issue`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// `error`, `warning`, …
    #[serde(default)]
    pub severity: String,
    /// `conflict`, `forbidden`, `incomplete`, …
    #[serde(default)]
    pub code: String,
    /// One sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnostics: Option<String>,
}
