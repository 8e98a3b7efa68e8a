//! Makes a request for images of what was typed, or says what is wrong with it, field by field.

use beeldbox_protocol::admin::NewRequest;
use beeldbox_protocol::clinical::{Confidential, Patient};
use beeldbox_protocol::ident::Bsn;
use beeldbox_protocol::imaging_request::{MAX_TEXT_LEN, WantedImages};

use crate::drafts::AskDraft;
use crate::lang::Words;
use crate::view::date;

/// Kinds of images that are offered; those that hospitals send each other (PS3.3 §C.7.3.1.1.1).
pub const MODALITIES: [&str; 12] = ["CT", "MR", "DX", "CR", "US", "PT", "NM", "MG", "XA", "RF", "OT", "SR"];

/// What has to be put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskField {
    /// Neither name nor number.
    NoPatient,
    /// A name with a character that stands between names.
    Name,
    /// Not a day.
    Born,
    /// Not a citizen service number.
    Bsn,
    /// Nobody is asked.
    Whom,
    /// Not a day.
    From,
    /// Not a day.
    Until,
    /// Ends before it begins.
    Period,
    /// Nowhere to deliver.
    AnswerTo,
    /// No reason.
    Reason,
    /// Too many words.
    TooLong,
}

impl AskField {
    /// Where on the form.
    pub fn id(self) -> &'static str {
        match self {
            AskField::NoPatient | AskField::Name => "family",
            AskField::Born => "born",
            AskField::Bsn => "bsn",
            AskField::Whom => "recipient",
            AskField::From => "from",
            AskField::Until | AskField::Period => "until",
            AskField::AnswerTo => "answer_to",
            AskField::Reason | AskField::TooLong => "reason",
        }
    }

    /// What to do about it.
    pub fn words(self, words: Words) -> String {
        let key = match self {
            AskField::NoPatient => "request.need-patient",
            AskField::Name => "request.bad-name",
            AskField::Born => "request.bad-born",
            AskField::Bsn => "request.bad-bsn",
            AskField::Whom => "request.need-whom",
            AskField::From => "request.bad-from",
            AskField::Until => "request.bad-until",
            AskField::Period => "request.bad-period",
            AskField::AnswerTo => "request.need-answer-to",
            AskField::Reason => "request.need-why",
            AskField::TooLong => "request.too-long",
        };
        words.n(key, u64::try_from(MAX_TEXT_LEN).unwrap_or_default())
    }
}

impl AskDraft {
    /// The request, if everything that is needed is there and right.
    ///
    /// # Errors
    /// Everything that has to be put right, in the order of the form.
    pub fn read(&self) -> Result<NewRequest, Vec<AskField>> {
        let mut wrong = Vec::new();
        let mut note = |is_wrong: bool, field: AskField| {
            if is_wrong {
                wrong.push(field);
            }
        };
        let bsn = self.bsn_read();
        note(self.family.is_empty() && self.bsn.is_empty(), AskField::NoPatient);
        let names = [&self.prefix, &self.family, &self.given];
        note(names.into_iter().any(|name| name.reveal().contains(['^', '=', '\\'])), AskField::Name);
        note(is_bad_day(&self.born), AskField::Born);
        note(bsn.is_err(), AskField::Bsn);
        note(self.addressee.is_none(), AskField::Whom);
        note(is_bad_day(&self.from), AskField::From);
        note(is_bad_day(&self.until), AskField::Until);
        let (from, until) = (day(&self.from), day(&self.until));
        let is_backwards =
            matches!((&from, &until), (Some(from), Some(until)) if from.reveal() > until.reveal());
        note(is_backwards, AskField::Period);
        note(self.answer_to.is_none(), AskField::AnswerTo);
        note(self.reason.is_empty(), AskField::Reason);
        let texts =
            [&self.reason, &self.reply_contact, &self.region, &self.family, &self.given, &self.prefix];
        note(texts.into_iter().any(|text| text.reveal().len() > MAX_TEXT_LEN / 2), AskField::TooLong);
        let (Some(addressee), Some(answer_to), Ok(bsn), true) =
            (&self.addressee, &self.answer_to, bsn, wrong.is_empty())
        else {
            return Err(wrong);
        };
        Ok(NewRequest {
            addressee: addressee.clone(),
            patient: self.patient(bsn),
            wanted: WantedImages {
                modalities: MODALITIES
                    .iter()
                    .filter(|code| self.modalities.iter().any(|m| m == *code))
                    .map(|code| (*code).to_owned())
                    .collect(),
                body_region: filled(&self.region),
                from,
                until,
                answer_to: answer_to.clone(),
            },
            reason: self.reason.clone(),
            reply_contact: filled(&self.reply_contact),
            urgent: self.urgent,
        })
    }

