//! What shall be put in place of what: the local patient and order, and who answers for it.
//!
//! Plain data, checked once against the value representations, so that the rewriter never meets a value that it cannot
//! write. No error repeats a value.

use beeldbox_protocol::clinical::Confidential;
use dicom_core::Tag;
use dicom_dictionary_std::tags;
use jiff::Timestamp;

/// Longest LO, and longest component group of a PN, in characters (PS3.5 Table 6.2-1).
const LONGEST_LO: usize = 64;
/// Longest SH.
const LONGEST_SH: usize = 16;
/// A namespace is UT and could be long; nobody's is.
const LONGEST_NAMESPACE: usize = 64;

/// The patient as the receiving hospital knows him or her. What is absent stays in the images as the sender wrote it,
/// but for the issuer: without one of ours, that of the sender is taken out, because it did not issue this Patient ID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPatient {
    /// Patient ID (0010,0020).
    pub id: Confidential,
    /// Issuer of Patient ID (0010,0021) and its Qualifiers Sequence (0010,0024).
    pub issuer: Option<Issuer>,
    /// Patient's Name (0010,0010), in DICOM's form.
    pub name: Option<Confidential>,
    /// Patient's Birth Date (0010,0030), `YYYYMMDD`, or empty: unknown.
    pub birth_date: Option<Confidential>,
    /// Patient's Sex (0010,0040): `M`, `F`, `O`, or empty: unknown.
    pub sex: Option<Confidential>,
}

/// The order under which the study is imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalOrder {
    /// Accession Number (0008,0050).
    pub accession_number: Confidential,
    /// Issuer of Accession Number Sequence (0008,0051). Without one of ours, that of the sender is taken out.
    pub issuer: Option<Issuer>,
}

/// Who issues an identifier (PS3.3 §10.14, and Table 10-18 for the patient).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// Its name within the hospital.
    pub local_namespace: Option<String>,
    /// Its name in the world.
    pub universal: Option<UniversalEntity>,
}

/// Universal Entity ID (0040,0032) and its type (0040,0033).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UniversalEntity {
    /// The identifier.
    pub id: String,
    /// What kind of identifier.
    pub kind: UniversalEntityKind,
}

/// Defined terms of Universal Entity ID Type (PS3.3 Table 10-17).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UniversalEntityKind {
    /// An internet name.
    Dns,
    /// An EUI-64.
    Eui64,
    /// An object identifier.
    Iso,
    /// A URI.
    Uri,
    /// A UUID.
    Uuid,
    /// An X.400 address.
    X400,
    /// An X.500 name.
    X500,
}

/// Who coerces, when, and whose values are replaced. The reason is always `COERCE` (PS3.3 C.12.1.1.9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoercionRecord {
    /// Modifying System (0400,0563): the name of this box.
    pub system: String,
    /// Source of Previous Values (0400,0564): the hospital that sent them; empty if not known.
    pub source: String,
    /// Attribute Modification DateTime (0400,0562) and Instance Coercion DateTime (0008,0015).
    pub at: Timestamp,
}

/// A checked plan. Without patient and order it is empty, and then nothing at all is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coercions {
    patient: Option<LocalPatient>,
    order: Option<LocalOrder>,
    record: CoercionRecord,
}

/// Why values cannot stand in a data set. The attribute is named, the value is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CoercionPlanError {
    /// Something that must be there is empty.
    #[error("{attribute} is empty")]
    Empty {
        /// Which.
        attribute: &'static str,
    },
    /// More characters than the value representation holds.
    #[error("{attribute} is longer than {longest} characters")]
    TooLong {
        /// Which.
        attribute: &'static str,
        /// The limit.
        longest: usize,
    },
    /// A backslash, a control character, or too many components of a name.
    #[error("{attribute} has a character that cannot stand there")]
    ForbiddenCharacter {
        /// Which.
        attribute: &'static str,
    },
    /// A birth date that is no `YYYYMMDD`, or a sex that is none of the terms.
    #[error("{attribute} has not the form that DICOM asks for")]
    WrongForm {
        /// Which.
        attribute: &'static str,
    },
}

