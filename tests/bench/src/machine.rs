//! What the figures were measured on, in words: they mean nothing elsewhere.

use std::fmt;
use std::fs;
use std::path::Path;

/// The machine and the day.
pub struct Machine {
    processor: String,
    processors: usize,
    memory_gib: u64,
    system: String,
    file_system: String,
    day: String,
    load_before: String,
}

impl Machine {
    /// Looks around; `work` is on the disk that is measured.
    pub fn look(work: &Path) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
        };
        let processors = read("/proc/cpuinfo");
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let kib = memory.and_then(|memory| memory.split_whitespace().next()?.parse::<u64>().ok());
        #[expect(
            clippy::disallowed_methods,
            reason = "a program of its own, which takes the time from the system"
        )]
        let day = jiff::Zoned::now().date().to_string();
        Machine {
            processor: field(&processors, "model name").unwrap_or_else(|| "unknown processor".to_owned()),
            processors: processors.lines().filter(|line| line.starts_with("processor")).count(),
            memory_gib: kib.unwrap_or(0).div_ceil(1 << 20),
            system: format!("Linux {}", read("/proc/sys/kernel/osrelease").trim()),
            file_system: file_system(&read("/proc/self/mounts"), work),
            day,
            load_before: read("/proc/loadavg").split(' ').next().unwrap_or("unknown").to_owned(),
        }
    }
}

/// Type of the file system that holds a folder: that of the longest mount point above it.
fn file_system(mounts: &str, folder: &Path) -> String {
    let rows = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let above = rows.filter(|(point, _)| folder.starts_with(point));
    above.max_by_key(|(point, _)| point.len()).map_or("unknown", |(_, kind)| kind).to_owned()
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { processor, processors, memory_gib, system, file_system, day, load_before } = self;
        write!(
            f,
            "Measured on {day}: {processors} × {processor}, {memory_gib} GiB, {system}, {file_system}; loopback; \
             load {load_before} before the run."
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_mount_names_the_file_system() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /srv/fast tmpfs rw 0 0\n";
        assert_eq!(file_system(mounts, Path::new("/srv/fast/x")), "tmpfs");
        assert_eq!(file_system(mounts, Path::new("/srv/faster")), "ext4");
    }
}
