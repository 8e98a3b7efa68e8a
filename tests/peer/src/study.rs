//! Making a CT or MR study with a report: realistic headers, cheap pictures, the same bytes from the same seed.
//!
//! The pictures are a thorax-like phantom: body, lungs, spine, heart, some noise. The patient is fictitious; the citizen
//! service number is one of those set aside for tests.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use beeldbox_protocol::ident::{Digest, SopClassUid, SopInstanceUid, StudyInstanceUid, TransferSyntaxUid};

use crate::part10;
use crate::phantom::Phantom;

const CT_IMAGE_STORAGE: &str = "1.2.840.10008.5.1.4.1.1.2";
const MR_IMAGE_STORAGE: &str = "1.2.840.10008.5.1.4.1.1.4";
const COMPREHENSIVE_SR: &str = "1.2.840.10008.5.1.4.1.1.88.33";
const EXPLICIT_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";

/// What to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StudySpec {
    /// Number of slices.
    pub slices: u32,
    /// Rows and columns.
    pub size: u16,
    /// Everything random comes from here: same seed, same bytes.
    pub seed: u64,
    /// Patient's Name, `family^given^middle^prefix`.
    pub patient: String,
    /// Patient's Birth Date, `YYYYMMDD`.
    pub born: String,
    /// Patient's Sex.
    pub sex: String,
    /// Patient ID: the hospital's own number.
    pub number: String,
    /// The citizen service number, among the other patient IDs.
    pub bsn: String,
    /// What kind of slices.
    pub modality: Modality,
    /// Study Description.
    pub description: String,
    /// Study Date, `YYYYMMDD`.
    pub date: String,
    /// Study Time, `HHMMSS`.
    pub time: String,
}

/// What made the slices. The pictures are the same; only what is said about them differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Modality {
    /// Computed tomography.
    Ct,
    /// Magnetic resonance.
    Mr,
}

impl Modality {
    fn code(self) -> &'static str {
        match self {
            Modality::Ct => "CT",
            Modality::Mr => "MR",
        }
    }

    fn storage_class(self) -> &'static str {
        match self {
            Modality::Ct => CT_IMAGE_STORAGE,
            Modality::Mr => MR_IMAGE_STORAGE,
        }
    }
}

