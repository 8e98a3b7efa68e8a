//! Every input that is kept in the repository, once, in an ordinary build: those to begin with, those that were found to
//! reach much, and those that once broke a reader. The readers of DICOM are in the instrumented build only; there the
//! same files come first in every run.
//!
//! One test, because the allocator counts for the whole process.

use std::path::{Path, PathBuf};

use beeldbox_fuzz::targets::NAMES;
use beeldbox_fuzz::{TARGETS, budget, seeds};

/// Bytes that all kept inputs together may have.
const MOST_KEPT: u64 = 300 * 1024;

fn files(kind: &str, target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(kind).join(target);
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a folder can be read").path()).collect();
    files.sort();
    files
}

#[test]
fn every_kept_input_is_survived() {
    for target in TARGETS {
        let kept = [files("corpus", target.name), files("regressions", target.name)].concat();
        assert!(!kept.is_empty(), "{} has inputs to begin with", target.name);
        for path in kept {
            let input = std::fs::read(&path).expect("a kept input can be read");
            println!("{}", path.display());
            budget::one_input(|| (target.run)(&input));
        }
    }
    let all = NAMES.iter().flat_map(|(name, _)| [files("corpus", name), files("regressions", name)].concat());
    let bytes: u64 = all.map(|path| path.metadata().expect("a file").len()).sum();
    assert!(bytes <= MOST_KEPT, "{bytes} bytes are kept; `keep` again, or make room");
    for (name, _) in NAMES {
        let made = seeds::of(name);
        assert!(!made.is_empty(), "{name} has seeds");
        for (seed, _) in made {
            assert!(
                files("corpus", name).iter().any(|path| path.ends_with(seed)),
                "{name}/{seed}: run `seeds`"
            );
        }
    }
}
