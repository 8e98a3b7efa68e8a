//! Two birth dates compared: equal, or how they come to differ.
//!
//! A day that nobody knows is written in several ways: left out, as zeros, or as the first of January. Typing errors have
//! two usual forms: day and month change places, or one digit is another. Anything else is another person's birth date.

use beeldbox_protocol::clinical::Confidential;
use jiff::civil::Date;

/// Dates that systems write when they know nothing.
const PLACEHOLDERS: [&str; 6] = ["00000000", "00010101", "11111111", "18000101", "19000101", "99991231"];

/// A birth date as it was received, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BirthDate {
    digits: Confidential,
    known: Known,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Day,
    YearAndMonth,
    Year,
    Nothing,
    /// Eight digits that are no day of the calendar, or no digits at all.
    Unreadable,
}

/// How two birth dates relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BirthDateAgreement {
    /// The same day.
    Equal,
    /// One of them names no day, or no month; what both name is equal.
    PartlyKnown,
    /// The same year, and one of them is the first of January, which is also written for a day that nobody knows.
    FirstOfJanuary,
    /// Day and month have changed places.
    DayMonthSwapped,
    /// One digit differs.
    OneDigit,
    /// At least one of them is no date.
    Unreadable,
    /// At least one of them is not there.
    Missing,
    /// Different days.
    Differs,
}

impl BirthDate {
    /// Reads DICOM's DA, with or without dots or hyphens, and the beginning of an HL7 DTM (PS3.5 §6.2; HL7 v2 §2A.3).
    pub fn read(text: &Confidential) -> Self {
        let trimmed = text.reveal().trim();
        let digits: String = trimmed.chars().filter(|c| !matches!(c, '.' | '-')).collect();
        let is_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        // A time of birth may follow: HHMM, with seconds or without.
        let digits = match digits.get(..8) {
            Some(date) if is_digits && matches!(digits.len(), 12 | 14) => date.to_owned(),
            Some(_) | None => digits,
        };
        let known = if trimmed.is_empty() || PLACEHOLDERS.contains(&digits.as_str()) {
            Known::Nothing
        } else if is_digits {
            known(&digits)
        } else {
            Known::Unreadable
        };
        BirthDate { digits: Confidential::new(digits), known }
    }

    fn parts(&self) -> (&str, &str, &str) {
        let digits = self.digits.reveal();
        (
            digits.get(..4).unwrap_or_default(),
            digits.get(4..6).unwrap_or_default(),
            digits.get(6..8).unwrap_or_default(),
        )
    }

    fn is_first_of_january(&self) -> bool {
        self.known == Known::Day && self.digits.reveal().ends_with("0101")
    }

    /// Compares two birth dates; it does not matter which is which.
    pub fn compare(one: Option<&BirthDate>, other: Option<&BirthDate>) -> BirthDateAgreement {
        let (Some(one), Some(other)) = (one, other) else { return BirthDateAgreement::Missing };
        match (one.known, other.known) {
            (Known::Nothing, _) | (_, Known::Nothing) => BirthDateAgreement::Missing,
            (Known::Unreadable, _) | (_, Known::Unreadable) if swapped(one, other) => {
                BirthDateAgreement::DayMonthSwapped
            }
            (Known::Unreadable, _) | (_, Known::Unreadable) => BirthDateAgreement::Unreadable,
            (Known::Day, Known::Day) => compare_days(one, other),
            (Known::Year, Known::Day | Known::YearAndMonth | Known::Year)
            | (Known::Day | Known::YearAndMonth, Known::Year) => partly(one.parts().0 == other.parts().0),
            (Known::YearAndMonth, Known::Day | Known::YearAndMonth) | (Known::Day, Known::YearAndMonth) => {
                let (one, other) = (one.parts(), other.parts());
                partly((one.0, one.1) == (other.0, other.1))
            }
        }
    }
}

fn partly(agrees: bool) -> BirthDateAgreement {
    if agrees { BirthDateAgreement::PartlyKnown } else { BirthDateAgreement::Differs }
}

/// What digits say. Years before 1800 are nobody's who is a patient today.
fn known(digits: &str) -> Known {
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i8>().ok());
    let year = digits.get(..4).and_then(|year| year.parse::<i16>().ok()).filter(|year| *year >= 1800);
    let Some(year) = year else { return Known::Unreadable };
    match (digits.len(), number(digits.get(4..6)), number(digits.get(6..8))) {
        (4, _, _) | (6, Some(0), _) | (8, Some(0), Some(0)) => Known::Year,
        (6, Some(month), _) | (8, Some(month), Some(0)) if (1..=12).contains(&month) => Known::YearAndMonth,
        (8, Some(month), Some(day)) if Date::new(year, month, day).is_ok() => Known::Day,
        (_, _, _) => Known::Unreadable,
    }
}