impl Default for StudySpec {
    fn default() -> Self {
        StudySpec {
            slices: 300,
            size: 512,
            seed: 1,
            patient: "Vries^Annemarie^^de".to_owned(),
            born: "19580317".to_owned(),
            sex: "F".to_owned(),
            number: "4310001".to_owned(),
            bsn: "999990019".to_owned(),
            modality: Modality::Ct,
            description: "CT thorax met contrast".to_owned(),
            date: "20261102".to_owned(),
            time: "093412".to_owned(),
        }
    }
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeStudy {
    /// Its Study Instance UID.
    pub study: StudyInstanceUid,
    /// Its files; the report is the last one.
    pub files: Vec<PathBuf>,
}

/// Writes the study into a folder as Part 10 files.
///
/// # Errors
/// The folder or a file cannot be written.
pub fn make_study(out: &Path, spec: &StudySpec) -> Result<MadeStudy> {
    std::fs::create_dir_all(out).with_context(|| format!("make {}", out.display()))?;
    let mut files = Vec::new();
    let scanner = Phantom::new(spec.size);
    for slice in 0..spec.slices {
        let instance = uid(spec.seed, &format!("slice {slice}"));
        let data_set = slice_of(spec, &scanner, slice, &instance);
        files.push(write_file(
            out,
            &format!("{}{:05}.dcm", spec.modality.code(), slice + 1),
            spec.modality.storage_class(),
            &instance,
            &data_set,
        )?);
    }
    let instance = uid(spec.seed, "report");
    let data_set = report(spec, &instance);
    files.push(write_file(out, "SR00001.dcm", COMPREHENSIVE_SR, &instance, &data_set)?);
    Ok(MadeStudy { study: uid(spec.seed, "study").parse()?, files })
}

fn write_file(out: &Path, name: &str, class: &str, instance: &str, data_set: &[u8]) -> Result<PathBuf> {
    let class: SopClassUid = class.parse()?;
    let instance: SopInstanceUid = instance.parse()?;
    let syntax: TransferSyntaxUid = EXPLICIT_LITTLE_ENDIAN.parse()?;
    let mut bytes = part10::file_head(&class, &instance, &syntax);
    bytes.extend_from_slice(data_set);
    let path = out.join(name);
    std::fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}

/// A UID under 2.25 (PS3.5 annex B.2) that depends on seed and name only.
fn uid(seed: u64, name: &str) -> String {
    let digest = Digest::of(format!("beeldbox peer {seed} {name}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_bytes()[..16]);
    // Version 8, variant RFC 9562: a UUID made by a rule of our own.
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    format!("2.25.{}", u128::from_be_bytes(bytes))
}

fn slice_of(spec: &StudySpec, scanner: &Phantom, slice: u32, instance: &str) -> Vec<u8> {
    let pixels = scanner.slice(slice, spec.slices, spec.seed);
    let mut set = DataSet::with_capacity(pixels.len() + 4096);
    let series = uid(spec.seed, "slices");
    let series_name = format!("{} 1.0", spec.description);
    general(&mut set, spec, spec.modality.storage_class(), instance, spec.modality.code(), &series_name);
    patient(&mut set, spec);
    if spec.modality == Modality::Ct {
        set.text(0x0018, 0x0015, "CS", "CHEST");
    }
    set.text(0x0018, 0x0050, "DS", "1.0");
    if spec.modality == Modality::Ct {
        set.text(0x0018, 0x0060, "DS", "120");
        set.text(0x0018, 0x1210, "SH", "B30f");
    }
    set.text(0x0018, 0x5100, "CS", "HFS");
    relation(&mut set, spec, &series, "3", slice + 1);
    let z = -f64::from(slice);
    set.text(0x0020, 0x0032, "DS", &format!("-180\\-180\\{z:.1}"));
    set.text(0x0020, 0x0037, "DS", "1\\0\\0\\0\\1\\0");
    set.text(0x0020, 0x0052, "UI", &uid(spec.seed, "frame of reference"));
    set.text(0x0020, 0x1040, "LO", "");
    set.number(0x0028, 0x0002, 1);
    set.text(0x0028, 0x0004, "CS", "MONOCHROME2");
    set.number(0x0028, 0x0010, spec.size);
    set.number(0x0028, 0x0011, spec.size);
    set.text(0x0028, 0x0030, "DS", "0.703125\\0.703125");
    set.number(0x0028, 0x0100, 16);
    set.number(0x0028, 0x0101, 12);
    set.number(0x0028, 0x0102, 11);
    set.number(0x0028, 0x0103, 0);
    set.text(0x0028, 0x1050, "DS", "40");
    set.text(0x0028, 0x1051, "DS", "400");
    set.text(0x0028, 0x1052, "DS", "-1024");
    set.text(0x0028, 0x1053, "DS", "1");
    set.text(0x0028, 0x1054, "LO", "HU");
    set.element(0x7FE0, 0x0010, "OW", &pixels);
    set.0
}

/// The report: a Comprehensive SR with text items (PS3.3 A.35.3).
fn report(spec: &StudySpec, instance: &str) -> Vec<u8> {
    let mut set = DataSet::with_capacity(8192);
    general(&mut set, spec, COMPREHENSIVE_SR, instance, "SR", "Verslag");
    set.element(0x0008, 0x1111, "SQ", &[]);
    patient(&mut set, spec);
    relation(&mut set, spec, &uid(spec.seed, "report series"), "99", 1);
    set.text(0x0040, 0xA040, "CS", "CONTAINER");
    set.sequence(0x0040, 0xA043, &[code("18748-4", "LN", "Diagnostic imaging report")]);
    set.text(0x0040, 0xA050, "CS", "SEPARATE");
    set.element(0x0040, 0xA372, "SQ", &[]);
    set.text(0x0040, 0xA491, "CS", "COMPLETE");
    set.text(0x0040, 0xA493, "CS", "UNVERIFIED");
    let items = REPORT.map(|(value, scheme, meaning, text)| {
        let mut item = DataSet::with_capacity(1024);
        item.text(0x0040, 0xA010, "CS", "CONTAINS");
        item.text(0x0040, 0xA040, "CS", "TEXT");
        item.sequence(0x0040, 0xA043, &[code(value, scheme, meaning)]);
        item.text(0x0040, 0xA160, "UT", text);
        item
    });
    set.sequence(0x0040, 0xA730, &items);
    set.0
}

/// Code value, scheme, meaning, prose.
const REPORT: [(&str, &str, &str, &str); 4] = [
    (
        "121060",
        "DCM",
        "History",
        "Klinische gegevens: sinds drie weken hoesten en gewichtsverlies. Röntgenfoto: verdichting rechterbovenkwab. \
         Vraagstelling: ruimte-innemend proces?",
    ),
    (
        "121064",
        "DCM",
        "Current Procedure Descriptions",
        "CT-thorax na intraveneus contrast, axiale reconstructies van 1 mm. Geen eerder onderzoek ter vergelijking.",
    ),
    (
        "121070",
        "DCM",
        "Findings",
        "Longparenchym: in het apicale segment van de rechterbovenkwab een solide nodus van 14 mm met onregelmatige \
         begrenzing. Overige longvelden zonder afwijkingen, geen pleuravocht. Mediastinum: geen pathologisch vergrote \
         lymfeklieren; grootste klier in station 4R heeft een korte as van 7 mm. Normale afmetingen van het hart. \
         Afgebeelde bovenbuik: bijnieren slank, geen focale leverafwijkingen. Skelet: degeneratieve veranderingen van \
         de thoracale wervelkolom, geen ossale metastasen.",
    ),
    (
        "121076",
        "DCM",
        "Conclusions",
        "Solide nodus van 14 mm in de rechterbovenkwab, verdacht voor een primaire maligniteit. Advies: bespreking in \
         het multidisciplinair overleg en aanvullend FDG-PET/CT. Geen aanwijzingen voor metastasen.",
    ),
];

fn code(value: &str, scheme: &str, meaning: &str) -> DataSet {
    let mut item = DataSet::with_capacity(128);
    item.text(0x0008, 0x0100, "SH", value);
    item.text(0x0008, 0x0102, "SH", scheme);
    item.text(0x0008, 0x0104, "LO", meaning);
    item
}

fn general(set: &mut DataSet, spec: &StudySpec, class: &str, instance: &str, modality: &str, series: &str) {
    set.text(0x0008, 0x0005, "CS", "ISO_IR 100");
    if modality != "SR" {
        set.text(0x0008, 0x0008, "CS", "ORIGINAL\\PRIMARY\\AXIAL");
    }
    set.text(0x0008, 0x0016, "UI", class);
    set.text(0x0008, 0x0018, "UI", instance);
    set.text(0x0008, 0x0020, "DA", &spec.date);
    set.text(0x0008, 0x0021, "DA", &spec.date);
    set.text(0x0008, 0x0023, "DA", &spec.date);
    set.text(0x0008, 0x0030, "TM", &spec.time);
    set.text(0x0008, 0x0031, "TM", &spec.time);
    set.text(0x0008, 0x0033, "TM", &spec.time);
    set.text(0x0008, 0x0050, "SH", &format!("N26{:06}", spec.seed % 1_000_000));
    set.text(0x0008, 0x0060, "CS", modality);
    set.text(0x0008, 0x0070, "LO", "Beeldbox");
    set.text(0x0008, 0x0080, "LO", "Ziekenhuis Noord");
    set.text(0x0008, 0x0090, "PN", "Bakker^J.^^dr.");
    set.text(0x0008, 0x1030, "LO", &spec.description);
    set.text(0x0008, 0x103E, "LO", series);
    set.text(0x0008, 0x1090, "LO", "Phantom");
}

fn patient(set: &mut DataSet, spec: &StudySpec) {
    set.text(0x0010, 0x0010, "PN", &spec.patient);
    set.text(0x0010, 0x0020, "LO", &spec.number);
    set.text(0x0010, 0x0021, "LO", "ZIEKENHUIS NOORD");
    set.text(0x0010, 0x0030, "DA", &spec.born);
    set.text(0x0010, 0x0040, "CS", &spec.sex);
    let mut national = DataSet::with_capacity(128);
    national.text(0x0010, 0x0020, "LO", &spec.bsn);
    national.text(0x0010, 0x0021, "LO", "NLMINBIZA");
    national.text(0x0010, 0x0022, "CS", "TEXT");
    set.sequence(0x0010, 0x1002, &[national]);
}

fn relation(set: &mut DataSet, spec: &StudySpec, series: &str, series_number: &str, number: u32) {
    set.text(0x0020, 0x000D, "UI", &uid(spec.seed, "study"));
    set.text(0x0020, 0x000E, "UI", series);
    set.text(0x0020, 0x0010, "SH", &format!("{}", spec.seed % 100_000));
    set.text(0x0020, 0x0011, "IS", series_number);
    set.text(0x0020, 0x0013, "IS", &number.to_string());
}

/// A data set in Explicit VR Little Endian, written element by element in ascending order.
struct DataSet(Vec<u8>);

impl DataSet {
    fn with_capacity(bytes: usize) -> Self {
        DataSet(Vec::with_capacity(bytes))
    }

    /// Text in ISO 8859-1, as ISO_IR 100 says.
    fn text(&mut self, group: u16, element: u16, vr: &str, value: &str) {
        let bytes: Vec<u8> = value.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect();
        self.element(group, element, vr, &bytes);
    }

    fn number(&mut self, group: u16, element: u16, value: u16) {
        self.element(group, element, "US", &value.to_le_bytes());
    }

    fn sequence(&mut self, group: u16, element: u16, items: &[DataSet]) {
        let mut content = Vec::new();
        for DataSet(item) in items {
            content.extend_from_slice(&[0xFE, 0xFF, 0x00, 0xE0]);
            content.extend_from_slice(&u32::try_from(item.len()).unwrap_or(0).to_le_bytes());
            content.extend_from_slice(item);
        }
        self.element(group, element, "SQ", &content);
    }

    fn element(&mut self, group: u16, element: u16, vr: &str, value: &[u8]) {
        let padded = value.len() + value.len() % 2;
        self.0.extend_from_slice(&group.to_le_bytes());
        self.0.extend_from_slice(&element.to_le_bytes());
        self.0.extend_from_slice(vr.as_bytes());
        if matches!(vr, "OW" | "SQ" | "UT") {
            self.0.extend_from_slice(&[0, 0]);
            self.0.extend_from_slice(&u32::try_from(padded).unwrap_or(0).to_le_bytes());
        } else {
            self.0.extend_from_slice(&u16::try_from(padded).unwrap_or(0).to_le_bytes());
        }
        self.0.extend_from_slice(value);
        if padded > value.len() {
            self.0.push(if vr == "UI" { 0 } else { b' ' });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_bytes_and_another_seed_another_study() {
        let folder = tempfile::tempdir().unwrap();
        let spec = StudySpec { slices: 2, size: 32, ..StudySpec::default() };
        let first = make_study(&folder.path().join("a"), &spec).unwrap();
        let second = make_study(&folder.path().join("b"), &spec).unwrap();
        assert_eq!(first.files.len(), 3);
        for (a, b) in first.files.iter().zip(&second.files) {
            assert_eq!(std::fs::read(a).unwrap(), std::fs::read(b).unwrap());
        }
        let other = make_study(&folder.path().join("c"), &StudySpec { seed: 2, ..spec }).unwrap();
        assert_ne!(first.study, other.study);
    }
}
