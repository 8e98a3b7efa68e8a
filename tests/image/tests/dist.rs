//! What both builds install: that nothing of `firmware/dist` is forgotten, and that RAUC's boot loader backend says and does
//! what RAUC expects of it. The real script runs, on a folder that stands for the EFI partition.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use beeldbox_image::{root, run};

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files_below(&entry.path())),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            Ok(_) | Err(_) => {}
        }
    }
    found
}

#[test]
fn nothing_is_forgotten_and_nothing_is_changed() {
    let dist = root().join("firmware/dist");
    let target = tempfile::tempdir().expect("made by this test");
    run(Command::new(dist.join("install")).arg(target.path()).env("VERSION", "1.2.3"))
        .expect("made by this test");
    let installed: BTreeSet<Vec<u8>> = files_below(target.path())
        .into_iter()
        .map(|file| fs::read(file).expect("made by this test"))
        .collect();
    for file in files_below(&dist) {
        let name = file.strip_prefix(&dist).expect("made by this test");
        if name == Path::new("README.md") || name == Path::new("install") {
            continue;
        }
        let text = fs::read_to_string(&file).expect("made by this test").replace("@VERSION@", "1.2.3");
        assert!(installed.contains(text.as_bytes()), "{} is not installed", name.display());
    }
}

#[test]
fn it_can_be_installed_over_itself() {
    let target = tempfile::tempdir().expect("made by this test");
    // As systemd's package leaves it.
    fs::create_dir_all(target.path().join("etc/credstore.encrypted")).expect("made by this test");
    for _ in 0..2 {
        let install = root().join("firmware/dist/install");
        run(Command::new(install).arg(target.path()).env("VERSION", "1.2.3")).expect("made by this test");
        let link = fs::read_link(target.path().join("etc/credstore.encrypted")).expect("made by this test");
        assert_eq!(link, Path::new("../var/lib/beeldbox-settings/credentials"));
    }
}

/// An EFI partition with these kernel images, seen from slot A.
struct Esp {
    folder: tempfile::TempDir,
}

impl Esp {
    fn with(images: &[&str]) -> Esp {
        let folder = tempfile::tempdir().expect("made by this test");
        for below in ["EFI/Linux", "loader"] {
            fs::create_dir_all(folder.path().join(below)).expect("made by this test");
        }
        for image in images {
            fs::write(folder.path().join("EFI/Linux").join(image), "").expect("made by this test");
        }
        fs::write(folder.path().join("slot"), "A\n").expect("made by this test");
        Esp { folder }
    }

    fn ask(&self, words: &str) -> Result<String, String> {
        let mut slots = Command::new(root().join("firmware/dist/appliance/programs/slots"));
        slots.env("BEELDBOX_ESP", self.folder.path()).env("BEELDBOX_SLOT", self.folder.path().join("slot"));
        let said = run(slots.args(words.split(' '))).map_err(|error| error.to_string())?;
        Ok(said.trim().to_owned())
    }

    fn images(&self) -> Vec<String> {
        let mut names: Vec<String> = files_below(&self.folder.path().join("EFI/Linux"))
            .iter()
            .map(|file| file.file_name().expect("made by this test").to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

#[test]
fn a_slot_is_bad_when_it_has_no_image_or_no_tries_left() {
    let cases = [
        ("beeldbox-B.efi", "good"),
        ("beeldbox-B+3.efi", "good"),
        ("beeldbox-B+1-2.efi", "good"),
        ("beeldbox-B+0-3.efi", "bad"),
        ("beeldbox-B+0.efi", "bad"),
        ("beeldbox-BB.efi", "bad"),
    ];
    for (image, state) in cases {
        assert_eq!(Esp::with(&[image]).ask("get-state B").expect("made by this test"), state, "{image}");
    }
}

#[test]
fn the_primary_is_what_was_chosen_unless_it_is_bad() {
    let esp = Esp::with(&["beeldbox-A.efi", "beeldbox-B+3.efi"]);
    assert_eq!(esp.ask("get-current").expect("made by this test"), "A");
    assert_eq!(esp.ask("get-primary").expect("made by this test"), "A");
    esp.ask("set-primary B").expect("made by this test");
    assert_eq!(esp.ask("get-primary").expect("made by this test"), "B");
    let linux = esp.folder.path().join("EFI/Linux");
    fs::rename(linux.join("beeldbox-B+3.efi"), linux.join("beeldbox-B+0-3.efi")).expect("made by this test");
    assert_eq!(esp.ask("get-primary").expect("made by this test"), "A");
    Esp::with(&["beeldbox-A.efi"]).ask("set-primary B").unwrap_err();
    Esp::with(&["beeldbox-A+0-3.efi"]).ask("get-primary").unwrap_err();
}

#[test]
fn a_good_slot_loses_its_counter_and_a_bad_one_its_image_unless_it_runs() {
    let esp = Esp::with(&["beeldbox-A+2-1.efi", "beeldbox-B.efi"]);
    esp.ask("set-state A good").expect("made by this test");
    assert_eq!(esp.images(), ["beeldbox-A.efi", "beeldbox-B.efi"]);
    esp.ask("set-state B bad").expect("made by this test");
    assert_eq!(esp.images(), ["beeldbox-A.efi"]);
    esp.ask("set-state B bad").expect("made by this test");
    esp.ask("set-state A bad").expect("made by this test");
    assert_eq!(esp.images(), ["beeldbox-A+0-3.efi"]);
}

#[test]
fn a_restart_is_only_for_a_version_on_trial_that_leads_somewhere() {
    let cases: [(&[&str], bool); 6] = [
        (&["beeldbox-A.efi", "beeldbox-B.efi"], false),
        (&["beeldbox-A+2-1.efi"], true),
        (&["beeldbox-A+0-3.efi"], false),
        (&["beeldbox-A+0-3.efi", "beeldbox-B.efi"], true),
        (&["beeldbox-A+0-3.efi", "beeldbox-B+0-3.efi"], false),
        (&["beeldbox-B+3.efi"], false),
    ];
    for (images, is_on_trial) in cases {
        assert_eq!(Esp::with(images).ask("is-on-trial").is_ok(), is_on_trial, "{images:?}");
    }
}

#[test]
fn what_it_does_not_understand_it_refuses() {
    let esp = Esp::with(&["beeldbox-A.efi"]);
    for words in ["", "get-state C", "set-state A perhaps", "set-primary", "format"] {
        esp.ask(words).unwrap_err();
    }
    assert_eq!(esp.images(), ["beeldbox-A.efi"]);
}
