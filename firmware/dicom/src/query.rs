//! What may be asked of an archive, and what it answers: study root query and retrieve (PS3.4 annex C.6.2).
//!
//! Keys are those of one level and the unique keys of the levels above: what every archive understands, without relational
//! queries (PS3.4 C.4.1.2.2). Each key is checked before it is sent.

use beeldbox_protocol::clinical::{Confidential, Patient, PatientIdentifiers};
use beeldbox_protocol::ident::{SeriesInstanceUid, SopClassUid, SopInstanceUid, StudyInstanceUid};
use dicom_core::Tag;
use dicom_dictionary_std::tags;

use crate::associate::AssociateError;
use crate::conversation::ConversationError;
use crate::data_set::DataSetWriter;
use crate::status::DimseStatus;
use crate::walk::Encoding;

/// Longest text of a key, in characters (LO, PN component group; PS3.5 §6.2).
const LONGEST_KEY: usize = 64;

/// Of what the answers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryLevel {
    /// Patients: patient root (PS3.4 annex C.6.1), or studies where the archive offers only those.
    Patient,
    /// Studies.
    Study,
    /// Series of one study; needs [`Query::study`].
    Series,
    /// Instances of one series; needs [`Query::study`] and [`Query::series`].
    Image,
}

/// From and to a day, both included. Either end may be open.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DateRange {
    /// `YYYYMMDD`.
    pub from: Option<String>,
    /// `YYYYMMDD`.
    pub to: Option<String>,
}

/// A question. Absent keys match everything; `*` and `?` in texts are wildcards (PS3.4 C.2.2.2.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Of what the answers are.
    pub level: QueryLevel,
    /// Patient ID (0010,0020). Study level only, as all of the next five.
    pub patient_id: Option<Confidential>,
    /// Patient's Name (0010,0010).
    pub patient_name: Option<Confidential>,
    /// Patient's Birth Date (0010,0030), `YYYYMMDD`.
    pub birth_date: Option<Confidential>,
    /// Accession Number (0008,0050).
    pub accession_number: Option<Confidential>,
    /// Study Date (0008,0020).
    pub study_dates: Option<DateRange>,
    /// Modalities in Study (0008,0061) at study level, Modality (0008,0060) at series level.
    pub modality: Option<String>,
    /// Study Instance UID (0020,000D).
    pub study: Option<StudyInstanceUid>,
    /// Series Instance UID (0020,000E); series and image level.
    pub series: Option<SeriesInstanceUid>,
    /// Most answers wanted. When so many have come the query is cancelled: as many as this means that there may be more.
    pub most: usize,
}

/// One answer. What the archive left out is absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// Study Instance UID (0020,000D).
    pub study: Option<StudyInstanceUid>,
    /// Series Instance UID (0020,000E).
    pub series: Option<SeriesInstanceUid>,
    /// SOP Class UID (0008,0016).
    pub sop_class: Option<SopClassUid>,
    /// SOP Instance UID (0008,0018).
    pub sop_instance: Option<SopInstanceUid>,
    /// The patient, as the archive names him or her.
    pub patient: Patient,
    /// Every number of the patient that the archive names.
    pub identifiers: PatientIdentifiers,
    /// Accession Number (0008,0050).
    pub accession_number: Option<Confidential>,
    /// Study Date (0008,0020), `YYYYMMDD`.
    pub study_date: Option<String>,
    /// Study Time (0008,0030).
    pub study_time: Option<String>,
    /// Study Description (0008,1030).
    pub study_description: Option<Confidential>,
    /// Modalities in Study (0008,0061), or Modality (0008,0060) below study level.
    pub modalities: Vec<String>,
    /// Series Description (0008,103E).
    pub series_description: Option<Confidential>,
    /// Series Number (0020,0011).
    pub series_number: Option<i64>,
    /// Instance Number (0020,0013).
    pub instance_number: Option<i64>,
    /// Number of Study Related Series (0020,1206).
    pub series_count: Option<u32>,
    /// Number of Study Related Instances (0020,1208) at study level, of Series Related Instances (0020,1209) at series
    /// level.
    pub instance_count: Option<u32>,
}

