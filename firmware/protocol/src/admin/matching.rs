//! Whose images are these? The patients of this hospital who may be meant, compared field by field, and what a person says.
//!
//! The rule behind the verdicts is `MATCHING.md`. Codes are stable; the English beside them is for the command line, the
//! pages have their own words.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clinical::{Confidential, Patient};
use crate::ident::Digest;

/// Whom to look for, beside the patient that came along. Everything absent is not looked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PatientSearch {
    /// A patient number of this hospital.
    pub patient_id: Option<Confidential>,
    /// The beginning of a family name.
    pub name: Option<Confidential>,
    /// A birth date, `YYYYMMDD`.
    pub birth_date: Option<Confidential>,
}

/// The candidates for one transfer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CandidatePage {
    /// Whom the images are of, as they say.
    pub incoming: Patient,
    /// What each system of this hospital said, in the order in which they are asked.
    pub systems: Vec<SystemAnswer>,
    /// The candidates, in the order in which they were found.
    pub candidates: Vec<CandidateLine>,
    /// What somebody has proposed and a second person must agree to.
    pub proposal: Option<ProposalLine>,
}

/// A system of this hospital that knows patients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PatientSystem {
    /// Scheduled imports on the modality worklist.
    Worklist,
    /// The PACS.
    Pacs,
    /// The patient index (HL7 PDQ).
    PatientIndex,
}

/// What one system said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemAnswer {
    /// Which.
    pub system: PatientSystem,
    /// How it went.
    pub outcome: SystemOutcome,
}

/// How asking one system went. *Not asked* never looks like *not there*.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SystemOutcome {
    /// It is not set up.
    NotAsked,
    /// It did not answer.
    DidNotAnswer,
    /// It knows nobody.
    KnowsNobody,
    /// It named some.
    Named {
        /// How many.
        found: u32,
        /// Whether there are more than it was heard to name, or more than are shown.
        is_more: bool,
    },
}

/// One candidate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CandidateLine {
    /// Names exactly what is shown here. A decision repeats it, and is refused if something has changed since.
    pub seen: Digest,
    /// Who it is.
    pub patient: Patient,
    /// Who knows this patient.
    pub known_to: Vec<PatientSystem>,
    /// What the comparison says.
    pub verdict: VerdictCode,
    /// Why it is not ready.
    pub reasons: Vec<ReasonLine>,
    /// Every field side by side.
    pub fields: Vec<FieldLine>,
    /// Imports scheduled for this patient.
    pub orders: Vec<OrderLine>,
}

/// Ready, check or stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerdictCode {
    /// Nothing speaks against it.
    Ready,
    /// A person must look at the reasons.
    Check,
    /// Something contradicts: two people, or nobody.
    Stop,
}

/// Who may be meant by a transfer, in one word for a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MatchCode {
    /// One of this hospital's patients is ready.
    Ready,
    /// Somebody must be looked at.
    Check,
    /// Everybody who may be meant contradicts.
    Stop,
    /// No system that was asked knows anybody.
    NotFound,
    /// A system that was asked did not answer.
    NotHeard,
    /// No system can be asked.
    NotAsked,
}

/// Why a candidate is not ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonLine {
    /// Stable code.
    pub code: String,
    /// In English.
    pub text: String,
}

/// A line of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FieldCode {
    /// Family name with prefix.
    FamilyName,
    /// Given names or initials.
    GivenNames,
    /// Birth date.
    BirthDate,
    /// Sex.
    Sex,
    /// Citizen service number.
    Bsn,
    /// The hospital's number.
    PatientNumber,
}

/// How one field agrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MarkCode {
    /// Equal.
    Equal,
    /// Not equal, and there is a usual reason for it.
    Similar,
    /// At least one side does not say.
    Missing,
    /// Different.
    Differs,
    /// Says nothing about the person.
    NotComparable,
}

/// One field of both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldLine {
    /// Which.
    pub field: FieldCode,
    /// As it came along.
    pub incoming: Option<Confidential>,
    /// As this hospital has it.
    pub local: Option<Confidential>,
    /// How they agree.
    pub mark: MarkCode,
}

/// An import that is scheduled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLine {
    /// Accession number of the order.
    pub accession_number: Confidential,
    /// What is to be imported.
    pub description: Option<Confidential>,
    /// For when, `YYYYMMDD`.
    pub scheduled_on: Option<String>,
}

/// What somebody has proposed and a second person must agree to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProposalLine {
    /// Names exactly this proposal.
    pub seen: Digest,
    /// Under which patient.
    pub patient: Patient,
    /// Under which accession number.
    pub accession_number: Option<Confidential>,
    /// Who proposed it.
    pub by: String,
    /// Why.
    pub reason: Confidential,
    /// What contradicts.
    pub contradictions: Vec<ReasonLine>,
    /// When.
    pub at: Timestamp,
}

/// Under which patient of this hospital a transfer is filed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LocalChoice {
    /// The patient number of this hospital.
    pub patient_id: Confidential,
    /// [`CandidateLine::seen`] of what the person saw; without it, the candidate as it is now.
    #[serde(default)]
    pub seen: Option<Digest>,
    /// Who this is, typed from another system, if none of the systems that can be asked knows this number.
    #[serde(default)]
    pub typed: Option<Patient>,
    /// Under which accession number; absent: that of the sender stays.
    #[serde(default)]
    pub accession_number: Option<Confidential>,
    /// Codes of the reasons that the person has looked at.
    #[serde(default)]
    pub acknowledged: Vec<String>,
    /// Why it is right although something contradicts; then a second person is asked.
    #[serde(default)]
    pub reason: Option<Confidential>,
}
