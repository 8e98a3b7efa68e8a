//! Which images a hospital asks another one for, and why they are not sent: the words that letters, Tasks and front ends
//! share.
//!
//! Whom the images are of and why they are wanted stands in the letter beside this, where a transfer has it too.

use serde::{Deserialize, Serialize};

use crate::clinical::{Confidential, Patient};
use crate::ident::AddresseeId;

/// Longest text in a request, in bytes.
pub const MAX_TEXT_LEN: usize = 4000;

/// Most modalities in a request.
const MAX_MODALITIES: usize = 16;

/// Longest value of a DICOM code string (PS3.5 §6.2, CS), in bytes.
const MAX_CODE_LEN: usize = 16;

/// Which images are asked for, and which entry of the directory shall get them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedImages {
    /// Modalities (0008,0060), such as `CT`; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modalities: Vec<String>,
    /// Part of the body, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_region: Option<Confidential>,
    /// Made on this day or later, `YYYYMMDD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Confidential>,
    /// Made on this day or earlier, `YYYYMMDD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Confidential>,
    /// Which addressee of the organisation that asks shall get the images.
    pub answer_to: AddresseeId,
}

/// What is wrong with a request. Names no value: it may be about a patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnusableRequest(pub &'static str);

/// Whether somebody could look for the images of a request: on both sides, before it is sealed and after it was opened.
///
/// # Errors
/// What is missing or has not the form that it should.
pub fn check_request(
    patient: &Patient,
    wanted: &WantedImages,
    texts: &[Option<&Confidential>],
) -> Result<(), UnusableRequest> {
    let is_named = |text: &Option<Confidential>| text.as_ref().is_some_and(|text| !text.is_empty());
    if patient.bsn.is_none() && !is_named(&patient.name) && !is_named(&patient.id) {
        return Err(UnusableRequest("it names no patient"));
    }
    let own = [&patient.name, &patient.id, &patient.id_issuer, &patient.sex, &wanted.body_region];
    let all = own.into_iter().map(Option::as_ref).chain(texts.iter().copied()).flatten();
    if all.into_iter().any(|text| text.reveal().len() > MAX_TEXT_LEN) {
        return Err(UnusableRequest("a text of it is longer than 4000 bytes"));
    }
    let dates = [&patient.birth_date, &wanted.from, &wanted.until];
    if dates.into_iter().flatten().any(|date| !is_date(date.reveal())) {
        return Err(UnusableRequest("a date of it is not YYYYMMDD"));
    }
    if let (Some(from), Some(until)) = (&wanted.from, &wanted.until)
        && from.reveal() > until.reveal()
    {
        return Err(UnusableRequest("its period ends before it begins"));
    }
    if wanted.modalities.len() > MAX_MODALITIES || !wanted.modalities.iter().all(|code| is_code(code)) {
        return Err(UnusableRequest("a modality of it is not a code, or there are more than 16"));
    }
    Ok(())
}

/// A date as DICOM writes it (PS3.5 §6.2, DA).
fn is_date(text: &str) -> bool {
    jiff::civil::Date::strptime("%Y%m%d", text).is_ok() && text.len() == 8
}

fn is_code(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    !text.is_empty() && text.len() <= MAX_CODE_LEN && text.bytes().all(is_allowed)
}

/// Whether two descriptions may be of one person: what both of them say is the same. Names are not compared, because
/// hospitals write them differently.
pub fn may_be_one_person(asked: &Patient, found: &Patient) -> bool {
    let agree = asked.bsn.is_none() || found.bsn.is_none() || asked.bsn == found.bsn;
    let born = |patient: &Patient| patient.birth_date.clone().filter(|date| !date.is_empty());
    agree && (born(asked).is_none() || born(found).is_none() || born(asked) == born(found))
}

/// Why images that were asked for are not sent. The asker sees the code, never free text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestRefusal {
    /// The patient is not known there.
    NoSuchPatient,
    /// There are no such images.
    NoImages,
    /// The patient does not allow it, or nobody knows.
    NoConsent,
    /// Another reason.
    Other,
}

impl RequestRefusal {
    /// All of them.
    pub const ALL: [RequestRefusal; 4] = [
        RequestRefusal::NoSuchPatient,
        RequestRefusal::NoImages,
        RequestRefusal::NoConsent,
        RequestRefusal::Other,
    ];

    /// The code.
    pub fn code(self) -> &'static str {
        match self {
            RequestRefusal::NoSuchPatient => "no-such-patient",
            RequestRefusal::NoImages => "no-images",
            RequestRefusal::NoConsent => "no-consent",
            RequestRefusal::Other => "other",
        }
    }

    /// Reads a code. One that this version does not know is still a refusal.
    pub fn from_code(code: &str) -> Self {
        Self::ALL.into_iter().find(|reason| reason.code() == code).unwrap_or(RequestRefusal::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Option<Confidential> {
        Some(Confidential::new(text))
    }

    fn wanted() -> WantedImages {
        WantedImages {
            modalities: vec!["CT".to_owned()],
            body_region: text("thorax"),
            from: text("20250101"),
            until: None,
            answer_to: "zuid-radiologie".parse().unwrap(),
        }
    }

    #[test]
    fn a_request_that_nobody_could_answer_is_refused_by_name() {
        let patient = Patient { name: text("Jansen^Piet"), ..Patient::default() };
        assert_eq!(check_request(&patient, &wanted(), &[]), Ok(()));
        let nobody = check_request(&Patient::default(), &wanted(), &[]);
        assert_eq!(nobody, Err(UnusableRequest("it names no patient")));
        for wrong in [
            WantedImages { from: text("2025-01-01"), ..wanted() },
            WantedImages { from: text("20250132"), ..wanted() },
            WantedImages { until: text("20241231"), ..wanted() },
            WantedImages { modalities: vec!["ct".to_owned()], ..wanted() },
            WantedImages { modalities: vec!["CT".to_owned(); 17], ..wanted() },
            WantedImages { body_region: text(&"x".repeat(4001)), ..wanted() },
        ] {
            assert!(check_request(&patient, &wrong, &[]).is_err(), "{wrong:?}");
        }
        let long = Confidential::new("x".repeat(4001));
        assert!(check_request(&patient, &wanted(), &[Some(&long)]).is_err());
    }

    #[test]
    fn another_number_or_birthday_is_another_person_and_what_is_not_said_decides_nothing() {
        let with = |bsn: Option<&str>, born: Option<&str>| Patient {
            bsn: bsn.map(|bsn| bsn.parse().unwrap()),
            birth_date: born.and_then(text),
            ..Patient::default()
        };
        let asked = with(Some("999990019"), Some("19700101"));
        assert!(may_be_one_person(&asked, &asked));
        assert!(may_be_one_person(&asked, &with(None, None)));
        assert!(!may_be_one_person(&asked, &with(None, Some("19700102"))));
        assert!(!may_be_one_person(&asked, &with(Some("999990020"), Some("19700101"))));
    }
}
