//! A network of our own: everything runs in a network namespace that is gone with the last of its programs.
//!
//! The program starts itself again under `unshare`; what listens there is reached from nowhere else, and a line that is
//! made there touches no other.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::wire::ip;

/// Says that we are inside.
const MARK: &str = "BEELDBOX_LINE_INSIDE";

/// Buffers of a connection as Debian's kernel has them, least, at first and most: the machine's own may differ.
const BUFFERS: [(&str, &str); 2] = [("tcp_rmem", "4096 131072 6291456"), ("tcp_wmem", "4096 16384 4194304")];

/// How TCP shares a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Congestion {
    /// The oldest: a lost packet means a full line.
    Reno,
    /// Debian's default, of the same mind. A kernel that has another default may not allow it in a namespace.
    Cubic,
    /// Measures what the line carries, and passes over a lost packet.
    Bbr,
}

impl Congestion {
    /// Its name, as the kernel has it.
    pub fn name(self) -> &'static str {
        match self {
            Congestion::Reno => "reno",
            Congestion::Cubic => "cubic",
            Congestion::Bbr => "bbr",
        }
    }
}

/// Whether this program runs in a namespace of its own already.
pub fn is_inside() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Becomes the same program in a new network namespace. Returns only if that does not work.
///
/// # Errors
/// Why it does not.
pub fn enter() -> Result<()> {
    let own = std::env::current_exe().context("where this program is")?;
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    let mut unshare = Command::new("unshare");
    // Processes have a namespace too, so that whoever ends this one ends all of them.
    unshare.args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    if !is_root {
        unshare.args(["--user", "--map-root-user"]);
    }
    let failed = unshare.arg("--").arg(own).args(std::env::args_os().skip(1)).env(MARK, "1").exec();
    Err(failed).context("`unshare` of util-linux cannot be started")
}

/// Makes the new namespace fit to live in.
///
/// # Errors
/// If this is no namespace of ours, or the kernel refuses.
pub fn furnish(congestion: Congestion) -> Result<()> {
    ip(&["link", "set", "lo", "up"])?;
    let folder = Path::new("/proc/sys/net/ipv4");
    let set = |name: &str, value: &str| {
        std::fs::write(folder.join(name), value).with_context(|| format!("the kernel's {name} cannot be set"))
    };
    for (name, value) in BUFFERS {
        set(name, value)?;
    }
    // A name that the kernel does not have is refused here; better than to measure another.
    set("tcp_congestion_control", congestion.name())?;
    // What earlier connections learned about the line would make the next ones faster or slower.
    set("tcp_no_metrics_save", "1")
}
