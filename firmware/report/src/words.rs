//! The words of the page, in Dutch: the pages are read in Dutch hospitals.

use crate::document::{DocumentSource, DocumentStatus};

/// Title of a report that has none.
pub(crate) const REPORT: &str = "Verslag";
/// Labels of the block at the top.
pub(crate) const PATIENT: &str = "Patiënt";
pub(crate) const BORN: &str = "Geboortedatum";
pub(crate) const SEX: &str = "Geslacht";
pub(crate) const NUMBER: &str = "Patiëntnummer";
pub(crate) const STUDY: &str = "Onderzoek";
pub(crate) const STUDIED: &str = "Datum onderzoek";
pub(crate) const ACCESSION: &str = "Onderzoeksnummer";
pub(crate) const AUTHOR: &str = "Verslaglegger";
pub(crate) const REQUESTED_BY: &str = "Aanvrager";
pub(crate) const REPORTED: &str = "Datum verslag";
pub(crate) const STATUS: &str = "Status";
pub(crate) const OBSERVER: &str = "Waarnemer";
pub(crate) const VERIFIED_BY: &str = "Geautoriseerd door";
/// A value that is not known.
pub(crate) const UNKNOWN: &str = "onbekend";

/// `F` as a word.
pub(crate) fn sex(code: &str) -> &str {
    match code {
        "M" => "man",
        "F" => "vrouw",
        "O" => "anders",
        "U" | "" => UNKNOWN,
        other => other,
    }
}

/// How far a report is.
pub(crate) fn status(status: DocumentStatus) -> &'static str {
    match status {
        DocumentStatus::Preliminary => "Voorlopig, niet geautoriseerd",
        DocumentStatus::Final => "Definitief",
        DocumentStatus::Amended => "Gewijzigd",
        DocumentStatus::Unknown => "Onbekend",
    }
}

/// What stands out on every page of a report that is not plainly final.
pub(crate) fn warning(status: DocumentStatus) -> Option<&'static str> {
    match status {
        DocumentStatus::Preliminary => Some("VOORLOPIG VERSLAG – NIET GEAUTORISEERD"),
        DocumentStatus::Final => None,
        DocumentStatus::Amended => Some("GEWIJZIGD VERSLAG – VERVANGT EERDERE VERSIE"),
        DocumentStatus::Unknown => Some("STATUS VAN HET VERSLAG ONBEKEND"),
    }
}

/// What the pages were made from.
pub(crate) fn source(source: DocumentSource) -> &'static str {
    match source {
        DocumentSource::Hl7 => "HL7-bericht",
        DocumentSource::StructuredReport => "DICOM Structured Report",
        DocumentSource::Text => "aangeleverde tekst",
    }
}

/// How many images the report speaks of.
pub(crate) fn images(count: usize) -> String {
    match count {
        1 => "1 beeld".to_owned(),
        _ => format!("{count} beelden"),
    }
}

/// `YYYYMMDD[HHMM…]` as a person reads it; what is no date stays as it is.
pub(crate) fn date(text: &str) -> String {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    let part = |from: usize, to: usize| digits.get(from..to);
    let (Some(year), Some(month), Some(day)) = (part(0, 4), part(4, 6), part(6, 8)) else {
        return text.to_owned();
    };
    match (part(8, 10), part(10, 12)) {
        (Some(hour), Some(minute)) => format!("{day}-{month}-{year} {hour}:{minute}"),
        _ => format!("{day}-{month}-{year}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_written_in_the_netherlands() {
        assert_eq!(date("19700102"), "02-01-1970");
        assert_eq!(date("20261128061530.1+0100"), "28-11-2026 06:15");
        assert_eq!(date("1970"), "1970");
        assert_eq!(date("gisteren"), "gisteren");
    }
}
