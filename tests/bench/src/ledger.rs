//! The ledger with few and with many instances: the same operations must cost about the same.
//!
//! Both custodies lie in memory by default: what is compared is work that grows with the number of rows, and that is
//! not the disk's. Instances are tiny and all studies but the last few are closed, as in a box that has run for a while.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use beeldbox_custody::{Changes, Custody, IntakeSession, OpenOptions, OutboundState};
use beeldbox_protocol::clinical::InstanceAttributes;
use beeldbox_protocol::envelope::keys::StorageKey;
use beeldbox_protocol::envelope::pack::InstanceDescription;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

/// Instances per study: the mean of a hospital.
const STUDY: u32 = 330;
/// Instances of the study that is measured.
const PROBE: u32 = 200;
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
    let (custody, _) = open(folder)?;
    let studies = count.div_ceil(STUDY);
    for study in 0..studies {
        let instances = STUDY.min(count - study * STUDY);
        fill(&custody, study, instances)?;
        close(&custody, study).await?;
        if study % 500 == 499 {
            eprintln!("bench: {} of {count} instances", (study + 1) * STUDY);
        }
    }
    let intake = fill(&custody, studies, PROBE)?;
    let begun = Instant::now();
    let listed = custody.studies(None, PAGE).await?;
    let list = begun.elapsed();
    anyhow::ensure!(!listed.is_empty(), "no study is listed");
    let begun = Instant::now();
    close(&custody, studies).await?;
    let closing = begun.elapsed();
    custody.close().await;
    drop(custody);
    let begun = Instant::now();
    let (custody, _) = open(folder)?;
    let recovery = begun.elapsed();
    custody.close().await;
    Ok([intake, list, closing, recovery])
}

fn open(folder: &Path) -> Result<(Custody, String)> {
    let options = OpenOptions {
        dir: folder.to_owned(),
        storage_key: StorageKey::from_bytes([7; 32]),
        ballast_bytes: 0,
        reserve_bytes: 0,
        now: moment(0),
    };
    let (custody, report) = Custody::open(options)?;
    Ok((custody, report.to_string()))
}

/// Takes a study in; gives the median time of an instance.
fn fill(custody: &Custody, study: u32, instances: u32) -> Result<Duration> {
    let mut session = custody.intake("BENCH".parse()?);
    let mut times = Vec::with_capacity(usize::try_from(instances)?);
    for instance in 0..instances {
        let begun = Instant::now();
        take(&mut session, study, instance)?;
        times.push(begun.elapsed());
    }
    session.close();
    times.sort_unstable();
    Ok(times.get(times.len() / 2).copied().unwrap_or_default())
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
    session.write(&[42; 64])?;
    session.finish(now)?;
    Ok(())
}

async fn close(custody: &Custody, study: u32) -> Result<()> {
    let now = moment(study + 1);
    for (_, transfer) in custody.quiet_collections(now).await? {
        let queued = OutboundState::Queued { closed_at: now };
        custody.advance(transfer, OutboundState::Collecting, queued, Changes::default(), now).await?;
    }
    Ok(())
}

/// Studies come a minute apart, long ago.
fn moment(minute: u32) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_mins(i64::from(minute))
}
