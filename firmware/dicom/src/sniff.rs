//! Reading a few attributes from the beginning of a data set.
//!
//! Best effort by design: real files lack UIDs, have wrong VRs, or are in syntaxes nobody knows. Whatever was found
//! before an error is kept, and nothing found is an answer too. Only a copy of the first bytes is read, never more than
//! 1 MiB; values above 4 KiB are skipped, so declared lengths cost nothing. Deflated data is inflated here only.

use std::io::{Cursor, Read};
use std::panic::AssertUnwindSafe;

use beeldbox_protocol::clinical::{Confidential, InstanceAttributes};
use beeldbox_protocol::ident::{Bsn, SeriesInstanceUid, SopClassUid, SopInstanceUid, StudyInstanceUid};
use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};
use dicom_encoding::text::{SpecificCharacterSet, TextCodec};
use dicom_encoding::transfer_syntax::TransferSyntaxIndex;
use dicom_parser::dataset::LazyDataToken;
use dicom_parser::dataset::lazy_read::LazyDataSetReader;
use dicom_parser::stateful::decode::StatefulDecode;
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;

/// Bytes after which we stop looking.
pub(crate) const LAST_LOOK: usize = 1024 * 1024;
/// Longest value that is read.
const LONGEST_VALUE: u32 = 4096;
/// Everything wanted stands before this group (PS3.6: patient 0010, study and series 0020).
const STOP_AT: Tag = Tag(0x0028, 0x0000);
/// Marks of the issuer of citizen service numbers: its assigning authority name and its OID.
const BSN_ISSUERS: [&str; 3] = ["BSN", "NLMINBIZA", "2.16.840.1.113883.2.4.6.3"];

/// What was found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Sniffed {
    pub(crate) sop_class: Option<SopClassUid>,
    pub(crate) sop_instance: Option<SopInstanceUid>,
    pub(crate) study: Option<StudyInstanceUid>,
    pub(crate) series: Option<SeriesInstanceUid>,
    pub(crate) attributes: InstanceAttributes,
}

/// Reads what can be read. The flag says that more bytes would bring nothing.
pub(crate) fn sniff(prefix: &[u8], transfer_syntax: &str) -> (Sniffed, bool) {
    // The parser is not ours. A panic in it on some hostile header must cost this look, not the association.
    let look = AssertUnwindSafe(|| look(prefix, transfer_syntax));
    std::panic::catch_unwind(look).unwrap_or((Sniffed::default(), true))
}

fn look(prefix: &[u8], transfer_syntax: &str) -> (Sniffed, bool) {
    let known = TransferSyntaxRegistry.get(transfer_syntax.trim_end_matches(['\0', ' ']));
    match known.map(|syntax| syntax.uid()) {
        Some(
            uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
            | uids::JPIP_REFERENCED_DEFLATE
            | uids::JPIPHTJ2K_REFERENCED_DEFLATE,
        ) => {
            let (inflated, more) = inflate(prefix);
            let (sniffed, satisfied) = read(&inflated, uids::EXPLICIT_VR_LITTLE_ENDIAN);
            (sniffed, satisfied || !more)
        }
        Some(uid) => read(prefix, uid),
        // Private or newer than our registry. New syntaxes are Explicit VR Little Endian (PS3.5 §10); private ones
        // may be anything, and implicit is the usual anything.
        None => {
            let explicit = read(prefix, uids::EXPLICIT_VR_LITTLE_ENDIAN);
            if explicit.0 == Sniffed::default() {
                read(prefix, uids::IMPLICIT_VR_LITTLE_ENDIAN)
            } else {
                explicit
            }
        }
    }
}

/// The beginning of a raw deflate stream, at most [`LAST_LOOK`] bytes of output. The flag says that input was missing.
fn inflate(prefix: &[u8]) -> (Vec<u8>, bool) {
    let mut inflated = Vec::new();
    let limit = u64::try_from(LAST_LOOK).unwrap_or(u64::MAX);
    let ended = flate2::read::DeflateDecoder::new(prefix).take(limit).read_to_end(&mut inflated);
    // An error at the end of the prefix is what a cut stream looks like; what came out before it is good.
    let more = ended.is_err() && inflated.len() < LAST_LOOK;
    (inflated, more)
}

/// What the walk through the data set knows.
struct Walk {
    found: Sniffed,
    /// Tags of the sequences we are in.
    path: Vec<Tag>,
    charset: SpecificCharacterSet,
    /// The identifier of the current item, at root or in Other Patient IDs.
    id: Identifier,
    root_id: Identifier,
}

/// A patient identifier with what is said about its issuer.
#[derive(Default)]
struct Identifier {
    value: Option<String>,
    from_bsn_issuer: bool,
}

fn read(data: &[u8], transfer_syntax: &str) -> (Sniffed, bool) {
    let mut walk = Walk {
        found: Sniffed::default(),
        path: Vec::new(),
        charset: SpecificCharacterSet::default(),
        id: Identifier::default(),
        root_id: Identifier::default(),
    };
    let satisfied = walk.through(data, transfer_syntax);
    walk.root_bsn();
    (walk.found, satisfied)
}

