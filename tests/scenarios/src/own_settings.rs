//! Stories with DICOM settings of their own, and what is sent to other names and ports of the box.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use beeldbox_demo::child::until_listening;
use beeldbox_demo::hospital::DemoOptions;
use beeldbox_demo::place::Place;
use beeldbox_dicom::PeerNode;
use beeldbox_peer::part10::Part10File;
use beeldbox_peer::send::{Sent, send_files};
use beeldbox_protocol::admin::{Question, StudyLine};

use crate::ending::print_of;
use crate::two_hospitals::{At, PortalRuns, Study, TwoHospitals, is_of};

impl TwoHospitals {
    /// All programs, where Noord and Zuid have more settings: `more` gets the place, the hospital's word (`noord`, `zuid`)
    /// and its folder.
    pub async fn start_with_settings(
        more: impl Fn(&Place, &str, &Path) -> String + Send + Sync + 'static,
    ) -> Self {
        let prepare = move |place: &Place, word: &str, folder: &Path| Ok(more(place, word, folder));
        let options = DemoOptions { prepare: Some(Arc::new(prepare)), ..DemoOptions::default() };
        Self::start_with(PortalRuns::AsProgram, &options).await
    }

    /// A node sends files to the box of Noord under one of its names. Tells what became of each.
    pub async fn send_to(&self, called: &str, calling: &str, files: &[Part10File]) -> Vec<Sent> {
        let to = PeerNode::plain(called.parse().expect("an AE title"), &*self.demo.noord.dicom);
        let calling = calling.parse().expect("an AE title");
        send_files(&to, &calling, files, |_| ()).await.expect("told per file")
    }

    /// The same, where all must be stored.
    pub async fn stored_at(&self, called: &str, calling: &str, files: &[Part10File]) {
        let sent = self.send_to(called, calling, files).await;
        if let Some(lost) = sent.iter().find(|sent| !sent.is_stored()) {
            self.panic(&format!("the box did not store an instance: {lost:?}"));
        }
    }

    /// The study as it stands in the list of Noord, if it does.
    pub async fn line_of(&self, study: &Study) -> Option<StudyLine> {
        self.studies().await.into_iter().find(|line| is_of(line, &study.uid))
    }

    /// A technician closes a study.
    pub async fn close(&self, line: &StudyLine) {
        self.ask(At::Noord, Question::CloseStudy { study: line.study }).await;
    }

    /// `verify` at Noord says exactly the names and digests of these files.
    pub async fn verifies_exactly(&self, files: &[&Part10File]) {
        let mut expected: Vec<(String, String)> = files
            .iter()
            .map(|file| {
                let (name, digest, _) = print_of(file);
                (name, digest)
            })
            .collect();
        let mut verified = self.verified(At::Noord).await;
        expected.sort();
        verified.sort();
        self.same("`verify` at Noord", &verified, &expected);
    }

    /// Waits until a program's log says this.
    pub async fn until_log_says(&self, log: &str, words: &str) {
        self.until(&format!("the log {log} says \"{words}\""), async || self.log(log).contains(words)).await;
    }

    /// Starts a foreign program that listens on a port of the place, with its output in the logs.
    pub async fn start_foreign(&self, name: &str, port: u16, command: &mut Command) -> Foreign {
        let log = self.root().join("log").join(format!("{name}.log"));
        let file = std::fs::File::options().create(true).append(true).open(&log).expect("a log");
        let errors = file.try_clone().expect("a log");
        let started = command.stdin(Stdio::null()).stdout(file).stderr(errors).spawn();
        let program = Foreign(started.expect("it was found"));
        if let Err(error) = until_listening(&format!("127.0.0.1:{port}"), &log).await {
            self.panic(&format!("{name}: {error:#}"));
        }
        program
    }
}

/// A foreign program; ends with the story.
pub struct Foreign(Child);

impl Drop for Foreign {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
