//! The ledger with few and with many instances: the same operations must cost about the same.
//!
//! Both custodies lie in memory by default: what is compared is work that grows with the number of rows, and that is
//! not the disk's. Instances are tiny and all studies but the last few are closed, as in a box that has run for a while.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use beeldbox_custody::{Changes, Custody, IntakeSession, IntakeSource, OpenOptions, OutboundState};
use beeldbox_protocol::clinical::InstanceAttributes;
use beeldbox_protocol::envelope::data_set_digest::DataSetDigest;
use beeldbox_protocol::envelope::keys::StorageKey;
use beeldbox_protocol::envelope::pack::InstanceDescription;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

/// Instances per study: few, so that a thousand instances fill the page that is listed.
const STUDY: u32 = 20;
/// Studies that are measured; their medians count.
const PROBES: u32 = 15;
/// Studies on a page.
const PAGE: u32 = 50;

/// What is measured, in this order.
const OPERATIONS: [&str; 4] = ["intake of one instance", "list of studies", "closing a study", "recovery"];

/// Measures both and prints the ratios.
///
/// # Errors
/// If custody fails.
pub fn compare(folder: &Path, few: u32, many: u32, as_json: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let folder = folder.join(format!("beeldbox-bench-ledger-{}", std::process::id()));
    let mut measured = Vec::new();
    for count in [few, many] {
        let one = runtime.block_on(measure(&folder, count));
        // Also after a failure.
        std::fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
        measured.push(one?);
    }
    let ratio = |at: usize| measured[1][at].as_secs_f64() / measured[0][at].as_secs_f64();
    for (at, name) in OPERATIONS.into_iter().enumerate() {
        let [small, large] = [0, 1].map(|which: usize| measured[which][at].as_secs_f64() * 1e3);
        if as_json {
            println!(
                "{}",
                json!({ "operation": name, "few_ms": small, "many_ms": large, "ratio": ratio(at) })
            );
        } else {
            println!("{name:<24} {small:9.3} ms with {few}, {large:9.3} ms with {many}: {:.2}", ratio(at));
        }
    }
    Ok(())
}

async fn measure(folder: &Path, count: u32) -> Result<[Duration; 4]> {
    std::fs::create_dir_all(folder)?;
    let custody = open(folder)?;
    let studies = count.div_ceil(STUDY);
    for study in 0..studies {
        fill(&custody, study)?;
        close(&custody, study).await?;
        if study % 5000 == 4999 {
            eprintln!("bench: {} of {count} instances", (study + 1) * STUDY);
        }
    }
    let (mut intakes, mut lists, mut closings) = (Vec::new(), Vec::new(), Vec::new());
    for study in studies..studies + PROBES {
        intakes.push(fill(&custody, study)?);
        let begun = Instant::now();
        let listed = custody.studies(None, PAGE).await?;
        lists.push(begun.elapsed());
        anyhow::ensure!(listed.len() == usize::try_from(PAGE)?, "the page is not full");
        let begun = Instant::now();
        close(&custody, study).await?;
        closings.push(begun.elapsed());
    }
    custody.close().await;
    drop(custody);
    let mut recoveries = Vec::new();
    for _ in 0..PROBES {
        let begun = Instant::now();
        let custody = open(folder)?;
        recoveries.push(begun.elapsed());
        custody.close().await;
    }
    Ok([intakes, lists, closings, recoveries].map(middle))
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn open(folder: &Path) -> Result<Custody> {
    let options = OpenOptions {
        dir: folder.to_owned(),
        storage_key: StorageKey::from_bytes([7; 32]),
        ballast_bytes: 0,
        reserve_bytes: 0,
        attributes_of: |_, _| InstanceAttributes::default(),
        now: moment(0),
    };
    let (custody, _report) = Custody::open(options)?;
    Ok(custody)
}

/// Takes a study in; gives the median time of an instance.
fn fill(custody: &Custody, study: u32) -> Result<Duration> {
    let mut session =
        custody.intake(IntakeSource { calling_ae: "BENCH".parse()?, called_alias: None, quota_bytes: None });
    let mut times = Vec::new();
    for instance in 0..STUDY {
        let begun = Instant::now();
        take(&mut session, study, instance)?;
        times.push(begun.elapsed());
    }
    session.close();
    Ok(middle(times))
}

fn take(session: &mut IntakeSession, study: u32, instance: u32) -> Result<()> {
    let description = InstanceDescription {
        sop_class: "1.2.840.10008.5.1.4.1.1.2".parse()?,
        sop_instance: format!("2.25.7.{study}.{instance}").parse()?,
        transfer_syntax: "1.2.840.10008.1.2.1".parse()?,
        study: Some(format!("2.25.7.{study}").parse()?),
        series: Some(format!("2.25.7.{study}.0").parse()?),
        source_ae: "BENCH".parse()?,
    };
    let now = moment(study);
    session.begin(now, &description, &InstanceAttributes::default())?;
    let data = [42; 64];
    session.write(&data)?;
    session.finish(DataSetDigest::of(&data), now)?;
    Ok(())
}

async fn close(custody: &Custody, study: u32) -> Result<()> {
    let now = moment(study + 1);
    for quiet in custody.quiet_studies(now).await? {
        let queued = OutboundState::Queued { closed_at: now };
        custody.advance(quiet.transfer, OutboundState::Collecting, queued, Changes::default(), now).await?;
    }
    Ok(())
}

/// Studies come a minute apart, long ago.
fn moment(minute: u32) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_mins(i64::from(minute))
}