fn compare_days(one: &BirthDate, other: &BirthDate) -> BirthDateAgreement {
    let (one_digits, other_digits) = (one.digits.reveal(), other.digits.reveal());
    let differing = one_digits.bytes().zip(other_digits.bytes()).filter(|(a, b)| a != b).count();
    let same_year = one.parts().0 == other.parts().0;
    if differing == 0 {
        BirthDateAgreement::Equal
    } else if swapped(one, other) {
        BirthDateAgreement::DayMonthSwapped
    } else if differing == 1 {
        BirthDateAgreement::OneDigit
    } else if same_year && (one.is_first_of_january() || other.is_first_of_january()) {
        BirthDateAgreement::FirstOfJanuary
    } else {
        BirthDateAgreement::Differs
    }
}

fn swapped(one: &BirthDate, other: &BirthDate) -> bool {
    let (one, other) = (one.parts(), other.parts());
    let is_whole = !one.2.is_empty() && !other.2.is_empty();
    is_whole && one != other && one.0 == other.0 && one.1 == other.2 && one.2 == other.1
}

impl BirthDateAgreement {
    /// A name for it that does not change.
    pub fn code(self) -> &'static str {
        match self {
            BirthDateAgreement::Equal => "equal",
            BirthDateAgreement::PartlyKnown => "partly-known",
            BirthDateAgreement::FirstOfJanuary => "first-of-january",
            BirthDateAgreement::DayMonthSwapped => "day-month-swapped",
            BirthDateAgreement::OneDigit => "one-digit",
            BirthDateAgreement::Unreadable => "unreadable",
            BirthDateAgreement::Missing => "missing",
            BirthDateAgreement::Differs => "differs",
        }
    }

    /// The same for a person.
    pub fn english(self) -> &'static str {
        match self {
            BirthDateAgreement::Equal => "equal",
            BirthDateAgreement::PartlyKnown => "partly known; what is known agrees",
            BirthDateAgreement::FirstOfJanuary => {
                "same year; one is the first of January, which may stand for unknown"
            }
            BirthDateAgreement::DayMonthSwapped => "day and month changed places",
            BirthDateAgreement::OneDigit => "one digit differs",
            BirthDateAgreement::Unreadable => "not a date",
            BirthDateAgreement::Missing => "not known on both sides",
            BirthDateAgreement::Differs => "differs",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(one: &str, other: &str) -> BirthDateAgreement {
        let read = |text| BirthDate::read(&Confidential::new(text));
        let result = BirthDate::compare(Some(&read(one)), Some(&read(other)));
        assert_eq!(result, BirthDate::compare(Some(&read(other)), Some(&read(one))), "{one} {other}");
        result
    }

    #[test]
    fn every_way_in_which_dates_relate() {
        use BirthDateAgreement as A;
        for (one, other, expected) in [
            ("19450314", "19450314", A::Equal),
            ("1945.03.14", "1945-03-14", A::Equal),
            ("194503140830", " 19450314 ", A::Equal),
            ("19450304", "19450403", A::DayMonthSwapped),
            ("19451403", "19450314", A::DayMonthSwapped),
            ("19450314", "19450315", A::OneDigit),
            ("19450314", "19550314", A::OneDigit),
            ("1945", "19450314", A::PartlyKnown),
            ("19450000", "19450314", A::PartlyKnown),
            ("19450300", "19450314", A::PartlyKnown),
            ("194503", "1945", A::PartlyKnown),
            ("19460000", "19450314", A::Differs),
            ("194504", "19450314", A::Differs),
            ("19450101", "19450314", A::FirstOfJanuary),
            ("19450101", "19450101", A::Equal),
            ("19450101", "19460314", A::Differs),
            ("00000000", "19450314", A::Missing),
            ("19000101", "19450314", A::Missing),
            ("", "19450314", A::Missing),
            ("19450230", "19450314", A::Unreadable),
            ("unknown", "19450314", A::Unreadable),
            ("1945031", "19450314", A::Unreadable),
            ("19450314", "19450724", A::Differs),
            ("19450314", "19521107", A::Differs),
        ] {
            assert_eq!(compare(one, other), expected, "{one} and {other}");
        }
        assert_eq!(BirthDate::compare(None, None), A::Missing);
    }

    #[test]
    fn no_text_makes_it_stumble() {
        for text in ["é1945031", "９９９９", "-", ".", "99999999999999", "\u{0}", "194é0314"] {
            compare(text, "19450314");
        }
    }
}
