//! Somebody takes the disks of the boxes and of the portal away and looks for a patient.
//!
//! Goal: after transfers that went well, were declined, and were interrupted by a crash, nothing that portal and boxes
//! wrote holds a word about the patient or a piece of a picture. Method: every file of theirs is searched for the made
//! study's own values, in several encodings, and for pieces of its pixels. That the search finds such things is shown
//! on the study's own files first. The keys of a demo are plain files, so what is looked for here is what was never
//! sealed, not what could be opened.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use beeldbox_peer::part10::Part10File;
use beeldbox_peer::study::StudySpec;
use beeldbox_protocol::admin::{DeclineCode, Question, StateCode};
use beeldbox_scenarios::ending::Repeats;
use beeldbox_scenarios::two_hospitals::{At, NOTE, REPLY_CONTACT, TwoHospitals};
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};

const FAMILY: &str = "Zwaluwenburg";
const GIVEN: &str = "Quirijntje";

#[tokio::test]
async fn nothing_about_the_patient_stands_on_a_disk_or_in_a_log() {
    let story = TwoHospitals::start().await;
    let spec = |seed| StudySpec {
        slices: 20,
        size: 128,
        seed,
        patient: format!("{FAMILY}^{GIVEN}"),
        ..StudySpec::default()
    };
    let (delivered, declined) = (story.a_study_of(&spec(7345)), story.a_study_of(&spec(7346)));
    story.goes_through(&delivered).await;
    let transfer = story.send(&declined).await;
    story.until_state(At::Zuid, transfer, StateCode::Opened).await;
    // Recovery writes about what it finds.
    story.kill(At::Noord).await;
    story.kill(At::Zuid).await;
    story
        .ask(At::Zuid, Question::Decline { transfer, reason: DeclineCode::UnknownPatient, belongs_at: None })
        .await;
    story.until_state(At::Noord, transfer, StateCode::Declined).await;
    // Answers carry patient data, and nobody may write them down.
    for command in ["studies", "transfers", "audit", "verify"] {
        story.beeldboxctl(At::Noord, &[command]).await;
    }

    let mut search = Search::default();
    let spec = spec(7345);
    search.words(&[
        FAMILY,
        GIVEN,
        &spec.bsn,
        "4317345",
        "4317346",
        NOTE,
        "mevrouw is ongerust",
        REPLY_CONTACT,
    ]);
    // Words of the report, the study's description, birth date.
    search.words(&["Longparenchym", "Solide nodus", "verdacht voor", &spec.description, &spec.born]);
    let pictures =
        delivered.files.iter().chain(&declined.files).map(|file| search.pictures(file)).sum::<usize>();
    assert!(pictures > 100, "only {pictures} pieces of pictures to look for");

    for study in [&delivered, &declined] {
        let folder = study.files[0].path.parent().expect("a folder");
        let found = search.folder(folder);
        assert!(found.len() > study.files.len(), "the search does not find what is there: {found:?}");
    }
    assert!(
        !search.folder(&story.hospital(At::Zuid).pacs.store).is_empty(),
        "the search finds nothing in the PACS"
    );

    let mut looked_at = 0;
    for folder in ["portal", "noord", "zuid", "log"].map(|name| story.root().join(name)) {
        let found = search.folder(&folder);
        assert!(found.is_empty(), "found in {}: {found:#?}", folder.display());
        looked_at += files_under(&folder).len();
    }
    assert!(looked_at > 20, "only {looked_at} files were there to look at");
    for log in ["noord-box", "zuid-box", "portal"] {
        assert!(!story.log(log).contains(delivered.uid.as_str()), "a study's UID stands in the log {log}");
    }
    story
        .ends("noord: declined 1, delivered 1 | zuid: declined 1, reported 1", &[&delivered], Repeats::Never)
        .await;
}

/// Shortest thing looked for: shorter ones stand everywhere by chance.
const SHORTEST: usize = 5;

