//! What ORU^R01 says, as data: who, which order, what was found. The same types are read and written.
//!
//! Whatever may say something about a patient is [`Confidential`] and does not print.

use beeldbox_protocol::clinical::{Confidential, PatientIdentifier};
use beeldbox_protocol::ident::StudyInstanceUid;

use crate::document::Document;
use crate::fault::ContentError;
use crate::person::PersonName;
use crate::remark::Remark;
use crate::status::{self, ObservationStatus, ReportStatus};
use crate::time::PointInTime;

/// A whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultMessage {
    /// From whom, to whom, when.
    pub header: Header,
    /// At least one; more if the sender reports on several patients at once.
    pub results: Vec<PatientResult>,
    /// What was odd. Writing leaves it out.
    pub remarks: Vec<Remark>,
}

/// MSH.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    /// MSH-3 and MSH-4.
    pub sender: Party,
    /// MSH-5 and MSH-6.
    pub receiver: Party,
    /// MSH-7.
    pub at: Option<PointInTime>,
    /// MSH-10.
    pub control_id: String,
    /// MSH-11: `P` production, `T` training, `D` debugging; empty if not said.
    pub processing: String,
    /// MSH-12, such as `2.5.1`.
    pub version: String,
}

impl Header {
    /// Whether MSH-11 lets patients be taken from it. What says nothing is from production: old systems leave it out.
    ///
    /// # Errors
    /// [`ContentError::NotProduction`] for training and debugging.
    pub fn require_production(&self) -> Result<(), ContentError> {
        match self.processing.as_str() {
            "" | "P" => Ok(()),
            _ => Err(ContentError::NotProduction),
        }
    }
}

/// One end: an application and the facility that runs it. Namespaces, the first components.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Party {
    /// MSH-3.1 or MSH-5.1.
    pub application: String,
    /// MSH-4.1 or MSH-6.1.
    pub facility: String,
}

/// One patient, and what is reported on him or her.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatientResult {
    /// PID.
    pub patient: ReportPatient,
    /// At least one.
    pub orders: Vec<ReportedOrder>,
}

/// PID.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReportPatient {
    /// PID-3, PID-2 and PID-4, in this order: numbers with who gave them out.
    pub identifiers: Vec<PatientIdentifier>,
    /// PID-5: legal names, names at birth.
    pub names: Vec<PersonName>,
    /// PID-7.
    pub birth_date: Option<PointInTime>,
    /// PID-8, as it stands: `M`, `F`, `O`, `U` and others; empty if not said.
    pub sex: Confidential,
}

/// Which field a number of an order stood in. The order is the one in which they are to be believed as DICOM's Accession
/// Number: what says that it is one, where IHE puts it, what usually is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NumberPlace {
    /// IPC-1, Accession Identifier.
    AccessionIdentifier,
    /// OBR-18, where IHE Radiology puts it.
    PlacerField,
    /// OBR-3 or ORC-3, Filler Order Number.
    Filler,
    /// OBR-2 or ORC-2, Placer Order Number.
    Placer,
}

/// A number of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderNumber {
    /// Where it stood.
    pub place: NumberPlace,
    /// The number (EI.1).
    pub number: Confidential,
    /// Who gave it out (EI.2); empty if not said.
    pub authority: Confidential,
}

/// A code with its text: CE, CWE.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Coded {
    /// Identifier.
    pub code: Confidential,
    /// Text.
    pub text: Confidential,
    /// Coding system, such as `LN`.
    pub system: String,
}

impl Coded {
    /// The text, or else the code.
    pub fn label(&self) -> &Confidential {
        if self.text.is_empty() { &self.code } else { &self.text }
    }
}

/// ORC, OBR and what belongs to them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReportedOrder {
    /// Its numbers, the most believable as accession number first. None twice.
    pub numbers: Vec<OrderNumber>,
    /// Study Instance UID: ZDS-1, IPC-3, or an OBX that says it is one.
    pub study: Option<StudyInstanceUid>,
    /// OBR-4: what was done.
    pub service: Coded,
    /// OBR-7: when.
    pub performed_at: Option<PointInTime>,
    /// OBR-22: when the report got its status.
    pub reported_at: Option<PointInTime>,
    /// OBR-25, if it is one that we know.
    pub order_status: Option<ReportStatus>,
    /// OBR-32: who is responsible for the report.
    pub author: Option<PersonName>,
    /// OBR-16: who asked for it.
    pub ordered_by: Option<PersonName>,
    /// NTE behind OBR.
    pub notes: Vec<Confidential>,
    /// OBX.
    pub observations: Vec<Observation>,
}

