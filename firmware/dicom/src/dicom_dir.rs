//! The directory of a DICOM folder: DICOMDIR (PS3.3 annex F, PS3.10 §8.6), with what IHE PDI asks of it.
//!
//! ```text
//!   PATIENT ─► next patient          every record points to the next beside it and to the first below it,
//!      └─► STUDY ─► next study       by the place of the record in the file
//!            └─► SERIES ─► …
//!                  └─► IMAGE │ SR DOCUMENT │ KEY OBJECT DOC │ PRESENTATION │ ENCAP DOC │ … ─► its file
//! ```
//!
//! What a record says is read from the beginning of each file; what a file leaves out stays empty, except numbers that a
//! record must have, which are then counted.

use std::collections::BTreeMap;

use beeldbox_protocol::ident::{SopClassUid, SopInstanceUid, TransferSyntaxUid};
use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};

use crate::character_set::CharacterSets;
use crate::data_set::DataSetWriter;
use crate::part10::file_head;
use crate::sniff::{Form, form_of};
use crate::walk::{Encoding, Onlooker, walk};

/// Longest value that goes into a record, in bytes.
const LONGEST_VALUE: usize = 1024;
/// Nothing behind it is part of a record.
const STOP_AT: Tag = Tag(0x0071, 0x0000);
const ITEM: [u8; 4] = [0xFE, 0xFF, 0x00, 0xE0];
/// Where the two offsets of a record stand in it: behind tag, VR and length; and behind that and Record In-use Flag.
const NEXT_AT: usize = 8;
const LOWER_AT: usize = 30;

/// Attributes that records have, by level.
const OF_PATIENT: [(Tag, &[u8; 2]); 4] = [
    (tags::PATIENT_NAME, b"PN"),
    (tags::PATIENT_ID, b"LO"),
    (tags::PATIENT_BIRTH_DATE, b"DA"),
    (tags::PATIENT_SEX, b"CS"),
];
const OF_STUDY: [(Tag, &[u8; 2]); 6] = [
    (tags::STUDY_DATE, b"DA"),
    (tags::STUDY_TIME, b"TM"),
    (tags::ACCESSION_NUMBER, b"SH"),
    (tags::STUDY_DESCRIPTION, b"LO"),
    (tags::STUDY_INSTANCE_UID, b"UI"),
    (tags::STUDY_ID, b"SH"),
];
const OF_SERIES: [(Tag, &[u8; 2]); 4] = [
    (tags::MODALITY, b"CS"),
    (tags::SERIES_DESCRIPTION, b"LO"),
    (tags::SERIES_INSTANCE_UID, b"UI"),
    (tags::SERIES_NUMBER, b"IS"),
];

/// One file of a folder.
#[derive(Debug, Clone)]
pub struct FolderFile {
    /// Its place below the folder: at most eight components of capitals, digits and underscores (PS3.10 §8.2).
    pub file_id: Vec<String>,
    /// Its class.
    pub sop_class: SopClassUid,
    /// Its name.
    pub sop_instance: SopInstanceUid,
    /// How it is encoded.
    pub transfer_syntax: TransferSyntaxUid,
    /// What its record says.
    pub said: RecordAttributes,
}

/// What the beginning of a data set says, as far as a directory repeats it. Does not print.
#[derive(Clone, Default)]
pub struct RecordAttributes {
    values: BTreeMap<Tag, String>,
    concept: BTreeMap<Tag, String>,
}

impl std::fmt::Debug for RecordAttributes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecordAttributes(withheld)")
    }
}

impl RecordAttributes {
    /// Reads the beginning of a data set; 1 MiB is plenty.
    pub fn of(beginning: &[u8], transfer_syntax: &TransferSyntaxUid) -> Self {
        let inflated;
        let (data, encoding) = match form_of(transfer_syntax.as_str()) {
            Form::Plain(encoding) => (beginning, encoding),
            Form::Deflated => {
                inflated = crate::sniff::inflate(beginning).0;
                (inflated.as_slice(), Encoding::ExplicitLittle)
            }
            Form::Private => (beginning, Encoding::ExplicitLittle),
        };
        let mut reading = Reading::default();
        // However the walk ended, what was seen was there.
        let _ = walk(data, encoding, &mut reading);
        reading.said
    }

