//! Dates, times and spans as CS-04 asks: `14-mrt-1945`, 24 hours, the same whatever the browser thinks.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::lang::{Lang, Words};

/// The time of the hospital. Written as a POSIX rule (EU directive 2000/84/EC), so that no time zone files are needed.
static AMSTERDAM: LazyLock<TimeZone> = LazyLock::new(|| {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("the rule above is valid, a test reads it")
});

const MONTHS_NL: [&str; 12] =
    ["jan", "feb", "mrt", "apr", "mei", "jun", "jul", "aug", "sep", "okt", "nov", "dec"];
const MONTHS_EN: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A day: `14-mrt-1945`.
pub fn day(date: Date, words: Words) -> String {
    let months = match words.lang() {
        Lang::Nl => &MONTHS_NL,
        Lang::En => &MONTHS_EN,
    };
    let month =
        usize::try_from(date.month() - 1).ok().and_then(|at| months.get(at)).copied().unwrap_or_default();
    format!("{:02}-{}-{:04}", date.day(), month, date.year())
}

/// The day of a moment, in Amsterdam.
pub fn day_of(moment: Timestamp, words: Words) -> String {
    day(moment.to_zoned(AMSTERDAM.clone()).date(), words)
}

/// The calendar day on which something happens, in Amsterdam.
pub fn local_date(moment: Timestamp) -> Date {
    moment.to_zoned(AMSTERDAM.clone()).date()
}

/// Reads DICOM's `YYYYMMDD` (PS3.5 §6.2, VR DA), with the dots of the old form.
pub fn parse_day(text: &str) -> Option<Date> {
    let digits: String = text.trim().chars().filter(|c| *c != '.').collect();
    if digits.len() != 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Date::new(digits[..4].parse().ok()?, digits[4..6].parse().ok()?, digits[6..].parse().ok()?).ok()
}

/// Reads a day as people type it: `14-03-1945`, `14/3/1945`, `14-mrt-1945`, `14031945` and `1945-03-14`.
pub fn parse_typed(text: &str) -> Option<Date> {
    let text = text.trim().to_lowercase();
    let parts: Vec<&str> = text.split(['-', '/', '.', ' ']).filter(|part| !part.is_empty()).collect();
    let (day, month, year) = match parts.as_slice() {
        [year, month, day] if year.len() == 4 => (*day, *month, *year),
        [day, month, year] if year.len() == 4 => (*day, *month, *year),
        [one] if one.len() == 8 && one.bytes().all(|b| b.is_ascii_digit()) => {
            (one.get(..2)?, one.get(2..4)?, one.get(4..)?)
        }
        [..] => return None,
    };
    let named = |months: &[&str; 12]| months.iter().position(|name| name.eq_ignore_ascii_case(month));
    let month: i8 = match named(&MONTHS_NL).or_else(|| named(&MONTHS_EN)) {
        Some(at) => i8::try_from(at + 1).ok()?,
        None => month.parse().ok()?,
    };
    Date::new(year.parse().ok()?, month, day.parse().ok()?).ok()
}

/// A day as DICOM writes it.
pub fn dicom_day(date: Date) -> String {
    format!("{:04}{:02}{:02}", date.year(), date.month(), date.day())
}

/// Reads the hours and minutes of DICOM's `HHMMSS.FFFFFF` (VR TM): `09:12`.
pub fn parse_time(text: &str) -> Option<String> {
    let digits: String = text.trim().chars().filter(|c| *c != ':').take(4).collect();
    if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (hour, minute) = (digits[..2].parse::<u8>().ok()?, digits[2..].parse::<u8>().ok()?);
    (hour < 24 && minute < 60).then(|| format!("{hour:02}:{minute:02}"))
}

/// Hours, minutes and seconds: `14:03:22`.
pub fn clock(moment: Timestamp) -> String {
    let time = moment.to_zoned(AMSTERDAM.clone()).time();
    format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())
}

/// When: `14:02` today, `21-nov-2026 14:02` otherwise.
pub fn when(moment: Timestamp, now: Timestamp, words: Words) -> String {
    let zoned = moment.to_zoned(AMSTERDAM.clone());
    let time = format!("{:02}:{:02}", zoned.hour(), zoned.minute());
    if zoned.date() == local_date(now) { time } else { format!("{} {time}", day(zoned.date(), words)) }
}

