//! A small study over a good line and over one that loses packets and is cut: it arrives, byte for byte, and little is
//! sent again. The whole measurement is the program's.

use std::process::Command;

#[test]
fn a_small_study_crosses_a_lossy_line_that_is_cut_and_little_is_sent_again() {
    let program = env!("CARGO_BIN_EXE_beeldbox-line");
    let words = ["lines", "--slice", "--congestion", "bbr", "--limit-secs", "240"];
    let output = Command::new(program).args(words).output().expect("it was built");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (said, complained) = (text(&output.stdout), text(&output.stderr));
    println!("{said}\n{complained}");
    assert!(output.status.success(), "{complained}");
}