    fn get(&self, tag: Tag) -> &str {
        self.values.get(&tag).map_or("", String::as_str)
    }
}

#[derive(Default)]
struct Reading {
    charset: CharacterSets,
    said: RecordAttributes,
}

impl Onlooker for Reading {
    fn is_end(&self, tag: Tag) -> bool {
        tag >= STOP_AT
    }

    fn enters(&self, path: &[Tag], tag: Tag) -> bool {
        path.is_empty() && tag == tags::CONCEPT_NAME_CODE_SEQUENCE
    }

    fn value(&mut self, path: &[Tag], tag: Tag, value: &[u8]) {
        if value.len() > LONGEST_VALUE {
            return;
        }
        let text = self.charset.decode(value, tag == tags::PATIENT_NAME);
        let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
        match path {
            [] if tag == tags::SPECIFIC_CHARACTER_SET => self.charset = CharacterSets::of(text),
            [] => {
                self.said.values.insert(tag, text.to_owned());
            }
            [tags::CONCEPT_NAME_CODE_SEQUENCE] => {
                self.said.concept.insert(tag, text.to_owned());
            }
            _ => {}
        }
    }

    fn item_begins(&mut self, _path: &[Tag]) {}

    fn item_ends(&mut self, _path: &[Tag]) {}
}

/// A directory record with what is below it.
struct Record {
    bytes: Vec<u8>,
    below: Vec<Record>,
}

/// The DICOMDIR of these files, as a whole file. `instance` is a name for the directory itself.
pub fn directory(files: &[FolderFile], instance: &SopInstanceUid) -> Vec<u8> {
    let records = records(files);
    let class: SopClassUid = match uids::MEDIA_STORAGE_DIRECTORY_STORAGE.parse() {
        Ok(class) => class,
        // A name of the dictionary.
        Err(_) => return Vec::new(),
    };
    let Ok(syntax) = uids::EXPLICIT_VR_LITTLE_ENDIAN.parse::<TransferSyntaxUid>() else { return Vec::new() };
    let mut file = file_head(&class, instance, &syntax);
    let mut start = DataSetWriter::new(Encoding::ExplicitLittle);
    start.text(tags::FILE_SET_ID, *b"CS", b"BEELDBOX");
    start.long_number(tags::OFFSET_OF_THE_FIRST_DIRECTORY_RECORD_OF_THE_ROOT_DIRECTORY_ENTITY, 0);
    start.long_number(tags::OFFSET_OF_THE_LAST_DIRECTORY_RECORD_OF_THE_ROOT_DIRECTORY_ENTITY, 0);
    start.number(tags::FILE_SET_CONSISTENCY_FLAG, 0);
    let first_at = file.len() + 8 + "BEELDBOX".len() + 8;
    let last_at = first_at + 12;
    file.extend(start.finish());
    // Directory Record Sequence (0004,1220), its length filled in at the end.
    file.extend_from_slice(&[0x04, 0x00, 0x20, 0x12, b'S', b'Q', 0, 0, 0, 0, 0, 0]);
    let sequence = file.len();
    let (first, last) = write(&mut file, &records);
    let length = sequence_length(sequence, &file);
    patch(&mut file, sequence - 4, length);
    patch(&mut file, first_at, first);
    patch(&mut file, last_at, last);
    file
}

fn sequence_length(from: usize, file: &[u8]) -> u32 {
    // A directory of a million files stays far below 4 GiB.
    u32::try_from(file.len() - from).unwrap_or(u32::MAX)
}

fn patch(file: &mut [u8], at: usize, value: u32) {
    if let Some(place) = file.get_mut(at..at + 4) {
        place.copy_from_slice(&value.to_le_bytes());
    }
}

