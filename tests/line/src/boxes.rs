//! A study from PACS to PACS through the boxes, with the time of every stage and what went over the lines.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use beeldbox_demo::desk::Desk;
use beeldbox_demo::journey::transfers_of;
use beeldbox_dicom::PeerNode;
use beeldbox_peer::pacs::RECEIVED_LIST;
use beeldbox_peer::send::send_files;
use beeldbox_protocol::admin::{
    CheckFlag, MAX_PAGE, Question, Refusal, Reply, Situation, StateCode, StudyLine, StudyRef,
};
use beeldbox_protocol::ident::TransferId;

use crate::stage::{ADDRESSEE, LOOK, Stage, Study};
use crate::wire::{Conditions, Tallies};

/// What became of one study.
#[derive(Debug, Clone, Copy)]
pub struct Journey {
    /// Bytes of its data sets.
    pub bytes: u64,
    /// From the first byte that the PACS sent to the last answer of the box.
    pub receive: Duration,
    /// From the order to the portal's word that it holds everything.
    pub send: Duration,
    /// From there until the other box has opened and authenticated everything.
    pub fetch: Duration,
    /// From there until the PACS has confirmed everything.
    pub deliver: Duration,
    /// What had gone over the line of Noord when the portal held everything.
    pub up: Tallies,
    /// What had gone over the line of Zuid when its box had everything.
    pub down: Tallies,
}

/// How far a transfer is, as both boxes say.
struct Progress {
    began: Instant,
    accepted: Option<(Duration, Tallies)>,
    opened: Option<(Duration, Tallies)>,
    delivered: Option<Duration>,
}

impl Stage {
    /// A study goes by hand: received, then addressed, and from then on by itself. The lines are as they are until it is
    /// addressed, and as in `lines` from then on. `limit` is for the way from there.
    ///
    /// # Errors
    /// If a box holds it, it takes longer than the limit, or something else arrives than was sent.
    pub async fn carry(&self, study: &Study, lines: Conditions, limit: Duration) -> Result<Journey> {
        let began = Instant::now();
        self.give_to_box(study, self.demo.noord.ae).await?;
        let receive = began.elapsed();
        let line = self.closed(study).await?;
        self.set(lines);
        let began = Instant::now();
        let transfer = self.address(&line).await?;
        let (sent, opened, delivered) = self.follow(transfer, began, Some(lines), limit).await?;
        self.has_arrived(study)?;
        Ok(Journey {
            bytes: study.bytes,
            receive,
            send: sent.0,
            fetch: opened.0 - sent.0,
            deliver: delivered - opened.0,
            up: sent.1,
            down: opened.1,
        })
    }

    /// A study goes by itself: the PACS calls a name that stands for the addressee. Gives the time from its first byte
    /// until the other PACS has confirmed everything.
    ///
    /// # Errors
    /// As [`Stage::carry`].
    pub async fn carry_by_alias(&self, study: &Study, limit: Duration) -> Result<Duration> {
        let began = Instant::now();
        self.give_to_box(study, crate::stage::ALIAS).await?;
        let noord = self.demo.noord.desk();
        let transfer = loop {
            if let [line] = transfers_of(&noord, &study.uid).await?.as_slice() {
                break line.transfer;
            }
            ensure!(began.elapsed() < limit, "the study is not on its way after {limit:?}");
            tokio::time::sleep(LOOK).await;
        };
        let (.., delivered) = self.follow(transfer, began, None, limit).await?;
        self.has_arrived(study)?;
        Ok(delivered)
    }

    /// The PACS of Noord sends it to its box, under one of its names.
    async fn give_to_box(&self, study: &Study, called: &str) -> Result<()> {
        let to = PeerNode::plain(called.parse()?, &*self.demo.noord.dicom);
        let sent = send_files(&to, &self.demo.noord.pacs.ae.parse()?, &study.files, |_| ()).await?;
        match sent.iter().find(|sent| !sent.is_stored()) {
            Some(lost) => bail!("the box did not store an instance: {:?} {:?}", lost.status, lost.remark),
            None => Ok(()),
        }
    }

