//! Where log lines go: to the journal when systemd runs us, otherwise to standard error.
//!
//! Lines carry identity in spans and news in events; never a patient's name, number or text.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Sends this program's log lines to the journal if there is one, otherwise to standard error. `debug` adds lines for
/// developers.
pub fn start_logging(debug: bool) {
    let level = if debug { LevelFilter::DEBUG } else { LevelFilter::INFO };
    // Libraries say at most WARN: their INFO lines are not written for the people who read this log.
    let filter = tracing_subscriber::filter::Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("beeldbox", level);
    // systemd sets JOURNAL_STREAM only when standard error really leads to the journal.
    if std::env::var_os("JOURNAL_STREAM").is_some()
        && let Ok(journal) = tracing_journald::layer()
    {
        tracing_subscriber::registry().with(filter).with(journal).init();
        return;
    }
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    tracing_subscriber::registry().with(filter).with(lines).init();
}
