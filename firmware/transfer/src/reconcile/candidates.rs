//! Asking the hospital's systems whose images these may be: worklist, then PACS.
//!
//! ```text
//!   letter and first image ─► incoming patient ─┬─► worklist (C-FIND) ─┐
//!                                               └─► PACS (C-FIND)     ─┴─► gathered ─► judged
//! ```
//!
//! The PACS is asked three times: by BSN, because some hospitals file under it; by the number that came along, because it
//! may be somebody else's here; and by birth date, because names are written in too many ways to ask for. Of what comes
//! back only those who may be meant are shown; whoever a person asks for by name or number is shown in any case.

use std::time::Duration;

use beeldbox_custody::{CustodyError, ReadError, TransferRow};
use beeldbox_dicom::{
    AssociationLimits, Found, PeerNode, Query, QueryLevel, ScheduledImport, WorklistQuery, find,
    find_scheduled, identifiers_of,
};
use beeldbox_protocol::admin::PatientSearch;
use beeldbox_protocol::clinical::{Confidential, Patient, PatientIdentifier, PatientIdentifiers};
use tracing::warn;

use super::bsn::BsnAnswer;
use super::comparison::{BsnAgreement, Compared};
use super::gather::{Answer, Answers, Gathered, gather};
use super::identity::{Candidate, NumberAgreement, PatientIdentity};
use super::verdict::{Judgement, Verdict, judge, judge_all};
use crate::road::Road;
use crate::send::chain;

/// Most answers that are taken to one question. Somebody waits for them, and more than these nobody reads.
const MOST_ANSWERS: usize = 500;

/// How long a system may take: a person looks at the page.
const LIMITS: AssociationLimits = AssociationLimits {
    connect: Duration::from_secs(5),
    artim: Duration::from_secs(5),
    progress: Duration::from_secs(10),
    response: Duration::from_secs(10),
};

/// Bytes of an image in which the patient's numbers stand.
const BEGINNING: usize = 256 * 1024;

/// Whose images these may be.
#[derive(Debug, Clone)]
pub struct Candidates {
    /// Who came along.
    pub incoming: PatientIdentity,
    /// The same as the letter has it.
    pub incoming_patient: Patient,
    /// The candidates, and what each system said.
    pub gathered: Gathered,
    /// The verdict about each, in the same order.
    pub judgements: Vec<Judgement>,
    /// Imports that are scheduled, with their orders.
    pub scheduled: Vec<ScheduledImport>,
    /// What the systems wrote, before it was taken apart.
    records: Vec<(PatientIdentity, Patient)>,
}

impl Candidates {
    /// Everybody who was named, judged beside each other.
    pub(super) fn judged(
        incoming: PatientIdentity,
        incoming_patient: Patient,
        gathered: Gathered,
        scheduled: Vec<ScheduledImport>,
        records: Vec<(PatientIdentity, Patient)>,
    ) -> Self {
        let judgements = judge_all(&incoming, gathered.candidates());
        Candidates { incoming, incoming_patient, gathered, judgements, scheduled, records }
    }

    /// A candidate as the systems write him or her: what the first leaves out is taken from the next.
    pub fn record_of(&self, at: usize) -> Option<Patient> {
        let identity = &self.gathered.candidates().get(at)?.identity;
        let number = identity.number.as_ref()?;
        let mut own = self.records.iter().filter(|(record, _)| {
            record.number.as_ref().is_some_and(|other| other.id == number.id && is_one_issuer(other, number))
        });
        let mut patient = own.next()?.1.clone();
        for (_, next) in own {
            patient.name = patient.name.or_else(|| next.name.clone());
            patient.birth_date = patient.birth_date.or_else(|| next.birth_date.clone());
            patient.sex = patient.sex.or_else(|| next.sex.clone());
            patient.id_issuer = patient.id_issuer.or_else(|| next.id_issuer.clone());
        }
        Some(patient)
    }

    /// The imports that are scheduled for a candidate.
    pub fn scheduled_for(&self, at: usize) -> impl Iterator<Item = &ScheduledImport> {
        let number = self.gathered.candidates().get(at).and_then(|found| found.identity.number.as_ref());
        let id = number.map(|number| number.id.clone());
        self.scheduled.iter().filter(move |import| id.is_some() && import.patient.id == id)
    }
}

fn is_one_issuer(one: &PatientIdentifier, other: &PatientIdentifier) -> bool {
    one.issuer.is_none() || other.issuer.is_none() || one.issuer == other.issuer
}

