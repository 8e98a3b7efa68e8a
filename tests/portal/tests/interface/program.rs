//! The portal as a program, to be killed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use beeldbox_portal::ca::Issued;

use crate::place::Place;

/// A portal that runs as a program, and is killed when this is dropped.
pub struct Program(pub Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the program and gives the URL that it prints.
pub fn start(place: &Place, state: &Path, listen: &str) -> (Program, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_beeldbox-portal"))
        .args(["serve", "--listen", listen, "--port-file", "port", "--state"])
        .arg(state)
        .args(place.arguments())
        .current_dir(state.parent().unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("listening ").expect("it says where it listens").to_owned();
    (Program(child), url)
}

/// A certificate for a box, and that of the authority, made by the program.
pub fn enrol(state: &Path, ura: &str) -> (Issued, String) {
    let out = state.join("enrolled").join(ura);
    let enrolled = Command::new(env!("CARGO_BIN_EXE_beeldbox-portal"))
        .args(["enrol", "--ura", ura, "--name", "Ziekenhuis", "--state"])
        .arg(state)
        .arg("--out-dir")
        .arg(&out)
        .status()
        .unwrap();
    assert!(enrolled.success());
    let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    let issued = Issued { certificate: read("tls.pem"), key: read("tls.key.pem") };
    (issued, read("portal-ca.pem"))
}
