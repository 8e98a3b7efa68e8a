//! What came of a run, read from what libFuzzer says at its end.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// What came of one target.
#[derive(Debug)]
pub(crate) struct Report {
    /// Which.
    pub(crate) target: &'static str,
    is_clean: bool,
    took: Duration,
    executions: Option<u64>,
    coverage: Option<u64>,
    slowest_secs: Option<u64>,
    peak_mib: Option<u64>,
    why: Option<String>,
    log: PathBuf,
}

impl Report {
    /// Whether nothing was found.
    pub(crate) fn is_clean(&self) -> bool {
        self.is_clean
    }
}

/// Reads the end of a run.
pub(crate) fn read(target: &'static str, is_clean: bool, took: Duration, text: &str, log: &Path) -> Report {
    let stat = |name: &str| {
        let line = text.lines().rev().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name))?;
        line.trim_start_matches(':').trim().parse().ok()
    };
    let coverage = text.lines().rev().find_map(|line| {
        let (_, after) = line.split_once(" cov: ")?;
        after.split(' ').next()?.parse().ok()
    });
    let blamed = ["panicked at", "memory allocation of", "ERROR: libFuzzer"];
    let first = text.lines().position(|line| blamed.iter().any(|words| line.contains(words)));
    let why = first.map(|at| text.lines().skip(at).take(2).collect::<Vec<_>>().join(" "));
    Report {
        target,
        is_clean,
        took,
        executions: stat("number_of_executed_units"),
        coverage,
        slowest_secs: stat("slowest_unit_time_sec"),
        peak_mib: stat("peak_rss_mb"),
        why: if is_clean { None } else { why },
        log: log.to_owned(),
    }
}

/// Prints one line for each target, and for each that failed why.
pub(crate) fn print(reports: &[Report]) {
    println!();
    println!("target            outcome  seconds  executions  edges  slowest s  peak MiB");
    for report in reports {
        let number = |value: Option<u64>| value.map_or("?".to_owned(), |value| value.to_string());
        println!(
            "{:<17} {:<7} {:>8.0} {:>11} {:>6} {:>10} {:>9}",
            report.target,
            if report.is_clean { "clean" } else { "BROKEN" },
            report.took.as_secs_f64(),
            number(report.executions),
            number(report.coverage),
            number(report.slowest_secs),
            number(report.peak_mib),
        );
    }
    for report in reports.iter().filter(|report| !report.is_clean) {
        let why = report.why.as_deref().unwrap_or("it ended early");
        println!("{}: {why}\n  see {}", report.target, report.log.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_run_is_read() {
        let text = "#5\tINITED cov: 100 ft: 1\n#9\tDONE   cov: 1234 ft: 5 corp: 6/7b\n\
                    stat::number_of_executed_units: 900\nstat::slowest_unit_time_sec:    0\n\
                    stat::peak_rss_mb:              61\n";
        let report = read("pack", true, Duration::from_secs(1), text, Path::new("x"));
        assert_eq!((report.executions, report.coverage), (Some(900), Some(1234)));
        assert_eq!((report.slowest_secs, report.peak_mib, report.why), (Some(0), Some(61), None));
        let text =
            "thread panicked at src/a.rs:1:2:\nindex out of bounds\n==1== ERROR: libFuzzer: deadly signal\n";
        let report = read("pack", false, Duration::from_secs(1), text, Path::new("x"));
        assert_eq!(report.why.as_deref(), Some("thread panicked at src/a.rs:1:2: index out of bounds"));
    }
}
