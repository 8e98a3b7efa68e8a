//! How the hardware is: room on the disk, its wear, temperatures. Read from what the kernel shows under `/sys`, so that it
//! needs neither a device nor a privilege; what a disk does not tell there is [`Wear::Untold`] and not guessed.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

/// Above this a disk or processor throttles itself, in thousandths of a degree Celsius, where it names no limit of its own.
const HOT_MILLIDEGREES: i64 = 85_000;

/// Above this share of its life a disk should be replaced, in per cent.
const WORN_PERCENT: u8 = 80;

/// How the hardware is at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hardware {
    /// Room where the state lies.
    pub space: Space,
    /// What each disk says about its wear.
    pub disks: Vec<Disk>,
    /// What each sensor measures.
    pub temperatures: Vec<Temperature>,
}

/// Room in a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// All of it.
    pub total: u64,
    /// What an ordinary user may still fill.
    pub free: u64,
}

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The kernel's name for it, such as `mmcblk0`.
    pub name: String,
    /// How much of its life is used.
    pub wear: Wear,
}

/// How much of a disk's life is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wear {
    /// At most so many per cent (JEDEC eMMC 5.0, `DEVICE_LIFE_TIME_EST`: steps of ten).
    AtMostPercent(u8),
    /// Beyond what its maker promised.
    Exceeded,
    /// It does not say, at least not without a privilege.
    Untold,
}

/// One sensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Temperature {
    /// What it belongs to, such as `nvme` or `coretemp`.
    pub sensor: String,
    /// In thousandths of a degree Celsius.
    pub millidegrees: i64,
    /// Whether it is so hot that the hardware slows down or fails.
    pub is_hot: bool,
}

/// What a person should do something about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Complaint {
    /// The disk nears the end of its life, or is beyond it.
    Worn {
        /// Which disk.
        disk: String,
    },
    /// Something is too hot.
    Hot {
        /// Which sensor.
        sensor: String,
    },
}

/// Why the hardware cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{path}: its file system cannot be asked", path = path.display())]
pub struct HardwareError {
    path: PathBuf,
    source: nix::Error,
}

impl Hardware {
    /// Reads it all. `state` lies on the disk whose room counts; `sys` is `/sys`.
    ///
    /// # Errors
    /// If the file system of `state` cannot be asked. A sensor that cannot be read is left out.
    pub fn read(state: &Path, sys: &Path) -> Result<Hardware, HardwareError> {
        let told = statvfs(state).map_err(|source| HardwareError { path: state.to_owned(), source })?;
        let space = Space {
            total: told.blocks().saturating_mul(told.fragment_size()),
            free: told.blocks_available().saturating_mul(told.fragment_size()),
        };
        Ok(Hardware { space, disks: disks(sys), temperatures: temperatures(sys) })
    }

    /// What a person should do something about. Room is not among it: custody has limits of its own for that.
    pub fn complaints(&self) -> Vec<Complaint> {
        let worn = self.disks.iter().filter(|disk| match disk.wear {
            Wear::AtMostPercent(percent) => percent > WORN_PERCENT,
            Wear::Exceeded => true,
            Wear::Untold => false,
        });
        let hot = self.temperatures.iter().filter(|temperature| temperature.is_hot);
        worn.map(|disk| Complaint::Worn { disk: disk.name.clone() })
            .chain(hot.map(|temperature| Complaint::Hot { sensor: temperature.sensor.clone() }))
            .collect()
    }
}

fn disks(sys: &Path) -> Vec<Disk> {
    // Only what hangs on a device is a disk: not loop, device mapper or memory.
    let is_disk = |folder: &PathBuf| folder.join("device").exists();
    let disk = |folder: PathBuf| Disk { name: name_of(&folder), wear: wear(&folder) };
    folders(&sys.join("block")).into_iter().filter(is_disk).map(disk).collect()
}

/// eMMC says two bytes, one for each kind of its memory: 1 is up to ten per cent of its life, 10 up to a hundred, 11 more.
fn wear(disk: &Path) -> Wear {
    let Some(text) = text_of(&disk.join("device/life_time")) else { return Wear::Untold };
    let byte = |word: &str| u8::from_str_radix(word.trim_start_matches("0x"), 16).ok();
    match text.split_whitespace().filter_map(byte).max() {
        Some(tenths @ 1..=10) => Wear::AtMostPercent(tenths * 10),
        Some(11) => Wear::Exceeded,
        Some(0 | 12..) | None => Wear::Untold,
    }
}

