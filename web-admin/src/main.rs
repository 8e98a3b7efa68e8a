//! `beeldbox-admin`: serves the local web pages, and makes accounts for them.

use std::io::Read;
use std::path::PathBuf;

use anyhow::Context;
use beeldbox_admin::accounts::Accounts;
use beeldbox_admin::claim::Claim;
use beeldbox_admin::roles::Role;
use beeldbox_admin::serve;
use beeldbox_admin::settings::Settings;
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

/// The local web pages of the box.
#[derive(Parser)]
#[command(
    name = "beeldbox-admin",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
struct Arguments {
    /// Settings file (TOML).
    #[arg(long, required = true)]
    config: Option<PathBuf>,
    /// Where to write the address once the pages are served.
    #[arg(long)]
    port_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Makes an account, or gives an existing one a new password.
    AddUser {
        /// Where the accounts are.
        #[arg(long)]
        state_dir: PathBuf,
        /// Name of the account.
        #[arg(long)]
        name: String,
        /// File with the password; standard input without it.
        #[arg(long)]
        password_file: Option<PathBuf>,
        /// What it may do: technician, importer, administrator, auditor. May be given more than once. Without it a new
        /// account may do all but audit, and an existing one what it could before.
        #[arg(long, value_parser = read_role)]
        role: Vec<Role>,
        /// Signing in no longer asks for a code from a telephone: for one that was lost.
        #[arg(long)]
        without_second_factor: bool,
    },
    /// Sets the code on the label of the box, with which its first account is made in the pages.
    SetClaimCode {
        /// Where the accounts are.
        #[arg(long)]
        state_dir: PathBuf,
        /// File with the code; standard input without it.
        #[arg(long)]
        code_file: Option<PathBuf>,
    },
}

fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::INFO).init();
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Command::AddUser { state_dir, name, password_file, role, without_second_factor }) => {
            std::fs::create_dir_all(&state_dir).with_context(|| format!("{}", state_dir.display()))?;
            let password = read_password(password_file)?;
            let accounts = Accounts::in_dir(&state_dir);
            let roles = (!role.is_empty()).then(|| role.into_iter().collect());
            accounts.add_as(&name, password.trim_end_matches(['\r', '\n']), roles)?;
            if without_second_factor {
                accounts.set_second_factor(&name, None)?;
            }
            eprintln!("account {name} is ready");
            Ok(())
        }
        Some(Command::SetClaimCode { state_dir, code_file }) => {
            std::fs::create_dir_all(&state_dir).with_context(|| format!("{}", state_dir.display()))?;
            Claim::in_dir(&state_dir)
                .set(&read_password(code_file)?)
                .context("a code has at least 10 letters and digits")?;
            eprintln!("the claim code is set");
            Ok(())
        }
        None => {
            let config = arguments.config.context("--config is needed")?;
            let settings = Settings::read(&config)?;
            let runtime = tokio::runtime::Runtime::new().context("the runtime cannot be started")?;
            runtime.block_on(run(settings, arguments.port_file))
        }
    }
}

async fn run(settings: Settings, port_file: Option<PathBuf>) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be heard")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be heard")?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    serve::serve(settings, port_file.as_deref(), stop).await?;
    Ok(())
}

fn read_role(name: &str) -> Result<Role, String> {
    Role::from_name(name).ok_or_else(|| "is none of technician, importer, administrator, auditor".to_owned())
}

fn read_password(file: Option<PathBuf>) -> anyhow::Result<String> {
    match file {
        Some(path) => {
            std::fs::read_to_string(&path).with_context(|| format!("{}: cannot be read", path.display()))
        }
        None => {
            let mut text = String::new();
            std::io::stdin().lock().take(4096).read_to_string(&mut text).context("no password came in")?;
            Ok(text)
        }
    }
}
