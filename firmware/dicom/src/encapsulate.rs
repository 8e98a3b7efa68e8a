//! Documents as instances: a PDF as Encapsulated PDF, a JPEG as Secondary Capture, in the study that they belong to.
//!
//! ```text
//!   data set = head │ the document, byte for byte │ tail         (Explicit VR Little Endian, or the JPEG's own syntax)
//! ```
//!
//! The document passes through: head and tail are small, the document may be streamed from wherever it is. Nothing is
//! decoded. Patient and study are those of the study, letter for letter; text goes to ISO_IR 192 where it is not ASCII.
//! PS3.3 A.45.1 (Encapsulated PDF), A.8.1 (Secondary Capture), PS3.5 annex A.4 (encapsulated pixel data).

use beeldbox_protocol::clinical::{Confidential, InstanceAttributes};
use beeldbox_protocol::ident::{
    SeriesInstanceUid, SopClassUid, SopInstanceUid, StudyInstanceUid, TransferSyntaxUid,
};
use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};
use jiff::civil::DateTime;

use crate::data_set::DataSetWriter;
use crate::jpeg::{Jpeg, JpegError};
use crate::walk::Encoding;

/// Longest document: the length of a value is an even number of 32 bits, and FFFFFFFFH means something else.
const LONGEST: u64 = 0xffff_fffc;
/// Longest text of an LO and of an ST, in characters (PS3.5 §6.2).
const LONGEST_LO: usize = 64;
const LONGEST_ST: usize = 1024;

/// The study that a document belongs to: what its instances say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StudyIdentity {
    /// Study Instance UID.
    pub study: StudyInstanceUid,
    /// Patient and study, as the other instances name them.
    pub attributes: InstanceAttributes,
}

/// The instance to be made: its names, its place, its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewInstance {
    /// Its name, used for nothing else before.
    pub sop_instance: SopInstanceUid,
    /// Its series: one of documents, not one of images.
    pub series: SeriesInstanceUid,
    /// Number of the series, for people.
    pub series_number: u16,
    /// Number of the instance in its series.
    pub instance_number: u16,
    /// When the content was made, in local time.
    pub made_at: DateTime,
    /// What it is called, such as `Verslag CT thorax`: title of the document, description of the series.
    pub title: Confidential,
    /// Instances that it was made from, such as the structured report that it shows.
    pub made_from: Vec<(SopClassUid, SopInstanceUid)>,
}

/// A data set around a document: head, the document as it is, tail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedDocument {
    /// SOP class of the instance.
    pub sop_class: SopClassUid,
    /// Its name.
    pub sop_instance: SopInstanceUid,
    /// How the data set is written.
    pub transfer_syntax: TransferSyntaxUid,
    /// Goes before the document.
    pub head: Vec<u8>,
    /// Goes behind it.
    pub tail: Vec<u8>,
    /// Length of the data set in bytes.
    pub length: u64,
}

/// Why a document is not wrapped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncapsulateError {
    /// No bytes.
    #[error("the document is empty")]
    Empty,
    /// More than a value can hold.
    #[error("the document has {length} bytes, at most {LONGEST} can be wrapped")]
    TooLong {
        /// Bytes found.
        length: u64,
    },
    /// Its first bytes are not those of a PDF.
    #[error("the document is no PDF")]
    NoPdf,
    /// The picture cannot be wrapped as it is.
    #[error("the picture cannot be wrapped")]
    Jpeg(#[from] JpegError),
}

