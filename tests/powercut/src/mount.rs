//! Mounting an image for a moment. Whoever mounts is in a mount namespace of its own ([`in_own_namespace`]), so that
//! nothing stays mounted and no loop device stays taken, whatever ends the process.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A file system that the box may be installed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum FileSystem {
    /// ext4, with its journal and barriers on, as they are unless someone turns them off.
    Ext4,
    /// XFS.
    Xfs,
}

impl FileSystem {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            FileSystem::Ext4 => "ext4",
            FileSystem::Xfs => "xfs",
        }
    }

    /// The smallest comfortable size, in bytes: XFS makes nothing below 300 MB.
    pub fn size(self) -> u64 {
        match self {
            FileSystem::Ext4 => 128 << 20,
            FileSystem::Xfs => 320 << 20,
        }
    }

    /// Makes an empty one in the first [`FileSystem::size`] bytes of an image.
    ///
    /// # Errors
    /// If its program is missing or fails.
    pub fn make(self, image: &Path) -> Result<()> {
        let mut command = match self {
            FileSystem::Ext4 => {
                let mut command = Command::new("mkfs.ext4");
                command.args(["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"]).arg(image);
                command.arg(format!("{}k", self.size() >> 10));
                command
            }
            FileSystem::Xfs => {
                let mut command = Command::new("mkfs.xfs");
                command.args(["-q", "-f", "-d"]).arg(format!("size={}", self.size())).arg(image);
                command
            }
        };
        run(command.env("PATH", search_path()))
    }
}

/// The search path, with the folder where such programs are.
fn search_path() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

/// The command that runs a program in a mount namespace of its own.
pub fn in_own_namespace(program: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]).arg(program);
    command
}

/// An image that is mounted as long as this lives.
pub struct Mounted {
    at: PathBuf,
}

impl Mounted {
    /// Mounts an image; the file system reads its journal.
    ///
    /// # Errors
    /// If it cannot be mounted.
    pub fn image(image: &Path, file_system: FileSystem, at: &Path) -> Result<Self> {
        std::fs::create_dir_all(at)?;
        let options = match file_system {
            FileSystem::Ext4 => "loop",
            FileSystem::Xfs => "loop,nouuid",
        };
        run(Command::new("mount").args(["-t", file_system.name(), "-o", options]).arg(image).arg(at))
            .context("the file system does not come back")?;
        Ok(Mounted { at: at.to_owned() })
    }

    /// Mounts memory of a fixed size.
    ///
    /// # Errors
    /// If it cannot be mounted.
    pub fn memory(bytes: u64, at: &Path) -> Result<Self> {
        std::fs::create_dir_all(at)?;
        let size = format!("size={bytes}");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at))?;
        Ok(Mounted { at: at.to_owned() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.at
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // If it is still in use it goes when the namespace goes.
        drop(run(Command::new("umount").arg(&self.at)));
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("{command:?} does not start"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
