//! Patients looked up at the hospital's own register: IHE PDQ (ITI-21), QBP^Q22 and its answer RSP^K22.

use beeldbox_protocol::clinical::{Confidential, PatientIdentifier};

use crate::ack::{AckCode, AckError, Acknowledgement};
use crate::character_set::CharacterSet;
use crate::message::Message;
use crate::person::PersonName;
use crate::read;
use crate::result::{Header, ReportPatient};
use crate::time::PointInTime;
use crate::write::{self, WriteError};
use crate::writing::{MessageWriter, components, one};

/// What is asked. At least one of the fields should be there; a register may refuse what is too little.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PatientQuery {
    /// A number with who gave it out, such as the citizen service number.
    pub identifier: Option<PatientIdentifier>,
    /// Name; family and given name are asked.
    pub name: Option<PersonName>,
    /// Birth date.
    pub birth_date: Option<PointInTime>,
    /// `M`, `F`; empty if not asked.
    pub sex: Confidential,
}

impl PatientQuery {
    /// Writes QBP^Q22. `tag` names the query (QPD-2) and comes back in the answer; `most` is how many candidates are
    /// wanted at once; `more` is the pointer of an answer that has more of them.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn write(
        &self,
        header: &Header,
        tag: &str,
        most: u16,
        more: Option<&str>,
        set: CharacterSet,
    ) -> Result<Vec<u8>, WriteError> {
        let mut parameters: Vec<String> = Vec::new();
        let mut ask = |field: &str, value: &str| {
            if !value.is_empty() {
                parameters.push(components(&[field, value]));
            }
        };
        if let Some(identifier) = &self.identifier {
            let text =
                |part: &Option<Confidential>| part.as_ref().map_or("", |text| text.reveal()).to_owned();
            ask("@PID.3.1", identifier.id.reveal());
            ask("@PID.3.4.1", &text(&identifier.issuer));
            ask("@PID.3.4.2", &text(&identifier.universal_id));
            if identifier.universal_id.is_some() {
                ask("@PID.3.4.3", "ISO");
            }
            ask("@PID.3.5", &text(&identifier.type_code));
        }
        if let Some(name) = &self.name {
            ask("@PID.5.1.1", name.family.reveal());
            ask("@PID.5.2", name.given.reveal());
        }
        ask("@PID.7.1", &write::time(self.birth_date.as_ref()));
        ask("@PID.8", self.sex.reveal());
        let mut writer = MessageWriter::new();
        write::header(&mut writer, header, &["QBP", "Q22", "QBP_Q21"], set);
        let name = components(&["IHE PDQ Query"]);
        writer.segment("QPD", &[(1, name), (2, one(tag)), (3, parameters.join("~"))]);
        writer.segment("RCP", &[(1, "I".to_owned()), (2, components(&[&most.to_string(), "RD"]))]);
        if let Some(pointer) = more {
            writer.segment("DSC", &[(1, one(pointer)), (2, "I".to_owned())]);
        }
        writer.finish(set).map_err(|_| WriteError::DoesNotFit)
    }
}

/// A patient of the register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Who.
    pub patient: ReportPatient,
    /// QRI-1: how sure the register is, as it says; empty if it does not.
    pub confidence: String,
}

/// QAK-2 (table 0208).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QueryOutcome {
    /// OK: there are candidates.
    Found,
    /// NF: nobody.
    NobodyFound,
}

/// RSP^K22.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatientAnswer {
    /// Whether somebody was found.
    pub outcome: QueryOutcome,
    /// Who, in the order of the register.
    pub candidates: Vec<Candidate>,
    /// Where there are more, if there are: to be asked with.
    pub more: Option<String>,
}

/// Why an answer is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Another kind of message.
    #[error("the answer is no RSP^K22")]
    WrongKind,
    /// No MSA.
    #[error("the answer does not acknowledge the query")]
    Acknowledgement(#[from] AckError),
    /// The register refused.
    #[error("the register refused the query")]
    Refused {
        /// What it says, for a person.
        text: Confidential,
    },
    /// QAK-1 names another query.
    #[error("the answer belongs to another query")]
    OtherQuery,
    /// QAK-2 is missing or not in table 0208.
    #[error("the answer does not say whether anybody was found")]
    NoOutcome,
}

