//! Taking what was found into the repository: libFuzzer chooses the smallest inputs that together reach everything, and
//! of those we keep what is small, until the target's room is used up.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::Places;
use crate::running::Folders;

/// Bytes of inputs that a target may have in the repository beside its seeds.
const ROOM: u64 = 24 * 1024;

/// Longest input that is kept, in bytes.
const LONGEST: u64 = 2048;

/// Does so for each target.
pub(crate) fn keep(places: &Places, program: &Path, wanted: &[&'static str]) -> Result<()> {
    for target in wanted {
        let folders = Folders::of(places, target)?;
        let chosen = places.out.join("chosen").join(target);
        if chosen.exists() {
            fs::remove_dir_all(&chosen)?;
        }
        fs::create_dir_all(&chosen)?;
        // What is in the repository comes first: of an input that adds nothing to it, nothing is kept.
        let status = Command::new(program)
            .env("BEELDBOX_FUZZ_TARGET", target)
            .args(["-merge=1", "-timeout=60"])
            .arg(&chosen)
            .args(folders.kept_here())
            .arg(&folders.found)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .with_context(|| program.display().to_string())?;
        ensure!(status.success(), "{target}: the inputs could not be compared");
        let (files, bytes) = copy_smallest(&chosen, &folders.kept[0])?;
        println!("{target:<17} {files:>4} inputs kept, {bytes:>6} bytes");
    }
    Ok(())
}

/// Copies the smallest files, under the names that libFuzzer gave them (their SHA-1), in place of those that an earlier
/// run kept. Seeds have names with other letters and stay.
fn copy_smallest(from: &Path, to: &Path) -> Result<(usize, u64)> {
    let mut chosen: Vec<(u64, std::path::PathBuf)> = Vec::new();
    let mut seeds = Vec::new();
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        match is_digest(&entry.file_name().to_string_lossy()) {
            true => fs::remove_file(entry.path())?,
            false => seeds.push(fs::read(entry.path())?),
        }
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        chosen.push((entry.metadata()?.len(), entry.path()));
    }
    chosen.sort();
    let (mut files, mut bytes) = (0, 0);
    for (length, path) in chosen {
        if length > LONGEST || bytes + length > ROOM {
            break;
        }
        let content = fs::read(&path)?;
        if seeds.contains(&content) {
            continue;
        }
        fs::write(to.join(path.file_name().context("a file has a name")?), content)?;
        files += 1;
        bytes += length;
    }
    Ok((files, bytes))
}

fn is_digest(name: &str) -> bool {
    name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}
