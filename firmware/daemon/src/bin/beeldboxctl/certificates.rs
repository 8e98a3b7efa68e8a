//! Commands about the certificates and keys of the box.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use beeldbox_protocol::admin::{CertificateLevel, CertificateLine, CertificateUse, Question};
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::Digest;
use clap::{Args, Subcommand, ValueEnum};
use data_encoding::BASE64;

/// What a certificate is for.
#[derive(Clone, Copy, ValueEnum)]
pub enum For {
    /// Shown to the portal.
    Portal,
    /// Signs for the organisation.
    Signing,
}

impl From<For> for CertificateUse {
    fn from(what: For) -> Self {
        match what {
            For::Portal => CertificateUse::Portal,
            For::Signing => CertificateUse::Signing,
        }
    }
}

/// Enrolment with a one-time code.
#[derive(Args)]
pub struct Enrol {
    /// A file with the code, which is worth one certificate; without it, the code is read from standard input. It is no
    /// argument: every program on the machine can read those.
    #[arg(long, default_value = "-")]
    code_file: PathBuf,
    /// SHA-256 of the portal's authority, which came with the code; colons and spaces do not count.
    #[arg(long)]
    fingerprint: String,
}

/// Changes of one certificate.
#[derive(Subcommand)]
pub enum Change {
    /// Take over a certificate that somebody issued: PEM, or PKCS#12 (`.p12`, `.pfx`).
    Import {
        /// The file; `-` for standard input.
        file: PathBuf,
        /// What it is for.
        #[arg(long = "for", value_enum, default_value = "signing")]
        what: For,
        /// A file with the password of a PKCS#12 file; `-` for standard input.
        #[arg(long)]
        password_file: Option<PathBuf>,
    },
    /// Renew the certificate for the portal now.
    Renew,
}

impl Enrol {
    /// As a question.
    pub fn question(&self) -> Result<Question> {
        let plain: String =
            self.fingerprint.chars().filter(|c| !matches!(c, ':' | ' ')).collect::<String>().to_lowercase();
        let fingerprint: Digest = plain.parse().context("a fingerprint is 64 hexadecimal digits")?;
        if self.code_file == Path::new("-") && std::io::stdin().is_terminal() {
            eprintln!("The code, then Enter and Ctrl-D:");
        }
        let code = String::from_utf8(read(&self.code_file)?).context("a code is text")?;
        Ok(Question::Enrol { code: Confidential::new(code.trim()), fingerprint })
    }
}

impl Change {
    /// As a question. Files are read here: the daemon may not see them.
    pub fn question(&self) -> Result<Question> {
        let Change::Import { file, what, password_file } = self else {
            return Ok(Question::RenewCertificate);
        };
        let bytes = read(file)?;
        let content = match std::str::from_utf8(&bytes) {
            Ok(text) if text.contains("-----BEGIN") => text.to_owned(),
            Ok(_) | Err(_) => BASE64.encode(&bytes),
        };
        let password = match password_file {
            Some(file) => {
                let text = String::from_utf8(read(file)?).context("a password is text")?;
                Some(Confidential::new(text.trim_end_matches(['\r', '\n'])))
            }
            None => None,
        };
        Ok(Question::ImportCertificate {
            what: (*what).into(),
            content: Confidential::new(content),
            password,
        })
    }
}

fn read(file: &Path) -> Result<Vec<u8>> {
    if file == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).context("standard input")?;
        return Ok(bytes);
    }
    std::fs::read(file).with_context(|| file.display().to_string())
}

/// One certificate, for people.
pub fn line(line: &CertificateLine) -> String {
    let what = match line.what {
        CertificateUse::Portal => "for the portal",
        CertificateUse::Signing => "for signing",
    };
    let state = match (line.level, line.valid_until, line.days_left) {
        (CertificateLevel::Missing, _, _) | (_, None, _) => "missing: enrol this box".to_owned(),
        (CertificateLevel::Fine, Some(until), days) => {
            format!("until {until}, {} days left", days.unwrap_or_default())
        }
        (CertificateLevel::EndsSoon, Some(until), days) => {
            format!("ENDS SOON: until {until}, {} days left", days.unwrap_or_default())
        }
        (CertificateLevel::EndsVerySoon, Some(until), days) => {
            format!("ENDS VERY SOON: until {until}, {} days left", days.unwrap_or_default())
        }
        (CertificateLevel::Ended, Some(until), _) => format!("HAS ENDED on {until}"),
    };
    let requested = if line.is_requested { "; a request waits for its certificate" } else { "" };
    format!("{what:<15} {state}{requested}")
}
