//! Flushes per instance, counted by strace in a short run of their own: tracing slows a program down.

use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::contender::{Contender, Places, Running};
use crate::process::Beside;
use crate::run::as_float;
use crate::sender;
use crate::workload::Instance;

/// System calls that make something durable.
const FLUSHES: &str = "fsync,fdatasync,sync_file_range,msync,syncfs,sync";

/// Time for strace to attach to every thread.
const ATTACH: Duration = Duration::from_secs(1);

/// Sends the instances under strace; gives flushes per instance.
///
/// # Errors
/// If strace is missing or may not attach, or the contender fails.
pub fn per_instance(
    places: &Places,
    contender: Contender,
    instances: &[Instance],
    associations: usize,
) -> Result<f64> {
    let manner: &[&str] = if contender == Contender::Dcmtk && associations > 1 { &["--fork"] } else { &[] };
    let running = Running::start(places, contender, manner)?;
    let sop_class = instances.first().map_or("", |instance| &instance.sop_class);
    let limit = sender::until_accepting(&running.target, sop_class)?;
    let prepared = sender::prepare(instances, associations, limit)?;
    let counts = places.work.join("flushes");
    let strace = Command::new("strace")
        .args(["-f", "-c", "-e", &format!("trace={FLUSHES}"), "-o"])
        .arg(&counts)
        .args(["-p", &running.process.id().to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("strace is not installed; on Debian: apt-get install strace")?;
    thread::sleep(ATTACH);
    let mut strace = Beside::new(strace);
    ensure!(strace.is_running()?, "strace may not attach to a process here");
    sender::send(&running.target, &prepared)?;
    strace.stop()?;
    running.stop()?;
    let table = std::fs::read_to_string(&counts)?;
    std::fs::remove_file(&counts)?;
    Ok(as_float(total(&table)) / as_float(u64::try_from(instances.len())?))
}

/// Sums the column of calls over all system calls of the table.
fn total(table: &str) -> u64 {
    let names: Vec<&str> = FLUSHES.split(',').collect();
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.last().is_some_and(|name| names.contains(name)))
        .filter_map(|row| row.get(3)?.parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_summed_over_the_flushing_system_calls_only() {
        let table = "% time     seconds  usecs/call     calls    errors syscall\n\
                     ------ ----------- ----------- --------- --------- ----------------\n \
                     60.00    0.100000         100       500         2 fdatasync\n \
                     40.00    0.050000         100        14           fsync\n\
                     ------ ----------- ----------- --------- --------- ----------------\n\
                     100.00    0.150000         200       514           total\n";
        assert_eq!(total(table), 514);
    }
}
