//! `beeldbox-portal`: the reference portal as a program.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use beeldbox_portal::ca::{Ca, Validity, write_durably};
use beeldbox_portal::clock::Clock;
use beeldbox_portal::postgresql::DatabaseUrl;
use beeldbox_portal::s3::{self, PartsPlace};
use beeldbox_portal::{
    CA_NAME, Database, Portal, PortalOptions, enrolment_code, fictitious, resources_of_bundle, seed,
};
use beeldbox_protocol::ident::{Digest, Ura};
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

/// The reference portal: carries what it cannot read.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
struct State {
    /// Folder with everything that must survive.
    #[arg(long)]
    state: PathBuf,
    /// PostgreSQL database that several portals share, as postgresql://user@host/database without a password;
    /// otherwise the ledger is in the state folder.
    #[arg(long)]
    database: Option<DatabaseUrl>,
    /// File with the password of the database.
    #[arg(long, requires = "database")]
    database_password_file: Option<PathBuf>,
}

impl State {
    fn options(self) -> anyhow::Result<PortalOptions> {
        let mut options = PortalOptions::new(self.state);
        if let Some(mut url) = self.database {
            if let Some(path) = self.database_password_file {
                let password = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
                url = url.with_password(&password);
            }
            options.database = Database::Postgres(Box::new(url));
        }
        Ok(options)
    }
}

#[derive(Args)]
struct Parts {
    /// Where letters and parts lie: a folder, or s3://bucket/prefix; otherwise in the state folder. The keys of a bucket
    /// come from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, …) or from a file.
    #[arg(long)]
    parts: Option<PartsPlace>,
    /// Address of an S3-compatible store, if it is not Amazon's.
    #[arg(long, requires = "parts")]
    s3_endpoint: Option<String>,
    /// File with lines name=value for the keys of the bucket.
    #[arg(long, requires = "parts")]
    s3_credentials: Option<PathBuf>,
}

impl Parts {
    fn set(self, options: &mut PortalOptions) -> anyhow::Result<()> {
        match self.parts {
            None => {}
            Some(PartsPlace::Folder(folder)) => options.parts_folder = Some(folder),
            Some(PartsPlace::Bucket { name, prefix }) => {
                let (endpoint, keys) = (self.s3_endpoint.as_deref(), self.s3_credentials.as_deref());
                options.objects = Some(s3::bucket(&name, prefix.as_deref(), endpoint, keys)?);
            }
        }
        Ok(())
    }
}

#[derive(Args)]
struct Organisation {
    /// Its URA.
    #[arg(long)]
    ura: Ura,
    /// Its name.
    #[arg(long)]
    name: String,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM or Ctrl-C.
    Serve {
        #[command(flatten)]
        state: State,
        #[command(flatten)]
        parts: Parts,
        /// Where to listen; port 0 takes a free one.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        /// Write the port into this file when ready.
        #[arg(long)]
        port_file: Option<PathBuf>,
        /// Names in the server's certificate, instead of localhost.
        #[arg(long = "name")]
        names: Vec<String>,
        /// Certificates of further authorities whose clients are accepted (PEM).
        #[arg(long = "anchor")]
        anchors: Vec<PathBuf>,
    },
    /// Write a FHIR Bundle into the directory; without a file, the invented directory.
    Seed {
        #[command(flatten)]
        state: State,
        /// A FHIR Bundle in JSON.
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// Make key and certificate for a box.
    Enrol {
        #[command(flatten)]
        state: State,
        #[command(flatten)]
        organisation: Organisation,
        /// Where to put tls.key.pem, tls.pem and portal-ca.pem.
        #[arg(long)]
        out_dir: PathBuf,
    },
    /// Make a one-time code with which a box enrols itself (EST).
    Code {
        #[command(flatten)]
        state: State,
        #[command(flatten)]
        organisation: Organisation,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match Cli::parse().command {
        Command::Serve { state, parts, listen, port_file, names, anchors } => {
            let mut options = PortalOptions { listen, ..state.options()? };
            parts.set(&mut options)?;
            if !names.is_empty() {
                options.names = names;
            }
            for path in anchors {
                options.further_anchors.extend(read_certificates(&path)?);
            }
            serve(options, port_file).await
        }
        Command::Seed { state, file } => {
            let resources = match file {
                Some(path) => {
                    let text = std::fs::read(&path).with_context(|| path.display().to_string())?;
                    resources_of_bundle(
                        &serde_json::from_slice(&text).with_context(|| path.display().to_string())?,
                    )
                }
                None => fictitious::directory(),
            };
            let count = seed(&state.options()?, resources).await?;
            writeln!(std::io::stdout(), "{count} resources in the directory")?;
            Ok(())
        }
        Command::Enrol { state, organisation, out_dir } => enrol(&state.state, &organisation, &out_dir),
        Command::Code { state, organisation } => {
            let options = state.options()?;
            let ca = Ca::open(&options.state, CA_NAME, Clock::of_the_system().now())?;
            let code = enrolment_code(&options, organisation.ura, organisation.name).await?;
            writeln!(std::io::stdout(), "{code}")?;
            // The box compares it with what it gets from cacerts, which nothing else vouches for.
            writeln!(std::io::stderr(), "authority SHA-256 {}", Digest::of(ca.certificate()))?;
            Ok(())
        }
    }
}

async fn serve(options: PortalOptions, port_file: Option<PathBuf>) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let portal = Portal::start(options).await?;
    if let Some(path) = port_file {
        write_durably(&path, portal.address().port().to_string().as_bytes(), 0o644)?;
    }
    {
        let mut out = std::io::stdout();
        writeln!(out, "listening {}", portal.url())?;
        out.flush()?;
    }
    let has_failed = tokio::select! {
        _ = terminate.recv() => false,
        interrupted = tokio::signal::ctrl_c() => interrupted.is_err(),
        () = portal.failed() => true,
    };
    if has_failed {
        anyhow::bail!("nobody knows what is durable; start again");
    }
    portal.stop().await;
    Ok(())
}

fn enrol(state: &Path, organisation: &Organisation, out_dir: &Path) -> anyhow::Result<()> {
    let now = Clock::of_the_system().now();
    let ca = Ca::open(state, CA_NAME, now)?;
    let issued = ca.issue(&organisation.ura, &organisation.name, Validity::usual(now))?;
    std::fs::create_dir_all(out_dir).with_context(|| out_dir.display().to_string())?;
    write_durably(&out_dir.join("tls.key.pem"), issued.key.as_bytes(), 0o600)?;
    write_durably(&out_dir.join("tls.pem"), issued.certificate.as_bytes(), 0o644)?;
    write_durably(&out_dir.join("portal-ca.pem"), ca.pem().as_bytes(), 0o644)?;
    Ok(())
}

fn read_certificates(path: &Path) -> anyhow::Result<Vec<rustls_pki_types::CertificateDer<'static>>> {
    use rustls_pki_types::pem::PemObject;
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let certificates = rustls_pki_types::CertificateDer::pem_reader_iter(file).collect::<Result<Vec<_>, _>>();
    certificates.with_context(|| path.display().to_string())
}
