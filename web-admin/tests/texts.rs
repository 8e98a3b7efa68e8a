//! Texts and their use belong together: no key without a text, no text without a use, no word in a template.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::path::Path;

use beeldbox_admin::lang;

fn read_all(folder: &Path, texts: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, texts);
        } else {
            texts.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
        }
    }
}

fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = Vec::new();
    read_all(&root.join("src"), &mut texts);
    read_all(&root.join("templates"), &mut texts);
    texts
}

#[test]
fn every_text_is_used_and_every_key_has_a_text() {
    let known: BTreeSet<&str> = lang::keys().into_iter().collect();
    let files: BTreeSet<&str> = known.iter().filter_map(|key| key.split('.').next()).collect();
    let mut used = BTreeSet::new();
    for (path, text) in sources() {
        for literal in text.split('"') {
            let Some((file, name)) = literal.split_once('.') else { continue };
            let is_key = files.contains(file)
                && !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            // Both name files.
            let names_files = ["src/assets.rs", "src/settings.rs"].iter().any(|file| path.ends_with(file));
            if is_key && !names_files {
                assert!(known.contains(literal), "{path}: no text for {literal}");
                used.insert(literal.to_owned());
            }
        }
    }
    let unused: Vec<&&str> = known.iter().filter(|key| !used.contains(**key)).collect();
    assert!(unused.is_empty(), "texts that nobody shows: {unused:?}");
}

#[test]
fn only_reviewed_types_skip_escaping() {
    for (path, text) in sources() {
        assert!(!text.contains("|safe"), "{path} marks output as safe");
        let may = ["view/icon.rs", "view/patient.rs"].iter().any(|file| path.ends_with(file));
        assert!(may || !text.contains("impl HtmlSafe"), "{path} skips escaping");
    }
}

#[test]
fn templates_cannot_reach_into_a_patient() {
    for (path, text) in sources() {
        if path.ends_with(".html") && !path.contains("patient_") {
            for field in ["patient.name", "patient.family", "patient.bsn", "patient.id", "patient.birth"] {
                assert!(!text.contains(field), "{path} prints {field} alone");
            }
        }
    }
}

#[test]
fn style_and_scripts_stay_small_and_self_contained() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
    let mut texts = Vec::new();
    read_all(&root, &mut texts);
    for (path, text) in texts {
        assert!(text.len() < 18 * 1024, "{path} has grown to {} bytes", text.len());
        let foreign = text.replace("http://www.w3.org/2000/svg", "");
        assert!(
            !foreign.contains("http://") && !foreign.contains("https://"),
            "{path} asks for something elsewhere"
        );
        assert!(!text.contains("innerHTML") && !text.contains("eval("), "{path}");
    }
}
