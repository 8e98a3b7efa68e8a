//! Updates of the appliance: which are taken, how far one has come, and what became of it after the restart.
//!
//! RAUC writes the other slot and checks the signature; systemd-boot tries it three times; the self-test of the image
//! decides whether it stays. This module is what is in between: it weighs an offer, drives RAUC over its bus
//! ([`rauc`]), and remembers across the restart what was tried, so that a version that fell back is not installed
//! again by itself and a person can read why. `image-build/UPDATES.md` describes the road as a whole.

pub mod rauc;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Version of an image: three numbers, compared from the left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    numbers: [u32; 3],
}

/// A text that is no version.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a version is three numbers with dots between them")]
pub struct BadVersion;

impl FromStr for Version {
    type Err = BadVersion;

    fn from_str(text: &str) -> Result<Version, BadVersion> {
        let mut numbers = [0; 3];
        let mut words = text.split('.');
        for number in &mut numbers {
            let word = words
                .next()
                .filter(|word| word.bytes().all(|byte| byte.is_ascii_digit()))
                .ok_or(BadVersion)?;
            *number = word.parse().map_err(|_| BadVersion)?;
        }
        if words.next().is_some() { Err(BadVersion) } else { Ok(Version { numbers }) }
    }
}

impl TryFrom<String> for Version {
    type Error = BadVersion;

    fn try_from(text: String) -> Result<Version, BadVersion> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> String {
        version.to_string()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// What a bundle says of itself. RAUC has checked its signature before it tells this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The hardware that it is for.
    pub compatible: String,
    /// Its version.
    pub version: Version,
}

/// Why an offer is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is for another kind of box.
    #[error("the update is for other hardware")]
    OtherHardware,
    /// It is not newer than what runs: old versions have old holes.
    #[error("the update is not newer than what runs")]
    NotNewer,
    /// It was tried and fell back. A person may try it again.
    #[error("this version was tried and did not work")]
    FellBackBefore,
    /// Another update is on its way.
    #[error("another update is on its way")]
    Busy,
}

/// How far the latest update has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Update {
    /// There was none.
    None,
    /// It is being written into the other slot.
    Installing {
        /// What runs meanwhile.
        from: Version,
        /// What is being written.
        to: Version,
    },
    /// It is written; the next start tries it.
    WaitsForRestart {
        /// What runs until then.
        from: Version,
        /// What will be tried.
        to: Version,
    },
    /// It could not be written.
    NotInstalled {
        /// What was being written.
        to: Version,
        /// What RAUC said.
        reason: String,
    },
    /// It runs and has passed its self-test.
    Confirmed {
        /// What runs.
        version: Version,
    },
    /// It was tried and did not pass; the version before runs again.
    FellBack {
        /// What runs.
        to: Version,
        /// What did not pass.
        from: Version,
    },
}

/// What happens to an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A person, or the portal's roll-out, asks for it.
    Asked {
        /// What runs.
        running: Version,
        /// The hardware's name.
        compatible: String,
        /// What the bundle says.
        offer: Offer,
        /// Whether a person asks: then a version that fell back is tried again.
        by_person: bool,
    },
    /// RAUC has written it.
    Installed,
    /// RAUC could not write it.
    InstallFailed {
        /// What RAUC said.
        reason: String,
    },
    /// The box has started, and the image has passed its self-test.
    Started {
        /// What runs.
        running: Version,
    },
}

impl Update {
    /// What becomes of it. Events that do not belong to the state change nothing: a start without an update is the rule.
    ///
    /// # Errors
    /// If it is asked for and not taken.
    pub fn after(self, event: Event) -> Result<Update, Refusal> {
        match event {
            Event::Asked { running, compatible, offer, by_person } => {
                self.weigh(running, &compatible, &offer, by_person)?;
                Ok(Update::Installing { from: running, to: offer.version })
            }
            Event::Installed => Ok(match self {
                Update::Installing { from, to } => Update::WaitsForRestart { from, to },
                Update::None
                | Update::WaitsForRestart { .. }
                | Update::NotInstalled { .. }
                | Update::Confirmed { .. }
                | Update::FellBack { .. } => self,
            }),
            Event::InstallFailed { reason } => Ok(match self {
                Update::Installing { to, .. } => Update::NotInstalled { to, reason },
                Update::None
                | Update::WaitsForRestart { .. }
                | Update::NotInstalled { .. }
                | Update::Confirmed { .. }
                | Update::FellBack { .. } => self,
            }),
            Event::Started { running } => Ok(self.started(running)),
        }
    }

    fn weigh(
        &self,
        running: Version,
        compatible: &str,
        offer: &Offer,
        by_person: bool,
    ) -> Result<(), Refusal> {
        if offer.compatible != compatible {
            return Err(Refusal::OtherHardware);
        }
        if offer.version <= running {
            return Err(Refusal::NotNewer);
        }
        match self {
            Update::Installing { .. } | Update::WaitsForRestart { .. } => Err(Refusal::Busy),
            Update::FellBack { from, .. } if *from == offer.version && !by_person => {
                Err(Refusal::FellBackBefore)
            }
            Update::None
            | Update::NotInstalled { .. }
            | Update::Confirmed { .. }
            | Update::FellBack { .. } => Ok(()),
        }
    }

    fn started(self, running: Version) -> Update {
        match self {
            Update::WaitsForRestart { to, .. } if to == running => Update::Confirmed { version: running },
            Update::WaitsForRestart { to, .. } => Update::FellBack { to: running, from: to },
            // The power went while it was written. The slot is half written and its kernel image is gone.
            Update::Installing { to, .. } => {
                Update::NotInstalled { to, reason: "the box was switched off meanwhile".to_owned() }
            }
            Update::None
            | Update::NotInstalled { .. }
            | Update::Confirmed { .. }
            | Update::FellBack { .. } => self,
        }
    }
}

