//! From a report to a message: ORU^R01 for a hospital's record system, as HL7 v2.5.1 §7.3.1 and IHE RAD-128 have it.
//!
//! What is written is read back as it was, except remarks, characters that no reader could show, and the status of an
//! observation that states none (it is then as far as its order), and an accession number of IPC, which stands in OBR-18 then.

use beeldbox_protocol::clinical::{Confidential, PatientIdentifier};
use data_encoding::BASE64;

use crate::character_set::CharacterSet;
use crate::person::PersonName;
use crate::result::{
    Coded, Content, Header, NumberPlace, Observation, PatientResult, ReportPatient, ReportedOrder,
    ResultMessage,
};
use crate::status::{ObservationStatus, ReportStatus};
use crate::time::PointInTime;
use crate::writing::{self, MessageWriter, components, join, one};

/// Why a report is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The receiver's character set does not have every letter. Write UTF-8, or tell a person.
    #[error("the report has characters that are not in the character set of the receiver")]
    DoesNotFit,
}

impl ResultMessage {
    /// Writes ORU^R01 in this character set, which MSH-18 declares.
    ///
    /// # Errors
    /// See [`WriteError`]. Nothing is replaced by a question mark.
    pub fn write(&self, set: CharacterSet) -> Result<Vec<u8>, WriteError> {
        let mut writer = MessageWriter::new();
        header(&mut writer, &self.header, &["ORU", "R01", "ORU_R01"], set);
        for (at, result) in self.results.iter().enumerate() {
            patient_result(&mut writer, at, result);
        }
        writer.finish(set).map_err(|_| WriteError::DoesNotFit)
    }
}

/// MSH. HL7 v2.5.1 §2.15.9.
pub(crate) fn header(writer: &mut MessageWriter, header: &Header, kind: &[&str], set: CharacterSet) {
    let fields = [
        (2, writing::encoding_characters()),
        (3, one(&header.sender.application)),
        (4, one(&header.sender.facility)),
        (5, one(&header.receiver.application)),
        (6, one(&header.receiver.facility)),
        (7, time(header.at.as_ref())),
        (9, components(kind)),
        (10, one(&header.control_id)),
        (11, one(&header.processing)),
        (12, one(&header.version)),
        (18, set.name().to_owned()),
    ];
    writer.segment("MSH", &fields);
}

fn patient_result(writer: &mut MessageWriter, at: usize, result: &PatientResult) {
    patient(writer, at, &result.patient);
    for (number, order) in result.orders.iter().enumerate() {
        write_order(writer, number, order);
    }
}

fn patient(writer: &mut MessageWriter, at: usize, patient: &ReportPatient) {
    let identifiers: Vec<String> = patient.identifiers.iter().map(identifier).collect();
    let names: Vec<String> =
        patient.names.iter().map(|name| xpn(name).trim_end_matches('^').to_owned()).collect();
    let fields = [
        (1, (at + 1).to_string()),
        (3, identifiers.join("~")),
        (5, names.join("~")),
        (7, time(patient.birth_date.as_ref())),
        (8, one(patient.sex.reveal())),
    ];
    writer.segment("PID", &fields);
}

/// CX. A universal id is an OID here, as all of ours are.
pub(crate) fn identifier(identifier: &PatientIdentifier) -> String {
    let text =
        |value: &Option<Confidential>| value.as_ref().map(|text| one(text.reveal())).unwrap_or_default();
    let universal = text(&identifier.universal_id);
    let kind = if universal.is_empty() { "" } else { "ISO" };
    let authority = join(&[text(&identifier.issuer), universal, kind.to_owned()], '&');
    let parts =
        [one(identifier.id.reveal()), String::new(), String::new(), authority, text(&identifier.type_code)];
    join(&parts, '^')
}

fn family(name: &PersonName) -> String {
    let parts = [
        one(name.family.reveal()),
        one(name.own_prefix.reveal()),
        one(name.own_family.reveal()),
        one(name.partner_prefix.reveal()),
        one(name.partner_family.reveal()),
    ];
    join(&parts, '&')
}

fn xpn(name: &PersonName) -> String {
    let parts = [
        family(name),
        one(name.given.reveal()),
        one(name.further.reveal()),
        one(name.suffix.reveal()),
        one(name.prefix.reveal()),
        String::new(),
        one(&name.kind),
    ];
    join(&parts, '^')
}