/// Asks the hospital's systems, and judges whom they name. What a system does not answer is part of the answer.
///
/// # Errors
/// If the images cannot be read back.
pub async fn candidates(
    road: &Road,
    row: &TransferRow,
    search: &PatientSearch,
) -> Result<Candidates, ReadError> {
    let incoming_patient = row.confidential.as_ref().map(|words| words.patient.clone()).unwrap_or_default();
    let identifiers = numbers_in_images(road, row).await?;
    let incoming = PatientIdentity::of_data_set(&incoming_patient, &identifiers);
    let (worklist, scheduled) = ask_worklist(road, &incoming, search).await;
    let (pacs, records) = ask_pacs(road, &incoming, search).await;
    let planned = scheduled
        .iter()
        .map(|import| (identity_of(road, &import.patient, &import.identifiers), import.patient.clone()));
    let records = planned.chain(records).collect();
    let gathered = gather(Answers { worklist, pacs, pdq: Answer::NotAsked });
    Ok(Candidates::judged(incoming, incoming_patient, gathered, scheduled, records))
}

/// The numbers of the patient in the first image. They have been authenticated with everything else.
async fn numbers_in_images(road: &Road, row: &TransferRow) -> Result<PatientIdentifiers, ReadError> {
    let Some(collection) = row.collection else { return Ok(PatientIdentifiers::default()) };
    let first = road.custody.instances(collection, None, 1).await.map_err(ReadError::from)?;
    let Some(first) = first.into_iter().next() else { return Ok(PatientIdentifiers::default()) };
    let mut reader = road.custody.open_instance(&first).await?;
    let reading = tokio::task::spawn_blocking(move || {
        let mut beginning = Vec::new();
        while beginning.len() < BEGINNING {
            match reader.next_chunk()? {
                Some(chunk) => beginning.extend_from_slice(&chunk),
                None => break,
            }
        }
        Ok(identifiers_of(&beginning, &first.transfer_syntax))
    });
    reading.await.map_err(|_| ReadError::from(CustodyError::Closed))?
}

/// A patient of ours. A number without an issuer is one of this hospital.
fn identity_of(road: &Road, patient: &Patient, identifiers: &PatientIdentifiers) -> PatientIdentity {
    let mut identity = PatientIdentity::of_data_set(patient, identifiers);
    if let Some(number) = &mut identity.number
        && number.issuer.is_none()
        && number.universal_id.is_none()
    {
        number.issuer = road.settings.patient_id_issuer.as_deref().map(Confidential::new);
    }
    identity
}

async fn ask_pacs(
    road: &Road,
    incoming: &PatientIdentity,
    search: &PatientSearch,
) -> (Answer, Vec<(PatientIdentity, Patient)>) {
    let Some(node) = &road.settings.query else { return (Answer::NotAsked, Vec::new()) };
    let mut found: Vec<(PatientIdentity, Patient)> = Vec::new();
    let mut is_more = false;
    for (query, is_typed) in questions(incoming, search) {
        let answers = match ask(road, node, &query).await {
            Some(answers) => answers,
            None => return (Answer::DidNotAnswer, Vec::new()),
        };
        is_more |= answers.len() >= MOST_ANSWERS;
        for answer in answers {
            let identity = identity_of(road, &answer.patient, &answer.identifiers);
            if (is_typed || may_be_meant(incoming, &identity))
                && !found.iter().any(|(known, _)| *known == identity)
            {
                found.push((identity, answer.patient));
            }
        }
    }
    let identities = found.iter().map(|(identity, _)| identity.clone()).collect();
    (if is_more { Answer::AnsweredInPart(identities) } else { Answer::Answered(identities) }, found)
}

