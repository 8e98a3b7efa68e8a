//! The citizen service number (BSN), read from every place where it occurs, with where it was found.
//!
//! A number counts as a BSN because somebody says so: the issuer beside it. Nine digits that pass the 11-test without an
//! issuer may be one; one in eleven numbers of a hospital passes it too. What contradicts is reported and never chosen
//! from: [`BsnReading::answer`] then has no number to give.

use beeldbox_protocol::clinical::{Confidential, IssuerOfNumber, PatientIdentifier, PatientIdentifiers};
use beeldbox_protocol::ident::{Bsn, IdentError};

/// Where a number was found. Counted from one, as people count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BsnSource {
    /// The sender's letter says so.
    Letter,
    /// Patient ID (0010,0020).
    PatientId,
    /// An item of Other Patient IDs Sequence (0010,1002).
    OtherPatientIds {
        /// Which item.
        item: usize,
    },
    /// A value of Other Patient IDs (0010,1000), retired.
    OtherPatientIdsRetired {
        /// Which value.
        value: usize,
    },
    /// A repetition of HL7's PID-3.
    Pid3 {
        /// Which repetition.
        repetition: usize,
    },
}

/// Why a number is thought to be a BSN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BsnWeight {
    /// Nine digits that pass the 11-test, and nobody says whose number it is.
    LooksLikeOne,
    /// The issuer beside it says so.
    Issued,
}

/// A number that passes the 11-test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundBsn {
    /// The number.
    pub bsn: Bsn,
    /// Where it stands.
    pub source: BsnSource,
    /// Why it is thought to be one.
    pub weight: BsnWeight,
}

/// Something that is called a BSN and is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedBsn {
    /// Where it stands.
    pub source: BsnSource,
    /// The rule it breaks.
    pub why: IdentError,
}

/// Everything that was found about the BSN of one patient.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BsnReading {
    found: Vec<FoundBsn>,
    refused: Vec<RefusedBsn>,
}

/// What a reading comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BsnAnswer<'a> {
    /// No number was found.
    None,
    /// One number, in one place or several.
    One {
        /// The number.
        bsn: &'a Bsn,
        /// The best witness for it.
        weight: BsnWeight,
    },
    /// Several numbers with equally good witnesses.
    Contradictory,
}

impl BsnReading {
    /// Reads every place of a data set. What the sender's letter calls the BSN counts as said by an issuer: the sender's
    /// box puts one there only if it was.
    pub fn of_data_set(identifiers: &PatientIdentifiers, letter: Option<&Bsn>) -> Self {
        let mut reading = BsnReading::default();
        if let Some(bsn) = letter {
            let source = BsnSource::Letter;
            reading.found.push(FoundBsn { bsn: bsn.clone(), source, weight: BsnWeight::Issued });
        }
        if let Some(identifier) = &identifiers.patient_id {
            reading.read(identifier, BsnSource::PatientId);
        }
        for (item, identifier) in (1..).zip(&identifiers.other) {
            reading.read(identifier, BsnSource::OtherPatientIds { item });
        }
        for (value, text) in (1..).zip(&identifiers.other_retired) {
            let identifier = PatientIdentifier { id: text.clone(), ..PatientIdentifier::default() };
            reading.read(&identifier, BsnSource::OtherPatientIdsRetired { value });
        }
        reading
    }

    /// Reads the repetitions of HL7's PID-3.
    pub fn of_pid3(repetitions: &[PatientIdentifier]) -> Self {
        let mut reading = BsnReading::default();
        for (repetition, identifier) in (1..).zip(repetitions) {
            reading.read(identifier, BsnSource::Pid3 { repetition });
        }
        reading
    }

    /// Every number, in the order of the places.
    pub fn found(&self) -> &[FoundBsn] {
        &self.found
    }

    /// What is called a BSN and is none.
    pub fn refused(&self) -> &[RefusedBsn] {
        &self.refused
    }

    /// The number, if everything of the best weight says the same.
    pub fn answer(&self) -> BsnAnswer<'_> {
        let Some(best) = self.found.iter().map(|found| found.weight).max() else { return BsnAnswer::None };
        let mut best_found = self.found.iter().filter(|found| found.weight == best).map(|found| &found.bsn);
        match best_found.next() {
            Some(bsn) if best_found.all(|other| other == bsn) => BsnAnswer::One { bsn, weight: best },
            Some(_) | None => BsnAnswer::Contradictory,
        }
    }

    /// Whether beside the answer there is another number that looks like a BSN, of less weight.
    pub fn has_another(&self) -> bool {
        match self.answer() {
            BsnAnswer::One { bsn, .. } => self.found.iter().any(|found| found.bsn != *bsn),
            BsnAnswer::None | BsnAnswer::Contradictory => false,
        }
    }

    fn read(&mut self, identifier: &PatientIdentifier, source: BsnSource) {
        // Some systems write the whole CX of HL7 into a DICOM attribute.
        let is_cx = identifier.id.reveal().contains('^');
        let split = is_cx.then(|| PatientIdentifier::from_cx(identifier.id.reveal()));
        let number = split.as_ref().map_or(&identifier.id, |split| &split.id);
        if number.reveal().trim().is_empty() {
            return;
        }
        let split_says = split.as_ref().map_or(IssuerOfNumber::Unnamed, PatientIdentifier::issued_by);
        match (identifier.issued_by(), split_says) {
            (IssuerOfNumber::Bsn, _) | (_, IssuerOfNumber::Bsn) => match issued(number) {
                Ok(bsn) => self.found.push(FoundBsn { bsn, source, weight: BsnWeight::Issued }),
                Err(why) => self.refused.push(RefusedBsn { source, why }),
            },
            (IssuerOfNumber::Unnamed, IssuerOfNumber::Unnamed) => {
                if let Some(bsn) = looks_like_one(number) {
                    self.found.push(FoundBsn { bsn, source, weight: BsnWeight::LooksLikeOne });
                }
            }
            (IssuerOfNumber::Other, IssuerOfNumber::Other | IssuerOfNumber::Unnamed)
            | (IssuerOfNumber::Unnamed, IssuerOfNumber::Other) => {}
        }
    }
}

