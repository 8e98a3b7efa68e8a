//! What documents say: links that lead somewhere, nothing about the machine they were written on, and words that the
//! sources still use.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use beeldbox_tidy::{TextFile, demand_none, files_ending, root};

/// Places on somebody's machine. Written apart, because this file is read too.
const MACHINE_PATHS: [&str; 3] = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

/// Hosts from which packages come. Packages are named; where they come from is a setting of the machine.
const REGISTRY_HOSTS: [&str; 7] = [
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("npmjs", ".org"),
    concat!("npmjs", ".com"),
    concat!("deb.debian", ".org"),
    concat!("ftp.debian", ".org"),
];

fn documents() -> Vec<TextFile> {
    files_ending(".md")
}

/// Everything a person may read or quote; `Cargo.lock` is the machine's.
fn readable() -> Vec<TextFile> {
    [".md", ".toml", ".rs", ".json", ".html"].into_iter().flat_map(files_ending).collect()
}

fn lines_with(files: &[TextFile], words: &[&str]) -> Vec<String> {
    files
        .iter()
        .flat_map(|file| {
            let lines = file.text.lines().enumerate();
            lines
                .filter(|(_, line)| words.iter().any(|word| line.contains(word)))
                .map(|(at, line)| format!("{}:{}: {}", file.path, at + 1, line.trim()))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn no_file_names_a_place_on_somebodys_machine() {
    let found = lines_with(&readable(), &MACHINE_PATHS);
    demand_none(&found, "Write paths from the top of the repository, or the place on the appliance:");
}

#[test]
fn no_file_names_the_host_of_a_registry() {
    let found = lines_with(&readable(), &REGISTRY_HOSTS);
    demand_none(&found, "Name the package; where packages come from is a setting of each machine:");
}

/// Targets of the links in a document, with their lines; what stands in code is no link.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut is_code = false;
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        if is_code {
            continue;
        }
        let outside_code: String = line.split('`').step_by(2).collect::<Vec<_>>().join("code");
        for rest in outside_code.split("](").skip(1) {
            let target = rest.split([')', ' ']).next().unwrap_or_default();
            found.push((at + 1, target.to_owned()));
        }
    }
    found
}

/// `a/b/../c` as `a/c`; nothing if it leads out of the repository.
fn resolved(path: &Path) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                if !out.pop() {
                    return None;
                }
            }
            Component::CurDir => {}
            Component::Normal(name) => out.push(name),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(out)
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let root = root();
    let mut found = Vec::new();
    for file in documents() {
        let folder = Path::new(&file.path).parent().unwrap_or(Path::new("")).to_owned();
        for (line, target) in links(&file.text) {
            let is_elsewhere =
                target.contains("://") || target.starts_with("mailto:") || target.starts_with('#');
            let path = target.split('#').next().unwrap_or_default();
            if is_elsewhere || path.is_empty() {
                continue;
            }
            let exists = resolved(&folder.join(path)).is_some_and(|inside| root.join(inside).exists());
            if !exists {
                found.push(format!("{}:{line}: {target}", file.path));
            }
        }
    }
    demand_none(&found, "These links lead nowhere. Correct them, or write the document they promise:");
}

#[test]
fn links_are_found_outside_code_only() {
    let text = "a [b](c.md) and `[d](e.md)`\n```\n[f](g.md)\n```\n[h](i.md#j \"k\")";
    assert_eq!(links(text), [(1, "c.md".to_owned()), (5, "i.md#j".to_owned())]);
    assert_eq!(resolved(Path::new("a/../b/./c")), Some(PathBuf::from("b/c")));
    assert_eq!(resolved(Path::new("../a")), None);
}

#[test]
fn decision_records_are_numbered_in_a_row() {
    let mut found = Vec::new();
    let mut numbers: BTreeMap<usize, String> = BTreeMap::new();
    for file in documents().into_iter().filter(|file| file.is_in("firmware/decisions")) {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        if name == "README.md" {
            continue;
        }
        let number = name.split_once('-').filter(|(number, _)| number.len() == 4);
        let Some(number) = number.and_then(|(number, _)| number.parse().ok()) else {
            found.push(format!("{}: its name does not begin with four digits and a hyphen", file.path));
            continue;
        };
        if let Some(other) = numbers.insert(number, file.path.clone()) {
            found.push(format!("{} has the number of {other}", file.path));
        }
    }
    for (expected, (number, path)) in (1..).zip(&numbers) {
        if *number != expected {
            found.push(format!("{path}: number {expected} is missing before it"));
            break;
        }
    }
    demand_none(&found, "Decision records are called `0001-what-was-decided.md`, one after the other:");
}

#[test]
fn every_scenario_is_listed() {
    let readme = std::fs::read_to_string(root().join("tests/README.md")).unwrap_or_default();
    let found: Vec<String> = files_ending(".rs")
        .into_iter()
        .filter(|file| file.is_in("tests/scenarios/tests"))
        .filter(|file| file.path.matches('/').count() == 3)
        .filter(|file| !readme.contains(file.stem()))
        .map(|file| file.path)
        .collect();
    demand_none(&found, "Say in tests/README.md which question each of these scenarios answers:");
}

/// The label literals of a source: `b"beeldbox/1 …"`.
fn labels(text: &str) -> Vec<&str> {
    text.split("b\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .filter(|l| l.starts_with("beeldbox/"))
        .collect()
}

#[test]
fn every_label_of_the_sealed_formats_is_written_up() {
    let document = std::fs::read_to_string(root().join("firmware/protocol/ENVELOPE.md")).unwrap_or_default();
    let sources = files_ending(".rs");
    let sources = sources.iter().filter(|file| file.is_in("firmware/protocol/src/envelope"));
    let mut labels_found = 0;
    let found: Vec<String> = sources
        .flat_map(|file| {
            let labels = labels(&file.text);
            labels_found += labels.len();
            let missing = labels.into_iter().filter(|label| !document.contains(&format!("`{label}`")));
            missing.map(|label| format!("{}: {label}", file.path)).collect::<Vec<_>>()
        })
        .collect();
    assert!(labels_found > 0, "the sources derive keys, so there are labels");
    demand_none(
        &found,
        "firmware/protocol/ENVELOPE.md must name every label of a key derivation, letter by letter:",
    );
}
