//! What the README's pictures show: fictitious patients of a fictitious hospital, in the numbers of a morning.

use anyhow::{Context, Result, bail};
use beeldbox_demo::desk::Desk;
use beeldbox_peer::study::{Modality, StudySpec};
use beeldbox_protocol::admin::{
    CheckFlag, MAX_PAGE, Question, Reply, StateCode, StudyLine, StudyRef, TransferLine,
};
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::{StudyInstanceUid, TransferId};
use tokio::time::{Duration, sleep};

use crate::stage::Stage;

/// A patient: name, birth date, sex, citizen service number (of those set aside for tests).
type Person = (&'static str, &'static str, &'static str, &'static str);

const DE_VRIES: Person = ("Vries^Annemarie^^de", "19580317", "F", "999990019");
const JANSEN_P: Person = ("Jansen^Pieter Johannes", "19470830", "M", "999990032");
const JANSEN_W: Person = ("Jansen^Willemijn", "19791211", "F", "999990044");
const EL_AMRANI: Person = ("Amrani^Youssef^^el", "19900125", "M", "999990056");
const VAN_DEN_BERG: Person = ("Berg-Kuipers^Wilhelmina Cornelia^^van den", "19360504", "F", "999990068");
const HOEKSTRA: Person = ("Hoekstra^Sietske", "19660219", "F", "999990081");
const DIJKSTRA: Person = ("Dijkstra^Jan Willem", "19521003", "M", "999990093");

/// Patient, what was made of whom, how many slices, day and time.
type Exam = (Person, Modality, &'static str, u32, &'static str, &'static str);

/// Those that are on their way to Zuid already, with the note that goes along; the first is imported there.
const SENT: [(Exam, &str, bool); 3] = [
    (
        (DIJKSTRA, Modality::Ct, "CT hersenen blanco", 36, "20261122", "221508"),
        "Val van trap, gebruikt een bloedverdunner.",
        false,
    ),
    (
        (HOEKSTRA, Modality::Mr, "MR knie links", 28, "20261120", "143011"),
        "Tweede mening gevraagd over de mediale meniscus.",
        false,
    ),
    (
        (VAN_DEN_BERG, Modality::Ct, "CT-angiografie carotiden", 120, "20261123", "064127"),
        "Verwijzing voor trombectomie; de ambulance is onderweg.",
        true,
    ),
];

/// Those that wait for an addressee; the last one is still coming in.
const WAITING: [Exam; 5] = [
    (JANSEN_W, Modality::Mr, "MR hersenen met contrast", 64, "20261120", "160233"),
    (DE_VRIES, Modality::Ct, "CT abdomen", 96, "20261102", "112840"),
    (JANSEN_P, Modality::Ct, "CT hersenen blanco", 40, "20261123", "070512"),
    (DE_VRIES, Modality::Ct, "CT thorax met contrast", 180, "20261120", "153412"),
    (EL_AMRANI, Modality::Ct, "CT lumbale wervelkolom", 24, "20261123", "065901"),
];

const ADDRESSEE: &str = "zuid-radiologie";

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(120);

/// Brings both hospitals to where the pictures are taken. Gives the study whose check page is shown.
///
/// # Errors
/// A step of the road fails.
pub async fn prepare(stage: &Stage) -> Result<i64> {
    let (noord, zuid) = (stage.demo.noord.desk(), stage.demo.zuid.desk());
    let mut seed = 100;
    for (exam, note, urgent) in SENT {
        seed += 1;
        let line = bring(stage, &noord, exam, seed, true).await?;
        send(&noord, &line, note, urgent).await?;
        let arrived = opened(&zuid, &line).await?;
        if exam.0 == DIJKSTRA {
            zuid.ask(Question::Import { transfer: arrived, patient: None }).await?;
        }
    }
    let mut check = 0;
    for (at, exam) in WAITING.iter().enumerate() {
        seed += 1;
        let line = bring(stage, &noord, *exam, seed, at + 1 < WAITING.len()).await?;
        if exam.0 == DE_VRIES {
            check = line.study.0;
        }
    }
    until(&zuid, "the import", |line| line.situation.state == StateCode::Reported).await?;
    Ok(check)
}

/// From the modality into the box.
async fn bring(stage: &Stage, noord: &Desk, exam: Exam, seed: u64, is_closed: bool) -> Result<StudyLine> {
    let spec = spec(exam, seed);
    let study = stage.make(&spec)?;
    stage.send(&study).await?;
    let line = line_of(noord, &study.uid).await?;
    if is_closed {
        noord.ask(Question::CloseStudy { study: line.study }).await?;
    }
    Ok(line)
}

/// The same patient has the same numbers in every study.
fn spec((person, modality, description, slices, date, time): Exam, seed: u64) -> StudySpec {
    let (patient, born, sex, bsn) = person;
    StudySpec {
        slices,
        size: 512,
        seed,
        patient: patient.to_owned(),
        born: born.to_owned(),
        sex: sex.to_owned(),
        number: format!("43{}", &bsn[4..]),
        bsn: bsn.to_owned(),
        modality,
        description: description.to_owned(),
        date: date.to_owned(),
        time: time.to_owned(),
    }
}

async fn line_of(noord: &Desk, study: &StudyInstanceUid) -> Result<StudyLine> {
    let question = Question::Studies { before: None, limit: MAX_PAGE };
    let Reply::Studies(lines) = noord.ask(question).await? else { bail!("another answer") };
    let mut lines = lines.into_iter().filter(|line| line.summary.study.as_ref() == Some(study));
    lines.next().context("the study is not in the list")
}

async fn send(noord: &Desk, line: &StudyLine, note: &str, urgent: bool) -> Result<()> {
    let question = Question::Send {
        study: StudyRef::Number(line.study),
        addressee: ADDRESSEE.parse()?,
        note: Some(Confidential::new(note)),
        reply_contact: Some(Confidential::new("Beelduitwisseling Noord, toestel 1234")),
        urgent,
        acknowledged: vec![CheckFlag::FirstTime],
    };
    noord.ask(question).await?;
    Ok(())
}

async fn opened(zuid: &Desk, sent: &StudyLine) -> Result<TransferId> {
    let study = sent.summary.study.clone();
    let is_it = move |line: &TransferLine| {
        line.situation.state == StateCode::Opened
            && line.summary.as_ref().is_some_and(|summary| summary.study == study)
    };
    until(zuid, "the arrival", is_it).await
}

/// Waits for a transfer in the inbox that is so.
async fn until(zuid: &Desk, what: &str, is_it: impl Fn(&TransferLine) -> bool) -> Result<TransferId> {
    let look = async {
        loop {
            let question = Question::Inbox { before: None, limit: MAX_PAGE };
            let Reply::Transfers(lines) = zuid.ask(question).await? else { bail!("another answer") };
            if let Some(line) = lines.iter().find(|line| is_it(line)) {
                return Ok(line.transfer);
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.with_context(|| format!("waited too long for {what}"))?
}
