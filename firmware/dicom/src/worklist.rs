//! Modality worklist SCU: imports that the hospital has scheduled (PS3.4 annex K; IHE Import Reconciliation Workflow).
//!
//! Who plans an import makes an order for it, so the worklist answers two questions at once: which patient of ours, and
//! under which accession number. Asked by birth date and, where somebody typed one, by number; the answers are compared
//! by whoever asks, because archives match loosely.

use std::ops::ControlFlow;

use beeldbox_protocol::clinical::{Confidential, Patient, PatientIdentifiers};
use beeldbox_protocol::ident::AeTitle;
use dicom_core::Tag;
use dicom_dictionary_std::tags;

use crate::associate::{AssociationLimits, PeerNode};
use crate::character_set::CharacterSets;
use crate::find::{Asking, Ended, Model};
use crate::query::{Keys, Query, QueryError, QueryLevel};
use crate::sniff;
use crate::walk::{Encoding, Onlooker, walk_whole};

/// Longest value that is read.
const LONGEST_VALUE: usize = 4096;

/// What is looked for. At least one of the keys should be there: otherwise it is the whole worklist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorklistQuery {
    /// Scheduled Station AE Title (0040,0001): imports that are scheduled here. `None`: wherever they are scheduled.
    pub station: Option<AeTitle>,
    /// Patient ID (0010,0020).
    pub patient_id: Option<Confidential>,
    /// Patient's Birth Date (0010,0030), `YYYYMMDD`. Not every worklist matches by it.
    pub birth_date: Option<Confidential>,
    /// Most answers wanted.
    pub most: usize,
}

/// A scheduled import. What the worklist left out is absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScheduledImport {
    /// For whom, as the hospital names him or her.
    pub patient: Patient,
    /// Every number of the patient that the worklist names.
    pub identifiers: PatientIdentifiers,
    /// Accession Number (0008,0050).
    pub accession_number: Option<Confidential>,
    /// Local Namespace Entity ID (0040,0031) of the issuer of the accession number (0008,0051).
    pub accession_issuer: Option<String>,
    /// Requested Procedure Description (0032,1060), else Scheduled Procedure Step Description (0040,0007).
    pub description: Option<Confidential>,
    /// Scheduled Procedure Step Start Date (0040,0002), `YYYYMMDD`.
    pub scheduled_on: Option<String>,
}

