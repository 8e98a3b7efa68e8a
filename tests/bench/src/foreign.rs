//! Other people's senders, as a check on ours: the same files on one association, timed from start to end of the
//! program, so that its start and its reading of files count.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::contender::{Contender, Places, Running};
use crate::run::as_float;
use crate::sender;
use crate::workload::Instance;

/// DCMTK's two senders.
pub const SENDERS: [&str; 2] = ["storescu", "dcmsend"];

/// Bytes of data sets per second.
///
/// # Errors
/// If the sender is missing or fails, or not everything arrives.
pub fn measure(
    places: &Places,
    name: &str,
    contender: Contender,
    files: &Path,
    instances: &[Instance],
) -> Result<f64> {
    nix::unistd::sync();
    let running = Running::start(places, contender, &[])?;
    let sop_class = instances.first().map_or("", |instance| &instance.sop_class);
    sender::until_accepting(&running.target, sop_class)?;
    let (host, port) = running.target.address.split_once(':').context("an address with a port")?;
    // The search path may hold other programs under the same names.
    let mut command = Command::new(Path::new("/usr/bin").join(name));
    command.env("TCP_NODELAY", "1");
    command.args(["--quiet", "--max-pdu", "131072", "--scan-directories", "--scan-pattern", "*.dcm"]);
    command.args(["--aetitle", &name.to_uppercase(), "--call", &running.target.ae_title]);
    if name == "storescu" {
        // Its default is to propose every syntax it knows; the files are in this one.
        command.args(["--propose-little", "--required"]);
    }
    command.args([host, port]).arg(files);
    let begun = Instant::now();
    let output = command.stdin(Stdio::null()).output().context("apt-get install dcmtk")?;
    let wall = begun.elapsed();
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    running.check(places, instances)?;
    running.stop()?;
    let bytes = u64::try_from(instances.iter().map(Instance::size).sum::<usize>())?;
    Ok(as_float(bytes) / wall.as_secs_f64())
}