/// Writes records beside each other, each followed by what is below it. Gives the places of the first and the last.
fn write(file: &mut Vec<u8>, records: &[Record]) -> (u32, u32) {
    let place = |at: usize| u32::try_from(at).unwrap_or(0);
    let (mut first, mut last): (Option<usize>, Option<usize>) = (None, None);
    for record in records {
        let at = file.len();
        if let Some(before) = last {
            patch(file, before + 8 + NEXT_AT, place(at));
        }
        first.get_or_insert(at);
        last = Some(at);
        file.extend_from_slice(&ITEM);
        file.extend_from_slice(&place(record.bytes.len()).to_le_bytes());
        file.extend_from_slice(&record.bytes);
        let (below, _) = write(file, &record.below);
        patch(file, at + 8 + LOWER_AT, below);
    }
    (first.map_or(0, place), last.map_or(0, place))
}

/// Patients, studies, series and files, in the order of the files.
fn records(files: &[FolderFile]) -> Vec<Record> {
    let by = |tag: Tag| move |file: &&FolderFile| file.said.get(tag).to_owned();
    let all: Vec<&FolderFile> = files.iter().collect();
    grouped(all, by(tags::PATIENT_ID))
        .into_iter()
        .map(|files| Record {
            bytes: record("PATIENT", &files, &OF_PATIENT, None, 1),
            below: grouped(files, by(tags::STUDY_INSTANCE_UID))
                .into_iter()
                .enumerate()
                .map(|(at, files)| study_record(files, at + 1))
                .collect(),
        })
        .collect()
}

fn study_record(files: Vec<&FolderFile>, number: usize) -> Record {
    let bytes = record("STUDY", &files, &OF_STUDY, Some(tags::STUDY_ID), number);
    let series = grouped(files, |file| file.said.get(tags::SERIES_INSTANCE_UID).to_owned());
    let below = series.into_iter().enumerate().map(|(at, files)| {
        let bytes = record("SERIES", &files, &OF_SERIES, Some(tags::SERIES_NUMBER), at + 1);
        let files = files
            .into_iter()
            .enumerate()
            .map(|(at, file)| Record { bytes: file_record(file, at + 1), below: Vec::new() });
        Record { bytes, below: files.collect() }
    });
    Record { bytes, below: below.collect() }
}

fn grouped<'a>(
    files: Vec<&'a FolderFile>,
    name: impl Fn(&&'a FolderFile) -> String,
) -> Vec<Vec<&'a FolderFile>> {
    let mut order: Vec<String> = Vec::new();
    let mut groups: BTreeMap<String, Vec<&FolderFile>> = BTreeMap::new();
    for file in files {
        let name = name(&file);
        if !groups.contains_key(&name) {
            order.push(name.clone());
        }
        groups.entry(name).or_default().push(file);
    }
    order.iter().filter_map(|name| groups.remove(name)).collect()
}

/// The beginning of every record, and a writer for the rest.
fn begin(kind: &str) -> DataSetWriter {
    let mut writer = DataSetWriter::new(Encoding::ExplicitLittle);
    writer.long_number(tags::OFFSET_OF_THE_NEXT_DIRECTORY_RECORD, 0);
    writer.number(tags::RECORD_IN_USE_FLAG, 0xFFFF);
    writer.long_number(tags::OFFSET_OF_REFERENCED_LOWER_LEVEL_DIRECTORY_ENTITY, 0);
    writer.text(tags::DIRECTORY_RECORD_TYPE, *b"CS", kind.as_bytes());
    writer
}

/// Text is in UTF-8 if it does not fit ASCII.
fn put_character_set(writer: &mut DataSetWriter, texts: &[&str]) {
    if !texts.iter().all(|text| text.is_ascii()) {
        writer.text(tags::SPECIFIC_CHARACTER_SET, *b"CS", b"ISO_IR 192");
    }
}

