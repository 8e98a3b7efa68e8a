//! What is set: the report, and who and what it is about.

use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::structured_report::StructuredReport;
use jiff::civil::DateTime;

/// A report with everything that stands on its pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportDocument {
    /// The hospital that made the report.
    pub hospital: String,
    /// Its department; empty if not known.
    pub department: String,
    /// Who it is about.
    pub patient: DocumentPatient,
    /// Which study it is about.
    pub study: DocumentStudy,
    /// Who is responsible for it, as a person reads a name.
    pub author: Option<Confidential>,
    /// Who asked for it.
    pub requested_by: Option<Confidential>,
    /// When it got its status, `YYYYMMDD` or `YYYYMMDDHHMM` with seconds.
    pub reported_at: Option<String>,
    /// How far it is.
    pub status: DocumentStatus,
    /// What it was before it became pages.
    pub source: DocumentSource,
    /// What it says.
    pub report: StructuredReport,
    /// When the pages are made, in local time: stands in the file, and at the bottom of each page.
    pub made_at: DateTime,
}

/// A patient, as far as known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DocumentPatient {
    /// As a person reads it.
    pub name: Confidential,
    /// `YYYYMMDD`.
    pub birth_date: Option<Confidential>,
    /// `M`, `F`, `O` or what was written.
    pub sex: Option<Confidential>,
    /// Numbers, the most telling first.
    pub numbers: Vec<PatientNumber>,
}

/// A number of a patient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatientNumber {
    /// Whose number it is, such as `BSN` or the hospital; empty for the hospital of the report.
    pub issuer: String,
    /// The number.
    pub number: Confidential,
}

/// A study, as far as known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DocumentStudy {
    /// What was done.
    pub description: Option<Confidential>,
    /// `YYYYMMDD` or `YYYYMMDDHHMM` with seconds.
    pub at: Option<String>,
    /// Accession number.
    pub accession_number: Option<Confidential>,
}

/// How far a report is. Everything but `Final` stands on every page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DocumentStatus {
    /// Not verified.
    Preliminary,
    /// Verified.
    Final,
    /// Verified, and other than it was.
    Amended,
    /// Nobody says.
    Unknown,
}

/// What a report was before it became pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DocumentSource {
    /// A message of HL7 v2.
    Hl7,
    /// A structured report of DICOM.
    StructuredReport,
    /// A text that a person gave.
    Text,
}
