//! `beeldboxd`: the daemon of the box. Reads its settings, starts everything, waits until it is asked to stop.
//!
//! Exit codes: 0 stopped in order; 1 could not start, or storage is in doubt and the service manager should start it
//! again into recovery; 2 wrong arguments or settings.

mod admin;
mod certificates;
mod dicom_tls;
mod identity;
mod keys;
mod pkcs12;
mod preview;
mod recipient_keys;
mod renew;
mod settings;
mod setup;
mod setup_record;
mod start;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tracing::error;

/// The daemon of the Beeldbox: receives studies from the PACS, seals them, exchanges them over the portal.
#[derive(Parser)]
#[command(name = "beeldboxd", version)]
struct Arguments {
    /// The settings file.
    #[arg(long, default_value = "/etc/beeldbox/beeldbox.toml")]
    settings: PathBuf,
    /// Read and check the settings, say what is wrong, and end.
    #[arg(long)]
    check: bool,
    /// Write log lines for developers too.
    #[arg(long)]
    debug: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let settings = match settings::read(&arguments.settings) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("beeldboxd: {error}");
            return ExitCode::from(2);
        }
    };
    if arguments.check {
        println!("{}: in order", arguments.settings.display());
        return ExitCode::SUCCESS;
    }
    beeldbox_system::journal::start_logging(arguments.debug);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("beeldboxd: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(start::run(settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            error!(error = format!("{failure:#}"), "beeldboxd ends");
            eprintln!("beeldboxd: {failure:#}");
            ExitCode::FAILURE
        }
    }
}
