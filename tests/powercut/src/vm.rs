//! The virtual machine whose power is cut: a stock kernel, a start-up folder made here, one disk.
//!
//! It is emulated, so that it runs where no hardware helps; what counts is that its page cache is its own and is really
//! lost. The disk is either recorded write by write or a plain file, and the machine is killed when this drops it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::archive::Archive;
use crate::mount::FileSystem;

/// Room for markers behind the file system, in bytes.
pub const MARKER_AREA: u64 = 64 << 20;

/// Kernel modules to load, in this order; what a kernel has built in is left out.
const MODULES: [&str; 8] = [
    "virtio_ring",
    "virtio",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "virtio_blk",
    "libcrc32c",
    "xfs",
];

/// Memory of the machine, in MiB.
const MEMORY: &str = "384";

/// What the machine's disk is.
pub enum Disk<'a> {
    /// A file.
    Plain(&'a Path),
    /// A file, and another in which every write and flush is recorded.
    Recorded(&'a Path, &'a Path),
}

/// A running machine.
pub struct Machine {
    process: Child,
    console: PathBuf,
}

/// Kernel and start-up folder, ready to start machines from.
pub struct Boot {
    kernel: PathBuf,
    start: PathBuf,
}

impl Boot {
    /// Finds the kernel that `cargo suite` unpacked and makes the start-up folder. `arguments` are for this program
    /// inside the machine.
    ///
    /// # Errors
    /// If something is missing; the error says what to install.
    pub fn prepare(folder: &Path, program: &Path, file_system: FileSystem) -> Result<Self> {
        let unpacked = kernel_folder(program)?;
        let kernel = only(&unpacked.join("boot"), "vmlinuz-")?;
        let modules = only(&unpacked.join("lib/modules"), "")?;
        let mut archive = Archive::default();
        for name in ["bin", "dev", "proc", "disk", "tmp", "modules", "lib64"] {
            archive.folder(name);
        }
        archive.file("bin/busybox", 0o755, &read("/bin/busybox".as_ref())?);
        let mut init = "#!/bin/busybox sh\n\
             /bin/busybox mount -t proc proc /proc\n\
             /bin/busybox mount -t devtmpfs dev /dev\n\
             /bin/busybox mount -t tmpfs tmp /tmp\n"
            .to_owned();
        for module in MODULES {
            if let Some(found) = find(&modules.join("kernel"), &format!("{module}.ko"))? {
                archive.file(&format!("modules/{module}.ko"), 0o644, &read(&found)?);
                init += &format!("/bin/busybox insmod /modules/{module}.ko\n");
            }
        }
        init += &format!(
            "/bin/busybox mount -t {} /dev/vda /disk && /bin/busybox echo mounted\n\
             /program guest /disk/custody /tmp /dev/vda {} $(/bin/busybox cat /proc/cmdline | /bin/busybox sed 's/.*guest: //')\n\
             /bin/busybox echo program ended with $?\n\
             /bin/busybox reboot -f\n",
            file_system.name(),
            file_system.size(),
        );
        archive.file("init", 0o755, init.as_bytes());
        add_program(&mut archive, program)?;
        let start = folder.join("start");
        fs::write(&start, archive.end())?;
        Ok(Boot { kernel, start })
    }

    /// Starts a machine.
    ///
    /// # Errors
    /// If QEMU does not start.
    pub fn start(&self, disk: &Disk<'_>, arguments: &str, console: &Path) -> Result<Machine> {
        let drive = match disk {
            Disk::Plain(file) => {
                format!("driver=raw,node-name=disk,file.driver=file,file.filename={}", file.display())
            }
            Disk::Recorded(file, log) => format!(
                "driver=blklogwrites,node-name=disk,log-sector-size=512,file.driver=file,file.filename={},\
                 log.driver=file,log.filename={}",
                file.display(),
                log.display()
            ),
        };
        let process = Command::new("qemu-system-x86_64")
            .args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-monitor", "none"])
            .args(["-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", MEMORY, "-serial"])
            .arg(format!("file:{}", console.display()))
            .arg("-kernel")
            .arg(&self.kernel)
            .arg("-initrd")
            .arg(&self.start)
            .arg("-append")
            .arg(format!("console=ttyS0 quiet panic=-1 mitigations=off guest: {arguments}"))
            .args(["-blockdev", &drive, "-device", "virtio-blk-pci,drive=disk"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("qemu-system-x86_64 does not start")?;
        Ok(Machine { process, console: console.to_owned() })
    }
}

impl Machine {
    /// Waits until the machine ends by itself.
    ///
    /// # Errors
    /// If it does not in time, or its program failed.
    pub fn wait(mut self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        while self.process.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("the machine does not end; its console:\n{}", self.console_text());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let text = self.console_text();
        ensure!(
            text.contains("program ended with 0"),
            "the program in the machine failed; its console:\n{text}"
        );
        Ok(())
    }

    /// Waits until its console shows some words.
    ///
    /// # Errors
    /// If it does not in time.
    pub fn wait_for(&mut self, words: &str, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        while !self.console_text().contains(words) {
            let ended = self.process.try_wait()?.is_some();
            if ended || Instant::now() > deadline {
                bail!("the machine does not come so far; its console:\n{}", self.console_text());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Cuts the power.
    pub fn cut(self) {
        drop(self);
    }

    /// What its console shows.
    pub fn console_text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.console).unwrap_or_default()).into_owned()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and that is fine.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Whether there is a kernel to start machines with.
pub fn has_kernel(program: &Path) -> bool {
    kernel_folder(program).is_ok()
}

/// Where `cargo suite` unpacked the kernel: beside the folder of the build that made this program.
fn kernel_folder(program: &Path) -> Result<PathBuf> {
    let found = program.ancestors().map(|above| above.join("suite/kernel")).find(|folder| folder.is_dir());
    found.context(
        "no kernel for the virtual machine: cargo suite downloads and unpacks linux-image-cloud-amd64",
    )
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("read {}", path.display()))
}

/// The one entry of a folder whose name begins so.
fn only(folder: &Path, beginning: &str) -> Result<PathBuf> {
    for entry in fs::read_dir(folder).with_context(|| format!("look into {}", folder.display()))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(beginning) {
            return Ok(entry.path());
        }
    }
    bail!("nothing in {} begins with {beginning}", folder.display())
}

/// A file of this name somewhere below a folder.
fn find(folder: &Path, name: &str) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if let Some(found) = find(&path, name)? {
                return Ok(Some(found));
            }
        } else if path.file_name().is_some_and(|found| found == name) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Adds this program, without its debugging notes, and the libraries it needs.
fn add_program(archive: &mut Archive, program: &Path) -> Result<()> {
    let stripped = tempfile::NamedTempFile::new()?;
    let done = Command::new("strip").arg("-o").arg(stripped.path()).arg(program).status();
    let smaller = done.is_ok_and(|status| status.success());
    archive.file("program", 0o755, &read(if smaller { stripped.path() } else { program })?);
    let listed = Command::new("ldd").arg(program).output().context("ldd does not start")?;
    for line in String::from_utf8_lossy(&listed.stdout).lines() {
        let Some(library) = line.split_whitespace().find(|word| word.starts_with('/')) else { continue };
        archive.file_with_folders(library.trim_start_matches('/'), 0o755, &read(library.as_ref())?);
    }
    Ok(())
}
