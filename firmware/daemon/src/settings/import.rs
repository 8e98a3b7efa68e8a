//! How it is found out whose arriving images are: who is asked, and under which rules nobody is.

use std::collections::BTreeSet;

use beeldbox_transfer::reconcile::comparison::Field;
use beeldbox_transfer::reconcile::rule::{AcceptanceRule, RuleInput};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::fragment::{self, FieldName};
use super::{Checker, NodeAddress, SettingsError};

/// Longest name of who issues patient numbers (LO; PS3.5 Table 6.2-1).
const LONGEST_ISSUER: usize = 64;

/// How it is found out whose arriving images are.
#[derive(Debug, Clone)]
pub struct Import {
    /// Who is asked for the hospital's patients.
    pub query: Option<NodeAddress>,
    /// Who knows which imports are scheduled.
    pub worklist: Option<NodeAddress>,
    /// Who issues the hospital's patient numbers, as its systems call it.
    pub patient_id_issuer: Option<String>,
    /// Rules under which a patient is accepted without a person.
    pub rules: Vec<AcceptanceRule>,
}

impl Checker<'_> {
    pub(super) fn import(
        &self,
        import: &fragment::Import,
        pacs: &fragment::Pacs,
    ) -> Result<Import, SettingsError> {
        let query = match &import.query {
            Some(_) if !import.ask_pacs => {
                return Err(self.refuse("import.query", "is there, and ask_pacs = false says to ask nobody"));
            }
            Some(node) => Some(self.called("import.query", node)?),
            None if import.ask_pacs => Some(self.called("pacs", pacs)?),
            None => None,
        };
        let worklist =
            import.worklist.as_ref().map(|node| self.called("import.worklist", node)).transpose()?;
        let issuer = import.patient_id_issuer.as_ref().map(|issuer| issuer.trim().to_owned());
        if issuer.as_ref().is_some_and(|issuer| {
            issuer.is_empty()
                || issuer.chars().count() > LONGEST_ISSUER
                || issuer.chars().any(|letter| letter == '\\' || letter.is_control())
        }) {
            let reason = "must have 1 to 64 characters, and no backslash";
            return Err(self.refuse("import.patient_id_issuer", reason));
        }
        let rules = import.rules.iter().enumerate().map(|(index, rule)| self.acceptance_rule(index, rule));
        let rules = rules.collect::<Result<Vec<_>, _>>()?;
        if !rules.is_empty() && query.is_none() && worklist.is_none() {
            return Err(self.refuse("import.rules", "need somebody who can be asked: ask_pacs or worklist"));
        }
        Ok(Import { query, worklist, patient_id_issuer: issuer, rules })
    }

    fn acceptance_rule(&self, index: usize, rule: &fragment::Rule) -> Result<AcceptanceRule, SettingsError> {
        let key = |field: &str| format!("import.rules[{index}].{field}");
        let must_agree: BTreeSet<Field> = rule.must_agree.iter().copied().map(field).collect();
        let input = RuleInput {
            name: rule.name.clone(),
            sender: self.parse(&key("sender"), &rule.sender)?,
            accountable: rule.accountable.clone(),
            must_agree,
            valid_from: self.midnight(&key("valid_from"), &rule.valid_from)?,
            valid_until: self.midnight(&key("valid_until"), &rule.valid_until)?,
        };
        AcceptanceRule::new(input)
            .map_err(|error| self.refuse(&format!("import.rules[{index}]"), &error.to_string()))
    }

    /// The beginning of a day, in UTC: what a rule loses or gains by the time zone is less than two hours of a year.
    fn midnight(&self, key: &str, text: &str) -> Result<Timestamp, SettingsError> {
        let refuse = || self.refuse(key, "must be a day like 2026-12-31");
        let day: Date = text.parse().map_err(|_| refuse())?;
        let midnight = day.to_zoned(TimeZone::UTC).map_err(|_| refuse())?;
        Ok(midnight.timestamp())
    }
}

fn field(name: FieldName) -> Field {
    match name {
        FieldName::FamilyName => Field::FamilyName,
        FieldName::GivenNames => Field::GivenNames,
        FieldName::BirthDate => Field::BirthDate,
        FieldName::Sex => Field::Sex,
        FieldName::Bsn => Field::Bsn,
        FieldName::PatientNumber => Field::PatientNumber,
    }
}
