//! From a decision about the patient to what is changed in the images on their way to the PACS.
//!
//! Only what the hospital's own systems say is put in place; what they leave out, or write in a form that DICOM does not
//! have, stays as the sender wrote it. The same decision gives the same bytes, however often they are sent.

use beeldbox_custody::{Filing, LocalRecord, TransferRow};
use beeldbox_dicom::{CoercionPlanError, CoercionRecord, Coercions, Issuer, LocalOrder, LocalPatient};
use beeldbox_protocol::clinical::{Confidential, Patient};

/// Longest Modifying System and Source of Previous Values (LO; PS3.5 Table 6.2-1), in characters.
const LONGEST_LO: usize = 64;

/// What is changed in the images of a transfer; nothing if they go as they came.
///
/// # Errors
/// If the decision names something that cannot stand in a data set. It was checked when it was made.
pub fn plan(row: &TransferRow, system: &str) -> Result<Option<Coercions>, CoercionPlanError> {
    let filing = row.confidential.as_ref().and_then(|words| words.filing.as_ref());
    match filing {
        None | Some(Filing::AsSent) => Ok(None),
        Some(Filing::Local(record)) => {
            let source = row.sender.as_ref().map_or("", |sender| sender.name.as_str());
            of_record(record, system, source).map(Some)
        }
    }
}

/// The same for a decision that is still to be made.
///
/// # Errors
/// The first value that could not stand in a data set.
pub fn of_record(record: &LocalRecord, system: &str, source: &str) -> Result<Coercions, CoercionPlanError> {
    let Patient { name, id, id_issuer, birth_date, sex, .. } = &record.patient;
    let patient = LocalPatient {
        id: id.clone().unwrap_or_default(),
        issuer: id_issuer.as_ref().map(namespace),
        name: name.clone(),
        birth_date: birth_date.clone().filter(is_day),
        sex: sex.clone().filter(|sex| matches!(sex.reveal(), "M" | "F" | "O")),
    };
    let order = record.accession_number.clone().map(|accession_number| LocalOrder {
        accession_number,
        issuer: record
            .accession_issuer
            .as_ref()
            .map(|issuer| Issuer { local_namespace: Some(issuer.clone()), universal: None }),
    });
    let record = CoercionRecord { system: lo(system), source: lo(source), at: record.decided_at };
    Coercions::new(Some(patient), order, record)
}

fn namespace(issuer: &Confidential) -> Issuer {
    Issuer { local_namespace: Some(issuer.reveal().to_owned()), universal: None }
}

fn is_day(text: &Confidential) -> bool {
    let text = text.reveal();
    text.len() == 8 && text.parse::<jiff::civil::Date>().is_ok()
}

/// A name of ours or of the other hospital, as far as it fits.
fn lo(text: &str) -> String {
    let fits = |letter: &char| *letter != '\\' && !letter.is_control();
    text.chars().filter(fits).take(LONGEST_LO).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dicom_cannot_write_is_left_to_the_sender() {
        let record = LocalRecord {
            patient: Patient {
                id: Some(Confidential::new("3004100")),
                birth_date: Some(Confidential::new("1945")),
                sex: Some(Confidential::new("V")),
                ..Patient::default()
            },
            ..LocalRecord::default()
        };
        let long = "x".repeat(100);
        let plan = of_record(&record, &long, "Ziekenhuis\\Noord").unwrap();
        assert!(!plan.is_empty());
        let no_number = LocalRecord { patient: Patient::default(), ..record };
        assert_eq!(
            of_record(&no_number, "box", "noord").unwrap_err(),
            CoercionPlanError::Empty { attribute: "Patient ID" }
        );
    }
}