/// When and how long ago: `14:02 (12 minuten geleden)`; after a day only when.
pub fn when_and_ago(moment: Timestamp, now: Timestamp, words: Words) -> String {
    let past = now.as_second() - moment.as_second();
    if (0..60).contains(&past) {
        // Seconds are out of date before they are read.
        format!("{} ({})", when(moment, now, words), words.t("study.now"))
    } else if (60..24 * 3600).contains(&past) {
        format!("{} ({})", when(moment, now, words), ago(moment, now, words))
    } else {
        when(moment, now, words)
    }
}

/// How long ago: `zojuist`, `12 minuten geleden`.
pub fn ago(moment: Timestamp, now: Timestamp, words: Words) -> String {
    let seconds = u64::try_from(now.as_second() - moment.as_second()).unwrap_or(0);
    if seconds < 10 {
        words.t("study.now")
    } else {
        words.fill("study.ago", &[("span", &span(seconds, words))])
    }
}

/// How long: `12 minuten`, in the largest unit that fits.
pub fn span(seconds: u64, words: Words) -> String {
    match seconds {
        0..60 => words.n("study.seconds", seconds),
        60..3600 => words.n("study.minutes", seconds / 60),
        3600..172_800 => words.n("study.hours", seconds / 3600),
        _ => words.n("study.days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_written_in_the_readers_language() {
        let date = parse_day("19450314").unwrap();
        assert_eq!(day(date, Lang::Nl.words()), "14-mrt-1945");
        assert_eq!(day(date, Lang::En.words()), "14-Mar-1945");
        assert_eq!(parse_day("1945.03.14"), Some(date));
        assert_eq!(parse_day("19451314"), None);
        assert_eq!(parse_day("éé1945"), None);
    }

    #[test]
    fn the_clock_is_the_hospitals_in_summer_and_winter() {
        let summer: Timestamp = "2026-07-01T12:00:00Z".parse().unwrap();
        let winter: Timestamp = "2026-12-01T12:00:00Z".parse().unwrap();
        assert_eq!(clock(summer), "14:00:00");
        assert_eq!(clock(winter), "13:00:00");
        assert_eq!(when(summer, winter, Lang::Nl.words()), "01-jul-2026 14:00");
    }

    #[test]
    fn a_moment_says_how_long_ago_as_far_as_that_helps() {
        let nl = Lang::Nl.words();
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let shown = |text: &str| when_and_ago(text.parse().unwrap(), now, nl);
        assert_eq!(shown("2026-11-23T11:59:20Z"), "12:59 (zojuist)");
        assert_eq!(shown("2026-11-23T11:48:00Z"), "12:48 (12 minuten geleden)");
        assert_eq!(shown("2026-11-21T11:48:00Z"), "21-nov-2026 12:48");
    }

    #[test]
    fn a_day_is_read_however_it_is_typed() {
        let date = parse_day("19450314").unwrap();
        for typed in
            ["14-03-1945", " 14/3/1945 ", "14.3.1945", "14-mrt-1945", "14 Mar 1945", "14031945", "1945-03-14"]
        {
            assert_eq!(parse_typed(typed), Some(date), "{typed}");
        }
        for bad in ["", "14-13-1945", "31-02-1945", "14-03-45", "gisteren", "ééé", "1-2-3-2020"] {
            assert_eq!(parse_typed(bad), None, "{bad}");
        }
        assert_eq!(dicom_day(date), "19450314");
    }

    #[test]
    fn spans_use_the_largest_unit() {
        let nl = Lang::Nl.words();
        assert_eq!(span(59, nl), "59 seconden");
        assert_eq!(span(60, nl), "1 minuut");
        assert_eq!(span(7200, nl), "2 uur");
        assert_eq!(span(200_000, nl), "2 dagen");
        assert_eq!(parse_time("091205.123"), Some("09:12".to_owned()));
        assert_eq!(parse_time("2512"), None);
    }
}