/// People group the digits: `9999 90 019`, `9999.90.019`.
fn issued(number: &Confidential) -> Result<Bsn, IdentError> {
    let digits: String = number.reveal().chars().filter(|c| !matches!(c, ' ' | '.' | '-')).collect();
    digits.parse()
}

/// Nine digits as they are: eight, or grouped ones, are more likely a hospital's own number.
fn looks_like_one(number: &Confidential) -> Option<Bsn> {
    let text = number.reveal().trim();
    (text.len() == 9).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_patient_id(text: &str, issuer: Option<&str>) -> BsnReading {
        let identifier = PatientIdentifier {
            id: Confidential::new(text),
            issuer: issuer.map(Confidential::new),
            ..PatientIdentifier::default()
        };
        let identifiers =
            PatientIdentifiers { patient_id: Some(identifier), ..PatientIdentifiers::default() };
        BsnReading::of_data_set(&identifiers, None)
    }

    fn weight(reading: &BsnReading) -> Option<BsnWeight> {
        match reading.answer() {
            BsnAnswer::One { weight, .. } => Some(weight),
            BsnAnswer::None | BsnAnswer::Contradictory => None,
        }
    }

    #[test]
    fn the_issuer_weighs_more_than_nine_digits() {
        assert_eq!(weight(&of_patient_id("999990019", Some("NLMINBIZA"))), Some(BsnWeight::Issued));
        assert_eq!(weight(&of_patient_id("9999 90 019", Some("BSN"))), Some(BsnWeight::Issued));
        assert_eq!(weight(&of_patient_id("999990019", None)), Some(BsnWeight::LooksLikeOne));
        assert_eq!(weight(&of_patient_id("999990019^^^NLMINBIZA^NNNLD", None)), Some(BsnWeight::Issued));
        assert_eq!(
            weight(&of_patient_id("999990019", Some("NOORD"))),
            None,
            "the number of a hospital is no BSN"
        );
        assert_eq!(weight(&of_patient_id("999990018", None)), None);
    }

    #[test]
    fn eight_digits_are_a_bsn_only_if_somebody_says_so() {
        let reading = of_patient_id("10000008", Some("BSN"));
        assert_eq!(reading.found()[0].bsn.reveal(), "010000008");
        assert_eq!(of_patient_id("10000008", None).answer(), BsnAnswer::None);
    }

    #[test]
    fn what_is_called_a_bsn_and_is_none_is_told() {
        let reading = of_patient_id("999990018", Some("NLMINBIZA"));
        assert_eq!(reading.answer(), BsnAnswer::None);
        assert_eq!(
            reading.refused(),
            [RefusedBsn { source: BsnSource::PatientId, why: IdentError::CheckDigit }]
        );
    }

    #[test]
    fn every_place_is_read_and_named() {
        let bsn = "999990019";
        let identifiers = PatientIdentifiers {
            patient_id: Some(PatientIdentifier::from_cx("3004100^^^NOORD")),
            other: vec![
                PatientIdentifier::from_cx("77"),
                PatientIdentifier::from_cx("999990019^^^NLMINBIZA"),
            ],
            other_retired: vec![Confidential::new("12"), Confidential::new(bsn)],
        };
        let reading = BsnReading::of_data_set(&identifiers, Some(&bsn.parse().unwrap()));
        let places: Vec<BsnSource> = reading.found().iter().map(|found| found.source).collect();
        assert_eq!(
            places,
            [
                BsnSource::Letter,
                BsnSource::OtherPatientIds { item: 2 },
                BsnSource::OtherPatientIdsRetired { value: 2 }
            ]
        );
        assert_eq!(weight(&reading), Some(BsnWeight::Issued));
        let reading = BsnReading::of_pid3(&[PatientIdentifier::from_cx("999990019^^^NLMINBIZA^NNNLD")]);
        assert_eq!(reading.found()[0].source, BsnSource::Pid3 { repetition: 1 });
    }

    #[test]
    fn contradictions_are_reported_and_not_chosen_from() {
        let other = |texts: [&str; 2]| {
            let identifiers = PatientIdentifiers {
                other: texts.map(PatientIdentifier::from_cx).to_vec(),
                ..PatientIdentifiers::default()
            };
            BsnReading::of_data_set(&identifiers, None)
        };
        let both = other(["999990019^^^NLMINBIZA", "111222333^^^NLMINBIZA"]);
        assert_eq!(both.answer(), BsnAnswer::Contradictory);
        assert_eq!(other(["999990019", "111222333"]).answer(), BsnAnswer::Contradictory);
        let mixed = other(["999990019^^^NLMINBIZA", "111222333"]);
        assert_eq!(weight(&mixed), Some(BsnWeight::Issued));
        assert!(mixed.has_another(), "what looks like another number is told");
    }

    #[test]
    fn a_reading_does_not_print_the_number() {
        assert!(!format!("{:?}", of_patient_id("999990019", None)).contains("999990019"));
    }
}
