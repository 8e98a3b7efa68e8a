//! A box in a virtual machine: the real image, with UEFI Secure Boot and a TPM, by software emulation. It is driven only
//! from outside, as a hospital would: a set-up stick, its ports, its power switch, what its screen says.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use beeldbox_demo::pki::National;

/// The top of the repository.
///
/// # Panics
/// If this crate is no longer two folders below it.
pub fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("this crate lies two folders below the top of the repository")
}

/// A box that runs. Dropping it cuts its power.
#[derive(Debug)]
pub struct Appliance {
    machine: Child,
    serial: PathBuf,
    state: PathBuf,
    first_port: u16,
}

impl Appliance {
    /// Switches a box on. The state is a folder: empty for a new box, otherwise the box that was there before. Its ports
    /// are `first_port` (pages), the next (DICOM) and the one after (DICOM TLS), on the loopback address.
    ///
    /// # Errors
    /// If the virtual machine cannot be started.
    pub fn switch_on(state: &Path, stick: Option<&Path>, first_port: u16) -> Result<Appliance> {
        let serial = state.join("serial.log");
        fs::create_dir_all(state)?;
        // What was said before must not be taken for what is said now.
        fs::write(&serial, "")?;
        let mut run = Command::new(root().join("image-build/run"));
        run.arg("--state").arg(state).arg("--serial").arg(&serial).args(["--ports", &first_port.to_string()]);
        if let Some(stick) = stick {
            run.arg("--stick").arg(stick);
        }
        let log = fs::File::create(state.join("machine.log"))?;
        let machine = run.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        let machine = machine.context("image-build/run")?;
        Ok(Appliance { machine, serial, state: state.to_owned(), first_port })
    }

    /// Waits until the screen says something, and gives everything that it said.
    ///
    /// # Errors
    /// If the machine ends, or it takes longer.
    pub fn until_it_says(&mut self, words: &str, at_most: Duration) -> Result<String> {
        let began = Instant::now();
        loop {
            let said = self.said()?;
            if said.contains(words) {
                return Ok(said);
            }
            if let Some(status) = self.machine.try_wait()? {
                let log = fs::read_to_string(self.state.join("machine.log")).unwrap_or_default();
                bail!("the machine ended ({status}) before it said {words:?}: {log}{}", last_lines(&said));
            }
            ensure!(
                began.elapsed() < at_most,
                "it did not say {words:?} in {at_most:?}:{}",
                last_lines(&said)
            );
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    /// Everything that the serial port said since the box was switched on.
    ///
    /// # Errors
    /// If its file cannot be read.
    pub fn said(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.serial)?).into_owned())
    }

    /// Where the pages are, `host:port`.
    pub fn pages(&self) -> String {
        format!("127.0.0.1:{}", self.first_port)
    }

    /// The port of the DICOM node.
    pub fn dicom_port(&self) -> u16 {
        self.first_port + 1
    }

    /// Its disk, as a thief would find it.
    pub fn disk(&self) -> PathBuf {
        self.state.join("disk.raw")
    }

    /// Cuts the power.
    ///
    /// # Errors
    /// If the machine cannot be ended.
    pub fn cut_power(mut self) -> Result<()> {
        self.machine.kill()?;
        self.machine.wait()?;
        Ok(())
    }
}

impl Drop for Appliance {
    fn drop(&mut self) {
        // Whatever is left of it: there is nobody to tell.
        let _gone = self.machine.kill();
        let _gone = self.machine.wait();
    }
}

fn last_lines(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    let from = lines.len().saturating_sub(30);
    format!("\n{}", lines.get(from..).unwrap_or_default().join("\n"))
}

/// Makes a set-up stick for a hospital with a signing certificate of its own, in the folder; gives the stick's image.
///
/// # Errors
/// If a file cannot be written, or the stick's tools are not there.
pub fn set_up_stick(folder: &Path) -> Result<PathBuf> {
    let authority = folder.join("authority");
    let settings = folder.join("settings");
    let credentials = settings.join("credentials");
    fs::create_dir_all(&authority)?;
    fs::create_dir_all(&credentials)?;
    let national = National::open(&authority)?;
    national.equip(&credentials, "90000101", "Ziekenhuis Noord")?;
    // Nothing in these tests asks the portal; its authority must be there all the same.
    fs::copy(national.anchor(), settings.join("trust-anchors.pem"))?;
    fs::copy(national.anchor(), settings.join("portal-authority.pem"))?;
    fs::copy(root().join("firmware/dist/beeldbox.toml"), settings.join("beeldbox.toml"))?;
    let stick = folder.join("stick.img");
    let made = Command::new(root().join("image-build/stick")).arg(&settings).arg(&stick).output();
    let made = made.context("image-build/stick")?;
    ensure!(made.status.success(), "image-build/stick: {}", String::from_utf8_lossy(&made.stderr));
    Ok(stick)
}

/// Runs a program to its end and gives what it said; fails if it fails.
///
/// # Errors
/// If it cannot be started, or says that it failed.
pub fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| name.clone())?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    ensure!(output.status.success(), "{name}: {said}");
    Ok(said)
}

/// Whether these bytes stand anywhere on a disk, as they are.
///
/// # Errors
/// If the disk cannot be read.
pub fn is_on_disk(disk: &Path, marker: &[u8]) -> Result<bool> {
    let mut file = fs::File::open(disk)?;
    let mut window = Vec::new();
    let mut piece = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok(false);
        }
        window.extend_from_slice(piece.get(..read).unwrap_or_default());
        if window.windows(marker.len()).any(|bytes| bytes == marker) {
            return Ok(true);
        }
        // What may be the beginning of it.
        window.drain(..window.len().saturating_sub(marker.len()));
    }
}