impl PatientAnswer {
    /// Reads the answer to the query with this tag.
    ///
    /// # Errors
    /// See [`AnswerError`].
    pub fn read(message: &Message, tag: &str) -> Result<Self, AnswerError> {
        let (kind, event) = message.kind();
        if kind != "RSP" || event != "K22" {
            return Err(AnswerError::WrongKind);
        }
        let acknowledgement = Acknowledgement::read(message)?;
        if acknowledgement.code != AckCode::Accept {
            return Err(AnswerError::Refused { text: acknowledgement.text });
        }
        let status = message.segment("QAK").ok_or(AnswerError::NoOutcome)?;
        if status.field(1).text() != tag {
            return Err(AnswerError::OtherQuery);
        }
        let outcome = match status.field(2).raw() {
            "OK" => QueryOutcome::Found,
            "NF" => QueryOutcome::NobodyFound,
            "AE" | "AR" => return Err(AnswerError::Refused { text: acknowledgement.text }),
            _ => return Err(AnswerError::NoOutcome),
        };
        let mut candidates: Vec<Candidate> = Vec::new();
        // What is odd about a candidate is left out of it; a person compares what is there.
        let mut remarks = Vec::new();
        for segment in message.segments() {
            match (segment.name(), candidates.last_mut()) {
                ("PID", _) => {
                    let patient = read::patient(segment, &mut remarks, candidates.len() + 1);
                    candidates.push(Candidate { patient, confidence: String::new() });
                }
                ("QRI", Some(candidate)) => candidate.confidence = segment.field(1).text(),
                _ => {}
            }
        }
        Ok(PatientAnswer { outcome, candidates, more: message.continues_at().map(str::to_owned) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::MessageLimits;

    fn query() -> PatientQuery {
        let name = PersonName {
            family: Confidential::new("Jansén"),
            given: Confidential::new("P&A"),
            ..PersonName::default()
        };
        PatientQuery {
            identifier: Some(PatientIdentifier::from_cx("999990019^^^NLMINBIZA^NNNLD")),
            name: Some(name),
            birth_date: "19700102".parse().ok(),
            sex: Confidential::new("F"),
        }
    }

    #[test]
    fn a_query_is_written_as_ihe_has_it() {
        let header = Header { control_id: "Q1".to_owned(), version: "2.5".to_owned(), ..Header::default() };
        let bytes = query().write(&header, "T1", 20, Some("p2"), CharacterSet::LATIN_1).unwrap();
        let text = encoding_rs::WINDOWS_1252.decode(&bytes).0.into_owned();
        let expected = "MSH|^~\\&|||||||QBP^Q22^QBP_Q21|Q1||2.5||||||8859/1\r\
            QPD|IHE PDQ Query|T1|@PID.3.1^999990019~@PID.3.4.1^NLMINBIZA~@PID.3.5^NNNLD~@PID.5.1.1^Jansén~@PID.5.2^P\\T\\A~@PID.7.1^19700102~@PID.8^F\r\
            RCP|I|20^RD\rDSC|p2|I\r";
        assert_eq!(text, expected);
    }

    fn answer(rest: &str) -> Result<PatientAnswer, AnswerError> {
        let text = format!("MSH|^~\\&|||||||RSP^K22^RSP_K21|9|P|2.5\r{rest}");
        let message = Message::parse(text.as_bytes(), &MessageLimits::default()).unwrap();
        PatientAnswer::read(&message, "T1")
    }

    #[test]
    fn candidates_are_read_with_how_sure_the_register_is() {
        let read = answer(
            "MSA|AA|Q1\rQAK|T1|OK\rQPD|IHE PDQ Query|T1\rPID|1||1^^^ZUID^PI||Jansen^P||19700102|F\rQRI|95\r\
             PID|2||2^^^ZUID^PI||Janssen^P||19700201|F\rDSC|p2|I\r",
        )
        .unwrap();
        assert_eq!((read.outcome, read.more.as_deref()), (QueryOutcome::Found, Some("p2")));
        let told: Vec<(&str, &str)> = read
            .candidates
            .iter()
            .map(|one| (one.patient.identifiers[0].id.reveal(), one.confidence.as_str()))
            .collect();
        assert_eq!(told, [("1", "95"), ("2", "")]);
        let nobody = answer("MSA|AA|Q1\rQAK|T1|NF\r").unwrap();
        assert_eq!((nobody.outcome, nobody.candidates.len()), (QueryOutcome::NobodyFound, 0));
    }

    #[test]
    fn what_is_no_answer_is_named() {
        assert_eq!(answer("MSA|AA|Q1\rQAK|T2|OK\r"), Err(AnswerError::OtherQuery));
        assert_eq!(answer("MSA|AA|Q1\rQAK|T1|\r"), Err(AnswerError::NoOutcome));
        assert_eq!(answer("MSA|AA|Q1\r"), Err(AnswerError::NoOutcome));
        assert_eq!(answer("QAK|T1|OK\r"), Err(AnswerError::Acknowledgement(AckError::NoAcknowledgement)));
        let refused = AnswerError::Refused { text: Confidential::new("te weinig") };
        assert_eq!(answer("MSA|AE|Q1|te weinig\rQAK|T1|AE\r"), Err(refused));
    }
}
