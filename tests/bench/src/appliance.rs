//! The box as a contender: keys made for the occasion, a portal that cannot be reached (a box must receive all the
//! same), and the proof that it holds what it was sent.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use beeldbox_demo::pki::National;

use crate::sender::{CALLING, Target};
use crate::workload::Instance;

/// Its AE title.
const AE_TITLE: &str = "BEELDBOX";

/// Writes keys and settings into `folder`; gives the command that starts the box.
///
/// # Errors
/// If the folder cannot be written.
pub fn command(programs: &Path, folder: &Path, port: u16) -> Result<(Command, Target)> {
    let credentials = folder.join("credentials");
    fs::create_dir_all(&credentials)?;
    let authority = folder.join("authority");
    fs::create_dir_all(&authority)?;
    let national = National::open(&authority)?;
    national.equip(&credentials, "90000381", "Ziekenhuis Noord")?;
    // Nothing answers at the portal's address, so the signing key will do for its TLS too.
    fs::copy(credentials.join("signing-key.pem"), credentials.join("tls-key.pem"))?;
    fs::copy(credentials.join("signing-certificate.pem"), credentials.join("tls-certificate.pem"))?;
    fs::copy(national.anchor(), folder.join("trust-anchors.pem"))?;
    let address = format!("127.0.0.1:{port}");
    let settings = folder.join("beeldbox.toml");
    let text = format!(
        "[box]\nname = \"Bench\"\nstate_dir = \"state\"\nadmin_socket = \"admin.sock\"\n\n\
         [dicom]\nae_title = \"{AE_TITLE}\"\nlisten = \"{address}\"\nquiet_time_secs = 3600\n\
         [[dicom.peers]]\nae_title = \"{CALLING}\"\n[[dicom.peers]]\nae_title = \"STORESCU\"\n\
         [[dicom.peers]]\nae_title = \"DCMSEND\"\n\n\
         [pacs]\nae_title = \"PACS\"\naddress = \"127.0.0.1:1\"\n\n\
         [portal]\nurl = \"https://127.0.0.1:1\"\nauthority = \"trust-anchors.pem\"\n\n\
         [trust]\nanchors = \"trust-anchors.pem\"\n\n\
         [credentials]\ndirectory = \"credentials\"\n\n\
         [keeping]\nreserve_mib = 64\nballast_mib = 8\n"
    );
    fs::write(&settings, text)?;
    let mut command = Command::new(programs.join("beeldboxd"));
    command.arg("--settings").arg(&settings);
    Ok((command, Target { address, ae_title: AE_TITLE.to_owned() }))
}

/// Where the box in `folder` answers questions.
pub fn socket(folder: &Path) -> PathBuf {
    folder.join("admin.sock")
}

/// Has the box read and authenticate everything it holds, and compares the digests with what was sent.
///
/// # Errors
/// If anything is missing, too much or different.
pub fn verify(programs: &Path, folder: &Path, sent: &[Instance]) -> Result<()> {
    let output = Command::new(programs.join("beeldboxctl"))
        .arg("--socket")
        .arg(socket(folder))
        .arg("verify")
        .output()
        .context("beeldboxctl")?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "verify: {said}{}", String::from_utf8_lossy(&output.stderr));
    let held: BTreeMap<&str, &str> = said.lines().filter_map(|line| line.split_once(' ')).collect();
    for instance in sent {
        let digest = held.get(instance.sop_instance.as_str()).context("an instance is not in the box")?;
        ensure!(digest.trim() == instance.digest().to_string(), "an instance differs in the box");
    }
    Ok(())
}
