//! The rules of this repository, as tests: who may import whom, how files and functions are shaped, what they may be
//! called, and what documents may say. Each test says what to do when it fails.
//!
//! This library finds and reads the files; the rules themselves stand in `tests/`, one file per kind of rule.

use std::path::{Path, PathBuf};

/// Folders that hold nothing of ours.
const SKIPPED_FOLDERS: [&str; 4] = [".git", "target", "node_modules", "__pycache__"];

/// The top of the repository.
///
/// # Panics
/// If this crate is no longer two folders below it.
pub fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("this crate lies two folders below the top of the repository")
}

/// One text file of the repository.
#[derive(Debug, Clone)]
pub struct TextFile {
    /// Path from the top, with `/`.
    pub path: String,
    /// Its content; bytes that are no text are replaced.
    pub text: String,
}

impl TextFile {
    /// The name without folders and without what follows the first dot.
    pub fn stem(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name.split('.').next().unwrap_or_default()
    }

    /// Whether the file lies in the folder.
    pub fn is_in(&self, folder: &str) -> bool {
        self.path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    }
}

/// Every file whose name ends so, in order of their paths.
///
/// # Panics
/// If the repository cannot be read.
pub fn files_ending(ending: &str) -> Vec<TextFile> {
    let root = root();
    paths(&root)
        .into_iter()
        .filter(|path| path.ends_with(ending))
        .map(|path| {
            let bytes = std::fs::read(root.join(&path)).expect("a file that is listed can be read");
            TextFile { text: String::from_utf8_lossy(&bytes).into_owned(), path }
        })
        .collect()
}

/// Every file of the repository, as a path from its top.
///
/// # Panics
/// If the repository cannot be read.
pub fn paths(root: &Path) -> Vec<String> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder that is listed can be read") {
            let entry = entry.expect("a folder can be read to its end");
            let (name, path) = (entry.file_name(), entry.path());
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                if !SKIPPED_FOLDERS.iter().any(|skipped| name == *skipped) {
                    folders.push(path);
                }
            } else if let Ok(inside) = path.strip_prefix(root) {
                found.push(inside.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found.sort();
    found
}

/// Fails with everything that was found, and with what to do about it.
///
/// # Panics
/// If anything was found.
pub fn demand_none(found: &[String], what_to_do: &str) {
    assert!(found.is_empty(), "{what_to_do}\n  {}\n", found.join("\n  "));
}