impl Walk {
    /// Walks until the stop tag, an error, or the end of the bytes. True if more bytes would bring nothing.
    fn through(&mut self, data: &[u8], transfer_syntax: &str) -> bool {
        let Some(syntax) = TransferSyntaxRegistry.get(transfer_syntax) else { return true };
        let Ok(mut reader) = LazyDataSetReader::new_with_ts(Cursor::new(data), syntax) else { return true };
        let end = u64::try_from(data.len()).unwrap_or(u64::MAX);
        loop {
            let token = match reader.advance() {
                None => return false,
                // Cut off or broken: the same from here. With more bytes we look again, up to the limit.
                Some(Err(_)) => return false,
                Some(Ok(token)) => token,
            };
            match token {
                LazyDataToken::ElementHeader(header) if self.path.is_empty() && header.tag >= STOP_AT => {
                    return true;
                }
                LazyDataToken::SequenceStart { tag, .. } if self.path.is_empty() && tag >= STOP_AT => {
                    return true;
                }
                LazyDataToken::PixelSequenceStart => return true,
                LazyDataToken::SequenceStart { tag, .. } => self.path.push(tag),
                LazyDataToken::SequenceEnd => {
                    self.path.pop();
                }
                LazyDataToken::ItemStart { .. } if self.path == [tags::OTHER_PATIENT_I_DS_SEQUENCE] => {
                    self.id = Identifier::default();
                }
                LazyDataToken::ItemEnd if self.path == [tags::OTHER_PATIENT_I_DS_SEQUENCE] => {
                    self.other_bsn()
                }
                LazyDataToken::LazyValue { header, decoder } => {
                    let length = header.len.get().unwrap_or(0);
                    // Skipping past the end would succeed silently.
                    if decoder.position().saturating_add(u64::from(length)) > end {
                        return false;
                    }
                    if length > LONGEST_VALUE || !self.wants(header.tag) {
                        if decoder.skip_bytes(length).is_err() {
                            return false;
                        }
                        continue;
                    }
                    let mut value = Vec::new();
                    if decoder.read_to_vec(length, &mut value).is_err() {
                        return false;
                    }
                    self.take(header.tag, &value);
                }
                LazyDataToken::LazyItemValue { .. } => return true,
                LazyDataToken::ElementHeader(_)
                | LazyDataToken::ItemStart { .. }
                | LazyDataToken::ItemEnd => {}
                // What a later version of the parser adds.
                _ => return true,
            }
        }
    }

    fn wants(&self, tag: Tag) -> bool {
        match self.path.as_slice() {
            [] => tag < STOP_AT,
            [outer] => {
                *outer == tags::OTHER_PATIENT_I_DS_SEQUENCE
                    || *outer == tags::ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE
            }
            [outer, inner] => {
                *outer == tags::OTHER_PATIENT_I_DS_SEQUENCE
                    && *inner == tags::ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE
            }
            _ => false,
        }
    }

    fn take(&mut self, tag: Tag, value: &[u8]) {
        let text = self.charset.decode(value).unwrap_or_else(|_| String::from_utf8_lossy(value).into_owned());
        let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
        if text.is_empty() {
            return;
        }
        if !self.path.is_empty() {
            return self.take_nested(tag, text);
        }
        let attributes = &mut self.found.attributes;
        let patient = &mut attributes.patient;
        let withheld = || Some(Confidential::new(text));
        let first = || text.split('\\').next().map(|value| value.trim().to_owned());
        match tag {
            tags::SPECIFIC_CHARACTER_SET => {
                // An empty first value with extensions behind it is the default repertoire (PS3.3 C.12.1.1.2).
                let code = text.split('\\').map(str::trim).find(|code| !code.is_empty()).unwrap_or_default();
                self.charset = SpecificCharacterSet::from_code(code).unwrap_or_default();
            }
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
                self.root_id.value = Some(text.to_owned());
            }
            tags::ISSUER_OF_PATIENT_ID => {
                patient.id_issuer = withheld();
                self.root_id.from_bsn_issuer |= names_bsn_issuer(text);
            }
            _ => {}
        }
    }

    fn take_nested(&mut self, tag: Tag, text: &str) {
        let at_root = self.path == [tags::ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE];
        let identifier = if at_root { &mut self.root_id } else { &mut self.id };
        match tag {
            tags::PATIENT_ID => identifier.value = Some(text.to_owned()),
            tags::ISSUER_OF_PATIENT_ID | tags::UNIVERSAL_ENTITY_ID => {
                identifier.from_bsn_issuer |= names_bsn_issuer(text);
            }
            _ => {}
        }
    }

    /// An item of Other Patient IDs ends.
    fn other_bsn(&mut self) {
        let item = std::mem::take(&mut self.id);
        if self.found.attributes.patient.bsn.is_none() {
            self.found.attributes.patient.bsn = bsn(&item);
        }
    }

    /// The patient's main identifier is the better witness.
    fn root_bsn(&mut self) {
        if let Some(bsn) = bsn(&self.root_id) {
            self.found.attributes.patient.bsn = Some(bsn);
        }
    }
}

fn bsn(identifier: &Identifier) -> Option<Bsn> {
    identifier.value.as_ref().filter(|_| identifier.from_bsn_issuer)?.parse().ok()
}

/// Whether the text, or one of its `^`- or `&`-separated parts, names the issuer of citizen service numbers.
fn names_bsn_issuer(text: &str) -> bool {
    text.split(['^', '&', '\\'])
        .any(|part| BSN_ISSUERS.iter().any(|issuer| part.trim().eq_ignore_ascii_case(issuer)))
}

#[cfg(test)]
#[path = "sniff_tests.rs"]
mod tests;
