//! Reading a few attributes from the beginning of a data set.
//!
//! Best effort by design: real files lack UIDs, have wrong VRs, or are in syntaxes nobody knows. Whatever was found
//! before an error is kept, and nothing found is an answer too. Only the first bytes are read, never more than 1 MiB;
//! values above 4 KiB are skipped, so declared lengths cost nothing. Deflated data is inflated here only.

use std::io::Read;

use beeldbox_protocol::clinical::{
    Confidential, InstanceAttributes, IssuerOfNumber, PatientIdentifier, PatientIdentifiers,
};
use beeldbox_protocol::ident::{
    Bsn, SeriesInstanceUid, SopClassUid, SopInstanceUid, StudyInstanceUid, TransferSyntaxUid,
};
use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};

use crate::character_set::CharacterSets;
use crate::data_set::EXPLICIT_VR_BIG_ENDIAN;
use crate::walk::{Encoding, End, Onlooker, walk};

/// Bytes after which we stop looking.
pub(crate) const LAST_LOOK: usize = 1024 * 1024;
/// Longest value that is read.
const LONGEST_VALUE: usize = 4096;
/// Everything wanted stands before this group (PS3.6: patient 0010, study and series 0020).
const STOP_AT: Tag = Tag(0x0028, 0x0000);
/// Root of the transfer syntaxes that DICOM itself has named.
const DICOM_ROOT: &str = "1.2.840.10008.";
/// GE's private syntax: Implicit VR Little Endian with pixels in big endian.
const GE_PRIVATE: &str = "1.2.840.113619.5.2";
/// Other Patient IDs (0010,1000): retired, and still written.
const OTHER_PATIENT_IDS_RETIRED: Tag = Tag(0x0010, 0x1000);
/// Most other numbers of a patient that are kept.
const MOST_OTHER_IDS: usize = 32;

/// What was found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Sniffed {
    pub(crate) sop_class: Option<SopClassUid>,
    pub(crate) sop_instance: Option<SopInstanceUid>,
    pub(crate) study: Option<StudyInstanceUid>,
    pub(crate) series: Option<SeriesInstanceUid>,
    pub(crate) attributes: InstanceAttributes,
    /// Every place in which a number of the patient stands.
    pub(crate) identifiers: PatientIdentifiers,
}

/// What the beginning of a data set says of patient and study: exactly what was read when the instance came in, as far
/// as the same bytes are there (at most 1 MiB is looked at).
pub fn attributes_of(beginning: &[u8], transfer_syntax: &TransferSyntaxUid) -> InstanceAttributes {
    sniff(beginning, transfer_syntax.as_str()).0.attributes
}

/// Every place in which the beginning of a data set has a number of the patient; at most 32 beside Patient ID. At most 1 MiB
/// is looked at.
pub fn identifiers_of(beginning: &[u8], transfer_syntax: &TransferSyntaxUid) -> PatientIdentifiers {
    sniff(beginning, transfer_syntax.as_str()).0.identifiers
}

/// Reads what can be read. The flag says that more bytes would bring nothing.
pub(crate) fn sniff(prefix: &[u8], transfer_syntax: &str) -> (Sniffed, bool) {
    match form_of(transfer_syntax) {
        Form::Deflated => {
            let (inflated, more) = inflate(prefix);
            let (sniffed, satisfied) = read(&inflated, Encoding::ExplicitLittle);
            (sniffed, satisfied || !more)
        }
        Form::Plain(encoding) => read(prefix, encoding),
        // Private ones may be anything, and implicit is the usual anything.
        Form::Private => {
            let explicit = read(prefix, Encoding::ExplicitLittle);
            if explicit.0 == Sniffed::default() { read(prefix, Encoding::ImplicitLittle) } else { explicit }
        }
    }
}

/// How data sets of a transfer syntax are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As they are.
    Plain(Encoding),
    /// In Explicit VR Little Endian, deflated.
    Deflated,
    /// As somebody likes.
    Private,
}

/// By the transfer syntax.
pub(crate) fn form_of(transfer_syntax: &str) -> Form {
    match transfer_syntax.trim_end_matches(['\0', ' ']) {
        uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
        | uids::JPIP_REFERENCED_DEFLATE
        | uids::JPIPHTJ2K_REFERENCED_DEFLATE => Form::Deflated,
        uids::IMPLICIT_VR_LITTLE_ENDIAN | GE_PRIVATE => Form::Plain(Encoding::ImplicitLittle),
        EXPLICIT_VR_BIG_ENDIAN => Form::Plain(Encoding::ExplicitBig),
        // All others of the standard, and all to come (PS3.5 §10).
        standard if standard.starts_with(DICOM_ROOT) => Form::Plain(Encoding::ExplicitLittle),
        _ => Form::Private,
    }
}

/// The beginning of a raw deflate stream, at most [`LAST_LOOK`] bytes of output. The flag says that input was missing.
pub(crate) fn inflate(prefix: &[u8]) -> (Vec<u8>, bool) {
    let mut inflated = Vec::new();
    let limit = u64::try_from(LAST_LOOK).unwrap_or(u64::MAX);
    let ended = flate2::read::DeflateDecoder::new(prefix).take(limit).read_to_end(&mut inflated);
    // An error at the end of the prefix is what a cut stream looks like; what came out before it is good.
    let more = ended.is_err() && inflated.len() < LAST_LOOK;
    (inflated, more)
}

/// What has been seen on the walk.
#[derive(Default)]
struct Sight {
    found: Sniffed,
    charset: CharacterSets,
    /// The identifier of the current item of Other Patient IDs, and that of the patient.
    id: PatientIdentifier,
    root_id: PatientIdentifier,
}