impl ReportedOrder {
    /// How far the report is. Unknown and unstated is taken for preliminary: nobody has said that it is final.
    pub fn status(&self) -> ReportStatus {
        let stated = self.order_status.unwrap_or(ReportStatus::Preliminary);
        status::of_whole(stated, self.observations.iter().map(|one| one.status))
    }

    /// The number most likely to be DICOM's Accession Number.
    pub fn accession_number(&self) -> Option<&OrderNumber> {
        self.numbers.first()
    }

    /// The text of the report, by section, in order: lines of observations of the same name that follow each other are one
    /// section. Documents, values and what was withdrawn are left out.
    pub fn sections(&self) -> Vec<(&Observation, String)> {
        let mut sections: Vec<(&Observation, String)> = Vec::new();
        let nothing = Confidential::default();
        for observation in &self.observations {
            let text = match &observation.content {
                Content::Text(text) => text,
                // An empty line, if it is inside of a section.
                Content::Empty
                    if sections
                        .last()
                        .is_some_and(|(first, _)| first.identifier == observation.identifier) =>
                {
                    &nothing
                }
                Content::Empty
                | Content::Coded(_)
                | Content::Value(..)
                | Content::Document(_)
                | Content::Reference(_) => continue,
            };
            if observation.status == ObservationStatus::Withdrawn {
                continue;
            }
            match sections.last_mut() {
                Some((first, so_far)) if first.identifier == observation.identifier => {
                    so_far.push('\n');
                    so_far.push_str(text.reveal());
                }
                _ => sections.push((observation, text.reveal().to_owned())),
            }
        }
        sections
    }

    /// The documents, in order, without what was withdrawn.
    pub fn documents(&self) -> impl Iterator<Item = &Document> {
        let kept = self.observations.iter().filter(|one| one.status != ObservationStatus::Withdrawn);
        kept.filter_map(|observation| match &observation.content {
            Content::Document(document) => Some(document),
            Content::Text(_)
            | Content::Coded(_)
            | Content::Value(..)
            | Content::Reference(_)
            | Content::Empty => None,
        })
    }
}

/// OBX, with the NTE behind it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observation {
    /// OBX-3.
    pub identifier: Coded,
    /// OBX-4; empty if not said.
    pub sub_id: String,
    /// OBX-5.
    pub content: Content,
    /// OBX-6, the text or else the code; empty if not said.
    pub unit: Confidential,
    /// OBX-7; empty if not said.
    pub range: Confidential,
    /// OBX-8, the first one; empty if not said.
    pub flag: Confidential,
    /// OBX-11.
    pub status: ObservationStatus,
    /// OBX-14.
    pub at: Option<PointInTime>,
    /// NTE behind it.
    pub notes: Vec<Confidential>,
}

/// What part of a report a text is, by the suffixes of OBX-3 that radiology systems use (`71020&GDT`, §7.2.4) and by
/// LOINC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SectionRole {
    /// The findings (`GDT`, LOINC 59776-5, 18782-3).
    Body,
    /// The conclusion (`IMP`, LOINC 19005-8).
    Impression,
    /// What was added later (`ADT`, LOINC 55107-7).
    Addendum,
    /// Something else, or nothing is said.
    Other,
}

impl Observation {
    /// What part of the report it is.
    pub fn role(&self) -> SectionRole {
        let code = self.identifier.code.reveal();
        let suffix = code.rsplit_once('&').map_or("", |(_, suffix)| suffix);
        match (suffix, code) {
            ("GDT", _) | (_, "59776-5" | "18782-3") => SectionRole::Body,
            ("IMP", _) | (_, "19005-8") => SectionRole::Impression,
            ("ADT", _) | (_, "55107-7") => SectionRole::Addendum,
            _ => SectionRole::Other,
        }
    }
}

/// OBX-5.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Content {
    /// Lines parted by `\n` (TX, FT, ST; SN as a person reads it).
    Text(Confidential),
    /// A code (CE, CWE and the like).
    Coded(Coded),
    /// A number, a date or a time (NM, DT, TM, TS).
    Value(ValueKind, Confidential),
    /// A document (ED).
    Document(Document),
    /// Where something is. It is shown, never followed (RP).
    Reference(Reference),
    /// Nothing: the status tells why.
    #[default]
    Empty,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueKind {
    /// NM.
    Number,
    /// DT.
    Date,
    /// TM.
    Time,
    /// TS or DTM.
    DateTime,
}

impl ValueKind {
    /// OBX-2.
    pub(crate) fn code(self) -> &'static str {
        match self {
            ValueKind::Number => "NM",
            ValueKind::Date => "DT",
            ValueKind::Time => "TM",
            ValueKind::DateTime => "TS",
        }
    }
}

/// RP: a pointer to what another system holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reference {
    /// The pointer, such as an address.
    pub pointer: Confidential,
    /// Who understands it.
    pub application: String,
    /// What is there.
    pub kind: String,
}
