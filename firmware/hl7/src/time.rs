//! Dates and times as HL7 writes them: `YYYY[MM[DD[HH[MM[SS[.S…]]]]]][+ZZZZ]`, as exact as the sender knew (§2.A.22, DTM).

use std::fmt;
use std::str::FromStr;

/// A point in time, with the precision it was written in. Of a birth date it says something about a person, so it does not
/// print.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PointInTime {
    /// Four to fourteen digits, and a fraction.
    digits: String,
    /// `+0100`.
    offset: Option<String>,
}

impl fmt::Debug for PointInTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PointInTime({} digits)", self.digits.len())
    }
}

/// The text is no date and no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no date or time of HL7")]
pub struct NoPointInTime;

impl FromStr for PointInTime {
    type Err = NoPointInTime;

    fn from_str(text: &str) -> Result<Self, NoPointInTime> {
        let (time, offset) = match text.find(['+', '-']) {
            Some(at) => (text.get(..at).unwrap_or_default(), text.get(at..)),
            None => (text, None),
        };
        let (digits, fraction) = time.split_once('.').map_or((time, None), |(time, rest)| (time, Some(rest)));
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let known = matches!(digits.len(), 4 | 6 | 8 | 10 | 12 | 14) && is_digits(digits);
        let fraction_fits = fraction
            .is_none_or(|rest| digits.len() == 14 && (1..=6).contains(&rest.len()) && is_digits(rest));
        let offset_fits = offset.is_none_or(|offset| {
            offset.len() == 5 && offset.get(1..).is_some_and(is_digits) && within(offset, 1, 0, 14)
        });
        let parts = [(4, 1, 12), (6, 1, 31), (8, 0, 23), (10, 0, 59), (12, 0, 60)];
        let in_range =
            parts.iter().all(|(at, least, most)| digits.len() <= *at || within(digits, *at, *least, *most));
        if known && fraction_fits && offset_fits && in_range {
            Ok(PointInTime { digits: time.to_owned(), offset: offset.map(str::to_owned) })
        } else {
            Err(NoPointInTime)
        }
    }
}

/// Whether the two digits at this place are a number between.
fn within(digits: &str, at: usize, least: u8, most: u8) -> bool {
    let number = digits.get(at..at + 2).and_then(|two| two.parse::<u8>().ok());
    number.is_some_and(|number| (least..=most).contains(&number))
}

impl PointInTime {
    /// `YYYYMMDD`, as DICOM writes a date; `None` if only the year or the month is known.
    pub fn date(&self) -> Option<&str> {
        self.digits.get(..8)
    }

    /// `HHMM` or `HHMMSS`, in the sender's own time; `None` if no minute is known.
    pub fn time(&self) -> Option<&str> {
        let time = self.digits.get(8..)?;
        let time = time.split('.').next().unwrap_or_default();
        (time.len() >= 4).then_some(time)
    }

    /// The whole of it, as it was written.
    pub fn text(&self) -> String {
        format!("{}{}", self.digits, self.offset.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_precision_is_read_and_written_back() {
        for text in [
            "1970",
            "197001",
            "19700102",
            "1970010203",
            "197001020304",
            "19700102030405",
            "19700102030405.1234+0100",
            "197001020304-0500",
        ] {
            assert_eq!(text.parse::<PointInTime>().map(|time| time.text()), Ok(text.to_owned()));
        }
        let time: PointInTime = "20261128061530.5+0100".parse().unwrap();
        assert_eq!((time.date(), time.time()), (Some("20261128"), Some("061530")));
        assert_eq!("202611".parse::<PointInTime>().unwrap().date(), None);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "70",
            "2026-11-28",
            "28-11-2026",
            "20261301",
            "20261132",
            "2026112824",
            "20261128.5",
            "2026112806+1",
            "20261128061530+9900",
            "2026é1",
        ] {
            assert_eq!(text.parse::<PointInTime>(), Err(NoPointInTime), "{text}");
        }
    }
}