    /// Waits until the study is closed by its quiet time.
    async fn closed(&self, study: &Study) -> Result<StudyLine> {
        let noord = self.demo.noord.desk();
        loop {
            let question = Question::Studies { before: None, limit: MAX_PAGE };
            let Reply::Studies(lines) = noord.ask(question).await? else {
                bail!("the box answered another question")
            };
            let found = lines.into_iter().find(|line| line.summary.study.as_ref() == Some(&study.uid));
            let line = found.context("the box does not list the study")?;
            if line.situation.state != StateCode::Collecting {
                return Ok(line);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn address(&self, line: &StudyLine) -> Result<TransferId> {
        let question = Question::Send {
            study: StudyRef::Number(line.study),
            addressee: ADDRESSEE.parse()?,
            note: None,
            reply_contact: None,
            urgent: false,
            acknowledged: vec![CheckFlag::FirstTime],
        };
        let Reply::Sent(transfer) = self.demo.noord.desk().ask(question).await? else {
            bail!("the box answered another question")
        };
        Ok(transfer)
    }

    /// Watches a transfer to its end. The line of Zuid is as in `lines`, and counts anew, from when it is its turn.
    async fn follow(
        &self,
        transfer: TransferId,
        began: Instant,
        lines: Option<Conditions>,
        limit: Duration,
    ) -> Result<((Duration, Tallies), (Duration, Tallies), Duration)> {
        let (noord, zuid) = (self.demo.noord.desk(), self.demo.zuid.desk());
        let mut progress = Progress { began, accepted: None, opened: None, delivered: None };
        let mut seen = String::new();
        loop {
            let (here, there) = (situation(&noord, transfer).await?, situation(&zuid, transfer).await?);
            let was_accepted = progress.accepted.is_some();
            progress.note(self, here.as_ref(), there.as_ref())?;
            if there.as_ref().is_some_and(|there| there.state == StateCode::Opened) {
                // A technician who has waited for it; if something else came first the next look says so.
                let _ = zuid.ask_once(Question::Import { transfer, patient: None }).await;
            }
            if let Some(lines) = lines.filter(|_| progress.accepted.is_some() && !was_accepted) {
                self.zuid.set(lines);
            }
            if let (Some(sent), Some(opened), Some(delivered)) =
                (progress.accepted, progress.opened, progress.delivered)
                && here.as_ref().is_some_and(|here| here.state == StateCode::Delivered)
            {
                return Ok((sent, opened, delivered));
            }
            if let Some(now) = here.or(there) {
                seen = format!("{:?}, {} of {}", now.state, now.done, now.of);
            }
            ensure!(
                began.elapsed() < limit,
                "not there after {:.0} s: {seen}; up {}, down {}",
                limit.as_secs_f64(),
                told(self.noord.tallies()),
                told(self.zuid.tallies()),
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The PACS of Zuid was given everything, byte for byte.
    fn has_arrived(&self, study: &Study) -> Result<()> {
        let list = std::fs::read_to_string(self.demo.zuid.pacs.store.join(RECEIVED_LIST))?;
        let given: BTreeMap<&str, &str> = list.lines().filter_map(pair).collect();
        for file in &study.files {
            let digest = file.digest()?.to_string();
            let found = given.get(file.sop_instance.as_str());
            ensure!(found == Some(&digest.as_str()), "an instance did not arrive as it was sent");
        }
        Ok(())
    }
}

/// Name and digest in a line of a PACS's list.
fn pair(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split('\t');
    Some((words.next()?, words.next()?))
}

fn told(tallies: Tallies) -> String {
    let Tallies { up, down, cuts } = tallies;
    format!("{:.1} MB and back {:.1} MB, {cuts} cuts", megabytes(up.fresh), megabytes(down.fresh))
}

/// Bytes in millions.
pub fn megabytes(bytes: u64) -> f64 {
    // Bytes of a few gigabytes at most: exact in an f64.
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let bytes = bytes as f64;
    bytes / 1e6
}

impl Progress {
    fn note(&mut self, stage: &Stage, here: Option<&Situation>, there: Option<&Situation>) -> Result<()> {
        let now = self.began.elapsed();
        for situation in [here, there].into_iter().flatten() {
            ensure!(
                !matches!(
                    situation.state,
                    StateCode::Held
                        | StateCode::Recalled
                        | StateCode::Declined
                        | StateCode::Expired
                        | StateCode::Failed
                ),
                "it is {:?} ({:?}) after {:.0} s",
                situation.state,
                situation.hold,
                now.as_secs_f64()
            );
        }
        // What the other box has, the portal had.
        let is_accepted = there.is_some()
            || here.is_some_and(|here| {
                matches!(here.state, StateCode::Accepted | StateCode::Fetched | StateCode::Delivered)
            });
        if is_accepted && self.accepted.is_none() {
            self.accepted = Some((now, stage.noord.tallies()));
        }
        let Some(there) = there else { return Ok(()) };
        let is_delivered = matches!(there.state, StateCode::Delivered | StateCode::Reported);
        let is_opened = is_delivered
            || matches!(there.state, StateCode::Opened | StateCode::Reconciled | StateCode::Delivering);
        if is_opened && self.opened.is_none() {
            self.opened = Some((now, stage.zuid.tallies()));
        }
        if is_delivered && self.delivered.is_none() {
            self.delivered = Some(now);
        }
        Ok(())
    }
}

async fn situation(desk: &Desk, transfer: TransferId) -> Result<Option<Situation>> {
    match desk.ask(Question::Transfer { transfer }).await {
        Ok(Reply::Transfer(detail)) => Ok(Some(detail.line.situation)),
        Ok(_) => bail!("the box answered another question"),
        // It has not heard of it yet.
        Err(error) if error.downcast_ref::<Refusal>().is_some() => Ok(None),
        Err(error) => Err(error),
    }
}
