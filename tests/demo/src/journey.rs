//! One study from the PACS of Noord into the PACS of Zuid, and the proof that it arrived as it was sent.
//!
//! Each step asks first how far it is, so that a demo that was killed anywhere goes on from there.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use beeldbox_protocol::admin::{
    CheckFlag, MAX_PAGE, Question, Refusal, RefusalCode, Reply, StateCode, StudyLine, StudyRef,
    TransferDetail, TransferLine,
};
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::{StudyInstanceUid, TransferId};

use crate::desk::Desk;
use crate::hospital::Demo;
use crate::place::Place;
use crate::programs::Programs;

/// The department to which the study goes.
const ADDRESSEE: &str = "zuid-radiologie";

/// Longest wait for a step in which nothing moves.
const PATIENCE: Duration = Duration::from_secs(180);

/// What came of it.
pub struct Summary {
    steps: Vec<(&'static str, f64)>,
    instances: usize,
    bytes: u64,
    arrived: usize,
    equal: usize,
    stored: (u32, u32),
}

impl Summary {
    /// Whether every data set arrived, equal, and the receipt says so.
    pub fn is_complete(&self) -> bool {
        self.instances > 0
            && self.arrived == self.instances
            && self.equal == self.instances
            && self.stored.0 == self.stored.1
    }

