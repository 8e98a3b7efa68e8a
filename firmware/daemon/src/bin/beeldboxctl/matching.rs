//! Commands about whose the images are.

use anyhow::{Context, Result};
use beeldbox_protocol::admin::{
    CandidateLine, CandidatePage, FieldCode, LocalChoice, MarkCode, PatientSearch, PatientSystem, Question,
    SystemOutcome, VerdictCode,
};
use beeldbox_protocol::clinical::{Confidential, Patient};
use beeldbox_protocol::ident::{Digest, TransferId};
use clap::Args;

use crate::print::{text, who as patient};

/// A look at who may be meant.
#[derive(Args)]
pub struct Candidates {
    /// Which transfer.
    transfer: TransferId,
    /// Look for this patient number too.
    #[arg(long)]
    patient_id: Option<String>,
    /// Look for family names that begin like this too.
    #[arg(long)]
    name: Option<String>,
    /// Look for this day of birth too, `YYYYMMDD`.
    #[arg(long)]
    birth_date: Option<String>,
}

impl Candidates {
    /// As a question.
    pub fn question(&self) -> Question {
        let confidential = |text: &Option<String>| text.clone().map(Confidential::new);
        Question::Candidates {
            transfer: self.transfer,
            search: PatientSearch {
                patient_id: confidential(&self.patient_id),
                name: confidential(&self.name),
                birth_date: confidential(&self.birth_date),
            },
        }
    }
}

/// An import.
#[derive(Args)]
pub struct Import {
    /// Which transfer.
    transfer: TransferId,
    /// Under which patient number of this hospital; without it the images go as they came.
    #[arg(long)]
    patient_id: Option<String>,
    /// Under which accession number.
    #[arg(long, requires = "patient_id")]
    accession: Option<String>,
    /// A reason to look at that was looked at; may be said several times.
    #[arg(long = "looked-at", requires = "patient_id")]
    looked_at: Vec<String>,
    /// Which of several candidates with this number.
    #[arg(long, requires = "patient_id")]
    seen: Option<Digest>,
    /// Why it is right although something contradicts; a second person must agree.
    #[arg(long, requires = "patient_id")]
    reason: Option<String>,
    /// File with who this is, if none of your systems knows the number: JSON with name, birth_date, sex, bsn; `-` reads
    /// standard input.
    #[arg(long, requires = "patient_id")]
    typed: Option<String>,
}

impl Import {
    /// As a question.
    pub fn question(&self) -> Result<Question> {
        let confidential = |text: &Option<String>| text.clone().map(Confidential::new);
        let Some(number) = &self.patient_id else {
            return Ok(Question::Import { transfer: self.transfer, patient: None });
        };
        let typed = self.typed.as_ref().map(|file| read_patient(file)).transpose()?;
        let choice = LocalChoice {
            patient_id: Confidential::new(number.clone()),
            seen: self.seen,
            typed,
            accession_number: confidential(&self.accession),
            acknowledged: self.looked_at.clone(),
            reason: confidential(&self.reason),
        };
        Ok(Question::Import { transfer: self.transfer, patient: Some(Box::new(choice)) })
    }
}

fn read_patient(file: &str) -> Result<Patient> {
    let json = match file {
        "-" => std::io::read_to_string(std::io::stdin()).context("standard input")?,
        file => std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?,
    };
    // The parser's error may quote what it read.
    serde_json::from_str(&json).map_err(|error| anyhow::anyhow!("no patient (line {})", error.line()))
}

/// Prints who may be meant.
pub fn page(page: &CandidatePage) {
    say!("Came along:  {}", patient(&page.incoming));
    for answer in &page.systems {
        let system = match answer.system {
            PatientSystem::Worklist => "worklist",
            PatientSystem::Pacs => "PACS",
            PatientSystem::PatientIndex => "patient index",
        };
        let outcome = match answer.outcome {
            SystemOutcome::NotAsked => "not asked: it is not set up".to_owned(),
            SystemOutcome::DidNotAnswer => "DID NOT ANSWER".to_owned(),
            SystemOutcome::KnowsNobody => "knows nobody".to_owned(),
            SystemOutcome::Named { found, is_more: false } => format!("named {found}"),
            SystemOutcome::Named { found, is_more: true } => format!("named {found}, and there are more"),
        };
        say!("  {system:<14} {outcome}");
    }
    if page.candidates.is_empty() {
        say!(
            "Nobody was found. Have the patient registered, or search with --name, --birth-date, --patient-id."
        );
    }
    page.candidates.iter().for_each(candidate);
    if let Some(proposal) = &page.proposal {
        say!(
            "Proposed by {}: {}; a second person must agree: beeldboxctl agree … --seen {}",
            proposal.by,
            patient(&proposal.patient),
            proposal.seen
        );
        say!("  because {}", proposal.reason.reveal());
        proposal.contradictions.iter().for_each(|reason| say!("  ! {:<28} {}", reason.code, reason.text));
    }
}

fn candidate(line: &CandidateLine) {
    let verdict = match line.verdict {
        VerdictCode::Ready => "READY",
        VerdictCode::Check => "CHECK",
        VerdictCode::Stop => "STOP",
    };
    say!("{verdict:<6} {}", patient(&line.patient));
    for field in &line.fields {
        let name = match field.field {
            FieldCode::FamilyName => "family name",
            FieldCode::GivenNames => "given names",
            FieldCode::BirthDate => "birth date",
            FieldCode::Sex => "sex",
            FieldCode::Bsn => "BSN",
            FieldCode::PatientNumber => "patient number",
        };
        let mark = match field.mark {
            MarkCode::Equal => "equal",
            MarkCode::Similar => "similar",
            MarkCode::Missing => "missing",
            MarkCode::Differs => "DIFFERS",
            MarkCode::NotComparable => "-",
        };
        say!("    {name:<15} {mark:<8} {:<24} {}", text(field.incoming.as_ref()), text(field.local.as_ref()));
    }
    line.reasons.iter().for_each(|reason| say!("  ! {:<28} {}", reason.code, reason.text));
    for order in &line.orders {
        say!(
            "    order {} {}",
            order.accession_number.reveal(),
            order.description.as_ref().map(Confidential::reveal).unwrap_or_default()
        );
    }
    say!("    seen {}", line.seen);
}