/// Why there is no answer. Sorted by who must act: whoever asked, the peer's configuration, the peer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// A key cannot be sent.
    #[error("{key} {rule}")]
    Key {
        /// Name of the key.
        key: &'static str,
        /// What is wrong with it.
        rule: &'static str,
    },
    /// No association.
    #[error("no association")]
    Associate(#[from] AssociateError),
    /// The peer associates with us but does not offer this service.
    #[error("the peer does not offer {service}")]
    NotOffered {
        /// C-FIND or C-MOVE, in words.
        service: &'static str,
    },
    /// The peer does not know where to send to: our AE title is not configured there.
    #[error("the peer does not know the destination of the move")]
    UnknownDestination,
    /// The peer answered with a failure.
    #[error("the peer refused with status {status}")]
    Refused {
        /// Its status.
        status: DimseStatus,
        /// Its comment: for people. It may repeat patient data, so it does not belong in a log.
        comment: Option<String>,
    },
    /// An answer cannot be read to its end; the association was aborted.
    #[error("the peer sent an identifier that cannot be read")]
    Identifier,
    /// No usable answer.
    #[error("the peer did not answer")]
    Conversation(#[from] ConversationError),
}

impl Query {
    /// A question at this level that matches everything.
    pub fn new(level: QueryLevel, most: usize) -> Self {
        Query {
            level,
            patient_id: None,
            patient_name: None,
            birth_date: None,
            accession_number: None,
            study_dates: None,
            modality: None,
            study: None,
            series: None,
            most,
        }
    }

    /// Whether its keys can be sent.
    pub fn is_askable(&self) -> bool {
        self.check().is_ok()
    }

    /// The identifier of a C-FIND-RQ: keys, and empty what we want to know.
    pub(crate) fn identifier(&self, encoding: Encoding) -> Result<Vec<u8>, QueryError> {
        self.check()?;
        let mut keys = Keys::new(encoding, self.texts());
        match self.level {
            QueryLevel::Patient => self.patient_keys(&mut keys),
            QueryLevel::Study => self.study_keys(&mut keys),
            QueryLevel::Series => self.series_keys(&mut keys),
            QueryLevel::Image => self.image_keys(&mut keys),
        }
        Ok(keys.writer.finish())
    }

    fn patient_keys(&self, keys: &mut Keys) {
        keys.plain(tags::QUERY_RETRIEVE_LEVEL, b"CS", Some("PATIENT"));
        keys.confidential(tags::PATIENT_NAME, b"PN", self.patient_name.as_ref());
        keys.confidential(tags::PATIENT_ID, b"LO", self.patient_id.as_ref());
        keys.plain(tags::ISSUER_OF_PATIENT_ID, b"LO", None);
        keys.confidential(tags::PATIENT_BIRTH_DATE, b"DA", self.birth_date.as_ref());
        keys.plain(tags::PATIENT_SEX, b"CS", None);
        keys.writer.sequence::<()>(tags::OTHER_PATIENT_I_DS_SEQUENCE, &[], |_, ()| {});
    }

    fn study_keys(&self, keys: &mut Keys) {
        let dates = self.study_dates.as_ref().map(DateRange::text);
        keys.plain(tags::STUDY_DATE, b"DA", dates.as_deref());
        keys.plain(tags::STUDY_TIME, b"TM", None);
        keys.confidential(tags::ACCESSION_NUMBER, b"SH", self.accession_number.as_ref());
        keys.plain(tags::QUERY_RETRIEVE_LEVEL, b"CS", Some("STUDY"));
        keys.plain(tags::MODALITIES_IN_STUDY, b"CS", self.modality.as_deref());
        keys.plain(tags::STUDY_DESCRIPTION, b"LO", None);
        keys.confidential(tags::PATIENT_NAME, b"PN", self.patient_name.as_ref());
        keys.confidential(tags::PATIENT_ID, b"LO", self.patient_id.as_ref());
        keys.plain(tags::ISSUER_OF_PATIENT_ID, b"LO", None);
        keys.confidential(tags::PATIENT_BIRTH_DATE, b"DA", self.birth_date.as_ref());
        keys.plain(tags::PATIENT_SEX, b"CS", None);
        keys.uid(tags::STUDY_INSTANCE_UID, self.study.as_ref().map(StudyInstanceUid::as_str));
        keys.plain(tags::NUMBER_OF_STUDY_RELATED_SERIES, b"IS", None);
        keys.plain(tags::NUMBER_OF_STUDY_RELATED_INSTANCES, b"IS", None);
    }

    fn series_keys(&self, keys: &mut Keys) {
        keys.plain(tags::QUERY_RETRIEVE_LEVEL, b"CS", Some("SERIES"));
        keys.plain(tags::MODALITY, b"CS", self.modality.as_deref());
        keys.plain(tags::SERIES_DESCRIPTION, b"LO", None);
        keys.uid(tags::STUDY_INSTANCE_UID, self.study.as_ref().map(StudyInstanceUid::as_str));
        keys.uid(tags::SERIES_INSTANCE_UID, self.series.as_ref().map(SeriesInstanceUid::as_str));
        keys.plain(tags::SERIES_NUMBER, b"IS", None);
        keys.plain(tags::NUMBER_OF_SERIES_RELATED_INSTANCES, b"IS", None);
    }

    fn image_keys(&self, keys: &mut Keys) {
        keys.uid(tags::SOP_CLASS_UID, None);
        keys.uid(tags::SOP_INSTANCE_UID, None);
        keys.plain(tags::QUERY_RETRIEVE_LEVEL, b"CS", Some("IMAGE"));
        keys.uid(tags::STUDY_INSTANCE_UID, self.study.as_ref().map(StudyInstanceUid::as_str));
        keys.uid(tags::SERIES_INSTANCE_UID, self.series.as_ref().map(SeriesInstanceUid::as_str));
        keys.plain(tags::INSTANCE_NUMBER, b"IS", None);
    }

    fn texts(&self) -> [Option<&str>; 3] {
        [&self.patient_name, &self.patient_id, &self.accession_number]
            .map(|text| text.as_ref().map(Confidential::reveal))
    }

    fn check(&self) -> Result<(), QueryError> {
        let refuse = |key, rule| Err(QueryError::Key { key, rule });
        let texts = [
            ("patient name", &self.patient_name),
            ("patient id", &self.patient_id),
            ("accession number", &self.accession_number),
            ("birth date", &self.birth_date),
        ];
        for (key, text) in texts {
            let Some(text) = text.as_ref().map(Confidential::reveal) else { continue };
            let is_of_patient = key != "accession number" && self.level == QueryLevel::Patient;
            if self.level != QueryLevel::Study && !is_of_patient {
                return refuse(key, "belongs to the study level");
            }
            if text.chars().count() > LONGEST_KEY {
                return refuse(key, "has more than 64 characters");
            }
            if text.chars().any(|c| c.is_control() || c == '\\') {
                return refuse(key, "has a control character or a backslash");
            }
            if key == "birth date" && !is_day(text) {
                return refuse(key, "is not YYYYMMDD");
            }
        }
        if let Some(DateRange { from, to }) = &self.study_dates {
            if self.level != QueryLevel::Study {
                return refuse("study date", "belongs to the study level");
            }
            if !from.iter().chain(to).all(|day| is_day(day)) {
                return refuse("study date", "is not YYYYMMDD");
            }
        }
        let fits = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
        if self.modality.as_ref().is_some_and(|text| text.len() > 16 || !text.chars().all(fits)) {
            return refuse("modality", "is not a short code in capitals");
        }
        let (study, series) = (self.study.is_some(), self.series.is_some());
        match self.level {
            QueryLevel::Patient if study || series || self.modality.is_some() => {
                refuse("study", "belongs below patient level")
            }
            QueryLevel::Study if series => refuse("series", "belongs to the series level"),
            QueryLevel::Series | QueryLevel::Image if !study => {
                refuse("study", "is needed below study level")
            }
            QueryLevel::Image if !series => refuse("series", "is needed at image level"),
            QueryLevel::Image if self.modality.is_some() => refuse("modality", "belongs to the series level"),
            QueryLevel::Patient | QueryLevel::Study | QueryLevel::Series | QueryLevel::Image => Ok(()),
        }
    }
}

impl DateRange {
    /// PS3.4 C.2.2.2.5.
    fn text(&self) -> String {
        match (&self.from, &self.to) {
            (None, None) => String::new(),
            (from, to) if from == to => from.clone().unwrap_or_default(),
            (from, to) => {
                format!("{}-{}", from.as_deref().unwrap_or_default(), to.as_deref().unwrap_or_default())
            }
        }
    }
}

/// The identifier of a C-MOVE-RQ (PS3.4 C.4.2.1.4).
pub(crate) fn move_identifier(
    study: &StudyInstanceUid,
    series: Option<&SeriesInstanceUid>,
    encoding: Encoding,
) -> Vec<u8> {
    let mut keys = Keys::new(encoding, [None; 3]);
    let level = if series.is_some() { "SERIES" } else { "STUDY" };
    keys.plain(tags::QUERY_RETRIEVE_LEVEL, b"CS", Some(level));
    keys.uid(tags::STUDY_INSTANCE_UID, Some(study.as_str()));
    if let Some(series) = series {
        keys.uid(tags::SERIES_INSTANCE_UID, Some(series.as_str()));
    }
    keys.writer.finish()
}

fn is_day(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// An identifier being written.
pub(crate) struct Keys {
    pub(crate) writer: DataSetWriter,
    /// ISO 8859-1 if all texts fit: more archives know it than UTF-8.
    latin: bool,
}

impl Keys {
    pub(crate) fn new(encoding: Encoding, texts: [Option<&str>; 3]) -> Self {
        let mut writer = DataSetWriter::new(encoding);
        let mut characters = texts.into_iter().flatten().flat_map(str::chars);
        let latin = characters.clone().all(|c| u8::try_from(c).is_ok());
        if !characters.all(|c| c.is_ascii()) {
            let set: &[u8] = if latin { b"ISO_IR 100" } else { b"ISO_IR 192" };
            writer.text(tags::SPECIFIC_CHARACTER_SET, *b"CS", set);
        }
        Keys { writer, latin }
    }

    pub(crate) fn plain(&mut self, tag: Tag, vr: &[u8; 2], text: Option<&str>) {
        self.writer.text(tag, *vr, text.unwrap_or_default().as_bytes());
    }

    fn uid(&mut self, tag: Tag, uid: Option<&str>) {
        self.writer.uid(tag, uid.unwrap_or_default());
    }

    pub(crate) fn confidential(&mut self, tag: Tag, vr: &[u8; 2], text: Option<&Confidential>) {
        let text = text.map(Confidential::reveal).unwrap_or_default();
        let latin: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
        match latin {
            Ok(bytes) if self.latin => self.writer.text(tag, *vr, &bytes),
            Ok(_) | Err(_) => self.writer.text(tag, *vr, text.as_bytes()),
        }
    }
}