    /// In words.
    pub fn print(&self) {
        let mut out = std::io::stderr();
        let mut say = |line: String| drop(writeln!(out, "{line}"));
        say(format!("\ninstances   {}", self.instances));
        say(format!("bytes       {}", self.bytes));
        for (step, seconds) in &self.steps {
            say(format!("{step:<11} {seconds:.1} s"));
        }
        say(format!("receipt 2   {} of {} instances in the PACS of Zuid", self.stored.0, self.stored.1));
        if self.is_complete() {
            say(format!(
                "All {} SHA-256 of data sets at PACS_ZUID equal those sent to Beeldbox Noord.",
                self.equal
            ));
        } else {
            say(format!(
                "NOT complete: {} of {} instances arrived, {} of them with equal SHA-256.",
                self.arrived, self.instances, self.equal
            ));
        }
    }
}

/// Sends a made study through, from wherever an earlier run stopped.
pub async fn once(programs: &Programs, place: &Place, demo: &Demo, slices: u32) -> Result<Summary> {
    let mut steps = Vec::new();
    let folder = place.folder("study")?;
    let study = step(&mut steps, "make", make_study(programs, &folder, slices)).await?;
    let sent = digests(programs, &folder).await?;
    let (noord, zuid) = (demo.noord.desk(), demo.zuid.desk());

    let mut mine = transfers_of(&noord, &study).await?;
    if count(&mine) < sent.len() {
        // What is in the box already is not sent again: after a study went out, that would offer it once more.
        if count(&mine) + waiting(&noord, &study).await? < sent.len() {
            step(&mut steps, "receive", send_to_box(programs, demo, &noord, &study, &folder, sent.len()))
                .await?;
        }
        step(&mut steps, "address", address(&noord, &study)).await?;
        mine = transfers_of(&noord, &study).await?;
    }
    let ids: Vec<TransferId> = mine.iter().map(|line| line.transfer).collect();
    step(&mut steps, "send", until(&noord, &ids, "sending", is_at_the_portal)).await?;
    step(&mut steps, "fetch", until(&zuid, &ids, "fetching", is_opened)).await?;
    import(&zuid, &ids).await?;
    step(&mut steps, "deliver", until(&zuid, &ids, "delivering", is_in_the_pacs)).await?;
    step(
        &mut steps,
        "report",
        until(&noord, &ids, "reporting", |line| line.situation.state == StateCode::Delivered),
    )
    .await?;

    let arrived = digests(programs, &demo.zuid.pacs.store).await?;
    let mut stored = (0, 0);
    for id in &ids {
        let detail = detail(&noord, *id).await?;
        stored.0 += detail.line.situation.done;
        stored.1 += detail.line.situation.of;
    }
    Ok(Summary {
        steps,
        instances: sent.len(),
        bytes: sent.values().map(|(_, size)| size).sum(),
        arrived: sent.keys().filter(|uid| arrived.contains_key(*uid)).count(),
        equal: sent.iter().filter(|(uid, digest)| arrived.get(*uid) == Some(digest)).count(),
        stored,
    })
}

async fn step<T>(
    steps: &mut Vec<(&'static str, f64)>,
    name: &'static str,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let began = Instant::now();
    let result = work.await.with_context(|| format!("step \"{name}\""))?;
    steps.push((name, began.elapsed().as_secs_f64()));
    Ok(result)
}

async fn make_study(programs: &Programs, folder: &Path, slices: u32) -> Result<StudyInstanceUid> {
    let noted = folder.with_extension("uid");
    if let Ok(uid) = std::fs::read_to_string(&noted) {
        return uid.parse().context("study.uid");
    }
    let out = folder.to_str().context("folder")?;
    let said = programs
        .output("beeldbox-peer", &["make-study", "--out", out, "--slices", &slices.to_string()])
        .await?;
    let uid = said.split_whitespace().next().context("make-study names its study")?;
    std::fs::write(&noted, uid)?;
    uid.parse().context("study UID")
}

/// SOP Instance UID → SHA-256 of the data set and its size.
pub async fn digests(programs: &Programs, folder: &Path) -> Result<BTreeMap<String, (String, u64)>> {
    let said = programs.output("beeldbox-peer", &["digests", folder.to_str().context("folder")?]).await?;
    let mut found = BTreeMap::new();
    for line in said.lines() {
        let mut words = line.split_whitespace();
        let (Some(uid), Some(digest), Some(size)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        found.insert(uid.to_owned(), (digest.to_owned(), size.parse().context("size")?));
    }
    Ok(found)
}

/// Images of the study that wait in the box.
async fn waiting(noord: &Desk, study: &StudyInstanceUid) -> Result<usize> {
    let Reply::Studies(lines) = noord.ask(Question::Studies { before: None, limit: MAX_PAGE }).await? else {
        bail!("the box answered another question");
    };
    let images = lines.iter().filter(|line| is_of(line, study)).map(|line| line.summary.instances);
    Ok(images.map(|count| usize::try_from(count).unwrap_or(0)).sum())
}

/// C-STORE to the box, again if it died meanwhile: what it has already it acknowledges without a second copy.
async fn send_to_box(
    programs: &Programs,
    demo: &Demo,
    noord: &Desk,
    study: &StudyInstanceUid,
    folder: &Path,
    wanted: usize,
) -> Result<()> {
    let folder = folder.to_str().context("folder")?;
    let mut last = None;
    for _ in 0..20 {
        let arguments = [
            "send",
            "--to",
            &demo.noord.dicom,
            "--called",
            demo.noord.ae,
            "--calling",
            demo.noord.pacs.ae,
            folder,
        ];
        match watch_arrival(noord, study, wanted, programs.output("beeldbox-peer", &arguments)).await {
            Ok(_) => return Ok(()),
            Err(error) => last = Some(error),
        }
        eprintln!("\ndemo: the association broke; the PACS sends again");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Err(last.unwrap_or_else(|| anyhow::anyhow!("not sent")))
}

async fn watch_arrival(
    noord: &Desk,
    study: &StudyInstanceUid,
    wanted: usize,
    sending: impl Future<Output = Result<String>>,
) -> Result<String> {
    tokio::pin!(sending);
    loop {
        tokio::select! {
            result = &mut sending => return result,
            () = tokio::time::sleep(Duration::from_millis(300)) => {}
        }
        if let Ok(Ok(Reply::Studies(lines))) =
            noord.ask_once(Question::Studies { before: None, limit: MAX_PAGE }).await
        {
            let here: u32 =
                lines.iter().filter(|line| is_of(line, study)).map(|line| line.summary.instances).sum();
            bar("receiving", u64::from(here), wanted as u64);
        }
    }
}

fn is_of(line: &StudyLine, study: &StudyInstanceUid) -> bool {
    line.summary.study.as_ref() == Some(study)
}

/// Addresses every received study with this UID. Usually one; two if a crash fell into a pause of the PACS.
async fn address(noord: &Desk, study: &StudyInstanceUid) -> Result<()> {
    let Reply::Studies(lines) = noord.ask(Question::Studies { before: None, limit: MAX_PAGE }).await? else {
        bail!("the box answered another question");
    };
    for line in lines.iter().filter(|line| is_of(line, study)) {
        until_closed(noord, line).await?;
        let sent = noord
            .ask(Question::Send {
                study: StudyRef::Number(line.study),
                addressee: ADDRESSEE.parse()?,
                note: Some(Confidential::new("Graag beoordeling; de patiënt komt morgen bij u.")),
                reply_contact: Some(Confidential::new("Beelduitwisseling Noord, toestel 1234")),
                urgent: false,
                acknowledged: vec![CheckFlag::FirstTime],
            })
            .await;
        tolerate(sent)?;
    }
    Ok(())
}

/// The box closes a study by itself after its quiet time.
async fn until_closed(noord: &Desk, line: &StudyLine) -> Result<()> {
    for _ in 0..600 {
        match noord.ask(Question::Study { study: line.study }).await {
            Ok(Reply::Study(now)) if now.situation.state == StateCode::Collecting => {}
            Ok(_) => return Ok(()),
            Err(error) => return tolerate(Err(error)),
        }
        bar("quiet time", 0, 0);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    bail!("the study is not closed after two minutes")
}

/// After a restart the step may have been taken already.
fn tolerate(result: Result<Reply>) -> Result<()> {
    match result {
        Ok(_) => Ok(()),
        Err(error) => match error.downcast_ref::<Refusal>() {
            Some(refusal) if matches!(refusal.code, RefusalCode::NotNow | RefusalCode::NotFound) => Ok(()),
            _ => Err(error),
        },
    }
}

/// Outbound transfers of a study.
pub async fn transfers_of(desk: &Desk, study: &StudyInstanceUid) -> Result<Vec<TransferLine>> {
    let Reply::Transfers(lines) = desk.ask(Question::Transfers { before: None, limit: MAX_PAGE }).await?
    else {
        bail!("the box answered another question");
    };
    let is_mine = |line: &TransferLine| line.summary.as_ref().and_then(|s| s.study.as_ref()) == Some(study);
    Ok(lines.into_iter().filter(is_mine).collect())
}

fn count(lines: &[TransferLine]) -> usize {
    lines
        .iter()
        .filter_map(|line| line.summary.as_ref())
        .map(|s| usize::try_from(s.instances).unwrap_or(0))
        .sum()
}

/// One transfer on its own page.
pub async fn detail(desk: &Desk, transfer: TransferId) -> Result<TransferDetail> {
    let Reply::Transfer(detail) = desk.ask(Question::Transfer { transfer }).await? else {
        bail!("the box answered another question")
    };
    Ok(*detail)
}

fn is_at_the_portal(line: &TransferLine) -> bool {
    matches!(line.situation.state, StateCode::Accepted | StateCode::Fetched | StateCode::Delivered)
}

fn is_opened(line: &TransferLine) -> bool {
    line.situation.state == StateCode::Opened || is_past_opened(line)
}

fn is_past_opened(line: &TransferLine) -> bool {
    matches!(line.situation.state, StateCode::Reconciled | StateCode::Delivering) || is_in_the_pacs(line)
}

fn is_in_the_pacs(line: &TransferLine) -> bool {
    matches!(line.situation.state, StateCode::Delivered | StateCode::Reported)
}

async fn import(zuid: &Desk, ids: &[TransferId]) -> Result<()> {
    for transfer in ids {
        tolerate(zuid.ask(Question::Import { transfer: *transfer, patient: None }).await)?;
    }
    Ok(())
}

/// Waits until all transfers are so far, with a bar. A transfer that is held ends the demo with the reason.
async fn until(
    desk: &Desk,
    ids: &[TransferId],
    what: &str,
    is_there: impl Fn(&TransferLine) -> bool,
) -> Result<()> {
    let mut quiet_since = Instant::now();
    let mut seen = String::new();
    loop {
        let mut lines = Vec::new();
        for id in ids {
            match detail(desk, *id).await {
                Ok(detail) => lines.push(detail.line),
                // Not announced yet.
                Err(error) if error.downcast_ref::<Refusal>().is_some() => {}
                Err(error) => return Err(error),
            }
        }
        if lines.len() == ids.len() && lines.iter().all(&is_there) {
            bar(what, 1, 1);
            return Ok(());
        }
        if let Some(held) = lines.iter().find(|line| line.situation.state == StateCode::Held) {
            bail!("transfer {} is held: {:?}", held.transfer, held.situation.hold);
        }
        let now = format!(
            "{:?}",
            lines.iter().map(|line| (line.situation.state, line.situation.done)).collect::<Vec<_>>()
        );
        if now != seen {
            seen = now;
            quiet_since = Instant::now();
        }
        if quiet_since.elapsed() > PATIENCE {
            bail!("nothing moves: {seen}");
        }
        let done = lines.iter().map(|line| u64::from(line.situation.done)).sum();
        let of = lines.iter().map(|line| u64::from(line.situation.of)).sum();
        bar(what, done, of);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A bar for people; nothing where nobody looks.
fn bar(what: &str, done: u64, of: u64) {
    let mut out = std::io::stderr();
    if !out.is_terminal() {
        return;
    }
    let filled = usize::try_from((done * 30).checked_div(of).unwrap_or(0).min(30)).unwrap_or(0);
    let line =
        format!("\r  {what:<11} [{}{}] {done} of {of}   ", "#".repeat(filled), "-".repeat(30 - filled));
    drop(out.write_all(line.as_bytes()).and_then(|()| out.flush()));
}
