//! Patients of the fake hospital who may be meant: one to look at, and one who contradicts.

use beeldbox_protocol::admin::{
    Answer, CandidateLine, CandidatePage, FieldCode, FieldLine, MarkCode, OrderLine, PatientSystem,
    ProposalLine, Question, ReasonLine, RefusalCode, Reply, StateCode, SystemAnswer, SystemOutcome,
    TransferDetail, VerdictCode,
};
use beeldbox_protocol::clinical::{Confidential, Patient};
use beeldbox_protocol::ident::Digest;

use super::{World, refuse};

impl World {
    /// Whose images are these.
    pub(super) fn about_matching(&mut self, question: Question) -> Answer {
        let nothing = || refuse(RefusalCode::NotFound, "there is nothing of that name");
        #[allow(clippy::wildcard_enum_match_arm, reason = "only these come here")]
        match question {
            Question::Import { transfer, patient } => {
                let is_proposed = patient.is_some_and(|choice| choice.reason.is_some());
                if is_proposed {
                    return Ok(Reply::Proposed);
                }
                self.settle(transfer, StateCode::Delivering, None)
            }
            Question::AgreeToImport { transfer, .. } => self.settle(transfer, StateCode::Delivering, None),
            Question::DropProposal { transfer } => self.settle(transfer, StateCode::Opened, None),
            Question::SetAside { transfer, .. } => self.settle(transfer, StateCode::Held, None),
            Question::Candidates { transfer, .. } => match self.find(transfer) {
                Some(detail) => Ok(Reply::Candidates(Box::new(page(detail)))),
                None => nothing(),
            },
            _ => nothing(),
        }
    }
}

/// What the fake hospital's systems say of a transfer.
pub fn page(detail: &TransferDetail) -> CandidatePage {
    let incoming = detail.line.patient.clone().unwrap_or_default();
    let local = Patient { id: Some(Confidential::new("7700123")), ..incoming.clone() };
    let other = Patient {
        id: Some(Confidential::new("7700124")),
        name: Some(Confidential::new("BAKKER-VAN DEN BOVENKAMP^Wilhelmina")),
        birth_date: Some(Confidential::new("19610101")),
        ..Patient::default()
    };
    let proposal = detail.line.is_proposed.then(|| ProposalLine {
        seen: Digest::of(b"proposal"),
        patient: other.clone(),
        accession_number: None,
        by: "collega".to_owned(),
        reason: Confidential::new("telefonisch bevestigd"),
        contradictions: vec![reason("stop-birth-date-differs")],
        at: detail.line.created_at,
    });
    CandidatePage {
        systems: vec![
            SystemAnswer { system: PatientSystem::Worklist, outcome: SystemOutcome::NotAsked },
            SystemAnswer {
                system: PatientSystem::Pacs,
                outcome: SystemOutcome::Named { found: 2, is_more: false },
            },
            SystemAnswer { system: PatientSystem::PatientIndex, outcome: SystemOutcome::DidNotAnswer },
        ],
        candidates: vec![
            candidate(&incoming, &local, VerdictCode::Check, &["bsn-missing"], MarkCode::Equal),
            candidate(
                &incoming,
                &other,
                VerdictCode::Stop,
                &["stop-birth-date-differs", "stop-family-name-differs"],
                MarkCode::Differs,
            ),
        ],
        incoming,
        proposal,
    }
}

fn reason(code: &str) -> ReasonLine {
    ReasonLine { code: code.to_owned(), text: "in English".to_owned() }
}

fn candidate(
    incoming: &Patient,
    local: &Patient,
    verdict: VerdictCode,
    reasons: &[&str],
    mark: MarkCode,
) -> CandidateLine {
    let field = |field, pick: fn(&Patient) -> &Option<Confidential>, mark| FieldLine {
        field,
        incoming: pick(incoming).clone(),
        local: pick(local).clone(),
        mark,
    };
    let fields = vec![
        field(FieldCode::FamilyName, |patient| &patient.name, mark),
        field(FieldCode::BirthDate, |patient| &patient.birth_date, mark),
        field(FieldCode::Sex, |patient| &patient.sex, MarkCode::Missing),
        field(FieldCode::PatientNumber, |patient| &patient.id, MarkCode::NotComparable),
    ];
    let number = local.id.as_ref().map(Confidential::reveal).unwrap_or_default();
    let order = OrderLine {
        accession_number: Confidential::new("ZUID-77"),
        description: Some(Confidential::new("import CT thorax")),
        scheduled_on: None,
    };
    CandidateLine {
        seen: Digest::of(number.as_bytes()),
        patient: local.clone(),
        known_to: vec![PatientSystem::Pacs],
        verdict,
        reasons: reasons.iter().map(|code| reason(code)).collect(),
        fields,
        orders: vec![order],
    }
}
