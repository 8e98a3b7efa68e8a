//! How every story ends: the same small picture of both boxes, and the contents of the PACS against what was sent.

use std::collections::BTreeMap;

use beeldbox_peer::pacs::RECEIVED_LIST;
use beeldbox_peer::part10::{self, Part10File};

use crate::two_hospitals::{At, Study, TwoHospitals};

/// An instance as far as equality goes: SOP Instance UID, SHA-256 of the data set, transfer syntax.
pub type Print = (String, String, String);

/// Whether a PACS may have been given an instance more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeats {
    /// Every instance came exactly once.
    Never,
    /// After a crash an instance may come again, with the same bytes.
    SameBytes,
}

impl TwoHospitals {
    /// Ends the story: the boxes are as in the picture, the PACS of Zuid holds these studies and nothing else.
    ///
    /// The picture names states with their numbers, such as `noord: delivered 1 | zuid: reported 1`.
    pub async fn ends(self, picture: &str, studies: &[&Study], repeats: Repeats) {
        self.is_so(picture, studies, repeats).await;
        self.stop().await;
    }

    /// The same without ending.
    pub async fn is_so(&self, picture: &str, studies: &[&Study], repeats: Repeats) {
        let found = self.picture().await;
        self.check("both boxes", found.as_str(), picture);
        let sent: Vec<Print> = studies.iter().flat_map(|study| &study.files).map(print_of).collect();
        self.pacs_holds_exactly(At::Zuid, &sent, repeats);
        self.nothing_is_damaged().await;
    }

    /// States with their numbers, of both boxes.
    pub async fn picture(&self) -> String {
        let mut sides = Vec::new();
        for (at, name) in [(At::Noord, "noord"), (At::Zuid, "zuid")] {
            if self.hospital(at).daemon.id() == 0 {
                sides.push(format!("{name}: down"));
                continue;
            }
            let mut counts: BTreeMap<String, u32> = BTreeMap::new();
            let studies = if at == At::Noord { self.studies().await } else { Vec::new() };
            let waiting = studies.iter().map(|line| line.situation.state);
            let moving = self.transfers(at).await;
            for state in waiting.chain(moving.iter().map(|line| line.situation.state)) {
                *counts.entry(format!("{state:?}").to_lowercase()).or_default() += 1;
            }
            let counts: Vec<String> =
                counts.iter().map(|(state, count)| format!("{state} {count}")).collect();
            sides.push(format!(
                "{name}: {}",
                if counts.is_empty() { "-".to_owned() } else { counts.join(", ") }
            ));
        }
        sides.join(" | ")
    }

    /// The PACS was given these instances, byte for byte, and no others: by its own list, and by its files.
    pub fn pacs_holds_exactly(&self, at: At, sent: &[Print], repeats: Repeats) {
        let mut expected = sent.to_vec();
        expected.sort();
        expected.dedup();
        let mut received = self.received(at);
        received.sort();
        if repeats == Repeats::SameBytes {
            received.dedup();
        }
        self.same("what the PACS was given", &received, &expected);
        // Of several contents under one name a PACS keeps the last.
        let mut kept = part10::find(&[self.hospital(at).pacs.store.clone()]).expect("its folder");
        // What a PACS was writing when it was killed has not arrived.
        kept.retain(|file| !file.path.to_string_lossy().contains(".part-"));
        let strange: Vec<Print> =
            kept.iter().map(print_of).filter(|print| !expected.contains(print)).collect();
        self.same("files in the PACS that nobody sent", &strange, &[]);
        let names = |prints: &[Print]| {
            let mut names: Vec<String> = prints.iter().map(|(name, ..)| name.clone()).collect();
            names.dedup();
            names
        };
        let mut kept: Vec<Print> = kept.iter().map(print_of).collect();
        kept.sort();
        self.same("names in the PACS", &names(&kept), &names(&expected));
    }

    /// What a PACS was given, in order, from its own list.
    pub fn received(&self, at: At) -> Vec<Print> {
        let list =
            std::fs::read_to_string(self.hospital(at).pacs.store.join(RECEIVED_LIST)).unwrap_or_default();
        let print = |line: &str| {
            let words: Vec<&str> = line.split('\t').collect();
            match words[..] {
                [name, digest, _, syntax] => (name.to_owned(), digest.to_owned(), syntax.to_owned()),
                _ => self.panic(&format!("a line of the PACS's list: {line}")),
            }
        };
        list.lines().map(print).collect()
    }

    /// `verify` of a box: SOP Instance UID and digest, in order of arrival.
    pub async fn verified(&self, at: At) -> Vec<(String, String)> {
        let said = self.beeldboxctl(at, &["verify"]).await;
        let pair = |line: &str| {
            let (name, digest) = line.split_once(' ')?;
            Some((name.to_owned(), digest.trim().to_owned()))
        };
        said.lines().filter_map(pair).collect()
    }

    async fn nothing_is_damaged(&self) {
        for at in [At::Noord, At::Zuid].into_iter().filter(|at| self.hospital(*at).daemon.id() != 0) {
            self.check("damaged instances", self.status(at).await.damaged, 0);
        }
    }

    /// Compares two lists and, if they differ, tells only where.
    #[track_caller]
    pub fn same<T: PartialEq + std::fmt::Debug>(&self, what: &str, found: &[T], expected: &[T]) {
        if found != expected {
            let missing: Vec<&T> = expected.iter().filter(|item| !found.contains(item)).collect();
            let extra: Vec<&T> = found.iter().filter(|item| !expected.contains(item)).collect();
            self.panic(&format!(
                "{what}: {} found, {} expected\nmissing {missing:#?}\nextra {extra:#?}",
                found.len(),
                expected.len()
            ));
        }
    }
}

/// A file as far as equality goes.
pub fn print_of(file: &Part10File) -> Print {
    let digest = file.digest().expect("a file that can be read").to_string();
    (file.sop_instance.to_string(), digest, file.transfer_syntax.to_string())
}
