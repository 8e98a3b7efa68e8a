//! Tools of others. A story that needs one and does not find it fails in one line that names what to install.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A program of DCMTK. Others install programs of the same names, so it must say that it is DCMTK's.
///
/// # Panics
/// If it is not installed.
pub fn dcmtk(name: &str) -> PathBuf {
    let folders = ["/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"].map(PathBuf::from);
    let search = std::env::var_os("PATH").unwrap_or_default();
    let found =
        folders.into_iter().chain(std::env::split_paths(&search)).map(|folder| folder.join(name)).find(
            |path| {
                let said = Command::new(path).arg("--version").output();
                said.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("$dcmtk"))
            },
        );
    found.unwrap_or_else(|| panic!("{name} of DCMTK is missing; on Debian: apt-get install dcmtk"))
}

/// The folder `data/test_files` of pydicom.
///
/// # Panics
/// If pydicom is not installed.
pub fn pydicom_files() -> PathBuf {
    let script =
        "import os, pydicom; print(os.path.join(os.path.dirname(pydicom.__file__), 'data', 'test_files'))";
    let output = python(&["-c", script]);
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    assert!(
        output.status.success() && folder.is_dir(),
        "pydicom with its test files is missing; pip install pydicom"
    );
    folder
}

/// Whether pynetdicom can be used.
///
/// # Panics
/// If it is not installed.
pub fn need_pynetdicom() {
    assert!(
        python(&["-c", "import pynetdicom"]).status.success(),
        "pynetdicom is missing; pip install pydicom pynetdicom"
    );
}

/// Runs Python.
///
/// # Panics
/// If it is not installed.
pub fn python(words: &[&str]) -> Output {
    Command::new("python3")
        .args(words)
        .output()
        .expect("python3 is missing; on Debian: apt-get install python3")
}

/// Whether Orthanc can be used.
///
/// # Panics
/// If it is not installed.
pub fn need_orthanc() {
    assert!(
        Path::new("/usr/sbin/Orthanc").exists() || Path::new("/usr/bin/Orthanc").exists(),
        "Orthanc is missing; on Debian: apt-get install orthanc"
    );
}

/// What a program wrote, both streams together.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat()).into_owned()
}