impl Coercions {
    /// Checks the values. Whoever makes the plan leaves out what is as it should be already: everything in a plan is
    /// written and recorded, even if it was the same before.
    ///
    /// # Errors
    /// The first value that could not stand in a data set.
    pub fn new(
        patient: Option<LocalPatient>,
        order: Option<LocalOrder>,
        record: CoercionRecord,
    ) -> Result<Self, CoercionPlanError> {
        if let Some(patient) = &patient {
            check_patient(patient)?;
        }
        if let Some(order) = &order {
            not_empty("Accession Number", order.accession_number.reveal())?;
            words("Accession Number", order.accession_number.reveal(), LONGEST_SH)?;
            check_issuer("Issuer of Accession Number", order.issuer.as_ref())?;
        }
        not_empty("Modifying System", &record.system)?;
        words("Modifying System", &record.system, LONGEST_LO)?;
        words("Source of Previous Values", &record.source, LONGEST_LO)?;
        Ok(Coercions { patient, order, record })
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.patient.is_none() && self.order.is_none()
    }

    pub(super) fn record(&self) -> &CoercionRecord {
        &self.record
    }

    /// The attributes to set, in order of tags, without those that every coercion adds.
    pub(super) fn changes(&self) -> Vec<(Tag, Change)> {
        let mut changes = Vec::new();
        if let Some(order) = &self.order {
            changes.push((tags::ACCESSION_NUMBER, Change::text(*b"SH", &order.accession_number)));
            let issuer = order.issuer.as_ref().filter(|issuer| !issuer.is_empty());
            let issuer = issuer.map_or(Change::Remove, |issuer| Change::Issuer(issuer.clone()));
            changes.push((tags::ISSUER_OF_ACCESSION_NUMBER_SEQUENCE, issuer));
        }
        if let Some(patient) = &self.patient {
            let optional =
                |vr, value: &Option<Confidential>| value.as_ref().map(|value| Change::text(vr, value));
            let namespace = patient.issuer.as_ref().and_then(|issuer| issuer.local_namespace.clone());
            let namespace = namespace.filter(|namespace| !namespace.is_empty());
            let universal = patient.issuer.as_ref().and_then(|issuer| issuer.universal.clone());
            let qualifiers = universal.map_or(Change::Remove, |universal| {
                Change::Issuer(Issuer { local_namespace: None, universal: Some(universal) })
            });
            let issuer = namespace
                .map_or(Change::Remove, |value| Change::Text { vr: *b"LO", value: Confidential::new(value) });
            let wanted = [
                (tags::PATIENT_NAME, optional(*b"PN", &patient.name)),
                (tags::PATIENT_ID, Some(Change::text(*b"LO", &patient.id))),
                (tags::ISSUER_OF_PATIENT_ID, Some(issuer)),
                (tags::ISSUER_OF_PATIENT_ID_QUALIFIERS_SEQUENCE, Some(qualifiers)),
                (tags::PATIENT_BIRTH_DATE, optional(*b"DA", &patient.birth_date)),
                (tags::PATIENT_SEX, optional(*b"CS", &patient.sex)),
            ];
            changes.extend(wanted.into_iter().filter_map(|(tag, change)| Some((tag, change?))));
        }
        changes
    }
}

/// What becomes of one attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// It has this value.
    Text { vr: [u8; 2], value: Confidential },
    /// It is a sequence with this item.
    Issuer(Issuer),
    /// It is not there.
    Remove,
}

impl Change {
    fn text(vr: [u8; 2], value: &Confidential) -> Self {
        Change::Text { vr, value: value.clone() }
    }