fn write_order(writer: &mut MessageWriter, at: usize, order: &ReportedOrder) {
    let number = |place: NumberPlace| {
        let number = order.numbers.iter().find(|number| number.place == place);
        number.map(|one| components(&[one.number.reveal(), one.authority.reveal()])).unwrap_or_default()
    };
    // ORU^R01 has no IPC; IHE Radiology puts the accession number here, where there is no room for an authority.
    let accession = order
        .numbers
        .iter()
        .find(|number| matches!(number.place, NumberPlace::AccessionIdentifier | NumberPlace::PlacerField));
    let accession = accession.map(|accession| one(accession.number.reveal())).unwrap_or_default();
    let (placer, filler) = (number(NumberPlace::Placer), number(NumberPlace::Filler));
    writer.segment("ORC", &[(1, "RE".to_owned()), (2, placer.clone()), (3, filler.clone())]);
    let author = order.author.as_ref().map(|name| {
        let parts = [
            String::new(),
            one(name.family.reveal()),
            one(name.given.reveal()),
            one(name.further.reveal()),
            one(name.suffix.reveal()),
            one(name.prefix.reveal()),
        ];
        join(&parts, '&')
    });
    let fields = [
        (1, (at + 1).to_string()),
        (2, placer),
        (3, filler),
        (4, coded(&order.service)),
        (7, time(order.performed_at.as_ref())),
        (16, order.ordered_by.as_ref().map(|name| format!("^{}", xpn(name))).unwrap_or_default()),
        (18, accession),
        (22, time(order.reported_at.as_ref())),
        (25, order.order_status.map(|status| status.code().to_owned()).unwrap_or_default()),
        (32, author.unwrap_or_default()),
    ];
    writer.segment("OBR", &fields);
    notes(writer, &order.notes);
    let mut count = 0;
    if let Some(study) = &order.study {
        count += 1;
        let fields = [
            (1, count.to_string()),
            (2, "HD".to_owned()),
            (3, components(&["113014", "DICOM Study", "DCM"])),
            (5, one(study.as_str())),
            (11, "F".to_owned()),
        ];
        writer.segment("OBX", &fields);
    }
    for observation in &order.observations {
        count += 1;
        write_observation(writer, count, observation, status_code(observation.status, order.order_status));
    }
}

/// OBX-11, which must be there: what is unstated is as far as its order.
fn status_code(status: ObservationStatus, order: Option<ReportStatus>) -> &'static str {
    match (status, order) {
        (ObservationStatus::Unstated, Some(ReportStatus::Final | ReportStatus::Amended)) => "F",
        (ObservationStatus::Unstated, Some(ReportStatus::Preliminary | ReportStatus::NoResult)) => "P",
        (ObservationStatus::Unstated, Some(ReportStatus::Cancelled)) => "X",
        (stated, _) => stated.code(),
    }
}

fn write_observation(writer: &mut MessageWriter, count: usize, observation: &Observation, status: &str) {
    let (kind, value) = content(&observation.content);
    let fields = [
        (1, count.to_string()),
        (2, kind.to_owned()),
        (3, coded(&observation.identifier)),
        (4, one(&observation.sub_id)),
        (5, value),
        (6, one(observation.unit.reveal())),
        (7, one(observation.range.reveal())),
        (8, one(observation.flag.reveal())),
        (11, status.to_owned()),
        (14, time(observation.at.as_ref())),
    ];
    writer.segment("OBX", &fields);
    notes(writer, &observation.notes);
}

/// OBX-2 and OBX-5.
fn content(content: &Content) -> (&'static str, String) {
    match content {
        Content::Text(text) => ("FT", one(text.reveal())),
        Content::Coded(code) => ("CWE", coded(code)),
        Content::Value(kind, text) => (kind.code(), one(text.reveal())),
        Content::Document(document) => {
            let (kind, subtype) = document.kind.ed_type();
            let data = BASE64.encode(&document.bytes);
            ("ED", join(&["", kind, subtype, "Base64", &data], '^'))
        }
        Content::Reference(reference) => {
            let parts = [reference.pointer.reveal(), &reference.application, &reference.kind];
            ("RP", components(&parts))
        }
        Content::Empty => ("TX", String::new()),
    }
}

fn coded(code: &Coded) -> String {
    // The suffixes of radiology stay subcomponents.
    let parts: Vec<String> = code.code.reveal().split('&').map(one).collect();
    join(&[parts.join("&"), one(code.text.reveal()), one(&code.system)], '^')
}

fn notes(writer: &mut MessageWriter, notes: &[Confidential]) {
    for (at, note) in notes.iter().enumerate() {
        writer.segment("NTE", &[(1, (at + 1).to_string()), (3, one(note.reveal()))]);
    }
}

pub(crate) fn time(time: Option<&PointInTime>) -> String {
    time.map(PointInTime::text).unwrap_or_default()
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
