//! Who somebody is, as one system wrote it: the patient that came along, and a patient of our own.

use std::fmt;

use beeldbox_protocol::clinical::{
    Confidential, IssuerOfNumber, Patient, PatientIdentifier, PatientIdentifiers,
};
use beeldbox_protocol::folding::folded;

use super::birth_date::BirthDate;
use super::bsn::BsnReading;
use super::name::PersonName;

/// A patient as one system describes him or her, taken apart for comparing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PatientIdentity {
    /// The name; nothing if it was left out or empty.
    pub name: Option<PersonName>,
    /// The birth date as received; nothing if it was left out or empty.
    pub birth_date: Option<Confidential>,
    /// The sex.
    pub sex: Sex,
    /// Patient ID with its issuer: under this number the system files. Where it is a BSN it stands in `bsn` too.
    pub number: Option<PatientIdentifier>,
    /// Everything that was found about the BSN.
    pub bsn: BsnReading,
}

/// Sex, as far as it is said.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub enum Sex {
    /// Male.
    Male,
    /// Female.
    Female,
    /// Neither is said to fit.
    Other,
    /// Not said.
    #[default]
    Unknown,
}

impl fmt::Debug for Sex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sex(withheld)")
    }
}

impl Sex {
    /// Reads DICOM's Patient's Sex and HL7's PID-8. `V` is written by Dutch systems for a woman. What is not known here
    /// is taken for not said: it never makes two patients equal.
    pub fn read(text: &str) -> Self {
        match text.trim() {
            "M" | "m" => Sex::Male,
            "F" | "f" | "V" | "v" => Sex::Female,
            "O" | "o" | "X" | "x" => Sex::Other,
            _ => Sex::Unknown,
        }
    }
}

/// Where a candidate comes from, in the order in which they are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CandidateSource {
    /// A scheduled import on the modality worklist.
    Worklist,
    /// The PACS.
    Pacs,
    /// The hospital's patient index, asked with HL7 PDQ.
    Pdq,
}

/// A patient of our own who may be the one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Who it is, as the first source says; what it leaves out is taken from the next ones.
    pub identity: PatientIdentity,
    /// Who knows this patient.
    pub sources: Vec<CandidateSource>,
    /// Our own systems do not agree about this patient.
    pub records_differ: bool,
}

impl PatientIdentity {
    /// From what a data set says, or a letter, or an answer to C-FIND: all three use the same attributes.
    pub fn of_data_set(patient: &Patient, identifiers: &PatientIdentifiers) -> Self {
        let given =
            |text: &Option<Confidential>| text.clone().filter(|text| !text.reveal().trim().is_empty());
        let plain = given(&patient.id).map(|id| PatientIdentifier {
            id,
            issuer: given(&patient.id_issuer),
            ..PatientIdentifier::default()
        });
        let mut identifiers = identifiers.clone();
        if identifiers.patient_id.is_none() {
            identifiers.patient_id = plain;
        }
        let bsn = BsnReading::of_data_set(&identifiers, patient.bsn.as_ref());
        let is_there = |number: &PatientIdentifier| !number.id.reveal().trim().is_empty();
        PatientIdentity {
            name: given(&patient.name).map(|name| PersonName::from_dicom(&name)),
            birth_date: given(&patient.birth_date),
            sex: patient.sex.as_ref().map_or(Sex::Unknown, |sex| Sex::read(sex.reveal())),
            number: identifiers.patient_id.filter(is_there),
            bsn,
        }
    }

    pub(super) fn read_birth_date(&self) -> Option<BirthDate> {
        self.birth_date.as_ref().map(BirthDate::read)
    }
}

/// How two patient numbers relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NumberAgreement {
    /// The same number of the same issuer.
    Equal,
    /// The same digits; at least one side does not say whose number it is.
    EqualIssuerUnsaid,
    /// Two numbers of the same issuer.
    DiffersAtSameIssuer,
    /// Numbers of different hospitals, or none: they say nothing about each other.
    NotComparable,
}

