//! What runs inside the virtual machine until the time is over or the power is cut: the whole script again and again,
//! and beside it several associations that send without a pause.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use beeldbox_custody::Custody;

use crate::image::Name;
use crate::markers::Markers;
use crate::script::{Plan, association, open, play, send};

/// Study numbers of one start of the machine, so that starts do not meet.
pub const STUDIES_PER_ROUND: u32 = 100_000;

/// Where in them those of the associations beside the script begin, and how many each has.
const BESIDE: u32 = 50_000;
const STUDIES_PER_ASSOCIATION: u32 = 5_000;

/// Instances of a study that is sent beside the script.
const INSTANCES: u32 = 6;

/// How hard to work.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Which start of the machine this is.
    pub round: u32,
    /// How long.
    pub time: Duration,
    /// Associations beside the script.
    pub associations: u32,
}

/// Works until the time is over.
///
/// # Errors
/// If custody refuses anything or loses a thread.
pub async fn work(folder: &Path, elsewhere: &Path, disk: &Path, area: u64, effort: Effort) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let markers = Arc::new(Markers::on(disk, area)?);
    let (custody, report) = open(folder)?;
    println!("working, after a start with {report}");
    let deadline = Instant::now() + effort.time;
    let is_over = Arc::new(AtomicBool::new(false));
    let base = effort.round * STUDIES_PER_ROUND;
    let beside: Vec<JoinHandle<Result<()>>> = (0..effort.associations)
        .map(|number| {
            let (custody, markers, is_over) = (custody.clone(), Arc::clone(&markers), Arc::clone(&is_over));
            let first = base + BESIDE + number * STUDIES_PER_ASSOCIATION;
            std::thread::spawn(move || keep_sending(&custody, first, &markers, &is_over))
        })
        .collect();
    let mut run = 0;
    while Instant::now() < deadline {
        let plan = Plan { base: base + run * Plan::STUDIES, flood: 20 };
        play(&custody, elsewhere, plan, &*markers).await?;
        run += 1;
    }
    is_over.store(true, Ordering::Relaxed);
    for thread in beside {
        match thread.join() {
            Ok(ended) => ended?,
            Err(_) => bail!("an association panicked"),
        }
    }
    custody.close().await;
    println!("the script was played {run} times");
    Ok(())
}

fn keep_sending(custody: &Custody, first: u32, markers: &Markers, is_over: &AtomicBool) -> Result<()> {
    for study in first.. {
        let mut association = association(custody)?;
        for number in 1..=INSTANCES {
            if is_over.load(Ordering::Relaxed) {
                association.close();
                return Ok(());
            }
            send(&mut association, Name::new(study, number), markers)?;
        }
        association.close();
    }
    Ok(())
}