    /// The texts that must fit the character set.
    pub(super) fn texts(&self) -> Vec<&str> {
        match self {
            Change::Text { value, .. } => vec![value.reveal()],
            Change::Issuer(issuer) => {
                let universal = issuer.universal.as_ref().map(|universal| universal.id.as_str());
                issuer.local_namespace.as_deref().into_iter().chain(universal).collect()
            }
            Change::Remove => Vec::new(),
        }
    }
}

impl Issuer {
    fn is_empty(&self) -> bool {
        self.local_namespace.as_ref().is_none_or(String::is_empty) && self.universal.is_none()
    }
}

impl UniversalEntityKind {
    /// As it is written.
    pub fn term(self) -> &'static str {
        match self {
            UniversalEntityKind::Dns => "DNS",
            UniversalEntityKind::Eui64 => "EUI64",
            UniversalEntityKind::Iso => "ISO",
            UniversalEntityKind::Uri => "URI",
            UniversalEntityKind::Uuid => "UUID",
            UniversalEntityKind::X400 => "X400",
            UniversalEntityKind::X500 => "X500",
        }
    }
}

fn check_patient(patient: &LocalPatient) -> Result<(), CoercionPlanError> {
    not_empty("Patient ID", patient.id.reveal())?;
    words("Patient ID", patient.id.reveal(), LONGEST_LO)?;
    check_issuer("Issuer of Patient ID", patient.issuer.as_ref())?;
    if let Some(name) = &patient.name {
        check_name(name.reveal())?;
    }
    let date = patient.birth_date.as_ref().map_or("", Confidential::reveal);
    if !date.is_empty() && (date.len() != 8 || date.parse::<jiff::civil::Date>().is_err()) {
        return Err(CoercionPlanError::WrongForm { attribute: "Patient's Birth Date" });
    }
    match patient.sex.as_ref().map_or("", Confidential::reveal) {
        "" | "M" | "F" | "O" => Ok(()),
        _ => Err(CoercionPlanError::WrongForm { attribute: "Patient's Sex" }),
    }
}

/// At most three component groups of five components (PS3.5 §6.2.1).
fn check_name(name: &str) -> Result<(), CoercionPlanError> {
    let attribute = "Patient's Name";
    let groups: Vec<&str> = name.split('=').collect();
    if groups.len() > 3 || groups.iter().any(|group| group.split('^').count() > 5) {
        return Err(CoercionPlanError::ForbiddenCharacter { attribute });
    }
    groups.iter().try_for_each(|group| words(attribute, group, LONGEST_LO))
}

fn check_issuer(attribute: &'static str, issuer: Option<&Issuer>) -> Result<(), CoercionPlanError> {
    let Some(issuer) = issuer else { return Ok(()) };
    words(attribute, issuer.local_namespace.as_deref().unwrap_or_default(), LONGEST_NAMESPACE)?;
    let Some(universal) = &issuer.universal else { return Ok(()) };
    not_empty(attribute, &universal.id)?;
    words(attribute, &universal.id, 1024)
}

fn not_empty(attribute: &'static str, value: &str) -> Result<(), CoercionPlanError> {
    if value.trim().is_empty() { Err(CoercionPlanError::Empty { attribute }) } else { Ok(()) }
}