/// Why what was tried cannot be remembered.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be read or written.
    #[error("{path}: cannot be used", path = path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is damaged.
    #[error("{path}: is not the record of an update", path = path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// What was tried, in a file.
#[derive(Debug)]
pub struct Record {
    path: PathBuf,
}

impl Record {
    /// The record in a file, which need not exist yet.
    pub fn at(path: &Path) -> Record {
        Record { path: path.to_owned() }
    }

    /// Reads it.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(&self) -> Result<Update, RecordError> {
        match std::fs::read(&self.path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|source| RecordError::Damaged { path: self.path.clone(), source }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Update::None),
            Err(source) => Err(RecordError::File { path: self.path.clone(), source }),
        }
    }

    /// Writes it.
    ///
    /// # Errors
    /// If it cannot be written.
    ///
    /// # Durability
    /// When this returns, it survives a power cut.
    pub fn write(&self, update: &Update) -> Result<(), RecordError> {
        let text = serde_json::to_vec(update)
            .map_err(|source| RecordError::Damaged { path: self.path.clone(), source })?;
        let part = self.path.with_extension("part");
        let write = || {
            std::fs::write(&part, &text)?;
            std::fs::File::open(&part)?.sync_all()?;
            std::fs::rename(&part, &self.path)?;
            std::fs::File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()
        };
        write().map_err(|source| RecordError::File { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    fn asked(running: &str, offered: &str, by_person: bool) -> Event {
        Event::Asked {
            running: version(running),
            compatible: "beeldbox-x86-64".to_owned(),
            offer: Offer { compatible: "beeldbox-x86-64".to_owned(), version: version(offered) },
            by_person,
        }
    }

    fn started(running: &str) -> Event {
        Event::Started { running: version(running) }
    }

    fn road(events: Vec<Event>) -> Result<Update, Refusal> {
        events.into_iter().try_fold(Update::None, Update::after)
    }

    #[test]
    fn a_good_update_is_confirmed() {
        let update = road(vec![asked("1.0.0", "1.0.1", false), Event::Installed, started("1.0.1")]);
        assert_eq!(update, Ok(Update::Confirmed { version: version("1.0.1") }));
    }

    #[test]
    fn a_bad_update_fell_back_and_is_not_tried_again_by_itself() {
        let bad = vec![asked("1.0.0", "1.0.1", false), Event::Installed, started("1.0.0")];
        let update = road(bad).unwrap();
        assert_eq!(update, Update::FellBack { to: version("1.0.0"), from: version("1.0.1") });
        assert_eq!(update.clone().after(asked("1.0.0", "1.0.1", false)), Err(Refusal::FellBackBefore));
        assert!(update.clone().after(asked("1.0.0", "1.0.1", true)).is_ok());
        assert!(update.after(asked("1.0.0", "1.0.2", false)).is_ok());
    }

    #[test]
    fn nothing_older_and_nothing_for_other_hardware() {
        for offered in ["1.0.0", "0.9.9", "0.10.0"] {
            assert_eq!(road(vec![asked("1.0.0", offered, true)]), Err(Refusal::NotNewer), "{offered}");
        }
        let other = Offer { compatible: "toaster".to_owned(), version: version("2.0.0") };
        let asked = Event::Asked {
            running: version("1.0.0"),
            compatible: "beeldbox-x86-64".to_owned(),
            offer: other,
            by_person: true,
        };
        assert_eq!(road(vec![asked]), Err(Refusal::OtherHardware));
    }

    #[test]
    fn one_at_a_time() {
        let again = asked("1.0.0", "1.0.2", true);
        assert_eq!(road(vec![asked("1.0.0", "1.0.1", true), again.clone()]), Err(Refusal::Busy));
        assert_eq!(road(vec![asked("1.0.0", "1.0.1", true), Event::Installed, again]), Err(Refusal::Busy));
    }

    #[test]
    fn the_power_may_go_while_it_is_written() {
        let update = road(vec![asked("1.0.0", "1.0.1", true), started("1.0.0")]).unwrap();
        assert!(matches!(&update, Update::NotInstalled { to, .. } if *to == version("1.0.1")), "{update:?}");
        assert!(update.after(asked("1.0.0", "1.0.1", false)).is_ok());
    }

    #[test]
    fn what_does_not_belong_changes_nothing() {
        for update in [Update::None, Update::Confirmed { version: version("1.0.0") }] {
            for event in [Event::Installed, Event::InstallFailed { reason: String::new() }, started("1.0.0")]
            {
                assert_eq!(update.clone().after(event), Ok(update.clone()));
            }
        }
    }

    #[test]
    fn versions_are_three_numbers() {
        assert!(version("1.10.0") > version("1.9.9"));
        assert_eq!(version("0.1.0").to_string(), "0.1.0");
        for bad in ["", "1", "1.0", "1.0.0.0", "1.0.x", "1..0", "+1.0.0", "1.0.-1", "4294967296.0.0"] {
            assert_eq!(bad.parse::<Version>(), Err(BadVersion), "{bad}");
        }
    }

    #[test]
    fn the_record_is_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let record = Record::at(&folder.path().join("update.json"));
        assert_eq!(record.read().unwrap(), Update::None);
        let update = Update::WaitsForRestart { from: version("1.0.0"), to: version("1.0.1") };
        record.write(&update).unwrap();
        assert_eq!(record.read().unwrap(), update);
        std::fs::write(folder.path().join("update.json"), "{").unwrap();
        assert!(matches!(record.read(), Err(RecordError::Damaged { .. })));
    }
}
