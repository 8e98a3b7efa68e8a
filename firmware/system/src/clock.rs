//! How far the clock can be trusted. Certificates, revocation and due times hang on it, so the daemon says when it is only a
//! guess; it does not stop for it, because a hospital without NTP still has patients.
//!
//! Two witnesses: the kernel, whose clock is marked as synchronised by chrony (asked over `timedated`, which reads it
//! for everybody), and a floor, the latest time at which this box is known to have lived. A clock before the floor is
//! wrong whatever anybody says: an emptied battery, or somebody who wants an expired certificate to be believed.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How far the clock can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// It is held against other clocks.
    Synchronised,
    /// Nobody corrects it; it is not known to be wrong.
    Free,
    /// It is wrong: this box has lived later already.
    Behind {
        /// By how much at least.
        by: Duration,
    },
}

/// Why the floor cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum FloorError {
    /// The file cannot be read or written.
    #[error("{path}: cannot be used", path = path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds something else than a time.
    #[error("{path}: is not a number of seconds", path = path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
    },
}

/// The latest time at which this box is known to have lived.
#[derive(Debug)]
pub struct Floor {
    path: PathBuf,
    at: SystemTime,
}

impl Floor {
    /// Reads it from a file, which need not exist. `built` is when the program was made: no box lives before that.
    ///
    /// # Errors
    /// If there is a file and it cannot be read as a time. The caller goes on with a new one, and says so.
    pub fn open(path: &Path, built: SystemTime) -> Result<Floor, FloorError> {
        let stored = match std::fs::read_to_string(path) {
            Ok(text) => text
                .trim()
                .parse()
                .ok()
                .and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)))
                .ok_or_else(|| FloorError::Damaged { path: path.to_owned() })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => built,
            Err(source) => return Err(FloorError::File { path: path.to_owned(), source }),
        };
        Ok(Floor { path: path.to_owned(), at: stored.max(built) })
    }

    /// Raises it to now, if the clock is synchronised: a clock that runs ahead by itself must not make the right time look
    /// wrong for years.
    ///
    /// # Errors
    /// If the file cannot be written.
    ///
    /// # Durability
    /// When this returns, the floor survives a power cut.
    pub fn raise(&mut self, now: SystemTime, is_synchronised: bool) -> Result<(), FloorError> {
        if !is_synchronised || now <= self.at {
            return Ok(());
        }
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let write = || {
            let part = self.path.with_extension("part");
            std::fs::write(&part, format!("{seconds}\n"))?;
            std::fs::File::open(&part)?.sync_all()?;
            std::fs::rename(&part, &self.path)?;
            std::fs::File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()
        };
        write().map_err(|source| FloorError::File { path: self.path.clone(), source })?;
        self.at = now;
        Ok(())
    }

    /// How far a clock that says `now` can be trusted.
    pub fn judge(&self, now: SystemTime, is_synchronised: bool) -> Trust {
        match self.at.duration_since(now) {
            Ok(by) if !by.is_zero() => Trust::Behind { by },
            Ok(_) | Err(_) if is_synchronised => Trust::Synchronised,
            Ok(_) | Err(_) => Trust::Free,
        }
    }
}

/// Whether the kernel's clock is synchronised.
///
/// # Errors
/// If nobody on the bus can say: then it is not known, and the caller takes it for not synchronised.
pub async fn is_synchronised(bus: &zbus::Connection) -> zbus::Result<bool> {
    Timedate1Proxy::new(bus).await?.ntp_synchronized().await
}

/// `org.freedesktop.timedate1(5)`.
#[zbus::proxy(
    interface = "org.freedesktop.timedate1",
    default_service = "org.freedesktop.timedate1",
    default_path = "/org/freedesktop/timedate1"
)]
trait Timedate1 {
    #[zbus(property(emits_changed_signal = "false"), name = "NTPSynchronized")]
    fn ntp_synchronized(&self) -> zbus::Result<bool>;
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn built() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_764_547_200)
    }

    fn floor(folder: &Path) -> Result<Floor, FloorError> {
        Floor::open(&folder.join("clock-floor"), built())
    }

    #[test]
    fn a_clock_before_the_program_was_built_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let floor = floor(folder.path()).unwrap();
        assert_eq!(
            floor.judge(UNIX_EPOCH + HOUR, true),
            Trust::Behind { by: Duration::from_secs(1_764_543_600) }
        );
        assert_eq!(floor.judge(built(), true), Trust::Synchronised);
        assert_eq!(floor.judge(built(), false), Trust::Free);
    }

    #[test]
    fn the_floor_outlives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        floor(folder.path()).unwrap().raise(built() + HOUR * 5, true).unwrap();
        let floor = floor(folder.path()).unwrap();
        assert_eq!(floor.judge(built() + HOUR * 3, true), Trust::Behind { by: HOUR * 2 });
        assert_eq!(floor.judge(built() + HOUR * 6, true), Trust::Synchronised);
    }

    #[test]
    fn a_clock_that_nobody_corrects_does_not_raise_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut floor = floor(folder.path()).unwrap();
        floor.raise(built() + HOUR * 100_000, false).unwrap();
        assert_eq!(floor.judge(built() + HOUR, true), Trust::Synchronised);
    }

    #[test]
    fn it_never_falls() {
        let folder = tempfile::tempdir().unwrap();
        let mut floor = floor(folder.path()).unwrap();
        floor.raise(built() + HOUR * 5, true).unwrap();
        floor.raise(built() + HOUR, true).unwrap();
        assert_eq!(floor.judge(built() + HOUR * 4, true), Trust::Behind { by: HOUR });
    }

    #[test]
    fn a_damaged_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "soon", "-3", "99999999999999999999999"] {
            std::fs::write(folder.path().join("clock-floor"), text).unwrap();
            assert!(
                floor(folder.path())
                    .is_err_and(|error| error.to_string().ends_with("is not a number of seconds")),
                "{text}"
            );
        }
    }
}