/// Wraps a PDF (PS3.3 A.45.1). `beginning` is its first bytes, at least a kilobyte of them if there are so many.
///
/// # Errors
/// See [`EncapsulateError`].
pub fn encapsulate_pdf(
    study: &StudyIdentity,
    new: &NewInstance,
    beginning: &[u8],
    length: u64,
) -> Result<WrappedDocument, EncapsulateError> {
    let length_of_value = checked_length(length)?;
    let looked_at = beginning.get(..beginning.len().min(1024)).unwrap_or_default();
    if !looked_at.windows(5).any(|window| window == b"%PDF-") {
        return Err(EncapsulateError::NoPdf);
    }
    let mut set = Writing::new(study, new, uids::ENCAPSULATED_PDF_STORAGE, "DOC");
    set.up_to_study();
    set.text(tags::INSTANCE_NUMBER, *b"IS", &new.instance_number.to_string());
    set.text(tags::BURNED_IN_ANNOTATION, *b"CS", "YES");
    let code = [("18748-4", "LN", "Diagnostic imaging study")];
    set.writer.sequence(tags::CONCEPT_NAME_CODE_SEQUENCE, &code, |item, (value, scheme, meaning)| {
        item.text(tags::CODE_VALUE, *b"SH", value.as_bytes());
        item.text(tags::CODING_SCHEME_DESIGNATOR, *b"SH", scheme.as_bytes());
        item.text(tags::CODE_MEANING, *b"LO", meaning.as_bytes());
    });
    set.text(tags::DOCUMENT_TITLE, *b"ST", &fitting(&new.title, LONGEST_ST));
    let mut head = set.writer.finish();
    head.extend(value_header(tags::ENCAPSULATED_DOCUMENT, *b"OB", length_of_value));

    let mut tail = DataSetWriter::new(Encoding::ExplicitLittle);
    tail.text(tags::MIME_TYPE_OF_ENCAPSULATED_DOCUMENT, *b"LO", b"application/pdf");
    if !new.made_from.is_empty() {
        tail.sequence(tags::SOURCE_INSTANCE_SEQUENCE, &new.made_from, |item, (class, instance)| {
            item.uid(tags::REFERENCED_SOP_CLASS_UID, class.as_str());
            item.uid(tags::REFERENCED_SOP_INSTANCE_UID, instance.as_str());
        });
    }
    let mut tail = tail.finish();
    // Its own length, without the byte that makes it even (CP 1768).
    tail.extend(value_header(tags::ENCAPSULATED_DOCUMENT_LENGTH, *b"UL", 4));
    tail.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    let padding = if length % 2 == 1 { vec![0] } else { Vec::new() };
    wrapped(
        uids::ENCAPSULATED_PDF_STORAGE,
        uids::EXPLICIT_VR_LITTLE_ENDIAN,
        new,
        head,
        [padding, tail].concat(),
        length,
    )
}

/// Wraps a JPEG as it is (PS3.3 A.8.1). `beginning` is its first bytes, up to where the picture data begin: 256 KiB are
/// enough unless a camera has put more than that before them.
///
/// # Errors
/// See [`EncapsulateError`]. A progressive JPEG is refused: DICOM has no syntax for it, and nothing is decoded here.
pub fn encapsulate_jpeg(
    study: &StudyIdentity,
    new: &NewInstance,
    beginning: &[u8],
    length: u64,
) -> Result<WrappedDocument, EncapsulateError> {
    let length_of_value = checked_length(length)?;
    let jpeg = Jpeg::read(beginning)?;
    let mut set = Writing::new(study, new, uids::SECONDARY_CAPTURE_IMAGE_STORAGE, "OT");
    set.image_type = Some("DERIVED\\SECONDARY");
    set.up_to_study();
    set.text(tags::INSTANCE_NUMBER, *b"IS", &new.instance_number.to_string());
    // Not known, which both may be.
    set.text(tags::PATIENT_ORIENTATION, *b"CS", "");
    set.text(tags::LATERALITY, *b"CS", "");
    set.writer.number(tags::SAMPLES_PER_PIXEL, jpeg.samples);
    set.text(tags::PHOTOMETRIC_INTERPRETATION, *b"CS", jpeg.photometric_interpretation());
    if jpeg.samples > 1 {
        set.writer.number(tags::PLANAR_CONFIGURATION, 0);
    }
    set.writer.number(tags::ROWS, jpeg.rows);
    set.writer.number(tags::COLUMNS, jpeg.columns);
    for (tag, bits) in [(tags::BITS_ALLOCATED, 8), (tags::BITS_STORED, 8), (tags::HIGH_BIT, 7)] {
        set.writer.number(tag, bits);
    }
    set.writer.number(tags::PIXEL_REPRESENTATION, 0);
    set.text(tags::LOSSY_IMAGE_COMPRESSION, *b"CS", "01");
    set.text(tags::LOSSY_IMAGE_COMPRESSION_RATIO, *b"DS", &jpeg.ratio(length));
    set.text(tags::LOSSY_IMAGE_COMPRESSION_METHOD, *b"CS", "ISO_10918_1");
    let mut head = set.writer.finish();
    head.extend(value_header(tags::PIXEL_DATA, *b"OB", u32::MAX));
    // An offset table without offsets, then the one fragment of the one frame.
    head.extend(item_header(tags_of_item::ITEM, 0));
    head.extend(item_header(tags_of_item::ITEM, length_of_value));
    let mut tail = if length % 2 == 1 { vec![0] } else { Vec::new() };
    tail.extend(item_header(tags_of_item::SEQUENCE_DELIMITER, 0));
    wrapped(uids::SECONDARY_CAPTURE_IMAGE_STORAGE, jpeg.transfer_syntax(), new, head, tail, length)
}