/// A record of a level, as the first of its files says. What must not be empty is counted if it is.
fn record(
    kind: &str,
    files: &[&FolderFile],
    attributes: &[(Tag, &[u8; 2])],
    counted: Option<Tag>,
    number: usize,
) -> Vec<u8> {
    let said = |tag: Tag| files.first().map_or("", |file| file.said.get(tag));
    let texts: Vec<&str> = attributes.iter().map(|(tag, _)| said(*tag)).collect();
    let mut writer = begin(kind);
    put_character_set(&mut writer, &texts);
    for (tag, vr) in attributes {
        put(&mut writer, *tag, vr, said(*tag), counted.filter(|counted| counted == tag).map(|_| number));
    }
    writer.finish()
}

fn put(writer: &mut DataSetWriter, tag: Tag, vr: &[u8; 2], text: &str, number: Option<usize>) {
    match (number, vr) {
        (Some(number), _) if text.is_empty() => writer.text(tag, *vr, number.to_string().as_bytes()),
        (_, b"UI") => writer.uid(tag, text),
        _ => writer.text(tag, *vr, text.as_bytes()),
    }
}

fn file_record(file: &FolderFile, number: usize) -> Vec<u8> {
    let kind = kind_of(file.sop_class.as_str());
    let meaning = file.said.concept.get(&tags::CODE_MEANING).map_or("", String::as_str);
    let attributes = kind.attributes();
    let mut texts: Vec<&str> = attributes.iter().map(|(tag, _)| file.said.get(*tag)).collect();
    texts.push(meaning);
    let mut writer = begin(kind.code());
    writer.text(tags::REFERENCED_FILE_ID, *b"CS", file.file_id.join("\\").as_bytes());
    writer.uid(tags::REFERENCED_SOP_CLASS_UID_IN_FILE, file.sop_class.as_str());
    writer.uid(tags::REFERENCED_SOP_INSTANCE_UID_IN_FILE, file.sop_instance.as_str());
    writer.uid(tags::REFERENCED_TRANSFER_SYNTAX_UID_IN_FILE, file.transfer_syntax.as_str());
    put_character_set(&mut writer, &texts);
    for (tag, vr) in attributes {
        let counted = (*tag == tags::INSTANCE_NUMBER).then_some(number);
        if *tag == tags::CONCEPT_NAME_CODE_SEQUENCE {
            concept(&mut writer, &file.said.concept);
        } else if *tag == tags::MIME_TYPE_OF_ENCAPSULATED_DOCUMENT && file.said.get(*tag).is_empty() {
            // It stands behind the document, which is not read; the class says it.
            writer.text(*tag, **vr, mime_of(file.sop_class.as_str()).as_bytes());
        } else {
            put(&mut writer, *tag, vr, file.said.get(*tag), counted);
        }
    }
    writer.finish()
}

fn concept(writer: &mut DataSetWriter, said: &BTreeMap<Tag, String>) {
    let items: &[()] = if said.is_empty() { &[] } else { &[()] };
    writer.sequence(tags::CONCEPT_NAME_CODE_SEQUENCE, items, |item, ()| {
        for (tag, vr) in
            [(tags::CODE_VALUE, b"SH"), (tags::CODING_SCHEME_DESIGNATOR, b"SH"), (tags::CODE_MEANING, b"LO")]
        {
            item.text(tag, *vr, said.get(&tag).map_or("", String::as_str).as_bytes());
        }
    });
}

/// Types of directory records (PS3.3 Table F.3-1 and what follows it), as far as they differ in what they say.
#[derive(Clone, Copy)]
enum Kind {
    Image,
    Sr,
    KeyObjects,
    Presentation,
    Encapsulated,
    RtDose,
    RtStructures,
    RtPlan,
    Waveform,
    Registration,
    Fiducial,
    Raw,
}

fn kind_of(class: &str) -> Kind {
    let storage = class.strip_prefix("1.2.840.10008.5.1.4.1.1.").unwrap_or_default();
    match storage {
        "88.59" => Kind::KeyObjects,
        "481.2" => Kind::RtDose,
        "481.3" => Kind::RtStructures,
        "481.5" => Kind::RtPlan,
        "66" => Kind::Raw,
        "66.1" | "66.3" => Kind::Registration,
        "66.2" => Kind::Fiducial,
        other if other.starts_with("88.") => Kind::Sr,
        other if other.starts_with("11.") => Kind::Presentation,
        other if other.starts_with("104.") => Kind::Encapsulated,
        other if other.starts_with("9.") => Kind::Waveform,
        _ => Kind::Image,
    }
}