fn words(attribute: &'static str, value: &str, longest: usize) -> Result<(), CoercionPlanError> {
    if value.chars().count() > longest {
        return Err(CoercionPlanError::TooLong { attribute, longest });
    }
    if value.chars().any(|letter| letter == '\\' || letter.is_control()) {
        return Err(CoercionPlanError::ForbiddenCharacter { attribute });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::writing::{patient, record};
    use super::*;

    fn refused(change: impl Fn(&mut LocalPatient)) -> Option<CoercionPlanError> {
        let mut patient = patient("Jansen^Petra");
        change(&mut patient);
        Coercions::new(Some(patient), None, record()).err()
    }

    #[test]
    fn a_value_that_cannot_stand_there_is_named_and_not_repeated() {
        let text = |value: &str| Some(Confidential::new(value));
        let universal =
            |id: &str| Some(UniversalEntity { id: id.to_owned(), kind: UniversalEntityKind::Iso });
        assert_eq!(refused(|_| {}), None);
        assert_eq!(refused(|patient| patient.birth_date = text("")), None);
        assert_eq!(refused(|patient| patient.name = text(&"é".repeat(64))), None);
        assert_eq!(refused(|patient| patient.name = text("A^B^C^D^E=山^B=C")), None);
        let name = "Patient's Name";
        let birth = CoercionPlanError::WrongForm { attribute: "Patient's Birth Date" };
        let sex = CoercionPlanError::WrongForm { attribute: "Patient's Sex" };
        let forbidden = |attribute| CoercionPlanError::ForbiddenCharacter { attribute };
        let empty = |attribute| CoercionPlanError::Empty { attribute };
        let issuer = |universal| Some(Issuer { local_namespace: Some("Z".to_owned()), universal });
        for (expected, found) in [
            (empty("Patient ID"), refused(|patient| patient.id = Confidential::new(" "))),
            (forbidden("Patient ID"), refused(|patient| patient.id = Confidential::new("a\\b"))),
            (
                CoercionPlanError::TooLong { attribute: "Patient ID", longest: 64 },
                refused(|patient| patient.id = Confidential::new("1".repeat(65))),
            ),
            (
                CoercionPlanError::TooLong { attribute: name, longest: 64 },
                refused(|patient| patient.name = text(&"é".repeat(65))),
            ),
            (forbidden(name), refused(|patient| patient.name = text("a\nb"))),
            (forbidden(name), refused(|patient| patient.name = text("a\u{1b}$Bb"))),
            (forbidden(name), refused(|patient| patient.name = text("A^B^C^D^E^F"))),
            (forbidden(name), refused(|patient| patient.name = text("A=B=C=D"))),
            (birth, refused(|patient| patient.birth_date = text("1970-01-02"))),
            (birth, refused(|patient| patient.birth_date = text("19700230"))),
            (birth, refused(|patient| patient.birth_date = text("1970010"))),
            (sex, refused(|patient| patient.sex = text("V"))),
            (empty("Issuer of Patient ID"), refused(|patient| patient.issuer = issuer(universal("")))),
            (forbidden("Issuer of Patient ID"), refused(|patient| patient.issuer = issuer(universal("\\")))),
        ] {
            assert_eq!(found, Some(expected));
        }
    }

    #[test]
    fn order_and_record_are_checked_too() {
        let order = |number: &str| LocalOrder { accession_number: Confidential::new(number), issuer: None };
        let new = |order, record| Coercions::new(None, Some(order), record).err();
        assert_eq!(new(order("1234567890123456"), record()), None);
        let attribute = "Accession Number";
        assert_eq!(new(order(""), record()), Some(CoercionPlanError::Empty { attribute }));
        let long = new(order("12345678901234567"), record());
        assert_eq!(long, Some(CoercionPlanError::TooLong { attribute, longest: 16 }));
        let nobody = CoercionRecord { system: String::new(), ..record() };
        let attribute = "Modifying System";
        assert_eq!(new(order("1"), nobody), Some(CoercionPlanError::Empty { attribute }));
        let source = CoercionRecord { source: "x\\y".to_owned(), ..record() };
        let attribute = "Source of Previous Values";
        assert_eq!(new(order("1"), source), Some(CoercionPlanError::ForbiddenCharacter { attribute }));
    }

    #[test]
    fn a_plan_does_not_print_the_patient() {
        let plan = Coercions::new(Some(patient("Jansen^Petra")), None, record()).unwrap();
        let printed = format!("{plan:?}");
        assert!(!["Jansen", "Z-17", "1970"].iter().any(|value| printed.contains(value)), "{printed}");
    }
}
