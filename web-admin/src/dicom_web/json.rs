//! Attributes in the DICOM JSON model (PS3.18 annex F), for answers to searches.

use beeldbox_protocol::admin::{StoredInstance, StoredLine};
use beeldbox_protocol::clinical::Confidential;
use serde_json::{Map, Value, json};

/// A data set being written.
#[derive(Default)]
pub(super) struct Attributes(Map<String, Value>);

impl Attributes {
    /// With the character set that JSON has.
    pub(super) fn new() -> Self {
        let mut attributes = Attributes::default();
        attributes.put("00080005", "CS", Some("ISO_IR 192"));
        attributes
    }

    pub(super) fn put(&mut self, tag: &str, vr: &str, text: Option<&str>) {
        let text = text.map(str::trim).filter(|text| !text.is_empty());
        let value = match (vr, text) {
            (_, None) => json!({ "vr": vr }),
            ("PN", Some(text)) => json!({ "vr": vr, "Value": [person(text)] }),
            (_, Some(text)) => json!({ "vr": vr, "Value": [text] }),
        };
        self.0.insert(tag.to_owned(), value);
    }

    fn confidential(&mut self, tag: &str, vr: &str, text: Option<&Confidential>) {
        self.put(tag, vr, text.map(Confidential::reveal));
    }

    fn number(&mut self, tag: &str, number: u32) {
        self.0.insert(tag.to_owned(), json!({ "vr": "IS", "Value": [number] }));
    }

    fn texts(&mut self, tag: &str, vr: &str, texts: &[String]) {
        let value = if texts.is_empty() { json!({ "vr": vr }) } else { json!({ "vr": vr, "Value": texts }) };
        self.0.insert(tag.to_owned(), value);
    }

    pub(super) fn into_value(self) -> Value {
        Value::Object(self.0)
    }

    /// What a study says of patient and study (PS3.18 Table 10.6.3-3).
    pub(super) fn study(&mut self, lines: &[&StoredLine], retrieve: &str) {
        let Some(line) = lines.first() else { return };
        let (patient, summary) = (&line.patient, &line.summary);
        self.put("00080020", "DA", summary.date.as_deref());
        self.put("00080030", "TM", summary.time.as_deref());
        self.confidential("00080050", "SH", summary.accession_number.as_ref());
        self.put("00080056", "CS", Some("ONLINE"));
        let mut modalities: Vec<String> =
            lines.iter().flat_map(|line| line.summary.modalities.clone()).collect();
        modalities.sort_unstable();
        modalities.dedup();
        self.texts("00080061", "CS", &modalities);
        self.confidential("00081030", "LO", summary.description.as_ref());
        self.put("00081190", "UR", Some(retrieve));
        self.confidential("00100010", "PN", patient.name.as_ref());
        self.confidential("00100020", "LO", patient.id.as_ref());
        self.confidential("00100021", "LO", patient.id_issuer.as_ref());
        self.confidential("00100030", "DA", patient.birth_date.as_ref());
        self.confidential("00100040", "CS", patient.sex.as_ref());
        self.put("0020000D", "UI", summary.study.as_ref().map(|study| study.as_str()));
        self.put("00200010", "SH", None);
        self.number("00201206", lines.iter().map(|line| line.summary.series).max().unwrap_or(0));
        self.number("00201208", lines.iter().map(|line| line.summary.instances).sum());
    }

    /// What a series says of itself.
    pub(super) fn series(&mut self, study: &str, instances: &[&StoredInstance], retrieve: &str) {
        let Some(first) = instances.first() else { return };
        self.put("00080056", "CS", Some("ONLINE"));
        self.put("00080060", "CS", first.modality.as_deref());
        self.put("00081190", "UR", Some(retrieve));
        self.put("0020000D", "UI", Some(study));
        self.put("0020000E", "UI", first.series.as_ref().map(|series| series.as_str()));
        self.number("00201209", u32::try_from(instances.len()).unwrap_or(u32::MAX));
    }

    /// What an instance says of itself.
    pub(super) fn instance(&mut self, study: &str, instance: &StoredInstance, retrieve: &str) {
        self.put("00080016", "UI", Some(instance.sop_class.as_str()));
        self.put("00080018", "UI", Some(instance.sop_instance.as_str()));
        self.put("00080056", "CS", Some("ONLINE"));
        self.put("00080060", "CS", instance.modality.as_deref());
        self.put("00081190", "UR", Some(retrieve));
        self.put("0020000D", "UI", Some(study));
        self.put("0020000E", "UI", instance.series.as_ref().map(|series| series.as_str()));
        // Available Transfer Syntax UID (0008,3002).
        self.put("00083002", "UI", Some(instance.transfer_syntax.as_str()));
    }
}

/// A name with its component groups (PS3.18 F.2.2).
fn person(text: &str) -> Value {
    let mut groups = Map::new();
    for (name, group) in ["Alphabetic", "Ideographic", "Phonetic"].into_iter().zip(text.split('=')) {
        if !group.is_empty() {
            groups.insert(name.to_owned(), Value::String(group.to_owned()));
        }
    }
    Value::Object(groups)
}
