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
    }
}