/// Items and their end (PS3.5 §7.5).
mod tags_of_item {
    use dicom_core::Tag;

    pub(super) const ITEM: Tag = Tag(0xfffe, 0xe000);
    pub(super) const SEQUENCE_DELIMITER: Tag = Tag(0xfffe, 0xe0dd);
}

/// The length of the value that holds a document: even.
fn checked_length(length: u64) -> Result<u32, EncapsulateError> {
    if length == 0 {
        return Err(EncapsulateError::Empty);
    }
    let padded = length.saturating_add(length % 2);
    if padded > LONGEST {
        return Err(EncapsulateError::TooLong { length });
    }
    u32::try_from(padded).map_err(|_| EncapsulateError::TooLong { length })
}

/// Header of a value with a length of four bytes, or of UL, in Explicit VR Little Endian.
fn value_header(tag: Tag, vr: [u8; 2], length: u32) -> Vec<u8> {
    let mut header = [tag.0.to_le_bytes(), tag.1.to_le_bytes(), vr].concat();
    if crate::walk::is_long(vr) {
        header.extend([0, 0]);
        header.extend(length.to_le_bytes());
    } else {
        header.extend(u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes());
    }
    header
}

fn item_header(tag: Tag, length: u32) -> Vec<u8> {
    let mut header = [tag.0.to_le_bytes(), tag.1.to_le_bytes()].concat();
    header.extend(length.to_le_bytes());
    header
}

fn wrapped(
    sop_class: &str,
    transfer_syntax: &str,
    new: &NewInstance,
    head: Vec<u8>,
    tail: Vec<u8>,
    length: u64,
) -> Result<WrappedDocument, EncapsulateError> {
    let around = u64::try_from(head.len() + tail.len()).map_err(|_| EncapsulateError::TooLong { length })?;
    // Both are constants of the standard.
    let (Ok(sop_class), Ok(transfer_syntax)) = (sop_class.parse(), transfer_syntax.parse()) else {
        return Err(EncapsulateError::Empty);
    };
    let sop_instance = new.sop_instance.clone();
    Ok(WrappedDocument { sop_class, sop_instance, transfer_syntax, head, tail, length: around + length })
}

/// A text of which so many characters fit. What is longer ends in dots; a backslash would part values.
fn fitting(text: &Confidential, most: usize) -> String {
    let clean: String = text
        .reveal()
        .chars()
        .filter(|letter| !letter.is_control())
        .map(|letter| if letter == '\\' { '/' } else { letter })
        .collect();
    let clean = clean.trim();
    if clean.chars().count() <= most {
        return clean.to_owned();
    }
    let kept: String = clean.chars().take(most - 1).collect();
    format!("{kept}…")
}

/// A data set of a study, up to the attributes that both kinds share.
struct Writing<'a> {
    writer: DataSetWriter,
    study: &'a StudyIdentity,
    new: &'a NewInstance,
    sop_class: &'static str,
    modality: &'static str,
    image_type: Option<&'static str>,
}

impl<'a> Writing<'a> {
    fn new(
        study: &'a StudyIdentity,
        new: &'a NewInstance,
        sop_class: &'static str,
        modality: &'static str,
    ) -> Self {
        let writer = DataSetWriter::new(Encoding::ExplicitLittle);
        Writing { writer, study, new, sop_class, modality, image_type: None }
    }