impl Kind {
    fn code(self) -> &'static str {
        match self {
            Kind::Image => "IMAGE",
            Kind::Sr => "SR DOCUMENT",
            Kind::KeyObjects => "KEY OBJECT DOC",
            Kind::Presentation => "PRESENTATION",
            Kind::Encapsulated => "ENCAP DOC",
            Kind::RtDose => "RT DOSE",
            Kind::RtStructures => "RT STRUCTURE SET",
            Kind::RtPlan => "RT PLAN",
            Kind::Waveform => "WAVEFORM",
            Kind::Registration => "REGISTRATION",
            Kind::Fiducial => "FIDUCIAL",
            Kind::Raw => "RAW DATA",
        }
    }

    /// In the order of tags.
    fn attributes(self) -> &'static [(Tag, &'static [u8; 2])] {
        const DATED: (Tag, &[u8; 2]) = (tags::CONTENT_DATE, b"DA");
        const TIMED: (Tag, &[u8; 2]) = (tags::CONTENT_TIME, b"TM");
        const NUMBER: (Tag, &[u8; 2]) = (tags::INSTANCE_NUMBER, b"IS");
        const CONCEPT: (Tag, &[u8; 2]) = (tags::CONCEPT_NAME_CODE_SEQUENCE, b"SQ");
        match self {
            Kind::Image => &[NUMBER],
            Kind::RtDose => &[NUMBER, (tags::DOSE_SUMMATION_TYPE, b"CS")],
            Kind::RtStructures => &[
                NUMBER,
                (tags::STRUCTURE_SET_LABEL, b"SH"),
                (tags::STRUCTURE_SET_DATE, b"DA"),
                (tags::STRUCTURE_SET_TIME, b"TM"),
            ],
            Kind::RtPlan => &[
                NUMBER,
                (tags::RT_PLAN_LABEL, b"SH"),
                (tags::RT_PLAN_DATE, b"DA"),
                (tags::RT_PLAN_TIME, b"TM"),
            ],
            Kind::Sr => &[
                DATED,
                TIMED,
                NUMBER,
                CONCEPT,
                (tags::COMPLETION_FLAG, b"CS"),
                (tags::VERIFICATION_FLAG, b"CS"),
            ],
            Kind::KeyObjects => &[DATED, TIMED, NUMBER, CONCEPT],
            Kind::Presentation => &[
                NUMBER,
                (tags::CONTENT_LABEL, b"CS"),
                (tags::CONTENT_DESCRIPTION, b"LO"),
                (tags::PRESENTATION_CREATION_DATE, b"DA"),
                (tags::PRESENTATION_CREATION_TIME, b"TM"),
                (tags::CONTENT_CREATOR_NAME, b"PN"),
            ],
            Kind::Encapsulated => &[
                DATED,
                TIMED,
                NUMBER,
                CONCEPT,
                (tags::DOCUMENT_TITLE, b"ST"),
                (tags::MIME_TYPE_OF_ENCAPSULATED_DOCUMENT, b"LO"),
            ],
            Kind::Waveform | Kind::Raw => &[DATED, TIMED, NUMBER],
            Kind::Registration | Kind::Fiducial => &[
                DATED,
                TIMED,
                NUMBER,
                (tags::CONTENT_LABEL, b"CS"),
                (tags::CONTENT_DESCRIPTION, b"LO"),
                (tags::CONTENT_CREATOR_NAME, b"PN"),
            ],
        }
    }
}

/// What an encapsulated document of this class is.
fn mime_of(class: &str) -> &'static str {
    match class {
        uids::ENCAPSULATED_CDA_STORAGE => "text/XML",
        uids::ENCAPSULATED_STL_STORAGE => "model/stl",
        _ => "application/pdf",
    }
}