/// What is looked for, by its first bytes.
#[derive(Default)]
struct Search {
    needles: HashMap<[u8; SHORTEST], Vec<(Vec<u8>, String)>>,
}

impl Search {
    /// Words in every encoding in which a program might write them, and in lower case.
    fn words(&mut self, words: &[&str]) {
        for word in words {
            for text in [(*word).to_owned(), word.to_lowercase(), word.to_uppercase()] {
                let latin: Vec<u8> = text.chars().filter_map(|c| u8::try_from(u32::from(c)).ok()).collect();
                let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
                let other_wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
                let bytes = text.as_bytes().to_vec();
                self.add(HEXLOWER.encode(&bytes).into_bytes(), format!("{word} in hexadecimal"));
                for (shift, encoded) in in_base64(&bytes) {
                    self.add(encoded, format!("{word} in Base64, at {shift}"));
                }
                self.add(wide, format!("{word} in UTF-16"));
                self.add(other_wide, format!("{word} in UTF-16BE"));
                self.add(latin, format!("{word} in ISO 8859-1"));
                self.add(bytes, (*word).to_owned());
            }
        }
    }

    /// Pieces of 64 bytes of the end of a file, where its pixels are, if they have something to tell.
    fn pictures(&mut self, file: &Part10File) -> usize {
        let bytes = std::fs::read(&file.path).expect("a file of the study");
        let mut added = 0;
        for part in [2, 3, 4, 5] {
            let at = bytes.len() * part / 6 / 2 * 2;
            let piece = &bytes[at..at + 64];
            let mut values: Vec<u8> = piece.to_vec();
            values.sort_unstable();
            values.dedup();
            if values.len() >= 12 {
                self.add(piece.to_vec(), format!("bytes {at} of {}", file.path.display()));
                added += 1;
            }
        }
        added
    }

    fn add(&mut self, needle: Vec<u8>, what: String) {
        if let Some(first) = needle.first_chunk::<SHORTEST>() {
            self.needles.entry(*first).or_default().push((needle, what));
        }
    }

    /// What was found in which file.
    fn folder(&self, folder: &Path) -> Vec<(PathBuf, String)> {
        let mut begins = vec![false; 1 << 16];
        for first in self.needles.keys() {
            begins[usize::from(u16::from_be_bytes([first[0], first[1]]))] = true;
        }
        let mut found = Vec::new();
        for file in files_under(folder) {
            let content = std::fs::read(&file).expect("a file that was there");
            for (at, pair) in content.windows(2).enumerate() {
                if !begins[usize::from(u16::from_be_bytes([pair[0], pair[1]]))] {
                    continue;
                }
                let rest = &content[at..];
                let Some(needles) = rest.first_chunk::<SHORTEST>().and_then(|first| self.needles.get(first))
                else {
                    continue;
                };
                for (needle, what) in needles.iter().filter(|(needle, _)| rest.starts_with(needle)) {
                    found.push((file.clone(), format!("{what}, {} bytes at {at}", needle.len())));
                }
            }
        }
        found
    }
}

/// In Base64, from each of the three places in a group of three; the ends, which depend on the neighbours, cut off.
fn in_base64(bytes: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut encoded = Vec::new();
    for shift in 0..3 {
        let mut padded = vec![0; shift];
        padded.extend_from_slice(bytes);
        for text in [BASE64.encode(&padded), BASE64URL_NOPAD.encode(&padded)] {
            let kept = text.trim_end_matches('=').as_bytes();
            let from = if shift == 0 { 0 } else { 4 };
            let to = kept.len() - 2;
            // Short pieces stand by chance in the text of certificates.
            if to > from + 7 {
                encoded.push((shift, kept[from..to].to_vec()));
            }
        }
    }
    encoded
}

fn files_under(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder that is there").flatten() {
        let kind = entry.file_type().expect("a file that is there");
        if kind.is_dir() {
            files.extend(files_under(&entry.path()));
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    files
}