    fn text(&mut self, tag: Tag, vr: [u8; 2], value: &str) {
        self.writer.text(tag, vr, value.as_bytes());
    }

    fn hidden(&mut self, tag: Tag, vr: [u8; 2], value: &Option<Confidential>) {
        let value = value.as_ref().map_or("", |value| value.reveal());
        self.writer.text(tag, vr, value.as_bytes());
    }

    /// Whether everything that is written is ASCII.
    fn is_ascii(&self) -> bool {
        let of_study = &self.study.attributes;
        let patient = &of_study.patient;
        let texts = [
            &patient.name,
            &patient.id,
            &patient.id_issuer,
            &of_study.study_description,
            &of_study.accession_number,
            &of_study.institution,
        ];
        let title = fitting(&self.new.title, LONGEST_ST);
        title.is_ascii() && texts.into_iter().flatten().all(|text| text.reveal().is_ascii())
    }

    /// SOP Common, equipment, patient, study and series, in the order of their tags.
    fn up_to_study(&mut self) {
        let (study, new) = (self.study, self.new);
        let of_study = &study.attributes;
        let (date, time) =
            (new.made_at.strftime("%Y%m%d").to_string(), new.made_at.strftime("%H%M%S").to_string());
        if !self.is_ascii() {
            self.text(tags::SPECIFIC_CHARACTER_SET, *b"CS", "ISO_IR 192");
        }
        if let Some(image_type) = self.image_type {
            self.text(tags::IMAGE_TYPE, *b"CS", image_type);
        }
        self.writer.uid(tags::SOP_CLASS_UID, self.sop_class);
        self.writer.uid(tags::SOP_INSTANCE_UID, new.sop_instance.as_str());
        self.text(tags::STUDY_DATE, *b"DA", of_study.study_date.as_deref().unwrap_or_default());
        self.text(tags::CONTENT_DATE, *b"DA", &date);
        self.text(tags::ACQUISITION_DATE_TIME, *b"DT", "");
        self.text(tags::STUDY_TIME, *b"TM", of_study.study_time.as_deref().unwrap_or_default());
        self.text(tags::CONTENT_TIME, *b"TM", &time);
        self.hidden(tags::ACCESSION_NUMBER, *b"SH", &of_study.accession_number);
        self.text(tags::MODALITY, *b"CS", self.modality);
        self.text(tags::CONVERSION_TYPE, *b"CS", "WSD");
        self.text(tags::MANUFACTURER, *b"LO", "Beeldbox");
        if of_study.institution.is_some() {
            self.hidden(tags::INSTITUTION_NAME, *b"LO", &of_study.institution);
        }
        self.text(tags::REFERRING_PHYSICIAN_NAME, *b"PN", "");
        if of_study.study_description.is_some() {
            self.hidden(tags::STUDY_DESCRIPTION, *b"LO", &of_study.study_description);
        }
        self.text(tags::SERIES_DESCRIPTION, *b"LO", &fitting(&new.title, LONGEST_LO));
        self.text(tags::MANUFACTURER_MODEL_NAME, *b"LO", "Beeldbox");
        let patient = &of_study.patient;
        self.hidden(tags::PATIENT_NAME, *b"PN", &patient.name);
        self.hidden(tags::PATIENT_ID, *b"LO", &patient.id);
        if patient.id_issuer.is_some() {
            self.hidden(tags::ISSUER_OF_PATIENT_ID, *b"LO", &patient.id_issuer);
        }
        self.hidden(tags::PATIENT_BIRTH_DATE, *b"DA", &patient.birth_date);
        self.hidden(tags::PATIENT_SEX, *b"CS", &patient.sex);
        self.writer.uid(tags::STUDY_INSTANCE_UID, study.study.as_str());
        self.writer.uid(tags::SERIES_INSTANCE_UID, new.series.as_str());
        self.text(tags::STUDY_ID, *b"SH", "");
        self.text(tags::SERIES_NUMBER, *b"IS", &new.series_number.to_string());
    }
}

#[cfg(test)]
#[path = "encapsulate_tests.rs"]
mod tests;