/// Reads what can be read in this encoding. The flag says that more bytes would bring nothing.
pub(crate) fn read(data: &[u8], encoding: Encoding) -> (Sniffed, bool) {
    let mut sight = Sight::default();
    let end = walk(data, encoding, &mut sight);
    sight.root_bsn();
    if !sight.root_id.id.is_empty() {
        sight.found.identifiers.patient_id = Some(sight.root_id);
    }
    (sight.found, end != End::CutOff)
}

impl Onlooker for Sight {
    fn is_end(&self, tag: Tag) -> bool {
        tag >= STOP_AT
    }

    fn enters(&self, path: &[Tag], tag: Tag) -> bool {
        match path {
            [] => {
                tag == tags::OTHER_PATIENT_I_DS_SEQUENCE
                    || tag == tags::ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE
            }
            [outer] => {
                *outer == tags::OTHER_PATIENT_I_DS_SEQUENCE
                    && tag == tags::ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE
            }
            _ => false,
        }
    }

    fn value(&mut self, path: &[Tag], tag: Tag, value: &[u8]) {
        let within = match path.split_last() {
            None => true,
            Some((inner, around)) => self.enters(around, *inner),
        };
        if within && value.len() <= LONGEST_VALUE {
            self.take(path, tag, value);
        }
    }

    fn item_begins(&mut self, path: &[Tag]) {
        if path == [tags::OTHER_PATIENT_I_DS_SEQUENCE] {
            self.id = PatientIdentifier::default();
        }
    }

    fn item_ends(&mut self, path: &[Tag]) {
        if path == [tags::OTHER_PATIENT_I_DS_SEQUENCE] {
            self.other_bsn();
        }
    }
}

impl Sight {
    fn take(&mut self, path: &[Tag], tag: Tag, value: &[u8]) {
        let text = self.charset.decode(value, tag == tags::PATIENT_NAME);
        let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
        if text.is_empty() {
            return;
        }
        if !path.is_empty() {
            return self.take_nested(path, tag, text);
        }
        let attributes = &mut self.found.attributes;
        let patient = &mut attributes.patient;
        let withheld = || Some(Confidential::new(text));
        let first = || text.split('\\').next().map(|value| value.trim().to_owned());
        match tag {
            tags::SPECIFIC_CHARACTER_SET => self.charset = CharacterSets::of(text),
            tags::SOP_INSTANCE_UID => self.found.sop_instance = text.parse().ok(),
            tags::SOP_CLASS_UID => self.found.sop_class = text.parse().ok(),
            tags::STUDY_INSTANCE_UID => self.found.study = text.parse().ok(),
            tags::SERIES_INSTANCE_UID => self.found.series = text.parse().ok(),
            tags::STUDY_DATE => attributes.study_date = first(),
            tags::STUDY_TIME => attributes.study_time = first(),
            tags::MODALITY => attributes.modality = first(),
            tags::ACCESSION_NUMBER => attributes.accession_number = withheld(),
            tags::INSTITUTION_NAME => attributes.institution = withheld(),
            tags::STUDY_DESCRIPTION => attributes.study_description = withheld(),
            tags::PATIENT_NAME => patient.name = withheld(),
            tags::PATIENT_BIRTH_DATE => patient.birth_date = withheld(),
            tags::PATIENT_SEX => patient.sex = withheld(),
            tags::PATIENT_ID => {
                patient.id = withheld();
                self.root_id.id = Confidential::new(text);
            }
            tags::ISSUER_OF_PATIENT_ID => {
                patient.id_issuer = withheld();
                self.root_id.issuer = withheld();
            }
            OTHER_PATIENT_IDS_RETIRED => {
                let values = text.split('\\').map(str::trim).filter(|value| !value.is_empty());
                self.found.identifiers.other_retired =
                    values.take(MOST_OTHER_IDS).map(Confidential::new).collect();
            }
            _ => {}
        }
    }

    fn take_nested(&mut self, path: &[Tag], tag: Tag, text: &str) {
        let at_root = path == [tags::ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE];
        let identifier = if at_root { &mut self.root_id } else { &mut self.id };
        let withheld = || Some(Confidential::new(text));
        match tag {
            tags::PATIENT_ID => identifier.id = Confidential::new(text),
            tags::ISSUER_OF_PATIENT_ID => identifier.issuer = withheld(),
            tags::UNIVERSAL_ENTITY_ID => identifier.universal_id = withheld(),
            tags::IDENTIFIER_TYPE_CODE => identifier.type_code = withheld(),
            _ => {}
        }
    }

    /// An item of Other Patient IDs ends.
    fn other_bsn(&mut self) {
        let item = std::mem::take(&mut self.id);
        if self.found.attributes.patient.bsn.is_none() {
            self.found.attributes.patient.bsn = bsn(&item);
        }
        let others = &mut self.found.identifiers.other;
        if !item.id.is_empty() && others.len() < MOST_OTHER_IDS {
            others.push(item);
        }
    }

    /// The patient's main identifier is the better witness.
    fn root_bsn(&mut self) {
        if let Some(bsn) = bsn(&self.root_id) {
            self.found.attributes.patient.bsn = Some(bsn);
        }
    }
}

fn bsn(identifier: &PatientIdentifier) -> Option<Bsn> {
    match identifier.issued_by() {
        IssuerOfNumber::Bsn => identifier.id.reveal().parse().ok(),
        IssuerOfNumber::Other | IssuerOfNumber::Unnamed => None,
    }
}

#[cfg(test)]
#[path = "sniff_tests.rs"]
mod tests;