fn temperatures(sys: &Path) -> Vec<Temperature> {
    let mut found = Vec::new();
    for chip in folders(&sys.join("class/hwmon")) {
        let sensor = text_of(&chip.join("name")).unwrap_or_else(|| name_of(&chip));
        for input in folders(&chip) {
            let name = name_of(&input);
            let Some(channel) = name.strip_prefix("temp").and_then(|rest| rest.strip_suffix("_input")) else {
                continue;
            };
            let Some(millidegrees) = number_of(&input) else { continue };
            let limit = number_of(&chip.join(format!("temp{channel}_max")))
                // Some chips say zero, or something absurd, where they have no limit.
                .filter(|limit| (30_000..150_000).contains(limit))
                .unwrap_or(HOT_MILLIDEGREES);
            found.push(Temperature { sensor: sensor.clone(), millidegrees, is_hot: millidegrees >= limit });
        }
    }
    found
}

/// What lies in a folder, in order; nothing if it cannot be read.
fn folders(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    found.sort();
    found
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn text_of(file: &Path) -> Option<String> {
    fs::read_to_string(file).ok().map(|text| text.trim().to_owned())
}

fn number_of(file: &Path) -> Option<i64> {
    text_of(file)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, file: &str, text: &str) {
        let file = folder.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    fn read(sys: &Path) -> Hardware {
        Hardware::read(sys, sys).unwrap()
    }

    #[test]
    fn room_is_that_of_the_file_system() {
        let sys = tempfile::tempdir().unwrap();
        let space = read(sys.path()).space;
        assert!(space.total > 0 && space.free <= space.total, "{space:?}");
    }

    #[test]
    fn a_worn_disk_is_named_and_a_silent_one_is_not() {
        let sys = tempfile::tempdir().unwrap();
        write(sys.path(), "block/mmcblk0/device/life_time", "0x02 0x09\n");
        write(sys.path(), "block/mmcblk1/device/life_time", "0x0b 0x01\n");
        write(sys.path(), "block/mmcblk2/device/life_time", "0x03 0x03\n");
        write(sys.path(), "block/nvme0n1/device/model", "X\n");
        write(sys.path(), "block/loop0/size", "8\n");
        let hardware = read(sys.path());
        let wear: Vec<_> = hardware.disks.iter().map(|disk| (disk.name.as_str(), disk.wear)).collect();
        assert_eq!(
            wear,
            [
                ("mmcblk0", Wear::AtMostPercent(90)),
                ("mmcblk1", Wear::Exceeded),
                ("mmcblk2", Wear::AtMostPercent(30)),
                ("nvme0n1", Wear::Untold)
            ]
        );
        let worn = |disk: &str| Complaint::Worn { disk: disk.to_owned() };
        assert_eq!(hardware.complaints(), [worn("mmcblk0"), worn("mmcblk1")]);
    }

    #[test]
    fn a_life_time_that_means_nothing_is_untold() {
        for text in ["", "0x00 0x00", "0xff", "worn", "0x0c 0x01"] {
            let sys = tempfile::tempdir().unwrap();
            write(sys.path(), "block/mmcblk0/device/life_time", text);
            assert_eq!(read(sys.path()).disks[0].wear, Wear::Untold, "{text}");
        }
    }

    #[test]
    fn heat_is_measured_against_the_chips_own_limit_where_it_has_one() {
        let sys = tempfile::tempdir().unwrap();
        for (chip, name, input, max) in [
            ("hwmon0", "nvme", "75000", Some("70000")),
            ("hwmon1", "coretemp", "84000", None),
            ("hwmon2", "acpi", "90000", Some("0")),
        ] {
            write(sys.path(), &format!("class/hwmon/{chip}/name"), name);
            write(sys.path(), &format!("class/hwmon/{chip}/temp1_input"), input);
            if let Some(max) = max {
                write(sys.path(), &format!("class/hwmon/{chip}/temp1_max"), max);
            }
        }
        let hot = |sensor: &str| Complaint::Hot { sensor: sensor.to_owned() };
        assert_eq!(read(sys.path()).complaints(), [hot("nvme"), hot("acpi")]);
    }
}