impl NumberAgreement {
    /// Compares two numbers; it does not matter which is which.
    pub fn of(one: Option<&PatientIdentifier>, other: Option<&PatientIdentifier>) -> Self {
        let (Some(one), Some(other)) = (one, other) else { return NumberAgreement::NotComparable };
        // They are compared as BSNs.
        if [one, other].iter().any(|number| number.issued_by() == IssuerOfNumber::Bsn) {
            return NumberAgreement::NotComparable;
        }
        let is_same_number = one.id.reveal().trim() == other.id.reveal().trim();
        match (is_same_number, same_issuer(one, other)) {
            (true, Some(true)) => NumberAgreement::Equal,
            (true, None) => NumberAgreement::EqualIssuerUnsaid,
            (false, Some(true)) => NumberAgreement::DiffersAtSameIssuer,
            (true | false, Some(false)) | (false, None) => NumberAgreement::NotComparable,
        }
    }

    /// A name for it that does not change.
    pub fn code(self) -> &'static str {
        match self {
            NumberAgreement::Equal => "equal",
            NumberAgreement::EqualIssuerUnsaid => "equal-issuer-unsaid",
            NumberAgreement::DiffersAtSameIssuer => "differs-at-same-issuer",
            NumberAgreement::NotComparable => "not-comparable",
        }
    }

    /// The same for a person.
    pub fn english(self) -> &'static str {
        match self {
            NumberAgreement::Equal => "equal, and of the same issuer",
            NumberAgreement::EqualIssuerUnsaid => "the same digits; it is not said whose number it is",
            NumberAgreement::DiffersAtSameIssuer => "two numbers of the same issuer",
            NumberAgreement::NotComparable => "cannot be compared",
        }
    }
}

/// Whether two numbers were given out by the same; nothing if one of them does not say.
fn same_issuer(one: &PatientIdentifier, other: &PatientIdentifier) -> Option<bool> {
    let said = |text: &Option<Confidential>| {
        text.as_ref().map(|text| folded(text.reveal().trim())).filter(|text| !text.is_empty())
    };
    let pairs = [(&one.universal_id, &other.universal_id), (&one.issuer, &other.issuer)];
    pairs.into_iter().find_map(|(one, other)| Some(said(one)? == said(other)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_say_something_only_under_one_issuer() {
        use NumberAgreement as N;
        let of = |one, other| {
            let read = PatientIdentifier::from_cx;
            let result = N::of(Some(&read(one)), Some(&read(other)));
            assert_eq!(result, N::of(Some(&read(other)), Some(&read(one))));
            result
        };
        assert_eq!(of("3004100^^^ZUID", "3004100^^^zuid"), N::Equal);
        assert_eq!(of("3004100^^^ZUID&1.2.3", "3004100^^^Z&1.2.3"), N::Equal);
        assert_eq!(of("3004100^^^NOORD", "3004100^^^ZUID"), N::NotComparable);
        assert_eq!(of("3004100", "3004100^^^ZUID"), N::EqualIssuerUnsaid);
        assert_eq!(of("3004101^^^ZUID", "3004100^^^ZUID"), N::DiffersAtSameIssuer);
        assert_eq!(of("3004101", "3004100"), N::NotComparable);
        assert_eq!(N::of(None, None), N::NotComparable);
    }

    #[test]
    fn a_patient_does_not_print() {
        let patient = Patient {
            name: Some(Confidential::new("Jansen^Piet")),
            birth_date: Some(Confidential::new("19450314")),
            sex: Some(Confidential::new("M")),
            id: Some(Confidential::new("3004100")),
            bsn: Some("999990019".parse().unwrap()),
            ..Patient::default()
        };
        let printed = format!("{:?}", PatientIdentity::of_data_set(&patient, &PatientIdentifiers::default()));
        for secret in ["Jansen", "Piet", "1945", "Male", "3004100", "99999"] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }

    #[test]
    fn a_patient_id_that_is_a_bsn_is_compared_as_such() {
        let patient = Patient {
            id: Some(Confidential::new("999990019")),
            id_issuer: Some(Confidential::new("NLMINBIZA")),
            ..Patient::default()
        };
        let identity = PatientIdentity::of_data_set(&patient, &PatientIdentifiers::default());
        let number = identity.number.as_ref();
        assert!(number.is_some());
        assert_eq!(NumberAgreement::of(number, number), NumberAgreement::NotComparable);
        assert_eq!(identity.bsn.found().len(), 1);
    }
}
