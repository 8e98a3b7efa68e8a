//! A fake daemon to make pages with: `cargo run -p beeldbox-admin --example fake_box -- /tmp/box.sock`.
//!
//! Images of one study keep arriving and one transfer keeps moving, so that live pages have something to follow. With
//! `--busy` after the socket a new study arrives every five seconds.

#[path = "../tests/fake_box/mod.rs"]
mod fake_box;

use std::path::PathBuf;
use std::time::Duration;

use fake_box::FakeBox;
use jiff::Timestamp;

#[allow(clippy::disallowed_methods, reason = "a program to develop with, where real time is wanted")]
fn main() {
    let socket = std::env::args().nth(1).map(PathBuf::from).expect("usage: fake_box SOCKET");
    let _ = std::fs::remove_file(&socket);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be started");
    runtime.block_on(async {
        let fake = FakeBox::new(Timestamp::now());
        fake.listen(socket);
        let is_busy = std::env::args().any(|argument| argument == "--busy");
        for second in 1_i64.. {
            tokio::time::sleep(Duration::from_secs(1)).await;
            fake.change(|world| {
                world.now = Timestamp::now();
                if is_busy && second % 5 == 0 {
                    let mut line = world.studies[1].clone();
                    line.study.0 = 100 + second;
                    world.studies.insert(0, line);
                }
                if let Some(line) = world.studies.iter_mut().find(|line| line.study.0 == 18) {
                    line.summary.instances += 3;
                    line.last_instance_at = world.now;
                }
                if let Some(detail) = world.sent.iter_mut().find(|detail| detail.line.situation.of > 0) {
                    let situation = &mut detail.line.situation;
                    situation.done = (situation.done + 7) % situation.of;
                }
            });
        }
    });
}
