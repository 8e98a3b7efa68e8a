//! From PACS to PACS with the addressee known beforehand, against the slowest stage alone, and against what is usual.
//!
//! The stages alone are those of a study that goes by hand, one after the other. Over no line the portal is on the same
//! machine; over the line both boxes are behind one.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::lines::load;
use crate::orthanc::{Pair, Routing};
use crate::stage::{LOOK, Stage, Study};
use crate::wire::Conditions;

/// The four stages, in order.
#[derive(Debug, Clone, Copy)]
pub struct Stages {
    /// Receive, send, fetch, deliver.
    pub each: [Duration; 4],
}

impl Stages {
    /// The longest.
    pub fn slowest(&self) -> Duration {
        self.each.into_iter().max().unwrap_or_default()
    }
}

/// What was found at one place.
pub struct Found {
    /// Without a line, or with.
    pub place: &'static str,
    /// The machine's load before.
    pub load: String,
    /// Bytes of the study.
    pub bytes: u64,
    /// Stages of a study that goes by hand.
    pub stages: Stages,
    /// A study that goes by itself.
    pub by_alias: Duration,
    /// Orthanc and its peer, by hand.
    pub orthanc_by_hand: Result<Duration, String>,
    /// Orthanc and its peer, by scripts.
    pub orthanc_by_script: Result<Duration, String>,
}

/// Measures without a line, then over one.
///
/// # Errors
/// If the boxes do not get a study through.
pub async fn measure(line: Conditions, limit: Duration, slices: u32, repeats: u32) -> Result<Vec<Found>> {
    let side_by_side = Stage::start_side_by_side(line, [3, 4]).await?;
    let first = at("side by side", &side_by_side, line, limit, slices, repeats).await?;
    side_by_side.stop().await;
    let behind = Stage::start(line, [1, 2]).await?;
    let second = at("over the line", &behind, line, limit, slices, repeats).await?;
    behind.stop().await;
    Ok(vec![first, second])
}

async fn at(
    place: &'static str,
    stage: &Stage,
    line: Conditions,
    limit: Duration,
    slices: u32,
    repeats: u32,
) -> Result<Found> {
    stage.carry(&stage.study(1, 2)?, line, limit).await?;
    let load = load();
    let (mut by_hand, mut by_alias) = (Vec::new(), Vec::new());
    let (mut orthanc_by_hand, mut orthanc_by_script) = (Vec::new(), Vec::new());
    let mut bytes = 0;
    for repeat in 0..repeats.max(1) {
        eprintln!("line: {place}: run {} of {repeats}", repeat + 1);
        let seed = 10 + u64::from(repeat) * 2;
        let study = stage.study(seed, slices)?;
        bytes = study.bytes;
        let journey = stage.carry(&study, line, limit).await?;
        by_hand.push([journey.receive, journey.send, journey.fetch, journey.deliver]);
        by_alias.push(stage.carry_by_alias(&stage.study(seed + 1, slices)?, limit).await?);
        orthanc_by_hand.push(told(hand_to_hand(stage, repeat, &study, line, limit).await));
        orthanc_by_script.push(told(scripted(stage, repeat, &study, line, limit).await));
    }
    let stage_of = |which: usize| median(by_hand.iter().map(|each| each[which]).collect());
    Ok(Found {
        place,
        load,
        bytes,
        stages: Stages { each: [stage_of(0), stage_of(1), stage_of(2), stage_of(3)] },
        by_alias: median(by_alias),
        orthanc_by_hand: orthanc_by_hand.into_iter().collect::<Result<_, _>>().map(median),
        orthanc_by_script: orthanc_by_script.into_iter().collect::<Result<_, _>>().map(median),
    })
}

fn told(result: Result<Duration>) -> Result<Duration, String> {
    result.map_err(|error| format!("{error:#}"))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// The modality sends to Orthanc; somebody sends on to the peer; somebody there sends on to the PACS, each at once.
async fn hand_to_hand(
    stage: &Stage,
    run: u32,
    study: &Study,
    line: Conditions,
    limit: Duration,
) -> Result<Duration> {
    let pair = Pair::start(stage, &format!("hand-{run}"), Routing::ByHand).await?;
    let began = Instant::now();
    pair.give(study).await?;
    pair.peer(stage, line, limit).await?;
    pair.deliver().await?;
    let took = began.elapsed();
    pair.stop().await?;
    Ok(took)
}

/// Each Orthanc sends on what arrives, instance by instance.
async fn scripted(
    stage: &Stage,
    run: u32,
    study: &Study,
    line: Conditions,
    limit: Duration,
) -> Result<Duration> {
    let pair = Pair::start(stage, &format!("script-{run}"), Routing::ByScript).await?;
    stage.set(line);
    let before = stage.given_to_pacs(study)?;
    let began = Instant::now();
    pair.give(study).await?;
    while stage.given_to_pacs(study)? < before + study.files.len() {
        if began.elapsed() > limit {
            bail!("not everything is in the PACS after {limit:?}");
        }
        tokio::time::sleep(LOOK).await;
    }
    let took = began.elapsed();
    pair.stop().await?;
    Ok(took)
}
