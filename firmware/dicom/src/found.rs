//! Reading what an archive answers: identifiers of C-FIND and of the end of a C-MOVE.
//!
//! The common attributes come from the same reader as those of instances (`sniff`), so names look the same in both lists.
//! An identifier that does not end where it says is an error: a peer that lies about lengths is not believed in part.

use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::SopInstanceUid;
use dicom_core::Tag;
use dicom_dictionary_std::tags;

use crate::character_set::CharacterSets;
use crate::query::Found;
use crate::sniff;
use crate::walk::{Encoding, Onlooker, walk_whole};

/// Longest identifier we take.
pub(crate) const LONGEST_IDENTIFIER: usize = 64 * 1024;
/// Longest value that is read.
const LONGEST_VALUE: usize = 4096;

/// The identifier is no data set.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

impl Found {
    /// Reads an identifier.
    pub(crate) fn read(identifier: &[u8], encoding: Encoding) -> Result<Self, Unreadable> {
        let mut rest = Rest::default();
        walk_whole(identifier, encoding, &mut rest).map_err(|_| Unreadable)?;
        let (sniffed, _) = sniff::read(identifier, encoding);
        let attributes = sniffed.attributes;
        let Rest { mut found, .. } = rest;
        if found.modalities.is_empty() {
            found.modalities = attributes.modality.into_iter().collect();
        }
        Ok(Found {
            study: sniffed.study,
            series: sniffed.series,
            sop_class: sniffed.sop_class,
            sop_instance: sniffed.sop_instance,
            patient: attributes.patient,
            identifiers: sniffed.identifiers,
            accession_number: attributes.accession_number,
            study_date: attributes.study_date,
            study_time: attributes.study_time,
            study_description: attributes.study_description,
            ..found
        })
    }
}

/// What is asked for beyond what instances say of themselves.
#[derive(Default)]
struct Rest {
    charset: CharacterSets,
    found: Found,
}

impl Onlooker for Rest {
    fn is_end(&self, _tag: Tag) -> bool {
        false
    }

    fn enters(&self, _path: &[Tag], _tag: Tag) -> bool {
        false
    }

    fn value(&mut self, path: &[Tag], tag: Tag, value: &[u8]) {
        if !path.is_empty() || value.len() > LONGEST_VALUE {
            return;
        }
        let text = self.charset.decode(value, false);
        let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
        let found = &mut self.found;
        match tag {
            tags::SPECIFIC_CHARACTER_SET => self.charset = CharacterSets::of(text),
            tags::MODALITIES_IN_STUDY => {
                found.modalities = text
                    .split('\\')
                    .map(str::trim)
                    .filter(|modality| !modality.is_empty())
                    .map(str::to_owned)
                    .collect();
            }
            tags::SERIES_DESCRIPTION if !text.is_empty() => {
                found.series_description = Some(Confidential::new(text));
            }
            tags::SERIES_NUMBER => found.series_number = text.parse().ok(),
            tags::INSTANCE_NUMBER => found.instance_number = text.parse().ok(),
            tags::NUMBER_OF_STUDY_RELATED_SERIES => found.series_count = text.parse().ok(),
            tags::NUMBER_OF_STUDY_RELATED_INSTANCES | tags::NUMBER_OF_SERIES_RELATED_INSTANCES => {
                found.instance_count = text.parse().ok();
            }
            _ => {}
        }
    }

    fn item_begins(&mut self, _path: &[Tag]) {}

    fn item_ends(&mut self, _path: &[Tag]) {}
}

/// Failed SOP Instance UID List (0008,0058) of a C-MOVE response. What cannot be read is left out: the numbers of the
/// response count, the list is for people.
pub(crate) fn failed_instances(identifier: &[u8], encoding: Encoding) -> Vec<SopInstanceUid> {
    struct List(Vec<SopInstanceUid>);
    impl Onlooker for List {
        fn is_end(&self, tag: Tag) -> bool {
            tag > tags::FAILED_SOP_INSTANCE_UID_LIST
        }
        fn enters(&self, _path: &[Tag], _tag: Tag) -> bool {
            false
        }
        fn value(&mut self, path: &[Tag], tag: Tag, value: &[u8]) {
            if path.is_empty() && tag == tags::FAILED_SOP_INSTANCE_UID_LIST {
                let text = String::from_utf8_lossy(value);
                self.0 = text.split('\\').filter_map(|uid| uid.trim().parse().ok()).collect();
            }
        }
        fn item_begins(&mut self, _path: &[Tag]) {}
        fn item_ends(&mut self, _path: &[Tag]) {}
    }
    let mut list = List(Vec::new());
    // However the walk ended, what was seen was there.
    let _ = crate::walk::walk(identifier, encoding, &mut list);
    list.0
}