    /// Spaces, dots and hyphens set the digits apart on cards and screens.
    fn bsn_read(&self) -> Result<Option<Bsn>, ()> {
        let digits: String = self.bsn.reveal().chars().filter(|c| !matches!(c, ' ' | '.' | '-')).collect();
        if digits.is_empty() { Ok(None) } else { digits.parse().map(Some).map_err(|_| ()) }
    }

    fn patient(&self, bsn: Option<Bsn>) -> Patient {
        // `family^given^middle^prefix^suffix` (PS3.5 §6.2.1.2).
        let name = format!("{}^{}^^{}", self.family.reveal(), self.given.reveal(), self.prefix.reveal());
        let name = name.trim_end_matches('^').to_owned();
        Patient {
            name: Some(Confidential::new(name)).filter(|name| !name.is_empty()),
            id: None,
            id_issuer: None,
            birth_date: day(&self.born),
            sex: filled(&self.sex).filter(|sex| matches!(sex.reveal(), "M" | "F" | "O")),
            bsn,
        }
    }
}

fn filled(text: &Confidential) -> Option<Confidential> {
    Some(text.clone()).filter(|text| !text.is_empty())
}

fn day(text: &Confidential) -> Option<Confidential> {
    date::parse_typed(text.reveal()).map(|date| Confidential::new(date::dicom_day(date)))
}

fn is_bad_day(text: &Confidential) -> bool {
    !text.is_empty() && date::parse_typed(text.reveal()).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Confidential {
        Confidential::new(text)
    }

    fn draft() -> AskDraft {
        AskDraft {
            prefix: text("de"),
            family: text("Vries"),
            given: text("Anna"),
            born: text("14-mrt-1945"),
            sex: text("F"),
            bsn: text("9999 90 019"),
            addressee: "zuid-rad".parse().ok(),
            modalities: vec!["CT".to_owned(), "ct; drop".to_owned()],
            from: text("01-01-2025"),
            answer_to: "eigen-rad".parse().ok(),
            reason: text("MDO"),
            ..AskDraft::default()
        }
    }

    #[test]
    fn what_is_typed_becomes_a_request() {
        let new = draft().read().unwrap();
        assert_eq!(new.patient.name.unwrap().reveal(), "Vries^Anna^^de");
        assert_eq!(new.patient.birth_date.unwrap().reveal(), "19450314");
        assert_eq!(new.patient.bsn.unwrap().reveal(), "999990019");
        assert_eq!(new.wanted.modalities, ["CT"]);
        assert_eq!(new.wanted.from.unwrap().reveal(), "20250101");
    }

    #[test]
    fn each_mistake_is_named_at_its_field() {
        assert_eq!(
            AskDraft::default().read().unwrap_err(),
            [AskField::NoPatient, AskField::Whom, AskField::AnswerTo, AskField::Reason]
        );
        for (draft, field) in [
            (AskDraft { family: text("a^b"), ..draft() }, AskField::Name),
            (AskDraft { born: text("gisteren"), ..draft() }, AskField::Born),
            (AskDraft { bsn: text("123456789"), ..draft() }, AskField::Bsn),
            (AskDraft { from: text("2025"), ..draft() }, AskField::From),
            (AskDraft { until: text("01-01-2024"), ..draft() }, AskField::Period),
            (AskDraft { reason: text(&"x".repeat(4001)), ..draft() }, AskField::TooLong),
        ] {
            assert_eq!(draft.read().unwrap_err(), [field]);
        }
    }
}
