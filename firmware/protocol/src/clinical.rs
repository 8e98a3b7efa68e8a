//! What a study says about a person, in types that do not print.
//!
//! Every text that may describe a patient is [`Confidential`]: it travels through the programs and inside sealed
//! formats, but `Debug` shows a placeholder and there is no `Display`. The few places that may show it to a person
//! call [`Confidential::reveal`], which makes them easy to find.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ident::{Bsn, StudyInstanceUid};

/// Text about a patient or written by a person about one.
#[derive(Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Confidential(String);

impl Confidential {
    /// Takes text into confidence.
    pub fn new(text: impl Into<String>) -> Self {
        Confidential(text.into())
    }

    /// The text, for the one place that shows or seals it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing to withhold.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Confidential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Confidential(withheld)")
    }
}

/// Who the images are of, as the sending PACS wrote it. Absent attributes stay absent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Patient {
    /// Patient's Name (0010,0010), in DICOM's `family^given^middle^prefix^suffix` form.
    pub name: Option<Confidential>,
    /// Patient ID (0010,0020).
    pub id: Option<Confidential>,
    /// Issuer of Patient ID (0010,0021).
    pub id_issuer: Option<Confidential>,
    /// Patient's Birth Date (0010,0030), `YYYYMMDD`.
    pub birth_date: Option<Confidential>,
    /// Patient's Sex (0010,0040): `M`, `F` or `O`.
    pub sex: Option<Confidential>,
    /// The citizen service number, if one was found that passes its test.
    pub bsn: Option<Bsn>,
}

/// OID of the citizen service number: the Universal Entity ID of whoever issues it.
pub const BSN_OID: &str = "2.16.840.1.113883.2.4.6.3";

/// What stands beside a citizen service number: its OID, as such and as a URN, the namespace and the identifier type of
/// HL7 v2 (tables 0363 and 0203), and FHIR's system.
const BSN_ISSUERS: [&str; 6] = [
    BSN_OID,
    "urn:oid:2.16.840.1.113883.2.4.6.3",
    "NLMINBIZA",
    "NNNLD",
    "BSN",
    "http://fhir.nl/fhir/NamingSystem/bsn",
];

/// One number of a patient, with what stands beside it about who gave it out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PatientIdentifier {
    /// Patient ID (0010,0020), or the first component of an HL7 CX.
    pub id: Confidential,
    /// Issuer of Patient ID (0010,0021), or the namespace of the assigning authority.
    pub issuer: Option<Confidential>,
    /// Universal Entity ID (0040,0032) in Issuer of Patient ID Qualifiers (0010,0024).
    pub universal_id: Option<Confidential>,
    /// Identifier Type Code (0040,0035) in the same place, or the fifth component of an HL7 CX.
    pub type_code: Option<Confidential>,
}

/// Every place of a data set in which a number of the patient may stand.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PatientIdentifiers {
    /// Patient ID (0010,0020) with its issuer.
    pub patient_id: Option<PatientIdentifier>,
    /// Items of Other Patient IDs Sequence (0010,1002).
    pub other: Vec<PatientIdentifier>,
    /// Values of Other Patient IDs (0010,1000), retired and still written.
    pub other_retired: Vec<Confidential>,
}

/// Who gave a number out, as far as that is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssuerOfNumber {
    /// The authority that issues citizen service numbers.
    Bsn,
    /// Somebody else.
    Other,
    /// Nobody says.
    Unnamed,
}

impl PatientIdentifier {
    /// Reads a number that may be written as an HL7 v2 CX, `999990019^^^NLMINBIZA^NNNLD`, as HL7's PID-3 has it and some
    /// systems write it into DICOM. Text without `^` is the number itself.
    pub fn from_cx(text: &str) -> Self {
        let mut components = text.split('^').map(str::trim);
        let some = |text: &str| Some(text).filter(|text| !text.is_empty()).map(Confidential::new);
        let id = Confidential::new(components.next().unwrap_or_default());
        let authority = components.nth(2).unwrap_or_default();
        let type_code = components.next().and_then(some);
        let mut authority = authority.split('&');
        let issuer = authority.next().and_then(some);
        PatientIdentifier { id, issuer, universal_id: authority.next().and_then(some), type_code }
    }

    /// Who gave it out. A number that is called a citizen service number in one place and something else in another is
    /// taken for what it is called: whoever reads it tests it, and reports what does not fit.
    pub fn issued_by(&self) -> IssuerOfNumber {
        let said = [&self.issuer, &self.universal_id, &self.type_code].into_iter().flatten();
        let mut is_named = false;
        for name in said.flat_map(|text| text.reveal().split(['^', '&', '\\'])).map(str::trim) {
            if BSN_ISSUERS.iter().any(|bsn| name.eq_ignore_ascii_case(bsn)) {
                return IssuerOfNumber::Bsn;
            }
            is_named |= !name.is_empty();
        }
        if is_named { IssuerOfNumber::Other } else { IssuerOfNumber::Unnamed }
    }
}

/// What a list shows about one study.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StudySummary {
    /// Study Instance UID (0020,000D); absent only if the sender left it out.
    pub study: Option<StudyInstanceUid>,
    /// Study Description (0008,1030).
    pub description: Option<Confidential>,
    /// Study Date (0008,0020), `YYYYMMDD`.
    pub date: Option<String>,
    /// Study Time (0008,0030), `HHMMSS`.
    pub time: Option<String>,
    /// Modality (0008,0060) of each series, each once, sorted.
    pub modalities: Vec<String>,
    /// Accession Number (0008,0050).
    pub accession_number: Option<Confidential>,
    /// Institution Name (0008,0080).
    pub institution: Option<Confidential>,
    /// Number of series.
    pub series: u32,
    /// Number of instances.
    pub instances: u32,
    /// Sum of the lengths of the data sets, in bytes.
    pub size_bytes: u64,
}

/// What one instance says about itself beside its UIDs: read from a bounded prefix of the data set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct InstanceAttributes {
    /// The patient, as this instance names him or her.
    pub patient: Patient,
    /// Study Description (0008,1030).
    pub study_description: Option<Confidential>,
    /// Study Date (0008,0020), `YYYYMMDD`.
    pub study_date: Option<String>,
    /// Study Time (0008,0030).
    pub study_time: Option<String>,
    /// Modality (0008,0060).
    pub modality: Option<String>,
    /// Accession Number (0008,0050).
    pub accession_number: Option<Confidential>,
    /// Institution Name (0008,0080).
    pub institution: Option<Confidential>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patient_does_not_print() {
        let patient = Patient { name: Some(Confidential::new("Jansen^Piet")), ..Patient::default() };
        assert!(!format!("{patient:?}").contains("Jansen"));
        let identifier = PatientIdentifier::from_cx("999990019^^^NLMINBIZA^NNNLD");
        assert!(!format!("{identifier:?}").contains("999990019"));
    }

    #[test]
    fn the_issuer_is_read_in_every_form() {
        let issued = |text| PatientIdentifier::from_cx(text).issued_by();
        for text in [
            "999990019^^^NLMINBIZA^NNNLD",
            "999990019^^^nlminbiza",
            "999990019^^^&2.16.840.1.113883.2.4.6.3&ISO",
            "999990019^^^^NNNLD",
        ] {
            assert_eq!(issued(text), IssuerOfNumber::Bsn, "{text}");
        }
        assert_eq!(issued("3004100^^^NOORD^PI"), IssuerOfNumber::Other);
        assert_eq!(issued("999990019"), IssuerOfNumber::Unnamed);
        assert_eq!(issued(""), IssuerOfNumber::Unnamed);
    }
}
