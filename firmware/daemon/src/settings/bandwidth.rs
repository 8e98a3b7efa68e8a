//! Bandwidth in the settings: limits, and other limits for some hours of the week.

use beeldbox_transfer::bandwidth::{Allowance, Rule, Schedule};
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;

use super::{Checker, SettingsError, fragment};

/// The zone of the hospitals this is made for, and its rule, for a system without a time zone database.
const AMSTERDAM: &str = "Europe/Amsterdam";
const AMSTERDAM_RULE: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

/// Bytes per second in one Mbit/s.
const MBIT: u64 = 125_000;

/// Limits that make sense, in Mbit/s. Below, a part would take minutes and every break would cost it.
const LEAST_MBIT: u64 = 1;
const MOST_MBIT: u64 = 100_000;

impl Checker<'_> {
    pub(super) fn bandwidth(&self, said: &fragment::Bandwidth) -> Result<Schedule, SettingsError> {
        let mut rules = Vec::new();
        for (at, rule) in said.rules.iter().enumerate() {
            let key = format!("bandwidth.rules[{at}]");
            rules.push(self.rule(&key, rule)?);
        }
        Ok(Schedule {
            zone: self.zone(&said.time_zone)?,
            otherwise: Allowance {
                upload: self.rate("bandwidth.upload_mbit", said.upload_mbit)?,
                download: self.rate("bandwidth.download_mbit", said.download_mbit)?,
                limits_urgent: said.limits_urgent,
            },
            rules,
        })
    }

    fn rule(&self, key: &str, rule: &fragment::BandwidthRule) -> Result<Rule, SettingsError> {
        let days = rule.days.iter().map(|day| self.day(&format!("{key}.days"), day));
        let days: Vec<Weekday> = days.collect::<Result<_, _>>()?;
        if days.is_empty() {
            return Err(self.refuse(&format!("{key}.days"), "names no day"));
        }
        let (from, until) = (
            self.time(&format!("{key}.from"), &rule.from)?,
            self.time(&format!("{key}.until"), &rule.until)?,
        );
        if from == until && from != Time::midnight() {
            return Err(self.refuse(&format!("{key}.until"), "is the same as from"));
        }
        Ok(Rule {
            days,
            from,
            until,
            allowance: Allowance {
                upload: self.rate(&format!("{key}.upload_mbit"), rule.upload_mbit)?,
                download: self.rate(&format!("{key}.download_mbit"), rule.download_mbit)?,
                limits_urgent: rule.limits_urgent,
            },
        })
    }

    fn rate(&self, key: &str, mbit: Option<u64>) -> Result<Option<u64>, SettingsError> {
        match mbit {
            Some(mbit) if !(LEAST_MBIT..=MOST_MBIT).contains(&mbit) => Err(self.refuse(
                key,
                &format!("must be between {LEAST_MBIT} and {MOST_MBIT} Mbit/s; without it there is no limit"),
            )),
            Some(mbit) => Ok(Some(mbit * MBIT)),
            None => Ok(None),
        }
    }

    fn zone(&self, name: &str) -> Result<TimeZone, SettingsError> {
        match TimeZone::get(name) {
            Ok(zone) => Ok(zone),
            Err(_) if name == AMSTERDAM => self.parse_zone(AMSTERDAM_RULE),
            Err(_) => Err(self.refuse("bandwidth.time_zone", "is not a time zone that this system knows")),
        }
    }

    fn parse_zone(&self, rule: &str) -> Result<TimeZone, SettingsError> {
        TimeZone::posix(rule).map_err(|error| self.refuse("bandwidth.time_zone", &error.to_string()))
    }

    fn day(&self, key: &str, day: &str) -> Result<Weekday, SettingsError> {
        Ok(match day {
            "mon" => Weekday::Monday,
            "tue" => Weekday::Tuesday,
            "wed" => Weekday::Wednesday,
            "thu" => Weekday::Thursday,
            "fri" => Weekday::Friday,
            "sat" => Weekday::Saturday,
            "sun" => Weekday::Sunday,
            _ => return Err(self.refuse(key, "must be some of mon, tue, wed, thu, fri, sat, sun")),
        })
    }

    /// `hh:mm`; `24:00` is midnight at the end of the day.
    fn time(&self, key: &str, text: &str) -> Result<Time, SettingsError> {
        let text = if text == "24:00" { "00:00" } else { text };
        let is_plain = text.len() == 5 && text.as_bytes().get(2) == Some(&b':');
        let time = is_plain.then(|| format!("{text}:00").parse().ok()).flatten();
        time.ok_or_else(|| self.refuse(key, "must be a time like 07:00"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_of_amsterdam_is_that_of_the_database() {
        let (rule, zone) = (TimeZone::posix(AMSTERDAM_RULE).unwrap(), TimeZone::get(AMSTERDAM).unwrap());
        for hours in (0..24 * 365 * 3).step_by(3) {
            let at = "2026-01-01T00:30:00Z".parse::<jiff::Timestamp>().unwrap()
                + jiff::SignedDuration::from_hours(hours);
            assert_eq!(rule.to_datetime(at), zone.to_datetime(at), "{at}");
        }
    }
}