/// Asks a worklist, and returns at most [`WorklistQuery::most`] answers.
///
/// # Errors
/// The step that failed. Answers that came before are dropped: a list cut short is not shown as a list.
pub async fn find_scheduled(
    node: &PeerNode,
    calling: &AeTitle,
    query: &WorklistQuery,
    limits: AssociationLimits,
) -> Result<Vec<ScheduledImport>, QueryError> {
    // What cannot be sent needs no association.
    query.identifier(Encoding::ImplicitLittle)?;
    let mut asking = Asking::open(node, calling, &[Model::Worklist], limits).await?;
    let mut found = Vec::new();
    let asked = match query.identifier(asking.encoding()) {
        Ok(identifier) => {
            let taking = asking.each_identifier(identifier, |answer, encoding| {
                if found.len() < query.most {
                    found.push(ScheduledImport::read(answer, encoding)?);
                }
                let is_enough = found.len() >= query.most;
                Ok(if is_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            });
            taking.await
        }
        Err(error) => Err(error),
    };
    asking.end(asked.as_ref().copied()).await;
    let _: Ended = asked?;
    Ok(found)
}

impl WorklistQuery {
    /// Keys, and empty what we want to know (PS3.4 Table K.6-1).
    fn identifier(&self, encoding: Encoding) -> Result<Vec<u8>, QueryError> {
        let as_query = Query {
            patient_id: self.patient_id.clone(),
            birth_date: self.birth_date.clone(),
            ..Query::new(QueryLevel::Patient, self.most)
        };
        as_query.identifier(encoding)?;
        let mut keys = Keys::new(encoding, [self.patient_id.as_ref().map(Confidential::reveal), None, None]);
        keys.plain(tags::ACCESSION_NUMBER, b"SH", None);
        keys.writer.sequence::<()>(tags::ISSUER_OF_ACCESSION_NUMBER_SEQUENCE, &[], |_, ()| {});
        keys.confidential(tags::PATIENT_NAME, b"PN", None);
        keys.confidential(tags::PATIENT_ID, b"LO", self.patient_id.as_ref());
        keys.plain(tags::ISSUER_OF_PATIENT_ID, b"LO", None);
        keys.confidential(tags::PATIENT_BIRTH_DATE, b"DA", self.birth_date.as_ref());
        keys.plain(tags::PATIENT_SEX, b"CS", None);
        keys.writer.sequence::<()>(tags::OTHER_PATIENT_I_DS_SEQUENCE, &[], |_, ()| {});
        keys.plain(tags::REQUESTED_PROCEDURE_DESCRIPTION, b"LO", None);
        let station = self.station.as_ref().map(AeTitle::as_str).unwrap_or_default();
        keys.writer.sequence(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, &[station], |item, station| {
            item.text(tags::MODALITY, *b"CS", b"");
            item.text(tags::SCHEDULED_STATION_AE_TITLE, *b"AE", station.as_bytes());
            item.text(tags::SCHEDULED_PROCEDURE_STEP_START_DATE, *b"DA", b"");
            item.text(tags::SCHEDULED_PROCEDURE_STEP_DESCRIPTION, *b"LO", b"");
        });
        Ok(keys.writer.finish())
    }
}

impl ScheduledImport {
    fn read(identifier: &[u8], encoding: Encoding) -> Result<Self, QueryError> {
        let mut order = Order::default();
        walk_whole(identifier, encoding, &mut order).map_err(|_| QueryError::Identifier)?;
        let (sniffed, _) = sniff::read(identifier, encoding);
        let Order { mut found, step_description, .. } = order;
        found.patient = sniffed.attributes.patient;
        found.identifiers = sniffed.identifiers;
        found.accession_number = sniffed.attributes.accession_number;
        found.description = found.description.or(step_description);
        Ok(found)
    }
}

/// What a worklist says of the order.
#[derive(Default)]
struct Order {
    charset: CharacterSets,
    found: ScheduledImport,
    step_description: Option<Confidential>,
}

impl Onlooker for Order {
    fn is_end(&self, _tag: Tag) -> bool {
        false
    }

    fn enters(&self, path: &[Tag], tag: Tag) -> bool {
        path.is_empty()
            && (tag == tags::ISSUER_OF_ACCESSION_NUMBER_SEQUENCE
                || tag == tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE)
    }

    fn value(&mut self, path: &[Tag], tag: Tag, value: &[u8]) {
        if value.len() > LONGEST_VALUE {
            return;
        }
        let text = self.charset.decode(value, false);
        let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
        if text.is_empty() {
            return;
        }
        match (path, tag) {
            ([], tags::SPECIFIC_CHARACTER_SET) => self.charset = CharacterSets::of(text),
            ([], tags::REQUESTED_PROCEDURE_DESCRIPTION) => {
                self.found.description = Some(Confidential::new(text));
            }
            ([tags::ISSUER_OF_ACCESSION_NUMBER_SEQUENCE], tags::LOCAL_NAMESPACE_ENTITY_ID) => {
                self.found.accession_issuer = Some(text.to_owned());
            }
            ([tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE], tags::SCHEDULED_PROCEDURE_STEP_START_DATE) => {
                self.found.scheduled_on = Some(text.to_owned());
            }
            ([tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE], tags::SCHEDULED_PROCEDURE_STEP_DESCRIPTION) => {
                self.step_description = Some(Confidential::new(text));
            }
            _ => {}
        }
    }

    fn item_begins(&mut self, _path: &[Tag]) {}

    fn item_ends(&mut self, _path: &[Tag]) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_set::DataSetWriter;

    #[test]
    fn an_answer_is_read_with_its_order() {
        for encoding in [Encoding::ImplicitLittle, Encoding::ExplicitLittle] {
            let mut writer = DataSetWriter::new(encoding);
            writer.text(tags::SPECIFIC_CHARACTER_SET, *b"CS", b"ISO_IR 192");
            writer.text(tags::ACCESSION_NUMBER, *b"SH", b"ZUID-77");
            writer.sequence(tags::ISSUER_OF_ACCESSION_NUMBER_SEQUENCE, &["RIS"], |item, issuer| {
                item.text(tags::LOCAL_NAMESPACE_ENTITY_ID, *b"UT", issuer.as_bytes());
            });
            writer.text(tags::PATIENT_NAME, *b"PN", "de Vriës^Anna".as_bytes());
            writer.text(tags::PATIENT_ID, *b"LO", b"3004100");
            writer.sequence(tags::SCHEDULED_PROCEDURE_STEP_SEQUENCE, &[()], |item, ()| {
                item.text(tags::SCHEDULED_PROCEDURE_STEP_START_DATE, *b"DA", b"20261128");
                item.text(tags::SCHEDULED_PROCEDURE_STEP_DESCRIPTION, *b"LO", "import van elders".as_bytes());
            });
            let bytes = writer.finish();
            let read = ScheduledImport::read(&bytes, encoding).unwrap();
            assert_eq!(read.patient.name.unwrap().reveal(), "de Vriës^Anna");
            assert_eq!(read.identifiers.patient_id.unwrap().id.reveal(), "3004100");
            assert_eq!(read.accession_number.unwrap().reveal(), "ZUID-77");
            assert_eq!(read.accession_issuer.as_deref(), Some("RIS"));
            assert_eq!(read.description.unwrap().reveal(), "import van elders");
            assert_eq!(read.scheduled_on.as_deref(), Some("20261128"));
            for cut in 1..bytes.len() {
                // Cut off is refused or shorter, never a panic.
                let _ = ScheduledImport::read(&bytes[..cut], encoding);
            }
        }
    }

    #[test]
    fn keys_stand_in_order() {
        let query = WorklistQuery {
            station: Some("BEELDBOX".parse().unwrap()),
            patient_id: Some(Confidential::new("3004100")),
            birth_date: Some(Confidential::new("19450314")),
            most: 10,
        };
        struct InOrder(Tag);
        impl Onlooker for InOrder {
            fn is_end(&self, _tag: Tag) -> bool {
                false
            }
            fn enters(&self, _path: &[Tag], _tag: Tag) -> bool {
                false
            }
            fn value(&mut self, _path: &[Tag], tag: Tag, _value: &[u8]) {
                assert!(tag > self.0, "{tag}");
                self.0 = tag;
            }
            fn item_begins(&mut self, _path: &[Tag]) {}
            fn item_ends(&mut self, _path: &[Tag]) {}
        }
        for encoding in [Encoding::ImplicitLittle, Encoding::ExplicitLittle] {
            let mut order = InOrder(Tag(0, 0));
            walk_whole(&query.identifier(encoding).unwrap(), encoding, &mut order).unwrap();
        }
        let wrong = WorklistQuery { birth_date: Some(Confidential::new("14-3-1945")), ..query };
        assert!(matches!(
            wrong.identifier(Encoding::ExplicitLittle),
            Err(QueryError::Key { key: "birth date", .. })
        ));
    }
}