/// What the PACS is asked, and whether a person typed it.
fn questions(incoming: &PatientIdentity, search: &PatientSearch) -> Vec<(Query, bool)> {
    let new = || Query::new(QueryLevel::Patient, MOST_ANSWERS);
    let by_number = |number: &Confidential| Query { patient_id: Some(number.clone()), ..new() };
    let mut questions = Vec::new();
    if let BsnAnswer::One { bsn, .. } = incoming.bsn.answer() {
        questions.push((by_number(&Confidential::new(bsn.reveal())), false));
    }
    if let Some(number) = &incoming.number
        && !has_wildcards(&number.id)
    {
        questions.push((by_number(&number.id), false));
    }
    if let Some(day) = incoming.birth_date.as_ref().filter(|day| is_day(day)) {
        questions.push((Query { birth_date: Some(day.clone()), ..new() }, false));
    }
    // A search is for somebody: whoever could ask with wildcards could leaf through everybody.
    let typed = |text: &&Confidential| !text.reveal().trim().is_empty() && !has_wildcards(text);
    if let Some(number) = search.patient_id.as_ref().filter(typed) {
        questions.push((by_number(number), true));
    }
    let name = search.name.as_ref().filter(typed).map(|name| name.reveal().trim());
    let day = search.birth_date.clone().filter(is_day);
    if name.is_some() || day.is_some() {
        let patient_name = name.map(|name| Confidential::new(format!("{name}*")));
        questions.push((Query { patient_name, birth_date: day, ..new() }, true));
    }
    // One that cannot be asked would make the others look unanswered: it could match nobody anyway.
    questions.retain(|(query, is_typed)| *is_typed || query.is_askable());
    questions
}

fn has_wildcards(text: &Confidential) -> bool {
    text.reveal().contains(['*', '?'])
}

fn is_day(text: &Confidential) -> bool {
    text.reveal().len() == 8 && text.reveal().bytes().all(|byte| byte.is_ascii_digit())
}

async fn ask(road: &Road, node: &PeerNode, query: &Query) -> Option<Vec<Found>> {
    match find(node, &road.settings.ae_title, query, LIMITS).await {
        Ok(found) => Some(found),
        Err(error) => {
            warn!(peer = %node.ae_title, error = %chain(&error), "the PACS does not say whom it knows");
            None
        }
    }
}

async fn ask_worklist(
    road: &Road,
    incoming: &PatientIdentity,
    search: &PatientSearch,
) -> (Answer, Vec<ScheduledImport>) {
    let Some(node) = &road.settings.worklist else { return (Answer::NotAsked, Vec::new()) };
    let typed = search.patient_id.clone().filter(|number| !number.is_empty());
    let birth_date = incoming.birth_date.clone().filter(is_day);
    let mut questions = Vec::new();
    if let Some(birth_date) = birth_date {
        questions.push((Some(birth_date), None));
    }
    if let Some(number) = typed {
        questions.push((None, Some(number)));
    }
    let mut scheduled: Vec<ScheduledImport> = Vec::new();
    let mut is_more = false;
    for (birth_date, patient_id) in questions {
        let is_typed = patient_id.is_some();
        let query = WorklistQuery { station: None, patient_id, birth_date, most: MOST_ANSWERS };
        let answers = match find_scheduled(node, &road.settings.ae_title, &query, LIMITS).await {
            Ok(answers) => answers,
            Err(error) => {
                warn!(peer = %node.ae_title, error = %chain(&error), "the worklist does not say what is scheduled");
                return (Answer::DidNotAnswer, Vec::new());
            }
        };
        is_more |= answers.len() >= MOST_ANSWERS;
        for answer in answers {
            let identity = identity_of(road, &answer.patient, &answer.identifiers);
            if (is_typed || may_be_meant(incoming, &identity)) && !scheduled.contains(&answer) {
                scheduled.push(answer);
            }
        }
    }
    let identities =
        scheduled.iter().map(|import| identity_of(road, &import.patient, &import.identifiers)).collect();
    (if is_more { Answer::AnsweredInPart(identities) } else { Answer::Answered(identities) }, scheduled)
}

/// Whether somebody is worth being looked at: the BSN or the number points there, or the birth date does and nothing
/// contradicts. Who is left out by this would be *stop* for everybody, so no verdict depends on it; and in a large hospital
/// dozens are born on every day.
fn may_be_meant(incoming: &PatientIdentity, local: &PatientIdentity) -> bool {
    let compared = Compared::of(incoming, local);
    let by_bsn = match compared.bsn {
        BsnAgreement::Equal | BsnAgreement::EqualUnlabelled | BsnAgreement::Contradictory => true,
        BsnAgreement::Missing | BsnAgreement::Differs | BsnAgreement::UnlabelledDiffers => false,
    };
    let by_number = match compared.number {
        NumberAgreement::Equal | NumberAgreement::EqualIssuerUnsaid => true,
        NumberAgreement::DiffersAtSameIssuer | NumberAgreement::NotComparable => false,
    };
    let alone = Candidate { identity: local.clone(), sources: Vec::new(), records_differ: false };
    let contradicts = match judge(incoming, &alone).verdict {
        Verdict::Ready | Verdict::Check(_) => false,
        Verdict::Stop(_) => true,
    };
    by_bsn || by_number || !contradicts
}
